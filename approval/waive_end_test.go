package approval_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

func (c *counter) endIt(id, user string) {
	c.t.Helper()
	if _, err := c.End(c.t.Context(), id, person(user), ""); err != nil {
		c.t.Fatal(err)
	}
}

func TestEndWaiver(t *testing.T) {
	readers := "people: { readers: [UREAD], operators: [UASK, UASK2], approvers: [UYES] }\n"
	for name, c := range map[string]struct {
		policy string // default everyday
		before func(c *counter)
		by     string
		no     string
		state  policy.WaiverState
	}{
		"its owner":                {by: "UASK", state: policy.WaiverEnded},
		"another operator":         {by: "UASK2", state: policy.WaiverEnded},
		"an approver":              {by: "UYES", state: policy.WaiverEnded},
		"anybody":                  {by: "UANY", no: "Only whoever asked for `W-1`, an operator or an approver can end it", state: policy.WaiverActive},
		"its owner, no operator":   {by: "UASK", before: func(c *counter) { c.setPolicy("people: { operators: [UASK2] }") }, state: policy.WaiverEnded},
		"a guest who asked for it": {by: "UASK", before: func(c *counter) { c.kinds["UASK"] = "a guest" }, no: "a guest", state: policy.WaiverActive},
		"groups away":              {by: "UOPS", before: func(c *counter) { c.noGroups = errors.New("away") }, no: "could not read from Slack who is in them", state: policy.WaiverActive},
		"past its end":             {by: "UASK", before: func(c *counter) { c.after(30 * 24 * time.Hour) }, no: "is over already", state: policy.WaiverActive},
		"pending, by anybody":      {policy: strict, by: "UANY", state: policy.WaiverCancelled},
		"pending, by a reader":     {policy: readers + "waivers: { approval: required }", by: "UREAD", state: policy.WaiverCancelled},
		"pending, by no reader":    {policy: readers + "waivers: { approval: required }", by: "UANY", no: "`people.readers` does not name you", state: policy.WaiverPending},
		"pending, and too late":    {policy: strict, by: "UASK", before: func(c *counter) { c.after(25 * time.Hour) }, no: "Nobody decided", state: policy.WaiverExpired},
	} {
		t.Run(name, func(t *testing.T) {
			if c.policy == "" {
				c.policy = everyday
			}
			b := newCounter(t, c.policy)
			b.waive()
			if c.before != nil {
				c.before(b)
			}
			w, err := b.End(t.Context(), "W-1", person(c.by), "over it")
			if c.no != "" {
				wantNo(t, err, c.no)
			} else if err != nil || w.Why != "over it" || w.DecidedBy != c.by || !w.EndedAt.Equal(b.now) {
				t.Errorf("got %q by %s at %s, %v", w.Why, w.DecidedBy, w.EndedAt, err)
			}
			if got := b.waiver("W-1").State; got != c.state {
				t.Errorf("got %s, want %s", got, c.state)
			}
			if c.no == "" {
				if _, err := b.End(t.Context(), "W-1", person(c.by), ""); err != nil {
					t.Errorf("repeated: %v", err)
				}
				if got := b.holding(); got != "" {
					t.Errorf("%s still holds", got)
				}
			}
		})
	}
}

// TestRenewWaiver: a renewal is another waiver with a decision of its own, and takes the
// place of the one before when it begins.
func TestRenewWaiver(t *testing.T) {
	b := newCounter(t, strict)
	longer := func(a *approval.WaiveFor) { a.Until = a.Until.AddDate(0, 0, 20) }
	b.waive()
	if _, err := b.Waivers.Approve(t.Context(), "W-1", person("UYES")); err != nil {
		t.Fatal(err)
	}
	b.waive(longer)
	b.waive(func(a *approval.WaiveFor) { a.Check = "web-dynos" })
	b.waive(func(a *approval.WaiveFor) { a.App = "fedcba98-7654-4321-8f01-23456789abcd" })
	if got := b.holding(); got != "W-1" {
		t.Errorf("got %q, want W-1 to hold until the decision", got)
	}
	for _, id := range []string{"W-2", "W-3", "W-4"} {
		if _, err := b.Waivers.Approve(t.Context(), id, person("UYES")); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.holding(); got != "W-3 W-2" {
		t.Errorf("got %q, want W-3 and W-2, the one that ends first at the front", got)
	}
	if old := b.waiver("W-1"); old.State != policy.WaiverReplaced || old.Replaced != "W-2" || !old.EndedAt.Equal(b.waiver("W-2").From) {
		t.Errorf("got W-1 %s by %q at %s, want it replaced by W-2", old.State, old.Replaced, old.EndedAt)
	}
	if _, err := b.End(t.Context(), "W-1", person("UASK"), ""); err == nil {
		t.Error("what was replaced was ended")
	} else {
		wantNo(t, err, "`W-2` has taken the place of `W-1`")
	}
	open, err := b.Open(t.Context())
	if err != nil || len(open) != 3 {
		t.Errorf("got %d open, %v, want W-2, W-3 and W-4", len(open), err)
	}
	of, err := b.Of(t.Context(), "fedcba98-7654-4321-8f01-23456789abcd")
	if err != nil || len(of) != 1 || of[0].ID != "W-4" {
		t.Errorf("got %v, %v, want W-4", of, err)
	}
	rules, err := b.Rules(t.Context(), fleettest.App("standard-1x"))
	if w, ok := rules.Waived(fleettest.App("standard-1x").ID, "preboot", b.now); err != nil || !ok || w.ID != "W-2" {
		t.Errorf("got %s, %t, %v, want W-2", w.ID, ok, err)
	}
}

func TestWaiverDue(t *testing.T) {
	window := func(a *approval.WaiveFor) { a.Reason, a.Until = policy.MigrationWindow, a.Until.AddDate(0, 0, -29) }
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		policy string
		with   func(a *approval.WaiveFor)
		before func(c *counter)
		after  time.Duration
		state  policy.WaiverState
		still  string
		next   time.Duration // from the asking; 0: never
		err    string
	}{
		"not yet":                     {after: day, state: policy.WaiverActive, next: 30 * day},
		"a millisecond before":        {after: 30*day - time.Millisecond, state: policy.WaiverActive, next: 30 * day},
		"its end":                     {after: 30 * day, state: policy.WaiverExpired},
		"nobody decided":              {policy: strict, after: day, state: policy.WaiverExpired},
		"nobody has decided yet":      {policy: strict, after: day / 2, state: policy.WaiverPending, next: day},
		"decided, and then its time":  {policy: strict, before: func(c *counter) { c.approveIt("W-1") }, after: day, state: policy.WaiverActive, next: 30 * day},
		"denied":                      {policy: strict, before: func(c *counter) { c.deny("W-1", "UYES") }, after: day, state: policy.WaiverDenied},
		"ended before":                {before: func(c *counter) { c.endIt("W-1", "UASK") }, after: 30 * day, state: policy.WaiverEnded},
		"a migration, still off":      {with: window, before: func(c *counter) { c.still = true }, after: day, state: policy.WaiverExpired, still: "Preboot is off."},
		"a migration, on again":       {with: window, after: day, state: policy.WaiverExpired},
		"still off, and no migration": {before: func(c *counter) { c.still = true }, after: 30 * day, state: policy.WaiverExpired},
		"a migration, not to be read": {with: window, before: func(c *counter) { c.stillErr = errors.New("Heroku is away") }, after: day, state: policy.WaiverActive, err: "Heroku is away"},
		"not to be read for an hour": {
			with: window, before: func(c *counter) { c.stillErr = errors.New("Heroku is away") }, after: day + time.Hour, state: policy.WaiverExpired,
			still: "Whether it was put right I could not read from Heroku, an hour long."},
		"a migration, renewed as another": {
			with: window, before: func(c *counter) {
				c.still = true
				c.after(day)
				c.waive()
				c.after(-day)
			}, after: day, state: policy.WaiverExpired},
		"a migration that nobody asked for": {
			with: window, before: func(c *counter) {
				c.still = true
				c.tamperWaiver("W-1", func(w *policy.Waiver) { w.By = "UOTHER" })
			}, after: day, state: policy.WaiverExpired},
	} {
		t.Run(name, func(t *testing.T) {
			if c.policy == "" {
				c.policy = everyday
			}
			b := newCounter(t, c.policy)
			asked := b.now
			if c.with == nil {
				c.with = func(*approval.WaiveFor) {}
			}
			b.waive(c.with)
			if c.before != nil {
				c.before(b)
			}
			b.after(c.after)
			for range 2 { // a repeat changes nothing
				next, err := b.Due(t.Context(), "W-1")
				if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				want := time.Time{}
				if c.next > 0 {
					want = asked.Add(c.next)
				}
				if w := b.waiver("W-1"); w.State != c.state || w.Still != c.still || !next.Equal(want) {
					t.Errorf("got %s, still %q, next %s, want %s, %q, %s", w.State, w.Still, next, c.state, c.still, want)
				}
			}
			expired := strings.Count(b.verbs(), ledger.WaiverExpired)
			if (expired == 1) != (c.state == policy.WaiverExpired) || expired > 1 {
				t.Errorf("the ledger tells %s", b.verbs())
			}
		})
	}
	b := newCounter(t, everyday)
	if next, err := b.Due(t.Context(), "W-9"); err != nil || !next.IsZero() {
		t.Errorf("no such waiver: got %s, %v", next, err)
	}
}

// TestOutlasting: a policy that becomes stricter ends no waiver that holds, and those that
// it would not let begin are told.
func TestOutlasting(t *testing.T) {
	for name, tt := range map[string]struct {
		policy string
		want   string
	}{
		"as before":            {everyday, ""},
		"an approval":          {strict, "W-1 W-2"},
		"not as long":          {everyday + "waivers: { longest: 15d }\n", "W-2"},
		"not for what is left": {everyday + "waivers: { longest: 5d }\n", "W-1 W-2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t, everyday)
			c.waive(func(a *approval.WaiveFor) { a.Until = c.now.AddDate(0, 0, 20) })
			c.waive(func(a *approval.WaiveFor) { a.Check = "web-dynos" })
			c.setPolicy(strict)
			c.waive(func(a *approval.WaiveFor) { a.App = "another" }) // waits
			c.after(10 * 24 * time.Hour)
			c.setPolicy(tt.policy)
			all, err := c.Outlasting(t.Context())
			var ids []string
			for _, w := range all {
				ids = append(ids, w.ID)
			}
			if got := strings.Join(ids, " "); got != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if got := c.holding(); got != "W-1 W-2" {
				t.Errorf("got %q holding, want both", got)
			}
		})
	}
}
