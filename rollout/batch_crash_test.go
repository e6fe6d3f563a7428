package rollout_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/rollout"
)

// TestBatchKilledAtEveryPoint kills the program once, at each point at which that may
// be: each part's ticket is made once, in its turn, and nothing is done twice.
func TestBatchKilledAtEveryPoint(t *testing.T) {
	const quick = "standard-1x web=2 affinity"
	for k, killed := 0, true; killed; k++ {
		killed = false
		synctest.Test(t, func(t *testing.T) {
			s := beginStreet(t, quick, small, quick)
			s.cfg.Timing = rollout.Timing{Glance: 5 * time.Minute, Settle: 3 * time.Minute} // every look of a wait is like the other
			n, at := 0, ""
			s.cutAt(func(point string) bool {
				n++
				if n == k+1 {
					killed, at = true, point
				}
				return n == k+1
			})
			s.allDone(s.carry())
			if t.Failed() {
				t.Logf("killed at point %d, %s", k+1, at)
			}
		})
		if t.Failed() {
			return
		}
		if k > 2000 {
			t.Fatal("the batch has no end")
		}
	}
}

// cutAt has the program killed where cut says so: also in the middle of a write.
func (s *street) cutAt(cut func(point string) bool) {
	s.cut = cut
	for _, w := range s.order {
		w.write = func() error { return s.interrupted("before a write") }
		w.answer = func() error { return s.interrupted("after a write") }
	}
}

// allDone wants every app of the quick street changed once, one after the other.
func (s *street) allDone(got approval.Ticket) {
	s.Helper()
	if states := s.states(); got.State != approval.Done || states != "done done done" || got.Head == "" {
		s.Errorf("got %s, %s (%s), head %q; want all done", got.State, states, got.Outcome, got.Head)
	}
	s.order[0].wrote(s.T, prebootOn)
	s.order[1].wrote(s.T, affinityOn, scaleUp, prebootOn)
	s.order[2].wrote(s.T, prebootOn)
	for _, one := range s.tickets() {
		for i, p := range one.Progress {
			if p.Already {
				s.Errorf("%s: step %d is told to have been so already, and was ours", one.ID, i+1)
			}
		}
	}
}

// TestBatchCancelledAtEveryPoint cancels the batch, or the part that runs, once, at each
// point of the program: what was not begun by then never is.
func TestBatchCancelledAtEveryPoint(t *testing.T) {
	for _, whole := range []bool{true, false} {
		for k, reached := 0, true; reached; k++ {
			reached = false
			synctest.Test(t, func(t *testing.T) {
				s := beginStreet(t, "standard-1x web=2 affinity", small, "standard-1x web=2 affinity")
				s.cfg.Timing = rollout.Timing{Glance: 5 * time.Minute, Settle: 3 * time.Minute}
				c := &cancelling{street: s, whole: whole, at: k}
				s.cutAt(func(string) bool { c.point(); return false })
				c.held(s.carry())
				reached = c.points > k
			})
			if t.Failed() {
				t.Fatalf("at point %d, of the whole: %t", k, whole)
			}
		}
	}
}

// cancelling has somebody cancel at a point of the program.
type cancelling struct {
	*street
	whole      bool // the batch, else the part that runs
	at, points int
	who        string // what was cancelled; empty: nothing was, or nothing was left to keep from beginning
	begun      int    // parts, at that moment
}

func (c *cancelling) point() {
	if c.points++; c.points-1 != c.at {
		return
	}
	b := c.now("T-1")
	who := b.ID
	if i, any := b.Current(); any && !c.whole {
		who = b.Parts[i].Ticket
	}
	if next, more := b.Next(); more && !c.now(who).State.Final() {
		c.who, c.begun = who, next
		c.cancel(who)
	}
}

// held checks what came of it.
func (c *cancelling) held(got approval.Ticket) {
	c.Helper()
	switch {
	case c.who == "":
		c.allDone(got)
	case len(c.tickets()) > c.begun:
		c.Errorf("%s was cancelled when %d parts had begun, and then there were %s", c.who, c.begun, c.states())
	case got.State == approval.Cancelled && c.begun == 0: // before it started
	case got.State != approval.Stopped || !strings.Contains(got.Outcome, "Not begun: ") || !strings.Contains(got.Outcome, "`crm`"):
		c.Errorf("got %s (%s), want it stopped, and what was not begun", got.State, got.Outcome)
	}
}

// TestBatchKilledAgainAndAgain kills it at random points, many times, while somebody
// cancels the batch, or a part of it, now and then.
func TestBatchKilledAgainAndAgain(t *testing.T) {
	const seeds = 40
	kills, cancelled := 0, 0
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			s := beginStreet(t, "standard-1x web=2 affinity", small, "standard-1x web=2 affinity")
			random := rand.New(rand.NewPCG(seed, 3))
			c := &cancelling{street: s, whole: seed%4 != 3, at: -1}
			if seed%4 > 0 {
				c.at = random.IntN(150)
			}
			s.cutAt(func(string) bool {
				c.point()
				cut := random.Float64() < 0.2
				if cut {
					kills++
				}
				return cut
			})
			c.held(s.carry())
			if c.who != "" {
				cancelled++
			}
		})
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	if kills < 10*seeds || cancelled < seeds/4 {
		t.Errorf("killed %d times and cancelled %d times only", kills, cancelled)
	}
}
