package watch_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/watch"
)

// truth is what there was to find, by the router's own account and by what was done.
type truth struct {
	all, in    counted         // requests of the probe's that failed, and those of them in the hand-overs
	after      int             // and those after a hand-over
	background int             // requests of others since the release,
	lost       int             // and how many of them failed
	allowed    []watch.Verdict // what may be said of it
}

// counted is how many failed. Of those that nobody answered before the probe's own network
// was away, the probe can't know whose fault that was: it may call them its own.
type counted struct{ sure, maybe int }

func (c counted) holds(n int) bool { return n >= c.sure && n <= c.sure+c.maybe }

func (c *counted) add(sure bool) {
	if sure {
		c.sure++
	} else {
		c.maybe++
	}
}

func (r result) truth() (now truth) {
	w, d := r.watch, r.deploy
	inWindows := func(from, to time.Time) bool {
		return slices.ContainsFunc(w.Windows, func(s watch.Span) bool { return from.Before(s.To) && !to.Before(s.From) })
	}
	offline := w.Began.Add(d.offline)
	released := r.made
	visitors := 0
	for _, f := range r.routed.Failures {
		givenUp := d.stopped > 0 && f.Outcome == simheroku.Abandoned && !f.Ended.Before(w.Ended)
		if f.Outcome == simheroku.OutcomeH80 || givenUp {
			continue // somebody wanted that, or the watch was over
		}
		sure := d.offline == 0 || f.Outcome != simheroku.Abandoned || f.Ended.Before(offline) || f.At.After(offline.Add(outage))
		in := inWindows(f.At, f.At) || inWindows(f.At, f.Ended) && f.At.Before(w.Windows[0].From)
		if f.Class == simheroku.Probe {
			now.all.add(sure)
		}
		switch {
		case f.Class == simheroku.Background && !f.At.Before(released):
			now.lost++
		case f.Class == simheroku.Visitor && in:
			visitors++
		case f.Class == simheroku.Probe && in:
			now.in.add(sure)
		case f.Class == simheroku.Probe && !f.At.Before(released):
			now.after++
		}
	}
	for _, s := range r.routed.Seconds {
		if s.At >= released.Unix() {
			now.background += s.Classes[simheroku.Background].Requests
		}
	}
	fresh := 2 * time.Second / time.Duration(d.rate) // between two that open a connection
	loses := d.visitors > 0 && d.session == "memory" // every deploy does
	switch {
	case len(w.Releases) == 0, d.maintenance > 0:
		now.allowed = []watch.Verdict{watch.Inconclusive}
	case now.in.sure > 0:
		now.allowed = []watch.Verdict{watch.Failed}
	case now.in.maybe > 0:
		now.allowed = []watch.Verdict{watch.Failed, watch.Inconclusive}
	case d.stopped > 0, now.after > 0, visitors > 0, d.replaced() < 0 && (!d.preboot || d.space):
		now.allowed = []watch.Verdict{watch.Inconclusive}
	case d.made < 0 && d.replaced() < 3*time.Second && (!d.preboot || d.space):
		now.allowed = []watch.Verdict{watch.Proved, watch.Inconclusive} // Heroku tells whole seconds
	case d.offline > 0 && inWindows(offline.Add(fresh), offline.Add(outage-fresh)):
		now.allowed = []watch.Verdict{watch.Inconclusive}
	case d.offline > 0 && inWindows(offline, offline.Add(outage)):
		now.allowed = []watch.Verdict{watch.Proved, watch.Inconclusive} // it may have met no request of the hand-over
	default:
		now.allowed = []watch.Verdict{watch.Proved}
	}
	if loses && now.allowed[0] != watch.Failed && d.maintenance == 0 {
		// Whether visitors were logged out before too decides which; none of it is a proof.
		now.allowed = []watch.Verdict{watch.Failed, watch.Inconclusive}
	}
	return now
}

// check holds what a watch says against the truth; what is wrong is in sentences.
func (r result) check() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	w, d, now := r.watch, r.deploy, r.truth()
	if !slices.Contains(now.allowed, w.Verdict) {
		say("the verdict is %s, and has to be %v", w.Verdict, now.allowed)
	}
	routed := r.routed.Classes[simheroku.Probe]
	wellToo := 0 // who is interrupted does not wait for what is under way, which may end well
	if d.stopped > 0 {
		wellToo = d.rate
	}
	if maintained := routed.Failed[simheroku.OutcomeH80]; w.Counts.OK > routed.OK || w.Counts.OK < routed.OK-wellToo || !now.all.holds(w.Counts.Failed()) || w.Counts.Maintenance != maintained {
		say("the probe counts %d well, %d failed and %d in maintenance; the router %d, %v and %d", w.Counts.OK, w.Counts.Failed(), w.Counts.Maintenance, routed.OK, now.all, maintained)
	}
	if d.stopped == 0 && now.all.maybe == 0 && w.Counts.Sent != routed.Requests {
		say("the probe sent %d, and the router got %d", w.Counts.Sent, routed.Requests)
	}
	if len(w.Windows) > 0 && !now.in.holds(w.In.Failed()) {
		say("in the hand-over %d failed by the probe, and %v by the router", w.In.Failed(), now.in)
	}
	if v := w.Visits; v != nil && v.Lost > 0 && d.session == "shared" {
		say("%d logins are said to be lost, and none can be", v.Lost)
	}
	if len(w.Windows) > 0 && (w.Windows[0].From.After(r.made) || w.Windows[0].From.Before(r.made.Add(-3*time.Second))) {
		say("the release was made at %v, and its window begins at %v", r.made, w.Windows[0].From)
	}
	if w.Verdict == watch.Proved && !w.Old.Before(w.Window.To) {
		say("the old version was told at %v, after the window to %v", w.Old, w.Window.To)
	}
	// Others' requests are dropped as often as the watch says, and the bound on it holds, or
	// it is as unlikely as one in a million.
	const never = 1e-6
	if w.Verdict == watch.Proved && now.lost > 0 && 1-binomial(now.lost-1, now.background, w.Bound) < never {
		say("it is proved that less than %.4f fail, and of others %d of %d did", w.Bound, now.lost, now.background)
	}
	if share := float64(w.In.Failed()) / float64(max(1, w.In.Sent)); w.Verdict == watch.Failed && d.stopped == 0 && now.lost == 0 && binomial(0, now.background, share/2) < never {
		say("%d of %d failed, and of others none of %d did", w.In.Failed(), w.In.Sent, now.background)
	}
	return wrong
}

// binomial is the probability that at most k of n fail, each with probability p.
func binomial(k, n int, p float64) float64 {
	sum, term := 0.0, math.Pow(1-p, float64(n))
	for i := range k + 1 {
		sum += term
		term *= float64(n-i) / float64(i+1) * p / (1 - p)
	}
	return min(sum, 1)
}

// report fails the test where the watch is wrong.
func (r result) report(t *testing.T, name string) {
	t.Helper()
	wrong := r.check()
	if len(wrong) == 0 {
		return
	}
	w := r.watch
	t.Errorf("%s: %v\n%s\n%v\nall %+v\nin  %+v\nrouter %v\nwindows %v, began %v, ended %v, made %v\n%v",
		name, r.deploy, strings.Join(wrong, "\n"), w.Reasons, w.Counts, w.In, r.routed.Classes, w.Windows, w.Began, w.Ended, r.made, w.Events)
}
