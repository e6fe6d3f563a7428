package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"example.com/zdd/fleet"
	"example.com/zdd/jobs"
	"example.com/zdd/watch"
)

var _ watch.Store = (*Store)(nil)

// manyWatches is how many Watches reads where its filter names no limit: each may hold an
// hour's seconds.
const manyWatches = 20

// CreateWatchTx gives w the next id and stores it; see watch.Store.
func (s *Store) CreateWatchTx(ctx context.Context, tx *sql.Tx, w watch.Watch, change func(watch.Watch) watch.Change) (made watch.Watch, isNew bool, err error) {
	if w.Origin == "" || w.Asked.IsZero() || w.State == "" {
		return watch.Watch{}, false, errors.New("create a watch: it has no origin, no time or no state")
	}
	same, err := s.WatchesTx(ctx, tx, watch.Filter{Origin: w.Origin, Limit: 1})
	if err != nil {
		return watch.Watch{}, false, err
	}
	if len(same) > 0 {
		return same[0], false, nil
	}
	// Nobody else makes one before tx ends, and the last one is never removed.
	var n int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(n), 0) + 1 FROM watches`).Scan(&n); err != nil {
		return watch.Watch{}, false, fmt.Errorf("number a watch: %w", withContext(ctx, err))
	}
	w.ID, w.Rev = watch.ID(n), 1
	body, err := json.Marshal(stored(w))
	if err != nil {
		return watch.Watch{}, false, fmt.Errorf("write %s: %w", w.ID, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO watches (n, rev, state, app, origin, asked, body) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		n, w.Rev, string(w.State), string(w.App), w.Origin, w.Asked.UnixMilli(), string(body))
	if err != nil {
		return watch.Watch{}, false, fmt.Errorf("store %s: %w", w.ID, withContext(ctx, err))
	}
	if made, err = readWatch(w.Rev, w.Origin, string(body)); err != nil {
		return watch.Watch{}, false, err
	}
	c := change(made)
	if _, err := s.AppendLedger(ctx, tx, s.key, c.Entries...); err != nil {
		return watch.Watch{}, false, fmt.Errorf("create %s: %w", made.ID, err)
	}
	return made, true, s.enqueueWatch(ctx, tx, made, c)
}

// ChangeWatchTx changes a watch; see watch.Store. It locks the watch, and not what tickets
// are changed under: a watch that runs is written every few seconds.
func (s *Store) ChangeWatchTx(ctx context.Context, tx *sql.Tx, id string, change func(*watch.Watch) (watch.Change, error)) (watch.Watch, error) {
	n, ok := numberOf(id, watch.ID)
	if !ok {
		return watch.Watch{}, fmt.Errorf("%q: %w", id, watch.ErrNoWatch)
	}
	query := `SELECT rev, origin, body FROM watches WHERE n = $1`
	if s.dialect == Postgres { // SQLite's transactions are alone from their beginning
		query += ` FOR UPDATE`
	}
	before, body, err := s.watch(ctx, tx, query, id, n)
	if err != nil {
		return watch.Watch{}, err
	}
	after := before // of before only what is no slice is looked at again
	c, err := change(&after)
	if err != nil {
		return watch.Watch{}, err
	}
	if after.ID != before.ID || after.App != before.App || before.State == watch.Ended && after.State != watch.Ended {
		return watch.Watch{}, fmt.Errorf("change %s: it would no longer be the watch that was asked for, or not be over", id)
	}
	if len(c.Entries) > 0 {
		head, err := s.AppendLedger(ctx, tx, s.key, c.Entries...)
		if err != nil {
			return watch.Watch{}, fmt.Errorf("change %s: %w", id, err)
		}
		if after.Verdict != "" {
			after.Head = head.String()
		}
	}
	after.Rev, after.Origin = before.Rev+1, before.Origin
	after = stored(after)
	is, err := json.Marshal(after)
	if err != nil {
		return watch.Watch{}, fmt.Errorf("write %s: %w", id, err)
	}
	if string(is) == body {
		after.Rev = before.Rev
		return after, s.enqueueWatch(ctx, tx, after, c)
	}
	proof := ""
	if after.Verdict != "" {
		text, err := json.Marshal(stored(after.Proof()))
		if err != nil {
			return watch.Watch{}, fmt.Errorf("write what %s proves: %w", id, err)
		}
		proof = string(text)
	}
	_, err = tx.ExecContext(ctx, `UPDATE watches SET rev = $1, state = $2, ended = $3, verdict = $4, proof = $5, body = $6 WHERE n = $7`,
		after.Rev, string(after.State), toMillis(after.Ended), string(after.Verdict), proof, string(is), n)
	if err != nil {
		return watch.Watch{}, fmt.Errorf("store %s: %w", id, withContext(ctx, err))
	}
	return after, s.enqueueWatch(ctx, tx, after, c)
}

// enqueueWatch stores the work that goes with a change of w.
func (s *Store) enqueueWatch(ctx context.Context, tx *sql.Tx, w watch.Watch, c watch.Change) error {
	work := c.Work
	if !c.Tell.IsZero() {
		work = append(slices.Clone(work), watch.TellWork(w, c.Tell))
	}
	for _, one := range work {
		if err := s.EnqueueJob(ctx, tx, jobs.Spec{Kind: one.Kind, Key: one.Key, Group: one.Group, At: one.At}); err != nil {
			return fmt.Errorf("change %s: %w", w.ID, err)
		}
	}
	return nil
}

// Watch reads a watch by its id, D-12. Where there is none the error is watch.ErrNoWatch.
func (s *Store) Watch(ctx context.Context, id string) (watch.Watch, error) {
	n, ok := numberOf(id, watch.ID)
	if !ok {
		return watch.Watch{}, fmt.Errorf("%q: %w", id, watch.ErrNoWatch)
	}
	w, _, err := s.watch(ctx, s.db, `SELECT rev, origin, body FROM watches WHERE n = $1`, id, n)
	return w, err
}

func (s *Store) watch(ctx context.Context, q querier, query, id string, n int64) (w watch.Watch, body string, err error) {
	var rev int64
	var origin string
	err = q.QueryRowContext(ctx, query, n).Scan(&rev, &origin, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return watch.Watch{}, "", fmt.Errorf("%s: %w", id, watch.ErrNoWatch)
	case err != nil:
		return watch.Watch{}, "", fmt.Errorf("read %s: %w", id, withContext(ctx, err))
	}
	w, err = readWatch(rev, origin, body)
	return w, body, err
}

func readWatch(rev int64, origin, body string) (watch.Watch, error) {
	var w watch.Watch
	if err := json.Unmarshal([]byte(body), &w); err != nil {
		return watch.Watch{}, fmt.Errorf("understand a stored watch: %w", err)
	}
	w.Rev, w.Origin = rev, origin
	return w, nil
}

// Watches reads the watches that f selects, the newest first; see watch.Store.
func (s *Store) Watches(ctx context.Context, f watch.Filter) ([]watch.Watch, error) {
	return s.watches(ctx, s.db, f)
}

// WatchesTx is Watches under the lock of those who create them.
func (s *Store) WatchesTx(ctx context.Context, tx *sql.Tx, f watch.Filter) ([]watch.Watch, error) {
	if err := s.lockTickets(ctx, tx); err != nil { // creating one ends up in the ledger, whose head is the lock
		return nil, err
	}
	return s.watches(ctx, tx, f)
}

func (s *Store) watches(ctx context.Context, q querier, f watch.Filter) ([]watch.Watch, error) {
	var of selection
	oneOf(&of, "state", f.States)
	of.is("app", string(f.App))
	of.is("origin", f.Origin)
	of.since("asked", f.Since)
	query, args := of.newest(`SELECT rev, origin, body FROM watches`, f.Limit, manyWatches)
	all, err := list(ctx, q, query, args, func(scan func(...any) error) (watch.Watch, error) {
		var rev int64
		var origin, body string
		if err := scan(&rev, &origin, &body); err != nil {
			return watch.Watch{}, err
		}
		return readWatch(rev, origin, body)
	})
	if err != nil {
		return nil, fmt.Errorf("read watches: %w", withContext(ctx, err))
	}
	return all, nil
}

// Proofs are the last verdict on each of the apps, or on all; see watch.Store.
func (s *Store) Proofs(ctx context.Context, apps []fleet.ID) (map[fleet.ID]watch.Proof, error) {
	all := map[fleet.ID]watch.Proof{}
	if len(apps) == 0 {
		return all, s.proofs(ctx, nil, all)
	}
	for some := range slices.Chunk(apps, rowsAtOnce) {
		if err := s.proofs(ctx, some, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// proofs adds those of some apps, or of all.
func (s *Store) proofs(ctx context.Context, some []fleet.ID, to map[fleet.ID]watch.Proof) error {
	of, args := "", []any{string(watch.Proved)}
	if len(some) > 0 {
		var marks []string
		for _, app := range some {
			args = append(args, string(app))
			marks = append(marks, "$"+strconv.Itoa(len(args)))
		}
		of = ` AND app IN (` + strings.Join(marks, ", ") + `)`
	}
	// An app is watched once at a time, so the last one that was asked for is the last one
	// that ended.
	query := `SELECT app, proof FROM watches WHERE n IN (SELECT MAX(n) FROM watches WHERE verdict <> ''` + of + ` GROUP BY app)
		OR n IN (SELECT MAX(n) FROM watches WHERE verdict = $1` + of + ` GROUP BY app) ORDER BY n DESC`
	type row struct {
		app  fleet.ID
		text string
	}
	rows, err := list(ctx, s.db, query, args, func(scan func(...any) error) (r row, err error) {
		return r, scan((*string)(&r.app), &r.text)
	})
	if err != nil {
		return fmt.Errorf("read what was proved of apps: %w", withContext(ctx, err))
	}
	for _, r := range rows {
		p := new(watch.Proof)
		if err := json.Unmarshal([]byte(r.text), p); err != nil {
			return fmt.Errorf("understand what was proved of an app: %w", err)
		}
		if last, there := to[r.app]; there { // it proved nothing, and this is the last that did
			last.Proved = p
			to[r.app] = last
			continue
		}
		to[r.app] = *p
	}
	return nil
}

// forgettable are the watches that ended before then, but for the last one, whose number is
// not to be given again.
const forgettable = ` FROM watches WHERE ended > 0 AND ended < $1 AND n < (SELECT MAX(n) FROM watches)`
