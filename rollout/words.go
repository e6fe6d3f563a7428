package rollout

import (
	"fmt"
	"time"

	"example.com/zdd/plan"
)

// clock is a time of day, with the date where that is not today's.
func (r *Runner) clock(t time.Time) string {
	t, now := t.UTC(), r.now()
	if r.timing.Hurry > 1 { // ten minutes are seconds then, of which the minute tells nothing
		return t.Format("15:04:05 UTC")
	}
	switch {
	case t.Year() != now.Year():
		return t.Format("15:04 UTC on 2 January 2006")
	case t.YearDay() != now.YearDay():
		return t.Format("15:04 UTC on 2 January")
	}
	return t.Format("15:04 UTC")
}

// span is a duration in words that need no reading: 45s, 6m, 1h 20m.
func span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute && d%time.Minute != 0:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Hour < time.Minute:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
}

// subject is what a step is about: "session affinity", "`web`".
func subject(s plan.Step) string {
	if f := s.To.Feature; f != nil {
		return f.Title()
	}
	var types []string
	for _, p := range s.To.Processes {
		types = append(types, plan.Code(p.Type))
	}
	return plan.Join(types)
}

// stateWords is a state in words: "session affinity is on", "`web` is at 2 × standard-1x".
func stateWords(s plan.State) string {
	if s.Feature != nil {
		return s.Feature.Title() + " is " + s.Feature.Switch()
	}
	var parts []string
	for _, p := range s.Processes {
		parts = append(parts, fmt.Sprintf("%s is at %d × %s", plan.Code(p.Type), p.Quantity, p.Size))
	}
	return plan.Join(parts)
}

// difference says how what is there differs from what it is held against, of which than
// tells what it is: "and should be", "and was". Only process types that differ are
// named; it is empty where nothing does.
func difference(against, seen plan.State, than string) string {
	if against.Feature != nil && seen.Feature != nil {
		if against.Feature.On == seen.Feature.On {
			return ""
		}
		return fmt.Sprintf("%s is %s %s %s", seen.Feature.Title(), seen.Feature.Switch(), than, against.Feature.Switch())
	}
	var parts []string
	for i, want := range against.Processes {
		if i < len(seen.Processes) && seen.Processes[i] != want {
			got := seen.Processes[i]
			parts = append(parts, fmt.Sprintf("%s is at %d × %s %s at %d × %s", plan.Code(want.Type), got.Quantity, got.Size, than, want.Quantity, want.Size))
		}
	}
	return plan.Join(parts)
}
