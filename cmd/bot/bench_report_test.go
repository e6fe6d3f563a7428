//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/zdd/internal/figures"
	simheroku "example.com/zdd/sim/heroku"
)

// TestBenchReport measures `bot report`, the whole program, over fleets of thousands:
// against what so many calls have to take, and what memory it needs at the most.
func TestBenchReport(t *testing.T) {
	r := figures.Begin(t, "report", benchCommand)
	const latency, parallel = 50 * time.Millisecond, 16
	bot := buildBot(t)
	r.Line("The limit is what its calls take at %d at a time, which is the policy's default. Heroku's bucket is off.", parallel)
	r.Line("")
	r.Line("| apps | a call takes | calls | calls an app | limit | took | took ÷ limit | resident at the most |")
	r.Line("|---|---|---|---|---|---|---|---|")
	for _, c := range []struct {
		apps    int
		latency time.Duration
	}{{r.Count(1000, 100), latency}, {r.Count(10_000, 1000), 0}} {
		sim := simheroku.New(simheroku.Options{Fleet: simheroku.GenerateFleet(c.apps, 1), Latency: c.latency, BucketOff: true})
		url := serveLoopback(t, sim)
		took, most := reportOn(t, bot, url, c.apps)
		calls := 0
		for _, n := range sim.CallCounts() {
			calls += n
		}
		sim.Close()
		limit, ratio := "", ""
		if c.latency > 0 {
			least := time.Duration(calls) * c.latency / parallel
			limit, ratio = fmt.Sprintf("%.2f s", least.Seconds()), fmt.Sprintf("%.3f", took.Seconds()/least.Seconds())
		}
		r.Line("| %d | %s | %d | %.2f | %s | %.2f s | %s | %.0f MiB |", c.apps, c.latency, calls, float64(calls)/float64(c.apps), limit, took.Seconds(), ratio, float64(most)/1024)
	}
	r.Done()
}

// reportOn runs a report of the whole fleet, and checks that it is of the whole: how long
// it took, and the most memory that was resident, in KiB.
func reportOn(t *testing.T, bot, url string, apps int) (took time.Duration, most int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bot, "report", "--json", "--team", "acme")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HEROKU_API_KEY=" + simheroku.DefaultToken, "HEROKU_API_URL=" + url, "HEROKU_METRICS_URL=" + url,
		"ZDD_POLICY_YAML=scope: { stages: [production, staging, development, none] }"}
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for running := true; running; {
		select {
		case <-ended: // how is told by the exit code
			running = false
		case <-time.After(5 * time.Millisecond):
			most = max(most, peakOf(cmd.Process.Pid))
		}
	}
	took = time.Since(begin)
	if code := cmd.ProcessState.ExitCode(); code != exitGood && code != exitFindings && code != exitUnknown {
		t.Fatalf("bot report ended with %d\n%s", code, stderr.String())
	}
	var read struct {
		Apps []struct{ Verdict string } `json:"apps"`
	}
	if err := json.Unmarshal([]byte(out.String()), &read); err != nil || len(read.Apps) != apps {
		t.Fatalf("bot report: %v, with %d apps of %d\n%s", err, len(read.Apps), apps, stderr.String())
	}
	return took, most
}

// peakOf is the most memory that a process has had resident, in KiB (proc(5), VmHWM); 0
// where it is gone. What wait4 tells would count the test's own from before the exec.
func peakOf(pid int) (kib int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		}
	}
	return kib
}
