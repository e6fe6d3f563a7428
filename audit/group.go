package audit

import (
	"cmp"
	"slices"
	"strings"
)

// Groups sorts apps by whom they concern. The zero value has none.
type Groups struct{ by map[groupKey]*Group }

type groupKey struct{ owner, team, channel string }

// Of is the group of an app, which counts in it from now on unless it is gone. Call it
// once for each.
func (all *Groups) Of(s Standing) *Group {
	key := groupKey{s.Owner, s.Team, s.Channel}
	if key.owner != "" {
		key.team = ""
	}
	g := all.by[key]
	if g == nil {
		if all.by == nil {
			all.by = map[groupKey]*Group{}
		}
		g = &Group{Owner: key.owner, Team: key.team, Channel: key.channel}
		all.by[key] = g
	}
	if s.Gone.IsZero() {
		g.Counts.count(&s)
	}
	return g
}

// Sorted are the groups: those with something new first, then by how many apps fail.
func (all *Groups) Sorted() []Group {
	var sorted []Group
	for _, g := range all.by {
		sorted = append(sorted, *g)
	}
	slices.SortFunc(sorted, foremost)
	return sorted
}

func foremost(a, b Group) int {
	return cmp.Or(
		-compareBools(a.Mention, b.Mention),
		-compareBools(len(a.Lines) > 0, len(b.Lines) > 0),
		cmp.Compare(b.Counts.NotReady, a.Counts.NotReady),
		cmp.Compare(b.Counts.Unknown, a.Counts.Unknown),
		strings.Compare(a.Owner, b.Owner),
		strings.Compare(a.Team, b.Team),
		strings.Compare(a.Channel, b.Channel))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Summed is what some of a digest's groups come to.
type Summed struct {
	Counts  Counts
	Changes Changes
	// Coverage is of the groups' apps, all of them seen and in scope: which others there
	// are, and which lists could not be read, no group tells.
	Coverage Coverage
}

// Sum adds groups of a digest up, each app once, for what is foremost of it. The whole
// digest and each channel's part of it are counted so.
func Sum(groups []Group) Summed {
	var s Summed
	for _, g := range groups {
		s.Counts.add(g.Counts)
		s.Changes.Still += g.Quiet
		s.Changes.Left += g.Left
		for _, l := range g.Lines {
			s.Changes.count(l.Kind)
			if l.Kind != LineUnread {
				continue
			}
			if s.Coverage.Unread == nil {
				s.Coverage.Unread = map[string]int{}
			}
			s.Coverage.Unread[cmp.Or(l.Unread, l.Why, "not told")]++ // the digests of former versions have Why only
		}
	}
	s.Coverage.Seen = s.Counts.Ready + s.Counts.NotReady + s.Counts.Unknown + s.Counts.NotApplicable
	s.Coverage.InScope = s.Coverage.Seen
	s.Coverage.Judged = s.Coverage.Seen - s.Changes.Unread
	return s
}

func (c *Changes) count(kind LineKind) {
	switch kind {
	case LineNew:
		c.New++
	case LineRegressed:
		c.Regressed++
	case LineFixed:
		c.Fixed++
	case LineStill, LineOwner:
		c.Still++
	case LineWaived:
		c.Waived++
	case LineGone:
		c.Gone++
	case LineUnread:
		c.Unread++
	}
}

func (c *Counts) add(more Counts) {
	c.Ready += more.Ready
	c.NotReady += more.NotReady
	c.Unknown += more.Unknown
	c.NotApplicable += more.NotApplicable
	c.Increase += more.Increase
	c.Unpriced += more.Unpriced
	c.Waived += more.Waived
}
