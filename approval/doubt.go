package approval

import (
	"context"
	"encoding/json"
	"fmt"

	"example.com/zdd/ledger"
)

// lastEntries is what doubt asks.
type lastEntries interface {
	// LastEntry reads the newest entry with that verb; found is false where there is none.
	LastEntry(ctx context.Context, verb string) (e ledger.Entry, found bool, err error)
}

// doubt is the number of the entry up to which none proves what came after it: the newest
// night that found the ledger damaged has said so in it. A ticket or a waiver that was made
// by such an entry may have ended since, and what told of that is gone. 0: no night has.
//
// An entry of that kind that the key has not sealed was written before the key was set, or
// by somebody else. What was made before it proves nothing in either case.
func doubt(ctx context.Context, from lastEntries, key ledger.Key) (int64, error) {
	e, found, err := from.LastEntry(ctx, ledger.Damaged)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read whether the ledger was found damaged: %w", err)
	case !found:
		return 0, nil
	}
	var about ledger.Damage
	if !key.Fits(e) || json.Unmarshal(e.Detail, &about) != nil {
		return e.Seq, nil
	}
	return about.Doubt, nil
}

// doubted says why an entry that made something proves nothing any more; empty: it does.
func doubted(made ledger.Entry, doubt int64) string {
	if made.Seq > doubt {
		return ""
	}
	return fmt.Sprintf("The ledger was found damaged behind #%d, which tells of %s: whether that has ended since can't be proven", made.Seq, made.Ticket)
}
