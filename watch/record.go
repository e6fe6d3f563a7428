package watch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/zdd/fleet"
)

// Recorder turns what is measured and seen into a Watch. Its methods may be called at
// once; they neither wait nor fail.
type Recorder struct {
	Timing Timing // set before the first call; zero: production's

	mu       sync.Mutex
	w        Watch
	setups   []Setup // all that were told: a hand-over may be by the rules of any of them
	requests requests
	releases []release // by version
	told     []told
	visits   []visited
	bad      time.Time    // when the last request was due that failed; zero: none did
	badSince time.Time    // when the first of those that failed about then was
	dynos    []fleet.Dyno // web dynos at the end; none: nobody knows
}

// release is one that was made meanwhile.
type release struct {
	fleet.Release
	settled time.Time // when it was no longer pending; zero: it is
	pending time.Time // until when it was seen to be, at the least; zero: it was not seen to
	phased  bool      // it was pending when the first request had been sent
}

// told is a version that the app told.
type told struct {
	version     string
	first, last time.Time // due then
}

// visited is a visit in little room: twenty visitors who come every five seconds for an
// hour are 14,400.
type visited struct {
	at     time.Time
	result VisitResult
}

const (
	mostEvents   = 200 // of the time line: more than anybody reads
	mostTrouble  = 20  // sentences
	mostVersions = 32  // an app that tells more than that tells no versions
)

// NewRecorder begins a record. Of w it needs App, Probe, Setup, Asked, Began and Until, and
// Before, where it is known; what is measured is counted from nothing.
func NewRecorder(w Watch) *Recorder {
	w.Asked, w.Began, w.Until = stamp(w.Asked), stamp(w.Began), stamp(w.Until)
	return &Recorder{w: copied(w), setups: []Setup{w.Setup}, requests: newRequests(w.Probe.Rate, w.Began)}
}

// Sample records one request.
func (r *Recorder) Sample(s Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests.add(s)
	if s.Outcome.Bad() && s.Due.After(r.bad) {
		if s.Due.Sub(r.bad) > Merge {
			r.badSince = s.Due
		}
		r.bad = s.Due
	}
	if s.Outcome == OK && s.Strayed != "" {
		r.w.Strayed = s.Strayed
	}
	if s.Version == "" || s.Outcome == Own {
		return
	}
	i := slices.IndexFunc(r.told, func(t told) bool { return t.version == s.Version })
	switch {
	case i < 0 && len(r.told) < mostVersions:
		r.told = append(r.told, told{s.Version, s.Due, s.Due})
	case i >= 0:
		t := &r.told[i]
		if s.Due.Before(t.first) {
			t.first = s.Due
		}
		if s.Due.After(t.last) {
			t.last = s.Due
		}
	}
}

// Visit records what a virtual visitor met.
func (r *Recorder) Visit(v Visit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visits = append(r.visits, visited{v.At, v.Result})
}

// Event puts something on the time line, by its time. What is there already is not put
// there again: the same of the same moment, the same as the last one of its kind, and a
// release of which [Recorder.Release] was told.
func (r *Recorder) Event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = moment(e.At)
	if e.Kind == EventRelease && slices.ContainsFunc(r.w.Events, func(was Event) bool {
		return was.Kind == EventRelease && was.At.Equal(e.At) && which(was.Text) == which(e.Text)
	}) {
		return
	}
	r.event(e)
}

// which is the word of a text that names a release; empty: none does.
func which(text string) string {
	for word := range strings.FieldsSeq(text) {
		if _, ok := releaseNumber(word); ok && strings.HasPrefix(word, "v") {
			return word
		}
	}
	return ""
}

func (r *Recorder) event(e Event) {
	e.At, e.Since = moment(e.At), stamp(e.Since)
	for _, was := range slices.Backward(r.w.Events) {
		if was.Kind != e.Kind {
			continue
		}
		if was.At.Equal(e.At) && was.Text == e.Text {
			return
		}
		if !was.At.After(e.At) {
			if was.Text == e.Text && e.Kind != EventRestart {
				return
			}
			break
		}
	}
	if len(r.w.Events) >= mostEvents {
		// Dynos come and go in crowds; what else happens is rare, and says more.
		dyno := slices.IndexFunc(r.w.Events, func(e Event) bool { return e.Kind == EventDyno })
		r.trouble("More happened than a time line holds; some of what the dynos did is not on it.")
		if dyno < 0 || e.Kind == EventDyno {
			return
		}
		r.w.Events = slices.Delete(r.w.Events, dyno, dyno+1)
	}
	r.w.Events = inserted(r.w.Events, e)
}

// inserted puts an event behind all that are not later.
func inserted(all []Event, e Event) []Event {
	i := len(all)
	for i > 0 && all[i-1].At.After(e.At) {
		i--
	}
	return slices.Insert(all, i, e)
}

// Release records a release that was made meanwhile, or how one stands by now. Its times
// are to be of this machine's clock. It is put on the time line too.
func (r *Recorder) Release(rel fleet.Release) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rel.CreatedAt, rel.UpdatedAt = stamp(rel.CreatedAt), stamp(rel.UpdatedAt)
	i, known := slices.BinarySearchFunc(r.releases, rel.Version, func(have release, v int) int { return cmp.Compare(have.Version, v) })
	if !known {
		r.releases = slices.Insert(r.releases, i, release{})
		text := "release v" + strconv.Itoa(rel.Version)
		if rel.By != "" {
			text += " by " + rel.By
		}
		r.event(Event{At: rel.CreatedAt, Kind: EventRelease, Text: text})
	}
	have := &r.releases[i]
	if known && have.Status != rel.Status || !known && rel.Status != "pending" && rel.UpdatedAt.After(rel.CreatedAt) {
		at := rel.UpdatedAt
		if at.IsZero() { // not told: it is about as old as what was measured last
			at = r.requests.latest()
		}
		if at.Before(rel.CreatedAt) {
			at = rel.CreatedAt
		}
		r.event(Event{At: at, Kind: EventRelease, Text: fmt.Sprintf("v%d %s", rel.Version, rel.Status)})
	}
	if rel.Status == "pending" {
		have.pending = r.requests.latest()
	}
	have.phased = have.phased || rel.Status == "pending" && len(r.requests.got) > 0 ||
		have.Status == "pending" && rel.UpdatedAt.After(r.w.Began.Add(early))
	have.Release = rel
}

// Setup records what the app is like, where that was read later than the watch began, or
// has changed before a release was made. The longest hand-over of all of them counts.
func (r *Recorder) Setup(s Setup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.CheckedAt = stamp(s.CheckedAt)
	r.w.Setup = s
	r.setups = slices.DeleteFunc(r.setups, func(was Setup) bool {
		return !was.InSpace && !was.Preboot.IsKnown() || HandOver(was, r.Timing) == HandOver(s, r.Timing)
	})
	r.setups = append(r.setups, s)
}

// Grown records that the app became like that without a word of its features: a space takes
// longer to replace more dynos. What it was like when the watch began stays.
func (r *Recorder) Grown(s Setup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.setups, func(was Setup) bool { return HandOver(was, r.Timing) >= HandOver(s, r.Timing) }) {
		r.setups = append(r.setups, s)
	}
}

// Trouble records, in a sentence, what of Heroku could not be read.
func (r *Recorder) Trouble(sentence string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble(sentence)
}

func (r *Recorder) trouble(sentence string) {
	if len(r.w.Trouble) < mostTrouble && !slices.Contains(r.w.Trouble, sentence) {
		r.w.Trouble = append(r.w.Trouble, sentence)
	}
}

// failing says whether a request failed since then, and since when some did.
func (r *Recorder) failing(since time.Time) (from time.Time, failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.badSince, r.bad.After(since)
}

// Dynos records the web dynos that Heroku lists when the watch ends.
func (r *Recorder) Dynos(all []fleet.Dyno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dynos = slices.DeleteFunc(slices.Clone(all), func(d fleet.Dyno) bool { return d.Type != "web" })
}

// unserved says which dynos are not of a release: those of an older one that are up, or all
// of them where they crashed. One that restarts is no wonder.
func unserved(dynos []fleet.Dyno, release int) string {
	var old, crashed []string
	for _, d := range dynos {
		text := fmt.Sprintf("%s of v%d is %s", d.Name, d.Release, d.State)
		switch {
		case d.State == "up" && d.Release > 0 && d.Release < release:
			old = append(old, text)
		case d.State == "crashed":
			crashed = append(crashed, text)
		}
	}
	switch {
	case len(old) > 0:
		return old[0]
	case len(crashed) > 0 && len(crashed) == len(dynos):
		return crashed[0]
	}
	return ""
}

// Adrift records why Heroku's clock could not be compared with this machine's, by which the
// times of releases are told; empty: it could in the end.
func (r *Recorder) Adrift(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w.Adrift = why
}

// Cut records why the watch ends before its time; such a one proves nothing. The first
// reason stays.
func (r *Recorder) Cut(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w.Cut = cmp.Or(r.w.Cut, why)
}

// Snapshot is the watch as it stands, without a verdict, and a copy. Its Until is when it
// is to end by what is known now: never before the last hand-over is over and what was sent
// in it must have been answered, and never later than the longest that a watch may take.
func (r *Recorder) Snapshot(now time.Time) Watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := copied(r.w)
	w.Began = r.requests.began(w.Began)
	r.handOvers(&w, now)

	c := r.requests.tally(w.Began, now, w.Probe.Timeout, w.Windows)
	w.Counts, w.In, w.Prior, w.Latency = c.all, c.in, c.prior, c.latency
	w.Seconds, w.Episodes, w.Stalls = c.seconds, c.episodes, c.stalls
	w.Visits = r.visited(w)
	r.upsets(&w)
	if w.Release.Version > 0 {
		w.Unserved = unserved(r.dynos, w.Release.Version)
	}

	w.Versions = len(r.told) > 0 && len(r.told) < mostVersions
	if is, seen := r.switched(w); seen {
		w.Switch = moment(is.first)
		for _, t := range r.told {
			if t.version != is.version && t.last.After(w.Old) {
				w.Old = moment(t.last)
			}
		}
		w.Events = inserted(w.Events, Event{At: w.Switch, Kind: EventVersion, Text: is.version + " answered for the first time"})
	}
	return w
}

// upsets sets what stopped dynos before something went wrong, where that was no release. A
// restarted dyno may be replaced as in a hand-over; otherwise it serves again after a boot.
func (r *Recorder) upsets(w *Watch) {
	t := r.Timing.orDefaults()
	reach := func(e Event) time.Duration {
		if e.Kind == EventRestart {
			return HandOver(w.Setup, t)
		}
		return t.Boot + t.Margin
	}
	for i := range w.Episodes {
		e := &w.Episodes[i]
		if e.After = w.upset(e.From, reach); e.After != nil && e.After.Kind == EventRestart && e.Codes["H10"] > 0 {
			e.After = nil
		}
	}
	if v := w.Visits; v != nil && v.Lost > 0 {
		v.After = w.upset(v.First, reach)
	}
}

// handOvers sets the releases that were made meanwhile, their windows, and Until.
func (r *Recorder) handOvers(w *Watch, now time.Time) {
	if len(r.releases) == 0 {
		return
	}
	var takes time.Duration
	for _, s := range r.setups {
		takes = max(takes, HandOver(s, r.Timing))
	}
	w.Releases, w.Windows = nil, nil
	for i := range r.releases {
		rel := &r.releases[i]
		if rel.settled.IsZero() && rel.Status != "pending" {
			// The release phase is over, and only now dynos are replaced. Where Heroku does
			// not tell since when, it is since it was first seen.
			rel.settled = rel.UpdatedAt
			if rel.settled.Before(rel.pending) || rel.settled.IsZero() || rel.settled.After(now) {
				rel.settled = now
			}
		}
		begins := rel.settled
		if rel.Status == "pending" {
			begins = now
		}
		if begins.Before(rel.CreatedAt) {
			begins = rel.CreatedAt
		}
		w.Releases = append(w.Releases, rel.Version)
		w.Windows = append(w.Windows, Span{rel.CreatedAt.Add(-early), stamp(begins.Add(takes))})
		w.Release, w.Phased = rel.Release, rel.phased
	}
	w.Window = w.Windows[len(w.Windows)-1]
	until := w.Window.To
	for _, s := range w.Windows {
		if s.To.After(until) {
			until = s.To
		}
	}
	if until = until.Add(w.Probe.Timeout + 2*time.Second); until.After(w.Until) {
		w.Until = until
	}
	if most := w.Began.Add(r.Timing.orDefaults().Longest); w.Until.After(most) {
		w.Until = most
	}
}

// switched is the version that the app tells of the watched release. An app may tell
// Heroku's number (v118, or 118), which is sure, or anything else, such as a commit: then it
// is the version that was told last for the first time, if that was after the release was
// made and another one was there before.
func (r *Recorder) switched(w Watch) (is told, seen bool) {
	if w.Release.Version == 0 || !w.Versions {
		return told{}, false
	}
	numbered := false
	for _, t := range r.told {
		switch n, isNumber := releaseNumber(t.version); {
		case isNumber && n == w.Release.Version && !t.first.Before(w.Window.From):
			return t, true // else it is a number of the app's own
		case isNumber && (n == w.Before || slices.Contains(w.Releases, n)):
			numbered = true
		}
	}
	if numbered {
		return told{}, false
	}
	for _, t := range r.told {
		if !t.first.Before(is.first) {
			is = t
		}
	}
	// An app that told nothing before the release, while it answered, began to tell with it.
	before := w.Prior.OK > 0 && len(r.told) == 1 && len(w.Releases) == 1
	return is, !is.first.Before(w.Window.From) && (before || len(r.told) > len(w.Releases))
}

func releaseNumber(version string) (n int, ok bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(version, "v"))
	return n, err == nil && n > 0
}

func (r *Recorder) visited(w Watch) *Visits {
	if w.Probe.Visitors == 0 && len(r.visits) == 0 {
		return nil
	}
	v := &Visits{Visitors: w.Probe.Visitors}
	for _, one := range r.visits {
		in := 0
		if slices.ContainsFunc(w.Windows, func(s Span) bool { return s.Contains(one.at) }) {
			in = 1
		}
		v.Visits++
		switch one.result {
		case Kept:
			v.Kept++
			v.KeptIn += in
		case Lost:
			v.Lost++
			v.LostIn += in
			if v.First.IsZero() || one.at.Before(v.First) {
				v.First = moment(one.at)
			}
		case NoPage:
			v.Failed++
			v.FailedIn += in
		case Unbegun:
			v.Unbegun++
			v.UnbegunIn += in
		}
	}
	return v
}

// stamp is a moment, if there is one.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return moment(t)
}

// copied shares nothing with w that changes.
func copied(w Watch) Watch {
	w.Releases, w.Windows = slices.Clone(w.Releases), slices.Clone(w.Windows)
	w.Events, w.Trouble = slices.Clone(w.Events), slices.Clone(w.Trouble)
	w.Seconds, w.Stalls = slices.Clone(w.Seconds), slices.Clone(w.Stalls)
	w.Reasons, w.NotCovered = slices.Clone(w.Reasons), slices.Clone(w.NotCovered)
	w.Setup.Failing, w.Setup.Unproved = slices.Clone(w.Setup.Failing), slices.Clone(w.Setup.Unproved)
	w.Episodes = slices.Clone(w.Episodes)
	for i, e := range w.Episodes {
		w.Episodes[i].Bad, w.Episodes[i].Codes = maps.Clone(e.Bad), maps.Clone(e.Codes)
	}
	for _, c := range []*Counts{&w.Counts, &w.In, &w.Prior} {
		c.Bad, c.Codes = maps.Clone(c.Bad), maps.Clone(c.Codes)
	}
	if w.Visits != nil {
		w.Visits = new(*w.Visits)
	}
	return w
}
