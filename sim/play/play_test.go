package play_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	slackgo "github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
)

// waiter is a small bot that serves tables: it answers the slash command with a
// question, the button with a message to #ops, and mentions in a thread. It exists so
// that scripts have something to play against that is not the program under test.
type waiter struct {
	t      *testing.T
	api    *slackgo.Client
	net    *play.Network
	log    strings.Builder
	cancel context.CancelFunc
	done   chan error
}

func (b *waiter) do(_ context.Context, verb string) error {
	if verb != "start" && b.cancel != nil {
		b.cancel()
		<-b.done
		b.cancel = nil
	}
	if verb == "start" || verb == "restart" {
		ctx, cancel := context.WithCancel(b.t.Context())
		b.cancel = cancel
		b.done = make(chan error, 1)
		c := socketmode.New(b.api, socketmode.OptionDialer(&websocket.Dialer{NetDialContext: b.net.Dial}))
		go func() { b.done <- c.RunContext(ctx) }()
		go func() {
			for {
				select {
				case ev := <-c.Events:
					b.serve(c, ev)
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	synctest.Wait() // the link is up, or gone, when the script goes on
	return nil
}

func (b *waiter) serve(c *socketmode.Client, ev socketmode.Event) {
	if ev.Request != nil && ev.Request.EnvelopeID != "" {
		if err := c.Ack(*ev.Request); err != nil {
			b.t.Error(err)
		}
	}
	text := func(s string) slackgo.MsgOption { return slackgo.MsgOptionText(s, false) }
	switch got := ev.Data.(type) {
	case slackgo.SlashCommand:
		fmt.Fprintln(&b.log, "command", got.Text)
		button := slackgo.NewButtonBlockElement("order", "T-1", slackgo.NewTextBlockObject("plain_text", "Order", false, false))
		b.post("", slackgo.MsgOptionResponseURL(got.ResponseURL, "ephemeral"), text("soup?"), slackgo.MsgOptionBlocks(
			slackgo.NewSectionBlock(slackgo.NewTextBlockObject("mrkdwn", "*T-1* soup\nfor "+got.Text, false, false), nil, nil),
			slackgo.NewActionBlock("a", button)))
	case slackgo.InteractionCallback:
		b.post("C0OPS", text("ordered by <@"+got.User.ID+">"))
	case slackevents.EventsAPIEvent:
		if said, ok := got.InnerEvent.Data.(*slackevents.AppMentionEvent); ok {
			b.post(said.Channel, text("in a minute"), slackgo.MsgOptionTS(said.TimeStamp))
		}
	}
}

func (b *waiter) post(channel string, options ...slackgo.MsgOption) {
	if _, _, err := b.api.PostMessage(channel, options...); err != nil {
		b.t.Error(err)
	}
}

// herokuSays is a simulated Heroku that has one app and has had two requests.
func herokuSays(summary string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_control/app/shop", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, summary) })
	mux.HandleFunc("GET /_control/calls", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"calls":[{"method":"GET","path":"/apps/shop"},{"method":"GET","path":"/apps/shop/formation?x=1"}]}`)
	})
	mux.HandleFunc("POST /_control/do", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// playIn plays a script in a bubble and returns what was said and how it ended.
func playIn(t *testing.T, script string) (said []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := &play.Network{}
		sim := slack.New(slack.Options{})
		stopSlack := net.Serve("slack.test", sim)
		stopHeroku := net.Serve("heroku.test", herokuSays("shop web=1 preboot=on"))
		web := net.Client()
		bot := &waiter{t: t, net: net, api: slackgo.New(slack.DefaultBotToken, slackgo.OptionAppLevelToken(slack.DefaultAppToken),
			slackgo.OptionAPIURL("http://slack.test/api/"), slackgo.OptionHTTPClient(web))}
		bot.do(t.Context(), "start")
		synctest.Wait()
		s, perr := play.Parse("story.txt", strings.NewReader(script))
		if perr != nil {
			t.Fatal(perr)
		}
		err = s.Run(t.Context(), play.World{
			Slack: "http://slack.test", Heroku: "http://heroku.test", Client: web, Bot: bot.do, Log: bot.log.String,
			Say: func(line string) { said = append(said, line) },
		})
		bot.do(t.Context(), "stop")
		web.CloseIdleConnections()
		sim.Close()
		for _, c := range sim.Calls() {
			if c.Error != "" {
				t.Errorf("call: got %s %s %v, want no error", c.Method, c.Error, c.Args)
			}
		}
		stopSlack()
		stopHeroku()
	})
	return said, err
}

func TestAStoryPlaysToItsEnd(t *testing.T) {
	start := time.Now()
	said, err := playIn(t, `
# A whole evening.
requester> /zdd two & a half
bot->requester: *T-1* soup
  for two & a half
  [Order]
  !bread
no answer to approver
requester clicks Order on T-1
bot#ops: ordered by @requester
after 1d2h
requester@thread> @zdd thanks
bot#ops: in a minute
approver#general> @zdd hello
bot#general: in a minute
heroku: shop web=1 preboot=on !web=2
calls: GET /apps/* 1
calls: GET /apps/** 2
calls: none to /config-vars
calls: chat.postMessage 3
calls: response_url 1
log: command two
log: no bread
heroku> deploy shop
slack> scope remove im:write
bot restart
requester> /zdd water
bot→requester: soup for water
bot stop
requester> /zdd hello
slack→requester: /zdd failed with the error "dispatch_failed"
nothing else
`)
	if err != nil {
		t.Fatalf("run: got %v, want none", err)
	}
	if got := time.Since(start); got > time.Hour {
		t.Errorf("a day on the fake clock took %v", got)
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"# A whole evening.", "requester> /zdd two & a half", "bot→requester: T-1 soup\nfor two & a half\n[Order]", "after 1d2h"} {
		if !strings.Contains(all, want) {
			t.Errorf("said: got %s\nwant %q in it", all, want)
		}
	}
}

func TestAFailingLineSaysWhatCameInstead(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		want   []string
	}{
		"lacking": {"requester> /zdd x\nbot→requester: T-2 soup\n  !for x", []string{
			"story.txt:2: bot→requester: T-2 soup", `came instead (ephemeral): T-1 soup`, `lacks "T-2 soup"`, `must not hold "for x"`}},
		"nothing":            {"bot#ops: hello", []string{"story.txt:1:", "nothing came at all"}},
		"elsewhere":          {"requester> /zdd x\nbot#ops: T-1", []string{"story.txt:2:", "came elsewhere (ephemeral) bot→requester: T-1 soup"}},
		"twice":              {"requester> /zdd x\nbot→requester: T-1\nbot→requester: T-1", []string{"story.txt:3:", "nothing came at all"}},
		"something else":     {"requester> /zdd x\nnothing else", []string{"story.txt:2: nothing else", "came (ephemeral) bot→requester: T-1 soup"}},
		"an answer":          {"requester> /zdd x\nno answer to requester", []string{"story.txt:2:", "T-1 soup"}},
		"no such button":     {"requester clicks Pay on T-1", []string{"story.txt:1:", `no button "Pay" on a message with "T-1"`}},
		"no such person":     {"nobody> hello", []string{"story.txt:1:", `nobody is called "nobody"`}},
		"heroku differs":     {"heroku: shop web=2", []string{"story.txt:1:", "is not so: web=2", "heroku says: shop web=1"}},
		"calls were made":    {"calls: none to /formation", []string{"counted 1", "GET /apps/shop/formation?x=1"}},
		"calls were not":     {"calls: PATCH /apps/shop 1", []string{"counted 0"}},
		"methods were not":   {"calls: chat.update 1", []string{"counted 0"}},
		"not in the log":     {"log: soup", []string{"is not in the log"}},
		"in the log":         {"requester> /zdd bread\nbot→requester: T-1\nlog: no bread", []string{"is in the log: command bread"}},
		"a control mistaken": {"slack> dance", []string{"story.txt:1:", "unknown command"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := playIn(t, tt.script)
			if err == nil {
				t.Fatal("run: got no error, want one")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error: got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestUntilWaitsForTheClock(t *testing.T) {
	for script, want := range map[string]time.Duration{
		"until 03:30":              3*time.Hour + 30*time.Minute,
		"until 00:00:05":           5 * time.Second,
		"until 00:00":              24 * time.Hour, // bubbles begin at midnight
		"until 09:00\nuntil 03:30": 27*time.Hour + 30*time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			s, err := play.Parse("s.txt", strings.NewReader(script))
			if err != nil {
				t.Fatal(err)
			}
			slept := time.Duration(0)
			net := &play.Network{}
			defer net.Serve("slack.test", slack.New(slack.Options{}))()
			web := net.Client()
			defer web.CloseIdleConnections()
			err = s.Run(t.Context(), play.World{Slack: "http://slack.test", Client: web, Sleep: func(_ context.Context, d time.Duration) error {
				time.Sleep(d)
				slept += d
				return nil
			}})
			if err != nil || slept != want {
				t.Errorf("%q: got %v, %v, want %v", script, slept, err, want)
			}
		})
	}
}

func TestParseNamesTheLine(t *testing.T) {
	for _, tt := range []struct{ script, want string }{
		{"# fine\nhello", `s.txt:2: not a line of a script: "hello"`},
		{"  indented", "s.txt:1: an indented line needs a line such as"},
		{"requester> hi\n  more", "s.txt:2: an indented line needs"},
		{"after noon", `s.txt:1: after "noon": want a duration`},
		{"after -2h", "s.txt:1: after"},
		{"until noon", `s.txt:1: until "noon": want a time of day`},
		{"until 24:30", "s.txt:1: until"},
		{"bot> hi", "s.txt:1: the bot types for itself"},
		{"bot->requester hi", "s.txt:1: want bot->NAME: TEXT"},
		{"requester>", "s.txt:1: requester> needs something after it"},
		{"heroku#ops> x", "s.txt:1: heroku> takes a control command"},
		{"requester clicks", "s.txt:1: requester clicks: want"},
		{"requester opens door", "s.txt:1: requester opens \"door\": want"},
		{"bot dance", "s.txt:1: not a line"},
	} {
		_, err := play.Parse("s.txt", strings.NewReader(tt.script))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("Parse(%q): got %v, want %s…", tt.script, err, tt.want)
		}
	}
}
