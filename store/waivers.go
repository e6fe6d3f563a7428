package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

var _ approval.WaiverStore = (*Store)(nil)

// manyWaivers is how many Waivers reads where its filter names no limit.
const manyWaivers = 100

// CreateWaiverTx gives w the next id and stores it; see approval.WaiverStore.
func (s *Store) CreateWaiverTx(ctx context.Context, tx *sql.Tx, w policy.Waiver, change func(policy.Waiver) approval.Change) (stored policy.Waiver, made bool, err error) {
	if w.Origin == "" || w.AskedAt.IsZero() || w.State == "" || w.State == policy.WaiverUnreadable {
		return policy.Waiver{}, false, errors.New("create a waiver: it has no origin, no time or no state")
	}
	same, err := s.WaiversTx(ctx, tx, approval.WaiverFilter{Origin: w.Origin})
	if err != nil {
		return policy.Waiver{}, false, err
	}
	if len(same) > 0 {
		return same[0], false, nil
	}
	// Nobody else makes one before tx ends, and none is ever removed.
	var n int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(n), 0) + 1 FROM waivers`).Scan(&n); err != nil {
		return policy.Waiver{}, false, fmt.Errorf("number a waiver: %w", withContext(ctx, err))
	}
	w.ID, w.Rev = approval.WaiverID(n), 1
	body, err := json.Marshal(w)
	if err != nil {
		return policy.Waiver{}, false, fmt.Errorf("write %s: %w", w.ID, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO waivers (n, rev, state, app, origin, body) VALUES ($1, $2, $3, $4, $5, $6)`,
		n, w.Rev, string(w.State), string(w.App), w.Origin, string(body))
	if err != nil {
		return policy.Waiver{}, false, fmt.Errorf("store %s: %w", w.ID, withContext(ctx, err))
	}
	if stored, err = wholeWaiver(w.ID, string(body)); err != nil {
		return policy.Waiver{}, false, err
	}
	c := change(stored)
	c.Work = append(c.Work, tellWaiver(stored, c))
	return stored, true, s.carry(ctx, tx, stored.ID, c)
}

// ChangeWaiverTx changes a waiver; see approval.WaiverStore.
func (s *Store) ChangeWaiverTx(ctx context.Context, tx *sql.Tx, id string, change func(*policy.Waiver) (approval.Change, error)) (policy.Waiver, error) {
	if err := s.lockTickets(ctx, tx); err != nil {
		return policy.Waiver{}, err
	}
	before, err := s.waiver(ctx, tx, id)
	switch {
	case err != nil:
		return policy.Waiver{}, err
	case before.State == policy.WaiverUnreadable:
		return policy.Waiver{}, fmt.Errorf("change %s: its record can't be understood", id)
	}
	after, body, c, err := record[policy.Waiver]{wholeWaiver, approval.CheckWaiver, func(w *policy.Waiver) { w.Rev++ }}.edit(id, before, change)
	if err != nil {
		return policy.Waiver{}, err
	}
	if body == "" {
		return before, s.carry(ctx, tx, id, c)
	}
	n, _ := numberOf(id, approval.WaiverID)
	if _, err := tx.ExecContext(ctx, `UPDATE waivers SET rev = $1, state = $2, body = $3 WHERE n = $4`, after.Rev, string(after.State), body, n); err != nil {
		return policy.Waiver{}, fmt.Errorf("store %s: %w", id, withContext(ctx, err))
	}
	c.Work = append(c.Work, tellWaiver(after, c))
	return after, s.carry(ctx, tx, id, c)
}

// tellWaiver is the work of bringing every message about the waiver up to date; see tell.
func tellWaiver(w policy.Waiver, c approval.Change) approval.Work {
	work := tell(approval.Ticket{ID: w.ID, Rev: w.Rev}, c)
	work.Kind, work.Group = approval.WorkTellWaiver, approval.WorkTellWaiver+":"+w.ID
	return work
}

// Waiver reads a waiver by its id, W-3. Where there is none the error is
// approval.ErrNoWaiver.
func (s *Store) Waiver(ctx context.Context, id string) (policy.Waiver, error) {
	return s.waiver(ctx, s.db, id)
}

func (s *Store) waiver(ctx context.Context, q querier, id string) (policy.Waiver, error) {
	n, ok := numberOf(id, approval.WaiverID)
	if !ok {
		return policy.Waiver{}, fmt.Errorf("%q: %w", id, approval.ErrNoWaiver)
	}
	var app, body string
	err := q.QueryRowContext(ctx, `SELECT app, body FROM waivers WHERE n = $1`, n).Scan(&app, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return policy.Waiver{}, fmt.Errorf("%s: %w", id, approval.ErrNoWaiver)
	case err != nil:
		return policy.Waiver{}, fmt.Errorf("read %s: %w", id, withContext(ctx, err))
	}
	return readWaiver(id, app, body), nil
}

// Waivers reads the waivers that f selects, the newest first.
func (s *Store) Waivers(ctx context.Context, f approval.WaiverFilter) ([]policy.Waiver, error) {
	return s.waivers(ctx, s.db, f)
}

// WaiversTx is Waivers under the lock of those who change them.
func (s *Store) WaiversTx(ctx context.Context, tx *sql.Tx, f approval.WaiverFilter) ([]policy.Waiver, error) {
	if err := s.lockTickets(ctx, tx); err != nil {
		return nil, err
	}
	return s.waivers(ctx, tx, f)
}

func (s *Store) waivers(ctx context.Context, q querier, f approval.WaiverFilter) ([]policy.Waiver, error) {
	var of selection
	oneOf(&of, "state", f.States)
	of.is("app", string(f.App))
	of.is("origin", f.Origin)
	query, args := of.newest(`SELECT n, app, body FROM waivers`, f.Limit, manyWaivers)
	all, err := list(ctx, q, query, args, func(scan func(...any) error) (policy.Waiver, error) {
		var n int64
		var app, body string
		if err := scan(&n, &app, &body); err != nil {
			return policy.Waiver{}, err
		}
		return readWaiver(approval.WaiverID(n), app, body), nil
	})
	if err != nil {
		return nil, fmt.Errorf("read waivers: %w", withContext(ctx, err))
	}
	return all, nil
}

// readWaiver is a stored waiver; one that can't be understood is policy.WaiverUnreadable,
// so that it keeps nobody from reading the others, and waives nothing.
func readWaiver(id, app, body string) policy.Waiver {
	w, err := wholeWaiver(id, body)
	if err != nil {
		return policy.Waiver{ID: id, App: fleet.ID(app), State: policy.WaiverUnreadable}
	}
	return w
}

func wholeWaiver(id, body string) (policy.Waiver, error) {
	var w policy.Waiver
	if err := json.Unmarshal([]byte(body), &w); err != nil {
		return policy.Waiver{}, fmt.Errorf("understand %s as it is stored: %w", id, err)
	}
	if w.ID != id {
		return policy.Waiver{}, fmt.Errorf("understand %s as it is stored: it says that it is %q", id, w.ID)
	}
	return w, nil
}
