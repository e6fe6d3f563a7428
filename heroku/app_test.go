package heroku_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	simheroku "example.com/zdd/sim/heroku"
)

func read(t *testing.T, c *heroku.Client, name string) fleet.App {
	t.Helper()
	app, err := c.ReadApp(t.Context(), fleet.MustRef(name))
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// said is what a value tells, or "?" and its reason.
func said[T any](v fleet.Value[T]) string {
	if got, known := v.Get(); known {
		return fmt.Sprint(got)
	}
	return "?" + v.Why().Text
}

func TestReadApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := simulated(t, simheroku.Options{}, heroku.Config{})
		app := read(t, c, "checkout")
		if web, ok := app.Web(); !ok || web.Quantity != 2 || web.Size != "Standard-2X" || web.Command == "" {
			t.Errorf("web: got %+v", web)
		}
		for _, feature := range []string{fleet.Preboot, fleet.SessionAffinity} {
			if on, known := app.Feature(feature); !on || !known {
				t.Errorf("%s: got %v, known %v", feature, on, known)
			}
		}
		size, _ := app.WebSize()
		if got, want := said(size.Price), "$50.00"; got != want {
			t.Errorf("price: got %s, want %s", got, want)
		}
		if got, want := said(size.Units), "2"; got != want {
			t.Errorf("units: got %s, want %s", got, want)
		}
		if got, known := app.Release.Get(); !known || got.Version != 12 || got.Status != "succeeded" || !got.Current || got.CreatedAt.IsZero() {
			t.Errorf("release: got %+v %v", got, app.Release.Why())
		}
		if dynos, _ := app.Dynos.Get(); len(dynos) != 2 || dynos[0].Type != "web" || dynos[0].State != "up" || dynos[0].Release != 12 || dynos[0].Since.IsZero() {
			t.Errorf("dynos: got %+v %v", dynos, app.Dynos.Why())
		}
		if addons, _ := app.AddOns.Get(); len(addons) != 2 || addons[0].Service == "" || !strings.Contains(addons[0].Plan, ":") || addons[0].Name == "" {
			t.Errorf("add-ons: got %+v %v", addons, app.AddOns.Why())
		}
		if got, want := said(app.Buildpacks), "[heroku/ruby]"; got != want {
			t.Errorf("buildpacks: got %s, want %s", got, want)
		}
		if got, known := app.Pipeline.Get(); !known || got.Stage != "production" || got.Pipeline == "" || said(got.Name) != "checkout" {
			t.Errorf("pipeline: got %+v %v", got, app.Pipeline.Why())
		}
		if got, want := said(app.Autoscaler), "{false 0 0}"; got != want {
			t.Errorf("autoscaler: got %s, want %s", got, want)
		}
		if app.Team != "acme" || app.Region != "us" || app.Stack != "heroku-24" || app.Generation != fleet.Cedar || app.Runtime != "Ruby" || app.Space != nil || app.Maintenance {
			t.Errorf("app: got %+v", app)
		}
		if !app.ReadAt.Equal(time.Now()) || app.ReleasedAt.IsZero() || app.CreatedAt.IsZero() {
			t.Errorf("times: read %v, released %v, created %v", app.ReadAt, app.ReleasedAt, app.CreatedAt)
		}
	})
}

// Each runtime of the demo's fleet, in the words that the checks ask for.
func TestReadAppOfEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := simulated(t, simheroku.Options{}, heroku.Config{})
		describe := map[string]func(fleet.App) string{
			"autoscaler": func(a fleet.App) string { return said(a.Autoscaler) },
			"generation": func(a fleet.App) string { return string(a.Generation) },
			"size": func(a fleet.App) string {
				s, _ := a.WebSize()
				return s.Name + " " + string(s.Tier) + " " + said(s.Price)
			},
			"formation": func(a fleet.App) string { return said(a.Formation) },
			"jvm":       func(a fleet.App) string { return said(a.JVM()) },
			"shield":    func(a fleet.App) string { return a.Space.Name + " " + said(a.Space.Shield) },
			"release":   func(a fleet.App) string { r, _ := a.Release.Get(); return fmt.Sprint(r.Version, r.Status) },
			"pipeline":  func(a fleet.App) string { p, _ := a.Pipeline.Get(); return p.Stage },
			"scalers":   func(a fleet.App) string { return fmt.Sprint(a.ScalingAddOns()) },
		}
		for _, tt := range []struct{ app, what, want string }{
			{"shop", "autoscaler", "{false 0 0}"},
			{"search", "autoscaler", "{true 2 6}"},
			{"rules", "autoscaler", "{true 1 4}"},
			{"edge", "autoscaler", "{false 0 0}"},
			{"reports", "autoscaler", "{false 0 0}"},
			{"edge", "generation", "fir"},
			{"reports", "generation", "cedar"},
			{"hobbyist", "size", "eco eco ?Eco is paid for by the account, $5 a month for all its Eco dynos, not by the dyno"},
			{"landing", "size", "basic basic $7.00"},
			{"reports", "size", "private-s private ?Heroku gives no price for private-s dynos"},
			{"payroll", "size", "shield-m shield ?Heroku gives no price for shield-m dynos"},
			{"contracted", "size", "performance-l-ram performance ?Heroku gives no price for performance-l-ram dynos"},
			{"edge", "size", "dyno-1c-0.5gb fir ?Heroku gives no price for dyno-1c-0.5gb dynos"},
			{"payroll", "shield", "vault true"},
			{"reports", "shield", "atlas false"},
			{"brand-new", "formation", "[]"},
			{"brand-new", "release", "0"},
			{"shop", "release", "12succeeded"},
			{"invoices", "jvm", "Java"},
			{"search", "jvm", "Scala"},
			{"container-app", "jvm", "Java"},
			{"edge", "jvm", ""},
			{"shop-staging", "pipeline", "staging"},
			{"landing", "pipeline", ""},
			{"bursty", "scalers", "[judoscale]"},
		} {
			if got := describe[tt.what](read(t, c, tt.app)); got != tt.want {
				t.Errorf("%s, %s: got %q, want %q", tt.app, tt.what, got, tt.want)
			}
		}
	})
}

func TestReadAppByUUIDAndHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		shop := read(t, c, "shop")
		if got := read(t, c, string(shop.ID)); got.Name != "shop" {
			t.Errorf("by UUID: got %s", got.Name)
		}
		do(t, sim, "rename shop shop-2") // web_url keeps its host
		if got := read(t, c, shop.WebURL); got.ID != shop.ID || got.Name != "shop-2" {
			t.Errorf("by address %s: got %s %s", shop.WebURL, got.ID, got.Name)
		}
		sim.ResetCalls()
		read(t, c, shop.WebURL)
		if got := sim.CallCounts()["GET /apps"]; got != 0 {
			t.Errorf("the same address again: got %d lists, want the one of before", got)
		}
		_, err := c.ReadApp(t.Context(), fleet.MustRef("nobody-0123456789ab.herokuapp.com"))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.NotFound || p.App != "nobody-0123456789ab.herokuapp.com" {
			t.Errorf("an address of nobody's: got %+v", p)
		}
		if _, err = c.ReadApp(t.Context(), fleet.Ref{}); !errors.Is(err, fleet.ErrNoApp) {
			t.Errorf("the zero Ref: got %v", err)
		}
	})
}

// However slow Heroku is, the calls are made beside one another: one after the other
// comes only what needs the UUID and the size of web.
func TestReadAppIsParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Latency: time.Second}, heroku.Config{})
		for _, tt := range []struct {
			app  string
			want time.Duration
		}{
			{"shop", time.Second},
			{"checkout", time.Second},
			{"landing", time.Second},
			{"edge", time.Second},
			{"search", 2 * time.Second},  // Performance: the monitor
			{"payroll", 2 * time.Second}, // Shield
		} {
			sim.ResetCalls()
			began := time.Now()
			read(t, c, tt.app)
			if got := time.Since(began); got != tt.want {
				t.Errorf("%s: got %v, want %v; calls %v", tt.app, got, tt.want, sim.CallCounts())
			}
		}
		if got := sim.CallCounts()["GET /dyno-sizes"]; got != 0 {
			t.Errorf("dyno sizes were asked for %d times more within the hour", got)
		}
		time.Sleep(time.Hour)
		read(t, c, "shop")
		if got := sim.CallCounts()["GET /dyno-sizes"]; got != 1 {
			t.Errorf("an hour later: got %d, want 1", got)
		}
	})
}

// Many who ask at once share one question about the sizes.
func TestSizesAreAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Latency: time.Second}, heroku.Config{})
		done := make(chan string)
		for range 5 {
			go func() {
				app, err := c.ReadApp(t.Context(), fleet.MustRef("shop"))
				done <- fmt.Sprint(err, " ", price(app))
			}()
		}
		for range 5 {
			if got, want := <-done, "<nil> $25.00"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got := sim.CallCounts()["GET /dyno-sizes"]; got != 1 {
			t.Errorf("got %d questions, want 1", got)
		}
	})
}

const (
	oldID = "11111111-1111-4111-8111-111111111111"
	newID = "22222222-2222-4222-8222-222222222222"
)

func release(version int) string {
	return fmt.Sprintf(`{"version":%d,"status":"succeeded","created_at":"2026-08-03T10:00:00Z"}`, version)
}

func price(a fleet.App) string { s, _ := a.WebSize(); return said(s.Price) }

func units(a fleet.App) string { s, _ := a.WebSize(); return said(s.Units) }

// An answer about an app that names none is not an app.
func TestAppThatIsNone(t *testing.T) {
	for _, body := range []string{`{}`, `null`, `[]`, `{"id":"../account","name":"shop"}`, `{"id":"` + newID + `"}`,
		`{"id":"` + newID + `","name":"shop; rm -rf ~"}`, "{\"id\":\"" + newID + "\",\"name\":\"`id`\"}", `{"id":"` + newID + `","name":"-x"}`, `{"id":"` + newID + `","name":"shop\n"}`, `"shop"`} {
		c := client(t, answers(map[string]string{"/apps/shop": body}), heroku.Config{})
		_, err := c.ReadApp(t.Context(), fleet.MustRef("shop"))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.NotTold {
			t.Errorf("%s: got %v, want a problem", body, err)
		}
	}
}

// The pipeline's name is read beside where the coupling leaves it out, and kept.
func TestPipelineName(t *testing.T) {
	asked := 0
	paths := map[string]string{
		"/apps/shop":                    `{"id":"` + newID + `","name":"shop"}`,
		"/apps/shop/pipeline-couplings": `{"app":{"id":"` + newID + `"},"pipeline":{"id":"` + oldID + `"},"stage":"production"}`,
		"/pipelines/" + oldID:           `{"id":"` + oldID + `","name":"storefront"}`,
	}
	c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/pipelines/") {
			asked++
		}
		answers(paths).ServeHTTP(rw, r)
	}), heroku.Config{})
	for range 2 {
		if got, _ := read(t, c, "shop").Pipeline.Get(); said(got.Name) != "storefront" || got.Stage != "production" || got.Pipeline != oldID {
			t.Errorf("got %+v", got)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

// A name that could not be read is not the empty name: the policy may know the pipeline
// by it. It is asked for again with the next reading.
func TestPipelineNameUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/pipelines/") {
				if asked++; asked == 1 {
					rw.WriteHeader(http.StatusForbidden)
					fmt.Fprint(rw, `{"id":"forbidden","message":"No."}`)
					return
				}
			}
			answers(map[string]string{
				"/apps/shop":                    `{"id":"` + newID + `","name":"shop"}`,
				"/apps/shop/pipeline-couplings": `{"app":{"id":"` + newID + `"},"pipeline":{"id":"` + oldID + `"},"stage":"production"}`,
				"/pipelines/" + oldID:           `{"id":"` + oldID + `","name":"storefront"}`,
			}).ServeHTTP(rw, r)
		}), heroku.Config{})
		for _, want := range []string{"?this token may not read it", "storefront"} {
			if got, known := read(t, c, "shop").Pipeline.Get(); !known || said(got.Name) != want || got.Stage != "production" {
				t.Errorf("got %v %+v, want the name %q and the rest known", known, got, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestNotCoupled(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"not_found","resource":"pipeline coupling","message":"Couldn't find that pipeline coupling."}`: said(fleet.Known(fleet.Coupling{})),
		`{"id":"not_found","resource":"app","message":"Couldn't find that app."}`:                             "?Heroku does not show it to this token",
	} {
		c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/pipeline-couplings") {
				rw.WriteHeader(http.StatusNotFound)
				fmt.Fprint(rw, body)
				return
			}
			answers(map[string]string{"/apps/shop": `{"id":"` + newID + `","name":"shop"}`}).ServeHTTP(rw, r)
		}), heroku.Config{})
		if got := said(read(t, c, "shop").Pipeline); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPathsStayBelowABasePath(t *testing.T) {
	var paths []string
	c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		fmt.Fprint(rw, `{"remaining":5}`)
	}), heroku.Config{URL: "http://localhost:5000/base/"})
	if _, err := c.ReadRate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/base/account/rate-limits"}; !slices.Equal(paths, want) {
		t.Errorf("got %v, want %v", paths, want)
	}
}
