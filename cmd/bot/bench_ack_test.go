//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/zdd/internal/figures"
	"example.com/zdd/internal/pgtest"
	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
)

// ackRate is how many commands people type in a second, of which one in changeEvery
// changes something: a company that does nothing else.
const (
	ackRate     = 50
	changeEvery = 5
	ackApps     = 20 // that are asked about
	ackRounds   = 2  // of each program, one after the other: what disturbs the machine for a while disturbs all
)

// contestant is a program that does the job.
type contestant struct {
	name           string
	start          func(w *benchWorld) *benchProgram
	reads, changes []sent
	answers        int     // to the reads
	idle           bool    // it answers nothing, so nobody waits for its answers
	quick, handed  float64 // acknowledgements within a millisecond of the envelope's arrival, and all, by the bot's own metrics
}

// TestBenchAck measures how long Slack waits for acknowledgements, from the moment at which
// the person was to press the key, while each call to Heroku takes two seconds.
func TestBenchAck(t *testing.T) {
	r := figures.Begin(t, "acknowledgement", benchCommand)
	bot := buildBot(t)
	bolt := installBolt(t)
	folder := t.TempDir()
	round := 0
	all := []*contestant{
		{name: "zdd, SQLite", start: func(w *benchWorld) *benchProgram {
			return w.startBot(t, bot, fmt.Sprintf("sqlite:%s/%d.db", folder, round))
		}},
		{name: "zdd, PostgreSQL", start: func(w *benchWorld) *benchProgram {
			return w.startBot(t, bot, durable(t, pgtest.URL(t)))
		}},
		{name: "Bolt for JavaScript", start: func(w *benchWorld) *benchProgram {
			p := launch(t, []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "JOURNAL=" + fmt.Sprintf("%s/%d.journal", folder, round),
				"SLACK_API_URL=" + w.slackURL + "/api/", "SLACK_BOT_TOKEN=" + simslack.DefaultBotToken, "SLACK_APP_TOKEN=" + simslack.DefaultAppToken,
				"HEROKU_API_URL=" + w.herokuURL, "HEROKU_METRICS_URL=" + w.herokuURL, "HEROKU_API_KEY=" + simheroku.DefaultToken,
			}, "node", filepath.Join(bolt, "status.js"))
			await(t, "Bolt is connected", look, func() bool { p.running(t); return w.slack.Links() > 0 })
			return p
		}},
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, &contestant{name: "a client that does nothing else", idle: true, start: func(w *benchWorld) *benchProgram {
		p := launch(t, []string{asBot + "=" + bareClient, "SLACK_API_URL=" + w.slackURL + "/api/", "SLACK_APP_TOKEN=" + simslack.DefaultAppToken}, self)
		await(t, "the client is connected", look, func() bool { p.running(t); return w.slack.Links() > 0 })
		return p
	}})
	span, warm := r.Length(time.Minute, 4*time.Second)/ackRounds, r.Length(4*time.Second, 2*time.Second)
	for round = range ackRounds {
		for _, c := range all {
			c.compete(t, span, warm)
		}
	}
	r.Line("%d commands a second for %s, in %d rounds; each call to Heroku takes 2 s. From the envelope on its way to its acknowledgement at Slack:", ackRate, span*ackRounds, ackRounds)
	r.Line("")
	r.Line("| program | commands | p50 | p99 | slowest | unheard | turned away | answered |")
	r.Line("|---|---|---|---|---|---|---|---|")
	for _, c := range all[:len(all)-1] {
		c.tell(r, "`status`", c.reads, fmt.Sprint(c.answers))
		c.tell(r, "`enable`, stored first", c.changes, "later")
	}
	bare := all[len(all)-1]
	bare.tell(r, "of both", slices.Concat(bare.reads, bare.changes), "never")
	zdd, _ := latencies(all[0].reads)
	other, _ := latencies(all[2].reads)
	r.Line("")
	least, _ := latencies(bare.reads)
	times := func(part float64, of []time.Duration, ofPart float64) float64 {
		return float64(figures.Quantile(zdd, part)) / float64(figures.Quantile(of, ofPart))
	}
	r.Line("- The p99 of zdd's reads (SQLite) is %.2f times the median of Bolt's, and %.2f times its p99; the median is %.2f times Bolt's.", times(.99, other, .5), times(.99, other, .99), times(.5, other, .5))
	r.Line("- Beside the client that does nothing else, which is what this machine and these simulators take, the median is %.2f times, and the p99 %.2f times.", times(.5, least, .5), times(.99, least, .99))
	for _, c := range all[:2] {
		r.Line("- %s: %.1f %% of all acknowledgements were handed over within 1 ms of the envelope's arrival, by the bot's own metric.", c.name, 100*c.quick/max(c.handed, 1))
	}
	r.Line("- One write that is on the disk for certain takes %s here (median of 200; the slowest %s).", disk(t, .5), disk(t, 1))
	r.Done()
}

func (c *contestant) tell(r *figures.Run, what string, all []sent, answered string) {
	took, never := latencies(all)
	turned := 0
	for _, s := range all {
		if s.turned {
			turned++
		}
	}
	r.Line("| %s | %d %s | %s | %s | %s | %d | %d | %s |", c.name, len(all), what, figures.Millis(figures.Quantile(took, .5)),
		figures.Millis(figures.Quantile(took, .99)), figures.Millis(figures.Quantile(took, 1)), never, turned, answered)
}

// compete runs the program in a world of its own for a while.
func (c *contestant) compete(t *testing.T, span, warm time.Duration) {
	beats, before := int(span.Seconds()*ackRate), int(warm.Seconds()*ackRate)
	w := newBenchWorld(t, ackFleet(before+beats))
	p := c.start(w)
	defer p.stop(t)
	if !c.idle {
		time.Sleep(secondLink)
	}
	w.slow(t, 2*time.Second)
	w.load(t, ackLines("warm", 0, before), time.Second/ackRate)
	lines := ackLines("app", before, beats)
	all := w.load(t, lines, time.Second/ackRate)
	w.acks(all)
	for i, s := range all {
		if strings.Contains(lines[i], "enable") {
			c.changes = append(c.changes, s)
		} else {
			c.reads = append(c.reads, s)
		}
	}
	if c.idle {
		return
	}
	time.Sleep(6 * time.Second) // the answers to the last reads: two calls after each other, and half as long again
	p.running(t)
	if p.port != "" {
		series, err := p.series(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.quick += series[`zdd_slack_ack_seconds_bucket{le="0.001"}`]
		c.handed += series["zdd_slack_ack_seconds_count"]
	}
	for _, e := range w.slack.Events() {
		if e.By == "bot" && e.Ephemeral && strings.HasPrefix(strings.TrimLeft(e.Text, "*# "), "app-") {
			c.answers++
		}
	}
}

// secondLink is when the second link of a bot is up: it opens 5 s after the first.
const secondLink = 6 * time.Second

// ackFleet has apps to ask about, whose autoscaler can only be looked for after two other calls, and one to
// change for each command.
func ackFleet(commands int) string {
	const asked = "web=1 size=performance-m stage=production"
	return benchFleet(herd{"warm", ackApps, asked}, herd{"app", ackApps, asked}, herd{"change", (commands + changeEvery - 1) / changeEvery, "web=1 size=standard-1x"})
}

// ackLines are what people type, from the nth command on; name begins the apps they ask about.
func ackLines(name string, from, count int) (lines []string) {
	for i := from; i < from+count; i++ {
		if i%changeEvery == 0 {
			lines = append(lines, fmt.Sprintf("type %s #general /zdd enable %s", benchAsker(i/changeEvery), benchApp("change", i/changeEvery)))
		} else {
			lines = append(lines, "type requester #general /zdd status "+benchApp(name, i%ackApps))
		}
	}
	return lines
}

// installBolt installs the app of the same job, with Bolt at the locked version.
func installBolt(t *testing.T) (folder string) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is needed for the comparison: %v", program, err)
		}
	}
	folder = t.TempDir()
	for _, name := range []string{"status.js", "package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "conformance", "bolt", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // some hundred small packages over a slow line
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = folder
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return folder
}

// durable has a test's PostgreSQL, which spares itself that, write to the disk for certain.
func durable(t *testing.T, url string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, statement := range []string{`ALTER SYSTEM SET fsync = on`, `ALTER SYSTEM SET synchronous_commit = on`, `SELECT pg_reload_conf()`} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return url
}

// disk is how long one small write takes that is on the disk for certain.
func disk(t *testing.T, part float64) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var took []time.Duration
	for range 200 {
		begin := time.Now()
		if _, err := f.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	return figures.Millis(figures.Quantile(took, part))
}
