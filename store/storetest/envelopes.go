package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/store"
)

// envelope is one seen at a time like any other.
func envelope(id string) store.Envelope {
	return store.Envelope{ID: id, Kind: "slash_commands", At: time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)}
}

func testEnvelopes(t *testing.T, o store.Options) {
	s := open(t, o)
	record := func(s *store.Store, e store.Envelope, want bool) {
		t.Helper()
		if got, err := s.RecordEnvelope(t.Context(), e); err != nil || got != want {
			t.Errorf("record %s: got %v, %v, want %v", e.ID, got, err, want)
		}
	}
	forget := func(before time.Time, want int64) {
		t.Helper()
		if got, err := s.ForgetEnvelopes(t.Context(), before); err != nil || got != want {
			t.Errorf("forget: got %d, %v, want %d", got, err, want)
		}
	}
	a, b := envelope("a"), envelope("b")
	b.At = a.At.Add(time.Millisecond)
	record(s, a, true)
	record(s, a, false)
	record(s, b, true)
	// The same id of another kind is the same delivery.
	record(s, store.Envelope{ID: "a", Kind: "events_api", At: b.At}, false)
	// Ids are compared byte by byte, and are data, not SQL.
	for _, id := range []string{"A", "a ", "a'--", `$1`, "ä"} {
		record(s, store.Envelope{ID: id, At: b.At}, true)
	}

	// What was seen outlives the program.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	record(s, a, false)

	forget(a.At, 0)
	record(s, a, false)
	forget(b.At, 1)
	record(s, b, false)
	record(s, a, true)
	forget(b.At.Add(time.Hour), 7)
	forget(b.At.Add(time.Hour), 0)

	for name, e := range map[string]store.Envelope{
		"no id":   {Kind: "events_api", At: a.At},
		"no time": {ID: "x", Kind: "events_api"},
	} {
		if first, err := s.RecordEnvelope(t.Context(), e); err == nil || first {
			t.Errorf("%s: got %v, %v, want an error", name, first, err)
		}
	}
}

// testEnvelopesRace hands each of many ids to two replicas, four times each, at
// the same moment: one of the eight is told that it is first.
func testEnvelopesRace(t *testing.T, o store.Options) {
	const ids, each = 20, 4
	replicas := []*store.Store{open(t, o), open(t, o)}
	var firsts [ids]atomic.Int64
	var wg sync.WaitGroup
	for _, s := range replicas {
		for range each {
			wg.Go(func() {
				for i := range ids {
					first, err := s.RecordEnvelope(t.Context(), envelope(fmt.Sprint("id", i)))
					if err != nil {
						t.Errorf("id%d: %v", i, err)
					}
					if first {
						firsts[i].Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	for i := range firsts {
		if got := firsts[i].Load(); got != 1 {
			t.Errorf("id%d was first %d times, want 1", i, got)
		}
	}
}
