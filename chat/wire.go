package chat

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// maxFrame bounds a frame from Slack, in bytes: an envelope is some kilobytes, and a
	// server's mistake must not take the memory.
	maxFrame = 4 << 20
	// maxAck is the size in bytes from which Slack silently drops an acknowledgement
	// (slack-go, socket_mode_managed_conn.go).
	maxAck = 20 << 10
	// slowestPing bounds what is taken for a server's rhythm: after a sleep of the
	// machine a ping may come hours late.
	slowestPing = 2 * time.Minute
)

// wire is one Socket Mode connection. One goroutine reads it; whoever has something to
// say writes, one after the other. It is spoken here rather than by slack-go, where three
// goroutines, and what else they find to do, stand between an envelope and its
// acknowledgement, and which shows neither pings nor the reason of a disconnect.
type wire struct {
	conn    *websocket.Conn
	opened  time.Time
	greeted atomic.Bool  // hello, or any envelope, was read
	heard   atomic.Int64 // Unix ns of the last frame; 0: none
	gap     atomic.Int64 // ns, the longest time between two pings so far, at most slowestPing; 0: unknown
	pinged  time.Time    // when the last ping came; the reader's
	writing sync.Mutex
}

// open asks Slack for an address, which is good for one connection, and connects to it.
func (b *Bot) open(ctx context.Context) (*wire, error) {
	_, address, err := b.api.slack.StartSocketModeContext(ctx)
	if err != nil {
		return nil, err
	}
	// Slack's own name as the origin, as slack-go says it.
	conn, answer, err := b.cfg.dialer().DialContext(ctx, address, http.Header{"Origin": {"https://api.slack.com"}})
	if answer != nil && err != nil {
		return nil, fmt.Errorf("open a link: %w (HTTP %d)", err, answer.StatusCode)
	}
	if err != nil {
		return nil, fmt.Errorf("open a link: %w", err)
	}
	w := &wire{conn: conn, opened: time.Now()}
	conn.SetReadLimit(maxFrame)
	conn.SetPingHandler(func(data string) error {
		w.ping(time.Now())
		return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(b.cfg.Timing.Ack))
	})
	return w, nil
}

// dialer makes the WebSocket dialer of the links.
func (c Config) dialer() *websocket.Dialer {
	d := &websocket.Dialer{
		HandshakeTimeout: c.Timing.HTTP,
		WriteBufferSize:  32 << 10, // an acknowledgement in one frame: Slack does not join continuations (slack-go, socketmode.go)
		TLSClientConfig:  &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots, NextProtos: []string{"http/1.1"}},
		NetDialContext:   c.Dial,
	}
	if c.Dial == nil {
		d.Proxy = http.ProxyFromEnvironment
		// TCP keep-alive finds a dead peer in about two minutes where there are no pings.
		d.NetDialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	return d
}

// ping notes a ping, which tells the server's rhythm.
func (w *wire) ping(now time.Time) {
	w.heard.Store(now.UnixNano())
	if !w.pinged.IsZero() { // the first one follows the upgrade at once and tells no rhythm
		w.gap.Store(max(w.gap.Load(), 1, int64(min(now.Sub(w.pinged), slowestPing))))
	}
	w.pinged = now
}

// read waits for a frame with something in it.
func (w *wire) read() ([]byte, error) {
	_, frame, err := w.conn.ReadMessage()
	if err == nil {
		w.heard.Store(time.Now().UnixNano())
	}
	return frame, err
}

// errTooLong is an acknowledgement that Slack would not take.
var errTooLong = errors.New("the acknowledgement is too long")

// ack writes an acknowledgement, in at most limit. It is on its way then, and may still be
// lost with the connection; nobody can know. After a failure the connection is of no use
// for writing, and is ended.
func (w *wire) ack(id string, payload any, limit time.Duration) error {
	raw, err := json.Marshal(struct {
		ID      string `json:"envelope_id"`
		Payload any    `json:"payload,omitempty"`
	}{id, payload})
	if err != nil {
		return fmt.Errorf("encode an acknowledgement: %w", err)
	}
	if len(raw) >= maxAck {
		return fmt.Errorf("%w: %d bytes", errTooLong, len(raw))
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	_ = w.conn.SetWriteDeadline(time.Now().Add(limit)) // only noted, for the next line
	if err := w.conn.WriteMessage(websocket.TextMessage, raw); err != nil {
		w.end()
		return fmt.Errorf("write an acknowledgement: %w", err)
	}
	return nil
}

// end closes the connection, which ends its reader.
func (w *wire) end() { _ = w.conn.Close() } // what it says is that it is gone

// fresh says whether the connection can be believed alive: whether something came
// within patience. No patience means that the server never pings and gives no sign
// to miss.
func (w *wire) fresh(patience time.Duration, now time.Time) bool {
	return patience == 0 || now.Sub(w.lastHeard()) <= patience
}

func (w *wire) lastHeard() time.Time {
	if ns := w.heard.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return w.opened
}
