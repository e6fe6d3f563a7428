package approval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// Proof says why a ticket that is not over is not what the ledger tells of it, a
// sentence without its full stop; empty where it is. Who can write the database can make
// up a ticket, another plan in it, a vote, or an approval; but without the ledger's key
// no entry that fits. So nothing is decided, begun or gone on with but what the entries
// that this key has sealed tell: that it was asked for as it is, by whom, who said yes,
// and that it has not ended since.
//
// It can't tell a ticket that was set back to an earlier state where what the ledger tells
// of it since was taken out as well; the whole chain does, and the heads that were told in
// Slack (ledger.Verify). Once a night has found that, no ticket from before holds (doubt).
func (d *Desk) Proof(ctx context.Context, t Ticket) (why string, err error) {
	told, err := d.told(ctx, t)
	if err != nil {
		return "", fmt.Errorf("read what the ledger tells of %s: %w", t.ID, err)
	}
	if len(told) == 0 {
		return fmt.Sprintf("The ledger does not tell of %s, sealed with the key that I have: the key was changed since, or somebody else wrote it into the database", t.ID), nil
	}
	made := told[len(told)-1]
	var about detail
	if err := json.Unmarshal(made.Detail, &about); err != nil || about.Ticket != fingerprint(t) {
		return fmt.Sprintf("%s is not what the ledger tells was asked for: its record in the database was altered", t.ID), nil
	}
	upTo, err := doubt(ctx, d.cfg.Store, d.cfg.Key)
	if err != nil {
		return "", err
	}
	if why := doubted(made, upTo); why != "" && !t.State.Final() {
		return why, nil
	}
	said := func(verbs ...string) bool {
		return slices.ContainsFunc(told, func(e ledger.Entry) bool { return slices.Contains(verbs, e.Verb) })
	}
	if (made.Verb == ledger.Begun) != (t.Of != "") || about.Batch != t.Of {
		return fmt.Sprintf("%s is not what the ledger tells was begun: its record in the database was altered", t.ID), nil
	}
	other := made.Verb == ledger.Resumed || made.Verb == ledger.Begun // under the votes on another ticket
	for _, v := range t.Votes {
		cast := func(e ledger.Entry) bool {
			return e.Actor == v.User && (e.Verb == ledger.Voted || e.Verb == ledger.Approved)
		}
		same := func(o Vote) bool { return o.User == v.User }
		if !other && !slices.ContainsFunc(told, cast) || made.Verb == ledger.Begun && !slices.ContainsFunc(about.Votes, same) {
			return fmt.Sprintf("The ledger does not tell of each approval that the database has for %s", t.ID), nil
		}
	}
	over := said(ledger.Stale, ledger.Denied, ledger.Expired, ledger.Finished, ledger.Stopped, ledger.Failed)
	approved, started := other || said(ledger.Approved), said(ledger.Started)
	var is bool
	switch t.State {
	case Pending:
		is = !approved && !started && !over && !said(ledger.Cancelled)
	case Approved:
		is = approved && !started && !over && !said(ledger.Cancelled)
	case Running:
		is = approved && started && !over
	default:
		is = true
	}
	if !is {
		return fmt.Sprintf("The database has %s as %s, and the ledger does not", t.ID, t.State), nil
	}
	if t.Batch() && !t.State.Final() {
		return d.proofOfParts(ctx, t, told)
	}
	return "", nil
}

// proofOfParts is Proof of how far a batch is: that just those parts were begun, by those
// tickets and one after the other, and when it was approved, on which hangs until when
// the others may be. told are the entries about the batch, newest first.
func (d *Desk) proofOfParts(ctx context.Context, t Ticket, told []ledger.Entry) (why string, err error) {
	begun := 0
	for _, e := range slices.Backward(told) {
		switch e.Verb {
		case ledger.Approved:
			if !e.At.Equal(t.DecidedAt) {
				return fmt.Sprintf("The ledger tells that %s was approved at another time than the database says", t.ID), nil
			}
		case ledger.Begun:
			var about detail
			if err := json.Unmarshal(e.Detail, &about); err != nil || about.Part != begun+1 || begun >= len(t.Parts) || t.Parts[begun].Ticket != about.PartTicket {
				return fmt.Sprintf("The ledger tells of other parts of %s as begun than the database does", t.ID), nil
			}
			begun++
		}
	}
	for i, p := range t.Parts {
		if (p.Ticket != "") != (i < begun) || i+1 < begun && p.State != Done || i >= begun && p.State != "" {
			return fmt.Sprintf("The ledger tells of other parts of %s as begun than the database does", t.ID), nil
		}
	}
	if begun == 0 || t.Parts[begun-1].State != Done {
		return "", nil
	}
	// Each part before it was proven when the next one was begun.
	last := t.Parts[begun-1]
	entries, err := d.cfg.Store.LedgerOfTicket(ctx, last.Ticket, 0, 100)
	if err != nil {
		return "", fmt.Errorf("read what the ledger tells of %s: %w", last.Ticket, err)
	}
	finished := func(e ledger.Entry) bool {
		return e.Verb == ledger.Finished && e.App == string(last.Plan.App) && d.cfg.Key.Fits(e)
	}
	if !slices.ContainsFunc(entries, finished) {
		return fmt.Sprintf("The database has %s as done, and the ledger does not", last.Ticket), nil
	}
	return "", nil
}

// told are the entries about a ticket that the key has sealed, newest first, down to the
// one that made it; none where that one is not among them.
func (d *Desk) told(ctx context.Context, t Ticket) (all []ledger.Entry, err error) {
	const page = 100 // entries; few tickets come to more
	for before := int64(0); ; {
		entries, err := d.cfg.Store.LedgerOfTicket(ctx, t.ID, before, page)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			before = e.Seq
			if !d.cfg.Key.Fits(e) {
				continue
			}
			all = append(all, e)
			if e.Verb == ledger.Asked || e.Verb == ledger.Resumed || e.Verb == ledger.Begun && t.Of != "" {
				return all, nil
			}
		}
		if len(entries) < page || before <= 1 {
			return nil, nil
		}
	}
}

// fingerprint is a hash of all that never changes in a ticket.
func fingerprint(t Ticket) string {
	type asked struct {
		Wish plan.Wish
		Plan plan.Plan
	}
	var parts []asked
	for _, p := range t.Parts {
		parts = append(parts, asked{p.Wish, p.Plan})
	}
	return hashOf(struct {
		ID                                        string
		Wish                                      plan.Wish
		Plan                                      plan.Plan
		Requester, Team, Resumer, Follows, Policy string
		App                                       fleet.ID
		Created, Expires                          time.Time
		Parts                                     []asked `json:",omitempty"` // before there were batches, these two were not
		Of                                        string  `json:",omitzero"`
	}{t.ID, t.Wish, t.Plan, t.Requester, t.Team, t.Resumer, t.Follows, t.Policy, t.Plan.App, t.CreatedAt, t.ExpiresAt, parts, t.Of})
}

// hashOf is a hash of something as JSON.
func hashOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // it holds texts, numbers and times that were read from JSON
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
