package watch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/figures"
	"example.com/zdd/policy"
	"example.com/zdd/sim/play"
	"example.com/zdd/watch"
)

// usual is a deploy with nothing wrong.
func usual() deploy {
	return deploy{
		dynos: 2, preboot: true, affinity: true, boot: 8 * time.Second, bind: "ready", shutdown: "graceful", session: "shared",
		work: 20 * time.Millisecond, rate: 3, version: "header", made: 5 * time.Second, second: 313 * time.Millisecond,
	}
}

// A choice is one thing of a deploy that is so or otherwise.
type choice struct {
	name string
	make func(*deploy)
}

// ways are how a release is handed over: the columns of the truth table.
func ways() []choice {
	var all []choice
	for _, dynos := range []int{1, 2} {
		for _, affinity := range []bool{false, true} {
			with := ""
			if affinity {
				with = ", affinity"
			}
			all = append(all,
				choice{fmt.Sprintf("preboot, %d%s", dynos, with), func(d *deploy) { d.dynos, d.affinity = dynos, affinity }},
				choice{fmt.Sprintf("no preboot, %d%s", dynos, with), func(d *deploy) { d.preboot, d.dynos, d.affinity = false, dynos, affinity }})
		}
		all = append(all, choice{fmt.Sprintf("space, %d", dynos), func(d *deploy) { d.space, d.preboot, d.affinity, d.dynos = true, false, false, dynos }})
	}
	slices.SortStableFunc(all, func(a, b choice) int { return strings.Compare(a.name, b.name) })
	return all
}

// faults are what can be wrong: each combination is a row of the truth table.
func faults() []choice {
	return []choice{
		{"early-bound port", func(d *deploy) { d.bind, d.boot = "early", 190*time.Second }}, // longer than preboot waits
		{"slow shutdown", func(d *deploy) { d.shutdown = "slow" }},
		{"crash in the hand-over", func(d *deploy) { d.crash = true }},
		{"maintenance", func(d *deploy) { d.maintenance = 30 * time.Second }},
	}
}

// must is the verdict that is sure, whichever dyno the router chooses for a request; empty:
// it is for the router's account to say.
func (d deploy) must() watch.Verdict {
	switch {
	case d.maintenance > 0, d.stopped > 0, d.offline > 0:
		return watch.Inconclusive
	case d.bind == "early", d.crash, !d.preboot && !d.space, d.space && d.dynos == 1:
		return watch.Failed // the boot of 8 s is longer than the probe waits for an answer
	case d.session == "memory":
		return ""
	case d.shutdown == "slow" && d.preboot:
		return "" // for a second or so some requests go to dynos that end
	}
	return watch.Proved
}

// long says how many random deploys are asked for beyond the usual ones; 0: none.
func long(t *testing.T) int {
	more := os.Getenv("ZDD_PROVE")
	if more == "" {
		return 0
	}
	n, err := strconv.Atoi(more)
	if err != nil || n < 1 {
		t.Fatalf("ZDD_PROVE: got %q, want a number of deploys", more)
	}
	return n
}

// TestTruth is the truth table: every way of handing over, each with every combination of
// faults with ZDD_PROVE, and else with one at the most; and where logins are kept. What
// comes out is held against the router's account, and against what is sure.
func TestTruth(t *testing.T) {
	all := long(t) > 0
	var table []string
	line := func(name string, change func(*deploy)) {
		cells := []string{name}
		for _, way := range ways() {
			d := usual()
			way.make(&d)
			change(&d)
			if !all && (d.affinity && d.visitors == 0 || d.dynos == 1 && d.visitors > 0) {
				continue // affinity is for visitors, between two dynos; the long form shows that it changes nothing else
			}
			r := d.carry(t)
			r.report(t, way.name+", "+name)
			if want := d.must(); want != "" && r.watch.Verdict != want {
				t.Errorf("%s, %s: got %s, want %s\n%v", way.name, name, r.watch.Verdict, want, r.watch.Reasons)
			}
			cell := string(r.watch.Verdict)
			if n := r.watch.In.Failed(); n > 0 {
				cell += fmt.Sprintf(" %d/%d", n, r.watch.In.Sent)
			}
			if v := r.watch.Visits; v != nil && v.LostIn > 0 {
				cell += fmt.Sprintf(", %d logins", v.LostIn)
			}
			cells = append(cells, cell)
		}
		table = append(table, "| "+strings.Join(cells, " | ")+" |")
	}
	for set := range 1 << len(faults()) {
		var names []string
		var makes []func(*deploy)
		for i, f := range faults() {
			if set&(1<<i) != 0 {
				names, makes = append(names, f.name), append(makes, f.make)
			}
		}
		if !all && len(names) > 1 {
			continue
		}
		name := strings.Join(names, ", ")
		if name == "" {
			name = "nothing wrong"
		}
		line(name, func(d *deploy) {
			for _, make := range makes {
				make(d)
			}
		})
	}
	line("logins in a dyno's memory", func(d *deploy) { d.visitors, d.session = 2, "memory" })
	line("logins in one place", func(d *deploy) { d.visitors = 2 })
	for _, c := range []choice{
		{"stopped in the hand-over", func(d *deploy) { d.stopped = 4 * time.Minute }},
		{"our own network away", func(d *deploy) { d.offline = time.Minute }},
		{"begun 30 s late", func(d *deploy) { d.made = -30 * time.Second }},
		{"begun in a release phase", func(d *deploy) { d.made, d.phase = -5*time.Minute, 7*time.Minute }},
		{"begun in a release phase, in a space", func(d *deploy) { d.space, d.made, d.phase = true, -5*time.Minute, 7*time.Minute }},
		{"a second release", func(d *deploy) { d.again = 100 * time.Second }},
	} {
		d := usual()
		c.make(&d)
		r := d.carry(t)
		r.report(t, c.name)
		if r.watch.Verdict != d.must() {
			t.Errorf("%s: got %s, want %s\n%v", c.name, r.watch.Verdict, d.must(), r.watch.Reasons)
		}
	}
	if !all || t.Failed() {
		return
	}
	heads := []string{"fault"}
	for _, way := range ways() {
		heads = append(heads, way.name)
	}
	write(t, "truth", append([]string{"| " + strings.Join(heads, " | ") + " |", "|" + strings.Repeat("---|", len(heads))}, table...))
}

// TestProve carries out random deploys: 50, or as many as ZDD_PROVE says; fewer under the
// race detector, which finds nothing in the fiftieth that it did not in the tenth.
func TestProve(t *testing.T) {
	n := long(t)
	switch {
	case n == 0 && raced:
		n = 15
	case n == 0:
		n = 50
	}
	began := time.Now()
	var sum tally
	for seed := range uint64(n) {
		r := random(rand.New(rand.NewPCG(seed, 8))).carry(t)
		r.report(t, fmt.Sprintf("seed %d", seed))
		sum.add(r)
	}
	lines := sum.lines()
	t.Log(strings.Join(lines, "\n"))
	if long(t) >= 1000 && !t.Failed() {
		lines = append(lines, "", fmt.Sprintf("%s, %s; took %s on a fake clock.", began.Format(time.DateOnly), runtime.Version(), time.Since(began).Round(time.Second)))
		write(t, "random", lines)
	}
}

// write writes a section of docs/proof.md.
func write(t *testing.T, section string, lines []string) {
	t.Helper()
	head := "    make prove\n\n"
	if err := figures.Write(filepath.Join("..", "docs", "proof.md"), section, head+strings.Join(lines, "\n")+"\n"); err != nil {
		t.Fatal(err)
	}
}

// tally is what many deploys came to.
type tally struct {
	deploys, wrong    int
	verdicts, falsely map[watch.Verdict]int
	probes, failed    int
	others            int // requests of the simulator's own visitors
	provedOf          int // those of them that were in a proved deploy,
	provedLost        int // how many of these failed,
	provedLosing      int // and in how many such deploys
}

func (s *tally) add(r result) {
	if s.verdicts == nil {
		s.verdicts, s.falsely = map[watch.Verdict]int{}, map[watch.Verdict]int{}
	}
	w, now := r.watch, r.truth()
	s.deploys++
	s.verdicts[w.Verdict]++
	if !slices.Contains(now.allowed, w.Verdict) {
		s.falsely[w.Verdict]++
	}
	if len(r.check()) > 0 {
		s.wrong++
	}
	s.probes += w.Counts.Sent
	s.failed += w.Counts.Failed()
	s.others += now.background
	if w.Verdict == watch.Proved {
		s.provedOf += now.background
		s.provedLost += now.lost
		if now.lost > 0 {
			s.provedLosing++
		}
	}
}

// lines is the tally in words.
func (s *tally) lines() []string {
	return []string{
		fmt.Sprintf("- %d random deploys: %d proved, %d failed, %d inconclusive.", s.deploys, s.verdicts[watch.Proved], s.verdicts[watch.Failed], s.verdicts[watch.Inconclusive]),
		fmt.Sprintf("- Falsely proved: %d. Falsely failed: %d. Falsely inconclusive: %d. Deploys of which anything else did not agree with the router: %d.", s.falsely[watch.Proved], s.falsely[watch.Failed], s.falsely[watch.Inconclusive], s.wrong),
		fmt.Sprintf("- %d requests of probes, %d of which failed: in each deploy as many as the router dropped of them.", s.probes, s.failed),
		fmt.Sprintf("- %d requests of others since the releases. Of the %d in proved deploys %d failed, in %d of %d deploys: what happens to so few is below what a probe can see, and each verdict says so.", s.others, s.provedOf, s.provedLost, s.provedLosing, s.verdicts[watch.Proved]),
	}
}

// TestGaps: an outage of twice the interval is found wherever it falls, and a shorter one
// may not be: the verdict names it as below what it can see.
func TestGaps(t *testing.T) {
	const rate, every = 4, 8 * time.Second
	for _, tt := range []struct {
		name   string
		gap    time.Duration
		missed bool
	}{
		{"twice the interval", 2 * time.Second / rate, false},
		{"half of the interval", time.Second / rate / 2, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, uint64(tt.gap)))
			began := time.Now()
			var gaps []time.Time // each somewhere in its eight seconds
			for n := range 60 {
				gaps = append(gaps, began.Add(time.Duration(n)*every+time.Duration(rng.Int64N(int64(every-tt.gap)))))
			}
			app := fleettest.App("standard-1x web=2")
			app.WebURL = "http://shop-0123456789ab.herokuapp.com/"
			target, err := watch.NewTarget(app, policy.Rules{Probe: policy.DefaultProbe()})
			if err != nil {
				t.Fatal(err)
			}
			var network play.Network
			defer network.Serve("shop-0123456789ab.herokuapp.com", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				if i := int(time.Since(began) / every); i < len(gaps) && !time.Now().Before(gaps[i]) && time.Since(gaps[i]) < tt.gap {
					rw.WriteHeader(http.StatusServiceUnavailable)
				}
			}))()
			probing, err := watch.NewProber(watch.ProberConfig{Dial: network.Dial}).Begin(target)
			if err != nil {
				t.Fatal(err)
			}
			defer probing.Close()
			lasts := time.Duration(len(gaps)) * every
			time.Sleep(37 * time.Millisecond) // the probe's clock is not the gaps'
			rec := watch.NewRecorder(watch.Watch{Name: "shop", Probe: target.Probe(), Setup: watch.Setup{Preboot: fleet.Known(true)}, Asked: began, Began: time.Now(), Until: began.Add(lasts)})
			rec.Release(fleet.Release{Version: 118, Status: "succeeded", CreatedAt: began.Add(time.Minute)})
			found := map[int]bool{}
			ctx, cancel := context.WithTimeout(t.Context(), lasts)
			defer cancel()
			if err := probing.Run(ctx, func(s watch.Sample) {
				rec.Sample(s)
				if s.Outcome.Bad() {
					found[int(s.Due.Sub(began)/every)] = true
				}
			}, nil); err != nil {
				t.Fatal(err)
			}
			w := rec.Snapshot(time.Now()).Judge(time.Now())
			missed := len(gaps) - len(found)
			if (missed > 0) != tt.missed {
				t.Errorf("%s: %d of %d gaps were missed", tt.name, missed, len(gaps))
			}
			if (w.Smallest > tt.gap) != tt.missed {
				t.Errorf("%s: every outage of %v is said to be seen, and %d of %d of %v were not", tt.name, w.Smallest, missed, len(gaps), tt.gap)
			}
			if want := "Outages shorter than 500 ms: they may fall between two requests."; !slices.Contains(w.NotCovered, want) {
				t.Errorf("%s: what is not covered is %q, without %q", tt.name, w.NotCovered, want)
			}
		})
	}
}

// random is any deploy at all.
func random(rng *rand.Rand) deploy {
	oneOf := func(words ...string) string { return words[rng.IntN(len(words))] }
	rarely := func(n int) bool { return rng.IntN(n) == 0 }
	within := func(from, to time.Duration) time.Duration { // in milliseconds
		return from + time.Duration(rng.Int64N(int64((to-from)/time.Millisecond)))*time.Millisecond
	}
	d := deploy{
		space: rarely(4), dynos: 1 + rng.IntN(4), preboot: rng.IntN(5) > 0, affinity: rarely(2),
		boot: within(time.Second, 20*time.Second), bind: "ready", shutdown: oneOf("graceful", "graceful", "graceful", "graceful", "slow", "abrupt"),
		session: oneOf("shared", "shared", "memory"), work: within(time.Millisecond, 200*time.Millisecond),
		rate: 3 + rng.IntN(2), version: oneOf("header", "path", "none"),
		made: within(3*time.Second, 40*time.Second), second: within(0, time.Second),
	}
	if rarely(2) {
		d.visitors = 1 + rng.IntN(3)
	}
	if rarely(6) {
		d.bind = oneOf("early", "hang")
		d.boot = within(time.Second, 220*time.Second)
	}
	d.crash, d.fails = rarely(10), rarely(25)
	if rarely(4) {
		d.phase = within(time.Second, 40*time.Second)
	}
	if rarely(4) {
		d.jitter = within(time.Second, 128*time.Second) // 5:08 in all is the longest that was measured
	}
	switch rng.IntN(30) {
	case 0:
		d.made = -within(time.Second, 90*time.Second)
	case 1:
		d.maintenance = d.made + within(time.Second, 60*time.Second)
	case 2, 3:
		d.offline = d.made + within(-10*time.Second, 60*time.Second)
	case 4:
		d.stopped = d.made + within(5*time.Second, 60*time.Second)
	case 5, 6:
		d.again = d.made + within(time.Second, 100*time.Second)
	case 7, 8:
		d.cycle = d.made + within(-5*time.Second, 100*time.Second)
	}
	return d
}
