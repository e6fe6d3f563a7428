package heroku_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/plan"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
)

// logger writes everything, from many goroutines, to b.
func logger(b *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(&locked{w: b}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type locked struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.String()
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestNew(t *testing.T) {
	key := secret.New(canary)
	tests := map[string]struct {
		cfg  heroku.Config
		want string // part of the error; empty: none
	}{
		"Heroku's own":        {heroku.Config{Key: key}, ""},
		"https":               {heroku.Config{Key: key, URL: "https://heroku.example/"}, ""},
		"base path":           {heroku.Config{Key: key, URL: "https://heroku.example/a/b/"}, ""},
		"loopback":            {heroku.Config{Key: key, URL: "http://127.0.0.1:5000"}, ""},
		"explicit http":       {heroku.Config{Key: key, URL: "http://simulator:5000"}, ""},
		"no key":              {heroku.Config{}, "key is not set"},
		"key with a newline":  {heroku.Config{Key: secret.New(canary + "\n")}, "pasted"},
		"key with quotes":     {heroku.Config{Key: secret.New("“" + canary + "”")}, "pasted"},
		"Heroku in the clear": {heroku.Config{Key: key, URL: "http://api.heroku.com"}, "https:// only"},
		"no scheme":           {heroku.Config{Key: key, URL: "api.heroku.com"}, "must begin with https://"},
		"host and port":       {heroku.Config{Key: key, URL: "localhost:5000"}, "must begin with https://"},
		"other scheme":        {heroku.Config{Key: key, URL: "ftp://x"}, "must begin with https://"},
		"user":                {heroku.Config{Key: key, URL: "https://u:" + canary + "@heroku.example"}, "user or a password"},
		"query":               {heroku.Config{Key: key, URL: "https://heroku.example/?k=" + canary}, "query"},
		"fragment":            {heroku.Config{Key: key, URL: "https://heroku.example/#x"}, "fragment"},
		"no URL at all":       {heroku.Config{Key: key, URL: "https://%zz" + canary}, "cannot be read"},
		"climbing path":       {heroku.Config{Key: key, URL: "https://heroku.example/a/../b"}, "plain"},
		"metrics URL":         {heroku.Config{Key: key, MetricsURL: "metrics"}, "metrics URL"},
		"parallel":            {heroku.Config{Key: key, Parallel: -1}, "parallel"},
		"reserve":             {heroku.Config{Key: key, Reserve: 4400}, "reserve"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := heroku.New(tt.cfg)
			switch {
			case tt.want == "" && (err != nil || c == nil):
				t.Errorf("got %v, want none", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), canary):
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// TestTranslation is the table of what Heroku answers and what we call it.
func TestTranslation(t *testing.T) {
	const html = "<!DOCTYPE html><html><body>Application error</body></html>"
	tests := map[string]struct {
		status  int
		header  map[string]string
		body    string
		kind    fleet.Kind
		message string
		app     string
		after   time.Duration
	}{
		"unauthorized":          {status: 401, body: `{"id":"unauthorized","message":"Invalid credentials provided."}`, kind: fleet.Unauthorized, message: "Invalid credentials provided."},
		"delinquent":            {status: 402, body: `{"id":"delinquent","message":"Pay."}`, kind: fleet.Delinquent, message: "Pay."},
		"402 without a body":    {status: 402, kind: fleet.Delinquent, message: "402 Payment Required"},
		"forbidden":             {status: 403, body: `{"id":"forbidden","message":"You do not have access to the app shop."}`, kind: fleet.Forbidden, message: "You do not have access to the app shop."},
		"suspended":             {status: 403, body: `{"id":"suspended","message":"Suspended.","url":"https://x"}`, kind: fleet.Suspended, message: "Suspended."},
		"two factor":            {status: 403, body: `{"id":"two_factor","message":"Second factor.","app":{"id":"1","name":"vaulted"}}`, kind: fleet.TwoFactor, message: "Second factor.", app: "vaulted"},
		"403 of a proxy":        {status: 403, body: html, kind: fleet.Forbidden, message: "403 Forbidden"},
		"not found":             {status: 404, body: `{"id":"not_found","resource":"app","message":"Couldn't find that app."}`, kind: fleet.NotFound, message: "Couldn't find that app."},
		"conflict":              {status: 409, body: `{"id":"conflict","message":"Busy."}`, kind: fleet.Refused, message: "Busy."},
		"invalid":               {status: 422, body: `{"id":"invalid_params","message":"Cannot update to more than 1 Basic size dynos per process type."}`, kind: fleet.Refused, message: "Cannot update to more than 1 Basic size dynos per process type."},
		"verification":          {status: 422, body: `{"id":"verification_needed","message":"Verify."}`, kind: fleet.Refused, message: "Verify."},
		"locked":                {status: 422, body: `{"id":"invalid_params","message":"Cannot change formation for a preboot app until preboot is complete"}`, kind: fleet.Locked, message: "Cannot change formation for a preboot app until preboot is complete"},
		"locked, otherwise":     {status: 409, body: `{"id":"x","message":"cannot change formation for a preboot app until Preboot is complete."}`, kind: fleet.Locked, message: "cannot change formation for a preboot app until Preboot is complete."},
		"rate limit":            {status: 429, body: `{"id":"rate_limit","message":"Your account reached\nthe API rate limit"}`, header: map[string]string{"Retry-After": "90"}, kind: fleet.RateLimited, message: "Your account reached the API rate limit", after: 90 * time.Second},
		"500":                   {status: 500, body: `{"id":"internal_server_error","message":"Internal server error."}`, kind: fleet.Unavailable, message: "Internal server error."},
		"503 as a page":         {status: 503, body: html, kind: fleet.Unavailable, message: "503 Service Unavailable"},
		"503 without a body":    {status: 503, kind: fleet.Unavailable, message: "503 Service Unavailable"},
		"503 of a proxy":        {status: 503, body: `{"error":"x"}`, kind: fleet.Unavailable, message: "503 Service Unavailable"},
		"maintenance message":   {status: 503, body: `{"id":"maintenance","message":"Down for maintenance until preboot is complete"}`, kind: fleet.Unavailable, message: "Down for maintenance until preboot is complete"},
		"redirect":              {status: 302, header: map[string]string{"Location": "https://evil.example/" + canary}, kind: fleet.Unavailable, message: "answered 302 Found, and zdd follows no redirects"},
		"not modified":          {status: 304, kind: fleet.Unavailable, message: "answered 304 Not Modified, and zdd follows no redirects"},
		"a page that is no API": {status: 200, body: html, kind: fleet.Unavailable, message: "its answer is a web page"},
		"empty":                 {status: 200, kind: fleet.Unavailable, message: "its answer is empty"},
		"cut off":               {status: 200, body: `{"id":"` + newID + `","na`, kind: fleet.Unavailable, message: "its answer is not JSON"},
		"a control sign":        {status: 422, body: `{"id":"x","message":"a\u0000b\u001b[31m \u2028c"}`, kind: fleet.Refused, message: "a b [31m c"},
		"an essay":              {status: 422, body: `{"id":"x","message":"` + strings.Repeat("é", 5000) + `"}`, kind: fleet.Refused, message: strings.Repeat("é", 299) + "…"},
		"message a number":      {status: 422, body: `{"id":"x","message":7}`, kind: fleet.Refused, message: "422 Unprocessable Entity"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/apps/shop" { // a 429 to another part would keep this one back
						_, _ = io.WriteString(rw, `[]`)
						return
					}
					for k, v := range tt.header {
						rw.Header().Set(k, v)
					}
					rw.Header().Set("Request-Id", "r-77")
					rw.WriteHeader(tt.status)
					_, _ = io.WriteString(rw, tt.body) // 304 takes none
				}), heroku.Config{})
				_, err := c.ReadApp(t.Context(), fleet.MustRef("shop"))
				p, ok := errors.AsType[*fleet.Problem](err)
				if !ok {
					t.Fatalf("got %v, want a problem", err)
				}
				app := tt.app
				if app == "" {
					app = "shop"
				}
				if p.Kind != tt.kind || p.Message != tt.message || p.App != app || p.RequestID != "r-77" || tt.after > 0 && p.RetryAfter != tt.after {
					t.Errorf("got  %+v\nwant %s %q of %s, after %v", p, tt.kind, tt.message, app, tt.after)
				}
			})
		})
	}
}

// The token must be seen by nobody, though the server says it back in every place
// that it has, and though everything goes wrong that can.
func TestCanary(t *testing.T) {
	// heroku-go prints through the global logger: listen there too.
	global := &locked{w: new(strings.Builder)}
	stdlog.SetOutput(global)
	t.Cleanup(func() { stdlog.SetOutput(os.Stderr) })

	echo := func(write func(rw http.ResponseWriter, token string)) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			write(rw, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		})
	}
	raw := func(rw http.ResponseWriter, text string) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text) // the client may have gone
	}
	handlers := map[string]http.Handler{
		"warning": echo(func(rw http.ResponseWriter, token string) {
			rw.Header().Set("X-Heroku-Warning", "old token "+token)
			fmt.Fprint(rw, `[]`)
		}),
		"status line": echo(func(rw http.ResponseWriter, token string) { raw(rw, "HTTP/1.1 "+token+" x\r\n\r\n") }),
		"protocol":    echo(func(rw http.ResponseWriter, token string) { raw(rw, token+"\r\n\r\n") }),
		"header line": echo(func(rw http.ResponseWriter, token string) { raw(rw, "HTTP/1.1 200 OK\r\n"+token+"\r\n\r\n") }),
		"content length": echo(func(rw http.ResponseWriter, token string) {
			raw(rw, "HTTP/1.1 200 OK\r\nContent-Length: "+token+"\r\n\r\n{}")
		}),
		"transfer encoding": echo(func(rw http.ResponseWriter, token string) {
			raw(rw, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+token+"\r\n\r\n{}")
		}),
		"compressed, not": echo(func(rw http.ResponseWriter, token string) {
			raw(rw, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 50\r\n\r\n"+token+strings.Repeat("x", 50))
		}),
		"redirect": echo(func(rw http.ResponseWriter, token string) {
			rw.Header().Set("Location", "/"+token)
			rw.WriteHeader(302)
		}),
		"bad redirect": echo(func(rw http.ResponseWriter, token string) {
			rw.Header().Set("Location", "http://%zz/"+token)
			rw.WriteHeader(301)
		}),
		"page":      echo(func(rw http.ResponseWriter, token string) { rw.WriteHeader(503); fmt.Fprint(rw, "<h1>"+token+"</h1>") }),
		"not JSON":  echo(func(rw http.ResponseWriter, token string) { fmt.Fprint(rw, token) }),
		"JSON text": echo(func(rw http.ResponseWriter, token string) { fmt.Fprintf(rw, "%q", token) }),
		"cut off":   echo(func(rw http.ResponseWriter, token string) { fmt.Fprintf(rw, `{"id":"%s","na`, token) }),
		"number as text": echo(func(rw http.ResponseWriter, token string) {
			fmt.Fprintf(rw, `[{"quantity":%q,"created_at":%q}]`, token, token)
		}),
		"time": echo(func(rw http.ResponseWriter, token string) {
			fmt.Fprintf(rw, `{"id":"`+newID+`","name":"shop","created_at":%q}`, token)
		}),
		"broken off": echo(func(rw http.ResponseWriter, token string) {
			raw(rw, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"+token)
		}),
		"reset":               echo(func(rw http.ResponseWriter, _ string) { raw(rw, "") }),
		"retry after a token": echo(func(rw http.ResponseWriter, token string) { rw.Header().Set("Retry-After", token); rw.WriteHeader(429) }),
		"remaining a token": echo(func(rw http.ResponseWriter, token string) {
			rw.Header().Set("RateLimit-Remaining", token)
			fmt.Fprint(rw, `{}`)
		}),
		"next range a token": echo(func(rw http.ResponseWriter, token string) {
			rw.Header().Set("Next-Range", token)
			rw.WriteHeader(206)
			fmt.Fprint(rw, `[]`)
		}),
	}
	for _, status := range []int{400, 401, 402, 403, 404, 409, 418, 422, 429, 500, 502, 503, 504} {
		for _, id := range []string{"x", "two_factor", "suspended", "rate_limit"} {
			handlers[fmt.Sprint(status, " ", id)] = echo(func(rw http.ResponseWriter, token string) {
				rw.Header().Set("Request-Id", token)
				rw.WriteHeader(status)
				fmt.Fprintf(rw, `{"id":%q,"message":"bad token %s","url":"https://u:%s@x/","resource":%q,"app":{"name":%q}}`, id, token, token, token, token)
			})
		}
	}
	// Heroku's tokens of the older shape look like the ids of apps: they are known only
	// because the client knows its own.
	for _, token := range []string{canary, "99999999-aaaa-4bbb-8ccc-dddddddddddd"} {
		for name, handler := range handlers {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log strings.Builder
					c := client(t, handler, heroku.Config{Key: secret.New(token), Log: logger(&log)})
					var seen strings.Builder
					for _, err := range errorsOf(t.Context(), c) {
						for e := err; e != nil; e = errors.Unwrap(e) {
							fmt.Fprintf(&seen, "%v %+v %#v %q\n", e, e, e, e)
						}
						if p, ok := errors.AsType[*fleet.Problem](err); ok {
							fmt.Fprintf(&seen, "%+v %+v\n", *p, p.Reason())
						} else {
							t.Errorf("got %T %v, want a *fleet.Problem", err, err)
						}
					}
					fmt.Fprintf(&seen, "%+v %#v", c, c)
					for place, text := range map[string]string{"errors": seen.String(), "log": log.String(), "global log": global.String()} {
						if strings.Contains(text, token) {
							t.Errorf("the token is in the %s:\n%s", place, excerpt(text, token))
						}
					}
				})
			})
		}
	}
}

func excerpt(text, token string) string {
	i := strings.Index(text, token)
	return text[max(0, i-200):min(len(text), i+200)]
}

// errorsOf calls everything that a client can do, and is every error and reason that comes of it.
func errorsOf(ctx context.Context, c *heroku.Client) []error {
	var out []error
	note := func(err error) {
		if err != nil {
			out = append(out, err)
		}
	}
	say := func(reason string) { out = append(out, &fleet.Problem{Kind: fleet.NotTold, Message: reason}) } // no error, but told all the same
	_, err := c.ReadApp(ctx, fleet.MustRef("shop"))
	note(err)
	_, err = c.ReadApp(ctx, fleet.MustRef("shop-0123456789ab.herokuapp.com"))
	note(err)
	_, err = c.ReadNames(ctx)
	note(err)
	_, err = c.ReadAccount(ctx)
	note(err)
	_, err = c.ReadRate(ctx)
	note(err)
	_, err = c.Skew(ctx)
	note(err)
	for _, err := range c.ReadApps(ctx, fleet.Filter{Teams: []string{"acme"}, Personal: true}) {
		note(err)
	}
	roll, err := c.ReadRoll(ctx, fleet.Filter{})
	note(err)
	for _, g := range roll.Gaps {
		say(g.String())
	}
	for _, app := range roll.Apps {
		say(shown(app))
	}
	app, _, err := c.ReadSettings(ctx, fleet.App{ID: newID, Name: "shop"}, whatMatters())
	note(err)
	say(settingsOf(app))
	_, err = c.ReadReleases(ctx, newID, time.Time{}, time.Now())
	note(err)
	for _, step := range []plan.Step{toggled(plan.Preboot, true), toggled(plan.Affinity, false), scaled(2), resized("web=standard-1x")} {
		note(c.Apply(ctx, newID, step))
	}
	return out
}

// The same where there is no server at all.
func TestNoServer(t *testing.T) {
	c, err := heroku.New(heroku.Config{Key: secret.New(canary), URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.ReadAccount(t.Context())
	if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unavailable || p.Message != "connection refused" {
		t.Errorf("got %+v, want connection refused", p)
	}
}

func TestAccountAndRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		a, err := c.ReadAccount(t.Context())
		if err != nil || a.Email != "ops@acme.example" || a.ID == "" || !a.Suspended.IsZero() || !a.Delinquent.IsZero() {
			t.Errorf("got %+v %v", a, err)
		}
		do(t, sim, "bucket 123")
		if n, err := c.ReadRate(t.Context()); err != nil || n != 123 {
			t.Errorf("got %d %v, want 123", n, err)
		}
	})
}

// What the account has left is learnt from others' use too: background work leaves the
// reserve, a person's command goes through.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{Reserve: 300})
		do(t, sim, "bucket 200") // someone else spent it
		read(t, c, "shop")       // and so we learn
		_, err := c.ReadApp(heroku.Background(t.Context()), fleet.MustRef("shop"))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.RateLimited || p.RetryAfter < time.Minute {
			t.Errorf("background: got %v, want rate-limited, with a time", err)
		}
		read(t, c, "shop")
		began := time.Now()
		soon, cancel := context.WithTimeout(heroku.Background(t.Context()), 25*time.Second)
		defer cancel()
		for app, err := range c.ReadApps(soon, fleet.Filter{Personal: true}) {
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.RateLimited {
				t.Errorf("within 25s: got %v %v", app.Name, err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v for what could not come", took)
		}
		// With time enough, background work waits for its share, longer than a page may take.
		got := 0
		for _, err := range c.ReadApps(heroku.Background(t.Context()), fleet.Filter{Personal: true}) {
			if got++; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); got == 0 || took < time.Minute {
			t.Errorf("got %d apps after %v, want them when there are 300 calls again", got, took)
		}
	})
}

func TestNobodyIsLetBelowTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		do(t, sim, "bucket 3")
		var last error
		for range 3 {
			_, last = c.ReadApp(t.Context(), fleet.MustRef("shop"))
		}
		p, _ := errors.AsType[*fleet.Problem](last)
		if p == nil || p.Kind != fleet.RateLimited || p.RetryAfter == 0 {
			t.Errorf("got %v, want rate-limited", last)
		}
		// The refill brings it back by itself: half the reserve, and what a reading takes.
		time.Sleep(4 * time.Minute)
		read(t, c, "shop")
	})
}

func TestSkew(t *testing.T) {
	for name, tt := range map[string]struct{ ahead time.Duration }{"even": {0}, "an hour ahead": {time.Hour}, "behind": {-10 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					rw.Header().Set("Date", time.Now().Add(-tt.ahead).UTC().Format(http.TimeFormat))
					fmt.Fprint(rw, `{"remaining":1}`)
				}), heroku.Config{})
				got, err := c.Skew(t.Context())
				if off := (got - tt.ahead).Abs(); err != nil || off > time.Second {
					t.Errorf("got %v %v, want %v", got, err, tt.ahead)
				}
			})
		})
	}
	c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header()["Date"] = nil
		fmt.Fprint(rw, `{"remaining":1}`)
	}), heroku.Config{})
	_, err := c.Skew(t.Context())
	if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.NotTold {
		t.Errorf("no date: got %v", err)
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{Registerer: reg})
		do(t, sim, "fault next 1 GET /apps/*/features 503html")
		read(t, c, "shop")
		if _, err := c.ReadApp(t.Context(), fleet.MustRef("no-such-app")); err == nil {
			t.Error("found an app that is none")
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.Metric {
				var key strings.Builder
				key.WriteString(f.GetName())
				for _, l := range m.Label {
					key.WriteString(" " + l.GetValue())
					if strings.Contains(l.GetValue(), "shop") {
						t.Errorf("an app's name is a label: %v", m)
					}
				}
				got[key.String()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		for key, want := range map[string]float64{
			"zdd_heroku_requests_total 2xx GET /apps/{app}":          1,
			"zdd_heroku_requests_total 4xx GET /apps/{app}":          1,
			"zdd_heroku_requests_total 5xx GET /apps/{app}/features": 1,
			"zdd_heroku_retries_total /apps/{app}/features":          1,
			"zdd_heroku_request_seconds GET /dyno-sizes":             1,
		} {
			if got[key] != want {
				t.Errorf("%s: got %v, want %v", key, got[key], want)
			}
		}
		if left := got["zdd_heroku_rate_remaining"]; left < 4400 || left >= 4500 {
			t.Errorf("rate remaining: got %v, want a little less than 4500", left)
		}
		if _, err := heroku.New(heroku.Config{Key: secret.New(canary), Registerer: reg}); err == nil {
			t.Error("a second client on one registry: got no error")
		}
	})
}

// Connections are kept: what one read opened the next one uses.
func TestConnectionsAreReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simheroku.New(simheroku.Options{Latency: time.Second})
		var mu sync.Mutex
		conns := map[net.Conn]bool{}
		server := &http.Server{Handler: sim, ConnState: func(c net.Conn, _ http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			conns[c] = true
		}}
		c := clientOf(t, server, heroku.Config{})
		read(t, c, "shop")
		mu.Lock()
		first := len(conns)
		mu.Unlock()
		for range 5 {
			read(t, c, "shop")
		}
		mu.Lock()
		defer mu.Unlock()
		if first < 5 || len(conns) != first {
			t.Errorf("got %d connections after one read and %d after six, want no more", first, len(conns))
		}
	})
}
