package watch

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/policy"
	"example.com/zdd/sim/play"
)

// herokusPage is what Heroku's router answers in an app's place, as it is found on the web.
func herokusPage(name string) string {
	return `<!DOCTYPE html>
<html>
  <head>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Application Error</title>
  </head>
  <body>
    <iframe src="//www.herokucdn.com/error-pages/` + name + `.html"></iframe>
  </body>
</html>`
}

// once sends one request by a prober, on a fresh connection.
func once(t *testing.T, p *Prober, target Target) Sample {
	t.Helper()
	samples, _ := probeFor(t, p, target, time.Second/time.Duration(target.probe.Rate))
	if len(samples) != 1 {
		t.Fatalf("got %d samples, want 1", len(samples))
	}
	return samples[0]
}

func TestOutcomes(t *testing.T) {
	page := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	hijack := func(say string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			c.Write([]byte(say))
			c.Close()
		}
	}
	contains := func(p *policy.Probe) { p.Contains = "Welcome" }
	expect := func(words string) func(*policy.Probe) { return func(p *policy.Probe) { p.Expect = words } }
	tests := map[string]struct {
		app    http.HandlerFunc
		change func(*policy.Probe)
		want   Sample // Outcome, Status, Code and Page count
		why    string // part of Err
	}{
		"a page":  {app: page(200, "hello"), want: Sample{Outcome: OK, Status: 200}},
		"nothing": {app: page(204, ""), want: Sample{Outcome: OK, Status: 204}},
		"a redirect off the host": {app: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example/", http.StatusFound)
		}, want: Sample{Outcome: OK, Status: 302}},
		"one that is not expected": {app: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example/?token=s3cret", http.StatusFound)
		}, change: expect("200"), want: Sample{Outcome: Status, Status: 302}, why: "302 Found, to another host (login.example); the policy expects 200"},
		"too often":                 {app: page(429, "slow down"), want: Sample{Outcome: Limited, Status: 429}, why: "429 Too Many Requests"},
		"not there":                 {app: page(404, "no"), want: Sample{Outcome: Status, Status: 404}, why: "404 Not Found; the policy expects 2xx,3xx"},
		"a 404 that is expected":    {app: page(404, "no"), change: expect("200,404"), want: Sample{Outcome: OK, Status: 404}},
		"a status without a name":   {app: page(299, ""), change: expect("200"), want: Sample{Outcome: Status, Status: 299}, why: "299; the policy expects 200"},
		"the app's own 500":         {app: page(500, "<h1>H12 is the heading, H10 too</h1>"), want: Sample{Outcome: Server, Status: 500}, why: "500 Internal Server Error"},
		"the app's own 503":         {app: page(503, "we are busy"), want: Sample{Outcome: Server, Status: 503}},
		"Heroku's error page":       {app: page(503, herokusPage("application-error")), want: Sample{Outcome: Server, Status: 503, Page: "application-error"}},
		"with an H-code on it":      {app: page(503, herokusPage("application-error")+"<!-- H12 -->"), want: Sample{Outcome: Server, Status: 503, Page: "application-error", Code: "H12"}},
		"of a maintenance":          {app: page(503, herokusPage("maintenance-mode")), want: Sample{Outcome: Server, Status: 503, Page: "maintenance-mode"}},
		"that there is no such app": {app: page(404, herokusPage("no-such-app")), want: Sample{Outcome: Status, Status: 404, Page: "no-such-app"}},
		"one of their own for that": {app: page(503, "Sorry! (at=error code=H13 desc=…)"), want: Sample{Outcome: Server, Status: 503, Code: "H13"}},
		"a page about error pages":  {app: page(200, herokusPage("application-error")+" H12"), want: Sample{Outcome: OK, Status: 200}},
		"an H-code far below":       {app: page(503, strings.Repeat(" ", errorBytes)+herokusPage("application-error")), want: Sample{Outcome: Server, Status: 503}},
		"the text":                  {app: page(200, "Welcome to the shop"), change: contains, want: Sample{Outcome: OK, Status: 200}},
		"the text, compressed": {app: func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("the app may not compress")
			}
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write([]byte("Welcome"))
			z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b.Bytes())
		}, change: contains, want: Sample{Outcome: OK, Status: 200}},
		"another text":           {app: page(200, "Nothing here"), change: contains, want: Sample{Outcome: Body, Status: 200}, why: "200 OK, and not the text that the policy expects"},
		"the text far below":     {app: page(200, strings.Repeat(" ", bodyBytes)+"Welcome"), change: contains, want: Sample{Outcome: Body, Status: 200}},
		"no text, and no page":   {app: page(500, ""), change: contains, want: Sample{Outcome: Server, Status: 500}},
		"ended before an answer": {app: hijack(""), want: Sample{Outcome: Cutoff}, why: "the connection ended in the middle"},
		"ended in the headers":   {app: hijack("HTTP/1.1 200 OK\r\nContent-Le"), want: Sample{Outcome: Cutoff}},
		"ended in the body":      {app: hijack("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel"), want: Sample{Outcome: Cutoff}},
		"ended in a chunk":       {app: hijack("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), want: Sample{Outcome: Cutoff}},
		"ended far below":        {app: hijack("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + strings.Repeat("x", 99998)), want: Sample{Outcome: Cutoff}},
		"no HTTP":                {app: hijack("SSH-2.0-\x1b[31m\n"), want: Sample{Outcome: Cutoff}},
		"headers without end":    {app: hijack("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*headerBytes) + "\r\n\r\n"), want: Sample{Outcome: Cutoff}},
		"a body without end":     {app: func(w http.ResponseWriter, r *http.Request) { endless(w) }, want: Sample{Outcome: OK, Status: 200}},
		"no answer":              {app: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, want: Sample{Outcome: Timeout}},
		"a redirect to no address": {app: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "ht tp://%zz")
			w.WriteHeader(302)
		},
			want: Sample{Outcome: OK, Status: 302}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := once(t, answering(t, tt.app), probed(t, tt.change))
				if s.Outcome != tt.want.Outcome || s.Status != tt.want.Status || s.Code != tt.want.Code || s.Page != tt.want.Page || !s.Fresh {
					t.Errorf("got %+v, want %+v", s, tt.want)
				}
				if !strings.Contains(s.Err, tt.why) || (s.Err == "") != (s.Outcome == OK) || strings.Contains(s.Err, "s3cret") || strings.Contains(s.Err, "\x1b") || len(s.Err) > 2*errorLetters {
					t.Errorf("got %q, want words with %q", s.Err, tt.why)
				}
			})
		})
	}
}

// endless writes until nobody reads.
func endless(w http.ResponseWriter) {
	for {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

func TestOutcomesWithoutAConnection(t *testing.T) {
	tests := map[string]struct {
		err  error
		want Outcome
		why  string
	}{
		"refused":       {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, Connect, "no connection: refused"},
		"no such host":  {&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "shop.example.com", IsNotFound: true}}, Connect, "no connection: there is no host named shop.example.com"},
		"no resolver":   {&net.DNSError{Err: "server misbehaving", Name: "shop.example.com", IsTemporary: true}, Own, "could not be looked up"},
		"unreachable":   {errors.New("network is unreachable"), Connect, "no connection: network is unreachable"},
		"not to be had": {fmt.Errorf("10.0.0.1:80: %w", errForbidden), Own, "not asked: 10.0.0.1:80: not an address that may be probed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewProber(ProberConfig{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, tt.err }})
				s := once(t, p, probed(t, nil))
				if s.Outcome != tt.want || !strings.Contains(s.Err, tt.why) || s.Status != 0 || !s.Fresh {
					t.Errorf("got %+v, want %s and %q", s, tt.want, tt.why)
				}
			})
		})
	}
}

// certificate is one for a name, by itself, good around now.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// buffering is a listener whose connections take what is written before anybody reads it,
// as sockets do. In a handshake that fails both sides write at once, and a net.Pipe hangs.
type buffering struct{ net.Listener }

func (l buffering) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &bufferedConn{Conn: raw, queue: make(chan []byte, 100), done: make(chan struct{})}
	go func() {
		for {
			select {
			case b := <-c.queue:
				raw.Write(b)
			case <-c.done:
				return
			}
		}
	}()
	return c, nil
}

type bufferedConn struct {
	net.Conn
	queue chan []byte
	done  chan struct{}
	once  sync.Once
}

func (c *bufferedConn) Write(b []byte) (int, error) {
	c.queue <- bytes.Clone(b)
	return len(b), nil
}

func (c *bufferedConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

func TestOutcomesOfTLS(t *testing.T) {
	const host = "shop.example.com"
	tests := map[string]struct {
		named   string // in the certificate
		trusted bool
		plain   bool // the server speaks no TLS
		want    Outcome
		why     string
	}{
		"good":           {named: host, trusted: true, want: OK},
		"untrusted":      {named: host, want: TLS, why: "no trust: "},
		"another's name": {named: "blog.example.com", trusted: true, want: TLS, why: "not " + host},
		"no TLS":         {named: host, trusted: true, plain: true, want: TLS},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cert, pool := certificate(t, tt.named)
				if !tt.trusted {
					_, pool = certificate(t, "somebody.else")
				}
				var network play.Network
				l := net.Listener(buffering{network.Listen(host)})
				srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if r.Host != host || r.TLS.ServerName != host || r.ProtoMajor != 1 {
						t.Errorf("got host %s, server name %s, HTTP/%d, want %s and HTTP/1", r.Host, r.TLS.ServerName, r.ProtoMajor, host)
					}
				}), ErrorLog: log.New(io.Discard, "", 0)}
				if !tt.plain {
					l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
				}
				go srv.Serve(l)
				defer srv.Close()
				s := once(t, NewProber(ProberConfig{Dial: network.Dial, RootCAs: pool}), probed(t, func(p *policy.Probe) { p.Domain = host }))
				if s.Outcome != tt.want || !strings.Contains(s.Err, tt.why) {
					t.Errorf("got %+v, want %s and %q", s, tt.want, tt.why)
				}
			})
		})
	}
}

// Redirects are followed on the host, three of them, and nowhere else.
func TestRedirects(t *testing.T) {
	tests := map[string]struct {
		to      map[string]string // from path to Location
		from    string
		want    int     // status
		page    string  // what was asked for last
		outcome Outcome // empty: OK
	}{
		"to a path":          {to: map[string]string{"/": "/en/"}, want: 200, page: "/en/"},
		"to itself":          {to: map[string]string{"/": "http://" + probedHost + "/en/"}, want: 200, page: "/en/"},
		"with its port":      {to: map[string]string{"/": "http://" + probedHost + ":80/en/"}, want: 200, page: "/en/"},
		"in capitals":        {to: map[string]string{"/": "http://" + strings.ToUpper(probedHost) + "/en/#top"}, want: 200, page: "/en/"},
		"relative":           {from: "/a/b?x=1", to: map[string]string{"/a/b": "c"}, want: 200, page: "/a/c"},
		"three":              {to: map[string]string{"/": "/1", "/1": "/2", "/2": "/3"}, want: 200, page: "/3"},
		"four":               {to: map[string]string{"/": "/1", "/1": "/2", "/2": "/3", "/3": "/4"}, want: 302, page: "/3"},
		"in a circle":        {to: map[string]string{"/": "/"}, want: 302, page: "/", outcome: Circle},
		"in a large one":     {to: map[string]string{"/": "/1", "/1": "/2", "/2": "/"}, want: 302, page: "/", outcome: Circle},
		"with what was sent": {to: map[string]string{"/": "/?zdd=x"}, want: 302, page: "/", outcome: Circle},
		"so further on":      {to: map[string]string{"/": "/en/?zdd=x", "/en/": "/en/?zdd=x"}, want: 302, page: "/en/", outcome: Circle},
		"to another host":    {to: map[string]string{"/": "http://www.example.com/"}, want: 302, page: "/"},
		"to a part of it":    {to: map[string]string{"/": "http://evil." + probedHost + "/"}, want: 302, page: "/"},
		"to another port":    {to: map[string]string{"/": "http://" + probedHost + ":22/"}, want: 302, page: "/"},
		"without a scheme":   {to: map[string]string{"/": "//www.example.com/"}, want: 302, page: "/"},
		"to loopback":        {to: map[string]string{"/": "http://127.0.0.1/"}, want: 302, page: "/"},
		"to metadata":        {to: map[string]string{"/": "http://169.254.169.254/latest/meta-data/"}, want: 302, page: "/"},
		"to a file":          {to: map[string]string{"/": "file:///etc/passwd"}, want: 302, page: "/"},
		"with a password":    {to: map[string]string{"/": "http://a:b@" + probedHost + "/en/"}, want: 302, page: "/"},
		"to nowhere":         {to: map[string]string{"/": ""}, want: 302, page: "/"},
		"on, then elsewhere": {to: map[string]string{"/": "/out", "/out": "http://10.0.0.1/"}, want: 302, page: "/out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network play.Network
				last, dialled := "", map[string]bool{}
				defer network.Serve(probedHost, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					last = r.URL.Path
					if !r.URL.Query().Has("zdd") {
						t.Errorf("%s was asked for so that a cache may answer", r.URL)
					}
					if r.Referer() != "" || r.Header.Get("Authorization") != "" {
						t.Errorf("got %v, want nothing of the page before", r.Header)
					}
					if to, ok := tt.to[r.URL.Path]; ok {
						w.Header().Set("Location", to)
						w.WriteHeader(http.StatusFound)
					}
				}))()
				p := NewProber(ProberConfig{Dial: func(ctx context.Context, n, addr string) (net.Conn, error) {
					dialled[addr] = true
					return network.Dial(ctx, n, addr)
				}})
				s := once(t, p, probed(t, func(p *policy.Probe) {
					if tt.from != "" {
						p.Path = tt.from
					}
				}))
				if s.Status != tt.want || last != tt.page || s.Outcome != cmp.Or(tt.outcome, OK) {
					t.Errorf("got %+v of %s, want %d of %s", s, last, tt.want, tt.page)
				}
				if len(dialled) != 1 || !dialled[probedHost+":80"] {
					t.Errorf("dialled %v, want the app alone", dialled)
				}
			})
		})
	}
}

// http to https of the same host is followed, and never back.
func TestOnwardByScheme(t *testing.T) {
	for _, c := range []struct{ from, to, want, strayed string }{
		{"http://a.example/", "https://a.example/", "https://a.example/", ""},
		{"https://a.example/", "http://a.example/", "", "a.example"},
		{"http://a.example:8080/", "https://a.example/", "", "a.example"},
		{"http://a.example/", "https://a.example:8443/", "", "a.example:8443"},
		{"http://a.example/", "https://b.example/", "", "b.example"},
		{"http://a.example/", "https://a.example:443/b", "https://a.example/b", ""},
		{"https://a.example/", "https://A.example:443/b", "https://a.example/b", ""},
		{"http://a.example:443/", "https://a.example/", "", "a.example"},
		{"http://a.example:8080/", "/b", "http://a.example:8080/b", ""},
	} {
		from, err := url.Parse(c.from)
		if err != nil {
			t.Fatal(err)
		}
		next, strayed := onward(from, &http.Response{StatusCode: 301, Header: http.Header{"Location": {c.to}}})
		got := ""
		if next != nil {
			got = next.String()
		}
		if got != c.want || strayed != c.strayed {
			t.Errorf("%s to %s: got %q, strayed to %q; want %q, %q", c.from, c.to, got, strayed, c.want, c.strayed)
		}
	}
}

// Wherever an app redirects to, what is asked next is on its own host.
func FuzzOnward(f *testing.F) {
	for _, to := range []string{"/en/", "//evil.example/", "https://shop.example.com/a?b#c", "http://shop.example.com/", "https://evil.example", "https:/\\evil.example", "\\\\evil.example", "https://shop.example.com@evil.example/",
		"https://shop.example.com.evil.example/", "https://shop.example.com:443/", "https:evil.example", "javascript:alert(1)", "https://SHOP.example.com/%2f%2fevil", "?", "", "..//evil.example", "https://[::1]/", "https://shop.example.com%00.evil.example/"} {
		f.Add(to)
	}
	f.Fuzz(func(t *testing.T, to string) {
		from := &url.URL{Scheme: "https", Host: "shop.example.com", Path: "/a/b"}
		next, _ := onward(from, &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {to}}})
		if next == nil {
			return
		}
		req := request(t.Context(), next, agentProbe, nil)
		if req.URL.Scheme != "https" || req.URL.Host != "shop.example.com" || req.Host != "shop.example.com" || req.URL.User != nil || !req.URL.Query().Has("zdd") {
			t.Errorf("%q leads to %s", to, req.URL)
		}
	})
}

// A kept connection that the app has closed meanwhile is no failure, as for any browser.
func TestKeptConnectionsThatWereClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network play.Network
		srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), IdleTimeout: 100 * time.Millisecond}
		l := network.Listen(probedHost)
		go srv.Serve(l)
		defer srv.Close()
		samples, _ := probeFor(t, NewProber(ProberConfig{Dial: network.Dial}), probed(t, nil), 10*time.Second)
		for _, s := range samples {
			if s.Outcome != OK || !s.Fresh {
				t.Errorf("got %+v, want an answer on a connection of its own", s)
			}
		}
	})
}

// Each request is one that no cache answers, that carries no cookie and that says who asks;
// the path's own query stays as it was written.
func TestRequestsAreAnonymousAndUncached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		p := answering(t, func(w http.ResponseWriter, r *http.Request) {
			query, own := strings.CutPrefix(r.URL.RawQuery, "b=2&a=1&a=%2F;x&zdd=")
			if !own || query == "" || seen[query] {
				t.Errorf("got query %q, want the path's own and another word each time", r.URL.RawQuery)
			}
			seen[query] = true
			for name, want := range map[string]string{"User-Agent": "zdd-probe/1 (+deploy watch)", "Cache-Control": "no-cache", "Pragma": "no-cache", "Cookie": "", "Accept": "*/*"} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if r.Method != http.MethodGet || r.URL.Path != "/hea%lth" || r.Host != probedHost {
				t.Errorf("got %s %s of %s", r.Method, r.URL.Path, r.Host)
			}
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "s", Path: "/"})
			http.SetCookie(w, &http.Cookie{Name: "heroku-session-affinity", Value: "s", Path: "/"})
		})
		target := probed(t, func(p *policy.Probe) { p.Path = "/hea%25lth?b=2&a=1&a=%2F;x" })
		if got, want := target.URL(), "http://"+probedHost+"/hea%25lth?b=2&a=1&a=%2F;x"; got != want {
			t.Errorf("got URL %s, want %s", got, want)
		}
		probeFor(t, p, target, 5*time.Second)
		if len(seen) != 20 {
			t.Errorf("got %d requests, want 20", len(seen))
		}
	})
}

// A proxy of the environment would be asked for the app, and would dial anything.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://proxy.example:3128")
	}
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dialled []string
				p := NewProber(ProberConfig{Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
					dialled = append(dialled, addr)
					return nil, errors.New("no network")
				}})
				want := probedHost + ":80"
				once(t, p, probed(t, func(p *policy.Probe) {
					if scheme == "https" {
						p.Domain, want = "shop.example.com", "shop.example.com:443"
					}
				}))
				if len(dialled) != 1 || dialled[0] != want {
					t.Errorf("dialled %v, want %s", dialled, want)
				}
			})
		})
	}
	fresh, kept := transports(nil, policy.DefaultProbe(), nil)
	if fresh.Proxy != nil || kept.Proxy != nil {
		t.Error("a transport asks for a proxy")
	}
}

// An answer with an age came out of a cache in front of the app.
func TestCachedAnswers(t *testing.T) {
	for age, want := range map[string]bool{"": false, "0": false, "17": true, " 3600 ": true, "soon": false, "-1": false} {
		synctest.Test(t, func(t *testing.T) {
			s := once(t, answering(t, func(w http.ResponseWriter, _ *http.Request) {
				if age != "" {
					w.Header().Set("Age", age)
				}
			}), probed(t, nil))
			if s.Outcome != OK || s.Cached != want {
				t.Errorf("Age %q: got %+v, want cached %v", age, s, want)
			}
		})
	}
}

// A name server that does not answer is ours, and says nothing of the app.
func TestNameLookupThatHangs(t *testing.T) {
	late, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		done *httptrace.DNSDoneInfo // nil: it was not
		want Outcome
	}{
		"hangs":         {nil, Own},
		"given up":      {&httptrace.DNSDoneInfo{Err: context.DeadlineExceeded}, Own},
		"no such name":  {&httptrace.DNSDoneInfo{Err: &net.DNSError{IsNotFound: true}}, Timeout},
		"found in time": {&httptrace.DNSDoneInfo{}, Timeout},
	} {
		var c course
		c.trace().DNSStart(httptrace.DNSStartInfo{})
		if tt.done != nil {
			c.trace().DNSDone(*tt.done)
		}
		if got := c.outcome(late, context.DeadlineExceeded); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
