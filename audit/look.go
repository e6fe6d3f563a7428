package audit

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/zdd/fleet"
)

const (
	// rollSafe is how long a release is looked for that is still under way: Heroku ends a
	// release phase after 24 hours at the most (Dev Center, "Release Phase").
	rollSafe = 24 * time.Hour
	// fightEvery is how often a fight that goes on is told of.
	fightEvery = 24 * time.Hour
)

// concluded is what a look at one app came to.
type concluded struct {
	Look
	turns   []Turn
	drifted *Drifted // somebody is to be told
	found   bool     // a drift was found
	calls   int
}

// look reads the apps and draws the conclusions. cut is why it could not read all of them.
func (t *watchTurn) look(ctx context.Context, due []Standing, apps map[fleet.ID]fleet.App) (seen []concluded, cut *fleet.Problem, err error) {
	standings := map[fleet.ID]Standing{}
	var todo []fleet.App
	for _, s := range due {
		app, known := apps[s.App]
		if !known { // deleted, out of scope, or in a list that was cut short: the night tells
			c := concluded{Look: Look{Standing: s, At: t.now()}}
			c.Watch = s.goesOn()
			seen = append(seen, c)
			continue
		}
		standings[s.App] = s
		todo = append(todo, app)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	reading, stop := context.WithCancel(ctx)
	defer stop()
	reader := eyes{heroku: t.cfg.Heroku, policy: t.policy, rules: t.cfg.Rules, now: t.now}
	for s := range reader.sights(reading, slices.Values(todo)) {
		if s.failed != nil {
			mu.Lock()
			errs = append(errs, s.failed)
			mu.Unlock()
			continue
		}
		if s.cut != nil {
			if cut == nil {
				cut = s.cut
				stop()
			}
			continue
		}
		wg.Go(func() {
			c, err := t.conclude(ctx, standings[s.Report.App.ID], s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			seen = append(seen, c)
		})
	}
	wg.Wait()
	if ctx.Err() != nil && len(seen) == 0 && cut == nil {
		return nil, nil, context.Cause(ctx)
	}
	slices.SortFunc(seen, func(a, b concluded) int { return cmp.Compare(a.Name, b.Name) })
	return seen, cut, errors.Join(errs...)
}

// conclude draws the conclusions from a look at one app.
func (t *watchTurn) conclude(ctx context.Context, before Standing, s sight) (concluded, error) {
	at := stamp(s.Report.App.ReadAt)
	c := concluded{Look: Look{Standing: before, At: at}, calls: s.calls}
	c.Watch = before.goesOn()
	if s.passing {
		c.Again = at.Add(t.timing.Retry)
		return c, nil
	}
	if !before.turned(s.Reading) {
		c.Watch, c.turns = before.settle(s.Reading, nil)
		return c, nil
	}
	ours, err := t.cfg.Ours(ctx, before.App, before.since())
	if err != nil {
		return c, err
	}
	if slices.ContainsFunc(ours, func(o Ours) bool { return o.Ended.IsZero() || o.Ended.After(at) }) {
		c.Again = at.Add(t.timing.Rest) // what it comes to is seen when it has ended
		return c, nil
	}
	if left := lastReady(ours); !left.IsZero() {
		before.Watch = before.goesOn()
		before.Watch.Left = left
		c.Standing = before
	}
	fallen := before.fallen(s.Reading)
	if len(fallen) == 0 || ranSince(ours, before.knownAt(fallen)) && lastReady(ours).IsZero() {
		c.Watch, c.turns = before.settle(s.Reading, ours)
		return c, nil
	}
	c.Watch = before.doubt(s.Reading, fallen)
	if surely := c.Watch.Since.Add(t.timing.Confirm); at.Before(surely) {
		c.Again = surely
		return c, nil
	}
	return t.confirm(ctx, before, s, c)
}

// confirm ends the doubts that a look has found again.
func (t *watchTurn) confirm(ctx context.Context, before Standing, s sight, c concluded) (concluded, error) {
	at, app := c.At, s.Report.App
	releases, err := t.cfg.Heroku.ReadReleases(ctx, app.ID, at.Add(-rollSafe), at)
	c.calls++
	if err != nil && at.Before(c.Watch.Since.Add(holdMost)) {
		c.Again = at.Add(t.timing.Retry)
		return c, nil
	}
	if again, held := inFlight(releases, c.Watch.Since, at); held {
		c.Again = again
		return c, nil
	}
	history, err := t.cfg.Store.Turns(ctx, app.ID, 100) // a check that turns every half hour for two days
	if err != nil {
		return c, err
	}
	ours, err := t.cfg.Ours(ctx, app.ID, at.Add(-flipsWithin))
	if err != nil {
		return c, err
	}
	fought := before.Watch
	c.Watch, c.turns = before.confirm(s.Reading, history, ours)
	c.found = true
	if flips := c.Watch.Flips; len(flips) >= flipsMatter {
		since, err := t.cfg.Heroku.ReadReleases(ctx, app.ID, flips[0].After, at)
		c.calls++
		known := fleet.Known(since)
		if p, ok := errors.AsType[*fleet.Problem](err); ok {
			known = fleet.Unknown[[]fleet.Release](p.Reason())
		} else if err != nil {
			return c, err
		}
		c.Watch.Fight = fight(app, c.Watch, flips, known)
	} else {
		c.Watch.Fight, c.Watch.FightTold = nil, time.Time{}
	}
	t.log.InfoContext(ctx, "an app is ready no more", "app", app.Name, "ref", app.ID)
	channel := cmp.Or(s.Rules.Channel, t.policy.Nightly.Channel)
	again := fought.Fought(at) && c.Watch.Fight != nil && at.Before(fought.FightTold.Add(fightEvery))
	if channel == "" || again {
		return c, nil
	}
	for i := range c.Watch.Drifts {
		c.Watch.Drifts[i].Told = true
	}
	c.drifted = drifted(c, s, channel)
	if c.Watch.Fight != nil {
		c.Watch.FightTold = at
	}
	return c, nil
}

// drifted is what is told of an app.
func drifted(c concluded, s sight, channel string) *Drifted {
	app := s.Report.App
	d := &Drifted{
		Line: Line{
			App: app.ID, Name: app.Name, Kind: LineRegressed, Increase: increase(s.Report), Size: sizeFor(s.Report), Yours: yours(s.Report),
			ReadAt: c.At, Fight: c.Watch.Fight,
		},
		Owner: s.Rules.Owner, Team: app.Team, Channel: channel, Found: c.At,
	}
	for _, f := range s.Report.Findings {
		i := slices.IndexFunc(c.Watch.Drifts, func(d Drift) bool { return d.Check == f.Check })
		if i < 0 {
			continue
		}
		of := c.Watch.Drifts[i]
		d.Checks, d.Evidence = append(d.Checks, f.Check), append(d.Evidence, f.Evidence)
		if of.After.After(d.After) {
			d.After = of.After
		}
		if d.Since.IsZero() || of.At.Before(d.Since) {
			d.Since = of.At
		}
	}
	if d.Fight != nil {
		d.Flips, d.Changes = c.Watch.Flips, c.Watch.Changes
	}
	return d
}

// knownAt is when the checks were last known not to fail, the one that is longest ago.
func (s *Standing) knownAt(checks []Finding) (first time.Time) {
	for _, f := range checks {
		if _, at := s.last(f.Check); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// ranSince says whether a ticket of ours ended at or after that time.
func ranSince(ours []Ours, at time.Time) bool {
	return slices.ContainsFunc(ours, func(o Ours) bool { return !stamp(o.Ended).Before(at) })
}

// lastReady is when the last ticket of ours ended, if it left the app ready.
func lastReady(ours []Ours) time.Time {
	if len(ours) == 0 {
		return time.Time{}
	}
	last := slices.MaxFunc(ours, func(a, b Ours) int { return a.Ended.Compare(b.Ended) })
	if !last.Ready {
		return time.Time{}
	}
	return stamp(last.Ended)
}
