package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/commands"
	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
)

// Tokens with a canary in them: no log line, reply or error may show it.
const (
	canaryBot = "xoxb-111-222-CANARYbot"
	canaryApp = "xapp-1-A0-333-CANARYapp"
)

// stage is a simulated Slack with a bot on it, inside a bubble.
type stage struct {
	t        *testing.T
	sim      *slack.Server
	net      *play.Network
	web      *http.Client
	grammar  *grammar
	memory   *memory
	log      *lockedBuffer
	registry *prometheus.Registry
	bot      *Bot
	cancel   context.CancelFunc
	done     chan error
	seq      int
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// grammar answers lines; the first word says how.
type grammar struct {
	mu   sync.Mutex
	ran  []string
	hold chan struct{} // "hold" waits for it
}

func (g *grammar) runs() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ran)
}

func (g *grammar) Find(line string) (commands.Command, commands.Args, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "status", "hold", "panic", "hang", "fail":
		return commands.Command{Name: word}, commands.Args{Words: strings.Fields(rest)}, nil
	case "enable", "explode":
		return commands.Command{Name: word, Changes: true}, commands.Args{Words: strings.Fields(rest)}, nil
	}
	return commands.Command{}, commands.Args{}, &commands.Refusal{Reply: sentenceReply("I don't know that.")}
}

func (g *grammar) Run(ctx context.Context, line string, req commands.Request) (commands.Reply, error) {
	g.mu.Lock()
	g.ran = append(g.ran, fmt.Sprintf("%s/%s/%s: %s", req.Via, req.By.ID, req.By.Kind, line))
	g.mu.Unlock()
	if req.By.Kind != commands.Member {
		return commands.Reply{}, &commands.Refusal{Reply: sentenceReply("Refused: " + string(req.By.Kind) + ".")}
	}
	c, args, err := g.Find(line)
	if err != nil {
		return commands.Reply{}, err
	}
	switch c.Name {
	case "hold":
		select {
		case <-g.hold:
		case <-ctx.Done():
			return commands.Reply{}, ctx.Err()
		}
	case "panic", "explode":
		panic("at the disco " + canaryBot)
	case "hang":
		<-ctx.Done()
		return commands.Reply{}, fmt.Errorf("read app: %w", ctx.Err())
	case "fail":
		return commands.Reply{}, errors.New("internal detail with " + canaryApp)
	}
	text := fmt.Sprintf("%s %s <!channel>", args.Word(0), c.Name)
	return commands.Reply{Summary: text, Parts: []commands.Part{
		commands.Para{Text: commands.Line(text)},
		commands.Buttons{Row: []commands.Button{{Label: "Share to channel", Share: line}, {Label: "Again", Run: line}}},
	}}, nil
}

// memory records envelopes; it can be gone, or hang.
type memory struct {
	mu   sync.Mutex
	ids  map[string]bool
	gone error
	hang bool
	slow time.Duration
}

func (m *memory) Record(ctx context.Context, id, kind string, at time.Time) (bool, error) {
	m.mu.Lock()
	hang, gone, slow := m.hang, m.gone, m.slow
	m.mu.Unlock()
	time.Sleep(slow)
	if hang {
		<-ctx.Done()
		return false, ctx.Err()
	}
	if gone != nil {
		return false, gone
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	isNew := !m.ids[id]
	m.ids[id] = true
	return isNew, nil
}

func (m *memory) set(f func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// play runs a story in a bubble: the bot is connected when f starts, and is stopped
// when it returns. Whatever happened, the canary must not have shown.
func playStory(t *testing.T, opts slack.Options, tune func(*Config), f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.BotToken, opts.AppToken = canaryBot, canaryApp
		opts.NoRateLimits = true
		opts.Strict = true
		s := &stage{
			t: t, sim: slack.New(opts), net: &play.Network{}, log: &lockedBuffer{}, registry: prometheus.NewRegistry(),
			grammar: &grammar{hold: make(chan struct{})}, memory: &memory{ids: map[string]bool{}}, done: make(chan error, 1),
		}
		stop := s.net.Serve("slack.test", s.sim)
		s.web = s.net.Client()
		cfg := Config{
			APIURL: "http://slack.test/api", BotToken: canaryBot, AppToken: canaryApp, Dial: s.net.Dial, Registerer: s.registry,
			Commands: s.grammar, Envelopes: s.memory, Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		if tune != nil {
			tune(&cfg)
		}
		bot, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.bot = bot
		ctx, cancel := context.WithCancel(t.Context())
		s.cancel = cancel
		go func() { s.done <- bot.Run(ctx) }()
		time.Sleep(10 * time.Second) // until both links are up
		f(s)
		if s.done != nil {
			if err := s.stop(); err != nil {
				t.Errorf("Run: got %v, want nil after a stop", err)
			}
		}
		cancel()
		s.web.CloseIdleConnections()
		s.sim.Close()
		stop()
		for _, e := range s.sim.Events() {
			if strings.Contains(e.Text, "CANARY") {
				t.Errorf("a token was shown: %s", e.Text)
			}
		}
		if strings.Contains(s.log.String(), "CANARY") || strings.Contains(s.log.String(), "/response/") {
			t.Errorf("a secret was logged:\n%s", s.log)
		}
	})
}

// stop ends the bot and returns what Run said.
func (s *stage) stop() error {
	s.cancel()
	err := <-s.done
	s.done = nil
	return err
}

// do sends one control line.
func (s *stage) do(line string) string {
	s.t.Helper()
	res, err := s.web.Post("http://slack.test/_control/do", "text/plain", strings.NewReader(line))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", line, text)
	}
	return string(text)
}

// saw is what people saw since the last look, a line each.
func (s *stage) saw() string {
	s.t.Helper()
	synctest.Wait()
	var lines []string
	for _, e := range s.sim.Events()[s.seq:] {
		s.seq = e.Seq
		if e.Kind == "ack" || e.By != "bot" && e.By != "slack" {
			continue
		}
		to := e.To
		if to == "" {
			to = "#" + e.ChannelName
		}
		lines = append(lines, fmt.Sprintf("%s→%s: %s", e.Kind, to, strings.ReplaceAll(e.Text, "\n", " / ")))
	}
	return strings.Join(lines, "\n")
}

// want looks for lines that begin as given, after a while for the bot to answer.
func (s *stage) want(within time.Duration, want ...string) {
	s.t.Helper()
	time.Sleep(within)
	got := s.saw()
	lines := strings.Split(got, "\n")
	if got == "" {
		lines = nil
	}
	ok := len(lines) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(lines[i], want[i])
	}
	if !ok {
		s.t.Errorf("seen:\n got %s\nwant %s\nlog:\n%s", strings.Join(lines, "\n     "), strings.Join(want, "\n     "), s.log)
	}
}

// counted sums a metric over the labels that contain what.
func (s *stage) counted(name string, what ...string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			matched := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(what, l.GetValue()) {
					matched++
				}
			}
			if matched == len(what) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func (s *stage) wantLog(text string, times int) {
	s.t.Helper()
	if got := strings.Count(s.log.String(), text); got != times {
		s.t.Errorf("%q is in the log %d times, want %d:\n%s", text, got, times, s.log)
	}
}

const answered = "ephemeral→requester: shop status <!channel> / [Share to channel] [Again]"

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
		s.want(0, "ephemeral→requester: I am being restarted", "ephemeral→requester: shop enable")
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
					bot, err := New(Config{APIURL: "http://slack.test/api/", BotToken: canaryBot, AppToken: canaryApp, Dial: network.Dial, Commands: &grammar{}})
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
		bot, err := New(Config{APIURL: "http://slack.test/api/", BotToken: canaryBot, AppToken: canaryApp, Dial: network.Dial, Commands: &grammar{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
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

func TestAStopCutsOffWhatTakesTooLong(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		s.do("type requester #ops /zdd hold shop")
		time.Sleep(time.Second)
		begin := time.Now()
		if err := s.stop(); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		if took := time.Since(begin); took > 25*time.Second { // Heroku kills after 30
			t.Errorf("the stop took %v", took)
		}
		s.wantLog("commands cut off by the stop", 1)
	})
}

func TestNewRefusesInWords(t *testing.T) {
	good := Config{BotToken: "xoxb-1", AppToken: "xapp-1", Commands: &grammar{}}
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no bot token": {func(c *Config) { c.BotToken = " " }, "SLACK_BOT_TOKEN"},
		"no app token": {func(c *Config) { c.AppToken = "" }, "connections:write"},
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
	cfg.BotToken = "  xoxb-1\n"
	if _, err := New(cfg); err != nil {
		t.Errorf("pasted with a line break: got %v", err)
	}
}

func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := slack.New(slack.Options{})
		network := &play.Network{}
		stop := network.Serve("slack.test", sim)
		g, err := NewGroups(Config{APIURL: "http://slack.test/api/", BotToken: slack.DefaultBotToken, AppToken: slack.DefaultAppToken, Dial: network.Dial})
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
