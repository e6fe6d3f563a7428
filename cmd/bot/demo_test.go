package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	simheroku "example.com/zdd/sim/heroku"
)

// demoWith runs the demo until what it prints is enough, and then ends it as Ctrl-C does.
func demoWith(t *testing.T, o outside, enough func(printed string) bool, args ...string) (printed string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out logBuffer
	o.Stdout, o.Stderr = &out, &out
	o.Getenv = func(string) string { return "" }
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, append([]string{"demo"}, args...), o) }()
	for !enough(out.String()) {
		select {
		case code := <-ended:
			t.Fatalf("the demo ended with status %d:\n%s", code, &out)
		case <-time.After(look):
		}
	}
	stop()
	if code := <-ended; code != exitGood {
		t.Errorf("got status %d after Ctrl-C, want %d\n%s", code, exitGood, &out)
	}
	return out.String()
}

// Where nobody types, as in a container, the page is there until the demo is ended.
func TestDemoServesItsPage(t *testing.T) {
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)
	var title, browsed string
	printed := demoWith(t, outside{
		Stdin:  strings.NewReader(""),
		Browse: func(address string) error { browsed = address; return errors.New("no browser is installed") },
	}, func(printed string) bool {
		url := address.FindString(printed)
		if url == "" {
			return false
		}
		res, err := http.Get(url)
		if err != nil {
			t.Error(err)
			return true
		}
		defer res.Body.Close()
		var page bytes.Buffer
		if _, err := page.ReadFrom(res.Body); err != nil {
			t.Error(err)
		}
		_, title, _ = strings.Cut(page.String(), "<title>")
		return true
	})
	if !strings.HasPrefix(title, "zdd demo</title>") {
		t.Errorf("got a page titled %.20q, want the demo's", title)
	}
	if browsed != address.FindString(printed) {
		t.Errorf("got %q opened, want what was printed:\n%s", browsed, printed)
	}
	if want := "Open " + browsed + " in your browser"; !strings.Contains(printed, want) {
		t.Errorf("got\n%s\nwant %q, as the browser could not be opened", printed, want)
	}
}

func TestDemoInTheTerminalAlone(t *testing.T) {
	var out bytes.Buffer
	o := outside{
		Getenv: func(string) string { return "" }, Stdin: strings.NewReader("apps\n"), Stdout: &out, Stderr: &out,
		Browse: func(string) error { t.Error("a browser was opened"); return nil },
	}
	if code := run(t.Context(), []string{"demo", "--terminal"}, o); code != exitGood {
		t.Fatalf("got status %d, want %d\n%s", code, exitGood, &out)
	}
	if !strings.Contains(out.String(), "checkout web=2") || strings.Contains(out.String(), "http://") {
		t.Errorf("got\n%s\nwant the apps, and no address", &out)
	}
}

func TestDemoHelp(t *testing.T) {
	for line, wants := range map[string][]string{
		"demo --help": {"--play FILE", "--port N", "--terminal", "wait 30s", "as Ada"},
		"--help":      {"bot without a word is bot serve"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), strings.Fields(line), outside{Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &out}); code != exitGood {
			t.Errorf("%s: got status %d", line, code)
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: got\n%s\nwant %q", line, &out, want)
			}
		}
	}
}

// The demo's bot looks at the fleet when it starts and tells nobody, so that a drift is told,
// to who owns the app, before the first night; which is told as the first.
func TestDemoDriftBeforeTheFirstNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		s.policy, s.look, s.watch, s.nights = demoPolicy, true, demoWatch(), make(chan struct{}, 1)
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		p := &prompter{simulation: s, out: &out, person: "requester"}
		obey := func(line string) string {
			out.Reset()
			p.obey(t.Context(), line)
			return out.String()
		}
		time.Sleep(time.Minute)
		if got := obey("/zdd status"); !strings.HasPrefix(got, "── zdd, only Robin sees ──\nThe fleet: 9 of 26 apps ready\n") {
			t.Fatalf("got\n%s\nwant the fleet as the first look found it, and nothing told before", got)
		}
		obey("heroku set checkout preboot=off")
		if got := obey("watch"); !strings.Contains(got, "── zdd, #ops ──\ncheckout was ready and is no longer: preboot.\n❌ fail · @Robin Requester:") {
			t.Fatalf("got\n%s\nwant the drift told to its owner", got)
		}
		got := obey("night")
		for _, want := range []string{": 8 of 26 apps ready\n", "This is the first scan", "checkout    regressed: Preboot", "shop        new: Session affinity, Web dynos, Preboot"} {
			if !strings.Contains(got, want) {
				t.Errorf("the first night: got\n%s\nwant %q", got, want)
			}
		}
		if strings.Contains(got, ", scan ") {
			t.Errorf("the first night has a number:\n%s", got)
		}
	})
}

// At the demo's prompt, on the Heroku that hurries: a deploy is watched and fails, what was
// missing is switched on, and the next one is proved.
func TestDemoWatchesADeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemoryOf(t, simheroku.Options{Domain: appDomain, Scale: demoScale})
		defer s.close()
		s.policy, s.rollout, s.deploys = demoPolicy, demoTiming(), demoDeploys()
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		p := &prompter{simulation: s, out: &out, person: "requester"}
		tell := func(line string, wants ...string) {
			t.Helper()
			out.Reset()
			p.obey(t.Context(), line)
			for _, want := range wants {
				if !strings.Contains(out.String(), want) {
					t.Fatalf("%s: got\n%s\nwant %q", line, &out, want)
				}
			}
		}
		asked := time.Now()
		tell("heroku set checkout preboot=off")
		tell("watch checkout", "D-1 · checkout: I ask `GET http://checkout-", "for 1 min.")
		time.Sleep(5 * time.Second)
		tell("heroku deploy checkout", "checkout v13: Deploy")
		tell("verdict", "(v13 ", "D-1 · checkout: v13 failed, visitors noticed\nv13 dropped 3", ": preboot is off.\n", "[Enable…]", "[file: zdd-watch-D-1.json]")
		if strings.Count(out.String(), "D-1 · checkout: watching") != 0 {
			t.Errorf("what is on its way is told whole:\n%s", &out)
		}
		tell("click Enable…", "enable checkout")
		tell("click Do it")
		time.Sleep(20 * time.Second)
		tell("watch checkout", "D-2 · checkout: I ask ")
		time.Sleep(5 * time.Second)
		tell("heroku deploy checkout", "preboot: old dynos serve until")
		tell("verdict", "D-2 · checkout: v14 proved, nobody noticed\nRelease v14: ", " none failed, slowest ", "hand-over seen at ", "no login lost", "[file: zdd-watch-D-2.json]")
		if took := time.Since(asked); took > 4*time.Minute {
			t.Errorf("the whole of it took %s, and nobody watches a demo for that long", took)
		}
		tell("/zdd status checkout", "checkout: ready", "v14")
	})
}

// The demo's probe reaches the simulated router by the names of its apps, and nothing else.
func TestDemoProbe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	router := listener.Addr().String()
	dial := demoProbe("herokuapp.localhost:8200", router)
	for addr, reached := range map[string]bool{
		"shop-0123456789ab.herokuapp.localhost:8200": true,
		router:                        true,
		"shop.herokuapp.localhost:80": false,
		"herokuapp.localhost:8200.example.com:443": false,
		"127.0.0.1:22":                        false,
		"169.254.169.254:80":                  false,
		"shop-0123456789ab.herokuapp.com:443": false,
	} {
		conn, err := dial(t.Context(), "tcp", addr)
		if (err == nil) != reached {
			t.Errorf("%s: got %v, want it reached: %v", addr, err, reached)
		}
		if err == nil {
			if got := conn.RemoteAddr().String(); got != router {
				t.Errorf("%s: got %s, want the router", addr, got)
			}
			_ = conn.Close()
		}
	}
}
