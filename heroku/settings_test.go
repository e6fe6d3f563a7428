package heroku_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	simheroku "example.com/zdd/sim/heroku"
)

const settingsFleet = `
team acme
space atlas team=acme
space grove team=acme generation=fir
app plain   team=acme web=2 size=standard-1x preboot=on buildpacks=heroku/ruby
app tiny    team=acme web=1 size=basic
app large   team=acme web=2 size=performance-m affinity=on autoscaler=2..6 alert=on
app inside  space=atlas web=2 size=private-s
app leaf    space=grove web=2 size=dyno-1c-0.5gb buildpacks=heroku/go
app workers team=acme worker=1 size=performance-m
app virgin  team=acme releases=never
app strange team=acme web=1 size=standard-1x buildpacks=heroku/java description=none
`

// whatMatters is what a scan asks for: no more than the formation calls for.
func whatMatters() fleet.Parts {
	return fleet.Parts{
		Features: func(a fleet.App) bool {
			web, _ := a.Web()
			size, _ := a.WebSize()
			return !a.InSpace() && web.Quantity > 0 && size.SupportsPreboot()
		},
		Autoscaler: func(a fleet.App) bool {
			web, _ := a.Web()
			return web.Quantity > 0
		},
		Buildpacks: func(a fleet.App) bool { return a.Runtime == "" },
	}
}

// settingsOf is what was read of an app, in a line.
func settingsOf(a fleet.App) string {
	var s []string
	web, hasWeb := a.Web()
	switch {
	case !a.Formation.IsKnown():
		s = append(s, "formation=?"+string(a.Formation.Why().Kind))
	case hasWeb:
		s = append(s, fmt.Sprintf("web=%d:%s", web.Quantity, strings.ToLower(web.Size)))
	default:
		s = append(s, "no web")
	}
	if preboot, known := a.Feature(fleet.Preboot); known {
		affinity, _ := a.Feature(fleet.SessionAffinity)
		s = append(s, fmt.Sprintf("preboot=%v affinity=%v", preboot, affinity))
	} else if a.Features.Why().Text != "not read" {
		s = append(s, "features=?"+string(a.Features.Why().Kind))
	}
	if scaler, known := a.Autoscaler.Get(); known && scaler.Active {
		s = append(s, fmt.Sprintf("scales=%d..%d", scaler.Min, scaler.Max))
	} else if !known {
		s = append(s, "scales=?"+a.Autoscaler.Why().Text)
	}
	if packs, known := a.Buildpacks.Get(); known {
		s = append(s, "buildpacks="+strings.Join(packs, ","))
	}
	if a.Generation == fleet.Fir {
		s = append(s, "fir")
	}
	return strings.Join(s, " ")
}

func rolled(t testing.TB, ctx context.Context, c *heroku.Client) map[string]fleet.App {
	t.Helper()
	roll, err := c.ReadRoll(ctx, fleet.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]fleet.App{}
	for _, app := range roll.Apps {
		out[app.Name] = app
	}
	return out
}

func TestReadSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, settingsFleet), Latency: 100 * time.Millisecond}, heroku.Config{})
		ctx := heroku.Background(t.Context())
		apps := rolled(t, ctx, c)
		const formation, features, monitors, buildpacks = "/formation", "/features", "/formation/web/monitors", "/buildpack-installations"
		for name, tt := range map[string]struct {
			want  string
			calls []string
		}{
			"plain":   {"web=2:standard-1x preboot=true affinity=false", []string{formation, features}},
			"tiny":    {"web=1:basic", []string{formation}},
			"large":   {"web=2:performance-m preboot=false affinity=true scales=2..6", []string{formation, features, monitors}},
			"inside":  {"web=2:private-s", []string{formation, monitors}},
			"leaf":    {"web=2:dyno-1c-0.5gb fir", []string{formation}},
			"workers": {"no web", []string{formation}},
			"virgin":  {"no web", []string{formation}},
			"strange": {"web=1:standard-1x preboot=false affinity=false buildpacks=heroku/java", []string{buildpacks, features, formation}},
		} {
			sim.ResetCalls()
			began := time.Now()
			app, calls, err := c.ReadSettings(ctx, apps[name], whatMatters())
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := settingsOf(app); got != tt.want {
				t.Errorf("%s: got %q, want %q", name, got, tt.want)
			}
			var paths []string
			for _, call := range sim.Calls() {
				paths = append(paths, strings.TrimPrefix(call.Path, "/apps/"+string(app.ID)))
			}
			slices.Sort(paths)
			slices.Sort(tt.calls)
			if !slices.Equal(paths, tt.calls) || calls != len(paths) {
				t.Errorf("%s: got %d calls, %q, want %q", name, calls, paths, tt.calls)
			}
			if took, most := time.Since(began), 200*time.Millisecond; took > most { // what the formation calls for is read side by side
				t.Errorf("%s: took %v, want at most %v", name, took, most)
			}
			if !app.ReadAt.Equal(began) || !app.Sizes.IsKnown() || !app.Pipeline.IsKnown() {
				t.Errorf("%s: got read at %v, sizes %s, want what the roll told, and the time", name, app.ReadAt, said(app.Pipeline))
			}
		}
		sim.ResetCalls()
		app, calls, err := c.ReadSettings(ctx, apps["large"], fleet.Parts{})
		if got, want := settingsOf(app), "web=2:performance-m scales=?not read"; err != nil || calls != 1 || got != want {
			t.Errorf("nothing asked for: got %q with %d calls, %v, want %q with 1", got, calls, err, want)
		}
	})
}

// An app that Heroku does not show costs one call, and is nobody else's trouble; what is
// wrong with one part of it is that part's.
func TestReadSettingsOfAnAppOutOfReach(t *testing.T) {
	for line, want := range map[string]string{
		"two-factor large on":                           "formation=?two-factor features=?two-factor scales=?it is protected by two-factor authentication",
		"suspend large":                                 "formation=?suspended features=?suspended scales=?the app is suspended",
		"forbid large on":                               "formation=?forbidden features=?forbidden scales=?this token may not read it",
		"set large access=delinquent":                   "formation=?delinquent features=?delinquent scales=?the account has unpaid bills",
		"delete large":                                  "formation=?not-found features=?not-found scales=?Heroku does not show it to this token",
		"fault GET /apps/*/formation hang":              "formation=?unavailable features=?unavailable scales=?Heroku did not answer (timed out)",
		"fault GET /apps/*/features hang":               "web=2:performance-m features=?unavailable scales=2..6",
		"fault GET /apps/*/features 503html":            "web=2:performance-m features=?unavailable scales=2..6",
		"fault GET /apps/*/formation/web/monitors hang": "web=2:performance-m preboot=false affinity=true scales=?Heroku did not answer (timed out)",
	} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, settingsFleet)}, heroku.Config{})
				ctx := heroku.Background(t.Context())
				large := rolled(t, ctx, c)["large"]
				do(t, sim, line)
				sim.ResetCalls()
				began := time.Now()
				app, calls, err := c.ReadSettings(ctx, large, whatMatters())
				if got := settingsOf(app); got != want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				if got := sum(sim.CallCounts()); calls != got || strings.HasPrefix(want, "formation=?") && got != 1 {
					t.Errorf("got %d calls, want %d", calls, got)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("took %v, want no more than one time-out", took)
				}
			})
		})
	}
}

// What is wrong with the account is an error: nothing of the app may be judged.
func TestReadSettingsThatFails(t *testing.T) {
	for name, tt := range map[string]struct {
		line string
		want fleet.Kind
	}{
		"token revoked":        {"revoke-token", fleet.Unauthorized},
		"used up by others":    {"bucket 0", fleet.RateLimited},
		"429 for the features": {"fault GET /apps/*/features 429", fleet.RateLimited},
		"everything hangs":     {"fault GET /** hang", fleet.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, settingsFleet)}, heroku.Config{})
				ctx, cancel := context.WithTimeout(heroku.Background(t.Context()), 4*time.Second)
				defer cancel()
				large := rolled(t, ctx, c)["large"]
				do(t, sim, tt.line)
				app, _, err := c.ReadSettings(ctx, large, whatMatters())
				p, _ := errors.AsType[*fleet.Problem](err)
				if p == nil || p.Kind != tt.want || (p.RetryAfter > time.Minute) != (tt.want == fleet.RateLimited) {
					t.Errorf("got %+v, want %s", err, tt.want)
				}
				if on, known := app.Feature(fleet.Preboot); known {
					t.Errorf("got preboot %v, want it unknown", on)
				}
			})
		})
	}
}

func TestReadReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, "app shop web=1 releases=1500\n")}, heroku.Config{})
		shop := rolled(t, t.Context(), c)["shop"]
		began := time.Now()
		for _, line := range []string{"deploy shop by kim@acme.example First", "deploy shop by lee@acme.example Second", "config shop KEY", "deploy shop by kim@acme.example Last"} {
			time.Sleep(time.Hour)
			do(t, sim, line)
		}
		at := func(hours float64) time.Time { return began.Add(time.Duration(hours * float64(time.Hour))) }
		for _, tt := range []struct {
			after, before time.Time
			want          []string
		}{
			{at(1.5), at(3.5), []string{"v1502 Second lee@acme.example", "v1503 Set KEY config vars ops@acme.example"}},
			{at(1), at(2), []string{"v1502 Second lee@acme.example"}}, // made at after: not after it
			{at(3.5), at(9), []string{"v1504 Last kim@acme.example"}},
			{at(5), at(9), nil},
		} {
			sim.ResetCalls()
			releases, err := c.ReadReleases(t.Context(), shop.ID, tt.after, tt.before)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range releases {
				got = append(got, fmt.Sprintf("v%d %s %s", x.Version, x.Description, x.By))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := sum(sim.CallCounts()); got != 1 {
				t.Errorf("got %d calls, want 1: the newest page goes back far enough", got)
			}
		}
		all, err := c.ReadReleases(t.Context(), shop.ID, time.Time{}, at(9))
		if err != nil || len(all) != 1504 || all[0].Version != 1 {
			t.Errorf("got %d releases, %v, want all 1504", len(all), err)
		}
		if _, err := c.ReadReleases(t.Context(), "../account", time.Time{}, at(9)); err == nil {
			t.Error("a path for an id: got no error")
		}
	})
}

// TestGlance is what a watch of a deploy asks for, each at one call.
func TestGlance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, "app shop web=2 worker=1\napp blog web=1\n")}, heroku.Config{})
		shop := rolled(t, t.Context(), c)["shop"]
		sim.ResetCalls()
		for _, want := range []bool{false, true} {
			got, err := c.ReadGlance(t.Context(), shop.ID)
			if err != nil || got.ID != shop.ID || got.Name != "shop" || got.Maintenance != want || !got.ReleasedAt.Equal(shop.ReleasedAt) || got.Formation.IsKnown() {
				t.Errorf("got %+v, %v, want the shop with maintenance %t", got, err, want)
			}
			do(t, sim, "set shop maintenance=on")
		}
		dynos, err := c.ReadDynos(t.Context(), shop.ID)
		var names []string
		for _, d := range dynos {
			names = append(names, d.Name+" "+d.Type)
		}
		if slices.Sort(names); err != nil || !slices.Equal(names, []string{"web.1 web", "web.2 web", "worker.1 worker"}) {
			t.Errorf("got dynos %q, %v", names, err)
		}
		if got := sum(sim.CallCounts()); got != 3 {
			t.Errorf("got %d calls, want 3", got)
		}
		do(t, sim, "set shop domains=Shop.Acme.example,*.shop.example")
		sim.ResetCalls()
		hosts, err := c.ReadDomains(t.Context(), shop.ID)
		slices.SortFunc(hosts, func(a, b string) int { return len(a) - len(b) })
		if err != nil || len(hosts) != 3 || !slices.Equal(hosts[:2], []string{"*.shop.example", "shop.acme.example"}) || !strings.HasSuffix(hosts[2], ".herokuapp.com") || sum(sim.CallCounts()) != 1 {
			t.Errorf("got domains %q, %v, in %d calls", hosts, err, sum(sim.CallCounts()))
		}
		sim.ResetCalls()
		apps, calls, err := c.ListApps(t.Context(), fleet.Filter{})
		if err != nil || len(apps) != 2 || calls != sum(sim.CallCounts()) || calls < 1 {
			t.Errorf("got %d apps in %d calls, %v, want 2 in %d", len(apps), calls, err, sum(sim.CallCounts()))
		}
		for name, read := range map[string]func(fleet.ID) error{
			"glance":  func(id fleet.ID) error { _, err := c.ReadGlance(t.Context(), id); return err },
			"dynos":   func(id fleet.ID) error { _, err := c.ReadDynos(t.Context(), id); return err },
			"domains": func(id fleet.ID) error { _, err := c.ReadDomains(t.Context(), id); return err },
		} {
			for id, want := range map[fleet.ID]fleet.Kind{"01234567-0000-4000-8000-000000000000": fleet.NotFound, "../account": fleet.Refused} {
				if p, ok := errors.AsType[*fleet.Problem](read(id)); !ok || p.Kind != want {
					t.Errorf("%s of %s: got %v, want %s", name, id, p, want)
				}
			}
		}
	})
}
