package policy

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/zdd/fleet"
)

const (
	waivedApp  fleet.ID = "01234567-89ab-4cde-8f01-23456789abcd"
	anotherApp fleet.ID = "fedcba98-7654-4321-8f01-23456789abcd"
)

// waiver is one that holds from the morning of the 23rd of November to the end of the year.
func waiver() Waiver {
	return Waiver{
		ID: "W-3", Rev: 1, State: WaiverActive, App: waivedApp, Name: "shop", Check: "preboot", Reason: AcceptedRisk, By: "U1", Origin: "o",
		AskedAt: morning(), From: morning(), Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func morning() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) }

func TestWaives(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *Waiver)
		app    fleet.ID
		check  string
		at     time.Time
		want   bool
	}{
		"it holds":                {want: true},
		"from its first moment":   {at: morning(), want: true},
		"before":                  {at: morning().Add(-1)},
		"in its last moment":      {at: waiver().Until.Add(-1), want: true},
		"at its end":              {at: waiver().Until},
		"a year after":            {at: waiver().Until.AddDate(1, 0, 0)},
		"at no time":              {at: time.Time{}.Add(1), change: func(w *Waiver) { w.From = time.Time{} }},
		"another app":             {app: anotherApp},
		"no app":                  {app: "-", change: func(w *Waiver) { w.App = "" }},
		"another check":           {check: "web-dynos"},
		"part of a check's name":  {check: "pre"},
		"no check":                {check: "-", change: func(w *Waiver) { w.Check = "" }},
		"pending":                 {change: func(w *Waiver) { w.State = WaiverPending }},
		"denied":                  {change: func(w *Waiver) { w.State = WaiverDenied }},
		"withdrawn":               {change: func(w *Waiver) { w.State = WaiverCancelled }},
		"ended":                   {change: func(w *Waiver) { w.State = WaiverEnded }},
		"expired":                 {change: func(w *Waiver) { w.State = WaiverExpired }},
		"replaced":                {change: func(w *Waiver) { w.State = WaiverReplaced }},
		"unreadable":              {change: func(w *Waiver) { w.State = WaiverUnreadable }},
		"no state":                {change: func(w *Waiver) { w.State = "" }},
		"a state with a space":    {change: func(w *Waiver) { w.State = "active " }},
		"no reason":               {change: func(w *Waiver) { w.Reason = "" }},
		"a reason of its own":     {change: func(w *Waiver) { w.Reason = "because" }},
		"never begun":             {change: func(w *Waiver) { w.From = time.Time{} }},
		"without end":             {change: func(w *Waiver) { w.Until = time.Time{} }},
		"as long as there is":     {change: func(w *Waiver) { w.Until = w.From.Add(longestEver) }, want: true},
		"longer than there is":    {change: func(w *Waiver) { w.Until = w.From.Add(longestEver + 1) }},
		"to the end of all times": {change: func(w *Waiver) { w.Until = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }},
		"ends before it begins":   {change: func(w *Waiver) { w.From, w.Until = w.Until, w.From }},
	} {
		w := waiver()
		if c.change != nil {
			c.change(&w)
		}
		app, check, at := c.app, c.check, c.at
		switch app {
		case "":
			app = waivedApp
		case "-":
			app = ""
		}
		switch check {
		case "":
			check = "preboot"
		case "-":
			check = ""
		}
		if at.IsZero() {
			at = morning().AddDate(0, 0, 1)
		}
		if got := w.Waives(app, check, at); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
		if _, got := (Rules{Waivers: []Waiver{{}, w}}).Waived(app, check, at); got != c.want {
			t.Errorf("%s, by the rules: got %t, want %t", name, got, c.want)
		}
	}
	if waiver().Waives(waivedApp, "preboot", time.Time{}) {
		t.Error("it waives at no time at all")
	}
}

// TestNothingElseWaives spoils waivers in every way that a hand in the database, a bug or
// another version might. Whatever comes of it: what waives is an active waiver of that
// UUID and that check, for a known reason, at a moment within a span that has an end.
func TestNothingElseWaives(t *testing.T) {
	const tries = 60_000
	r := rand.New(rand.NewPCG(6, 1))
	held := 0
	for range tries {
		w, at := waiver(), morning().Add(time.Duration(r.Int64N(int64(80*24*time.Hour)))-20*24*time.Hour)
		for range r.IntN(3) {
			spoil(r, &w)
		}
		text, err := json.Marshal(w)
		if err == nil { // as it is kept; a year beyond 9999 is not
			if r.IntN(4) == 0 {
				text[r.IntN(len(text))] = byte(' ' + r.IntN(95))
			}
			w = Waiver{}
			if json.Unmarshal(text, &w) != nil {
				w = Waiver{ID: "W-3", App: waivedApp, State: WaiverUnreadable}
			}
		}
		app := []fleet.ID{waivedApp, waivedApp, anotherApp, ""}[r.IntN(4)]
		check := []string{"preboot", "preboot", "web-dynos", "", "PREBOOT"}[r.IntN(5)]
		if !w.Waives(app, check, at) {
			continue
		}
		held++
		switch span := w.Until.Sub(w.From); {
		case w.State != WaiverActive, w.App != app || app == "", w.Check != check || check == "", !slices.Contains(Reasons(), w.Reason):
			t.Fatalf("%s of %s waives %s of %s, though it is %+v", w.Check, w.App, check, app, w)
		case at.Before(w.From), !at.Before(w.Until), w.From.IsZero(), w.Until.IsZero(), span <= 0, span > 368*24*time.Hour:
			t.Fatalf("it waives at %s, and holds from %s to %s", at, w.From, w.Until)
		}
	}
	if held < tries/100 {
		t.Errorf("%d of %d waive: too few to prove anything", held, tries)
	}
}

func spoil(r *rand.Rand, w *Waiver) {
	moment := func() time.Time {
		return []time.Time{{}, morning(), morning().AddDate(0, 0, r.IntN(60)-20), morning().AddDate(r.IntN(9000)-2000, 0, 0), time.Unix(r.Int64(), 0)}[r.IntN(5)]
	}
	switch r.IntN(7) {
	case 0:
		w.State = []WaiverState{WaiverPending, WaiverDenied, WaiverCancelled, WaiverEnded, WaiverExpired, WaiverReplaced, WaiverUnreadable, "", "Active"}[r.IntN(9)]
	case 1:
		w.App = []fleet.ID{anotherApp, "", "shop"}[r.IntN(3)]
	case 2:
		w.Check = []string{"web-dynos", "", "*"}[r.IntN(3)]
	case 3:
		w.Reason = []Reason{"", "forever", NotNeeded}[r.IntN(3)]
	case 4:
		w.From = moment()
	case 5:
		w.Until = moment()
	default:
		w.From, w.Until = w.Until, w.From
	}
}

func TestRulesWaived(t *testing.T) {
	longer := waiver()
	longer.ID, longer.Until = "W-4", longer.Until.AddDate(0, 1, 0)
	over := longer
	over.ID, over.State, over.Until = "W-5", WaiverEnded, over.Until.AddDate(0, 1, 0)
	rules := Rules{Waivers: []Waiver{waiver(), longer, over}}
	if got, ok := rules.Waived(waivedApp, "preboot", morning()); !ok || got.ID != "W-4" {
		t.Errorf("got %s, %t, want W-4, which holds longest of those that do", got.ID, ok)
	}
	if got, ok := rules.Waived(waivedApp, "web-dynos", morning()); ok {
		t.Errorf("got %s for a check that nobody waived", got.ID)
	}
	// What rules say otherwise is the same, and so are the plans made of them.
	if got := Default().For(fleet.App{ID: waivedApp, Name: "shop"}).Waivers; got != nil {
		t.Errorf("got %v from the policy alone, want none", got)
	}
}

func TestLastUntil(t *testing.T) {
	p := parse(t, "digest: { timezone: Europe/Berlin }\nwaivers: { longest: 10d }")
	for name, c := range map[string]struct {
		reason Reason
		now    string
		want   string
	}{
		"ten days":             {AcceptedRisk, "2026-11-23T09:00:00Z", "2026-12-04 00:00 +0100"},
		"late in the evening":  {AcceptedRisk, "2026-11-23T23:30:00Z", "2026-12-05 00:00 +0100"}, // it is the 24th in Berlin
		"a migration":          {MigrationWindow, "2026-11-23T09:00:00Z", "2026-12-01 00:00 +0100"},
		"over summer's begin":  {NotNeeded, "2026-03-20T09:00:00Z", "2026-03-31 00:00 +0200"},
		"over the end of year": {NotNeeded, "2026-12-30T09:00:00Z", "2027-01-10 00:00 +0100"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.LastUntil(c.reason, now).Format("2006-01-02 15:04 -0700"); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	// Where a date begins at 01:00, as clocks are put forward at midnight, the last one holds
	// through its end nevertheless.
	santiago := parse(t, "digest: { timezone: America/Santiago }\nwaivers: { longest: 10d }")
	end := santiago.LastUntil(AcceptedRisk, time.Date(2026, 8, 26, 15, 0, 0, 0, time.UTC))
	if got, want := UntilText(end, santiago.Nightly.Location()), "the end of Saturday, 5 September 2026, America/Santiago"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The longest that a policy can allow is no longer than what waives at all.
	p.Waivers.Longest = mostWaived * 24 * time.Hour
	for hour := range 24 * 370 {
		now := morning().Add(time.Duration(hour) * time.Hour)
		w := waiver()
		w.From, w.Until = now, p.LastUntil(NotNeeded, now)
		if last := w.Until.Add(-1); !w.Waives(waivedApp, "preboot", last) {
			t.Fatalf("asked at %s it does not hold at %s", now, last)
		}
	}
}

func TestDaysLeft(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := waiver()
	w.Until = time.Date(2026, 4, 1, 0, 0, 0, 0, berlin) // through the 31st of March
	for at, want := range map[string]int{
		"2026-03-24 03:30": 7, "2026-03-28 03:30": 3, "2026-03-28 23:59": 3, "2026-03-29 00:00": 2, // the night of summer time
		"2026-03-30 03:30": 1, "2026-03-31 00:00": 0, "2026-03-31 23:59": 0, "2026-04-01 00:00": -1,
	} {
		now, err := time.ParseInLocation("2006-01-02 15:04", at, berlin)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.DaysLeft(now, berlin); got != want {
			t.Errorf("%s: got %d days left, want %d", at, got, want)
		}
	}
}

func TestUntilText(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for want, until := range map[string]time.Time{
		"the end of Sunday, 31 January 2027, Europe/Berlin":    time.Date(2027, 2, 1, 0, 0, 0, 0, berlin),
		"18:00 on Sunday, 31 January 2027, Europe/Berlin":      time.Date(2027, 1, 31, 17, 0, 0, 0, time.UTC),
		"00:01 on Monday, 1 February 2027, Europe/Berlin":      time.Date(2027, 2, 1, 0, 1, 0, 0, berlin),
		"the end of Sunday, 29 March 2026, Europe/Berlin":      time.Date(2026, 3, 29, 22, 0, 0, 0, time.UTC),
		"the end of Thursday, 31 December 2026, Europe/Berlin": time.Date(2027, 1, 1, 0, 0, 0, 0, berlin),
	} {
		if got := UntilText(until, berlin); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
