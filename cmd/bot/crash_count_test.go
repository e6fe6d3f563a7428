//go:build unix

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/chat"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/watch"
)

// crashRecord is all that is left of a campaign when everything has settled.
type crashRecord struct {
	apps     []crashApp
	final    map[string]crashState   // by app
	writes   map[string][]crashWrite // by app, in order
	presses  []*press
	events   []simslack.Event // of Slack
	requests map[string]chat.Accepted
	posts    map[string]bool // messages that the bot has a record of, by channel and ts
	tickets  []approval.Ticket
	entries  []ledger.Entry
	chain    string   // what is wrong with the ledger; empty: it is whole
	stuck    []string // stories that did not come to their end
	fell     []string // processes that ended by themselves, or badly, or logged what must not be
	work     string   // that is left undone; empty: none
	errors   int      // that were logged
	hands    []string // apps that were changed by hand

	crashNights
	crashWaivers
	crashWatches
}

// Harms: none may happen, ever.
const (
	harmLost     = "LOST"     // acknowledged, and not carried out
	harmRedo     = "REDO"     // a step took effect twice, or was said to be done and was not
	harmOverlap  = "OVERLAP"  // two writes of one app at the same time
	harmOrder    = "DISORDER" // a second dyno before affinity and soak, preboot before the dynos, and the way back likewise
	harmTwice    = "TWICE"    // a ticket approved more than once, or by more or fewer than it takes
	harmSelf     = "SELF"     // approved by who asked
	harmGhost    = "GHOST"    // a ticket, a vote or a write that nobody asked for
	harmEnded    = "ENDED"    // a ticket that ended otherwise than its story
	harmLive     = "LIVE"     // a message with buttons for a ticket that is over
	harmDouble   = "DOUBLE"   // a message that was posted twice, and neither says that it may be a repeat
	harmChain    = "CHAIN"    // the ledger is not whole, or tells a thing twice
	harmFell     = "FELL"     // a process that ended by itself, or badly, or panicked
	harmUntold   = "UNTOLD"   // a night that never began, or a channel that never got its digest
	harmTorn     = "TORN"     // a digest of which a part is missing, or stands elsewhere
	harmScan     = "SCAN"     // an app judged twice in one night, or counted and not judged
	harmAgain    = "AGAIN"    // a part of a batch that began twice
	harmLate     = "LATE"     // a part of a batch that began, or went on, when that was over or cancelled
	harmBoth     = "BOTH"     // two parts of a batch at once
	harmStray    = "STRAY"    // an app changed that no ticket is about
	harmUnsaid   = "UNSAID"   // a batch that ended without saying what was not begun
	harmEndless  = "ENDLESS"  // a watch that never ends
	harmClaimed  = "CLAIMED"  // a watch that the bot did not outlive, and that proved or failed all the same, or forgot what it had seen
	harmVerdicts = "VERDICTS" // a watch that was told twice, and neither says that it may be a repeat
	harmUnjudged = "UNJUDGED" // a watch of which people see no verdict, or no file
	harmRivals   = "RIVALS"   // two watches of one app at once
	harmDiffers  = "DIFFERS"  // a verdict that is another one in the database than in Slack or the ledger
	notedSilent  = "unanswered"
	notedRepeat  = "repeats-told"
	notedNothing = "idle-writes"
	notedSpare   = "spare-tickets"
)

func harms() []string {
	return []string{harmLost, harmRedo, harmOverlap, harmOrder, harmTwice, harmSelf, harmGhost, harmEnded, harmLive, harmDouble, harmChain, harmFell, harmUntold, harmTorn, harmScan,
		harmAgain, harmLate, harmBoth, harmStray, harmUnsaid,
		harmEndless, harmClaimed, harmVerdicts, harmUnjudged, harmRivals, harmDiffers}
}

// tally counts harms, and what is worth a number: private answers that a kill took
// along, messages that say they may be repeats, writes that changed nothing, and
// tickets that wait though nobody needs them any more (see spare).
type tally struct {
	count map[string]int
	what  []string
}

func (y *tally) add(kind, format string, args ...any) {
	if y.count == nil {
		y.count = map[string]int{}
	}
	y.count[kind]++
	if slices.Contains(harms(), kind) {
		y.what = append(y.what, kind+": "+fmt.Sprintf(format, args...))
	}
}

// harm is how much harm was done.
func (y *tally) harm() (sum int) {
	for _, kind := range harms() {
		sum += y.count[kind]
	}
	return sum
}

func (y *tally) String() string {
	var out []string
	for _, kind := range harms() {
		out = append(out, fmt.Sprintf("%s=%d", kind, y.count[kind]))
	}
	return strings.Join(out, " ")
}

// noted are the numbers that are no harm.
func (y *tally) noted() string {
	var out []string
	for _, kind := range []string{notedNothing, notedSilent, notedRepeat, notedSpare} {
		out = append(out, fmt.Sprintf("%s=%d", kind, y.count[kind]))
	}
	return strings.Join(out, " ")
}

// size is how much there was to go wrong.
func (r crashRecord) size() string {
	done, writes, refused, unheard, batches, parts := 0, 0, 0, 0, 0, 0
	for _, ticket := range r.tickets {
		switch {
		case ticket.Batch():
			batches++
		case ticket.Of != "":
			parts++
		}
		if ticket.State == approval.Done {
			done++
		}
	}
	for _, all := range r.writes {
		writes += len(all)
	}
	for _, d := range r.presses {
		if !d.acked {
			unheard++
		} else if d.refused {
			refused++
		}
	}
	return fmt.Sprintf("tickets=%d done=%d batches=%d parts=%d waivers=%d %s presses=%d unheard=%d turned-away=%d writes=%d ledger=%d nights=%d", len(r.tickets), done, batches, parts, len(r.waivers), r.watchedInWords(), len(r.presses), unheard, refused, writes, len(r.entries), len(r.nights))
}

// judge counts everything.
func (r crashRecord) judge() *tally {
	y := &tally{}
	r.judgeWrites(y)
	r.judgeSteps(y)
	r.judgeTickets(y)
	r.judgeStories(y)
	r.judgePresses(y)
	r.judgeMessages(y)
	r.judgeLedger(y)
	r.judgeNights(y)
	r.judgeBatches(y)
	r.judgeWaivers(y)
	r.judgeWatches(y)
	for _, s := range r.stuck {
		y.add(harmLost, "a story got stuck: %s", s)
	}
	if r.work != "" {
		y.add(harmLost, "work is left undone: %s", r.work)
	}
	for _, s := range r.fell {
		y.add(harmFell, "%s", s)
	}
	return y
}

// soaked is how long affinity has to be on before there is a second dyno, as the
// campaign hurries it; times are kept to the millisecond.
const soaked = 10*time.Minute/crashHurry - 2*time.Millisecond

func (r crashRecord) judgeWrites(y *tally) {
	for app, all := range r.writes {
		var busyUntil, affinityAt time.Time
		for _, w := range all {
			if w.from.Before(busyUntil) {
				y.add(harmOverlap, "%s: %q arrived while another write was under way", app, w.changed())
			}
			if w.to.After(busyUntil) {
				busyUntil = w.to
			}
			if w.changed() == "" {
				y.add(notedNothing, "")
			}
			before, _ := strconv.Atoi(w.before.web) // "none" is 0
			after, _ := strconv.Atoi(w.after.web)
			switch {
			case after > before && after > 1 && w.before.affinity != "on":
				y.add(harmOrder, "%s: web=%d without affinity", app, after)
			case after > before && !affinityAt.IsZero() && w.took.Sub(affinityAt) < soaked:
				y.add(harmOrder, "%s: web=%d only %s after affinity", app, after, w.took.Sub(affinityAt))
			case w.before.preboot == "off" && w.after.preboot == "on" && (before < 2 || w.webUp < 2):
				y.add(harmOrder, "%s: preboot on with %d web dynos, %d of them up", app, before, w.webUp)
			case after < before && w.before.preboot == "on":
				y.add(harmOrder, "%s: web=%d with preboot on", app, after)
			case w.after.affinity == "off" && w.before.affinity == "on" && before > 1:
				y.add(harmOrder, "%s: affinity off with %d web dynos", app, before)
			}
			if w.before.affinity == "off" && w.after.affinity == "on" {
				affinityAt = w.took
			}
		}
	}
}

// stepChange is what a step changes, in the words of [crashState.beyond].
func stepChange(s plan.Step) string {
	if f := s.To.Feature; f != nil {
		name := map[string]string{"http-session-affinity": "affinity", "preboot": "preboot"}[f.Name]
		return name + "=" + map[bool]string{true: "on", false: "off"}[f.On]
	}
	for i, to := range s.To.Processes {
		if to.Type != "web" {
			continue
		}
		if from := s.From.Processes[i]; to.Size != from.Size {
			return "size=" + to.Size
		}
		return "web=" + strconv.Itoa(to.Quantity)
	}
	return ""
}

// judgeSteps holds what tickets say that they did against what reached Heroku: the same
// changes, as often, each between its announcement and its end.
func (r crashRecord) judgeSteps(y *tally) {
	type deed struct {
		change, ticket string
		from, to       time.Time
		perhaps        bool // a person stopped it there, and the ticket says that it does not know
	}
	said := map[string][]deed{}
	for _, t := range r.tickets {
		for i, p := range t.Progress {
			change := stepChange(t.Plan.Steps[i])
			if change == "" || p.Already || p.Intended.IsZero() {
				continue
			}
			d := deed{change, t.ID, p.Intended, p.Done, p.Done.IsZero()}
			if d.perhaps {
				d.to = t.EndedAt
				if t.Halt == "" {
					y.add(harmEnded, "%s ended with %s announced and not known to be done", t.ID, change)
				}
			}
			said[t.Plan.Name] = append(said[t.Plan.Name], d)
		}
	}
	for app, all := range r.writes {
		for _, w := range all {
			if w.changed() == "" {
				continue
			}
			i := slices.IndexFunc(said[app], func(d deed) bool {
				// Both clocks are this machine's; the ticket's is cut to milliseconds.
				return d.change == w.changed() && !w.took.Before(d.from) && !w.took.After(d.to.Add(time.Millisecond))
			})
			switch {
			case i >= 0:
				said[app] = slices.Delete(said[app], i, i+1)
			case slices.ContainsFunc(r.tickets, func(t approval.Ticket) bool {
				return t.Plan.Name == app && slices.ContainsFunc(t.Plan.Steps, func(s plan.Step) bool { return stepChange(s) == w.changed() })
			}):
				y.add(harmRedo, "%s: %s took effect once more than any ticket says", app, w.changed())
			default:
				y.add(harmGhost, "%s: %s, which no ticket is about", app, w.changed())
			}
		}
	}
	for app, left := range said {
		for _, d := range left {
			if d.perhaps {
				continue
			}
			y.add(harmRedo, "%s: %s says that it did %s, and Heroku knows nothing of it", app, d.ticket, d.change)
		}
	}
}

func (r crashRecord) judgeTickets(y *tally) {
	envelopes, pressed := map[string]bool{}, map[string]bool{}
	for _, d := range r.presses {
		envelopes[d.envelope] = true
		if d.did == "approve" || d.did == "do" {
			pressed[d.who+" "+d.ticket] = true
		}
	}
	for _, t := range r.tickets {
		switch t.State {
		case approval.Pending, approval.Approved, approval.Running:
			if r.spare(t) {
				y.add(notedSpare, "")
				break
			}
			y.add(harmLost, "%s (%s, story %q, follows %q) is %s for ever (%s)", t.ID, t.Wish.Line(t.Plan.Name), r.story(t.Plan.Name), t.Follows, t.State, t.Waiting)
		case approval.Failed, approval.Expired:
			y.add(harmEnded, "%s is %s: %s", t.ID, t.State, t.Outcome)
		case approval.Stopped:
			if t.Halt == "" && !(t.Batch() && r.excused(t)) {
				y.add(harmEnded, "%s stopped, and nobody wanted it to: %s", t.ID, t.Outcome)
			}
		case approval.Stale:
			if !r.overtaken(t) && !slices.ContainsFunc(r.hands, func(app string) bool { return isAbout(t, app) }) {
				y.add(harmEnded, "%s is stale, and nothing had changed: %s", t.ID, t.Outcome)
			}
		}
		if t.Of == "" && !envelopes[t.Origin] {
			y.add(harmGhost, "%s comes from no request that anybody made", t.ID)
		}
		voices := map[string]int{}
		for _, v := range t.Votes {
			voices[v.User]++
			if v.User == t.Requester {
				y.add(harmSelf, "%s was approved by %s, who asked for it", t.ID, v.User)
			}
			name := map[string]string{"U0APPROVER": "approver", "U0APPROVER2": "approver2"}[v.User]
			if t.Resumer == "" && !pressed[name+" "+cmp.Or(t.Of, t.ID)] { // a part has the votes of its batch
				y.add(harmGhost, "%s has a vote of %s, who never voted", t.ID, v.User)
			}
		}
		begun := len(t.Progress) > 0 || begunBatch(t)
		if len(voices) != len(t.Votes) || len(t.Votes) > t.Approvals || begun && len(t.Votes) != t.Approvals {
			y.add(harmTwice, "%s needs %d approvals and has %v", t.ID, t.Approvals, voices)
		}
	}
}

// spare says whether a ticket waits that nobody needs: a request that Slack said had
// failed was stored all the same, and carried out when the one that its person made in
// its place was decided already, or the app had changed.
func (r crashRecord) spare(t approval.Ticket) bool {
	return t.State == approval.Pending && slices.ContainsFunc(r.tickets, func(o approval.Ticket) bool {
		return o.ID != t.ID && o.State != approval.Pending && o.Plan.App == t.Plan.App && o.Plan.Name == t.Plan.Name && o.Wish.Line("") == t.Wish.Line("")
	})
}

// overtaken says whether another ticket has changed the app, so that this one may well
// be stale.
func (r crashRecord) overtaken(t approval.Ticket) bool {
	return slices.ContainsFunc(r.tickets, func(o approval.Ticket) bool {
		return o.ID != t.ID && o.Of != t.ID && share(t, o) && len(o.Progress) > 0
	})
}

func (r crashRecord) story(app string) string {
	i := slices.IndexFunc(r.apps, func(a crashApp) bool { return slices.Contains(a.all(), app) })
	if i < 0 {
		return ""
	}
	return r.apps[i].story
}

// judgeStories looks at the apps in the end: what was acknowledged is carried out.
func (r crashRecord) judgeStories(y *tally) {
	ready := crashState{web: "2", size: "standard-1x", affinity: "on", preboot: "on"}
	untouched := crashState{web: "1", size: "standard-1x", affinity: "off", preboot: "off"}
	for _, a := range r.apps {
		if a.several() {
			r.judgeBatchApps(y, a)
			continue
		}
		got, want := r.final[a.name], ready
		if a.waives() {
			want = untouched
		}
		if a.watched() && a.story != storyWatchProve {
			want.preboot = "off"
		}
		switch a.story {
		case storyTwins:
			if got.affinity != "on" {
				y.add(harmLost, "%s: neither of two wishes has come true: %v", a.name, got)
			}
			continue
		case storyDeny, storyCancel:
			if got != untouched {
				y.add(harmGhost, "%s was changed to %v, though it was called off", a.name, got)
			}
			continue
		case storyUndo:
			want = untouched
		case storyQuorum:
			want.size = "performance-m"
		}
		if got != want {
			y.add(harmLost, "%s (%s): got %v, want %v", a.name, a.story, got, want)
		}
	}
}

// judgePresses looks for each thing that a person did and Slack heard an
// acknowledgement for: it was stored, and something came of it.
func (r crashRecord) judgePresses(y *tally) {
	ids := map[string]string{"approver": "U0APPROVER", "approver2": "U0APPROVER2", "admin": "U0ADMIN"}
	for i := range crashAskers {
		ids[crashAsker(i)] = fmt.Sprintf("U0ASKER%d", i)
	}
	used := map[int]bool{} // answers
	for _, d := range r.presses {
		if !d.acked || d.refused {
			continue
		}
		if _, stored := r.requests[d.envelope]; !stored {
			if !r.turnedAway(d) {
				y.add(harmLost, "%s: %s %s%s was acknowledged and not stored", d.who, d.did, d.ticket, d.app)
			}
			continue
		}
		if !r.cameOf(d, ids[d.who]) {
			y.add(harmLost, "%s: %s %s%s was stored, and nothing came of it", d.who, d.did, d.ticket, d.app)
		}
		if !r.answered(d, used) {
			y.add(notedSilent, "")
		}
	}
}

// turnedAway says whether a click was told that it was not accepted: by a message, as
// Slack shows no text of an acknowledgement for it.
func (r crashRecord) turnedAway(d *press) bool {
	return slices.ContainsFunc(r.events, func(e simslack.Event) bool {
		return e.To == d.who && e.At.After(d.at) && strings.Contains(strings.ToLower(e.Text), "not accepted")
	})
}

// cameOf says whether the ledger, or a ticket, knows of what a person did. A refusal is
// written there too.
func (r crashRecord) cameOf(d *press, user string) bool {
	if d.did == "ask" && d.ticket == "" {
		return len(r.waiversOf(d.app)) > 0 || len(r.watchesOf(d.app)) > 0 || slices.ContainsFunc(r.tickets, func(t approval.Ticket) bool { return isAbout(t, d.app) })
	}
	if i := slices.IndexFunc(r.watches, func(w watch.Watch) bool { return w.ID == d.ticket }); i >= 0 && r.watches[i].State == watch.Ended {
		return true // it was over, or is by this; judgeWatches wants an end by somebody's order where the story has one
	}
	return slices.ContainsFunc(r.entries, func(e ledger.Entry) bool {
		return e.Ticket == d.ticket && (e.Actor == user || strings.Contains(string(e.Detail), `"`+user+`"`)) ||
			d.did == "ask" && e.Actor == user && strings.Contains(string(e.Detail), `"`+d.ticket+`"`)
	}) || slices.ContainsFunc(r.tickets, func(t approval.Ticket) bool { return d.did == "ask" && t.Follows == d.ticket })
}

// answered finds the private answer to a press, each answer being that of one press.
func (r crashRecord) answered(d *press, used map[int]bool) bool {
	for i, e := range r.events {
		if e.At.After(d.at) && !used[i] && d.answeredBy(e) && (e.Ephemeral || isAnswer(e.Text)) {
			used[i] = true
			return true
		}
	}
	return false
}

// isAnswer says whether a direct message is an answer that could not be given where the
// question was.
func isAnswer(text string) bool { return strings.Contains(text, "where I could not answer you") }

var deciding = regexp.MustCompile(`\b(approve|deny|cancel|do|unwaive) ([TWD]-[0-9]+)\b`)

// judgeMessages looks at what stays on screens.
func (r crashRecord) judgeMessages(y *tally) {
	newest := map[string]simslack.Event{} // by channel and ts
	for _, e := range r.events {
		switch {
		case e.By != "bot" || e.Ephemeral || e.TS == "":
		case e.Kind == "delete":
			delete(newest, e.Channel+" "+e.TS)
		case e.Kind == "post" || e.Kind == "dm" || e.Kind == "update":
			newest[e.Channel+" "+e.TS] = e
		}
	}
	final := map[string]bool{}
	for _, t := range r.tickets {
		final[t.ID] = t.State.Final()
	}
	for _, w := range r.waivers {
		final[w.ID] = w.State.Final()
	}
	for _, w := range r.watches {
		final[w.ID] = w.State == watch.Ended
	}
	strays, repeats := map[string]int{}, map[string]bool{} // messages without a record; by ticket and channel
	for _, at := range slices.Sorted(maps.Keys(newest)) {
		e := newest[at]
		for _, order := range buttonsOf(e.Blocks) {
			if found := deciding.FindStringSubmatch(order); found != nil && final[found[2]] {
				y.add(harmLive, "%s still has a button %q: %.60q", at, order, e.Text)
			}
		}
		found := heading.FindStringSubmatch(e.Text)
		if found == nil || isAnswer(e.Text) {
			continue
		}
		key := found[1] + " in " + e.Channel
		if !r.posts[at] {
			strays[key]++
		}
		if strings.Contains(e.Text, "may be a repeat") || strings.Contains(e.Text, "an older copy") {
			repeats[key] = true
		}
	}
	for key, n := range strays {
		if repeats[key] {
			y.add(notedRepeat, "")
			continue
		}
		y.add(harmDouble, "%d messages of %s that the bot knows nothing of", n, key)
	}
}

// buttonsOf are the values of a message's buttons.
func buttonsOf(blocks json.RawMessage) (values []string) {
	var all []struct {
		Type     string
		Elements []struct{ Value string }
	}
	if json.Unmarshal(blocks, &all) != nil {
		return nil
	}
	for _, b := range all {
		if b.Type != "actions" {
			continue
		}
		for _, e := range b.Elements {
			values = append(values, e.Value)
		}
	}
	return values
}

func (r crashRecord) judgeLedger(y *tally) {
	if r.chain != "" {
		y.add(harmChain, "%s", r.chain)
	}
	told := map[string]int{}
	for _, e := range r.entries {
		key := e.Ticket + " " + e.Verb
		switch e.Verb {
		case ledger.StepIntended, ledger.StepDone:
			var detail struct{ Step int }
			_ = json.Unmarshal(e.Detail, &detail) // 0 where it has none
			key += " " + strconv.Itoa(detail.Step)
		case ledger.Begun:
			key += " " + strconv.Itoa(partNumber(e))
		case ledger.Asked, ledger.Approved, ledger.Denied, ledger.Started, ledger.Finished, ledger.Stopped, ledger.Stale,
			ledger.WaiverAsked, ledger.Waived, ledger.Unwaived, ledger.WaiverDenied, ledger.WatchAsked, ledger.WatchVerdict:
		default:
			continue
		}
		if told[key]++; told[key] == 2 {
			y.add(harmChain, "the ledger tells twice of %s", key)
		}
	}
}
