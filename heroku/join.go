package heroku

import (
	"context"
	"sync"
	"time"

	"example.com/zdd/fleet"
)

// joins lets those who ask for the same app while it is being read share that reading.
// Nothing is kept of one that is through: who asks then, asks about now.
type joins struct {
	mu    sync.Mutex
	under map[joinKey]*join
}

// joinKey tells readings apart; a person does not wait for one that stands back.
type joinKey struct {
	ref  fleet.Ref
	rank rank
}

// join is a reading under way.
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
	if one = j.under[key]; one != nil && time.Since(one.began) < age {
		return one, false
	}
	one = &join{began: time.Now(), done: make(chan struct{})}
	if j.under == nil {
		j.under = map[joinKey]*join{}
	}
	j.under[key] = one
	return one, true
}

// settle ends a reading for those who joined it.
func (j *joins) settle(key joinKey, one *join) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.under[key] == one { // not forgotten, nor followed by a younger one
		delete(j.under, key)
	}
	close(one.done)
}

// forget keeps readings from before a change from whoever asks after it.
func (j *joins) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.under)
}

// joinRead is readApp, shared. What the reader whose turn it was gave up is read again
// by those who joined.
func (c *Client) joinRead(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	key := joinKey{ref, rankOf(ctx)}
	if key.rank == urgent {
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
