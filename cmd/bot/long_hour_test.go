//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/approval"
)

// TestLongHour has people use the bot, the real process, for an hour while Slack takes its
// links away for new ones, Heroku fails and Slack limits; then it looks whether anything
// was lost, and whether anything grew. `make long` runs it:
//
//	ZDD_SOAK  how long, such as 90s; default 1h with ZDD_LONG, else it is skipped
//
// TestLongWeek is its short form.
func TestLongHour(t *testing.T) {
	span, err := time.ParseDuration(os.Getenv("ZDD_SOAK"))
	switch {
	case os.Getenv("ZDD_SOAK") == "" && os.Getenv("ZDD_LONG") == "":
		t.Skip("takes an hour; make long runs it, ZDD_SOAK=90s a part of it")
	case os.Getenv("ZDD_SOAK") == "":
		span = time.Hour
	case err != nil || span < 10*time.Second:
		t.Fatalf("ZDD_SOAK is %q, want a duration from 10s", os.Getenv("ZDD_SOAK"))
	}
	c := campaign{name: "soak", replicas: 1, atOnce: 3, seed: soakSeed(t), logs: t.TempDir()}
	apps := crashApps(int(span/time.Second) + 20) // more than people get through
	port := freePort(t)
	s := c.begin(t, apps, "PORT="+port)
	bot := s.replicas[0]
	p := &benchProgram{cmd: bot.cmd, port: port}
	await(t, "both links are up", look, func() bool { return s.world.slack.Links() == 2 })
	g := &growth{T: t, bot: p, file: strings.TrimPrefix(s.options.Path, "sqlite:")}
	g.look()
	idle := g.all[0]

	noMore := make(chan struct{})
	var around sync.WaitGroup
	stop := make(chan struct{})
	around.Go(func() { s.weather(t, span, stop) })
	around.Go(func() { g.watch(stop, span/120) })
	time.AfterFunc(span, func() { close(noMore) })
	begun := time.Now()
	lived := s.people.lives(t, apps, c.atOnce, noMore)
	close(stop)
	around.Wait()
	s.world.calm.Store(true)
	took := time.Since(begun)
	if span >= 10*time.Minute {
		time.Sleep(100 * time.Second) // idle connections are dropped after 90 s at the latest
		g.look()
		last := len(g.all) - 1
		g.rested(idle, g.all[last])
		g.all = g.all[:last] // it would hide what the last quarter has grown to
	}
	r := c.aftermath(t, s, apps[:lived])
	found := r.judge()
	t.Logf("soak of %s: faults=%d+%d refreshes=%d %s | %s | %s errors-logged=%d", took.Round(time.Second),
		s.world.faults["heroku"], s.world.faults["slack"], s.refreshed, r.size(), found, found.noted(), r.errors)
	if found.harm() > 0 {
		t.Errorf("harm was done:\n%s", strings.Join(found.what, "\n"))
		for _, a := range r.apps {
			if strings.Contains(strings.Join(found.what, "\n"), a.name) {
				t.Log(r.tale(a.name))
			}
		}
	}
	if !slices.ContainsFunc(r.tickets, func(t approval.Ticket) bool { return t.State == approval.Done }) {
		t.Errorf("got %s: nothing is shown by that", r.size())
	}
	r.judgeAnswers(t)
	g.judge(len(r.presses))
}

// tale is what happened to an app, for whoever looks into harm: by the ledger, by what
// reached Heroku and by what Slack showed.
func (r crashRecord) tale(app string) string {
	var lines []string
	say := func(at time.Time, format string, args ...any) {
		lines = append(lines, at.UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
	tickets := map[string]bool{}
	for _, e := range r.entries {
		if e.Name == app {
			tickets[e.Ticket] = e.Ticket != ""
			say(e.At, "ledger %s %s %s %s", e.Actor, e.Verb, e.Ticket, e.Detail)
		}
	}
	for _, w := range r.writes[app] {
		say(w.from, "write until %s: %s", w.to.UTC().Format("15:04:05.000"), w.changed())
	}
	for _, d := range r.presses {
		if d.app == app || tickets[d.ticket] {
			say(d.at, "%s did %s %s %s, acknowledged %v", d.who, d.did, d.ticket, d.app, d.acked)
		}
	}
	for _, e := range r.events {
		found := heading.FindStringSubmatch(e.Text)
		if e.By == "bot" && (mentions(e.Text, app) || found != nil && tickets[found[1]]) {
			say(e.At, "shown (%s) to %s%s: %.200q", e.Kind, e.To, e.ChannelName, e.Text)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// judgeAnswers wants as many private answers for each person as acknowledged requests: where no
// process is killed, none goes down with one.
func (r crashRecord) judgeAnswers(t *testing.T) {
	t.Helper()
	asked, told := map[string]int{}, map[string]int{}
	for _, d := range r.presses {
		if d.acked {
			asked[d.who]++
		}
	}
	for _, e := range r.events {
		if e.By == "bot" && (e.Ephemeral || isAnswer(e.Text)) {
			told[e.To]++
		}
	}
	t.Logf("acknowledged %v, answered %v", asked, told)
	for who, n := range asked {
		if told[who] < n {
			t.Errorf("%s: got %d answers to %d acknowledged requests", who, told[who], n)
		}
	}
}

// soakSeed is ZDD_CRASH_SEED, as in the crash campaign; default 1.
func soakSeed(t *testing.T) uint64 {
	text := cmp.Or(os.Getenv("ZDD_CRASH_SEED"), "1")
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("ZDD_CRASH_SEED is %q, want a number", text)
	}
	return seed
}

// weather has Slack refresh a link eight times in the span, take one without a word now and then, and
// limit; and Heroku fail for a while.
func (s *siege) weather(t *testing.T, span time.Duration, stop <-chan struct{}) {
	rnd := rand.New(rand.NewPCG(1, 7))
	slack := benchWorld{slack: s.world.slack, slackURL: s.world.slackURL}
	say := func(line string) {
		if _, err := slack.control(line); err != nil {
			t.Error(err)
		}
	}
	heroku := func(line string) {
		if _, err := s.world.heroku.Do(line); err != nil {
			t.Error(err)
		}
	}
	spell := min(span/40, 15*time.Second) // how long something lasts
	for turn := 0; ; turn++ {
		pause := span/32 + time.Duration(rnd.Int64N(int64(span/64)))
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		switch turn % 4 {
		case 0, 2:
			s.refreshed++
			say("disconnect warning one")
		case 1:
			heroku("fault * /** 503html")
			time.Sleep(spell)
			heroku("faults clear")
		case 3:
			say("fault chat.postMessage 429 2")
			say("fault chat.update 429 2")
			time.Sleep(spell)
			say("faults clear")
			say("disconnect drop one")
		}
	}
}

// sample is what the bot holds at a moment.
type sample struct {
	at                         time.Time
	goroutines, files, sockets int
	resident                   int   // KiB
	database                   int64 // bytes, of the file and its log
}

func (s sample) String() string {
	return fmt.Sprintf("goroutines=%d files=%d sockets=%d resident=%.1fMiB database=%.1fMiB", s.goroutines, s.files, s.sockets, float64(s.resident)/1024, float64(s.database)/(1<<20))
}

// growth is what is watched of a process: by its own metrics and by the kernel.
type growth struct {
	*testing.T
	bot  *benchProgram
	file string // of the database
	all  []sample
}

// watch looks at a steady beat.
func (g *growth) watch(stop <-chan struct{}, beat time.Duration) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			g.look()
		}
	}
}

func (g *growth) look() {
	ctx, cancel := context.WithTimeout(g.Context(), time.Minute)
	defer cancel()
	series, err := g.bot.series(ctx)
	if err != nil {
		g.Errorf("look at the bot: %v", err)
		return
	}
	s := sample{at: time.Now(), goroutines: int(series["go_goroutines"]), files: int(series["process_open_fds"])}
	folder := fmt.Sprintf("/proc/%d/fd", g.bot.cmd.Process.Pid)
	open, err := os.ReadDir(folder)
	if err != nil {
		g.Error(err)
		return
	}
	for _, f := range open {
		if to, err := os.Readlink(filepath.Join(folder, f.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			s.sockets++
		}
	}
	s.resident, _ = g.bot.resident(g)
	for _, end := range []string{"", "-wal"} {
		if info, err := os.Stat(g.file + end); err == nil {
			s.database += info.Size()
		}
	}
	g.all = append(g.all, s)
}

// The bounds. What is held goes up and down with what people do, so the least of the
// second quarter is compared with the least of the last: what leaks raises that.
const (
	moreGoroutines = 12       // three stories at a time, each with a few reads
	moreFiles      = 8        // likewise their connections
	moreResident   = 8 << 10  // KiB: the memories of requests, messages and people fill up to their bounds
	moreDatabase   = 48 << 10 // bytes for each thing that a person did: the request, its ticket, messages, jobs and ledger, for a day or for ever
	restGoroutines = 5        // above those of a bot that had nothing to do yet
	restFiles      = 5        // likewise
	restResident   = 24 << 10 // KiB: what Go keeps for the next time
)

// judge compares the second quarter with the last one.
func (g *growth) judge(presses int) {
	n := len(g.all)
	if n < 16 {
		g.Logf("got %d samples: too few to tell growth", n)
		return
	}
	early, late := g.all[n/4:n/2], g.all[3*n/4:]
	least := func(of []sample, what func(sample) int) int {
		low := what(of[0])
		for _, s := range of {
			low = min(low, what(s))
		}
		return low
	}
	for _, c := range []struct {
		what string
		of   func(sample) int
		most int
	}{
		{"goroutines", func(s sample) int { return s.goroutines }, moreGoroutines},
		{"open files", func(s sample) int { return s.files }, moreFiles},
		{"open sockets", func(s sample) int { return s.sockets }, moreFiles},
		{"KiB resident", func(s sample) int { return s.resident }, moreResident},
	} {
		before, after := least(early, c.of), least(late, c.of)
		g.Logf("%s: at least %d in the second quarter, %d in the last", c.what, before, after)
		if after > before+c.most {
			g.Errorf("%s: got at least %d in the last quarter after %d in the second, want at most %d more", c.what, after, before, c.most)
		}
	}
	grown := g.all[n-1].database - g.all[n/4].database // SQLite's log has its 4 MiB by then
	each := grown / int64(max(presses*3/4, 1))
	g.Logf("database: %s for each of the %d things that people did, and %.1f MiB in the end", fmt.Sprint(each, " bytes"), presses, float64(g.all[n-1].database)/(1<<20))
	if each > moreDatabase {
		g.Errorf("the database grew by %d bytes for each thing that people did, want at most %d", each, moreDatabase)
	}
}

// rested compares a bot that has nothing to do any more with one that had nothing to do yet.
func (g *growth) rested(idle, now sample) {
	g.Logf("before anybody came: %s; after all have left: %s", idle, now)
	if now.goroutines > idle.goroutines+restGoroutines || now.files > idle.files+restFiles || now.sockets > idle.sockets+restFiles || now.resident > idle.resident+restResident {
		g.Errorf("the bot does not come to rest: %s, before it was %s", now, idle)
	}
}
