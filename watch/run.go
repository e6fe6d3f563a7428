package watch

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Job is the piece of work that a watch runs in. *jobs.Job is one.
type Job interface {
	// Step runs do within the lease, and then record in a transaction that has made sure
	// of the lease and renewed it. It does nothing once the queue was told to stop.
	Step(ctx context.Context, do func(ctx context.Context) error, record func(ctx context.Context, tx *sql.Tx) error) error
	// Last records as Step does, also once the queue was told to stop.
	Last(ctx context.Context, record func(ctx context.Context, tx *sql.Tx) error) error
	// Stopping is closed once the queue was told to stop.
	Stopping() <-chan struct{}
	// Later is what a handler returns that has to wait.
	Later(at time.Time, why string) error
	// GiveUp is what a handler returns for work that can't be done, ever.
	GiveUp(err error) error
}

// Reader is what a watch reads of Heroku. *heroku.Client does; errors are *fleet.Problem.
type Reader interface {
	ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error)
	// ReadGlance is the app as one call tells it: with maintenance mode.
	ReadGlance(ctx context.Context, app fleet.ID) (fleet.App, error)
	ReadSettings(ctx context.Context, app fleet.App, parts fleet.Parts) (read fleet.App, calls int, err error)
	ReadDynos(ctx context.Context, app fleet.ID) ([]fleet.Dyno, error)
	ReadReleases(ctx context.Context, app fleet.ID, after, before time.Time) ([]fleet.Release, error)
	// ReadDomains are the hosts at which the app answers, in lower case; one may begin with "*.".
	ReadDomains(ctx context.Context, app fleet.ID) ([]string, error)
	// Skew is how far our clock is ahead of Heroku's.
	Skew(ctx context.Context) (time.Duration, error)
}

const (
	// staleAfter is how long after it was asked for a watch may begin at the latest: who
	// deploys then has long begun, or given up.
	staleAfter = 5 * time.Minute
	// beginAgain is how soon a watch is tried to be begun again that could not be.
	beginAgain = 5 * time.Second
	// beginWithin bounds the reading before a watch, well within a job's lease of a minute.
	beginWithin = 25 * time.Second
	// lookBack is how long before a watch a release was made that is watched too: with
	// preboot on, visitors are sent to the new dynos some minutes after it only.
	lookBack = 2 * time.Minute
	// lastLook is for how long the releases are tried to be read at the end.
	lastLook = time.Minute
	// endAgain is how soon a verdict that could not be stored is stored again.
	endAgain = time.Second
)

// RunnerConfig is what a Runner needs. Heroku, Prober and Policy are required, and Store
// for [Runner.Run].
type RunnerConfig struct {
	Store  Store
	Heroku Reader
	Prober *Prober
	Policy func() policy.Policy // in force now
	// Failing are the ids of the checks that the app fails, and of the required ones that
	// can't be told. Nil: nobody says.
	Failing func(ctx context.Context, app fleet.App) (failing, unknown []string)
	Timing  Timing
	Told    func()           // called when there is something to tell; nil: the queue finds it by itself
	Sampled func(Outcome)    // called with the outcome of each request, of any watch; nil: nobody counts
	Judged  func(Verdict)    // called with each verdict once it is stored; likewise
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default: none
}

// Runner carries watches out, each in one go: a watch that was interrupted is not taken up
// again, since nobody knows what went by meanwhile.
type Runner struct {
	cfg    RunnerConfig
	timing Timing
	now    func() time.Time
	log    *slog.Logger
	begin  func(Target) (probing, error)

	running atomic.Int64 // watches of this process
}

// probing is a *Probing.
type probing interface {
	Run(ctx context.Context, sample func(Sample), visit func(Visit)) error
	Close()
}

// NewRunner makes a Runner.
func NewRunner(cfg RunnerConfig) *Runner {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Told == nil {
		cfg.Told = func() {}
	}
	if cfg.Sampled == nil {
		cfg.Sampled = func(Outcome) {}
	}
	if cfg.Judged == nil {
		cfg.Judged = func(Verdict) {}
	}
	r := &Runner{cfg: cfg, timing: cfg.Timing.orDefaults(), now: stamped(cfg.Now), log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))}
	r.begin = func(t Target) (probing, error) {
		g, err := cfg.Prober.Begin(t)
		if err != nil {
			return nil, err // not g, which would be no nil probing
		}
		return g, nil
	}
	return r
}

// Running is how many watches this Runner carries out now.
func (r *Runner) Running() int { return int(r.running.Load()) }

// Run is the handler of WorkDeployWatch, in a queue of its own with a worker for each watch
// at a time: it keeps the job until the watch is over. Its ctx is one of work that nobody
// waits for. It returns nil once the watch has ended, whichever way, which is told in it.
func (r *Runner) Run(ctx context.Context, id string, job Job) error {
	w, err := r.cfg.Store.Watch(ctx, id)
	switch {
	case errors.Is(err, ErrNoWatch):
		return job.GiveUp(err)
	case err != nil:
		return fmt.Errorf("load %s: %w", id, err)
	case w.State == Ended:
		return nil
	case w.State == Running:
		return r.interrupted(ctx, w, job)
	}
	if late := r.now().Sub(w.Asked); late > staleAfter {
		w.Cut = cmp.Or(w.Cut, "it could not begin within five minutes")
		return r.finish(ctx, w, r.now(), job)
	}
	u, err := r.prepare(ctx, w.App, w)
	refused, isRefused := errors.AsType[*NotProbed](err)
	outside, isOutside := errors.AsType[*NotInScope](err)
	switch {
	case isRefused:
		w.Cut = refused.Why
		return r.finish(ctx, w, r.now(), job)
	case isOutside: // by the policy of a bot that was started anew meanwhile
		w.Cut = outside.Error()
		return r.finish(ctx, w, r.now(), job)
	case errors.Is(err, ErrTooMany) || errors.Is(err, ErrBusy):
		return job.Later(r.now().Add(beginAgain), err.Error())
	case err != nil:
		r.log.WarnContext(ctx, "a watch could not begin yet", "app", w.Name, "ref", w.ID, "err", err)
		return job.Later(r.now().Add(beginAgain), "the app could not be read")
	}
	defer u.probing.Close()
	return u.held(ctx, job)
}

// restarted begins the Cut of a watch that the bot itself did not outlive, whose verdict is
// Inconclusive whatever was seen.
const restarted = "the bot was restarted in the middle of it"

// interrupted ends a watch that runs nowhere: whoever ran it is gone.
func (r *Runner) interrupted(ctx context.Context, w Watch, job Job) error {
	now, seen := r.now(), w.seen()
	w.Cut = cmp.Or(w.Cut, fmt.Sprintf(restarted+", after %s", InWords(seen.Sub(w.Began))))
	w.Events = inserted(w.Events, Event{At: now, Kind: EventProbe, Text: "the bot is back, and does not go on with what it has missed"})
	return r.finish(ctx, w, seen, job)
}

// seen is until when it is known what became of the requests.
func (w Watch) seen() time.Time {
	if n := len(w.Seconds); n > 0 {
		return time.Unix(w.Seconds[n-1].At+1, 0).UTC()
	}
	return w.Began
}

// finish stores the verdict on w, as far as it was seen.
func (r *Runner) finish(ctx context.Context, w Watch, seen time.Time, job Job) error {
	for {
		var said Verdict
		err := job.Last(ctx, func(ctx context.Context, tx *sql.Tx) error {
			said = ""
			_, err := r.cfg.Store.ChangeWatchTx(ctx, tx, w.ID, func(stored *Watch) (Change, error) {
				if stored.State == Ended {
					return Change{}, nil
				}
				w.Rev, w.StopBy = stored.Rev, cmp.Or(w.StopBy, stored.StopBy)
				*stored = w
				change := stored.conclude(seen, r.now())
				said = stored.Verdict
				return change, nil
			})
			return err
		})
		if err == nil {
			if said != "" {
				r.cfg.Judged(said)
			}
			r.cfg.Told()
			return nil
		}
		// A database that is away for a moment must not cost the verdict: without it the
		// watch would end as interrupted.
		r.log.WarnContext(ctx, "a verdict could not be stored", "ref", w.ID, "err", err)
		if !pause(ctx, time.Now().Add(endAgain)) {
			return fmt.Errorf("store the verdict of %s: %w", w.ID, err)
		}
	}
}

// under is a watch that is about to begin, or under way.
type under struct {
	*Runner
	begun   Watch // as it began
	rec     *Recorder
	probing probing
	look    *looker
	log     *slog.Logger
}

// prepare reads the app afresh and reserves room for its probe. The watch begins with that.
func (r *Runner) prepare(ctx context.Context, app fleet.ID, w Watch) (*under, error) {
	ctx, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	ref, err := fleet.ParseRef(string(app))
	if err != nil {
		return nil, fmt.Errorf("watch %q: %w", app, err)
	}
	now, err := r.cfg.Heroku.ReadApp(ctx, ref)
	if err != nil {
		return nil, err
	}
	return r.ready(ctx, now, w)
}

// ready is prepare for an app that was just read. The watch takes from Asked to Until, from
// now on.
func (r *Runner) ready(ctx context.Context, app fleet.App, w Watch) (*under, error) {
	pol := r.cfg.Policy()
	if c := pol.InScope(app); !c.In {
		return nil, &NotInScope{App: app.Name, Why: c.Why}
	}
	target, err := NewTarget(app, pol.For(app))
	if err != nil {
		return nil, err
	}
	g, err := r.begin(target)
	if err != nil {
		return nil, err
	}
	w.URL, w.Probe = target.shown()
	w.Name, w.State = app.Name, Running
	w.Setup = setupOf(app)
	if r.cfg.Failing != nil {
		w.Setup.Failing, w.Setup.Unproved = r.cfg.Failing(ctx, app)
	}
	look := newLooker(r, app)
	look.domain(ctx, &w)
	recent := look.before(ctx, &w)
	length := w.Until.Sub(w.Asked)
	w.Began = r.now()
	w.Until = w.Began.Add(length)
	u := &under{Runner: r, rec: NewRecorder(w), probing: g, look: look, log: r.log.With("app", w.Name, "ref", w.ID)}
	u.rec.Timing = r.timing
	look.rec = u.rec
	for _, trouble := range look.early {
		u.rec.Trouble(trouble)
	}
	for _, rel := range recent {
		u.rec.Release(rel)
	}
	u.begun = u.rec.Snapshot(w.Began)
	return u, nil
}

// setupOf is what of the app decides how a release is handed over.
func setupOf(app fleet.App) Setup {
	feature := func(name string) fleet.Value[bool] {
		if on, known := app.Feature(name); known {
			return fleet.Known(on)
		}
		return fleet.Unknown[bool](app.Features.Why())
	}
	s := Setup{Preboot: feature(fleet.Preboot), Affinity: feature(fleet.SessionAffinity), InSpace: app.InSpace(), CheckedAt: app.ReadAt}
	if web, ok := app.Web(); ok {
		s.Web, s.Size = fleet.Known(web.Quantity), app.Size(web.Size).Name
	} else {
		s.Web = fleet.Unknown[int](app.Formation.Why())
	}
	return s
}

// errOver ends a snapshot of a watch that somebody else has ended meanwhile.
var errOver = errors.New("the watch is over by now")

// held runs the watch within its job.
func (u *under) held(ctx context.Context, job Job) error {
	var told time.Time
	save := func(ctx context.Context, snapshot Watch) (stop bool, err error) {
		now := u.now()
		tell := now.Sub(told) >= u.tellEvery()
		err = job.Step(ctx, nil, func(ctx context.Context, tx *sql.Tx) error {
			_, err := u.cfg.Store.ChangeWatchTx(ctx, tx, u.begun.ID, func(stored *Watch) (Change, error) {
				if stored.State == Ended {
					return Change{}, errOver
				}
				snapshot.Rev, snapshot.StopBy = stored.Rev, stored.StopBy
				*stored = snapshot
				c := Change{}
				if tell {
					c.Tell = now
				}
				return c, nil
			})
			return err
		})
		if err == nil && tell {
			told = now
			u.cfg.Told()
		}
		return snapshot.StopBy != "", err
	}
	// That it began is stored before the first request is sent: who finds it so after a
	// crash knows that some may have been.
	if _, err := save(ctx, u.begun); err != nil {
		if errors.Is(err, errOver) {
			return nil
		}
		return fmt.Errorf("begin %s: %w", u.begun.ID, err)
	}
	seen, err := u.run(ctx, job.Stopping(), save)
	if err != nil {
		if errors.Is(err, errOver) {
			return nil
		}
		return fmt.Errorf("watch %s: %w", u.begun.ID, err)
	}
	return u.finish(ctx, u.rec.Snapshot(seen), seen, job)
}

// tellEvery is how often the message of a watch is brought up to date: each other snapshot,
// and with many watches so seldom that all of them together stay far below the fifty
// messages a minute that Slack takes (Slack, "Rate limits", tier 3).
func (u *under) tellEvery() time.Duration {
	return time.Duration(max(2, u.running.Load()/2)) * u.timing.Save
}

// run probes until the watch is over, and says until when it was there. save is given
// snapshots, and tells whether somebody wants the watch to end. An error means that no
// verdict may be stored: the right to it is lost.
func (u *under) run(ctx context.Context, stopping <-chan struct{}, save func(context.Context, Watch) (stop bool, err error)) (seen time.Time, err error) {
	u.running.Add(1)
	defer u.running.Add(-1)
	probes, endProbes := context.WithCancel(ctx)
	looks, endLooks := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer endLooks()
	defer endProbes()
	probed := make(chan error, 1)
	wg.Go(func() {
		probed <- guarded(func() error {
			return u.probing.Run(probes, func(s Sample) { u.rec.Sample(s); u.cfg.Sampled(s.Outcome) }, u.rec.Visit)
		})
	})
	wg.Go(func() {
		if err := guarded(func() error { u.look.run(looks); return nil }); err != nil {
			u.log.ErrorContext(ctx, "the looks at an app ended", "err", err)
			u.rec.Cut("what happened at Heroku could not be followed: " + err.Error())
		}
	})

	why := u.until(ctx, stopping, probed, save)
	if why.err != nil {
		u.probing.Close()
		return time.Time{}, why.err
	}
	seen = u.now()
	u.rec.Cut(why.cut)
	endLooks()
	endProbes()
	if why.hurry {
		u.probing.Close()
	}
	wg.Wait()
	u.look.settle(seen)
	return seen, nil
}

// ending is why a watch ends.
type ending struct {
	cut   string // why before its time; empty: its time has come
	hurry bool   // nobody waits for what is under way
	err   error  // see run
}

// until waits until the watch is to end.
func (u *under) until(ctx context.Context, stopping <-chan struct{}, probed <-chan error, save func(context.Context, Watch) (stop bool, err error)) ending {
	var overdue time.Time
	next, tick := u.begun.Until, time.Now()
	for {
		timer := time.NewTimer(min(u.timing.Save, max(next.Sub(u.now()), time.Millisecond)))
		select {
		case <-timer.C:
		case <-stopping:
			timer.Stop()
			return ending{cut: restarted, hurry: true}
		case <-ctx.Done():
			timer.Stop()
			return ending{err: context.Cause(ctx)}
		case err := <-probed:
			timer.Stop()
			if err == nil && ctx.Err() != nil {
				return ending{err: context.Cause(ctx)}
			}
			if refused, ok := errors.AsType[*NotProbed](err); ok {
				return ending{cut: refused.Why}
			}
			u.log.ErrorContext(ctx, "a probe ended by itself", "err", err)
			return ending{cut: "the probe ended by itself"}
		}
		// Releases are tied to requests by this machine's clock. Setting it by NTP bit by bit
		// moves both of its clocks.
		if step := stepped(time.Now(), tick); step.Abs() > clockStep {
			return ending{cut: "the clock of the bot's machine was set by " + InWords(step.Abs()) + ", or the machine slept"}
		}
		tick = time.Now()
		now := u.now()
		snapshot := u.rec.Snapshot(now)
		stop, err := save(ctx, snapshot)
		switch {
		case errors.Is(err, errOver):
			return ending{err: err}
		case err != nil && ctx.Err() == nil:
			// Whoever has the watch by now ends it; a database that is away for a moment does
			// not keep it from being proved. The lease, and ctx with it, bounds the wait.
			u.log.WarnContext(ctx, "a snapshot of a watch could not be stored", "err", err)
		case stop:
			return ending{} // its verdict says what that leaves open
		}
		next = snapshot.Until
		if now.Before(next) {
			overdue = time.Time{}
			continue
		}
		// A release that was made a moment ago makes it longer.
		if u.look.releases(ctx) {
			snapshot = u.rec.Snapshot(u.now())
			if next = snapshot.Until; u.now().Before(next) {
				continue
			}
			u.look.dynosAtEnd(ctx)
			snapshot = u.rec.Snapshot(u.now())
			// The last answers may take a time-out long, and the verdict needs the lease: it is
			// renewed. Where that fails, storing the verdict does too, and is tried again.
			if _, err := save(ctx, snapshot); errors.Is(err, errOver) {
				return ending{err: err}
			}
			return ending{}
		}
		if overdue.IsZero() {
			overdue = now
		}
		if now.Sub(overdue) >= lastLook {
			return ending{cut: "Heroku could not be asked at the end which releases there were"}
		}
		next = now.Add(u.timing.Look)
	}
}

// guarded makes a panic an error: one watch must not end the bot.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// OnceFor is a watch for a terminal.
type OnceFor struct {
	App fleet.App     // as it was just read
	For time.Duration // 0: as long as the policy says
}

// Once is a watch without a store and a job, for a terminal: it calls each with a snapshot
// now and then, and returns the watch with its verdict. When ctx ends before its time, the
// verdict says so. It refuses as [Desk.Ask] does, but whoever has the token may.
func (r *Runner) Once(ctx context.Context, of OnceFor, each func(Watch)) (Watch, error) {
	pol := r.cfg.Policy()
	length := cmp.Or(of.For, pol.Watch.Lasts)
	if length < Shortest || length > Longest {
		return Watch{}, ErrLength
	}
	now := r.now()
	u, err := r.ready(ctx, of.App, Watch{App: of.App.ID, Asked: now, Until: now.Add(length)})
	if err != nil {
		return Watch{}, err
	}
	defer u.probing.Close()
	each(u.begun)
	// The loop itself goes on a moment longer than ctx, to give the verdict.
	seen, err := u.run(context.WithoutCancel(ctx), ctx.Done(), func(_ context.Context, w Watch) (bool, error) {
		each(w)
		return false, nil
	})
	if err != nil {
		return Watch{}, err
	}
	w := u.rec.Snapshot(seen)
	if w.Cut != "" && ctx.Err() != nil {
		w.Cut = "it was interrupted"
	}
	return w.Judge(seen), nil
}
