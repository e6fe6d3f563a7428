package approval

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// ResumeFor is a request to go on with a ticket that ended early.
type ResumeFor struct {
	Ticket  string // as people type it
	By      Person
	Channel string // where it was asked; may be empty
	Origin  string // id of the request; the same one makes no second ticket
}

// Resume goes on with a ticket that was stopped or failed. It is an operator's, and
// makes another ticket that Follows it: a ticket is used once.
//
// The app is read again. If what is left of the old steps is what the wish still comes
// to, under the same policy, the new one is approved already: by the votes on the old
// one, for as long as that one's ExpiresAt has not come, everybody who voted may still
// approve, and they are as many as it takes by now; its requester stays the old one. In
// any other case it is pending, and the one who resumes is its requester.
//
// made is false where a ticket that goes on from there exists already and is not over.
func (d *Desk) Resume(ctx context.Context, r ResumeFor) (t Ticket, made bool, err error) {
	if r.By.ID == "" || r.Origin == "" {
		return Ticket{}, false, fmt.Errorf("resume %q: nobody asks, or the request has no id", r.Ticket)
	}
	if t, found, err := d.fromOrigin(ctx, r.Origin, r.By); err != nil || found {
		return t, false, err
	}
	old, nobody, err := d.begin(ctx, r.Ticket, r.By)
	if err != nil {
		return Ticket{}, false, err
	}
	pol, refused := d.cfg.Policy(), nobody
	if refused == nil {
		if refused, err = d.operator(ctx, pol, r.By); err != nil {
			return Ticket{}, false, err
		}
	}
	var app fleet.App
	if refused == nil {
		refused = resumable(old)
	}
	if refused == nil {
		if app, refused, err = d.read(ctx, old); err != nil {
			return Ticket{}, false, err
		}
	}
	if refused != nil {
		_, err := d.decide(ctx, old, r.By, "resume", func(*Ticket, []Ticket, time.Time) (Change, *No) { return Change{}, refused })
		return Ticket{}, false, err
	}
	return d.goOn(ctx, pol, old, app, r)
}

// resumable refuses tickets of which nothing is left to go on with.
func resumable(t Ticket) *No {
	switch t.State {
	case Stopped, Failed:
		if t.Batch() { // settled says how each app is gone on with
			break
		}
		return nil
	case Pending:
		return no("`%s` has not begun: it waits for its decision. `/zdd show %s` tells more.", t.ID, t.ID)
	}
	return settled(t)
}

func (d *Desk) goOn(ctx context.Context, pol policy.Policy, old Ticket, app fleet.App, r ResumeFor) (Ticket, bool, error) {
	now := plan.For(app, pol.For(app), old.Wish, d.now())
	if len(now.Steps) == 0 {
		why := fmt.Sprintf("Nothing is left to do: `%s` is as `%s` would make it.", app.Name, old.ID)
		if now.Outcome != plan.AlreadySo {
			why = fmt.Sprintf("`%s` can't go on. %s", old.ID, strings.Join(now.Why, " "))
		}
		_, err := d.decide(ctx, old, r.By, "resume", func(*Ticket, []Ticket, time.Time) (Change, *No) { return Change{}, no("%s", why) })
		return Ticket{}, false, err
	}
	left := old.left(app)
	now.Steps = withWaits(now.Steps, left)
	same := sameWrites(now.Steps, left) && old.Policy == pol.Digest() && d.now().Before(old.ExpiresAt)
	if same {
		why, unread, err := d.lapsed(ctx, pol, old)
		if err != nil || unread != nil {
			return d.orNo(unread, err)
		}
		silenced, unread, err := d.silenced(ctx, pol, old)
		if err != nil || unread != nil {
			return d.orNo(unread, err)
		}
		same = why == "" && len(silenced) == 0
	}
	if same {
		t, made, under, err := d.underOld(ctx, pol, old, now, r)
		if err != nil || under {
			return t, made, err
		}
	}
	if t, err := d.after(ctx, old); err != nil || t.ID != "" {
		return t, false, err
	}
	return d.open(ctx, pol, AskFor{Wish: old.Wish, App: app, Plan: now, By: r.By, Channel: r.Channel, Origin: r.Origin, Follows: old.ID}.ticket())
}

func (d *Desk) orNo(unread *No, err error) (Ticket, bool, error) {
	if err == nil {
		err = unread
	}
	return Ticket{}, false, err
}

// after is the ticket that goes on from old already; one without an id: none does. A
// *No says that there is nothing more to go on with.
func (d *Desk) after(ctx context.Context, old Ticket) (Ticket, error) {
	followers, err := d.cfg.Store.Tickets(ctx, Filter{App: old.Plan.App, Follows: old.ID, Limit: -1})
	if err != nil {
		return Ticket{}, err
	}
	return follower(old, followers)
}

func follower(old Ticket, followers []Ticket) (Ticket, error) {
	for _, t := range followers { // newest first
		if !sameWish(t.Wish, old.Wish) {
			continue // it undoes it
		}
		switch t.State {
		case Pending, Approved, Running:
			return t, nil
		case Done:
			return Ticket{}, no("`%s` went on from `%s`, and is done. Nothing is left to do.", t.ID, old.ID)
		case Stopped, Failed:
			return Ticket{}, no("`%s` went on from `%s` and ended early too. To go on from there: `/zdd resume %s`.", t.ID, old.ID, t.ID)
		}
	}
	return Ticket{}, nil
}

// underOld makes the ticket that goes on under the old approval. under is false where
// that does not reach far enough by now.
func (d *Desk) underOld(ctx context.Context, pol policy.Policy, old Ticket, p plan.Plan, r ResumeFor) (t Ticket, made, under bool, err error) {
	if refused := beyond(pol.Limits, Ticket{Plan: p}); refused != nil {
		return Ticket{}, false, true, refused
	}
	now := d.now()
	next := Ticket{
		State: Approved, Wish: old.Wish, Plan: p, Policy: old.Policy, Requester: old.Requester, Team: old.Team, Resumer: r.By.ID,
		Channel: r.Channel, Origin: r.Origin, Follows: old.ID, CreatedAt: now, ExpiresAt: old.ExpiresAt, DecidedAt: now,
		Approvals: old.Approvals, Why: old.Why, Votes: old.Votes,
	}
	err = d.cfg.Store.Tx(ctx, func(tx *sql.Tx) error {
		followers, err := d.cfg.Store.TicketsTx(ctx, tx, Filter{App: old.Plan.App, Follows: old.ID, Limit: -1})
		if err != nil {
			return err
		}
		if t, err = follower(old, followers); err != nil || t.ID != "" {
			under = true
			return err
		}
		spent, err := d.spent(ctx, tx, old)
		if err != nil {
			return err
		}
		// The old plan as a whole is what was approved; it is judged once more with what was
		// added besides since then. So is what is left, by the prices of today.
		spent = slices.DeleteFunc(spent, func(o Ticket) bool { return o.ID == old.ID })
		q := quorumOf(pol.Approval, old, spent)
		asked := old
		asked.Plan = p
		if rest := quorumOf(pol.Approval, asked, spent); rest.need > q.need {
			q = rest
		}
		if len(old.Votes) < q.need {
			return nil
		}
		under = true
		t, made, err = d.cfg.Store.CreateTicketTx(ctx, tx, next, func(t Ticket) Change {
			about := aboutPlan(t, q)
			about.Wish, about.From, about.ExpiresAt, about.Ticket = t.line(), old.ID, t.ExpiresAt, fingerprint(t)
			return Change{Entries: []ledger.Entry{entry(t, now, r.By.ID, ledger.Resumed, about)}, Work: []Work{applyWork(t, now)}}
		})
		return err
	})
	t, made, err = d.done(t, made, err)
	return t, made, under || err != nil, err
}

// left are the steps that are not done. A write that was sent, and of which only now is
// seen that it took effect, is done.
func (t Ticket) left(app fleet.App) []plan.Step {
	done := 0
	for done < len(t.Progress) && done < len(t.Plan.Steps) && !t.Progress[done].Done.IsZero() {
		done++
	}
	return slices.DeleteFunc(slices.Clone(t.Plan.Steps[done:]), func(s plan.Step) bool {
		seen, known := s.Seen(app).Get()
		return writes(s) && known && seen.Equal(s.To)
	})
}

// withWaits puts the waits that were not over when the old rollout ended first, if the
// plan of now has none of their kind: it can't tell that dynos were only just added, and
// a soak that was cut short is made whole at the cost of some minutes.
func withWaits(now, left []plan.Step) []plan.Step {
	var waits []plan.Step
	for _, s := range left {
		if writes(s) {
			break
		}
		if !slices.ContainsFunc(now, func(o plan.Step) bool { return o.Kind == s.Kind }) {
			waits = append(waits, s)
		}
	}
	return append(waits, now...)
}

func writes(s plan.Step) bool { return s.To.Feature != nil || len(s.To.Processes) > 0 }

// sameWrites compares all but the waits, and with the rest what they cost: who approved
// a step approved its price.
func sameWrites(a, b []plan.Step) bool {
	onlyWrites := func(list []plan.Step) []plan.Step {
		return slices.DeleteFunc(slices.Clone(list), func(s plan.Step) bool { return !writes(s) })
	}
	return slices.EqualFunc(onlyWrites(a), onlyWrites(b), func(x, y plan.Step) bool {
		return sameWrite(x, y) && samePrice(x.Cost, y.Cost)
	})
}

func sameWrite(a, b plan.Step) bool {
	return a.Kind == b.Kind && a.From.Equal(b.From) && a.To.Equal(b.To)
}

// samePrice compares what steps add to the cost. Where that is not known, what the
// dynos will cost must be the same.
func samePrice(a, b plan.Cost) bool {
	same := func(a, b fleet.Value[fleet.Money]) bool { return a.IsKnown() == b.IsKnown() && a.Or(0) == b.Or(0) }
	return same(a.Difference, b.Difference) && (a.Difference.IsKnown() || same(a.Then, b.Then))
}
