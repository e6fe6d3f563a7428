package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// enough is how many answered requests a proof takes: of so many of which none failed it
// follows, with 95 % confidence, that less than 1 % would have.
const enough = 300

// edges is how many requests may be due at the two ends of a window without being counted
// to it: times are stored in milliseconds.
const edges = 2

// Judge ends a watch and says what it came to. It is a function of the watch alone; now is
// when it ended, if that was not said yet, and judging it again changes nothing.
//
// Proved and Failed are said by what was measured while releases were handed over; whatever
// is missing for either makes it Inconclusive, and each thing that is missing is a reason.
func (w Watch) Judge(now time.Time) Watch {
	w = copied(w)
	w.State = Ended
	if w.Ended.IsZero() {
		w.Ended = moment(now)
	}
	if len(w.Windows) != len(w.Releases) || len(w.Windows) == 0 && w.Window != (Span{}) {
		w.Windows, w.Releases = []Span{w.Window}, []int{w.Release.Version}
	}
	w.Smallest = w.smallest()
	w.Bound = 1
	if len(w.Windows) > 0 {
		w.Bound = upper(w.In.Failed(), w.In.Failed()+w.In.OK)
	}
	w.Verdict, w.Reasons = w.verdict()
	w.NotCovered = w.notCovered()
	return w
}

func (w Watch) verdict() (Verdict, []Reason) {
	if len(w.Windows) == 0 {
		return Inconclusive, w.unreleased()
	}
	requests, logins := w.failedMore(), w.lostMore()
	if maintenance := w.maintained(); (requests || logins) && len(maintenance) == 0 && len(w.never()) == 0 {
		var why []Reason
		if requests {
			why = append(why, w.dropped()...)
		}
		if logins {
			why = append(why, w.loggedOut()...)
		}
		if strings.HasPrefix(w.Cut, restarted) {
			// What was seen is told, and is no verdict: nobody was there to see the rest.
			return Inconclusive, append(w.cutShort(), why...)
		}
		return Failed, why
	}
	var doubts []Reason
	for _, doubt := range []func() []Reason{
		w.maintained, w.never, w.failedBefore, w.adrift, w.cutShort, w.unfinished, w.tooLate, w.changed, w.blind, w.limited, w.cached, w.tooFew, w.unserved, w.unseen, w.visitors, w.afterwards,
	} {
		doubts = append(doubts, doubt()...)
	}
	if len(doubts) > 0 {
		return Inconclusive, doubts
	}
	return Proved, w.proved()
}

// failedMore says whether more failed in the hand-overs than what failed before explains.
func (w Watch) failedMore() bool {
	before := w.Prior.Failed()
	return moreThanChance(w.In.Failed(), w.In.Failed()+w.In.OK, before, before+w.Prior.OK)
}

// lostMore says the same of logins. What was lost at other times counts only if some of it
// was before the release: afterwards it may be the release's doing.
func (w Watch) lostMore() bool {
	v := w.Visits
	switch {
	case v == nil || v.LostIn == 0:
		return false
	case !v.First.Before(w.Windows[0].From):
		return true
	}
	lost := v.Lost - v.LostIn
	return moreThanChance(v.LostIn, v.LostIn+v.KeptIn, lost, lost+v.Kept-v.KeptIn)
}

// stopped says whether somebody ended it before its time, and nothing else did.
func (w Watch) stopped() bool { return w.StopBy != "" && w.Cut == "" }

// unreleased is all that can be said where there was nothing to watch.
func (w Watch) unreleased() []Reason {
	why := []Reason{{Text: fmt.Sprintf("No release was made, so this says nothing of a deploy. %s. Deploy while a watch runs.", w.Counts.summary())}}
	if w.stopped() {
		why = []Reason{{Text: fmt.Sprintf("It was stopped before any release was made, so this says nothing of a deploy. %s. Let the next one run while you deploy.", w.Counts.summary())}}
	}
	if w.Began.IsZero() {
		why = []Reason{{Text: "The watch never began, so nothing was measured. Ask for it again."}}
	}
	if failed := w.Counts.Failed(); failed > 0 {
		r := Reason{Text: capital(w.outcomes(w.Counts)) + ": the app fails without a deploy too."}
		if n := len(w.Episodes); n > 0 {
			r.From, r.To = w.Episodes[0].From, w.Episodes[n-1].To
			if after := w.Episodes[0].After; after != nil {
				r.Text = fmt.Sprintf("%s, %s.", capital(w.outcomes(w.Counts)), whenUpset(*after, r.From))
			}
		}
		why = append(why, r)
	}
	if w.Counts.Maintenance > 0 {
		why = append(why, Reason{Text: fmt.Sprintf("Maintenance mode was on for %s.", count(w.Counts.Maintenance, "request"))})
	}
	return append(why, w.cutShort()...)
}

// maintained: in maintenance mode nobody reaches the app, the probe neither.
func (w Watch) maintained() []Reason {
	i := slices.IndexFunc(w.Events, func(e Event) bool { return e.Kind == EventMaintenance && e.At.Before(w.end()) })
	if i < 0 && w.In.Maintenance == 0 {
		return nil
	}
	r := Reason{Text: "Maintenance mode was on meanwhile, so visitors saw its page and not the app. Watch a deploy without it."}
	if i >= 0 {
		r.From = w.Events[i].At
	}
	why := []Reason{r}
	if failed := w.In.Failed(); failed > 0 {
		r := w.span()
		r.Text = fmt.Sprintf("Beside that %s, which can't be told from it: %s.", was(failed, "other request", "failed"), w.outcomes(w.In))
		why = append(why, r)
	}
	return why
}

// unknownBefore says whether nothing was measured before the first release.
func (w Watch) unknownBefore() bool { return w.Prior.OK+w.Prior.Failed() == 0 }

// never: of a page that was not what the policy expects from the first request on, nobody
// knows whether it ever was. An app that is down from the first request on is another
// matter: that was seen.
func (w Watch) never() []Reason {
	failed := w.In.Failed()
	mistaken := w.In.Bad[Status] + w.In.Bad[Body] + w.In.Bad[TLS] + w.In.Bad[Circle]
	if !w.unknownBefore() || w.Counts.OK > 0 || mistaken == 0 || 2*mistaken < failed {
		return nil
	}
	r := w.span()
	r.Text = fmt.Sprintf("No request was answered as the policy expects, from the first one on: %s. The watch began after v%d was made, so it can't be said whether that was so before. If it was, set `path` and `expect` in the policy's `apps: { %s: { probe: … } }`.", w.outcomes(w.In), w.Release.Version, w.Name)
	return []Reason{r}
}

// adrift: a release that was made at an unknown moment has an unknown hand-over.
func (w Watch) adrift() []Reason {
	if w.Adrift == "" {
		return nil
	}
	return []Reason{{Text: fmt.Sprintf("Heroku's clock could not be compared with that of the bot's machine (%s), so it can't be said which requests were sent while v%d was handed over. Watch the next deploy.", trimmed(w.Adrift), w.Release.Version)}}
}

// unserved: where new dynos do not come up, a space leaves the old ones running, and nobody
// notices that there was no hand-over.
func (w Watch) unserved() []Reason {
	if w.Unserved == "" || w.Release.Status != "succeeded" {
		return nil
	}
	return []Reason{{Text: fmt.Sprintf("At the end Heroku's list of dynos said that %s, so it can't be said that v%d serves. Look at `heroku ps --app %s`, and watch the next deploy.", w.Unserved, w.Release.Version, w.Name), To: w.Ended}}
}

// limited: what an app refuses because we ask too often, it may serve to others.
func (w Watch) limited() []Reason {
	if w.In.Limited == 0 {
		return nil
	}
	return []Reason{{Text: fmt.Sprintf("The app refused %s because they came too often (429), which says nothing of how it serves others. Lower `rate` in the policy's `apps: { %s: { probe: … } }`, or have the app let the user agent zdd-probe pass.", count(w.In.Limited, "request"), w.Name)}}
}

// cached: what a cache answers, the app was not asked.
func (w Watch) cached() []Reason {
	if w.In.Cached == 0 {
		return nil
	}
	return []Reason{{Text: fmt.Sprintf("A cache in front of the app answered %s (they have an Age), so they say nothing of the app. Name a `path` that is not cached in the policy's `apps: { %s: { probe: … } }`.", share(w.In.Cached, w.In.OK), w.Name)}}
}

// failedBefore: what fails all the time is no doing of a release.
func (w Watch) failedBefore() []Reason {
	var why []Reason
	if len(w.maintained()) > 0 || len(w.never()) > 0 {
		return nil
	}
	if failed := w.In.Failed(); failed > 0 {
		r := w.span()
		r.Text = fmt.Sprintf("It was failing before: %s failed before the release, and %s while it was handed over, which is not clearly more. Mend that first (%s), and watch the next deploy.",
			share(w.Prior.Failed(), w.Prior.Failed()+w.Prior.OK), share(failed, failed+w.In.OK), w.outcomes(w.In))
		why = append(why, r)
	}
	if v := w.Visits; v != nil && v.LostIn > 0 {
		r := Reason{Text: fmt.Sprintf("Visitors were logged out before the release too: %s in all, and %s while it was handed over. Where a session is kept in a dyno's memory, it lasts as long as its visitor meets that dyno.", times(v.Lost), times(v.LostIn)), From: v.First}
		if on, known := w.Setup.Affinity.Get(); known && !on && !w.Setup.InSpace {
			r.Check = checkAffinity
		}
		why = append(why, r)
	}
	return why
}

func (w Watch) cutShort() []Reason {
	if w.Cut == "" {
		return nil
	}
	return []Reason{{Text: fmt.Sprintf("The watch was cut short: %s. What it has is here, and proves nothing; watch the next deploy.", trimmed(w.Cut)), To: w.Ended}}
}

// unfinished: a hand-over that is not over has proved nothing.
func (w Watch) unfinished() []Reason {
	v := fmt.Sprintf("v%d", w.Release.Version)
	switch status := w.Release.Status; {
	case status == "pending":
		return []Reason{{Text: fmt.Sprintf("%s was still in its release phase when the watch ended, so its dynos were not started yet. Watch the next deploy for longer.", v), To: w.Ended}}
	case status == "failed":
		return []Reason{{Text: fmt.Sprintf("%s failed in its release phase, so it was not handed over: the release before it still runs. Look at `heroku releases:output`, and watch the next deploy.", v)}}
	case status != "succeeded":
		return []Reason{{Text: fmt.Sprintf("Heroku calls %s %q instead of succeeded, so it can't be said that it was handed over.", v, status)}}
	case w.Cut == "" && w.Ended.Before(w.end()):
		r := Reason{Text: fmt.Sprintf("The watch ended %s before the hand-over to %s was sure to be over. Let the next one run to its end.", InWords(w.end().Sub(w.Ended)), v), From: w.Ended, To: w.end()}
		if w.StopBy != "" {
			r.Text = fmt.Sprintf("It was stopped %s before the hand-over to %s was sure to be over. Let the next one run to its end.", InWords(w.end().Sub(w.Ended)), v)
		}
		return []Reason{r}
	}
	return nil
}

// late is how long after the beginning of the watched release's window, which is early, the
// watch began; zero: before, or in its release phase, in which no dyno is replaced (Dev
// Center, "Release Phase").
// Those that were made before that one may have been handed over in part when it began;
// whatever they dropped since counts, but only the watched one can be proved.
func (w Watch) late() time.Duration {
	if w.Phased {
		return 0
	}
	return max(0, w.Began.Sub(w.Window.From))
}

// tooLate: without preboot dynos are stopped at once. With it, the old ones serve alone for
// the boot timeout and two minutes (Dev Center, "Preboot"), which is half of the longest
// hand-over: in the first third of it nothing is replaced yet.
func (w Watch) tooLate() []Reason {
	late := w.late()
	if late == 0 || w.prebooted() && late <= w.Window.length()/3 {
		return nil
	}
	r := Reason{
		Text: fmt.Sprintf("The watch began %s after v%d was made, when dynos may have been replaced already. Begin it before the deploy.", InWords(late-early), w.Release.Version),
		From: w.Window.From, To: w.Began,
	}
	if late <= early {
		r.Text = fmt.Sprintf("The watch began at about the moment when v%d was made, and it can't be said which came first. Begin it before the deploy.", w.Release.Version)
	}
	return []Reason{r}
}

func (w Watch) prebooted() bool { return w.Setup.Preboot.Or(false) && !w.Setup.InSpace }

// changed: how long a hand-over takes is told by the features that were read.
func (w Watch) changed() []Reason {
	i := slices.IndexFunc(w.Events, func(e Event) bool { return e.Kind == EventFeature && e.At.Before(w.end()) })
	if i < 0 {
		return nil
	}
	e := w.Events[i]
	return []Reason{{Text: fmt.Sprintf("The app was changed while it was watched (%s), so that it can't be said by which rules the release was handed over. Watch the next deploy.", trimmed(e.Text)), From: e.At}}
}

// blind: what the probe has not looked at, it can't vouch for.
func (w Watch) blind() []Reason {
	var why []Reason
	longest, n := Span{}, 0
	for _, s := range w.Stalls {
		if w.inWindows(s) && s.length() > 2*w.interval()+time.Millisecond { // their ends are rounded to milliseconds
			if n++; s.length() > longest.length() {
				longest = s
			}
		}
	}
	if n > 0 {
		text := fmt.Sprintf("The probe itself stood still for %s, so an outage of that length may have been missed.", InWords(longest.length()))
		if n > 1 {
			text = fmt.Sprintf("The probe itself stood still %s, the longest time for %s, so an outage of that length may have been missed.", times(n), InWords(longest.length()))
		}
		if w.In.Own > 0 {
			text = fmt.Sprintf("The network of the bot's own machine was away for up to %s, so that %s nothing of the app.", InWords(longest.length()), was(w.In.Own, "request", "say", "says"))
		}
		why = append(why, Reason{Text: text + " Watch the next deploy; if it is so again, look at the machine that the bot runs on.", From: longest.From, To: longest.To})
	} else if w.In.Own > 0 {
		why = append(why, Reason{Text: fmt.Sprintf("The network of the bot's own machine was away when %s to be sent, which says nothing of the app. Watch the next deploy.", was(w.In.Own, "request", "were", "was"))})
	}
	if w.Cut == "" && n == 0 {
		if unheard := w.due() - edges - w.In.Sent - w.In.Own; unheard > 0 && !w.Ended.Before(w.end()) {
			why = append(why, Reason{Text: fmt.Sprintf("Nothing was heard of %s that should have been sent during the hand-over. Watch the next deploy.", count(unheard, "request"))})
		}
	}
	return why
}

// due is how many requests the rate asks for in all windows, as far as the watch was there.
func (w Watch) due() int {
	var all time.Duration
	for _, s := range w.union() {
		if s.From.Before(w.Began) {
			s.From = w.Began
		}
		all += max(0, s.length())
	}
	return int(all / w.interval())
}

// union are the windows in order, those that overlap made one.
func (w Watch) union() []Span {
	all := slices.Clone(w.Windows)
	slices.SortFunc(all, func(a, b Span) int { return a.From.Compare(b.From) })
	var u stalls
	for _, s := range all {
		u.add(s)
	}
	return u
}

// end is when the last hand-over is over.
func (w Watch) end() time.Time {
	var end time.Time
	for _, s := range w.Windows {
		if s.To.After(end) {
			end = s.To
		}
	}
	return end
}

func (w Watch) inWindows(s Span) bool {
	return slices.ContainsFunc(w.Windows, func(in Span) bool { return s.From.Before(in.To) && s.To.After(in.From) })
}

func (w Watch) tooFew() []Reason {
	n := w.In.OK + w.In.Failed()
	if n >= enough || w.Cut != "" || w.Ended.Before(w.end()) {
		return nil // then too few is no wonder, and was said in another way
	}
	return []Reason{{Text: fmt.Sprintf("Only %s during the hand-over, and a proof takes %d: of fewer, one in a hundred may fail unseen. Raise `rate` in the policy's `apps: { %s: { probe: … } }`.",
		was(n, "request", "were answered", "was answered"), enough, w.Name)}}
}

// unseen: where the app tells versions, the new one has to be seen, and the old one has to
// be gone.
func (w Watch) unseen() []Reason {
	v := fmt.Sprintf("v%d", w.Release.Version)
	switch {
	case !w.Versions:
		return nil
	case w.Switch.IsZero():
		return []Reason{{Text: fmt.Sprintf("The app tells its version, and %s was not seen: either it does not serve yet, or what the app tells does not change with a release. `HEROKU_RELEASE_VERSION` does, once `heroku labs:enable runtime-dyno-metadata` is on.", v)}}
	case w.Old.After(w.end()):
		return []Reason{{Text: fmt.Sprintf("Old dynos still answered after the hand-over to %s should have been over. Look at `heroku ps`, and watch the next deploy.", v), From: w.end(), To: w.Old}}
	}
	return nil
}

func (w Watch) visitors() []Reason {
	v := w.Visits
	switch {
	case w.Probe.Visitors == 0 && v == nil:
		return nil
	case v == nil || v.KeptIn == 0 && v.LostIn == 0 && v.FailedIn == 0 && v.Unbegun > 0:
		return []Reason{{Text: "No virtual visitor could log in, so nothing is known of logins. Look at `visitor_start`, `visitor_path` and `visitor_marker` in the policy."}}
	case v.FailedIn > 0:
		return []Reason{{Text: fmt.Sprintf("Virtual visitors got no page %s during the hand-over, though no other request failed. Look at the app's logs of that time.", times(v.FailedIn))}}
	case v.UnbegunIn > 0:
		return []Reason{{Text: fmt.Sprintf("Virtual visitors could not log in %s during the hand-over, though no other request failed. Look at the app's logs of that time.", times(v.UnbegunIn))}}
	case v.KeptIn == 0 && v.LostIn == 0:
		return []Reason{{Text: "No virtual visitor came back during the hand-over, so nothing is known of logins. Watch the next deploy."}}
	}
	return nil
}

// afterwards: a deploy whose hand-over was clean, and that breaks right then, was noticed.
func (w Watch) afterwards() []Reason {
	failed := w.Counts.Failed() - w.In.Failed() - w.Prior.Failed()
	lost := 0
	if v := w.Visits; v != nil && !v.First.Before(w.Windows[0].From) {
		lost = v.Lost - v.LostIn
	}
	var why []Reason
	if failed > 0 && w.In.Failed() == 0 {
		r := Reason{Text: fmt.Sprintf("The hand-over itself dropped nothing, and %s outside of it, with the new release. Look at the app's logs of that time.", was(failed, "request", "failed"))}
		for _, e := range w.Episodes {
			if e.From.After(w.Windows[0].From) && !w.inWindows(Span{e.From, e.To}) {
				r.From, r.To = e.From, e.To
				if e.After != nil {
					r.Text += fmt.Sprintf(" It was %s without a release.", whenUpset(*e.After, e.From))
				}
				break
			}
		}
		why = append(why, r)
	}
	if lost > 0 {
		why = append(why, Reason{Text: fmt.Sprintf("Visitors were logged out %s after the hand-over, with the new release. Look at how long a session lasts.", times(lost))})
	}
	return why
}

func (w Watch) proved() []Reason {
	text := fmt.Sprintf("v%d was handed over while %s, and none failed; the slowest of the whole watch took %s.", w.Release.Version, was(w.In.OK, "request", "were answered", "was answered"), InWords(w.Latency.Max))
	why := []Reason{{Text: text, From: w.Window.From, To: w.Window.To}}
	if v := w.Visits; v != nil {
		why = append(why, Reason{Text: fmt.Sprintf("%s stayed logged in.", capital(count(v.Visitors, "virtual visitor")))})
	}
	if failed := w.Prior.Failed(); failed > 0 {
		why = append(why, Reason{Text: fmt.Sprintf("Before the release %s.", was(failed, "request", "failed"))})
	}
	return why
}

// interval is the time between two requests.
func (w Watch) interval() time.Duration { return time.Second / time.Duration(max(1, w.Probe.Rate)) }

// smallest is the length of which every whole outage would have been seen. Requests are due
// an interval apart, and none is sent more than an interval late without a stall: so two
// that follow each other are sent at most two intervals apart, or what a stall took and an
// interval on either side of it.
func (w Watch) smallest() time.Duration {
	var longest time.Duration
	for _, s := range w.Stalls {
		if len(w.Windows) == 0 || w.inWindows(s) {
			longest = max(longest, s.length())
		}
	}
	return 2*w.interval() + longest
}
