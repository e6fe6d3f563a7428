package storetest

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/chat"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// wanted is a watch that waits to be begun.
func wanted(origin string, app fleet.ID) watch.Watch {
	return watch.Watch{
		App: app, Name: "shop", By: "U1", Channel: "C0OPS", Origin: origin, State: watch.Waiting,
		URL: `https://shop.herokuapp.com/?q="<ü>"`, Asked: ticketAt(), Until: ticketAt().Add(10 * time.Minute),
		Setup: watch.Setup{Preboot: fleet.Known(true), Affinity: fleet.Unknown[bool](fleet.Reason{Kind: fleet.Forbidden, Text: "why"}), Web: fleet.Known(2)},
	}
}

func toldOfWatch(w watch.Watch, verb string) ledger.Entry {
	e := entry(w.ID)
	e.Verb, e.At = verb, ticketAt()
	return e
}

func createWatch(t *testing.T, s *store.Store, of watch.Watch) (got watch.Watch, made bool, err error) {
	t.Helper()
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		got, made, err = s.CreateWatchTx(t.Context(), tx, of, func(w watch.Watch) watch.Change {
			return watch.Change{
				Entries: []ledger.Entry{toldOfWatch(w, ledger.WatchAsked)},
				Work:    []watch.Work{{Kind: watch.WorkDeployWatch, Key: w.ID, At: w.Asked}},
				Tell:    w.Asked,
			}
		})
		return err
	})
	return got, made, err
}

func changeWatch(t *testing.T, s *store.Store, id string, change func(*watch.Watch) (watch.Change, error)) (got watch.Watch, err error) {
	t.Helper()
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		got, err = s.ChangeWatchTx(t.Context(), tx, id, change)
		return err
	})
	return got, err
}

// ends gives a watch that verdict.
func ends(verdict watch.Verdict, at time.Time) func(*watch.Watch) (watch.Change, error) {
	return func(w *watch.Watch) (watch.Change, error) {
		w.State, w.Ended, w.Verdict, w.Counts = watch.Ended, at, verdict, watch.Counts{Sent: 2400, OK: 2400}
		w.Release = fleet.Release{Version: 118, CreatedAt: at.Add(-5 * time.Minute)}
		return watch.Change{Entries: []ledger.Entry{toldOfWatch(*w, ledger.WatchVerdict)}, Tell: at}, nil
	}
}

// sameWatch compares two watches whole, with what JSON leaves out.
func sameWatch(t *testing.T, name string, got, want watch.Watch) {
	t.Helper()
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) || got.Rev != want.Rev || got.Origin != want.Origin {
		t.Errorf("%s: got rev %d of %q\n%s\nwant rev %d of %q\n%s", name, got.Rev, got.Origin, a, want.Rev, want.Origin, b)
	}
}

func testDeployWatches(t *testing.T, o store.Options) {
	o.LedgerKey = ledger.NewKey("k")
	s := open(t, o)
	one, made, err := createWatch(t, s, wanted("a", shop))
	if err != nil || one.ID != "D-1" || one.Rev != 1 || one.Origin != "a" || !made {
		t.Fatalf("got %s rev %d of %q, %v, %v, want D-1 rev 1 of a, made", one.ID, one.Rev, one.Origin, made, err)
	}
	wantKept(t, s, 1, 2)
	other := wanted("a", "another")
	if again, made, err := createWatch(t, s, other); err != nil || made || again.ID != "D-1" || again.App != shop {
		t.Errorf("the same origin: got %s of %s, %v, %v, want D-1 of the shop", again.ID, again.App, made, err)
	}
	wantKept(t, s, 1, 2)
	if two, made, err := createWatch(t, s, wanted("b", "another")); err != nil || two.ID != "D-2" || !made {
		t.Errorf("got %s, %v, %v, want D-2, made", two.ID, made, err)
	}
	for name, bad := range map[string]func(*watch.Watch){
		"no origin": func(w *watch.Watch) { w.Origin = "" },
		"no time":   func(w *watch.Watch) { w.Asked = time.Time{} },
		"no state":  func(w *watch.Watch) { w.State = "" },
	} {
		of := wanted("c", shop)
		bad(&of)
		if _, _, err := createWatch(t, s, of); err == nil {
			t.Errorf("%s: stored", name)
		}
	}

	// Snapshots are stored without a word in the ledger, and told of only where they say so.
	at := ticketAt().Add(time.Minute)
	runs := func(w *watch.Watch) (watch.Change, error) {
		w.State, w.Began, w.Until = watch.Running, at.Add(123*time.Microsecond), at.Add(10*time.Minute)
		w.Seconds = []watch.Second{{At: at.Unix(), Due: 4, OK: 3, Bad: 1, Slowest: time.Second}}
		w.Counts = watch.Counts{Due: 4, Sent: 4, OK: 3, Bad: map[watch.Outcome]int{watch.Server: 1}, Codes: map[string]int{"H10": 1}}
		w.Visits = &watch.Visits{Visitors: 2, Kept: 7, First: at.Add(time.Microsecond)}
		w.Events = []watch.Event{{At: at, Kind: watch.EventRelease, Text: "release v118"}}
		return watch.Change{}, nil
	}
	got, err := changeWatch(t, s, "D-1", runs)
	if err != nil || got.State != watch.Running || got.Rev != 2 || !got.Began.Equal(at) || !got.Visits.First.Equal(at) {
		t.Errorf("got %s rev %d began %s, %v, want running rev 2, to the millisecond", got.State, got.Rev, got.Began, err)
	}
	wantKept(t, s, 2, 4)
	if same, err := changeWatch(t, s, "D-1", func(w *watch.Watch) (watch.Change, error) { return watch.Change{Tell: at}, nil }); err != nil || same.Rev != 2 {
		t.Errorf("one that stays as it is: got rev %d, %v, want 2", same.Rev, err)
	}
	wantKept(t, s, 2, 5) // told of its revision 2
	sameWatch(t, "read", read(t, s, "D-1"), got)

	// What change refuses, and what may not be, leaves no trace.
	mind := errors.New("changed its mind")
	for name, c := range map[string]struct {
		id     string
		change func(*watch.Watch) (watch.Change, error)
		want   error
	}{
		"an error": {"D-1", func(w *watch.Watch) (watch.Change, error) {
			w.State = watch.Ended
			return watch.Change{Entries: []ledger.Entry{toldOfWatch(*w, ledger.WatchVerdict)}, Tell: at}, mind
		}, mind},
		"another app": {"D-1", func(w *watch.Watch) (watch.Change, error) { w.App = "x"; return watch.Change{}, nil }, nil},
		"another id":  {"D-1", func(w *watch.Watch) (watch.Change, error) { w.ID = "D-2"; return watch.Change{}, nil }, nil},
		"a bad entry": {"D-1", func(w *watch.Watch) (watch.Change, error) {
			w.State = watch.Ended
			return watch.Change{Entries: []ledger.Entry{{Verb: "x"}}}, nil
		}, nil},
		"no watch":     {"D-3", nil, watch.ErrNoWatch},
		"a waiver":     {"W-1", nil, watch.ErrNoWatch},
		"another name": {"D-01", nil, watch.ErrNoWatch},
		"no number":    {"D-0", nil, watch.ErrNoWatch},
		"no name":      {"' OR 1=1 --", nil, watch.ErrNoWatch},
	} {
		if _, err := changeWatch(t, s, c.id, c.change); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want an error, %v", name, err, c.want)
		}
	}
	wantKept(t, s, 2, 5)
	sameWatch(t, "after what was refused", read(t, s, "D-1"), got)

	// The verdict goes with its entry in the ledger, whose head it tells.
	got, err = changeWatch(t, s, "D-1", ends(watch.Proved, at.Add(10*time.Minute)))
	if err != nil || got.Rev != 3 || got.Origin != "a" {
		t.Fatalf("got %+v, %v, want rev 3", got, err)
	}
	if head, err := s.LedgerHead(t.Context()); err != nil || got.Head != head.String() || head.Seq != 3 {
		t.Errorf("got head %q, want %s", got.Head, head)
	}
	wantKept(t, s, 3, 6)
	if _, err := changeWatch(t, s, "D-1", func(w *watch.Watch) (watch.Change, error) { w.State = watch.Running; return watch.Change{}, nil }); err == nil {
		t.Error("a watch that is over went on")
	}
	for id, want := range map[string]string{
		"deploy-watch:D-1": "", "tell-deploy-watch:D-1:1": "tell-deploy-watch:D-1", "tell-deploy-watch:D-1:2": "tell-deploy-watch:D-1", "tell-deploy-watch:D-1:3": "tell-deploy-watch:D-1",
	} {
		var group string
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRowContext(t.Context(), `SELECT serial FROM jobs WHERE id = $1`, id).Scan(&group)
		})
		if err != nil || group != want {
			t.Errorf("job %s: got group %q, %v, want %q", id, group, err, want)
		}
	}
	verdict(t, s, ledger.Whole, []ledger.Key{o.LedgerKey})

	// It outlives the program, as it was.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	sameWatch(t, "after a restart", read(t, s, "D-1"), got)
	if _, err := s.Watch(t.Context(), "D-9"); !errors.Is(err, watch.ErrNoWatch) {
		t.Errorf("got %v, want ErrNoWatch", err)
	}
	late := wanted("c", shop)
	late.Asked = ticketAt().Add(time.Hour)
	if _, _, err := createWatch(t, s, late); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		f    watch.Filter
		want []string
	}{
		{"all", watch.Filter{}, []string{"D-3", "D-2", "D-1"}},
		{"one", watch.Filter{Limit: 1}, []string{"D-3"}},
		{"no limit", watch.Filter{Limit: -1}, []string{"D-3", "D-2", "D-1"}},
		{"waiting", watch.Filter{States: []watch.State{watch.Waiting}}, []string{"D-3", "D-2"}},
		{"two states", watch.Filter{States: []watch.State{watch.Ended, watch.Running}}, []string{"D-1"}},
		{"app", watch.Filter{App: shop}, []string{"D-3", "D-1"}},
		{"origin", watch.Filter{Origin: "b"}, []string{"D-2"}},
		{"since", watch.Filter{Since: ticketAt().Add(time.Minute)}, []string{"D-3"}},
		{"since then", watch.Filter{Since: ticketAt()}, []string{"D-3", "D-2", "D-1"}},
		{"everything", watch.Filter{States: []watch.State{watch.Ended}, App: shop, Origin: "a", Since: ticketAt(), Limit: 1}, []string{"D-1"}},
		{"quotes", watch.Filter{App: "' OR 1=1 --"}, nil},
	} {
		got, err := s.Watches(t.Context(), c.f)
		if ids := watchIDs(got); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, ids, err, c.want)
		}
		err = s.Tx(t.Context(), func(tx *sql.Tx) (err error) {
			got, err = s.WatchesTx(t.Context(), tx, c.f)
			return err
		})
		if ids := watchIDs(got); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s in a transaction: got %v, %v, want %v", c.name, ids, err, c.want)
		}
	}
}

func read(t *testing.T, s *store.Store, id string) watch.Watch {
	t.Helper()
	w, err := s.Watch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func watchIDs(watches []watch.Watch) (ids []string) {
	for _, w := range watches {
		ids = append(ids, w.ID)
	}
	return ids
}

// testProofs: of each app the last verdict, whatever it is, and with it the last that
// proved something; what runs says nothing.
func testProofs(t *testing.T, o store.Options) {
	s := open(t, o)
	at := func(n int) time.Time { return ticketAt().Add(time.Duration(n) * time.Hour) }
	for n, c := range []struct {
		app     fleet.ID
		verdict watch.Verdict // empty: it goes on
	}{
		{"a", watch.Proved}, {"a", watch.Failed}, {"a", watch.Inconclusive}, {"b", watch.Proved}, {"b", watch.Failed}, {"b", watch.Proved},
		{"c", watch.Failed}, {"d", ""}, {"a", ""},
	} {
		w, _, err := createWatch(t, s, wanted(fmt.Sprint(n), c.app))
		if err == nil && c.verdict != "" {
			_, err = changeWatch(t, s, w.ID, ends(c.verdict, at(n+1)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	proof := func(n int, v watch.Verdict) watch.Proof {
		return watch.Proof{Watch: watch.ID(int64(n)), Verdict: v, Release: 118, At: at(n), Sent: 2400}
	}
	a := proof(3, watch.Inconclusive)
	a.Proved = new(proof(1, watch.Proved))
	all := map[fleet.ID]watch.Proof{"a": a, "b": proof(6, watch.Proved), "c": proof(7, watch.Failed)}
	many := []fleet.ID{"b"}
	for n := range 1200 { // more than go into one statement
		many = append(many, fleet.ID(fmt.Sprint("none ", n)))
	}
	for name, c := range map[string]struct {
		of   []fleet.ID
		want []fleet.ID
	}{
		"all": {nil, []fleet.ID{"a", "b", "c"}}, "one": {[]fleet.ID{"a"}, []fleet.ID{"a"}}, "none": {[]fleet.ID{"d", "x", "' OR 1=1 --"}, nil}, "many": {many, []fleet.ID{"b"}},
		"the last of several statements": {slices.Concat(many[1:], []fleet.ID{"a", "c"}), []fleet.ID{"a", "c"}},
	} {
		got, err := s.Proofs(t.Context(), c.of)
		want := map[fleet.ID]watch.Proof{}
		for _, app := range c.want {
			want[app] = all[app]
		}
		x, _ := json.Marshal(got)
		y, _ := json.Marshal(want)
		if err != nil || string(x) != string(y) {
			t.Errorf("%s: got %s, %v, want %s", name, x, err, y)
		}
	}
}

// testDeployWatchesRace has two replicas ask for watches and change one at once: no number
// is given twice, one origin makes one, and no change is lost.
func testDeployWatchesRace(t *testing.T, o store.Options) {
	const each = 6
	o.LedgerKey = ledger.NewKey("k")
	replicas := []*store.Store{open(t, o), open(t, o)}
	var wg sync.WaitGroup
	var made atomic.Int64
	for i, s := range replicas {
		for n := range each {
			wg.Go(func() {
				for _, origin := range []string{fmt.Sprint("own ", i, n), "shared"} {
					_, first, err := createWatch(t, s, wanted(origin, shop))
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
	watches, err := replicas[0].Watches(t.Context(), watch.Filter{Limit: -1})
	if err != nil || len(watches) != all || made.Load() != all {
		t.Fatalf("got %d watches, of which %d were new, %v, want %d", len(watches), made.Load(), err, all)
	}
	for i, w := range watches {
		if want := watch.ID(int64(all - i)); w.ID != want {
			t.Errorf("got %s, want %s", w.ID, want)
		}
	}
	for i, s := range replicas {
		for n := range each {
			wg.Go(func() {
				_, err := changeWatch(t, s, "D-1", func(w *watch.Watch) (watch.Change, error) {
					w.Trouble = append(w.Trouble, fmt.Sprint(i, n))
					return watch.Change{Entries: []ledger.Entry{toldOfWatch(*w, ledger.WatchAsked)}}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	one := read(t, replicas[0], "D-1")
	seen := map[string]bool{}
	for _, trouble := range one.Trouble {
		seen[trouble] = true
	}
	if one.Rev != 2*each+1 || len(slices.Collect(maps.Keys(seen))) != 2*each {
		t.Errorf("got rev %d with %v, want %d with all that was written", one.Rev, one.Trouble, 2*each+1)
	}
	verdict(t, replicas[1], ledger.Whole, []ledger.Key{o.LedgerKey})
}

// testForgetWatches: what ended long ago goes, and takes its messages along; what runs
// stays, and no number is given twice.
func testForgetWatches(t *testing.T, o store.Options) {
	s := open(t, o)
	at := ticketAt()
	for n, ended := range []time.Duration{time.Hour, 3 * time.Hour, 0, time.Hour} {
		w, _, err := createWatch(t, s, wanted(fmt.Sprint(n), fleet.ID(fmt.Sprint(n))))
		if err == nil && ended > 0 {
			_, err = changeWatch(t, s, w.ID, ends(watch.Proved, at.Add(ended)))
		}
		if err == nil {
			err = s.Tx(t.Context(), func(tx *sql.Tx) error {
				return s.SavePost(t.Context(), tx, chat.Post{Ticket: w.ID, Target: "channel/C0OPS", Channel: "C0OPS", TS: "1"})
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	forget := func(before time.Time, want ...string) {
		t.Helper()
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.Prune(t.Context(), tx, before) }); err != nil {
			t.Fatal(err)
		}
		left, err := s.Watches(t.Context(), watch.Filter{})
		if ids := watchIDs(left); err != nil || !slices.Equal(ids, want) {
			t.Errorf("got %v, %v, want %v", ids, err, want)
		}
		for _, id := range []string{"D-1", "D-2", "D-3", "D-4"} {
			wantPosts(t, s, slices.Contains(want, id), id)
		}
	}
	forget(at.Add(time.Hour), "D-4", "D-3", "D-2", "D-1")
	forget(at.Add(2*time.Hour), "D-4", "D-3", "D-2")
	forget(at.Add(9*time.Hour), "D-4", "D-3")
	if w, made, err := createWatch(t, s, wanted("new", shop)); err != nil || !made || w.ID != "D-5" {
		t.Errorf("got %s, %v, %v, want D-5", w.ID, made, err)
	}
	forget(at.Add(9*time.Hour), "D-5", "D-3")
}
