package heroku_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/zdd/heroku"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
)

// serveFleet is the variable that makes the test binary a simulator of a fleet of so many
// apps, for benchmarks that measure a process of its own.
const serveFleet = "ZDD_TEST_SERVE_FLEET"

// TestServeFleet is no test: it is what the benchmarks start beside them.
func TestServeFleet(t *testing.T) {
	n, latency, ok := strings.Cut(os.Getenv(serveFleet), " ")
	if !ok {
		t.Skip("serves benchmarks only")
	}
	apps, err := strconv.Atoi(n)
	if err != nil {
		t.Fatal(err)
	}
	each, err := time.ParseDuration(latency)
	if err != nil {
		t.Fatal(err)
	}
	sim := simheroku.New(simheroku.Options{Fleet: simheroku.GenerateFleet(apps, 1), Latency: each, BucketOff: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: sim}
	fmt.Println("http://" + l.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
		_ = server.Close()
	}()
	_ = server.Serve(l) // ends when it is closed
}

// served starts a simulator in a process of its own, and is where it is.
func served(b *testing.B, apps int, latency time.Duration) string {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestServeFleet$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", serveFleet, apps, latency))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// told asks the simulator how many calls came since the last time.
func told(b *testing.B, address string) int {
	b.Helper()
	resp, err := http.Get(address + "/_control/calls")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var said struct {
		Counts map[string]int `json:"counts"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		b.Fatal(err)
	}
	resp, err = http.Post(address+"/_control/do", "text/plain", strings.NewReader("calls reset"))
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	return sum(said.Counts)
}

// BenchmarkScan1000 reads 1,000 apps at 50 ms a call, and tells how near it comes to the
// limit: calls × latency ÷ parallelism.
func BenchmarkScan1000(b *testing.B) {
	const apps, parallel, latency = 1000, 16, 50 * time.Millisecond
	address := served(b, apps, latency)
	ctx := heroku.Background(b.Context())
	calls, took := 0, time.Duration(0)
	for b.Loop() {
		c, err := heroku.New(heroku.Config{URL: address, MetricsURL: address, Key: secret.New(canary), Parallel: parallel})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		got, err := scan(ctx, c, parallel)
		took += time.Since(began)
		if err != nil || got.apps != apps {
			b.Fatalf("got %+v, %v", got, err)
		}
		c.Close()
		calls += told(b, address)
	}
	limit := time.Duration(calls) * latency / parallel
	b.ReportMetric(took.Seconds()/limit.Seconds(), "×limit")
	b.ReportMetric(float64(calls)/float64(apps*b.N), "calls/app")
}

// BenchmarkScanMemory10000 reads 10,000 apps, and tells the most memory that this process
// held resident meanwhile, the Go runtime and all; Linux tells it.
func BenchmarkScanMemory10000(b *testing.B) {
	const apps = 10_000
	address := served(b, apps, time.Microsecond)
	ctx := heroku.Background(b.Context())
	c, err := heroku.New(heroku.Config{URL: address, MetricsURL: address, Key: secret.New(canary)})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	most := 0.0
	for b.Loop() {
		runtime.GC()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // forget the peak so far
			b.Skip("no /proc: ", err)
		}
		got, err := scan(ctx, c, 16)
		if err != nil || got.apps != apps {
			b.Fatalf("got %+v, %v", got, err)
		}
		most = max(most, residentPeak(b))
	}
	b.ReportMetric(most, "MB-resident")
}

// residentPeak is the most memory that the process held resident, in MB (proc(5), VmHWM).
func residentPeak(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, err := strconv.ParseFloat(strings.Fields(string(rest))[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1000 * 1.024
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
