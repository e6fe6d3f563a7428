package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/until"
)

// waivers reads which waivers there are; *approval.WaiverReader does.
type waivers interface {
	Rules(ctx context.Context, app fleet.App) (policy.Rules, error)
	Of(ctx context.Context, app fleet.ID) ([]policy.Waiver, error)
	Open(ctx context.Context) ([]policy.Waiver, error)
	Waiver(ctx context.Context, id string) (policy.Waiver, error)
}

// waiveDesk is where waivers are asked for and decided on; *approval.Waivers is one.
type waiveDesk interface {
	waivers
	Ask(ctx context.Context, a approval.WaiveFor) (w policy.Waiver, made bool, err error)
	Approve(ctx context.Context, id string, by approval.Person) (policy.Waiver, error)
	Deny(ctx context.Context, id string, by approval.Person, reason string) (policy.Waiver, error)
	End(ctx context.Context, id string, by approval.Person, reason string) (policy.Waiver, error)
}

// becauseWord is the word behind which a line tells the reason, and then whatever its owner
// wants to say of it.
const becauseWord = "because"

// waiver is what the commands on waivers work with.
type waiver struct {
	apps     appReader
	policies Policies
	desk     waiveDesk
}

// view is how one is shown to that person.
func (v waiver) view(w policy.Waiver, reader Person, now time.Time) WaiverView {
	to := ForAsker
	if w.By == reader.ID {
		to = ForRequester
	}
	return WaiverView{To: to, Policy: v.policies.Policy(), Now: now}
}

func newWaive(v waiver) Command {
	const usage = "waive <app> <check> until <date> because <reason> [text]"
	return Command{
		Name:    "waive",
		Usage:   usage,
		Summary: "take a check out of an app's verdict until some day, and say why",
		Help: "The check stays what it is, in status and in the digest, and does not count until then. Checks: " + checkNames() + ". Reasons: " + codes(reasonWords()) + "; what follows the reason is yours to write. " +
			"Dates as you write them: `2027-01-31`, `31 Jan`, `in 2 weeks`, `friday`, `end of month`, `tomorrow 18:00`, `in 4 hours`. A date means through its end, by the policy's clocks (`digest.timezone`); what could be meant in two ways is refused, and the answer says the end in full. " +
			"The policy says for how long at the most and whether somebody else has to approve (`waivers`). A renamed app keeps its waivers, one that is made anew under its name has none. Its owner is mentioned 7, 3 and 1 days before the end; to ask again is a new decision. " +
			"A `migration-window` is for switching something off for a migration, at most for 7 days: if the check still fails when it is over, I remind you.",
		Example: []string{"waive shop preboot until 31 Jan because vendor-limit the payment service allows one connection", "waive shop preboot until tomorrow 18:00 because migration-window", "waive legacy web-dynos until end of month because being-retired"},
		Args:    maxLine, // the text's words
		Free:    becauseWord,
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if v.desk == nil {
				return Reply{}, noWaivers()
			}
			return v.waive(ctx, req, spoken(req.Via, usage))
		},
	}
}

func noWaivers() error {
	return refuse("There are no waivers here: they are kept where I am connected, in Slack.")
}

// waiveWish is what a line asks for.
type waiveWish struct {
	app, check string
	until      string // as it was typed
	reason     policy.Reason
	text       string
	soon       string // a date to suggest where none was typed
}

// parseWaive takes the words of a line apart. What is missing or wrong is refused in the
// order in which people type it, with what was understood kept in the way out. soon is a date to
// suggest.
func parseWaive(req Request, usage, soon string) (wish waiveWish, err error) {
	wish.soon = soon
	in := req.Args.Words
	is := func(word string, any ...string) bool { return slices.Contains(any, strings.ToLower(word)) }
	why := slices.IndexFunc(in, func(word string) bool { return is(word, becauseWord) })
	head, tail := in, []string(nil)
	if why >= 0 {
		head, tail = in[:why], in[why+1:]
	}
	if at := slices.IndexFunc(head, func(word string) bool { return is(word, "until", "till", "for") }); at >= 0 {
		wish.until = strings.Join(head[at+1:], " ")
		if is(head[at], "for") {
			wish.until = "for " + wish.until
		}
		head = head[:at]
	}
	if len(head) > 0 {
		wish.app = head[0]
	}
	if len(head) > 1 {
		wish.check = strings.ToLower(strings.Join(head[1:], "-"))
	}
	if len(tail) > 0 {
		n := 1
		wish.reason = policy.Reason(strings.ToLower(tail[0]))
		if len(tail) > 1 && !slices.Contains(policy.Reasons(), wish.reason) {
			if two := policy.Reason(strings.ToLower(tail[0] + "-" + tail[1])); slices.Contains(policy.Reasons(), two) {
				wish.reason, n = two, 2
			}
		}
		// The date may come last, but only right behind the reason: further on it is text.
		if rest := tail[n:]; wish.until == "" && len(rest) > 1 && is(rest[0], "until", "till") {
			wish.until, n = strings.Join(rest[1:], " "), len(tail)
		}
		wish.text = strings.Join(tail[n:], " ")
	}
	switch { // from a dialog: what the line does not say
	case wish.until == "":
		wish.until = req.Note
	case wish.text == "":
		wish.text = req.Note
	}
	return wish, wish.complete(req.Via, usage)
}

// complete refuses a wish of which something is missing or not known.
func (w waiveWish) complete(via Via, usage string) error {
	var checks []string
	for _, c := range audit.Checks() {
		checks = append(checks, c.ID)
	}
	switch {
	case w.app == "":
		return refuse("Which app? Usage: `%s`", usage)
	case w.check == "":
		return refuse("Which check of `%s`? They are %s. Nothing was waived. Usage: `%s`", plain(w.app), codes(checks), usage)
	case !slices.Contains(checks, w.check):
		text := Prose(fmt.Sprintf("There is no check `%s`, so nothing was waived. The checks are %s.", plain(w.check), codes(checks)))
		reply := Reply{Summary: text.String(), Parts: []Part{Para{text}}}
		if near := nearest(w.check, checks, 1); len(near) > 0 {
			w.check = near[0]
			reply.Parts = append(reply.Parts, Para{Line("Did you mean ", Code(near[0]), "?")})
			if w.reason != "" {
				reply.Parts = append(reply.Parts, Buttons{[]Button{{Label: "Waive " + near[0], Run: w.line()}}})
			}
		}
		return &Refusal{reply}
	case !slices.Contains(policy.Reasons(), w.reason):
		return w.whichReason(via)
	}
	return nil
}

// whichReason refuses a wish without a reason that I know, and offers each.
func (w waiveWish) whichReason(via Via) error {
	begin := "Why?"
	if w.reason != "" {
		begin = fmt.Sprintf("`%s` is no reason that I know; what there is to say beyond one goes behind it.", plain(string(w.reason)))
		w.text = strings.TrimSpace(string(w.reason) + " " + w.text)
	}
	example := w
	example.reason = "<reason>"
	if w.until == "" {
		example.until = w.soon
		if w.reason == "" {
			begin = "Until when, and why?"
		}
	}
	text := Prose(begin + " Nothing was waived. One of these, in one word: `" + plainLine(spoken(via, example.line())) + "`")
	reply := Reply{Summary: text.String(), Parts: []Part{Para{text}}}
	var items []Item
	var row []Button
	for _, r := range policy.Reasons() {
		w.reason = r
		items = append(items, Item{Text: Line(Code(string(r)), ": "+reasonText[r])})
		b := Button{Label: "Because " + string(r), Run: w.line()}
		if w.until == "" {
			b.Label, b.Ask = b.Label+"…", askUntil(w.check)
		}
		row = append(row, b)
	}
	reply.Parts = append(reply.Parts, List{items}, Buttons{row})
	return &Refusal{reply}
}

// reasonText are the reasons in words.
var reasonText = map[policy.Reason]string{
	policy.NotNeeded:       "the app does not need what the check wants",
	policy.AcceptedRisk:    "you know what can happen, and take it",
	policy.BeingRetired:    "the app is on its way out",
	policy.VendorLimit:     "Heroku, or what the app is made of, does not let it",
	policy.MigrationWindow: "switched off for a change that old and new code can't share; at most 7 days, and I remind you",
}

func reasonWords() []string {
	var words []string
	for _, r := range policy.Reasons() {
		words = append(words, string(r))
	}
	return words
}

// codes are words as code, for Prose: "`a`, `b`".
func codes(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

// plainLine is a line as it can be repeated inside backticks.
func plainLine(line string) string { return brief(strings.ReplaceAll(line, "`", ""), 200) }

// line is the line that asks for it.
func (w waiveWish) line() string {
	words := []string{"waive", w.app, w.check}
	if w.until != "" {
		words = append(words, "until", w.until)
	}
	words = append(words, becauseWord, string(w.reason))
	if w.text != "" {
		words = append(words, w.text)
	}
	return strings.Join(words, " ")
}

// soonOf is a date that somebody who names none may mean: in two weeks, or as late as the
// policy lets a waiver hold.
func soonOf(pol policy.Policy, now time.Time) string {
	last := pol.LastUntil(policy.AcceptedRisk, now).Add(-time.Millisecond)
	if soon := now.AddDate(0, 0, 14); soon.Before(last) {
		last = soon
	}
	return last.In(pol.Nightly.Location()).Format("2 Jan")
}

// askUntil is the dialog for the end that a line has not.
func askUntil(check string) *Ask {
	return &Ask{Title: "Waive " + brief(check, 15), Label: "Until when? 31 Jan, in 2 weeks, friday, …"}
}

// waive asks for a waiver.
func (v waiver) waive(ctx context.Context, req Request, usage string) (Reply, error) {
	pol := v.policies.Policy()
	zone := pol.Nightly.Location()
	wish, err := parseWaive(req, usage, soonOf(pol, req.Now))
	if err != nil {
		return Reply{}, err
	}
	end, err := until.Read(wish.until, req.Now, zone)
	if no, ok := errors.AsType[*until.No](err); ok {
		return Reply{}, wish.notUntil(no, req.Now, zone)
	}
	if err != nil {
		return Reply{}, err
	}
	app, err := ReadNamed(ctx, v.apps, wish.app, usage)
	if err != nil {
		return Reply{}, err
	}
	w, made, err := v.desk.Ask(ctx, approval.WaiveFor{
		App: app.ID, Name: app.Name, Check: wish.check, Reason: wish.reason, Text: wish.text, Until: end,
		By: approver(req.By), Channel: req.Channel, Origin: req.Origin,
	})
	if err != nil {
		return Reply{}, said(err)
	}
	reply := WaiverReply(w, v.view(w, req.By, req.Now))
	var notes []Part
	if !made {
		notes = append(notes, Note{Line("You had asked for exactly this already: it is the same one.")})
	}
	for _, about := range waivedNow(audit.Judge(app, pol.For(app), req.Now), w) {
		notes = append(notes, Note{about})
	}
	return above(reply, notes...), nil
}

// notUntil refuses an end that can't be read, with a way to say it anew.
func (w waiveWish) notUntil(no *until.No, now time.Time, zone *time.Location) error {
	begin := no.Text
	if w.until == "" {
		begin = "Until when?"
	}
	text := Prose(begin + " Nothing was waived. " + until.Examples(now, zone) + ".")
	w.until = ""
	return &Refusal{Reply{Summary: text.String(), Parts: []Part{
		Para{text}, Buttons{[]Button{{Label: "Another date…", Run: w.line(), Ask: askUntil(w.check)}}},
	}}}
}

// waivedNow is what the check says of the app as it was just read, and what the waiver
// makes of that.
func waivedNow(r audit.Report, w policy.Waiver) []Text {
	f, found := r.Finding(w.Check)
	if !found {
		return nil
	}
	now := append(Line("Just now: "), Prose(strings.TrimSuffix(f.Evidence, "."))...)
	switch {
	case !f.Required:
		now = append(now, Line(". For this app the check is advice and does not count, waived or not.")...)
	case f.Outcome == audit.Pass:
		now = append(now, Line(". So it passes, and the waiver changes nothing as long as it does.")...)
	case f.Outcome == audit.NotApplicable:
		now = append(now, Line(". So the check does not apply, and the waiver changes nothing as long as it doesn't.")...)
	default:
		now = append(now, Line(".")...)
	}
	return []Text{now}
}

// above puts parts above a reply's buttons, where these come last.
func above(reply Reply, parts ...Part) Reply {
	at := len(reply.Parts)
	if at > 0 {
		if _, ok := reply.Parts[at-1].(Buttons); ok {
			at--
		}
	}
	reply.Parts = slices.Insert(slices.Clone(reply.Parts), at, parts...)
	return reply
}

func newUnwaive(v waiver) Command {
	const usage = "unwaive <app> <check> | unwaive <waiver>"
	return Command{
		Name:    "unwaive",
		Usage:   usage,
		Summary: "end a waiver before its time: the check counts again",
		Help:    "Whoever asked for it, operators and approvers may. A waiver that still waits for an approval is called off, which anyone may. On Heroku nothing is changed.",
		Example: []string{"unwaive shop preboot", "unwaive W-3"},
		Args:    100, // words that say why
		Options: []Option{{planOption, "what buttons say, so that they end that waiver and no other"}},
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if v.desk == nil {
				return Reply{}, noWaivers()
			}
			id, why, err := v.named(ctx, req, spoken(req.Via, usage))
			if err != nil {
				return Reply{}, err
			}
			req.Args.Words = append([]string{id}, why...)
			return v.decide(ctx, req, v.desk.End)
		},
	}
}

// named is the waiver that the words name: by its id, or by its app and check; and the
// words behind.
func (v waiver) named(ctx context.Context, req Request, usage string) (id string, rest []string, err error) {
	in := req.Args.Words
	if id, ok := approval.ParseWaiverID(req.Args.Word(0)); ok {
		return id, in[1:], nil
	}
	if len(in) < 2 {
		return "", nil, refuse("Which waiver? `waivers` lists them. Usage: `%s`", usage)
	}
	check := strings.ToLower(in[1])
	of, name, err := v.of(ctx, in[0], usage)
	if err != nil {
		return "", nil, err
	}
	var found []policy.Waiver
	for _, w := range of {
		if w.Check == check {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 0:
		text := Line("No waiver of ", Code(plain(check)), " for ", Code(name), " holds or waits for a decision, so there is nothing to end.")
		reply := Reply{Summary: text.String(), Parts: []Part{Para{text}}}
		if len(of) > 0 {
			reply.Parts = append(reply.Parts, Buttons{[]Button{{Label: "Waivers of " + brief(name, 40), Run: "waivers " + string(of[0].App)}}})
		}
		return "", nil, &Refusal{reply}
	case 1:
		return found[0].ID, in[2:], nil
	}
	text := Line(fmt.Sprintf("There are %d: %s. Nothing was ended. Which?", len(found), howMany(found)))
	reply := Reply{Summary: text.String(), Parts: []Part{Para{text}}}
	var row []Button
	for _, w := range found[:min(len(found), waiversPressed)] {
		row = append(row, Button{Label: "End " + w.ID + ", which " + waiverVerb(w), Run: decideOnWaiver("unwaive", w)})
	}
	reply.Parts = append(reply.Parts, Buttons{row})
	return "", nil, &Refusal{reply}
}

func waiverVerb(w policy.Waiver) string {
	if w.State == policy.WaiverPending {
		return "waits"
	}
	return "holds"
}

// of are the waivers of an app that a person named, also of one that Heroku does not show
// any more.
func (v waiver) of(ctx context.Context, word, usage string) (of []policy.Waiver, name string, err error) {
	app, err := ReadNamed(ctx, v.apps, word, usage)
	if err == nil {
		of, err = v.desk.Of(ctx, app.ID)
		return of, app.Name, err
	}
	all, failed := v.desk.Open(ctx)
	if failed != nil {
		return nil, "", failed
	}
	for _, w := range all {
		if strings.EqualFold(w.Name, word) || string(w.App) == word {
			of, name = append(of, w), w.Name
		}
	}
	if len(of) > 0 {
		return of, name, nil
	}
	return nil, "", err
}

// decide is one decision on the waiver that the first word names.
func (v waiver) decide(ctx context.Context, req Request, do func(ctx context.Context, id string, by approval.Person, reason string) (policy.Waiver, error)) (Reply, error) {
	id := req.Args.Word(0)
	if want := strings.ToLower(req.Args.Options[planOption]); want != "" {
		w, err := v.desk.Waiver(ctx, id)
		if err != nil {
			return Reply{}, said(err)
		}
		if want != waiverDigest(w) {
			return Reply{}, refuse("This button belongs to an older request than today's `%s`, which is `%s` of `%s`. Nothing was decided or changed. To see it: `%s`.", w.ID, w.Check, w.Name, spoken(req.Via, "show "+w.ID))
		}
	}
	w, err := do(ctx, id, approver(req.By), note(req, 1))
	if err != nil {
		return Reply{}, said(err)
	}
	view := v.view(w, req.By, req.Now)
	if req.Via == Press { // the waiver's card says the rest, and a copy would push it out of sight
		text := Prose(w.ID + " of " + plan.Code(w.Name) + ": " + waiverSummary(w, view) + ".")
		return Reply{Summary: text.String(), Parts: []Part{Para{text}}}, nil
	}
	return WaiverReply(w, view), nil
}
