// Package store keeps the bot's state in SQLite or in PostgreSQL.
//
// It is the one place that knows SQL. It decides nothing: what a row means, and
// who may write it, belongs to the packages whose interfaces it implements. Each
// concern has a file here, a migration, and a part of the conformance suite in
// store/storetest, which runs every query on both databases.
//
// Invariants:
//   - One dialect serves both databases: $1 parameters, ON CONFLICT, RETURNING,
//     times as BIGINT milliseconds since 1970 UTC, JSON as TEXT. PostgreSQL
//     deduces one type for each parameter, so a parameter is never used as two.
//   - What Tx reports as done has been written to disk, on both.
//   - Migrations only ever add. During a deploy, and after a rollback, the
//     program of yesterday runs on the schema of today.
//   - No error and no print of Options contains the database's password.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"

	"example.com/zdd/ledger"
	"example.com/zdd/secret"
	"github.com/pressly/goose/v3"
)

// DefaultPath is the SQLite file that Options with neither URL nor Path mean,
// relative to the working directory.
const DefaultPath = "zdd.db"

// ErrURL reports a database URL that can never work, whatever the server does:
// waiting or trying again does not help, only another DATABASE_URL does.
var ErrURL = errors.New("DATABASE_URL is not usable")

// Dialect names the kind of a database.
type Dialect string

// The two databases that the store knows.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Options say where the state is kept. The zero value is the SQLite file
// DefaultPath in the working directory.
type Options struct {
	// URL is the value of DATABASE_URL: postgres://… or postgresql://…, or empty
	// for a SQLite file. It is a secret because it holds a password.
	URL secret.Text
	// Path is the SQLite file, made if it is not there; its directory must exist.
	// Empty means DefaultPath. It is not looked at when URL is set.
	Path string
	// Log hears of applied migrations. Nil discards.
	Log *slog.Logger
	// LedgerKey seals what changes of tickets add to the ledger; see AppendLedger. The
	// zero Key seals for integrity only.
	LedgerKey ledger.Key
}

// Store is an open database whose schema is up to date. All methods may be
// called from any number of goroutines.
type Store struct {
	db       *sql.DB
	dialect  Dialect
	migrator *goose.Provider
	key      ledger.Key
	away     *gate   // nil, but for one made by Later
	options  Options // of one made by Later
}

// Open opens the database that o names and brings its schema up to date. Any
// number of replicas may do so at the same moment: one of them migrates, and
// the others wait for it, for migrateWait at most.
//
// A URL that can never work gives an error that is ErrURL. Any other error may
// pass by itself (a server that is restarting or full, a lock held for long).
// No error contains the URL or its password. A store that Open did not return
// has left nothing running.
//
// For SQLite, open the store in the testing/synctest bubble that uses it.
// PostgreSQL can't be used in a bubble: its socket freezes the fake clock.
func Open(ctx context.Context, o Options) (*Store, error) {
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if !o.URL.IsZero() {
		db, err := openPostgres(o.URL)
		if err != nil {
			return nil, err
		}
		return prepare(ctx, &Store{db: db, dialect: Postgres, key: o.LedgerKey}, log)
	}
	path := cmp.Or(o.Path, DefaultPath)
	unlock, err := lockSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	db, err := openSQLite(path)
	if err != nil {
		return nil, err
	}
	return prepare(ctx, &Store{db: db, dialect: SQLite, key: o.LedgerKey}, log)
}

// prepare connects and migrates, or closes s again. It asks for a sign of life
// first, so that a server that can't be reached is told as that, and not as a
// migration that went wrong.
func prepare(ctx context.Context, s *Store, log *slog.Logger) (*Store, error) {
	err := s.Ping(ctx)
	if err == nil {
		err = s.migrate(ctx, log)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close waits for the running queries and closes the database. A second Close
// does nothing.
func (s *Store) Close() error { return s.db.Close() }

// Dialect tells which kind of database this is, for the doctor and for the rule
// that a dyno's disk is no place for state.
func (s *Store) Dialect() Dialect { return s.dialect }

// Ping asks the database for a sign of life, and connects anew if it has to: each
// connection that the server closed while nobody looked is found dead once, which
// says nothing about the server. Ping has no time-out of its own: give ctx one.
func (s *Store) Ping(ctx context.Context) error {
	err := s.db.PingContext(ctx)
	for range maxIdleConns {
		if !errors.Is(err, driver.ErrBadConn) {
			break
		}
		err = s.db.PingContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("reach %s: %w", s.dialect, err)
	}
	return nil
}

// Tx runs do in one transaction and commits it, unless do returns an error or
// panics: then nothing of it is kept, and the error is returned as it is, with
// the context's error around it if ctx has ended.
//
// An error of the commit itself, which begins with "commit:", leaves open
// whether the transaction counts: the connection may have broken before or after.
// Read what is there before doing it again.
//
// do uses only tx, never the store: SQLite has a single connection, which do
// already holds. It neither sleeps nor talks to another service: everybody else
// waits for it, and in a synctest bubble a sleep inside would stop the clock.
func (s *Store) Tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", withContext(ctx, err))
	}
	// After a commit this does nothing. Its error adds nothing to that of do: a
	// connection that can't roll back is dropped, which rolls back too.
	defer func() { _ = tx.Rollback() }()
	if err := do(tx); err != nil {
		return withContext(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", withContext(ctx, err))
	}
	return nil
}

// withContext makes an error that is due to the end of ctx be errors.Is of the
// reason: a query that was cancelled half-way is told in the database's own words
// (57014 in PostgreSQL, SQLITE_INTERRUPT).
func withContext(ctx context.Context, err error) error {
	if ended := ctx.Err(); err != nil && ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}
