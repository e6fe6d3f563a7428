package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/fleet"
	"example.com/zdd/jobs"
)

var _ audit.WatchStore = (*Store)(nil)

// watchedApps is the condition on a standing that is looked at between the nights.
const watchedApps = ` FROM standings WHERE watched = 1 AND gone = 0`

// readStanding reads a standing from its columns body and watch.
func readStanding(scan func(...any) error) (audit.Standing, error) {
	var body, watch string
	var standing audit.Standing
	err := scan(&body, &watch)
	if err == nil {
		err = json.Unmarshal([]byte(body), &standing)
	}
	if err == nil && watch != "" {
		err = json.Unmarshal([]byte(watch), &standing.Watch)
	}
	return standing, err
}

// WatchedApps are all apps that are looked at between the nights; see audit.WatchStore.
func (s *Store) WatchedApps(ctx context.Context) ([]fleet.ID, error) {
	apps, err := list(ctx, s.db, `SELECT app`+watchedApps, nil, func(scan func(...any) error) (app fleet.ID, err error) {
		return app, scan((*string)(&app))
	})
	if err != nil {
		return nil, fmt.Errorf("read which apps are watched: %w", withContext(ctx, err))
	}
	return apps, nil
}

// LookPlan tells what there is to look at; see audit.WatchStore.
func (s *Store) LookPlan(ctx context.Context) (audit.LookPlan, error) {
	var p audit.LookPlan
	var oldest, again sql.NullInt64
	query := `SELECT COUNT(*), MIN(CASE WHEN again = 0 THEN looked END), MIN(CASE WHEN again > 0 THEN again END)` + watchedApps
	if err := s.db.QueryRowContext(ctx, query).Scan(&p.Apps, &oldest, &again); err != nil {
		return audit.LookPlan{}, fmt.Errorf("read what there is to look at: %w", withContext(ctx, err))
	}
	p.Oldest, p.Again = fromMillis(oldest.Int64), fromMillis(again.Int64)
	return p, nil
}

// DueLooks are the apps to be looked at now; see audit.WatchStore.
func (s *Store) DueLooks(ctx context.Context, now, before, beyond time.Time, limit int) ([]audit.Standing, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	query := `SELECT body, watch` + watchedApps + ` AND (again > 0 AND again <= $1 OR again = 0 AND looked <= $2 OR again > $3 OR looked > $3)
		ORDER BY CASE WHEN again > 0 THEN 0 ELSE 1 END, looked, app LIMIT $4`
	due, err := list(ctx, s.db, query, []any{now.UnixMilli(), before.UnixMilli(), beyond.UnixMilli(), limit}, readStanding)
	if err != nil {
		return nil, fmt.Errorf("read which apps to look at: %w", withContext(ctx, err))
	}
	return due, nil
}

// SaveLook stores what a look found; see audit.WatchStore.
func (s *Store) SaveLook(ctx context.Context, tx *sql.Tx, l audit.Look) (saved bool, err error) {
	watch, err := json.Marshal(stored(l.Watch))
	if err != nil {
		return false, fmt.Errorf("save a look at %s: %w", l.Name, err)
	}
	res, err := tx.ExecContext(ctx, `UPDATE standings SET watch = $1, watched = $2, looked = $3, again = $4 WHERE app = $5 AND night = $6 AND gone = 0`,
		string(watch), truth(l.Watched()), toMillis(l.At), toMillis(l.Again), string(l.App), l.Night)
	var changed int64
	if err == nil {
		changed, err = res.RowsAffected()
	}
	if err != nil {
		return false, fmt.Errorf("save a look at %s: %w", l.Name, withContext(ctx, err))
	}
	return changed > 0, nil
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// SaveTurns adds turns; see audit.WatchStore.
func (s *Store) SaveTurns(ctx context.Context, tx *sql.Tx, turns []audit.Turn) error {
	return s.SaveStandings(ctx, tx, nil, turns)
}

// Watching is what the watch remembers; see audit.WatchStore.
func (s *Store) Watching(ctx context.Context) (audit.Watching, error) {
	var w audit.Watching
	var body string
	err := s.db.QueryRowContext(ctx, `SELECT version, body FROM watching`).Scan(&w.Version, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return audit.Watching{}, nil
	case err == nil:
		err = json.Unmarshal([]byte(body), &w)
	}
	if err != nil {
		return audit.Watching{}, fmt.Errorf("read what the watch remembers: %w", withContext(ctx, err))
	}
	return w, nil
}

// SaveWatching stores what the watch remembers, and bulletins; see audit.WatchStore.
func (s *Store) SaveWatching(ctx context.Context, tx *sql.Tx, w audit.Watching, made ...audit.Bulletin) error {
	body, err := json.Marshal(stored(w))
	if err != nil {
		return fmt.Errorf("save what the watch remembers: %w", err)
	}
	query, args := `UPDATE watching SET body = $1, version = version + 1 WHERE version = $2`, []any{string(body), w.Version}
	if w.Version == 0 {
		query, args = `INSERT INTO watching (one, version, body) VALUES (1, 1, $1) ON CONFLICT (one) DO NOTHING`, args[:1]
	}
	res, err := tx.ExecContext(ctx, query, args...)
	var changed int64
	if err == nil {
		changed, err = res.RowsAffected()
	}
	switch {
	case err != nil:
		return fmt.Errorf("save what the watch remembers: %w", withContext(ctx, err))
	case changed == 0:
		return fmt.Errorf("save what the watch remembers: %w", audit.ErrWatchingChanged)
	}
	for _, b := range made {
		if err := s.saveBulletin(ctx, tx, b); err != nil {
			return fmt.Errorf("save the bulletin %s: %w", b.ID, err)
		}
	}
	return nil
}

func (s *Store) saveBulletin(ctx context.Context, tx *sql.Tx, b audit.Bulletin) error {
	body, err := json.Marshal(stored(b))
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO bulletins (id, at, body) VALUES ($1, $2, $3)`, b.ID, b.At.UnixMilli(), string(body)); err != nil {
		return withContext(ctx, err)
	}
	return s.EnqueueJob(ctx, tx, jobs.Spec{Kind: audit.WorkDrift, Key: b.ID, At: b.At})
}

// Unposted are bulletins that nobody has seen; see audit.Store.
func (s *Store) Unposted(ctx context.Context, since time.Time) ([]audit.Bulletin, error) {
	const query = `SELECT body FROM bulletins WHERE at > $1 AND NOT EXISTS (SELECT 1 FROM posts WHERE ticket = '` + chat.AboutDrift + `' || id AND ts > '')`
	all, err := list(ctx, s.db, query, []any{toMillis(since)}, fromJSON[audit.Bulletin])
	if err != nil {
		return nil, fmt.Errorf("read which bulletins were not posted: %w", withContext(ctx, err))
	}
	return all, nil
}

// Bulletin is what a channel was told; see audit.WatchStore.
func (s *Store) Bulletin(ctx context.Context, id string) (audit.Bulletin, error) {
	var body string
	var b audit.Bulletin
	err := s.db.QueryRowContext(ctx, `SELECT body FROM bulletins WHERE id = $1`, id).Scan(&body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return audit.Bulletin{}, fmt.Errorf("%s: %w", id, audit.ErrNoBulletin)
	case err == nil:
		err = json.Unmarshal([]byte(body), &b)
	}
	if err != nil {
		return audit.Bulletin{}, fmt.Errorf("read the bulletin %s: %w", id, withContext(ctx, err))
	}
	return b, nil
}
