package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
	simslack "example.com/zdd/sim/slack"
)

// memory is a network without sockets: a real socket would freeze the fake clock.
type memory map[string]*pipeListener

func (m memory) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	l, ok := m[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipeListener hands out the server's ends of pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// inMemory is the demo's simulation without sockets, for a synctest bubble.
func inMemory(t *testing.T) *simulation {
	t.Helper()
	network := memory{"slack.sim": newPipeListener(), "heroku.sim": newPipeListener()}
	s := &simulation{
		slackURL:  "http://slack.sim",
		herokuURL: "http://heroku.sim",
		client:    &http.Client{Transport: &http.Transport{DialContext: network.dial}},
		dial:      network.dial,
		dir:       t.TempDir(),
		policy:    demoPolicy,
		env:       map[string]string{},
		botLog:    &logBuffer{},
		slack:     simslack.New(simslack.Options{Strict: true}),
		heroku:    simheroku.New(simheroku.Options{}),
	}
	s.serveOn(network["slack.sim"], network["heroku.sim"])
	return s
}

// Every scenario is a story that a person can read, and must come true on the fake clock.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			playInBubble(t, file)
		})
	}
}

func playInBubble(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	story, err := play.Parse(file, f)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		s.env["LOG_LEVEL"] = "debug" // what could leak has to be written down
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer noSecret(t, s)
		said := ""
		if err := story.Run(t.Context(), s.world(sleep, func(line string) { said += line + "\n" })); err != nil {
			t.Errorf("%v\n--- told so far:\n%s--- the bot's log:\n%s", err, said, s.botLog)
		}
	})
}

// noSecret looks for the bot's tokens in its log and in everything that people saw. They
// are canaries: every scenario drives its own error paths with them.
func noSecret(t *testing.T, s *simulation) {
	t.Helper()
	seen, err := s.control(t.Context(), http.MethodGet, s.slackURL+"/_control/log?since=0", "")
	if err != nil {
		t.Error(err)
	}
	for where, text := range map[string]string{"the log": s.botLog.String(), "Slack": seen} {
		for _, canary := range []string{simslack.DefaultBotToken, simslack.DefaultAppToken, simheroku.DefaultToken, "hunter2", "/response/", "ticket="} {
			if strings.Contains(text, canary) {
				t.Errorf("%s holds the secret %q", where, canary)
			}
		}
	}
}
