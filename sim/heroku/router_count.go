package heroku

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Class is whose a request was, by its User-Agent.
type Class string

// The classes. What a deploy watch sends is known by what it calls itself.
const (
	Probe      Class = "probe"   // zdd-probe/…: at a constant rate
	Version    Class = "version" // zdd-version/…: asks for the version
	Visitor    Class = "visitor" // zdd-visitor/…: with cookies
	Background Class = "background"
)

func classOf(agent string) Class {
	switch {
	case strings.HasPrefix(agent, "zdd-probe"):
		return Probe
	case strings.HasPrefix(agent, "zdd-version"):
		return Version
	case strings.HasPrefix(agent, "zdd-visitor"):
		return Visitor
	}
	return Background
}

// Outcome is what became of a request: what the client got.
type Outcome string

// The outcomes: one of the app's own, or a code of Heroku's error page, or of its logs.
const (
	OutcomeOK  Outcome = "ok"        // below 400
	Outcome4xx Outcome = "4xx"       // by the app itself
	Outcome5xx Outcome = "5xx"       // by the app itself
	Abandoned  Outcome = "abandoned" // the client went away first (H27)
	NoApp      Outcome = "no-app"    // it was deleted meanwhile
	OutcomeH10 Outcome = "H10"       // all web dynos are crashed
	OutcomeH12 Outcome = "H12"       // no answer within 30 s
	OutcomeH13 Outcome = "H13"       // the connection was closed without an answer
	OutcomeH14 Outcome = "H14"       // no web dynos
	OutcomeH15 Outcome = "H15"       // nothing for 55 s in the middle of an answer
	OutcomeH18 Outcome = "H18"       // cut off in the middle of an answer
	OutcomeH20 Outcome = "H20"       // held for 75 s, and no dyno came up
	OutcomeH21 Outcome = "H21"       // every dyno refused the connection
	OutcomeH80 Outcome = "H80"       // maintenance mode
	OutcomeH81 Outcome = "H81"       // nothing was ever released; its page is assumed
	OutcomeH99 Outcome = "H99"       // held for 75 s, because every dyno had refused others
)

func (o Outcome) good() bool { return o == OutcomeOK }

func ofStatus(status int) Outcome {
	switch {
	case status >= http.StatusInternalServerError:
		return Outcome5xx
	case status >= http.StatusBadRequest:
		return Outcome4xx
	}
	return OutcomeOK
}

// Routed is what the router did with the requests for an app since Since. Each request is
// counted once, when it is over, by what the client got.
type Routed struct {
	App      string          `json:"app"`
	Since    time.Time       `json:"since"`
	Underway int             `json:"underway"` // not over yet
	Classes  map[Class]Tally `json:"classes,omitzero"`
	Seconds  []RoutedSecond  `json:"seconds,omitzero"`  // of the last hour in which something came, in order
	Failures []Failure       `json:"failures,omitzero"` // those that did not end well, in the order of their ends; the last 10,000
	Dynos    map[string]int  `json:"dynos,omitzero"`    // requests by the release and the dyno that took them, such as "v12 web.1"
}

// Tally counts requests.
type Tally struct {
	Requests int             `json:"requests"`
	OK       int             `json:"ok"`
	Failed   map[Outcome]int `json:"failed,omitzero"`
}

// Lost is how many did not end well.
func (t Tally) Lost() int { return t.Requests - t.OK }

// RoutedSecond is the requests that came in one second.
type RoutedSecond struct {
	At      int64           `json:"at"` // Unix seconds
	Classes map[Class]Tally `json:"classes"`
}

// Failure is one request that did not end well.
type Failure struct {
	Class   Class     `json:"class"`
	At      time.Time `json:"at"` // it came
	Ended   time.Time `json:"ended"`
	Outcome Outcome   `json:"outcome"`
	Status  int       `json:"status,omitzero"` // that the client got; 0: none
	Dyno    string    `json:"dyno,omitzero"`   // empty: no dyno took it
	Release int       `json:"release,omitzero"`
}

// What is kept of what was routed.
const (
	keptSeconds  = 3600
	keptFailures = 10000
)

// counts is a Routed in the making.
type counts struct {
	number   int // of the counting: requests that came before the last reset are not counted
	since    time.Time
	underway int
	classes  map[Class]*Tally
	seconds  map[int64]map[Class]*Tally
	failures []Failure
	dynos    map[taker]int
}

type taker struct {
	release int
	dyno    string
}

func newCounts(now time.Time) counts {
	return counts{since: now, classes: map[Class]*Tally{}, seconds: map[int64]map[Class]*Tally{}, dynos: map[taker]int{}}
}

// reset forgets all, also the requests that are under way.
func (c *counts) reset(now time.Time) {
	number := c.number + 1
	*c = newCounts(now)
	c.number = number
}

func (t *Tally) add(o Outcome) {
	t.Requests++
	if o.good() {
		t.OK++
		return
	}
	if t.Failed == nil {
		t.Failed = map[Outcome]int{}
	}
	t.Failed[o]++
}

// end counts a request that is over.
func (c *counts) end(e *errand, v verdict, now time.Time) {
	if e.count != c.number {
		return
	}
	c.underway--
	at := func(of map[Class]*Tally) *Tally {
		if of[e.class] == nil {
			of[e.class] = &Tally{}
		}
		return of[e.class]
	}
	at(c.classes).add(v.outcome)
	second := e.at.Unix()
	if c.seconds[second] == nil {
		c.seconds[second] = map[Class]*Tally{}
		if len(c.seconds) > 2*keptSeconds {
			maps.DeleteFunc(c.seconds, func(s int64, _ map[Class]*Tally) bool { return s <= second-keptSeconds })
		}
	}
	at(c.seconds[second]).add(v.outcome)
	if e.dyno != "" {
		c.dynos[taker{e.release, e.dyno}]++
	}
	if v.outcome.good() {
		return
	}
	if len(c.failures) == 2*keptFailures {
		c.failures = slices.Clone(c.failures[keptFailures:])
	}
	c.failures = append(c.failures, Failure{Class: e.class, At: e.at, Ended: now, Outcome: v.outcome, Status: v.status, Dyno: e.dyno, Release: e.release})
}

func copied(of map[Class]*Tally) map[Class]Tally {
	out := make(map[Class]Tally, len(of))
	for class, t := range of {
		out[class] = Tally{Requests: t.Requests, OK: t.OK, Failed: maps.Clone(t.Failed)}
	}
	return out
}

// Routed is what the router did with the requests for an app, by name or id; the zero
// value where no app has that name, or nobody asked for it.
func (s *Server) Routed(app string) Routed {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.siteNamed(app)
	if st == nil {
		return Routed{}
	}
	c := &st.counts
	r := Routed{App: st.app.name, Since: c.since, Underway: c.underway, Classes: copied(c.classes), Dynos: make(map[string]int, len(c.dynos))}
	for t, n := range c.dynos {
		r.Dynos[fmt.Sprintf("v%d %s", t.release, t.dyno)] = n
	}
	var last int64
	for second := range c.seconds {
		last = max(last, second)
	}
	for _, second := range slices.Sorted(maps.Keys(c.seconds)) {
		if second > last-keptSeconds {
			r.Seconds = append(r.Seconds, RoutedSecond{At: second, Classes: copied(c.seconds[second])})
		}
	}
	r.Failures = slices.Clone(c.failures[max(0, len(c.failures)-keptFailures):])
	return r
}

// RoutedTotals is [Server.Routed] without seconds and failures, for who looks often.
func (s *Server) RoutedTotals(app string) map[Class]Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.siteNamed(app)
	if st == nil {
		return nil
	}
	return copied(st.counts.classes)
}

func (s *Server) siteNamed(app string) *site {
	a, err := s.world.appNamed(app)
	if err != nil {
		return nil
	}
	return s.router.sites[a.id]
}

// doRouted says or forgets what was routed.
func doRouted(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	st := s.router.sites[a.id]
	switch {
	case len(args) == 1 && args[0] == "reset":
		if st != nil {
			st.counts.reset(now)
		}
		return a.name + ": what was routed is forgotten", nil
	case len(args) > 0:
		return "", fmt.Errorf("want nothing more, or reset")
	case st == nil:
		return a.name + ": nobody asked for it", nil
	}
	var b strings.Builder
	for _, class := range slices.Sorted(maps.Keys(st.counts.classes)) {
		t := st.counts.classes[class]
		fmt.Fprintf(&b, "%s %s: %d requests, %d well", a.name, class, t.Requests, t.OK)
		for _, o := range slices.Sorted(maps.Keys(t.Failed)) {
			fmt.Fprintf(&b, ", %d %s", t.Failed[o], o)
		}
		fmt.Fprintln(&b)
	}
	return cmp.Or(b.String(), a.name+": no request is over yet"), nil
}
