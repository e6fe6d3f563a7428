package approval_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// tamperWaiver writes a waiver into the database past the store, as who owns it can.
func (c *counter) tamperWaiver(id string, with func(w *policy.Waiver)) {
	c.t.Helper()
	w := c.waiver(id)
	with(&w)
	body, err := json.Marshal(w)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(id, string(w.State), string(w.App), string(body))
}

func (c *counter) write(id, state, app, body string) {
	c.t.Helper()
	err := c.store.Tx(c.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(c.t.Context(), `UPDATE waivers SET state = $1, app = $2, body = $3 WHERE n = $4`, state, app, body, strings.TrimPrefix(id, "W-"))
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// TestForgedWaivers is what somebody can make of a waiver who can write the database and
// has not the ledger's key: nothing that holds.
func TestForgedWaivers(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		before func(c *counter)
		tamper func(w *policy.Waiver)
		holds  bool
		why    string // empty: nobody is alarmed
	}{
		"as it was asked for":  {holds: true},
		"another name of it":   {before: func(c *counter) { c.after(time.Hour) }, holds: true},
		"a later end":          {tamper: func(w *policy.Waiver) { w.Until = w.Until.AddDate(0, 0, 30) }, why: "was altered"},
		"an earlier beginning": {tamper: func(w *policy.Waiver) { w.From = w.From.Add(-time.Hour) }, why: "was altered"},
		"another check":        {tamper: func(w *policy.Waiver) { w.Check = "web-dynos" }, why: "was altered"},
		"another reason":       {tamper: func(w *policy.Waiver) { w.Reason = policy.NotNeeded }, why: "was altered"},
		"another owner":        {tamper: func(w *policy.Waiver) { w.By = "UOTHER" }, why: "was altered"},
		"no approval needed":   {policy: strict, before: func(c *counter) { c.approveIt("W-1") }, tamper: func(w *policy.Waiver) { w.Approvals = 0 }, why: "was altered"},
		"another approver":     {policy: strict, before: func(c *counter) { c.approveIt("W-1") }, tamper: func(w *policy.Waiver) { w.Votes[0].User = "UFIN" }, why: "was altered"},
		"approved by nobody":   {policy: strict, tamper: func(w *policy.Waiver) { w.State, w.From = policy.WaiverActive, w.AskedAt }, why: "has W-1 as active, and the ledger does not"},
		"denied, and back":     {policy: strict, before: func(c *counter) { c.deny("W-1", "UYES") }, tamper: func(w *policy.Waiver) { w.State, w.From = policy.WaiverActive, w.AskedAt }, why: "has W-1 as active"},
		"ended, and back":      {before: func(c *counter) { c.endIt("W-1", "UASK") }, tamper: func(w *policy.Waiver) { w.State = policy.WaiverActive }, why: "has W-1 as active"},
		"replaced, and back": {
			before: func(c *counter) {
				c.waive(func(a *approval.WaiveFor) { a.Reason = policy.NotNeeded })
				c.endIt("W-2", "UASK")
			},
			tamper: func(w *policy.Waiver) { w.State = policy.WaiverActive }, why: "has W-1 as active"},
		"expired, and longer": {
			before: func(c *counter) {
				c.after(30 * 24 * time.Hour)
				if _, err := c.Due(c.t.Context(), "W-1"); err != nil {
					c.t.Fatal(err)
				}
			},
			tamper: func(w *policy.Waiver) { w.State, w.Until = policy.WaiverActive, w.Until.AddDate(0, 0, 9) }, why: "has W-1 as active"},
		"past its end": {before: func(c *counter) { c.after(30 * 24 * time.Hour) }},
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
			if c.tamper != nil {
				b.tamperWaiver("W-1", c.tamper)
			}
			if got := strings.Contains(b.holding(), "W-1"); got != c.holds {
				t.Errorf("it holds: %t, want %t", got, c.holds)
			}
			if got := strings.Join(b.forged, ";"); (got == "") != (c.why == "") || !strings.Contains(got, c.why) {
				t.Errorf("got told %q, want %q", got, c.why)
			}
		})
	}
	t.Run("another app's", func(t *testing.T) {
		b := newCounter(t, everyday)
		b.waive(func(a *approval.WaiveFor) { a.App = "fedcba98-7654-4321-8f01-23456789abcd" })
		b.tamperWaiver("W-1", func(w *policy.Waiver) { w.App = fleettest.App("standard-1x").ID })
		if got := b.holding(); got != "" || len(b.forged) != 1 {
			t.Errorf("%s holds, told %q", got, b.forged)
		}
	})
	t.Run("with a key of theirs", func(t *testing.T) {
		b := newCounter(t, everyday)
		b.waive()
		r := approval.WaiverReader{Store: b.store, Policy: func() policy.Policy { return b.policy }, Key: ledger.NewKey("theirs"), Now: func() time.Time { return b.now }}
		if held, err := r.Holding(t.Context(), fleettest.App("standard-1x").ID); err != nil || len(held) != 0 {
			t.Errorf("got %v, %v, want none", held, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		rules, err := r.Rules(ctx, fleettest.App("standard-1x"))
		if err == nil || rules.Waivers != nil || rules.WebDynos == 0 {
			t.Errorf("got %v, %v, want the rules without waivers and an error", rules.Waivers, err)
		}
	})
}

// TestUnreadableWaiverWaivesNothing: nor does it keep another one from holding.
func TestUnreadableWaiverWaivesNothing(t *testing.T) {
	b := newCounter(t, everyday)
	w := b.waive()
	b.waive(func(a *approval.WaiveFor) { a.Check = "web-dynos" })
	for _, body := range []string{
		"", "{}", "null", "[]", `{"id":"W-1","state":"active"}`,
		strings.Replace(b.body("W-1"), `"until":"20`, `"until":"9920`, 1),
		strings.Replace(b.body("W-1"), w.Until.Format(`"until":"2006-01-02`), `"until":"2026-02-31`, 1),
		strings.Replace(b.body("W-1"), `"state":"active"`, `"state":"ACTIVE"`, 1),
	} {
		b.forged = nil
		b.write("W-1", "active", string(w.App), body)
		if got := b.holding(); got != "W-2" {
			t.Errorf("%q: %q holds, want W-2", body, got)
		}
	}
}

func (c *counter) body(id string) string {
	c.t.Helper()
	text, err := json.Marshal(c.waiver(id))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// TestTamperedWaivers spoils a waiver's record in any one place, again and again. What
// holds then is what was asked for, or nothing.
func TestTamperedWaivers(t *testing.T) {
	b := newCounter(t, everyday)
	whole := b.waive()
	body, app := b.body("W-1"), string(whole.App)
	r := rand.New(rand.NewPCG(6, 2))
	held := 0
	for range 1000 {
		spoiled := []byte(body)
		switch at := r.IntN(len(spoiled)); r.IntN(3) {
		case 0:
			spoiled[at] = byte(' ' + r.IntN(95))
		case 1:
			spoiled = slices.Delete(spoiled, at, min(at+1+r.IntN(3), len(spoiled)))
		default:
			spoiled = slices.Insert(spoiled, at, byte('0'+r.IntN(10)))
		}
		b.write("W-1", "active", app, string(spoiled))
		all, err := b.Holding(t.Context(), whole.App)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range all {
			held++
			if w.App != whole.App || w.Check != whole.Check || !w.Until.Equal(whole.Until) || !w.From.Equal(whole.From) || w.By != whole.By || w.Reason != whole.Reason {
				t.Fatalf("%s\nholds as %+v", spoiled, w)
			}
		}
	}
	if held == 0 || held == 1000 {
		t.Errorf("%d of 1000 hold: the records are not spoiled well enough to prove anything", held)
	}
}

// TestWaiverChangedWhileItIsRead: one that was ended between the reading of its record
// and that of the ledger is over, and no forgery.
func TestWaiverChangedWhileItIsRead(t *testing.T) {
	b := newCounter(t, everyday)
	w := b.waive()
	b.endIt("W-1", "UASK")
	if why, err := b.Waivers.Proof(t.Context(), w); err != nil || why != "W-1 is ended by now" {
		t.Errorf("got %q, %v, want that it is over", why, err)
	}
	r := *b.WaiverReader
	r.Store = stale{b.store, w}
	if held, err := r.Holding(t.Context(), w.App); err != nil || len(held) != 0 {
		t.Errorf("got %v, %v, want none", held, err)
	}
	if len(b.forged) > 0 {
		t.Errorf("told %q, want nothing", b.forged)
	}
}

// TestWaiverAlteredUnderAClick: what is written into the database between the look and the
// decision is not what the approver said yes to.
func TestWaiverAlteredUnderAClick(t *testing.T) {
	b := newCounter(t, strict)
	w := b.waive()
	swift := &swift{WaiverStore: b.store, alter: func() {
		b.tamperWaiver("W-1", func(w *policy.Waiver) { w.Until = w.Until.AddDate(0, 0, 20) })
	}}
	desk := approval.NewWaivers(approval.WaiversConfig{Desk: b.desk(""), Store: swift, Checks: []string{"preboot"}})
	if _, err := desk.Approve(t.Context(), "W-1", person("UYES")); err == nil || !strings.Contains(err.Error(), "I have not looked at `W-1` again") {
		t.Errorf("got %v, want that it was not looked at", err)
	}
	if got := b.waiver("W-1"); got.State != policy.WaiverPending || !got.Until.After(w.Until) {
		t.Errorf("got %s until %v, want it pending as it was altered", got.State, got.Until)
	}
	// Looked at again it is what nobody asked for.
	if got, err := b.Approve(t.Context(), "W-1", person("UYES")); err == nil || got.State != policy.WaiverCancelled {
		t.Errorf("got %s, %v, want it cancelled", got.State, err)
	}
}

// swift is a store whose waiver is altered just before the transaction that decides on it.
type swift struct {
	approval.WaiverStore
	alter func()
}

func (s *swift) Tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	s.alter()
	return s.WaiverStore.Tx(ctx, do)
}

// stale is a store whose list was read before the last change.
type stale struct {
	approval.WaiverStore
	was policy.Waiver
}

func (s stale) Waivers(context.Context, approval.WaiverFilter) ([]policy.Waiver, error) {
	return []policy.Waiver{s.was}, nil
}
