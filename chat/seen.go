package chat

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// seenMost bounds the deliveries that are remembered here; the oldest go first.
const seenMost = 8192

// delivery is one thing that Slack told, however often it does. Its acknowledgement
// is the same each time.
type delivery struct {
	at      time.Time
	acked   chan struct{} // closed once it is known how to acknowledge
	payload any           // of the acknowledgement
	refused bool          // don't acknowledge: Slack shall deliver it again
}

// seen remembers deliveries in memory, for this program alone.
type seen struct {
	ttl time.Duration
	mu  sync.Mutex
	all *lru.Cache[string, *delivery]
}

func newSeen(ttl time.Duration) *seen {
	all, err := lru.New[string, *delivery](seenMost)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &seen{ttl: ttl, all: all}
}

// first notes a delivery under all its ids, and reports whether none of them had been
// seen. If one had, it returns what was noted then.
func (s *seen) first(ids []string, now time.Time) (*delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &delivery{at: now, acked: make(chan struct{})}
	known := false
	for _, id := range ids {
		if old, ok := s.all.Get(id); ok && now.Sub(old.at) < s.ttl {
			d, known = old, true
			break
		}
	}
	for _, id := range ids {
		s.all.Add(id, d)
	}
	return d, !known
}

// forget lets a delivery come again.
func (s *seen) forget(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.all.Remove(id)
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
