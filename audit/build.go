package audit

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// trendNights is how many nights the chart shows.
const trendNights = 30

// BuildDigest makes the digest of a night whose scan has ended, of how all apps stand and
// of the nights before, in any order; those of later slots are none. Of the night's
// Coverage it takes Out and Gaps and counts the rest. zone is an IANA name. It fails only
// with the standings' own error, and holds no more of them than what it lists.
func BuildDigest(n Night, zone string, standings iter.Seq2[Standing, error], past []Night) (Digest, error) {
	d := Digest{
		Night: n.ID, Zone: zone, Slot: n.Slot, Started: n.Started, Finished: n.Finished, Expected: n.Expected, Calls: n.Calls,
		Baseline: n.Baseline, Missed: n.Missed,
		Coverage: Coverage{Seen: total(n.Coverage.Out), Out: n.Coverage.Out, Gaps: n.Coverage.Gaps},
	}
	var groups Groups
	for s, err := range standings {
		if err != nil {
			return Digest{}, err
		}
		tonight := s.News.Night == n.ID
		if s.Gone.IsZero() && s.Night != n.ID || !s.Gone.IsZero() && !tonight {
			continue
		}
		g := groups.Of(s)
		if tonight {
			for _, w := range s.News.Ending {
				g.Waivers = append(g.Waivers, WaiverLine{App: s.App, Name: s.Name, Waiving: w})
			}
		}
		switch {
		case tonight && s.News.Kind != "":
			g.Lines = append(g.Lines, lineOf(&s))
			g.Mention = g.Mention || s.News.Mention
		case !s.Gone.IsZero():
			g.Left++
		case s.Verdict == VerdictNotReady:
			g.Quiet++
		}
	}
	d.Groups = groups.Sorted()
	for _, g := range d.Groups {
		slices.SortFunc(g.Lines, worst)
		slices.SortFunc(g.Waivers, func(a, b WaiverLine) int {
			return cmp.Or(a.Until.Compare(b.Until), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
		})
	}
	sum := Sum(d.Groups)
	d.Counts, d.Changes = sum.Counts, sum.Changes
	d.Coverage.Seen += sum.Coverage.Seen
	d.Coverage.InScope, d.Coverage.Judged, d.Coverage.Unread = sum.Coverage.InScope, sum.Coverage.Judged, sum.Coverage.Unread
	d.Trend = trend(d, past)
	return d, nil
}

// lineOf is what is listed of an app.
func lineOf(s *Standing) Line {
	n := s.News
	l := Line{
		App: s.App, Name: s.Name, Was: n.Was, From: n.From, Kind: n.Kind, First: n.First, Checks: n.Checks, Days: n.Days, After: n.After, Why: n.Why,
		Since: n.Since, Waivers: n.Waivers, Increase: s.Increase, Size: s.Size, Yours: s.Yours, ReadAt: s.ReadAt,
	}
	if s.Watch.Fought(s.ReadAt) {
		l.Fight = s.Watch.Fight
	}
	if n.Kind == LineUnread {
		l.Unread = unreadWord(s.Unread.Kind)
	}
	if !s.Gone.IsZero() { // there is nothing left to do
		l.Increase, l.Size, l.Yours = Increase{}, "", ""
	}
	for _, check := range n.Checks {
		l.Evidence = append(l.Evidence, s.mark(check).Evidence)
	}
	return l
}

// lineKinds are the kinds in the order of lists.
func lineKinds() []LineKind {
	return []LineKind{LineRegressed, LineNew, LineStill, LineOwner, LineFixed, LineWaived, LineGone, LineUnread}
}

// worst orders lines by kind, then by how much is wrong, then by name.
func worst(a, b Line) int {
	return cmp.Or(
		cmp.Compare(slices.Index(lineKinds(), a.Kind), slices.Index(lineKinds(), b.Kind)),
		cmp.Compare(len(b.Checks), len(a.Checks)),
		strings.Compare(a.Name, b.Name),
		strings.Compare(string(a.App), string(b.App)))
}

// trend is the night at the end of those before it: of each date one, the last scan that
// ended.
func trend(d Digest, past []Night) []Point {
	date := func(night string) string {
		day, _, _ := strings.Cut(night, "#")
		return day
	}
	newest := map[string]Night{}
	for _, n := range past {
		if n.State == Scanning || n.ID == d.Night || date(n.ID) >= date(d.Night) {
			continue
		}
		if other, taken := newest[date(n.ID)]; !taken || n.Finished.After(other.Finished) {
			newest[date(n.ID)] = n
		}
	}
	var points []Point
	for _, day := range slices.Sorted(maps.Keys(newest)) {
		points = append(points, pointOf(newest[day].ID, newest[day].Counts, newest[day].Coverage))
	}
	points = append(points, pointOf(d.Night, d.Counts, d.Coverage))
	return points[max(len(points)-trendNights, 0):]
}

func pointOf(night string, c Counts, seen Coverage) Point {
	return Point{Night: night, Ready: c.Ready, NotReady: c.NotReady, Unknown: c.Unknown, Partial: seen.Partial()}
}
