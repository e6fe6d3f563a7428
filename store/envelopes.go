package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Envelope identifies one delivery from Slack that must be acted on only once.
type Envelope struct {
	// ID is Slack's: the envelope_id of a command or a click, the event_id of an
	// event (a redelivered event comes in a new envelope). Never empty.
	ID string
	// Kind is the envelope's type, for people who look at the table.
	Kind string
	// At is when it was seen, and with that how long it is remembered. Never zero.
	At time.Time
}

// RecordEnvelope remembers e.ID and reports whether it was new: true exactly once
// for each id, over any number of replicas and restarts, until ForgetEnvelopes.
// On an error it is most likely not remembered, but that is not certain (the
// connection may have broken after the commit): say "not accepted", change nothing.
func (s *Store) RecordEnvelope(ctx context.Context, e Envelope) (first bool, err error) {
	return recordEnvelope(ctx, s.db, e)
}

// recordEnvelope is RecordEnvelope in the database, or in a transaction.
func recordEnvelope(ctx context.Context, in interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, e Envelope) (first bool, err error) {
	if e.ID == "" || e.At.IsZero() {
		return false, errors.New("record envelope: it has no id or no time")
	}
	res, err := in.ExecContext(ctx,
		`INSERT INTO seen_envelopes (id, kind, seen_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
		e.ID, e.Kind, e.At.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("record envelope %s: %w", e.ID, withContext(ctx, err))
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("record envelope %s: %w", e.ID, err)
	}
	return n == 1, nil
}

// ForgetEnvelopes drops what was seen before the given time and says how many
// those were. Slack delivers an event again for about six minutes, so the
// caller keeps at least ten.
func (s *Store) ForgetEnvelopes(ctx context.Context, before time.Time) (n int64, err error) {
	res, err := s.db.ExecContext(ctx, `DELETE FROM seen_envelopes WHERE seen_at < $1`, before.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("forget envelopes: %w", withContext(ctx, err))
	}
	n, err = res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("forget envelopes: %w", err)
	}
	return n, nil
}
