package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Dynos stop without a release too: when they are fewer, of another size, or restarted. What
// fails right after that is no release's doing as far as anybody has measured, though it fell
// into its hand-over.

// begins is the first moment at which an event may have happened.
func (e Event) begins() time.Time {
	if e.Since.IsZero() {
		return e.At.Add(-early)
	}
	return e.Since
}

// upset is what stopped dynos before something began to go wrong, and was no release: the
// last thing that happened before, no longer ago than reach says. Where several are seen at
// once they are one; a change of the formation says why dynos restarted, and is told alone.
// Where dynos crashed, that they restarted is no cause.
func (w Watch) upset(began time.Time, reach func(Event) time.Duration) *Event {
	var found []Event
	for _, e := range w.Events {
		if !e.Stops || w.before(began, e) || began.After(e.At.Add(reach(e))) {
			continue
		}
		released := slices.ContainsFunc(w.Windows, func(in Span) bool {
			made := in.From.Add(early)
			return made.After(e.At) && !made.After(began)
		})
		if !released {
			found = append(found, e)
		}
	}
	if slices.ContainsFunc(found, isFormation) {
		found = slices.DeleteFunc(found, func(e Event) bool { return !isFormation(e) })
	}
	if len(found) == 0 {
		return nil
	}
	return new(together(found))
}

// before says whether a request that was due then was over, one way or another, when it
// happened.
func (w Watch) before(due time.Time, e Event) bool {
	return due.Add(w.Probe.Timeout).Before(e.begins())
}

func isFormation(e Event) bool { return e.Kind == EventFormation }

// together is several events, in order, as one of the last one's kind.
func together(all []Event) Event {
	one := all[len(all)-1]
	var texts []string
	for _, e := range all {
		if begins := e.begins(); begins.Before(one.begins()) {
			one.Since = begins
		}
		if !slices.Contains(texts, e.Text) {
			texts = append(texts, e.Text)
		}
	}
	if n := len(texts); n > 3 {
		texts = append(texts[:2], fmt.Sprintf("so on %s", times(n-2)))
	}
	one.Text = listed(texts)
	return one
}

// upsetFailures are the failures of the hand-overs that began when dynos were stopped by no
// release.
type upsetFailures struct {
	failed int
	event  Event
	span   Reason // without words
}

func (w Watch) upsetFailures() (u upsetFailures) {
	var all []Event
	for _, e := range w.Episodes {
		if e.In == 0 || e.After == nil {
			continue
		}
		u.failed += e.In
		if !slices.ContainsFunc(all, func(was Event) bool { return was.At.Equal(e.After.At) && was.Text == e.After.Text }) {
			all = append(all, *e.After)
		}
	}
	if u.failed > 0 {
		u.event, u.span = together(all), w.spanOf(isUpset)
	}
	return u
}

func isUpset(e Episode) bool { return e.After != nil }

// whenUpset says that something began at that moment, in words that follow "and": about when
// web was scaled from 3 to 1. How long after it is not known: it was found later.
func whenUpset(e Event, began time.Time) string {
	if began.After(e.At) {
		return "after " + e.Text
	}
	return "about when " + e.Text
}

// upsetReasons say what failed right after dynos were stopped by no release, of so many requests.
func (w Watch) upsetReasons(of int) []Reason {
	u := w.upsetFailures()
	if u.failed == 0 {
		return nil
	}
	released := w.released(u.span.From, u.span.To)
	first := u.span
	first.Text = fmt.Sprintf("While %s was handed over and %s, %s of %s failed within %s", released, whenUpset(u.event, first.From), number(u.failed), count(of, "request"), InWords(w.lasted(first.From, first.To)))
	if w.still() {
		first.Text += ", and requests still failed when the watch ended"
	}
	first.Text += "."
	return []Reason{first, w.upsetCause(u.event, first.From, released)}
}

// upsetCause is what is known of what stopped dynos, and of the release's part in what went
// wrong from a moment on.
func (w Watch) upsetCause(e Event, began time.Time, released string) Reason {
	r := Reason{From: e.Since, To: e.At}
	if r.From.IsZero() {
		r.From = e.At
	}
	if e.Kind == EventRestart {
		r.Text = fmt.Sprintf("Meanwhile %s without a release, and Heroku does not tell why: somebody may have done it, it may have been the daily restart, or a crash.", e.Text)
	} else {
		r.Text = fmt.Sprintf("Meanwhile %s without a release, and Heroku does not tell by whom.", e.Text)
		if strings.Contains(e.Text, resized) {
			r.Text += " A change of size restarts all dynos at once, and preboot does not cover it."
		}
	}
	if alone := began.Sub(w.Old); w.Versions && !w.Switch.IsZero() && !w.Old.IsZero() && began.After(w.Switch) && alone >= time.Second {
		r.Text += fmt.Sprintf(" Only v%d had answered for %s by then.", w.Release.Version, InWords(alone))
	}
	r.Text += fmt.Sprintf(" Whether %s had a part in it can't be told: watch the next deploy, and leave the dynos alone meanwhile.", released)
	return r
}

// upsetMeanwhile are what stopped dynos when requests failed already.
func (w Watch) upsetMeanwhile() (why []Reason) {
	for _, e := range w.Events {
		if !e.Stops || !slices.ContainsFunc(w.Episodes, func(failed Episode) bool {
			return failed.In > 0 && failed.After == nil && w.before(failed.From, e) && !failed.To.Before(e.begins())
		}) {
			continue
		}
		r := Reason{Text: fmt.Sprintf("Requests failed already when %s without a release; what failed from then on may be due to that too.", e.Text), From: e.Since, To: e.At}
		if r.From.IsZero() {
			r.From = e.At
		}
		why = append(why, r)
	}
	return why[:min(len(why), 3)]
}
