package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// pingEvery keeps slack-go's watchdog (30 s) content.
	pingEvery = 10 * time.Second
	// maxLinks is how many links one app may hold (Slack, "Using multiple connections").
	maxLinks = 10
	// warningAhead is how long before the end of a link Slack warns of it.
	warningAhead = 10 * time.Second
	// drainFor is how long acknowledgements are still read on a link that was asked to
	// make room for a fresh one (assumed; Slack only says that it will close).
	drainFor = 2 * time.Second
	// writeTimeout is how long a frame may wait for a client that does not read.
	// Then the link is given up, as a full TCP window makes Slack do.
	writeTimeout = 30 * time.Second
	// backlog is how many frames wait for the writer; a link with more is dead.
	backlog = 1024
	// maxFrame bounds what a client may send in one frame; Slack drops acks long before.
	maxFrame = 1 << 20
	// linkHost is the name of the machine that Slack's frames carry.
	linkHost = "applink-1"
)

// link is one Socket Mode connection. One goroutine reads, one writes.
type link struct {
	id   int
	conn *websocket.Conn
	out  chan frame
	gone chan struct{}
	once sync.Once

	// Guarded by Server.mu.
	draining bool // asked to go: acknowledgements are read, nothing new is delivered
	mute     bool // half open: nothing is written or heard, though the connection stands
}

type frame struct {
	kind int // a websocket message type
	data []byte
	last bool // close the link after it
}

// greeting is what happens to a new link, on demand.
type greeting struct {
	what string // "drop" (after hello), "no-hello", "slam" (before hello) or a disconnect reason
	left int    // below zero: every one
}

// refusal is what apps.connections.open answers, on demand.
type refusal struct {
	code string
	left int
}

// end closes a link; both its goroutines then return.
func (l *link) end() {
	l.once.Do(func() {
		close(l.gone)
		l.conn.Close()
	})
}

// send queues a frame for the writer. A link whose queue is full is ended.
func (l *link) send(f frame) {
	select {
	case <-l.gone:
	case l.out <- f:
	default:
		l.end()
	}
}

func (l *link) sendJSON(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("frame of %T: %v", v, err)) // ours, and made of plain JSON
	}
	l.send(frame{kind: websocket.TextMessage, data: data})
}

// openConnection is apps.connections.open: a URL that opens one link, once.
func (s *Server) openConnection(q *request) (object, error) {
	if r := s.refuse; r != nil && r.left != 0 {
		if r.left > 0 {
			r.left--
		}
		return nil, fail(r.code)
	}
	s.base = q.host
	ticket := secret()
	s.tickets[ticket] = true
	url := "ws" + strings.TrimPrefix(q.host, "http") + "/link/?ticket=" + ticket + "&app_id=" + s.ws.AppID
	return object{"url": url}, nil
}

func (s *Server) serveLink(w http.ResponseWriter, r *http.Request) {
	if !s.hold() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	s.mu.Lock()
	ticket := r.URL.Query().Get("ticket")
	valid := s.tickets[ticket]
	delete(s.tickets, ticket)
	greet := ""
	if g := s.greet; valid && g != nil && g.left != 0 {
		if g.left > 0 {
			g.left--
		}
		greet = g.what
	}
	s.mu.Unlock()
	if !valid {
		http.Error(w, "this link's ticket is used or unknown", http.StatusForbidden)
		return
	}
	if greet == "slam" {
		panic(http.ErrAbortHandler)
	}
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }} // slack-go sends Slack's own
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	s.runLink(conn, greet)
}

// runLink serves a link until it ends.
func (s *Server) runLink(conn *websocket.Conn, greet string) {
	l := &link{conn: conn, out: make(chan frame, backlog), gone: make(chan struct{})}
	conn.SetReadLimit(maxFrame)
	conn.SetPingHandler(func(data string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !l.mute {
			l.send(frame{kind: websocket.PongMessage, data: []byte(data)})
		}
		return nil
	})
	if !s.join(l, greet) {
		l.end()
		return
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		defer l.end()
		s.writeFrames(l)
	})
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			break
		}
		s.heard(l, data)
	}
	l.end()
	writer.Wait()
	s.mu.Lock()
	s.links = slices.DeleteFunc(s.links, func(other *link) bool { return other == l })
	s.stir()
	s.mu.Unlock()
}

// join greets a link and counts it in. It reports false once the server is closed.
func (s *Server) join(l *link, greet string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.count++
	l.id = s.count
	if len(s.links) >= maxLinks {
		s.disconnect(l, "too_many_websockets")
		s.links = append(s.links, l) // until the writer has said so
		return true
	}
	s.links = append(s.links, l)
	s.stir()
	if greet != "no-hello" {
		l.sendJSON(object{
			"type":            "hello",
			"num_connections": len(s.links),
			"connection_info": object{"app_id": s.ws.AppID},
			"debug_info":      object{"host": linkHost, "build_number": 1, "approximate_connection_time": 18060},
		})
	}
	switch greet {
	case "", "no-hello":
	case "drop":
		l.send(frame{last: true})
	default:
		s.disconnect(l, greet)
	}
	if every := s.opts.RefreshEvery; every > 0 {
		s.after(max(every-warningAhead, 0), func() { s.disconnect(l, "warning") })
	}
	return true
}

// disconnect asks a link to go, in Slack's words, and ends it: ten seconds after a
// warning, after drainFor for a refresh, at once for the other reasons. Slack documents warning, refresh_requested
// and link_disabled; too_many_websockets is what it says to the eleventh link.
func (s *Server) disconnect(l *link, reason string) {
	l.draining = reason != "warning"
	note := object{"type": "disconnect", "reason": reason, "debug_info": object{"host": linkHost}}
	l.sendJSON(note)
	if reason == "warning" {
		s.after(warningAhead, func() {
			if !l.draining {
				s.disconnect(l, "refresh_requested")
			}
		})
		return
	}
	closing := frame{kind: websocket.CloseMessage, data: websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), last: true}
	if reason == "refresh_requested" {
		s.after(drainFor, func() { l.send(closing) })
		return
	}
	l.send(closing)
}

func (s *Server) writeFrames(l *link) {
	var ping <-chan time.Time
	if s.opts.PingEvery > 0 {
		t := time.NewTicker(s.opts.PingEvery)
		defer t.Stop()
		ping = t.C
	}
	write := func(kind int, data []byte) bool {
		l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		return l.conn.WriteMessage(kind, data) == nil
	}
	if s.pinging(l) && !write(websocket.PingMessage, []byte("Ping from "+linkHost)) {
		return // Slack's first ping follows the upgrade at once
	}
	for {
		select {
		case <-l.gone:
			return
		case <-ping:
			if s.pinging(l) && !write(websocket.PingMessage, []byte("Ping from "+linkHost)) {
				return
			}
		case f := <-l.out:
			if f.last {
				if f.kind == websocket.CloseMessage {
					write(f.kind, f.data)
				}
				return
			}
			if !write(f.kind, f.data) {
				return
			}
		}
	}
}

func (s *Server) pinging(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings && s.opts.PingEvery > 0 && !l.mute
}

// live are the links that take envelopes. It needs the lock.
func (s *Server) live() []*link {
	var live []*link
	for _, l := range s.links {
		select {
		case <-l.gone:
		default:
			if !l.draining {
				live = append(live, l)
			}
		}
	}
	return live
}
