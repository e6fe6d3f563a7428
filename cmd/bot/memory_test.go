package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/internal/ramdir"
	"example.com/zdd/jobs"
	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
	simslack "example.com/zdd/sim/slack"
)

// testPolicy is the demo's company with the waits of production.
const testPolicy = `
people:
  operators: [U0REQUESTER, U0APPROVER]
  approvers: [U0APPROVER, U0APPROVER2]
approval: { channel: C0OPS }
digest: { channel: C0OPS, timezone: Europe/Berlin }
`

// inMemory is the demo's simulation without sockets, for a synctest bubble.
func inMemory(t *testing.T) *simulation {
	t.Helper()
	return inMemoryOf(t, simheroku.Options{Domain: appDomain})
}

// inMemoryOf is inMemory with another Heroku.
func inMemoryOf(t *testing.T, options simheroku.Options) *simulation {
	t.Helper()
	network := &play.Network{}
	s := &simulation{
		slackURL:  "http://slack.sim",
		herokuURL: "http://heroku.sim",
		client:    network.Client(),
		dial:      network.Dial,
		dir:       ramdir.New(t),
		policy:    testPolicy,
		ledgerKey: "canary-ledger-key-0123456789",
		env:       map[string]string{},
		botLog:    &logBuffer{},
		// What one process enqueues it wakes itself for; a look of each queue every half a
		// minute over days of nights is most of what these tests would do.
		queue:  jobs.Timing{Look: time.Hour},
		slack:  simslack.New(simslack.Options{Strict: true}),
		heroku: simheroku.New(options),
		probe: func(ctx context.Context, kind, addr string) (net.Conn, error) {
			if !strings.HasSuffix(addr, "."+appDomain+":80") {
				return nil, fmt.Errorf("dial %s: no such host in this network", addr)
			}
			return network.Dial(ctx, kind, "router.sim:80")
		},
	}
	s.serveOn(network.Listen("slack.sim"), network.Listen("heroku.sim"))
	s.serve(network.Listen("router.sim"), s.heroku.Router())
	return s
}

// appDomain is that of the simulated apps, without TLS.
const appDomain = "herokuapp.com"

// Every scenario is a story that a person can read, and must come true on the fake clock.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var look []func(*testing.T, *simulation)
	if packages := npmPackages(t); packages != "" {
		shapes := &blockShapes{blocks: map[string]string{}, views: map[string]string{}}
		look = append(look, func(t *testing.T, s *simulation) { shapes.collect(filepath.Base(t.Name()), s.slack) })
		t.Cleanup(func() { shapes.hold(t, packages) }) // after all that run beside each other
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			playInBubble(t, file, look...)
		})
	}
}

// playInBubble plays a story, and calls look at its end, whatever it is.
func playInBubble(t *testing.T, file string, look ...func(*testing.T, *simulation)) {
	story, err := openStory(file)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		story.set(s)
		s.env["LOG_LEVEL"] = "debug" // what could leak has to be written down
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer noSecret(t, s)
		defer func() {
			for _, f := range look {
				f(t, s)
			}
		}()
		said := ""
		if err := story.Run(t.Context(), s.world(sleep, func(line string) { said += line + "\n" })); err != nil {
			t.Errorf("%v\n--- told so far:\n%s--- the bot's log:\n%s", err, said, s.botLog)
		}
		t.Log("\n" + said) // how it reads, with -v
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
		for _, canary := range []string{simslack.DefaultBotToken, simslack.DefaultAppToken, simheroku.DefaultToken, "hunter2", "canary-ledger-key", "/response/", "?ticket="} {
			if strings.Contains(text, canary) {
				t.Errorf("%s holds the secret %q", where, canary)
			}
		}
	}
}
