package jobs_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/jobs"
)

func TestWhenJobsRun(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		q, _ := b.run(jobs.Config{Handlers: map[string]jobs.Handler{
			"say": func(ctx context.Context, j *jobs.Job) error { b.say("%s", j.Key); return nil },
		}})
		b.after(5 * time.Second)
		b.enqueue("say", "woken", 0, "")
		q.Wake()
		b.after(5 * time.Second)
		b.heard("5s woken")

		// Another replica's: a look every 30 s finds it.
		b.after(10 * time.Second)
		b.enqueue("say", "found", 0, "")
		b.after(34 * time.Second)
		b.heard()
		b.after(35 * time.Second)
		b.heard("35s found")

		// What is not due is awaited to the moment.
		b.enqueue("say", "soon", 1234*time.Millisecond, "")
		b.enqueue("say", "in an hour", time.Hour, "")
		q.Wake()
		b.after(2 * time.Hour)
		b.heard("36.234s soon", "1h0m35s in an hour")
		b.wantRow("say:soon", "done failures=0")

		// Many at once need one Wake.
		for i := range 20 {
			b.enqueue("say", fmt.Sprintf("many %02d", i), 0, "")
		}
		q.Wake()
		synctest.Wait()
		if got := len(b.said); got != 20 {
			t.Errorf("%d jobs ran, want 20", got)
		}
	})
}

func TestWorkers(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		running, most := 0, 0
		q, _ := b.run(jobs.Config{Workers: 3, Handlers: map[string]jobs.Handler{
			"work": func(ctx context.Context, j *jobs.Job) error {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(10 * time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				return nil
			},
		}})
		for i := range 9 {
			b.enqueue("work", fmt.Sprint(i), 0, "")
		}
		q.Wake()
		b.after(29 * time.Second)
		b.wantRow("work:8", "open failures=0")
		b.after(30 * time.Second)
		b.wantRow("work:8", "done failures=0")
		if most != 3 {
			t.Errorf("%d jobs ran at once, want 3", most)
		}
	})
}

// TestRetries fails for a while: the pauses double, with jitter, up to the longest, and
// what was seen of the failures is forgotten once the job gets on.
func TestRetries(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var log bytes.Buffer
		var runs []time.Time
		q, _ := b.run(jobs.Config{
			Timing: jobs.Timing{Retry: 4 * time.Second, RetryMost: 20 * time.Second},
			Redact: func(s string) string { return strings.ReplaceAll(s, "c4n4ry", "[redacted]") },
			Log:    slog.New(slog.NewTextHandler(&log, nil)),
			Handlers: map[string]jobs.Handler{"try": func(ctx context.Context, j *jobs.Job) error {
				runs = append(runs, time.Now())
				n := len(runs)
				if n == 9 {
					return j.Later(time.Now().Add(time.Minute), "c4n4ry sings")
				}
				since, failures := runs[0], n-1
				if n == 1 {
					since = time.Time{}
				}
				if n > 9 {
					since, failures = time.Time{}, 0
				}
				if j.Attempt != n || j.Failures != failures || !j.FailingSince.Equal(since) {
					t.Errorf("run %d: got attempt %d, %d failures since %v, want %d since %v", n, j.Attempt, j.Failures, j.FailingSince, failures, since)
				}
				if n > 9 {
					return nil
				}
				return fmt.Errorf("no %d: c4n4ry\x00\xff%s", n, strings.Repeat("x", 5000))
			}},
		})
		b.enqueue("try", "1", 0, "")
		q.Wake()
		synctest.Wait()
		got := b.row("try:1")
		if want := "open failures=1 no 1: [redacted]xxxx"; !strings.HasPrefix(got, want) || len(got) > 2100 {
			t.Errorf("got %d bytes, %.60q, want %q", len(got), got, want)
		}
		b.after(4 * time.Minute)
		for i, longest := range []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second} {
			// The store counts in milliseconds.
			if pause := runs[i+1].Sub(runs[i]); pause > longest || pause < longest/2-time.Millisecond {
				t.Errorf("pause %d: got %v, want %v to %v", i+1, pause, longest/2, longest)
			}
		}
		if len(runs) != 10 || runs[9].Sub(runs[8]) != time.Minute {
			t.Errorf("got runs at %v, want 10, the last a minute after the one before", runs)
		}
		b.wantRow("try:1", "done failures=0")
		if strings.Contains(log.String(), "c4n4ry") || !strings.Contains(log.String(), `msg="job failed, will be tried again" ref=try:1 attempt=1 err="no 1: [redacted]`) {
			t.Errorf("got log %s", log.String())
		}
	})
}

func TestEnds(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		handlers := map[string]jobs.Handler{
			"give-up": func(ctx context.Context, j *jobs.Job) error {
				return fmt.Errorf("apply: %w", j.GiveUp(errors.New("the app is gone")))
			},
			"nil":       func(ctx context.Context, j *jobs.Job) error { return j.GiveUp(nil) },
			"limited":   func(ctx context.Context, j *jobs.Job) error { b.say("try"); return errors.New("503") },
			"panics":    func(ctx context.Context, j *jobs.Job) error { panic("c4n4ry") },
			"impatient": func(ctx context.Context, j *jobs.Job) error { b.say("look"); return j.Later(time.Time{}, "nothing") },
			"fine":      func(ctx context.Context, j *jobs.Job) error { return nil },
		}
		var log bytes.Buffer
		q, _ := b.run(jobs.Config{
			Handlers: handlers, GiveUpAfter: map[string]time.Duration{"limited": time.Minute}, Timing: jobs.Timing{Retry: 40 * time.Second, RetryMost: 40 * time.Second},
			Redact: func(s string) string { return strings.ReplaceAll(s, "c4n4ry", "[redacted]") }, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		for _, kind := range []string{"panics", "give-up", "nil", "fine"} {
			b.enqueue(kind, "1", 0, "")
		}
		q.Wake()
		synctest.Wait()
		b.wantRow("give-up:1", "done failures=0 apply: the app is gone")
		b.wantRow("nil:1", "done failures=0 given up")
		b.wantRow("fine:1", "done failures=0")
		b.wantRow("panics:1", "open failures=1 panic: [redacted]")
		if got := log.String(); strings.Contains(got, "c4n4ry") || !strings.Contains(got, "queue_test.go") {
			t.Errorf("the log has the panic's secret, or not its stack: %s", got)
		}
		b.enqueue("limited", "1", 0, "")
		q.Wake()
		b.after(10 * time.Minute)
		if got := b.row("limited:1"); !strings.HasPrefix(got, "done") || !strings.HasSuffix(got, " 503") {
			t.Errorf("limited: got %q, want it to be done, with its last error", got)
		}
		if got := len(b.said); got < 3 || got > 4 {
			t.Errorf("tried %d times, want 3 or 4: 20 s to 40 s apart for a minute", got)
		}
		b.said = nil
		b.after(11 * time.Minute)
		b.enqueue("impatient", "1", 0, "")
		q.Wake()
		b.after(11*time.Minute + 2500*time.Millisecond)
		b.heard("11m0s look", "11m1s look", "11m2s look")
		b.wantRow("impatient:1", "open failures=0 nothing")
	})
}

// TestPaused has a process stand still in the middle of a write for longer than its
// lease, as by SIGSTOP: another one goes on, and what the first records is not kept.
func TestPaused(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		handler := func(who string, pause time.Duration) map[string]jobs.Handler {
			return map[string]jobs.Handler{"apply": func(ctx context.Context, j *jobs.Job) error {
				deadline := j.Deadline()
				err := j.Step(ctx, func(ctx context.Context) error {
					if d, ok := ctx.Deadline(); !ok || !d.Equal(deadline) {
						t.Errorf("%s: got deadline %v, %v, want %v", who, d, ok, deadline)
					}
					b.say("%s begins, %v left", who, time.Until(deadline))
					time.Sleep(pause)
					b.say("%s wakes up, %v left, %v", who, time.Until(deadline), context.Cause(ctx))
					return nil
				}, mark(who))
				b.say("%s: %v", who, err)
				if err != nil {
					return err
				}
				return j.Step(ctx, nil, mark(who+" 2"))
			}}
		}
		q, _ := b.run(jobs.Config{Handlers: handler("first", 2*time.Minute), Workers: 1}) // all of it stands still
		b.enqueue("apply", "T-1", 0, "shop")
		q.Wake()
		synctest.Wait()
		b.run(jobs.Config{Handlers: handler("second", time.Second)})
		b.after(10 * time.Minute)
		b.heard(
			"0s first begins, 50s left",
			"1m0s second begins, 50s left",
			"1m1s second wakes up, 49s left, <nil>",
			"1m1s second: <nil>",
			"2m0s first wakes up, -1m10s left, the lease on the job is lost",
			"2m0s first: renew job apply:T-1: the lease on the job is lost",
		)
		b.wantMarks("second", "second 2")
		b.wantRow("apply:T-1", "done failures=0")
	})
}

// TestOvertime is a handler that takes longer than its lease while nobody else is
// there: what it has done counts, and nothing more is begun.
func TestOvertime(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		handlers := map[string]jobs.Handler{
			// Its lease is over before it comes to the point.
			"dawdles": func(ctx context.Context, j *jobs.Job) error {
				if j.Attempt > 1 {
					return j.Step(ctx, nil, mark("dawdles, again"))
				}
				<-ctx.Done()
				b.say("dawdles: %v", context.Cause(ctx))
				err := j.Step(ctx, func(context.Context) error { b.say("changed something"); return nil }, mark("dawdles"))
				if !errors.Is(err, jobs.ErrLost) {
					t.Errorf("got %v, want %v", err, jobs.ErrLost)
				}
				return err
			},
			// It does not, but nobody hears the clock.
			"deaf": func(ctx context.Context, j *jobs.Job) error {
				time.Sleep(50 * time.Second)
				err := j.Step(context.WithoutCancel(ctx), func(context.Context) error { b.say("changed something"); return nil }, nil)
				if !errors.Is(err, jobs.ErrLost) {
					t.Errorf("got %v, want %v", err, jobs.ErrLost)
				}
				return nil
			},
			// The write ends between the deadline and the end of the lease.
			"slow": func(ctx context.Context, j *jobs.Job) error {
				return j.Step(ctx, func(context.Context) error { time.Sleep(55 * time.Second); return nil }, mark("slow"))
			},
			// Each Step renews the lease.
			"long": func(ctx context.Context, j *jobs.Job) error {
				for i := range 10 {
					if err := j.Step(ctx, func(context.Context) error { time.Sleep(45 * time.Second); return nil }, mark(fmt.Sprint("long ", i))); err != nil {
						return err
					}
					if got := time.Until(j.Deadline()); got != 50*time.Second {
						t.Errorf("after a Step %v are left, want 50s", got)
					}
				}
				return nil
			},
		}
		q, _ := b.run(jobs.Config{Handlers: handlers})
		for kind := range handlers {
			b.enqueue(kind, "1", 0, "")
		}
		q.Wake()
		b.after(10 * time.Minute)
		b.heard("50s dawdles: the lease on the job is lost")
		b.wantMarks("dawdles, again", "long 0", "long 1", "long 2", "long 3", "long 4", "long 5", "long 6", "long 7", "long 8", "long 9", "slow")
		for kind := range handlers {
			if got := b.row(kind + ":1"); !strings.HasPrefix(got, "done") {
				t.Errorf("%s: got %q, want it to be done", kind, got)
			}
		}
	})
}

// TestStepErrors wants nothing recorded when do fails, and nothing kept when record does.
func TestStepErrors(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		no := errors.New("no")
		q, _ := b.run(jobs.Config{Handlers: map[string]jobs.Handler{"apply": func(ctx context.Context, j *jobs.Job) error {
			if err := j.Step(ctx, func(context.Context) error { return no }, mark("do failed")); !errors.Is(err, no) {
				t.Errorf("got %v, want %v", err, no)
			}
			err := j.Step(ctx, nil, func(ctx context.Context, tx *sql.Tx) error {
				if err := mark("record failed")(ctx, tx); err != nil {
					return err
				}
				return no
			})
			if !errors.Is(err, no) {
				t.Errorf("got %v, want %v", err, no)
			}
			short, cancel := context.WithCancel(ctx)
			cancel()
			if err := j.Step(short, nil, mark("gave up")); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			if err := j.Step(ctx, nil, nil); err != nil {
				t.Error(err)
			}
			return j.Step(ctx, nil, mark("good"))
		}}})
		b.enqueue("apply", "T-1", 0, "")
		q.Wake()
		synctest.Wait()
		b.wantMarks("good")
		b.wantRow("apply:T-1", "done failures=0")
	})
}

// TestStop stops a queue in the middle: the Step that has begun ends and is recorded,
// the next does not begin, and another queue goes on at once.
func TestStop(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		handlers := func(who string) map[string]jobs.Handler {
			return map[string]jobs.Handler{
				"apply": func(ctx context.Context, j *jobs.Job) error {
					for i := range 3 {
						name := fmt.Sprint("step ", i)
						if slices.Contains(b.marks(), name) {
							continue
						}
						err := j.Step(ctx, func(context.Context) error {
							b.say("%s begins %s", who, name)
							time.Sleep(10 * time.Second)
							return nil
						}, mark(name))
						if err != nil {
							return fmt.Errorf("apply: %w", err)
						}
					}
					return nil
				},
				"hangs": func(ctx context.Context, j *jobs.Job) error {
					if j.Attempt > 1 {
						return nil
					}
					return j.Step(ctx, func(ctx context.Context) error {
						<-ctx.Done()
						b.say("hung up: %v", context.Cause(ctx))
						return ctx.Err()
					}, mark("hangs"))
				},
				"waits": func(ctx context.Context, j *jobs.Job) error {
					time.Sleep(11 * time.Second)
					return j.Later(time.Now().Add(time.Hour), "the soak")
				},
				"ends": func(ctx context.Context, j *jobs.Job) error { time.Sleep(11 * time.Second); return nil },
			}
		}
		q, stop := b.run(jobs.Config{Handlers: handlers("first")})
		for _, kind := range []string{"apply", "hangs", "waits", "ends"} {
			b.enqueue(kind, "1", 0, "")
		}
		q.Wake()
		b.after(5 * time.Second)
		stop()
		b.say("stopped")
		b.heard("0s first begins step 0", "20s hung up: the queue is stopping", "20s stopped")
		b.wantMarks("step 0")
		b.wantRow("apply:1", "open failures=0 the bot was stopped")
		b.wantRow("hangs:1", "open failures=0 the bot was stopped")
		b.wantRow("waits:1", "open failures=0 the soak")
		b.wantRow("ends:1", "done failures=0")

		b.enqueue("ends", "2", 0, "")
		q.Wake()
		b.after(25 * time.Second)
		b.heard() // nobody is there
		b.run(jobs.Config{Handlers: handlers("second")})
		b.after(time.Minute)
		b.heard("25s second begins step 1", "35s second begins step 2")
		b.wantMarks("step 0", "step 1", "step 2")
		b.wantRow("apply:1", "done failures=0")
		b.wantRow("hangs:1", "done failures=0")
	})
}

// TestLast stops a queue while a handler is at something that can't be taken up again: it
// hears of that, and its last word is recorded, though no Step begins any more.
func TestLast(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var late *jobs.Job
		q, stop := b.run(jobs.Config{Handlers: map[string]jobs.Handler{
			"goes on": func(ctx context.Context, j *jobs.Job) error {
				for n := 1; ; n++ {
					select {
					case <-j.Stopping():
						if err := j.Step(ctx, nil, mark("step")); err == nil {
							t.Error("a Step began")
						}
						b.say("is told")
						return j.Last(ctx, mark("last word"))
					case <-time.After(5 * time.Second):
						if err := j.Step(ctx, nil, mark(fmt.Sprint("at work ", n))); err != nil {
							return err
						}
					}
				}
			},
			"sleeps": func(ctx context.Context, j *jobs.Job) error {
				late = j
				return j.Later(time.Now().Add(time.Hour), "the night")
			},
		}})
		b.enqueue("goes on", "1", 0, "")
		b.enqueue("sleeps", "1", 0, "")
		q.Wake()
		b.after(12 * time.Second)
		stop()
		b.heard("12s is told")
		b.wantMarks("at work 1", "at work 2", "last word")
		b.wantRow("goes on:1", "done failures=0")
		b.after(time.Minute)
		if err := late.Last(t.Context(), mark("too late")); !errors.Is(err, jobs.ErrLost) {
			t.Errorf("after the lease: got %v, want ErrLost", err)
		}
		b.wantMarks("at work 1", "at work 2", "last word")
	})
}

// TestUnknownKind rolls the program back: what only the newer one knew waits for it,
// and keeps its group.
func TestUnknownKind(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		say := func(ctx context.Context, j *jobs.Job) error { b.say("%s", j.ID()); return nil }
		begun := func(ctx context.Context, j *jobs.Job) error {
			if j.Attempt == 1 {
				return j.Later(time.Now().Add(time.Minute), "the soak")
			}
			return say(ctx, j)
		}
		b.enqueue("new", "1", 0, "shop")
		b.enqueue("new", "2", time.Second, "")
		b.enqueue("old", "1", 2*time.Second, "shop")
		b.enqueue("old", "2", 2*time.Second, "blog")
		_, stop := b.run(jobs.Config{Workers: 1, Handlers: map[string]jobs.Handler{"new": begun}})
		stop()
		_, stop = b.run(jobs.Config{Handlers: map[string]jobs.Handler{"old": say}})
		b.after(time.Hour)
		b.heard("2s old:2")
		stop()
		_, stop = b.run(jobs.Config{})
		b.after(2 * time.Hour)
		b.heard()
		stop()
		b.run(jobs.Config{Handlers: map[string]jobs.Handler{"old": say, "new": say}, Workers: 1})
		b.after(3 * time.Hour)
		b.heard("2h0m0s new:2", "2h0m0s new:1", "2h0m0s old:1")
	})
}

// TestGroups has two tickets of one app, and one of another, on two replicas.
func TestGroups(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		apply := func(ctx context.Context, j *jobs.Job) error {
			b.say("%s %d", j.Key, j.Attempt)
			if j.Attempt == 1 {
				return j.Later(time.Now().Add(10*time.Minute), "the soak")
			}
			return j.Step(ctx, func(context.Context) error { time.Sleep(10 * time.Second); return nil }, mark(j.Key))
		}
		b.enqueue("apply", "T-1", 0, "shop")
		b.enqueue("apply", "T-2", time.Millisecond, "shop")
		b.enqueue("apply", "T-3", 2*time.Millisecond, "blog")
		b.run(jobs.Config{Handlers: map[string]jobs.Handler{"apply": apply}})
		b.run(jobs.Config{Handlers: map[string]jobs.Handler{"apply": apply}, Timing: jobs.Timing{Look: time.Second}})
		b.after(time.Hour)
		b.mu.Lock()
		var order []string
		for _, line := range b.said {
			order = append(order, line[strings.Index(line, " ")+1:])
		}
		b.said = nil
		b.mu.Unlock()
		shop := slices.DeleteFunc(slices.Clone(order), func(s string) bool { return strings.HasPrefix(s, "T-3") })
		if want := []string{"T-1 1", "T-1 2", "T-2 1", "T-2 2"}; !slices.Equal(shop, want) {
			t.Errorf("got %v, want %v", shop, want)
		}
		if i := slices.Index(order, "T-3 2"); i < 0 || i > slices.Index(order, "T-2 1") {
			t.Errorf("got %v: another app's ticket waited too", order)
		}
		b.wantMarks("T-1", "T-2", "T-3")
	})
}

// broken is a store whose database is away for a while.
type broken struct {
	jobs.Store
	until time.Time
	asked int
}

var errAway = errors.New("connection refused: c4n4ry")

func (s *broken) ClaimJob(ctx context.Context, c jobs.Claim) (jobs.Claimed, bool, error) {
	if time.Now().Before(s.until) {
		s.asked++
		return jobs.Claimed{}, false, errAway
	}
	return s.Store.ClaimJob(ctx, c)
}

// TestDatabaseAway goes on by itself when the database comes back, and does not wear
// it, or the log, out before.
func TestDatabaseAway(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var log bytes.Buffer
		away := &broken{Store: b.store, until: b.start.Add(10 * time.Minute)}
		b.run(jobs.Config{
			Store: away, Handlers: map[string]jobs.Handler{"say": func(ctx context.Context, j *jobs.Job) error { b.say("%s", j.Key); return nil }},
			Log: slog.New(slog.NewTextHandler(&log, nil)), Redact: func(s string) string { return strings.ReplaceAll(s, "c4n4ry", "[redacted]") },
		})
		b.enqueue("say", "back", 0, "")
		b.after(time.Hour)
		b.heard("10m1s back")
		if away.asked > 30 || strings.Count(log.String(), "could not look for jobs") != away.asked || strings.Contains(log.String(), "c4n4ry") {
			t.Errorf("asked %d times, log %s", away.asked, log.String())
		}
	})
}

// TestClockSetBack: what was put off by the clock of before does not wait until the clock is
// there again, where nothing waits that long.
func TestClockSetBack(t *testing.T) {
	for farthest, want := range map[time.Duration][]string{0: nil, 4 * time.Hour: nil, time.Hour: {"30s fleet"}} {
		bubble(t, func(t *testing.T, b *bench) {
			_, _ = b.run(jobs.Config{Farthest: farthest, Handlers: map[string]jobs.Handler{"watch": func(_ context.Context, j *jobs.Job) error {
				b.say("%s", j.Key)
				return nil
			}}})
			b.enqueue("watch", "fleet", 3*time.Hour, "")
			b.after(time.Minute)
			b.heard(want...)
		})
	}
}

// TestMovedClock has the queue follow a clock that somebody moves, as in the demo.
func TestMovedClock(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		var ahead time.Duration
		now := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(ahead)
		}
		q, _ := b.run(jobs.Config{Now: now, Handlers: map[string]jobs.Handler{"say": func(ctx context.Context, j *jobs.Job) error {
			return j.Step(ctx, func(ctx context.Context) error {
				d, _ := ctx.Deadline()
				b.say("%s, %v left, %v left", j.Key, time.Until(d), j.Deadline().Sub(now()))
				return nil
			}, nil)
		}}})
		b.enqueue("say", "tomorrow", 24*time.Hour, "")
		b.after(time.Minute)
		b.heard()
		mu.Lock()
		ahead = 24 * time.Hour
		mu.Unlock()
		q.Wake()
		synctest.Wait()
		b.heard("1m0s tomorrow, 50s left, 50s left")
	})
}
