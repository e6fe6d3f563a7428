package watch_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// TestRunDoubts are deploys during which no request fails, and which are not proved.
func TestRunDoubts(t *testing.T) {
	for name, tt := range map[string]struct {
		line      string
		meanwhile func(t *town, h *home)
		verdict   watch.Verdict
		why       string
	}{
		"nobody knows Heroku's clock": {"standard-1x web=2 preboot", func(t *town, h *home) {
			t.fails("skew", away())
			t.later(time.Minute, func() { t.release(h) })
		}, watch.Inconclusive, "clock could not be compared"},
		"new dynos crash, and the old ones go on": {"private-s space=atlas web=2", func(t *town, h *home) {
			t.later(time.Minute, func() {
				t.release(h)
				t.dynosAre(h, "up", 42)
			})
		}, watch.Inconclusive, "web.1 of v42 is up"},
		"new dynos crash, and the old ones are not listed": {"standard-1x web=2 preboot", func(t *town, h *home) {
			t.later(time.Minute, func() {
				t.release(h)
				t.dynosAre(h, "crashed", 43)
			})
		}, watch.Inconclusive, "web.1 of v43 is crashed"},
		"maintenance with a page of one's own, for a moment": {"standard-1x web=2", func(t *town, h *home) {
			t.later(time.Minute, func() { t.release(h) })
			on := func(is bool, status int) func() {
				return func() {
					t.mu.Lock()
					defer t.mu.Unlock()
					h.Maintenance = is
					h.answers(status)
				}
			}
			t.later(65*time.Second, on(true, http.StatusServiceUnavailable))
			t.later(90*time.Second, on(false, 0))
		}, watch.Inconclusive, "Maintenance mode was on"},
		"maintenance with a page of one's own, right at the end": {"standard-1x web=2 preboot", func(t *town, h *home) {
			t.later(5*time.Minute, func() { t.release(h) })
			t.later(10*time.Minute+50*time.Second, func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				h.Maintenance = true
				h.answers(http.StatusServiceUnavailable)
			})
		}, watch.Inconclusive, "Maintenance mode was on"},
		"a dyno restarts at the end": {"standard-1x web=2 preboot", func(t *town, h *home) {
			t.later(time.Minute, func() {
				t.release(h)
				t.dynosAre(h, "starting", 43)
			})
		}, watch.Proved, "v43 was handed over"},
		"a release phase that began long before": {"standard-1x web=2", func(t *town, h *home) {
			t.release(h)
			t.phase(h, "pending")
			time.Sleep(20 * time.Minute) // the watch is asked for again
			t.later(3*time.Minute, func() { t.phase(h, "succeeded") })
		}, watch.Proved, "v43 was handed over"},
		"a release phase that ends after it": {"standard-1x web=2", func(t *town, h *home) {
			t.release(h)
			t.phase(h, "pending")
			time.Sleep(20 * time.Minute)
			t.later(3*time.Minute, func() { t.phase(h, "failed") })
		}, watch.Inconclusive, "v43 failed in its release phase"},
		"a release phase that is over when it begins": {"standard-1x web=2", func(t *town, h *home) {
			t.release(h)
			t.phase(h, "pending")
			time.Sleep(20 * time.Minute)
			t.phase(h, "succeeded")
			time.Sleep(3 * time.Minute)
		}, watch.Inconclusive, "No release was made"},
		"preboot came after the release": {"standard-1x web=2 preboot", func(t *town, h *home) {
			t.release(h)
			time.Sleep(10 * time.Second)
			features, _ := h.Features.Get()
			features = maps.Clone(features)
			f := features[fleet.Preboot]
			f.Since = fleet.Known(time.Now().UTC())
			features[fleet.Preboot] = f
			h.Features = fleet.Known(features)
			time.Sleep(10 * time.Second)
		}, watch.Inconclusive, "preboot was switched on"},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				h := town.build("shop", tt.line)
				before := time.Now()
				w := town.ask(h, 10*time.Minute)
				tt.meanwhile(town, h)
				if time.Since(before) > 5*time.Minute { // by then it is not begun any more
					town.run(w)
					w = town.ask(h, 10*time.Minute)
				}
				got := town.run(w)
				if got.Verdict != tt.verdict || !strings.Contains(why(got), tt.why) {
					t.Errorf("got %s: %s, want %s: %s", got.Verdict, why(got), tt.verdict, tt.why)
				}
			})
		})
	}
}

// dynosAre sets what Heroku lists of an app's dynos.
func (t *town) dynosAre(h *home, state string, release int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range h.dynos {
		h.dynos[i].State, h.dynos[i].Release, h.dynos[i].Since = state, release, time.Now()
	}
}

// TestDomain: a domain of the policy that Heroku does not list is asked all the same, and
// what that leaves open is told.
func TestDomain(t *testing.T) {
	const open = "the policy names it as the app's `domain`, and Heroku does not list it"
	for name, tt := range map[string]struct {
		domain  string
		listed  []string
		problem error
		calls   int
		open    bool
		trouble string
	}{
		"listed":        {"shop.acme.example", []string{"shop.acme.example"}, nil, 1, false, ""},
		"by a wildcard": {"shop.acme.example", []string{"*.acme.example"}, nil, 1, false, ""},
		"not listed":    {"shop.acme.example", []string{"acme.example", "*.shop.acme.example"}, nil, 1, true, ""},
		"unread":        {"shop.acme.example", nil, away(), 1, false, "Which domains Heroku lists for the app could not be read: Heroku did not answer."},
		"none is set":   {"", nil, nil, 0, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				if tt.domain != "" {
					pol, err := policy.Parse("zdd.yml", []byte("people: { operators: [U0OP] }\napps: { shop: { probe: { rate: 1, domain: "+tt.domain+" } } }\n"))
					if err != nil {
						t.Fatal(err)
					}
					town.policy = pol
				}
				h := town.build("shop", "standard-1x web=2 preboot")
				h.domains = tt.listed
				town.fails("domains", tt.problem)
				got := town.run(town.ask(h, 2*time.Minute))
				if is := strings.Contains(strings.Join(got.NotCovered, " "), open); is != tt.open || got.Counts.Due < 100 {
					t.Errorf("got %d requests due, and not covered is %q", got.Counts.Due, got.NotCovered)
				}
				if strings.Join(got.Trouble, " ") != tt.trouble || town.called("domains") != tt.calls {
					t.Errorf("got trouble %q in %d calls, want %q in %d", got.Trouble, town.called("domains"), tt.trouble, tt.calls)
				}
			})
		})
	}
}

// phase sets how an app's last release stands, from now on.
func (t *town) phase(h *home, status string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := &h.releases[len(h.releases)-1]
	last.Status, last.UpdatedAt = status, time.Now().Add(t.ahead).Truncate(time.Second)
}

// TestSpaceThatGrows: an autoscaler adds dynos to a space after the watch began; the
// hand-over takes as long as all of them do.
func TestSpaceThatGrows(t *testing.T) {
	inTown(t, "", func(t *testing.T, town *town) {
		h := town.build("shop", "private-s space=atlas web=1")
		w := town.ask(h, 10*time.Minute)
		town.later(30*time.Second, func() {
			town.mu.Lock()
			defer town.mu.Unlock()
			all, _ := h.Formation.Get()
			all = append([]fleet.Process(nil), all...)
			for i := range all {
				all[i].Quantity = 4
			}
			h.Formation = fleet.Known(all)
		})
		town.later(2*time.Minute, func() { town.release(h) })
		got := town.run(w)
		grown := got.Setup
		grown.Web = fleet.Known(4)
		if took := got.Window.To.Sub(got.Window.From); took < watch.HandOver(grown, watch.Timing{}) {
			t.Errorf("the hand-over of four dynos is taken to be over after %s, as that of one", took)
		}
	})
}

// TestLateForItsRelease: a watch that a release asked for, and that waited for room, tells of
// that release.
func TestLateForItsRelease(t *testing.T) {
	inTown(t, "watch: { releases: scope }\n", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2 preboot")
		town.release(h)
		time.Sleep(110 * time.Second)
		lookout := watch.NewLookout(watch.LookoutConfig{Desk: town.desk(), Heroku: town, Policy: town.inForce})
		if err := lookout.Look(t.Context(), town.held()); err != errWaits {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got := town.run(town.read("D-1"))
		if got.Release.Version != 43 || !strings.Contains(why(got), "after v43 was made") {
			t.Errorf("got v%d, %s: %s, want it to say that it came too late for v43", got.Release.Version, got.Verdict, why(got))
		}
	})
}

// TestQueriesAreNotTold: a path of the policy may hold what lets a visitor in. It is asked
// for, and nowhere told.
func TestQueriesAreNotTold(t *testing.T) {
	rules := `people: { operators: [U0OP] }
apps: { shop: { probe: { path: "/up?key=s3cret1", version_path: "/version?key=s3cret2", visitors: 1, visitor_start: "/login?as=s3cret3", visitor_path: "/me?key=s3cret4", visitor_marker: hello } } }
`
	inTown(t, "", func(t *testing.T, town *town) {
		pol, err := policy.Parse("zdd.yml", []byte(rules))
		if err != nil {
			t.Fatal(err)
		}
		town.policy = pol
		h := town.build("shop", "standard-1x web=2 preboot")
		var mu sync.Mutex
		asked := map[string]bool{}
		answer := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			for _, values := range r.URL.Query() {
				asked[values[0]] = true
			}
		})
		h.answer.Store(&answer)
		got := town.run(town.ask(h, 2*time.Minute))
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range town.store.Ledger(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, e.Detail...)
		}
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "/up?…") {
			t.Errorf("got %s, want no query in it", text)
		}
		if !asked["s3cret1"] || !asked["s3cret2"] || !asked["s3cret3"] {
			t.Errorf("asked with %v, want all of the policy's", asked)
		}
	})
}
