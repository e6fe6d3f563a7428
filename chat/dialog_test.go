package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	slackgo "github.com/slack-go/slack"

	"example.com/zdd/sim/slack"
)

// buttons shows the requester a message with a confirm dialog and a dialog.
func (s *stage) buttons() {
	s.t.Helper()
	s.do("type requester #ops /zdd status shop buttons")
	s.want(time.Second, "ephemeral→requester: shop status <!channel> / [Approve] [Deny]")
}

func TestAConfirmedPressRunsAndADismissedOneDoesNot(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.buttons()
		s.do("click requester Approve dismiss")
		s.want(time.Second)
		s.do("click requester Approve")
		s.want(time.Second, "update→requester: T-1 approve <!channel>") // in place of the buttons
		if got, want := s.grammar.runs(), "press/U0REQUESTER/member: approve T-1"; len(got) != 2 || got[1] != want {
			t.Errorf("got %q, want %q last", got, want)
		}
	})
}

func TestADialogAsksForAReason(t *testing.T) {
	const reason = "<!channel> & <@U0ADMIN> *no* `x` @everyone\nsecond line 😀"
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.buttons()
		s.do("click requester Deny")
		s.want(time.Second, "view→requester: Deny T-1, though it is … / Why?: [_] / [Go back] [Deny]")
		s.do("submit requester") // a reason is required
		s.want(time.Second, "notice→requester: Why?: Please complete")
		s.do(`submit requester Why?=` + fmt.Sprintf("%q", reason))
		s.want(time.Second, "update→requester: denied: <!channel> & <@U0ADMIN>")
		if got, want := s.grammar.runs()[1], "press/U0REQUESTER/member: deny T-1 ("+reason+")"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, e := range s.sim.Events() {
			if len(e.Pings) > 0 {
				t.Errorf("rang %v: %s", e.Pings, e.Text)
			}
		}
		if got := s.screen("requester"); strings.Contains(got, "modal:") {
			t.Errorf("the dialog is still open:\n%s", got)
		}
	})
}

func TestAReasonThatIsTooLongLeavesTheDialogOpen(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.buttons()
		s.do("click requester Deny")
		s.want(time.Second, "view→requester")
		s.do("submit requester Why?=" + strings.Repeat("é", 10_000))
		s.want(time.Second, "errors→requester: Why?: That is too long: 10000 characters, and I keep 3000.")
		s.do("submit requester Why?=" + strings.Repeat("é", 3_000))
		s.want(time.Second, "update→requester: denied: éé")
		if got := s.grammar.runs(); len(got) != 2 || len([]rune(got[1])) < 3_000 {
			t.Errorf("ran %d lines, want the whole reason in the second", len(got))
		}
	})
}

func TestADialogWhoseRequestCannotBeStoredStaysOpen(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.buttons()
		s.do("click requester Deny")
		s.want(time.Second, "view→requester")
		s.memory.set(func(m *memory) { m.hang = true })
		s.do("submit requester Why?=because")
		s.want(3*time.Second, "errors→requester: Why?: Not accepted:")
		s.memory.set(func(m *memory) { m.hang = false })
		s.do("submit requester")
		s.want(time.Second, "update→requester: denied: because")
		if got := s.grammar.runs(); len(got) != 2 {
			t.Errorf("ran %q, want the refused one not to", got)
		}
	})
}

func TestADialogThatComesTooLateIsSaid(t *testing.T) {
	tests := map[string]struct{ do, want string }{
		"late":          {"fault views.open hang", "ephemeral→requester: I could not open the dialog, so nothing was changed. Press again, or type `/zdd deny T-1`."},
		"missing":       {"method off views.open", "ephemeral→requester: I could not open the dialog"},
		"503 once":      {"fault next 1 views.open 503", "view→requester"},
		"answer lost":   {"fault next 1 views.open reset-after", "view→requester"},
		"rate limited":  {"fault next 1 views.open 429 1", "view→requester"},
		"expired":       {"fault views.open expired_trigger_id", "ephemeral→requester: I could not open the dialog"},
		"limit too far": {"fault next 1 views.open 429 30", "ephemeral→requester: I could not open the dialog"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				s.buttons()
				s.do(tt.do)
				s.do("click requester Deny")
				s.want(5*time.Second, tt.want)
			})
		})
	}
}

func TestADialogOpensThoughEveryWorkerIsBusy(t *testing.T) {
	playStory(t, slack.Options{}, func(c *Config) { c.Workers = 1 }, func(s *stage) {
		s.buttons()
		s.do("type approver #ops /zdd hold on")
		s.do("click requester Deny")
		s.want(time.Second, "view→requester")
		close(s.grammar.hold)
		s.want(time.Second, "ephemeral→approver: on hold")
	})
}

func TestADialogAnsweredAfterARestart(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.buttons()
		s.do("click requester Deny")
		s.want(time.Second, "view→requester")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.start()
		s.do("submit requester Why?=because")
		s.want(time.Second, "ephemeral→requester: denied: because") // the response_url went with the old bot
	})
}

func TestForgedSubmissions(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		send := func(n int, view string) {
			s.do(fmt.Sprintf(`send-raw {"type":"interactive","envelope_id":"F%d","payload":{"type":"view_submission","user":{"id":"U0GUEST","team_id":"T0ACME"},"team":{"id":"T0ACME"},"view":%s}}`, n, view))
		}
		send(1, `{"callback_id":"zdd_ask","private_metadata":"","state":{"values":{}}}`)
		send(2, `{"callback_id":"zdd_ask","private_metadata":"{}","state":null}`)
		send(3, `{"callback_id":"another","private_metadata":"{\"run\":\"deny T-1\"}"}`)
		send(4, `null`)
		s.want(time.Second)
		send(5, `{"callback_id":"zdd_ask","private_metadata":"{\"run\":\"deny T-1\",\"channel\":\"C0SHOP\"}","state":{"values":{"note":{"note":{"value":null}}}}}`)
		s.want(time.Second, "ephemeral→guest: Refused: guest.")
		if got, want := s.grammar.runs(), []string{"press/U0GUEST/guest: deny T-1"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestDialogsHoldNoResponseURL(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.buttons()
		s.do("click requester Deny")
		s.do("submit requester Why?=because")
		s.want(time.Second, "view→requester", "update→requester")
		stored, err := json.Marshal(s.memory.requests)
		if err != nil || len(s.memory.requests) == 0 {
			t.Fatalf("stored %d requests, %v", len(s.memory.requests), err)
		}
		sent, _ := json.Marshal(s.sim.Calls())
		for name, text := range map[string]string{"stored": string(stored), "sent to Slack": string(sent)} {
			if strings.Contains(text, "/response/") || strings.Contains(text, "CANARY") {
				t.Errorf("a secret is %s: %s", name, text)
			}
		}
	})
}

func TestADialogOfAnyWordsIsWithinSlacksLimits(t *testing.T) {
	for _, s := range append([]string{strings.Repeat("é😀", 3000)}, nasty...) {
		v := dialogView(question{Run: s, Title: s, Label: s, Yes: s}, "{}")
		label := v.Blocks.BlockSet[0].(*slackgo.InputBlock).Label
		for name, c := range map[string]struct {
			text string
			most int
		}{"title": {v.Title.Text, 24}, "submit": {v.Submit.Text, 24}, "close": {v.Close.Text, 24}, "label": {label.Text, 2000}} {
			if c.text == "" || length(c.text) > c.most || strings.ContainsAny(c.text, "\n\x00") {
				t.Errorf("%s of %.20q: got %q of %d characters, want 1 to %d", name, s, c.text, length(c.text), c.most)
			}
		}
	}
}
