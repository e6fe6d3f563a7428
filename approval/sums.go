package approval

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// window is how long an increase counts towards the quorum of the next one, so that a
// large one is not had in small pieces.
const window = 7 * 24 * time.Hour

// quorum is how many approvals a plan needs, and what that was made of.
type quorum struct {
	need int                      // 0: none
	sum  fleet.Value[fleet.Money] // of its increase and those of the app before it, a month
	why  string                   // a sentence about a need of more than 1; else empty
}

// quorumOf judges a ticket. spent are the other tickets about its apps that were decided
// within the window, whoever asked for them and wherever. For a batch it adds up what
// those of its parts add that need an approval, each with what was spent on its app.
func quorumOf(rules policy.Approval, t Ticket, spent []Ticket) quorum {
	if !t.Batch() {
		return quorumOfOne(rules, t, spent)
	}
	q := quorum{sum: fleet.Known(fleet.Money(0))}
	for _, one := range t.singles() {
		its := quorumOfOne(rules, one, slices.DeleteFunc(slices.Clone(spent), func(o Ticket) bool { return o.Plan.App != one.Plan.App }))
		q.need = max(q.need, its.need)
		sum, known := its.sum.Get()
		switch {
		case its.need == 0, known && sum <= 0:
		case !known && q.sum.IsKnown():
			why := its.sum.Why()
			q.sum = fleet.Unknown[fleet.Money](fleet.Reason{Kind: why.Kind, Text: "of " + one.Plan.Name + ": " + why.Text})
		case known && q.sum.IsKnown():
			q.sum = fleet.Known(q.sum.Or(0) + sum)
		}
	}
	if q.need == 0 {
		return quorum{}
	}
	q.need = max(q.need, rules.Approvals(q.sum))
	if sum, known := q.sum.Get(); q.need > 1 && known {
		q.why = fmt.Sprintf("With it, what is added to the cost of these apps within 7 days comes to %s a month, so %d people have to approve.", sum, q.need)
	} else if q.need > 1 {
		q.why = fmt.Sprintf("What is added to the cost of these apps within 7 days is not known (%s), so as many people have to approve as the policy asks for at the most: %d.", q.sum.Why().Text, q.need)
	}
	return q
}

func quorumOfOne(rules policy.Approval, t Ticket, spent []Ticket) quorum {
	p := t.Plan
	if len(p.NeedsApproval()) == 0 {
		return quorum{}
	}
	own, known := p.Cost.Difference.Get()
	if known && own <= 0 {
		return quorum{need: 1, sum: p.Cost.Difference} // it adds nothing to any sum
	}
	q := quorum{sum: p.Cost.Difference}
	if before := increases(spent, t); !before.IsKnown() {
		q.sum = before
	} else if known {
		q.sum = fleet.Known(own + before.Or(0))
	}
	q.need = rules.Approvals(q.sum)
	if sum, known := q.sum.Get(); q.need > 1 && known {
		q.why = fmt.Sprintf("With it, what is added to this app's cost within 7 days comes to %s a month, so %d people have to approve.", sum, q.need)
	} else if q.need > 1 {
		q.why = fmt.Sprintf("What is added to this app's cost within 7 days is not known (%s), so as many people have to approve as the policy asks for at the most: %d.", q.sum.Why().Text, q.need)
	}
	return q
}

// increases adds up what tickets add to an app's cost a month. What lowers it takes
// nothing off. Of a ticket that ended early the steps count that were begun: of those
// whose effect is not known it is assumed, unless a ticket that went on from there has
// the same step before it and counts it. next is one that is only being judged, and
// counts as a whole, elsewhere.
func increases(spent []Ticket, next Ticket) fleet.Value[fleet.Money] {
	next.State = Approved
	others := append(slices.Clone(spent), next)
	var sum fleet.Money
	for _, t := range spent {
		more := fleet.Known(fleet.Money(0))
		switch t.State {
		case Approved, Running, Done:
			more = t.Plan.Cost.Difference
		case Stopped, Failed:
			more = begun(t, others)
		}
		v, known := more.Get()
		if !known {
			return more
		}
		sum += max(v, 0)
	}
	return fleet.Known(sum)
}

// begun is what the steps add that were done, or announced and not taken over.
func begun(t Ticket, others []Ticket) fleet.Value[fleet.Money] {
	var sum fleet.Money
	for i, s := range t.Plan.Steps {
		if !t.tried(i) || t.Progress[i].Done.IsZero() && takenOver(t, s, others) {
			continue
		}
		if s.To.Processes == nil {
			continue // a feature or a wait costs nothing
		}
		v, known := s.Cost.Difference.Get()
		if !known {
			return s.Cost.Difference
		}
		sum += v
	}
	return fleet.Known(sum)
}

// tried says whether step i was done or announced. What was so already was not this
// ticket's doing.
func (t Ticket) tried(i int) bool {
	if i >= len(t.Progress) || t.Progress[i].Already {
		return false
	}
	return !t.Progress[i].Intended.IsZero() || !t.Progress[i].Done.IsZero()
}

// takenOver says whether a ticket that goes on where t ended counts the same step, or
// one that goes on from that does. To have gone on is not enough: where the answer to a
// write was lost and it took effect all the same, what is left has no such step.
func takenOver(t Ticket, s plan.Step, others []Ticket) bool {
	for _, o := range others {
		if o.Follows != t.ID || o.ID == t.ID || !sameWish(o.Wish, t.Wish) {
			continue
		}
		i := slices.IndexFunc(o.Plan.Steps, func(other plan.Step) bool { return sameWrite(other, s) })
		if i < 0 {
			continue
		}
		switch o.State {
		case Approved, Running, Done:
			return true
		case Stopped, Failed:
			if o.tried(i) || takenOver(o, s, others) {
				return true
			}
		}
	}
	return false
}

// sameWish compares wishes as they are stored.
func sameWish(a, b plan.Wish) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// beyond refuses what the policy's limits don't allow; nil: they do. That of the web
// dynos is each app's own, that of the cost is the ticket's.
func beyond(limits policy.Limits, t Ticket) *No {
	for _, p := range t.plans() {
		which := "The app"
		if t.Batch() {
			which = plan.Code(p.Name)
		}
		for _, s := range p.Steps {
			for i, to := range s.To.Processes {
				if to.Type == "web" && i < len(s.From.Processes) && to.Quantity > s.From.Processes[i].Quantity && to.Quantity > limits.WebDynos {
					return no("%s would run %d web dynos, and `limits.web_dynos` in the policy allows %d. Chat can't lift that. Nothing was changed.", which, to.Quantity, limits.WebDynos)
				}
			}
		}
	}
	why := t.Plan.TooDear(limits.MonthlyIncrease)
	if t.Batch() {
		why = plan.TooDearTogether(t.plans(), limits.MonthlyIncrease)
	}
	if why != "" {
		return no("%s Nothing was changed.", why)
	}
	return nil
}
