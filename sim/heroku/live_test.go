package heroku_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	simheroku "example.com/zdd/sim/heroku"
)

// watch reads a live stream until the test ends; what it returns gives the events since
// the last look as "kind data", and lets half a second pass for them.
func (c *client) watch(t *testing.T, path string) (news func() []string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.heroku.test"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		scan := bufio.NewScanner(resp.Body)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			lines <- scan.Text()
		}
	}()
	news = func() []string {
		time.Sleep(time.Second)
		synctest.Wait()
		var found []string
		kind := ""
		for len(lines) > 0 {
			key, value, _ := strings.Cut(<-lines, ": ")
			switch key {
			case "event":
				kind = value
			case "data":
				found = append(found, kind+" "+value)
			}
		}
		return found
	}
	return news, func() {
		cancel()
		for range lines { // until it is closed
		}
	}
}

func TestALiveFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, `
			team acme
			app shop team=acme web=1 worker=2 size=standard-1x pipeline=shop:production
			app blog web=1 size=basic`)})
		news, stop := c.watch(t, "/_control/live")
		defer stop()
		first := news()
		if len(first) != 2 || !strings.HasPrefix(first[0], "world ") || !strings.HasPrefix(first[1], "apps ") {
			t.Fatalf("first look: got %v, want the world and its apps", first)
		}
		var apps []map[string]any
		if err := json.Unmarshal([]byte(strings.TrimPrefix(first[1], "apps ")), &apps); err != nil || len(apps) != 2 {
			t.Fatalf("apps: got %v, %v", apps, err)
		}
		shop := apps[0]
		if got := fmt.Sprint(shop["name"], shop["stage"], shop["cents"], shop["affinity"], shop["procs"]); got !=
			"shopproduction7500 false [map[quantity:1 size:standard-1x type:web] map[quantity:2 size:standard-1x type:worker]]" {
			t.Errorf("shop: got %s", got)
		}
		if got := news(); len(got) != 0 {
			t.Errorf("with nothing new: got %v", got)
		}
		for _, tt := range []struct{ do, want, not string }{
			{"set shop preboot=on affinity=on", `"name":"shop"`, `"blog"`},
			{"set shop web=2 scaler=2..5", `"scaler":"2–5","native":false`, `"blog"`},
			{"crash shop web.1", `"state":"crashed"`, `"blog"`},
			{"deploy blog", `"deploying":true`, `"shop"`},
			{"latency 2s", `world {"latency":"2s"`, "\napps"},
			{"fault * /** 503json", `"faults":["* /** 503json"]`, "\napps"},
		} {
			time.Sleep(10 * time.Second) // what the line before set off is over
			news()
			if _, err := c.sim.Do(tt.do); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(news(), "\n"); !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
				t.Errorf("%s: got %s, want %s and no %s", tt.do, got, tt.want, tt.not)
			}
		}
	})
}

func TestALiveHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app shop web=2 size=standard-1x affinity=on preboot=on")})
		news, stop := c.watch(t, "/_control/live")
		defer stop()
		news()
		if _, err := c.sim.Do("deploy shop"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got := news()
		if last := got[len(got)-1]; strings.Count(last, `"name":"web.`) != 4 || strings.Contains(last, `"handover":null`) {
			t.Errorf("in the hand-over: got %s, want the old dynos beside the new ones", last)
		}
		time.Sleep(5 * time.Minute)
		got = news()
		if last := got[len(got)-1]; strings.Count(last, `"name":"web.`) != 2 || !strings.Contains(last, `"handover":null`) {
			t.Errorf("after it: got %s, want the new dynos alone", last)
		}
	})
}

// What the router did in the last minute is told while there is something to tell.
func TestALiveRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app shop web=1 size=standard-1x"), Domain: "herokuapp.localhost:8200"})
		news, stop := c.watch(t, "/_control/live")
		defer stop()
		if got := strings.Join(news(), "\n"); !strings.Contains(got, `"url":"http://shop-`) || strings.Contains(got, "routed") {
			t.Errorf("first look: got %s, want where shop can be opened, and nothing routed", got)
		}
		type tally struct {
			OK, Failed int
			Cells      [][2]int
		}
		routed := func() (all map[string]tally) {
			got := news()
			if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "routed ") {
				t.Fatalf("got %v, want what was routed", got)
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(got[len(got)-1], "routed ")), &all); err != nil {
				t.Fatal(err)
			}
			return all
		}
		c.do("traffic shop 2")
		time.Sleep(20 * time.Second)
		c.do("set shop maintenance=on")
		time.Sleep(10 * time.Second)
		c.do("traffic shop off")
		got := routed()["shop"]
		sum := [2]int{}
		for _, cell := range got.Cells {
			sum[0] += cell[0]
			sum[1] += cell[1]
		}
		if got.OK < 39 || got.OK > 42 || got.Failed < 19 || got.Failed > 22 || len(got.Cells) != 20 || sum != [2]int{got.OK, got.Failed} {
			t.Errorf("got %+v, want 40 or so well and 20 not, over 20 cells", got)
		}
		time.Sleep(time.Minute)
		if got := routed(); len(got) != 0 {
			t.Errorf("a minute after the last: got %+v, want nothing", got)
		}
		time.Sleep(time.Minute)
		if got := strings.Join(news(), "\n"); strings.Contains(got, "routed") {
			t.Errorf("with nothing new: got %s", got)
		}
	})
}

func TestTheHerokuWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app shop web=1 size=standard-1x"), Latency: 5 * time.Second})
		news, stop := c.watch(t, "/_control/wire")
		defer stop()
		go c.get("/apps/shop")
		if got := news(); len(got) != 0 {
			t.Errorf("before it is answered: got %v", got)
		}
		time.Sleep(5 * time.Second)
		got := news()
		if len(got) != 1 || !strings.Contains(got[0], `"path":"/apps/shop"`) || !strings.Contains(got[0], `"status":200`) || !strings.Contains(got[0], `"answer":"{\"acm\":true`) || strings.Contains(got[0], simheroku.DefaultToken) {
			t.Errorf("got %v, want one call that was answered", got)
		}
		if got := news(); len(got) != 0 {
			t.Errorf("told twice: %v", got)
		}
		both, stopBoth := c.watch(t, "/_control/live?wire")
		defer stopBoth()
		if got := strings.Join(both(), "\n"); !strings.HasPrefix(got, "world ") || strings.Count(got, "\ncall ") != 1 {
			t.Errorf("with the fleet: got %s", got)
		}
	})
}
