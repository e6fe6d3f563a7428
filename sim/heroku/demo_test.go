package heroku_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	simheroku "example.com/zdd/sim/heroku"
)

var update = flag.Bool("update", false, "rewrite the goldens")

func TestDemoFleet(t *testing.T) {
	c := serve(t, simheroku.Options{})
	got := c.do("apps") + "\n"
	golden := filepath.Join("testdata", "demo.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the demo fleet changed; look at it, then run with -update\ngot:\n%s\nwant:\n%s", got, want)
	}
}

// What the demo's apps are there to show, as the API tells it.
func TestDemoFleetOnTheWire(t *testing.T) {
	c := serve(t, simheroku.Options{})
	for _, tt := range []struct{ path, want string }{
		{"/apps/reports", `"space":{"id":"`},
		{"/apps/reports", `"shield":false`},
		{"/apps/payroll", `"shield":true`},
		{"/apps/payroll/formation", `"size":"Private-M"`},
		{"/apps/edge", `"name":"fir"`},
		{"/apps/edge/formation", `"size":"dyno-1c-0.5gb"`},
		{"/apps/invoices", `"buildpack_provided_description":"Java"`},
		{"/apps/search", `"buildpack_provided_description":"Scala"`},
		{"/apps/rules", `"buildpack_provided_description":"Clojure"`},
		{"/apps/ledger-api", `"buildpack_provided_description":"Gradle"`},
		{"/apps/loyalty/buildpack-installations", `"name":"heroku/kotlin"`},
		{"/apps/container-app", `"buildpack_provided_description":null`},
		{"/apps/container-app/formation", `"command":"java -jar /app/service.jar"`},
		{"/apps/container-app/buildpack-installations", `[]`},
		{"/apps/brand-new", `"released_at":null`},
		{"/apps/brand-new/formation", `[]`},
		{"/apps/brand-new/releases", `[]`},
		{"/apps/mailer/formation", `"type":"webhooks"`},
		{"/apps/maintained", `"maintenance":true`},
		{"/apps/migrator/formation", `rake db:migrate && bundle exec puma`},
		{"/apps/bursty/addons", `judoscale:small`},
		{"/apps/billing/addons", `heroku-postgresql:essential-0`},
		{"/apps/landing", `"team":null`},
		{"/apps/shop-pr-42/pipeline-couplings", `"stage":"review"`},
		{"/apps/frozen", `"id":"suspended"`},
		{"/apps/vaulted", `"id":"two_factor"`},
		{"/apps/vaulted", `"name":"vaulted"`},
		{"/apps/secret-lab", `"id":"forbidden"`},
		{"/apps/unpaid", `"id":"delinquent"`},
		{"/dyno-sizes/performance-l-ram", `"cost":null`},
		{"/dyno-sizes/private-s", `"cost":null`},
		{"/dyno-sizes/standard-2x", `"cost":{"cents":5000,"unit":"month"}`},
		{"/spaces/vault", `"shield":true`},
	} {
		if got := c.get(tt.path).text; !strings.Contains(got, tt.want) {
			t.Errorf("GET %s: got %s, want it to contain %s", tt.path, got, tt.want)
		}
	}
	if got := c.get("/apps/brand-new/formation/web").text; !strings.Contains(got, "Couldn't find that process type (web).") {
		t.Errorf("no web type: got %s", got)
	}
	if got := c.get("/teams/data/apps").text; strings.Contains(got, "shield") || !strings.Contains(got, `"name":"vault"`) {
		t.Errorf("a team's list tells its apps' spaces without shield: got %s", got)
	}
	if got := c.get("/apps").text; strings.Contains(got, "secret-lab") {
		t.Error("an app without access is in the list of all apps")
	}
	if got := c.get("/users/~/apps").text; !strings.Contains(got, "hobbyist") || strings.Contains(got, `"name":"shop"`) {
		t.Errorf("own apps: got %s", got)
	}
}

func TestAutoscalingMonitors(t *testing.T) {
	c := serve(t, simheroku.Options{})
	id := func(app string) string {
		var a struct{ ID string }
		c.get("/apps/"+app).decode(t, &a)
		return a.ID
	}
	type monitor struct {
		ActionType  string `json:"action_type"`
		IsActive    bool   `json:"is_active"`
		MinQuantity *int   `json:"min_quantity"`
		MaxQuantity *int   `json:"max_quantity"`
	}
	var got []monitor
	r := c.get("/apps/"+id("search")+"/formation/web/monitors", "Accept: */*")
	r.decode(t, &got)
	if len(got) != 2 || got[0].ActionType != "alert" || got[0].MinQuantity != nil || got[1].ActionType != "scale" || !got[1].IsActive || *got[1].MinQuantity != 2 || *got[1].MaxQuantity != 6 {
		t.Errorf("search: got %s", r.text)
	}
	c.get("/apps/"+id("shop")+"/formation/web/monitors").decode(t, &got)
	if len(got) != 0 {
		t.Errorf("shop: got %v, want none", got)
	}
	if r := c.get("/apps/shop/formation/web/monitors"); r.status != 404 {
		t.Errorf("by name: got %d, want 404", r.status)
	}
}

func TestLoadFleetNamesTheLine(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"team acme\napp shop team=nobody", "line 2: team=nobody: no such team"},
		{"\n\napp Shop", `line 3: "Shop" is no app name`},
		{"app shop size=standard-9x", "line 1: size=standard-9x: No such size as standard-9x."},
		{"app shop preboo=on", "line 1: preboo=on: neither a setting nor a process type"},
		{"app shop web=1\napp shop", "line 2: app shop is there already"},
		{`app shop web-command="open`, "line 1: a double quote is not closed"},
		{"ap shop", `line 1: unknown word "ap"`},
		{"app shop releases=never web=1", "line 1: web=1: an app that was never released"},
		{"app shop size=basic autoscaler=1..3", "line 1: autoscaler=1..3: Basic dynos have no autoscaling"},
		{"app shop size=private-s", "line 1: size=private-s: No such size as private-s."},
	} {
		_, err := simheroku.LoadFleet(strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestBilling(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: fleet(t, `
		team acme
		space vault team=acme shield
		price standard-2x cents=4100
		app aaa web=2 worker=1
		app bbb web=1 size=basic worker=1
		app ccc space=vault web=2 size=private-m
		app ddd web=3 size=standard-2x
		app eee web=1 size=eco worker=1
		app fff web=0`)})
	for app, want := range map[string]int{"aaa": 7500, "bbb": 1400, "ccc": 108000, "ddd": 12300, "eee": 0, "fff": 0} {
		if got, err := c.sim.BilledMonthly(app); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", app, got, err, want)
		}
	}
	if got, err := c.sim.BilledAccount(); got != 7500+1400+108000+12300+500 || err != nil {
		t.Errorf("account: got %d, %v", got, err)
	}
	// What the API tells is the list price, where it tells one.
	var sizes []struct {
		Name string
		Cost *struct{ Cents int }
	}
	c.get("/dyno-sizes").decode(t, &sizes)
	priced := 0
	for _, size := range sizes {
		if size.Cost == nil || size.Name == "Standard-2X" || size.Name == "Eco" {
			continue
		}
		priced++
		c.do("create probe-" + strings.ToLower(strings.NewReplacer(".", "-").Replace(size.Name)) + " web=1 size=" + size.Name)
		if got, _ := c.sim.BilledMonthly("probe-" + strings.ToLower(size.Name)); got != size.Cost.Cents {
			t.Errorf("%s: billed %d, listed %d", size.Name, got, size.Cost.Cents)
		}
	}
	if priced != 7 {
		t.Errorf("got %d sizes with a price, want 7", priced)
	}
}
