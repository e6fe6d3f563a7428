package commands

import (
	"fmt"
	"strings"

	"example.com/zdd/audit"
	"example.com/zdd/policy"
)

// waivedFact is of how many apps something is waived.
func waivedFact(c audit.Counts) []Fact {
	if c.Waived == 0 {
		return nil
	}
	return []Fact{{"Waived", Line("something of "+appCount(c.Waived)+", which does not count; ", Code("waivers"), " lists until when and why")}}
}

// waivedToo is the same for a sentence on all apps.
func waivedToo(c audit.Counts) string {
	if c.Waived == 0 {
		return ""
	}
	return " (something is waived of " + appCount(c.Waived) + ")"
}

// ending are a group's waivers that end soon, each with a way to its renewal. Its owner is
// mentioned where rings, and named otherwise.
func ending(g audit.Group, name func(user string) Span, dates dates) []Item {
	var items []Item
	for _, w := range g.Waivers {
		text := Line(Bold(checkTitle(w.Check)), " of ", Code(w.Name), ": ", Bold(daysLeft(w.Left)), ", until "+policy.UntilText(w.Until, dates.zone)+" · ", Code(w.ID), " of ", name(w.By))
		items = append(items, Item{Mark: MarkWaived, Text: text, Button: &Button{Label: w.ID + "…", Run: "show " + w.ID}})
	}
	return items
}

// daysLeft is how many days a waiver that is counted down has left.
func daysLeft(n int) string {
	switch {
	case n <= 0:
		return "ends today"
	case n == 1:
		return "1 day left"
	}
	return fmt.Sprintf("%d days left", n)
}

// owners are those of the waivers that a group tells the end of, soon or now.
func owners(g audit.Group) []string {
	var users []string
	for _, w := range g.Waivers {
		users = append(users, w.By)
	}
	for _, l := range g.Lines {
		if l.Kind == audit.LineNew {
			for _, w := range l.Waivers {
				users = append(users, w.By)
			}
		}
	}
	return users
}

// ended says that a line is about what was waived until now.
func ended(l audit.Line) bool { return l.Kind == audit.LineNew && len(l.Waivers) > 0 }

// waivedLine is what is waived of an app that would fail without.
func waivedLine(l audit.Line) string {
	var ids []string
	for _, w := range l.Waivers {
		ids = append(ids, w.ID)
	}
	return strings.ToLower(strings.Join(titles(l.Checks), ", ")) + " (" + strings.Join(ids, ", ") + ")"
}

// waivedOnly is an app that is not failing because of its waivers; ok is false where it
// has none.
func waivedOnly(s audit.Standing) (l audit.Line, ok bool) {
	l = audit.Line{App: s.App, Name: s.Name, Kind: audit.LineWaived, ReadAt: s.ReadAt}
	for _, m := range s.Marks {
		if !m.Waived.IsZero() {
			l.Checks, l.Waivers = append(l.Checks, m.Check), append(l.Waivers, m.Waiver)
		}
	}
	return l, len(l.Checks) > 0
}
