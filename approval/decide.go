package approval

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Outcome is what came of a vote that was not refused.
type Outcome string

// The outcomes.
const (
	Decided  Outcome = "decided"  // with it the ticket is approved
	Counted  Outcome = "counted"  // others have to follow: Approvals less Votes
	Repeated Outcome = "repeated" // it was counted before; nothing is new
)

// deciding is one decision: on the locked ticket, at one moment. spent are the other
// tickets about its apps that count towards the quorum. A No that comes with a change stores
// that change.
type deciding func(t *Ticket, spent []Ticket, now time.Time) (Change, *No)

// decide runs one decision in one transaction. The ticket is the stored one, also with
// a *No.
func (d *Desk) decide(ctx context.Context, was Ticket, by Person, tried string, do deciding) (t Ticket, err error) {
	var refused *No
	told, err := d.refusedLately(ctx, was, by, tried)
	if err != nil {
		return Ticket{}, fmt.Errorf("%s %s: %w", tried, was.ID, err)
	}
	err = d.cfg.Store.Tx(ctx, func(tx *sql.Tx) error {
		spent, err := d.spent(ctx, tx, was)
		if err != nil {
			return err
		}
		spent = slices.DeleteFunc(spent, func(o Ticket) bool { return o.ID == was.ID })
		t, err = d.cfg.Store.ChangeTicketTx(ctx, tx, was.ID, func(t *Ticket) (change Change, err error) {
			now := d.now()
			change, refused = do(t, spent, now)
			if refused != nil && change.Entries == nil && !slices.Contains(told, refused.Text) {
				change = refusal(*t, now, by, tried, refused)
			}
			return change, nil
		})
		if err != nil || refused != nil {
			return err
		}
		return d.follow(ctx, tx, t)
	})
	if err != nil {
		return Ticket{}, fmt.Errorf("%s %s: %w", tried, was.ID, err)
	}
	d.cfg.Wake()
	if refused != nil {
		return t, refused
	}
	return t, nil
}

// begin is how every decision begins: the ticket, and whether the person has a say.
func (d *Desk) begin(ctx context.Context, id string, by Person) (t Ticket, nobody *No, err error) {
	if by.ID == "" {
		return Ticket{}, nil, fmt.Errorf("decide on %q: nobody does", id)
	}
	if refused := d.readOnly(); refused != nil {
		return Ticket{}, nil, refused
	}
	if t, err = d.Ticket(ctx, id); err != nil {
		return Ticket{}, nil, err
	}
	nobody, err = d.admit(ctx, by)
	return t, nobody, err
}

// Do is the requester's own word on a ticket that needs no approval, and otherwise
// their own voice, which counts where the policy allows self-approval.
func (d *Desk) Do(ctx context.Context, id string, by Person) (Ticket, error) {
	t, _, err := d.vote(ctx, id, by, "do")
	return t, err
}

// Approve is a person's yes. The vote that completes the number approves the ticket, and
// stores the work that carries it out. A vote that is repeated is Repeated. The ticket
// is the stored one, also with a *No.
//
// The app is read again and the wish planned again first: where what was decided on no
// longer comes out, the ticket becomes stale; where a part can't be read, it waits.
func (d *Desk) Approve(ctx context.Context, id string, by Person) (Ticket, Outcome, error) {
	return d.vote(ctx, id, by, "approve")
}

func (d *Desk) vote(ctx context.Context, id string, by Person, tried string) (t Ticket, outcome Outcome, err error) {
	t, nobody, err := d.begin(ctx, id, by)
	if err != nil {
		return t, "", err
	}
	v := &voter{policy: d.cfg.Policy(), by: by, tried: tried, refused: nobody}
	if nobody == nil {
		if err := d.look(ctx, v, t); err != nil {
			return t, "", fmt.Errorf("%s %s: %w", tried, t.ID, err)
		}
	}
	t, err = d.decide(ctx, t, by, tried, func(t *Ticket, spent []Ticket, now time.Time) (change Change, refused *No) {
		outcome, change, refused = v.decide(t, spent, now)
		return change, refused
	})
	return t, outcome, err
}

// voter is a person who says yes, and all that was found out for that.
type voter struct {
	policy  policy.Policy
	by      Person
	tried   string
	refused *No // has no say at all

	may       bool // is an approver of this ticket
	mayUnread *No

	lapsed       string // why the requester may no longer, or the ticket is no longer theirs
	lapsedUnread *No

	silenced       map[string]string // why earlier votes count no more
	silencedUnread *No

	looked    bool // the app was read again; false: nothing below counts
	changed   string
	appUnread *No
}

// look finds out what a vote depends on, cheapest first, and stops where nothing more
// can be needed: a ticket that is not pending any more never is again.
func (d *Desk) look(ctx context.Context, v *voter, t Ticket) (err error) {
	if t.State != Pending || !d.now().Before(t.ExpiresAt) {
		return nil
	}
	if t.Approvals > 0 {
		v.may, v.mayUnread, err = d.mayApprove(ctx, v.policy, t, v.by.ID)
		if err != nil || !v.may {
			return err
		}
	} else if v.by.ID != t.Requester {
		return nil
	}
	if v.lapsed, err = d.Proof(ctx, t); err != nil || v.lapsed != "" {
		return err
	}
	if v.lapsed, v.lapsedUnread, err = d.lapsed(ctx, v.policy, t); err != nil || v.lapsed != "" || v.lapsedUnread != nil {
		return err
	}
	if v.silenced, v.silencedUnread, err = d.silenced(ctx, v.policy, t); err != nil || v.silencedUnread != nil {
		return err
	}
	v.changed, v.appUnread, err = d.rereadAll(ctx, v.policy, t)
	v.looked = err == nil
	return err
}

// decide counts the vote, or says why not. It is the whole of the rules.
func (v *voter) decide(t *Ticket, spent []Ticket, now time.Time) (Outcome, Change, *No) {
	self := v.by.ID == t.Requester
	voted := slices.ContainsFunc(t.Votes, func(o Vote) bool { return o.User == v.by.ID }) ||
		self && t.Approvals == 0 && t.State != Pending && t.Resumer == ""
	refuse := func(why *No) (Outcome, Change, *No) { return "", Change{}, why }
	switch {
	case v.refused != nil:
		return refuse(v.refused)
	case voted && slices.Contains([]State{Approved, Running, Done, Stopped, Failed}, t.State):
		return Repeated, Change{}, nil
	case t.State != Pending:
		return refuse(settled(*t))
	case !now.Before(t.ExpiresAt):
		change := expire(t, now, v.by.ID)
		return "", change, settled(*t)
	case t.Approvals == 0 && !self:
		return refuse(no("`%s` needs no approval: whoever asked for it can start it with `Do it`, and nobody else. Anyone may cancel it: `/zdd cancel %s`.", t.ID, t.ID))
	case v.tried == "do" && !self:
		return refuse(no("Only whoever asked for `%s` can do that. To approve it: `/zdd approve %s`.", t.ID, t.ID))
	case t.Approvals > 0 && self && !v.policy.Approval.SelfApproval:
		return refuse(no("You asked for this, so another approver has to decide. Nothing was changed; you can still cancel it: `/zdd cancel %s`.", t.ID))
	case t.Approvals > 0 && v.mayUnread != nil:
		return refuse(v.mayUnread)
	case t.Approvals > 0 && !v.may:
		return refuse(notApprover(v.policy.People, v.by.ID, t.ID))
	case v.lapsedUnread != nil:
		return refuse(v.lapsedUnread)
	case v.lapsed != "":
		change := stale(t, now, v.by.ID, v.lapsed)
		return "", change, &No{Text: t.Outcome}
	case voted:
		return Repeated, Change{}, nil
	case v.silencedUnread != nil:
		return refuse(v.silencedUnread)
	case v.appUnread != nil:
		return refuse(v.appUnread)
	case !v.looked: // the clock was set back between the look and the decision
		return refuse(again(nil, "I have not looked at %s again.", plan.Join(namesOf(*t))))
	case v.changed != "":
		change := stale(t, now, v.by.ID, v.changed)
		return "", change, &No{Text: t.Outcome}
	}
	if why := beyond(v.policy.Limits, *t); why != nil {
		return refuse(why)
	}
	return v.count(t, spent, now)
}

// count adds the vote. What others had approved meanwhile may have raised the number
// that is needed; it never falls.
func (v *voter) count(t *Ticket, spent []Ticket, now time.Time) (Outcome, Change, *No) {
	q := quorumOf(v.policy.Approval, *t, spent)
	if (q.need > 0) != (t.Approvals > 0) { // another version of this program made the ticket
		change := stale(t, now, v.by.ID, "What needs an approval is judged differently by now")
		return "", change, &No{Text: t.Outcome}
	}
	if q.need > t.Approvals {
		t.Approvals, t.Why = q.need, append(t.Why, q.why)
	}
	dropped := map[string]string{}
	t.Votes = slices.DeleteFunc(t.Votes, func(o Vote) bool {
		why, gone := v.silenced[o.User]
		if gone {
			dropped[o.User] = why
		}
		return gone
	})
	self := v.by.ID == t.Requester
	if t.Approvals > 0 {
		t.Votes = append(t.Votes, Vote{User: v.by.ID, Team: v.by.Team, At: now, Self: self})
	}
	about := aboutPlan(*t, q)
	about.Dropped, about.Self = dropped, self
	if len(t.Votes) < t.Approvals {
		return Counted, Change{Entries: []ledger.Entry{entry(*t, now, v.by.ID, ledger.Voted, about)}}, nil
	}
	t.State, t.DecidedAt = Approved, now
	return Decided, Change{Entries: []ledger.Entry{entry(*t, now, v.by.ID, ledger.Approved, about)}, Work: []Work{applyWork(*t, now)}}, nil
}

// applyWork carries an approved ticket out: one of an app at a time, in the order in
// which they were approved. A batch has others to wait for only where its parts do.
// Batches, and their parts, wait for a program that knows them: an older one, during a
// deploy or after it was rolled back, would take them for altered.
func applyWork(t Ticket, now time.Time) Work {
	kind := WorkApply
	if t.Batch() || t.Of != "" {
		kind = WorkBatch
	}
	return Work{Kind: kind, Key: t.ID, Group: string(t.Plan.App), At: now}
}

// Deny is an approver's no. The reason may be empty; what is too long is cut. Nothing is
// read again for that, and who may approve only in the company of others may deny alone.
// Repeated by the same person it is a success.
func (d *Desk) Deny(ctx context.Context, id string, by Person, reason string) (Ticket, error) {
	t, nobody, err := d.begin(ctx, id, by)
	if err != nil {
		return t, err
	}
	pol := d.cfg.Policy()
	may, unread := false, (*No)(nil)
	if nobody == nil {
		if may, unread, err = d.among(ctx, pol.People.Approvers, by.ID); err != nil {
			return t, fmt.Errorf("deny %s: %w", t.ID, err)
		}
	}
	reason = clean(reason)
	return d.decide(ctx, t, by, "deny", func(t *Ticket, _ []Ticket, now time.Time) (Change, *No) {
		switch {
		case nobody != nil:
			return Change{}, nobody
		case t.State == Denied && t.DecidedBy == by.ID:
			return Change{}, nil
		case t.State != Pending:
			return Change{}, settled(*t)
		case !now.Before(t.ExpiresAt):
			change := expire(t, now, by.ID)
			return change, settled(*t)
		case unread != nil:
			return Change{}, unread
		case !may:
			return Change{}, notApprover(pol.People, by.ID, t.ID)
		}
		t.State, t.DecidedAt, t.DecidedBy, t.Reason = Denied, now, by.ID, reason
		t.Outcome = "Nothing was changed."
		about := aboutPlan(*t, quorum{})
		about.Reason = reason
		return Change{Entries: []ledger.Entry{entry(*t, now, by.ID, ledger.Denied, about)}}, nil
	})
}

// Cancel is anybody's who may read: it takes a ticket back that has not begun, and has
// one that runs stop after its current step (Halt); of a batch nothing more begins then,
// and the part that runs stops after its current step. Repeated it is a success.
func (d *Desk) Cancel(ctx context.Context, id string, by Person) (Ticket, error) {
	t, nobody, err := d.begin(ctx, id, by)
	if err != nil {
		return t, err
	}
	pol := d.cfg.Policy()
	if readers := pol.People.Readers; nobody == nil && len(readers) > 0 && by.ID != t.Requester {
		may, unread, err := d.among(ctx, slices.Concat(readers, pol.People.Approvers, pol.People.Operators), by.ID)
		switch {
		case err != nil:
			return t, fmt.Errorf("cancel %s: %w", t.ID, err)
		case unread != nil:
			nobody = unread
		case !may:
			nobody = &No{Text: fmt.Sprintf("The policy's `people.readers` does not name you, so `%s` is as it was. %s", t.ID, keeper), Paste: "people:\n  readers: " + with(readers, by.ID)}
		}
	}
	return d.decide(ctx, t, by, "cancel", func(t *Ticket, _ []Ticket, now time.Time) (Change, *No) {
		switch {
		case nobody != nil:
			return Change{}, nobody
		case t.State == Cancelled && t.DecidedBy == by.ID, t.State == Running && t.Halt != "":
			return Change{}, nil
		case (t.State == Stopped || t.State == Failed) && t.Halt == by.ID:
			return Change{}, nil
		case t.State == Pending && !now.Before(t.ExpiresAt):
			change := expire(t, now, by.ID)
			return change, settled(*t)
		case t.State.Final():
			return Change{}, settled(*t)
		}
		return cancel(t, now, by.ID), nil
	})
}

// cancel takes t back, or has it stop after its current step. What is over stays so.
func cancel(t *Ticket, now time.Time, by string) Change {
	about := detail{Votes: t.Votes, Batch: t.Of}
	switch {
	case t.State.Final():
		return Change{}
	case t.State == Running:
		t.Halt, about.Halt = by, true
	default:
		t.State, t.DecidedAt, t.DecidedBy = Cancelled, now, by
		t.Outcome = "Nothing was changed."
	}
	return Change{Entries: []ledger.Entry{entry(*t, now, by, ledger.Cancelled, about)}}
}
