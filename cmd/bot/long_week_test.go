//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/ledger"
	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/store"
)

// week is a stretch of the bot's life on the fake clock.
type week struct {
	span    time.Duration
	refresh time.Duration // that a link to Slack lasts
	pause   time.Duration // of a person between two wishes, at the most
	apps    int
	seed    uint64
}

// TestLongWeek is two hours, or with ZDD_LONG=1 a week, on the fake clock and with production's
// waits: two links that Slack takes away for new ones every few hours, Heroku that fails now and
// then, Slack that limits, and people who ask, approve, deny, cancel and undo. At the end
// nothing is lost and nothing has grown. It runs by itself, so that it can count goroutines.
func TestLongWeek(t *testing.T) {
	w := week{span: 2 * time.Hour, refresh: 20 * time.Minute, pause: 40 * time.Minute, apps: 3, seed: 1}
	if os.Getenv("ZDD_LONG") != "" {
		w = week{span: 7 * 24 * time.Hour, refresh: 4 * time.Hour, pause: 3 * time.Hour, apps: 12, seed: 1}
	}
	dir := ramdir.New(t) // outside the bubble: a file has no clock
	synctest.Test(t, func(t *testing.T) { w.live(t, dir) })
}

func (w week) live(t *testing.T, dir string) {
	s, conns := w.world(t, dir)
	defer s.close()
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	folk := &folk{crowd: newCrowd(&crashWorld{slackURL: s.slackURL}, w.seed), week: w, until: time.Now().Add(w.span)}
	folk.http = s.client
	watched := make(chan error, 1)
	go func() { watched <- folk.watch(ctx, time.Hour) }()
	time.Sleep(3 * time.Minute)     // the connections of the start have been idle long enough to be dropped
	s.client.CloseIdleConnections() // ours are not counted
	synctest.Wait()
	before := holding{runtime.NumGoroutine(), conns.open.Load()}

	var living sync.WaitGroup
	living.Go(func() { w.weather(t, s) })
	for i := range w.apps {
		living.Go(func() { folk.own(ctx, i) })
	}
	living.Go(func() { folk.wonder(ctx) })
	living.Wait()
	time.Sleep(2 * time.Hour) // the last look at an app is an hour after its ticket's end

	s.client.CloseIdleConnections()
	synctest.Wait()
	after := holding{runtime.NumGoroutine(), conns.open.Load()}
	links := s.links(ctx)
	cancel()
	if err := <-watched; err != nil {
		t.Errorf("watch Slack: %v", err)
	}
	if err := s.stopBot(); err != nil {
		t.Error(err)
	}
	t.Logf("%s: %d things done, %d tickets, %d questions answered, %d outages, %d links opened; before %+v, after %+v",
		w.span, len(folk.presses), len(folk.tickets), folk.answered, 2*w.outages(), s.opened(), before, after)
	for _, what := range folk.stuck {
		t.Errorf("lost: %s", what)
	}
	if links != "2" {
		t.Errorf("links at the end: got %s, want 2", links)
	}
	if after.goroutines > before.goroutines+moreGoroutinesAtRest || after.connections > before.connections+moreConnectionsAtRest {
		t.Errorf("the bot holds more than before anybody came: got %+v, want at most %d goroutines and %d connections above %+v",
			after, moreGoroutinesAtRest, moreConnectionsAtRest, before)
	}
	for _, e := range folk.events {
		if e.Kind == "timeout" {
			t.Errorf("Slack told %s at %s: %s", e.To, e.At, e.Text)
		}
	}
	w.judge(t, dir, len(folk.presses))
}

// holding is what a process holds on to.
type holding struct {
	goroutines  int
	connections int64 // to both services
}

const (
	moreGoroutinesAtRest  = 4 // a background job or two that happen to run
	moreConnectionsAtRest = 2 // theirs
	// bytesPerPress bounds what the database's file grows by for each thing that somebody
	// did: requests and finished jobs are kept for a day, tickets, messages and the ledger for ever.
	bytesPerPress = 16 << 10
)

// world is the simulation in memory, with Slack's and Heroku's limits in force, and a count of
// its connections.
func (w week) world(t *testing.T, dir string) (*simulation, *lineCount) {
	var text strings.Builder
	fmt.Fprintln(&text, "team acme")
	for i := range w.apps {
		fmt.Fprintf(&text, "app %s team=acme web=1 size=standard-1x released=200h stage=production\n", weekApp(i))
	}
	fleet, err := simheroku.LoadFleet(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	network, conns := &play.Network{}, &lineCount{}
	s := &simulation{
		slackURL: "http://slack.sim", herokuURL: "http://heroku.sim",
		client: network.Client(), dial: conns.dial(network.Dial),
		dir: dir, policy: testPolicy, ledgerKey: crashLedgerKey, env: map[string]string{}, botLog: &logBuffer{},
		slack:  simslack.New(simslack.Options{Strict: true, RefreshEvery: w.refresh, PingEvery: 25 * time.Second, Deliver: simslack.Random, Seed: w.seed}),
		heroku: simheroku.New(simheroku.Options{Fleet: fleet}),
	}
	s.serveOn(network.Listen("slack.sim"), network.Listen("heroku.sim"))
	return s, conns
}

func weekApp(i int) string { return fmt.Sprintf("app-%02d", i) }

// opened is how many links Slack was asked for.
func (s *simulation) opened() (n int) {
	for _, c := range s.slack.Calls() {
		if c.Method == "apps.connections.open" && c.Error == "" {
			n++
		}
	}
	return n
}

// lineCount counts the bot's connections that are open.
type lineCount struct{ open atomic.Int64 }

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

func (c *lineCount) dial(next dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.open.Add(1)
		return &countedLine{Conn: conn, from: c}, nil
	}
}

type countedLine struct {
	net.Conn
	from *lineCount
	once sync.Once
}

func (c *countedLine) Close() error {
	c.once.Do(func() { c.from.open.Add(-1) })
	return c.Conn.Close()
}

// outages is how often each service fails.
func (w week) outages() int { return int(w.span / (2 * w.refresh)) }

// weather has Heroku fail for up to a minute and a half, and Slack limit or fail for half a
// minute, each once in two refreshes; then all is well.
func (w week) weather(t *testing.T, s *simulation) {
	rnd := rand.New(rand.NewPCG(w.seed, 7))
	order := func(url, line string) {
		if _, err := s.control(t.Context(), http.MethodPost, url+"/_control/do", line); err != nil {
			t.Error(err)
		}
	}
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	for range w.outages() {
		time.Sleep(w.refresh/2 + time.Duration(rnd.Int64N(int64(w.refresh/4))))
		order(s.herokuURL, "fault * /** "+pick("503html", "503json", "500", "429", "slow:4s", "reset-before", "truncated-json"))
		time.Sleep(time.Duration(rnd.Int64N(int64(90 * time.Second))))
		order(s.herokuURL, "faults clear")
		time.Sleep(w.refresh/2 + time.Duration(rnd.Int64N(int64(w.refresh/4))))
		order(s.slackURL, "fault "+pick("chat.postMessage", "chat.update", "response_url")+" "+pick("429 5", "503", "slow 2s"))
		time.Sleep(time.Duration(rnd.Int64N(int64(30 * time.Second))))
		order(s.slackURL, "faults clear")
	}
}

// folk are people who live with the bot for a week.
type folk struct {
	*crowd
	week     week
	until    time.Time
	answered int
}

// wait looks until something is so, less and less often, for as long as the limit is.
func (p *folk) wait(ctx context.Context, limit time.Duration, so func() bool) bool {
	end := time.Now().Add(limit)
	for pause := look; !so(); pause = min(2*pause, 20*time.Second) {
		if ctx.Err() != nil || time.Now().After(end) {
			return so()
		}
		time.Sleep(pause)
	}
	return true
}

// rest is a while in which a person does something else.
func (p *folk) rest() {
	p.mu.Lock()
	d := time.Duration(p.rnd.Int64N(int64(p.week.pause)))
	p.mu.Unlock()
	time.Sleep(d)
}

// own is the week of somebody who owns an app.
func (p *folk) own(ctx context.Context, i int) {
	app := weekApp(i)
	for turn := i; ; turn++ {
		p.rest()
		if ctx.Err() != nil || time.Now().After(p.until) {
			return
		}
		if err := p.turn(ctx, turn, app); err != nil {
			p.mu.Lock()
			p.stuck = append(p.stuck, fmt.Sprintf("%s at %s: %v", app, time.Now().Format(time.DateTime), err))
			p.mu.Unlock()
		}
	}
}

// turn is one wish and what becomes of it. The app is as before when it is over.
func (p *folk) turn(ctx context.Context, turn int, app string) error {
	const who = "requester"
	line := "enable " + app
	ticket, err := p.ask(ctx, who, line, app)
	if err != nil {
		return err
	}
	switch turn % 5 {
	case 1:
		return p.end(ctx, "approver", "deny", ticket, "denied")
	case 3:
		return p.end(ctx, who, "cancel", ticket, "cancelled")
	}
	if err := p.carry(ctx, ticket); err != nil {
		return err
	}
	p.rest()
	undo := "undo " + ticket + " on " + app
	asked := func() bool { return len(p.about(undo)) > 0 }
	if err := p.insist(ctx, "type "+who+" #general /zdd undo "+ticket, press{who: who, did: "ask", ticket: ticket, app: app}, asked); err != nil {
		return err
	}
	return p.carry(ctx, p.about(undo)[0])
}

// carry has a ticket approved and waits until it is done.
func (p *folk) carry(ctx context.Context, ticket string) error {
	if err := p.approve(ctx, ticket); err != nil {
		return err
	}
	return p.ends(ctx, ticket, "done")
}

// end says a word that ends a ticket.
func (p *folk) end(ctx context.Context, who, word, ticket, end string) error {
	over := func() bool { return p.sees(ticket).state == seenOver }
	if err := p.insist(ctx, fmt.Sprintf("type %s #ops /zdd %s %s", who, word, ticket), press{who: who, did: word, ticket: ticket}, over); err != nil {
		return err
	}
	return p.ends(ctx, ticket, end)
}

// rolloutMost is how long a rollout may take here: soak and settle are 16 minutes, and
// outages add theirs.
const rolloutMost = 2 * time.Hour

func (p *folk) ends(ctx context.Context, ticket, end string) error {
	if !p.wait(ctx, rolloutMost, func() bool { return p.sees(ticket).state == seenOver }) {
		return fmt.Errorf("%s is not over after %s", ticket, rolloutMost)
	}
	if got := p.sees(ticket).end; !strings.HasPrefix(got, end) {
		return fmt.Errorf("%s ended as %q, want %q", ticket, got, end)
	}
	return nil
}

// wonder is the week of somebody who only asks, and wants an answer each time.
func (p *folk) wonder(ctx context.Context) {
	for n := 0; ; n++ {
		time.Sleep(p.week.pause / 6)
		if ctx.Err() != nil || time.Now().After(p.until) {
			return
		}
		app := weekApp(n % p.week.apps)
		d, err := p.do(ctx, "type admin #general /zdd status "+app, press{who: "admin", did: "look", app: app})
		switch {
		case err == nil && d.acked && p.wait(ctx, 2*time.Minute, func() bool { return p.spokenTo(d) }):
			p.answered++
		default:
			p.mu.Lock()
			p.stuck = append(p.stuck, fmt.Sprintf("status %s at %s: no answer (%v)", app, time.Now().Format(time.DateTime), err))
			p.mu.Unlock()
		}
	}
}

// spokenTo says whether somebody had any private answer since: that Heroku's limit is used up
// names no app.
func (p *folk) spokenTo(d *press) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, acked := p.acks[d.envelope]
	return acked && slices.ContainsFunc(p.events[i:], func(e simslack.Event) bool { return e.To == d.who && e.By == "bot" && e.Ephemeral })
}

// judge looks at what the bot has stored.
func (w week) judge(t *testing.T, dir string, presses int) {
	t.Helper()
	file := filepath.Join(dir, "zdd.db")
	kept, err := store.Open(t.Context(), store.Options{Path: file, LedgerKey: ledger.NewKey(crashLedgerKey)})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	tickets, err := kept.Tickets(t.Context(), approval.Filter{Limit: -1})
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, ticket := range tickets {
		if !ticket.State.Final() {
			t.Errorf("%s is %s, want an end", ticket.ID, ticket.State)
		}
		if ticket.State == approval.Done {
			done++
		}
	}
	if done == 0 {
		t.Error("got no ticket that was done: nothing is shown by that")
	}
	report, err := kept.VerifyLedger(t.Context(), []ledger.Key{ledger.NewKey(crashLedgerKey)})
	if err != nil {
		t.Fatal(err)
	}
	if report.Verdict() != ledger.Whole {
		t.Errorf("the ledger is not whole: %s", report)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	each := info.Size() / int64(max(presses, 1))
	t.Logf("%d tickets, %d of them done; the database has %d KiB, %d for each thing done", len(tickets), done, info.Size()>>10, each>>10)
	if each > bytesPerPress {
		t.Errorf("the database has %d bytes for each thing that was done, want at most %d", each, bytesPerPress)
	}
}
