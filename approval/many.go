package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// AskMany is a request for the same change of several apps, each planned.
type AskMany struct {
	Apps    []AskApp // in the order in which they are carried out; the first is the canary
	By      Person
	Channel string // where it was asked; may be empty
	Origin  string // id of the request; the same one makes no second ticket
}

// AskApp is one app of a request for several. The fields are those of AskFor.
type AskApp struct {
	Wish plan.Wish // of the verb plan.ToEnable: what takes protection away is asked for app by app
	App  fleet.App
	Plan plan.Plan
}

// AskMany makes one ticket, a batch, of the plans of several apps: FewestParts to
// MostParts of them, each another app. It needs approval if one of them does; the quorum
// and the limit of the cost look at all of them together, with what was added to each
// app's cost before. For the rest it is as Ask: one that nobody could approve is
// refused, and made is false where there already is such a ticket for the same plans
// in the same order.
func (d *Desk) AskMany(ctx context.Context, a AskMany) (t Ticket, made bool, err error) {
	if a.By.ID == "" || a.Origin == "" {
		return Ticket{}, false, errors.New("ask for several apps: nobody asks, or the request has no id")
	}
	if t, found, err := d.fromOrigin(ctx, a.Origin, a.By); err != nil || found {
		return t, false, err
	}
	pol, refused, err := d.mayAsk(ctx, a.By)
	if err != nil {
		return Ticket{}, false, err
	}
	if refused == nil {
		refused = several(a.Apps)
	}
	if refused != nil {
		return Ticket{}, false, refused
	}
	if len(a.Apps) < FewestParts {
		return Ticket{}, false, fmt.Errorf("ask for several apps: there are %d", len(a.Apps))
	}
	next := Ticket{Wish: a.Apps[0].Wish}
	var plans []plan.Plan
	for _, one := range a.Apps {
		if refused, err := d.own(ctx, one.App); refused != nil || err != nil {
			return d.orNo(refused, err)
		}
		if err := d.sound(pol, one); err != nil {
			return Ticket{}, false, err
		}
		if one.Wish.Verb != plan.ToEnable {
			return Ticket{}, false, fmt.Errorf("ask for several apps: %q is not for several", one.Wish.Verb)
		}
		if !sameWish(one.Wish, next.Wish) {
			next.Wish = plan.Wish{Verb: plan.ToEnable} // each part says its own
		}
		plans = append(plans, one.Plan)
		next.Parts = append(next.Parts, Part{Wish: one.Wish, Plan: one.Plan})
	}
	next.Plan = plan.Together(plans)
	next.Requester, next.Team, next.Channel, next.Origin = a.By.ID, a.By.Team, a.Channel, a.Origin
	return d.open(ctx, pol, next)
}

// several refuses too many apps at once, and one that is there twice.
func several(apps []AskApp) *No {
	if len(apps) > MostParts {
		return no("That is %d apps, and I take %d at a time: whoever says yes has to look at each of them. Nothing was asked for or changed. Ask for the first %d, and then for the others.", len(apps), MostParts, MostParts)
	}
	names := map[fleet.ID]string{}
	for _, a := range apps {
		switch first, twice := names[a.App.ID]; {
		case twice && first == a.App.Name:
			return no("`%s` is there twice. Nothing was asked for or changed; name each app once.", first)
		case twice:
			return no("`%s` and `%s` are the same app. Nothing was asked for or changed; name each app once.", first, a.App.Name)
		}
		names[a.App.ID] = a.App.Name
	}
	return nil
}

// sound says what is wrong with a plan that is to be asked for: a mistake of the program.
func (d *Desk) sound(pol policy.Policy, a AskApp) error {
	again := plan.For(a.App, pol.For(a.App), a.Wish, d.now())
	switch {
	case a.Plan.App != a.App.ID || len(a.Plan.Steps) == 0 || a.Plan.Outcome != plan.Ready && a.Plan.Outcome != plan.Yours:
		return fmt.Errorf("ask for %s: the plan has nothing to carry out on that app", a.App.Name)
	case again.Hash != a.Plan.Hash:
		return fmt.Errorf("ask for %s: the plan is not what the wish comes to under the policy in force", a.App.Name)
	}
	return nil
}

// singles are the plans of a ticket as if each had been asked for by itself: those of a
// batch's parts, or the ticket.
func (t Ticket) singles() []Ticket {
	if !t.Batch() {
		return []Ticket{t}
	}
	var all []Ticket
	for _, p := range t.Parts {
		one := t
		one.Wish, one.Plan, one.Parts = p.Wish, p.Plan, nil
		all = append(all, one)
	}
	return all
}

func (t Ticket) plans() (all []plan.Plan) {
	for _, one := range t.singles() {
		all = append(all, one.Plan)
	}
	return all
}

// needsApproval is plan.Plan.NeedsApproval of all plans, each with its app's name where
// there are several.
func (t Ticket) needsApproval() (why []string) {
	if !t.Batch() {
		return t.Plan.NeedsApproval()
	}
	for _, p := range t.plans() {
		for _, text := range p.NeedsApproval() {
			why = append(why, plan.Code(p.Name)+": "+text)
		}
	}
	return why
}

// sameWishes compares what two tickets were asked for.
func sameWishes(a, b Ticket) bool {
	return slices.EqualFunc(a.singles(), b.singles(), func(x, y Ticket) bool { return x.Plan.App == y.Plan.App && sameWish(x.Wish, y.Wish) })
}

// rereadAll is reread for each plan of the ticket; the apps are read side by side. Of
// what has changed it names each app. One that has changed for sure is enough, whatever
// could not be read of the others.
func (d *Desk) rereadAll(ctx context.Context, pol policy.Policy, t Ticket) (changed string, unread *No, err error) {
	singles := t.singles()
	type reading struct {
		app    fleet.App
		unread *No
		err    error
	}
	found := make([]reading, len(singles))
	var wg sync.WaitGroup
	for i, one := range singles {
		wg.Go(func() { found[i].app, found[i].unread, found[i].err = d.read(ctx, one) })
	}
	wg.Wait()
	var all []string
	rules := t.Policy != "" && t.Policy != pol.Digest() // no app's fault
	for i, one := range singles {
		if found[i].err != nil {
			return "", nil, found[i].err
		}
		why, missing, err := d.replan(ctx, pol, one, found[i].app, found[i].unread)
		if err != nil {
			return "", nil, err
		}
		if unread == nil {
			unread = missing
		}
		if name := plan.Code(one.Plan.Name); t.Batch() && why != "" && !rules && !strings.Contains(why, name) {
			why = name + ": " + why
		}
		if why != "" && !slices.Contains(all, why) {
			all = append(all, why)
		}
	}
	if len(all) == 0 {
		return "", unread, nil
	}
	return strings.Join(all, ". "), nil, nil
}
