package plan

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// TestHandOver: a hand-over begins when the release phase ends, and with a restart, which
// makes no release.
func TestHandOver(t *testing.T) {
	const none = -time.Hour
	tests := map[string]struct {
		line string
		left time.Duration // none: not busy
		why  string
	}{
		"long over":                         {"standard-1x web=1 preboot", none, ""},
		"just released":                     {"standard-1x web=1 preboot released=1m", 5 * time.Minute, "release v42 went out 1m ago"},
		"the last second":                   {"standard-1x web=1 preboot released=5m59s", time.Second, "release v42 went out 5m59s ago"},
		"over":                              {"standard-1x web=1 preboot released=6m", none, ""},
		"a release phase of 20 minutes":     {"standard-1x web=1 preboot released=21m through=1m", 5 * time.Minute, "release v42 went out 1m ago"},
		"that phase ended long ago":         {"standard-1x web=1 preboot released=21m through=7m", none, ""},
		"that phase failed":                 {"standard-1x web=1 preboot released=21m through=1m release=failed", none, ""},
		"a clock ahead of ours":             {"standard-1x web=1 preboot released=-30s", 6 * time.Minute, "release v42 went out 0s ago"},
		"a restart, starting":               {"standard-1x web=2 preboot starting=20s starting=20s", 5*time.Minute + 40*time.Second, "`web.1` has been starting for 20s"},
		"a restart, up":                     {"standard-1x web=2 preboot up=2m up=1m", 4 * time.Minute, "every web dyno came up anew, the first 2m ago"},
		"a restart, over":                   {"standard-1x web=2 preboot up=6m up=5m", none, ""},
		"one starts":                        {"standard-1x web=2 preboot up=5h starting=10s", 5*time.Minute + 50*time.Second, "`web.2` has been starting for 10s"},
		"one starts and does not get up":    {"standard-1x web=2 preboot up=5h starting=10m", none, ""},
		"one of two is new":                 {"standard-1x web=2 preboot up=5h up=10s", none, ""},
		"one crashed just now":              {"standard-1x web=1 preboot crashed=web.1", none, ""},
		"a worker is new":                   {"standard-1x web=1 worker=1 preboot crashed=worker.1", none, ""},
		"released, and the dynos are later": {"standard-1x web=1 preboot released=5m up=1m", 5 * time.Minute, "release v42 went out 5m ago"},
		"without preboot":                   {"standard-1x web=1 released=1m starting=10s", none, ""},
		"in a space":                        {"private-m web=1 space=private preboot released=1m", none, ""},
		"never released":                    {"standard-1x web=1 preboot new", none, ""},
		"release unread, dynos tell":        {"standard-1x web=1 preboot release=? starting=1m", 5 * time.Minute, "`web.1` has been starting for 1m"},
		"nothing read":                      {"standard-1x web=1 preboot release=? dynos=?", none, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app := fleettest.App(tt.line)
			busy, until, why := HandOver(app, app.ReadAt)
			if want := tt.left != none; busy != want || why != tt.why || busy && until.Sub(app.ReadAt) != tt.left || !busy && !until.IsZero() {
				t.Errorf("got %t until %v, %q; want %t, %v, %q", busy, until.Sub(app.ReadAt), why, want, tt.left, tt.why)
			}
			said := false
			for _, h := range Hazards(app, policy.Default().For(app), app.ReadAt) {
				said = said || h.ID == HazardHandOver && strings.HasPrefix(h.Text, Capital(tt.why)+":")
			}
			if said != busy {
				t.Errorf("the hazard is said %t, want %t", said, busy)
			}
		})
	}
}

// TestCommand: what could mean more than itself to a shell is never shown as something
// to paste into one.
func TestCommand(t *testing.T) {
	app := func(name string) fleet.App { return fleet.App{Name: name} }
	for _, tt := range []struct {
		got, want string
	}{
		{Command(app("shop"), "words", "logs --tail"), "`heroku logs --tail --app shop`"},
		{Command(app("shop"), "words", "ps:type", "web=standard-1x", "my_worker=standard-1x"), "`heroku ps:type web=standard-1x my_worker=standard-1x --app shop`"},
		{Command(app("shop; rm -rf ~"), "words", "logs"), "words"},
		{Command(app("$(id)"), "words", "logs"), "words"},
		{Command(app("-x"), "words", "logs"), "words"},
		{Command(app("shop\n"), "words", "logs"), "words"},
		{Command(app(""), "words", "logs"), "words"},
		{Command(app("shop"), "words", "ps:type", "web;id=standard-1x"), "words"},
		{Command(app("shop"), "words", "ps:type", "web=|id"), "words"},
		{Command(app("shop"), "words", "ps:type", "web="), "words"},
		{Command(app("shop"), "words", "addons:open", "--help"), "words"},
		{Command(app("shop"), "words", "addons:open", "a b"), "words"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// TestWanted: in a space nothing but rolling deploys keeps an app up, and those need two.
func TestWanted(t *testing.T) {
	for _, tt := range []struct {
		line string
		web  int // by policy
		want int
		who  string
	}{
		{"standard-1x web=1", 1, 1, "policy wants 1"},
		{"standard-1x web=1", 3, 3, "policy wants 3"},
		{"private-m web=1 space=private", 1, 2, "a rolling deploy needs 2, though policy wants 1"},
		{"private-m web=1 space=shield", 2, 2, "policy wants 2"},
		{"dyno-1c-0.5gb web=1 space=fir", 3, 3, "policy wants 3"},
	} {
		app := fleettest.App(tt.line)
		rules := policy.Default().For(app)
		rules.WebDynos = tt.web
		if got, who := Wanted(app, rules); got != tt.want || who != tt.who {
			t.Errorf("%s, policy %d: got %d, %s; want %d, %s", tt.line, tt.web, got, who, tt.want, tt.who)
		}
	}
}

// TestUnsureRules: a plan that would be another if the app were in another pipeline is no
// plan while that could not be read.
func TestUnsureRules(t *testing.T) {
	p, err := policy.Parse("zdd.yml", []byte(`apps: { "pipeline:checkout": { web_dynos: 4 }, "pipeline:api": { session_affinity: optional } }`))
	if err != nil {
		t.Fatal(err)
	}
	const refused = "Of `shop` I could not read the pipeline: Heroku did not answer. The policy has an entry for a pipeline that would make another plan. Nothing was changed; try again."
	for _, tt := range []struct {
		line string
		wish Wish
		want Outcome
	}{
		{"standard-1x web=1 pipeline=?", Wish{Verb: ToEnable}, Refused},
		{"standard-1x web=1 unnamed=production", Wish{Verb: ToEnable}, Refused},
		{"standard-1x web=1 stage=production", Wish{Verb: ToEnable}, Ready},
		{"standard-1x web=1", Wish{Verb: ToEnable}, Ready},
		{"standard-1x web=4 pipeline=?", Wish{Verb: ToEnable}, Refused}, // affinity, or none
		{"standard-1x web=4 affinity preboot pipeline=?", Wish{Verb: ToEnable}, AlreadySo},
		{"standard-1x web=2 pipeline=?", Wish{Verb: ToPreboot, On: true}, Ready},
		{"standard-1x web=1 pipeline=?", Wish{Verb: ToScale, Web: 2}, Refused}, // without affinity, or not
		{"standard-1x web=1 affinity pipeline=?", Wish{Verb: ToScale, Web: 2}, Ready},
		{"standard-1x web=2 affinity pipeline=?", Wish{Verb: ToAffinity}, Refused},
	} {
		app := fleettest.App(tt.line)
		got := For(app, p.For(app), tt.wish, app.ReadAt)
		if got.Outcome != tt.want || len(got.Hash) != 64 {
			t.Errorf("%s, %s: got %s %q, want %s", tt.line, tt.wish.Line("shop"), got.Outcome, got.Why, tt.want)
		}
		if tt.want == Refused && (len(got.Why) != 1 || got.Why[0] != refused || len(got.Steps) > 0) {
			t.Errorf("%s, %s: got %q and %d steps, want %q", tt.line, tt.wish.Line("shop"), got.Why, len(got.Steps), refused)
		}
	}
}
