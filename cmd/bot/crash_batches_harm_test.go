//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/zdd/approval"
	"example.com/zdd/chat"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	simslack "example.com/zdd/sim/slack"
)

// TestCrashSeesHarmToBatches does each harm that there can be to a batch to the record of
// one that was stopped as it should be.
func TestCrashSeesHarmToBatches(t *testing.T) {
	entry := func(r *crashRecord, seq int64, at int, ticket, verb string) {
		r.entries = append(r.entries, ledger.Entry{Seq: seq, At: second(at), Ticket: ticket, Verb: verb, Actor: ledger.Bot, Detail: json.RawMessage(`{"part":9}`)})
	}
	for name, c := range map[string]struct {
		hurt func(r *crashRecord)
		want []string // the kinds of harm that are counted
	}{
		"none": {func(*crashRecord) {}, nil},
		"two tickets for one part": {func(r *crashRecord) {
			again := r.tickets[3]
			again.ID = "T-5"
			r.tickets = append(r.tickets, again)
			entry(r, 6, 22, "T-5", ledger.Begun)
		}, []string{harmOrder, harmAgain, harmBoth}},
		"a part that the ledger tells twice to begin": {func(r *crashRecord) { entry(r, 9, 22, "T-4", ledger.Begun) }, []string{harmAgain}},
		"a part that begins when the batch was cancelled": {func(r *crashRecord) {
			next := r.tickets[2]
			next.ID, next.Plan, next.Progress, next.Halt = "T-5", r.tickets[1].Parts[2].Plan, nil, "U0ADMIN"
			r.tickets = append(r.tickets, next)
			entry(r, 9, 40, "T-5", ledger.Begun)
			r.tickets[1].Parts[2].Ticket, r.tickets[3].State, r.final["app2-0002"] = "T-5", approval.Done, r.final["app-0002"]
		}, []string{harmLate}},
		"a part that goes on when the batch was shown to be over": {func(r *crashRecord) {
			r.events = append([]simslack.Event{message("4", "T-2 · enable app-0002 and 2 more: stopped")}, r.events...)
			r.events[0].At = second(11)
			r.posts["C0OPS 4"] = true
		}, []string{harmLate}},
		"a part that begins before the one before it is done": {func(r *crashRecord) { r.tickets[2].EndedAt = second(24) }, []string{harmBoth}},
		"a part that begins though the one before it failed":  {func(r *crashRecord) { r.tickets[2].State = approval.Failed }, []string{harmEnded, harmBoth}},
		"a part that begins without a pause":                  {func(r *crashRecord) { r.tickets[2].EndedAt = second(22) }, []string{harmOrder}},
		"writes to two apps at once": {func(r *crashRecord) {
			r.tickets[3].Plan.Steps, r.tickets[3].Progress = r.tickets[2].Plan.Steps[:1], []approval.Progress{{Intended: second(8), Done: second(9)}}
			w := r.writes["app-0002"][0]
			w.app, w.from, w.took, w.to = "app2-0002", second(9), second(9), second(9)
			r.writes["app2-0002"] = []crashWrite{w}
		}, []string{harmBoth}},
		"an app changed that is in no ticket": {func(r *crashRecord) {
			w := r.writes["app-0002"][0]
			w.app = "app-0099"
			r.writes["app-0099"] = []crashWrite{w}
		}, []string{harmGhost, harmStray}},
		"an app changed whose part was not begun": {func(r *crashRecord) {
			r.writes["app3-0002"] = r.writes["app-0002"][:1]
		}, []string{harmGhost, harmStray}},
		"not said what was not begun":   {func(r *crashRecord) { r.tickets[1].Outcome = "It was cancelled while it ran." }, []string{harmUnsaid}},
		"not shown what was not begun":  {func(r *crashRecord) { r.events[len(r.events)-1].Text = "T-2 · enable app-0002 and 2 more: stopped" }, []string{harmUnsaid}},
		"a batch that stopped, unasked": {func(r *crashRecord) { r.tickets[1].Halt, r.tickets[3].Halt = "", "" }, []string{harmEnded}},
		"a part of no batch":            {func(r *crashRecord) { r.tickets[3].Of = "T-1" }, []string{harmGhost}},
		"the parts in another order": {func(r *crashRecord) {
			r.tickets[1].Parts[0], r.tickets[1].Parts[1] = r.tickets[1].Parts[1], r.tickets[1].Parts[0]
		}, []string{harmOrder}},
		"an app of a part that is done and not ready": {func(r *crashRecord) { r.final["app-0002"] = crashState{"2", "standard-1x", "on", "off"} }, []string{harmLost}},
		"an app changed though nothing was begun":     {func(r *crashRecord) { r.final["app3-0002"] = r.final["app-0002"] }, []string{harmGhost}},
	} {
		t.Run(name, func(t *testing.T) {
			r := wellBatch()
			c.hurt(&r)
			y := r.judge()
			var got []string
			for _, kind := range harms() {
				if y.count[kind] > 0 {
					got = append(got, kind)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got harm %q, want %q:\n%s", got, c.want, strings.Join(y.what, "\n"))
			}
		})
	}
}

// wellBatch is the record of wellRun with a batch of three apps, stopped at the second.
func wellBatch() crashRecord {
	r := wellRun()
	one := r.tickets[0]
	untouched := crashState{"1", "standard-1x", "off", "off"}
	r.apps = append(r.apps, crashApp{name: "app-0002", story: storyBatchHalt, others: []string{"app2-0002", "app3-0002"}})
	r.final["app-0002"], r.final["app2-0002"], r.final["app3-0002"] = r.final["app-0001"], untouched, untouched
	for _, w := range r.writes["app-0001"] {
		w.app = "app-0002"
		r.writes["app-0002"] = append(r.writes["app-0002"], w)
	}
	part := func(name string, id fleet.ID) approval.Part {
		p := one.Plan
		p.Name, p.App = name, id
		return approval.Part{Plan: p}
	}
	batch := approval.Ticket{
		ID: "T-2", State: approval.Stopped, Requester: one.Requester, Origin: "E-many", Approvals: 1, Votes: one.Votes, Halt: "U0ADMIN", EndedAt: second(26),
		Plan:    plan.Plan{Name: "app-0002 and 2 more"},
		Parts:   []approval.Part{part("app-0002", "C"), part("app2-0002", "D"), part("app3-0002", "E")},
		Outcome: "It was cancelled while it ran. Done: `app-0002`. Not begun: `app3-0002`. To plan that anew: `/zdd enable app3-0002`.",
	}
	carry := func(id string, i int) approval.Ticket {
		t := one
		t.ID, t.Of, t.Plan, t.Origin = id, "T-2", batch.Parts[i].Plan, fmt.Sprintf("part:T-2/%d", i+1)
		batch.Parts[i].Ticket = id
		return t
	}
	first, other := carry("T-3", 0), carry("T-4", 1)
	first.EndedAt = second(21)
	other.State, other.Halt, other.EndedAt, other.Progress = approval.Stopped, "U0ADMIN", second(25), make([]approval.Progress, 3)
	r.tickets = append(r.tickets, batch, first, other)
	r.presses = append(r.presses,
		&press{who: "asker0", did: "ask", app: "app-0002", envelope: "E-many", acked: true, at: second(1)},
		&press{who: "approver", did: "approve", ticket: "T-2", envelope: "E-yes", acked: true, at: second(2)})
	r.requests["E-many"], r.requests["E-yes"] = chat.Accepted{}, chat.Accepted{}
	for i, e := range []struct {
		at           int
		ticket, verb string
	}{
		{1, "T-2", ledger.Asked}, {2, "T-2", ledger.Approved}, {3, "T-2", ledger.Begun}, {3, "T-3", ledger.Begun}, {22, "T-2", ledger.Begun}, {22, "T-4", ledger.Begun},
		{23, "T-2", ledger.Cancelled}, {26, "T-2", ledger.Stopped},
	} {
		r.entries = append(r.entries, ledger.Entry{
			Seq: int64(i + 1), At: second(e.at), Ticket: e.ticket, Verb: e.verb, Actor: "U0APPROVER", Detail: json.RawMessage(fmt.Sprintf(`{"part":%d}`, i)),
		})
	}
	r.posts["C0OPS 4"] = true
	card := message("4", "T-2 · enable app-0002 and 2 more: stopped\n"+batch.Outcome)
	r.events = append(r.events, card)
	return r
}
