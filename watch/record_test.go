package watch

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

func TestHandOver(t *testing.T) {
	unknown := Setup{Web: fleet.Known(2)}
	for _, tt := range []struct {
		name  string
		setup Setup
		want  time.Duration
	}{
		{"preboot", setup(true, 2), 5*time.Minute + 53*time.Second},
		{"without preboot", setup(false, 2), 2 * time.Minute},
		{"unknown", unknown, 5*time.Minute + 53*time.Second},
		{"a space, one dyno", inSpace(1), 75*time.Second + 45*time.Second},
		{"a space, four", inSpace(4), 4*75*time.Second + 45*time.Second},
		{"a space, seven", inSpace(7), 7*75*time.Second + 45*time.Second},
		{"a space, eight", inSpace(8), 4*75*time.Second + 45*time.Second},
		{"a space, a hundred", inSpace(100), 4*75*time.Second + 45*time.Second},
	} {
		if got := HandOver(tt.setup, Timing{}); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := HandOver(setup(true, 2), Timing{Preboot: time.Second, Drain: time.Second, Margin: time.Second}); got != 3*time.Second {
		t.Errorf("scaled: got %v, want 3s", got)
	}
}

// TestReleasePhase: dynos are replaced only when the release phase is over, however long
// that takes.
func TestReleasePhase(t *testing.T) {
	r := story{setup: setup(false, 2)}.record()
	rel := fleet.Release{Version: 118, Status: "pending", CreatedAt: when(minute)}
	window := func(now, to, until time.Duration) {
		t.Helper()
		w := r.Snapshot(when(now))
		if want := (Span{when(minute - time.Second), when(to)}); w.Window != want || !slices.Equal(w.Windows, []Span{want}) || !w.Until.Equal(when(until)) {
			t.Errorf("after %v: got %v of %v until %v, want %v until %v", now, w.Window, w.Windows, w.Until, want, when(until))
		}
	}
	r.Release(rel)
	window(70*time.Second, 190*time.Second, 10*minute)
	window(9*minute, 11*minute, 11*minute+7*time.Second) // a migration takes its time
	window(59*minute, 61*minute, time.Hour)              // but not for ever

	rel.Status, rel.UpdatedAt = "succeeded", when(9*minute)
	r.Release(rel)
	window(9*minute+5*time.Second, 11*minute, 11*minute+7*time.Second)
	rel.UpdatedAt = when(20 * minute) // something else of it has changed
	r.Release(rel)
	window(21*minute, 11*minute, 11*minute+7*time.Second)

	r = story{setup: setup(false, 2)}.record()
	rel.Status, rel.UpdatedAt = "pending", time.Time{}
	r.Release(rel)
	rel.Status = "succeeded"
	r.Release(rel)
	window(3*minute, 5*minute, 10*minute) // Heroku does not tell when: since it was seen
	window(4*minute, 5*minute, 10*minute)
}

// TestSetups: a hand-over may go by the rules that were there before, or after.
func TestSetups(t *testing.T) {
	for _, tt := range []struct {
		name   string
		setups []Setup
		want   time.Duration
	}{
		{"unknown, then read", []Setup{{}, setup(false, 2)}, 2 * minute},
		{"preboot switched on", []Setup{setup(false, 2), setup(true, 2)}, 5*minute + 53*time.Second},
		{"preboot switched off", []Setup{setup(true, 2), setup(false, 2)}, 5*minute + 53*time.Second},
		{"then not to be read", []Setup{setup(false, 2), {}}, 5*minute + 53*time.Second},
	} {
		r := story{setup: tt.setups[0]}.record()
		for _, s := range tt.setups[1:] {
			r.Setup(s)
		}
		r.Release(fleet.Release{Version: 118, Status: "succeeded", CreatedAt: when(minute)})
		w := r.Snapshot(when(minute))
		if got := w.Window.To.Sub(w.Release.CreatedAt); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if last := tt.setups[len(tt.setups)-1]; !reflect.DeepEqual(w.Setup, last) {
			t.Errorf("%s: got %v, want the last one, %v", tt.name, w.Setup, last)
		}
	}
}

func TestEvents(t *testing.T) {
	r := story{setup: setup(true, 2)}.record()
	rel := made(118, minute)
	rel.Status, rel.UpdatedAt = "pending", time.Time{}
	r.Release(rel)
	r.Release(rel)
	r.Event(Event{At: when(minute), Kind: EventRelease, Text: "v118 was released"}) // told already
	r.Event(Event{At: when(90 * time.Second), Kind: EventDyno, Text: "web.1 of v118 is up"})
	r.Event(Event{At: when(70 * time.Second), Kind: EventDyno, Text: "web.1 of v118 is starting"})
	r.Event(Event{At: when(100 * time.Second), Kind: EventDyno, Text: "web.1 of v118 is up"}) // as it was
	r.Event(Event{At: when(100 * time.Second), Kind: EventFormation, Text: "web 2 → 3"})
	r.Event(Event{At: when(0), Kind: EventProbe, Text: "begun"})
	rel = made(118, minute)
	r.Release(rel)
	r.Release(rel)
	for n := range 8 {
		r.Sample(Sample{Due: when(time.Duration(n) * 20 * time.Second), Outcome: OK, Version: []string{"v117", "v118"}[n/6]})
	}
	var got []string
	for _, e := range r.Snapshot(when(3 * minute)).Events {
		got = append(got, fmt.Sprintf("%v %s %s", e.At.Sub(when(0)), e.Kind, e.Text))
	}
	want := []string{
		"0s probe begun",
		"1m0s release release v118 by ada@acme.example",
		"1m3s release v118 succeeded",
		"1m10s dyno web.1 of v118 is starting",
		"1m30s dyno web.1 of v118 is up",
		"1m40s formation web 2 → 3",
		"2m0s version v118 answered for the first time",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}

	for n := range 500 {
		r.Event(Event{At: when(time.Duration(n) * time.Second), Kind: EventDyno, Text: fmt.Sprintf("web.%d of v118 is up", n)})
	}
	r.Event(Event{At: when(5 * minute), Kind: EventMaintenance, Text: "maintenance mode was switched on"})
	w := r.Snapshot(when(10 * minute))
	if n := len(w.Events); n > mostEvents+1 { // and the switch
		t.Errorf("%d events are kept", n)
	}
	if !slices.ContainsFunc(w.Events, func(e Event) bool { return e.Kind == EventMaintenance }) || len(w.Trouble) != 1 {
		t.Errorf("a crowd of dynos hides what matters: %v, trouble %q", w.Events, w.Trouble)
	}
}

// TestSwitch is about what an app tells of its version.
func TestSwitch(t *testing.T) {
	for _, tt := range []struct {
		name     string
		releases []fleet.Release
		meets    func(time.Duration, *Sample)
		from     time.Duration // of the switch; 0: not seen
		old      time.Duration
	}{
		{"a number", []fleet.Release{made(118, minute)}, tells("v117", "v118", 4*minute), 4 * minute, 4*minute - time.Second/4},
		{"a bare number", []fleet.Release{made(118, minute)}, tells("117", "118", 4*minute), 4 * minute, 4*minute - time.Second/4},
		{"a number that stays", []fleet.Release{made(118, minute)}, tells("v117", "v117", 0), 0, 0},
		{"a number of its own counting", []fleet.Release{made(118, minute)}, tells("41", "42", 4*minute), 4 * minute, 4*minute - time.Second/4},
		{"a commit", []fleet.Release{made(118, minute)}, tells("9fceb02", "1a2b3c4", 4*minute), 4 * minute, 4*minute - time.Second/4},
		{"a commit that stays", []fleet.Release{made(118, minute)}, tells("9fceb02", "9fceb02", 0), 0, 0},
		{"another commit, before the release", []fleet.Release{made(118, 5*minute)}, tells("9fceb02", "1a2b3c4", 4*minute), 0, 0},
		{"told only since the release", []fleet.Release{made(118, minute)}, tells("", "1a2b3c4", 4*minute), 4 * minute, 0},
		{"one commit of two releases", []fleet.Release{made(118, minute), made(119, 2*minute)}, tells("9fceb02", "1a2b3c4", 4*minute), 0, 0},
		{"the second of two releases", []fleet.Release{made(118, minute), made(119, 2*minute)}, all(tells("9fceb02", "1a2b3c4", 4*minute), during(5*minute, time.Hour, func(s *Sample) { s.Version = "5d6e7f8" })), 5 * minute, 5*minute - time.Second/4},
		{"begun late, and told since", []fleet.Release{made(118, -minute)}, tells("1a2b3c4", "1a2b3c4", 0), 0, 0},
		{"one that never ends", []fleet.Release{made(118, minute)}, func(at time.Duration, s *Sample) { s.Version = at.String() }, 0, 0},
		{"no release", nil, tells("v117", "v118", 4*minute), 0, 0},
	} {
		w, _ := story{setup: setup(true, 2), releases: tt.releases, meets: tt.meets}.snapshot()
		var from, old time.Duration
		if !w.Switch.IsZero() {
			from = w.Switch.Sub(when(0))
		}
		if !w.Old.IsZero() {
			old = w.Old.Sub(when(0))
		}
		if from != tt.from || old != tt.old {
			t.Errorf("%s: switch %v, the old one until %v; want %v, %v", tt.name, from, old, tt.from, tt.old)
		}
	}
}

// TestPending: what may still be answered is not counted as unheard of, and what must have
// been is.
func TestPending(t *testing.T) {
	r := story{setup: setup(false, 2)}.record()
	for n := range 40 { // ten seconds
		r.Sample(Sample{Due: when(time.Duration(n) * time.Second / 4), Outcome: OK})
	}
	for _, tt := range []struct {
		now    time.Duration
		due    int
		stalls []Span
	}{
		{12 * time.Second, 40, nil},
		{16*time.Second - 1, 40, nil}, // the time-out is 5 s, and one for reading the answer
		{16 * time.Second, 41, []Span{{when(10 * time.Second), when(10250 * time.Millisecond)}}},
		{26 * time.Second, 81, []Span{{when(10 * time.Second), when(20250 * time.Millisecond)}}},
	} {
		w := r.Snapshot(when(tt.now))
		if w.Counts.Due != tt.due || w.Counts.Sent != 40 || !slices.Equal(w.Stalls, tt.stalls) {
			t.Errorf("after %v: %d due, %d sent, stalls %v; want %d, 40, %v", tt.now, w.Counts.Due, w.Counts.Sent, w.Stalls, tt.due, tt.stalls)
		}
	}
	if w := (story{}.record()).Snapshot(when(minute)); w.Counts.Due != 217 || w.Counts.Sent != 0 {
		t.Errorf("nothing at all after a minute: %d due, %d sent; want 217, 0", w.Counts.Due, w.Counts.Sent)
	}
}

// TestSampleBeforeTheOthers: answers come in any order, and the probe's clock may be a
// little ahead of the watch's.
func TestSampleBeforeTheOthers(t *testing.T) {
	r := story{setup: setup(false, 2)}.record()
	for _, due := range []time.Duration{5 * time.Second, 4750 * time.Millisecond, -100*time.Millisecond - 150*time.Millisecond, 0} {
		r.Sample(Sample{Due: when(due), Outcome: Server, Err: due.String()})
	}
	w := r.Snapshot(when(5 * time.Second))
	var why []string
	for _, e := range w.Episodes {
		why = append(why, e.Why)
	}
	if w.Counts.Due != 4 || w.Counts.Failed() != 4 || !w.Began.Equal(when(-250*time.Millisecond)) || !slices.Equal(why, []string{"-250ms"}) {
		t.Errorf("got %d due, %d failed, begun at %v, for %q", w.Counts.Due, w.Counts.Failed(), w.Began, why)
	}
}

func TestEpisodes(t *testing.T) {
	w, _ := story{setup: setup(false, 2), meets: all(
		during(10*time.Second, 12*time.Second, fails(Server, "H10")),
		during(16*time.Second, 16*time.Second+1, fails(Connect, "")),  // 4.25 s after the last one
		during(30*time.Second, 30*time.Second+1, fails(Timeout, ""))), // and this is another one
	}.snapshot()
	want := []Episode{
		{From: when(10 * time.Second), To: when(16 * time.Second), Bad: map[Outcome]int{Server: 8, Connect: 1}, Codes: map[string]int{"H10": 8}, OK: 16, Why: "503 Service Unavailable"},
		{From: when(30 * time.Second), To: when(30 * time.Second), Bad: map[Outcome]int{Timeout: 1}, Why: "503 Service Unavailable"},
	}
	if !reflect.DeepEqual(w.Episodes, want) {
		t.Errorf("got  %+v\nwant %+v", w.Episodes, want)
	}
}

func TestLatency(t *testing.T) {
	n := 0
	w, _ := story{lasts: 25 * time.Second, meets: func(_ time.Duration, s *Sample) {
		n++ // 1 to 100
		s.Took, s.Late = time.Duration(n)*time.Millisecond, time.Duration(n)*time.Microsecond
	}}.snapshot()
	want := Latency{P50: 50 * time.Millisecond, P95: 95 * time.Millisecond, P99: 99 * time.Millisecond, Max: 100 * time.Millisecond, Delay99: 99 * time.Microsecond}
	if w.Latency != want {
		t.Errorf("got %v, want %v", w.Latency, want)
	}
}

// TestLittleRoom: the longest watch at the highest rate, with everything failing.
func TestLittleRoom(t *testing.T) {
	s := story{rate: 20, lasts: time.Hour, probe: func(p *policy.Probe) { p.Visitors = 20 }, releases: []fleet.Release{made(118, minute)}, meets: func(_ time.Duration, s *Sample) { fails(Server, "H10")(s) }}
	w, end := s.snapshot()
	if w.Counts.Failed() != 72_000 || len(w.Seconds) != 3600 || len(w.Episodes) != 1 {
		t.Errorf("%d failed in %d seconds and %d episodes, want 72000 in 3600 and 1", w.Counts.Failed(), len(w.Seconds), len(w.Episodes))
	}
	if n := len(asJSON(t, w.Judge(end))); n > 400_000 {
		t.Errorf("as JSON it takes %d bytes", n)
	}
	if size := unsafe.Sizeof(heard{}); size > 12 {
		t.Errorf("a request takes %d bytes, which is %d for the watch", size, size*72_000)
	}
}

// TestAtOnce is for the race detector.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := story{setup: setup(true, 2)}.record()
		var wg sync.WaitGroup
		for n := range 40 {
			wg.Go(func() {
				time.Sleep(time.Duration(n%7) * time.Second)
				r.Sample(Sample{Due: when(time.Duration(n) * time.Second / 4), Outcome: Server, Code: "H10", Version: "v118"})
				r.Release(made(118+n%3, minute))
				r.Visit(Visit{At: when(0), Result: Kept})
				r.Event(Event{At: when(time.Duration(n) * time.Second), Kind: EventDyno, Text: "web.1 is up"})
				r.Setup(setup(n%2 == 0, 2))
				r.Trouble("It was dark.")
				w := r.Snapshot(when(minute))
				for i := range w.Episodes { // what is told is the reader's own
					w.Episodes[i].Bad[OK] = 1
				}
			})
		}
		wg.Wait()
		if w := r.Snapshot(when(minute)); w.Counts.Failed() != 40 || w.Visits.Visits != 40 || len(w.Releases) != 3 || len(w.Episodes) != 1 || len(w.Episodes[0].Bad) != 1 {
			t.Errorf("got %d failed, %d visits, releases %v, episodes %v", w.Counts.Failed(), w.Visits.Visits, w.Releases, w.Episodes)
		}
	})
}
