package audit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/golden"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// randomLine is any app that Heroku could show, and some that it could not.
func randomLine(r *rand.Rand) string {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	var line strings.Builder
	line.WriteString(pick("eco", "basic", "basic", "standard-1x", "standard-1x", "standard-2x", "performance-m", "performance-l",
		"private-s space=private", "private-m space=shield", "private-m space=private?", "dyno-1c-0.5gb space=fir", "standard-9x", "quantum-1x", "private-m"))
	line.WriteString(pick("", " web=0", " web=1", " web=1", " web=1", " web=2", " web=3", " web=7"))
	line.WriteString(pick("", " worker=0", " worker=1", " worker=1 clock=1 webhooks=2"))
	for _, word := range []string{"affinity", "preboot", "maintenance", "runtime=Java", "stack=container"} {
		if r.IntN(3) == 0 {
			line.WriteString(" " + word)
		}
	}
	for _, word := range []string{"features=?", "sizes=?", "scaler=?", "addons=?", "formation=?", "release=?", "buildpacks=?", "addon=judoscale:bronze", "addon=heroku-postgresql:mini", "scaler=1-3", "scaler=2-9", "scaler=4-9", "release=pending"} {
		if r.IntN(14) == 0 {
			line.WriteString(" " + word)
		}
	}
	return line.String()
}

func randomRules(r *rand.Rand, app fleet.App) policy.Rules {
	rules := policy.Default().For(app)
	rules.WebDynos = 1 + r.IntN(4)
	rules.SessionAffinity = []policy.Need{policy.Required, policy.Required, policy.Optional, policy.Forbidden}[r.IntN(4)]
	rules.JVMWarmup = []policy.Weight{policy.WeightAdvice, policy.WeightRequired}[r.IntN(2)]
	rules.WarmupAttested = r.IntN(2) == 0
	if r.IntN(3) == 0 {
		rules.Prices = policy.Prices{"standard-1x": 21_50, "private-s": 200_00, "shield-m": 410_00, "eco": 0}
	}
	return rules
}

// TestPlanProperties carries plans out in memory. It holds, for any app and any rules:
// the outcome is what the audit then finds; no step lowers a quantity or turns a
// feature off; no second web dyno starts before the session affinity that is required,
// nor before the soak after turning it on; Eco and Basic are never mixed with others;
// and what the plan says it costs is what the formation before and after costs.
func TestPlanProperties(t *testing.T) {
	const apps = 6000 // about a second
	seen := map[plan.Outcome]int{}
	for seed := range uint64(apps) {
		r := rand.New(rand.NewPCG(seed, 2))
		line := randomLine(r)
		app := fleettest.App(line)
		rules := randomRules(r, app)
		opt := plan.Options{}
		if r.IntN(2) == 0 {
			opt.Size = []string{"standard-1x", "standard-2x", "performance-m"}[r.IntN(3)]
		}
		p := plan.Enable(app, rules, opt)
		seen[p.Outcome]++
		if err := holds(app, rules, opt, p); err != nil {
			t.Fatalf("seed %d: %s, size=%s, rules %d %s %s attested %t: %v\n%+v", seed, line, opt.Size, rules.WebDynos, rules.SessionAffinity, rules.JVMWarmup, rules.WarmupAttested, err, p)
		}
	}
	for _, o := range []plan.Outcome{plan.AlreadySo, plan.Ready, plan.Refused, plan.Yours} {
		if seen[o] < apps/100 {
			t.Errorf("%s came up %d times in %d: the apps are not mixed well enough to prove anything", o, seen[o], apps)
		}
	}
}

func holds(app fleet.App, rules policy.Rules, opt plan.Options, p plan.Plan) error {
	now, soaked := app, true
	var steps fleet.Money
	stepsKnown := true
	for i, s := range p.Steps {
		if got, known := s.Seen(now).Get(); !known || !got.Equal(s.From) {
			return fmt.Errorf("step %d %s: the app shows %+v, From is %+v", i, s.Kind, got, s.From)
		}
		then := plan.After(now, s)
		if got, known := s.Seen(then).Get(); !known || !got.Equal(s.To) {
			return fmt.Errorf("step %d %s: afterwards the app shows %+v, To is %+v", i, s.Kind, got, s.To)
		}
		if err := stepHolds(now, then, rules, s, soaked); err != nil {
			return fmt.Errorf("step %d %s: %w", i, s.Kind, err)
		}
		switch s.Kind {
		case plan.Affinity:
			soaked = false
		case plan.Soak:
			soaked = s.Wait >= time.Minute
		}
		cents, known := s.Cost.Difference.Get()
		steps, stepsKnown = steps+cents, stepsKnown && known
		now = then
	}
	if err := costHolds(app, now, rules, p, steps, stepsKnown); err != nil {
		return err
	}
	if err := jsonHolds(p); err != nil {
		return err
	}
	verdict := Judge(now, rules, now.ReadAt).Verdict
	switch {
	case len(p.Hash) != 64:
		return fmt.Errorf("the hash is %q", p.Hash)
	case p.Outcome == plan.Refused && (len(p.Steps) > 0 || len(p.Why) == 0):
		return fmt.Errorf("refused, with %d steps and %d reasons", len(p.Steps), len(p.Why))
	case p.Outcome == plan.Yours && len(p.Why) == 0:
		return fmt.Errorf("yours, and nothing is said")
	case p.Outcome == plan.AlreadySo && len(p.Steps) > 0, p.Outcome == plan.Ready && len(p.Steps) == 0:
		return fmt.Errorf("%s with %d steps", p.Outcome, len(p.Steps))
	case (p.Outcome == plan.AlreadySo || p.Outcome == plan.Ready) && verdict != VerdictReady:
		return fmt.Errorf("%s, and the audit then finds %s", p.Outcome, verdict)
	case p.Outcome == plan.Yours && verdict == VerdictReady:
		return fmt.Errorf("something is left to a person, and the audit finds the app ready")
	}
	if p.Outcome == plan.Ready {
		if again := plan.Enable(now, rules, plan.Options{}); again.Outcome != plan.AlreadySo {
			return fmt.Errorf("planned again after the steps: %s %q", again.Outcome, again.Why)
		}
	}
	return nil
}

// stepHolds holds a step against what must never happen between two moments.
func stepHolds(before, after fleet.App, rules policy.Rules, s plan.Step, soaked bool) error {
	was, _ := before.Formation.Get()
	is, _ := after.Formation.Get()
	small, large := 0, 0
	for i := range is {
		if is[i].Quantity < was[i].Quantity {
			return fmt.Errorf("%s goes from %d down to %d", is[i].Type, was[i].Quantity, is[i].Quantity)
		}
		if is[i].Type != "web" && is[i].Quantity != was[i].Quantity {
			return fmt.Errorf("%s goes from %d to %d", is[i].Type, was[i].Quantity, is[i].Quantity)
		}
		if after.Size(is[i].Size).OnePerType() {
			small++
		} else {
			large++
		}
	}
	if small > 0 && large > 0 {
		return fmt.Errorf("%d process types are on Eco or Basic and %d are not", small, large)
	}
	for _, feature := range []string{fleet.SessionAffinity, fleet.Preboot} {
		old, _ := before.Feature(feature)
		on, _ := after.Feature(feature)
		switch {
		case old && !on:
			return fmt.Errorf("%s goes off", feature)
		case on != old && after.InSpace():
			return fmt.Errorf("%s changes in a space", feature)
		}
	}
	size, _ := after.WebSize()
	if on, _ := after.Feature(fleet.Preboot); s.Kind == plan.Preboot && on && !size.SupportsPreboot() {
		return fmt.Errorf("preboot goes on with %s dynos", size.Name)
	}
	webWas, _ := before.Web()
	webIs, _ := after.Web()
	affinity, _ := after.Feature(fleet.SessionAffinity)
	if rules.SessionAffinity == policy.Required && !after.InSpace() && webIs.Quantity > webWas.Quantity && webIs.Quantity > 1 && (!affinity || !soaked) {
		return fmt.Errorf("web goes from %d to %d with affinity %t, soaked %t", webWas.Quantity, webIs.Quantity, affinity, soaked)
	}
	if want, _ := plan.Wanted(before, rules); webIs.Quantity > webWas.Quantity && webIs.Quantity > want {
		return fmt.Errorf("web goes from %d to %d, and %d are wanted", webWas.Quantity, webIs.Quantity, want)
	}
	return nil
}

// costHolds counts the cost by itself, dyno by dyno, as a bill would.
func costHolds(before, after fleet.App, rules policy.Rules, p plan.Plan, steps fleet.Money, stepsKnown bool) error {
	if p.Outcome == plan.Refused {
		if less, known := p.Cost.Difference.Get(); known && less <= rules.Limits.MonthlyIncrease {
			return fmt.Errorf("refused, and yet it has a cost: %s", less)
		}
		return nil
	}
	bill := func(app fleet.App) (fleet.Money, bool) {
		processes, _ := app.Formation.Get()
		var sum fleet.Money
		for _, process := range processes {
			for range process.Quantity {
				cents, known := rules.Prices.Of(app, process.Size).Get()
				if !known {
					return 0, false
				}
				sum += cents
			}
		}
		return sum, true
	}
	difference, known := p.Cost.Difference.Get()
	if known != stepsKnown || known && difference != steps {
		return fmt.Errorf("the difference is %s (%t), the steps' is %s (%t)", difference, known, steps, stepsKnown)
	}
	for _, c := range []struct {
		name string
		app  fleet.App
		cost fleet.Value[fleet.Money]
	}{{"now", before, p.Cost.Now}, {"then", after, p.Cost.Then}} {
		want, wantKnown := bill(c.app)
		got, gotKnown := c.cost.Get()
		if got != want || gotKnown != wantKnown {
			return fmt.Errorf("%s costs %s (%t), the bill is %s (%t)", c.name, got, gotKnown, want, wantKnown)
		}
	}
	was, wasKnown := p.Cost.Now.Get()
	will, willKnown := p.Cost.Then.Get()
	if wasKnown && willKnown && (!known || was+difference != will) {
		return fmt.Errorf("%s and %s (%t) make %s", was, difference, known, will)
	}
	return nil
}

// jsonHolds stores the plan and reads it back.
func jsonHolds(p plan.Plan) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var back plan.Plan
	if err := json.Unmarshal(text, &back); err != nil {
		return err
	}
	again, err := json.Marshal(back)
	if err != nil {
		return err
	}
	if string(again) != string(text) {
		return fmt.Errorf("stored\n%s\nread back\n%s", text, again)
	}
	return nil
}

// TestUnsureNeverCountsAsGood: with a pipeline that could not be read, for which the
// policy may have an entry, a verdict and a plan are told only if they hold whatever
// pipeline it is.
func TestUnsureNeverCountsAsGood(t *testing.T) {
	const apps = 2000
	seen := map[Verdict]int{}
	for seed := range uint64(apps) {
		r := rand.New(rand.NewPCG(seed, 4))
		line := randomLine(r) + []string{" pipeline=?", " unnamed=production"}[r.IntN(2)]
		text := fmt.Sprintf("requirements: { web_dynos: %d }\napps: { \"pipeline:a\": { web_dynos: %d }, \"pipeline:b\": { session_affinity: %s, jvm_warmup: %s, warmup: attested } }",
			1+r.IntN(3), 1+r.IntN(3), needs[r.IntN(3)], []policy.Weight{policy.WeightAdvice, policy.WeightRequired}[r.IntN(2)])
		p, err := policy.Parse("zdd.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		app := fleettest.App(line)
		rules := p.For(app)
		got := Judge(app, rules, app.ReadAt)
		seen[got.Verdict]++
		for _, name := range []string{"none", "a", "b"} {
			there := app
			there.Pipeline = fleet.Known(fleet.Coupling{Pipeline: fleettest.ID, Name: fleet.Known(name), Stage: "production"})
			want := Judge(there, p.For(there), app.ReadAt)
			if got.Verdict == VerdictReady && want.Verdict != VerdictReady || got.Verdict == VerdictNotApplicable && want.Verdict != VerdictNotApplicable {
				t.Fatalf("%s\n%s\ngot %s, and in pipeline %s it is %s", line, text, got.Verdict, name, want.Verdict)
			}
			if (got.Plan.Outcome == plan.Ready || got.Plan.Outcome == plan.AlreadySo) && fmt.Sprint(got.Plan.Steps) != fmt.Sprint(want.Plan.Steps) {
				t.Fatalf("%s\n%s\ngot plan %s, and in pipeline %s it is %s", line, text, got.Plan.Steps, name, want.Plan.Steps)
			}
		}
	}
	for _, v := range []Verdict{VerdictReady, VerdictNotReady, VerdictUnknown, VerdictNotApplicable} {
		if seen[v] < apps/200 {
			t.Errorf("%s came up %d times in %d: the apps are not mixed well enough to prove anything", v, seen[v], apps)
		}
	}
}

// TestReportJSON is the shape that programs read; see Report.
func TestReportJSON(t *testing.T) {
	app := fleettest.App("standard-1x web=1 worker=1 sizes=? scaler=? addon=heroku-postgresql:mini")
	text, err := json.MarshalIndent(Judge(app, policy.Default().For(app), app.ReadAt), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/report.json.golden", strings.TrimSpace(string(text))+"\n")
}
