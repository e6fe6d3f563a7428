package heroku

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// DefaultToken is accepted when [Options.Tokens] is empty. It has the shape of
// Heroku's own, so that what redacts those redacts it.
const DefaultToken = "HRKU-5eed0000-0000-4000-8000-000000000001"

// Account is whose a token is.
type Account struct {
	Email string // default ops@acme.example
	ID    string // default: made from the email
	Scope string // "read" refuses every change; anything else may change
}

// Options says how a server begins. The zero value serves [DemoFleet] to
// [DefaultToken].
type Options struct {
	Tokens    map[string]Account // accepted tokens; all see the same apps
	Fleet     Fleet              // default DemoFleet()
	Latency   time.Duration      // how long each API call takes at least
	BucketOff bool               // no rate limit: nothing is taken and nothing refused

	DynoBoot       time.Duration // a dyno's start until it is up; default 5 s, or half of the boot timeout where that is shorter
	BootTimeout    time.Duration // default 60 s, as on Heroku
	HandoverJitter time.Duration // on top of boot timeout + 2 min; default 30 s, negative for none
	ReleaseTime    time.Duration // how long a release reads pending; default 2 s, negative for none

	// Scale divides the platform's own durations: boot timeout, preboot's window, what the
	// router and a dyno's end take; 0 is 1. What is stated as a duration, here or in a
	// setting, and what apps take are not scaled: a hand-over of 3 minutes and a half takes
	// 35 s at 6, and boots of 8 s stay below a boot timeout of 10 s.
	Scale float64

	// Domain is where [Server.Router] is served, such as "herokuapp.localhost:8200": an
	// app's web_url is then http://NAME-0123456789ab.herokuapp.localhost:8200/. Empty:
	// https://NAME-0123456789ab.herokuapp.com/, as on Heroku.
	Domain string

	Log *slog.Logger // default: discarded
}

// Server is the simulated API. Serve it on a loopback address only: whoever
// reaches /_control commands it.
type Server struct {
	log    *slog.Logger
	closed chan struct{} // releases the requests that hang
	once   sync.Once
	routes []route

	mu        sync.Mutex
	world     *world
	tokens    map[string]Account
	revoked   map[string]bool
	latency   time.Duration
	bucketOff bool
	buckets   map[string]*bucket // by account id
	faults    []*fault
	calls     callLog
	router    router
}

// New makes a server whose fleet is as of now.
func New(o Options) *Server {
	positive := func(d, otherwise time.Duration) time.Duration { return max(0, cmp.Or(d, otherwise)) }
	now := time.Now()
	s := &Server{
		log: o.Log, closed: make(chan struct{}), routes: routes(),
		tokens: map[string]Account{}, revoked: map[string]bool{}, latency: o.Latency, bucketOff: o.BucketOff, buckets: map[string]*bucket{},
		calls: callLog{counts: map[string]int{}},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if len(o.Fleet.statements) == 0 {
		o.Fleet = DemoFleet()
	}
	t := platform(cmp.Or(o.Scale, 1))
	t.timeout = positive(o.BootTimeout, t.timeout)
	t.boot = positive(o.DynoBoot, min(t.boot, t.timeout/2))
	t.jitter, t.release = positive(o.HandoverJitter, t.jitter), positive(o.ReleaseTime, t.release)
	s.world = newWorld(Account{Email: "ops@acme.example"}, t, now)
	s.world.domain = o.Domain
	s.router = newRouter()
	for _, words := range o.Fleet.statements {
		if err := s.world.statement(now, words); err != nil {
			panic("heroku: a fleet that was loaded is wrong: " + err.Error())
		}
	}
	if len(o.Tokens) == 0 {
		o.Tokens = map[string]Account{DefaultToken: {}}
	}
	for token, account := range o.Tokens {
		account.Email = cmp.Or(account.Email, s.world.account.Email)
		account.ID = cmp.Or(account.ID, uuidOf("account "+account.Email))
		s.tokens[token] = account
	}
	s.world.account.ID = uuidOf("account " + s.world.account.Email)
	return s
}

// uuidOf makes an id of a text, always the same.
func uuidOf(text string) string {
	return (&world{minted: map[string]int{}}).mint("of", text)
}

// Close ends the requests that hang, the router's dynos and its traffic, and makes every
// later request end at once.
func (s *Server) Close() {
	s.once.Do(func() {
		s.mu.Lock() // nothing of the router's begins any more
		close(s.closed)
		s.mu.Unlock()
	})
	s.router.work.Wait()
}

// maxBody bounds what a request may send, in bytes; the largest real body is a
// formation of a few dozen types.
const maxBody = 1 << 20

// exchange is one API request, as the handlers see it.
type exchange struct {
	w         *world
	now       time.Time
	method    string
	path      string // cleaned
	query     string
	params    map[string]string
	header    http.Header
	body      []byte
	account   Account
	app       *app // where the pattern has one
	remaining int  // in the account's bucket
}

// answer is what a handler gives back.
type answer struct {
	status int
	body   any
	header map[string]string
}

func ok(body any) answer           { return answer{status: http.StatusOK, body: body} }
func (e *apiError) answer() answer { return answer{status: e.Status, body: e} }

// ServeHTTP answers the Platform API, the metrics host's monitors and /_control.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	select {
	case <-s.closed:
		panic(http.ErrAbortHandler)
	default:
	}
	// The body is read whole first: net/http notices that a client went away
	// only after it.
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	if err != nil {
		http.Error(rw, "body too large or cut off", http.StatusBadRequest)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/_control/") {
		s.control(rw, r, string(body))
		return
	}
	// Heroku resolves dots in a path before it routes; so a client that
	// pastes "x/../../account" into one reaches /account.
	clean := path.Clean("/" + r.URL.Path)
	x := &exchange{method: r.Method, path: clean, query: r.URL.RawQuery, header: r.Header, body: body}
	route, params := s.match(r.Method, clean)
	x.params = params

	s.mu.Lock()
	n := s.calls.begin(Call{At: time.Now(), Method: r.Method, Path: r.URL.Path, Pattern: route.name(), Body: string(body)})
	f := s.takeFault(r.Method, clean)
	latency := s.latency
	s.mu.Unlock()

	if f != nil {
		latency += f.delay
	}
	status := s.serve(rw, r, delivery{n: n, x: x, route: route, fault: f, latency: latency})
	s.mu.Lock()
	s.calls.end(n, status, f)
	s.mu.Unlock()
	s.log.Debug("api call", "method", r.Method, "path", clean, "status", status)
}

type delivery struct {
	n       int // the call's number in the log
	x       *exchange
	route   route
	fault   *fault
	latency time.Duration
}

// serve waits, breaks what a fault asks for, and writes the answer. It returns
// the status that the client saw, 0 for none.
func (s *Server) serve(rw http.ResponseWriter, r *http.Request, d delivery) (status int) {
	if !s.wait(r.Context(), d.latency) {
		return 0
	}
	if d.fault != nil {
		switch d.fault.kind {
		case faultHang:
			s.wait(r.Context(), -1)
			drop(rw)
			return 0
		case faultResetBefore:
			drop(rw)
			return 0
		}
		if a, handled := d.fault.instead(d.x); handled {
			return s.write(rw, r, d, a)
		}
	}
	a := s.handle(r, d)
	if d.fault != nil && d.fault.kind == faultResetAfter {
		drop(rw)
		return 0
	}
	if d.fault != nil && d.fault.kind == fault503After {
		a.status, a.body = http.StatusServiceUnavailable, errorPage
	}
	return s.write(rw, r, d, a)
}

// wait sleeps, for ever if d is negative. It is false when the client or the
// server went away first.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	var due <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
		return true
	case <-ctx.Done():
	case <-s.closed:
	}
	return false
}

// drop cuts the connection without an answer: with a reset on TCP.
func drop(rw http.ResponseWriter) {
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // best effort: without it the client sees an end instead of a reset
	}
	_ = conn.Close() // nothing can be done about a connection that will not close
}

// handle authorises, takes a token from the bucket and runs the handler.
func (s *Server) handle(r *http.Request, d delivery) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := d.x
	x.w, x.now = s.world, s.world.clock()
	account, ok := s.authorise(r)
	if !ok {
		return refuse(http.StatusUnauthorized, "unauthorized", "Invalid credentials provided.").answer()
	}
	x.account = account
	limits := map[string]string{}
	if !d.route.metrics {
		b := s.bucketOf(account, x.now)
		fits := s.bucketOff || d.route.free || b.take(x.now)
		x.remaining = b.remaining(x.now)
		limits["RateLimit-Remaining"] = fmt.Sprint(x.remaining)
		limits["RateLimit-Multiplier"] = "1"
		if !fits {
			a := refuse(http.StatusTooManyRequests, "rate_limit", "Your account reached the API rate limit\nPlease wait a few minutes before making new requests").answer()
			a.header = limits
			return a
		}
	}
	a := s.run(x, d.route)
	if x.method != http.MethodGet {
		s.router.poke()
	}
	if a.header == nil {
		a.header = map[string]string{}
	}
	maps.Copy(a.header, limits)
	return s.encoded(x, a)
}

// encoded is an answer whose body is text already: it is written without the lock,
// while other requests change what the body was made of.
func (s *Server) encoded(x *exchange, a answer) answer {
	if _, isHTML := a.body.(string); isHTML {
		return a
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a.body); err != nil {
		s.log.Error("encode answer", "path", x.path, "err", err)
		a.status = http.StatusInternalServerError
	}
	a.body = b.Bytes()
	return a
}

// run finds the app, if the route has one, and lets the handler answer.
func (s *Server) run(x *exchange, route route) answer {
	if route.handler == nil || !route.metrics && !strings.Contains(x.header.Get("Accept"), "version=3") {
		return noRoute()
	}
	if x.method != http.MethodGet && !route.reads && x.account.Scope == "read" {
		return refuse(http.StatusForbidden, "forbidden", "You do not have access to this resource with the scope of your token.").answer()
	}
	if name, has := x.params["app"]; has {
		if a := x.findApp(name); a != nil {
			return *a
		}
	}
	if x.method != http.MethodGet && len(x.body) > 0 && !json.Valid(x.body) {
		return refuse(http.StatusBadRequest, "bad_request", "Unable to parse the JSON in the request body.").answer()
	}
	return route.handler(x)
}

// findApp settles the app of the path, or says why it is out of reach.
func (x *exchange) findApp(name string) *answer {
	a, err := x.w.appNamed(name)
	var refusal *apiError
	switch {
	case err != nil:
		refusal = refuse(http.StatusNotFound, "not_found", "Couldn't find that app.")
		refusal.Resource = "app"
	case a.access == accessForbidden:
		refusal = refuse(http.StatusForbidden, "forbidden", "You do not have access to the app %s.", a.name)
	case a.access == accessTwoFactor:
		refusal = twoFactor(a.id, a.name)
	case a.access == accessSuspended:
		refusal = refuse(http.StatusForbidden, "suspended", "The app %s is suspended.", a.name)
		refusal.URL = "https://devcenter.heroku.com/articles/account-verification"
	case a.access == accessDelinquent:
		refusal = refuse(http.StatusPaymentRequired, "delinquent", "The account that owns %s has unpaid invoices.", a.name)
	default:
		a.settle(x.now)
		x.app = a
		return nil
	}
	return new(refusal.answer())
}

func twoFactor(id, name string) *apiError {
	e := refuse(http.StatusForbidden, "two_factor", "A second authentication factor or pre-authorization is required for this request. Your account has two-factor enabled.")
	e.App = &appRef{ID: id, Name: name}
	return e
}

// authorise reads a bearer token, or basic authentication with the token as
// its password.
func (s *Server) authorise(r *http.Request) (Account, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, token, ok = r.BasicAuth()
	}
	account, known := s.tokens[token]
	return account, ok && known && !s.revoked[token]
}

// write sends an answer, or what a fault leaves of it.
func (s *Server) write(rw http.ResponseWriter, r *http.Request, d delivery, a answer) (status int) {
	h := rw.Header()
	h.Set("Request-Id", s.requestID())
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Accept-Encoding")
	for k, v := range a.header {
		h.Set(k, v)
	}
	text, done := a.body.([]byte)
	if !done {
		a = s.encoded(d.x, a) // what a fault says, or a refusal: nothing of the world is in it
		text, done = a.body.([]byte)
	}
	if !done {
		text = []byte(a.body.(string))
		h.Set("Content-Type", "text/html; charset=utf-8")
	}
	if a.status/100 == 2 && r.Method == http.MethodGet {
		etag := fmt.Sprintf(`"%x"`, sha256.Sum256(text))[:34] + `"`
		h.Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			rw.WriteHeader(http.StatusNotModified)
			return http.StatusNotModified
		}
	}
	if d.fault != nil {
		text = d.fault.mangle(text)
	}
	s.mu.Lock()
	s.calls.answered(d.n, text)
	s.mu.Unlock()
	h.Set("Content-Length", fmt.Sprint(len(text)))
	rw.WriteHeader(a.status)
	if _, err := rw.Write(text); err != nil {
		return 0 // the client has gone
	}
	return a.status
}

func (s *Server) requestID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world.mint("request", "")
}
