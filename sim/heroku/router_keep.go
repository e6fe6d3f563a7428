package heroku

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// keep makes what is due in the world happen at its time for the dynos that run: they end
// in the middle of requests, and requests wait for them. It is asleep until then.
func (s *Server) keep() {
	for {
		s.mu.Lock()
		now := s.world.clock()
		next := s.tend(now)
		s.mu.Unlock()
		var due <-chan time.Time
		stop := func() bool { return true }
		if !next.IsZero() {
			t := time.NewTimer(next.Sub(now))
			due, stop = t.C, t.Stop
		}
		select {
		case <-due:
		case <-s.router.wake:
		case <-s.closed:
			stop()
			s.mu.Lock()
			for _, st := range s.router.sites {
				for _, p := range st.processes {
					p.kill()
				}
			}
			s.mu.Unlock()
			return
		}
		stop()
	}
}

// tend brings every site up to now, lets the requests that wait look again, and says when
// the next thing is due; zero: nothing is.
func (s *Server) tend(now time.Time) time.Time {
	var next time.Time
	for id, st := range s.router.sites {
		close(st.changed)
		st.changed = make(chan struct{})
		if !slices.Contains(s.world.apps, st.app) { // it was deleted
			for _, p := range st.processes {
				p.kill()
			}
			if st.traffic != nil {
				st.traffic.end()
			}
			delete(s.router.sites, id)
			continue
		}
		st.app.settle(now)
		s.advance(st, now)
		for _, at := range append(st.dueOf(now), st.app.nextDue(now)) {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// advance starts and ends the processes of an app, which is settled.
func (s *Server) advance(st *site, now time.Time) {
	for _, d := range st.app.dynos {
		if d.serves(now) && !slices.ContainsFunc(st.processes, func(p *process) bool { return p.dyno == d && p.from.Equal(d.from) }) {
			st.processes = append(st.processes, s.launch(st, d))
		}
	}
	st.processes = slices.DeleteFunc(st.processes, func(p *process) bool { return p.advance(now) })
}

// dueOf is when something happens to processes after now.
func (st *site) dueOf(now time.Time) []time.Time {
	var due []time.Time
	for _, p := range st.processes {
		if gone := p.dyno.goneAt; !gone.IsZero() {
			for _, at := range []time.Time{gone.Add(p.lag), gone.Add(st.app.timing.drain)} {
				if at.After(now) {
					due = append(due, at)
				}
			}
		}
	}
	return due
}

// process is what runs in a web dyno: an HTTP server that is reached through memory.
type process struct {
	site     *site
	dyno     *dyno
	from     time.Time // which life of the dyno it is
	lag      time.Duration
	cookie   string // names it to the router
	sessions *sessions
	lock     *sync.Mutex // the server's, which guards the app's settings

	server      *http.Server
	backlog     *backlog
	quarantined time.Time // until then the router leaves it alone
	told        bool      // it got SIGTERM
	dropping    bool      // it died without a word: connections are taken, and end
	dead        bool
}

// launch starts the process of a dyno that is up.
func (s *Server) launch(st *site, d *dyno) *process {
	sum := sha256.Sum256([]byte(d.id + d.from.String()))
	p := &process{
		site: st, dyno: d, from: d.from, cookie: base64.RawURLEncoding.EncodeToString(sum[:24]) + "__", sessions: newSessions(), lock: &s.mu,
		backlog: newBacklog(),
	}
	if st.app.space == nil { // in a space a dyno is taken out before it is told: rolling deploys drop nothing of a second one's
		p.lag = time.Duration((0.3 + 0.7*share(d.id)) * float64(st.app.timing.lag))
	}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ErrorLog: log.New(io.Discard, "", 0)}
	s.router.work.Go(func() { _ = p.server.Serve(p.backlog) }) // it ends with an error, always
	return p
}

// advance ends a process by its dyno's time. True: it is done with.
func (p *process) advance(now time.Time) bool {
	d, t := p.dyno, p.site.app.timing
	if !p.from.Equal(d.from) || !d.crashedAt.IsZero() && !now.Before(d.crashedAt) {
		p.kill()
		return true
	}
	if d.goneAt.IsZero() || now.Before(d.goneAt) {
		return false
	}
	if !p.told {
		p.told = true
		switch p.site.app.code.shutdown {
		case shutdownGraceful:
			p.backlog.shut()
		case shutdownAbrupt:
			p.dropping = true
			p.kill()
		case shutdownSlow: // the port stays open
		}
	}
	if !now.Before(d.goneAt.Add(t.drain)) {
		p.kill()
	}
	return p.dead && !now.Before(d.goneAt.Add(p.lag))
}

// kill is SIGKILL: what is under way is cut off.
func (p *process) kill() {
	if !p.dead {
		p.dead = true
		p.backlog.shut()
		_ = p.server.Close() // it has nothing to say
	}
}

// routable says whether the router still believes in it.
func (p *process) routable(now time.Time) bool {
	return p.dyno.goneAt.IsZero() || now.Before(p.dyno.goneAt.Add(p.lag))
}

// dial connects to the process; nil: refused.
func (p *process) dial() net.Conn {
	client, server := net.Pipe()
	if p.dropping {
		_ = server.Close() // taken by the kernel, and ended with the process
		return client
	}
	if !p.backlog.push(server) {
		return nil
	}
	return client
}

// backlog is the listening side of a port. It is shut and pushed to under the server's
// lock.
type backlog struct {
	conns  chan net.Conn
	done   chan struct{}
	closed bool
}

// backlogSize is how many connections wait to be accepted before more are refused, as
// kernels have it.
const backlogSize = 1024

func newBacklog() *backlog {
	return &backlog{conns: make(chan net.Conn, backlogSize), done: make(chan struct{})}
}

func (b *backlog) push(c net.Conn) bool {
	if b.closed {
		return false
	}
	select {
	case b.conns <- c:
		return true
	default:
		return false
	}
}

// shut refuses connections from now on; those that nobody accepted end.
func (b *backlog) shut() {
	if b.closed {
		return
	}
	b.closed = true
	close(b.done)
	for {
		select {
		case c := <-b.conns:
			_ = c.Close()
		default:
			return
		}
	}
}

// Accept implements [net.Listener].
func (b *backlog) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Only the process shuts its port, under the lock: what
// net/http asks for comes after that.
func (b *backlog) Close() error { return nil }

// Addr implements [net.Listener].
func (b *backlog) Addr() net.Addr { return memory{} }

type memory struct{}

func (memory) Network() string { return "memory" }
func (memory) String() string  { return "memory" }

// pause waits for as long as a request's work takes; false: its connection ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
