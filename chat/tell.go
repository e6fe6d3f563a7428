package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/commands"
	"example.com/zdd/policy"
)

// Audience is who reads a message about a ticket.
type Audience string

// The audiences.
const (
	ToApprovers Audience = "approvers" // in the approval channel, or each for themselves
	ToRequester Audience = "requester"
	ToReminded  Audience = "reminded" // the owner of a waiver, once it is over
)

// Telling is what Tell needs. Without Tickets, Reply, Policy and Posts no ticket is
// told of.
type Telling struct {
	Tickets tickets
	// Reply is what an audience is told of a ticket; the zero Reply where that is nothing.
	Reply func(t approval.Ticket, to Audience) commands.Reply
	// Waivers and Waiver are the same for waivers; without them none is told of.
	Waivers waivers
	Waiver  func(w policy.Waiver, to Audience) commands.Reply
	Policy  func() policy.Policy
	Posts   posts
	Groups  members // of the user groups among the approvers; nil: they are not told
}

type tickets interface {
	Ticket(ctx context.Context, id string) (approval.Ticket, error) // approval.ErrNoTicket
}

// members tells who is in a Slack user group; Groups does.
type members interface {
	Members(ctx context.Context, group string) ([]string, error)
}

func (t Telling) complete() bool {
	return t.Tickets != nil && t.Reply != nil && t.Policy != nil && t.Posts != nil
}

// Tell is the handler of approval.WorkTell, whose key is TICKET:REV: it brings every
// message about the ticket up to date, and posts those that are missing. Approvers are
// told in the approval channel, or each directly where there is none or it can't be
// posted in; the requester directly. Changing a message rings nobody: at the end the
// requester gets a short new one as well, unless they know already (see notice). The ticket
// of one of a batch's apps has no message of its own (see tellPart).
//
// Only the newest revision is told: an older job finds nothing to do. What Slack refuses
// for good is logged and never holds up the ticket; what it may do later is tried again.
func (b *Bot) Tell(ctx context.Context, job Job) error {
	c := b.cfg.Telling
	self, known := b.Self()
	switch {
	case !c.complete():
		return errors.New("nothing to tell of tickets with")
	case !known:
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	b.homes.stir()
	id, revision, _ := strings.Cut(jobKey(job), ":")
	rev, err := strconv.ParseInt(revision, 10, 64)
	if err != nil {
		return fmt.Errorf("job %s: its key is not TICKET:REV", job.ID())
	}
	t, err := c.Tickets.Ticket(ctx, id)
	if errors.Is(err, approval.ErrNoTicket) {
		b.log.Error("a ticket is to be told of that does not exist", "ticket", id)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ticket %s: %w", id, err)
	}
	if t.Rev > rev {
		return nil // the job of that revision tells it
	}
	all, err := c.Posts.Posts(ctx, id)
	if err != nil {
		return fmt.Errorf("read what was posted about %s: %w", id, err)
	}
	n := news{
		courier: newCourier(b, job, c.Posts, id, all), ticket: t, self: self,
		reply: func(to Audience) commands.Reply { return c.Reply(t, to) }, rings: noticed(t),
	}
	tell := n.tell
	if t.Of != "" {
		tell = n.tellPart
	}
	if err := tell(ctx); err != nil {
		return err
	}
	return n.pending(3 * b.cfg.Timing.Again)
}

// news is one revision of a ticket, or of a waiver, on its way to people.
type news struct {
	*courier
	ticket approval.Ticket // of a waiver what asTicket makes of it
	self   Self
	reply  func(to Audience) commands.Reply
	rings  bool // the requester gets a notice
}

// tell goes through all targets. Its errors end the job for now; what concerns one
// target only is noted.
func (n *news) tell(ctx context.Context) error {
	pol := n.bot.cfg.Telling.Policy()
	reply := n.reply(ToApprovers)
	current := map[string]bool{}
	channel := ""
	if pol.Approval.Channel != "" {
		channel = toChannel + pol.Approval.Channel
		current[channel] = true
		if err := n.bring(ctx, channel, reply); err != nil {
			return err
		}
	}
	lost := channel != "" && n.posts[channel].Lost != ""
	direct := channel == "" || lost
	asked := slices.ContainsFunc(n.targets(), func(target string) bool { return strings.HasPrefix(target, toApprover) })
	reached := 0
	if n.ticket.Approvals > 0 && direct || asked {
		for _, user := range n.approvers(ctx, pol.People.Approvers) {
			target := toApprover + user
			if _, told := n.posts[target]; !told && (!direct || n.ticket.Approvals == 0) {
				continue
			}
			current[target] = true
			if err := n.bring(ctx, target, reply); err != nil {
				return err
			}
			if p := n.posts[target]; p.TS != "" && p.Lost == "" {
				reached++
			}
		}
	}
	for _, target := range n.targets() { // whoever is asked no more keeps no button
		if !current[target] && audience(target) == ToApprovers {
			if err := n.bring(ctx, target, quiet(reply)); err != nil {
				return err
			}
		}
	}
	own := n.reply(ToRequester)
	if said := n.said(own); lost && said {
		own = with(own, n.excuse(pol.Approval.Channel, n.posts[channel].Lost, reached))
	}
	if n.ticket.Requester == "" {
		return nil
	}
	if err := n.bring(ctx, toRequester+n.ticket.Requester, own); err != nil || !n.rings {
		return err
	}
	return n.bring(ctx, toNotice+n.ticket.Requester, n.notice(own))
}

func (n *news) said(r commands.Reply) bool { return r.Summary != "" || len(r.Parts) > 0 }

// excuse tells the requester that the approval channel heard nothing.
func (n *news) excuse(channel, code string, reached int) string {
	s := fmt.Sprintf("I could not post in the approval channel `%s` (%s).", channel, whyLost(code))
	switch {
	case n.ticket.Approvals == 0, n.ticket.State != approval.Pending: // nobody is asked any more
	case reached == 0:
		s += " I could not reach an approver directly either."
	default:
		s += " I asked the approvers directly instead."
	}
	return s + " Whoever keeps the policy can invite me there, or name another `approval.channel`."
}

// targets are those that have a record, in order.
func (n *news) targets() []string {
	var out []string
	for target := range n.posts {
		out = append(out, target)
	}
	slices.Sort(out)
	return out
}

// approvers are the people to ask, by user id: full members of the workspace, and not
// the requester, who has a message already. A group that can't be read now is a
// trouble; one that Slack does not know, or will not tell of, is left out.
func (n *news) approvers(ctx context.Context, ids []string) []string {
	b := n.bot
	var users []string
	for _, id := range ids {
		if !strings.HasPrefix(id, "S") {
			users = append(users, id)
			continue
		}
		if b.cfg.Telling.Groups == nil {
			continue
		}
		in, err := b.cfg.Telling.Groups.Members(ctx, id)
		switch {
		case err == nil:
			users = append(users, in...)
		case passing(err):
			n.troubles = append(n.troubles, err)
		default:
			b.once.do("group "+id, func() {
				b.log.Warn("the approvers in a user group can't be told of tickets", "user", id, "err", b.api.redact(err))
			})
		}
	}
	slices.Sort(users)
	return slices.DeleteFunc(slices.Compact(users), func(id string) bool {
		if id == n.ticket.Requester {
			return true
		}
		user, err := b.people.find(ctx, id)
		if err != nil {
			if passing(err) {
				n.troubles = append(n.troubles, err)
			}
			return true
		}
		return kind(user, ask{}, n.self) != commands.Member
	})
}

// wanted says whether a message that is not there is worth posting: nobody needs to hear
// of a ticket that is over without having heard of it before.
func (n *news) wanted(target string) bool {
	switch s := n.ticket.State; {
	case strings.HasPrefix(target, toApprover):
		return s == approval.Pending
	case strings.HasPrefix(target, toChannel):
		return s != approval.Denied && s != approval.Cancelled && s != approval.Expired && s != approval.Stale
	}
	return true
}

// bring brings one message up to date. Slack's errors are noted; an error returned is
// the job's.
func (n *news) bring(ctx context.Context, target string, reply commands.Reply) error {
	l := letter{
		target: target, rev: n.ticket.Rev, once: strings.HasPrefix(target, toNotice), // said once, and never again
		wanted: n.said(reply) && n.wanted(target),
	}
	if !n.said(reply) {
		reply = sentenceReply("There is nothing more to say about " + n.ticket.ID + " here.")
	}
	l.show = func(p Post) sheet { return n.sheet(reply, p) }
	return n.courier.bring(ctx, l)
}

// sheet is what the message of p is to show.
func (n *news) sheet(reply commands.Reply, p Post) sheet {
	if p.Repeat {
		reply = with(reply, sentenceRepeat)
	}
	return sheetOf(reply, n.ticket.ID, p.Target)
}

// whyLost says in words why nothing can be told in a channel, by Slack's code.
func whyLost(code string) string {
	switch code {
	case "is_archived", "is_inactive":
		return "it is archived"
	case "not_in_channel":
		return "I am not in it"
	case "channel_not_found":
		return "it is gone, or private and I am not in it"
	}
	return code
}

// unreachable says that nothing can be written in a conversation any more, by Slack's code.
func unreachable(code string) bool {
	return slices.Contains([]string{"channel_not_found", "is_archived", "is_inactive", "not_in_channel", "user_disabled", "user_not_found", "messages_tab_disabled"}, code)
}

// token says that an error is about the bot's token or its scopes, which a person mends.
func token(err error) bool {
	_, fatal := errors.AsType[*FatalError](classify(err, botToken))
	return fatal
}
