package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/chat"
	"example.com/zdd/jobs"
	"example.com/zdd/store"
)

// request is one with every field set, and with what people type.
func request(id string) chat.Accepted {
	return chat.Accepted{
		ID: id, Kind: "interactive", Line: "deny T-1", Note: "no\x00 <!channel>\n" + strings.Repeat("é😀", 1500) + `'; DROP TABLE requests; --`,
		Via: "press", User: "U0REQUESTER", Team: "T0ACME", Teams: []string{"T0ACME", "T0OTHER"}, Channel: "C0OPS", Thread: "1.2",
		Pressed: chat.Pressed{Channel: "C0OPS", TS: "1.3", Ephemeral: true, Ticket: "T-1", Target: "channel/C0OPS"},
		At:      time.Date(2026, 3, 29, 2, 30, 0, 123e6, time.UTC),
	}
}

func testRequests(t *testing.T, o store.Options) {
	s := open(t, o)
	accept := func(a chat.Accepted, want bool) {
		t.Helper()
		if got, err := s.AcceptRequest(t.Context(), a); err != nil || got != want {
			t.Errorf("accept %s: got %v, %v, want %v", a.ID, got, err, want)
		}
	}
	wantGone := func(id string) {
		t.Helper()
		if _, err := s.Request(t.Context(), id); !errors.Is(err, chat.ErrNoRequest) {
			t.Errorf("request %s: got %v, want chat.ErrNoRequest", id, err)
		}
	}
	a := request("E1")
	wantGone("E1")
	accept(a, true)
	again := a
	again.Line = "approve T-1"
	accept(again, false)
	if got, err := s.Request(t.Context(), "E1"); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, %v, want %+v", got, err, a)
	}
	// One list of what was seen for everything that comes.
	if first, err := s.RecordEnvelope(t.Context(), envelope("E1")); err != nil || first {
		t.Errorf("record E1: got %v, %v, want false", first, err)
	}
	if first, err := s.RecordEnvelope(t.Context(), envelope("E2")); err != nil || !first {
		t.Errorf("record E2: got %v, %v, want true", first, err)
	}
	accept(request("E2"), false)
	wantGone("E2")
	for name, bad := range map[string]chat.Accepted{"no id": {At: a.At}, "no time": {ID: "E3"}} {
		if first, err := s.AcceptRequest(t.Context(), bad); err == nil || first {
			t.Errorf("%s: got %v, %v, want an error", name, first, err)
		}
	}

	// Who writes the database can't have anything done in somebody's name.
	tamper := func(query string, args ...any) {
		t.Helper()
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), query, args...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	const set = `UPDATE requests SET body = replace(body, $1, $2) WHERE id = 'E1'`
	tamper(set, "deny T-1", "approve T-1")
	wantGone("E1")
	tamper(set, "approve T-1", "deny T-1")
	tamper(set, "U0REQUESTER", "U0APPROVER")
	wantGone("E1")
	tamper(set, "U0APPROVER", "U0REQUESTER")
	tamper(`INSERT INTO requests (id, at, body) SELECT 'E9', at, body FROM requests WHERE id = 'E1'`)
	wantGone("E9")
	tamper(`DELETE FROM requests WHERE id = 'E9'`)
	if got, err := s.Request(t.Context(), "E1"); err != nil || got.ID != "E1" {
		t.Errorf("as it was again: got %+v, %v", got, err)
	}

	// Its job is there, due at once; and as long as it is not done, nothing is forgotten.
	later := a.At.Add(48 * time.Hour)
	forget := func(want int64) {
		t.Helper()
		if got, err := s.ForgetRequests(t.Context(), later); err != nil || got != want {
			t.Errorf("forget: got %d, %v, want %d", got, err, want)
		}
	}
	forget(0)
	j, found, err := s.ClaimJob(t.Context(), jobs.Claim{Owner: "o", Kinds: []string{chat.WorkCommand}, Now: a.At, Until: later})
	if err != nil || !found || j.ID() != "command:E1" {
		t.Fatalf("claim: got %+v, %v, %v, want command:E1", j, found, err)
	}
	forget(0)
	if err := s.FinishJob(t.Context(), jobs.Lease{ID: j.ID(), Fence: j.Fence}, a.At, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ForgetRequests(t.Context(), a.At); err != nil || got != 0 {
		t.Errorf("forget what is older: got %d, %v, want 0", got, err)
	}
	forget(1)
	wantGone("E1")

	// If the job can't be enqueued, nothing is kept: not even that it was seen.
	if err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `DROP TABLE jobs`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if first, err := s.AcceptRequest(t.Context(), request("E4")); err == nil || first {
		t.Errorf("without jobs: got %v, %v, want an error", first, err)
	}
	wantGone("E4")
	if first, err := s.RecordEnvelope(t.Context(), envelope("E4")); err != nil || !first {
		t.Errorf("record E4: got %v, %v, want true", first, err)
	}
}

// testRequestsRace hands each of some deliveries to two replicas, twice each, at the same
// moment: one of the four accepts it.
func testRequestsRace(t *testing.T, o store.Options) {
	const ids = 10
	replicas := []*store.Store{open(t, o), open(t, o)}
	var firsts [ids]atomic.Int64
	var wg sync.WaitGroup
	for _, s := range replicas {
		for range 2 {
			wg.Go(func() {
				for i := range ids {
					first, err := s.AcceptRequest(t.Context(), request(fmt.Sprint("R", i)))
					if err != nil {
						t.Errorf("R%d: %v", i, err)
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
			t.Errorf("R%d was accepted %d times, want 1", i, got)
		}
	}
}
