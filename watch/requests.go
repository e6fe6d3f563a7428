package watch

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// requests is what became of every request of a watch, by its number: the rate is
// constant, so that the number says when it was due. Twelve bytes each are 29 kB for ten
// minutes of four a second, and 860 kB for the longest and fastest watch there is; so
// percentiles, windows and episodes are exact, whenever a window turns out to have been.
type requests struct {
	rate  int
	first time.Time // number 0 was due then
	fixed bool      // first was told by a sample; until then it is when the watch began
	got   []heard
	codes []string // by heard.code-1
	why   []said
}

type heard struct {
	took, late micros
	fate       fate // 0: nothing was heard of it
	code       uint8
}

// micros are microseconds; what is longer than 71 minutes is cut to that.
type micros uint32

func microsOf(d time.Duration) micros {
	return micros(min(max(d, 0)/time.Microsecond, math.MaxUint32))
}

func (m micros) span() time.Duration { return time.Duration(m) * time.Microsecond }

// fate is an outcome in a byte, fresh and cached being its highest bits.
type fate uint8

const (
	fresh  fate = 1 << 7
	cached fate = 1 << 6
	flags       = fresh | cached
)

// inMaintenance stands for the answers that are neither good nor bad.
const inMaintenance Outcome = "maintenance"

func outcomes() [12]Outcome {
	return [...]Outcome{"", OK, Connect, TLS, Timeout, Cutoff, Server, Status, Body, Own, Circle, Limited}
}

const maintenanceFate fate = 12

func fateOf(s Sample) fate {
	all := outcomes()
	f := maintenanceFate
	if s.Page != maintenancePage && s.Code != "H80" {
		f = fate(max(0, slices.Index(all[:], s.Outcome)))
	}
	if s.Fresh {
		f |= fresh
	}
	if s.Cached && s.Outcome == OK {
		f |= cached
	}
	return f
}

func (f fate) outcome() Outcome {
	if f&^flags == maintenanceFate {
		return inMaintenance
	}
	return outcomes()[f&^flags]
}

func (f fate) bad() bool { return f.outcome() != inMaintenance && f != 0 && f.outcome().Bad() }

// outweighs says whether what became of a request stays, though another one was due at the
// same moment, before or after the clock was set back: what failed has failed.
func (f fate) outweighs(other fate) bool {
	weight := func(f fate) int {
		switch {
		case f == 0:
			return 0
		case f.bad():
			return 3
		case f.outcome() == Own:
			return 2
		}
		return 1
	}
	return weight(f) > weight(other)
}

// maintenancePage is what [Sample].Page says of Heroku's page of maintenance mode.
const maintenancePage = "maintenance-mode"

// said is the words of a bad sample. One for each stretch of Merge is kept.
type said struct {
	n    int
	text string
}

// longestWhy is in bytes: an error's text may hold a whole host name, and no more is read.
const longestWhy = 200

// mostRequests is a day at the highest rate that a policy may ask for: what is further
// away than that has a wrong clock.
const mostRequests = 24 * 60 * 60 * 20

func newRequests(rate int, began time.Time) requests {
	return requests{rate: max(1, rate), first: began}
}

func (r *requests) interval() time.Duration { return time.Second / time.Duration(r.rate) }

// due is when a request was due.
func (r *requests) due(n int) time.Time {
	return r.first.Add(time.Duration(n) * time.Second / time.Duration(r.rate))
}

// number is that of the request that was due at a moment, or of the nearest one.
func (r *requests) number(due time.Time) int {
	return int(math.Round(due.Sub(r.first).Seconds() * float64(r.rate)))
}

// began is when the first request was due that was heard of, where that is about when the
// watch is said to have begun; else it is what it was said to be.
func (r *requests) began(said time.Time) time.Time {
	i := slices.IndexFunc(r.got, func(q heard) bool { return q.fate != 0 })
	if i < 0 {
		return said
	}
	if due := r.due(i); due.Sub(said).Abs() < time.Second {
		return moment(due)
	}
	return said
}

// latest is when the last request was due that something was heard of.
func (r *requests) latest() time.Time { return r.due(max(0, len(r.got)-1)) }

func (r *requests) add(s Sample) {
	if !r.fixed { // the probe began a little later than the watch did: take its clock
		n := r.number(s.Due)
		r.first, r.fixed = s.Due.Add(-time.Duration(n)*time.Second/time.Duration(r.rate)), true
	}
	n := r.number(s.Due)
	if n < 0 && n > -mostRequests {
		r.got = slices.Insert(r.got, 0, make([]heard, -n)...)
		r.first = r.due(n)
		for i := range r.why {
			r.why[i].n -= n
		}
		n = 0
	}
	if n < 0 || n >= mostRequests {
		return
	}
	if n >= len(r.got) {
		r.got = append(r.got, make([]heard, n+1-len(r.got))...)
	}
	q := heard{took: microsOf(s.Took), late: microsOf(s.Late), fate: fateOf(s)}
	if r.got[n].fate.outweighs(q.fate) {
		return
	}
	if q.fate.bad() {
		q.code = r.codeOf(cmp.Or(s.Code, s.Page))
		r.say(n, s.Err)
	}
	r.got[n] = q
}

// codeOf is the code in a byte; the 255th and all after it are none.
func (r *requests) codeOf(code string) uint8 {
	if code == "" {
		return 0
	}
	i := slices.Index(r.codes, code)
	if i < 0 {
		if i = len(r.codes); i >= math.MaxUint8 {
			return 0
		}
		r.codes = append(r.codes, code)
	}
	return uint8(i + 1)
}

func (r *requests) say(n int, text string) {
	if text == "" {
		return
	}
	merge := int(Merge / r.interval())
	i := sort.Search(len(r.why), func(i int) bool { return r.why[i].n >= n })
	if i > 0 && n-r.why[i-1].n <= merge || i < len(r.why) && r.why[i].n == n {
		return
	}
	r.why = slices.Insert(r.why, i, said{n, text[:min(len(text), longestWhy)]})
}

// overdue is how many requests must have been heard of by now: the answers of those that
// come later may still be under way.
func (r *requests) overdue(now time.Time, timeout time.Duration) int {
	const grace = time.Second // for reading a body to its end, and for a busy machine
	last := now.Add(-timeout - grace)
	if r.first.IsZero() || last.Before(r.first) {
		return 0
	}
	return int(min(last.Sub(r.first), 24*time.Hour)*time.Duration(r.rate)/time.Second) + 1
}

// count adds request n to counts. One that nothing was heard of was due, and no more.
func (r *requests) count(c *Counts, q heard) {
	c.Due++
	switch o := q.fate.outcome(); o {
	case "":
		return
	case Own:
		c.Own++
		return
	case OK:
		c.OK++
		if q.fate&cached != 0 {
			c.Cached++
		}
	case inMaintenance:
		c.Maintenance++
	case Limited:
		c.Limited++
	default:
		if c.Bad == nil {
			c.Bad = map[Outcome]int{}
		}
		c.Bad[o]++
		if q.code > 0 {
			if c.Codes == nil {
				c.Codes = map[string]int{}
			}
			c.Codes[r.codes[q.code-1]]++
		}
	}
	c.Sent++
	if q.fate&fresh != 0 {
		c.Fresh++
	} else {
		c.Reused++
	}
}

// counted is what the requests come to by now.
type counted struct {
	all, in, prior Counts
	latency        Latency
	seconds        []Second
	episodes       []Episode
	stalls         []Span
}

// tally counts all requests since the watch began, and those of the windows (in order) by
// themselves.
func (r *requests) tally(began, now time.Time, timeout time.Duration, windows []Span) counted {
	var c counted
	var took, late []micros
	var blind stalls
	run := episodes{requests: r}
	overdue := r.overdue(now, timeout)
	for n := range max(len(r.got), overdue) {
		var q heard
		if n < len(r.got) {
			q = r.got[n]
		}
		due := r.due(n)
		if q.fate == 0 && (due.Before(began) || n >= overdue) {
			continue // it was never to be sent, or may still be under way
		}
		r.count(&c.all, q)
		in := belongs(windows, due, q)
		switch {
		case in:
			r.count(&c.in, q)
		case len(windows) > 0 && due.Before(windows[0].From):
			r.count(&c.prior, q)
		}
		second(&c.seconds, due, q)
		run.add(n, q, in)
		switch lag := q.late.span(); {
		case q.fate == 0 || q.fate.outcome() == Own:
			blind.add(Span{due, r.due(n + 1)})
		case lag > r.interval():
			blind.add(Span{due, due.Add(lag)})
		}
		if q.fate.outcome() == OK {
			took = append(took, q.took)
		}
		if q.fate != 0 {
			late = append(late, q.late)
		}
	}
	c.latency = latencies(took, late)
	c.episodes, c.stalls = run.all, blind.longest()
	return c
}

// belongs says whether a request belongs to a hand-over. One that was under way when the
// release was made, and failed, may have been cut by it.
func belongs(windows []Span, due time.Time, q heard) bool {
	for _, w := range windows {
		if w.Contains(due) || q.fate.bad() && due.Before(w.From) && due.Add(q.took.span()).After(w.From) {
			return true
		}
	}
	return false
}

func second(all *[]Second, due time.Time, q heard) {
	at := due.Unix()
	if n := len(*all); n == 0 || (*all)[n-1].At != at {
		*all = append(*all, Second{At: at})
	}
	s := &(*all)[len(*all)-1]
	s.Due++
	switch o := q.fate.outcome(); {
	case o == OK:
		s.OK++
		s.Slowest = max(s.Slowest, q.took.span())
	case o == Own:
		s.Own++
	case q.fate.bad():
		s.Bad++
	}
}

// latencies sorts what it is given.
func latencies(took, late []micros) Latency {
	slices.Sort(took)
	slices.Sort(late)
	return Latency{
		P50: percentile(took, 50), P95: percentile(took, 95), P99: percentile(took, 99), Max: percentile(took, 100),
		Delay99: percentile(late, 99),
	}
}

// percentile is the smallest of the sorted values that p percent of them don't exceed;
// zero of none.
func percentile(sorted []micros, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)].span()
}

// mostEpisodes keeps what is stored small where something fails all the time: the last
// one takes in all that comes after.
const mostEpisodes = 200

// episodes gathers requests that failed, in the order in which they were due.
type episodes struct {
	*requests
	all  []Episode
	last time.Time // the last bad one was due then
	ok   int       // since then
}

func (e *episodes) add(n int, q heard, in bool) {
	if q.fate.outcome() == OK {
		e.ok++
	}
	if !q.fate.bad() {
		return
	}
	due := e.due(n)
	if k := len(e.all); k == 0 || due.Sub(e.last) > Merge && k < mostEpisodes {
		e.all = append(e.all, Episode{From: moment(due), Bad: map[Outcome]int{}, Why: e.reason(n)})
		e.ok = 0
	}
	last := &e.all[len(e.all)-1]
	last.To, last.OK = moment(due), last.OK+e.ok
	last.Bad[q.fate.outcome()]++
	if in {
		last.In++
	}
	if q.code > 0 {
		if last.Codes == nil {
			last.Codes = map[string]int{}
		}
		last.Codes[e.codes[q.code-1]]++
	}
	e.last, e.ok = due, 0
}

// reason is what was said of a bad request or of the next one.
func (e *episodes) reason(n int) string {
	i := sort.Search(len(e.why), func(i int) bool { return e.why[i].n >= n })
	if i < len(e.why) && e.due(e.why[i].n).Sub(e.due(n)) <= Merge {
		return e.why[i].text
	}
	return ""
}

// mostStalls keeps what is stored small; the longest are kept.
const mostStalls = 200

// stalls are spans in which nothing was measured. They are added in the order in which
// they begin.
type stalls []Span

func (s *stalls) add(next Span) {
	if n := len(*s); n > 0 && !next.From.After((*s)[n-1].To) {
		if next.To.After((*s)[n-1].To) {
			(*s)[n-1].To = next.To
		}
		return
	}
	*s = append(*s, next)
}

func (s stalls) longest() []Span {
	kept := slices.Clone(s)
	if len(kept) > mostStalls {
		slices.SortStableFunc(kept, func(a, b Span) int { return int(b.length() - a.length()) })
		kept = kept[:mostStalls]
		slices.SortFunc(kept, func(a, b Span) int { return a.From.Compare(b.From) })
	}
	for i, k := range kept { // no shorter than they were
		kept[i] = Span{moment(k.From), moment(k.To.Add(time.Millisecond - 1))}
	}
	return kept
}

func (s Span) length() time.Duration { return s.To.Sub(s.From) }

// moment is a time as it is stored: to the millisecond, and of no zone.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
