//go:build unix

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"example.com/zdd/chat"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// TestCrashSeesHarmToWaivers does each harm that there can be to a waiver to the record of
// one that was renewed as it should be.
func TestCrashSeesHarmToWaivers(t *testing.T) {
	for name, c := range map[string]struct {
		hurt func(r *crashRecord)
		want []string // the kinds of harm that are counted
	}{
		"none":                        {func(*crashRecord) {}, nil},
		"one that nobody asked for":   {func(r *crashRecord) { r.waivers[1].Origin = "E-other" }, []string{harmGhost}},
		"a vote that nobody gave":     {func(r *crashRecord) { r.waivers[1].Votes[0].User = "U0APPROVER2" }, []string{harmGhost}},
		"approved by who asked":       {func(r *crashRecord) { r.waivers[1].By = "U0APPROVER" }, []string{harmSelf}},
		"approved by two":             {func(r *crashRecord) { r.waivers[1].Votes = slices.Repeat(r.waivers[1].Votes, 2) }, []string{harmTwice}},
		"holding without an approval": {func(r *crashRecord) { r.waivers[1].Votes = nil }, []string{harmTwice}},
		"both hold":                   {func(r *crashRecord) { r.waivers[0].State = policy.WaiverActive }, []string{harmLost, harmGhost}},
		"the approved one waits": {func(r *crashRecord) {
			r.waivers[1].State = policy.WaiverPending
		}, []string{harmLost}},
		"the only one waits for ever": {func(r *crashRecord) {
			w := policy.Waiver{ID: "W-3", State: policy.WaiverPending, Name: "app-0009", Origin: "E-waive"}
			r.waivers = append(r.waivers, w)
		}, []string{harmLost}},
		"it ended by itself":           {func(r *crashRecord) { r.waivers[0].State = policy.WaiverExpired }, []string{harmLost, harmEnded}},
		"the ledger does not bear out": {func(r *crashRecord) { r.forged = []string{"W-2 is not what the ledger tells of it"} }, []string{harmChain}},
		"the ledger tells it twice":    {func(r *crashRecord) { r.entries = append(r.entries, r.entries[len(r.entries)-1]) }, []string{harmChain}},
		"nothing came of a request":    {func(r *crashRecord) { r.waivers = r.waivers[:0]; r.apps = r.apps[:1] }, []string{harmLost}},
		"a button that is left":        {func(r *crashRecord) { r.events[len(r.events)-1].Blocks = buttonFor("unwaive W-1 plan=1234") }, []string{harmLive}},
		"two messages": {func(r *crashRecord) {
			r.events = append(r.events, message("5", "W-1 · preboot of app-0002: renewed as W-2"))
		}, []string{harmDouble}},
	} {
		t.Run(name, func(t *testing.T) {
			r := wellWaiver()
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

// wellWaiver is the record of wellRun with a waiver that another one has replaced.
func wellWaiver() crashRecord {
	r := wellRun()
	r.apps = append(r.apps, crashApp{name: "app-0002", story: storyWaiveAgain})
	r.final["app-0002"] = crashState{"1", "standard-1x", "off", "off"}
	for _, w := range []policy.Waiver{{ID: "W-1", State: policy.WaiverReplaced, Replaced: "W-2", Origin: "E-waive"}, {ID: "W-2", State: policy.WaiverActive, Origin: "E-again"}} {
		w.Name, w.By, w.From, w.Votes = "app-0002", "U0ASKER0", second(2), []policy.WaiverVote{{User: "U0APPROVER"}}
		yes := &press{who: "approver", did: "approve", ticket: w.ID, envelope: "E-yes-" + w.ID, acked: true, at: second(2)}
		r.waivers = append(r.waivers, w)
		r.presses = append(r.presses, &press{who: "asker0", did: "ask", app: "app-0002", envelope: w.Origin, acked: true, at: second(1)}, yes)
		r.requests[w.Origin], r.requests[yes.envelope] = chat.Accepted{}, chat.Accepted{}
		r.entries = append(r.entries, ledger.Entry{Ticket: w.ID, Verb: ledger.Waived, Actor: "U0APPROVER", Detail: json.RawMessage(`{}`)})
	}
	r.posts["C0OPS 4"] = true
	r.events = append(r.events, message("4", "W-1 · preboot of app-0002: renewed as W-2"))
	return r
}
