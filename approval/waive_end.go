package approval

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// stillRetry is for how long after its end the app of a migration window is tried to be
// read, before its owner is reminded without it: Heroku's shorter outages are over by
// then, and people still remember what they switched off.
const stillRetry = time.Hour

// Due is the handler of WorkWaiver. It ends a waiver whose time is over, or that nobody
// decided on in time, and answers when there is to be looked at it again; zero: never.
// An error is for the queue to try again. That a waiver has not been ended yet changes
// nothing: what is past its end waives nothing.
//
// When a policy.MigrationWindow is over, the app is read first. Where its check still
// fails, and no other waiver has taken over, the waiver says so (Still), and its owner is
// to be told with it.
func (d *Waivers) Due(ctx context.Context, id string) (next time.Time, err error) {
	w, err := d.store.Waiver(ctx, id)
	switch {
	case errors.Is(err, ErrNoWaiver):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	}
	if next, over := due(w, d.desk.now()); !over {
		return next, nil
	}
	still, err := d.stillFails(ctx, w)
	if err != nil {
		return time.Time{}, fmt.Errorf("end %s: %w", id, err)
	}
	err = d.store.Tx(ctx, func(tx *sql.Tx) error {
		w, err = d.store.ChangeWaiverTx(ctx, tx, id, func(w *policy.Waiver) (Change, error) {
			now := d.desk.now()
			if _, over := due(*w, now); !over {
				return Change{}, nil
			}
			change := expireWaiver(w, now, "")
			if w.From.IsZero() || still == "" {
				return change, nil
			}
			w.Still = still
			about := waiverDetail{Check: w.Check, Still: still}
			return Change{Entries: []ledger.Entry{waiverEntry(*w, now, ledger.Bot, ledger.WaiverExpired, about)}}, nil
		})
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("end %s: %w", id, err)
	}
	d.desk.cfg.Wake()
	next, _ = due(w, d.desk.now())
	return next, nil
}

// due says whether the waiver's time, or that to decide on it, is over, and if not, when it
// will be; zero: never.
func due(w policy.Waiver, now time.Time) (at time.Time, over bool) {
	switch w.State {
	case policy.WaiverPending:
		at = w.DecideBy
	case policy.WaiverActive:
		at = w.Until
	default:
		return time.Time{}, false
	}
	return at, !now.Before(at)
}

// expireWaiver ends w. by is who found that it is over; empty: the clock.
func expireWaiver(w *policy.Waiver, now time.Time, by string) Change {
	w.State, w.EndedAt = policy.WaiverExpired, now
	return Change{Entries: []ledger.Entry{waiverEntry(*w, now, ledger.Bot, ledger.WaiverExpired, waiverDetail{Check: w.Check, FoundBy: by})}}
}

// stillFails says what is wrong with the app of a migration window that is over, a
// sentence; empty: nothing, or it is no such.
func (d *Waivers) stillFails(ctx context.Context, w policy.Waiver) (string, error) {
	if d.still == nil || w.State != policy.WaiverActive || w.Reason != policy.MigrationWindow {
		return "", nil
	}
	held, err := d.Holding(ctx, w.App)
	if err != nil {
		return "", err
	}
	now := d.desk.now()
	if _, waived := (policy.Rules{Waivers: held}).Waived(w.App, w.Check, now); waived {
		return "", nil
	}
	if why, err := d.Proof(ctx, w); why != "" || err != nil {
		return "", err // nobody asked for that, so nobody is reminded
	}
	still, evidence, err := d.still(ctx, w)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil && now.Before(w.Until.Add(stillRetry)):
		return "", err
	case err != nil:
		return "Whether it was put right I could not read from Heroku, an hour long.", nil
	case !still:
		return "", nil
	}
	return strings.TrimSuffix(evidence, ".") + ".", nil
}
