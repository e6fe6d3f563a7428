package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/secret"
	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
)

func TestAStalledMinuteLosesNothing(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		for range 40 {
			s.do("type requester #ops /zdd hold x")
		}
		for range 60 { // more than the 50 slots of slack-go
			s.do("type requester #ops /zdd status shop")
		}
		time.Sleep(40 * time.Second)
		if got := strings.Count(s.saw(), "I am busy"); got != 60 {
			t.Errorf("busy: got %d, want 60", got)
		}
		if got := s.counted("zdd_slack_reconnects_total"); got != 0 {
			t.Errorf("reconnects: got %v, want none", got)
		}
		close(s.grammar.hold)
		time.Sleep(time.Second)
		if got := strings.Count(s.saw(), "x hold"); got != 40 {
			t.Errorf("answers: got %d, want 40", got)
		}
		if got := s.counted("zdd_slack_ack_seconds"); got != 100 {
			t.Errorf("acks: got %v, want 100", got)
		}
	})
}

func TestUnknownEnvelopes(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		for range 3 {
			s.do(`send-raw {"type":"telepathy","envelope_id":"E7","payload":{"a":1}}`)
			s.do(`send-raw {"type":"events_api","envelope_id":"E8","payload":{"event_id":"Ev1","event":{"type":"brand_new_event"}}}`)
			s.do(`send-raw {"type":"telepathy"}`)
			s.do(`send-raw {"type":"slash_commands","envelope_id":"E9","payload":["no","object"]}`)
			s.do(`send-raw {"type":"interactive","envelope_id":"E10","payload":{"type":"view_submission"}}`)
			s.do(`send-raw [1,2]`)
			s.do(`send-raw not json`)
		}
		time.Sleep(time.Minute)
		s.wantLog("envelope of an unknown type", 1)
		s.wantLog("payload of an unknown form", 1)
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		if got := s.counted("zdd_slack_reconnects_total"); got != 0 {
			t.Errorf("reconnects: got %v, want none", got)
		}
	})
}

func TestDisconnects(t *testing.T) {
	for _, reason := range []string{"warning", "refresh_requested", "link_disabled", "too_many_websockets", "drop", "half-open"} {
		t.Run(reason, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				time.Sleep(2 * time.Minute)
				s.do("disconnect " + reason)
				time.Sleep(90 * time.Second)
				if ok, why := s.bot.Ready(); !ok {
					t.Errorf("not ready: %s\n%s", why, s.log)
				}
				s.do("type requester #ops /zdd status shop")
				s.want(time.Second, answered)
				counted := map[string]string{"drop": endDropped, "half-open": endSilent}[reason]
				if counted == "" {
					counted = reason
				}
				if got := s.counted("zdd_slack_reconnects_total", counted); got != 2 {
					t.Errorf("reconnects for %s: got %v, want 2\n%s", counted, got, s.log)
				}
			})
		})
	}
}

func TestARefreshOfOneLinkLosesNothing(t *testing.T) {
	playStory(t, slack.Options{RefreshEvery: 3 * time.Minute}, nil, func(s *stage) {
		for range 200 {
			s.do("type requester #ops /zdd status shop")
			time.Sleep(7 * time.Second)
		}
		if got := strings.Count(s.saw(), answered); got != 200 {
			t.Errorf("answers: got %d, want 200", got)
		}
	})
}

func TestALinkThatDropsEachSecondForTenMinutes(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		before := s.opens()
		s.do("flap 1s for 10m")
		time.Sleep(10 * time.Minute)
		if got := s.opens() - before; got < 10 || got > 120 {
			t.Errorf("connections in ten minutes: got %d, want a calm 10 to 120", got)
		}
		time.Sleep(time.Minute)
		if ok, why := s.bot.Ready(); !ok {
			t.Errorf("not ready afterwards: %s", why)
		}
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
	})
}

func TestLinksAreNotRefreshedTogether(t *testing.T) {
	playStory(t, slack.Options{RefreshEvery: 10 * time.Minute}, nil, func(s *stage) {
		time.Sleep(6 * time.Hour)
		var last time.Time
		for _, c := range s.sim.Calls() {
			if c.Method != "apps.connections.open" {
				continue
			}
			if apart := c.At.Sub(last); apart < 4*time.Second {
				t.Errorf("two links opened %v apart at %v", apart, c.At)
			}
			last = c.At
		}
		if got := s.counted("zdd_slack_reconnects_total", "warning"); got < 60 {
			t.Errorf("refreshes: got %v, want some 70", got)
		}
	})
}

func TestAnAcknowledgementFindsAnotherLink(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.memory.set(func(m *memory) { m.slow = time.Second })
		s.do("type requester #ops /zdd enable shop")
		s.do("type requester #ops /zdd enable cart")
		time.Sleep(500 * time.Millisecond)
		s.do("refuse internal_error next 3")
		s.do("disconnect drop one")
		s.want(4*time.Second, "ephemeral→requester: shop enable", "ephemeral→requester: cart enable")
		if got := s.counted("zdd_slack_ack_seconds"); got != 2 {
			t.Errorf("acks: got %v, want 2\n%s", got, s.log)
		}
	})
}

func TestCommandsThatComeDuringTheStopAreTurnedAwayInWords(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.memory.set(func(m *memory) { m.slow = time.Second })
		s.do("type requester #ops /zdd enable shop")
		time.Sleep(100 * time.Millisecond)
		s.cancel()
		time.Sleep(100 * time.Millisecond)
		s.do("type requester #ops /zdd enable cart")
		if err := s.stop(); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		s.want(0, "ephemeral→requester: I am being restarted")
		s.start() // what was accepted before is carried out after
		s.want(time.Second, "ephemeral→requester: shop enable")
	})
}

func (s *stage) opens() int {
	n := 0
	for _, c := range s.sim.Calls() {
		if c.Method == "apps.connections.open" {
			n++
		}
	}
	return n
}

func TestAServerThatAcceptsAndDisconnectsMakesNoHotLoop(t *testing.T) {
	for _, greeting := range []string{"drop", "slam", "no-hello", "refresh_requested", "too_many_websockets"} {
		t.Run(greeting, func(t *testing.T) {
			playStory(t, slack.Options{}, nil, func(s *stage) {
				before := s.opens()
				s.do("greet " + greeting)
				s.do("disconnect drop")
				time.Sleep(10 * time.Minute)
				if got := s.opens() - before; got < 10 || got > 120 {
					t.Errorf("connections in ten minutes: got %d, want a calm 10 to 120", got)
				}
				s.do("greet ok")
				time.Sleep(time.Minute)
				if ok, why := s.bot.Ready(); !ok {
					t.Errorf("not ready afterwards: %s", why)
				}
			})
		})
	}
}

func TestAServerWithoutPingsKeepsItsLinks(t *testing.T) {
	playStory(t, slack.Options{PingEvery: -1}, nil, func(s *stage) {
		for range 10 {
			time.Sleep(10 * time.Minute)
			if ok, why := s.bot.Ready(); !ok {
				t.Fatalf("not ready: %s", why)
			}
			s.do("type requester #ops /zdd status shop")
			s.want(time.Second, answered)
		}
		if got := s.counted("zdd_slack_reconnects_total"); got != 0 {
			t.Errorf("reconnects: got %v, want none\n%s", got, s.log)
		}
		s.wantLog("sends no pings", 1)
	})
}

func TestAServerThatPingsSlowlyKeepsItsLinks(t *testing.T) {
	playStory(t, slack.Options{PingEvery: 70 * time.Second}, nil, func(s *stage) {
		time.Sleep(30 * time.Minute)
		if got := s.counted("zdd_slack_reconnects_total"); got != 0 {
			t.Errorf("reconnects: got %v, want none\n%s", got, s.log)
		}
		if ok, why := s.bot.Ready(); !ok {
			t.Errorf("not ready: %s", why)
		}
	})
}

func TestPingsThatStopEndTheLink(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		time.Sleep(time.Minute)
		s.do("disconnect half-open one")
		time.Sleep(50 * time.Second)
		if got := s.counted("zdd_slack_reconnects_total", endSilent); got != 1 {
			t.Errorf("silent links: got %v, want 1\n%s", got, s.log)
		}
	})
}

func TestATokenRevokedWhileRunningEndsTheBotWithASentence(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("revoke-token")
		err := <-s.done
		s.done = nil
		fatal, ok := errors.AsType[*FatalError](err)
		if !ok || !strings.Contains(fatal.Sentence, "revoked") || !strings.Contains(fatal.Sentence, "SLACK_APP_TOKEN") {
			t.Errorf("got %v, want a sentence", err)
		}
	})
}

func TestABotTokenThatDiesIsNoticedByItsUse(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("fault users.info account_inactive")
		s.do("type requester #ops /zdd status shop")
		time.Sleep(10 * time.Second)
		select {
		case err := <-s.done:
			t.Fatalf("one odd answer ended the bot: %v", err)
		default:
		}
		s.do("fault auth.test account_inactive")
		s.do("type approver #ops /zdd status shop")
		err := <-s.done
		s.done = nil
		if fatal, ok := errors.AsType[*FatalError](err); !ok || fatal.Code != "account_inactive" {
			t.Errorf("got %v, want account_inactive", err)
		}
	})
}

func TestFatalErrors(t *testing.T) {
	for _, code := range []string{"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope", "not_allowed_token_type", "team_disabled"} {
		for _, method := range []string{"auth.test", "apps.connections.open"} {
			t.Run(method+" "+code, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sim := slack.New(slack.Options{BotToken: canaryBot, AppToken: canaryApp})
					network := &play.Network{}
					stop := network.Serve("slack.test", sim)
					web := network.Client()
					res, err := web.Post("http://slack.test/_control/do", "text/plain", strings.NewReader("fault "+method+" "+code))
					if err != nil {
						t.Fatal(err)
					}
					res.Body.Close()
					bot, err := New(Config{APIURL: "http://slack.test/api/", BotToken: secret.New(canaryBot), AppToken: secret.New(canaryApp), Dial: network.Dial, Commands: &grammar{}})
					if err != nil {
						t.Fatal(err)
					}
					begin := time.Now()
					err = bot.Run(t.Context())
					token := map[string]string{"auth.test": "SLACK_BOT_TOKEN", "apps.connections.open": "SLACK_APP_TOKEN"}[method]
					if fatal, ok := errors.AsType[*FatalError](err); !ok || fatal.Code != code || code != "team_disabled" && !strings.Contains(fatal.Sentence, token) {
						t.Errorf("got %v, want a sentence about %s", err, token)
					}
					if strings.Contains(fmt.Sprint(err), "CANARY") {
						t.Errorf("the error shows the token: %v", err)
					}
					if took := time.Since(begin); took > 5*time.Second {
						t.Errorf("took %v", took)
					}
					web.CloseIdleConnections()
					sim.Close()
					stop()
				})
			})
		}
	}
}

func TestSlackDownAtTheStartIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &play.Network{}
		var log lockedBuffer
		bot, err := New(Config{APIURL: "http://slack.test/api/", BotToken: secret.New(canaryBot), AppToken: secret.New(canaryApp), Dial: network.Dial, Commands: &grammar{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- bot.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		if ok, why := bot.Ready(); ok || why == "" {
			t.Errorf("ready without Slack")
		}
		sim := slack.New(slack.Options{BotToken: canaryBot, AppToken: canaryApp})
		stop := network.Serve("slack.test", sim)
		time.Sleep(time.Minute)
		if ok, why := bot.Ready(); !ok {
			t.Errorf("not ready once Slack is back: %s", why)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("got %v", err)
		}
		sim.Close()
		stop()
		if strings.Contains(log.String(), "CANARY") {
			t.Errorf("a token was logged: %s", &log)
		}
	})
}

func TestAStopLetsRunningCommandsFinish(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd hold shop")
		time.Sleep(time.Second)
		begin := time.Now()
		s.cancel()
		time.Sleep(5 * time.Second)
		if got := s.sim.Links(); got != 0 {
			t.Errorf("links while stopping: got %d, want 0", got)
		}
		if ok, _ := s.bot.Ready(); ok {
			t.Error("ready while stopping")
		}
		close(s.grammar.hold)
		if err := s.stop(); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the stop took %v", took)
		}
		s.want(0, "ephemeral→requester: shop hold")
	})
}

// TestAStopIsOverBeforeHerokuKills adds up the waits of a stop.
func TestAStopIsOverBeforeHerokuKills(t *testing.T) {
	d := Timing{}.filled()
	if got := d.Record + d.Ack + d.Grace + d.Farewell; got > 25*time.Second { // of 30
		t.Errorf("a stop can take %v", got)
	}
}

func TestAStopCutsOffWhatTakesTooLong(t *testing.T) {
	const restarted = "ephemeral→requester: I am being restarted and could not finish this. It only reads, so nothing was changed."
	tests := map[string]struct {
		do   string
		want []string
	}{
		"running and waiting": {"", []string{restarted, restarted}},
		"who is unknown":      {"fault users.info hang", []string{restarted, restarted}},
		"nobody to tell":      {"fault * hang|fault response_url hang", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, func(c *Config) { c.Workers = 1; c.Timing.Grace = 10 * time.Second }, func(s *stage) {
				for line := range strings.SplitSeq(tt.do, "|") {
					if line != "" {
						s.do(line)
					}
				}
				s.do("type requester #ops /zdd hold shop")
				s.do("type requester #ops /zdd status shop")
				time.Sleep(time.Second)
				begin := time.Now()
				if err := s.stop(); err != nil {
					t.Errorf("got %v, want nil", err)
				}
				if took := time.Since(begin); took > 10*time.Second+3*time.Second+100*time.Millisecond {
					t.Errorf("the stop took %v", took)
				}
				s.want(time.Minute, tt.want...)
				s.wantLog("commands cut off by the stop", 1)
				s.wantLog("a command failed", 0)
			})
		})
	}
}

func TestAChangeThatAStopCutOffIsAnsweredAfterTheRestart(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("fault response_url hang")
		s.do("fault chat.postEphemeral hang")
		s.do("fault chat.postMessage hang")
		s.do("type requester #ops /zdd enable shop")
		time.Sleep(time.Second)
		if err := s.stop(); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		s.want(0)
		s.do("faults clear")
		s.start()
		s.want(time.Minute, "ephemeral→requester: shop enable")
	})
}

func TestPressesDuringAStopAreExcused(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd status shop")
		s.want(time.Second, answered)
		s.memory.set(func(m *memory) { m.hang = true })
		s.do("type approver #ops /zdd enable shop") // keeps the links up until it is acknowledged
		time.Sleep(10 * time.Millisecond)           // it has arrived: what comes at the very moment of the stop is nobody's
		s.cancel()
		time.Sleep(1200 * time.Millisecond) // so that the excuse takes longer than the acknowledgement
		for range 3 {
			s.do("click requester Again")
		}
		if err := s.stop(); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		s.want(0, "ephemeral→approver: Not accepted:", "ephemeral→requester: I am being restarted, so 3 requests of yours were not accepted")
	})
}

func TestNewRefusesInWords(t *testing.T) {
	good := Config{BotToken: secret.New("xoxb-1"), AppToken: secret.New("xapp-1"), Commands: &grammar{}}
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no bot token": {func(c *Config) { c.BotToken = secret.New(" ") }, "SLACK_BOT_TOKEN"},
		"no app token": {func(c *Config) { c.AppToken = secret.Text{} }, "connections:write"},
		"swapped":      {func(c *Config) { c.BotToken, c.AppToken = c.AppToken, c.BotToken }, "swapped"},
		"app twice":    {func(c *Config) { c.BotToken = c.AppToken }, "xoxb-"},
		"bot twice":    {func(c *Config) { c.AppToken = c.BotToken }, "xapp-"},
		"no address":   {func(c *Config) { c.APIURL = "slack.com/api" }, "https://"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			_, err := New(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	cfg := good
	cfg.BotToken = secret.New("  xoxb-1\n")
	if _, err := New(cfg); err != nil {
		t.Errorf("pasted with a line break: got %v", err)
	}
}
