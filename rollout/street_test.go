package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// street is a Heroku with several apps, and the batch T-1 for all of them.
type street struct {
	*stage
	apps  map[fleet.ID]*world
	order []*world
	names []string
	due   map[string]time.Time // of the jobs that carry tickets out; zero: it is done
	heed  func(id string)      // hears before each turn whose it is
	acts  map[time.Time]func() // what happens between two turns, and when
}

// names are those of the apps in a street, in order.
var names = []string{"shop", "blog", "crm", "wiki", "mail"}

// beginStreet makes apps of lines, see fleettest.App, and an approved batch that enables
// all of them.
func beginStreet(t *testing.T, lines ...string) *street {
	t.Helper()
	s := &street{stage: begin(t, lines[0], enable()), apps: map[fleet.ID]*world{}, due: map[string]time.Time{"T-1": {}}, acts: map[time.Time]func(){}}
	var plans []plan.Plan
	batch := approval.Ticket{
		ID: "T-1", State: approval.Approved, Wish: enable(), Policy: s.policy.Digest(), Requester: "U1", Team: "T1", Origin: "asked",
		CreatedAt: time.Now(), DecidedAt: time.Now(), ExpiresAt: time.Now().Add(24 * time.Hour),
		Approvals: 1, Votes: []approval.Vote{{User: "U2", At: time.Now()}},
	}
	for i, line := range lines {
		w := newWorld(line)
		w.app.Name, w.app.ID = names[i], fleet.ID(fmt.Sprintf("01234567-89ab-4cde-8f01-%012d", i+1))
		s.apps[w.app.ID], s.order, s.names = w, append(s.order, w), append(s.names, w.app.Name)
		p := plan.For(w.app, s.policy.For(w.app), enable(), time.Now())
		if p.Outcome != plan.Ready {
			t.Fatalf("%s: the plan is %s %s", w.app.Name, p.Outcome, p.Why)
		}
		plans = append(plans, p)
		batch.Parts = append(batch.Parts, approval.Part{Wish: enable(), Plan: p})
		w.log = func(string) { s.lawful(w.app.Name) }
	}
	batch.Plan = plan.Together(plans)
	s.desk.tickets = map[string]approval.Ticket{"T-1": copied(batch)}
	s.world, s.cfg.Apps, s.cfg.Heroku = s.order[0], s, s
	s.cfg.Judge = func(_ context.Context, app fleet.App) string {
		if p := plan.For(app, s.policy.For(app), enable(), time.Now()); p.Outcome != plan.AlreadySo {
			return "not-ready"
		}
		return "ready"
	}
	return s
}

func (s *street) ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	id, _ := ref.Identity()
	if w := s.apps[fleet.ID(id)]; w != nil {
		return w.ReadApp(ctx, ref)
	}
	return fleet.App{}, &fleet.Problem{Kind: fleet.NotFound, Message: "Couldn't find that app."}
}

func (s *street) Apply(ctx context.Context, id fleet.ID, step plan.Step) error {
	return s.apps[id].Apply(ctx, id, step)
}

// lawful is asked after each write that had an effect: was that app's turn, and nobody
// else's?
func (s *street) lawful(app string) {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	batch := s.desk.tickets["T-1"]
	if batch.State != approval.Running {
		s.Errorf("%s was changed while the batch was %s", app, batch.State)
	}
	for i, p := range batch.Parts {
		t, begun := s.desk.tickets[p.Ticket]
		switch here := slices.Index(s.names, app); {
		case i < here && t.State != approval.Done:
			s.Errorf("%s was changed while %s was %q", app, p.Plan.Name, t.State)
		case i == here && (t.State != approval.Running || t.Plan.Name != app):
			s.Errorf("%s was changed while its ticket %q was %q", app, p.Ticket, t.State)
		case i > here && begun:
			s.Errorf("%s was changed when %s had begun already", app, p.Plan.Name)
		}
	}
}

// carry runs all jobs until none is left, as a queue does, and kills included.
func (s *street) carry() approval.Ticket {
	s.Helper()
	for {
		s.enqueued()
		id := ""
		for one, at := range s.due {
			if !at.Equal(over) && (id == "" || at.Before(s.due[id]) || at.Equal(s.due[id]) && one < id) {
				id = one
			}
		}
		if id == "" {
			return s.now("T-1")
		}
		wait := max(time.Until(s.due[id]), 0)
		if at, f := s.nextAct(); f != nil && time.Until(at) <= wait {
			time.Sleep(time.Until(at))
			delete(s.acts, at)
			f()
			continue
		}
		time.Sleep(wait)
		if s.heed != nil {
			s.heed(id)
		}
		err := s.turn(id)
		l, waits := errors.AsType[*later](err)
		switch {
		case err == nil:
			s.due[id] = over
		case waits:
			s.due[id] = time.Now().Add(max(l.at.Sub(s.clock()), time.Second))
		case errors.Is(err, errCrash), errors.Is(err, context.Canceled):
			s.due[id] = time.Now().Add(lease) // until somebody else may claim it
		default:
			s.Fatalf("the job of %s failed: %v", id, err)
		}
	}
}

// act has f happen after a time, between two turns.
func (s *street) act(d time.Duration, f func()) { s.acts[time.Now().Add(d)] = f }

func (s *street) nextAct() (at time.Time, f func()) {
	for one := range s.acts {
		if f == nil || one.Before(at) {
			at, f = one, s.acts[one]
		}
	}
	return at, f
}

// over is when jobs are due that are done.
var over = time.Unix(1<<40, 0)

// enqueued finds the jobs that the tickets have made.
func (s *street) enqueued() {
	for _, w := range s.desk.work {
		if _, known := s.due[w.Key]; w.Kind == approval.WorkBatch && !known {
			s.due[w.Key] = time.Now().Add(w.At.Sub(s.clock()))
		}
	}
}

// tickets are the parts' tickets, in the order in which they were made; each part has
// one at the most, and each was told to begin.
func (s *street) tickets() (all []approval.Ticket) {
	s.Helper()
	for id := 2; ; id++ {
		t, err := s.desk.Ticket(s.Context(), approval.ID(int64(id)))
		if err != nil {
			break
		}
		all = append(all, t)
		if want := fmt.Sprintf("part:T-1/%d", len(all)); t.Origin != want || t.Of != "T-1" || t.Plan.Name != s.names[len(all)-1] {
			s.Errorf("%s for %s comes from %s, want %s", t.ID, t.Plan.Name, t.Origin, want)
		}
		begun := 0
		for _, e := range s.desk.entries {
			if e.Verb == ledger.Begun && e.Ticket == t.ID {
				begun++
			}
		}
		if begun != 1 {
			s.Errorf("the ledger tells %d times that %s began, want once", begun, t.ID)
		}
	}
	if batch := s.now("T-1"); len(batch.Parts) > 0 {
		for i, p := range batch.Parts {
			switch {
			case i < len(all) && (p.Ticket != all[i].ID || p.State != all[i].State):
				s.Errorf("part %d: got %s %s, and its ticket is %s %s", i+1, p.Ticket, p.State, all[i].ID, all[i].State)
			case i >= len(all) && (p.Ticket != "" || p.State != ""):
				s.Errorf("part %d: got %s %s, and it has no ticket", i+1, p.Ticket, p.State)
			}
		}
	}
	return all
}

// states are those of the parts, "-" for one that was not begun.
func (s *street) states() string {
	s.Helper()
	s.tickets()
	var out []string
	for _, p := range s.now("T-1").Parts {
		state := string(p.State)
		if p.Ticket == "" {
			state = "-"
		}
		out = append(out, state)
	}
	return strings.Join(out, " ")
}

// untouched wants no write to the apps with these numbers, from 1.
func (s *street) untouched(numbers ...int) {
	s.Helper()
	for _, n := range numbers {
		if w := s.order[n-1]; w.sent > 0 {
			s.Errorf("%s: got the writes %q, want none", s.names[n-1], w.writes)
		}
	}
}

// on has f happen a time after the batch has begun with part n, from 1.
func (s *street) on(n int, d time.Duration, f func()) {
	done := false
	s.heed = func(string) {
		if p := s.now("T-1").Parts[n-1]; p.Ticket != "" && !done {
			done = true
			s.act(d, f)
		}
	}
}

// scaled changes an app's number of web dynos by hand.
func (s *street) scaled(n, web int) { s.order[n-1].scale(web) }

// atTheLast has a ticket cancelled when the last step of app n has taken effect, and has
// not been read back.
func (s *street) atTheLast(n int, ticket string) {
	w := s.order[n-1]
	w.answer = func() error {
		if slices.Contains(w.writes, prebootOn) {
			s.cancel(ticket)
		}
		return nil
	}
}

func (s *street) switchOff(n int, name string) {
	s.order[n-1].change(func(a *fleet.App) {
		*a = switched(*a, plan.Step{To: plan.State{Feature: &plan.Feature{Name: name}}})
	})
}

// cancel is what the desk does when somebody cancels a ticket: of a batch, the part too
// that is being carried out.
func (s *street) cancel(id string) {
	also := ""
	_, err := s.desk.ChangeTicket(s.Context(), id, func(t *approval.Ticket) (approval.Change, error) {
		switch {
		case t.State.Final():
		case t.State == approval.Running:
			t.Halt = "U3"
			if i, any := t.Current(); any {
				also = t.Parts[i].Ticket
			}
		default:
			t.State, t.DecidedAt, t.DecidedBy, t.Outcome = approval.Cancelled, time.Now(), "U3", "Nothing was changed."
		}
		return approval.Change{}, nil
	})
	if err != nil {
		s.Error(err)
	}
	if also != "" {
		s.cancel(also)
	}
}
