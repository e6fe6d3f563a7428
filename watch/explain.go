package watch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ids of checks that reasons point to. They are stored, and the same as those of package
// audit, which this one does not know.
const (
	checkTier     = "dyno-tier"
	checkAffinity = "session-affinity"
	checkWeb      = "web-dynos"
	checkPreboot  = "preboot"
	checkWarmup   = "jvm-warmup"
)

// released names the releases that were handed over in a span: v118, or v117 and v118.
// Where none was, it is the watched one.
func (w Watch) released(from, to time.Time) string {
	var names []string
	for i, v := range w.Releases {
		if in := w.Windows[i]; !from.IsZero() && !from.After(in.To) && !to.Before(in.From) {
			names = append(names, "v"+strconv.Itoa(v))
		}
	}
	switch n := len(names); {
	case n == 0:
		return "v" + strconv.Itoa(w.Release.Version)
	case n > 3:
		names = []string{names[0], fmt.Sprintf("%s after it", count(n-1, "release"))}
	}
	return listed(names)
}

// dropped says what failed during the hand-overs, and what may have been the cause.
func (w Watch) dropped() []Reason {
	failed := w.In.Failed()
	of := failed + w.In.OK
	upset := w.upsetReasons(of)
	causes := w.causes()
	var why []Reason
	if dropped := failed - w.upsetFailures().failed; dropped > 0 {
		first := w.spanOf(func(e Episode) bool { return !isUpset(e) })
		first.Text = fmt.Sprintf("%s dropped %s of %s %s", w.released(first.From, first.To), number(dropped), count(of, "request"), w.within(first))
		if w.still() && len(upset) == 0 {
			first.Text += ", and requests still failed when the watch ended"
		}
		first.Text += "."
		if len(causes) > 0 {
			first.Check = causes[0].Check
		}
		why = append(why, first)
	}
	why = append(why, upset...)
	why = append(why, w.upsetMeanwhile()...)
	why = append(why, Reason{Text: capital(w.outcomes(w.In)) + "."})
	if w.unknownBefore() {
		why = append(why, Reason{Text: "Whether requests failed before the release too is not known: the watch began after it."})
	}
	if before := w.Prior.Failed(); before > 0 {
		why = append(why, Reason{Text: fmt.Sprintf("Before the release it was fewer: %s.", share(before, before+w.Prior.OK))})
	}
	return append(why, causes...)
}

// span is a reason without words, about the failures of the hand-overs.
func (w Watch) span() Reason { return w.spanOf(func(Episode) bool { return true }) }

// spanOf is span for some of them.
func (w Watch) spanOf(of func(Episode) bool) Reason {
	var r Reason
	for _, e := range w.Episodes {
		if !of(e) {
			continue
		}
		for _, in := range w.Windows {
			// What was under way when the window began was due before it.
			if !e.From.Before(in.To) || e.To.Before(in.From.Add(-w.Probe.Timeout)) {
				continue
			}
			from, to := e.From, e.To
			if from.Before(in.From) {
				from = in.From
			}
			if last := in.To.Add(-time.Millisecond); to.After(last) {
				to = last
			}
			if to.Before(from) {
				to = from
			}
			if r.From.IsZero() || from.Before(r.From) {
				r.From = from
			}
			if to.After(r.To) {
				r.To = to
			}
		}
	}
	return r
}

// within says how long requests failed, and how long after the release that began.
func (w Watch) within(r Reason) string {
	if r.From.IsZero() {
		return "while it was handed over"
	}
	last := 0 // the last release before that
	for i, in := range w.Windows {
		if in.Contains(r.From) {
			last = i
		}
	}
	it := "it"
	if w.released(r.From, r.From) != w.released(r.From, r.To) || strings.Contains(w.released(r.From, r.To), " ") {
		it = "v" + strconv.Itoa(w.Releases[last])
	}
	after := r.From.Sub(w.Windows[last].From) - early
	since := fmt.Sprintf("from %s after %s was made", InWords(after), it)
	if after < time.Second {
		since = fmt.Sprintf("from when %s was made", it)
	}
	if r.From.Equal(r.To) {
		return strings.TrimPrefix(since, "from ")
	}
	return fmt.Sprintf("within %s, %s", InWords(w.lasted(r.From, r.To)), since)
}

// lasted is how long requests failed, of which the first and the last were due then: the last
// one stands for what its interval held.
func (w Watch) lasted(first, last time.Time) time.Duration { return last.Sub(first) + w.interval() }

// LongestGap is the longest time over which requests failed one after the other, and how long
// that was; false: none failed.
func (w Watch) LongestGap() (gap Episode, lasted time.Duration, found bool) {
	for _, e := range w.Episodes {
		if takes := w.lasted(e.From, e.To); takes > lasted {
			gap, lasted, found = e, takes, true
		}
	}
	return gap, lasted, found
}

// still says whether something failed among the last requests.
func (w Watch) still() bool {
	n := len(w.Episodes)
	return n > 0 && w.Ended.Sub(w.Episodes[n-1].To) < w.Probe.Timeout+3*time.Second
}

// outcomes are the failures of counts, the most frequent first, in words.
func (w Watch) outcomes(c Counts) string {
	kinds := slices.SortedFunc(maps.Keys(c.Bad), func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(c.Bad[b], c.Bad[a]), strings.Compare(string(a), string(b)))
	})
	said := make([]string, len(kinds))
	for i, o := range kinds {
		said[i] = number(c.Bad[o]) + " " + w.outcome(o, c.Bad[o])
		if o == Server {
			said[i] += codesOf(c)
		}
	}
	return listed(said)
}

func (w Watch) outcome(o Outcome, n int) string {
	one := "were"
	if n == 1 {
		one = "was"
	}
	switch o {
	case Connect:
		return "got no connection"
	case TLS:
		return "found no certificate to trust, or no end of the TLS handshake"
	case Timeout:
		return fmt.Sprintf("%s not answered within %s", one, InWords(w.Probe.Timeout))
	case Cutoff:
		return one + " cut off in the middle"
	case Server:
		return one + " answered with a 5xx error"
	case Status:
		return fmt.Sprintf("%s answered with another status than `%s`", one, w.Probe.Expect)
	case Body:
		return one + " answered without the text that the policy expects"
	case Circle:
		return one + " redirected in a circle"
	}
	return "failed (" + string(o) + ")"
}

// codesOf are H-codes in words, the most frequent first; empty: there are none.
func codesOf(c Counts) string {
	var said []string
	for _, code := range slices.SortedFunc(maps.Keys(c.Codes), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Codes[b], c.Codes[a]), strings.Compare(a, b))
	}) {
		text := code
		if words := meaning(code); words != "" {
			text += " " + words
		}
		if len(c.Codes) > 1 {
			text += fmt.Sprintf(" (%s)", number(c.Codes[code]))
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		return ""
	}
	return ": " + listed(said)
}

// meaning is what Heroku calls its codes (Dev Center, "Heroku Error Codes").
func meaning(code string) string {
	switch code {
	case "H10":
		return "app crashed"
	case "H12":
		return "request time-out"
	case "H13":
		return "connection closed without an answer"
	case "H14":
		return "no web dynos running"
	case "H18":
		return "request interrupted by the app"
	case "H19":
		return "connection to the dyno timed out"
	case "H20":
		return "boot time-out"
	case "H21":
		return "connection refused by the dyno"
	case "H27":
		return "request interrupted by the client"
	case "H99":
		return "error of the platform"
	case "application-error":
		return "(Heroku's page of an app that fails)"
	case "no-such-app":
		return "(Heroku's page of a host that no app has)"
	}
	return ""
}

// causes are what explains failures: the settings that were read when the watch began, then
// what the answers themselves tell. Each says what to do.
func (w Watch) causes() []Reason {
	var why []Reason
	add := func(check, format string, args ...any) {
		why = append(why, Reason{Check: check, Text: fmt.Sprintf(format, args...)})
	}
	c := w.In
	codes := func(any ...string) (n int) {
		for _, code := range any {
			n += c.Codes[code]
		}
		return n
	}
	pages := 0 // of Heroku's own
	for _, n := range c.Codes {
		pages += n
	}
	byApp := c.Bad[Server] - min(c.Bad[Server], pages)
	preboot, known := w.Setup.Preboot.Get()
	web := w.Setup.Web.Or(0)
	covered := w.Setup.InSpace || preboot

	switch {
	case w.Setup.InSpace && web == 1:
		add(checkWeb, "One web dyno runs: a space replaces a quarter of the dynos at a time, and at least one, which is all of it. `/zdd enable %s` adds a second one.", w.Name)
	case w.Setup.InSpace:
	case slices.Contains(w.Setup.Failing, checkTier):
		add(checkTier, "Preboot is off, and %s dynos can't have it: the old dynos stop before the new ones serve. `/zdd enable %s` shows what a larger size costs.", cmp.Or(w.Setup.Size, "these"), w.Name)
	case !known:
		add("", "Whether preboot is on could not be read. `bot doctor` says what the Heroku token may read.")
	case !preboot:
		add(checkPreboot, "Preboot is off: the old dynos stop before the new ones serve. `/zdd enable %s` turns it on.", w.Name)
	}
	if codes("H10") > 0 {
		text := "Dynos of the new release crashed (H10). Look at `heroku logs --app %s`; preboot asks only whether a port is bound, and rolls nothing back."
		add("", text, w.Name)
		if web == 1 && preboot && !w.Setup.InSpace {
			add(checkWeb, "One web dyno runs: when it crashes, none is left. `/zdd enable %s` adds a second one.", w.Name)
		}
	}
	if codes("H20") > 0 {
		add("", "The new dynos took longer to bind their port than the router waits (H20, 75 s). Make the app boot faster, or raise its boot timeout.")
	}
	if covered && (byApp > 0 || c.Bad[Body] > 0) {
		add(w.warmup(), "The app itself answered %s: it takes requests before it is ready to. Bind `$PORT` last, after all that a first request needs.", was(byApp+c.Bad[Body], "request", "with an error or an incomplete page"))
	}
	if covered && codes("H21", "H19")+c.Bad[Connect] > 0 {
		add("", "Dynos refused connections that the router sent them: new ones before they listened, or old ones that had stopped listening. On SIGTERM, take what still comes for some seconds, and then stop.")
	}
	if covered && codes("H13", "H18")+c.Bad[Cutoff] > 0 {
		add("", "Requests were cut off while they were answered: the old dynos end before they are done. On SIGTERM, finish what is under way (Heroku waits %s), and then stop.", InWords(30*time.Second))
	}
	if covered && codes("H12")+c.Bad[Timeout] > 0 {
		add(w.warmup(), "Answers took too long. A process that has just begun is often slow at first: warm it up before it binds `$PORT`, or before preboot hands over.")
	}
	if covered && codes("application-error") > 0 {
		add("", "Heroku answered with its page of an app that fails. Which H-code it was is in `heroku logs --app %s`.", w.Name)
	}
	if c.Bad[Status] > 0 {
		add("", "If the other statuses are right, name them in the policy: `apps: { %s: { probe: { expect: … } } }`.", w.Name)
	}
	if c.Bad[TLS] > 0 {
		add("", "A deploy changes no certificate: look at `heroku certs --app %s`.", w.Name)
	}
	return why
}

// warmup is the check of warm-up, where it is one of those that the app fails or can't show.
func (w Watch) warmup() string {
	if slices.Contains(w.Setup.Failing, checkWarmup) || slices.Contains(w.Setup.Unproved, checkWarmup) {
		return checkWarmup
	}
	return ""
}

// loggedOut says that visitors lost their logins. Affinity keeps a visitor with a dyno while
// that dyno lives, which is not over a deploy (Dev Center, "Session Affinity").
func (w Watch) loggedOut() []Reason {
	v := w.Visits
	released := w.released(v.First, v.First)
	lost := fmt.Sprintf("%s in the hand-over, of %s, though the page itself was well.", times(v.LostIn), count(v.LostIn+v.KeptIn, "visit"))
	r := Reason{Text: fmt.Sprintf("%s logged visitors out: %s", released, lost)}
	if v.After != nil {
		r.Text = fmt.Sprintf("While %s was handed over and %s, visitors were logged out: %s", released, whenUpset(*v.After, v.First), lost)
	}
	if w.Windows[0].Contains(v.First) {
		r.From = v.First
	}
	on, known := w.Setup.Affinity.Get()
	if known && !on && !w.Setup.InSpace && w.Setup.Web.Or(0) > 1 {
		r.Check = checkAffinity
		r.Text += fmt.Sprintf(" Session affinity is off while several web dynos run, so that a visitor meets another dyno each time; `/zdd enable %s` turns it on.", w.Name)
	}
	r.Text += " A session in a dyno's memory ends with that dyno, and a deploy replaces all: keep sessions in a database, in Redis or in a signed cookie."
	if v.After == nil || w.upsetFailures().failed > 0 { // then that was said of the requests
		return []Reason{r}
	}
	return []Reason{r, w.upsetCause(*v.After, v.First, released)}
}

// summary is how many requests there were, and how many failed.
func (c Counts) summary() string {
	failed := "none failed"
	switch n := c.Failed(); {
	case c.Sent == 0:
		return capital(count(0, "request"))
	case n > 0:
		failed = number(n) + " failed"
	}
	return capital(count(c.Sent, "request")) + ", " + failed
}

// notCovered is what a reader might take for shown, and is not.
func (w Watch) notCovered() []string {
	if w.Began.IsZero() {
		return nil
	}
	not := []string{}
	for i, in := range w.Windows {
		if late := w.Began.Sub(in.From) - early; late > 0 {
			not = append(not, fmt.Sprintf("The first %s after v%d was made: the watch began later.", InWords(late), w.Releases[i]))
		}
	}
	not = append(not, fmt.Sprintf("Outages shorter than %s: they may fall between two requests.", InWords(w.smallest())))
	if w.Bound < 1 && w.In.Failed() == 0 {
		not = append(not, fmt.Sprintf("What happens to fewer than %s of requests (said with 95 %% confidence).", Percent(w.Bound)))
	}
	not = append(not, fmt.Sprintf("Anything but `GET %s`: other pages, forms, WebSockets, answers that take longer than %s, and what workers do.", w.Probe.Path, InWords(w.Probe.Timeout)))
	if w.Unlisted {
		not = append(not, fmt.Sprintf("Whether %s leads to %s: the policy names it as the app's `domain`, and Heroku does not list it among the app's (`heroku domains --app %s`). Where a CDN stands before the app that may be right.", w.Probe.Domain, w.Name, w.Name))
	}
	if w.Strayed != "" {
		not = append(not, fmt.Sprintf("What %s answers: the app redirects there, and the probe does not follow it to another host. Name that one as `domain` in the policy's `apps: { %s: { probe: … } }` to watch it.", w.Strayed, w.Name))
	}
	if w.Probe.Visitors == 0 {
		not = append(not, fmt.Sprintf("Logins: no virtual visitors are set up (`visitors` in the policy's `apps: { %s: { probe: … } }`).", w.Name))
	}
	if len(w.Windows) > 0 && !w.Versions {
		not = append(not, fmt.Sprintf("Which release answered: the app does not tell its version, so the hand-over is taken to be over after %s; where its boot time-out was raised it takes longer.", InWords(w.Window.length()-early)))
	}
	if !w.Setup.InSpace && !w.Setup.Preboot.IsKnown() {
		not = append(not, "Whether preboot was on: it could not be read.")
	}
	return not
}

// Percent is a small share with two digits that count, rounded up.
func Percent(share float64) string {
	p := share * 100
	switch {
	case p < 0.01:
		return "0.01 %"
	case p < 1:
		return strconv.FormatFloat(p+0.005, 'f', 2, 64) + " %"
	}
	return strconv.FormatFloat(p+0.05, 'f', 1, 64) + " %"
}
