package heroku

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// code is how an app's own code behaves, in all its dynos: what of a deploy is not up to
// the platform.
type code struct {
	bind     bindWhen
	shutdown shutdownHow
	crash    crashWhen
	session  sessionWhere
	version  versionHow
	work     time.Duration // how long a page takes
}

type (
	bindWhen     string
	shutdownHow  string
	crashWhen    string
	sessionWhere string
	versionHow   string
)

const (
	bindReady bindWhen = "ready" // the port is bound when the app can answer
	bindEarly bindWhen = "early" // before that, and answers 503 until then
	bindHang  bindWhen = "hang"  // before that, and answers nothing until then

	shutdownGraceful shutdownHow = "graceful" // the port is closed, what is under way finished
	shutdownSlow     shutdownHow = "slow"     // the port stays open, what comes gets no answer
	shutdownAbrupt   shutdownHow = "abrupt"   // all ends at once

	crashNone     crashWhen = "none"
	crashHandOver crashWhen = "handover" // new dynos of a release crash soon after they begin to serve

	sessionMemory sessionWhere = "memory"
	sessionShared sessionWhere = "shared"

	versionPath   versionHow = "path"   // at /version
	versionHeader versionHow = "header" // and on every answer
	versionNone   versionHow = "none"
)

const (
	earlyBind  = time.Second      // after its start a dyno binds its port, where it does so too early
	earlyBreak = 5 * time.Second  // a dyno of crash=handover serves; each next one a second longer
	slowPage   = 10 * time.Second // /slow takes so long between its first line and its last; /slow?for=20s another time
	slowest    = time.Minute
)

func usualCode() code {
	return code{bind: bindReady, shutdown: shutdownGraceful, crash: crashNone, session: sessionMemory, version: versionPath, work: 20 * time.Millisecond}
}

// choose takes one of some words.
func choose[T ~string](into *T, value string, of ...T) error {
	for _, word := range of {
		if string(word) == value {
			*into = word
			return nil
		}
	}
	words := make([]string, 0, len(of))
	for _, word := range of {
		words = append(words, string(word))
	}
	return fmt.Errorf("want one of %s", strings.Join(words, ", "))
}

// sessions are who is logged in, by the value of a cookie.
type sessions struct {
	mu    sync.Mutex
	names map[string]string
}

func newSessions() *sessions { return &sessions{names: map[string]string{}} }

func (l *sessions) begin() (id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id = rand.Text()
	l.names[id] = fmt.Sprintf("visitor-%d", len(l.names)+1)
	return id
}

func (l *sessions) who(r *http.Request) string {
	c, err := r.Cookie("session")
	if err != nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.names[c.Value]
}

// serve answers a request as the app's code does.
func (p *process) serve(rw http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // net/http notices that the router went away only after it
	p.lock.Lock()
	does, ready, name := p.site.app.code, p.dyno.readyAt, p.site.app.name
	told := p.told
	p.lock.Unlock()
	if told && does.shutdown == shutdownSlow {
		<-r.Context().Done() // until SIGKILL
		panic(http.ErrAbortHandler)
	}
	version := fmt.Sprintf("v%d", p.dyno.release.version)
	if does.version == versionHeader {
		rw.Header().Set("X-Release", version)
	}
	if wait := time.Until(ready); wait > 0 {
		if does.bind == bindEarly {
			http.Error(rw, name+" is starting", http.StatusServiceUnavailable)
			return
		}
		if !pause(r.Context(), wait) {
			panic(http.ErrAbortHandler)
		}
	}
	if !pause(r.Context(), does.work) {
		panic(http.ErrAbortHandler)
	}
	logins := p.sessions
	if does.session == sessionShared {
		logins = p.site.shared
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch r.URL.Path {
	case "/":
		if does.version == versionNone {
			version = "some version"
		}
		fmt.Fprintf(rw, "<!doctype html>\n<title>%s</title>\n<h1>%s</h1>\n<p>%s, served by %s</p>\n", name, name, version, p.dyno.name())
	case "/health":
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(rw, "ok")
	case "/version":
		if does.version == versionNone {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(rw, version)
	case "/login":
		http.SetCookie(rw, &http.Cookie{Name: "session", Value: logins.begin(), Path: "/", HttpOnly: true})
		fmt.Fprintln(rw, "<p>signed in</p>")
	case "/account":
		if who := logins.who(r); who != "" {
			fmt.Fprintf(rw, "<p>signed in as %s</p>\n", who)
			return
		}
		fmt.Fprintln(rw, "<p>signed out</p>")
	case "/slow":
		fmt.Fprintln(rw, "<p>it takes a while …</p>")
		_ = http.NewResponseController(rw).Flush() // the end comes all the same
		wait, err := time.ParseDuration(r.URL.Query().Get("for"))
		if err != nil || wait > slowest {
			wait = slowPage
		}
		if !pause(r.Context(), wait) {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintln(rw, "<p>done</p>")
	default:
		http.NotFound(rw, r)
	}
}
