package plan

import (
	"fmt"
	"slices"
)

// NeedsApproval says in sentences why another person has to agree; empty: nobody has
// to. A step that raises the cost needs it whatever the plan comes to in all, and so
// does one whose cost is not known, and one that leaves less capacity or protection.
func (p Plan) NeedsApproval() []string {
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	for _, s := range p.Steps {
		switch more, known := s.Cost.Difference.Get(); {
		case !known:
			add("How it changes the cost is not known (%s): %s.", s.Cost.Difference.Why().Text, s)
		case more > 0:
			add("It costs %s a month more: %s.", more, s)
		}
		if s.To.Feature != nil && s.From.Feature != nil && s.From.Feature.On && !s.To.Feature.On {
			add("It takes protection away: %s.", s)
		}
		if fewer(s) {
			add("It leaves less capacity: %s.", s)
		} else if smaller(s) {
			add("The new dynos are smaller, or not known to be as large: %s.", s)
		}
	}
	return why
}

func fewer(s Step) bool {
	for i, to := range s.To.Processes {
		if to.Quantity < s.From.Processes[i].Quantity {
			return true
		}
	}
	return false
}

// smaller says whether a process type moves to a size that is not known to be at least
// as large.
func smaller(s Step) bool {
	bySize := []string{"eco", "basic", "standard-1x", "standard-2x", "performance-m", "performance-l", "performance-xl", "performance-2xl"}
	for i, to := range s.To.Processes {
		from := s.From.Processes[i].Size
		if from != to.Size && (!slices.Contains(bySize, from) || slices.Index(bySize, to.Size) < slices.Index(bySize, from)) {
			return true
		}
	}
	return false
}
