package slack

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const (
	// wireKept and wireBytes bound what is kept of the wire, for those who look later.
	wireKept  = 400
	wireBytes = 4 << 20
)

// wireNote is one thing that passed between Slack and the app.
type wireNote struct {
	Seq      int             `json:"seq"`
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind"`               // envelope, ack or call
	Name     string          `json:"name"`               // the envelope's type, or the method
	Envelope string          `json:"envelope,omitempty"` // id
	Status   int             `json:"status,omitempty"`   // of HTTP
	Error    string          `json:"error,omitempty"`
	Sent     json.RawMessage `json:"sent,omitempty"`   // the envelope, the acknowledgement's payload, or the arguments without the token
	Answer   json.RawMessage `json:"answer,omitempty"` // of a call
}

// onWire keeps a note of what passes, once a page has been opened: nobody else looks, and
// long campaigns must not pay for it. It needs the lock.
func (s *Server) onWire(n wireNote, sent, answer any) {
	if !s.keepWire {
		return
	}
	raw := func(v any) json.RawMessage {
		if v == nil {
			return nil
		}
		text, err := json.Marshal(v)
		if err != nil {
			return json.RawMessage(strconv.Quote(err.Error()))
		}
		return text
	}
	n.Sent, n.Answer = raw(sent), raw(answer)
	s.wireSeq++
	n.Seq, n.At = s.wireSeq, time.Now()
	s.wire = append(s.wire, n)
	s.wireSize += len(n.Sent) + len(n.Answer)
	for len(s.wire) > wireKept || s.wireSize > wireBytes && len(s.wire) > 1 {
		s.wireSize -= len(s.wire[0].Sent) + len(s.wire[0].Answer)
		s.wire = s.wire[1:]
	}
	s.stir()
}

// serveWire streams envelopes, acknowledgements and calls: those that are kept, then each
// as it passes.
func (s *Server) serveWire(w http.ResponseWriter, r *http.Request) {
	if !s.hold() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	s.mu.Lock()
	s.keepWire = true
	s.mu.Unlock()
	since, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // none: everything
	passed := s.passed(since)
	s.follow(w, r, func() []change {
		notes := passed()
		for i := range notes {
			notes[i].id = strconv.Itoa(s.wireSeq)
		}
		return notes
	})
}

// passed returns what looks at the wire: at first what is kept since a number, then what
// passed since the last look. It needs the lock.
func (s *Server) passed(since int) func() []change {
	return func() []change {
		var out []change
		for _, n := range s.wire {
			if n.Seq <= since {
				continue
			}
			data, err := json.Marshal(n)
			if err != nil {
				continue // an acknowledgement that is no JSON can't be shown as such
			}
			out = append(out, change{kind: "note", data: data})
		}
		since = max(since, s.wireSeq)
		return out
	}
}
