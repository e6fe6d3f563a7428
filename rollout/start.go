package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// start is the first turn of an approved ticket: is what was approved still what would
// be done, and may it be? Nothing is changed before the answer is yes.
func (u *run) start(ctx context.Context) error {
	return u.conclude(ctx, func(ctx context.Context) conclusion {
		app, p := u.read(ctx)
		if p != nil && p.kind == fleet.NotFound {
			return u.stale(fmt.Sprintf("Heroku does not show the app to me any more: %s", plan.Code(p.said)))
		}
		if p != nil {
			return u.onTrouble(p)
		}
		pol := u.cfg.Policy()
		if again := plan.For(app, pol.For(app), u.t.Wish, u.now()); again.Hash != u.t.Plan.Hash {
			if u.t.Policy != "" && u.t.Policy != pol.Digest() { // whatever else has changed
				return u.stale("The policy has changed since this was asked for")
			}
			if part, why := plan.Unread(app); part != "" { // it may be the same plan, once that is known
				return u.onTrouble(unread(part, why))
			}
			differs, told := whatDiffers(u.t.Plan, again, app)
			if !told {
				other, err := u.otherTicket(ctx, u.t, u.t.CreatedAt)
				if err != nil {
					return conclusion{err: err}
				}
				if other != "" {
					differs = plan.Code(other) + " has changed the app since this was asked for"
				}
			}
			return u.stale(differs)
		}
		if c, over := u.allowed(ctx); over {
			return c
		}
		return conclusion{change: func(t *approval.Ticket) approval.Change {
			t.State, t.Waiting, t.Trouble = approval.Running, "", time.Time{}
			t.Progress = make([]approval.Progress, len(t.Plan.Steps))
			return u.tell(ledger.Started, map[string]any{"hash": t.Plan.Hash, "steps": stepNames(t.Plan.Steps)})
		}}
	})
}

// allowed asks whether the rules and people of today still allow the ticket. over says
// that they don't, or that it could not be found out.
func (u *run) allowed(ctx context.Context) (c conclusion, over bool) {
	why, err := u.cfg.Allowed(ctx, u.t)
	switch {
	case err != nil:
		p := sortError(ctx, err)
		if p.ended == nil {
			p = &trouble{kind: fleet.Unavailable, text: "whether this may still be done could not be found out"}
			u.log.WarnContext(ctx, "could not check whether a ticket may still be carried out", "err", err)
		}
		return u.onTrouble(p), true
	case why != "" && u.t.State == approval.Approved:
		return u.stale(why), true
	case why != "":
		return u.surprise(why), true
	}
	return c, false
}

// whatDiffers says as exactly as can be told from the plans why what would be done now
// is not what was decided on. told is false where they don't tell.
func whatDiffers(old, again plan.Plan, app fleet.App) (text string, told bool) {
	var found []string
	for i, s := range old.Steps {
		if !changes(s) || slices.ContainsFunc(old.Steps[:i], func(before plan.Step) bool { return changes(before) && subject(before) == subject(s) }) {
			continue // a later step on the same thing starts from where the earlier one ends
		}
		seen, known := s.Seen(app).Get()
		if !known {
			found = append(found, s.Seen(app).Why().Text)
		} else if text := difference(s.From, seen, "and was"); text != "" {
			found = append(found, text)
		}
	}
	if len(found) > 0 {
		return "The app is not as it was when this was decided: " + plan.Join(found), true
	}
	for _, h := range again.Hazards {
		if had := func(o plan.Hazard) bool { return o.ID == h.ID }; !slices.ContainsFunc(old.Hazards, had) &&
			(h.ID == plan.HazardAutoscaler || h.ID == plan.HazardScalingApp) {
			return "Something has changed since this was decided. " + bare(h.Text), true
		}
	}
	was, wasKnown := old.Cost.Difference.Get()
	is, isKnown := again.Cost.Difference.Get()
	if again.Outcome != plan.Refused && (was != is || wasKnown != isKnown) {
		return fmt.Sprintf("It does not cost what it did when this was decided: %s a month more was said, now it is %s",
			amount(old.Cost.Difference), amount(again.Cost.Difference)), true
	}
	if again.Outcome == plan.AlreadySo {
		return "There is nothing left to do: the app is as it should be by the rules of today", true
	}
	if len(again.Why) > 0 && !slices.Equal(old.Why, again.Why) {
		return "The same wish comes to something else by now. " + bare(again.Why[0]), true
	}
	waits := func(s plan.Step) bool { return !changes(s) } // what is left of a soak goes by the clock
	then, now := slices.DeleteFunc(slices.Clone(old.Steps), waits), slices.DeleteFunc(slices.Clone(again.Steps), waits)
	if !slices.Equal(stepNames(then), stepNames(now)) {
		return fmt.Sprintf("The same wish comes to other steps by now: %s", plan.Join(stepNames(again.Steps))), true
	}
	return "The steps would be the same, but what they stand on has changed since this was decided: a price, an autoscaler, or a setting of the app that no step is about", false
}

func amount(m fleet.Value[fleet.Money]) string {
	if v, known := m.Get(); known {
		return v.String()
	}
	return "an unknown amount"
}

// bare is a sentence without its full stop.
func bare(s string) string {
	for len(s) > 0 && s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	return s
}

func stepNames(steps []plan.Step) []string {
	out := []string{}
	for _, s := range steps {
		out = append(out, s.String())
	}
	return out
}
