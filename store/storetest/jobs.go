package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/zdd/jobs"
	"example.com/zdd/store"
)

// noon is when the tests' jobs are due.
var noon = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

// enqueue adds jobs in one transaction.
func enqueue(t *testing.T, s *store.Store, specs ...jobs.Spec) {
	t.Helper()
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		for _, spec := range specs {
			if err := s.EnqueueJob(t.Context(), tx, spec); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// claim asks for a job at a time, with a lease of a minute; wantID is empty where none
// is to be found.
func claim(t *testing.T, s *store.Store, now time.Time, wantID string) jobs.Claimed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // who waits for another replica waits for ever
	defer cancel()
	j, found, err := s.ClaimJob(ctx, jobs.Claim{Owner: "test", Kinds: []string{"apply", "expire"}, Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if got := j.ID(); found != (wantID != "") || found && got != wantID {
		t.Fatalf("claim at %v: got %q, want %q", now.Sub(noon), got, wantID)
	}
	return j
}

func lease(j jobs.Claimed) jobs.Lease { return jobs.Lease{ID: j.ID(), Fence: j.Fence} }

// renew renews a lease for a minute, and writes something down in the same transaction.
func renew(t *testing.T, s *store.Store, j jobs.Claimed, now time.Time) error {
	t.Helper()
	return s.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), `INSERT INTO seen_envelopes (id, kind, seen_at) VALUES ($1, 'test', 1)`, fmt.Sprint(j.ID(), now, j.Fence)); err != nil {
			return err
		}
		return s.RenewJob(t.Context(), tx, lease(j), now.Add(time.Minute))
	})
}

// next checks when the next job may be due; the zero time means that none waits.
func next(t *testing.T, s *store.Store, want time.Time) {
	t.Helper()
	got, found, err := s.NextJob(t.Context(), []string{"apply", "expire"})
	if err != nil || found != !want.IsZero() || !got.Equal(want) {
		t.Errorf("next: got %v, %v, %v, want %v", got, found, err, want)
	}
}

func wantLost(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, jobs.ErrLost) {
		t.Errorf("%s: got %v, want %v", what, err, jobs.ErrLost)
	}
}

func testJobs(t *testing.T, o store.Options) {
	s := open(t, o)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	claim(t, s, noon, "")
	next(t, s, time.Time{})

	// What is rolled back was never enqueued, and what is wrong is refused.
	changed := errors.New("changed its mind")
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		if err := s.EnqueueJob(t.Context(), tx, jobs.Spec{Kind: "apply", Key: "T-0", At: noon}); err != nil {
			return err
		}
		return changed
	})
	if !errors.Is(err, changed) {
		t.Error(err)
	}
	for name, spec := range map[string]jobs.Spec{
		"no kind": {Key: "T-1", At: noon}, "no key": {Kind: "apply", At: noon}, "no time": {Kind: "apply", Key: "T-1"}, "colon": {Kind: "a:b", Key: "T-1", At: noon},
	} {
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.EnqueueJob(t.Context(), tx, spec) }); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	next(t, s, time.Time{})

	one := jobs.Spec{Kind: "apply", Key: "T-1:x", At: noon}
	enqueue(t, s, one, one, jobs.Spec{Kind: "apply", Key: "T-1:x", At: noon.Add(-time.Hour)})
	next(t, s, noon)
	claim(t, s, noon.Add(-time.Millisecond), "")
	first := claim(t, s, noon, "apply:T-1:x")
	want := jobs.Claimed{Spec: one, Fence: 1, Attempt: 1}
	if first != want {
		t.Errorf("got %+v, want %+v", first, want)
	}
	claim(t, s, noon.Add(time.Minute-time.Millisecond), "")
	next(t, s, noon.Add(time.Minute))
	ok(renew(t, s, first, noon.Add(30*time.Second)))
	claim(t, s, noon.Add(90*time.Second-time.Millisecond), "")

	// The lease is over: the next one gets the job, and the first nothing more.
	second := claim(t, s, noon.Add(90*time.Second), "apply:T-1:x")
	want.Fence, want.Attempt = 2, 2
	if second != want {
		t.Errorf("got %+v, want %+v", second, want)
	}
	at := noon.Add(91 * time.Second)
	wantLost(t, "renew", renew(t, s, first, at))
	wantLost(t, "finish", s.FinishJob(t.Context(), lease(first), at, ""))
	wantLost(t, "rearm", s.RearmJob(t.Context(), lease(first), jobs.Rearm{At: at}))
	wantLost(t, "another id", s.FinishJob(t.Context(), jobs.Lease{ID: "apply:T-2", Fence: 2}, at, ""))
	seen, err := s.ForgetEnvelopes(t.Context(), noon)
	if err != nil || seen != 1 { // of the first's first renewal
		t.Errorf("got %d records, %v, want 1: who lost the lease recorded something", seen, err)
	}

	// It fails, and comes again when it was told to.
	ok(s.RearmJob(t.Context(), lease(second), jobs.Rearm{At: noon.Add(time.Hour), Failures: 3, FailingSince: at, LastError: "no", WaitsFor: "yes"}))
	wantLost(t, "renew what was rearmed", renew(t, s, second, at))
	wantLost(t, "finish what was rearmed", s.FinishJob(t.Context(), lease(second), at, ""))
	next(t, s, noon.Add(time.Hour))
	claim(t, s, noon.Add(time.Hour-time.Millisecond), "")
	third := claim(t, s, noon.Add(time.Hour), "apply:T-1:x")
	want = jobs.Claimed{Spec: jobs.Spec{Kind: "apply", Key: "T-1:x", At: noon.Add(time.Hour)}, Fence: 3, Attempt: 3, Failures: 3, FailingSince: at}
	if third != want {
		t.Errorf("got %+v, want %+v", third, want)
	}

	// Done is done: it never runs again, and keeps its id from being used again.
	at = noon.Add(2 * time.Hour)
	ok(s.FinishJob(t.Context(), lease(third), at, "given up"))
	wantLost(t, "finish twice", s.FinishJob(t.Context(), lease(third), at, ""))
	wantLost(t, "rearm what is done", s.RearmJob(t.Context(), lease(third), jobs.Rearm{At: at}))
	wantLost(t, "renew what is done", renew(t, s, third, at))
	enqueue(t, s, one)
	claim(t, s, noon.Add(24*time.Hour), "")
	next(t, s, time.Time{})
	for _, c := range []struct {
		before time.Time
		want   int64
	}{{at, 0}, {at.Add(time.Millisecond), 1}, {at.Add(time.Hour), 0}} {
		if got, err := s.DeleteFinishedJobs(t.Context(), c.before); err != nil || got != c.want {
			t.Errorf("deleted %d, %v, want %d", got, err, c.want)
		}
	}
	enqueue(t, s, one)
	claim(t, s, noon, "apply:T-1:x")
	if n, err := s.DeleteFinishedJobs(t.Context(), noon.Add(1000*time.Hour)); err != nil || n != 0 {
		t.Errorf("deleted %d jobs that were not done, %v", n, err)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.ClaimJob(ended, jobs.Claim{Kinds: []string{"apply"}, Now: noon, Until: noon}); !errors.Is(err, context.Canceled) {
		t.Errorf("claim: got %v, want context.Canceled", err)
	}
}

// testJobsOrder checks which job is claimed first, and that kinds are left alone which
// the program does not know.
func testJobsOrder(t *testing.T, o store.Options) {
	s := open(t, o)
	enqueue(t, s,
		jobs.Spec{Kind: "apply", Key: "late", At: noon.Add(2 * time.Second)},
		jobs.Spec{Kind: "expire", Key: "b", At: noon},
		jobs.Spec{Kind: "apply", Key: "a", At: noon},
		jobs.Spec{Kind: "tomorrow", Key: "x", At: noon.Add(-time.Hour)},
		jobs.Spec{Kind: "expire", Key: "early", At: noon.Add(-time.Second)})
	at := noon.Add(time.Minute)
	next(t, s, noon.Add(-time.Second))
	for _, id := range []string{"expire:early", "apply:a", "expire:b", "apply:late", ""} {
		claim(t, s, at, id)
	}
	if _, found, err := s.ClaimJob(t.Context(), jobs.Claim{Now: at, Until: at}); found || err != nil {
		t.Errorf("no kinds: got %v, %v, want nothing", found, err)
	}
	if _, found, err := s.NextJob(t.Context(), nil); found || err != nil {
		t.Errorf("no kinds: got %v, %v, want nothing", found, err)
	}
	j, found, err := s.ClaimJob(t.Context(), jobs.Claim{Kinds: []string{"tomorrow"}, Now: at, Until: at})
	if err != nil || !found || j.Key != "x" || j.Attempt != 1 {
		t.Errorf("got %+v, %v, %v, want the job that was left alone", j, found, err)
	}

	// One that was put off by a clock that was set back since.
	enqueue(t, s, jobs.Spec{Kind: "apply", Key: "ahead", At: at.Add(3 * time.Hour)})
	claim(t, s, at, "")
	for _, beyond := range []time.Duration{3 * time.Hour, time.Hour} {
		c := jobs.Claim{Owner: "test", Kinds: []string{"apply"}, Now: at, Until: at.Add(time.Minute), Beyond: at.Add(beyond)}
		if _, found, err := s.ClaimJob(t.Context(), c); found != (beyond < 3*time.Hour) || err != nil {
			t.Errorf("nothing waits beyond %v: got %v, %v", beyond, found, err)
		}
	}
}

// testJobsGroup checks that the jobs of one group run one after the other.
func testJobsGroup(t *testing.T, o store.Options) {
	s := open(t, o)
	enqueue(t, s,
		jobs.Spec{Kind: "apply", Key: "1", At: noon, Group: "shop"},
		jobs.Spec{Kind: "apply", Key: "2", At: noon.Add(time.Second), Group: "shop"},
		jobs.Spec{Kind: "apply", Key: "3", At: noon.Add(2 * time.Second), Group: "blog"},
		jobs.Spec{Kind: "tomorrow", Key: "4", At: noon, Group: "wiki"},
		jobs.Spec{Kind: "apply", Key: "5", At: noon.Add(time.Hour), Group: "wiki"})
	at := noon.Add(time.Minute)
	one := claim(t, s, at, "apply:1")
	if one.Group != "shop" {
		t.Errorf("got group %q, want shop", one.Group)
	}
	claim(t, s, at, "apply:3")
	claim(t, s, at, "")

	// While it waits, the group is not free.
	if err := s.RearmJob(t.Context(), lease(one), jobs.Rearm{At: noon.Add(10 * time.Minute), WaitsFor: "the soak"}); err != nil {
		t.Fatal(err)
	}
	next(t, s, noon.Add(2*time.Minute)) // the lease of 3, not 2, which has long been due
	claim(t, s, at.Add(time.Second), "")
	claim(t, s, noon.Add(10*time.Minute), "apply:3")
	claim(t, s, noon.Add(10*time.Minute), "apply:1")
	claim(t, s, noon.Add(10*time.Minute), "")
	// A lease that is over does not free it either.
	claim(t, s, noon.Add(20*time.Minute), "apply:3")
	one = claim(t, s, noon.Add(20*time.Minute), "apply:1")
	claim(t, s, noon.Add(20*time.Minute), "")
	if err := s.FinishJob(t.Context(), lease(one), noon.Add(20*time.Minute), ""); err != nil {
		t.Fatal(err)
	}
	claim(t, s, noon.Add(20*time.Minute), "apply:2")
	// What another program has begun keeps the group, though this one does not know its
	// kind; what nobody has begun does not.
	j, found, err := s.ClaimJob(t.Context(), jobs.Claim{Kinds: []string{"tomorrow"}, Now: at, Until: at})
	if err != nil || !found {
		t.Fatal(found, err)
	}
	claim(t, s, noon.Add(20*time.Minute), "")
	enqueue(t, s, jobs.Spec{Kind: "apply", Key: "6", At: noon, Group: "wiki"})
	claim(t, s, noon.Add(20*time.Minute), "")
	if err := s.FinishJob(t.Context(), lease(j), at, ""); err != nil {
		t.Fatal(err)
	}
	claim(t, s, noon.Add(20*time.Minute), "apply:6")
}

// testJobsRace has many claimers work off many jobs at the same moment, in two
// replicas: each job is claimed once, and never two of a group at a time.
func testJobsRace(t *testing.T, o store.Options) {
	const claimers, single, groups, each = 4, 20, 3, 5
	replicas := []*store.Store{open(t, o), open(t, o)}
	var specs []jobs.Spec
	for i := range single {
		specs = append(specs, jobs.Spec{Kind: "apply", Key: fmt.Sprint("single-", i), At: noon})
	}
	for i := range groups * each {
		specs = append(specs, jobs.Spec{Kind: "apply", Key: fmt.Sprint("grouped-", i), At: noon, Group: fmt.Sprint("g", i%groups)})
	}
	enqueue(t, replicas[0], specs...)
	var mu sync.Mutex
	claimed, busy := map[string]int{}, map[string]string{}
	begin := func(j jobs.Claimed) {
		mu.Lock()
		defer mu.Unlock()
		claimed[j.ID()]++
		if j.Group != "" {
			if other := busy[j.Group]; other != "" {
				t.Errorf("%s and %s of group %s run at the same time", other, j.ID(), j.Group)
			}
			busy[j.Group] = j.ID()
		}
	}
	end := func(j jobs.Claimed) {
		mu.Lock()
		defer mu.Unlock()
		delete(busy, j.Group)
	}
	done := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(claimed) == len(specs)
	}
	var wg sync.WaitGroup
	for _, s := range replicas {
		for range claimers {
			wg.Go(func() {
				for !done() && t.Context().Err() == nil && !t.Failed() {
					j, found, err := s.ClaimJob(t.Context(), jobs.Claim{Owner: "test", Kinds: []string{"apply"}, Now: noon, Until: noon.Add(time.Minute)})
					if err != nil {
						t.Errorf("claim: %v", err)
						return
					}
					if !found {
						continue
					}
					begin(j)
					if err := renew(t, s, j, noon); err != nil {
						t.Errorf("renew %s: %v", j.ID(), err)
					}
					end(j)
					if err := s.FinishJob(t.Context(), lease(j), noon, ""); err != nil {
						t.Errorf("finish %s: %v", j.ID(), err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, spec := range specs {
		if claimed[spec.ID()] != 1 {
			t.Errorf("%s was claimed %d times, want 1", spec.ID(), claimed[spec.ID()])
		}
	}
}

// testJobsLocked claims while another replica is in the middle of a transaction about
// a job: nobody waits for it, and nobody gets that job.
func testJobsLocked(t *testing.T, o store.Options) {
	s, other := open(t, o), open(t, o)
	if s.Dialect() != store.Postgres {
		t.Skip("in SQLite, a transaction is alone")
	}
	enqueue(t, s,
		jobs.Spec{Kind: "apply", Key: "1", At: noon},
		jobs.Spec{Kind: "apply", Key: "2", At: noon.Add(time.Second)},
		jobs.Spec{Kind: "apply", Key: "3", At: noon.Add(2 * time.Second), Group: "shop"})
	held := []jobs.Claimed{claim(t, s, noon, "apply:1"), claim(t, s, noon.Add(2*time.Second), "apply:2")}
	late := noon.Add(time.Hour) // the leases are over, unless they are renewed
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		for _, j := range held {
			if err := s.RenewJob(t.Context(), tx, lease(j), late.Add(time.Minute)); err != nil {
				return err
			}
		}
		// Who waited here would wait for ever.
		claim(t, other, late, "apply:3")
		claim(t, other, late, "")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	claim(t, other, late, "") // they were renewed

	// Two that take jobs of one group in the same moment: the second one waits for the
	// first to commit, and then finds the group taken.
	enqueue(t, s,
		jobs.Spec{Kind: "expire", Key: "1", At: noon, Group: "blog"},
		jobs.Spec{Kind: "expire", Key: "2", At: noon, Group: "blog"})
	var wg sync.WaitGroup
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), `UPDATE jobs SET held = 1, lease_until = $1 WHERE id = 'expire:1'`, late.Add(time.Minute).UnixMilli()); err != nil {
			return err
		}
		wg.Go(func() {
			if j, found, err := other.ClaimJob(t.Context(), jobs.Claim{Kinds: []string{"expire"}, Now: late, Until: late}); found || err != nil {
				t.Errorf("got %s, %v, %v, want nothing: its group is taken", j.ID(), found, err)
			}
		})
		return waitForLock(t, tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

// waitForLock waits until somebody waits for a lock in this database.
func waitForLock(t *testing.T, tx *sql.Tx) error {
	for range 3000 { // half a minute
		var waiting int
		err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil || waiting > 0 {
			return err
		}
		// pg_stat_activity is read once a transaction, unless it is told to forget.
		if _, err := tx.ExecContext(t.Context(), `SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)`); err != nil {
			return err
		}
	}
	return errors.New("nobody waits for a lock")
}
