package heroku_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

func TestReadAppOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		for name, want := range map[string]fleet.Kind{
			"frozen": fleet.Suspended, "vaulted": fleet.TwoFactor, "secret-lab": fleet.Forbidden, "unpaid": fleet.Delinquent, "no-such-app": fleet.NotFound,
		} {
			_, err := c.ReadApp(t.Context(), fleet.MustRef(name))
			p, ok := errors.AsType[*fleet.Problem](err)
			if !ok || p.Kind != want || p.App != name || p.Op != "read app" || p.RequestID == "" {
				t.Errorf("%s: got %+v, want %s", name, p, want)
			}
		}
		do(t, sim, "revoke-token")
		_, err := c.ReadApp(t.Context(), fleet.MustRef("shop"))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unauthorized {
			t.Errorf("revoked: got %v", err)
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

// Each part, broken in each way, is unknown with a reason and harms no other part; and
// the whole stays within its time.
func TestReadAppWithABrokenPart(t *testing.T) {
	parts := map[string]func(fleet.App) (bool, fleet.Reason){
		"/apps/*/formation":               func(a fleet.App) (bool, fleet.Reason) { return a.Formation.IsKnown(), a.Formation.Why() },
		"/apps/*/features":                func(a fleet.App) (bool, fleet.Reason) { return a.Features.IsKnown(), a.Features.Why() },
		"/dyno-sizes":                     func(a fleet.App) (bool, fleet.Reason) { return a.Sizes.IsKnown(), a.Sizes.Why() },
		"/apps/*/releases":                func(a fleet.App) (bool, fleet.Reason) { return a.Release.IsKnown(), a.Release.Why() },
		"/apps/*/dynos":                   func(a fleet.App) (bool, fleet.Reason) { return a.Dynos.IsKnown(), a.Dynos.Why() },
		"/apps/*/addons":                  func(a fleet.App) (bool, fleet.Reason) { return a.AddOns.IsKnown(), a.AddOns.Why() },
		"/apps/*/buildpack-installations": func(a fleet.App) (bool, fleet.Reason) { return a.Buildpacks.IsKnown(), a.Buildpacks.Why() },
		"/apps/*/pipeline-couplings":      func(a fleet.App) (bool, fleet.Reason) { return a.Pipeline.IsKnown(), a.Pipeline.Why() },
		"/apps/*/formation/web/monitors":  func(a fleet.App) (bool, fleet.Reason) { return a.Autoscaler.IsKnown(), a.Autoscaler.Why() },
	}
	faults := map[string]string{ // and the reason
		"503html":        "Heroku did not answer (503 Service Unavailable)",
		"503json":        "Heroku did not answer (The API is unavailable. Please try again later.)",
		"500":            "Heroku did not answer (Internal server error.)",
		"403two-factor":  "it is protected by two-factor authentication",
		"hang":           "Heroku did not answer (timed out)",
		"reset-before":   "Heroku did not answer (the connection broke off)",
		"reset-after":    "Heroku did not answer (the connection broke off)",
		"truncated-json": "Heroku did not answer (its answer is not JSON)",
		"empty-body":     "Heroku did not answer (its answer is empty)",
		"429":            "the account's API limit is used up",
	}
	for glob, value := range parts {
		for fault, want := range faults {
			t.Run(glob+" "+fault, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, sim := simulated(t, simheroku.Options{Latency: 10 * time.Millisecond}, heroku.Config{}) // so that all parts are under way when one is refused
					do(t, sim, "fault GET "+glob+" "+fault)
					began := time.Now()
					app := read(t, c, "search")
					if took := time.Since(began); took > 8*time.Second {
						t.Errorf("took %v, want at most 8s", took)
					}
					known, why := value(app)
					if known || why.Text != want {
						t.Errorf("got known %v, %q, want %q", known, why.Text, want)
					}
					for other, value := range parts {
						known, why := value(app)
						// What scales is web's, so it goes with the formation.
						expected := other == glob || other == "/apps/*/formation/web/monitors" && glob == "/apps/*/formation"
						if known == expected && !(fault == "429" && !known) {
							t.Errorf("%s: got known %v (%s)", other, known, why.Text)
						}
					}
				})
			})
		}
	}
}

// Trouble that passes is not seen at all.
func TestReadAppThroughPassingTrouble(t *testing.T) {
	for _, fault := range []string{"503html", "500", "reset-before", "reset-after", "truncated-json", "empty-body"} {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
				want, err := json.Marshal(read(t, c, "search"))
				if err != nil {
					t.Fatal(err)
				}
				at := read(t, c, "search").ReadAt
				for _, glob := range []string{"/apps/*", "/apps/*/formation", "/apps/*/features", "/apps/*/releases", "/apps/*/formation/web/monitors"} {
					do(t, sim, "fault next 2 GET "+glob+" "+fault)
				}
				app := read(t, c, "search")
				app.ReadAt = at
				if got, err := json.Marshal(app); err != nil || string(got) != string(want) {
					t.Errorf("got  %s (%v)\nwant %s", got, err, want)
				}
			})
		})
	}
}

func TestReadAppGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := simulated(t, simheroku.Options{Latency: time.Hour}, heroku.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		began := time.Now()
		_, err := c.ReadApp(ctx, fleet.MustRef("shop"))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || !errors.Is(p, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want given up after 1s", err, time.Since(began))
		}
		_, err = c.ReadApp(t.Context(), fleet.MustRef("shop"))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unavailable || !errors.Is(p, context.DeadlineExceeded) {
			t.Errorf("an app that hangs: got %v", err)
		}
	})
}

// When the token is refused nothing more is waited for.
func TestUnauthorizedEndsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/features") {
				rw.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(rw, `{"id":"unauthorized","message":"Invalid credentials provided."}`)
				return
			}
			<-r.Context().Done()
		}), heroku.Config{})
		began := time.Now()
		_, err := c.ReadApp(t.Context(), fleet.MustRef("shop"))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unauthorized || time.Since(began) != 0 {
			t.Errorf("got %v after %v, want unauthorized at once", err, time.Since(began))
		}
	})
}

const (
	oldID = "11111111-1111-4111-8111-111111111111"
	newID = "22222222-2222-4222-8222-222222222222"
)

// answers serves fixed answers by path; any other is an empty list, and none a coupling.
func answers(paths map[string]string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, ok := paths[r.URL.Path]
		switch {
		case ok:
		case strings.HasSuffix(r.URL.Path, "/pipeline-couplings"):
			rw.WriteHeader(http.StatusNotFound)
			body = `{"id":"not_found","resource":"pipeline coupling","message":"Couldn't find that pipeline coupling."}`
		default:
			body = "[]"
		}
		fmt.Fprint(rw, body)
	})
}

func TestNameThatChangedHands(t *testing.T) {
	c := client(t, answers(map[string]string{
		"/apps/shop":                    `{"id":"` + newID + `","name":"shop"}`,
		"/apps/shop/formation":          `[{"type":"web","quantity":1,"size":"Performance-M","app":{"id":"` + oldID + `"}}]`,
		"/apps/shop/dynos":              `[{"name":"web.1","type":"web","state":"up","app":{"id":"` + newID + `"}}]`,
		"/apps/shop/features":           `[{"name":"preboot","enabled":true}]`,
		"/apps/shop/pipeline-couplings": `{"app":{"id":"` + oldID + `"},"pipeline":{"id":"` + oldID + `"},"stage":"production"}`,
	}), heroku.Config{})
	app := read(t, c, "shop")
	for what, v := range map[string]string{"formation": said(app.Formation), "features": said(app.Features), "add-ons": said(app.AddOns), "buildpacks": said(app.Buildpacks), "pipeline": said(app.Pipeline), "autoscaler": said(app.Autoscaler)} {
		if !strings.HasPrefix(v, "?the app's name changed hands") {
			t.Errorf("%s: got %q, want unknown", what, v)
		}
	}
	if app.ID != newID || !app.Dynos.IsKnown() || !app.Release.IsKnown() {
		t.Errorf("got %s, dynos %s, release %s: what is surely this app's stays known", app.ID, said(app.Dynos), said(app.Release))
	}
}

// Answers that are JSON and still not what was asked for.
func TestOddAnswers(t *testing.T) {
	const odd = "?Heroku's answer has a form that this version of zdd does not know"
	app := `{"id":"` + newID + `","name":"shop"}`
	web := `[{"type":"web","quantity":1,"size":"Performance-M"}]`
	monitors := "/apps/" + newID + "/formation/web/monitors"
	since := func(a fleet.App) string {
		since := a.FeatureSince(fleet.Preboot)
		if at, known := since.Get(); known {
			return at.Format("15:04")
		}
		return said(since)
	}
	tests := map[string]struct {
		paths map[string]string
		what  func(fleet.App) string
		want  string
	}{
		"formation null":          {map[string]string{"/apps/shop/formation": `null`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"formation an object":     {map[string]string{"/apps/shop/formation": `{}`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"quantity text":           {map[string]string{"/apps/shop/formation": `[{"type":"web","quantity":"2"}]`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"command null":            {map[string]string{"/apps/shop/formation": `[{"type":"web","quantity":2,"size":"Basic","command":null}]`}, func(a fleet.App) string { return said(a.Formation) }, "[{web 2 Basic }]"},
		"release null":            {map[string]string{"/apps/shop/releases": `null`}, func(a fleet.App) string { return said(a.Release) }, odd},
		"releases in any order":   {map[string]string{"/apps/shop/releases": `[` + release(7) + `,` + release(9) + `,` + release(8) + `]`}, func(a fleet.App) string { r, _ := a.Release.Get(); return fmt.Sprint(r.Version) }, "9"},
		"time odd":                {map[string]string{"/apps/shop/releases": `[{"version":7,"created_at":"yesterday"}]`}, func(a fleet.App) string { return said(a.Release) }, odd},
		"dyno release null":       {map[string]string{"/apps/shop/dynos": `[{"name":"run.1","type":"run","state":"up","release":null}]`}, func(a fleet.App) string { d, known := a.Dynos.Get(); return fmt.Sprint(len(d), known) }, "1 true"},
		"generation text":         {map[string]string{"/apps/shop": `{"id":"` + newID + `","name":"shop","generation":"fir"}`}, func(a fleet.App) string { return string(a.Generation) }, "fir"},
		"generation object":       {map[string]string{"/apps/shop": `{"id":"` + newID + `","name":"shop","generation":{"id":"x","name":"fir"}}`}, func(a fleet.App) string { return string(a.Generation) }, "fir"},
		"generation number":       {map[string]string{"/apps/shop": `{"id":"` + newID + `","name":"shop","generation":7}`}, func(a fleet.App) string { return string(a.Generation) }, "cedar"},
		"generation by dynos":     {map[string]string{"/apps/shop/formation": `[{"type":"web","quantity":1,"size":"dyno-2c-1gb"}]`}, func(a fleet.App) string { return string(a.Generation) + " " + said(a.Autoscaler) }, "fir {false 0 0}"},
		"space without shield":    {map[string]string{"/apps/shop": `{"id":"` + newID + `","name":"shop","space":{"name":"s"}}`}, func(a fleet.App) string { return fmt.Sprint(a.Space.Shield.IsKnown()) }, "false"},
		"team in the old way":     {map[string]string{"/apps/shop": `{"id":"` + newID + `","name":"shop","organization":{"name":"acme"}}`}, func(a fleet.App) string { return a.Team }, "acme"},
		"buildpacks out of order": {map[string]string{"/apps/shop/buildpack-installations": `[{"ordinal":1,"buildpack":{"name":"heroku/ruby"}},{"ordinal":0,"buildpack":{"name":"","url":"https://x/y"}}]`}, func(a fleet.App) string { return said(a.Buildpacks) }, "[https://x/y heroku/ruby]"},
		"coupling a list":         {map[string]string{"/apps/shop/pipeline-couplings": `[]`}, func(a fleet.App) string { return said(a.Pipeline) }, odd},
		"coupling of nothing":     {map[string]string{"/apps/shop/pipeline-couplings": `{"stage":"production"}`}, func(a fleet.App) string { return said(a.Pipeline) }, odd},
		"coupling without stage":  {map[string]string{"/apps/shop/pipeline-couplings": `{"pipeline":{"id":"` + oldID + `"}}`}, func(a fleet.App) string { return said(a.Pipeline) }, odd},
		"release phase":           {map[string]string{"/apps/shop/releases": `[{"version":7,"status":"succeeded","created_at":"2026-08-03T10:00:00Z","updated_at":"2026-08-03T10:20:00Z"}]`}, func(a fleet.App) string { r, _ := a.Release.Get(); return r.UpdatedAt.Sub(r.CreatedAt).String() }, "20m0s"},

		"feature of two times":     {map[string]string{"/apps/shop/features": `[{"name":"preboot","enabled":true,"created_at":"2026-08-03T10:00:00Z","updated_at":"2026-08-03T10:20:00Z"}]`}, since, "10:20"},
		"feature made by a switch": {map[string]string{"/apps/shop/features": `[{"name":"preboot","enabled":true,"created_at":"2026-08-03T10:20:00Z","updated_at":"2026-08-03T10:00:00Z"}]`}, since, "10:20"},
		"feature of no time":       {map[string]string{"/apps/shop/features": `[{"name":"preboot","enabled":true,"updated_at":null}]`}, since, "?Heroku does not tell"},
		"feature of an odd time":   {map[string]string{"/apps/shop/features": `[{"name":"preboot","enabled":true,"updated_at":"soon"}]`}, since, odd},

		"quantity missing":        {map[string]string{"/apps/shop/formation": `[{"type":"web","size":"Basic"}]`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"quantity null":           {map[string]string{"/apps/shop/formation": `[{"type":"web","size":"Basic","quantity":null}]`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"quantity below none":     {map[string]string{"/apps/shop/formation": `[{"type":"web","size":"Basic","quantity":-1}]`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"type missing":            {map[string]string{"/apps/shop/formation": `[{"quantity":1,"size":"Basic"}]`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"size missing":            {map[string]string{"/apps/shop/formation": `[{"type":"web","quantity":1}]`}, func(a fleet.App) string { return said(a.Formation) + said(a.Autoscaler) }, odd + odd},
		"formation with a null":   {map[string]string{"/apps/shop/formation": `[{"type":"web","quantity":1,"size":"Basic"},null]`}, func(a fleet.App) string { return said(a.Formation) }, odd},
		"feature without a name":  {map[string]string{"/apps/shop/features": `[{"enabled":true}]`}, func(a fleet.App) string { return said(a.Features) }, odd},
		"feature without enabled": {map[string]string{"/apps/shop/features": `[{"name":"preboot"}]`}, func(a fleet.App) string { return said(a.Features) }, odd},
		"features with a null":    {map[string]string{"/apps/shop/features": `[null]`}, func(a fleet.App) string { return said(a.Features) }, odd},
		"release with no version": {map[string]string{"/apps/shop/releases": `[{"status":"succeeded","created_at":"2026-08-03T10:00:00Z"}]`}, func(a fleet.App) string { return said(a.Release) }, odd},
		"release with no status":  {map[string]string{"/apps/shop/releases": `[{"version":7,"created_at":"2026-08-03T10:00:00Z"}]`}, func(a fleet.App) string { return said(a.Release) }, odd},
		"release with no time":    {map[string]string{"/apps/shop/releases": `[{"version":7,"status":"succeeded"}]`}, func(a fleet.App) string { return said(a.Release) }, odd},
		"dyno without a state":    {map[string]string{"/apps/shop/dynos": `[{"name":"web.1","type":"web"}]`}, func(a fleet.App) string { return said(a.Dynos) }, odd},
		"add-on without service":  {map[string]string{"/apps/shop/addons": `[{"plan":{"name":"judoscale:bronze"}}]`}, func(a fleet.App) string { return said(a.AddOns) }, odd},
		"buildpack of no name":    {map[string]string{"/apps/shop/buildpack-installations": `[{"ordinal":0,"buildpack":null}]`}, func(a fleet.App) string { return said(a.Buildpacks) }, odd},

		"a size that is new":       {map[string]string{"/apps/shop/formation": `[{"type":"web","quantity":1,"size":"Quantum-9"}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, "?this version of zdd does not know quantum-9 dynos, nor whether they autoscale"},
		"monitors null":            {map[string]string{monitors: `null`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"monitors an object":       {map[string]string{monitors: `{"monitors":[]}`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"monitor a text":           {map[string]string{monitors: `["x"]`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"monitor without a type":   {map[string]string{monitors: `[{"is_active":true,"min_quantity":1,"max_quantity":2}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"monitor without active":   {map[string]string{monitors: `[{"action_type":"scale","min_quantity":1,"max_quantity":2}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"monitor without minimum":  {map[string]string{monitors: `[{"action_type":"scale","is_active":true,"max_quantity":2}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"monitor upside down":      {map[string]string{monitors: `[{"action_type":"scale","is_active":true,"min_quantity":5,"max_quantity":2}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"two active monitors":      {map[string]string{monitors: `[{"action_type":"scale","is_active":true,"min_quantity":1,"max_quantity":2},{"action_type":"scale","is_active":true,"min_quantity":3,"max_quantity":4}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, odd},
		"monitor off":              {map[string]string{monitors: `[{"action_type":"scale","is_active":false}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, "{false 0 0}"},
		"monitor of another type":  {map[string]string{monitors: `[{"action_type":"scale","process_type":"worker","is_active":true,"min_quantity":1,"max_quantity":2}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, "{false 0 0}"},
		"alerts only":              {map[string]string{monitors: `[{"action_type":"alert","is_active":true}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, "{false 0 0}"},
		"monitor on":               {map[string]string{monitors: `[{"action_type":"alert"},{"action_type":"scale","process_type":"web","is_active":true,"min_quantity":1,"max_quantity":2,"new":[]}]`}, func(a fleet.App) string { return said(a.Autoscaler) }, "{true 1 2}"},
		"sizes null":               {map[string]string{"/dyno-sizes": `null`}, func(a fleet.App) string { return said(a.Sizes) }, odd},
		"one size odd":             {map[string]string{"/dyno-sizes": `["x",{"name":7},{"name":"Performance-M","cost":{"cents":25000,"unit":"month"}}]`}, price, "$250.00"},
		"compute fractional":       {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","compute":2.5,"cost":{"cents":25000,"unit":"monthly"}}]`}, price, "$250.00"},
		"cost null":                {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","cost":null}]`}, price, "?Heroku gives no price for performance-m dynos"},
		"cents null":               {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","cost":{"cents":null,"unit":null}}]`}, price, "?Heroku gives no price for performance-m dynos"},
		"cents zero":               {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","cost":{"cents":0,"unit":"month"}}]`}, price, "?Heroku gives no price for performance-m dynos"},
		"hourly":                   {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","cost":{"cents":35,"unit":"hour"}}]`}, price, "?Heroku gives no price for performance-m dynos"},
		"cost a text, units known": {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","cost":"lots","precise_dyno_units":8.5,"dyno_units":8}]`}, units, "8.5"},
		"units of older servers":   {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","dyno_units":8}]`}, units, "8"},
		"units zero":               {map[string]string{"/dyno-sizes": `[{"name":"Performance-M","dyno_units":0}]`}, units, "?Heroku gives no dyno units for performance-m dynos"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			paths := map[string]string{"/apps/shop": app, "/apps/shop/formation": web}
			maps.Copy(paths, tt.paths)
			if got := tt.what(read(t, client(t, answers(paths), heroku.Config{}), "shop")); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

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

// A server that has no metrics host costs the autoscaler only, and is told of once.
func TestMetricsHostMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{Log: logger(&log), MetricsURL: "http://localhost:5000/elsewhere"})
		_ = sim
		for range 3 {
			if got := said(read(t, c, "search").Autoscaler); !strings.HasPrefix(got, "?") {
				t.Errorf("got %s, want unknown", got)
			}
		}
		if got := strings.Count(log.String(), "metrics host"); got != 1 {
			t.Errorf("said %d times, want once:\n%s", got, log.String())
		}
	})
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
