package watch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// story is a watch as a test tells it. Times are since it began.
type story struct {
	rate     int           // 0: 4
	lasts    time.Duration // 0: as long as the recorder says, of ten minutes
	setup    Setup
	probe    func(*policy.Probe)
	releases []fleet.Release // CreatedAt and UpdatedAt by when
	meets    func(at time.Duration, s *Sample)
	visits   func(at time.Duration) VisitResult
	also     func(*Recorder)
	shuffle  *rand.Rand // nil: requests are heard of in the order in which they were due
}

// when is a moment of a story.
func when(since time.Duration) time.Time {
	return time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC).Add(since)
}

func setup(preboot bool, web int) Setup {
	return Setup{Preboot: fleet.Known(preboot), Affinity: fleet.Known(true), Web: fleet.Known(web), Size: "standard-1x", CheckedAt: when(0)}
}

func inSpace(web int) Setup {
	s := setup(false, web)
	s.InSpace = true
	return s
}

// made is a release that succeeded three seconds after it was made.
func made(version int, since time.Duration) fleet.Release {
	return fleet.Release{Version: version, Status: "succeeded", By: "ada@acme.example", CreatedAt: when(since), UpdatedAt: when(since + 3*time.Second)}
}

func (s story) record() *Recorder {
	p := policy.DefaultProbe()
	if s.rate > 0 {
		p.Rate = s.rate
	}
	if s.probe != nil {
		s.probe(&p)
	}
	return NewRecorder(Watch{App: "01234567-89ab-cdef-0123-456789abcdef", Name: "shop", Probe: p, State: Running, Asked: when(0), Began: when(0), Until: when(10 * time.Minute), Before: 117, Setup: s.setup})
}

// snapshot is the watch at its end, before the verdict, and when that was.
func (s story) snapshot() (Watch, time.Time) {
	r := s.record()
	for _, rel := range s.releases {
		r.Release(rel)
	}
	if s.also != nil {
		s.also(r)
	}
	end := s.lasts
	if end == 0 {
		end = r.Snapshot(when(0)).Until.Sub(when(0))
	}
	rate := time.Duration(r.w.Probe.Rate)
	var samples []Sample
	for n := time.Duration(0); n*time.Second/rate < end; n++ {
		one := Sample{Due: when(n * time.Second / rate), Took: 40 * time.Millisecond, Outcome: OK, Status: 200, Fresh: n%2 == 0}
		if s.meets != nil {
			s.meets(n*time.Second/rate, &one)
		}
		if one.Due.IsZero() {
			continue // it was never sent
		}
		samples = append(samples, one)
	}
	if s.shuffle != nil {
		s.shuffle.Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
	}
	for _, one := range samples {
		r.Sample(one)
	}
	for since := time.Second; s.visits != nil && since < end; since += 5 * time.Second {
		r.Visit(Visit{At: when(since), Result: s.visits(since)})
	}
	return r.Snapshot(when(end)), when(end)
}

func (s story) judged() Watch {
	w, end := s.snapshot()
	return w.Judge(end)
}

// during makes what is met between two moments.
func during(from, to time.Duration, meets func(*Sample)) func(time.Duration, *Sample) {
	return func(at time.Duration, s *Sample) {
		if at >= from && at < to {
			meets(s)
		}
	}
}

// all that any of them meets.
func all(meets ...func(time.Duration, *Sample)) func(time.Duration, *Sample) {
	return func(at time.Duration, s *Sample) {
		for _, m := range meets {
			m(at, s)
		}
	}
}

func fails(o Outcome, code string) func(*Sample) {
	return func(s *Sample) { s.Outcome, s.Code, s.Status, s.Err = o, code, 503, "503 Service Unavailable" }
}

// share is like meets for one of n requests.
func oneOf(n int, meets func(*Sample)) func(time.Duration, *Sample) {
	i := 0
	return func(_ time.Duration, s *Sample) {
		if i++; i%n == 0 {
			meets(s)
		}
	}
}

// tells has the app tell one version until a moment, and another one from then on.
func tells(old, now string, from time.Duration) func(time.Duration, *Sample) {
	return func(at time.Duration, s *Sample) {
		if s.Version = old; at >= from {
			s.Version = now
		}
	}
}

// told is a watch in words, as a golden holds it.
func toldOf(w Watch) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; smallest %v, bound %.4f; due %d sent %d own %d; in %d failed %d of %d\n", w.Verdict, w.Smallest, w.Bound, w.Counts.Due, w.Counts.Sent, w.Counts.Own, w.In.Sent, w.In.Failed(), w.Counts.Failed())
	for _, r := range w.Reasons {
		b.WriteString("  " + r.Text)
		if r.Check != "" {
			b.WriteString(" {" + r.Check + "}")
		}
		if !r.From.IsZero() || !r.To.IsZero() {
			b.WriteString(" [" + clock(r.From) + " to " + clock(r.To) + "]")
		}
		b.WriteString("\n")
	}
	for _, not := range w.NotCovered {
		if w.Verdict == Proved { // the others say the same
			b.WriteString("  not: " + not + "\n")
		}
	}
	return b.String()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Format("15:04:05.999")
}
