package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
)

// Standings are all apps that stand, by name; see audit.Store. Each app is there once,
// as it is when its turn comes: a scan that runs meanwhile may write between two of
// them. Whoever ranges over it may use the store.
func (s *Store) Standings(ctx context.Context) iter.Seq2[audit.Standing, error] {
	return func(yield func(audit.Standing, error) bool) {
		apps, err := s.standingApps(ctx)
		if err != nil {
			yield(audit.Standing{}, fmt.Errorf("read how the apps stand: %w", withContext(ctx, err)))
			return
		}
		for some := range slices.Chunk(apps, rowsAtOnce) {
			found, err := s.standingsOf(ctx, some)
			if err != nil {
				yield(audit.Standing{}, fmt.Errorf("read how the apps stand: %w", withContext(ctx, err)))
				return
			}
			for _, app := range some {
				// One that is not there was forgotten meanwhile.
				if standing, ok := found[app]; ok && !yield(standing, nil) {
					return
				}
			}
		}
	}
}

// standingApps are the ids of all apps, by name. They are sorted here: the two databases
// put a hyphen in different places.
func (s *Store) standingApps(ctx context.Context) ([]fleet.ID, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT app, name FROM standings`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type named struct{ app, name string }
	var all []named
	for rows.Next() {
		var n named
		if err := rows.Scan(&n.app, &n.name); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.app, b.app))
	})
	apps := make([]fleet.ID, len(all))
	for i, n := range all {
		apps[i] = fleet.ID(n.app)
	}
	return apps, rows.Err()
}

// standingsOf reads the standings of those apps that have one.
func (s *Store) standingsOf(ctx context.Context, apps []fleet.ID) (map[fleet.ID]audit.Standing, error) {
	args := make([]any, len(apps))
	for i, app := range apps {
		args[i] = string(app)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT body FROM standings WHERE app IN `+places(1, len(apps)), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[fleet.ID]audit.Standing, len(apps))
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		var standing audit.Standing
		if err := json.Unmarshal([]byte(body), &standing); err != nil {
			return nil, err
		}
		found[standing.App] = standing
	}
	return found, rows.Err()
}

// Standing is that of one app; see audit.Store.
func (s *Store) Standing(ctx context.Context, app fleet.ID) (audit.Standing, bool, error) {
	found, err := s.standingsOf(ctx, []fleet.ID{app})
	if err != nil {
		return audit.Standing{}, false, fmt.Errorf("read how %s stands: %w", app, withContext(ctx, err))
	}
	standing, ok := found[app]
	return standing, ok, nil
}

// SaveStandings replaces the standings of those apps and adds the turns, as part of tx;
// see audit.Store. A turn that is there already, by app, check and time, is replaced.
func (s *Store) SaveStandings(ctx context.Context, tx *sql.Tx, standings []audit.Standing, turns []audit.Turn) error {
	seen := make(map[any]bool, len(standings)+len(turns)) // PostgreSQL refuses the same row twice in a statement, SQLite does not
	rows := make([][]any, 0, max(len(standings), len(turns)))
	for _, standing := range standings {
		if standing.App == "" || standing.Night == "" || seen[standing.App] {
			return fmt.Errorf("save how %s (%s) stands: it has no id or no night, or is there twice", standing.Name, standing.App)
		}
		seen[standing.App] = true
		body, err := standingText(standing)
		if err != nil {
			return fmt.Errorf("save how %s stands: %w", standing.Name, err)
		}
		rows = append(rows, []any{string(standing.App), standing.Name, toMillis(standing.Gone), body})
	}
	const intoStandings = `INSERT INTO standings (app, name, gone, body) VALUES %s
		ON CONFLICT (app) DO UPDATE SET name = excluded.name, gone = excluded.gone, body = excluded.body`
	if err := insert(ctx, tx, intoStandings, rows); err != nil {
		return fmt.Errorf("save how %d apps stand: %w", len(standings), withContext(ctx, err))
	}
	rows = rows[:0]
	for i, turn := range turns {
		key := [3]any{turn.App, turn.Check, turn.Before.UnixMilli()}
		if turn.App == "" || turn.Check == "" || turn.Before.IsZero() || seen[key] {
			return fmt.Errorf("save a turn of %s (%s): it has no id, no check or no time, or is there twice", turn.Name, turn.App)
		}
		seen[key] = true
		turn.After, turn.Before = stored(turn.After), stored(turn.Before)
		body, err := json.Marshal(turn)
		if err != nil {
			return fmt.Errorf("save a turn of %s: %w", turn.Name, err)
		}
		rows = append(rows, []any{string(turn.App), turn.Before.UnixMilli(), turn.Check, int64(i), string(body)})
	}
	const intoTurns = `INSERT INTO turns (app, at, check_id, place, body) VALUES %s
		ON CONFLICT (app, at, check_id) DO UPDATE SET place = excluded.place, body = excluded.body`
	if err := insert(ctx, tx, intoTurns, rows); err != nil {
		return fmt.Errorf("save %d turns: %w", len(turns), withContext(ctx, err))
	}
	return nil
}

// insert writes rows of the same length, as many as go into one statement at a time.
// query has %s where their parameters go.
func insert(ctx context.Context, tx *sql.Tx, query string, rows [][]any) error {
	for some := range slices.Chunk(rows, rowsAtOnce) {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(query, places(len(some), len(some[0]))), slices.Concat(some...)...); err != nil {
			return err
		}
	}
	return nil
}

// standingText is a standing as it is stored.
func standingText(s audit.Standing) (string, error) {
	s.ReadAt, s.Gone, s.News.After = stored(s.ReadAt), stored(s.Gone), stored(s.News.After)
	s.Marks = slices.Clone(s.Marks)
	for i := range s.Marks {
		m := &s.Marks[i]
		m.Since, m.KnownAt, m.Failing = stored(m.Since), stored(m.KnownAt), stored(m.Failing)
	}
	text, err := json.Marshal(s)
	return string(text), err
}

// Turns are those of one app, the newest first; see audit.Store.
func (s *Store) Turns(ctx context.Context, app fleet.ID, limit int) ([]audit.Turn, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	turns, err := s.queryTurns(ctx, app, limit)
	if err != nil {
		return nil, fmt.Errorf("read the turns of %s: %w", app, withContext(ctx, err))
	}
	return turns, nil
}

func (s *Store) queryTurns(ctx context.Context, app fleet.ID, limit int) ([]audit.Turn, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT body FROM turns WHERE app = $1 ORDER BY at DESC, place LIMIT $2`, string(app), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []audit.Turn
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		var turn audit.Turn
		if err := json.Unmarshal([]byte(body), &turn); err != nil {
			return nil, err
		}
		all = append(all, turn)
	}
	return all, rows.Err()
}
