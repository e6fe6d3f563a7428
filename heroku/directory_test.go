package heroku_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	simheroku "example.com/zdd/sim/heroku"
)

const team = "/teams/acme/apps"

// A list that hangs costs the suggestion, and nobody's time: not that of the first who
// asks, and less that of those who ask after.
func TestNamesThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		do(t, sim, "fault GET /apps hang")
		var wg sync.WaitGroup
		began := time.Now()
		for range 8 {
			wg.Go(func() {
				_, err := c.ReadNames(t.Context())
				if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unavailable || p.Op != "list apps" {
					t.Errorf("got %v, want unavailable", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Errorf("eight at once: took %v, want 1.5s", took)
		}
		if _, err := c.ReadNames(t.Context()); err == nil || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("one more: got %v after %v, want the same at once", err, time.Since(began))
		}
		if got := sim.CallCounts()["GET /apps"]; got != 1 {
			t.Errorf("asked for %d lists, want one", got)
		}
	})
}

// What comes too late for the first who asked is there for the next.
func TestNamesThatTakeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Latency: time.Second}, heroku.Config{})
		if names, err := c.ReadNames(t.Context()); err == nil {
			t.Errorf("got %v within 1.5s, want none yet", names)
		}
		time.Sleep(10 * time.Second)
		sim.ResetCalls()
		began := time.Now()
		if names, err := c.ReadNames(t.Context()); err != nil || !slices.Contains(names, "shop") || time.Since(began) != 0 {
			t.Errorf("got %v %v after %v, want names at once", names, err, time.Since(began))
		}
		if got := len(sim.Calls()); got != 0 {
			t.Errorf("asked %d times, want the list that came", got)
		}
		// An older list is better than none, and is renewed meanwhile.
		time.Sleep(time.Minute)
		do(t, sim, "create brand-newer team=acme")
		if names, err := c.ReadNames(t.Context()); err != nil || !slices.Contains(names, "shop") || slices.Contains(names, "brand-newer") {
			t.Errorf("while it is renewed: got %v %v, want the older list", names, err)
		}
		time.Sleep(10 * time.Second)
		if names, err := c.ReadNames(t.Context()); err != nil || !slices.Contains(names, "brand-newer") {
			t.Errorf("renewed: got %v %v, want the newer list", names, err)
		}
	})
}

// What failed is remembered for some seconds, and an older list stands in for it.
func TestNamesAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		do(t, sim, "fault GET /** 503html")
		for range 3 {
			_, err := c.ReadNames(t.Context())
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unavailable {
				t.Errorf("got %v, want unavailable", err)
			}
		}
		if got := sim.CallCounts()["GET /apps"]; got != 3 {
			t.Errorf("asked %d times, want one reading of three tries", got)
		}
		do(t, sim, "faults clear")
		time.Sleep(5 * time.Second)
		if names, err := c.ReadNames(t.Context()); err != nil || len(names) == 0 {
			t.Errorf("5s later: got %v %v, want names", names, err)
		}
		do(t, sim, "fault GET /** 503html")
		time.Sleep(time.Hour)
		for range 3 {
			if names, err := c.ReadNames(t.Context()); err != nil || !slices.Contains(names, "shop") {
				t.Errorf("an hour later, Heroku is down: got %v %v, want the older list", names, err)
			}
		}
	})
}

// A client that is closed leaves nothing running, and says so.
func TestNamesOfAClosedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		do(t, sim, "fault GET /apps hang")
		began := time.Now()
		if _, err := c.ReadNames(t.Context()); err == nil {
			t.Error("got names, want none")
		}
		c.Close()
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Errorf("closed after %v, want no wait for what hangs", took)
		}
		time.Sleep(time.Minute)
		if _, err := c.ReadNames(t.Context()); err == nil || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("got %v, want a word on why not", err)
		}
	})
}

// An address that is not in what could be read of the lists may be in the rest, and what
// is wrong with the rest is not said of the address.
func TestAddressBehindAGap(t *testing.T) {
	for name, refuse := range map[string]string{
		"not readable":      `502 {}`,
		"two-factor":        `403 {"id":"two_factor","message":"Second factor.","app":{"name":"vaulted"}}`,
		"forbidden":         `403 {"id":"forbidden","message":"You do not have access to the team acme."}`,
		"suspended":         `403 {"id":"suspended","message":"Suspended."}`,
		"no such team":      `404 {"id":"not_found","resource":"team","message":"Couldn't find that team."}`,
		"an unknown answer": `200 {}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/apps":
						fmt.Fprint(rw, `[{"id":"`+newID+`","name":"shop","web_url":"https://shop-0123456789ab.herokuapp.com/"}]`)
					case "/teams":
						fmt.Fprint(rw, `[{"name":"acme"}]`)
					case team:
						status, body, _ := strings.Cut(refuse, " ")
						rw.WriteHeader(map[string]int{"200": 200, "403": 403, "404": 404, "502": 502}[status])
						fmt.Fprint(rw, body)
					default:
						answers(map[string]string{"/apps/" + newID: `{"id":"` + newID + `","name":"shop"}`}).ServeHTTP(rw, r)
					}
				}), heroku.Config{})
				if got := read(t, c, "shop-0123456789ab.herokuapp.com"); got.Name != "shop" {
					t.Errorf("an address that was read: got %s", got.Name)
				}
				const host = "other-0123456789ab.herokuapp.com"
				_, err := c.ReadApp(t.Context(), fleet.MustRef(host))
				p, _ := errors.AsType[*fleet.Problem](err)
				if p == nil || p.Kind != fleet.Unavailable || p.App != host || p.Message != "not all lists of apps could be read, so it can't be told whose address that is; say the app's name instead" {
					t.Errorf("one that was not: got %+v, want that it can't be told", p)
				}
				if got, err := c.ReadNames(t.Context()); err != nil || len(got) != 1 {
					t.Errorf("names: got %v %v, want those that could be read", got, err)
				}
			})
		})
	}
}

// When no list can be read at all, the reason is told where it is the account's.
func TestAddressWithoutAnyList(t *testing.T) {
	for fault, want := range map[string]string{
		"503html":       "unavailable: 503 Service Unavailable",
		"hang":          "unavailable: the list of apps did not come in time",
		"403two-factor": "unavailable: not all lists of apps could be read",
		"429":           "rate-limited",
	} {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
				do(t, sim, "fault GET /apps "+fault)
				do(t, sim, "fault GET /teams "+fault)
				began := time.Now()
				_, err := c.ReadApp(t.Context(), fleet.MustRef("shop-0123456789ab.herokuapp.com"))
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
				if took := time.Since(began); took > 8*time.Second {
					t.Errorf("took %v, want at most 8s", took)
				}
			})
		})
	}
}
