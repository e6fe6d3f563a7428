package heroku

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/secret"
)

// Heroku's limit (Platform API reference, "Rate Limits"): a bucket an account, shared
// with everybody and everything that uses the account.
const (
	bucketSize     = 4500
	refillPerMin   = 75
	defaultReserve = 500 // what background work leaves to others: some fifty reads of an app
	hardFloor      = 20  // what even a change leaves, for the CLI of whoever mends the outage
)

// bucket keeps our picture of the account's limit: it refills by the clock and is set
// right by each RateLimit-Remaining. golang.org/x/time/rate can't be told a level, and
// knows one floor where background work, people and changes have three; hence our own.
//
// Answers that overtake one another may set the level wrong by as many calls as are
// under way; the next answer mends it and the floors are wider than that.
type bucket struct {
	reserve int

	mu      sync.Mutex
	level   float64 // tokens at the time `at`
	at      time.Time
	flying  int           // tokens taken whose answer is not in
	closed  time.Time     // until then Heroku said to stay away (Retry-After)
	changed chan struct{} // closed when the level was set right, which may end a wait
}

// newBucket is full as far as it knows: the first answer tells.
func newBucket(now time.Time, reserve int) *bucket {
	return &bucket{reserve: max(reserve, hardFloor), level: bucketSize, at: now, changed: make(chan struct{})}
}

func (b *bucket) advance(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.level = min(bucketSize, b.level+d.Minutes()*refillPerMin)
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

// wait is how long until one more token may be taken; 0: now.
func (b *bucket) wait(now time.Time, floor int) time.Duration {
	b.advance(now)
	short := float64(floor) + 1 - b.level
	const rounding = 1e-6 // so that a wait computed in floats has surely filled the token
	d := time.Duration(0)
	if short > rounding {
		d = time.Duration(math.Ceil(short / refillPerMin * float64(time.Minute)))
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

// take takes a token, waiting for one as long as ctx's deadline allows: when it can't
// come in time it says so at once rather than let a person wait for nothing.
func (b *bucket) take(ctx context.Context) *fleet.Problem {
	for {
		now := time.Now()
		b.mu.Lock()
		floor := b.floor(ctx)
		wait := b.wait(now, floor)
		if wait == 0 {
			b.level--
			b.flying++
			b.mu.Unlock()
			return nil
		}
		changed := b.changed
		left := int(max(b.level, 0))
		b.mu.Unlock()
		if deadline, ok := ctx.Deadline(); ok && now.Add(wait).After(deadline) {
			return &fleet.Problem{
				Kind:       fleet.RateLimited,
				Message:    fmt.Sprintf("about %d of the account's %d calls are left, and %d are kept back", left, bucketSize, floor),
				RetryAfter: roundUp(wait),
				Err:        errKeptBack,
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if err := context.Cause(ctx); err != nil {
			return connectionProblem(ctx, err, secret.Text{})
		}
	}
}

// answered settles a token taken: told is the RateLimit-Remaining, or negative when
// the answer had none.
func (b *bucket) answered(now time.Time, told int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying--
	if told >= 0 {
		b.set(now, float64(told-b.flying))
	}
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
	return roundUp(b.wait(time.Now(), b.floor(ctx)))
}

func roundUp(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
