package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"example.com/zdd/secret"
)

// api is Slack's Web API and its response URLs, over one connection pool.
type api struct {
	cfg   Config
	http  *http.Client
	slack *slack.Client
	once  *once
}

func newAPI(cfg Config, once *once) *api {
	a := &api{
		cfg:  cfg,
		once: once,
		http: &http.Client{
			Transport:     cfg.transport(),
			Timeout:       cfg.Timing.HTTP,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a redirect would carry the token along
		},
	}
	a.slack = a.client(a.http)
	return a
}

// client makes a slack-go client. Its log is silenced: the debug log prints tokens'
// neighbours, and the rest is told by errors.
func (a *api) client(h interface {
	Do(*http.Request) (*http.Response, error)
}) *slack.Client {
	return slack.New(a.cfg.BotToken.Reveal(),
		slack.OptionAppLevelToken(a.cfg.AppToken.Reveal()),
		slack.OptionAPIURL(a.cfg.APIURL),
		slack.OptionHTTPClient(h),
		slack.OptionLog(log.New(io.Discard, "", 0)))
}

func (a *api) close() { a.http.CloseIdleConnections() }

// redact is an error's text without secrets.
func (a *api) redact(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		// The URL can be a response_url of any server's making.
		return secret.Redact(fmt.Sprintf("%s: %v", e.Op, e.Err), a.cfg.BotToken, a.cfg.AppToken)
	}
	return secret.Redact(err.Error(), a.cfg.BotToken, a.cfg.AppToken)
}

// tries bounds attempts at delivering one message.
const tries = 4

// retry calls f until it succeeds or its error is none that passes: a rate limit
// always, a fault of the server's only where repeating does no harm.
func (a *api) retry(ctx context.Context, harmless harm, f func(context.Context) error) error {
	wait := newBackOff(a.cfg.Timing)
	for n := 1; ; n++ {
		err := f(ctx)
		if err == nil || n == tries || ctx.Err() != nil {
			return err
		}
		status, isStatus := errors.AsType[slack.StatusCodeError](err)
		after := retryAfter(err)
		var limited *slack.RateLimitedError
		switch {
		case errors.As(err, &limited), isStatus && status.Code == http.StatusTooManyRequests, slackCode(err) == "ratelimited":
		case harmless == repeatable && (isStatus && status.Code >= 500 || !isStatus && slackCode(err) == "" && !errors.Is(err, errResponse)):
		default:
			return err
		}
		delay := max(after, wait.NextBackOff())
		if end, ok := ctx.Deadline(); ok && time.Now().Add(delay).After(end) {
			return err
		}
		if !pause(ctx, delay) {
			return err
		}
	}
}

// harm says whether doing a thing twice is worse than not at all.
type harm int

const (
	repeatable harm = iota // an ephemeral answer shown twice is a nuisance at most
	unique                 // a message that stays
)

// errResponse is a refusal by a response URL, such as one that is used up.
var errResponse = errors.New("refused by the response url")

// respond posts to a response_url. It is done by hand: servers answer "ok" as
// text, as JSON or as nothing, with and without a Content-Type, and slack-go's own puts
// the address, which is a secret, into its errors.
func (a *api) respond(ctx context.Context, address secret.Text, body any) error {
	target := address.Reveal()
	if !strings.HasPrefix(target, "https://") && !strings.HasPrefix(target, "http://") {
		return fmt.Errorf("%w: not an address", errResponse)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	return a.retry(ctx, repeatable, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(raw))
		if err != nil {
			return fmt.Errorf("%w: not an address", errResponse)
		}
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		res, err := a.http.Do(req)
		if err != nil {
			if e, ok := errors.AsType[*url.Error](err); ok {
				err = e.Err
			}
			return fmt.Errorf("post to the response url: %w", err)
		}
		defer res.Body.Close()
		answer, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what is read of it must do
		return responseError(res, answer)
	})
}

// responseError reads the answer of a response_url.
func responseError(res *http.Response, answer []byte) error {
	if res.StatusCode == http.StatusTooManyRequests {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // unreadable: our own pace
		return &slack.RateLimitedError{RetryAfter: time.Duration(max(seconds, 0)) * time.Second}
	}
	if res.StatusCode >= 500 {
		return slack.StatusCodeError{Code: res.StatusCode, Status: res.Status}
	}
	// Text or nothing at all is as good as JSON. A refusal is a code, in either form.
	var said struct {
		OK    *bool
		Error string
	}
	err := json.Unmarshal(answer, &said)
	refused := err == nil && said.OK != nil && !*said.OK
	if !refused && res.StatusCode < 300 {
		return nil
	}
	code := said.Error
	if err != nil {
		code = strings.TrimSpace(string(answer))
	}
	if !codeShape.MatchString(code) {
		return fmt.Errorf("%w: HTTP %d", errResponse, res.StatusCode)
	}
	return slack.SlackErrorResponse{Err: code}
}

// codeShape is the shape of Slack's error codes.
var codeShape = regexp.MustCompile(`^[a-z][a-z_]{2,50}$`)

// missing notes that the server lacks a method, once, and says what that costs.
func (a *api) missing(method, cost string, err error) {
	a.once.do("method "+method, func() {
		a.cfg.Log.Warn("slack lacks a method: "+cost, "step", method, "err", a.redact(err))
	})
}
