//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// crashApp is an app and what people do with it.
type crashApp struct {
	name, shape string
	story       string
	others      []string // names of the other apps of a story of several, alike in shape
}

// The stories.
const (
	storyPlain   = "enable, two approvers at once"
	storyQuorum  = "enable what needs two approvals"
	storyResize  = "enable a Basic app with a larger size"
	storyDoIt    = "preboot on, which needs nobody's approval"
	storyUndo    = "enable, then undo"
	storyDeny    = "enable, denied"
	storyCancel  = "enable, cancelled before anybody approved"
	storyHalt    = "enable, stopped while it runs, resumed"
	storyTwins   = "two wishes for one app at the same moment"
	storySelf    = "enable, approved in vain by who asked, then by another"
	storyTwoAsks = "two people ask for the same at the same moment"
)

// crashApps are n apps whose stories come in turns.
func crashApps(n int) []crashApp {
	turns := []string{
		storyPlain, storyHalt, storyBatch, storyWaiveAgain, storyUndo, storyTwins, storyWaive, storyBatchHalt, storyPlain, storyQuorum, storyDoIt, storyWaiveEnd, storyBatchTwin, storyDeny,
		storyPlain, storyBatchPart, storyResize, storySelf, storyBatchFree, storyPlain, storyCancel, storyBatchHand, storyTwoAsks, storyHalt,
		storyBatchDeny, storyWaiveDeny, storyBatch, storyBatchHalt, storyBatchClick,
	}
	var out []crashApp
	for i := range n {
		a := crashApp{name: fmt.Sprintf("app-%04d", i+1), shape: "web=1 size=standard-1x", story: turns[i%len(turns)]}
		switch a.story {
		case storyQuorum:
			a.shape = "web=1 size=performance-m"
		case storyResize:
			a.shape = "web=1 worker=1 size=basic"
		case storyDoIt, storyBatchFree:
			a.shape = "web=2 size=standard-1x affinity=on"
		}
		if strings.HasPrefix(a.story, "enable several") {
			for n := range 1 + i%4 {
				a.others = append(a.others, fmt.Sprintf("app%d-%04d", n+2, i+1))
			}
			if a.story == storyBatchHand { // the last one is changed before its turn comes
				a.others = append(a.others, fmt.Sprintf("app6-%04d", i+1))
			}
		}
		out = append(out, a)
	}
	return out
}

// The company's rules in the campaign. Stories that are not about the quorum stay below it.
const crashPolicy = `
people:
  operators: [U0ASKER0, U0ASKER1, U0ASKER2, U0ASKER3]
  approvers: [U0APPROVER, U0APPROVER2]
approval: { channel: C0OPS, quorum: [{ above: 200, approvals: 2 }] }
limits: { monthly_increase: 1000 }
waivers: { approval: required }
watch: { at_once: 20, per_second: 200 }
apps:
  "app-*1": { owner: U0REQUESTER, channel: C0SHOP }
  "app-*2": { owner: S0DATA }
  "live-*": { probe: { path: /health, rate: 20, timeout: 1s, version_header: X-Release } }
`

// enable is what most stories are: ask, approve, wait.
func (p *crowd) enable(ctx context.Context, who, line, app string) (ticket string, err error) {
	if ticket, err = p.ask(ctx, who, line, app); err != nil {
		return "", err
	}
	if err = p.approve(ctx, ticket); err != nil {
		return "", err
	}
	return ticket, p.over(ctx, ticket)
}

// live lives through an app's story.
func (p *crowd) live(ctx context.Context, n int, a crashApp) {
	if err := p.play(ctx, n, a); err != nil {
		p.mu.Lock()
		p.stuck = append(p.stuck, fmt.Sprintf("%s (%s): %v", a.name, a.story, err))
		p.mu.Unlock()
	}
}

func (p *crowd) play(ctx context.Context, n int, a crashApp) error {
	if a.several() {
		return p.playBatch(ctx, n, a)
	}
	if a.waives() {
		return p.playWaiver(ctx, n, a)
	}
	if a.watched() {
		return p.playWatch(ctx, n, a)
	}
	who, line := crashAsker(n%crashAskers), "enable "+a.name
	switch a.story {
	case storyResize:
		_, err := p.enable(ctx, who, line+" size=standard-1x", a.name)
		return err
	case storyDoIt:
		ticket, err := p.ask(ctx, who, "preboot "+a.name+" on", a.name)
		if err != nil {
			return err
		}
		started := func() bool { return p.sees(ticket).state > seenPending }
		if err := p.insist(ctx, fmt.Sprintf("type %s #general /zdd do %s", who, ticket), press{who: who, did: "do", ticket: ticket}, started); err != nil {
			return err
		}
		return p.over(ctx, ticket)
	case storyUndo:
		ticket, err := p.enable(ctx, who, line, a.name)
		if err != nil {
			return err
		}
		undo := "undo " + ticket + " on " + a.name
		err = p.insist(ctx, fmt.Sprintf("type %s #general /zdd undo %s", who, ticket), press{who: who, did: "ask", ticket: ticket, app: a.name}, func() bool { return len(p.about(undo)) > 0 })
		if err != nil {
			return err
		}
		if err := p.approve(ctx, p.about(undo)[0]); err != nil {
			return err
		}
		return p.over(ctx, p.about(undo)[0])
	case storyDeny, storyCancel:
		ticket, err := p.ask(ctx, who, line, a.name)
		if err != nil {
			return err
		}
		order := press{who: "approver", did: "deny", ticket: ticket}
		if a.story == storyCancel {
			order = press{who: "admin", did: "cancel", ticket: ticket}
		}
		return p.insist(ctx, fmt.Sprintf("type %s #ops /zdd %s %s", order.who, order.did, ticket), order, func() bool { return p.sees(ticket).state == seenOver })
	case storyHalt:
		return p.halt(ctx, who, line, a.name)
	case storyTwins:
		return p.twins(ctx, n, line, a.name)
	case storySelf:
		ticket, err := p.ask(ctx, who, line, a.name)
		if err != nil {
			return err
		}
		if _, err := p.do(ctx, fmt.Sprintf("type %s #general /zdd approve %s", who, ticket), press{who: who, did: "approve", ticket: ticket}); err != nil {
			return err
		}
		if err := p.approve(ctx, ticket); err != nil {
			return err
		}
		return p.over(ctx, ticket)
	case storyTwoAsks:
		var other sync.WaitGroup
		var err error
		other.Go(func() {
			_, err = p.do(ctx, "type "+crashAsker((n+1)%crashAskers)+" #general /zdd "+line, press{who: crashAsker((n + 1) % crashAskers), did: "ask", app: a.name})
		})
		_, enableErr := p.enable(ctx, who, line, a.name)
		other.Wait()
		return errors.Join(err, enableErr)
	}
	_, err := p.enable(ctx, who, line, a.name)
	return err
}

// halt stops a ticket while it runs, and has it go on.
func (p *crowd) halt(ctx context.Context, who, line, app string) error {
	ticket, err := p.ask(ctx, who, line, app)
	if err != nil {
		return err
	}
	if err := p.approve(ctx, ticket); err != nil {
		return err
	}
	p.dither(2 * time.Second)
	if _, err := p.do(ctx, fmt.Sprintf("type admin #ops /zdd cancel %s", ticket), press{who: "admin", did: "cancel", ticket: ticket}); err != nil {
		return err
	}
	if err := p.over(ctx, ticket); err != nil {
		return err
	}
	switch p.sees(ticket).end {
	case "stopped":
	case "cancelled": // before it began, so there is nothing to go on with
		_, err := p.enable(ctx, who, line, app)
		return err
	default:
		return nil // it was done before the order came
	}
	begun := time.Now()
	needless := func() bool { return p.told(who, begun, "Nothing is left to do") }
	resumed := func() bool { return len(p.about(line)) > 1 || needless() }
	if err := p.insist(ctx, fmt.Sprintf("type %s #general /zdd resume %s", who, ticket), press{who: who, did: "ask", ticket: ticket}, resumed); err != nil {
		return err
	}
	if len(p.about(line)) < 2 {
		return nil
	}
	next := p.about(line)[1]
	// Under the old approval, or where that does not reach, under a new one.
	p.await(ctx, 5*time.Second, func() bool { return p.sees(next).state > seenPending })
	if p.sees(next).state == seenPending {
		if err := p.approve(ctx, next); err != nil {
			return err
		}
	}
	return p.over(ctx, next)
}

// twins asks for two things that can't both be: one is done, the other is stale then.
func (p *crowd) twins(ctx context.Context, n int, line, app string) error {
	lines := []string{line, "affinity " + app + " on"}
	errs := make([]error, len(lines))
	var both sync.WaitGroup
	for i, l := range lines {
		both.Go(func() {
			who := crashAsker((n + i) % crashAskers)
			ticket, err := p.ask(ctx, who, l, app)
			if err == nil && l == line {
				err = p.approve(ctx, ticket)
			} else if err == nil {
				err = p.insist(ctx, fmt.Sprintf("type %s #general /zdd do %s", who, ticket), press{who: who, did: "do", ticket: ticket},
					func() bool { return p.sees(ticket).state > seenPending })
			}
			if err == nil {
				err = p.over(ctx, ticket)
			}
			if !errors.Is(err, errNothing) { // the other wish has made it true
				errs[i] = err
			}
		})
	}
	both.Wait()
	return errors.Join(errs...)
}

// lives has them live stories, so many at a time, until no more are to begin, and then ends
// those that have begun. It returns how many were begun.
func (p *crowd) lives(t testing.TB, apps []crashApp, atOnce int, noMore <-chan struct{}) (begun int) {
	var lives sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for n, a := range apps {
		select {
		case <-noMore:
			lives.Wait()
			return n
		case room <- struct{}{}:
		}
		lives.Go(func() {
			defer func() { <-room }()
			p.live(t.Context(), n, a)
		})
	}
	lives.Wait()
	return len(apps)
}
