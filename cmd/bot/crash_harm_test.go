//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	simslack "example.com/zdd/sim/slack"
)

// TestCrashSeesHarm does each harm to the record of a campaign that went well: a count
// that stays zero whatever happens would show nothing.
func TestCrashSeesHarm(t *testing.T) {
	for name, c := range map[string]struct {
		hurt func(r *crashRecord)
		want string // the kinds of harm that are counted; empty: none
	}{
		"none":                                  {func(*crashRecord) {}, ""},
		"a request acknowledged and not stored": {func(r *crashRecord) { delete(r.requests, "E-approve") }, harmLost},
		"that was turned away": {func(r *crashRecord) {
			delete(r.requests, "E-approve")
			r.events = append(r.events, simslack.Event{Kind: "ephemeral", By: "bot", To: "approver", At: second(3), Text: "Not accepted: no database", Ephemeral: true})
		}, ""},
		"a decision of which nothing came": {func(r *crashRecord) { r.entries = slices.Delete(r.entries, 1, 2) }, harmLost},
		"an approved ticket left alone": {func(r *crashRecord) {
			r.tickets[0].State = approval.Approved
		}, harmLost},
		"an app that is not as it was to be": {func(r *crashRecord) { r.final["app-0001"] = crashState{"2", "standard-1x", "on", "off"} }, harmLost},
		"a story that got stuck":             {func(r *crashRecord) { r.stuck = []string{"app-0001"} }, harmLost},
		"work left undone":                   {func(r *crashRecord) { r.work = "tell" }, harmLost},
		"a step that took effect twice": {func(r *crashRecord) {
			again := r.writes["app-0001"][2]
			again.from, again.took, again.to = second(31), second(31), second(32)
			r.writes["app-0001"] = append(r.writes["app-0001"], again)
		}, harmRedo},
		"a write without effect": {func(r *crashRecord) {
			again := r.writes["app-0001"][2]
			again.from, again.took, again.to, again.before = second(31), second(31), second(32), again.after
			r.writes["app-0001"] = append(r.writes["app-0001"], again)
		}, ""},
		"a step said to be done that was not": {func(r *crashRecord) { r.writes["app-0001"] = r.writes["app-0001"][:2] }, harmRedo},
		"a write before it was announced":     {func(r *crashRecord) { r.tickets[0].Progress[2].Intended = second(22) }, harmRedo},
		"two writes at a time":                {func(r *crashRecord) { r.writes["app-0001"][0].to = second(11) }, harmOverlap},
		"no affinity": {func(r *crashRecord) {
			r.writes["app-0001"][1].before.affinity, r.writes["app-0001"][1].after.affinity = "off", "off"
		}, harmOrder},
		"no soak": {func(r *crashRecord) {
			r.tickets[0].Progress[0].Done = second(12)
			r.writes["app-0001"][0].took = second(10).Add(-time.Millisecond)
		}, harmOrder},
		"preboot before the dynos are up": {func(r *crashRecord) { r.writes["app-0001"][2].webUp = 1 }, harmOrder},
		"approved by too many": {func(r *crashRecord) {
			r.tickets[0].Votes = append(r.tickets[0].Votes, approval.Vote{User: "U0APPROVER2"})
		}, harmTwice + "+" + harmGhost},
		"approved twice by one":           {func(r *crashRecord) { r.tickets[0].Votes = append(r.tickets[0].Votes, r.tickets[0].Votes[0]) }, harmTwice},
		"approved by who asked":           {func(r *crashRecord) { r.tickets[0].Requester = "U0APPROVER" }, harmSelf},
		"a ticket that nobody asked for":  {func(r *crashRecord) { r.tickets[0].Origin = "E-other" }, harmGhost},
		"a vote that nobody gave":         {func(r *crashRecord) { r.presses = r.presses[:1] }, harmGhost},
		"a write that no ticket is about": {func(r *crashRecord) { r.writes["app-0001"][2].after.web = "7" }, harmRedo + "+" + harmGhost},
		"a ticket that failed":            {func(r *crashRecord) { r.tickets[0].State = approval.Failed }, harmEnded},
		"a ticket that stopped by itself": {func(r *crashRecord) { r.tickets[0].State = approval.Stopped }, harmEnded},
		"a button that is left":           {func(r *crashRecord) { r.events[1].Blocks = buttonFor("approve T-1") }, harmLive},
		"a button that may be left":       {func(r *crashRecord) { r.events[1].Blocks = buttonFor("undo T-1") }, ""},
		"a private answer's button":       {func(r *crashRecord) { r.events[2].Blocks = buttonFor("cancel T-1") }, ""},
		"two messages":                    {func(r *crashRecord) { r.events = append(r.events, message("2", "T-1 · enable app-0001: done")) }, harmDouble},
		"two messages, told to be a repeat": {func(r *crashRecord) {
			r.events = append(r.events, message("2", "T-1 · enable app-0001: done\nThis may be a repeat"))
		}, ""},
		"a ledger that is not whole": {func(r *crashRecord) { r.chain = "entry #3 was altered" }, harmChain},
		"a process that fell":        {func(r *crashRecord) { r.fell = []string{"panic"} }, harmFell},
		"a step that the ledger tells twice": {func(r *crashRecord) {
			r.entries = append(r.entries, ledger.Entry{Ticket: "T-1", Verb: ledger.StepDone, Detail: json.RawMessage(`{"step":2}`)}, ledger.Entry{Ticket: "T-1", Verb: ledger.StepDone, Detail: json.RawMessage(`{"step":2}`)})
		}, harmChain},
		"a night that never began":    {func(r *crashRecord) { r.scheduled = append(r.scheduled, "2026-11-23") }, harmUntold},
		"a night that is not stored":  {func(r *crashRecord) { r.begun = append(r.begun, "2026-11-22#2") }, harmLost},
		"a night that is never told":  {func(r *crashRecord) { r.nights[0].State = audit.Scanned }, harmUntold},
		"a night told without a post": {func(r *crashRecord) { r.parts = r.parts[:3] }, harmUntold},
		"a digest of no night":        {func(r *crashRecord) { r.parts = append(r.parts, digestPart(crashHome, "9", "", "2026-11-21")) }, harmGhost},
		"a digest posted twice":       {func(r *crashRecord) { r.parts = append(r.parts, digestPart(crashHome, "9", "", "2026-11-22")) }, harmDouble},
		"a digest told to be a repeat": {func(r *crashRecord) {
			r.parts = append(r.parts, repeated(digestPart(crashHome, "9", "", "2026-11-22")))
		}, ""},
		"no thread":                     {func(r *crashRecord) { r.parts = slices.Delete(r.parts, 1, 2) }, harmTorn},
		"a part of a thread, twice":     {func(r *crashRecord) { r.parts = append(r.parts, digestPart(crashHome, "9", "5", "2026-11-22")) }, harmDouble},
		"a part of a thread, elsewhere": {func(r *crashRecord) { r.parts[1].thread = "" }, harmTorn},
		"an app that no part tells of":  {func(r *crashRecord) { r.parts[1].text = "" }, harmTorn},
		"no table":                      {func(r *crashRecord) { r.parts = slices.Delete(r.parts, 2, 3) }, harmTorn},
		"a table shared twice":          {func(r *crashRecord) { r.parts = append(r.parts, r.parts[2]) }, harmDouble},
		"an app judged twice in a night": {func(r *crashRecord) {
			r.judged = append(r.judged, judgement{"A", "2026-11-22", second(41)})
		}, harmScan},
		"an app written twice":              {func(r *crashRecord) { r.judged = append(r.judged, r.judged[0]) }, ""},
		"an app counted and not judged":     {func(r *crashRecord) { r.judged = r.judged[1:] }, harmScan},
		"a night that the ledger tells not": {func(r *crashRecord) { r.entries = r.entries[:2] }, harmChain},
		"a night that the ledger tells twice": {func(r *crashRecord) {
			r.entries = append(r.entries, r.entries[2])
		}, harmChain},
	} {
		t.Run(name, func(t *testing.T) {
			r := wellRun()
			c.hurt(&r)
			y, got := r.judge(), ""
			for _, kind := range harms() {
				if y.count[kind] > 0 {
					if got != "" {
						got += "+"
					}
					got += kind
				}
			}
			if got != c.want {
				t.Errorf("got harm %q, want %q:\n%q", got, c.want, y.what)
			}
		})
	}
}

// second is a moment of the story below.
func second(n int) time.Time { return time.Unix(1_000_000+int64(n), 0).UTC() }

func buttonFor(order string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`[{"type":"section"},{"type":"actions","elements":[{"type":"button","value":%q}]}]`, order))
}

func message(ts, text string) simslack.Event {
	return simslack.Event{Kind: "post", Channel: "C0OPS", ChannelName: "ops", TS: ts, By: "bot", Text: text, At: second(30)}
}

// wellRun is the record of one app, enabled as it should be.
func wellRun() crashRecord {
	state := func(web, affinity, preboot string) crashState {
		return crashState{web, "standard-1x", affinity, preboot}
	}
	change := func(from, to plan.State) plan.Step { return plan.Step{From: from, To: to} }
	feature := func(name string, on bool) plan.State { return plan.State{Feature: &plan.Feature{Name: name, On: on}} }
	web := func(n int) plan.State {
		return plan.State{Processes: []plan.Process{{Type: "web", Size: "standard-1x", Quantity: n}}}
	}
	write := func(at int, before, after crashState) crashWrite {
		return crashWrite{app: "app-0001", from: second(at), took: second(at), to: second(at).Add(time.Millisecond), before: before, after: after, webUp: 2}
	}
	progress := func(at int) approval.Progress {
		return approval.Progress{Intended: second(at), Done: second(at + 1)}
	}
	return crashRecord{
		apps:  []crashApp{{name: "app-0001", story: storyPlain}},
		final: map[string]crashState{"app-0001": state("2", "on", "on")},
		writes: map[string][]crashWrite{"app-0001": {
			write(9, state("1", "off", "off"), state("1", "on", "off")),
			write(10, state("1", "on", "off"), state("2", "on", "off")),
			write(20, state("2", "on", "off"), state("2", "on", "on")),
		}},
		presses: []*press{
			{who: "asker0", did: "ask", app: "app-0001", envelope: "E-ask", acked: true, at: second(1)},
			{who: "approver", did: "approve", ticket: "T-1", envelope: "E-approve", acked: true, at: second(2)},
		},
		events: []simslack.Event{
			{Kind: "ack", Envelope: "E-ask", At: second(1)},
			message("1", "T-1 · enable app-0001: done"),
			{Kind: "ephemeral", By: "bot", To: "asker0", TS: "3", Text: "T-1 · enable app-0001: awaits approval", Ephemeral: true, At: second(2)},
		},
		requests: map[string]chat.Accepted{"E-ask": {}, "E-approve": {}},
		posts:    map[string]bool{"C0OPS 1": true},
		tickets: []approval.Ticket{{
			ID: "T-1", State: approval.Done, Requester: "U0ASKER0", Origin: "E-ask", Approvals: 1,
			Votes: []approval.Vote{{User: "U0APPROVER"}},
			Plan: plan.Plan{Name: "app-0001", App: "A", Steps: []plan.Step{
				change(feature("http-session-affinity", false), feature("http-session-affinity", true)),
				change(web(1), web(2)),
				change(feature("preboot", false), feature("preboot", true)),
			}},
			Progress: []approval.Progress{progress(9), progress(10), progress(20)},
		}},
		entries: []ledger.Entry{
			{Ticket: "T-1", Verb: ledger.Asked, Actor: "U0ASKER0"},
			{Ticket: "T-1", Verb: ledger.Approved, Actor: "U0APPROVER"},
			{Verb: ledger.Reported, Actor: ledger.Bot, Detail: json.RawMessage(`{"night":"2026-11-22"}`)},
		},
		crashNights: wellNight(),
	}
}

// wellNight is a night of two apps, one of which is told in a channel of its own too.
func wellNight() crashNights {
	line := func(app fleet.ID, name string) []audit.Line {
		return []audit.Line{{App: app, Name: name, Kind: audit.LineNew, Checks: []string{"preboot"}, Evidence: []string{"preboot is off"}}}
	}
	one := audit.Counts{NotReady: 1}
	digest := &audit.Digest{Night: "2026-11-22", Zone: "Europe/Berlin", Finished: second(50), Groups: []audit.Group{
		{Team: "acme", Counts: one, Lines: line("A", "app-0001")},
		{Team: "acme", Channel: crashShop, Counts: one, Lines: line("B", "app-0011")},
	}}
	table := func(channel, thread string) crashPart {
		return crashPart{channel: channel, thread: thread, ts: thread + "9", file: "zdd-2026-11-22.csv"}
	}
	return crashNights{
		scheduled: []string{"2026-11-22"},
		begun:     []string{"2026-11-22"},
		nights:    []audit.Night{{ID: "2026-11-22", State: audit.Told, Coverage: audit.Coverage{Judged: 2}, Digest: digest}},
		judged:    []judgement{{"A", "2026-11-22", second(40)}, {"B", "2026-11-22", second(40)}},
		parts: []crashPart{
			digestPart(crashHome, "5", "", "2026-11-22"), digestPart(crashHome, "6", "5", "2026-11-22"), table(crashHome, "5"),
			digestPart(crashShop, "7", "", "2026-11-22"), digestPart(crashShop, "8", "7", "2026-11-22"), table(crashShop, "7"),
		},
	}
}

// digestPart is a digest's message, or where it has a thread the first one in that.
func digestPart(channel, ts, thread, night string) crashPart {
	p := crashPart{channel: channel, ts: ts, thread: thread, night: night, target: "channel/" + channel, text: "app-0001 app-0011"}
	if thread != "" {
		p.target += "/thread/01"
	}
	return p
}

func repeated(p crashPart) crashPart {
	p.text += " Posted again, because"
	return p
}
