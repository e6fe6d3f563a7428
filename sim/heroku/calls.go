package heroku

import (
	"maps"
	"time"
)

// Call is one request that reached the API, /_control left out.
type Call struct {
	At      time.Time `json:"at"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`    // as sent, before dots are resolved
	Pattern string    `json:"pattern"` // "GET /apps/{app}/formation", or "unknown"
	Status  int       `json:"status"`  // 0: no answer was given
	Fault   string    `json:"fault,omitzero"`
	Body    string    `json:"body,omitzero"`
	Answer  string    `json:"answer,omitzero"` // what was answered, while somebody looks; cut

	ended bool
}

// keptAnswer bounds what is kept of an answer, in bytes: a page shows it to a person.
const keptAnswer = 2 << 10

// keptCalls bounds the raw list; counts go on beyond it.
const keptCalls = 20000

type callLog struct {
	first  int // the number of calls[0]
	calls  []Call
	counts map[string]int

	watched bool // answers are kept from now on
}

// answered keeps what a call was answered, where somebody looks.
func (l *callLog) answered(n int, text []byte) {
	if i := n - l.first; l.watched && i >= 0 && i < len(l.calls) {
		l.calls[i].Answer = string(text[:min(len(text), keptAnswer)])
	}
}

func (l *callLog) begin(c Call) (n int) {
	if len(l.calls) == keptCalls {
		l.calls = l.calls[keptCalls/2:]
		l.first += keptCalls / 2
	}
	l.calls = append(l.calls, c)
	l.counts[c.Pattern]++
	return l.first + len(l.calls) - 1
}

func (l *callLog) end(n, status int, f *fault) {
	if i := n - l.first; i >= 0 && i < len(l.calls) {
		l.calls[i].Status, l.calls[i].ended = status, true
		if f != nil {
			l.calls[i].Fault = string(f.kind)
		}
	}
}

func (l *callLog) reset() {
	*l = callLog{first: l.first + len(l.calls), counts: map[string]int{}, watched: l.watched}
}

// Calls are the requests since the start or the last reset, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls.calls...)
}

// CallCounts counts the requests by "METHOD pattern".
func (s *Server) CallCounts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls.counts)
}

// ResetCalls forgets the requests so far.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.reset()
}
