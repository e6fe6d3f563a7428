package until

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// day is a date of the calendar, at midnight of UTC: dates are counted where no clock is
// ever changed.
type day struct{ time.Time }

func dayOf(t time.Time, zone *time.Location) day {
	y, m, d := t.In(zone).Date()
	return day{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// dateOf is the date; ok is false where there is no such.
func dateOf(year int, month time.Month, d int) (date day, ok bool) {
	t := time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
	return day{t}, t.Year() == year && t.Month() == month && t.Day() == d
}

func lastOf(year int, month time.Month) day {
	return day{time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC)}
}

func (d day) plus(days int) day { return day{d.AddDate(0, 0, days)} }

// long is "Sunday, 31 January 2027".
func (d day) long() string { return d.Format("Monday, 2 January 2006") }

// end is the first moment after the date. Where clocks are put forward at midnight, the
// next one begins when they are.
func (d day) end(zone *time.Location) time.Time {
	next := d.plus(1)
	t := time.Date(next.Year(), next.Month(), next.Day(), 0, 0, 0, 0, zone)
	if dayOf(t, zone).Before(next.Time) {
		_, t = t.ZoneBounds()
	}
	return t
}

var (
	weekdayFirst = regexp.MustCompile(`^(?:on )?(mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?,? (.*\d.*)$`)
	yearFirst    = regexp.MustCompile(`^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$`)
	yearLast     = regexp.MustCompile(`^(\d{1,2})([./-])(\d{1,2})(?:[./-](\d{4}|\d{2}))?\.?$`)
	dayFirst     = regexp.MustCompile(`^(?:on )?(?:the )?(\d{1,2})(?:st|nd|rd|th|\.)?(?: of |[ -])?([a-z]+)\.?(?:(?:,? |-)(\d{4}))?$`)
	monthFirst   = regexp.MustCompile(`^(?:on )?([a-z]+)\.? (?:the )?(\d{1,2})(?:st|nd|rd|th)?(?:,? (\d{4}))?$`)
)

// date reads a date.
func (r reader) date(text string) (day, error) {
	if of, is := strings.CutPrefix(text, "end of "); is {
		return r.ending(strings.TrimPrefix(of, "the "))
	}
	if m := weekdayFirst.FindStringSubmatch(text); m != nil {
		d, err := r.date(m[2])
		if err == nil && !strings.HasPrefix(strings.ToLower(d.Weekday().String()), m[1]) {
			return day{}, no("%s is a %s", d.Format("2 January 2006"), d.Weekday())
		}
		return d, err
	}
	if m := yearFirst.FindStringSubmatch(text); m != nil {
		return r.whole(number(m[1]), number(m[2]), number(m[3]))
	}
	if m := yearLast.FindStringSubmatch(text); m != nil {
		return r.numbers(number(m[1]), number(m[3]), m[2], m[4])
	}
	if m := dayFirst.FindStringSubmatch(text); m != nil {
		if month, ok := monthOf(m[2]); ok {
			return r.named(month, number(m[1]), m[3])
		}
	}
	if m := monthFirst.FindStringSubmatch(text); m != nil {
		if month, ok := monthOf(m[1]); ok {
			return r.named(month, number(m[2]), m[3])
		}
	}
	return r.counted(text)
}

// number is that of digits which a form lets through: few of them, and nothing else.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic(err)
	}
	return n
}

func monthOf(name string) (time.Month, bool) {
	if name == "sept" {
		name = "sep"
	}
	for _, layout := range []string{"January", "Jan"} {
		if t, err := time.Parse(layout, name); err == nil {
			return t.Month(), true
		}
	}
	return 0, false
}

// whole is a date with its year.
func (r reader) whole(year, month, d int) (day, error) {
	if month < 1 || month > 12 {
		return day{}, no("There is no month %d, as `%s` has it; behind the year come the month and then the day", month, r.typed)
	}
	date, ok := dateOf(year, time.Month(month), d)
	switch {
	case !ok:
		return day{}, no("There is no %d %s %d", d, time.Month(month), year)
	case date.Before(r.today.Time):
		return day{}, no("%s is over already", date.long())
	}
	return date, nil
}

// named is a date whose month has a name; year may be empty: then it is the next one there
// is. Where the last one is nearer than that, who typed it may have meant that one.
func (r reader) named(month time.Month, d int, year string) (day, error) {
	if year != "" {
		return r.whole(number(year), int(month), d)
	}
	const leap = 2000
	if _, ever := dateOf(leap, month, d); !ever {
		return day{}, no("There is no %d %s", d, month)
	}
	last, was := dateOf(r.today.Year(), month, d)
	if was && !last.Before(r.today.Time) {
		return last, nil
	}
	next, ok := dateOf(r.today.Year()+1, month, d)
	switch {
	case !ok && !was:
		return day{}, no("There is no %d %s this year or next", d, month)
	case !ok:
		return day{}, no("There is no %d %s %d", d, month, r.today.Year()+1)
	case was && r.today.Sub(last.Time) < next.Sub(r.today.Time):
		return day{}, no("%s is over already; that of the next year is `%s`", last.long(), next.Format(time.DateOnly))
	}
	return next, nil
}

// numbers is a date of numbers with the year last, or without one. With dots the day comes
// first wherever people write so; with anything else that depends on where they are from.
func (r reader) numbers(first, second int, between, year string) (day, error) {
	if len(year) == 2 {
		return day{}, no("Which part of `%s` is the year I don't guess: write all four digits of it", r.typed)
	}
	d, month := first, second
	switch {
	case between == "." || first == second || first > 12:
	case second > 12:
		d, month = second, first
	case first >= 1 && second >= 1:
		return day{}, no("`%s` is %d %s to some, and %d %s to others: name the month, such as in `%d %s`", r.typed,
			first, time.Month(second), second, time.Month(first), first, time.Month(second).String()[:3])
	}
	if month < 1 || month > 12 {
		return day{}, no("There is no month %d, as `%s` has it", month, r.typed)
	}
	return r.named(time.Month(month), d, year)
}

// ending is the last day of a month or a year, or the date itself.
func (r reader) ending(of string) (day, error) {
	year, month := r.today.Year(), r.today.Month()
	switch of {
	case "day":
		return r.today, nil
	case "month", "this month":
		return lastOf(year, month), nil
	case "next month":
		return lastOf(year, month+1), nil
	case "year", "this year":
		return lastOf(year, time.December), nil
	case "week", "this week", "next week":
		return day{}, no("A week ends on Friday to some and on Sunday to others: name the day")
	}
	name, digits, _ := strings.Cut(of, " ")
	if named, ok := monthOf(name); ok {
		typed, err := strconv.Atoi(digits)
		switch {
		case digits == "" && named < month:
			return lastOf(year+1, named), nil
		case digits == "":
			return lastOf(year, named), nil
		case err == nil && len(digits) == 4:
			return r.whole(typed, int(named), lastOf(typed, named).Day())
		}
	}
	return r.date(of)
}
