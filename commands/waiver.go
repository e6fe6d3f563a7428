package commands

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// WaiverView says how a waiver is shown, and to whom.
type WaiverView struct {
	To     Audience
	Policy policy.Policy // in force
	Now    time.Time     // zero: the message stays, so nothing is said that time makes wrong
}

func (v WaiverView) zone() *time.Location { return v.Policy.Nightly.Location() }

// WaiverReply is a waiver as a reply: what is waived, until when and why, who decided,
// where it stands, and the buttons that still do something.
func WaiverReply(w policy.Waiver, v WaiverView) Reply {
	reply := Reply{
		Summary: w.ID + " " + w.Name + ": " + waiverSummary(w, v),
		Parts:   []Part{Heading{w.ID + " · " + strings.ToLower(checkTitle(w.Check)) + " of " + w.Name + ": " + waiverState(w)}, Para{waiverOpening(w, v)}},
	}
	facts := []Fact{{"Reason", waiverReason(w)}}
	if w.State == policy.WaiverPending {
		facts = append(facts, Fact{"Approvals", Line(fmt.Sprintf("%d of %d", len(w.Votes), w.Approvals))}, Fact{"Decide by", Line(At(w.DecideBy))})
	}
	reply.Parts = append(reply.Parts, Facts{facts})
	if standing := waiverStanding(w); len(standing) > 0 {
		reply.Parts = append(reply.Parts, Para{standing})
	}
	switch {
	case w.State == policy.WaiverActive && w.Reason == policy.MigrationWindow:
		reply.Parts = append(reply.Parts, Note{Line("The check stays what it is and does not count until then. When that is over I look at the app, and remind ", MentionUser(w.By), " if it still fails. On Heroku nothing was changed.")})
	case w.State == policy.WaiverActive:
		reply.Parts = append(reply.Parts, Note{Line("The check stays what it is and does not count until then. On Heroku nothing was changed.")})
	case w.State == policy.WaiverPending:
		reply.Parts = append(reply.Parts, Note{Line("Nothing is waived yet.")})
	}
	if row := waiverButtons(w, v); len(row) > 0 {
		reply.Parts = append(reply.Parts, Buttons{row})
	}
	return reply
}

func checkTitle(id string) string { return titles([]string{id})[0] }

// waiverState is where it stands, in a few words.
func waiverState(w policy.Waiver) string {
	switch w.State {
	case policy.WaiverPending:
		return "a waiver awaits approval"
	case policy.WaiverActive:
		return "waived"
	case policy.WaiverDenied:
		return "the waiver was denied"
	case policy.WaiverCancelled:
		return "the waiver was called off"
	case policy.WaiverEnded:
		return "the waiver was ended"
	case policy.WaiverReplaced:
		return "renewed as " + w.Replaced
	case policy.WaiverExpired:
		if w.From.IsZero() {
			return "nobody decided on the waiver in time"
		}
		return "the waiver has run out"
	}
	return "the waiver can't be read, and waives nothing"
}

// waiverSummary is the waiver in a line.
func waiverSummary(w policy.Waiver, v WaiverView) string {
	title := checkTitle(w.Check)
	end := "until " + policy.UntilText(w.Until, v.zone())
	switch {
	case w.State == policy.WaiverPending:
		return title + " is to be waived " + end + " · needs 1 approval"
	case w.State == policy.WaiverActive:
		return title + " is waived " + end + ", " + lasting(w, v)
	case w.Still != "":
		return "the migration window is over, and " + uncapital(strings.TrimSuffix(Prose(w.Still).String(), "."))
	}
	return title + ", " + waiverState(w)
}

// waiverOpening says who asked for what.
func waiverOpening(w policy.Waiver, v WaiverView) Text {
	var text Text
	switch {
	case v.To == ForRequester:
		text = Line("You asked")
	case w.State == policy.WaiverPending:
		text = Line(MentionUser(w.By), " asks")
	default:
		text = Line(MentionUser(w.By), " asked")
	}
	text = append(text, Line(" to waive ", Bold(checkTitle(w.Check)), " of ", Code(w.Name), " until ", Bold(policy.UntilText(w.Until, v.zone())), ", "+lasting(w, v))...)
	return append(text, Line(".")...)
}

// waiverReason is the reason, in its owner's words where they said any.
func waiverReason(w policy.Waiver) Text {
	if w.Text == "" {
		return Line(Code(string(w.Reason)), ": "+reasonText[w.Reason])
	}
	return Line(Code(string(w.Reason)), ": “"+w.Text+"”")
}

// lasting is how long it is, or how long it still holds where that is told now.
func lasting(w policy.Waiver, v WaiverView) string {
	from := w.AskedAt
	if w.State == policy.WaiverActive && !v.Now.IsZero() {
		from = v.Now
	}
	return spanText(w, from, v.zone())
}

// spanText is how long it is from then to its end: "69 days", "4 hours".
func spanText(w policy.Waiver, from time.Time, zone *time.Location) string {
	local := w.Until.In(zone)
	if last := local.Add(-time.Millisecond); last.Day() == local.Day() && w.Until.Sub(from) < 48*time.Hour {
		return span(w.Until.Sub(from).Round(time.Minute))
	}
	switch n := w.DaysLeft(from, zone); {
	case n <= 0:
		return "today only"
	case n == 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}

// leftText is how long it still holds: "69 days left".
func leftText(w policy.Waiver, now time.Time, zone *time.Location) string {
	if text := spanText(w, now, zone); text != "today only" {
		return text + " left"
	}
	return "today is its last day"
}

// waiverStanding says who decided, and how it ended.
func waiverStanding(w policy.Waiver) Text {
	var text Text
	add := func(parts ...any) {
		if len(text) > 0 {
			text = append(text, Line(" ")...)
		}
		text = append(text, Line(parts...)...)
	}
	for _, v := range w.Votes {
		add("Approved by ", MentionUser(v.User), " ", At(v.At), ".")
		if v.Self {
			add("That is who asked; the policy allows it.")
		}
	}
	by := func(done string) {
		switch {
		case w.DecidedBy == "" && w.Why != "":
			add(done+": ", Prose(uncapital(w.Why)), ".")
		case w.DecidedBy == "":
			add(done + ".")
		case w.Why != "":
			add(done+" by ", MentionUser(w.DecidedBy), ": “"+w.Why+"”.")
		default:
			add(done+" by ", MentionUser(w.DecidedBy), ".")
		}
	}
	switch w.State {
	case policy.WaiverDenied:
		by("Denied")
		add("It waived nothing.")
	case policy.WaiverCancelled:
		by("Called off")
		add("It waived nothing.")
	case policy.WaiverEnded:
		by("Ended")
		add("The check counts again.")
	case policy.WaiverReplaced:
		add("Another one took its place: ", Code(w.Replaced), ".")
	case policy.WaiverExpired:
		switch {
		case w.From.IsZero():
			add("It waived nothing.")
		case w.Still != "":
			add("Its time is over, and the check counts again. ", Prose(w.Still))
		default:
			add("Its time is over, and the check counts again.")
		}
	}
	return text
}

// waiverButtons are those that still do something.
func waiverButtons(w policy.Waiver, v WaiverView) []Button {
	status := Button{Label: "Status", Run: "status " + string(w.App)}
	switch w.State {
	case policy.WaiverPending:
		cancel := Button{Label: "Cancel", Run: decideOnWaiver("cancel", w), Confirm: &Confirm{Title: "Call " + w.ID + " off?", Text: "Nothing will be waived.", Yes: "Call it off"}}
		approve := Button{Label: "Approve", Run: decideOnWaiver("approve", w), Primary: true, Confirm: &Confirm{
			Title: "Approve " + w.ID + "?", Text: checkTitle(w.Check) + " of " + w.Name + " will not count until " + policy.UntilText(w.Until, v.zone()) + ".", Yes: "Approve",
		}}
		switch {
		case v.To == ForApprovers:
			deny := Button{Label: "Deny", Run: decideOnWaiver("deny", w), Danger: true, Ask: &Ask{Title: "Deny " + w.ID, Label: "Why? Whoever asked will see it.", Optional: true}}
			return []Button{approve, deny, cancel, status}
		case v.To == ForRequester && v.Policy.Approval.SelfApproval:
			approve.Confirm.Text += " You approve it alone: that is written down."
			return []Button{approve, cancel}
		}
		return []Button{cancel}
	case policy.WaiverActive:
		end := Button{Label: "End it", Run: decideOnWaiver("unwaive", w), Danger: true, Confirm: &Confirm{
			Title: "End " + w.ID + "?", Text: checkTitle(w.Check) + " of " + w.Name + " counts again from then on. On Heroku nothing is changed.", Yes: "End it",
		}}
		return []Button{renew("Renew…", w), end, status}
	case policy.WaiverReplaced:
		return []Button{{Label: w.Replaced, Run: "show " + w.Replaced}, status}
	}
	if w.Still != "" {
		fix := Button{Label: "Fix…", Run: plan.Wish{Verb: plan.ToEnable}.Line(string(w.App)), Primary: true}
		return []Button{fix, renew("Another window…", w), status}
	}
	return []Button{renew("Ask again…", w), status}
}

// renew asks for the same once more, with another end: that is a new decision.
func renew(label string, w policy.Waiver) Button {
	wish := waiveWish{app: string(w.App), check: w.Check, reason: w.Reason, text: brief(strings.Join(strings.Fields(w.Text), " "), 300)}
	return Button{Label: label, Run: wish.line(), Ask: askUntil(w.Check)}
}

// decideOnWaiver is the line of a button that decides on this waiver and on no other; see
// decideOn.
func decideOnWaiver(verb string, w policy.Waiver) string {
	return verb + " " + w.ID + " " + planOption + "=" + waiverDigest(w)
}

// waiverDigest tells the waivers apart that ever had the same number.
func waiverDigest(w policy.Waiver) string {
	sum := sha256.Sum256([]byte(w.Origin + " " + string(w.App) + " " + w.Check))
	return hex.EncodeToString(sum[:4])
}

// waivedText says of a check that it is waived: by whom, why and until when.
func waivedText(w policy.Waiver, now time.Time, zone *time.Location) Text {
	text := Line(Bold("Waived"), " until "+policy.UntilText(w.Until, zone)+" ("+leftText(w, now, zone)+"), by ", MentionUser(w.By), " because ", Code(string(w.Reason)))
	if w.Text != "" {
		text = append(text, Line(": “"+brief(w.Text, 200)+"”")...)
	}
	return append(text, Line(" · ", Code(w.ID))...)
}
