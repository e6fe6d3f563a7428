package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Scan is what of a night the comparison of an app has to know.
type Scan struct {
	Night    string
	Baseline bool
	// Since is when the scan before this one began, of those that ended. An app that is
	// older and was never seen was out of sight or of scope until now: that it fails is no
	// news to anybody. Zero: there is none.
	Since time.Time
	Zone  *time.Location // days between two reads are counted in its dates
}

// Reading is one app as a scan read and judged it.
type Reading struct {
	Report Report
	Rules  policy.Rules
	Unread fleet.Reason // see Standing
}

// Compare holds an app against how it stood before; the zero Standing: it was never
// seen. The turns are those of checks that were known before to come out otherwise.
//
// What can't be told tonight is no change: it is held against the last time that it
// could, whenever that was.
func Compare(before Standing, r Reading, scan Scan) (Standing, []Turn) {
	app, at := r.Report.App, stamp(r.Report.App.ReadAt)
	seen := before.App != ""
	if !before.Gone.IsZero() {
		before = returned(before)
	}
	if scan.Baseline && before.Night != scan.Night { // it was only looked at quietly
		before = untold(before)
	}
	s := Standing{
		App: app.ID, Name: app.Name, Team: app.Team, Stage: stageOf(app), Owner: r.Rules.Owner, Channel: r.Rules.Channel,
		Verdict: r.Report.Verdict, Unread: r.Unread, ReadAt: at, Night: scan.Night,
		Increase: increase(r.Report), Size: sizeFor(r.Report), Yours: yours(r.Report),
		Rules: asked(r.Rules), Watch: before.Watch,
	}
	if seen && pipelineAway(app) {
		// Which entry of the policy names the owner may hang on the pipeline: nobody is told
		// of apps as newly theirs because a list could not be read.
		s.Stage, s.Owner, s.Channel = before.Stage, before.Owner, before.Channel
	}
	var turns []Turn
	var ending []Waiving
	known := before
	before = before.withLooks(r.Report.Findings)
	for _, f := range r.Report.Findings {
		was, since := known.last(f.Check)
		m := before.mark(f.Check).next(f, at)
		if !m.Waived.IsZero() && m.Waiver.counts(before.mark(f.Check).Waiver, f.Waived, scan.Zone, at) {
			ending = append(ending, m.Waiver)
		}
		if d, drifted := known.drift(f.Check); drifted && m.Fails() {
			m.Since, m.Failing = d.At, d.At
			if d.Told {
				m.Told = d.Owner
			}
		}
		s.Marks = append(s.Marks, m)
		if m.Outcome == Unknown || m.Outcome == was || !seen || was == "" && before.Fresh {
			continue
		}
		turns = append(turns, Turn{
			App: s.App, Name: s.Name, Check: m.Check, From: was, To: m.Outcome, Required: m.Required && m.Waived.IsZero(),
			Evidence: m.Evidence, After: since, Before: at, Night: scan.Night,
		})
	}
	switch s.Verdict {
	case VerdictNotReady:
		s.Failing = true
	case VerdictUnknown:
		s.Failing = before.Failing
	}
	old := !app.CreatedAt.IsZero() && app.CreatedAt.Before(scan.Since)
	first := before.Fresh || !seen && (scan.Baseline || old)
	s.Fresh = s.Unread != (fleet.Reason{}) && first
	s.tell(before, first || scan.Baseline, scan)
	if len(ending) > 0 {
		s.News.Night, s.News.Ending = scan.Night, ending
	}
	return s, turns
}

// tell decides what the digest says of the app. first: it is looked at for the first time,
// which is not when it began to fail, and is news to nobody.
func (s *Standing) tell(before Standing, first bool, scan Scan) {
	n := News{Night: scan.Night}
	var began, ended, fails []Mark // as they were before
	regressed, never, owner, again := false, false, false, false
	for _, m := range s.Marks {
		was := before.mark(m.Check)
		was.Check = m.Check
		switch {
		case m.Fails() && was.Failing.IsZero() && was.Waiver.ID != "":
			began, n.Waivers, never = append(began, was), append(n.Waivers, was.Waiver), true
		case m.Fails() && was.Failing.IsZero():
			began = append(began, was)
			regressed, never = regressed || was.Passed, never || !was.Passed
		case m.Failing.IsZero() && !was.Failing.IsZero():
			ended = append(ended, was)
		}
		if m.Fails() {
			fails = append(fails, was)
			age := days(m.Failing, s.ReadAt, scan.Zone)
			n.Days = max(n.Days, age)
			again = again || !was.KnownAt.IsZero() && relisted(days(m.Failing, was.KnownAt, scan.Zone), age)
			owner = owner || s.Owner != "" && m.Told != s.Owner
		}
	}
	switch {
	case never:
		n.about(LineNew, began)
		n.Why = lapsed(n.Waivers, began, s.ReadAt)
	case regressed:
		n.about(LineRegressed, began)
	case s.Unread != (fleet.Reason{}):
		n.about(LineUnread, nil)
		n.Why = s.Unread.Text
	case before.Failing && !s.Failing && len(s.waived(ended)) > 0:
		ended = s.waived(ended)
		n.about(LineWaived, ended)
		for _, was := range ended {
			n.Waivers = append(n.Waivers, s.mark(was.Check).Waiver)
		}
	case before.Failing && !s.Failing:
		if len(ended) == 0 { // it ended on a night on which something else could not be read
			ended = s.good()
		}
		n.about(LineFixed, ended)
	case owner:
		n.about(LineOwner, fails)
	case len(fails) > 0 && again:
		n.about(LineStill, fails)
	default:
		return
	}
	if n.Kind != LineStill {
		n.Days = 0
	}
	if n.Kind != LineRegressed && n.Kind != LineFixed {
		n.After = time.Time{}
	}
	n.First = first && n.Kind == LineNew && !scan.Baseline
	if before.App != "" && before.Name != s.Name {
		n.Was = before.Name
	}
	if before.App != "" && before.Team != s.Team {
		n.From = cmp.Or(before.Team, "-")
	}
	if n.Kind == LineRegressed {
		n.Since = before.toldSince(n.Checks)
	}
	if s.Owner != "" && (n.Kind == LineNew || n.Kind == LineRegressed || n.Kind == LineOwner) {
		// Who was told of it between the nights is not rung for it again.
		n.Mention = !first && slices.ContainsFunc(s.Marks, func(m Mark) bool { return m.Fails() && m.Told != s.Owner })
		for i := range s.Marks {
			if s.Marks[i].Fails() {
				s.Marks[i].Told = s.Owner
			}
		}
	}
	s.News = n
}

// about says which marks, as they were, the news is about.
func (n *News) about(kind LineKind, marks []Mark) {
	n.Kind = kind
	for _, was := range marks {
		n.Checks = append(n.Checks, was.Check)
		if was.KnownAt.After(n.After) {
			n.After = was.KnownAt
		}
	}
}

// good are the marks that count for the app.
func (s *Standing) good() (marks []Mark) {
	for _, m := range s.Marks {
		if m.Required && m.Outcome == Pass {
			marks = append(marks, Mark{Check: m.Check})
		}
	}
	return marks
}

// waived are those of the marks that have ended because they are waived now; where none
// is told to have ended, as after a night on which it could not be told, all that are.
func (s *Standing) waived(ended []Mark) (marks []Mark) {
	for _, m := range s.Marks {
		was := slices.IndexFunc(ended, func(was Mark) bool { return was.Check == m.Check })
		switch {
		case m.Waived.IsZero():
		case was >= 0:
			marks = append(marks, ended[was])
		case len(ended) == 0:
			marks = append(marks, Mark{Check: m.Check})
		}
	}
	return marks
}

// lapsed says why what began to count is nothing new: it was waived. Empty: it was not.
func lapsed(waivers []Waiving, began []Mark, at time.Time) string {
	var words []string
	for _, w := range waivers {
		of := "its waiver " + w.ID
		if len(began) > 1 {
			of = fmt.Sprintf("its waiver %s of %s", w.ID, w.Check)
		}
		if at.Before(w.Until) {
			words = append(words, of+" was ended before its time")
		} else {
			words = append(words, of+" has run out")
		}
	}
	return strings.Join(words, ", ")
}

// counts notes how many days a waiver has left, and says whether that is to be told: it
// was was, when it was last looked at.
func (w *Waiving) counts(was Waiving, of *policy.Waiver, zone *time.Location, at time.Time) bool {
	before := was.Left
	if was.ID != of.ID {
		before = of.DaysLeft(of.From, zone)
	}
	w.Left = of.DaysLeft(at, zone)
	return slices.ContainsFunc([]int{7, 3, 1}, func(day int) bool { return w.Left <= day && day < before })
}

// Lost is how an app stands that was in scope before and is in no list tonight, where it
// may only be missing because a list could not be read.
func Lost(before Standing, why fleet.Reason, at time.Time, scan Scan) Standing {
	s, at := before, stamp(at)
	s.Verdict, s.Unread, s.ReadAt, s.Night = VerdictUnknown, why, at, scan.Night
	s.Increase = notJudged()
	s.Size, s.Yours, s.News = "", "", News{}
	s.Marks = slices.Clone(s.Marks)
	for i, m := range s.Marks {
		f := unread("the app", why)
		f.Check, f.Required = m.Check, m.Required
		s.Marks[i] = m.next(f, at)
	}
	s.tell(before, false, scan)
	return s
}

// Left is how an app stands that is no longer in scope, or no more there. It is listed
// where it was failing, and else counted.
func Left(before Standing, why string, at time.Time, scan Scan) Standing {
	s := before
	s.Gone, s.News = stamp(at), News{Night: scan.Night}
	if s.Failing {
		s.News.Kind, s.News.Why = LineGone, why
	}
	return s
}

// returned is a standing as it is compared with once its app is back: what was told as
// gone is told anew, and what was known stays so.
func returned(s Standing) Standing {
	s = untold(s)
	s.Gone, s.Fresh, s.Watch = time.Time{}, false, Watch{}
	return s
}

// untold is a standing as it is compared with where nobody was told how it is: what fails is
// listed as on a first night.
func untold(s Standing) Standing {
	s.Failing, s.Marks = false, slices.Clone(s.Marks)
	for i := range s.Marks {
		s.Marks[i].Failing, s.Marks[i].Told = time.Time{}, ""
	}
	return s
}

// withLooks is a standing as an app is compared with whose checks come out so: what looks
// since found to be well began to fail after them.
func (s Standing) withLooks(findings []Finding) Standing {
	s.Marks = slices.Clone(s.Marks)
	for i := range s.Marks {
		m := &s.Marks[i]
		was, at := s.last(m.Check)
		d, drifted := s.drift(m.Check)
		if drifted {
			at = d.After
		}
		fails := slices.ContainsFunc(findings, func(f Finding) bool { return f.Check == m.Check && f.Outcome == Fail })
		if at.After(m.KnownAt) && fails && (drifted || was != Fail) {
			m.KnownAt, m.Failing, m.Told, m.Passed = at, time.Time{}, "", m.Passed || was == Pass || drifted
		}
	}
	return s
}

// toldSince is when a look found what is told of again tonight; zero: not all of it was
// told then.
func (s *Standing) toldSince(checks []string) (since time.Time) {
	for _, check := range checks {
		d, drifted := s.drift(check)
		if !drifted || !d.Told {
			return time.Time{}
		}
		if since.IsZero() || d.At.Before(since) {
			since = d.At
		}
	}
	return since
}

// mark is that of a check; the zero Mark where there is none yet.
func (s *Standing) mark(check string) Mark {
	i := slices.IndexFunc(s.Marks, func(m Mark) bool { return m.Check == check })
	if i < 0 {
		return Mark{}
	}
	return s.Marks[i]
}

// next is the mark after a finding.
func (m Mark) next(f Finding, at time.Time) Mark {
	if m.Outcome != f.Outcome {
		m.Outcome, m.Since = f.Outcome, at
	}
	m.Check, m.Required, m.Evidence, m.Waived = f.Check, f.Required, f.Evidence, time.Time{}
	if f.Waived != nil && f.Required {
		m.Waived = stamp(f.Waived.Until)
		m.Waiver = Waiving{ID: f.Waived.ID, Check: f.Check, By: f.Waived.By, Until: m.Waived}
		m.Failing, m.Told = time.Time{}, ""
	}
	if f.Outcome == Unknown {
		return m
	}
	if m.Waived.IsZero() {
		m.Waiver = Waiving{} // whoever tells of its end has it from the mark before
	}
	m.Known, m.KnownAt = f.Outcome, at
	m.Passed = m.Passed || f.Outcome == Pass
	switch {
	case !m.Fails():
		m.Failing, m.Told = time.Time{}, ""
	case m.Failing.IsZero():
		m.Failing = at
	}
	return m
}

// relisted says whether what fails is listed again, after as many days of failing as the
// second number, where it was last read to fail after as many as the first: on the days
// 1, 3, 7, 14, 28, 42, …, or on the first read after one of them.
func relisted(before, now int) bool {
	last := 0
	switch {
	case now >= 14:
		last = now - now%14
	case now >= 7:
		last = 7
	case now >= 3:
		last = 3
	case now >= 1:
		last = 1
	}
	return last > max(before, 0)
}

// days counts the dates between two moments.
func days(from, to time.Time, zone *time.Location) int {
	date := func(t time.Time) int64 {
		y, m, d := t.In(zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
	}
	return int(date(to) - date(from))
}

// stamp is a time as it is kept: in UTC and to the millisecond, so that what was stored
// and read back compares as what was not.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// pipelineAway says that the app's pipeline, or its name, could not be read, and will be
// another time: an account that has not joined the app never sees it.
func pipelineAway(app fleet.App) bool {
	coupling, known := app.Pipeline.Get()
	return mayPass(app.Pipeline.Why()) || known && coupling.Pipeline != "" && mayPass(coupling.Name.Why())
}

func stageOf(app fleet.App) string {
	coupling, _ := app.Pipeline.Get()
	return coupling.Stage
}

// increase is what getting ready would add: nothing where the app is ready or has nothing
// to make ready, unknown where it can't be told.
func increase(r Report) Increase {
	switch r.Verdict {
	case VerdictReady, VerdictNotApplicable:
		return fleet.Known(fleet.Money(0))
	case VerdictUnknown:
		return notJudged()
	}
	short := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Check == webDynos().ID && f.Outcome == Fail })
	scales := slices.ContainsFunc(r.Plan.Steps, func(s plan.Step) bool { return s.Kind == plan.Scale })
	if short && r.Plan.Outcome == plan.Yours && !scales {
		return fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotTold, Text: "something else than a plan scales it, and how far hangs on its traffic"})
	}
	return r.Plan.Cost.Difference
}

func notJudged() Increase {
	return fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotTold, Text: "what it lacks is not known"})
}

// sizeFor is what `enable` has to be given as size=….
func sizeFor(r Report) string {
	if r.Verdict != VerdictNotReady {
		return ""
	}
	return r.Plan.Options.Size
}

// yours is what the plan leaves to a person.
func yours(r Report) string {
	if r.Verdict != VerdictNotReady || r.Plan.Outcome != plan.Yours {
		return ""
	}
	return strings.Join(r.Plan.Why, " ")
}
