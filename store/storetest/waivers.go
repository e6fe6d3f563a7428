package storetest

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

// waiting is a waiver that waits for its decision.
func waiting(origin string) policy.Waiver {
	return policy.Waiver{
		State: policy.WaiverPending, App: shop, Name: "shop", Check: "preboot", Reason: policy.AcceptedRisk, Text: `it is "fine" <more> & ü`,
		By: "U1", Team: "T1", Origin: origin, AskedAt: ticketAt(), DecideBy: ticketAt().Add(time.Hour), Until: ticketAt().AddDate(0, 0, 30), Approvals: 1,
	}
}

func toldOf(w policy.Waiver, verb string) ledger.Entry {
	e := entry(w.ID)
	e.Verb, e.At = verb, ticketAt()
	return e
}

func waived(w policy.Waiver) approval.Change {
	return approval.Change{
		Entries: []ledger.Entry{toldOf(w, ledger.WaiverAsked)},
		Work:    []approval.Work{{Kind: approval.WorkWaiver, Key: w.ID, At: w.DecideBy}},
	}
}

func createWaiver(t *testing.T, s *store.Store, of policy.Waiver) (got policy.Waiver, made bool, err error) {
	t.Helper()
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		got, made, err = s.CreateWaiverTx(t.Context(), tx, of, waived)
		return err
	})
	return got, made, err
}

func changeWaiver(t *testing.T, s *store.Store, id string, change func(*policy.Waiver) (approval.Change, error)) (got policy.Waiver, err error) {
	t.Helper()
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		got, err = s.ChangeWaiverTx(t.Context(), tx, id, change)
		return err
	})
	return got, err
}

func testWaivers(t *testing.T, o store.Options) {
	o.LedgerKey = ledger.NewKey("k")
	s := open(t, o)
	one, made, err := createWaiver(t, s, waiting("a"))
	if err != nil || one.ID != "W-1" || one.Rev != 1 || !made {
		t.Fatalf("got %s rev %d, %v, %v, want W-1 rev 1, made", one.ID, one.Rev, made, err)
	}
	wantKept(t, s, 1, 2)
	other := waiting("a")
	other.By = "U2"
	if again, made, err := createWaiver(t, s, other); err != nil || made || again.ID != "W-1" || again.By != "U1" {
		t.Errorf("the same origin: got %s by %s, %v, %v, want W-1 by U1", again.ID, again.By, made, err)
	}
	wantKept(t, s, 1, 2)
	other = waiting("b")
	other.App = "another"
	if two, made, err := createWaiver(t, s, other); err != nil || two.ID != "W-2" || !made {
		t.Errorf("got %s, %v, %v, want W-2, made", two.ID, made, err)
	}
	for name, bad := range map[string]func(*policy.Waiver){
		"no origin":  func(w *policy.Waiver) { w.Origin = "" },
		"no time":    func(w *policy.Waiver) { w.AskedAt = time.Time{} },
		"no state":   func(w *policy.Waiver) { w.State = "" },
		"unreadable": func(w *policy.Waiver) { w.State = policy.WaiverUnreadable },
	} {
		of := waiting("c")
		bad(&of)
		if _, _, err := createWaiver(t, s, of); err == nil {
			t.Errorf("%s: stored", name)
		}
	}

	// A change is stored with its entries and its work, and told of.
	begins := func(w *policy.Waiver) (approval.Change, error) {
		w.State, w.From, w.DecidedBy = policy.WaiverActive, ticketAt().Add(time.Minute), "U9"
		w.Votes = append(w.Votes, policy.WaiverVote{User: "U9", At: w.From})
		return approval.Change{Entries: []ledger.Entry{toldOf(*w, ledger.Waived)}}, nil
	}
	got, err := changeWaiver(t, s, "W-1", begins)
	if err != nil || got.State != policy.WaiverActive || got.Rev != 2 {
		t.Errorf("got %s rev %d, %v, want active rev 2", got.State, got.Rev, err)
	}
	wantKept(t, s, 3, 5)
	for id, want := range map[string]string{"waiver:W-1": "", "waiver-tell:W-1:1": "waiver-tell:W-1", "waiver-tell:W-1:2": "waiver-tell:W-1", "waiver-tell:W-2:1": "waiver-tell:W-2"} {
		var group string
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRowContext(t.Context(), `SELECT serial FROM jobs WHERE id = $1`, id).Scan(&group)
		})
		if err != nil || group != want {
			t.Errorf("job %s: got group %q, %v, want %q", id, group, err, want)
		}
	}

	// What change refuses, and what may not be, leaves no trace.
	mind := errors.New("changed its mind")
	for name, c := range map[string]struct {
		id     string
		change func(*policy.Waiver) (approval.Change, error)
		want   error
	}{
		"an error": {"W-1", func(w *policy.Waiver) (approval.Change, error) {
			w.State = policy.WaiverEnded
			return waived(*w), mind
		}, mind},
		"a state that can't follow": {"W-1", func(w *policy.Waiver) (approval.Change, error) {
			w.State = policy.WaiverPending
			return waived(*w), nil
		}, nil},
		"a later end": {"W-1", func(w *policy.Waiver) (approval.Change, error) {
			w.Until = w.Until.Add(time.Hour)
			return waived(*w), nil
		}, nil},
		"a later beginning": {"W-1", func(w *policy.Waiver) (approval.Change, error) {
			w.From = w.From.Add(time.Hour)
			return waived(*w), nil
		}, nil},
		"a bad entry": {"W-1", func(w *policy.Waiver) (approval.Change, error) {
			w.State = policy.WaiverEnded
			return approval.Change{Entries: []ledger.Entry{{Verb: "x"}}}, nil
		}, nil},
		"no waiver":    {"W-3", nil, approval.ErrNoWaiver},
		"a ticket":     {"T-1", nil, approval.ErrNoWaiver},
		"another name": {"W-01", nil, approval.ErrNoWaiver},
		"no name":      {"' OR 1=1 --", nil, approval.ErrNoWaiver},
	} {
		if _, err := changeWaiver(t, s, c.id, c.change); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want an error, %v", name, err, c.want)
		}
	}
	wantKept(t, s, 3, 5)
	same, err := changeWaiver(t, s, "W-1", func(w *policy.Waiver) (approval.Change, error) {
		return approval.Change{Entries: []ledger.Entry{toldOf(*w, ledger.Refused)}}, nil
	})
	if err != nil || same.Rev != 2 {
		t.Errorf("one that stays as it is: got rev %d, %v, want 2", same.Rev, err)
	}
	wantKept(t, s, 4, 5)
	verdict(t, s, ledger.Whole, []ledger.Key{o.LedgerKey})

	// It outlives the program, as it was.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	now, err := s.Waiver(t.Context(), "W-1")
	a, _ := json.Marshal(now)
	b, _ := json.Marshal(got)
	if err != nil || string(a) != string(b) {
		t.Errorf("got %s, %v, want %s", a, err, b)
	}
	if _, err := s.Waiver(t.Context(), "W-9"); !errors.Is(err, approval.ErrNoWaiver) {
		t.Errorf("got %v, want ErrNoWaiver", err)
	}
	for _, c := range []struct {
		name string
		f    approval.WaiverFilter
		want []string
	}{
		{"all", approval.WaiverFilter{}, []string{"W-2", "W-1"}},
		{"one", approval.WaiverFilter{Limit: 1}, []string{"W-2"}},
		{"no limit", approval.WaiverFilter{Limit: -1}, []string{"W-2", "W-1"}},
		{"pending", approval.WaiverFilter{States: []policy.WaiverState{policy.WaiverPending}}, []string{"W-2"}},
		{"two states", approval.WaiverFilter{States: []policy.WaiverState{policy.WaiverPending, policy.WaiverActive}}, []string{"W-2", "W-1"}},
		{"denied", approval.WaiverFilter{States: []policy.WaiverState{policy.WaiverDenied}}, nil},
		{"app", approval.WaiverFilter{App: shop}, []string{"W-1"}},
		{"origin", approval.WaiverFilter{Origin: "b"}, []string{"W-2"}},
		{"everything", approval.WaiverFilter{States: []policy.WaiverState{policy.WaiverActive}, App: shop, Origin: "a", Limit: 1}, []string{"W-1"}},
		{"quotes", approval.WaiverFilter{App: "' OR 1=1 --"}, nil},
	} {
		got, err := s.Waivers(t.Context(), c.f)
		if ids := waiverIDs(got); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, ids, err, c.want)
		}
		err = s.Tx(t.Context(), func(tx *sql.Tx) (err error) {
			got, err = s.WaiversTx(t.Context(), tx, c.f)
			return err
		})
		if ids := waiverIDs(got); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s in a transaction: got %v, %v, want %v", c.name, ids, err, c.want)
		}
	}
}

func waiverIDs(waivers []policy.Waiver) (ids []string) {
	for _, w := range waivers {
		ids = append(ids, w.ID)
	}
	return ids
}

// testWaiversUnreadable: a record that can't be understood waives nothing and can't be
// changed, and keeps nobody from reading the others.
func testWaiversUnreadable(t *testing.T, o store.Options) {
	s := open(t, o)
	for _, origin := range []string{"a", "b", "c", "d"} {
		if _, _, err := createWaiver(t, s, waiting(origin)); err != nil {
			t.Fatal(err)
		}
	}
	for n, body := range map[int64]string{
		1: `{"id":"W-1","state":"active","until":"2027-02-30T00:00:00Z"}`, // no such day
		2: `not even JSON`,
		3: `{"id":"W-4","state":"active"}`, // another's
	} {
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE waivers SET body = $1 WHERE n = $2`, body, n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		id := approval.WaiverID(n)
		if w, err := s.Waiver(t.Context(), id); err != nil || w.State != policy.WaiverUnreadable || w.ID != id || w.App != shop {
			t.Errorf("%s: got %+v, %v, want it to be unreadable", id, w, err)
		}
		if _, err := changeWaiver(t, s, id, func(*policy.Waiver) (approval.Change, error) { return approval.Change{}, nil }); err == nil {
			t.Errorf("%s was changed", id)
		}
	}
	all, err := s.Waivers(t.Context(), approval.WaiverFilter{App: fleet.ID(shop)})
	if ids := waiverIDs(all); err != nil || !slices.Equal(ids, []string{"W-4", "W-3", "W-2", "W-1"}) || all[0].State != policy.WaiverPending {
		t.Errorf("got %v, %v, want all of them, W-4 as it is", ids, err)
	}
}

// testWaiversRace has two replicas make and decide waivers at once, among others who make
// tickets: no number is given twice or left out, one origin makes one, and one of several
// decisions counts.
func testWaiversRace(t *testing.T, o store.Options) {
	const each = 6
	o.LedgerKey = ledger.NewKey("k")
	replicas := []*store.Store{open(t, o), open(t, o)}
	var wg sync.WaitGroup
	var made, decided atomic.Int64
	for i, s := range replicas {
		for n := range each {
			wg.Go(func() {
				for _, origin := range []string{fmt.Sprint("own ", i, n), "shared"} {
					_, first, err := createWaiver(t, s, waiting(origin))
					if err != nil {
						t.Error(err)
					}
					if first {
						made.Add(1)
					}
				}
				if _, _, err := s.CreateTicket(t.Context(), pending(fmt.Sprint("ticket ", i, n)), asked); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	const all = 2*each + 1
	waivers, err := replicas[0].Waivers(t.Context(), approval.WaiverFilter{Limit: -1})
	if err != nil || len(waivers) != all || made.Load() != all {
		t.Fatalf("got %d waivers, of which %d were new, %v, want %d", len(waivers), made.Load(), err, all)
	}
	for i, w := range waivers {
		if want := approval.WaiverID(int64(all - i)); w.ID != want {
			t.Errorf("got %s, want %s", w.ID, want)
		}
	}
	for i, s := range replicas {
		for n := range each {
			wg.Go(func() {
				_, err := changeWaiver(t, s, "W-1", func(w *policy.Waiver) (approval.Change, error) {
					if w.State != policy.WaiverPending {
						return approval.Change{}, nil
					}
					decided.Add(1)
					w.State, w.DecidedBy, w.EndedAt = policy.WaiverDenied, fmt.Sprint("U", i, n), ticketAt()
					return approval.Change{Entries: []ledger.Entry{toldOf(*w, ledger.WaiverDenied)}}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if one, err := replicas[0].Waiver(t.Context(), "W-1"); err != nil || one.Rev != 2 || decided.Load() != 1 {
		t.Errorf("got rev %d, decided %d times, %v, want one", one.Rev, decided.Load(), err)
	}
	verdict(t, replicas[1], ledger.Whole, []ledger.Key{o.LedgerKey})
}
