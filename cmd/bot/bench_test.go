//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
)

// The benchmarks measure the real program, built as people build it, between both
// simulators on loopback: `make bench`. They assert no duration.

// benchCommand is how a person has the sections of these files written again.
const benchCommand = "make bench"

// benchWorld is both simulators on loopback, which do what they are told and no more.
// They and whoever asks run in the test's process, on the same processors as what is measured.
type benchWorld struct {
	slack               *simslack.Server
	heroku              *simheroku.Server
	slackURL, herokuURL string
	answered            atomic.Int64 // private answers that people had
}

// newBenchWorld serves a fleet, described in the simulator's words. Slack's own limit
// of a message a second is off, and so is Heroku's bucket: what is measured is the bot.
func newBenchWorld(t testing.TB, fleetText string) *benchWorld {
	t.Helper()
	// The simulators' own collections take both processors for some milliseconds: they are
	// made so rare that they are no part of what is measured, of whatever program.
	before := debug.SetGCPercent(1000)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	fleet, err := simheroku.LoadFleet(strings.NewReader(fleetText))
	if err != nil {
		t.Fatal(err)
	}
	people := simslack.DefaultWorkspace()
	for i := range benchAskers {
		people.People = append(people.People, simslack.Person{Name: benchAsker(i), ID: benchAskerID(i), RealName: fmt.Sprintf("Asker %d", i)})
		for c := range people.Channels {
			if people.Channels[c].Name == "general" {
				people.Channels[c].Members = append(people.Channels[c].Members, benchAskerID(i))
			}
		}
	}
	w := &benchWorld{
		slack: simslack.New(simslack.Options{Workspace: people, Strict: true, NoRateLimits: true, PingEvery: 5 * time.Second}), // Bolt wants a ping in each 5 s
		heroku: simheroku.New(simheroku.Options{Fleet: fleet, BucketOff: true,
			DynoBoot: 200 * time.Millisecond, ReleaseTime: 100 * time.Millisecond, HandoverJitter: -1}),
	}
	w.slackURL = serveLoopback(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.slack.ServeHTTP(rw, r)
		if strings.HasPrefix(r.URL.Path, "/response/") {
			w.answered.Add(1)
		}
	}))
	w.herokuURL = serveLoopback(t, w.heroku)
	t.Cleanup(func() {
		w.slack.Close()
		w.heroku.Close()
	})
	return w
}

// herd is apps that are alike, numbered from 0: name-0000 and so on, in the simulator's words.
type herd struct {
	name  string
	count int
	like  string
}

// benchFleet is a fleet of such apps in one team.
func benchFleet(herds ...herd) string {
	var b strings.Builder
	fmt.Fprintln(&b, "team acme")
	for _, h := range herds {
		for i := range h.count {
			fmt.Fprintf(&b, "app %s team=acme %s\n", benchApp(h.name, i), h.like)
		}
	}
	return b.String()
}

func benchApp(name string, i int) string { return fmt.Sprintf("%s-%04d", name, i) }

// serveLoopback serves until the test ends.
func serveLoopback(t testing.TB, handler http.Handler) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // ends with ErrServerClosed
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return "http://" + listener.Addr().String()
}

// do has a person do something, in the words of the simulated Slack, and tells the
// envelope that went out.
func (w *benchWorld) do(line string) (envelope string, err error) {
	said, err := w.control(line)
	if err != nil {
		return "", err
	}
	words := strings.Fields(said)
	if len(words) < 3 || words[2] != "to" {
		return "", fmt.Errorf("%s: %s", line, said)
	}
	return words[1], nil
}

// control gives the simulated Slack an order. It makes no connection: that would be
// measured too.
func (w *benchWorld) control(line string) (said string, err error) {
	r := httptest.NewRequest(http.MethodPost, w.slackURL+"/_control/do", strings.NewReader(line))
	r.RemoteAddr = "" // as of a peer without an address, which is this machine
	answer := httptest.NewRecorder()
	w.slack.ServeHTTP(answer, r)
	said = strings.TrimSpace(answer.Body.String())
	if answer.Code != http.StatusOK {
		return "", errors.New(said)
	}
	return said, nil
}

func (w *benchWorld) mustDo(t testing.TB, line string) (envelope string) {
	t.Helper()
	envelope, err := w.do(line)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// slow has Heroku take that long for each call, 0 for no time.
func (w *benchWorld) slow(t testing.TB, heroku time.Duration) {
	t.Helper()
	if _, err := w.heroku.Do("latency " + heroku.String()); err != nil {
		t.Fatal(err)
	}
}

// benchWait bounds everything that a benchmark waits for: beyond it there is nothing to measure.
const benchWait = 2 * time.Minute

// await looks until something is so, and ends the test where it never is.
func await(t testing.TB, what string, every time.Duration, so func() bool) {
	t.Helper()
	for until := time.Now().Add(benchWait); !so(); time.Sleep(every) {
		if t.Context().Err() != nil || time.Now().After(until) {
			t.Fatalf("%s: not within %s", what, benchWait)
		}
	}
}

// sent is one thing that was done, and what came of it.
type sent struct {
	at       time.Time // the envelope was about to go out
	envelope string
	acked    time.Time // zero: never
	turned   bool      // away, with the acknowledgement
}

// load does a line each beat of the clock, whatever becomes of those before it: a program
// that is slow gets its commands all the same, and each of them counts (no coordinated
// omission). It returns when all are sent.
func (w *benchWorld) load(t testing.TB, lines []string, beat time.Duration) []sent {
	t.Helper()
	all := make([]sent, len(lines))
	errs := make([]error, len(lines))
	begin := time.Now().Add(beat)
	var doing sync.WaitGroup
	for i, line := range lines {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * beat)))
		doing.Go(func() {
			all[i].at = time.Now()
			all[i].envelope, errs[i] = w.do(line)
		})
	}
	doing.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return all
}

// busyWords are what a bot says that has too much to do.
const busyWords = "I am busy with other requests"

// acks finds when Slack had the acknowledgement of each. It waits until Slack has given
// up those that it does not have.
func (w *benchWorld) acks(all []sent) {
	for until := time.Now().Add(3500 * time.Millisecond); ; time.Sleep(100 * time.Millisecond) { // Slack waits 3 s
		events := w.slack.Events()
		acked := map[string]int{}
		for i, e := range events {
			if e.Kind == "ack" {
				acked[e.Envelope] = i
			}
		}
		missing := 0
		for i := range all {
			at, found := acked[all[i].envelope]
			if !found {
				missing++
				continue
			}
			all[i].acked = events[at].At
			// What an acknowledgement says is shown at once.
			all[i].turned = at+1 < len(events) && strings.Contains(events[at+1].Text, busyWords)
		}
		if missing == 0 || time.Now().After(until) {
			return
		}
	}
}

// latencies are those from the envelope to its acknowledgement, and how many had none.
func latencies(all []sent) (took []time.Duration, never int) {
	for _, s := range all {
		if s.acked.IsZero() {
			never++
			continue
		}
		took = append(took, s.acked.Sub(s.at))
	}
	return took, never
}

// benchProgram is a process that a benchmark looks at.
type benchProgram struct {
	cmd  *exec.Cmd
	port string // of its health server, address:port
	log  string // file
	gone chan error
}

// buildBot builds the bot as `make build` does, with more flags if any.
func buildBot(t testing.TB, flags ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "bot")
	build := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", file}, flags...), ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the bot: %v\n%s", err, out)
	}
	return file
}

// benchAskers are so many that none has more tickets waiting than the bot lets a person have.
const benchAskers = 40

func benchAsker(i int) string   { return fmt.Sprintf("asker%d", i%benchAskers) }
func benchAskerID(i int) string { return fmt.Sprintf("U0ASKER%d", i) }

// benchPolicy is a company in which some ask and one approves.
func benchPolicy() string {
	var operators []string
	for i := range benchAskers {
		operators = append(operators, benchAskerID(i))
	}
	return fmt.Sprintf("people: { operators: [%s], approvers: [U0APPROVER] }\napproval: { channel: C0OPS }\n", strings.Join(operators, ", "))
}

// botEnv is the environment of a bot in this world. A later setting wins over these.
func (w *benchWorld) botEnv(database, port string, more ...string) []string {
	return append([]string{
		"SLACK_BOT_TOKEN=" + simslack.DefaultBotToken, "SLACK_APP_TOKEN=" + simslack.DefaultAppToken, "SLACK_API_URL=" + w.slackURL + "/api/",
		"HEROKU_API_KEY=" + simheroku.DefaultToken, "HEROKU_API_URL=" + w.herokuURL, "HEROKU_METRICS_URL=" + w.herokuURL,
		"DATABASE_URL=" + database, "ZDD_POLICY_YAML=" + benchPolicy(), "ZDD_LEDGER_KEY=" + crashLedgerKey, "PORT=" + port,
	}, more...)
}

// freePort is an address of this machine that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// launch starts a program in a folder of its own. It ends with the test, or with stop.
func launch(t testing.TB, env []string, program string, args ...string) *benchProgram {
	t.Helper()
	p := &benchProgram{cmd: exec.Command(program, args...), log: filepath.Join(t.TempDir(), "log"), gone: make(chan error, 1)}
	for _, setting := range env {
		if value, is := strings.CutPrefix(setting, "PORT="); is {
			p.port = value
		}
	}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = env, filepath.Dir(p.log), log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves nothing behind
	stdin, err := p.cmd.StdinPipe()                                      // the test binary as a bot ends when this does
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := p.cmd.Wait()
		_ = stdin.Close() // whoever read it has ended
		p.gone <- err
		close(p.gone)
	}()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// stop ends the process as a system does: SIGTERM, and SIGKILL after a while.
func (p *benchProgram) stop(t testing.TB) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	late := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	<-p.gone // once, and then it is closed
}

// running ends the test where the process has ended by itself.
func (p *benchProgram) running(t testing.TB) {
	t.Helper()
	select {
	case err := <-p.gone:
		text, _ := os.ReadFile(p.log) // what there is of it
		t.Fatalf("%s ended by itself: %v\n%s", filepath.Base(p.cmd.Path), err, text)
	default:
	}
}

// ready asks the bot itself: it is once Slack has greeted a link.
func (p *benchProgram) ready(ctx context.Context, client *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.port+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// startBot starts a bot and waits until it says that it is ready.
func (w *benchWorld) startBot(t testing.TB, program, database string, more ...string) *benchProgram {
	t.Helper()
	p := launch(t, w.botEnv(database, freePort(t), more...), program, "serve")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	await(t, "the bot is connected", look, func() bool { p.running(t); return p.ready(t.Context(), client) })
	return p
}

// series are the bot's metrics, by name with labels.
func (p *benchProgram) series(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.port+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for line := range strings.Lines(text.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var v float64
		if _, err := fmt.Sscan(value, &v); err == nil && !strings.HasPrefix(name, "#") {
			all[name] = v
		}
	}
	return all, nil
}

// resident is the process's memory by its kernel, in KiB: what is in RAM, and how much of
// that is data rather than pages of the program's file.
func (p *benchProgram) resident(t testing.TB) (rss, data int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb := 0
		_, _ = fmt.Sscan(value, &kb) // 0 where it is no number
		switch name {
		case "Rss":
			rss = kb
		case "Anonymous":
			data = kb
		}
	}
	return rss, data
}
