package approval

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// The kinds of work that waivers make.
const (
	WorkWaiver     = "waiver"      // key: waiver; end it, or its time to be decided on
	WorkTellWaiver = "waiver-tell" // key: waiver:rev; bring every message about the waiver up to date
)

// ErrNoWaiver says that there is no waiver of that id.
var ErrNoWaiver = errors.New("no such waiver")

// WaiverStore keeps waivers. Package store implements it on both databases.
//
// Whatever changes waivers takes the lock of those who change tickets first, and holds it
// until its transaction ends.
type WaiverStore interface {
	// Tx runs do in one transaction. do uses nothing but tx.
	Tx(ctx context.Context, do func(tx *sql.Tx) error) error
	// CreateWaiverTx gives w the next id and Rev 1 and stores it, with what change says
	// about it. Where a waiver of the same Origin exists, that one is returned and made is
	// false. WorkTellWaiver is always added.
	CreateWaiverTx(ctx context.Context, tx *sql.Tx, w policy.Waiver, change func(policy.Waiver) Change) (stored policy.Waiver, made bool, err error)
	// ChangeWaiverTx loads the waiver under the lock, lets change edit it, and stores it
	// with Rev raised, its ledger entries and its work. An error of change is returned as it
	// is; then roll tx back. WorkTellWaiver for the new Rev is always added. A waiver that
	// change leaves as it is keeps its Rev, and nobody is told; the entries and the work
	// count nevertheless. What CheckWaiver refuses is refused.
	ChangeWaiverTx(ctx context.Context, tx *sql.Tx, id string, change func(*policy.Waiver) (Change, error)) (policy.Waiver, error)
	Waiver(ctx context.Context, id string) (policy.Waiver, error) // ErrNoWaiver
	// Waivers are those that f selects, the newest first. A record that can't be understood
	// is a waiver with its id and app in the state WaiverUnreadable, and keeps none of the
	// others from being read.
	Waivers(ctx context.Context, f WaiverFilter) ([]policy.Waiver, error)
	// WaiversTx is Waivers under the lock: until tx ends nobody else changes any.
	WaiversTx(ctx context.Context, tx *sql.Tx, f WaiverFilter) ([]policy.Waiver, error)
	// LedgerOfTicket reads at most limit of the ledger's entries about the waiver, the newest
	// first, from the one before the number before on; 0: from the end.
	LedgerOfTicket(ctx context.Context, waiver string, before int64, limit int) ([]ledger.Entry, error)
	lastEntries
}

// WaiverFilter selects waivers. Zero fields select all.
type WaiverFilter struct {
	States []policy.WaiverState
	App    fleet.ID
	Origin string
	Limit  int // 0: 100; below 0: no limit
}

// WaiverID is the id of the n-th waiver: W-3.
func WaiverID(n int64) string { return "W-" + strconv.FormatInt(n, 10) }

// ParseWaiverID reads a waiver's id as people type it: W-3, w-3 or w3. What it takes is
// never a ticket's.
func ParseWaiverID(text string) (id string, ok bool) { return parseID(typedWaiver, WaiverID, text) }

var typedWaiver = regexp.MustCompile(`^[Ww]-?0*([1-9][0-9]{0,17})$`)

// CheckWaiver says what is wrong with storing after over before: a state that can't
// follow, or another of what never changes.
func CheckWaiver(before, after policy.Waiver) error {
	next := map[policy.WaiverState][]policy.WaiverState{
		policy.WaiverPending: {policy.WaiverActive, policy.WaiverDenied, policy.WaiverCancelled, policy.WaiverExpired},
		policy.WaiverActive:  {policy.WaiverEnded, policy.WaiverExpired, policy.WaiverReplaced},
	}
	switch {
	case after.State != before.State && !slices.Contains(next[before.State], after.State):
		return fmt.Errorf("%s is %s and can't become %q", before.ID, before.State, after.State)
	case asAsked(after) != asAsked(before), after.Rev != before.Rev, after.Origin != before.Origin,
		!before.From.IsZero() && !after.From.Equal(before.From):
		return fmt.Errorf("%s would no longer be the waiver that was asked for", before.ID)
	}
	return nil
}

// asked is what never changes in a waiver. Times are in milliseconds since 1970.
type asked struct {
	ID                             string
	App                            fleet.ID
	Name, Check                    string
	Reason                         policy.Reason
	Text, By, Team, Policy         string
	AskedAt, DecideBy, Until, From int64
	Approvals                      int
}

func asAsked(w policy.Waiver) asked {
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	return asked{
		ID: w.ID, App: w.App, Name: w.Name, Check: w.Check, Reason: w.Reason, Text: w.Text, By: w.By, Team: w.Team, Policy: w.Policy,
		AskedAt: ms(w.AskedAt), DecideBy: ms(w.DecideBy), Until: ms(w.Until), Approvals: w.Approvals,
	}
}
