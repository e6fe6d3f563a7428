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

func names(t *testing.T, c *heroku.Client, filter fleet.Filter) []string {
	t.Helper()
	var out []string
	for app, err := range c.ReadApps(t.Context(), filter) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, app.Name)
	}
	slices.Sort(out)
	return out
}

// heroku-go alone stops at 200; Heroku itself gives at most 1000 a page.
func TestNoAppIsMissed(t *testing.T) {
	for _, n := range []int{199, 200, 201, 260, 1000, 1001, 2345} {
		synctest.Test(t, func(t *testing.T) {
			c, sim := simulated(t, simheroku.Options{Fleet: simheroku.GenerateFleet(n, 1)}, heroku.Config{})
			for what, filter := range map[string]fleet.Filter{"the team": {Teams: []string{"acme"}}, "all": {}} {
				got := names(t, c, filter)
				if len(got) != n || len(slices.Compact(got)) != n {
					t.Errorf("%d apps, of %s: got %d", n, what, len(got))
				}
			}
			sim.ResetCalls()
			_ = names(t, c, fleet.Filter{Teams: []string{"acme"}})
			if got, want := sim.CallCounts()["GET /teams/{team}/apps"], (n+999)/1000; got != want {
				t.Errorf("%d apps: got %d pages, want %d", n, got, want)
			}
		})
	}
}

// Servers that give fewer a page than was asked for, and lists of one app that are
// longer than a page.
func TestSmallPages(t *testing.T) {
	var ranges []string
	c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/apps/shop":
			fmt.Fprint(rw, `{"id":"`+newID+`","name":"shop"}`)
		case "/apps/shop/dynos":
			asked := r.Header.Get("Range")
			ranges = append(ranges, asked)
			n := len(ranges)
			if n < 3 {
				rw.Header().Set("Next-Range", fmt.Sprintf("id ]%d..; max=2", n))
				rw.WriteHeader(http.StatusPartialContent)
			}
			fmt.Fprintf(rw, `[{"name":"web.%d","type":"web","state":"up"},{"name":"web.%d","type":"web","state":"up"}]`, 2*n-1, 2*n)
		default:
			fmt.Fprint(rw, `[]`)
		}
	}), heroku.Config{})
	dynos, known := read(t, c, "shop").Dynos.Get()
	if !known || len(dynos) != 6 || dynos[5].Name != "web.6" {
		t.Errorf("got %+v, want 6", dynos)
	}
	if want := []string{"", "id ]1..; max=2", "id ]2..; max=2"}; !slices.Equal(ranges, want) {
		t.Errorf("ranges: got %q, want %q", ranges, want)
	}
}

// A list that says that it goes on, and then does not, is not taken for whole.
func TestListThatBreaksOff(t *testing.T) {
	for name, tt := range map[string]struct {
		next  func(call int) string
		calls int
	}{
		"no way on":            {func(int) string { return "" }, 1},
		"the same again":       {func(int) string { return "id ]1.." }, 2},
		"in a circle of two":   {func(call int) string { return []string{"id ]1..", "id ]2.."}[call%2] }, 3},
		"in a circle of seven": {func(call int) string { return fmt.Sprintf("id ]%d..", call%7) }, 8},
		"without an end":       {func(call int) string { return fmt.Sprintf("id ]%d..", call) }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if calls++; calls > 1000 {
					t.Error("asked for ever")
					rw.WriteHeader(http.StatusNotFound)
					return
				}
				if next := tt.next(calls); next != "" {
					rw.Header().Set("Next-Range", next)
				}
				rw.WriteHeader(http.StatusPartialContent)
				fmt.Fprint(rw, `[{"id":"`+newID+`","name":"shop"}]`)
			}), heroku.Config{})
			apps, problems := 0, 0
			for _, err := range c.ReadApps(t.Context(), fleet.Filter{Personal: true}) {
				if err != nil {
					problems++
					if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unavailable {
						t.Errorf("got %v", err)
					}
				} else {
					apps++
				}
			}
			if apps != 1 || problems != 1 || calls != tt.calls {
				t.Errorf("got %d apps and %d problems in %d calls, want one of each in %d", apps, problems, calls, tt.calls)
			}
		})
	}
}

// A list of one app's is shorter yet: one that goes in a circle must not spend what the
// account has.
func TestPartThatBreaksOff(t *testing.T) {
	for name, next := range map[string]func(call int) string{
		"in a circle":    func(call int) string { return fmt.Sprintf("name ]%d..", call%3) },
		"without an end": func(call int) string { return fmt.Sprintf("name ]%d..", call) },
	} {
		calls := 0
		c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/apps/shop/features" {
				answers(map[string]string{"/apps/shop": `{"id":"` + newID + `","name":"shop"}`}).ServeHTTP(rw, r)
				return
			}
			calls++
			rw.Header().Set("Next-Range", next(calls))
			rw.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(rw, `[{"name":"preboot","enabled":true}]`)
		}), heroku.Config{})
		if got := said(read(t, c, "shop").Features); !strings.HasPrefix(got, "?Heroku did not answer (the list ") || calls > 20 {
			t.Errorf("%s: got %s after %d calls, want unknown after 20 at most", name, got, calls)
		}
	}
}

func TestReadAppsFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := simheroku.LoadFleet(strings.NewReader(`
team acme
team data
space atlas team=data
app alpha team=acme web=1
app bravo team=data web=1
app charlie space=atlas web=1 size=private-s
app delta web=1
app hidden team=data web=1 access=forbidden
`))
		if err != nil {
			t.Fatal(err)
		}
		c, sim := simulated(t, simheroku.Options{Fleet: f}, heroku.Config{})
		for _, tt := range []struct {
			filter fleet.Filter
			want   string
		}{
			{fleet.Filter{}, "alpha bravo charlie delta hidden"}, // hidden: the team's list shows what the account has not joined
			{fleet.Filter{Teams: []string{"acme"}}, "alpha"},
			{fleet.Filter{Teams: []string{"Acme", "data"}}, "alpha bravo charlie hidden"},
			{fleet.Filter{Personal: true}, "delta"},
			{fleet.Filter{Spaces: []string{"atlas"}}, "charlie"},
			{fleet.Filter{Teams: []string{"acme"}, Spaces: []string{"atlas"}, Personal: true}, "alpha charlie delta"},
		} {
			if got := strings.Join(names(t, c, tt.filter), " "); got != tt.want {
				t.Errorf("%+v: got %q, want %q", tt.filter, got, tt.want)
			}
		}
		for app, err := range c.ReadApps(t.Context(), fleet.Filter{Spaces: []string{"atlas"}}) {
			if err != nil || app.Space == nil || app.Formation.IsKnown() || app.Features.IsKnown() || app.ReadAt.IsZero() {
				t.Errorf("got %+v %v, want its bulk fields and nothing else", app, err)
			}
		}
		sim.ResetCalls()
		var problems []error
		got := 0
		for _, err := range c.ReadApps(t.Context(), fleet.Filter{Teams: []string{"../account", "nobody", "acme"}}) {
			if err != nil {
				problems = append(problems, err)
			} else {
				got++
			}
		}
		if len(problems) != 2 || got != 1 {
			t.Errorf("two bad teams and a good one: got %v and %d apps", problems, got)
		}
		for _, call := range sim.Calls() {
			if strings.Contains(call.Path, "account") {
				t.Errorf("sent %s", call.Path)
			}
		}
	})
}

func TestReadAppsStopsWhenToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Fleet: simheroku.GenerateFleet(1500, 1)}, heroku.Config{})
		for range c.ReadApps(t.Context(), fleet.Filter{}) {
			break
		}
		if got := len(sim.Calls()); got != 1 {
			t.Errorf("got %d calls, want the first page only", got)
		}
	})
}

// A server without teams (another simulator) costs their lists, and is told of once.
func TestNoTeams(t *testing.T) {
	var log strings.Builder
	c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apps" {
			http.NotFound(rw, r)
			return
		}
		fmt.Fprint(rw, `[{"id":"`+newID+`","name":"shop"}]`)
	}), heroku.Config{Log: logger(&log)})
	for range 2 {
		if got := names(t, c, fleet.Filter{}); !slices.Equal(got, []string{"shop"}) {
			t.Errorf("got %v", got)
		}
	}
	if got := strings.Count(log.String(), "list of teams"); got != 1 {
		t.Errorf("said %d times, want once", got)
	}
}

func TestReadNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Latency: 100 * time.Millisecond}, heroku.Config{})
		done := make(chan []string)
		for range 4 {
			go func() {
				names, err := c.ReadNames(t.Context())
				if err != nil {
					t.Error(err)
				}
				done <- names
			}()
		}
		for range 4 {
			names := <-done
			if !slices.Contains(names, "shop") || !slices.IsSorted(names) {
				t.Errorf("got %v", names)
			}
		}
		if got := sim.CallCounts()["GET /apps"]; got != 1 {
			t.Errorf("four at once: got %d lists, want 1", got)
		}
		do(t, sim, "create brand-newer team=acme")
		names, err := c.ReadNames(t.Context())
		if err != nil || slices.Contains(names, "brand-newer") {
			t.Errorf("within the minute: got %v %v, want the list of before", names, err)
		}
		time.Sleep(time.Minute)
		if names, err = c.ReadNames(t.Context()); err != nil || !slices.Contains(names, "brand-newer") {
			t.Errorf("a minute later: got %v %v, want the new app too", names, err)
		}
	})
}

func TestReadListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Latency: 100 * time.Millisecond}, heroku.Config{})
		has := func(listed []fleet.Listed, name string) bool {
			return slices.ContainsFunc(listed, func(l fleet.Listed) bool { return l.Name == name && l.ID != "" && l.Team == "acme" })
		}
		listed, err := c.ReadListed(t.Context()) // the first one is waited for
		byName := func(a, b fleet.Listed) int { return strings.Compare(a.Name, b.Name) }
		if err != nil || !has(listed, "shop") || !slices.IsSortedFunc(listed, byName) {
			t.Fatalf("got %v, %v", listed, err)
		}
		do(t, sim, "create brand-newer team=acme")
		time.Sleep(2 * time.Minute)
		began := time.Now()
		if listed, err = c.ReadListed(t.Context()); err != nil || has(listed, "brand-newer") || time.Since(began) > 0 {
			t.Errorf("an old list: got %v after %s, %v, want it at once as it is", listed, time.Since(began), err)
		}
		time.Sleep(time.Second) // it is read anew beside
		if listed, err = c.ReadListed(t.Context()); err != nil || !has(listed, "brand-newer") {
			t.Errorf("a second later: got %v, %v, want the new app too", listed, err)
		}
	})
}
