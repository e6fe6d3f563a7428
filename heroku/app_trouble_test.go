package heroku_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	simheroku "example.com/zdd/sim/heroku"
)

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
