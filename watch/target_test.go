package watch

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

func TestNewTarget(t *testing.T) {
	web := func(url string) func(*fleet.App, *policy.Probe) {
		return func(a *fleet.App, _ *policy.Probe) { a.WebURL = url }
	}
	probe := func(change func(*policy.Probe)) func(*fleet.App, *policy.Probe) {
		return func(_ *fleet.App, p *policy.Probe) { change(p) }
	}
	domain := func(name string) func(*fleet.App, *policy.Probe) {
		return probe(func(p *policy.Probe) { p.Domain = name })
	}
	tests := map[string]struct {
		app    string
		change func(*fleet.App, *policy.Probe)
		want   string // URL
		why    string // part of the refusal, where there is one
	}{
		"standard":              {app: "standard-1x web=1", want: "https://shop-0123456789ab.herokuapp.com/"},
		"basic":                 {app: "basic web=1", want: "https://shop-0123456789ab.herokuapp.com/"},
		"in a space":            {app: "private-s web=2 space=private", want: "https://shop-0123456789ab.herokuapp.com/"},
		"a path with a query":   {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { p.Path = "/health?deep=1" }), want: "https://shop-0123456789ab.herokuapp.com/health?deep=1"},
		"a domain":              {app: "standard-1x web=1", change: domain("www.shop.example.com"), want: "https://www.shop.example.com/"},
		"an xn-- domain":        {app: "standard-1x web=1", change: domain("xn--bcher-kva.example"), want: "https://xn--bcher-kva.example/"},
		"a domain, no web_url":  {app: "standard-1x web=1", change: func(a *fleet.App, p *policy.Probe) { a.WebURL, p.Domain = "", "shop.example.com" }, want: "https://shop.example.com/"},
		"web_url by http":       {app: "standard-1x web=1", change: web("http://Shop.herokuapp.localhost:4567/"), want: "http://shop.herokuapp.localhost:4567/"},
		"web_url with a path":   {app: "standard-1x web=1", change: web("https://shop.herokuapp.com/admin?x=1#y"), want: "https://shop.herokuapp.com/"},
		"a path of two slashes": {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { p.Path = "//evil.example/x" }), want: "https://shop-0123456789ab.herokuapp.com//evil.example/x"},
		"a path with an @":      {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { p.Path = "/@evil.example" }), want: "https://shop-0123456789ab.herokuapp.com/@evil.example"},

		"maintenance":           {app: "standard-1x web=2 maintenance", why: "heroku maintenance:off -a shop"},
		"eco":                   {app: "eco web=1", why: "Eco dynos, which sleep"},
		"switched off":          {app: "standard-1x web=0", why: "No web dyno of shop runs"},
		"worker only":           {app: "standard-1x worker=1", why: "no web process"},
		"formation not read":    {app: "standard-1x web=1 formation=?", why: "could not be read (" + fleettest.Unread().Text},
		"no web_url":            {app: "standard-1x web=1", change: web(""), why: "tells no web_url"},
		"web_url of nothing":    {app: "standard-1x web=1", change: web("https://"), why: "none that can be asked"},
		"web_url of no address": {app: "standard-1x web=1", change: web("https://shop\x00/"), why: "no address"},
		"web_url elsewhere":     {app: "standard-1x web=1", change: web("ftp://shop.herokuapp.com/"), why: "none that can be asked"},
		"web_url of numbers":    {app: "standard-1x web=1", change: web("http://127.0.0.1:8080/"), why: "none that can be asked"},
		"web_url, numbers of 6": {app: "standard-1x web=1", change: web("http://[::1]/"), why: "none that can be asked"},
		"web_url with password": {app: "standard-1x web=1", change: web("https://a:s3cret@shop.herokuapp.com/"), why: "none that can be asked"},
		"domain with a scheme":  {app: "standard-1x web=1", change: domain("http://shop.example.com"), why: "without https://"},
		"domain with a port":    {app: "standard-1x web=1", change: domain("shop.example.com:22"), why: "no plain name"},
		"domain with a path":    {app: "standard-1x web=1", change: domain("shop.example.com/health"), why: "no plain name"},
		"domain with a user":    {app: "standard-1x web=1", change: domain("shop@evil.example"), why: "no plain name"},
		"domain of numbers":     {app: "standard-1x web=1", change: domain("169.254.169.254"), why: "no address of numbers"},
		"domain, short numbers": {app: "standard-1x web=1", change: domain("127.1"), why: "no plain name"},
		"domain, one number":    {app: "standard-1x web=1", change: domain("2130706433"), why: "no plain name"},
		"domain, hex":           {app: "standard-1x web=1", change: domain("0x7f.1"), why: "no plain name"},
		"domain of numbers, 6":  {app: "standard-1x web=1", change: domain("[::ffff:10.0.0.1]"), why: "no plain name"},
		"domain of one word":    {app: "standard-1x web=1", change: domain("localhost"), why: "no plain name"},
		"domain in capitals":    {app: "standard-1x web=1", change: domain("Shop.example.com"), why: "no plain name"},
		"domain with a dot":     {app: "standard-1x web=1", change: domain("shop.example.com."), why: "no plain name"},
		"domain too long":       {app: "standard-1x web=1", change: domain(strings.Repeat("a.", 126) + "aa"), why: "no plain name"},
		"a path that is none":   {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { p.Path = "health" }), why: "begins with a slash"},
		"a path with a line":    {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { p.Path = "/a\r\nHost: evil" }), why: "no path"},
		"version's, a URL":      {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { p.VersionPath = "https://evil.example/" }), why: "version_path"},
		"visitors for nothing":  {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { p.Visitors, p.VisitorPath = 2, "/account" }), why: "visitor_marker"},
		"no probe":              {app: "standard-1x web=1", change: probe(func(p *policy.Probe) { *p = policy.Probe{} }), why: "lacks a path"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app, rules := fleettest.App(tt.app), policy.Rules{Probe: policy.DefaultProbe()}
			if tt.change != nil {
				tt.change(&app, &rules.Probe)
			}
			target, err := NewTarget(app, rules)
			if tt.why == "" {
				if err != nil || target.URL() != tt.want || target.App() != app.ID || target.Name() != "shop" || target.Probe() != rules.Probe {
					t.Errorf("got %+v, %v, want %s", target, err, tt.want)
				}
				return
			}
			refused, ok := errors.AsType[*NotProbed](err)
			if !ok || refused.App != "shop" || !strings.Contains(refused.Why, tt.why) || strings.Contains(refused.Why, "s3cret") || target != (Target{}) || target.URL() != "" {
				t.Errorf("got %+v, %v, want a refusal with %q", target, err, tt.why)
			}
		})
	}
}

// Whatever the policy and Heroku say, what is asked is a path of that host.
func FuzzTarget(f *testing.F) {
	f.Add("/", "", "https://shop.herokuapp.com/")
	f.Add("//evil.example/?x", "shop.example.com", "")
	f.Add("/\\evil.example", "shop.example.com.", "https://shop.herokuapp.com@evil.example/")
	f.Add("/a b\x00", "127.1", "http://0x7f.1/")
	f.Fuzz(func(t *testing.T, path, domain, web string) {
		app, rules := fleettest.App("standard-1x web=1"), policy.Rules{Probe: policy.DefaultProbe()}
		app.WebURL, rules.Probe.Path, rules.Probe.Domain = web, path, domain
		target, err := NewTarget(app, rules)
		if err != nil {
			return
		}
		req := request(t.Context(), target.page, agentProbe, nil)
		host := req.URL.Hostname()
		if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || req.Host != req.URL.Host || req.URL.User != nil {
			t.Errorf("%q, %q, %q: asks %s", path, domain, web, req.URL)
		}
		if domain != "" && (req.URL.Scheme != "https" || req.URL.Host != domain) {
			t.Errorf("%q, %q: asks %s", path, domain, req.URL)
		}
		if line := req.URL.RequestURI(); !strings.HasPrefix(line, "/") || strings.ContainsAny(line, " \r\n\x00") {
			t.Errorf("%q: asks for %q", path, line)
		}
	})
}
