package approval

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/policy"
)

// People tells who somebody is, by Slack's word alone.
type People interface {
	// Kind says whether a person is an active full member of the bot's workspace: no
	// guest, nobody of another company, no machine. Where not, why completes the sentence
	// "This account is …". An error means that it could not be found out.
	Kind(ctx context.Context, user, team string) (ok bool, why string, err error)
	// InGroup says whether a person is in a user group. An error means that it could not
	// be found out.
	InGroup(ctx context.Context, group, user string) (bool, error)
}

// Person is who asks or decides, by the ids that Slack gave with the request.
type Person struct{ ID, Team string }

// admit refuses everybody who has no say at all. An error of its own means that ctx
// has ended.
func (d *Desk) admit(ctx context.Context, by Person) (*No, error) {
	ok, why, err := d.cfg.People.Kind(ctx, by.ID, by.Team)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("find out who %s is: %w", by.ID, context.Cause(ctx))
	case err != nil:
		return again(err, "I could not find out from Slack who you are."), nil
	case !ok:
		return no("This account is %s, and only active full members of this workspace have a say. Nothing was decided or changed; ask one of them.", why), nil
	}
	return nil, nil
}

// among says whether a person is one of ids, by themselves or by a user group. unread is
// not nil where that can't be told: then in is false, and nobody is let in. err means
// that ctx has ended.
func (d *Desk) among(ctx context.Context, ids []string, user string) (in bool, unread *No, err error) {
	if slices.Contains(ids, user) {
		return true, nil, nil
	}
	for _, id := range ids {
		if !strings.HasPrefix(id, "S") {
			continue
		}
		in, err := d.cfg.People.InGroup(ctx, id, user)
		switch {
		case ctx.Err() != nil:
			return false, nil, fmt.Errorf("read user group %s: %w", id, context.Cause(ctx))
		case err != nil:
			unread = again(err, "The policy names user groups, and I could not read from Slack who is in them; people whom it names by their own id are let in all the same.")
		case in:
			return true, nil, nil
		}
	}
	return false, unread, nil
}

// operator refuses who may not ask for changes.
func (d *Desk) operator(ctx context.Context, pol policy.Policy, by Person) (*No, error) {
	refused, err := d.admit(ctx, by)
	if refused != nil || err != nil {
		return refused, err
	}
	in, unread, err := d.among(ctx, pol.People.Operators, by.ID)
	if err != nil || in {
		return nil, err
	}
	if unread != nil {
		return unread, nil
	}
	return notOperator(pol.People, by.ID), nil
}

// lapsed says why the one who asked for the ticket may no longer, empty where they may.
// Where Slack can't tell it is unread.
func (d *Desk) lapsed(ctx context.Context, pol policy.Policy, t Ticket) (why string, unread *No, err error) {
	ok, kind, err := d.cfg.People.Kind(ctx, t.Requester, t.Team)
	switch {
	case ctx.Err() != nil:
		return "", nil, fmt.Errorf("find out who %s is: %w", t.Requester, context.Cause(ctx))
	case err != nil:
		return "", again(err, "I could not find out from Slack whether whoever asked for `%s` is still here.", t.ID), nil
	case !ok:
		return fmt.Sprintf("The account of whoever asked for %s is by now %s", t.ID, kind), nil, nil
	}
	in, unread, err := d.among(ctx, pol.People.Operators, t.Requester)
	if err != nil || in || unread != nil {
		return "", unread, err
	}
	return fmt.Sprintf("Whoever asked for %s is no longer among the operators", t.ID), nil, nil
}

// silenced says why each earlier vote counts no more, by user id, for those that don't.
func (d *Desk) silenced(ctx context.Context, pol policy.Policy, t Ticket) (why map[string]string, unread *No, err error) {
	why = map[string]string{}
	for _, v := range t.Votes {
		ok, kind, err := d.cfg.People.Kind(ctx, v.User, v.Team)
		switch {
		case ctx.Err() != nil:
			return nil, nil, fmt.Errorf("find out who %s is: %w", v.User, context.Cause(ctx))
		case err != nil:
			return nil, again(err, "I could not find out from Slack whether everybody who approved before is still here."), nil
		case !ok:
			why[v.User] = "this account is " + kind
			continue
		}
		may, unread, err := d.mayApprove(ctx, pol, t, v.User)
		switch {
		case err != nil || unread != nil:
			return nil, unread, err
		case !may:
			why[v.User] = "no longer among the approvers"
		}
	}
	return why, nil, nil
}

// deserted says why the votes that still count no longer reach, empty where they do.
func (d *Desk) deserted(ctx context.Context, pol policy.Policy, t Ticket) (why string, unread *No, err error) {
	gone, unread, err := d.silenced(ctx, pol, t)
	if err != nil || unread != nil {
		return "", unread, err
	}
	left := 0
	for _, v := range t.Votes {
		if because, lost := gone[v.User]; !lost {
			left++
		} else if why == "" {
			why = because
		}
	}
	if left >= t.Approvals {
		return "", nil, nil
	}
	return fmt.Sprintf("Of the approvals of %s %d still count, and %d are needed; why one no longer does: %s", t.ID, left, t.Approvals, why), nil, nil
}

// mayApprove says whether a person may approve the ticket. The requester may where the
// policy allows self-approval and names them as an approver, or names nobody at all: a
// company of one needs no list of one.
func (d *Desk) mayApprove(ctx context.Context, pol policy.Policy, t Ticket, user string) (may bool, unread *No, err error) {
	if user == t.Requester && (!pol.Approval.SelfApproval || len(pol.People.Approvers) == 0) {
		return pol.Approval.SelfApproval, nil, nil
	}
	return d.among(ctx, pol.People.Approvers, user)
}

// ownVoice says whether the requester may turn out to be one of their own approvers: for
// sure where they are named, maybe where a user group is.
func ownVoice(pol policy.Policy, requester string) bool {
	named := func(id string) bool { return id == requester || strings.HasPrefix(id, "S") }
	return pol.Approval.SelfApproval && (len(pol.People.Approvers) == 0 || slices.ContainsFunc(pol.People.Approvers, named))
}

// voices is how many people can approve what that person asks for. known is false where
// a user group is among the approvers: who is in it changes without a restart.
func voices(pol policy.Policy, requester string) (n int, known bool) {
	if pol.Approval.SelfApproval && len(pol.People.Approvers) == 0 {
		return 1, true
	}
	for _, id := range pol.People.Approvers {
		switch {
		case strings.HasPrefix(id, "S"):
			return 0, false
		case id != requester || pol.Approval.SelfApproval:
			n++
		}
	}
	return n, true
}
