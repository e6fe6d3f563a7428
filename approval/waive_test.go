package approval_test

import (
	"context"
	"database/sql"
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
	"example.com/zdd/policy"
)

// strict is everyday with waivers that somebody else has to approve.
const strict = everyday + "waivers: { approval: required }\n"

// counter is a bench with a desk for waivers.
type counter struct {
	*bench
	*approval.Waivers
	forged   []string // what was told to Forged
	still    bool     // what Still answers
	stillErr error
}

func newCounter(t *testing.T, yaml string) *counter {
	t.Helper()
	c := &counter{bench: newBench(t, yaml)}
	c.Waivers = c.waivers("")
	return c
}

func (c *counter) waivers(readOnly string) *approval.Waivers {
	return approval.NewWaivers(approval.WaiversConfig{
		Desk: c.desk(readOnly), Store: c.store, Checks: []string{"web-dynos", "preboot"},
		Forged: func(_ context.Context, w policy.Waiver, why string) { c.forged = append(c.forged, w.ID+": "+why) },
		Still: func(context.Context, policy.Waiver) (bool, string, error) {
			return c.still, "Preboot is off", c.stillErr
		},
	})
}

// want is a request that is granted as everyday has it: preboot, for 30 days, by UASK.
func (c *counter) want(with ...func(a *approval.WaiveFor)) approval.WaiveFor {
	c.origin++
	a := approval.WaiveFor{
		App: fleettest.App("standard-1x").ID, Name: "shop", Check: "preboot", Reason: policy.AcceptedRisk, Text: "it is <fine>",
		Until: c.now.AddDate(0, 0, 30), By: person("UASK"), Channel: "C0", Origin: fmt.Sprint("waive-", c.origin),
	}
	for _, w := range with {
		w(&a)
	}
	return a
}

// waive makes a waiver, or ends the test.
func (c *counter) waive(with ...func(a *approval.WaiveFor)) policy.Waiver {
	c.t.Helper()
	w, made, err := c.Waivers.Ask(c.t.Context(), c.want(with...))
	if err != nil || !made {
		c.t.Fatalf("waive: %v, made %v: %s", err, made, w.ID)
	}
	return w
}

func (c *counter) waiver(id string) policy.Waiver {
	c.t.Helper()
	w, err := c.store.Waiver(c.t.Context(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	return w
}

// holding are the ids of what holds of the app.
func (c *counter) holding() string {
	c.t.Helper()
	held, err := c.Holding(c.t.Context(), fleettest.App("standard-1x").ID)
	if err != nil {
		c.t.Fatal(err)
	}
	var ids []string
	for _, w := range held {
		ids = append(ids, w.ID)
	}
	return strings.Join(ids, " ")
}

func TestAskWaiver(t *testing.T) {
	for name, c := range map[string]struct {
		policy string // default everyday
		with   func(a *approval.WaiveFor)
		before func(c *counter)
		no     string // empty: it is granted
		state  policy.WaiverState
		verbs  string
	}{
		"at once":              {state: policy.WaiverActive, verbs: "waived UASK"},
		"with an approval":     {policy: strict, state: policy.WaiverPending, verbs: "waiver-asked UASK"},
		"by a group":           {with: func(a *approval.WaiveFor) { a.By = person("UOPS") }, state: policy.WaiverActive, verbs: "waived UOPS"},
		"no operator":          {with: func(a *approval.WaiveFor) { a.By = person("UANY") }, no: "`people.operators` does not name you"},
		"another workspace":    {with: func(a *approval.WaiveFor) { a.By.Team = "TX" }, no: "of another workspace"},
		"a guest":              {before: func(c *counter) { c.kinds["UASK"] = "a guest" }, no: "a guest"},
		"Slack is away":        {before: func(c *counter) { c.noKinds = errors.New("away") }, no: "could not find out from Slack who you are"},
		"nothing may change":   {before: func(c *counter) { c.Waivers = c.waivers("I can look but not change anything.") }, no: "I can look"},
		"no such check":        {with: func(a *approval.WaiveFor) { a.Check = "pre`boot" }, no: "There is no check `preboot`. Nothing was waived. The checks are `web-dynos`, `preboot`."},
		"all checks":           {with: func(a *approval.WaiveFor) { a.Check = "*" }, no: "no check `*`"},
		"no such reason":       {with: func(a *approval.WaiveFor) { a.Reason = "busy" }, no: "`busy` is no reason"},
		"a time that is over":  {with: func(a *approval.WaiveFor) { a.Until = a.Until.AddDate(0, 0, -31) }, no: "is over already, so nothing was waived"},
		"this very moment":     {with: func(a *approval.WaiveFor) { a.Until = a.Until.AddDate(0, 0, -30) }, no: "is over already"},
		"no time":              {with: func(a *approval.WaiveFor) { a.Until = time.Time{} }, no: "is over already"},
		"as long as there is":  {with: func(a *approval.WaiveFor) { a.Until = a.Until.AddDate(0, 0, 60) }, state: policy.WaiverActive, verbs: "waived UASK"},
		"longer":               {with: func(a *approval.WaiveFor) { a.Until = a.Until.AddDate(0, 0, 61) }, no: "at the most (`waivers.longest`)"},
		"for ever":             {with: func(a *approval.WaiveFor) { a.Until = a.Until.AddDate(900, 0, 0) }, no: "is longer. Nothing was waived"},
		"a migration of weeks": {with: func(a *approval.WaiveFor) { a.Reason = policy.MigrationWindow }, no: "A `migration-window` holds until"},
		"a migration of a week": {
			with:  func(a *approval.WaiveFor) { a.Reason, a.Until = policy.MigrationWindow, a.Until.AddDate(0, 0, -23) },
			state: policy.WaiverActive, verbs: "waived UASK"},
		"nobody could approve": {
			policy: "people: { operators: [UASK] }\nwaivers: { approval: required }", no: "`people.approvers` is empty"},
		"only oneself could": {
			policy: "people: { operators: [UASK], approvers: [UASK] }\nwaivers: { approval: required }", no: "names only you"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.policy == "" {
				c.policy = everyday
			}
			b := newCounter(t, c.policy)
			if c.before != nil {
				c.before(b)
			}
			a := b.want()
			if c.with != nil {
				c.with(&a)
			}
			w, made, err := b.Waivers.Ask(t.Context(), a)
			if c.no != "" {
				wantNo(t, err, c.no)
				wantVerbs(t, b.bench, "")
				return
			}
			if err != nil || !made || w.State != c.state || w.ID != "W-1" || !w.Until.Equal(a.Until) {
				t.Fatalf("got %s %s, made %t, %v, want W-1 %s", w.ID, w.State, made, err, c.state)
			}
			wantVerbs(t, b.bench, c.verbs)
			if got := b.work(approval.WorkWaiver); !slices.Equal(got, []string{"W-1"}) || b.woken == 0 {
				t.Errorf("got work %q, woken %d times", got, b.woken)
			}
			// The same request makes no second one; somebody else's can't be the same.
			again, made, err := b.Waivers.Ask(t.Context(), a)
			if err != nil || made || again.ID != w.ID {
				t.Errorf("again: got %s, made %t, %v, want W-1", again.ID, made, err)
			}
			a.By = person("UASK2")
			if _, _, err := b.Waivers.Ask(t.Context(), a); err == nil || !strings.Contains(err.Error(), "somebody else's") {
				t.Errorf("by another: got %v, want an error", err)
			}
			// Nor does the same wish of the same person.
			a.By, a.Origin = person(w.By), "another"
			if again, made, err := b.Waivers.Ask(t.Context(), a); err != nil || made || again.ID != w.ID {
				t.Errorf("the same again: got %s, made %t, %v, want W-1", again.ID, made, err)
			}
			wantVerbs(t, b.bench, c.verbs)
		})
	}
}

// A person rings the approvers for so many waivers at a time.
func TestAskWaiversOneTooMany(t *testing.T) {
	b := newCounter(t, strict)
	for i := range 20 {
		b.waive(func(a *approval.WaiveFor) { a.Until = a.Until.Add(-time.Duration(i) * time.Hour) })
	}
	_, _, err := b.Waivers.Ask(t.Context(), b.want(func(a *approval.WaiveFor) { a.Check = "web-dynos" }))
	wantNo(t, err, "You have 20 waivers that wait for an approval already")
	if _, made, err := b.Waivers.Ask(t.Context(), b.want(func(a *approval.WaiveFor) { a.By = person("UASK2") })); err != nil || !made {
		t.Errorf("another one: got %t, %v, want theirs", made, err)
	}
	b.after(24 * time.Hour) // nobody decided
	b.waive(func(a *approval.WaiveFor) { a.Check = "web-dynos" })
}

func TestApproveWaiver(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		before func(c *counter)
		by     string // default UYES
		no     string
		state  policy.WaiverState
		verbs  string // after "waiver-asked UASK, "
	}{
		"an approver":  {state: policy.WaiverActive, verbs: "waived UYES"},
		"by a group":   {by: "UFIN", state: policy.WaiverActive, verbs: "waived UFIN"},
		"no approver":  {by: "UANY", no: "`people.approvers` does not name you", state: policy.WaiverPending, verbs: "refused UANY"},
		"who asked":    {by: "UASK", no: "You asked for this, so another approver has to decide", state: policy.WaiverPending, verbs: "refused UASK"},
		"a guest":      {before: func(c *counter) { c.kinds["UYES"] = "a guest" }, no: "a guest", state: policy.WaiverPending, verbs: "refused UYES"},
		"groups away":  {by: "UFIN", before: func(c *counter) { c.noGroups = errors.New("away") }, no: "could not read from Slack who is in them", state: policy.WaiverPending, verbs: "refused UFIN"},
		"too late":     {before: func(c *counter) { c.after(24 * time.Hour) }, no: "Nobody decided on `W-1` in time", state: policy.WaiverExpired, verbs: "waiver-expired zdd"},
		"just in time": {before: func(c *counter) { c.after(24*time.Hour - time.Millisecond) }, state: policy.WaiverActive, verbs: "waived UYES"},
		"denied": {before: func(c *counter) { c.deny("W-1", "UYES2") }, no: "was denied already", state: policy.WaiverDenied,
			verbs: "waiver-denied UYES2, refused UYES"},
		"withdrawn": {before: func(c *counter) { c.endIt("W-1", "UASK") }, no: "was cancelled already", state: policy.WaiverCancelled,
			verbs: "unwaived UASK, refused UYES"},
		"who asked may no longer": {
			before: func(c *counter) { c.setPolicy(strings.Replace(strict, "UASK, UASK2, SOPS", "UASK2", 1)) },
			no:     "is no longer among the operators. Nothing was waived", state: policy.WaiverCancelled, verbs: "unwaived zdd"},
		"who asked has left": {
			before: func(c *counter) { c.kinds["UASK"] = "deactivated" }, no: "by now deactivated. Nothing was waived", state: policy.WaiverCancelled, verbs: "unwaived zdd"},
		"the policy is stricter by now": {
			before: func(c *counter) { c.setPolicy(strict + "\n#"); c.policy.Waivers.Longest = 10 * 24 * time.Hour },
			no:     "`waivers.longest`", state: policy.WaiverPending, verbs: "refused UYES"},
		"self-approval": {
			policy: "people: { operators: [UASK], approvers: [UASK] }\napproval: { self_approval: true }\nwaivers: { approval: required }",
			by:     "UASK", state: policy.WaiverActive, verbs: "waived UASK"},
		"altered meanwhile": {
			before: func(c *counter) {
				c.tamperWaiver("W-1", func(w *policy.Waiver) { w.Until = w.Until.AddDate(0, 0, 30) })
			},
			no: "its record in the database was altered. Nothing was waived", state: policy.WaiverCancelled, verbs: "unwaived zdd"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.policy == "" {
				c.policy = strict
			}
			b := newCounter(t, c.policy)
			b.waive()
			if got := b.holding(); got != "" {
				t.Errorf("before the decision %s holds", got)
			}
			if c.before != nil {
				c.before(b)
			}
			by := c.by
			if by == "" {
				by = "UYES"
			}
			w, err := b.Waivers.Approve(t.Context(), "w1", person(by))
			if c.no != "" {
				wantNo(t, err, c.no)
			} else if err != nil {
				t.Error(err)
			}
			if w.State != c.state || b.waiver("W-1").State != c.state {
				t.Errorf("got %s, stored %s, want %s", w.State, b.waiver("W-1").State, c.state)
			}
			wantVerbs(t, b.bench, "waiver-asked UASK, "+c.verbs)
			want := ""
			if c.state == policy.WaiverActive {
				want = "W-1"
				if again, err := b.Waivers.Approve(t.Context(), "W-1", person(by)); err != nil || again.Rev != w.Rev {
					t.Errorf("a second click: got rev %d, %v, want %d", again.Rev, err, w.Rev)
				}
				if !w.From.Equal(b.now) || len(w.Votes) != 1 {
					t.Errorf("it holds from %s by %v, want from %s", w.From, w.Votes, b.now)
				}
			}
			if got := b.holding(); got != want {
				t.Errorf("got %q to hold, want %q", got, want)
			}
			if len(b.forged) > 0 {
				t.Errorf("forged: %q", b.forged)
			}
		})
	}
}

func (c *counter) deny(id, user string) {
	c.t.Helper()
	if _, err := c.Waivers.Deny(c.t.Context(), id, person(user), "not now"); err != nil {
		c.t.Fatal(err)
	}
}

func TestDenyWaiver(t *testing.T) {
	b := newCounter(t, strict)
	b.waive()
	_, err := b.Waivers.Deny(t.Context(), "W-1", person("UASK"), "mine")
	wantNo(t, err, "`people.approvers` does not name you")
	w, err := b.Waivers.Deny(t.Context(), "w-1", person("UYES"), "  put it \x00right ")
	if err != nil || w.State != policy.WaiverDenied || w.Why != "put it  right" || w.DecidedBy != "UYES" {
		t.Errorf("got %s, %q by %s, %v", w.State, w.Why, w.DecidedBy, err)
	}
	if _, err := b.Waivers.Deny(t.Context(), "W-1", person("UYES"), ""); err != nil {
		t.Errorf("a second click: %v", err)
	}
	_, err = b.Waivers.Deny(t.Context(), "W-1", person("UYES2"), "")
	wantNo(t, err, "was denied already")
	wantVerbs(t, b.bench, "waiver-asked UASK, refused UASK, waiver-denied UYES, refused UYES2")
	_, err = b.Waivers.Deny(t.Context(), "W-7", person("UYES"), "")
	wantNo(t, err, "There is no waiver `W-7`")
	_, err = b.Waivers.Deny(t.Context(), "T-1", person("UYES"), "")
	wantNo(t, err, "Waivers are called like `W-3`")
	if got, err := b.Waivers.Deny(t.Context(), "W-1", approval.Person{}, ""); err == nil {
		t.Errorf("nobody denies: got %+v", got)
	}
}

func (c *counter) approveIt(id string) {
	c.t.Helper()
	if _, err := c.Waivers.Approve(c.t.Context(), id, person("UYES")); err != nil {
		c.t.Fatal(err)
	}
}

// TestWaiversAtOnce has several people ask, approve and end the same at the same moment.
func TestWaiversAtOnce(t *testing.T) {
	b := newCounter(t, strict)
	b.waive()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch i % 4 {
			case 0, 1:
				_, _ = b.Waivers.Approve(t.Context(), "W-1", person([]string{"UYES", "UYES2"}[i%2]))
			case 2:
				_, _ = b.Waivers.Deny(t.Context(), "W-1", person("UFIN"), "")
			default:
				_, _ = b.Due(t.Context(), "W-1")
			}
		})
	}
	wg.Wait()
	w := b.waiver("W-1")
	if decided := strings.Count(b.verbs(), "waived U") + strings.Count(b.verbs(), ledger.WaiverDenied); decided != 1 || w.Rev != 2 {
		t.Errorf("it was decided %d times, rev %d: %s", decided, w.Rev, b.verbs())
	}
	if got, want := b.holding(), w.State == policy.WaiverActive; (got == "W-1") != want {
		t.Errorf("%s: got %q to hold", w.State, got)
	}
}

func TestParseWaiverID(t *testing.T) {
	for text, want := range map[string]string{
		"W-3": "W-3", "w-3": "W-3", "w3": "W-3", "`W-3`": "W-3", " W-003 ": "W-3",
		"": "", "W-": "", "W-0": "", "W--1": "", "W-1x": "", "3": "", "#3": "", "T-3": "", "t3": "", "W-99999999999999999999": "", "W-1 W-2": "", "web": "",
	} {
		if got, ok := approval.ParseWaiverID(text); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, ok, want)
		}
		if _, ticket := approval.ParseID(text); ticket && want != "" {
			t.Errorf("%q is a waiver and a ticket", text)
		}
	}
}

// TestCheckWaiver holds every pair of states, and what never changes.
func TestCheckWaiver(t *testing.T) {
	may := map[policy.WaiverState]string{policy.WaiverPending: "active denied cancelled expired", policy.WaiverActive: "ended expired replaced"}
	states := []policy.WaiverState{
		policy.WaiverPending, policy.WaiverActive, policy.WaiverDenied, policy.WaiverCancelled, policy.WaiverEnded, policy.WaiverExpired, policy.WaiverReplaced,
	}
	for _, from := range states {
		if from.Final() != (may[from] == "") {
			t.Errorf("%s: got final %t", from, from.Final())
		}
		for _, to := range append(states, "", policy.WaiverUnreadable) {
			want := from == to || to != "" && strings.Contains(" "+may[from]+" ", " "+string(to)+" ")
			if got := approval.CheckWaiver(policy.Waiver{ID: "W-1", State: from}, policy.Waiver{ID: "W-1", State: to}); (got == nil) != want {
				t.Errorf("%s → %s: got %v, want it allowed: %t", from, to, got, want)
			}
		}
	}
	begun := policy.Waiver{From: time.Unix(1, 0)}
	for name, change := range map[string]func(*policy.Waiver){
		"id": func(w *policy.Waiver) { w.ID = "W-2" }, "rev": func(w *policy.Waiver) { w.Rev = 9 }, "origin": func(w *policy.Waiver) { w.Origin = "x" },
		"owner": func(w *policy.Waiver) { w.By = "U9" }, "app": func(w *policy.Waiver) { w.App = fleet.ID("x") }, "check": func(w *policy.Waiver) { w.Check = "x" },
		"end": func(w *policy.Waiver) { w.Until = time.Now() }, "beginning": func(w *policy.Waiver) { w.From = time.Now() }, "age": func(w *policy.Waiver) { w.AskedAt = time.Now() },
		"reason": func(w *policy.Waiver) { w.Reason = policy.NotNeeded }, "text": func(w *policy.Waiver) { w.Text = "x" }, "need": func(w *policy.Waiver) { w.Approvals = 1 },
	} {
		after := begun
		change(&after)
		if err := approval.CheckWaiver(begun, after); err == nil {
			t.Errorf("another %s is allowed", name)
		}
	}
}

// lossy is a store whose connection breaks in a transaction: before it is committed, or
// after, when nobody learns of it.
type lossy struct {
	approval.WaiverStore
	before, after bool // what happens to the next one
}

func (s *lossy) Tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	before, after := s.before, s.after
	s.before, s.after = false, false
	err := s.WaiverStore.Tx(ctx, func(tx *sql.Tx) error {
		if err := do(tx); err != nil || !before {
			return err
		}
		return errors.New("the connection is lost")
	})
	if err == nil && after {
		return errors.New("commit: the connection is lost")
	}
	return err
}

// TestWaiverOverCrashes breaks each step of a waiver's life off, before its commit and
// after it, and repeats it: each is done once.
func TestWaiverOverCrashes(t *testing.T) {
	for name, c := range map[string]struct{ before, after bool }{"before": {before: true}, "after": {after: true}} {
		t.Run(name, func(t *testing.T) {
			b := newCounter(t, strict)
			store := &lossy{WaiverStore: b.store}
			b.still = true
			d := approval.NewWaivers(approval.WaiversConfig{
				Desk: b.Desk, Store: store, Checks: []string{"preboot"},
				Still: func(context.Context, policy.Waiver) (bool, string, error) { return b.still, "Preboot is off", nil },
			})
			twice := func(do func() error) {
				t.Helper()
				store.before, store.after = c.before, c.after
				if err := do(); err == nil {
					t.Error("got no error, want the connection's")
				}
				if err := do(); err != nil {
					t.Errorf("repeated: %v", err)
				}
			}
			ask := func(a approval.WaiveFor) {
				t.Helper()
				twice(func() error { _, _, err := d.Ask(t.Context(), a); return err })
			}
			approve := func(id string) {
				t.Helper()
				twice(func() error { _, err := d.Approve(t.Context(), id, person("UYES")); return err })
			}
			ask(b.want())
			approve("W-1")
			ask(b.want(func(a *approval.WaiveFor) { a.Reason, a.Until = policy.MigrationWindow, a.Until.AddDate(0, 0, -29) }))
			approve("W-2") // in place of W-1
			ask(b.want())
			twice(func() error { _, err := d.Deny(t.Context(), "W-3", person("UYES"), ""); return err })
			ask(b.want(func(a *approval.WaiveFor) { a.Until = a.Until.Add(time.Hour) }))
			twice(func() error { _, err := d.End(t.Context(), "W-4", person("UASK"), ""); return err })
			b.after(24 * time.Hour)
			twice(func() error { _, err := d.Due(t.Context(), "W-2"); return err })
			wantVerbs(t, b.bench, "waiver-asked UASK, waived UYES, waiver-asked UASK, waived UYES, unwaived zdd, waiver-asked UASK, waiver-denied UYES, "+
				"waiver-asked UASK, unwaived UASK, waiver-expired zdd")
			for id, want := range map[string]policy.WaiverState{
				"W-1": policy.WaiverReplaced, "W-2": policy.WaiverExpired, "W-3": policy.WaiverDenied, "W-4": policy.WaiverCancelled,
			} {
				if got := b.waiver(id).State; got != want {
					t.Errorf("%s is %s, want %s", id, got, want)
				}
			}
			if got := b.waiver("W-2").Still; got != "Preboot is off." {
				t.Errorf("got %q, want what its owner is reminded of", got)
			}
		})
	}
}
