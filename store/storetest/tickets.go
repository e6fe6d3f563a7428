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
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// ticketAt is when tickets are made.
func ticketAt() time.Time { return time.Date(2026, 3, 29, 2, 30, 0, 5e6, time.UTC) }

// pending is a ticket that waits for its decision.
func pending(origin string) approval.Ticket {
	t := approval.Ticket{
		State: approval.Pending, Requester: "U1", Origin: origin, CreatedAt: ticketAt(), ExpiresAt: ticketAt().Add(24 * time.Hour),
		Why: []string{`it costs "$25.00" <more> & ü`},
	}
	t.Plan.App, t.Plan.Name, t.Plan.Hash, t.Wish.Verb = shop, "shop", "0123", "enable"
	return t
}

func told(t approval.Ticket, verb string) ledger.Entry {
	e := entry(t.ID)
	e.Verb, e.At = verb, ticketAt()
	return e
}

func asked(t approval.Ticket) approval.Change {
	return approval.Change{
		Entries: []ledger.Entry{told(t, ledger.Asked)},
		Work:    []approval.Work{{Kind: approval.WorkExpire, Key: t.ID, At: t.ExpiresAt}},
	}
}

// kept is what the database holds besides the tickets.
func kept(t *testing.T, s *store.Store) (entries, jobs int) {
	t.Helper()
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM ledger), (SELECT count(*) FROM jobs)`).Scan(&entries, &jobs)
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries, jobs
}

func wantKept(t *testing.T, s *store.Store, entries, jobs int) {
	t.Helper()
	if e, j := kept(t, s); e != entries || j != jobs {
		t.Errorf("got %d entries and %d jobs, want %d and %d", e, j, entries, jobs)
	}
}

func testTickets(t *testing.T, o store.Options) {
	o.LedgerKey = ledger.NewKey("k")
	s := open(t, o)
	create := func(of approval.Ticket) (approval.Ticket, bool) {
		t.Helper()
		got, made, err := s.CreateTicket(t.Context(), of, asked)
		if err != nil {
			t.Fatal(err)
		}
		return got, made
	}
	one, made := create(pending("a"))
	if one.ID != "T-1" || one.Rev != 1 || !made {
		t.Errorf("got %s rev %d, %v, want T-1 rev 1, made", one.ID, one.Rev, made)
	}
	wantKept(t, s, 1, 2)
	other := pending("a")
	other.Requester = "U2"
	if again, made := create(other); made || again.ID != "T-1" || again.Requester != "U1" {
		t.Errorf("the same origin: got %s by %s, %v, want T-1 by U1", again.ID, again.Requester, made)
	}
	wantKept(t, s, 1, 2)
	other = pending("b")
	other.Plan.App, other.Follows, other.CreatedAt = "another", "T-1", ticketAt().Add(time.Hour)
	if two, made := create(other); two.ID != "T-2" || !made {
		t.Errorf("got %s, %v, want T-2, made", two.ID, made)
	}
	for name, bad := range map[string]func(*approval.Ticket){
		"no origin": func(t *approval.Ticket) { t.Origin = "" },
		"no time":   func(t *approval.Ticket) { t.CreatedAt = time.Time{} },
		"no state":  func(t *approval.Ticket) { t.State = "" },
	} {
		of := pending("c")
		bad(&of)
		if _, _, err := s.CreateTicket(t.Context(), of, asked); err == nil {
			t.Errorf("%s: stored", name)
		}
	}

	// A change is stored with its entries and its work, and told of.
	decided := ticketAt().Add(time.Minute)
	got, err := s.ChangeTicket(t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
		t.State, t.DecidedAt = approval.Approved, decided
		return approval.Change{
			Entries: []ledger.Entry{told(*t, ledger.Approved)},
			Work:    []approval.Work{{Kind: approval.WorkApply, Key: t.ID, Group: shop, At: decided}},
		}, nil
	})
	if err != nil || got.State != approval.Approved || got.Rev != 2 {
		t.Errorf("got %s rev %d, %v, want approved rev 2", got.State, got.Rev, err)
	}
	wantKept(t, s, 3, 6)
	for _, id := range []string{"apply:T-1", "expire:T-1", "tell:T-1:1", "tell:T-1:2", "tell:T-2:1"} {
		var group string
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRowContext(t.Context(), `SELECT serial FROM jobs WHERE id = $1`, id).Scan(&group)
		})
		want := map[string]string{"apply:T-1": shop, "tell:T-1:1": "tell:T-1", "tell:T-1:2": "tell:T-1", "tell:T-2:1": "tell:T-2"}[id]
		if err != nil || group != want {
			t.Errorf("job %s: got group %q, %v, want %q", id, group, err, want)
		}
	}

	// What change refuses, and what may not be, leaves no trace.
	mind := errors.New("changed its mind")
	for name, c := range map[string]struct {
		id     string
		change func(*approval.Ticket) (approval.Change, error)
		want   error
	}{
		"an error": {"T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.State = approval.Cancelled
			return asked(*t), mind
		}, mind},
		"a state that can't follow": {"T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.State = approval.Denied
			return asked(*t), nil
		}, nil},
		"another requester": {"T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.Requester = "U2"
			return asked(*t), nil
		}, nil},
		"a bad entry": {"T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.State = approval.Cancelled
			return approval.Change{Entries: []ledger.Entry{{Verb: "x"}}}, nil
		}, nil},
		"bad work": {"T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.State = approval.Cancelled
			return approval.Change{Entries: asked(*t).Entries, Work: []approval.Work{{Kind: "apply"}}}, nil
		}, nil},
		"no ticket":    {"T-3", nil, approval.ErrNoTicket},
		"another name": {"T-01", nil, approval.ErrNoTicket},
		"no name":      {"' OR 1=1 --", nil, approval.ErrNoTicket},
	} {
		if _, err := s.ChangeTicket(t.Context(), c.id, c.change); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want an error, %v", name, err, c.want)
		}
	}
	wantKept(t, s, 3, 6)
	if now, err := s.Ticket(t.Context(), "T-1"); err != nil || fmt.Sprint(now) != fmt.Sprint(got) {
		t.Errorf("got %v, %v, want %v", now, err, got)
	}

	// A ticket that stays as it is keeps its Rev; what there is to tell is told.
	same, err := s.ChangeTicket(t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
		return approval.Change{Entries: []ledger.Entry{told(*t, ledger.Refused)}}, nil
	})
	if err != nil || same.Rev != 2 {
		t.Errorf("got rev %d, %v, want 2", same.Rev, err)
	}
	wantKept(t, s, 4, 6)
	verdict(t, s, ledger.Whole, []ledger.Key{o.LedgerKey})

	// It outlives the program, as it was.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	now, err := s.Ticket(t.Context(), "T-1")
	a, _ := json.Marshal(now)
	b, _ := json.Marshal(got)
	if err != nil || string(a) != string(b) {
		t.Errorf("got %s, %v, want %s", a, err, b)
	}
	if _, err := s.Ticket(t.Context(), "T-9"); !errors.Is(err, approval.ErrNoTicket) {
		t.Errorf("got %v, want ErrNoTicket", err)
	}
	for _, c := range []struct {
		name string
		f    approval.Filter
		want []string
	}{
		{"all", approval.Filter{}, []string{"T-2", "T-1"}},
		{"one", approval.Filter{Limit: 1}, []string{"T-2"}},
		{"no limit", approval.Filter{Limit: -1}, []string{"T-2", "T-1"}},
		{"pending", approval.Filter{States: []approval.State{approval.Pending}}, []string{"T-2"}},
		{"two states", approval.Filter{States: []approval.State{approval.Approved, approval.Pending}}, []string{"T-2", "T-1"}},
		{"denied", approval.Filter{States: []approval.State{approval.Denied}}, nil},
		{"app", approval.Filter{App: shop}, []string{"T-1"}},
		{"origin", approval.Filter{Origin: "b"}, []string{"T-2"}},
		{"follows", approval.Filter{Follows: "T-1"}, []string{"T-2"}},
		{"since", approval.Filter{Since: ticketAt().Add(time.Hour)}, []string{"T-2"}},
		{"since the first", approval.Filter{Since: ticketAt()}, []string{"T-2", "T-1"}},
		{"decided", approval.Filter{Decided: decided}, []string{"T-1"}},
		{"decided later", approval.Filter{Decided: decided.Add(time.Millisecond)}, nil},
		{"everything", approval.Filter{States: []approval.State{approval.Approved}, App: shop, Origin: "a", Since: ticketAt(), Decided: decided, Limit: 1}, []string{"T-1"}},
		{"quotes", approval.Filter{App: "' OR 1=1 --"}, nil},
	} {
		got, err := s.Tickets(t.Context(), c.f)
		if ids := idsOf(got); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, ids, err, c.want)
		}
		err = s.Tx(t.Context(), func(tx *sql.Tx) (err error) {
			got, err = s.TicketsTx(t.Context(), tx, c.f)
			return err
		})
		if ids := idsOf(got); err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s in a transaction: got %v, %v, want %v", c.name, ids, err, c.want)
		}
	}
}

func idsOf(tickets []approval.Ticket) (ids []string) {
	for _, t := range tickets {
		ids = append(ids, t.ID)
	}
	return ids
}

// testTicketsMany keeps a ticket for several apps, which no app selects, and the tickets
// of its parts, each made in the transaction in which the batch remembers it.
func testTicketsMany(t *testing.T, o store.Options) {
	o.LedgerKey = ledger.NewKey("k")
	s := open(t, o)
	batch := pending("a")
	one := batch.Plan
	batch.Plan.App, batch.Plan.Name, batch.Plan.Hash = "", "shop and 1 more", "4567"
	for _, app := range []string{shop, "fedcba98-7654-4321-8f01-23456789abcd"} {
		part := approval.Part{Wish: batch.Wish, Plan: one}
		part.Plan.App = fleet.ID(app)
		batch.Parts = append(batch.Parts, part)
	}
	many, made, err := s.CreateTicket(t.Context(), batch, func(t approval.Ticket) approval.Change {
		e := told(t, ledger.Asked)
		e.App = ""
		return approval.Change{Entries: []ledger.Entry{e}}
	})
	if err != nil || !made || many.ID != "T-1" || len(many.Parts) != 2 {
		t.Fatalf("got %s with %d parts, made %v, %v", many.ID, len(many.Parts), made, err)
	}
	single := pending("b")
	if _, _, err := s.CreateTicket(t.Context(), single, asked); err != nil {
		t.Fatal(err)
	}
	at := ticketAt().Add(time.Hour)
	for _, state := range []approval.State{approval.Approved, approval.Running} {
		if _, err := s.ChangeTicket(t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.State, t.DecidedAt = state, at
			return approval.Change{}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	// begin makes the ticket of the next part; fail has its transaction fail at the end.
	begin := func(fail error) (approval.Ticket, error) {
		t.Helper()
		batch, err := s.Ticket(t.Context(), "T-1")
		if err != nil {
			t.Fatal(err)
		}
		i, _ := batch.Next()
		next, change, err := approval.PartTicket(batch, i, at)
		if err != nil {
			t.Fatal(err)
		}
		var part approval.Ticket
		return part, s.Tx(t.Context(), func(tx *sql.Tx) error {
			if part, _, err = s.CreateTicketTx(t.Context(), tx, next, change); err != nil {
				return err
			}
			if _, err := s.ChangeTicketTx(t.Context(), tx, "T-1", func(t *approval.Ticket) (approval.Change, error) {
				t.Parts[i].Ticket, t.Parts[i].State = part.ID, part.State
				return approval.Change{}, nil
			}); err != nil {
				return err
			}
			return fail
		})
	}
	before, jobs := kept(t, s)
	crash := errors.New("crash")
	if _, err := begin(crash); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	wantKept(t, s, before, jobs)
	if _, err := begin(nil); err != nil {
		t.Fatal(err)
	}
	wantKept(t, s, before+2, jobs+3) // begun, of both; apply and tell of the part, tell of the batch
	part, err := s.Ticket(t.Context(), "T-3")
	if err != nil || part.Of != "T-1" || part.Plan.App != shop || !part.DecidedAt.Equal(at) {
		t.Errorf("got %+v, %v, want the part of shop", part, err)
	}
	for _, c := range []struct {
		name string
		f    approval.Filter
		want []string
	}{
		{"all", approval.Filter{}, []string{"T-3", "T-2", "T-1"}},
		{"for several apps", approval.Filter{Batches: true}, []string{"T-1"}},
		{"that wait", approval.Filter{Batches: true, States: []approval.State{approval.Pending}}, nil},
		{"that run", approval.Filter{Batches: true, States: []approval.State{approval.Approved, approval.Running}, Limit: -1}, []string{"T-1"}},
		{"of an app", approval.Filter{App: shop}, []string{"T-3", "T-2"}},
		{"of the other", approval.Filter{App: batch.Parts[1].Plan.App}, nil},
		{"by origin", approval.Filter{Origin: "part:T-1/1"}, []string{"T-3"}},
	} {
		if got, err := s.Tickets(t.Context(), c.f); err != nil || !slices.Equal(idsOf(got), c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, idsOf(got), err, c.want)
		}
	}
	of := func(ticket string) (verbs []string) {
		t.Helper()
		all, err := s.LedgerOfTicket(t.Context(), ticket, 0, 10)
		if err != nil {
			t.Error(err)
		}
		for _, e := range all {
			verbs = append(verbs, e.Verb+" "+e.App)
		}
		return verbs
	}
	if got, want := of("T-1"), []string{ledger.Begun + " ", ledger.Asked + " "}; !slices.Equal(got, want) {
		t.Errorf("of the batch the ledger tells %q, want %q", got, want)
	}
	if got, want := of("T-3"), []string{ledger.Begun + " " + shop}; !slices.Equal(got, want) {
		t.Errorf("of the part the ledger tells %q, want %q", got, want)
	}
	verdict(t, s, ledger.Whole, []ledger.Key{o.LedgerKey})
}

// testTicketsRace has two replicas make and approve tickets at once: no number is given
// twice or left out, one origin makes one ticket, and one vote of several decides.
func testTicketsRace(t *testing.T, o store.Options) {
	const each = 8
	o.LedgerKey = ledger.NewKey("k")
	replicas := []*store.Store{open(t, o), open(t, o)}
	var wg sync.WaitGroup
	var made atomic.Int64
	for i, s := range replicas {
		for n := range each {
			wg.Go(func() {
				for _, origin := range []string{fmt.Sprint("own ", i, n), "shared"} {
					_, first, err := s.CreateTicket(t.Context(), pending(origin), asked)
					if err != nil {
						t.Error(err)
					}
					if first {
						made.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	const all = 2*each + 1
	tickets, err := replicas[0].Tickets(t.Context(), approval.Filter{Limit: -1})
	if err != nil || len(tickets) != all || made.Load() != all {
		t.Fatalf("got %d tickets, of which %d were new, %v, want %d", len(tickets), made.Load(), err, all)
	}
	for i, ticket := range tickets {
		if want := approval.ID(int64(all - i)); ticket.ID != want {
			t.Errorf("got %s, want %s", ticket.ID, want)
		}
	}

	var approved atomic.Int64
	for i, s := range replicas {
		for n := range each / 2 {
			wg.Go(func() {
				_, err := s.ChangeTicket(t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
					if t.State != approval.Pending {
						return approval.Change{}, nil
					}
					approved.Add(1)
					t.State = approval.Approved
					t.Votes = append(t.Votes, approval.Vote{User: fmt.Sprint("U", i, n), At: ticketAt()})
					return approval.Change{Entries: []ledger.Entry{told(*t, ledger.Approved)}, Work: []approval.Work{{Kind: approval.WorkApply, Key: t.ID, At: ticketAt()}}}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	one, err := replicas[0].Ticket(t.Context(), "T-1")
	if err != nil || len(one.Votes) != 1 || one.Rev != 2 || approved.Load() != 1 {
		t.Errorf("got %d votes, rev %d, approved %d times, %v, want one", len(one.Votes), one.Rev, approved.Load(), err)
	}
	wantKept(t, replicas[1], all+1, 2*all+2)
	verdict(t, replicas[1], ledger.Whole, []ledger.Key{o.LedgerKey})
}

// testTicketsLock looks at what two transactions on different tickets see of each
// other: who reads tickets to decide with them sees every decision before.
func testTicketsLock(t *testing.T, o store.Options) {
	const most = 3
	replicas := []*store.Store{open(t, o), open(t, o)}
	for n := range 8 {
		if _, _, err := replicas[0].CreateTicket(t.Context(), pending(fmt.Sprint(n)), asked); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for n := range 8 {
		s := replicas[n%2]
		wg.Go(func() {
			err := s.Tx(t.Context(), func(tx *sql.Tx) error {
				approved, err := s.TicketsTx(t.Context(), tx, approval.Filter{States: []approval.State{approval.Approved}})
				if err != nil || len(approved) >= most {
					return err
				}
				_, err = s.ChangeTicketTx(t.Context(), tx, approval.ID(int64(n+1)), func(t *approval.Ticket) (approval.Change, error) {
					t.State = approval.Approved
					return approval.Change{}, nil
				})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	approved, err := replicas[0].Tickets(t.Context(), approval.Filter{States: []approval.State{approval.Approved}})
	if err != nil || len(approved) != most {
		t.Errorf("got %d approved, %v, want %d", len(approved), err, most)
	}
}

// testTicketsStep changes a ticket in the step of a job, as a rollout does, while
// others change tickets: nobody waits for each other for ever.
func testTicketsStep(t *testing.T, o store.Options) {
	replicas := []*store.Store{open(t, o), open(t, o)}
	if _, _, err := replicas[0].CreateTicket(t.Context(), pending("a"), asked); err != nil {
		t.Fatal(err)
	}
	job, found, err := replicas[0].ClaimJob(t.Context(), jobs.Claim{Owner: "me", Kinds: []string{approval.WorkTell}, Now: ticketAt(), Until: ticketAt().Add(time.Hour)})
	if err != nil || !found {
		t.Fatalf("got %v, %v, want a job", found, err)
	}
	lease := jobs.Lease{ID: job.ID(), Fence: job.Fence}
	change := func(text string) func(t *approval.Ticket) (approval.Change, error) {
		return func(t *approval.Ticket) (approval.Change, error) {
			t.Waiting = text
			return approval.Change{Entries: []ledger.Entry{told(*t, ledger.StepDone)}}, nil
		}
	}
	var wg sync.WaitGroup
	for i, s := range replicas {
		wg.Go(func() {
			for n := range 10 {
				err := s.Tx(t.Context(), func(tx *sql.Tx) error {
					if i == 0 {
						if err := s.RenewJob(t.Context(), tx, lease, ticketAt().Add(time.Hour)); err != nil {
							return err
						}
					}
					_, err := s.ChangeTicketTx(t.Context(), tx, "T-1", change(fmt.Sprint(i, n)))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if one, err := replicas[1].Ticket(t.Context(), "T-1"); err != nil || one.Rev != 21 {
		t.Errorf("got rev %d, %v, want 21", one.Rev, err)
	}
}
