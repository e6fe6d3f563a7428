package audit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// waiverOf reads a waiver of the app that fleettest makes as "W-3:preboot:02-20:03-08",
// which holds from 00:00 of one date to 00:00 of the other, in Berlin.
func waiverOf(t *testing.T, text string) policy.Waiver {
	t.Helper()
	part := strings.Split(text, ":")
	day := func(text string) time.Time {
		at, err := time.ParseInLocation(time.DateOnly, "2026-"+text, berlin(t))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	return policy.Waiver{
		ID: part[0], State: policy.WaiverActive, App: fleettest.App("standard-1x").ID, Check: part[1], Reason: policy.AcceptedRisk,
		By: "U0WAIVER", From: day(part[2]), Until: day(part[3]),
	}
}

// TestJudgeWaived: what is waived stays what it is, and is left out of the verdict.
func TestJudgeWaived(t *testing.T) {
	const all = "waive=W-1:preboot:03-01:03-08 waive=W-2:web-dynos:03-01:03-08"
	at := func(text string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-"+text, berlin(t))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, c := range map[string]struct {
		app     string
		waivers string // default all
		at      string // default 03-05 03:30:00
		verdict Verdict
		waived  string // check: waiver
	}{
		"one of one":                 {app: "standard-1x web=2 affinity", verdict: VerdictReady, waived: "preboot: W-1"},
		"one of two":                 {app: "standard-1x web=2", verdict: VerdictNotReady, waived: "preboot: W-1"},
		"two of two":                 {app: "standard-1x web=1 affinity", verdict: VerdictReady, waived: "web-dynos: W-2, preboot: W-1"},
		"what passes needs none":     {app: "standard-1x web=2 affinity preboot", verdict: VerdictReady},
		"what does not apply either": {app: "standard-1x web=0", verdict: VerdictNotApplicable},
		"the first second":           {app: "standard-1x web=2 affinity", at: "03-01 00:00:00", verdict: VerdictReady, waived: "preboot: W-1"},
		"the second before":          {app: "standard-1x web=2 affinity", at: "02-28 23:59:59", verdict: VerdictNotReady},
		"the last second":            {app: "standard-1x web=2 affinity", at: "03-07 23:59:59", verdict: VerdictReady, waived: "preboot: W-1"},
		"the second it runs out":     {app: "standard-1x web=2 affinity", at: "03-08 00:00:00", verdict: VerdictNotReady},
		"unknown is waived too":      {app: "standard-1x web=2 affinity addon=judoscale:bronze", verdict: VerdictReady, waived: "web-dynos: W-2, preboot: W-1"},
		"a part that is not read":    {app: "standard-1x web=2 features=?", verdict: VerdictUnknown, waived: "preboot: W-1"},
		"all that there is": {
			app: "eco web=1", waivers: "waive=W-2:web-dynos:03-01:03-08 waive=W-3:dyno-tier:03-01:03-08", verdict: VerdictNotApplicable, waived: "dyno-tier: W-3, web-dynos: W-2"},
		"nothing read, and all waived": {
			app: "standard-1x formation=?", verdict: VerdictUnknown, waived: "dyno-tier: W-3, session-affinity: W-4, web-dynos: W-2, preboot: W-1",
			waivers: all + " waive=W-3:dyno-tier:03-01:03-08 waive=W-4:session-affinity:03-01:03-08"},
		"a check that is none": {app: "standard-1x web=2 affinity", waivers: "waive=W-9:pre:03-01:03-08", verdict: VerdictNotReady},
	} {
		t.Run(name, func(t *testing.T) {
			app := fleettest.App(c.app)
			rules := policy.Default().For(app)
			if c.waivers == "" {
				c.waivers = all
			}
			for word := range strings.FieldsSeq(c.waivers) {
				rules.Waivers = append(rules.Waivers, waiverOf(t, strings.TrimPrefix(word, "waive=")))
			}
			if c.at == "" {
				c.at = "03-05 03:30:00"
			}
			got := Judge(app, rules, at(c.at))
			plain := Judge(app, policy.Default().For(app), at(c.at))
			var waived []string
			for i, f := range got.Findings {
				if f.Waived != nil {
					waived = append(waived, f.Check+": "+f.Waived.ID)
				}
				f.Waived = nil
				if f != plain.Findings[i] {
					t.Errorf("got %+v, want what it is without a waiver: %+v", f, plain.Findings[i])
				}
			}
			if text := strings.Join(waived, ", "); got.Verdict != c.verdict || text != c.waived {
				t.Errorf("got %s, waived %q, want %s, waived %q", got.Verdict, text, c.verdict, c.waived)
			}
			if got.Plan.Hash != plain.Plan.Hash || len(got.Plan.Steps) != len(plain.Plan.Steps) {
				t.Error("a waiver changes the plan, which people approve without it")
			}
		})
	}
}

// TestNothingElseIsWaived: the audit lets nothing count as waived but what the app's own
// waiver for that very check covers at that moment, in an app renamed or made anew too.
func TestNothingElseIsWaived(t *testing.T) {
	const tries = 20_000
	waived := 0
	for seed := range uint64(tries) {
		r := rand.New(rand.NewPCG(seed, 6))
		app := fleettest.App(randomLine(r))
		rules := randomRules(r, app)
		at := app.ReadAt
		near := func() time.Time { return at.Add(time.Duration(r.IntN(5)-2) * time.Second) }
		for i := range r.IntN(6) {
			w := policy.Waiver{
				ID: "W-" + string(rune('1'+i)), State: policy.WaiverActive, App: app.ID, Name: app.Name, Check: Checks()[r.IntN(len(Checks()))].ID,
				Reason: policy.VendorLimit, By: "U1", From: at.AddDate(0, 0, -1), Until: at.AddDate(0, 0, 1),
			}
			switch r.IntN(6) {
			case 0:
				w.App = fleet.ID("fedcba98-7654-4321-8f01-23456789abcd") // the one that had its name before
			case 1:
				w.State = []policy.WaiverState{policy.WaiverPending, policy.WaiverEnded, policy.WaiverExpired, policy.WaiverUnreadable, ""}[r.IntN(5)]
			case 2:
				w.Until = near()
			case 3:
				w.From = near()
			case 4:
				w.Until = []time.Time{{}, w.From.AddDate(2, 0, 0)}[r.IntN(2)]
			}
			rules.Waivers = append(rules.Waivers, w)
		}
		got := Judge(app, rules, at)
		count := map[Outcome]int{}
		for _, f := range got.Findings {
			held := slices.ContainsFunc(rules.Waivers, func(w policy.Waiver) bool {
				return w.App == app.ID && w.Check == f.Check && w.State == policy.WaiverActive && !w.Until.IsZero() &&
					!w.From.After(at) && w.Until.After(at) && w.Until.Sub(w.From) < 400*24*time.Hour
			})
			if want := held && (f.Outcome == Fail || f.Outcome == Unknown); want != (f.Waived != nil) {
				t.Fatalf("seed %d: %s is %s, waived by %+v, want it waived: %t, of %+v", seed, f.Check, f.Outcome, f.Waived, want, rules.Waivers)
			}
			if f.Waived != nil {
				waived++
			} else if f.Required {
				count[f.Outcome]++
			}
		}
		if got.Verdict == VerdictReady && (count[Fail]+count[Unknown] > 0 || count[Pass] == 0) {
			t.Fatalf("seed %d: it is ready by %v", seed, count)
		}
	}
	if waived < tries/20 {
		t.Errorf("%d checks of %d apps are waived: too few to prove anything", waived, tries)
	}
}

// TestCompareWaived goes on from TestCompare, with waivers of the app.
func TestCompareWaived(t *testing.T) {
	const ready, off = "standard-1x web=2 affinity preboot", "standard-1x web=2 affinity"
	for name, story := range map[string][]string{
		"waived from the beginning, and it runs out at the second of the scan": {
			"03-01 03:30 " + off + " waive=W-3:preboot:02-01:03-03 @U1 | -, W-3 of preboot ends in 1",
			"03-02 23:59 " + off + " waive=W-3:preboot:02-01:03-03 @U1 | -",
			"03-03 00:00 " + off + " waive=W-3:preboot:02-01:03-03 @U1 | new preboot, mentioned, its waiver W-3 has run out",
			"03-04 03:30 " + off + " waive=W-3:preboot:02-01:03-03 @U1 | still preboot for 1",
		},
		"it is counted down on 7, 3 and 1 days": {
			"03-01 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
			"03-03 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
			"03-04 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -, W-3 of preboot ends in 7",
			"03-04 12:00 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -", // out of turn, on the same date
			"03-05 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
			"03-08 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -, W-3 of preboot ends in 3",
			"03-09 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
			"03-10 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -, W-3 of preboot ends in 1",
			"03-11 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
			"03-12 03:30 " + off + " @U1 | new preboot, mentioned, its waiver W-3 has run out",
		},
		"the night of a day that counts was missed": {
			"03-01 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
			"03-06 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -, W-3 of preboot ends in 5",
			"03-07 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
		},
		"over the change of the clocks": {
			"03-26 03:30 " + off + " waive=W-3:preboot:02-01:03-31 @U1 | -, W-3 of preboot ends in 4",
			"03-27 23:59 " + off + " waive=W-3:preboot:02-01:03-31 @U1 | -, W-3 of preboot ends in 3",
			"03-29 03:30 " + off + " waive=W-3:preboot:02-01:03-31 @U1 | -, W-3 of preboot ends in 1",
			"03-30 23:59 " + off + " waive=W-3:preboot:02-01:03-31 @U1 | -",
		},
		"a short one is not counted down as soon as it is there": {
			"03-01 03:30 " + off + " @U1 | new preboot, mentioned",
			"03-03 03:30 " + off + " waive=W-3:preboot:03-02:03-06 @U1 | waived preboot",
			"03-04 03:30 " + off + " waive=W-3:preboot:03-02:03-06 @U1 | -, W-3 of preboot ends in 1",
			"03-05 03:30 " + off + " waive=W-3:preboot:03-02:03-06 @U1 | -",
		},
		"nothing was mended": {
			"03-01 03:30 standard-1x web=1 affinity @U1 | new web-dynos preboot, mentioned",
			"03-02 03:30 standard-1x web=1 affinity waive=W-3:preboot:03-02:06-01 @U1 | still web-dynos for 1",
			"03-03 03:30 " + off + " waive=W-3:preboot:03-02:06-01 @U1 | fixed web-dynos, after 03-02 03:30 | web-dynos fail→pass",
			"03-04 03:30 " + ready + " waive=W-3:preboot:03-02:06-01 @U1 | - | preboot fail→pass",
		},
		"one is mended and the other waived": {
			"03-01 03:30 standard-1x web=1 affinity @U1 | new web-dynos preboot, mentioned",
			"03-02 03:30 " + off + " waive=W-3:preboot:03-02:06-01 @U1 | waived preboot | web-dynos fail→pass",
		},
		"waived on a night on which it could not be read": {
			"03-01 03:30 " + off + " @U1 | new preboot, mentioned",
			"03-02 03:30 standard-1x formation=? waive=W-3:preboot:03-02:06-01 @U1 | unread",
			"03-03 03:30 " + off + " waive=W-3:preboot:03-02:06-01 @U1 | waived preboot",
		},
		"unread when it runs out": {
			"03-01 03:30 " + off + " waive=W-3:preboot:02-01:03-03 @U1 | -, W-3 of preboot ends in 1",
			"03-03 03:30 standard-1x formation=? @U1 | unread",
			"03-04 03:30 lost | unread",
			"03-05 03:30 " + off + " @U1 | new preboot, mentioned, its waiver W-3 has run out",
		},
		"mended before it ran out": {
			"03-01 03:30 " + off + " waive=W-3:preboot:02-01:03-03 @U1 | -, W-3 of preboot ends in 1",
			"03-02 03:30 " + ready + " waive=W-3:preboot:02-01:03-03 @U1 | - | preboot fail→pass",
			"03-03 03:30 " + ready + " @U1 | -",
			"03-04 03:30 " + off + " @U1 | regressed preboot, mentioned, after 03-03 03:30 | preboot pass→fail",
		},
		"what passes is not counted down": {
			"03-01 03:30 " + ready + " waive=W-3:preboot:02-01:03-03 @U1 | -",
			"03-02 03:30 " + ready + " waive=W-3:preboot:02-01:03-03 @U1 | -",
		},
		"it breaks while it is waived": {
			"03-01 03:30 " + ready + " waive=W-3:preboot:02-01:06-01 @U1 | -",
			"03-02 03:30 " + off + " waive=W-3:preboot:02-01:06-01 @U1 | - | preboot pass→fail",
			"03-03 03:30 " + off + " @U1 | new preboot, mentioned, its waiver W-3 was ended before its time",
		},
		"another one takes its place": {
			"03-01 03:30 " + off + " waive=W-3:preboot:02-01:03-12 @U1 | -",
			"03-05 03:30 " + off + " waive=W-4:preboot:03-05:03-20 @U1 | -",
			"03-13 03:30 " + off + " waive=W-4:preboot:03-05:03-20 @U1 | -, W-4 of preboot ends in 6",
			"03-20 03:30 " + off + " @U1 | new preboot, mentioned, its waiver W-4 has run out",
		},
		"two run out": {
			"03-01 03:30 standard-1x web=1 affinity waive=W-3:preboot:02-01:03-02 waive=W-4:web-dynos:02-01:03-02 @U1 | -, W-4 of web-dynos ends in 0, W-3 of preboot ends in 0",
			"03-02 03:30 standard-1x web=1 affinity @U1 | new web-dynos preboot, mentioned, its waiver W-4 of web-dynos has run out, its waiver W-3 of preboot has run out",
		},
		"one that is for advice": {
			"03-01 03:30 " + ready + " runtime=Java waive=W-3:jvm-warmup:02-01:03-02 @U1 | -",
			"03-02 03:30 " + ready + " runtime=Java @U1 | -",
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
				// It is kept as JSON between two nights.
				text, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				s = Standing{}
				if err := json.Unmarshal(text, &s); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestDigestWaived: what is counted down is told in the app's group, and what is waived is
// counted, in the table too.
func TestDigestWaived(t *testing.T) {
	var all []Standing
	for _, line := range []string{
		"03-04 03:30 standard-1x web=2 affinity name=shop waive=W-3:preboot:02-01:03-06 @U1",
		"03-04 03:30 standard-1x web=2 affinity name=cart waive=W-2:preboot:02-01:03-06 @U1",
		"03-04 03:30 standard-1x web=1 affinity name=blog waive=W-4:preboot:02-01:03-12 @U1",
		"03-04 03:30 standard-1x web=2 affinity name=till waive=W-5:preboot:02-01:06-12 @U2",
	} {
		s, _ := nextNight(t, Standing{}, line)
		s.App = fleet.ID(s.Name)
		all = append(all, s)
	}
	d, err := BuildDigest(Night{ID: "2026-03-04"}, "Europe/Berlin", those(nil, all...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Counts{Ready: 3, NotReady: 1, Waived: 4, Increase: d.Counts.Increase}); d.Counts != want {
		t.Errorf("got %+v, want %+v", d.Counts, want)
	}
	var lines []string
	for _, g := range d.Groups {
		for _, w := range g.Waivers {
			lines = append(lines, g.Owner+" "+w.Name+" "+w.ID+" "+w.By)
		}
	}
	if want := []string{"U1 cart W-2 U0WAIVER", "U1 shop W-3 U0WAIVER", "U1 blog W-4 U0WAIVER"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	var out strings.Builder
	if err := WriteCSV(&out, all[:1]); err != nil {
		t.Fatal(err)
	}
	head, row, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
	if !strings.HasSuffix(head, ",read_at,waived") || !strings.HasSuffix(row, ",preboot: W-3 until 2026-03-05T23:00:00Z") {
		t.Errorf("got %q and %q", head, row)
	}
}

// TestScanWithoutWaivers: while the waivers of an app can't be read, a scan tells nobody
// that it fails: it reads it again. Who waits for a report gets one, which says so.
func TestScanWithoutWaivers(t *testing.T) {
	w := hamlet(6)
	slot := slotOf(0)
	for _, id := range slices.Sorted(maps.Keys(w.apps))[:3] {
		w.waivers = append(w.waivers, policy.Waiver{
			ID: "W-1", State: policy.WaiverActive, App: id, Check: "preboot", Reason: policy.NotNeeded, By: "U1", From: slot, Until: slot.AddDate(0, 0, 30),
		})
	}
	away := 2 // times
	rules := func(ctx context.Context, app fleet.App) (policy.Rules, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if app.Name == "app-01" && away > 0 {
			away--
			return w.policy.For(app), errors.New("the database is away")
		}
		return w.rules(ctx, app)
	}
	store := newShelf()
	if _, err := store.BeginNight(t.Context(), Night{ID: "2026-03-02", Slot: slot, Post: slot.Add(time.Hour), State: Scanning}); err != nil {
		t.Fatal(err)
	}
	scanner := NewScanner(ScanConfig{Store: store, Heroku: w, Policy: func() policy.Policy { return w.policy }, Rules: rules, Now: func() time.Time { return slot }})
	var errs []string
	for range 10 {
		err := scanner.Scan(t.Context(), "2026-03-02", hand{store: store})
		if err == nil {
			break
		}
		errs = append(errs, err.Error())
	}
	if want := []string{"read the waivers of app-01: the database is away", "read the waivers of app-01: the database is away"}; !slices.Equal(errs, want) {
		t.Errorf("got %q, want %q", errs, want)
	}
	d := store.nights["2026-03-02"].Digest
	if d == nil || d.Counts.Ready != 3 || d.Counts.Waived != 3 || d.Changes.New != 3 {
		t.Fatalf("got %+v, want 3 apps ready by a waiver and 3 new", d)
	}

	away = 1
	c := Collector{Heroku: w, Policy: func() policy.Policy { return w.policy }, Rules: rules, Now: func() time.Time { return slot }}
	for _, want := range []struct {
		ready, waived int
		gaps          []string
	}{
		{2, 2, []string{"The waivers of app-01 could not be read from my database, so what they waive counts here."}},
		{3, 3, nil},
	} {
		got, err := c.Collect(t.Context(), Want{}, nil)
		if err != nil || got.Counts.Ready != want.ready || got.Counts.Waived != want.waived || !slices.Equal(got.Coverage.Gaps, want.gaps) {
			t.Errorf("got %+v, %q, %v, want %+v", got.Counts, got.Coverage.Gaps, err, want)
		}
	}
}
