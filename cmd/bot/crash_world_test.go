//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
)

// crashWorld is both simulators on loopback, behind a layer that is slow, breaks now and
// then, and writes down what reached Heroku, when, and what came of it. It keeps its own
// records: what the bot says of itself proves nothing.
type crashWorld struct {
	slack               *simslack.Server
	heroku              *simheroku.Server
	slackURL, herokuURL string
	domain              string   // of the apps
	routers             []string // addresses of the router, one for each replica: so a probe tells who sent it
	servers             []*http.Server
	serving             sync.WaitGroup

	calm    atomic.Bool      // nothing breaks any more
	asked   atomic.Int64     // when a night was last asked for; Unix time in nanoseconds
	probing atomic.Int64     // when a probe last asked for an app; likewise
	moments chan crashMoment // when a kill hurts most; nobody need listen

	mu     sync.Mutex
	rnd    *rand.Rand
	writes []crashWrite
	probes []probeRun
	faults map[string]int
}

// crashMoment is something that has just happened between the bot and the world.
type crashMoment struct {
	kind    string
	replica int // below 0: it can't be told which
}

// The moments.
const (
	momentArrived = "a write has arrived at Heroku"
	momentDone    = "a write has taken effect, its answer is on its way"
	momentPosted  = "a message is posted, its answer is on its way"
	momentUpdated = "a message is changed, its answer is on its way"
	momentPressed = "a person has pressed or typed"
	momentScan    = "a scan reads"
	momentDigest  = "a part of a digest is posted, its answer is on its way"
	momentFile    = "a file is shared, its answer is on its way"
	momentProbed  = "a probe has asked for an app"
	momentDropped = "a probe has been answered with an error"
	momentRelease = "a release is made"
	momentWatched = "a message about a watch is posted or changed, its answer is on its way"
)

func crashMoments() []string {
	return []string{momentArrived, momentDone, momentPosted, momentUpdated, momentPressed}
}

// watchMoments are those that come only while a deploy is watched.
func watchMoments() []string {
	return []string{momentProbed, momentDropped, momentRelease, momentWatched}
}

// nightMoments are those that come only while there is a night.
func nightMoments() []string { return []string{momentScan, momentDigest, momentFile} }

// nightfall is how long after a night was asked for its moments are likely.
const nightfall = 8 * time.Second

// bad are the moments that a killer may wait for now.
func (w *crashWorld) bad() []string {
	all := crashMoments()
	if time.Since(time.Unix(0, w.asked.Load())) < nightfall {
		all = append(all, nightMoments()...)
	}
	if time.Since(time.Unix(0, w.probing.Load())) < time.Second {
		all = append(all, watchMoments()...)
	}
	return all
}

// crashWrite is one PATCH that reached Heroku.
type crashWrite struct {
	app           string // name
	replica       int
	from, to      time.Time // it arrived, and it was answered or dropped
	took          time.Time // when the state was changed, if it was
	before, after crashState
	webUp         int // web dynos that served, just before
}

// crashState is what the simulated Heroku says of an app.
type crashState struct{ web, size, affinity, preboot string }

// changed is what a write did, such as "web=2"; empty: nothing.
func (w crashWrite) changed() string { return w.after.beyond(w.before) }

// beyond is what of s is not as in the other.
func (s crashState) beyond(before crashState) string {
	var out []string
	for _, p := range [][3]string{{"web", before.web, s.web}, {"size", before.size, s.size}, {"affinity", before.affinity, s.affinity}, {"preboot", before.preboot, s.preboot}} {
		if p[1] != p[2] {
			out = append(out, p[0]+"="+p[2])
		}
	}
	return strings.Join(out, " ")
}

// crashTokens are one token of the same account for each replica: so a write tells who
// sent it.
func crashTokens() []string {
	return []string{"HRKU-5eed0000-0000-4000-8000-0000000000a0", "HRKU-5eed0000-0000-4000-8000-0000000000a1"}
}

const (
	crashAskers = 4
	// crashScale has preboot hand over within six seconds, which a watch waits for.
	crashScale = 40
	// wireMost is how long a request, and its answer, is on its way at the most.
	wireMost = 60 * time.Millisecond
)

func newCrashWorld(t testing.TB, apps []crashApp, seed uint64) *crashWorld {
	t.Helper()
	var text strings.Builder
	fmt.Fprintln(&text, "team acme")
	for _, a := range apps {
		for _, name := range a.all() {
			fmt.Fprintf(&text, "app %s team=acme %s released=200h\n", name, a.shape)
		}
	}
	fleet, err := simheroku.LoadFleet(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]simheroku.Account{}
	for _, token := range crashTokens() {
		tokens[token] = simheroku.Account{}
	}
	people := simslack.DefaultWorkspace()
	for i := range crashAskers {
		id := fmt.Sprintf("U0ASKER%d", i)
		people.People = append(people.People, simslack.Person{Name: crashAsker(i), ID: id, RealName: fmt.Sprintf("Asker %d", i)})
		for c := range people.Channels {
			if name := people.Channels[c].Name; name == "general" || name == "ops" {
				people.Channels[c].Members = append(people.Channels[c].Members, id)
			}
		}
	}
	w := &crashWorld{
		slack:   simslack.New(simslack.Options{Workspace: people, Strict: true, NoRateLimits: true, Deliver: simslack.Random, Seed: seed}),
		moments: make(chan crashMoment),
		rnd:     rand.New(rand.NewPCG(seed, 1)),
		faults:  map[string]int{},
	}
	for i := range crashTokens() {
		url := w.serve(t, func(rw http.ResponseWriter, r *http.Request) { w.serveApps(i, rw, r) })
		w.routers = append(w.routers, strings.TrimPrefix(url, "http://"))
	}
	_, port, _ := strings.Cut(w.routers[0], ":")
	w.domain = demoDomain + ":" + port
	w.heroku = simheroku.New(simheroku.Options{
		Tokens: tokens, Fleet: fleet, BucketOff: true, DynoBoot: 200 * time.Millisecond, ReleaseTime: 100 * time.Millisecond, HandoverJitter: -1,
		Domain: w.domain, BootTimeout: 3 * time.Second, Scale: crashScale,
	})
	w.slackURL, w.herokuURL = w.serve(t, w.serveSlack), w.serve(t, w.serveHeroku)
	t.Cleanup(func() {
		w.slack.Close()
		w.heroku.Close()
		for _, s := range w.servers {
			_ = s.Close()
		}
		w.serving.Wait()
	})
	return w
}

func crashAsker(i int) string { return fmt.Sprintf("asker%d", i) }

func (w *crashWorld) serve(t testing.TB, handle http.HandlerFunc) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handle, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	w.servers = append(w.servers, server)
	w.serving.Go(func() { _ = server.Serve(listener) }) // ends with ErrServerClosed
	return "http://" + listener.Addr().String()
}

// happened tells the killer, if that listens.
func (w *crashWorld) happened(kind string, replica int) {
	select {
	case w.moments <- crashMoment{kind, replica}:
	default:
	}
}

// onTheWire is a moment's travel.
func (w *crashWorld) onTheWire() {
	w.mu.Lock()
	d := time.Duration(w.rnd.Int64N(int64(wireMost)))
	w.mu.Unlock()
	time.Sleep(d)
}

// Faults. Before: nothing has happened. After: it has, and the answer says otherwise.
const (
	faultNone        = ""
	faultBusyBefore  = "503 before"
	faultBusyAfter   = "503 after"
	faultResetBefore = "reset before"
	faultResetAfter  = "reset after"
	faultSlow        = "slow"
	faultLimited     = "429"
)

// fault picks what goes wrong with a request, of these in percent.
func (w *crashWorld) fault(who string, percent map[string]int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.rnd.IntN(100)
	if w.calm.Load() {
		return faultNone
	}
	for _, kind := range slices.Sorted(maps.Keys(percent)) {
		if n -= percent[kind]; n < 0 {
			w.faults[who]++
			return kind
		}
	}
	return faultNone
}

// slowness is that of a slow answer: Heroku's worst in an ordinary week.
const slowness = 400 * time.Millisecond

func (w *crashWorld) serveHeroku(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPatch {
		w.patch(rw, r)
		return
	}
	var fault string
	if !strings.HasPrefix(r.URL.Path, "/_control/") {
		fault = w.fault("heroku", map[string]int{faultBusyBefore: 1, faultResetBefore: 1, faultSlow: 1})
	}
	switch fault {
	case faultBusyBefore:
		busy(rw)
		return
	case faultResetBefore:
		panic(http.ErrAbortHandler)
	case faultSlow:
		time.Sleep(slowness)
	}
	if r.URL.Path == "/pipeline-couplings" { // which only a scan asks for
		w.happened(momentScan, sender(r))
	}
	if fault != faultSlow && strings.HasSuffix(r.URL.Path, "/formation") {
		w.onTheWire()
	}
	w.heroku.ServeHTTP(rw, r)
}

// sender is the replica that makes a request.
func sender(r *http.Request) int {
	return slices.Index(crashTokens(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
}

func busy(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprint(rw, "<html><body>Application error</body></html>")
}

// patch is a write. Once it has arrived it is carried out, though its sender may be dead
// by then.
func (w *crashWorld) patch(rw http.ResponseWriter, r *http.Request) {
	write := crashWrite{from: time.Now(), replica: sender(r)}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // cut off on its way here
	}
	w.happened(momentArrived, write.replica)
	w.onTheWire()
	fault := w.fault("heroku", map[string]int{faultBusyBefore: 5, faultBusyAfter: 6, faultResetBefore: 4, faultResetAfter: 6, faultSlow: 3})
	answer := httptest.NewRecorder()
	if fault != faultBusyBefore && fault != faultResetBefore {
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
		id := strings.Split(r.URL.Path, "/")[2]
		w.mu.Lock() // so that what is before and after it is this write's and nobody else's
		name, before := w.state(id)
		write.app, write.before, write.webUp = name, before, w.webUp(id, r.Header)
		write.took = time.Now()
		w.heroku.ServeHTTP(answer, r)
		_, write.after = w.state(id)
		w.mu.Unlock()
		w.happened(momentDone, write.replica)
		if fault == faultSlow {
			time.Sleep(slowness)
		}
		w.onTheWire()
		write.to = time.Now()
		w.mu.Lock()
		w.writes = append(w.writes, write)
		w.mu.Unlock()
	}
	switch fault {
	case faultBusyBefore, faultBusyAfter:
		busy(rw)
	case faultResetBefore, faultResetAfter:
		panic(http.ErrAbortHandler)
	default:
		pass(rw, answer)
	}
}

// pass writes a recorded answer.
func pass(rw http.ResponseWriter, answer *httptest.ResponseRecorder) {
	maps.Copy(rw.Header(), answer.Header())
	rw.WriteHeader(answer.Code)
	_, _ = rw.Write(answer.Body.Bytes()) // a client that has gone misses it
}

// state is an app as it is, by name or id.
func (w *crashWorld) state(app string) (name string, s crashState) {
	line, err := w.heroku.Summary(app)
	if err != nil {
		return "", crashState{}
	}
	words := strings.Fields(line)
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "web":
			s.web = value
		case "size":
			s.size = value
		case "affinity":
			s.affinity = value
		case "preboot":
			s.preboot = value
		}
	}
	return words[0], s
}

// webUp counts the web dynos that are up, as the API tells it.
func (w *crashWorld) webUp(id string, like http.Header) int {
	r := httptest.NewRequest(http.MethodGet, "/apps/"+id+"/dynos", nil)
	r.Header = like.Clone()
	answer := httptest.NewRecorder()
	w.heroku.ServeHTTP(answer, r)
	var dynos []struct{ Type, State string }
	if json.Unmarshal(answer.Body.Bytes(), &dynos) != nil {
		return -1
	}
	up := 0
	for _, d := range dynos {
		if d.Type == "web" && d.State == "up" {
			up++
		}
	}
	return up
}

// methodShare is what puts a file where people see it.
const methodShare = "files.completeUploadExternal"

func (w *crashWorld) serveSlack(rw http.ResponseWriter, r *http.Request) {
	method, isMethod := strings.CutPrefix(r.URL.Path, "/api/")
	isResponse := strings.HasPrefix(r.URL.Path, "/response/")
	if !isResponse && !isMethod || method == "apps.connections.open" {
		w.slack.ServeHTTP(rw, r)
		return
	}
	w.onTheWire()
	percent := map[string]int{faultBusyBefore: 1, faultResetBefore: 1, faultLimited: 1, faultSlow: 1}
	if strings.HasPrefix(method, "chat.") || isResponse || method == methodShare {
		percent = map[string]int{faultBusyBefore: 2, faultBusyAfter: 2, faultResetBefore: 2, faultResetAfter: 3, faultLimited: 2, faultSlow: 1}
	}
	fault := w.fault("slack", percent)
	switch fault {
	case faultBusyBefore:
		busy(rw)
		return
	case faultResetBefore:
		panic(http.ErrAbortHandler)
	case faultLimited:
		rw.Header().Set("Retry-After", "1")
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(rw, `{"ok":false,"error":"ratelimited"}`)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // cut off on its way here
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	w.slack.ServeHTTP(answer, r)
	switch {
	case method == "chat.postMessage" && bytes.Contains(body, []byte(url.QueryEscape(`"digest:`))):
		w.happened(momentDigest, -1)
	case strings.HasPrefix(method, "chat.") && bytes.Contains(body, []byte(url.QueryEscape(`"ticket":"D-`))):
		w.happened(momentWatched, -1)
	case method == "chat.postMessage":
		w.happened(momentPosted, -1)
	case method == "chat.update":
		w.happened(momentUpdated, -1)
	case method == methodShare:
		w.happened(momentFile, -1)
	}
	if fault == faultSlow {
		time.Sleep(slowness)
	}
	w.onTheWire()
	switch fault {
	case faultBusyAfter:
		busy(rw)
	case faultResetAfter:
		panic(http.ErrAbortHandler)
	default:
		pass(rw, answer)
	}
}

// recorded is what reached Heroku, by app, in order.
func (w *crashWorld) recorded() map[string][]crashWrite {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string][]crashWrite{}
	for _, one := range w.writes {
		out[one.app] = append(out[one.app], one)
	}
	for _, all := range out {
		slices.SortFunc(all, func(a, b crashWrite) int { return a.from.Compare(b.from) })
	}
	return out
}
