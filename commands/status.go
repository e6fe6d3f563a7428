package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// appReader is what status reads with.
type appReader interface {
	ReadApp(ctx context.Context, app fleet.Ref) (fleet.App, error)
	ReadNames(ctx context.Context) ([]string, error)
}

// newStatus is the command. mayWaive says who is offered a waiver; nil: nobody.
func newStatus(apps appReader, policies Policies, waivers waivers, all glancer, mayWaive func(context.Context, Person) bool) Command {
	const usage = "status [app]"
	return Command{
		Name:    "status",
		Usage:   usage,
		Summary: "say whether an app's deploys are zero-downtime, why not, and what to do; of the whole fleet without one",
		Help: "Reads the app on Heroku now and judges it by these checks: " + checkNames() + ". " +
			"What can't be read is said to be unknown and never counts as good. It changes nothing, and only you see the answer until you share it. " +
			"Without an app it shows the whole fleet at a glance, from the last nightly scan.",
		Example: []string{"status shop", "status", "status https://dashboard.heroku.com/apps/shop"},
		Args:    1,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if req.Args.Word(0) == "" && all.nights != nil {
				return all.glance(ctx, req.Now)
			}
			app, err := ReadNamed(ctx, apps, req.Args.Word(0), spoken(req.Via, "status <app>"))
			if err != nil {
				return Reply{}, err
			}
			pol := policies.Policy()
			rules, unread := rulesOf(ctx, waivers, pol, app)
			report := audit.Judge(app, rules, req.Now)
			view := StatusView{Zone: pol.Nightly.Location(), Now: req.Now, Via: req.Via, Unwaived: unread, Proof: proofOf(ctx, all.proofs, app.ID)}
			view.waives = mayWaive != nil && mayWaive(ctx, req.By)
			return statusReply(report, view, all.watched(ctx, report, req.Now)), nil
		},
	}
}

// rulesOf are the rules of an app with its waivers. unread says that these could not be
// read, which must not keep anybody from asking: then nothing is waived.
func rulesOf(ctx context.Context, waivers waivers, pol policy.Policy, app fleet.App) (rules policy.Rules, unread bool) {
	if waivers == nil {
		return pol.For(app), false
	}
	ctx, cancel := context.WithTimeout(ctx, waiversWithin)
	defer cancel()
	rules, err := waivers.Rules(ctx, app)
	if err != nil {
		return pol.For(app), true
	}
	return rules, false
}

// checkNames are the checks' ids, marked as code: "`a`, `b` and `c`".
func checkNames() string {
	var ids []string
	for _, c := range audit.Checks() {
		ids = append(ids, plan.Code(c.ID))
	}
	return plan.Join(ids)
}

// ReadNamed reads the app that a person named, and helps where there is none: the
// error is a *Refusal, or holds the *fleet.Problem that kept Heroku from answering.
func ReadNamed(ctx context.Context, apps appReader, word, usage string) (fleet.App, error) {
	ref, err := fleet.ParseRef(word)
	switch {
	case errors.Is(err, fleet.ErrNoApp):
		return fleet.App{}, refuse("Which app? Usage: `%s`", usage)
	case err != nil:
		return fleet.App{}, refuse("I can't read `%s` as an app: %v. Usage: `%s`", plain(word), err, usage)
	}
	app, err := apps.ReadApp(ctx, ref)
	if p, ok := errors.AsType[*fleet.Problem](err); ok && p.Kind == fleet.NotFound {
		p.App = ref.String()
		return fleet.App{}, noSuchApp(ctx, apps, ref, p)
	}
	if err != nil {
		return fleet.App{}, fmt.Errorf("read %s: %w", ref, err)
	}
	return app, nil
}

// noSuchApp says that an app was not found, with the names nearest to it. When the
// names can't be read either, that costs only the suggestion.
func noSuchApp(ctx context.Context, apps appReader, ref fleet.Ref, p *fleet.Problem) error {
	refusal, _ := errors.AsType[*Refusal](Explain(p))
	names, err := apps.ReadNames(ctx)
	if err != nil {
		return refusal
	}
	wanted, _, _ := strings.Cut(ref.String(), ".")
	var row []Button
	say := Line("Did you mean ")
	for i, name := range nearest(wanted, names, 3) {
		if i > 0 {
			say = append(say, Line(", or ")...)
		}
		say = append(say, Code(name))
		row = append(row, runButton("status "+name))
	}
	if len(row) > 0 {
		refusal.Reply.Parts = append(refusal.Reply.Parts, Para{append(say, Line("?")...)}, Buttons{row})
	}
	return refusal
}

// verdicts are the verdicts as people read them.
var verdicts = map[audit.Verdict]struct{ word, sentence string }{
	audit.VerdictReady:         {"ready", "Deploys of this app are zero-downtime, as far as its settings can tell."},
	audit.VerdictNotReady:      {"not ready", "Deploys of this app can drop requests or sessions."},
	audit.VerdictUnknown:       {"unknown", "Something that decides is unknown, so I won't call it ready."},
	audit.VerdictNotApplicable: {"not applicable", "There is no web traffic to protect here."},
}

// StatusReply is a judgement as a reply: the verdict first, then each check, the
// money, the hazards, and when all of it was read.
func StatusReply(r audit.Report, v StatusView) Reply { return statusReply(r, v, between{}) }

// StatusView is what to show a judgement by.
type StatusView struct {
	Zone *time.Location // that waivers' ends are told in
	Now  time.Time
	Via  Via // how it was asked
	// Unwaived says that the app's waivers could not be read, so that what they waive counts.
	Unwaived bool
	// Proof is the last verdict on the app's deploys, the zero one where none was watched; nil:
	// that is not told.
	Proof  *watch.Proof
	waives bool // the reader may waive what fails
}

// between is what looks between the nights found out of an app.
type between struct {
	items  []Item
	fought bool // the same fix would not last
}

// betweenWithin is how long status waits for what is only an addition to it.
const betweenWithin = time.Second

// watched is what looks between the nights found out of an app that was just read. Where
// that can't be read now, status goes without.
func (g glancer) watched(ctx context.Context, r audit.Report, now time.Time) between {
	if g.nights == nil {
		return between{}
	}
	ctx, cancel := context.WithTimeout(ctx, betweenWithin)
	defer cancel()
	s, found, err := g.nights.Standing(ctx, r.App.ID)
	if err != nil || !found {
		return between{}
	}
	if s.Watch.Night != s.Night || r.Verdict != audit.VerdictNotReady {
		s.Watch.Drifts = nil
	}
	d := dates{g.policies.Policy().Nightly.Location(), now}
	return between{items: watchItems(s.Watch, d), fought: s.Watch.Fought(now)}
}

// statusReply is StatusReply with what looks between the nights found.
func statusReply(r audit.Report, view StatusView, seen between) Reply {
	app, v := r.App, verdicts[r.Verdict]
	waived := waivedOf(r)
	word, sentence := v.word, v.sentence
	if n := len(waived); n > 0 {
		word += ", with " + count(n, "check") + " waived"
		sentence = waivedSentence(r.Verdict, sentence)
	}
	reply := Reply{
		Summary: app.Name + " is " + word + ": " + inShort(r),
		Parts: []Part{
			Heading{app.Name + ": " + word},
			Para{Line(sentence, " ", place(app))},
		},
	}
	items := make([]Item, 0, len(r.Findings)+1)
	if view.Unwaived {
		items = append(items, Item{Mark: MarkHazard, Text: Line("The waivers could not be read, because my database is away just now: what they waive counts here.")})
	}
	for _, f := range r.Findings {
		items = append(items, findingItem(f, view))
	}
	facts := costs(r)
	if proved := provedFact(r, view); proved != nil { // beside each other: what the settings promise, and what was measured
		facts = append([]Fact{{"Configured", Line(v.word)}, {"Proved", proved}}, facts...)
	}
	reply.Parts = append(reply.Parts, List{items}, Facts{facts})
	if len(r.Hazards) > 0 {
		hazards := make([]Item, 0, len(r.Hazards))
		for _, h := range r.Hazards {
			hazards = append(hazards, Item{Mark: MarkHazard, Text: Prose(h.Text)})
		}
		reply.Parts = append(reply.Parts, List{hazards})
	}
	if len(seen.items) > 0 {
		reply.Parts = append(reply.Parts, List{seen.items})
	}
	fix := fixButton(r)
	if seen.fought {
		fix = nil
	}
	return with(reply,
		Note{Line("Read ", At(app.ReadAt), " · ", Link(app.DashboardURL(), "dashboard"), release(app))},
		Buttons{append(append(fix, waiveButton(r, view)...),
			Button{Label: "Share to channel", Share: "status " + string(app.ID)},
			Button{Label: "Read again", Run: "status " + string(app.ID)},
		)})
}

func with(r Reply, parts ...Part) Reply {
	r.Parts = append(r.Parts, parts...)
	return r
}

// waivedOf are the findings that would count and are waived.
func waivedOf(r audit.Report) (waived []audit.Finding) {
	for _, f := range r.Findings {
		if f.Required && f.Waived != nil {
			waived = append(waived, f)
		}
	}
	return waived
}

// waivedSentence is what a verdict means where something is waived: it is no promise.
func waivedSentence(v audit.Verdict, sentence string) string {
	switch v {
	case audit.VerdictReady:
		return "What counts is as it should be. What is waived is not, so deploys of this app may drop requests or sessions."
	case audit.VerdictNotApplicable:
		return "All that would count is waived, so I call it neither ready nor not."
	}
	return sentence
}

func findingItem(f audit.Finding, view StatusView) Item {
	item := Item{Mark: mark(f), Text: Line(Bold(f.Title), ": ", Prose(f.Evidence))}
	if rest, repeated := strings.CutPrefix(f.Evidence, f.Title); repeated { // "Preboot is on" needs no "Preboot:" before it
		item.Text = Line(Bold(f.Title), Prose(rest))
	}
	if f.Waived != nil {
		item.Detail = append(item.Detail, waivedText(*f.Waived, view.Now, view.Zone))
	}
	if f.Outcome != audit.Pass && f.Outcome != audit.NotApplicable && f.Remedy != "" {
		detail := Prose(f.Remedy)
		if f.Article != "" {
			detail = append(detail, Line(" · ", Link(f.Article, "why"))...)
		}
		item.Detail = append(item.Detail, detail)
	}
	return item
}

func mark(f audit.Finding) Mark {
	switch {
	case f.Outcome == audit.Pass:
		return MarkPass
	case f.Outcome == audit.NotApplicable:
		return MarkNone
	case f.Waived != nil:
		return MarkWaived
	case !f.Required:
		return MarkAdvice
	case f.Outcome == audit.Fail:
		return MarkFail
	}
	return MarkUnknown
}

// inShort is the verdict's reason in one line: what fails, else what is unknown.
func inShort(r audit.Report) string {
	var failing, unknown, waived []string
	for _, f := range r.Findings {
		switch {
		case !f.Required:
		case f.Waived != nil:
			waived = append(waived, strings.ToLower(f.Title))
		case f.Outcome == audit.Fail:
			failing = append(failing, strings.ToLower(f.Title))
		case f.Outcome == audit.Unknown:
			unknown = append(unknown, strings.ToLower(f.Title))
		}
	}
	switch {
	case len(failing) > 0 && len(unknown) > 0:
		return strings.Join(failing, ", ") + " (and unknown: " + strings.Join(unknown, ", ") + ")"
	case len(failing) > 0:
		return strings.Join(failing, ", ")
	case len(unknown) > 0:
		return "it could not be told about " + strings.Join(unknown, ", ")
	case len(waived) > 0 && r.Verdict == audit.VerdictReady:
		return "every required check passes but what is waived (" + strings.Join(waived, ", ") + ")"
	case len(waived) > 0:
		return "all that would count is waived"
	case r.Verdict == audit.VerdictReady:
		return "every required check passes"
	}
	return "no check applies"
}

// place says where the app runs, because the rules differ.
func place(app fleet.App) string {
	where := "It runs on the Common Runtime"
	if app.Space != nil {
		where = "It runs in the space " + app.Space.Name
		if shield, known := app.Space.Shield.Get(); known && shield {
			where = "It runs in the Shield space " + app.Space.Name
		}
		if app.Generation == fleet.Fir {
			where += " on Fir"
		}
	}
	stage := app.Pipeline.Or(fleet.Coupling{}).Stage
	switch {
	case !app.Pipeline.IsKnown():
		where += ", its pipeline stage is unknown"
	case stage == "":
		where += ", in no pipeline"
	default:
		where += ", pipeline stage " + stage
	}
	if app.Maintenance {
		where += ", and maintenance mode is on"
	}
	return where + "."
}

// costs are what the app costs now and what being ready would add.
func costs(r audit.Report) []Fact {
	pairs := []Fact{{"Costs now", amount(r.Plan.Cost.Now, r.Plan.Cost.Units.Now)}}
	add := amount(r.Plan.Cost.Difference, r.Plan.Cost.Units.Difference)
	if more, known := r.Plan.Cost.Difference.Get(); known && more == 0 {
		add = Line("nothing")
	}
	if size := r.Plan.Options.Size; size != "" {
		add = append(add, Line(", once it runs on ", Code(size), " dynos")...)
	}
	switch r.Plan.Outcome {
	case plan.AlreadySo:
		pairs = append(pairs, Fact{"Being ready would add", Line("nothing")})
	case plan.Ready:
		pairs = append(pairs, Fact{"Being ready would add", add})
	case plan.Yours:
		if len(r.Plan.Steps) > 0 {
			pairs = append(pairs, Fact{"What I would do adds", add})
		}
		pairs = append(pairs, Fact{"Yours to do", Prose(strings.Join(r.Plan.Why, " "))})
	case plan.Refused:
		pairs = append(pairs, Fact{"Getting ready", Prose(strings.Join(r.Plan.Why, " "))})
	}
	return pairs
}

// amount is a monthly price, or dyno units where Heroku gives no price, as for spaces:
// unknown is said and never shown as nothing.
func amount(price fleet.Value[fleet.Money], units fleet.Value[float64]) Text {
	if m, known := price.Get(); known {
		return Line(m.String() + " a month")
	}
	if u, known := units.Get(); known {
		return Line(unitCount(u) + " dyno units a month (" + price.Why().Text + ")")
	}
	return Line("unknown: " + price.Why().Text)
}

func unitCount(u float64) string { return strconv.FormatFloat(u, 'f', -1, 64) }

func release(app fleet.App) Text {
	switch r, known := app.Release.Get(); {
	case !known:
		return Line(" · latest release unknown")
	case r.Version == 0:
		return Line(" · never released")
	default:
		return Line(fmt.Sprintf(" · v%d %s ", r.Version, r.Status), At(r.CreatedAt.Truncate(time.Second)))
	}
}

// fixButton opens the plan that would make the app ready; it never acts by itself.
func fixButton(r audit.Report) []Button {
	if len(r.Plan.Steps) == 0 {
		return nil
	}
	return []Button{{Label: "Fix it", Run: plan.Wish{Verb: plan.ToEnable, Size: r.Plan.Options.Size}.Line(string(r.App.ID)), Primary: true}}
}

// waiveButton opens the dialog that lets a check of the app not count for a while, where one
// fails that does and the reader may.
func waiveButton(r audit.Report, view StatusView) []Button {
	if !view.waives || !slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Required && f.Waived == nil && f.Outcome == audit.Fail }) {
		return nil
	}
	app := r.App
	return []Button{{Label: "Waive…", Form: &FormCall{Name: FormWaive, Values: map[string]string{"app": string(app.ID)}, Shown: map[string]string{"app": app.Name}}}}
}
