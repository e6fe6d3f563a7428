package heroku_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	simheroku "example.com/zdd/sim/heroku"
)

const oneApp = "team acme\napp shop team=acme web=2 worker=1 size=standard-1x preboot=on stage=production\n"

func TestFormationRules(t *testing.T) {
	const apps = `
		team acme
		space atlas team=acme
		space vault team=acme shield
		space grove team=acme generation=fir
		app std web=1 worker=1 size=standard-1x
		app bas web=1 worker=0 size=basic
		app eco web=1 size=eco
		app perf web=1 size=performance-m
		app priv space=atlas web=1 size=private-s
		app shld space=vault web=1 size=private-s
		app fir space=grove web=1
		app new releases=never
		app work worker=1`
	for _, tt := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"a number", "/apps/std/formation/web", `{"quantity":3}`, 200, `"quantity":3`},
		{"a string", "/apps/std/formation/web", `{"quantity":"3"}`, 200, `"quantity":3`},
		{"relative", "/apps/std/formation/web", `{"quantity":"+1"}`, 200, `"quantity":2`},
		{"relative, down", "/apps/std/formation/web", `{"quantity":"-1"}`, 200, `"quantity":0`},
		{"below zero", "/apps/std/formation/web", `{"quantity":"-2"}`, 422, `"id":"invalid_params"`},
		{"no number", "/apps/std/formation/web", `{"quantity":"many"}`, 422, `"id":"invalid_params"`},
		{"nothing to do", "/apps/std/formation/web", `{}`, 422, "Require at least one of params"},
		{"not JSON", "/apps/std/formation/web", `{`, 400, `"id":"bad_request"`},
		{"a batch", "/apps/std/formation", `{"updates":[{"type":"web","quantity":"+1"},{"type":"worker","quantity":2,"size":"standard-2x"}]}`, 200, `"size":"Standard-2X"`},
		{"a batch without updates", "/apps/std/formation", `{}`, 422, "Require params: updates."},
		{"a batch with an unknown type", "/apps/std/formation", `{"updates":[{"type":"web","quantity":5},{"type":"clock","quantity":1}]}`, 404, "Couldn't find that process type (clock)."},
		{"size in any case", "/apps/std/formation/web", `{"size":"STANDARD-2x"}`, 200, `"size":"Standard-2X"`},
		{"unknown size", "/apps/std/formation/web", `{"size":"1X"}`, 422, "No such size as 1X. Available dyno sizes are Eco, Basic, Standard-1X"},
		{"standard limit", "/apps/std/formation/web", `{"quantity":101}`, 422, "Cannot update to more than 100 Standard-1X size dynos per process type."},
		{"performance limit", "/apps/perf/formation/web", `{"quantity":11}`, 422, "Cannot update to more than 10 Performance-M size dynos per process type."},
		{"two basic", "/apps/bas/formation/web", `{"quantity":2}`, 422, "Cannot update to more than 1 Basic size dynos per process type."},
		{"two eco", "/apps/eco/formation/web", `{"quantity":"+1"}`, 422, "Cannot update to more than 1 Eco size dynos per process type."},
		{"another basic type", "/apps/bas/formation/worker", `{"quantity":1}`, 200, `"quantity":1`},
		{"basic beside standard", "/apps/bas/formation/web", `{"size":"standard-1x"}`, 422, "Cannot use the following dyno types in the same app:"},
		{"basic and eco", "/apps/bas/formation/web", `{"size":"eco"}`, 422, "Cannot use the following dyno types in the same app:"},
		{"all types at once", "/apps/bas/formation", `{"updates":[{"type":"web","size":"standard-1x","quantity":2},{"type":"worker","size":"standard-1x"}]}`, 200, `"quantity":2`},
		{"standard beside performance", "/apps/std/formation/web", `{"size":"performance-m"}`, 200, `"Performance-M"`},
		{"private size outside a space", "/apps/std/formation/web", `{"size":"private-s"}`, 422, "No such size"},
		{"standard size in a space", "/apps/priv/formation/web", `{"size":"standard-1x"}`, 422, "No such size"},
		{"shield sizes read private", "/apps/shld/formation/web", `{"size":"shield-m"}`, 200, `"size":"Private-M"`},
		{"cedar size on Fir", "/apps/fir/formation/web", `{"size":"private-s"}`, 422, "No such size"},
		{"never released", "/apps/new/formation/web", `{"quantity":1}`, 404, "Couldn't find that process type (web)."},
		{"no web", "/apps/work/formation/web", `{"quantity":1}`, 404, "Couldn't find that process type (web)."},
		{"unknown app", "/apps/nope/formation/web", `{"quantity":1}`, 404, "Couldn't find that app."},
		{"preboot on basic", "/apps/bas/features/preboot", `{"enabled":true}`, 422, "Preboot is only available"},
		{"preboot in a space", "/apps/priv/features/preboot", `{"enabled":true}`, 422, "not available for apps in a space"},
		{"affinity in a space", "/apps/priv/features/http-session-affinity", `{"enabled":true}`, 422, "not available for apps in a space"},
		{"unknown feature", "/apps/std/features/prebot", `{"enabled":true}`, 404, "Couldn't find that feature."},
		{"feature without a value", "/apps/std/features/preboot", `{}`, 422, "Require params: enabled."},
		{"preboot", "/apps/std/features/preboot", `{"enabled":true}`, 200, `"enabled":true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, simheroku.Options{Fleet: fleet(t, apps)})
			before := c.do("apps")
			r := c.must("PATCH", tt.path, tt.body)
			if r.status != tt.status || !strings.Contains(r.text, tt.want) {
				t.Errorf("got %d %s, want %d %s", r.status, r.text, tt.status, tt.want)
			}
			if after := c.do("apps"); tt.status != 200 && after != before {
				t.Errorf("a refused request changed something:\n%s\nwas:\n%s", after, before)
			}
		})
	}
}

// dynosOf reads what the API lists, as "web.1 up v12".
func (c *client) dynosOf(app, typ string) string {
	var ds []platform.Dyno
	c.get("/apps/"+app+"/dynos").decode(c.t, &ds)
	var out []string
	for _, d := range ds {
		if d.Type == typ {
			out = append(out, fmt.Sprintf("%s %s v%d", d.Name, d.State, d.Release.Version))
		}
	}
	return strings.Join(out, ", ")
}

// serving counts the web dynos that truly answer, by release.
func (c *client) serving(app string) map[int]int {
	var state struct {
		Apps []struct {
			App   struct{ Name string }
			Dynos []struct {
				Release int
				Serves  bool
			}
		}
	}
	c.get("/_control/state").decode(c.t, &state)
	out := map[int]int{}
	for _, a := range state.Apps {
		for _, d := range a.Dynos {
			if a.App.Name == app && d.Serves {
				out[d.Release]++
			}
		}
	}
	return out
}

func TestPrebootHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
		c.do("deploy shop by alice new checkout page")
		var r []platform.Release
		c.get("/apps/shop/releases", "Range: version ..; max=1, order=desc").decode(t, &r)
		if r[0].Status != "pending" || r[0].Current || r[0].User.Email != "alice@acme.example" || r[0].Description != "new checkout page" {
			t.Errorf("at once: got %+v", r[0])
		}
		time.Sleep(2 * time.Second)
		c.get("/apps/shop/releases", "Range: version ..; max=1, order=desc").decode(t, &r)
		if r[0].Status != "succeeded" || !r[0].Current {
			t.Errorf("after 2 s: got %+v", r[0])
		}
		if got, want := c.dynosOf("shop", "web"), "web.1 starting v13, web.2 starting v13"; got != want {
			t.Errorf("the API lists the new dynos only: got %s, want %s", got, want)
		}
		time.Sleep(5 * time.Second)
		if got, want := c.dynosOf("shop", "web"), "web.1 up v13, web.2 up v13"; got != want {
			t.Errorf("after the boot: got %s, want %s", got, want)
		}
		if got := c.serving("shop"); got[12] != 2 || got[13] != 0 {
			t.Errorf("the old dynos serve: got %v", got)
		}
		refused := c.must("PATCH", "/apps/shop/formation/worker", `{"quantity":2}`)
		if refused.status != 422 || !strings.Contains(refused.text, "Cannot change formation for a preboot app until preboot is complete") {
			t.Errorf("formation in a hand-over: got %d %s", refused.status, refused.text)
		}
		if got := c.summary("shop"); !strings.HasSuffix(got, " handover=3m25s") {
			t.Errorf("got %s", got)
		}
		time.Sleep(3*time.Minute + 24*time.Second)
		if r := c.must("PATCH", "/apps/shop/formation/web", `{"quantity":3}`); r.status != 422 {
			t.Errorf("a second before the end: got %d", r.status)
		}
		time.Sleep(time.Second)
		if got := c.serving("shop"); got[12] != 0 || got[13] != 2 {
			t.Errorf("at the end the new dynos serve: got %v", got)
		}
		if r := c.must("PATCH", "/apps/shop/formation/web", `{"quantity":3}`); r.status != 200 {
			t.Errorf("at the end: got %d %s", r.status, r.text)
		}
	})
}

func TestReleasesHandOver(t *testing.T) {
	for _, how := range []string{"deploy shop", "rollback shop", "config shop LOG_LEVEL"} {
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
			if got := c.do(how); !strings.HasPrefix(got, "shop v13: ") {
				t.Errorf("%s: got %s", how, got)
			}
			time.Sleep(10 * time.Second)
			if r := c.must("PATCH", "/apps/shop/formation/web", `{"quantity":3}`); r.status != 422 {
				t.Errorf("%s: got %d, want a locked formation", how, r.status)
			}
			// Turning preboot off restarts nothing, and lifts the lock.
			c.must("PATCH", "/apps/shop/features/preboot", `{"enabled":false}`)
			if r := c.must("PATCH", "/apps/shop/formation/web", `{"quantity":3}`); r.status != 200 {
				t.Errorf("%s: without preboot got %d %s", how, r.status, r.text)
			}
		})
	}
}

func TestWithoutPrebootADeployInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp+"app bare team=acme web=2\n")})
		if got := c.serving("bare"); got[12] != 2 {
			t.Fatalf("before: got %v", got)
		}
		c.do("deploy bare")
		time.Sleep(3 * time.Second)
		if got := c.serving("bare"); got[12] != 0 || got[13] != 0 {
			t.Errorf("in the boot nothing serves: got %v", got)
		}
		if r := c.must("PATCH", "/apps/bare/formation/web", `{"quantity":3}`); r.status != 200 {
			t.Errorf("no lock without preboot: got %d %s", r.status, r.text)
		}
		time.Sleep(5 * time.Second)
		if got := c.serving("bare"); got[13] != 3 {
			t.Errorf("after the boot: got %v", got)
		}
	})
}

func TestSpacesRollInQuarters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "team acme\nspace atlas team=acme\napp rolls space=atlas web=4 size=private-s\n")})
		c.do("deploy rolls")
		for range 30 {
			time.Sleep(time.Second)
			if got := c.serving("rolls"); got[12]+got[13] < 3 {
				t.Fatalf("fewer than three serve: %v", got)
			}
		}
		if got := c.serving("rolls"); got[13] != 4 {
			t.Errorf("at the end: got %v", got)
		}
	})
}

func TestResizeAndScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
		c.must("PATCH", "/apps/shop/formation/web", `{"quantity":3}`)
		if got, want := c.dynosOf("shop", "web"), "web.1 up v12, web.2 up v12, web.3 starting v12"; got != want {
			t.Errorf("scaled up: got %s, want %s", got, want)
		}
		time.Sleep(5 * time.Second)
		c.must("PATCH", "/apps/shop/formation/web", `{"quantity":1}`)
		if got, want := c.dynosOf("shop", "web"), "web.1 up v12"; got != want {
			t.Errorf("scaled down: got %s, want %s", got, want)
		}
		// Preboot is on, and does not help a resize.
		c.must("PATCH", "/apps/shop/formation/web", `{"size":"standard-2x"}`)
		if got, want := c.dynosOf("shop", "web"), "web.1 starting v12"; got != want {
			t.Errorf("resized: got %s, want %s", got, want)
		}
		if got := c.serving("shop"); len(got) != 0 {
			t.Errorf("a resize interrupts: got %v", got)
		}
		if got, want := c.dynosOf("shop", "worker"), "worker.1 up v12"; got != want {
			t.Errorf("another type: got %s, want %s", got, want)
		}
		c.must("PATCH", "/apps/shop/features/http-session-affinity", `{"enabled":true}`)
		time.Sleep(5 * time.Second)
		if got := c.serving("shop"); got[12] != 1 {
			t.Errorf("a feature restarts nothing: got %v", got)
		}
	})
}

// TestFeatureTimes: updated_at is when this app's switch was last moved, by whomever.
func TestFeatureTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app shop affinity=on preboot=off\n")})
		ages := func() string { // since the last switch: of affinity, preboot
			var out []string
			for _, name := range []string{"http-session-affinity", "preboot"} {
				var f platform.AppFeature
				c.get("/apps/shop/features/"+name).decode(t, &f)
				age := "never"
				if time.Since(f.UpdatedAt) < 1000*time.Hour {
					age = time.Since(f.UpdatedAt).String()
				}
				out = append(out, age)
			}
			return strings.Join(out, ", ")
		}
		patch := func(name, enabled string) func() {
			return func() { c.must("PATCH", "/apps/shop/features/"+name, `{"enabled":`+enabled+`}`) }
		}
		for _, step := range []struct {
			what string
			do   func()
			want string
		}{
			{"at first", func() {}, "50h0m0s, never"},
			{"preboot on", patch("preboot", "true"), "50h0m0s, 0s"},
			{"a minute later", func() { time.Sleep(time.Minute) }, "50h1m0s, 1m0s"},
			{"affinity on again", patch("http-session-affinity", "true"), "50h1m0s, 1m0s"},
			{"affinity off", patch("http-session-affinity", "false"), "0s, 1m0s"},
			{"preboot on behind the back, which it is", func() { c.do("set shop preboot=on") }, "0s, 1m0s"},
			{"preboot off behind the back", func() { c.do("set shop preboot=off") }, "0s, 0s"},
		} {
			step.do()
			if got := ages(); got != step.want {
				t.Errorf("%s: got %s, want %s", step.what, got, step.want)
			}
		}
	})
}

func TestCrashAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app bare web=2\n")})
		c.do("crash bare web.2")
		if got, want := c.dynosOf("bare", "web"), "web.1 up v12, web.2 crashed v12"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(21 * time.Minute)
		if got, want := c.dynosOf("bare", "web"), "web.1 up v12, web.2 up v12"; got != want {
			t.Errorf("after the cool-down: got %s, want %s", got, want)
		}
		if r := c.must("DELETE", "/apps/bare/dynos/web.1", ""); r.status != 202 {
			t.Errorf("restart one: got %d %s", r.status, r.text)
		}
		if got, want := c.dynosOf("bare", "web"), "web.1 starting v12, web.2 up v12"; got != want {
			t.Errorf("restarted one: got %s, want %s", got, want)
		}
		time.Sleep(time.Minute)
		c.must("DELETE", "/apps/bare/dynos", "")
		if got, want := c.dynosOf("bare", "web"), "web.1 starting v12, web.2 starting v12"; got != want {
			t.Errorf("restarted all: got %s, want %s", got, want)
		}
		// A release that never comes up: the API says succeeded all the same.
		time.Sleep(time.Minute)
		c.do("set bare boots=crash")
		c.do("deploy bare")
		time.Sleep(time.Minute)
		if got, want := c.dynosOf("bare", "web"), "web.1 crashed v13, web.2 crashed v13"; got != want {
			t.Errorf("a release that crashes: got %s, want %s", got, want)
		}
	})
}

func TestAutoscalersUndo(t *testing.T) {
	for _, kind := range []string{"autoscaler", "scaler"} {
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, simheroku.Options{Fleet: fleet(t, "app busy web=2 size=performance-m "+kind+"=1..5\n")})
			time.Sleep(time.Hour)
			c.must("PATCH", "/apps/busy/formation/web", `{"quantity":4}`)
			time.Sleep(59 * time.Second)
			if got := c.summary("busy"); !strings.HasPrefix(got, "busy web=4 ") {
				t.Errorf("%s: got %s", kind, got)
			}
			time.Sleep(time.Second)
			if got := c.summary("busy"); !strings.HasPrefix(got, "busy web=2 ") {
				t.Errorf("%s, a minute later: got %s", kind, got)
			}
			c.do("set busy load=9")
			time.Sleep(time.Minute)
			if got := c.summary("busy"); !strings.HasPrefix(got, "busy web=5 ") {
				t.Errorf("%s under load: got %s", kind, got)
			}
			c.do("set busy " + kind + "=off")
			c.must("PATCH", "/apps/busy/formation/web", `{"quantity":3}`)
			time.Sleep(time.Hour)
			if got := c.summary("busy"); !strings.HasPrefix(got, "busy web=3 ") {
				t.Errorf("%s off: got %s", kind, got)
			}
		})
	}
}

func TestReleasesByVersion(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
	h := c.heroku(simheroku.DefaultToken)
	rolled, err := h.ReleaseRollback(t.Context(), "shop", platform.ReleaseRollbackOpts{Release: "v11"})
	if err != nil || rolled.Version != 13 || rolled.Description != "Rollback to v11" {
		t.Fatalf("rollback: got %+v, %v", rolled, err)
	}
	for _, name := range []string{"13", "v13", rolled.ID} {
		if r, err := h.ReleaseInfo(t.Context(), "shop", name); err != nil || r.ID != rolled.ID {
			t.Errorf("release %s: got %+v, %v", name, r, err)
		}
	}
	var versions []int
	var rs []platform.Release
	c.get("/apps/shop/releases", "Range: version ..; max=3, order=desc").decode(t, &rs)
	for _, r := range rs {
		versions = append(versions, r.Version)
	}
	if !slices.Equal(versions, []int{13, 12, 11}) {
		t.Errorf("newest three: got %v", versions)
	}
}

func TestAnAppMadeAgainIsAnother(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
	id := func(name string) string {
		var a struct{ ID string }
		if err := json.Unmarshal([]byte(c.get("/apps/"+name).text), &a); err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	first := id("shop")
	c.do("rename shop store")
	if got := id("store"); got != first {
		t.Errorf("renamed: got id %s, want %s", got, first)
	}
	if r := c.get("/apps/shop"); r.status != 404 {
		t.Errorf("the old name: got %d", r.status)
	}
	c.do("delete store")
	c.do("create store team=acme web=1")
	if got := id("store"); got == first || got == "" {
		t.Errorf("made again: got the same id %s", got)
	}
	if r := c.get("/apps/" + first); r.status != 404 || r.errorID() != "not_found" {
		t.Errorf("the old id: got %d %s", r.status, r.text)
	}
}
