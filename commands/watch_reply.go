package commands

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/watch"
)

// WatchView says how a watch of a deploy is shown.
type WatchView struct {
	Zone *time.Location // in which times of day are told, to the second; nil: UTC
	Now  time.Time
}

func (v WatchView) clock(t time.Time) string { return t.In(v.zone()).Format("15:04:05") }

func (v WatchView) zone() *time.Location {
	if v.Zone == nil {
		return time.UTC
	}
	return v.Zone
}

// How much of a watch is told: the whole of it is in its JSON.
const (
	stripCells  = 30 // of a running one: five minutes
	chartCells  = 20 // of one that has ended: as many as Slack draws
	liveEvents  = 5
	endedEvents = 12
)

// WatchReply is a watch of a deploy as a reply: how it goes while it runs, and the verdict
// with its reasons in the end. One without an ID, as on a terminal, has no buttons.
func WatchReply(w watch.Watch, v WatchView) Reply {
	headline := watchHeadline(w, v)
	title := w.Name + ": " + watchState(w)
	if w.ID != "" {
		title = w.ID + " · " + title
	}
	reply := Reply{
		Summary: w.Name + ": " + headline,
		Parts:   []Part{Heading{title}, Para{headlineText(w, headline)}},
	}
	if w.State == watch.Ended {
		reply.Parts = append(reply.Parts, watchReasons(w, v)...)
		reply.Parts = append(reply.Parts, watchCharts(w)...)
	} else {
		reply.Parts = append(reply.Parts, watchStrip(w, v)...)
	}
	reply.Parts = append(reply.Parts, Facts{watchFacts(w, v)})
	reply.Parts = append(reply.Parts, watchEvents(w, v)...)
	if len(w.NotCovered) > 0 && w.State == watch.Ended {
		var items []Item
		for _, s := range w.NotCovered {
			items = append(items, Item{Text: Prose(s)})
		}
		reply.Parts = append(reply.Parts, Para{Line(Bold("What this does not show:"))}, List{items})
	}
	for _, trouble := range w.Trouble[:min(len(w.Trouble), 3)] {
		reply.Parts = append(reply.Parts, Note{Prose(trouble)})
	}
	note := "Times of day are those of " + v.zone().String() + ". On Heroku nothing is changed by a watch."
	if w.Head != "" {
		note += " The verdict is in the ledger, up to `" + w.Head + "`."
	}
	reply.Parts = append(reply.Parts, Note{Prose(note)})
	if row := watchButtons(w); len(row) > 0 {
		reply.Parts = append(reply.Parts, Buttons{row})
	}
	return reply
}

// watchState is where it stands, in a word or two.
func watchState(w watch.Watch) string {
	release := ""
	if w.Release.Version > 0 {
		release = fmt.Sprintf(" v%d", w.Release.Version)
	}
	switch {
	case w.State == watch.Waiting:
		return "a watch begins"
	case w.State == watch.Running && w.StopBy != "":
		return "watching" + release + " ends now"
	case w.State == watch.Running && release == "":
		return "watching, deploy now"
	case w.State == watch.Running:
		return "watching" + release
	case w.Verdict == watch.Proved:
		return release[1:] + " proved, nobody noticed"
	case w.Verdict == watch.Failed:
		return release[1:] + " failed, visitors noticed"
	case release == "" && w.StopBy != "":
		return "inconclusive, stopped before any release"
	case release == "":
		return "inconclusive, no release was made"
	}
	return release[1:] + " inconclusive"
}

func watchMark(w watch.Watch) Mark {
	switch {
	case w.State == watch.Waiting:
		return MarkTodo
	case w.State == watch.Running:
		return MarkNow
	case w.Verdict == watch.Proved:
		return MarkPass
	case w.Verdict == watch.Failed:
		return MarkFail
	}
	return MarkUnknown
}

// watchHeadline is the whole point in a sentence, without its full stop.
func watchHeadline(w watch.Watch, v WatchView) string {
	switch w.State {
	case watch.Waiting:
		return "begins within seconds, for " + watch.InWords(w.Until.Sub(w.Asked)) + ". Don't deploy yet"
	case watch.Running:
		return liveHeadline(w, v)
	}
	switch w.Verdict {
	case watch.Proved:
		return provedHeadline(w)
	case watch.Failed:
		return failedHeadline(w, v)
	}
	if stoppedEarly(w) {
		return fmt.Sprintf("Stopped after %s, before any release was made", requests(w.Counts))
	}
	if len(w.Reasons) == 0 {
		return "it can't be said whether anybody noticed"
	}
	text := firstSentence(Prose(w.Reasons[0].Text).String())
	if w.Release.Version == 0 {
		return text
	}
	return fmt.Sprintf("It can't be said whether anybody noticed v%d: %s", w.Release.Version, uncapital(text))
}

// stoppedEarly says whether somebody ended a watch before there was a release to judge.
func stoppedEarly(w watch.Watch) bool {
	return w.State == watch.Ended && w.StopBy != "" && w.Cut == "" && w.Release.Version == 0 && !w.Began.IsZero()
}

// headlineText is the headline as the sentence below the heading, where who stopped it can
// be named by a mention.
func headlineText(w watch.Watch, headline string) Text {
	if rest, ok := strings.CutPrefix(headline, "Stopped "); ok && stoppedEarly(w) {
		return Line(Bold("Stopped by "), MentionUser(w.StopBy), " ", Bold(rest), ".")
	}
	return Line(Bold(headline), ".")
}

func liveHeadline(w watch.Watch, v WatchView) string {
	sent := requests(w.Counts)
	if w.StopBy != "" {
		return "Ends now, because it was stopped: " + sent
	}
	left := max(0, w.Until.Sub(v.Now)).Round(time.Second)
	switch {
	case w.Release.Version == 0 && left <= 0:
		return "No release was made: " + sent
	case w.Release.Version == 0:
		return fmt.Sprintf("Deploy now: %s so far, and I watch until %s", sent, v.clock(w.Until))
	case w.Switch.IsZero():
		return fmt.Sprintf("v%d was made at %s and is being handed over: %s so far, until %s", w.Release.Version, v.clock(w.Release.CreatedAt), sent, v.clock(w.Until))
	}
	return fmt.Sprintf("v%d answers since %s: %s so far, until %s", w.Release.Version, v.clock(w.Switch), sent, v.clock(w.Until))
}

// provedHeadline is "Release v118: 2,400 requests over 10 min, none failed, slowest 412 ms,
// hand-over seen at 3:14".
func provedHeadline(w watch.Watch) string {
	text := fmt.Sprintf("Release v%d: %s requests over %s", w.Release.Version, grouped(w.Counts.Sent), watch.InWords(w.Ended.Sub(w.Began)))
	if n := w.Counts.Failed(); n > 0 {
		text += fmt.Sprintf(", none failed in the hand-over (%s at other times)", grouped(n))
	} else {
		text += ", none failed"
	}
	if slowest := w.Latency.Max; slowest > 0 {
		text += ", slowest " + watch.InWords(slowest)
	}
	if !w.Switch.IsZero() {
		text += ", hand-over seen at " + minutes(w.Switch.Sub(w.Began))
	}
	if k := w.Visits; k != nil && k.Kept > 0 {
		text += ", no login lost"
	}
	return text
}

// failedHeadline is "v118 dropped 37 requests between 14:02:11 and 14:02:19: preboot is off".
func failedHeadline(w watch.Watch, v WatchView) string {
	if len(w.Reasons) == 0 {
		return fmt.Sprintf("v%d failed", w.Release.Version)
	}
	why := w.Reasons[0]
	text := firstSentence(Prose(why.Text).String())
	if who, rest, ok := strings.Cut(text, " dropped "); ok {
		n, _, _ := strings.Cut(rest, " ")
		text = fmt.Sprintf("%s dropped %s request%s", who, n, map[bool]string{false: "s"}[n == "1"])
	} else if what, _, ok := strings.Cut(text, " failed within "); ok {
		text = what + " failed"
	}
	return text + v.between(why.From, why.To) + shortCause(why.Check)
}

// between is " between 14:02:11 and 14:02:19", or " at 14:02:11"; empty where it is not told.
func (v WatchView) between(from, to time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return ""
	case from.IsZero():
		return " at " + v.clock(to)
	case to.IsZero() || v.clock(from) == v.clock(to):
		return " at " + v.clock(from)
	}
	return " between " + v.clock(from) + " and " + v.clock(to)
}

// shortCause is a check that fails, as the end of a headline.
func shortCause(check string) string {
	switch check {
	case "preboot":
		return ": preboot is off"
	case "dyno-tier":
		return ": preboot is off, and its dynos can't have it"
	case "web-dynos":
		return ": only one web dyno runs"
	case "session-affinity":
		return ": session affinity is off"
	case "jvm-warmup":
		return ": it is not warmed up before it serves"
	}
	return ""
}

// fixable says whether a plan can make an app pass the check.
func fixable(check string) bool {
	return slices.Contains([]string{"preboot", "dyno-tier", "web-dynos", "session-affinity"}, check)
}

// firstSentence is a text up to its first full stop. Names and versions have none before a space.
func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, ". ")
	return strings.TrimSuffix(text, ".")
}

// requests is how many were sent, and how many failed.
func requests(c watch.Counts) string {
	text := fmt.Sprintf("%s request%s, ", grouped(c.Sent), plural(c.Sent))
	if n := c.Failed(); n > 0 {
		return text + grouped(n) + " failed"
	}
	return text + "none failed"
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// times is how often, of a small number: once, twice, 4 times.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

// minutes is a moment of a watch, counted from its beginning: 3:14.
func minutes(d time.Duration) string {
	s := int(max(0, d).Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// watchReasons are why the verdict is what it is, each tied to its check.
func watchReasons(w watch.Watch, v WatchView) []Part {
	if len(w.Reasons) == 0 {
		return nil
	}
	var items []Item
	told := ""
	for _, r := range w.Reasons {
		item := Item{Mark: watchMark(w), Text: Prose(r.Text)}
		if when := v.between(r.From, r.To); when != "" {
			item.Detail = append(item.Detail, Line(strings.ToUpper(when[1:2])+when[2:]+"."))
		}
		if r.Check != "" && r.Check != told {
			told = r.Check
			item.Detail = append(item.Detail, Line("Check: ", Bold(checkTitle(r.Check)), " (", Code(r.Check), ")"))
		}
		items = append(items, item)
	}
	return []Part{List{items}}
}

// watchSigns are the marks of a strip. Letters differ for every eye and ear.
var watchSigns = []struct {
	mark watch.Mark
	sign byte
	name string
}{
	{watch.MarkGood, '.', "all answered well"},
	{watch.MarkSlow, 's', "well, one slower than 1 s"},
	{watch.MarkOwn, '?', "says nothing of the app"},
	{watch.MarkBad, 'x', "some failed"},
	{watch.MarkDown, 'X', "all failed"},
}

// watchStrip is the last minutes of a running watch, a sign for each ten seconds, and the
// same in a sentence for who does not see it.
func watchStrip(w watch.Watch, v WatchView) []Part {
	cells := w.Strip(stripCells, v.Now)
	cells = slices.DeleteFunc(cells, func(c watch.Cell) bool { return c.At.Add(c.Lasts).Compare(w.Began) <= 0 })
	if n := len(cells); n > 0 && cells[n-1].Due == 0 { // it has just begun
		cells = cells[:n-1]
	}
	if len(cells) == 0 {
		return nil
	}
	signs, below := make([]byte, 0, len(cells)), make([]byte, 0, len(cells))
	seen := map[watch.Mark]bool{}
	good, bad, failed, due := 0, 0, 0, 0
	for _, c := range cells {
		sign := byte('-')
		for _, s := range watchSigns {
			if s.mark == c.Mark {
				sign, seen[c.Mark] = s.sign, true
			}
		}
		signs = append(signs, sign)
		switch {
		case c.Release:
			below = append(below, 'R')
		case c.Switched:
			below = append(below, 'V')
		default:
			below = append(below, ' ')
		}
		switch {
		case c.Bad > 0:
			bad++
			failed, due = failed+c.Bad, due+c.Due
		case c.Mark == watch.MarkGood || c.Mark == watch.MarkSlow:
			good++
		}
	}
	text := string(signs)
	var legend []string
	for _, s := range watchSigns {
		if seen[s.mark] {
			legend = append(legend, string(s.sign)+" "+s.name)
		}
	}
	if marks := strings.TrimRight(string(below), " "); marks != "" {
		text += "\n" + marks
		if strings.Contains(marks, "R") {
			legend = append(legend, "R a release was made")
		}
		if strings.Contains(marks, "V") {
			legend = append(legend, "V the new version answered first")
		}
	}
	alt := fmt.Sprintf("The last %s in steps of %s, the newest last: ", watch.InWords(time.Duration(len(cells))*watch.StripStep), watch.InWords(watch.StripStep))
	switch {
	case bad == 0 && good == len(cells):
		alt += "all answered well."
	case bad == 0:
		alt += fmt.Sprintf("%d of %d answered well, none failed.", good, len(cells))
	default:
		alt += fmt.Sprintf("in %d of %d something failed, %s of %s requests there.", bad, len(cells), grouped(failed), grouped(due))
	}
	return []Part{Pre{text}, Note{Line(alt + " Signs: " + strings.Join(legend, ", ") + ".")}}
}

// watchCharts are the whole of a watch that has ended: what failed, if anything did, and the
// slowest answers. They are two, since one axis can't tell requests and milliseconds.
func watchCharts(w watch.Watch) []Part {
	cells := w.Strip(chartCells, w.Ended)
	if len(cells) < 2 {
		return nil
	}
	var labels []string
	failed, slowest := Series{Name: "failed"}, Series{Name: "slowest answer"}
	worst, slow := 0, 0
	for i, c := range cells {
		labels = append(labels, minutes(c.At.Sub(cells[0].At)))
		failed.Values = append(failed.Values, float64(c.Bad))
		slowest.Values = append(slowest.Values, float64(watch.Milliseconds(c.Slowest)))
		if c.Bad > cells[worst].Bad {
			worst = i
		}
		if c.Slowest > cells[slow].Slowest {
			slow = i
		}
	}
	step := watch.InWords(cells[0].Lasts)
	var parts []Part
	if n := w.Counts.Failed(); n > 0 {
		parts = append(parts, Chart{
			Title: "Failed requests in each " + step, Labels: labels, Series: []Series{failed},
			Alt: fmt.Sprintf("%s of %s requests failed, most of them, %s, in the %s from %s of the watch on.", grouped(n), grouped(w.Counts.Sent), grouped(cells[worst].Bad), step, labels[worst]),
		})
	}
	if cells[slow].Slowest > 0 {
		parts = append(parts, Chart{
			Title: "Slowest good answer in each " + step + ", ms", Labels: labels, Series: []Series{slowest},
			Alt: fmt.Sprintf("The slowest good answer took %s, in the %s from %s of the watch on.", watch.InWords(cells[slow].Slowest), step, labels[slow]),
		})
	}
	return parts
}

// watchFacts are what was asked, what came back, and what that can show.
func watchFacts(w watch.Watch, v WatchView) []Fact {
	var facts []Fact
	fact := func(name string, parts ...any) { facts = append(facts, Fact{name, Line(parts...)}) }
	p := w.Probe
	asked := Line(Code("GET "+w.URL), fmt.Sprintf(", %s a second, to be answered with ", times(p.Rate)), Code(p.Expect), " within "+watch.InWords(p.Timeout))
	if p.Contains != "" {
		asked = append(asked, Line(" and the text ", Code(brief(p.Contains, 80)))...)
	}
	fact("Asked", asked)
	if !w.Began.IsZero() {
		sent := Line(fmt.Sprintf("%s due; of %s", grouped(w.Counts.Due), requests(w.Counts)))
		if w.Counts.Failed() > 0 {
			sent = append(sent, Line(" ("+outcomes(w.Counts)+")")...)
		}
		sent = append(sent, Line(fmt.Sprintf("; %s on connections of their own, %s on ones kept open", grouped(w.Counts.Fresh), grouped(w.Counts.Reused)))...)
		fact("Requests", sent)
	}
	if w.Release.Version > 0 && w.State == watch.Ended {
		fact("In the hand-over", fmt.Sprintf("%s, from %s to %s", requests(w.In), v.clock(w.Window.From), v.clock(w.Window.To)))
	}
	if l := w.Latency; l.Max > 0 {
		fact("Good answers", fmt.Sprintf("half within %s, 95 %% within %s, 99 %% within %s, slowest %s", watch.InWords(l.P50), watch.InWords(l.P95), watch.InWords(l.P99), watch.InWords(l.Max)))
	}
	if gap, lasted, found := w.LongestGap(); found {
		fact("Longest gap", fmt.Sprintf("%s, %s of %s requests failed,%s", watch.InWords(lasted), grouped(gap.Failed()), grouped(gap.Failed()+gap.OK), v.between(gap.From, gap.To)))
	}
	if k := w.Visits; k != nil {
		text := fmt.Sprintf("%d visitors came back %s times, %s still logged in, %s logged out", k.Visitors, grouped(k.Visits), grouped(k.Kept), grouped(k.Lost))
		if k.Failed+k.Unbegun > 0 {
			text += fmt.Sprintf(", %s without a page or a login", grouped(k.Failed+k.Unbegun))
		}
		fact("Logins", text)
	}
	if w.State == watch.Ended && !w.Began.IsZero() {
		text := "each whole outage of " + watch.InWords(w.Smallest) + " or longer"
		if w.Bound < 1 {
			text += fmt.Sprintf("; with 95 %% confidence no more than %s of the hand-over's requests fail", watch.Percent(w.Bound))
		}
		fact("It could have seen", text)
	}
	if !w.Setup.CheckedAt.IsZero() {
		fact("The app", setupText(w.Setup))
	}
	if w.By != "" {
		fact("Asked by", MentionUser(w.By), ", ", At(w.Asked))
	} else if w.ID != "" {
		fact("Asked by", "the policy (", Code("watch.releases"), "), ", At(w.Asked))
	}
	return facts
}

// outcomes are the ways in which requests failed, the most frequent first.
func outcomes(c watch.Counts) string {
	words := map[watch.Outcome]string{
		watch.Connect: "without a connection", watch.TLS: "in the TLS handshake", watch.Timeout: "without an answer in time", watch.Cutoff: "cut off",
		watch.Server: "answered with 5xx", watch.Status: "with another status", watch.Body: "with another text", watch.Circle: "redirected in a circle",
	}
	var said []string
	for _, o := range slices.SortedFunc(maps.Keys(c.Bad), func(a, b watch.Outcome) int {
		return cmp.Or(cmp.Compare(c.Bad[b], c.Bad[a]), strings.Compare(string(a), string(b)))
	}) {
		said = append(said, grouped(c.Bad[o])+" "+cmp.Or(words[o], string(o)))
	}
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(c.Codes)) {
		codes = append(codes, fmt.Sprintf("%s %s", code, grouped(c.Codes[code])))
	}
	text := strings.Join(said, ", ")
	if len(codes) > 0 {
		text += "; Heroku's pages: " + strings.Join(codes, ", ")
	}
	return text
}

// setupText is what decides how a release is handed over.
func setupText(s watch.Setup) string {
	switched := func(name string, on, known bool) string {
		switch {
		case !known:
			return name + " not known"
		case on:
			return name + " on"
		}
		return name + " off"
	}
	var said []string
	if s.InSpace {
		said = append(said, "in a space, whose dynos are replaced some at a time")
	} else {
		on, known := s.Preboot.Get()
		said = append(said, switched("preboot", on, known))
		on, known = s.Affinity.Get()
		said = append(said, switched("session affinity", on, known))
	}
	if n, known := s.Web.Get(); known {
		said = append(said, strings.TrimSpace(s.Size+" web dyno"+plural(n)+" "+strconv.Itoa(n)))
	}
	return strings.Join(said, ", ")
}

// watchEvents are the time line: all that is rare, and of what the dynos did what there is
// room for.
func watchEvents(w watch.Watch, v WatchView) []Part {
	room := liveEvents
	if w.State == watch.Ended {
		room = endedEvents
	}
	events := slices.Clone(w.Events)
	left := 0
	for len(events) > room {
		i := slices.IndexFunc(events, func(e watch.Event) bool { return e.Kind == watch.EventDyno })
		events = slices.Delete(events, max(i, 0), max(i, 0)+1)
		left++
	}
	if len(events) == 0 {
		return nil
	}
	var items []Item
	for _, e := range events {
		items = append(items, Item{Text: Line(Code(v.clock(e.At)), " "+e.Text)})
	}
	parts := []Part{Para{Line(Bold("What happened meanwhile:"))}, List{items}}
	if left > 0 {
		parts = append(parts, Note{Line(fmt.Sprintf("%d more, most of them dynos that came and went, are in the watch's JSON.", left))})
	}
	return parts
}

// watchButtons are what can be done about it.
func watchButtons(w watch.Watch) []Button {
	switch {
	case w.ID == "":
		return nil
	case w.State != watch.Ended && w.StopBy != "":
		return nil
	case w.State != watch.Ended:
		return []Button{stopWatch(w)}
	}
	var row []Button
	if w.Verdict == watch.Failed && (slices.ContainsFunc(w.Reasons, func(r watch.Reason) bool { return fixable(r.Check) }) || slices.ContainsFunc(w.Setup.Failing, fixable)) {
		row = append(row, Button{Label: "Enable…", Run: "enable " + string(w.App), Primary: true})
	}
	return append(row, Button{Label: "Watch again", Run: "watch " + string(w.App)}, Button{Label: "Status", Run: "status " + string(w.App)})
}
