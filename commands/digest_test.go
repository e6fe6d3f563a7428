package commands_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/internal/golden"
)

func berlin(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// printed is replies as a terminal of 100 columns shows them.
func printed(t *testing.T, replies ...commands.Reply) string {
	t.Helper()
	var b strings.Builder
	for i, r := range replies {
		if i > 0 {
			fmt.Fprintf(&b, "\n=== in the thread, %d · %s\n\n", i, r.Summary)
		} else {
			fmt.Fprintf(&b, "=== %s\n\n", r.Summary)
		}
		if err := chat.Terminal(&b, r, chat.Style{Width: 100, Zone: berlin(t)}); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func told(t *testing.T, d audit.Digest, v commands.View) string {
	t.Helper()
	parent, thread := commands.DigestView(d, v)
	return printed(t, append([]commands.Reply{parent}, thread...)...)
}

func appID(n int) fleet.ID { return fleet.ID(fmt.Sprintf("01234567-89ab-cdef-0123-%012d", n)) }

// sunday is a night's digest with nothing in it: 22 November 2026, read at 03:30 in Berlin.
func sunday(t *testing.T, counts audit.Counts) audit.Digest {
	slot := time.Date(2026, 11, 22, 3, 30, 0, 0, berlin(t))
	in := counts.Ready + counts.NotReady + counts.Unknown + counts.NotApplicable
	return audit.Digest{
		Night: "2026-11-22", Zone: "Europe/Berlin", Slot: slot, Started: slot, Finished: slot.Add(7 * time.Minute), Expected: 6 * time.Minute, Calls: 2 * in,
		Coverage: audit.Coverage{Seen: in, InScope: in, Judged: in}, Counts: counts,
		Trend: []audit.Point{
			{Night: "2026-11-20", Ready: 5, NotReady: 4, Unknown: 0},
			{Night: "2026-11-21", Ready: 6, NotReady: 3, Unknown: 1, Partial: true},
			{Night: "2026-11-22", Ready: counts.Ready, NotReady: counts.NotReady, Unknown: counts.Unknown},
		},
	}
}

const (
	prebootOff  = "Preboot is off: at each deploy the old dynos stop before the new ones serve"
	affinityOff = "Session affinity is off: with a second web dyno, sessions held in memory would break"
	oneDyno     = "1 standard-1x web dyno runs; policy wants 2"
	onBasic     = "Web runs on basic dynos, which can't preboot and of which a process type can have only one"
)

func failing(n int, name string, kind audit.LineKind) audit.Line {
	return audit.Line{App: appID(n), Name: name, Kind: kind, Checks: []string{"preboot"}, Evidence: []string{prebootOff}, Increase: fleet.Known[fleet.Money](0)}
}

// ordinary is a night with a line of each kind.
func ordinary(t *testing.T) audit.Digest {
	d := sunday(t, audit.Counts{Ready: 181, NotReady: 24, Unknown: 2, NotApplicable: 12, Increase: 1225_00, Unpriced: 3})
	d.Coverage = audit.Coverage{Seen: 250, InScope: 219, Judged: 217, Out: map[string]int{"review": 20, "excluded": 11}, Unread: map[string]int{"two-factor": 2}}
	d.Changes = audit.Changes{New: 1, Regressed: 1, Fixed: 1, Still: 22, Gone: 1, Unread: 2}
	regressed := failing(1, "shop", audit.LineRegressed)
	regressed.After = d.Started.Add(-24 * time.Hour)
	newly := failing(2, "legacy-cms", audit.LineNew)
	newly.Checks, newly.Evidence, newly.Size, newly.Increase = []string{"dyno-tier"}, []string{onBasic}, "standard-1x", fleet.Known[fleet.Money](61_00)
	still := failing(3, "billing", audit.LineStill)
	still.Checks, still.Evidence, still.Days = []string{"session-affinity", "web-dynos", "preboot"}, []string{affinityOff, oneDyno, prebootOff}, 14
	still.Increase = fleet.Known[fleet.Money](25_00)
	scaled := failing(4, "rules", audit.LineStill)
	scaled.Checks, scaled.Evidence, scaled.Days = []string{"web-dynos"}, []string{"1 performance-m web dyno runs; policy wants 2"}, 1
	scaled.Yours = "Raise the minimum of Heroku's autoscaler to 2: the dyno range beside web at https://dashboard.heroku.com/apps/rules/resources in the dashboard."
	scaled.Increase = fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotPriced, Text: "Heroku gives no price for it"})
	moved := failing(5, "emporium", audit.LineOwner)
	moved.Was, moved.From = "bazaar", "acme"
	d.Groups = []audit.Group{
		{Owner: "U0SHOP", Channel: "C0SHOP", Mention: true, Counts: audit.Counts{Ready: 3, NotReady: 1}, Lines: []audit.Line{regressed}},
		{Owner: "S0DATA", Mention: true, Counts: audit.Counts{Ready: 9, NotReady: 2, Unknown: 1}, Lines: []audit.Line{newly, moved}},
		{Team: "acme", Counts: audit.Counts{Ready: 160, NotReady: 20, Unknown: 1, NotApplicable: 12}, Quiet: 18, Lines: []audit.Line{
			{App: appID(6), Name: "catalog", Kind: audit.LineFixed, Checks: []string{"web-dynos", "preboot"}, Evidence: []string{"2 run", "Preboot is on"}},
			still, scaled,
			{App: appID(7), Name: "vaulted", Kind: audit.LineUnread, Why: "two-factor"},
			{App: appID(8), Name: "safe", Kind: audit.LineUnread, Why: "two-factor"},
		}},
		{Counts: audit.Counts{Ready: 9, NotReady: 1}, Lines: []audit.Line{{App: appID(9), Name: "landing", Kind: audit.LineGone}}},
	}
	return d
}

func TestDigest(t *testing.T) {
	home := commands.View{Home: "C0OPS", Head: "#1234 ab12cd34ef56"}
	for name, tt := range map[string]struct {
		digest func(t *testing.T) audit.Digest
		view   commands.View
	}{
		"digest-first-night": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 5, NotReady: 2, Increase: 25_00})
			d.Baseline, d.Trend = true, d.Trend[2:]
			shop := failing(1, "shop", audit.LineNew)
			shop.Increase = fleet.Known[fleet.Money](25_00)
			d.Changes.New = 2
			d.Groups = []audit.Group{{Owner: "U0SHOP", Counts: audit.Counts{Ready: 5, NotReady: 2}, Lines: []audit.Line{shop, failing(2, "billing", audit.LineNew)}}}
			return d
		}},
		"digest-first-look": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 5, NotReady: 2})
			d.Changes.New = 2
			shop := failing(1, "shop", audit.LineNew)
			shop.First = true
			d.Groups = []audit.Group{{Owner: "U0SHOP", Counts: d.Counts, Lines: []audit.Line{shop, failing(2, "billing", audit.LineNew)}}}
			return d
		}},
		"digest-all-well": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 212, NotApplicable: 4})
			d.Groups = []audit.Group{{Team: "acme", Counts: d.Counts}}
			return d
		}},
		"digest-all-mended": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 7})
			d.Changes.Fixed = 1
			d.Groups = []audit.Group{{Team: "acme", Counts: d.Counts, Lines: []audit.Line{{App: appID(1), Name: "shop", Kind: audit.LineFixed, Checks: []string{"preboot"}}}}}
			return d
		}},
		"digest-nothing-changed": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 5, NotReady: 2, Increase: 50_00})
			d.Changes.Still = 2
			d.Groups = []audit.Group{{Team: "acme", Counts: d.Counts, Quiet: 2}}
			return d
		}},
		"digest-all-well-fewer": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 112})
			d.Changes.Left = 100
			d.Groups = []audit.Group{{Team: "acme", Counts: d.Counts, Left: 100}}
			return d
		}},
		"digest-ordinary": {view: home, digest: ordinary},
		"digest-channel":  {view: commands.View{Channel: "C0SHOP", Home: "C0OPS", Head: "#1234 ab12cd34ef56"}, digest: ordinary},
		"digest-repeat": {view: commands.View{Home: "C0OPS", Repeat: true}, digest: func(t *testing.T) audit.Digest {
			return sunday(t, audit.Counts{Ready: 212})
		}},
		"digest-300-failing": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 5, NotReady: 300, Increase: 7500_00})
			d.Changes.New = 300
			g := audit.Group{Owner: "U0SHOP", Mention: true, Counts: d.Counts}
			for i := range 300 {
				l := failing(i, fmt.Sprintf("shop-%03d", i), audit.LineNew)
				l.Increase = fleet.Known[fleet.Money](25_00)
				if i%3 == 0 {
					l.Checks, l.Evidence = []string{"web-dynos", "preboot"}, []string{oneDyno, prebootOff}
				}
				g.Lines = append(g.Lines, l)
			}
			d.Groups = []audit.Group{g}
			return d
		}},
		"digest-half-unreadable": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 40, Unknown: 60})
			d.Coverage = audit.Coverage{
				Seen: 100, InScope: 100, Judged: 40,
				Unread: map[string]int{"out of time": 50, "suspended": 10},
				Gaps:   []string{"the apps of team data could not be listed (Heroku did not answer)"},
			}
			d.Changes.Unread = 60
			g := audit.Group{Team: "acme", Counts: d.Counts}
			for i := range 60 {
				why := "out of time"
				if i%6 == 0 {
					why = "suspended"
				}
				g.Lines = append(g.Lines, audit.Line{App: appID(i), Name: fmt.Sprintf("app-%02d", i), Kind: audit.LineUnread, Why: why})
			}
			d.Groups = []audit.Group{g}
			return d
		}},
		"digest-missed-nights": {view: home, digest: func(t *testing.T) audit.Digest {
			d := sunday(t, audit.Counts{Ready: 7})
			d.Missed = []string{"2026-11-20", "2026-11-21"}
			d.Trend = []audit.Point{{Night: "2026-11-19", Ready: 6, NotReady: 1}, d.Trend[2]}
			d.Started, d.Finished = d.Started.Add(7*time.Hour), d.Finished.Add(7*time.Hour)
			d.Expected = d.Finished.Sub(d.Started)
			return d
		}},
		"digest-hostile": {view: home, digest: func(t *testing.T) audit.Digest {
			const ring = "<!channel> @here <@U0BOSS> `x`"
			d := sunday(t, audit.Counts{Ready: 1, NotReady: 3, Unknown: 1})
			d.Coverage = audit.Coverage{Seen: 6, InScope: 5, Judged: 4, Out: map[string]int{ring: 1}, Unread: map[string]int{ring: 1}, Gaps: []string{ring}}
			d.Changes = audit.Changes{New: 2, Gone: 1, Unread: 1}
			a := failing(1, ring, audit.LineNew)
			a.Was, a.From, a.Evidence = ring, ring, []string{ring}
			b := failing(2, ring, audit.LineNew)
			b.Yours = ring
			d.Groups = []audit.Group{
				{Owner: ring, Mention: true, Counts: audit.Counts{NotReady: 2}, Lines: []audit.Line{a, b}},
				{Team: ring, Counts: audit.Counts{Ready: 1, Unknown: 1}, Lines: []audit.Line{
					{App: appID(3), Name: ring, Kind: audit.LineUnread, Why: ring},
					{App: appID(4), Name: ring, Kind: audit.LineGone},
				}},
			}
			return d
		}},
	} {
		t.Run(name, func(t *testing.T) { golden.Check(t, "testdata/"+name+".golden", told(t, tt.digest(t), tt.view)) })
	}
}

// spans are all texts of a reply.
func spans(r commands.Reply) []commands.Span {
	var all []commands.Span
	for _, part := range r.Parts {
		switch p := part.(type) {
		case commands.Para:
			all = append(all, p.Text...)
		case commands.Note:
			all = append(all, p.Text...)
		case commands.List:
			for _, i := range p.Items {
				all = append(all, i.Text...)
				all = append(all, slices.Concat(i.Detail...)...)
			}
		case commands.Facts:
			for _, f := range p.Pairs {
				all = append(all, f.Value...)
			}
		case commands.Grid:
			for _, row := range p.Rows {
				all = append(all, slices.Concat(row...)...)
			}
		}
	}
	return all
}

// An owner is rung once a message, only by what is new to them, and only in the channel
// where their apps are told.
func TestWhoIsRung(t *testing.T) {
	group := func(owner, channel string, mention bool) audit.Group {
		return audit.Group{Owner: owner, Channel: channel, Mention: mention, Counts: audit.Counts{NotReady: 1}, Lines: []audit.Line{failing(1, "shop", audit.LineNew)}}
	}
	for name, tt := range map[string]struct {
		groups   []audit.Group
		baseline bool
		view     commands.View
		want     string
	}{
		"once":                      {groups: []audit.Group{group("U1", "", true), group("U1", "C2", true), group("U1", "", true)}, want: "U1"},
		"nothing new":               {groups: []audit.Group{group("U1", "", false)}},
		"no owner":                  {groups: []audit.Group{group("", "", true)}},
		"user group":                {groups: []audit.Group{group("S1", "", true)}, want: "S1"},
		"first night":               {groups: []audit.Group{group("U1", "", true)}, baseline: true},
		"elsewhere":                 {groups: []audit.Group{group("U1", "C2", true)}, view: commands.View{Home: "C1"}},
		"home is theirs":            {groups: []audit.Group{group("U1", "C1", true)}, view: commands.View{Home: "C1"}, want: "U1"},
		"their channel":             {groups: []audit.Group{group("U1", "C2", true), group("U3", "C3", true)}, view: commands.View{Home: "C1", Channel: "C2"}, want: "U1"},
		"their channel, again":      {groups: []audit.Group{group("U1", "C2", true)}, view: commands.View{Home: "C1", Channel: "C2", Repeat: true}, want: "U1"},
		"several in the order told": {groups: []audit.Group{group("U2", "", true), group("U1", "", true)}, want: "U2 U1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := sunday(t, audit.Counts{NotReady: len(tt.groups)})
			d.Groups, d.Baseline = tt.groups, tt.baseline
			parent, thread := commands.DigestView(d, tt.view)
			var rung []string
			for i, r := range append([]commands.Reply{parent}, thread...) {
				for _, s := range spans(r) {
					if s.Kind == commands.User || s.Kind == commands.Group {
						rung = append(rung, s.S)
						if i == 0 {
							t.Errorf("%s is rung by the message for everybody", s.S)
						}
					}
				}
			}
			if got := strings.Join(rung, " "); got != tt.want {
				t.Errorf("got %q rung, want %q", got, tt.want)
			}
		})
	}
}

func TestDigestChannels(t *testing.T) {
	d := audit.Digest{Groups: []audit.Group{{Channel: "C3"}, {}, {Channel: "C2"}, {Channel: "C1"}, {Channel: "C2"}}}
	for home, want := range map[string]string{"": "C1 C2 C3", "C1": "C1 C2 C3", "C9": "C9 C1 C2 C3", "C2": "C2 C1 C3"} {
		if got := strings.Join(commands.DigestChannels(d, home), " "); got != want {
			t.Errorf("home %q: got %q, want %q", home, got, want)
		}
	}
}

// A channel of its own that has all the apps hears the same words about them as the home
// channel does.
func TestChannelSaysTheSame(t *testing.T) {
	const night = "2026-11-22"
	standing := func(n int, verdict audit.Verdict, kind audit.LineKind, unread fleet.Kind) audit.Standing {
		s := audit.Standing{App: appID(n), Name: fmt.Sprintf("app-%d", n), Team: "data", Channel: "C0DATA", Night: night, Verdict: verdict, News: audit.News{Night: night, Kind: kind}}
		if unread != "" {
			s.Unread = fleet.Reason{Kind: unread, Text: "a long sentence about " + string(unread)}
			s.News.Why = s.Unread.Text
		}
		if kind == audit.LineGone {
			s.Gone = noon(t)
		}
		if verdict == audit.VerdictNotReady {
			s.Increase, s.News.Checks = fleet.Known[fleet.Money](25_00), []string{"preboot"}
			s.Marks = []audit.Mark{{Check: "preboot", Outcome: audit.Fail, Required: true, Evidence: prebootOff}}
		}
		return s
	}
	all := []audit.Standing{
		standing(1, audit.VerdictReady, "", ""), standing(2, audit.VerdictNotReady, audit.LineNew, ""), standing(3, audit.VerdictNotReady, audit.LineRegressed, ""),
		standing(4, audit.VerdictNotReady, audit.LineStill, ""), standing(5, audit.VerdictNotReady, audit.LineOwner, ""), standing(6, audit.VerdictNotReady, "", ""),
		standing(7, audit.VerdictReady, audit.LineFixed, ""), standing(8, audit.VerdictNotApplicable, "", ""), standing(9, audit.VerdictNotReady, audit.LineGone, ""),
		standing(10, audit.VerdictUnknown, audit.LineUnread, fleet.TwoFactor), standing(11, audit.VerdictUnknown, audit.LineUnread, fleet.NotFound),
		standing(12, audit.VerdictUnknown, audit.LineUnread, fleet.NotFound), standing(13, audit.VerdictUnknown, audit.LineUnread, audit.OutOfTime), standing(14, audit.VerdictUnknown, "", ""),
	}
	seq := func(yield func(audit.Standing, error) bool) {
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
	}
	began := noon(t)
	d, err := audit.BuildDigest(audit.Night{ID: night, Started: began, Finished: began.Add(time.Minute)}, "Europe/Berlin", seq, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"This is not the whole fleet: 4 of the 13 apps in scope could not be read (2 not shown, 1 out of time and 1 two-factor).",
		"13 apps seen. Of these, 1 has no web traffic, which leaves 12; of these, 4 could not be read: 2 not shown, 1 out of time and 1 two-factor",
		"1 regressed, 1 new, 1 fixed, 1 gone; 3 apps fail as before.",
	} {
		for where, v := range map[string]commands.View{"home": {Home: "C0OPS"}, "their own": {Home: "C0OPS", Channel: "C0DATA"}} {
			parent, _ := commands.DigestView(d, v)
			var text strings.Builder
			for _, s := range spans(parent) {
				text.WriteString(s.S)
			}
			if got := text.String(); !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want in it %q", where, got, want)
			}
		}
	}
}

// Every button of a digest opens the plan of one app, with the size that it takes, and
// no app whose remedy is a person's has one.
func TestDigestButtons(t *testing.T) {
	parent, thread := commands.DigestView(ordinary(t), commands.View{})
	var got []string
	for _, r := range append([]commands.Reply{parent}, thread...) {
		for _, part := range r.Parts {
			switch p := part.(type) {
			case commands.Buttons:
				for _, b := range p.Row {
					got = append(got, b.Label+" "+b.Run)
				}
			case commands.List:
				for _, i := range p.Items {
					if i.Button != nil {
						got = append(got, i.Button.Label+" "+i.Button.Run)
					}
				}
			}
		}
	}
	var want []string
	for _, b := range []string{
		"Fix shop… enable 1", "Fix legacy-cms… enable 2 size=standard-1x", "Fix emporium… enable 5", "Fix billing… enable 3",
		"Fix… enable 1", "Fix… enable 2 size=standard-1x", "Fix… enable 5", "Fix… enable 3",
	} {
		label, run, _ := strings.Cut(b, " enable ")
		n, size, _ := strings.Cut(run, " ")
		want = append(want, strings.TrimSpace(label+" enable "+strings.TrimSuffix(string(appID(0)), "0")+n+" "+size))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// withoutFixAll is a page without the lines whose button opens one plan for several apps.
func withoutFixAll(r commands.Reply) commands.Reply {
	r.Parts = slices.Clone(r.Parts)
	for i, part := range r.Parts {
		if list, ok := part.(commands.List); ok {
			list.Items = slices.DeleteFunc(slices.Clone(list.Items), func(i commands.Item) bool { return i.Button != nil && i.Button.Label != "Fix…" })
			r.Parts[i] = list
		}
	}
	return r
}

// The button for several of an owner's apps opens one plan for those that one can be made
// for: at most ten, and none that needs another dyno size or a person.
func TestFixAll(t *testing.T) {
	able := func(n int) (lines []audit.Line) {
		for i := range n {
			lines = append(lines, failing(i, fmt.Sprintf("app-%02d", i), audit.LineStill))
		}
		return lines
	}
	sized, yours, gone, nameless := failing(90, "sized", audit.LineNew), failing(91, "yours", audit.LineNew), failing(92, "gone", audit.LineGone), failing(0, "nameless", audit.LineNew)
	fought := failing(93, "fought", audit.LineStill)
	sized.Size, yours.Yours, nameless.App, fought.Fight = "standard-1x", "Raise the minimum.", "", &audit.Fight{}
	costs := func(l audit.Line, v audit.Increase) audit.Line { l.Increase = v; return l }
	unknown := fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotPriced, Text: "no price"})
	for name, tt := range map[string]struct {
		lines []audit.Line
		label string // empty: there is no button
		apps  int
		says  string
	}{
		"none":                          {lines: nil},
		"one":                           {lines: able(1)},
		"one, and others that can't be": {lines: append(able(1), sized, yours, gone, nameless, fought)},
		"two":                           {able(2), "Fix all 2…", 2, "`app-00` and `app-01`. That costs nothing more."},
		"two, and others that can't be": {append([]audit.Line{sized, yours, gone, nameless, fought}, able(2)...), "Fix all 2…", 2, "`app-00` and `app-01`."},
		"ten":                           {able(10), "Fix all 10…", 10, "`app-08` and `app-09`."},
		"eleven":                        {able(11), "Fix the first 10…", 10, "`app-08` and `app-09`."},
		"with prices":                   {append(able(1), costs(failing(50, "dear", audit.LineStill), fleet.Known[fleet.Money](25_00)), costs(failing(51, "dearer", audit.LineStill), fleet.Known[fleet.Money](50_00))), "Fix all 3…", 3, "That adds $75.00 a month in all."},
		"with a price not known":        {append(able(1), costs(failing(50, "dear", audit.LineStill), unknown)), "Fix all 2…", 2, "What that costs is not known of all."},
		"three hundred":                 {able(300), "Fix the first 10…", 10, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := sunday(t, audit.Counts{NotReady: len(tt.lines)})
			d.Groups = []audit.Group{{Owner: "U0SHOP", Lines: tt.lines}}
			_, thread := commands.DigestView(d, commands.View{})
			var found []commands.Item
			for _, r := range thread {
				for _, part := range r.Parts {
					if list, ok := part.(commands.List); ok {
						for _, i := range list.Items {
							if i.Button != nil && i.Button.Label != "Fix…" {
								found = append(found, i)
							}
						}
					}
				}
			}
			if tt.label == "" {
				if len(found) > 0 {
					t.Errorf("got %q, want no button for several", found[0].Button.Label)
				}
				return
			}
			if len(found) != 1 || found[0].Button.Label != tt.label {
				t.Fatalf("got %+v, want one button %q", found, tt.label)
			}
			words := strings.Fields(found[0].Button.Run)
			if words[0] != "enable" || len(words)-1 != tt.apps || strings.Contains(found[0].Button.Run, "size=") {
				t.Errorf("it runs %q, want enable and %d apps", found[0].Button.Run, tt.apps)
			}
			if got := strings.ReplaceAll(printed(t, commands.Reply{Summary: "x", Parts: []commands.Part{commands.Para{Text: found[0].Text}}}), "\n", " "); !strings.Contains(got, tt.says) {
				t.Errorf("got %q, want %q in it", got, tt.says)
			}
		})
	}
}

// However large a fleet is, every app that is listed is named once, besides by the button
// for several, and no page of a thread is larger than a message may be.
func TestThreadIsWhole(t *testing.T) {
	for _, n := range []int{1, 19, 21, 35, 300, 3000} {
		for _, owners := range []int{1, 7, n} {
			d := sunday(t, audit.Counts{NotReady: n})
			groups := make([]audit.Group, owners)
			for i := range n {
				g := &groups[i%owners]
				g.Owner, g.Mention = fmt.Sprintf("U%d", i%owners), true
				g.Lines = append(g.Lines, failing(i, fmt.Sprintf("app-%05d", i), audit.LineNew))
			}
			d.Groups = groups
			parent, thread := commands.DigestView(d, commands.View{})
			if messages := chat.Blocks(parent); len(messages) != 1 {
				t.Errorf("%d apps of %d owners: the message for everybody is %d", n, owners, len(messages))
			}
			named := map[string]int{}
			for _, r := range thread {
				if messages := chat.Blocks(r); len(messages) != 1 {
					t.Errorf("%d apps of %d owners: a page takes %d messages", n, owners, len(messages))
				}
				for _, s := range spans(withoutFixAll(r)) {
					if s.Kind == commands.Mono && strings.HasPrefix(s.S, "app-") {
						named[s.S]++
					}
				}
			}
			if len(named) != n {
				t.Errorf("%d apps of %d owners: %d are named", n, owners, len(named))
			}
			for name, times := range named {
				if times != 1 {
					t.Errorf("%d apps of %d owners: %s is named %d times", n, owners, name, times)
				}
			}
		}
	}
}
