package rollout

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

// code marks text that came from outside as code. Backticks and control characters
// would end the mark, and are dropped.
func code(s string) string {
	return "`" + strings.Map(func(r rune) rune {
		if r == '`' || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s) + "`"
}

// join makes "a", "a and b", "a, b and c".
func join(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// upper begins a sentence.
func upper(s string) string {
	if s == "" || s[0] == '`' {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// clock is a time of day, with the date where that is not today's.
func (r *Runner) clock(t time.Time) string {
	t, now := t.UTC(), r.now()
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
		return feature(f.Name)
	}
	var types []string
	for _, p := range s.To.Processes {
		types = append(types, code(p.Type))
	}
	return join(types)
}

func feature(name string) string {
	switch name {
	case fleet.SessionAffinity:
		return "session affinity"
	case fleet.Preboot:
		return "preboot"
	}
	return code(name)
}

// stateWords is a state in words: "session affinity is on", "`web` is at 2 × standard-1x".
func stateWords(s plan.State) string {
	if s.Feature != nil {
		return feature(s.Feature.Name) + " is " + onOff(s.Feature.On)
	}
	var parts []string
	for _, p := range s.Processes {
		parts = append(parts, fmt.Sprintf("%s is at %d × %s", code(p.Type), p.Quantity, p.Size))
	}
	return join(parts)
}

// difference says how what is there differs from what it is held against, of which than
// tells what it is: "and should be", "and was". Only process types that differ are
// named; it is empty where nothing does.
func difference(against, seen plan.State, than string) string {
	if against.Feature != nil && seen.Feature != nil {
		if against.Feature.On == seen.Feature.On {
			return ""
		}
		return fmt.Sprintf("%s is %s %s %s", feature(seen.Feature.Name), onOff(seen.Feature.On), than, onOff(against.Feature.On))
	}
	var parts []string
	for i, want := range against.Processes {
		if i < len(seen.Processes) && seen.Processes[i] != want {
			got := seen.Processes[i]
			parts = append(parts, fmt.Sprintf("%s is at %d × %s %s at %d × %s", code(want.Type), got.Quantity, got.Size, than, want.Quantity, want.Size))
		}
	}
	return join(parts)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
