package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/rollout"
)

func enable() plan.Wish { return plan.Wish{Verb: plan.ToEnable} }

const (
	affinityOn = "session affinity on"
	scaleUp    = "web 1 → 2 standard-1x"
	prebootOn  = "preboot on"
)

func TestHappyPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1 worker=1", enable())
		begun := time.Now()
		got := s.carry()
		if got.State != approval.Done || got.Verdict != "ready" || got.Waiting != "" || got.Head != "#10 abababababab" || got.EndedAt.IsZero() {
			t.Errorf("got %s, verdict %q, waiting %q, head %q, ended %v", got.State, got.Verdict, got.Waiting, got.Head, got.EndedAt)
		}
		s.wrote(affinityOn, scaleUp, prebootOn)
		if took := time.Since(begun); took < 16*time.Minute || took > 17*time.Minute {
			t.Errorf("it took %v, want the soak and the settle, 16 minutes, and little more", took)
		}
		says(t, "outcome", got.Outcome, "Done in 16m", "session affinity is on, `web` is at 2 × standard-1x and preboot is on", "Read back from Heroku at")
		want := `started
step-intended session affinity on
step-done session affinity on
step-done wait 10m so that visitors get the affinity cookie 10m0s
step-intended web 1 → 2 standard-1x
step-done web 1 → 2 standard-1x
step-done wait until the new dynos are up, at least 6m 6m0s
step-intended preboot on
step-done preboot on
finished`
		if told := s.desk.told(); told != want {
			t.Errorf("ledger:\n%s\nwant:\n%s", told, want)
		}
		for i, p := range got.Progress {
			if p.Done.IsZero() || p.Intended.IsZero() || p.Already {
				t.Errorf("step %d: got %+v", i, p)
			}
		}
		if b, a := got.Progress[2].Before, got.Progress[2].After; b.Processes[0].Quantity != 1 || a.Processes[0].Quantity != 2 {
			t.Errorf("scale: got before %+v, after %+v", b, a)
		}
		var looks []string
		for _, w := range s.desk.work {
			looks = append(looks, w.Kind+" "+w.Key+" "+w.At.Sub(got.EndedAt).String())
		}
		if got, want := strings.Join(looks, ", "), "look T-1:0 2m0s, look T-1:1 15m0s, look T-1:2 1h0m0s"; got != want {
			t.Errorf("work: got %s, want %s", got, want)
		}
		if err := s.turn("T-1"); err != nil || s.world.sent != 3 {
			t.Errorf("once more: got %v and %d writes, want nothing and 3", err, s.world.sent)
		}
	})
}

// TestWaiting is what the ticket says while it waits, and how often it changes.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		var said []string
		for {
			err := s.turn("T-1")
			if err == nil {
				break
			}
			if w := s.now("T-1").Waiting; len(said) == 0 || said[len(said)-1] != w {
				said = append(said, w)
			}
			l, _ := errors.AsType[*later](err)
			time.Sleep(time.Until(l.at))
		}
		want := `Until 00:10 UTC. No dyno is added before that.
Until 00:16 UTC at least, and until all 2 web dynos are up: 1 of 2 just now.
Until 00:16 UTC at least, and until all 2 web dynos are up: 2 of 2 just now.`
		if got := strings.Join(said, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if rev := s.now("T-1").Rev; rev > 15 { // each is an update of every message in Slack
			t.Errorf("the ticket changed %d times", rev)
		}
	})
}

func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		s.cfg.Timing = rollout.Timing{Hurry: 60}
		got := s.carry()
		s.wrote(affinityOn, scaleUp, prebootOn)
		says(t, "outcome", got.Outcome, "Done in 16s.")
	})
}

// TestBeforeTheStart is about what ends a ticket before anything is done, or delays it.
func TestBeforeTheStart(t *testing.T) {
	tests := map[string]struct {
		change func(*stage)
		state  approval.State
		say    []string
	}{
		"a deploy in between": {func(s *stage) {
			s.world.change(func(a *fleet.App) {
				a.Release = fleet.Known(fleet.Release{Version: 43, Status: "succeeded", CreatedAt: time.Now()})
			})
		}, approval.Done, []string{"Done in 16m"}},
		"scaled by hand": {func(s *stage) { s.scale(4) }, approval.Stale,
			[]string{"`web` is at 4 × standard-1x and was at 1 × standard-1x.", "Nothing was changed.", "`/zdd enable shop`"}},
		"affinity on by hand": {func(s *stage) { s.feature(fleet.SessionAffinity, true) }, approval.Stale, []string{"session affinity is on and was off"}},
		"all of it by hand": {func(s *stage) {
			s.feature(fleet.SessionAffinity, true)
			s.feature(fleet.Preboot, true)
			s.scale(2)
		}, approval.Stale, []string{"session affinity is on", "`web` is at 2", "preboot is on"}},
		"policy changed": {func(s *stage) { s.policy.People.Operators = []string{"U1"} }, approval.Stale, []string{"The policy has changed since this was asked for. Nothing was changed."}},
		"preboot on by hand, which no step is about": {func(s *stage) {
			s.desk.tickets = map[string]approval.Ticket{}
			s.ticket("T-1", plan.Wish{Verb: plan.ToAffinity, On: true})
			s.feature(fleet.Preboot, true)
		}, approval.Stale, []string{"what they stand on has changed", "a setting of the app that no step is about"}},
		"policy wants more, of a ticket that does not know its policy": {func(s *stage) { s.forgetPolicy(); s.policy.Requirements.WebDynos = 3 }, approval.Stale, []string{"$25.00", "$50.00"}},
		"policy forbids, of a ticket that does not know its policy":    {func(s *stage) { s.forgetPolicy(); s.policy.Limits.WebDynos = 1 }, approval.Stale, []string{"limits.web_dynos", "Nothing was changed."}},
		"an autoscaling add-on": {func(s *stage) {
			s.world.change(func(a *fleet.App) {
				a.AddOns = fleet.Known([]fleet.AddOn{{Service: "judoscale", Plan: "judoscale:small"}})
			})
		}, approval.Stale, []string{"Something else scales the app: `judoscale`"}},
		"not allowed any more": {func(s *stage) {
			s.allowed = func() (string, error) { return "The requester is no operator any more.", nil }
		},
			approval.Stale, []string{"The requester is no operator any more. Nothing was changed."}},
		"the app is gone": {func(s *stage) {
			s.world.read = func() error { return &fleet.Problem{Kind: fleet.NotFound, Message: "Couldn't find that app."} }
		}, approval.Stale, []string{"`Couldn't find that app.`", "Nothing was changed."}},
		"suspended": {func(s *stage) {
			s.world.read = func() error { return &fleet.Problem{Kind: fleet.Suspended, Message: "Suspended."} }
		}, approval.Failed, []string{"The app is suspended: `Suspended.`", "Nothing was changed."}},
		"features unread for a while": {func(s *stage) { s.unread(20 * time.Minute) }, approval.Done, []string{"Done in 16m"}},
		"features unread for good":    {func(s *stage) { s.unread(200 * time.Minute) }, approval.Failed, []string{"It got nowhere for 2h", "the features could not be read", "Nothing was changed.", "`/zdd enable shop`"}},
		"groups unreadable for a while": {func(s *stage) {
			until := time.Now().Add(time.Hour)
			s.allowed = func() (string, error) {
				if time.Now().Before(until) {
					return "", errors.New("usergroups.users.list: ratelimited")
				}
				return "", nil
			}
		}, approval.Done, []string{"Done in"}},
		"groups unreadable for good": {func(s *stage) {
			s.allowed = func() (string, error) { return "", errors.New("usergroups.users.list: ratelimited") }
		}, approval.Failed, []string{"whether this may still be done could not be found out", "Nothing was changed."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1", enable())
				tt.change(s)
				got := s.carry()
				if got.State != tt.state {
					t.Errorf("got %s (%s), want %s", got.State, got.Outcome, tt.state)
				}
				says(t, "outcome", got.Outcome, tt.say...)
				if got.State != approval.Done {
					s.wrote()
				}
				if got.Head == "" || got.EndedAt.IsZero() || got.Waiting != "" {
					t.Errorf("got head %q, ended %v, waiting %q", got.Head, got.EndedAt, got.Waiting)
				}
			})
		})
	}
}

// forgetPolicy makes the ticket one of before tickets knew their policy.
func (s *stage) forgetPolicy() {
	t := s.now("T-1")
	t.Policy = ""
	s.desk.tickets["T-1"] = t
}

func (s *stage) scale(n int) { s.world.scale(n) }

func (w *world) scale(n int) {
	w.change(func(a *fleet.App) {
		processes, _ := a.Formation.Get()
		next := append([]fleet.Process(nil), processes...)
		for i := range next {
			if next[i].Type == "web" {
				next[i].Quantity = n
			}
		}
		a.Formation = fleet.Known(next)
	})
}

func (s *stage) feature(name string, on bool) {
	s.world.change(func(a *fleet.App) {
		*a = switched(*a, plan.Step{To: plan.State{Feature: &plan.Feature{Name: name, On: on}}})
	})
}

// unread makes the features unreadable for a time.
func (s *stage) unread(d time.Duration) {
	features := s.world.app.Features
	s.world.app.Features = fleet.Unknown[map[string]fleet.Feature](fleet.Reason{Kind: fleet.Unavailable, Text: "Heroku did not answer"})
	until := time.Now().Add(d)
	s.world.read = func() error {
		if !time.Now().Before(until) {
			s.world.change(func(a *fleet.App) {
				if !a.Features.IsKnown() {
					a.Features = features
				}
			})
		}
		return nil
	}
}

// after has f happen a time after the write of a step took effect.
func (s *stage) after(step string, d time.Duration, f func()) {
	s.world.log = func(done string) {
		if done == step {
			time.AfterFunc(d, f)
		}
	}
}

// TestSurprises are what people and platforms do while a rollout runs.
func TestSurprises(t *testing.T) {
	resumeAndUndo := []string{"`/zdd resume T-1`", "`/zdd undo T-1`"}
	tests := map[string]struct {
		act   func(*stage)
		wrote []string
		say   []string
	}{
		"scaled by hand while it soaks": {func(s *stage) { s.after(affinityOn, 3*time.Minute, func() { s.scale(6) }) }, []string{affinityOn},
			[]string{"`web` is at 6 × standard-1x and was at 1 × standard-1x when this was decided. I did not do that", "Done, and read back: `session affinity on`.", "Not done: `web 1 → 2 standard-1x` and `preboot on`."}},
		"web stopped while it soaks": {func(s *stage) { s.after(affinityOn, time.Minute, func() { s.scale(0) }) }, []string{affinityOn}, []string{"`web` is at 0"}},
		"web gone": {func(s *stage) {
			s.after(affinityOn, time.Minute, func() {
				s.world.change(func(a *fleet.App) {
					a.Formation = fleet.Known([]fleet.Process{{Type: "webhooks", Quantity: 2, Size: "standard-1x"}})
				})
			})
		}, []string{affinityOn}, []string{"no process type web any more"}},
		"affinity off while it soaks": {func(s *stage) { s.after(affinityOn, time.Minute, func() { s.feature(fleet.SessionAffinity, false) }) }, []string{affinityOn},
			[]string{"Session affinity is off and should be on, after I had read it back"}},
		"autoscaler on while it soaks": {func(s *stage) {
			s.after(affinityOn, time.Minute, func() {
				s.world.change(func(a *fleet.App) { a.Autoscaler = fleet.Known(fleet.Autoscaler{Active: true, Min: 1, Max: 4}) })
			})
		}, []string{affinityOn}, []string{"Heroku's autoscaler is on by now, from 1 to 4 web dynos"}},
		"scaling add-on while it soaks": {func(s *stage) {
			s.after(affinityOn, time.Minute, func() {
				s.world.change(func(a *fleet.App) { a.AddOns = fleet.Known([]fleet.AddOn{{Service: "judoscale"}}) })
			})
		}, []string{affinityOn}, []string{"`judoscale`"}},
		"autoscaler moves it back while it settles": {func(s *stage) { s.after(scaleUp, 2*time.Minute, func() { s.scale(1) }) }, []string{affinityOn, scaleUp},
			[]string{"`web` is at 1 × standard-1x and should be at 2 × standard-1x", "Not done: `preboot on`."}},
		"second dyno crashes": {func(s *stage) { s.world.crash[2] = true }, []string{affinityOn, scaleUp}, []string{"`web.2` crashed at 00:10 UTC", "`heroku logs --tail --app shop`"}},
		"first dyno crashes":  {func(s *stage) { s.world.crash[1] = true }, []string{affinityOn}, []string{"`web.1` crashed", "Not done: `web 1 → 2 standard-1x`"}}, // before there is a second to pay for
		"first dyno crashes while it settles": {func(s *stage) {
			s.after(scaleUp, time.Minute, func() { s.world.change(func(*fleet.App) { s.world.crash[1] = true }) })
		}, []string{affinityOn, scaleUp}, []string{"`web.1` crashed"}},
		"dyno never comes up": {func(s *stage) {
			s.world.log = func(step string) {
				if step == scaleUp {
					s.world.born[1] = time.Now().Add(24 * time.Hour)
				}
			}
		}, []string{affinityOn, scaleUp}, []string{"Only 1 of 2 web dynos are up after 36m"}},
		"a release that stays in its release phase": {func(s *stage) {
			s.after(affinityOn, time.Minute, func() {
				s.world.change(func(a *fleet.App) {
					a.Release = fleet.Known(fleet.Release{Version: 43, Status: "pending", CreatedAt: time.Now()})
				})
			})
		}, []string{affinityOn}, []string{"It could not go on for 2h", "Release v43 is in its release phase"}},
		"undone just before the end": {func(s *stage) {
			s.world.answer = func() error {
				if s.world.sent == 3 {
					n := 0
					s.world.read = func() error { // the second reading after the last write is the one of the end
						if n++; n == 2 {
							s.feature(fleet.Preboot, false)
						}
						return nil
					}
				}
				return nil
			}
		}, []string{affinityOn, scaleUp, prebootOn}, []string{"Preboot is off and should be on"}},
		"changed at the same moment": {func(s *stage) {
			s.world.answer = func() error {
				if s.world.sent == 2 {
					s.scale(5)
				}
				return nil
			}
		}, []string{affinityOn, scaleUp}, []string{"`web` is at 5 × standard-1x and should be at 2 × standard-1x", "at the same moment",
			"Sent and accepted, then changed by somebody: `web 1 → 2 standard-1x`; now `web` is at 5 × standard-1x.", "Not done: `preboot on`."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1", enable())
				tt.act(s)
				got := s.carry()
				if got.State != approval.Stopped {
					t.Errorf("got %s, want stopped", got.State)
				}
				if name == "autoscaler moves it back while it settles" && got.EndedAt.Sub(got.Progress[2].Done) > 3*time.Minute {
					t.Errorf("it was seen at %v only, want it within a look", got.EndedAt)
				}
				says(t, "outcome", got.Outcome, append(tt.say, resumeAndUndo...)...)
				s.wrote(tt.wrote...)
				if e := s.desk.entries[len(s.desk.entries)-1]; e.Verb != ledger.Stopped || e.Ticket != "T-1" || e.Name != "shop" {
					t.Errorf("last entry: got %+v", e)
				}
			})
		})
	}
}

// TestCrashThatWasForeseen: whoever approved more dynos of an app that has crashed was told so.
func TestCrashThatWasForeseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1 crashed=web.1", enable())
		s.world.crash[1] = true
		if got := s.carry(); got.State != approval.Stopped {
			t.Errorf("got %s, want stopped", got.State)
		}
		s.wrote(affinityOn, scaleUp)
	})
}

// TestAffinityThatWasOnFromTheStart: no step of the plan is about it, and yet no second
// web dyno may start without it.
func TestAffinityThatWasOnFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "basic web=1 affinity", plan.Wish{Verb: plan.ToEnable, Size: "standard-1x"})
		s.world.answer = func() error {
			if s.world.sent == 1 {
				s.feature(fleet.SessionAffinity, false)
			}
			return nil
		}
		got := s.carry()
		s.wrote("web basic → standard-1x")
		if got.State != approval.Stopped {
			t.Errorf("got %s, want stopped", got.State)
		}
		says(t, "outcome", got.Outcome, "Session affinity is off, which the policy requires")
	})
}

func TestSomebodyWasFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		s.after(affinityOn, time.Minute, func() { s.feature(fleet.Preboot, true) })
		got := s.carry()
		s.wrote(affinityOn, scaleUp)
		if got.State != approval.Done || !got.Progress[4].Already || got.Progress[0].Already {
			t.Errorf("got %s, progress %+v", got.State, got.Progress)
		}
		says(t, "outcome", got.Outcome, "Somebody was faster than I with `preboot on`")
	})
}

func TestCancelWhileItRuns(t *testing.T) {
	halt := func(s *stage) func() { return s.halt }
	tests := map[string]struct {
		act   func(*stage)
		wrote []string
		at    time.Duration // the latest end
	}{
		"while it looks before the first step": {func(s *stage) {
			n := 0
			s.world.read = func() error {
				if n++; n == 2 { // the first reading is the start's
					halt(s)()
				}
				return nil
			}
		}, nil, time.Second},
		"before the first step": {func(s *stage) { s.world.read = once(halt(s)) }, nil, time.Second},
		"while it soaks":        {func(s *stage) { s.after(affinityOn, 5*time.Minute, halt(s)) }, []string{affinityOn}, 5*time.Minute + 16*time.Second},
		"while a write is sent": {func(s *stage) { s.world.answer = func() error { halt(s)(); return nil } }, []string{affinityOn}, time.Second},
		"while it settles":      {func(s *stage) { s.after(scaleUp, time.Minute, halt(s)) }, []string{affinityOn, scaleUp}, 11*time.Minute + 21*time.Second},
		"while a write is unsure": {func(s *stage) {
			// It took effect, but nothing tells for a quarter of an hour.
			s.world.answer = func() error {
				until := time.Now().Add(15 * time.Minute)
				s.world.read = func() error {
					if time.Now().Before(until) {
						halt(s)()
						return unavailable()
					}
					return nil
				}
				return unavailable()
			}
		}, []string{affinityOn}, 18 * time.Minute},
		"while it was not even sent": {func(s *stage) {
			s.world.write = func() error { halt(s)(); return unavailable() }
		}, nil, time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1", enable())
				begun := time.Now()
				tt.act(s)
				got := s.carry()
				s.wrote(tt.wrote...)
				if took := time.Since(begun); got.State != approval.Stopped || took > tt.at {
					t.Errorf("got %s after %v, want stopped after %v at the latest", got.State, took, tt.at)
				}
				says(t, "outcome", got.Outcome, "It was cancelled while it ran.", "`/zdd resume T-1`")
				if len(tt.wrote) == 0 {
					says(t, "outcome", got.Outcome, "Nothing was changed.")
				} else {
					says(t, "outcome", got.Outcome, "Done, and read back: `session affinity on`")
				}
				if strings.Contains(got.Outcome, "U2") {
					t.Errorf("outcome: %q tells an id", got.Outcome)
				}
			})
		})
	}
}

// halt is what Cancel does to a ticket that runs.
func (s *stage) halt() {
	_, _ = s.desk.ChangeTicket(s.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
		t.Halt = "U2"
		return approval.Change{}, nil
	})
}

// once has f happen at the first call only.
func once(f func()) func() error {
	done := false
	return func() error {
		if !done {
			done = true
			// The caller holds no lock, but the ticket's turn is under way.
			f()
		}
		return nil
	}
}

// TestHandOver: what a hand-over would block waits, and says so.
func TestHandOver(t *testing.T) {
	release := func(s *stage, status string, age time.Duration) {
		s.world.change(func(a *fleet.App) {
			a.Release = fleet.Known(fleet.Release{Version: 43, Status: status, CreatedAt: time.Now().Add(-age)})
		})
	}
	tests := map[string]struct {
		act  func(*stage)
		from time.Duration // the write comes no sooner
		to   time.Duration // and no later
		say  string
	}{
		"nothing in the way":      {func(*stage) {}, 0, time.Second, ""},
		"a release just made":     {func(s *stage) { release(s, "succeeded", 0) }, 6 * time.Minute, 6*time.Minute + time.Second, "Release v43 went out at 00:00 UTC, and preboot may still be handing over to it: I wait until 00:06 UTC before web 1 → 3 standard-1x."},
		"an older release":        {func(s *stage) { release(s, "succeeded", 4*time.Minute) }, 2 * time.Minute, 2*time.Minute + time.Second, "Release v43 went out at 23:56 UTC"},
		"a release of the future": {func(s *stage) { release(s, "succeeded", -time.Minute) }, 7 * time.Minute, 7*time.Minute + time.Second, "Release v43 went out at 00:01 UTC"},
		"a failed release":        {func(s *stage) { release(s, "failed", 0) }, 0, time.Second, ""},
		"a release phase": {func(s *stage) {
			release(s, "pending", 20*time.Minute)
			time.AfterFunc(10*time.Minute, func() {
				release(s, "succeeded", 30*time.Minute)
				s.world.change(func(*fleet.App) { s.world.born = []time.Time{time.Now()} }) // its dynos start now
			})
		}, 16 * time.Minute, 17 * time.Minute, "Release v43 is in its release phase"},
		"a release phase that ended before anybody looked": {func(s *stage) {
			s.world.change(func(a *fleet.App) {
				a.Release = fleet.Known(fleet.Release{Version: 43, Status: "succeeded", CreatedAt: time.Now().Add(-time.Hour), UpdatedAt: time.Now().Add(-2 * time.Minute)})
			})
		}, 4 * time.Minute, 4*time.Minute + time.Second, "Release v43 went out at 23:58 UTC on 31 December 1999, and preboot may still be handing over to it: I wait until 00:04 UTC"},
		"dynos that can't be read, of which a restart would be seen": {func(s *stage) {
			s.world.change(func(a *fleet.App) {
				a.Dynos = fleet.Unknown[[]fleet.Dyno](fleet.Reason{Kind: fleet.Unavailable, Text: "Heroku did not answer"})
			})
			time.AfterFunc(3*time.Minute, func() { s.world.change(func(a *fleet.App) { a.Dynos = fleet.Known([]fleet.Dyno(nil)) }) })
		}, 3 * time.Minute, 6 * time.Minute, "The dynos could not be read (Heroku did not answer). I keep trying until 02:00 UTC."},
		"a daily restart": {func(s *stage) { s.world.born = []time.Time{time.Now().Add(-time.Minute)} }, 5 * time.Minute, 6 * time.Minute, "Web dynos were started at 23:59 UTC on 31 December 1999, and preboot may still be handing over to them: I wait until 00:05 UTC"},
		"the lock, unforeseen": {func(s *stage) {
			until := time.Now().Add(4 * time.Minute)
			s.world.write = func() error {
				if time.Now().Before(until) {
					return &fleet.Problem{Kind: fleet.Locked, Message: "Cannot change formation for a preboot app until preboot is complete"}
				}
				return nil
			}
		}, 4 * time.Minute, 4*time.Minute + 31*time.Second, "Heroku locks the formation, `Cannot change formation for a preboot app until preboot is complete`: I try again every 30s."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begin(t, "standard-1x web=1 affinity preboot", plan.Wish{Verb: plan.ToScale, Web: 3})
				tt.act(s)
				begun := time.Now()
				var wrote time.Duration
				s.world.log = func(string) { wrote = time.Since(begun) }
				err := s.turn("T-1")
				waiting := s.now("T-1").Waiting
				if tt.say != "" {
					says(t, "waiting", waiting, tt.say)
				}
				if l, waits := errors.AsType[*later](err); !waits || tt.say != "" && l.why != waiting {
					t.Errorf("got %v, want that it waits, and why", err)
				}
				got := s.carry()
				if got.State != approval.Done || wrote < tt.from || wrote > tt.to {
					t.Errorf("got %s (%s), written after %v; want it after %v to %v", got.State, got.Outcome, wrote, tt.from, tt.to)
				}
				s.wrote("web 1 → 3 standard-1x")
			})
		})
	}
}

// TestHandOverWhileItSettles: a rollout is not done before a release is, though no step
// follows that it would block.
func TestHandOverWhileItSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1 affinity preboot", plan.Wish{Verb: plan.ToScale, Web: 3})
		s.after("web 1 → 3 standard-1x", 5*time.Minute, func() {
			s.world.change(func(a *fleet.App) {
				a.Release = fleet.Known(fleet.Release{Version: 43, Status: "succeeded", CreatedAt: time.Now()})
			})
		})
		begun := time.Now()
		got := s.carry()
		if took := time.Since(begun); got.State != approval.Done || took < 11*time.Minute || took > 12*time.Minute {
			t.Errorf("got %s after %v, want done after 11 minutes", got.State, took)
		}
	})
}

// TestCancelledBeforeItsTurn: a ticket that is cancelled while the start looks at the app
// stays so.
func TestCancelledBeforeItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		s.world.read = once(func() {
			_, _ = s.desk.ChangeTicket(s.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
				t.State = approval.Cancelled
				return approval.Change{}, nil
			})
		})
		if got := s.carry(); got.State != approval.Cancelled || len(s.desk.entries) > 0 {
			t.Errorf("got %s and the ledger %q, want it to stay cancelled", got.State, s.desk.told())
		}
		s.wrote()
	})
}

// TestDisable goes the other way round.
func TestDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=2 affinity preboot", plan.Wish{Verb: plan.ToDisable})
		got := s.carry()
		if got.State != approval.Done {
			t.Errorf("got %s (%s), want done", got.State, got.Outcome)
		}
		s.wrote("preboot off", "web 2 → 1 standard-1x", "session affinity off")
	})
}

func TestWhatIsLeftForAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "performance-m web=2 scaler=1-4", enable())
		got := s.carry()
		if got.State != approval.Done {
			t.Errorf("got %s (%s), want done", got.State, got.Outcome)
		}
		says(t, "outcome", got.Outcome, "Left for you: Raise the minimum of Heroku's autoscaler from 1 to 2")
	})
}

func TestNoTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "standard-1x web=1", enable())
		j := &job{}
		if err := s.runner().Apply(t.Context(), "T-9", j); j.givenUp == nil || !errors.Is(err, approval.ErrNoTicket) {
			t.Errorf("got %v, want it given up", err)
		}
		for _, state := range []approval.State{approval.Pending, approval.Denied, approval.Cancelled, approval.Expired} {
			s.desk.tickets["T-1"] = approval.Ticket{ID: "T-1", State: state, Plan: s.now("T-1").Plan}
			if err := s.turn("T-1"); err != nil || len(s.desk.entries) > 0 || s.world.seen["read"] > 0 {
				t.Errorf("%s: got %v, %d entries, %d readings, want nothing", state, err, len(s.desk.entries), s.world.seen["read"])
			}
		}
	})
}
