package approval

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// Approve is an approver's yes, with which the waiver holds. Repeated by the same person
// it is a success. The waiver is the stored one, also with a *No.
func (d *Waivers) Approve(ctx context.Context, id string, by Person) (policy.Waiver, error) {
	w, nobody, err := d.begin(ctx, id, by)
	if err != nil {
		return w, err
	}
	pol := d.desk.cfg.Policy()
	v := waiverVoter{policy: pol, by: by, nobody: nobody}
	if nobody == nil && w.State == policy.WaiverPending {
		if err := d.look(ctx, &v, w); err != nil {
			return w, fmt.Errorf("approve %s: %w", w.ID, err)
		}
	}
	return d.decide(ctx, w, by, "approve", func(w *policy.Waiver, now time.Time) (Change, *No) { return v.decide(w, now) })
}

// waiverVoter is a person who says yes, and all that was found out for that.
type waiverVoter struct {
	policy policy.Policy
	by     Person
	nobody *No // has no say at all

	may          bool // is an approver
	mayUnread    *No
	lapsed       string // why who asked may no longer, or the waiver is not what was asked for
	lapsedUnread *No
	looked       string // askedPrint of the waiver that was looked at; empty: none was
}

// look finds out what a vote depends on.
func (d *Waivers) look(ctx context.Context, v *waiverVoter, w policy.Waiver) (err error) {
	asked := Ticket{ID: w.ID, Requester: w.By, Team: w.Team} // for the rules on people, which are those of tickets
	if v.may, v.mayUnread, err = d.desk.mayApprove(ctx, v.policy, asked, v.by.ID); err != nil || !v.may {
		return err
	}
	if v.lapsed, err = d.Proof(ctx, w); err == nil && v.lapsed == "" {
		v.lapsed, v.lapsedUnread, err = d.desk.lapsed(ctx, v.policy, asked)
	}
	if err == nil {
		v.looked = askedPrint(w)
	}
	return err
}

func (v *waiverVoter) decide(w *policy.Waiver, now time.Time) (Change, *No) {
	self := v.by.ID == w.By
	voted := slices.ContainsFunc(w.Votes, func(o policy.WaiverVote) bool { return o.User == v.by.ID })
	switch {
	case v.nobody != nil:
		return Change{}, v.nobody
	case voted && w.State == policy.WaiverActive:
		return Change{}, nil
	case w.State != policy.WaiverPending:
		return Change{}, settledWaiver(*w, now)
	case !now.Before(w.DecideBy):
		change := expireWaiver(w, now, v.by.ID)
		return change, settledWaiver(*w, now)
	case self && !v.policy.Approval.SelfApproval:
		return Change{}, no("You asked for this, so another approver has to decide. Nothing was waived; you can still cancel it: `/zdd cancel %s`.", w.ID)
	case v.mayUnread != nil:
		return Change{}, v.mayUnread
	case !v.may:
		return Change{}, notApprover(v.policy.People, v.by.ID, w.ID)
	case v.lapsedUnread != nil:
		return Change{}, v.lapsedUnread
	case v.lapsed != "":
		change := v.void(w, now)
		return change, no("%s. Nothing was waived. To ask for it anew: `/zdd %s`.", w.Why, waiveLine(*w))
	case v.looked != askedPrint(*w): // it was not pending then, or somebody has altered its record since
		return Change{}, again(nil, "I have not looked at `%s` again.", w.ID)
	}
	if refused := tooLong(v.policy, w.Reason, w.Until, now); refused != nil {
		return Change{}, refused
	}
	w.State, w.From, w.DecidedBy = policy.WaiverActive, now, v.by.ID
	w.Votes = append(w.Votes, policy.WaiverVote{User: v.by.ID, Team: v.by.Team, At: now, Self: self})
	return begins(*w, v.by.ID), nil
}

// void ends a waiver that nobody can approve any more.
func (v *waiverVoter) void(w *policy.Waiver, now time.Time) Change {
	w.State, w.EndedAt, w.Why = policy.WaiverCancelled, now, v.lapsed
	return Change{Entries: []ledger.Entry{waiverEntry(*w, now, ledger.Bot, ledger.Unwaived, waiverDetail{Check: w.Check, Why: v.lapsed, FoundBy: v.by.ID})}}
}

// Deny is an approver's no to a waiver that waits. The reason may be empty; what is too
// long is cut. Repeated by the same person it is a success.
func (d *Waivers) Deny(ctx context.Context, id string, by Person, reason string) (policy.Waiver, error) {
	w, nobody, err := d.begin(ctx, id, by)
	if err != nil {
		return w, err
	}
	pol := d.desk.cfg.Policy()
	may, unread := false, (*No)(nil)
	if nobody == nil {
		if may, unread, err = d.desk.among(ctx, pol.People.Approvers, by.ID); err != nil {
			return w, fmt.Errorf("deny %s: %w", w.ID, err)
		}
	}
	reason = clean(reason)
	return d.decide(ctx, w, by, "deny", func(w *policy.Waiver, now time.Time) (Change, *No) {
		switch {
		case nobody != nil:
			return Change{}, nobody
		case w.State == policy.WaiverDenied && w.DecidedBy == by.ID:
			return Change{}, nil
		case w.State != policy.WaiverPending:
			return Change{}, settledWaiver(*w, now)
		case !now.Before(w.DecideBy):
			change := expireWaiver(w, now, by.ID)
			return change, settledWaiver(*w, now)
		case unread != nil:
			return Change{}, unread
		case !may:
			return Change{}, notApprover(pol.People, by.ID, w.ID)
		}
		w.State, w.EndedAt, w.DecidedBy, w.Why = policy.WaiverDenied, now, by.ID, reason
		return Change{Entries: []ledger.Entry{waiverEntry(*w, now, by.ID, ledger.WaiverDenied, waiverDetail{Check: w.Check, Typed: reason})}}, nil
	})
}

// End takes a waiver back: one that waits becomes cancelled, by anybody who may read, and
// one that holds becomes ended, by its owner, an operator or an approver: the check
// counts again from now on. The reason may be empty. Repeated it is a success.
func (d *Waivers) End(ctx context.Context, id string, by Person, reason string) (policy.Waiver, error) {
	w, nobody, err := d.begin(ctx, id, by)
	if err != nil {
		return w, err
	}
	people := d.desk.cfg.Policy().People
	// The transaction decides by the state that it finds, so both are found out.
	read := endRight{may: true}
	if nobody == nil && by.ID != w.By && len(people.Readers) > 0 {
		read, err = d.right(ctx, slices.Concat(people.Readers, people.Approvers, people.Operators), by)
	}
	end := endRight{may: by.ID == w.By}
	if err == nil && nobody == nil && !end.may {
		end, err = d.right(ctx, slices.Concat(people.Operators, people.Approvers), by)
	}
	if err != nil {
		return w, fmt.Errorf("end %s: %w", w.ID, err)
	}
	reason = clean(reason)
	return d.decide(ctx, w, by, "end", func(w *policy.Waiver, now time.Time) (Change, *No) {
		holds := w.State == policy.WaiverActive
		right := read
		if holds {
			right = end
		}
		switch {
		case nobody != nil:
			return Change{}, nobody
		case (w.State == policy.WaiverCancelled || w.State == policy.WaiverEnded) && w.DecidedBy == by.ID:
			return Change{}, nil
		case w.State == policy.WaiverPending && !now.Before(w.DecideBy):
			change := expireWaiver(w, now, by.ID)
			return change, settledWaiver(*w, now)
		case w.State.Final(), holds && !now.Before(w.Until): // its own work ends it, and looks who is to be reminded
			return Change{}, settledWaiver(*w, now)
		case right.unread != nil:
			return Change{}, right.unread
		case !right.may && holds:
			return Change{}, &No{
				Text:  fmt.Sprintf("Only whoever asked for `%s`, an operator or an approver can end it, and the policy's `people.operators` does not name you, so it holds as before. %s", w.ID, keeper),
				Paste: "people:\n  operators: " + with(people.Operators, by.ID),
			}
		case !right.may:
			return Change{}, &No{Text: fmt.Sprintf("The policy's `people.readers` does not name you, so `%s` is as it was. %s", w.ID, keeper), Paste: "people:\n  readers: " + with(people.Readers, by.ID)}
		}
		w.State, w.EndedAt, w.DecidedBy, w.Why = policy.WaiverCancelled, now, by.ID, reason
		if holds {
			w.State = policy.WaiverEnded
		}
		return Change{Entries: []ledger.Entry{waiverEntry(*w, now, by.ID, ledger.Unwaived, waiverDetail{Check: w.Check, Typed: reason})}}, nil
	})
}

// endRight says whether somebody is among those who may; unread: that can't be told.
type endRight struct {
	may    bool
	unread *No
}

func (d *Waivers) right(ctx context.Context, ids []string, by Person) (r endRight, err error) {
	r.may, r.unread, err = d.desk.among(ctx, ids, by.ID)
	return r, err
}

// begin is how every decision begins: the waiver, and whether the person has a say.
func (d *Waivers) begin(ctx context.Context, id string, by Person) (w policy.Waiver, nobody *No, err error) {
	if by.ID == "" {
		return policy.Waiver{}, nil, fmt.Errorf("decide on %q: nobody does", id)
	}
	if refused := d.desk.readOnly(); refused != nil {
		return policy.Waiver{}, nil, refused
	}
	if w, err = d.Waiver(ctx, id); err != nil {
		return policy.Waiver{}, nil, err
	}
	nobody, err = d.desk.admit(ctx, by)
	return w, nobody, err
}

// decide runs one decision in one transaction. The waiver is the stored one, also with a
// *No. A No that comes with a change stores that change.
func (d *Waivers) decide(ctx context.Context, was policy.Waiver, by Person, tried string, do func(w *policy.Waiver, now time.Time) (Change, *No)) (w policy.Waiver, err error) {
	var refused *No
	told, err := d.desk.refusedLately(ctx, Ticket{ID: was.ID}, by, tried)
	if err != nil {
		return policy.Waiver{}, fmt.Errorf("%s %s: %w", tried, was.ID, err)
	}
	err = d.store.Tx(ctx, func(tx *sql.Tx) error {
		before := was.State
		w, err = d.store.ChangeWaiverTx(ctx, tx, was.ID, func(w *policy.Waiver) (change Change, err error) {
			now := d.desk.now()
			before = w.State
			change, refused = do(w, now)
			if refused != nil && change.Entries == nil && !slices.Contains(told, refused.Text) {
				about := waiverDetail{Check: w.Check, Tried: tried, Why: refused.Text}
				change.Entries = []ledger.Entry{waiverEntry(*w, now, by.ID, ledger.Refused, about)}
			}
			return change, nil
		})
		if err == nil && w.State == policy.WaiverActive && before == policy.WaiverPending {
			err = d.replace(ctx, tx, w)
		}
		return err
	})
	if err != nil {
		return policy.Waiver{}, fmt.Errorf("%s %s: %w", tried, was.ID, err)
	}
	d.desk.cfg.Wake()
	if refused != nil {
		return w, refused
	}
	return w, nil
}

// settledWaiver answers to a decision that comes after another one, or after the end.
func settledWaiver(w policy.Waiver, now time.Time) *No {
	switch {
	case w.State == policy.WaiverActive && now.Before(w.Until):
		return no("`%s` is decided already. As long as it holds, `/zdd unwaive %s %s` ends it.", w.ID, w.Name, w.Check)
	case w.State == policy.WaiverDenied:
		return no("`%s` was denied already, and waived nothing. To ask for it anew: `/zdd %s`.", w.ID, waiveLine(w))
	case w.State == policy.WaiverCancelled:
		return no("`%s` was cancelled already, before it waived anything. To ask for it anew: `/zdd %s`.", w.ID, waiveLine(w))
	case w.State == policy.WaiverExpired && w.From.IsZero():
		return no("Nobody decided on `%s` in time, and it waived nothing. To ask for it anew: `/zdd %s`.", w.ID, waiveLine(w))
	case w.State == policy.WaiverReplaced:
		return no("`%s` has taken the place of `%s`, which is over.", w.Replaced, w.ID)
	}
	return no("`%s` is over already, and waives nothing any more. To ask for it anew: `/zdd %s`.", w.ID, waiveLine(w))
}

// waiveLine is what to type to ask for the same once more, without the /zdd.
func waiveLine(w policy.Waiver) string {
	return fmt.Sprintf("waive %s %s until <date> because %s", w.Name, w.Check, w.Reason)
}
