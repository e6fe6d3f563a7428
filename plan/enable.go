package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// SmallestSize is the cheapest size that can preboot: the way out of Eco and Basic.
const SmallestSize = "standard-1x"

// Enable plans what makes the app as the rules want it: resize, affinity, soak, scale,
// settle, preboot, of these only what is needed. It raises the web quantity to the
// larger of what runs and what is wanted, and lowers nothing. Its hazards are those of
// the moment at which the app was read.
//
// With an Eco or Basic app and no opt.Size it refuses and names the way out. Where
// something else scales the app, raising that minimum is left to a person (Yours). A
// part that could not be read and that a step would stand on makes a refusal.
func Enable(app fleet.App, rules policy.Rules, opt Options) Plan {
	opt.Size = strings.ToLower(strings.TrimSpace(opt.Size))
	e := enabling{app: app, rules: rules, now: app, plan: Plan{
		App: app.ID, Name: app.Name, Options: opt, ReadAt: app.ReadAt,
		Hazards: Hazards(app, rules, app.ReadAt),
	}}
	e.think()
	p := &e.plan
	switch {
	case p.Outcome == Refused:
		p.Steps = nil
	case len(p.Why) > 0:
		p.Outcome = Yours
	case len(p.Steps) > 0:
		p.Outcome = Ready
	default:
		p.Outcome = AlreadySo
	}
	if len(p.Steps) > 0 {
		p.Untouched = untouched(app, p.Steps)
	}
	p.Hash = hash(app, rules, *p)
	return e.plan
}

// enabling is a plan in the making. now is the app as it will be after the steps so far.
type enabling struct {
	app   fleet.App
	rules policy.Rules
	now   fleet.App
	plan  Plan
}

func (e *enabling) refuse(format string, args ...any) {
	e.plan.Outcome, e.plan.Why = Refused, []string{fmt.Sprintf(format, args...)}
}

func (e *enabling) leave(format string, args ...any) {
	e.plan.Why = append(e.plan.Why, fmt.Sprintf(format, args...))
}

func (e *enabling) step(s Step) {
	s.Cost = costOf(e.app, e.rules.Prices, s.From.Processes, s.To.Processes)
	e.plan.Steps = append(e.plan.Steps, s)
	e.now = After(e.now, s)
}

func (e *enabling) think() {
	none := fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotTold, Text: "there is no plan to price"})
	noUnits := fleet.Unknown[float64](fleet.Reason{Kind: fleet.NotTold, Text: "there is no plan to price"})
	whole := processes(e.app)
	e.plan.Cost = costOf(e.app, e.rules.Prices, whole, whole)
	if !e.app.Formation.IsKnown() {
		e.plan.Cost.Now, e.plan.Cost.Units.Now = fleet.Unknown[fleet.Money](e.app.Formation.Why()), fleet.Unknown[float64](e.app.Formation.Why())
	}
	e.plan.Cost.Then, e.plan.Cost.Difference = none, none
	e.plan.Cost.Units.Then, e.plan.Cost.Units.Difference = noUnits, noUnits

	if !e.runtime() || !e.read() {
		return
	}
	e.affinity()
	e.scale()
	e.settle()
	e.preboot()
	e.warmup()
	e.price()
}

// runtime refuses what can't be made ready, and moves Eco and Basic apps off.
func (e *enabling) runtime() (goOn bool) {
	value, why := RuntimeOf(e.app)
	runtime, known := value.Get()
	size, _ := e.app.WebSize()
	app, asked := e.app.Name, e.plan.Options.Size
	switch {
	case !known:
		e.refuse("Could not read the formation of %s (%s). Nothing was changed; try again.", code(app), value.Why().Text)
	case runtime == Stopped:
		e.refuse("%s. If the app is to serve again, start it yourself first: %s. I never start an app that stands still.", upper(why), code("heroku ps:scale web=1 --app "+app))
	case runtime == Webless:
		e.refuse("%s: nothing of it serves visitors, so there is nothing to keep up.", upper(why))
	case runtime == Strange:
		e.refuse("%s. I can't tell which rules hold for it, and plan nothing on a guess.", upper(why))
	case runtime == Small && asked == "":
		e.plan.WayOut = Options{Size: SmallestSize}
		e.refuse("%s. The way out is a larger size: %s moves %s, and restarts the app once.", upper(why),
			code("/zdd enable "+app+" size="+SmallestSize), join(namesOf(e.small())))
	case runtime == Small:
		return e.resize(asked)
	case asked != "" && asked != size.Name:
		e.refuse("%s already runs on %s dynos; %s is for Eco and Basic apps only. I don't resize an app that does not need it.", code(app), code(size.Name), code("size="))
	default:
		return true
	}
	return false
}

// small are the app's process types on Eco or Basic, those at quantity 0 included:
// Heroku mixes neither with other sizes.
func (e *enabling) small() []Process {
	return slices.DeleteFunc(processes(e.app), func(p Process) bool { return !e.app.Size(p.Size).OnePerType() })
}

func (e *enabling) resize(asked string) bool {
	size := fleet.SizeNamed(asked)
	catalog, known := e.app.Sizes.Get()
	offered := slices.ContainsFunc(catalog, func(s fleet.Size) bool { return s.Name == size.Name })
	if !size.SupportsPreboot() || known && !offered {
		var sizes []string
		for _, s := range catalog {
			if s.SupportsPreboot() {
				sizes = append(sizes, code(s.Name))
			}
		}
		if len(sizes) == 0 {
			sizes = []string{code(SmallestSize), code("standard-2x"), code("performance-m"), code("performance-l")}
		}
		e.plan.WayOut = Options{Size: SmallestSize}
		e.refuse("%s is no dyno size that can preboot. Those that can: %s.", code(asked), join(sizes))
		return false
	}
	from := e.small()
	to := slices.Clone(from)
	for i := range to {
		to[i].Size = size.Name
	}
	e.step(Step{Kind: Resize, From: State{Processes: from}, To: State{Processes: to}})
	return true
}

// read refuses when something could not be read that a step would stand on.
func (e *enabling) read() bool {
	var missing []string
	add := func(name string, why fleet.Reason) {
		missing = append(missing, fmt.Sprintf("%s (%s)", name, why.Text))
	}
	if !e.app.InSpace() && !e.app.Features.IsKnown() {
		add("the features", e.app.Features.Why())
	}
	if scaler := AutoscalerOf(e.app); !scaler.IsKnown() {
		add("whether Heroku's autoscaler is on", scaler.Why())
	}
	if !e.app.AddOns.IsKnown() {
		add("the add-ons, one of which may scale it", e.app.AddOns.Why())
	}
	if len(missing) == 0 {
		return true
	}
	e.refuse("Could not read %s of %s. Nothing was changed; try again.", join(missing), code(e.app.Name))
	return false
}

func (e *enabling) affinity() {
	if e.app.InSpace() {
		return
	}
	on, _ := e.app.Feature(fleet.SessionAffinity)
	switch {
	case e.rules.SessionAffinity == policy.Required && !on:
		e.toggle(Affinity, fleet.SessionAffinity)
	case e.rules.SessionAffinity == policy.Forbidden && on:
		e.leave("Turn session affinity off, which the policy forbids for this app: %s. I turn nothing off here.",
			code("heroku features:disable "+fleet.SessionAffinity+" --app "+e.app.Name))
	}
}

func (e *enabling) toggle(kind Kind, feature string) {
	e.step(Step{Kind: kind, From: State{Feature: &Feature{feature, false}}, To: State{Feature: &Feature{feature, true}}})
}

func (e *enabling) scale() {
	want := e.rules.WebDynos
	web, _ := e.now.Web()
	scaler, _ := AutoscalerOf(e.app).Get() // read made sure of it
	first := ""
	if e.did(Affinity) {
		first = fmt.Sprintf(", once session affinity has been on for %s", minutes(e.rules.Rollout.AffinitySoak))
	}
	if addons := e.app.ScalingAddOns(); len(addons) > 0 {
		e.leave("Make sure that the minimum of %s is at least %d web dynos%s: only its own settings show and change that (%s).%s",
			join(codes(addons)), want, first, code("heroku addons:open "+addons[0]+" --app "+e.app.Name), e.upTo(want-web.Quantity))
	}
	switch {
	case scaler.Active && scaler.Min < want:
		e.leave("Raise the minimum of Heroku's autoscaler from %d to %d%s: the dyno range beside web at %s/resources in the dashboard. What is scaled by hand does not last while it is on.%s",
			scaler.Min, want, first, e.app.DashboardURL(), e.upTo(want-scaler.Min))
	case scaler.Active && web.Quantity < want:
		e.leave("Find out why web is at %d though the minimum of Heroku's autoscaler is %d: %s/resources.", web.Quantity, scaler.Min, e.app.DashboardURL())
	case scaler.Active, len(e.app.ScalingAddOns()) > 0, web.Quantity >= want:
		return
	default:
		if e.did(Affinity) {
			e.step(Step{Kind: Soak, Wait: e.rules.Rollout.AffinitySoak})
		}
		from := Process{"web", fleet.SizeNamed(web.Size).Name, web.Quantity}
		to := from
		to.Quantity = max(web.Quantity, want)
		e.step(Step{Kind: Scale, From: State{Processes: []Process{from}}, To: State{Processes: []Process{to}}})
	}
}

// upTo says what more dynos cost at the most that something else will run: the steps'
// cost does not hold it.
func (e *enabling) upTo(more int) string {
	if more <= 0 {
		return ""
	}
	web, _ := e.now.Web()
	price := e.rules.Prices.Of(e.app, web.Size)
	one, known := price.Get()
	if !known {
		return fmt.Sprintf(" What that costs is not known (%s).", price.Why().Text)
	}
	return fmt.Sprintf(" That can cost up to %s a month more, which is not in this plan's cost.", one*fleet.Money(more))
}

// settle waits where the formation was changed: the new dynos have to be seen running
// before preboot locks the formation with the next release.
func (e *enabling) settle() {
	if e.did(Resize) || e.did(Scale) {
		e.step(Step{Kind: Settle, Wait: e.rules.Rollout.Settle})
	}
}

func (e *enabling) preboot() {
	if e.app.InSpace() {
		return
	}
	if on, _ := e.app.Feature(fleet.Preboot); !on {
		e.toggle(Preboot, fleet.Preboot)
	}
}

func (e *enabling) did(kind Kind) bool {
	return slices.ContainsFunc(e.plan.Steps, func(s Step) bool { return s.Kind == kind })
}

// warmup is nobody's to turn on: it is in the app's code, and a person's word tells.
func (e *enabling) warmup() {
	if e.rules.JVMWarmup != policy.WeightRequired || e.rules.WarmupAttested {
		return
	}
	language, known := e.app.JVM().Get()
	if known && language == "" {
		return
	}
	e.leave("See to it that the app warms itself up before it takes traffic, which the policy requires of apps on a JVM, and then attest it: `warmup: attested` for %s under `apps:` in the policy. Heroku can't show it%s.",
		code(e.app.Name), map[bool]string{false: ", nor for sure that this app runs on a JVM"}[known])
}

// price adds the cost up, and refuses what is beyond the limits.
func (e *enabling) price() {
	e.plan.Cost = wholeCost(e.app, e.rules.Prices, e.plan.Steps)
	limits := e.rules.Limits
	if web, _ := e.now.Web(); e.did(Scale) && web.Quantity > limits.WebDynos {
		e.refuse("The app would run %d web dynos, and `limits.web_dynos` in the policy allows %d. Chat can't lift that.", web.Quantity, limits.WebDynos)
		return
	}
	if more, known := e.plan.Cost.Difference.Get(); known && more > limits.MonthlyIncrease {
		e.refuse("This would cost %s a month more, and `limits.monthly_increase` in the policy allows %s. Chat can't lift that.", more, limits.MonthlyIncrease)
	}
}

// untouched says what a reader might fear for.
func untouched(app fleet.App, steps []Step) []string {
	touched := map[string]bool{}
	for _, s := range steps {
		for _, p := range s.To.Processes {
			touched[p.Type] = true
		}
	}
	var out []string
	for _, p := range processes(app) {
		if !touched[p.Type] {
			out = append(out, fmt.Sprintf("%s stays at %d × %s", code(p.Type), p.Quantity, app.Size(p.Size).Name))
		}
	}
	if scaler, _ := AutoscalerOf(app).Get(); scaler.Active {
		out = append(out, "Heroku's autoscaler keeps its settings")
	}
	if app.Maintenance {
		out = append(out, "maintenance mode stays on")
	}
	return append(out, "code, config vars and add-ons are not touched")
}

// namesOf makes "web (basic)" of each process type.
func namesOf(list []Process) []string {
	var out []string
	for _, p := range list {
		out = append(out, fmt.Sprintf("%s (%d × %s)", code(p.Type), p.Quantity, cmp.Or(p.Size, "unknown size")))
	}
	return out
}
