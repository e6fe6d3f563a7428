package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrateWait is how long a replica waits for another one that is migrating. A
// dyno's worker has no boot deadline, so this only bounds a lock that nobody will
// ever give back.
const migrateWait = 5 * time.Minute

// migrations holds one set of files for both databases, each named
// NNNNN_concern.sql. What needs a dialect, such as a trigger, becomes a Go
// migration (goose.WithGoMigrations) with the next number; 4 is ledgerGuard.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. For SQLite the caller holds lockSQLite.
func (s *Store) migrate(ctx context.Context, log *slog.Logger) error {
	var err error
	if s.migrator, err = s.provider(log); err != nil {
		return err
	}
	applied, err := s.migrator.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", s.dialect, err)
	}
	for _, m := range applied {
		log.InfoContext(ctx, "migrated", "step", m.Source.Version)
	}
	return nil
}

// provider knows all migrations; making it asks the database nothing.
func (s *Store) provider(log *slog.Logger) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{
		goose.WithSlog(log),
		// The global registry is filled by init functions; we have none.
		goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(ledgerGuard(s.dialect)),
	}
	if s.dialect == Postgres {
		dialect = goose.DialectPostgres
		// A session's advisory lock ends with its connection, so a replica that is
		// killed in the middle holds up nobody. It is asked for once a second.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrateWait/time.Second)))
		if err != nil {
			return nil, fmt.Errorf("prepare the migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, s.db, files, options...)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return p, nil
}

// SchemaVersion reads the number of the last migration that the database has
// seen. It is more than this program knows of when a newer one has migrated it.
func (s *Store) SchemaVersion(ctx context.Context) (int64, error) {
	if s.away != nil && !s.away.open.Load() {
		return 0, fmt.Errorf("read the schema's version: %w", ErrAway)
	}
	v, err := s.migrator.GetDBVersion(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return v, nil
}
