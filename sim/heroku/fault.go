package heroku

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

type faultKind string

const (
	fault503HTML     faultKind = "503html"
	fault503JSON     faultKind = "503json"
	fault500         faultKind = "500"
	fault429         faultKind = "429"
	fault403         faultKind = "403two-factor"
	faultHang        faultKind = "hang"
	faultResetBefore faultKind = "reset-before"
	faultResetAfter  faultKind = "reset-after"
	fault503After    faultKind = "503-after"
	faultSlow        faultKind = "slow"
	faultTruncated   faultKind = "truncated-json"
	faultEmpty       faultKind = "empty-body"
)

func faultKinds() []faultKind {
	return []faultKind{fault503HTML, fault503JSON, fault500, fault429, fault403, faultHang, faultResetBefore, faultResetAfter, fault503After, faultSlow, faultTruncated, faultEmpty}
}

// fault is what goes wrong with the requests that it matches.
type fault struct {
	left   int // how many more; negative: until cleared
	method string
	glob   string
	kind   faultKind
	delay  time.Duration
}

func (f *fault) String() string {
	kind := string(f.kind)
	if f.kind == faultSlow {
		kind += ":" + f.delay.String()
	}
	if f.left >= 0 {
		return fmt.Sprintf("next %d %s %s %s", f.left, f.method, f.glob, kind)
	}
	return fmt.Sprintf("%s %s %s", f.method, f.glob, kind)
}

const faultUsage = "fault [next N] METHOD|* PATHGLOB KIND"

// parseFault reads the words after `fault`.
func parseFault(words []string) (*fault, error) {
	f := &fault{left: -1}
	if len(words) > 2 && words[0] == "next" {
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 {
			return nil, fmt.Errorf("next %s: want a number from 1", words[1])
		}
		f.left, words = n, words[2:]
	}
	if len(words) != 3 {
		return nil, fmt.Errorf("usage: %s", faultUsage)
	}
	f.method, f.glob = strings.ToUpper(words[0]), words[1]
	kind, arg, _ := strings.Cut(words[2], ":")
	f.kind = faultKind(kind)
	if !slices.Contains(faultKinds(), f.kind) {
		return nil, fmt.Errorf("no fault %q; want one of %v", words[2], faultKinds())
	}
	if f.kind == faultSlow {
		d, err := time.ParseDuration(arg)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("want slow:2s")
		}
		f.delay = d
	}
	if _, err := path.Match(strings.ReplaceAll(f.glob, "**", "*"), ""); err != nil {
		return nil, fmt.Errorf("path %q: %w", f.glob, err)
	}
	return f, nil
}

// matchGlob matches a path: * is one segment or a part of it, a last ** is
// whatever follows.
func matchGlob(glob, name string) bool {
	if front, ok := strings.CutSuffix(glob, "**"); ok {
		depth := strings.Count(front, "/")
		parts := strings.SplitAfterN(name, "/", depth+1)
		if len(parts) <= depth {
			return false
		}
		hit, err := path.Match(front, strings.Join(parts[:depth], ""))
		return err == nil && hit
	}
	hit, err := path.Match(glob, name)
	return err == nil && hit
}

// takeFault finds the first fault for a request and uses it up. An app may be
// named in the glob though the request uses its id.
func (s *Server) takeFault(method, clean string) *fault {
	byName := clean
	if parts := strings.SplitN(clean, "/", 4); len(parts) > 2 && parts[1] == "apps" {
		if a, err := s.world.appNamed(parts[2]); err == nil {
			parts[2] = a.name
			byName = strings.Join(parts, "/")
		}
	}
	for i, f := range s.faults {
		if f.method != "*" && f.method != "ANY" && f.method != method || !matchGlob(f.glob, clean) && !matchGlob(f.glob, byName) {
			continue
		}
		hit := *f
		if f.left > 0 {
			if f.left--; f.left == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return &hit
	}
	return nil
}

// errorPage is what Heroku's router shows when an app of Heroku's own is down.
const errorPage = `<!DOCTYPE html>
<html><head><title>Application Error</title></head>
<body><h1>Application error</h1><p>An error occurred in the application and your page could not be served.</p></body></html>
`

// instead is the answer that a fault gives in place of the handler's.
func (f *fault) instead(x *exchange) (answer, bool) {
	switch f.kind {
	case fault503HTML:
		return answer{status: http.StatusServiceUnavailable, body: errorPage}, true
	case fault503JSON:
		return refuse(http.StatusServiceUnavailable, "service_unavailable", "The API is unavailable. Please try again later.").answer(), true
	case fault500:
		return refuse(http.StatusInternalServerError, "internal_server_error", "Internal server error.").answer(), true
	case fault429:
		a := refuse(http.StatusTooManyRequests, "rate_limit", "Your account reached the API rate limit\nPlease wait a few minutes before making new requests").answer()
		a.header = map[string]string{"RateLimit-Remaining": "0"}
		return a, true
	case fault403:
		return twoFactor(uuidOf(x.params["app"]), x.params["app"]).answer(), true
	}
	return answer{}, false
}

// mangle is what a fault leaves of an answer's text.
func (f *fault) mangle(text []byte) []byte {
	switch f.kind {
	case faultTruncated:
		return text[:len(text)/2]
	case faultEmpty:
		return nil
	}
	return text
}
