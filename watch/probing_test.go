package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
	"example.com/zdd/sim/play"
)

// probedHost is where fleettest's app is, by its web_url.
const probedHost = "shop-0123456789ab.herokuapp.com"

// probed is a target by http, which needs no certificates.
func probed(t *testing.T, change func(*policy.Probe)) Target {
	t.Helper()
	app := fleettest.App("standard-1x web=2")
	app.WebURL = "http://" + probedHost + "/"
	rules := policy.Rules{Probe: policy.DefaultProbe()}
	if change != nil {
		change(&rules.Probe)
	}
	target, err := NewTarget(app, rules)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// probeFor runs a probe for a while, and returns what it told. It ends a little before the
// next request is due: which of two things at one instant comes first is not for tests.
func probeFor(t *testing.T, p *Prober, target Target, span time.Duration) (samples []Sample, visits []Visit) {
	t.Helper()
	g, err := p.Begin(target)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), span-10*time.Millisecond)
	defer cancel()
	err = g.Run(ctx, func(s Sample) { samples = append(samples, s) }, func(v Visit) { visits = append(visits, v) })
	if _, refused := errors.AsType[*NotProbed](err); err != nil && !refused { // that one ends by itself
		t.Fatal(err)
	}
	return samples, visits
}

// answering serves h at probedHost in memory.
func answering(t *testing.T, h http.HandlerFunc) *Prober {
	t.Helper()
	var network play.Network
	t.Cleanup(network.Serve(probedHost, h))
	return NewProber(ProberConfig{Dial: network.Dial})
}

// byDue is a test's samples in the order in which they were due, which has to be that of a
// constant rate without a gap.
func byDue(t *testing.T, samples []Sample, rate int) []Sample {
	t.Helper()
	ordered := make([]Sample, len(samples))
	var first time.Time
	for _, s := range samples {
		if first.IsZero() || s.Due.Before(first) {
			first = s.Due
		}
	}
	for _, s := range samples {
		n := int(s.Due.Sub(first) * time.Duration(rate) / time.Second)
		if want := first.Add(time.Duration(n) * time.Second / time.Duration(rate)); !s.Due.Equal(want) || n >= len(samples) || !ordered[n].Due.IsZero() {
			t.Fatalf("due at %s after the first: not one of a constant rate of %d", s.Due.Sub(first), rate)
		}
		ordered[n] = s
	}
	return ordered
}

// The requests of a stall are sent when they are due, and each waits for as long as a
// visitor would have: none is left out because one before it hangs.
func TestProbeKeepsItsRateWhileTheAppStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stallFrom, stallTo = 10 * time.Second, 13 * time.Second
		began := time.Now()
		var arrived []time.Duration
		var mu sync.Mutex
		p := answering(t, func(_ http.ResponseWriter, r *http.Request) {
			at := time.Since(began)
			mu.Lock()
			arrived = append(arrived, at)
			mu.Unlock()
			if at >= stallFrom && at < stallTo {
				time.Sleep(stallTo - at)
			}
		})
		const rate = 4
		samples, _ := probeFor(t, p, probed(t, nil), 20*time.Second)
		if got, want := len(samples), 20*rate; got != want {
			t.Fatalf("got %d samples, want %d", got, want)
		}
		for n, s := range byDue(t, samples, rate) {
			due := time.Duration(n) * time.Second / rate
			want := time.Duration(0)
			if due >= stallFrom && due < stallTo {
				want = stallTo - due
			}
			if s.Due.Sub(began) != due || s.Took != want || s.Late != 0 || s.Outcome != OK || s.Status != 200 {
				t.Errorf("due at %s: got due %s, took %s, late %s, %s %d; want took %s and ok", due, s.Due.Sub(began), s.Took, s.Late, s.Outcome, s.Status, want)
			}
			if arrived[n] != due {
				t.Errorf("request %d arrived at %s, want at %s", n, arrived[n], due)
			}
		}
		for i := 1; i < len(samples); i++ {
			if before, after := samples[i-1], samples[i]; before.Due.Add(before.Took).After(after.Due.Add(after.Took)) {
				t.Errorf("sample %d was over before sample %d and told after it", i, i-1)
			}
		}
	})
}

// What outlasts the time-out is a time-out, counted from when it was due.
func TestProbeTimeOutRunsFromDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("half"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		samples, _ := probeFor(t, p, probed(t, func(p *policy.Probe) { p.Timeout = 2 * time.Second }), 3*time.Second)
		if len(samples) != 12 {
			t.Fatalf("got %d samples, want 12", len(samples))
		}
		for _, s := range samples {
			if s.Outcome != Timeout || s.Took != 2*time.Second || s.Status != 0 || s.Err != "no whole answer within 2s" {
				t.Errorf("got %+v, want a time-out after 2s", s)
			}
		}
	})
}

// Fresh and kept connections take turns, and none is fresh because an answer was long.
func TestProbeTakesTurns(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "longer than what is looked at": 2 * bodyBytes} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network play.Network
				var opened atomic.Int64
				l := network.Listen(probedHost)
				srv := &http.Server{
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Close || r.Header.Get("Connection") != "" {
							t.Error("the app is told that the connection ends")
						}
						w.Write(make([]byte, size))
					}),
					ConnState: func(_ net.Conn, state http.ConnState) {
						if state == http.StateNew {
							opened.Add(1)
						}
					},
				}
				go srv.Serve(l)
				defer srv.Close()
				samples, _ := probeFor(t, NewProber(ProberConfig{Dial: network.Dial}), probed(t, nil), 10*time.Second)
				fresh := 0
				for n, s := range byDue(t, samples, 4) {
					if want := n%2 == 0 || n == 1; s.Fresh != want { // the first of the others has to open one too
						t.Errorf("request %d: got fresh %v, want %v", n, s.Fresh, want)
					}
					if s.Fresh {
						fresh++
					}
				}
				if fresh != 21 || opened.Load() != 21 {
					t.Errorf("got %d fresh and %d connections, want 21 of each", fresh, opened.Load())
				}
			})
		})
	}
}

// An app that answers nothing any more has no more requests at once than its time-out allows.
func TestProbeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		p := answering(t, func(_ http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-r.Context().Done()
		})
		samples, _ := probeFor(t, p, probed(t, func(p *policy.Probe) { p.Rate, p.Timeout = 20, 3*time.Second }), time.Minute)
		if got, want := len(samples), 60*20; got != want {
			t.Errorf("got %d samples, want %d", got, want)
		}
		if got := most.Load(); got < 59 || got > 61 {
			t.Errorf("got %d requests at once, want those of 3 s at 20 a second", got)
		}
	})
}

// When a watch ends, what is under way has its time-out still; whoever closes waits for nothing.
func TestProbeEnds(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	t.Run("by its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			samples, _ := probeFor(t, answering(t, hang), probed(t, nil), 2*time.Second)
			if took := time.Since(began); took != 1750*time.Millisecond+5*time.Second || len(samples) != 8 {
				t.Errorf("got %d samples after %s, want all 8 when the last had its 5 s", len(samples), took)
			}
		})
	})
	t.Run("by Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, err := answering(t, hang).Begin(probed(t, nil))
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			told := 0
			var work sync.WaitGroup
			work.Go(func() { err = g.Run(t.Context(), func(Sample) { told++ }, nil) })
			time.Sleep(2 * time.Second)
			g.Close()
			work.Wait()
			if took := time.Since(began); took != 2*time.Second || told != 0 || err != nil {
				t.Errorf("got %d samples and %v after %s, want none and nil at once", told, err, took)
			}
			g.Close() // once more does nothing
			if err := g.Run(t.Context(), nil, nil); !errors.Is(err, errRanOnce) {
				t.Errorf("a second Run: got %v, want %v", err, errRanOnce)
			}
		})
	})
	t.Run("before it ran", func(t *testing.T) {
		g, err := NewProber(ProberConfig{}).Begin(probed(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
		if err := g.Run(t.Context(), nil, nil); !errors.Is(err, errRanOnce) {
			t.Errorf("got %v, want %v", err, errRanOnce)
		}
	})
	t.Run("while it dials", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := NewProber(ProberConfig{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			samples, _ := probeFor(t, p, probed(t, nil), time.Second)
			for _, s := range samples {
				if s.Outcome != Timeout || s.Took != 5*time.Second {
					t.Errorf("got %+v, want a time-out", s)
				}
			}
		})
	})
	t.Run("while a handshake hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var network play.Network
			l := network.Listen("shop.example.com")
			go func() { // it listens, and says nothing
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go io.Copy(io.Discard, c)
				}
			}()
			defer l.Close()
			began := time.Now()
			samples, _ := probeFor(t, NewProber(ProberConfig{Dial: network.Dial}), probed(t, func(p *policy.Probe) { p.Domain = "shop.example.com" }), time.Second)
			if took := time.Since(began); len(samples) != 4 || took != 5750*time.Millisecond {
				t.Errorf("got %d samples after %s, want 4 after their time-out", len(samples), took)
			}
		})
	})
}

// Who listens too slowly stops the probe, which says so: what it could not send is its own.
func TestProbeThatStoodStillSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got atomic.Int64
		g, err := answering(t, func(http.ResponseWriter, *http.Request) { got.Add(1) }).Begin(probed(t, func(p *policy.Probe) { p.Timeout = time.Second }))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute-10*time.Millisecond)
		defer cancel()
		var samples []Sample
		err = g.Run(ctx, func(s Sample) {
			if len(samples) == 4 {
				time.Sleep(30 * time.Second)
			}
			samples = append(samples, s)
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		own, late := 0, time.Duration(0)
		for _, s := range byDue(t, samples, 4) {
			switch s.Outcome {
			case OK:
				late = max(late, s.Late)
			case Own:
				own++
				if s.Late <= time.Second/4 || !strings.Contains(s.Err, "stood still") {
					t.Errorf("got %+v, want one that was too late", s)
				}
			default:
				t.Errorf("got %+v, want none that speaks of the app", s)
			}
		}
		if len(samples) != 240 || own < 85 || own > 95 || late > time.Second/4 || int(got.Load()) != 240-own {
			t.Errorf("got %d samples, %d of them own, %d requests, the latest by %s; want about 90 own, since 28 fit into its room, and none sent late", len(samples), own, got.Load(), late)
		}
	})
}

// What times out because the probe stood still says nothing of the app, and everything else
// that times out does.
func TestTimeOutOfAProbeThatStoodStill(t *testing.T) {
	for _, stands := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := answering(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			g, err := p.Begin(probed(t, func(p *policy.Probe) { p.Timeout = time.Second }))
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute-10*time.Millisecond)
			defer cancel()
			timeouts, own := 0, 0
			err = g.Run(ctx, func(s Sample) {
				switch {
				case s.Outcome == Timeout:
					timeouts++
				case s.Outcome == Own && strings.HasPrefix(s.Err, "the probe itself stood still: no whole answer"):
					own++
				}
				if stands && timeouts == 4 {
					time.Sleep(30 * time.Second) // until nothing more may be sent
				}
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !stands && (timeouts != 240 || own != 0) || stands && (own == 0 || timeouts < 100) {
				t.Errorf("standing still %v: got %d time-outs, and %d that say nothing of the app", stands, timeouts, own)
			}
		})
	}
}

func TestStandstill(t *testing.T) {
	at := func(seconds float64) time.Time { return when(time.Duration(seconds * float64(time.Second))) }
	for name, tt := range map[string]struct {
		notes func(*standstill)
		want  bool // from the 10th to the 15th second
	}{
		"nothing sent yet":  {func(*standstill) {}, false},
		"awake":             {func(s *standstill) { s.awake(at(14.8), false) }, false},
		"not awake yet":     {func(s *standstill) { s.awake(at(10), false) }, true},
		"awake again, late": {func(s *standstill) { s.awake(at(14.9), true); s.awake(at(15), false) }, true},
		"late before":       {func(s *standstill) { s.awake(at(9.9), true); s.awake(at(15), false) }, false},
		"sends no more":     {func(s *standstill) { s.awake(at(10), false); s.end() }, false},
		"late, and no more": {func(s *standstill) { s.awake(at(12), true); s.end() }, true},
	} {
		var s standstill
		tt.notes(&s)
		if got := s.during(at(10), at(15), 1250*time.Millisecond); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestBeginHasLimits(t *testing.T) {
	target := func(change func(*policy.Probe)) Target { return probed(t, change) }
	plain := target(nil)
	p := NewProber(ProberConfig{})
	if _, err := p.Begin(Target{}); !errors.Is(err, errNoTarget) {
		t.Errorf("the zero target: got %v, want %v", err, errNoTarget)
	}
	var begun []*Probing
	for range 10 {
		g, err := p.Begin(plain)
		if err != nil {
			t.Fatal(err)
		}
		begun = append(begun, g)
	}
	if _, err := p.Begin(plain); !errors.Is(err, ErrTooMany) {
		t.Errorf("the eleventh: got %v, want %v", err, ErrTooMany)
	}
	begun[0].Close()
	begun[0].Close() // gives nothing back twice
	if _, err := p.Begin(target(func(p *policy.Probe) { p.Rate = 5 })); !errors.Is(err, ErrBusy) {
		t.Errorf("41 requests a second: got %v, want %v", err, ErrBusy)
	}
	if _, err := p.Begin(target(func(p *policy.Probe) { p.VersionPath = "/version" })); !errors.Is(err, ErrBusy) {
		t.Errorf("41 with those for the version: got %v, want %v", err, ErrBusy)
	}
	if _, err := p.Begin(target(func(p *policy.Probe) { p.Visitors, p.VisitorPath, p.VisitorMarker = 1, "/account", "hello" })); !errors.Is(err, ErrBusy) {
		t.Errorf("40.2 with a visitor's: got %v, want %v", err, ErrBusy)
	}
	if _, err := p.Begin(plain); err != nil {
		t.Errorf("one in the place of another: %v", err)
	}
}

// While our own network is away, what fails says nothing of the app; what fails while it
// is there does.
func TestProbeAsksItsOwnNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		in := func(from, to time.Duration) bool {
			at := time.Since(began)
			return at >= from && at < to
		}
		asked := map[time.Duration]int{}
		var network play.Network
		defer network.Serve(probedHost, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))()
		p := NewProber(ProberConfig{
			Dial: func(ctx context.Context, n, addr string) (net.Conn, error) {
				if in(10*time.Second, 12*time.Second) || in(20*time.Second, 22*time.Second) {
					return nil, errors.New("network is unreachable")
				}
				return network.Dial(ctx, n, addr)
			},
			Alive: func(context.Context) bool {
				asked[time.Since(began).Truncate(time.Second)]++
				return !in(20*time.Second, 22*time.Second)
			},
		})
		samples, _ := probeFor(t, p, probed(t, nil), 30*time.Second)
		for n, s := range byDue(t, samples, 4) {
			want := OK
			if n%2 == 0 { // a kept connection stays
				switch {
				case n >= 40 && n < 48:
					want = Connect
				case n >= 80 && n < 88:
					want = Own
				}
			}
			if s.Outcome != want {
				t.Errorf("request %d: got %s (%s), want %s", n, s.Outcome, s.Err, want)
			}
		}
		for second, times := range asked {
			if times != 1 {
				t.Errorf("asked %d times in second %s, want once", times, second)
			}
		}
		if len(asked) != 4 {
			t.Errorf("asked in %d seconds, want the 4 in which something failed", len(asked))
		}
	})
}

// A request that fails by its time-out after the network came back was lost to our network
// all the same: it is asked about while the request is under way.
func TestProbeAsksItsOwnNetworkMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		away := func() bool { at := time.Since(began); return at >= 10*time.Second && at < 12*time.Second }
		var network play.Network
		defer network.Serve(probedHost, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if at := time.Since(began); away() || at >= 30*time.Second && at < 31*time.Second {
				<-r.Context().Done()
			}
		}))()
		p := NewProber(ProberConfig{Dial: network.Dial, Alive: func(context.Context) bool { return !away() }})
		samples, _ := probeFor(t, p, probed(t, func(p *policy.Probe) { p.Rate = 1 }), 40*time.Second)
		for n, s := range byDue(t, samples, 1) {
			want := map[int]Outcome{10: Own, 11: Own, 30: Timeout}[n] // all three fail when the network is well
			if want == "" {
				want = OK
			}
			if s.Outcome != want {
				t.Errorf("request %d: got %s (%s), want %s", n, s.Outcome, s.Err, want)
			}
		}
	})
}

// A question that hangs is answered after a later one that was not: what was due before the
// later one is our own all the same.
func TestPulseKeepsTheLatestNo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := pulse{alive: func(ctx context.Context) bool {
			switch at := time.Since(began); {
			case at < time.Second: // a packet is lost
				<-ctx.Done()
				return false
			case at < 2*time.Second: // refused at once
				return false
			}
			return true
		}}
		var work sync.WaitGroup
		work.Go(func() { p.ask(t.Context()) })
		time.Sleep(1500 * time.Millisecond)
		p.ask(t.Context())
		work.Wait()
		time.Sleep(time.Second)
		for due, want := range map[time.Duration]bool{500 * time.Millisecond: true, 1500 * time.Millisecond: true, 2 * time.Second: false} {
			if got := p.failing(t.Context(), began.Add(due)); got != want {
				t.Errorf("due after %s: got %t, want %t", due, got, want)
			}
		}
	})
}

// What panics ends its own probe, with an error, and the rest goes on.
func TestProbeThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProber(ProberConfig{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }, Alive: func(context.Context) bool { panic("nobody home") }})
		g, err := p.Begin(probed(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		if err := g.Run(t.Context(), func(Sample) {}, nil); err == nil || !strings.Contains(err.Error(), "probe shop: panic: nobody home") {
			t.Errorf("got %v, want what panicked", err)
		}
	})
}

// A prober that was given no dialer reaches nothing but the public internet.
func TestProberDialsPublicAddressesByDefault(t *testing.T) {
	target := probed(t, func(p *policy.Probe) { p.Timeout = time.Minute })
	target.page = &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/"} // as no NewTarget makes one
	if s := firstSample(t, NewProber(ProberConfig{}), target); s.Outcome != Own || !strings.Contains(s.Err, "not an address that may be probed") {
		t.Errorf("got %+v, want one that was not asked", s)
	}
}

// The version comes with the answers, or from a path of its own which is asked once a second.
func TestProbeHearsTheVersion(t *testing.T) {
	for name, change := range map[string]func(*policy.Probe){
		"header": func(p *policy.Probe) { p.VersionHeader = "X-Release" },
		"path":   func(p *policy.Probe) { p.VersionPath = "/version?plain" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				asked := map[string]int{}
				var mu sync.Mutex
				p := answering(t, func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					asked[r.URL.Path]++
					mu.Unlock()
					v := "v12"
					if time.Since(began) >= 5*time.Second {
						v = "v13"
					}
					switch {
					case r.URL.Path == "/version" && r.UserAgent() == agentVersion && r.URL.Query().Has("plain"):
						fmt.Fprintln(w, v)
					case r.URL.Path == "/version":
						http.Error(w, "asked wrongly", http.StatusTeapot)
					case name == "header":
						w.Header().Set("X-Release", v)
					}
				})
				samples, _ := probeFor(t, p, probed(t, change), 10*time.Second)
				told := map[string]int{}
				for n, s := range byDue(t, samples, 4) {
					told[s.Version]++
					if s.Version == "v12" && n > 20 || s.Version == "v13" && n < 20 {
						t.Errorf("request %d: got %s", n, s.Version)
					}
				}
				versions, none := 10, 20 // once a second, in one of four samples
				if name == "header" {
					versions, none = 40, 0
				}
				if told["v12"]+told["v13"] < versions-1 || told["v12"] == 0 || told["v13"] == 0 || told[""] < none || asked["/"] != 40 {
					t.Errorf("got versions %v, asked %v", told, asked)
				}
				if want := map[string]int{"header": 0, "path": 10}[name]; asked["/version"] != want {
					t.Errorf("asked for the version %d times, want %d", asked["/version"], want)
				}
			})
		})
	}
}

// An answer that says nothing of a version tells none.
func TestVersionText(t *testing.T) {
	for text, want := range map[string]string{
		"v12": "v12", " 5f3a2c\n": "5f3a2c", "": "", "<html>\n<p>": "", "a\x00b": "", strings.Repeat("x", 101): "", "2026-08-03 (build 7)": "2026-08-03 (build 7)",
	} {
		if got := version(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
