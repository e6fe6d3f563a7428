package heroku

import (
	"context"
	"slices"
	"sync"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// ReadSettings reads the formation of an app of a [fleet.Roll], and then the parts that
// it calls for, at the fewest calls: one for the formation, one for each part. What the
// formation tells of autoscaling by itself costs none. It is for background work over many
// apps: each request has a time of its own ([Timing.Part], [Timing.Monitor]), and the
// tokens for the whole app are waited for before the first, within ctx's deadline, so that
// no app is left half read.
//
// A part that could not be read is unknown with its reason; where that is the formation
// the other parts are unknown for the same reason, and are not asked for. calls counts
// the requests that were sent, those to the metrics host included.
//
// The error, a *fleet.Problem, says that what could not be read is not the app's doing:
// the account's limit is used up (RetryAfter says for how long), the token is refused, or
// ctx has ended. Nothing of the app is to be judged then.
func (c *Client) ReadSettings(ctx context.Context, app fleet.App, parts fleet.Parts) (_ fleet.App, calls int, err error) {
	s := &settings{c: c, parts: parts, app: app}
	own := new(tally)
	ctx = withTally(eachWithin(ctx, c.timing.Part), own)
	tokens := 1
	for _, wanted := range []func(fleet.App) bool{parts.Features, parts.Buildpacks} { // the metrics host takes none
		if wanted != nil {
			tokens++
		}
	}
	s.app.ReadAt = time.Now()
	done, err := own.prepay(ctx, c.inner.bucket, tokens)
	if err != nil {
		p := c.problem(ctx, "read formation", app.Name, err)
		s.unread(p)
		return s.app, 0, p
	}
	defer done()
	s.app.ReadAt = time.Now()
	s.read(ctx)
	if s.failed == nil && ctx.Err() != nil {
		s.failed = c.problem(ctx, "read settings", app.Name, context.Cause(ctx))
	}
	if s.failed != nil {
		return s.app, own.count(), s.failed
	}
	return s.app, own.count(), nil
}

// settings is one ReadSettings under way.
type settings struct {
	c     *Client
	parts fleet.Parts
	app   fleet.App

	mu     sync.Mutex
	failed *fleet.Problem // the first that was not the app's doing; nil: there was none
}

func (s *settings) read(ctx context.Context) {
	raw, p := settingsList[formationRow](ctx, s, "read formation", "/formation")
	if p != nil {
		s.unread(p)
		return
	}
	s.app.Formation = fleet.Known(processes(raw))
	if slices.ContainsFunc(raw, func(p formationRow) bool { return fleet.SizeNamed(p.Size).Tier == fleet.FirDyno }) {
		s.app.Generation = fleet.Fir // teams' lists tell no generation
	}
	app := s.app // as the parts see it; each goroutine writes a part of its own
	var wg sync.WaitGroup
	if s.parts.Features != nil && s.parts.Features(app) {
		wg.Go(func() {
			s.app.Features = settingsPart(ctx, s, "read features", "/features", features)
		})
	}
	if s.parts.Buildpacks != nil && s.parts.Buildpacks(app) {
		wg.Go(func() {
			s.app.Buildpacks = settingsPart(ctx, s, "read buildpacks", "/buildpack-installations", buildpacksOf)
		})
	}
	if s.parts.Autoscaler != nil {
		without, told := s.c.autoscalerOf(app)
		switch {
		case told:
			s.app.Autoscaler = without
		case s.parts.Autoscaler(app):
			wg.Go(func() { s.app.Autoscaler = s.c.readMonitor(eachWithin(ctx, s.c.timing.Monitor), app) })
		}
	}
	wg.Wait()
}

// unread makes every part that was wanted unknown for one reason.
func (s *settings) unread(p *fleet.Problem) {
	why := p.Reason()
	s.app.Formation = fleet.Unknown[[]fleet.Process](why)
	if s.parts.Features != nil {
		s.app.Features = fleet.Unknown[map[string]fleet.Feature](why)
	}
	if s.parts.Buildpacks != nil {
		s.app.Buildpacks = fleet.Unknown[[]string](why)
	}
	if s.parts.Autoscaler != nil {
		s.app.Autoscaler = fleet.Unknown[fleet.Autoscaler](why)
	}
}

func settingsPart[R row, T any](ctx context.Context, s *settings, op, end string, turn func([]R) T) fleet.Value[T] {
	raw, p := settingsList[R](ctx, s, op, end)
	if p != nil {
		return fleet.Unknown[T](p.Reason())
	}
	return fleet.Known(turn(raw))
}

func settingsList[R row](ctx context.Context, s *settings, op, end string) ([]R, *fleet.Problem) {
	raw, err := all(pages(ctx, s.c, nil, func(ctx context.Context, lr *platform.ListRange) ([]R, error) {
		return rows[R](ctx, s.c, "/apps/"+string(s.app.ID)+end, lr)
	}))
	if err == nil {
		return raw, nil
	}
	p := s.c.problem(ctx, op, s.app.Name, err)
	if p.Kind == fleet.RateLimited || p.Kind == fleet.Unauthorized {
		s.mu.Lock()
		if s.failed == nil {
			s.failed = p
		}
		s.mu.Unlock()
	}
	return nil, p
}
