package heroku_test

import (
	"context"
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

// rollFleet has one app for each thing that lists tell.
const rollFleet = `
team acme
team data
space atlas team=data
space vault team=data shield
app alpha   team=acme web=1 pipeline=shop:production addons=heroku-postgresql:standard-0,judoscale:small
app bravo   team=acme web=1 pipeline=shop:staging
app charlie space=atlas web=1 size=private-s
app delta   web=1
app echo    space=vault web=1 size=private-s
app hidden  team=data web=1 access=forbidden pipeline=shop:production
`

func loaded(t testing.TB, text string) simheroku.Fleet {
	t.Helper()
	f, err := simheroku.LoadFleet(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// refusing answers some paths itself, and leaves the others to the next.
func refusing(next http.Handler, status int, body string, paths ...string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !slices.Contains(paths, r.URL.Path) {
			next.ServeHTTP(rw, r)
			return
		}
		rw.WriteHeader(status)
		fmt.Fprint(rw, body)
	})
}

const (
	forbidden = `{"id":"forbidden","message":"You do not have access to that."}`
	notFound  = `{"id":"not_found","message":"Couldn't find that."}`
)

// shown is what the lists told of an app, in a line.
func shown(a fleet.App) string {
	s := []string{a.Name, "team=" + a.Team}
	if a.Space != nil {
		s = append(s, "space="+a.Space.Name+" shield="+said(a.Space.Shield))
	}
	switch at, known := a.Pipeline.Get(); {
	case !known:
		s = append(s, "pipeline=?"+a.Pipeline.Why().Text)
	case at.Stage != "":
		s = append(s, "pipeline="+said(at.Name)+":"+at.Stage)
	}
	addons, known := a.AddOns.Get()
	if !known {
		s = append(s, "add-ons=?"+a.AddOns.Why().Text)
	}
	for _, x := range addons {
		s = append(s, "add-on="+x.Plan)
	}
	if !a.Sizes.IsKnown() {
		s = append(s, "sizes=?"+a.Sizes.Why().Text)
	}
	if a.Formation.IsKnown() || a.Features.IsKnown() || a.Autoscaler.IsKnown() || a.ReadAt.IsZero() {
		s = append(s, "and what no list tells")
	}
	return strings.Join(s, " ")
}

func sum(counts map[string]int) int {
	total := 0
	for pattern, n := range counts {
		if pattern != "GET /account/rate-limits" {
			total += n
		}
	}
	return total
}

func TestReadRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, rollFleet), Latency: 100 * time.Millisecond}, heroku.Config{})
		for _, tt := range []struct {
			what   string
			filter fleet.Filter
			want   []string
			calls  []string
			took   time.Duration
		}{
			{
				what: "everything",
				want: []string{
					"alpha team=acme pipeline=shop:production add-on=heroku-postgresql:standard-0 add-on=judoscale:small",
					"bravo team=acme pipeline=shop:staging",
					"charlie team=data space=atlas shield=false",
					"delta team=",
					"echo team=data space=vault shield=true",
					"hidden team=data pipeline=?the account has not joined the app add-ons=?the account has not joined the app",
				},
				calls: []string{"/addons", "/apps", "/dyno-sizes", "/pipeline-couplings", "/teams", "/teams/acme/apps", "/teams/data/apps"},
				took:  300 * time.Millisecond, // what is left, the teams, their apps
			},
			{
				what:   "a team whose list tells nothing of Shield",
				filter: fleet.Filter{Teams: []string{"data"}},
				want: []string{
					"charlie team=data space=atlas shield=false",
					"echo team=data space=vault shield=true",
					"hidden team=data pipeline=?the account has not joined the app add-ons=?the account has not joined the app",
				},
				calls: []string{"/addons", "/pipeline-couplings", "/spaces", "/teams/data/apps"}, // the sizes are still known
				took:  300 * time.Millisecond,
			},
			{
				what:   "a space and the personal apps",
				filter: fleet.Filter{Spaces: []string{"vault"}, Personal: true},
				want:   []string{"delta team=", "echo team=data space=vault shield=true"},
				calls:  []string{"/addons", "/apps", "/pipeline-couplings", "/teams", "/teams/acme/apps", "/teams/data/apps", "/users/~/apps"},
				took:   300 * time.Millisecond,
			},
		} {
			sim.ResetCalls()
			began := time.Now()
			roll, err := c.ReadRoll(t.Context(), tt.filter)
			if err != nil {
				t.Fatalf("%s: %v", tt.what, err)
			}
			if took := time.Since(began); took != tt.took {
				t.Errorf("%s: took %v, want %v", tt.what, took, tt.took)
			}
			var got, calls []string
			for _, app := range roll.Apps {
				got = append(got, shown(app))
			}
			for _, call := range sim.Calls() {
				if call.Path != "/account/rate-limits" {
					calls = append(calls, call.Path)
				}
			}
			slices.Sort(calls)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: got\n%s\nwant\n%s", tt.what, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if !slices.Equal(calls, tt.calls) || roll.Calls != len(calls) {
				t.Errorf("%s: got %d calls, %q, want %q", tt.what, roll.Calls, calls, tt.calls)
			}
			if len(roll.Gaps) > 0 || !roll.ReadAt.Equal(began) {
				t.Errorf("%s: got gaps %v, read at %v, want none, %v", tt.what, roll.Gaps, roll.ReadAt, began)
			}
		}
	})
}

// Each list goes on over all its pages, and every app finds its own in them.
func TestRollOfManyPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		fmt.Fprintln(&text, "team acme")
		for i := range 2345 {
			fmt.Fprintf(&text, "app app-%04d team=acme web=1 size=basic pipeline=p-%d:production addons=heroku-postgresql:essential-%d\n", i, i/3, i%3)
		}
		c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, text.String())}, heroku.Config{})
		roll, err := c.ReadRoll(t.Context(), fleet.Filter{Teams: []string{"acme"}})
		if err != nil {
			t.Fatal(err)
		}
		for i, app := range roll.Apps {
			want := fmt.Sprintf("app-%04d team=acme pipeline=p-%d:production add-on=heroku-postgresql:essential-%d", i, i/3, i%3)
			if got := shown(app); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		if got, want := len(roll.Apps), 2345; got != want {
			t.Errorf("got %d apps, want %d", got, want)
		}
		counts := sim.CallCounts()
		for _, list := range []string{"GET /teams/{team}/apps", "GET /pipeline-couplings", "GET /addons"} {
			if counts[list] != 3 {
				t.Errorf("%s: got %d pages, want 3", list, counts[list])
			}
		}
		if got, want := roll.Calls, sum(counts); got != want || got != 10 {
			t.Errorf("got %d calls, want %d", got, want)
		}
	})
}

// A list that can't be read is the reason of what it would have told; the rest is known.
func TestRollWithoutAList(t *testing.T) {
	const (
		alpha = "alpha team=acme"
		echo  = "echo team=data space=vault"
	)
	for name, tt := range map[string]struct {
		path   string
		status int
		body   string
		filter fleet.Filter
		want   map[string]string // by the app's name
		gaps   string
		apps   int
	}{
		"couplings forbidden": {
			path: "/pipeline-couplings", status: 403, body: forbidden, apps: 6,
			want: map[string]string{
				"alpha": alpha + " pipeline=?this token may not read it add-on=heroku-postgresql:standard-0 add-on=judoscale:small",
				"delta": "delta team= pipeline=?this token may not read it",
			},
		},
		"couplings not known to the server": {
			path: "/pipeline-couplings", status: 404, body: notFound, apps: 6,
			want: map[string]string{"delta": "delta team= pipeline=?Heroku does not show it to this token"},
		},
		"couplings of another form": {
			path: "/pipeline-couplings", status: 200, body: `[{"app":{"id":"` + newID + `"},"stage":"production"}]`, apps: 6,
			want: map[string]string{"delta": "delta team= pipeline=?Heroku's answer has a form that this version of zdd does not know"},
		},
		"add-ons forbidden": {
			path: "/addons", status: 403, body: forbidden, apps: 6,
			want: map[string]string{"alpha": alpha + " pipeline=shop:production add-ons=?this token may not read it"},
		},
		"sizes gone": {
			path: "/dyno-sizes", status: 404, body: notFound, apps: 6,
			want: map[string]string{"delta": "delta team= sizes=?Heroku does not show it to this token"},
		},
		"spaces not known to the server": {
			path: "/spaces", status: 404, body: notFound, filter: fleet.Filter{Teams: []string{"data"}}, apps: 3,
			want: map[string]string{"echo": echo + " shield=?Heroku's list of apps does not tell whether the space is a Shield Space"},
		},
		"spaces forbidden": {
			path: "/spaces", status: 403, body: forbidden, filter: fleet.Filter{Teams: []string{"data"}}, apps: 3,
			want: map[string]string{"echo": echo + " shield=?this token may not read it"},
		},
		"a team forbidden": {
			path: "/teams/data/apps", status: 403, body: forbidden, apps: 5,
			want: map[string]string{"echo": echo + " shield=true"}, // /apps has it too
			gaps: "the apps of team data could not all be listed: this token may not read it",
		},
		"the teams forbidden": {
			path: "/teams", status: 403, body: forbidden, apps: 5,
			gaps: "the apps of teams that the account has not joined could not all be listed: this token may not read it",
		},
		"a server without teams": {path: "/teams", status: 404, body: notFound, apps: 5},
		"all apps unavailable": {
			path: "/apps", status: 503, body: `{"message":"Try again later."}`, apps: 5, // by the teams' lists
			gaps: "the apps could not all be listed: Heroku did not answer (Try again later.)",
		},
		"an app of another form": {
			path: "/teams/acme/apps", status: 200, body: `[{"name":"nobody"},{"id":"` + newID + `","name":"somebody"},{"id":"","name":""}]`, apps: 7,
			gaps: "the apps of team acme could not all be listed: Heroku's answer has a form that this version of zdd does not know",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simheroku.New(simheroku.Options{Fleet: loaded(t, rollFleet)})
				defer sim.Close()
				c := client(t, refusing(sim, tt.status, tt.body, tt.path), heroku.Config{})
				roll, err := c.ReadRoll(heroku.Background(t.Context()), tt.filter)
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]string{}
				for _, app := range roll.Apps {
					got[app.Name] = shown(app)
				}
				for app, want := range tt.want {
					if got[app] != want {
						t.Errorf("got %q, want %q", got[app], want)
					}
				}
				var gaps []string
				for _, g := range roll.Gaps {
					gaps = append(gaps, g.String())
				}
				if strings.Join(gaps, "; ") != tt.gaps || len(roll.Apps) != tt.apps {
					t.Errorf("got %d apps, gaps %q, want %d, %q", len(roll.Apps), gaps, tt.apps, tt.gaps)
				}
			})
		})
	}
}

// A coupling list that breaks off still tells the stages that it told.
func TestRollOfHalfACouplingList(t *testing.T) {
	const otherID = "33333333-3333-4333-8333-333333333333"
	c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/apps":
			fmt.Fprint(rw, `[{"id":"`+newID+`","name":"alpha"},{"id":"`+otherID+`","name":"bravo"}]`)
		case "/pipeline-couplings":
			rw.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(rw, `[{"app":{"id":"`+newID+`"},"pipeline":{"id":"44444444-4444-4444-8444-444444444444"},"stage":"review"}]`)
		case "/pipelines":
			fmt.Fprint(rw, `[{"id":"44444444-4444-4444-8444-444444444444","name":"shop"}]`)
		case "/addons", "/dyno-sizes":
			fmt.Fprint(rw, `[]`)
		default:
			http.NotFound(rw, r)
		}
	}), heroku.Config{})
	roll, err := c.ReadRoll(t.Context(), fleet.Filter{})
	if err != nil || len(roll.Apps) != 2 {
		t.Fatalf("got %+v %v", roll, err)
	}
	for i, want := range []string{"alpha team= pipeline=shop:review", "bravo team= pipeline=?Heroku did not answer (the list says that it goes on, and not where)"} {
		if got := shown(roll.Apps[i]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A server that does not let its lists be ranged over as we ask is asked as it likes.
func TestRollOfUnrangedLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simheroku.New(simheroku.Options{Fleet: loaded(t, rollFleet)})
		defer sim.Close()
		c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				rw.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				fmt.Fprint(rw, `{"id":"requested_range_not_satisfiable","message":"Invalid Range."}`)
				return
			}
			sim.ServeHTTP(rw, r)
		}), heroku.Config{})
		roll, err := c.ReadRoll(t.Context(), fleet.Filter{})
		if err != nil || len(roll.Apps) != 6 || len(roll.Gaps) > 0 {
			t.Errorf("got %d apps, gaps %v, %v, want 6", len(roll.Apps), roll.Gaps, err)
		}
	})
}

// What is wrong with the account is no roll with holes in it: the caller comes again.
func TestRollThatFails(t *testing.T) {
	for name, tt := range map[string]struct {
		breaks []string // control commands
		want   fleet.Kind
		later  bool // it is told when to come again
	}{
		"token revoked":             {[]string{"revoke-token"}, fleet.Unauthorized, false},
		"nothing left":              {[]string{"bucket 10"}, fleet.RateLimited, true},
		"nothing left in the midst": {[]string{"fault GET /pipeline-couplings 429"}, fleet.RateLimited, true},
		"all lists down":            {[]string{"fault GET /apps 503json", "fault GET /teams 503json"}, fleet.Unavailable, false},
		"everything hangs":          {[]string{"fault GET /** hang"}, fleet.Unavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := simulated(t, simheroku.Options{Fleet: loaded(t, rollFleet)}, heroku.Config{})
				for _, line := range tt.breaks {
					do(t, sim, line)
				}
				ctx, cancel := context.WithTimeout(heroku.Background(t.Context()), time.Minute)
				defer cancel()
				roll, err := c.ReadRoll(ctx, fleet.Filter{})
				p, _ := errors.AsType[*fleet.Problem](err)
				if p == nil || p.Kind != tt.want || (p.RetryAfter > 0) != tt.later || len(roll.Apps) > 0 {
					t.Errorf("got %d apps, %+v, want %s", len(roll.Apps), err, tt.want)
				}
			})
		})
	}
}
