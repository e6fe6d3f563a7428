package chat

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
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
)

// Telling is what Tell needs. Without Tickets, Reply, Policy and Posts no ticket is
// told of.
type Telling struct {
	Tickets tickets
	// Reply is what an audience is told of a ticket; the zero Reply where that is nothing.
	Reply  func(t approval.Ticket, to Audience) commands.Reply
	Policy func() policy.Policy
	Posts  posts
	Groups members // of the user groups among the approvers; nil: they are not told
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
// requester gets a short new one as well, unless they know already (see notice).
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
	n := news{bot: b, job: job, ticket: t, self: self, posts: map[string]Post{}}
	for _, p := range all {
		n.posts[p.Target] = p
	}
	if err := n.tell(ctx); err != nil {
		return err
	}
	if len(n.troubles) > 0 {
		// No failure of the job, whose pauses grow: the next revision waits for this one.
		why := b.api.redact(errors.Join(n.troubles...))
		b.log.Warn("a ticket is not told of everywhere yet", "ticket", id, "err", why)
		n.wait(time.Now().Add(3*b.cfg.Timing.Again), why)
	}
	if !n.later.IsZero() {
		return job.Later(n.later, n.why)
	}
	return nil
}

// news is one revision of a ticket on its way to people.
type news struct {
	bot    *Bot
	job    Job
	ticket approval.Ticket
	self   Self
	posts  map[string]Post // by target

	later    time.Time // when to go on; zero: nothing is left for later
	why      string
	troubles []error // that may pass
}

// trouble is an error of Slack's that may pass. It concerns one target, and the others
// go on.
type trouble struct{ err error }

func (t *trouble) Error() string { return t.err.Error() }
func (t *trouble) Unwrap() error { return t.err }

func (n *news) wait(until time.Time, why string) {
	if until.After(n.later) {
		n.later, n.why = until, why
	}
}

// tell goes through all targets. Its errors end the job for now; what concerns one
// target only is noted.
func (n *news) tell(ctx context.Context) error {
	pol := n.bot.cfg.Telling.Policy()
	reply := n.bot.cfg.Telling.Reply(n.ticket, ToApprovers)
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
	own := n.bot.cfg.Telling.Reply(n.ticket, ToRequester)
	if said := n.said(own); lost && said {
		own = with(own, n.excuse(pol.Approval.Channel, n.posts[channel].Lost, reached))
	}
	if n.ticket.Requester == "" {
		return nil
	}
	if err := n.bring(ctx, toRequester+n.ticket.Requester, own); err != nil || !noticed(n.ticket) {
		return err
	}
	return n.bring(ctx, toNotice+n.ticket.Requester, n.notice(own))
}

func (n *news) said(r commands.Reply) bool { return r.Summary != "" || len(r.Parts) > 0 }

// excuse tells the requester that the approval channel heard nothing.
func (n *news) excuse(channel, code string, reached int) string {
	why := map[string]string{
		"is_archived": "it is archived", "is_inactive": "it is archived", "not_in_channel": "I am not in it", "channel_not_found": "it is gone, or private and I am not in it",
	}[code]
	if why == "" {
		why = code
	}
	s := fmt.Sprintf("I could not post in the approval channel `%s` (%s).", channel, why)
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
	err := n.deliver(ctx, target, reply)
	if passes, ok := errors.AsType[*trouble](err); ok {
		n.troubles = append(n.troubles, fmt.Errorf("%s: %w", target, passes.err))
		n.bot.suspect(ctx, passes.err)
		return nil
	}
	if errors.Is(err, ErrPostChanged) {
		n.wait(time.Now().Add(time.Second), "somebody else is telling of the ticket")
		return nil
	}
	return err
}

func (n *news) deliver(ctx context.Context, target string, reply commands.Reply) error {
	b := n.bot
	p, recorded := n.posts[target]
	if !recorded {
		p = Post{Ticket: n.ticket.ID, Target: target}
	}
	if !p.Busy.IsZero() && p.TS == "" { // a change that was interrupted is simply made again
		if until := p.Busy.Add(b.cfg.Timing.Unsure); time.Now().Before(until) {
			n.wait(until, "a message about the ticket is being posted")
			return nil
		}
		if done, err := n.recover(ctx, &p); done || err != nil {
			return err
		}
	}
	switch {
	case p.TS == "" && (!n.said(reply) || !n.wanted(target)):
		return nil
	case !n.said(reply):
		reply = sentenceReply("There is nothing more to say about " + n.ticket.ID + " here.")
	}
	if p.Repeat {
		reply = with(reply, "This may be a repeat: I was interrupted while I posted it, and could not look whether it was there. If there is another one, this one counts.")
	}
	if p.TS != "" && p.Busy.IsZero() && strings.HasPrefix(target, toNotice) {
		return nil // said once, and never again
	}
	s := sheetOf(reply, n.ticket.ID, target)
	if p.TS != "" && p.Busy.IsZero() && p.Lost == "" && (p.Rev >= n.ticket.Rev || p.Hash == s.hash) {
		return nil
	}
	if p.Channel == "" {
		done, err := n.address(ctx, &p)
		if done || err != nil {
			return err
		}
	}
	for range 2 { // the second time where the message is gone
		again, err := n.write(ctx, &p, s)
		if !again || err != nil {
			return err
		}
	}
	return nil
}

// recover finds a message that was about to be posted when something ended us. done says that
// there is nothing more to do for now.
func (n *news) recover(ctx context.Context, p *Post) (done bool, err error) {
	ts, err := n.bot.find(ctx, *p)
	switch {
	case errors.Is(err, errBlind):
		n.bot.log.Warn("a message about a ticket may be posted twice: whether it is there can't be looked up", "ticket", p.Ticket, "err", n.bot.api.redact(err))
		p.Repeat = true
	case limited(err):
		n.wait(time.Now().Add(max(retryAfter(err), time.Second)), "slack asks to be left alone")
		return true, nil
	case err != nil:
		return true, &trouble{err}
	}
	p.TS = ts
	return false, nil
}

// address finds out where a person's message goes.
func (n *news) address(ctx context.Context, p *Post) (done bool, err error) {
	kind, id, _ := strings.Cut(p.Target, "/")
	if kind+"/" == toChannel {
		p.Channel = id
		return false, nil
	}
	p.Channel, err = n.bot.openDirect(ctx, id)
	switch {
	case err == nil:
		return false, nil
	case limited(err):
		n.wait(time.Now().Add(max(retryAfter(err), time.Second)), "slack asks to be left alone")
		return true, nil
	case passing(err):
		return true, &trouble{err}
	}
	n.lose(p, err)
	return true, n.save(ctx, nil, p)
}

// save writes a record, after do if that is not nil.
func (n *news) save(ctx context.Context, do func(context.Context) error, p *Post) error {
	err := n.job.Step(ctx, do, func(ctx context.Context, tx *sql.Tx) error {
		return n.bot.cfg.Telling.Posts.SavePost(ctx, tx, *p)
	})
	if err != nil {
		return err
	}
	p.Version++
	n.posts[p.Target] = *p
	return nil
}

// lose notes that nothing can be told at a target.
func (n *news) lose(p *Post, err error) {
	p.Lost, p.Busy = first(slackCode(err), "unreachable"), time.Time{}
	n.bot.once.do("lost "+p.Target+" "+p.Lost, func() {
		n.bot.log.Warn("a ticket can't be told of here", "ticket", p.Ticket, "step", p.Target, "err", n.bot.api.redact(err))
	})
}

// write posts or changes one message, with a record before and after. again says that
// the message to change is gone, so that it has to be posted anew.
func (n *news) write(ctx context.Context, p *Post, s sheet) (again bool, err error) {
	b := n.bot
	if p.TS == "" {
		wait, reserved := b.pace.reserve(p.Channel, time.Now())
		if !reserved {
			// Not all at the same moment: one of those that wait can be next.
			n.wait(time.Now().Add(wait+rand.N(2*postEvery)), "other messages in the channel come first")
			return false, nil
		}
		if !pause(ctx, wait) {
			return false, context.Cause(ctx)
		}
	}
	p.Busy = time.Now()
	if err := n.save(ctx, nil, p); err != nil {
		return false, err
	}
	after := *p
	var until time.Time
	err = n.save(ctx, func(ctx context.Context) error {
		// Over before anybody else takes it for interrupted.
		ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.HTTP)
		defer cancel()
		at, err := b.put(ctx, *p, s)
		after.Busy = time.Time{}
		code := slackCode(err)
		switch {
		case err == nil:
			after.Channel, after.TS, after.Lost = first(at.channel, p.Channel), first(at.ts, p.TS), ""
			after.Rev, after.Hash, after.Live = n.ticket.Rev, s.hash, s.live && !at.bare
		case limited(err):
			until = time.Now().Add(max(retryAfter(err), time.Second))
		case passing(err) || token(err):
			return &trouble{err} // whether it took effect is not known
		case p.TS == "" || unreachable(code):
			n.lose(&after, err)
		case code == "message_not_found":
			after.TS, after.Rev, after.Hash, after.Live = "", 0, "", false
			again = true
		default: // it stays as it is, which must not hold up anything
			after.Rev = n.ticket.Rev
			b.log.Error("a message about a ticket can't be changed", "ticket", p.Ticket, "step", p.Target, "err", b.api.redact(err))
		}
		return nil
	}, &after)
	if err != nil {
		return false, err
	}
	*p = after
	if !until.IsZero() {
		n.wait(until, "slack asks to be left alone")
	}
	return again, nil
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
