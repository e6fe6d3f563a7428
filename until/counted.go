package until

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/olebedev/when"
	"github.com/olebedev/when/rules/en"
)

const amount = `(\d{1,4}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)`

var (
	ahead   = regexp.MustCompile(`^(?:in |for )?` + amount + ` ?(minutes?|mins?|hours?|hrs?|h|days?|d|weeks?|w|months?)(?: from (?:now|today))?$`)
	weekday = regexp.MustCompile(`^(?:on )?(?:(this|next|coming|this coming) )?(mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?$`)
)

// parse has the library read a phrase, from noon of the day on, and answers how much later
// the moment is. ok is false where it has not read every word.
func parse(phrase string, from day) (later time.Duration, ok bool) {
	p := when.New(nil)
	p.Add(en.Weekday(0), en.CasualDate(0), en.Deadline(0))
	noon := from.Add(12 * time.Hour)
	r, err := p.Parse(phrase, noon)
	if err != nil || r == nil || r.Index != 0 || r.Text != phrase {
		return 0, false
	}
	return r.Time.Sub(noon), true
}

// hours is a moment so many minutes or hours from now, at the next whole minute.
func (r reader) hours(text string) (end time.Time, ok bool) {
	m := ahead.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	unit, word := time.Minute, "minutes"
	switch {
	case m[2][0] == 'h':
		unit, word = time.Hour, "hours"
	case !strings.HasPrefix(m[2], "min"):
		return time.Time{}, false
	}
	later, ok := parse("in "+m[1]+" "+word, r.today)
	if !ok || later <= 0 || later%unit != 0 || !agrees(m[1], later/unit) {
		return time.Time{}, false
	}
	end = r.now.Add(later)
	if whole := end.Truncate(time.Minute); whole.Before(end) {
		end = whole.Add(time.Minute)
	}
	return end, true
}

// agrees says whether the library has counted what was typed; a word it has to know by
// itself.
func agrees(typed string, n time.Duration) bool {
	digits, err := strconv.Atoi(typed)
	return err != nil && n >= 1 && n <= 12 || err == nil && time.Duration(digits) == n
}

// counted reads a date that is counted from today.
func (r reader) counted(text string) (day, error) {
	if m := weekday.FindStringSubmatch(text); m != nil {
		return r.weekday(m[1], m[2])
	}
	if m := ahead.FindStringSubmatch(text); m != nil {
		return r.ahead(m[1], m[2])
	}
	switch text {
	case "today", "tomorrow":
		later, ok := parse(text, r.today)
		if d := r.today.Add(later); ok && later >= 0 && later%(24*time.Hour) == 0 {
			return day{d}, nil
		}
	case "yesterday", "now":
		return day{}, no("`%s` is over already", r.typed)
	case "next week", "next month":
		unit := strings.TrimPrefix(text, "next ")
		return day{}, no("`%s` has more than one day: say `in 1 %s`, or name the day", r.typed, unit)
	}
	if month, ok := monthOf(text); ok {
		return day{}, no("`%s` has more than one day: say `end of %s`, or name the day", r.typed, month)
	}
	return day{}, r.unread()
}

// weekday is the next day of that name after today.
func (r reader) weekday(which, name string) (day, error) {
	later, ok := parse(name[:3], r.today)
	d := day{r.today.Add(later)}
	if !ok || later <= 0 || later > 7*24*time.Hour || later%(24*time.Hour) != 0 || !strings.HasPrefix(strings.ToLower(d.Weekday().String()), name) {
		return day{}, r.unread()
	}
	if which == "next" {
		return day{}, no("`%s` is %s to some, and %s to others: `%s`, or `%s`", r.typed, d.Format("2 January"), d.plus(7).Format("2 January"), strings.ToLower(d.Weekday().String()), d.plus(7).Format(time.DateOnly))
	}
	return d, nil
}

// ahead is the date so many days, weeks or months from today.
func (r reader) ahead(typed, unit string) (day, error) {
	days, word := 1, "days"
	switch {
	case strings.HasPrefix(unit, "month"):
		return r.months(typed)
	case unit[0] == 'w':
		days, word = 7, "weeks"
	case unit[0] != 'd': // hours and minutes make no date
		return day{}, r.unread()
	}
	later, ok := parse("in "+typed+" "+word, r.today)
	each := time.Duration(days) * 24 * time.Hour
	if !ok || later <= 0 || later%each != 0 || !agrees(typed, later/each) {
		return day{}, r.unread()
	}
	return day{r.today.Add(later)}, nil
}

// months is the same day some months later. The library is asked for the number only: its
// months go wrong at the end of a year.
func (r reader) months(typed string) (day, error) {
	later, ok := parse("in "+typed+" days", r.today)
	n := later / (24 * time.Hour)
	if !ok || !agrees(typed, n) || n < 1 {
		return day{}, r.unread()
	}
	first := time.Date(r.today.Year(), r.today.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	d, ok := dateOf(first.Year(), first.Month(), r.today.Day())
	if !ok {
		return day{}, no("There is no %d %s, which is `%s`: say `end of %s`, or name the day", r.today.Day(), first.Format("January 2006"), r.typed, first.Month())
	}
	return d, nil
}
