package heroku_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	simheroku "example.com/zdd/sim/heroku"
)

// scanned is what a scan of a whole fleet came to.
type scanned struct {
	mu     sync.Mutex
	apps   int // read
	calls  int
	failed []error
}

// scan reads a fleet as the nightly scan does: the roll, then each app, so many at once.
func scan(ctx context.Context, c *heroku.Client, workers int) (*scanned, error) {
	roll, err := c.ReadRoll(ctx, fleet.Filter{})
	if err != nil {
		return nil, err
	}
	out := &scanned{calls: roll.Calls}
	apps := make(chan fleet.App)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for app := range apps {
				_, calls, err := c.ReadSettings(ctx, app, whatMatters())
				out.mu.Lock()
				out.calls += calls
				if out.apps++; err != nil {
					out.apps--
					out.failed = append(out.failed, err)
				}
				out.mu.Unlock()
			}
		})
	}
	for _, app := range roll.Apps {
		apps <- app
	}
	close(apps)
	wg.Wait()
	return out, nil
}

// lowest notes the least that any answer said to be left of the account's calls.
type lowest struct {
	http.Handler
	mu    sync.Mutex
	least int
}

func (l *lowest) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	l.Handler.ServeHTTP(rw, r)
	if n, err := strconv.Atoi(rw.Header().Get("RateLimit-Remaining")); err == nil {
		l.mu.Lock()
		l.least = min(l.least, n)
		l.mu.Unlock()
	}
}

// limited counts the calls that took a token of the account's.
func limited(counts map[string]int) int {
	return sum(counts) - counts["GET /apps/{app}/formation/web/monitors"]
}

// A scan takes what the account's limit allows, hardly longer, and leaves the reserve to
// people; however much is there when it begins.
func TestScanIsPaced(t *testing.T) {
	for left, allowed := range map[int]float64{
		700: 1.05, 500: 1.05, 300: 1.05,
		4500: 1.15, // no wait for tokens: the lists, which come before the apps, count for more
	} {
		t.Run(strconv.Itoa(left), func(t *testing.T) { paced(t, 600, left, allowed) })
	}
}

// The same with 10,000 apps and an account that nobody else uses.
func TestScanOf10000IsPaced(t *testing.T) {
	if os.Getenv("ZDD_LONG") == "" {
		t.Skip("takes five seconds of two cores; ZDD_LONG=1 runs it")
	}
	paced(t, 10_000, 4500, 1.05)
}

func paced(t *testing.T, apps, left int, allowed float64) {
	t.Helper()
	const reserve, perMinute, latency, parallel = 500, 75, 50 * time.Millisecond, 16
	synctest.Test(t, func(t *testing.T) {
		sim := simheroku.New(simheroku.Options{Fleet: simheroku.GenerateFleet(apps, 1), Latency: latency})
		defer sim.Close()
		do(t, sim, "bucket "+strconv.Itoa(left))
		watch := &lowest{Handler: sim, least: left}
		c := client(t, watch, heroku.Config{Reserve: reserve, Parallel: parallel})
		began := time.Now()
		got, err := scan(heroku.Background(t.Context()), c, parallel)
		if err != nil || got.apps != apps || len(got.failed) > 0 {
			t.Fatalf("got %+v, %v, want %d apps", got, err, apps)
		}
		counts := sim.CallCounts()
		if want := sum(counts); got.calls != want {
			t.Errorf("got %d calls, want %d", got.calls, want)
		}
		ideal := max(
			time.Duration(float64(limited(counts)-(left-reserve))/perMinute*float64(time.Minute)),
			time.Duration(sum(counts))*latency/parallel,
		)
		took := time.Since(began)
		ratio := took.Seconds() / ideal.Seconds()
		t.Logf("%d calls, %.3f an app, in %v, %.3f of %v; %d left at least", got.calls, float64(got.calls)/float64(apps), took, ratio, ideal, watch.least)
		if ratio > allowed || ratio < 0.99 {
			t.Errorf("took %v, %.3f of %v, want at most %.2f", took, ratio, ideal, allowed)
		}
		if watch.least < min(left, reserve) {
			t.Errorf("got %d left, want no less than the reserve of %d", watch.least, reserve)
		}
	})
}

// What somebody else spends in the midst of a scan is waited for where there is time,
// and said where there is not.
func TestScanWhenOthersSpend(t *testing.T) {
	for name, tt := range map[string]struct {
		within time.Duration
		all    bool
	}{
		"with time enough": {time.Hour, true},
		"without":          {time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const apps = 200
				c, sim := simulated(t, simheroku.Options{Fleet: simheroku.GenerateFleet(apps, 1), Latency: 50 * time.Millisecond}, heroku.Config{})
				ctx, cancel := context.WithTimeout(heroku.Background(t.Context()), tt.within)
				defer cancel()
				time.AfterFunc(500*time.Millisecond, func() { do(t, sim, "bucket 0") })
				began := time.Now()
				got, err := scan(ctx, c, 16)
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				if tt.all {
					if got.apps != apps || took < 500*time.Minute/75 {
						t.Errorf("got %d apps after %v, %v, want all when the reserve is there again", got.apps, took, got.failed)
					}
					return
				}
				if got.apps == 0 || got.apps == apps || took > 5*time.Second {
					t.Errorf("got %d apps after %v, want some, and the rest refused at once", got.apps, took)
				}
				for _, err := range got.failed {
					if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.RateLimited || p.RetryAfter < 5*time.Minute {
						t.Fatalf("got %+v, want rate-limited, and when to come again", err)
					}
				}
			})
		})
	}
}

// Scans that are cut into short runs, each with the little that comes in meanwhile, read
// no app by halves: what was begun would have to be read again.
func TestScanInShortRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Fleet: simheroku.GenerateFleet(200, 1), Latency: 50 * time.Millisecond}, heroku.Config{})
		do(t, sim, "bucket 510")
		halves, whole := 0, 0
		for range 4 {
			ctx, cancel := context.WithTimeout(heroku.Background(t.Context()), 25*time.Second)
			got, err := scan(ctx, c, 16)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			whole += got.apps
		}
		counts := sim.CallCounts()
		halves = counts["GET /apps/{app}/formation"] - whole
		if whole < 20 || halves > 0 {
			t.Errorf("got %d apps whole and %d by halves, want none by halves", whole, halves)
		}
	})
}
