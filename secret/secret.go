// Package secret keeps tokens, passwords and one-time addresses out of logs, replies
// and errors. It is no vault: a secret is in memory in the clear, and who calls
// Reveal is answerable for where it goes.
package secret

import (
	"log/slog"
	"regexp"
	"strings"
)

// shown stands where a secret was.
const shown = "[redacted]"

// Text is a secret. Every way of printing, logging or encoding it shows "[redacted]", or
// nothing at all where it is empty. The zero value is empty. It holds the secret behind a
// pointer, because fmt calls no methods of what is in unexported fields: there "%+v" of
// the struct around it shows an address. For the same reason two of them can't be
// compared; their Reveal can.
type Text struct {
	_ [0]func() // not comparable
	s *string   // nil: empty
}

// New makes a secret of what was read from where secrets are kept.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{s: &s}
}

// Reveal is the secret itself, for the one place that must send it.
func (t Text) Reveal() string {
	if t.s == nil {
		return ""
	}
	return *t.s
}

// IsZero says whether it is empty.
func (t Text) IsZero() bool { return t.s == nil }

// String hides the secret; an empty one shows as empty, so that "not set" can be seen.
func (t Text) String() string {
	if t.IsZero() {
		return ""
	}
	return shown
}

// GoString hides the secret from %#v.
func (t Text) GoString() string { return `"` + t.String() + `"` }

// LogValue hides the secret from log/slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText hides the secret from every encoder.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

var shapes = []*regexp.Regexp{
	regexp.MustCompile(`HRKU-[A-Za-z0-9_-]{8,}`),                                                   // Heroku authorizations since 2024
	regexp.MustCompile(`xox[a-z](?:-[A-Za-z0-9]+)+`),                                               // Slack bot and user tokens
	regexp.MustCompile(`xapp-[A-Za-z0-9-]+`),                                                       // Slack app-level tokens
	regexp.MustCompile(`(?i)bearer\s+[A-Za-z0-9._~+/=-]{16,}`),                                     // Authorization headers
	regexp.MustCompile(`(?i)basic\s+[A-Za-z0-9+/=]{16,}`),                                          //
	regexp.MustCompile(`(https?://[^\s"'/]+/)(?:services|commands|actions|app|response)/[^\s"']+`), // response_url and hooks: whoever has one can post
	regexp.MustCompile(`wss?://[^\s"']*`),                                                          // Socket Mode links carry a ticket
}

var userinfo = regexp.MustCompile(`([a-z][a-z0-9+.-]*://)[^\s/@"']*@`)

// Redact takes the known shapes of secrets, and the given ones wherever they occur,
// out of a text. A Heroku key of the old shape is a plain UUID, as app ids are: it is
// found only when it is given.
func Redact(s string, known ...Text) string {
	for _, k := range known {
		if plain := k.Reveal(); len(plain) >= 4 { // shorter ones would blank out innocent text
			s = strings.ReplaceAll(s, plain, shown)
		}
	}
	s = userinfo.ReplaceAllString(s, "${1}"+shown+"@")
	for _, shape := range shapes {
		s = shape.ReplaceAllString(s, "${1}"+shown)
	}
	return s
}
