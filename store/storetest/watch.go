package storetest

import (
	"database/sql"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/fleet"
	"example.com/zdd/store"
)

func saveLook(t *testing.T, s *store.Store, l audit.Look) (saved bool) {
	t.Helper()
	err := s.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		saved, err = s.SaveLook(t.Context(), tx, l)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func saveWatching(t *testing.T, s *store.Store, w audit.Watching, made ...audit.Bulletin) error {
	t.Helper()
	return s.Tx(t.Context(), func(tx *sql.Tx) error { return s.SaveWatching(t.Context(), tx, w, made...) })
}

// testLooks has a night and the looks after it write of the same app: neither writes over
// what the other knows.
func testLooks(t *testing.T, o store.Options) {
	s := open(t, o)
	if err := saveStandings(t, s, []audit.Standing{standing("shop"), standing("other")}); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 29, 14, 2, 3, 123456789, time.FixedZone("", 7200))
	l := audit.Look{Standing: standing("shop"), At: at}
	l.Watch = audit.Watch{
		Night: "2026-03-29", ReadAt: at, Rules: "2 required advice false", Left: at,
		Seen: []audit.Seen{{Check: "preboot", Outcome: audit.Fail, At: at}}, Doubts: []audit.Seen{{Check: "preboot", Outcome: audit.Fail, At: at}}, Since: at,
		Drifts:  []audit.Drift{{Check: "preboot", After: at, At: at, Owner: "U1", Told: true}},
		Flips:   []audit.Flip{{After: at, At: at, Checks: []string{"preboot"}}},
		Fight:   &audit.Fight{Who: "it's \"somebody\" \x00 ü", Evidence: []string{"a", "b"}, Advice: "c"},
		Changes: []audit.Quantity{{From: 2, To: 3, After: at, At: at}}, Web: 3, WebAt: at,
	}
	if !saveLook(t, s, l) {
		t.Fatal("a look was not saved")
	}
	want := l.Standing
	want.Watch = audit.Watch{}
	full := l.Watch
	setTimes(&full, at.UTC().Truncate(time.Millisecond))
	full.FightTold = time.Time{}
	want.Watch = full
	for name, read := range map[string]func() (audit.Standing, bool, error){
		"one": func() (audit.Standing, bool, error) { return s.Standing(t.Context(), want.App) },
		"all": func() (audit.Standing, bool, error) { return standings(t, s)[1], true, nil },
	} {
		if got, found, err := read(); err != nil || !found || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, %v, want %+v", name, got, found, err, want)
		}
	}

	// A night writes its own part only, whatever it was given of the other.
	next := standing("shop")
	next.Night, next.Verdict, next.Watch = "2026-03-30", audit.VerdictNotReady, audit.Watch{Rules: "another"}
	if err := saveStandings(t, s, []audit.Standing{next}); err != nil {
		t.Fatal(err)
	}
	next.Watch = full
	if got, _, err := s.Standing(t.Context(), next.App); err != nil || !reflect.DeepEqual(got, next) {
		t.Errorf("after the next night: got %+v, %v, want %+v", got, err, next)
	}

	// A look that goes on from another night, or at an app that is gone, is not saved.
	before := standings(t, s)
	if saveLook(t, s, l) {
		t.Error("a look was saved over the night after it")
	}
	gone := standing("other")
	gone.Gone = at
	if err := saveStandings(t, s, []audit.Standing{gone}); err != nil {
		t.Fatal(err)
	}
	if saveLook(t, s, audit.Look{Standing: standing("other"), At: at}) || saveLook(t, s, audit.Look{Standing: standing("nobody"), At: at}) {
		t.Error("a look was saved at an app that is gone, or never was")
	}
	if got := standings(t, s); !reflect.DeepEqual(got[1], before[1]) {
		t.Errorf("got %+v, want %+v", got[1], before[1])
	}
	sentinel := errors.New("changed its mind")
	l.Night, l.Watch = "2026-03-30", audit.Watch{}
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		saved, err := s.SaveLook(t.Context(), tx, l)
		if !saved {
			t.Error("a look was not saved")
		}
		return errors.Join(err, sentinel)
	})
	if !errors.Is(err, sentinel) {
		t.Errorf("got %v, want the caller's error", err)
	}
	if got := standings(t, s); !reflect.DeepEqual(got[1], before[1]) {
		t.Errorf("rolled back: got %+v, want %+v", got[1], before[1])
	}
}

// testDueLooks is about which apps are looked at, and which first.
func testDueLooks(t *testing.T, o store.Options) {
	s := open(t, o)
	far := noon.Add(48 * time.Hour)
	want := func(at time.Time, before time.Time, limit int, names ...string) {
		t.Helper()
		due, err := s.DueLooks(t.Context(), at, before, far, limit)
		var got []string
		for _, d := range due {
			got = append(got, d.Name)
		}
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("due at %v, or before %v, at most %d: got %q, %v, want %q", at, before, limit, got, err, names)
		}
	}
	wantPlan := func(want audit.LookPlan) {
		t.Helper()
		if got, err := s.LookPlan(t.Context()); err != nil || got != want {
			t.Errorf("got plan %+v, %v, want %+v", got, err, want)
		}
	}
	want(noon, noon, 0)
	wantPlan(audit.LookPlan{})

	read := nightAt(29)
	var all []audit.Standing
	for i, name := range []string{"d", "c", "b", "a"} { // read one after the other
		one := standing(name)
		one.ReadAt = read.Add(time.Duration(i) * time.Minute)
		all = append(all, one)
	}
	failing, gone, unread := standing("failing"), standing("gone"), standing("unread")
	failing.Verdict = audit.VerdictNotReady
	gone.Gone = read
	unread.Verdict = audit.VerdictUnknown
	unread.Marks = []audit.Mark{{Check: "preboot", Required: true, Outcome: audit.Unknown, Known: audit.Pass, KnownAt: read.Add(-24 * time.Hour)}}
	unread.ReadAt = read.Add(time.Hour)
	if err := saveStandings(t, s, append(all, failing, gone, unread)); err != nil {
		t.Fatal(err)
	}
	wantPlan(audit.LookPlan{Apps: 5, Oldest: read})
	want(noon, read.Add(-time.Millisecond), 0)
	want(noon, read.Add(time.Minute), 0, "d", "c")
	want(noon, read.Add(2*time.Hour), 0, "d", "c", "b", "a", "unread")
	want(noon, read.Add(2*time.Hour), 3, "d", "c", "b")
	ids, err := s.WatchedApps(t.Context())
	slices.Sort(ids)
	if err != nil || !slices.Equal(ids, []fleet.ID{"id-a", "id-b", "id-c", "id-d", "id-unread"}) {
		t.Errorf("got %q, %v watched", ids, err)
	}

	// Out of turn: first, when the time has come, and not before.
	if !saveLook(t, s, audit.Look{Standing: all[3], At: noon, Again: noon.Add(time.Minute)}) {
		t.Fatal("not saved")
	}
	wantPlan(audit.LookPlan{Apps: 5, Oldest: read, Again: noon.Add(time.Minute)})
	want(noon, read.Add(2*time.Hour), 0, "d", "c", "b", "unread")
	want(noon, noon, 0, "d", "c", "b", "unread")
	want(noon.Add(time.Minute), read.Add(2*time.Hour), 2, "a", "d")

	// What was looked at last comes last, and who is ready no more leaves.
	if !saveLook(t, s, audit.Look{Standing: all[0], At: noon}) {
		t.Fatal("not saved")
	}
	down := all[1]
	down.Watch = audit.Watch{Night: down.Night, ReadAt: noon}
	if !saveLook(t, s, audit.Look{Standing: down, At: noon}) {
		t.Fatal("not saved")
	}
	want(noon, noon, 0, "b", "unread", "d")

	// The night after it begins anew.
	for i := range all {
		all[i].Night, all[i].ReadAt = "2026-03-30", noon.Add(24*time.Hour)
	}
	if err := saveStandings(t, s, all); err != nil {
		t.Fatal(err)
	}
	want(noon, noon, 0, "unread")
	want(noon, noon.Add(24*time.Hour), 0, "unread", "a", "b", "c", "d")

	// So does what was looked at, or put off, by a clock that was set back since.
	far = noon.Add(24 * time.Hour)
	want(noon, noon, 0, "unread")
	far = far.Add(-time.Millisecond)
	want(noon, noon, 0, "unread", "a", "b", "c", "d")
	if !saveLook(t, s, audit.Look{Standing: all[2], At: read, Again: far.Add(time.Millisecond)}) {
		t.Fatal("not saved")
	}
	want(noon, noon, 1, "b")
}

func testWatching(t *testing.T, o store.Options) {
	s := open(t, o)
	if got, err := s.Watching(t.Context()); err != nil || !reflect.DeepEqual(got, audit.Watching{}) {
		t.Errorf("got %+v, %v, want none", got, err)
	}
	if _, err := s.Bulletin(t.Context(), "1"); !errors.Is(err, audit.ErrNoBulletin) {
		t.Errorf("got %v, want audit.ErrNoBulletin", err)
	}
	at := noon.Add(123 * time.Millisecond)
	drifted := audit.Drifted{
		Line:  audit.Line{App: shop, Name: "shop", Kind: audit.LineRegressed, Checks: []string{"preboot"}, Evidence: []string{"it's \"off\" \x00 ü"}, Increase: fleet.Known(fleet.Money(25_00)), ReadAt: at, After: at, Since: at},
		Owner: "U1", Channel: "C1", Found: at, Flips: []audit.Flip{{After: at, At: at, Checks: []string{"preboot"}}},
	}
	w := audit.Watching{Rest: at, Calls: 2.5, Looked: at, Tickets: at, Pending: []audit.Drifted{drifted}, Told: map[string]time.Time{"C1": at}, Bulletins: 1, Found: 7}
	b := audit.Bulletin{ID: "1", Channel: "C1", At: at, Zone: "Europe/Berlin", Every: time.Hour, Drifts: []audit.Drifted{drifted}}
	if err := saveWatching(t, s, w, b); err != nil {
		t.Fatal(err)
	}
	w.Version = 1
	if got, err := s.Watching(t.Context()); err != nil || !reflect.DeepEqual(got, w) {
		t.Errorf("got %+v, %v, want %+v", got, err, w)
	}
	if got, err := s.Bulletin(t.Context(), "1"); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("got %+v, %v, want %+v", got, err, b)
	}
	if got, want := jobsOf(t, s), []string{`drift:1 in "" at 22 12:00`}; len(got) != 1 || got[0][:11] != want[0][:11] {
		t.Errorf("got jobs %q, want %q", got, want)
	}

	// Until its message is there, nobody was told.
	unposted := func(since time.Time, want ...audit.Bulletin) {
		t.Helper()
		if got, err := s.Unposted(t.Context(), since); err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	unposted(time.Time{}, b)
	unposted(at)
	post := chat.Post{Ticket: chat.AboutDrift + "1", Target: "channel:C1", Channel: "C1"}
	for version, ts := range []string{"", "1774792800.000100"} { // it is tried, and then it is there
		post.TS, post.Version = ts, int64(version)
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.SavePost(t.Context(), tx, post) }); err != nil {
			t.Fatal(err)
		}
		if ts == "" {
			unposted(time.Time{}, b)
		} else {
			unposted(time.Time{})
		}
	}

	// Neither is kept without the other, and what somebody else has written stays.
	w.Bulletins, b.ID = 2, "2"
	for name, version := range map[string]int64{"of before": 0, "of later": 2} {
		stale := w
		stale.Version = version
		if err := saveWatching(t, s, stale, b); !errors.Is(err, audit.ErrWatchingChanged) {
			t.Errorf("%s: got %v, want audit.ErrWatchingChanged", name, err)
		}
	}
	b.ID = "1" // is taken
	if err := saveWatching(t, s, w, b); err == nil {
		t.Error("a bulletin was stored twice")
	}
	if got, err := s.Watching(t.Context()); err != nil || got.Bulletins != 1 || len(jobsOf(t, s)) != 1 {
		t.Errorf("got %+v, %v, want it as before", got, err)
	}

	// It is forgotten with the rest.
	if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.Prune(t.Context(), tx, at) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bulletin(t.Context(), "1"); err != nil {
		t.Errorf("got %v, want it kept", err)
	}
	if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.Prune(t.Context(), tx, at.Add(time.Millisecond)) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bulletin(t.Context(), "1"); !errors.Is(err, audit.ErrNoBulletin) {
		t.Errorf("got %v, want audit.ErrNoBulletin", err)
	}
}

// testWatchingRace has two replicas write at the same moment: of each version one does.
func testWatchingRace(t *testing.T, o store.Options) {
	replicas := []*store.Store{open(t, o), open(t, o)}
	for version := range int64(6) {
		var wrote atomic.Int64
		var wg sync.WaitGroup
		for _, s := range replicas {
			wg.Go(func() {
				switch err := saveWatching(t, s, audit.Watching{Version: version}); {
				case err == nil:
					wrote.Add(1)
				case !errors.Is(err, audit.ErrWatchingChanged):
					t.Errorf("version %d: got %v, want audit.ErrWatchingChanged", version, err)
				}
			})
		}
		wg.Wait()
		if got := wrote.Load(); got != 1 {
			t.Errorf("version %d was written %d times, want once", version+1, got)
		}
	}
}
