package plan

import (
	"fmt"
	"slices"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// SmallestSize is the cheapest size that can preboot: the way out of Eco and Basic.
const SmallestSize = "standard-1x"

// Enable plans what makes the app as the rules want it: resize, affinity, soak, scale,
// settle, preboot, of these only what is needed. It raises the web quantity to the
// larger of what runs and what is wanted, and lowers nothing. Its hazards are those of
// the moment at which the app was read. It is [For] of ToEnable.
//
// With an Eco or Basic app and no opt.Size it refuses and names the way out. Where
// something else scales the app, raising that minimum is left to a person (Yours). A
// part that could not be read and that a step would stand on makes a refusal.
func Enable(app fleet.App, rules policy.Rules, opt Options) Plan {
	return For(app, rules, Wish{Verb: ToEnable, Size: opt.Size}, app.ReadAt)
}

func (m *making) enable() {
	m.plan.Options = Options{Size: m.wish.Size}
	if !m.leaveSmall() || !m.read(m.features, m.scalers) {
		return
	}
	m.enableAffinity()
	m.scaleUp()
	m.settle()
	if on, _ := m.app.Feature(fleet.Preboot); !on && !m.app.InSpace() {
		m.toggle(Preboot, fleet.Preboot)
	}
	m.warmup()
}

// leaveSmall refuses what can't be made ready, and moves Eco and Basic apps off.
func (m *making) leaveSmall() (goOn bool) {
	runtime, ok := m.runtime(Bootable, Small, Rolling)
	if !ok {
		return false
	}
	_, why := RuntimeOf(m.app)
	size, _ := m.app.WebSize()
	asked := m.wish.Size
	switch {
	case runtime == Small && asked == "":
		m.plan.WayOut = Options{Size: SmallestSize}
		m.plan.Instead = Wish{Verb: ToEnable, Size: SmallestSize}
		m.refuse("%s. The way out is a larger size: %s moves %s, and restarts the app once.", Capital(why),
			m.order(m.plan.Instead), Join(namesOf(m.small())))
	case runtime == Small:
		return m.resize(asked)
	case asked != "" && asked != size.Name:
		m.plan.Instead = Wish{Verb: ToEnable}
		m.refuse("%s already runs on %s dynos; %s is for Eco and Basic apps only. I don't resize an app that does not need it.", Code(m.app.Name), Code(size.Name), Code("size="))
	default:
		return true
	}
	return false
}

// small are the app's process types on Eco or Basic, those at quantity 0 included:
// Heroku mixes neither with other sizes.
func (m *making) small() []Process {
	return slices.DeleteFunc(processes(m.app), func(p Process) bool { return !m.app.Size(p.Size).OnePerType() })
}

func (m *making) resize(asked string) bool {
	size := fleet.SizeNamed(asked)
	catalog, known := m.app.Sizes.Get()
	offered := slices.ContainsFunc(catalog, func(s fleet.Size) bool { return s.Name == size.Name })
	if !size.SupportsPreboot() || known && !offered {
		var sizes []string
		for _, s := range catalog {
			if s.SupportsPreboot() {
				sizes = append(sizes, Code(s.Name))
			}
		}
		if len(sizes) == 0 {
			sizes = []string{Code(SmallestSize), Code("standard-2x"), Code("performance-m"), Code("performance-l")}
		}
		m.plan.WayOut = Options{Size: SmallestSize}
		m.plan.Instead = Wish{Verb: ToEnable, Size: SmallestSize}
		m.refuse("%s is no dyno size that can preboot. Those that can: %s.", Code(asked), Join(sizes))
		return false
	}
	from := m.small()
	to := slices.Clone(from)
	for i := range to {
		to[i].Size = size.Name
	}
	m.step(Step{Kind: Resize, From: State{Processes: from}, To: State{Processes: to}})
	return true
}

func (m *making) enableAffinity() {
	if m.app.InSpace() {
		return
	}
	on, _ := m.app.Feature(fleet.SessionAffinity)
	switch {
	case m.rules.SessionAffinity == policy.Required && !on:
		m.toggle(Affinity, fleet.SessionAffinity)
	case m.rules.SessionAffinity == policy.Forbidden && on:
		m.leave("Turn session affinity off, which the policy forbids for this app: %s. I turn nothing off here.",
			m.order(Wish{Verb: ToAffinity}))
	}
}

func (m *making) scaleUp() {
	want, _ := Wanted(m.app, m.rules)
	web, _ := m.now.Web()
	scaler, _ := AutoscalerOf(m.app).Get() // read made sure of it
	first := ""
	if m.soak() > 0 {
		first = fmt.Sprintf(", once session affinity has been on for %s", policy.Span(m.rules.Rollout.AffinitySoak))
	}
	if addons := m.app.ScalingAddOns(); len(addons) > 0 {
		m.leave("Make sure that the minimum of %s is at least %d web dynos%s: only its own settings show and change that (%s).%s",
			Join(codes(addons)), want, first, m.openAddOn(addons[0]), m.upTo(want-web.Quantity))
	}
	switch {
	case scaler.Active && scaler.Min < want:
		m.leave("Raise the minimum of Heroku's autoscaler from %d to %d%s: the dyno range beside web at %s/resources in the dashboard. What is scaled by hand does not last while it is on.%s",
			scaler.Min, want, first, m.app.DashboardURL(), m.upTo(want-scaler.Min))
	case scaler.Active && web.Quantity < want:
		m.leave("Find out why web is at %d though the minimum of Heroku's autoscaler is %d: %s/resources.", web.Quantity, scaler.Min, m.app.DashboardURL())
	case scaler.Active, len(m.app.ScalingAddOns()) > 0, web.Quantity >= want:
		return
	default:
		m.scaleWeb(want)
	}
}

// openAddOn is the command that opens an add-on's own settings.
func (m *making) openAddOn(service string) string {
	return Command(m.app, "open it from the app's page in the dashboard", "addons:open", service)
}

// upTo says what more dynos cost at the most that something else will run: the steps'
// cost does not hold it.
func (m *making) upTo(more int) string {
	if more <= 0 {
		return ""
	}
	web, _ := m.now.Web()
	price := m.rules.Prices.Of(m.app, web.Size)
	one, known := price.Get()
	if !known {
		return fmt.Sprintf(" What that costs is not known (%s).", price.Why().Text)
	}
	return fmt.Sprintf(" That costs up to %s a month more.", one*fleet.Money(more))
}

// warmup is nobody's to turn on: it is in the app's code, and a person's word tells.
func (m *making) warmup() {
	if m.rules.JVMWarmup != policy.WeightRequired || m.rules.WarmupAttested {
		return
	}
	language, known := m.app.JVM().Get()
	if known && language == "" {
		return
	}
	m.leave("See to it that the app warms itself up before it takes traffic, which the policy requires of apps on a JVM, and then attest it: `warmup: attested` for %s under `apps:` in the policy. Heroku can't show it%s.",
		Code(m.app.Name), map[bool]string{false: ", nor for sure that this app runs on a JVM"}[known])
}
