package heroku

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/zdd/fleet"
	"example.com/zdd/secret"
)

// maxTries is how often a GET is sent at most: the first and two more. What has
// failed three times within seconds is down, and a person should hear it.
const maxTries = 3

// transport is what lies between heroku-go and the network. In order: the
// allow-list, the retries of reads, the token bucket, the wire, the translation of
// errors. It reads bodies whole, so that an answer that breaks off is a failed
// request, sent again like others, and not half a list.
type transport struct {
	api, metrics place
	routes       []route
	bucket       *bucket
	lanes        chan struct{} // one place for each background request under way
	meter        *meter
	wire         http.RoundTripper
	pause        time.Duration // before the second try
	key          secret.Text
	log          *slog.Logger
}

// exchange carries through the context what heroku-go has no place for: the Range to
// ask for, and what the answer's headers told.
type exchange struct {
	askRange  string // overrides the Range header, when set
	partial   bool   // 206: there is more
	nextRange string
	date      time.Time // the server's clock, to the second; zero: not told
	sent, got time.Time // by our clock, of the try that was answered
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// RoundTrip sends one request of heroku-go's. Its errors are all *fleet.Problem.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if req.Body != nil {
		defer req.Body.Close() // the caller's; what is sent is a copy
	}
	req = req.Clone(ctx)
	r, refused := t.admit(req)
	if refused != nil {
		t.meter.refused(req.Method)
		return nil, refused
	}
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	if x != nil && x.askRange != "" {
		req.Header.Set("Range", x.askRange)
	}
	if x == nil {
		x = new(exchange)
	}
	var resp *http.Response
	var p *fleet.Problem
	if r.method == http.MethodGet {
		resp, p = t.persist(ctx, func() (*http.Response, *fleet.Problem, bool) { return t.send(req, r, x) }, r)
	} else {
		resp, p, _ = t.send(req, r, x)
	}
	if p != nil {
		return nil, p
	}
	return resp, nil
}

// persist sends a read again while its trouble is passing, up to maxTries, and never
// sleeps towards a deadline that the sleep would miss.
func (t *transport) persist(ctx context.Context, send func() (*http.Response, *fleet.Problem, bool), r route) (*http.Response, *fleet.Problem) {
	var last *fleet.Problem
	exponential := &backoff.ExponentialBackOff{InitialInterval: t.pause, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: 10 * t.pause}
	resp, err := backoff.Retry(ctx, func() (*http.Response, error) {
		resp, p, passing := send()
		switch {
		case p == nil:
			return resp, nil
		case last != nil && errors.Is(p, errKeptBack): // what Heroku said before tells more
			last.RetryAfter = max(last.RetryAfter, p.RetryAfter)
		default:
			last = p
		}
		if !passing {
			return nil, backoff.Permanent(last)
		}
		return nil, last
	},
		backoff.WithMaxTries(maxTries),
		backoff.WithMaxElapsedTime(0), // the context's deadline is the limit
		backoff.WithBackOff(untilDeadline{ctx.Deadline, exponential}),
		backoff.WithNotify(func(error, time.Duration) { t.meter.retried(r) }),
	)
	if err != nil {
		return nil, last // when ctx ended between two tries, the last failure tells more
	}
	return resp, nil
}

// untilDeadline stops a backoff that would sleep past a deadline.
type untilDeadline struct {
	deadline func() (time.Time, bool)
	backoff.BackOff
}

func (u untilDeadline) NextBackOff() time.Duration {
	next := u.BackOff.NextBackOff()
	if at, ok := u.deadline(); ok && !time.Now().Add(next).Before(at) {
		return backoff.Stop
	}
	return next
}

// send sends a request once, and reads its answer whole. passing says that a problem
// may be gone in a moment.
func (t *transport) send(req *http.Request, r route, x *exchange) (resp *http.Response, p *fleet.Problem, passing bool) {
	ctx := req.Context()
	counted := !r.free && !r.metrics
	if counted && !tallyOf(ctx).pay() {
		if p := t.bucket.take(ctx, 1); p != nil {
			p.Err = errors.Join(p.Err, errNotSent)
			return nil, p, false
		}
	}
	unsent := func(p *fleet.Problem) (*http.Response, *fleet.Problem, bool) {
		if counted {
			t.bucket.giveBack(time.Now(), 1)
		}
		return nil, p, false
	}
	if rankOf(ctx) == background { // after the token, so that who waits for one keeps no lane
		select {
		case t.lanes <- struct{}{}:
			defer func() { <-t.lanes }()
		case <-ctx.Done():
			return unsent(connectionProblem(ctx, context.Cause(ctx), t.key))
		}
	}
	if each, limited := eachOf(ctx); limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, each)
		defer cancel()
		req = req.WithContext(ctx)
	}
	if p := late(ctx, r); p != nil {
		return unsent(p)
	}
	if !r.free {
		tallyOf(ctx).sent()
	}
	before := t.bucket.sending()
	x.sent = time.Now()
	resp, body, err := t.exchange(req)
	x.got = time.Now()
	remaining := -1
	if err == nil && !r.metrics {
		remaining = remainingOf(resp)
	}
	switch {
	case counted:
		t.bucket.answered(x.got, remaining, before)
	case remaining >= 0:
		t.bucket.told(x.got, remaining)
	}
	if err != nil {
		t.meter.observe(r, 0, x.got.Sub(x.sent))
		p := connectionProblem(ctx, err, t.key)
		return nil, p, passingConnection(ctx, p)
	}
	t.meter.observe(r, resp.StatusCode, x.got.Sub(x.sent))
	t.warn(ctx, resp, r)
	switch {
	case resp.StatusCode/100 != 2:
		p, passing := answerProblem(resp, body, t.key)
		if p.Kind == fleet.RateLimited && counted {
			tallyOf(ctx).giveBack(t.bucket) // they are worth nothing: what is sent again waits for others
			t.bucket.refused(x.got, p.RetryAfter, remaining >= 0)
			p.RetryAfter = max(p.RetryAfter, t.bucket.waiting(ctx))
		}
		return nil, p, passing
	case !json.Valid(body):
		return nil, garbledProblem(resp, body, t.key), true
	}
	x.partial = resp.StatusCode == http.StatusPartialContent
	x.nextRange = resp.Header.Get("Next-Range")
	x.date, _ = http.ParseTime(resp.Header.Get("Date")) // the zero time says: not told
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil, false
}

// late looks at the deadline once more, just before a write.
func late(ctx context.Context, r route) *fleet.Problem {
	if r.body == nil {
		return nil
	}
	at, limited := ctx.Deadline()
	switch {
	case ctx.Err() != nil:
		return &fleet.Problem{Kind: fleet.Unavailable, Message: "the request was given up before it was sent", Err: errNotSent}
	case limited && time.Until(at) < leastTime:
		return &fleet.Problem{Kind: fleet.Unavailable, Message: "too little time was left to see the change through, and nothing was sent", Err: errNotSent}
	}
	return nil
}

// exchange does the round trip and takes the body off the wire.
func (t *transport) exchange(req *http.Request) (*http.Response, []byte, error) {
	resp, err := t.wire.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyBytes+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(body) > bodyBytes:
		return nil, nil, errTooLong
	}
	return resp, body, nil
}

var errTooLong = errors.New("its answer is too long to be one")

// warn takes Heroku's warnings off: heroku-go would print them through the global
// logger, whatever they hold.
func (t *transport) warn(ctx context.Context, resp *http.Response, r route) {
	const header = "X-Heroku-Warning"
	if w := resp.Header.Get(header); w != "" {
		t.log.InfoContext(ctx, "heroku sent a warning", "ref", r.pattern, "err", clean(w, t.key))
		resp.Header.Del(header)
	}
}

// remainingOf is the answer's RateLimit-Remaining; -1 when it has none to believe.
func remainingOf(resp *http.Response) int {
	n, err := strconv.Atoi(resp.Header.Get("RateLimit-Remaining"))
	if err != nil || n < 0 {
		return -1
	}
	return n
}
