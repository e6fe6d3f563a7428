package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/plan"
)

// View says which message of a digest is made, and for whom.
type View struct {
	// Channel is the channel that the policy names for some of the apps: the message is
	// about those, with their own counts. Empty: about the whole fleet.
	Channel string
	// Home is where the message about the whole fleet goes, `digest.channel`. Owners of
	// apps that have a channel of their own are rung there, and only named here.
	Home string
	Head string // the ledger's, for the footer; empty: there is none to tell
	// Repeat says that this may be the second copy: the buttons of the first are dead.
	Repeat bool
	// Proving is what watched deploys have shown of the apps that the message is about; nil:
	// that is not told.
	Proving *Proving
	// Name is what people call an owner, a person or a user group, by id: they are named so
	// where they are not to be rung. Nil, or an empty name: the id is shown.
	Name func(owner string) string
}

// DigestChannels are the channels that are told of a digest: home, unless it is empty,
// and then each that the policy names for some apps. The view of home is the one with
// an empty View.Channel.
func DigestChannels(d audit.Digest, home string) []string {
	var named []string
	for _, g := range d.Groups {
		if g.Channel != "" && g.Channel != home {
			named = append(named, g.Channel)
		}
	}
	slices.Sort(named)
	named = slices.Compact(named)
	if home != "" {
		named = slices.Insert(named, 0, home)
	}
	return named
}

// DigestView is a digest as a message and what goes in its thread: the message for
// everybody, short enough to be read each morning, the thread for those it is about.
// A night on which all is well is one line.
func DigestView(d audit.Digest, v View) (parent Reply, thread []Reply) {
	m := digestMessage{Digest: d, view: v, dates: dates{zoneOf(d.Zone), d.Finished}}
	for _, g := range d.Groups {
		if v.Channel == "" || v.Channel == g.Channel {
			m.groups = append(m.groups, g)
		}
	}
	if v.Channel != "" {
		m.narrow()
	}
	parent = m.parent()
	parent.Public = true
	thread = m.details()
	for i := range thread {
		thread[i].Public = true
	}
	return parent, thread
}

// digestMessage is a digest as one channel is told of it: Counts, Changes and Coverage
// are those of its groups.
type digestMessage struct {
	audit.Digest
	view   View
	dates  dates
	groups []audit.Group
}

// narrow makes the counts those of one channel's groups. What the fleet's chart and
// coverage tell is not theirs; that apps may be missing is.
func (m *digestMessage) narrow() {
	part := audit.Sum(m.groups)
	part.Coverage.Gaps = m.Coverage.Gaps
	m.Counts, m.Changes, m.Coverage = part.Counts, part.Changes, part.Coverage
}

func (m digestMessage) parent() Reply {
	footer := Note{m.footer()}
	if m.allWell() {
		text := Line(Bold(m.day()), ": "+allReady(m.Counts, m.whose())+" "+m.unchanged()+waivedToo(m.Counts)+"."+m.view.Proving.sentence())
		return Reply{Summary: text.String(), Parts: append(m.copied(), Para{text}, footer)}
	}
	reply := Reply{Summary: m.day() + ": " + m.chainInShort() + readyOf(m.Counts) + m.inShort()}
	reply.Parts = append(m.copied(), Heading{m.day() + ": " + readyOf(m.Counts)})
	if doubts := append(m.chainAlarm(), doubts(m.Coverage, m.Missed)...); len(doubts) > 0 {
		reply.Parts = append(reply.Parts, List{doubts})
	}
	reply.Parts = append(reply.Parts, Para{m.news()})
	if facts := slices.Concat(costFact(m.Counts), waivedFact(m.Counts), m.view.Proving.fact(), coverageFact(m.Coverage, m.Counts)); len(facts) > 0 {
		reply.Parts = append(reply.Parts, Facts{facts})
	}
	if len(m.Trend) > 1 && m.view.Channel == "" {
		reply.Parts = append(reply.Parts, trendChart(m.Trend))
	}
	if worst := m.worst(); len(worst) > 0 {
		reply.Parts = append(reply.Parts, gridOf(worst, m.view.Proving)...)
		if row := fixRow(worst[:min(len(worst), gridRows)]); len(row) > 0 {
			reply.Parts = append(reply.Parts, Buttons{row})
		}
	}
	return with(reply, footer)
}

// day is the night in words. The first has no number: there is no other to tell it from.
func (m digestMessage) day() string {
	if m.Baseline {
		date, _, _ := strings.Cut(m.Night, "#")
		return day(date)
	}
	return day(m.Night)
}

// copied begins a message that was posted before, or may have been.
func (m digestMessage) copied() []Part {
	if !m.view.Repeat {
		return nil
	}
	return []Part{postedAgain()}
}

// allWell says that there is nothing to do and nothing new.
func (m digestMessage) allWell() bool {
	listed := slices.ContainsFunc(m.groups, func(g audit.Group) bool { return len(g.Lines)+len(g.Waivers) > 0 || g.Quiet > 0 })
	return !listed && !m.Baseline && !m.Coverage.Partial() && len(m.Missed) == 0 && m.Counts.NotReady+m.Counts.Unknown == 0 && len(m.chainAlarm()) == 0
}

// whose are the apps that the message is about.
func (m digestMessage) whose() string {
	if m.view.Channel != "" {
		return " of this channel"
	}
	return ""
}

// news is what changed, in a few sentences.
func (m digestMessage) news() Text {
	text := standingNow(m.Counts, m.whose())
	if m.Baseline {
		return append(text, Line(" This is the first scan of a night: from now on, each night is compared with the one before. Nobody is mentioned tonight.")...)
	}
	var changes []any
	for i, c := range m.changed() {
		if i > 0 {
			changes = append(changes, ", ")
		}
		changes = append(changes, Bold(c))
	}
	if len(changes) == 0 {
		text = append(text, Line(" "+plan.Capital(m.unchanged()))...)
	} else {
		text = append(text, Line(" Since ", m.before(), ": ")...)
		text = append(text, Line(changes...)...)
	}
	if m.Changes.Still > 0 {
		text = append(text, Line("; "+appsFail(m.Changes.Still)+" as before")...)
	}
	return append(text, Line(".")...)
}

// changed are the changes that there were, each in two words.
func (m digestMessage) changed() []string {
	var said []string
	for _, c := range []struct {
		n    int
		word string
	}{{m.Changes.Regressed, "regressed"}, {m.Changes.New, "new"}, {m.Changes.Fixed, "fixed"}, {m.Changes.Waived, "waived"}, {m.Changes.Gone + m.Changes.Left, "gone"}} {
		if c.n > 0 {
			said = append(said, grouped(c.n)+" "+c.word)
		}
	}
	return said
}

func appsFail(n int) string {
	if n == 1 {
		return "1 app fails"
	}
	return grouped(n) + " apps fail"
}

// inShort is what changed for a notification.
func (m digestMessage) inShort() string {
	if m.Baseline {
		return "; the first scan"
	}
	if said := m.changed(); len(said) > 0 {
		return "; " + strings.Join(said, ", ")
	}
	return "; " + m.unchanged()
}

// unchanged says that nothing did, or no more than can be said where some are unknown.
func (m digestMessage) unchanged() string {
	if n := m.Changes.Left; n > 0 {
		return isAre(n) + " gone since " + m.before() + " (deleted, out of scope, or out of my Heroku account's sight), and nothing else changed"
	}
	if m.Coverage.Partial() {
		return "no change was seen since " + m.before()
	}
	return "nothing changed since " + m.before()
}

// before is the night that this one is compared with.
func (m digestMessage) before() string {
	if len(m.Trend) < 2 {
		return "the scan before"
	}
	return since(m.Trend[len(m.Trend)-2].Night, m.Night)
}

// coverageFact explains the numbers of apps, where there are several.
func coverageFact(coverage audit.Coverage, c audit.Counts) []Fact {
	if len(coverage.Out)+len(coverage.Unread)+len(coverage.Gaps)+c.NotApplicable == 0 {
		return nil
	}
	return []Fact{{"Looked at", Line(coverageText(coverage, c))}}
}

// footer is the small print: when it was read, how long that took, and the ledger.
func (m digestMessage) footer() Text {
	text := Line(fmt.Sprintf("Read %s–%s (%s)", m.dates.clock(m.Started), m.dates.clock(m.Finished), m.Zone))
	if m.view.Channel == "" {
		text = append(text, Line(", "+took(m.Finished.Sub(m.Started), m.Expected, m.Calls))...)
	}
	if m.Watch > 0 && m.view.Channel == "" {
		text = append(text, Line(". Until the next night I look at what is ready "+every(m.Watch)+", which is as often as a third of Heroku's limit lets")...)
	}
	if m.view.Head != "" {
		text = append(text, Line(" · ledger ", Code(m.view.Head), ", which ", Code("bot ledger verify --head"), " checks")...)
	}
	return append(append(text, Line(".")...), m.chainNote()...)
}

// gridRows is how many apps the message itself names; the thread has all.
const gridRows = 10

// worst are the lines to name in the message: what changed for the worse, then what is
// told again, then what was mended.
func (m digestMessage) worst() []audit.Line {
	var all []audit.Line
	for _, g := range m.groups {
		for _, l := range g.Lines {
			if failing(l.Kind) || l.Kind == audit.LineFixed || l.Kind == audit.LineWaived {
				all = append(all, l)
			}
		}
	}
	slices.SortStableFunc(all, worse)
	return all
}

// gridOf is a table of the first lines, and says how many it does not have.
func gridOf(lines []audit.Line, proving *Proving) []Part {
	if len(lines) <= gridRows {
		return []Part{digestGrid(lines, proving)}
	}
	return []Part{digestGrid(lines[:gridRows], proving), Note{Line(fmt.Sprintf("The first %d of %s apps; the details below tell of all.", gridRows, grouped(len(lines))))}}
}

// worse orders lines for a list, the worst first.
func worse(a, b audit.Line) int {
	return cmp.Or(
		cmp.Compare(slices.Index(kinds(), a.Kind), slices.Index(kinds(), b.Kind)),
		cmp.Compare(len(b.Checks), len(a.Checks)),
		strings.Compare(a.Name, b.Name))
}

// kinds are in the order of lists.
func kinds() []audit.LineKind {
	return []audit.LineKind{audit.LineRegressed, audit.LineNew, audit.LineOwner, audit.LineStill, lineNow, audit.LineFixed, audit.LineWaived, audit.LineGone, audit.LineUnread}
}

// lineNow is an app that fails, where there is no night before to compare with.
const lineNow audit.LineKind = ""

// failing says whether lines of the kind are about apps that are not ready.
func failing(k audit.LineKind) bool {
	return slices.Contains([]audit.LineKind{audit.LineRegressed, audit.LineNew, audit.LineOwner, audit.LineStill, lineNow}, k)
}

func digestGrid(lines []audit.Line, proving *Proving) Grid {
	g := Grid{Head: []string{"App", "What", "Adds a month"}}
	if proving.Any() {
		g.Head = append(g.Head, "Proved")
	}
	for _, l := range lines {
		price := Line("–")
		if failing(l.Kind) {
			price = priceText(l.Increase)
		}
		what := strings.Join(titles(l.Checks), ", ")
		if word := kindWord(l); word != "" {
			what = word + ": " + what
		}
		row := []Text{Line(Code(l.Name)), Line(what), price}
		if proving.Any() {
			row = append(row, Line(proving.Word(l.App)))
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// fixes is how many buttons stand below the message: one row, also on a phone.
const fixes = 5

// fixRow opens the plans of the worst apps; it never acts.
func fixRow(lines []audit.Line) []Button {
	var row []Button
	for _, l := range lines {
		if b := fixLine(l); b != nil && len(row) < fixes {
			b.Label = "Fix " + brief(l.Name, 40) + "…"
			row = append(row, *b)
		}
	}
	return row
}

// trendChart is how ready the fleet was from night to night.
func trendChart(points []audit.Point) Chart {
	first, last := points[0], points[len(points)-1]
	c := Chart{
		Title: fmt.Sprintf("Ready apps, the last %d nights", len(points)),
		Alt: fmt.Sprintf("From %s to %s: ready %d → %d, not ready %d → %d, unknown %d → %d.", shortDay(first.Night), shortDay(last.Night),
			first.Ready, last.Ready, first.NotReady, last.NotReady, first.Unknown, last.Unknown),
	}
	ready, notReady, unknown := Series{Name: "ready"}, Series{Name: "not ready"}, Series{Name: "unknown"}
	doubtful, partial := false, false
	for _, p := range points {
		label := shortDay(p.Night)
		if p.Partial {
			label += "*"
		}
		c.Labels = append(c.Labels, label)
		ready.Values = append(ready.Values, float64(p.Ready))
		notReady.Values = append(notReady.Values, float64(p.NotReady))
		unknown.Values = append(unknown.Values, float64(p.Unknown))
		doubtful, partial = doubtful || p.Unknown > 0, partial || p.Partial
	}
	c.Series = []Series{ready, notReady}
	if doubtful {
		c.Series = append(c.Series, unknown)
	}
	if partial {
		c.Title += " (* not complete)"
		c.Alt += " Nights marked * were not read completely."
	}
	return c
}

// doubts are what keeps a scan from being the whole truth, before anything else is said.
func doubts(c audit.Coverage, missed []string) []Item {
	var items []Item
	warn := func(text string) { items = append(items, Item{Mark: MarkHazard, Text: Prose(text)}) }
	if n := c.InScope - c.Judged; n > 0 {
		warn(fmt.Sprintf("This is not the whole fleet: %s of the %s in scope could not be read (%s).", grouped(n), appCount(c.InScope), reasons(c.Unread)))
	}
	const most = 5 // lists; more say nothing new
	for _, gap := range c.Gaps[:min(len(c.Gaps), most)] {
		warn("Apps may be missing: " + uncapital(strings.TrimSuffix(proseSafe(gap), ".")) + ".")
	}
	if more := len(c.Gaps) - most; more > 0 {
		warn(fmt.Sprintf("%d more lists could not be read.", more))
	}
	if len(missed) > 0 {
		var days []string
		for _, id := range missed {
			days = append(days, shortDay(id))
		}
		const named = 7
		if more := len(days) - named; more > 0 {
			days = append([]string{fmt.Sprintf("%d earlier nights", more)}, days[more:]...)
		}
		warn(fmt.Sprintf("No scan ran on %s: I was not running then. This one catches up.", plan.Join(days)))
	}
	return items
}

// zoneOf is the zone that a digest is told in. The policy made sure of its name.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}
