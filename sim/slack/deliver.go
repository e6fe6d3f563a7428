package slack

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// ackWithin is how long an app has to acknowledge an envelope.
	ackWithin = 3 * time.Second
	// maxAck is the size from which Slack silently drops an acknowledgement.
	maxAck = 20 << 10
)

// Delivery is the pattern in which envelopes go to several links. Slack promises
// none but that each goes to one of them.
type Delivery string

// The patterns. Duplicate is a fault: every link gets every envelope.
const (
	RoundRobin Delivery = "round-robin"
	Random     Delivery = "random"
	Duplicate  Delivery = "duplicate"
)

// envelope is one thing that the app is told over a link.
type envelope struct {
	id      string
	kind    string // slash_commands, interactive, events_api
	payload object
	acked   bool

	// answered gets the payload of the acknowledgement, which may be empty; lost gets
	// the error code that the person sees. Both run with the lock held.
	answered func(payload json.RawMessage)
	lost     func(code string)

	// Events only: they are tried again, others never.
	attempt int
	reason  string
}

// retryAfter is when Slack sends an event again that was not acknowledged: at once,
// after one minute, and after five (Events API, "Retries").
func retryAfter() []time.Duration { return []time.Duration{0, time.Minute, 5 * time.Minute} }

// dispatch delivers an envelope to the links whose turn it is. It needs the lock.
func (s *Server) dispatch(e *envelope) string {
	e.id = secret()
	live := s.live()
	if len(live) == 0 {
		s.missed(e, "dispatch_failed")
		return fmt.Sprintf("%s: no link is live", e.kind)
	}
	s.pending[e.id] = e
	body := object{
		"envelope_id":              e.id,
		"type":                     e.kind,
		"payload":                  e.payload,
		"accepts_response_payload": e.kind != "events_api",
	}
	if e.kind == "events_api" {
		body["retry_attempt"] = e.attempt
		body["retry_reason"] = e.reason
	}
	s.onWire(wireNote{Kind: "envelope", Name: e.kind, Envelope: e.id}, body, nil)
	to := live
	switch s.deliver {
	case Random:
		to = live[s.rnd.IntN(len(live)):][:1]
	case RoundRobin:
		to = live[s.turn%len(live):][:1]
		s.turn++
	}
	var said strings.Builder
	said.WriteString(e.kind + " " + e.id + " to link")
	for _, l := range to {
		fmt.Fprintf(&said, " %d", l.id)
		if !l.mute {
			l.sendJSON(body)
		}
	}
	s.after(ackWithin, func() {
		if !e.acked {
			delete(s.pending, e.id)
			s.missed(e, "operation_timeout")
		}
	})
	return said.String()
}

// missed tells the person that the app did not answer, or tries an event again.
func (s *Server) missed(e *envelope, code string) {
	if e.kind != "events_api" {
		if e.lost != nil {
			e.lost(code)
		}
		return
	}
	if e.attempt >= len(retryAfter()) {
		return
	}
	again := &envelope{kind: e.kind, payload: e.payload, attempt: e.attempt + 1, reason: "timeout"}
	wait := retryAfter()[e.attempt]
	if wait == 0 && code == "dispatch_failed" {
		wait = time.Second // "at once" with nobody there: a moment later
	}
	if wait == 0 {
		s.dispatch(again)
		return
	}
	s.after(wait, func() { s.dispatch(again) })
}

// heard takes a frame from the app: an acknowledgement.
func (s *Server) heard(l *link, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.mute || len(data) >= maxAck {
		return
	}
	var ack struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(data, &ack) != nil {
		return
	}
	e := s.pending[ack.EnvelopeID]
	if e == nil || e.acked {
		return
	}
	e.acked = true
	s.onWire(wireNote{Kind: "ack", Name: e.kind, Envelope: e.id}, ack.Payload, nil)
	delete(s.pending, e.id)
	s.record(Event{Kind: "ack", By: "bot", Envelope: e.id, Text: e.kind})
	if e.answered != nil {
		e.answered(ack.Payload)
	}
}

// sendRaw sends any text to every link, as Slack may one day.
func (s *Server) sendRaw(text string) {
	for _, l := range s.live() {
		l.send(frame{kind: websocket.TextMessage, data: []byte(text)})
	}
}
