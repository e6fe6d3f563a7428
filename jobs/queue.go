package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// storeTimeout bounds each talk with the database. A stop takes Grace, then what the
	// last Step records, then how its job went: together with the default Grace less than
	// the 30 s that Heroku gives a dyno to stop.
	storeTimeout = 5 * time.Second
	// leastWait keeps a job that asks to run again at once, and a store that says that
	// something is due and then finds nothing, from turning in circles.
	leastWait = time.Second
	// maxError is how much of an error is stored, in bytes.
	maxError = 2000
	// defaultWorkers is how many jobs run at once: they wait for Heroku and Slack most
	// of the time, and each of them may take a database connection now and then.
	defaultWorkers = 4
)

// Timing is every wait of the queue. A zero field means its default.
type Timing struct {
	// Lease is how long a job that was claimed, or had a Step, is left alone: after a
	// crash it takes that long until somebody goes on. Default 1 minute, which is enough
	// for one write with its reads at Heroku's time-out of 30 s.
	Lease time.Duration
	// Margin is how long before the end of the lease its owner stops: that much may the
	// clocks of two replicas differ. Default a sixth of the Lease, at most half of it.
	Margin time.Duration
	// Look is how often the queue looks for what other replicas enqueued, and at most
	// how long it sleeps. Default 30 seconds.
	Look time.Duration
	// Retry is the pause after the first failure; it doubles with each one in a row, up
	// to RetryMost, and varies by up to a half, so that what failed together does not
	// come back together. Defaults 2 seconds and 5 minutes.
	Retry, RetryMost time.Duration
	// Grace is how long a Step that has begun may take to end after the queue was told
	// to stop. Default 15 seconds, half of what Heroku gives a dyno.
	Grace time.Duration
}

func (t Timing) withDefaults() Timing {
	t.Lease = cmp.Or(t.Lease, time.Minute)
	t.Margin = min(cmp.Or(t.Margin, t.Lease/6), t.Lease/2)
	t.Look = cmp.Or(t.Look, 30*time.Second)
	t.Retry = cmp.Or(t.Retry, 2*time.Second)
	t.RetryMost = cmp.Or(t.RetryMost, 5*time.Minute)
	t.Grace = cmp.Or(t.Grace, 15*time.Second)
	return t
}

// pause is how long to wait after that many failures in a row.
func (t Timing) pause(failures int) time.Duration {
	d := t.RetryMost
	// Beyond that many doublings the pause is the longest in any case.
	if n := failures - 1; n < 32 && t.Retry < t.RetryMost>>n {
		d = t.Retry << n
	}
	return d - mathrand.N(d/2+1)
}

// Config is what a Queue needs. Store and Handlers are required.
type Config struct {
	Store    Store
	Handlers map[string]Handler // by kind
	// GiveUpAfter is, by kind, how long after the first of its failures in a row a job
	// that fails again is given up, as by GiveUp. A kind that is not here is tried for
	// ever. Most handlers do better to look at Job.FailingSince themselves, and tell
	// somebody.
	GiveUpAfter map[string]time.Duration
	// Farthest is how long a job of this queue waits at the most. One that would wait longer
	// was put off before the clock was set back, and is due now. 0: any wait is meant.
	Farthest time.Duration
	Owner    string              // for people who look at the table; default: random, new with each start
	Workers  int                 // jobs that run at once; default 4
	Timing   Timing              //
	Redact   func(string) string // takes secrets out of errors and panics before they are stored or logged; default: leaves them as they are
	Log      *slog.Logger        // default: none
	Now      func() time.Time    // default time.Now
}

// Queue runs the jobs of a store. Any number of queues may share one.
type Queue struct {
	store    Store
	handlers map[string]Handler
	kinds    []string
	limits   map[string]time.Duration
	farthest time.Duration
	owner    string
	workers  int
	timing   Timing
	redact   func(string) string
	log      *slog.Logger
	now      func() time.Time
	wake     chan struct{}
}

// New makes a queue that does nothing before Run.
func New(c Config) *Queue {
	q := &Queue{
		store: c.Store, handlers: maps.Clone(c.Handlers), kinds: slices.Sorted(maps.Keys(c.Handlers)), limits: maps.Clone(c.GiveUpAfter), farthest: c.Farthest,
		owner: cmp.Or(c.Owner, rand.Text()), workers: cmp.Or(max(c.Workers, 0), defaultWorkers), timing: c.Timing.withDefaults(),
		redact: c.Redact, log: cmp.Or(c.Log, slog.New(slog.DiscardHandler)), now: c.Now, wake: make(chan struct{}, 1),
	}
	if q.redact == nil {
		q.redact = func(s string) string { return s }
	}
	if q.now == nil {
		q.now = time.Now
	}
	return q
}

// Wake has the queue look for work now. Call it after the commit of what enqueued a
// job, or when the clock was moved; it never blocks.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run claims jobs that are due and runs them, until ctx ends. Then it claims nothing
// more, lets the Steps that have begun end, hands back the jobs that are not done, so
// that the next program need not wait for their leases, and returns nil once the last
// handler has returned. It calls no handler twice for one claim. A database that
// can't be reached is logged and asked again.
func (q *Queue) Run(ctx context.Context) error {
	work, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	var running sync.WaitGroup
	slots := make(chan struct{}, q.workers)
	troubles := 0 // with the database, in a row
	for {
		select {
		case <-ctx.Done():
		case slots <- struct{}{}:
		}
		if ctx.Err() != nil {
			break
		}
		asked := q.now()
		c, found, err := q.claim(ctx, asked)
		if found {
			troubles = 0
			running.Go(func() {
				defer q.Wake() // a worker, and perhaps a group, is free
				defer func() { <-slots }()
				q.run(ctx, work, c, asked)
			})
			continue
		}
		<-slots
		wait := q.timing.Look
		if err == nil {
			wait, err = q.untilNext(ctx)
		}
		if err == nil {
			troubles = 0
		} else {
			q.log.WarnContext(ctx, "could not look for jobs", "err", q.redact(err.Error()))
			wait = min(q.timing.Look, leastWait<<min(troubles, 16))
			troubles++
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	grace := time.AfterFunc(q.timing.Grace, func() { cut(errStopping) })
	defer grace.Stop()
	running.Wait()
	return nil
}

// claim asks for a job. It is not given up half-way when ctx ends: a claim that came
// true unheard would keep the job from everybody for a lease.
func (q *Queue) claim(ctx context.Context, asked time.Time) (Claimed, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	c := Claim{Owner: q.owner, Kinds: q.kinds, Now: asked, Until: asked.Add(q.timing.Lease)}
	if q.farthest > 0 {
		c.Beyond = asked.Add(q.farthest)
	}
	return q.store.ClaimJob(ctx, c)
}

// untilNext is how long to sleep when nothing is due.
func (q *Queue) untilNext(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	at, found, err := q.store.NextJob(ctx, q.kinds)
	if err != nil || !found {
		return q.timing.Look, err
	}
	return min(q.timing.Look, max(at.Sub(q.now()), min(leastWait, q.timing.Look))), nil
}

// run runs one job that was claimed. ctx ends when the queue is told to stop, work when
// everything has to be over.
func (q *Queue) run(ctx, work context.Context, c Claimed, asked time.Time) {
	log := q.log.With("ref", c.ID(), "attempt", c.Attempt)
	j := &Job{Claimed: c, q: q, stop: ctx.Done()}
	j.hold(asked)
	held, lost := context.WithCancelCause(work)
	defer lost(nil)
	j.ended = time.AfterFunc(until(j.deadline, q.now()), func() { lost(ErrLost) })
	err := errStopping
	if ctx.Err() == nil {
		err = q.call(held, log, j)
	}
	j.ended.Stop()
	if err := q.settle(ctx, log, j, err); err != nil {
		// It runs again when the lease is over, and finds what was done.
		log.WarnContext(ctx, "could not write down how a job went", "err", q.redact(err.Error()))
	}
}

// call calls the handler; a panic is an error.
func (q *Queue) call(ctx context.Context, log *slog.Logger, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			log.ErrorContext(ctx, "job panicked", "err", q.redact(fmt.Sprintf("%v\n%s", p, debug.Stack())))
		}
	}()
	return q.handlers[j.Kind](ctx, j)
}

// settle writes down how a job went, where it still is ours.
func (q *Queue) settle(ctx context.Context, log *slog.Logger, j *Job, err error) error {
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err == nil {
		return q.store.FinishJob(ctx, j.lease(), q.now(), "")
	}
	if l, ok := errors.AsType[*later](err); ok {
		at := l.at
		if soonest := q.now().Add(leastWait); at.Before(soonest) {
			at = soonest
		}
		return q.store.RearmJob(ctx, j.lease(), Rearm{At: at, WaitsFor: q.storable(l.why)})
	}
	why := q.storable(err.Error())
	if _, ok := errors.AsType[*givenUp](err); ok {
		log.ErrorContext(ctx, "job given up", "err", why)
		return q.store.FinishJob(ctx, j.lease(), q.now(), cmp.Or(why, "given up"))
	}
	if stopping { // says nothing about the job
		return q.store.RearmJob(ctx, j.lease(), Rearm{At: q.now(), Failures: j.Failures, FailingSince: j.FailingSince, WaitsFor: "the bot was stopped"})
	}
	since := j.FailingSince
	if j.Failures == 0 || since.IsZero() {
		since = q.now()
	}
	if limit := q.limits[j.Kind]; limit > 0 && q.now().Sub(since) >= limit {
		log.ErrorContext(ctx, "job given up", "err", why)
		return q.store.FinishJob(ctx, j.lease(), q.now(), cmp.Or(why, "given up"))
	}
	at := q.now().Add(q.timing.pause(j.Failures + 1))
	log.WarnContext(ctx, "job failed, will be tried again", "err", why)
	return q.store.RearmJob(ctx, j.lease(), Rearm{At: at, Failures: j.Failures + 1, FailingSince: since, LastError: why})
}

// storable is a text as both databases take it, without secrets and not too long.
func (q *Queue) storable(s string) string {
	s = q.redact(s)
	if len(s) > maxError {
		s = s[:maxError]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}
