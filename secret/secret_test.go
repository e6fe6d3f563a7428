package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTextNeverShows(t *testing.T) {
	const canary = "HRKU-canary-0123456789"
	s := Text(canary)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", s, "in", struct{ K Text }{s})
	encoded, err := json.Marshal(map[string]any{"k": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%v %s %q %#v %+v", s, s, s, s, struct{ K Text }{s}), log.String(), string(encoded)} {
		if strings.Contains(got, "canary") {
			t.Errorf("got %q, want no canary", got)
		}
	}
	if got := fmt.Sprint(Text("")); got != "" {
		t.Errorf("empty secret: got %q, want nothing", got)
	}
}

func TestRedact(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"heroku key":      {"bad key HRKU-AAbb_cc-dd99 used", "bad key [redacted] used"},
		"bot token":       {"xoxb-123-456-abc", "[redacted]"},
		"app token":       {"token=xapp-1-A0-99-ff.", "token=[redacted]."},
		"header":          {"Authorization: Bearer abcdefghijklmnop.qrs", "Authorization: [redacted]"},
		"database":        {"dial postgres://zdd:hunter2@db:5432/zdd", "dial postgres://[redacted]@db:5432/zdd"},
		"response_url":    {`Post "https://hooks.slack.com/commands/T1/2/abc": EOF`, `Post "https://hooks.slack.com/[redacted]": EOF`},
		"socket":          {"dial wss://wss-primary.slack.com/link/?ticket=1", "dial [redacted]"},
		"old-shape key":   {"key 01234567-89ab-cdef-0123-456789abcdef", "key [redacted]"},
		"innocent":        {"Basic dynos and Standard-1X cost $25.00", "Basic dynos and Standard-1X cost $25.00"},
		"innocent bearer": {"the bearer of news", "the bearer of news"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Redact(tt.in, "01234567-89ab-cdef-0123-456789abcdef", "xy"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
