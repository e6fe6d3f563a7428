package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// trouble is something that could not be read, found out or written.
type trouble struct {
	kind  fleet.Kind
	text  string        // for people, no sentence of its own: "timed out"
	said  string        // Heroku's own words, if there are any; from outside
	after time.Duration // when it makes sense to try again; 0: not told
	ended error         // the turn itself was cut off: nothing can be concluded
}

// sortError makes trouble of an error. An error that is none of Heroku's is taken for
// one that passes.
func sortError(ctx context.Context, err error) *trouble {
	if ctx.Err() != nil {
		return &trouble{ended: context.Cause(ctx)}
	}
	p, ok := errors.AsType[*fleet.Problem](err)
	if !ok {
		return &trouble{kind: fleet.Unavailable, text: "Heroku could not be asked"}
	}
	text := p.Reason().Text
	said := p.Message
	if p.RequestID != "" {
		said += fmt.Sprintf(" (request %s)", p.RequestID)
	}
	return &trouble{kind: p.Kind, text: cmp.Or(text, "something went wrong"), said: said, after: p.RetryAfter}
}

// unread makes trouble of a part that was not read.
func unread(part string, why fleet.Reason) *trouble {
	return &trouble{kind: why.Kind, text: fmt.Sprintf("%s could not be read (%s)", part, why.Text)}
}

// passes says whether it may be gone when it is tried again. What has no kind that says
// otherwise may: an app's name that changed hands while it was read, an answer that came
// garbled.
func (p *trouble) passes() bool {
	switch p.kind {
	case fleet.Unavailable, fleet.RateLimited, fleet.NotTold:
		return true
	}
	return false
}

// words is the trouble with Heroku's own words where there are any.
func (p *trouble) words() string {
	switch {
	case p.said == "":
		return p.text
	case p.kind == fleet.Refused, p.kind == fleet.Locked, p.kind == fleet.Unavailable:
		return plan.Code(p.said) // text says no more
	}
	return p.text + ": " + plan.Code(p.said)
}

// onTrouble is what a turn comes to that met trouble: wait and try again, or the end.
func (u *run) onTrouble(p *trouble) conclusion {
	now := u.now()
	since := past(u.t.Trouble, now)
	switch {
	case p.ended != nil:
		return conclusion{err: p.ended}
	case !p.passes():
		return u.end(ending{state: approval.Failed, verb: ledger.Failed, why: plan.Capital(p.words())})
	case now.Sub(since) >= u.timing.Trouble:
		return u.end(ending{state: approval.Failed, verb: ledger.Failed, why: fmt.Sprintf("It got nowhere for %s: %s", span(now.Sub(since)), p.text)})
	}
	last := since.Add(u.timing.Trouble)
	// The pause grows with the time that it lasts, so it needs no count that would have
	// to be kept. Rollouts are few: nothing is won by spreading them.
	pause := max(p.after, min(max(now.Sub(since)/2, u.timing.Retry), u.timing.RetryMost))
	c := u.wait(fmt.Sprintf("%s. I keep trying until %s.", plan.Capital(p.text), u.clock(last)), earlier(now.Add(pause), last))
	return u.since(c, since)
}

// wait says in the ticket what it waits for, if it does not say so already.
func (u *run) wait(text string, until time.Time) conclusion {
	c := conclusion{later: until, why: text}
	if u.t.Waiting != text {
		c.change = func(t *approval.Ticket) approval.Change {
			t.Waiting = text
			return approval.Change{}
		}
	}
	return c
}

// since has the conclusion keep since when the rollout gets nowhere; zero: it gets on.
func (u *run) since(c conclusion, since time.Time) conclusion {
	if u.t.Trouble.Equal(since) {
		return c
	}
	change := c.change
	c.change = func(t *approval.Ticket) (done approval.Change) {
		t.Trouble = since
		if change != nil {
			done = change(t)
		}
		return done
	}
	return c
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
