package audit

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/policy"
)

// scribe verifies a ledger of which it says what it is told to.
type scribe struct {
	says     Chain
	fails    error         // of Verify
	takes    time.Duration // so does Verify, unless its ctx ends before
	refuses  int           // how many Records fail
	verified int
	recorded []Chain
}

func (s *scribe) Verify(ctx context.Context) (Chain, error) {
	s.verified++
	if s.takes > 0 {
		select {
		case <-ctx.Done():
			return Chain{}, ctx.Err()
		case <-time.After(s.takes):
		}
	}
	return s.says, s.fails
}

func (s *scribe) Record(_ context.Context, _ *sql.Tx, c Chain) error {
	if s.refuses > 0 {
		s.refuses--
		return errors.New("refused")
	}
	s.recorded = append(s.recorded, c)
	return nil
}

func TestScanVerifiesTheLedger(t *testing.T) {
	broken := Chain{State: ChainBroken, Entries: 12, Head: "#4 ab12cd34ef56", Why: "#5 is missing: #6 comes after #4.", Doubt: 4, Breaks: 1, New: true}
	for name, c := range map[string]struct {
		ledger scribe
		want   ChainState
		why    string
	}{
		"whole":          {scribe{says: Chain{State: ChainWhole, Entries: 3, Head: "#3 ab12cd34ef56"}}, ChainWhole, ""},
		"broken":         {scribe{says: broken}, ChainBroken, broken.Why},
		"it can't":       {scribe{fails: errors.New("secret words of a database")}, ChainUnread, "It could not be read to its end; my log says why."},
		"it takes long":  {scribe{says: broken, takes: verifyFor - time.Second}, ChainBroken, broken.Why},
		"it never ends":  {scribe{says: broken, takes: verifyFor + time.Second}, ChainUnread, "It could not be read to its end; my log says why."},
		"a lost context": {scribe{fails: context.Canceled}, ChainUnread, "It could not be read to its end; my log says why."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, hamlet(2))
				d.ledger = &c.ledger
				told := d.night(slotOf(0))
				kept := d.store.nights["2026-03-02"]
				if told.Chain == nil || kept.Chain == nil || *told.Chain != *kept.Chain {
					t.Fatalf("the digest says %+v, the night %+v, want the same", told.Chain, kept.Chain)
				}
				if got := *told.Chain; got.State != c.want || got.Why != c.why || !got.At.Equal(kept.Finished) {
					t.Errorf("got %+v, want %s because %q", got, c.want, c.why)
				}
				if kept.State != Scanned || told.Counts.NotReady != 2 {
					t.Errorf("got %s, %+v, want the digest that there is to be in any case", kept.State, told.Counts)
				}
				if len(c.ledger.recorded) != 1 || c.ledger.recorded[0] != *told.Chain {
					t.Errorf("recorded %+v, want what was told, once", c.ledger.recorded)
				}
			})
		})
	}
}

// A night whose end could not be written down is not over, and what was found is written
// down with it, or not at all.
func TestLedgerIsRecordedWithTheNight(t *testing.T) {
	d, keeper := newDesk(t, hamlet(2)), &scribe{says: Chain{State: ChainBroken, New: true}, refuses: 1}
	night := Night{ID: "2026-03-02", Slot: slotOf(0), Post: slotOf(0), State: Scanning}
	if made, err := d.store.BeginNight(t.Context(), night); err != nil || !made {
		t.Fatal(made, err)
	}
	scanner := NewScanner(ScanConfig{Store: d.store, Heroku: d.heroku, Ledger: keeper, Policy: func() policy.Policy { return d.heroku.policy }, Now: func() time.Time { return d.now }})
	if err := scanner.Scan(t.Context(), night.ID, hand{store: d.store}); err == nil || d.store.nights[night.ID].State != Scanning {
		t.Fatalf("got %v, %s, want the night to be gone on with", err, d.store.nights[night.ID].State)
	}
	if err := scanner.Scan(t.Context(), night.ID, hand{store: d.store}); err != nil {
		t.Fatal(err)
	}
	if n := d.store.nights[night.ID]; n.State != Scanned || keeper.verified != 2 || len(keeper.recorded) != 1 {
		t.Errorf("got %s, verified %d times, recorded %d times; want the night over, gone through again, recorded once", n.State, keeper.verified, len(keeper.recorded))
	}
}
