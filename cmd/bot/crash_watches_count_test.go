//go:build unix

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// crashWatches is what is left of watches of deploys.
type crashWatches struct {
	watches []watch.Watch
	sent    []probeRun   // by the router
	deaths  [][]death    // of processes, by replica
	shown   []watchShown // messages and files about watches, as Slack has them in the end
}

// watchShown is a message about a watch, or its file.
type watchShown struct {
	crashPart
	watch string // id
	data  []byte // of a file
}

// watchHome is the channel in which people ask for watches.
const watchHome = "C0GENERAL"

// The parts of what is told of a watch, by their targets; and its file.
const (
	watchCard = "channel/" + watchHome
	watchRing = watchCard + "/verdict"
)

func watchFile(id string) string { return "zdd-watch-" + id + ".json" }

var watchFileName = regexp.MustCompile(`^zdd-watch-(D-[0-9]+)\.json$`)

// readWatches gathers what is left of watches, once the bot has stopped.
func (r *crashRecord) readWatches(t *testing.T, s *siege, kept *store.Store) {
	t.Helper()
	var err error
	if r.watches, err = kept.Watches(t.Context(), watch.Filter{Limit: -1}); err != nil {
		t.Fatal(err)
	}
	for _, one := range s.replicas {
		r.deaths = append(r.deaths, one.deaths)
	}
	s.world.mu.Lock()
	r.sent = slices.Clone(s.world.probes)
	s.world.mu.Unlock()
	if r.shown, err = s.world.watchesShown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// watchesShown are the messages and files about watches in their channel.
func (w *crashWorld) watchesShown(ctx context.Context) (all []watchShown, err error) {
	top, err := w.messages(ctx, "conversations.history", url.Values{"channel": {watchHome}})
	if err != nil {
		return nil, err
	}
	for _, p := range top {
		if !strings.HasPrefix(p.ticket, "D-") {
			continue
		}
		thread, err := w.messages(ctx, "conversations.replies", url.Values{"channel": {watchHome}, "ts": {p.ts}})
		if err != nil {
			return nil, err
		}
		for _, p := range thread {
			one := watchShown{crashPart: p, watch: p.ticket}
			if found := watchFileName.FindStringSubmatch(p.file); found != nil {
				one.watch = found[1]
				answer := httptest.NewRecorder()
				req := httptest.NewRequestWithContext(ctx, http.MethodGet, w.slackURL+"/_control/file/"+p.fileID, nil)
				req.RemoteAddr = "127.0.0.1:1" // it shows files to this machine only
				w.slack.ServeHTTP(answer, req)
				one.data = answer.Body.Bytes()
			}
			if strings.HasPrefix(one.watch, "D-") {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// cutAndWhole counts watches that the bot did not outlive, and others that were begun and
// ended.
func (r crashRecord) cutAndWhole() (cut, whole int) {
	for _, w := range r.watches {
		switch {
		case strings.HasPrefix(w.Cut, cutShort):
			cut++
		case w.State == watch.Ended && !w.Began.IsZero():
			whole++
		}
	}
	return cut, whole
}

// watchedInWords is how many watches there were, and what came of them.
func (r crashRecord) watchedInWords() string {
	verdicts := map[watch.Verdict]int{}
	for _, w := range r.watches {
		verdicts[w.Verdict]++
	}
	cut, _ := r.cutAndWhole()
	return fmt.Sprintf("watches=%d cut=%d proved=%d failed=%d", len(r.watches), cut, verdicts[watch.Proved], verdicts[watch.Failed])
}

// watchesOf are the watches of an app.
func (r crashRecord) watchesOf(app string) []watch.Watch {
	return slices.DeleteFunc(slices.Clone(r.watches), func(w watch.Watch) bool { return w.Name != app })
}

// judgeWatches holds the watches against the router's records, the ends of processes, the
// ledger and what Slack shows.
func (r crashRecord) judgeWatches(y *tally) {
	envelopes := map[string]bool{}
	for _, d := range r.presses {
		envelopes[d.envelope] = true
	}
	for _, w := range r.watches {
		if !envelopes[w.Origin] {
			y.add(harmGhost, "%s comes from no request that anybody made", w.ID)
		}
		if w.State != watch.Ended || w.Verdict == "" {
			y.add(harmEndless, "%s of %s is %s for ever", w.ID, w.Name, w.State)
			continue
		}
		r.judgeCut(y, w)
		r.judgeVerdictInLedger(y, w)
		r.judgeShown(y, w)
	}
	r.judgeRivals(y)
	for _, a := range r.apps {
		if !a.watched() {
			continue
		}
		all := r.watchesOf(a.name)
		if len(all) == 0 {
			y.add(harmLost, "%s (%s) was never watched", a.name, a.story)
		}
		stopped := func(w watch.Watch) bool { return w.StopBy != "" || strings.HasPrefix(w.Cut, cutShort) }
		if a.story == storyWatchStop && len(all) > 0 && !slices.ContainsFunc(all, stopped) {
			y.add(harmLost, "%s (%s): nobody's order ended a watch", a.name, a.story)
		}
	}
}

// span is from when a watch was asked for until its verdict, as the ledger tells it; to is
// zero where it tells of none.
func (r crashRecord) span(w watch.Watch) (from, to time.Time) {
	_, from = r.told(w.ID, ledger.WatchAsked)
	_, to = r.told(w.ID, ledger.WatchVerdict)
	return from, to
}

// runner is the requests of the replica that has asked most for a watch's app while that
// ran: another one, that was stopped for longer than its lease, may have sent some for a
// former watch of the same app.
func (r crashRecord) runner(w watch.Watch, until time.Time) (one probeRun, ran bool) {
	if w.Began.IsZero() {
		return probeRun{}, false
	}
	for _, p := range r.sent {
		if p.app == w.Name && !p.to.Before(w.Began) && p.from.Before(until) && p.n > one.n {
			one = p
		}
	}
	return one, one.n > 0
}

// judgeCut wants a watch whose process has not outlived it to say so, with what it had seen,
// and to claim nothing.
func (r crashRecord) judgeCut(y *tally, w watch.Watch) {
	claims := w.Verdict != watch.Inconclusive
	if claims && strings.HasPrefix(w.Cut, cutShort) {
		y.add(harmClaimed, "%s of %s says %s, and %q", w.ID, w.Name, w.Verdict, w.Cut)
		return
	}
	_, verdict := r.span(w)
	if verdict.IsZero() {
		return // judgeVerdictInLedger tells of it
	}
	sent, ran := r.runner(w, verdict)
	if !ran {
		if claims {
			y.add(harmClaimed, "%s of %s says %s, and nothing of it reached the app", w.ID, w.Name, w.Verdict)
		}
		return
	}
	for _, d := range r.deaths[sent.replica] {
		begun := sent.from
		if begun.Before(w.Began) {
			begun = w.Began
		}
		switch {
		case d.gone.Before(begun) || !d.told.Before(verdict):
			continue
		case d.gone.Before(verdict): // another process gave it
		case w.Ended.Before(d.told) || !w.Until.After(w.Ended): // it was over by then
			continue
		}
		if claims || w.Cut == "" {
			y.add(harmClaimed, "%s of %s says %s (cut: %q), and who asked %d times from %s to %s was ended at %s, before the verdict of %s", w.ID, w.Name, w.Verdict, w.Cut,
				sent.n, sent.from.Format(time.StampMilli), sent.to.Format(time.StampMilli), d.told.Format(time.StampMilli), verdict.Format(time.StampMilli))
			return
		}
		// Who has not stored anything for as long has lost the right to it.
		if sent.to.Sub(sent.from) > crashQueue().Lease && w.Counts.Sent == 0 {
			y.add(harmClaimed, "%s of %s has forgotten what was seen by %d requests", w.ID, w.Name, sent.n)
			return
		}
	}
}

// judgeVerdictInLedger wants one entry, which says what is stored.
func (r crashRecord) judgeVerdictInLedger(y *tally, w watch.Watch) {
	for _, e := range r.entries {
		var told struct {
			Verdict watch.Verdict
			Release int
			Sent    int
		}
		if e.Ticket != w.ID || e.Verb != ledger.WatchVerdict {
			continue
		}
		if err := json.Unmarshal(e.Detail, &told); err != nil || told.Verdict != w.Verdict || told.Release != w.Release.Version || told.Sent != w.Counts.Sent {
			y.add(harmDiffers, "%s of %s is v%d %s of %d requests, and the ledger says %s", w.ID, w.Name, w.Release.Version, w.Verdict, w.Counts.Sent, e.Detail)
		}
		return
	}
	y.add(harmChain, "the ledger tells nothing of the verdict of %s", w.ID)
}

// judgedAs is what a message says of a watch that is over.
var judgedAs = regexp.MustCompile(`(D-[0-9]+) · (\S+?): (?:v([0-9]+) )?(proved, nobody noticed|failed, visitors noticed|inconclusive)`)

// judgeShown wants one message with the verdict, that of the database; who asked told once,
// in its thread; and one file, that says the same.
func (r crashRecord) judgeShown(y *tally, w watch.Watch) {
	by, marked := map[string][]watchShown{}, map[string]int{}
	for _, p := range r.shown {
		if p.watch != w.ID {
			continue
		}
		part := cmp.Or(p.file, p.target)
		by[part] = append(by[part], p)
		if p.repeat() {
			marked[part]++
		}
	}
	for _, part := range []string{watchCard, watchRing, watchFile(w.ID)} {
		switch n := len(by[part]); {
		case n-marked[part] > 1:
			y.add(harmVerdicts, "%s of %s has %d of %s", w.ID, w.Name, n, part)
		case n > 1:
			y.add(notedRepeat, "")
		}
	}
	is := map[watch.Verdict]string{watch.Proved: "proved, nobody noticed", watch.Failed: "failed, visitors noticed", watch.Inconclusive: "inconclusive"}[w.Verdict]
	told := 0
	for _, p := range by[watchCard] {
		found := judgedAs.FindStringSubmatch(p.text)
		if found == nil {
			y.add(harmUnjudged, "%s of %s was never told its verdict: %.300s", w.ID, w.Name, p.text)
			continue
		}
		told++
		version := ""
		if w.Release.Version > 0 {
			version = fmt.Sprint(w.Release.Version)
		}
		if found[1] != w.ID || found[2] != w.Name || found[3] != version || found[4] != is {
			y.add(harmDiffers, "%s of %s is v%s %s, and Slack shows %q", w.ID, w.Name, version, w.Verdict, found[0])
		}
	}
	if len(by[watchCard]) == 0 {
		y.add(harmUnjudged, "%s of %s has no message", w.ID, w.Name)
	}
	if told == 0 {
		return
	}
	if w.StopBy != w.By && len(by[watchRing]) == 0 {
		y.add(harmUnjudged, "%s was never told the verdict of %s of %s", w.By, w.ID, w.Name)
	}
	summary := commands.WatchReply(w, commands.WatchView{Zone: crashZone()}).Summary
	for _, p := range by[watchRing] {
		if text := p.plain(); !strings.Contains(text, summary) {
			y.add(harmDiffers, "%s of %s is %q, and who asked was told %q", w.ID, w.Name, summary, text)
		}
	}
	if !w.Began.IsZero() && len(by[watchFile(w.ID)]) == 0 {
		y.add(harmUnjudged, "%s of %s has no file", w.ID, w.Name)
	}
	for _, p := range by[watchFile(w.ID)] {
		var filed watch.Watch
		if err := json.Unmarshal(p.data, &filed); err != nil || filed.ID != w.ID || filed.Verdict != w.Verdict || filed.Release.Version != w.Release.Version || filed.Counts.Sent != w.Counts.Sent {
			y.add(harmDiffers, "%s of %s is v%d %s of %d requests, and its file says v%d %s of %d (%v)", w.ID, w.Name, w.Release.Version, w.Verdict, w.Counts.Sent,
				filed.Release.Version, filed.Verdict, filed.Counts.Sent, err)
		}
	}
}

// plain is the message's top-level text.
func (p crashPart) plain() string {
	var m struct{ Text string }
	_ = json.Unmarshal([]byte(p.text), &m) // it is Slack's own
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(m.Text)
}

// judgeRivals wants no watch of an app to be asked for before the one before it is over.
func (r crashRecord) judgeRivals(y *tally) {
	for i, w := range r.watches {
		from, to := r.span(w)
		for _, other := range r.watches[i+1:] {
			since, until := r.span(other)
			if other.App == w.App && (until.IsZero() || from.Before(until)) && (to.IsZero() || since.Before(to)) {
				y.add(harmRivals, "%s was watched by %s and %s at once", w.Name, w.ID, other.ID)
			}
		}
	}
}
