package chat

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/sim/slack"
)

func TestWhatIsStoredOfARequest(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops what about shop?")
		s.do("type requester thread last @zdd enable shop")
		s.want(time.Second, "ephemeral→requester: shop enable")
		if len(s.memory.requests) != 1 {
			t.Fatalf("stored %d requests, want 1", len(s.memory.requests))
		}
		for id, r := range s.memory.requests {
			if r.ID != id || r.Kind != "events_api" || r.Line != "enable shop" || r.Via != "mention" || r.User != "U0REQUESTER" || r.Team != "T0ACME" ||
				r.Channel != "C0OPS" || r.Thread == "" || r.At.IsZero() {
				t.Errorf("got %+v", r)
			}
			if got := s.grammar.origins; len(got) != 1 || got[0] != id {
				t.Errorf("origins: got %q, want %q", got, id)
			}
		}
	})
}

func TestACrashBetweenAcceptAndPerform(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.queue.handlers[WorkCommand] = nil // the program dies before the queue gets to it
		s.memory.set(func(m *memory) { m.slow = time.Second })
		s.do("type requester #ops /zdd enable shop")
		time.Sleep(10 * time.Millisecond) // it has arrived
		s.cancel()                        // while it is stored
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		if got := s.grammar.runs(); len(got) > 0 {
			t.Fatalf("ran %q too early", got)
		}
		s.memory.set(func(m *memory) { m.slow = 0 })
		s.start()
		s.want(time.Minute, "ephemeral→requester: shop enable")
		if got := s.grammar.runs(); len(got) != 1 {
			t.Errorf("ran %q, want once", got)
		}
	})
}

func TestACrashBetweenTheCommandAndItsAnswer(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		crashes := 0
		s.queue.crash = func(j *held) bool { crashes++; return crashes == 1 }
		s.do("type requester #ops /zdd enable shop")
		s.want(2*time.Minute, "ephemeral→requester: shop enable")
		if got := s.grammar.origins; len(got) != 2 || got[0] != got[1] || got[0] == "" {
			t.Errorf("got origins %q, want the same one twice", got)
		}
	})
}

func TestAPersonIsCheckedAgainBeforeTheirRequestIsCarriedOut(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.memory.set(func(m *memory) { m.slow = time.Second })
		s.do("type requester #ops /zdd enable shop")
		s.cancel()
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.memory.set(func(m *memory) { m.slow = 0 })
		s.do("user guest requester")
		s.start()
		s.want(time.Minute, "ephemeral→requester: Refused: guest.")
	})
}

func TestARequestThatWasRefusedIsNotCarriedOutThoughItWasKept(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.memory.set(func(m *memory) { m.lie = true })
		s.do("type requester #ops /zdd enable shop")
		s.want(time.Second, "ephemeral→requester: Not accepted:")
		s.memory.set(func(m *memory) { m.lie = false })
		s.want(time.Hour)
		if got := s.grammar.runs(); len(got) > 0 {
			t.Errorf("ran %q", got)
		}
		s.wantLog("a request is left alone", 1)
	})
}

func TestTroubleWithARequestIsTriedAgainAndThenSaid(t *testing.T) {
	tests := map[string]struct {
		do      string
		trouble int
		line    string
		want    string
		runs    int
	}{
		"slack is away for a moment":    {do: "fault next 6 users.info 503", line: "enable shop", want: "ephemeral→requester: shop enable", runs: 1},
		"slack is away for long":        {do: "fault users.info 503", line: "enable shop", want: "ephemeral→requester: I can't check who you are", runs: 0},
		"slack does not know them":      {do: "fault users.info user_not_found", line: "enable shop", want: "ephemeral→requester: Slack does not show me who you are", runs: 0},
		"the command fails three times": {trouble: 3, line: "flop shop", want: "ephemeral→requester: shop flop", runs: 4},
		"the command keeps failing":     {trouble: 99, line: "flop shop", want: "ephemeral→requester: Something went wrong on my side. I can't say whether it took effect", runs: 7},
		"the command panics":            {line: "explode", want: "ephemeral→requester: Something went wrong on my side.", runs: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				s.grammar.trouble = tt.trouble
				if tt.do != "" {
					s.do(tt.do)
				}
				s.do("type requester #ops /zdd " + tt.line)
				s.want(5*time.Minute, tt.want)
				if got := s.grammar.runs(); len(got) != tt.runs {
					t.Errorf("ran %d times, want %d", len(got), tt.runs)
				}
				for _, job := range s.memory.jobs {
					if !job.done || strings.Contains(job.last, "CANARY") {
						t.Errorf("job %+v", *job)
					}
				}
			})
		})
	}
}

func TestWhatIsTooOldIsLeftAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		away time.Duration
		want string
		runs int
	}{
		"a restart":    {away: 14 * time.Minute, want: "ephemeral→requester: shop enable", runs: 1},
		"half an hour": {away: 16 * time.Minute, want: "ephemeral→requester: You asked for `enable shop`", runs: 0},
		"a weekend":    {away: 60 * time.Hour, want: "ephemeral→requester: You asked for `enable shop`", runs: 0},
	} {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				s.memory.set(func(m *memory) { m.slow = time.Second })
				s.do("type requester #ops /zdd enable shop")
				time.Sleep(10 * time.Millisecond) // it has arrived
				s.cancel()
				if err := s.stop(); err != nil {
					t.Fatal(err)
				}
				s.memory.set(func(m *memory) { m.slow = 0 })
				time.Sleep(tt.away)
				s.start()
				s.want(time.Minute, tt.want)
				if got := s.grammar.runs(); len(got) != tt.runs {
					t.Errorf("ran %q, want %d", got, tt.runs)
				}
			})
		})
	}
}

func TestTheDatabaseGoesBetweenAcceptAndPerform(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.grammar.trouble = 1
		s.do("fault next 1 users.info slow 1s")
		s.do("type requester #ops /zdd flop shop")
		s.memory.set(func(m *memory) { m.gone = errors.New("gone") })
		s.want(10 * time.Minute)
		s.memory.set(func(m *memory) { m.gone = nil })
		s.want(10*time.Minute, "ephemeral→requester: shop flop")
	})
}

func TestNothingIsAcceptedWithoutAStore(t *testing.T) {
	playStory(t, slack.Options{}, func(c *Config) { c.Requests = nil }, func(s *stage) {
		s.do("type requester #ops /zdd enable shop")
		s.want(time.Second, "ephemeral→requester: Not accepted:")
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		if got := s.grammar.runs(); slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "enable") }) {
			t.Errorf("ran %q", got)
		}
	})
}

func TestAPressOnAPublicMessageLeavesItAlone(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd status shop buttons public")
		s.want(time.Second, "post→#ops: shop status")
		s.do("click approver Approve")
		s.want(time.Second, "ephemeral→approver: T-1 approve")
	})
}
