package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Handler does the work of a job, in as many Steps as it has outside effects. It has
// to find out by itself what was done before it was interrupted. It returns
//   - nil: the job is done;
//   - j.Later(…): it has to wait, and is not done;
//   - j.GiveUp(…): it can't be done, ever;
//   - any other error: try again, after a pause that doubles with each failure in a row.
//
// ctx ends when the lease does, which each Step renews, and Timing.Grace after the
// queue was told to stop. A handler that has to wait for long does not sleep: it
// returns Later, so that nothing is lost with the program. A panic is a failure.
//
// What the errors say is stored and logged, so they hold no secret (see Config.Redact).
type Handler func(ctx context.Context, j *Job) error

// Job is a job that runs. It belongs to its handler, until that returns, and is used
// by one goroutine at a time.
type Job struct {
	Claimed

	q        *Queue
	stop     <-chan struct{} // closed once the queue was told to stop
	deadline time.Time       // by the queue's clock
	ended    *time.Timer     // ends the handler's context at the deadline
}

// Deadline is until when the job may change anything outside: look again right before
// each write, because the process may have been paused meanwhile. It lies before the
// end of the lease by Timing.Margin, and moves on with each Step. It is told by
// Config.Now; the context of a Step's do has the same deadline by the real clock.
func (j *Job) Deadline() time.Time { return j.deadline }

// Later has the job run again at that time, or in a second if that is past, which
// counts as no failure: what was seen of earlier ones is forgotten. The job keeps its
// group. why is for people, and no secret.
func (j *Job) Later(at time.Time, why string) error { return &later{at, why} }

// GiveUp ends the job for good. Nothing happens then but that it is logged: a handler
// that has somebody to tell does so before.
func (j *Job) GiveUp(err error) error { return &givenUp{err} }

type later struct {
	at  time.Time
	why string
}

func (l *later) Error() string {
	return fmt.Sprintf("waits until %s: %s", l.at.UTC().Format(time.RFC3339), l.why)
}

type givenUp struct{ err error }

func (g *givenUp) Error() string {
	if g.err == nil {
		return "given up"
	}
	return g.err.Error()
}
func (g *givenUp) Unwrap() error { return g.err }

// errStopping is what a Step answers once the queue was told to stop.
var errStopping = errors.New("the queue is stopping")

// Step does one thing in the outside world and writes down that it was done.
//
// do runs with the end of the lease as its context's deadline; nil does nothing. If it
// returns an error, so does Step, and nothing is recorded. Otherwise record runs, in a
// transaction that first renews the lease; if somebody else has the job by then, Step
// answers ErrLost and record does not run. If do was done but Step returns an error, the
// job runs again, and must find by reading that it was done. nil records nothing and
// only renews. record uses nothing but tx and neither waits nor talks to a service.
//
// A Step does not begin once the lease is over or the queue was told to stop; one that
// has begun may end in peace, for Timing.Grace at most. Whatever Step returns, unless it
// is an error of do that the handler knows, the handler returns it too.
func (j *Job) Step(ctx context.Context, do func(ctx context.Context) error, record func(ctx context.Context, tx *sql.Tx) error) error {
	select {
	case <-j.stop:
		return errStopping
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	left := until(j.deadline, j.q.now())
	if left <= 0 {
		return ErrLost
	}
	if do != nil {
		held, cancel := context.WithTimeoutCause(ctx, left, ErrLost)
		defer cancel()
		if err := do(held); err != nil {
			return err
		}
	}
	return j.write(ctx, record)
}

// Stopping is closed once the queue was told to stop. A handler that goes on for long with
// something that can't be taken up again ends it then, and records so with [Job.Last].
func (j *Job) Stopping() <-chan struct{} { return j.stop }

// Last records as a Step does that does nothing outside, and also once the queue was told
// to stop: the last word of a handler that is about to return.
func (j *Job) Last(ctx context.Context, record func(ctx context.Context, tx *sql.Tx) error) error {
	if until(j.deadline, j.q.now()) <= 0 {
		return ErrLost
	}
	return j.write(ctx, record)
}

// write records in a transaction that has renewed the lease.
func (j *Job) write(ctx context.Context, record func(ctx context.Context, tx *sql.Tx) error) error {
	// What was done shall be written down, though the lease or the grace has just ended:
	// the fence tells whether it still may.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	now := j.q.now()
	err := j.q.store.Tx(ctx, func(tx *sql.Tx) error {
		if err := j.q.store.RenewJob(ctx, tx, j.lease(), now.Add(j.q.timing.Lease)); err != nil {
			return err
		}
		if record == nil {
			return nil
		}
		return record(ctx, tx)
	})
	if err != nil {
		return err
	}
	j.hold(now)
	return nil
}

func (j *Job) lease() Lease { return Lease{ID: j.ID(), Fence: j.Fence} }

// hold sets the deadline of a lease that was asked for at that time.
func (j *Job) hold(asked time.Time) {
	j.deadline = asked.Add(j.q.timing.Lease - j.q.timing.Margin)
	if j.ended != nil {
		j.ended.Reset(until(j.deadline, j.q.now()))
	}
}

// until is how long it is from now to the deadline, by the clock that is further on: the
// wall clock may have been set back, and the monotonic one stands still while the
// machine sleeps.
func until(deadline, now time.Time) time.Duration {
	return min(deadline.Sub(now), deadline.Round(0).Sub(now.Round(0)))
}
