package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

func TestLine(t *testing.T) {
	for want, w := range map[string]Wish{
		"enable shop":                  {Verb: ToEnable},
		"enable shop size=standard-1x": {Verb: ToEnable, Size: "standard-1x"},
		"disable shop":                 {Verb: ToDisable},
		"affinity shop on":             {Verb: ToAffinity, On: true},
		"affinity shop off":            {Verb: ToAffinity},
		"preboot shop on":              {Verb: ToPreboot, On: true},
		"preboot shop off":             {Verb: ToPreboot},
		"scale shop web=3":             {Verb: ToScale, Web: 3},
		"undo":                         {Verb: ToUndo, Undo: []Step{{Kind: Soak}}},
	} {
		if got := w.Line("shop"); got != want {
			t.Errorf("%+v: got %q, want %q", w, got, want)
		}
	}
}

// wishes are every order but undo, which needs something done.
func wishes() []Wish {
	return []Wish{
		{Verb: ToDisable},
		{Verb: ToAffinity, On: true}, {Verb: ToAffinity},
		{Verb: ToPreboot, On: true}, {Verb: ToPreboot},
		{Verb: ToScale, Web: 1}, {Verb: ToScale, Web: 2}, {Verb: ToScale, Web: 4},
	}
}

// TestWishTable is every order with every combination of runtime, quantity, scaler,
// features and need of affinity; Enable has a table of its own. What makes no
// difference shares a line.
func TestWishTable(t *testing.T) {
	runtimes := []string{"basic", "standard-1x", "performance-m", "private-m space=private", "quantum-1x"}
	webs := []string{"", "web=0", "web=1", "web=2", "web=3"}
	scalers := []string{"", "scaler=1-5", "scaler=2-2", "addon=judoscale:bronze", "scaler=?", "addons=?"}
	needs := []policy.Need{policy.Required, policy.Optional, policy.Forbidden}
	features := []string{"", "affinity", "preboot", "affinity preboot", "features=?"}

	var out strings.Builder
	out.WriteString(`# What each order comes to: = already so, + ready, x refused, y yours to do; then its steps:
# A a session affinity on, off; P p preboot on, off; S s more, fewer web dynos; k soak, t settle.
# Five columns for each need of session affinity: both features off, affinity on, preboot on, both on, features unread.
`)
	fmt.Fprintf(&out, "%-37s", "#")
	for _, need := range needs {
		fmt.Fprintf(&out, "| %-25s", "affinity "+need)
	}
	out.WriteString("\n")
	for _, w := range wishes() {
		fmt.Fprintf(&out, "%s\n", w.Line("shop"))
		for _, runtime := range runtimes {
			type row struct{ webs, columns string }
			var rows []row
			for _, web := range webs {
				var lines, whos []string
				for _, scaler := range scalers {
					var columns strings.Builder
					for _, need := range needs {
						columns.WriteString("| ")
						for _, feature := range features {
							app := fleettest.App(runtime + " worker=1 " + web + " " + scaler + " " + feature)
							rules := policy.Default().For(app)
							rules.SessionAffinity = need
							fmt.Fprintf(&columns, "%-5s", short(For(app, rules, w, app.ReadAt)))
						}
					}
					if n := len(lines); n > 0 && lines[n-1] == columns.String() {
						whos[n-1] += ", " + orNone(scaler)
						continue
					}
					lines, whos = append(lines, columns.String()), append(whos, orNone(scaler))
				}
				for i, line := range lines {
					if len(lines) == 1 {
						whos[i] = "any"
					}
					rows = append(rows, row{webs: orNone(web), columns: line + "| " + whos[i]})
				}
			}
			fmt.Fprintf(&out, "  %s\n", runtime)
			for i, r := range rows {
				if i > 0 && rows[i-1] == (row{r.webs, r.columns}) {
					continue
				}
				fmt.Fprintf(&out, "    %-33s%s\n", r.webs, r.columns)
			}
		}
	}
	golden(t, "testdata/wishes.golden", out.String())
}

func orNone(word string) string {
	if word == "" {
		return "none"
	}
	return word
}

// tell is all that a person is told of a plan.
func tell(out *strings.Builder, p Plan) {
	for _, s := range p.Steps {
		fmt.Fprintf(out, "  %s\n", s)
	}
	for _, why := range p.Why {
		fmt.Fprintf(out, "  – %s\n", why)
	}
	if p.Instead.Verb != "" {
		fmt.Fprintf(out, "  instead: %s\n", p.Instead.Line(p.Name))
	}
	if len(p.Steps) > 0 {
		difference, known := p.Cost.Difference.Get()
		fmt.Fprintf(out, "  cost: %s (known %t)\n", difference, known)
	}
	for _, why := range p.NeedsApproval() {
		fmt.Fprintf(out, "  approval: %s\n", why)
	}
	for _, h := range p.Hazards {
		fmt.Fprintf(out, "  hazard %s: %s\n", h.ID, h.Text)
	}
}

// TestWishTold shows what a person is told of each kind of order.
func TestWishTold(t *testing.T) {
	disable := Wish{Verb: ToDisable}
	affinity := func(on bool) Wish { return Wish{Verb: ToAffinity, On: on} }
	preboot := func(on bool) Wish { return Wish{Verb: ToPreboot, On: on} }
	scale := func(n int) Wish { return Wish{Verb: ToScale, Web: n} }
	var out strings.Builder
	for _, c := range []struct {
		line  string
		wish  Wish
		rules func(*policy.Rules)
	}{
		{"standard-1x web=3 worker=1 affinity preboot", disable, nil},
		{"standard-1x web=1", disable, nil},
		{"performance-m web=3 affinity preboot scaler=2-5", disable, nil},
		{"standard-1x web=3 affinity preboot addon=judoscale:bronze", disable, func(r *policy.Rules) { r.SessionAffinity = policy.Optional }},
		{"private-m web=3 space=private", disable, nil},
		{"standard-1x worker=1", disable, nil},
		{"standard-1x web=2 formation=?", disable, nil},
		{"performance-m web=2 features=? scaler=? addons=?", disable, nil},
		{"standard-1x web=2 preboot affinity released=1m", disable, nil},

		{"standard-1x web=2", affinity(true), nil},
		{"standard-1x web=1 affinity", affinity(false), nil},
		{"standard-1x web=2 affinity", affinity(false), nil},
		{"standard-1x web=2 affinity", affinity(false), func(r *policy.Rules) { r.SessionAffinity = policy.Optional }},
		{"performance-m web=1 affinity scaler=1-4", affinity(false), nil},
		{"standard-1x web=1 affinity addon=judoscale:bronze", affinity(false), nil},
		{"standard-1x web=1 affinity addons=?", affinity(false), nil},
		{"standard-1x web=2", affinity(true), func(r *policy.Rules) { r.SessionAffinity = policy.Forbidden }},
		{"private-m web=2 space=private", affinity(true), nil},
		{"standard-1x web=0", affinity(true), nil},
		{"private-m web=0 space=private", affinity(false), nil},

		{"standard-1x web=2 affinity addon=heroku-postgresql:essential-0", preboot(true), nil},
		{"standard-1x web=2 affinity preboot addon=heroku-postgresql:essential-0", preboot(false), nil},
		{"basic web=1", preboot(true), nil},
		{"basic web=1 preboot", preboot(false), nil},
		{"private-m web=2 space=shield", preboot(true), nil},
		{"quantum-1x web=2", preboot(true), nil},
		{"standard-1x web=2 preboot features=?", preboot(false), nil},

		{"standard-1x web=1 affinity", scale(3), nil},
		{"standard-1x web=1 affinity=1s", scale(3), nil},
		{"standard-1x web=1 affinity=3m20s", scale(2), nil},
		{"standard-1x web=1 affinity=9m59s", scale(2), nil},
		{"standard-1x web=1 affinity=10m", scale(2), nil},
		{"standard-1x web=1 affinity=-1m", scale(2), nil},
		{"standard-1x web=1 affinity=?", scale(2), nil},
		{"standard-1x web=1 affinity=99999h", scale(2), nil},
		{"standard-1x web=2 affinity=3m", scale(3), nil},
		{"standard-1x web=3 affinity=3m", scale(2), nil},
		{"standard-1x web=1 affinity=3m", scale(2), func(r *policy.Rules) { r.SessionAffinity = policy.Optional }},
		{"standard-1x web=1 affinity=3m", scale(2), func(r *policy.Rules) { r.Rollout.AffinitySoak = 200 * time.Second }},
		{"private-m web=1 affinity=3m space=private", scale(2), nil},
		{"standard-1x web=1 affinity=3m", Wish{Verb: ToEnable}, nil},
		{"basic web=1 affinity=3m", Wish{Verb: ToEnable, Size: "standard-1x"}, nil},
		{"performance-m web=1 affinity=3m scaler=1-4", Wish{Verb: ToEnable}, nil},
		{"performance-m web=1 affinity=3m scaler=1-4", scale(2), nil},
		{"standard-1x web=1 affinity=3m addon=judoscale:bronze", scale(2), nil},
		{"standard-1x web=1", scale(3), nil},
		{"standard-1x web=1", scale(3), func(r *policy.Rules) { r.SessionAffinity = policy.Optional }},
		{"standard-1x web=5 preboot", scale(3), nil},
		{"standard-1x web=3 preboot affinity", scale(1), nil},
		{"standard-1x web=3", scale(0), nil},
		{"standard-1x web=3", scale(-2), nil},
		{"standard-1x web=3 affinity", scale(11), nil},
		{"standard-1x web=20", scale(15), nil},
		{"performance-l web=2 affinity", scale(5), nil},
		{"standard-1x web=0", scale(2), nil},
		{"basic web=1 worker=1", scale(2), nil},
		{"performance-m web=2 affinity scaler=2-5", scale(4), nil},
		{"performance-m web=2 affinity scaler=2-5", scale(2), nil},
		{"performance-m web=2 scaler=2-5", scale(1), nil},
		{"standard-1x web=2 affinity addon=judoscale:bronze", scale(3), nil},
		{"standard-1x web=1 affinity sizes=?", scale(2), nil},
		{"standard-1x web=1 affinity preboot released=1m crashed=web.1", scale(2), nil},

		{"standard-1x web=1", Wish{Verb: "explode"}, nil},
	} {
		app := fleettest.App(c.line)
		rules := policy.Default().For(app)
		if c.rules != nil {
			c.rules(&rules)
			fmt.Fprintf(&out, "affinity %s: ", rules.SessionAffinity)
		}
		p := For(app, rules, c.wish, app.ReadAt)
		fmt.Fprintf(&out, "%s, %s: %s\n", c.line, c.wish.Line("shop"), p.Outcome)
		tell(&out, p)
	}
	golden(t, "testdata/wishes-told.golden", out.String())
}

// TestUndoTold undoes what enable did to one app on the app as it is by now.
func TestUndoTold(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		before string
		did    Wish
		now    string
		rules  func(*policy.Rules)
	}{
		{"standard-1x web=1 worker=1", Wish{Verb: ToEnable}, "standard-1x web=2 worker=1 affinity preboot", nil},
		{"standard-1x web=1 worker=1", Wish{Verb: ToEnable}, "standard-1x web=2 worker=1 affinity", nil},
		{"standard-1x web=1 worker=1", Wish{Verb: ToEnable}, "standard-1x web=1 worker=1", nil},
		{"standard-1x web=1", Wish{Verb: ToEnable}, "standard-1x web=3 affinity preboot", nil},
		{"standard-1x web=1", Wish{Verb: ToEnable}, "standard-2x web=2 affinity preboot", nil},
		{"standard-1x web=1", Wish{Verb: ToEnable}, "standard-1x web=0 affinity preboot", nil},
		{"standard-1x web=1", Wish{Verb: ToEnable}, "standard-1x worker=1 affinity preboot", nil},
		{"standard-1x web=1", Wish{Verb: ToEnable}, "standard-1x web=2 affinity preboot addon=judoscale:bronze", nil},
		{"performance-m web=1", Wish{Verb: ToEnable}, "performance-m web=2 affinity preboot scaler=2-4", nil},
		{"standard-1x web=1", Wish{Verb: ToEnable}, "standard-1x web=2 features=?", nil},
		{"performance-m web=1", Wish{Verb: ToEnable}, "performance-m web=2 affinity preboot scaler=? addons=?", nil},
		{"standard-1x web=2", Wish{Verb: ToEnable}, "standard-1x web=2 affinity preboot", nil},
		{"standard-1x web=2", Wish{Verb: ToEnable}, "standard-1x web=3 affinity preboot", nil},
		{"standard-1x web=2", Wish{Verb: ToEnable}, "standard-1x web=3 affinity preboot", func(r *policy.Rules) { r.SessionAffinity = policy.Optional }},
		{"basic web=1 worker=1 clock=0", Wish{Verb: ToEnable, Size: "standard-1x"}, "standard-1x web=2 worker=1 clock=0 affinity preboot", nil},
		{"basic web=1 worker=1 clock=0", Wish{Verb: ToEnable, Size: "standard-1x"}, "standard-1x web=2 worker=3 clock=0 affinity preboot", nil},
		{"basic web=1 worker=1", Wish{Verb: ToEnable, Size: "standard-1x"}, "standard-1x web=2 worker=1 cron=1 affinity preboot", nil},
		{"standard-1x web=3 affinity preboot", Wish{Verb: ToDisable}, "standard-1x web=1", nil},
		{"standard-1x web=3 affinity preboot", Wish{Verb: ToDisable}, "standard-1x web=1", func(r *policy.Rules) { r.SessionAffinity = policy.Forbidden }},
		{"standard-1x web=3 affinity preboot", Wish{Verb: ToDisable}, "standard-1x web=1", func(r *policy.Rules) { r.SessionAffinity = policy.Optional }},
		{"standard-1x web=12 affinity preboot", Wish{Verb: ToDisable}, "standard-1x web=1", nil},
		{"standard-1x web=3 affinity", Wish{Verb: ToScale, Web: 1}, "standard-1x web=1", nil},
		{"standard-1x web=3 affinity", Wish{Verb: ToScale, Web: 1}, "standard-1x web=1 affinity", nil},
		{"standard-1x web=3 affinity", Wish{Verb: ToScale, Web: 1}, "standard-1x web=1 affinity=3m", nil},
		{"standard-1x web=3 affinity", Wish{Verb: ToDisable}, "standard-1x web=1 affinity=3m", nil},
		{"standard-2x web=2 preboot", Wish{Verb: ToPreboot}, "basic web=1", nil},
	} {
		before, now := fleettest.App(c.before), fleettest.App(c.now)
		rules := policy.Default().For(before)
		did := For(before, rules, c.did, before.ReadAt)
		if len(did.Steps) == 0 {
			t.Fatalf("%s, %s: nothing was done: %s %q", c.before, c.did.Line("shop"), did.Outcome, did.Why)
		}
		if c.rules != nil {
			c.rules(&rules)
			fmt.Fprintf(&out, "affinity %s: ", rules.SessionAffinity)
		}
		p := For(now, rules, Wish{Verb: ToUndo, Undo: did.Steps}, now.ReadAt)
		fmt.Fprintf(&out, "%s, %s, then %s: undo is %s\n", c.before, c.did.Line("shop"), c.now, p.Outcome)
		tell(&out, p)
	}
	golden(t, "testdata/undo.golden", out.String())
}

// TestUndoOfAnUndo goes forth again, from Basic up, with the waits that this needs.
func TestUndoOfAnUndo(t *testing.T) {
	app := fleettest.App("basic web=1 worker=1")
	rules := policy.Default().For(app)
	did := For(app, rules, Wish{Verb: ToEnable, Size: "standard-1x"}, app.ReadAt)
	enabled := After(app, did.Steps...)
	undone := For(enabled, rules, Wish{Verb: ToUndo, Undo: did.Steps}, app.ReadAt)
	again := For(After(enabled, undone.Steps...), rules, Wish{Verb: ToUndo, Undo: undone.Steps}, app.ReadAt)
	if got, want := short(undone), "+psaRt"; got != want {
		t.Errorf("undo: got %s, want %s", got, want)
	}
	if got, want := short(again), short(did); got != want {
		t.Errorf("undo of the undo: got %s, want %s: %q", got, want, again.Why)
	}
}

// TestUndoOfNonsense: what comes back from a record is held against the form of steps.
func TestUndoOfNonsense(t *testing.T) {
	app := fleettest.App("standard-1x web=2 affinity preboot")
	on := State{Feature: &Feature{fleet.Preboot, true}}
	two := State{Processes: []Process{{"web", "standard-1x", 2}}}
	worker := State{Processes: []Process{{"worker", "standard-1x", 2}}}
	for name, s := range map[string]Step{
		"no kind":          {From: two, To: two},
		"no From":          {Kind: Preboot, To: on},
		"no To":            {Kind: Scale, From: two},
		"mixed":            {Kind: Scale, From: on, To: two},
		"both":             {Kind: Preboot, From: on, To: State{Feature: on.Feature, Processes: two.Processes}},
		"other feature":    {Kind: Preboot, From: State{Feature: &Feature{fleet.SessionAffinity, false}}, To: on},
		"other types":      {Kind: Resize, From: worker, To: two},
		"not web":          {Kind: Scale, From: worker, To: worker},
		"a wait that acts": {Kind: Soak, To: two},
	} {
		if p := For(app, policy.Default().For(app), Wish{Verb: ToUndo, Undo: []Step{s}}, app.ReadAt); p.Outcome != Refused || len(p.Why) == 0 {
			t.Errorf("%s: got %s, want refused", name, p.Outcome)
		}
	}
	if p := For(app, policy.Default().For(app), Wish{Verb: ToUndo}, app.ReadAt); p.Outcome != AlreadySo {
		t.Errorf("nothing to undo: got %s, want already so", p.Outcome)
	}
}

// TestForNow: hazards are those of the moment that is named, not of the reading.
func TestForNow(t *testing.T) {
	app := fleettest.App("standard-1x web=1 affinity preboot released=5m")
	rules := policy.Default().For(app)
	has := func(p Plan) bool { return len(p.Hazards) > 0 && p.Hazards[0].ID == HazardHandOver }
	w := Wish{Verb: ToScale, Web: 2}
	early, late := For(app, rules, w, app.ReadAt), For(app, rules, w, app.ReadAt.Add(time.Minute))
	if !has(early) || has(late) {
		t.Errorf("got hazards %v and a minute later %v, want the hand-over first and then not", early.Hazards, late.Hazards)
	}
	if early.Hash != late.Hash {
		t.Error("the hash changed with time")
	}
	if early.Outcome != Ready {
		t.Errorf("during a hand-over: got %s, want ready: the rollout waits", early.Outcome)
	}
}

// TestSoakAcrossTickets: what one ticket turned on, the next one waits for, for as long
// as the rest of the soak. All along it is the same plan to whoever approves it.
func TestSoakAcrossTickets(t *testing.T) {
	const soak = 10 * time.Minute
	for name, c := range map[string]struct {
		line string
		wish Wish // after affinity on
	}{
		"scale":  {"standard-1x web=1", Wish{Verb: ToScale, Web: 2}},
		"enable": {"standard-1x web=1", Wish{Verb: ToEnable}},
	} {
		t.Run(name, func(t *testing.T) {
			app := fleettest.App(c.line)
			rules := policy.Default().For(app)
			on := For(app, rules, Wish{Verb: ToAffinity, On: true}, app.ReadAt)
			after := After(app, on.Steps...)
			wait := func(app fleet.App, now time.Time) time.Duration {
				for i, s := range For(app, rules, c.wish, now).Steps {
					if s.Kind == Soak && i == 0 {
						return s.Wait
					}
				}
				return 0
			}
			if got := wait(after, app.ReadAt); got != soak {
				t.Errorf("in the plan for what comes after: got a soak of %v, want %v", got, soak)
			}
			turned := app.ReadAt.Add(5 * time.Second)
			features, _ := after.Features.Get()
			f := features[fleet.SessionAffinity]
			f.Since = fleet.Known(turned)
			after.Features = fleet.Known(map[string]fleet.Feature{fleet.SessionAffinity: f})
			first := For(after, rules, c.wish, turned).Hash
			for since, want := range map[time.Duration]time.Duration{
				-time.Hour: soak, 0: soak, time.Second: soak, time.Minute: 9 * time.Minute, 8*time.Minute + time.Second: 2 * time.Minute,
				soak - time.Second: time.Minute, soak: 0, 24 * time.Hour: 0,
			} {
				if got := wait(after, turned.Add(since)); got != want {
					t.Errorf("after %v: got a soak of %v, want %v", since, got, want)
				}
				if got := For(after, rules, c.wish, turned.Add(since)).Hash; got != first {
					t.Errorf("after %v: got another hash, want the same", since)
				}
			}
		})
	}
}

// TestSoakOfUnsureRules: where only one of the policy's entries wants a soak, none is
// chosen.
func TestSoakOfUnsureRules(t *testing.T) {
	pol, err := policy.Parse("zdd.yml", []byte(`apps: { "pipeline:storefront": { session_affinity: optional } }`))
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]Outcome{
		"standard-1x web=1 affinity=3m unnamed=production": Refused,
		"standard-1x web=1 affinity=1h unnamed=production": Ready,
		"standard-1x web=1 affinity=3m stage=production":   Ready,
	} {
		app := fleettest.App(line)
		if p := For(app, pol.For(app), Wish{Verb: ToScale, Web: 2}, app.ReadAt); p.Outcome != want {
			t.Errorf("%s: got %s %q, want %s", line, p.Outcome, p.Why, want)
		}
	}
}

func TestHashOfWishes(t *testing.T) {
	app := fleettest.App("standard-1x web=2 affinity preboot")
	rules := policy.Default().For(app)
	seen := map[string]string{}
	for _, w := range append(wishes(), Wish{Verb: ToEnable}) {
		h := For(app, rules, w, app.ReadAt).Hash
		if other, taken := seen[h]; taken {
			t.Errorf("%s and %s have the same hash", w.Line("shop"), other)
		}
		seen[h] = w.Line("shop")
	}
	if a, b := For(app, rules, Wish{Verb: ToEnable, Size: " Standard-1X"}, app.ReadAt), Enable(app, rules, Options{Size: "standard-1x"}); a.Hash != b.Hash {
		t.Error("a size in other letters: got another hash, want the same")
	}
}
