package chat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/commands"
	"example.com/zdd/policy"
)

// toReminder rings a waiver's owner after it held: it was ended by somebody else, or a
// migration window is over and what was switched off is still off.
const toReminder = "reminder/"

// waivers finds what TellWaiver tells of.
type waivers interface {
	Waiver(ctx context.Context, id string) (policy.Waiver, error) // approval.ErrNoWaiver
}

// TellWaiver is the handler of approval.WorkTellWaiver, whose key is WAIVER:REV. A waiver
// is told of as a ticket is (see Tell): in the approval channel, to approvers who are to
// decide on it, and to its owner where somebody else decides. Who gets one at once has the
// answer to the command, and hears no more of it than the digest's countdown, unless
// somebody else ends it or a migration window is over: then they are rung.
func (b *Bot) TellWaiver(ctx context.Context, job Job) error {
	c := b.cfg.Telling
	self, known := b.Self()
	switch {
	case !c.complete() || c.Waivers == nil || c.Waiver == nil:
		return errors.New("nothing to tell of waivers with")
	case !known:
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	id, revision, _ := strings.Cut(jobKey(job), ":")
	rev, err := strconv.ParseInt(revision, 10, 64)
	if err != nil {
		return fmt.Errorf("job %s: its key is not WAIVER:REV", job.ID())
	}
	w, err := c.Waivers.Waiver(ctx, id)
	if errors.Is(err, approval.ErrNoWaiver) {
		b.log.Error("a waiver is to be told of that does not exist", "ticket", id)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read waiver %s: %w", id, err)
	}
	if w.Rev > rev || w.State == policy.WaiverUnreadable {
		return nil // the job of that revision tells it; of what can't be read there is nothing to tell
	}
	all, err := c.Posts.Posts(ctx, id)
	if err != nil {
		return fmt.Errorf("read what was posted about %s: %w", id, err)
	}
	n := news{
		courier: newCourier(b, job, c.Posts, id, all), ticket: asTicket(w), self: self,
		reply: func(to Audience) commands.Reply { return c.Waiver(w, to) }, rings: noticedWaiver(w),
	}
	if err := n.tell(ctx); err != nil {
		return err
	}
	if remind(w) {
		if err := n.bring(ctx, toReminder+w.By, c.Waiver(w, ToReminded)); err != nil {
			return err
		}
	}
	return n.pending(3 * b.cfg.Timing.Again)
}

// asTicket is a waiver as news go by: whose it is, who is to decide, and whether it is over.
func asTicket(w policy.Waiver) approval.Ticket {
	t := approval.Ticket{ID: w.ID, Rev: w.Rev, Requester: w.By, Team: w.Team, Approvals: w.Approvals}
	switch w.State {
	case policy.WaiverPending:
		t.State = approval.Pending
	case policy.WaiverActive:
		t.State = approval.Approved
	case policy.WaiverDenied:
		t.State = approval.Denied
	case policy.WaiverExpired:
		t.State = approval.Expired
	default:
		t.State = approval.Cancelled
	}
	return t
}

// noticedWaiver says whether a decision is worth ringing the owner for; see noticed.
func noticedWaiver(w policy.Waiver) bool {
	decided := w.EndedAt
	switch {
	case w.Approvals == 0, w.DecidedBy == w.By:
		return false
	case w.State == policy.WaiverActive:
		decided = w.From
	case w.State == policy.WaiverDenied, w.State == policy.WaiverCancelled, w.State == policy.WaiverExpired && w.From.IsZero():
	default:
		return false
	}
	return decided.Sub(w.AskedAt) >= noticeAfter
}

// remind says whether the owner is to hear of what came of a waiver that held.
func remind(w policy.Waiver) bool {
	return w.State == policy.WaiverExpired && w.Still != "" || w.State == policy.WaiverEnded && w.DecidedBy != w.By
}

// oldCopy is what an older copy of a message about a ticket or a waiver is to show; ok is
// false where its word can't be trusted.
func (t Telling) oldCopy(ctx context.Context, id string, to Audience) (reply commands.Reply, ok bool) {
	if _, is := approval.ParseWaiverID(id); !is {
		found, err := t.Tickets.Ticket(ctx, id)
		if err != nil { // also approval.ErrNoTicket
			return commands.Reply{}, false
		}
		return t.Reply(found, to), true
	}
	if t.Waivers == nil || t.Waiver == nil {
		return commands.Reply{}, false
	}
	found, err := t.Waivers.Waiver(ctx, id)
	if err != nil || found.State == policy.WaiverUnreadable {
		return commands.Reply{}, false
	}
	return t.Waiver(found, to), true
}
