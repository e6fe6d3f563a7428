// Package chat is the bot's side of Slack: Socket Mode links; routing of what people
// type, press and fill in; who they are; a [commands.Reply] as Block Kit or terminal text;
// dialogs; requests that change something, which are stored and carried out as jobs; the
// messages about tickets, which follow their tickets and ring the requester at the end, and
// those about watches of deploys, which do the same; the nightly digest and reports, with
// their threads and files; each person's Home tab, and the modals that answer what is
// pressed there.
// It is not the grammar (package commands), decides nothing about apps or tickets, and keeps
// nothing on disk: what must outlive it goes through the interfaces that it declares.
//
// Invariants: an envelope is acknowledged within 3 s of its arrival, or not at all; a
// command that changes something is stored before that, and goes on after a restart;
// whatever was typed or pressed runs at most once here, and as the person who did so,
// whom Slack was asked about; whoever is turned away or cut off is told so; an answer is
// shown to people of another company only by the word of whoever shares it; a ticket, and
// a digest, has one message for each target, posted once over crashes as far as Slack can
// tell, and where it can't tell, said to be a repeat; nobody who looks at their Home tab
// sees what has not been so for a minute, as long as Slack takes that many pages; a text
// of a person's or an API's is inert in every message; no token and no response_url is
// ever logged or stored.
package chat

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/slack-go/slack"

	"example.com/zdd/commands"
	"example.com/zdd/secret"
)

// dispatcher answers command lines.
type dispatcher interface {
	Find(line string) (commands.Command, commands.Args, error)
	Run(ctx context.Context, line string, req commands.Request) (commands.Reply, error)
}

// recorder remembers deliveries over restarts and replicas: true exactly once for
// each id.
type recorder interface {
	Record(ctx context.Context, id, kind string, at time.Time) (first bool, err error)
}

// Config is what a Bot needs. Zero values are defaults unless said otherwise.
type Config struct {
	APIURL     string                                                            // of the Web API, such as https://slack.com/api/, which is the default
	BotToken   secret.Text                                                       // xoxb-…; required
	AppToken   secret.Text                                                       // xapp-…; required
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the network
	Roots      *x509.CertPool                                                    // whose certificates to believe; nil: the system's
	Commands   dispatcher                                                        // required
	Envelopes  recorder                                                          // nil: what only reads is not remembered over restarts
	Requests   requests                                                          // nil: nothing that changes anything is accepted
	Wake       func()                                                            // called after a request was stored, such as jobs.Queue.Wake; nil: the queue finds it by itself
	Telling    Telling                                                           // what Tell needs; zero: no ticket is told of
	Digests    Digests                                                           // what Digest and Stale need; zero: no digest is posted
	Drifts     Drifts                                                            // what Drift needs; zero: nobody is told of drift
	Deploys    Deploys                                                           // what TellDeployWatch needs; zero: nobody is told of watches of deploys
	Reports    Reports                                                           // what reports need; zero: none can be asked for
	Forms      forms                                                             // makes dialogs with fields; nil: there are none, and /zdd alone is help
	Home       homeMaker                                                         // makes the page of the Home tab; nil: none is published
	Log        *slog.Logger                                                      // nil: discarded
	Registerer prometheus.Registerer                                             // nil: the metrics go nowhere
	Timing     Timing
	Workers    int // commands that run at once; default 8
	Queue      int // accepted commands that wait for a worker; default 32
	Links      int // Socket Mode connections, so that one's refresh loses nothing; default 2, Slack allows an app 10
}

// Timing holds every wait of a Bot. Zero fields take the default.
type Timing struct {
	Record time.Duration // for recording before the acknowledgement: half of Slack's 3 s; default 1.5 s
	Note   time.Duration // for recording after it, which nothing waits for but the answer; default 300 ms
	Ack    time.Duration // for handing an acknowledgement to a link; with Record under Slack's 3 s; default 1 s
	Work   time.Duration // for one command; default 45 s
	Answer time.Duration // for delivering its answer, with retries; default 60 s
	Grace  time.Duration // for running commands when the bot stops; Heroku kills 30 s after SIGTERM; default 15 s
	// Farewell is for telling those whose commands the Grace was too short for; both
	// together, with Record and Ack, stay below Heroku's 30 s; default 3 s.
	Farewell time.Duration
	HTTP     time.Duration // for one request to Slack; default 15 s
	Hello    time.Duration // from connecting to the first frame; default 15 s
	Silent   time.Duration // without a ping before a link counts as dead, where the server pings; default 30 s, Slack's own rule
	Stable   time.Duration // a link that lived this long starts over without a delay; default 1 min
	// Stagger keeps the openings of links apart, because Slack asks for a new link after
	// about the same time each: they must not be away together; default 5 s.
	Stagger time.Duration
	Retry   time.Duration // the first delay between attempts, doubled up to RetryMax; default 500 ms
	// RetryMax bounds that delay, so that the bot is back soon after Slack is; default 30 s.
	RetryMax time.Duration
	People   time.Duration // how long Slack's word on people, user groups and channels is believed; default 60 s
	// Patience is how long after its acceptance a request is tried again where Slack or
	// the database does not answer, before its person is told; default 2 min.
	Patience time.Duration
	Again    time.Duration // between such attempts; default 5 s
	// Unsure is how long a message that was about to be posted is left to whoever was
	// about it: longer than HTTP, so that it is over by then; default twice as long.
	Unsure time.Duration
	// Outage is between attempts at what nobody waits for, such as a digest, while Slack is
	// in trouble: once a minute goes on soon enough after hours; default 1 min.
	Outage time.Duration
	// Report bounds the reading of the fleet for a person: what was not read by then is
	// said to be; default 20 min, more than a thousand apps take beside everybody else.
	Report time.Duration
	Seen   time.Duration // how long a delivery is remembered: Slack repeats events for six minutes; default 10 min
}

func or(d *time.Duration, otherwise time.Duration) {
	if *d <= 0 {
		*d = otherwise
	}
}

func (t Timing) filled() Timing {
	or(&t.Record, 1500*time.Millisecond)
	or(&t.Note, 300*time.Millisecond)
	or(&t.Ack, time.Second)
	or(&t.Work, 45*time.Second)
	or(&t.Answer, time.Minute)
	or(&t.Grace, 15*time.Second)
	or(&t.Farewell, 3*time.Second)
	or(&t.HTTP, 15*time.Second)
	or(&t.Hello, 15*time.Second)
	or(&t.Silent, 30*time.Second)
	or(&t.Stable, time.Minute)
	or(&t.Stagger, 5*time.Second)
	or(&t.Retry, 500*time.Millisecond)
	or(&t.RetryMax, 30*time.Second)
	or(&t.People, time.Minute)
	or(&t.Patience, 2*time.Minute)
	or(&t.Again, 5*time.Second)
	or(&t.Unsure, 2*t.HTTP)
	or(&t.Outage, time.Minute)
	or(&t.Report, 20*time.Minute)
	or(&t.Seen, 10*time.Minute)
	return t
}

// Bot is one connection of the program to one workspace. Make it with New.
type Bot struct {
	cfg     Config
	api     *api
	log     *slog.Logger
	metrics *metrics
	people  *people
	places  *places
	seen    *seen
	once    *once

	responses  addresses                    // of the requests that wait for their answer, and of open dialogs
	refused    *lru.Cache[string, struct{}] // ids of requests whose person was told that they were not accepted
	pace       pace
	picks      picks
	homes      *homes
	homeLacked atomic.Int64 // ns since 1970, when it was last logged that a Home tab lacks something

	room    chan struct{} // one slot for each accepted command, running or waiting
	workers chan struct{} // one permit for each command that may run
	excuses excuses       // for those who were turned away
	cut     chan struct{} // closed when a stop cuts off what still runs
	work    sync.WaitGroup

	self     atomic.Pointer[Self]
	stopping atomic.Bool
	gap      atomic.Int64 // ns, the longest time between two pings of this server; 0: unknown, so silence means nothing
	storeUp  atomic.Bool  // the last record succeeded
	fatal    chan error   // holds at most one
	links    []*link
}

// Self is who the bot is, by auth.test.
type Self struct {
	Team       string // T…
	TeamName   string
	Enterprise string // E…, in an Enterprise organisation
	User       string // U…, of the bot
	Bot        string // B…
	URL        string // of the workspace
	Scopes     []string
}

// New checks the configuration; it connects to nothing. Its errors are sentences for
// the person who set it.
func New(cfg Config) (*Bot, error) {
	if cfg.Commands == nil {
		return nil, errors.New("chat needs commands to answer with")
	}
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register chat metrics: %w", err)
	}
	b := &Bot{
		cfg:       cfg,
		log:       cfg.Log,
		metrics:   m,
		seen:      newSeen(cfg.Timing.Seen),
		once:      &once{},
		responses: newAddresses(),
		picks:     newPicks(),
		homes:     newHomes(),
		room:      make(chan struct{}, cfg.Workers+cfg.Queue),
		workers:   make(chan struct{}, cfg.Workers),
		cut:       make(chan struct{}),
		fatal:     make(chan error, 1),
	}
	if b.refused, err = lru.New[string, struct{}](addressesMost); err != nil { // only for a size below one
		return nil, err
	}
	b.storeUp.Store(true)
	b.api = newAPI(cfg, b.once)
	b.people = newPeople(b.api, cfg.Timing)
	b.places = newPlaces(b.api, cfg.Timing)
	for i := range cfg.Links {
		b.links = append(b.links, newLink(b, i+1))
	}
	return b, nil
}

// filled checks the places and tokens and sets the defaults.
func (c Config) filled() (Config, error) {
	c.BotToken = secret.New(strings.TrimSpace(c.BotToken.Reveal()))
	c.AppToken = secret.New(strings.TrimSpace(c.AppToken.Reveal()))
	switch {
	case c.BotToken.IsZero():
		return c, errors.New("no bot token: set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-…) of the app's page \"OAuth & Permissions\"")
	case c.AppToken.IsZero():
		return c, errors.New("no app-level token: set SLACK_APP_TOKEN to one (xapp-…) with the scope connections:write, made on the app's page \"Basic Information\"")
	case strings.HasPrefix(c.BotToken.Reveal(), "xapp-") && strings.HasPrefix(c.AppToken.Reveal(), "xox"):
		return c, errors.New("the two Slack tokens are swapped: SLACK_BOT_TOKEN begins with xoxb- and SLACK_APP_TOKEN with xapp-")
	case strings.HasPrefix(c.BotToken.Reveal(), "xapp-"):
		return c, errors.New("SLACK_BOT_TOKEN holds an app-level token (xapp-…): it takes the Bot User OAuth Token (xoxb-…) of the app's page \"OAuth & Permissions\"")
	case strings.HasPrefix(c.AppToken.Reveal(), "xox"):
		return c, errors.New("SLACK_APP_TOKEN holds a bot or user token: it takes an app-level token (xapp-…) with the scope connections:write, made on the app's page \"Basic Information\"")
	}
	if c.APIURL == "" {
		c.APIURL = slack.APIURL
	}
	if !strings.HasPrefix(c.APIURL, "http://") && !strings.HasPrefix(c.APIURL, "https://") {
		return c, errors.New("SLACK_API_URL must begin with https:// (or http:// for a server on your own machine)")
	}
	if !strings.HasSuffix(c.APIURL, "/") { // slack-go only appends the method's name
		c.APIURL += "/"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Workers <= 0 {
		c.Workers = 8
	}
	if c.Queue <= 0 {
		c.Queue = 32
	}
	if c.Links <= 0 {
		c.Links = 2
	}
	c.Timing = c.Timing.filled()
	return c, nil
}

// transport makes the bot's own connection pool; the caller closes its idle connections.
func (c Config) transport() *http.Transport {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second, // net/http's own default
		TLSHandshakeTimeout:   10 * time.Second, // likewise
		ResponseHeaderTimeout: c.Timing.HTTP,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
	}
	if c.Dial != nil {
		t.Proxy = nil
		t.DialContext = c.Dial
	} else {
		t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext // below Timing.HTTP, so that another address is tried
	}
	return t
}

// Run serves until ctx ends, and then lets running commands finish: it returns nil.
// It returns earlier only with a *FatalError, whose text tells a person what to mend.
// It can be called once.
func (b *Bot) Run(ctx context.Context) error {
	defer b.api.close()
	self, err := b.identify(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	b.self.Store(&self)
	b.log.Info("connected to slack as a bot", "user", self.User)

	// Work outlives ctx by the grace, the telling of it by the farewell, and links by what
	// they still have to acknowledge.
	workCtx, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	linkCtx, endLinks := context.WithCancel(workCtx)
	defer endLinks()
	var links sync.WaitGroup
	for _, l := range b.links {
		links.Go(func() { l.run(linkCtx, workCtx) })
	}
	var pages sync.WaitGroup
	defer pages.Wait()
	pages.Go(func() { b.keepHomes(linkCtx) })

	select {
	case <-ctx.Done():
		err = nil
	case err = <-b.fatal:
	}
	b.stopping.Store(true) // from here on envelopes are turned away
	b.settle(b.acking, b.cfg.Timing.Record+b.cfg.Timing.Ack)
	time.Sleep(lastWords)
	endLinks()
	links.Wait()
	if left := b.settle(b.waiting, b.cfg.Timing.Grace); left > 0 {
		b.log.Warn("commands cut off by the stop", "attempt", left)
	}
	close(b.cut)
	b.settle(b.waiting, b.cfg.Timing.Farewell)
	endWork()
	b.work.Wait()
	return err
}

// lastWords is what slack-go's sender is given to write what it was handed: it does not tell
// when it has, and drops what it still holds when its connection is ended.
const lastWords = 50 * time.Millisecond

// acking is how many envelopes were taken and not acknowledged yet.
func (b *Bot) acking() int { return int(b.metrics.acking.Load()) }

// waiting is how many accepted commands are not done yet, and how many people are still
// to be told that theirs was not accepted.
func (b *Bot) waiting() int { return len(b.room) + b.excuses.left() }

// settle waits until nothing is left, or for the limit, and says what is left. It looks
// every 20 ms: this runs once, at the end.
func (b *Bot) settle(left func() int, limit time.Duration) int {
	end := time.Now().Add(limit)
	for left() > 0 && time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
	}
	return left()
}

// identify asks who the bot is until Slack says so, or says that it never will.
func (b *Bot) identify(ctx context.Context) (Self, error) {
	wait := newBackOff(b.cfg.Timing)
	for attempt := 1; ; attempt++ {
		self, err := b.CheckBotToken(ctx)
		if err == nil {
			return self, nil
		}
		if fatal, ok := errors.AsType[*FatalError](err); ok {
			return Self{}, fatal
		}
		if ctx.Err() != nil {
			return Self{}, nil
		}
		b.log.Warn("slack does not answer, trying again", "attempt", attempt, "err", b.api.redact(err))
		if !pause(ctx, max(wait.NextBackOff(), retryAfter(err))) {
			return Self{}, nil
		}
	}
}

// pause waits, and says whether it was for the whole time.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// CheckBotToken asks Slack who the bot token belongs to. A *FatalError says what is
// wrong with the token; any other error that Slack could not be asked.
func (b *Bot) CheckBotToken(ctx context.Context) (Self, error) {
	res, err := b.api.slack.AuthTestContext(ctx)
	if err != nil {
		return Self{}, classify(err, botToken)
	}
	self := Self{Team: res.TeamID, TeamName: res.Team, Enterprise: res.EnterpriseID, User: res.UserID, Bot: res.BotID, URL: res.URL}
	for scope := range strings.SplitSeq(res.Header.Get("X-OAuth-Scopes"), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			self.Scopes = append(self.Scopes, scope)
		}
	}
	return self, nil
}

// CheckAppToken asks Slack for a Socket Mode address and does not use it. Errors are
// those of CheckBotToken.
func (b *Bot) CheckAppToken(ctx context.Context) error {
	if _, _, err := b.api.slack.StartSocketModeContext(ctx); err != nil {
		return classify(err, appToken)
	}
	return nil
}

// Self is who the bot is; false until Slack has said so.
func (b *Bot) Self() (Self, bool) {
	if s := b.self.Load(); s != nil {
		return *s, true
	}
	return Self{}, false
}

// Ready says whether people can reach the bot: at least one link has been greeted and
// is not silent. If not, why is a sentence.
func (b *Bot) Ready() (ok bool, why string) {
	if b.stopping.Load() {
		return false, "stopping"
	}
	if b.self.Load() == nil {
		return false, "Slack has not said yet who the bot is"
	}
	why = "no link to Slack is up"
	for _, l := range b.links {
		switch p := l.current.Load(); {
		case p == nil || !p.greeted.Load():
		case !p.fresh(b.patience(), time.Now()):
			why = "Slack has been silent for too long"
		default:
			return true, ""
		}
	}
	return false, why
}

// fail ends Run with err; the first one counts.
func (b *Bot) fail(err error) {
	select {
	case b.fatal <- err:
	default:
	}
}
