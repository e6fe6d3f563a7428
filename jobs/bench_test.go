package jobs_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/jobs"
	"example.com/zdd/store"
)

// bubble runs a test on the fake clock, with the path of a SQLite file that is made
// and removed outside.
func bubble(t *testing.T, run func(t *testing.T, b *bench)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zdd.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{T: t, store: s, path: path, start: time.Now()}
		defer func() {
			b.stop()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		run(t, b)
	})
}

// bench is a store and the queues that run on it.
type bench struct {
	*testing.T
	store *store.Store
	path  string
	start time.Time
	stops []func()

	mu   sync.Mutex
	said []string
}

// run starts a queue; calling what it returns stops it and waits for its end.
func (b *bench) run(c jobs.Config) (q *jobs.Queue, stop func()) {
	if c.Store == nil {
		c.Store = b.store
	}
	q = jobs.New(c)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := q.Run(ctx); err != nil {
			b.Errorf("run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	b.stops = append(b.stops, stop)
	synctest.Wait()
	return q, stop
}

func (b *bench) stop() {
	for _, stop := range b.stops {
		stop()
	}
}

func (b *bench) enqueue(kind, key string, in time.Duration, group string) {
	b.Helper()
	err := b.store.Tx(b.Context(), func(tx *sql.Tx) error {
		return b.store.EnqueueJob(b.Context(), tx, jobs.Spec{Kind: kind, Key: key, At: time.Now().Add(in), Group: group})
	})
	if err != nil {
		b.Fatal(err)
	}
}

// say remembers what happened, and when.
func (b *bench) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, fmt.Sprintf("%v ", time.Since(b.start))+fmt.Sprintf(format, args...))
}

// heard checks what was said, and forgets it.
func (b *bench) heard(want ...string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.said, want) {
		b.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(b.said, "\n  "), strings.Join(want, "\n  "))
	}
	b.said = nil
}

// after lets the clock stand that long after the beginning.
func (b *bench) after(d time.Duration) {
	time.Sleep(d - time.Since(b.start))
	synctest.Wait()
}

// row reads what people see of a job: done or not, its last error, what it waits for.
func (b *bench) row(id string) string {
	b.Helper()
	var done int64
	var lastError, waitsFor string
	var failures int
	err := b.store.Tx(b.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(b.Context(), `SELECT done_at, failures, last_error, waits_for FROM jobs WHERE id = $1`, id).Scan(&done, &failures, &lastError, &waitsFor)
	})
	if err != nil {
		b.Fatal(err)
	}
	state := "open"
	if done > 0 {
		state = "done"
	}
	return strings.TrimSpace(fmt.Sprintf("%s failures=%d %s%s", state, failures, lastError, waitsFor))
}

func (b *bench) wantRow(id, want string) {
	b.Helper()
	if got := b.row(id); got != want {
		b.Errorf("%s: got %q, want %q", id, got, want)
	}
}

// mark is a record that can be made once: a second one with the same name fails.
func mark(name string) func(ctx context.Context, tx *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO seen_envelopes (id, kind, seen_at) VALUES ($1, 'mark', 1)`, name)
		return err
	}
}

// marks lists the marks that were kept.
func (b *bench) marks() (names []string) {
	b.Helper()
	err := b.store.Tx(b.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(b.Context(), `SELECT id FROM seen_envelopes ORDER BY id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return rows.Err()
	})
	if err != nil {
		b.Fatal(err)
	}
	return names
}

func (b *bench) wantMarks(want ...string) {
	b.Helper()
	if got := b.marks(); !slices.Equal(got, want) {
		b.Errorf("got marks %v, want %v", got, want)
	}
}
