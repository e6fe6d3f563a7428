package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
)

// memory is what the digests until now must have made of an app, reckoned from the truth
// alone: the model that they are held against.
type memory struct {
	failing map[string]bool // checks, when each was last known
	passed  map[string]bool
	told    map[string]string // the owner, by check
	bad     bool              // not ready when last judged
	first   bool              // found when it was old already, and not judged since
	owner   string            // and the rest, when it was last seen
	gone    bool

	waived map[string]bool   // checks that were waived when it could last be told what they are
	last   map[string]string // the waiver that was counted down last, by check
	left   map[string]int    // the days it had left then
}

func blank() *memory {
	return &memory{
		failing: map[string]bool{}, passed: map[string]bool{}, told: map[string]string{},
		waived: map[string]bool{}, last: map[string]string{}, left: map[string]int{},
	}
}

// TestNights lets 40 nights pass over random fleets, with deploys, deletions, changes of
// owner and policy, parts and lists that can't be read, missed nights and crashes, and
// holds each digest against the truth.
func TestNights(t *testing.T) {
	const nights = 40
	fleets := uint64(8) // a few seconds
	if os.Getenv("ZDD_LONG") != "" {
		fleets = 2000
	}
	kinds := map[LineKind]int{}
	for seed := range fleets {
		r := rand.New(rand.NewPCG(seed, 7))
		w := &town{apps: map[fleet.ID]*house{}, policy: townPolicy(r)}
		for range 3 + r.IntN(15) {
			w.build(r)
		}
		smooth, rough := newShelf(), newShelf()
		known := map[fleet.ID]*memory{}
		slot := time.Date(2026, time.March, 20, 1, 30, 0, 0, time.UTC) // summer time begins on the 29th
		began := time.Time{}                                           // the night before
		for night := range nights {
			w.today = slot.Add(time.Hour) // after the scan of the night before began
			w.day(r)
			w.waive(r)
			if slot = slot.AddDate(0, 0, 1); r.IntN(12) == 0 {
				slot = slot.AddDate(0, 0, 1+r.IntN(4)) // nobody ran
			}
			id := slot.In(w.policy.Nightly.Location()).Format(time.DateOnly)
			where := fmt.Sprintf("seed %d, night %d (%s)", seed, night, id)
			d, err := smooth.night(t.Context(), w, id, slot, nil)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			w.read = 0
			again, err := rough.night(t.Context(), w, id, slot, func() bool { return r.IntN(8) == 0 })
			if err != nil {
				t.Fatalf("%s, with crashes: %v", where, err)
			}
			if got, want := steady(t, again), steady(t, d); got != want {
				t.Fatalf("%s: with crashes the digest is\n%s\nwant\n%s", where, got, want)
			}
			baseline := len(known) == 0
			if err := telling(w, d, known, baseline, began); err != nil {
				t.Fatalf("%s: %v\n%s", where, err, steady(t, d))
			}
			began = d.Started
			if err := sums(d, smooth); err != nil {
				t.Fatalf("%s: %v\n%s", where, err, steady(t, d))
			}
			for _, g := range d.Groups {
				for _, l := range g.Lines {
					kinds[l.Kind]++
				}
			}
		}
		if err := chained(smooth.turns); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	for _, k := range lineKinds() {
		if kinds[k] < int(fleets)/2 {
			t.Errorf("%s came up %d times in %d fleets: the nights are not mixed well enough to prove anything", k, kinds[k], fleets)
		}
	}
}

// steady is what of a digest hangs on nothing but what was read.
func steady(t *testing.T, d Digest) string {
	d.Calls, d.Expected, d.Started, d.Finished = 0, 0, time.Time{}, time.Time{}
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sums holds the counts of a digest against one another.
func sums(d Digest, s *shelf) error {
	count := func(c Counts) int { return c.Ready + c.NotReady + c.Unknown + c.NotApplicable }
	c := d.Coverage
	groups, lines := 0, map[fleet.ID]int{}
	changes := map[LineKind]int{}
	for _, g := range d.Groups {
		groups += count(g.Counts)
		if g.Mention && (g.Owner == "" || d.Baseline) {
			return fmt.Errorf("a mention of %q, baseline %t", g.Owner, d.Baseline)
		}
		for _, l := range g.Lines {
			lines[l.App]++
			changes[l.Kind]++
			if len(l.Checks) != len(l.Evidence) || slices.Contains(l.Evidence, "") {
				return fmt.Errorf("%s: %d checks, evidence %q", l.Name, len(l.Checks), l.Evidence)
			}
			if lines[l.App] > 1 {
				return fmt.Errorf("%s is listed twice", l.Name)
			}
		}
	}
	standing := 0
	for _, app := range s.standings {
		if app.Gone.IsZero() {
			standing++
		}
	}
	switch {
	case c.Seen != c.InScope+total(c.Out), c.InScope != c.Judged+total(c.Unread):
		return fmt.Errorf("coverage %+v does not add up", c)
	case count(d.Counts) != c.InScope, groups != c.InScope:
		return fmt.Errorf("%d apps are in scope, %d counted, %d in groups", c.InScope, count(d.Counts), groups)
	case d.Counts.Unknown < total(c.Unread):
		return fmt.Errorf("%d apps are unread and %d unknown", total(c.Unread), d.Counts.Unknown)
	case d.Changes.New != changes[LineNew], d.Changes.Regressed != changes[LineRegressed], d.Changes.Fixed != changes[LineFixed],
		d.Changes.Waived != changes[LineWaived], d.Changes.Gone != changes[LineGone], d.Changes.Unread != changes[LineUnread], d.Changes.Unread != total(c.Unread),
		d.Changes.New+d.Changes.Regressed+d.Changes.Still != d.Counts.NotReady:
		return fmt.Errorf("changes %+v, lines %v, counts %+v", d.Changes, changes, d.Counts)
	case standing > c.InScope: // an app that nobody can find is counted, or is gone
		return fmt.Errorf("%d apps stand and %d are counted", standing, c.InScope)
	}
	return nil
}

// telling holds what is told of each app against the truth, and learns it.
func telling(w *town, d Digest, known map[fleet.ID]*memory, baseline bool, began time.Time) error {
	if d.Baseline != baseline {
		return fmt.Errorf("baseline %t, want %t", d.Baseline, baseline)
	}
	var counts Counts
	mentioned, ending := map[string]bool{}, map[string]int{}
	tell := func(id fleet.ID, want LineKind, checks []string) error {
		got := lineFor(d, id)
		switch {
		case len(got) == 0 && (want == "" || want == LineStill):
			return nil // the back-off has a test of its own
		case len(got) == 0:
			return fmt.Errorf("%s: not listed, want %s", id, want)
		case got[0].Kind != want:
			return fmt.Errorf("%s: listed as %s, want %q", id, got[0].Kind, want)
		case checks != nil && checksOf(got[0].Checks) != checksOf(checks):
			return fmt.Errorf("%s: %s for %q, want %q", id, want, got[0].Checks, checks)
		}
		return nil
	}
	unseen := func(id fleet.ID) error { // it stood, and nothing shows it tonight
		m := known[id]
		counts.Unknown++
		return tell(id, LineUnread, m.none())
	}
	present := map[fleet.ID]bool{}
	for _, id := range slices.Sorted(maps.Keys(w.apps)) {
		h := w.apps[id]
		m, seen := known[id]
		switch {
		case w.refused != nil, w.unlisted[h.team]:
			continue
		case w.away["pipelines"] != (fleet.Reason{}) && !baseline && (m == nil || m.gone):
			continue
		}
		listed := w.listed(h, d.Slot)
		if !w.policy.InScope(listed).In {
			continue
		}
		present[id] = true
		if m == nil {
			m = blank()
			m.first = baseline || listed.CreatedAt.Before(began)
			known[id] = m
		}
		if m.gone {
			back := blank()
			back.passed, back.waived, back.last, back.left = m.passed, m.waived, m.last, m.left
			*m = *back
		}
		app, _, _ := (&town{apps: w.apps, limit: -1}).ReadSettings(context.Background(), listed, fleetParts())
		rules, _ := w.rules(context.Background(), app)
		r := judge(app, rules)
		if err := w.judged(r, d.Slot); err != nil {
			return err
		}
		for _, f := range r.Report.Findings {
			if soon := m.counted(w, id, f, d.Slot); soon != "" {
				ending[soon]++
			}
		}
		if pipelineAway(app) && seen { // what hangs on the pipeline stays as it was
			r.Rules.Owner = m.owner
		}
		if err := m.learn(r, baseline, mentioned, func(want LineKind, checks []string) error { return tell(id, want, checks) }); err != nil {
			return err
		}
		s := Standing{Verdict: r.Report.Verdict, Increase: increase(r.Report)}
		for _, f := range r.Report.Findings {
			if f.Required && f.Waived != nil {
				s.Marks = append(s.Marks, Mark{Waived: f.Waived.Until})
			}
		}
		counts.count(&s)
	}
	anyGap := w.refused != nil || len(w.unlisted) > 0
	for id, m := range known {
		h := w.apps[id]
		out := false
		if h != nil && w.refused == nil && !w.unlisted[h.team] {
			in := w.policy.InScope(w.listed(h, time.Time{})).In
			out = !in
		}
		var err error
		switch {
		case present[id] || m.gone:
			continue
		case anyGap && !out:
			err = unseen(id)
		case m.bad:
			m.gone = true
			err = tell(id, LineGone, nil)
		default:
			m.gone = true
			err = tell(id, "", nil)
		}
		if err != nil {
			return err
		}
	}
	rung, told := map[string]bool{}, map[string]int{}
	for _, g := range d.Groups {
		if g.Mention {
			rung[g.Owner] = true
		}
		for _, line := range g.Waivers {
			told[fmt.Sprintf("%s %s %s %d", line.App, line.Check, line.ID, line.Left)]++
		}
	}
	if !maps.Equal(told, ending) {
		return fmt.Errorf("counted down are %v, want %v", told, ending)
	}
	if !maps.Equal(rung, mentioned) {
		return fmt.Errorf("mentioned are %v, want %v", rung, mentioned)
	}
	if counts != d.Counts {
		return fmt.Errorf("counts %+v, want %+v", d.Counts, counts)
	}
	return nil
}

func (m *memory) none() []string { return []string{} }

// learn takes in one night's judgement, and says what has to be told of it.
func (m *memory) learn(r Reading, baseline bool, mentioned map[string]bool, tell func(LineKind, []string) error) error {
	var began, failing []string
	regressed := false
	never := false
	var ended, mended []string // of what failed: all that does no more, and what is waived of it
	for _, f := range r.Report.Findings {
		fails := f.Required && f.Outcome == Fail && f.Waived == nil
		waived := f.Required && f.Waived != nil
		lapsed := m.waived[f.Check] && !waived
		if m.failing[f.Check] && (waived || f.Outcome != Unknown && !fails) {
			ended = append(ended, f.Check)
		}
		if waived {
			mended = append(mended, f.Check)
		}
		if waived || f.Outcome != Unknown {
			m.waived[f.Check] = waived
		}
		if waived {
			m.failing[f.Check] = false
			delete(m.told, f.Check)
		}
		if fails {
			failing = append(failing, f.Check)
		}
		if fails && !m.failing[f.Check] {
			began = append(began, f.Check)
			news := lapsed || !m.passed[f.Check]
			regressed, never = regressed || !news, never || news
		}
		if f.Outcome != Unknown {
			m.failing[f.Check] = fails
			m.passed[f.Check] = m.passed[f.Check] || f.Outcome == Pass
			if !fails {
				delete(m.told, f.Check)
			}
		}
	}
	was, quiet, owner := m.bad, baseline || m.first, r.Rules.Owner
	switch r.Report.Verdict {
	case VerdictNotReady:
		m.bad = true
	case VerdictReady, VerdictNotApplicable:
		m.bad = false
	}
	m.owner = owner
	unread := r.Unread != (fleet.Reason{})
	m.first = m.first && unread
	want := LineKind("")
	switch {
	case never:
		want = LineNew
	case regressed:
		want = LineRegressed
	case unread:
		return tell(LineUnread, m.none())
	case was && !m.bad:
		if len(ended) > 0 {
			mended = slices.DeleteFunc(mended, func(check string) bool { return !slices.Contains(ended, check) })
		}
		if len(mended) > 0 {
			return tell(LineWaived, mended)
		}
		return tell(LineFixed, nil)
	case owner != "" && slices.ContainsFunc(failing, func(check string) bool { return m.told[check] != owner }):
		want = LineOwner
	case len(failing) > 0:
		return tell(LineStill, failing)
	default:
		return tell("", nil)
	}
	if owner != "" {
		for _, check := range failing {
			m.told[check] = owner
		}
		if !quiet {
			mentioned[owner] = true
		}
	}
	if want == LineOwner {
		began = failing
	}
	return tell(want, began)
}

// judged holds a report's verdict and its waivers against those that there are.
func (w *town) judged(r Reading, at time.Time) error {
	count := map[Outcome]int{}
	for _, f := range r.Report.Findings {
		o, waived := w.waiverOf(r.Report.App.ID, f.Check, at)
		waived = waived && (f.Outcome == Fail || f.Outcome == Unknown)
		if waived != (f.Waived != nil) || waived && f.Waived.ID != o.ID {
			return fmt.Errorf("%s of %s is waived by %v, want %t, %s", f.Check, r.Report.App.Name, f.Waived, waived, o.ID)
		}
		if f.Required && !waived {
			count[f.Outcome]++
		}
	}
	want := VerdictNotApplicable
	switch {
	case count[Fail] > 0:
		want = VerdictNotReady
	case count[Unknown] > 0 || !r.Report.App.Formation.IsKnown():
		want = VerdictUnknown
	case count[Pass] > 0:
		want = VerdictReady
	}
	if r.Report.Verdict != want {
		return fmt.Errorf("%s is %s, want %s", r.Report.App.Name, r.Report.Verdict, want)
	}
	return nil
}

// counted is what a digest has to say of the end of a check's waiver; empty: nothing.
func (m *memory) counted(w *town, app fleet.ID, f Finding, at time.Time) string {
	if !f.Required || f.Waived == nil {
		if f.Outcome != Unknown {
			delete(m.last, f.Check)
		}
		return ""
	}
	zone := w.policy.Nightly.Location()
	o, _ := w.waiverOf(app, f.Check, at)
	before, now := days(o.From, o.Until.AddDate(0, 0, -1), zone), days(at, o.Until.AddDate(0, 0, -1), zone)
	if m.last[f.Check] == o.ID {
		before = m.left[f.Check]
	}
	m.last[f.Check], m.left[f.Check] = o.ID, now
	for _, day := range []int{7, 3, 1} {
		if now <= day && day < before {
			return fmt.Sprintf("%s %s %s %d", app, f.Check, o.ID, now)
		}
	}
	return ""
}

// chained says that each turn of a check begins where the last one ended.
func chained(turns []Turn) error {
	last := map[string]Turn{}
	for _, turn := range turns {
		key := string(turn.App) + " " + turn.Check
		before, had := last[key]
		switch {
		case turn.From == turn.To, turn.To == Unknown, turn.From == Unknown:
			return fmt.Errorf("a turn from %q to %q", turn.From, turn.To)
		case had && before.To != turn.From:
			return fmt.Errorf("%s turned to %s, and then from %s", key, before.To, turn.From)
		case turn.From != "" && (turn.After.IsZero() || !turn.After.Before(turn.Before)), had && turn.After.Before(before.Before):
			return fmt.Errorf("%s turned between %v and %v, after %v", key, turn.After, turn.Before, before.Before)
		case strings.TrimSpace(turn.Evidence) == "":
			return fmt.Errorf("%s turned, and nothing is said of how", key)
		}
		last[key] = turn
	}
	return nil
}

func fleetParts() fleet.Parts {
	return fleet.Parts{Features: needsFeatures, Autoscaler: needsAutoscaler}
}
