package chat

import (
	"sync"
	"time"
)

// seenMost bounds the ids of deliveries that are remembered here, at about 120 bytes each;
// the oldest go first.
const seenMost = 8192

// delivery is one thing that Slack told, however often it does. Its acknowledgement
// is the same each time.
type delivery struct {
	acked   chan struct{} // closed once it is known how to acknowledge
	payload any           // of the acknowledgement
	refused bool          // don't acknowledge: Slack shall deliver it again
}

// seen remembers deliveries in memory, for this program alone, and no longer than Slack may
// tell them again.
type seen struct {
	ttl   time.Duration
	begun time.Time
	plain *delivery // each one that was acknowledged without a payload, as nearly all are

	mu    sync.Mutex
	all   map[string]sighting
	order []noted // oldest first; what was forgotten may still be in it
}

// sighting is when a delivery was first seen, since the beginning.
type sighting struct {
	*delivery
	at time.Duration
}

type noted struct {
	id string
	at time.Duration
}

func newSeen(ttl time.Duration) *seen {
	s := &seen{ttl: ttl, begun: time.Now(), plain: &delivery{acked: make(chan struct{})}, all: map[string]sighting{}}
	close(s.plain.acked)
	return s
}

// first notes a delivery under all its ids, and reports whether none of them had been
// seen. If one had, it returns what was noted then.
func (s *seen) first(ids []string, now time.Time) (*delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &delivery{acked: make(chan struct{})}
	at := now.Sub(s.begun)
	s.expire(at)
	known := false
	for _, id := range ids {
		if old, ok := s.all[id]; ok {
			d, known = old.delivery, true
			break
		}
	}
	for _, id := range ids {
		if _, ok := s.all[id]; !ok {
			s.all[id] = sighting{d, at}
			s.order = append(s.order, noted{id, at})
		}
	}
	return d, !known
}

// expire forgets what is too old, or too much once a delivery is added.
func (s *seen) expire(at time.Duration) {
	for len(s.order) > 0 && (at-s.order[0].at >= s.ttl || len(s.order) >= seenMost) {
		if oldest := s.order[0]; s.all[oldest.id].at == oldest.at { // it can have been forgotten, and noted again since
			delete(s.all, oldest.id)
		}
		s.order[0] = noted{} // its text is not kept for the sake of the others
		s.order = s.order[1:]
	}
}

// settle lets repeats of a delivery be acknowledged, as it says by now. Nothing of its own
// is kept of one without a payload.
func (s *seen) settle(ids []string, d *delivery) {
	close(d.acked)
	if d.payload != nil || d.refused {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if old := s.all[id]; old.delivery == d {
			s.all[id] = sighting{s.plain, old.at}
		}
	}
}

// forget lets a delivery come again.
func (s *seen) forget(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.all, id)
	}
}

// once runs things at most once under a key, such as a line in the log about a
// server's missing feature.
type once struct {
	mu   sync.Mutex
	done map[string]bool
}

// onceMost bounds the keys, some of which a server makes up.
const onceMost = 200

func (o *once) do(key string, f func()) {
	o.mu.Lock()
	if o.done == nil {
		o.done = map[string]bool{}
	}
	again := o.done[key] || len(o.done) >= onceMost
	if !again {
		o.done[key] = true
	}
	o.mu.Unlock()
	if !again {
		f()
	}
}
