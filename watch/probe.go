package watch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a Prober allows where its config does not say.
const (
	defaultPerSecond = 40 // requests; ten watches at the default rate
	defaultAtOnce    = 10 // watches; each is a few goroutines and connections
)

const (
	// tooLate is how late a request is still sent, or a quarter of its time-out where that is
	// less. What was due before is not, and counts as our own: a machine that stood still
	// would send all at once what it missed, and leave the app too little of the time-out.
	tooLate = time.Second
	// clockStep is how far the wall clock may leave the monotonic one between two requests:
	// setting the time by NTP moves it by half a millisecond a second (ntp_adjtime).
	clockStep = 500 * time.Millisecond
	// versionEvery is how often a path that tells the version is asked: the switch is
	// known to the second.
	versionEvery = time.Second
	// spareRoom is for requests that are over and not yet handed on.
	spareRoom = 8
)

// ErrTooMany and ErrBusy are why nothing more is probed now: as many apps are as may be at
// once, or as many requests are sent in a second as may be.
var (
	ErrTooMany = errors.New("as many apps are being probed as may be at once")
	ErrBusy    = errors.New("the probes under way use up the requests a second that are allowed")

	errNoTarget = errors.New("probe: the target was made by nobody")
	errRanOnce  = errors.New("probe: it has run, or is closed")
)

// ProberConfig is what a Prober needs. The zero value is production's, but for Alive.
type ProberConfig struct {
	Dial      Dial           // nil: PublicDialer
	RootCAs   *x509.CertPool // nil: the system's
	PerSecond int            // requests over all watches, those for versions and of visitors counted; 0: 40
	AtOnce    int            // watches; 0: 10

	// Alive says whether our own network is there. It is asked after a request that failed
	// without an answer, and during one that takes long, at most once a second over all
	// watches: while it says no, what fails says nothing of the app. nil: it always is.
	Alive func(context.Context) bool
}

// Prober sends the requests of all watches of this process, within its limits.
type Prober struct {
	cfg   ProberConfig
	pulse pulse

	mu      sync.Mutex
	watches int
	rate    int
}

// NewProber makes a Prober. It opens nothing until something runs.
func NewProber(cfg ProberConfig) *Prober {
	if cfg.Dial == nil {
		cfg.Dial = PublicDialer()
	}
	if cfg.PerSecond <= 0 {
		cfg.PerSecond = defaultPerSecond
	}
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = defaultAtOnce
	}
	return &Prober{cfg: cfg, pulse: pulse{alive: cfg.Alive}}
}

// rateOf is how many requests a second a target is sent at the most, rounded up.
func rateOf(t Target) int {
	rate := t.probe.Rate
	if t.version != nil {
		rate += int(time.Second / versionEvery)
	}
	perSecond := int(visitEvery / time.Second)
	return rate + (t.probe.Visitors+perSecond-1)/perSecond
}

// Probing is the probe of one target. It runs once.
type Probing struct {
	prober *Prober
	target Target

	mu     sync.Mutex
	begun  bool
	closed bool
	stop   context.CancelFunc // ends what is under way; nil: not begun
	over   chan struct{}      // closed when Run has ended
}

// Begin reserves room for a target. It sends nothing yet. Errors are [ErrTooMany] and
// [ErrBusy].
func (p *Prober) Begin(t Target) (*Probing, error) {
	if t.page == nil {
		return nil, errNoTarget
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.watches >= p.cfg.AtOnce:
		return nil, ErrTooMany
	case p.rate+rateOf(t) > p.cfg.PerSecond:
		return nil, ErrBusy
	}
	p.watches++
	p.rate += rateOf(t)
	return &Probing{prober: p, target: t, over: make(chan struct{})}, nil
}

// Close gives the room back. Where Run has not ended, Close ends it at once and waits for
// it: requests that are under way are given up, and no sample tells of them. It may be
// called more than once, and not by what Run calls.
func (g *Probing) Close() {
	g.mu.Lock()
	first, stop := !g.closed, g.stop
	g.closed = true
	g.mu.Unlock()
	if stop != nil {
		stop()
		<-g.over
	}
	if first {
		p := g.prober
		p.mu.Lock()
		defer p.mu.Unlock()
		p.watches--
		p.rate -= rateOf(g.target)
	}
}

// news is one thing that Run tells.
type news struct {
	sample *Sample
	visit  *Visit
}

// run is one Run of a Probing.
type run struct {
	target      Target
	pulse       *pulse
	stood       standstill
	began       time.Time // the first request is due then
	fresh, kept *http.Transport
	out         chan news
	told        atomic.Pointer[string] // the version that its path told last, until a sample takes it along
	work        sync.WaitGroup
	stop        context.CancelFunc    // ends what is under way
	broken      atomic.Pointer[error] // of what panicked first
}

// begin does something beside. A panic ends this Run, which returns it, and nothing else.
func (r *run) begin(do func()) {
	r.work.Go(func() {
		err := guarded(func() error { do(); return nil })
		if err != nil && r.broken.CompareAndSwap(nil, &err) {
			r.stop()
		}
	})
}

// Run sends requests until ctx ends, then waits for the answers to those that are under
// way, a time-out long at the most, and returns nil; [Probing.Close] does not wait. A
// *[NotProbed] says that it ended by itself, at an address that may not be asked. Each is
// due by the monotonic clock at its part of a second, whatever became of those before, and
// its time-out runs from then. every sample and visit is told from this goroutine, in the
// order in which they were over, and none once Run has returned. While sample and visit
// take long, no more is sent than may be under way, and what was not counts as our own.
//
// At most rate × time-out requests are under way, on connections that are opened and kept
// in turns. Visitors and the path that tells the version run beside.
func (g *Probing) Run(ctx context.Context, sample func(Sample), visit func(Visit)) error {
	// What ends ctx does not end what is under way: a request that hangs as the watch ends
	// is one that a visitor waits for, and would be missing from the counts.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g.mu.Lock()
	if g.begun || g.closed {
		g.mu.Unlock()
		return errRanOnce
	}
	g.begun, g.stop = true, stop
	g.mu.Unlock()
	defer close(g.over)

	open := &connections{dial: g.prober.cfg.Dial, within: g.target.probe.Timeout, all: map[*connection]struct{}{}}
	fresh, kept := transports(open.open(life), g.target.probe, &tls.Config{RootCAs: g.prober.cfg.RootCAs})
	defer func() { // in this order: nothing new, nothing old, nothing in the pools
		stop()
		open.shut()
		fresh.CloseIdleConnections()
		kept.CloseIdleConnections()
	}()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(life, cancel) // who is closed sends nothing more
	r := &run{target: g.target, pulse: &g.prober.pulse, began: time.Now(), fresh: fresh, kept: kept, out: make(chan news), stop: stop}
	r.begin(func() { r.pace(ctx, life) })
	if r.target.version != nil && r.target.probe.VersionHeader == "" {
		r.begin(func() { r.versions(ctx, life) })
	}
	for n := range r.target.probe.Visitors {
		r.begin(func() { r.visitor(ctx, life, n) })
	}
	go func() {
		r.work.Wait()
		close(r.out)
	}()
	for n := range r.out {
		switch {
		case n.sample != nil:
			sample(*n.sample)
		case visit != nil:
			visit(*n.visit)
		}
	}
	if err := r.broken.Load(); err != nil {
		return fmt.Errorf("probe %s: %w", g.target.name, *err)
	}
	return nil
}

// hand tells Run something, unless it was closed.
func (r *run) hand(life context.Context, n news) {
	select {
	case r.out <- n:
	case <-life.Done():
	}
}

// pace sends each request when it is due.
func (r *run) pace(ctx, life context.Context) {
	defer r.stood.end()
	probe := r.target.probe
	most := min(tooLate, probe.Timeout/4)
	room := make(chan struct{}, probe.Rate*int((probe.Timeout+aliveTimeout)/time.Second+1)+spareRoom)
	began := r.began
	for n := 0; ; n++ {
		offset := time.Duration(n) * time.Second / time.Duration(probe.Rate)
		due := began.Add(offset)
		if !pause(ctx, due) {
			return
		}
		now := time.Now()
		late := now.Sub(due)
		step := stepped(now, due)
		r.stood.awake(now, late > most || step.Abs() > clockStep)
		if step.Abs() > clockStep {
			began = now.Add(-late - offset) // the same moment, by the clock as it is now
			due = began.Add(offset)
			r.skip(life, due, late, "the clock of the probe's machine was set by "+step.Round(time.Second/10).String()+", or the machine slept")
			continue
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if late := time.Since(due); late > most {
			<-room
			r.skip(life, due, late, "not sent: the probe itself stood still for "+late.Round(time.Second/10).String())
			continue
		}
		r.begin(func() {
			defer func() { <-room }()
			way := r.fresh
			if n%2 == 1 {
				way = r.kept
			}
			r.request(life, due, way)
		})
	}
}

// stepped is by how much the wall clock was moved since due was computed: the monotonic
// clock, which time.Time carries too, is never set, and stands still while a machine sleeps.
func stepped(now, due time.Time) time.Duration {
	return now.Round(0).Sub(due.Round(0)) - now.Sub(due)
}

// skip tells of a request that was due and not sent.
func (r *run) skip(life context.Context, due time.Time, late time.Duration, why string) {
	r.hand(life, news{sample: &Sample{Due: due, Late: late, Took: late, Outcome: Own, Err: why}})
}

// request sends one, and tells how it went.
func (r *run) request(life context.Context, due time.Time, way *http.Transport) {
	s := Sample{Due: due, Late: max(0, time.Since(due))}
	ctx, cancel := context.WithDeadline(life, due.Add(r.target.probe.Timeout))
	defer cancel()
	done := r.pulse.suspect(life)
	defer done() // after the sample was handed on, which need not wait for that
	a, o, err := fetch(ctx, way, r.target.page, agentProbe, nil)
	s.Took = time.Since(due)
	s.Status, s.Fresh, s.Outcome = a.status, a.fresh, o
	probe := r.target.probe
	switch o {
	case OK:
		s.Outcome, s.Err = assess(probe, a)
		s.Cached, s.Strayed = a.cached(), short(a.strayed, errorLetters)
		s.Version = a.version(probe.VersionHeader)
		s.Page, s.Code = a.origin()
	case Own:
		s.Err = tell(o, err, probe.Timeout)
	default:
		s.Status = 0 // a status without the rest is no answer
		s.Err = tell(o, err, probe.Timeout)
		asleep := time.Second/time.Duration(probe.Rate) + min(tooLate, probe.Timeout/4)
		switch {
		case r.stood.during(due, time.Now(), asleep):
			s.Outcome, s.Err = Own, "the probe itself stood still: "+s.Err
		case life.Err() == nil && r.pulse.failing(life, due):
			s.Outcome, s.Err = Own, "our own network was away: "+s.Err
		}
	}
	if told := r.told.Swap(nil); told != nil {
		s.Version = *told
	}
	if life.Err() == nil { // what was given up tells nothing
		r.hand(life, news{sample: &s})
	}
	if errors.Is(err, errForbidden) {
		r.refuse(err)
	}
}

// refuse ends the run: an address that may not be asked is not tried again and again.
func (r *run) refuse(err error) {
	text := r.target.page.Hostname()
	if f, ok := errors.AsType[*forbidden](err); ok {
		text += " leads to " + f.address
	}
	var why error = &NotProbed{App: r.target.name, Why: text + ", where nothing may be sent: only public addresses are probed, on the ports 80 and 443."}
	if r.broken.CompareAndSwap(nil, &why) {
		r.stop()
	}
}

// versions asks the path whose whole answer is the app's version, until ctx ends. What it
// tells goes along with the next sample; its requests are none themselves.
func (r *run) versions(ctx, life context.Context) {
	for due := r.began; pause(ctx, due); due = nextAfter(r.began, versionEvery) {
		r.askVersion(life)
	}
}

func (r *run) askVersion(life context.Context) {
	ctx, cancel := context.WithTimeout(life, r.target.probe.Timeout)
	defer cancel()
	a, o, _ := fetch(ctx, r.kept, r.target.version, agentVersion, nil)
	if o != OK || a.status/100 != 2 {
		return
	}
	if v := version(strings.TrimSpace(string(a.body))); v != "" {
		r.told.Store(&v)
	}
}

// pause waits until then; false: ctx ended before.
func pause(ctx context.Context, until time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	wait := time.Until(until)
	if wait <= 0 {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// nextAfter is the next moment from now on that lies a multiple of every after began.
func nextAfter(began time.Time, every time.Duration) time.Time {
	return began.Add((time.Since(began)/every + 1) * every)
}
