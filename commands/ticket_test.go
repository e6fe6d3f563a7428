package commands

import (
	"context"
	"encoding/json"
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
)

// aTicket asks for a second web dyno, and waits for one approval.
func aTicket() approval.Ticket {
	web := func(n int) plan.State {
		return plan.State{Processes: []plan.Process{{Type: "web", Size: "standard-1x", Quantity: n}}}
	}
	cents := func(n int) fleet.Value[fleet.Money] { return fleet.Known(fleet.Money(n)) }
	return approval.Ticket{
		ID: "T-1", State: approval.Pending, Approvals: 1, Requester: "U0REQUESTER",
		Wish: plan.Wish{Verb: plan.ToScale, Web: 2},
		Plan: plan.Plan{
			Name: "shop",
			Steps: []plan.Step{
				{Kind: plan.Scale, From: web(1), To: web(2), Cost: plan.Cost{Difference: cents(2500)}},
				{Kind: plan.Settle, Wait: 6 * time.Minute},
			},
			Cost: plan.Cost{Now: cents(2500), Then: cents(5000), Difference: cents(2500)},
		},
	}
}

// rendered is all of a reply's text, its marks and its buttons, a part a line.
func rendered(r Reply) string {
	var b strings.Builder
	for _, part := range r.Parts {
		switch p := part.(type) {
		case Heading:
			b.WriteString(p.Text + "\n")
		case Para:
			b.WriteString(p.Text.String() + "\n")
		case Note:
			b.WriteString(p.Text.String() + "\n")
		case List:
			for _, item := range p.Items {
				b.WriteString(string(item.Mark) + ": " + item.Text.String() + "\n")
			}
		case Facts:
			for _, f := range p.Pairs {
				b.WriteString(f.Name + ": " + f.Value.String() + "\n")
			}
		case Buttons:
			for _, button := range p.Row {
				b.WriteString("[" + button.Label + "] ")
			}
		}
	}
	return b.String()
}

func TestTicketReply(t *testing.T) {
	unpriced := fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotTold, Text: "Heroku gives no price"})
	tests := map[string]struct {
		change func(*approval.Ticket)
		to     Audience
		want   []string
		not    []string
	}{
		"approvers":                   {to: ForApprovers, want: []string{"@U0REQUESTER asks for", "Cost: $25.00 → $50.00 a month", "to do: web 1 → 2", "[Approve $25.00/month] [Deny] [Details] [Cancel]"}},
		"requester":                   {to: ForRequester, want: []string{"You asked for", "[Cancel]"}, not: []string{"Approve", "Spend"}},
		"own voice":                   {func(t *approval.Ticket) { t.Own = true }, ForRequester, []string{"Your own yes counts", "[Spend $25.00/month] [Cancel]"}, nil},
		"own voice, another's screen": {func(t *approval.Ticket) { t.Own = true }, ForAsker, []string{"[Cancel]"}, []string{"Spend", "Your own"}},
		"own voice, given": {func(t *approval.Ticket) {
			t.Own, t.Approvals, t.Votes = true, 2, []approval.Vote{{User: "U0REQUESTER", Self: true}}
		}, ForRequester, []string{"1 of 2", "That is who asked; the policy allows it."}, []string{"Spend", "Your own"}},
		"own voice, price unknown": {func(t *approval.Ticket) {
			t.Own, t.Plan.Cost.Then, t.Plan.Cost.Difference = true, unpriced, unpriced
		}, ForRequester, []string{"[Spend, price unknown]"}, []string{"$0"}},
		"own voice, only now unknown": {func(t *approval.Ticket) {
			t.Own, t.Plan.Cost.Now, t.Plan.Cost.Difference = true, unpriced, unpriced
		}, ForRequester, []string{"[Spend $50.00/month in all]"}, []string{"$0", "price unknown"}},
		"only now unknown": {func(t *approval.Ticket) {
			t.Plan.Cost.Now, t.Plan.Cost.Difference = unpriced, unpriced
		}, ForApprovers, []string{"[Approve $50.00/month in all]", "not known now (Heroku gives no price) → $50.00 a month in all"}, []string{"$0", "price unknown"}},
		"own voice, costs nothing": {func(t *approval.Ticket) { t.Own, t.Plan.Cost.Difference = true, fleet.Known(fleet.Money(-2500)) }, ForRequester, []string{"[Do it]"}, []string{"Spend"}},
		"price unknown": {func(t *approval.Ticket) {
			t.Plan.Cost = plan.Cost{Now: unpriced, Then: unpriced, Difference: unpriced, Units: plan.Units{Now: fleet.Known(1.5), Then: fleet.Known(3.0), Difference: fleet.Known(1.5)}}
		}, ForApprovers, []string{"Cost: 1.5 → 3 dyno units a month. In money it is not known: Heroku gives no price.", "[Approve, price unknown]"}, []string{"$0"}},
		"costs nothing": {func(t *approval.Ticket) {
			t.Plan.Cost.Then, t.Plan.Cost.Difference = t.Plan.Cost.Now, fleet.Known(fleet.Money(0))
		}, ForApprovers, []string{"Cost: $25.00 a month, as before"}, []string{"Difference"}},
		"denied": {func(t *approval.Ticket) {
			t.State, t.DecidedBy, t.Reason, t.Outcome = approval.Denied, "U0APPROVER", "not now", "Nothing was changed."
		}, ForApprovers, []string{"@U0REQUESTER asked for", "not done: web 1 → 2", "Would have cost", "Denied by @U0APPROVER: “not now”. Nothing was changed.", "[Status]"}, []string{"Approve ", "to do"}},
		"stopped by a person": {func(t *approval.Ticket) {
			t.State, t.Halt, t.Outcome = approval.Stopped, "U0ADMIN", "It was cancelled while it ran."
		}, ForApprovers, []string{"Stopped by @U0ADMIN. It was cancelled", "[Resume] [Status]"}, []string{"asked to stop"}},
		"done": {func(t *approval.Ticket) {
			t.State, t.Verdict = approval.Done, "not-ready"
			begun := time.Unix(0, 0)
			t.Progress = []approval.Progress{{Intended: begun, Done: begun.Add(time.Second)}, {Intended: begun, Done: begun.Add(65 * time.Minute)}}
		}, ForApprovers, []string{"done: web 1 → 2 standard-1x (+$25.00 a month) · took 1s", "· took 1h5m", "The app is now not ready.", "[Undo] [Status]"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ticket := aTicket()
			if tt.change != nil {
				tt.change(&ticket)
			}
			got := rendered(TicketReply(ticket, tt.to))
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got:\n%s\nwant %q in it", got, want)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(got, not) {
					t.Errorf("got:\n%s\nwant no %q in it", got, not)
				}
			}
		})
	}
}

// The confirmation says the amount, and that one person alone decides.
func TestSpendAsksOnceMore(t *testing.T) {
	ticket := aTicket()
	ticket.Own = true
	b := spend(ticket)
	if b.Run != "approve T-1" || b.Confirm.Title != "Spend $25.00/month?" || !strings.Contains(b.Confirm.Text, "You approve it alone") {
		t.Errorf("got %+v, %+v", b, b.Confirm)
	}
	ticket.Approvals = 2
	if b = spend(ticket); !strings.Contains(b.Confirm.Text, "Yours is one of 2 voices.") || strings.Contains(b.Confirm.Text, "alone") {
		t.Errorf("for two voices: got %q", b.Confirm.Text)
	}
}

// oneTicket is a desk with one ticket, that says what it was told to decide.
type oneTicket struct {
	desk
	ticket approval.Ticket
	told   []string
}

func (d *oneTicket) Ticket(context.Context, string) (approval.Ticket, error) { return d.ticket, nil }

func (d *oneTicket) note(verb string) (approval.Ticket, error) {
	d.told = append(d.told, verb)
	return d.ticket, nil
}

func (d *oneTicket) Do(context.Context, string, approval.Person) (approval.Ticket, error) {
	return d.note("do")
}

func (d *oneTicket) Approve(context.Context, string, approval.Person) (approval.Ticket, approval.Outcome, error) {
	t, err := d.note("approve")
	return t, approval.Decided, err
}

func (d *oneTicket) Deny(context.Context, string, approval.Person, string) (approval.Ticket, error) {
	return d.note("deny")
}

func (d *oneTicket) Cancel(context.Context, string, approval.Person) (approval.Ticket, error) {
	return d.note("cancel")
}

func (d *oneTicket) Resume(context.Context, approval.ResumeFor) (approval.Ticket, bool, error) {
	t, err := d.note("resume")
	return t, true, err
}

// A button decides on the ticket that it stands under, and not on another one that a
// restored database has given the same number.
func TestButtonsOfAnOlderRequest(t *testing.T) {
	now, before := aTicket(), aTicket()
	now.Plan.Hash, before.Plan.Hash = "0123456789abcdef", "fedcba9876543210"
	before.Plan.Name = "billing"
	lines := map[string]bool{} // of every button that decides
	for _, state := range []approval.State{approval.Pending, approval.Approved, approval.Running, approval.Stopped} {
		for _, needs := range []int{0, 1} {
			for _, to := range []Audience{ForApprovers, ForRequester} {
				before.State, before.Approvals, before.Own = state, needs, needs == 1
				for _, b := range ticketButtons(before, to) {
					if verb, _, _ := strings.Cut(b.Run, " "); verb != "show" && verb != "status" && verb != "undo" {
						lines[b.Run] = true
					}
				}
			}
		}
	}
	if len(lines) != 5 {
		t.Fatalf("got buttons for %v, want one line for each of the five decisions", lines)
	}
	run := func(d *oneTicket, line string) error {
		_, err := New(Deps{Desk: d, Policies: anyPolicy{}}).Run(t.Context(), line, Request{By: Person{ID: "U1", Kind: Member}, Via: Press})
		return err
	}
	for line := range lines {
		verb, _, _ := strings.Cut(line, " ")
		d := &oneTicket{ticket: now}
		err := run(d, line)
		const want = "This button belongs to an older request, or another plan, than today's T-1, which is scale shop web=2. Nothing was decided or changed. To see it: /zdd show T-1."
		if refusal, ok := errors.AsType[*Refusal](err); !ok || refusal.Error() != want || len(d.told) > 0 {
			t.Errorf("%s: got %v and %v decided, want the refusal %q", line, err, d.told, want)
		}
		d = &oneTicket{ticket: before}
		if err := run(d, line); err != nil || !slices.Equal(d.told, []string{verb}) {
			t.Errorf("%s on its own ticket: got %v, %v", line, d.told, err)
		}
		// A button of an older version of this program, and whoever types.
		d = &oneTicket{ticket: now}
		if err := run(d, verb+" T-1"); err != nil || !slices.Equal(d.told, []string{verb}) {
			t.Errorf("%s T-1: got %v, %v", verb, d.told, err)
		}
	}
}

type anyPolicy struct{}

func (anyPolicy) Policy() policy.Policy { return policy.Default() }

func TestEntryText(t *testing.T) {
	for want, e := range map[string]struct {
		verb   string
		detail map[string]any
	}{
		"asked enable shop":                           {ledger.Asked, map[string]any{"wish": "enable shop"}},
		"approved (the requester's own voice counts)": {ledger.Approved, map[string]any{"self": true}},
		"denied “not <!channel> now”":                 {ledger.Denied, map[string]any{"reason": "not\n<!channel> now"}},
		"was refused approve":                         {ledger.Refused, map[string]any{"tried": "approve"}},
		"asked to stop":                               {ledger.Cancelled, map[string]any{"halt": true}},
		"cancelled":                                   {ledger.Cancelled, nil},
		"done web 1 → 2 standard-1x":                  {ledger.StepDone, map[string]any{"what": "web 1 → 2 standard-1x"}},
		"stopped web.2 crashed":                       {ledger.Stopped, map[string]any{"why": "`web.2` crashed"}},
		"denied “" + strings.Repeat("x", 120) + "…”":  {ledger.Denied, map[string]any{"reason": strings.Repeat("x", 2000)}},
	} {
		detail, err := json.Marshal(e.detail)
		if err != nil {
			t.Fatal(err)
		}
		got := entryText(ledger.Entry{Seq: 7, Actor: "U1", Verb: e.verb, Ticket: "T-1", Name: "shop", Detail: detail}).String()
		if !strings.Contains(got, "@U1 "+want+" · T-1 shop") {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

// Who presses a button on a ticket's card is answered in a line; who types is shown the card.
func TestDecisionsByButtonAreAnsweredInALine(t *testing.T) {
	asked := aTicket()
	with := func(change func(*approval.Ticket)) approval.Ticket {
		other := asked
		change(&other)
		return other
	}
	approved := with(func(t *approval.Ticket) { t.State = approval.Approved })
	for name, tt := range map[string]struct {
		ticket   approval.Ticket
		line, in string
		want     string
	}{
		"yes, at the card": {approved, "approve T-1", "C0OPS", "T-1 · scale shop web=2 is approved, and begins now, or as soon as no other ticket changes the app. Its card here shows how far it is."},
		"yes, elsewhere":   {approved, "approve T-1", "C0SHOP", "T-1 · scale shop web=2 is approved, and begins now, or as soon as no other ticket changes the app. Its card in #C0OPS shows how far it is."},
		"the first of two": {with(func(t *approval.Ticket) { t.Approvals, t.Votes = 2, []approval.Vote{{User: "U1"}} }), "approve T-1", "C0OPS", "Your yes to T-1 · scale shop web=2 counts: 1 of 2. Nothing begins before the last one."},
		"no":               {with(func(t *approval.Ticket) { t.State = approval.Denied }), "deny T-1", "C0OPS", "T-1 · scale shop web=2 is denied. Nothing was changed, and whoever asked is told."},
		"called off":       {with(func(t *approval.Ticket) { t.State = approval.Cancelled }), "cancel T-1", "C0OPS", "T-1 · scale shop web=2 is called off. Nothing was changed."},
		"stopped":          {with(func(t *approval.Ticket) { t.State, t.Halt = approval.Running, "U1" }), "cancel T-1", "C0OPS", "T-1 · scale shop web=2 stops after its current step, and leaves the others undone. Its card here shows how far it is."},
		"of one's own":     {with(func(t *approval.Ticket) { t.State, t.Approvals = approval.Running, 0 }), "do T-1", "C0OPS", "T-1 · scale shop web=2 begins now, or as soon as no other ticket changes the app. Its card here shows how far it is."},
	} {
		table := New(Deps{Desk: &oneTicket{ticket: tt.ticket}, Policies: opsPolicy{}})
		reply, err := table.Run(t.Context(), tt.line, Request{By: Person{ID: "U1", Kind: Member}, Via: Press, Channel: tt.in})
		if got := strings.TrimSpace(rendered(reply)); err != nil || got != tt.want || len(reply.Parts) != 1 {
			t.Errorf("%s: got %v\n%s\nwant\n%s", name, err, got, tt.want)
		}
		reply, err = table.Run(t.Context(), tt.line, Request{By: Person{ID: "U1", Kind: Member}, Via: Slash, Channel: tt.in})
		if err != nil || len(reply.Parts) < 3 {
			t.Errorf("%s, typed: got %v\n%s\nwant the card", name, err, rendered(reply))
		}
	}
}

// opsPolicy is one whose approvals are asked for in #C0OPS.
type opsPolicy struct{}

func (opsPolicy) Policy() policy.Policy {
	p := policy.Default()
	p.Approval.Channel = "C0OPS"
	return p
}
