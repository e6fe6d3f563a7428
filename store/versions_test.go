package store

import (
	"cmp"
	"log/slog"
	"testing"
)

// Versions are the numbers of all migrations: every schema that a release may have left.
func Versions(t *testing.T) (all []int64) {
	t.Helper()
	db, err := dialSQLite(t.TempDir()+"/none.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := (&Store{db: db, dialect: SQLite}).provider(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range p.ListSources() {
		all = append(all, source.Version)
	}
	return all
}

// AtVersion opens a database and migrates it no further than that.
func AtVersion(t *testing.T, o Options, version int64) *Store {
	t.Helper()
	s := &Store{dialect: SQLite, key: o.LedgerKey}
	var err error
	if o.URL.IsZero() {
		s.db, err = openSQLite(cmp.Or(o.Path, DefaultPath))
	} else {
		s.dialect = Postgres
		s.db, err = openPostgres(o.URL)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.migrator, err = s.provider(slog.New(slog.DiscardHandler)); err == nil {
		_, err = s.migrator.UpTo(t.Context(), version)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}
