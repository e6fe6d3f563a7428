package audit

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// those yields standings, and then err unless it is nil.
func those(err error, standings ...Standing) iter.Seq2[Standing, error] {
	return func(yield func(Standing, error) bool) {
		for _, s := range standings {
			if !yield(s, nil) {
				return
			}
		}
		if err != nil {
			yield(Standing{}, err)
		}
	}
}

// The chart has each date once, by its last scan that ended, and no more than 30 of them.
func TestTrend(t *testing.T) {
	var past []Night
	for day := 1; day <= 40; day++ {
		slot := time.Date(2026, time.March, day, 3, 30, 0, 0, time.UTC)
		past = append(past, Night{ID: slot.Format(time.DateOnly), Slot: slot, Finished: slot.Add(time.Hour), State: Told, Counts: Counts{Ready: day}})
	}
	out := past[34] // once more on the fourth of April, at noon
	out.ID, out.Finished, out.Counts.Ready = out.ID+"#2", out.Finished.Add(9*time.Hour), 1000
	unfinished := past[36]
	unfinished.ID, unfinished.State, unfinished.Counts.Ready = unfinished.ID+"#2", Scanning, 2000
	partial := &past[30]
	partial.Coverage = Coverage{InScope: 2, Judged: 1}
	past = append(past, out, unfinished)
	slices.Reverse(past)
	d, err := BuildDigest(Night{ID: "2026-04-08#2"}, "UTC", those(nil, Standing{App: "a", Night: "2026-04-08#2", Verdict: VerdictReady}), past)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range d.Trend {
		got = append(got, fmt.Sprintf("%s:%d:%t", p.Night, p.Ready, p.Partial))
	}
	var want []string
	for day := 10; day <= 38; day++ {
		want = append(want, fmt.Sprintf("%s:%d:%t", time.Date(2026, time.March, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), day, day == 31))
	}
	want[35-10] = "2026-04-04#2:1000:false"
	want = append(want, "2026-04-08#2:1:false") // instead of the one of that date before, and of those to come
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// What is told stands in the order in which it matters; what another night told is not
// told again.
func TestBuildDigestOrder(t *testing.T) {
	const night = "2026-03-02"
	of := func(name, owner, team, channel string, kind LineKind, checks ...string) Standing {
		s := Standing{App: fleet.ID(name), Name: name, Owner: owner, Team: team, Channel: channel, Night: night, Verdict: VerdictNotReady}
		for _, check := range checks {
			s.Marks = append(s.Marks, Mark{Check: check, Evidence: "of " + check})
		}
		s.News = News{Night: night, Kind: kind, Checks: checks, Mention: owner != "" && (kind == LineNew || kind == LineRegressed)}
		switch kind {
		case LineFixed:
			s.Verdict = VerdictReady
		case LineGone:
			s.Gone, s.Night = fleettest.ReadAt(), "2026-03-01"
		case LineUnread:
			s.Verdict, s.Unread = VerdictUnknown, fleettest.Unread()
		}
		return s
	}
	old := of("old", "U1", "acme", "", LineNew, "preboot")
	old.News.Night = "2026-03-01"
	forgotten := of("forgotten", "U1", "acme", "", "")
	forgotten.Night = "2026-02-01" // no scan may leave one so
	goneBefore := of("gone-before", "U1", "acme", "", LineGone)
	goneBefore.News.Night = "2026-03-01"
	d, err := BuildDigest(Night{ID: night}, "UTC", those(nil,
		of("z-gone", "U1", "acme", "", LineGone), of("y-unread", "U1", "acme", "", LineUnread), of("x-fixed", "U1", "data", "", LineFixed, "preboot"),
		of("w-new", "U1", "", "", LineNew, "preboot"), of("v-new", "U1", "", "", LineNew, "web-dynos", "preboot"), of("u-worse", "U1", "", "", LineRegressed, "preboot"),
		of("t-still", "", "data", "", LineStill, "preboot"), of("s-quiet", "", "data", "", ""), of("r-quiet", "", "labs", "", ""), of("q-there", "U1", "acme", "C1", LineNew, "preboot"),
		old, forgotten, goneBefore,
	), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range d.Groups {
		line := []string{fmt.Sprintf("%s|%s|%s mention=%t failing=%d quiet=%d:", g.Owner, g.Team, g.Channel, g.Mention, g.Counts.NotReady, g.Quiet)}
		for _, l := range g.Lines {
			line = append(line, l.Name)
		}
		got = append(got, strings.Join(line, " "))
	}
	want := []string{
		"U1|| mention=true failing=4 quiet=1: u-worse v-new w-new x-fixed z-gone y-unread",
		"U1||C1 mention=true failing=1 quiet=0: q-there",
		"|data| mention=false failing=2 quiet=1: t-still",
		"|labs| mention=false failing=1 quiet=1:",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if want := (Changes{New: 3, Regressed: 1, Fixed: 1, Still: 4, Gone: 1, Unread: 1}); d.Changes != want {
		t.Errorf("got %+v, want %+v", d.Changes, want)
	}
}

func TestBuildDigestFails(t *testing.T) {
	stop := errors.New("the database is away")
	if _, err := BuildDigest(Night{ID: "2026-03-02"}, "UTC", those(stop, Standing{App: "a", Night: "2026-03-02"}), nil); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

// Times are kept to the millisecond, so that what went through a database compares as
// what did not.
func TestStamp(t *testing.T) {
	app := fleettest.App("standard-1x web=1")
	app.ReadAt = time.Date(2026, time.March, 2, 4, 30, 0, 123456789, time.FixedZone("CET", 3600))
	s, _ := Compare(Standing{}, judge(app, policy.Default().For(app)), Scan{Night: "2026-03-02", Zone: time.UTC})
	want := time.Date(2026, time.March, 2, 3, 30, 0, 123000000, time.UTC)
	for what, got := range map[string]time.Time{"read": s.ReadAt, "since": s.Marks[2].Since, "known": s.Marks[2].KnownAt, "failing": s.Marks[2].Failing} {
		if got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
}
