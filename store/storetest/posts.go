package storetest

import (
	"database/sql"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/chat"
	"example.com/zdd/store"
)

func testPosts(t *testing.T, o store.Options) {
	s := open(t, o)
	save := func(p chat.Post, want error) {
		t.Helper()
		err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.SavePost(t.Context(), tx, p) })
		if !errors.Is(err, want) {
			t.Errorf("save %s for %s at version %d: got %v, want %v", p.Ticket, p.Target, p.Version, err, want)
		}
	}
	want := func(ticket string, want ...chat.Post) {
		t.Helper()
		if got, err := s.Posts(t.Context(), ticket); err != nil || !slices.Equal(got, want) {
			t.Errorf("posts of %s: got %+v, %v, want %+v", ticket, got, err, want)
		}
	}
	want("T-1")
	a := chat.Post{Ticket: "T-1", Target: "channel/C0OPS", Channel: "C0OPS", Busy: time.Date(2026, 3, 29, 2, 30, 0, 123e6, time.UTC)}
	save(a, nil)
	save(a, chat.ErrPostChanged) // somebody else was first
	a.Version = 1
	want("T-1", a)
	b := chat.Post{Ticket: "T-1", Target: "approver/U0APPROVER", Channel: "D0APPROVER", TS: "1764000000.000100", Rev: 1 << 40, Hash: "ab'12", Live: true, Repeat: true, Lost: "is_archived"}
	save(b, nil)
	save(chat.Post{Ticket: "T-11", Target: a.Target, Channel: "C0OPS"}, nil)
	b.Version = 1
	want("T-1", b, a)

	next := a
	next.TS, next.Rev, next.Hash, next.Live, next.Busy = "1.2", 3, "cd", true, time.Time{}
	save(next, nil)
	save(a, chat.ErrPostChanged)
	next.Version = 2
	want("T-1", b, next)
	save(chat.Post{Ticket: "T-2", Target: a.Target, Version: 4}, chat.ErrPostChanged) // it is not there
	want("T-2")
	if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.SavePost(t.Context(), tx, chat.Post{Ticket: "T-3"}) }); err == nil {
		t.Error("a record without a target was kept")
	}

	// It is part of its transaction.
	sentinel := errors.New("changed its mind")
	lost := next
	lost.TS = "9.9"
	if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(s.SavePost(t.Context(), tx, lost), sentinel) }); !errors.Is(err, sentinel) {
		t.Errorf("got %v, want the caller's error", err)
	}
	want("T-1", b, next)
}

// testPostsRace has two replicas write the same record at the same time: for each
// version, one does.
func testPostsRace(t *testing.T, o store.Options) {
	replicas := []*store.Store{open(t, o), open(t, o)}
	for version := range int64(5) {
		var wrote atomic.Int64
		var wg sync.WaitGroup
		for _, s := range replicas {
			for range 2 {
				wg.Go(func() {
					err := s.Tx(t.Context(), func(tx *sql.Tx) error {
						return s.SavePost(t.Context(), tx, chat.Post{Ticket: "T-1", Target: "requester/U0REQUESTER", Version: version})
					})
					switch {
					case err == nil:
						wrote.Add(1)
					case !errors.Is(err, chat.ErrPostChanged):
						t.Errorf("version %d: got %v, want chat.ErrPostChanged", version, err)
					}
				})
			}
		}
		wg.Wait()
		if got := wrote.Load(); got != 1 {
			t.Errorf("version %d was written %d times, want 1", version+1, got)
		}
	}
}
