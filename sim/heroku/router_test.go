package heroku_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
)

// routed is a client whose sim's router is served beside the API.
type routed struct {
	*client
	web *http.Client // every host leads to the router
}

func serveRouter(t *testing.T, o simheroku.Options) *routed {
	t.Helper()
	c := &routed{client: serve(t, o)}
	network := &play.Network{}
	stop := network.Serve("router", c.sim.Router())
	way := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return network.Dial(ctx, "tcp", "router:80")
	}}
	c.web = &http.Client{Transport: way, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		way.CloseIdleConnections()
		stop()
	})
	return c
}

// url is where an app is, over plain HTTP.
func (c *routed) url(app string) string {
	c.t.Helper()
	var a struct {
		WebURL string `json:"web_url"`
	}
	c.client.get("/apps/"+app).decode(c.t, &a)
	return "http" + strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(a.WebURL, "https"), "http"), "/")
}

// visit asks for a page; status 0 is an error, of which text tells.
func (c *routed) visit(by *http.Client, agent, url string, patience time.Duration) reply {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	resp, err := by.Do(req)
	if err != nil {
		return reply{text: err.Error()}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{header: resp.Header, text: err.Error()}
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

const probeAgent = "zdd-probe/1 (+deploy watch)"

// span is when requests are sent, from and to counted from a deploy.
type span struct {
	rate     int // a second
	from, to time.Duration
}

// probe asks for the front page at a constant rate for so long, and gives what came: how
// many, and how many well.
func (c *routed) probe(url string, perSecond int, during time.Duration) (requests, well int) {
	var work sync.WaitGroup
	var mu sync.Mutex
	began := time.Now()
	for n := range int(during.Seconds()) * perSecond {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(perSecond))))
		work.Go(func() {
			r := c.visit(c.web, probeAgent, url+"/", 5*time.Second)
			mu.Lock()
			defer mu.Unlock()
			requests++
			if r.status == http.StatusOK {
				well++
			}
		})
	}
	work.Wait()
	synctest.Wait()
	return requests, well
}

// TestADeploySeenByVisitors: what each way of handing over costs, and that the router
// counts what the clients got.
func TestADeploySeenByVisitors(t *testing.T) {
	const (
		never  = "faults" // does nothing
		deploy = "deploy shop"
		space  = "team acme\nspace atlas team=acme\napp shop space=atlas size=private-s "
	)
	app := func(words string) string { return "app shop size=standard-1x " + words }
	// Five requests a second from 10 s before the deploy until 250 s after it; the old dynos
	// of a preboot app are told to stop 212 s after it.
	usual := span{rate: 5, from: -10 * time.Second, to: 250 * time.Second}
	short := span{rate: 5, from: -10 * time.Second, to: 30 * time.Second}
	end := span{rate: 100, from: 205 * time.Second, to: 235 * time.Second}
	for _, tt := range []struct {
		name, fleet, do string
		span            span
		outcomes        string // those that must be seen, or with a ? may be, and no others
		least, most     int    // requests lost
	}{
		{"preboot, one dyno", app("web=1 preboot=on"), deploy, usual, "", 0, 0},
		{"preboot, two dynos", app("web=2 preboot=on affinity=on"), deploy, usual, "", 0, 0},
		{"preboot, a slow boot", app("web=2 preboot=on boot=50s"), deploy, usual, "", 0, 0},
		{"preboot, a page of 2 s", app("web=1 preboot=on work=2s"), deploy, usual, "", 0, 0},
		{"preboot, many requests", app("web=2 preboot=on"), deploy, end, "", 0, 0},
		{"no preboot, one dyno", app("web=1 boot=8s"), deploy, short, "H21 abandoned", 12, 20},
		{"no preboot, two dynos", app("web=2 boot=8s"), deploy, short, "H21 abandoned", 12, 20},
		{"no preboot, boots while visitors wait", app("web=1 boot=3s"), deploy, short, "H21", 1, 1},
		{"no preboot, abrupt", app("web=1 boot=3s shutdown=abrupt"), deploy, short, "H13", 2, 7},
		{"no preboot, slow", app("web=1 boot=3s shutdown=slow"), deploy, short, "abandoned", 1, 6},
		{"preboot, abrupt", app("web=2 preboot=on shutdown=abrupt"), deploy, end, "H13", 5, 100},
		{"preboot, slow", app("web=2 preboot=on shutdown=slow"), deploy, end, "abandoned", 5, 100},
		{"preboot, bound early, ready in time", app("web=2 preboot=on bind=early boot=90s"), deploy, usual, "", 0, 0},
		{"preboot, bound early, not ready in time", app("web=2 preboot=on bind=early boot=4m"), deploy, usual, "5xx", 150, 250},
		{"preboot, bound early, no answer", app("web=2 preboot=on bind=hang boot=4m"), deploy, usual, "abandoned", 150, 250},
		{"no preboot, bound early", app("web=2 bind=early boot=20s"), deploy, short, "5xx H21?", 90, 100},
		{"preboot, crash in the hand-over", app("web=2 preboot=on crash=handover"), deploy, usual, "H10 H13? H21", 150, 200},
		{"preboot, never comes up", app("web=2 preboot=on boots=crash"), deploy, usual, "H10 H21", 150, 200},
		{"preboot, boots longer than its timeout", app("web=2 preboot=on"), "set shop boot=70s; deploy shop", usual, "H10 H21", 150, 200},
		{"a space, one dyno", space + "web=1 boot=8s", deploy, short, "abandoned", 10, 20},
		{"a space, two dynos", space + "web=2 boot=8s", deploy, short, "", 0, 0},
		{"a space, five dynos", space + "web=5 boot=8s", deploy, short, "", 0, 0},
		{"a space, two dynos, abrupt", space + "web=2 boot=8s shutdown=abrupt work=900ms", deploy, span{rate: 50, from: -2 * time.Second, to: 15 * time.Second}, "H13", 10, 100},
		{"maintenance", app("web=2 preboot=on maintenance=on"), deploy, short, "H80", 200, 201},
		{"no web dynos", app("web=0"), deploy, short, "H14", 200, 201},
		{"never released", app("releases=never"), never, short, "H81", 200, 201},
		{"scaled down", app("web=3"), "set shop web=1", short, "", 0, 0},
		{"one restarted of two", app("web=2"), "cycle shop web.2", short, "", 0, 0},
		{"the only one restarted", app("web=1 boot=8s"), "cycle shop", short, "H21 abandoned", 12, 20},
		{"the only one restarted, with preboot", app("web=1 preboot=on"), "cycle shop", usual, "", 0, 0},
		{"restarted time and again, with preboot", app("web=2 preboot=on cycle=4m"), never, usual, "", 0, 0},
		{"restarted time and again, without", app("web=1 cycle=1m boot=8s"), never, usual, "H21 abandoned", 40, 80},
		{"resized, whatever preboot", app("web=2 preboot=on boot=8s"), "set shop size=standard-2x", short, "H21 abandoned", 12, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := serveRouter(t, simheroku.Options{Fleet: fleet(t, tt.fleet)})
				url := c.url("shop")
				c.do("traffic shop 1")
				// 10 ms after a request was sent, which takes 20 ms: one is under way at each moment that counts.
				time.AfterFunc(max(0, -tt.span.from)+10*time.Millisecond, func() {
					for line := range strings.SplitSeq(tt.do, "; ") {
						if _, err := c.sim.Do(line); err != nil {
							t.Error(err)
						}
					}
				})
				time.Sleep(max(0, tt.span.from))
				requests, well := c.probe(url, tt.span.rate, tt.span.to-tt.span.from)
				got := c.sim.Routed("shop")
				p := got.Classes[simheroku.Probe]
				if p.Requests != requests || p.OK != well {
					t.Errorf("the router counted %d requests and %d well, the client %d and %d", p.Requests, p.OK, requests, well)
				}
				left := maps.Clone(p.Failed)
				for want := range strings.FieldsSeq(tt.outcomes) {
					want, maybe := strings.CutSuffix(want, "?")
					if left[simheroku.Outcome(want)] == 0 && !maybe {
						t.Errorf("got no %s in %v", want, p.Failed)
					}
					delete(left, simheroku.Outcome(want))
				}
				if len(left) > 0 || p.Lost() < tt.least || p.Lost() > tt.most {
					t.Errorf("lost %d of %d: %v, want %d to %d of %s", p.Lost(), p.Requests, p.Failed, tt.least, tt.most, tt.outcomes)
				}
				others := got.Classes[simheroku.Background]
				if others.Requests < 10 || tt.most == 0 && others.Lost() > 0 || tt.least > 100 && others.Lost() == 0 {
					t.Errorf("other visitors: %+v", others)
				}
				sum, failures := 0, 0
				for _, second := range got.Seconds {
					sum += second.Classes[simheroku.Probe].Requests
				}
				for _, f := range got.Failures {
					if f.Class == simheroku.Probe {
						failures++
					}
				}
				if sum != requests || failures != p.Lost() {
					t.Errorf("seconds hold %d of %d requests, the list %d of %d failures", sum, requests, failures, p.Lost())
				}
			})
		})
	}
}

func TestRouterAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveRouter(t, simheroku.Options{Fleet: fleet(t, "app shop web=1 size=standard-1x\napp slow web=1 size=standard-1x work=40s\napp boots web=1 size=standard-1x boot-timeout=90s boot=80s")})
		const patient = 2 * time.Minute
		shop := c.url("shop")
		for _, tt := range []struct {
			do, url string
			status  int
			want    string
			took    time.Duration
		}{
			{"", shop + "/", 200, "<p>v12, served by web.1</p>", 20 * time.Millisecond},
			{"", strings.ToUpper(shop[:12]) + shop[12:] + ":443/health", 200, "ok\n", 20 * time.Millisecond},
			{"", shop + "/version", 200, "v12\n", 20 * time.Millisecond},
			{"", shop + "/nothing", 404, "404 page not found", 20 * time.Millisecond},
			{"app shop version=none work=0s", shop + "/version", 404, "404 page not found", 0},
			{"", "http://nobody-0123456789ab.herokuapp.com/", 404, "error-pages/no-such-app.html", 0},
			{"set shop maintenance=on", shop + "/", 503, "error-pages/maintenance-mode.html", 0},
			{"set shop maintenance=off web=0", "", 0, "", 2 * time.Second}, // until the router noticed
			{"", shop + "/", 503, "error-pages/application-error.html", 0},
			{"", c.url("slow") + "/", 503, "error-pages/application-error.html", 30 * time.Second},
			{"deploy boots", c.url("boots") + "/", 200, "v12", 20 * time.Millisecond},
		} {
			if tt.do != "" {
				c.do(tt.do)
			}
			if tt.url == "" {
				time.Sleep(tt.took)
				continue
			}
			at := time.Now()
			r := c.visit(c.web, "curl/8", tt.url, patient)
			if took := time.Since(at); r.status != tt.status || !strings.Contains(r.text, tt.want) || took != tt.took {
				t.Errorf("%s: got %d after %s: %s, want %d after %s: %s", tt.url, r.status, took, r.text, tt.status, tt.took, tt.want)
			}
		}
		time.Sleep(4 * time.Second) // the old dyno is gone, and nobody routed to it any more
		at := time.Now()
		if r := c.visit(c.web, "curl/8", c.url("boots")+"/", patient); r.status != 503 || time.Since(at) != 75*time.Second {
			t.Errorf("while it boots: got %d after %s, want 503 after 75 s", r.status, time.Since(at))
		}
		for app, want := range map[string]string{"shop": "map[4xx:2 H14:1 H80:1]", "slow": "map[H12:1]", "boots": "map[H20:1]"} {
			if got := fmt.Sprint(c.sim.Routed(app).Classes[simheroku.Background].Failed); got != want {
				t.Errorf("%s: got %s, want %s", app, got, want)
			}
		}
		c.do("app shop version=header web=1")
		time.Sleep(10 * time.Second)
		if r := c.visit(c.web, "curl/8", shop+"/", patient); r.header.Get("X-Release") != "v12" || len(r.header.Values("Set-Cookie")) != 0 {
			t.Errorf("got %v, want X-Release: v12 and no cookie", r.header)
		}
		resp, err := c.web.Post(shop+"/", "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("a body: got %v, %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		c.do("delete shop")
		if r := c.visit(c.web, "curl/8", shop+"/", patient); r.status != 404 {
			t.Errorf("deleted: got %d, want 404", r.status)
		}
	})
}

// TestWhatIsUnderWayAtTheEnd: SIGTERM and SIGKILL in the middle of an answer of 20 s.
func TestWhatIsUnderWayAtTheEnd(t *testing.T) {
	for _, tt := range []struct {
		shutdown, path string
		well           bool
		after          time.Duration
		outcome        string
	}{
		{"graceful", "/slow?for=20s", true, 20*time.Second + 20*time.Millisecond, "map[]"},
		{"graceful", "/slow?for=50s", false, 37 * time.Second, "map[H18:1]"}, // 5 s, a release of 2 s, and 30 s
		{"slow", "/slow?for=20s", true, 20*time.Second + 20*time.Millisecond, "map[]"},
		{"slow", "/slow?for=50s", false, 37 * time.Second, "map[H18:1]"},
		{"abrupt", "/slow?for=20s", false, 7 * time.Second, "map[H18:1]"},
	} {
		t.Run(tt.shutdown+tt.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serveRouter(t, simheroku.Options{Fleet: fleet(t, "app shop web=1 size=standard-1x shutdown="+tt.shutdown)})
				url, began := c.url("shop"), time.Now()
				time.AfterFunc(5*time.Second, func() { _, _ = c.sim.Do("deploy shop") })
				r := c.visit(c.web, "curl/8", url+tt.path, time.Minute)
				if took := time.Since(began); (r.status == 200) != tt.well || took != tt.after {
					t.Errorf("got %d after %s (%s), want well: %v after %s", r.status, took, r.text, tt.well, tt.after)
				}
				synctest.Wait()
				if got := fmt.Sprint(c.sim.Routed("shop").Classes[simheroku.Background].Failed); got != tt.outcome {
					t.Errorf("got %s, want %s", got, tt.outcome)
				}
			})
		})
	}
}

// TestSessions: who stays logged in, and where the cookie leads.
func TestSessions(t *testing.T) {
	for _, tt := range []struct {
		name, words string
		together    int // of 40 visits at first, how many were logged in at the least
		scattered   bool
		after       bool // still logged in after a deploy
	}{
		{"one dyno", "web=1", 40, false, false},
		{"two dynos", "web=2", 1, true, false},
		{"two dynos with affinity", "web=2 affinity=on", 40, false, false},
		{"two dynos with affinity and preboot", "web=2 affinity=on preboot=on", 40, false, false},
		{"two dynos that share sessions", "web=2 session=shared", 40, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serveRouter(t, simheroku.Options{Fleet: fleet(t, "app shop size=standard-1x "+tt.words)})
				jar, err := cookiejar.New(nil)
				if err != nil {
					t.Fatal(err)
				}
				by, url := &http.Client{Transport: c.web.Transport, Jar: jar}, c.url("shop")
				look := func() bool {
					r := c.visit(by, "zdd-visitor/1", url+"/account", time.Minute)
					if r.status != 200 {
						t.Errorf("got %d %s", r.status, r.text)
					}
					return strings.Contains(r.text, "signed in as visitor-1")
				}
				c.visit(by, "zdd-visitor/1", url+"/login", time.Minute)
				in := 0
				for range 40 {
					if look() {
						in++
					}
				}
				if in < tt.together || tt.scattered != (in < 40) {
					t.Errorf("logged in at %d of 40 visits, want %d at least", in, tt.together)
				}
				c.do("deploy shop")
				time.Sleep(6 * time.Minute)
				in = 0
				for range 10 {
					if look() {
						in++
					}
				}
				if tt.after != (in == 10) || !tt.after && in > 0 {
					t.Errorf("after a deploy: logged in at %d of 10 visits, want all: %v", in, tt.after)
				}
				got := c.sim.Routed("shop")
				if got.Classes[simheroku.Visitor].Requests != 51 {
					t.Errorf("visitors: got %+v, want 51", got.Classes)
				}
			})
		})
	}
}

// TestAffinityCookie: it is the router's, and leads back for as long as the dyno serves.
func TestAffinityCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveRouter(t, simheroku.Options{Fleet: fleet(t, "app shop size=standard-1x web=3 affinity=on")})
		url := c.url("shop")
		first := c.visit(c.web, "curl/8", url+"/", time.Minute)
		cookie := first.header.Get("Set-Cookie")
		if !strings.HasPrefix(cookie, "heroku-session-affinity=") || !strings.Contains(cookie, "; Path=/") || !strings.Contains(cookie, "Max-Age=86400") {
			t.Fatalf("got %q", cookie)
		}
		with := func() reply {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			value, _, _ := strings.Cut(cookie, ";")
			req.Header.Set("Cookie", value)
			resp, err := c.web.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return reply{resp.StatusCode, resp.Header, string(text)}
		}
		for range 20 {
			if r := with(); r.text != first.text || r.header.Get("Set-Cookie") != "" {
				t.Fatalf("got %s %v, want the same dyno and no other cookie", r.text, r.header)
			}
		}
		c.do("deploy shop")
		time.Sleep(time.Minute)
		if r := with(); r.status != 200 || r.header.Get("Set-Cookie") == "" || strings.HasPrefix(cookie, r.header.Get("Set-Cookie")) {
			t.Errorf("its dyno is gone: got %d %v, want another cookie", r.status, r.header)
		}
		c.do("set shop affinity=off")
		if r := with(); r.header.Get("Set-Cookie") != "" {
			t.Errorf("switched off: got %v, want no cookie", r.header)
		}
	})
}

// TestScaledTime: all that the platform sets is shorter, and what the app takes is not.
func TestScaledTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveRouter(t, simheroku.Options{Scale: 10, Domain: "herokuapp.localhost:8200", Fleet: fleet(t, "app shop size=standard-1x web=1 preboot=on version=header boot=4s")})
		url := c.url("shop")
		if want := ".herokuapp.localhost:8200"; !strings.HasPrefix(url, "http://shop-") || !strings.HasSuffix(url, want) {
			t.Fatalf("web_url: got %s, want it to end with %s", url, want)
		}
		version := func() string {
			r := c.visit(c.web, "curl/8", url+"/", time.Minute)
			return r.header.Get("X-Release")
		}
		if got := version(); got != "v12" {
			t.Fatalf("before: got %q", got)
		}
		c.do("deploy shop")
		time.Sleep(17 * time.Second) // 0.2 s, 6 s of boot timeout, 12 s
		if got := version(); got != "v12" {
			t.Errorf("in the hand-over: got %q, want v12", got)
		}
		time.Sleep(6 * time.Second) // and 3 s
		if got := version(); got != "v13" {
			t.Errorf("after it: got %q, want v13", got)
		}
		c.do("set shop preboot=off boot=7s")
		c.do("deploy shop")
		time.Sleep(5 * time.Second)
		if r := c.visit(c.web, "curl/8", url+"/", time.Minute); r.status != 503 { // R10 after 6 s
			t.Errorf("a boot of 7 s with 6 s of boot timeout: got %d, want 503", r.status)
		}
	})
}

func TestRoutedControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveRouter(t, simheroku.Options{Fleet: fleet(t, "app shop size=standard-1x web=2")})
		if got := c.sim.Routed("shop"); got.App != "" {
			t.Errorf("before anybody came: got %+v", got)
		}
		if got, want := c.do("traffic shop 2.5"), "shop gets 2.5 requests a second"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if got, want := c.do("routed shop"), "shop background: 25 requests, 25 well"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		c.do("routed shop reset")
		if got, want := c.do("routed shop"), "shop: no request is over yet"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(time.Minute)
		var told simheroku.Routed
		c.client.get("/_control/routed/shop").decode(t, &told)
		if got := told.Classes[simheroku.Background]; got.Requests != 149 || got.OK != 149 || told.Underway != 1 { // one was under way at the reset
			t.Errorf("a minute later: got %+v and %d, want 149 over and one under way", got, told.Underway)
		}
		if got := slices.Sorted(maps.Keys(told.Dynos)); !slices.Equal(got, []string{"v12 web.1", "v12 web.2"}) {
			t.Errorf("dynos: got %v", told.Dynos)
		}
		c.do("traffic shop off")
		time.Sleep(time.Second)
		before := c.sim.RoutedTotals("shop")
		time.Sleep(time.Minute)
		if got := c.sim.RoutedTotals("shop"); fmt.Sprint(got) != fmt.Sprint(before) {
			t.Errorf("switched off: got %v, want %v", got, before)
		}
		for _, tt := range []struct{ line, want string }{
			{"traffic shop many", `"many" is neither off nor a number`},
			{"traffic nobody 1", `no app "nobody"`},
			{"cycle shop web.9", "shop runs no web dyno web.9"},
			{"app shop shutdown=soon", "want one of graceful, slow, abrupt"},
			{"app shop cycle=1ms", "want a second at least"},
			{"routed shop please", "want nothing more, or reset"},
		} {
			if _, err := c.sim.Do(tt.line); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %s", tt.line, err, tt.want)
			}
		}
		c.do("traffic shop 5") // Close ends it
	})
}

// TestCloseCutsWhoWaits: a request that the router holds when the simulator ends gets no
// answer, and above all no good one.
func TestCloseCutsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveRouter(t, simheroku.Options{Fleet: fleet(t, "app shop web=1 size=standard-1x boot=50s")})
		url := c.url("shop")
		c.do("deploy shop")
		time.Sleep(10 * time.Second) // the new dyno boots
		time.AfterFunc(5*time.Second, c.sim.Close)
		at := time.Now()
		if r := c.visit(c.web, "curl/8", url+"/", time.Minute); r.status != 0 || time.Since(at) != 5*time.Second {
			t.Errorf("got %d after %s, want the connection cut after 5 s", r.status, time.Since(at))
		}
	})
}

// TestDailyRestarts: dynos restart by themselves, each at its own time, and a long past
// costs nothing.
func TestDailyRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app shop web=2 worker=1 size=standard-1x released=8000h cycle=1s\napp blog web=2 size=standard-1x")})
		c.do("app shop cycle=24h")
		ids := func() map[string]bool {
			var dynos []struct{ ID string }
			c.get("/apps/shop/dynos").decode(t, &dynos)
			found := map[string]bool{}
			for _, d := range dynos {
				found[d.ID] = true
			}
			return found
		}
		first := ids()
		changed := func() int {
			n := 0
			for id := range ids() {
				if !first[id] {
					n++
				}
			}
			return n
		}
		time.Sleep(23 * time.Hour)
		if got := changed(); got != 0 {
			t.Errorf("after 23 hours: got %d new dynos, want none", got)
		}
		time.Sleep(5 * time.Hour) // a day and 216 minutes are over
		if got := changed(); got != 2 {
			t.Errorf("after 28 hours: got %d new dynos, want the two of web", got)
		}
		if got, want := c.dynosOf("shop", "web"), "web.1 up v12, web.2 up v12"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
