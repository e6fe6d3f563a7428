package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/golden"
	"example.com/zdd/schedule"
)

// full is a file with every key, as the documentation shows it.
func full(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parse(t testing.TB, text string) Policy {
	t.Helper()
	p, err := Parse("zdd.yml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return p
}

// TestDescribe is what is in force: of the whole file, and of none.
func TestDescribe(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		name string
		p    Policy
	}{
		{"full.yml", parse(t, string(full(t)))}, {"nothing", parse(t, "")},
		{"what is allowed and probably not meant", parse(t, `
people: { operators: [U0ONE], approvers: [U0ONE, U0TWO] }
approval: { channel: C0OPS, self_approval: true, quorum: [{ above: 100, approvals: 2 }, { above: 500, approvals: 3 }] }
digest: { channel: C0OPS, timezone: UTC }
prices: { eco: 5, standard-9x: 500 }
`)},
	} {
		out.WriteString("== " + c.name + "\n")
		for _, l := range c.p.Describe() {
			out.WriteString(l.Key + ": " + l.Value + "  # " + l.Origin + "\n")
		}
		for _, h := range c.p.Hints() {
			out.WriteString("hint: " + h + "\n")
		}
	}
	golden.Check(t, "testdata/describe.golden", out.String())
}

// TestExample is the file that people copy: it is one, and holds every key that there is.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("../zdd.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	parse(t, string(text))
	key := regexp.MustCompile(`(?m)^[# ]*"?([a-z_0-9-]+)"?:|[{,] ?([a-z_]+):`)
	named := map[string]bool{}
	for _, m := range key.FindAllStringSubmatch(string(text), -1) {
		named[m[1]+m[2]] = true
	}
	for _, l := range parse(t, string(full(t))).Describe() {
		name := l.Key[strings.LastIndexByte(l.Key, '.')+1:]
		if !named[name] && !strings.HasPrefix(l.Key, "prices.") {
			t.Errorf("it does not show %s", l.Key)
		}
	}
}

// TestMistakes holds what is told about each wrong file in testdata/wrong.txt, whose
// cases are parted by lines that begin with ==.
func TestMistakes(t *testing.T) {
	cases, err := os.ReadFile("testdata/wrong.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, c := range strings.Split(string(cases), "== ")[1:] {
		name, text, _ := strings.Cut(c, "\n")
		_, err := Parse("zdd.yml", []byte(text))
		mistakes, ok := errors.AsType[Mistakes](err)
		if !ok || len(mistakes) == 0 {
			t.Errorf("%s: got %v, want mistakes", name, err)
			continue
		}
		out.WriteString("== " + name + "\n" + err.Error() + "\n")
	}
	golden.Check(t, "testdata/wrong.golden", out.String())
}

func TestDefaultIsSafe(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "a comment": "# nothing yet\n", "null": "null\n", "empty sections": "scope:\npeople:\napproval: {}\napps:\n", "a document mark": "---\n", "a byte order mark": "\ufeff",
	} {
		t.Run(name, func(t *testing.T) {
			p := parse(t, text)
			if got, want := p.Digest(), Default().Digest(); got != want {
				t.Errorf("got digest %s, want the default's", got)
			}
			if len(p.People.Operators)+len(p.People.Approvers) != 0 || p.Approval.SelfApproval {
				t.Errorf("got people %+v, want nobody", p.People)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	base := parse(t, string(full(t)))
	if got := base.Digest(); len(got) != 64 || strings.Trim(got, "0123456789abcdef") != "" {
		t.Fatalf("got %q, want 64 hex digits", got)
	}
	same := map[string]string{
		"comments":               string(full(t)) + "# more\n",
		"Windows line ends":      strings.ReplaceAll(string(full(t)), "\n", "\r\n"),
		"order of a list":        strings.Replace(string(full(t)), "[U0REQUESTER, S0PLATFORM]", "[S0PLATFORM, U0REQUESTER]", 1),
		"twice in a list":        strings.Replace(string(full(t)), "[U0REQUESTER, S0PLATFORM]", "[U0REQUESTER, S0PLATFORM, U0REQUESTER]", 1),
		"a default left out":     strings.Replace(string(full(t)), "heroku: { reserve: 500, parallel: 16 }", "", 1),
		"a duration by itself":   strings.Replace(string(full(t)), "expires_after: 24h", "expires_after: 1d", 1),
		"statuses by themselves": strings.Replace(string(full(t)), "200, 3xx", "200,3XX,200", 1),
		"a price by itself":      strings.Replace(string(full(t)), "21.50", "21.5", 1),
	}
	for name, text := range same {
		if got := parse(t, text).Digest(); got != base.Digest() {
			t.Errorf("%s: got another digest, want the same", name)
		}
	}
	for _, change := range [][2]string{
		{"teams: [acme]", "teams: [acme, beta]"}, {`include: ["*"]`, `include: ["s*"]`}, {"stages: [production, none]", "stages: [production]"},
		{"web_dynos: 2", "web_dynos: 3"}, {"jvm_warmup: advice", "jvm_warmup: required"}, {"warmup: attested", "warmup: unattested"}, {"owner: U0123", "owner: U0124"},
		{"operators: [U0REQUESTER, S0PLATFORM]", "operators: [U0REQUESTER]"}, {"self_approval: false", "self_approval: true"}, {"above: 500", "above: 400"},
		{"monthly_increase: 1000", "monthly_increase: 1001"}, {"standard-1x: 21.50", "standard-1x: 21.51"}, {"affinity_soak: 10m", "affinity_soak: 11m"}, {"pause: 3m", "pause: 4m"},
		{"releases: production", "releases: scope"}, {"lasts: 15m", "lasts: 16m"}, {"at_once: 5", "at_once: 6"}, {"per_second: 60", "per_second: 61"},
		{"path: /health", "path: /healthz"}, {"timeout: 3s", "timeout: 4s"}, {"domain: shop.example.com", "domain: shop.example.org"}, {"rate: 10", "rate: 11"}, {"200, 3xx", "200"}, {"contains: Welcome", "contains: Hello"},
		{"version_header: X-Release", "version_path: /version"}, {"visitors: 3", "visitors: 4"}, {"/demo-login", "/login"}, {"visitor_path: /account", "visitor_path: /me"}, {"signed in as", "logged in as"},
		{"longest: 30d", "longest: 31d"}, {"approval: required", "approval: none"},
		{`post_at: "09:00"`, `post_at: "09:01"`}, {"Europe/Berlin", "Europe/Paris"}, {"reserve: 500", "reserve: 501"},
	} {
		text := strings.Replace(string(full(t)), change[0], change[1], 1)
		if parse(t, text).Digest() == base.Digest() {
			t.Errorf("%s → %s: got the same digest, want another", change[0], change[1])
		}
	}
}

func TestWatchEvery(t *testing.T) {
	for text, want := range map[string]struct {
		every time.Duration
		shown string
	}{
		"off": {0, "off"}, "0": {0, "off"}, `"0"`: {0, "off"}, "false": {0, "off"}, "5m": {5 * time.Minute, "5m"}, "1h30m": {90 * time.Minute, "1h30m"},
	} {
		p, err := Parse("zdd.yml", []byte("digest: { watch_every: "+text+" }"))
		if err != nil || p.Nightly.WatchEvery != want.every {
			t.Errorf("%s: got %v, %v, want %v", text, p.Nightly.WatchEvery, err, want.every)
		}
		for _, l := range p.Describe() {
			if l.Key == "digest.watch_every" && l.Value != want.shown {
				t.Errorf("%s: shown as %s, want %s", text, l.Value, want.shown)
			}
		}
	}
	for _, text := range []string{"on", "true", "1", "4m", "25h", "-5m", "[off]", ""} {
		if p, err := Parse("zdd.yml", []byte("digest: { watch_every: "+text+" }")); err == nil {
			t.Errorf("%q: got %v, want an error", text, p.Nightly.WatchEvery)
		}
	}
}

// TestProbe is how one app is asked: key by key the word of the narrowest entry that says
// anything of it, version and visitors each as a whole.
func TestProbe(t *testing.T) {
	p := parse(t, `
apps:
  "team:acme": { probe: { path: /up, rate: 2, version_path: /version, visitors: 2, visitor_start: /login, visitor_path: /me, visitor_marker: hello } }
  "sh*": { probe: { timeout: 9s, version_header: X-Release } }
  shop: { probe: { rate: 8, expect: 200, domain: shop.example.com, contains: "<h1>", visitors: 5, visitor_path: /account, visitor_marker: signed in } }
`)
	team := Probe{Path: "/up", Rate: 2, Timeout: 5 * time.Second, Expect: "2xx,3xx", VersionPath: "/version", Visitors: 2, VisitorStart: "/login", VisitorPath: "/me", VisitorMarker: "hello"}
	glob := team
	glob.Timeout, glob.VersionHeader, glob.VersionPath = 9*time.Second, "X-Release", ""
	for name, want := range map[string]Probe{
		"api":  team,
		"ship": glob,
		"shop": {Path: "/up", Domain: "shop.example.com", Rate: 8, Timeout: 9 * time.Second, Expect: "200", Contains: "<h1>", VersionHeader: "X-Release", Visitors: 5, VisitorPath: "/account", VisitorMarker: "signed in"},
	} {
		app := fleettest.App("standard-1x web=1")
		app.Name = name
		if got := p.For(app).Probe; got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
	if got, want := Default().For(fleettest.App("standard-1x web=1")).Probe, DefaultProbe(); got != want {
		t.Errorf("no entry: got %+v, want %+v", got, want)
	}
}

func TestExpects(t *testing.T) {
	for expect, want := range map[string]map[int]bool{
		"2xx,3xx": {200: true, 204: true, 302: true, 399: true, 404: false, 500: false, 199: false},
		"200":     {200: true, 201: false},
		"200,401": {401: true, 403: false},
		"4xx":     {404: true, 200: false},
	} {
		for status, want := range want {
			if got := (Probe{Expect: expect}).Expects(status); got != want {
				t.Errorf("%s of %d: got %t, want %t", expect, status, got, want)
			}
		}
	}
}

func TestDigestLeavesThePolicyAlone(t *testing.T) {
	p := Default()
	p.People.Operators = []string{"U2ZZ", "U1AA"}
	p.Digest()
	if want := []string{"U2ZZ", "U1AA"}; !slices.Equal(p.People.Operators, want) {
		t.Errorf("got operators %v, want %v", p.People.Operators, want)
	}
}

func TestFor(t *testing.T) {
	p := parse(t, `
requirements: { web_dynos: 2, session_affinity: required }
apps:
  "01234567-89ab-4cde-8f01-23456789abcd": { web_dynos: 9 }
  shop: { web_dynos: 3, owner: U0SHOP }
  "sho*": { session_affinity: optional, channel: C0SHO, warmup: attested }
  "s*": { session_affinity: forbidden, channel: C0S, jvm_warmup: required }
  "*p": { channel: C0P, warmup: unattested }
  "team:acme": { owner: S0ACME, channel: C0ACME, web_dynos: 7 }
  "pipeline:storefront": { owner: S0FRONT, session_affinity: required, web_dynos: 6 }
  "pipeline:fedcba98-7654-4321-8f01-23456789abcd": { web_dynos: 5 }
`)
	tests := map[string]struct {
		line, name string
		id         fleet.ID
		want       Rules
	}{
		"UUID, then name, then the longer glob": {"standard-1x web=1 stage=production", "shop", fleettest.ID,
			Rules{WebDynos: 9, SessionAffinity: Optional, JVMWarmup: WeightRequired, WarmupAttested: true, AttestedBy: "sho*", Owner: "U0SHOP", Channel: "C0SHO"}},
		"name": {"standard-1x web=1", "shop", "x",
			Rules{WebDynos: 3, SessionAffinity: Optional, JVMWarmup: WeightRequired, WarmupAttested: true, AttestedBy: "sho*", Owner: "U0SHOP", Channel: "C0SHO"}},
		"the longer of two globs": {"standard-1x web=1 stage=production", "shovel", "x",
			Rules{WebDynos: 6, SessionAffinity: Optional, JVMWarmup: WeightRequired, WarmupAttested: true, AttestedBy: "sho*", Owner: "S0FRONT", Channel: "C0SHO"}},
		"equal globs: the later letter": {"standard-1x web=1", "soup", "x",
			Rules{WebDynos: 7, SessionAffinity: Forbidden, JVMWarmup: WeightRequired, Owner: "S0ACME", Channel: "C0S"}},
		"pipeline over team": {"standard-1x web=1 stage=staging", "api", "x",
			Rules{WebDynos: 6, SessionAffinity: Required, JVMWarmup: WeightAdvice, Owner: "S0FRONT", Channel: "C0ACME"}},
		"team": {"standard-1x web=1 team=Acme", "api", "x",
			Rules{WebDynos: 7, SessionAffinity: Required, JVMWarmup: WeightAdvice, Owner: "S0ACME", Channel: "C0ACME"}},
		"an unread pipeline": {"standard-1x web=1 pipeline=?", "api", "x", // and see TestUnsure
			Rules{WebDynos: 7, SessionAffinity: Required, JVMWarmup: WeightAdvice, Owner: "S0ACME", Channel: "C0ACME", Unsure: fleettest.Unread()}},
		"another team": {"standard-1x web=1 team=beta", "api", "x",
			Rules{WebDynos: 2, SessionAffinity: Required, JVMWarmup: WeightAdvice}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app := fleettest.App(tt.line)
			app.Name, app.ID = tt.name, tt.id
			got := p.For(app)
			if got.Unsure != tt.want.Unsure {
				t.Errorf("unsure: got %+v, want %+v", got.Unsure, tt.want.Unsure)
			}
			if got.Policy != p.Digest() || got.Limits != p.Limits || got.Rollout != p.Rollout {
				t.Errorf("got %+v, want the policy's digest, limits and waits", got)
			}
			got.Prices, got.Limits, got.Rollout, got.Policy = nil, Limits{}, Rollout{}, ""
			if got.WebDynos != tt.want.WebDynos || got.SessionAffinity != tt.want.SessionAffinity || got.JVMWarmup != tt.want.JVMWarmup ||
				got.WarmupAttested != tt.want.WarmupAttested || got.AttestedBy != tt.want.AttestedBy || got.Owner != tt.want.Owner || got.Channel != tt.want.Channel {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestUnsure is what the rules of an app may be instead as long as it could not be read
// which pipeline it is in.
func TestUnsure(t *testing.T) {
	const (
		named   = `apps: { "pipeline:checkout": { web_dynos: 4 } }`
		byID    = `apps: { "pipeline:fedcba98-7654-4321-8f01-23456789abcd": { web_dynos: 4 } }`
		several = `apps: { "pipeline:a": { web_dynos: 4 }, "pipeline:b": { session_affinity: forbidden, warmup: attested }, "pipeline:c": { web_dynos: 4, owner: U0C } }`
	)
	tests := map[string]struct{ policy, line, want string }{
		"read":                             {named, "standard-1x stage=production", ""},
		"in no pipeline":                   {named, "standard-1x", ""},
		"unread":                           {named, "standard-1x pipeline=?", "4 required advice false"},
		"name unread":                      {named, "standard-1x unnamed=production", "4 required advice false"},
		"name unread, and known by UUID":   {byID, "standard-1x unnamed=production", ""},
		"unread, by UUID":                  {byID, "standard-1x pipeline=?", "4 required advice false"},
		"of several each that differs":     {several, "standard-1x pipeline=?", "4 required advice false, 2 forbidden advice true"},
		"an owner changes nothing":         {`apps: { "pipeline:checkout": { owner: U0C } }`, "standard-1x pipeline=?", ""},
		"the same as it is":                {`apps: { "pipeline:checkout": { web_dynos: 2 } }`, "standard-1x pipeline=?", ""},
		"the app's own entry is narrower":  {`apps: { shop: { web_dynos: 3 }, "pipeline:checkout": { web_dynos: 4 } }`, "standard-1x pipeline=?", ""},
		"the team's entry is wider":        {`apps: { "team:acme": { web_dynos: 3 }, "pipeline:checkout": { web_dynos: 4 } }`, "standard-1x pipeline=?", "4 required advice false"},
		"beside an entry that is no doubt": {`apps: { "pipeline:fedcba98-7654-4321-8f01-23456789abcd": { web_dynos: 5 }, "pipeline:store": { jvm_warmup: required } }`, "standard-1x unnamed=production", "5 required required false"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := parse(t, tt.policy)
			rules := p.For(fleettest.App(tt.line))
			var others []string
			for _, o := range rules.Others() {
				others = append(others, fmt.Sprint(o.WebDynos, " ", o.SessionAffinity, " ", o.JVMWarmup, " ", o.WarmupAttested))
				if o.Policy != p.Digest() || o.Limits != p.Limits || o.Unsure != (fleet.Reason{}) {
					t.Errorf("got %+v, want the policy's digest and limits, and no doubt", o)
				}
			}
			if got := strings.Join(others, ", "); got != tt.want {
				t.Errorf("others: got %q, want %q", got, tt.want)
			}
			want := fleet.Reason{}
			if tt.want != "" {
				want = fleettest.Unread()
			}
			if rules.Unsure != want {
				t.Errorf("unsure: got %+v, want %+v", rules.Unsure, want)
			}
		})
	}
}

func TestInScope(t *testing.T) {
	const rules = "scope: { teams: [acme], include: [\"s*\", api], exclude: [\"*-sandbox\"] }\n"
	tests := map[string]struct {
		policy, line, name string
		want               bool
		why, out           string
	}{
		"production":                    {rules, "standard-1x stage=production", "shop", true, "stage production is in", ""},
		"in no pipeline":                {rules, "standard-1x", "shop", true, "nothing tells its stage", ""},
		"a review app":                  {rules, "standard-1x stage=review", "shop-pr-12", false, "stage review is not", "review"},
		"development":                   {"", "standard-1x stage=development", "shop", false, "stage development is not", "development"},
		"staging, asked for":            {"scope: { stages: [staging] }", "standard-1x stage=staging", "shop", true, "stage staging is in", ""},
		"no pipeline, not asked for":    {"scope: { stages: [staging] }", "standard-1x", "shop", false, "`none` is not in", "no pipeline"},
		"a stage nobody knows":          {rules, "standard-1x stage=canary", "shop", true, "not one this program knows", ""},
		"stage unread":                  {rules, "standard-1x pipeline=?", "shop", true, "could not be read (Heroku did not answer)", ""},
		"stage unread, excluded anyway": {rules, "standard-1x pipeline=?", "shop-sandbox", false, "`*-sandbox` in", "excluded"},
		"another team":                  {rules, "standard-1x team=beta", "shop", false, "team beta is not", "other team"},
		"the team in capitals":          {rules, "standard-1x team=ACME", "shop", true, "no pipeline", ""},
		"a personal app":                {rules, "standard-1x team=", "shop", false, "personal", "personal"},
		"a personal app, no teams set":  {"", "standard-1x team=", "shop", true, "no pipeline", ""},
		"not included":                  {rules, "standard-1x", "web", false, "matches nothing", "not included"},
		"included by name":              {rules, "standard-1x", "api", true, "no pipeline", ""},
		"included by part of a name":    {rules, "standard-1x", "api-2", false, "matches nothing", "not included"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app := fleettest.App(tt.line)
			app.Name = tt.name
			got := parse(t, tt.policy).InScope(app)
			if got.In != tt.want || got.Out != tt.out || !strings.Contains(got.Why, tt.why) {
				t.Errorf("got %+v; want %t, %q, %q", got, tt.want, tt.out, tt.why)
			}
		})
	}
	app := fleettest.App("standard-1x stage=production")
	app.ArchivedAt = time.Unix(0, 1)
	if got := Default().InScope(app); got.In || got.Out != "archived" {
		t.Errorf("an archived app: got %+v, want out", got)
	}
}

func TestPrices(t *testing.T) {
	prices := Prices{"standard-1x": 21_50, "shield-m": 400_00}
	tests := map[string]struct {
		line, size string
		want       fleet.Money // -1: unknown
		why        string
	}{
		"contract":                  {"standard-1x web=1", "Standard-1X", 21_50, ""},
		"contract, catalog unread":  {"standard-1x web=1 sizes=?", "standard-1x", 21_50, ""},
		"list":                      {"standard-1x web=1", "standard-2x", 50_00, ""},
		"list, catalog unread":      {"standard-1x web=1 sizes=?", "standard-2x", -1, "Heroku did not answer"},
		"private, no list price":    {"private-m web=1 space=private", "private-m", -1, "no price for private-m"},
		"shield printed as private": {"private-m web=1 space=shield", "private-m", 400_00, ""},
		"space of unknown kind":     {"private-m web=1 space=private?", "private-m", -1, "Shield"},
		"eco":                       {"eco web=1", "eco", -1, "flat subscription"},
		"unheard of":                {"standard-1x web=1", "quantum-9x", -1, "no price for quantum-9x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			value := prices.Of(fleettest.App(tt.line), tt.size)
			if got := value.Or(-1); got != tt.want || !strings.Contains(value.Why().Text, tt.why) {
				t.Errorf("got %s (%s), want %s (%s)", got, value.Why().Text, tt.want, tt.why)
			}
		})
	}
	if got := (Prices)(nil).Of(fleettest.App("eco web=1"), "eco"); got.IsKnown() {
		t.Errorf("eco: got %s, want unknown", got.Or(-1))
	}
}

func TestApprovals(t *testing.T) {
	a := parse(t, "approval: { quorum: [{ above: 2000, approvals: 3 }, { above: 500, approvals: 2 }] }").Approval
	for _, tt := range []struct {
		increase fleet.Value[fleet.Money]
		want     int
	}{
		{fleet.Known(fleet.Money(0)), 1}, {fleet.Known(fleet.Money(500_00)), 1}, {fleet.Known(fleet.Money(500_01)), 2}, {fleet.Known(fleet.Money(2000_01)), 3},
		{fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotPriced}), 3},
	} {
		if got := a.Approvals(tt.increase); got != tt.want {
			t.Errorf("%s: got %d approvals, want %d", tt.increase.Or(-1), got, tt.want)
		}
	}
	if got := (Approval{}).Approvals(fleet.Known(fleet.Money(9_999_99))); got != 1 {
		t.Errorf("without a quorum: got %d approvals, want 1", got)
	}
}

// TestHostileFiles holds that what is long, deep or strange is refused, quickly and in
// few words, before the YAML parser sees it.
func TestHostileFiles(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a: &a [x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c < 'j'; c++ {
		bomb.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n")
	}
	for name, text := range map[string]string{
		"too large":            "# " + strings.Repeat("x", maxSize),
		"billion laughs":       bomb.String(),
		"deep brackets":        "scope: " + strings.Repeat("[", 100_000),
		"deep braces":          "scope: " + strings.Repeat("{a: ", 50_000),
		"deep dashes":          "scope: " + strings.Repeat("\n- ", 10) + strings.Repeat("- ", 50_000),
		"deep indentation":     strings.Repeat(" ", 100_000) + "scope: 1",
		"question marks":       strings.Repeat("? ", 50_000),
		"tags":                 "scope: " + strings.Repeat("!!str ", 10_000) + "x",
		"many lines":           strings.Repeat("a: 1\n", maxLines),
		"many unknown keys":    strings.Repeat("a: 1\n", 2000),
		"a very long key":      strings.Repeat("k", 200_000) + ": 1",
		"a very long value":    "digest: { timezone: " + strings.Repeat("z", 200_000) + " }",
		"many documents":       strings.Repeat("---\nscope: {}\n", 2000),
		"a NUL":                "scope:\x00",
		"not UTF-8":            "scope: \xff\xfe",
		"UTF-16":               "\xff\xfes\x00c\x00o\x00p\x00e\x00:\x00",
		"a binary":             "\x7fELF\x02\x01\x01",
		"a cron with no zone":  "digest: { schedule: \"TZ=0\" }",
		"a cron with one zone": "digest: { schedule: \"CRON_TZ=Europe/Berlin 0 3 * * *\" }",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("zdd.yml", []byte(text))
			mistakes, ok := errors.AsType[Mistakes](err)
			if !ok || len(mistakes) > maxMistakes || len(err.Error()) > 20_000 {
				t.Errorf("got %d mistakes in %d bytes, want at most %d in 20,000", len(mistakes), len(err.Error()), maxMistakes)
			}
		})
	}
}

// FuzzParse holds, for any text: no panic; mistakes name a line that exists and repeat
// no control character; what parses describes itself, and is safe to use.
func FuzzParse(f *testing.F) {
	f.Add(full(f))
	for _, pattern := range []string{"testdata/wrong.txt", "testdata/*.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for c := range strings.SplitSeq(string(text), "== ") {
				f.Add([]byte(c))
			}
		}
	}
	app := fleettest.App("standard-1x web=1 stage=production")
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("zdd.yml", text)
		if err != nil {
			mistakes, ok := errors.AsType[Mistakes](err)
			if !ok || len(mistakes) == 0 {
				t.Fatalf("got %T, want Mistakes", err)
			}
			for _, m := range mistakes {
				if lines := strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + 1; m.Line < 1 || m.Line > lines || m.Text == "" || m.File != "zdd.yml" {
					t.Errorf("got %+v of %d lines", m, lines)
				}
				if strings.ContainsFunc(m.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("a control character in %q", m.Error())
				}
			}
			return
		}
		if again, err := Parse("zdd.yml", text); err != nil || again.Digest() != p.Digest() {
			t.Errorf("parsed again: got %v and another policy", err)
		}
		r := p.For(app)
		if r.WebDynos < 1 || r.WebDynos > p.Limits.WebDynos || r.SessionAffinity == "" || r.JVMWarmup == "" {
			t.Errorf("got rules %+v", r)
		}
		if probe := r.Probe; !strings.HasPrefix(probe.Path, "/") || strings.HasPrefix(probe.Path, "//") || probe.Rate < 1 || probe.Rate > min(mostRate, p.Watch.PerSecond) ||
			probe.Timeout < leastTimeout || probe.Timeout > mostTimeout || probe.Expect == "" || probe.Expects(500) || probe.Visitors > 0 && probe.VisitorMarker == "" {
			t.Errorf("got the probe %+v", probe)
		}
		if w := p.Watch; w.Lasts < leastWatched || w.Lasts > mostWatched || w.AtOnce < 1 || w.PerSecond < 1 || w.Releases == "" {
			t.Errorf("got %+v", w)
		}
		if got := p.InScope(app); got.Why == "" || got.In != (got.Out == "") {
			t.Errorf("InScope says %+v, which is no reason", got)
		}
		for _, id := range slices.Concat(p.People.Readers, p.People.Operators, p.People.Approvers) {
			if !personID.MatchString(id) && !groupID.MatchString(id) {
				t.Errorf("got the person %q", id)
			}
		}
		if _, err := schedule.Parse(p.Nightly.Schedule, p.Nightly.Location()); err != nil {
			t.Errorf("got %+v: %v", p.Nightly, err)
		}
		if _, err := schedule.PostAt(app.ReadAt, p.Nightly.PostAt, p.Nightly.Location()); err != nil {
			t.Errorf("got %+v: %v", p.Nightly, err)
		}
		p.Hints()
	})
}
