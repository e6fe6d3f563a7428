package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/zdd/internal/pgtest"
	"example.com/zdd/ledger"
	"example.com/zdd/secret"
	"example.com/zdd/store"
)

// A look at a database changes nothing: not one that is empty, not one that is in use.
func TestExamine(t *testing.T) {
	for name, place := range map[string]func(t *testing.T) store.Options{
		"sqlite":   func(t *testing.T) store.Options { return store.Options{Path: filepath.Join(t.TempDir(), "zdd.db")} },
		"postgres": func(t *testing.T) store.Options { return store.Options{URL: secret.New(pgtest.URL(t))} },
	} {
		t.Run(name, func(t *testing.T) {
			o := place(t)
			o.LedgerKey = ledger.NewKey("one")
			look := func(want store.Examination) {
				t.Helper()
				got, err := store.Examine(t.Context(), o)
				want.Dialect, want.Newest = store.Dialect(name), got.Newest
				if err != nil || got != want {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
			}
			look(store.Examination{})
			if o.Path != "" {
				if files, err := os.ReadDir(filepath.Dir(o.Path)); err != nil || len(files) > 0 {
					t.Errorf("got files %v, %v, want none", files, err)
				}
			}
			s, err := store.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			schema, err := s.SchemaVersion(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			look(store.Examination{Schema: schema})
			var head ledger.Head
			err = s.Tx(t.Context(), func(tx *sql.Tx) error {
				head, err = s.AppendLedger(t.Context(), tx, o.LedgerKey, ledger.Entry{At: time.Now(), Actor: ledger.Bot, Verb: ledger.PolicyLoaded, Detail: []byte(`{}`)})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			look(store.Examination{Schema: schema, Head: head, KeyID: o.LedgerKey.ID()}) // while the bot has it open
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			look(store.Examination{Schema: schema, Head: head, KeyID: o.LedgerKey.ID()})
		})
	}
}
