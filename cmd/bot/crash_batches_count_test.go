//go:build unix

package main

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/ledger"
	simslack "example.com/zdd/sim/slack"
)

// isAbout says whether a ticket is about an app, by itself or among others.
func isAbout(t approval.Ticket, app string) bool {
	return t.Plan.Name == app || slices.ContainsFunc(t.Parts, func(p approval.Part) bool { return p.Plan.Name == app })
}

// share says whether two tickets are about the same app.
func share(a, b approval.Ticket) bool {
	if !a.Batch() {
		return isAbout(b, a.Plan.Name)
	}
	return slices.ContainsFunc(a.Parts, func(p approval.Part) bool { return isAbout(b, p.Plan.Name) })
}

// begunBatch says whether anything of a batch has begun.
func begunBatch(t approval.Ticket) bool {
	_, begun := t.Current()
	return begun
}

// excused says whether a batch had a reason to end early: one of its parts did, or
// somebody wanted it to. What each part has for a reason is judged with its own ticket.
func (r crashRecord) excused(batch approval.Ticket) bool {
	return batch.Halt != "" || slices.ContainsFunc(r.partsOf(batch), func(t approval.Ticket) bool {
		return t.Halt != "" || t.State == approval.Cancelled || t.State == approval.Stale
	})
}

// partsOf are the tickets that carry a batch's parts out, in the order of the batch.
func (r crashRecord) partsOf(batch approval.Ticket) (parts []approval.Ticket) {
	for _, t := range r.tickets {
		if t.Of == batch.ID {
			parts = append(parts, t)
		}
	}
	slices.SortFunc(parts, func(a, b approval.Ticket) int { return ticketNumber(a.ID) - ticketNumber(b.ID) })
	return parts
}

// told is when, and as which of its entries, the ledger tells first of a ticket with one
// of these verbs; seq 0: never.
func (r crashRecord) told(ticket string, verbs ...string) (seq int64, at time.Time) {
	for _, e := range r.entries {
		if e.Ticket == ticket && slices.Contains(verbs, e.Verb) {
			return e.Seq, e.At
		}
	}
	return 0, time.Time{}
}

// judgeBatches holds each batch against its parts' tickets, the ledger, what reached
// Heroku and what Slack shows.
func (r crashRecord) judgeBatches(y *tally) {
	byID := map[string]approval.Ticket{}
	for _, t := range r.tickets {
		byID[t.ID] = t
	}
	for _, t := range r.tickets {
		switch {
		case t.Batch():
			r.judgeParts(y, t)
			r.judgeSaid(y, t)
		case t.Of != "" && !byID[t.Of].Batch():
			y.add(harmGhost, "%s is a part of %s, which is no batch", t.ID, t.Of)
		}
	}
	for app, all := range r.writes {
		changed := func(w crashWrite) bool { return w.changed() != "" }
		its := func(t approval.Ticket) bool { return !t.Batch() && t.Plan.Name == app }
		if slices.ContainsFunc(all, changed) && !slices.ContainsFunc(r.tickets, its) {
			y.add(harmStray, "%s was changed, and no ticket carries anything out on it", app)
		}
	}
}

// judgeParts wants each part begun once at the most, in its order, when those before it
// were done and had their pause, one at a time, and none once the batch was over.
func (r crashRecord) judgeParts(y *tally, batch approval.Ticket) {
	made := map[string]int{}
	parts := r.partsOf(batch)
	for _, t := range parts {
		if made[t.Plan.Name]++; made[t.Plan.Name] == 2 {
			y.add(harmAgain, "%s has two tickets for %s", batch.ID, t.Plan.Name)
		}
	}
	begun := map[string]int{}
	for _, e := range r.entries {
		if e.Verb != ledger.Begun {
			continue
		}
		if begun[e.Ticket]++; begun[e.Ticket] == 2 && e.Ticket != batch.ID && byOf(parts, e.Ticket) {
			y.add(harmAgain, "the ledger tells twice that %s, a part of %s, began", e.Ticket, batch.ID)
		}
	}
	over, _ := r.told(batch.ID, ledger.Cancelled, ledger.Stopped, ledger.Failed, ledger.Finished, ledger.Denied, ledger.Stale, ledger.Expired)
	shown := r.shownOver(batch.ID)
	for i, t := range parts {
		seq, at := r.told(t.ID, ledger.Begun)
		switch {
		case seq == 0:
			y.add(harmGhost, "%s carries out a part of %s, and the ledger does not tell that it began", t.ID, batch.ID)
		case over > 0 && seq > over:
			y.add(harmLate, "%s began for %s when %s was over, or cancelled", t.ID, t.Plan.Name, batch.ID)
		case i < len(batch.Parts) && t.Plan.Name != batch.Parts[i].Plan.Name:
			y.add(harmOrder, "%s began with %s as number %d, which is %s", batch.ID, t.Plan.Name, i+1, batch.Parts[i].Plan.Name)
		}
		if first, last := r.changed(t); !shown.IsZero() && last.After(shown) && !r.otherwise(t) {
			y.add(harmLate, "%s changed %s from %s to %s, and %s was shown to be over at %s", t.ID, t.Plan.Name, first, last, batch.ID, shown)
		}
		if i == 0 {
			continue
		}
		before := parts[i-1]
		if before.State != approval.Done || before.EndedAt.After(at) {
			y.add(harmBoth, "%s began at %s, when %s was %s (%s)", t.ID, at, before.ID, before.State, before.EndedAt)
		} else if at.Sub(before.EndedAt) < crashPause(i) {
			y.add(harmOrder, "%s began %s after %s, want a pause of %s", t.ID, at.Sub(before.EndedAt), before.ID, crashPause(i))
		}
		first, _ := r.changed(t)
		if _, last := r.changed(before); !first.IsZero() && first.Before(last) {
			y.add(harmBoth, "%s changed %s when %s was at %s", t.ID, t.Plan.Name, before.ID, before.Plan.Name)
		}
	}
}

func byOf(parts []approval.Ticket, id string) bool {
	return slices.ContainsFunc(parts, func(t approval.Ticket) bool { return t.ID == id })
}

// crashPause is the pause before part i of a batch, as the campaign hurries it.
func crashPause(i int) time.Duration {
	pause := 2 * time.Minute
	if i == 1 { // after the canary
		pause = 5 * time.Minute
	}
	return pause/crashHurry - time.Millisecond
}

// changed is when a ticket's writes that had an effect reached Heroku, the first and the
// last.
func (r crashRecord) changed(t approval.Ticket) (first, last time.Time) {
	for _, w := range r.writes[t.Plan.Name] {
		for i, p := range t.Progress {
			ours := !p.Intended.IsZero() && !p.Already && stepChange(t.Plan.Steps[i]) == w.changed() && w.changed() != ""
			if end := cmp.Or(p.Done, t.EndedAt); !ours || w.took.Before(p.Intended) || w.took.After(end.Add(time.Millisecond)) {
				continue
			}
			if first.IsZero() {
				first = w.took
			}
			last = w.took
		}
	}
	return first, last
}

// otherwise says whether another ticket has gone on with the same app.
func (r crashRecord) otherwise(t approval.Ticket) bool {
	return slices.ContainsFunc(r.tickets, func(o approval.Ticket) bool { return o.ID != t.ID && o.Plan.Name == t.Plan.Name && len(o.Progress) > 0 })
}

// shownOver is when Slack first showed that a ticket is over; zero: it never did.
func (r crashRecord) shownOver(ticket string) time.Time {
	for _, e := range r.events {
		if found := heading.FindStringSubmatch(e.Text); e.By == "bot" && found != nil && found[1] == ticket && seenAs(found[3]) == seenOver {
			return e.At
		}
	}
	return time.Time{}
}

// judgeSaid wants a batch that ended early to say what was not begun: in the database
// and on the screen.
func (r crashRecord) judgeSaid(y *tally, batch approval.Ticket) {
	if batch.State != approval.Stopped && batch.State != approval.Failed {
		return
	}
	card := r.newest(batch.ID)
	for _, p := range batch.Parts {
		if p.Ticket != "" {
			continue
		}
		if _, said, found := strings.Cut(batch.Outcome, "Not begun: "); !found || !mentions(said, p.Plan.Name) {
			y.add(harmUnsaid, "%s does not say that %s was not begun: %s", batch.ID, p.Plan.Name, batch.Outcome)
		}
		if _, said, found := strings.Cut(card, "Not begun: "); !found || !mentions(said, p.Plan.Name) {
			y.add(harmUnsaid, "%s does not show that %s was not begun: %.500q", batch.ID, p.Plan.Name, card)
		}
	}
}

// newest is what the ticket's message in the approval channel says in the end.
func (r crashRecord) newest(ticket string) string {
	i := slices.IndexFunc(r.events, func(e simslack.Event) bool {
		found := heading.FindStringSubmatch(e.Text)
		return e.By == "bot" && e.ChannelName == "ops" && !e.Ephemeral && found != nil && found[1] == ticket
	})
	if i < 0 {
		return ""
	}
	text := ""
	for _, e := range r.events {
		if e.TS == r.events[i].TS && e.Channel == r.events[i].Channel && (e.Kind == "post" || e.Kind == "update") {
			text = e.Text
		}
	}
	return text
}

// judgeBatchApps looks at the apps of a story of several in the end.
func (r crashRecord) judgeBatchApps(y *tally, a crashApp) {
	ready := crashState{web: "2", size: "standard-1x", affinity: "on", preboot: "on"}
	untouched := crashState{web: "1", size: "standard-1x", affinity: "off", preboot: "off"}
	for _, name := range a.all() {
		got := r.final[name]
		switch begun, done := r.cameTo(name); {
		case slices.Contains(r.hands, name):
			if got.affinity != "off" || got.preboot != "off" || len(r.writes[name]) > 0 {
				y.add(harmGhost, "%s was changed to %v, though it was no more as it was when that was decided", name, got)
			}
		case a.story == storyBatchDeny || a.story == storyBatchClick, !begun && a.story != storyBatch && a.story != storyBatchFree:
			if got != untouched {
				y.add(harmGhost, "%s was changed to %v, though nothing was begun on it", name, got)
			}
		case done || a.story == storyBatch || a.story == storyBatchFree:
			if got != ready {
				y.add(harmLost, "%s (%s): got %v, want %v", name, a.story, got, ready)
			}
		}
	}
}

// cameTo says what came of an app: whether a ticket has begun with it, and whether one
// is done with it.
func (r crashRecord) cameTo(app string) (begun, done bool) {
	for _, t := range r.tickets {
		if !t.Batch() && t.Plan.Name == app {
			begun, done = begun || len(t.Progress) > 0, done || t.State == approval.Done
		}
	}
	return begun, done
}

// partNumber tells the parts of a batch apart in what the ledger tells of it.
func partNumber(e ledger.Entry) int {
	var detail struct{ Part int }
	_ = json.Unmarshal(e.Detail, &detail) // 0 where it has none
	return detail.Part
}
