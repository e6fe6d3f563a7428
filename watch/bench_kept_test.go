//go:build linux

package watch_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/figures"
	"example.com/zdd/internal/pgtest"
	"example.com/zdd/jobs"
	"example.com/zdd/policy"
	"example.com/zdd/secret"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// benchDatabase names the database in which the program that is measured keeps its watches:
// a PostgreSQL address or a file of SQLite's; empty: it keeps none.
const benchDatabase = "ZDD_BENCH_DATABASE"

// keptBenched is what a program tells of its watches.
type keptBenched struct {
	Requests, Failed int
	Late             []time.Duration // the 99th percentile of each watch
	Saves, Bytes     int64           // rows of watches written, and the JSON in them
	Length           int64           // of one watch's JSON in the end
}

// TestBenchKept measures 50 whole watches at once, as a bot in Slack carries them out: each
// is a job, whose row is written anew every five seconds, and read for its message. Beside it
// is what the same watches take where nothing is kept.
func TestBenchKept(t *testing.T) {
	if os.Getenv(benchAddress) != "" {
		t.Skip("this is the program that is measured")
	}
	r := figures.Begin(t, "kept", "make bench")
	span := r.Length(3*time.Minute, 12*time.Second)
	address := benchApps(t)
	postgres := pgtest.URL(t)
	db, err := sql.Open("pgx", postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{`ALTER SYSTEM SET fsync = on`, `ALTER SYSTEM SET synchronous_commit = on`, `SELECT pg_reload_conf()`} { // as in production
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	r.Line("%d apps, %d requests a second each, for %s, with a release in the middle. Late is how late requests were sent: the median of the watches' p99, and the highest of them.", benchWatches, benchRate, span)
	r.Line("")
	r.Line("| watches kept in | requests | failed | late | rows of watches written | JSON written | a watch in the end | processor of the program, of the database | resident at the most |")
	r.Line("|---|---|---|---|---|---|---|---|---|")
	var base float64
	var ratios []string
	for _, c := range []struct{ name, database string }{
		{"nothing", ""},
		{"SQLite", filepath.Join(t.TempDir(), "zdd.db")},
		{"PostgreSQL", postgres},
	} {
		served := -1.0
		before := 0.0
		if c.name == "PostgreSQL" {
			before = serverTime(t, db)
		}
		got, state := runKept(t, address, c.database, span)
		if c.name == "PostgreSQL" {
			served = (serverTime(t, db) - before) / span.Seconds() * 100
		}
		const unsaved = 10 * time.Second // the last snapshot is five seconds old at the most, and they begin within the first
		if want := benchWatches * benchRate * int((span-unsaved)/time.Second); got.Requests < want*9/10 {
			t.Errorf("%s: got %d requests, want about %d", c.name, got.Requests, want)
		}
		used := state.SysUsage().(*syscall.Rusage)
		cpu := float64(state.SystemTime()+state.UserTime()) / float64(span) * 100
		processor := fmt.Sprintf("%.1f %%", cpu)
		all := cpu
		switch {
		case served >= 0:
			processor += fmt.Sprintf(", %.1f %% of a core", served)
			all += served
		default:
			processor += " of a core"
		}
		if c.database == "" {
			base = cpu
		} else {
			ratios = append(ratios, fmt.Sprintf("with %s %.2f times", c.name, all/base))
		}
		r.Line("| %s | %d | %d | %s, %s | %d | %.1f MiB, %.0f KiB a second | %.1f KiB | %s | %d MiB |", c.name, got.Requests, got.Failed,
			figures.Millis(figures.Quantile(got.Late, .5)), figures.Millis(figures.Quantile(got.Late, 1)), got.Saves, float64(got.Bytes)/(1<<20),
			float64(got.Bytes)/(1<<10)/span.Seconds(), float64(got.Length)/(1<<10), processor, used.Maxrss>>10)
	}
	r.Line("")
	r.Line("- Of the processor all of it, the database too, takes %s what the same watches take that are kept nowhere.", strings.Join(ratios, ", and "))
	r.Done()
}

// serverTime is what PostgreSQL has taken of the processor until now, in seconds, with what
// those of its processes took that have ended.
func serverTime(t *testing.T, db *sql.DB) (seconds float64) {
	t.Helper()
	var backend int
	if err := db.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		t.Fatal(err)
	}
	// Fields of proc(5)'s stat, behind the name: the parent is the second; utime, stime,
	// cutime and cstime are the twelfth and those after it.
	fields := func(pid string) []string {
		text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			return nil // it has ended
		}
		return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	}
	ticks := func(all []string) (sum float64) {
		for _, f := range all {
			n, _ := strconv.ParseFloat(f, 64)
			sum += n
		}
		return sum
	}
	of := fields(strconv.Itoa(backend))
	if of == nil {
		t.Skip("PostgreSQL does not run on this machine")
	}
	server := of[1]
	sum := ticks(fields(server)[11:15])
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		if f := fields(entry.Name()); len(f) > 13 && f[1] == server {
			sum += ticks(f[11:13])
		}
	}
	const perSecond = 100 // USER_HZ, which is 100 wherever Go's linux ports run
	return sum / perSecond
}

// runKept is one program's turn.
func runKept(t *testing.T, address, database string, span time.Duration) (got keptBenched, state *os.ProcessState) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestBenchedKept$", "-test.v")
	cmd.Env = []string{benchAddress + "=" + address, benchSpan + "=" + span.String(), benchDatabase + "=" + database}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the watches: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if json.Unmarshal([]byte(line), &got) == nil {
			return got, cmd.ProcessState
		}
	}
	t.Fatalf("the watches told nothing:\n%s", out)
	return keptBenched{}, nil
}

// TestBenchedKept is the program that is measured: 50 watches of ten minutes, of which it
// prints how they were after a while.
func TestBenchedKept(t *testing.T) {
	address, database := os.Getenv(benchAddress), os.Getenv(benchDatabase)
	span, err := time.ParseDuration(os.Getenv(benchSpan))
	if address == "" || err != nil {
		t.Skip("TestBenchKept runs it, as a process of its own")
	}
	heroku := benchHeroku{release: time.Now().Add(span / 2), apps: map[string]fleet.App{}}
	allowed := map[string]string{}
	for n := range benchWatches {
		app := fleettest.App("standard-1x web=2")
		app.ID, app.Name = fleet.ID(fmt.Sprintf("5eed0000-0000-4000-8000-%012d", n)), fmt.Sprintf("app-%d", n)
		host := app.Name + ".herokuapp.localhost"
		app.WebURL, allowed[host+":80"] = "http://"+host+"/", address
		heroku.apps[string(app.ID)] = app
	}
	pol := policy.Default()
	pol.Watch.AtOnce, pol.Watch.PerSecond = benchWatches, benchWatches*benchRate
	config := watch.RunnerConfig{
		Heroku: heroku, Policy: func() policy.Policy { return pol },
		Prober: watch.NewProber(watch.ProberConfig{Dial: watch.ExactDialer(allowed), AtOnce: benchWatches, PerSecond: benchWatches * benchRate}),
	}
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	var got keptBenched
	if database == "" {
		got = unkept(ctx, t, watch.NewRunner(config), heroku)
	} else {
		got = keptIn(ctx, t, database, config, heroku)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(text))
}

// unkept has the watches run as on a terminal.
func unkept(ctx context.Context, t *testing.T, runner *watch.Runner, heroku benchHeroku) (got keptBenched) {
	var mu sync.Mutex
	var work sync.WaitGroup
	for _, app := range heroku.apps {
		time.Sleep(time.Second / benchRate / benchWatches) // as those that are kept, they begin one after the other
		work.Go(func() {
			w, err := runner.Once(ctx, watch.OnceFor{App: app}, func(watch.Watch) {})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got.add(w)
		})
	}
	work.Wait()
	return got
}

func (b *keptBenched) add(w watch.Watch) {
	b.Requests, b.Failed = b.Requests+w.Counts.Sent, b.Failed+w.Counts.Failed()
	b.Late = append(b.Late, w.Latency.Delay99)
}

// keptIn has the watches run as in Slack: asked for at a desk, carried out by a queue with a
// worker for each, told by another one, that reads what it would tell.
func keptIn(ctx context.Context, t *testing.T, database string, config watch.RunnerConfig, heroku benchHeroku) (got keptBenched) {
	options := store.Options{Path: database}
	driver := "sqlite"
	if strings.HasPrefix(database, "postgres") {
		options, driver = store.Options{URL: secret.New(database)}, "pgx"
	}
	kept, err := store.Open(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	telling := jobs.New(jobs.Config{Store: kept, Workers: 3, Handlers: map[string]jobs.Handler{watch.WorkTellDeployWatch: func(ctx context.Context, j *jobs.Job) error {
		id, _, _ := strings.Cut(j.Key, ":")
		_, err := kept.Watch(ctx, id)
		return err
	}}})
	config.Store, config.Told = kept, telling.Wake
	runner := watch.NewRunner(config)
	probes := jobs.New(jobs.Config{Store: kept, Workers: benchWatches + 1, Handlers: map[string]jobs.Handler{watch.WorkDeployWatch: func(ctx context.Context, j *jobs.Job) error {
		return runner.Run(ctx, j.Key, j)
	}}})
	desk := watch.NewDesk(watch.DeskConfig{Store: kept, Policy: config.Policy, Wake: probes.Wake})
	running, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for _, queue := range []*jobs.Queue{telling, probes} {
		work.Go(func() { _ = queue.Run(running) })
	}
	for _, app := range heroku.apps {
		if _, _, err := desk.Ask(ctx, watch.AskFor{App: app, Origin: "bench:" + app.Name}); err != nil {
			t.Error(err)
		}
	}
	raw, err := sql.Open(driver, database)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	// What was written is how often each row was, times how long it was about then.
	for beat := time.NewTicker(5 * time.Second); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-beat.C:
		}
		var revs, length int64
		if err := raw.QueryRowContext(t.Context(), `SELECT SUM(rev), SUM(LENGTH(body)) FROM watches`).Scan(&revs, &length); err != nil {
			t.Error(err)
		}
		got.Length = length / benchWatches
		got.Bytes += (revs - got.Saves) * got.Length
		got.Saves = revs
	}
	all, err := kept.Watches(t.Context(), watch.Filter{Limit: -1})
	if err != nil {
		t.Error(err)
	}
	for _, w := range all {
		got.add(w)
	}
	stop()
	work.Wait()
	return got
}

// benchHeroku is a Heroku that answers at once, on which each app gets one release.
type benchHeroku struct {
	apps    map[string]fleet.App
	release time.Time // when
}

func (h benchHeroku) ReadApp(_ context.Context, ref fleet.Ref) (fleet.App, error) {
	return h.apps[ref.String()], nil
}

func (h benchHeroku) ReadGlance(_ context.Context, app fleet.ID) (fleet.App, error) {
	return h.apps[string(app)], nil
}

func (h benchHeroku) ReadSettings(_ context.Context, app fleet.App, _ fleet.Parts) (fleet.App, int, error) {
	return app, 1, nil
}

func (h benchHeroku) ReadDynos(context.Context, fleet.ID) ([]fleet.Dyno, error) { return nil, nil }

func (h benchHeroku) ReadReleases(_ context.Context, _ fleet.ID, after, _ time.Time) ([]fleet.Release, error) {
	if now := time.Now(); now.Before(h.release) || h.release.Before(after) {
		return nil, nil
	}
	return []fleet.Release{{Version: 13, Status: "succeeded", CreatedAt: h.release, UpdatedAt: h.release}}, nil
}

func (h benchHeroku) ReadDomains(context.Context, fleet.ID) ([]string, error) { return nil, nil }

func (h benchHeroku) Skew(context.Context) (time.Duration, error) { return 0, nil }
