package until

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"example.com/zdd/policy"
)

func berlin(t *testing.T) *time.Location { return zoneOf(t, "Europe/Berlin") }

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// TestRead is read on a Monday, the 23rd of November 2026, at 10:03:27 in Berlin.
func TestRead(t *testing.T) {
	zone := berlin(t)
	now := time.Date(2026, 11, 23, 10, 3, 27, 0, zone)
	for typed, want := range map[string]string{
		// Dates end with their day.
		"2027-01-31": "2027-02-01 00:00", "2027/1/31": "2027-02-01 00:00", "31 Jan": "2027-02-01 00:00", "Jan 31": "2027-02-01 00:00",
		"31 January 2027": "2027-02-01 00:00", "January 31, 2027": "2027-02-01 00:00", "31st of January": "2027-02-01 00:00", "the 31st of jan.": "2027-02-01 00:00",
		"31-Jan-2027": "2027-02-01 00:00", "31jan": "2027-02-01 00:00", "31. Jan": "2027-02-01 00:00", "31.1.2027": "2027-02-01 00:00", "31.1.": "2027-02-01 00:00",
		"31/01/2027": "2027-02-01 00:00", "1/31/2027": "2027-02-01 00:00", "1/1": "2027-01-02 00:00", "1.2.2027": "2027-02-02 00:00",
		"1 Jan": "2027-01-02 00:00", "23 nov": "2026-11-24 00:00", "Sunday, 31 Jan": "2027-02-01 00:00", "on 31 jan": "2027-02-01 00:00", " “31  Jan”. ": "2027-02-01 00:00",
		// So do those that are counted.
		"today": "2026-11-24 00:00", "tomorrow": "2026-11-25 00:00", "friday": "2026-11-28 00:00", "on Friday": "2026-11-28 00:00", "fri": "2026-11-28 00:00",
		"this friday": "2026-11-28 00:00", "thurs": "2026-11-27 00:00", "tues": "2026-11-25 00:00", "sunday": "2026-11-30 00:00",
		"monday":    "2026-12-01 00:00", // today is Monday: nobody says so of today
		"in 3 days": "2026-11-27 00:00", "3 days": "2026-11-27 00:00", "in 2 weeks": "2026-12-08 00:00", "in two weeks": "2026-12-08 00:00", "for 2 weeks": "2026-12-08 00:00",
		"in a week": "2026-12-01 00:00", "a week from now": "2026-12-01 00:00", "2w": "2026-12-08 00:00", "in 1 month": "2026-12-24 00:00", "in two months": "2027-01-24 00:00",
		"in 12 months": "2027-11-24 00:00", "end of month": "2026-12-01 00:00", "the end of the month": "2026-12-01 00:00", "end of next month": "2027-01-01 00:00",
		"end of the year": "2027-01-01 00:00", "end of January": "2027-02-01 00:00", "end of november": "2026-12-01 00:00", "end of february 2027": "2027-03-01 00:00",
		"end of tomorrow": "2026-11-25 00:00", "end of the day": "2026-11-24 00:00",
		// What has a time of day ends then.
		"18:00": "2026-11-23 18:00", "at 18:00": "2026-11-23 18:00", "6pm": "2026-11-23 18:00", "6:30 PM": "2026-11-23 18:30", "noon": "2026-11-23 12:00",
		"tomorrow 18:00": "2026-11-24 18:00", "tomorrow at 6pm": "2026-11-24 18:00", "6pm tomorrow": "2026-11-24 18:00", "friday, 9:15": "2026-11-27 09:15",
		"2027-01-31 18:00": "2027-01-31 18:00", "2027-01-31T18:00": "2027-01-31 18:00", "31 Jan 18:00": "2027-01-31 18:00", "2027-01-31T18:00:00Z": "2027-01-31 19:00",
		"in 4 hours": "2026-11-23 14:04", "4h": "2026-11-23 14:04", "in an hour": "2026-11-23 11:04", "in 90 minutes": "2026-11-23 11:34", "in twelve hours": "2026-11-23 22:04",
		// What we say ourselves.
		"the end of Sunday, 31 January 2027, Europe/Berlin": "2027-02-01 00:00", "18:00 on Tuesday, 24 November 2026, Europe/Berlin": "2026-11-24 18:00",
	} {
		got, err := Read(typed, now, zone)
		if err != nil || got.In(zone).Format("2006-01-02 15:04") != want {
			t.Errorf("%q: got %s, %v, want %s", typed, got.In(zone), err, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	zone := berlin(t)
	now := time.Date(2026, 11, 23, 10, 3, 27, 0, zone)
	for typed, want := range map[string]string{
		// Impossible.
		"31 Feb": "There is no 31 February.", "Feb 30": "There is no 30 February.", "2027-02-30": "There is no 30 February 2027.", "29 Feb": "no 29 February this year or next",
		"29 Feb 2027": "There is no 29 February 2027.", "31.4.": "There is no 31 April.", "32 jan": "no 32 January", "0 jan": "no 0 January", "2027-13-01": "no month 13", "13/13": "no month 13",
		"5/0": "no month 0", "tomorrow 25:00": "no time of day `25:00`", "18:60": "no time of day", "13pm": "no time of day", "2027-03-28 02:30": "never show 02:30", "friday 31 jan": "31 January 2027 is a Sunday",
		// Ambiguous.
		"1/2": "`1/2` is 1 February to some, and 2 January to others: name the month, such as in `1 Feb`.", "01/02/2027": "to some", "3-4": "to some", "1.2.27": "four digits",
		"next friday": "27 November to some, and 4 December to others: `friday`, or `2026-12-04`", "next week": "`in 1 week`", "next month": "`in 1 month`", "end of week": "Friday to some",
		"jan": "`end of January`", "midnight": "begins a day to some", "tomorrow midnight": "begins a day", "2027-10-31 02:30": "twice",
		// Past.
		"20 Nov": "Friday, 20 November 2026 is over already; that of the next year is `2027-11-20`", "2020-01-01": "over already", "yesterday": "over already", "now": "over already",
		"9:00": "09:00 is over for today: say `tomorrow 09:00`", "2026-11-23T08:00:00Z": "over already", "22 nov 2026": "over already",
		// Not read.
		"": "I read no date", "whenever": "can't read `whenever`", "forever": "can't", "1": "can't", "31": "can't", "2027": "can't", "Q1": "can't", "-3 days": "can't", "3 days ago": "can't", "in 0 days": "can't",
		"in a few days": "can't", "half a week": "can't", "in half an hour": "can't", "in 100 years": "can't", "5m": "can't", "blah 31 jan blah": "can't", "in 1 week and 2 days": "can't", "tomorrow friday": "can't",
		"last friday": "can't", "this evening": "can't", "end of in 4 hours": "can't", "in 4 hours 18:00": "can't", "18:00 18:00": "can't", "31 jan 18:00 CET": "can't", "in 1 month from": "can't",
		"`x`": "can't read `x`", strings.Repeat("31 jan ", 20): "…`", strings.Repeat("🦊", 30): "can't",
	} {
		got, err := Read(typed, now, zone)
		if refused, ok := errors.AsType[*No](err); !ok || !strings.Contains(refused.Text, want) || strings.Count(refused.Text, "`")%2 != 0 {
			t.Errorf("%q: got %s, %v, want a refusal that says %q", typed, got.In(zone), err, want)
		}
	}
	// On a last day of a month, another month may have none such.
	if _, err := Read("in 1 month", time.Date(2027, 1, 31, 9, 0, 0, 0, zone), zone); err == nil || !strings.Contains(err.Error(), "There is no 31 February 2027") {
		t.Errorf("got %v, want that there is no 31 February", err)
	}
}

// zones are those whose clocks do what code does not expect: days that begin at 1, days
// that are missing, half an hour of summer time.
func zones(t testing.TB) []*time.Location {
	var all []*time.Location
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo"} {
		all = append(all, zoneOf(t, name))
	}
	return all
}

// TestEveryDate writes every date of two years in every form, and reads it back.
func TestEveryDate(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 2))
	for i, zone := range zones(t) {
		now := time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), 0, zone)
		today := dayOf(now, zone)
		for n := range 400 {
			d := today.plus(n)
			want := d.end(zone)
			if !dayOf(want, zone).After(d.Time) || dayOf(want.Add(-1), zone).After(d.Time) {
				t.Fatalf("%s ends at %s", d.long(), want)
			}
			forms := []string{time.DateOnly, "2 January 2006", "Jan 2, 2006", "January 2 2006", "2.1.2006", "Monday, 2 January 2006", "2-Jan-2006", "2006/1/2"}
			if d.Day() > 12 {
				forms = append(forms, "2/1/2006", "1/2/2006", "02/01/2006")
			}
			if n <= 182 {
				forms = append(forms, "2 Jan", "January 2", "2.1.", "Mon 2 Jan")
			}
			for _, form := range forms {
				if got, err := Read(d.Format(form), now, zone); err != nil || !got.Equal(want) {
					t.Fatalf("%s, on %s: got %s, %v, want %s", d.Format(form), now, got, err, want)
				}
			}
			if phrase := fmt.Sprintf("in %d days", n); n > 0 && n%9 == i { // each in one zone: the library takes its time
				if got, err := Read(phrase, now, zone); err != nil || !got.Equal(want) {
					t.Fatalf("%s, on %s: got %s, %v, want %s", phrase, now, got, err, want)
				}
			}
			if n >= 1 && n <= 7 {
				if got, err := Read(d.Weekday().String(), now, zone); err != nil || !got.Equal(want) {
					t.Fatalf("%s, on %s: got %s, %v, want %s", d.Weekday(), now, got, err, want)
				}
			}
			// What we say of the end can be typed.
			at := want.Add(-time.Duration(r.IntN(20*60)) * time.Minute)
			for _, end := range []time.Time{want, at} {
				echo := policy.UntilText(end, zone)
				got, err := Read(echo, now, zone)
				if err == nil && !got.Equal(end) || err != nil && !strings.Contains(err.Error(), "twice") && end.After(now) {
					t.Fatalf("%s, on %s: got %s, %v, want %s", echo, now, got, err, end)
				}
			}
		}
	}
}

// TestNoSuchDate reads every day of no month, in every form: none is taken for another.
func TestNoSuchDate(t *testing.T) {
	zone := berlin(t)
	now := time.Date(2026, 11, 23, 10, 3, 27, 0, zone)
	tried := 0
	for _, year := range []int{2026, 2027, 2028} {
		for month := range 15 {
			for d := range 34 {
				if date, ok := dateOf(year, time.Month(month), d); ok && !date.Before(dayOf(now, zone).Time) {
					continue
				}
				forms := []string{fmt.Sprintf("%d-%02d-%02d", year, month, d), fmt.Sprintf("%d.%d.%d", d, month, year)}
				if month >= 1 && month <= 12 {
					name := time.Month(month).String()
					forms = append(forms, fmt.Sprintf("%d %s %d", d, name, year), fmt.Sprintf("%s %d, %d", name[:3], d, year))
				}
				for _, form := range forms {
					tried++
					if got, err := Read(form, now, zone); err == nil {
						t.Errorf("%s: got %s, want a refusal", form, got)
					}
				}
			}
		}
	}
	if tried < 1000 {
		t.Errorf("tried %d: too few to prove anything", tried)
	}
}

// FuzzRead reads anything: what comes of it is to come, on a whole minute or a date's end,
// or a refusal that can be shown.
func FuzzRead(f *testing.F) {
	for _, typed := range []string{"31 Jan", "in 2 weeks", "tomorrow 18:00", "end of end of month", "2027-01-31t18:00", "friday 31.1.", "in 4 hours"} {
		f.Add(typed)
	}
	zone := zoneOf(f, "America/Santiago")
	now := time.Date(2026, 8, 23, 10, 3, 27, 0, zone)
	f.Fuzz(func(t *testing.T, typed string) {
		end, err := Read(typed, now, zone)
		refused, ok := errors.AsType[*No](err)
		switch {
		case err == nil && !end.After(now):
			t.Errorf("%q: got %s, which is past", typed, end)
		case err != nil && (!ok || strings.Count(refused.Text, "`")%2 != 0 || len(refused.Text) > 500):
			t.Errorf("%q: got %v", typed, err)
		}
	})
}
