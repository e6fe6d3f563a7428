package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
)

// entries reads the ledger.
type entries interface {
	LedgerOf(ctx context.Context, app string, before int64, limit int) ([]ledger.Entry, error)
}

// nights reads what the nightly scans found; package audit says what each method does.
type nights interface {
	Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error)
	Night(ctx context.Context, id string) (audit.Night, error)
	Standings(ctx context.Context) iter.Seq2[audit.Standing, error]
	Standing(ctx context.Context, app fleet.ID) (s audit.Standing, found bool, err error)
	Turns(ctx context.Context, app fleet.ID, limit int) ([]audit.Turn, error)
}

// releases reads the releases of an app that were made after one time and before another.
type releases interface {
	ReadReleases(ctx context.Context, app fleet.ID, after, before time.Time) ([]fleet.Release, error)
}

const (
	// historyPage is how many entries one answer shows: what fits a message and a screen.
	historyPage = 15
	// ledgerAtOnce is how many entries of one app are read at a time: most have fewer.
	ledgerAtOnce = 100
	// turnsKept is how many turns of one app are looked at, the newest: a check that turns
	// every night for a year does not make history slow.
	turnsKept = 500
)

// historian is what history reads with.
type historian struct {
	apps     appReader
	policies Policies
	ledger   entries
	nights   nights
	releases releases
	messages func(context.Context, string) string
}

func newHistory(h historian) Command {
	const usage = "history [app] [before=<entry>]"
	return Command{
		Name:    "history",
		Usage:   usage,
		Summary: "who did what, and when an app's checks turned, newest first",
		Help: "Every request, decision and step, of all apps or of one, from the ledger. `bot ledger verify` proves that nothing in it was altered. " +
			"Of one app also when each check turned, between which two of my reads; a release or a person is named only where the release's description names the change. " +
			"It works for apps that are deleted by now, by their last name or by UUID.",
		Example: []string{"history", "history shop"},
		Args:    1,
		Options: []Option{{Name: "before", Summary: "the entry's number, or the time, to go on from"}},
		Run: func(ctx context.Context, req Request) (Reply, error) {
			from, err := parseCursor(req.Args.Options["before"], spoken(req.Via, usage))
			if err != nil {
				return Reply{}, err
			}
			word := req.Args.Word(0)
			if h.ledger == nil && (h.nights == nil || word == "") {
				return Reply{}, refuse("There is no ledger here.")
			}
			if word == "" {
				return h.all(ctx, from, spoken(req.Via, usage))
			}
			return h.one(ctx, word, from, req.Now, spoken(req.Via, usage))
		},
	}
}

// cursor is where a page begins: before an entry of the ledger or before a moment. The
// zero cursor is now.
type cursor struct {
	seq int64
	at  time.Time
}

func parseCursor(s, usage string) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return cursor{at: at}, nil
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "#"), 10, 64)
	if err != nil || n < 1 {
		return cursor{}, refuse("`before` takes an entry's number, such as `before=120`, or a time, such as `before=2026-11-22T03:31:00Z`. Usage: `%s`", usage)
	}
	return cursor{seq: n}, nil
}

// all is the ledger of every app.
func (h historian) all(ctx context.Context, from cursor, usage string) (Reply, error) {
	if !from.at.IsZero() {
		return Reply{}, refuse("Without an app, `before` takes an entry's number, such as `before=120`. Usage: `%s`", usage)
	}
	page, err := h.ledger.LedgerOf(ctx, "", from.seq, historyPage+1)
	if err != nil {
		return Reply{}, fmt.Errorf("read the ledger: %w", err)
	}
	var events []event
	for _, e := range page {
		events = append(events, event{at: e.At, entry: &e})
	}
	reply := h.page(ctx, "History", events, nil)
	if len(page) > historyPage {
		reply = with(reply, Buttons{[]Button{{Label: "Older", Run: fmt.Sprintf("history before=%d", page[historyPage-1].Seq)}}})
	}
	return reply, nil
}

// event is an entry of the ledger or a check that turned.
type event struct {
	at    time.Time
	entry *ledger.Entry
	turn  *audit.Turn
}

// one is everything that is known of one app, also where Heroku can't be asked about it.
func (h historian) one(ctx context.Context, word string, from cursor, now time.Time, usage string) (Reply, error) {
	app, err := h.find(ctx, word, usage)
	if err != nil {
		return Reply{}, err
	}
	events, from, err := h.entriesOf(ctx, app.ID, from)
	if err != nil {
		return Reply{}, err
	}
	if h.nights != nil {
		turns, err := h.nights.Turns(ctx, app.ID, turnsKept)
		if err != nil {
			return Reply{}, fmt.Errorf("read the turns of %s: %w", app.Name, err)
		}
		for _, t := range turns {
			if from.at.IsZero() || t.Before.Before(from.at) {
				events = append(events, event{at: t.Before, turn: &t})
			}
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return b.at.Compare(a.at) })
	shown := events
	if len(events) > historyPage {
		last := events[historyPage-1].at
		end := slices.IndexFunc(events, func(e event) bool { return e.at.Before(last) }) // what happened at one moment stays together: the next page begins before it
		if end >= 0 {
			shown = events[:end]
		}
	}
	reply := h.page(ctx, "History of "+app.Name, shown, &turnTeller{app: app, dates: dates{h.policies.Policy().Nightly.Location(), now}, releases: h.releases})
	if app.Gone != "" {
		reply.Parts = slices.Insert(reply.Parts, min(1, len(reply.Parts)), Part(Note{Line(app.Gone)}))
	}
	if len(shown) < len(events) {
		reply = with(reply, Buttons{[]Button{{Label: "Older", Run: "history " + string(app.ID) + " before=" + shown[len(shown)-1].at.UTC().Format(time.RFC3339Nano)}}})
	}
	return reply, nil
}

// entriesOf are the app's entries from the cursor on, enough for a page, and the cursor as
// a moment.
func (h historian) entriesOf(ctx context.Context, app fleet.ID, from cursor) (events []event, _ cursor, err error) {
	if h.ledger == nil {
		return nil, from, nil
	}
	if from.seq > 0 { // turns know moments only
		page, err := h.ledger.LedgerOf(ctx, string(app), from.seq+1, 1)
		if err != nil {
			return nil, from, fmt.Errorf("read the ledger: %w", err)
		}
		if len(page) > 0 {
			from.at = page[0].At
			if page[0].Seq < from.seq {
				from.at = from.at.Add(time.Millisecond) // the ledger's own grain: that entry is on this page
			}
		}
	}
	for seq := from.seq; ; {
		page, err := h.ledger.LedgerOf(ctx, string(app), seq, ledgerAtOnce)
		if err != nil {
			return nil, from, fmt.Errorf("read the ledger: %w", err)
		}
		for _, e := range page {
			if from.at.IsZero() || from.seq > 0 || e.At.Before(from.at) {
				events = append(events, event{at: e.At, entry: &e})
			}
			seq = e.Seq
		}
		if len(page) < ledgerAtOnce || len(events) > historyPage {
			return events, from, nil
		}
	}
}

// named is an app as history knows it.
type named struct {
	ID   fleet.ID
	Name string
	Gone string // why Heroku was not asked, in a sentence; empty: it was
}

// find is the app that a person named: as Heroku knows it, or as our scans last saw it.
func (h historian) find(ctx context.Context, word, usage string) (named, error) {
	ref, err := fleet.ParseRef(word)
	if err != nil || h.nights == nil {
		app, err := ReadNamed(ctx, h.apps, word, usage)
		return named{ID: app.ID, Name: app.Name}, err
	}
	app, err := h.apps.ReadApp(ctx, ref)
	problem, known := errors.AsType[*fleet.Problem](err)
	switch {
	case err == nil:
		return named{ID: app.ID, Name: app.Name}, nil
	case !known:
		return named{}, fmt.Errorf("read %s: %w", ref, err)
	}
	s, found, err := h.lastSeen(ctx, ref)
	switch {
	case err != nil:
		return named{}, err
	case !found && problem.Kind == fleet.NotFound:
		problem.App = ref.String()
		return named{}, noSuchApp(ctx, h.apps, ref, problem)
	case !found:
		return named{}, problem
	case problem.Kind == fleet.NotFound:
		return named{s.App, s.Name, "Heroku does not show this app to me any more: it is deleted or renamed, or was taken from me. This is what I know from before."}, nil
	}
	return named{s.App, s.Name, "Heroku could not be asked about this app just now (" + problem.Reason().Text + "). This is what I know."}, nil
}

// lastSeen is the app of that name or UUID in the scans. Of several that had the name one
// after the other it is the one seen last.
func (h historian) lastSeen(ctx context.Context, ref fleet.Ref) (last audit.Standing, found bool, err error) {
	for s, err := range h.nights.Standings(ctx) {
		if err != nil {
			return audit.Standing{}, false, fmt.Errorf("read the standings: %w", err)
		}
		if (s.Name == ref.String() || string(s.App) == ref.String()) && (!found || s.ReadAt.After(last.ReadAt)) {
			last, found = s, true
		}
	}
	return last, found, nil
}

// page is one page of history; turns tells the checks that turned, and is nil where there
// are none.
func (h historian) page(ctx context.Context, title string, events []event, turns *turnTeller) Reply {
	if len(events) == 0 {
		text := Line("I know of nothing about that yet.")
		return Reply{Summary: text.String(), Parts: []Part{Para{text}}}
	}
	if turns != nil {
		turns.read(ctx, events)
	}
	var items []Item
	links := map[string]string{} // by ticket
	for _, e := range events {
		if e.turn != nil {
			items = append(items, turns.item(*e.turn))
			continue
		}
		text := entryText(*e.entry)
		ticket := e.entry.Ticket
		if _, asked := links[ticket]; !asked && ticket != "" && h.messages != nil {
			links[ticket] = h.messages(ctx, ticket)
		}
		if url := links[ticket]; url != "" {
			text = append(text, Line(" · ", Link(url, "message"))...)
		}
		items = append(items, Item{Text: text})
	}
	reply := Reply{Summary: title, Parts: []Part{Heading{title}, List{items}}}
	if turns != nil && turns.unnamed {
		reply.Parts = append(reply.Parts, Note{Line("Heroku keeps no record of who changes features, dynos or sizes by hand, so nobody is named for a check that turned unless a release's own description does.")})
	}
	return reply
}

// turnTeller tells the turns of one app.
type turnTeller struct {
	app      named
	dates    dates
	releases releases
	made     []fleet.Release // between the reads that matter
	unnamed  bool            // at least one turn names nobody
}

// read gets the releases made between the reads of the turns, in one call. Where it
// fails, nobody is named: that is all that it costs.
func (t *turnTeller) read(ctx context.Context, events []event) {
	var first, last time.Time
	for _, e := range events {
		if e.turn == nil || e.turn.After.IsZero() {
			continue
		}
		if first.IsZero() || e.turn.After.Before(first) {
			first = e.turn.After
		}
		if e.turn.Before.After(last) {
			last = e.turn.Before
		}
	}
	if t.releases == nil || first.IsZero() || t.app.Gone != "" {
		return
	}
	made, err := t.releases.ReadReleases(ctx, t.app.ID, first, last)
	if err == nil {
		t.made = made
	}
}

// item is "Preboot: pass → fail between our reads of Monday 03:31 and Tuesday 03:32".
func (t *turnTeller) item(turn audit.Turn) Item {
	text := Line(Bold(titles([]string{turn.Check})[0]))
	if turn.Name != "" && turn.Name != t.app.Name {
		text = append(text, Line(" (as ", Code(turn.Name), ")")...)
	}
	switch {
	case turn.After.IsZero() || turn.From == "":
		text = append(text, Line(": "+outcomeWord(turn.To)+" at our read of "+t.dates.moment(turn.Before)+", the first that could tell. ")...)
	default:
		text = append(text, Line(fmt.Sprintf(": %s → %s between our reads of %s and %s. ", outcomeWord(turn.From), outcomeWord(turn.To), t.dates.moment(turn.After), t.dates.moment(turn.Before)))...)
	}
	item := Item{Mark: mark(audit.Finding{Outcome: turn.To, Required: turn.Required}), Text: append(append(text, shortly(turn.Evidence)...), Line(".")...)}
	for _, r := range t.made {
		if turn.After.IsZero() || !r.CreatedAt.After(turn.After) || r.CreatedAt.After(turn.Before) || !audit.NamesChange(r.Description, turn.Check) {
			continue
		}
		detail := Line(fmt.Sprintf("Release v%d", r.Version))
		if r.By != "" {
			detail = append(detail, Line(" by "+brief(r.By, 80))...)
		}
		item.Detail = append(item.Detail, append(detail, Line(" in between says “"+brief(strings.Join(strings.Fields(r.Description), " "), 120)+"”.")...))
	}
	t.unnamed = t.unnamed || len(item.Detail) == 0
	return item
}

func outcomeWord(o audit.Outcome) string { return strings.ReplaceAll(string(o), "-", " ") }

func entryText(e ledger.Entry) Text {
	who := Line("zdd")
	if e.Actor != ledger.Bot {
		who = Line(MentionUser(e.Actor))
	}
	verb, about := told(e)
	text := Line(fmt.Sprintf("#%d ", e.Seq), At(e.At.Truncate(time.Second)), " ", who, " ", Bold(verb))
	if about != "" {
		text = append(text, Line(" ", about)...)
	}
	if waives(e) {
		text = append(append(text, Line(" ")...), waiverTold(e)...)
	}
	if e.Verb == ledger.Begun {
		text = append(text, behind(e)...)
	}
	if e.Ticket != "" {
		text = append(text, Line(" · ", Code(e.Ticket))...)
	}
	if e.Name != "" {
		text = append(text, Line(" ", Code(e.Name))...)
	}
	return text
}

// behind is who approved what an entry says has begun: the decision was on several apps
// together.
func behind(e ledger.Entry) Text {
	var detail struct {
		Batch string          `json:"batch"`
		Votes []approval.Vote `json:"votes"`
	}
	_ = json.Unmarshal(e.Detail, &detail) // of another version's form: then the verb has to do
	if detail.Batch == "" {
		return nil // told of the ticket for all of them
	}
	var text Text
	for i, v := range detail.Votes {
		sep := ", "
		if i == 0 {
			sep = ", approved by "
		}
		text = append(text, Line(sep, MentionUser(v.User))...)
	}
	return text
}

// told is what an entry tells, as a verb and the words after it. The ledger's own verbs
// are made for programs.
func told(e ledger.Entry) (verb, about string) {
	var detail struct {
		Wish   string `json:"wish"`
		Tried  string `json:"tried"`
		Reason string `json:"reason"`
		Why    string `json:"why"`
		What   string `json:"what"`
		Halt   bool   `json:"halt"`
		Self   bool   `json:"self"`
		Night  string `json:"night"`
		Batch  string `json:"batch"`
		Begun  string `json:"part_ticket"`

		Verdict string `json:"verdict"`
		Release int    `json:"release"`
	}
	_ = json.Unmarshal(e.Detail, &detail) // of another version's form: then the verb has to do
	short := func(s string) string {
		const most = 120 // characters; a line
		s = strings.Join(strings.Fields(strings.ReplaceAll(s, "`", "")), " ")
		if r := []rune(s); len(r) > most {
			s = string(r[:most]) + "…"
		}
		return s
	}
	switch e.Verb {
	case ledger.Asked:
		return "asked", short(detail.Wish)
	case ledger.Voted, ledger.Approved:
		if detail.Self {
			about = "(the requester's own voice counts)"
		}
		return e.Verb, about
	case ledger.Refused:
		return "was refused", short(detail.Tried)
	case ledger.Cancelled:
		if detail.Halt {
			return "asked to stop", ""
		}
	case ledger.Denied:
		if detail.Reason != "" {
			about = "“" + short(detail.Reason) + "”"
		}
		return e.Verb, about
	case ledger.Begun:
		if detail.Batch != "" {
			return "began", "as part of " + short(detail.Batch)
		}
		return "began with", short(detail.Begun)
	case ledger.StepIntended:
		return "begins", short(detail.What)
	case ledger.StepDone:
		return "done", short(detail.What)
	case ledger.StepFailed:
		return "failed", short(detail.What)
	case ledger.Stale, ledger.Stopped, ledger.Failed:
		return e.Verb, short(detail.Why)
	case ledger.Rechecked:
		return "looked again", ""
	case ledger.PolicyLoaded:
		return "read the policy", ""
	case ledger.Reported:
		return "reported the night", short(detail.Night)
	case ledger.Damaged:
		return "found the ledger damaged:", short(detail.Why)
	case ledger.WaiverAsked:
		return "asked to waive", ""
	case ledger.WaiverDenied:
		return "denied to waive", ""
	case ledger.Unwaived:
		return "ended the waiver of", ""
	case ledger.WaiverExpired:
		return "saw the end of the waiver of", ""
	case ledger.WatchAsked:
		return "asked to watch a deploy", ""
	case ledger.WatchVerdict:
		release := fmt.Sprintf("v%d", detail.Release)
		switch {
		case detail.Verdict == "proved":
			return "proved", release
		case detail.Verdict == "failed":
			return "saw", release + " fail"
		case detail.Release == 0:
			return "watched", "and no release was made"
		}
		return "watched", release + ", which proves nothing"
	}
	return e.Verb, ""
}
