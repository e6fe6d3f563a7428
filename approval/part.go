package approval

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// Part is one app's share of a ticket for several, a batch, which is decided on as a
// whole and carried out app by app, in order: the first is the canary. Each is carried
// out by a ticket of its own, which [PartTicket] makes when its turn comes. What was
// decided on, Wish and Plan, never changes.
type Part struct {
	Wish    plan.Wish `json:"wish"`
	Plan    plan.Plan `json:"plan"`
	Ticket  string    `json:"ticket,omitzero"`   // the one that carries it out; empty: it has not begun
	State   State     `json:"state,omitzero"`    // of that ticket, as the batch has seen it last
	Doing   string    `json:"doing,omitzero"`    // what it does or waits for just now, for people
	Outcome string    `json:"outcome,omitzero"`  // how it ended, in sentences
	EndedAt time.Time `json:"ended_at,omitzero"` // when it ended
}

// How many apps one batch may have. More at once than a person reads before saying yes
// is a blast radius that nobody has looked at.
const (
	FewestParts = 2
	MostParts   = 10
)

// Batch says whether the ticket is for several apps.
func (t Ticket) Batch() bool { return len(t.Parts) > 0 }

// Next is the first part that has not begun; ok is false where all have.
func (t Ticket) Next() (i int, ok bool) {
	i = slices.IndexFunc(t.Parts, func(p Part) bool { return p.Ticket == "" })
	return i, i >= 0
}

// Current is the part that was begun last; ok is false where none was.
func (t Ticket) Current() (i int, ok bool) {
	i = len(t.Parts)
	if next, more := t.Next(); more {
		i = next
	}
	return i - 1, i > 0
}

// PartTicket is the ticket that carries part i of a running batch out, to be stored by
// CreateTicketTx in the transaction that stores its id in Parts[i].Ticket; change are
// the entries and the work that go with it. It is approved already: by the votes on the
// batch, as whose request it goes on. Its ExpiresAt is the batch's PartsUntil.
//
// It is for the caller to have asked for the batch's Proof and StillAllowed just before.
// An error says that this is not the part whose turn it is: the batch does not run, or
// was asked to stop, or the part before is not done.
//
// However often it is made, it is stored once: its Origin is "part:T-12/3", of the third
// part of T-12.
func PartTicket(batch Ticket, i int, now time.Time) (part Ticket, change func(Ticket) Change, err error) {
	next, more := batch.Next()
	switch {
	case batch.State != Running || batch.Halt != "":
		return Ticket{}, nil, fmt.Errorf("begin part %d of %s: it is %s, or was asked to stop", i+1, batch.ID, batch.State)
	case !more || i != next || i > 0 && batch.Parts[i-1].State != Done:
		return Ticket{}, nil, fmt.Errorf("begin part %d of %s: it is not its turn", i+1, batch.ID)
	case !now.Before(batch.PartsUntil()):
		return Ticket{}, nil, fmt.Errorf("begin part %d of %s: its approval has run out", i+1, batch.ID)
	}
	p := batch.Parts[i]
	part = Ticket{
		State: Approved, Wish: p.Wish, Plan: p.Plan, Policy: batch.Policy, Requester: batch.Requester, Team: batch.Team, Channel: batch.Channel,
		Origin: partOrigin(batch.ID, i), Of: batch.ID,
		CreatedAt: batch.CreatedAt, DecidedAt: batch.DecidedAt, ExpiresAt: batch.PartsUntil(),
		Approvals: batch.Approvals, Why: p.Plan.NeedsApproval(), Own: batch.Own, Votes: batch.Votes,
	}
	return part, func(t Ticket) Change {
		about := aboutPlan(t, quorum{sum: t.Plan.Cost.Difference})
		about.Wish, about.Batch, about.Part, about.ExpiresAt, about.Ticket = t.Wish.Line(t.Plan.Name), batch.ID, i+1, t.ExpiresAt, fingerprint(t)
		of := detail{Part: i + 1, PartTicket: t.ID, Wish: about.Wish, Hash: t.Plan.Hash}
		return Change{
			Entries: []ledger.Entry{entry(batch, now, ledger.Bot, ledger.Begun, of), entry(t, now, ledger.Bot, ledger.Begun, about)},
			Work:    []Work{applyWork(t, now)},
		}
	}, nil
}

func partOrigin(batch string, i int) string { return fmt.Sprintf("part:%s/%d", batch, i+1) }

// PartsUntil is until when parts of an approved batch may begin: as long after its
// approval as it had to be decided in. Ten apps may take longer than what was left of
// that at the click.
func (t Ticket) PartsUntil() time.Time { return t.DecidedAt.Add(t.ExpiresAt.Sub(t.CreatedAt)) }

// Rest are the parts of a batch that have to be asked for anew: those that have not
// begun, and those whose tickets ended before they were. A part that was stopped or
// failed is gone on with by its own ticket.
func (t Ticket) Rest() []Part {
	return slices.DeleteFunc(slices.Clone(t.Parts), func(p Part) bool {
		return p.Ticket != "" && p.State != Stale && p.State != Cancelled
	})
}

// Lines are what to type to ask for parts, without the /zdd: one line, unless they move
// to several sizes. Of several apps a size is for those that need one.
func Lines(parts []Part) (lines []string) {
	sized := slices.IndexFunc(parts, func(p Part) bool { return p.Wish.Size != "" })
	for len(parts) > 0 {
		wish := parts[max(sized, 0)].Wish
		var names []string
		var others []Part
		for _, p := range parts {
			if sameWish(p.Wish, wish) || p.Wish.Verb == plan.ToEnable && p.Wish.Size == "" {
				names = append(names, p.Plan.Name)
			} else {
				others = append(others, p)
			}
		}
		lines = append(lines, wish.Line(strings.Join(names, " ")))
		parts, sized = others, 0
	}
	return lines
}

// follow has what was said about a batch hold for the part of it that is being carried
// out: it is taken back if it has not begun, and else stops after its current step. tx is
// the one in which it was said. Of a part whose ticket is not there, or is another's,
// somebody has altered the batch, and the batch is stopped nevertheless.
func (d *Desk) follow(ctx context.Context, tx *sql.Tx, batch Ticket) error {
	i, begun := batch.Current()
	if !begun || batch.Halt == "" || batch.State != Running {
		return nil
	}
	_, err := d.cfg.Store.ChangeTicketTx(ctx, tx, batch.Parts[i].Ticket, func(t *Ticket) (Change, error) {
		if t.Of != batch.ID || t.Halt != "" { // or it was said already
			return Change{}, nil
		}
		return cancel(t, d.now(), batch.Halt), nil
	})
	if err != nil && !errors.Is(err, ErrNoTicket) {
		return fmt.Errorf("stop part %d of %s: %w", i+1, batch.ID, err)
	}
	return nil
}
