package audit

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// verifyFor is how long a night may take to go through the ledger. A million entries take
// well under a minute; whoever has ten times as many on a slow disk is told that it was not
// done, and by when the digest is due there is time left.
const verifyFor = 10 * time.Minute

// ChainState is what a night found of the ledger of who did what.
type ChainState string

// The states, best first.
const (
	ChainWhole    ChainState = "whole"    // every entry is sealed and in its place
	ChainUnproven ChainState = "unproven" // nothing is amiss, and some of it can't be checked
	ChainUnread   ChainState = "unread"   // it could not be gone through
	ChainBroken   ChainState = "broken"   // it was written to, or its end is gone
)

// Chain is what a night found when it went through the whole ledger.
type Chain struct {
	State   ChainState `json:"state"`
	At      time.Time  `json:"at"`               // when it ended
	Entries int64      `json:"entries,omitzero"` // that were read
	Head    string     `json:"head,omitzero"`    // of the last entry that fits, as people see it
	// Against is the head that it was held against: the newest that an earlier digest told in
	// Slack. Empty: there was none to be found, and only that can show that the end is gone.
	Against string `json:"against,omitzero"`
	// Why says what is amiss, or could not be looked at, in sentences; empty: nothing.
	Why string `json:"why,omitzero"`
	// Doubt is the number of the entry up to which tickets and waivers count no more, because
	// it can't be told whether they have ended; 0: all count. Breaks is in how many places the
	// chain does not hold.
	Doubt  int64 `json:"doubt,omitzero"`
	Breaks int   `json:"breaks,omitzero"`
	New    bool  `json:"new,omitzero"` // of a broken one: no night before has written that down
}

// Chains verifies the ledger.
type Chains interface {
	// Verify goes through all of it. An error is one that may pass, and is told with the night.
	Verify(ctx context.Context) (Chain, error)
	// Record writes down what is New in what was found, as the last thing in tx.
	Record(ctx context.Context, tx *sql.Tx, c Chain) error
}

// verify goes through the ledger, and holds on to the job meanwhile. That it can't be done
// is told, and costs no digest. Where the job is interrupted, all of it is gone through
// again: that takes seconds, and a mark of how far it was would be one more thing to forge.
func (u *scan) verify(ctx context.Context) (*Chain, error) {
	if u.cfg.Ledger == nil {
		return nil, nil
	}
	var c Chain
	var failed error
	err := u.during(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeoutCause(ctx, verifyFor, fmt.Errorf("it took longer than %s", verifyFor))
		defer cancel()
		if c, failed = u.cfg.Ledger.Verify(ctx); failed != nil && ctx.Err() != nil {
			failed = context.Cause(ctx)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case failed != nil:
		u.log.WarnContext(ctx, "the ledger could not be verified", "ref", u.n.ID, "err", failed)
		c = Chain{State: ChainUnread, Why: "It could not be read to its end; my log says why."}
	}
	c.At = u.now()
	return &c, nil
}
