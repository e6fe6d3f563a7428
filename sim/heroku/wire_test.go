package heroku_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	simheroku "example.com/zdd/sim/heroku"
)

func TestListsComeInPages(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: simheroku.GenerateFleet(260, 1)})
	// heroku-go takes 206 for the end.
	apps, err := c.heroku(simheroku.DefaultToken).TeamAppListByTeam(t.Context(), "acme", nil)
	if err != nil || len(apps) != 200 {
		t.Errorf("heroku-go: got %d apps, %v, want 200", len(apps), err)
	}
	for _, tt := range []struct {
		path, first string
		pages       []int
	}{
		{"/teams/acme/apps", "", []int{200, 60}},
		{"/apps", "id ..; max=1000", []int{260}},
		{"/apps", "id ..; max=260", []int{260}},
		{"/apps", "name ..; max=100", []int{100, 100, 60}},
		{"/apps", "name ..; max=100, order=desc", []int{100, 100, 60}},
		{"/apps", "name ..; order=desc,max=200;", []int{200, 60}},
		{"/apps", "name app-101..app-110", []int{10}},
		{"/apps", "name ]app-101..app-110[; max=5", []int{5, 3}},
		{"/apps", "name ]app-003..; max=1, order=desc", []int{1, 1}},
	} {
		seen := map[string]bool{}
		var names []string
		next := tt.first
		for i, want := range tt.pages {
			r := c.get(tt.path, "Range: "+next)
			var got []struct{ ID, Name string }
			r.decode(t, &got)
			last := i == len(tt.pages)-1
			if len(got) != want || last != (r.status == 200) || last != (r.header.Get("Next-Range") == "") || r.header.Get("Content-Range") == "" {
				t.Errorf("%s %q page %d: got %d of them, status %d, Next-Range %q", tt.path, tt.first, i, len(got), r.status, r.header.Get("Next-Range"))
			}
			for _, a := range got {
				if seen[a.ID] {
					t.Errorf("%s %q: %s comes twice", tt.path, tt.first, a.Name)
				}
				seen[a.ID] = true
				names = append(names, a.Name)
			}
			next = r.header.Get("Next-Range")
		}
		if strings.Contains(tt.first, "desc") {
			slices.Reverse(names)
		}
		if strings.HasPrefix(tt.first, "name") && !slices.IsSorted(names) {
			t.Errorf("%s %q: not in order: %v", tt.path, tt.first, names)
		}
	}
	for _, bad := range []string{"id ..; max=1001", "id ..; max=0", "size ..", "id", "0-99", "id ..; order=up", "id ..; min=2"} {
		if r := c.get("/apps", "Range: "+bad); r.status != 416 || r.errorID() != "requested_range_not_satisfiable" {
			t.Errorf("Range %q: got %d %s, want 416", bad, r.status, r.errorID())
		}
	}
}

func TestWhoMayAsk(t *testing.T) {
	c := serve(t, simheroku.Options{
		Fleet:  fleet(t, oneApp),
		Tokens: map[string]simheroku.Account{"HRKU-all": {}, "HRKU-audit": {Email: "audit@acme.example", Scope: "read"}},
	})
	basic := func(user, password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	for _, tt := range []struct {
		name, method, path, header string
		status                     int
		id                         string
	}{
		{"bearer", "GET", "/apps/shop", "Authorization: Bearer HRKU-all", 200, ""},
		{"basic", "GET", "/apps/shop", basic("", "HRKU-all"), 200, ""},
		{"basic with an email", "GET", "/apps/shop", basic("ops@acme.example", "HRKU-all"), 200, ""},
		{"read scope reads", "GET", "/apps/shop", "Authorization: Bearer HRKU-audit", 200, ""},
		{"read scope changes nothing", "PATCH", "/apps/shop/formation/web", "Authorization: Bearer HRKU-audit", 403, "forbidden"},
		{"another token", "GET", "/apps/shop", "Authorization: Bearer HRKU-other", 401, "unauthorized"},
		{"no token", "GET", "/apps/shop", "Authorization: ", 401, "unauthorized"},
	} {
		if r := c.must(tt.method, tt.path, "", tt.header); r.status != tt.status || r.errorID() != tt.id {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, r.status, r.text, tt.status, tt.id)
		}
	}
	c.do("revoke-token HRKU-all")
	_, err := c.heroku("HRKU-all").AppInfo(t.Context(), "shop")
	if e := apiError(t, err); e.StatusCode != 401 || e.ID != "unauthorized" {
		t.Errorf("revoked: got %d %s", e.StatusCode, e.ID)
	}
	c.do("restore-token")
	if r := c.get("/apps/shop", "Authorization: Bearer HRKU-all"); r.status != 200 {
		t.Errorf("restored: got %d", r.status)
	}
}

func TestRoutes(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
	for _, tt := range []struct {
		name, method, path string
		headers            []string
		status             int
	}{
		{"version 3", "GET", "/apps/shop", nil, 200},
		{"the CLI's version", "GET", "/apps/shop", []string{"Accept: application/vnd.heroku+json; version=3.sdk"}, 200},
		{"no version", "GET", "/apps/shop", []string{"Accept: application/json"}, 404},
		{"unknown path", "GET", "/apps/shop/nothing", nil, 404},
		{"wrong verb", "DELETE", "/account", nil, 404},
		{"trailing slash", "GET", "/apps/shop/", nil, 200},
		// What heroku-go lets through when a name is not checked.
		{"dots in a name", "GET", "/apps/x/../../account", nil, 200},
		{"another path in a name", "PATCH", "/apps/shop/config-vars#/formation/web", nil, 200},
	} {
		r := c.must(tt.method, tt.path, "{}", tt.headers...)
		if r.status != tt.status || tt.status == 404 && !strings.Contains(r.text, "The requested API endpoint was not found.") {
			t.Errorf("%s: got %d %s, want %d", tt.name, r.status, r.text, tt.status)
		}
		if r.header.Get("Request-Id") == "" || r.header.Get("RateLimit-Remaining") == "" {
			t.Errorf("%s: no Request-Id or RateLimit-Remaining in %v", tt.name, r.header)
		}
	}
	// A test can prove what was reached and what was not.
	got := c.sim.CallCounts()
	if got["PATCH /apps/{app}/config-vars"] != 1 || got["GET /account"] != 1 || got["unknown"] != 2 {
		t.Errorf("counts: got %v", got)
	}
	var listed struct {
		Counts map[string]int
		Calls  []simheroku.Call
	}
	c.get("/_control/calls").decode(t, &listed)
	if len(listed.Calls) != 8 || listed.Calls[6].Path != "/apps/x/../../account" || listed.Calls[6].Status != 200 || listed.Counts["unknown"] != 2 {
		t.Errorf("calls: got %+v", listed)
	}
	c.do("calls reset")
	if got := c.sim.Calls(); len(got) != 0 {
		t.Errorf("after reset: got %v", got)
	}
}

func TestETag(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
	first := c.get("/apps/shop/formation")
	again := c.get("/apps/shop/formation", "If-None-Match: "+first.header.Get("ETag"))
	if again.status != 304 || again.text != "" {
		t.Errorf("unchanged: got %d %q, want 304", again.status, again.text)
	}
	c.do("set shop web=3")
	if r := c.get("/apps/shop/formation", "If-None-Match: "+first.header.Get("ETag")); r.status != 200 {
		t.Errorf("changed: got %d, want 200", r.status)
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app busy web=1 size=performance-m")})
		var app struct{ ID string }
		r := c.get("/apps/busy")
		r.decode(t, &app)
		if got := r.header.Get("RateLimit-Remaining"); got != "4499" {
			t.Errorf("the first call leaves %s, want 4499", got)
		}
		c.do("bucket 2")
		c.get("/account/rate-limits") // free
		c.get("/apps/" + app.ID + "/formation/web/monitors")
		c.get("/apps/busy", "If-None-Match: "+r.header.Get("ETag")) // a 304 costs like any
		if got := c.get("/apps/nope"); got.status != 404 || got.header.Get("RateLimit-Remaining") != "0" {
			t.Errorf("the last: got %d, %s left", got.status, got.header.Get("RateLimit-Remaining"))
		}
		refused := c.get("/apps/busy")
		if refused.status != 429 || refused.errorID() != "rate_limit" || refused.header.Get("Retry-After") != "" {
			t.Errorf("empty: got %d %s %v", refused.status, refused.text, refused.header)
		}
		time.Sleep(time.Minute)
		if got := c.get("/account/rate-limits").text; strings.TrimSpace(got) != `{"remaining":75}` {
			t.Errorf("a minute later: got %s", got)
		}
		c.do("bucket 0")
		c.do("bucket off")
		if r := c.get("/apps/busy"); r.status != 200 {
			t.Errorf("bucket off: got %d", r.status)
		}
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
		for _, tt := range []struct {
			kind   string
			status int // 0: no answer
			id     string
			text   string
			web    int // what the PATCH made of web=2
		}{
			{"503html", 503, "", "<!DOCTYPE html>", 2},
			{"503json", 503, "service_unavailable", "", 2},
			{"500", 500, "internal_server_error", "", 2},
			{"429", 429, "rate_limit", "", 2},
			{"403two-factor", 403, "two_factor", `"app":{`, 2},
			{"reset-before", 0, "", "", 2},
			{"reset-after", 0, "", "", 3},
			{"503-after", 503, "", "Application error", 3},
			{"truncated-json", 200, "", `{"app":{`, 3},
			{"empty-body", 200, "", "", 3},
			{"slow:20s", 200, "", `"quantity":3`, 3},
		} {
			c.do("set shop web=2 preboot=off")
			c.do("fault next 1 PATCH /apps/shop/** " + tt.kind)
			if r := c.get("/apps/shop"); r.status != 200 {
				t.Errorf("%s: a GET was hit", tt.kind)
			}
			start := time.Now()
			r, err := c.send("PATCH", "/apps/shop/formation/web", `{"quantity":3}`)
			if (err != nil) != (tt.status == 0) || r.status != tt.status || r.errorID() != tt.id || !strings.Contains(r.text, tt.text) {
				t.Errorf("%s: got %d %q, %v", tt.kind, r.status, r.text, err)
			}
			if took := time.Since(start); (took >= 20*time.Second) != strings.HasPrefix(tt.kind, "slow") {
				t.Errorf("%s: took %v", tt.kind, took)
			}
			if got, want := c.summary("shop"), fmt.Sprintf("shop web=%d ", tt.web); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %s, want %s", tt.kind, got, want)
			}
			if r, err := c.send("PATCH", "/apps/shop/formation/web", `{"quantity":2}`); err != nil || r.status != 200 {
				t.Errorf("%s: the next was hit too: %d %v", tt.kind, r.status, err)
			}
		}
		// By name in the glob, by id in the request; until cleared.
		var app struct{ ID string }
		c.get("/apps/shop").decode(t, &app)
		c.do("fault GET /apps/shop 500")
		for range 3 {
			if r := c.get("/apps/" + app.ID); r.status != 500 {
				t.Errorf("by id: got %d", r.status)
			}
		}
		if got := c.do("faults"); got != "GET /apps/shop 500" {
			t.Errorf("faults: got %s", got)
		}
		c.do("faults clear")
		if r := c.get("/apps/shop"); r.status != 200 {
			t.Errorf("cleared: got %d", r.status)
		}
	})
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
		c.do("fault * /apps/** hang")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		quantity := 3
		if _, err := c.heroku(simheroku.DefaultToken).FormationUpdate(ctx, "shop", "web", platform.FormationUpdateOpts{Quantity: &quantity}); err == nil {
			t.Error("a request that hangs was answered")
		}
		done := make(chan error)
		go func() {
			_, err := c.send("GET", "/apps/shop", "")
			done <- err
		}()
		time.Sleep(time.Hour)
		c.sim.Close()
		if err := <-done; err == nil {
			t.Error("closing the server answered a request that hung")
		}
	})
}

// On TCP a reset is a reset.
func TestResetOnTCP(t *testing.T) {
	sim := simheroku.New(simheroku.Options{Fleet: fleet(t, oneApp)})
	srv := httptest.NewServer(sim)
	defer srv.Close()
	defer sim.Close()
	if _, err := sim.Do("fault GET /** reset-before"); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Client().Get(srv.URL + "/apps/shop"); err == nil || !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("got %v, want a reset connection", err)
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp), Latency: 300 * time.Millisecond})
		start := time.Now()
		c.get("/apps/shop")
		if got := time.Since(start); got != 300*time.Millisecond {
			t.Errorf("got %v", got)
		}
		c.do("latency 2s")
		start = time.Now()
		c.get("/apps/shop")
		c.summary("shop") // not slowed
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("got %v", got)
		}
	})
}

func TestControlSaysWhatIsWrong(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: fleet(t, oneApp)})
	for _, tt := range []struct{ line, want string }{
		{"depoly shop", `unknown command "depoly"`},
		{"deploy", "usage: deploy APP [by WHO] [DESC…]"},
		{"deploy nope", `no app "nope"`},
		{"set shop", "nothing to set"},
		{"set shop web=lots", "neither a setting nor a process type"},
		{"set shop preboot=maybe", `"maybe" is neither on nor off`},
		{"set shop stage=prod", "no such stage"},
		{"set shop autoscaler=2..5", "Standard-1X dynos have no autoscaling"},
		{"set shop team=acme", "neither a setting"},
		{"crash shop web.9", "runs no dyno web.9"},
		{"rename shop Shop", "Name must start with a letter"},
		{"create shop", "is there already"},
		{"generate app", "want how many"},
		{"generate 0 app", `"0" is no number from 1 to 10000`},
		{"generate 2 App", `app 1 of 2: "App-001" is no app name`},
		{"move shop", "want one team"},
		{"move shop nowhere", `no team "nowhere"`},
		{"two-factor shop", "want on or off"},
		{"latency soon", "is no duration"},
		{"bucket 5000", "is no number from 0 to 4500"},
		{"revoke-token nobody", "no such token"},
		{"fault GET /apps explode", "no fault"},
		{"fault next x GET /apps 500", "want a number from 1"},
		{"fault GET /apps slow", "want slow:2s"},
		{"faults off", "is too much"},
	} {
		r := c.must("POST", "/_control/do", tt.line)
		if r.status != 400 || !strings.Contains(r.text, tt.want) {
			t.Errorf("%s: got %d %s, want 400 %s", tt.line, r.status, r.text, tt.want)
		}
	}
	if got := c.do("help"); !strings.Contains(got, "deploy APP [by WHO] [DESC…]") || !strings.Contains(got, "reset-after") {
		t.Errorf("help: got %s", got)
	}
	if r := c.must("POST", "/_control/do", "help", "Origin: https://evil.example"); r.status != 403 {
		t.Errorf("from a page elsewhere: got %d, want 403", r.status)
	}
	if r := c.get("/_control/app/nope"); r.status != 400 {
		t.Errorf("no such app: got %d", r.status)
	}
	if n := len(c.sim.Calls()); n != 0 {
		t.Errorf("/_control is counted: %d calls", n)
	}
}

func TestSummary(t *testing.T) {
	c := serve(t, simheroku.Options{})
	for _, tt := range []struct{ line, want string }{
		{"show shop", "shop web=1 size=standard-1x affinity=off preboot=off maintenance=off stage=production release=v12 cost=2500"},
		{"set shop web=3 size=standard-2x preboot=on affinity=on maintenance=on stage=staging", "shop web=3 size=standard-2x affinity=on preboot=on maintenance=on stage=staging release=v12 cost=15000"},
		{"set shop scaling worker=2", "shop web=3 size=standard-2x affinity=on preboot=on maintenance=on stage=staging release=v12 cost=25000 worker=2:standard-2x"},
		{"set shop size=performance-m worker=0 autoscaler=2..5", "shop web=3 size=performance-m affinity=on preboot=on maintenance=on stage=staging release=v12 cost=75000 worker=0:performance-m autoscaler=2..5"},
		{"suspend billing", "billing web=2 size=standard-1x affinity=on preboot=off maintenance=off stage=production release=v12 cost=5000 access=suspended"},
		{"unsuspend billing", "billing web=2 size=standard-1x affinity=on preboot=off maintenance=off stage=production release=v12 cost=5000"},
		{"two-factor billing on", "billing web=2 size=standard-1x affinity=on preboot=off maintenance=off stage=production release=v12 cost=5000 access=two-factor"},
		{"forbid billing on", "billing web=2 size=standard-1x affinity=on preboot=off maintenance=off stage=production release=v12 cost=5000 access=forbidden"},
		{"create fresh web=2:standard-2x preboot=on", "fresh web=2 size=standard-2x affinity=off preboot=on maintenance=off stage=none release=v3 cost=10000"},
	} {
		if got := c.do(tt.line); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.line, got, tt.want)
		}
	}
}

func TestManyAppsAtOnce(t *testing.T) {
	c := serve(t, simheroku.Options{})
	if got, want := c.do("generate 12 app team=acme web=3 preboot=on"), "12 apps made"; got != want {
		t.Errorf("generate: got %q, want %q", got, want)
	}
	for _, name := range []string{"app-001", "app-012"} {
		want := name + " web=3 size=standard-1x affinity=off preboot=on maintenance=off stage=none release=v3 cost=7500"
		if got := c.do("show " + name); got != want {
			t.Errorf("show: got %s\nwant %s", got, want)
		}
	}
	if r := c.get("/_control/app/app-013"); r.status != 400 {
		t.Errorf("a thirteenth app: got %d, want 400", r.status)
	}
}

func TestAMovedAppIsListedWithItsNewTeam(t *testing.T) {
	c := serve(t, simheroku.Options{})
	c.do("move shop data")
	if got := c.get("/teams/data/apps").text; !strings.Contains(got, `"name":"shop"`) {
		t.Errorf("apps of its new team: got %s, want shop among them", got)
	}
	if got := c.get("/teams/acme/apps").text; strings.Contains(got, `"name":"shop"`) {
		t.Errorf("apps of its old team: got %s, want no shop", got)
	}
	c.do("move shop none")
	if got := c.get("/teams/data/apps").text; strings.Contains(got, `"name":"shop"`) {
		t.Errorf("apps of a team that gave it away: got %s, want no shop", got)
	}
}

func TestTheFirstReleaseBringsWeb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, simheroku.Options{Fleet: fleet(t, "app fresh releases=never\n")})
		if got, want := c.summary("fresh"), "fresh web=none affinity=off preboot=off maintenance=off stage=none release=none cost=0"; got != want {
			t.Errorf("before:\n got %s\nwant %s", got, want)
		}
		c.do("deploy fresh")
		time.Sleep(10 * time.Second)
		if got, want := c.dynosOf("fresh", "web"), "web.1 up v1"; got != want {
			t.Errorf("after: got %s, want %s", got, want)
		}
	})
}

func FuzzRangeHeader(f *testing.F) {
	for _, seed := range []string{"id ..; max=10, order=desc", "version ]5..9[;max=1", "..", "name app..zoo;", "id ]..; max=1000"} {
		f.Add(seed)
	}
	sim := simheroku.New(simheroku.Options{Fleet: simheroku.GenerateFleet(7, 1), BucketOff: true})
	f.Fuzz(func(t *testing.T, header string) {
		req := httptest.NewRequest("GET", "/apps", nil)
		req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
		req.Header.Set("Authorization", "Bearer "+simheroku.DefaultToken)
		req.Header["Range"] = []string{header}
		rec := httptest.NewRecorder()
		sim.ServeHTTP(rec, req)
		if rec.Code != 200 && rec.Code != 206 && rec.Code != 416 || (rec.Code == 206) != (rec.Header().Get("Next-Range") != "") {
			t.Errorf("Range %q: got %d, Next-Range %q", header, rec.Code, rec.Header().Get("Next-Range"))
		}
	})
}
