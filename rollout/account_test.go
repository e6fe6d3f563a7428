package rollout_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

// TestAccount: what an ending says, and the ledger with it, of a write that was sent and
// is not done. Nothing is said to be without effect that may have had one, and what may
// have had one can be taken back.
func TestAccount(t *testing.T) {
	scale := plan.Wish{Verb: plan.ToScale, Web: 3}
	const step = "`web 1 → 3 standard-1x`"
	// lost loses the answer of the first write, after its effect, and has f happen.
	lost := func(s *stage, f func()) {
		s.world.answer = func() error {
			if s.world.sent > 1 {
				return nil
			}
			f()
			return unavailable()
		}
	}
	tests := map[string]struct {
		line, step                     string // default: one step, scale
		wish                           plan.Wish
		act                            func(*stage)
		state                          approval.State
		done, unknown, changed, undone bool // how the step is told
		say                            string
	}{
		"accepted, then changed": {act: func(s *stage) { s.world.answer = func() error { s.scale(5); return nil } }, state: approval.Stopped, changed: true,
			say: "Sent and accepted, then changed by somebody: " + step + "; now `web` is at 5 × standard-1x."},
		"the answer lost, then changed": {act: func(s *stage) { lost(s, func() { s.scale(5) }) }, state: approval.Stopped, unknown: true,
			say: "Not known, because Heroku did not tell: " + step + " may or may not be done."},
		"the answer lost, and changed before it could be read": {act: func(s *stage) {
			lost(s, func() {
				s.world.read = unavailable
				time.AfterFunc(time.Minute, func() { s.scale(5) })
				time.AfterFunc(2*time.Minute, func() { s.world.mu.Lock(); s.world.read = nil; s.world.mu.Unlock() })
			})
		}, state: approval.Stopped, unknown: true, say: "`web` is at 5 × standard-1x and was at 1 × standard-1x when this was decided"},
		"the answer lost, and what came before it undone": {line: "standard-1x web=1", wish: enable(), step: "`web 1 → 2 standard-1x`", act: func(s *stage) {
			s.world.answer = func() error {
				if s.world.sent == 2 {
					s.world.read = unavailable
					time.AfterFunc(time.Minute, func() { s.feature(fleet.SessionAffinity, false) })
					time.AfterFunc(2*time.Minute, func() { s.world.mu.Lock(); s.world.read = nil; s.world.mu.Unlock() })
					return unavailable()
				}
				return nil
			}
		}, state: approval.Stopped, done: true, say: "Session affinity is off and should be on"},
		"the answer lost, and the process type gone": {act: func(s *stage) {
			lost(s, func() { s.world.change(func(a *fleet.App) { a.Formation = fleet.Known([]fleet.Process(nil)) }) })
		}, state: approval.Failed, unknown: true, say: "no process type web any more"},
		"no effect, and read as it was before an autoscaler came": {act: func(s *stage) {
			s.world.write = func() error {
				s.world.change(func(a *fleet.App) { a.Autoscaler = fleet.Known(fleet.Autoscaler{Active: true, Min: 1, Max: 4}) })
				return unavailable()
			}
		}, state: approval.Stopped, undone: true, say: "Heroku's autoscaler is on by now"},
		"locked for two hours":       {act: func(s *stage) { s.world.write = locked }, state: approval.Stopped, undone: true, say: "It could not go on for 2h"},
		"rate limited for two hours": {act: func(s *stage) { s.world.write = rateLimited }, state: approval.Failed, undone: true, say: "It got nowhere for 2h"},
		"refused": {act: func(s *stage) {
			s.world.write = func() error { return &fleet.Problem{Kind: fleet.Refused, Message: "no"} }
		}, state: approval.Failed, undone: true, say: "was refused: `no`"},
		"never an answer": {act: func(s *stage) { s.world.write = unavailable }, state: approval.Failed, unknown: true, say: "It got nowhere for 2h"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.line == "" {
					tt.line, tt.wish, tt.step = "standard-1x web=1 affinity preboot", scale, step
				}
				s := begin(t, tt.line, tt.wish)
				tt.act(s)
				got := s.carry()
				if got.State != tt.state {
					t.Errorf("got %s (%s), want %s", got.State, got.Outcome, tt.state)
				}
				says(t, "outcome", got.Outcome, tt.say)
				var told map[string]any
				if err := json.Unmarshal(s.desk.entries[len(s.desk.entries)-1].Detail, &told); err != nil {
					t.Fatal(err)
				}
				for key, want := range map[string]bool{"done": tt.done, "unknown": tt.unknown, "changed_since": tt.changed, "not_done": tt.undone} {
					list, _ := told[key].([]any)
					if got := slices.Contains(list, any(tt.step)); got != want {
						t.Errorf("the ledger's %s has the step: got %t, want %t", key, got, want)
					}
				}
				if got, want := strings.Contains(got.Outcome, "/zdd undo T-1"), !tt.undone; got != want {
					t.Errorf("offers to undo: got %t, want %t", got, want)
				}
				if tt.undone {
					says(t, "outcome", got.Outcome, "Nothing was changed.")
				} else if strings.Contains(got.Outcome, "Nothing was changed") || strings.Contains(got.Outcome, "Not done: "+tt.step) {
					t.Errorf("outcome: %q says that it had no effect", got.Outcome)
				}
			})
		})
	}
}
