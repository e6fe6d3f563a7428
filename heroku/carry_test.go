package heroku_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	simheroku "example.com/zdd/sim/heroku"
)

// randomSettings is any app that the simulator lets be, in its words.
func randomSettings(r *rand.Rand) string {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	var out strings.Builder
	out.WriteString(pick("size=eco", "size=basic", "size=basic", "size=standard-1x", "size=standard-1x", "size=standard-1x", "size=standard-2x", "size=performance-m", "size=performance-l",
		"space=atlas size=private-s", "space=vault size=private-m", "space=grove size=dyno-1c-0.5gb"))
	if strings.Contains(out.String(), "eco") || strings.Contains(out.String(), "basic") { // which take one a type
		out.WriteString(pick(" web=0", " web=1", " web=1", " worker=1") + pick("", " clock=0", " worker=1"))
		out.WriteString(pick("", " affinity=on") + pick("", " preboot=on"))
		return out.String()
	}
	out.WriteString(pick(" web=0", " web=1", " web=1", " web=1", " web=1", " web=2", " web=3", " worker=1"))
	out.WriteString(pick("", " clock=0", " worker=1", " worker=1 clock=1"))
	out.WriteString(pick("", " affinity=on") + pick("", " preboot=on") + pick("", "", "", "", " addons=judoscale:small") + pick("", "", " maintenance=on") + pick("", "", "", "", "", " releases=never"))
	if strings.Contains(out.String(), "performance") {
		out.WriteString(pick("", "", " autoscaler=1..4", " autoscaler=2..5"))
	}
	return out.String()
}

// carrier carries plans out as a rollout would: waits, writes, meets the lock, reads back.
type carrier struct {
	t    *testing.T
	c    *heroku.Client
	sim  *simheroku.Server
	told string
}

func (k carrier) fail(format string, args ...any) {
	k.t.Helper()
	k.t.Fatalf("%s: "+format, append([]any{k.told}, args...)...)
}

func (k carrier) read(id fleet.ID) fleet.App {
	k.t.Helper()
	app, err := k.c.ReadApp(k.t.Context(), fleet.MustRef(string(id)))
	if err != nil {
		k.fail("%v", err)
	}
	return app
}

// billed is what the simulator bills for the app, a month.
func (k carrier) billed(app fleet.App) fleet.Money {
	k.t.Helper()
	cents, err := k.sim.BilledMonthly(string(app.ID))
	if err != nil {
		k.fail("%v", err)
	}
	return fleet.Money(cents)
}

// carry carries the steps out, holds every moment between them against the rules, and
// returns the app as it is in the end and how often the formation was locked.
func (k carrier) carry(app fleet.App, rules policy.Rules, p plan.Plan) (fleet.App, int) {
	k.t.Helper()
	locked := 0
	for i, step := range p.Steps {
		if step.Wait > 0 {
			time.Sleep(step.Wait)
			continue
		}
		if seen, known := step.Seen(app).Get(); !known || !seen.Equal(step.From) {
			k.fail("step %d %s: the app shows %+v, From is %+v", i, step, seen, step.From)
		}
		before := k.billed(app)
		for tries := 0; ; tries++ {
			err := k.c.Apply(k.t.Context(), app.ID, step)
			if kindOf(err) == fleet.Locked && tries < 20 {
				locked++
				time.Sleep(30 * time.Second)
				continue
			}
			if err != nil {
				k.fail("step %d %s: %v", i, step, err)
			}
			break
		}
		if more, known := step.Cost.Difference.Get(); known && k.billed(app)-before != more {
			k.fail("step %d %s costs %s, and %s more is billed", i, step, more, k.billed(app)-before)
		}
		now := k.read(app.ID)
		if seen, known := step.Seen(now).Get(); !known || !seen.Equal(step.To) {
			k.fail("step %d %s: afterwards the app shows %+v, To is %+v", i, step, seen, step.To)
		}
		was, _ := app.Web()
		web, _ := now.Web()
		affinity, _ := now.Feature(fleet.SessionAffinity)
		if rules.SessionAffinity == policy.Required && !app.InSpace() && web.Quantity > 1 && web.Quantity > was.Quantity && !affinity {
			k.fail("step %d %s: %d web dynos without session affinity", i, step, web.Quantity)
		}
		app = now
	}
	return app, locked
}

// TestPlansInTheSimulator makes random apps, lets some deploy at the worst moment,
// enables them, takes it back, disables and enables them again, and switches what is
// left at random, each plan carried out by Apply against the simulator's own limits and
// formation lock. What was ready to do ends with the audit's verdict ready, no quantity
// ever falls on the way, undo restores what was there, and what each step costs is what
// the simulator bills.
func TestPlansInTheSimulator(t *testing.T) {
	const apps, batch = 400, 40 // about 3 s
	seen := map[string]int{}
	for first := uint64(0); first < apps; first += batch {
		synctest.Test(t, func(t *testing.T) {
			c, sim := simulated(t, simheroku.Options{BucketOff: true}, heroku.Config{})
			for seed := first; seed < first+batch; seed++ {
				r := rand.New(rand.NewPCG(seed, 4))
				k := carrier{t, c, sim, fmt.Sprint("seed ", seed)}
				k.one(r, fmt.Sprintf("app-%d", seed), seen)
			}
		})
	}
	for _, what := range []string{"ready", "refused", "yours", "locked", "resized", "undone", "disabled"} {
		if seen[what] < apps/80 {
			t.Errorf("%s came up %d times in %d apps: they are not mixed well enough to prove anything", what, seen[what], apps)
		}
	}
}

func (k carrier) one(r *rand.Rand, name string, seen map[string]int) {
	settings := randomSettings(r)
	if strings.Contains(settings, "releases=never") { // no process types then
		settings = "releases=never"
	}
	k.told += ": " + settings
	do(k.t, k.sim, "create "+name+" "+settings)
	time.Sleep(3 * time.Minute) // an autoscaler has come to rest
	if r.IntN(4) > 0 && settings != "releases=never" {
		do(k.t, k.sim, "deploy "+name)
		time.Sleep(10 * time.Second)
		k.told += ", deployed"
	}
	app := read(k.t, k.c, name)
	rules := policy.Default().For(app)
	rules.WebDynos = 1 + r.IntN(3)
	rules.SessionAffinity = []policy.Need{policy.Required, policy.Required, policy.Optional}[r.IntN(3)]
	k.told += fmt.Sprintf(", rules %d %s", rules.WebDynos, rules.SessionAffinity)
	w := plan.Wish{Verb: plan.ToEnable}
	if strings.Contains(settings, "basic") || strings.Contains(settings, "eco") && r.IntN(3) > 0 {
		w.Size = []string{"standard-1x", "performance-m"}[r.IntN(2)]
		seen["resized"]++
	}

	p := plan.For(app, rules, w, time.Now())
	seen[string(p.Outcome)]++
	before := k.billed(app)
	enabled, locked := k.carry(app, rules, p)
	if locked > 0 {
		seen["locked"]++
	}
	k.enabledHolds(app, enabled, rules, p)
	if more, known := p.Cost.Difference.Get(); p.Outcome != plan.Refused && known && k.billed(enabled)-before != more {
		k.fail("the plan costs %s, and %s more is billed", more, k.billed(enabled)-before)
	}

	undo := plan.For(enabled, rules, plan.Wish{Verb: plan.ToUndo, Undo: p.Steps}, time.Now())
	if len(p.Steps) > 0 {
		if undo.Outcome != plan.Ready {
			k.fail("undo: %s %q", undo.Outcome, undo.Why)
		}
		seen["undone"]++
		undone, _ := k.carry(enabled, rules, undo)
		if got, want := state(undone), state(app); got != want || k.billed(undone) != before {
			k.fail("undone: got %s for %s, want %s for %s", got, k.billed(undone), want, before)
		}
		enabled, _ = k.carry(undone, rules, plan.For(undone, rules, w, time.Now()))
	}
	k.thenRandom(r, k.backAndForth(enabled, rules, seen), rules)
}

// enabledHolds holds an app that was enabled against what it was, and the audit.
func (k carrier) enabledHolds(app, enabled fleet.App, rules policy.Rules, p plan.Plan) {
	k.t.Helper()
	verdict := audit.Judge(enabled, rules, time.Now()).Verdict
	if (p.Outcome == plan.Ready || p.Outcome == plan.AlreadySo) != (verdict == audit.VerdictReady) {
		k.fail("%s %q, and the audit finds %s", p.Outcome, p.Why, verdict)
	}
	was, _ := app.Formation.Get()
	is, _ := enabled.Formation.Get()
	for i := range was {
		if is[i].Quantity < was[i].Quantity {
			k.fail("%s fell from %d to %d", was[i].Type, was[i].Quantity, is[i].Quantity)
		}
	}
}

// backAndForth disables a ready app and enables it again.
func (k carrier) backAndForth(app fleet.App, rules policy.Rules, seen map[string]int) fleet.App {
	k.t.Helper()
	if audit.Judge(app, rules, time.Now()).Verdict != audit.VerdictReady {
		return app
	}
	down := plan.For(app, rules, plan.Wish{Verb: plan.ToDisable}, time.Now())
	app, _ = k.carry(app, rules, down)
	if web, _ := app.Web(); down.Outcome == plan.Ready {
		seen["disabled"]++
		preboot, _ := app.Feature(fleet.Preboot)
		affinity, _ := app.Feature(fleet.SessionAffinity)
		if web.Quantity != 1 || !app.InSpace() && (preboot || affinity) {
			k.fail("disabled, and it is %s", state(app))
		}
	}
	up := plan.For(app, rules, plan.Wish{Verb: plan.ToEnable}, time.Now())
	app, _ = k.carry(app, rules, up)
	if verdict := audit.Judge(app, rules, time.Now()).Verdict; up.Outcome == plan.Ready && verdict != audit.VerdictReady {
		k.fail("disabled and enabled, and the audit finds %s", verdict)
	}
	return app
}

// thenRandom gives some orders at random: what is planned can be carried out.
func (k carrier) thenRandom(r *rand.Rand, app fleet.App, rules policy.Rules) {
	k.t.Helper()
	for range 3 {
		w := plan.Wish{Verb: []plan.Verb{plan.ToAffinity, plan.ToPreboot, plan.ToScale, plan.ToScale}[r.IntN(4)]}
		if w.Verb == plan.ToScale {
			w.Web = r.IntN(6)
		} else {
			w.On = r.IntN(2) == 0
		}
		k.told += ", " + w.Line(app.Name)
		app, _ = k.carry(app, rules, plan.For(app, rules, w, time.Now()))
	}
}

// state is an app as far as plans change it.
func state(app fleet.App) string {
	formation, _ := app.Formation.Get()
	affinity, _ := app.Feature(fleet.SessionAffinity)
	preboot, _ := app.Feature(fleet.Preboot)
	return fmt.Sprint(formation, " affinity ", affinity, " preboot ", preboot)
}
