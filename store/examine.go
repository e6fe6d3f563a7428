package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"example.com/zdd/ledger"
)

// Examination is what Examine has seen of a database.
type Examination struct {
	Dialect Dialect
	Schema  int64       // the last migration that it has seen; 0: it holds nothing of ours yet
	Newest  int64       // the last migration that this program knows
	Head    ledger.Head // of the ledger; zero where there is none
	KeyID   string      // of the key that the last entry is sealed with; empty: with none, or there is no entry
}

// Examine reaches the database that o names and looks at it. Unlike Open it changes
// nothing: it migrates nothing, and it makes no SQLite file, whose owner would be
// whoever looks. Its errors are those of Open; that there is no folder for a SQLite
// file is one too.
func Examine(ctx context.Context, o Options) (e Examination, err error) {
	s, there, err := unopened(o)
	if err != nil {
		return Examination{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e.Dialect = s.dialect
	if e.Newest, err = s.newest(); err != nil || !there {
		return e, err
	}
	if err := s.Ping(ctx); err != nil {
		return e, err
	}
	if there, err := s.hasTable(ctx, "goose_db_version"); err != nil || !there {
		return e, err
	}
	// goose writes a row for each migration, and another that says so when one is undone;
	// ours are never undone.
	if err := s.db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&e.Schema); err != nil {
		return e, fmt.Errorf("read the schema's version: %w", withContext(ctx, err))
	}
	if there, err := s.hasTable(ctx, "ledger_head"); err != nil || !there {
		return e, err
	}
	if err := s.db.QueryRowContext(ctx, `SELECT seq, hash, key_id FROM ledger_head`).Scan(&e.Head.Seq, &e.Head.Hash, &e.KeyID); err != nil {
		return e, fmt.Errorf("read the ledger's head: %w", withContext(ctx, err))
	}
	return e, nil
}

// unopened is a store whose schema nobody has looked at. It is not there where a SQLite
// file is not, in a folder that is: the first start makes it.
func unopened(o Options) (s *Store, there bool, err error) {
	if !o.URL.IsZero() {
		db, err := openPostgres(o.URL)
		if err != nil {
			return nil, false, err
		}
		return &Store{db: db, dialect: Postgres}, true, nil
	}
	path := cmp.Or(o.Path, DefaultPath)
	there = true
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		there = false
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, false, fmt.Errorf("make the SQLite file: %w", err)
		}
	case err != nil:
		return nil, false, fmt.Errorf("open the SQLite file: %w", err)
	}
	settings := url.Values{"mode": {"ro"}, "_pragma": {busyPragma(busyTimeout)}}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// Nobody has it open: told that nothing changes, SQLite makes no files beside it.
		settings.Set("immutable", "1")
	}
	db, err := dialSQLite(path, settings)
	if err != nil {
		return nil, false, err
	}
	return &Store{db: db, dialect: SQLite}, there, nil
}

// newest is the number of the last migration that this program knows.
func (s *Store) newest() (int64, error) {
	p, err := s.provider(slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	all := p.ListSources()
	return all[len(all)-1].Version, nil
}

func (s *Store) hasTable(ctx context.Context, name string) (there bool, err error) {
	query := `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1)`
	if s.dialect == Postgres {
		query = `SELECT to_regclass($1) IS NOT NULL`
	}
	if err := s.db.QueryRowContext(ctx, query, name).Scan(&there); err != nil {
		return false, fmt.Errorf("look for the table %s: %w", name, withContext(ctx, err))
	}
	return there, nil
}
