package commands

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/plan"
)

// How counts, dates, money and coverage are said, in the digest, in reports and at a
// glance alike.

// judged is how many apps there is something to say of: those with web traffic.
func judged(c audit.Counts) int { return c.Ready + c.NotReady + c.Unknown }

// readyOf is "181 of 205 apps ready".
func readyOf(c audit.Counts) string {
	if judged(c) == 0 {
		return "no app to judge"
	}
	return fmt.Sprintf("%d of %s ready", c.Ready, appCount(judged(c)))
}

func appCount(n int) string {
	if n == 1 {
		return "1 app"
	}
	return grouped(n) + " apps"
}

// allReady is the sentence of a night on which all is well, up to what follows.
func allReady(c audit.Counts, whose string) string {
	switch judged(c) {
	case 0:
		return "no app" + whose + " has web traffic to protect;"
	case 1:
		return "the one app" + whose + " is ready;"
	}
	return fmt.Sprintf("all %s%s are ready;", appCount(judged(c)), whose)
}

// standingNow is how many apps are not ready, and how many are not known to be.
func standingNow(c audit.Counts, whose string) Text {
	switch {
	case judged(c) == 0:
		return Line("There is no app" + whose + " with web traffic to protect.")
	case c.NotReady == 0 && c.Unknown == 0 && c.Ready == 1:
		return Line(Bold("The one app"+whose+" is ready"), ".")
	case c.NotReady == 0 && c.Unknown == 0:
		return Line(Bold("All "+appCount(judged(c))+whose+" are ready"), ".")
	case c.NotReady == 0:
		return Line(Bold(grouped(c.Unknown)+" could not be told"), ", so I won't call them ready; no other fails.")
	case c.Unknown == 0:
		return Line(Bold(isAre(c.NotReady)+" not ready"), ": deploys can drop requests or sessions.")
	}
	return Line(Bold(isAre(c.NotReady)+" not ready"), ": deploys can drop requests or sessions. "+plan.Capital(grouped(c.Unknown))+" more could not be told.")
}

func isAre(n int) string {
	if n == 1 {
		return "1 app is"
	}
	return grouped(n) + " apps are"
}

// costFact is what getting everything ready would cost.
func costFact(c audit.Counts) []Fact {
	if c.NotReady == 0 {
		return nil
	}
	var text string
	priced := c.NotReady - c.Unpriced
	switch {
	case priced <= 0:
		text = "not known: Heroku tells no price"
	case c.Increase == 0:
		text = "nothing more"
	default:
		text = signed(c.Increase) + " a month"
	}
	if c.Unpriced > 0 && priced > 0 {
		text += fmt.Sprintf(", and %s whose price is not known", appCount(c.Unpriced))
	}
	return []Fact{{"Getting all ready costs", Line(text)}}
}

// coverageText is how many apps there are, and why other numbers of them are spoken of: "212
// apps seen, 31 of them out of scope: review. Of the 181 in scope, 6 have no web traffic, which
// leaves 175; of these, 3 could not be read: two-factor".
func coverageText(c audit.Coverage, counts audit.Counts) string {
	text, scope := appCount(c.Seen)+" seen", "these"
	if n := c.Seen - c.InScope; n > 0 {
		text += fmt.Sprintf(", %s of them out of scope: %s", grouped(n), reasons(c.Out))
		scope = "the " + grouped(c.InScope) + " in scope"
	}
	of := ". Of " + scope
	if n := counts.NotApplicable; n > 0 {
		text += fmt.Sprintf("%s, %s no web traffic", of, countHave(n))
		if n+judged(counts) == c.InScope {
			text, of = text+", which leaves "+grouped(judged(counts)), "; of these"
		}
	}
	if n := c.InScope - c.Judged; n > 0 {
		text += fmt.Sprintf("%s, %s could not be read: %s", of, grouped(n), reasons(c.Unread))
	}
	return text
}

func countHave(n int) string {
	if n == 1 {
		return "1 has"
	}
	return grouped(n) + " have"
}

// reasons are the reasons, the commonest first, each with its count where there are several.
func reasons(by map[string]int) string {
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		return cmp.Or(cmp.Compare(by[b], by[a]), strings.Compare(a, b))
	})
	switch len(names) {
	case 0:
		return "no reason was told"
	case 1:
		return brief(names[0], 80)
	}
	const most = 6
	var said []string
	rest := 0
	for i, name := range names {
		if i >= most {
			rest += by[name]
			continue
		}
		said = append(said, fmt.Sprintf("%s %s", grouped(by[name]), brief(name, 80)))
	}
	if rest > 0 {
		said = append(said, grouped(rest)+" for other reasons")
	}
	return plan.Join(said)
}

// tellExpected is how long a scan was to take at the least where that is worth a word: below
// it nobody waits, and a second more or less says nothing.
const tellExpected = 10 * time.Second

// took is how long a scan took, and was to take where that is worth a word.
func took(real, expected time.Duration, calls int) string {
	text := "took " + spell(real)
	if real < time.Second {
		text = "took less than a second"
	}
	switch {
	case expected < tellExpected:
	case spell(real) == spell(expected):
		text += " as expected"
	default:
		text += ", expected " + spell(expected)
	}
	return text + fmt.Sprintf(", %s calls", grouped(calls))
}

// spell is a time span, rounded: 45 s, 7 min, 1 h 5 min, 3 days.
func spell(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < time.Hour-30*time.Second:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		text := fmt.Sprintf("%d h", int(d.Hours()))
		if m := int(d.Minutes()) % 60; m > 0 {
			text += fmt.Sprintf(" %d min", m)
		}
		return text
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// day is a night in words: Sunday 22 November 2026.
func day(night string) string { return dayIn(night, "Monday 2 January 2006") }

// since is the night before another in as few words as tell it: Saturday.
func since(before, night string) string {
	a, b := dateOf(before), dateOf(night)
	switch {
	case a.IsZero() || b.IsZero() || a.Equal(b):
		return "the scan before"
	case b.Sub(a) < 6*24*time.Hour:
		return a.Format("Monday")
	}
	return a.Format("Monday 2 January")
}

// dateOf is a night's date at midnight UTC; zero where its id is none of ours.
func dateOf(night string) time.Time {
	date, _, _ := strings.Cut(night, "#")
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return time.Time{}
	}
	return t
}

// shortDay is a night in few: 22 Nov.
func shortDay(night string) string { return dayIn(night, "2 Jan") }

func dayIn(night, layout string) string {
	t := dateOf(night)
	if t.IsZero() {
		return night
	}
	if _, number, again := strings.Cut(night, "#"); again {
		return t.Format(layout) + ", scan " + number
	}
	return t.Format(layout)
}

// dates tells moments in a zone, as somebody reads them at a time.
type dates struct {
	zone *time.Location
	now  time.Time
}

func (d dates) clock(t time.Time) string { return t.In(d.zone).Format("15:04") }

// moment is "Monday 03:31", with the date where the weekday alone would not tell.
func (d dates) moment(t time.Time) string {
	local := t.In(d.zone)
	switch age := d.now.Sub(t); {
	case age > -6*24*time.Hour && age < 6*24*time.Hour:
		return local.Format("Monday 15:04")
	case local.Year() == d.now.In(d.zone).Year():
		return local.Format("Monday 2 January 15:04")
	}
	return local.Format("Monday 2 January 2006 15:04")
}

// grouped is a count with its thousands apart: 1,234.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// brief cuts a text that is longer than n characters.
func brief(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// uncapital lets a sentence of ours go on behind a colon.
func uncapital(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
