package rollout_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

func rateLimited() error {
	return &fleet.Problem{Kind: fleet.RateLimited, Message: "Your account reached the API rate limit", RetryAfter: 90 * time.Second}
}

func locked() error {
	return &fleet.Problem{Kind: fleet.Locked, Message: "Cannot change formation for a preboot app until preboot is complete"}
}

func randomLag(r *rand.Rand) time.Duration { return time.Duration(r.IntN(20)) * time.Second }

// pause stops the whole process for a time.
func (s *stage) pause(d string) {
	duration, err := time.ParseDuration(d)
	if err != nil {
		s.Fatal(err)
	}
	time.Sleep(duration)
}

// down makes Heroku answer nothing, from a time after a write on, for so long.
func (s *stage) down(step string, d time.Duration) {
	s.after(step, time.Second, func() {
		until := time.Now().Add(d)
		fail := func() error {
			if time.Now().Before(until) {
				return unavailable()
			}
			return nil
		}
		s.world.mu.Lock()
		s.world.read, s.world.write = fail, fail
		s.world.mu.Unlock()
	})
}

func TestTrouble(t *testing.T) {
	tests := map[string]struct {
		act   func(*stage)
		state approval.State
		wrote []string
		sent  int // writes in all; 0: not asked
		say   []string
	}{
		"an answer lost after the effect": {func(s *stage) { s.world.answer = unavailable }, approval.Done, []string{affinityOn, scaleUp, prebootOn}, 3, []string{"Done in 16m"}},
		"an answer lost before the effect": {func(s *stage) {
			n := 0
			s.world.write = func() error {
				if n++; n%2 == 1 {
					return unavailable()
				}
				return nil
			}
		}, approval.Done, []string{affinityOn, scaleUp, prebootOn}, 6, nil},
		"shown late":                     {func(s *stage) { s.world.lag = 9 * time.Second }, approval.Done, []string{affinityOn, scaleUp, prebootOn}, 0, nil},
		"shown very late":                {func(s *stage) { s.world.lag = 3 * time.Minute }, approval.Done, []string{affinityOn, scaleUp, prebootOn}, 0, nil},
		"down for an hour in the middle": {func(s *stage) { s.down(scaleUp, time.Hour) }, approval.Done, []string{affinityOn, scaleUp, prebootOn}, 3, []string{"Done in 1h 1"}},
		"down for three hours in the middle": {func(s *stage) { s.down(scaleUp, 3*time.Hour) }, approval.Failed, []string{affinityOn, scaleUp}, 2,
			[]string{"It got nowhere for 2h: Heroku did not answer", "Done, and read back: `session affinity on` and `web 1 → 2 standard-1x`.", "Not done: `preboot on`.", "`/zdd resume T-1`", "`/zdd undo T-1`"}},
		"down for good, right at a write": {func(s *stage) {
			s.world.answer = func() error {
				s.world.read = unavailable
				return unavailable()
			}
		}, approval.Failed, []string{affinityOn}, 1,
			[]string{"Not known, because Heroku did not tell: `session affinity on` may or may not be done.", "Not done: `web 1 → 2 standard-1x` and `preboot on`.", "`/zdd undo T-1`"}},
		"rate limited": {func(s *stage) {
			n := 0
			s.world.write = func() error {
				if n++; n < 4 {
					return rateLimited()
				}
				return nil
			}
		}, approval.Done, []string{affinityOn, scaleUp, prebootOn}, 6, nil},
		"refused": {func(s *stage) {
			s.world.write = func() error {
				if s.world.sent == 2 {
					return &fleet.Problem{Kind: fleet.Refused, Message: "Cannot update to more than `1` Basic size dynos per process type.", RequestID: "r-1"}
				}
				return nil
			}
		}, approval.Failed, []string{affinityOn}, 2, []string{"`web 1 → 2 standard-1x` was refused: `Cannot update to more than 1 Basic size dynos per process type. (request r-1)`.",
			"Done, and read back: `session affinity on`.", "Not done: `web 1 → 2 standard-1x` and `preboot on`."}},
		"forbidden": {func(s *stage) {
			s.world.write = func() error { return &fleet.Problem{Kind: fleet.Forbidden, Message: "You do not have access."} }
		}, approval.Failed, nil, 1, []string{"`session affinity on` was refused: this token may not", "Nothing was changed."}},
		"the token is revoked in the middle": {func(s *stage) {
			s.after(affinityOn, time.Minute, func() {
				s.world.mu.Lock()
				s.world.read = func() error {
					return &fleet.Problem{Kind: fleet.Unauthorized, Message: "Invalid credentials provided."}
				}
				s.world.mu.Unlock()
			})
		}, approval.Failed, []string{affinityOn}, 1, []string{"Heroku does not accept the token: `Invalid credentials provided.`", "Done, and read back: `session affinity on`."}},
		"no dynos to be read for half an hour": {func(s *stage) {
			s.after(scaleUp, time.Minute, func() {
				s.world.change(func(a *fleet.App) {
					a.Dynos = fleet.Unknown[[]fleet.Dyno](fleet.Reason{Kind: fleet.Unavailable, Text: "Heroku did not answer"})
				})
				time.AfterFunc(30*time.Minute, func() { s.world.change(func(a *fleet.App) { a.Dynos = fleet.Known([]fleet.Dyno(nil)) }) })
			})
		}, approval.Done, []string{affinityOn, scaleUp, prebootOn}, 3, []string{"Done in 4"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1", enable())
				tt.act(s)
				got := s.carry()
				if got.State != tt.state || got.Waiting != "" || !got.Trouble.IsZero() {
					t.Errorf("got %s (%s), waiting %q, trouble %v; want %s", got.State, got.Outcome, got.Waiting, got.Trouble, tt.state)
				}
				says(t, "outcome", got.Outcome, tt.say...)
				s.wrote(tt.wrote...)
				if tt.sent != 0 && s.world.sent != tt.sent {
					t.Errorf("got %d writes in all, want %d", s.world.sent, tt.sent)
				}
			})
		})
	}
}

// TestTroubleIsTold: what it waits for is in the ticket, changes seldom, and Heroku is
// not hammered meanwhile.
func TestTroubleIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1 affinity preboot", plan.Wish{Verb: plan.ToScale, Web: 3})
		begun := time.Now()
		reads := 0
		s.world.read = func() error { reads++; return unavailable() }
		if err := s.turn("T-1"); err == nil {
			t.Fatal("got nothing, want that it waits")
		}
		first := s.now("T-1")
		says(t, "waiting", first.Waiting, "Heroku did not answer (503 Service Unavailable). I keep trying until 02:00 UTC.")
		if !first.Trouble.Equal(begun) {
			t.Errorf("trouble since %v, want %v", first.Trouble, begun)
		}
		got := s.carry()
		if got.State != approval.Failed || time.Since(begun) < 2*time.Hour || time.Since(begun) > 2*time.Hour+time.Minute {
			t.Errorf("got %s after %v, want failed after two hours", got.State, time.Since(begun))
		}
		if reads < 30 || reads > 120 {
			t.Errorf("it asked %d times in two hours, want it now and then", reads)
		}
		if got.Rev > 4 {
			t.Errorf("the ticket changed %d times", got.Rev)
		}
		if strings.Contains(got.Outcome, "resume") {
			t.Errorf("outcome: %q offers to resume what never began", got.Outcome)
		}
	})
}

// TestRateLimit: who is told to wait waits, and does not even read meanwhile.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1 affinity preboot", plan.Wish{Verb: plan.ToScale, Web: 3})
		var refused time.Time
		s.world.write = func() error {
			if s.world.sent == 1 {
				refused = time.Now()
				return rateLimited()
			}
			return nil
		}
		s.world.read = func() error {
			if !refused.IsZero() && time.Since(refused) < 90*time.Second {
				t.Errorf("it read %v after it was told to wait for 90 s", time.Since(refused))
			}
			return nil
		}
		if got := s.carry(); got.State != approval.Done {
			t.Errorf("got %s (%s), want done", got.State, got.Outcome)
		}
		s.wrote("web 1 → 3 standard-1x")
	})
}

// TestTroubleThatHasPassed is told no more, in the waits that follow it too.
func TestTroubleThatHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		checks := 0
		s.world.write = func() error {
			if s.world.sent%2 == 1 {
				return unavailable()
			}
			return nil
		}
		s.world.log = func(step string) {
			time.AfterFunc(30*time.Second, func() {
				if step == scaleUp {
					s.world.mu.Lock()
					s.world.read = unavailable
					s.world.mu.Unlock()
				}
			})
			time.AfterFunc(time.Minute, func() {
				s.world.mu.Lock()
				s.world.read = nil
				s.world.mu.Unlock()
			})
			time.AfterFunc(3*time.Minute, func() {
				checks++
				if got := s.now("T-1"); !got.Trouble.IsZero() || strings.Contains(got.Waiting, "trying") {
					t.Errorf("after %s: got trouble since %v, waiting %q, want none", step, got.Trouble, got.Waiting)
				}
			})
		}
		if got := s.carry(); got.State != approval.Done || checks < 2 {
			t.Errorf("got %s (%s) and %d checks, want done", got.State, got.Outcome, checks)
		}
	})
}

// TestTroubleStartsAnew: two hours are those of one trouble, not of all together.
func TestTroubleStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		down := func(d time.Duration) {
			until := time.Now().Add(d)
			s.world.mu.Lock()
			s.world.read = func() error {
				if time.Now().Before(until) {
					return unavailable()
				}
				return nil
			}
			s.world.mu.Unlock()
		}
		s.world.log = func(step string) {
			if step != prebootOn {
				time.AfterFunc(2*time.Minute, func() { down(100 * time.Minute) })
			}
		}
		if got := s.carry(); got.State != approval.Done {
			t.Errorf("got %s (%s), want done", got.State, got.Outcome)
		}
	})
}
