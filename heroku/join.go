package heroku

import (
	"context"
	"sync"
	"time"

	"example.com/zdd/fleet"
)

// joins lets those who ask for the same app at the same time share one reading.
type joins struct {
	mu    sync.Mutex
	known map[joinKey]*join
}

// joinKey tells readings apart; a person does not wait for one that stands back.
type joinKey struct {
	ref  fleet.Ref
	rank rank
}

// join is a reading under way, or one that is through.
type join struct {
	began  time.Time
	done   chan struct{}
	app    fleet.App
	err    error
	shared bool // set before done is closed: app and err hold for others too
}

// at is the reading to join, or a new one, which is then the caller's to do.
func (j *joins) at(key joinKey, age time.Duration) (one *join, mine bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k, old := range j.known {
		if time.Since(old.began) >= age {
			delete(j.known, k)
		}
	}
	if one = j.known[key]; one != nil {
		return one, false
	}
	one = &join{began: time.Now(), done: make(chan struct{})}
	if j.known == nil {
		j.known = map[joinKey]*join{}
	}
	j.known[key] = one
	return one, true
}

// settle tells a reading's outcome to those who joined it. One that failed is joined by
// nobody else.
func (j *joins) settle(key joinKey, one *join) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.known[key] == one && (one.err != nil || !one.shared) {
		delete(j.known, key)
	}
	close(one.done)
}

// forget keeps readings from before a change from whoever asks after it.
func (j *joins) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.known)
}

// joinRead is readApp, shared. What the reader whose turn it was gave up is read again
// by those who joined.
func (c *Client) joinRead(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	key := joinKey{ref, rankOf(ctx)}
	if key.rank == change {
		return c.readApp(ctx, ref)
	}
	for {
		one, mine := c.joins.at(key, c.timing.Join)
		if mine {
			return c.readFor(ctx, key, one)
		}
		select {
		case <-one.done:
		case <-ctx.Done():
			return fleet.App{}, c.problem(ctx, "read app", ref.String(), context.Cause(ctx))
		}
		if one.shared {
			return one.app, one.err
		}
	}
}

func (c *Client) readFor(ctx context.Context, key joinKey, one *join) (fleet.App, error) {
	defer c.joins.settle(key, one) // also when it panics
	one.app, one.err = c.readApp(ctx, key.ref)
	one.shared = ctx.Err() == nil
	return one.app, one.err
}
