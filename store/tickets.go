package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
)

var _ approval.Store = (*Store)(nil)

// manyTickets is how many Tickets reads where its filter names no limit.
const manyTickets = 100

// CreateTicket gives t the next id and stores it; see approval.Store.
func (s *Store) CreateTicket(ctx context.Context, t approval.Ticket, change func(approval.Ticket) approval.Change) (stored approval.Ticket, made bool, err error) {
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		stored, made, err = s.CreateTicketTx(ctx, tx, t, change)
		return err
	})
	if err != nil {
		return approval.Ticket{}, false, err
	}
	return stored, made, nil
}

// CreateTicketTx is CreateTicket in a transaction of the caller's.
func (s *Store) CreateTicketTx(ctx context.Context, tx *sql.Tx, t approval.Ticket, change func(approval.Ticket) approval.Change) (stored approval.Ticket, made bool, err error) {
	if t.Origin == "" || t.CreatedAt.IsZero() || t.State == "" {
		return approval.Ticket{}, false, errors.New("create a ticket: it has no origin, no time or no state")
	}
	same, err := s.TicketsTx(ctx, tx, approval.Filter{Origin: t.Origin})
	if err != nil {
		return approval.Ticket{}, false, err
	}
	if len(same) > 0 {
		return same[0], false, nil
	}
	// Nobody else makes one before tx ends, and none is ever removed.
	var n int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(n), 0) + 1 FROM tickets`).Scan(&n); err != nil {
		return approval.Ticket{}, false, fmt.Errorf("number a ticket: %w", withContext(ctx, err))
	}
	t.ID, t.Rev = approval.ID(n), 1
	body, err := json.Marshal(t)
	if err != nil {
		return approval.Ticket{}, false, fmt.Errorf("write %s: %w", t.ID, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO tickets (n, rev, state, app, origin, follows, created_at, decided_at, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		n, t.Rev, string(t.State), string(t.Plan.App), t.Origin, t.Follows, t.CreatedAt.UnixMilli(), toMillis(t.DecidedAt), string(body))
	if err != nil {
		return approval.Ticket{}, false, fmt.Errorf("store %s: %w", t.ID, withContext(ctx, err))
	}
	if stored, err = readTicket(t.ID, string(body)); err != nil {
		return approval.Ticket{}, false, err
	}
	c := change(stored)
	c.Work = append(c.Work, tell(stored, c))
	return stored, true, s.carry(ctx, tx, stored.ID, c)
}

// ChangeTicket changes a ticket in a transaction of its own; see approval.Store.
func (s *Store) ChangeTicket(ctx context.Context, id string, change func(*approval.Ticket) (approval.Change, error)) (t approval.Ticket, err error) {
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		t, err = s.ChangeTicketTx(ctx, tx, id, change)
		return err
	})
	if err != nil {
		return approval.Ticket{}, err
	}
	return t, nil
}

// ChangeTicketTx is ChangeTicket in a transaction of the caller's. Roll tx back on any
// error.
func (s *Store) ChangeTicketTx(ctx context.Context, tx *sql.Tx, id string, change func(*approval.Ticket) (approval.Change, error)) (approval.Ticket, error) {
	if err := s.lockTickets(ctx, tx); err != nil {
		return approval.Ticket{}, err
	}
	before, err := s.ticket(ctx, tx, id)
	if err != nil {
		return approval.Ticket{}, err
	}
	after, body, c, err := ticketRecord().edit(id, before, change)
	if err != nil {
		return approval.Ticket{}, err
	}
	if body == "" {
		return before, s.carry(ctx, tx, id, c)
	}
	n, _ := numberOf(id, approval.ID)
	_, err = tx.ExecContext(ctx, `UPDATE tickets SET rev = $1, state = $2, decided_at = $3, body = $4 WHERE n = $5`,
		after.Rev, string(after.State), toMillis(after.DecidedAt), body, n)
	if err != nil {
		return approval.Ticket{}, fmt.Errorf("store %s: %w", id, withContext(ctx, err))
	}
	c.Work = append(c.Work, tell(after, c))
	return after, s.carry(ctx, tx, id, c)
}

// tell is the work of bringing every message about the ticket up to date. One after the
// other: two at once might both post what is there already.
func tell(t approval.Ticket, c approval.Change) approval.Work {
	now := time.Now()
	if len(c.Entries) > 0 {
		now = c.Entries[0].At // the clock of who changed it, which a demo may have moved
	}
	return approval.Work{Kind: approval.WorkTell, Key: t.ID + ":" + strconv.FormatInt(t.Rev, 10), Group: approval.WorkTell + ":" + t.ID, At: now}
}

// carry stores what goes with a change.
func (s *Store) carry(ctx context.Context, tx *sql.Tx, id string, c approval.Change) error {
	if _, err := s.AppendLedger(ctx, tx, s.key, c.Entries...); err != nil {
		return fmt.Errorf("change %s: %w", id, err)
	}
	for _, w := range c.Work {
		if err := s.EnqueueJob(ctx, tx, jobs.Spec{Kind: w.Kind, Key: w.Key, Group: w.Group, At: w.At}); err != nil {
			return fmt.Errorf("change %s: %w", id, err)
		}
	}
	return nil
}

// lockTickets makes tx the only one that changes tickets until it ends. Nearly every
// change of one ends up in the ledger, so its head is the lock: with a second one,
// transactions that take them in another order could wait for each other.
func (s *Store) lockTickets(ctx context.Context, tx *sql.Tx) error {
	_, err := s.AppendLedger(ctx, tx, ledger.Key{})
	return err
}

// Ticket reads a ticket by its id, T-12. Where there is none the error is
// approval.ErrNoTicket.
func (s *Store) Ticket(ctx context.Context, id string) (approval.Ticket, error) {
	return s.ticket(ctx, s.db, id)
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) ticket(ctx context.Context, q querier, id string) (approval.Ticket, error) {
	n, ok := numberOf(id, approval.ID)
	if !ok {
		return approval.Ticket{}, fmt.Errorf("%q: %w", id, approval.ErrNoTicket)
	}
	var body string
	err := q.QueryRowContext(ctx, `SELECT body FROM tickets WHERE n = $1`, n).Scan(&body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return approval.Ticket{}, fmt.Errorf("%s: %w", id, approval.ErrNoTicket)
	case err != nil:
		return approval.Ticket{}, fmt.Errorf("read %s: %w", id, withContext(ctx, err))
	}
	return readTicket(id, body)
}

// Tickets reads the tickets that f selects, the newest first.
func (s *Store) Tickets(ctx context.Context, f approval.Filter) ([]approval.Ticket, error) {
	return s.tickets(ctx, s.db, f)
}

// TicketsTx is Tickets under the lock of those who change them.
func (s *Store) TicketsTx(ctx context.Context, tx *sql.Tx, f approval.Filter) ([]approval.Ticket, error) {
	if err := s.lockTickets(ctx, tx); err != nil {
		return nil, err
	}
	return s.tickets(ctx, tx, f)
}

func (s *Store) tickets(ctx context.Context, q querier, f approval.Filter) ([]approval.Ticket, error) {
	var of selection
	oneOf(&of, "state", f.States)
	of.is("app", string(f.App))
	of.is("origin", f.Origin)
	of.is("follows", f.Follows)
	if f.Batches {
		of.where = append(of.where, `app = ''`)
	}
	of.since("created_at", f.Since)
	of.since("decided_at", f.Decided)
	query, args := of.newest(`SELECT n, body FROM tickets`, f.Limit, manyTickets)
	all, err := list(ctx, q, query, args, func(scan func(...any) error) (approval.Ticket, error) {
		var n int64
		var body string
		if err := scan(&n, &body); err != nil {
			return approval.Ticket{}, err
		}
		return readTicket(approval.ID(n), body)
	})
	if err != nil {
		return nil, fmt.Errorf("read tickets: %w", withContext(ctx, err))
	}
	return all, nil
}

// ticketRecord is how tickets are kept.
func ticketRecord() record[approval.Ticket] {
	return record[approval.Ticket]{readTicket, approval.CheckChange, func(t *approval.Ticket) { t.Rev++ }}
}

func readTicket(id, body string) (approval.Ticket, error) {
	var t approval.Ticket
	if err := json.Unmarshal([]byte(body), &t); err != nil {
		return approval.Ticket{}, fmt.Errorf("understand %s as it is stored: %w", id, err)
	}
	return t, nil
}
