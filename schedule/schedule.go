// Package schedule says when a night is due, by the wall clock of a place: on a day that
// summer time shortens or lengthens too. It decides nothing else and keeps nothing.
//
// Invariants: each local date that a schedule names has one slot, at the first moment at
// which the clocks of the place show its time of day or a later one. So an hour that is
// skipped is taken at the moment after it, and one that comes twice is taken once, the
// first time; a date that a place skipped as a whole has none.
package schedule

import (
	"fmt"
	"math/bits"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a time of day and the dates on which it counts. Make one with Parse: the
// zero Schedule has no slots. It is a cron.Schedule.
type Schedule struct {
	days         *cron.SpecSchedule // in the zone of the times that it is asked with
	hour, minute int
	loc          *time.Location
}

var _ cron.Schedule = Schedule{}

// starBit is how robfig/cron marks a field that was *.
const starBit = 1 << 63

// Parse reads a cron schedule of five fields, by the clocks of loc. It refuses what
// robfig/cron can't read, what fires more than once on some day, and what never fires.
// Its errors are for whoever wrote the schedule.
func Parse(spec string, loc *time.Location) (Schedule, error) {
	const fields = "minute hour day-of-month month day-of-week"
	if strings.Contains(spec, "TZ=") {
		return Schedule{}, fmt.Errorf("the time zone is set by digest.timezone")
	}
	if strings.HasPrefix(spec, "@every") {
		return Schedule{}, fmt.Errorf("@every knows no time of day; write five fields: %s", fields)
	}
	parsed, err := cron.ParseStandard(spec)
	if err != nil {
		return Schedule{}, fmt.Errorf("this is no cron schedule of five fields: %s", fields)
	}
	days, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Schedule{}, fmt.Errorf("write five fields: %s", fields)
	}
	minutes, hours := days.Minute&^starBit, days.Hour&^starBit
	if times := bits.OnesCount64(minutes) * bits.OnesCount64(hours); times != 1 {
		return Schedule{}, fmt.Errorf("it fires %d times a day, and there is one digest a day; give one minute and one hour", times)
	}
	if days.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, fmt.Errorf("it never fires: no such day exists")
	}
	return Schedule{days: days, hour: bits.TrailingZeros64(hours), minute: bits.TrailingZeros64(minutes), loc: loc}, nil
}

// Location is the place whose clocks count.
func (s Schedule) Location() *time.Location { return s.loc }

// Next is the first slot after t; the zero time where there is none within five years.
func (s Schedule) Next(t time.Time) time.Time {
	if s.days == nil {
		return time.Time{}
	}
	// In UTC every day has every time of day once, so that robfig/cron, asked for times
	// that stand for those on the wall, finds each.
	for wall := onWall(t, s.loc); ; {
		wall = s.days.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if at, ok := first(wall, s.loc); ok && at.After(t) {
			return at
		}
	}
}

// Date is the local date, 2026-11-22, that the slot is of. That of a slot that was
// skipped with midnight is the day before the one that the clocks then show. For a time
// that is no slot it is what they show.
func (s Schedule) Date(slot time.Time) string {
	today := onWall(slot, s.loc)
	if s.days != nil {
		before := time.Date(today.Year(), today.Month(), today.Day()-1, s.hour, s.minute, 0, 0, time.UTC)
		if at, ok := first(before, s.loc); ok && at.Equal(slot) && s.days.Next(before.Add(-time.Second)).Equal(before) {
			return before.Format(time.DateOnly)
		}
	}
	return today.Format(time.DateOnly)
}

// Due is the newest slot after last and not after now, and the dates of those between
// last and it, the oldest first: nothing ran for them. ok is false where none is due,
// and where last is zero: nobody knows then since when to count.
func (s Schedule) Due(last, now time.Time) (slot time.Time, missed []string, ok bool) {
	if last.IsZero() {
		return time.Time{}, nil, false
	}
	for next := s.Next(last); !next.IsZero() && !next.After(now); next = s.Next(next) {
		if ok {
			missed = append(missed, s.Date(slot))
		}
		slot, ok = next, true
	}
	return slot, missed, ok
}

var clock = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

// PostAt is the first moment, at or after the slot, at which the clocks of loc come to
// the time of day at, "09:00", by the same rule as for slots. The only error is an at
// that is no time of day.
func PostAt(slot time.Time, at string, loc *time.Location) (time.Time, error) {
	if !clock.MatchString(at) {
		return time.Time{}, fmt.Errorf("%q is no time of day from 00:00 to 23:59", at)
	}
	hour, minute := 10*int(at[0]-'0')+int(at[1]-'0'), 10*int(at[3]-'0')+int(at[4]-'0')
	// From the day before, whose time of day may have been skipped with midnight, on.
	today := onWall(slot, loc)
	for day := today.Day() - 1; ; day++ {
		wall := time.Date(today.Year(), today.Month(), day, hour, minute, 0, 0, time.UTC)
		if post, ok := first(wall, loc); ok && !post.Before(slot) {
			return post, nil
		}
	}
}

// onWall is what the clocks of loc show at t, as a time in UTC that stands for it.
func onWall(t time.Time, loc *time.Location) time.Time {
	l := t.In(loc)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
}

// first is the first moment at which the clocks of loc show wall or more. ok is false
// where they skipped its whole date, as when Samoa crossed the date line.
func first(wall time.Time, loc *time.Location) (at time.Time, ok bool) {
	// No clock has ever been further from UTC than 16 hours: a day and a half before, all
	// still show less.
	for t := wall.Add(-36 * time.Hour); ; {
		start, end := t.In(loc).ZoneBounds()
		_, offset := t.In(loc).Zone()
		at = wall.Add(-time.Duration(offset) * time.Second)
		if at.Before(start) {
			at = start // skipped: the clocks were put on past it
		}
		if end.IsZero() || at.Before(end) {
			date := wall.Format(time.DateOnly)
			ok = onWall(at, loc).Format(time.DateOnly) == date || onWall(at.Add(-1), loc).Format(time.DateOnly) == date
			return at.In(loc), ok
		}
		t = end
	}
}
