package watch

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
)

// TestDoubts are deploys of which it looked as if they were proved, or had failed, and of
// which neither can be said.
func TestDoubts(t *testing.T) {
	v118 := []fleet.Release{made(118, minute)}
	late := []fleet.Release{made(118, -30*time.Second)}
	notFound := func(_ time.Duration, s *Sample) { s.Outcome, s.Status, s.Err = Status, 404, "404 Not Found" }
	for name, tt := range map[string]struct {
		story
		want Verdict
		says string
	}{
		"the clocks could not be compared": {story{setup: setup(true, 2), releases: v118, also: func(r *Recorder) { r.Adrift("Heroku did not answer") }}, Inconclusive, "clock could not be compared"},
		"the clocks were compared in the end": {story{setup: setup(true, 2), releases: v118, also: func(r *Recorder) {
			r.Adrift("Heroku did not answer")
			r.Adrift("")
		}}, Proved, "v118 was handed over"},
		"a page that was never there, begun late":       {story{setup: setup(true, 2), releases: late, meets: notFound}, Inconclusive, "from the first one on"},
		"a page that was never there, without preboot":  {story{setup: setup(false, 2), releases: late, meets: notFound}, Inconclusive, "from the first one on"},
		"a page that was never there, begun before":     {story{setup: setup(true, 2), releases: v118, meets: notFound}, Inconclusive, "It was failing before"},
		"a page that goes with the release, begun late": {story{setup: setup(true, 2), releases: late, meets: during(3*minute, 12*minute, func(s *Sample) { notFound(0, s) })}, Failed, "is not known"},
		"down from the first request on, begun late":    {story{setup: setup(false, 2), releases: late, meets: func(_ time.Duration, s *Sample) { fails(Server, "H10")(s) }}, Failed, "is not known"},
		"the app limits how often it is asked":          {story{setup: setup(true, 2), releases: v118, meets: during(2*minute, 3*minute, func(s *Sample) { s.Outcome, s.Status = Limited, 429 })}, Inconclusive, "429"},
		"the app limits, and drops something":           {story{setup: setup(true, 2), releases: v118, meets: all(during(2*minute, 3*minute, func(s *Sample) { s.Outcome, s.Status = Limited, 429 }), during(4*minute, 4*minute+time.Second, fails(Server, "H13")))}, Failed, "dropped 4 of"},
		"a cache answers":                               {story{setup: setup(true, 2), releases: v118, meets: during(2*minute, 3*minute, func(s *Sample) { s.Cached = true })}, Inconclusive, "cache"},
		"a cache answers before the release":            {story{setup: setup(true, 2), releases: v118, meets: during(0, 30*time.Second, func(s *Sample) { s.Cached = true })}, Proved, "v118 was handed over"},
		"an app that counts its own builds":             {story{setup: setup(true, 2), releases: v118, meets: tells("118", "118", 0)}, Inconclusive, "tells its version"},
		"redirects in a circle":                         {story{setup: setup(true, 2), releases: v118, meets: during(4*minute, 12*minute, func(s *Sample) { s.Outcome, s.Status = Circle, 302 })}, Failed, "redirected in a circle"},
		"preboot was switched on after the release": {story{setup: setup(true, 2), releases: []fleet.Release{made(118, -time.Minute)}, also: func(r *Recorder) {
			r.Event(Event{At: when(-30 * time.Second), Kind: EventFeature, Text: "preboot was switched on"})
		}}, Inconclusive, "preboot was switched on"},
	} {
		w := tt.judged()
		if w.Verdict != tt.want || !strings.Contains(toldOf(w), tt.says) {
			t.Errorf("%s: got\n%s, want %s: %s", name, toldOf(w), tt.want, tt.says)
		}
	}
}

// TestClockSetBack: what was due twice, because the clock was set back, and failed once, has
// failed.
func TestClockSetBack(t *testing.T) {
	for name, order := range map[string][]Outcome{"first": {Server, OK}, "last": {OK, Server}, "own": {Own, OK}, "bad before own": {Server, Own}} {
		r := story{setup: setup(false, 2)}.record()
		for _, o := range order {
			r.Sample(Sample{Due: when(10 * time.Second), Outcome: o})
		}
		w := r.Snapshot(when(time.Minute))
		if w.Counts.OK != 0 || w.Counts.Failed()+w.Counts.Own != 1 || order[0] == Server && w.Counts.Failed() != 1 {
			t.Errorf("%s: got %+v of %v", name, w.Counts, order)
		}
	}
}

// TestPhaseIsNotOverBefore: a release that was seen in its release phase was not handed over
// before that, whatever Heroku says of when it was updated.
func TestPhaseIsNotOverBefore(t *testing.T) {
	r := story{setup: setup(false, 2)}.record()
	rel := fleet.Release{Version: 118, Status: "pending", CreatedAt: when(minute), UpdatedAt: when(minute)}
	for at := time.Duration(0); at < 5*minute; at += time.Second {
		r.Sample(Sample{Due: when(at), Outcome: OK})
	}
	r.Release(rel)
	r.Snapshot(when(5 * minute))
	rel.Status = "succeeded" // and UpdatedAt is what it was
	r.Release(rel)
	if w := r.Snapshot(when(5*minute + 10*time.Second)); w.Window.To.Before(when(5*minute + HandOver(w.Setup, Timing{}) - time.Second)) {
		t.Errorf("got a window until %v, before the dynos that were begun after the release phase are there", w.Window.To)
	}
}

// TestSetupThatGrows: a space with more dynos takes longer to replace them.
func TestSetupThatGrows(t *testing.T) {
	first := inSpace(1)
	first.Failing = []string{checkWeb}
	r := story{setup: first}.record()
	r.Setup(inSpace(4))
	r.Release(made(118, minute))
	if w := r.Snapshot(when(minute)); w.Window.length() < HandOver(inSpace(4), Timing{}) {
		t.Errorf("got %v, want as long as four dynos take", w.Window.length())
	}
}

// TestStrayed: of an app that redirects to another host, nobody knows what that answers.
func TestStrayed(t *testing.T) {
	w := story{setup: setup(true, 2), releases: []fleet.Release{made(118, minute)}, meets: func(_ time.Duration, s *Sample) { s.Status, s.Strayed = 301, "www.example.com" }}.judged()
	if w.Verdict != Proved || !strings.Contains(strings.Join(w.NotCovered, " "), "What www.example.com answers") {
		t.Errorf("got %s, not covered %q", w.Verdict, w.NotCovered)
	}
}
