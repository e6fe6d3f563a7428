package slack

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The tokens that a Server accepts unless [Options] name others.
const (
	DefaultBotToken = "xoxb-simulated-bot-token"
	DefaultAppToken = "xapp-simulated-app-token"
)

// object is a JSON object. The server shares no type with any client, so what it
// says is written down as JSON where it is said.
type object = map[string]any

// Options set up a [Server]. The zero value is a whole, well-behaved Slack.
type Options struct {
	Workspace Workspace // zero: DefaultWorkspace

	BotToken string   // zero: DefaultBotToken
	AppToken string   // zero: DefaultAppToken
	Scopes   []string // what the bot token was granted; nil: DefaultScopes
	Commands []string // registered slash commands; nil: "/zdd"
	Events   []string // subscribed events; nil: app_mention, message.im, app_home_opened

	// PingEvery is the time between the server's pings on a link. Zero is 10 s;
	// negative is none. slack-go gives a link up after 30 s without a ping.
	PingEvery time.Duration
	// RefreshEvery is how long a link lives before Slack asks for a new one
	// (a warning, and 10 s later refresh_requested). Zero is for ever; real Slack
	// takes a few hours.
	RefreshEvery time.Duration
	// PostBurst is how many messages a channel takes at once before one a second
	// is enforced. Zero is 1.
	PostBurst int
	// NoRateLimits switches the tiers and the one message a second off.
	NoRateLimits bool
	// Zone is the one in which /_control tells moments, which Slack tells each reader in their
	// own. Nil is UTC, so that scripts read the same everywhere.
	Zone *time.Location
	// Strict refuses what Slack merely warns of: a message of blocks without the
	// top-level text that screen readers and notifications need, and arguments
	// that the method does not document.
	Strict bool
	// Shortcuts are the app's message shortcuts; nil: "Check with zdd".
	Shortcuts []Shortcut
	// RawCommands sends a slash command's text as typed, as an app does whose manifest
	// leaves should_escape off. By default people, channels and links arrive as
	// <@U…|name>, <#C…|name> and <https://…>.
	RawCommands bool
	// Deliver is the pattern in which several links get their envelopes.
	// Zero is RoundRobin.
	Deliver Delivery
	// Seed makes Random delivery repeatable.
	Seed uint64
	// Log gets one line a request at debug level. Nil discards.
	Log *slog.Logger
}

// DefaultScopes are the bot scopes granted when [Options] name none.
func DefaultScopes() []string {
	return []string{
		"app_mentions:read", "channels:history", "channels:read", "chat:write", "chat:write.public", "commands",
		"files:write", "groups:history", "groups:read", "im:history", "im:write", "usergroups:read", "users:read",
	}
}

// Server is the simulated Slack. It is an [http.Handler] for one host that serves
// the Web API under /api/, the links, the response and upload URLs, and /_control.
// Close it to end its links.
type Server struct {
	opts Options
	log  *slog.Logger
	mux  *http.ServeMux
	done chan struct{}  // closed by Close
	work sync.WaitGroup // links and held requests

	mu         sync.Mutex // guards all below
	closed     bool
	boot       string // tells this server from the one before it
	ws         Workspace
	base       string // http://HOST that the bot calls us by
	scopes     []string
	methodsOff map[string]bool
	blocksOff  map[string]bool // types of blocks that this server does not know
	tokenState string          // an error that every token gets, such as token_revoked
	rnd        *mathrand.Rand
	count      int   // for ids
	lastTS     int64 // µs, of the newest message

	messages  []*message
	dms       map[string]bool // opened direct conversations, by id
	index     map[string]*message
	stacks    map[string][]*view // open modals by user id, the top one last
	homes     map[string]*view   // by user id
	files     map[string]*file
	triggers  map[string]*trigger
	responses map[string]*responseURL

	offered map[string][]object // what the app last offered for a select, by offerKey

	events []Event
	wake   chan struct{} // closed and replaced at each event
	calls  []Call
	rates  map[string][]time.Time
	faults []*fault

	keepWire          bool // somebody looks
	wire              []wireNote
	wireSeq, wireSize int

	tickets     map[string]bool // unused ?ticket= of links
	links       []*link
	turn        int
	deliver     Delivery
	pings       bool
	greet       *greeting
	refuse      *refusal
	pending     map[string]*envelope
	eventRepeat int
	loseNext    int  // ephemeral messages that nobody is going to see
	noType      bool // response_url answers without a Content-Type
}

// New starts a simulated Slack.
func New(opts Options) *Server {
	if opts.Workspace.ID == "" {
		opts.Workspace = DefaultWorkspace()
	}
	opts.BotToken = cmp.Or(opts.BotToken, DefaultBotToken)
	opts.AppToken = cmp.Or(opts.AppToken, DefaultAppToken)
	opts.PingEvery = cmp.Or(opts.PingEvery, pingEvery)
	opts.PostBurst = max(opts.PostBurst, 1)
	opts.Deliver = cmp.Or(opts.Deliver, RoundRobin)
	opts.Zone = cmp.Or(opts.Zone, time.UTC)
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	if opts.Scopes == nil {
		opts.Scopes = DefaultScopes()
	}
	if opts.Commands == nil {
		opts.Commands = []string{"/zdd"}
	}
	if opts.Events == nil {
		opts.Events = []string{"app_mention", "message.im", "app_home_opened"}
	}
	if opts.Shortcuts == nil {
		opts.Shortcuts = []Shortcut{{Name: "Check with zdd", Callback: "zdd_check"}}
	}
	s := &Server{
		boot:       secret()[:8],
		offered:    map[string][]object{},
		opts:       opts,
		log:        opts.Log,
		mux:        http.NewServeMux(),
		done:       make(chan struct{}),
		ws:         opts.Workspace.clone(),
		scopes:     slices.Clone(opts.Scopes),
		methodsOff: map[string]bool{},
		blocksOff:  map[string]bool{},
		rnd:        mathrand.New(mathrand.NewPCG(opts.Seed, opts.Seed)),
		dms:        map[string]bool{},
		index:      map[string]*message{},
		stacks:     map[string][]*view{},
		homes:      map[string]*view{},
		files:      map[string]*file{},
		triggers:   map[string]*trigger{},
		responses:  map[string]*responseURL{},
		wake:       make(chan struct{}),
		rates:      map[string][]time.Time{},
		tickets:    map[string]bool{},
		deliver:    opts.Deliver,
		pings:      opts.PingEvery > 0,
		pending:    map[string]*envelope{},
	}
	s.routes()
	return s
}

func (s *Server) routes() {
	s.mux.HandleFunc("/api/{method}", s.serveAPI)
	s.mux.HandleFunc("/link/", s.serveLink)
	s.mux.HandleFunc("POST /response/{id}", s.serveResponse)
	s.mux.HandleFunc("/upload/{id}", s.serveUpload)
	s.mux.HandleFunc("POST /_control/do", machineOnly(s.serveDo))
	s.mux.HandleFunc("GET /_control/log", machineOnly(s.serveLog))
	s.mux.HandleFunc("GET /_control/calls", machineOnly(s.serveCalls))
	s.mux.HandleFunc("GET /_control/links", machineOnly(s.serveLinks))
	s.mux.HandleFunc("GET /_control/see/{person}", machineOnly(s.serveSee))
	s.mux.HandleFunc("GET /_control/file/{id}", machineOnly(s.serveFile))
	s.mux.HandleFunc("GET /_control/page/{person}", machineOnly(s.servePage))
	s.mux.HandleFunc("POST /_control/page/{person}/act", machineOnly(s.serveAct))
	s.mux.HandleFunc("GET /_control/wire", machineOnly(s.serveWire))
	s.mux.HandleFunc("GET /_control/help", machineOnly(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, controlUsage()) }))
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends every link and every held request, and waits for them.
// It can be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
		for _, l := range s.links {
			l.end()
		}
	}
	s.mu.Unlock()
	s.work.Wait()
}

// hold counts the calling goroutine among those that Close waits for. It reports
// false, and counts nothing, once the server is closed.
func (s *Server) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// after runs f in a while, with the lock held, unless the server is closed by then.
func (s *Server) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	})
}

// nextID makes a readable id that is unique in this server.
func (s *Server) nextID(prefix string) string {
	s.count++
	return fmt.Sprintf("%s%06d", prefix, s.count)
}

// secret makes an id that can't be guessed.
func secret() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

// nextTS makes a message's timestamp, which is also its id in its channel: unique,
// rising, seconds with six decimals.
func (s *Server) nextTS() string {
	s.lastTS = max(time.Now().UnixMicro(), s.lastTS+1)
	return fmt.Sprintf("%d.%06d", s.lastTS/1e6, s.lastTS%1e6)
}

// Event is one thing that a person saw, or did, or was not shown.
type Event struct {
	Seq  int       `json:"seq"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // post, dm, ephemeral, update, delete, view, home, file, errors, options, notice, timeout, ack

	Channel     string `json:"channel,omitempty"`      // id
	ChannelName string `json:"channel_name,omitempty"` // name, or "dm"
	To          string `json:"to,omitempty"`           // the one person who sees it, by script name
	TS          string `json:"ts,omitempty"`
	ThreadTS    string `json:"thread_ts,omitempty"`
	By          string `json:"by,omitempty"` // a person's script name, "bot" or "slack"

	Text         string          `json:"text"`                   // as a person sees it
	Notification string          `json:"notification,omitempty"` // the top-level text of a message of blocks
	Blocks       json.RawMessage `json:"blocks,omitempty"`
	Ephemeral    bool            `json:"ephemeral,omitempty"`
	Pings        []string        `json:"pings,omitempty"` // who is rung: @channel, @here, @everyone, people, groups
	Envelope     string          `json:"envelope,omitempty"`
}

// record appends an event and wakes those who wait for one. It needs the lock.
func (s *Server) record(e Event) int {
	e.Seq = len(s.events) + 1
	e.At = time.Now()
	if e.ChannelName == "" && e.Channel != "" {
		e.ChannelName = s.channelName(e.Channel)
	}
	s.events = append(s.events, e)
	s.stir()
	return e.Seq
}

// Events returns a copy of everything seen so far.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Call is one request to the Web API, a response URL or an upload URL.
type Call struct {
	Seq    int       `json:"seq"`
	At     time.Time `json:"at"`
	Method string    `json:"method"` // such as chat.postMessage; "response_url"; "upload"
	Status int       `json:"status"` // of HTTP; 0 where the connection was cut
	Error  string    `json:"error,omitempty"`
	Args   object    `json:"args,omitempty"` // without the token

	answer object // for those who watch; not kept
}

// Calls returns a copy of the log of requests.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Links is how many Socket Mode links take envelopes.
func (s *Server) Links() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live())
}

func (s *Server) noteCall(c Call) {
	c.Seq = len(s.calls) + 1
	c.At = time.Now()
	if _, told := c.Args["token"]; told {
		c.Args = maps.Clone(c.Args)
		delete(c.Args, "token")
	}
	s.onWire(wireNote{Kind: "call", Name: c.Method, Status: c.Status, Error: c.Error}, c.Args, c.answer)
	c.answer = nil
	s.calls = append(s.calls, c)
	s.log.Debug("slack call", "method", c.Method, "status", c.Status, "err", c.Error)
}

func (s *Server) channelName(id string) string {
	if c := s.ws.channel(id); c != nil {
		return c.Name
	}
	if strings.HasPrefix(id, "D") {
		return "dm"
	}
	return id
}
