package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/secret"
	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
)

func TestSlashCommandIsAnsweredPrivately(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		if ok, why := s.bot.Ready(); !ok {
			t.Errorf("not ready: %s", why)
		}
		if self, _ := s.bot.Self(); self.Team != "T0ACME" || self.User != "U0ZDDBOT" || !slices.Contains(self.Scopes, "users:read") {
			t.Errorf("got %+v", self)
		}
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		for _, e := range s.sim.Events() {
			if len(e.Pings) > 0 {
				t.Errorf("rang %v", e.Pings)
			}
		}
		if got := s.counted("zdd_slack_envelopes_total", "slash_commands", "accepted"); got != 1 {
			t.Errorf("accepted: got %v, want 1", got)
		}
		if got := s.counted("zdd_slack_links_up"); got != 2 {
			t.Errorf("links: got %v, want 2", got)
		}
	})
}

func TestEveryWayOfAsking(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops hello there @zdd status shop")
		s.want(time.Second, answered)
		s.do("type requester #ops @zdd: status shop")
		s.want(time.Second, answered)
		s.do("type requester #ops status shop @zdd")
		s.want(time.Second, answered)
		s.do("type requester dm status shop")
		s.want(time.Second, "dm→requester: shop status <!channel>")
		s.do("type requester dm @zdd status shop")
		s.want(time.Second, "dm→requester: shop status <!channel>")
		s.do("type helper #general @zdd status shop") // a bot
		s.want(time.Second)
		s.do("home requester")
		s.want(time.Second)
		want := []string{
			"mention/U0REQUESTER/member: status shop", "mention/U0REQUESTER/member: status shop", "mention/U0REQUESTER/member: status shop",
			"direct/U0REQUESTER/member: status shop", "direct/U0REQUESTER/member: status shop",
		}
		if got := s.grammar.runs(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestMentionInAThreadIsAnsweredThere(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type approver #ops what about shop?")
		s.do("type requester thread last @zdd status shop")
		s.want(time.Second, answered)
		events := s.sim.Events()
		if last := events[len(events)-1]; last.ThreadTS == "" {
			t.Errorf("answered outside the thread: %+v", last)
		}
	})
}

func TestButtonsRunAsThePresser(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		s.do("click requester Again")
		s.want(time.Second, answered)
		s.do("click requester Share to channel")
		s.want(time.Second, "post→#ops: shop status <!channel> / [Again] / Shared by @requester.")
		s.do("click multiguest Again")
		s.want(time.Second, "ephemeral→multiguest: Refused: guest.")
		s.do("click approver Again")
		s.want(time.Second, "ephemeral→approver: shop status")
		if got, want := s.grammar.runs()[4], "press/U0APPROVER/member: status shop"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestSharingFallsBackToPosting(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		s.do("fault response_url used_url")
		s.do("click requester Share to channel")
		s.want(5*time.Second, "post→#ops: shop status")
		s.do("type requester #ops /zdd status shop")
		s.want(5*time.Second, answered)
	})
}

func TestWhoMayAsk(t *testing.T) {
	tests := map[string]string{
		"guest":      "ephemeral→guest: Refused: guest.",
		"multiguest": "ephemeral→multiguest: Refused: guest.",
		"stranger":   "ephemeral→stranger: Refused: foreign.",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				channel := map[string]string{"guest": "#shop", "multiguest": "#ops", "stranger": "#partners"}[name]
				s.do("type " + name + " " + channel + " @zdd status shop")
				s.want(time.Second, want)
			})
		})
	}
}

func TestAPersonWhoIsDeactivatedIsRefusedWithinAMinute(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester dm status shop")
		s.want(time.Second, "dm→requester: shop status")
		s.do("user guest requester")
		time.Sleep(time.Minute)
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, "ephemeral→requester: Refused: guest.")
	})
}

func TestNobodyIsLetInWhoCannotBeChecked(t *testing.T) {
	tests := map[string]struct{ do, want string }{
		"scope":   {"scope remove users:read", "my Slack app lacks the scope users:read"},
		"outage":  {"fault users.info 503", "Slack did not answer me"},
		"html":    {"fault users.info html", "Slack did not answer me"},
		"missing": {"method off users.info", "has no users.info"},
		"unknown": {"fault users.info user_not_found", "does not show me who you are"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				s.do(tt.do)
				s.do("type requester #ops /zdd status shop")
				time.Sleep(20 * time.Second)
				if got := strings.ReplaceAll(s.saw(), "`", ""); !strings.Contains(got, tt.want) || strings.Contains(got, "shop status") {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if got := s.grammar.runs(); len(got) > 0 {
					t.Errorf("ran %q", got)
				}
			})
		})
	}
}

func TestTheSameEventThreeTimesIsAnsweredOnce(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("event-repeat 3")
		s.do("type requester #ops @zdd status shop")
		s.want(10*time.Minute, answered)
		if got := s.counted("zdd_slack_redeliveries_total"); got != 2 {
			t.Errorf("redeliveries: got %v, want 2", got)
		}
	})
}

func TestAnEnvelopeOnBothLinksIsAnsweredOnce(t *testing.T) {
	playStory(t, slack.Options{Deliver: slack.Duplicate}, nil, func(s *stage) {
		for _, line := range []string{"/zdd status shop", "/zdd enable shop", "@zdd status shop"} {
			s.do("type requester #ops " + line)
			time.Sleep(time.Second)
		}
		if got := s.grammar.runs(); len(got) != 3 {
			t.Errorf("ran %q, want each once", got)
		}
		if strings.Contains(s.saw(), "timeout") {
			t.Errorf("somebody saw a time-out")
		}
	})
}

func TestARestartDoesNotRunARecordedEnvelopeAgain(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.memory.set(func(m *memory) { m.ids["E1"] = true })
		s.do(`send-raw {"type":"slash_commands","envelope_id":"E1","payload":{"text":"enable shop","user_id":"U0REQUESTER","team_id":"T0ACME","channel_id":"C0OPS"}}`)
		s.do(`send-raw {"type":"slash_commands","envelope_id":"E2","payload":{"text":"enable shop","user_id":"U0REQUESTER","team_id":"T0ACME","channel_id":"C0OPS"}}`)
		time.Sleep(time.Second)
		if got := s.grammar.runs(); len(got) != 1 {
			t.Errorf("ran %q, want one", got)
		}
	})
}

func TestDatabaseGone(t *testing.T) {
	for name, breakIt := range map[string]func(*memory){
		"refusing": func(m *memory) { m.gone = errors.New("connection refused " + canaryBot) },
		"hanging":  func(m *memory) { m.hang = true },
	} {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				s.memory.set(breakIt)
				s.do("type requester #ops /zdd status shop")
				s.want(2*time.Second, answered)
				s.do("type requester #ops /zdd enable shop")
				s.want(4*time.Second, "ephemeral→requester: Not accepted:")
				s.wantLog("the store does not answer", 1)
				s.memory.set(func(m *memory) { m.gone, m.hang = nil, false })
				s.do("type requester #ops /zdd enable shop")
				s.want(4*time.Second, "ephemeral→requester: shop enable")
				s.wantLog("the store answers again", 1)
				if got := s.grammar.runs(); len(got) != 2 {
					t.Errorf("ran %q, want the refused one not to", got)
				}
			})
		})
	}
}

func TestAPressThatCannotBeRecordedIsRefusedInWords(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd enable shop")
		s.want(time.Second, "ephemeral→requester: shop enable")
		s.memory.set(func(m *memory) { m.gone = errors.New("gone") })
		s.do("click requester Again")
		s.want(4*time.Second, "ephemeral→requester: Not accepted:")
		s.memory.set(func(m *memory) { m.gone = nil })
		s.do("click requester Share to channel")
		s.want(4*time.Second, "ephemeral→requester: Only answers that change nothing can be shared.")
	})
}

func TestAPanicBecomesAnAnswer(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd panic")
		s.want(time.Second, "ephemeral→requester: Something went wrong on my side. It only reads, so nothing was changed. Tell whoever runs me this reference: ")
		s.do("type requester #ops /zdd explode")
		s.want(time.Second, "ephemeral→requester: Something went wrong on my side. I can't say whether it took effect")
		s.do("type requester #ops /zdd fail")
		s.want(time.Second, "ephemeral→requester: Something went wrong on my side. It only reads")
		s.wantLog("a command panicked", 2)
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
	})
}

func TestAHangingCommandIsGivenUp(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd hang")
		s.want(44 * time.Second)
		s.want(2*time.Second, "ephemeral→requester: I gave up after 45s without an answer. It only reads")
	})
}

func TestAFullQueueIsSaid(t *testing.T) {
	playStory(t, slack.Options{}, func(c *Config) { c.Workers, c.Queue = 1, 1 }, func(s *stage) {
		s.do("type requester #ops /zdd hold 1")
		s.do("type requester #ops /zdd hold 2")
		s.want(time.Second)
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, "ephemeral→requester: I am busy")
		s.do("type requester #ops @zdd status shop")
		s.want(time.Second, "ephemeral→requester: I am busy")
		if got := s.counted("zdd_slack_queue_depth"); got != 1 {
			t.Errorf("queue: got %v, want 1", got)
		}
		close(s.grammar.hold)
		s.want(time.Second, "ephemeral→requester: 1 hold", "ephemeral→requester: 2 hold")
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		if got := s.counted("zdd_slack_refused_busy_total"); got != 2 {
			t.Errorf("busy: got %v, want 2", got)
		}
	})
}

// TestPressesWhileBusyAreExcused has more people press more buttons at once than there
// are hands to tell them.
func TestPressesWhileBusyAreExcused(t *testing.T) {
	playStory(t, slack.Options{}, func(c *Config) { c.Workers, c.Queue = 1, 1 }, func(s *stage) {
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		s.do("click requester Share to channel")
		s.want(time.Second, "post→#ops: shop status")
		s.do("type requester #ops /zdd hold 1")
		s.do("type requester #ops /zdd hold 2")
		s.do("fault next 4 response_url slow 3s") // all hands are busy
		for who := range strings.FieldsSeq("requester approver approver2 admin multiguest approver approver requester") {
			s.do("click " + who + " Again")
		}
		const one = ": I am busy with other requests, so this one was not accepted and nothing was changed."
		const more = ": I am busy with other requests, so %d requests of yours were not accepted and nothing was changed."
		s.want(20*time.Second, "ephemeral→requester"+fmt.Sprintf(more, 2), "ephemeral→approver"+fmt.Sprintf(more, 3), "ephemeral→approver2"+one, "ephemeral→admin"+one, "ephemeral→multiguest"+one)
		s.do("click requester Again") // a later one is told anew
		s.want(20*time.Second, "ephemeral→requester"+one)
		close(s.grammar.hold)
		s.want(time.Second, "ephemeral→requester: 1 hold", "ephemeral→requester: 2 hold")
	})
}

func TestExcusesAreBounded(t *testing.T) {
	var e excuses
	now := time.Now()
	for i := range excusesMost {
		ok, teller := e.add(ask{user: fmt.Sprint("U", i)}, turnedBusy, now)
		if !ok || teller != (i < excuseTellers) {
			t.Fatalf("person %d: got %v, teller %v", i, ok, teller)
		}
	}
	if ok, _ := e.add(ask{user: "U9999"}, turnedBusy, now); ok {
		t.Error("one more than the most was taken")
	}
	if ok, _ := e.add(ask{user: "U3"}, turnedBusy, now); !ok || e.left() != excusesMost {
		t.Errorf("somebody who waits already: got %v and %d that wait, want one excuse for both", ok, e.left())
	}
	for range excusesMost {
		if next, _ := e.take(now.Add(excuseGather)); next == nil {
			t.Fatal("an excuse was lost")
		}
		e.told()
	}
	for range excuseTellers {
		e.take(now)
	}
	if _, teller := e.add(ask{user: "U1"}, turnedBusy, now); !teller || e.left() != 1 {
		t.Error("after the flood nobody tells any more")
	}
}

func TestResponseURLs(t *testing.T) {
	tests := map[string]struct {
		do   string
		want string
	}{
		"no content type":   {"response-type off", answered},
		"rate limited":      {"fault next 1 response_url 429 2", answered},
		"unavailable":       {"fault next 2 response_url 503", answered},
		"cut before":        {"fault next 1 response_url reset", answered},
		"used up":           {"fault response_url used_url", answered}, // by chat.postEphemeral
		"invalid blocks":    {"fault next 1 response_url invalid_blocks", "ephemeral→requester: shop status <!channel>"},
		"nothing but a DM":  {"fault response_url used_url|method off chat.postEphemeral", "dm→requester: shop status"},
		"server without it": {"method off chat.postEphemeral", answered},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				for line := range strings.SplitSeq(tt.do, "|") {
					s.do(line)
				}
				s.do("type requester #ops /zdd status shop")
				s.want(20*time.Second, tt.want)
			})
		})
	}
}

func TestAMissingMethodIsSaidOnce(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("method off chat.postEphemeral")
		for range 3 {
			s.do("type requester #ops @zdd status shop")
			s.want(5*time.Second, "dm→requester: shop status")
		}
		s.wantLog("slack lacks a method", 1)
	})
}

func TestAnAnswerThatCannotBeSharedIsSaid(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		s.do("fault response_url used_url")
		s.do("fault chat.postMessage not_in_channel")
		s.do("click requester Share to channel")
		s.want(5*time.Second, "ephemeral→requester: I could not post the answer in this channel.")
	})
}

func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := slack.New(slack.Options{})
		network := &play.Network{}
		stop := network.Serve("slack.test", sim)
		g, err := NewGroups(Config{APIURL: "http://slack.test/api/", BotToken: secret.New(slack.DefaultBotToken), AppToken: secret.New(slack.DefaultAppToken), Dial: network.Dial})
		if err != nil {
			t.Fatal(err)
		}
		for range 30 { // more than the 20 a minute that Slack allows
			if in, err := g.InGroup(t.Context(), "S0PLATFORM", "U0REQUESTER"); !in || err != nil {
				t.Fatalf("got %v, %v, want a member", in, err)
			}
			if in, err := g.InGroup(t.Context(), "S0PLATFORM", "U0APPROVER"); in || err != nil {
				t.Fatalf("got %v, %v, want no member", in, err)
			}
		}
		if in, err := g.InGroup(t.Context(), "S0NOBODY", "U0REQUESTER"); in || err == nil {
			t.Errorf("got %v, %v, want an error and nobody let in", in, err)
		}
		g.Close()
		sim.Close()
		stop()
	})
}
