package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"example.com/zdd/ledger"
)

// ledgerPage is how many entries are read at once. Between two pages the connection
// is free, so that who goes through the ledger may use the store meanwhile: SQLite has
// only one.
const ledgerPage = 500

// ErrLedgerKey reports that the ledger is sealed with a key and none was given. An
// entry without one would look like a forgery for ever after.
var ErrLedgerKey = errors.New("the ledger is sealed with a key, and none is set: nothing was changed; set ZDD_LEDGER_KEY to the key that it had")

// AppendLedger seals the entries, in their order, behind the last one and returns the
// new head. It joins the caller's transaction, so that no change is kept without its
// entry and no entry without its change. It locks the head first: whoever appends at
// the same time waits until tx ends. So it comes last in tx: two transactions that took
// other locks after it could wait for each other.
//
// An entry that does not Check, or a missing key (ErrLedgerKey), appends none of them;
// roll tx back on any error.
func (s *Store) AppendLedger(ctx context.Context, tx *sql.Tx, key ledger.Key, entries ...ledger.Entry) (ledger.Head, error) {
	for _, e := range entries {
		if err := e.Check(); err != nil {
			return ledger.Head{}, err
		}
	}
	var head ledger.Head
	var lastKey string
	// It changes nothing, but PostgreSQL locks the row and reads what was committed
	// last. SQLite's transactions are alone from their beginning.
	err := tx.QueryRowContext(ctx, `UPDATE ledger_head SET seq = seq RETURNING seq, hash, key_id`).Scan(&head.Seq, &head.Hash, &lastKey)
	if err != nil {
		return ledger.Head{}, fmt.Errorf("lock the ledger's head: %w", withContext(ctx, err))
	}
	if len(entries) == 0 {
		return head, nil
	}
	if lastKey != "" && key.ID() == "" {
		return ledger.Head{}, ErrLedgerKey
	}
	for _, e := range entries {
		e = key.Seal(head, e)
		_, err := tx.ExecContext(ctx, `INSERT INTO ledger (seq, at, actor, verb, app, name, ticket, detail, key_id, prev, hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			e.Seq, e.At.UnixMilli(), e.Actor, e.Verb, e.App, e.Name, e.Ticket, string(e.Detail), e.KeyID, e.Prev, e.Hash)
		if err != nil {
			return ledger.Head{}, fmt.Errorf("append #%d (%s) to the ledger: %w", e.Seq, e.Verb, withContext(ctx, err))
		}
		head = e.Head()
	}
	if _, err := tx.ExecContext(ctx, `UPDATE ledger_head SET seq = $1, hash = $2, key_id = $3`, head.Seq, head.Hash, key.ID()); err != nil {
		return ledger.Head{}, fmt.Errorf("move the ledger's head to #%d: %w", head.Seq, withContext(ctx, err))
	}
	return head, nil
}

// LedgerHead reads the end of the chain; the zero Head is that of an empty ledger.
func (s *Store) LedgerHead(ctx context.Context) (ledger.Head, error) {
	var h ledger.Head
	if err := s.db.QueryRowContext(ctx, `SELECT seq, hash FROM ledger_head`).Scan(&h.Seq, &h.Hash); err != nil {
		return ledger.Head{}, fmt.Errorf("read the ledger's head: %w", withContext(ctx, err))
	}
	return h, nil
}

// Ledger yields the entries from the number fromSeq on, in order, with what is
// appended meanwhile. After an error it ends. The loop's body may use the store.
func (s *Store) Ledger(ctx context.Context, fromSeq int64) iter.Seq2[ledger.Entry, error] {
	return s.ledgerBetween(ctx, fromSeq, math.MaxInt64)
}

// VerifyLedger reads the whole ledger and holds it against its head, the keys that
// ever sealed it, and the heads that were told elsewhere; see ledger.Verify. What is
// appended meanwhile is left out. An error means that it could not be read.
func (s *Store) VerifyLedger(ctx context.Context, keys []ledger.Key, known ...ledger.Head) (ledger.Report, error) {
	var head ledger.Head
	var last int64
	// One statement, and so one moment, in which no entry is behind the head, unless
	// somebody put it there. Up to the head, nothing changes afterwards.
	err := s.db.QueryRowContext(ctx, `SELECT seq, hash, (SELECT COALESCE(MAX(seq), 0) FROM ledger) FROM ledger_head`).Scan(&head.Seq, &head.Hash, &last)
	if err != nil {
		return ledger.Report{}, fmt.Errorf("read the ledger's head: %w", withContext(ctx, err))
	}
	return ledger.Verify(s.ledgerBetween(ctx, math.MinInt64, max(head.Seq, last)), head, keys, known...)
}

// LedgerOf reads at most limit entries about the app with that UUID, or all apps and
// none when it is empty: the newest first, from the one before the number before on,
// where 0 means from the end. More than 500 are never read at once.
func (s *Store) LedgerOf(ctx context.Context, app string, before int64, limit int) ([]ledger.Entry, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	query, args := `seq < $1 ORDER BY seq DESC LIMIT $2`, []any{before, min(max(limit, 0), ledgerPage)}
	if app != "" {
		query, args = `seq < $1 AND app = $3 ORDER BY seq DESC LIMIT $2`, append(args, app)
	}
	return s.ledgerWhere(ctx, query, args...)
}

// LedgerOfTicket reads at most limit entries about the ticket T-12, the newest first,
// from the one before the number before on, where 0 means from the end. More than 500
// are never read at once. About no ticket there are none.
func (s *Store) LedgerOfTicket(ctx context.Context, ticket string, before int64, limit int) ([]ledger.Entry, error) {
	if ticket == "" {
		return nil, nil
	}
	if before <= 0 {
		before = math.MaxInt64
	}
	return s.ledgerWhere(ctx, `seq < $1 AND ticket = $3 ORDER BY seq DESC LIMIT $2`, before, min(max(limit, 0), ledgerPage), ticket)
}

// ledgerBetween yields the entries from one number to another.
func (s *Store) ledgerBetween(ctx context.Context, from, to int64) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		for {
			page, err := s.ledgerWhere(ctx, `seq >= $1 AND seq <= $2 ORDER BY seq LIMIT $3`, from, to, ledgerPage)
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(ledger.Entry{}, err)
				return
			}
			if len(page) < ledgerPage || page[len(page)-1].Seq == math.MaxInt64 {
				return
			}
			from = page[len(page)-1].Seq + 1
		}
	}
}

// ledgerWhere reads entries; with an error come those that were read before it.
func (s *Store) ledgerWhere(ctx context.Context, where string, args ...any) ([]ledger.Entry, error) {
	all, err := s.queryLedger(ctx, `SELECT seq, at, actor, verb, app, name, ticket, detail, key_id, prev, hash FROM ledger WHERE `+where, args...)
	if err != nil {
		return all, fmt.Errorf("read the ledger: %w", withContext(ctx, err))
	}
	return all, nil
}

func (s *Store) queryLedger(ctx context.Context, query string, args ...any) ([]ledger.Entry, error) {
	return list(ctx, s.db, query, args, func(scan func(...any) error) (e ledger.Entry, err error) {
		var at int64
		var detail string
		if err := scan(&e.Seq, &at, &e.Actor, &e.Verb, &e.App, &e.Name, &e.Ticket, &detail, &e.KeyID, &e.Prev, &e.Hash); err != nil {
			return e, fmt.Errorf("entry #%d: %w", e.Seq, err) // SQLite keeps text in a column of numbers
		}
		e.At, e.Detail = time.UnixMilli(at).UTC(), json.RawMessage(detail)
		return e, nil
	})
}

// LastEntry reads the newest entry with that verb; found is false where there is none.
func (s *Store) LastEntry(ctx context.Context, verb string) (e ledger.Entry, found bool, err error) {
	all, err := s.ledgerWhere(ctx, `verb = $1 ORDER BY seq DESC LIMIT 1`, verb)
	if err != nil || len(all) == 0 {
		return ledger.Entry{}, false, err
	}
	return all[0], true, nil
}
