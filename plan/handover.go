package plan

import (
	"fmt"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// handOver is how long after new web dynos of a preboot app began to start its old ones
// may still serve and the formation be locked: 3:11 to 5:08 were measured, with the
// default boot time-out; the rest is margin.
const handOver = 6 * time.Minute

// HandOver says whether preboot may be handing over from old web dynos to new ones at
// that moment, until when at the latest, and why, in words for a person that begin no
// sentence. Heroku locks the formation meanwhile, and lists the new dynos only.
//
// A hand-over begins when a release has succeeded, which may be long after it was made
// (its release phase runs first), and with a restart of all web dynos, which makes no
// release at all: it shows in that every web dyno changed its state only just now, or
// one is starting. One that starts again by itself after a crash is taken for one too.
// A time in the future is clock skew, and counts as now. What could not be read tells
// nothing: busy is false then, and [Hazards] says what was not read.
func HandOver(app fleet.App, now time.Time) (busy bool, until time.Time, why string) {
	if on, _ := app.Feature(fleet.Preboot); !on || app.InSpace() {
		return false, time.Time{}, ""
	}
	meet := func(began time.Time, format string, args ...any) {
		if began.After(now) {
			began = now
		}
		end := began.Add(handOver)
		if !now.Before(end) {
			return
		}
		if !busy { // the first reason is the plainest
			why = fmt.Sprintf(format, args...)
		}
		if busy = true; end.After(until) {
			until = end
		}
	}
	if release, _ := app.Release.Get(); release.Version > 0 && release.Status == "succeeded" {
		at := release.CreatedAt
		if release.UpdatedAt.After(at) {
			at = release.UpdatedAt
		}
		meet(at, "release v%d went out %s ago", release.Version, age(now, at))
	}
	dynos, _ := app.Dynos.Get()
	var oldest time.Time
	for _, d := range dynos {
		if d.Type != "web" || d.State == "crashed" || d.Since.IsZero() {
			continue
		}
		if d.State == "starting" {
			meet(d.Since, "%s has been starting for %s", Code(d.Name), age(now, d.Since))
		}
		if oldest.IsZero() || d.Since.Before(oldest) {
			oldest = d.Since
		}
	}
	if !oldest.IsZero() {
		meet(oldest, "every web dyno came up anew, the first %s ago", age(now, oldest))
	}
	return busy, until, why
}

func age(now, then time.Time) string { return policy.Span(max(now.Sub(then), 0).Round(time.Second)) }
