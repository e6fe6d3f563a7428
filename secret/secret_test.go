package secret

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTextNeverShows(t *testing.T) {
	const canary = "HRKU-canary-0123456789"
	s := New(canary)
	type hidden struct {
		k    Text
		more []Text
		byID map[string]Text
		deep *struct{ k Text }
	}
	in := hidden{s, []Text{s}, map[string]Text{"k": s}, &struct{ k Text }{s}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", s, "in", struct{ K Text }{s}, "hidden", in)
	encoded, err := json.Marshal(map[string]any{"k": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%v %s %q %#v %+v", s, s, s, s, struct{ K Text }{s}), log.String(), string(encoded)} {
		if strings.Contains(got, "canary") {
			t.Errorf("got %q, want no canary", got)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%p", "%t"} {
		for _, v := range []any{s, in, &in, in.deep, *in.deep, in.more, in.byID} {
			got := fmt.Sprintf(verb, v)
			if strings.Contains(got, "canary") || strings.Contains(strings.ToLower(got), hex.EncodeToString([]byte("canary"))) {
				t.Errorf("%s of %T: got %q, want no canary", verb, v, got)
			}
		}
	}
	for name, empty := range map[string]Text{"zero": {}, "of nothing": New("")} {
		if got := fmt.Sprint(empty); got != "" || !empty.IsZero() || empty.Reveal() != "" {
			t.Errorf("%s: got %q, zero %v, want an empty one that prints nothing", name, got, empty.IsZero())
		}
	}
	if s.IsZero() || s.Reveal() != canary {
		t.Error("the secret is lost")
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
			if got := Redact(tt.in, New("01234567-89ab-cdef-0123-456789abcdef"), New("xy"), Text{}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
