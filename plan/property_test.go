package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// randomLine is any app that Heroku could show, and some that it could not.
func randomLine(r *rand.Rand) string {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	var line strings.Builder
	line.WriteString(pick("eco", "basic", "basic", "standard-1x", "standard-1x", "standard-1x", "standard-2x", "performance-m", "performance-l",
		"private-s space=private", "private-m space=shield", "private-m space=private?", "dyno-1c-0.5gb space=fir", "quantum-1x"))
	line.WriteString(pick("", " web=0", " web=1", " web=1", " web=1", " web=2", " web=2", " web=3", " web=7"))
	line.WriteString(pick("", " worker=0", " worker=1", " worker=1 clock=1 webhooks=2"))
	for _, word := range []string{"affinity", "preboot"} {
		if r.IntN(2) == 0 {
			line.WriteString(" " + word + pick("", "", "", "=3m", "=9m30s", "=?"))
		}
	}
	for _, word := range []string{"features=?", "sizes=?", "scaler=?", "addons=?", "formation=?", "release=?", "addon=judoscale:bronze", "scaler=1-3", "scaler=2-9", "maintenance", "release=pending", "crashed=web.1", "runtime=Java"} {
		if r.IntN(16) == 0 {
			line.WriteString(" " + word)
		}
	}
	return line.String()
}

func randomRules(r *rand.Rand, app fleet.App) policy.Rules {
	rules := policy.Default().For(app)
	rules.WebDynos = 1 + r.IntN(4)
	rules.SessionAffinity = []policy.Need{policy.Required, policy.Required, policy.Required, policy.Optional, policy.Forbidden}[r.IntN(5)]
	if r.IntN(3) == 0 {
		rules.Prices = policy.Prices{"standard-1x": 21_50, "private-s": 200_00, "shield-m": 410_00, "eco": 0}
	}
	return rules
}

func randomWish(r *rand.Rand) plan.Wish {
	w := plan.Wish{Verb: []plan.Verb{plan.ToEnable, plan.ToDisable, plan.ToAffinity, plan.ToPreboot, plan.ToScale, plan.ToScale}[r.IntN(6)]}
	switch w.Verb {
	case plan.ToEnable:
		w.Size = []string{"", "standard-1x", "performance-m"}[r.IntN(3)]
	case plan.ToScale:
		w.Web = r.IntN(13) - 1
	default:
		w.On = r.IntN(2) == 0
	}
	return w
}

// state is all of an app that a plan could change.
func state(app fleet.App) string {
	processes, _ := app.Formation.Get()
	features, _ := app.Features.Get()
	on := maps.Clone(features)
	maps.DeleteFunc(on, func(_ string, f fleet.Feature) bool { return !f.Enabled })
	return fmt.Sprint(processes, slices.Sorted(maps.Keys(on)))
}

// TestWishProperties carries out one random order after the other on random apps, and
// takes some of them back. It holds for all of them: web never goes to 0, no other
// process type changes its number, no web dyno is added before the session affinity
// that is required and its soak, whichever order turned it on, and none is soaked for
// longer than that; session affinity that is required goes off with one
// web dyno only (an undo may go back to what was there), preboot goes on only where it
// can, Eco and Basic are never mixed with others, limits hold, the cost of the steps is
// that of the formation, and what costs or weakens needs an approval.
func TestWishProperties(t *testing.T) {
	const apps = 3000 // about a second
	seen := map[string]int{}
	for seed := range uint64(apps) {
		r := rand.New(rand.NewPCG(seed, 3))
		line := randomLine(r)
		app := fleettest.App(line)
		rules := randomRules(r, app)
		var told strings.Builder
		fmt.Fprintf(&told, "seed %d: %s, rules %d %s", seed, line, rules.WebDynos, rules.SessionAffinity)
		for range 3 {
			w := randomWish(r)
			told.WriteString(", " + w.Line("shop"))
			p := plan.For(app, rules, w, app.ReadAt)
			seen[string(w.Verb)+" "+string(p.Outcome)]++
			if len(p.Steps) > 0 && p.Steps[0].Kind == plan.Soak {
				seen[string(w.Verb)+" soaks for an earlier order"]++
			}
			if err := holds(app, rules, w, p); err != nil {
				t.Fatalf("%s: %v\n%s", told.String(), err, show(p))
			}
			done := p.Steps[:r.IntN(len(p.Steps)+1)] // a rollout may stop anywhere
			after := plan.After(app, done...)
			back := plan.Wish{Verb: plan.ToUndo, Undo: done}
			undo := plan.For(after, rules, back, app.ReadAt)
			seen["undo "+string(undo.Outcome)]++
			if err := holds(after, rules, back, undo); err != nil {
				t.Fatalf("%s, after %d steps undo: %v\n%s", told.String(), len(done), err, show(undo))
			}
			if got, want := state(plan.After(after, undo.Steps...)), state(app); undo.Outcome != plan.Refused && got != want {
				t.Fatalf("%s, after %d steps undo: got %s, want %s as before", told.String(), len(done), got, want)
			}
			if w.Verb == plan.ToEnable && undo.Outcome != plan.AlreadySo && undo.Outcome != plan.Ready && possible(app) {
				t.Fatalf("%s: undo of enable after %d steps: got %s %q, want it restored", told.String(), len(done), undo.Outcome, undo.Why)
			}
			if err := overChange(r, after, rules, back); err != nil {
				t.Fatalf("%s, after %d steps: %v", told.String(), len(done), err)
			}
			app = plan.After(app, p.Steps...)
		}
	}
	for _, outcome := range []string{
		"enable ready", "enable refused", "enable yours", "enable already-so", "disable ready", "disable refused", "disable yours", "disable already-so",
		"affinity ready", "affinity refused", "affinity already-so", "preboot ready", "preboot refused", "preboot already-so",
		"scale ready", "scale refused", "scale yours", "scale already-so", "undo ready", "undo refused", "enable soaks for an earlier order", "scale soaks for an earlier order", "undo already-so",
	} {
		if seen[outcome] < apps/400 {
			t.Errorf("%s came up %d times: the apps are not mixed well enough to prove anything", outcome, seen[outcome])
		}
	}
}

// possible says whether Heroku would let an app be so: one dyno a type on Eco and Basic.
func possible(app fleet.App) bool {
	processes, _ := app.Formation.Get()
	return !slices.ContainsFunc(processes, func(p fleet.Process) bool { return app.Size(p.Size).OnePerType() && p.Quantity > 1 })
}

// overChange changes one thing that was done, and undo must not go over that.
func overChange(r *rand.Rand, app fleet.App, rules policy.Rules, back plan.Wish) error {
	var scaled []plan.Step
	for _, s := range back.Undo {
		if s.Kind == plan.Scale {
			scaled = append(scaled, s)
		}
	}
	if len(scaled) == 0 {
		return nil
	}
	to := scaled[0].To.Processes[0]
	to.Quantity += 1 + r.IntN(3)
	if to.Quantity == scaled[0].From.Processes[0].Quantity {
		return nil // that is how it was before
	}
	changed := plan.After(app, plan.Step{To: plan.State{Processes: []plan.Process{to}}})
	if p := plan.For(changed, rules, back, app.ReadAt); p.Outcome != plan.Refused || len(p.Steps) > 0 {
		return fmt.Errorf("web was changed to %d since: got undo %s, want refused", to.Quantity, p.Outcome)
	}
	return nil
}

func show(p plan.Plan) string {
	text, _ := json.MarshalIndent(p, "", " ")
	return string(text)
}

func holds(app fleet.App, rules policy.Rules, w plan.Wish, p plan.Plan) error {
	switch {
	case p.Outcome == plan.Refused && (len(p.Steps) > 0 || len(p.Why) != 1):
		return fmt.Errorf("refused, with %d steps and %d reasons", len(p.Steps), len(p.Why))
	case p.Outcome == plan.Yours && len(p.Why) == 0, p.Outcome == plan.Ready && (len(p.Why) > 0 || len(p.Steps) == 0), p.Outcome == plan.AlreadySo && len(p.Why)+len(p.Steps) > 0:
		return fmt.Errorf("%s with %d steps and %d reasons", p.Outcome, len(p.Steps), len(p.Why))
	case p.Outcome != plan.Refused && p.Instead.Verb != "":
		return fmt.Errorf("%s, and yet another order is offered", p.Outcome)
	case w.Verb == plan.ToScale && w.Web < 1 && p.Outcome != plan.Refused:
		return fmt.Errorf("web=%d is %s", w.Web, p.Outcome)
	case p.Instead.Verb != "" && !strings.Contains(p.Why[0], p.Instead.Line(p.Name)) && w.Size == "":
		return fmt.Errorf("the way out %q is not in %q", p.Instead.Line(p.Name), p.Why[0])
	}
	now, owed := app, soakOf(app, rules)
	var bill fleet.Money
	var costs, weakens bool
	for i, s := range p.Steps {
		if got, known := s.Seen(now).Get(); !known || !got.Equal(s.From) {
			return fmt.Errorf("step %d %s: the app shows %+v, From is %+v", i, s.Kind, got, s.From)
		}
		then := plan.After(now, s)
		weaker, err := stepHolds(step{s, now, then, w, owed <= 0}, rules)
		if err != nil {
			return fmt.Errorf("step %d %s: %w", i, s, err)
		}
		switch s.Kind {
		case plan.Affinity:
			owed = rules.Rollout.AffinitySoak
		case plan.Soak:
			if s.Wait < owed || s.Wait >= owed+time.Minute || s.Wait > rules.Rollout.AffinitySoak || owed <= 0 {
				return fmt.Errorf("step %d waits %v, and %v are left", i, s.Wait, owed)
			}
			owed = 0
		}
		was, wasKnown := monthly(now, rules.Prices)
		is, isKnown := monthly(then, rules.Prices)
		difference, known := s.Cost.Difference.Get()
		if wasKnown && isKnown && (!known || difference != is-was) {
			return fmt.Errorf("step %d %s: costs %s (known %t), want %s", i, s, difference, known, is-was)
		}
		bill += difference
		costs = costs || !known || difference > 0
		weakens = weakens || weaker
		now = then
	}
	if got, known := p.Cost.Difference.Get(); len(p.Steps) > 0 && known && got != bill {
		return fmt.Errorf("the difference is %s, the steps' is %s", got, bill)
	}
	if got, want := len(p.NeedsApproval()) > 0, costs || weakens; got != want {
		return fmt.Errorf("needs approval %t (%q), want %t", got, p.NeedsApproval(), want)
	}
	return ends(app, now, rules, w, p)
}

// soakOf is what is left of the soak of an app as it was read.
func soakOf(app fleet.App, rules policy.Rules) time.Duration {
	features, _ := app.Features.Get()
	since, known := features[fleet.SessionAffinity].Since.Get()
	if !known {
		return rules.Rollout.AffinitySoak
	}
	return rules.Rollout.AffinitySoak - app.ReadAt.Sub(since)
}

// monthly counts what the whole formation costs by itself, dyno by dyno, as a bill would.
func monthly(app fleet.App, prices policy.Prices) (sum fleet.Money, known bool) {
	processes, _ := app.Formation.Get()
	for _, p := range processes {
		for range p.Quantity {
			price, known := prices.Of(app, p.Size).Get()
			if !known {
				return 0, false
			}
			sum += price
		}
	}
	return sum, true
}

// ends holds what the app is at the end against what was wished for.
func ends(app, now fleet.App, rules policy.Rules, w plan.Wish, p plan.Plan) error {
	if p.Outcome != plan.Ready && p.Outcome != plan.AlreadySo {
		return nil
	}
	web, _ := now.Web()
	affinity, _ := now.Feature(fleet.SessionAffinity)
	preboot, _ := now.Feature(fleet.Preboot)
	affinity, preboot = affinity && !app.InSpace(), preboot && !app.InSpace()
	switch {
	case w.Verb == plan.ToScale && web.Quantity != w.Web, w.Verb == plan.ToAffinity && affinity != w.On, w.Verb == plan.ToPreboot && preboot != w.On:
		return fmt.Errorf("%s ends with web %d, affinity %t, preboot %t", w.Line("shop"), web.Quantity, affinity, preboot)
	case w.Verb == plan.ToDisable && (web.Quantity > 1 || affinity || preboot):
		return fmt.Errorf("disable ends with web %d, affinity %t, preboot %t", web.Quantity, affinity, preboot)
	}
	ready := audit.Judge(now, rules, now.ReadAt).Verdict == audit.VerdictReady
	if w.Verb == plan.ToEnable && !ready {
		return fmt.Errorf("enable ends, and the audit finds the app not ready")
	}
	if w.Verb != plan.ToUndo {
		if again := plan.For(now, rules, plan.Wish{Verb: w.Verb, On: w.On, Web: w.Web}, now.ReadAt); again.Outcome != plan.AlreadySo {
			return fmt.Errorf("%s again: %s %q", w.Line("shop"), again.Outcome, again.Why)
		}
	}
	if w.Verb == plan.ToDisable && web.Quantity == 1 {
		before, again := plan.For(app, rules, plan.Wish{Verb: plan.ToEnable}, app.ReadAt), plan.For(now, rules, plan.Wish{Verb: plan.ToEnable}, app.ReadAt)
		if before.Outcome == plan.Ready || before.Outcome == plan.AlreadySo {
			overLimit := again.Outcome == plan.Refused && strings.Contains(again.Why[0], "limits.")
			after := audit.Judge(plan.After(now, again.Steps...), rules, now.ReadAt).Verdict
			if !overLimit && (again.Outcome != plan.Ready && again.Outcome != plan.AlreadySo || after != audit.VerdictReady) {
				return fmt.Errorf("disable, then enable: %s %q, and the audit finds %s", again.Outcome, again.Why, after)
			}
		}
	}
	return nil
}

// step is one step between two moments.
type step struct {
	plan.Step
	before, after fleet.App
	wish          plan.Wish
	soaked        bool
}

// stepHolds holds a step against what must never happen, and says whether it leaves
// less than there was.
func stepHolds(s step, rules policy.Rules) (weaker bool, err error) {
	was, _ := s.before.Formation.Get()
	is, _ := s.after.Formation.Get()
	small, large := 0, 0
	for i := range is {
		if is[i].Type != "web" && is[i].Quantity != was[i].Quantity {
			return false, fmt.Errorf("%s goes from %d to %d", is[i].Type, was[i].Quantity, is[i].Quantity)
		}
		if !s.after.Size(is[i].Size).OnePerType() {
			large++
		} else if small++; is[i].Quantity > 1 && (is[i].Quantity > was[i].Quantity || is[i].Size != was[i].Size) {
			return false, fmt.Errorf("%s goes to %d on %s", is[i].Type, is[i].Quantity, is[i].Size)
		}
		if s.after.Size(is[i].Size).OnePerType() && !s.before.Size(was[i].Size).OnePerType() {
			weaker = true
		}
	}
	if small > 0 && large > 0 {
		return false, fmt.Errorf("%d process types are on Eco or Basic and %d are not", small, large)
	}
	webWas, _ := s.before.Web()
	webIs, _ := s.after.Web()
	weaker = weaker || webIs.Quantity < webWas.Quantity
	for _, feature := range []string{fleet.SessionAffinity, fleet.Preboot} {
		old, _ := s.before.Feature(feature)
		on, _ := s.after.Feature(feature)
		weaker = weaker || old && !on
		if old != on && s.after.InSpace() {
			return false, fmt.Errorf("%s changes in a space", feature)
		}
	}
	affinityWas, _ := s.before.Feature(fleet.SessionAffinity)
	affinity, _ := s.after.Feature(fleet.SessionAffinity)
	preboot, _ := s.after.Feature(fleet.Preboot)
	needed := rules.SessionAffinity == policy.Required && !s.after.InSpace()
	size, _ := s.after.WebSize()
	switch {
	case webIs.Quantity != webWas.Quantity && (webIs.Quantity < 1 || webWas.Quantity < 1):
		return false, fmt.Errorf("web goes from %d to %d", webWas.Quantity, webIs.Quantity)
	case webIs.Quantity > webWas.Quantity && webIs.Quantity > rules.Limits.WebDynos:
		return false, fmt.Errorf("web goes to %d, beyond the limit of %d", webIs.Quantity, rules.Limits.WebDynos)
	case needed && webIs.Quantity > webWas.Quantity && webIs.Quantity > 1 && (!affinity || !s.soaked):
		return false, fmt.Errorf("web goes from %d to %d with affinity %t, soaked %t", webWas.Quantity, webIs.Quantity, affinity, s.soaked)
	case needed && affinityWas && !affinity && webIs.Quantity > 1 && s.wish.Verb != plan.ToUndo:
		return false, fmt.Errorf("session affinity goes off with web at %d", webIs.Quantity)
	case s.Kind == plan.Preboot && preboot && !size.SupportsPreboot():
		return false, fmt.Errorf("preboot goes on with %s dynos", size.Name)
	case s.wish.Verb == plan.ToEnable && weaker:
		return false, fmt.Errorf("enable weakens")
	}
	return weaker, nil
}
