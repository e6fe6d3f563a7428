// Package jobs is a small durable queue: work that was accepted is carried out, though
// the program is killed in the middle, paused, or runs several times. It keeps time,
// leases and retries. It keeps nothing itself (package store does), and does not know
// what the work is.
//
// A job is enqueued in the transaction of the decision that it carries out, so that
// both are kept or neither is. Its id is its uniqueness guard: the same work enqueued
// twice is one job. Whoever claims a job has a lease on it, and raises its fence.
//
// Invariants:
//   - A job runs until its handler is done with it: at least once, never exactly once.
//     What makes a repeat harmless is the handler, which reads before it writes and
//     writes absolute values.
//   - Who lost the lease records nothing: what [Job.Step] records is kept only in a
//     transaction in which the fence still matches.
//   - Two jobs of one group never run at the same time. From the first time that one
//     is claimed until it is done, also while it waits, the others of its group wait.
//   - A job of a kind that has no handler, as after a rollback of the program, stays as
//     it is until a program comes that has one.
package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Spec is a job to be enqueued.
type Spec struct {
	Kind  string    // which handler it is for; without a colon
	Key   string    // what it is about, such as a ticket; one job for each Kind and Key
	At    time.Time // not before then; jobs of a group begin in this order
	Group string    // jobs of one group run one after the other; empty: by itself
}

// ID is the job's id, Kind:Key.
func (s Spec) ID() string { return s.Kind + ":" + s.Key }

// Check says what is wrong with a job that is about to be enqueued.
func (s Spec) Check() error {
	if s.Kind == "" || strings.Contains(s.Kind, ":") || s.Key == "" || s.At.IsZero() {
		return fmt.Errorf("job %q: it needs a kind without a colon, a key and a time", s.ID())
	}
	return nil
}

// ErrLost says that the lease on a job is over, or that somebody else has the job now:
// nothing more may be done about it here, and nothing was recorded.
var ErrLost = errors.New("the lease on the job is lost")

// Store keeps the jobs. Its methods use the times that they are given, never a clock
// of their own. Those that take a Lease change the job only where its fence matches,
// and answer ErrLost where it does not.
type Store interface {
	// Tx runs do in one transaction.
	Tx(ctx context.Context, do func(tx *sql.Tx) error) error
	// ClaimJob finds a job that is due, of one of the kinds, without a lease, and whose
	// group is free, the one that is due longest first; it gives c.Owner the lease,
	// raises the fence and takes the group. Of any number of callers at the same
	// moment, one gets it, and none waits for another's.
	ClaimJob(ctx context.Context, c Claim) (j Claimed, found bool, err error)
	// RenewJob lengthens a lease as part of tx, and keeps everybody else from the job
	// until tx ends.
	RenewJob(ctx context.Context, tx *sql.Tx, l Lease, until time.Time) error
	// FinishJob ends a job for good and frees its group. why is empty for a job that did
	// its work, else why it was given up.
	FinishJob(ctx context.Context, l Lease, at time.Time, why string) error
	// RearmJob ends the lease, and has the job run again.
	RearmJob(ctx context.Context, l Lease, r Rearm) error
	// NextJob is when ClaimJob may next find a job of one of the kinds, as far as can be
	// known now. found is false when nothing waits.
	NextJob(ctx context.Context, kinds []string) (at time.Time, found bool, err error)
}

// Claim asks for a job.
type Claim struct {
	Owner string
	Kinds []string // none: nothing is found
	Now   time.Time
	Until time.Time // the end of the lease
	// Beyond is after when no job can be meant to wait: one that does is due now. Zero: any
	// may wait as long as it likes.
	Beyond time.Time
}

// Claimed is a job as it was when it was claimed.
type Claimed struct {
	Spec                   // At is when it was due
	Fence        int64     //
	Attempt      int       // how often it has been claimed, this time included
	Failures     int       // how often it failed in a row until now
	FailingSince time.Time // the first of those failures; zero: none
}

// Lease is the right to record something about a job, for as long as the fence is the
// same in the store.
type Lease struct {
	ID    string
	Fence int64
}

// Rearm says when and why a job runs again.
type Rearm struct {
	At           time.Time
	Failures     int       // in a row
	FailingSince time.Time // zero: it does not fail
	LastError    string    // no secret; empty: none
	WaitsFor     string    // what it waits for, where that is no error
}
