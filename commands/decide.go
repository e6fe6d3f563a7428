package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/policy"
)

// approvalNo finds what approval refuses in words for a person.
func approvalNo(err error) (*approval.No, bool) { return errors.AsType[*approval.No](err) }

// decision is a command on one ticket. They differ in what the desk is told.
func decision(d desk, policies Policies, c Command, decide func(ctx context.Context, req Request, id string) (approval.Ticket, error)) Command {
	usage := c.Usage
	c.Changes, c.Desk = true, true
	c.Args = max(c.Args, 1)
	c.Options = []Option{{planOption, "the first 8 digits of the plan's digest, if it is to be that plan and no other; buttons say it"}}
	c.Run = func(ctx context.Context, req Request) (Reply, error) {
		id, err := ticketID(req.Args.Word(0), spoken(req.Via, usage))
		if err != nil {
			return Reply{}, err
		}
		if err := samePlan(ctx, d, req, id); err != nil {
			return Reply{}, err
		}
		ticket, err := decide(ctx, req, id)
		if errors.Is(err, approval.ErrNoTicket) {
			return Reply{}, refuse("There is no ticket `%s`. `pending` lists those that wait.", id)
		}
		if err != nil {
			return Reply{}, said(err)
		}
		if reply, ok := pressedReply(ticket, req, policies.Policy().Approval.Channel); ok {
			return reply, nil
		}
		return TicketReply(ticket, to(ticket, req.By)), nil
	}
	return c
}

// pressedReply answers whoever pressed a button that decided on a ticket: in a line, because
// the ticket's card says the rest and goes on saying it, and a copy would push it out of
// sight. ok is false where nobody pressed, and where there is something left to press.
func pressedReply(t approval.Ticket, req Request, channel string) (reply Reply, ok bool) {
	if req.Via != Press {
		return Reply{}, false
	}
	name := Bold(t.ID + " · " + wishLine(t))
	var text, follow Text
	switch {
	case t.State == approval.Pending && len(t.Votes) > 0:
		text = Line("Your yes to ", name, fmt.Sprintf(" counts: %d of %d. Nothing begins before the last one.", len(t.Votes), t.Approvals))
	case t.State == approval.Denied:
		text = Line(name, " is denied. Nothing was changed, and whoever asked is told.")
	case t.State == approval.Cancelled:
		text = Line(name, " is called off. Nothing was changed.")
	case t.Halt != "" && !t.State.Final():
		text, follow = Line(name, " stops after its current step, and leaves the others undone."), follows(req, channel)
	case t.State == approval.Approved || t.State == approval.Running:
		how := " begins now, or as soon as no other ticket changes the app."
		if t.Approvals > 0 {
			how = " is approved, and" + how
		}
		text, follow = Line(name, how), follows(req, channel)
	default:
		return Reply{}, false
	}
	return Reply{Summary: text.String(), Parts: []Part{Para{append(text, follow...)}}}, true
}

// follows says where one sees how far a ticket is.
func follows(req Request, channel string) Text {
	switch channel {
	case "":
		return Line(" Its card shows how far it is.")
	case req.Channel:
		return Line(" Its card here shows how far it is.")
	}
	return Line(" Its card in ", MentionChannel(channel), " shows how far it is.")
}

// samePlan refuses what was meant for another plan than the ticket's. A ticket's plan never
// changes, so that it may be read before the decision is made.
func samePlan(ctx context.Context, d desk, req Request, id string) error {
	want := strings.ToLower(req.Args.Options[planOption])
	if want == "" { // typed, or a button of an older version
		return nil
	}
	t, err := d.Ticket(ctx, id)
	switch {
	case err != nil:
		return said(err)
	case want == planDigest(t):
		return nil
	}
	what := "What you typed names"
	if req.Via == Press {
		what = "This button belongs to"
	}
	return refuse("%s an older request, or another plan, than today's `%s`, which is `%s`. Nothing was decided or changed. To see it: `%s`.", what, t.ID, wishLine(t), spoken(req.Via, "show "+t.ID))
}

// orWaiver lets a command on tickets decide on waivers too: their ids tell them apart.
func orWaiver(v waiver, c Command, do func(ctx context.Context, d waiveDesk, id string, by approval.Person, reason string) (policy.Waiver, error)) Command {
	ticket := c.Run
	c.Run = func(ctx context.Context, req Request) (Reply, error) {
		id, ok := approval.ParseWaiverID(req.Args.Word(0))
		switch {
		case !ok:
			return ticket(ctx, req)
		case v.desk == nil:
			return Reply{}, noWaivers()
		}
		req.Args.Words = append([]string{id}, req.Args.Words[1:]...)
		return v.decide(ctx, req, func(ctx context.Context, id string, by approval.Person, reason string) (policy.Waiver, error) {
			return do(ctx, v.desk, id, by, reason)
		})
	}
	return c
}

func newApprove(d desk, v waiver) Command {
	return orWaiver(v, decision(d, v.policies, Command{
		Name:    "approve",
		Usage:   "approve <ticket>",
		Summary: "say yes to a plan, or a waiver, that waits for approval",
		Help:    "The text twin of the button `Approve`. The app is read again first: if it is not as it was when the plan was made, the ticket is stale and nothing happens. Who asked can't approve, unless the policy says so. A waiver (`W-3`) holds from the click on.",
		Example: []string{"approve T-12", "approve W-3"},
	}, func(ctx context.Context, req Request, id string) (approval.Ticket, error) {
		t, _, err := d.Approve(ctx, id, approver(req.By))
		return t, err
	}), func(ctx context.Context, d waiveDesk, id string, by approval.Person, _ string) (policy.Waiver, error) {
		return d.Approve(ctx, id, by)
	})
}

func newDeny(d desk, v waiver) Command {
	return orWaiver(v, decision(d, v.policies, Command{
		Name:    "deny",
		Usage:   "deny <ticket> [reason]",
		Summary: "say no to a plan, or a waiver, that waits for approval",
		Help:    "The text twin of the button `Deny`. The reason is shown to whoever asked. Nothing is changed.",
		Example: []string{"deny T-12", `deny T-12 "not before the sale"`},
		Args:    100, // the reason's words
	}, func(ctx context.Context, req Request, id string) (approval.Ticket, error) {
		return d.Deny(ctx, id, approver(req.By), note(req, 1))
	}), func(ctx context.Context, d waiveDesk, id string, by approval.Person, reason string) (policy.Waiver, error) {
		return d.Deny(ctx, id, by, reason)
	})
}

func newCancel(d desk, v waiver) Command {
	return orWaiver(v, decision(d, v.policies, Command{
		Name:    "cancel",
		Usage:   "cancel <ticket>",
		Summary: "call a plan off, or stop it after its current step",
		Help:    "Anyone may. A plan that has not begun is called off; one that runs stops after the step it is at, and says what is done and what is not. A waiver (`W-3`) that waits is called off, and one that holds is ended as `unwaive` does. A watch of a deploy (`D-5`) ends early.",
		Example: []string{"cancel T-12", "cancel W-3", "cancel D-5"},
	}, func(ctx context.Context, req Request, id string) (approval.Ticket, error) {
		return d.Cancel(ctx, id, approver(req.By))
	}), func(ctx context.Context, d waiveDesk, id string, by approval.Person, reason string) (policy.Waiver, error) {
		return d.End(ctx, id, by, reason)
	})
}

func newResume(d desk, policies Policies) Command {
	return decision(d, policies, Command{
		Name:    "resume",
		Usage:   "resume <ticket>",
		Summary: "go on with a plan that stopped or failed",
		Help:    "Reads the app again. If exactly the steps that were left remain, they go on under the approval that was given, while it lasts; anything else becomes a new ticket.",
		Example: []string{"resume T-12"},
	}, func(ctx context.Context, req Request, id string) (approval.Ticket, error) {
		t, _, err := d.Resume(ctx, approval.ResumeFor{Ticket: id, By: approver(req.By), Channel: req.Channel, Origin: req.Origin})
		return t, err
	})
}

// newDo is the button of a plan that needs no approval; typing it does the same.
func newDo(d desk, policies Policies) Command {
	return decision(d, policies, Command{
		Name:    "do",
		Usage:   "do <ticket>",
		Summary: "carry out a plan of your own that needs no approval",
		Help:    "The text twin of the button `Do it`, which is shown under the preview of a plan that costs nothing more and lowers no protection.",
		Example: []string{"do T-12"},
	}, func(ctx context.Context, req Request, id string) (approval.Ticket, error) {
		return d.Do(ctx, id, approver(req.By))
	})
}

// note is the text that goes with a decision: what was typed into the dialog, else the
// words from the i-th on.
func note(req Request, i int) string {
	if req.Note != "" || len(req.Args.Words) <= i {
		return req.Note
	}
	return strings.Join(req.Args.Words[i:], " ")
}
