package schedule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t *testing.T, spec, place string) Schedule {
	t.Helper()
	s, err := Parse(spec, zone(t, place))
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return s
}

// utc reads 2026-03-29 01:00, with or without seconds.
func utc(t *testing.T, text string) time.Time {
	t.Helper()
	if len(text) == len("2026-03-29 01:00") {
		text += ":00"
	}
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestAgainstTheClock holds Next, Date and Due against a clock that is looked at every 5
// minutes for three years: a date's slot is when the clock first shows the time of day,
// or a later one.
func TestAgainstTheClock(t *testing.T) {
	const look = 5 * time.Minute
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)
	specs := []struct {
		spec string
		at   string
		on   func(day time.Time) bool
	}{
		{"0 0 * * *", "00:00", func(time.Time) bool { return true }},
		{"30 2 * * *", "02:30", func(time.Time) bool { return true }},
		{"35 23 * * *", "23:35", func(time.Time) bool { return true }},
		{"15 2 * * sun", "02:15", func(day time.Time) bool { return day.Weekday() == time.Sunday }},
		{"0 3 1,29 * *", "03:00", func(day time.Time) bool { return day.Day() == 1 || day.Day() == 29 }},
	}
	changes := 0
	for _, place := range []string{"America/Los_Angeles", "Europe/Berlin", "UTC", "Australia/Lord_Howe", "America/Nuuk", "Africa/Cairo", "Asia/Beirut"} {
		loc := zone(t, place)
		type slot struct {
			at   time.Time
			date string
		}
		want := make([][]slot, len(specs))
		next := make([]string, len(specs)) // date and time of day that the clock has not shown yet, as text that can be compared
		day := make([]time.Time, len(specs))
		advance := func(i int) { // to the next date that counts
			for day[i] = day[i].AddDate(0, 0, 1); !specs[i].on(day[i]); day[i] = day[i].AddDate(0, 0, 1) {
			}
			next[i] = day[i].Format(time.DateOnly) + " " + specs[i].at
		}
		for i := range specs {
			day[i] = time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)
			advance(i)
		}
		offset := 0
		for at := from; at.Before(to); at = at.Add(look) {
			local := at.In(loc)
			if _, now := local.Zone(); now != offset {
				offset = now
				changes++
			}
			var shows []byte
			shows = local.AppendFormat(shows, "2006-01-02 15:04")
			for i := range specs {
				if string(shows) >= next[i] {
					want[i] = append(want[i], slot{at, day[i].Format(time.DateOnly)})
					advance(i)
				}
			}
		}
		for i, c := range specs {
			t.Run(place+" "+c.spec, func(t *testing.T) {
				s := parse(t, c.spec, place)
				want := want[i]
				if want[0].at == from { // it may have begun before we looked
					want = want[1:]
				}
				last := want[0].at.Add(-time.Second)
				for n, w := range want {
					if got := s.Next(last); !got.Equal(w.at) {
						t.Fatalf("after %v: got %v, want %v", last, got, w.at)
					}
					if got := s.Next(w.at.Add(-1)); !got.Equal(w.at) {
						t.Fatalf("just before %v: got %v", w.at, got)
					}
					if got := s.Date(w.at); got != w.date {
						t.Fatalf("date of %v: got %s, want %s", w.at, got, w.date)
					}
					if _, _, ok := s.Due(last, w.at.Add(-1)); n > 0 && ok {
						t.Fatalf("due before %v", w.at)
					}
					if got, missed, ok := s.Due(last, w.at); !ok || !got.Equal(w.at) || missed != nil {
						t.Fatalf("due at %v: got %v, %v, %v", w.at, got, missed, ok)
					}
					last = w.at
				}
				if got := s.Next(last); got.Before(to) {
					t.Errorf("after the last one, %v: got %v, want none before %v", last, got, to)
				}
				// All of it in one gap.
				got, missed, ok := s.Due(want[0].at.Add(-1), to.Add(-1))
				if newest := want[len(want)-1]; !ok || !got.Equal(newest.at) {
					t.Errorf("three years late: got %v, %v, want %v", got, ok, newest.at)
				}
				var dates []string
				for _, w := range want[:len(want)-1] {
					dates = append(dates, w.date)
				}
				if !slices.Equal(missed, dates) {
					t.Errorf("three years late: got %d missed dates, want these %d: %v, %v", len(missed), len(dates), missed, dates)
				}
			})
		}
	}
	// Six places, each with one at the start and at least two changes a year.
	if changes < 6*(1+2*3) {
		t.Errorf("saw the clocks change %d times: the zones are not those that were meant", changes)
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name, place, spec, after, want string // UTC
		date                           string
	}{
		{"skipped", "Europe/Berlin", "30 2 * * *", "2026-03-28 12:00", "2026-03-29 01:00", "2026-03-29"},
		{"from within what is skipped", "Europe/Berlin", "30 2 * * *", "2026-03-29 00:59:59", "2026-03-29 01:00", "2026-03-29"},
		{"after what was skipped", "Europe/Berlin", "30 2 * * *", "2026-03-29 01:00", "2026-03-30 00:30", "2026-03-30"},
		{"its last minute", "Europe/Berlin", "0 3 * * *", "2026-03-29 00:59:59", "2026-03-29 01:00", "2026-03-29"},
		{"twice, the first", "Europe/Berlin", "30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30", "2026-10-25"},
		{"twice, from between", "Europe/Berlin", "30 2 * * *", "2026-10-25 01:15", "2026-10-26 01:30", "2026-10-26"},
		{"half an hour skipped", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00", "2026-10-03 15:30", "2026-10-04"},
		{"midnight is skipped", "America/Sao_Paulo", "0 0 * * *", "2018-11-03 12:00", "2018-11-04 03:00", "2018-11-04"},
		{"skipped into the next day", "America/Nuuk", "30 23 * * *", "2026-03-28 12:00", "2026-03-29 01:00", "2026-03-28"},
		{"the day after that", "America/Nuuk", "30 23 * * *", "2026-03-29 01:00", "2026-03-30 00:30", "2026-03-29"},
		{"midnight itself, not skipped", "America/Nuuk", "0 0 * * *", "2026-03-28 12:00", "2026-03-29 01:00", "2026-03-29"},
		{"skipped into a day that does not count", "America/Nuuk", "30 23 * * sat", "2026-03-28 12:00", "2026-03-29 01:00", "2026-03-28"},
		{"midnight comes back", "America/Sao_Paulo", "30 23 * * *", "2018-02-17 12:00", "2018-02-18 01:30", "2018-02-17"},
		{"and is not taken twice", "America/Sao_Paulo", "30 23 * * *", "2018-02-18 01:30", "2018-02-19 02:30", "2018-02-18"},
		{"a whole day is skipped", "Pacific/Apia", "0 12 * * *", "2011-12-29 23:00", "2011-12-30 22:00", "2011-12-31"},
		{"a whole day, at midnight", "Pacific/Apia", "0 0 * * *", "2011-12-29 11:00", "2011-12-30 10:00", "2011-12-31"},
		{"29 February", "UTC", "0 0 29 2 *", "2024-03-01 00:00", "2028-02-29 00:00", "2028-02-29"},
		{"either day", "UTC", "0 0 13 * fri", "2026-02-10 00:00", "2026-02-13 00:00", "2026-02-13"},
		{"@daily", "UTC", "@daily", "2026-02-10 00:00", "2026-02-11 00:00", "2026-02-11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, c.spec, c.place)
			got := s.Next(utc(t, c.after))
			if want := utc(t, c.want); !got.Equal(want) {
				t.Errorf("got %v, want %v", got.UTC(), want)
			}
			if got := s.Date(got); got != c.date {
				t.Errorf("got date %s, want %s", got, c.date)
			}
		})
	}
	if got := parse(t, "0 0 29 2 *", "UTC").Next(utc(t, "2097-01-01 00:00")); !got.IsZero() { // 2100 is no leap year
		t.Errorf("no slot within five years: got %v, want the zero time", got)
	}
}

// TestDateOfOtherTimes asks for the date of times that are no slot.
func TestDateOfOtherTimes(t *testing.T) {
	s := parse(t, "30 23 * * sun", "America/Nuuk")
	for at, want := range map[string]string{
		"2026-03-29 01:00": "2026-03-29", // Saturday's 23:30 was skipped until then, and is no slot of this schedule
		"2026-03-29 02:00": "2026-03-29",
		"2026-03-28 23:59": "2026-03-28",
		"2026-07-01 00:30": "2026-06-30",
	} {
		if got := s.Date(utc(t, at)); got != want {
			t.Errorf("%s: got %s, want %s", at, got, want)
		}
	}
}

func TestDue(t *testing.T) {
	daily := parse(t, "30 3 * * *", "UTC")
	for _, c := range []struct {
		name, last, now, slot string
		missed                []string
	}{
		{"nothing yet", "2026-11-20 03:30", "2026-11-21 03:29:59", "", nil},
		{"now", "2026-11-20 03:30", "2026-11-21 03:30", "2026-11-21 03:30", nil},
		{"later that day", "2026-11-20 03:30", "2026-11-21 23:00", "2026-11-21 03:30", nil},
		{"one missed", "2026-11-20 03:30", "2026-11-22 03:30", "2026-11-22 03:30", []string{"2026-11-21"}},
		{"since a time that is no slot", "2026-11-20 12:00", "2026-11-22 12:00", "2026-11-22 03:30", []string{"2026-11-21"}},
		{"over a month's end", "2026-11-28 03:30", "2026-12-02 00:00", "2026-12-01 03:30", []string{"2026-11-29", "2026-11-30"}},
		{"a clock that was set back", "2026-11-22 03:30", "2026-11-20 03:30", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			slot, missed, ok := daily.Due(utc(t, c.last), utc(t, c.now))
			if ok != (c.slot != "") || ok && !slot.Equal(utc(t, c.slot)) || !slices.Equal(missed, c.missed) {
				t.Errorf("got %v, %v, %v, want %s, %v", slot, missed, ok, c.slot, c.missed)
			}
		})
	}
	if slot, missed, ok := daily.Due(time.Time{}, utc(t, "2026-11-22 03:30")); ok {
		t.Errorf("since ever: got %v, %d missed, want nothing due", slot, len(missed))
	}
	if slot, _, ok := (Schedule{}).Due(utc(t, "2026-11-20 03:30"), utc(t, "2026-11-22 03:30")); ok {
		t.Errorf("the zero Schedule: got %v, want nothing due", slot)
	}
}

func TestPostAt(t *testing.T) {
	for _, c := range []struct{ name, place, slot, at, want string }{
		{"later that day", "Europe/Berlin", "2026-11-22 02:30", "09:00", "2026-11-22 08:00"},
		{"at the same time", "Europe/Berlin", "2026-11-22 02:30", "03:30", "2026-11-22 02:30"},
		{"a minute before: the next day", "Europe/Berlin", "2026-11-22 02:30", "03:29", "2026-11-23 02:29"},
		{"over midnight", "Europe/Berlin", "2026-11-22 22:00", "00:00", "2026-11-22 23:00"},
		{"the morning after the clocks are put on", "Europe/Berlin", "2026-03-28 21:00", "09:00", "2026-03-29 07:00"},
		{"skipped", "Europe/Berlin", "2026-03-29 00:30", "02:30", "2026-03-29 01:00"},
		{"with a slot that is skipped too", "Europe/Berlin", "2026-03-29 01:00", "02:45", "2026-03-29 01:00"},
		{"twice, the first", "Europe/Berlin", "2026-10-24 22:00", "02:30", "2026-10-25 00:30"},
		{"twice, and the first is over", "Europe/Berlin", "2026-10-25 00:45", "02:30", "2026-10-26 01:30"},
		{"skipped into the next day", "America/Nuuk", "2026-03-28 12:00", "23:30", "2026-03-29 01:00"},
		{"with a slot skipped into the next day", "America/Nuuk", "2026-03-29 01:00", "23:30", "2026-03-29 01:00"},
		{"on a day that is skipped", "Pacific/Apia", "2011-12-30 09:00", "09:00", "2011-12-30 19:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := PostAt(utc(t, c.slot), c.at, zone(t, c.place))
			if want := utc(t, c.want); err != nil || !got.Equal(want) {
				t.Errorf("got %v, %v, want %v", got.UTC(), err, want)
			}
		})
	}
	for _, bad := range []string{"", "9:00", "24:00", "12:60", "12:00:00", "noon", " 9:00"} {
		if got, err := PostAt(utc(t, "2026-11-22 02:30"), bad, time.UTC); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

// Refused schedules have their texts in the policy's tests too, which print them.
func TestParseRefuses(t *testing.T) {
	for spec, want := range map[string]string{
		"":                       "no cron schedule",
		"nightly":                "no cron schedule",
		"0 30 3 * * *":           "no cron schedule",
		"60 3 * * *":             "no cron schedule",
		"0,30 3 * * *":           "2 times a day",
		"0 3-5 * * *":            "3 times a day",
		"* * * * *":              "1440 times a day",
		"@hourly":                "24 times a day",
		"@every 24h":             "@every",
		"TZ=UTC 0 3 * * *":       "time zone",
		"CRON_TZ=UTC 30 3 * * *": "time zone",
		"0 3 31 2 *":             "never fires",
	} {
		if _, err := Parse(spec, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want something about %q", spec, err, want)
		}
	}
}

// FuzzSlots asks for slots in any zone and year: they go on, a date has one, and what is
// due is what Next says.
func FuzzSlots(f *testing.F) {
	f.Add("Europe/Berlin", int64(1774742400), 2, 30, 3)
	f.Add("Pacific/Apia", int64(1325116800), 23, 59, 1)
	f.Fuzz(func(t *testing.T, place string, from int64, hour, minute, every int) {
		loc, err := time.LoadLocation(place)
		if err != nil || from < -1<<33 || from > 1<<33 {
			t.Skip()
		}
		s, err := Parse(fmt.Sprintf("%d %d */%d * *", minute, hour, every), loc)
		if err != nil {
			t.Skip()
		}
		start := time.Unix(from, 0)
		last, dates := start, map[string]bool{}
		for range 20 {
			next := s.Next(last)
			date := s.Date(next)
			if !next.After(last) || dates[date] {
				t.Fatalf("after %v: got %v of %s; dates before: %v", last, next, date, dates)
			}
			dates[date], last = true, next
		}
		if slot, missed, ok := s.Due(start, last); !ok || !slot.Equal(last) || len(missed) != 19 {
			t.Errorf("got %v, %d missed, %v, want %v, 19 missed", slot, len(missed), ok, last)
		}
	})
}
