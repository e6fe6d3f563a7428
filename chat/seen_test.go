package chat

import (
	"fmt"
	"testing"
	"time"
)

func TestSeen(t *testing.T) {
	const ttl = 10 * time.Minute
	for _, c := range []struct {
		name  string
		do    func(s *seen, begin time.Time)
		ids   []string
		after time.Duration
		first bool
	}{
		{"new", func(*seen, time.Time) {}, []string{"E1"}, 0, true},
		{"without an id", func(s *seen, begin time.Time) { s.first(nil, begin) }, nil, 0, true},
		{"again", func(s *seen, begin time.Time) { s.first([]string{"E1"}, begin) }, []string{"E1"}, ttl - 1, false},
		{"too late", func(s *seen, begin time.Time) { s.first([]string{"E1"}, begin) }, []string{"E1"}, ttl, true},
		{"by its other id", func(s *seen, begin time.Time) { s.first([]string{"Ev1", "E1"}, begin) }, []string{"E2", "Ev1"}, time.Minute, false},
		{"by an id that its repeat brought", func(s *seen, begin time.Time) {
			s.first([]string{"Ev1", "E1"}, begin)
			s.first([]string{"Ev1", "E2"}, begin)
		}, []string{"E2"}, time.Minute, false},
		{"forgotten", func(s *seen, begin time.Time) {
			s.first([]string{"E1"}, begin)
			s.forget([]string{"E1"})
		}, []string{"E1"}, time.Minute, true},
		{"forgotten and noted again", func(s *seen, begin time.Time) {
			s.first([]string{"E1"}, begin)
			s.forget([]string{"E1"})
			s.first([]string{"E1"}, begin.Add(time.Minute))
		}, []string{"E1"}, ttl, false},
		{"too many", func(s *seen, begin time.Time) {
			s.first([]string{"E1"}, begin)
			for i := range seenMost {
				s.first([]string{fmt.Sprint(i)}, begin)
			}
		}, []string{"E1"}, 0, true},
		{"nearly too many", func(s *seen, begin time.Time) {
			s.first([]string{"E1"}, begin)
			for i := range seenMost - 2 {
				s.first([]string{fmt.Sprint(i)}, begin)
			}
			s.first([]string{"E1"}, begin)
		}, []string{"0"}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSeen(ttl)
			c.do(s, s.begun)
			if _, first := s.first(c.ids, s.begun.Add(c.after)); first != c.first {
				t.Errorf("got %v, want %v", first, c.first)
			}
			if len(s.all) > seenMost || len(s.order) > seenMost {
				t.Errorf("remembers %d ids, %d in order, want at most %d", len(s.all), len(s.order), seenMost)
			}
		})
	}
}

func TestARepeatIsAcknowledgedAsTheFirst(t *testing.T) {
	s := newSeen(time.Minute)
	refused, _ := s.first([]string{"E1"}, s.begun)
	refused.payload = "busy"
	s.settle([]string{"E1"}, refused)
	plain, _ := s.first([]string{"E2", "Ev2"}, s.begun)
	s.settle([]string{"E2", "Ev2"}, plain)
	for id, want := range map[string]any{"E1": "busy", "E2": nil, "Ev2": nil} {
		d, first := s.first([]string{id}, s.begun)
		if first {
			t.Errorf("%s is new", id)
		}
		if <-d.acked; d.payload != want || d.refused {
			t.Errorf("%s: got %v, want %v", id, d.payload, want)
		}
	}
}

func TestWhatWasSeenIsNotKept(t *testing.T) {
	s := newSeen(time.Minute)
	for i := range 100 {
		s.first([]string{fmt.Sprint(i), fmt.Sprint("Ev", i)}, s.begun)
	}
	s.first([]string{"late"}, s.begun.Add(time.Minute))
	if len(s.all) != 1 || len(s.order) != 1 {
		t.Errorf("remembers %d ids, %d in order, want 1", len(s.all), len(s.order))
	}
}
