package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/jackc/pgx/v5/stdlib"
)

// ErrAway reports that the database has not been reached yet, so nothing was read or
// written.
var ErrAway = errors.New("the database is away")

// Later makes a store without waiting for its database: until Arrive has succeeded
// once, every method fails with ErrAway. From then on it is as if Open had made it. A
// bot whose PostgreSQL is away at the start can so answer what needs no database.
//
// A URL that can never work is ErrURL, as for Open. A SQLite file is not waited for:
// it is opened at once, and what keeps it from opening does not pass by itself.
func Later(ctx context.Context, o Options) (*Store, error) {
	if o.URL.IsZero() {
		return Open(ctx, o)
	}
	config, err := postgresConfig(o.URL)
	if err != nil {
		return nil, err
	}
	gate := &gate{Connector: stdlib.GetConnector(*config)}
	s := &Store{db: pooled(sql.OpenDB(gate)), dialect: Postgres, key: o.LedgerKey, away: gate, options: o}
	return s, nil
}

// Arrive reaches the database and brings its schema up to date. Call it again until
// it succeeds; after that it does nothing. It has no time-out of its own.
func (s *Store) Arrive(ctx context.Context) error {
	if s.away == nil || s.away.open.Load() {
		return nil
	}
	first, err := Open(ctx, s.options)
	if err != nil {
		return err
	}
	if err := first.Close(); err != nil {
		return fmt.Errorf("close the first connection: %w", err)
	}
	if s.migrator, err = s.provider(cmp.Or(s.options.Log, slog.New(slog.DiscardHandler))); err != nil {
		return err
	}
	s.away.open.Store(true)
	return nil
}

// gate makes no connection until it is open: a program must not see a schema that is
// not its own yet.
type gate struct {
	driver.Connector
	open atomic.Bool
}

func (g *gate) Connect(ctx context.Context) (driver.Conn, error) {
	if !g.open.Load() {
		return nil, ErrAway
	}
	return g.Connector.Connect(ctx)
}
