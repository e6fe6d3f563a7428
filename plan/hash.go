package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// hash is what an approval holds on to: it changes when something does that the plan
// stands on, and not with releases, dynos or times. It covers the app's UUID; type, size
// and quantity of web and of every process type that a step touches, and their prices
// before and after; both features; the autoscaler and its floor; scaling add-ons; the
// policy; what was wished for; and the steps that change something, so that another
// version of this program can't carry out a plan that nobody saw. Waits are not in it:
// how long they have to be is in the policy, and what is left of the soak, if anything,
// goes by the clock. A rollout waits as long as it takes, whatever its ticket says.
func hash(app fleet.App, rules policy.Rules, w Wish, p Plan) string {
	h := sha256.New()
	say := func(key string, parts ...any) {
		fmt.Fprintf(h, "%s", key)
		for _, part := range parts {
			fmt.Fprintf(h, " %q", fmt.Sprint(part))
		}
		fmt.Fprintln(h)
	}
	say("plan", 3, app.ID, p.Outcome)
	say("wish", w.Verb, w.Size, w.On, w.Web)
	say("policy", rules.Policy)
	touched := []string{"web"}
	sizes := map[string]bool{}
	for _, s := range p.Steps {
		if s.waits() {
			continue
		}
		say("step", s.Kind, len(s.To.Processes))
		if s.To.Feature != nil {
			say("feature", s.To.Feature.Name, s.To.Feature.On)
		}
		for _, process := range s.To.Processes {
			say("to", process.Type, process.Size, process.Quantity)
			touched = append(touched, process.Type)
			sizes[process.Size] = true
		}
	}
	if !app.Formation.IsKnown() {
		say("formation", "unknown")
	}
	for _, process := range processes(app) {
		if slices.Contains(touched, process.Type) {
			say("process", process.Type, process.Size, process.Quantity)
			sizes[process.Size] = true
		}
	}
	for _, size := range sorted(sizes) {
		say("price", size, known(rules.Prices.Of(app, size)), known(rules.Prices.Units(app, size)))
	}
	for _, name := range []string{fleet.SessionAffinity, fleet.Preboot} {
		on, read := app.Feature(name)
		say("feature", name, on, read)
	}
	scaler, read := AutoscalerOf(app).Get()
	say("autoscaler", scaler.Active, scaler.Min, read)
	say("add-ons", app.ScalingAddOns())
	return hex.EncodeToString(h.Sum(nil))
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// known tells a known zero from an unknown value.
func known[T any](v fleet.Value[T]) string {
	value, ok := v.Get()
	if !ok {
		return "unknown"
	}
	return fmt.Sprint(value)
}
