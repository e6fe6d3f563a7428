package plan

import (
	"fmt"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// disable is the reverse of enable, in the reverse order: preboot off, one web dyno,
// session affinity off, of these only what is needed. The dyno size stays. While
// something else may run a second web dyno, session affinity that is required stays on.
func (m *making) disable() {
	if _, ok := m.runtime(Bootable, Small, Rolling, Stopped); !ok || !m.read(m.features, m.scalers) {
		return
	}
	if on, _ := m.app.Feature(fleet.Preboot); on && !m.app.InSpace() {
		m.toggle(Preboot, fleet.Preboot)
	}
	m.scaleDown()
	on, _ := m.app.Feature(fleet.SessionAffinity)
	switch {
	case !on || m.app.InSpace():
	case m.needsAffinity() && len(m.plan.Why) > 0:
		m.leave("Then turn session affinity off: %s. It stays on while something else may run several web dynos, which the policy allows with it only.", m.order(Wish{Verb: ToAffinity}))
	default:
		m.toggle(Affinity, fleet.SessionAffinity)
	}
}

// scaleDown takes web to one dyno, or says who has to.
func (m *making) scaleDown() {
	if m.alone() {
		return
	}
	web, _ := m.now.Web()
	scaler, _ := AutoscalerOf(m.app).Get() // read made sure of it
	addons := m.app.ScalingAddOns()
	if len(addons) > 0 {
		m.leave("Make sure that %s runs no more than 1 web dyno: only its own settings show and change that (%s).", Join(codes(addons)), m.openAddOn(addons[0]))
	}
	if scaler.Active && (scaler.Max > 1 || web.Quantity > 1) {
		m.leave("Turn Heroku's autoscaler off, or let it run no more than 1 dyno instead of %d to %d: the dyno range beside web at %s/resources in the dashboard. What is scaled by hand does not last while it is on.",
			scaler.Min, scaler.Max, m.app.DashboardURL())
	}
	if !scaler.Active && len(addons) == 0 && web.Quantity > 1 {
		m.scaleWeb(1)
	}
}

// alone says that web runs no more than one dyno and can't run more, whatever scales it.
func (m *making) alone() bool {
	web, _ := m.now.Web()
	return web.Quantity <= 1 && m.app.Size(web.Size).OnePerType() && !m.app.InSpace()
}

// scaleTo changes the web quantity to what a person named.
func (m *making) scaleTo(want int) {
	if want < 1 {
		m.refuse("Switching an app off is not something I do. If nobody is to be served any more, do it yourself: %s.", Command(m.app, "scale web to 0 in the dashboard", "ps:scale", "web=0"))
		return
	}
	if _, ok := m.runtime(Bootable, Small, Rolling); !ok || !m.read(m.features, m.scalers) {
		return
	}
	web, _ := m.app.Web()
	scaler, _ := AutoscalerOf(m.app).Get() // read made sure of it
	addons := m.app.ScalingAddOns()
	switch {
	case want > web.Quantity && !m.mayGrow(want):
	case scaler.Active && (scaler.Min != want || web.Quantity != want):
		m.leave("Change the range of Heroku's autoscaler, which is %d to %d web dynos: a minimum of %d is what counts. It is beside web at %s/resources in the dashboard. What is scaled by hand does not last while it is on.%s%s",
			scaler.Min, scaler.Max, want, m.app.DashboardURL(), m.notBefore(want-scaler.Min), m.upTo(want-scaler.Min))
	case len(addons) > 0:
		m.leave("Change the minimum of %s to %d web dynos: only its own settings show and change that (%s), and it undoes what is scaled by hand.%s%s",
			Join(codes(addons)), want, m.openAddOn(addons[0]), m.notBefore(want-web.Quantity), m.upTo(want-web.Quantity))
	case want != web.Quantity:
		m.scaleWeb(want)
		m.settle()
	}
}

// notBefore says that a person who adds dynos has to wait for the soak, too.
func (m *making) notBefore(more int) string {
	if more <= 0 || m.soak() == 0 {
		return ""
	}
	return fmt.Sprintf(" Do that only once session affinity has been on for %s.", policy.Span(m.rules.Rollout.AffinitySoak))
}

// mayGrow refuses more web dynos where Heroku or the policy allows one only, and more
// than chat may ask for.
func (m *making) mayGrow(want int) bool {
	on, _ := m.now.Feature(fleet.SessionAffinity)
	size, _ := m.now.WebSize()
	switch {
	case want > m.rules.Limits.WebDynos:
		m.refuse("The app would run %d web dynos, and `limits.web_dynos` in the policy allows %d. Chat can't lift that.", want, m.rules.Limits.WebDynos)
	case want > 1 && size.OnePerType() && !m.app.InSpace():
		m.plan.Instead = Wish{Verb: ToEnable, Size: SmallestSize}
		m.refuse("Web runs on %s dynos, of which a process type can have only one. The way out is a larger size: %s does that first, and runs %d web dynos.",
			size.Name, m.order(m.plan.Instead), m.rules.WebDynos)
	case want > 1 && m.needsAffinity() && !on:
		m.plan.Instead = Wish{Verb: ToEnable}
		m.refuse("Session affinity is off, and the policy requires it before a second web dyno: visitors whose session is in one dyno's memory would lose it. %s turns it on first, waits %s, and only then adds dynos. If the app keeps its sessions elsewhere, say so in the policy: %s.",
			m.order(m.plan.Instead), policy.Span(m.rules.Rollout.AffinitySoak), m.optional())
	default:
		return true
	}
	return false
}

// optional is the line of the policy that lets an app do without session affinity.
func (m *making) optional() string {
	return Code("apps: { " + m.app.Name + ": { session_affinity: optional } }")
}

// switchAffinity turns session affinity on or off.
func (m *making) switchAffinity() {
	runtimes := []Runtime{Bootable, Small, Rolling}
	if !m.wish.On {
		runtimes = append(runtimes, Stopped)
	}
	runtime, ok := m.runtime(runtimes...)
	switch {
	case !ok:
		return
	case m.app.InSpace():
		_, why := RuntimeOf(m.app)
		m.refuse("Session affinity does not exist there: %s.", space(runtime, why))
		return
	case !m.read(m.features):
		return
	}
	on, _ := m.app.Feature(fleet.SessionAffinity)
	switch {
	case on == m.wish.On:
	case m.wish.On && m.rules.SessionAffinity == policy.Forbidden:
		m.refuse("The policy forbids session affinity for this app (`session_affinity: forbidden`). Chat can't lift that.")
	case m.wish.On || m.mayLoseAffinity():
		m.toggle(Affinity, fleet.SessionAffinity)
	}
}

// mayLoseAffinity refuses to turn session affinity off where several web dynos run, or
// may run soon, and need it.
func (m *making) mayLoseAffinity() bool {
	if !m.needsAffinity() || m.alone() {
		return true
	}
	if !m.read(m.scalers) {
		return false
	}
	web, _ := m.now.Web()
	scaler, _ := AutoscalerOf(m.app).Get()
	now := ""
	switch addons := m.app.ScalingAddOns(); {
	case web.Quantity > 1:
		now = plural(web.Quantity) + " run now"
	case scaler.Active && scaler.Max > 1:
		now = "Heroku's autoscaler may run " + plural(scaler.Max)
	case len(addons) > 0:
		now = Join(codes(addons)) + " may run several web dynos"
	default:
		return true
	}
	m.plan.Instead = Wish{Verb: ToDisable}
	m.refuse("%s, and the policy requires session affinity then: without it visitors are sent from one dyno to another, and lose a session that is in one dyno's memory. %s goes back in the safe order: preboot off, one web dyno, session affinity off. If the app keeps its sessions elsewhere, say so in the policy: %s.",
		Capital(now), m.order(m.plan.Instead), m.optional())
	return false
}

// switchPreboot turns preboot on or off.
func (m *making) switchPreboot() {
	runtimes := []Runtime{Bootable, Small, Rolling}
	if !m.wish.On {
		runtimes = append(runtimes, Stopped)
	}
	runtime, ok := m.runtime(runtimes...)
	_, why := RuntimeOf(m.app)
	switch {
	case !ok:
		return
	case m.app.InSpace():
		m.refuse("The app has no preboot, and needs none: %s.", space(runtime, why))
		return
	case m.wish.On && runtime == Small:
		m.plan.Instead = Wish{Verb: ToEnable, Size: SmallestSize}
		m.refuse("%s. The way out is a larger size: %s moves the app off, and turns preboot on last of all.", Capital(why), m.order(m.plan.Instead))
		return
	case !m.read(m.features):
		return
	}
	if on, _ := m.app.Feature(fleet.Preboot); on != m.wish.On {
		m.toggle(Preboot, fleet.Preboot)
	}
}

// space is why the rules of the Common Runtime do not hold for an app in a space.
func space(runtime Runtime, why string) string {
	if runtime == Stopped {
		return "it runs in a space, where rolling deploys are always on"
	}
	return why
}
