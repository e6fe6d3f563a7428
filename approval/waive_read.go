package approval

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// WaiverReader tells which waivers hold. It changes nothing and asks nobody, so that a
// terminal can use it too. Store and Policy are required.
//
// What it lists as holding is borne out by the ledger: whoever can write the database
// can make up a waiver, a later end or another app, but without the ledger's key no
// entry that fits. Such a waiver is told to Forged and left out.
type WaiverReader struct {
	Store interface {
		Waiver(ctx context.Context, id string) (policy.Waiver, error)
		Waivers(ctx context.Context, f WaiverFilter) ([]policy.Waiver, error)
		LedgerOfTicket(ctx context.Context, waiver string, before int64, limit int) ([]ledger.Entry, error)
		lastEntries
	}
	Policy func() policy.Policy // in force now
	// Key is the one that the Store seals the ledger with.
	Key ledger.Key
	// Forged hears of each waiver that would hold and that the ledger does not bear out,
	// each time that it is looked at; why is a sentence without its full stop. Nil: nobody.
	Forged func(ctx context.Context, w policy.Waiver, why string)
	Now    func() time.Time // default time.Now
}

// now is the time as it is stored: in UTC, to the millisecond.
func (r *WaiverReader) now() time.Time {
	if r.Now == nil {
		return time.Now().UTC().Truncate(time.Millisecond)
	}
	return r.Now().UTC().Truncate(time.Millisecond)
}

// Rules are the policy's for the app with the waivers that hold. Every path that judges
// an app takes its rules from here. With an error they are those without any waiver: what
// can't be read waives nothing.
func (r *WaiverReader) Rules(ctx context.Context, app fleet.App) (policy.Rules, error) {
	rules := r.Policy().For(app)
	held, err := r.Holding(ctx, app.ID)
	if err != nil {
		return rules, err
	}
	rules.Waivers = held
	return rules, nil
}

// Holding are the waivers of an app that hold now, the one that ends first at the front.
func (r *WaiverReader) Holding(ctx context.Context, app fleet.ID) ([]policy.Waiver, error) {
	if app == "" {
		return nil, errors.New("read the waivers of an app: it has no UUID")
	}
	all, err := r.list(ctx, WaiverFilter{App: app, States: []policy.WaiverState{policy.WaiverActive}, Limit: -1})
	if err != nil {
		return nil, fmt.Errorf("read the waivers of app %s: %w", app, err)
	}
	return all, nil
}

// Of are the waivers of an app that hold now or wait for a decision in time, the one that
// ends first at the front.
func (r *WaiverReader) Of(ctx context.Context, app fleet.ID) ([]policy.Waiver, error) {
	if app == "" {
		return nil, errors.New("read the waivers of an app: it has no UUID")
	}
	all, err := r.list(ctx, WaiverFilter{App: app, States: open(), Limit: -1})
	if err != nil {
		return nil, fmt.Errorf("read the waivers of app %s: %w", app, err)
	}
	return all, nil
}

// Open are the waivers of all apps that hold now or wait for a decision in time, the one
// that ends first at the front.
func (r *WaiverReader) Open(ctx context.Context) ([]policy.Waiver, error) {
	all, err := r.list(ctx, WaiverFilter{States: open(), Limit: -1})
	if err != nil {
		return nil, fmt.Errorf("read the waivers: %w", err)
	}
	return all, nil
}

// Outlasting are the waivers that hold and that the policy in force would not let begin as
// they are: not without an approval, or not for as long as is left of them. They hold until
// their end nevertheless.
func (r *WaiverReader) Outlasting(ctx context.Context) ([]policy.Waiver, error) {
	all, err := r.Open(ctx)
	if err != nil {
		return nil, err
	}
	pol, now := r.Policy(), r.now()
	return slices.DeleteFunc(all, func(w policy.Waiver) bool {
		approved := len(w.Votes) > 0 || pol.Waivers.Approval == policy.WaiverNeedsNone
		return w.State != policy.WaiverActive || approved && tooLong(pol, w.Reason, w.Until, now) == nil
	}), nil
}

func open() []policy.WaiverState {
	return []policy.WaiverState{policy.WaiverPending, policy.WaiverActive}
}

// list leaves out what does not hold and does not wait, and what nothing bears out.
func (r *WaiverReader) list(ctx context.Context, f WaiverFilter) ([]policy.Waiver, error) {
	all, err := r.Store.Waivers(ctx, f)
	if err != nil {
		return nil, err
	}
	now, held := r.now(), all[:0]
	for _, w := range all {
		switch {
		case w.State == policy.WaiverPending && now.Before(w.DecideBy):
			held = append(held, w)
			continue
		case w.State == policy.WaiverUnreadable:
			r.forged(ctx, w, fmt.Sprintf("The record of %s in the database can't be understood", w.ID))
			continue
		case !w.Waives(w.App, w.Check, now):
			continue
		}
		why, over, err := r.proof(ctx, w)
		switch {
		case err != nil:
			return nil, err
		case over:
		case why != "":
			r.forged(ctx, w, why)
		default:
			held = append(held, w)
		}
	}
	slices.SortStableFunc(held, func(a, b policy.Waiver) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID)) })
	return held, nil
}

func (r *WaiverReader) forged(ctx context.Context, w policy.Waiver, why string) {
	if r.Forged != nil {
		r.Forged(ctx, w, why)
	}
}

// Waiver finds a waiver by its id as people type it. A *No says that there is none.
func (r *WaiverReader) Waiver(ctx context.Context, id string) (policy.Waiver, error) {
	parsed, ok := ParseWaiverID(id)
	if !ok {
		return policy.Waiver{}, noWaiver(id)
	}
	w, err := r.Store.Waiver(ctx, parsed)
	if errors.Is(err, ErrNoWaiver) {
		return policy.Waiver{}, noWaiver(parsed)
	}
	return w, err
}

func noWaiver(text string) *No {
	if id, ok := ParseWaiverID(text); ok {
		return no("There is no waiver `%s`. `/zdd waivers` lists those that hold or wait for a decision.", id)
	}
	return no("Waivers are called like `W-3`; `/zdd waivers` lists those that hold or wait for a decision.")
}

// Proof says why a waiver that is not over is not what the sealed ledger tells of it, a
// sentence without its full stop; empty where it is. Like [Desk.Proof] it can't tell one whose
// end was taken out of the ledger too, until a night has found that. One that was changed while
// this read the ledger is not said to be forged: it is looked at as it is by then, and where it
// is over there is nothing left to prove.
func (r *WaiverReader) Proof(ctx context.Context, w policy.Waiver) (why string, err error) {
	why, _, err = r.proof(ctx, w)
	return why, err
}

// proof is Proof; over says that the waiver has ended meanwhile.
func (r *WaiverReader) proof(ctx context.Context, w policy.Waiver) (why string, over bool, err error) {
	for {
		why, err := r.held(ctx, w)
		if err != nil {
			return "", false, fmt.Errorf("read what the ledger tells of %s: %w", w.ID, err)
		}
		if why == "" {
			return "", false, nil
		}
		again, err := r.Store.Waiver(ctx, w.ID)
		if err != nil && !errors.Is(err, ErrNoWaiver) {
			return "", false, err
		}
		if err != nil || again.Rev <= w.Rev {
			return why, false, nil
		}
		if again.State.Final() {
			return fmt.Sprintf("%s is %s by now", w.ID, again.State), true, nil
		}
		w = again
	}
}

// held compares a waiver with the entry that made it what it is.
func (r *WaiverReader) held(ctx context.Context, w policy.Waiver) (why string, err error) {
	verb, print := ledger.Waived, heldPrint(w)
	switch w.State {
	case policy.WaiverActive:
	case policy.WaiverPending:
		verb, print = ledger.WaiverAsked, askedPrint(w)
	default:
		return "", nil
	}
	const page = 100 // entries; a waiver has few, but for those who were refused
	for before := int64(0); ; {
		entries, err := r.Store.LedgerOfTicket(ctx, w.ID, before, page)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			before = e.Seq
			if e.Ticket != w.ID || !r.Key.Fits(e) || e.Verb == ledger.Refused {
				continue
			}
			var about waiverDetail
			switch {
			case e.Verb != verb:
				return fmt.Sprintf("The database has %s as %s, and the ledger does not", w.ID, w.State), nil
			case json.Unmarshal(e.Detail, &about) != nil || about.Waiver != print || e.App != string(w.App):
				return fmt.Sprintf("%s is not what the ledger tells of it: its record in the database was altered", w.ID), nil
			}
			upTo, err := doubt(ctx, r.Store, r.Key)
			return doubted(e, upTo), err
		}
		if len(entries) < page || before <= 1 {
			return fmt.Sprintf("The ledger does not tell of %s, sealed with the key that I have: the key was changed since, or somebody else wrote it into the database", w.ID), nil
		}
	}
}

// askedPrint is a hash of what was asked for.
func askedPrint(w policy.Waiver) string { return hashOf(asAsked(w)) }

// heldPrint is a hash of all that a waiver waives by: what was asked for, since when it
// holds, and who said yes.
func heldPrint(w policy.Waiver) string {
	held := asAsked(w)
	held.From = w.From.UnixMilli()
	return hashOf(struct {
		asked
		Votes []policy.WaiverVote
	}{held, w.Votes})
}
