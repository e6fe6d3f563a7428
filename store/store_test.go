package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/internal/pgtest"
	"example.com/zdd/secret"
	"example.com/zdd/store"
	"example.com/zdd/store/storetest"
	"github.com/jackc/pgx/v5"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Options {
		return store.Options{Path: filepath.Join(t.TempDir(), "zdd.db")}
	})
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Options {
		return store.Options{URL: secret.New(pgtest.URL(t))}
	})
}

// TestPostgresConnectionsLost ends every connection of the store from the server's
// side, as a failover or a maintenance does. The store goes on with new ones, and
// counts no envelope twice.
func TestPostgresConnectionsLost(t *testing.T) {
	at := pgtest.URL(t)
	s, err := store.Open(t.Context(), store.Options{URL: secret.New(at)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	var name string
	if err := other.QueryRow(t.Context(), `SELECT min(application_name) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&name); err != nil || name != "zdd" {
		t.Errorf("got application %q, %v, want zdd", name, err)
	}
	e := store.Envelope{ID: "before", At: time.Now()}
	if first, err := s.RecordEnvelope(t.Context(), e); err != nil || !first {
		t.Fatalf("got %v, %v, want true", first, err)
	}
	tag, err := other.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("ended %d connections, %v", tag.RowsAffected(), err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("the server is there, but: %v", err)
	}
	if first, err := s.RecordEnvelope(t.Context(), e); err != nil || first {
		t.Errorf("got %v, %v, want false", first, err)
	}
}

// canary stands for the password: it must be in no error and no print.
const canary = "c4n4rycafe"

func TestURLRefused(t *testing.T) {
	for name, url := range map[string]string{
		"another database":   "mysql://user:" + canary + "@127.0.0.1/db",
		"keywords":           "host=127.0.0.1 password=" + canary,
		"nothing but secret": canary,
		"slash in password":  "postgres://user:1/" + canary + "@127.0.0.1/db",
		"port and slash":     "postgres://user:" + canary + "/x@127.0.0.1/db",
		"query in password":  "postgres://user:1?" + canary + "@127.0.0.1/db",
		"hash in password":   "postgres://user:1#" + canary + "@127.0.0.1/db",
		"hash after":         "postgres://user:1#" + canary,
		"bad escape":         "postgres://user:%zz" + canary + "@127.0.0.1/db",
		"bad port":           "postgres://user:" + canary + "@127.0.0.1:port/db",
		"space":              "postgres://user:" + canary + "@127.0.0.1 /db",
		"newline":            "postgres://user:" + canary + "@127.0.0.1\n/db",
		"bad option":         "postgres://user:" + canary + "@127.0.0.1/db?sslmode=perhaps",
		"password as option": "postgres://127.0.0.1/db?sslmode=perhaps&password=" + canary,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), store.Options{URL: secret.New(url)})
			if err == nil {
				s.Close()
				t.Fatal("got a store, want an error")
			}
			if !errors.Is(err, store.ErrURL) {
				t.Errorf("got %v, want ErrURL", err)
			}
			refuseCanary(t, fmt.Sprintf("%v %+v %#v", err, err, err))
		})
	}
}

func TestServerGone(t *testing.T) {
	for name, url := range map[string]string{
		// Port 1 is reserved (tcpmux) and not listened on: refused at once.
		"refused":   "postgres://user:" + canary + "@127.0.0.1:1/db",
		"no socket": "postgres://user:" + canary + "@/db?host=/nonexistent",
		"option":    "postgres:///db?host=127.0.0.1&port=1&user=user&password=" + canary,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), store.Options{URL: secret.New(url)})
			if err == nil {
				s.Close()
				t.Fatal("got a store, want an error")
			}
			if errors.Is(err, store.ErrURL) {
				t.Errorf("got ErrURL, but a server that is down may come back: %v", err)
			}
			if want := "reach postgres: "; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %q, want it to begin with %q", err, want)
			}
			refuseCanary(t, fmt.Sprintf("%v %+v %#v", err, err, err))
		})
	}
}

func TestOptionsHideTheURL(t *testing.T) {
	o := store.Options{URL: secret.New("postgres://user:" + canary + "@127.0.0.1/db")}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("open", "store", o)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("open", "store", &o)
	refuseCanary(t, log.String())
	refuseCanary(t, fmt.Sprintf("%v %+v %#v %v", o, o, &o, []store.Options{o}))
}

func refuseCanary(t *testing.T, s string) {
	t.Helper()
	if strings.Contains(s, canary) {
		t.Errorf("the password is in %s", s)
	}
}

func TestSQLiteFile(t *testing.T) {
	// Each of these means something in a file: URI.
	for _, name := range []string{"zdd.db", "a b.db", "100%25.db", "q?mode=memory.db", "h#x.db", ":memory:", "ä&=+.db"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			s, err := store.Open(t.Context(), store.Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("got mode %o, want 600: others could read who asked for what", got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != 2 || entries[0].Name() != name || entries[1].Name() != name+"-lock" {
				t.Errorf("got files %v, want %[2]s and %[2]s-lock", entries, name)
			}
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("got %v, %v: the state went somewhere else", info, err)
			}
		})
	}
}

func TestSQLiteSettings(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "zdd.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct{ pragma, want string }{
		{"journal_mode", "wal"},
		{"synchronous", "2"}, // FULL
		{"foreign_keys", "1"},
		{"busy_timeout", "10000"},
		{"cache_size", "-512"},
	} {
		var got string
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRowContext(t.Context(), "PRAGMA "+c.pragma).Scan(&got)
		})
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.pragma, got, err, c.want)
		}
	}
}

func TestSQLiteUnusable(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("no database "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"no such folder": filepath.Join(t.TempDir(), "missing", "zdd.db"),
		"a folder":       t.TempDir(),
		"not a database": garbage,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), store.Options{Path: path})
			if err == nil {
				s.Close()
				t.Fatal("got a store, want an error")
			}
		})
	}
}

// TestSQLiteInBubble shows that the store runs on the fake clock: a week of
// envelopes, and three writers that wait for each other.
func TestSQLiteInBubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zdd.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const week = 7 * 24 * time.Hour
		start := time.Now()
		var wg sync.WaitGroup
		for writer := range 3 {
			wg.Go(func() {
				for time.Since(start) < week {
					time.Sleep(time.Hour)
					id := fmt.Sprint(writer, time.Now().UnixMilli())
					if first, err := s.RecordEnvelope(t.Context(), store.Envelope{ID: id, Kind: "test", At: time.Now()}); err != nil || !first {
						t.Errorf("got %v, %v, want true", first, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := time.Since(start); got != week {
			t.Errorf("the clock stands at %v, want %v", got, week)
		}
		n, err := s.ForgetEnvelopes(t.Context(), start.Add(24*time.Hour))
		if want := int64(3 * 23); err != nil || n != want {
			t.Errorf("got %d, %v, want %d forgotten", n, err, want)
		}
	})
}
