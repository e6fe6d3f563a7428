// Package heroku reads the truth about Heroku apps through heroku-go, on an inner
// transport of our own: an allow-list of paths, a token bucket, retries, paging and
// errors that are types; and it changes them, in [Client.Apply] and nowhere else. It
// judges nothing (package audit does), plans nothing (package plan does), keeps nothing
// beyond what a person waits for (sizes for an hour, names for a minute), and holds no
// opinion on Slack.
//
// Invariants: nothing leaves for Heroku whose method and path are not in the table
// of [routes], and no write whose body is not of the form that its row has; only a GET
// is ever sent twice; the bot's own app is never changed; every error is a
// *[fleet.Problem] and shows no token; a part of an app that could not be read is
// unknown with its reason, never a zero.
package heroku

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	platform "github.com/heroku/heroku-go/v5"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/fleet"
	"example.com/zdd/secret"
)

// DefaultURL and DefaultMetricsURL are Heroku's own hosts. Autoscaling is told by the
// metrics host only; it is what the CLI asks, and is undocumented.
const (
	DefaultURL        = platform.DefaultURL
	DefaultMetricsURL = "https://api.metrics.heroku.com"
)

// The connection's limits. Those of one read are in [Timing].
const (
	dialTimeout     = 3 * time.Second  // Heroku's API answers a SYN within 200 ms from anywhere; 3 s is a dead route
	tlsTimeout      = 3 * time.Second  // two round trips and a chain check
	headerTimeout   = 20 * time.Second // a page of 1000 apps may take seconds; a read of one app has a nearer deadline of its own
	idleTimeout     = 60 * time.Second // Heroku's routers drop idle connections after about 90 s: be first
	idleConnections = 32               // three reads of one app at once keep their connections
	headerBytes     = 64 << 10         // no answer of Heroku's has headers beyond a few KiB
	bodyBytes       = 32 << 20         // a page of 1000 apps is about 2 MiB
	defaultParallel = 16               // background requests at once
	userAgent       = "zdd (heroku-go/v5)"
)

// Config says how to reach Heroku. Only Key has no default.
type Config struct {
	URL        string      // the Platform API; https, or http for simulators; default [DefaultURL]
	MetricsURL string      // default [DefaultMetricsURL]
	Key        secret.Text // the API token; scope read suffices for everything but changes
	// Self is the bot's own app, by UUID or name, which Apply never changes; empty: it
	// runs on none. See [Client.ReadSelf].
	Self     string
	ReadOnly string // why Apply may change nothing at all, in words for a person; empty: it may
	// Dial makes connections; nil dials the network. Tests give one that stays in
	// memory.
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	Proxy func(*http.Request) (*url.URL, error) // nil: none
	// Reserve is how many calls of the account's hourly limit background work leaves to
	// others; what people ask leaves half of it. Default 500, negative for none.
	Reserve    int
	Parallel   int // background requests under way at once; default 16
	Timing     Timing
	Log        *slog.Logger          // nil: discarded
	Registerer prometheus.Registerer // nil: no metrics
}

// Timing holds what a read may take and how long an answer is good for. Zero fields
// take their defaults.
type Timing struct {
	Part     time.Duration // one part of ReadApp; default 5 s: two seconds are promised, and a person waits no longer than eight
	Monitor  time.Duration // the parts that need the others first; default 3 s, so that both make 8 s
	List     time.Duration // one page of a list; default 25 s
	Write    time.Duration // one change; default 15 s: Heroku answers one within seconds, and after that looking tells more than waiting
	Retry    time.Duration // the first pause before a GET is sent again; default 200 ms, doubled each time
	SizesAge time.Duration // how long the dyno sizes and pipeline names are kept; default 1 h: Heroku changes prices by announcement
	NamesAge time.Duration // how long the list of names and hosts is kept; default 60 s: a new app is missing from suggestions that long
	Names    time.Duration // what a suggestion of names is worth waiting for; default 1.5 s: the answer that there is no such app is known already
	// FailedAge is how long a list of names that could not be read, or not wholly, is not
	// asked for again; default 5 s: who corrects a typing mistake takes that long.
	FailedAge time.Duration
	// Join is how long ago a reading of an app that is under way may have begun for somebody
	// else to join it: two people who press the same button, one who presses it twice.
	// Default 2 s: nobody changes an app and asks about it faster. Negative: none is shared.
	Join time.Duration
}

func (t Timing) withDefaults() Timing {
	t.Part = cmp.Or(t.Part, 5*time.Second)
	t.Monitor = cmp.Or(t.Monitor, 3*time.Second)
	t.List = cmp.Or(t.List, 25*time.Second)
	t.Write = cmp.Or(t.Write, 15*time.Second)
	t.Retry = cmp.Or(t.Retry, 200*time.Millisecond)
	t.SizesAge = cmp.Or(t.SizesAge, time.Hour)
	t.NamesAge = cmp.Or(t.NamesAge, time.Minute)
	t.Names = cmp.Or(t.Names, 1500*time.Millisecond)
	t.FailedAge = cmp.Or(t.FailedAge, 5*time.Second)
	t.Join = cmp.Or(t.Join, 2*time.Second)
	return t
}

// Client reads one account's view of Heroku, and changes it. It is safe for concurrent use. It holds
// the key behind a pointer only: %+v prints what is in a field without asking its type.
type Client struct {
	api     *platform.Service
	metrics *platform.Service
	inner   *transport
	wire    *http.Transport
	timing  Timing
	log     *slog.Logger

	self     fleet.Ref // zero: none
	selfID   remembered[fleet.ID]
	readOnly string

	sizes     remembered[fleet.Catalog]
	directory directories
	joins     joins
	pipelines *lru.Cache[fleet.ID, pipelineName]
	notices   notices
}

// New makes a client. It connects to nothing yet. The error names the setting that is
// wrong, and never the key.
func New(cfg Config) (*Client, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	api, err := parsePlace(cmp.Or(cfg.URL, DefaultURL), log)
	if err != nil {
		return nil, fmt.Errorf("heroku URL: %w", err)
	}
	metrics, err := parsePlace(cmp.Or(cfg.MetricsURL, DefaultMetricsURL), log)
	if err != nil {
		return nil, fmt.Errorf("heroku metrics URL: %w", err)
	}
	if err := checkKey(cfg.Key); err != nil {
		return nil, err
	}
	parallel := cmp.Or(cfg.Parallel, defaultParallel)
	if parallel < 1 {
		return nil, fmt.Errorf("heroku parallel: got %d, want at least 1", parallel)
	}
	reserve := cmp.Or(cfg.Reserve, defaultReserve)
	if reserve > bucketSize/2 {
		return nil, fmt.Errorf("heroku reserve: got %d, want at most %d, half of what Heroku gives an account", reserve, bucketSize/2)
	}
	var self fleet.Ref
	if cfg.Self != "" {
		if self, err = fleet.ParseRef(cfg.Self); err != nil {
			return nil, fmt.Errorf("heroku self: %w", err)
		}
	}
	bucket := newBucket(time.Now(), max(reserve, 0))
	meter, err := newMeter(cfg.Registerer, bucket)
	if err != nil {
		return nil, fmt.Errorf("register heroku metrics: %w", err)
	}
	c := &Client{timing: cfg.Timing.withDefaults(), log: log, self: self, selfID: newRemembered[fleet.ID](), readOnly: cfg.ReadOnly,
		sizes: newRemembered[fleet.Catalog](), pipelines: newPipelineNames()}
	c.wire = newWire(cfg, parallel)
	c.inner = &transport{
		api: api, metrics: metrics, routes: routes(), bucket: bucket, lanes: make(chan struct{}, parallel),
		meter: meter, wire: c.wire, pause: c.timing.Retry, key: cfg.Key, log: log,
	}
	client := &http.Client{
		Transport:     &platform.Transport{BearerToken: cfg.Key.Reveal(), UserAgent: userAgent, Transport: c.inner},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.api, c.metrics = platform.NewService(client), platform.NewService(client)
	c.api.URL, c.metrics.URL = api.String(), metrics.String()
	return c, nil
}

// newWire makes the connections. HTTP/1.1 only: with one request a connection, a
// connection that hangs holds up one part of one app.
func newWire(cfg Config, parallel int) *http.Transport {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	return &http.Transport{
		Proxy: cfg.Proxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, network, addr)
		},
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           2 * max(parallel, idleConnections),
		MaxIdleConnsPerHost:    max(parallel, idleConnections),
		MaxResponseHeaderBytes: headerBytes,
	}
}

// Close ends what goes on in the background and drops the idle connections. Requests
// under way end by their contexts.
func (c *Client) Close() {
	c.directory.stop()
	c.wire.CloseIdleConnections()
}

// place is where a service is: scheme, host and the path that its own paths follow.
type place struct{ scheme, host, path string }

func (p place) String() string { return p.scheme + "://" + p.host + p.path }

func parsePlace(text string, log *slog.Logger) (place, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case err != nil:
		return place{}, errors.New("it cannot be read as a URL") // the error of url.Parse would repeat it
	case u.User != nil:
		return place{}, errors.New("it must not hold a user or a password; the token goes into the key")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Opaque != "":
		return place{}, errors.New("it must begin with https:// (or http:// for a simulator) and name a host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return place{}, errors.New("it must not hold a query or a fragment")
	case strings.Contains(u.EscapedPath(), "%") || strings.Contains(u.Path, "..") || strings.Contains(u.Path, "//"):
		return place{}, errors.New("its path must be plain")
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	switch {
	case u.Scheme == "https" || host == "localhost" || ip != nil && ip.IsLoopback():
	case host == "heroku.com" || strings.HasSuffix(host, ".heroku.com"):
		return place{}, errors.New("heroku.com takes https:// only; http:// would show the token to the network")
	default:
		log.Warn("heroku is reached over plain http: the token can be read on the network", "ref", u.Host)
	}
	return place{u.Scheme, u.Host, strings.TrimRight(u.Path, "/")}, nil
}

func checkKey(key secret.Text) error {
	if key.IsZero() {
		return errors.New("the Heroku API key is not set")
	}
	for _, r := range key.Reveal() {
		if r <= ' ' || r > '~' {
			return errors.New("the Heroku API key holds a space, a line break or another sign that no token has; it was probably pasted with something around it")
		}
	}
	return nil
}

// rank says how much of the account's API limit a request has to leave to others.
type rank int

const (
	person     rank = iota // somebody waits for the answer: half the reserve
	background             // nobody does: the reserve
	urgent                 // an approved change, which is worse half done: the last few only
)

type rankKey struct{}

// Background marks what is done with ctx as work that no one waits for: it leaves the
// reserve of the account's API limit to people, and waits instead, in turn and until
// ctx's deadline; where that is too near it is refused at once with RateLimited. The
// times of [Timing] hold for what is sent, and not for that wait, in ReadApps, ReadRoll,
// ReadSettings and ReadReleases; the parts of ReadApp have theirs in all.
func Background(ctx context.Context) context.Context { return ranked(ctx, background) }

// Urgent marks what is done with ctx as what has to come through though few calls are
// left: a change that was approved, with its reads before and after, and whoever looks
// what is wrong. It may use all but the last of the account's API limit, and its reads of
// apps are always its own. Apply is urgent by itself.
func Urgent(ctx context.Context) context.Context { return ranked(ctx, urgent) }

func ranked(ctx context.Context, r rank) context.Context {
	return context.WithValue(ctx, rankKey{}, r)
}

func rankOf(ctx context.Context) rank {
	r, _ := ctx.Value(rankKey{}).(rank)
	return r
}
