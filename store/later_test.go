package store_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"example.com/zdd/internal/pgtest"
	"example.com/zdd/secret"
	"example.com/zdd/store"
)

// A store whose database is away says so until it arrives, and then works.
func TestLater(t *testing.T) {
	at, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	envelope := store.Envelope{ID: "E1", Kind: "slash_commands", At: time.Now()}

	gone, err := store.Later(t.Context(), store.Options{URL: secret.New("postgres://zdd:hunter2@127.0.0.1:1/zdd")})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if err := gone.Arrive(t.Context()); err == nil {
		t.Error("a database that is not there: got no error from Arrive")
	}
	if _, err := gone.RecordEnvelope(t.Context(), envelope); !errors.Is(err, store.ErrAway) {
		t.Errorf("before it arrives: got %v, want ErrAway", err)
	}

	s, err := store.Later(t.Context(), store.Options{URL: secret.New(at.String())})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.RecordEnvelope(t.Context(), envelope); !errors.Is(err, store.ErrAway) {
		t.Errorf("before Arrive: got %v, want ErrAway", err)
	}
	for range 2 { // the second does nothing
		if err := s.Arrive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if first, err := s.RecordEnvelope(t.Context(), envelope); err != nil || !first {
		t.Errorf("after Arrive: got %v, %v, want true", first, err)
	}
	if v, err := s.SchemaVersion(t.Context()); err != nil || v == 0 {
		t.Errorf("after Arrive: got schema version %d, %v", v, err)
	}
}

func TestLaterOnSQLiteIsNow(t *testing.T) {
	s, err := store.Later(t.Context(), store.Options{Path: t.TempDir() + "/zdd.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Arrive(t.Context()); err != nil {
		t.Error(err)
	}
	if first, err := s.RecordEnvelope(t.Context(), store.Envelope{ID: "E1", Kind: "x", At: time.Now()}); err != nil || !first {
		t.Errorf("got %v, %v, want true", first, err)
	}
}

func TestLaterRefusesWhatCanNeverWork(t *testing.T) {
	if _, err := store.Later(t.Context(), store.Options{URL: secret.New("mysql://u:hunter2@h/d")}); !errors.Is(err, store.ErrURL) {
		t.Errorf("got %v, want ErrURL", err)
	}
}
