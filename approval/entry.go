package approval

import (
	"context"
	"encoding/json"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
)

// detail is what the ledger keeps of a decision. The names are stored: they are added
// to, never changed. Amounts are US cents a month.
type detail struct {
	Wish      string                   `json:"wish,omitzero"` // as it is typed
	Hash      string                   `json:"plan_hash,omitzero"`
	Steps     []string                 `json:"steps,omitempty"`
	Increase  fleet.Value[fleet.Money] `json:"increase_cents,omitzero"`
	Within7   fleet.Value[fleet.Money] `json:"increases_7d_cents,omitzero"` // this one included
	Needed    *int                     `json:"approvals_needed,omitempty"`
	Votes     []Vote                   `json:"votes,omitempty"`
	Dropped   map[string]string        `json:"votes_dropped,omitempty"` // user id: why it counts no more
	Self      bool                     `json:"self,omitzero"`           // the requester's own voice is among the votes, or is this one
	Tried     string                   `json:"tried,omitzero"`          // of a refusal: what was tried
	Why       string                   `json:"why,omitzero"`            //
	Reason    string                   `json:"reason,omitzero"`         // as the person typed it
	FoundBy   string                   `json:"found_by,omitzero"`       // whose click showed it
	Halt      bool                     `json:"halt,omitzero"`           // it runs: it is to stop after its current step
	From      string                   `json:"from,omitzero"`           // the ticket that it goes on from
	ExpiresAt time.Time                `json:"expires_at,omitzero"`
	Ticket    string                   `json:"ticket_sha256,omitzero"` // of what never changes in the ticket; see Desk.Proof

	Parts      []share `json:"parts,omitempty"`      // of a batch, in order
	Batch      string  `json:"batch,omitzero"`       // the batch that the ticket carries a part of out
	Part       int     `json:"part,omitzero"`        // which one; 1 is the first
	PartTicket string  `json:"part_ticket,omitzero"` // told of the batch: what carries that part out
}

// share is what an entry tells of one app of a batch.
type share struct {
	App      fleet.ID                 `json:"app"`
	Name     string                   `json:"name"`
	Wish     string                   `json:"wish"`
	Hash     string                   `json:"plan_hash"`
	Steps    []string                 `json:"steps"`
	Increase fleet.Value[fleet.Money] `json:"increase_cents"`
}

// aboutPlan is what an entry tells of what is decided on.
func aboutPlan(t Ticket, q quorum) detail {
	d := detail{Hash: t.Plan.Hash, Increase: t.Plan.Cost.Difference, Within7: q.sum, Needed: &t.Approvals, Votes: t.Votes}
	for _, s := range t.Plan.Steps {
		d.Steps = append(d.Steps, s.String())
	}
	for _, p := range t.Parts {
		its := share{App: p.Plan.App, Name: p.Plan.Name, Wish: p.Wish.Line(p.Plan.Name), Hash: p.Plan.Hash, Increase: p.Plan.Cost.Difference}
		for _, s := range p.Plan.Steps {
			its.Steps = append(its.Steps, s.String())
		}
		d.Parts = append(d.Parts, its)
	}
	for _, v := range t.Votes {
		d.Self = d.Self || v.Self
	}
	return d
}

// entry is a line of the ledger about the ticket. That of a batch has no app; it is
// found by the ticket.
func entry(t Ticket, at time.Time, actor, verb string, about detail) ledger.Entry {
	text, err := json.Marshal(about)
	if err != nil { // it holds strings, numbers and times of years below 10,000 only
		panic(err)
	}
	return ledger.Entry{At: at, Actor: actor, Verb: verb, App: string(t.Plan.App), Name: t.Plan.Name, Ticket: t.ID, Detail: text}
}

// refusedLately is why the person was refused the same with this ticket before, within
// the hour. That is not told again: the ledger is kept for ever, and nobody who has no
// say is to fill it. Tries at the same moment may be told each.
func (d *Desk) refusedLately(ctx context.Context, t Ticket, by Person, tried string) (why []string, err error) {
	const newest = 500 // what an hour of one ticket comes to, and more
	all, err := d.cfg.Store.LedgerOfTicket(ctx, t.ID, 0, newest)
	if err != nil {
		return nil, err
	}
	since := d.now().Add(-time.Hour)
	for _, e := range all {
		if e.Verb != ledger.Refused || e.Actor != by.ID || e.At.Before(since) {
			continue
		}
		var was detail
		if err := json.Unmarshal(e.Detail, &was); err == nil && was.Tried == tried { // what another version wrote is no repetition
			why = append(why, was.Why)
		}
	}
	return why, nil
}

// refusal tells that somebody tried something with the ticket and was refused.
func refusal(t Ticket, at time.Time, by Person, tried string, why *No) Change {
	return Change{Entries: []ledger.Entry{entry(t, at, by.ID, ledger.Refused, detail{Tried: tried, Why: why.Text})}}
}
