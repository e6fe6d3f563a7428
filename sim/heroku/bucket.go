package heroku

import "time"

// Heroku gives each account 4,500 calls an hour: a bucket of that size that
// fills at about 75 a minute (Dev Center, "Rate Limits").
const (
	bucketSize      = 4500
	bucketPerMinute = 75
)

type bucket struct {
	tokens float64
	at     time.Time
}

func (s *Server) bucketOf(a Account, now time.Time) *bucket {
	if s.buckets[a.ID] == nil {
		s.buckets[a.ID] = &bucket{tokens: bucketSize, at: now}
	}
	return s.buckets[a.ID]
}

func (b *bucket) fill(now time.Time) {
	b.tokens = min(bucketSize, b.tokens+now.Sub(b.at).Minutes()*bucketPerMinute)
	b.at = now
}

func (b *bucket) take(now time.Time) bool {
	b.fill(now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (b *bucket) remaining(now time.Time) int {
	b.fill(now)
	return int(b.tokens)
}
