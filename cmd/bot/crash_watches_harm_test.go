//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/watch"
)

// TestCrashSeesHarmToWatches does each harm that there can be to a watch to the record of
// two that went well, the first of which was cut short by a kill.
func TestCrashSeesHarmToWatches(t *testing.T) {
	const cut, whole = 0, 1
	says := func(r *crashRecord, n int, v watch.Verdict) { // everywhere, so that only the claim is wrong
		r.watches[n].Verdict = v
		r.tellWatch(n)
	}
	for name, c := range map[string]struct {
		hurt func(r *crashRecord)
		want []string // the kinds of harm that are counted
	}{
		"none":                          {func(*crashRecord) {}, nil},
		"one that runs for ever":        {func(r *crashRecord) { r.watches[whole].State = watch.Running }, []string{harmEndless}},
		"one that waits for ever":       {func(r *crashRecord) { r.watches[whole].State = watch.Waiting }, []string{harmEndless}},
		"one that ended and was judged": {func(r *crashRecord) { r.watches[whole].Verdict = "" }, []string{harmEndless}},

		"cut short, and proved":            {func(r *crashRecord) { says(r, cut, watch.Proved) }, []string{harmClaimed}},
		"cut short, and failed":            {func(r *crashRecord) { says(r, cut, watch.Failed) }, []string{harmClaimed}},
		"cut short, which it does not say": {func(r *crashRecord) { r.watches[cut].Cut = "" }, []string{harmClaimed}},
		"failed, whoever asked was killed": {func(r *crashRecord) { r.deaths[1] = append(r.deaths[1], death{second(126), second(126)}) }, []string{harmClaimed}},
		"failed, whoever asked was ended meanwhile": {func(r *crashRecord) {
			r.deaths[1] = append(r.deaths[1], death{second(124), second(129)})
			r.watches[whole].Until = second(200)
		}, []string{harmClaimed}},
		"failed, whoever asked was ended when it was over": {func(r *crashRecord) {
			r.deaths[1] = append(r.deaths[1], death{second(124), second(129)})
		}, nil},
		"failed, and the other one was killed": {func(r *crashRecord) { r.deaths[0] = append(r.deaths[0], death{second(124), second(124)}) }, nil},
		"failed, and nobody asked":             {func(r *crashRecord) { r.sent = r.sent[:1] }, []string{harmClaimed}},
		"cut short, and what was seen is forgotten": {func(r *crashRecord) {
			r.watches[cut].Counts.Sent = 0
			r.tellWatch(cut)
		}, []string{harmClaimed}},
		"cut short at once, and nothing was seen": {func(r *crashRecord) {
			r.watches[cut].Counts.Sent = 0
			r.tellWatch(cut)
			r.sent[0].to = r.sent[0].from.Add(time.Second)
		}, nil},

		"two messages":                  {func(r *crashRecord) { r.again("D-2", watchCard) }, []string{harmVerdicts}},
		"two, of which one is a repeat": {func(r *crashRecord) { r.again("D-2", watchCard); r.marked() }, nil},
		"who asked is told twice":       {func(r *crashRecord) { r.again("D-2", watchRing) }, []string{harmVerdicts}},
		"two files":                     {func(r *crashRecord) { r.again("D-2", watchFile("D-2")) }, []string{harmVerdicts}},

		"no message": {func(r *crashRecord) { r.without("D-2", watchCard) }, []string{harmUnjudged}},
		"a message without a verdict": {func(r *crashRecord) {
			r.part("D-2", watchCard).text = `{"blocks":[{"text":{"text":"D-2 · live-0001: watching v14"}}]}`
		}, []string{harmUnjudged}},
		"who asked is not told":              {func(r *crashRecord) { r.without("D-2", watchRing) }, []string{harmUnjudged}},
		"who asked is not told, and stopped": {func(r *crashRecord) { r.without("D-2", watchRing); r.watches[whole].StopBy = "U0ASKER0" }, nil},
		"no file":                            {func(r *crashRecord) { r.without("D-2", watchFile("D-2")) }, []string{harmUnjudged}},

		"asked for before the one before it is over": {func(r *crashRecord) {
			r.entries[slices.IndexFunc(r.entries, func(e ledger.Entry) bool { return e.Ticket == "D-2" })].At = second(105)
		}, []string{harmRivals}},
		"of another app": {func(r *crashRecord) {
			r.entries[slices.IndexFunc(r.entries, func(e ledger.Entry) bool { return e.Ticket == "D-2" })].At = second(105)
			r.watches[whole].App = "M"
		}, nil},

		"the message says that it was proved": {func(r *crashRecord) {
			p := r.part("D-2", watchCard)
			p.text = strings.Replace(p.text, "failed, visitors noticed", "proved, nobody noticed", 1)
		}, []string{harmDiffers}},
		"the message tells of another release": {func(r *crashRecord) {
			p := r.part("D-2", watchCard)
			p.text = strings.Replace(p.text, "v14 ", "v13 ", 1)
		}, []string{harmDiffers}},
		"who asked is told something else": {func(r *crashRecord) { r.part("D-2", watchRing).text = `{"text":"live-0001: none failed"}` }, []string{harmDiffers}},
		"the file says something else":     {func(r *crashRecord) { r.part("D-2", watchFile("D-2")).data = r.part("D-1", watchFile("D-1")).data }, []string{harmDiffers}},
		"the ledger says something else": {func(r *crashRecord) {
			r.entries[len(r.entries)-1].Detail = json.RawMessage(`{"verdict":"proved","release":14,"sent":80}`)
		}, []string{harmDiffers}},
		"the database says something else": {func(r *crashRecord) { r.watches[whole].Verdict = watch.Inconclusive }, []string{harmDiffers}},

		"one that nobody asked for":   {func(r *crashRecord) { r.watches[whole].Origin = "E-other" }, []string{harmGhost}},
		"an app that was not watched": {func(r *crashRecord) { r.watches = nil }, []string{harmLost}},
		"an order to stop in vain": {func(r *crashRecord) {
			r.apps[len(r.apps)-1].story, r.watches[cut].Cut = storyWatchStop, "its time was up"
		}, []string{harmLost}},
		"no verdict in the ledger":     {func(r *crashRecord) { r.entries = r.entries[:len(r.entries)-1] }, []string{harmChain}},
		"two verdicts in the ledger":   {func(r *crashRecord) { r.entries = append(r.entries, r.entries[len(r.entries)-1]) }, []string{harmChain}},
		"a button that is left":        {func(r *crashRecord) { r.events[len(r.events)-1].Blocks = buttonFor("cancel D-2") }, []string{harmLive}},
		"a button that may be left":    {func(r *crashRecord) { r.events[len(r.events)-1].Blocks = buttonFor("show D-2") }, nil},
		"an app that the bot changed":  {func(r *crashRecord) { r.final["live-0001"] = crashState{"3", "standard-1x", "on", "off"} }, []string{harmLost}},
		"nothing came of a request":    {func(r *crashRecord) { r.watches, r.apps = nil, r.apps[:1] }, []string{harmLost}},
		"a watch not asked by a story": {func(r *crashRecord) { r.apps = r.apps[:1] }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := wellWatched()
			c.hurt(&r)
			y := r.judge()
			var got []string
			for _, kind := range harms() {
				if y.count[kind] > 0 {
					got = append(got, kind)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got harm %q, want %q:\n%s", got, c.want, strings.Join(y.what, "\n"))
			}
		})
	}
}

// wellWatched is the record of wellRun with an app that was watched twice: at 101 s by the
// first replica, which was killed at 106 s, and at 120 s by the second one.
func wellWatched() crashRecord {
	r := wellRun()
	r.apps = append(r.apps, crashApp{name: "live-0001", story: storyWatchDrop})
	r.final["live-0001"] = crashState{"2", "standard-1x", "on", "off"}
	one := watch.Watch{App: "L", Name: "live-0001", By: "U0ASKER0", State: watch.Ended}
	cut, whole := one, one
	cut.ID, cut.Origin, cut.Verdict, cut.Cut = "D-1", "E-watch", watch.Inconclusive, cutShort+", after 5 s"
	cut.Began, cut.Ended, cut.Until, cut.Counts.Sent = second(101), second(106), second(111), 95
	cut.Release = fleet.Release{Version: 13}
	cut.Reasons = []watch.Reason{{Text: "The watch was cut short: " + cut.Cut + "."}}
	whole.ID, whole.Origin, whole.Verdict, whole.Release = "D-2", "E-watch-again", watch.Failed, fleet.Release{Version: 14}
	whole.Began, whole.Ended, whole.Until, whole.Counts.Sent = second(121), second(125), second(125), 80
	whole.In.Bad, whole.Episodes = map[watch.Outcome]int{watch.Server: 9}, []watch.Episode{{From: second(122), To: second(123), Bad: map[watch.Outcome]int{watch.Server: 9}}}
	r.watches = []watch.Watch{cut, whole}
	r.sent = []probeRun{
		{app: "live-0001", replica: 0, from: second(101), to: second(106), n: 100},
		{app: "live-0001", replica: 0, from: second(121), to: second(122), n: 8}, // of the first watch, by a process that had been stopped
		{app: "live-0001", replica: 1, from: second(121), to: second(125), n: 80},
	}
	r.deaths = [][]death{{{second(106), second(106)}}, {{second(100), second(100)}, {second(130), second(130)}}}
	for i, at := range []int{100, 120} {
		w := r.watches[i]
		r.presses = append(r.presses, &press{who: "asker0", did: "ask", app: w.Name, envelope: w.Origin, acked: true, at: second(at)})
		r.requests[w.Origin] = chat.Accepted{}
		r.entries = append(r.entries,
			ledger.Entry{At: second(at), Ticket: w.ID, Verb: ledger.WatchAsked, Actor: w.By},
			ledger.Entry{At: second(at + 8), Ticket: w.ID, Verb: ledger.WatchVerdict, Actor: ledger.Bot})
		r.tellWatch(i)
	}
	r.events = append(r.events, simslack.Event{Kind: "post", Channel: watchHome, TS: "20", By: "bot", Text: "D-2 · live-0001: v14 failed, visitors noticed", At: second(128)})
	return r
}

// tellWatch has the ledger and Slack say what is stored of the n-th watch.
func (r *crashRecord) tellWatch(n int) {
	w := r.watches[n]
	r.shown = slices.DeleteFunc(r.shown, func(p watchShown) bool { return p.watch == w.ID })
	reply := commands.WatchReply(w, commands.WatchView{Zone: crashZone()})
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // it is text
		}
		return string(text)
	}
	card := crashPart{ticket: w.ID, target: watchCard, text: encode(map[string]any{"blocks": []any{map[string]any{"text": map[string]any{"text": reply.Parts[0].(commands.Heading).Text}}}})}
	ring := crashPart{ticket: w.ID, target: watchRing, text: encode(map[string]any{"text": "<@U0ASKER0> " + reply.Summary})}
	r.shown = append(r.shown, watchShown{crashPart: card, watch: w.ID}, watchShown{crashPart: ring, watch: w.ID},
		watchShown{crashPart: crashPart{file: watchFile(w.ID)}, watch: w.ID, data: []byte(encode(w))})
	for i, e := range r.entries {
		if e.Ticket == w.ID && e.Verb == ledger.WatchVerdict {
			r.entries[i].Detail = json.RawMessage(fmt.Sprintf(`{"verdict":%q,"release":%d,"sent":%d}`, w.Verdict, w.Release.Version, w.Counts.Sent))
		}
	}
}

// part is what Slack shows of a watch, by its target or its name.
func (r *crashRecord) part(id, part string) *watchShown {
	return &r.shown[slices.IndexFunc(r.shown, func(p watchShown) bool { return p.watch == id && (p.target == part || p.file == part) })]
}

func (r *crashRecord) again(id, part string) { r.shown = append(r.shown, *r.part(id, part)) }

// marked has what Slack shows last say that it may be a repeat.
func (r *crashRecord) marked() { r.shown[len(r.shown)-1].text += "This may be a repeat" }

func (r *crashRecord) without(id, part string) {
	r.shown = slices.DeleteFunc(r.shown, func(p watchShown) bool { return p.watch == id && (p.target == part || p.file == part) })
}
