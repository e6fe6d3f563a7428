package approval

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Apps reads apps. *heroku.Client does.
type Apps interface {
	ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error)
}

// DeskConfig is what a Desk needs. Store, Apps, Policy and People are required.
type DeskConfig struct {
	Store  Store
	Apps   Apps
	Policy func() policy.Policy // in force now
	People People
	// Key is the one that the Store seals the ledger with; see Desk.Proof.
	Key ledger.Key
	// ReadOnly is why nothing may be changed, in sentences that say what mends it; empty:
	// it may. Then the desk refuses everything.
	ReadOnly string
	// Self is the bot's own app, which nobody may have it change; empty: it runs on none.
	// Nil: nobody knows. What can't be told is refused.
	Self func(ctx context.Context) (fleet.ID, error)
	Wake func()           // called when work was stored; nil: the queue finds it by itself
	Now  func() time.Time // default time.Now
}

// Desk is where people ask, approve, deny, cancel and resume. Its methods answer a *No
// where that is not to be; any other error is the program's or the platform's, and then
// nothing was changed, unless it is one of the commit, after which a repeat finds out.
// All of them may be repeated, and called from any number of goroutines and replicas.
//
// What is outside, Slack and Heroku, is asked before the transaction, which decides
// with it on the stored ticket.
type Desk struct{ cfg DeskConfig }

// NewDesk makes a Desk.
func NewDesk(cfg DeskConfig) *Desk {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	return &Desk{cfg}
}

// now is the time as it is stored: in UTC, to the millisecond.
func (d *Desk) now() time.Time { return d.cfg.Now().UTC().Truncate(time.Millisecond) }

// AskFor is a request for a change, planned.
type AskFor struct {
	Wish    plan.Wish
	App     fleet.App // what the plan was made of
	Plan    plan.Plan // with steps: what is refused or already so needs no ticket
	By      Person
	Channel string // where it was asked; may be empty
	Origin  string // id of the request; the same one makes no second ticket
	Follows string // the ticket that it undoes; may be empty
}

// Ask makes a ticket of a plan. With Approvals 0 it waits for the requester's Do, else
// for so many Approve. made is false where there already is one: of the same Origin; or
// one that waits for the same plan of the same wish, if it is the same person's, or waits
// for other people anyway, or is approved and waits for its turn. (Then who asked second
// is not its requester, and may approve it. An own ticket for each would only ask the
// approvers twice: the first to be carried out makes the other stale.)
//
// A plan that nobody could approve under this policy is refused, and so is one more than
// a person may have waiting.
func (d *Desk) Ask(ctx context.Context, a AskFor) (t Ticket, made bool, err error) {
	if a.By.ID == "" || a.Origin == "" {
		return Ticket{}, false, errors.New("ask: nobody asks, or the request has no id")
	}
	if t, found, err := d.fromOrigin(ctx, a.Origin, a.By); err != nil || found {
		return t, false, err
	}
	pol, refused, err := d.mayAsk(ctx, a.By)
	if err != nil {
		return Ticket{}, false, err
	}
	if refused != nil {
		return Ticket{}, false, refused
	}
	if refused, err := d.own(ctx, a.App); refused != nil || err != nil {
		return d.orNo(refused, err)
	}
	if err := d.sound(pol, AskApp{Wish: a.Wish, App: a.App, Plan: a.Plan}); err != nil {
		return Ticket{}, false, err
	}
	return d.open(ctx, pol, a.ticket())
}

// mayAsk refuses who may not ask for changes now.
func (d *Desk) mayAsk(ctx context.Context, by Person) (policy.Policy, *No, error) {
	pol := d.cfg.Policy()
	if refused := d.readOnly(); refused != nil {
		return pol, refused, nil
	}
	refused, err := d.operator(ctx, pol, by)
	return pol, refused, err
}

// Changeable is a *No where the app may not be changed, whatever the plan: it is the bot's
// own, or nothing may be. It is for whoever asks for several apps, to tell of that one before.
func (d *Desk) Changeable(ctx context.Context, app fleet.App) error {
	if refused := d.readOnly(); refused != nil {
		return refused
	}
	refused, err := d.own(ctx, app)
	if refused != nil {
		return refused
	}
	return err
}

// own refuses the bot's own app: a plan for it could never be carried out.
func (d *Desk) own(ctx context.Context, app fleet.App) (*No, error) {
	if d.cfg.Self == nil {
		return nil, nil
	}
	self, err := d.cfg.Self(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("find out which app is the bot's own: %w", context.Cause(ctx))
	case err != nil:
		return again(err, "I could not find out which app I run on myself%s, and that one I must never change.", because(err)), nil
	case self == app.ID:
		return no("`%s` is the app that I run on myself, and I never change that: in the middle of it I would be gone. Nothing was changed. Do it by hand; `/zdd status %s` says what is missing.", app.Name, app.Name), nil
	}
	return nil, nil
}

func (d *Desk) readOnly() *No {
	if d.cfg.ReadOnly == "" {
		return nil
	}
	return no("%s", d.cfg.ReadOnly)
}

// fromOrigin is the ticket that the same request has made before.
func (d *Desk) fromOrigin(ctx context.Context, origin string, by Person) (Ticket, bool, error) {
	found, err := d.cfg.Store.Tickets(ctx, Filter{Origin: origin})
	if err != nil || len(found) == 0 {
		return Ticket{}, false, err
	}
	if t := found[0]; t.Requester == by.ID || t.Resumer == by.ID {
		return t, true, nil
	}
	return Ticket{}, false, fmt.Errorf("ask: request %q has made a ticket of somebody else's", origin)
}

// ticket is what the request says of the ticket that is to be made.
func (a AskFor) ticket() Ticket {
	return Ticket{Wish: a.Wish, Plan: a.Plan, Requester: a.By.ID, Team: a.By.Team, Channel: a.Channel, Origin: a.Origin, Follows: a.Follows}
}

// open stores a ticket that waits for its decision. next is what the request says of it.
func (d *Desk) open(ctx context.Context, pol policy.Policy, next Ticket) (t Ticket, made bool, err error) {
	if refused := beyond(pol.Limits, next); refused != nil {
		return Ticket{}, false, refused
	}
	now := d.now()
	next.State, next.Policy, next.CreatedAt, next.ExpiresAt = Pending, pol.Digest(), now, now.Add(pol.Approval.ExpiresAfter)
	next.Why, next.Own = next.needsApproval(), ownVoice(pol, next.Requester)
	err = d.cfg.Store.Tx(ctx, func(tx *sql.Tx) error {
		var found bool
		if t, found, err = d.waiting(ctx, tx, pol, next); err != nil || found {
			return err
		}
		spent, err := d.spent(ctx, tx, next)
		if err != nil {
			return err
		}
		q := quorumOf(pol.Approval, next, spent)
		next.Approvals = q.need
		if q.why != "" {
			next.Why = append(next.Why, q.why)
		}
		if n, known := voices(pol, next.Requester); known && n < q.need {
			return alone(pol, next.Requester, q.need, n)
		}
		if err := d.room(ctx, tx, next); err != nil {
			return err
		}
		t, made, err = d.cfg.Store.CreateTicketTx(ctx, tx, next, func(t Ticket) Change {
			about := aboutPlan(t, q)
			about.Wish, about.ExpiresAt, about.Ticket = strings.Join(t.lines(), "; "), t.ExpiresAt, fingerprint(t)
			return Change{
				Entries: []ledger.Entry{entry(t, now, t.Requester, ledger.Asked, about)},
				Work:    []Work{{Kind: WorkExpire, Key: t.ID, At: t.ExpiresAt}},
			}
		})
		return err
	})
	return d.done(t, made, err)
}

// done wakes the queue after a transaction that stored something.
func (d *Desk) done(t Ticket, made bool, err error) (Ticket, bool, error) {
	switch refused, ok := errors.AsType[*No](err); {
	case ok:
		return Ticket{}, false, refused // without what the transaction wrapped around it
	case err != nil:
		return Ticket{}, false, fmt.Errorf("store the ticket: %w", err)
	case made:
		d.cfg.Wake()
	}
	return t, made, nil
}

// waiting finds the ticket that makes another one needless; see Ask.
func (d *Desk) waiting(ctx context.Context, tx *sql.Tx, pol policy.Policy, next Ticket) (Ticket, bool, error) {
	open, err := d.cfg.Store.TicketsTx(ctx, tx, Filter{App: next.Plan.App, Batches: next.Batch(), States: []State{Pending, Approved}, Limit: -1})
	if err != nil {
		return Ticket{}, false, err
	}
	for _, t := range open {
		others := t.State == Approved || t.Approvals > 0 && !pol.Approval.SelfApproval
		if t.ExpiresAt.After(next.CreatedAt) && t.Plan.Hash == next.Plan.Hash && sameWishes(t, next) && (others || t.Requester == next.Requester) {
			return t, true, nil
		}
	}
	return Ticket{}, false, nil
}

// What one person may have waiting for a decision at a time. A ticket that needs an
// approval rings other people, and who is rung too often says yes without looking; a
// preview rings nobody, but is kept for ever like every ticket.
const (
	mostAsked    = 20
	mostPreviews = 100
)

// room refuses one ticket too many.
func (d *Desk) room(ctx context.Context, tx *sql.Tx, next Ticket) error {
	pending, err := d.cfg.Store.TicketsTx(ctx, tx, Filter{States: []State{Pending}, Limit: -1})
	if err != nil {
		return err
	}
	mine, most := 0, mostAsked
	if next.Approvals == 0 {
		most = mostPreviews
	}
	for _, t := range pending {
		if t.Requester == next.Requester && (t.Approvals == 0) == (next.Approvals == 0) && t.ExpiresAt.After(next.CreatedAt) {
			mine++
		}
	}
	switch {
	case mine < most:
		return nil
	case next.Approvals == 0:
		return no("You have %d previews open already, and I keep no more for one person at a time. Nothing was asked for or changed. `/zdd pending` lists them: do those that you want, and cancel the others.", mine)
	}
	return no("You have %d tickets that wait for an approval already, and I ask for no more at a time: who is asked too often stops looking. Nothing was asked for or changed. `/zdd pending` lists them: have them decided, or cancel those that you don't need.", mine)
}

// spent are the tickets about the same apps whose increases count towards the quorum of
// t, itself among them where it is one. The parts that approved batches have not begun
// are in it as if each were a ticket, with the batch's id: they have none yet.
func (d *Desk) spent(ctx context.Context, tx *sql.Tx, t Ticket) (all []Ticket, err error) {
	apps := map[fleet.ID]bool{}
	for _, one := range t.singles() {
		apps[one.Plan.App] = true
		its, err := d.cfg.Store.TicketsTx(ctx, tx, Filter{
			App: one.Plan.App, States: []State{Approved, Running, Done, Stopped, Failed}, Decided: d.now().Add(-window), Limit: -1,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, its...)
	}
	batches, err := d.cfg.Store.TicketsTx(ctx, tx, Filter{Batches: true, States: []State{Approved, Running}, Limit: -1})
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		for i, one := range b.singles() {
			if b.Batch() && b.Parts[i].Ticket == "" && apps[one.Plan.App] {
				one.State = Approved
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// Ticket finds a ticket by its id as people type it. A *No says that there is none.
func (d *Desk) Ticket(ctx context.Context, id string) (Ticket, error) {
	parsed, ok := ParseID(id)
	if !ok {
		return Ticket{}, noTicket(id)
	}
	t, err := d.cfg.Store.Ticket(ctx, parsed)
	if errors.Is(err, ErrNoTicket) {
		return Ticket{}, noTicket(parsed)
	}
	return t, err
}

// Pending lists the tickets of which something is still to come, newest first: those
// that wait for a decision in time, for their turn, and those that run.
func (d *Desk) Pending(ctx context.Context) ([]Ticket, error) {
	all, err := d.cfg.Store.Tickets(ctx, Filter{States: []State{Pending, Approved, Running}, Limit: -1})
	now, open := d.now(), all[:0]
	for _, t := range all {
		if t.State != Pending || now.Before(t.ExpiresAt) {
			open = append(open, t)
		}
	}
	return open, err
}

// Expire ends a ticket that nobody decided in time. It is the handler of WorkExpire,
// and answers an error where the time has not come, for the queue to try again: that is
// for clocks that were set back. A ticket that is decided stays as it is.
func (d *Desk) Expire(ctx context.Context, id string) error {
	_, err := d.cfg.Store.ChangeTicket(ctx, id, func(t *Ticket) (Change, error) {
		now := d.now()
		switch {
		case t.State != Pending:
			return Change{}, nil
		case now.Before(t.ExpiresAt):
			return Change{}, fmt.Errorf("%s expires in %s only", t.ID, policy.Span(t.ExpiresAt.Sub(now).Round(time.Second)))
		}
		return expire(t, now, ""), nil
	})
	if err != nil {
		return fmt.Errorf("expire %s: %w", id, err)
	}
	d.cfg.Wake()
	return nil
}

// expire ends t. by is who found that it is over; empty: the clock.
func expire(t *Ticket, now time.Time, by string) Change {
	t.State, t.DecidedAt = Expired, now
	t.Outcome = fmt.Sprintf("Nobody decided in time. Nothing was changed. To ask for it anew: `/zdd %s`.", t.line())
	return Change{Entries: []ledger.Entry{entry(*t, now, ledger.Bot, ledger.Expired, detail{FoundBy: by, Votes: t.Votes})}}
}

// stale ends t for a reason, a sentence without its full stop.
func stale(t *Ticket, now time.Time, by, why string) Change {
	t.State, t.DecidedAt = Stale, now
	t.Outcome = fmt.Sprintf("%s. Nothing was changed. To ask for it anew: `/zdd %s`.", why, t.line())
	return Change{Entries: []ledger.Entry{entry(*t, now, ledger.Bot, ledger.Stale, detail{Why: why, FoundBy: by, Hash: t.Plan.Hash})}}
}

// StillAllowed says why an approved ticket may not be started after all, empty where it
// may: because of people or of its age, that is. What became of the app is the rollout's
// to see. It is for the start: what has begun is not left half done because time goes
// by. Of a batch that runs it is for the start of its next part. An error means that it could not be found out, or that nothing may be changed just
// now.
func (d *Desk) StillAllowed(ctx context.Context, t Ticket) (why string, err error) {
	if d.cfg.ReadOnly != "" {
		return "", errors.New("nothing may be changed: " + d.cfg.ReadOnly)
	}
	starts, until := t.State != Running, t.ExpiresAt
	if t.Batch() && t.State == Running { // its next part does
		starts, until = true, t.PartsUntil()
	}
	switch {
	case starts && !d.now().Before(until) && t.State == Running:
		return fmt.Sprintf("%s has taken so long that its approval has run out", t.ID), nil
	case starts && !d.now().Before(until):
		return fmt.Sprintf("%s could not be started for so long that its approval has run out", t.ID), nil
	}
	pol := d.cfg.Policy()
	why, unread, err := d.lapsed(ctx, pol, t)
	if err == nil && unread == nil && why == "" && starts {
		why, unread, err = d.deserted(ctx, pol, t)
	}
	if err == nil && unread != nil {
		err = unread
	}
	return why, err
}
