package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// look runs one look until it is done.
func (s *stage) look(key string) {
	s.Helper()
	for {
		ctx, cancel := context.WithCancel(s.Context())
		err := s.runner().Look(ctx, key, &job{cut: s.cut, cancel: cancel, deadline: time.Now().Add(lease)})
		cancel()
		l, waits := errors.AsType[*later](err)
		switch {
		case err == nil:
			return
		case waits:
			time.Sleep(time.Until(l.at))
		case errors.Is(err, errCrash):
			time.Sleep(lease)
		default:
			s.Fatalf("look: %v", err)
		}
	}
}

// looks runs all the looks that were enqueued, when they are due. act happens between
// the first and the second, five minutes after the end.
func (s *stage) looks(act func(*stage)) []approval.Look {
	s.Helper()
	for i, w := range s.desk.work {
		if i == 1 {
			time.Sleep(3 * time.Minute)
			act(s)
		}
		time.Sleep(max(time.Until(w.At), 0))
		s.look(w.Key)
	}
	return s.now("T-1").Later
}

func TestLook(t *testing.T) {
	release := func(description string) func(*fleet.App) {
		return func(a *fleet.App) {
			a.Release = fleet.Known(fleet.Release{Version: 43, Status: "succeeded", Description: description, CreatedAt: time.Now()})
		}
	}
	back := func(s *stage) {
		s.scale(1)
		s.feature(fleet.Preboot, false)
		s.feature(fleet.SessionAffinity, false)
	}
	tests := map[string]struct {
		act  func(*stage)  // five minutes after the end
		want []string      // in the second look; none: all is as it was left
		not  string        // not in it
		line string        // of the app; empty: a plain one
		wait time.Duration // how much later than due the second look may be
	}{
		"as it was left": {act: func(*stage) {}},
		"a deploy":       {act: func(s *stage) { s.world.change(release("Deploy 1234")) }},
		"Heroku's autoscaler": {act: func(s *stage) {
			s.scale(1)
			s.world.change(func(a *fleet.App) { a.Autoscaler = fleet.Known(fleet.Autoscaler{Active: true, Min: 1, Max: 4}) })
		}, want: []string{"`web` is at 1 × performance-m and should be at 2 × performance-m", "That came about between 00:18 UTC and 00:31 UTC.", "By what it seems Heroku's autoscaler did it: it is on, from 1 to 4"}, line: "performance-m web=1"},
		"another size, which no autoscaler changes": {act: func(s *stage) {
			s.world.change(func(a *fleet.App) {
				a.Formation = fleet.Known([]fleet.Process{{Type: "web", Quantity: 2, Size: "performance-l"}})
				a.Autoscaler = fleet.Known(fleet.Autoscaler{Active: true, Min: 1, Max: 4})
			})
		}, want: []string{"`web` is at 2 × performance-l and should be at 2 × performance-m", "It may be a person, or a tool."}, not: "did it", line: "performance-m web=1"},
		"an add-on": {act: func(s *stage) {
			s.scale(1)
			s.world.change(func(a *fleet.App) { a.AddOns = fleet.Known([]fleet.AddOn{{Service: "judoscale"}}) })
		}, want: []string{"By what it seems `judoscale` did it", "`heroku addons:open judoscale --app shop`"}},
		"Terraform": {act: back, want: []string{"Session affinity is off and should be on", "`web` is at 1", "preboot is off", "It is again as it was before: so Terraform", "`/zdd enable shop`"}},
		"a person":  {act: func(s *stage) { s.scale(3) }, want: []string{"`web` is at 3 × standard-1x and should be at 2", "It may be a person, or an autoscaler that Heroku does not list"}, not: "Terraform"},
		"a deployer with an alibi": {act: func(s *stage) {
			s.scale(1)
			s.world.change(release("Deploy 1234"))
		}, want: []string{"Terraform"}, not: "v43"},
		"a release that says so": {act: func(s *stage) {
			s.scale(1)
			s.world.change(release("Scale `web` down <!channel>"))
		}, want: []string{"Release v43, made in that time, says `Scale web down <!channel>`."}},
		"an older release that said so": {act: func(s *stage) {
			s.scale(1)
			s.world.change(func(a *fleet.App) {
				a.Release = fleet.Known(fleet.Release{Version: 43, Status: "succeeded", Description: "Scale web", CreatedAt: time.Now().Add(-time.Hour)})
			})
		}, want: []string{"`web` is at 1"}, not: "v43"},
		"web gone": {act: func(s *stage) {
			s.world.change(func(a *fleet.App) {
				a.Formation = fleet.Known([]fleet.Process{{Type: "worker", Quantity: 1, Size: "standard-1x"}})
			})
		}, want: []string{"The app has no process type web any more."}},
		"the app gone": {act: func(s *stage) {
			s.world.read = func() error { return &fleet.Problem{Kind: fleet.NotFound, Message: "Couldn't find that app."} }
		}, want: []string{"Whether it is still so could not be found out", "`Couldn't find that app.`"}},
		"Heroku down for a while": {act: func(s *stage) {
			until := time.Now().Add(25 * time.Minute)
			s.world.read = func() error {
				if time.Now().Before(until) {
					return unavailable()
				}
				return nil
			}
		}, wait: 20 * time.Minute},
		"Heroku down": {act: func(s *stage) { s.world.read = unavailable }, want: []string{"could not be found out: `503 Service Unavailable`."}, wait: 32 * time.Minute},
		"another ticket": {act: func(s *stage) {
			s.ticket("T-2", plan.Wish{Verb: plan.ToScale, Web: 4})
			if got := s.carryTicket("T-2"); got.State != approval.Done {
				s.Errorf("T-2: got %s", got.Outcome)
			}
		}, want: []string{"`T-2` has changed the app since"}},
		"another ticket that did nothing": {act: func(s *stage) {
			s.ticket("T-2", plan.Wish{Verb: plan.ToScale, Web: 4})
			s.allowed = func() (string, error) { return "No.", nil }
			if got := s.carryTicket("T-2"); got.State != approval.Stale {
				s.Errorf("T-2: got %s", got.Outcome)
			}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := tt.line
				if line == "" {
					line = "standard-1x web=1"
				}
				s := begin(t, line, enable())
				got := s.carry()
				if got.State != approval.Done {
					t.Fatalf("got %s (%s), want done", got.State, got.Outcome)
				}
				later := s.looks(tt.act)
				if len(later) != 3 || later[0].Text != "" {
					t.Fatalf("got %+v, want three looks, the first of which saw nothing", later)
				}
				second := later[1]
				if len(tt.want) == 0 && second.Text != "" {
					t.Errorf("got %q, want that all is as it was left", second.Text)
				}
				says(t, "the look", second.Text, tt.want...)
				if tt.not != "" {
					if strings.Contains(second.Text, tt.not) {
						t.Errorf("got %q, want nothing of %s", second.Text, tt.not)
					}
				}
				if len(tt.want) > 0 && strings.Contains(second.Text, "between 00:18 UTC") { // the last look that saw nothing wrong
					says(t, "the third look", later[2].Text, "between 00:18 UTC and 01:16 UTC")
				}
				if after := second.At.Sub(got.EndedAt); after < 15*time.Minute || after > 15*time.Minute+tt.wait {
					t.Errorf("it looked after %v, want 15 minutes and at most %v", after, tt.wait)
				}
				if s.world.sent > 4 {
					t.Errorf("%d writes: a look changes something", s.world.sent)
				}
			})
		})
	}
}

// TestLookIsRecorded once, however often the job runs, and whenever.
func TestLookIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		s.carry()
		time.Sleep(2 * time.Minute)
		s.scale(1)
		cuts := 0
		s.cut = func(string) bool { cuts++; return cuts%4 == 0 }
		for range 10 {
			s.look("T-1:0")
		}
		var detail struct {
			Look   int
			Undone bool
			Text   string
			Now    []plan.State
		}
		last := s.desk.entries[len(s.desk.entries)-1]
		if err := json.Unmarshal(last.Detail, &detail); err != nil || last.Verb != ledger.Rechecked || detail.Look != 1 || !detail.Undone || detail.Text == "" || len(detail.Now) != 3 {
			t.Errorf("got %s %s %v", last.Verb, last.Detail, err)
		}
		s.cut = nil
		// The bot was away: the looks that are due by now are one.
		time.Sleep(3 * time.Hour)
		s.look("T-1:2")
		s.look("T-1:1")
		s.look("T-1:2")
		if got := s.now("T-1").Later; len(got) != 2 {
			t.Errorf("got %d looks, want 2", len(got))
		}
	})
}

func TestLookAtNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		for _, key := range []string{"", "T-1", "T-1:x", "T-1:-1", "T-1:3", "T-9:0"} {
			j := &job{deadline: time.Now().Add(lease)}
			if err := s.runner().Look(t.Context(), key, j); err == nil || j.givenUp == nil {
				t.Errorf("%q: got %v, want it given up", key, err)
			}
		}
		s.look("T-1:0") // it has not run yet
		if s.world.seen["read"] > 0 || len(s.desk.entries) > 0 {
			t.Error("it looked after a ticket that is not done")
		}
	})
}
