package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

func TestRelisted(t *testing.T) {
	var listed []int
	for day := 1; day <= 60; day++ {
		if relisted(day-1, day) {
			listed = append(listed, day)
		}
	}
	if want := []int{1, 3, 7, 14, 28, 42, 56}; !slices.Equal(listed, want) {
		t.Errorf("read every day: got %v, want %v", listed, want)
	}
	for _, tt := range []struct {
		before, now int
		want        bool
	}{
		{0, 0, false}, {1, 1, false}, {1, 2, false}, {2, 4, true}, {3, 6, false}, {5, 9, true}, {8, 13, false}, {10, 30, true}, {28, 41, false}, {-1, 0, false},
	} {
		if got := relisted(tt.before, tt.now); got != tt.want {
			t.Errorf("from day %d to day %d: got %t, want %t", tt.before, tt.now, got, tt.want)
		}
	}
}

// TestCompare tells the life of one app, night by night. A line is the local time of the
// read, the app as fleettest has it (or gone, or lost), the owner after @, and then what
// is told of it: the news and the turns.
func TestCompare(t *testing.T) {
	const ready = "standard-1x web=2 affinity preboot"
	for name, story := range map[string][]string{
		"it regresses and is mended": {
			"03-01 03:30 " + ready + " @U1 | -",
			"03-02 03:30 standard-1x web=2 affinity @U1 | regressed preboot, mentioned, after 03-01 03:30 | preboot pass→fail",
			"03-03 03:30 standard-1x web=2 affinity @U1 | still preboot for 1",
			"03-04 03:30 " + ready + " @U1 | fixed preboot, after 03-03 03:30 | preboot fail→pass",
			"03-05 03:30 " + ready + " @U1 | -",
		},
		"found later, it is new": {
			"03-01 03:30 standard-1x web=1 affinity @U1 | new web-dynos preboot, mentioned",
			"03-01 12:00 standard-1x web=1 affinity @U1 | -",
			"03-02 03:30 standard-1x web=1 affinity @U1 | still web-dynos preboot for 1",
			"03-03 03:30 standard-1x web=2 affinity @U1 | - | web-dynos fail→pass",
			"03-04 03:30 standard-1x web=1 affinity @U1 | regressed web-dynos, mentioned, after 03-03 03:30 | web-dynos pass→fail",
		},
		"what never applied and then fails is new": {
			"03-01 03:30 standard-1x web=0 @U1 | -",
			"03-02 03:30 standard-1x web=2 affinity @U1 | new preboot, mentioned | dyno-tier not-applicable→pass, session-affinity not-applicable→pass, web-dynos not-applicable→pass, preboot not-applicable→fail",
			"03-03 03:30 standard-1x web=0 @U1 | fixed preboot, after 03-02 03:30 | dyno-tier pass→not-applicable, session-affinity pass→not-applicable, web-dynos pass→not-applicable, preboot fail→not-applicable",
		},
		"a night on which it can't be read is no change": {
			"03-01 03:30 standard-1x web=2 affinity @U1 | new preboot, mentioned",
			"03-02 03:30 standard-1x web=2 affinity features=? @U1 | unread",
			"03-03 03:30 standard-1x formation=? @U1 | unread",
			"03-04 03:30 standard-1x web=2 affinity @U1 | still preboot for 3",
			"03-05 03:30 lost @U1 | unread",
			"03-06 03:30 " + ready + " @U1 | fixed preboot, after 03-04 03:30 | preboot fail→pass",
		},
		"mended while something else could not be read": {
			"03-01 03:30 standard-1x web=1 affinity preboot @U1 | new web-dynos, mentioned",
			"03-02 03:30 standard-1x web=2 features=? @U1 | unread | web-dynos fail→pass",
			"03-03 03:30 " + ready + " @U1 | fixed dyno-tier session-affinity web-dynos preboot",
		},
		"another owner is told once": {
			"03-01 03:30 standard-1x web=2 affinity @U1 | new preboot, mentioned",
			"03-02 03:30 standard-1x web=2 affinity @S2 | yours preboot, mentioned",
			"03-03 03:30 standard-1x web=2 affinity @S2 | -",
			"03-04 03:30 standard-1x web=2 affinity | still preboot for 3",
			"03-05 03:30 standard-1x web=2 affinity @S2 | -",
		},
		"an owner who comes later is told": {
			"03-01 03:30 standard-1x web=2 affinity | new preboot",
			"03-02 03:30 standard-1x web=2 affinity @U1 | yours preboot, mentioned",
			"03-03 03:30 standard-1x web=2 affinity @U1 | -",
		},
		"the first night ever mentions nobody, and nobody for it": {
			"baseline 03-01 03:30 standard-1x web=2 affinity @U1 | new preboot",
			"03-02 03:30 standard-1x web=2 affinity @U1 | still preboot for 1",
			"03-03 03:30 standard-1x web=2 affinity @S2 | yours preboot, mentioned",
		},
		"not read on the first night ever": {
			"baseline 03-01 03:30 standard-1x formation=? @U1 | unread",
			"03-02 03:30 standard-1x formation=? @U1 | unread",
			"03-03 03:30 standard-1x web=2 affinity @U1 | new preboot",
			"03-04 03:30 standard-1x web=1 affinity @U1 | regressed web-dynos, mentioned, after 03-03 03:30 | web-dynos pass→fail",
		},
		"gone and back": {
			"03-01 03:30 standard-1x web=2 affinity @U1 | new preboot, mentioned",
			"03-02 03:30 gone @U1 | gone",
			"03-05 03:30 standard-1x web=2 affinity @U1 | new preboot, mentioned",
			"03-06 03:30 " + ready + " @U1 | fixed preboot, after 03-05 03:30 | preboot fail→pass",
			"03-07 03:30 gone @U1 | -",
			"03-08 03:30 standard-1x web=2 affinity @U1 | regressed preboot, mentioned, after 03-06 03:30 | preboot pass→fail",
		},
		"renamed and moved": {
			"03-01 03:30 standard-1x web=2 affinity team=data @U1 | new preboot, mentioned",
			"03-02 03:30 standard-1x web=2 affinity name=store @U1 | still preboot for 1, was shop of data",
			"03-03 03:30 standard-1x web=2 affinity name=store personal @U1 | -",
			"03-04 03:30 standard-1x web=2 affinity name=store team=data @U1 | still preboot for 3, was  of -",
		},
		"days are dates, also when the clocks change": {
			"03-28 03:30 standard-1x web=2 affinity | new preboot",
			"03-29 00:10 standard-1x web=2 affinity | still preboot for 1",
			"03-30 23:50 standard-1x web=2 affinity | -",
			"03-31 00:10 standard-1x web=2 affinity | still preboot for 3",
		},
		"nights that were missed": {
			"03-01 03:30 standard-1x web=2 affinity | new preboot",
			"03-06 03:30 standard-1x web=2 affinity | still preboot for 5",
			"03-07 03:30 standard-1x web=2 affinity | -",
			"03-19 03:30 standard-1x web=2 affinity | still preboot for 18",
			"04-01 03:30 standard-1x web=2 affinity | still preboot for 31",
		},
		"a bad turn is not hidden by a good one": {
			"03-01 03:30 standard-1x web=1 affinity preboot @U1 | new web-dynos, mentioned",
			"03-02 03:30 standard-1x web=2 affinity @U1 | regressed preboot, mentioned, after 03-01 03:30 | web-dynos fail→pass, preboot pass→fail",
		},
		"what Heroku tells nobody is unknown, and read": {
			"03-01 03:30 standard-1x web=1 affinity preboot @U1 | new web-dynos, mentioned",
			"03-02 03:30 standard-1x web=2 affinity preboot addon=judoscale:bronze @U1 | -",
			"03-03 03:30 " + ready + " @U1 | fixed web-dynos, after 03-01 03:30 | web-dynos fail→pass",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s Standing
			for _, line := range story {
				given, want, _ := strings.Cut(line, " | ")
				var turns []Turn
				s, turns = nextNight(t, s, given)
				if got := told(s, turns); got != want {
					t.Errorf("%s\ngot  %s\nwant %s", given, got, want)
				}
			}
		})
	}
}

func berlin(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// nextNight reads a line of TestCompare.
func nextNight(t *testing.T, before Standing, line string) (Standing, []Turn) {
	t.Helper()
	line, baseline := strings.CutPrefix(line, "baseline ")
	line, owner, _ := strings.Cut(line, " @")
	at, err := time.ParseInLocation("2006-01-02 15:04", "2026-"+line[:11], berlin(t))
	if err != nil {
		t.Fatal(err)
	}
	scan := Scan{Night: "2026-" + line[:5], Baseline: baseline, Zone: berlin(t)}
	var words []string
	var waivers []policy.Waiver
	name, personal := "shop", false
	for word := range strings.FieldsSeq(line[12:]) {
		waive, waived := strings.CutPrefix(word, "waive=")
		switch value, named := strings.CutPrefix(word, "name="); {
		case waived:
			waivers = append(waivers, waiverOf(t, waive))
		case word == "gone":
			return Left(before, "deleted", at, scan), nil
		case word == "lost":
			return Lost(before, fleet.Reason{Kind: NotListed, Text: "in no list"}, at, scan), nil
		case word == "personal":
			personal = true
		case named:
			name = value
		default:
			words = append(words, word)
		}
	}
	app := fleettest.App(strings.Join(words, " "))
	app.Name, app.ReadAt = name, at
	if personal {
		app.Team = ""
	}
	rules := policy.Default().For(app)
	rules.Owner, rules.Waivers = owner, waivers
	return Compare(before, judge(app, rules), scan)
}

// told is what a standing tells, in the words of TestCompare.
func told(s Standing, turns []Turn) string {
	n := s.News
	short := func(at time.Time) string { return at.In(time.FixedZone("CET", 3600)).Format("01-02 15:04") }
	text := "-"
	if n.Kind != "" {
		text = strings.Join(append([]string{string(n.Kind)}, n.Checks...), " ")
	}
	if n.Days > 0 {
		text += fmt.Sprintf(" for %d", n.Days)
	}
	if n.Mention {
		text += ", mentioned"
	}
	if n.Why != "" && n.Kind == LineNew {
		text += ", " + n.Why
	}
	for _, w := range n.Ending {
		text += fmt.Sprintf(", %s of %s ends in %d", w.ID, w.Check, w.Left)
	}
	if !n.After.IsZero() {
		text += ", after " + short(n.After)
	}
	if n.Was != "" || n.From != "" {
		text += fmt.Sprintf(", was %s of %s", n.Was, n.From)
	}
	if len(turns) == 0 {
		return text
	}
	var all []string
	for _, turn := range turns {
		all = append(all, fmt.Sprintf("%s %s→%s", turn.Check, turn.From, turn.To))
	}
	return text + " | " + strings.Join(all, ", ")
}

// TestOutBy holds the short reasons against what the policy says at length.
func TestInScope(t *testing.T) {
	p, err := policy.Parse("zdd.yml", []byte("scope: {teams: [acme], include: [\"shop*\", \"old-*\"], exclude: [\"*-sandbox\"], stages: [production]}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, line, want string }{
		{"shop", "basic stage=production", ""},
		{"shop", "basic stage=production team=data", "other team"},
		{"shop", "basic stage=production team=", "personal"},
		{"blog", "basic stage=production", "not included"},
		{"shop-sandbox", "basic stage=production", "excluded"},
		{"shop", "basic stage=review", "review"},
		{"shop", "basic", "no pipeline"},
		{"old-shop", "basic stage=production", "archived"},
		{"shop", "basic pipeline=?", ""},
		{"shop", "basic stage=tomorrow", ""},
	} {
		app := fleettest.App(tt.line)
		app.Name = tt.name
		if strings.HasPrefix(tt.name, "old-") {
			app.ArchivedAt = app.CreatedAt
		}
		in, out := inScope(p, []fleet.App{app})
		got := ""
		for why := range out {
			got = why
		}
		if got != tt.want || len(in)+total(out) != 1 {
			t.Errorf("%s %s: got %q, want %q", tt.name, tt.line, got, tt.want)
		}
	}
}

func TestPace(t *testing.T) {
	for name, tt := range map[string]struct {
		pace pace
		want time.Duration
	}{
		"nothing to do":                {pace{left: 4500, reserve: 500, parallel: 16, latency: time.Second}, 0},
		"as fast as Heroku answers":    {pace{calls: 2000, counted: 2000, left: 4500, reserve: 500, parallel: 16, latency: 200 * time.Millisecond}, 25 * time.Second},
		"as fast as the limit allows":  {pace{calls: 20000, counted: 20000, left: 4500, reserve: 500, parallel: 16, latency: 200 * time.Millisecond}, 16000 * time.Minute / 75},
		"all but the reserve is used":  {pace{calls: 750, counted: 750, left: 500, reserve: 500, parallel: 16, latency: time.Millisecond}, 10 * time.Minute},
		"the reserve comes back first": {pace{calls: 75, counted: 75, left: 0, reserve: 500, parallel: 16, latency: time.Millisecond}, 460 * time.Second},
		"and only for what counts":     {pace{calls: 16, left: 0, reserve: 500, parallel: 16, latency: time.Second}, time.Second},
		"a part is there":              {pace{calls: 950, counted: 950, left: 700, reserve: 500, parallel: 16, latency: time.Millisecond}, 10 * time.Minute},
		"monitors take no tokens":      {pace{calls: 1600, counted: 75, left: 500, reserve: 500, parallel: 16, latency: time.Second}, 100 * time.Second},
	} {
		if got := tt.pace.takes(); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}
