package commands

import (
	"context"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/watch"
)

// glancer is what status reads the whole fleet with, from the last scan.
type glancer struct {
	policies Policies
	nights   nights
	next     func(after time.Time) time.Time // nil: not known
	proofs   proofs                          // nil: what was proved is not told
}

const (
	// nightsBack is how many nights are looked through for one that ended.
	nightsBack = 30
	// glanceApps is how many apps a glance names.
	glanceApps = 5
)

// glance is the whole fleet as the last scan saw it, with its age.
func (g glancer) glance(ctx context.Context, now time.Time) (Reply, error) {
	newest, err := g.nights.Nights(ctx, time.Time{}, nightsBack)
	if err != nil {
		return Reply{}, fmt.Errorf("read the nights: %w", err)
	}
	rules := g.policies.Policy().Nightly
	d := dates{rules.Location(), now}
	under := slices.IndexFunc(newest, func(n audit.Night) bool { return n.State == audit.Scanning && !n.Started.IsZero() })
	ended := slices.IndexFunc(newest, func(n audit.Night) bool { return !n.Finished.IsZero() })
	schedule := g.schedule(d)
	if under >= 0 && (ended < 0 || under < ended) {
		schedule = slices.Insert(schedule, 0, Fact{"Under way", Line("a scan, since " + d.moment(newest[under].Started))})
	}
	if ended < 0 {
		text := Line("No scan of the fleet has ended yet, so there is nothing to tell of all apps. Of one app I can: ", Code("status <app>"), ".")
		return Reply{Summary: text.String(), Parts: []Part{Heading{"The fleet: not read yet"}, Para{text}, Facts{schedule}}}, nil
	}
	last, err := g.nights.Night(ctx, newest[ended].ID)
	if err != nil {
		return Reply{}, fmt.Errorf("read the night %s: %w", newest[ended].ID, err)
	}
	worst, proving, err := g.apps(ctx, now)
	if err != nil {
		return Reply{}, err
	}
	age := now.Sub(last.Finished)
	reply := Reply{
		Summary: "The fleet: " + readyOf(last.Counts) + ", read " + spell(age) + " ago",
		Parts:   []Part{Heading{"The fleet: " + readyOf(last.Counts)}},
	}
	warnings := doubts(last.Coverage, nil)
	if now.After(audit.StaleAt(last)) {
		reply.Summary += ": too long ago"
		old := Line(Bold("The last scan is "+spell(age)+" old"), ", and the one after it should have ended by now: what follows may not hold any more. ", Code("bot doctor"), " finds out why.")
		warnings = slices.Insert(warnings, 0, Item{Mark: MarkHazard, Text: old})
	}
	if len(warnings) > 0 {
		reply.Parts = append(reply.Parts, List{warnings})
	}
	news := standingNow(last.Counts, "")
	if last.Digest != nil && !last.Digest.Baseline { // of the first there is nothing to compare with
		news = digestMessage{Digest: *last.Digest, dates: d}.news()
	}
	reply.Parts = append(reply.Parts, Para{news})
	var items []Item
	for _, l := range worst {
		item := lineItem(l, d)
		item.Detail = append(item.Detail, proving.detail(l.App, proving.ago())...)
		items = append(items, item)
	}
	if proving.Any() {
		items = append(items, proving.failed(proving.Ready, glanceApps)...)
	}
	if len(items) > 0 {
		reply.Parts = append(reply.Parts, List{items})
	}
	facts := slices.Concat(costFact(last.Counts), waivedFact(last.Counts), proving.fact())
	if last.Coverage.Seen > 0 {
		facts = append(facts, Fact{"Looked at", Line(coverageText(last.Coverage, last.Counts))})
	}
	facts = append(facts, Fact{"Read", Line(d.moment(last.Finished) + ", " + spell(age) + " ago")})
	return with(reply, Facts{append(facts, schedule...)}), nil
}

// schedule is when the fleet is read next, and who is told.
func (g glancer) schedule(d dates) []Fact {
	rules := g.policies.Policy().Nightly
	var facts []Fact
	if g.next != nil {
		if next := g.next(d.now); !next.IsZero() {
			facts = append(facts, Fact{"Next scan", Line(d.moment(next) + " (" + rules.Timezone + ")")})
		}
	}
	if rules.Channel == "" {
		return append(facts, Fact{"Digest", Line("the digest is off: no ", Code("digest.channel"))})
	}
	return append(facts, Fact{"Digest", Line("at "+rules.PostAt+" in ", MentionChannel(rules.Channel))})
}

// apps are those that lack most, of those that the last scans saw, and what watched deploys
// have shown, nil where that can't be told.
func (g glancer) apps(ctx context.Context, now time.Time) (worst []audit.Line, proving *Proving, err error) {
	if proofs, ok := g.proofsOfAll(ctx); ok {
		proving = &Proving{Of: proofs, At: now}
	}
	for s, err := range g.nights.Standings(ctx) {
		if err != nil {
			return nil, nil, fmt.Errorf("read the standings: %w", err)
		}
		if proving.Any() {
			proving.Add(s)
		}
		if !s.Gone.IsZero() || s.Verdict != audit.VerdictNotReady {
			continue
		}
		worst = append(worst, lineOf(s))
		if len(worst) > 4*glanceApps { // of a large fleet only the worst are held
			slices.SortStableFunc(worst, worse)
			worst = worst[:glanceApps]
		}
	}
	slices.SortStableFunc(worst, worse)
	return worst[:min(len(worst), glanceApps)], proving, nil
}

// proofsOfAll are the last verdicts on deploys; ok is false where they can't be told.
func (g glancer) proofsOfAll(ctx context.Context) (of map[fleet.ID]watch.Proof, ok bool) {
	if g.proofs == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, proofsWithin)
	defer cancel()
	of, err := g.proofs.Proofs(ctx, nil)
	return of, err == nil
}

// lineOf is an app as it stands, with nothing to compare it with.
func lineOf(s audit.Standing) audit.Line {
	l := audit.Line{App: s.App, Name: s.Name, Kind: lineNow, Increase: s.Increase, Size: s.Size, Yours: s.Yours, ReadAt: s.ReadAt}
	if s.Watch.Fought(s.ReadAt) {
		l.Fight = s.Watch.Fight
	}
	var first time.Time
	for _, m := range s.Marks {
		if !m.Fails() {
			continue
		}
		l.Checks, l.Evidence = append(l.Checks, m.Check), append(l.Evidence, m.Evidence)
		since := m.Failing
		if since.IsZero() {
			since = m.Since
		}
		if first.IsZero() || since.Before(first) {
			first = since
		}
	}
	if !first.IsZero() {
		l.Days = int(s.ReadAt.Sub(first).Hours()+12) / 24
	}
	return l
}
