package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// link keeps one Socket Mode connection up: a supervisor that makes a new one whenever it
// ends, after a pause.
type link struct {
	bot     *Bot
	number  int
	name    string
	current atomic.Pointer[wire] // nil while there is none
}

func newLink(b *Bot, number int) *link {
	return &link{bot: b, number: number, name: fmt.Sprintf("link %d", number)}
}

// newBackOff doubles the wait from Retry to RetryMax, give or take a half.
func newBackOff(t Timing) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = t.Retry, t.RetryMax, 2, .5
	b.Reset()
	return b
}

// Why a link ended, beside Slack's own reasons.
const (
	endStop    = "stop"
	endDropped = "dropped"
	endSilent  = "silent"
	endNoHello = "no_hello"
	endNoOpen  = "not_opened"
)

// run connects again and again until ctx ends. Envelopes are worked on under work,
// which outlives ctx.
func (l *link) run(ctx, work context.Context) {
	b := l.bot
	wait := newBackOff(b.cfg.Timing)
	if !pause(ctx, time.Duration(l.number-1)*b.cfg.Timing.Stagger) {
		return
	}
	for attempt := 1; ; attempt++ {
		lived, reason, err := l.connect(ctx, work)
		if ctx.Err() != nil {
			return
		}
		if fatal, ok := errors.AsType[*FatalError](err); ok {
			b.fail(fatal)
			return
		}
		b.metrics.reconnects.WithLabelValues(known(reason, endDropped, endSilent, endNoHello, endNoOpen, "warning", "refresh_requested", "link_disabled", "too_many_websockets")).Inc()
		delay := time.Duration(rand.Int64N(int64(250 * time.Millisecond))) // so that many bots don't come back at once
		if lived >= b.cfg.Timing.Stable {
			wait.Reset()
			attempt = 0
		} else {
			delay = max(wait.NextBackOff(), retryAfter(err))
		}
		l.tell(attempt, reason, err)
		if !pause(ctx, delay) || !pause(ctx, l.stagger(time.Now())) {
			return
		}
	}
}

// stagger is how long to wait so as not to be opened together with another link.
func (l *link) stagger(now time.Time) time.Duration {
	var wait time.Duration
	for _, other := range l.bot.links {
		if w := other.current.Load(); other != l && w != nil && w.greeted.Load() {
			wait = max(wait, l.bot.cfg.Timing.Stagger-now.Sub(w.opened))
		}
	}
	return wait
}

// tell logs why a link ended: a refresh is Slack's daily business, the rest is not.
func (l *link) tell(attempt int, reason string, err error) {
	why := reason
	if err != nil {
		why += ": " + printable(l.bot.api.redact(err), 300) // a server can have a say in it
	}
	switch reason {
	case "refresh_requested", "warning":
		l.bot.log.Info("slack link refreshed", "step", l.name, "attempt", attempt, "err", why)
	case "link_disabled":
		l.bot.log.Error("slack closed the link: socket mode is switched off for this app; switch it on in the app's settings", "step", l.name, "attempt", attempt, "err", why)
	case "too_many_websockets":
		l.bot.log.Error("slack closed the link: more than ten links are open for this app; run fewer copies", "step", l.name, "attempt", attempt, "err", why)
	default:
		l.bot.log.Warn("slack link lost, connecting again", "step", l.name, "attempt", attempt, "err", why)
	}
}

// known keeps label values to a closed list.
func known(s string, list ...string) string {
	if slices.Contains(list, s) {
		return s
	}
	return "other"
}

// connect makes one connection and reads it to its end: how long it was up, why it
// ended, and the error if there was one.
func (l *link) connect(ctx, work context.Context) (lived time.Duration, reason string, err error) {
	w, err := l.bot.open(ctx)
	if err != nil {
		return 0, endNoOpen, classify(err, appToken)
	}
	defer w.end()
	defer context.AfterFunc(ctx, w.end)()
	l.current.Store(w)
	defer func() {
		l.current.Store(nil)
		if w.greeted.Load() {
			l.bot.metrics.links.Dec()
		}
	}()
	ended := make(chan struct{})
	watched := make(chan string, 1)
	go func() { watched <- l.watch(w, ended) }()
	reason, err = l.read(work, w)
	close(ended)
	if why := <-watched; why != "" { // it closed the connection, and the error is of that
		reason, err = why, nil
	}
	return time.Since(w.opened), reason, err
}

// read takes what comes on a connection to its end, and says why that was.
func (l *link) read(work context.Context, w *wire) (reason string, err error) {
	for {
		frame, err := w.read()
		at := time.Now()
		if err != nil {
			return endDropped, err
		}
		var env envelope
		if err := json.Unmarshal(frame, &env); err != nil {
			l.bot.once.do("frame", func() { l.bot.log.Warn("slack sent a frame that is no envelope", "step", l.name) })
			continue
		}
		if env.Type == typeDisconnect {
			return cmp.Or(printable(env.Reason, 40), endDropped), nil
		}
		if !w.greeted.Swap(true) { // a server that forgets its hello is good enough
			l.bot.metrics.links.Inc()
		}
		l.bot.receive(work, l, env, at)
	}
}

// watch ends a connection that is dead although nobody closed it, and says why, or nothing
// once it has ended otherwise.
func (l *link) watch(w *wire, ended <-chan struct{}) (reason string) {
	check := time.NewTicker(min(l.bot.cfg.Timing.Silent, l.bot.cfg.Timing.Hello) / 3)
	defer check.Stop()
	for {
		select {
		case <-ended:
			return ""
		case now := <-check.C:
			if reason := l.dead(w, now); reason != "" {
				w.end()
				return reason
			}
		}
	}
}

// dead says why a connection must be given up although nobody closed it, or nothing.
func (l *link) dead(w *wire, now time.Time) string {
	b := l.bot
	switch {
	case !w.greeted.Load():
		if now.Sub(w.opened) > b.cfg.Timing.Hello {
			return endNoHello
		}
	case w.gap.Load() > 0:
		b.gap.Store(max(b.gap.Load(), w.gap.Load()))
	case b.gap.Load() == 0 && now.Sub(w.opened) > slowestPing:
		b.once.do("pings", func() {
			b.log.Warn("this server sends no pings, so a dead link is noticed only when TCP does, after some minutes", "step", l.name)
		})
	}
	if !w.fresh(b.patience(), now) {
		return endSilent
	}
	return ""
}

// patience is how long a link may be silent: as long as Slack's clients allow, or
// three times this server's own rhythm where that is slower; 0 while that is unknown.
func (b *Bot) patience() time.Duration {
	gap := time.Duration(b.gap.Load())
	if gap == 0 {
		return 0
	}
	return max(b.cfg.Timing.Silent, 3*gap)
}
