package commands

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

func newDisable(p proposer) Command {
	const usage = "disable <app>"
	return Command{
		Name:    "disable",
		Usage:   usage,
		Summary: "take the protection off again: preboot off, one web dyno, session affinity off",
		Help:    "The reverse of `enable`, in the reverse order. It lowers protection, so it needs an approval.",
		Example: []string{"disable shop"},
		Args:    1,
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			return p.propose(ctx, req, usage, func(fleet.App) (plan.Wish, error) { return plan.Wish{Verb: plan.ToDisable}, nil })
		},
	}
}

func newAffinity(p proposer) Command {
	return newSwitch(p, "affinity", plan.ToAffinity, "switch session affinity on or off",
		"Session affinity keeps a visitor on one dyno. It has to be on before a second web dyno starts, unless the policy says that the app needs none.")
}

func newPreboot(p proposer) Command {
	return newSwitch(p, "preboot", plan.ToPreboot, "switch preboot on or off",
		"With preboot, Heroku starts the new dynos of a deploy before it stops the old ones. Standard and Performance dynos on the Common Runtime have it. Switching it off lowers protection, so it needs an approval.")
}

func newSwitch(p proposer, name string, verb plan.Verb, summary, help string) Command {
	usage := name + " <app> on|off"
	return Command{
		Name: name, Usage: usage, Summary: summary, Help: help,
		Example: []string{name + " shop on", name + " shop off"},
		Args:    2,
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			state := strings.ToLower(req.Args.Word(1))
			if state != "on" && state != "off" {
				return Reply{}, refuse("On or off? Usage: `%s`", spoken(req.Via, usage))
			}
			return p.propose(ctx, req, usage, func(fleet.App) (plan.Wish, error) {
				return plan.Wish{Verb: verb, On: state == "on"}, nil
			})
		},
	}
}

func newScale(p proposer) Command {
	const usage = "scale <app> web=<count>"
	return Command{
		Name:    "scale",
		Usage:   usage,
		Summary: "change how many web dynos an app runs",
		Help:    "`web=3` is a count; `web=+1` and `web=-1` are turned into one at once, so that nothing is added twice. More dynos cost money and fewer lower capacity: both need an approval. Switching an app off (`web=0`) is refused.",
		Example: []string{"scale shop web=3", "scale shop web=+1"},
		Args:    1,
		Options: []Option{{Name: "web", Summary: "how many web dynos: `3`, `+1` or `-1`"}},
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			want := strings.TrimSpace(req.Args.Options["web"])
			n, err := strconv.Atoi(want)
			if err != nil || n > 1000 || n < -1000 {
				return Reply{}, refuse("How many web dynos? Usage: `%s`, such as `web=3` or `web=+1`", spoken(req.Via, usage))
			}
			return p.propose(ctx, req, usage, func(app fleet.App) (plan.Wish, error) {
				if want[0] != '+' && want[0] != '-' {
					return plan.Wish{Verb: plan.ToScale, Web: n}, nil
				}
				web, ok := app.Web()
				switch {
				case !app.Formation.IsKnown():
					return plan.Wish{}, refuse("I could not read how many web dynos `%s` runs (%s), so I can't add to it. Nothing was changed; try again.", app.Name, app.Formation.Why().Text)
				case !ok:
					return plan.Wish{}, refuse("`%s` has no web process, so there is nothing to scale.", app.Name)
				}
				return plan.Wish{Verb: plan.ToScale, Web: max(0, web.Quantity+n)}, nil
			})
		},
	}
}

func newUndo(p proposer) Command {
	const usage = "undo <ticket>"
	return Command{
		Name:    "undo",
		Usage:   usage,
		Summary: "plan the way back from what a ticket did",
		Help:    "Takes back the steps that the ticket did, in the reverse order, as a ticket of its own. What somebody changed since is left alone and said.",
		Example: []string{"undo T-12"},
		Args:    1,
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			id, err := ticketID(req.Args.Word(0), spoken(req.Via, usage))
			if err != nil {
				return Reply{}, err
			}
			old, err := p.desk.Ticket(ctx, id)
			switch {
			case errors.Is(err, approval.ErrNoTicket):
				return Reply{}, refuse("There is no ticket `%s`.", id)
			case err != nil:
				return Reply{}, said(err)
			case old.Batch() && old.State.Final():
				return Reply{}, undoMany(old)
			case !old.State.Final():
				return Reply{}, refuse("`%s` is %s. Cancel it first (`cancel %s`), then undo what it did.", id, old.State, id)
			}
			var done []plan.Step
			for i, step := range old.Plan.Steps {
				// A write that was announced and never read back may have happened: the plan
				// looks, and leaves out what is as it was.
				if i < len(old.Progress) && !old.Progress[i].Already && !(old.Progress[i].Done.IsZero() && old.Progress[i].Intended.IsZero()) {
					done = append(done, step)
				}
			}
			if !slices.ContainsFunc(done, func(s plan.Step) bool { return s.Wait == 0 }) {
				return Reply{}, refuse("`%s` changed nothing, so there is nothing to undo.", id)
			}
			app, err := p.apps.ReadApp(ctx, fleet.MustRef(string(old.Plan.App)))
			if err != nil {
				return Reply{}, err
			}
			return p.ask(ctx, req, app, plan.Wish{Verb: plan.ToUndo, Undo: done}, id)
		},
	}
}
