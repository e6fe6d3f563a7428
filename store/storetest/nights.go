package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// nightAt is when the night of that day of March 2026 is due, in Berlin.
func nightAt(day int) time.Time { return time.Date(2026, 3, day, 2, 30, 0, 0, time.UTC) }

// night is the one of that day, as it begins.
func night(day int) audit.Night {
	return audit.Night{ID: nightAt(day).Format(time.DateOnly), Slot: nightAt(day), Post: nightAt(day).Add(5*time.Hour + 30*time.Minute), Next: nightAt(day + 1), State: audit.Scanning}
}

func scanOf(n audit.Night) audit.Work {
	return audit.Work{Kind: audit.WorkScan, Key: n.ID, Group: "scan", At: n.Slot}
}

// begin begins a night with its scan.
func begin(t *testing.T, s *store.Store, n audit.Night, want bool) {
	t.Helper()
	if made, err := s.BeginNight(t.Context(), n, scanOf(n)); err != nil || made != want {
		t.Errorf("begin %s: got %v, %v, want %v", n.ID, made, err, want)
	}
}

func saveNight(t *testing.T, s *store.Store, n audit.Night, work ...audit.Work) error {
	t.Helper()
	return s.Tx(t.Context(), func(tx *sql.Tx) error { return s.SaveNight(t.Context(), tx, n, work...) })
}

func wantNight(t *testing.T, s *store.Store, want audit.Night) {
	t.Helper()
	if got, err := s.Night(t.Context(), want.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// setTimes sets every time in what is pointed to, so that a field that is added later is
// in the tests too.
func setTimes(what any, at time.Time) {
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(at))
		case v.Kind() == reflect.Struct:
			for field, value := range v.Fields() {
				if field.IsExported() {
					walk(value)
				}
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		}
	}
	walk(reflect.ValueOf(what).Elem())
}

// wantNights checks which nights there are since a time.
func wantNights(t *testing.T, s *store.Store, since time.Time, limit int, want ...string) {
	t.Helper()
	nights, err := s.Nights(t.Context(), since, limit)
	var got []string
	for _, n := range nights {
		got = append(got, n.ID)
		if n.Digest != nil {
			t.Errorf("%s comes with its digest", n.ID)
		}
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("nights since %v, at most %d: got %v, %v, want %v", since, limit, got, err, want)
	}
}

// jobsOf are the ids and groups of all jobs.
func jobsOf(t *testing.T, s *store.Store) (all []string) {
	t.Helper()
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(t.Context(), `SELECT id, serial, run_at FROM jobs`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, group string
			var at int64
			if err := rows.Scan(&id, &group, &at); err != nil {
				return err
			}
			all = append(all, fmt.Sprintf("%s in %q at %s", id, group, time.UnixMilli(at).UTC().Format("02 15:04")))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func testNights(t *testing.T, o store.Options) {
	s := open(t, o)
	wantNights(t, s, time.Time{}, 0)
	if _, err := s.Night(t.Context(), "2026-03-29"); !errors.Is(err, audit.ErrNoNight) {
		t.Errorf("no night: got %v, want audit.ErrNoNight", err)
	}
	begin(t, s, night(27), true)
	begin(t, s, night(27), false)
	want := night(27)
	want.Version = 1
	wantNight(t, s, want)
	if got, want := jobsOf(t, s), []string{`scan:2026-03-27 in "scan" at 27 02:30`}; !slices.Equal(got, want) {
		t.Errorf("got jobs %q, want %q", got, want)
	}

	// A date is told of once: as a night, or as missed by one.
	late := night(30)
	late.Missed = []string{"2026-03-28", "2026-03-27"} // the 27th is a night
	begin(t, s, late, false)
	late.Missed = []string{"2026-03-29", "2026-03-28"}
	begin(t, s, late, true)
	begin(t, s, night(28), false)
	again := night(31)
	again.Missed = []string{"2026-03-29"}
	begin(t, s, again, false)
	begin(t, s, night(31), true)
	extra := night(30)
	extra.ID, extra.Slot = "2026-03-30#2", nightAt(30).Add(time.Hour)
	begin(t, s, extra, true)
	if got := len(jobsOf(t, s)); got != 4 {
		t.Errorf("got %d jobs, want one a night, 4", got)
	}
	wantNights(t, s, time.Time{}, 0, "2026-03-31", "2026-03-30#2", "2026-03-30", "2026-03-27")
	wantNights(t, s, nightAt(30), 0, "2026-03-31", "2026-03-30#2", "2026-03-30")
	wantNights(t, s, nightAt(30).Add(time.Millisecond), 0, "2026-03-31", "2026-03-30#2")
	wantNights(t, s, time.Time{}, 2, "2026-03-31", "2026-03-30#2")
	wantNights(t, s, nightAt(32), 5)

	for name, bad := range map[string]func(*audit.Night){
		"no id":    func(n *audit.Night) { n.ID = "" },
		"no time":  func(n *audit.Night) { n.Slot = time.Time{} },
		"no state": func(n *audit.Night) { n.State = "" },
	} {
		n := night(1)
		bad(&n)
		if made, err := s.BeginNight(t.Context(), n); err == nil || made {
			t.Errorf("%s: got %v, %v, want an error", name, made, err)
		}
	}
	// Where its work can't be stored, neither is the night, and its date stays free.
	if made, err := s.BeginNight(t.Context(), night(2), audit.Work{Kind: "a:b"}); err == nil || made {
		t.Errorf("bad work: got %v, %v, want an error", made, err)
	}
	begin(t, s, night(2), true)

	testSaveNight(t, s, late)
}

// testSaveNight goes on with a night that has been begun.
func testSaveNight(t *testing.T, s *store.Store, n audit.Night) {
	// Times are kept to the millisecond, whatever zone they came in.
	at := time.Date(2026, 3, 30, 4, 31, 2, 123456789, time.FixedZone("", 7200))
	full := n
	full.Version, full.State, full.Baseline = 1, audit.Scanned, true
	slot := full.Slot
	setTimes(&full, at)
	full.Slot = slot
	full.Coverage = audit.Coverage{Seen: 7, InScope: 5, Judged: 3, Out: map[string]int{"review": 2}, Unread: map[string]int{"two-factor": 2}, Gaps: []string{`teams: "x" <&> ü`}}
	full.Counts = audit.Counts{Ready: 1, NotReady: 1, Unknown: 2, NotApplicable: 1, Increase: 25_00, Unpriced: 1}
	full.Digest = &audit.Digest{
		Night: n.ID, Zone: "Europe/Berlin", Slot: n.Slot, Expected: 90 * time.Second, Calls: 11, Missed: n.Missed, Coverage: full.Coverage,
		Trend: []audit.Point{{Night: n.ID, Ready: 1, Partial: true}},
		Groups: []audit.Group{{Owner: "U1", Mention: true, Lines: []audit.Line{
			{App: shop, Name: "shop", Kind: audit.LineNew, Checks: []string{"preboot"}, Evidence: []string{"it's off \x00 ü"}, Increase: fleet.Known(fleet.Money(25_00)), ReadAt: n.Slot},
			{App: "other", Name: "other", Kind: audit.LineUnread, Increase: fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.Forbidden, Text: "no"}), ReadAt: n.Slot},
		}}},
		Changes: audit.Changes{New: 1},
	}
	digest := audit.Work{Kind: audit.WorkDigest, Key: n.ID, At: n.Post}

	// It is part of its transaction, work too.
	before := len(jobsOf(t, s))
	sentinel := errors.New("changed its mind")
	err := s.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(s.SaveNight(t.Context(), tx, full, digest), sentinel) })
	if !errors.Is(err, sentinel) || errors.Is(err, audit.ErrNightChanged) {
		t.Errorf("got %v, want the caller's error", err)
	}
	if got := len(jobsOf(t, s)); got != before {
		t.Errorf("rolled back: got %d jobs, want %d", got, before)
	}
	if err := saveNight(t, s, full, digest); err != nil {
		t.Fatal(err)
	}
	if got := len(jobsOf(t, s)); got != before+1 {
		t.Errorf("got %d jobs, want %d", got, before+1)
	}
	if err := saveNight(t, s, full, scanOf(night(9))); !errors.Is(err, audit.ErrNightChanged) {
		t.Errorf("version 1 again: got %v, want audit.ErrNightChanged", err)
	}
	if got := len(jobsOf(t, s)); got != before+1 {
		t.Errorf("changed meanwhile: got %d jobs, want %d", got, before+1)
	}
	want := full
	want.Version = 2
	setTimes(&want, at.UTC().Truncate(time.Millisecond))
	want.Slot = slot
	wantNight(t, s, want)

	// A night that is saved without its digest keeps the one that it has.
	want.State, want.Digest = audit.Told, nil
	if err := saveNight(t, s, want); err != nil {
		t.Fatal(err)
	}
	want.Version, want.Digest = 3, full.Digest
	wantNight(t, s, want)
	if err := saveNight(t, s, night(15)); !errors.Is(err, audit.ErrNightChanged) {
		t.Errorf("a night that is not there: got %v, want audit.ErrNightChanged", err)
	}
}

// testNightsRace has two replicas begin the same nights at the same moment, each as it
// sees things: one of the two is stored, and no date is told of twice.
func testNightsRace(t *testing.T, o store.Options) {
	const days = 20
	replicas := []*store.Store{open(t, o), open(t, o)}
	for day := 1; day <= days; day += 2 {
		// One comes a moment before the second slot, the others after it: theirs misses
		// the first.
		late := night(day + 1)
		late.Missed = []string{night(day).ID}
		var made atomic.Int64
		var wg sync.WaitGroup
		for i, s := range replicas {
			for _, n := range [][]audit.Night{{night(day), late}, {late, late}}[i] {
				wg.Go(func() {
					ok, err := s.BeginNight(t.Context(), n, scanOf(n))
					if err != nil {
						t.Errorf("begin %s: %v", n.ID, err)
					}
					if ok {
						made.Add(1)
					}
				})
			}
		}
		wg.Wait()
		if got := made.Load(); got != 1 {
			t.Errorf("day %d: %d nights were made, want 1", day, got)
		}
		if nights, err := replicas[0].Nights(t.Context(), nightAt(day), 0); err != nil || len(nights) != 1 {
			t.Errorf("day %d: got %d nights, %v, want 1", day, len(nights), err)
		}
	}
	if got := len(jobsOf(t, replicas[0])); got != days/2 {
		t.Errorf("got %d jobs, want %d", got, days/2)
	}

	// Two that write the same night: for each version, one does.
	n := night(31)
	begin(t, replicas[0], n, true)
	for n.Version = 1; n.Version < 5; n.Version++ {
		var wrote atomic.Int64
		var wg sync.WaitGroup
		for _, s := range replicas {
			for range 2 {
				wg.Go(func() {
					switch err := saveNight(t, s, n); {
					case err == nil:
						wrote.Add(1)
					case !errors.Is(err, audit.ErrNightChanged):
						t.Errorf("version %d: got %v, want audit.ErrNightChanged", n.Version, err)
					}
				})
			}
		}
		wg.Wait()
		if got := wrote.Load(); got != 1 {
			t.Errorf("version %d was written %d times, want 1", n.Version+1, got)
		}
	}
}

// testFirstLook has two replicas look for the first time at the same moment.
func testFirstLook(t *testing.T, o store.Options) {
	replicas := []*store.Store{open(t, o), open(t, o)}
	var looks [2]time.Time
	var wg sync.WaitGroup
	for i, s := range replicas {
		wg.Go(func() {
			var err error
			if looks[i], err = s.FirstLook(t.Context(), nightAt(1+i).Add(time.Millisecond)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if looks[0] != looks[1] || looks[0].Sub(nightAt(1))%(24*time.Hour) != time.Millisecond {
		t.Errorf("got %v, want the same twice", looks)
	}
	if got, err := replicas[0].FirstLook(t.Context(), nightAt(9)); err != nil || got != looks[0] {
		t.Errorf("later: got %v, %v, want %v", got, err, looks[0])
	}
}

// testMigrate takes a database from the schema without nights to the one with them: what
// is in it stays, and a second program finds it done.
func testMigrate(t *testing.T, o store.Options) {
	s := open(t, o)
	latest, err := s.SchemaVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	accepted := request("E1")
	if _, err := s.AcceptRequest(t.Context(), accepted); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, jobs.Spec{Kind: "apply", Key: "T-1", At: noon, Group: shop})
	if _, err := appendLedger(t, s, ledger.NewKey("k"), entry("T-1")); err != nil {
		t.Fatal(err)
	}
	err = s.Tx(t.Context(), func(tx *sql.Tx) error { // as migration 8 left it
		for _, query := range []string{
			`DROP TABLE bulletins`, `DROP TABLE watching`, `DROP TABLE turns`, `DROP TABLE standings`, `DROP TABLE first_look`, `DROP TABLE night_dates`, `DROP TABLE nights`,
			`DROP INDEX ledger_ticket`, `DROP TABLE waivers`, `DROP TABLE watches`,
			`DELETE FROM goose_db_version WHERE version_id > 8`,
		} {
			if _, err := tx.ExecContext(t.Context(), query); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.SchemaVersion(t.Context()); err != nil || v != 8 {
		t.Fatalf("got schema version %d, %v, want 8", v, err)
	}
	before := jobsOf(t, s)
	for range 2 {
		s := open(t, o)
		if v, err := s.SchemaVersion(t.Context()); err != nil || v != latest || v < 9 {
			t.Errorf("got schema version %d, %v, want %d", v, err, latest)
		}
		if got, err := s.Request(t.Context(), "E1"); err != nil || !reflect.DeepEqual(got, accepted) {
			t.Errorf("got %+v, %v, want %+v", got, err, accepted)
		}
		if got := jobsOf(t, s); !slices.Equal(got, before) {
			t.Errorf("got jobs %q, want %q", got, before)
		}
		if head, err := s.LedgerHead(t.Context()); err != nil || head.Seq != 1 {
			t.Errorf("got ledger head %s, %v, want #1", head, err)
		}
	}
	// The program of yesterday, still open, goes on; and that of today has its nights.
	if first, err := s.RecordEnvelope(t.Context(), envelope("old")); err != nil || !first {
		t.Errorf("got %v, %v, want true", first, err)
	}
	begin(t, s, night(1), true)
}
