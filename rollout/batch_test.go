package rollout_test

import (
	"context"
	"errors"
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

const small = "standard-1x web=1 worker=1"

func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := beginStreet(t, small, "standard-1x web=2 affinity", small)
		begun := time.Now()
		got := s.carry()
		if got.State != approval.Done || got.Head == "" || got.EndedAt.IsZero() || got.Waiting != "" {
			t.Errorf("got %s (%s), head %q, ended %v, waiting %q", got.State, got.Outcome, got.Head, got.EndedAt, got.Waiting)
		}
		if states := s.states(); states != "done done done" {
			t.Errorf("got %s, want all done", states)
		}
		s.order[0].wrote(t, affinityOn, scaleUp, prebootOn)
		s.order[1].wrote(t, prebootOn)
		s.order[2].wrote(t, affinityOn, scaleUp, prebootOn)
		// Twice soak and settle, the pause after the canary and the other one.
		if took := time.Since(begun); took < 39*time.Minute || took > 41*time.Minute {
			t.Errorf("it took %v, want 39 minutes and little more", took)
		}
		says(t, "outcome", got.Outcome, "All 3 are done, in 39m: `shop`, `blog` and `crm`.")
		for i, one := range s.tickets() {
			if one.State != approval.Done || one.Requester != "U1" || len(one.Votes) != 1 || one.Head == "" {
				t.Errorf("part %d: got %+v", i+1, one)
			}
		}
		if told := s.desk.told(); strings.Count(told, "started") != 4 || strings.Count(told, "finished") != 4 {
			t.Errorf("the ledger tells\n%s\nwant that four tickets started and finished", told)
		}
		for _, p := range got.Parts {
			if p.Doing != "" || p.Outcome == "" || p.EndedAt.IsZero() {
				t.Errorf("got %+v", p)
			}
		}
	})
}

// wrote holds the writes of an app that had an effect against want.
func (w *world) wrote(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.writes, want) {
		t.Errorf("%s: writes with an effect:\n got %q\nwant %q", w.app.Name, w.writes, want)
	}
}

// TestBatchWaiting is what a batch says while it is under way, and how often it changes.
func TestBatchWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := beginStreet(t, small, "standard-1x web=2 affinity")
		var said []string
		s.heed = func(string) {
			b := s.now("T-1")
			text := []string{b.Waiting}
			for _, p := range b.Parts {
				text = append(text, p.Doing)
			}
			if line := strings.Join(text, "|"); len(said) == 0 || said[len(said)-1] != line {
				said = append(said, line)
			}
		}
		got := s.carry()
		want := `||
|It starts in its turn.|
|1 of 5 steps done. Until 00:10 UTC. No dyno is added before that.|
|3 of 5 steps done. Until 00:16 UTC at least, and until all 2 web dynos are up: 1 of 2 just now.|
|3 of 5 steps done. Until 00:16 UTC at least, and until all 2 web dynos are up: 2 of 2 just now.|
` + "`shop` is done. Until 00:21 UTC it is left to itself; then I look at it once more, and begin with `blog`.||\n" +
			`||It starts in its turn.`
		if text := strings.Join(said, "\n"); text != want {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
		if got.Rev > 20 { // each is an update of every message in Slack
			t.Errorf("the batch changed %d times", got.Rev)
		}
	})
}

// TestBatchStops is all that keeps a batch from going on: nothing further begins, and it
// says what.
func TestBatchStops(t *testing.T) {
	three := []string{small, small, small}
	const pausing = 16*time.Minute + 30*time.Second // after the beginning of a part: it is done, and the next has not begun
	tests := map[string]struct {
		lines  []string
		act    func(*street)
		state  approval.State
		states string
		say    []string
	}{
		"the canary fails": {three, func(s *street) {
			s.order[0].write = func() error { return &fleet.Problem{Kind: fleet.Refused, Message: "Your plan does not allow that."} }
		}, approval.Failed, "failed - -", []string{
			"`shop`, 1 of 3, failed. `session affinity on` was refused: `Your plan does not allow that.`. Nothing was changed.",
			"Not begun: `blog` and `crm`.", "`/zdd enable blog crm`",
		}},
		"the canary crashes while it settles": {three, func(s *street) { s.order[0].crash[2] = true }, approval.Stopped, "stopped - -",
			[]string{"`shop`, 1 of 3, stopped. `web.2` crashed", "Not done: `preboot on`.", "`/zdd resume T-2`", "Not begun: `blog` and `crm`."}},
		"the canary crashes in the pause": {three, func(s *street) {
			s.on(1, pausing, func() { s.order[0].mu.Lock(); s.order[0].crash[2] = true; s.order[0].mu.Unlock() })
		}, approval.Stopped, "done - -", []string{"`shop` was done, and by now its `web.2` has crashed", "Done: `shop`.", "Not begun: `blog` and `crm`.", "`/zdd enable blog crm`"}},
		"the canary is undone in the pause": {three, func(s *street) { s.on(1, pausing, func() { s.scaled(1, 1) }) }, approval.Stopped, "done - -",
			[]string{"`shop` was ready when it was done, and is not any more. `web` is at 1 × standard-1x and should be at 2 × standard-1x. That came about between", "Done: `shop`."}},
		"one before the last one is undone, as a look has seen": {three, func(s *street) {
			s.on(2, pausing, func() {
				s.switchOff(1, fleet.Preboot)
				t := s.now("T-2")
				t.Later = append(t.Later, approval.Look{At: time.Now(), Text: "Preboot is off and should be on."})
				s.desk.tickets["T-2"] = t
			})
		}, approval.Stopped, "done done -", []string{"`shop` was ready when it was done", "Preboot is off and should be on", "Done: `shop` and `blog`.", "Not begun: `crm`.", "`/zdd enable crm`"}},
		"the second was changed by hand meanwhile": {three, func(s *street) { s.on(1, 5*time.Minute, func() { s.scaled(2, 4) }) }, approval.Stopped, "done stale -", []string{
			"`blog`, 2 of 3, could not begin. The app is not as it was when this was decided: `web` is at 4 × standard-1x and was at 1 × standard-1x. Nothing was changed on it. " +
				"Done: `shop`. Not begun: `blog` and `crm`. To plan that anew: `/zdd enable blog crm`.",
		}},
		"the policy changed in between": {three, func(s *street) {
			s.on(1, 5*time.Minute, func() { s.policy.People.Operators = []string{"U1"} })
		}, approval.Stopped, "done stale -", []string{"The policy has changed since this was asked for.", "Done: `shop`.", "Not begun: `blog` and `crm`."}},
		"Heroku is down for long in a part": {three, func(s *street) {
			s.on(2, 5*time.Minute, func() { s.down(3 * time.Hour) })
		}, approval.Failed, "done failed -", []string{"`blog`, 2 of 3, failed. It got nowhere for 2h: Heroku", "Done: `shop`.", "`/zdd resume T-3`"}},
		"Heroku is down for long in the pause": {three, func(s *street) { s.on(1, pausing, func() { s.down(3 * time.Hour) }) }, approval.Failed, "done - -",
			[]string{"It got nowhere for 2h: `shop` is done, and could not be looked at again", "Done: `shop`.", "Not begun: `blog` and `crm`."}},
		"Heroku is down for an hour in the pause": {three, func(s *street) { s.on(1, pausing, func() { s.down(time.Hour) }) }, approval.Done, "done done done", []string{"All 3 are done"}},
		"the canary is deleted in the pause": {three, func(s *street) {
			s.on(1, pausing, func() {
				s.order[0].read = func() error { return &fleet.Problem{Kind: fleet.NotFound, Message: "Couldn't find that app."} }
			})
		}, approval.Failed, "done - -", []string{"`shop` is done, and could not be looked at again", "Couldn't find that app.", "Not begun: `blog` and `crm`."}},
		"cancelled in the pause": {three, func(s *street) { s.on(1, pausing, func() { s.cancel("T-1") }) }, approval.Stopped, "done - -",
			[]string{"It was cancelled while it ran. Done: `shop`. Not begun: `blog` and `crm`.", "`/zdd enable blog crm`"}},
		"a part is cancelled": {three, func(s *street) { s.on(2, 5*time.Minute, func() { s.cancel("T-3") }) }, approval.Stopped, "done stopped -",
			[]string{"`blog`, 2 of 3, stopped. It was cancelled while it ran.", "Done, and read back: `session affinity on`", "Done: `shop`.", "Not begun: `crm`."}},
		"a part is cancelled before it starts": {three, func(s *street) {
			s.heed = func(id string) {
				if id == "T-3" && s.now("T-3").State == approval.Approved {
					s.cancel("T-3")
				}
			}
		}, approval.Stopped, "done cancelled -", []string{"`blog`, 2 of 3, was cancelled before it began. Nothing was changed on it.", "Done: `shop`.", "Not begun: `blog` and `crm`."}},
		"a part is cancelled at its last step": {three, func(s *street) {
			s.atTheLast(2, "T-3")
		}, approval.Stopped, "done done -", []string{"`blog`, 2 of 3, was cancelled at its last step, and is done (`T-3`). Done: `shop` and `blog`. Not begun: `crm`."}},
		"the batch is cancelled at the last step of a part": {three, func(s *street) {
			s.atTheLast(2, "T-1")
		}, approval.Stopped, "done done -", []string{"It was cancelled while it ran. Done: `shop` and `blog`. Not begun: `crm`."}},
		"cancelled at the last step of the last part": {three, func(s *street) {
			s.atTheLast(3, "T-1")
		}, approval.Done, "done done done", []string{"All 3 are done"}},
		"the requester is gone before the second begins": {three, func(s *street) {
			s.on(1, 5*time.Minute, func() { s.allowed = func() (string, error) { return "The requester is no operator any more.", nil } })
		}, approval.Stopped, "done - -", []string{"The requester is no operator any more. Done: `shop`. Not begun: `blog` and `crm`."}},
		"not allowed from the beginning": {three, func(s *street) {
			s.allowed = func() (string, error) { return "The requester is no operator any more.", nil }
		}, approval.Stale, "- - -", []string{"The requester is no operator any more. Nothing was changed. To plan it anew: `/zdd enable shop blog crm`."}},
		"the database was altered": {three, func(s *street) {
			begun := time.Now()
			s.cfg.Proof = func(_ context.Context, got approval.Ticket) (string, error) {
				if got.ID == "T-1" && time.Since(begun) > 17*time.Minute {
					return "T-1 is not what the ledger tells was asked for", nil
				}
				return "", nil
			}
		}, approval.Stopped, "done - -", []string{"T-1 is not what the ledger tells was asked for. Done: `shop`."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := beginStreet(t, tt.lines...)
				tt.act(s)
				got := s.carry()
				if states := s.states(); got.State != tt.state || states != tt.states {
					t.Errorf("got %s, %s (%s); want %s, %s", got.State, states, got.Outcome, tt.state, tt.states)
				}
				says(t, "outcome", got.Outcome, tt.say...)
				if got.Head == "" || got.EndedAt.IsZero() || got.Waiting != "" || !got.Trouble.IsZero() {
					t.Errorf("got head %q, ended %v, waiting %q, trouble %v", got.Head, got.EndedAt, got.Waiting, got.Trouble)
				}
				for i, p := range got.Parts {
					if p.Ticket == "" {
						s.untouched(i + 1)
					}
				}
			})
		})
	}
}

// down makes Heroku unavailable for a time.
func (s *street) down(d time.Duration) {
	until := time.Now().Add(d)
	for _, w := range s.order {
		w.mu.Lock()
		w.read = func() error {
			if time.Now().Before(until) {
				return unavailable()
			}
			return nil
		}
		w.mu.Unlock()
	}
}

// TestBatchGoesOn is what does not keep a batch from going on.
func TestBatchGoesOn(t *testing.T) {
	tests := map[string]func(*street){
		"the canary is scaled up in the pause": func(s *street) { s.on(1, 17*time.Minute, func() { s.scaled(1, 5) }) },
		"a deploy of the canary in the pause": func(s *street) {
			s.on(1, 17*time.Minute, func() {
				s.order[0].change(func(a *fleet.App) {
					a.Release = fleet.Known(fleet.Release{Version: 43, Status: "succeeded", CreatedAt: time.Now()})
				})
				s.order[0].mu.Lock()
				s.order[0].born = []time.Time{time.Now(), time.Now()}
				s.order[0].mu.Unlock()
			})
		},
		"a look could not tell whether it is still so": func(s *street) {
			s.on(2, time.Minute, func() {
				t := s.now("T-2")
				t.Later = append(t.Later, approval.Look{At: time.Now(), Text: "Whether it is still so could not be found out: it timed out."})
				s.desk.tickets["T-2"] = t
			})
		},
		"whether the canary is still ready can't be told for an hour": func(s *street) {
			judge, begun := s.cfg.Judge, time.Now()
			s.cfg.Judge = func(ctx context.Context, app fleet.App) string {
				if d := time.Since(begun); d > 17*time.Minute && d < 77*time.Minute {
					return "unknown"
				}
				return judge(ctx, app)
			}
		},
		"who may do it can't be found out for an hour": func(s *street) {
			s.on(1, 17*time.Minute, func() {
				until := time.Now().Add(time.Hour)
				s.allowed = func() (string, error) {
					if time.Now().Before(until) {
						return "", errors.New("usergroups.users.list: ratelimited")
					}
					return "", nil
				}
			})
		},
	}
	for name, act := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := beginStreet(t, small, small, small)
				act(s)
				if got := s.carry(); got.State != approval.Done || s.states() != "done done done" {
					t.Errorf("got %s, %s (%s); want all done", got.State, s.states(), got.Outcome)
				}
			})
		})
	}
}

// TestBatchPause: the pauses are the policy's, that after the canary is at least five
// minutes, and both are hurried with the rest.
func TestBatchPause(t *testing.T) {
	const quick = "standard-1x web=2 affinity" // one step, no wait
	for pause, want := range map[time.Duration][2]time.Duration{
		2 * time.Minute: {5 * time.Minute, 2 * time.Minute},
		8 * time.Minute: {8 * time.Minute, 8 * time.Minute},
	} {
		for _, hurry := range []int{1, 60} {
			synctest.Test(t, func(t *testing.T) {
				s := beginStreet(t, quick, quick, quick)
				s.policy.Rollout.Pause, s.cfg.Timing = pause, rollout.Timing{Hurry: hurry, Glance: time.Second}
				s.ownPolicy()
				if got := s.carry(); got.State != approval.Done {
					t.Fatalf("got %s (%s), want done", got.State, got.Outcome)
				}
				all := s.tickets()
				for i, want := range want {
					want /= time.Duration(hurry)
					if got := all[i+1].Progress[0].Intended.Sub(all[i].EndedAt); got < want || got > want+3*time.Second {
						t.Errorf("pause %v hurried %d times: part %d began %v after the one before, want %v", pause, hurry, i+2, got, want)
					}
				}
			})
		}
	}
}

// ownPolicy has the batch be asked for under the policy of now.
func (s *street) ownPolicy() {
	b := s.now("T-1")
	b.Policy = s.policy.Digest()
	var plans []plan.Plan
	for i, w := range s.order {
		b.Parts[i].Plan = plan.For(w.app, s.policy.For(w.app), enable(), time.Now())
		plans = append(plans, b.Parts[i].Plan)
	}
	b.Plan = plan.Together(plans)
	s.desk.tickets["T-1"] = copied(b)
}

// TestBatchClockSetBack: a pause that is told to begin in the future begins anew.
func TestBatchClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := beginStreet(t, small, small)
		begun := time.Now()
		s.on(1, 17*time.Minute+time.Second, func() { s.set.Store(int64(-12 * time.Hour)) })
		got := s.carry()
		if took := time.Since(begun); got.State != approval.Done || took < 38*time.Minute || took > 40*time.Minute {
			t.Errorf("got %s (%s) after %v, want it done after 38 minutes: a pause begun twice", got.State, got.Outcome, took)
		}
	})
}

// TestBatchReadOnly: a bot that may change nothing begins with nothing further, and
// says why; and then it goes on.
func TestBatchReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := beginStreet(t, small, small)
		why := "I can look but not change anything: the key is not set. Nothing was changed."
		s.on(1, 17*time.Minute, func() {
			s.cfg.ReadOnly = why
			s.act(3*time.Hour, func() {
				says(t, "waiting", s.now("T-1").Waiting, "the key is not set.")
				s.untouched(2)
				s.cfg.ReadOnly = ""
			})
		})
		if got := s.carry(); got.State != approval.Done || s.states() != "done done" {
			t.Errorf("got %s, %s (%s); want all done in the end", got.State, s.states(), got.Outcome)
		}
	})
}

// TestBatchOfAnotherTicket: a part's place that names another ticket, or none that there
// is, is no part that is done.
func TestBatchOfAnotherTicket(t *testing.T) {
	for name, put := range map[string]string{"another ticket": "T-9", "no ticket": "T-77"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := beginStreet(t, small, small)
				other := s.now("T-1")
				other.ID, other.State, other.Parts, other.Plan, other.Origin = "T-9", approval.Done, nil, other.Parts[0].Plan, "other"
				s.desk.tickets["T-9"] = other
				b := s.now("T-1")
				b.State, b.Parts[0].Ticket, b.Parts[0].State = approval.Running, put, approval.Running
				s.desk.tickets["T-1"] = b
				got := s.carry()
				if got.State != approval.Stopped {
					t.Errorf("got %s, want it stopped", got.State)
				}
				says(t, "outcome", got.Outcome, "is not the ticket that I made for `shop`: the database was altered. Not begun: `blog`.")
				says(t, "part", got.Parts[0].Outcome, "What came of it is not known.")
				s.untouched(1, 2)
			})
		})
	}
}
