package commands

import (
	"context"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

// desk is where plans become tickets and tickets are decided on.
type desk interface {
	Ask(ctx context.Context, a approval.AskFor) (t approval.Ticket, made bool, err error)
	AskMany(ctx context.Context, a approval.AskMany) (t approval.Ticket, made bool, err error)
	Changeable(ctx context.Context, app fleet.App) error
	Do(ctx context.Context, id string, by approval.Person) (approval.Ticket, error)
	Approve(ctx context.Context, id string, by approval.Person) (approval.Ticket, approval.Outcome, error)
	Deny(ctx context.Context, id string, by approval.Person, reason string) (approval.Ticket, error)
	Cancel(ctx context.Context, id string, by approval.Person) (approval.Ticket, error)
	Resume(ctx context.Context, r approval.ResumeFor) (t approval.Ticket, made bool, err error)
	Ticket(ctx context.Context, id string) (approval.Ticket, error)
	Pending(ctx context.Context) ([]approval.Ticket, error)
}

// proposer turns wishes into tickets: it reads, plans, refuses or asks, and changes
// nothing on Heroku.
type proposer struct {
	apps     appReader
	policies Policies
	desk     desk
	waivers  waivers // nil: there are none to read
}

// propose reads the app that the request names, plans what wish makes of it, and asks.
func (p proposer) propose(ctx context.Context, req Request, usage string, wish func(fleet.App) (plan.Wish, error)) (Reply, error) {
	app, err := ReadNamed(ctx, p.apps, req.Args.Word(0), spoken(req.Via, usage))
	if err != nil {
		return Reply{}, err
	}
	w, err := wish(app)
	if err != nil {
		return Reply{}, err
	}
	return p.ask(ctx, req, app, w, "")
}

// ask plans a wish for an app that was just read, and makes a ticket of the plan where
// there is something to do.
func (p proposer) ask(ctx context.Context, req Request, app fleet.App, w plan.Wish, follows string) (Reply, error) {
	made := plan.For(app, p.policies.Policy().For(app), w, req.Now)
	switch {
	case made.Outcome == plan.AlreadySo:
		return alreadySo(app, w), nil
	case made.Outcome == plan.Refused:
		return Reply{}, refusedPlan(app, w, made)
	case len(made.Steps) == 0:
		return yours(app, made), nil
	}
	if want := strings.ToLower(req.Args.Options[planOption]); want != "" && want != planDigestOf(made) {
		return Reply{}, anotherPlan(app, w, made)
	}
	ticket, _, err := p.desk.Ask(ctx, approval.AskFor{
		Wish: w, App: app, Plan: made, By: approver(req.By), Channel: req.Channel, Origin: req.Origin, Follows: follows,
	})
	if err != nil {
		return Reply{}, said(err)
	}
	return above(TicketReply(ticket, to(ticket, req.By)), p.waived(ctx, req.Now, app)...), nil
}

// waived says what is waived of apps that a plan is for: somebody may have had a reason not
// to want it. What can't be read just now is left out.
func (p proposer) waived(ctx context.Context, now time.Time, apps ...fleet.App) []Part {
	pol := p.policies.Policy()
	var parts []Part
	for _, app := range apps {
		rules, _ := rulesOf(ctx, p.waivers, pol, app)
		for _, check := range audit.Checks() {
			if w, ok := rules.Waived(app.ID, check.ID, now); ok {
				text := append(Line(Code(app.Name), ": "+uncapital(check.Title)+" is waived. "), waivedText(w, now, pol.Nightly.Location())...)
				parts = append(parts, Note{append(text, Line(". The plan does not end the waiver.")...)})
			}
		}
	}
	return parts
}

// approver is a person as approval knows them.
func approver(p Person) approval.Person { return approval.Person{ID: p.ID, Team: p.Team} }

func alreadySo(app fleet.App, w plan.Wish) Reply {
	text := Line("Nothing to do for ", Code(w.Line(app.Name)), ": it is so already.")
	if w.Verb == plan.ToUndo {
		text = Line("Nothing to do: ", Code(app.Name), " is back as it was already.")
	}
	return Reply{Summary: text.String(), Parts: []Part{Para{text}, Buttons{[]Button{{Label: "Status", Run: "status " + string(app.ID)}}}}}
}

// yours is the answer where a person has to do what the bot can't.
func yours(app fleet.App, made plan.Plan) Reply {
	text := Line("Yours to do for ", Code(app.Name), ": ", Prose(strings.Join(made.Why, " ")))
	return Reply{Summary: text.String(), Parts: []Part{Para{text}, Buttons{[]Button{{Label: "Status", Run: "status " + string(app.ID)}}}}}
}

// refusedPlan says why nothing is planned, and offers the way out where there is one.
func refusedPlan(app fleet.App, w plan.Wish, made plan.Plan) error {
	text := Line("I won't ", Code(w.Line(app.Name)), ": ", Prose(strings.Join(made.Why, " ")), " Nothing was changed.")
	reply := Reply{Summary: text.String(), Parts: []Part{Para{text}}}
	row := []Button{{Label: "Status", Run: "status " + string(app.ID)}}
	switch {
	case made.WayOut.Size != "":
		row = append([]Button{runButton(plan.Wish{Verb: plan.ToEnable, Size: made.WayOut.Size}.Line(app.Name))}, row...)
	case made.Instead.Verb != "":
		row = append([]Button{runButton(made.Instead.Line(app.Name))}, row...)
	}
	reply.Parts = append(reply.Parts, Buttons{row})
	return &Refusal{reply}
}

// said turns an approval.No, which is written for a person, into a Refusal.
func said(err error) error {
	no, ok := approvalNo(err)
	if !ok {
		return err
	}
	text := Prose(no.Text)
	reply := Reply{Summary: text.String(), Parts: []Part{Para{text}}}
	if no.Paste != "" {
		reply.Parts = append(reply.Parts, Pre{no.Paste})
	}
	return &Refusal{reply}
}

// ticketID reads a ticket as people write it: T-12, t12, 12.
func ticketID(word, usage string) (string, error) {
	id, ok := approval.ParseID(word)
	switch {
	case word == "":
		return "", refuse("Which ticket? `pending` lists those that wait. Usage: `%s`", usage)
	case !ok:
		return "", refuse("I can't read `%s` as a ticket: they look like `T-12`. `pending` lists those that wait. Usage: `%s`", plain(word), usage)
	}
	return id, nil
}
