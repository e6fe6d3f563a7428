//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/internal/figures"
	"example.com/zdd/internal/pgtest"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// TestBenchTickets measures a click on Approve until its acknowledgement, and how long the
// bot takes for many tickets that are approved at the same moment. The waits of rollouts are
// divided by a thousand: a soak of ten minutes takes 600 ms.
func TestBenchTickets(t *testing.T) {
	r := figures.Begin(t, "tickets", benchCommand)
	const latency = 50 * time.Millisecond
	clicks := r.Count(10, 3)
	r.Line("Each call to Heroku takes %s; each app is to be enabled: three writes, with a soak before the second and a look at the dynos after it.", figures.Millis(latency))
	r.Line("")
	r.Line("| database | click on Approve to acknowledgement: p50, slowest of %d | `approve` typed for all others at once: p50, p99 | turned away, tried again | all rollouts through | a second | writes, calls of Heroku | lost |", clicks)
	r.Line("|---|---|---|---|---|---|---|---|")
	for _, c := range []struct {
		name, url string
		count     int
	}{
		{"SQLite", "sqlite:" + filepath.Join(t.TempDir(), "zdd.db"), r.Count(60, 12)},
		{"PostgreSQL", durable(t, pgtest.URL(t)), r.Count(200, 12)},
	} {
		b := &ticketBench{T: t, world: newBenchWorld(t, benchFleet(herd{"app", c.count, "web=1 size=standard-1x released=200h"})), database: c.url, count: c.count, clicks: clicks}
		b.run(latency)
		r.Line("| %s, %d tickets | %s, %s | %s, %s | %d | %.1f s | %.1f | %d, %d | %d |", c.name, c.count,
			figures.Millis(figures.Quantile(b.clicked, .5)), figures.Millis(figures.Quantile(b.clicked, 1)),
			figures.Millis(figures.Quantile(b.typed, .5)), figures.Millis(figures.Quantile(b.typed, .99)),
			b.turned, b.through.Seconds(), float64(c.count)/b.through.Seconds(), b.writes, b.calls, b.lost)
	}
	r.Line("")
	r.Line("*Lost* are tickets that are not done, apps that are not as was approved, and writes beyond three a ticket.")
	r.Done()
}

// ticketBench is one run on one database.
type ticketBench struct {
	*testing.T
	world         *benchWorld
	database      string
	count, clicks int

	clicked, typed              []time.Duration
	turned, lost, writes, calls int
	through                     time.Duration
	tickets                     []approval.Ticket
	kept                        *store.Store
}

func (b *ticketBench) run(latency time.Duration) {
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	p := b.world.startBot(b, program, b.database, asBot+"="+hurriedBot)
	defer p.stop(b)
	env := map[string]string{"DATABASE_URL": b.database, "ZDD_LEDGER_KEY": crashLedgerKey}
	options, err := readConfig(func(name string) string { return env[name] }).storeOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	if b.kept, err = store.Open(b.Context(), options); err != nil {
		b.Fatal(err)
	}
	defer b.kept.Close()

	b.ask()
	b.world.slow(b, latency)
	b.world.heroku.ResetCalls()
	b.click()
	begin := time.Now()
	b.approveAll()
	await(b, "all rollouts are through", 50*time.Millisecond, func() bool {
		p.running(b)
		b.read()
		for _, ticket := range b.tickets {
			if ticket.State == approval.Approved || ticket.State == approval.Running || ticket.State == approval.Pending {
				return false
			}
		}
		return true
	})
	b.through = time.Since(begin)
	b.judge()
}

// ask makes the tickets.
func (b *ticketBench) ask() {
	var lines []string
	for i := range b.count {
		lines = append(lines, fmt.Sprintf("type %s #general /zdd enable %s", benchAsker(i), benchApp("app", i)))
	}
	b.allAtOnce(lines)
	await(b, "the tickets", look, func() bool { b.read(); return len(b.tickets) == b.count })
}

func (b *ticketBench) read() {
	var err error
	if b.tickets, err = b.kept.Tickets(b.Context(), approval.Filter{Limit: -1}); err != nil {
		b.Fatal(err)
	}
}

// click presses Approve on the first messages that are posted: the bot posts one a second
// in a channel, as Slack asks.
func (b *ticketBench) click() {
	pressed := map[string]bool{}
	var all []sent
	await(b, "messages to click on", look, func() bool {
		for _, e := range b.world.slack.Events() {
			found := heading.FindStringSubmatch(e.Text)
			if e.Kind != "post" || found == nil || pressed[found[1]] || len(all) == b.clicks {
				continue
			}
			pressed[found[1]] = true
			one := sent{at: time.Now()}
			one.envelope = b.world.mustDo(b, fmt.Sprintf("click approver Approve $25.00/month on %s ·", found[1]))
			all = append(all, one)
		}
		return len(all) == b.clicks
	})
	b.world.acks(all)
	b.clicked, _ = latencies(all)
}

// approveAll types the approvals of all the others.
func (b *ticketBench) approveAll() {
	b.read()
	var lines []string
	for _, ticket := range b.tickets {
		if ticket.State == approval.Pending {
			lines = append(lines, "type approver #ops /zdd approve "+ticket.ID)
		}
	}
	b.typed, b.turned = b.allAtOnce(lines)
}

// allAtOnce types all lines at the same moment, and types again what was turned away, until
// nothing is. It tells how long the first acknowledgement of each took.
func (b *ticketBench) allAtOnce(lines []string) (took []time.Duration, turned int) {
	for first := true; len(lines) > 0; first = false {
		all := make([]sent, len(lines))
		var typing sync.WaitGroup
		for i, line := range lines {
			typing.Go(func() {
				all[i].at = time.Now()
				var err error
				if all[i].envelope, err = b.world.do(line); err != nil {
					b.Error(err)
				}
			})
		}
		typing.Wait()
		b.world.acks(all)
		if first {
			took, _ = latencies(all)
		}
		var again []string
		for i, one := range all {
			if one.turned || one.acked.IsZero() {
				again = append(again, lines[i])
			}
		}
		turned += len(again)
		lines = again
	}
	return took, turned
}

// judge counts what was lost, by the simulated Heroku and the database.
func (b *ticketBench) judge() {
	for _, ticket := range b.tickets {
		if ticket.State != approval.Done {
			b.lost++
			b.Logf("%s is %s", ticket.ID, ticket.State)
		}
	}
	for i := range b.count {
		line, err := b.world.heroku.Summary(benchApp("app", i))
		if err != nil {
			b.Fatal(err)
		}
		if !strings.Contains(line, "web=2 ") || !strings.Contains(line, "affinity=on preboot=on") {
			b.lost++
			b.Log(line)
		}
	}
	for pattern, n := range b.world.heroku.CallCounts() {
		b.calls += n
		if strings.HasPrefix(pattern, "PATCH ") {
			b.writes += n
		}
	}
	b.lost += max(0, b.writes-3*b.count)
	report, err := b.kept.VerifyLedger(context.WithoutCancel(b.Context()), []ledger.Key{ledger.NewKey(crashLedgerKey)})
	if err != nil {
		b.Fatal(err)
	}
	if report.Verdict() != ledger.Whole {
		b.Errorf("the ledger is not whole: %s", report)
	}
	if b.lost > 0 {
		b.Errorf("%d were lost", b.lost)
	}
}
