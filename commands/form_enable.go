package commands

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// digest is a plan's as planDigest gives it.
var digest = regexp.MustCompile(`^[0-9a-f]{8}$`)

// enableForm is enable with the plan before one's eyes: what is sent is what was shown, or
// nothing.
func (t Table) enableForm() form {
	p := proposer{t.deps.Apps, t.deps.Policies, t.deps.Desk, t.deps.Waivers}
	return form{
		name: FormEnable,
		show: func(ctx context.Context, req FormRequest) (Form, error) {
			app := appField(req)
			app.Live = true
			out := Form{Title: "Enable zero downtime", Submit: "Show the plan", Fields: []Field{app}}
			switch {
			case app.Value == "":
				out.Parts = []Part{Note{Line("Pick an app, and see what would be done and what it costs. Nothing is asked for before you send it.")}}
				return out, nil
			case req.Draft:
				return reading(req, out), nil
			}
			err := t.previewEnable(ctx, p, req, &out)
			return out, err
		},
		fill: func(req FormRequest) Filled {
			app, keep := req.Values["app"], req.Keep
			switch {
			case !namesOne(app):
				return whichApp()
			case !digest.MatchString(keep["plan"]) || !namesOne(keep["app"]) || keep["picked"] != app || keep["size"] != req.Values["size"] || strings.ContainsFunc(keep["size"], blank):
				return Filled{Next: FormEnable} // it shows no plan, or that of something else
			}
			return Filled{Line: plan.Wish{Verb: plan.ToEnable, Size: keep["size"]}.Line(keep["app"]) + " " + planOption + "=" + keep["plan"]}
		},
	}
}

// previewEnable reads the app, and puts what enable would do into the form.
func (t Table) previewEnable(ctx context.Context, p proposer, req FormRequest, out *Form) error {
	app, why, err := t.appOf(ctx, req)
	if err != nil {
		return err
	}
	out.Submit = "Look again" // what keeps it from being asked for may be over by then
	if why != nil {
		out.Parts = why
		return nil
	}
	out.Fields[0].Shown = app.Name
	w, rules := plan.Wish{Verb: plan.ToEnable}, t.deps.Policies.Policy().For(app)
	if runtime, _ := plan.RuntimeOf(app); runtime.Or("") == plan.Small {
		sizes := sizeField(app, rules.Prices, req.Values["size"])
		w.Size = sizes.Value
		out.Fields = append(out.Fields, sizes)
	}
	made := plan.For(app, rules, w, req.Now)
	switch {
	case made.Outcome == plan.AlreadySo:
		out.Parts = alreadySo(app, w).Parts
		return nil
	case made.Outcome == plan.Refused:
		text := Line("I won't ", Code(w.Line(app.Name)), ": ", Prose(strings.Join(made.Why, " ")))
		out.Parts = []Part{Para{text}, Buttons{[]Button{{Label: "Status", Run: "status " + string(app.ID)}}}}
		return nil
	case len(made.Steps) == 0:
		out.Parts = yours(app, made).Parts
		return nil
	}
	if p.desk != nil {
		err := p.desk.Changeable(ctx, app)
		if no, refused := approvalNo(err); refused {
			out.Parts = append([]Part{Para{Prose(no.Text)}}, planParts(app, w, made)...)
			return nil
		} else if err != nil {
			return fmt.Errorf("look whether %s may be changed: %w", app.Name, err)
		}
	}
	out.Submit = "Ask for it"
	out.Parts = append([]Part{Para{whoDecides(app, made)}}, planParts(app, w, made)...)
	out.Parts = append(out.Parts, p.waived(ctx, req.Now, app)...)
	out.Parts = append(out.Parts, t.mayNotAsk(ctx, req.By)...)
	out.Parts = append(out.Parts, Note{Line("Read ", At(app.ReadAt), ". What you send is this plan and no other: if the app changes until then, I say so and ask for nothing.")})
	out.Keep = map[string]string{"picked": req.Values["app"], "app": string(app.ID), "size": w.Size, "plan": planDigestOf(made)}
	return nil
}

// sizeField is the choice of the dyno size that an Eco or Basic app has to move to.
func sizeField(app fleet.App, prices policy.Prices, chosen string) Field {
	f := Field{Name: "size", Label: "Dyno size", Kind: FieldMenu, Live: true, Since: string(app.ID), Value: plan.SmallestSize,
		Hint: "Eco and Basic dynos can't do it, and all process types share one size."}
	for _, name := range []string{plan.SmallestSize, "standard-2x", "performance-m", "performance-l", "performance-l-ram", "performance-xl", "performance-2xl"} {
		catalog, known := app.Sizes.Get()
		if known && !slices.ContainsFunc(catalog, func(s fleet.Size) bool { return s.Name == name }) {
			continue
		}
		c := Choice{Value: name, Label: name}
		if m, ok := prices.Of(app, name).Get(); ok {
			c.Label += ", " + m.String() + " a month each"
		}
		f.Choices = append(f.Choices, c)
		if name == chosen {
			f.Value = chosen
		}
	}
	return f
}

// whoDecides says what comes of a plan that is asked for.
func whoDecides(app fleet.App, made plan.Plan) Text {
	text := Line("What would be done for ", Code(app.Name), ", in this order. ")
	if len(made.NeedsApproval()) == 0 {
		return append(text, Line("It costs nothing more and lowers nothing, so it needs nobody else: you get it with a ", Bold("Do it"), " button.")...)
	}
	return append(text, Line("Somebody else has to approve it before anything happens.")...)
}

// planParts are a plan as it would be asked for.
func planParts(app fleet.App, w plan.Wish, made plan.Plan) []Part {
	t := approval.Ticket{Wish: w, Plan: made, State: approval.Pending}
	parts := []Part{List{stepItems(t)}, Facts{costFacts(t)}}
	if risks := riskItems(made); len(risks) > 0 {
		parts = append(parts, List{risks})
	}
	if len(made.Untouched) > 0 {
		parts = append(parts, Note{Line("As it is: ", Prose(strings.Join(made.Untouched, "; ")), ".")})
	}
	return parts
}

// riskItems are what is risky about a plan, and what it leaves to people.
func riskItems(made plan.Plan) []Item {
	var items []Item
	for _, h := range made.Hazards {
		items = append(items, Item{Mark: MarkHazard, Text: Prose(h.Text)})
	}
	for _, w := range made.Why {
		items = append(items, Item{Mark: MarkAdvice, Text: Line("Left to you: ", Prose(w))})
	}
	return items
}

// planDigestOf is planDigest of a plan that is no ticket's yet.
func planDigestOf(made plan.Plan) string { return planDigest(approval.Ticket{Plan: made}) }

// anotherPlan refuses to ask for a plan that is not the one that was shown, and shows it.
func anotherPlan(app fleet.App, w plan.Wish, made plan.Plan) error {
	text := Line("This is not the plan that you saw: ", Code(app.Name), ", or what the policy says, has changed since. Nothing was asked for. Now it would be:")
	reply := Reply{Summary: text.String(), Parts: append([]Part{Para{text}}, planParts(app, w, made)...)}
	reply.Parts = append(reply.Parts, Buttons{[]Button{
		{Label: "Ask for this", Run: w.Line(string(app.ID)) + " " + planOption + "=" + planDigestOf(made), Primary: true},
		{Label: "Status", Run: "status " + string(app.ID)},
	}})
	return &Refusal{reply}
}
