package plan

import (
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// undo takes back what was done, last first, and puts in the waits that the way back
// needs. It goes over nothing that was changed since, and restores no count that
// something else decides about by now. What is back already is left out.
//
// An undo restores what was there before, and so may go back to several web dynos
// without the session affinity that the rules require, if that is how it was, with
// exactly as many. That is a hazard, and needs an approval.
func (m *making) undo() {
	if slices.ContainsFunc(m.wish.Undo, misshapen) {
		m.refuse("What was done is recorded in a form that this version of zdd does not know. Nothing was changed.")
		return
	}
	done := slices.DeleteFunc(slices.Clone(m.wish.Undo), Step.waits)
	if len(done) == 0 {
		return
	}
	if _, ok := m.runtime(Bootable, Small, Rolling, Stopped); !ok || !m.readForUndo() {
		return
	}
	var changed []string
	for _, s := range slices.Backward(done) {
		value := s.Seen(m.now)
		seen, known := value.Get()
		switch {
		case known && seen.Equal(s.From):
			continue
		case !known:
			changed = append(changed, value.Why().Text)
		case !seen.Equal(s.To):
			changed = append(changed, differences(seen, s.To)...)
		case len(changed) == 0:
			if !m.takeBack(s) {
				return
			}
			continue
		}
		m.now = After(m.now, Step{To: s.From}) // so that the steps before it are held against their own time
	}
	if len(changed) > 0 {
		m.refuse("It was changed since: %s. Nothing was changed now; look at the app, and give the order that it needs.", strings.Join(changed, "; "))
		return
	}
	m.settle()
}

// misshapen says whether a step that comes back from a record can't be one of ours.
func misshapen(s Step) bool {
	from, to := s.From, s.To
	switch s.Kind {
	case Soak, Settle:
		return from.Feature != nil || to.Feature != nil || len(from.Processes)+len(to.Processes) > 0
	case Affinity, Preboot:
		return from.Feature == nil || to.Feature == nil || from.Feature.Name != to.Feature.Name || len(from.Processes)+len(to.Processes) > 0
	case Scale:
		if len(to.Processes) != 1 || to.Processes[0].Type != "web" {
			return true
		}
	case Resize:
	default:
		return true
	}
	sameType := func(a, b Process) bool { return a.Type == b.Type }
	return from.Feature != nil || to.Feature != nil || len(to.Processes) == 0 || !slices.EqualFunc(from.Processes, to.Processes, sameType)
}

// readForUndo refuses when something could not be read that the way back stands on.
func (m *making) readForUndo() bool {
	changes := func(of func(State) bool) bool {
		return slices.ContainsFunc(m.wish.Undo, func(s Step) bool { return of(s.To) })
	}
	var parts []func() []unreadPart
	if changes(func(s State) bool { return s.Feature != nil }) {
		parts = append(parts, m.features)
	}
	if changes(func(s State) bool { return len(s.Processes) > 0 }) {
		parts = append(parts, m.scalers)
	}
	return m.read(parts...)
}

// takeBack adds the reverse of a step, or refuses.
func (m *making) takeBack(s Step) bool {
	switch {
	case s.Kind == Affinity:
		return m.takeBackAffinity(s)
	case s.Kind == Preboot && s.From.Feature.On:
		if size, _ := m.now.WebSize(); m.app.InSpace() || !size.SupportsPreboot() {
			m.refuse("Preboot was on before and can't be now: web runs on %s dynos.", size.Name)
			return false
		}
		m.settle()
		m.toggle(Preboot, fleet.Preboot)
	case s.Kind == Preboot:
		m.toggle(Preboot, fleet.Preboot)
	case s.Kind == Scale:
		return m.takeBackScale(s)
	case s.Kind == Resize:
		return m.takeBackResize(s)
	}
	return true
}

func (m *making) takeBackAffinity(s Step) bool {
	web, _ := m.now.Web()
	switch {
	case s.From.Feature.On && m.rules.SessionAffinity == policy.Forbidden:
		m.refuse("Session affinity was on before, and the policy forbids it for this app by now (`session_affinity: forbidden`).")
		return false
	case !s.From.Feature.On && web.Quantity > 1 && web.Quantity != s.Web && m.needsAffinity():
		m.plan.Instead = Wish{Verb: ToDisable}
		m.refuse("It was changed since: %s run now, and it was %d when session affinity was turned on, which the policy requires for several. %s goes back in the safe order.",
			plural(web.Quantity), s.Web, m.order(m.plan.Instead))
		return false
	}
	m.toggle(Affinity, fleet.SessionAffinity)
	return true
}

func (m *making) takeBackScale(s Step) bool {
	scaler, _ := AutoscalerOf(m.app).Get()
	web, _ := m.now.Web()
	to := s.From.Processes[0].Quantity
	addons := m.app.ScalingAddOns()
	switch {
	case scaler.Active:
		m.refuse("It was changed since: Heroku's autoscaler runs from %d to %d web dynos by now, and what is scaled by hand does not last. Its minimum is beside web at %s/resources in the dashboard.",
			scaler.Min, scaler.Max, m.app.DashboardURL())
	case len(addons) > 0:
		m.refuse("It was changed since: %s scales the app by now, and undoes what is scaled by hand. Its minimum is in its own settings: %s.", Join(codes(addons)), m.openAddOn(addons[0]))
	case to < 1:
		m.refuse("Web was at 0 before. Switching an app off is not something I do.")
	case to > web.Quantity && !m.mayGrow(to):
	default:
		m.scaleWeb(to)
		return true
	}
	return false
}

// takeBackResize goes back to smaller dynos, all process types at once. Heroku takes
// Eco and Basic only for all of an app, and one dyno a type.
func (m *making) takeBackResize(s Step) bool {
	small := slices.ContainsFunc(s.From.Processes, func(p Process) bool { return m.app.Size(p.Size).OnePerType() })
	if i := slices.IndexFunc(s.From.Processes, func(p Process) bool { return p.Quantity > 1 }); small && i >= 0 {
		p := s.From.Processes[i]
		m.refuse("Heroku allows one dyno of a process type on %s, and %s was at %d before: there is no way back to that.", Code(p.Size), Code(p.Type), p.Quantity)
		return false
	}
	for _, p := range processes(m.now) {
		if small && !slices.ContainsFunc(s.From.Processes, func(q Process) bool { return q.Type == p.Type }) {
			m.refuse("It was changed since: process type %s is new and runs on %s dynos, which Heroku does not mix with the sizes of before.", Code(p.Type), p.Size)
			return false
		}
	}
	m.step(Step{Kind: Resize, From: s.To, To: s.From})
	return true
}

// differences says what is not as it was left.
func differences(seen, left State) (out []string) {
	if left.Feature != nil {
		return []string{fmt.Sprintf("%s is %s and was left %s", Code(left.Feature.Name), seen.Feature.Switch(), left.Feature.Switch())}
	}
	for i, p := range left.Processes {
		if now := seen.Processes[i]; now != p {
			out = append(out, fmt.Sprintf("%s is at %d × %s and was left at %d × %s", Code(p.Type), now.Quantity, now.Size, p.Quantity, p.Size))
		}
	}
	return out
}
