package heroku

import (
	"context"
	"sync"
	"time"
)

// tally counts the requests that are sent under a context, and holds tokens of the
// account's limit that were taken for them beforehand.
type tally struct {
	mu      sync.Mutex
	calls   int
	prepaid int
}

type tallyKey struct{}

func withTally(ctx context.Context, t *tally) context.Context {
	return context.WithValue(ctx, tallyKey{}, t)
}

func tallyOf(ctx context.Context) *tally {
	t, _ := ctx.Value(tallyKey{}).(*tally)
	return t
}

func (t *tally) sent() {
	if t != nil {
		t.mu.Lock()
		t.calls++
		t.mu.Unlock()
	}
}

func (t *tally) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls
}

// pay spends a token that was taken beforehand; false: there is none left.
func (t *tally) pay() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prepaid == 0 {
		return false
	}
	t.prepaid--
	return true
}

// prepay takes n tokens at once, and gives back what is left of them when done is
// called. What is half read when the account runs dry is read in vain: who pays for the
// whole first waits before it and not in the midst of it.
func (t *tally) prepay(ctx context.Context, b *bucket, n int) (done func(), err error) {
	if p := b.take(ctx, n); p != nil {
		return nil, p
	}
	t.prepaid = n
	return func() { t.giveBack(b) }, nil
}

func (t *tally) giveBack(b *bucket) {
	if t == nil {
		return
	}
	t.mu.Lock()
	rest := t.prepaid
	t.prepaid = 0
	t.mu.Unlock()
	b.giveBack(time.Now(), rest)
}

type eachKey struct{}

// eachWithin gives every request sent under ctx a time of its own, which runs from when
// it is sent: the wait for the account's limit, which may be minutes, is not part of it.
func eachWithin(ctx context.Context, d time.Duration) context.Context {
	if now, limited := eachOf(ctx); limited && now <= d {
		return ctx
	}
	return context.WithValue(ctx, eachKey{}, d)
}

func eachOf(ctx context.Context) (time.Duration, bool) {
	d, limited := ctx.Value(eachKey{}).(time.Duration)
	return d, limited
}

// within limits what is done with ctx to d: each request of background work, which has
// to wait for the account's limit; the whole of what somebody waits for.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if rankOf(ctx) == background {
		return eachWithin(ctx, d), func() {}
	}
	return context.WithTimeout(ctx, d)
}
