package rollout_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/rollout"
)

// wishes are plans that between them have every kind of step, up and down.
func wishes() []struct {
	name, line string
	wish       plan.Wish
	wrote      []string
} {
	return []struct {
		name, line string
		wish       plan.Wish
		wrote      []string
	}{
		{"enable", "standard-1x web=1 worker=1", enable(), []string{affinityOn, scaleUp, prebootOn}},
		{"enable from basic", "basic web=1 worker=1", plan.Wish{Verb: plan.ToEnable, Size: "standard-1x"},
			[]string{"web basic → standard-1x, worker basic → standard-1x", affinityOn, scaleUp, prebootOn}},
		{"disable", "standard-1x web=3 affinity preboot", plan.Wish{Verb: plan.ToDisable}, []string{"preboot off", "web 3 → 1 standard-1x", "session affinity off"}},
		{"scale", "standard-1x web=2 affinity preboot", plan.Wish{Verb: plan.ToScale, Web: 5}, []string{"web 2 → 5 standard-1x"}},
	}
}

// watched has every rule that a test of crashes holds checked on the way.
func watched(s *stage) {
	s.world.log = func(step string) {
		told := s.desk.told()
		if !strings.HasSuffix(told, "step-intended "+step) {
			s.Errorf("%s was written though the ledger's last word was\n%s", step, told[strings.LastIndexByte(told, '\n')+1:])
		}
		web, _ := s.world.app.Web()
		if on, _ := s.world.app.Feature(fleet.SessionAffinity); web.Quantity > 1 && !on {
			s.Errorf("after %s there are %d web dynos without session affinity", step, web.Quantity)
		}
	}
}

// carriedOut checks what came of it: everything, once, in order, and told so.
func carriedOut(s *stage, got approval.Ticket, wrote []string) {
	s.Helper()
	if got.State != approval.Done || got.Head == "" {
		s.Errorf("got %s (%s), head %q; want done", got.State, got.Outcome, got.Head)
	}
	s.wrote(wrote...)
	lines := strings.Split(s.desk.told(), "\n")
	for _, step := range wrote {
		for _, verb := range []string{"step-intended ", "step-done "} {
			if n := len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l != verb+step })); n != 1 {
				s.Errorf("the ledger tells %q %d times, want once", verb+step, n)
			}
		}
	}
	for i, p := range got.Progress {
		if p.Already {
			s.Errorf("step %d is told to have been so already, and was ours", i+1)
		}
	}
}

// TestKilledAtEveryPoint kills the program once, at each point at which that may be: no
// write is lost or repeated, and the order is kept.
func TestKilledAtEveryPoint(t *testing.T) {
	for _, tt := range wishes() {
		t.Run(tt.name, func(t *testing.T) {
			for k, killed := 0, true; killed; k++ {
				killed = false
				synctest.Test(t, func(t *testing.T) {
					s := begin(t, tt.line, tt.wish)
					s.cfg.Timing = rollout.Timing{Glance: 5 * time.Minute, Settle: 3 * time.Minute} // every look of a wait is like the other
					watched(s)
					n, at := 0, ""
					s.cut = func(point string) bool {
						n++
						if n == k+1 {
							killed, at = true, point
						}
						return n == k+1
					}
					// Also in the middle of a write: sent, and nobody there to hear the answer.
					s.world.write = func() error { return s.interrupted("before a write") }
					s.world.answer = func() error { return s.interrupted("after a write") }
					carriedOut(s, s.carry(), tt.wrote)
					if t.Failed() {
						t.Logf("killed at point %d, %s", k+1, at)
					}
				})
				if t.Failed() {
					return
				}
				if k > 1000 {
					t.Fatal("the rollout has no end")
				}
			}
		})
	}
}

// interrupted asks whether the program is killed here, in the middle of a request.
func (s *stage) interrupted(point string) error {
	if s.running != nil && s.running.at(point) {
		return unavailable()
	}
	return nil
}

// TestKilledAgainAndAgain kills it at random points, many times.
func TestKilledAgainAndAgain(t *testing.T) {
	const seeds = 25
	kills := 0
	for seed := range uint64(seeds) {
		for _, tt := range wishes() {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, tt.line, tt.wish)
				watched(s)
				random := rand.New(rand.NewPCG(seed, 1))
				s.cut = func(string) bool {
					cut := random.Float64() < 0.25
					if cut {
						kills++
					}
					return cut
				}
				s.world.write = func() error { return s.interrupted("before a write") }
				s.world.answer = func() error { return s.interrupted("after a write") }
				carriedOut(s, s.carry(), tt.wrote)
			})
			if t.Failed() {
				t.Fatalf("%s with seed %d", tt.name, seed)
			}
		}
	}
	if kills < 10*seeds {
		t.Errorf("killed %d times only", kills)
	}
}

// TestRandomTrouble mixes kills with a Heroku that fails before and after the effect,
// limits the rate, locks the formation and shows changes late.
func TestRandomTrouble(t *testing.T) {
	const seeds = 25
	for seed := range uint64(seeds) {
		for _, tt := range wishes() {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, tt.line, tt.wish)
				watched(s)
				random := rand.New(rand.NewPCG(seed, 2))
				bad := func() error {
					switch n := random.IntN(20); {
					case n < 3:
						return unavailable()
					case n == 3:
						return rateLimited()
					}
					return nil
				}
				s.cut = func(string) bool { return random.Float64() < 0.05 }
				s.world.lag = randomLag(random)
				s.world.read = bad
				s.world.write = func() error {
					if err := s.interrupted("before a write"); err != nil {
						return err
					}
					if random.IntN(6) == 0 {
						return locked()
					}
					return bad()
				}
				s.world.answer = func() error {
					if err := s.interrupted("after a write"); err != nil {
						return err
					}
					if random.IntN(3) == 0 {
						return unavailable()
					}
					return nil
				}
				carriedOut(s, s.carry(), tt.wrote)
			})
			if t.Failed() {
				t.Fatalf("%s with seed %d", tt.name, seed)
			}
		}
	}
}

// TestDeadline: a write is sent only before the deadline of its job, however fresh the
// reading is.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1 affinity preboot", plan.Wish{Verb: plan.ToScale, Web: 3})
		steps := 0
		s.cut = func(point string) bool {
			if point == "before the step" {
				if steps++; steps == 3 { // the one that writes
					s.running.told = time.Now()
				}
			}
			return false
		}
		s.world.write = func() error {
			if !time.Now().Before(s.running.Deadline()) {
				t.Error("a write was sent after the deadline")
			}
			return nil
		}
		if got := s.carry(); got.State != approval.Done {
			t.Errorf("got %s (%s), want done", got.State, got.Outcome)
		}
		s.wrote("web 1 → 3 standard-1x")
	})
}

// TestPausedBeforeTheWrite: a process that was paused between looking and writing looks
// again, and one whose lease is over does not write.
func TestPausedBeforeTheWrite(t *testing.T) {
	for _, pause := range []string{"6s", "2m"} {
		t.Run(fmt.Sprint(pause), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1 affinity preboot", plan.Wish{Verb: plan.ToScale, Web: 3})
				steps := 0
				s.cut = func(point string) bool {
					// The first step starts the ticket, the second announces, the third writes.
					if point == "before the step" {
						steps++
					}
					if point == "before the step" && steps == 3 {
						s.pause(pause)
						s.scale(7) // meanwhile
					}
					return false
				}
				got := s.carry()
				if got.State != approval.Stopped || s.world.sent != 0 {
					t.Errorf("got %s (%s) and %d writes, want it stopped and none", got.State, got.Outcome, s.world.sent)
				}
			})
		})
	}
}
