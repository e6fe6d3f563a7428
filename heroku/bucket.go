package heroku

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/secret"
)

// Heroku's limit (Platform API reference, "Rate Limits"): a bucket an account, shared
// with everybody and everything that uses the account, and refilled by
// [fleet.CallsPerMinute].
const (
	bucketSize     = 4500
	defaultReserve = 500 // what background work leaves to others: some fifty reads of an app
	hardFloor      = 20  // what even a change leaves, for the CLI of whoever mends the outage
)

// bucket keeps our picture of the account's limit: it refills by the clock and is set
// right by each RateLimit-Remaining. golang.org/x/time/rate can't be told a level, and
// knows one floor where background work, people and changes have three; hence our own.
//
// Heroku's count is from somewhere between the sending of a call and its answer, and
// answers overtake one another. So each is taken for the least that it can mean: the
// level is never above what Heroku has but for what others use at that very moment.
type bucket struct {
	reserve int
	turn    chan struct{} // held by the one of all background work that waits for tokens

	mu      sync.Mutex
	level   float64 // tokens at the time `at`
	at      time.Time
	flying  int           // tokens taken whose answer is not in
	settled int           // how many answers came in, ever
	closed  time.Time     // until then Heroku said to stay away (Retry-After)
	changed chan struct{} // closed when the level was set right, which may end a wait
}

// newBucket is full as far as it knows: the first answer tells.
func newBucket(now time.Time, reserve int) *bucket {
	return &bucket{reserve: max(reserve, hardFloor), turn: make(chan struct{}, 1), level: bucketSize, at: now, changed: make(chan struct{})}
}

func (b *bucket) advance(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.level = min(bucketSize, b.level+d.Minutes()*fleet.CallsPerMinute)
		b.at = now
	}
}

// left is the level as far as it is known.
func (b *bucket) left(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	return int(math.Floor(b.level))
}

// wait is how long until n more tokens may be taken; 0: now.
func (b *bucket) wait(now time.Time, floor, n int) time.Duration {
	b.advance(now)
	short := float64(floor+n) - b.level
	const rounding = 1e-6 // so that a wait computed in floats has surely filled the token
	d := time.Duration(0)
	if short > rounding {
		d = time.Duration(math.Ceil(short / fleet.CallsPerMinute * float64(time.Minute)))
	}
	return max(d, b.closed.Sub(now), 0)
}

// floor is what a request has to leave: background work the whole reserve; what people
// ask half of it, because the account is shared with people who use no chat; a change
// that was approved, and may be half done, next to nothing.
func (b *bucket) floor(ctx context.Context) int {
	switch rankOf(ctx) {
	case background:
		return b.reserve
	case urgent:
		return hardFloor
	}
	return b.people()
}

func (b *bucket) people() int { return max(b.reserve/2, hardFloor) }

// take takes n tokens at once, waiting for them as long as ctx's deadline allows: when
// they can't come in time it says so at once rather than let a person wait for nothing.
// Background work waits in a queue, first come first served, and wakes one by one.
func (b *bucket) take(ctx context.Context, n int) *fleet.Problem {
	if rankOf(ctx) == background {
		if _, p := b.tooLong(ctx, n); p != nil {
			return p
		}
		select {
		case b.turn <- struct{}{}:
			defer func() { <-b.turn }()
		case <-ctx.Done():
			return b.gaveUp(ctx, n)
		}
	}
	for {
		wait, changed := b.tryTake(ctx, n)
		if wait == 0 {
			return nil
		}
		if wait, p := b.tooLong(ctx, n); p != nil {
			return p
		} else if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return b.gaveUp(ctx, n)
		}
	}
}

// tryTake takes n tokens and answers 0, or tells how long to wait for them unless
// changed is closed before.
func (b *bucket) tryTake(ctx context.Context, n int) (wait time.Duration, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait = b.wait(time.Now(), b.floor(ctx), n); wait == 0 {
		b.level -= float64(n)
		b.flying += n
	}
	return wait, b.changed
}

// tooLong tells how long n tokens have to be waited for, and whether that is longer than
// ctx allows.
func (b *bucket) tooLong(ctx context.Context, n int) (time.Duration, *fleet.Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	wait := b.wait(now, b.floor(ctx), n)
	if deadline, ok := ctx.Deadline(); ok && wait > 0 && now.Add(wait).After(deadline) {
		return wait, b.keptBack(ctx, wait)
	}
	return wait, nil
}

// gaveUp is why there are no tokens for a ctx that has ended: its deadline came before
// they did, or somebody ended it.
func (b *bucket) gaveUp(ctx context.Context, n int) *fleet.Problem {
	if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return connectionProblem(ctx, context.Cause(ctx), secret.Text{})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keptBack(ctx, b.wait(time.Now(), b.floor(ctx), n))
}

func (b *bucket) keptBack(ctx context.Context, wait time.Duration) *fleet.Problem {
	return &fleet.Problem{
		Kind:       fleet.RateLimited,
		Message:    fmt.Sprintf("about %d of the account's %d calls are left, and %d are kept back", int(max(b.level, 0)), bucketSize, b.floor(ctx)),
		RetryAfter: roundUp(wait),
		Err:        errKeptBack,
	}
}

// giveBack returns tokens for which nothing was sent.
func (b *bucket) giveBack(now time.Time, n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying -= n
	b.advance(now)
	b.set(now, b.level+float64(n))
}

// sending tells how many answers came in so far, for [bucket.answered].
func (b *bucket) sending() (settled int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.settled
}

// answered settles a token taken, and sent when so many answers had come in: told is the
// RateLimit-Remaining, or negative when the answer had none. What is under way still may
// not be counted in it, so it is taken off. The calls that were answered meanwhile
// overtook this one, and may not be counted either: where our own count knows better
// than to believe in more, it stands.
func (b *bucket) answered(now time.Time, told, sent int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	overtook := b.settled - sent
	b.settled++
	b.flying--
	if told < 0 {
		return
	}
	b.advance(now)
	most := float64(told - b.flying)
	b.set(now, max(min(b.level, most), most-float64(overtook)))
}

// told sets the level by an answer that took no token.
func (b *bucket) told(now time.Time, remaining int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(now, float64(remaining-b.flying))
}

// refused notes a 429. Where Heroku told how many are left that stands; where it did
// not, people are let through again at the pace of the refill, so that one odd 429
// does not shut them out, and background work waits for its reserve.
func (b *bucket) refused(now time.Time, retryAfter time.Duration, told bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !told {
		b.advance(now)
		b.set(now, min(b.level, float64(b.people())))
	}
	if until := now.Add(retryAfter); until.After(b.closed) {
		b.closed = until
	}
}

func (b *bucket) set(now time.Time, level float64) {
	b.advance(now)
	if level > b.level {
		close(b.changed)
		b.changed = make(chan struct{})
	}
	b.level = min(level, bucketSize)
}

// waiting is how long a caller of ctx's class would have to wait now.
func (b *bucket) waiting(ctx context.Context) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return roundUp(b.wait(time.Now(), b.floor(ctx), 1))
}

func roundUp(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
