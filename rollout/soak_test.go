package rollout_test

import (
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

// again has somebody turn session affinity off and on.
func (s *stage) again() {
	s.feature(fleet.SessionAffinity, false)
	s.feature(fleet.SessionAffinity, true)
}

// untold makes Heroku not tell since when session affinity is on, for a time.
func (s *stage) untold(d time.Duration) {
	var was fleet.Value[time.Time]
	since := func(v fleet.Value[time.Time]) {
		s.world.change(func(a *fleet.App) {
			*a = plan.After(*a, plan.Step{To: plan.State{Feature: &plan.Feature{Name: fleet.SessionAffinity, On: true}}}) // a copy
			features, _ := a.Features.Get()
			f := features[fleet.SessionAffinity]
			was, f.Since = f.Since, v
			features[fleet.SessionAffinity] = f
		})
	}
	since(fleet.Value[time.Time]{})
	before := was
	time.AfterFunc(d, func() { since(before) })
}

// TestSoakAcrossTickets: whoever turned session affinity on, and whenever, no second web
// dyno starts before it has been on for its soak.
func TestSoakAcrossTickets(t *testing.T) {
	two := plan.Wish{Verb: plan.ToScale, Web: 2}
	tests := map[string]struct {
		line  string
		wish  plan.Wish
		act   func(*stage)
		soaks bool // a step of the ticket does
		state approval.State
		from  time.Duration // web is scaled no sooner
		to    time.Duration // and no later
		say   string        // while it waits, or in the end
	}{
		"on for long":      {line: "standard-1x web=1 affinity", wish: two, state: approval.Done, to: time.Second},
		"on just now":      {line: "standard-1x web=1 affinity=0s", wish: two, soaks: true, state: approval.Done, from: 10 * time.Minute, to: 10*time.Minute + time.Second},
		"on for a while":   {line: "standard-1x web=1 affinity=3m", wish: two, soaks: true, state: approval.Done, from: 7 * time.Minute, to: 7*time.Minute + time.Second},
		"enable once more": {line: "standard-1x web=1 affinity=3m", wish: enable(), soaks: true, state: approval.Done, from: 7 * time.Minute, to: 7*time.Minute + time.Second},
		"nobody knows":     {line: "standard-1x web=1 affinity=?", wish: two, soaks: true, state: approval.Done, from: 10 * time.Minute, to: 10*time.Minute + time.Second},
		"approved much later": {line: "standard-1x web=1 affinity=1m", wish: two, act: func(*stage) { time.Sleep(20 * time.Minute) }, soaks: true,
			state: approval.Done, from: 29 * time.Minute, to: 29*time.Minute + time.Second},
		"off and on since it was decided": {line: "standard-1x web=1 affinity", wish: two, act: (*stage).again,
			state: approval.Done, from: 10 * time.Minute, to: 10*time.Minute + time.Second,
			say: "Until 00:10 UTC, so that visitors get the affinity cookie first: session affinity was last switched at 00:00 UTC."},
		"off and on a while before the start": {line: "standard-1x web=1 affinity", wish: two, act: func(s *stage) { s.again(); time.Sleep(4 * time.Minute) },
			state: approval.Done, from: 10 * time.Minute, to: 10*time.Minute + time.Second, say: "Until 00:10 UTC"},
		"off and on while it soaks": {line: "standard-1x web=1", wish: enable(), act: func(s *stage) { s.after(affinityOn, 5*time.Minute, s.again) }, soaks: true,
			state: approval.Done, from: 15 * time.Minute, to: 15*time.Minute + time.Second, say: "session affinity was last switched at 00:05 UTC"},
		"in a demo": {line: "standard-1x web=1 affinity", wish: two, act: func(s *stage) { s.cfg.Timing = rollout.Timing{Hurry: 60}; s.again() },
			state: approval.Done, from: 10 * time.Second, to: 11 * time.Second},
		"not told for a while": {line: "standard-1x web=1 affinity", wish: two, act: func(s *stage) { s.untold(30 * time.Minute) },
			state: approval.Done, from: 30 * time.Minute, to: 33 * time.Minute, say: "Since when session affinity is on could not be read (Heroku does not tell)."},
		"not told after a part of the soak": {line: "standard-1x web=1 affinity=3m", wish: two, act: func(s *stage) { s.untold(30 * time.Minute) }, soaks: true,
			state: approval.Done, from: 30 * time.Minute, to: 33 * time.Minute, say: "Since when session affinity is on could not be read"},
		"not told any more": {line: "standard-1x web=1 affinity", wish: two, act: func(s *stage) { s.untold(24 * time.Hour) },
			state: approval.Failed, say: "It got nowhere for 2h: since when session affinity is on could not be read"},
		"cancelled while it waits": {line: "standard-1x web=1 affinity", wish: two, act: func(s *stage) { s.again(); time.AfterFunc(time.Minute, s.halt) },
			state: approval.Stopped, say: "It was cancelled while it ran"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				s := begin(t, tt.line, tt.wish)
				if tt.act != nil {
					tt.act(s)
				}
				var scaled time.Duration
				log := s.world.log
				s.world.log = func(step string) {
					if strings.HasPrefix(step, "web ") {
						scaled = time.Since(begun)
					}
					if log != nil {
						log(step)
					}
				}
				var said []string
				s.heard = func(waiting string) { said = append(said, waiting) }
				got := s.carry()
				said = append(said, got.Outcome)
				if soaks := slices.ContainsFunc(got.Plan.Steps, func(s plan.Step) bool { return s.Kind == plan.Soak }); soaks != tt.soaks {
					t.Errorf("got steps %v, want a soak: %t", got.Plan.Steps, tt.soaks)
				}
				if got.State != tt.state || scaled < tt.from || scaled > tt.to {
					t.Errorf("got %s (%s), scaled after %v; want %s, after %v to %v", got.State, got.Outcome, scaled, tt.state, tt.from, tt.to)
				}
				says(t, "all that was said", strings.Join(slices.Compact(said), "\n"), tt.say)
			})
		})
	}
}
