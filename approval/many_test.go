package approval_test

import (
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
