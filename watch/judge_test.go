package watch

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/internal/golden"
	"example.com/zdd/policy"
)

const minute = time.Minute

// TestVerdicts holds one story for each rule against its verdict, and what is said of it
// against a golden that a person can read.
func TestVerdicts(t *testing.T) {
	one := []fleet.Release{made(118, minute)}
	visiting := func(p *policy.Probe) { p.Visitors = 3 }
	kept := func(time.Duration) VisitResult { return Kept }
	down := during(72*time.Second, 81*time.Second+250*time.Millisecond, fails(Server, "H10"))
	basic := setup(false, 1)
	basic.Size, basic.Failing = "basic", []string{checkTier}
	affinityOff := setup(true, 2)
	affinityOff.Affinity = fleet.Known(false)
	java := setup(true, 2)
	java.Unproved = []string{checkWarmup}
	cut := func(why string) func(*Recorder) { return func(r *Recorder) { r.Cut(why) } }
	phase := func(status string) []fleet.Release {
		r := made(118, minute)
		r.Status = status
		return []fleet.Release{r}
	}
	changed := func(kind EventKind, at time.Duration, text string) func(*Recorder) {
		return func(r *Recorder) {
			r.Event(Event{At: when(at), Since: when(at - 20*time.Second), Kind: kind, Stops: true, Text: text})
		}
	}
	tests := []struct {
		name string
		want Verdict
		story
	}{
		{"preboot", Proved, story{setup: setup(true, 2), releases: one}},
		{"no preboot, and nothing failed all the same", Proved, story{setup: setup(false, 2), releases: one}},
		{"a space", Proved, story{setup: inSpace(4), releases: one}},
		{"versions and visitors", Proved, story{setup: setup(true, 2), releases: one, meets: tells("v117", "v118", 4*minute), probe: visiting, visits: kept}},
		{"commits as versions", Proved, story{setup: setup(true, 2), releases: one, meets: tells("9fceb02", "1a2b3c4", 4*minute)}},
		{"preboot, begun 40 s late", Proved, story{setup: setup(true, 2), releases: []fleet.Release{made(118, -40*time.Second)}}},
		{"two releases", Proved, story{setup: setup(true, 2), releases: []fleet.Release{made(118, minute), made(119, 2*minute)}}},
		{"a release before the watch, and one in it", Proved, story{setup: setup(true, 2), releases: []fleet.Release{made(117, -4*minute), made(118, 3*minute)}}},
		{"failures long before the release", Proved, story{setup: setup(false, 2), releases: one, meets: during(10*time.Second, 12*time.Second, fails(Server, ""))}},
		{"a hold-up of two intervals", Proved, story{setup: setup(false, 2), releases: one, meets: during(90*time.Second, 90*time.Second+1, func(s *Sample) { s.Late = 500 * time.Millisecond })}},

		{"preboot off", Failed, story{setup: setup(false, 2), releases: one, meets: down}},
		{"one request", Failed, story{setup: setup(true, 2), releases: one, meets: during(4*minute, 4*minute+1, fails(Cutoff, "H13"))}},
		{"basic dynos", Failed, story{setup: basic, releases: one, meets: down}},
		{"preboot unknown", Failed, story{releases: one, meets: down}},
		{"a port bound too early", Failed, story{setup: java, releases: one, meets: during(4*minute, 4*minute+20*time.Second, fails(Server, ""))}},
		{"a crash that stays", Failed, story{setup: setup(true, 1), releases: one, meets: during(4*minute, time.Hour, fails(Server, "H10"))}},
		{"a space with one dyno", Failed, story{setup: inSpace(1), releases: one, meets: down}},
		{"many kinds", Failed, story{setup: setup(true, 2), releases: one, meets: all(
			during(3*minute, 3*minute+5*time.Second, fails(Server, "H21")),
			during(3*minute+5*time.Second, 3*minute+8*time.Second, fails(Server, "H10")),
			during(3*minute+20*time.Second, 3*minute+21*time.Second, fails(Timeout, "")),
			during(3*minute+22*time.Second, 3*minute+23*time.Second, fails(Status, "")),
			during(3*minute+24*time.Second, 3*minute+24*time.Second+1, fails(TLS, "")),
			during(3*minute+25*time.Second, 3*minute+25*time.Second+1, fails(Body, "")),
			during(3*minute+26*time.Second, 3*minute+26*time.Second+1, fails(Connect, "")))}},
		{"Heroku's page, without a code", Failed, story{setup: setup(true, 2), releases: one, meets: during(4*minute, 4*minute+time.Second, func(s *Sample) { s.Outcome, s.Page = Server, "application-error" })}},
		{"sent before the release, cut by it", Failed, story{setup: setup(false, 2), releases: one, meets: during(58*time.Second, 58*time.Second+1, func(s *Sample) { fails(Cutoff, "")(s); s.Took = 2500 * time.Millisecond })}},
		{"worse than before", Failed, story{setup: setup(false, 2), releases: []fleet.Release{made(118, 2*minute)}, meets: all(during(0, time.Second, fails(Server, "")), during(2*minute, 2*minute+9*time.Second, fails(Server, "H10")))}},
		{"the first of two releases", Failed, story{setup: setup(false, 2), releases: []fleet.Release{made(118, minute), made(119, 5*minute)}, meets: down}},
		{"whatever else is wrong", Failed, story{setup: setup(false, 2), releases: phase("pending"), lasts: 2 * minute, meets: down, also: cut("it was interrupted")}},
		{"a login is lost", Failed, story{setup: setup(true, 2), releases: one, probe: visiting, visits: func(at time.Duration) VisitResult {
			if at > 4*minute && at < 4*minute+10*time.Second {
				return Lost
			}
			return Kept
		}}},
		{"logins lost since the release, affinity off", Failed, story{setup: affinityOff, releases: one, probe: visiting, visits: func(at time.Duration) VisitResult {
			if at > 4*minute {
				return Lost
			}
			return Kept
		}}},

		{"a resize in the hand-over", Failed, story{setup: setup(false, 2), releases: one, meets: all(tells("v117", "v118", 65*time.Second), during(92*time.Second, 101*time.Second, fails(Timeout, ""))), also: changed(EventFormation, 90*time.Second, "web was resized from standard-1x to standard-2x")}},
		{"a scale-down seen later", Failed, story{setup: setup(true, 3), releases: one, meets: during(4*minute, 4*minute+2*time.Second, fails(Server, "H13")), also: changed(EventFormation, 4*minute+15*time.Second, "web was scaled from 3 to 1")}},
		{"a restart", Failed, story{setup: setup(false, 1), releases: one, meets: during(100*time.Second, 103*time.Second, fails(Connect, "")), also: changed(EventRestart, 100*time.Second, "web.1 of v118 restarted")}},
		{"a crash, and the restart after it", Failed, story{setup: setup(true, 1), releases: one, meets: during(100*time.Second, 103*time.Second, fails(Server, "H10")), also: changed(EventRestart, 100*time.Second, "web.1 of v118 restarted")}},
		{"a release and a resize", Failed, story{setup: setup(false, 2), releases: one, meets: all(during(62*time.Second, 68*time.Second, fails(Timeout, "")), during(92*time.Second, 95*time.Second, fails(Timeout, ""))), also: changed(EventFormation, 92*time.Second, "web was resized from standard-1x to standard-2x")}},
		{"a restart of what fails", Failed, story{setup: setup(true, 2), releases: one, meets: during(3*minute, 5*minute, fails(Server, "")), also: changed(EventRestart, 4*minute, "web.1 and web.2 of v118 restarted")}},
		{"a scale-down right before the release", Failed, story{setup: setup(false, 3), releases: one, meets: during(62*time.Second, 68*time.Second, fails(Timeout, "")), also: changed(EventFormation, 50*time.Second, "web was scaled from 3 to 2")}},
		{"a scale-up", Failed, story{setup: setup(false, 2), releases: one, meets: down, also: func(r *Recorder) {
			r.Event(Event{At: when(70 * time.Second), Kind: EventFormation, Text: "web was scaled from 2 to 3"})
		}}},
		{"a restart, and logins lost", Failed, story{setup: setup(true, 2), releases: one, probe: visiting, also: changed(EventRestart, 4*minute, "web.2 of v118 restarted"), visits: func(at time.Duration) VisitResult {
			if at > 4*minute && at < 4*minute+10*time.Second {
				return Lost
			}
			return Kept
		}}},

		{"no release, and a resize", Inconclusive, story{setup: setup(true, 2), meets: down, also: changed(EventFormation, 80*time.Second, "web was resized from standard-1x to standard-2x")}},
		{"a restart afterwards", Inconclusive, story{setup: setup(false, 2), releases: one, meets: during(9*minute, 9*minute+2*time.Second, fails(Connect, "")), also: changed(EventRestart, 9*minute-time.Second, "web.1 of v118 restarted")}},
		{"no release", Inconclusive, story{setup: setup(true, 2)}},
		{"no release, and failures", Inconclusive, story{setup: setup(true, 2), meets: down}},
		{"maintenance", Inconclusive, story{setup: setup(true, 2), releases: one, meets: during(2*minute, 3*minute, func(s *Sample) { s.Outcome, s.Status, s.Page = Server, 503, "maintenance-mode" })}},
		{"maintenance with a page of its own", Inconclusive, story{setup: setup(true, 2), releases: one, meets: during(2*minute, 3*minute, fails(Server, "")), also: func(r *Recorder) {
			r.Event(Event{At: when(150 * time.Second), Kind: EventMaintenance, Text: "maintenance mode was switched on"})
		}}},
		{"in its release phase", Inconclusive, story{setup: setup(true, 2), releases: phase("pending"), lasts: 10 * minute}},
		{"its release phase failed", Inconclusive, story{setup: setup(true, 2), releases: phase("failed")}},
		{"expired", Inconclusive, story{setup: setup(true, 2), releases: phase("expired")}},
		{"stopped", Inconclusive, story{setup: setup(true, 2), releases: one, lasts: 3 * minute}},
		{"cut short", Inconclusive, story{setup: setup(true, 2), releases: one, also: cut("the bot was restarted in the middle of it.")}},
		{"cut short after something was dropped", Inconclusive, story{setup: setup(false, 2), releases: one, lasts: 3 * minute, meets: down, also: cut(restarted)}},
		{"begun late", Inconclusive, story{setup: setup(false, 2), releases: []fleet.Release{made(118, -5*time.Second)}}},
		{"begun too late for preboot", Inconclusive, story{setup: setup(true, 2), releases: []fleet.Release{made(118, -2*minute)}}},
		{"the probe stands still", Inconclusive, story{setup: setup(false, 2), releases: one, meets: during(90*time.Second, 92*time.Second, func(s *Sample) { s.Late = when(92 * time.Second).Sub(s.Due) })}},
		{"the probe stands still twice", Inconclusive, story{setup: setup(false, 2), releases: one, meets: all(
			during(90*time.Second, 92*time.Second, func(s *Sample) { s.Late = when(92 * time.Second).Sub(s.Due) }),
			during(100*time.Second, 101*time.Second, func(s *Sample) { s.Due = time.Time{} }))}},
		{"no network of one's own", Inconclusive, story{setup: setup(false, 2), releases: one, meets: during(90*time.Second, 93*time.Second, fails(Own, ""))}},
		{"no network for one request", Inconclusive, story{setup: setup(false, 2), releases: one, meets: during(90*time.Second, 90*time.Second+1, fails(Own, ""))}},
		{"too few", Inconclusive, story{rate: 1, setup: setup(false, 2), releases: one}},
		{"the new version is not seen", Inconclusive, story{setup: setup(true, 2), releases: one, meets: tells("v117", "v117", 0)}},
		{"the commit stays the same", Inconclusive, story{setup: setup(true, 2), releases: one, meets: tells("9fceb02", "9fceb02", 0)}},
		{"the old version stays", Inconclusive, story{setup: setup(false, 2), releases: one, meets: all(tells("v117", "v118", 70*time.Second), oneOf(7, func(s *Sample) { s.Version = "v117" }))}},
		{"visitors can't log in", Inconclusive, story{setup: setup(true, 2), releases: one, probe: visiting, visits: func(time.Duration) VisitResult { return Unbegun }}},
		{"no visitor came", Inconclusive, story{setup: setup(true, 2), releases: one, probe: visiting}},
		{"visitors get no page", Inconclusive, story{setup: setup(true, 2), releases: one, probe: visiting, visits: func(at time.Duration) VisitResult {
			if at > 4*minute && at < 4*minute+10*time.Second {
				return NoPage
			}
			return Kept
		}}},
		{"failing all the time", Inconclusive, story{setup: setup(false, 2), releases: []fleet.Release{made(118, 4*minute)}, meets: oneOf(50, fails(Server, ""))}},
		{"logins lost all the time", Inconclusive, story{setup: affinityOff, releases: []fleet.Release{made(118, 4*minute)}, probe: visiting, visits: func(at time.Duration) VisitResult {
			if at/(5*time.Second)%3 == 0 {
				return Lost
			}
			return Kept
		}}},
		{"it breaks afterwards", Inconclusive, story{setup: setup(false, 2), releases: one, meets: during(9*minute, 9*minute+2*time.Second, fails(Server, "H10"))}},
		{"switched meanwhile", Inconclusive, story{setup: setup(false, 2), releases: one, also: func(r *Recorder) {
			r.Event(Event{At: when(70 * time.Second), Kind: EventFeature, Text: "preboot was switched on"})
		}}},
	}
	var told strings.Builder
	for _, tt := range tests {
		w := tt.judged()
		if w.Verdict != tt.want {
			t.Errorf("%s: got %s, want %s\n%s", tt.name, w.Verdict, tt.want, toldOf(w))
		}
		fmt.Fprintf(&told, "# %s\n%s\n", tt.name, toldOf(w))
	}
	golden.Check(t, "testdata/verdicts.golden", told.String())
}

// TestVerdictsHold tells stories with anything wrong that there is, alone and together:
// only one with nothing wrong is proved, and only one in which something failed has failed.
func TestVerdictsHold(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 8))
		odds := []int{0, 8, 25}[rng.IntN(3)] // of each wrong thing, in a hundred
		var wrong []string
		is := func(what string) bool {
			if rng.IntN(100) >= odds {
				return false
			}
			wrong = append(wrong, what)
			return true
		}
		s := story{rate: 2 + rng.IntN(6), setup: setup(rng.IntN(2) == 0, 1+rng.IntN(4)), shuffle: rng}
		if rng.IntN(4) == 0 {
			s.setup = inSpace(1 + rng.IntN(9))
		}
		takes := HandOver(s.setup, Timing{})
		s.rate = max(s.rate, int(enough/takes.Seconds())+1)
		made := made(118, early+time.Duration(rng.IntN(120_000))*time.Millisecond)
		begins, ends := made.CreatedAt.Sub(when(0))-early, made.UpdatedAt.Sub(when(0))+takes
		within := func() time.Duration { // a moment of the hand-over
			return begins + time.Duration(rng.Int64N(int64(ends-begins-5*time.Second)))
		}
		status := "succeeded"
		if is("status") {
			status = []string{"pending", "failed", "expired", ""}[rng.IntN(4)]
		}
		made.Status = status
		if !is("no release") {
			s.releases = []fleet.Release{made}
		}
		if is("short") {
			s.lasts = begins + (ends-begins)/2
		}
		var met []func(time.Duration, *Sample)
		bad, lost := false, false
		if is("bad") {
			bad = true
			from := within()
			met = append(met, during(from, from+time.Duration(1+rng.IntN(9_000))*time.Millisecond+time.Second, fails([]Outcome{Connect, TLS, Timeout, Cutoff, Server, Status, Body}[rng.IntN(7)], []string{"", "H10", "H99"}[rng.IntN(3)])))
		}
		if is("own") {
			from := within()
			met = append(met, during(from, from+time.Second, fails(Own, "")))
		}
		if is("stall") {
			from, takes := within(), 2*time.Second
			met = append(met, during(from, from+takes, func(s *Sample) { s.Late = when(from+takes).Sub(s.Due) + time.Second }))
		}
		if is("unsent") {
			from := within()
			met = append(met, during(from, from+5*time.Second, func(s *Sample) { s.Due = time.Time{} }))
		}
		if is("maintenance") {
			from := within()
			met = append(met, during(from, from+time.Second, func(s *Sample) { s.Outcome, s.Page = Server, maintenancePage }))
		}
		s.also = func(*Recorder) {}
		if is("cut") {
			s.also = func(r *Recorder) { r.Cut("it was interrupted") }
		}
		if rng.IntN(2) == 0 {
			now := "v118"
			if is("version") {
				now = "v117"
			}
			met = append([]func(time.Duration, *Sample){tells("v117", now, begins+4*time.Second)}, met...)
		}
		if rng.IntN(2) == 0 {
			s.probe = func(p *policy.Probe) { p.Visitors = 2 }
			from, result := within(), Kept
			switch {
			case is("lost"):
				lost, result = true, Lost
			case is("no page"):
				result = NoPage
			}
			s.visits = func(at time.Duration) VisitResult {
				if at >= from && at < from+5*time.Second {
					return result
				}
				return Kept
			}
		}
		s.meets = all(met...)
		snapshot, end := s.snapshot()
		before := asJSON(t, snapshot)
		w := snapshot.Judge(end)
		story := fmt.Sprintf("seed %d, wrong: %v\n%s", seed, wrong, toldOf(w))

		if proved := w.Verdict == Proved; proved != (len(wrong) == 0) {
			t.Errorf("proved %v\n%s", proved, story)
		}
		if w.Verdict == Failed && w.In.Failed() == 0 && (w.Visits == nil || w.Visits.LostIn == 0) {
			t.Errorf("failed, and nothing did\n%s", story)
		}
		if (bad || lost) && !slices.Contains(wrong, "no release") && !slices.Contains(wrong, "maintenance") && !slices.Contains(wrong, "short") && w.Verdict != Failed && (w.In.Failed() > 0 || lost) {
			t.Errorf("something failed, and it is told as %s\n%s", w.Verdict, story)
		}
		if len(w.Reasons) == 0 || len(w.NotCovered) == 0 {
			t.Errorf("no reasons\n%s", story)
		}
		for _, r := range w.Reasons {
			if !strings.HasSuffix(r.Text, ".") || strings.Contains(r.Text, "%!") || r.To.Before(r.From) && !r.To.IsZero() {
				t.Errorf("reason %q from %v to %v\n%s", r.Text, r.From, r.To, story)
			}
		}
		if got := asJSON(t, snapshot); got != before {
			t.Errorf("judging changed what it judged\ngot  %s\nwant %s", got, before)
		}
		judged := asJSON(t, w)
		if got := asJSON(t, w.Judge(end.Add(time.Hour))); got != judged {
			t.Errorf("judged again\ngot  %s\nwant %s", got, judged)
		}
		var stored Watch
		if err := json.Unmarshal([]byte(before), &stored); err != nil {
			t.Fatal(err)
		}
		if got := asJSON(t, stored.Judge(end)); got != judged {
			t.Errorf("judged after it was stored\ngot  %s\nwant %s", got, judged)
		}
		s.shuffle = nil
		if again, _ := s.snapshot(); asJSON(t, again) != before {
			t.Errorf("in another order of answers\ngot  %s\nwant %s", asJSON(t, again), before)
		}
	}
}

func asJSON(t *testing.T, w Watch) string {
	t.Helper()
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestWindows draws releases and failures at any moment: what is counted of the hand-overs
// is right to the request.
func TestWindows(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 9))
		s := story{rate: 1 + rng.IntN(20), setup: setup(false, 2), lasts: 10 * minute}
		var spans []Span
		for v := range 1 + rng.IntN(4) {
			rel := made(118+v, time.Duration(rng.IntN(500))*time.Second)
			s.releases = append(s.releases, rel)
			spans = append(spans, Span{rel.CreatedAt.Add(-early), rel.UpdatedAt.Add(2 * minute)})
		}
		want, bad := 0, 0
		s.meets = func(since time.Duration, one *Sample) {
			in := slices.ContainsFunc(spans, func(s Span) bool { return s.Contains(one.Due) })
			if in {
				want++
			}
			if rng.IntN(30) == 0 {
				fails(Server, "H10")(one)
				if in {
					bad++
				}
			}
			one.Took = 1
		}
		w, _ := s.snapshot()
		if w.In.Due != want || w.In.Failed() != bad || w.In.Sent != want {
			t.Errorf("seed %d: in the windows %d due, %d sent, %d failed; want %d, %d, %d", seed, w.In.Due, w.In.Sent, w.In.Failed(), want, want, bad)
		}
		if got, want := w.Counts.Codes["H10"], w.Counts.Failed(); got != want {
			t.Errorf("seed %d: %d H10 of %d", seed, got, want)
		}
		sum := 0
		for _, e := range w.Episodes {
			sum += e.Failed()
		}
		if sum != w.Counts.Failed() {
			t.Errorf("seed %d: %d in episodes, of %d", seed, sum, w.Counts.Failed())
		}
	}
}

// TestSmallest looks for an outage of the length that every one is said to be seen of, at
// each moment of a watch: none may fall between two requests, however late they are sent.
func TestSmallest(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 10))
		rate := 1 + rng.IntN(20)
		interval := time.Second / time.Duration(rate)
		var sent []time.Duration
		s := story{rate: rate, setup: setup(false, 2), releases: []fleet.Release{made(118, 0)}, lasts: 3 * minute}
		late := seed%3 > 0 // in a third of them all is on time
		stall := seed%3 == 2
		stalled := time.Duration(rng.IntN(100_000)) * time.Millisecond
		s.meets = func(since time.Duration, one *Sample) {
			if late {
				one.Late = time.Duration(rng.Int64N(int64(interval) + 1))
			}
			if end := stalled + 3*interval + interval/2; stall && since >= stalled && since < end {
				switch seed % 2 {
				case 0:
					one.Late = max(end-since, one.Late)
				case 1:
					one.Outcome = Own
					return
				}
			}
			sent = append(sent, since+one.Late)
		}
		w := s.judged()
		if !stall && w.Smallest != 2*interval {
			t.Errorf("seed %d: smallest outage %v, want twice the interval of %v", seed, w.Smallest, interval)
		}
		if stall && w.Smallest > 7*interval {
			t.Errorf("seed %d: smallest outage %v; one interval is %v", seed, w.Smallest, interval)
		}
		slices.Sort(sent)
		next := 0
		for from := sent[0]; from+w.Smallest < sent[len(sent)-1]; from += time.Millisecond {
			for sent[next] < from {
				next++
			}
			if sent[next] >= from+w.Smallest {
				t.Fatalf("seed %d: an outage from %v of %v is between the requests of %v and %v", seed, from, w.Smallest, sent[next-1], sent[next])
			}
		}
	}
}

// TestUnheard: a count that lacks requests is no proof, whatever became of them.
func TestUnheard(t *testing.T) {
	for lacking, want := range map[int]Verdict{0: Proved, edges: Proved, edges + 1: Inconclusive, 100: Inconclusive} {
		w, end := story{setup: setup(true, 2), releases: []fleet.Release{made(118, minute)}}.snapshot()
		for _, n := range []*int{&w.In.Due, &w.In.Sent, &w.In.OK} {
			*n -= lacking
		}
		if w = w.Judge(end); w.Verdict != want {
			t.Errorf("without %d requests: got %s, want %s\n%v", lacking, w.Verdict, want, w.Reasons)
		}
	}
}

// A watch that somebody stopped says that it was stopped; one that was cut short otherwise
// says that instead, whoever wanted it stopped.
func TestStoppedBeforeARelease(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		by, cut, want string
	}{
		"stopped":           {"U0OTHER", "", "It was stopped before any release was made, so this says nothing of a deploy. 92 requests, none failed."},
		"ran to its end":    {"", "", "No release was made, so this says nothing of a deploy. 92 requests, none failed."},
		"stopped, then cut": {"U0OTHER", "the database was away", "No release was made"},
	} {
		t.Run(name, func(t *testing.T) {
			w := Watch{State: Running, Began: at, Until: at.Add(time.Minute), StopBy: tt.by, Cut: tt.cut, Counts: Counts{Due: 92, Sent: 92, OK: 92}}
			got := w.Judge(at.Add(23 * time.Second))
			if got.Verdict != Inconclusive || len(got.Reasons) == 0 || !strings.HasPrefix(got.Reasons[0].Text, tt.want) {
				t.Errorf("got %s because %v, want inconclusive because %q", got.Verdict, got.Reasons, tt.want)
			}
		})
	}
}
