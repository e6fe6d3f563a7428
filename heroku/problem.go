package heroku

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"example.com/zdd/fleet"
	"example.com/zdd/secret"
)

// errKeptBack is the cause of a RateLimited that we made ourselves, before asking.
var errKeptBack = errors.New("kept back for people")

// refusal is Heroku's body of an error (Platform API reference, "Errors"). heroku-go
// drops resource and app.
type refusal struct {
	ID       string `json:"id"`
	Message  string `json:"message"`
	Resource string `json:"resource"`
	App      struct {
		Name string `json:"name"`
	} `json:"app"`
}

// answerProblem translates an answer that is no success. passing says that the same
// question may well be answered in a moment.
func answerProblem(resp *http.Response, body []byte, key secret.Text) (p *fleet.Problem, passing bool) {
	var said refusal
	decodable := json.Unmarshal(body, &said) == nil
	p = &fleet.Problem{
		App:       clean(said.App.Name, key),
		Message:   clean(said.Message, key),
		RequestID: clean(resp.Header.Get("Request-Id"), key),
	}
	status := resp.StatusCode
	if !decodable || p.Message == "" {
		p.Message = statusText(status) // an HTML page is nothing to show
	}
	switch {
	case status/100 == 5:
		p.Kind = fleet.Unavailable
		return p, status != http.StatusNotImplemented
	case status/100 == 3:
		// A redirect would carry the token to wherever it points.
		p.Kind, p.Message = fleet.Unavailable, "answered "+statusText(status)+", and zdd follows no redirects"
	case status/100 != 4:
		p.Kind, p.Message = fleet.Unavailable, "answered "+statusText(status)
	case said.ID == "rate_limit" || status == http.StatusTooManyRequests:
		p.Kind, p.RetryAfter = fleet.RateLimited, retryAfter(resp)
		return p, true
	// The lock of a running preboot hand-over is known by its message only; its status
	// and id were never seen (a Heroku support answer quotes the message).
	case strings.Contains(strings.ToLower(said.Message), "until preboot is complete"):
		p.Kind = fleet.Locked
	case said.ID == "two_factor":
		p.Kind = fleet.TwoFactor
	case said.ID == "suspended":
		p.Kind = fleet.Suspended
	case said.ID == "delinquent" || status == http.StatusPaymentRequired:
		p.Kind = fleet.Delinquent
	case status == http.StatusUnauthorized:
		p.Kind = fleet.Unauthorized
	case status == http.StatusForbidden:
		p.Kind = fleet.Forbidden
	case status == http.StatusNotFound:
		p.Kind = fleet.NotFound
		p.Err = missing(clean(said.Resource, key))
	case status == http.StatusRequestedRangeNotSatisfiable:
		p.Kind, p.Err = fleet.Refused, errRange
	default: // 400, 409, 422 invalid_params, verification_needed, …
		p.Kind = fleet.Refused
	}
	return p, false
}

// errRange is the cause of a Refused: the list does not let itself be paged like that.
var errRange = errors.New("requested range not satisfiable")

// missing is the cause of a NotFound: what kind of thing Heroku did not find.
type missing string

func (m missing) Error() string { return "no such " + cmp.Or(string(m), "thing") }

// garbledProblem is an answer that says success and holds no JSON: a proxy's page, a
// body cut off.
func garbledProblem(resp *http.Response, body []byte, key secret.Text) *fleet.Problem {
	message := "its answer is not JSON"
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		message = "its answer is empty"
	case bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")):
		message = "its answer is a web page"
	}
	return &fleet.Problem{Kind: fleet.Unavailable, Message: message, RequestID: clean(resp.Header.Get("Request-Id"), key)}
}

// connectionProblem translates what went wrong on the way. Only causes known to hold
// no text from outside are kept: a broken server may send our own token back in its
// first line, and net/http quotes that.
func connectionProblem(ctx context.Context, err error, key secret.Text) *fleet.Problem {
	p := &fleet.Problem{Kind: fleet.Unavailable}
	netErr, _ := errors.AsType[net.Error](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	_, isCert := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled):
		p.Message, p.Err = "the request was given up", context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), netErr != nil && netErr.Timeout():
		p.Message, p.Err = "timed out", context.DeadlineExceeded
	case errors.Is(err, errTooLong):
		p.Message, p.Err = errTooLong.Error(), errTooLong
	case isDNS:
		p.Message = "its host name cannot be resolved"
	case isCert:
		p.Message, p.Err = "its certificate is not to be trusted", errUntrusted
	case errors.Is(err, syscall.ECONNREFUSED):
		p.Message, p.Err = "connection refused", syscall.ECONNREFUSED
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		p.Message, p.Err = "connection reset", syscall.ECONNRESET
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		p.Message, p.Err = "the connection broke off", io.ErrUnexpectedEOF
	default:
		p.Message = clean(err.Error(), key)
	}
	return p
}

var errUntrusted = errors.New("untrusted certificate")

// passingConnection says whether a connection's problem may be gone in a moment.
func passingConnection(ctx context.Context, p *fleet.Problem) bool {
	return ctx.Err() == nil && !errors.Is(p.Err, errUntrusted) && !errors.Is(p.Err, errTooLong)
}

// problem makes a *fleet.Problem of what heroku-go returned: the transport's own,
// which comes wrapped in a *url.Error, or a decoder's.
func (c *Client) problem(ctx context.Context, op, app string, err error) *fleet.Problem {
	var p fleet.Problem
	switch found, ok := errors.AsType[*fleet.Problem](err); {
	case ok:
		p = *found
	case undecodable(err):
		p = fleet.Problem{Kind: fleet.NotTold, Message: "Heroku's answer has a form that this version of zdd does not know"}
	default:
		p = *connectionProblem(ctx, err, c.inner.key)
	}
	p.Op = op
	p.App = cmp.Or(p.App, app)
	return &p
}

func undecodable(err error) bool {
	_, isType := errors.AsType[*json.UnmarshalTypeError](err)
	_, isSyntax := errors.AsType[*json.SyntaxError](err)
	_, isTime := errors.AsType[*time.ParseError](err)
	return isType || isSyntax || isTime || errors.Is(err, errForm)
}

// retryAfter reads Retry-After, in seconds or as a date; 0 when Heroku told none.
func retryAfter(resp *http.Response) time.Duration {
	const most = time.Hour // the bucket is full again after that
	v := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil {
		return min(max(time.Duration(seconds)*time.Second, 0), most)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(roundUp(time.Until(at)), 0), most)
	}
	return 0
}

func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

// clean makes text from outside fit for a log line and a reply: no secret, no control
// signs, no essays.
func clean(s string, key secret.Text) string {
	const longest = 300 // runes; Heroku's own messages are a sentence or two
	s = secret.Redact(s, key)
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar }), " ")
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest-1]) + "…"
	}
	return s
}
