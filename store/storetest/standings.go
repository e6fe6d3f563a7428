package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/fleet"
	"example.com/zdd/store"
)

// standing is of an app with that name, whose id is made of it.
func standing(name string) audit.Standing {
	return audit.Standing{App: fleet.ID("id-" + name), Name: name, Verdict: audit.VerdictReady, ReadAt: nightAt(29), Night: "2026-03-29", Increase: fleet.Known(fleet.Money(0))}
}

func turn(name, check string, day int) audit.Turn {
	return audit.Turn{App: fleet.ID("id-" + name), Name: name, Check: check, From: audit.Pass, To: audit.Fail, Required: true, Evidence: "it's \"off\" \x00 ü",
		After: nightAt(day - 1), Before: nightAt(day), Night: nightAt(day).Format(time.DateOnly)}
}

func saveStandings(t *testing.T, s *store.Store, standings []audit.Standing, turns ...audit.Turn) error {
	t.Helper()
	return s.Tx(t.Context(), func(tx *sql.Tx) error { return s.SaveStandings(t.Context(), tx, standings, turns) })
}

// standings are all that stand.
func standings(t *testing.T, s *store.Store) (all []audit.Standing) {
	t.Helper()
	for standing, err := range s.Standings(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, standing)
	}
	return all
}

func wantStandings(t *testing.T, s *store.Store, want ...audit.Standing) {
	t.Helper()
	if got := standings(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func testStandings(t *testing.T, o store.Options) {
	s := open(t, o)
	wantStandings(t, s)
	if _, found, err := s.Standing(t.Context(), shop); err != nil || found {
		t.Errorf("got %v, %v, want none", found, err)
	}

	at := time.Date(2026, 3, 30, 4, 31, 2, 123456789, time.FixedZone("", 7200))
	full := audit.Standing{
		App: shop, Name: "shop", Team: "acme", Stage: "production", Owner: "U1", Channel: "C1", Verdict: audit.VerdictNotReady, Size: "standard-1x",
		Yours: "Raise the autoscaler's minimum.", Increase: fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.Forbidden, Text: "no"}),
		Unread: fleet.Reason{Kind: fleet.RateLimited, Text: "later"}, Night: "2026-03-30", Failing: true,
		News: audit.News{Night: "2026-03-30", Kind: audit.LineStill, Checks: []string{"preboot"}, Days: 7, Mention: true},
		Marks: []audit.Mark{
			{Check: "preboot", Outcome: audit.Unknown, Required: true, Evidence: "\"<!channel>\" \x00 ü '; DROP TABLE standings; --", Known: audit.Fail, Passed: true, Told: "U1"},
			{Check: "web-dynos", Outcome: audit.Pass},
		},
	}
	setTimes(&full, at)
	full.Watch = audit.Watch{} // see testLooks
	marks := slices.Clone(full.Marks)
	// A hyphen comes before digits and letters, on both.
	others := []audit.Standing{standing("shop2"), standing("shop-a"), standing("shop0")}
	if err := saveStandings(t, s, append(others, full)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(full.Marks, marks) {
		t.Error("saving a standing wrote into it")
	}
	want := full
	setTimes(&want, at.UTC().Truncate(time.Millisecond))
	want.Watch = audit.Watch{}
	wantStandings(t, s, want, others[1], others[2], others[0])
	if got, found, err := s.Standing(t.Context(), shop); err != nil || !found || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, %v, want %+v", got, found, err, want)
	}

	// By id: an app that was renamed is the same one, and its place is another.
	want.Name, want.Gone, want.Marks = "zebra", time.Time{}, nil
	if err := saveStandings(t, s, []audit.Standing{want}); err != nil {
		t.Fatal(err)
	}
	wantStandings(t, s, others[1], others[2], others[0], want)

	// Who ranges over them may use the store, and may stop.
	var names []string
	for standing, err := range s.Standings(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, standing.Name)
		standing.Name = "a" + standing.Name
		if err := saveStandings(t, s, []audit.Standing{standing}); err != nil {
			t.Fatal(err)
		}
		if len(names) == 3 {
			break
		}
	}
	if want := []string{"shop-a", "shop0", "shop2"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}

	// What is refused or rolled back leaves nothing.
	before := standings(t, s)
	twice, nameless, nightless := standing("twice"), standing("nameless"), standing("nightless")
	nameless.App, nightless.Night = "", ""
	for name, bad := range map[string][]audit.Standing{"twice": {twice, twice}, "no id": {nameless}, "no night": {nightless}} {
		if err := saveStandings(t, s, append([]audit.Standing{standing("other")}, bad...)); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	sentinel := errors.New("changed its mind")
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		return errors.Join(s.SaveStandings(t.Context(), tx, []audit.Standing{standing("other")}, []audit.Turn{turn("other", "preboot", 3)}), sentinel)
	})
	if !errors.Is(err, sentinel) {
		t.Errorf("got %v, want the caller's error", err)
	}
	wantStandings(t, s, before...)
	wantTurns(t, s, "other", 0)
	if err := saveStandings(t, s, nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

// testStandingsMany writes and reads more than go into one statement.
func testStandingsMany(t *testing.T, o store.Options) {
	const apps = 1234
	s := open(t, o)
	var want []audit.Standing
	var turns []audit.Turn
	for i := range apps {
		name := fmt.Sprintf("app-%04d", i)
		want = append(want, standing(name))
		turns = append(turns, turn(name, "preboot", 3), turn(name, "web-dynos", 3))
	}
	for _, evidence := range []string{"first", "second"} {
		for i := range turns {
			turns[i].Evidence = evidence
		}
		for i := range want {
			want[i].Yours = evidence
		}
		if err := saveStandings(t, s, want, turns...); err != nil {
			t.Fatal(err)
		}
		wantStandings(t, s, want...)
		wantTurns(t, s, "app-1233", 0, turns[2*apps-2:]...)
	}
}

func wantTurns(t *testing.T, s *store.Store, name string, limit int, want ...audit.Turn) {
	t.Helper()
	if got, err := s.Turns(t.Context(), fleet.ID("id-"+name), limit); err != nil || !slices.Equal(got, want) {
		t.Errorf("turns of %s, at most %d: got %+v, %v, want %+v", name, limit, got, err, want)
	}
}

func testTurns(t *testing.T, o store.Options) {
	s := open(t, o)
	wantTurns(t, s, "shop", 0)
	// Of one night, they stay in the order in which they were stored.
	one, two, three, other := turn("shop", "web-dynos", 3), turn("shop", "preboot", 3), turn("shop", "preboot", 4), turn("other", "preboot", 3)
	if err := saveStandings(t, s, nil, one, two, other); err != nil {
		t.Fatal(err)
	}
	three.After, three.From = time.Time{}, ""
	late := three
	late.Before = three.Before.Add(999 * time.Microsecond).In(time.FixedZone("", 7200)) // kept to the millisecond
	if err := saveStandings(t, s, nil, late); err != nil {
		t.Fatal(err)
	}
	wantTurns(t, s, "shop", 0, three, one, two)
	wantTurns(t, s, "shop", 2, three, one)
	wantTurns(t, s, "other", 9, other)

	two.Evidence = "said again"
	if err := saveStandings(t, s, nil, one, two); err != nil {
		t.Fatal(err)
	}
	wantTurns(t, s, "shop", 0, three, one, two)
	for name, bad := range map[string]func(*audit.Turn){
		"no app":   func(t *audit.Turn) { t.App = "" },
		"no check": func(t *audit.Turn) { t.Check = "" },
		"no time":  func(t *audit.Turn) { t.Before = time.Time{} },
		"twice":    func(t *audit.Turn) { *t = one },
	} {
		of := turn("shop", "jvm-warmup", 5)
		bad(&of)
		if err := saveStandings(t, s, nil, one, of); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	wantTurns(t, s, "shop", 0, three, one, two)
}

func testPrune(t *testing.T, o store.Options) {
	s := open(t, o)
	prune := func(before time.Time) {
		t.Helper()
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.Prune(t.Context(), tx, before) }); err != nil {
			t.Fatal(err)
		}
	}
	prune(nightAt(1)) // nothing there
	late := night(4)
	late.Missed = []string{night(3).ID}
	for _, n := range []audit.Night{night(2), late, night(5)} {
		begin(t, s, n, true)
	}
	here, gone, left := standing("here"), standing("gone"), standing("left")
	here.ReadAt, gone.Gone, left.Gone = nightAt(1), nightAt(4), nightAt(5)
	if err := saveStandings(t, s, []audit.Standing{here, gone, left}, turn("gone", "preboot", 4), turn("here", "preboot", 4), turn("here", "preboot", 5)); err != nil {
		t.Fatal(err)
	}
	post := func(about, target, ts string) string {
		t.Helper()
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			return s.SavePost(t.Context(), tx, chat.Post{Ticket: about, Target: target, Channel: "C0OPS", TS: ts})
		}); err != nil {
			t.Fatal(err)
		}
		return about
	}
	at := func(i int) string { return fmt.Sprintf("%d.000100", nightAt(i).Unix()) }
	kept := []string{
		post(chat.AboutDigest+night(5).ID, "channel/C0OPS", at(5)), post(chat.AboutStale+night(5).ID, "channel/C0OPS", at(6)), post("digest:lost", "notice/C0OPS", at(1)),
		post("T-1", "channel/C0OPS", at(1)), post(chat.AboutReport+"U1", "run", ""), post(chat.AboutReport+"U1/2", "direct/U1", at(5)), post(chat.AboutReport+"U1/3", "direct/U1", ""),
	}
	forgotten := []string{
		post(chat.AboutDigest+late.ID, "channel/C0OPS", at(9)), post(chat.AboutDigest+night(2).ID, "channel/C0OPS", ""), post(chat.AboutStale+night(2).ID, "channel/C0OPS", at(3)),
		post(chat.AboutReport+"U1/1", "direct/U1", at(4)),
	}
	post(forgotten[0], "channel/C0OPS/csv", "F0123")
	post(forgotten[3], "direct/U1/csv", "F0123")
	first, err := s.FirstLook(t.Context(), nightAt(1))
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobsOf(t, s)

	sentinel := errors.New("changed its mind")
	if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(s.Prune(t.Context(), tx, nightAt(9)), sentinel) }); !errors.Is(err, sentinel) {
		t.Errorf("got %v, want the caller's error", err)
	}
	prune(nightAt(2)) // all of it is from then or later
	wantNights(t, s, time.Time{}, 0, night(5).ID, late.ID, night(2).ID)
	wantStandings(t, s, gone, here, left)
	wantPosts(t, s, true, slices.Concat(kept, forgotten)...)

	prune(nightAt(5))
	wantPosts(t, s, true, kept...)
	wantPosts(t, s, false, forgotten...)
	wantNights(t, s, time.Time{}, 0, night(5).ID)
	wantStandings(t, s, here, left)
	wantTurns(t, s, "gone", 0)
	wantTurns(t, s, "here", 0, turn("here", "preboot", 5))
	if got, err := s.FirstLook(t.Context(), nightAt(9)); err != nil || got != first {
		t.Errorf("first look: got %v, %v, want %v", got, err, first)
	}
	if got := jobsOf(t, s); !slices.Equal(got, jobs) {
		t.Errorf("got jobs %q, want %q", got, jobs)
	}
	// What is forgotten has taken its dates with it.
	begin(t, s, night(3), true)
	begin(t, s, night(5), false)
}

// wantPosts wants records about each of those, or about none of them.
func wantPosts(t *testing.T, s *store.Store, there bool, about ...string) {
	t.Helper()
	for _, a := range about {
		if got, err := s.Posts(t.Context(), a); err != nil || (len(got) > 0) != there {
			t.Errorf("records about %s: got %+v, %v, want any: %v", a, got, err, there)
		}
	}
}
