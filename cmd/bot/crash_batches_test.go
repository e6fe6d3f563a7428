//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The stories of several apps at once.
const (
	storyBatch      = "enable several, two approvers at once"
	storyBatchFree  = "enable several, which needs nobody's approval"
	storyBatchHalt  = "enable several, stopped while it runs"
	storyBatchPart  = "enable several, of which one is cancelled"
	storyBatchHand  = "enable several, of which one is changed by hand meanwhile"
	storyBatchTwin  = "enable several, of which somebody enables one by itself"
	storyBatchDeny  = "enable several, denied"
	storyBatchClick = "enable several, called off before anybody approved"
)

// several says whether the story is one of several apps.
func (a crashApp) several() bool { return len(a.others) > 0 }

// all are the names of a story's apps, in order.
func (a crashApp) all() []string { return append([]string{a.name}, a.others...) }

// shown is what a batch's messages call its line.
func (a crashApp) shown() string {
	if !a.several() {
		return "enable " + a.name
	}
	return fmt.Sprintf("enable %s and %d more", a.name, len(a.others))
}

// finals are the apps as Heroku has them.
func (w *crashWorld) finals(apps []crashApp) map[string]crashState {
	out := map[string]crashState{}
	for _, a := range apps {
		for _, name := range a.all() {
			_, out[name] = w.state(name)
		}
	}
	return out
}

// playBatch lives through a story of several apps.
func (p *crowd) playBatch(ctx context.Context, n int, a crashApp) error {
	who := crashAsker(n % crashAskers)
	ticket, err := p.askFor(ctx, who, "enable "+strings.Join(a.all(), " "), a.shown(), a.name)
	if err != nil {
		return err
	}
	switch a.story {
	case storyBatchDeny, storyBatchClick:
		order := press{who: "approver", did: "deny", ticket: ticket}
		if a.story == storyBatchClick {
			order = press{who: "admin", did: "cancel", ticket: ticket}
		}
		return p.insist(ctx, fmt.Sprintf("type %s #ops /zdd %s %s", order.who, order.did, ticket), order, func() bool { return p.sees(ticket).state == seenOver })
	case storyBatchFree:
		started := func() bool { return p.sees(ticket).state > seenPending }
		if err := p.insist(ctx, fmt.Sprintf("type %s #general /zdd do %s", who, ticket), press{who: who, did: "do", ticket: ticket}, started); err != nil {
			return err
		}
		return p.over(ctx, ticket)
	case storyBatchTwin:
		var other sync.WaitGroup
		var one error
		other.Go(func() {
			p.dither(3 * time.Second)
			last := a.others[len(a.others)-1]
			if _, one = p.enable(ctx, crashAsker((n+1)%crashAskers), "enable "+last, last); errors.Is(one, errNothing) { // the batch was faster
				one = nil
			}
		})
		err := p.approve(ctx, ticket)
		if err == nil {
			err = p.over(ctx, ticket)
		}
		other.Wait()
		return errors.Join(err, one)
	}
	if err := p.approve(ctx, ticket); err != nil {
		return err
	}
	switch a.story {
	case storyBatchHalt:
		p.dither(4 * time.Second)
		if err := p.cancel(ctx, ticket); err != nil {
			return err
		}
	case storyBatchPart:
		p.dither(3 * time.Second)
		part := ""
		p.await(ctx, patience, func() bool { part = p.partOf(ticket); return part != "" || p.sees(ticket).state == seenOver })
		if part == "" {
			break
		}
		if err := p.cancel(ctx, part); err != nil {
			return err
		}
	case storyBatchHand:
		if err := p.byHand(a.others[len(a.others)-1]); err != nil {
			return err
		}
	}
	return p.over(ctx, ticket)
}

// cancel is one try: it may come too late.
func (p *crowd) cancel(ctx context.Context, ticket string) error {
	_, err := p.do(ctx, "type admin #ops /zdd cancel "+ticket, press{who: "admin", did: "cancel", ticket: ticket})
	return err
}

// byHand changes an app behind the bot's back.
func (p *crowd) byHand(app string) error {
	if _, err := p.world.heroku.Do("set " + app + " web=3"); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hands = append(p.hands, app)
	return nil
}

// partTicket is a part's line in a batch's card, once that has its ticket.
var partTicket = regexp.MustCompile(`(?m)^\W*[0-9]+\. .*?(T-[0-9]+)`)

// partOf is the newest ticket that a batch's card shows of its parts; empty: none yet.
func (p *crowd) partOf(batch string) (ticket string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slices.Backward(p.events) {
		found := heading.FindStringSubmatch(e.Text)
		if e.By != "bot" || found == nil || found[1] != batch {
			continue
		}
		for _, line := range partTicket.FindAllStringSubmatch(e.Text, -1) {
			ticket = line[1]
		}
		return ticket
	}
	return ""
}
