package approval_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
)

// TestApproveMany clicks Approve on T-1, which enables shop and cart.
func TestApproveMany(t *testing.T) {
	for name, c := range map[string]struct {
		policy string // default everyday
		before func(b *bench)
		by     string // default UYES
		no     string // what the No says; empty: none
		state  approval.State
		verbs  string // after "asked UASK, "; default by state
	}{
		"an approver":   {state: approval.Approved},
		"the requester": {by: "UASK", no: "another approver has to decide", state: approval.Pending, verbs: "refused UASK"},
		"the requester, an approver too": {
			policy: "people: { operators: [UASK], approvers: [UASK, UYES] }", by: "UASK", no: "another approver has to decide", state: approval.Pending, verbs: "refused UASK"},
		"the requester alone": {policy: "people: { operators: [UASK] }\napproval: { self_approval: true }", by: "UASK", state: approval.Approved, verbs: "approved UASK"},
		"no approver":         {by: "UOPS", no: "approvers: [UYES, UYES2, SFIN, UOPS]", state: approval.Pending, verbs: "refused UOPS"},
		"a guest":             {before: func(b *bench) { b.kinds["UYES"] = "a guest in this workspace" }, no: "This account is a guest", state: approval.Pending, verbs: "refused UYES"},
		"expired": {
			before: func(b *bench) { b.after(24 * time.Hour) }, no: "Run `/zdd enable shop cart` again.", state: approval.Expired, verbs: "expired zdd"},
		"the requester left": {
			before: func(b *bench) { b.kinds["UASK"] = "deactivated" },
			no:     "by now deactivated. Nothing was changed. To ask for it anew: `/zdd enable shop cart`.", state: approval.Stale, verbs: "stale zdd"},
		"the last went up": {
			before: func(b *bench) { b.setTown("cart standard-1x web=6 affinity") },
			no:     "`cart` has changed since T-1 was asked for: `web` was 1 × standard-1x and is 6 × standard-1x. Nothing was changed.", state: approval.Stale, verbs: "stale zdd"},
		"both changed": {
			before: func(b *bench) {
				b.setTown("shop standard-2x web=1 affinity", "cart standard-1x web=1 affinity preboot")
			},
			no: "is 1 × standard-2x. `cart` has changed since T-1 was asked for: preboot was off and is on. Nothing", state: approval.Stale, verbs: "stale zdd"},
		"one changed, the other can't be read": {
			before: func(b *bench) {
				b.setTown("cart standard-1x web=6 affinity")
				b.townErr[idOf("shop")] = &fleet.Problem{Kind: fleet.Unavailable, Op: "read"}
			},
			no: "`cart` has changed", state: approval.Stale, verbs: "stale zdd"},
		"one can't be read": {
			before: func(b *bench) { b.townErr[idOf("cart")] = &fleet.Problem{Kind: fleet.Unavailable, Op: "read"} },
			no:     "could not read `cart` on Heroku again (Heroku did not answer). Nothing was decided", state: approval.Pending, verbs: "refused UYES"},
		"one is gone": {
			before: func(b *bench) { b.townErr[idOf("cart")] = &fleet.Problem{Kind: fleet.NotFound, Op: "read"} },
			no:     "One that is called `cart` by now is another app", state: approval.Stale, verbs: "stale zdd"},
		"another app answers": {
			before: func(b *bench) {
				b.setTown("till")
				b.town[idOf("cart")] = b.town[idOf("till")]
			},
			no: "another app than `cart`", state: approval.Pending, verbs: "refused UYES"},
		"another price of one": {
			before: func(b *bench) {
				app := b.town[idOf("cart")]
				catalog := fleettest.Catalog()
				for i := range catalog {
					if catalog[i].Name == "standard-1x" {
						catalog[i].Price = fleet.Known(fleet.Money(3000))
					}
				}
				app.Sizes = fleet.Known(catalog)
				b.town[idOf("cart")] = app
			},
			no: "`cart`: The price has changed since T-1 was asked for: it was $25.00 a month more, and is $30.00", state: approval.Stale, verbs: "stale zdd"},
		"the policy changed": {
			before: func(b *bench) { b.setPolicy(everyday + "rollout: { settle: 7m }") },
			no:     "The policy has changed since T-1 was asked for. Nothing was changed. To", state: approval.Stale, verbs: "stale zdd"},
		"a deploy in between": {before: func(b *bench) { b.setTown("cart standard-1x web=1 affinity released=1m") }, state: approval.Approved},
		"denied":              {before: func(b *bench) { b.deny("T-1", "UYES2") }, no: "was denied already, and nothing of it was done. To ask for it anew: `/zdd enable shop cart`.", state: approval.Denied, verbs: "denied UYES2, refused UYES"},
		"altered: another app for one": {
			before: func(b *bench) {
				b.setTown("till")
				till := b.manyFor("till", "UASK").Apps[0]
				b.tamper("T-1", func(t *approval.Ticket) { t.Parts[1].Plan = till.Plan })
			},
			no: "its record in the database was altered", state: approval.Stale, verbs: "stale zdd"},
		"altered: one app more": {
			before: func(b *bench) {
				b.setTown("till")
				till := b.manyFor("till", "UASK").Apps[0]
				b.tamper("T-1", func(t *approval.Ticket) {
					t.Parts = append(t.Parts, approval.Part{Wish: till.Wish, Plan: till.Plan})
				})
			},
			no: "its record in the database was altered", state: approval.Stale, verbs: "stale zdd"},
		"altered: another canary": {
			before: func(b *bench) { b.tamper("T-1", func(t *approval.Ticket) { slices.Reverse(t.Parts) }) },
			no:     "its record in the database was altered", state: approval.Stale, verbs: "stale zdd"},
		"altered: begun already": {
			before: func(b *bench) {
				b.tamper("T-1", func(t *approval.Ticket) { t.Parts[0].Ticket, t.Parts[0].State = "T-7", approval.Done })
			},
			no: "The ledger tells of other parts of T-1 as begun than the database does", state: approval.Stale, verbs: "stale zdd"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			b.setTown("shop", "cart")
			b.askMany("shop cart", "UASK")
			if c.before != nil {
				c.before(b)
			}
			got, outcome, err := b.Approve(t.Context(), "T-1", person(or(c.by, "UYES")))
			if c.no != "" {
				wantNo(t, err, c.no)
			} else if err != nil || outcome != approval.Decided {
				t.Errorf("got %q, %v, want it decided", outcome, err)
			}
			if got.State != c.state {
				t.Errorf("got %s, want %s", got.State, c.state)
			}
			if c.verbs == "" {
				c.verbs = "approved UYES"
			}
			wantVerbs(t, b, "asked UASK, "+c.verbs)
			work := b.work(approval.WorkBatch)
			if (c.state == approval.Approved) != slices.Equal(work, []string{"T-1"}) {
				t.Errorf("got work %v for a ticket that is %s", work, c.state)
			}
		})
	}
}

// TestApproveManyAtOnce has two people approve at the same moment, again and again.
func TestApproveManyAtOnce(t *testing.T) {
	b := newBench(t, everyday)
	b.setTown("shop", "cart", "till")
	b.askMany("shop cart till", "UASK") // needs two
	var wg sync.WaitGroup
	for _, user := range []string{"UYES", "UYES2", "UYES", "UYES2", "UASK"} {
		wg.Go(func() {
			_, _, err := b.Approve(t.Context(), "T-1", person(user))
			if _, no := errors.AsType[*approval.No](err); err != nil && (!no || user != "UASK") {
				t.Errorf("%s: %v", user, err)
			}
		})
	}
	wg.Wait()
	if got := b.ticket("T-1"); got.State != approval.Approved || len(got.Votes) != 2 {
		t.Errorf("got %s with %d votes, want approved with 2", got.State, len(got.Votes))
	}
	if work := b.work(approval.WorkBatch); !slices.Equal(work, []string{"T-1"}) {
		t.Errorf("got work %v, want T-1 once", work)
	}
}

// TestManyOwnWord: what needs no approval starts by the requester's own word.
func TestManyOwnWord(t *testing.T) {
	b := newBench(t, everyday)
	b.setTown("shop standard-1x web=2 affinity", "cart standard-1x web=2 affinity")
	b.askMany("shop cart", "UASK")
	_, _, err := b.Approve(t.Context(), "T-1", person("UYES"))
	wantNo(t, err, "needs no approval")
	b.do("T-1", "UASK")
	wantVerbs(t, b, "asked UASK, refused UYES, approved UASK")
	if got := b.ticket("T-1"); got.State != approval.Approved || len(got.Votes) != 0 {
		t.Errorf("got %s with votes %v, want approved without", got.State, got.Votes)
	}
}

// TestManySums: what was added to an app's cost before counts for a batch, and what a
// batch will add counts for a single ticket, once, for as long as it may come.
func TestManySums(t *testing.T) {
	need := func(t *testing.T, b *bench, want int, ticket approval.Ticket) {
		t.Helper()
		if ticket.Approvals != want {
			t.Errorf("%s needs %d approvals because %q, want %d", ticket.ID, ticket.Approvals, ticket.Why, want)
		}
	}
	single := func(b *bench, name, text string) approval.Ticket {
		b.t.Helper()
		got, _, err := b.Ask(b.t.Context(), b.askOf(name, text, "UASK2"))
		if err != nil {
			b.t.Fatal(err)
		}
		return got
	}
	t.Run("before a batch", func(t *testing.T) {
		b := newBench(t, everyday)
		b.setTown("shop", "cart")
		one := single(b, "shop", "web=2") // $25.00 each: with it more than 60
		b.approve(one.ID, "UYES")
		need(t, b, 2, b.askMany("shop cart", "UASK"))
	})
	t.Run("approved after it was asked for", func(t *testing.T) {
		b := newBench(t, everyday)
		b.setTown("shop", "cart")
		one, many := single(b, "shop", "web=2"), b.askMany("shop cart", "UASK")
		need(t, b, 1, many)
		b.approve(one.ID, "UYES")
		got, outcome, err := b.Approve(t.Context(), many.ID, person("UYES"))
		if err != nil || outcome != approval.Counted || got.Approvals != 2 || !strings.Contains(strings.Join(got.Why, " "), "$75.00") {
			t.Errorf("got %q, %d approvals because %q, %v, want one of 2 counted", outcome, got.Approvals, got.Why, err)
		}
	})
	t.Run("of another app", func(t *testing.T) {
		b := newBench(t, everyday)
		b.setTown("shop", "cart", "till")
		b.approve(single(b, "till", "web=2").ID, "UYES")
		need(t, b, 1, b.askMany("shop cart", "UASK"))
	})
	t.Run("unknown before", func(t *testing.T) {
		b := newBench(t, everyday)
		b.setTown("shop standard-1x web=1 affinity sizes=?", "cart")
		one := single(b, "shop", "web=2")
		b.approve(one.ID, "UYES")
		b.approve(one.ID, "UYES2")
		b.setTown("shop")
		got := b.askMany("shop cart", "UASK")
		need(t, b, 2, got)
		if why := got.Why[len(got.Why)-1]; !strings.Contains(why, "is not known (of shop: ") {
			t.Errorf("got %q, want that it is not known of shop", why)
		}
	})
	t.Run("after a batch", func(t *testing.T) {
		b := newBench(t, everyday)
		b.setTown("shop", "cart", "till")
		b.askMany("shop cart", "UASK")
		other := single(b, "cart", "web=3") // $50.00
		need(t, b, 1, other)                // the batch is not approved
		b.approve("T-1", "UYES")
		got, outcome, err := b.Approve(t.Context(), other.ID, person("UYES"))
		if err != nil || outcome != approval.Counted || got.Approvals != 2 {
			t.Errorf("got %q, %d approvals, %v, want one of 2 counted", outcome, got.Approvals, err)
		}
		need(t, b, 1, single(b, "till", "web=3"))
		need(t, b, 2, single(b, "shop", "web=3"))
		b.begin("T-1")
		b.part("T-1")                             // of shop, which counts by its own ticket now
		need(t, b, 1, single(b, "shop", "web=2")) // $50.00: once
		b.cancel(other.ID, "UASK2")
		need(t, b, 2, single(b, "cart", "web=3"))
	})
	t.Run("after another batch", func(t *testing.T) {
		b := newBench(t, everyday)
		b.setTown("shop", "cart", "till")
		b.approve(b.askMany("shop cart", "UASK").ID, "UYES")
		need(t, b, 2, b.askMany("cart till", "UASK")) // $50.00, and $25.00 before
	})
}

// TestManyOther are the other decisions on a ticket for several apps.
func TestManyOther(t *testing.T) {
	b := newBench(t, everyday)
	b.setTown("shop", "cart", "till")
	b.askMany("shop cart", "UASK")
	_, err := b.Deny(t.Context(), "T-1", person("UASK"), "")
	wantNo(t, err, "/zdd cancel T-1")
	b.deny("T-1", "UYES")
	b.askMany("shop cart", "UASK")
	b.cancel("T-2", "UANY")
	b.askMany("shop till", "UASK")
	b.approve("T-3", "UYES")
	b.cancel("T-3", "UANY") // it has not begun
	b.askMany("cart till", "UASK")
	if all, err := b.Pending(t.Context()); err != nil || len(all) != 1 || all[0].ID != "T-4" {
		t.Errorf("got %v, %v, want T-4", all, err)
	}
	b.after(24 * time.Hour)
	if all, err := b.Pending(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v, want none", all, err)
	}
	if err := b.Expire(t.Context(), "T-4"); err != nil {
		t.Error(err)
	}
	want := map[string]approval.State{"T-1": approval.Denied, "T-2": approval.Cancelled, "T-3": approval.Cancelled, "T-4": approval.Expired}
	for id, state := range want {
		if got := b.ticket(id).State; got != state {
			t.Errorf("%s: got %s, want %s", id, got, state)
		}
	}
	if out := b.ticket("T-4").Outcome; !strings.Contains(out, "`/zdd enable cart till`") {
		t.Errorf("got %q, want the line to ask again", out)
	}
	wantVerbs(t, b, "asked UASK, refused UASK, denied UYES, asked UASK, cancelled UANY, asked UASK, approved UYES, cancelled UANY, asked UASK, expired zdd")
}

// TestManyRefusedAgain: who has no say can't fill the ledger with a batch either, whose
// entries are about no app.
func TestManyRefusedAgain(t *testing.T) {
	b := newBench(t, everyday)
	b.setTown("shop", "cart")
	b.askMany("shop cart", "UASK")
	b.kinds["UX"] = "a guest"
	for range 5 {
		_, _, err := b.Approve(t.Context(), "T-1", person("UX"))
		wantNo(t, err, "a guest")
	}
	wantVerbs(t, b, "asked UASK, refused UX")
}

// TestManyContextEnds while the apps are read.
func TestManyContextEnds(t *testing.T) {
	b := newBench(t, everyday)
	b.setTown("shop", "cart")
	b.askMany("shop cart", "UASK")
	ctx, cancel := context.WithCancel(t.Context())
	b.onRead = cancel
	_, _, err := b.Approve(ctx, "T-1", person("UYES"))
	if refused, ok := errors.AsType[*approval.No](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want context.Canceled", err, refused)
	}
	wantVerbs(t, b, "asked UASK")
}
