package chat

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/sim/slack"
)

func TestSharingWithAnotherCompanyIsAskedFirst(t *testing.T) {
	tests := map[string]struct {
		channel, do, asked string
	}{
		"shared":            {"#partners", "", "ephemeral→requester: #partners is shared with another company: its people would read this answer"},
		"no scope":          {"#ops", "scope remove channels:read", "ephemeral→requester: I could not find out whether #ops is shared with another company, whose people would read this answer: my Slack app lacks a scope for that (`channels:read`"},
		"no method":         {"#ops", "method off conversations.info", "ephemeral→requester: I could not find out whether #ops is shared with another company, whose people would read this answer: Slack did not tell me."},
		"Slack away":        {"#ops", "fault conversations.info 503", "ephemeral→requester: I could not find out"},
		"private, not in":   {"#board", "", "ephemeral→requester: I could not find out whether #board is shared with another company, whose people would read this answer: it is private and I am not in it."},
		"not shared":        {"#ops", "", ""},
		"private, unshared": {"#finance", "", ""},
		"direct message":    {"dm", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				line := "/zdd status shop"
				if tt.channel == "dm" {
					line = "status shop"
				}
				s.do("type requester " + tt.channel + " " + line)
				time.Sleep(time.Second)
				s.saw()
				if tt.do != "" {
					s.do(tt.do)
				}
				shown := "post→" + tt.channel + ": shop status"
				if tt.channel == "dm" {
					shown = "dm→requester: shop status"
				}
				s.do("click requester Share to channel")
				if tt.asked == "" {
					s.want(10*time.Second, shown)
					return
				}
				s.want(10*time.Second, tt.asked)
				if got := len(s.grammar.runs()); got != 1 {
					t.Errorf("ran %d lines, want one before the answer", got)
				}
				s.do("click requester Share anyway")
				s.want(10*time.Second, shown)
			})
		})
	}
}

func TestASecondWordCountsForItsChannelOnly(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		press := func(id, channel string) {
			s.do(`send-raw {"type":"interactive","envelope_id":"` + id + `","payload":{"type":"block_actions","user":{"id":"U0REQUESTER","team_id":"T0ACME"},"channel":{"id":"` + channel + `"},"actions":[{"action_id":"share:0","value":"{\"share\":\"status shop\",\"in\":\"C0OPS\"}"}]}}`)
		}
		press("E1", "C0PARTNERS")
		s.want(time.Second, "ephemeral→requester: #partners is shared with another company")
		press("E2", "C0OPS")
		s.want(time.Second, "post→#ops: shop status")
	})
}

func TestAStrangerIsRefusedAndNotAskedWhetherToShare(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #partners /zdd status shop")
		time.Sleep(time.Second)
		s.saw()
		s.do("click requester Share to channel")
		s.do("click requester Share anyway")
		time.Sleep(time.Second)
		s.saw()
		s.do(`send-raw {"type":"interactive","envelope_id":"E1","payload":{"type":"block_actions","user":{"id":"U0STRANGER","team_id":"T0OTHER"},"channel":{"id":"C0PARTNERS"},"actions":[{"action_id":"share:0","value":"status shop"}]}}`)
		s.want(time.Second, "ephemeral→stranger: Refused: foreign.")
	})
}

func TestWhatSlackSaysOfAChannelIsRemembered(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		asked := func() (n int) {
			for _, c := range s.sim.Calls() {
				if strings.HasSuffix(c.Method, "conversations.info") {
					n++
				}
			}
			return n
		}
		s.do("type requester #partners /zdd status shop")
		time.Sleep(time.Second)
		for range 3 {
			s.do("click requester Share to channel")
			time.Sleep(time.Second)
		}
		if got := asked(); got != 1 {
			t.Errorf("asked %d times, want once within a minute", got)
		}
		time.Sleep(time.Minute)
		s.do("click requester Share to channel")
		time.Sleep(time.Second)
		if got := asked(); got != 2 {
			t.Errorf("asked %d times, want again after a minute", got)
		}
	})
}
