package approval_test

import (
	"context"
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
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// one is an app of a town: one dyno of $25.00 more makes it ready.
const one = "standard-1x web=1 affinity"

// idOf is the UUID of the app of that name in a town.
func idOf(name string) fleet.ID {
	n := 0
	for _, c := range name {
		n = n*31 + int(c)
	}
	return fleet.ID(fmt.Sprintf("%08x-89ab-4cde-8f01-23456789abcd", n%(1<<31)))
}

// setTown makes apps of lines, each an app's name and what fleettest.App takes; a name
// by itself is an app of the line one.
func (b *bench) setTown(lines ...string) {
	defer b.lock()()
	if b.town == nil {
		b.town, b.townErr = map[fleet.ID]fleet.App{}, map[fleet.ID]error{}
	}
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		app := fleettest.App(or(rest, one))
		app.ID, app.Name = idOf(name), name
		b.town[app.ID] = app
	}
}

// manyFor asks to enable apps of the town: "shop cart landing=standard-1x".
func (b *bench) manyFor(names, user string) approval.AskMany {
	defer b.lock()()
	b.origin++
	a := approval.AskMany{By: person(user), Channel: "C0", Origin: fmt.Sprint("origin-", b.origin)}
	for name := range strings.FieldsSeq(names) {
		name, size, _ := strings.Cut(name, "=")
		app, ok := b.town[idOf(name)]
		if !ok {
			b.t.Fatalf("there is no app %s", name)
		}
		w := plan.Wish{Verb: plan.ToEnable, Size: size}
		a.Apps = append(a.Apps, approval.AskApp{Wish: w, App: app, Plan: plan.For(app, b.policy.For(app), w, b.now)})
	}
	return a
}

func (b *bench) askMany(names, user string) approval.Ticket {
	b.t.Helper()
	t, made, err := b.AskMany(b.t.Context(), b.manyFor(names, user))
	if err != nil || !made {
		b.t.Fatalf("ask for %s: %v, made %v: %s", names, err, made, t.ID)
	}
	return t
}

func (b *bench) askOf(name, text, user string) approval.AskFor {
	defer b.lock()()
	b.origin++
	app, w := b.town[idOf(name)], wish(text)
	return approval.AskFor{
		Wish: w, App: app, Plan: plan.For(app, b.policy.For(app), w, b.now), By: person(user), Channel: "C0", Origin: fmt.Sprint("origin-", b.origin),
	}
}

func TestAskMany(t *testing.T) {
	eleven := "a1 a2 a3 a4 a5 a6 a7 a8 a9 b1 b2"
	for name, c := range map[string]struct {
		policy    string   // default everyday
		town      []string // default shop and cart
		names     string   // default "shop cart"
		by        string   // default UASK
		before    func(b *bench)
		no        string
		approvals int
		why       string // in the ticket's Why
		own       bool
		line      string // as the ledger tells of it; default enable names
	}{
		"two":            {approvals: 1, why: "`cart`: It costs $25.00 a month more: web 1 → 2 standard-1x."},
		"nobody may ask": {policy: "people: { approvers: [UYES] }", no: "`people.operators` is empty"},
		"no operator":    {by: "UYES", no: "people:\n  operators: [UASK, UASK2, SOPS, UYES]"},
		"a guest":        {before: func(b *bench) { b.kinds["UASK"] = "a guest in this workspace" }, no: "a guest in this workspace"},
		"eleven":         {town: strings.Fields(eleven), names: eleven, no: "That is 11 apps, and I take 10 at a time"},
		"ten":            {town: strings.Fields(eleven)[:10], names: "a1 a2 a3 a4 a5 a6 a7 a8 a9 b1", approvals: 2, why: "comes to $250.00 a month, so 2 people have to approve"},
		"one twice":      {names: "shop cart shop", no: "`shop` is there twice. Nothing was asked for or changed; name each app once."},
		"one by two names": {
			before: func(b *bench) {
				renamed := b.town[idOf("cart")]
				renamed.ID = idOf("shop")
				b.town[idOf("cart")] = renamed
			},
			no: "`shop` and `cart` are the same app"},
		"the bot's own among them": {before: func(b *bench) { b.self = idOf("cart") }, no: "`cart` is the app that I run on myself"},
		"no word on its own app":   {before: func(b *bench) { b.noSelf = errors.New("x") }, no: "could not find out which app I run on myself"},
		"one needs no approval": {
			town: []string{"shop", "cart standard-1x web=2 affinity"}, approvals: 1, why: "`shop`: It costs $25.00 a month more"},
		"none does": {town: []string{"shop standard-1x web=2 affinity", "cart standard-1x web=2 affinity"}},
		"the total is above the quorum": {
			town: []string{"shop", "cart", "till"}, names: "shop cart till", approvals: 2, why: "With it, what is added to the cost of these apps within 7 days comes to $75.00 a month, so 2 people have to approve."},
		"nobody is enough for the total": {
			policy: "people: { operators: [UASK], approvers: [UYES, UASK] }\napproval: { quorum: [{ above: 40, approvals: 2 }] }", no: "needs 2 approvals, and the policy names only 1 person"},
		"a price unknown": {
			policy: "people: { operators: [UASK], approvers: [UYES, UYES2, UYES3] }\napproval: { quorum: [{ above: 100, approvals: 2 }, { above: 500, approvals: 3 }] }",
			town:   []string{"shop", "cart standard-1x web=1 affinity sizes=?"}, approvals: 3,
			why: "as many people have to approve as the policy asks for at the most: 3"},
		"the total is above the limit": {
			policy: everyday + "limits: { monthly_increase: 40 }", no: "Together this would cost $50.00 a month more, and `limits.monthly_increase` in the policy allows $40.00."},
		"as much as the limit": {policy: everyday + "limits: { monthly_increase: 50 }", approvals: 1},
		"above it for all that is known": {
			policy: everyday + "limits: { monthly_increase: 40 }", town: []string{"shop", "cart standard-1x web=1 affinity sizes=?", "till"}, names: "shop cart till",
			no: "as far as prices are known (of cart: "},
		"self-approval": {policy: "people: { operators: [UASK] }\napproval: { self_approval: true }", approvals: 1, own: true},
		"several sizes": {
			town: []string{"shop basic web=1", "cart"}, names: "shop=standard-1x cart", approvals: 2, line: "enable shop cart size=standard-1x"},
		"other sizes": {
			policy: everyday + "limits: { monthly_increase: 10000 }",
			town:   []string{"shop basic web=1", "cart basic web=1"}, names: "shop=standard-1x cart=standard-2x", approvals: 2, line: "enable shop size=standard-1x; enable cart size=standard-2x"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			if c.town == nil {
				c.town = []string{"shop", "cart"}
			}
			b.setTown(c.town...)
			if c.before != nil {
				c.before(b)
			}
			a := b.manyFor(or(c.names, "shop cart"), or(c.by, "UASK"))
			got, made, err := b.AskMany(t.Context(), a)
			if c.no != "" {
				wantNo(t, err, c.no)
				wantVerbs(t, b, "")
				if all, err := b.Pending(t.Context()); made || err != nil || len(all) != 0 {
					t.Errorf("got tickets %v, made %v, %v, want none", all, made, err)
				}
				return
			}
			if err != nil || !made {
				t.Fatalf("got %v, made %v", err, made)
			}
			if got.ID != "T-1" || got.State != approval.Pending || got.Approvals != c.approvals || got.Own != c.own || !strings.Contains(strings.Join(got.Why, "\n"), c.why) {
				t.Errorf("got %s %s with %d approvals because %q, own %v, want T-1 pending with %d because %q", got.ID, got.State, got.Approvals, got.Why, got.Own, c.approvals, c.why)
			}
			if got.Plan.App != "" || got.Plan.Steps != nil || got.Plan.Name != fmt.Sprintf("shop and %d more", len(got.Parts)-1) && !strings.HasPrefix(got.Plan.Name, "a1") {
				t.Errorf("got the plan %+v", got.Plan)
			}
			wantVerbs(t, b, "asked UASK")
			if in := b.last()["wish"]; in != or(c.line, "enable "+or(c.names, "shop cart")) {
				t.Errorf("the ledger tells of %q, want %q", in, or(c.line, "enable "+or(c.names, "shop cart")))
			}
			if parts, _ := b.last()["parts"].([]any); len(parts) != len(got.Parts) {
				t.Errorf("the ledger tells of %v, want each app", parts)
			}
			if e := b.entries()[0]; e.App != "" || e.Ticket != "T-1" {
				t.Errorf("got an entry about app %q and %s, want no app and T-1", e.App, e.Ticket)
			}
			if work := b.work(approval.WorkExpire); !slices.Equal(work, []string{"T-1"}) {
				t.Errorf("got work %v, want T-1 to expire", work)
			}
			if why, err := b.Proof(t.Context(), b.ticket("T-1")); why != "" || err != nil {
				t.Errorf("got no proof of it: %q, %v", why, err)
			}
		})
	}
}

// TestAskManyWrong is for mistakes of the program, which are no answers to people.
func TestAskManyWrong(t *testing.T) {
	for name, wrong := range map[string]func(b *bench, a *approval.AskMany){
		"no origin":      func(_ *bench, a *approval.AskMany) { a.Origin = "" },
		"nobody":         func(_ *bench, a *approval.AskMany) { a.By = approval.Person{} },
		"no app":         func(_ *bench, a *approval.AskMany) { a.Apps = nil },
		"one app":        func(_ *bench, a *approval.AskMany) { a.Apps = a.Apps[:1] },
		"another's plan": func(_ *bench, a *approval.AskMany) { a.Apps[0].Plan = a.Apps[1].Plan },
		"an edited hash": func(_ *bench, a *approval.AskMany) { a.Apps[1].Plan.Hash = "0" },
		"nothing to do of one": func(b *bench, a *approval.AskMany) {
			b.setTown("cart standard-1x web=2 affinity preboot")
			*a = b.manyFor("shop cart", "UASK")
		},
		"refused one": func(b *bench, a *approval.AskMany) {
			b.setTown("cart basic web=1")
			*a = b.manyFor("shop cart", "UASK")
		},
		"another verb": func(b *bench, a *approval.AskMany) {
			w := plan.Wish{Verb: plan.ToScale, Web: 3}
			app := a.Apps[1].App
			a.Apps[1].Wish, a.Apps[1].Plan = w, plan.For(app, b.policy.For(app), w, b.now)
		},
		"by another policy": func(b *bench, _ *approval.AskMany) { b.setPolicy(everyday + "limits: { web_dynos: 11 }") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.setTown("shop", "cart")
			a := b.manyFor("shop cart", "UASK")
			wrong(b, &a)
			_, made, err := b.AskMany(t.Context(), a)
			if _, ok := errors.AsType[*approval.No](err); err == nil || ok || made {
				t.Errorf("got %v, made %v, want an error that is no No", err, made)
			}
			wantVerbs(t, b, "")
		})
	}
}

// TestAskManyTwice asks a second time, in all the ways in which that can be.
func TestAskManyTwice(t *testing.T) {
	for name, c := range map[string]struct {
		then   string // default "shop cart"
		by     string // default UASK
		before func(b *bench)
		want   string
	}{
		"the same":          {want: "T-1"},
		"by another":        {by: "UASK2", want: "T-1"},
		"another canary":    {then: "cart shop", want: "T-2"},
		"one more":          {then: "shop cart till", want: "T-2"},
		"others":            {then: "shop till", want: "T-2"},
		"denied":            {before: func(b *bench) { b.deny("T-1", "UYES") }, want: "T-2"},
		"approved":          {before: func(b *bench) { b.approve("T-1", "UYES") }, want: "T-1"},
		"one app changed":   {before: func(b *bench) { b.setTown("cart standard-1x web=1 affinity preboot") }, want: "T-2"},
		"expired":           {before: func(b *bench) { b.after(24 * time.Hour) }, want: "T-2"},
		"a deploy since":    {before: func(b *bench) { b.setTown("cart standard-1x web=1 affinity released=1m") }, want: "T-1"},
		"the policy's word": {before: func(b *bench) { b.setPolicy(everyday + "limits: { web_dynos: 11 }") }, want: "T-2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.setTown("shop", "cart", "till")
			b.askMany("shop cart", "UASK")
			if c.before != nil {
				c.before(b)
			}
			got, made, err := b.AskMany(t.Context(), b.manyFor(or(c.then, "shop cart"), or(c.by, "UASK")))
			if err != nil || got.ID != c.want || made != (c.want == "T-2") {
				t.Errorf("got %s, made %v, %v, want %s", got.ID, made, err, c.want)
			}
		})
	}
}

// TestAskManyReplayed delivers one request again and again, also at the same moment, and
// with other apps in it.
func TestAskManyReplayed(t *testing.T) {
	b := newBench(t, everyday)
	b.setTown("shop", "cart", "till")
	a := b.manyFor("shop cart", "UASK")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, _, err := b.AskMany(t.Context(), a); err != nil || got.ID != "T-1" {
				t.Errorf("got %s, %v, want T-1", got.ID, err)
			}
		})
	}
	wg.Wait()
	b.deny("T-1", "UYES")
	a.Apps = append(a.Apps, b.manyFor("till", "UASK").Apps...)
	if got, made, err := b.AskMany(t.Context(), a); err != nil || made || got.ID != "T-1" || len(got.Parts) != 2 || got.State != approval.Denied {
		t.Errorf("got %s %s with %d parts, made %v, %v, want T-1 as it is", got.ID, got.State, len(got.Parts), made, err)
	}
	single := b.askOf("shop", "enable", "UASK")
	single.Origin = a.Origin
	if got, made, err := b.Ask(t.Context(), single); err != nil || made || got.ID != "T-1" {
		t.Errorf("got %s, made %v, %v, want T-1", got.ID, made, err)
	}
	a.By = person("UASK2")
	if got, _, err := b.AskMany(t.Context(), a); err == nil {
		t.Errorf("somebody else got %s with the same request", got.ID)
	}
	wantVerbs(t, b, "asked UASK, denied UYES")
}

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

// TestManyStops: what a batch that ended early did not begin counts no more.
func TestManyStops(t *testing.T) {
	b := newBench(t, everyday)
	b.setTown("shop", "cart")
	b.askMany("shop cart", "UASK")
	b.approve("T-1", "UYES")
	b.begin("T-1")
	part := b.part("T-1")
	if part.ID != "T-2" || part.Of != "T-1" {
		t.Fatalf("got %s of %q, want T-2 of T-1", part.ID, part.Of)
	}
	b.tell("T-1", ledger.Stopped, approval.Stopped)
	for name, want := range map[string]int{"shop": 2, "cart": 1} {
		if got, _, err := b.Ask(t.Context(), b.askOf(name, "web=3", "UASK2")); err != nil || got.Approvals != want {
			t.Errorf("%s needs %d approvals, %v, want %d", name, got.Approvals, err, want)
		}
	}
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

// Whoever asks for several apps can leave the bot's own out.
func TestChangeable(t *testing.T) {
	b := newBench(t, everyday)
	if err := b.Changeable(t.Context(), b.app); err != nil {
		t.Errorf("got %v, want nil: it is not the bot's", err)
	}
	b.noSelf = errors.New("x")
	wantNo(t, b.Changeable(t.Context(), b.app), "could not find out which app I run on myself")
	b.noSelf, b.self = nil, b.app.ID
	wantNo(t, b.Changeable(t.Context(), b.app), "`shop` is the app that I run on myself")
	wantVerbs(t, b, "")
}
