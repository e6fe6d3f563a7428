package watch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// run runs a watch in a job of its own, and waits for its end.
func (t *town) run(w watch.Watch) watch.Watch {
	t.Helper()
	if err := t.runner().Run(t.Context(), w.ID, t.held()); err != nil {
		t.Fatal(err)
	}
	return t.read(w.ID)
}

// later does something on the fake clock, and waits for it at the test's end.
func (t *town) later(after time.Duration, do func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(after)
		do()
	})
	t.Cleanup(wg.Wait)
}

// why are the reasons of a verdict in one text.
func why(w watch.Watch) string {
	var all []string
	for _, r := range w.Reasons {
		all = append(all, r.Text)
	}
	return strings.Join(all, " ")
}

func events(w watch.Watch, kind watch.EventKind) (all []string) {
	for _, e := range w.Events {
		if e.Kind == kind {
			all = append(all, e.Text)
		}
	}
	return all
}

// TestRun watches deploys from the asking to the verdict.
func TestRun(t *testing.T) {
	tests := map[string]struct {
		line      string
		length    time.Duration
		meanwhile func(t *town, h *home)
		verdict   watch.Verdict
		why       string
		lasts     time.Duration // 0: length
	}{
		"proved": {"standard-1x web=2 preboot", 10 * time.Minute, func(t *town, h *home) {
			t.later(time.Minute+100*time.Millisecond, func() { t.release(h) })
		}, watch.Proved, "v43 was handed over", 0},
		"no release": {"standard-1x web=2 preboot", 5 * time.Minute, func(*town, *home) {}, watch.Inconclusive, "No release was made", 0},
		"a release at the end makes it longer": {"standard-1x web=2 preboot", 5 * time.Minute, func(t *town, h *home) {
			t.later(5*time.Minute-time.Second, func() { t.release(h) })
		}, watch.Proved, "v43 was handed over", 11 * time.Minute},
		"never longer than the longest": {"standard-1x web=2 preboot", 12 * time.Minute, func(t *town, h *home) {
			t.timing.Longest = 12 * time.Minute
			t.later(11*time.Minute, func() { t.release(h) })
		}, watch.Inconclusive, "before the hand-over to v43 was sure to be over", 0},
		"failed": {"standard-1x web=2", 5 * time.Minute, func(t *town, h *home) {
			t.later(time.Minute, func() { t.release(h); h.answers(http.StatusServiceUnavailable) })
			t.later(time.Minute+9*time.Second, func() { h.answers(0) })
		}, watch.Failed, "v43 dropped", 0},
		"a release right before it, with preboot": {"standard-1x web=2 preboot", 10 * time.Minute, func(t *town, h *home) {
			t.release(h)
		}, watch.Proved, "v43 was handed over", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				h := town.build("shop", tt.line)
				w := town.ask(h, tt.length)
				if w.State != watch.Waiting || w.ID != "D-1" || w.Channel != "C0ASKED" {
					t.Errorf("got %+v, want it to wait", w)
				}
				time.Sleep(20 * time.Second)
				tt.meanwhile(town, h)
				began := time.Now()
				got := town.run(w)
				if got.State != watch.Ended || got.Verdict != tt.verdict || !strings.Contains(why(got), tt.why) {
					t.Errorf("got %s, %s: %s, want %s: %s", got.State, got.Verdict, why(got), tt.verdict, tt.why)
				}
				lasts := tt.lasts
				if lasts == 0 {
					lasts = tt.length
				}
				if took := got.Ended.Sub(got.Began); took < lasts-5*time.Second || took > lasts+15*time.Second || got.Began.Before(began) {
					t.Errorf("it took %s, want %s", took, lasts)
				}
				if want := []string{ledger.WatchAsked, ledger.WatchVerdict}; !slices.Equal(town.verbs(), want) {
					t.Errorf("got entries %q, want %q", town.verbs(), want)
				}
				if head, err := town.store.LedgerHead(t.Context()); err != nil || got.Head != head.String() {
					t.Errorf("got head %q, %v, want %s", got.Head, err, head)
				}
				if n := int64(got.Counts.Sent); n != h.requests.Load() || n < int64(lasts/time.Second)-6 {
					t.Errorf("got %d requests, and the app was sent %d", n, h.requests.Load())
				}
				if !slices.Equal(got.Setup.Failing, []string{"preboot"}) || got.By != "U0OP" || got.Name != "shop" || got.Cut != "" || got.Before != 42 {
					t.Errorf("got %+v", got)
				}
				// The message is brought up to date each 10 s: twice a minute would be no live one,
				// and twenty times more than Slack takes of several.
				if n, most := town.tells(), int(lasts/(10*time.Second))+6; n < most/2 || n > most {
					t.Errorf("told %d times, want about %d", n, most)
				}
				if again := town.run(got); again.Rev != got.Rev {
					t.Errorf("a watch that is over was changed: rev %d, want %d", again.Rev, got.Rev)
				}
			})
		})
	}
}

// TestKilled kills the bot in the middle of a watch that has everything for a proof: the
// next one ends it with what was stored, and says so. It is never proved.
func TestKilled(t *testing.T) {
	for name, at := range map[string]time.Duration{"right after it began": 2 * time.Second, "in the hand-over": 3 * time.Minute, "right before its end": 9*time.Minute + 58*time.Second} {
		t.Run(name, func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				h := town.build("shop", "standard-1x web=2 preboot")
				w := town.ask(h, 10*time.Minute)
				town.later(time.Minute, func() { town.release(h) })
				dying, kill := context.WithCancel(t.Context())
				town.later(at, kill)
				job := town.held()
				job.lost = dying.Err // who is dead writes nothing
				if err := town.runner().Run(dying, w.ID, job); err == nil {
					t.Fatal("got no error of a run that was killed")
				}
				if half := town.read(w.ID); half.State != watch.Running || half.Verdict != "" {
					t.Fatalf("got %s %s, want it to stand as running", half.State, half.Verdict)
				}
				time.Sleep(time.Minute) // the lease
				sent := h.requests.Load()
				got := town.run(w)
				if got.State != watch.Ended || got.Verdict != watch.Inconclusive || !strings.Contains(got.Cut, "the bot was restarted") {
					t.Errorf("got %s %s, cut %q, want it to be inconclusive", got.State, got.Verdict, got.Cut)
				}
				if h.requests.Load() != sent || !got.Ended.Before(time.Now().Add(-50*time.Second)) || got.Ended.Before(got.Began) {
					t.Errorf("it began %s and ended %s, and %d more requests were sent", got.Began, got.Ended, h.requests.Load()-sent)
				}
				if want := []string{ledger.WatchAsked, ledger.WatchVerdict}; !slices.Equal(town.verbs(), want) {
					t.Errorf("got entries %q, want %q", town.verbs(), want)
				}
			})
		})
	}
}

// queue runs a replica's jobs until stop is called, which returns when all have ended.
func (t *town) queue(s *store.Store, handlers map[string]jobs.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	q := jobs.New(jobs.Config{Store: s, Handlers: handlers, Workers: 10, Timing: jobs.Timing{Look: time.Second}})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := q.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// replica is a program of its own on the town's database.
func (t *town) replica() (stop func()) {
	t.Helper()
	s, err := store.Open(t.Context(), t.options)
	if err != nil {
		t.Fatal(err)
	}
	runner := watch.NewRunner(watch.RunnerConfig{
		Store: s, Heroku: t, Policy: t.inForce,
		Prober: watch.NewProber(watch.ProberConfig{Dial: t.network.Dial}),
	})
	end := t.queue(s, map[string]jobs.Handler{
		watch.WorkDeployWatch: func(ctx context.Context, j *jobs.Job) error { return runner.Run(ctx, j.Key, j) },
	})
	return sync.OnceFunc(func() {
		end()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestStopped stops the bot while it watches, as each deploy of the bot does: the watch
// ends at once, and says why.
func TestStopped(t *testing.T) {
	inTown(t, "", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2 preboot")
		h.answer.Store(new(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))) // hangs
		stop := town.replica()
		w := town.ask(h, 10*time.Minute)
		time.Sleep(3*time.Minute + time.Second)
		if got := town.read(w.ID); got.State != watch.Running || len(got.Seconds) < 100 {
			t.Fatalf("got %s with %d seconds, want it to run", got.State, len(got.Seconds))
		}
		stopping := time.Now()
		stop()
		got := town.read(w.ID)
		if got.State != watch.Ended || got.Verdict != watch.Inconclusive || !strings.Contains(got.Cut, "restarted") || got.Ended.Before(stopping) {
			t.Errorf("got %s %s, cut %q, ended %s, want it to have ended at %s", got.State, got.Verdict, got.Cut, got.Ended, stopping)
		}
		if took := time.Since(stopping); took > time.Second {
			t.Errorf("to stop took %s of the dyno's 30 seconds", took)
		}
	})
}

// TestTwoReplicas have one watch: one of them probes. When it is gone without a word, the
// other one ends the watch.
func TestTwoReplicas(t *testing.T) {
	inTown(t, "", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2 preboot")
		stops := []func(){town.replica(), town.replica()}
		w := town.ask(h, 5*time.Minute)
		town.later(time.Minute, func() { town.release(h) })
		time.Sleep(8 * time.Minute)
		for _, stop := range stops {
			stop()
		}
		got := town.read(w.ID)
		if got.Verdict != watch.Proved || int64(got.Counts.Sent) != h.requests.Load() {
			t.Errorf("got %s: %s of %d requests, and %d were sent", got.Verdict, why(got), got.Counts.Sent, h.requests.Load())
		}
	})
}

// TestLost: whoever lost the job to somebody else stops probing, and writes nothing.
func TestLost(t *testing.T) {
	inTown(t, "", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2 preboot")
		w := town.ask(h, 10*time.Minute)
		job := town.held()
		lease, end := context.WithTimeoutCause(t.Context(), 3*time.Minute, jobs.ErrLost) // as the queue ends it
		defer end()
		began := time.Now()
		job.lost = func() error {
			if time.Since(began) > 2*time.Minute {
				return jobs.ErrLost
			}
			return nil
		}
		town.later(2*time.Minute+30*time.Second, func() { town.run(w) }) // the other one ends it
		if err := town.runner().Run(lease, w.ID, job); !errors.Is(err, jobs.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		sent := h.requests.Load()
		got := town.read(w.ID)
		time.Sleep(time.Minute)
		if got.Verdict != watch.Inconclusive || !strings.Contains(got.Cut, "restarted") || h.requests.Load() != sent {
			t.Errorf("got %s, cut %q, and %d requests after the end", got.Verdict, got.Cut, h.requests.Load()-sent)
		}
	})
}

// TestDatabaseAway: a database that is away for less than a lease costs no proof, neither
// in the middle nor at the end.
func TestDatabaseAway(t *testing.T) {
	for name, gone := range map[string][2]time.Duration{"in the hand-over": {2 * time.Minute, 2*time.Minute + 40*time.Second}, "at the end": {9*time.Minute + 50*time.Second, 10*time.Minute + 25*time.Second}} {
		t.Run(name, func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				h := town.build("shop", "standard-1x web=2 preboot")
				w := town.ask(h, 10*time.Minute)
				town.later(time.Minute, func() { town.release(h) })
				job := town.held()
				began := time.Now()
				job.lost = func() error {
					if since := time.Since(began); since > gone[0] && since < gone[1] {
						return errors.New("the database is away")
					}
					return nil
				}
				if err := town.runner().Run(t.Context(), w.ID, job); err != nil {
					t.Fatal(err)
				}
				if got := town.read(w.ID); got.Verdict != watch.Proved {
					t.Errorf("got %s: %s, want proved", got.Verdict, why(got))
				}
			})
		})
	}
}

// TestStopAsked ends a watch by hand: with what it has, which is a proof only where all of
// the hand-over was seen.
func TestStopAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		after time.Duration
		want  watch.Verdict
		why   string
	}{
		"in the hand-over": {3 * time.Minute, watch.Inconclusive, "It was stopped"},
		"after it":         {8 * time.Minute, watch.Proved, "v43 was handed over"},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				h := town.build("shop", "standard-1x web=2 preboot")
				w := town.ask(h, 20*time.Minute)
				town.later(time.Minute, func() { town.release(h) })
				town.later(tt.after, func() {
					if got, err := town.desk().Stop(t.Context(), w.ID, "U0APPROVER"); err != nil || got.State != watch.Running || got.StopBy != "U0APPROVER" {
						t.Errorf("got %s stopped by %q, %v", got.State, got.StopBy, err)
					}
				})
				got := town.run(w)
				if got.Verdict != tt.want || got.StopBy != "U0APPROVER" || got.Cut != "" || !strings.Contains(why(got), tt.why) {
					t.Errorf("got %s: %s, cut %q, want %s: %s", got.Verdict, why(got), got.Cut, tt.want, tt.why)
				}
				if took := got.Ended.Sub(got.Began); took > tt.after+15*time.Second {
					t.Errorf("it ended after %s, want %s", took, tt.after)
				}
			})
		})
	}
}

// TestNotBegun: what can't be probed ends as soon as that is known, what can't be read is
// tried for five minutes.
func TestNotBegun(t *testing.T) {
	inTown(t, "watch: { at_once: 1 }\n", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2")
		w := town.ask(h, 10*time.Minute)
		runner, job := town.runner(), town.held()
		town.fails("app", away())
		if err := runner.Run(t.Context(), w.ID, job); !errors.Is(err, errWaits) || !job.at.After(time.Now()) {
			t.Errorf("unread: got %v until %s, want it to wait", err, job.at)
		}
		if got := town.read(w.ID); got.State != watch.Waiting || h.requests.Load() != 0 {
			t.Errorf("got %s and %d requests, want it to wait", got.State, h.requests.Load())
		}
		time.Sleep(5*time.Minute + time.Second)
		if err := runner.Run(t.Context(), w.ID, job); err != nil {
			t.Fatal(err)
		}
		if got := town.read(w.ID); got.Verdict != watch.Inconclusive || !strings.Contains(got.Cut, "could not begin") {
			t.Errorf("got %s, cut %q", got.Verdict, got.Cut)
		}
		town.fails("app", nil)
		w = town.ask(h, 10*time.Minute)
		h.Maintenance = true
		if got := town.run(w); got.Verdict != watch.Inconclusive || !strings.Contains(got.Cut, "maintenance mode") || h.requests.Load() != 0 {
			t.Errorf("got %s, cut %q, and %d requests", got.Verdict, got.Cut, h.requests.Load())
		}
		h.Maintenance = false
		time.Sleep(time.Minute)
		w = town.ask(h, 10*time.Minute)
		town.policy.Scope.Exclude = []string{"shop"} // the bot was started anew meanwhile
		if got := town.run(w); got.Verdict != watch.Inconclusive || !strings.Contains(got.Cut, "out of scope") || h.requests.Load() != 0 {
			t.Errorf("got %s, cut %q, and %d requests", got.Verdict, got.Cut, h.requests.Load())
		}
		if err := runner.Run(t.Context(), "D-9", job); !errors.Is(err, watch.ErrNoWatch) || !strings.Contains(job.why, "D-9") {
			t.Errorf("no such watch: got %v, %q, want it to be given up", err, job.why)
		}
	})
}

// TestTimeLine is what a watch tells of Heroku meanwhile, by our own clock.
func TestTimeLine(t *testing.T) {
	for _, ahead := range []time.Duration{0, -40 * time.Second, 40 * time.Second} {
		t.Run(fmt.Sprint("Heroku's clock ", ahead, " ahead"), func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				town.ahead = ahead
				h := town.build("shop", "standard-1x web=2 worker=1 preboot")
				w := town.ask(h, 10*time.Minute)
				began := time.Now()
				town.later(time.Minute, func() { town.release(h) })
				edit := func(after time.Duration, do func()) {
					town.later(after, func() {
						town.mu.Lock()
						defer town.mu.Unlock()
						do()
					})
				}
				edit(8*time.Minute, func() {
					h.Formation = fleet.Known([]fleet.Process{{Type: "web", Quantity: 3, Size: "Standard-2X"}})
					h.dynos[1].State = "crashed"
				})
				edit(8*time.Minute+30*time.Second, func() { h.Maintenance = true })
				got := town.run(w)
				at := got.Release.CreatedAt.Sub(began)
				if got.Release.Version != 43 || at < time.Minute-time.Second || at > time.Minute || !slices.Equal(got.Releases, []int{43}) {
					t.Errorf("got v%d made after %s, want v43 after a minute", got.Release.Version, at)
				}
				for kind, want := range map[watch.EventKind][]string{
					watch.EventFormation:   {"web was scaled from 2 to 3", "web was resized from standard-1x to standard-2x", "worker is gone"},
					watch.EventDyno:        {"web.1 of v43 is up", "web.2 of v43 is up", "web.2 of v43 is crashed"},
					watch.EventMaintenance: {"maintenance mode was switched on"},
				} {
					if texts := events(got, kind); !slices.Equal(texts, want) {
						t.Errorf("%s: got %q, want %q", kind, texts, want)
					}
				}
				for _, e := range got.Events {
					if after := e.At.Sub(began); after < 50*time.Second || after > 10*time.Minute+10*time.Second {
						t.Errorf("%s is told of after %s", e.Text, after)
					}
				}
			})
		})
	}
}

// TestTrouble is what is said where Heroku can't be read: in the middle it costs nothing,
// at the end nobody knows which releases there were.
func TestTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		what     string
		from, to time.Duration
		verdict  watch.Verdict
		want     string
	}{
		"releases for a while":      {"releases", 3*time.Minute + 5*time.Second, 4*time.Minute + 5*time.Second, watch.Proved, "The releases could not be read for 1 min: Heroku did not answer."},
		"dynos":                     {"dynos", time.Second, time.Hour, watch.Proved, "The dynos could not be read for"},
		"features":                  {"settings", 2 * time.Minute, 3 * time.Minute, watch.Proved, "The formation could not be read for"},
		"maintenance":               {"glance", time.Second, time.Hour, watch.Proved, "The maintenance mode could not be read for"},
		"the clock for a while":     {"skew", -time.Second, 5 * time.Minute, watch.Proved, ""},
		"releases at the end":       {"releases", 9*time.Minute + 50*time.Second, time.Hour, watch.Inconclusive, "The releases could not be read for"},
		"releases right at the end": {"releases", 9*time.Minute + 50*time.Second, 10*time.Minute + 20*time.Second, watch.Proved, "The releases could not be read for"},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, "", func(t *testing.T, town *town) {
				h := town.build("shop", "standard-1x web=2 preboot")
				w := town.ask(h, 10*time.Minute)
				town.later(time.Minute, func() { town.release(h) })
				if tt.from < 0 {
					town.fails(tt.what, away())
				} else {
					town.later(tt.from, func() { town.fails(tt.what, away()) })
				}
				town.later(tt.to, func() { town.fails(tt.what, nil) })
				got := town.run(w)
				if got.Verdict != tt.verdict || !strings.Contains(strings.Join(got.Trouble, " "), tt.want) {
					t.Errorf("got %s: %s, trouble %q, want %s with %q", got.Verdict, why(got), got.Trouble, tt.verdict, tt.want)
				}
			})
		})
	}
}

// TestBudget: five watches look as often as they like, and more of them no more often
// together; they say so.
func TestBudget(t *testing.T) {
	for _, n := range []int{1, 5, 10} {
		t.Run(fmt.Sprint(n, " watches"), func(t *testing.T) {
			inTown(t, "watch: { at_once: 10 }\n", func(t *testing.T, town *town) {
				runner := town.runner()
				var wg sync.WaitGroup
				for i := range n {
					h := town.build(fmt.Sprint("app-", i), "standard-1x web=2")
					w := town.ask(h, 5*time.Minute)
					wg.Go(func() {
						if err := runner.Run(t.Context(), w.ID, town.held()); err != nil {
							t.Error(err)
						}
					})
				}
				time.Sleep(65 * time.Second) // between two looks, which are taken at whole tens of seconds
				calls := func() int {
					return town.called("releases") + 2*town.called("settings") + town.called("dynos") + town.called("glance")
				}
				before := calls()
				time.Sleep(3 * time.Minute)
				perMinute := float64(calls()-before) / 3
				if most := min(float64(n), 5) * 16; perMinute > 1.1*most || perMinute < 0.8*most {
					t.Errorf("got %.1f calls a minute, want %.0f", perMinute, most)
				}
				wg.Wait()
				for i := range n {
					w := town.read(watch.ID(int64(i + 1)))
					if told := strings.Contains(strings.Join(w.Trouble, " "), "every 20 s only"); told != (n == 10) {
						t.Errorf("%s: got trouble %q", w.ID, w.Trouble)
					}
				}
			})
		})
	}
}

// TestOnce is a watch on a terminal, which needs no database.
func TestOnce(t *testing.T) {
	inTown(t, "scope: { exclude: [blog] }\n", func(t *testing.T, town *town) {
		shop, blog := town.build("shop", "standard-1x web=2 preboot"), town.build("blog", "standard-1x web=2")
		runner := watch.NewRunner(watch.RunnerConfig{Heroku: town, Policy: town.inForce, Prober: watch.NewProber(watch.ProberConfig{Dial: town.network.Dial})})
		seen := 0
		each := func(w watch.Watch) {
			seen++
			if w.State != watch.Running || w.Verdict != "" {
				t.Errorf("got %s %s of a snapshot", w.State, w.Verdict)
			}
		}
		town.later(time.Minute, func() { town.release(shop) })
		w, err := runner.Once(t.Context(), watch.OnceFor{App: town.whole(shop)}, each)
		if err != nil || w.Verdict != watch.Proved || w.State != watch.Ended || w.ID != "" || seen < 100 {
			t.Errorf("got %s: %s, %v, in %d snapshots, want proved", w.Verdict, why(w), err, seen)
		}

		ctx, interrupt := context.WithCancel(t.Context())
		town.later(90*time.Second, interrupt)
		town.later(time.Minute, func() { town.release(shop) })
		began := time.Now()
		w, err = runner.Once(ctx, watch.OnceFor{App: town.whole(shop), For: 5 * time.Minute}, each)
		if err != nil || w.Verdict != watch.Inconclusive || w.Cut != "it was interrupted" || w.Release.Version != 44 || time.Since(began) > 91*time.Second {
			t.Errorf("got %s: %s, cut %q, %v after %s", w.Verdict, why(w), w.Cut, err, time.Since(began))
		}

		for name, of := range map[string]watch.OnceFor{
			"too short": {App: town.whole(shop), For: time.Minute}, "too long": {App: town.whole(shop), For: 61 * time.Minute}, "out of scope": {App: town.whole(blog)},
			"no web": {App: town.whole(town.build("idle", "standard-1x web=0"))},
		} {
			if w, err := runner.Once(t.Context(), of, each); err == nil {
				t.Errorf("%s: got %s, want a refusal", name, w.Verdict)
			}
		}
		if blog.requests.Load() != 0 {
			t.Error("an app out of scope was probed")
		}
		synctest.Wait()
	})
}
