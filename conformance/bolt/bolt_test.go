// Package bolt holds the simulated Slack against software that is not ours: a small app
// made with Slack's own Bolt for JavaScript, from npm at locked versions, run in a
// temporary folder. It has no code of its own beside that test and shares nothing
// with the bot.
package bolt

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/zdd/sim/play"
	simslack "example.com/zdd/sim/slack"
)

const (
	// installWithin bounds npm ci: some hundred small packages over a slow line.
	installWithin = 5 * time.Minute
	// stopWithin is how long the app may take to end after SIGTERM before it is killed.
	stopWithin = 10 * time.Second
)

func TestBoltAgainstTheSimulator(t *testing.T) {
	node := needNode(t)
	dir := t.TempDir()
	for _, name := range []string{"app.js", "package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install(t, dir)

	sim := simslack.New(simslack.Options{PingEvery: 5 * time.Second})
	defer sim.Close()
	base := serve(t, sim)
	output := startApp(t, node, dir, base)

	text, err := os.Open("bolt.script")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	script, err := play.Parse("bolt.script", text)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	err = script.Run(t.Context(), play.World{
		Slack: base, Client: http.DefaultClient,
		Say: func(line string) { said.WriteString(line + "\n") },
	})
	if err != nil {
		t.Errorf("%v\n--- the app wrote\n%s\n--- played\n%s", err, output(), said.String())
	}
	for _, c := range sim.Calls() {
		if c.Error != "" && c.Error != "invalid_blocks" && c.Error != "ratelimited" {
			t.Errorf("call %s: got %s, want no error (%v)", c.Method, c.Error, c.Args)
		}
	}
}

// needNode finds node and npm, and skips where this run is not asked for.
func needNode(t *testing.T) string {
	t.Helper()
	if os.Getenv("ZDD_CONFORMANCE") != "1" {
		t.Skip("set ZDD_CONFORMANCE=1 to run Slack's Bolt against the simulator (needs node, npm and its registry)")
	}
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = exec.LookPath("npm")
	}
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatalf("node and npm are needed in CI: %v", err)
	case err != nil:
		t.Skipf("node and npm are needed: %v", err)
	}
	return node
}

func install(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), installWithin)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

// serve puts the simulator on a free port of this machine.
func serve(t *testing.T, sim http.Handler) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: sim, ReadHeaderTimeout: time.Minute}
	var work sync.WaitGroup
	work.Go(func() { srv.Serve(l) })
	t.Cleanup(func() {
		srv.Close()
		work.Wait()
	})
	return "http://" + l.Addr().String()
}

// startApp runs the Bolt app until the test ends. The returned function is what it wrote.
func startApp(t *testing.T, node, dir, base string) (output func() string) {
	t.Helper()
	var out lockedBuffer
	app := exec.CommandContext(t.Context(), node, "app.js")
	app.Dir = dir
	app.Env = append(os.Environ(), "SLACK_API_URL="+base+"/api/",
		"SLACK_BOT_TOKEN="+simslack.DefaultBotToken, "SLACK_APP_TOKEN="+simslack.DefaultAppToken)
	app.Stdout, app.Stderr = &out, &out
	app.Cancel = func() error { return app.Process.Signal(syscall.SIGTERM) }
	app.WaitDelay = stopWithin
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		app.Process.Signal(syscall.SIGTERM) // t.Context is over by now, or about to be
		app.Wait()
	})
	return out.String
}

// lockedBuffer is written by the process and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
