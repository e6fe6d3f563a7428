package audit

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"example.com/zdd/fleet"
)

// fewDrifts is how many drifts are told without waiting for more of them, and storm how
// many have one cause.
const (
	fewDrifts = 2
	storm     = 20
)

// Drifted is a ready app that is ready no more, as its owner is told.
type Drifted struct {
	Line
	Owner   string     `json:"owner,omitzero"`
	Team    string     `json:"team,omitzero"`
	Channel string     `json:"channel"`
	Found   time.Time  `json:"found"`             // when the second look found the same
	Flips   []Flip     `json:"flips,omitempty"`   // of the last 7 days, this one last; only of one that is fought over
	Changes []Quantity `json:"changes,omitempty"` // see Watch
}

// Bulletin is what one channel is told at once. It is made once, so that every copy of it
// says the same.
type Bulletin struct {
	ID      string        `json:"id"`
	Channel string        `json:"channel"`
	At      time.Time     `json:"at"`
	Zone    string        `json:"timezone"` // IANA name
	Every   time.Duration `json:"every"`    // how long it takes to look at every app once
	Drifts  []Drifted     `json:"drifts"`   // by name
}

// stillSo says whether what looks found of the app is still to be told, by how it stands
// now: it is there, and one of the checks fails, or nothing was found out of it since. A
// night may have read the app meanwhile, or a ticket made it ready.
func (s *Standing) stillSo(d Drifted) bool {
	return s.Gone.IsZero() && slices.ContainsFunc(d.Checks, func(check string) bool {
		was, at := s.last(check)
		waived := !s.mark(check).Waived.IsZero() && s.ReadAt.After(d.Found)
		return !waived && (was == Fail || !at.After(d.Found))
	})
}

// toldWithin is how long it takes at the most to post a bulletin, unless Slack is away: then
// a night that reads an app tells of it, its owner's name included.
const toldWithin = 10 * time.Minute

// unheard is a standing as a night compares an app with that nobody was told of, because
// none of the bulletins about it was posted by then; unposted are those that were not.
func (s Standing) unheard(unposted []Bulletin, at time.Time) Standing {
	if !slices.ContainsFunc(unposted, func(b Bulletin) bool { return b.late(at) && b.names(s.App) }) {
		return s
	}
	s.Watch.Drifts = slices.Clone(s.Watch.Drifts)
	for i := range s.Watch.Drifts {
		s.Watch.Drifts[i].Told = false
	}
	return s
}

func (b Bulletin) late(now time.Time) bool { return now.After(b.At.Add(toldWithin)) }

func (b Bulletin) names(app fleet.ID) bool {
	return slices.ContainsFunc(b.Drifts, func(d Drifted) bool { return d.App == app })
}

// Overtaken says that a bulletin that could not be posted need not be any more: of each app,
// a night has told since, or it is well by now. standing is that of an app, as WatchStore
// has it.
func (b Bulletin) Overtaken(now time.Time, standing func(app fleet.ID) (s Standing, found bool, err error)) (bool, error) {
	if !b.late(now) {
		return false, nil
	}
	for _, d := range b.Drifts {
		s, found, err := standing(d.App)
		if err != nil {
			return false, err
		}
		fails := func(check string) bool { m := s.mark(check); return m.Fails() }
		told := b.late(s.ReadAt) && slices.ContainsFunc(d.Checks, fails)
		if found && s.stillSo(d) && !told {
			return false, nil
		}
	}
	return true, nil
}

// pend has a drift wait to be told. What waits of the same app is part of it, and it waits
// no longer for that.
func (s *Watching) pend(d Drifted) {
	for _, waits := range s.Pending {
		if waits.App == d.App {
			d.Found = earlier(d.Found, waits.Found)
		}
	}
	s.drop(d.App)
	s.Pending = append(s.Pending, d)
}

// drop forgets what waits to be told of an app.
func (s *Watching) drop(app fleet.ID) {
	s.Pending = slices.DeleteFunc(slices.Clone(s.Pending), func(d Drifted) bool { return d.App == app })
}

// noticing is what decides when a bulletin is due.
type noticing struct {
	now           time.Time
	every, gather time.Duration
	busy          bool // there are apps to look at
	zone          string
	round         time.Duration
}

// bulletins makes those that are due. A channel is told at most once in every; what was
// found alone is told soon. Many at once wait until all apps were looked at that are due,
// but no longer than every; a storm twice that, because each that is looked at a second
// time takes three calls more, so that one round takes longer than usual.
func (s Watching) bulletins(t noticing) (after Watching, made []Bulletin, next time.Time) {
	by := map[string][]Drifted{}
	var channels []string
	for _, d := range s.Pending {
		if by[d.Channel] == nil {
			channels = append(channels, d.Channel)
		}
		by[d.Channel] = append(by[d.Channel], d)
	}
	slices.Sort(channels)
	after = s
	after.Pending, after.Told = nil, map[string]time.Time{}
	for channel, at := range s.Told {
		if at.Add(t.every).After(t.now) && !at.After(t.now.Add(t.every)) { // not of a clock that was set back
			after.Told[channel] = at
		}
	}
	for _, channel := range channels {
		drifts := by[channel]
		first := slices.MinFunc(drifts, func(a, b Drifted) int { return a.Found.Compare(b.Found) }).Found
		at := first.Add(t.gather)
		switch {
		case len(drifts) <= fewDrifts:
		case t.busy && len(drifts) >= storm:
			at = first.Add(max(2*t.every, t.gather))
		case t.busy:
			at = first.Add(max(t.every, t.gather))
		}
		if told, known := after.Told[channel]; known {
			at = later(at, told.Add(t.every))
		}
		if at.After(t.now) && !at.After(t.now.Add(2*t.every+t.gather)) { // nor this
			after.Pending = append(after.Pending, drifts...)
			if next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		after.Bulletins++
		after.Told[channel] = t.now
		slices.SortFunc(drifts, func(a, b Drifted) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.App, b.App)) })
		made = append(made, Bulletin{ID: strconv.FormatInt(after.Bulletins, 10), Channel: channel, At: t.now, Zone: t.zone, Every: t.round, Drifts: drifts})
	}
	return after, made, next
}
