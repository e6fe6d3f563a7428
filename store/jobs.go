package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/jobs"
	"github.com/jackc/pgx/v5/pgconn"
)

// claimTries bounds how often a claim starts over because another replica took a job of
// the same group at the same moment. Each time, that job and its group are out of the
// way, so that many in a row mean that as many replicas are busy with the rest.
const claimTries = 5

// uniqueViolation is PostgreSQL's code for a row that a unique index refuses.
const uniqueViolation = "23505"

var _ jobs.Store = (*Store)(nil)

// EnqueueJob adds a job in the caller's transaction, unless there already is one with
// its id, done or not: then it changes nothing. Wake the queue after the commit.
func (s *Store) EnqueueJob(ctx context.Context, tx *sql.Tx, spec jobs.Spec) error {
	if err := spec.Check(); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO jobs (id, kind, serial, run_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
		spec.ID(), spec.Kind, spec.Group, spec.At.UnixMilli())
	if err != nil {
		return fmt.Errorf("enqueue job %s: %w", spec.ID(), withContext(ctx, err))
	}
	return nil
}

// runnable is the condition on a job j that is not done, of one of the kinds, and whose
// group is free or its own. The parameters of the kinds begin with the number first.
func runnable(kinds []string, first int) (condition string, args []any) {
	var b strings.Builder
	b.WriteString(`j.done_at = 0 AND (j.held = 1 OR NOT EXISTS (SELECT 1 FROM jobs k WHERE k.serial = j.serial AND k.held = 1)) AND j.kind IN (`)
	for i, kind := range kinds {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(first+i))
		args = append(args, kind)
	}
	b.WriteString(")")
	return b.String(), args
}

// ClaimJob gives c.Owner the job that is due longest; see jobs.Store.
func (s *Store) ClaimJob(ctx context.Context, c jobs.Claim) (jobs.Claimed, bool, error) {
	if len(c.Kinds) == 0 {
		return jobs.Claimed{}, false, nil
	}
	condition, args := runnable(c.Kinds, 5)
	beyond := int64(math.MaxInt64)
	if !c.Beyond.IsZero() {
		beyond = c.Beyond.UnixMilli()
	}
	query := `UPDATE jobs SET owner = $1, lease_until = $2, fence = fence + 1, attempt = attempt + 1, held = CASE WHEN serial = '' THEN 0 ELSE 1 END
		WHERE id = (SELECT j.id FROM jobs j WHERE ` + condition + ` AND (j.run_at <= $3 OR j.run_at > $4) AND j.lease_until <= $3 ORDER BY j.run_at, j.id LIMIT 1`
	if s.dialect == Postgres {
		// Who finds the row locked goes on to the next one, instead of waiting.
		query += ` FOR UPDATE OF j SKIP LOCKED`
	}
	query += `) RETURNING id, serial, run_at, fence, attempt, failures, failing_since`
	args = append([]any{c.Owner, c.Until.UnixMilli(), c.Now.UnixMilli(), beyond}, args...)
	for try := 1; ; try++ {
		var j jobs.Claimed
		var id string
		var runAt, since int64
		err := s.db.QueryRowContext(ctx, query, args...).Scan(&id, &j.Group, &runAt, &j.Fence, &j.Attempt, &j.Failures, &since)
		if errors.Is(err, sql.ErrNoRows) {
			return jobs.Claimed{}, false, nil
		}
		// Another replica has just taken another job of the group, which this statement
		// could not see. Only PostgreSQL runs two at once.
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == uniqueViolation && try < claimTries {
			continue
		}
		if err != nil {
			return jobs.Claimed{}, false, fmt.Errorf("claim a job: %w", withContext(ctx, err))
		}
		j.Kind, j.Key, _ = strings.Cut(id, ":")
		j.At, j.FailingSince = fromMillis(runAt), fromMillis(since)
		return j, true, nil
	}
}

// NextJob is when ClaimJob may next find a job of the kinds; see jobs.Store.
func (s *Store) NextJob(ctx context.Context, kinds []string) (at time.Time, found bool, err error) {
	if len(kinds) == 0 {
		return time.Time{}, false, nil
	}
	condition, args := runnable(kinds, 1)
	var ms sql.NullInt64
	err = s.db.QueryRowContext(ctx, `SELECT MIN(CASE WHEN j.lease_until > j.run_at THEN j.lease_until ELSE j.run_at END) FROM jobs j WHERE `+condition, args...).Scan(&ms)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for the next job: %w", withContext(ctx, err))
	}
	return fromMillis(ms.Int64), ms.Valid, nil
}

// RenewJob lengthens a lease as part of tx; see jobs.Store.
func (s *Store) RenewJob(ctx context.Context, tx *sql.Tx, l jobs.Lease, until time.Time) error {
	// A lease that was ended is over, though nobody has raised the fence since.
	res, err := tx.ExecContext(ctx, `UPDATE jobs SET lease_until = $1 WHERE id = $2 AND fence = $3 AND lease_until > 0 AND done_at = 0`,
		until.UnixMilli(), l.ID, l.Fence)
	return leased(ctx, "renew", l, res, err)
}

// FinishJob ends a job for good; see jobs.Store.
func (s *Store) FinishJob(ctx context.Context, l jobs.Lease, at time.Time, why string) error {
	res, err := s.db.ExecContext(ctx, `UPDATE jobs SET done_at = $1, last_error = $2, waits_for = '', lease_until = 0, held = 0
		WHERE id = $3 AND fence = $4 AND lease_until > 0 AND done_at = 0`, at.UnixMilli(), why, l.ID, l.Fence)
	return leased(ctx, "finish", l, res, err)
}

// RearmJob has a job run again; see jobs.Store.
func (s *Store) RearmJob(ctx context.Context, l jobs.Lease, r jobs.Rearm) error {
	res, err := s.db.ExecContext(ctx, `UPDATE jobs SET run_at = $1, failures = $2, failing_since = $3, last_error = $4, waits_for = $5, lease_until = 0
		WHERE id = $6 AND fence = $7 AND lease_until > 0 AND done_at = 0`,
		r.At.UnixMilli(), r.Failures, toMillis(r.FailingSince), r.LastError, r.WaitsFor, l.ID, l.Fence)
	return leased(ctx, "rearm", l, res, err)
}

// leased turns a change that found no row into jobs.ErrLost.
func leased(ctx context.Context, verb string, l jobs.Lease, res sql.Result, err error) error {
	var n int64
	if err == nil {
		n, err = res.RowsAffected()
	}
	if err != nil {
		return fmt.Errorf("%s job %s: %w", verb, l.ID, withContext(ctx, err))
	}
	if n == 0 {
		return fmt.Errorf("%s job %s: %w", verb, l.ID, jobs.ErrLost)
	}
	return nil
}

// DeleteFinishedJobs drops the jobs that were done before the given time and says how
// many those were. Until then, the id of a job that is done keeps the same work from
// being enqueued again.
func (s *Store) DeleteFinishedJobs(ctx context.Context, before time.Time) (n int64, err error) {
	res, err := s.db.ExecContext(ctx, `DELETE FROM jobs WHERE done_at > 0 AND done_at < $1`, before.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("delete finished jobs: %w", withContext(ctx, err))
	}
	n, err = res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("delete finished jobs: %w", err)
	}
	return n, nil
}

// toMillis is a time as it is stored; the zero time is 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is a stored time, in UTC; 0 is the zero time.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
