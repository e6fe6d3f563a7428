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
	type named struct{ app, name string }
	all, err := list(ctx, s.db, `SELECT app, name FROM standings`, nil, func(scan func(...any) error) (n named, err error) {
		return n, scan(&n.app, &n.name)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.app, b.app))
	})
	apps := make([]fleet.ID, len(all))
	for i, n := range all {
		apps[i] = fleet.ID(n.app)
	}
	return apps, nil
}

// standingsOf reads the standings of those apps that have one.
func (s *Store) standingsOf(ctx context.Context, apps []fleet.ID) (map[fleet.ID]audit.Standing, error) {
	args := make([]any, len(apps))
	for i, app := range apps {
		args[i] = string(app)
	}
	all, err := list(ctx, s.db, `SELECT body, watch FROM standings WHERE app IN `+places(1, len(apps)), args, readStanding)
	if err != nil {
		return nil, err
	}
	found := make(map[fleet.ID]audit.Standing, len(all))
	for _, standing := range all {
		found[standing.App] = standing
	}
	return found, nil
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

// SaveStandings replaces the standings of those apps, but for what the watch knows, and adds
// the turns, as part of tx; see audit.Store. A turn that is there already, by app, check and time, is replaced.
func (s *Store) SaveStandings(ctx context.Context, tx *sql.Tx, standings []audit.Standing, turns []audit.Turn) error {
	seen := make(map[any]bool, len(standings)+len(turns)) // PostgreSQL refuses the same row twice in a statement, SQLite does not
	rows := make([][]any, 0, max(len(standings), len(turns)))
	for _, standing := range standings {
		if standing.App == "" || standing.Night == "" || seen[standing.App] {
			return fmt.Errorf("save how %s (%s) stands: it has no id or no night, or is there twice", standing.Name, standing.App)
		}
		seen[standing.App] = true
		watched := truth(standing.Watched())
		standing.Watch = audit.Watch{} // in a column of its own
		body, err := json.Marshal(stored(standing))
		if err != nil {
			return fmt.Errorf("save how %s stands: %w", standing.Name, err)
		}
		rows = append(rows, []any{string(standing.App), standing.Name, toMillis(standing.Gone), string(body), standing.Night, watched, toMillis(standing.ReadAt)})
	}
	const intoStandings = `INSERT INTO standings (app, name, gone, body, night, watched, looked) VALUES %s
		ON CONFLICT (app) DO UPDATE SET name = excluded.name, gone = excluded.gone, body = excluded.body,
			night = excluded.night, watched = excluded.watched, looked = excluded.looked, again = 0`
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
		body, err := json.Marshal(stored(turn))
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

// Turns are those of one app, the newest first; see audit.Store.
func (s *Store) Turns(ctx context.Context, app fleet.ID, limit int) ([]audit.Turn, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	turns, err := list(ctx, s.db, `SELECT body FROM turns WHERE app = $1 ORDER BY at DESC, place LIMIT $2`, []any{string(app), limit}, fromJSON[audit.Turn])
	if err != nil {
		return nil, fmt.Errorf("read the turns of %s: %w", app, withContext(ctx, err))
	}
	return turns, nil
}
