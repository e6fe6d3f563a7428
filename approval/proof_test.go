package approval_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// tamper writes a ticket into the database past the store, as who owns it can.
func (b *bench) tamper(id string, with func(t *approval.Ticket)) approval.Ticket {
	b.t.Helper()
	t := b.ticket(id)
	with(&t)
	body, err := json.Marshal(t)
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.store.Tx(b.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), `UPDATE tickets SET state = $1, app = $2, body = $3 WHERE n = $4`, string(t.State), string(t.Plan.App), string(body), strings.TrimPrefix(id, "T-"))
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.ticket(id)
}

// tell moves a ticket on as a rollout does: with an entry of the ledger.
func (b *bench) tell(id, verb string, state approval.State) {
	b.t.Helper()
	_, err := b.store.ChangeTicket(b.t.Context(), id, func(t *approval.Ticket) (approval.Change, error) {
		t.State = state
		return approval.Change{Entries: []ledger.Entry{{At: b.now, Actor: ledger.Bot, Verb: verb, App: string(t.Plan.App), Ticket: id}}}, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestProof is what somebody can make of a ticket who can write the database and has not
// the ledger's key.
func TestProof(t *testing.T) {
	approve := func(b *bench) { b.approve("T-1", "UYES") }
	start := func(b *bench) { approve(b); b.tell("T-1", ledger.Started, approval.Running) }
	for name, c := range map[string]struct {
		before func(b *bench)
		tamper func(t *approval.Ticket)
		why    string // empty: it holds
	}{
		"pending":              {},
		"approved":             {before: approve},
		"running":              {before: start},
		"over":                 {before: func(b *bench) { start(b); b.tell("T-1", ledger.Finished, approval.Done) }},
		"asked to stop":        {before: func(b *bench) { start(b); b.cancel("T-1", "UANY") }},
		"approved by nobody":   {tamper: func(t *approval.Ticket) { t.State = approval.Approved }, why: "has T-1 as approved, and the ledger does not"},
		"begun by nobody":      {tamper: func(t *approval.Ticket) { t.State = approval.Running }, why: "has T-1 as running"},
		"begun out of nothing": {before: approve, tamper: func(t *approval.Ticket) { t.State = approval.Running }, why: "has T-1 as running"},
		"a vote made up": {
			tamper: func(t *approval.Ticket) { t.Votes = []approval.Vote{{User: "UYES2", Team: "TUS"}} }, why: "does not tell of each approval"},
		"another's request": {tamper: func(t *approval.Ticket) { t.Requester = "UASK2" }, why: "its record in the database was altered"},
		"another wish":      {tamper: func(t *approval.Ticket) { t.Wish = wish("web=9") }, why: "was altered"},
		"another step": {
			before: approve, tamper: func(t *approval.Ticket) { t.Plan.Steps[0].To.Processes[0].Quantity = 9 }, why: "was altered"},
		"a longer life":    {before: approve, tamper: func(t *approval.Ticket) { t.ExpiresAt = t.ExpiresAt.AddDate(1, 0, 0) }, why: "was altered"},
		"another app":      {tamper: func(t *approval.Ticket) { t.Plan.App = "fedcba98-7654-4321-8f01-23456789abcd" }, why: "was altered"},
		"denied, and back": {before: func(b *bench) { b.deny("T-1", "UYES") }, tamper: func(t *approval.Ticket) { t.State = approval.Pending }, why: "has T-1 as pending"},
		"cancelled, and back": {
			before: func(b *bench) { approve(b); b.cancel("T-1", "UANY") }, tamper: func(t *approval.Ticket) { t.State = approval.Approved }, why: "has T-1 as approved"},
		"done, and back": {
			before: func(b *bench) { start(b); b.tell("T-1", ledger.Finished, approval.Done) }, tamper: func(t *approval.Ticket) { t.State = approval.Approved }, why: "has T-1 as approved"},
		"done, and on": {
			before: func(b *bench) { start(b); b.tell("T-1", ledger.Finished, approval.Done) }, tamper: func(t *approval.Ticket) { t.State = approval.Running }, why: "has T-1 as running"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.ask("enable", "UASK")
			if c.before != nil {
				c.before(b)
			}
			if c.tamper != nil {
				b.tamper("T-1", c.tamper)
			}
			why, err := b.Proof(t.Context(), b.ticket("T-1"))
			if err != nil || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				t.Errorf("got %q, %v, want %q", why, err, c.why)
			}
		})
	}
}

// TestProofOfTheKey: what another key has sealed proves nothing.
func TestProofOfTheKey(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("enable", "UASK")
	other := approval.NewDesk(approval.DeskConfig{
		Store: b.store, Apps: b, People: b, Key: ledger.NewKey("another"), Policy: func() policy.Policy { return b.policy },
	})
	if why, err := other.Proof(t.Context(), b.ticket("T-1")); err != nil || !strings.Contains(why, "does not tell of T-1, sealed with the key that I have") {
		t.Errorf("got %q, %v, want that nothing is known of it", why, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if why, err := b.Proof(ctx, b.ticket("T-1")); err == nil || why != "" {
		t.Errorf("got %q, %v, want an error while the ledger can't be read", why, err)
	}
}

// TestAlteredTicketIsNotApproved: what the approver was shown is not what is in the
// database by now, though it would be a sound plan.
func TestAlteredTicketIsNotApproved(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("enable", "UASK")
	dear := b.askFor("web=3", "UASK")
	b.tamper("T-1", func(t *approval.Ticket) { t.Wish, t.Plan = dear.Wish, dear.Plan })
	_, _, err := b.Approve(t.Context(), "T-1", person("UYES"))
	wantNo(t, err, "its record in the database was altered")
	if got := b.ticket("T-1").State; got != approval.Stale {
		t.Errorf("got %s, want it stale", got)
	}
	wantVerbs(t, b, "asked UASK, stale zdd")
}

// TestManyTickets: one person can't have the approvers rung without end, nor fill the
// database with previews.
func TestManyTickets(t *testing.T) {
	b := newBench(t, "people: { operators: [UASK, UASK2], approvers: [UYES] }\nlimits: { web_dynos: 100, monthly_increase: 100000 }")
	ask := func(text, user string) (made bool, err error) {
		_, made, err = b.Ask(t.Context(), b.askFor(text, user))
		return made, err
	}
	for n := range 20 {
		b.ask(fmt.Sprint("web=", n+2), "UASK")
	}
	_, err := ask("web=50", "UASK")
	wantNo(t, err, "You have 20 tickets that wait for an approval already")
	if made, err := ask("web=2", "UASK"); made || err != nil {
		t.Errorf("the same again: got %v, made %v, want the ticket that there is", err, made)
	}
	b.ask("web=50", "UASK2")
	b.deny("T-1", "UYES")
	b.ask("web=51", "UASK")
	_, err = ask("web=52", "UASK")
	wantNo(t, err, "You have 20")
	b.after(24 * time.Hour) // they are over, though nobody has said so yet
	b.ask("web=52", "UASK")

	b.setApp("standard-1x web=2 affinity")
	preview := func(n int) error {
		b.app.ID = fleet.ID(fmt.Sprintf("%08x-89ab-cdef-0123-456789abcdef", n))
		_, err := ask("preboot=on", "UASK")
		return err
	}
	for n := range 100 {
		if err := preview(n); err != nil {
			t.Fatal(err)
		}
	}
	wantNo(t, preview(100), "You have 100 previews open already")
}
