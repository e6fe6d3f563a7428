package watch

import (
	"sync"
	"time"
)

// standstill knows when this process stood still: the machine slept or was moved, or had no
// time for it. An answer that came meanwhile was there in time, and is found too late.
type standstill struct {
	mu    sync.Mutex
	last  time.Time // when whoever sends requests was awake last
	until time.Time // when it last woke up late; zero: it never did
	over  bool      // it sends no more
}

// awake notes that what was due is done now, as late as that says.
func (s *standstill) awake(now time.Time, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	if late {
		s.until = now
	}
}

// end notes that nobody notes any more.
func (s *standstill) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// during says whether the process stood still at some time from then to now. Right after
// it, whoever sends may not have been awake yet: within is how long they sleep at the most.
func (s *standstill) during(since, now time.Time, within time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until.After(since) || !s.over && !s.last.IsZero() && now.Sub(s.last) > within || stepped(now, since).Abs() > clockStep
}
