package chat

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// firstReply is what follows the target of a message for the first reply to it.
const firstReply = "/thread/01"

// tellPart tells how the ticket of one of a batch's apps ended, and what was found when
// looking again after that: once, as a reply to the message about the batch, which itself
// says how far each app is. It rings nobody: the end of the batch does.
//
// The reply stands in the approval channel, or in the requester's direct messages where
// the batch can't be told there. Where it is told nowhere, neither is this.
func (n *news) tellPart(ctx context.Context) error {
	c := n.bot.cfg.Telling
	reply := n.reply(ToApprovers)
	if !n.said(reply) {
		return nil
	}
	all, err := c.Posts.Posts(ctx, n.ticket.Of)
	if err != nil {
		return fmt.Errorf("read what was posted about %s: %w", n.ticket.Of, err)
	}
	answer := func(to Post) error {
		target := to.Target + firstReply
		return n.courier.bring(ctx, letter{
			target: target, rev: n.ticket.Rev, wanted: true, in: to.Channel, thread: to.TS,
			show: func(p Post) sheet { return n.sheet(reply, p) },
		})
	}
	// Where it stands it stays, wherever the batch is told by now.
	if i := slices.IndexFunc(all, func(p Post) bool { return p.TS != "" && n.there(p.Target+firstReply) }); i >= 0 {
		return answer(all[i])
	}
	channel := toChannel + c.Policy().Approval.Channel
	rank := func(p Post) int {
		switch {
		case p.Target == channel:
			return 0
		case strings.HasPrefix(p.Target, toChannel):
			return 1
		case strings.HasPrefix(p.Target, toRequester):
			return 2
		}
		return 3
	}
	slices.SortStableFunc(all, func(a, b Post) int { return cmp.Compare(rank(a), rank(b)) })
	hope := len(all) == 0
	for _, p := range all {
		switch {
		case rank(p) == 3 || p.Lost != "":
		case p.TS != "":
			return answer(p)
		default: // it is being posted
			hope = true
		}
		if hope {
			break
		}
	}
	if hope {
		n.wait(time.Now().Add(3*n.bot.cfg.Timing.Again), "the ticket that it is a part of is not told yet")
	}
	return nil
}

// Whole is the target of the message in whose thread the message of p stands; empty: it is no
// reply of that kind.
func (p Post) Whole() string {
	whole, reply := strings.CutSuffix(p.Target, firstReply)
	if !reply {
		return ""
	}
	return whole
}

// PermalinkIn is Permalink of p, a reply in the thread of first: without its thread Slack
// would open the channel at that time, where it is not shown (Slack, "chat.getPermalink").
func (s Self) PermalinkIn(first, p Post) string {
	address := s.Permalink(p)
	if address == "" || first.TS == "" {
		return address
	}
	return address + "?thread_ts=" + first.TS + "&cid=" + p.Channel
}
