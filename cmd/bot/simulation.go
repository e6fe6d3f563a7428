package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/jobs"
	"example.com/zdd/rollout"
	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/watch"
)

// simulation is both simulators and the bot between them, talking over real wire
// protocols: the bot in it is the program that production runs, told only other
// addresses and another database. The demo runs it on loopback, the tests in memory.
type simulation struct {
	slackURL, herokuURL string
	client              *http.Client // for /_control
	dial                func(ctx context.Context, network, addr string) (net.Conn, error)
	dir                 string // holds the bot's SQLite file
	policy, ledgerKey   string
	policies            map[string]string // what the policy may become, by name
	rollout             rollout.Timing
	nights              chan struct{} // has the bot run a night now
	look                bool          // the bot looks at the fleet when it starts
	queue               jobs.Timing
	watch               audit.WatchTiming
	probe               watch.Dial        // reaches the simulated router, and nothing else
	deploys             watch.Timing      // of watches of deploys
	env                 map[string]string // wins over what the simulation sets
	botLog              *logBuffer

	slack   *simslack.Server
	heroku  *simheroku.Server
	servers []*http.Server
	serving sync.WaitGroup

	mu  sync.Mutex
	bot *runningBot
}

type runningBot struct {
	stop context.CancelFunc
	done chan struct{}
	code int
}

const (
	// connectWithin is how long the bot may take to connect to the simulated Slack.
	connectWithin = 20 * time.Second
	// controlTimeout bounds one control request; those that wait for something to
	// appear wait for less.
	controlTimeout = 2 * time.Minute
	// look is the pause between two looks at something that is about to happen.
	look = 20 * time.Millisecond
)

// serveOn serves both simulators on the two listeners.
func (s *simulation) serveOn(slackListener, herokuListener net.Listener) {
	s.serve(slackListener, s.slack)
	s.serve(herokuListener, s.heroku)
}

// serve serves a handler on a listener until the simulation is closed.
func (s *simulation) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	s.servers = append(s.servers, server)
	s.serving.Go(func() { _ = server.Serve(listener) }) // ends with ErrServerClosed
}

// environment is what the bot in the simulation is told.
func (s *simulation) environment(name string) string {
	if v, ok := s.env[name]; ok {
		return v
	}
	return map[string]string{
		"SLACK_BOT_TOKEN":    simslack.DefaultBotToken,
		"SLACK_APP_TOKEN":    simslack.DefaultAppToken,
		"SLACK_API_URL":      s.slackURL + "/api/",
		"HEROKU_API_KEY":     simheroku.DefaultToken,
		"HEROKU_API_URL":     s.herokuURL,
		"HEROKU_METRICS_URL": s.herokuURL,
		"DATABASE_URL":       "sqlite:" + filepath.Join(s.dir, "zdd.db"),
		"ZDD_POLICY_YAML":    s.policy,
		"ZDD_LEDGER_KEY":     s.ledgerKey,
	}[name]
}

// start starts the bot and waits until Slack has a link to it.
func (s *simulation) start(ctx context.Context) error {
	s.mu.Lock()
	if s.bot != nil {
		s.mu.Unlock()
		return errors.New("the bot runs already")
	}
	botCtx, stop := context.WithCancel(ctx)
	bot := &runningBot{stop: stop, done: make(chan struct{})}
	s.bot = bot
	s.mu.Unlock()
	go func() {
		defer close(bot.done)
		bot.code = run(botCtx, []string{"serve"}, outside{Getenv: s.environment, Stdout: s.botLog, Stderr: s.botLog, Dial: s.dial, Rollout: s.rollout, Queue: s.queue, Night: s.nights, Look: s.look, Watch: s.watch, Deploys: s.deploys, Probe: s.probe})
	}()
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for {
		select {
		case <-bot.done:
			return fmt.Errorf("the bot ended with status %d:\n%s", bot.code, s.botLog)
		case <-ctx.Done():
			return fmt.Errorf("the bot did not connect: %w\n%s", ctx.Err(), s.botLog)
		case <-time.After(look):
		}
		if s.links(ctx) != "0" {
			return nil
		}
	}
}

// links is how many Socket Mode connections the simulated Slack has, as it prints it.
func (s *simulation) links(ctx context.Context) string {
	text, err := s.control(ctx, http.MethodGet, s.slackURL+"/_control/links", "")
	if err != nil {
		return "0"
	}
	return strings.TrimSpace(text)
}

// stopBot stops the bot as SIGTERM does and waits for it.
func (s *simulation) stopBot() error {
	s.mu.Lock()
	bot := s.bot
	s.bot = nil
	s.mu.Unlock()
	if bot == nil {
		return errors.New("the bot does not run")
	}
	bot.stop()
	<-bot.done
	return nil
}

// lifecycle is what a script's "bot …" lines do. A goroutine can't be killed, so
// "kill" is a stop here; real kills are the crash campaign's.
func (s *simulation) lifecycle(ctx context.Context, verb string) error {
	verb, rest, _ := strings.Cut(verb, " ")
	var stopped error
	switch verb {
	case "stop", "kill":
		return s.stopBot()
	case "restart":
		stopped = s.stopBot()
		fallthrough
	case "start":
		if err := errors.Join(stopped, s.reset(strings.Fields(rest))); err != nil {
			return err
		}
		return s.start(ctx)
	}
	return fmt.Errorf("a bot can start, stop, restart or be killed, not %q", verb)
}

// world is the simulation as scripts see it.
func (s *simulation) world(sleep func(context.Context, time.Duration) error, say func(string)) play.World {
	return play.World{Slack: s.slackURL, Heroku: s.herokuURL, Client: s.client, Sleep: sleep, Say: say, Bot: s.lifecycle, Log: s.botLog.String}
}

// close ends everything.
func (s *simulation) close() {
	_ = s.stopBot() // it may have ended by itself
	s.client.CloseIdleConnections()
	s.slack.Close()
	s.heroku.Close()
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.serving.Wait()
}

// control asks a simulator's /_control; an answer that is not 200 is an error with its text.
func (s *simulation) control(ctx context.Context, method, url, body string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(text.String()))
	}
	return text.String(), nil
}

// logBuffer keeps the newest of the bot's log.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

// logKept bounds what a logBuffer holds, in bytes.
const logKept = 1 << 20

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if over := len(b.text) - logKept; over > 0 {
		b.text = append(b.text[:0], b.text[over:]...)
	}
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
