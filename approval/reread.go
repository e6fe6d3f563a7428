package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// read reads the ticket's app again, by its UUID: a name may be another app's by now.
// unread is why it could not be; err means that ctx has ended.
func (d *Desk) read(ctx context.Context, t Ticket) (app fleet.App, unread *No, err error) {
	ref, err := fleet.ParseRef(string(t.Plan.App))
	if err != nil {
		return fleet.App{}, nil, fmt.Errorf("the app of %s: %w", t.ID, err)
	}
	app, err = d.cfg.Apps.ReadApp(ctx, ref)
	switch {
	case ctx.Err() != nil:
		return fleet.App{}, nil, fmt.Errorf("read %s again: %w", t.Plan.Name, context.Cause(ctx))
	case err != nil:
		return fleet.App{}, again(err, "I could not read `%s` on Heroku again%s.", t.Plan.Name, because(err)), nil
	case app.ID != t.Plan.App:
		return fleet.App{}, again(nil, "Heroku answered with another app than `%s`.", t.Plan.Name), nil
	}
	return app, nil, nil
}

func because(err error) string {
	p, ok := errors.AsType[*fleet.Problem](err)
	if !ok || p.Reason().Text == "" {
		return ""
	}
	return " (" + strings.ReplaceAll(p.Reason().Text, "`", "'") + ")"
}

// replan plans the ticket's wish again, of its app as it was read just now; unread is why
// it was not. changed is why what was decided on no longer comes out, a sentence without
// its full stop; empty: it does. Where something could not be read that it might be due
// to, it is unread instead.
func (d *Desk) replan(ctx context.Context, pol policy.Policy, t Ticket, app fleet.App, unread *No) (changed string, _ *No, err error) {
	if p, ok := errors.AsType[*fleet.Problem](unreadCause(unread)); ok && p.Kind == fleet.NotFound {
		return fmt.Sprintf("Heroku does not show me the app that %s was asked for any more: it was deleted, or I may no longer see it. One that is called `%s` by now is another app", t.ID, t.Plan.Name), nil, nil
	}
	if unread != nil {
		return "", unread, nil
	}
	now := plan.For(app, pol.For(app), t.Wish, d.now())
	if now.Hash == t.Plan.Hash {
		return "", nil, nil
	}
	if t.Policy != "" && t.Policy != pol.Digest() {
		return fmt.Sprintf("The policy has changed since %s was asked for", t.ID), nil, nil
	}
	if then, ok := difference(t.Plan, app); ok {
		return fmt.Sprintf("`%s` has changed since %s was asked for: %s", app.Name, t.ID, then), nil, nil
	}
	if part, why := plan.Unread(app); part != "" {
		return "", again(nil, "I could not read %s of `%s` again (%s).", part, t.Plan.Name, why.Text), nil
	}
	if now.Outcome == plan.Refused && len(now.Why) > 0 {
		return fmt.Sprintf("The same wish is refused by now: %s", strings.TrimRight(now.Why[0], ".")), nil, nil
	}
	if text := scaler(t.Plan, now); text != "" {
		return fmt.Sprintf("Something has changed since %s was asked for: %s", t.ID, strings.TrimRight(text, ".")), nil, nil
	}
	if now.Outcome == plan.AlreadySo {
		return fmt.Sprintf("`%s` is already as %s would make it", app.Name, t.ID), nil, nil
	}
	was, is := t.Plan.Cost.Difference, now.Cost.Difference
	if was.IsKnown() && !is.IsKnown() {
		return "", again(nil, "The price that was told for %s can't be read again (%s).", t.ID, is.Why().Text), nil
	}
	if was.IsKnown() != is.IsKnown() || was.Or(0) != is.Or(0) {
		return fmt.Sprintf("The price has changed since %s was asked for: it was %s a month more, and is %s", t.ID, amount(was), amount(is)), nil, nil
	}
	others, err := d.cfg.Store.Tickets(ctx, Filter{App: t.Plan.App, States: []State{Running, Done, Stopped, Failed}, Limit: -1})
	if err != nil {
		return "", nil, err
	}
	for _, o := range others { // newest first
		if (o.State == Running || o.EndedAt.After(t.CreatedAt)) && o.StepsDone() > 0 {
			return fmt.Sprintf("%s has changed `%s` since %s was asked for", o.ID, app.Name, t.ID), nil, nil
		}
	}
	return fmt.Sprintf("What %s stands on has changed since it was asked for: a price, the autoscaler, an add-on that scales, or a setting of `%s` that no step is about", t.ID, app.Name), nil, nil
}

func unreadCause(n *No) error {
	if n == nil {
		return nil
	}
	return n.Err
}

// scaler is the hazard of something else that scales the app and did not when p was
// made; empty: there is none.
func scaler(p, now plan.Plan) string {
	for _, h := range now.Hazards {
		had := slices.ContainsFunc(p.Hazards, func(o plan.Hazard) bool { return o.ID == h.ID })
		if !had && (h.ID == plan.HazardAutoscaler || h.ID == plan.HazardScalingApp) {
			return h.Text
		}
	}
	return ""
}

func amount(v fleet.Value[fleet.Money]) string {
	if m, known := v.Get(); known {
		return m.String()
	}
	return "unknown"
}

// difference says what of that which the steps start from is another by now. Of several
// steps about one thing the first one tells.
func difference(p plan.Plan, app fleet.App) (text string, ok bool) {
	var found []string
	told := map[string]bool{}
	for _, s := range p.Steps {
		seen, known := s.Seen(app).Get()
		if f := s.From.Feature; f != nil && !told[f.Name] {
			told[f.Name] = true
			if known && seen.Feature != nil && *seen.Feature != *f {
				found = append(found, fmt.Sprintf("%s was %s and is %s", f.Title(), f.Switch(), seen.Feature.Switch()))
			}
		}
		for i, from := range s.From.Processes {
			if told["type "+from.Type] {
				continue
			}
			told["type "+from.Type] = true
			switch {
			case !known && app.Formation.IsKnown():
				found = append(found, s.Seen(app).Why().Text)
			case !known:
			case seen.Processes[i] != from:
				to := seen.Processes[i]
				found = append(found, fmt.Sprintf("`%s` was %d × %s and is %d × %s", from.Type, from.Quantity, from.Size, to.Quantity, to.Size))
			}
		}
	}
	return strings.Join(slices.Compact(found), ", "), len(found) > 0
}
