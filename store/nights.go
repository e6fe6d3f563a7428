package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/jobs"
)

var _ audit.Store = (*Store)(nil)

// rowsAtOnce is how many rows one statement writes or asks for by key: with four
// parameters each far below what the databases take (PostgreSQL 65,535, SQLite 32,766).
const rowsAtOnce = 500

// errDateTaken ends the transaction of a night that may not begin.
var errDateTaken = errors.New("a night has that date")

// BeginNight stores a new night and its work, unless its date, or one of those that it
// missed, belongs to another night already; see audit.Store.
func (s *Store) BeginNight(ctx context.Context, n audit.Night, work ...audit.Work) (made bool, err error) {
	if n.ID == "" || n.Slot.IsZero() || n.State == "" {
		return false, fmt.Errorf("begin the scan %q: it has no id, no time or no state", n.ID)
	}
	body, digest, err := nightText(n)
	if err != nil {
		return false, err
	}
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		if err := takeDates(ctx, tx, n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO nights (id, slot, version, body, digest) VALUES ($1, $2, 1, $3, $4)`,
			n.ID, n.Slot.UnixMilli(), body, digest); err != nil {
			return err
		}
		return s.enqueueWork(ctx, tx, work)
	})
	switch {
	case errors.Is(err, errDateTaken):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("begin the scan %s: %w", n.ID, err)
	}
	return true, nil
}

// takeDates gives the night its dates, or errDateTaken. All transactions take theirs in
// the same order, so that no two wait for each other.
func takeDates(ctx context.Context, tx *sql.Tx, n audit.Night) error {
	dates := append([]string{n.ID}, n.Missed...)
	slices.Sort(dates)
	for some := range slices.Chunk(slices.Compact(dates), rowsAtOnce) {
		args := make([]any, 0, 2*len(some))
		for _, date := range some {
			args = append(args, date, n.ID)
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO night_dates (date, night) VALUES `+places(len(some), 2)+` ON CONFLICT (date) DO NOTHING`, args...)
		if err != nil {
			return err
		}
		taken, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if taken < int64(len(some)) {
			return errDateTaken
		}
	}
	return nil
}

// places are the parameters of so many rows: ($1, $2), ($3, $4).
func places(rows, columns int) string {
	var b strings.Builder
	for row := range rows {
		if row > 0 {
			b.WriteString(", ")
		}
		for column := range columns {
			b.WriteString([]string{"(", ", "}[min(column, 1)])
			b.WriteString("$" + strconv.Itoa(row*columns+column+1))
		}
		b.WriteString(")")
	}
	return b.String()
}

func (s *Store) enqueueWork(ctx context.Context, tx *sql.Tx, work []audit.Work) error {
	for _, w := range work {
		if err := s.EnqueueJob(ctx, tx, jobs.Spec{Kind: w.Kind, Key: w.Key, At: w.At, Group: w.Group}); err != nil {
			return err
		}
	}
	return nil
}

// SaveNight stores the night where nobody else has meanwhile; see audit.Store.
func (s *Store) SaveNight(ctx context.Context, tx *sql.Tx, n audit.Night, work ...audit.Work) error {
	body, digest, err := nightText(n)
	if err != nil {
		return err
	}
	query, args := `UPDATE nights SET slot = $1, body = $2, version = version + 1 WHERE id = $3 AND version = $4`, []any{n.Slot.UnixMilli(), body, n.ID, n.Version}
	if n.Digest != nil {
		query, args = `UPDATE nights SET slot = $1, body = $2, version = version + 1, digest = $5 WHERE id = $3 AND version = $4`, append(args, digest)
	}
	res, err := tx.ExecContext(ctx, query, args...)
	var changed int64
	if err == nil {
		changed, err = res.RowsAffected()
	}
	switch {
	case err != nil:
		return fmt.Errorf("save the scan %s: %w", n.ID, withContext(ctx, err))
	case changed == 0:
		return fmt.Errorf("save the scan %s: %w", n.ID, audit.ErrNightChanged)
	}
	if err := s.enqueueWork(ctx, tx, work); err != nil {
		return fmt.Errorf("save the scan %s: %w", n.ID, err)
	}
	return nil
}

// Night reads one night with its digest; see audit.Store.
func (s *Store) Night(ctx context.Context, id string) (audit.Night, error) {
	var version int64
	var body, digest string
	err := s.db.QueryRowContext(ctx, `SELECT version, body, digest FROM nights WHERE id = $1`, id).Scan(&version, &body, &digest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return audit.Night{}, fmt.Errorf("%s: %w", id, audit.ErrNoNight)
	case err != nil:
		return audit.Night{}, fmt.Errorf("read the scan %s: %w", id, withContext(ctx, err))
	}
	n, err := readNight(version, body)
	if err == nil && digest != "" {
		err = json.Unmarshal([]byte(digest), &n.Digest)
	}
	if err != nil {
		return audit.Night{}, fmt.Errorf("understand the stored scan %s: %w", id, err)
	}
	return n, nil
}

// Nights are those due at or after since, the newest first; see audit.Store.
func (s *Store) Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	least := int64(math.MinInt64) // UnixMilli of the zero time is undefined
	if !since.IsZero() {
		least = since.UnixMilli()
	}
	// Of two that were due at the same time the one out of turn is the newer: it has the
	// longer id.
	const query = `SELECT version, body FROM nights WHERE slot >= $1 ORDER BY slot DESC, LENGTH(id) DESC, id DESC LIMIT $2`
	nights, err := list(ctx, s.db, query, []any{least, limit}, func(scan func(...any) error) (audit.Night, error) {
		var version int64
		var body string
		if err := scan(&version, &body); err != nil {
			return audit.Night{}, err
		}
		return readNight(version, body)
	})
	if err != nil {
		return nil, fmt.Errorf("read the scans: %w", withContext(ctx, err))
	}
	return nights, nil
}

// FirstLook is when the schedule was first looked at; see audit.Store.
func (s *Store) FirstLook(ctx context.Context, now time.Time) (time.Time, error) {
	var ms int64
	_, err := s.db.ExecContext(ctx, `INSERT INTO first_look (one, at) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`, now.UnixMilli())
	if err == nil {
		err = s.db.QueryRowContext(ctx, `SELECT at FROM first_look`).Scan(&ms)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read when the schedule was first looked at: %w", withContext(ctx, err))
	}
	return fromMillis(ms), nil
}

// Prune forgets what is older than before; see audit.Store. The records of messages go
// with the night that they tell of, and those of a report when its messages are as old.
func (s *Store) Prune(ctx context.Context, tx *sql.Tx, before time.Time) error {
	// Slack's ids of messages begin with the second in which they were posted, which has
	// ten digits until the year 2286. Files have ids that begin with a letter.
	second := fmt.Sprintf("%010d", max(0, before.Unix()))
	for _, forget := range []struct {
		query string
		arg   any
	}{
		{`DELETE FROM turns WHERE at < $1`, before.UnixMilli()},
		{`DELETE FROM standings WHERE gone > 0 AND gone < $1`, before.UnixMilli()},
		{`DELETE FROM posts WHERE ticket IN (SELECT '` + chat.AboutDigest + `' || id FROM nights WHERE slot < $1)`, before.UnixMilli()},
		{`DELETE FROM posts WHERE ticket IN (SELECT '` + chat.AboutStale + `' || id FROM nights WHERE slot < $1)`, before.UnixMilli()},
		{`DELETE FROM posts WHERE ticket LIKE '` + chat.AboutReport + `%/%' AND ticket IN (SELECT ticket FROM posts WHERE ts > '' AND ts < $1)`, second},
		{`DELETE FROM posts WHERE ticket IN (SELECT '` + chat.AboutDrift + `' || id FROM bulletins WHERE at < $1)`, before.UnixMilli()},
		{`DELETE FROM bulletins WHERE at < $1`, before.UnixMilli()},
		{`DELETE FROM night_dates WHERE night IN (SELECT id FROM nights WHERE slot < $1)`, before.UnixMilli()},
		{`DELETE FROM nights WHERE slot < $1`, before.UnixMilli()},
		{`DELETE FROM posts WHERE ticket IN (SELECT 'D-' || CAST(n AS TEXT)` + forgettable + `)`, before.UnixMilli()},
		{`DELETE` + forgettable, before.UnixMilli()},
	} {
		if _, err := tx.ExecContext(ctx, forget.query, forget.arg); err != nil {
			return fmt.Errorf("forget old scans: %w", withContext(ctx, err))
		}
	}
	return nil
}

// nightText is a night as it is stored; digest is empty where it has none.
func nightText(n audit.Night) (body, digest string, err error) {
	made := n.Digest // goes into a column of its own
	n.Digest = nil
	text, err := json.Marshal(stored(n))
	if err != nil {
		return "", "", fmt.Errorf("write the scan %s: %w", n.ID, err)
	}
	if made == nil {
		return string(text), "", nil
	}
	of, err := json.Marshal(made)
	if err != nil {
		return "", "", fmt.Errorf("write the digest of %s: %w", n.ID, err)
	}
	return string(text), string(of), nil
}

func readNight(version int64, body string) (audit.Night, error) {
	var n audit.Night
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		return audit.Night{}, fmt.Errorf("understand a stored scan: %w", err)
	}
	n.Version = version
	return n, nil
}
