package storetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// shop is an app's UUID.
const shop = "01234567-89ab-4cde-8f01-23456789abcd"

func entry(ticket string) ledger.Entry {
	return ledger.Entry{
		At: time.Date(2026, 3, 29, 2, 30, 0, 123456789, time.UTC), Actor: "U1", Verb: ledger.Asked, App: shop, Name: "shop", Ticket: ticket,
		Detail: json.RawMessage(`{ "why": "ü & <b> \u0000 ' $1" }`),
	}
}

// appendLedger appends in a transaction of its own.
func appendLedger(t *testing.T, s *store.Store, key ledger.Key, entries ...ledger.Entry) (head ledger.Head, err error) {
	t.Helper()
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		head, err = s.AppendLedger(t.Context(), tx, key, entries...)
		return err
	})
	return head, err
}

// verdict verifies the whole ledger.
func verdict(t *testing.T, s *store.Store, want ledger.Verdict, keys []ledger.Key, known ...ledger.Head) ledger.Report {
	t.Helper()
	r, err := s.VerifyLedger(t.Context(), keys, known...)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Verdict(); got != want {
		t.Errorf("got %s, want %s", r, want)
	}
	return r
}

func testLedger(t *testing.T, o store.Options) {
	s := open(t, o)
	oldKey, newKey := ledger.NewKey("old"), ledger.NewKey("new")
	both := []ledger.Key{oldKey, newKey}
	if head, err := s.LedgerHead(t.Context()); err != nil || head != (ledger.Head{}) {
		t.Errorf("an empty ledger: got head %s, %v, want none", head, err)
	}
	verdict(t, s, ledger.Whole, nil)

	one, err := appendLedger(t, s, oldKey, entry("T-1"))
	if err != nil || one.Seq != 1 {
		t.Fatalf("got head %s, %v, want #1", one, err)
	}
	about := entry("")
	about.App, about.Name, about.Actor, about.Verb, about.Detail = "", "", ledger.Bot, ledger.PolicyLoaded, nil
	three, err := appendLedger(t, s, newKey, about, entry("T-2"))
	if err != nil || three.Seq != 3 {
		t.Fatalf("got head %s, %v, want #3", three, err)
	}
	if head, err := s.LedgerHead(t.Context()); err != nil || head != three {
		t.Errorf("got head %s, %v, want %s", head, err, three)
	}
	if head, err := appendLedger(t, s, newKey); err != nil || head != three {
		t.Errorf("append nothing: got head %s, %v, want %s", head, err, three)
	}

	// What is refused, or rolled back, leaves nothing.
	changed := errors.New("changed its mind")
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := s.AppendLedger(t.Context(), tx, newKey, entry("T-3")); err != nil {
			return err
		}
		return changed
	})
	if !errors.Is(err, changed) {
		t.Error(err)
	}
	bad := entry("T-3")
	bad.Verb = "approve"
	if _, err := appendLedger(t, s, newKey, entry("T-3"), bad); err == nil || !strings.Contains(err.Error(), "approve") {
		t.Errorf("an unknown verb: got %v, want an error that names it", err)
	}
	if _, err := appendLedger(t, s, ledger.Key{}, entry("T-3")); !errors.Is(err, store.ErrLedgerKey) {
		t.Errorf("no key after a key: got %v, want %v", err, store.ErrLedgerKey)
	}

	// What is kept is what was sealed, over a restart.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	r := verdict(t, s, ledger.Whole, both, one, ledger.Head{Seq: 3, Hash: three.Hash[:12]})
	if r.Entries != 3 || r.Head != three || r.Known != 2 {
		t.Errorf("got %+v, want 3 entries up to %s and 2 known heads", r, three)
	}
	verdict(t, s, ledger.CouldNotTell, both[:1])
	want := []ledger.Entry{oldKey.Seal(ledger.Head{}, entry("T-1"))}
	want = append(want, newKey.Seal(one, about))
	want = append(want, newKey.Seal(want[1].Head(), entry("T-2")))
	for from, want := range map[int64][]ledger.Entry{0: want, 1: want, 3: want[2:], 4: nil} {
		var got []ledger.Entry
		for e, err := range s.Ledger(t.Context(), from) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
			// The loop may use the store, also where it has one connection.
			if _, err := s.LedgerHead(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("from #%d: got %v, want %v", from, got, want)
		}
	}
	for range s.Ledger(t.Context(), 1) {
		break
	}
	for _, c := range []struct {
		app    string
		before int64
		limit  int
		want   []int64
	}{
		{"", 0, 10, []int64{3, 2, 1}},
		{"", 0, 2, []int64{3, 2}},
		{"", 2, 10, []int64{1}},
		{"", 1, 10, nil},
		{"", 0, 0, nil},
		{"", 0, -1, nil},
		{shop, 0, 10, []int64{3, 1}},
		{shop, 3, 10, []int64{1}},
		{shop, 0, 1, []int64{3}},
		{"another", 0, 10, nil},
		{"' OR 1=1 --", 0, 10, nil},
	} {
		all, err := s.LedgerOf(t.Context(), c.app, c.before, c.limit)
		var got []int64
		for _, e := range all {
			got = append(got, e.Seq)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("app %q before %d, %d at most: got %v, %v, want %v", c.app, c.before, c.limit, got, err, c.want)
		}
	}
	for _, c := range []struct {
		ticket string
		before int64
		limit  int
		want   []int64
	}{
		{"T-1", 0, 10, []int64{1}},
		{"T-2", 0, 10, []int64{3}},
		{"T-2", 3, 10, nil},
		{"T-2", 4, 10, []int64{3}},
		{"T-2", 0, 0, nil},
		{"T-2", 0, -1, nil},
		{"T-3", 0, 10, nil},
		{"", 0, 10, nil}, // what is about no ticket is about none
		{"' OR 1=1 --", 0, 10, nil},
	} {
		all, err := s.LedgerOfTicket(t.Context(), c.ticket, c.before, c.limit)
		var got []int64
		for _, e := range all {
			got = append(got, e.Seq)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("ticket %q before %d, %d at most: got %v, %v, want %v", c.ticket, c.before, c.limit, got, err, c.want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Ledger(ended, 1) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	if _, err := s.VerifyLedger(ended, both); !errors.Is(err, context.Canceled) {
		t.Errorf("verify: got %v, want context.Canceled", err)
	}
}

// testLedgerPages reads a ledger that takes several pages, exactly full ones among
// them, while another replica appends.
func testLedgerPages(t *testing.T, o store.Options) {
	s, other := open(t, o), open(t, o)
	key := ledger.NewKey("k")
	count := func() (n int64) {
		for e, err := range s.Ledger(t.Context(), 1) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; e.Seq != n {
				t.Fatalf("got #%d, want #%d", e.Seq, n)
			}
		}
		return n
	}
	for range 2 {
		if _, err := appendLedger(t, s, key, slices.Repeat([]ledger.Entry{entry("T-1")}, 500)...); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(); got != 1000 {
		t.Errorf("got %d entries, want 1000", got)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			if _, err := appendLedger(t, other, key, entry("T-2")); err != nil {
				t.Error(err)
			}
		}
	})
	for range 5 {
		if r := verdict(t, s, ledger.Whole, []ledger.Key{key}); r.Entries < 1000 {
			t.Errorf("got %d entries, want at least 1000", r.Entries)
		}
	}
	wg.Wait()
	if got := count(); got != 1020 {
		t.Errorf("got %d entries, want 1020", got)
	}
}

// testLedgerRace has two replicas append at once, some of it rolled back: the chain
// stays whole, and has every entry that was committed.
func testLedgerRace(t *testing.T, o store.Options) {
	const writers, each = 4, 10
	key := ledger.NewKey("k")
	replicas := []*store.Store{open(t, o), open(t, o)}
	undo := errors.New("undo")
	var wg sync.WaitGroup
	for i, s := range replicas {
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					err := s.Tx(t.Context(), func(tx *sql.Tx) error {
						ticket := fmt.Sprintf("T-%d-%d-%d", i, w, n)
						if _, err := s.AppendLedger(t.Context(), tx, key, entry(ticket), entry(ticket)); err != nil {
							return err
						}
						if n%5 == 4 {
							return undo
						}
						return nil
					})
					if (n%5 == 4) != errors.Is(err, undo) || err != nil && !errors.Is(err, undo) {
						t.Errorf("got %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	r := verdict(t, replicas[0], ledger.Whole, []ledger.Key{key})
	if want := int64(len(replicas) * writers * each * 2 * 4 / 5); r.Entries != want {
		t.Errorf("got %d entries, want %d", r.Entries, want)
	}
	seen := map[string]int{}
	for e, err := range replicas[1].Ledger(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Ticket]++
	}
	for ticket, n := range seen {
		if n != 2 || strings.HasSuffix(ticket, "-4") || strings.HasSuffix(ticket, "-9") {
			t.Errorf("%s has %d entries, want 2 of each that was committed", ticket, n)
		}
	}
}

// testLedgerGuard tries to change what was written, through the triggers and around
// them: what they let through, Verify names.
func testLedgerGuard(t *testing.T, o store.Options) {
	s := open(t, o)
	key := ledger.NewKey("k")
	for i := range 5 {
		if _, err := appendLedger(t, s, key, entry(fmt.Sprint("T-", i))); err != nil {
			t.Fatal(err)
		}
	}
	do := func(query string) error {
		return s.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), query)
			return err
		})
	}
	const copied = `INTO ledger (seq, at, actor, verb, app, name, ticket, detail, key_id, prev, hash)
		SELECT seq, at, 'U2', verb, app, name, ticket, detail, key_id, prev, hash FROM ledger WHERE seq = 3`
	refused := []string{
		`UPDATE ledger SET actor = 'U2' WHERE seq = 3`,
		`UPDATE ledger SET actor = 'U2'`,
		`DELETE FROM ledger WHERE seq = 5`,
		`DELETE FROM ledger`,
		`UPDATE ledger_head SET seq = 4`,
		`DELETE FROM ledger_head`,
		`INSERT INTO ledger_head (one, seq, hash, key_id) VALUES (2, 0, '', '')`,
		`INSERT ` + copied,
		`INSERT ` + copied + ` ON CONFLICT (seq) DO UPDATE SET actor = 'U2'`,
	}
	if s.Dialect() == store.Postgres {
		refused = append(refused, `TRUNCATE ledger`, `TRUNCATE ledger, ledger_head`)
	} else {
		refused = append(refused, `INSERT OR REPLACE `+copied, `REPLACE `+copied, `UPDATE OR REPLACE ledger SET seq = 3 WHERE seq = 4`,
			`REPLACE INTO ledger_head (one, seq, hash, key_id) VALUES (1, 0, '', '')`)
	}
	for _, query := range refused {
		if err := do(query); err == nil {
			t.Errorf("not refused: %s", query)
		}
	}
	verdict(t, s, ledger.Whole, []ledger.Key{key})

	unguard(t, s)
	if s.Dialect() == store.SQLite {
		if err := do(`UPDATE ledger SET at = 'never' WHERE seq = 3`); err != nil {
			t.Fatal(err)
		}
		if r, err := s.VerifyLedger(t.Context(), []ledger.Key{key}); err == nil || !strings.Contains(err.Error(), "entry #3") || r.Entries != 2 {
			t.Errorf("got %s, %v, want an error about entry #3 after 2 entries", r, err)
		}
		if err := do(fmt.Sprintf(`UPDATE ledger SET at = %d WHERE seq = 3`, entry("").At.UnixMilli())); err != nil {
			t.Fatal(err)
		}
		verdict(t, s, ledger.Whole, []ledger.Key{key})
	}
	head, err := s.LedgerHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query string
		want  int64 // the entry that is named
	}{
		{`INSERT INTO ledger (seq, at, actor, verb, app, name, ticket, detail, key_id, prev, hash)
			SELECT 6, at, actor, verb, app, name, ticket, detail, key_id, prev, hash FROM ledger WHERE seq = 5`, 6},
		{`DELETE FROM ledger WHERE seq = 5`, 5},
		{`UPDATE ledger SET actor = 'U2' WHERE seq = 4`, 4},
		{`UPDATE ledger SET at = at + 1 WHERE seq = 3`, 3},
		{`UPDATE ledger SET seq = -2 WHERE seq = 2`, -2},
		{`DELETE FROM ledger WHERE seq < 2`, 1},
	} {
		if err := do(c.query); err != nil {
			t.Fatal(err)
		}
		r := verdict(t, s, ledger.Broken, []ledger.Key{key}, head)
		if r.Fault == nil || r.Fault.Seq != c.want {
			t.Errorf("%s: got %s, want #%d to be named", c.query, r, c.want)
		}
	}
}

// unguard takes the triggers away, as the owner of the database can.
func unguard(t *testing.T, s *store.Store) {
	t.Helper()
	queries := []string{`DROP TRIGGER ledger_no_update`, `DROP TRIGGER ledger_no_delete`, `DROP TRIGGER ledger_head_no_return`}
	if s.Dialect() == store.Postgres {
		queries = []string{`DROP TRIGGER ledger_append_only ON ledger`, `DROP TRIGGER ledger_head_no_return ON ledger_head`}
	}
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		for _, query := range queries {
			if _, err := tx.ExecContext(t.Context(), query); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// testLedgerDoubt does to a ledger what whoever owns the database can, and asks up to which
// entry it proves nothing any more.
func testLedgerDoubt(t *testing.T, o store.Options) {
	s := open(t, o)
	key := ledger.NewKey("k")
	var told ledger.Head // as a digest told it in Slack, after #6
	for i := range 8 {
		head, err := appendLedger(t, s, key, entry(fmt.Sprint("T-", i)))
		if err != nil {
			t.Fatal(err)
		}
		if head.Seq == 6 {
			told = head
		}
	}
	unguard(t, s)
	do := func(queries ...string) {
		t.Helper()
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			for _, query := range queries {
				if _, err := tx.ExecContext(t.Context(), query); err != nil {
					return fmt.Errorf("%s: %w", query, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// written anew from #4 on, by somebody who has another key, or none
	anew := func(with ledger.Key) (queries []string) {
		var before ledger.Head
		for e, err := range s.Ledger(t.Context(), 1) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Seq >= 4 {
				e.Actor = "U2"
				e = with.Seal(before, e)
				queries = append(queries, fmt.Sprintf(`UPDATE ledger SET actor = '%s', key_id = '%s', prev = '%s', hash = '%s' WHERE seq = %d`, e.Actor, e.KeyID, e.Prev, e.Hash, e.Seq))
			}
			before = e.Head()
		}
		return append(queries, fmt.Sprintf(`UPDATE ledger_head SET hash = '%s', key_id = '%s'`, before.Hash, with.ID()))
	}
	do(`CREATE TABLE kept AS SELECT * FROM ledger`, `CREATE TABLE kept_head AS SELECT * FROM ledger_head`)
	for name, c := range map[string]struct {
		queries []string
		doubt   int64
		breaks  int
	}{
		"nothing":                                {nil, 0, 0},
		"an edited row":                          {[]string{`UPDATE ledger SET ticket = 'T-9' WHERE seq = 5`}, 5, 1},
		"a removed row":                          {[]string{`DELETE FROM ledger WHERE seq = 5`}, 4, 1},
		"two removed rows":                       {[]string{`DELETE FROM ledger WHERE seq = 3`, `DELETE FROM ledger WHERE seq = 6`}, 5, 2},
		"a removed tail":                         {[]string{`DELETE FROM ledger WHERE seq > 3`, `UPDATE ledger_head SET seq = 3, hash = (SELECT hash FROM ledger WHERE seq = 3)`}, 3, 1},
		"a tail that nobody told":                {[]string{`DELETE FROM ledger WHERE seq > 6`, `UPDATE ledger_head SET seq = 6, hash = (SELECT hash FROM ledger WHERE seq = 6)`}, 0, 0},
		"all of it removed":                      {[]string{`DELETE FROM ledger`, `UPDATE ledger_head SET seq = 0, hash = '', key_id = ''`}, 0, 1},
		"a re-computed chain":                    {anew(ledger.Key{}), 8, 6},
		"another key's chain":                    {anew(ledger.NewKey("theirs")), 8, 6},
		"an edited row under a key of their own": {[]string{`UPDATE ledger SET ticket = 'T-9', key_id = 'deadbeef' WHERE seq = 5`}, 5, 1},
	} {
		t.Run(name, func(t *testing.T) {
			do(c.queries...)
			r, err := s.VerifyLedger(t.Context(), []ledger.Key{key}, told)
			if err != nil || r.Doubt != c.doubt || r.Breaks != c.breaks {
				t.Errorf("got a doubt up to #%d and %d breaks, %v; want #%d and %d: %s", r.Doubt, r.Breaks, err, c.doubt, c.breaks, r)
			}
			do(`DELETE FROM ledger`, `INSERT INTO ledger SELECT * FROM kept`, `UPDATE ledger_head SET seq = k.seq, hash = k.hash, key_id = k.key_id FROM kept_head k`)
		})
	}
}

// The newest entry of a verb is found whatever came after it.
func testLedgerLast(t *testing.T, o store.Options) {
	s := open(t, o)
	if _, found, err := s.LastEntry(t.Context(), ledger.PolicyLoaded); err != nil || found {
		t.Errorf("an empty ledger: got found %v, %v, want none", found, err)
	}
	first, second, other := entry(""), entry(""), entry("T-1")
	first.Verb, second.Verb = ledger.PolicyLoaded, ledger.PolicyLoaded
	second.Actor = "U2"
	if _, err := appendLedger(t, s, ledger.Key{}, first, second, other); err != nil {
		t.Fatal(err)
	}
	got, found, err := s.LastEntry(t.Context(), ledger.PolicyLoaded)
	if err != nil || !found || got.Actor != "U2" || got.Seq != 2 {
		t.Errorf("got %+v, %v, %v, want entry #2 of U2", got, found, err)
	}
}
