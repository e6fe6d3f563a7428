package commands

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/watch"
)

// proofs tells the last verdict on the deploys of apps, of those that have any: what was
// proved, beside what is configured. watch.Store does.
type proofs interface {
	Proofs(ctx context.Context, apps []fleet.ID) (map[fleet.ID]watch.Proof, error)
}

// proofsWithin is how long an answer waits for what is only an addition to it.
const proofsWithin = time.Second

// proofOf is the last verdict on one app, the zero one where it was never watched; nil where
// that can't be told.
func proofOf(ctx context.Context, from proofs, app fleet.ID) *watch.Proof {
	if from == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, proofsWithin)
	defer cancel()
	all, err := from.Proofs(ctx, []fleet.ID{app})
	if err != nil {
		return nil
	}
	return new(all[app])
}

// proofText is what was proved of an app whose latest release is running; 0: that is not
// known. The zero Proof is that of an app that was never watched. when says how a moment is
// told: how long ago it was, or on a page that is not made anew each minute, itself.
func proofText(p watch.Proof, running int, when func(time.Time) Span) Text {
	var old, before Text
	if running > p.Release {
		old = Line(fmt.Sprintf("; v%d runs now", running))
	}
	if p.Proved != nil {
		before = Line(fmt.Sprintf("; v%d was proved ", p.Proved.Release), when(p.Proved.At))
	}
	switch {
	case p.Watch == "":
		return Line("never watched")
	case p.Verdict == watch.Proved && running > p.Release:
		return Line(fmt.Sprintf("v%d was proved ", p.Release), when(p.At), " ("+proofCounts(p)+")", old)
	case p.Verdict == watch.Proved:
		return Line(fmt.Sprintf("v%d, ", p.Release), when(p.At), " ("+proofCounts(p)+")")
	case p.Verdict == watch.Failed:
		return Line(fmt.Sprintf("no: v%d failed ", p.Release), when(p.At), " ("+proofCounts(p)+")", old, before)
	case p.Release == 0:
		return Line("not yet: the last watch, ", when(p.At), ", saw no release", before)
	}
	return Line(fmt.Sprintf("not yet: the watch of v%d, ", p.Release), when(p.At), ", was inconclusive", before)
}

// agoAt tells moments by how long ago they are.
func agoAt(now time.Time) func(time.Time) Span {
	return func(t time.Time) Span { return Span{S: ago(now.Sub(t))} }
}

// ago tells moments by their age when the proofs were read.
func (p *Proving) ago() func(time.Time) Span {
	if p == nil {
		return nil
	}
	return agoAt(p.At)
}

func proofCounts(p watch.Proof) string {
	if p.Failed > 0 {
		return fmt.Sprintf("%s of %s requests failed", grouped(p.Failed), grouped(p.Sent))
	}
	return fmt.Sprintf("%s request%s, none failed", grouped(p.Sent), plural(p.Sent))
}

// provedFact is what watched deploys have shown of an app that was just read; nil: that is
// not told here, or there is nothing to watch.
func provedFact(r audit.Report, view StatusView) Text {
	switch p := view.Proof; {
	case p == nil, p.Watch == "" && r.Verdict == audit.VerdictNotApplicable:
		return nil
	case p.Watch == "" && view.Via == Terminal: // what is watched from there is kept nowhere
		return Line("never watched")
	case p.Watch == "":
		return Line("never watched: ", Code(spoken(view.Via, "watch "+r.App.Name)), ", said before a deploy, does that")
	case view.Via == Terminal: // where there is no `show`
		return Line(proofText(*p, r.App.Release.Or(fleet.Release{}).Version, agoAt(view.Now)), " · ", Code(p.Watch))
	default:
		return Line(proofText(*p, r.App.Release.Or(fleet.Release{}).Version, agoAt(view.Now)), " · ", Code("show "+p.Watch))
	}
}

// Proving is what watched deploys have shown of some apps, beside how they are configured. A
// nil one tells nothing.
type Proving struct {
	Of    map[fleet.ID]watch.Proof // the last verdict on each that has any
	Ready []ReadyApp               // those that are ready by their settings
	At    time.Time                // when that was read: ages are told as of then
}

// ReadyApp is an app that is ready by its settings, and whom it concerns; see audit.Group.
type ReadyApp struct {
	App                        fleet.ID
	Name, Owner, Team, Channel string
}

// Add counts an app among those that are ready, if it is.
func (p *Proving) Add(s audit.Standing) {
	if s.Gone.IsZero() && s.Verdict == audit.VerdictReady {
		p.Ready = append(p.Ready, ReadyApp{s.App, s.Name, s.Owner, s.Team, s.Channel})
	}
}

// of says whether the app is one of a group's.
func (r ReadyApp) of(g audit.Group) bool {
	return r.Channel == g.Channel && r.Owner == g.Owner && (r.Owner != "" || r.Team == g.Team)
}

// standings are how the apps stand after the last scan; store does.
type standings interface {
	Standings(ctx context.Context) iter.Seq2[audit.Standing, error]
}

// ReadProving is what a channel is told of, by the policy's `apps`; empty: of the whole fleet.
// Its ages are as of now.
func ReadProving(ctx context.Context, apps standings, from proofs, channel string, now time.Time) (*Proving, error) {
	p := &Proving{At: now}
	var err error
	if p.Of, err = from.Proofs(ctx, nil); err != nil {
		return nil, fmt.Errorf("read what was proved: %w", err)
	}
	if len(p.Of) == 0 {
		return p, nil // nothing is told then
	}
	for s, err := range apps.Standings(ctx) {
		if err != nil {
			return nil, fmt.Errorf("read which apps are ready: %w", err)
		}
		if channel == "" || s.Channel == channel {
			p.Add(s)
		}
	}
	return p, nil
}

// ProvingOf is that of a fleet that was just read, whose groups have no channel; see groupsOf.
func ProvingOf(f audit.Fleet, proofs map[fleet.ID]watch.Proof, now time.Time) *Proving {
	p := &Proving{Of: proofs, At: now}
	for _, s := range f.Standings {
		s.Channel = ""
		p.Add(s)
	}
	return p
}

// Any says whether any deploy was watched at all: who watches none is told nothing of it.
func (p *Proving) Any() bool { return p != nil && len(p.Of) > 0 }

// count is "12 of 40 ready apps proved", and how many of them failed; empty: there is
// nothing to count.
func (p *Proving) count() string {
	if !p.Any() || len(p.Ready) == 0 {
		return ""
	}
	text, _ := p.countOf(p.Ready)
	return text
}

// countOf is that of some apps; told says whether any of them was proved, or failed.
func (p *Proving) countOf(apps []ReadyApp) (text string, told bool) {
	proved, failed := 0, 0
	for _, app := range apps {
		switch p.Of[app.App].Verdict {
		case watch.Proved:
			proved++
		case watch.Failed:
			failed++
		}
	}
	text = fmt.Sprintf("%s of %s ready app%s proved by the last watched deploy", grouped(proved), grouped(len(apps)), plural(len(apps)))
	if failed > 0 {
		text += fmt.Sprintf("; %s failed theirs", grouped(failed))
	}
	return text, proved+failed > 0
}

func (p *Proving) fact() []Fact {
	if text := p.count(); text != "" {
		return []Fact{{"Proved", Line(text)}}
	}
	return nil
}

func (p *Proving) sentence() string {
	if text := p.count(); text != "" {
		return " " + strings.ToUpper(text[:1]) + text[1:] + "."
	}
	return ""
}

// Word is what was proved of an app, and how long ago, in a cell.
func (p *Proving) Word(app fleet.ID) string {
	proof := p.Of[app]
	age := shortAge(p.At.Sub(proof.At))
	switch {
	case proof.Watch == "":
		return "never watched"
	case proof.Verdict == watch.Proved:
		return fmt.Sprintf("v%d, %s", proof.Release, age)
	case proof.Verdict == watch.Failed:
		return fmt.Sprintf("v%d failed %s", proof.Release, age)
	}
	return "inconclusive, " + age
}

// shortAge is [ago] where there is little room.
func shortAge(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(d.Hours()/24))
}

// detail is what was proved of an app, for below its line; none: it was never watched.
func (p *Proving) detail(app fleet.ID, when func(time.Time) Span) []Text {
	if p == nil {
		return nil
	}
	if proof, watched := p.Of[app]; watched {
		return []Text{Line("Proved: ", proofText(proof, 0, when))}
	}
	return nil
}

// group is what was proved of a group's ready apps: how many of them in a few words, empty
// where none of them was watched to an end, and those whose last watched deploy failed.
func (p *Proving) group(g audit.Group) (text string, failed []Item) {
	if !p.Any() {
		return "", nil
	}
	var theirs []ReadyApp
	for _, app := range p.Ready {
		if app.of(g) {
			theirs = append(theirs, app)
		}
	}
	count, told := p.countOf(theirs)
	if !told {
		return "", nil
	}
	return count, p.failed(theirs, wholeLines)
}

// failed are those of ready apps whose last watched deploy failed, the first of them told one
// by one.
func (p *Proving) failed(apps []ReadyApp, whole int) []Item {
	var lines []audit.Line
	for _, app := range apps {
		if p.Of[app.App].Verdict == watch.Failed {
			lines = append(lines, audit.Line{App: app.App, Name: app.Name})
		}
	}
	slices.SortFunc(lines, func(a, b audit.Line) int { return strings.Compare(a.Name, b.Name) })
	var items []Item
	for _, l := range lines[:min(whole, len(lines))] {
		proof := p.Of[l.App]
		items = append(items, Item{Mark: MarkHazard, Text: Line(Code(l.Name), fmt.Sprintf(": ready by its settings, but v%d failed %s (%s).", proof.Release, ago(p.At.Sub(proof.At)), proofCounts(proof)))})
	}
	return append(items, alike(lines[len(items):], MarkHazard, func(audit.Line) string { return failedWord })...)
}

// failedWord is an app whose settings promise more than was measured.
const failedWord = "ready by its settings, but the last watched deploy failed"

// ProofColumns are the last verdicts on deploys for a table of apps, empty where there is none.
func ProofColumns(of map[fleet.ID]watch.Proof) []audit.Column {
	cell := func(text func(watch.Proof) string) func(audit.Standing) string {
		return func(s audit.Standing) string {
			if p, watched := of[s.App]; watched {
				return text(p)
			}
			return ""
		}
	}
	return []audit.Column{
		{Name: "last_watch", Cell: cell(func(p watch.Proof) string { return p.Watch })},
		{Name: "last_watch_verdict", Cell: cell(func(p watch.Proof) string { return string(p.Verdict) })},
		{Name: "last_watch_release", Cell: cell(func(p watch.Proof) string {
			if p.Release == 0 {
				return ""
			}
			return strconv.Itoa(p.Release)
		})},
		{Name: "last_watch_at", Cell: cell(func(p watch.Proof) string { return p.At.UTC().Format(time.RFC3339) })},
	}
}
