package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
)

// link keeps one Socket Mode connection up: a supervisor that makes a fresh client
// for every connection. slack-go's own reconnect has no delay and keeps quiet about
// why, so each client gets one connection only.
type link struct {
	bot     *Bot
	number  int
	name    string
	current atomic.Pointer[pulse]             // of the connection, nil while there is none
	client  atomic.Pointer[socketmode.Client] // likewise, once it was greeted
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
		if p := other.current.Load(); other != l && p != nil && p.greeted.Load() {
			wait = max(wait, l.bot.cfg.Timing.Stagger-now.Sub(p.opened))
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

// errSpent refuses a client its second connection.
var errSpent = errors.New("this client has had its connection")

// oneConnection lets a client ask for one connection only: slack-go would ask for the next
// at once, without a pause and without telling.
type oneConnection struct {
	http *http.Client
	used atomic.Bool
}

func (o *oneConnection) Do(req *http.Request) (*http.Response, error) {
	if o.used.Swap(true) {
		return nil, errSpent
	}
	return o.http.Do(req)
}

// connect makes one connection and reads it to its end: how long it was up, why it
// ended, and the error if there was one.
func (l *link) connect(ctx, work context.Context) (lived time.Duration, reason string, err error) {
	b := l.bot
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &pulse{opened: time.Now()}
	interval := 12 * time.Hour // slack-go's own watchdog off: it can't tell a server without pings from a dead one
	dialer := b.cfg.dialer(p)
	if p.opaque.Load() {
		interval = b.cfg.Timing.Silent // the only one there is
	}
	client := socketmode.New(
		b.api.client(&oneConnection{http: b.api.http}),
		socketmode.OptionDialer(dialer),
		socketmode.OptionPingInterval(interval),
		socketmode.OptionLog(log.New(io.Discard, "", 0)),
		socketmode.OptionReadLimit(4<<20), // an envelope is some kilobytes; a server's mistake must not take the memory
	)
	done := make(chan error, 1)
	go func() { done <- client.RunContext(ctx) }()

	var connected time.Time
	defer func() {
		l.client.Store(nil)
		l.current.Store(nil)
		if p.greeted.Load() {
			b.metrics.links.Dec()
		}
	}()
	check := time.NewTicker(min(b.cfg.Timing.Silent, b.cfg.Timing.Hello) / 3)
	defer check.Stop()
	for {
		select {
		case e := <-client.Events:
			if err := l.event(work, client, p, e); err != nil {
				cancel()
				<-done
				l.drain(work, client, p)
				return l.ended(connected, p, err)
			}
			if e.Type == socketmode.EventTypeConnected {
				connected = time.Now()
				p.opened = connected
				l.current.Store(p)
			}
		case err := <-done:
			l.drain(work, client, p)
			return l.ended(connected, p, err)
		case now := <-check.C:
			if connected.IsZero() {
				continue // the dialer and the HTTP client have time-outs of their own
			}
			reason := l.dead(p, now)
			if reason == "" {
				continue
			}
			cancel()
			<-done
			l.drain(work, client, p)
			return time.Since(connected), reason, nil
		}
	}
}

// dead says why a connection must be given up although nobody closed it, or nothing.
func (l *link) dead(p *pulse, now time.Time) string {
	b := l.bot
	switch {
	case !p.greeted.Load():
		if now.Sub(p.opened) > b.cfg.Timing.Hello {
			return endNoHello
		}
	case p.gap.Load() > 0:
		b.gap.Store(max(b.gap.Load(), p.gap.Load()))
	case !p.opaque.Load() && b.gap.Load() == 0 && now.Sub(p.opened) > slowestPing:
		b.once.do("pings", func() {
			b.log.Warn("this server sends no pings, so a dead link is noticed only when TCP does, after some minutes", "step", l.name)
		})
	}
	if !p.fresh(b.patience(), now) {
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

// errEnded says that slack-go is about to connect again by itself.
var errEnded = errors.New("connection ended")

// event handles one event of slack-go's. An error ends the connection.
func (l *link) event(work context.Context, client *socketmode.Client, p *pulse, e socketmode.Event) error {
	switch e.Type {
	case socketmode.EventTypeConnecting:
		if c, ok := e.Data.(*slack.ConnectingEvent); ok && c.ConnectionCount > 0 {
			return errEnded
		}
	case socketmode.EventTypeConnectionError:
		if c, ok := e.Data.(*slack.ConnectionErrorEvent); ok {
			if errors.Is(c.ErrorObj, errSpent) {
				return errEnded
			}
			return classify(c.ErrorObj, appToken)
		}
	case socketmode.EventTypeHello:
		l.greet(client, p)
	case socketmode.EventTypeErrorWriteFailed:
		if w, ok := e.Data.(*socketmode.ErrorWriteFailed); ok && w.Response != nil {
			l.resend(work, w.Response)
		}
	case socketmode.EventTypeErrorBadMessage: // unknown to slack-go, which need not mean to us
		if m, ok := e.Data.(*socketmode.ErrorBadMessage); ok {
			l.envelope(work, client, p, m.Message)
		}
	case socketmode.EventTypeSlashCommand, socketmode.EventTypeInteractive, socketmode.EventTypeEventsAPI:
		if e.Request != nil {
			raw, err := json.Marshal(e.Request)
			if err == nil {
				l.envelope(work, client, p, raw)
			}
		}
	}
	return nil
}

func (l *link) greet(client *socketmode.Client, p *pulse) {
	l.client.Store(client)
	if !p.greeted.Swap(true) {
		l.bot.metrics.links.Inc()
	}
}

func (l *link) envelope(work context.Context, client *socketmode.Client, p *pulse, raw []byte) {
	var env envelope
	if err := json.Unmarshal(raw, &env); err != nil {
		l.bot.once.do("frame", func() { l.bot.log.Warn("slack sent a frame that is no envelope", "step", l.name) })
		return
	}
	l.greet(client, p) // a server that forgets its hello is good enough
	l.bot.receive(work, l, env, time.Now())
}

// drain takes what was read before the end: its acknowledgements can go by
// another link.
func (l *link) drain(work context.Context, client *socketmode.Client, p *pulse) {
	l.client.CompareAndSwap(client, nil)
	for {
		select {
		case e := <-client.Events:
			if e.Request == nil || e.Request.EnvelopeID == "" {
				continue
			}
			if raw, err := json.Marshal(e.Request); err == nil {
				var env envelope
				if json.Unmarshal(raw, &env) == nil {
					l.bot.receive(work, l, env, time.Now())
				}
			}
		default:
			return
		}
	}
}

// ended finds the reason of an end that slack-go saw.
func (l *link) ended(connected time.Time, p *pulse, err error) (time.Duration, string, error) {
	if errors.Is(err, errEnded) || errors.Is(err, context.Canceled) {
		err = nil
	}
	err = classify(err, appToken)
	if connected.IsZero() {
		return 0, endNoOpen, err
	}
	reason := endDropped
	if said := p.reason.Load(); said != nil && *said != "" {
		reason = printable(*said, 40) // it goes to the log
	}
	return time.Since(connected), reason, err
}

// resend tries an acknowledgement whose write failed on another link, once.
func (l *link) resend(ctx context.Context, res *socketmode.Response) {
	for _, other := range l.bot.links {
		if client := other.client.Load(); other != l && client != nil {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond) // this runs in the event loop, which must not stand still
			defer cancel()
			if err := client.AckCtx(ctx, res.EnvelopeID, res.Payload); err == nil {
				return
			}
		}
	}
}
