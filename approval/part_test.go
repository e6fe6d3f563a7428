package approval_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/ledger"
)

// begin has a rollout begin with a batch.
func (b *bench) begin(id string) { b.tell(id, ledger.Started, approval.Running) }

// part has a rollout begin the next part of a batch, as it does: in one transaction.
func (b *bench) part(id string) (part approval.Ticket) {
	b.t.Helper()
	part, err := b.tryPart(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return part
}

func (b *bench) tryPart(id string) (part approval.Ticket, err error) {
	b.t.Helper()
	batch := b.ticket(id)
	i, _ := batch.Next()
	next, change, err := approval.PartTicket(batch, i, b.now)
	if err != nil {
		return part, err
	}
	return part, b.store.Tx(b.t.Context(), func(tx *sql.Tx) error {
		if part, _, err = b.store.CreateTicketTx(b.t.Context(), tx, next, change); err != nil {
			return err
		}
		_, err = b.store.ChangeTicketTx(b.t.Context(), tx, id, func(t *approval.Ticket) (approval.Change, error) {
			t.Parts[i].Ticket, t.Parts[i].State = part.ID, part.State
			return approval.Change{}, nil
		})
		return err
	})
}

// partEnds has a rollout carry the part that is under way out, and the batch see it.
func (b *bench) partEnds(id string, state approval.State) {
	b.t.Helper()
	batch := b.ticket(id)
	i, _ := batch.Current()
	b.tell(batch.Parts[i].Ticket, ledger.Started, approval.Running)
	b.tell(batch.Parts[i].Ticket, map[approval.State]string{approval.Done: ledger.Finished, approval.Stopped: ledger.Stopped, approval.Failed: ledger.Failed}[state], state)
	b.seen(id, state)
}

// seen has the batch see how its part ended.
func (b *bench) seen(id string, state approval.State) {
	b.t.Helper()
	_, err := b.store.ChangeTicket(b.t.Context(), id, func(t *approval.Ticket) (approval.Change, error) {
		i, _ := t.Current()
		t.Parts[i].State, t.Parts[i].EndedAt = state, b.now
		return approval.Change{}, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// batch is T-1, which enables shop, cart and till, approved by two and begun.
func batch(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, everyday)
	b.setTown("shop", "cart", "till")
	b.askMany("shop cart till", "UASK")
	b.approve("T-1", "UYES")
	b.after(time.Hour)
	b.approve("T-1", "UYES2")
	b.begin("T-1")
	return b
}

func TestPartTicket(t *testing.T) {
	b := batch(t)
	b.after(23 * time.Hour) // the batch could not be decided any more
	got := b.part("T-1")
	of := b.ticket("T-1")
	switch {
	case got.ID != "T-2", got.State != approval.Approved, got.Of != "T-1", got.Origin != "part:T-1/1", got.Plan.App != idOf("shop"), got.Plan.Hash != of.Parts[0].Plan.Hash:
		t.Errorf("got %+v", got)
	case got.Requester != "UASK", got.Team != "TUS", len(got.Votes) != 2, got.Approvals != 2, got.Policy != of.Policy, got.Channel != "C0":
		t.Errorf("got %s by %s with votes %v of %d", got.ID, got.Requester, got.Votes, got.Approvals)
	case !got.ExpiresAt.Equal(of.DecidedAt.Add(24 * time.Hour)), !got.DecidedAt.Equal(of.DecidedAt), len(got.Parts) > 0:
		t.Errorf("got expiry %s and decision %s, want a day after %s", got.ExpiresAt, got.DecidedAt, of.DecidedAt)
	}
	if why := strings.Join(got.Why, " "); why != "It costs $25.00 a month more: web 1 → 2 standard-1x." {
		t.Errorf("got why %q", why)
	}
	wantVerbs(t, b, "asked UASK, voted UYES, approved UYES2, started zdd, begun zdd, begun zdd")
	all := b.entries()
	if e := all[len(all)-2]; e.Ticket != "T-1" || e.App != "" {
		t.Errorf("got an entry about %s and app %q, want one about the batch", e.Ticket, e.App)
	}
	if e, about := all[len(all)-1], b.last(); e.Ticket != "T-2" || e.App != string(idOf("shop")) || about["batch"] != "T-1" || about["part"] != 1.0 || about["wish"] != "enable shop" {
		t.Errorf("got an entry about %s: %v", e.Ticket, about)
	}
	if work := b.work(approval.WorkBatch); fmt.Sprint(work) != "[T-1 T-2]" {
		t.Errorf("got work %v", work)
	}
	if groups := b.groupsOf(approval.WorkBatch); fmt.Sprint(groups) != fmt.Sprint([]string{"", string(idOf("shop"))}) {
		t.Errorf("got groups %v", groups)
	}
	if work := b.work(approval.WorkApply); work != nil { // which an older program would carry out
		t.Errorf("got work %v", work)
	}
	for _, id := range []string{"T-1", "T-2"} {
		if why, err := b.Proof(t.Context(), b.ticket(id)); why != "" || err != nil {
			t.Errorf("%s: got %q, %v, want it proven", id, why, err)
		}
		if why, err := b.StillAllowed(t.Context(), b.ticket(id)); why != "" || err != nil {
			t.Errorf("%s: got %q, %v, want it allowed", id, why, err)
		}
	}
}

func (b *bench) groupsOf(kind string) (groups []string) {
	b.t.Helper()
	err := b.store.Tx(b.t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(b.t.Context(), `SELECT serial FROM jobs WHERE kind = $1 ORDER BY id`, kind)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var group string
			if err := rows.Scan(&group); err != nil {
				return err
			}
			groups = append(groups, group)
		}
		return rows.Err()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return groups
}

// TestPartOutOfTurn: no part begins but the next one, after all before it are done, of a
// batch that runs and may go on.
func TestPartOutOfTurn(t *testing.T) {
	b := batch(t)
	ok := func(name string, i int, with func(t *approval.Ticket), want bool) {
		t.Helper()
		batch := b.ticket("T-1")
		now := b.now
		if with != nil {
			with(&batch)
		}
		if batch.Reason != "" {
			now = now.Add(100 * time.Hour)
		}
		if _, _, err := approval.PartTicket(batch, i, now); (err == nil) != want {
			t.Errorf("%s: got %v, want that it may begin: %v", name, err, want)
		}
	}
	ok("the first", 0, nil, true)
	ok("the second", 1, nil, false)
	ok("none", -1, nil, false)
	ok("a fourth", 3, nil, false)
	ok("approved only", 0, func(t *approval.Ticket) { t.State = approval.Approved }, false)
	ok("stopped", 0, func(t *approval.Ticket) { t.State = approval.Stopped }, false)
	ok("to stop", 0, func(t *approval.Ticket) { t.Halt = "UANY" }, false)
	ok("too late", 0, func(t *approval.Ticket) { t.Reason = "late" }, false)
	b.part("T-1")
	ok("the first again", 0, nil, false)
	ok("while the first is under way", 1, nil, false)
	b.partEnds("T-1", approval.Done)
	ok("after the first", 1, nil, true)
	ok("the third before the second", 2, nil, false)

	// Nor does the store take it.
	for name, change := range map[string]func(t *approval.Ticket){
		"the third before the second": func(t *approval.Ticket) { t.Parts[2].Ticket = "T-9" },
		"another ticket":              func(t *approval.Ticket) { t.Parts[0].Ticket = "T-9" },
		"none any more":               func(t *approval.Ticket) { t.Parts[0].Ticket, t.Parts[0].State = "", "" },
		"another state after the end": func(t *approval.Ticket) { t.Parts[0].State = approval.Running },
		"done though it is not":       func(t *approval.Ticket) { t.State = approval.Done },
		"another plan":                func(t *approval.Ticket) { t.Parts[1].Plan.Hash = "0" },
		"another wish":                func(t *approval.Ticket) { t.Parts[1].Wish.Size = "standard-2x" },
		"one part more":               func(t *approval.Ticket) { t.Parts = append(t.Parts, t.Parts[0]) },
		"a part itself":               func(t *approval.Ticket) { t.Of = "T-7" },
	} {
		_, err := b.store.ChangeTicket(t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
			change(t)
			return approval.Change{}, nil
		})
		if err == nil {
			t.Errorf("%s: it was stored", name)
		}
	}
	// It was cancelled after the turn had looked.
	batch := b.ticket("T-1")
	next, change, err := approval.PartTicket(batch, 1, b.now)
	if err != nil {
		t.Fatal(err)
	}
	b.cancel("T-1", "UANY")
	err = b.store.Tx(t.Context(), func(tx *sql.Tx) error {
		part, _, err := b.store.CreateTicketTx(t.Context(), tx, next, change)
		if err != nil {
			return err
		}
		_, err = b.store.ChangeTicketTx(t.Context(), tx, "T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.Parts[1].Ticket, t.Parts[1].State = part.ID, part.State
			return approval.Change{}, nil
		})
		return err
	})
	if _, gone := b.store.Ticket(t.Context(), "T-3"); err == nil || !errors.Is(gone, approval.ErrNoTicket) {
		t.Errorf("got %v, and T-3 is %v, want nothing begun", err, gone)
	}
}

// TestPartOnce: whatever crashes, and whoever repeats it, a part has one ticket.
func TestPartOnce(t *testing.T) {
	b := batch(t)
	batch := b.ticket("T-1")
	next, change, err := approval.PartTicket(batch, 0, b.now)
	if err != nil {
		t.Fatal(err)
	}
	first := b.part("T-1")
	again, made, err := b.store.CreateTicket(t.Context(), next, change) // by a turn that has lost its lease
	if err != nil || made || again.ID != first.ID {
		t.Errorf("got %s, made %v, %v, want %s", again.ID, made, err, first.ID)
	}
	wantVerbs(t, b, "asked UASK, voted UYES, approved UYES2, started zdd, begun zdd, begun zdd")
}

// TestProofOfMany is what somebody can make of a batch and its parts who can write the
// database and has not the ledger's key.
func TestProofOfMany(t *testing.T) {
	const otherParts = "tells of other parts of T-1 as begun"
	first := func(b *bench) { b.part("T-1") }
	second := func(b *bench) { first(b); b.partEnds("T-1", approval.Done); b.part("T-1") }
	for name, c := range map[string]struct {
		before func(b *bench)
		id     string // default T-1
		tamper func(t *approval.Ticket)
		why    string // empty: it holds
	}{
		"begun":        {},
		"the first":    {before: first},
		"its part":     {before: first, id: "T-2"},
		"the second":   {before: second},
		"its part too": {before: second, id: "T-3"},
		"one over":     {before: second, id: "T-2"},
		"all": {before: func(b *bench) {
			second(b)
			b.partEnds("T-1", approval.Done)
			b.part("T-1")
			b.partEnds("T-1", approval.Done)
		}},
		"asked to stop": {before: func(b *bench) { first(b); b.cancel("T-1", "UANY") }},

		"another app":        {tamper: func(t *approval.Ticket) { t.Parts[1].Plan.App = "x" }, why: "was altered"},
		"another step":       {tamper: func(t *approval.Ticket) { t.Parts[1].Plan.Steps[0].To.Processes[0].Quantity = 9 }, why: "was altered"},
		"one app less":       {tamper: func(t *approval.Ticket) { t.Parts = t.Parts[:2] }, why: "was altered"},
		"no parts":           {tamper: func(t *approval.Ticket) { t.Parts = nil }, why: "was altered"},
		"another order":      {tamper: func(t *approval.Ticket) { t.Parts[0], t.Parts[1] = t.Parts[1], t.Parts[0] }, why: "was altered"},
		"the canary skipped": {tamper: func(t *approval.Ticket) { t.Parts[0].Ticket, t.Parts[0].State = "T-9", approval.Done }, why: otherParts},
		"the canary forgotten": {
			before: second, tamper: func(t *approval.Ticket) { t.Parts[0].Ticket, t.Parts[0].State = "", "" }, why: otherParts},
		"begun anew": {
			before: first, tamper: func(t *approval.Ticket) { t.Parts[0].Ticket, t.Parts[0].State = "", "" }, why: otherParts},
		"another ticket": {before: first, tamper: func(t *approval.Ticket) { t.Parts[0].Ticket = "T-9" }, why: otherParts},
		"done too early": {before: first, tamper: func(t *approval.Ticket) { t.Parts[0].State = approval.Done }, why: "has T-2 as done, and the ledger does not"},
		"all done": {
			before: second, tamper: func(t *approval.Ticket) {
				for i := range t.Parts {
					t.Parts[i].Ticket, t.Parts[i].State = fmt.Sprint("T-", i+2), approval.Done
				}
			}, why: otherParts},
		"a later approval":  {tamper: func(t *approval.Ticket) { t.DecidedAt = t.DecidedAt.AddDate(0, 1, 0) }, why: "was approved at another time"},
		"approved again":    {tamper: func(t *approval.Ticket) { t.State = approval.Approved }, why: "has T-1 as approved"},
		"a vote more":       {tamper: func(t *approval.Ticket) { t.Votes = append(t.Votes, approval.Vote{User: "UFIN"}) }, why: "does not tell of each approval"},
		"a part of another": {tamper: func(t *approval.Ticket) { t.Of = "T-9" }, why: "was altered"},

		"its part's step":    {before: first, id: "T-2", tamper: func(t *approval.Ticket) { t.Plan.Steps[0].To.Processes[0].Quantity = 9 }, why: "was altered"},
		"its part's batch":   {before: first, id: "T-2", tamper: func(t *approval.Ticket) { t.Of = "T-9" }, why: "was altered"},
		"a part by itself":   {before: first, id: "T-2", tamper: func(t *approval.Ticket) { t.Of = "" }, why: "does not tell of T-2"},
		"a part's life":      {before: first, id: "T-2", tamper: func(t *approval.Ticket) { t.ExpiresAt = t.ExpiresAt.AddDate(0, 1, 0) }, why: "was altered"},
		"a part's vote":      {before: first, id: "T-2", tamper: func(t *approval.Ticket) { t.Votes = append(t.Votes, approval.Vote{User: "UFIN"}) }, why: "does not tell of each approval"},
		"a part's requester": {before: first, id: "T-2", tamper: func(t *approval.Ticket) { t.Requester = "UEVIL" }, why: "was altered"},
		"a part begun again": {before: second, id: "T-2", tamper: func(t *approval.Ticket) { t.State = approval.Approved }, why: "has T-2 as approved"},
		"a part is pending":  {before: first, id: "T-2", tamper: func(t *approval.Ticket) { t.State = approval.Pending }, why: "has T-2 as pending"},
	} {
		t.Run(name, func(t *testing.T) {
			b := batch(t)
			if c.before != nil {
				c.before(b)
			}
			id := or(c.id, "T-1")
			if c.tamper != nil {
				b.tamper(id, c.tamper)
			}
			why, err := b.Proof(t.Context(), b.ticket(id))
			if err != nil || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				t.Errorf("got %q, %v, want %q", why, err, c.why)
			}
		})
	}
}

// TestForgedPart: a ticket written into the database as a part of a batch proves nothing.
func TestForgedPart(t *testing.T) {
	b := batch(t)
	next, _, err := approval.PartTicket(b.ticket("T-1"), 0, b.now)
	if err != nil {
		t.Fatal(err)
	}
	forged, _, err := b.store.CreateTicket(t.Context(), next, func(approval.Ticket) approval.Change { return approval.Change{} })
	if err != nil {
		t.Fatal(err)
	}
	if why, err := b.Proof(t.Context(), forged); err != nil || !strings.Contains(why, "The ledger does not tell of T-2") {
		t.Errorf("got %q, %v, want that nothing is known of it", why, err)
	}
	b.tamper("T-1", func(t *approval.Ticket) { t.Parts[0].Ticket, t.Parts[0].State = "T-2", approval.Approved })
	if why, err := b.Proof(t.Context(), b.ticket("T-1")); err != nil || !strings.Contains(why, "other parts of T-1") {
		t.Errorf("got %q, %v, want that no part was begun", why, err)
	}
}

// TestStillAllowedMany: the batch is asked before each part, so for as long as it runs.
func TestStillAllowedMany(t *testing.T) {
	for name, c := range map[string]struct {
		approved bool // it has not begun
		before   func(b *bench)
		why      string
		fails    bool
	}{
		"as before":             {},
		"left":                  {before: func(b *bench) { b.kinds["UASK"] = "deactivated" }, why: "deactivated"},
		"no operator":           {before: func(b *bench) { b.setPolicy("people: { operators: [UASK2], approvers: [UYES, UYES2] }") }, why: "no longer among the operators"},
		"an approver left":      {before: func(b *bench) { b.kinds["UYES"] = "deactivated" }, why: "1 still count, and 2 are needed"},
		"Slack is away":         {before: func(b *bench) { b.noKinds = errors.New("x") }, fails: true},
		"in time":               {before: func(b *bench) { b.after(24*time.Hour - time.Second) }},
		"too old":               {before: func(b *bench) { b.after(24 * time.Hour) }, why: "T-1 has taken so long that its approval has run out"},
		"in time, not begun":    {approved: true, before: func(b *bench) { b.after(23*time.Hour - time.Second) }},
		"too old, not begun":    {approved: true, before: func(b *bench) { b.after(23 * time.Hour) }, why: "could not be started for so long"},
		"left before it begins": {approved: true, before: func(b *bench) { b.kinds["UYES"] = "deactivated" }, why: "1 still count"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.setTown("shop", "cart", "till")
			b.askMany("shop cart till", "UASK")
			b.approve("T-1", "UYES")
			b.after(time.Hour)
			b.approve("T-1", "UYES2")
			if !c.approved {
				b.begin("T-1")
			}
			if c.before != nil {
				c.before(b)
			}
			why, err := b.StillAllowed(t.Context(), b.ticket("T-1"))
			if (err != nil) != c.fails || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				t.Errorf("got %q, %v, want %q, an error: %v", why, err, c.why, c.fails)
			}
		})
	}
}

// TestCancelMany stops a batch that runs: nothing further begins, and the part that is
// under way stops, or does not begin.
func TestCancelMany(t *testing.T) {
	for name, c := range map[string]struct {
		before func(b *bench)
		part   approval.State // of T-2; empty: there is none
		halt   string         // of T-2
		verbs  string         // after those of the beginning
	}{
		"before the first": {verbs: "cancelled UANY"},
		"the first waits": {
			before: func(b *bench) { b.part("T-1") }, part: approval.Cancelled, verbs: "begun zdd, begun zdd, cancelled UANY, cancelled UANY"},
		"the first runs": {
			before: func(b *bench) { b.part("T-1"); b.tell("T-2", ledger.Started, approval.Running) },
			part:   approval.Running, halt: "UANY", verbs: "begun zdd, begun zdd, started zdd, cancelled UANY, cancelled UANY"},
		"the first is to stop already": {
			before: func(b *bench) {
				b.part("T-1")
				b.tell("T-2", ledger.Started, approval.Running)
				b.cancel("T-2", "UASK")
			},
			part: approval.Running, halt: "UASK", verbs: "begun zdd, begun zdd, started zdd, cancelled UASK, cancelled UANY"},
		"between two": {
			before: func(b *bench) { b.part("T-1"); b.partEnds("T-1", approval.Done) },
			part:   approval.Done, verbs: "begun zdd, begun zdd, started zdd, finished zdd, cancelled UANY"},
	} {
		t.Run(name, func(t *testing.T) {
			b := batch(t)
			if c.before != nil {
				c.before(b)
			}
			for range 2 { // the second time changes nothing
				b.cancel("T-1", "UANY")
			}
			if got := b.ticket("T-1"); got.State != approval.Running || got.Halt != "UANY" {
				t.Errorf("got %s, halted by %q, want it to run still and be halted by UANY", got.State, got.Halt)
			}
			if c.part != "" {
				if got := b.ticket("T-2"); got.State != c.part || got.Halt != c.halt {
					t.Errorf("got T-2 %s, halted by %q, want %s by %q", got.State, got.Halt, c.part, c.halt)
				}
			}
			wantVerbs(t, b, "asked UASK, voted UYES, approved UYES2, started zdd, "+c.verbs)
			if _, err := b.tryPart("T-1"); err == nil {
				t.Error("another part began")
			}
		})
	}
}

// TestCancelForgedMany: a batch whose part was altered in the database has nobody else's
// ticket stopped.
func TestCancelForgedMany(t *testing.T) {
	b := batch(t)
	b.setTown("other")
	single, _, err := b.Ask(t.Context(), b.askOf("other", "web=2", "UASK2"))
	if err != nil {
		t.Fatal(err)
	}
	b.tamper("T-1", func(t *approval.Ticket) { t.Parts[0].Ticket, t.Parts[0].State = single.ID, approval.Running })
	b.cancel("T-1", "UANY")
	if got := b.ticket("T-1"); got.Halt != "UANY" {
		t.Errorf("got it halted by %q, want by UANY", got.Halt)
	}
	b.tamper("T-1", func(t *approval.Ticket) { t.Halt, t.Parts[0].Ticket = "", "T-99" })
	b.cancel("T-1", "UANY") // by whoever is quick, before a turn has seen it
	if got := b.ticket(single.ID); got.State != approval.Pending {
		t.Errorf("got %s, want %s as it was", got.State, single.ID)
	}
}

// TestResumeMany: a batch is gone on with app by app, and each of those like any ticket.
func TestResumeMany(t *testing.T) {
	b := batch(t)
	b.part("T-1")
	b.partEnds("T-1", approval.Done)
	b.part("T-1")
	_, _, err := b.Resume(t.Context(), b.resumeFor("T-1", "UASK"))
	wantNo(t, err, "is being carried out already")
	b.partEnds("T-1", approval.Stopped)
	b.tell("T-1", ledger.Stopped, approval.Stopped)
	_, _, err = b.Resume(t.Context(), b.resumeFor("T-1", "UASK"))
	wantNo(t, err, "To go on with `cart`: `/zdd resume T-3`. To ask for what was not begun: `/zdd enable till`.")
	_, _, err = b.Approve(t.Context(), "T-1", person("UFIN"))
	wantNo(t, err, "`/zdd resume T-3`")

	_, _, err = b.Resume(t.Context(), b.resumeFor("T-2", "UASK"))
	wantNo(t, err, "is done already")
	got, made, err := b.Resume(t.Context(), b.resumeFor("T-3", "UOPS"))
	if err != nil || !made || got.State != approval.Approved || got.Of != "" || got.Follows != "T-3" || got.Requester != "UASK" {
		t.Fatalf("got %s %s of %q, made %v, %v, want one that follows T-3, approved", got.ID, got.State, got.Of, made, err)
	}
	if why, err := b.Proof(t.Context(), got); why != "" || err != nil {
		t.Errorf("got %q, %v, want it proven", why, err)
	}
	if why, err := b.StillAllowed(t.Context(), got); why != "" || err != nil {
		t.Errorf("got %q, %v, want it allowed", why, err)
	}
}

// TestDecideOnPart: a part is approved already, and is stopped like any ticket.
func TestDecideOnPart(t *testing.T) {
	b := batch(t)
	b.part("T-1")
	_, outcome, err := b.Approve(t.Context(), "T-2", person("UYES"))
	if err != nil || outcome != approval.Repeated {
		t.Errorf("got %q, %v, want a repetition: UYES has approved the batch", outcome, err)
	}
	_, _, err = b.Approve(t.Context(), "T-2", person("UFIN"))
	wantNo(t, err, "`T-2` is approved already")
	_, err = b.Deny(t.Context(), "T-2", person("UFIN"), "")
	wantNo(t, err, "`T-2` is approved already")
	b.cancel("T-2", "UANY")
	if got := b.ticket("T-2"); got.State != approval.Cancelled {
		t.Errorf("got %s, want it cancelled", got.State)
	}
	if got := b.ticket("T-1"); got.State != approval.Running || got.Halt != "" {
		t.Errorf("got %s, halted by %q, want the batch to see it by itself", got.State, got.Halt)
	}
	b.seen("T-1", approval.Cancelled)
	if why, err := b.Proof(context.WithoutCancel(t.Context()), b.ticket("T-1")); why != "" || err != nil {
		t.Errorf("got %q, %v, want the batch proven", why, err)
	}
}
