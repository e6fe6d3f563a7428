package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// How much of each thing is on a page: it is read at a glance, and Slack shows a hundred
// blocks. A command or a button leads to the rest.
const (
	homeCards   = 3 // tickets and waivers to decide on that are told whole
	homeMore    = 6 // those that are told in a line
	homeLines   = 8 // the person's own tickets
	homeOwn     = 20
	homeChanges = 6
)

// homePage is a page while it is made.
type homePage struct {
	req    HomeRequest
	facts  homeFacts
	fleet  homeFleet
	mine   []audit.Standing
	unread int // user groups that may own apps of theirs
	rights rights
	deps   Deps
}

func (p homePage) policy() policy.Policy { return p.deps.Policies.Policy() }

func (p homePage) dates() dates { return dates{p.policy().Nightly.Location(), p.req.Now} }

// home is the page: what waits for the person first, how to start last.
func (p homePage) home() Home {
	var h Home
	own := func(parts ...Part) { h.add(true, parts) }
	own(p.warnings()...)
	if p.away() {
		h.add(false, p.start())
		return h
	}
	decide, rest := p.toDecide()
	under := p.underWay(rest)
	own(decide...)
	own(under...)
	switch {
	case p.rights.unread && !p.rights.approver && len(p.facts.tickets)+len(p.facts.waivers) > 0:
		own(Para{Line("Whether something waits for your decision I can't tell just now: I could not read who is in the policy's user groups. ", Code("/zdd pending"), " lists all that waits.")})
	case len(decide)+len(under) == 0 && p.facts.errs[homeTickets] == nil && p.facts.errs[homeWaivers] == nil:
		own(Para{Line("Nothing waits for you, and nothing of yours is under way.")})
	}
	h.add(false, p.theFleet())
	own(p.yourApps()...)
	h.add(false, p.changes())
	own(p.may()...)
	h.add(false, p.start())
	return h
}

func (h *Home) add(own bool, parts []Part) {
	if len(parts) > 0 {
		h.Sections = append(h.Sections, HomeSection{own, parts})
	}
}

// away says whether nothing of the database could be read.
func (p homePage) away() bool {
	return p.facts.errs[homeTickets] != nil && p.facts.errs[homeNights] != nil && p.facts.errs[homeLedger] != nil
}

// warnings are what keeps the page from being all, and the bot from doing what it is for.
func (p homePage) warnings() []Part {
	var items []Item
	warn := func(text Text) { items = append(items, Item{Mark: MarkHazard, Text: text}) }
	if why := strings.TrimSuffix(p.deps.ReadOnly, " Nothing was changed."); why != "" {
		warn(Prose(why))
	}
	var missing []string
	for _, part := range []homePart{homeTickets, homeWaivers, homeNights, homeLedger} {
		if p.facts.errs[part] != nil {
			missing = append(missing, string(part))
		}
	}
	switch {
	case p.away():
		warn(Line("My database does not answer just now, so this page can't show tickets, the fleet and what was changed. Nothing is lost by that: ", Code("/zdd status <app>"), " works all the same, and this page is whole again within a minute of its return."))
	case p.fleet.err != nil:
		missing = append(missing, string(homeOwned))
		fallthrough
	case len(missing) > 0:
		warn(Line("My database did not answer about everything just now: here is no word on " + plan.Join(missing) + ", which does not mean that there is nothing."))
	}
	if len(items) == 0 {
		return nil
	}
	return []Part{List{items}}
}

// awaits says whether a ticket waits for the person's decision.
func (p homePage) awaits(t approval.Ticket) bool {
	me := p.req.By.ID
	switch {
	case t.State != approval.Pending || t.Approvals == 0 || t.Of != "":
		return false
	case slices.ContainsFunc(t.Votes, func(v approval.Vote) bool { return v.User == me }):
		return false
	case t.Requester == me:
		return ownVoice(t, ForRequester)
	}
	return p.rights.approver
}

// awaitsWaiver is the same of a waiver.
func (p homePage) awaitsWaiver(w policy.Waiver) bool {
	me := p.req.By.ID
	if slices.ContainsFunc(w.Votes, func(v policy.WaiverVote) bool { return v.User == me }) {
		return false
	}
	return p.rights.approver && (w.By != me || p.policy().Approval.SelfApproval)
}

// toDecide is what waits for the person's decision, the oldest first, and what of all that
// is open does not.
func (p homePage) toDecide() (parts []Part, rest []approval.Ticket) {
	var cards []Part
	var lines []Item
	n, shown := 0, 0
	add := func(card []Part, line Item) {
		n++
		switch {
		case shown < homeCards:
			shown++
			cards = append(cards, card...)
		case len(lines) < homeMore:
			lines = append(lines, line)
		}
	}
	for _, t := range p.facts.tickets {
		if p.awaits(t) {
			add(p.card(t), p.line(t))
		} else {
			rest = append(rest, t)
		}
	}
	for _, w := range p.facts.waivers {
		if p.awaitsWaiver(w) {
			view := WaiverView{To: ForApprovers, Policy: p.policy()}
			if w.By == p.req.By.ID {
				view.To = ForRequester
			}
			item := waiverItem(w, view)
			row := slices.DeleteFunc(waiverButtons(w, view), func(b Button) bool { return b.Label == "Cancel" || b.Label == "Status" })
			line := item
			line.Button = &Button{Label: "Details", Run: "show " + w.ID}
			add([]Part{List{[]Item{item}}, Buttons{append(row, *line.Button)}}, line)
		}
	}
	if n == 0 {
		return nil, rest
	}
	title := "Waits for your decision"
	if n > 1 {
		title = fmt.Sprintf("%d wait for your decision", n)
	}
	parts = append([]Part{Heading{title}}, cards...)
	if len(lines) > 0 {
		parts = append(parts, List{lines})
	}
	if more := n - shown - len(lines); more > 0 {
		parts = append(parts, Note{Line(fmt.Sprintf("And %d more. ", more), Code("/zdd pending"), " lists all.")})
	}
	return parts, rest
}

// card is a ticket with all that a decision needs, and the buttons for it.
func (p homePage) card(t approval.Ticket) []Part {
	to := ForApprovers
	if t.Requester == p.req.By.ID {
		to = ForRequester
	}
	text := Line(Bold(t.ID), " · ", Code(wishLine(t)), " · asked by ", MentionUser(t.Requester), " ", At(t.CreatedAt))
	if !t.Batch() {
		text = append(text, Line("\n"+stepsInShort(t.Plan))...)
	}
	parts := []Part{Para{append(append(text, Line("\n")...), costLine(t)...)}}
	if items := careful(t); len(items) > 0 {
		parts = append(parts, List{items})
	}
	parts = append(parts, Note{Line("Expires ", At(t.ExpiresAt), fmt.Sprintf(" · %d of %d approvals", len(t.Votes), t.Approvals))})
	row := slices.DeleteFunc(decisionButtons(t, to), func(b Button) bool { return b.Label == "Cancel" })
	if to == ForRequester {
		row = append(row, Button{Label: "Details", Run: "show " + t.ID})
	}
	return append(parts, Buttons{row})
}

// careful is what is risky about a ticket, or the apps of a batch, each with what is. What
// does not fit beside other tickets is told by its details.
func careful(t approval.Ticket) []Item {
	if t.Batch() {
		return partItems(t, tellTitles)
	}
	var items []Item
	size := 0
	for _, hazard := range t.Plan.Hazards {
		item := Item{Mark: MarkHazard, Text: Prose(hazard.Text)}
		if size += itemSize(item); size > 2000 {
			return append(items, Item{Mark: MarkHazard, Text: Line("There is more to be careful about: Details tell it.")})
		}
		items = append(items, item)
	}
	for _, why := range t.Plan.Why {
		items = append(items, Item{Mark: MarkAdvice, Text: append(Line("Left to you: "), Prose(brief(why, 400))...)})
	}
	return items
}

// costLine is what a ticket costs, in a line.
func costLine(t approval.Ticket) Text {
	var text Text
	for i, fact := range costFacts(t) {
		if i > 0 {
			text = append(text, Line("; "+strings.ToLower(fact.Name)+" ")...)
		} else {
			text = append(text, Line(fact.Name+": ")...)
		}
		text = append(text, fact.Value...)
	}
	return text
}

// line is a ticket in a line, with the way to all of it.
func (p homePage) line(t approval.Ticket) Item {
	item := Item{Mark: MarkTodo, Text: Line(Bold(t.ID), " · ", Code(wishLine(t)), " · "+stateWord(t)), Button: &Button{Label: "Details", Run: "show " + t.ID}}
	switch t.State {
	case approval.Running:
		item.Mark = MarkNow
		if t.Waiting != "" {
			item.Detail = []Text{Prose(brief(t.Waiting, 300))}
		}
	case approval.Approved:
		item.Mark = MarkNow
	case approval.Pending:
		item.Text = append(item.Text, Line(" · "+needs(t))...)
		item.Detail = []Text{Line("Expires ", At(t.ExpiresAt))}
	}
	if t.Requester != p.req.By.ID {
		item.Text = append(item.Text, Line(" · asked by ", MentionUser(t.Requester))...)
	}
	return item
}

// underWay is what the person asked for and is not over.
func (p homePage) underWay(tickets []approval.Ticket) []Part {
	var items []Item
	n := 0
	add := func(item Item) {
		if n++; len(items) < homeLines {
			items = append(items, item)
		}
	}
	for _, t := range slices.Backward(tickets) { // the newest first
		me := p.req.By.ID
		if t.Of == "" && (t.Requester == me || t.Resumer == me) {
			add(p.line(t))
		}
	}
	for _, w := range p.facts.waivers {
		if w.By == p.req.By.ID && !p.awaitsWaiver(w) {
			item := waiverItem(w, WaiverView{To: ForRequester, Policy: p.policy()})
			item.Button = &Button{Label: "Details", Run: "show " + w.ID}
			add(item)
		}
	}
	if n == 0 {
		return nil
	}
	parts := []Part{Heading{"You asked for"}, List{items}}
	if more := n - len(items); more > 0 {
		parts = append(parts, Note{Line(fmt.Sprintf("And %d more. ", more), Code("/zdd pending"), " lists all.")})
	}
	return parts
}

// theFleet is how all apps stand, and stood.
func (p homePage) theFleet() []Part {
	if p.deps.Nights == nil || p.facts.errs[homeNights] != nil {
		return nil
	}
	d := p.dates()
	g := glancer{policies: p.deps.Policies, nights: p.deps.Nights, next: p.deps.NextNight}
	facts := g.schedule(d)
	if !p.facts.under.IsZero() {
		facts = slices.Insert(facts, 0, Fact{"Under way", Line("a scan, since ", At(p.facts.under))})
	}
	last := p.facts.night
	if last.ID == "" {
		text := Line("No scan of the fleet has ended yet, so there is nothing to tell of all apps. Of one app I can: ", Code("/zdd status <app>"), ".")
		return []Part{Heading{"The fleet: not read yet"}, Para{text}, Facts{facts}, Buttons{[]Button{{Label: "Ask about an app…", Form: &FormCall{Name: FormStart}}, {Label: "Read the fleet now", Run: "report"}}}}
	}
	parts := []Part{Heading{"The fleet: " + readyOf(last.Counts)}}
	warnings := doubts(last.Coverage, nil)
	if p.req.Now.After(audit.StaleAt(last)) {
		old := Line(Bold("The last scan is too long ago"), ", and the one after it should have ended by now: what follows may not hold any more. ", Code("bot doctor"), " finds out why.")
		warnings = slices.Insert(warnings, 0, Item{Mark: MarkHazard, Text: old})
	}
	if len(warnings) > 0 {
		parts = append(parts, List{warnings})
	}
	news := standingNow(last.Counts, "")
	if last.Digest != nil && !last.Digest.Baseline { // of the first there is nothing to compare with
		news = digestMessage{Digest: *last.Digest, dates: d}.news()
	}
	parts = append(parts, Para{append(news, p.sinceThen()...)})
	if last.Digest != nil && len(last.Digest.Trend) > 1 {
		parts = append(parts, trendChart(last.Digest.Trend))
	}
	all := slices.Concat(costFact(last.Counts), waivedFact(last.Counts), p.fleet.proving.fact(), coverageFact(last.Coverage, last.Counts), []Fact{{"Read", Line(At(last.Finished))}}, facts)
	return append(parts, Facts{all}, Buttons{[]Button{{Label: "Ask about an app…", Form: &FormCall{Name: FormStart}}, {Label: "The worst apps", Run: "status"}, {Label: "Read the fleet now", Run: "report"}}})
}

// sinceThen is what the looks between the nights, and tickets, have changed since the scan.
func (p homePage) sinceThen() Text {
	var said []string
	if n := p.fleet.drifted; n > 0 {
		said = append(said, isAre(n)+" ready no more")
	}
	if n := p.fleet.mended; n > 0 {
		said = append(said, isAre(n)+" ready by now")
	}
	if len(said) == 0 {
		return nil
	}
	return Line(" After that scan: ", Bold(strings.Join(said, ", ")), ".")
}

// yourApps are the apps that the person, or a group of theirs, owns by the policy: the worst
// first.
func (p homePage) yourApps() []Part {
	if p.deps.Nights == nil || p.fleet.err != nil || p.facts.errs[homeNights] != nil || p.facts.night.ID == "" {
		return nil // nothing was read yet, or just now
	}
	var bad, unknown, ready, nothing []audit.Line
	d := p.dates()
	for _, s := range p.mine {
		switch ok, known := readySince(s); {
		case known && ok:
			ready = append(ready, lineOf(s))
		case known:
			bad = append(bad, driftedLine(s))
		case s.Verdict == audit.VerdictNotReady:
			bad = append(bad, lineOf(s))
		case s.Verdict == audit.VerdictReady:
			ready = append(ready, lineOf(s))
		case s.Verdict == audit.VerdictNotApplicable:
			nothing = append(nothing, lineOf(s))
		default:
			unknown = append(unknown, audit.Line{App: s.App, Name: s.Name, Kind: audit.LineUnread, Why: whyUnknown(s), ReadAt: s.ReadAt})
		}
	}
	judged := len(bad) + len(unknown) + len(ready)
	if len(p.mine) == 0 {
		return p.noApps()
	}
	slices.SortStableFunc(bad, worse)
	for _, list := range [][]audit.Line{unknown, ready, nothing} {
		slices.SortFunc(list, func(a, b audit.Line) int { return cmp.Compare(a.Name, b.Name) })
	}
	title := fmt.Sprintf("Your apps: %d of %d ready", len(ready), judged)
	if judged == 0 {
		title = "Your apps: none has web traffic"
	}
	room := homeOwn
	cut := func(list []audit.Line) []audit.Line {
		list = list[:min(len(list), room)]
		room -= len(list)
		return list
	}
	var items []Item
	for _, l := range cut(bad) {
		item := lineItem(l, d)
		item.Detail = append(item.Detail, p.fleet.proving.detail(l.App, At)...) // an age would make the page another each minute
		items = append(items, item)
	}
	if item, ok := fixAll(bad); ok {
		items = append(items, item)
	}
	items = append(items, alike(cut(unknown), MarkUnknown, func(l audit.Line) string {
		return "could not be judged: " + cmp.Or(brief(l.Why, 120), "no reason was told")
	})...)
	items = append(items, alike(cut(ready), MarkPass, p.readyWord)...)
	items = append(items, alike(cut(nothing), MarkNone, func(audit.Line) string { return "no web traffic to protect" })...)
	parts := []Part{Heading{title}, List{items}}
	if more := len(p.mine) - (homeOwn - room); more > 0 {
		parts = append(parts, Note{Line(fmt.Sprintf("And %d more apps of yours, which stand no worse. ", more), Code("/zdd report"), " lists every app by owner.")})
	}
	if p.unread > 0 {
		parts = append(parts, Note{Line("There may be more: I don't know yet who is in " + count(p.unread, "user group") + " that the policy names as owners.")})
	}
	return parts
}

// proof is the last verdict on an app's deploys; watched is false where there is none.
func (p homePage) proof(app fleet.ID) (proof watch.Proof, watched bool) {
	if p.fleet.proving == nil {
		return watch.Proof{}, false
	}
	proof, watched = p.fleet.proving.Of[app]
	return proof, watched
}

// readyWord is a ready app in a few words: by its settings, and by its last watched deploy.
func (p homePage) readyWord(l audit.Line) string {
	switch proof, watched := p.proof(l.App); {
	case !watched && p.fleet.proving.Any():
		return "ready, never watched"
	case !watched:
		return "ready"
	case proof.Verdict == watch.Proved:
		return "ready, and proved by the last watched deploy"
	case proof.Verdict == watch.Failed:
		return failedWord
	}
	return "ready, and the last watch was inconclusive"
}

// driftedLine is an app that was ready in the last scan and is not any more.
func driftedLine(s audit.Standing) audit.Line {
	l := lineOf(s)
	l.Kind, l.Days = audit.LineRegressed, 0
	l.Checks, l.Evidence = nil, nil
	for _, drift := range s.Watch.Drifts {
		l.Checks = append(l.Checks, drift.Check)
		l.Evidence = append(l.Evidence, cmp.Or(drift.Evidence, titles([]string{drift.Check})[0]+" fails"))
		if l.After.IsZero() || drift.After.Before(l.After) {
			l.After = drift.After
		}
	}
	l.Fight = s.Watch.Fight
	l.Increase = fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotTold, Text: "the look that found this kept no price; the plan tells it"})
	if r := s.Watch.Remedy; r != nil {
		l.Increase, l.Size, l.Yours = r.Increase, r.Size, r.Yours
	}
	return l
}

// noApps says how apps get an owner, to those whom the policy gives none.
func (p homePage) noApps() []Part {
	if p.unread > 0 {
		return []Part{Note{Line("I don't know yet whether apps are yours: I could not read who is in " + count(p.unread, "user group") + " that the policy names as owners.")}}
	}
	return []Part{Note{Line("No app is yours by the policy. Its ", Code("apps"), " name owners, such as ", Code("shop: { owner: "+p.req.By.ID+" }"), "; then the app stands here.")}}
}

// changes are the last things that people and the bot did.
func (p homePage) changes() []Part {
	if p.deps.Ledger == nil || p.facts.errs[homeLedger] != nil {
		return nil
	}
	quiet := []string{ledger.StepIntended, ledger.Begun, ledger.Rechecked, ledger.Refused, ledger.Reported}
	var items []Item
	for _, e := range p.facts.entries {
		if !slices.Contains(quiet, e.Verb) && len(items) < homeChanges {
			items = append(items, Item{Text: entryText(e)})
		}
	}
	if len(items) == 0 {
		return nil
	}
	return []Part{Heading{"Recent changes"}, List{items}, Buttons{[]Button{{Label: "History", Run: "history"}}}}
}

// may is what the person may do, and what to paste so that they may more.
func (p homePage) may() []Part {
	said := func(may bool, key string) Text {
		switch {
		case may:
			return Line("yes")
		case p.rights.unread:
			return Line("not known: I could not read who is in the policy's user groups just now")
		}
		return Line("no: ", Code(key), " does not name you")
	}
	people := p.policy().People
	parts := []Part{Heading{"What you may do"}, Facts{[]Fact{
		{"Look at apps", Line("yes")},
		{"Ask for changes", said(p.rights.operator, "people.operators")},
		{"Approve what others ask for", said(p.rights.approver, "people.approvers")},
	}}}
	if p.rights.unread || p.rights.operator && p.rights.approver {
		return parts
	}
	paste := "people:"
	add := func(has bool, key string, ids []string, what string) {
		if !has {
			paste += fmt.Sprintf("\n  %s: [%s] # %s", key, strings.Join(append(slices.Clone(ids), p.req.By.ID), ", "), what)
		}
	}
	add(p.rights.operator, "operators", people.Operators, "ask for changes")
	add(p.rights.approver, "approvers", people.Approvers, "approve what costs money")
	if len(paste) > 1500 { // a long list of people: the lines to change are found by their keys
		return append(parts, Note{Line("Whoever keeps the policy file can add ", Code(p.req.By.ID), " to ", Code("people.operators"), " or ", Code("people.approvers"), ".")})
	}
	return append(parts, Para{Line("Whoever keeps the policy file can change that; of these lines, those that are meant:")}, Pre{paste})
}

// start is for who sees the bot for the first time.
func (p homePage) start() []Part {
	return []Part{
		Heading{"How to start"},
		List{[]Item{
			{Text: Line(Code("/zdd status shop"), " says whether the deploys of an app are zero-downtime, and why not")},
			{Text: Line(Code("/zdd enable shop"), " plans what makes them so, and asks before anything is changed")},
			{Text: Line(Code("/zdd help"), " lists the rest; the same words work after ", Code("@zdd"), " in a channel and in a direct message to me")},
		}},
		Buttons{[]Button{{Label: "Ask about an app…", Form: &FormCall{Name: FormStart}}, {Label: "Help", Run: "help"}}},
	}
}
