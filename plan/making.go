package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// making is a plan in the making. now is the app as it will be after the steps so far.
type making struct {
	app   fleet.App
	rules policy.Rules
	wish  Wish
	at    time.Time // the moment at which this is planned
	now   fleet.App
	plan  Plan
}

// finish adds the steps up to a plan.
func (m *making) finish() Plan {
	p := &m.plan
	if p.Outcome != Refused {
		m.price()
	}
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
	p.Hazards = m.hazards()
	if len(p.Steps) > 0 {
		p.Untouched = untouched(m.app, p.Steps)
	}
	p.Hash = hash(m.app, m.rules, m.wish, *p)
	return *p
}

func (m *making) refuse(format string, args ...any) {
	m.plan.Outcome, m.plan.Why = Refused, []string{fmt.Sprintf(format, args...)}
}

func (m *making) leave(format string, args ...any) {
	m.plan.Why = append(m.plan.Why, fmt.Sprintf(format, args...))
}

// order is a wish for this app as code to type.
func (m *making) order(w Wish) string { return Code("/zdd " + w.Line(m.app.Name)) }

func (m *making) step(s Step) {
	s.Cost = costOf(m.app, m.rules.Prices, s.From.Processes, s.To.Processes)
	m.plan.Steps = append(m.plan.Steps, s)
	m.now = After(m.now, s)
}

func (m *making) did(kind Kind) bool {
	return slices.ContainsFunc(m.plan.Steps, func(s Step) bool { return s.Kind == kind })
}

// toggle switches a feature to the other side.
func (m *making) toggle(kind Kind, feature string) {
	on, _ := m.now.Feature(feature)
	s := Step{Kind: kind, From: State{Feature: &Feature{feature, on}}, To: State{Feature: &Feature{feature, !on}}}
	if web, _ := m.now.Web(); kind == Affinity {
		s.Web = web.Quantity
	}
	m.step(s)
}

// scaleWeb changes the web quantity, after what is left of the soak.
func (m *making) scaleWeb(to int) {
	web, _ := m.now.Web()
	if wait := m.soak(); to > web.Quantity && wait > 0 {
		m.step(Step{Kind: Soak, Wait: wait})
	}
	from := Process{"web", fleet.SizeNamed(web.Size).Name, web.Quantity}
	then := from
	then.Quantity = to
	m.step(Step{Kind: Scale, From: State{Processes: []Process{from}}, To: State{Processes: []Process{then}}})
}

// soak is how long session affinity still has to be on before web dynos are added, in
// whole minutes as people read it, and no longer than the policy's soak: all of that
// where these steps turn it on, or where Heroku does not tell since when it is on. It is
// 0 where nothing has to wait.
func (m *making) soak() time.Duration {
	on, _ := m.now.Feature(fleet.SessionAffinity)
	if !on || !m.did(Affinity) && !m.needsAffinity() {
		return 0
	}
	whole := m.rules.Rollout.AffinitySoak
	since, known := m.now.FeatureSince(fleet.SessionAffinity).Get()
	if !known {
		return whole
	}
	left := since.Add(whole).Sub(m.at)
	if left <= 0 {
		return 0
	}
	return min(whole, (left + time.Minute - 1).Truncate(time.Minute))
}

// settle waits where new dynos were started: they have to be seen running before
// preboot locks the formation with the next release, and before anybody is told that
// it worked.
func (m *making) settle() {
	if m.starts() && !m.did(Settle) {
		m.step(Step{Kind: Settle, Wait: m.rules.Rollout.Settle})
	}
}

// starts says whether the steps so far start dynos.
func (m *making) starts() bool {
	return slices.ContainsFunc(m.plan.Steps, func(s Step) bool {
		return s.Kind == Resize || s.Kind == Scale && s.To.Processes[0].Quantity > s.From.Processes[0].Quantity
	})
}

// needsAffinity says whether several web dynos need session affinity.
func (m *making) needsAffinity() bool {
	return m.rules.SessionAffinity == policy.Required && !m.app.InSpace()
}

// runtime is which rules the app follows, if they are among those given. Otherwise the
// plan is refused; Bootable, Small and Rolling are for the caller to refuse.
func (m *making) runtime(may ...Runtime) (Runtime, bool) {
	value, why := RuntimeOf(m.app)
	runtime, known := value.Get()
	app := m.app.Name
	switch {
	case !known:
		m.refuse("%s. Nothing was changed; try again.", unreadOf(app, unreadPart{"the formation", value.Why()}))
	case slices.Contains(may, runtime):
		return runtime, true
	case runtime == Stopped:
		m.refuse("%s. If the app is to serve again, start it yourself first: %s. I never start an app that stands still.", Capital(why), Command(m.app, "scale web to 1 in the dashboard", "ps:scale", "web=1"))
	case runtime == Webless:
		m.refuse("%s: nothing of it serves visitors, so there is nothing to keep up.", Capital(why))
	default:
		m.refuse("%s. I can't tell which rules hold for it, and plan nothing on a guess.", Capital(why))
	}
	return runtime, false
}

// read refuses when something could not be read that a step would stand on.
func (m *making) read(parts ...func() []unreadPart) bool {
	var missing []unreadPart
	for _, part := range parts {
		missing = append(missing, part()...)
	}
	if len(missing) == 0 {
		return true
	}
	m.refuse("%s. Nothing was changed; try again.", unreadOf(m.app.Name, missing...))
	return false
}

// features is what could not be read of them, for read.
func (m *making) features() []unreadPart {
	if m.app.InSpace() || m.app.Features.IsKnown() {
		return nil
	}
	return []unreadPart{{"the features", m.app.Features.Why()}}
}

// scalers is what could not be read of whatever scales the app, for read.
func (m *making) scalers() (missing []unreadPart) {
	if scaler := AutoscalerOf(m.app); !scaler.IsKnown() {
		missing = append(missing, unreadPart{"whether Heroku's autoscaler is on", scaler.Why()})
	}
	if !m.app.AddOns.IsKnown() {
		missing = append(missing, unreadPart{"the add-ons, one of which may scale it", m.app.AddOns.Why()})
	}
	return missing
}

// unreadPart is something of an app that could not be read.
type unreadPart struct {
	name string
	why  fleet.Reason
}

// unreadOf says what of an app could not be read, and why, without the full stop.
func unreadOf(app string, parts ...unreadPart) string {
	return fmt.Sprintf("Of %s I could not read %s", Code(app), unreadParts(parts))
}

// unreadParts are the parts with why, which is said once for those that have it in common.
func unreadParts(parts []unreadPart) string {
	var whys []string
	names := map[string][]string{}
	for _, p := range parts {
		if names[p.why.Text] == nil {
			whys = append(whys, p.why.Text)
		}
		names[p.why.Text] = append(names[p.why.Text], p.name)
	}
	for i, why := range whys {
		whys[i] = Join(names[why]) + ": " + why
	}
	return strings.Join(whys, "; ")
}

// unpriced is the cost as long as there is no plan.
func (m *making) unpriced() {
	none := fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotTold, Text: "there is no plan to price"})
	noUnits := fleet.Unknown[float64](fleet.Reason{Kind: fleet.NotTold, Text: "there is no plan to price"})
	whole := processes(m.app)
	c := costOf(m.app, m.rules.Prices, whole, whole)
	if !m.app.Formation.IsKnown() {
		c.Now, c.Units.Now = fleet.Unknown[fleet.Money](m.app.Formation.Why()), fleet.Unknown[float64](m.app.Formation.Why())
	}
	c.Then, c.Difference, c.Units.Then, c.Units.Difference = none, none, noUnits, noUnits
	m.plan.Cost = c
}

// price adds the cost up, and refuses what is beyond the limits.
func (m *making) price() {
	m.plan.Cost = wholeCost(m.app, m.rules.Prices, m.plan.Steps)
	limits := m.rules.Limits
	was, _ := m.app.Web()
	if web, _ := m.now.Web(); web.Quantity > was.Quantity && web.Quantity > limits.WebDynos {
		m.refuse("The app would run %d web dynos, and `limits.web_dynos` in the policy allows %d. Chat can't lift that.", web.Quantity, limits.WebDynos)
		return
	}
	if why := m.plan.TooDear(limits.MonthlyIncrease); why != "" {
		m.refuse("%s", why)
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
			out = append(out, fmt.Sprintf("%s stays at %d × %s", Code(p.Type), p.Quantity, app.Size(p.Size).Name))
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

// namesOf makes "web (1 × basic)" of each process type.
func namesOf(list []Process) []string {
	var out []string
	for _, p := range list {
		out = append(out, fmt.Sprintf("%s (%d × %s)", Code(p.Type), p.Quantity, cmp.Or(p.Size, "unknown size")))
	}
	return out
}
