// Package until reads the end of a span of time as people type it: "31 Jan", "friday",
// "in 2 weeks", "tomorrow 18:00". It knows nothing of what ends then.
//
// What is read wrong would leave deploys unsafe for longer than anybody meant, so nothing
// is guessed. Invariants: what is typed names exactly one moment to come, by the clocks of
// the zone, or is refused with what to type instead; a date means through its end; a date
// or a time that does not exist is never taken for its neighbour. Dates and times of day
// are read by their form. What is counted from today, in words, is read by a library
// (github.com/olebedev/when), and its answer taken only where it has read every word and
// comes to whole days that agree with what was typed: alone it takes 31 Feb for 3 March.
package until

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// longest is how long an end may be, in bytes: the longest form with all its words.
const longest = 80

// No is what can't be read, or names no moment to come: sentences for a person.
type No struct{ Text string }

func (n *No) Error() string { return n.Text }

func no(format string, args ...any) error { return &No{fmt.Sprintf(format, args...) + "."} }

// Read reads an end, by the clocks of that zone, and answers the first moment after it:
// that of a date is the beginning of the next. now is the moment that words such as
// "tomorrow" count from. An error is a *No.
func Read(text string, now time.Time, zone *time.Location) (time.Time, error) {
	text = strings.Join(strings.Fields(text), " ")
	r := reader{typed: repeatable(text), now: now, zone: zone, today: dayOf(now, zone)}
	if len(text) > longest {
		return time.Time{}, r.unread()
	}
	end, err := r.read(r.trim(strings.ToLower(text)))
	if err == nil && !end.After(now) {
		return time.Time{}, no("`%s` is over already", r.typed)
	}
	return end, err
}

// repeatable is what was typed as it can be repeated inside backticks.
func repeatable(text string) string {
	const most = 40 // characters
	text = strings.Map(func(r rune) rune {
		if r == '`' || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// Examples are ends to come in the forms that are quickest to type, as code, and the zone
// that they are read in.
func Examples(now time.Time, zone *time.Location) string {
	soon := dayOf(now, zone).plus(14)
	return fmt.Sprintf("Write it like `%s`, `%s`, `in 2 weeks`, `friday`, `end of month` or `tomorrow 18:00`; I read it by the clocks of %s", soon.Format(time.DateOnly), soon.Format("2 Jan"), zone)
}

// reader reads one end.
type reader struct {
	typed string
	now   time.Time
	zone  *time.Location
	today day
}

func (r reader) unread() error {
	if r.typed == "" {
		return no("I read no date")
	}
	return no("I can't read `%s` as a date", r.typed)
}

// trim takes off what may stand around an end without changing it, such as what we say
// around one: "the end of Sunday, 31 January 2027, Europe/Berlin".
func (r reader) trim(text string) string {
	text = strings.Trim(text, " .,;:!\"'`“”‘’")
	text = strings.TrimRight(strings.TrimSuffix(text, strings.ToLower(r.zone.String())), " ,")
	for _, filler := range []string{"until ", "till ", "by ", "the "} {
		text = strings.TrimPrefix(text, filler)
	}
	return text
}

const timeOfDay = `(\d{1,2}:\d{2}(?: ?[ap]m)?|\d{1,2} ?[ap]m|noon|midnight)`

var (
	timeAlone = regexp.MustCompile(`^(?:at )?` + timeOfDay + `$`)
	timeLast  = regexp.MustCompile(`^(.+?)(?:,? at |, ?| |t)` + timeOfDay + `$`)
	timeFirst = regexp.MustCompile(`^(?:at )?` + timeOfDay + `,? (?:on )?(.+)$`)
)

// read takes date and time of day apart, and puts them together again.
func (r reader) read(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, strings.ToUpper(text)); err == nil {
		return t, nil
	}
	if end, ok := r.hours(text); ok {
		return end, nil
	}
	date, at := text, ""
	if m := timeAlone.FindStringSubmatch(text); m != nil {
		date, at = "today", m[1]
	} else if m := timeLast.FindStringSubmatch(text); m != nil {
		date, at = m[1], m[2]
	} else if m := timeFirst.FindStringSubmatch(text); m != nil {
		at, date = m[1], m[2]
	}
	if at == "" {
		d, err := r.date(date)
		if err != nil {
			return time.Time{}, err
		}
		return d.end(r.zone), nil
	}
	c, err := clockOf(at)
	if err != nil {
		return time.Time{}, err
	}
	d, err := r.date(date)
	if err != nil {
		return time.Time{}, err
	}
	end, err := r.at(d, c)
	if err == nil && d == r.today && !end.After(r.now) {
		return time.Time{}, no("%s is over for today: say `tomorrow %s`, or another day", c, c)
	}
	return end, err
}

// clock is a time of day.
type clock struct{ hour, minute int }

func (c clock) String() string { return fmt.Sprintf("%02d:%02d", c.hour, c.minute) }

func clockOf(text string) (clock, error) {
	switch text {
	case "noon":
		return clock{12, 0}, nil
	case "midnight":
		return clock{}, no("`midnight` begins a day to some and ends it to others: a day alone, such as `tomorrow`, means through its end")
	}
	for _, layout := range []string{"15:04", "3:04pm", "3pm"} {
		if t, err := time.Parse(layout, strings.ReplaceAll(text, " ", "")); err == nil {
			return clock{t.Hour(), t.Minute()}, nil
		}
	}
	return clock{}, no("There is no time of day `%s`", text)
}

// at is the moment when clocks show that time on that date, which they have to do once.
func (r reader) at(d day, c clock) (time.Time, error) {
	t := time.Date(d.Year(), d.Month(), d.Day(), c.hour, c.minute, 0, 0, r.zone)
	shows := func(t time.Time) bool {
		return dayOf(t, r.zone) == d && t.Hour() == c.hour && t.Minute() == c.minute
	}
	if !shows(t) {
		return t, no("Clocks in %s never show %s on %s: they are put forward then", r.zone, c, d.long())
	}
	for _, by := range []time.Duration{time.Hour, 30 * time.Minute, 20 * time.Minute} { // Lord Howe Island: half an hour
		if shows(t.Add(by)) || shows(t.Add(-by)) {
			return t, no("Clocks in %s show %s twice on %s: they are put back then", r.zone, c, d.long())
		}
	}
	return t, nil
}
