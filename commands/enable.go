package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

func newEnable(p proposer) Command {
	const usage = "enable <app> [<app> …] [size=<dyno size>]"
	return Command{
		Name:    "enable",
		Usage:   usage,
		Summary: "make an app's deploys zero-downtime, or those of up to ten apps, in the only safe order",
		Help: "Plans session affinity, the second web dyno and preboot, in that order and only what is missing, and shows what it costs. What costs money is carried out when somebody else approves it; what doesn't waits for your `Do it`. " +
			"Eco and Basic apps need another dyno size, which all process types share: `size=standard-1x`. " +
			"Several apps make one ticket, with the cost of all and of each. They are done one after the other, in the order in which you name them, with a pause in between (`rollout.pause`): the first is the canary, and where one does not end well, no other is begun. " +
			"Apps that are ready already are left out; where one is refused or can't be read, nothing is asked for, and a button offers the others.",
		Example: []string{"enable shop", "enable landing size=standard-1x", "enable shop billing checkout"},
		Args:    maxLine, // as many as a line holds: too many are answered by what to do instead
		Options: []Option{
			{Name: "size", Summary: "the dyno size to move Eco and Basic apps to, such as `standard-1x`"},
			{planOption, "of one app: the first 8 digits of the plan's digest, if it is to be that plan and no other; the dialog says it"},
		},
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			size := strings.ToLower(strings.TrimSpace(req.Args.Options["size"]))
			req.Args.Words = p.withoutAnd(ctx, eachOnce(req.Args.Words))
			switch n := len(req.Args.Words); {
			case n > approval.MostParts:
				return Reply{}, tooMany(req.Args.Words, size)
			case n > 1 && req.Args.Options[planOption] != "":
				return Reply{}, refuse("`%s=` is for one app alone. Nothing was asked for or changed.", planOption)
			case n > 1:
				return p.together(ctx, req, size)
			}
			return p.propose(ctx, req, usage, func(fleet.App) (plan.Wish, error) {
				return plan.Wish{Verb: plan.ToEnable, Size: size}, nil
			})
		},
	}
}

// eachOnce are words as people list them, also with commas, each once.
func eachOnce(in []string) []string {
	var out []string
	for _, word := range in {
		for _, w := range strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ';' }) {
			if !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// withoutAnd are the apps of a list in which people may write "and" between two. Heroku lets
// an app be called `and`: where there is one, or that can't be told, the word is kept, and
// the reader of apps says what it is.
func (p proposer) withoutAnd(ctx context.Context, in []string) []string {
	joins := func(word string) bool { return word == "&" || word == "+" || strings.EqualFold(word, "and") }
	if len(in) < 2 || !slices.ContainsFunc(in, joins) {
		return in
	}
	names, err := p.apps.ReadNames(ctx)
	if kept := err != nil || slices.Contains(names, "and"); kept {
		joins = func(word string) bool { return word == "&" || word == "+" }
	}
	return slices.DeleteFunc(slices.Clone(in), joins)
}

// enableLine is the line that asks for all of these apps.
func enableLine(apps []string, size string) string {
	return plan.Wish{Verb: plan.ToEnable, Size: size}.Line(strings.Join(apps, " "))
}

// tooMany offers what was asked for in pieces that are not too large.
func tooMany(words []string, size string) error {
	const buttons = 5 // pieces; whoever names more apps comes back for them
	text := Line(fmt.Sprintf("You named %d apps, and I take %d at once at the most: a mistake in ten can still be put right by hand. Nothing was asked for or changed. Ask for them in pieces, one after the other:", len(words), approval.MostParts))
	reply := Reply{Summary: text.String(), Parts: []Part{Para{text}}}
	var row []Button
	from := 1
	for piece := range slices.Chunk(words, approval.MostParts) {
		label := fmt.Sprintf("Enable %d to %d…", from, from+len(piece)-1)
		if len(piece) == 1 {
			label = "Enable " + brief(piece[0], 40) + "…"
		}
		if len(row) < buttons {
			row = append(row, Button{Label: label, Run: enableLine(piece, size)})
		}
		from += len(piece)
	}
	reply.Parts = append(reply.Parts, Buttons{row})
	return &Refusal{reply}
}

// candidate is an app that was named among others, and what comes of it.
type candidate struct {
	word   string // as it was named
	app    fleet.App
	wish   plan.Wish
	plan   plan.Plan
	no     Text // why it can't be read or planned; empty: it can
	forAll bool // no is about every app alike
	// wayOut is the dyno size with which it would not be refused; empty: none is known.
	wayOut string
}

// together turns a wish for several apps into one ticket.
func (p proposer) together(ctx context.Context, req Request, size string) (Reply, error) {
	all, err := p.readAll(ctx, req.Args.Words)
	if err != nil {
		return Reply{}, err
	}
	if err := p.planAll(ctx, all, req, size); err != nil {
		return Reply{}, err
	}
	var parts, so, byHand, refused []candidate
	for _, c := range all {
		switch {
		case len(c.no) > 0:
			refused = append(refused, c)
		case c.plan.Outcome == plan.AlreadySo:
			so = append(so, c)
		case len(c.plan.Steps) == 0:
			byHand = append(byHand, c)
		default:
			parts = append(parts, c)
		}
	}
	left := leftOut(so, byHand)
	switch {
	case len(refused) > 0:
		return Reply{}, refusedTogether(all, left)
	case len(parts) == 0 && len(byHand) == 0:
		text := Line("Nothing to do for ", Code(brief(enableLine(wordsOf(all), size), 400)), ": they are all so already.")
		return Reply{Summary: text.String(), Parts: []Part{Para{text}}}, nil
	case len(parts) == 0:
		text := Line("There is nothing for me to do, and nothing was asked for or changed:")
		return Reply{Summary: text.String(), Parts: []Part{Para{text}, List{left}}}, nil
	case len(parts) == 1:
		reply, err := p.ask(ctx, req, parts[0].app, parts[0].wish, "")
		return alsoLeftOut(reply, left), err
	}
	asked := approval.AskMany{By: approver(req.By), Channel: req.Channel, Origin: req.Origin}
	for _, c := range parts {
		asked.Apps = append(asked.Apps, approval.AskApp{Wish: c.wish, App: c.app, Plan: c.plan})
	}
	ticket, _, err := p.desk.AskMany(ctx, asked)
	if err != nil {
		return Reply{}, said(err)
	}
	apps := make([]fleet.App, len(parts))
	for i, c := range parts {
		apps[i] = c.app
	}
	return above(alsoLeftOut(TicketReply(ticket, to(ticket, req.By)), left), p.waived(ctx, req.Now, apps...)...), nil
}

// readAll reads the apps side by side, each once however often it was named. What keeps
// one from being read is its own to tell; what keeps all from it is the error.
func (p proposer) readAll(ctx context.Context, words []string) ([]candidate, error) {
	all := make([]candidate, len(words))
	errs := make([]error, len(words))
	var reading sync.WaitGroup
	for i, word := range words {
		all[i].word = word
		reading.Go(func() {
			ref, err := fleet.ParseRef(word)
			if err != nil {
				all[i].no = Prose(fmt.Sprintf("I can't read `%s` as an app: %v.", plain(word), err))
				return
			}
			all[i].app, errs[i] = p.apps.ReadApp(ctx, ref)
		})
	}
	reading.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("read %d apps: %w", len(words), context.Cause(ctx))
	}
	var lost []int // not found
	for i, err := range errs {
		if err == nil {
			continue
		}
		problem, ok := errors.AsType[*fleet.Problem](err)
		switch {
		case !ok:
			return nil, fmt.Errorf("read %s: %w", words[i], err)
		case problem.Kind == fleet.Unauthorized:
			return nil, problem // it is the same for all
		case problem.Kind == fleet.NotFound:
			lost = append(lost, i)
		}
		if problem.App == "" || problem.Kind == fleet.NotFound {
			problem.App = plain(words[i])
		}
		all[i].no = paraOf(Explain(problem))
	}
	if len(lost) > 0 {
		if names, err := p.apps.ReadNames(ctx); err == nil { // without them there are only fewer suggestions
			for _, i := range lost {
				if near := nearest(words[i], names, 1); len(near) > 0 {
					all[i].no = append(all[i].no, Line(" Did you mean ", Code(near[0]), "?")...)
				}
			}
		}
	}
	known := map[fleet.ID]bool{}
	return slices.DeleteFunc(all, func(c candidate) bool {
		twice := len(c.no) == 0 && known[c.app.ID]
		known[c.app.ID] = true
		return twice
	}), nil
}

// paraOf is the first paragraph of a refusal.
func paraOf(err error) Text {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		for _, part := range refusal.Reply.Parts {
			if para, ok := part.(Para); ok {
				return para.Text
			}
		}
	}
	return Line(err.Error())
}

// planAll plans each app that was read and may be changed. Of several apps a size is meant for those that can't
// be made ready without one; where that is none, it is what each is asked for.
func (p proposer) planAll(ctx context.Context, all []candidate, req Request, size string) error {
	needs := func(c candidate) bool {
		runtime, _ := plan.RuntimeOf(c.app)
		return len(c.no) == 0 && runtime.Or("") == plan.Small
	}
	some := slices.ContainsFunc(all, needs)
	for i := range all {
		c := &all[i]
		if len(c.no) > 0 {
			continue
		}
		c.wish = plan.Wish{Verb: plan.ToEnable}
		if needs(*c) || !some {
			c.wish.Size = size
		}
		c.plan = plan.For(c.app, p.policies.Policy().For(c.app), c.wish, req.Now)
		if c.plan.Outcome == plan.Refused {
			c.no, c.wayOut = Prose(strings.Join(c.plan.Why, " ")), c.plan.WayOut.Size
		}
		if len(c.plan.Steps) == 0 {
			continue
		}
		err := p.desk.Changeable(ctx, c.app)
		switch no, refused := approvalNo(err); {
		case refused:
			c.no, c.forAll = Prose(no.Text), !strings.Contains(no.Text, plan.Code(c.app.Name))
		case err != nil:
			return fmt.Errorf("look whether %s may be changed: %w", c.app.Name, err)
		}
	}
	return nil
}

// name is what to call the app.
func (c candidate) name() string {
	if c.app.Name != "" {
		return c.app.Name
	}
	return plain(c.word)
}

// key names the app in a line that a button runs.
func (c candidate) key() string {
	if c.app.ID != "" {
		return string(c.app.ID)
	}
	return c.word
}

func wordsOf(all []candidate) []string {
	var words []string
	for _, c := range all {
		words = append(words, c.name())
	}
	return words
}

func keysOf(all []candidate) []string {
	var keys []string
	for _, c := range all {
		keys = append(keys, c.key())
	}
	return keys
}

// leftOut names the apps for which there is nothing to plan, and why.
func leftOut(so, byHand []candidate) []Item {
	var items []Item
	if len(so) > 0 {
		text := Line("Left out, because it is so already: ")
		if len(so) > 1 {
			text = Line("Left out, because they are so already: ")
		}
		for i, c := range so {
			if i > 0 {
				text = append(text, Line(", ")...)
			}
			text = append(text, Code(c.name()))
		}
		items = append(items, Item{Text: append(text, Line(".")...)})
	}
	for _, c := range byHand {
		items = append(items, Item{Mark: MarkAdvice, Text: append(Line("Left out, because it is yours to do: ", Code(c.name()), ": "), Prose(strings.Join(c.plan.Why, " "))...)})
	}
	return items
}

// alsoLeftOut adds to an answer what is not part of it, above its buttons.
func alsoLeftOut(reply Reply, left []Item) Reply {
	if len(left) == 0 || len(reply.Parts) == 0 {
		return reply
	}
	at := len(reply.Parts)
	if _, ok := reply.Parts[at-1].(Buttons); ok {
		at--
	}
	reply.Parts = slices.Insert(slices.Clone(reply.Parts), at, Part(List{left}))
	return reply
}

// refusedTogether says which apps keep the others from being asked for, and offers those.
func refusedTogether(all []candidate, left []Item) error {
	var items []Item
	var names []string
	var rest, wayOut []candidate
	ways := map[string]bool{}
	for _, c := range all {
		switch {
		case len(c.no) > 0:
			names = append(names, c.name())
			items = append(items, Item{Mark: MarkFail, Text: append(Line(Code(c.name()), ": "), c.no...)})
			ways[c.wayOut] = true
			wayOut = append(wayOut, c)
		case len(c.plan.Steps) > 0:
			rest = append(rest, c)
			wayOut = append(wayOut, c)
		}
	}
	say := fmt.Sprintf("I asked for nothing and changed nothing: %d of these %d apps can't be done.", len(names), len(all))
	if len(rest)+len(left) == 0 {
		say = "I asked for nothing and changed nothing: none of these apps can be done."
	}
	if i := slices.IndexFunc(all, func(c candidate) bool { return c.forAll }); i >= 0 {
		return &Refusal{Reply{Summary: all[i].no.String(), Parts: []Part{Para{all[i].no}}}}
	}
	reply := Reply{Summary: say + " " + plan.Join(names), Parts: []Part{Para{Line(say)}, List{append(items, left...)}}}
	var row []Button
	switch len(rest) {
	case 0:
	case 1:
		row = append(row, Button{Label: "Enable " + brief(rest[0].name(), 40) + " alone…", Run: enableLine(keysOf(rest), sizeOf(rest))})
	default:
		row = append(row, Button{Label: fmt.Sprintf("Enable the other %d…", len(rest)), Run: enableLine(keysOf(rest), sizeOf(rest))})
	}
	if way := wayOutOf(ways); way != "" {
		row = append(row, Button{Label: fmt.Sprintf("Enable all %d with size=%s…", len(wayOut), way), Run: enableLine(keysOf(wayOut), way)})
		if len(wayOut) == 1 {
			row[len(row)-1].Label = fmt.Sprintf("Enable %s size=%s…", brief(wayOut[0].name(), 30), way)
		}
	}
	if len(row) > 0 {
		reply.Parts = append(reply.Parts, Buttons{row})
	}
	return &Refusal{reply}
}

// sizeOf is the size that some of these are asked for with.
func sizeOf(all []candidate) string {
	for _, c := range all {
		if c.wish.Size != "" {
			return c.wish.Size
		}
	}
	return ""
}

// wayOutOf is the one size with which none of the refused would be; empty: there is none.
func wayOutOf(ways map[string]bool) string {
	way := ""
	for w := range ways {
		way = w
	}
	if len(ways) != 1 {
		return ""
	}
	return way
}
