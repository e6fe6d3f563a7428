package slack

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fault is a way in which calls of one method go wrong.
type fault struct {
	method string // "*" is every one
	left   int    // how many more times; below zero is for ever
	kind   string
	arg    string
}

// The outcomes of meetFault.
type faultOutcome int

const (
	faultNone       faultOutcome = iota // go on
	faultDone                           // the answer is written
	faultResetAfter                     // go on, then cut the connection
)

// htmlPage is what a proxy in front of Slack answers in an outage.
const htmlPage = "<!DOCTYPE html><html><head><title>503 Service Unavailable</title></head><body>Server Error</body></html>\n"

// faultKinds explains each kind, for the usage text and the parser.
func faultKinds() [][2]string {
	return [][2]string{
		{"429 [SECONDS]", "rate limited, with Retry-After (default 1)"},
		{"500 | 502 | 503", "that status with an HTML page"},
		{"html", "status 200 with an HTML page"},
		{"hang", "no answer until the client gives up"},
		{"slow DURATION", "the right answer, late"},
		{"reset", "the connection is cut and nothing has happened"},
		{"reset-after", "the connection is cut after the effect"},
		{"empty", "status 200 with no body"},
		{"CODE", "{\"ok\": false, \"error\": CODE}"},
	}
}

func parseFault(words []string) (*fault, error) {
	f := &fault{left: -1}
	if len(words) >= 2 && words[0] == "next" {
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 {
			return nil, fmt.Errorf("next %q: want a count of calls", words[1])
		}
		f.left, words = n, words[2:]
	}
	if len(words) < 2 {
		return nil, fmt.Errorf("a fault needs a method (or *, response_url, upload) and a kind")
	}
	f.method, f.kind = words[0], words[1]
	if len(words) > 2 {
		f.arg = words[2]
	}
	switch f.kind {
	case "slow":
		if _, err := time.ParseDuration(f.arg); err != nil {
			return nil, fmt.Errorf("slow %q: want a duration such as 2s", f.arg)
		}
	case "429":
		if _, err := strconv.Atoi(f.arg); f.arg != "" && err != nil {
			return nil, fmt.Errorf("429 %q: want seconds", f.arg)
		}
	}
	return f, nil
}

// takeFault finds the fault for a call and uses it up.
func (s *Server) takeFault(method string) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.left != 0 && (f.method == "*" || f.method == method) {
			if f.left > 0 {
				f.left--
			}
			return f
		}
	}
	return nil
}

// meetFault makes a call go wrong where a fault says so. It may hold the caller.
func (s *Server) meetFault(w http.ResponseWriter, r *http.Request, method string, note func(int, string)) faultOutcome {
	f := s.takeFault(method)
	if f == nil {
		return faultNone
	}
	page := func(status int) faultOutcome {
		note(status, "html")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, htmlPage)
		return faultDone
	}
	switch f.kind {
	case "429":
		w.Header().Set("Retry-After", strings.TrimSpace(cmp.Or(f.arg, "1")))
		note(http.StatusTooManyRequests, "ratelimited")
		writeJSON(w, http.StatusTooManyRequests, object{"ok": false, "error": "ratelimited"})
		return faultDone
	case "500", "502", "503":
		status, _ := strconv.Atoi(f.kind)
		return page(status)
	case "html":
		return page(http.StatusOK)
	case "empty":
		note(http.StatusOK, "empty")
		return faultDone
	case "hang":
		note(0, "hang")
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
		panic(http.ErrAbortHandler)
	case "reset":
		note(0, "connection reset before the effect")
		panic(http.ErrAbortHandler)
	case "reset-after":
		return faultResetAfter
	case "slow":
		late, _ := time.ParseDuration(f.arg)
		t := time.NewTimer(late)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
		case <-s.done:
		}
		return faultNone
	}
	note(http.StatusOK, f.kind)
	writeJSON(w, http.StatusOK, object{"ok": false, "error": f.kind})
	return faultDone
}
