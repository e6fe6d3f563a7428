package chat

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// courier brings messages to their places, each recorded before and after, so that it is
// there once whatever happens in between: what tickets, digests and reports share.
type courier struct {
	bot    *Bot
	job    Job
	store  posts
	ticket string
	posts  map[string]Post // by target

	delay       // of messages
	files delay // of what goes into their threads beside words
}

// delay is what could not be brought yet.
type delay struct {
	later    time.Time // when to go on; zero: nothing is left for later
	why      string
	troubles []error // that may pass
}

func (d *delay) wait(until time.Time, why string) {
	if until.After(d.later) {
		d.later, d.why = until, why
	}
}

// join takes in what else could not be brought.
func (d *delay) join(more delay) {
	d.troubles = append(d.troubles, more.troubles...)
	if !more.later.IsZero() {
		d.wait(more.later, more.why)
	}
}

func (d *delay) none() bool { return d.later.IsZero() && len(d.troubles) == 0 }

func newCourier(b *Bot, job Job, store posts, ticket string, all []Post) *courier {
	c := &courier{bot: b, job: job, store: store, ticket: ticket, posts: map[string]Post{}}
	for _, p := range all {
		c.posts[p.Target] = p
	}
	return c
}

// letter is one message as it is to be.
type letter struct {
	target string
	// show renders the message, by its record: which copy it is, and whether it may be a
	// repeat.
	show func(p Post) sheet
	// rev is the revision of the ticket that it shows. 0: what it is about has none, and the
	// record counts the copies instead.
	rev    int64
	once   bool   // posted, it is never changed
	wanted bool   // it is worth posting where it is not there
	in     string // the conversation, where the target does not say it; empty: it does
	thread string // the ts of the message that it replies to
}

// trouble is an error of Slack's that may pass. It concerns one target, and the others
// go on.
type trouble struct{ err error }

func (t *trouble) Error() string { return t.err.Error() }
func (t *trouble) Unwrap() error { return t.err }

// pending is an error that has the job run again where something is left for later, after
// pause where Slack was in trouble.
func (c *courier) pending(pause time.Duration) error {
	if len(c.troubles) > 0 {
		// No failure of the job, whose pauses grow: what comes next waits for this.
		why := c.bot.api.redact(errors.Join(c.troubles...))
		c.bot.log.Warn("something is not told everywhere yet", "ticket", c.ticket, "err", why)
		c.wait(time.Now().Add(pause), why)
		c.troubles = nil
	}
	if !c.later.IsZero() {
		return c.job.Later(c.later, c.why)
	}
	return nil
}

// bring brings one message up to date. Slack's errors are noted; an error returned is
// the job's.
func (c *courier) bring(ctx context.Context, l letter) error {
	return c.noted(ctx, l.target, c.deliver(ctx, l))
}

// noted takes out of an error what concerns one target only.
func (c *courier) noted(ctx context.Context, target string, err error) error {
	if passes, ok := errors.AsType[*trouble](err); ok {
		c.troubles = append(c.troubles, fmt.Errorf("%s: %w", target, passes.err))
		c.bot.suspect(ctx, passes.err)
		return nil
	}
	if errors.Is(err, ErrPostChanged) {
		c.wait(time.Now().Add(time.Second), "somebody else is telling of it")
		return nil
	}
	return err
}

// record is what is known of a target's message.
func (c *courier) record(target string) Post {
	if p, ok := c.posts[target]; ok {
		return p
	}
	return Post{Ticket: c.ticket, Target: target}
}

// there says whether a target's message stands where it belongs.
func (c *courier) there(target string) bool {
	p := c.posts[target]
	return p.TS != "" && p.Busy.IsZero() && p.Lost == ""
}

func (c *courier) deliver(ctx context.Context, l letter) error {
	b := c.bot
	p := c.record(l.target)
	if !p.Busy.IsZero() && p.TS == "" { // a change that was interrupted is simply made again
		if until := p.Busy.Add(b.cfg.Timing.Unsure); time.Now().Before(until) {
			c.wait(until, "a message is being posted")
			return nil
		}
		if done, err := c.recover(ctx, &p, l); done || err != nil {
			return err
		}
	}
	if p.TS == "" && !l.wanted {
		return nil
	}
	if l.rev == 0 {
		p.Rev = max(p.Rev, 1)
	}
	if l.once && p.TS != "" && p.Busy.IsZero() {
		return nil
	}
	s := l.show(p)
	s.thread = l.thread
	if p.TS != "" && p.Busy.IsZero() && p.Lost == "" && (l.rev > 0 && p.Rev >= l.rev || strings.TrimSuffix(p.Hash, plainMark) == s.hash) {
		return nil
	}
	if p.Channel == "" {
		p.Channel = l.in
	}
	if p.Channel == "" {
		done, err := c.address(ctx, &p)
		if done || err != nil {
			return err
		}
	}
	for range 2 { // the second time where the message is gone
		again, err := c.write(ctx, &p, l, s)
		if !again || err != nil {
			return err
		}
	}
	return nil
}

// recover finds a message that was about to be posted when something ended us. done says that
// there is nothing more to do for now.
func (c *courier) recover(ctx context.Context, p *Post, l letter) (done bool, err error) {
	ts, err := c.bot.find(ctx, *p, l.thread)
	switch {
	case errors.Is(err, errBlind):
		c.bot.log.Warn("a message may be posted twice: whether it is there can't be looked up", "ticket", p.Ticket, "step", p.Target, "err", c.bot.api.redact(err))
		p.Repeat = true
		if l.rev == 0 {
			p.Rev++
		}
	case limited(err):
		c.wait(time.Now().Add(max(retryAfter(err), time.Second)), "slack asks to be left alone")
		return true, nil
	case err != nil:
		return true, &trouble{err}
	}
	p.TS = ts
	return false, nil
}

// address finds out where a person's message goes.
func (c *courier) address(ctx context.Context, p *Post) (done bool, err error) {
	kind, id, _ := strings.Cut(p.Target, "/")
	if kind+"/" == toChannel {
		p.Channel = id
		return false, nil
	}
	p.Channel, err = c.bot.openDirect(ctx, id)
	switch {
	case err == nil:
		return false, nil
	case limited(err):
		c.wait(time.Now().Add(max(retryAfter(err), time.Second)), "slack asks to be left alone")
		return true, nil
	case passing(err):
		return true, &trouble{err}
	}
	c.lose(p, err)
	return true, c.save(ctx, nil, p)
}

// save writes a record, after do if that is not nil.
func (c *courier) save(ctx context.Context, do func(context.Context) error, p *Post) error {
	err := c.job.Step(ctx, do, func(ctx context.Context, tx *sql.Tx) error {
		return c.store.SavePost(ctx, tx, *p)
	})
	if err != nil {
		return err
	}
	p.Version++
	c.posts[p.Target] = *p
	return nil
}

// lose notes that nothing can be told at a target.
func (c *courier) lose(p *Post, err error) {
	p.Lost, p.Busy = first(slackCode(err), "unreachable"), time.Time{}
	c.bot.metrics.unposted.Inc()
	c.bot.once.do("lost "+p.Target+" "+p.Lost, func() {
		c.bot.log.Warn("nothing can be told here", "ticket", p.Ticket, "step", p.Target, "err", c.bot.api.redact(err))
	})
}

// turn waits for the turn of a new message in a conversation. No turn yet: come again.
func (c *courier) turn(ctx context.Context, channel string) (ours bool, err error) {
	wait, reserved := c.bot.pace.reserve(channel, time.Now())
	if !reserved {
		// Not all at the same moment: one of those that wait can be next.
		c.wait(time.Now().Add(wait+rand.N(2*postEvery)), "other messages in the channel come first")
		return false, nil
	}
	if !pause(ctx, wait) {
		return false, context.Cause(ctx)
	}
	return true, nil
}

// write posts or changes one message, with a record before and after. again says that
// the message to change is gone, so that it has to be posted anew.
func (c *courier) write(ctx context.Context, p *Post, l letter, s sheet) (again bool, err error) {
	b := c.bot
	if p.TS == "" {
		if ours, err := c.turn(ctx, p.Channel); !ours || err != nil {
			return false, err
		}
	}
	p.Busy = time.Now()
	if err := c.save(ctx, nil, p); err != nil {
		return false, err
	}
	after := *p
	if l.rev > 0 {
		after.Rev = l.rev
	}
	var until time.Time
	why := "slack asks to be left alone"
	err = c.save(ctx, func(ctx context.Context) error {
		// Over before anybody else takes it for interrupted.
		ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.HTTP)
		defer cancel()
		at, err := b.put(ctx, *p, s)
		after.Busy = time.Time{}
		code := slackCode(err)
		switch {
		case err == nil:
			after.Channel, after.TS, after.Lost = first(at.channel, p.Channel), first(at.ts, p.TS), ""
			after.Hash, after.Live = s.hash, s.live && !at.bare
			if at.plain {
				after.Hash += plainMark
			}
		case limited(err):
			after.Rev = p.Rev
			until = time.Now().Add(max(retryAfter(err), time.Second))
		case unsent(err):
			after.Rev = p.Rev
			until, why = time.Now().Add(3*b.cfg.Timing.Again), "slack can't be reached"
		case passing(err) || token(err):
			return &trouble{err} // whether it took effect is not known
		case p.TS == "" || unreachable(code):
			after.Rev = p.Rev
			c.lose(&after, err)
		case code == "message_not_found":
			after.TS, after.Hash, after.Live = "", "", false
			after.Rev = p.Rev
			if l.rev > 0 {
				after.Rev = 0
			}
			again = true
		default: // it stays as it is, which must not hold up anything
			b.log.Error("a message can't be changed", "ticket", p.Ticket, "step", p.Target, "err", b.api.redact(err))
		}
		return nil
	}, &after)
	if err != nil {
		return false, err
	}
	*p = after
	if !until.IsZero() {
		c.wait(until, why)
	}
	return again, nil
}

// unsent says that no connection was made, so that surely nothing was done.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
