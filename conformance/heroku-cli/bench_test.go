package herokucli

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/internal/figures"
	simheroku "example.com/zdd/sim/heroku"
)

// TestBenchLoop measures what people do without the bot: a loop over the Heroku CLI that
// asks for the features and the dynos of each app, beside `bot report`, which reads as much
// and judges it. Both are real programs before the same simulator, in one run.
func TestBenchLoop(t *testing.T) {
	r := figures.Begin(t, "cli", "make bench")
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is needed for the comparison: %v", program, err)
		}
	}
	const latency = 50 * time.Millisecond
	apps := r.Count(50, 4)
	generated := simheroku.GenerateFleet(apps, 1)
	sim := simheroku.New(simheroku.Options{Fleet: generated, Latency: latency, BucketOff: true})
	url := serveAt(t, sim)
	cli := install(t)
	bot := filepath.Join(t.TempDir(), "bot")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bot, "example.com/zdd/cmd/bot").CombinedOutput(); err != nil {
		t.Fatalf("build the bot: %v\n%s", err, out)
	}
	cli.run(t, url, []string{"version"}) // the first run of all prints terms of service

	sim.ResetCalls()
	parallel := 2 * runtime.NumCPU() // a command waits for the network about half as long as it computes
	looped := cli.loop(t, url, generated.Apps(), parallel)
	loopCalls := len(sim.Calls())

	var reported []time.Duration
	for range 5 {
		sim.ResetCalls()
		reported = append(reported, report(t, bot, url, apps))
	}
	reportCalls := len(sim.Calls())
	median := figures.Quantile(reported, .5)

	r.Line("%d apps; each call to Heroku takes %s.", apps, figures.Millis(latency))
	r.Line("")
	r.Line("| | for all | an app | calls |")
	r.Line("|---|---|---|---|")
	r.Line("| `heroku features` and `heroku ps:type`, an app each, %d processes at a time | %.1f s | %s | %d |", parallel, looped.Seconds(), figures.Millis(looped/time.Duration(apps)), loopCalls)
	r.Line("| `bot report --json`, the median of %d | %.2f s | %s | %d |", len(reported), median.Seconds(), figures.Millis(median/time.Duration(apps)), reportCalls)
	r.Line("")
	r.Line("The bot is %.0f times as fast an app.", looped.Seconds()/median.Seconds())
	r.Done()
}

// loop runs both commands for each app, as many processes at a time as are allowed.
func (p program) loop(t *testing.T, url string, apps []string, parallel int) time.Duration {
	t.Helper()
	begin := time.Now()
	commands := make(chan []string)
	var running sync.WaitGroup
	for range parallel {
		running.Go(func() {
			for args := range commands {
				if out, err := p.command(t.Context(), url, args).CombinedOutput(); err != nil {
					t.Errorf("heroku %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
		})
	}
	for _, app := range apps {
		commands <- []string{"features", "--json", "--app", app}
		commands <- []string{"ps:type", "--app", app}
	}
	close(commands)
	running.Wait()
	return time.Since(begin)
}

// report runs the bot's report of the whole fleet, and checks that it is of the whole.
func report(t *testing.T, bot, url string, apps int) time.Duration {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bot, "report", "--json", "--team", "acme")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HEROKU_API_KEY=" + simheroku.DefaultToken, "HEROKU_API_URL=" + url, "HEROKU_METRICS_URL=" + url,
		"ZDD_POLICY_YAML=scope: { stages: [production, staging, development, none] }"}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	begin := time.Now()
	out, err := cmd.Output()
	took := time.Since(begin)
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 3 && code != 4 { // good, findings, or some unknown
		t.Fatalf("bot report: %v\n%s", err, stderr.String())
	}
	var read struct {
		Apps []json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(out, &read); err != nil || len(read.Apps) != apps {
		t.Fatalf("bot report: %v, with %d apps of %d\n%s", err, len(read.Apps), apps, fmt.Sprintf("%.2000s", out))
	}
	return took
}
