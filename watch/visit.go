package watch

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"time"
)

// Visit is one look of a virtual visitor: somebody with cookies, who has logged in and
// comes back.
type Visit struct {
	At      time.Time // when the look was due
	Visitor int       // from 0
	Result  VisitResult
	Err     string // for people; empty: there is nothing to say
}

// VisitResult is what a visitor met. A login that went well is no result: it says nothing
// of what was kept.
type VisitResult string

// The results.
const (
	Kept    VisitResult = "kept"    // still logged in
	Lost    VisitResult = "lost"    // logged out, though the page itself was well
	NoPage  VisitResult = "no-page" // neither can be told
	Unbegun VisitResult = "unbegun" // could not log in
)

// visitEvery is how often one visitor looks: a few looks within the shortest hand-over,
// and less load than one person's browser.
const visitEvery = 5 * time.Second

// visitor looks every visitEvery until ctx ends; life ends what is under way. Whoever was
// logged out logs in again, with the same cookies, as people do.
func (r *run) visitor(ctx, life context.Context, n int) {
	jar, err := cookiejar.New(nil)
	if err != nil { // it never is: there are no options to be wrong
		return
	}
	inside := false
	began := r.began.Add(visitEvery * time.Duration(n) / time.Duration(r.target.probe.Visitors))
	for due := began; pause(ctx, due); due = nextAfter(began, visitEvery) {
		look := func() (VisitResult, string) {
			ctx, cancel := context.WithTimeout(life, r.target.probe.Timeout)
			defer cancel()
			if inside {
				return r.look(ctx, jar)
			}
			if _, o, err := fetch(ctx, r.kept, r.target.start, agentVisitor, jar); o != OK {
				return Unbegun, tell(o, err, r.target.probe.Timeout)
			}
			result, why := r.look(ctx, jar)
			switch result {
			case Kept:
				inside = true
				return "", ""
			case Lost:
				return Unbegun, "the text that only shows when logged in is not there after the login"
			}
			return Unbegun, why
		}
		result, why := look()
		if result == Lost {
			inside = false
		}
		if result != "" && life.Err() == nil { // what was given up tells nothing
			r.hand(life, news{visit: &Visit{At: due, Visitor: n, Result: result, Err: why}})
		}
	}
}

// look asks for the page that shows whether the visitor is logged in. A page that is well
// but for that, a redirect to a login and a refusal to strangers (401, 403) are a logout;
// anything else tells nothing of it.
func (r *run) look(ctx context.Context, jar http.CookieJar) (VisitResult, string) {
	probe := r.target.probe
	a, o, err := fetch(ctx, r.kept, r.target.account, agentVisitor, jar)
	said := fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	switch {
	case o != OK:
		return NoPage, tell(o, err, probe.Timeout)
	case a.status >= 200 && a.status < 300 && bytes.Contains(a.body, []byte(probe.VisitorMarker)):
		return Kept, ""
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status/100 == 3:
		return Lost, said
	case a.status/100 == 2:
		return Lost, "the text that only shows when logged in is gone"
	}
	return NoPage, said
}
