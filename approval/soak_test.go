package approval_test

import (
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/plan"
)

func soakOf(t approval.Ticket) time.Duration {
	for _, s := range t.Plan.Steps {
		if s.Kind == plan.Soak {
			return s.Wait
		}
	}
	return 0
}

// TestSoakAndTheClock: what is left of the soak goes by the clock, and makes no ticket
// stale, nor two of one.
func TestSoakAndTheClock(t *testing.T) {
	for name, c := range map[string]struct {
		asked string // the app when it is asked
		soak  time.Duration
		after time.Duration
		click string // the app at the click; default: as it was
	}{
		"affinity just on, approved at once":     {asked: "affinity=0s", soak: 10 * time.Minute},
		"affinity just on, approved in the soak": {asked: "affinity=0s", soak: 10 * time.Minute, after: 4 * time.Minute},
		"affinity just on, approved after it":    {asked: "affinity=0s", soak: 10 * time.Minute, after: 20 * time.Minute},
		"affinity on for a while":                {asked: "affinity=7m30s", soak: 3 * time.Minute, after: 20 * time.Minute},
		"off and on in between":                  {asked: "affinity", after: time.Minute, click: "affinity=-30s"}, // the rollout waits
		"not told in between":                    {asked: "affinity", after: time.Minute, click: "affinity=?"},
	} {
		for _, wish := range []string{"web=2", "enable"} {
			t.Run(wish+", "+name, func(t *testing.T) {
				b := newBench(t, everyday)
				b.setApp("standard-1x web=1 " + c.asked)
				made := b.ask(wish, "UASK")
				if got := soakOf(made); got != c.soak {
					t.Errorf("got a soak of %v, want %v", got, c.soak)
				}
				b.after(c.after)
				if c.click != "" {
					b.setApp("standard-1x web=1 " + c.click)
				}
				if again, made, err := b.Ask(t.Context(), b.askFor(wish, "UASK")); err != nil || made || again.ID != "T-1" {
					t.Errorf("asked again: got %s, made %v, %v, want T-1", again.ID, made, err)
				}
				got, outcome, err := b.Approve(t.Context(), "T-1", person("UYES"))
				if err != nil || outcome != approval.Decided || got.State != approval.Approved {
					t.Errorf("got %s, %s, %v, want it approved", got.State, outcome, err)
				}
			})
		}
	}
}

// TestResumeInTheSoak waits for what is left of the soak.
func TestResumeInTheSoak(t *testing.T) {
	b := newBench(t, everyday)
	b.setApp("standard-1x web=1")
	b.ask("enable", "UASK")
	b.approve("T-1", "UYES")
	b.end("T-1", approval.Stopped, 1)
	b.setApp("standard-1x web=1 affinity=0s")
	b.after(3 * time.Minute)
	got, made, err := b.Resume(t.Context(), b.resumeFor("T-1", "UOPS"))
	if err != nil || !made || got.State != approval.Approved || soakOf(got) != 7*time.Minute {
		t.Errorf("got %s with a soak of %v, made %v, %v; want it approved, and 7 minutes", got.State, soakOf(got), made, err)
	}
	b.end("T-2", approval.Stopped, 0)

	b.setApp("standard-1x web=1") // somebody turned it off, and nothing of the old approval was about that
	got, _, err = b.Resume(t.Context(), b.resumeFor("T-2", "UOPS"))
	if err != nil || got.State != approval.Pending || soakOf(got) != 10*time.Minute {
		t.Errorf("got %s with a soak of %v, %v; want it pending, and 10 minutes", got.State, soakOf(got), err)
	}
}
