package chat

import (
	"testing"
	"time"

	"example.com/zdd/sim/slack"
)

func TestLinks(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		want := func(up int) {
			t.Helper()
			if got, of := s.bot.Links(); got != up || of != 2 {
				t.Errorf("got %d of %d links, want %d of 2", got, of, up)
			}
		}
		want(2)
		s.do("fault apps.connections.open 503")
		s.do("disconnect drop")
		time.Sleep(time.Second)
		want(0)
		s.do("faults clear")
		time.Sleep(2 * time.Minute)
		want(2)
	})
}
