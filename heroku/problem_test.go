package heroku

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/secret"
)

func TestConnectionProblem(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	tests := map[string]struct {
		ctx     context.Context
		err     error
		message string
		cause   error
		passing bool
	}{
		"reset":            {t.Context(), &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "connection reset", syscall.ECONNRESET, true},
		"broken pipe":      {t.Context(), &net.OpError{Op: "write", Err: syscall.EPIPE}, "connection reset", syscall.ECONNRESET, true},
		"refused":          {t.Context(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "connection refused", syscall.ECONNREFUSED, true},
		"no such host":     {t.Context(), &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "api.heroku.com"}}, "its host name cannot be resolved", nil, true},
		"slow name":        {t.Context(), &net.DNSError{Err: "timeout", IsTimeout: true}, "timed out", context.DeadlineExceeded, true},
		"end":              {t.Context(), io.EOF, "the connection broke off", io.ErrUnexpectedEOF, true},
		"slow":             {t.Context(), os.ErrDeadlineExceeded, "timed out", context.DeadlineExceeded, true},
		"too long":         {t.Context(), errTooLong, "its answer is too long to be one", errTooLong, false},
		"given up":         {ended, errors.New("whatever"), "the request was given up", context.Canceled, false},
		"unheard of":       {t.Context(), errors.New("odd\nHRKU-0123456789abcdef"), "odd [redacted]", nil, true},
		"our own deadline": {t.Context(), context.DeadlineExceeded, "timed out", context.DeadlineExceeded, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := connectionProblem(tt.ctx, tt.err, secret.Text{})
			if p.Kind != fleet.Unavailable || p.Message != tt.message || !errors.Is(p.Err, tt.cause) {
				t.Errorf("got %+v because of %v, want %q because of %v", p, p.Err, tt.message, tt.cause)
			}
			if got := passingConnection(tt.ctx, p); got != tt.passing {
				t.Errorf("passing: got %v, want %v", got, tt.passing)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{
			"": 0, "90": 90 * time.Second, "-5": 0, "soon": 0, "99999999": time.Hour,
			time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat):  2 * time.Minute,
			time.Now().Add(-2 * time.Minute).UTC().Format(http.TimeFormat): 0,
		} {
			if got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {text}}}); got != want {
				t.Errorf("%q: got %v, want %v", text, got, want)
			}
		}
	})
}

func TestAnswerWithoutEnd(t *testing.T) {
	sent := 0
	s, _ := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
		sent++
		resp := answering(req, 200, "")
		resp.Body = io.NopCloser(endless{})
		return resp, nil
	}))
	_, err := s.AccountInfo(t.Context())
	if !errors.Is(err, errTooLong) || sent != 1 {
		t.Errorf("got %v after %d requests, want too long after one", err, sent)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A server whose certificate nobody vouches for gets no token, and is not asked again.
func TestUntrustedServer(t *testing.T) {
	asked := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	c, err := New(Config{Key: secret.New("HRKU-test-token"), URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.ReadAccount(t.Context())
	p, _ := errors.AsType[*fleet.Problem](err)
	if p == nil || !errors.Is(p, errUntrusted) || !strings.Contains(p.Message, "certificate") || asked != 0 {
		t.Errorf("got %+v and %d requests, want an untrusted certificate and none", p, asked)
	}
}
