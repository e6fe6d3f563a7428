package approval_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"example.com/zdd/approval"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// damaged has a night say in the ledger that it does not hold up to that entry.
func (b *bench) damaged(detail string) {
	b.t.Helper()
	err := b.store.Tx(b.t.Context(), func(tx *sql.Tx) error {
		_, err := b.store.AppendLedger(b.t.Context(), tx, b.key, ledger.Entry{At: b.now, Actor: ledger.Bot, Verb: ledger.Damaged, Detail: json.RawMessage(detail)})
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// headNow is the number of the ledger's last entry.
func (b *bench) headNow() int64 {
	b.t.Helper()
	head, err := b.store.LedgerHead(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return head.Seq
}

// What was made before the ledger was found damaged counts no more, whatever its own
// entries say, because what told of its end may be gone; what is made after that does.
func TestDamagedLedger(t *testing.T) {
	b := newCounter(t, everyday)
	b.ask("enable", "UASK")
	b.waive()
	before := b.headNow()
	b.waive(func(a *approval.WaiveFor) { a.Check = "web-dynos" })
	if got := b.holding(); !strings.Contains(got, "W-1") || !strings.Contains(got, "W-2") {
		t.Fatalf("%s hold, want both", got)
	}
	b.damaged(fmt.Sprintf(`{"doubt":%d,"why":"#1 was altered."}`, before))
	if got := b.holding(); got != "W-2" {
		t.Errorf("%s holds, want W-2, which was asked for behind what is damaged", got)
	}
	const why = "The ledger was found damaged behind #1, which tells of T-1: whether that has ended since can't be proven"
	if got, err := b.Desk.Proof(t.Context(), b.ticket("T-1")); err != nil || got != why {
		t.Errorf("got %q, %v, want %q", got, err, why)
	}
	if got := strings.Join(b.forged, ";"); !strings.HasPrefix(got, "W-1: The ledger was found damaged behind #") {
		t.Errorf("told %q, want why W-1 waives nothing", got)
	}
	_, _, err := b.Desk.Approve(t.Context(), "T-1", person("UYES"))
	wantNo(t, err, "The ledger was found damaged behind #1")
	if got := b.ticket("T-1").State; got != approval.Stale {
		t.Errorf("T-1 is %s, want it stale", got)
	}

	// Asked for anew, word for word, they count, until the next time.
	b.ask("enable", "UASK")
	b.waive()
	if why, err := b.Desk.Proof(t.Context(), b.ticket("T-2")); err != nil || why != "" {
		t.Errorf("T-2: got %q, %v, want it proven", why, err)
	}
	if got := b.holding(); !strings.Contains(got, "W-3") {
		t.Errorf("%s holds, want W-3", got)
	}
	b.damaged(`{"doubt":"of another version's form"}`)
	if got := b.holding(); got != "" {
		t.Errorf("%s holds, want none: how far the damage reaches can't be read", got)
	}
	if why, err := b.Desk.Proof(t.Context(), b.ticket("T-2")); err != nil || why == "" {
		t.Errorf("T-2: got %v, want it not proven", err)
	}
}

// A waiver that waits for an approval is not approved either.
func TestDamagedLedgerUnderAWaiver(t *testing.T) {
	b := newCounter(t, strict)
	b.waive()
	b.damaged(fmt.Sprintf(`{"doubt":%d}`, b.headNow()))
	if got, err := b.Waivers.Approve(t.Context(), "W-1", person("UYES")); err == nil || !strings.Contains(err.Error(), "found damaged") || got.State != policy.WaiverCancelled {
		t.Errorf("got %s, %v, want it cancelled", got.State, err)
	}
}
