package commands

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/plan"
)

// How a ticket for several apps is shown: one card with the total and a line for each app.
// What carries one of them out is a ticket of its own, of which only the end is told, in the
// card's thread.

// detail is how much a batch's card tells of each app. A message has its limits, and an
// approver's eyes do: where ten apps with long names and many hazards don't fit, each tells
// less, in this order, and `show` tells it all.
type detail int

const (
	tellAll       detail = iota // `show`: each step on a line of its own
	tellSentences               // steps in short, what is risky word for word
	tellTitles                  // what is risky in a word or two
	tellCounts                  // how many things are risky
)

// cardSize bounds a batch's card, in bytes as Slack's JSON has them, as far as weight can
// tell: a message takes 12,000, and some of that is for the blocks themselves and for the
// notes that are added when it is told.
const cardSize = 9500

// batchReply is a batch as one message.
func batchReply(t approval.Ticket, to Audience) Reply {
	for d := tellSentences; d < tellCounts; d++ {
		if reply := batchCard(t, to, d); weight(reply) <= cardSize {
			return reply
		}
	}
	return batchCard(t, to, tellCounts)
}

// batchCard is a batch with its total first, and then each app.
func batchCard(t approval.Ticket, to Audience, d detail) Reply {
	reply := Reply{
		Summary: batchSummary(t),
		Parts: []Part{
			Heading{t.ID + " · " + wishLine(t) + ": " + stateWord(t)},
			Para{batchOpening(t, to, d)},
			Facts{batchFacts(t)},
			List{partItems(t, d)},
		},
	}
	if risky := hazardCount(t); d > tellSentences && risky > 0 && undecided(t) {
		reply.Parts = append(reply.Parts, Note{Line(fmt.Sprintf("This is all that fits into a message. Before you decide, read the %d hazards and the rest of it: ", risky), Code("/zdd show "+t.ID), ".")})
	}
	if standing := standing(t); len(standing) > 0 {
		reply.Parts = append(reply.Parts, Para{standing})
	}
	if t.State == approval.Running && t.Waiting != "" {
		reply.Parts = append(reply.Parts, Note{Prose(plan.Capital(t.Waiting))})
	}
	reply.Parts = append(reply.Parts, headNote(t)...)
	row := batchButtons(t, to)
	if d == tellAll { // these are the details
		row = slices.DeleteFunc(row, func(b Button) bool { return b.Run == "show "+t.ID })
	}
	if d > tellSentences && undecided(t) {
		lookFirst(row)
	}
	if len(row) > 0 {
		reply.Parts = append(reply.Parts, Buttons{row})
	}
	return reply
}

// lookFirst has a button that begins it say, before it acts, that the card does not tell all.
func lookFirst(row []Button) {
	for i, b := range row {
		if !b.Primary {
			continue
		}
		ask := Confirm{Title: b.Label + "?", Yes: b.Label}
		if b.Confirm != nil {
			ask = *b.Confirm
		}
		ask.Text = strings.TrimSpace(ask.Text + " What is risky is cut short on the card: Details tells all of it.")
		row[i].Confirm = &ask
	}
}

// undecided says that the ticket's hazards still matter to somebody.
func undecided(t approval.Ticket) bool {
	return t.State == approval.Pending || t.State == approval.Approved
}

// batchLine is the line that asks for the same again, by names.
func batchLine(t approval.Ticket) string {
	return partsLine(t.Parts, func(p approval.Part) string { return p.Plan.Name })
}

// partsLine is the line that asks for these apps.
func partsLine(parts []approval.Part, name func(approval.Part) string) string {
	var apps []string
	size := ""
	for _, p := range parts {
		apps = append(apps, name(p))
		size = cmp.Or(size, p.Wish.Size)
	}
	return enableLine(apps, size)
}

// partsDone is how many parts are done.
func partsDone(t approval.Ticket) int {
	n := 0
	for _, p := range t.Parts {
		if p.State == approval.Done {
			n++
		}
	}
	return n
}

// shortOutcome is how many letters of a batch's outcome a notification bears; the card has all.
const shortOutcome = 600

// batchSummary is the ticket in a line: T-3 enable shop and 2 more: +$75.00 a month in
// all · needs 1 approval.
func batchSummary(t approval.Ticket) string {
	begin := t.ID + " " + wishLine(t) + ": "
	if t.Outcome != "" && t.State != approval.Pending {
		return begin + stateWord(t) + ". " + brief(Prose(t.Outcome).String(), shortOutcome)
	}
	state := stateWord(t)
	if t.State == approval.Pending {
		state = needs(t)
	}
	total := differenceText(t.Plan.Cost)
	if t.Plan.Cost.Difference.IsKnown() {
		total += " in all"
	}
	return begin + total + " · " + state
}

// differenceText is what a plan adds, in words.
func differenceText(c plan.Cost) string {
	all, allKnown := c.Then.Get()
	switch more, known := c.Difference.Get(); {
	case !known && allKnown:
		return "comes to " + all.String() + " a month in all"
	case !known:
		return "price unknown"
	case more == 0:
		return "costs nothing more"
	default:
		return signed(more) + " a month"
	}
}

// longLine is how many letters of a command line a sentence bears.
const longLine = 120

func batchOpening(t approval.Ticket, to Audience, d detail) Text {
	line := batchLine(t)
	if len(line) > longLine { // the list has the names
		line = wishLine(t)
	}
	text := append(asker(t, to), Line(" for ", Code(line), ".")...)
	first := t.Parts[0].Plan.Name
	switch {
	case undecided(t):
		text = append(text, Line(" One after the other, in this order, with a pause in between. ", Code(first), " is the canary: unless it ends well, no other is begun.")...)
	case t.State == approval.Running:
		text = append(text, Line(" One after the other, with a pause in between; where one does not end well, no other is begun.")...)
	}
	if t.State != approval.Pending {
		return text
	}
	for _, why := range t.Why {
		ofOne := slices.ContainsFunc(t.Parts, func(p approval.Part) bool { return strings.HasPrefix(why, plan.Code(p.Plan.Name)+":") })
		if d == tellAll || !ofOne { // the list tells what each costs
			text = append(text, Line(" ")...)
			text = append(text, Prose(why)...)
		}
	}
	if ownVoice(t, to) {
		text = append(text, Line(" Your own yes counts: the policy allows it.")...)
	}
	if t.Approvals == 0 {
		text = append(text, Line(" Nothing has happened yet: press ", Bold("Do it"), " to begin.")...)
	}
	return text
}

// batchFacts are those of any ticket, with the cost named for what it is.
func batchFacts(t approval.Ticket) []Fact {
	pairs := ticketFacts(t)
	if len(pairs) > 0 {
		pairs[0].Name += fmt.Sprintf(", all %d apps", len(t.Parts))
	}
	return pairs
}

// partItems are a batch's apps, each with where it stands, what it costs, its steps, and
// what is risky about it.
func partItems(t approval.Ticket, d detail) []Item {
	var items []Item
	for i, p := range t.Parts {
		item := Item{Mark: partMark(t, p), Text: Line(fmt.Sprintf("%d. ", i+1), Code(p.Plan.Name))}
		if i == 0 {
			item.Text = append(item.Text, Line(", the canary")...)
		}
		if p.Ticket != "" {
			item.Text = append(item.Text, Line(" · ", Code(p.Ticket))...)
		}
		if word := partWord(t, p); word != "" {
			item.Text = append(item.Text, Line(" · ", Bold(word))...)
		}
		item.Text = append(item.Text, Line(" · "+differenceText(p.Plan.Cost))...)
		if d == tellAll {
			item.Detail = append(item.Detail, stepLines(p.Plan)...)
		} else if undecided(t) {
			item.Text = append(item.Text, Line(" · "+stepsInShort(p.Plan))...)
		}
		if p.Doing != "" && !p.State.Final() {
			item.Detail = append(item.Detail, Prose(plan.Capital(p.Doing)))
		}
		// How the one that ended the batch ended is in the batch's own words, above.
		if ended := p.State != approval.Done && t.State.Final(); p.Outcome != "" && !ended && (d == tellAll || p.State != approval.Done) {
			item.Detail = append(item.Detail, Prose(shortened(p.Outcome, d)))
		}
		if undecided(t) || d == tellAll {
			item.Detail = append(item.Detail, risks(p.Plan, d)...)
		}
		items = append(items, item)
	}
	return items
}

// partMark is where a part stands, as a mark.
func partMark(t approval.Ticket, p approval.Part) Mark {
	switch {
	case p.Ticket == "" && t.State.Final():
		return MarkLeft
	case p.Ticket == "":
		return MarkTodo
	case p.State == approval.Done:
		return MarkDone
	case p.State == approval.Stopped, p.State == approval.Failed:
		return MarkFail
	case p.State.Final(): // before anything was done
		return MarkLeft
	}
	return MarkNow
}

// partWord is the same in words, where the mark does not say it all.
func partWord(t approval.Ticket, p approval.Part) string {
	switch {
	case p.Ticket == "" && !t.EndedAt.IsZero() && t.State != approval.Stale:
		return "not begun"
	case p.Ticket == "", p.State == approval.Done:
		return ""
	case p.State.Final():
		return string(p.State)
	}
	return ""
}

// stepsInShort are the steps of a plan that change something: session affinity on, web
// 1 → 2 standard-1x, preboot on.
func stepsInShort(p plan.Plan) string {
	var steps []string
	for _, s := range p.Steps {
		if s.Kind != plan.Soak && s.Kind != plan.Settle {
			steps = append(steps, s.String())
		}
	}
	return strings.Join(steps, ", ")
}

// stepLines are all steps of a plan, a line each, with what each costs.
func stepLines(p plan.Plan) []Text {
	var lines []Text
	for _, s := range p.Steps {
		text := "– " + s.String()
		if price := stepPrice(s); price != "" {
			text += " (" + price + ")"
		}
		lines = append(lines, Line(text))
	}
	return lines
}

// shortened is a sentence of a part as far as there is room for it.
func shortened(s string, d detail) string {
	most := map[detail]int{tellAll: 2000, tellSentences: 600, tellTitles: 250, tellCounts: 120}[d]
	if r := []rune(s); len(r) > most {
		// A mark of code that is cut in two would turn the rest into code.
		s = string(r[:most])
		if strings.Count(s, "`")%2 == 1 {
			s += "`"
		}
		return s + "…"
	}
	return s
}

// risks is what is risky about a part, and what is left to a person.
func risks(p plan.Plan, d detail) []Text {
	var lines []Text
	switch d {
	case tellAll, tellSentences:
		for _, h := range p.Hazards {
			lines = append(lines, append(Line("Careful: "), Prose(h.Text)...))
		}
		for _, why := range p.Why {
			lines = append(lines, append(Line("Left to you: "), Prose(why)...))
		}
		if d == tellAll && len(p.Untouched) > 0 {
			lines = append(lines, append(Line("As it is: "), append(Prose(strings.Join(p.Untouched, "; ")), Line(".")...)...))
		}
	case tellTitles:
		if said := hazardTitles(p.Hazards); len(said) > 0 {
			lines = append(lines, Line("Careful: "+plan.Join(said)+"."))
		}
		if len(p.Why) > 0 {
			lines = append(lines, Line("Something is left to you."))
		}
	case tellCounts:
		if n := len(p.Hazards); n > 0 {
			lines = append(lines, Line("Careful: "+count(n, "hazard")+"."))
		}
		if len(p.Why) > 0 {
			lines = append(lines, Line("Something is left to you."))
		}
	}
	return lines
}

// hazardTitles are hazards in a few words each.
func hazardTitles(hazards []plan.Hazard) []string {
	words := map[string]string{
		plan.HazardMaintenance: "maintenance mode is on", plan.HazardRelease: "a release is under way", plan.HazardHandOver: "a hand-over is under way",
		plan.HazardCrashed: "dynos crashed", plan.HazardAutoscaler: "an autoscaler", plan.HazardScalingApp: "an add-on that scales",
		plan.HazardResize: "an interruption by the resize", plan.HazardMigration: "a migration in the web command", plan.HazardData: "multi-tenant data plans",
		plan.HazardConnections: "connection limits", plan.HazardUnread: "something could not be read",
	}
	var out []string
	for _, h := range hazards {
		if word := cmp.Or(words[h.ID], strings.ReplaceAll(h.ID, "-", " ")); !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

func hazardCount(t approval.Ticket) int {
	n := 0
	for _, p := range t.Parts {
		n += len(p.Plan.Hazards)
	}
	return n
}

// batchButtons are the buttons of a batch that still do something.
func batchButtons(t approval.Ticket, to Audience) []Button {
	details := Button{Label: "Details", Run: "show " + t.ID}
	switch t.State {
	case approval.Pending:
		row := decisionButtons(t, to)
		if !slices.ContainsFunc(row, func(b Button) bool { return b.Run == details.Run }) {
			row = append(row, details)
		}
		return row
	case approval.Approved:
		return append(decisionButtons(t, to), details)
	case approval.Running:
		if t.Halt != "" {
			return []Button{details}
		}
		return []Button{{Label: "Stop after this step", Run: decideOn("cancel", t), Danger: true, Confirm: &Confirm{
			Title: "Stop " + t.ID + "?", Text: "The app that it is at stops after its current step, with the others of its steps undone, and no other app is begun.", Yes: "Stop it",
		}}, details}
	case approval.Stale, approval.Expired, approval.Denied, approval.Cancelled:
		if t.State == approval.Stale || t.State == approval.Expired {
			return []Button{{Label: "Ask again", Run: batchLine(t)}, details}
		}
		return []Button{details}
	}
	var row []Button
	for _, p := range t.Parts {
		if p.State == approval.Stopped || p.State == approval.Failed {
			row = append(row, Button{Label: "Resume " + p.Ticket, Run: decideOn("resume", approval.Ticket{ID: p.Ticket, Plan: p.Plan}), Primary: true})
		}
	}
	switch rest := t.Rest(); len(rest) {
	case 0:
	case 1:
		row = append(row, Button{Label: "Enable " + brief(rest[0].Plan.Name, 40) + "…", Run: partsLine(rest, partKey)})
	default:
		row = append(row, Button{Label: fmt.Sprintf("Enable the other %d…", len(rest)), Run: partsLine(rest, partKey)})
	}
	return append(row, details)
}

// partKey names a part's app in a line that a button runs: a name may be another app's by then.
func partKey(p approval.Part) string { return string(p.Plan.App) }

// PartReply is how the ticket of one of a batch's apps ended, for the thread of the batch's
// card. The zero Reply while it has not: the card tells how far it is.
func PartReply(t approval.Ticket) Reply {
	if t.Of == "" || !t.State.Final() {
		return Reply{}
	}
	summary := summaryOf(t)
	t.Votes = nil // the card tells who approved
	reply := Reply{Summary: summary, Parts: []Part{Para{append(Line(Bold(t.ID+" · "+wishLine(t)+": "+stateWord(t)), ". "), standing(t)...)}}}
	reply.Parts = append(reply.Parts, lookNotes(t)...)
	reply.Parts = append(reply.Parts, headNote(t)...)
	if row := ticketButtons(t, ForApprovers); len(row) > 0 {
		reply.Parts = append(reply.Parts, Buttons{row})
	}
	return reply
}

// weight is what a reply takes of a message, in bytes as JSON, about: its texts as they are
// escaped, and what each block and button takes beside its text.
func weight(r Reply) int {
	n := 0
	text := func(t Text) {
		for _, s := range t {
			n += jsonLen(s.S) + 4
			if s.Kind == Instant {
				n += 90
			}
		}
	}
	for _, part := range r.Parts {
		n += 90
		switch p := part.(type) {
		case Heading:
			n += jsonLen(p.Text)
		case Para:
			text(p.Text)
		case Note:
			text(p.Text)
		case List:
			for _, item := range p.Items {
				n += 30
				text(item.Text)
				for _, d := range item.Detail {
					n += 8
					text(d)
				}
			}
		case Facts:
			for _, f := range p.Pairs {
				n += 60 + jsonLen(f.Name)
				text(f.Value)
			}
		case Buttons:
			for _, b := range p.Row {
				n += 150 + jsonLen(b.Label) + jsonLen(b.Run)
				if b.Confirm != nil {
					n += 320 + jsonLen(b.Confirm.Title) + jsonLen(b.Confirm.Text)
				}
			}
		}
	}
	return n
}

// jsonLen is how many bytes a text takes, escaped for Slack and then for JSON.
func jsonLen(s string) int {
	raw, err := json.Marshal(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s))
	if err != nil { // a string always encodes
		return 6 * len(s)
	}
	return len(raw) - 2
}

// undoMany says how what a batch did is taken back: app by app.
func undoMany(t approval.Ticket) error {
	var lines []string
	for _, p := range t.Parts {
		if p.Ticket != "" {
			lines = append(lines, plan.Code("undo "+p.Ticket)+" ("+plan.Code(p.Plan.Name)+")")
		}
	}
	if len(lines) == 0 {
		return refuse("`%s` changed nothing, so there is nothing to undo.", t.ID)
	}
	return refuse("`%s` was for %d apps, and each is taken back by itself, where it has to be: %s. Nothing was changed.", t.ID, len(t.Parts), plan.Join(lines))
}
