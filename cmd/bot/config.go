package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"example.com/zdd/policy"
	"example.com/zdd/secret"
)

// setting is one variable of the environment: docs/configuration.md is made from these.
type setting struct {
	Name    string
	Default string // in words where it is none; empty: not set
	Meaning string
}

// settings are all variables that the bot reads.
func settings() []setting {
	return []setting{
		{"SLACK_BOT_TOKEN", "", "The bot's token, `xoxb-…`. Slack makes it when the app is installed: *OAuth & Permissions*."},
		{"SLACK_APP_TOKEN", "", "The app-level token, `xapp-…`, with the scope `connections:write`: *Basic Information → App-Level Tokens*."},
		{"HEROKU_API_KEY", "", "A Heroku authorization with the scopes `read,write` (`read` is enough for `bot status`, `bot report` and `bot watch`): `heroku authorizations:create --scope read,write`."},
		{"DATABASE_URL", "a SQLite file, `zdd.db`", "`postgres://…`, or `sqlite:FILE`. On Heroku the add-on sets it."},
		{"ZDD_POLICY", "`zdd.yml`", "The policy file. One that is named and missing is an error; without any, the safe defaults hold."},
		{"ZDD_POLICY_YAML", "", "The whole text of the policy, instead of a file."},
		{"ZDD_SELF_APP", "", "Name or UUID of the Heroku app that the bot itself runs on, which it must never touch. Not needed where `heroku labs:enable runtime-dyno-metadata` sets `HEROKU_APP_ID`."},
		{"ZDD_SQLITE_ON_DYNO", "", "`yes` lets the bot start on SQLite on a Heroku dyno, whose disk is lost at every restart. For trying it out only."},
		{"ZDD_LEDGER_KEY", "", "A long random text that seals the ledger of who did what (`openssl rand -hex 32`). Keep it outside the database. Without it the bot changes nothing, and `bot ledger verify` proves integrity only."},
		{"ZDD_LEDGER_FORMER_KEYS", "", "Ledger keys that `ZDD_LEDGER_KEY` has replaced, with spaces between: `bot ledger verify` needs them for what they sealed. Nothing else does."},
		{"PORT", "", "When set, `/healthz`, `/readyz` and `/metrics` (Prometheus) are served on it: a port, or address:port."},
		{"LOG_LEVEL", "`info`", "`debug`, `info`, `warn` or `error`."},
		{"SLACK_API_URL", "`https://slack.com/api/`", "Another server that speaks Slack's Web API and Socket Mode; `http://` on this machine only."},
		{"HEROKU_API_URL", "`https://api.heroku.com`", "Another server that speaks Heroku's Platform API; `http://` on this machine only."},
		{"HEROKU_METRICS_URL", "`https://api.metrics.heroku.com`", "Another server for the autoscaling monitors; `http://` on this machine only."},
		{"NO_COLOR", "", "When set, terminals get no colour."},
	}
}

// config is the environment, read once.
type config struct {
	slackBot, slackApp, herokuKey  secret.Text
	slackURL, herokuURL, metricURL string
	database, ledgerKey            secret.Text
	formerKeys                     []secret.Text
	policyFile, policyText         string
	selfApp, herokuAppID, dyno     string
	sqliteOnDyno                   bool
	port, logLevel                 string
}

func readConfig(getenv func(string) string) config {
	env := func(name string) string { return strings.TrimSpace(getenv(name)) }
	slackURL := cmp.Or(env("SLACK_API_URL"), "https://slack.com/api/")
	if !strings.HasSuffix(slackURL, "/") {
		slackURL += "/" // slack-go pastes the method right behind it
	}
	var former []secret.Text
	for key := range strings.FieldsSeq(getenv("ZDD_LEDGER_FORMER_KEYS")) {
		former = append(former, secret.New(key))
	}
	return config{
		formerKeys:   former,
		slackBot:     secret.New(env("SLACK_BOT_TOKEN")),
		slackApp:     secret.New(env("SLACK_APP_TOKEN")),
		herokuKey:    secret.New(env("HEROKU_API_KEY")),
		slackURL:     slackURL,
		herokuURL:    strings.TrimSuffix(cmp.Or(env("HEROKU_API_URL"), "https://api.heroku.com"), "/"),
		metricURL:    strings.TrimSuffix(cmp.Or(env("HEROKU_METRICS_URL"), "https://api.metrics.heroku.com"), "/"),
		database:     secret.New(env("DATABASE_URL")),
		ledgerKey:    secret.New(env("ZDD_LEDGER_KEY")),
		policyFile:   env("ZDD_POLICY"),
		policyText:   getenv("ZDD_POLICY_YAML"),
		selfApp:      env("ZDD_SELF_APP"),
		herokuAppID:  env("HEROKU_APP_ID"),
		dyno:         env("DYNO"),
		sqliteOnDyno: strings.EqualFold(env("ZDD_SQLITE_ON_DYNO"), "yes"),
		port:         env("PORT"),
		logLevel:     env("LOG_LEVEL"),
	}
}

// redact takes every secret of the environment out of a text.
func (c config) redact(s string) string {
	return secret.Redact(s, append([]secret.Text{c.slackBot, c.slackApp, c.herokuKey, c.database, c.ledgerKey}, c.formerKeys...)...)
}

// missing is an error that names what of the given variables is not set, with what each is.
func (c config) missing(names ...string) error {
	have := map[string]secret.Text{"SLACK_BOT_TOKEN": c.slackBot, "SLACK_APP_TOKEN": c.slackApp, "HEROKU_API_KEY": c.herokuKey}
	var lines []string
	for _, s := range settings() {
		for _, name := range names {
			if s.Name == name && have[name].IsZero() {
				lines = append(lines, fmt.Sprintf("%s is not set. %s", name, s.Meaning))
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return &exit{exitError, strings.Join(lines, "\n     ")}
}

// overheard is an error that names an address to which a token would go for everyone on
// the way to read. On this machine nobody is on the way, and a test's own network (dialed)
// has nobody on it.
func (c config) overheard(o outside, names ...string) error {
	if o.Dial != nil {
		return nil
	}
	have := map[string]string{"SLACK_API_URL": c.slackURL, "HEROKU_API_URL": c.herokuURL, "HEROKU_METRICS_URL": c.metricURL}
	for _, name := range names {
		u, err := url.Parse(have[name])
		if err != nil || u.Scheme != "http" {
			continue // what is no address at all is refused where it is used
		}
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			continue
		}
		return &exit{exitError, fmt.Sprintf("%s begins with http:// and is not on this machine: everyone on the way could read the token. Nothing was sent there. Let it begin with https://, or unset it.", name)}
	}
	return nil
}

// policy reads the policy in force and says where it came from.
func (c config) policy() (policy.Policy, string, error) {
	if strings.TrimSpace(c.policyText) != "" {
		p, err := policy.Parse("ZDD_POLICY_YAML", []byte(c.policyText))
		return p, "ZDD_POLICY_YAML", err
	}
	file := cmp.Or(c.policyFile, "zdd.yml")
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.policyFile == "":
		return policy.Default(), "the defaults (there is no zdd.yml)", nil
	case errors.Is(err, fs.ErrNotExist):
		return policy.Policy{}, file, fmt.Errorf("the policy file %s, which ZDD_POLICY names, does not exist: make it (zdd.example.yml shows every key) or unset ZDD_POLICY", file)
	case err != nil:
		return policy.Policy{}, file, fmt.Errorf("the policy file can't be read: %w", err)
	}
	p, err := policy.Parse(file, text)
	return p, file, err
}

// logger logs to w, without any secret.
func (c config) logger(o outside) (*slog.Logger, error) {
	var level slog.Level
	if c.logLevel != "" {
		if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
			return nil, &exit{exitUsage, fmt.Sprintf("LOG_LEVEL is %q; it can be debug, info, warn or error", c.logLevel)}
		}
	}
	return slog.New(slog.NewTextHandler(o.Stderr, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch v := a.Value.Resolve().Any().(type) {
			case string:
				a.Value = slog.StringValue(c.redact(v))
			case error:
				a.Value = slog.StringValue(c.redact(v.Error()))
			}
			return a
		},
	})), nil
}
