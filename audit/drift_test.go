package audit

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// watchedLife is one app with its nights, its looks and what happens in between. It is
// what a watchTurn reads and asks.
type watchedLife struct {
	WatchStore // the rest of it is not asked for
	Reader
	standing Standing
	turns    []Turn
	ours     []Ours
	releases []fleet.Release
	unposted []Bulletin
	away     bool // releases can't be read
}

func (l *watchedLife) Turns(context.Context, fleet.ID, int) ([]Turn, error) { return l.turns, nil }

func (l *watchedLife) ReadReleases(_ context.Context, _ fleet.ID, after, before time.Time) ([]fleet.Release, error) {
	if l.away {
		return nil, &fleet.Problem{Kind: fleet.Unavailable}
	}
	return slices.DeleteFunc(slices.Clone(l.releases), func(r fleet.Release) bool {
		return !r.CreatedAt.After(after) || r.CreatedAt.After(before)
	}), nil
}

func (l *watchedLife) before(_ context.Context, _ fleet.ID, since time.Time) ([]Ours, error) {
	return slices.DeleteFunc(slices.Clone(l.ours), func(o Ours) bool { return !o.Ended.IsZero() && o.Ended.Before(since) }), nil
}

// lifeReading is the app of a line as it is read then.
func lifeReading(t *testing.T, at time.Time, words string) Reading {
	t.Helper()
	var rules string
	owner := ""
	var line []string
	for word := range strings.FieldsSeq(words) {
		if o, ok := strings.CutPrefix(word, "@"); ok {
			owner = "owner: " + o
		} else if w, ok := strings.CutPrefix(word, "wants="); ok {
			rules = "requirements: {web_dynos: " + w + "}\n"
		} else {
			line = append(line, word)
		}
	}
	if owner != "" {
		rules += "apps: {shop: {" + owner + "}}\n"
	}
	p, err := policy.Parse("zdd.yml", []byte(rules+"digest: {channel: C0OPS}\n"))
	if err != nil {
		t.Fatal(err)
	}
	app := fleettest.App(strings.Join(line, " "))
	app.ReadAt = at
	of := p.For(app)
	return judge(app, of)
}

func (l *watchedLife) play(t *testing.T, line string) string {
	t.Helper()
	fields := strings.Fields(line)
	at, err := time.Parse("2006-01-02 15:04", "2026-03-"+fields[0]+" "+fields[1])
	if err != nil {
		t.Fatal(err)
	}
	clock := func(at time.Time) string { return at.Format("02 15:04") }
	rest := strings.Join(fields[3:], " ")
	switch fields[2] {
	case "night":
		s, turns := Compare(l.standing.unheard(l.unposted, at), lifeReading(t, at, rest), Scan{Night: "night " + fields[0], Zone: time.UTC})
		s.Watch = l.standing.Watch // a night does not write it
		l.standing, l.turns = s, append(slices.Clone(turns), l.turns...)
		said := []string{}
		if s.News.Night == s.Night && s.News.Kind != "" {
			text := string(s.News.Kind)
			if !s.News.After.IsZero() {
				text += ", fine " + clock(s.News.After)
			}
			if !s.News.Since.IsZero() {
				text += ", told " + clock(s.News.Since)
			}
			if s.News.Mention {
				text += ", mentioned"
			}
			said = append(said, text)
		}
		return strings.Join(append(said, turnWords(turns, clock)...), "; ")
	case "unposted":
		l.unposted = []Bulletin{{At: at, Drifts: []Drifted{driftOf(fleettest.ID, at)}}}
		return ""
	case "ours":
		o := Ours{Ticket: "T-1", App: fleettest.ID, Ended: at, Ready: rest == "ready"}
		if rest == "runs" {
			o.Ended = time.Time{}
		}
		l.ours = []Ours{o}
		return ""
	case "release":
		r := fleet.Release{Version: len(l.releases) + 1, Status: "succeeded", Description: "Deploy 1234abcd", CreatedAt: at}
		if rest == "pending" {
			r.Status = rest
		} else if rest != "" {
			r.Description = rest
		}
		l.releases = append(l.releases, r)
		return ""
	case "over":
		l.releases[len(l.releases)-1].Status = "succeeded"
		l.releases[len(l.releases)-1].UpdatedAt = at
		return ""
	case "away":
		l.away = rest == "on"
		return ""
	case "look":
	default:
		t.Fatalf("%q is nothing that happens", line)
	}
	w := NewWatcher(WatchConfig{Store: l, Heroku: l, Ours: l.before, Now: func() time.Time { return at }})
	turn := &watchTurn{Watcher: w, every: 30 * time.Minute, policy: policy.Default()}
	turn.policy.Nightly.Channel = "C0OPS"
	was := l.standing
	c, err := turn.conclude(t.Context(), l.standing, sight{Reading: lifeReading(t, at, rest), calls: 2})
	if err != nil {
		t.Fatal(err)
	}
	if l.standing.Night != was.Night {
		t.Fatal("a look wrote into what the night wrote")
	}
	l.standing.Watch = c.Watch
	l.turns = append(slices.Clone(c.turns), l.turns...)
	var said []string
	if !c.Again.IsZero() {
		said = append(said, "again "+clock(c.Again))
	}
	if c.drifted != nil {
		d := c.drifted
		text := fmt.Sprintf("told of %s %s–%s", strings.Join(d.Checks, " "), clock(d.After), clock(d.Since))
		if d.Fight != nil {
			text += fmt.Sprintf(", flip %d, by %s", len(d.Flips), d.Fight.Who)
		}
		said = append(said, text)
	} else if c.found {
		said = append(said, "found")
	}
	return strings.Join(append(said, turnWords(c.turns, clock)...), "; ")
}

func turnWords(turns []Turn, clock func(time.Time) string) (said []string) {
	for _, t := range turns {
		said = append(said, fmt.Sprintf("%s %s→%s %s–%s", t.Check, t.From, t.To, clock(t.After), clock(t.Before)))
	}
	return said
}

// TestWatchedLives tells lives of one app in nights and looks: what each of them comes to.
func TestWatchedLives(t *testing.T) {
	const ready, off = "standard-1x web=2 affinity preboot @U0ANNA", "standard-1x web=2 affinity @U0ANNA"
	for name, story := range map[string][]string{
		"told once, and listed by the night": {
			"01 03:30 night " + ready,
			"01 14:00 look " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | told of preboot 01 14:00–01 14:30; preboot pass→fail 01 14:00–01 14:30",
			"01 15:00 look " + off,
			"02 03:30 night " + off + " | regressed, fine 01 14:00, told 01 14:30",
			"02 04:00 look " + off,
			"03 03:30 night " + off,
			"04 03:30 night " + off + " | still",
		},
		"told to somebody else than its owner of tonight": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | told of preboot 01 03:30–01 14:30; preboot pass→fail 01 03:30–01 14:30",
			"02 03:30 night standard-1x web=2 affinity @U0BERT | regressed, fine 01 03:30, told 01 14:30, mentioned",
		},
		"told by the night, because Slack was away": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | told of preboot 01 03:30–01 14:30; preboot pass→fail 01 03:30–01 14:30",
			"01 14:33 unposted",
			"02 03:30 night " + off + " | regressed, fine 01 03:30, mentioned",
			"03 03:30 night " + off,
		},
		"a bulletin that is just being posted": {
			"01 03:30 night " + ready,
			"02 03:20 look " + off + " | again 02 03:21",
			"02 03:21 look " + off + " | told of preboot 01 03:30–02 03:20; preboot pass→fail 01 03:30–02 03:20",
			"02 03:23 unposted",
			"02 03:30 night " + off + " | regressed, fine 01 03:30, told 02 03:20",
		},
		"mended before the night": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | told of preboot 01 03:30–01 14:30; preboot pass→fail 01 03:30–01 14:30",
			"01 15:01 look " + ready + " | preboot fail→pass 01 14:31–01 15:01",
			"02 03:30 night " + ready,
		},
		"mended and spoilt again, which only the night sees": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | told of preboot 01 03:30–01 14:30; preboot pass→fail 01 03:30–01 14:30",
			"01 15:01 look " + ready + " | preboot fail→pass 01 14:31–01 15:01",
			"02 03:30 night " + off + " | regressed, fine 01 15:01, mentioned; preboot pass→fail 01 15:01–02 03:30",
		},
		"off for a moment": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + ready,
			"01 15:00 look " + ready,
		},
		"over a clock that was set back": {
			"02 03:30 night " + ready,
			"02 14:30 look " + off + " | again 02 14:31",
			"01 14:31 look " + off + " | again 01 14:32",
			"01 14:32 look " + off + " | told of preboot 02 03:30–02 14:30; preboot pass→fail 02 03:30–02 14:30",
			"01 15:00 look " + off,
			"01 15:30 look " + ready + " | preboot fail→pass 01 15:00–01 15:30",
			"01 16:00 look " + ready,
		},
		"a second look that comes too soon counts for nothing": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:30 look " + off + " | again 01 14:31",
		},
		"a hand-over": {
			"01 03:30 night " + ready,
			"01 14:27 release",
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | again 01 14:33",
			"01 14:33 look " + ready,
		},
		"a release phase, however long, and the hand-over after it": {
			"01 03:30 night " + ready,
			"01 14:27 release pending",
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | again 01 14:32",
			"01 18:00 look " + off + " | again 01 18:01",
			"01 18:00 over",
			"01 18:01 look " + off + " | told of preboot 01 03:30–01 14:30; preboot pass→fail 01 03:30–01 14:30",
		},
		"the end of a release phase begins a hand-over": {
			"01 03:30 night " + ready,
			"01 14:00 release pending",
			"01 14:29 over",
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | again 01 14:35",
		},
		"who deploys all the time is told after an hour": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 release",
			"01 14:32 look " + off + " | again 01 14:37",
			"01 15:28 release",
			"01 15:29 look " + off + " | again 01 15:34",
			"01 15:30 look " + off + " | told of preboot 01 03:30–01 14:30; preboot pass→fail 01 03:30–01 14:30",
		},
		"releases that can't be read are waited for, an hour": {
			"01 03:30 night " + ready,
			"01 14:00 away on",
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | again 01 14:36",
			"01 15:31 look " + off + " | told of preboot 01 03:30–01 14:30; preboot pass→fail 01 03:30–01 14:30",
		},
		"our own switch": {
			"01 03:30 night " + ready,
			"01 14:00 look " + ready,
			"01 14:20 ours not-ready",
			"01 14:30 look " + off + " | preboot pass→fail 01 14:00–01 14:30",
			"01 15:00 look " + off,
			"02 03:30 night " + off + " | regressed, fine 01 03:30, mentioned",
		},
		"a ticket of ours that runs is waited for": {
			"01 03:30 night " + ready,
			"01 14:20 ours runs",
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:35 ours ready",
			"01 15:00 look " + ready,
		},
		"undone after our ticket": {
			"01 03:30 night " + ready,
			"01 14:20 ours ready",
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | told of preboot 01 14:20–01 14:30; preboot pass→fail 01 14:20–01 14:30",
		},
		"a ticket that ended before the app was last seen ready is no excuse": {
			"01 03:30 night " + ready,
			"01 14:00 ours not-ready",
			"01 14:10 look " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look " + off + " | told of preboot 01 14:10–01 14:30; preboot pass→fail 01 14:10–01 14:30",
		},
		"another policy is no drift": {
			"01 03:30 night " + ready,
			"01 14:30 look " + ready + " wants=3 | web-dynos pass→fail 01 03:30–01 14:30",
			"01 15:00 look " + ready + " wants=3",
			"01 15:30 look standard-1x web=2 affinity @U0ANNA wants=3 | preboot pass→fail 01 15:00–01 15:30",
		},
		"what can't be read is no drift": {
			"01 03:30 night " + ready,
			"01 14:30 look standard-1x formation=? @U0ANNA",
			"01 15:00 look " + off + " | again 01 15:01",
			"01 15:01 look standard-1x web=2 features=? @U0ANNA",
			"01 15:30 look " + off + " | told of preboot 01 03:30–01 15:00; preboot pass→fail 01 03:30–01 15:00",
		},
		"an app that was stopped is none": {
			"01 03:30 night " + ready,
			"01 14:30 look standard-1x web=0 affinity preboot @U0ANNA | dyno-tier pass→not-applicable 01 03:30–01 14:30; session-affinity pass→not-applicable 01 03:30–01 14:30; web-dynos pass→not-applicable 01 03:30–01 14:30; preboot pass→not-applicable 01 03:30–01 14:30",
		},
		"one that was never ready has none": {
			"01 03:30 night standard-1x web=1 affinity preboot @U0ANNA | new, mentioned",
			"01 14:30 look standard-1x web=1 affinity @U0ANNA | preboot pass→fail 01 03:30–01 14:30",
		},
		"two checks are one drift": {
			"01 03:30 night " + ready,
			"01 14:30 look " + off + " | again 01 14:31",
			"01 14:31 look standard-1x web=1 affinity @U0ANNA | told of web-dynos preboot 01 03:30–01 14:30; web-dynos pass→fail 01 03:30–01 14:31; preboot pass→fail 01 03:30–01 14:30",
		},
		"the third time it is fought over, and told once a day": {
			"01 03:30 night " + ready,
			"01 10:00 look " + off + " | again 01 10:01",
			"01 10:01 look " + off + " | told of preboot 01 03:30–01 10:00; preboot pass→fail 01 03:30–01 10:00",
			"01 11:00 look " + ready + " | preboot fail→pass 01 10:01–01 11:00",
			"01 12:00 look " + off + " | again 01 12:01",
			"01 12:01 look " + off + " | told of preboot 01 11:00–01 12:00; preboot pass→fail 01 11:00–01 12:00",
			"01 13:00 look " + ready + " | preboot fail→pass 01 12:01–01 13:00",
			"01 14:00 look " + off + " | again 01 14:01",
			"01 14:01 look " + off + " | told of preboot 01 13:00–01 14:00, flip 3, by ; preboot pass→fail 01 13:00–01 14:00",
			"01 15:00 look " + ready + " | preboot fail→pass 01 14:01–01 15:00",
			"01 16:00 look " + off + " | again 01 16:01",
			"01 16:01 look " + off + " | found; preboot pass→fail 01 15:00–01 16:00",
			"02 03:30 night " + off + " | regressed, fine 01 15:00, mentioned",
			"02 14:00 look " + ready + " | preboot fail→pass 02 03:30–02 14:00",
			"02 16:00 look " + off + " | again 02 16:01",
			"02 16:01 look " + off + " | told of preboot 02 14:00–02 16:00, flip 5, by ; preboot pass→fail 02 14:00–02 16:00",
			"02 17:00 look " + ready + " | preboot fail→pass 02 16:01–02 17:00",
			"10 03:30 night " + ready + " | fixed, fine 02 03:30",
			"10 10:00 look " + off + " | again 10 10:01",
			"10 10:01 look " + off + " | told of preboot 10 03:30–10 10:00; preboot pass→fail 10 03:30–10 10:00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &watchedLife{}
			for _, line := range story {
				does, want, _ := strings.Cut(line, " | ")
				if got := l.play(t, does); got != want {
					t.Errorf("%s:\n got %s\nwant %s", does, got, want)
				}
			}
		})
	}
}

func TestFight(t *testing.T) {
	hour := func(h int) time.Time { return time.Date(2026, 3, 1, h, 0, 0, 0, time.UTC) }
	flips := func(check string) []Flip {
		return []Flip{{hour(1), hour(2), []string{check}}, {hour(3), hour(4), []string{check}}, {hour(5), hour(6), []string{check}}}
	}
	deploys := func(description string, hours ...int) (all []fleet.Release) {
		for _, h := range hours {
			all = append(all, fleet.Release{Version: h, Description: description, By: "dana@acme.example", CreatedAt: hour(h).Add(-time.Minute)})
		}
		return all
	}
	changed := []Quantity{{From: 2, To: 1, After: hour(1), At: hour(2)}, {From: 1, To: 2, After: hour(2), At: hour(3)}}
	for name, tt := range map[string]struct {
		app      string
		check    string
		changes  []Quantity
		releases fleet.Value[[]fleet.Release]
		who      string
		evidence string // a part
	}{
		"Heroku's autoscaler":      {"performance-m web=1 scaler=1-4", "web-dynos", changed, fleet.Known([]fleet.Release(nil)), "Heroku's autoscaler", "from 1 to 4"},
		"an add-on":                {"standard-1x web=1 addon=judoscale:small", "web-dynos", changed, fleet.Known([]fleet.Release(nil)), "the add-on `judoscale`", "2 → 1, 1 → 2"},
		"no list shows it":         {"standard-1x web=1", "web-dynos", changed, fleet.Known([]fleet.Release(nil)), "an autoscaler that no list shows", "without a ticket of mine: 2 → 1, 1 → 2"},
		"no scaler turns features": {"standard-1x web=2 addon=judoscale:small", "preboot", changed, fleet.Known([]fleet.Release(nil)), "", "nobody is named"},
		"a release says so":        {"standard-1x web=2", "preboot", nil, fleet.Known(deploys("Disable preboot", 4)), "who or what makes these releases", "Release v4 by dana@acme.example in between says “Disable preboot”"},
		"with every deploy":        {"standard-1x web=2", "preboot", nil, fleet.Known(deploys("Deploy preboot-off", 2, 4, 6)), "something that runs with the app's deploys", "each time: v2, v4, v6"},
		"with two of three":        {"standard-1x web=2", "preboot", nil, fleet.Known(deploys("Deploy 1234", 2, 4)), "", "nobody is named"},
		"beside, not between":      {"standard-1x web=2", "preboot", nil, fleet.Known(deploys("Disable preboot", 3, 5, 7)), "", "nobody is named"},
		"unread":                   {"standard-1x web=2", "preboot", nil, fleet.Unknown[[]fleet.Release](fleettest.Unread()), "", "could not be read (Heroku did not answer)"},
	} {
		f := fight(fleettest.App(tt.app), Watch{Changes: tt.changes}, flips(tt.check), tt.releases)
		if f.Who != tt.who || !strings.Contains(strings.Join(f.Evidence, " "), tt.evidence) || f.Advice == "" {
			t.Errorf("%s: got %+v, want %q with %q", name, f, tt.who, tt.evidence)
		}
		if tt.who == "" && strings.Contains(fmt.Sprint(f), "dana") {
			t.Errorf("%s: somebody is named for being near: %+v", name, f)
		}
	}
}

func TestBulletins(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	found := func(channel string, minutes ...int) (all []Drifted) {
		for i, m := range minutes {
			all = append(all, Drifted{Line: Line{App: fleet.ID(fmt.Sprint(channel, i)), Name: fmt.Sprintf("app-%02d", 99-i)}, Channel: channel, Found: at(m)})
		}
		return all
	}
	for name, tt := range map[string]struct {
		pending []Drifted
		told    map[string]time.Time
		now     int
		busy    bool
		want    string // channel:drifts
		next    int
	}{
		"none":                              {now: 10, want: ""},
		"one waits for others, briefly":     {pending: found("C1", 9), now: 10, busy: true, want: "", next: 11},
		"one is told soon":                  {pending: found("C1", 8), now: 10, busy: true, want: "C1:1"},
		"two too":                           {pending: found("C1", 8, 10), now: 10, busy: true, want: "C1:2"},
		"three wait for the rest":           {pending: found("C1", 8, 9, 10), now: 10, busy: true, want: "", next: 38},
		"as long as there is a rest":        {pending: found("C1", 8, 9, 10), now: 10, want: "C1:3"},
		"and no longer than an interval":    {pending: found("C1", 8, 9, 10), now: 38, busy: true, want: "C1:3"},
		"a storm for two":                   {pending: found("C1", slices.Repeat([]int{8}, 20)...), now: 38, busy: true, want: "", next: 68},
		"and then it is told":               {pending: found("C1", slices.Repeat([]int{8}, 20)...), now: 68, busy: true, want: "C1:20"},
		"a channel is told once in between": {pending: found("C1", 8), told: map[string]time.Time{"C1": at(-10)}, now: 10, want: "", next: 20},
		"and again after that":              {pending: found("C1", 8), told: map[string]time.Time{"C1": at(-10)}, now: 20, want: "C1:1"},
		"told by a clock set back":          {pending: found("C1", 8), told: map[string]time.Time{"C1": at(190)}, now: 10, want: "C1:1"},
		"found by a clock set back":         {pending: found("C1", 190), now: 10, want: "C1:1"},
		"each channel by itself":            {pending: append(found("C2", 8), found("C1", 8, 9)...), told: map[string]time.Time{"C2": at(0)}, now: 10, want: "C1:2", next: 30},
	} {
		before := Watching{Pending: tt.pending, Told: tt.told, Bulletins: 7}
		after, made, next := before.bulletins(noticing{now: at(tt.now), every: 30 * time.Minute, gather: 2 * time.Minute, busy: tt.busy, zone: "UTC", round: time.Hour})
		var got []string
		told := 0
		for i, b := range made {
			got = append(got, fmt.Sprintf("%s:%d", b.Channel, len(b.Drifts)))
			told += len(b.Drifts)
			if b.ID != fmt.Sprint(8+i) || !b.At.Equal(at(tt.now)) || b.Every != time.Hour || !after.Told[b.Channel].Equal(b.At) {
				t.Errorf("%s: got %+v", name, b)
			}
			if !slices.IsSortedFunc(b.Drifts, func(a, b Drifted) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("%s: not by name: %+v", name, b.Drifts)
			}
		}
		if strings.Join(got, " ") != tt.want || len(after.Pending)+told != len(tt.pending) {
			t.Errorf("%s: got %q and %d left, want %q", name, got, len(after.Pending), tt.want)
		}
		if want := at(tt.next); tt.next != 0 && !next.Equal(want) || tt.next == 0 && !next.IsZero() {
			t.Errorf("%s: got the next at %v, want %v", name, next, want)
		}
	}
}

func TestWatchInterval(t *testing.T) {
	for _, tt := range []struct {
		every time.Duration
		apps  int
		calls float64
		want  time.Duration
	}{
		{0, 1000, 2, 0}, {30 * time.Minute, 0, 0, 30 * time.Minute}, {30 * time.Minute, 375, 2, 30 * time.Minute}, {30 * time.Minute, 376, 2, 31 * time.Minute},
		{30 * time.Minute, 2000, 0, 160 * time.Minute}, {30 * time.Minute, 2000, 3, 4 * time.Hour}, {24 * time.Hour, 2000, 2, 24 * time.Hour},
	} {
		if got := WatchInterval(tt.every, tt.apps, tt.calls); got != tt.want {
			t.Errorf("every %v, %d apps at %v calls: got %v, want %v", tt.every, tt.apps, tt.calls, got, tt.want)
		}
	}
}

// TestWaivedIsNoDrift: while a waiver holds, what it covers is none; and when it ends, the
// app has not changed.
func TestWaivedIsNoDrift(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC) }
	read := func(at time.Time, words string) Reading {
		app := fleettest.App(words)
		app.ReadAt = at
		rules := policy.Default().For(app)
		rules.Waivers = []policy.Waiver{{
			ID: "W-1", State: policy.WaiverActive, App: app.ID, Check: "preboot", Reason: policy.MigrationWindow, By: "U1", From: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC), Until: time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC),
		}}
		return judge(app, rules)
	}
	s, _ := Compare(Standing{}, read(at(3), "standard-1x web=2 affinity preboot"), Scan{Night: "1", Zone: time.UTC})
	for _, hour := range []int{10, 11, 15, 16} {
		r := read(at(hour), "standard-1x web=2 affinity")
		if got := s.fallen(r); len(got) > 0 {
			t.Errorf("at %d: got %v, want no drift", hour, got)
		}
		s.Watch, _ = s.settle(r, nil)
	}
	// Something else is one all the same.
	s.Watch = Watch{}
	if got := s.fallen(read(at(10), "standard-1x web=1 affinity")); len(got) != 1 || got[0].Check != "web-dynos" {
		t.Errorf("got %v, want web-dynos", got)
	}
}

// A drift keeps what failed and what mending it takes, by the newest look; a night, or an app
// that is ready again, ends that.
func TestDriftKeepsItsRemedy(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC) }
	read := func(hour int, words string) Reading {
		app := fleettest.App(words)
		app.ReadAt = at(hour)
		return judge(app, policy.Default().For(app))
	}
	s, _ := Compare(Standing{}, read(3, "standard-1x web=2 affinity preboot"), Scan{Night: "1", Zone: time.UTC})
	s.Watch, _ = s.confirm(read(10, "standard-1x web=1 affinity preboot"), nil, nil)
	w := s.Watch
	if len(w.Drifts) != 1 || !strings.HasPrefix(w.Drifts[0].Evidence, "1 standard-1x web dyno runs") || w.Remedy == nil || w.Remedy.Increase != fleet.Known(fleet.Money(25_00)) {
		t.Fatalf("got %+v with %+v, want one dyno and $25.00", w.Drifts, w.Remedy)
	}
	s.Watch, _ = s.settle(read(11, "standard-2x web=1 affinity preboot"), nil)
	if w := s.Watch; !strings.HasPrefix(w.Drifts[0].Evidence, "1 standard-2x") || w.Remedy.Increase != fleet.Known(fleet.Money(50_00)) {
		t.Errorf("after another look: got %+v with %+v, want $50.00", w.Drifts, w.Remedy)
	}
	night := s
	night.Night = "2"
	if w := night.goesOn(); w.Remedy != nil {
		t.Errorf("after a night: got %+v, want none", w.Remedy)
	}
	if w, _ := s.settle(read(12, "standard-2x web=2 affinity preboot"), nil); len(w.Drifts) > 0 || w.Remedy != nil {
		t.Errorf("ready again: got %+v with %+v, want none", w.Drifts, w.Remedy)
	}
}

func TestWatchRests(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		every  time.Duration
		nights []Night
		want   string
		rest   time.Duration
	}{
		"after many calls":                 {time.Hour, nil, "to leave others their share", time.Minute},
		"before the clock was set back":    {time.Hour, nil, "to be looked at again", 3 * time.Hour},
		"switched off":                     {0, nil, "switches the watch off", 0},
		"a scan is under way":              {time.Hour, []Night{{ID: "1", Slot: now.Add(-time.Hour), Post: now.Add(time.Hour), State: Scanning}}, "scan of the whole fleet", 0},
		"one that never ended":             {time.Hour, []Night{{ID: "1", Slot: now.Add(-20 * time.Hour), Post: now.Add(-14 * time.Hour), State: Scanning}}, "to be looked at again", 0},
		"one of a clock that was wrong":    {time.Hour, []Night{{ID: "1", Slot: now.Add(20 * time.Hour), Post: now.Add(24 * time.Hour), State: Scanning}}, "to be looked at again", 0},
		"one that has ended":               {time.Hour, []Night{{ID: "1", Slot: now.Add(-time.Hour), Post: now.Add(time.Hour), State: Scanned}}, "to be looked at again", 0},
		"one that was started late by far": {time.Hour, []Night{{ID: "1", Slot: now.Add(-20 * time.Hour), Post: now.Add(-14 * time.Hour), Started: now.Add(-time.Hour), State: Scanning}}, "scan of the whole fleet", 0},
	} {
		shelf := &restful{nights: tt.nights, state: Watching{Rest: now.Add(tt.rest), Tickets: now.Add(tt.rest)}}
		var since time.Time
		w := NewWatcher(WatchConfig{
			Store: shelf, Heroku: &watchedLife{}, Now: func() time.Time { return now },
			Policy: func() policy.Policy {
				p := policy.Default()
				p.Nightly.WatchEvery = tt.every
				return p
			},
			Ours: func(_ context.Context, _ fleet.ID, at time.Time) ([]Ours, error) {
				since = at
				return nil, nil
			},
		})
		var until time.Time
		err := w.Watch(t.Context(), hand{newShelf(), nil, &until})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !until.After(now) {
			t.Errorf("%s: got %v until %v, want it to wait: %s", name, err, until, tt.want)
		}
		if since.After(now) {
			t.Errorf("%s: tickets are asked for from %v on", name, since)
		}
	}
}

// TestWatchIsSwitchedOff: what was found before is told nevertheless, as the night takes it
// for told.
func TestWatchIsSwitchedOff(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	shelf := &restful{state: Watching{Pending: []Drifted{driftOf("1", now), driftOf("2", now)}}, stands: map[fleet.ID]Standing{
		"1": {App: "1", Marks: []Mark{{Check: "preboot", Required: true, Known: Fail, KnownAt: now}}},
		"2": {App: "2", Marks: []Mark{{Check: "preboot", Required: true, Known: Pass, KnownAt: now.Add(time.Minute)}}}, // a night has found it well since
	}}
	w := NewWatcher(WatchConfig{
		Store: shelf, Heroku: &watchedLife{}, Now: func() time.Time { return now },
		Policy: func() policy.Policy {
			p := policy.Default()
			p.Nightly.WatchEvery = 0
			return p
		},
	})
	for range 3 {
		var until time.Time
		if err := w.Watch(t.Context(), hand{newShelf(), nil, &until}); err == nil || !until.After(now) {
			t.Fatalf("got %v until %v, want it to wait", err, until)
		}
		now = until
	}
	if len(shelf.made) != 1 || shelf.made[0].Channel != "C0OPS" || len(shelf.made[0].Drifts) != 1 || len(shelf.state.Pending) != 0 {
		t.Errorf("got %+v and %d pending, want one bulletin", shelf.made, len(shelf.state.Pending))
	}
}

func driftOf(app fleet.ID, found time.Time) Drifted {
	return Drifted{Line: Line{App: app, Name: "app-" + string(app), Checks: []string{"preboot"}}, Channel: "C0OPS", Found: found}
}

// TestStillSo: what is found and waits to be told is told if it is still so by then.
func TestStillSo(t *testing.T) {
	const ready, off = "standard-1x web=2 affinity preboot", "standard-1x web=2 affinity"
	for name, tt := range map[string]struct {
		then []string
		want bool
	}{
		"nothing since":                  {nil, true},
		"the night found it so":          {[]string{"02 03:30 night " + off}, true},
		"and a look after it":            {[]string{"02 03:30 night " + off, "02 04:00 look " + off}, true},
		"the night found it well":        {[]string{"02 03:30 night " + ready}, false},
		"a look after the night did":     {[]string{"02 03:30 night " + off, "02 04:00 look " + ready}, false},
		"a look did":                     {[]string{"01 15:00 look " + ready}, false},
		"the night could not read it":    {[]string{"02 03:30 night standard-1x web=2 features=?"}, true},
		"it was stopped":                 {[]string{"02 03:30 night standard-1x web=0"}, false},
		"of two checks the other passes": {[]string{"02 03:30 night standard-1x web=1 affinity preboot"}, false},
	} {
		l := &watchedLife{}
		for _, line := range append([]string{"01 03:30 night " + ready, "01 14:30 look " + off, "01 14:31 look " + off}, tt.then...) {
			l.play(t, line)
		}
		found := time.Date(2026, 3, 1, 14, 31, 0, 0, time.UTC)
		if got := l.standing.stillSo(driftOf(fleettest.ID, found)); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
		l.standing.Gone = found
		if l.standing.stillSo(driftOf(fleettest.ID, found)) {
			t.Errorf("%s: it is to be told of an app that is gone", name)
		}
	}
}

// TestScanTellsWhatCouldNotBeTold: of a drift whose message was not posted the digest
// mentions the owner, and of one whose message was it does not.
func TestScanTellsWhatCouldNotBeTold(t *testing.T) {
	for name, away := range map[string]bool{"it was posted": false, "Slack was away": true} {
		l, kept := &watchedLife{}, newShelf()
		for _, line := range []string{"01 03:30 night standard-1x web=2 affinity preboot @U0ANNA", "01 14:30 look standard-1x web=2 affinity @U0ANNA", "01 14:31 look standard-1x web=2 affinity @U0ANNA"} {
			l.play(t, line)
		}
		kept.standings[fleettest.ID] = l.standing
		if away {
			kept.unposted = []Bulletin{{At: l.standing.Watch.ReadAt, Drifts: []Drifted{driftOf(fleettest.ID, l.standing.Watch.ReadAt)}}}
		}
		u := &scan{Scanner: NewScanner(ScanConfig{Store: kept}), n: Night{ID: "2"}}
		var c chunk
		if err := u.compare(t.Context(), lifeReading(t, time.Date(2026, 3, 2, 3, 30, 0, 0, time.UTC), "standard-1x web=2 affinity @U0ANNA"), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.standings[0].News; got.Kind != LineRegressed || got.Mention != away || got.Since.IsZero() != away {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestAnAppIsToldOfOnce, however often something was found of it before that.
func TestAnAppIsToldOfOnce(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before := Watching{Pending: []Drifted{driftOf("1", noon), driftOf("2", noon)}}
	after := before
	again := driftOf("1", noon.Add(time.Minute))
	again.Checks = []string{"preboot", "web-dynos"}
	after.pend(again)
	if got := after.Pending; len(got) != 2 || got[0].App != "2" || len(got[1].Checks) != 2 || !got[1].Found.Equal(noon) {
		t.Errorf("got %+v, want each app once, with both checks, since noon", got)
	}
	if before.Pending[0].App != "1" || len(before.Pending) != 2 {
		t.Errorf("what was before is now %+v", before.Pending)
	}
}

// restful is a store with nights in which no app is to be looked at.
type restful struct {
	WatchStore
	nights []Night
	stands map[fleet.ID]Standing
	state  Watching
	made   []Bulletin
}

func (r *restful) Nights(context.Context, time.Time, int) ([]Night, error) { return r.nights, nil }
func (r *restful) Watching(context.Context) (Watching, error)              { return r.state, nil }
func (r *restful) LookPlan(context.Context) (LookPlan, error)              { return LookPlan{}, nil }
func (r *restful) DueLooks(context.Context, time.Time, time.Time, time.Time, int) ([]Standing, error) {
	return nil, nil
}
func (r *restful) SaveWatching(_ context.Context, _ *sql.Tx, w Watching, made ...Bulletin) error {
	r.state, r.made = w, append(r.made, made...)
	return nil
}
func (r *restful) Standing(_ context.Context, app fleet.ID) (Standing, bool, error) {
	s, found := r.stands[app]
	return s, found, nil
}
