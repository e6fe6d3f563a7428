package heroku

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"

	"example.com/zdd/fleet"
)

// route is one thing that the client may ask of Heroku.
type route struct {
	method  string
	pattern string // {app}: name or UUID; {id}: UUID only; {team}: a team's name or UUID
	metrics bool   // on the metrics host, which has no part in the account's limit
	free    bool   // Heroku takes no token for it
	// body says whether what a write sends is what such a write may say; nil: the row
	// is no write.
	body func(text []byte) bool
}

// routes is everything that the bot asks of Heroku. heroku-go pastes identifiers
// into paths as they are, so this list, and not the caller's care, is what keeps
// text from chat out of the rest of the API (config vars, accounts, deletes).
//
// Four rows change an app. They take its UUID only, and a body of one form each: two
// features on or off, web to a quantity from 1, process types to other sizes.
func routes() []route {
	return []route{
		{method: http.MethodGet, pattern: "/account"},
		{method: http.MethodGet, pattern: "/account/rate-limits", free: true}, // Platform API reference, "Rate Limit"
		{method: http.MethodGet, pattern: "/apps"},
		{method: http.MethodGet, pattern: "/users/~/apps"},
		{method: http.MethodGet, pattern: "/teams"},
		{method: http.MethodGet, pattern: "/teams/{team}/apps"},
		{method: http.MethodGet, pattern: "/apps/{app}"},
		{method: http.MethodGet, pattern: "/apps/{app}/formation"},
		{method: http.MethodGet, pattern: "/apps/{app}/features"},
		{method: http.MethodGet, pattern: "/apps/{app}/releases"},
		{method: http.MethodGet, pattern: "/apps/{app}/dynos"},
		{method: http.MethodGet, pattern: "/apps/{app}/addons"},
		{method: http.MethodGet, pattern: "/apps/{app}/buildpack-installations"},
		{method: http.MethodGet, pattern: "/apps/{app}/pipeline-couplings"},
		{method: http.MethodGet, pattern: "/apps/{app}/domains"},
		{method: http.MethodGet, pattern: "/pipelines/{id}"},
		{method: http.MethodGet, pattern: "/pipelines"},
		{method: http.MethodGet, pattern: "/pipeline-couplings"},
		{method: http.MethodGet, pattern: "/addons"},
		{method: http.MethodGet, pattern: "/spaces"},
		{method: http.MethodGet, pattern: "/dyno-sizes"},
		{method: http.MethodGet, pattern: "/apps/{id}/formation/web/monitors", metrics: true},

		{method: http.MethodPatch, pattern: "/apps/{id}/features/" + fleet.SessionAffinity, body: fitting[featureChange]},
		{method: http.MethodPatch, pattern: "/apps/{id}/features/" + fleet.Preboot, body: fitting[featureChange]},
		{method: http.MethodPatch, pattern: "/apps/{id}/formation/web", body: fitting[quantityChange]},
		{method: http.MethodPatch, pattern: "/apps/{id}/formation", body: fitting[sizeChanges]},
	}
}

// The shapes of what varies in a path. They repeat fleet's on purpose: a mistake
// there must not open a door here.
var (
	nameShape = regexp.MustCompile(`\A[a-z][a-z0-9-]{1,28}[a-z0-9]\z`)
	idShape   = regexp.MustCompile(`\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\z`)
	teamShape = regexp.MustCompile(`\A[a-z0-9][a-z0-9_-]{0,62}\z`)
)

func (r route) matches(path string) bool {
	want, have := strings.Split(r.pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return false
	}
	for i, segment := range want {
		var ok bool
		switch segment {
		case "{app}":
			ok = nameShape.MatchString(have[i]) || idShape.MatchString(have[i])
		case "{id}":
			ok = idShape.MatchString(have[i])
		case "{team}":
			ok = teamShape.MatchString(have[i])
		default:
			ok = segment == have[i]
		}
		if !ok {
			return false
		}
	}
	return true
}

// admit finds the route of a request as it would go over the wire, or refuses it. The
// refusal does not repeat the path: it may hold anything.
func (t *transport) admit(req *http.Request) (route, *fleet.Problem) {
	refusal := &fleet.Problem{Kind: fleet.Refused, Message: "zdd itself refused to send this: it is not among the things it may ask of Heroku", Err: errNotSent}
	u := req.URL
	if u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawFragment != "" || req.Host != "" && req.Host != u.Host {
		return route{}, refusal
	}
	for _, r := range t.routes {
		at := t.api
		if r.metrics {
			at = t.metrics
		}
		if r.method != req.Method || u.Scheme != at.scheme || u.Host != at.host {
			continue
		}
		if path, ok := strings.CutPrefix(u.EscapedPath(), at.path); ok && r.matches(path) && r.takeBody(req) {
			return r, nil
		}
	}
	return route{}, refusal
}

// takeBody reads the body whole, and says whether the row may send it. What was read is
// what is sent. Without GetBody net/http can't send it again by itself either.
func (r route) takeBody(req *http.Request) bool {
	const most = 64 << 10 // bytes; all process types of an app take a few KiB
	var text []byte
	if req.Body != nil && req.Body != http.NoBody {
		var err error
		text, err = io.ReadAll(io.LimitReader(req.Body, most+1))
		if err != nil || len(text) > most {
			return false
		}
	}
	if r.body == nil {
		return len(text) == 0
	}
	if !r.body(text) {
		return false
	}
	req.Body, req.GetBody, req.ContentLength = io.NopCloser(bytes.NewReader(text)), nil, int64(len(text))
	return true
}
