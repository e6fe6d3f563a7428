package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/secret"
	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
	"example.com/zdd/watch"
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
	cfg      Config
	bot      *Bot
	queue    *queue
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
	mu      sync.Mutex
	ran     []string
	origins []string
	trouble int           // how many more times "flop" fails
	hold    chan struct{} // "hold" waits for it
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
	case "enable", "explode", "flop", "approve", "deny":
		return commands.Command{Name: word, Changes: true}, commands.Args{Words: strings.Fields(rest)}, nil
	}
	return commands.Command{}, commands.Args{}, &commands.Refusal{Reply: sentenceReply("I don't know that.")}
}

func (g *grammar) Run(ctx context.Context, line string, req commands.Request) (commands.Reply, error) {
	g.mu.Lock()
	note := ""
	if req.Note != "" {
		note = " (" + req.Note + ")"
	}
	g.ran = append(g.ran, fmt.Sprintf("%s/%s/%s: %s%s", req.Via, req.By.ID, req.By.Kind, line, note))
	g.origins = append(g.origins, req.Origin)
	flops := strings.HasPrefix(line, "flop") && g.trouble > 0
	if flops {
		g.trouble--
	}
	g.mu.Unlock()
	if flops {
		return commands.Reply{}, errors.New("the database went away " + canaryBot)
	}
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
	if c.Name == "status" && args.Word(1) == "buttons" {
		return commands.Reply{Public: args.Word(2) == "public", Summary: text, Parts: []commands.Part{
			commands.Para{Text: commands.Line(text)},
			commands.Buttons{Row: []commands.Button{
				{Label: "Approve", Run: "approve T-1", Primary: true, Confirm: &commands.Confirm{Title: "Spend money?", Text: "$25.00 <!channel> a month", Yes: "Spend it"}},
				{Label: "Deny", Run: "deny T-1", Danger: true, Ask: &commands.Ask{Title: "Deny T-1, though it is a long title", Label: "Why?"}},
			}},
		}}, nil
	}
	if c.Name == "deny" {
		text = "denied: " + req.Note
		return commands.Reply{Summary: text, Parts: []commands.Part{commands.Para{Text: commands.Line(text)}}}, nil
	}
	return commands.Reply{Summary: text, Parts: []commands.Part{
		commands.Para{Text: commands.Line(text)},
		commands.Buttons{Row: []commands.Button{{Label: "Share to channel", Share: line}, {Label: "Again", Run: line}}},
	}}, nil
}

// playStory runs a story in a bubble: the bot is connected when f starts, and is
// stopped when it returns. Whatever happened, nobody saw a time-out of Slack's, no
// canary was shown or logged, and the log's keys are of the house's list.
func playStory(t *testing.T, opts slack.Options, tune func(*Config), f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.BotToken, opts.AppToken = canaryBot, canaryApp
		opts.NoRateLimits = opts.PostBurst == 0
		opts.Strict = true
		s := &stage{
			t: t, sim: slack.New(opts), net: &play.Network{}, log: &lockedBuffer{}, registry: prometheus.NewRegistry(),
			grammar: &grammar{hold: make(chan struct{})}, memory: newMemory(),
		}
		stop := s.net.Serve("slack.test", http.HandlerFunc(s.serve))
		s.web = s.net.Client()
		cfg := Config{
			APIURL: "http://slack.test/api", BotToken: secret.New(canaryBot), AppToken: secret.New(canaryApp), Dial: s.net.Dial, Registerer: s.registry,
			Commands: s.grammar, Envelopes: s.memory, Requests: s.memory, Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		if tune != nil {
			tune(&cfg)
		}
		s.cfg = cfg
		s.start()
		f(s)
		if s.done != nil {
			if err := s.stop(); err != nil {
				t.Errorf("Run: got %v, want nil after a stop", err)
			}
		}
		s.web.CloseIdleConnections()
		s.sim.Close()
		stop()
		for _, e := range s.sim.Events() {
			if strings.Contains(e.Text, "CANARY") {
				t.Errorf("a token was shown: %s", e.Text)
			}
			if e.Kind == "timeout" {
				t.Errorf("somebody waited for more than 3 s: %s", e.Text)
			}
		}
		for _, m := range logKey.FindAllStringSubmatch(quoted.ReplaceAllString(s.log.String(), "_"), -1) {
			if !slices.Contains(strings.Fields("time level msg app ticket command user check step attempt ref err"), m[1]) {
				t.Errorf("log key %q is not of the house's list", m[1])
			}
		}
		if strings.Contains(s.log.String(), "CANARY") || strings.Contains(s.log.String(), "/response/") {
			t.Errorf("a secret was logged:\n%s", s.log)
		}
	})
}

var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	logKey = regexp.MustCompile(`(?m)(?:^| )(\w+)=`)
)

// start runs a new bot, with a queue, on whatever the memory holds.
func (s *stage) start() {
	s.t.Helper()
	cfg := s.cfg
	s.queue = newQueue(s.memory)
	cfg.Wake = s.queue.Wake
	if cfg.Registerer != nil {
		s.registry = prometheus.NewRegistry()
		cfg.Registerer = s.registry
	}
	bot, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.bot = bot
	ctx, cancel := context.WithCancel(s.t.Context())
	s.cancel = cancel
	s.done = make(chan error, 1)
	s.queue.handlers = map[string]func(context.Context, Job) error{
		WorkCommand: bot.Perform, approval.WorkTell: bot.Tell, approval.WorkTellWaiver: bot.TellWaiver, audit.WorkDigest: bot.Digest, audit.WorkStale: bot.Stale, audit.WorkDrift: bot.Drift, watch.WorkTellDeployWatch: bot.TellDeployWatch, WorkReport: bot.Report,
	}
	var running sync.WaitGroup
	running.Go(func() { s.queue.run(ctx) })
	go func() {
		err := bot.Run(ctx)
		cancel()
		running.Wait()
		s.done <- err
	}()
	time.Sleep(10 * time.Second) // until both links are up
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
	synctest.Wait() // what it started has gone as far as it can without time
	return string(text)
}

// screen is what a person has before them.
func (s *stage) screen(person string) string {
	s.t.Helper()
	res, err := s.web.Get("http://slack.test/_control/see/" + person)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
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

// want looks for lines that begin as given, in any order, after a while for the bot
// to answer.
func (s *stage) want(within time.Duration, want ...string) {
	s.t.Helper()
	time.Sleep(within)
	got := s.saw()
	lines := strings.Split(got, "\n")
	if got == "" {
		lines = nil
	}
	slices.Sort(lines) // commands run side by side
	slices.Sort(want)
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
