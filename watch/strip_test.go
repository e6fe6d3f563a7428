package watch

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
)

// drawn is a strip in one line: a sign a cell, and behind it what happened in it.
func drawn(cells []Cell) string {
	var b strings.Builder
	signs := map[Mark]string{MarkNone: "_", MarkGood: ".", MarkSlow: "~", MarkOwn: "?", MarkBad: "x", MarkDown: "X"}
	for _, c := range cells {
		b.WriteString(signs[c.Mark])
		if c.Release {
			b.WriteString("r")
		}
		if c.Switched {
			b.WriteString("s")
		}
	}
	return b.String()
}

func TestStrip(t *testing.T) {
	s := story{setup: setup(true, 2), releases: []fleet.Release{made(118, minute)}, meets: all(
		tells("v117", "v118", 4*minute),
		during(30*time.Second, 31*time.Second, func(s *Sample) { s.Took = 1200 * time.Millisecond }),
		during(2*minute, 2*minute+25*time.Second, fails(Server, "H10")),
		during(3*minute, 3*minute+10*time.Second, fails(Own, "")),
	)}
	for _, tt := range []struct {
		name  string
		now   time.Duration
		cells int
		want  string
	}{
		{"it has just begun", 250 * time.Millisecond, 6, "_____."},
		{"one minute", 59 * time.Second, 6, "...~.."},
		{"a release", 69 * time.Second, 6, "..~...r"},
		{"down", 150 * time.Second, 8, "....XXx_"},
		{"no network, and the switch", 249 * time.Second, 13, "XXx...?......s"},
	} {
		s := s
		s.lasts = tt.now
		w, now := s.snapshot()
		cells := w.Strip(tt.cells, now)
		if got := drawn(cells); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		if last := cells[len(cells)-1]; last.At.After(now) || last.At.Add(last.Lasts).Before(now) {
			t.Errorf("%s: the last cell is of %v, and it is %v", tt.name, last.At, now)
		}
	}

	w := s.judged() // ten minutes
	for n, want := range map[int]string{
		20:  ".~.r.x....s...........",
		7:   "~rx.s....",
		1:   "xrs",
		600: "",
	} {
		cells := w.Strip(n, when(24*time.Hour))
		if got := drawn(cells); want != "" && got != want {
			t.Errorf("all of it in %d: got %s, want %s", n, got, want)
		}
		if len(cells) > n {
			t.Errorf("all of it in %d: got %d cells", n, len(cells))
		}
		var due, bad, own int
		for i, c := range cells {
			due, bad, own = due+c.Due, bad+c.Bad, own+c.Own
			if i > 0 && !c.At.Equal(cells[i-1].At.Add(c.Lasts)) {
				t.Errorf("all of it in %d: cell %d begins at %v", n, i, c.At)
			}
		}
		if due != w.Counts.Due || bad != w.Counts.Failed() || own != w.Counts.Own {
			t.Errorf("all of it in %d: %d due, %d failed, %d own; want %d, %d, %d", n, due, bad, own, w.Counts.Due, w.Counts.Failed(), w.Counts.Own)
		}
	}
	if got := (Watch{}).Strip(5, when(0)); got != nil {
		t.Errorf("a watch that never began: got %v", got)
	}
}
