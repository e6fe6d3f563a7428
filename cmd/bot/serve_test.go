package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	simheroku "example.com/zdd/sim/heroku"
)

// A token that Slack does not accept ends the program with a sentence and a status,
// whatever way Slack says it: nobody would notice a bot that tries for ever.
func TestWrongSlackTokenEndsTheBot(t *testing.T) {
	for _, refusal := range []string{"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope", "not_allowed_token_type", "team_disabled"} {
		t.Run(refusal, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t)
				defer s.close()
				if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "refuse "+refusal); err != nil {
					t.Fatal(err)
				}
				var errs bytes.Buffer
				code := run(t.Context(), []string{"serve"}, outside{Getenv: s.environment, Stdout: &errs, Stderr: &errs, Dial: s.dial})
				if code != exitError {
					t.Errorf("got status %d, want %d", code, exitError)
				}
				if got := errs.String(); !strings.Contains(got, "bot: ") || !strings.Contains(got, "SLACK_APP_TOKEN") && refusal != "team_disabled" {
					t.Errorf("got %q, want a sentence that says what to mend", got)
				}
			})
		})
	}
}

// A token revoked while the bot runs ends it too.
func TestSlackTokenRevokedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "revoke-token"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.bot.done:
			if s.bot.code != exitError {
				t.Errorf("got status %d, want %d", s.bot.code, exitError)
			}
		case <-time.After(10 * time.Minute):
			t.Error("the bot still runs after ten minutes")
		}
		noSecret(t, s)
	})
}

// With the database away from the start, what only reads is answered.
func TestDatabaseAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		s.env["DATABASE_URL"] = "postgres://zdd:hunter2@127.0.0.1:1/zdd" // nothing listens there
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		p := &prompter{simulation: s, out: &out, person: "requester"}
		if err := p.say(t.Context(), "type requester #general /zdd status shop"); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, "shop: not ready") {
			t.Errorf("got %q, want the status of shop", got)
		}
		noSecret(t, s)
	})
}

func TestEnvironmentMistakes(t *testing.T) {
	whole := map[string]string{"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "HEROKU_API_KEY": "HRKU-12345678"}
	tests := map[string]struct {
		change map[string]string
		args   []string
		code   int
		says   string
	}{
		"nothing set":           {change: map[string]string{"SLACK_BOT_TOKEN": "", "HEROKU_API_KEY": ""}, code: exitError, says: "SLACK_BOT_TOKEN is not set"},
		"SQLite on a dyno":      {change: map[string]string{"DYNO": "worker.1"}, code: exitError, says: "heroku addons:create heroku-postgresql"},
		"policy typo":           {change: map[string]string{"ZDD_POLICY_YAML": "aproval: {}"}, code: exitError, says: "ZDD_POLICY_YAML:1: aproval"},
		"policy file missing":   {change: map[string]string{"ZDD_POLICY": "no/such.yml"}, code: exitError, says: "the policy file no/such.yml, which ZDD_POLICY names, does not exist"},
		"log level":             {change: map[string]string{"LOG_LEVEL": "loud"}, code: exitUsage, says: "debug, info, warn or error"},
		"database of no kind":   {change: map[string]string{"DATABASE_URL": "mysql://u:hunter2@h/d"}, code: exitError, says: "DATABASE_URL is neither"},
		"no such program":       {args: []string{"sevre"}, code: exitUsage, says: `there is no program "sevre"`},
		"serve takes no words":  {args: []string{"serve", "now"}, code: exitUsage, says: "usage: bot serve"},
		"status of nothing":     {args: []string{"status"}, code: exitUsage, says: "usage: bot status APP"},
		"demo of no such story": {args: []string{"demo", "--play", "no/such.txt"}, code: exitError, says: "no/such.txt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			env := func(k string) string {
				if v, ok := tt.change[k]; ok {
					return v
				}
				return whole[k]
			}
			args := tt.args
			if args == nil {
				args = []string{"serve"}
			}
			var out bytes.Buffer
			if code := run(t.Context(), args, outside{Getenv: env, Stdout: &out, Stderr: &out}); code != tt.code {
				t.Errorf("got status %d, want %d", code, tt.code)
			}
			if !strings.Contains(out.String(), tt.says) {
				t.Errorf("got %q, want it to say %q", &out, tt.says)
			}
			if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "12345678") {
				t.Errorf("got %q, want no secret in it", &out)
			}
		})
	}
}

// No program sends a token over a network for everyone on the way to read; to this machine
// it may.
func TestTokensAreNotOverheard(t *testing.T) {
	programs := map[string][]string{
		"SLACK_API_URL":      {"serve"},
		"HEROKU_API_URL":     {"serve", "status shop", "report"},
		"HEROKU_METRICS_URL": {"serve", "status shop"},
	}
	for name, lines := range programs {
		for _, line := range lines {
			for address, want := range map[string]bool{
				"http://example.invalid": true, "http://10.0.0.1:5000/api/": true, "HTTP://127.0.0.1.example.invalid": true, "http://localhost.example.invalid": true,
				"http://127.0.0.1:1": false, "http://localhost:1/api/": false, "http://[::1]:1": false, "https://127.0.0.1:1": false,
			} {
				t.Run(name+" "+address+" "+line, func(t *testing.T) {
					env := map[string]string{
						"SLACK_BOT_TOKEN": "xoxb-canary", "SLACK_APP_TOKEN": "xapp-canary", "HEROKU_API_KEY": "HRKU-canary",
						"SLACK_API_URL": "http://127.0.0.1:1/", "HEROKU_API_URL": "http://127.0.0.1:1", "HEROKU_METRICS_URL": "http://127.0.0.1:1",
						"DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "zdd.db"),
					}
					env[name] = address
					ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond) // nothing listens there: none gets further than the first connection
					defer stop()
					var said bytes.Buffer
					run(ctx, strings.Fields(line), outside{Getenv: func(k string) string { return env[k] }, Stdout: &said, Stderr: &said})
					if got := strings.Contains(said.String(), name+" begins with http:// and is not on this machine"); got != want {
						t.Errorf("got %v, want %v: %s", got, want, &said)
					}
				})
			}
		}
	}
}

func TestStatusProgram(t *testing.T) {
	sim := simheroku.New(simheroku.Options{})
	defer sim.Close()
	server := httptest.NewServer(sim)
	defer server.Close()
	env := map[string]string{"HEROKU_API_KEY": simheroku.DefaultToken, "HEROKU_API_URL": server.URL, "HEROKU_METRICS_URL": server.URL, "ZDD_POLICY_YAML": "{}"}
	tests := []struct {
		args    []string
		code    int
		verdict string
		says    string
	}{
		{args: []string{"status", "shop"}, code: exitFindings, says: "shop: not ready"},
		{args: []string{"status", "checkout"}, code: exitGood, says: "checkout: ready"},
		{args: []string{"status", "seasonal"}, code: exitGood, says: "seasonal: not applicable"},
		{args: []string{"status", "bursty"}, code: exitUnknown, says: "bursty: unknown"},
		{args: []string{"status", "frozen"}, code: exitUnknown, says: "is suspended by Heroku"},
		{args: []string{"status", "chekout"}, code: exitError, says: "Did you mean `checkout`?"},
		{args: []string{"status", "shop/config-vars#"}, code: exitError, says: "I can't read"},
		{args: []string{"status", "--json", "shop"}, code: exitFindings, verdict: "not-ready"},
		{args: []string{"status", "checkout", "--json"}, code: exitGood, verdict: "ready"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), tt.args, outside{Getenv: func(k string) string { return env[k] }, Stdout: &out, Stderr: &errs}); code != tt.code {
				t.Errorf("got exit code %d, want %d", code, tt.code)
			}
			if got := out.String() + errs.String(); !strings.Contains(got, tt.says) || strings.Contains(got, "\x1b") {
				t.Errorf("got %q, want %q and no colour", got, tt.says)
			}
			if tt.verdict != "" {
				var report struct{ Verdict string }
				if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.Verdict != tt.verdict {
					t.Errorf("got verdict %q, %v, want %q", report.Verdict, err, tt.verdict)
				}
			}
		})
	}
}

// The demo on real sockets, as a person pipes lines into it.
func TestDemo(t *testing.T) {
	typed := strings.NewReader("/zdd status shop\napps\nas guest\nstatus shop\nas nobody\nhelp\nslack nonsense\nlog\nquit\n")
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"demo"}, outside{Getenv: func(string) string { return "" }, Stdin: typed, Stdout: &out, Stderr: &errs}); code != exitGood {
		t.Fatalf("got status %d, want %d\n%s%s", code, exitGood, &out, &errs)
	}
	for _, want := range []string{"shop: not ready", "checkout web=2", "You are a guest in this workspace", `nobody here is called "nobody": there are Robin (requester), Ada (approver)`, "Look behind the curtain", "! nonsense: unknown command", "connected to slack as a bot"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// bot demo --play tells a story on the real clock.
func TestDemoPlays(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--play", "testdata/scenarios/status.txt"}, outside{Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &errs}); code != exitGood {
		t.Fatalf("got status %d, want %d\n%s%s", code, exitGood, &out, &errs)
	}
	if !strings.Contains(out.String(), "shop: ready") {
		t.Errorf("got %q, want the story", &out)
	}
}

// The policy's readers can be a user group; whoever is in it is let in, and nobody is
// where it can't be read.
func TestReadersByGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		s.policy = "people: { readers: [S0PLATFORM] }"
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ask := func(person, want string) {
			t.Helper()
			var out strings.Builder
			p := &prompter{simulation: s, out: &out, person: person}
			p.obey(t.Context(), "/zdd status shop")
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: got %q, want %q", person, out.String(), want)
			}
		}
		ask("requester", "shop: not ready")
		ask("approver", "readers: [S0PLATFORM, U0APPROVER]")
		if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "method off usergroups.users.list"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // groups are believed for one
		ask("requester", "could not read who is in them")
	})
}
