//go:build linux

package watch_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/figures"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// How many apps are probed at once, and how often each.
const (
	benchWatches = 50
	benchRate    = 4
)

// Variables of the environment with which the test binary is the program that is measured:
// where the apps are, for how long, and whether all watches begin at one moment.
const (
	benchAddress = "ZDD_BENCH_PROBE"
	benchSpan    = "ZDD_BENCH_SPAN"
	benchAtOnce  = "ZDD_BENCH_AT_ONCE"
)

// benched is what a program tells of its requests.
type benched struct {
	Late   []time.Duration
	Failed int
}

// TestBenchProbe measures how late requests are sent by 50 watches at once, beside vegeta
// at the same rate in all. Each is a process of its own before the same server.
func TestBenchProbe(t *testing.T) {
	if os.Getenv(benchAddress) != "" {
		t.Skip("this is the program that is measured")
	}
	r := figures.Begin(t, "probe", "make bench")
	span := r.Length(time.Minute, 5*time.Second)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	vegeta := buildVegeta(t)
	address := benchApps(t)

	rows := []struct {
		name string
		run  func() (benched, *os.ProcessState)
	}{
		{"zdd, watches that begin one after the other", func() (benched, *os.ProcessState) { return runProbes(t, self, address, span, "") }},
		{"zdd, all at one moment", func() (benched, *os.ProcessState) { return runProbes(t, self, address, span, "yes") }},
		{"vegeta, connections kept", func() (benched, *os.ProcessState) { return runVegeta(t, vegeta, address, span, "-keepalive=true") }},
		{"vegeta, a connection each", func() (benched, *os.ProcessState) { return runVegeta(t, vegeta, address, span, "-keepalive=false") }},
	}
	r.Line("%d apps, %d requests a second each, for %s. From when a request was due until it was sent:", benchWatches, benchRate, span)
	r.Line("")
	r.Line("| program | requests | failed | p50 | p99 | slowest | processor | resident at the most |")
	r.Line("|---|---|---|---|---|---|---|---|")
	for _, row := range rows {
		got, state := row.run()
		if want := benchWatches * benchRate * int(span/time.Second); len(got.Late) < want*9/10 {
			t.Errorf("%s: got %d requests, want about %d", row.name, len(got.Late), want)
		}
		used := state.SysUsage().(*syscall.Rusage)
		cpu := float64(state.SystemTime()+state.UserTime()) / float64(span) * 100
		r.Line("| %s | %d | %d | %s | %s | %s | %.1f %% of a core | %d MiB |", row.name, len(got.Late), got.Failed,
			figures.Millis(figures.Quantile(got.Late, .5)), figures.Millis(figures.Quantile(got.Late, .99)), figures.Millis(figures.Quantile(got.Late, 1)), cpu, used.Maxrss>>10)
	}
	r.Done()
}

// benchApps serves all apps: a page of 4 KiB, at once.
func benchApps(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page := bytes.Repeat([]byte("a page\n"), 600)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })}
	var work sync.WaitGroup
	work.Go(func() { srv.Serve(l) })
	t.Cleanup(func() {
		srv.Close()
		work.Wait()
	})
	return l.Addr().String()
}

// runProbes is the probe's turn.
func runProbes(t *testing.T, self, address string, span time.Duration, atOnce string) (benched, *os.ProcessState) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestBenchedProbe$", "-test.v")
	cmd.Env = []string{benchAddress + "=" + address, benchSpan + "=" + span.String(), benchAtOnce + "=" + atOnce}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the probes: %v\n%s", err, out)
	}
	for line := range bytes.Lines(out) {
		var got benched
		if json.Unmarshal(line, &got) == nil {
			return got, cmd.ProcessState
		}
	}
	t.Fatalf("the probes told nothing:\n%s", out)
	return benched{}, nil
}

// TestBenchedProbe is the program that is measured: it probes 50 apps that are all at one
// address, and prints how late it was.
func TestBenchedProbe(t *testing.T) {
	address := os.Getenv(benchAddress)
	if address == "" {
		t.Skip("TestBenchProbe runs it, as a process of its own")
	}
	span, err := time.ParseDuration(os.Getenv(benchSpan))
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]string{}
	host := func(n int) string { return fmt.Sprintf("app-%d.herokuapp.localhost", n) }
	for n := range benchWatches {
		allowed[host(n)+":80"] = address
	}
	p := watch.NewProber(watch.ProberConfig{Dial: watch.ExactDialer(allowed), AtOnce: benchWatches, PerSecond: benchWatches * benchRate})
	all := make([]benched, benchWatches)
	var work sync.WaitGroup
	for n := range all {
		app := fleettest.App("standard-1x web=2")
		app.WebURL = "http://" + host(n) + "/"
		target, err := watch.NewTarget(app, policy.Rules{Probe: policy.DefaultProbe()})
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.Begin(target)
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			defer g.Close()
			if os.Getenv(benchAtOnce) == "" {
				time.Sleep(time.Duration(n) * time.Second / benchRate / benchWatches)
			}
			ctx, cancel := context.WithTimeout(t.Context(), span)
			defer cancel()
			got := &all[n]
			if err := g.Run(ctx, func(s watch.Sample) {
				got.Late = append(got.Late, s.Late)
				if s.Outcome != watch.OK {
					got.Failed++
				}
			}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	var sum benched
	for _, got := range all {
		sum.Late, sum.Failed = append(sum.Late, got.Late...), sum.Failed+got.Failed
	}
	text, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(text))
}

// buildVegeta builds vegeta's own program, at the version of its module.
func buildVegeta(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "vegeta")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", "conformance", "vegeta"), "-o", program, "github.com/tsenart/vegeta/v12")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("vegeta is needed for the comparison: %v\n%s", err, out)
	}
	return program
}

// runVegeta is vegeta's turn. It tells when each request was sent and its number; when it
// was due follows from the one that was the least late, which is taken for punctual.
func runVegeta(t *testing.T, vegeta, address string, span time.Duration, keep string) (benched, *os.ProcessState) {
	t.Helper()
	rate := benchWatches * benchRate
	results := filepath.Join(t.TempDir(), "results")
	cmd := exec.CommandContext(t.Context(), vegeta, "attack", fmt.Sprintf("-rate=%d/s", rate), "-duration="+span.String(), "-timeout=5s", keep, "-output="+results)
	cmd.Stdin = strings.NewReader("GET http://" + address + "/\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("vegeta attack: %v\n%s", err, out)
	}
	told, err := exec.CommandContext(t.Context(), vegeta, "encode", "-to=json", results).Output()
	if err != nil {
		t.Fatalf("vegeta encode: %v", err)
	}
	var got benched
	var base time.Time
	var due []time.Time
	for lines := bufio.NewReader(bytes.NewReader(told)); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var hit struct {
			Seq       int       `json:"seq"`
			Code      int       `json:"code"`
			Timestamp time.Time `json:"timestamp"`
		}
		if err := json.Unmarshal(line, &hit); err != nil {
			t.Fatal(err)
		}
		if hit.Code != http.StatusOK {
			got.Failed++
		}
		began := hit.Timestamp.Add(-time.Duration(hit.Seq) * time.Second / time.Duration(rate))
		if base.IsZero() || began.Before(base) {
			base = began
		}
		due = append(due, began)
	}
	for _, began := range due {
		got.Late = append(got.Late, began.Sub(base))
	}
	return got, cmd.ProcessState
}
