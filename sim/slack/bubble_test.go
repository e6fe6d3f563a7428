package slack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	slackgo "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
)

// bubble is a simulated Slack, slack-go connected to it, and a hand on its controls.
type bubble struct {
	t   *testing.T
	sim *slack.Server
	net *play.Network
	web *http.Client
	api *slackgo.Client
	seq int
}

// inBubble runs a test in a synctest bubble with a simulated Slack at http://slack.test.
func inBubble(t *testing.T, opts slack.Options, f func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, sim: slack.New(opts), net: &play.Network{}}
		stop := b.net.Serve("slack.test", b.sim)
		b.web = b.net.Client()
		b.web.Timeout = 20 * time.Second
		b.api = slackgo.New(slack.DefaultBotToken, slackgo.OptionAppLevelToken(slack.DefaultAppToken),
			slackgo.OptionAPIURL("http://slack.test/api/"), slackgo.OptionHTTPClient(b.web))
		f(b)
		b.web.CloseIdleConnections()
		b.sim.Close()
		stop()
	})
}

// connect runs a Socket Mode client until the bubble ends and hands what it receives to
// handle, which may be nil.
func (b *bubble) connect(handle func(*socketmode.Client, socketmode.Event)) (stop func() error) {
	b.t.Helper()
	c := socketmode.New(b.api, socketmode.OptionDialer(&websocket.Dialer{NetDialContext: b.net.Dial}))
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.RunContext(ctx) }()
	go func() {
		for {
			select {
			case ev := <-c.Events:
				if handle != nil {
					handle(c, ev)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	synctest.Wait()
	return func() error {
		cancel()
		return <-done
	}
}

// pass lets time go by, and everything settle that it set off.
func (b *bubble) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// do sends one control line and wants it obeyed.
func (b *bubble) do(line string) string {
	b.t.Helper()
	status, text := b.tryDo(line)
	if status != http.StatusOK {
		b.t.Fatalf("control %q: got %d %s", line, status, text)
	}
	synctest.Wait()
	return strings.TrimSpace(text)
}

func (b *bubble) tryDo(line string) (int, string) {
	b.t.Helper()
	resp, err := b.web.Post("http://slack.test/_control/do", "text/plain", strings.NewReader(line))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// seen are the events since the last look, acknowledgements aside.
func (b *bubble) seen() []slack.Event {
	b.t.Helper()
	synctest.Wait()
	var events []slack.Event
	for _, e := range b.sim.Events()[b.seq:] {
		b.seq = e.Seq
		if e.Kind != "ack" {
			events = append(events, e)
		}
	}
	return events
}

// shown is what events look like on a line each, for comparing.
func shown(events []slack.Event) string {
	var lines []string
	for _, e := range events {
		to := e.To
		if to == "" {
			to = "#" + e.ChannelName
		}
		lines = append(lines, e.Kind+" "+e.By+"→"+to+": "+strings.ReplaceAll(e.Text, "\n", " / "))
	}
	return strings.Join(lines, "\n")
}

func (b *bubble) wantSeen(want ...string) {
	b.t.Helper()
	if got, want := shown(b.seen()), strings.Join(want, "\n"); got != want {
		b.t.Errorf("seen:\n got %s\nwant %s", strings.ReplaceAll(got, "\n", "\n     "), strings.ReplaceAll(want, "\n", "\n     "))
	}
}

// respond posts to a response URL.
func (b *bubble) respond(url, body string) (int, string) {
	b.t.Helper()
	resp, err := b.web.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// call calls a method with a JSON body and returns what it answered, once all that it set off
// has settled: a page tells what is so when it looks, and by then two calls may be one news.
func (b *bubble) call(method string, args map[string]any) map[string]any {
	b.t.Helper()
	body, _ := json.Marshal(args)
	req, _ := http.NewRequest(http.MethodPost, "http://slack.test/api/"+method, bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Authorization", "Bearer "+slack.DefaultBotToken)
	resp, err := b.web.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	synctest.Wait()
	return answer
}

func TestSlashCommandFromTypingToAnswer(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		var got slackgo.SlashCommand
		defer b.connect(func(c *socketmode.Client, ev socketmode.Event) {
			cmd, ok := ev.Data.(slackgo.SlashCommand)
			if !ok {
				return
			}
			got = cmd
			if err := c.Ack(*ev.Request); err != nil {
				t.Error(err)
			}
		})()
		b.do("type requester #ops /zdd status shop for @approver in #general & https://x.example.com/a_b_c")
		want := "status shop for <@U0APPROVER|approver> in <#C0GENERAL|general> &amp; <https://x.example.com/a_b_c>"
		if got.Text != want {
			t.Errorf("text: got %q, want %q", got.Text, want)
		}
		if got.Command != "/zdd" || got.TeamID != "T0ACME" || got.ChannelID != "C0OPS" || got.ChannelName != "ops" || got.UserID != "U0REQUESTER" || got.APIAppID != "A0ZDD" {
			t.Errorf("command: got %+v", got)
		}
		if status, text := b.respond(got.ResponseURL, `{"text":"*ready*: shop &amp; friends"}`); status != 200 || text != "ok" {
			t.Errorf("response_url: got %d %q, want 200 ok", status, text)
		}
		b.wantSeen("ephemeral bot→requester: ready: shop & friends")
	})
}

// serveOne makes one request without a network, as a peer without an address.
func serveOne(s *slack.Server, path, kind, body string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "http://slack.test"+path, strings.NewReader(body))
	r.RemoteAddr = ""
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+slack.DefaultBotToken)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
