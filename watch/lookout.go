package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

const (
	// lookoutEvery is how often the list of apps is read: a watch that begins half a minute
	// after a release is there before preboot hands anything over.
	lookoutEvery = 30 * time.Second
	// lookoutPerMinute is how many calls the lookout takes of the account's limit at the
	// most: a tenth of what comes back.
	lookoutPerMinute = fleet.CallsPerMinute / 10.0
	// lookoutWithin bounds one look, within a job's lease.
	lookoutWithin = 45 * time.Second
	// lookoutOff is how often a lookout that the policy switches off looks at the policy.
	lookoutOff = 10 * time.Minute
	// lookoutReads is how many apps one look reads whole, at ten calls each: of many that are
	// released at once, as by a change of a shared setting, the others wait for the next look.
	lookoutReads = 5
	// stageGood is for how long it is not asked again that an app is not in production.
	stageGood = 30 * time.Minute
	// lookoutRetry is the pause after the apps could not be listed, where Heroku says none.
	lookoutRetry = time.Minute
)

// Lister is what a Lookout reads with. *heroku.Client does; errors are *fleet.Problem.
type Lister interface {
	// ListApps lists apps with all that lists tell of them, and how many calls it took. With
	// an error come the apps that were listed nevertheless.
	ListApps(ctx context.Context, filter fleet.Filter) (apps []fleet.App, calls int, err error)
	ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error)
	// Skew is how far our clock is ahead of Heroku's.
	Skew(ctx context.Context) (time.Duration, error)
}

// LookoutConfig is what a Lookout needs. Desk, Heroku and Policy are required.
type LookoutConfig struct {
	Desk   *Desk
	Heroku Lister
	Policy func() policy.Policy // in force now
	Every  time.Duration        // 0: 30 s; less is for a demo
	Now    func() time.Time     // default time.Now
	Log    *slog.Logger         // default: none
}

// Lookout begins a watch for each release of the apps that the policy's `watch.releases`
// names, by the time at which Heroku's list of apps says that each was released last.
//
// There is one job of it, and each watch has the release in its Origin, so that any number
// of replicas begin one watch a release. It keeps nothing that must not be lost: a release
// of a time at which no bot ran is too old to be watched.
type Lookout struct {
	cfg LookoutConfig
	now func() time.Time
	log *slog.Logger

	mu   sync.Mutex
	done map[fleet.ID]time.Time // the release of each app that needs nothing more
	out  map[fleet.ID]time.Time // until when an app counts as not in production
	skew fleet.Value[time.Duration]
}

// NewLookout makes a Lookout.
func NewLookout(cfg LookoutConfig) *Lookout {
	cfg.Every = cmp.Or(cfg.Every, lookoutEvery)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Lookout{cfg: cfg, now: stamped(cfg.Now), log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)), done: map[fleet.ID]time.Time{}, out: map[fleet.ID]time.Time{}}
}

// Look is the handler of WorkLookout, whose ctx is one of work that nobody waits for. It
// looks once, and never ends.
func (l *Lookout) Look(ctx context.Context, job Job) error {
	pol := l.cfg.Policy()
	if pol.Watch.Releases == policy.WatchNone {
		return job.Later(l.now().Add(lookoutOff), "the policy has no releases watched by themselves")
	}
	begun := l.now()
	within, cancel := context.WithTimeout(ctx, lookoutWithin)
	defer cancel()
	calls, err := l.look(within, pol)
	every := max(l.cfg.Every, time.Duration(float64(calls)/lookoutPerMinute*float64(time.Minute)))
	switch problem, ok := errors.AsType[*fleet.Problem](err); {
	case ok && ctx.Err() == nil:
		l.log.WarnContext(ctx, "the lookout for releases could not list the apps", "err", err)
		return job.Later(l.now().Add(max(problem.RetryAfter, min(lookoutRetry, 2*every))), "the apps could not all be listed: "+problem.Reason().Text)
	case err != nil:
		return err
	}
	return job.Later(begun.Add(every), "until the next look at the releases")
}

// look lists the apps, and begins a watch for each that was released a moment ago.
func (l *Lookout) look(ctx context.Context, pol policy.Policy) (calls int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.skew.IsKnown() {
		if skew, err := l.cfg.Heroku.Skew(ctx); err == nil {
			l.skew = fleet.Known(skew)
		}
	}
	apps, calls, err := l.cfg.Heroku.ListApps(ctx, fleet.Filter{Teams: pol.Scope.Teams})
	if limited, ok := errors.AsType[*fleet.Problem](err); ok && limited.Kind == fleet.RateLimited {
		return calls, err
	}
	// Where the lists take long to read the next look is late, and would find nothing fresh.
	fresh := lookBack + time.Duration(float64(calls)/lookoutPerMinute*float64(time.Minute))
	now, reads := l.now(), 0
all:
	for _, app := range apps {
		since := now.Sub(app.ReleasedAt.Add(l.skew.Or(0)))
		switch {
		case app.ReleasedAt.IsZero() || since > fresh || l.done[app.ID].Equal(app.ReleasedAt):
			continue
		case now.Before(l.out[app.ID]) || !maybeInScope(pol, app):
			l.done[app.ID] = app.ReleasedAt
			continue
		}
		if reads++; reads > lookoutReads {
			break all
		}
		over, failed := l.released(ctx, pol, app)
		if over {
			l.done[app.ID] = app.ReleasedAt
		}
		if errors.Is(failed, ErrTooMany) || errors.Is(failed, ErrBusy) { // so it is for the others
			l.log.WarnContext(ctx, "a release can't be watched yet", "app", app.Name, "err", failed)
			break all
		}
		if failed != nil {
			return calls, failed
		}
	}
	maps.DeleteFunc(l.done, func(_ fleet.ID, at time.Time) bool { return now.Sub(at.Add(l.skew.Or(0))) > 2*fresh })
	maps.DeleteFunc(l.out, func(_ fleet.ID, until time.Time) bool { return !now.Before(until) })
	return calls, err
}

// originOf names an app's latest release in the origin of its watch.
func originOf(app fleet.App) string {
	return fmt.Sprintf("release:%s:%d", app.ID, app.ReleasedAt.UnixMilli())
}

// releasedAt is when the release was made that asked for a watch, by Heroku's clock.
func releasedAt(origin string) (at time.Time, ok bool) {
	rest, ok := strings.CutPrefix(origin, "release:")
	if !ok {
		return time.Time{}, false
	}
	ms, err := strconv.ParseInt(rest[strings.LastIndexByte(rest, ':')+1:], 10, 64)
	return time.UnixMilli(ms).UTC(), err == nil
}

// maybeInScope says whether an app of a list may be in scope: its pipeline is not known.
func maybeInScope(pol policy.Policy, app fleet.App) bool {
	app.Pipeline = fleet.Unknown[fleet.Coupling](fleet.Reason{Kind: fleet.NotTold, Text: "not read yet"})
	return pol.InScope(app).In
}

// released begins a watch of an app's latest release, where the policy wants it. over says
// that nothing is left to be done about that release.
func (l *Lookout) released(ctx context.Context, pol policy.Policy, listed fleet.App) (over bool, err error) {
	ref, err := fleet.ParseRef(string(listed.ID))
	if err != nil {
		return true, nil
	}
	app, err := l.cfg.Heroku.ReadApp(ctx, ref)
	if err != nil {
		l.log.WarnContext(ctx, "an app that was released could not be read", "app", listed.Name, "err", err)
		return false, nil // again at the next look, while the release is fresh
	}
	if pol.Watch.Releases == policy.WatchProduction {
		switch at, known := app.Pipeline.Get(); {
		case !known:
			return false, nil
		case at.Stage != "production":
			l.out[app.ID] = l.now().Add(stageGood)
			return true, nil
		}
	}
	w, made, err := l.cfg.Desk.Ask(ctx, AskFor{App: app, Origin: originOf(listed)})
	_, unprobed := errors.AsType[*NotProbed](err)
	_, outside := errors.AsType[*NotInScope](err)
	_, readOnly := errors.AsType[*ReadOnly](err)
	switch {
	case unprobed || outside || readOnly:
		l.log.InfoContext(ctx, "a release is not watched", "app", app.Name, "err", err)
		return true, nil
	case err != nil:
		return false, err
	case made:
		l.log.InfoContext(ctx, "a release is watched", "app", app.Name, "ref", w.ID)
	}
	return true, nil // made by another replica, or watched already
}
