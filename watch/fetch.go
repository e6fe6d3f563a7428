package watch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/zdd/policy"
)

// What is read of an answer, in bytes after decompression, and how far a redirect is
// followed.
const (
	bodyBytes    = 64 << 10  // what is looked at: the policy's text has to be in it
	restBytes    = 256 << 10 // read beyond that and thrown away, so that the connection of a usual page can be used again
	errorBytes   = 8 << 10   // of an error page: Heroku's has 500 bytes
	headerBytes  = 64 << 10
	hops         = 3   // an app that redirects http to https, and / to /en/, needs two
	errorLetters = 200 // of what went wrong, for people
	versionSigns = 100 // a commit's hash has 40
)

// The programs that the probe tells apps that it is: their logs tell it from people, and
// its requests at a constant rate from those that ask for the version and from visitors.
const (
	agentProbe   = "zdd-probe/1 (+deploy watch)"
	agentVersion = "zdd-version/1 (+deploy watch)"
	agentVisitor = "zdd-visitor/1 (+deploy watch)"
)

// answer is what came back to one request, after redirects on the same host.
type answer struct {
	status  int
	header  http.Header
	body    []byte // the first bodyBytes
	fresh   bool   // the last hop had a connection of its own
	strayed string // the other host that it redirects to; empty: none
	circle  bool   // it redirects to where it was already
}

// transports are the two ways a probe's requests go, in turns: half of them open a
// connection, as a visitor who comes, and half use one again, as a visitor who stays.
//
// HTTP/1.1 alone, though Heroku's router speaks HTTP/2 too: there a request has its
// connection for itself, so that one that hangs takes no other with it, and behind the
// router all is HTTP/1.1 anyway. A request on a used connection that had closed meanwhile
// is sent once more by net/http, as every browser does; on a fresh one nothing is repeated.
func transports(dial Dial, probe policy.Probe, tlsConfig *tls.Config) (fresh, kept *http.Transport) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	fresh = &http.Transport{
		Proxy:                  nil, // never the environment's
		DialContext:            dial,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    probe.Timeout, // a handshake goes on by itself when its request is over
		MaxIdleConnsPerHost:    -1,            // none is kept; DisableKeepAlives would tell the app so
		MaxResponseHeaderBytes: headerBytes,
		Protocols:              protocols,
	}
	kept = fresh.Clone()
	// As many as there are requests in a second, half of which come this way, and one for
	// each visitor.
	kept.MaxIdleConnsPerHost = max(2, probe.Rate) + probe.Visitors
	kept.IdleConnTimeout = time.Minute // Heroku's router drops them after about 90 s: be first
	return fresh, kept
}

// fetch asks for a page until the context's deadline, and follows redirects on its host.
// The outcome is OK where there is a whole answer, whatever it says.
func fetch(ctx context.Context, way http.RoundTripper, at *url.URL, agent string, jar http.CookieJar) (answer, Outcome, error) {
	been := map[string]bool{}
	for hop := 0; ; hop++ {
		been[plain(at)] = true // apps give back what was put into the query
		var c course
		req := request(httptrace.WithClientTrace(ctx, c.trace()), at, agent, jar)
		resp, err := way.RoundTrip(req)
		if err != nil {
			return answer{fresh: !c.isReused()}, c.outcome(ctx, err), err
		}
		if jar != nil {
			jar.SetCookies(req.URL, resp.Cookies())
		}
		a := answer{status: resp.StatusCode, header: resp.Header, fresh: !c.isReused()}
		a.body, err = read(resp.Body)
		if err != nil {
			return a, c.outcome(ctx, err), err
		}
		next, strayed := onward(at, resp)
		if next == nil || hop == hops {
			a.strayed, a.circle = strayed, next != nil && been[plain(next)]
			return a, OK, nil
		}
		at = next
	}
}

// request is one GET that no cache may answer.
func request(ctx context.Context, at *url.URL, agent string, jar http.CookieJar) *http.Request {
	u := *at
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "zdd=" + strconv.FormatUint(rand.Uint64(), 36)
	req := (&http.Request{
		Method: http.MethodGet, URL: &u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"User-Agent":    {agent},
			"Accept":        {"*/*"},
			"Cache-Control": {"no-cache"},
			"Pragma":        {"no-cache"}, // what HTTP/1.0 caches listen to
		},
	}).WithContext(ctx)
	if jar != nil {
		for _, c := range jar.Cookies(&u) {
			req.AddCookie(c)
		}
	}
	return req
}

// read reads a body to its end, or for as long as pages are, and closes it.
func read(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	first, err := io.ReadAll(io.LimitReader(body, bodyBytes))
	if err == nil {
		_, err = io.CopyN(io.Discard, body, restBytes)
	}
	if errors.Is(err, io.EOF) { // of CopyN: it ended; a body that was cut off has another error
		err = nil
	}
	return first, err
}

// onward is where an answer redirects to on the same host, by the same scheme or from http
// to https; nil: nowhere. strayed is the other host where it is one.
func onward(from *url.URL, resp *http.Response) (next *url.URL, strayed string) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, ""
	}
	location := resp.Header.Get("Location")
	if location == "" {
		return nil, ""
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil, ""
	}
	named := strings.EqualFold(to.Hostname(), from.Hostname())
	same := named && to.Scheme == from.Scheme && port(to) == port(from)
	safer := named && to.Scheme == "https" && from.Scheme == "http" && port(to) == "443" && port(from) == "80"
	switch {
	case to.User != nil || to.Opaque != "" || to.Scheme != "https" && to.Scheme != "http":
		return nil, ""
	case same:
		to.Host = from.Host
	case safer:
		to.Host = from.Hostname()
	default:
		return nil, to.Host
	}
	to.Fragment, to.RawFragment = "", ""
	return to, ""
}

// plain is an address without what the probe put into it to defeat caches, which apps that
// redirect to a URL with the query of the request give back.
func plain(u *url.URL) string {
	p := *u
	kept := []string{}
	for part := range strings.SplitSeq(p.RawQuery, "&") {
		if part != "" && !strings.HasPrefix(part, "zdd=") {
			kept = append(kept, part)
		}
	}
	p.RawQuery = strings.Join(kept, "&")
	return p.String()
}

// port is the one that a URL means.
func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// course is how far a request came. net/http goes on with a dial, and tells of it, after
// the request has ended or found another connection.
type course struct {
	mu        sync.Mutex
	looking   bool // the host's name is being looked up, or that came to no end
	shaking   bool // a TLS handshake has begun and did not succeed
	connected bool // the request has a connection
	reused    bool
}

func (c *course) trace() *httptrace.ClientTrace {
	locked := func(f func()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		f()
	}
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { locked(func() { c.looking = true }) },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			name, unnamed := errors.AsType[*net.DNSError](info.Err)
			locked(func() { c.looking = info.Err != nil && !(unnamed && name.IsNotFound) })
		},
		TLSHandshakeStart: func() { locked(func() { c.shaking = true }) },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { locked(func() { c.shaking = err != nil }) },
		GotConn: func(info httptrace.GotConnInfo) {
			locked(func() { c.connected, c.reused = true, info.Reused })
		},
	}
}

func (c *course) isReused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reused
}

// outcome is what to call an error.
func (c *course) outcome(ctx context.Context, err error) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, unnamed := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, errForbidden):
		return Own
	case unnamed && !name.IsNotFound || c.looking && !c.connected:
		// The resolver is ours, and asked by half of all requests, where a visitor's browser
		// remembers; one lost packet of it takes as long as a probe waits. No deploy does that.
		return Own
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case c.connected:
		return Cutoff
	case c.shaking:
		return TLS
	}
	return Connect
}

// tell puts an error into words for people. What net says may name the address that was
// dialled, never a path or a query.
func tell(o Outcome, err error, within time.Duration) string {
	var text string
	name, unnamed := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, errForbidden):
		text = "not asked: " + err.Error()
	case o == Timeout:
		return fmt.Sprintf("no whole answer within %s", within)
	case unnamed && name.IsNotFound:
		text = fmt.Sprintf("no connection: there is no host named %s", name.Name)
	case unnamed:
		text = fmt.Sprintf("no connection: the name %s could not be looked up", name.Name)
	case o == Connect && errors.Is(err, syscall.ECONNREFUSED):
		return "no connection: refused"
	case o == Own:
		text = "no connection: the name could not be looked up in time"
	case o == Connect:
		text = "no connection: " + err.Error()
	case o == TLS:
		text = "no trust: " + err.Error()
	default:
		text = "the connection ended in the middle: " + err.Error()
	}
	return short(text, errorLetters)
}

// short cuts a text, and takes out what is not for reading.
func short(text string, letters int) string {
	text = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > letters {
		text = string(runes[:letters]) + "…"
	}
	return strings.TrimSpace(text)
}

// assess says how good an answer is.
func assess(probe policy.Probe, a answer) (o Outcome, why string) {
	said := strings.TrimSpace(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
	switch {
	case probe.Expects(a.status) && !strings.Contains(string(a.body), probe.Contains):
		return Body, said + ", and not the text that the policy expects"
	case probe.Expects(a.status) && a.circle:
		return Circle, said + ", to where it had been already"
	case probe.Expects(a.status):
		return OK, ""
	case a.status == http.StatusTooManyRequests:
		return Limited, said
	case a.status >= 500:
		return Server, said
	case a.strayed != "":
		return Status, short(fmt.Sprintf("%s, to another host (%s); the policy expects %s", said, a.strayed, probe.Expect), errorLetters)
	}
	return Status, fmt.Sprintf("%s; the policy expects %s", said, probe.Expect)
}

// cached says whether a cache answered, and not the app (RFC 9111, 5.1: an Age says that the
// origin was not asked for this very answer; some send one of 0 with what is fresh).
func (a answer) cached() bool {
	age, err := strconv.Atoi(strings.TrimSpace(a.header.Get("Age")))
	return err == nil && age > 0
}

// version is what an answer tells in the policy's header; empty: nothing.
func (a answer) version(header string) string {
	if header == "" {
		return ""
	}
	return version(a.header.Get(header))
}

// version is a text that a person would call a version; empty: it is none.
func version(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > versionSigns || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return ""
	}
	return text
}

// Heroku's router answers for an app with a page that holds another one in a frame: its
// own, or what ERROR_PAGE_URL and MAINTENANCE_PAGE_URL name (Dev Center, "Error Pages").
// An H-code is in the logs, and on a page only where it was put there.
var (
	herokuPage = regexp.MustCompile(`herokucdn\.com/error-pages/([a-z0-9-]{1,40})(?:\.html)?`)
	herokuCode = regexp.MustCompile(`\bH[1-9][0-9]\b`)
	namedCode  = regexp.MustCompile(`\bcode=(H[1-9][0-9])\b`)
)

// origin is which of Heroku's pages an answer is, and the H-code where it shows one. An
// app's own page that happens to hold such letters is not taken for it.
func (a answer) origin() (page, code string) {
	if a.status < 400 {
		return "", ""
	}
	text := a.body[:min(len(a.body), errorBytes)]
	if m := herokuPage.FindSubmatch(text); m != nil {
		return string(m[1]), string(herokuCode.Find(text))
	}
	if m := namedCode.FindSubmatch(text); m != nil && a.status == http.StatusServiceUnavailable {
		return "", string(m[1])
	}
	return "", ""
}
