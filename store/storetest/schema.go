package storetest

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"example.com/zdd/store"
)

// testOpen opens, closes and opens again: the second time there is nothing to
// migrate, and what was written is there.
func testOpen(t *testing.T, o store.Options) {
	s := open(t, o)
	before, err := s.SchemaVersion(t.Context())
	if err != nil || before < 1 {
		t.Fatalf("got schema version %d, %v, want at least 1", before, err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
	s = open(t, o)
	if after, err := s.SchemaVersion(t.Context()); err != nil || after != before {
		t.Errorf("got schema version %d, %v, want %d", after, err, before)
	}
	want := store.SQLite
	if !o.URL.IsZero() {
		want = store.Postgres
	}
	if got := s.Dialect(); got != want {
		t.Errorf("got dialect %s, want %s", got, want)
	}
}

// testOpenRace starts several replicas on an empty database at the same moment.
func testOpenRace(t *testing.T, o store.Options) {
	const replicas = 6
	stores := make([]*store.Store, replicas)
	var wg sync.WaitGroup
	for i := range replicas {
		wg.Go(func() {
			var err error
			if stores[i], err = store.Open(t.Context(), o); err != nil {
				t.Errorf("replica %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i, s := range stores {
		if s == nil {
			continue
		}
		if first, err := s.RecordEnvelope(t.Context(), envelope("race")); err != nil || first != (i == 0) {
			t.Errorf("replica %d: got %v, %v, want %v", i, first, err, i == 0)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// testTx looks at what is kept after a transaction that ends well, with an error,
// or with a panic, and that one goes on after each.
func testTx(t *testing.T, o store.Options) {
	s := open(t, o)
	insert := func(tx *sql.Tx, id string) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO seen_envelopes (id, kind, seen_at) VALUES ($1, 'test', 1)`, id)
		return err
	}
	sentinel := errors.New("changed its mind")
	if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return insert(tx, "kept") }); err != nil {
		t.Fatal(err)
	}
	err := s.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(insert(tx, "error"), sentinel) })
	if !errors.Is(err, sentinel) {
		t.Errorf("got %v, want the error of the function", err)
	}
	func() {
		defer func() {
			if got := recover(); got != "oops" {
				t.Errorf("recovered %v, want oops", got)
			}
		}()
		_ = s.Tx(t.Context(), func(tx *sql.Tx) error {
			if err := insert(tx, "panic"); err != nil {
				t.Error(err)
			}
			panic("oops")
		})
	}()
	// A statement that fails spoils a PostgreSQL transaction, but not a SQLite
	// one: the callers must return the error, and then both keep nothing.
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		if err := insert(tx, "conflict"); err != nil {
			return err
		}
		return insert(tx, "kept")
	})
	if err == nil {
		t.Error("two rows have one id")
	}
	for id, want := range map[string]bool{"kept": false, "error": true, "panic": true, "conflict": true} {
		if first, err := s.RecordEnvelope(t.Context(), envelope(id)); err != nil || first != want {
			t.Errorf("%s is new: got %v, %v, want %v", id, first, err, want)
		}
	}
}

// testEndedContext checks that a caller who gives up gets an error, also while
// somebody else holds the row, and that what was given up does not come true later.
func testEndedContext(t *testing.T, o store.Options) {
	s := open(t, o)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.RecordEnvelope(ended, envelope("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := s.Ping(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("ping: got %v, want context.Canceled", err)
	}
	if _, err := store.Open(ended, o); !errors.Is(err, context.Canceled) {
		t.Errorf("open: got %v, want context.Canceled", err)
	}
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		// Without end, as a query on a damaged or huge table might be.
		_, err := tx.ExecContext(short, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
			INSERT INTO seen_envelopes (id, kind, seen_at) SELECT 'long', '', count(*) FROM n`)
		return err
	})
	if err == nil {
		t.Error("an endless query ended well")
	}
	// Two that want the same row: the second waits for the first, and gives up.
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), `INSERT INTO seen_envelopes (id, kind, seen_at) VALUES ('held', '', 1)`); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.RecordEnvelope(short, envelope("held")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("record a row that another transaction holds: got %v, want context.DeadlineExceeded", err)
		}
		return errors.New("leave nothing")
	})
	if err == nil || err.Error() != "leave nothing" {
		t.Error(err)
	}
	for _, id := range []string{"a", "long", "held"} {
		if first, err := s.RecordEnvelope(t.Context(), envelope(id)); err != nil || !first {
			t.Errorf("%s afterwards: got %v, %v, want true", id, first, err)
		}
	}
}
