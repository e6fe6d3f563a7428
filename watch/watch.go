// Package watch probes an app over a release and says whether anybody noticed: requests
// at a constant rate by the clock, tied to the release that Heroku made meanwhile, and a
// verdict that says no more than was measured. It knows nothing of Slack or a database,
// and changes nothing on Heroku.
//
// Invariants: an app is probed only at a [Target], which is made of what Heroku and the
// policy say and of nothing that came from chat; a connection is opened only to an address
// that the dialer has seen to be public, at the moment of the dial; Proved is said only of
// a watch that was there for the whole hand-over, by itself, without an interruption of
// its own.
package watch

import (
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Verdict is what a watch says in the end.
type Verdict string

// The verdicts. The zero value is that of a watch that has not ended.
const (
	Proved       Verdict = "proved"       // a release was handed over while all that was sent was answered well
	Failed       Verdict = "failed"       // something that was sent during a hand-over was not
	Inconclusive Verdict = "inconclusive" // neither can be said; Reasons say why
)

// State is how far a watch is.
type State string

// The states.
const (
	Waiting State = "waiting" // asked for, and not begun
	Running State = "running"
	Ended   State = "ended"
)

// Watch is one watch, whole: what is stored, what is told, and what `--json` prints. Times
// are of this machine's clock unless said otherwise, to the millisecond.
type Watch struct {
	ID      string   `json:"id"` // such as D-12 (W-12 is a waiver); empty on a terminal
	Rev     int64    `json:"-"`  // raised by each change that is stored; messages follow it
	App     fleet.ID `json:"app"`
	Name    string   `json:"name"`                // of the app, as it was when the watch began
	By      string   `json:"by,omitzero"`         // Slack user id; empty: the policy asked, or a terminal
	Channel string   `json:"channel,omitzero"`    // where it was asked for, or where the app's reports go
	Origin  string   `json:"-"`                   // the delivery or the release that asked; the same one makes no second watch
	StopBy  string   `json:"stopped_by,omitzero"` // Slack user id of who wanted it to end early; empty: nobody

	URL   string       `json:"url"` // what is asked for, without the part that defeats caches
	Probe policy.Probe `json:"probe"`

	State State     `json:"state"`
	Asked time.Time `json:"asked"`
	Began time.Time `json:"began,omitzero"` // the first request was due then
	Until time.Time `json:"until"`          // when it is to end, as known now: a release makes it later
	Ended time.Time `json:"ended,omitzero"`

	Before   int           `json:"before"`                    // the release that ran when it began; 0: none
	Release  fleet.Release `json:"release,omitzero"`          // the one that is watched, the last of Releases; zero: none was made
	Releases []int         `json:"releases,omitzero"`         // versions of all that were made meanwhile
	Window   Span          `json:"window,omitzero"`           // in which the hand-over to Release may drop something: from its making, as sure as that is known, until the last old dyno must be gone
	Windows  []Span        `json:"windows,omitzero"`          // those of all Releases, in their order; the last one is Window
	Phased   bool          `json:"in_release_phase,omitzero"` // Release was still in its release phase when the watch began: nothing of it was handed over before
	Switch   time.Time     `json:"switch,omitzero"`           // when the app first told the new version; zero: not seen
	Old      time.Time     `json:"old,omitzero"`              // when it last told the old one
	Versions bool          `json:"versions"`                  // the app tells its version at all
	Setup    Setup         `json:"setup"`                     // what the app was like when the watch began

	Counts   Counts    `json:"counts"`           // over the whole watch
	In       Counts    `json:"in_window"`        // of the requests that were due in one of Windows, and of those that were under way when it began and failed
	Prior    Counts    `json:"before_release"`   // of those that were over when the first of Releases was made
	Latency  Latency   `json:"latency"`          // of those that were answered well, over the whole watch
	Seconds  []Second  `json:"seconds,omitzero"` // one for each second in which something was due, in order
	Episodes []Episode `json:"episodes,omitzero"`
	Visits   *Visits   `json:"visits,omitzero"`            // nil: no visitors were asked for
	Events   []Event   `json:"events,omitzero"`            // the time line, in order
	Stalls   []Span    `json:"stalls,omitzero"`            // in which the probe itself stood still, or its own network was away
	Trouble  []string  `json:"trouble,omitzero"`           // what of Heroku could not be read, in sentences
	Cut      string    `json:"cut,omitzero"`               // why the watch ended before its time; empty: it did not
	Strayed  string    `json:"redirects_to,omitzero"`      // the other host that good answers redirect to; empty: none
	Unlisted bool      `json:"domain_not_listed,omitzero"` // Heroku does not list Probe.Domain among the app's
	Unserved string    `json:"unserved,omitzero"`          // what Heroku's list of dynos said at the end, where that is not of Release; empty: nothing else
	Adrift   string    `json:"adrift,omitzero"`            // why Heroku's clock could not be compared with this machine's; empty: it could

	Verdict    Verdict       `json:"verdict,omitzero"`
	Reasons    []Reason      `json:"reasons,omitzero"`
	NotCovered []string      `json:"not_covered,omitzero"` // sentences
	Smallest   time.Duration `json:"smallest_outage_ns"`   // every whole outage at least this long would have been seen
	Bound      float64       `json:"failure_bound"`        // with 95 % confidence no larger share of requests failed in Window; 1: nothing can be said
	Head       string        `json:"head,omitzero"`        // the ledger's, after the verdict was written
}

// Setup is what of an app decides how a release is handed over.
type Setup struct {
	Preboot   fleet.Value[bool] `json:"preboot"`
	Affinity  fleet.Value[bool] `json:"session_affinity"`
	Web       fleet.Value[int]  `json:"web_dynos"`
	Size      string            `json:"size"`
	InSpace   bool              `json:"in_space"`
	Failing   []string          `json:"failing,omitzero"` // ids of checks that failed when the watch began
	Unproved  []string          `json:"unknown,omitzero"` // ids of required checks that were unknown
	CheckedAt time.Time         `json:"checked_at"`
}

// Span is a stretch of time, its end not included.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Contains says whether a moment is in the span.
func (s Span) Contains(at time.Time) bool { return !at.Before(s.From) && at.Before(s.To) }

// Outcome is how one request went.
type Outcome string

// The outcomes. OK is the only good one; Own says that our side was at fault, so that the
// request says nothing about the app, and Limited that we asked too often.
const (
	OK      Outcome = "ok"
	Connect Outcome = "connect"     // no connection: refused, reset, no such name
	TLS     Outcome = "tls"         // no trust in the certificate, or the handshake failed
	Timeout Outcome = "timeout"     // no whole answer within the probe's time-out, counted from when the request was due
	Cutoff  Outcome = "cut"         // the connection ended in the middle
	Server  Outcome = "5xx"         //
	Status  Outcome = "status"      // another status than the policy expects
	Body    Outcome = "body"        // the text that the policy expects is not in it
	Circle  Outcome = "circle"      // redirected to where it had been already, as a browser gives up on
	Limited Outcome = "limited"     // 429: the app takes no more of our own requests, which says nothing of others'
	Own     Outcome = "own-network" // our own network was away, or the probe could not send
)

// Bad says whether the outcome counts against the app.
func (o Outcome) Bad() bool { return o != OK && o != Own && o != Limited }

// Sample is one request.
type Sample struct {
	Due     time.Time     // by the clock: requests are sent at a constant rate whatever the answers do
	Late    time.Duration // how much later it was sent
	Took    time.Duration // from Due until the whole answer was there, or until it failed
	Outcome Outcome
	Status  int    // 0: no answer
	Code    string // Heroku's H-code, where the error page shows one
	Page    string // which of Heroku's own pages answered, such as application-error or maintenance-mode; empty: the app did
	Fresh   bool   // a connection of its own
	Version string // what the app told of its version; empty: nothing
	Cached  bool   // a cache answered, and not the app
	Strayed string // the other host that the answer redirects to; empty: none
	Err     string // for people, without a secret
}

// Counts are of requests.
type Counts struct {
	Due    int             `json:"due"`  // how many the rate asked for
	Sent   int             `json:"sent"` // of which were answered or failed by the app: good, bad, in maintenance or limited
	OK     int             `json:"ok"`
	Bad    map[Outcome]int `json:"bad,omitzero"`
	Own    int             `json:"own_network"`
	Codes  map[string]int  `json:"codes,omitzero"` // of the bad ones: Heroku's H-code where its page shows one, else the page's name, such as application-error; the rest was answered by the app, or not at all
	Fresh  int             `json:"fresh"`          // of Sent, on a connection of their own
	Reused int             `json:"reused"`

	// Maintenance is how many of Sent were answered with Heroku's page of maintenance mode.
	// Somebody wanted that page, so they are neither good nor bad.
	Maintenance int `json:"maintenance,omitzero"`
	// Limited is how many of Sent were refused because they came too often, likewise.
	Limited int `json:"limited,omitzero"`
	// Cached is how many of OK a cache answered in the app's place.
	Cached int `json:"cached,omitzero"`
}

// Failed is how many count against the app.
func (c Counts) Failed() int {
	n := 0
	for _, k := range c.Bad {
		n += k
	}
	return n
}

// Latency is in nanoseconds; zero where nothing was answered.
type Latency struct {
	P50, P95, P99, Max time.Duration
	Delay99            time.Duration // how late requests were sent, the 99th percentile: it tells of the probe's machine
}

// Second is what became of the requests that were due in one second.
type Second struct {
	At      int64         `json:"at"` // Unix seconds
	Due     int           `json:"due"`
	OK      int           `json:"ok"`
	Bad     int           `json:"bad,omitzero"`
	Own     int           `json:"own,omitzero"`
	Slowest time.Duration `json:"slowest"` // of those that were answered well
}

// Episode is requests that failed one after the other, with no more than [Merge] between.
type Episode struct {
	From  time.Time       `json:"from"` // the first was due then
	To    time.Time       `json:"to"`   // the last was
	Bad   map[Outcome]int `json:"bad"`
	Codes map[string]int  `json:"codes,omitzero"`
	In    int             `json:"in_window,omitzero"` // how many of Bad are counted in Watch.In
	OK    int             `json:"ok"`                 // how many were answered well meanwhile: a share of the dynos failed
	Why   string          `json:"why,omitzero"`       // the first one's, for people
	After *Event          `json:"after,omitzero"`     // what stopped dynos about then and was no release; nil: nothing that was seen
}

// Failed is how many requests failed in it.
func (e Episode) Failed() int { return Counts{Bad: e.Bad}.Failed() }

// Merge is how much time may lie between two failed requests of one episode.
const Merge = 5 * time.Second

// Visits are what virtual visitors met, each with a cookie jar of its own.
type Visits struct {
	Visitors int       `json:"visitors"`
	Visits   int       `json:"visits"`
	Kept     int       `json:"kept"`    // still logged in
	Lost     int       `json:"lost"`    // logged out, though the page itself was well
	Failed   int       `json:"failed"`  // no page: these are in no Counts
	Unbegun  int       `json:"unbegun"` // could not log in at all
	First    time.Time `json:"first_lost,omitzero"`
	After    *Event    `json:"after,omitzero"` // what stopped dynos about First and was no release; nil: nothing that was seen

	// These four in one of Windows.
	KeptIn    int `json:"kept_in_window"`
	LostIn    int `json:"lost_in_window"`
	FailedIn  int `json:"failed_in_window"`
	UnbegunIn int `json:"unbegun_in_window"`
}

// Event is something on the time line.
type Event struct {
	At   time.Time `json:"at"`
	Kind EventKind `json:"kind"`
	Text string    `json:"text"` // a short sentence without an end: "release v118 by ada@acme.example"

	// Since is the earliest moment at which it may have happened, such as the look before the
	// one that found it. Zero: it happened at At.
	Since time.Time `json:"since,omitzero"`
	// Stops says that web dynos were stopped by it, and by no release.
	Stops bool `json:"stops_dynos,omitzero"`
}

// EventKind is what an Event is about.
type EventKind string

// The kinds.
const (
	EventRelease     EventKind = "release"
	EventFormation   EventKind = "formation"
	EventFeature     EventKind = "feature"
	EventDyno        EventKind = "dyno"
	EventRestart     EventKind = "restart" // of web dynos that were up, without a release
	EventVersion     EventKind = "version"
	EventMaintenance EventKind = "maintenance"
	EventProbe       EventKind = "probe" // of the watch itself
)

// Reason is why the verdict is what it is.
type Reason struct {
	Text  string    `json:"text"`           // a sentence or two, without a time of day: who shows it puts From and To into the reader's own zone
	Check string    `json:"check,omitzero"` // id of the check that has to do with it; empty: none
	From  time.Time `json:"from,omitzero"`  // the first moment that it is about; zero: none in particular
	To    time.Time `json:"to,omitzero"`    // and the last
}

// Proof is the last verdict on an app, as status and the digest show it.
type Proof struct {
	Watch   string    `json:"watch"`
	Verdict Verdict   `json:"verdict"`
	Release int       `json:"release"` // version; 0: none was made
	At      time.Time `json:"at"`
	Failed  int       `json:"failed"`
	Sent    int       `json:"sent"`
	Proved  *Proof    `json:"proved,omitzero"` // the last one that proved a release, where this one did not; nil: none
}
