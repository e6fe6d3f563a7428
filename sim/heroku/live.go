package heroku

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// liveLook is how often a live stream looks at the world. What happens there happens by
	// the clock, so there is nothing to wait for; half a second looks alive to a person.
	liveLook = 500 * time.Millisecond
	// liveBeat is after how many looks without news a stream says that it is alive.
	liveBeat = 30
	// liveCalls bounds the calls of a first look, the newest.
	liveCalls = 200
)

// liveApp is an app as a dashboard shows it. A price of nil is unknown.
type liveApp struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Team        string     `json:"team"` // "" for a personal app
	Space       string     `json:"space"`
	Stage       string     `json:"stage"`
	Access      access     `json:"access"`
	Maintenance bool       `json:"maintenance"`
	Procs       []liveProc `json:"procs"` // web first
	Affinity    bool       `json:"affinity"`
	Preboot     bool       `json:"preboot"`
	Cents       *int       `json:"cents"` // US cents a month
	Release     int        `json:"release"`
	Released    *string    `json:"released"`
	Deploying   bool       `json:"deploying"`
	Description string     `json:"description"` // of the newest release
	Scaler      string     `json:"scaler"`      // "", or such as 2–5
	Native      bool       `json:"native"`      // the scaler is Heroku's own
	CanScale    bool       `json:"can_scale"`   // Heroku's own autoscaling is there for the web size
	Dynos       []dynoView `json:"dynos"`
	Handover    *string    `json:"handover"` // until when old dynos serve beside new ones
	URL         string     `json:"url"`      // where a browser on this machine can open it; "": nowhere
}

// liveRouted is what the router did with the requests for an app in the last minute.
type liveRouted struct {
	OK     int      `json:"ok"`
	Failed int      `json:"failed"`
	Cells  [][2]int `json:"cells"` // the same, by stretches of liveCell, the oldest first
}

const (
	liveCells = 20
	liveCell  = 3 // seconds
)

type liveProc struct {
	Type     string `json:"type"`
	Quantity int    `json:"quantity"`
	Size     string `json:"size"`
}

type liveWorld struct {
	Latency   string   `json:"latency"` // "0s": as fast as it goes
	Faults    []string `json:"faults"`
	Remaining int      `json:"remaining"` // calls left to the account that has the fewest
	Apps      []string `json:"apps"`      // names, in order
}

func (w *world) live(a *app, now time.Time) liveApp {
	v := liveApp{
		ID: a.id, Name: a.name, Access: a.access, Maintenance: a.maintenance, Affinity: a.featureOn("http-session-affinity"), Preboot: a.featureOn("preboot"),
		Procs: []liveProc{}, Dynos: []dynoView{},
	}
	if a.team != nil {
		v.Team = a.team.name
	}
	if a.space != nil {
		v.Space = a.space.name
	}
	if a.pipeline != nil {
		v.Stage = a.stage
	}
	if cents, err := w.billed(a); err == nil {
		v.Cents = &cents
	}
	for _, p := range a.procs {
		v.Procs = append(v.Procs, liveProc{p.typ, p.quantity, strings.ToLower(p.size.name)})
	}
	if web := a.proc("web"); web != nil {
		v.CanScale = web.size.canAutoscale()
	}
	slices.SortStableFunc(v.Procs, func(x, y liveProc) int { return webFirst(x.Type) - webFirst(y.Type) })
	if r := a.current(now); r != nil {
		v.Release = r.version
	}
	if n := len(a.releases); n > 0 {
		newest := a.releases[n-1]
		v.Released, v.Deploying, v.Description = new(stamp(newest.createdAt)), newest.status(now) == "pending", newest.description
	}
	if sc := a.scaler; sc != nil && sc.active {
		v.Scaler, v.Native = fmt.Sprintf("%d–%d", sc.min, sc.max), sc.native
	}
	for _, d := range a.dynos {
		if d.listed(now) || d.serves(now) {
			v.Dynos = append(v.Dynos, dynoView{d.name(), d.id, d.state(now), d.release.version, d.listed(now), d.serves(now)})
		}
	}
	if w.domain != "" {
		v.URL = a.webURL
	}
	if now.Before(a.lockedUntil) {
		v.Handover = stampOrNull(a.lockedUntil)
	}
	return v
}

func webFirst(typ string) int {
	if typ == "web" {
		return 0
	}
	return 1
}

// routedLately are the apps that anybody asked for in the last minute. A request that has
// not ended is not in it.
func (s *Server) routedLately(now time.Time) map[string]liveRouted {
	lately := map[string]liveRouted{}
	end := (now.Unix()/liveCell + 1) * liveCell // cells stand still while time goes on
	for _, st := range s.router.sites {
		v := liveRouted{Cells: make([][2]int, liveCells)}
		for i := range liveCells * liveCell {
			cell := &v.Cells[i/liveCell]
			for _, t := range st.counts.seconds[end-liveCells*liveCell+int64(i)] {
				cell[0] += t.OK
				cell[1] += t.Lost()
			}
		}
		for _, cell := range v.Cells {
			v.OK += cell[0]
			v.Failed += cell[1]
		}
		if v.OK+v.Failed > 0 {
			lately[st.app.name] = v
		}
	}
	return lately
}

// watcher is what one reader of the live stream has been sent.
type watcher struct {
	world  string
	routed string
	apps   map[string]string
	begun  bool
	calls  int   // the number of the next call to look at
	open   []int // those that had not ended when they were looked at
}

// look is what changed since the last look, as events. The first look is everything.
func (s *Server) look(seen *watcher) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.world.clock()
	w := liveWorld{Latency: s.latency.String(), Faults: []string{}, Remaining: bucketSize, Apps: []string{}}
	for _, f := range s.faults {
		w.Faults = append(w.Faults, f.String())
	}
	for _, b := range s.buckets {
		w.Remaining = min(w.Remaining, b.remaining(now))
	}
	changed := []liveApp{}
	for _, a := range s.world.apps {
		a.settle(now)
		w.Apps = append(w.Apps, a.name)
		v := s.world.live(a, now)
		if text := encode(v); seen.apps[a.id] != text {
			seen.apps[a.id] = text
			changed = append(changed, v)
		}
	}
	var b bytes.Buffer
	if text := encode(w); text != seen.world {
		seen.world = text
		fmt.Fprintf(&b, "event: world\ndata: %s\n\n", text)
	}
	if text := encode(s.routedLately(now)); text != seen.routed && (seen.routed != "" || text != "{}") {
		seen.routed = text
		fmt.Fprintf(&b, "event: routed\ndata: %s\n\n", text)
	}
	if len(changed) > 0 {
		fmt.Fprintf(&b, "event: apps\ndata: %s\n\n", encode(changed))
	}
	return b.Bytes()
}

// lookAtCalls are the calls that ended since the last look, oldest first.
func (s *Server) lookAtCalls(seen *watcher) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := &s.calls
	log.watched = true
	end := log.first + len(log.calls)
	from := seen.calls
	if !seen.begun {
		from, seen.begun = end-liveCalls, true
	}
	look := slices.DeleteFunc(seen.open, func(n int) bool { return n < log.first })
	for n := max(from, log.first); n < end; n++ {
		look = append(look, n)
	}
	seen.calls, seen.open = end, nil
	var b bytes.Buffer
	for _, n := range look {
		if c := log.calls[n-log.first]; c.ended {
			fmt.Fprintf(&b, "id: %d\nevent: call\ndata: %s\n\n", n, encode(c))
		} else {
			seen.open = append(seen.open, n)
		}
	}
	return b.Bytes()
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("live %T: %v", v, err)) // ours, and made of plain JSON
	}
	return string(text)
}

// serveLive streams what look returns as server-sent events, until the reader or the
// server goes.
func (s *Server) serveLive(rw http.ResponseWriter, r *http.Request, look func(*watcher) []byte) {
	h := rw.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	rc := http.NewResponseController(rw)
	seen := &watcher{apps: map[string]string{}}
	for quiet := 0; ; quiet++ {
		news := look(seen)
		if len(news) == 0 && quiet >= liveBeat {
			news = []byte(": alive\n\n")
		}
		if len(news) > 0 {
			if _, err := rw.Write(news); err != nil || rc.Flush() != nil {
				return
			}
			quiet = 0
		}
		if !s.wait(r.Context(), liveLook) {
			return
		}
	}
}
