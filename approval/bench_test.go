package approval_test

import (
	"cmp"
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

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/store"
	"example.com/zdd/store/storetest"
)

// bench is a desk on a real database, with everything around it in the test's hands.
// The zero people are active members in no group.
type bench struct {
	*approval.Desk
	t      *testing.T
	store  *store.Store
	key    ledger.Key
	origin int

	mu       sync.Mutex
	now      time.Time
	policy   policy.Policy
	app      fleet.App
	appErr   error
	town     map[fleet.ID]fleet.App // apps besides app, by their id
	townErr  map[fleet.ID]error
	reads    int
	kinds    map[string]string   // user: what else they are
	groups   map[string][]string // group: users
	noKinds  error
	noGroups error
	self     fleet.ID
	noSelf   error
	woken    int
	onRead   func() // happens while the app is read
}

// everyday is a policy in which one asks, and one, or one of a group, approves.
const everyday = `
people: { operators: [UASK, UASK2, SOPS], approvers: [UYES, UYES2, SFIN] }
approval: { quorum: [{ above: 60, approvals: 2 }] }
`

func newBench(t *testing.T, yaml string) *bench {
	t.Helper()
	b := &bench{
		t: t, key: ledger.NewKey("k"), now: fleettest.ReadAt(),
		kinds: map[string]string{}, groups: map[string][]string{"SFIN": {"UFIN"}, "SOPS": {"UOPS", "UASK"}},
	}
	b.setPolicy(yaml)
	b.setApp("standard-1x web=1 affinity")
	var err error
	b.store, err = store.Open(t.Context(), store.Options{Path: storetest.SQLite(t, ramdir.New(t)), LedgerKey: b.key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r, err := b.store.VerifyLedger(context.Background(), []ledger.Key{b.key})
		if err != nil || r.Verdict() != ledger.Whole && r.Entries > 0 {
			t.Errorf("the ledger is %s, %v", r, err)
		}
		if err := b.store.Close(); err != nil {
			t.Error(err)
		}
	})
	b.Desk = b.desk("")
	return b
}

func (b *bench) desk(readOnly string) *approval.Desk {
	return approval.NewDesk(approval.DeskConfig{
		Store: b.store, Apps: b, People: b, Key: b.key, ReadOnly: readOnly,
		Policy: func() policy.Policy { defer b.lock()(); return b.policy },
		Now:    func() time.Time { defer b.lock()(); return b.now },
		Self:   func(context.Context) (fleet.ID, error) { defer b.lock()(); return b.self, b.noSelf },
		Wake:   func() { defer b.lock()(); b.woken++ },
	})
}

func (b *bench) lock() (unlock func()) { b.mu.Lock(); return b.mu.Unlock }

func (b *bench) setPolicy(yaml string) {
	b.t.Helper()
	p, err := policy.Parse("zdd.yml", []byte(yaml))
	if err != nil {
		b.t.Fatal(err)
	}
	defer b.lock()()
	b.policy = p
}

func (b *bench) setApp(line string) {
	defer b.lock()()
	b.app = fleettest.App(line)
}

func (b *bench) after(d time.Duration) {
	defer b.lock()()
	b.now = b.now.Add(d)
}

func (b *bench) ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	if b.onRead != nil {
		b.onRead()
	}
	defer b.lock()()
	b.reads++
	if id, named := ref.Identity(); named {
		if app, ok := b.town[fleet.ID(id)]; ok {
			return app, cmp.Or(b.townErr[fleet.ID(id)], b.appErr, ctx.Err())
		}
	}
	return b.app, cmp.Or(b.appErr, ctx.Err())
}

func (b *bench) Kind(ctx context.Context, user, team string) (bool, string, error) {
	defer b.lock()()
	if team != "TUS" {
		return false, "of another workspace", b.noKinds
	}
	why := b.kinds[user]
	return why == "", why, cmp.Or(b.noKinds, ctx.Err())
}

func (b *bench) InGroup(ctx context.Context, group, user string) (bool, error) {
	defer b.lock()()
	if b.noGroups != nil {
		return false, b.noGroups
	}
	return slices.Contains(b.groups[group], user), ctx.Err()
}

func person(id string) approval.Person { return approval.Person{ID: id, Team: "TUS"} }

// want is a plan.Wish as it is typed: enable, disable, web=3, preboot=off, affinity=on.
func wish(text string) plan.Wish {
	verb, value, _ := strings.Cut(text, "=")
	switch verb {
	case "web":
		n := 0
		fmt.Sscan(value, &n)
		return plan.Wish{Verb: plan.ToScale, Web: n}
	case "enable":
		return plan.Wish{Verb: plan.ToEnable, Size: value}
	}
	return plan.Wish{Verb: plan.Verb(verb), On: value == "on"}
}

func (b *bench) askFor(text, user string) approval.AskFor {
	app, err := b.ReadApp(b.t.Context(), fleet.Ref{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.origin++
	w := wish(text)
	return approval.AskFor{
		Wish: w, App: app, Plan: plan.For(app, b.policy.For(app), w, b.now), By: person(user), Channel: "C0", Origin: fmt.Sprint("origin-", b.origin),
	}
}

// ask makes a ticket, or ends the test.
func (b *bench) ask(text, user string) approval.Ticket {
	b.t.Helper()
	t, made, err := b.Ask(b.t.Context(), b.askFor(text, user))
	if err != nil || !made {
		b.t.Fatalf("ask %s: %v, made %v: %s", text, err, made, t.ID)
	}
	return t
}

func (b *bench) approve(id, user string) {
	b.t.Helper()
	if _, _, err := b.Approve(b.t.Context(), id, person(user)); err != nil {
		b.t.Fatalf("%s approves %s: %v", user, id, err)
	}
}

// run has a rollout begin.
func (b *bench) run(id string) {
	b.t.Helper()
	_, err := b.store.ChangeTicket(b.t.Context(), id, func(t *approval.Ticket) (approval.Change, error) {
		t.State, t.Progress = approval.Running, make([]approval.Progress, len(t.Plan.Steps))
		return approval.Change{}, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// end has a rollout carry the ticket out as far as its first n steps.
func (b *bench) end(id string, state approval.State, n int) {
	b.t.Helper()
	for _, next := range []approval.State{approval.Running, state} {
		_, err := b.store.ChangeTicket(b.t.Context(), id, func(t *approval.Ticket) (approval.Change, error) {
			t.State, t.Progress = next, make([]approval.Progress, len(t.Plan.Steps))
			for i := range n {
				t.Progress[i] = approval.Progress{Intended: b.now, Done: b.now}
			}
			return approval.Change{}, nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) ticket(id string) approval.Ticket {
	b.t.Helper()
	t, err := b.store.Ticket(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func (b *bench) entries() (all []ledger.Entry) {
	b.t.Helper()
	for e, err := range b.store.Ledger(b.t.Context(), 1) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// verbs is what the ledger tells, as "asked UASK, approved UYES".
func (b *bench) verbs() string {
	b.t.Helper()
	var out []string
	for _, e := range b.entries() {
		out = append(out, e.Verb+" "+e.Actor)
	}
	return strings.Join(out, ", ")
}

// last is the newest entry's detail.
func (b *bench) last() map[string]any {
	b.t.Helper()
	all := b.entries()
	var detail map[string]any
	if err := json.Unmarshal(all[len(all)-1].Detail, &detail); err != nil {
		b.t.Fatal(err)
	}
	return detail
}

// work lists the jobs of a kind.
func (b *bench) work(kind string) (keys []string) {
	b.t.Helper()
	err := b.store.Tx(b.t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(b.t.Context(), `SELECT id FROM jobs WHERE kind = $1 ORDER BY id`, kind)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			keys = append(keys, strings.TrimPrefix(id, kind+":"))
		}
		return rows.Err()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return keys
}

// wantNo checks that err is a No which says what is wanted, in the text or the paste.
func wantNo(t *testing.T, err error, want string) {
	t.Helper()
	refused, ok := errors.AsType[*approval.No](err)
	switch {
	case !ok:
		t.Errorf("got %v, want a No with %q", err, want)
	case !strings.Contains(refused.Text+"\n"+refused.Paste, want):
		t.Errorf("got %q and paste %q, want %q", refused.Text, refused.Paste, want)
	case strings.Count(refused.Text, "`")%2 != 0 || !strings.HasSuffix(strings.TrimRight(refused.Text, ":"), ".") && refused.Paste == "":
		t.Errorf("got %q, which is no sentence", refused.Text)
	}
	if ok && refused.Paste != "" {
		if _, err := policy.Parse("zdd.yml", []byte(refused.Paste)); err != nil {
			t.Errorf("what is to be pasted is no policy: %v\n%s", err, refused.Paste)
		}
	}
}

func wantVerbs(t *testing.T, b *bench, want string) {
	t.Helper()
	if got := b.verbs(); got != want {
		t.Errorf("the ledger tells %s, want %s", got, want)
	}
}
