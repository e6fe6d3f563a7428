package main

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
)

// Each planted mistake is found, and its cure is printed.
func TestDoctor(t *testing.T) {
	const people = "people: { operators: [U0REQUESTER], approvers: [U0APPROVER, S0FINOPS] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }\n"
	tests := map[string]struct {
		env    map[string]string
		slack  string // a command to the simulated Slack first
		heroku string
		code   int
		says   []string
	}{
		"all is well": {code: exitGood, says: []string{"the token works: account ops@acme.example", "@zdd in Acme", "every scope it needs", "approval.channel C0OPS: #ops", "0 wrong, 0 unknown"}},
		"no tokens": {env: map[string]string{"HEROKU_API_KEY": "", "SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": ""}, code: exitFindings,
			says: []string{"HEROKU_API_KEY is not set", "heroku authorizations:create --scope read,write", "SLACK_BOT_TOKEN is not set", "SLACK_APP_TOKEN is not set", "connections:write"}},
		"tokens swapped": {env: map[string]string{"SLACK_BOT_TOKEN": simslack.DefaultAppToken, "SLACK_APP_TOKEN": simslack.DefaultBotToken}, code: exitFindings,
			says: []string{"SLACK_BOT_TOKEN holds an app-level token; it must begin with xoxb-", "SLACK_APP_TOKEN holds a bot token; it must begin with xapp-"}},
		"wrong Heroku key":   {env: map[string]string{"HEROKU_API_KEY": "HRKU-wrong-wrong-wrong"}, code: exitFindings, says: []string{"Heroku does not accept HEROKU_API_KEY"}},
		"wrong bot token":    {env: map[string]string{"SLACK_BOT_TOKEN": "xoxb-wrong"}, code: exitFindings, says: []string{"SLACK_BOT_TOKEN is not accepted by Slack (invalid_auth)"}},
		"a scope is missing": {slack: "scope remove usergroups:read", code: exitFindings, says: []string{"the bot token lacks usergroups:read", "Reinstall to Workspace"}},
		"no such channel":    {env: map[string]string{"ZDD_POLICY_YAML": "approval: { channel: C0NOWHERE }"}, code: exitFindings, says: []string{"approval.channel C0NOWHERE: there is no such channel"}},
		"archived channel":   {slack: "channel archive #ops", code: exitFindings, says: []string{"#ops is archived"}},
		"not in the channel": {slack: "channel kick #ops", says: []string{"the bot is not in #ops", "/invite @zdd"}},
		"no such approver":   {env: map[string]string{"ZDD_POLICY_YAML": "people: { approvers: [U0NOBODY] }"}, code: exitFindings, says: []string{"people.approvers U0NOBODY: there is no such person", "Copy member ID"}},
		"approver is a guest": {env: map[string]string{"ZDD_POLICY_YAML": "people: { approvers: [U0GUEST] }"}, code: exitFindings,
			says: []string{"people.approvers U0GUEST: a guest"}},
		"approver has left":     {slack: "user deactivate approver", code: exitFindings, says: []string{"people.approvers U0APPROVER: the account is deactivated"}},
		"policy typo":           {env: map[string]string{"ZDD_POLICY_YAML": "limits:\n  web_dynoes: 3\n"}, code: exitFindings, says: []string{"ZDD_POLICY_YAML:2", "web_dynoes"}},
		"nobody named":          {env: map[string]string{"ZDD_POLICY_YAML": "{}"}, says: []string{"nobody can approve what costs money", "approvers: [", "no nightly digest is posted"}},
		"SQLite on a dyno":      {env: map[string]string{"DYNO": "worker.1", "HEROKU_APP_ID": "x"}, code: exitFindings, says: []string{"SQLite on a dyno", "heroku addons:create heroku-postgresql"}},
		"own app unknown":       {env: map[string]string{"DYNO": "worker.1", "ZDD_SQLITE_ON_DYNO": "yes"}, code: exitFindings, says: []string{"does not know which app is its own", "heroku labs:enable runtime-dyno-metadata"}},
		"bad database url":      {env: map[string]string{"DATABASE_URL": "mysql://u:hunter2@h/d"}, code: exitFindings, says: []string{"DATABASE_URL is neither postgres"}},
		"Heroku is down":        {heroku: "fault GET /** 503html", code: exitUnknown, says: []string{"status.heroku.com"}},
		"calls are used up":     {heroku: "bucket 100", says: []string{"less than the reserve of 500"}},
		"Slack does not answer": {slack: "fault auth.test 503", code: exitUnknown, says: []string{"status.slack.com"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slackSim, herokuSim := simslack.New(simslack.Options{}), simheroku.New(simheroku.Options{})
			slack, heroku := httptest.NewServer(slackSim), httptest.NewServer(herokuSim)
			defer func() { slackSim.Close(); herokuSim.Close(); slack.Close(); heroku.Close() }()
			s := &simulation{slackURL: slack.URL, herokuURL: heroku.URL, client: slack.Client(), dir: t.TempDir(), policy: people, env: tt.env}
			for url, line := range map[string]string{slack.URL: tt.slack, heroku.URL: tt.heroku} {
				if line == "" {
					continue
				}
				if _, err := s.control(t.Context(), "POST", url+"/_control/do", line); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			code := run(t.Context(), []string{"doctor"}, outside{Getenv: s.environment, Stdout: &out, Stderr: &errs})
			got := out.String() + errs.String()
			if code != tt.code {
				t.Errorf("got exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.says {
				if !strings.Contains(got, want) {
					t.Errorf("lacks %q", want)
				}
			}
			for _, secret := range []string{"hunter2", "HRKU-wrong", "xoxb-", simslack.DefaultAppToken, simheroku.DefaultToken} {
				if strings.Contains(strings.ReplaceAll(got, "begin with xoxb-", ""), secret) {
					t.Errorf("shows the secret %s", secret)
				}
			}
			if t.Failed() {
				t.Log(got)
			}
		})
	}
}
