//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/internal/pgtest"
	"example.com/zdd/ledger"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// crashLedgerKey seals the campaign's ledger.
const crashLedgerKey = "canary-ledger-key-0123456789"

// A campaign is one set-up of the bot under fire.
type campaign struct {
	name     string
	postgres bool
	replicas int
	kills    int
	pace     pace
	brief    bool // no more than two apps in a batch
	atOnce   int  // people's stories at a time
	seed     uint64
	logs     string    // folder for the processes' logs
	nights   int       // asked for out of turn
	slot     time.Time // when the scheduled night is due; zero: as is the default
}

// TestCrash kills the bot, the real process, again and again while people use it, and
// then counts the harm from what the simulated Slack and Heroku have seen. Short, it is
// part of every test; `make crash` runs it for longer:
//
//	ZDD_CRASH_KILLS  how often each set-up is killed; default 6
//	ZDD_CRASH_SEED   of what is random; default 1
//	ZDD_CRASH_LOGS   a folder that keeps the processes' logs
//
// The same seed does not give the same run: processes are as fast as they are.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts and kills processes for a third of a minute")
	}
	number := func(name string, otherwise int) int {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s is %q, want a number from 1", name, text)
		}
		return n
	}
	const few = 6
	kills, seed := number("ZDD_CRASH_KILLS", few), number("ZDD_CRASH_SEED", 1)
	all := []campaign{
		{name: "sqlite-1", replicas: 1, atOnce: 8},
		{name: "postgres-2", postgres: true, replicas: 2, atOnce: 8},
	}
	if kills > few {
		all = append(all, campaign{name: "postgres-1", postgres: true, replicas: 1, atOnce: 8})
	}
	for _, c := range all {
		c.kills, c.seed = kills, uint64(seed)
		c.nights, c.pace = min(3+kills/5, mostAsked), slowPace()
		if kills <= few {
			c.nights, c.pace, c.brief = 2, quickPace(), true // each night is told for seconds
		}
		t.Run(c.name, func(t *testing.T) {
			if kills <= few {
				t.Parallel() // it waits most of the time
			}
			c.slot = time.Now().Truncate(time.Minute)
			if kills > few { // a short one need not wait for the next minute
				c.slot = c.slot.Add(time.Minute)
			}
			c.logs = t.TempDir()
			if kept := os.Getenv("ZDD_CRASH_LOGS"); kept != "" {
				c.logs = filepath.Join(kept, c.name)
				if err := os.MkdirAll(c.logs, 0o755); err != nil {
					t.Fatal(err)
				}
				former, err := filepath.Glob(filepath.Join(c.logs, "replica-*.log"))
				if err != nil {
					t.Fatal(err)
				}
				for _, file := range former { // of another run, whose nights would be missed in this one
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
			}
			c.run(t)
		})
	}
}

// settling is how long the bot may take, when nothing goes wrong any more, to finish
// all that it has accepted.
const settling = 3 * time.Minute

func (c campaign) run(t *testing.T) {
	begun := time.Now()
	apps := c.apps()
	s := c.begin(t, apps)
	s.people.patient = !c.brief
	w, k := s.world, &killer{world: s.world, rnd: rand.New(rand.NewPCG(c.seed, 3)), most: c.kills, pace: c.pace, replicas: s.replicas}
	var storm time.Duration
	noMore := make(chan struct{})
	go func() {
		defer close(noMore)
		k.run(t)
		storm = time.Since(begun)
		w.calm.Store(true)
	}()
	asked := make(chan struct{})
	go func() { defer close(asked); c.askForNights(t, s, noMore) }()
	last := apps[len(apps)-1]
	closing := make(chan struct{})
	go func() { // one watch at least that nobody cuts short
		defer close(closing)
		<-noMore
		s.people.live(t.Context(), len(apps), last)
	}()
	lived := s.people.lives(t, apps[:len(apps)-1], c.atOnce, noMore)
	<-closing
	<-asked
	stories := time.Since(begun) - storm
	r := c.aftermath(t, s, append(apps[:lived:lived], last))
	settled := time.Since(begun) - storm - stories
	r.fell = append(r.fell, k.rough...)

	found := r.judge()
	t.Logf("%s kills=%d stops=%d ends=%d faults=%d+%d %s | %s | %s errors-logged=%d storm=%s stories=%s settled=%s",
		c.name, k.kills, k.stops, k.ends, w.faults["heroku"], w.faults["slack"], r.size(), found, found.noted(), r.errors,
		storm.Round(100*time.Millisecond), stories.Round(100*time.Millisecond), settled.Round(100*time.Millisecond))
	t.Logf("kills by moment: %v", k.at)
	if found.harm() > 0 {
		t.Errorf("harm was done:\n%s", strings.Join(found.what, "\n"))
		for _, app := range r.harmed(found) {
			t.Logf("%s:\n%s", app, r.tale(app))
		}
	}
	done := slices.ContainsFunc(r.tickets, func(t approval.Ticket) bool { return t.State == approval.Done })
	if cut, whole := r.cutAndWhole(); k.kills < c.kills || !done || len(r.writes) == 0 || len(r.nights) < 2 || cut == 0 || whole == 0 {
		t.Errorf("got %d kills, and %s: nothing is shown by that", k.kills, r.size())
	}
}

// apps are more than people get through, and last one whose deploy is watched in peace.
func (c campaign) apps() []crashApp {
	apps := withWatches(crashApps(2*c.kills + 4*c.atOnce))
	if c.brief {
		apps = withWatches(crashApps(c.kills + 2*c.atOnce))
		for i, a := range apps {
			apps[i].others = a.others[max(0, len(a.others)-1):]
		}
	}
	return append(apps, watchedApp(len(apps), storyWatchDrop))
}

// subject is the id of a ticket, a waiver or a watch.
var subject = regexp.MustCompile(`[TWD]-[0-9]+`)

// harmed are the apps that a count of harm is about, at most a few.
func (r crashRecord) harmed(y *tally) (apps []string) {
	text := strings.Join(y.what, "\n")
	for _, id := range subject.FindAllString(text, -1) {
		for _, e := range r.entries {
			if e.Ticket == id && e.Name != "" {
				apps = append(apps, e.Name)
			}
		}
	}
	for _, a := range r.apps {
		if mentions(text, a.name) {
			apps = append(apps, a.name)
		}
	}
	slices.Sort(apps)
	apps = slices.Compact(apps)
	return apps[:min(len(apps), 5)]
}

// siege is a bot that runs, with the world around it.
type siege struct {
	world    *crashWorld
	people   *crowd
	replicas []*replica
	options  store.Options // of its database
	watched  func() error  // ends that people watch

	refreshed int // links that Slack took away for new ones
}

// begin starts the bot in a world of its own, which ends with the test.
func (c campaign) begin(t *testing.T, apps []crashApp, env ...string) *siege {
	s := &siege{world: newCrashWorld(t, apps, c.seed)}
	database, options := c.database(t)
	c.prepare(t, database, options)
	s.options, s.replicas, s.people = options, c.processes(s.world, database), newCrowd(s.world, c.seed)
	t.Cleanup(func() {
		for _, r := range s.replicas {
			r.kill()
		}
	})
	for _, r := range s.replicas {
		r.env = append(r.env, env...)
		r.start(t)
	}
	watching, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	ended := make(chan error, 1)
	go func() { ended <- s.people.watch(watching, time.Second) }()
	s.watched = func() error {
		stop()
		return <-ended
	}
	return s
}

// aftermath waits until everything has settled, stops the bot, and gathers all that is left.
func (c campaign) aftermath(t *testing.T, s *siege, apps []crashApp) crashRecord {
	kept, err := store.Open(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	w, p := s.world, s.people
	r := crashRecord{apps: apps}
	r.work = settle(t.Context(), kept)
	for _, one := range s.replicas {
		r.fell = append(r.fell, one.fell...)
		if err := one.stopGently(); err != nil {
			r.fell = append(r.fell, err.Error())
		}
	}
	p.await(t.Context(), time.Minute, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.shown == len(w.slack.Events()) })
	if err := s.watched(); err != nil {
		t.Errorf("watch Slack: %v", err)
	}
	r.final = w.finals(r.apps)
	r.writes, r.presses, r.events, r.stuck, r.hands = w.recorded(), p.presses, p.events, p.stuck, p.hands
	if err := r.read(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	r.readNights(t, c, s, kept)
	r.readWatches(t, s, kept)
	var mishaps []string
	r.errors, mishaps = readCrashLogs(t, c.logs)
	r.fell = append(r.fell, mishaps...)
	return r
}

// processes are the replicas, none of which runs yet.
func (c campaign) processes(w *crashWorld, database string) (all []*replica) {
	for i := range c.replicas {
		all = append(all, &replica{number: i, logs: c.logs, env: []string{
			asBot + "=yes",
			"SLACK_BOT_TOKEN=" + simslack.DefaultBotToken, "SLACK_APP_TOKEN=" + simslack.DefaultAppToken, "SLACK_API_URL=" + w.slackURL + "/api/",
			"HEROKU_API_KEY=" + crashTokens()[i], "HEROKU_API_URL=" + w.herokuURL, "HEROKU_METRICS_URL=" + w.herokuURL,
			asBotRouter + "=" + w.domain + " " + w.routers[i], "DATABASE_URL=" + database, "ZDD_POLICY_YAML=" + c.policy(), "ZDD_LEDGER_KEY=" + crashLedgerKey,
		}})
	}
	return all
}

// database makes an empty one: its DATABASE_URL, and how the count opens it.
func (c campaign) database(t *testing.T) (url string, o store.Options) {
	url = "sqlite:" + filepath.Join(t.TempDir(), "zdd.db")
	if c.postgres {
		url = pgtest.URL(t)
	}
	env := map[string]string{"DATABASE_URL": url, "ZDD_LEDGER_KEY": crashLedgerKey}
	o, err := readConfig(func(name string) string { return env[name] }).storeOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return url, o
}

// settle waits until the queue has nothing to do but what is due much later. It says
// what is left.
func settle(ctx context.Context, s *store.Store) (left string) {
	kinds := []string{approval.WorkApply, approval.WorkBatch, approval.WorkLook, approval.WorkTell, approval.WorkTellWaiver, chat.WorkCommand, audit.WorkScan, audit.WorkDigest, watch.WorkDeployWatch, watch.WorkTellDeployWatch}
	until := time.Now().Add(settling)
	for {
		_, found, err := s.NextJob(ctx, kinds)
		switch {
		case err == nil && !found:
			return ""
		case time.Now().After(until) && err != nil:
			return err.Error()
		case time.Now().After(until):
			for _, kind := range kinds {
				if at, found, _ := s.NextJob(ctx, []string{kind}); found {
					left += fmt.Sprintf("%s (due %s) ", kind, at)
				}
			}
			return left
		}
		time.Sleep(5 * look)
	}
}

// read reads what the bot has stored.
func (r *crashRecord) read(ctx context.Context, s *store.Store) (err error) {
	if r.tickets, err = s.Tickets(ctx, approval.Filter{Limit: -1}); err != nil {
		return err
	}
	r.requests = map[string]chat.Accepted{}
	r.posts = map[string]bool{}
	for _, t := range r.tickets {
		posts, err := s.Posts(ctx, t.ID)
		if err != nil {
			return err
		}
		for _, p := range posts {
			r.posts[p.Channel+" "+p.TS] = true
		}
	}
	if err := r.crashWaivers.read(ctx, s, r.posts); err != nil {
		return err
	}
	for _, d := range r.presses {
		a, err := s.Request(ctx, d.envelope)
		if err == nil {
			r.requests[d.envelope] = a
		} else if !errors.Is(err, chat.ErrNoRequest) {
			return err
		}
	}
	for e, err := range s.Ledger(ctx, 1) {
		if err != nil {
			return err
		}
		r.entries = append(r.entries, e)
	}
	var told []ledger.Head
	for _, t := range r.tickets {
		if t.Head == "" {
			continue
		}
		head, err := ledger.ParseHead(t.Head)
		if err != nil {
			return err
		}
		told = append(told, head)
	}
	report, err := s.VerifyLedger(ctx, []ledger.Key{ledger.NewKey(crashLedgerKey)}, told...)
	if err != nil {
		return err
	}
	if report.Verdict() != ledger.Whole {
		r.chain = report.String()
	}
	return nil
}

var mishap = regexp.MustCompile(`(?i)panic|DATA RACE|job given up|fatal error`)

// readCrashLogs counts the errors that the processes logged, and finds what must never
// be logged.
func readCrashLogs(t *testing.T, folder string) (errs int, mishaps []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "replica-*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if bytes.Contains(line, []byte("level=ERROR")) {
				errs++
				t.Logf("%s: %s", filepath.Base(file), line)
			}
			if mishap.Match(line) {
				mishaps = append(mishaps, filepath.Base(file)+": "+string(line))
			}
		}
	}
	return errs, mishaps
}
