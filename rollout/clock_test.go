package rollout_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
)

// TestClockSetBack: what was noted at a time that is in the future by now counts as
// noted now, so that nothing waits for the clock to come there again; and no wait of
// which nobody knows how much is over is cut short.
func TestClockSetBack(t *testing.T) {
	tests := map[string]struct {
		act      func(s *stage, back func())
		state    approval.State
		from, to time.Duration // the end
		say      string
	}{
		"while it soaks":   {func(s *stage, back func()) { s.after(affinityOn, 5*time.Minute+time.Second, back) }, approval.Done, 20 * time.Minute, 22 * time.Minute, "preboot is on"},
		"while it settles": {func(s *stage, back func()) { s.after(scaleUp, 5*time.Minute+time.Second, back) }, approval.Done, 20 * time.Minute, 22 * time.Minute, "preboot is on"},
		"in trouble": {func(s *stage, back func()) { s.world.read = unavailable; time.AfterFunc(time.Hour, back) }, approval.Failed,
			3 * time.Hour, 3*time.Hour + 5*time.Minute, "It got nowhere for 2h"},
		"while the formation is locked": {func(s *stage, back func()) {
			s.world.write = func() error {
				if s.world.sent > 1 {
					return locked()
				}
				time.AfterFunc(time.Hour, back)
				return nil
			}
		}, approval.Stopped, 3 * time.Hour, 3*time.Hour + 5*time.Minute, "It could not go on for 2h"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1", enable())
				tt.act(s, func() { s.set.Store(int64(-24 * time.Hour)) })
				begun := time.Now()
				got := s.carry()
				if took := time.Since(begun); got.State != tt.state || took < tt.from || took > tt.to {
					t.Errorf("got %s (%s) after %v, want %s after %v to %v", got.State, got.Outcome, took, tt.state, tt.from, tt.to)
				}
				says(t, "outcome", got.Outcome, tt.say)
			})
		})
	}
}

// TestDates: a time of another day is told with its date.
func TestDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		time.Sleep(23*time.Hour + 55*time.Minute)
		var said string
		s.heard = func(waiting string) {
			if said == "" {
				said = waiting
			}
		}
		got := s.carry()
		if got.State != approval.Done {
			t.Errorf("got %s, want done", got.State)
		}
		says(t, "waiting", said, "Until 00:05 UTC on 2 January. ")
		says(t, "outcome", got.Outcome, "Read back from Heroku at 00:11 UTC:")
	})
}

// TestReadOnly: who may not write to the ledger changes nothing, says so in the ticket,
// asks seldom, and goes on once it may.
func TestReadOnly(t *testing.T) {
	const why = "I can look but not change anything: `ZDD_LEDGER_KEY` is not set."
	for _, state := range []approval.State{approval.Approved, approval.Running} {
		t.Run(string(state), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1", enable())
				wrote := 0
				if state == approval.Running { // it soaks, and then the key is gone
					for s.now("T-1").Waiting == "" {
						if err := s.turn("T-1"); err == nil {
							t.Fatal("got the end, want that it soaks")
						}
					}
					wrote = 1
				}
				s.cfg.ReadOnly = why + " Nothing was changed."
				s.desk.sealed = errors.New("the ledger is sealed with a key, and none is set")
				reads := s.world.seen["read"]
				var rev int64
				for range 24 {
					err := s.turn("T-1")
					l, waits := errors.AsType[*later](err)
					if !waits || time.Until(l.at) < 5*time.Minute {
						t.Fatalf("got %v, want that it waits for five minutes", err)
					}
					got := s.now("T-1")
					if got.State != state || got.Waiting != why || !got.Trouble.IsZero() {
						t.Fatalf("got %s, waiting %q, trouble %v; want %s, waiting %q", got.State, got.Waiting, got.Trouble, state, why)
					}
					if rev != 0 && got.Rev != rev {
						t.Fatal("the ticket changes each time")
					}
					rev = got.Rev
					time.Sleep(time.Until(l.at))
				}
				if len(s.world.writes) != wrote || s.world.seen["read"] != reads {
					t.Errorf("got writes %q and %d readings, want none while it may not", s.world.writes, s.world.seen["read"]-reads)
				}
				s.cfg.ReadOnly, s.desk.sealed = "", nil
				if got := s.carry(); got.State != approval.Done {
					t.Errorf("got %s (%s), want done", got.State, got.Outcome)
				}
				s.wrote(affinityOn, scaleUp, prebootOn)
			})
		})
	}
}

// TestReadOnlyLook: a look that can't be stored waits, too.
func TestReadOnlyLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		s.carry()
		s.cfg.ReadOnly = "no key"
		s.desk.sealed = errors.New("the ledger is sealed with a key, and none is set")
		time.Sleep(2 * time.Minute)
		look := func() error {
			return s.runner().Look(t.Context(), "T-1:0", &job{deadline: time.Now().Add(lease), cancel: func() {}})
		}
		if l, waits := errors.AsType[*later](look()); !waits || l.why != "no key" {
			t.Errorf("got %v, want that it waits, and why", l)
		}
		s.cfg.ReadOnly, s.desk.sealed = "", nil
		if err := look(); err != nil || len(s.now("T-1").Later) != 1 {
			t.Errorf("got %v and looks %v, want one", err, s.now("T-1").Later)
		}
	})
}
