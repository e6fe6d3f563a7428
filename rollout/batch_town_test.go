package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/rollout"
)

// everybody are people of whom Slack says nothing but good.
type everybody struct{}

func (everybody) Kind(context.Context, string, string) (bool, string, error) { return true, "", nil }

func (everybody) InGroup(context.Context, string, string) (bool, error) { return false, nil }

// hall is a town with a desk, where what is carried out is asked for and approved, and
// proved by the sealed ledger.
type hall struct {
	*town
	desk *approval.Desk
}

const threeApps = "team acme\napp shop team=acme web=1 worker=1 size=standard-1x\napp blog team=acme web=2 size=standard-1x affinity=on\napp crm team=acme web=1 size=standard-1x\n"

func inHall(t *testing.T, text string, test func(*hall)) {
	t.Helper()
	inTown(t, text, func(w *town) {
		w.policy.People = policy.People{Operators: []string{"U1", "U2"}, Approvers: []string{"U2"}}
		h := &hall{town: w, desk: approval.NewDesk(approval.DeskConfig{
			Store: w.store, Apps: w.heroku, Policy: w.inForce, People: everybody{}, Key: ledger.NewKey(ledgerKey),
		})}
		w.proof, w.allowed = h.desk.Proof, h.desk.StillAllowed
		test(h)
	})
}

// asks has U1 ask for several apps, and U2 approve.
func (h *hall) asks(apps ...string) (ticket string) {
	h.Helper()
	many := approval.AskMany{By: approval.Person{ID: "U1", Team: "T1"}, Origin: "asked for " + strings.Join(apps, " ")}
	for _, name := range apps {
		app, err := h.heroku.ReadApp(h.Context(), fleet.MustRef(name))
		if err != nil {
			h.Fatal(err)
		}
		many.Apps = append(many.Apps, approval.AskApp{Wish: enable(), App: app, Plan: plan.For(app, h.policy.For(app), enable(), time.Now())})
	}
	t, made, err := h.desk.AskMany(h.Context(), many)
	if err != nil || !made {
		h.Fatalf("ask: made %t: %v", made, err)
	}
	if _, outcome, err := h.desk.Approve(h.Context(), t.ID, approval.Person{ID: "U2", Team: "T1"}); err != nil || outcome != approval.Decided {
		h.Fatalf("approve: %s: %v", outcome, err)
	}
	return t.ID
}

// parts are the tickets of a batch, and their states in a line.
func (h *hall) parts(batch approval.Ticket) (all []approval.Ticket, states string) {
	h.Helper()
	var words []string
	for i, p := range batch.Parts {
		if p.Ticket == "" {
			words = append(words, "-")
			continue
		}
		t := h.ticket(p.Ticket)
		if t.Of != batch.ID || t.State != p.State {
			h.Errorf("part %d: got %s of %s, %s; the batch has it as %s", i+1, t.ID, t.Of, t.State, p.State)
		}
		if i > 0 && len(t.Progress) > 0 && !t.Progress[0].Intended.After(all[i-1].EndedAt) {
			h.Errorf("part %d began at %v, before the end of the one before at %v", i+1, t.Progress[0].Intended, all[i-1].EndedAt)
		}
		all, words = append(all, t), append(words, string(t.State))
	}
	made, err := h.store.Tickets(h.Context(), approval.Filter{Limit: -1})
	if err != nil || len(made) != 1+len(all) {
		h.Errorf("got %d tickets (%v), want the batch and %d parts", len(made), err, len(all))
	}
	return all, strings.Join(words, " ")
}

func TestBatchInTown(t *testing.T) {
	inHall(t, threeApps, func(h *hall) {
		id := h.asks("shop", "blog", "crm")
		h.bot()
		h.bot()
		begun := time.Now()
		got := h.ended(id, time.Hour)
		all, states := h.parts(got)
		if got.State != approval.Done || states != "done done done" {
			t.Fatalf("got %s, %s (%s)", got.State, states, got.Outcome)
		}
		if took := time.Since(begun); took < 39*time.Minute || took > 42*time.Minute {
			t.Errorf("it took %v, want 39 minutes and little more", took)
		}
		if n := len(h.effects()); n != 7 {
			t.Errorf("got %d writes with an effect, want 7:\n%s", n, strings.Join(h.effects(), "\n"))
		}
		for _, one := range append(all, got) {
			h.verify(one)
		}
	})
}

// TestBatchHandedOn hands a batch from bot to bot, in the middle of everything: each
// part's ticket is made once, and nothing is written twice.
func TestBatchHandedOn(t *testing.T) {
	inHall(t, threeApps, func(h *hall) {
		id := h.asks("blog", "shop", "crm")
		h.do("latency 700ms") // so that most stops hit it in the middle of something
		for i := 0; !h.ticket(id).State.Final() && i < 1500; i++ {
			stop := h.bot()
			time.Sleep(time.Duration(1+i%7) * 900 * time.Millisecond)
			stop()
		}
		h.bot()
		got := h.ended(id, time.Hour)
		if _, states := h.parts(got); got.State != approval.Done || states != "done done done" || len(h.effects()) != 7 {
			t.Errorf("got %s, %s (%s) with %v, want done with 7 writes", got.State, states, got.Outcome, h.effects())
		}
	})
}

// TestBatchStopsInTown is what keeps a batch from going on, with the real desk, ledger
// and Heroku's wire.
func TestBatchStopsInTown(t *testing.T) {
	person := approval.Person{ID: "U3", Team: "T1"}
	cancel := func(h *hall, id string) {
		if _, err := h.desk.Cancel(h.Context(), id, person); err != nil {
			h.Errorf("cancel %s: %v", id, err)
		}
	}
	const soaking, pausing, second = 5 * time.Minute, 17 * time.Minute, 22 * time.Minute
	tests := map[string]struct {
		at     time.Duration
		act    func(h *hall)
		state  approval.State
		states string
		writes int
		say    []string
	}{
		"cancelled while the canary soaks": {soaking, func(h *hall) { cancel(h, "T-1") }, approval.Stopped, "stopped - -", 1, []string{"`shop`, 1 of 3, stopped. It was cancelled while it ran", "Not begun: `blog` and `crm`."}},
		"cancelled in the pause":           {pausing, func(h *hall) { cancel(h, "T-1") }, approval.Stopped, "done - -", 3, []string{"It was cancelled while it ran. Done: `shop`."}},
		"the canary is cancelled":          {soaking, func(h *hall) { cancel(h, "T-2") }, approval.Stopped, "stopped - -", 1, []string{"`/zdd resume T-2`", "Not begun: `blog` and `crm`."}},
		"the canary is undone":             {pausing, func(h *hall) { h.do("set shop preboot=off") }, approval.Stopped, "done - -", 3, []string{"`shop` was ready when it was done, and is not any more. Preboot is off and should be on."}},
		"the third is changed by hand":     {second, func(h *hall) { h.do("set crm web=4") }, approval.Stopped, "done done stale", 4, []string{"`crm`, 3 of 3, could not begin.", "`web` is at 4", "Done: `shop` and `blog`."}},
		"the policy changes":               {soaking, func(h *hall) { h.rule(func(p *policy.Policy) { p.Requirements.WebDynos = 3 }) }, approval.Stopped, "done stale -", 3, []string{"The policy has changed since this was asked for.", "Done: `shop`."}},
		"the approver is gone":             {soaking, func(h *hall) { h.rule(func(p *policy.Policy) { p.People.Approvers = []string{"U9"} }) }, approval.Stopped, "done - -", 3, []string{"no longer among the approvers", "Done: `shop`."}},
		"Heroku is away for long":          {pausing, func(h *hall) { h.do("fault * /apps/** 503html") }, approval.Failed, "done - -", 3, []string{"It got nowhere for 2h: `shop` is done, and could not be looked at again", "Not begun: `blog` and `crm`."}},
		"another plan is put into the database": {soaking, func(h *hall) {
			_, err := h.store.ChangeTicket(h.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
				t.Parts[1].Plan.Steps = t.Parts[0].Plan.Steps
				return approval.Change{}, nil
			})
			if err != nil {
				h.Error(err)
			}
		}, approval.Stopped, "", -1, []string{"T-1 is not what the ledger tells was asked for: its record in the database was altered. `shop` is under way and goes on by itself: `/zdd cancel T-2` stops it. Not begun: `blog` and `crm`."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inHall(t, threeApps, func(h *hall) {
				id := h.asks("shop", "blog", "crm")
				h.bot()
				time.Sleep(tt.at)
				tt.act(h)
				got := h.ended(id, 4*time.Hour)
				says(t, "outcome", got.Outcome, tt.say...)
				if got.State != tt.state {
					t.Errorf("got %s (%s), want %s", got.State, got.Outcome, tt.state)
				}
				if tt.writes >= 0 {
					if _, states := h.parts(got); states != tt.states || len(h.effects()) != tt.writes {
						t.Errorf("got %s and the writes %q, want %s and %d", states, h.effects(), tt.states, tt.writes)
					}
				}
			})
		})
	}
}

// TestBatchNotRecorded: while nothing can be stored no part begins, however often that is
// tried, and then each begins once.
func TestBatchNotRecorded(t *testing.T) {
	inHall(t, threeApps, func(h *hall) {
		id := h.asks("shop", "blog")
		away := errors.New("the database is away")
		runner := rollout.New(rollout.Config{
			Tickets: h.store, Apps: h.heroku, Heroku: h.heroku, Policy: h.inForce,
			Judge: func(context.Context, fleet.App) string { return "" }, Allowed: h.allowed, Proof: h.proof,
		})
		for range 5 {
			if err := runner.Apply(h.Context(), id, &unrecorded{err: away}); !errors.Is(err, away) {
				t.Fatalf("got %v, want %v", err, away)
			}
		}
		if _, states := h.parts(h.ticket(id)); states != "- -" {
			t.Errorf("got %s, want nothing begun", states)
		}
		h.bot()
		got := h.ended(id, time.Hour)
		if _, states := h.parts(got); states != "done done" || !slices.Equal(h.effects(), slices.Compact(h.effects())) {
			t.Errorf("got %s (%s)", states, got.Outcome)
		}
	})
}
