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
)

// TestApprove clicks Approve on T-1, enable shop by UASK: one web dyno more.
func TestApprove(t *testing.T) {
	for name, c := range map[string]struct {
		policy string // default everyday
		app    string
		before func(b *bench) // between the asking and the click
		by     string         // default UYES
		team   string         // default TUS
		no     string         // what the No says; empty: none
		state  approval.State
		verbs  string // after "asked UASK, "; default by state
	}{
		"an approver": {state: approval.Approved},
		"by a group":  {by: "UFIN", state: approval.Approved},
		"by id though groups can't be read": {
			before: func(b *bench) { b.noGroups = errors.New("plan_upgrade_required") }, state: approval.Approved},
		"by a group that can't be read": {
			by: "UFIN", before: func(b *bench) { b.noGroups = errors.New("plan_upgrade_required") },
			no: "could not read from Slack who is in them", state: approval.Pending, verbs: "refused UFIN"},
		"the group was emptied": {
			by: "UFIN", before: func(b *bench) { b.groups = nil },
			no: "people:\n  approvers: [UYES, UYES2, SFIN, UFIN]", state: approval.Pending, verbs: "refused UFIN"},
		"no approver":   {by: "UOPS", no: "approvers: [UYES, UYES2, SFIN, UOPS]", state: approval.Pending, verbs: "refused UOPS"},
		"the requester": {by: "UASK", no: "another approver has to decide", state: approval.Pending, verbs: "refused UASK"},
		"the requester, an approver too": {
			policy: "people: { operators: [UASK], approvers: [UASK, UYES] }",
			by:     "UASK", no: "another approver has to decide", state: approval.Pending, verbs: "refused UASK"},
		"a guest":      {before: func(b *bench) { b.kinds["UYES"] = "a guest in this workspace" }, no: "This account is a guest", state: approval.Pending, verbs: "refused UYES"},
		"deactivated":  {before: func(b *bench) { b.kinds["UYES"] = "deactivated" }, no: "deactivated", state: approval.Pending, verbs: "refused UYES"},
		"another team": {team: "TEVIL", no: "of another workspace", state: approval.Pending, verbs: "refused UYES"},
		"Slack is away": {
			before: func(b *bench) { b.noKinds = errors.New("timeout") },
			no:     "could not find out from Slack who you are", state: approval.Pending, verbs: "refused UYES"},

		"just before it expires": {before: func(b *bench) { b.after(24*time.Hour - time.Millisecond) }, state: approval.Approved},
		"as it expires": {
			before: func(b *bench) { b.after(24 * time.Hour) },
			no:     "`T-1` expired, and nothing of it was done. Run `/zdd enable shop` again.", state: approval.Expired, verbs: "expired zdd"},
		"a guest after it expired": {
			before: func(b *bench) { b.after(25 * time.Hour); b.kinds["UYES"] = "a guest" },
			no:     "a guest", state: approval.Pending, verbs: "refused UYES"},
		"the clock was set back": {before: func(b *bench) { b.after(-time.Hour) }, state: approval.Approved},

		"the requester left": {
			before: func(b *bench) { b.kinds["UASK"] = "deactivated" },
			no:     "whoever asked for T-1 is by now deactivated. Nothing was changed. To ask for it anew: `/zdd enable shop`.", state: approval.Stale, verbs: "stale zdd"},
		"the requester's group can't be read": {
			policy: "people: { operators: [SOPS], approvers: [UYES] }",
			before: func(b *bench) { b.noGroups = errors.New("ratelimited") },
			no:     "could not read from Slack who is in them", state: approval.Pending, verbs: "refused UYES"},

		"the app went up": {
			before: func(b *bench) { b.setApp("standard-1x web=6 affinity") },
			no:     "`web` was 1 × standard-1x and is 6 × standard-1x", state: approval.Stale, verbs: "stale zdd"},
		"the size changed": {
			before: func(b *bench) { b.setApp("standard-2x web=1 affinity") },
			no:     "`web` was 1 × standard-1x and is 1 × standard-2x", state: approval.Stale, verbs: "stale zdd"},
		"affinity is off": {
			before: func(b *bench) { b.setApp("standard-1x web=1") },
			no:     "a setting of `shop` that no step is about", state: approval.Stale, verbs: "stale zdd"},
		"preboot is on": {
			before: func(b *bench) { b.setApp("standard-1x web=1 affinity preboot") },
			no:     "preboot was off and is on", state: approval.Stale, verbs: "stale zdd"},
		"web is gone": {
			before: func(b *bench) { b.setApp("standard-1x worker=1 affinity") },
			no:     "no process type web", state: approval.Stale, verbs: "stale zdd"},
		"somebody did it": {
			before: func(b *bench) { b.setApp("standard-1x web=2 affinity preboot") },
			no:     "`web` was 1 × standard-1x and is 2 × standard-1x", state: approval.Stale, verbs: "stale zdd"},
		"an autoscaler came": {
			app: "performance-m web=1 affinity", before: func(b *bench) { b.setApp("performance-m web=1 affinity scaler=1-5") },
			policy: "people: { operators: [UASK], approvers: [UYES] }",
			no:     "Heroku's autoscaler runs from 1 to 5 web dynos", state: approval.Stale, verbs: "stale zdd"},
		"a deploy in between": {before: func(b *bench) { b.setApp("standard-1x web=1 affinity released=1m") }, state: approval.Approved},
		"a worker more":       {before: func(b *bench) { b.setApp("standard-1x web=1 worker=3 affinity") }, state: approval.Approved},
		"another price": {
			before: func(b *bench) { b.price(fleet.Known(fleet.Money(3000))) },
			no:     "it was $25.00 a month more, and is $30.00", state: approval.Stale, verbs: "stale zdd"},
		"the price is gone": {
			before: func(b *bench) { b.price(fleet.Unknown[fleet.Money](unpriced())) },
			no:     "can't be read again", state: approval.Pending, verbs: "refused UYES"},
		"the prices unread":     {before: func(b *bench) { b.setApp("standard-1x web=1 affinity sizes=?") }, no: "could not read the prices", state: approval.Pending, verbs: "refused UYES"},
		"the formation unread":  {before: func(b *bench) { b.setApp("standard-1x affinity formation=?") }, no: "could not read the formation", state: approval.Pending, verbs: "refused UYES"},
		"the features unread":   {before: func(b *bench) { b.setApp("standard-1x web=1 features=?") }, no: "could not read the features", state: approval.Pending, verbs: "refused UYES"},
		"the add-ons unread":    {before: func(b *bench) { b.setApp("standard-1x web=1 affinity addons=?") }, no: "could not read the add-ons", state: approval.Pending, verbs: "refused UYES"},
		"the dynos unread":      {before: func(b *bench) { b.setApp("standard-1x web=1 affinity dynos=? release=?") }, state: approval.Approved},
		"prices and web at six": {before: func(b *bench) { b.setApp("standard-1x web=6 affinity sizes=?") }, no: "and is 6", state: approval.Stale, verbs: "stale zdd"},
		"Heroku is away": {
			before: func(b *bench) { b.appErr = &fleet.Problem{Kind: fleet.Unavailable, Op: "read"} },
			no:     "could not read `shop` on Heroku again (Heroku did not answer). Nothing was decided", state: approval.Pending, verbs: "refused UYES"},
		"the app is gone": {
			before: func(b *bench) { b.appErr = &fleet.Problem{Kind: fleet.NotFound, Op: "read"} },
			no:     "One that is called `shop` by now is another app. Nothing was changed", state: approval.Stale, verbs: "stale zdd"},
		"another app of that name": {
			before: func(b *bench) { b.app.ID = "fedcba98-7654-4321-8f01-23456789abcd" },
			no:     "another app", state: approval.Pending, verbs: "refused UYES"},
		"the policy changed": {
			before: func(b *bench) { b.setPolicy(everyday + "rollout: { settle: 7m }") },
			no:     "The policy has changed since T-1 was asked for", state: approval.Stale, verbs: "stale zdd"},
		"a limit came": {
			before: func(b *bench) { b.setPolicy(everyday + "limits: { monthly_increase: 10 }") },
			no:     "The policy has changed", state: approval.Stale, verbs: "stale zdd"},
		"self-approval came": {
			before: func(b *bench) {
				b.setPolicy("people: { operators: [UASK], approvers: [UASK] }\napproval: { self_approval: true }")
			}, by: "UASK",
			no: "The policy has changed", state: approval.Stale, verbs: "stale zdd"},

		"denied before": {
			before: func(b *bench) { b.deny("T-1", "UYES2") },
			no:     "was denied already", state: approval.Denied, verbs: "denied UYES2, refused UYES"},
		"cancelled before": {
			before: func(b *bench) { b.cancel("T-1", "UANY") },
			no:     "was cancelled already", state: approval.Cancelled, verbs: "cancelled UANY, refused UYES"},
		"approved before": {
			before: func(b *bench) { b.approve("T-1", "UYES2") },
			no:     "is approved already", state: approval.Approved, verbs: "approved UYES2, refused UYES"},
		"approved by the same": {
			before: func(b *bench) { b.approve("T-1", "UYES") }, state: approval.Approved, verbs: "approved UYES"},
		"done, approved by the same": {
			before: func(b *bench) { b.approve("T-1", "UYES"); b.end("T-1", approval.Done, 3) }, state: approval.Done, verbs: "approved UYES"},
		"done": {
			before: func(b *bench) { b.approve("T-1", "UYES2"); b.end("T-1", approval.Done, 3) },
			no:     "is done already", state: approval.Done, verbs: "approved UYES2, refused UYES"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			if c.app != "" {
				b.setApp(c.app)
			}
			made := b.ask("enable", "UASK")
			if made.ID != "T-1" || made.Approvals == 0 {
				t.Fatalf("got %s with %d approvals", made.ID, made.Approvals)
			}
			if c.before != nil {
				c.before(b)
			}
			team := or(c.team, "TUS")
			got, outcome, err := b.Approve(t.Context(), "t-1", approval.Person{ID: or(c.by, "UYES"), Team: team})
			if c.no == "" && err != nil {
				t.Fatal(err)
			}
			if c.no != "" {
				wantNo(t, err, c.no)
			}
			if stored := b.ticket("T-1"); stored.State != c.state || got.State != c.state || got.Rev != stored.Rev {
				t.Errorf("got %s, stored %s, want %s", got.State, stored.State, c.state)
			}
			want := or(c.verbs, "approved "+or(c.by, "UYES"))
			wantVerbs(t, b, "asked UASK, "+want)
			if c.no == "" && outcome != map[bool]approval.Outcome{true: approval.Decided, false: approval.Repeated}[c.verbs == ""] {
				t.Errorf("got outcome %q", outcome)
			}
			apply := strings.Contains(want, "approved ")
			if work := b.work(approval.WorkApply); slices.Contains(work, "T-1") != apply || len(work) > 1 {
				t.Errorf("got work %v, want some: %v", work, apply)
			}
			if c.state == approval.Stale && (got.Outcome == "" || got.DecidedAt.IsZero()) {
				t.Errorf("got outcome %q at %v, want why and when", got.Outcome, got.DecidedAt)
			}
		})
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func unpriced() fleet.Reason {
	return fleet.Reason{Kind: fleet.NotPriced, Text: "Heroku gives no price"}
}

// price gives standard-1x another price.
func (b *bench) price(p fleet.Value[fleet.Money]) {
	catalog, _ := b.app.Sizes.Get()
	catalog = slices.Clone(catalog)
	for i := range catalog {
		if catalog[i].Name == "standard-1x" {
			catalog[i].Price = p
		}
	}
	b.app.Sizes = fleet.Known(catalog)
}

func (b *bench) deny(id, user string) {
	b.t.Helper()
	if _, err := b.Deny(b.t.Context(), id, person(user), "no"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) cancel(id, user string) {
	b.t.Helper()
	if _, err := b.Cancel(b.t.Context(), id, person(user)); err != nil {
		b.t.Fatal(err)
	}
}

func TestApproveTellsTheLedger(t *testing.T) {
	b := newBench(t, everyday)
	made := b.ask("enable", "UASK")
	b.approve("T-1", "UYES")
	got := b.last()
	for key, want := range map[string]any{
		"plan_hash": made.Plan.Hash, "increase_cents": 2500.0, "increases_7d_cents": 2500.0, "approvals_needed": 1.0,
	} {
		if got[key] != want {
			t.Errorf("%s: got %v, want %v", key, got[key], want)
		}
	}
	if votes, _ := got["votes"].([]any); len(votes) != 1 || got["self"] != nil {
		t.Errorf("got votes %v, self %v, want one that is not", votes, got["self"])
	}
	if b.woken == 0 {
		t.Error("nobody woke the queue")
	}
	last := b.entries()[1]
	if last.App != string(made.Plan.App) || last.Name != "shop" || last.Ticket != "T-1" || last.At.IsZero() {
		t.Errorf("got %+v, want the app, its name and the ticket", last)
	}
}

// TestApproveAtOnce has eight people approve in the same moment: one approval, one work.
func TestApproveAtOnce(t *testing.T) {
	b := newBench(t, "people: { operators: [UASK], approvers: [U01, U02, U03, U04, U05, U06, U07, U08] }")
	b.ask("enable", "UASK")
	var wg sync.WaitGroup
	outcomes := make(chan approval.Outcome, 8)
	for _, user := range b.policy.People.Approvers {
		wg.Go(func() {
			_, outcome, err := b.Approve(t.Context(), "T-1", person(user))
			if err != nil {
				if _, ok := errors.AsType[*approval.No](err); !ok {
					t.Error(err)
				}
				return
			}
			outcomes <- outcome
		})
	}
	wg.Wait()
	close(outcomes)
	var got []approval.Outcome
	for o := range outcomes {
		got = append(got, o)
	}
	if !slices.Equal(got, []approval.Outcome{approval.Decided}) {
		t.Errorf("got %v, want one that decided", got)
	}
	if ticket := b.ticket("T-1"); len(ticket.Votes) != 1 || ticket.Rev != 2 {
		t.Errorf("got %d votes, rev %d, want 1 and 2", len(ticket.Votes), ticket.Rev)
	}
	if work := b.work(approval.WorkApply); !slices.Equal(work, []string{"T-1"}) {
		t.Errorf("got work %v, want T-1", work)
	}
	if n := strings.Count(b.verbs(), "refused"); n != 7 {
		t.Errorf("got %d refusals in the ledger, want 7", n)
	}
}

// TestDecidedMeanwhile has somebody else decide while the app is read for a click.
func TestDecidedMeanwhile(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("enable", "UASK")
	b.onRead = func() {
		b.onRead = nil
		b.cancel("T-1", "UASK")
	}
	_, _, err := b.Approve(t.Context(), "T-1", person("UYES"))
	wantNo(t, err, "was cancelled already")
	wantVerbs(t, b, "asked UASK, cancelled UASK, refused UYES")
	if work := b.work(approval.WorkApply); work != nil {
		t.Errorf("got work %v, want none", work)
	}
}

// TestExpiredMeanwhile has the time run out while the app is read, and the clock set
// back while nothing was looked at.
func TestExpiredMeanwhile(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("enable", "UASK")
	b.onRead = func() { b.after(25 * time.Hour) }
	_, _, err := b.Approve(t.Context(), "T-1", person("UYES"))
	wantNo(t, err, "expired")
	wantVerbs(t, b, "asked UASK, expired zdd")
}

func TestContextEnds(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("enable", "UASK")
	ctx, cancel := context.WithCancel(t.Context())
	b.onRead = cancel
	_, _, err := b.Approve(ctx, "T-1", person("UYES"))
	if refused, ok := errors.AsType[*approval.No](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want context.Canceled", err, refused)
	}
	if _, err := b.Deny(ctx, "T-1", person("UFIN"), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	wantVerbs(t, b, "asked UASK")
}

func TestNoSuchTicket(t *testing.T) {
	b := newBench(t, everyday)
	for id, want := range map[string]string{"T-9": "no ticket `T-9`", "": "like `T-12`", "`<!channel>`": "like `T-12`", "T-99999999999999999999": "like `T-12`"} {
		_, _, err := b.Approve(t.Context(), id, person("UYES"))
		wantNo(t, err, want)
		_, err = b.Ticket(t.Context(), id)
		wantNo(t, err, want)
	}
	if _, _, err := b.Approve(t.Context(), "T-1", approval.Person{}); err == nil {
		t.Error("nobody approved something")
	}
	wantVerbs(t, b, "")
}

func TestReadOnly(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("enable", "UASK")
	d := b.desk("Nothing can be changed: `ZDD_LEDGER_KEY` is not set.")
	ctx, by := t.Context(), person("UYES")
	for name, do := range map[string]func() error{
		"ask":     func() error { _, _, err := d.Ask(ctx, b.askFor("enable", "UASK")); return err },
		"do":      func() error { _, err := d.Do(ctx, "T-1", by); return err },
		"approve": func() error { _, _, err := d.Approve(ctx, "T-1", by); return err },
		"deny":    func() error { _, err := d.Deny(ctx, "T-1", by, ""); return err },
		"cancel":  func() error { _, err := d.Cancel(ctx, "T-1", by); return err },
		"resume": func() error {
			_, _, err := d.Resume(ctx, approval.ResumeFor{Ticket: "T-1", By: by, Origin: "o"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantNo(t, do(), "`ZDD_LEDGER_KEY`") })
	}
	if why, err := d.StillAllowed(ctx, b.ticket("T-1")); err == nil || why != "" {
		t.Errorf("got %q, %v, want an error", why, err)
	}
	wantVerbs(t, b, "asked UASK")
}

func TestStillAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		before func(b *bench)
		why    string
		fails  bool
	}{
		"as before":         {},
		"left":              {before: func(b *bench) { b.kinds["UOPS"] = "deactivated" }, why: "deactivated"},
		"out of the group":  {before: func(b *bench) { b.groups = nil }, why: "no longer among the operators"},
		"groups unreadable": {before: func(b *bench) { b.noGroups = errors.New("x") }, fails: true},
		"Slack is away":     {before: func(b *bench) { b.noKinds = errors.New("x") }, fails: true},
		"in time":           {before: func(b *bench) { b.after(24*time.Hour - time.Second) }},
		"too old":           {before: func(b *bench) { b.after(24 * time.Hour) }, why: "approval has run out"},
		"the approver left": {before: func(b *bench) { b.kinds["UYES"] = "deactivated" }, why: "0 still count, and 1 are needed"},
		"no approver any more": {
			before: func(b *bench) { b.setPolicy(strings.ReplaceAll(everyday, "UYES, ", "")) }, why: "no longer among the approvers"},
		"too old, but it runs": {before: func(b *bench) { b.run("T-1"); b.after(48 * time.Hour); b.kinds["UYES"] = "deactivated" }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.ask("enable", "UOPS")
			b.approve("T-1", "UYES")
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

// TestRefusedAgain: who has no say can't fill the ledger by trying on and on; another
// person, another try or another reason is told.
func TestRefusedAgain(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("enable", "UASK")
	b.kinds["UX"] = "a guest"
	try := func(user string) {
		_, _, err := b.Approve(t.Context(), "T-1", person(user))
		wantNo(t, err, "")
	}
	for range 5 {
		try("UX")
		b.after(11 * time.Minute)
	}
	wantVerbs(t, b, "asked UASK, refused UX")
	b.kinds["UY"] = "a guest"
	try("UY")
	_, err := b.Deny(t.Context(), "T-1", person("UX"), "")
	wantNo(t, err, "a guest")
	b.kinds["UX"] = "deactivated"
	try("UX")
	wantVerbs(t, b, "asked UASK, refused UX, refused UY, refused UX, refused UX")
	b.after(time.Hour + time.Second)
	try("UY")
	wantVerbs(t, b, "asked UASK, refused UX, refused UY, refused UX, refused UX, refused UY")
}

// TestStillAllowedByMore: a vote too many is none that is missed, and people who can't
// be looked up are not taken for gone.
func TestStillAllowedByMore(t *testing.T) {
	b := newBench(t, everyday)
	b.setApp("performance-m web=1 affinity")
	b.ask("web=2", "UASK")
	b.approve("T-1", "UYES")
	b.approve("T-1", "UFIN")
	if why, err := b.StillAllowed(t.Context(), b.ticket("T-1")); why != "" || err != nil {
		t.Errorf("got %q, %v, want it allowed", why, err)
	}
	b.noGroups = errors.New("x") // UASK and UYES are named, UFIN is not
	if why, err := b.StillAllowed(t.Context(), b.ticket("T-1")); why != "" || err == nil {
		t.Errorf("got %q, %v, want an error", why, err)
	}
	b.noGroups, b.groups = nil, nil
	if why, err := b.StillAllowed(t.Context(), b.ticket("T-1")); !strings.Contains(why, "1 still count, and 2 are needed") || err != nil {
		t.Errorf("got %q, %v, want that one vote is missing", why, err)
	}
}

func TestDeny(t *testing.T) {
	for name, c := range map[string]struct {
		before func(b *bench)
		by     string
		no     string
		verbs  string
		state  approval.State
	}{
		"an approver":           {by: "UYES", verbs: "denied UYES", state: approval.Denied},
		"by a group":            {by: "UFIN", verbs: "denied UFIN", state: approval.Denied},
		"twice":                 {before: func(b *bench) { b.deny("T-1", "UYES") }, by: "UYES", verbs: "denied UYES", state: approval.Denied},
		"after another":         {before: func(b *bench) { b.deny("T-1", "UYES2") }, by: "UYES", no: "denied already", verbs: "denied UYES2, refused UYES", state: approval.Denied},
		"no approver":           {by: "UASK", no: "Anyone may cancel it: `/zdd cancel T-1`", verbs: "refused UASK", state: approval.Pending},
		"a guest":               {before: func(b *bench) { b.kinds["UYES"] = "a guest" }, by: "UYES", no: "a guest", verbs: "refused UYES", state: approval.Pending},
		"groups unreadable":     {before: func(b *bench) { b.noGroups = errors.New("x") }, by: "UFIN", no: "user groups", verbs: "refused UFIN", state: approval.Pending},
		"expired":               {before: func(b *bench) { b.after(24 * time.Hour) }, by: "UYES", no: "expired", verbs: "expired zdd", state: approval.Expired},
		"approved":              {before: func(b *bench) { b.approve("T-1", "UYES2") }, by: "UYES", no: "takes it back", verbs: "approved UYES2, refused UYES", state: approval.Approved},
		"the app can't be read": {before: func(b *bench) { b.appErr = errors.New("x") }, by: "UYES", verbs: "denied UYES", state: approval.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.ask("enable", "UASK")
			if c.before != nil {
				c.before(b)
			}
			got, err := b.Deny(t.Context(), "T-1", person(c.by), "not on a Friday")
			if c.no != "" {
				wantNo(t, err, c.no)
			} else if err != nil || got.DecidedBy != c.by || got.Outcome == "" || got.DecidedAt.IsZero() {
				t.Errorf("got %+v, %v", got, err)
			}
			if got.State != c.state {
				t.Errorf("got %s, want %s", got.State, c.state)
			}
			wantVerbs(t, b, "asked UASK, "+c.verbs)
		})
	}
}

// TestReasons keeps what people type from doing more than be read.
func TestReasons(t *testing.T) {
	for name, c := range map[string]struct{ reason, want string }{
		"mentions":  {"<!channel> `rm -rf` & <@U1>", "<!channel> `rm -rf` & <@U1>"},
		"lines":     {" a\r\nb\n", "a\nb"},
		"control":   {"a\x00b\x1bc\td", "a b c d"},
		"bad utf-8": {"a\xffb", "a\uFFFDb"},
		"long":      {strings.Repeat("ü", 10_000), strings.Repeat("ü", 2000) + "… (cut; it had 10000 characters)"},
		"just fits": {strings.Repeat("ü", 2000), strings.Repeat("ü", 2000)},
		"nothing":   {"", ""},
		"unseen":    {"a\u202eb\u2066c\u200bd\ufeff", "abcd"},
		"a key":     {"use HRKU-AAbb_cc-dd99 then", "use [redacted] then"},
		"a token":   {"xoxb-123-456-abc", "[redacted]"},
		"hidden":    {"HR\u200bKU-AAbb_cc-dd99", "[redacted]"},
		"at the cut": {
			strings.Repeat("u", 1990) + " HRKU-AAbb_cc-dd99", strings.Repeat("u", 1990) + " [redacted… (cut; it had 2001 characters)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.ask("enable", "UASK")
			got, err := b.Deny(t.Context(), "T-1", person("UYES"), c.reason)
			if err != nil || got.Reason != c.want {
				t.Errorf("got %q, %v, want %q", got.Reason, err, c.want)
			}
			if in, _ := b.last()["reason"].(string); in != c.want {
				t.Errorf("the ledger has %q, want %q", in, c.want)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	running := func(b *bench) {
		b.approve("T-1", "UYES")
		if _, err := b.store.ChangeTicket(b.t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
			t.State = approval.Running
			return approval.Change{}, nil
		}); err != nil {
			b.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		policy string
		before func(b *bench)
		by     string
		no     string
		verbs  string
		state  approval.State
		halt   string
	}{
		"the requester":        {by: "UASK", verbs: "cancelled UASK", state: approval.Cancelled},
		"anybody":              {by: "UANY", verbs: "cancelled UANY", state: approval.Cancelled},
		"twice":                {before: func(b *bench) { b.cancel("T-1", "UANY") }, by: "UANY", verbs: "cancelled UANY", state: approval.Cancelled},
		"after another":        {before: func(b *bench) { b.cancel("T-1", "UASK") }, by: "UANY", no: "cancelled already", verbs: "cancelled UASK, refused UANY", state: approval.Cancelled},
		"a guest":              {before: func(b *bench) { b.kinds["UANY"] = "a guest" }, by: "UANY", no: "a guest", verbs: "refused UANY", state: approval.Pending},
		"no reader":            {policy: strings.Replace(everyday, "{ operators", "{ readers: [UREAD], operators", 1), by: "UANY", no: "readers: [UREAD, UANY]", verbs: "refused UANY", state: approval.Pending},
		"a reader":             {policy: strings.Replace(everyday, "{ operators", "{ readers: [UREAD], operators", 1), by: "UREAD", verbs: "cancelled UREAD", state: approval.Cancelled},
		"an approver":          {policy: strings.Replace(everyday, "{ operators", "{ readers: [UREAD], operators", 1), by: "UYES", verbs: "cancelled UYES", state: approval.Cancelled},
		"approved":             {before: func(b *bench) { b.approve("T-1", "UYES") }, by: "UANY", verbs: "approved UYES, cancelled UANY", state: approval.Cancelled},
		"running":              {before: running, by: "UANY", verbs: "approved UYES, cancelled UANY", state: approval.Running, halt: "UANY"},
		"running, twice":       {before: func(b *bench) { running(b); b.cancel("T-1", "UASK") }, by: "UANY", verbs: "approved UYES, cancelled UASK", state: approval.Running, halt: "UASK"},
		"expired":              {before: func(b *bench) { b.after(24 * time.Hour) }, by: "UASK", no: "expired", verbs: "expired zdd", state: approval.Expired},
		"done":                 {before: func(b *bench) { b.approve("T-1", "UYES"); b.end("T-1", approval.Done, 3) }, by: "UASK", no: "done already", verbs: "approved UYES, refused UASK", state: approval.Done},
		"stopped":              {before: func(b *bench) { b.approve("T-1", "UYES"); b.end("T-1", approval.Stopped, 1) }, by: "UASK", no: "`/zdd resume T-1`", verbs: "approved UYES, refused UASK", state: approval.Stopped},
		"Heroku can't be read": {before: func(b *bench) { b.appErr = errors.New("x") }, by: "UANY", verbs: "cancelled UANY", state: approval.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			b.ask("enable", "UASK")
			if c.before != nil {
				c.before(b)
			}
			got, err := b.Cancel(t.Context(), "T-1", person(c.by))
			if c.no != "" {
				wantNo(t, err, c.no)
			} else if err != nil {
				t.Error(err)
			}
			if got.State != c.state || got.Halt != c.halt {
				t.Errorf("got %s, halt %q, want %s, %q", got.State, got.Halt, c.state, c.halt)
			}
			wantVerbs(t, b, "asked UASK, "+c.verbs)
		})
	}
}
