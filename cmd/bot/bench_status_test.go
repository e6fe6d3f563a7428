//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/zdd/internal/figures"
)

// TestBenchStatus measures from the acknowledgement of a `status` to its answer, where
// every call to Heroku and to Slack takes the same time, against the calls that have to
// wait for one another.
func TestBenchStatus(t *testing.T) {
	r := figures.Begin(t, "status", benchCommand)
	const latency = 200 * time.Millisecond
	times := r.Count(20, 3)
	w := newBenchWorld(t, benchFleet(
		herd{"first", 1, "web=2 size=performance-m"}, herd{"large", times, "web=2 size=performance-m"}, herd{"small", times, "web=2 size=standard-1x"}))
	w.startBot(t, buildBot(t), "sqlite:"+filepath.Join(t.TempDir(), "zdd.db"))
	time.Sleep(secondLink)
	w.slow(t, latency)
	for _, method := range []string{"users.info", "response_url"} {
		if _, err := w.control(fmt.Sprintf("fault %s slow %s", method, latency)); err != nil {
			t.Fatal(err)
		}
	}
	r.Line("Every call to Heroku and Slack takes %s. The chain is of calls each of which needs what the one before it answered; the others go out beside it.", figures.Millis(latency))
	r.Line("")
	r.Line("| `status` | longest chain | takes at least | median | slowest of the runs | median ÷ least |")
	r.Line("|---|---|---|---|---|---|")
	for _, c := range []struct {
		what, apps string
		chain      []string
		runs       int
	}{
		{"the first after the start, a Performance app", "first", []string{"who asks", "the app and its formation", "its autoscaler", "the answer"}, 1},
		{"of a Performance app", "large", []string{"the app and its formation", "its autoscaler", "the answer"}, times},
		{"of a Standard app", "small", []string{"the app", "the answer"}, times},
	} {
		var took []time.Duration
		for i := range c.runs {
			took = append(took, w.askAbout(t, benchApp(c.apps, i)))
		}
		least := time.Duration(len(c.chain)) * latency
		median := figures.Quantile(took, .5)
		r.Line("| %s | %s | %s | %s | %s | %.3f |", c.what, strings.Join(c.chain, " → "), figures.Millis(least), figures.Millis(median), figures.Millis(figures.Quantile(took, 1)), float64(median)/float64(least))
	}
	r.Done()
}

// askAbout asks for the status of an app: how long from the acknowledgement to when Slack
// answered the answer.
func (w *benchWorld) askAbout(t *testing.T, app string) time.Duration {
	t.Helper()
	before := w.answered.Load()
	first := len(w.slack.Events())
	w.mustDo(t, "type requester #general /zdd status "+app)
	await(t, "the answer", time.Millisecond, func() bool { return w.answered.Load() > before })
	end := time.Now()
	for _, e := range w.slack.Events()[first:] {
		if e.Kind == "ack" {
			return end.Sub(e.At)
		}
	}
	t.Fatal("the status was answered and not acknowledged")
	return 0
}
