package watch

import (
	"context"
	"sync"
	"time"
)

const (
	// beat is how long one answer about our own network holds.
	beat = time.Second
	// aliveTimeout is how long that may take to find out: a TCP handshake takes 200 ms
	// from anywhere, and after that time nobody's network is well.
	aliveTimeout = 3 * time.Second
	// suspicious is how long an answer may be on its way before our own network is asked
	// about. A request that fails by its time-out would else have it asked only once the
	// network may be back.
	suspicious = time.Second
)

// pulse knows whether our own network is there. It is asked by all watches of a Prober,
// and asks once a beat at most.
type pulse struct {
	alive func(context.Context) bool // nil: it always is

	mu   sync.Mutex
	last *look
	dead time.Time // when it last began to ask and heard a no
}

// look is one question, and its answer once done is closed.
type look struct {
	at   time.Time
	done chan struct{}
	ok   bool
}

// ask finds out whether our network is there now. The question is not ended with ctx,
// because others may wait for its answer; it is bounded by aliveTimeout.
func (p *pulse) ask(ctx context.Context) bool {
	if p.alive == nil {
		return true
	}
	now := time.Now()
	p.mu.Lock()
	l := p.last
	if l != nil && now.Sub(l.at) < beat {
		p.mu.Unlock()
		<-l.done
		return l.ok
	}
	l = &look{at: now, done: make(chan struct{})}
	p.last = l
	p.mu.Unlock()
	defer close(l.done) // a panic must not have others wait for ever

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), aliveTimeout)
	defer cancel()
	l.ok = p.alive(ctx)
	if !l.ok {
		p.mu.Lock()
		if now.After(p.dead) { // a question that hung is over after those that came later
			p.dead = now
		}
		p.mu.Unlock()
	}
	return l.ok
}

// failing says whether our own network was away at some moment since then, as far as
// anybody asked.
func (p *pulse) failing(ctx context.Context, since time.Time) bool {
	if !p.ask(ctx) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.dead.IsZero() && !p.dead.Before(since)
}

// suspect has our network asked about once a request has been under way for long. The
// caller calls done when it is over, which waits for a question that is under way.
func (p *pulse) suspect(ctx context.Context) (done func()) {
	if p.alive == nil {
		return func() {}
	}
	asked := make(chan struct{})
	t := time.AfterFunc(suspicious, func() {
		defer close(asked)
		// Who fails asks again, and has the panic of it.
		_ = guarded(func() error { p.ask(ctx); return nil })
	})
	return func() {
		if !t.Stop() {
			<-asked
		}
	}
}
