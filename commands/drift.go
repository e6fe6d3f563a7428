package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

const (
	// driftLines is how many apps a message about drift names one by one; the others are
	// counted there, and named in its thread.
	driftLines = 10
	// driftOwners is how many owners of the others are rung in the message itself. Those
	// beyond are in its thread, as the night rings nobody again for what was told.
	driftOwners = 20
	// driftMentions is how many of those one paragraph has.
	driftMentions = 100
)

// DriftView is a bulletin as a message and what goes in its thread: which apps were ready
// and are no longer, with the plan one click away. Each owner is rung once. repeat says
// that it may be the second copy.
func DriftView(b audit.Bulletin, repeat bool) (parent Reply, thread []Reply) {
	d := dates{zoneOf(b.Zone), b.At}
	const nobody = "~" // comes after every id
	drifts := slices.SortedStableFunc(slices.Values(b.Drifts), func(x, y audit.Drifted) int {
		return cmp.Or(cmp.Compare(cmp.Or(x.Owner, nobody), cmp.Or(y.Owner, nobody)), cmp.Compare(x.Name, y.Name))
	})
	parent = Reply{Public: true, Summary: driftSummary(drifts)}
	if repeat {
		parent.Parts = append(parent.Parts, postedAgain())
	}
	parent.Parts = append(parent.Parts, Para{Line(Bold(driftSummary(drifts)), ".")})
	listed := drifts
	if len(drifts) > driftLines {
		listed = drifts[:driftLines]
	}
	rung := map[string]bool{"": true}
	var items []Item
	for _, one := range listed {
		item := driftItem(one, d)
		if !rung[one.Owner] {
			rung[one.Owner] = true
			item.Text = append(Line(mention(one.Owner), ": "), item.Text...)
		}
		items = append(items, item)
	}
	parent.Parts = append(parent.Parts, List{items})
	if rest := drifts[len(listed):]; len(rest) > 0 {
		text, owners := driftRest(rest, rung)
		parent.Parts = append(parent.Parts, Para{text})
		thread = driftThread(rest)
		if len(owners) > 0 {
			thread = append(thread, driftOthers(owners))
		}
	}
	return with(parent, Note{Prose(driftNote(b))}), thread
}

// postedAgain begins a message that was posted before, or may have been.
func postedAgain() Note {
	return Note{Line("Posted again, because I could not find out whether the first copy had arrived. If you see two, this one counts: the buttons of the other do nothing any more.")}
}

func driftSummary(drifts []audit.Drifted) string {
	if len(drifts) == 1 {
		one := drifts[0]
		if one.Fight != nil {
			return fmt.Sprintf("%s is fought over: %d times in 7 days it was ready and then was not", one.Name, len(one.Flips))
		}
		return one.Name + " was ready and is no longer: " + strings.ToLower(strings.Join(titles(one.Checks), ", "))
	}
	return grouped(len(drifts)) + " apps were ready and are no longer"
}

// driftItem is one app: what fails now, between which two looks that began, and what helps.
func driftItem(one audit.Drifted, d dates) Item {
	text := Line(Code(one.Name), ":")
	for _, e := range one.Evidence {
		text = append(text, Line(" ")...)
		text = append(text, shortly(e)...)
		text = append(text, Line(".")...)
	}
	if !one.After.IsZero() {
		text = append(text, Line(" It was fine "+d.lasted(one.After, one.Since)+".")...)
	}
	item := Item{Mark: MarkFail, Text: text, Button: fixLine(one.Line)}
	switch {
	case one.Fight != nil:
		item.Mark = MarkHazard
		item.Detail = fightLines(*one.Fight, one.Flips, d)
		item.Detail = append(item.Detail, Line("I don't offer the same fix again, because it would not last; ", Code("enable "+one.Name), " still works."))
	case one.Yours != "":
		item.Detail = []Text{append(Line("Yours to do: "), Prose(one.Yours)...)}
	default:
		item.Detail = []Text{remedyText(one.Line)}
	}
	return item
}

// beside is a moment told after another one: of the same day only the time.
func (d dates) beside(before, t time.Time) string {
	if before.In(d.zone).Format(time.DateOnly) == t.In(d.zone).Format(time.DateOnly) {
		return d.clock(t)
	}
	return d.moment(t)
}

// lasted is between which two looks something ended; looks that come faster than the
// minutes that are shown are told as one moment, not as the same one twice.
func (d dates) lasted(after, at time.Time) string {
	if d.moment(after) == d.moment(at) {
		return "until " + d.moment(after) + ", and then no longer"
	}
	return d.moment(after) + ", and no longer " + d.beside(after, at)
}

// fightLines are who may be behind it, what speaks for that, and what to do.
func fightLines(f audit.Fight, flips []audit.Flip, d dates) []Text {
	var when []string
	for _, flip := range flips[max(len(flips)-5, 0):] {
		when = append(when, "between "+d.moment(flip.After)+" and "+d.beside(flip.After, flip.At))
	}
	first := Line("It was ready and then was not ", strings.Join(when, "; "), ".")
	who := Line("Who changes it back is not known. ")
	if f.Who != "" {
		who = Line("Likely it is ", Prose(f.Who), ". ")
	}
	for _, e := range f.Evidence {
		who = append(who, Prose(e+" ")...)
	}
	return []Text{first, append(who, Prose(f.Advice)...)}
}

// fightInShort is the same for a line among others.
func fightInShort(f audit.Fight) Text {
	text := Line(Bold("Fought over"), ": the same fix would not last. ")
	if f.Who != "" {
		text = append(append(text, Line("Likely it is ")...), Prose(f.Who+". ")...)
	}
	return append(text, Prose(f.Advice)...)
}

// driftRest is how many more there are, by what fails, and whose. left are the owners who
// are not named in it.
func driftRest(rest []audit.Drifted, rung map[string]bool) (text Text, left []string) {
	counts := map[string]int{}
	var order []string
	var owners []string
	for _, one := range rest {
		what := strings.ToLower(strings.Join(titles(one.Checks), ", "))
		if counts[what] == 0 {
			order = append(order, what)
		}
		counts[what]++
		if !rung[one.Owner] {
			rung[one.Owner] = true
			owners = append(owners, one.Owner)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	for i, what := range order {
		order[i] = fmt.Sprintf("%s (%s)", what, grouped(counts[what]))
	}
	text = Line("And "+grouped(len(rest))+" more, named in the thread: ", plan.Join(order))
	if len(owners) == 0 {
		return append(text, Line(".")...), nil
	}
	named := min(len(owners), driftOwners)
	text = append(append(text, Line(". They are of ")...), mentions(owners[:named])...)
	left = owners[named:]
	if len(left) > 0 {
		text = append(text, Line(fmt.Sprintf(" and %d more owners, who are named in the thread", len(left)))...)
	}
	return append(text, Line(".")...), left
}

// mentions ring owners, one after the other.
func mentions(owners []string) (text Text) {
	for i, owner := range owners {
		if i > 0 {
			text = append(text, Line(", ")...)
		}
		text = append(text, mention(owner))
	}
	return text
}

// driftOthers rings the owners for whom the message has no room.
func driftOthers(owners []string) Reply {
	reply := Reply{Public: true, Summary: "The others whose apps were ready and are no longer"}
	begin := "They are also of "
	for some := range slices.Chunk(owners, driftMentions) {
		reply.Parts = append(reply.Parts, Para{append(append(Line(begin), mentions(some)...), Line(".")...)})
		begin = "And of "
	}
	return reply
}

// driftThread names those that the message only counts.
func driftThread(rest []audit.Drifted) []Reply {
	lines := make([]audit.Line, len(rest))
	for i, one := range rest {
		lines[i] = one.Line
	}
	of := section{head: Line("The others that were ready and are no longer:"), again: Line("More of them:"), name: "the others"}
	of.items = alike(lines, MarkFail, func(l audit.Line) string { return strings.ToLower(strings.Join(titles(l.Checks), ", ")) })
	replies := pages([]section{of})
	for i := range replies {
		replies[i].Public = true
	}
	return replies
}

// driftNote is the small print.
func driftNote(b audit.Bulletin) string {
	text := "Two looks found the same, outside of releases and of tickets of mine. "
	if !slices.ContainsFunc(b.Drifts, func(d audit.Drifted) bool { return d.Fight != nil }) {
		text += "Switches of features and dynos make no release on Heroku, so nobody is named. "
	}
	if b.Every <= 0 { // switched off since this was found
		return text + "I look no more between the nights, as the policy has it now, and say this once; the nightly digest lists what is still so."
	}
	return text + "I look " + every(b.Every) + " and say this once; the nightly digest lists what is still so."
}

// every is an interval in words.
func every(d time.Duration) string {
	if d == time.Hour {
		return "every hour"
	}
	return "every " + spell(d)
}

// watchItems are what looks between the nights found out of an app, for its status.
func watchItems(w audit.Watch, d dates) []Item {
	var items []Item
	if w.Fought(d.now) {
		text := Line(Bold("Fought over"), fmt.Sprintf(": %d times in 7 days it was ready and then was not. The same fix would not last, so I don't offer it again.", len(w.Flips)))
		items = append(items, Item{Mark: MarkHazard, Text: text, Detail: fightLines(*w.Fight, w.Flips, d)})
	} else if len(w.Drifts) > 0 {
		first := slices.MinFunc(w.Drifts, func(a, b audit.Drift) int { return a.At.Compare(b.At) })
		text := Line("It was ready " + d.lasted(first.After, first.At) + ", without a ticket of mine.")
		if first.Told {
			text = append(text, Line(" That was told then.")...)
		}
		items = append(items, Item{Mark: MarkHazard, Text: text})
	}
	if n := len(w.Changes); n > 0 {
		const shown = 3
		var steps []string
		for _, c := range w.Changes[max(n-shown, 0):] {
			steps = append(steps, fmt.Sprintf("%d → %d between %s and %s", c.From, c.To, d.moment(c.After), d.beside(c.After, c.At)))
		}
		text := Line("Web changed without a ticket of mine: " + strings.Join(steps, "; ") + ".")
		if n > shown {
			text = append(text, Line(fmt.Sprintf(" %d times in all that I remember.", n))...)
		}
		items = append(items, Item{Mark: MarkAdvice, Text: append(text, Line(" A person did that, or an autoscaler that no list shows.")...)})
	}
	return items
}

// Watched is what there is to know of the looks between the nights.
type Watched struct {
	Every    time.Duration // as the policy has it; 0: there are none
	Takes    time.Duration // how long it takes to look at every app once
	Apps     int
	Drifting int       // apps that were found to be ready no more, and are not told of yet
	Found    int64     // how often one was, ever
	Looked   time.Time // the last look; zero: there was none
}

// watchedText says how often the apps are looked at.
func watchedText(w Watched) Text {
	switch {
	case w.Every <= 0:
		return Line("off, as the policy has it (", Code("digest.watch_every"), ")")
	case w.Apps == 0:
		return Line("no app is watched: none was ready in the last scan")
	}
	text := Line(grouped(w.Apps) + " apps that were ready, each " + every(w.Takes))
	if w.Apps == 1 {
		text = Line("1 app that was ready, " + every(w.Takes))
	}
	if w.Takes > w.Every {
		text = append(text, Line(" rather than "+policy.Span(w.Every)+": more calls would be more than a third of what Heroku's limit gives back")...)
	}
	if !w.Looked.IsZero() {
		text = append(text, Line("; the last look was ", At(w.Looked))...)
	}
	return text
}
