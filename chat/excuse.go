package chat

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// excusesMost bounds the people who wait to be told that they were turned away.
	excusesMost = 100
	// excuseTellers bounds how many are told at once, so that a flood of presses does
	// not become a flood of requests to Slack.
	excuseTellers = 4
	// excuseGather is how long an excuse waits for more of the same person's: who presses
	// five buttons reads one message.
	excuseGather = time.Second
)

// turned is why something was turned away.
type turned int

const (
	turnedBusy turned = iota
	turnedStopping
)

// sentence says that n requests of a person's were turned away.
func (t turned) sentence(n int) string {
	what := "this one was"
	if n > 1 {
		what = fmt.Sprintf("%d requests of yours were", n)
	}
	if t == turnedStopping {
		return "I am being restarted, so " + what + " not accepted and nothing was changed. Try again in half a minute."
	}
	return "I am busy with other requests, so " + what + " not accepted and nothing was changed. Try again in a minute."
}

// excuses are the people to be told over the Web API that something of theirs was turned
// away: the acknowledgement of a press or of a mention shows nobody anything.
type excuses struct {
	mu      sync.Mutex
	waiting []*excuse // oldest first
	tellers int       // goroutines
	telling int       // of them, those that tell somebody just now
}

type excuse struct {
	ask   ask // the first of them, which says where to answer
	why   turned
	times int
	at    time.Time
}

// left is how many excuses are still to be made.
func (e *excuses) left() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.waiting) + e.telling
}

// add notes an excuse. It reports whether it will be made, and whether that takes one
// teller more.
func (e *excuses) add(a ask, why turned, now time.Time) (ok, teller bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.waiting {
		if w.ask.user == a.user && w.why == why {
			w.times++
			return true, false
		}
	}
	if len(e.waiting) >= excusesMost {
		return false, false
	}
	e.waiting = append(e.waiting, &excuse{a, why, 1, now})
	if e.tellers == excuseTellers {
		return true, false
	}
	e.tellers++
	return true, true
}

// take hands an excuse that is due to a teller, or says how long to wait for one. With
// neither there is nothing left, and the teller has left.
func (e *excuses) take(now time.Time) (next *excuse, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		e.tellers--
		return nil, 0
	}
	if wait = e.waiting[0].at.Add(excuseGather).Sub(now); wait > 0 {
		return nil, wait
	}
	next, e.waiting = e.waiting[0], e.waiting[1:]
	e.telling++
	return next, 0
}

func (e *excuses) told() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.telling--
}

// excuse has a person told that something of theirs was turned away. It reports false
// where so many wait for that already that nobody will be told.
func (b *Bot) excuse(ctx context.Context, a ask, why turned) bool {
	ok, teller := b.excuses.add(a, why, time.Now())
	if teller {
		b.work.Go(func() { b.tellExcuses(ctx) })
	}
	return ok
}

// mustExcuse is excuse for what Slack does not deliver again.
func (b *Bot) mustExcuse(ctx context.Context, a ask, why turned) {
	if !b.excuse(ctx, a, why) {
		b.log.Error("somebody was turned away and is not told: too many wait for that", "user", a.user)
	}
}

// tellExcuses makes excuses until there are none.
func (b *Bot) tellExcuses(ctx context.Context) {
	for {
		next, wait := b.excuses.take(time.Now())
		switch {
		case next != nil:
			b.tellExcuse(ctx, next)
		case wait == 0:
			return
		default:
			time.Sleep(wait) // at most excuseGather, and also during a stop
		}
	}
}

func (b *Bot) tellExcuse(ctx context.Context, e *excuse) {
	defer b.excuses.told()
	defer b.survive()
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.HTTP)
	defer cancel()
	b.deliver(ctx, e.ask, sentenceReply(e.why.sentence(e.times)), "")
}
