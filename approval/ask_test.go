package approval_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		policy    string // default everyday
		app       string // default standard-1x web=1 affinity
		wish      string // default enable
		by        string // default UASK
		team      string
		before    func(b *bench)
		no        string
		approvals int
		why       string // in the ticket's Why
		own       bool
	}{
		"an operator":            {approvals: 1, why: "It costs $25.00 a month more: web 1 → 2 standard-1x."},
		"by a group":             {by: "UOPS", approvals: 1},
		"nobody may ask":         {policy: "people: { approvers: [UYES] }", no: "`people.operators` is empty"},
		"no operator":            {by: "UYES", no: "people:\n  operators: [UASK, UASK2, SOPS, UYES]"},
		"group unreadable":       {by: "UOPS", before: func(b *bench) { b.noGroups = errors.New("x") }, no: "could not read from Slack who is in them"},
		"by id all the same":     {before: func(b *bench) { b.noGroups = errors.New("x") }, approvals: 1},
		"a guest":                {before: func(b *bench) { b.kinds["UASK"] = "a guest in this workspace" }, no: "a guest in this workspace"},
		"another team":           {team: "TEVIL", no: "another workspace"},
		"Slack is away":          {before: func(b *bench) { b.noKinds = errors.New("x") }, no: "could not find out from Slack who you are"},
		"nobody could approve":   {policy: "people: { operators: [UASK] }", no: "people:\n  approvers: [UASK]\napproval:\n  self_approval: true"},
		"only the requester":     {policy: "people: { operators: [UASK], approvers: [UASK] }", no: "names only you"},
		"a group could":          {policy: "people: { operators: [UASK], approvers: [UASK, SFIN] }", approvals: 1},
		"self-approval":          {policy: "people: { operators: [UASK] }\napproval: { self_approval: true }", approvals: 1, own: true},
		"self-approval by name":  {policy: "people: { operators: [UASK], approvers: [UYES, UASK] }\napproval: { self_approval: true }", approvals: 1, own: true},
		"self-approval, maybe":   {policy: "people: { operators: [UASK], approvers: [SFIN] }\napproval: { self_approval: true }", approvals: 1, own: true},
		"of others only":         {policy: "people: { operators: [UASK], approvers: [UYES] }\napproval: { self_approval: true }", approvals: 1},
		"the bot's own app":      {before: func(b *bench) { b.self = b.app.ID }, no: "`shop` is the app that I run on myself"},
		"no word on its own app": {before: func(b *bench) { b.noSelf = errors.New("x") }, no: "could not find out which app I run on myself"},
		"too few for the quorum": {policy: "people: { operators: [UASK], approvers: [UYES, UASK] }\napproval: { quorum: [{ above: 20, approvals: 2 }] }", no: "needs 2 approvals, and the policy names only 1 person"},
		"the quorum":             {wish: "web=4", approvals: 2, why: "comes to $75.00 a month, so 2 people have to approve"},
		"at the quorum's edge":   {policy: "people: { operators: [UASK], approvers: [UYES] }\napproval: { quorum: [{ above: 25, approvals: 2 }] }", approvals: 1},
		"unknown price": {
			policy: "people: { operators: [UASK], approvers: [UYES, UYES2, UYES3] }\napproval: { quorum: [{ above: 100, approvals: 2 }, { above: 500, approvals: 3 }] }",
			app:    "standard-1x web=1 affinity sizes=?", approvals: 3, why: "as many people have to approve as the policy asks for at the most: 3"},
		"fewer dynos":                     {app: "standard-1x web=4 affinity", wish: "web=3", approvals: 1, why: "It leaves less capacity"},
		"preboot off":                     {app: "standard-1x web=2 affinity preboot", wish: "preboot=off", approvals: 1, why: "It takes protection away"},
		"preboot on":                      {app: "standard-1x web=2 affinity", wish: "preboot=on"},
		"affinity on, without any policy": {policy: "people: { operators: [UASK] }", app: "standard-1x web=1", wish: "affinity=on"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			b.setApp(or(c.app, "standard-1x web=1 affinity"))
			if c.before != nil {
				c.before(b)
			}
			a := b.askFor(or(c.wish, "enable"), or(c.by, "UASK"))
			a.By.Team = or(c.team, "TUS")
			got, made, err := b.Ask(t.Context(), a)
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
			if got.ID != "T-1" || got.State != approval.Pending || got.Approvals != c.approvals || (got.Approvals == 0) != (len(got.Why) == 0) {
				t.Errorf("got %s %s with %d approvals because %q, want T-1 pending with %d", got.ID, got.State, got.Approvals, got.Why, c.approvals)
			}
			if got.Own != c.own {
				t.Errorf("got own voice %v, want %v", got.Own, c.own)
			}
			if !strings.Contains(strings.Join(got.Why, "\n"), c.why) {
				t.Errorf("got why %q, want %q", got.Why, c.why)
			}
			if got.ExpiresAt.Sub(got.CreatedAt) != 24*time.Hour || got.Requester != a.By.ID || got.Team != "TUS" || got.Channel != "C0" || got.Policy != b.policy.Digest() {
				t.Errorf("got %+v", got)
			}
			wantVerbs(t, b, "asked "+a.By.ID)
			if in, _ := b.last()["wish"].(string); in != a.Wish.Line("shop") {
				t.Errorf("the ledger tells of %q, want %q", in, a.Wish.Line("shop"))
			}
			if work := b.work(approval.WorkExpire); !slices.Equal(work, []string{"T-1"}) {
				t.Errorf("got work %v, want T-1 to expire", work)
			}
		})
	}
}

// TestAskWrong is for mistakes of the program, which are no answers to people.
func TestAskWrong(t *testing.T) {
	for name, wrong := range map[string]func(b *bench, a *approval.AskFor){
		"no origin":      func(_ *bench, a *approval.AskFor) { a.Origin = "" },
		"nobody":         func(_ *bench, a *approval.AskFor) { a.By = approval.Person{} },
		"another wish":   func(_ *bench, a *approval.AskFor) { a.Wish = plan.Wish{Verb: plan.ToScale, Web: 5} },
		"another app":    func(_ *bench, a *approval.AskFor) { a.App.ID = "fedcba98-7654-4321-8f01-23456789abcd" },
		"an edited hash": func(_ *bench, a *approval.AskFor) { a.Plan.Hash = "0" },
		"nothing to do": func(b *bench, a *approval.AskFor) {
			b.setApp("standard-1x web=2 affinity preboot")
			*a = b.askFor("enable", "UASK")
		},
		"refused":           func(b *bench, a *approval.AskFor) { b.setApp("basic web=1"); *a = b.askFor("enable", "UASK") },
		"by another policy": func(b *bench, _ *approval.AskFor) { b.setPolicy(everyday + "limits: { web_dynos: 11 }") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			a := b.askFor("enable", "UASK")
			wrong(b, &a)
			_, made, err := b.Ask(t.Context(), a)
			if _, ok := errors.AsType[*approval.No](err); err == nil || ok || made {
				t.Errorf("got %v, made %v, want an error that is no No", err, made)
			}
			wantVerbs(t, b, "")
		})
	}
}

// TestAskTwice asks a second time, in all the ways in which that can be.
func TestAskTwice(t *testing.T) {
	const alone = "people: { operators: [UASK, UASK2] }\napproval: { self_approval: true }"
	for name, c := range map[string]struct {
		policy string
		app    string
		wish   string // of both
		then   string // the second wish; default the same
		by     string // of the second; default UASK
		before func(b *bench)
		want   string
	}{
		"the same":                     {want: "T-1"},
		"by another":                   {by: "UASK2", want: "T-1"},
		"by another, self-approval":    {policy: alone, by: "UASK2", want: "T-2"},
		"the same, self-approval":      {policy: alone, want: "T-1"},
		"another wish":                 {then: "web=2", want: "T-2"},
		"the app changed":              {before: func(b *bench) { b.setApp("standard-1x web=1 affinity preboot") }, want: "T-2"},
		"denied":                       {before: func(b *bench) { b.deny("T-1", "UYES") }, want: "T-2"},
		"approved":                     {before: func(b *bench) { b.approve("T-1", "UYES") }, want: "T-1"},
		"approved, asked by another":   {before: func(b *bench) { b.approve("T-1", "UYES") }, by: "UASK2", want: "T-1"},
		"it runs":                      {before: func(b *bench) { b.approve("T-1", "UYES"); b.run("T-1") }, want: "T-2"},
		"approved and expired":         {before: func(b *bench) { b.approve("T-1", "UYES"); b.after(24 * time.Hour) }, want: "T-2"},
		"expired":                      {before: func(b *bench) { b.after(24 * time.Hour) }, want: "T-2"},
		"one's own word":               {app: "standard-1x web=2 affinity", want: "T-1"},
		"another's word is one's own":  {app: "standard-1x web=2 affinity", by: "UASK2", want: "T-2"},
		"a deploy since":               {before: func(b *bench) { b.setApp("standard-1x web=1 affinity released=1m") }, want: "T-1"},
		"the policy changed meanwhile": {before: func(b *bench) { b.setPolicy(everyday + "limits: { web_dynos: 11 }") }, want: "T-2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			b.setApp(or(c.app, "standard-1x web=1 affinity"))
			b.ask(or(c.wish, "enable"), "UASK")
			if c.before != nil {
				c.before(b)
			}
			got, made, err := b.Ask(t.Context(), b.askFor(or(c.then, or(c.wish, "enable")), or(c.by, "UASK")))
			if err != nil || got.ID != c.want || made != (c.want == "T-2") {
				t.Errorf("got %s, made %v, %v, want %s", got.ID, made, err, c.want)
			}
		})
	}
}

// TestSameOrigin delivers one request again, after its ticket was decided and while an
// equal one of another request waits.
func TestSameOrigin(t *testing.T) {
	b := newBench(t, everyday)
	a := b.askFor("enable", "UASK")
	for range 2 {
		if got, _, err := b.Ask(t.Context(), a); err != nil || got.ID != "T-1" {
			t.Fatalf("got %s, %v, want T-1", got.ID, err)
		}
	}
	b.deny("T-1", "UYES")
	b.ask("enable", "UASK")
	b.kinds["UASK"] = "deactivated" // it was accepted when they were not
	if got, made, err := b.Ask(t.Context(), a); err != nil || made || got.ID != "T-1" || got.State != approval.Denied {
		t.Errorf("got %s %s, made %v, %v, want T-1 as it is", got.ID, got.State, made, err)
	}
	a.By = person("UASK2")
	if got, _, err := b.Ask(t.Context(), a); err == nil {
		t.Errorf("somebody else got %s with the same request", got.ID)
	}
}

// TestAskAtOnce has many ask for the same at once: one ticket.
func TestAskAtOnce(t *testing.T) {
	b := newBench(t, everyday)
	var wg sync.WaitGroup
	for range 8 {
		a := b.askFor("enable", "UASK")
		wg.Go(func() {
			if got, _, err := b.Ask(t.Context(), a); err != nil || got.ID != "T-1" {
				t.Errorf("got %s, %v, want T-1", got.ID, err)
			}
		})
	}
	wg.Wait()
	wantVerbs(t, b, "asked UASK")
}

func TestDo(t *testing.T) {
	const alone = "people: { operators: [UASK] }\napproval: { self_approval: true }"
	for name, c := range map[string]struct {
		policy string // default everyday
		wish   string // default preboot=on, which needs no approval
		before func(b *bench)
		by     string // default UASK
		tried  string // default do
		no     string
		verbs  string
		state  approval.State
		self   bool
	}{
		"the requester":               {verbs: "approved UASK", state: approval.Approved},
		"by approving it":             {tried: "approve", verbs: "approved UASK", state: approval.Approved},
		"twice":                       {before: func(b *bench) { b.do("T-1", "UASK") }, verbs: "approved UASK", state: approval.Approved},
		"somebody else":               {by: "UASK2", no: "`Do it`", verbs: "refused UASK2", state: approval.Pending},
		"an approver":                 {by: "UYES", tried: "approve", no: "needs no approval", verbs: "refused UYES", state: approval.Pending},
		"expired":                     {before: func(b *bench) { b.after(24 * time.Hour) }, no: "expired", verbs: "expired zdd", state: approval.Expired},
		"no operator any more":        {policy: "people: { operators: [SOPS] }", before: func(b *bench) { b.groups = nil }, no: "no longer among the operators", verbs: "stale zdd", state: approval.Stale},
		"the app changed":             {before: func(b *bench) { b.setApp("standard-1x web=3 affinity") }, no: "has changed", verbs: "stale zdd", state: approval.Stale},
		"the app can't be read":       {before: func(b *bench) { b.appErr = errors.New("x") }, no: "try again in a minute", verbs: "refused UASK", state: approval.Pending},
		"it needs an approval":        {wish: "web=2", no: "another approver has to decide", verbs: "refused UASK", state: approval.Pending},
		"another's, with approval":    {wish: "web=2", by: "UYES", no: "/zdd approve T-1", verbs: "refused UYES", state: approval.Pending},
		"self-approval":               {policy: alone, wish: "web=2", verbs: "approved UASK", state: approval.Approved, self: true},
		"self-approval, by approve":   {policy: alone, wish: "web=2", tried: "approve", verbs: "approved UASK", state: approval.Approved, self: true},
		"self-approval, twice":        {policy: alone, wish: "web=2", before: func(b *bench) { b.do("T-1", "UASK") }, verbs: "approved UASK", state: approval.Approved, self: true},
		"self-approval is no other's": {policy: alone, wish: "web=2", by: "UANY", tried: "approve", no: "`people.approvers` is empty", verbs: "refused UANY", state: approval.Pending},
		"self-approval, not an approver": {
			policy: "people: { operators: [UASK], approvers: [UYES] }\napproval: { self_approval: true }", wish: "web=2",
			no: "approvers: [UYES, UASK]", verbs: "refused UASK", state: approval.Pending},
		"self-approval is one voice": {
			policy: "people: { operators: [UASK], approvers: [UASK, UYES] }\napproval: { self_approval: true, quorum: [{ above: 20, approvals: 2 }] }", wish: "web=2",
			verbs: "voted UASK", state: approval.Pending, self: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			b.setApp("standard-1x web=1 affinity")
			b.ask(or(c.wish, "preboot=on"), "UASK")
			if c.before != nil {
				c.before(b)
			}
			var err error
			by := person(or(c.by, "UASK"))
			if c.tried == "approve" {
				_, _, err = b.Approve(t.Context(), "T-1", by)
			} else {
				_, err = b.Do(t.Context(), "T-1", by)
			}
			if c.no != "" {
				wantNo(t, err, c.no)
			} else if err != nil {
				t.Error(err)
			}
			got := b.ticket("T-1")
			if got.State != c.state {
				t.Errorf("got %s, want %s", got.State, c.state)
			}
			wantVerbs(t, b, "asked UASK, "+c.verbs)
			if work := b.work(approval.WorkApply); (len(work) == 1) != (c.state == approval.Approved) {
				t.Errorf("got work %v", work)
			}
			if c.self && (len(got.Votes) != 1 || !got.Votes[0].Self || b.last()["self"] != true) {
				t.Errorf("got votes %+v, and %v in the ledger: a self-approval has to be told", got.Votes, b.last())
			}
		})
	}
}

func (b *bench) do(id, user string) {
	b.t.Helper()
	if _, err := b.Do(b.t.Context(), id, person(user)); err != nil {
		b.t.Fatal(err)
	}
}

// TestQuorum needs two voices, and loses some of them.
func TestQuorum(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("web=4", "UASK") // $75.00, above 60
	vote := func(user string, want approval.Outcome, state approval.State) {
		t.Helper()
		got, outcome, err := b.Approve(t.Context(), "T-1", person(user))
		if err != nil || outcome != want || got.State != state {
			t.Errorf("%s: got %q, %s, %v, want %q, %s", user, outcome, got.State, err, want, state)
		}
	}
	vote("UFIN", approval.Counted, approval.Pending)
	vote("UFIN", approval.Repeated, approval.Pending)
	wantVerbs(t, b, "asked UASK, voted UFIN")

	// The group is emptied: that voice is gone, and another one makes it one again.
	b.groups["SFIN"] = nil
	vote("UYES", approval.Counted, approval.Pending)
	if votes := b.ticket("T-1").Votes; len(votes) != 1 || votes[0].User != "UYES" {
		t.Errorf("got votes %+v, want that of UYES", votes)
	}
	if dropped, _ := b.last()["votes_dropped"].(map[string]any); dropped["UFIN"] != "no longer among the approvers" {
		t.Errorf("the ledger tells of %v, want UFIN dropped", dropped)
	}
	// Whether the one before is still here can't be found out.
	b.kinds["UYES"] = "deactivated"
	vote("UYES2", approval.Counted, approval.Pending)
	b.kinds["UYES"] = ""
	vote("UYES", approval.Decided, approval.Approved)
	wantVerbs(t, b, "asked UASK, voted UFIN, voted UYES, voted UYES2, approved UYES")
	if work := b.work(approval.WorkApply); !slices.Equal(work, []string{"T-1"}) {
		t.Errorf("got work %v, want T-1", work)
	}
}

// TestVoterUnread can't find out whether an earlier voter is still an approver.
func TestVoterUnread(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("web=4", "UASK")
	b.approve("T-1", "UFIN")
	b.noGroups = errors.New("x")
	_, _, err := b.Approve(t.Context(), "T-1", person("UYES"))
	wantNo(t, err, "user groups")
	if got := b.ticket("T-1"); got.State != approval.Pending || len(got.Votes) != 1 {
		t.Errorf("got %s with %d votes, want pending with 1", got.State, len(got.Votes))
	}
}

// TestIncreasesAddUp scales five times by one, each below the quorum.
func TestIncreasesAddUp(t *testing.T) {
	for name, c := range map[string]struct {
		between func(b *bench, id string) // after each approval
		want    []int                     // approvals of T-1, T-2, …, each a dyno of $25.00 more
	}{
		"done":             {func(b *bench, id string) { b.end(id, approval.Done, 2) }, []int{1, 1, 2, 2}},
		"cancelled, late":  {func(b *bench, id string) { b.end(id, approval.Stopped, 1) }, []int{1, 1, 2, 2}},
		"cancelled, early": {func(b *bench, id string) { b.end(id, approval.Stopped, 0) }, []int{1, 1, 1, 1}},
		"failed":           {func(b *bench, id string) { b.end(id, approval.Failed, 1) }, []int{1, 1, 2, 2}},
		"over days":        {func(b *bench, id string) { b.end(id, approval.Done, 2); b.after(84 * time.Hour) }, []int{1, 1, 2, 2}},
		"over weeks":       {func(b *bench, id string) { b.end(id, approval.Done, 2); b.after(85 * time.Hour) }, []int{1, 1, 1, 1}},
		"never run":        {func(b *bench, id string) { b.cancel(id, "UASK") }, []int{1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			var got []int
			for n := range c.want {
				b.setApp(fmt.Sprintf("standard-1x web=%d affinity", n+1))
				ticket := b.ask(fmt.Sprintf("web=%d", n+2), []string{"UASK", "UASK2"}[n%2])
				got = append(got, ticket.Approvals)
				b.approve(ticket.ID, "UYES")
				if ticket.Approvals > 1 {
					b.approve(ticket.ID, "UYES2")
				}
				c.between(b, ticket.ID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v approvals, want %v", got, c.want)
			}
		})
	}
}

// TestQuorumRises has two tickets wait that need one approval each, and the first one's
// take the second over the amount.
func TestQuorumRises(t *testing.T) {
	b := newBench(t, everyday)
	one, two := b.ask("web=2", "UASK"), b.ask("web=3", "UASK2")
	if one.Approvals != 1 || two.Approvals != 1 {
		t.Fatalf("got %d and %d approvals, want 1 and 1", one.Approvals, two.Approvals)
	}
	b.approve("T-1", "UYES")
	got, outcome, err := b.Approve(t.Context(), "T-2", person("UYES"))
	if err != nil || outcome != approval.Counted || got.Approvals != 2 || !strings.Contains(strings.Join(got.Why, " "), "$75.00") {
		t.Errorf("got %q, %d approvals because %q, %v, want one of 2 counted", outcome, got.Approvals, got.Why, err)
	}
	b.approve("T-2", "UYES2")
	if got := b.last(); got["approvals_needed"] != 2.0 || got["increases_7d_cents"] != 7500.0 {
		t.Errorf("the ledger tells of %v", got)
	}
	// An unknown increase before makes the sum unknown.
	b.setApp("standard-1x web=3 affinity sizes=?")
	if got := b.ask("web=4", "UASK"); got.Approvals != 2 {
		t.Errorf("got %d approvals, want 2", got.Approvals)
	}
	b.approve("T-3", "UYES")
	b.approve("T-3", "UYES2")
	b.after(6 * 24 * time.Hour)
	b.setApp("standard-1x web=4 affinity")
	if got := b.ask("web=5", "UASK"); got.Approvals != 2 || !strings.Contains(got.Why[1], "not known") {
		t.Errorf("got %d approvals because %q, want 2", got.Approvals, got.Why)
	}
	// What adds nothing needs one, whatever was added before.
	if got := b.ask("web=3", "UASK"); got.Approvals != 1 {
		t.Errorf("got %d approvals, want 1", got.Approvals)
	}
}

func TestPending(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("web=2", "UASK")
	b.after(12 * time.Hour)
	for _, w := range []string{"web=3", "web=4", "web=5", "web=6", "web=7"} {
		b.ask(w, "UASK")
	}
	b.approve("T-2", "UYES")
	b.deny("T-3", "UYES")
	b.cancel("T-4", "UYES")
	b.after(12 * time.Hour) // T-1 is over, and nobody has said so yet
	all, err := b.Pending(t.Context())
	var ids []string
	for _, ticket := range all {
		ids = append(ids, ticket.ID)
	}
	if want := []string{"T-6", "T-5", "T-2"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("got %v, %v, want %v", ids, err, want)
	}
}

// TestExpire runs on the fake clock: the job comes early, late and twice.
func TestExpire(t *testing.T) {
	path := filepath.Join(ramdir.New(t), "zdd.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		b := &bench{t: t, store: s, kinds: map[string]string{}}
		b.setPolicy(everyday)
		b.setApp("standard-1x web=1 affinity")
		b.Desk = approval.NewDesk(approval.DeskConfig{Store: s, Apps: b, People: b, Policy: func() policy.Policy { return b.policy }})
		b.ask("enable", "UASK")
		b.ask("web=2", "UASK")
		b.approve("T-2", "UYES")

		time.Sleep(24*time.Hour - time.Second)
		if err := b.Expire(t.Context(), "T-1"); err == nil || !strings.Contains(err.Error(), "T-1 expires in 1s only") {
			t.Errorf("too early: got %v, want an error", err)
		}
		time.Sleep(time.Second)
		for range 2 {
			for _, id := range []string{"T-1", "T-2"} {
				if err := b.Expire(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		}
		if err := b.Expire(t.Context(), "T-3"); !errors.Is(err, approval.ErrNoTicket) {
			t.Errorf("got %v, want ErrNoTicket", err)
		}
		one, two := b.ticket("T-1"), b.ticket("T-2")
		if one.State != approval.Expired || one.Rev != 2 || !strings.Contains(one.Outcome, "`/zdd enable shop`") || two.State != approval.Approved || two.Rev != 2 {
			t.Errorf("got %s rev %d (%q) and %s rev %d, want expired and approved, both rev 2", one.State, one.Rev, one.Outcome, two.State, two.Rev)
		}
		wantVerbs(t, b, "asked UASK, asked UASK, approved UYES, expired zdd")
		_, _, err = b.Approve(t.Context(), "T-1", person("UYES"))
		wantNo(t, err, "expired")
	})
}
