// Package page serves the demo's page: a workspace that looks at a simulated Slack and a
// dashboard that looks at a simulated Heroku, under one origin.
//
// It is a front for people and their browsers, not a third simulator: everything it shows
// comes from the two servers that it is given, and everything a person does there goes to
// them, as a hand on their controls. It knows nothing of the bot.
//
// Invariants:
//
//   - It is for this machine's own browser. A request whose Host is not the loopback address
//     that it came in by is refused, which is what keeps a name on the internet that resolves
//     to 127.0.0.1 out, and so is a change that another site asks for.
//   - Only what the page needs of the two servers is reachable through it: not their APIs,
//     which take tokens, and not the rest of their controls.
//   - The page asks nobody but this handler for anything, and runs no script that is not one
//     of its files: its Content-Security-Policy says so. What people and apps write is put
//     into the page as text, never as markup.
//   - The files are written by hand and embedded as they are; there is no build.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// Config is what the page shows and whom it speaks to.
type Config struct {
	Slack, Heroku http.Handler // the two simulators

	// Do does what neither simulator can, such as "night"; nil: nothing. A verb that it
	// does not know is an error, whose text the person reads.
	Do func(ctx context.Context, verb string) error

	People   []Person  // who can be played; the first is who one is at first
	Commands []Command // what the composer completes
	Try      string    // the app that the first suggestions are about; "": none are made
}

// Person is one of the workspace's people whom the page's user can be.
type Person struct {
	Name string `json:"name"` // as scripts call them
	Does string `json:"does"` // in a few words: "asks for changes"
}

// Command is one line that the composer offers.
type Command struct {
	Usage   string `json:"usage"`   // such as "/zdd status <app>"
	Summary string `json:"summary"` // what it does, in a line
}

// policy is the page's Content-Security-Policy. Trusted types make it impossible for a
// script to turn text into markup at all, where browsers know them.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

const (
	// maxVerb bounds the body of POST /do, in bytes.
	maxVerb = 1 << 10
	// doWithin bounds what Do may take: it begins things, it does not wait for them.
	doWithin = 30 * time.Second
)

// New makes the page's handler. It panics where one of its own files is missing.
func New(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", serveFile("index.html"))
	files, err := fs.ReadDir(assets, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, f := range files {
		mux.HandleFunc("GET /assets/"+f.Name(), serveFile(f.Name()))
	}
	mux.HandleFunc("GET /setup.json", func(w http.ResponseWriter, _ *http.Request) { cfg.serveSetup(w) })
	mux.HandleFunc("POST /do", cfg.serveDo)

	slack, heroku := http.StripPrefix("/slack", cfg.Slack), http.StripPrefix("/heroku", cfg.Heroku)
	for _, pattern := range []string{"GET /slack/_control/page/{person}", "POST /slack/_control/page/{person}/act", "GET /slack/_control/wire", "GET /slack/_control/file/{id}"} {
		mux.Handle(pattern, slack)
	}
	for _, pattern := range []string{"GET /heroku/_control/live", "GET /heroku/_control/wire", "POST /heroku/_control/do"} {
		mux.Handle(pattern, heroku)
	}
	return guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard refuses whoever does not call the page by the address that it listens on, and says
// to the browser what the page may do.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !byOwnAddress(r) {
			http.Error(w, "open this page by the address that the demo printed", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// byOwnAddress tells whether the request names the address that it came in by: the numbers,
// or localhost with the same port; nothing else that may resolve to this machine.
func byOwnAddress(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	host, port, err := net.SplitHostPort(local.String())
	return err == nil && net.ParseIP(host).IsLoopback() && (r.Host == local.String() || r.Host == net.JoinHostPort("localhost", port))
}

// serveFile serves one of the page's files. A browser asks each time, and is told when it
// has it already: a new version of the program must never run half of an old page.
func serveFile(name string) http.HandlerFunc {
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(fmt.Sprintf("page: %v", err)) // it is embedded
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	kind := mime.TypeByExtension(path.Ext(name))
	if strings.HasSuffix(name, ".js") {
		kind = "text/javascript; charset=utf-8" // some machines' tables say otherwise, and a module then does not load
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	}
}

func (cfg Config) serveSetup(w http.ResponseWriter) {
	text, err := json.Marshal(struct {
		People   []Person  `json:"people"`
		Commands []Command `json:"commands"`
		Try      string    `json:"try"`
	}{cfg.People, cfg.Commands, cfg.Try})
	if err != nil {
		panic(fmt.Sprintf("page: %v", err)) // strings always encode
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(text)
}

// serveDo does one of the demo's own verbs.
func (cfg Config) serveDo(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Verb string `json:"verb"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxVerb)).Decode(&asked)
	switch {
	case err != nil:
		err = fmt.Errorf("no verb could be read: %w", err)
	case cfg.Do == nil:
		err = errors.New("nothing of the kind can be done here")
	default:
		ctx, cancel := context.WithTimeout(r.Context(), doWithin)
		defer cancel()
		err = cfg.Do(ctx, asked.Verb)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, "ok")
}
