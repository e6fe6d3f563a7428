package heroku

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// router is what the router knows; [Server] holds its lock.
type router struct {
	sites   map[string]*site // by the id of the app: those that were asked for
	rnd     *rand.Rand       // of the choice between dynos; the same in every run
	keeping bool             // the keeper runs
	wake    chan struct{}    // tells the keeper that something was changed
	work    sync.WaitGroup   // the keeper, the dynos' servers and the traffic
}

func newRouter() router {
	return router{sites: map[string]*site{}, rnd: rand.New(rand.NewPCG(8, 8)), wake: make(chan struct{}, 1)}
}

// site is an app as the router sees it.
type site struct {
	app       *app
	processes []*process    // those that are routed to, and those that end
	changed   chan struct{} // closed when requests that wait should look again
	shared    *sessions     // of session=shared
	counts    counts
	traffic   *traffic // nil: none
}

// site finds or makes the site of an app, which keeps its dynos running from now on.
func (s *Server) site(a *app) *site {
	st := s.router.sites[a.id]
	if st == nil {
		st = &site{app: a, changed: make(chan struct{}), shared: newSessions(), counts: newCounts(s.world.clock())}
		s.router.sites[a.id] = st
		if !s.router.keeping {
			s.router.keeping = true
			s.router.work.Go(s.keep)
		}
	}
	return st
}

// poke tells the keeper that something was changed.
func (r *router) poke() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// hostname is the host of a URL, in lower case and without a port.
func hostname(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return bareHost(host)
}

func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(host)
}

// Router is Heroku's router with the apps behind it. It finds an app by the host of its
// web_url, or by a domain of its own. Serve it on a loopback address or in memory; TLS and ports are up to who does.
//
// Facts come from Dev Center's "HTTP Routing", "Error Codes", "Session Affinity", "Dyno
// Shutdown Behavior" and "Preboot". It opens a connection for each request, as routers do
// for apps with keep-alive to dynos off, so that no idle one is there to be closed.
func (s *Server) Router() http.Handler { return http.HandlerFunc(s.route) }

// errand is one request on its way through the router.
type errand struct {
	site    *site
	a       *app
	class   Class
	at      time.Time // when it came
	count   int       // which counting it belongs to
	refused int       // connections that were refused
	dyno    string    // that took it; empty: none
	release int
}

func (s *Server) route(rw http.ResponseWriter, r *http.Request) {
	e := s.arrive(r)
	if e == nil {
		writePage(rw, http.StatusNotFound, "No such app", "no-such-app")
		return
	}
	result := s.dispatch(rw, r, e)
	if r.Context().Err() != nil && !result.cut {
		result = verdict{outcome: Abandoned} // it was written to nobody
	}
	s.mu.Lock()
	e.site.counts.end(e, result, time.Now())
	s.mu.Unlock()
	if e.dyno != "" || result.outcome != OutcomeOK {
		s.log.Debug("routed", "app", e.a.name, "class", e.class, "outcome", result.outcome, "status", result.status, "dyno", e.dyno)
	}
	if result.cut {
		panic(http.ErrAbortHandler)
	}
}

// arrive finds the app, and counts the request as under way; nil: there is none.
func (s *Server) arrive(r *http.Request) *errand {
	host := bareHost(r.Host)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		panic(http.ErrAbortHandler) // no "No such app" of one that there is
	default:
	}
	i := slices.IndexFunc(s.world.apps, func(a *app) bool { return a.answersAt(host) })
	if i < 0 {
		return nil
	}
	a := s.world.apps[i]
	st := s.site(a)
	e := &errand{site: st, a: a, class: classOf(r.UserAgent()), at: s.world.clock(), count: st.counts.number}
	st.counts.underway++
	return e
}

// verdict is how a request ended.
type verdict struct {
	outcome Outcome
	status  int  // that the client got; 0: none
	cut     bool // its connection is to be cut, in the middle of an answer or before one
}

// dispatch looks for a dyno until one takes the request, or an error page is due.
func (s *Server) dispatch(rw http.ResponseWriter, r *http.Request, e *errand) verdict {
	for {
		c := s.choose(e, r)
		switch {
		case c.outcome != "":
			return s.refusePage(rw, c.outcome)
		case c.conn != nil:
			return s.proxy(rw, r, e, c)
		case !c.again && !s.await(r.Context(), c.changed, c.until):
			return verdict{outcome: Abandoned, cut: true} // who is still there must not get an empty 200
		}
	}
}

// await is over when something changed or at a moment; false: the client or the server
// went away first.
func (s *Server) await(ctx context.Context, changed <-chan struct{}, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
		return false
	case <-s.closed:
		return false
	}
	return true
}

// choice is what becomes of a request next: an error page, a connection to a dyno, or
// another look.
type choice struct {
	outcome Outcome
	conn    net.Conn
	cookie  string // to be set, so that the visitor comes back to the same dyno; empty: none
	again   bool   // look again at once
	changed <-chan struct{}
	until   time.Time
	timing  timing
}

// mostTries bounds the connections that are tried for a request (Dev Center, "HTTP
// Routing").
const mostTries = 10

// choose decides by what the world is like at this instant.
func (s *Server) choose(e *errand, r *http.Request) choice {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, a, st := s.world.clock(), e.a, e.site
	select {
	case <-s.closed:
		return choice{changed: st.changed, until: now} // await sees it
	default:
	}
	if !slices.Contains(s.world.apps, a) {
		return choice{outcome: NoApp}
	}
	a.settle(now)
	s.advance(st, now)
	t := a.timing
	if a.maintenance {
		return choice{outcome: OutcomeH80}
	}
	routable := filter(st.processes, func(p *process) bool { return p.routable(now) })
	free := filter(routable, func(p *process) bool { return !now.Before(p.quarantined) })
	later := choice{changed: st.changed, until: e.at.Add(t.queue)}
	switch {
	case len(routable) == 0:
		if page := a.nobody(now); page != "" {
			return choice{outcome: page}
		}
		if !now.Before(later.until) {
			return choice{outcome: OutcomeH20}
		}
		return later
	case e.refused >= min(len(routable), mostTries):
		return choice{outcome: OutcomeH21}
	case len(free) == 0:
		if !now.Before(later.until) {
			return choice{outcome: OutcomeH99}
		}
		for _, p := range routable {
			if p.quarantined.Before(later.until) {
				later.until = p.quarantined
			}
		}
		return later
	}
	p := free[s.router.rnd.IntN(len(free))]
	affinity := a.featureOn("http-session-affinity") && a.space == nil
	wanted := ""
	if affinity {
		if c, err := r.Cookie(affinityCookie); err == nil {
			wanted = c.Value
		}
		if i := slices.IndexFunc(free, func(p *process) bool { return p.cookie == wanted }); i >= 0 {
			p = free[i]
		}
	}
	conn := p.dial()
	if conn == nil {
		p.quarantined = now.Add(t.quarantine)
		e.refused++
		return choice{again: true}
	}
	e.dyno, e.release = p.dyno.name(), p.dyno.release.version
	c := choice{conn: conn, timing: t}
	if affinity && wanted != p.cookie {
		c.cookie = p.cookie
	}
	return c
}

// nobody is the page for an app that no dyno serves; empty: one is about to, so the router
// holds the request.
func (a *app) nobody(now time.Time) Outcome {
	page := OutcomeH14
	for _, d := range a.dynos {
		switch {
		case d.typ != "web" || !d.goneAt.IsZero():
		case d.state(now) == "crashed":
			page = OutcomeH10
		default:
			return ""
		}
	}
	if len(a.releases) == 0 {
		return OutcomeH81
	}
	return page
}

// affinityCookie is the router's own; a day is how long it holds, as seen in the field.
const (
	affinityCookie = "heroku-session-affinity"
	affinityHolds  = 24 * time.Hour
)

// proxy sends the request to a dyno and its answer to the client.
func (s *Server) proxy(rw http.ResponseWriter, r *http.Request, e *errand, c choice) verdict {
	ctx, conn := r.Context(), c.conn
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	failed := func(err error, silent bool) Outcome {
		switch {
		case ctx.Err() != nil:
			return Abandoned
		case errors.Is(err, os.ErrDeadlineExceeded):
			return OutcomeH12
		case silent:
			return OutcomeH13
		}
		return OutcomeH18
	}
	page := func(o Outcome) verdict {
		if o == Abandoned {
			return verdict{outcome: o}
		}
		return s.refusePage(rw, o)
	}
	_ = conn.SetDeadline(time.Now().Add(c.timing.answer)) // a pipe always takes one
	if err := onward(r, e).Write(conn); err != nil {
		return page(failed(err, true))
	}
	in := &counted{from: conn}
	resp, err := http.ReadResponse(bufio.NewReader(in), r)
	if err != nil {
		return page(failed(err, in.n == 0))
	}
	defer resp.Body.Close()
	h := rw.Header()
	for key, values := range resp.Header {
		if key != "Connection" {
			h[key] = values
		}
	}
	if c.cookie != "" {
		h.Add("Set-Cookie", fmt.Sprintf("%s=%s; Version=1; Expires=%s; Max-Age=%d; Domain=%s; Path=/", affinityCookie, c.cookie,
			time.Now().Add(affinityHolds).UTC().Format("Mon, 02-Jan-2006 15:04:05 GMT"), int(affinityHolds.Seconds()), e.a.host))
	}
	h.Set("Via", "1.1 heroku-router")
	if resp.ContentLength >= 0 {
		h.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	rw.WriteHeader(resp.StatusCode)
	buf := make([]byte, 4<<10)
	for {
		_ = conn.SetDeadline(time.Now().Add(c.timing.idle))
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, failed := rw.Write(buf[:n]); failed != nil {
				return verdict{outcome: Abandoned, status: resp.StatusCode, cut: true}
			}
			if flusher, ok := rw.(http.Flusher); ok && resp.ContentLength < 0 {
				flusher.Flush()
			}
		}
		switch {
		case err == io.EOF:
			return verdict{outcome: ofStatus(resp.StatusCode), status: resp.StatusCode}
		case err != nil:
			o := failed(err, false)
			if o == OutcomeH12 {
				o = OutcomeH15
			}
			return verdict{outcome: o, status: resp.StatusCode, cut: true}
		}
	}
}

// onward is the request as a dyno gets it.
func onward(r *http.Request, e *errand) *http.Request {
	out := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: r.Header.Clone(), Body: r.Body, ContentLength: r.ContentLength,
		TransferEncoding: r.TransferEncoding, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Close: true}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = "192.0.2.1" // in memory nobody has an address; this one is for documentation
	}
	if before := out.Header.Get("X-Forwarded-For"); before != "" {
		ip = before + ", " + ip
	}
	out.Header.Set("X-Forwarded-For", ip)
	scheme, _, _ := strings.Cut(e.a.webURL, ":")
	out.Header.Set("X-Forwarded-Proto", scheme)
	out.Header.Set("X-Request-Start", strconv.FormatInt(e.at.UnixMilli(), 10))
	out.Header.Set("Via", "1.1 heroku-router")
	return out
}

// counted counts what is read.
type counted struct {
	from io.Reader
	n    int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}

// refusePage writes the page that goes with an outcome. Its code is in Heroku's logs, and
// not on the page.
func (s *Server) refusePage(rw http.ResponseWriter, o Outcome) verdict {
	switch o {
	case OutcomeH80:
		writePage(rw, http.StatusServiceUnavailable, "Offline for Maintenance", "maintenance-mode")
	case NoApp:
		writePage(rw, http.StatusNotFound, "No such app", "no-such-app")
		return verdict{outcome: o, status: http.StatusNotFound}
	default:
		writePage(rw, http.StatusServiceUnavailable, "Application Error", "application-error")
	}
	return verdict{outcome: o, status: http.StatusServiceUnavailable}
}

// routerPage is the page that the router answers with: a frame with another one, as many
// projects' bug reports quote it.
const routerPage = `<!DOCTYPE html>
	<html>
	  <head>
		<meta name="viewport" content="width=device-width, initial-scale=1">
		<meta charset="utf-8">
		<title>%s</title>
		<style media="screen">
		  html,body,iframe {
			margin: 0;
			padding: 0;
		  }
		  html,body {
			height: 100%%;
			overflow: hidden;
		  }
		  iframe {
			width: 100%%;
			height: 100%%;
			border: 0;
		  }
		</style>
	  </head>
	  <body>
		<iframe src="//www.herokucdn.com/error-pages/%s.html"></iframe>
	  </body>
	</html>`

func writePage(rw http.ResponseWriter, status int, title, name string) {
	text := fmt.Sprintf(routerPage, title, name)
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Server", "Heroku")
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, text) // a client that left misses it
}
