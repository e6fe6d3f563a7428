package jobs_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/jobs"
)

// outside is what the jobs change: each job takes steps about its app, in order.
type outside struct {
	*testing.T
	mu      sync.Mutex
	rng     *rand.Rand
	taken   map[string]int    // steps taken, by job
	writing map[string]string // the job that is writing, by app
}

func (w *outside) chance(percent int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(100) < percent
}

func (w *outside) between(low, high time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return low + time.Duration(w.rng.Int64N(int64(high-low)))
}

// step takes one step unless it finds it taken. It may stand still for longer than a
// lease, fail before the write, or fail after it; a write takes less than the margin.
func (w *outside) step(ctx context.Context, job, app string, n int, killed *atomic.Bool) error {
	w.mu.Lock()
	found := w.taken[job]
	w.mu.Unlock()
	if found > n {
		return nil
	}
	time.Sleep(w.between(0, 10*time.Second))
	if w.chance(10) {
		time.Sleep(w.between(0, 3*time.Minute))
	}
	if w.chance(10) {
		return errors.New("503, nothing changed")
	}
	if deadline, _ := ctx.Deadline(); !time.Now().Before(deadline) || killed.Load() {
		return errors.New("woke up too late to write")
	}
	w.mu.Lock()
	if other := w.writing[app]; other != "" {
		w.Errorf("%s writes while %s writes, both about %s", job, other, app)
	}
	w.writing[app] = job
	w.mu.Unlock()
	time.Sleep(w.between(0, 9*time.Second))
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.writing, app)
	if w.taken[job] != n {
		w.Errorf("%s takes step %d after %d steps", job, n, w.taken[job])
	}
	w.taken[job] = n + 1
	if w.rng.IntN(100) < 10 {
		return errors.New("503, but it was done")
	}
	return nil
}

// mortal is a store as a process has it that may be killed: then nothing gets through.
type mortal struct {
	jobs.Store
	killed *atomic.Bool
}

var errKilled = errors.New("killed")

func (s mortal) Tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	return s.Store.Tx(ctx, func(tx *sql.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		if s.killed.Load() {
			return errKilled
		}
		return nil
	})
}

func (s mortal) ClaimJob(ctx context.Context, c jobs.Claim) (jobs.Claimed, bool, error) {
	j, found, err := s.Store.ClaimJob(ctx, c)
	if s.killed.Load() { // perhaps just after the claim
		return jobs.Claimed{}, false, errKilled
	}
	return j, found, err
}

func (s mortal) FinishJob(ctx context.Context, l jobs.Lease, at time.Time, why string) error {
	if s.killed.Load() {
		return errKilled
	}
	return s.Store.FinishJob(ctx, l, at, why)
}

func (s mortal) RearmJob(ctx context.Context, l jobs.Lease, r jobs.Rearm) error {
	if s.killed.Load() {
		return errKilled
	}
	return s.Store.RearmJob(ctx, l, r)
}

// TestStorm runs jobs on three replicas that are killed, stopped and paused at random,
// against a service that fails at random. In the end each step has been taken and
// recorded once, in order, and no two writes about one app overlapped.
func TestStorm(t *testing.T) {
	const replicas, apps, tickets, steps = 3, 4, 16, 4
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				w := &outside{T: t, rng: rand.New(rand.NewPCG(seed, 7)), taken: map[string]int{}, writing: map[string]string{}}
				kills, stops := 0, 0
				handler := func(killed *atomic.Bool) jobs.Handler {
					return func(ctx context.Context, j *jobs.Job) error {
						recorded := 0
						for _, name := range b.marks() {
							if strings.HasPrefix(name, j.Key+" ") {
								recorded++
							}
						}
						for n := recorded; n < steps; n++ {
							if w.chance(20) {
								return j.Later(time.Now().Add(w.between(0, 5*time.Minute)), "the soak")
							}
							err := j.Step(ctx, func(ctx context.Context) error { return w.step(ctx, j.Key, j.Group, n, killed) }, mark(fmt.Sprint(j.Key, " ", n)))
							if err != nil {
								return err
							}
						}
						return nil
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				for range replicas {
					running.Go(func() {
						for ctx.Err() == nil {
							var killed atomic.Bool
							q := jobs.New(jobs.Config{Store: mortal{b.store, &killed}, Handlers: map[string]jobs.Handler{"apply": handler(&killed)}})
							process, end := context.WithTimeout(ctx, w.between(time.Second, 10*time.Minute))
							if w.chance(70) {
								w.mu.Lock()
								kills++
								w.mu.Unlock()
								context.AfterFunc(process, func() { killed.Store(ctx.Err() == nil) })
							} else {
								w.mu.Lock()
								stops++
								w.mu.Unlock()
							}
							if err := q.Run(process); err != nil {
								t.Error(err)
							}
							end()
						}
					})
				}
				for i := range tickets {
					b.enqueue("apply", fmt.Sprintf("T-%02d", i), 0, fmt.Sprint("app", i%apps))
					time.Sleep(w.between(0, time.Minute))
				}
				open := -1
				for range 48 {
					time.Sleep(time.Hour)
					err := b.store.Tx(ctx, func(tx *sql.Tx) error {
						return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM jobs WHERE done_at = 0`).Scan(&open)
					})
					if err != nil {
						t.Fatal(err)
					}
					if open == 0 {
						break
					}
				}
				cancel()
				running.Wait()
				synctest.Wait()
				if got := len(b.marks()); open != 0 || got != tickets*steps {
					t.Errorf("%d jobs are not done, and %d steps recorded, want %d", open, got, tickets*steps)
				}
				for job, n := range w.taken {
					if n != steps {
						t.Errorf("%s: %d steps taken, want %d", job, n, steps)
					}
				}
				t.Logf("%d kills, %d stops, %v", kills, stops, time.Since(b.start))
			})
		})
	}
}
