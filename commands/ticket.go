package commands

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Audience is whom a ticket is shown to. The facts are the same for all; the buttons
// and the first sentence are not.
type Audience string

// The audiences.
const (
	ForApprovers Audience = "approvers" // the approval channel, or each approver
	ForRequester Audience = "requester" // who asked: a direct message, kept up to date, or a private answer
	ForAsker     Audience = "asker"     // the private answer to anybody else who just said something about it
)

// to is the audience of a private answer about a ticket.
func to(t approval.Ticket, reader Person) Audience {
	if t.Requester == reader.ID {
		return ForRequester
	}
	return ForAsker
}

// TicketReply is a ticket as a reply: what is asked, step by step, what it costs, what
// is risky, where it stands, and the buttons that still do something.
func TicketReply(t approval.Ticket, to Audience) Reply {
	if t.Batch() {
		return batchReply(t, to)
	}
	reply := Reply{
		Summary: summaryOf(t),
		Parts: []Part{
			Heading{t.ID + " · " + wishLine(t) + ": " + stateWord(t)},
			Para{opening(t, to)},
			List{stepItems(t)},
			Facts{ticketFacts(t)},
		},
	}
	if t.State == approval.Pending || t.State == approval.Approved {
		var hazards []Item
		for _, h := range t.Plan.Hazards {
			hazards = append(hazards, Item{Mark: MarkHazard, Text: Prose(h.Text)})
		}
		for _, w := range t.Plan.Why {
			hazards = append(hazards, Item{Mark: MarkAdvice, Text: Line("Left to you: ", Prose(w))})
		}
		if len(hazards) > 0 {
			reply.Parts = append(reply.Parts, List{hazards})
		}
		if len(t.Plan.Untouched) > 0 {
			reply.Parts = append(reply.Parts, Note{Line("As it is: ", Prose(strings.Join(t.Plan.Untouched, "; ")), ".")})
		}
	}
	if standing := standing(t); len(standing) > 0 {
		reply.Parts = append(reply.Parts, Para{standing})
	}
	reply.Parts = append(reply.Parts, lookNotes(t)...)
	reply.Parts = append(reply.Parts, headNote(t)...)
	if row := ticketButtons(t, to); len(row) > 0 {
		reply.Parts = append(reply.Parts, Buttons{row})
	}
	return reply
}

// lookNotes are what was seen when looking again after the end.
func lookNotes(t approval.Ticket) []Part {
	var notes []Part
	for _, look := range t.Later {
		text := Line("Looked again ", At(look.At), ": ")
		if look.Text == "" {
			text = append(text, Line("all as it was left.")...)
		} else {
			text = append(text, Prose(look.Text)...)
		}
		notes = append(notes, Note{text})
	}
	return notes
}

// headNote is the ledger's head after the end, for people to keep.
func headNote(t approval.Ticket) []Part {
	if t.Head == "" {
		return nil
	}
	return []Part{Note{Line("Ledger ", Code(t.Head), " · ", Code("bot ledger verify --head"), " checks it.")}}
}

// wishLine is the command line that asked, such as "enable shop"; of a batch, whose own line
// may be long (batchLine), "enable shop and 2 more".
func wishLine(t approval.Ticket) string {
	if t.Wish.Verb == plan.ToUndo && t.Follows != "" {
		return "undo " + t.Follows + " on " + t.Plan.Name
	}
	return t.Wish.Line(t.Plan.Name)
}

// summaryOf is the ticket in a line: T-1 shop: session affinity on, web 1 → 2
// standard-1x (+$25.00 a month), preboot on · needs 1 approval.
func summaryOf(t approval.Ticket) string {
	if t.Batch() {
		return batchSummary(t)
	}
	var steps []string
	for _, s := range t.Plan.Steps {
		if s.Kind == plan.Soak || s.Kind == plan.Settle {
			continue
		}
		text := s.String()
		if m, known := s.Cost.Difference.Get(); known && m != 0 {
			text += " (" + signed(m) + " a month)"
		}
		steps = append(steps, text)
	}
	summary := t.ID + " " + t.Plan.Name + ": " + strings.Join(steps, ", ") + " · "
	if t.State == approval.Pending {
		return summary + needs(t)
	}
	if t.Outcome != "" {
		return t.ID + " " + t.Plan.Name + ": " + stateWord(t) + ". " + Prose(t.Outcome).String()
	}
	return summary + stateWord(t)
}

func needs(t approval.Ticket) string {
	missing := t.Approvals - len(t.Votes)
	switch {
	case t.Approvals == 0:
		return "waits for Do it"
	case missing == 1:
		return "needs 1 approval"
	}
	return fmt.Sprintf("needs %d approvals", missing)
}

func stateWord(t approval.Ticket) string {
	switch t.State {
	case approval.Pending:
		if t.Approvals == 0 {
			return "a preview"
		}
		return "awaits approval"
	case approval.Approved:
		return "approved, starts in its turn"
	case approval.Running:
		if t.Halt != "" {
			return "stops after its current step"
		}
		if t.Batch() {
			return fmt.Sprintf("under way, %d of %d apps done", partsDone(t), len(t.Parts))
		}
		return fmt.Sprintf("under way, %d of %d steps done", t.StepsDone(), len(t.Plan.Steps))
	}
	return string(t.State)
}

// asker begins a ticket's first sentence.
func asker(t approval.Ticket, to Audience) Text {
	switch {
	case to == ForRequester:
		return Line("You asked")
	case t.State == approval.Pending:
		return Line(MentionUser(t.Requester), " asks")
	}
	return Line(MentionUser(t.Requester), " asked")
}

func opening(t approval.Ticket, to Audience) Text {
	text := append(asker(t, to), Line(" for ", Code(wishLine(t)))...)
	if t.Of != "" {
		text = append(text, Line(", as part of ", Code(t.Of))...)
	}
	text = append(text, Line(".")...)
	if t.State == approval.Pending {
		for _, why := range t.Why {
			text = append(text, Line(" ")...)
			text = append(text, Prose(why)...)
		}
		if ownVoice(t, to) {
			text = append(text, Line(" Your own yes counts: the policy allows it.")...)
		}
		if t.Approvals == 0 {
			text = append(text, Line(" Nothing has happened yet: press ", Bold("Do it"), " to begin.")...)
		}
	}
	return text
}

func stepItems(t approval.Ticket) []Item {
	items := make([]Item, 0, len(t.Plan.Steps))
	for i, s := range t.Plan.Steps {
		item := Item{Mark: MarkTodo, Text: Line(s.String())}
		if t.State.Final() {
			item.Mark = MarkLeft
		}
		if price := stepPrice(s); price != "" {
			item.Text = append(item.Text, Line(" ("+price+")")...)
		}
		var p approval.Progress
		if i < len(t.Progress) {
			p = t.Progress[i]
		}
		switch {
		case !p.Done.IsZero():
			item.Mark = MarkDone
			if p.Already {
				item.Text = append(item.Text, Line(" · it was so already")...)
			} else if took := p.Done.Sub(p.Intended).Round(time.Second); !p.Intended.IsZero() && took > 0 {
				item.Text = append(item.Text, Line(" · took "+policy.Span(took))...)
			}
		case t.State == approval.Running && i == t.StepsDone():
			item.Mark = MarkNow
			if t.Waiting != "" {
				item.Detail = []Text{Prose(t.Waiting)}
			}
		}
		items = append(items, item)
	}
	return items
}

// stepPrice is what a step adds to the cost; empty: nothing.
func stepPrice(s plan.Step) string {
	more, known := s.Cost.Difference.Get()
	all, allKnown := s.Cost.Then.Get()
	switch {
	case known && more != 0:
		return signed(more) + " a month"
	case known || len(s.To.Processes) == 0:
		return ""
	case allKnown:
		return all.String() + " a month then"
	}
	return "price unknown"
}

func ticketFacts(t approval.Ticket) []Fact {
	pairs := costFacts(t)
	if t.State == approval.Pending {
		if t.Approvals > 0 {
			pairs = append(pairs, Fact{"Approvals", Line(fmt.Sprintf("%d of %d", len(t.Votes), t.Approvals))})
		}
		pairs = append(pairs, Fact{"Expires", Line(At(t.ExpiresAt))})
	}
	return pairs
}

// costFacts are what the app costs a month, now and then, as far as that is known. What
// is not known is in dyno units, if those are, with the reason said once.
func costFacts(t approval.Ticket) []Fact {
	name := "Cost"
	switch t.State {
	case approval.Denied, approval.Cancelled, approval.Expired, approval.Stale:
		name = "Would have cost"
	case approval.Stopped, approval.Failed:
		name = "Cost with every step done"
	}
	c := t.Plan.Cost
	now, nowKnown := c.Now.Get()
	then, thenKnown := c.Then.Get()
	more, known := c.Difference.Get()
	unitsNow, unitsKnown := c.Units.Now.Get()
	unitsThen, unitsThenKnown := c.Units.Then.Get()
	switch {
	case known && nowKnown && thenKnown && now == then:
		return []Fact{{name, Line(now.String() + " a month, as before")}}
	case known && nowKnown && thenKnown:
		return []Fact{{name, Line(now.String() + " → " + then.String() + " a month")}, {"Difference", Line(signed(more) + " a month")}}
	case known && more == 0:
		return []Fact{{name, Line("as before; it is not known in money (" + c.Now.Why().Text + ")")}}
	case known: // of what the steps touch; other process types have no price
		return []Fact{{name, Line("not known (" + c.Then.Why().Text + ")")}, {"Difference", Line(signed(more) + " a month")}}
	case unitsKnown && unitsThenKnown:
		return []Fact{{name, Line(fmt.Sprintf("%s → %s dyno units a month. In money it is not known: %s.", unitCount(unitsNow), unitCount(unitsThen), c.Difference.Why().Text))}}
	case thenKnown: // what it costs now has no price of its own
		return []Fact{{name, Line("not known now (" + c.Now.Why().Text + ") → " + then.String() + " a month in all")}}
	}
	return []Fact{{name, Line("not known: " + c.Difference.Why().Text)}}
}

// ownVoice says whether the reader is the requester, whose own yes is wanted.
func ownVoice(t approval.Ticket, to Audience) bool {
	voted := slices.ContainsFunc(t.Votes, func(v approval.Vote) bool { return v.User == t.Requester })
	return to == ForRequester && t.State == approval.Pending && t.Approvals > 0 && t.Own && !voted
}

// signed is an amount with its sign: +$25.00, -$7.00, $0.00.
func signed(m fleet.Money) string {
	if m > 0 {
		return "+" + m.String()
	}
	return m.String()
}

// standing says who decided and how it went.
func standing(t approval.Ticket) Text {
	var text Text
	add := func(parts ...any) {
		if len(text) > 0 {
			text = append(text, Line(" ")...)
		}
		text = append(text, Line(parts...)...)
	}
	for _, v := range t.Votes {
		add("Approved by ", MentionUser(v.User), " ", At(v.At), ".")
		if v.Self {
			add("That is who asked; the policy allows it.")
		}
	}
	switch t.State {
	case approval.Denied:
		add("Denied by ", MentionUser(t.DecidedBy), reason(t), ".")
	case approval.Cancelled:
		add("Called off by ", MentionUser(t.DecidedBy), reason(t), ".")
	}
	switch {
	case t.Halt != "" && t.State == approval.Stopped:
		add("Stopped by ", MentionUser(t.Halt), ".")
	case t.Halt != "":
		add(MentionUser(t.Halt), " asked to stop it.")
	}
	if t.Outcome != "" {
		add(Prose(t.Outcome))
	}
	if t.Verdict != "" && t.State.Final() {
		add("The app is now ", Bold(strings.ReplaceAll(t.Verdict, "-", " ")), ".")
	}
	return text
}

func reason(t approval.Ticket) string {
	if t.Reason == "" {
		return ""
	}
	return ": “" + t.Reason + "”"
}

// spend is the requester's own yes, where the policy lets it count.
func spend(t approval.Ticket) Button {
	b := Button{Label: "Do it", Run: decideOn("approve", t), Primary: true, Confirm: &Confirm{
		Title: "Do it?", Text: wishLine(t) + " adds nothing to what the app costs. You approve it alone: that is written down.", Yes: "Do it",
	}}
	all, allKnown := t.Plan.Cost.Then.Get()
	switch more, known := t.Plan.Cost.Difference.Get(); {
	case !known && allKnown:
		b.Label, b.Confirm.Title, b.Confirm.Yes = "Spend "+inAll(all), "Spend "+inAll(all)+"?", "Spend it"
		b.Confirm.Text = wishLine(t) + inAllText(all) + " You approve it alone: that is written down."
	case !known:
		b.Label, b.Confirm.Title, b.Confirm.Yes = "Spend, price unknown", "Spend an unknown amount?", "Spend it"
		b.Confirm.Text = wishLine(t) + " may cost more than today; Heroku tells no price. You approve it alone: that is written down."
	case more > 0:
		b.Label, b.Confirm.Title, b.Confirm.Yes = "Spend "+more.String()+"/month", "Spend "+more.String()+"/month?", "Spend it"
		b.Confirm.Text = wishLine(t) + " adds " + more.String() + " a month at list price, or at the policy's. You approve it alone: that is written down."
	}
	if t.Approvals > 1 {
		b.Confirm.Text = strings.Replace(b.Confirm.Text, "You approve it alone: that is written down.", fmt.Sprintf("Yours is one of %d voices.", t.Approvals), 1)
	}
	return b
}

// inAll is what an app will cost, on a button, where nobody can tell what it costs now: that
// of Eco dynos is a part of what the account pays for all of them.
func inAll(all fleet.Money) string { return all.String() + "/month in all" }

// inAllText is the same in the sentence that begins with the wish.
func inAllText(all fleet.Money) string {
	return " brings the cost to " + all.String() + " a month in all, at list price or at the policy's. How much more that is than today is not known."
}

// decideOn is the line of a button that decides on this ticket and on no other. A database
// that was restored gives ticket numbers a second time, while the messages about the first
// tickets still stand in Slack: the plan's digest tells them apart.
func decideOn(verb string, t approval.Ticket) string {
	if digest := planDigest(t); digest != "" {
		return verb + " " + t.ID + " " + planOption + "=" + digest
	}
	return verb + " " + t.ID
}

// planOption is the option by which a button says of which plan it is.
const planOption = "plan"

// planDigest is the beginning of the plan's digest: enough to tell the plans apart that
// ever had the same ticket's number.
func planDigest(t approval.Ticket) string { return t.Plan.Hash[:min(8, len(t.Plan.Hash))] }

// ticketButtons are the buttons that still do something.
func ticketButtons(t approval.Ticket, to Audience) []Button {
	status := Button{Label: "Status", Run: "status " + string(t.Plan.App)}
	switch t.State {
	case approval.Pending, approval.Approved:
		return decisionButtons(t, to)
	case approval.Running:
		if t.Halt != "" {
			return nil
		}
		text := "It finishes the step it is at, and leaves the others undone."
		if t.Of != "" {
			text += " So ends " + t.Of + ": no other app is begun."
		}
		return []Button{{Label: "Stop after this step", Run: decideOn("cancel", t), Danger: true, Confirm: &Confirm{Title: "Stop " + t.ID + "?", Text: text, Yes: "Stop it"}}, status}
	case approval.Stopped, approval.Failed:
		row := []Button{{Label: "Resume", Run: decideOn("resume", t), Primary: true}}
		if t.StepsDone() > 0 {
			row = append(row, Button{Label: "Undo", Run: "undo " + t.ID})
		}
		return append(row, status)
	case approval.Done:
		return []Button{{Label: "Undo", Run: "undo " + t.ID}, status}
	case approval.Stale, approval.Expired:
		if t.Wish.Verb == plan.ToUndo {
			return []Button{status}
		}
		return []Button{{Label: "Ask again", Run: wishLine(t)}, status}
	}
	return []Button{status}
}

// decisionButtons are those of a ticket that has not begun.
func decisionButtons(t approval.Ticket, to Audience) []Button {
	price, known := t.Plan.Cost.Difference.Get()
	cancel := Button{Label: "Cancel", Run: decideOn("cancel", t), Confirm: &Confirm{Title: "Call " + t.ID + " off?", Text: wishLine(t) + " will not be carried out.", Yes: "Call it off"}}
	switch {
	case ownVoice(t, to):
		return []Button{spend(t), cancel}
	case t.State == approval.Pending && t.Approvals == 0:
		return []Button{{Label: "Do it", Run: decideOn("do", t), Primary: true}, cancel}
	case t.State == approval.Pending && to == ForApprovers:
		approve := Button{Label: "Approve", Run: decideOn("approve", t), Primary: true}
		text := wishLine(t) + " changes nothing of what it costs."
		all, allKnown := t.Plan.Cost.Then.Get()
		switch {
		case !known && allKnown:
			approve.Label, text = "Approve "+inAll(all), wishLine(t)+inAllText(all)
		case !known:
			approve.Label, text = "Approve, price unknown", wishLine(t)+" costs more or less than today; Heroku tells no price."
		case price > 0:
			approve.Label, text = "Approve "+price.String()+"/month", wishLine(t)+" adds "+price.String()+" a month at list price, or at the policy's."
		case price < 0:
			text = wishLine(t) + " saves " + (-price).String() + " a month."
		}
		approve.Confirm = &Confirm{Title: "Approve " + t.ID + "?", Text: text, Yes: "Approve"}
		return []Button{
			approve,
			{Label: "Deny", Run: decideOn("deny", t), Danger: true, Ask: &Ask{Title: "Deny " + t.ID, Label: "Why? Whoever asked will see it.", Optional: true}},
			{Label: "Details", Run: "show " + t.ID},
			cancel,
		}
	}
	return []Button{cancel}
}
