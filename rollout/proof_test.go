package rollout_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// TestProof: what the ledger does not tell of is not carried out, however it came into
// the database, and not gone on with.
func TestProof(t *testing.T) {
	const altered = "T-1 is not what the ledger tells was asked for"
	for name, c := range map[string]struct {
		from   time.Duration // when it begins not to hold, after the start
		state  approval.State
		say    []string
		writes []string
	}{
		"from the beginning":   {state: approval.Stale, say: []string{altered + ". Nothing was changed."}},
		"after the first step": {from: 5 * time.Minute, state: approval.Stopped, say: []string{altered, "Done, and read back: `session affinity on`"}, writes: []string{"session affinity on"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1", enable())
				begun := time.Now()
				s.cfg.Proof = func(_ context.Context, got approval.Ticket) (string, error) {
					if got.ID != "T-1" || time.Since(begun) < c.from {
						return "", nil
					}
					return altered, nil
				}
				got := s.carry()
				if got.State != c.state {
					t.Errorf("got %s, want %s", got.State, c.state)
				}
				says(t, "outcome", got.Outcome, c.say...)
				s.wrote(c.writes...)
			})
		})
	}
}

// TestProofUnread: while the ledger can't be read nothing is done, and then all of it.
func TestProofUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		away := errors.New("the database is away")
		s.cfg.Proof = func(context.Context, approval.Ticket) (string, error) { return "", away }
		if err := s.turn("T-1"); !errors.Is(err, away) {
			t.Errorf("got %v, want the error, for the queue to try again", err)
		}
		s.wrote()
		s.cfg.Proof = func(context.Context, approval.Ticket) (string, error) { return "", nil }
		if got := s.carry(); got.State != approval.Done {
			t.Errorf("got %s (%s), want done", got.State, got.Outcome)
		}
	})
}

// TestUndone: whoever looks up a ticket finds what undid it.
func TestUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=2", enable())
		s.carry()
		before := s.now("T-1")
		s.ticket("T-2", plan.Wish{Verb: plan.ToUndo, Undo: before.Plan.Steps})
		undo := s.desk.tickets["T-2"]
		undo.Follows = "T-1"
		s.desk.tickets["T-2"] = undo
		if got := s.carryTicket("T-2"); got.State != approval.Done {
			t.Fatalf("got %s (%s), want done", got.State, got.Outcome)
		}
		i := slices.IndexFunc(s.desk.entries, func(e ledger.Entry) bool { return e.Verb == ledger.Undone })
		if i < 0 || s.desk.entries[i].Ticket != "T-1" || string(s.desk.entries[i].Detail) != `{"by":"T-2"}` {
			t.Errorf("got %s, want that T-1 was undone by T-2", s.desk.told())
		}
	})
}
