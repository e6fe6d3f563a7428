//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/zdd/internal/figures"
)

// TestBenchStart measures from the start of the process to a link that Slack has greeted,
// as the bot itself knows it.
func TestBenchStart(t *testing.T) {
	r := figures.Begin(t, "start", benchCommand)
	w := newBenchWorld(t, "team acme\napp shop team=acme web=1 size=standard-1x\n")
	bot := buildBot(t)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	times := r.Count(20, 5)
	measure := func(database func() string) (took []time.Duration) {
		for range times {
			env := w.botEnv(database(), freePort(t))
			begin := time.Now()
			p := launch(t, env, bot, "serve")
			await(t, "a link is up", 200*time.Microsecond, func() bool { return w.slack.Links() > 0 })
			await(t, "the bot is ready", 200*time.Microsecond, func() bool { return p.ready(t.Context(), client) })
			took = append(took, time.Since(begin))
			p.stop(t)
			await(t, "the link is gone", time.Millisecond, func() bool { return w.slack.Links() == 0 })
		}
		return took
	}
	fresh := measure(func() string { return "sqlite:" + filepath.Join(t.TempDir(), "zdd.db") })
	kept := "sqlite:" + filepath.Join(t.TempDir(), "zdd.db")
	again := measure(func() string { return kept })[1:]

	r.Line("| from the start of the process to the first link greeted | median | slowest of %d |", times)
	r.Line("|---|---|---|")
	r.Line("| an empty SQLite file, all migrations | %s | %s |", figures.Millis(figures.Quantile(fresh, .5)), figures.Millis(figures.Quantile(fresh, 1)))
	r.Line("| the file of the run before | %s | %s |", figures.Millis(figures.Quantile(again, .5)), figures.Millis(figures.Quantile(again, 1)))
	r.Done()
}

// settled is by when a bot that has nothing to do any more has given back what it needed: its
// connections close after 90 s at the latest, and Go collects at least every two minutes.
const settled = 150 * time.Second

// TestBenchMemory measures what the kernel says is resident of a bot that does nothing, after
// thousands of commands, after as many again, and once it has nothing to do any more. What
// grows with each command would show twice.
func TestBenchMemory(t *testing.T) {
	r := figures.Begin(t, "memory", benchCommand)
	const apps = 50
	w := newBenchWorld(t, benchFleet(herd{"app", apps, "web=1 size=performance-m stage=production"}))
	bot := buildBot(t)
	p := w.startBot(t, bot, "sqlite:"+filepath.Join(t.TempDir(), "zdd.db"))
	rest := r.Length(20*time.Second, 6*time.Second) // both links are up after 5 s
	time.Sleep(rest)

	r.Line("| after | resident | of that data | heap in use | goroutines | open files |")
	r.Line("|---|---|---|---|---|---|")
	say := func(when string) (rss, data int) {
		m, err := p.series(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rss, data = p.resident(t)
		r.Line("| %s | %.1f MiB | %.1f MiB | %.1f MiB | %.0f | %.0f |", when, float64(rss)/1024, float64(data)/1024, m["go_memstats_heap_inuse_bytes"]/(1<<20), m["go_goroutines"], m["process_open_fds"])
		return rss, data
	}
	idle, _ := say(fmt.Sprintf("its start, idle for %s", rest))
	const parts = 4
	part := r.Count(10_000, 600) / parts
	var after []int // KiB, of each part
	for i := range 2 * parts {
		w.statuses(t, part, apps)
		rss, _ := say(fmt.Sprintf("%d commands", (i+1)*part))
		after = append(after, rss)
	}
	last := r.Length(settled, rest)
	time.Sleep(last)
	end, _ := say(fmt.Sprintf("%s of rest", last))
	r.Line("")
	mib := func(kib int) float64 { return float64(kib) / 1024 }
	r.Line("- The first %d commands added %.1f MiB, the next %d %.1f MiB; after the rest %.1f MiB more are resident than before.",
		parts*part, mib(after[parts-1]-idle), parts*part, mib(after[2*parts-1]-after[parts-1]), mib(end-idle))
	for _, b := range []struct {
		how   string
		flags []string
	}{{"`go build`", nil}, {"`go build -trimpath -ldflags='-s -w'`", []string{"-trimpath", "-ldflags=-s -w"}}} {
		info, err := os.Stat(buildBot(t, b.flags...))
		if err != nil {
			t.Fatal(err)
		}
		r.Line("- The program, by %s: %.1f MiB.", b.how, float64(info.Size())/(1<<20))
	}
	r.Done()
}

// statuses types that many commands, eight people at a time, and waits for each answer.
func (w *benchWorld) statuses(t testing.TB, count, apps int) {
	t.Helper()
	const people = 8
	var typing sync.WaitGroup
	lines := make(chan string)
	before := w.answered.Load()
	for range people {
		typing.Go(func() {
			for line := range lines {
				if _, err := w.do(line); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range count {
		lines <- "type requester #general /zdd status " + benchApp("app", i%apps)
		if i%people == people-1 { // no more under way than the bot takes at once
			await(t, "the answers", 2*time.Millisecond, func() bool { return w.answered.Load() > before+int64(i) })
		}
	}
	close(lines)
	typing.Wait()
	await(t, "the last answers", 2*time.Millisecond, func() bool { return w.answered.Load() >= before+int64(count) })
}
