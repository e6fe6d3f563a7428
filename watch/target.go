package watch

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Target is where an app is probed. Only [NewTarget] makes one that can be probed; the
// zero Target is refused by [Prober.Begin].
type Target struct {
	app     fleet.ID
	name    string
	probe   policy.Probe
	page    *url.URL // what is asked for
	version *url.URL // nil: the app does not tell its version by a path
	start   *url.URL // logs a visitor in; nil: no visitors
	account *url.URL // shows whether they are
}

// URL is what is asked for, without the part that defeats caches.
func (t Target) URL() string {
	if t.page == nil {
		return ""
	}
	return t.page.String()
}

// shown is the target as it is stored and told: in Slack, in the ledger and in a pipeline's
// log. What stands behind a question mark may let somebody in, as that of a visitor's start.
func (t Target) shown() (address string, p policy.Probe) {
	address, p = t.URL(), t.probe
	for _, text := range []*string{&address, &p.Path, &p.VersionPath, &p.VisitorStart, &p.VisitorPath} {
		if before, _, ok := strings.Cut(*text, "?"); ok {
			*text = before + "?…"
		}
	}
	return address, p
}

// Probe is how the app is asked.
func (t Target) Probe() policy.Probe { return t.probe }

// App is the app's id.
func (t Target) App() fleet.ID { return t.app }

// Name is the app's name when the target was made.
func (t Target) Name() string { return t.name }

// NotProbed is why an app is not probed.
type NotProbed struct {
	App string // its name
	Why string // one or two sentences for people: what is so, and what to do about it
}

func (e *NotProbed) Error() string { return e.Why }

// NewTarget is where the app is probed, of what Heroku says of it and what the policy says
// of its probe. Nothing of it comes from chat, and whether the app is in the policy's scope
// is for the caller to ask. It refuses with a *[NotProbed]: an app that a probe would wake
// or that has nothing to answer with, one of which that could not be read, and an address
// that is none.
func NewTarget(app fleet.App, rules policy.Rules) (Target, error) {
	refuse := func(format string, args ...any) (Target, error) {
		return Target{}, &NotProbed{App: app.Name, Why: fmt.Sprintf(format, args...)}
	}
	web, found := app.Web()
	switch {
	case app.Maintenance:
		return refuse("%s is in maintenance mode, so Heroku answers in its place. Switch it off with `heroku maintenance:off -a %s`, then watch the next deploy.", app.Name, app.Name)
	case !app.Formation.IsKnown():
		return refuse("The dynos of %s could not be read (%s), so it can't be told whether a probe would wake it. Try again in a minute.", app.Name, app.Formation.Why().Text)
	case !found:
		return refuse("%s has no web process, so there is nothing that could be asked.", app.Name)
	case web.Quantity == 0:
		return refuse("No web dyno of %s runs, so there is nothing that could be asked. Scale web up if it is to serve, then watch the next deploy.", app.Name)
	case app.Size(web.Size).Tier == fleet.Eco:
		return refuse("%s runs on Eco dynos, which sleep: a probe would keep it awake and use up the account's hours. Resize it to watch its deploys.", app.Name)
	}

	t := Target{app: app.ID, name: app.Name, probe: rules.Probe}
	base, why := baseOf(app.WebURL, t.probe.Domain)
	if why != "" {
		return refuse("%s can't be probed: %s", app.Name, why)
	}
	paths := []struct {
		key, path string
		to        **url.URL
	}{
		{"path", t.probe.Path, &t.page},
		{"version_path", t.probe.VersionPath, &t.version},
		{"visitor_start", t.probe.VisitorStart, &t.start},
		{"visitor_path", t.probe.VisitorPath, &t.account},
	}
	for _, p := range paths {
		if p.path == "" {
			continue
		}
		u, err := at(base, p.path)
		if err != nil {
			return refuse("%s can't be probed: the policy's %s, %q, is no path. Write one that begins with a slash.", app.Name, p.key, p.path)
		}
		*p.to = u
	}
	switch {
	case t.page == nil || t.probe.Rate < 1 || t.probe.Timeout <= 0:
		return refuse("%s can't be probed: the policy's probe lacks a path, a rate or a time-out.", app.Name)
	case t.probe.Visitors > 0 && (t.account == nil || t.probe.VisitorMarker == ""):
		return refuse("%s can't be probed: the policy asks for visitors, and for no page and text that show whether they are logged in. Set visitor_path and visitor_marker.", app.Name)
	case t.start == nil:
		t.start = t.account
	}
	return t, nil
}

// plainHost is a name as it stands in a certificate: labels of letters, digits and hyphens,
// two at least. Names with other signs are written in their xn-- form (RFC 5891).
var plainHost = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// baseOf is where paths begin: the app's own domain by https, else its web_url. why is
// empty, or the rest of a refusal.
func baseOf(webURL, domain string) (base *url.URL, why string) {
	if domain != "" {
		if len(domain) > 253 || !plainHost.MatchString(domain) {
			return nil, fmt.Sprintf("the policy's domain, %q, is no plain name of a host. Write it like shop.example.com: without https://, a port or a path, and no address of numbers. It is asked by https.", domain)
		}
		return &url.URL{Scheme: "https", Host: domain}, ""
	}
	if webURL == "" {
		return nil, "Heroku tells no web_url of it. Set a domain of its own for its probe in the policy."
	}
	u, err := url.Parse(webURL)
	if err != nil {
		return nil, "Heroku tells a web_url of it that is no address. Set a domain of its own for its probe in the policy."
	}
	host := strings.ToLower(u.Hostname())
	_, notNumbers := netip.ParseAddr(host)
	if u.Scheme != "https" && u.Scheme != "http" || u.User != nil || notNumbers == nil || !plainHost.MatchString(host) {
		return nil, fmt.Sprintf("its web_url at Heroku, %q, is none that can be asked. Set a domain of its own for its probe in the policy.", u.Redacted())
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, ""
}

// at is the URL of a path, which may have a query. A path that names another host, such as
// //evil.example/, stays a path of this one.
func at(base *url.URL, path string) (*url.URL, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%q does not begin with a slash", path)
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = base.Scheme, base.Host
	return u, nil
}
