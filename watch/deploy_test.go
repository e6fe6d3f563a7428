package watch_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/policy"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
	"example.com/zdd/watch"
)

// deploy is one deploy of one app, and how it is watched. Durations are since the watch
// began unless said otherwise.
type deploy struct {
	space    bool
	dynos    int
	preboot  bool
	affinity bool

	boot     time.Duration // until the app is ready
	bind     string        // ready, early or hang
	shutdown string        // graceful, slow or abrupt
	crash    bool          // new dynos do, seconds after they begin to serve
	fails    bool          // new dynos crash when they boot
	session  string        // memory or shared
	work     time.Duration // of a page
	phase    time.Duration // of the release; 0: the simulator's 2 s
	jitter   time.Duration // by which the last old dynos stay longer with preboot

	rate     int
	visitors int
	version  string // header, path or none

	made        time.Duration // negative: before the watch began
	maintenance time.Duration // switched on; 0: it is not
	offline     time.Duration // our own network goes away for three seconds; 0: it does not
	stopped     time.Duration // somebody interrupts the watch; 0: nobody does
	second      time.Duration // the part of a second at which the clocks are compared
	again       time.Duration // another release is made; 0: none
	cycle       time.Duration // a dyno restarts, as each does once a day; 0: none does
	unmade      bool          // no release is made
	hand        []byHand      // what somebody does meanwhile
}

// replaced is when the release has its dynos replaced: its phase takes 2 s where that is not said.
func (d deploy) replaced() time.Duration { return d.made + cmp.Or(d.phase, 2*time.Second) }

// byHand is a line for the simulator, or restarts all dynos as `heroku ps:restart` does.
type byHand struct {
	after time.Duration
	line  string
}

func (d deploy) String() string {
	var b strings.Builder
	kind := "preboot"
	switch {
	case d.space:
		kind = "space"
	case !d.preboot:
		kind = "no preboot"
	}
	fmt.Fprintf(&b, "%s, %d dynos", kind, d.dynos)
	if d.affinity {
		b.WriteString(", affinity")
	}
	fmt.Fprintf(&b, ", boot %v bind %s, shutdown %s", d.boot, d.bind, d.shutdown)
	for _, what := range []struct {
		is   bool
		text string
	}{
		{d.crash, "crash"}, {d.fails, "never boots"}, {d.phase > 0, fmt.Sprintf("release phase %v", d.phase)}, {d.jitter > 0, fmt.Sprintf("jitter %v", d.jitter)},
		{d.visitors > 0, fmt.Sprintf("%d visitors, session %s", d.visitors, d.session)}, {d.made < 0, fmt.Sprintf("made %v before", -d.made)},
		{d.maintenance > 0, fmt.Sprintf("maintenance at %v", d.maintenance)}, {d.offline > 0, fmt.Sprintf("offline at %v", d.offline)}, {d.stopped > 0, fmt.Sprintf("stopped at %v", d.stopped)},
		{d.again > 0, fmt.Sprintf("another release at %v", d.again)}, {d.cycle > 0, fmt.Sprintf("a dyno cycles at %v", d.cycle)},
	} {
		if what.is {
			b.WriteString(", " + what.text)
		}
	}
	fmt.Fprintf(&b, "; %d/s, version %s, work %v", d.rate, d.version, d.work)
	return b.String()
}

// result is what a watch said, and what the router did meanwhile.
type result struct {
	deploy deploy
	watch  watch.Watch
	routed simheroku.Routed
	made   time.Time // when the first release was
}

// outage is how long our own network is away.
const outage = 3 * time.Second

// carry carries a deploy out in a bubble: the simulated Heroku with its router and dynos,
// the real client, probe, recorder and runner, and visitors of the simulator's own.
func (d deploy) carry(t *testing.T) (res result) {
	t.Helper()
	res.deploy = d
	synctest.Test(t, func(t *testing.T) {
		onOff := map[bool]string{true: "on", false: "off"}
		space, size := "", "standard-1x"
		if d.space {
			space, size = " space=atlas", "private-s"
		}
		fleetText := fmt.Sprintf("account ops@acme.example\nteam acme\nspace atlas team=acme region=oregon\napp shop%s size=%s web=%d affinity=%s preboot=%s jitter=%v boot=%v bind=%s shutdown=%s session=%s work=%v version=%s crash=%s\n",
			space, size, d.dynos, onOff[d.affinity], onOff[d.preboot], d.jitter, d.boot, d.bind, d.shutdown, d.session, d.work, d.version, map[bool]string{true: "handover", false: "none"}[d.crash])
		apps, err := simheroku.LoadFleet(strings.NewReader(fleetText))
		if err != nil {
			t.Fatal(err)
		}
		sim := simheroku.New(simheroku.Options{Fleet: apps, BucketOff: true, Domain: "herokuapp.com", ReleaseTime: d.phase})
		defer sim.Close()
		do := func(line string) {
			if _, err := sim.Do(line); err != nil {
				t.Errorf("control %q: %v", line, err)
			}
		}

		var network play.Network
		defer network.Serve("heroku", sim)()
		client, err := heroku.New(heroku.Config{URL: "http://heroku", MetricsURL: "http://heroku", Key: secret.New(simheroku.DefaultToken), Dial: network.Dial})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ref, err := fleet.ParseRef("shop")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the fleet's dynos boot
		app, err := client.ReadApp(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		host := strings.TrimSuffix(strings.TrimPrefix(app.WebURL, "http://"), "/")
		defer network.Serve(host, sim.Router())()

		var offline atomic.Bool
		prober := watch.NewProber(watch.ProberConfig{
			Dial: func(ctx context.Context, kind, addr string) (net.Conn, error) {
				if offline.Load() {
					return nil, fmt.Errorf("dial %s: network is unreachable", addr)
				}
				return network.Dial(ctx, kind, addr)
			},
			Alive: func(context.Context) bool { return !offline.Load() },
		})
		rules, err := policy.Parse("zdd.yml", []byte(d.policy()))
		if err != nil {
			t.Fatal(err)
		}
		runner := watch.NewRunner(watch.RunnerConfig{Heroku: client, Prober: prober, Policy: func() policy.Policy { return rules }})

		others := 1 // requests a second
		if long(t) > 0 {
			others = 2
		}
		do(fmt.Sprintf("traffic shop %d", others))
		time.Sleep(time.Second + d.second)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var wg sync.WaitGroup
		later := func(after time.Duration, what func()) {
			wg.Go(func() { time.Sleep(after); what() })
		}
		if d.fails {
			do("set shop boots=crash")
		}
		for _, by := range d.hand {
			later(by.after, func() {
				if by.line == "restart" {
					restart(t, &network, string(app.ID))
					return
				}
				do(by.line)
			})
		}
		switch {
		case d.unmade:
		case d.made < 0:
			res.made = time.Now()
			do("deploy shop")
			time.Sleep(-d.made)
		default:
			later(d.made, func() { res.made = time.Now(); do("deploy shop") })
		}
		if d.again > 0 {
			later(d.again, func() { do("deploy shop") })
		}
		if d.cycle > 0 {
			later(d.cycle, func() { do("cycle shop") })
		}
		if d.maintenance > 0 {
			later(d.maintenance, func() { do("set shop maintenance=on") })
		}
		if d.offline > 0 {
			later(d.offline, func() { offline.Store(true) })
			later(d.offline+outage, func() { offline.Store(false) })
		}
		if d.stopped > 0 {
			later(d.stopped, stop)
		}
		app, err = client.ReadApp(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		res.watch, err = runner.Once(ctx, watch.OnceFor{App: app, For: watch.Shortest}, func(watch.Watch) {})
		if err != nil {
			t.Fatal(err)
		}
		do("traffic shop off")
		wg.Wait()
		res.routed = sim.Routed("shop")
	})
	return res
}

// restart has Heroku restart all dynos of an app.
func restart(t *testing.T, network *play.Network, app string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://heroku/apps/"+app+"/dynos", nil)
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	req.Header.Set("Authorization", "Bearer "+simheroku.DefaultToken)
	way := &http.Transport{DialContext: network.Dial, DisableKeepAlives: true}
	resp, err := way.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Errorf("restart: got %v, %v", resp, err)
		return
	}
	resp.Body.Close()
}

func (d deploy) policy() string {
	probe := fmt.Sprintf("rate: %d", d.rate)
	switch d.version {
	case "header":
		probe += ", version_header: X-Release"
	case "path":
		probe += ", version_path: /version"
	}
	if d.visitors > 0 {
		probe += fmt.Sprintf(`, visitors: %d, visitor_start: /login, visitor_path: /account, visitor_marker: "signed in as"`, d.visitors)
	}
	return "apps: { shop: { probe: { " + probe + " } } }\n"
}
