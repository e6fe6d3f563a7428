//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

// The stories of waivers.
const (
	storyWaive      = "waive, two approvers at once"
	storyWaiveEnd   = "waive, ended by who asked"
	storyWaiveAgain = "waive, and again for longer"
	storyWaiveDeny  = "waive, denied"
)

// waives says whether the story is one of waivers, in which nothing is changed.
func (a crashApp) waives() bool { return strings.HasPrefix(a.story, "waive") }

// playWaiver lives through a story of waivers.
func (p *crowd) playWaiver(ctx context.Context, n int, a crashApp) error {
	who := crashAsker(n % crashAskers)
	waive := func(until string) (id string, err error) {
		return p.askFor(ctx, who, "waive "+a.name+" preboot until "+until+" because accepted-risk", "preboot of "+a.name, a.name)
	}
	first, err := waive("in 2 weeks")
	if err != nil {
		return err
	}
	over := func() bool { return p.sees(first).state == seenOver }
	if a.story == storyWaiveDeny {
		return p.insist(ctx, "type approver #ops /zdd deny "+first, press{who: "approver", did: "deny", ticket: first}, over)
	}
	if err := p.approve(ctx, first); err != nil {
		return err
	}
	switch a.story {
	case storyWaiveEnd:
		return p.insist(ctx, fmt.Sprintf("type %s #general /zdd unwaive %s", who, first), press{who: who, did: "unwaive", ticket: first}, over)
	case storyWaiveAgain:
		next, err := waive("in 3 weeks")
		if err != nil {
			return err
		}
		if err := p.approve(ctx, next); err != nil {
			return err
		}
		return p.over(ctx, first)
	}
	return nil
}

// crashWaivers is what is left of waivers.
type crashWaivers struct {
	waivers []policy.Waiver
	forged  []string // what of them the ledger does not bear out
}

// read reads what the bot has stored of waivers, and the messages about them.
func (r *crashWaivers) read(ctx context.Context, s *store.Store, posts map[string]bool) (err error) {
	if r.waivers, err = s.Waivers(ctx, approval.WaiverFilter{Limit: -1}); err != nil {
		return err
	}
	for _, w := range r.waivers {
		all, err := s.Posts(ctx, w.ID)
		if err != nil {
			return err
		}
		for _, p := range all {
			posts[p.Channel+" "+p.TS] = true
		}
	}
	reader := approval.WaiverReader{
		Store: s, Policy: policy.Default, Key: ledger.NewKey(crashLedgerKey),
		Forged: func(_ context.Context, _ policy.Waiver, why string) { r.forged = append(r.forged, why) },
	}
	_, err = reader.Open(ctx)
	return err
}

// judgeWaivers looks at the waivers in the end: each by the word of those who have to agree,
// and of each check one that holds at the most.
func (r crashRecord) judgeWaivers(y *tally) {
	for _, why := range r.forged {
		y.add(harmChain, "%s", why)
	}
	envelopes, pressed := map[string]bool{}, map[string]bool{}
	for _, d := range r.presses {
		envelopes[d.envelope] = true
		pressed[d.did+" "+d.who+" "+d.ticket] = true
	}
	for _, w := range r.waivers {
		if !envelopes[w.Origin] {
			y.add(harmGhost, "%s comes from no request that anybody made", w.ID)
		}
		for _, v := range w.Votes {
			if v.User == w.By {
				y.add(harmSelf, "%s was approved by %s, who asked for it", w.ID, v.User)
			}
			if name := map[string]string{"U0APPROVER": "approver", "U0APPROVER2": "approver2"}[v.User]; !pressed["approve "+name+" "+w.ID] {
				y.add(harmGhost, "%s has a vote of %s, who never voted", w.ID, v.User)
			}
		}
		if began := !w.From.IsZero(); len(w.Votes) > 1 || began != (len(w.Votes) == 1) {
			y.add(harmTwice, "%s is %s with %d approvals", w.ID, w.State, len(w.Votes))
		}
		switch w.State {
		case policy.WaiverPending: // of who asked again, because Slack said that the first time had failed
			if len(r.waiversOf(w.Name)) > 1 {
				y.add(notedSpare, "")
			} else {
				y.add(harmLost, "%s waits for ever", w.ID)
			}
		case policy.WaiverExpired, policy.WaiverCancelled, policy.WaiverUnreadable:
			y.add(harmEnded, "%s is %s: %s", w.ID, w.State, w.Why)
		}
	}
	for _, a := range r.apps {
		if a.waives() {
			r.judgeWaiverStory(y, a)
		}
	}
}

// judgeWaiverStory holds the waivers of an app against its story.
func (r crashRecord) judgeWaiverStory(y *tally, a crashApp) {
	count := map[policy.WaiverState]int{}
	for _, w := range r.waiversOf(a.name) {
		count[w.State]++
	}
	delete(count, policy.WaiverPending)
	want := map[string]map[policy.WaiverState]int{
		storyWaive:      {policy.WaiverActive: 1},
		storyWaiveEnd:   {policy.WaiverEnded: 1},
		storyWaiveAgain: {policy.WaiverActive: 1, policy.WaiverReplaced: 1},
		storyWaiveDeny:  {policy.WaiverDenied: 1},
	}[a.story]
	for _, state := range []policy.WaiverState{policy.WaiverActive, policy.WaiverEnded, policy.WaiverReplaced, policy.WaiverDenied} {
		switch got := count[state]; {
		case got < want[state]:
			y.add(harmLost, "%s (%s): %d waivers are %s, want %d", a.name, a.story, got, state, want[state])
		case got > want[state]:
			y.add(harmGhost, "%s (%s): %d waivers are %s, want %d", a.name, a.story, got, state, want[state])
		}
	}
}

func (r crashRecord) waiversOf(app string) []policy.Waiver {
	return slices.DeleteFunc(slices.Clone(r.waivers), func(w policy.Waiver) bool { return w.Name != app })
}
