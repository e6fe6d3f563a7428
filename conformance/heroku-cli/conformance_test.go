// Package herokucli holds sim/heroku against software that is not ours: the
// Heroku CLI, from npm at the version that package-lock.json pins, runs against
// the simulator, and what it prints is compared with a transcript that a person
// can read (testdata/transcript.golden, -update rewrites it). It is no test of
// the CLI, and nothing in it reaches Heroku.
//
// It runs when ZDD_CONFORMANCE=1, because the installation takes about 40 s and
// needs npm's registry. Where CI=true, a machine without node or npm fails.
package herokucli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	simheroku "example.com/zdd/sim/heroku"
)

var update = flag.Bool("update", false, "rewrite the transcript")

const (
	installTimeout = 5 * time.Minute // 700 packages on a slow line
	commandTimeout = time.Minute     // a command takes about 1 s, more while the machine is busy
)

const fleet = `
account ops@acme.example
team acme
app shop     team=acme web=1 worker=0 size=standard-1x stage=production addons=heroku-postgresql:standard-0
app payments team=acme web=2 size=standard-2x preboot=on affinity=on region=eu
app landing  web=1 size=basic
app busy     team=acme web=2 size=standard-1x preboot=on
`

// step is one command of the CLI, or, without a $, one to the simulator.
type step struct {
	line string
	app  string // whose state is shown after it
}

func steps() []step {
	return []step{
		{"$ apps", ""},
		{"$ apps --team acme", ""},
		{"$ apps --all", ""},
		{"$ apps:info --app shop", ""},
		{"$ ps --app shop", "shop"},
		{"$ ps:scale --app shop", "shop"},
		{"$ ps:scale web=2 --app shop", "shop"},
		{"$ ps:scale web+1 --app shop", "shop"},
		{"$ ps --app shop", ""},
		{"$ ps:type --app shop", "shop"},
		{"$ ps:type standard-2x --app shop", "shop"},
		{"$ features --app shop", "shop"},
		{"$ features:enable preboot --app shop", "shop"},
		{"$ features:enable http-session-affinity --app shop", "shop"},
		{"$ features:enable preboot --app shop", "shop"},
		{"$ features:info preboot --app shop", ""},
		{"$ features --app shop", ""},
		{"$ features:disable http-session-affinity --app shop", "shop"},
		{"deploy shop by alice new checkout page", ""},
		{"$ releases --num 3 --app shop", "shop"},
		{"$ addons --app shop", ""},
		{"$ pipelines:info shop", ""},
		{"$ maintenance:on --app shop", "shop"},
		// What Heroku refuses.
		{"$ ps:scale web=2 --app landing", "landing"},
		{"$ ps:type web=private-s --app landing", "landing"},
		{"$ features:enable preboot --app landing", "landing"},
		{"$ ps:scale clock=1 --app landing", "landing"},
		{"$ ps --app nowhere", ""},
		{"deploy busy", ""},
		{"$ ps:scale web=3 --app busy", ""}, // the formation is locked
		{"$ features:disable preboot --app busy", ""},
		{"$ ps:scale web=3 --app busy", ""},
		{"suspend landing", ""},
		{"$ ps --app landing", "landing"},
		{"revoke-token", ""},
		{"$ apps", ""},
	}
}

func TestHerokuCLI(t *testing.T) {
	if os.Getenv("ZDD_CONFORMANCE") != "1" {
		t.Skip("set ZDD_CONFORMANCE=1 to install the Heroku CLI from npm and run it against the simulator")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is needed: %v", program, err)
			}
			t.Skipf("%s is needed: %v", program, err)
		}
	}
	cli := install(t)
	sim, url := start(t)
	cli.run(t, url, []string{"version"}) // the first run of all prints terms of service

	var transcript strings.Builder
	for _, s := range steps() {
		fmt.Fprintf(&transcript, "\n%s\n", strings.Replace(s.line, "$ ", "$ heroku ", 1))
		if args, isCLI := strings.CutPrefix(s.line, "$ "); isCLI {
			transcript.WriteString(cli.run(t, url, strings.Fields(args)))
		} else if text, err := sim.Do(s.line); err != nil {
			t.Fatalf("%s: %v", s.line, err)
		} else {
			fmt.Fprintln(&transcript, plain(text))
		}
		if s.app != "" {
			line, err := sim.Summary(s.app)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&transcript, "simulator: %s\n", plain(line))
		}
	}
	compare(t, strings.TrimLeft(transcript.String(), "\n"))
	for pattern, n := range sim.CallCounts() {
		if pattern == "unknown" {
			t.Errorf("the CLI called %d times what the simulator does not know: %v", n, unknown(sim))
		}
	}
}

func unknown(sim *simheroku.Server) []string {
	var out []string
	for _, c := range sim.Calls() {
		if c.Pattern == "unknown" {
			out = append(out, c.Method+" "+c.Path)
		}
	}
	return out
}

// start serves the simulator on a port of its own.
func start(t *testing.T) (sim *simheroku.Server, url string) {
	f, err := simheroku.LoadFleet(strings.NewReader(fleet))
	if err != nil {
		t.Fatal(err)
	}
	// Nothing takes time, so that the transcript does not depend on it.
	sim = simheroku.New(simheroku.Options{Fleet: f, DynoBoot: -1, ReleaseTime: -1})
	return sim, serveAt(t, sim)
}

// serveAt serves a simulator until the test ends.
func serveAt(t *testing.T, sim *simheroku.Server) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: sim}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		sim.Close()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// program is the installed CLI with a home of its own.
type program struct{ script, home string }

func install(t *testing.T) program {
	dir, home := t.TempDir(), t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return program{script: filepath.Join(dir, "node_modules", "heroku", "bin", "run.js"), home: home}
}

// run gives what a command prints and its exit status.
func (p program) run(t *testing.T, url string, args []string) string {
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := p.command(ctx, url, args)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || ctx.Err() != nil) {
		t.Fatalf("heroku %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var out strings.Builder
	out.WriteString(plain(stdout.String()))
	for line := range strings.Lines(plain(stderr.String())) {
		if strings.TrimSpace(line) != "" {
			out.WriteString("stderr: " + line)
		}
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		fmt.Fprintf(&out, "exit status %d\n", code)
	}
	return out.String()
}

// command is one of the CLI's. Its environment holds nothing of ours but PATH, and a
// proxy that answers nothing: what is not on this machine cannot be reached.
func (p program) command(ctx context.Context, url string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "node", append([]string{p.script}, args...)...)
	cmd.Dir = p.home
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.home, "TZ=UTC", "LANG=C.UTF-8", "NO_COLOR=1", "COLUMNS=120",
		"HEROKU_HOST=" + url, "HEROKU_PARTICLEBOARD_URL=" + url, "HEROKU_API_KEY=" + simheroku.DefaultToken,
		"DISABLE_TELEMETRY=true", "HEROKU_SKIP_NEW_VERSION_CHECK=true", "HEROKU_SKIP_ANALYTICS=true",
		"HTTPS_PROXY=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
	}
	return cmd
}

// plain takes out what differs from run to run: times, ports and colours.
func plain(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{`\x1b\[[0-9;]*[A-Za-z]`, ""},
		{`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d [+-]\d{4}( \(~ \d+[smh] ago\))?`, "<time>"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "<time>"},
		{` handover=\S+`, " handover=<time>"},
		{`http://127\.0\.0\.1:\d+`, "<simulator>"},
		{`─{5,}`, "─────"}, // a table's rule is as long as its times
		{`(?m)[ \t\r]+$`, ""},
		{`\n{2,}`, "\n"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return strings.TrimLeft(text, "\n")
}

func compare(t *testing.T, got string) {
	golden := filepath.Join("testdata", "transcript.golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gots, wants := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(gots), len(wants)) {
		if gots[i] != wants[i] {
			t.Fatalf("transcript differs at line %d; -update rewrites it\n got %s\nwant %s\nall of it:\n%s", i+1, gots[i], wants[i], got)
		}
	}
	if len(gots) != len(wants) {
		t.Fatalf("transcript has %d lines, want %d:\n%s", len(gots), len(wants), got)
	}
}
