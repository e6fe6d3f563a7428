package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

const (
	// pageSize is how much a thread's message holds, in characters with buttons reckoned
	// in: Slack refuses blocks of more than about 13,200, and escapes make texts longer.
	pageSize = 8000
	// buttonSize is what a button takes of it: a section of its own, ids, the line to run.
	buttonSize = 350
	// manyLines is how many apps of one owner are shown one by one. Where there are more,
	// wholeLines are, and the others are named by what they lack: nobody reads the three
	// hundredth time that preboot is off.
	manyLines, wholeLines = 20, 10
	// namesAtOnce is how many apps one item names.
	namesAtOnce = 40
)

// section is one owner's part of the thread.
type section struct {
	head  Text // with the mention, if any
	again Text // the same for the next page
	name  string
	items []Item
	// What watched deploys have shown: behind the head, below the items of those apps, and in
	// items of its own behind the others. It is no part of the size that pages are made by:
	// a digest that is posted to its end after a restart finds other proofs, and must not say
	// an app twice for that, or leave one out.
	proved Text
	proofs map[int][]Text // by index of the item
	failed []Item
}

// details is the thread: by owner, several on a page where they are small.
func (m digestMessage) details() []Reply {
	rung := map[string]bool{} // each once, however many groups are theirs
	var sections []section
	for _, g := range m.groups {
		proved, failed := m.view.Proving.group(g)
		if len(g.Lines)+len(g.Waivers)+len(failed) == 0 {
			continue
		}
		here := g.Channel == "" || g.Channel == m.view.Home || g.Channel == m.view.Channel
		ring := g.Mention && g.Owner != "" && here && !m.Baseline && !rung[g.Owner]
		if ring {
			rung[g.Owner] = true
		}
		named := names(m.view.Name)
		s := sectionOf(g, m.dates, m.view.Proving)
		s.name, s.again = named.quietly(g).String(), Line(named.quietly(g), ", continued")
		if s.failed = failed; proved != "" {
			s.proved = Line(" · " + proved)
		}
		if ring {
			s.head = append(Line(mention(g.Owner)), s.head...)
		} else {
			s.head = append(named.quietly(g), s.head...)
		}
		if !here {
			s.head = append(s.head, Line(" · told in ", MentionChannel(g.Channel))...)
		}
		name := named.person
		if here && !m.Baseline {
			name = MentionUser
			for _, user := range owners(g) {
				if !rung[user] {
					rung[user] = true
					s.head = append(Line(MentionUser(user), ", "), s.head...)
				}
			}
		}
		s.first(ending(g, name, m.dates))
		sections = append(sections, s)
	}
	return pages(sections)
}

// mention rings the owner, a person or a user group.
func mention(owner string) Span {
	if strings.HasPrefix(owner, "S") {
		return Span{Kind: Group, S: owner}
	}
	return MentionUser(owner)
}

// names are what people call owners, by id; nil: nobody's is known. See View.Name.
type names func(owner string) string

// person names somebody without ringing them.
func (n names) person(id string) Span {
	if n != nil {
		if name := n(id); name != "" {
			return Bold(name)
		}
	}
	return Code(id)
}

// quietly names a group's owner without ringing anybody.
func (n names) quietly(g audit.Group) Text {
	switch {
	case g.Owner != "":
		return Line("Owner ", n.person(g.Owner))
	case g.Team != "":
		return Line("Team ", Bold(g.Team))
	}
	return Line(Bold("Personal apps"))
}

// first puts items before the others.
func (s *section) first(items []Item) {
	proofs := map[int][]Text{}
	for i, proof := range s.proofs {
		proofs[i+len(items)] = proof
	}
	s.items, s.proofs = append(items, s.items...), proofs
}

// sectionOf is a group without its owner's name.
func sectionOf(g audit.Group, dates dates, proving *Proving) section {
	s := section{head: Line(": " + readyOf(g.Counts)), proofs: map[int][]Text{}}
	lines := slices.SortedStableFunc(slices.Values(g.Lines), worse)
	var bad, fixed, waived, gone, unread []audit.Line
	for _, l := range lines {
		switch {
		case failing(l.Kind):
			bad = append(bad, l)
		case l.Kind == audit.LineFixed:
			fixed = append(fixed, l)
		case l.Kind == audit.LineWaived:
			waived = append(waived, l)
		case l.Kind == audit.LineGone:
			gone = append(gone, l)
		default:
			unread = append(unread, l)
		}
	}
	whole := bad
	if len(bad) > manyLines {
		whole = bad[:wholeLines]
	}
	for _, l := range whole {
		if proof := proving.detail(l.App, proving.ago()); len(proof) > 0 {
			s.proofs[len(s.items)] = proof
		}
		s.items = append(s.items, lineItem(l, dates))
	}
	if item, ok := fixAll(bad); ok {
		s.items = append(s.items, item)
	}
	s.items = append(s.items, alike(bad[len(whole):], MarkFail, func(l audit.Line) string {
		what := strings.ToLower(strings.Join(titles(l.Checks), ", "))
		if word := kindWord(l); word != "" {
			return word + ": " + what
		}
		return what
	})...)
	if g.Quiet > 0 {
		also := "more "
		if len(bad) == 0 {
			also = ""
		}
		s.items = append(s.items, Item{Mark: MarkFail, Text: Line(fmt.Sprintf("%d %sas before, not listed tonight.", g.Quiet, also))})
	}
	s.items = append(s.items, alike(fixed, MarkPass, func(l audit.Line) string { return "fixed: " + strings.ToLower(strings.Join(titles(l.Checks), ", ")) })...)
	s.items = append(s.items, alike(waived, MarkWaived, waivedLine)...)
	s.items = append(s.items, alike(gone, MarkNone, func(l audit.Line) string { return "gone: " + cmp.Or(brief(l.Why, 120), "deleted, or out of scope now") })...)
	s.items = append(s.items, alike(unread, MarkUnknown, func(l audit.Line) string {
		return "could not be judged: " + cmp.Or(brief(l.Why, 120), "no reason was told")
	})...)
	return s
}

// lineItem is one app that fails, with what helps.
func lineItem(l audit.Line, dates dates) Item {
	text := appName(l)
	if word := kindWord(l); word != "" {
		text = append(text, Line(" ", Bold(word))...)
	}
	text = append(text, Line(":")...)
	for _, e := range l.Evidence {
		text = append(text, Line(" ")...)
		text = append(text, shortly(e)...)
		text = append(text, Line(".")...)
	}
	item := Item{Mark: MarkFail, Text: text, Button: fixLine(l)}
	if !l.After.IsZero() && l.Kind == audit.LineRegressed {
		item.Text = append(item.Text, Line(" It was fine "+dates.moment(l.After)+".")...)
	}
	if ended(l) && l.Why != "" {
		item.Text = append(item.Text, Line(" "+plan.Capital(l.Why)+".")...)
	}
	if !l.Since.IsZero() {
		item.Text = append(item.Text, Line(" Not so since "+dates.moment(l.Since)+", and told then.")...)
	}
	if l.Fight != nil {
		item.Detail = []Text{fightInShort(*l.Fight)}
		return item
	}
	if l.Yours != "" {
		item.Detail = []Text{append(Line("Yours to do: "), Prose(l.Yours)...)}
		return item
	}
	if getting := remedyText(l); len(getting) > 0 {
		item.Detail = []Text{getting}
	}
	return item
}

// appName is the app, and what it was called and whose it was the night before.
func appName(l audit.Line) Text {
	text := Line(Code(l.Name))
	var was Text
	if l.Was != "" {
		was = Line("was ", Code(l.Was))
	}
	if l.From != "" {
		from := "of team " + brief(l.From, 60)
		if l.From == "-" {
			from = "a personal app"
		}
		if was == nil {
			was = Line("was " + from)
		} else {
			was = append(was, Line(", "+from)...)
		}
	}
	if was == nil {
		return text
	}
	return Line(text, " (", was, ")")
}

// kindWord is why the app is listed; empty where it is for nothing but failing.
func kindWord(l audit.Line) string {
	switch l.Kind {
	case audit.LineRegressed:
		return "regressed"
	case audit.LineNew:
		if ended(l) {
			return "waived no more"
		}
		if l.First {
			return "looked at for the first time"
		}
		return "new"
	case audit.LineFixed:
		return "fixed"
	case audit.LineWaived:
		return "waived"
	case audit.LineOwner:
		return "as before, with a new owner"
	case lineNow:
		if l.Days > 0 {
			return "for " + count(l.Days, "night")
		}
	case audit.LineStill:
		if l.Days <= 1 {
			return "still, for one night"
		}
		return fmt.Sprintf("still, for %d nights", l.Days)
	}
	return ""
}

// remedyText is what getting ready takes.
func remedyText(l audit.Line) Text {
	text := Line("Getting ready ")
	more, known := l.Increase.Get()
	if l.Size != "" {
		text = append(text, Line("takes "+l.Size+" dynos")...)
		if !known {
			return append(text, Line("; how much more that costs is not known: "+brief(l.Increase.Why().Text, 120)+".")...)
		}
		text = append(text, Line(" and ")...)
	}
	switch {
	case !known:
		return Line("How much more it costs to get ready is not known: " + brief(l.Increase.Why().Text, 120) + ".")
	case more == 0:
		return append(text, Line("costs nothing more.")...)
	case more < 0:
		return append(text, Line("saves "+(-more).String()+" a month.")...)
	default:
		return append(text, Line("adds "+more.String()+" a month.")...)
	}
}

// priceText is an increase in a cell.
func priceText(v audit.Increase) Text {
	switch more, known := v.Get(); {
	case !known:
		return Line("not known")
	case more == 0:
		return Line("nothing")
	default:
		return Line(signed(more))
	}
}

// fixLine opens the plan that makes the app ready; nil where a plan can't. It never acts.
func fixLine(l audit.Line) *Button {
	if !failing(l.Kind) || l.Yours != "" || l.App == "" || l.Fight != nil {
		return nil
	}
	return &Button{Label: "Fix…", Run: plan.Wish{Verb: plan.ToEnable, Size: l.Size}.Line(string(l.App))}
}

// fixAll opens one plan for those of an owner's apps that fail, as many as one ticket takes,
// the worst first. It never acts. What needs another dyno size, is a person's to do or is not
// offered for another reason is not among them; ok is false where there are not two.
func fixAll(bad []audit.Line) (item Item, ok bool) {
	var able []audit.Line
	for _, l := range bad {
		if fixLine(l) != nil && l.Size == "" {
			able = append(able, l)
		}
	}
	if len(able) < approval.FewestParts {
		return Item{}, false
	}
	label := fmt.Sprintf("Fix all %d…", len(able))
	if len(able) > approval.MostParts {
		able = able[:approval.MostParts]
		label = fmt.Sprintf("Fix the first %d…", len(able))
	}
	var apps []string
	text := Line("Together, with one ticket and one app after the other: ")
	more := fleet.Known(fleet.Money(0))
	for i, l := range able {
		apps = append(apps, string(l.App))
		switch {
		case i == 0:
		case i == len(able)-1:
			text = append(text, Line(" and ")...)
		default:
			text = append(text, Line(", ")...)
		}
		text = append(text, Code(l.Name))
		if own, known := l.Increase.Get(); !known || !more.IsKnown() {
			more = audit.Increase{}
		} else {
			more = fleet.Known(more.Or(0) + own)
		}
	}
	switch sum, known := more.Get(); {
	case !known:
		text = append(text, Line(". What that costs is not known of all.")...)
	case sum == 0:
		text = append(text, Line(". That costs nothing more.")...)
	case sum < 0:
		text = append(text, Line(". That saves "+(-sum).String()+" a month in all.")...)
	default:
		text = append(text, Line(". That adds "+sum.String()+" a month in all.")...)
	}
	return Item{Text: text, Button: &Button{Label: label, Run: enableLine(apps, "")}}, true
}

// alike names apps that one sentence holds of, by sentence, in the order of the first of each.
func alike(lines []audit.Line, mark Mark, say func(audit.Line) string) []Item {
	var order []string
	by := map[string][]audit.Line{}
	for _, l := range lines {
		what := say(l)
		if _, known := by[what]; !known {
			order = append(order, what)
		}
		by[what] = append(by[what], l)
	}
	var items []Item
	for _, what := range order {
		all := by[what]
		first := true
		for part := range slices.Chunk(all, namesAtOnce) {
			text := Line(Bold(plan.Capital(what)))
			switch {
			case !first:
				text = append(text, Line(", more of them")...)
			case len(all) > 1:
				text = append(text, Line(fmt.Sprintf(" (%d)", len(all)))...)
			}
			first = false
			for i, l := range part {
				sep := ", "
				if i == 0 {
					sep = " · "
				}
				text = append(text, Line(sep)...)
				text = append(text, appName(l)...)
			}
			items = append(items, Item{Mark: mark, Text: text})
		}
	}
	return items
}

// titles are the checks as people know them: Session affinity.
func titles(ids []string) []string {
	all := audit.Checks()
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id
		if at := slices.IndexFunc(all, func(c audit.Check) bool { return c.ID == id }); at >= 0 {
			names[i] = all[at].Title
		}
	}
	return names
}

// shortly is a finding's evidence up to what explains it: whoever wants to know why asks
// for the app's status.
func shortly(evidence string) Text {
	text := Prose(strings.TrimSuffix(evidence, "."))
	for i, s := range text {
		if before, _, cut := strings.Cut(s.S, ": "); cut && s.Kind == Plain {
			return append(slices.Clone(text[:i]), Span{S: before})
		}
	}
	return text
}

// pages sets sections one after the other, on as many replies as it takes.
func pages(sections []section) []Reply {
	var out []Reply
	var names []string
	used := 0
	open := func() {
		out = append(out, Reply{})
		names, used = nil, 0
	}
	add := func(head, proved Text, name string) {
		if len(out) == 0 || used > pageSize*3/4 { // a heading alone at the foot of a page helps nobody
			open()
		}
		page := &out[len(out)-1]
		if len(page.Parts) > 0 {
			page.Parts = append(page.Parts, Divider{})
		}
		page.Parts = append(page.Parts, Para{append(slices.Clip(head), proved...)}, List{})
		names = append(names, name)
		page.Summary = "Details: " + brief(plan.Join(names), 200)
		used += size(head)
	}
	for _, s := range sections {
		add(s.head, s.proved, s.name)
		for i, item := range s.items {
			n := itemSize(item)
			if used+n > pageSize && i > 0 {
				used = pageSize
				add(s.again, nil, s.name)
			}
			page := &out[len(out)-1]
			item.Detail = append(slices.Clip(item.Detail), s.proofs[i]...)
			list := page.Parts[len(page.Parts)-1].(List)
			list.Items = append(list.Items, item)
			page.Parts[len(page.Parts)-1] = list
			used += n
		}
		page := &out[len(out)-1]
		list := page.Parts[len(page.Parts)-1].(List)
		list.Items = append(list.Items, s.failed...)
		page.Parts[len(page.Parts)-1] = list
	}
	return out
}

func itemSize(i Item) int {
	n := size(i.Text) + 20 // its mark
	for _, d := range i.Detail {
		n += size(d)
	}
	if i.Button != nil {
		n += buttonSize + len(i.Button.Run)
	}
	return n
}

func size(t Text) int {
	n := 0
	for _, s := range t {
		n += len([]rune(s.S)) + 2
	}
	return n
}
