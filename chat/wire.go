package chat

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// pulse is what can be told of one connection from what the server sent on it.
// slack-go shows neither pings nor the reason of a disconnect, and gives up a
// server that never pings; so the bytes are watched on their way to it.
type pulse struct {
	opened  time.Time
	greeted atomic.Bool  // hello, or any envelope, was read
	heard   atomic.Int64 // Unix ns of the last byte; 0: none
	gap     atomic.Int64 // ns, the longest time between two pings so far, at most slowestPing; 0: unknown
	opaque  atomic.Bool  // frames can't be read (a proxy's TLS, or no frames at all): only slack-go's own watchdog is left
	reason  atomic.Pointer[string]
}

// slowestPing bounds what is taken for a server's rhythm: after a sleep of the
// machine a ping may come hours late.
const slowestPing = 2 * time.Minute

// fresh says whether the connection can be believed alive: whether something came
// within patience. No patience means that the server never pings and gives no sign
// to miss.
func (p *pulse) fresh(patience time.Duration, now time.Time) bool {
	return patience == 0 || p.opaque.Load() || now.Sub(p.lastHeard()) <= patience
}

func (p *pulse) lastHeard() time.Time {
	if ns := p.heard.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return p.opened
}

// dialer makes the WebSocket dialer of one connection.
func (c Config) dialer(p *pulse) *websocket.Dialer {
	d := &websocket.Dialer{
		HandshakeTimeout: c.Timing.HTTP,
		WriteBufferSize:  32 << 10, // an acknowledgement in one frame: Slack does not join continuations (slack-go, socketmode.go)
	}
	dial := c.Dial
	if dial == nil {
		// TCP keep-alive finds a dead peer in about two minutes where there are no pings.
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	if c.Dial == nil && proxied(c.APIURL) {
		p.opaque.Store(true)
		d.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
		d.Proxy = http.ProxyFromEnvironment
		d.NetDialContext = dial
		return d
	}
	d.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &tap{Conn: conn, scan: scanner{pulse: p}}, nil
	}
	d.NetDialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secured := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: c.Roots, NextProtos: []string{"http/1.1"}})
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return &tap{Conn: secured, scan: scanner{pulse: p}}, nil
	}
	return d
}

// proxied says whether the environment sends requests to that address through a
// proxy. The links' own address is unknown until one is asked for, and is taken to
// be treated alike.
func proxied(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return err == nil && proxy != nil
}

// tap shows what is read from a connection to a scanner. It changes nothing.
type tap struct {
	net.Conn
	scan scanner
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if n > 0 {
		t.scan.pulse.heard.Store(time.Now().UnixNano())
		t.scan.feed(b[:n])
	}
	return n, err
}

// keptFrame bounds how much of a text frame is kept to be looked at, in bytes. A
// disconnect takes about 200.
const keptFrame = 1024

// scanner reads the server's side of a WebSocket connection: the headers of the
// HTTP answer, then frames (RFC 6455, section 5.2).
type scanner struct {
	pulse   *pulse
	line    int // length of the HTTP header line so far
	framed  bool
	pinged  time.Time // when the last ping came
	head    []byte    // of the frame so far
	opcode  byte
	left    uint64 // bytes of the frame's payload to come
	payload []byte
}

const (
	opText = 0x1
	opPing = 0x9
)

func (s *scanner) feed(b []byte) {
	for len(b) > 0 && !s.pulse.opaque.Load() {
		switch {
		case !s.framed:
			b = s.header(b)
		case s.left > 0:
			n := int(min(uint64(len(b)), s.left))
			s.payload = append(s.payload, b[:min(n, keptFrame-min(keptFrame, len(s.payload)))]...)
			b, s.left = b[n:], s.left-uint64(n)
			if s.left == 0 {
				s.frame()
			}
		default:
			s.head = append(s.head, b[0])
			b = b[1:]
			s.start()
		}
	}
}

// header skips the HTTP answer, whose end is an empty line.
func (s *scanner) header(b []byte) []byte {
	for i, c := range b {
		switch c {
		case '\r':
		case '\n':
			if s.line == 0 {
				s.framed = true
				return b[i+1:]
			}
			s.line = 0
		default:
			s.line++
		}
	}
	return nil
}

// start reads the head of a frame once there is enough of it.
func (s *scanner) start() {
	if len(s.head) < 2 {
		return
	}
	if s.head[0]&0x70 != 0 || s.head[1]&0x80 != 0 { // compressed or masked: not what was agreed on
		s.pulse.opaque.Store(true)
		return
	}
	length := uint64(s.head[1] & 0x7f)
	switch {
	case length == 126 && len(s.head) < 4, length == 127 && len(s.head) < 10:
		return
	case length == 126:
		length = uint64(binary.BigEndian.Uint16(s.head[2:]))
	case length == 127:
		length = binary.BigEndian.Uint64(s.head[2:])
	}
	s.opcode, s.left, s.head, s.payload = s.head[0]&0x0f, length, s.head[:0], s.payload[:0]
	if s.left == 0 {
		s.frame()
	}
}

// frame looks at a whole frame.
func (s *scanner) frame() {
	switch s.opcode {
	case opPing:
		now := time.Now()
		if !s.pinged.IsZero() { // the first one follows the upgrade at once and tells no rhythm
			s.pulse.gap.Store(max(s.pulse.gap.Load(), 1, int64(min(now.Sub(s.pinged), slowestPing))))
		}
		s.pinged = now
	case opText:
		var m struct{ Type, Reason string }
		if json.Unmarshal(s.payload, &m) == nil && m.Type == "disconnect" {
			s.pulse.reason.Store(&m.Reason)
		}
	}
}
