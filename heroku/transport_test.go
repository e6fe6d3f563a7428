package heroku

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	platform "github.com/heroku/heroku-go/v5"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/fleet"
)

// wireFunc answers requests in place of the network.
type wireFunc func(*http.Request) (*http.Response, error)

func (f wireFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func answering(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: statusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}
}

// over puts heroku-go on our transport on a wire.
func over(t testing.TB, wire http.RoundTripper) (*platform.Service, *transport) {
	t.Helper()
	place := place{scheme: "https", host: "api.heroku.com"}
	b := newBucket(time.Now(), defaultReserve)
	meter, err := newMeter(prometheus.NewRegistry(), b)
	if err != nil {
		t.Fatal(err)
	}
	inner := &transport{
		api: place, metrics: parsed(t, DefaultMetricsURL), routes: routes(), bucket: b, lanes: make(chan struct{}, 2),
		meter: meter, wire: wire, pause: 200 * time.Millisecond, log: slog.New(slog.DiscardHandler),
	}
	s := platform.NewService(&http.Client{Transport: &platform.Transport{BearerToken: "HRKU-test-token", Transport: inner}})
	s.URL = place.String()
	return s, inner
}

func parsed(t testing.TB, text string) place {
	t.Helper()
	p, err := parsePlace(text, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const someID = "01234567-89ab-cdef-0123-456789abcdef"

func TestRetries(t *testing.T) {
	tests := map[string]struct {
		answers []int // the statuses in order; the last one stays; 0: the connection breaks
		within  time.Duration
		sent    int
		kind    fleet.Kind // empty: answered
	}{
		"at once":                        {answers: []int{200}, sent: 1},
		"503 once":                       {answers: []int{503, 200}, sent: 2},
		"broken twice":                   {answers: []int{0, 0, 200}, sent: 3},
		"500 for ever":                   {answers: []int{500}, sent: maxTries, kind: fleet.Unavailable},
		"broken for ever":                {answers: []int{0}, sent: maxTries, kind: fleet.Unavailable},
		"not implemented is not passing": {answers: []int{501}, sent: 1, kind: fleet.Unavailable},
		"not found is not passing":       {answers: []int{404}, sent: 1, kind: fleet.NotFound},
		"unauthorized is not passing":    {answers: []int{401}, sent: 1, kind: fleet.Unauthorized},
		"redirect is not passing":        {answers: []int{302}, sent: 1, kind: fleet.Unavailable},
		"429 once":                       {answers: []int{429, 200}, sent: 2},
		"no time for a second try":       {answers: []int{503}, within: 50 * time.Millisecond, sent: 1, kind: fleet.Unavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				s, _ := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
					status := tt.answers[min(sent, len(tt.answers)-1)]
					sent++
					if status == 0 {
						return nil, io.ErrUnexpectedEOF
					}
					return answering(req, status, `{"id":"x"}`), nil
				}))
				within := 10 * time.Second
				if tt.within > 0 {
					within = tt.within
				}
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				began := time.Now()
				_, err := s.AccountInfo(ctx)
				if sent != tt.sent {
					t.Errorf("sent: got %d, want %d", sent, tt.sent)
				}
				if took := time.Since(began); took >= within {
					t.Errorf("took %v of a deadline of %v: a sleep that could not help", took, within)
				}
				var kind fleet.Kind
				if p, ok := errors.AsType[*fleet.Problem](err); ok {
					kind = p.Kind
				}
				if kind != tt.kind || err != nil && kind == "" {
					t.Errorf("got %v (%q), want %q", err, kind, tt.kind)
				}
			})
		})
	}
}

// A change that may have happened must never be sent again, whatever went wrong.
func TestNoRetryOfPatch(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"503": func(req *http.Request) (*http.Response, error) { return answering(req, 503, "<html>"), nil },
		"429": func(req *http.Request) (*http.Response, error) {
			return answering(req, 429, `{"id":"rate_limit"}`), nil
		},
		"broken off":     func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"not JSON":       func(req *http.Request) (*http.Response, error) { return answering(req, 200, `{"quant`), nil },
		"empty answer":   func(req *http.Request) (*http.Response, error) { return answering(req, 200, ``), nil },
		"timed out":      func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded },
		"body not whole": func(req *http.Request) (*http.Response, error) { return halfAnswer(req), nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				s, _ := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
					sent++
					return answer(req)
				}))
				_, err := s.FormationUpdate(t.Context(), someID, "web", platform.FormationUpdateOpts{Quantity: new(2)})
				if _, ok := errors.AsType[*fleet.Problem](err); !ok || sent != 1 {
					t.Errorf("got %v after %d requests, want a problem after one", err, sent)
				}
			})
		})
	}
}

func halfAnswer(req *http.Request) *http.Response {
	resp := answering(req, 200, "")
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"quantity":`), brokenReader{}))
	return resp
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A body that breaks off is a failed request like others, and read again.
func TestBodyBrokenOffIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s, _ := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
			if sent++; sent == 1 {
				return halfAnswer(req), nil
			}
			return answering(req, 200, `{"remaining":7}`), nil
		}))
		got, err := s.RateLimitInfo(t.Context())
		if err != nil || got.Remaining != 7 || sent != 2 {
			t.Errorf("got %v, %v after %d requests, want 7 after two", got, err, sent)
		}
	})
}

// A 429 that tells nothing lets people on at the pace of the refill; one that tells
// that nothing is left makes a person come back later instead of waiting.
func Test429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		header := ""
		sent := 0
		s, inner := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
			sent++
			resp := answering(req, 429, `{"id":"rate_limit","message":"Your account reached the API rate limit"}`)
			if header != "" {
				resp.Header.Set("RateLimit-Remaining", header)
			}
			return resp, nil
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := s.AccountInfo(ctx)
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.RateLimited || p.RetryAfter < time.Second || sent != maxTries {
			t.Errorf("nothing told: got %+v after %d requests, want rate-limited after %d", p, sent, maxTries)
		}
		inner.bucket.told(time.Now(), 4000)
		header, sent = "0", 0
		ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err = s.AccountInfo(ctx)
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.RateLimited || p.RetryAfter < 15*time.Second || sent != 1 {
			t.Errorf("nothing left: got %+v after %d requests, want rate-limited after one, and 17s to wait", p, sent)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("a person waited %v for an answer that could not come", took)
		}
	})
}

// Background requests are bounded; people do not queue behind them.
func TestLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		s, _ := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return answering(req, 200, `{}`), nil
		}))
		var wg sync.WaitGroup
		began := time.Now()
		for range 6 {
			wg.Go(func() {
				if _, err := s.AccountInfo(Background(t.Context())); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := s.AccountInfo(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("a person's call beside six in the background: got %v, want 1s", took)
		}
		wg.Wait()
		if took := time.Since(began); took != 3*time.Second || most != 3 {
			t.Errorf("six in two lanes: got %v and at most %d at once, want 3s, and 3 with the person's", took, most)
		}
	})
}

func TestWarningsStayOutOfTheGlobalLog(t *testing.T) {
	var got *http.Response
	_, inner := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
		resp := answering(req, 200, `{}`)
		resp.Header.Set("X-Heroku-Warning", "your token HRKU-canary-0123456789 is old")
		return resp, nil
	}))
	var log strings.Builder
	inner.log = slog.New(slog.NewTextHandler(&log, nil))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.heroku.com/account", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = inner.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	if w := got.Header.Get("X-Heroku-Warning"); w != "" {
		t.Errorf("got %q, want it taken off", w)
	}
	if !strings.Contains(log.String(), "is old") || strings.Contains(log.String(), "canary") {
		t.Errorf("our log: got %q, want the warning without the token", log.String())
	}
}

func TestAdmit(t *testing.T) {
	tests := map[string]struct {
		method, url string
		ok          bool
	}{
		"account":                 {"GET", "https://api.heroku.com/account", true},
		"app by name":             {"GET", "https://api.heroku.com/apps/shop", true},
		"app by id":               {"GET", "https://api.heroku.com/apps/" + someID, true},
		"team":                    {"GET", "https://api.heroku.com/teams/acme/apps", true},
		"monitors":                {"GET", "https://api.metrics.heroku.com/apps/" + someID + "/formation/web/monitors", true},
		"monitors at the API":     {"GET", "https://api.heroku.com/apps/" + someID + "/formation/web/monitors", false},
		"monitors by name":        {"GET", "https://api.metrics.heroku.com/apps/shop/formation/web/monitors", false},
		"API at the metrics host": {"GET", "https://api.metrics.heroku.com/apps/shop", false},
		"config vars":             {"GET", "https://api.heroku.com/apps/shop/config-vars", false},
		"another host":            {"GET", "https://evil.example/apps/shop", false},
		"another port":            {"GET", "https://api.heroku.com:8443/apps/shop", false},
		"in the clear":            {"GET", "http://api.heroku.com/apps/shop", false},
		"deletes":                 {"DELETE", "https://api.heroku.com/apps/shop", false},
		"posts":                   {"POST", "https://api.heroku.com/apps", false},
		"head":                    {"HEAD", "https://api.heroku.com/apps/shop", false},
		"patch by name":           {"PATCH", "https://api.heroku.com/apps/shop/formation/web", false},
		"patch by id":             {"PATCH", "https://api.heroku.com/apps/" + someID + "/formation/web", true},
		"patch of a monitor":      {"PATCH", "https://api.metrics.heroku.com/apps/" + someID + "/formation/web/monitors", false},
		"query":                   {"GET", "https://api.heroku.com/apps/shop?x=1", false},
		"empty query":             {"GET", "https://api.heroku.com/apps/shop?", false},
		"fragment":                {"GET", "https://api.heroku.com/apps/shop#x", false},
		"user":                    {"GET", "https://u:p@api.heroku.com/apps/shop", false},
		"climbing":                {"GET", "https://api.heroku.com/apps/x/../../account", false},
		"dots":                    {"GET", "https://api.heroku.com/apps/..", false},
		"escaped":                 {"GET", "https://api.heroku.com/apps/sh%6fp", false},
		"escaped slash":           {"GET", "https://api.heroku.com/apps/shop%2Fconfig-vars", false},
		"trailing slash":          {"GET", "https://api.heroku.com/apps/shop/", false},
		"doubled slash":           {"GET", "https://api.heroku.com//apps/shop", false},
		"capitals":                {"GET", "https://api.heroku.com/apps/Shop", false},
		"look-alike":              {"GET", "https://api.heroku.com/apps/sh\u043Ep", false},
		"nothing":                 {"GET", "https://api.heroku.com", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sent := 0
			_, inner := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
				sent++
				return answering(req, 200, `{}`), nil
			}))
			body := ""
			if tt.method == http.MethodPatch {
				body = `{"quantity":2}`
			}
			req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			_, err = inner.RoundTrip(req)
			if (err == nil) != tt.ok || (sent == 1) != tt.ok {
				t.Errorf("got %v and %d requests sent, want admitted %v", err, sent, tt.ok)
			}
			if p, _ := errors.AsType[*fleet.Problem](err); !tt.ok && (p == nil || p.Kind != fleet.Refused) {
				t.Errorf("got %v, want a refusal of our own", err)
			}
		})
	}
}

// A Host header of its own would send the token to another site behind the same
// front.
func TestAdmitNoOtherHostHeader(t *testing.T) {
	_, inner := over(t, wireFunc(func(req *http.Request) (*http.Response, error) { return answering(req, 200, `{}`), nil }))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.heroku.com/account", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	if _, err := inner.RoundTrip(req); err == nil {
		t.Error("sent, want refused")
	}
}

// TestAdmitBody: a write may say one thing only, whatever its path.
func TestAdmitBody(t *testing.T) {
	const web, all, preboot = "/formation/web", "/formation", "/features/preboot"
	tests := map[string]struct {
		path, body string
		ok         bool
	}{
		"quantity":                {web, `{"quantity":2}`, true},
		"quantity 0":              {web, `{"quantity":0}`, false},
		"below":                   {web, `{"quantity":-1}`, false},
		"relative":                {web, `{"quantity":"+1"}`, false},
		"as a string":             {web, `{"quantity":"2"}`, false},
		"none":                    {web, `{}`, false},
		"empty":                   {web, ``, false},
		"null":                    {web, `null`, false},
		"with a size":             {web, `{"quantity":2,"size":"performance-l"}`, false},
		"twice":                   {web, `{"quantity":0,"quantity":2}`, false},
		"in capitals":             {web, `{"Quantity":2}`, false},
		"more after it":           {web, `{"quantity":2}{"quantity":0}`, false},
		"endless":                 {web, `{"quantity":2}` + strings.Repeat(" ", 1<<17), false},
		"sizes":                   {all, `{"updates":[{"type":"web","size":"standard-1x"},{"type":"worker","size":"standard-1x"}]}`, true},
		"sizes with a quantity":   {all, `{"updates":[{"type":"web","size":"standard-1x","quantity":0}]}`, false},
		"quantity of workers":     {all, `{"updates":[{"type":"worker","quantity":0}]}`, false},
		"no sizes":                {all, `{"updates":[]}`, false},
		"no size":                 {all, `{"updates":[{"type":"web","size":""}]}`, false},
		"a type twice":            {all, `{"updates":[{"type":"web","size":"standard-1x"},{"type":"web","size":"basic"}]}`, false},
		"a strange type":          {all, `{"updates":[{"type":"../web","size":"basic"}]}`, false},
		"a strange size":          {all, `{"updates":[{"type":"web","size":"basic\"}]}`, false},
		"quantity for all":        {all, `{"quantity":2}`, false},
		"preboot on":              {preboot, `{"enabled":true}`, true},
		"affinity off":            {"/features/http-session-affinity", `{"enabled":false}`, true},
		"preboot null":            {preboot, `{"enabled":null}`, false},
		"preboot on and more":     {preboot, `{"enabled":true,"name":"x"}`, false},
		"another feature":         {"/features/runtime-dyno-metadata", `{"enabled":true}`, false},
		"a feature by its UUID":   {"/features/" + someID, `{"enabled":true}`, false},
		"workers":                 {"/formation/worker", `{"quantity":2}`, false},
		"the formation of an id":  {"/formation/" + someID, `{"quantity":2}`, false},
		"config vars":             {"/config-vars", `{"quantity":2}`, false},
		"the app itself":          {"", `{"maintenance":true}`, false},
		"monitors":                {"/formation/web/monitors/" + someID, `{"quantity":2}`, false},
		"climbing to config vars": {"/formation/../config-vars", `{"quantity":2}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sent := ""
			_, inner := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(req.Body)
				if err != nil || req.ContentLength != int64(len(body)) || req.GetBody != nil {
					t.Errorf("got %v, a length of %d and a body to send again %t", err, req.ContentLength, req.GetBody != nil)
				}
				sent = string(body)
				return answering(req, 200, `{}`), nil
			}))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://api.heroku.com/apps/"+someID+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			_, err = inner.RoundTrip(req)
			if want := map[bool]string{true: tt.body}[tt.ok]; (err == nil) != tt.ok || sent != want {
				t.Errorf("got %v and %q sent, want %q", err, sent, want)
			}
		})
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		_, inner := over(t, wireFunc(func(*http.Request) (*http.Response, error) { t.Errorf("%s was sent", method); return nil, io.EOF }))
		req, err := http.NewRequestWithContext(t.Context(), method, "https://api.heroku.com/apps/"+someID+web, strings.NewReader(`{"quantity":2}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inner.RoundTrip(req); err == nil {
			t.Errorf("%s: got no refusal", method)
		}
	}
}

// FuzzWrites asks heroku-go for every change that it has a method for which is near to
// ours, with any identities and any values. Whatever is asked, what leaves is one of
// four PATCHes to a UUID, and says no more than that.
func FuzzWrites(f *testing.F) {
	for _, s := range []string{someID, "shop", "shop/config-vars#", someID + "/config-vars#", someID + "/../" + someID, someID + "?x", "x/../../account", "", "web", "worker", "preboot", "http-session-affinity", "runtime-dyno-metadata", "%77eb", "web#", "web/../worker", "standard-1x"} {
		f.Add(s, "web", "standard-1x", 2, `{"quantity":2}`)
		f.Add(someID, s, s, -1, `{"enabled":true}`)
	}
	f.Fuzz(func(t *testing.T, identity, item, size string, quantity int, raw string) {
		s, _ := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodPatch {
				t.Fatalf("sent %s %s", req.Method, req.URL)
			}
			segments := strings.SplitN(req.URL.RequestURI(), "/", 4)
			text, err := io.ReadAll(req.Body)
			if err != nil || len(segments) != 4 || segments[1] != "apps" || !idShape.MatchString(segments[2]) || req.URL.Host != "api.heroku.com" {
				t.Fatalf("sent %s, %v", req.URL, err)
			}
			var body map[string]any
			if err := json.Unmarshal(text, &body); err != nil || len(body) != 1 {
				t.Fatalf("sent %s with %s", req.URL, text)
			}
			ok := false
			switch segments[3] {
			case "features/preboot", "features/http-session-affinity":
				_, ok = body["enabled"].(bool)
			case "formation/web":
				n, isNumber := body["quantity"].(float64)
				ok = isNumber && n >= 1
			case "formation":
				updates, _ := body["updates"].([]any)
				ok = len(updates) > 0
				for _, u := range updates {
					update, _ := u.(map[string]any)
					_, hasType := update["type"].(string)
					_, hasSize := update["size"].(string)
					ok = ok && hasType && hasSize && len(update) == 2
				}
			}
			if !ok {
				t.Fatalf("sent %s with %s", req.URL, text)
			}
			return answering(req, 200, `{}`), nil
		}))
		ctx := t.Context()
		var into any
		_, _ = s.FormationUpdate(ctx, identity, item, platform.FormationUpdateOpts{Quantity: &quantity})
		_, _ = s.FormationUpdate(ctx, identity, item, platform.FormationUpdateOpts{Quantity: &quantity, Size: &size})
		_, _ = s.AppFeatureUpdate(ctx, identity, item, platform.AppFeatureUpdateOpts{Enabled: quantity > 0})
		_, _ = s.ConfigVarUpdate(ctx, identity, map[string]*string{item: &size})
		_, _ = s.DynoRestartAll(ctx, identity)
		_, _ = s.AppDelete(ctx, identity)
		_ = s.Patch(ctx, &into, "/apps/"+identity+"/formation", raw)
		_ = s.Patch(ctx, &into, "/apps/"+identity+"/formation/web", raw)
		_ = s.Patch(ctx, &into, "/apps/"+someID+"/"+item, raw)
		_ = s.Post(ctx, &into, "/apps/"+someID+"/"+item, raw)
		_ = s.Put(ctx, &into, "/apps/"+someID+"/formation", raw)
		_ = s.Patch(ctx, &into, "/apps/"+identity+"/formation", sizeChanges{[]sizeChange{{item, size}}})
	})
}

// FuzzPaths gives heroku-go what ParseRef would never let through. Whatever it is,
// what leaves is one of the app's own paths, and asks for nothing but that.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{
		"shop", someID, "shop/config-vars#", "x/../../account", "x?y=1", "../account", "..", ".", "", "%2e%2e/account", "shop%2fconfig-vars",
		"sh\u043Ep", "boo\u212A", "ｓｈｏｐ", "shop/", "/shop", "shop\n", "shop\r\nHost: evil", "shop;x", "shop\\..\\x", "@evil.example/apps/shop", "//evil.example/x", "shop#", "shop?", "~",
	} {
		f.Add(s)
	}
	own := map[string]bool{}
	for _, suffix := range []string{"", "/formation", "/features", "/releases", "/dynos", "/addons", "/buildpack-installations", "/pipeline-couplings", "/domains"} {
		own[suffix] = true
	}
	f.Fuzz(func(t *testing.T, identity string) {
		s, inner := over(t, wireFunc(func(req *http.Request) (*http.Response, error) {
			target := req.URL.RequestURI() // what goes over the wire
			rest, ok := strings.CutPrefix(target, "/apps/")
			name, suffix := rest, ""
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				name, suffix = rest[:i], rest[i:]
			}
			if !ok || !nameShape.MatchString(name) && !idShape.MatchString(name) || !own[suffix] || req.Method != http.MethodGet || req.URL.Host != "api.heroku.com" || req.URL.User != nil {
				t.Errorf("%q: sent %s %s%s", identity, req.Method, req.URL.Host, target)
			}
			return answering(req, 200, `[]`), nil
		}))
		inner.pause = time.Nanosecond
		ctx := t.Context()
		// Most answers are errors, and none matters: what counts is what was sent.
		_, _ = s.AppInfo(ctx, identity)
		_, _ = s.FormationList(ctx, identity, nil)
		_, _ = s.AppFeatureList(ctx, identity, nil)
		_, _ = s.ReleaseList(ctx, identity, nil)
		_, _ = s.DynoList(ctx, identity, nil)
		_, _ = s.AddOnListByApp(ctx, identity, nil)
		_, _ = s.BuildpackInstallationList(ctx, identity, nil)
		_, _ = s.PipelineCouplingInfoByApp(ctx, identity)
		_, _ = s.AppDelete(ctx, identity)
	})
}
