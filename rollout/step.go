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
	"example.com/zdd/policy"
)

// advance is one turn of a running ticket.
func (u *run) advance(ctx context.Context) error {
	steps := u.t.Plan.Steps
	for len(u.t.Progress) < len(steps) { // a ticket that was stored by hand
		u.t.Progress = append(u.t.Progress, approval.Progress{})
	}
	i := slices.IndexFunc(u.t.Progress[:len(steps)], func(p approval.Progress) bool { return p.Done.IsZero() })
	switch {
	case i < 0:
		return u.finish(ctx)
	case u.t.Halt != "" && !(changes(steps[i]) && u.intended(i)):
		// Nothing of the step was sent, so the step before it was the current one.
		return u.conclude(ctx, func(context.Context) conclusion { return u.halted() })
	case steps[i].Kind == plan.Soak:
		return u.soak(ctx, i)
	case steps[i].Kind == plan.Settle:
		return u.settle(ctx, i)
	}
	return u.write(ctx, i)
}

// changes says whether a step writes; the others wait.
func changes(s plan.Step) bool { return s.To.Feature != nil || len(s.To.Processes) > 0 }

// intended says whether the write of a step was announced, so that it may have been sent.
func (u *run) intended(i int) bool { return !u.t.Progress[i].Intended.IsZero() }

// write takes one step that changes something: it looks, announces, sends and reads
// back. What was announced and not read back is looked at anew by the next turn.
func (u *run) write(ctx context.Context, i int) error {
	step := u.t.Plan.Steps[i]
	var app fleet.App
	announced := false
	err := u.conclude(ctx, func(ctx context.Context) conclusion {
		var p *trouble
		if app, p = u.read(ctx); p != nil {
			return u.onTrouble(p)
		}
		seen, c, over := u.look(i, app)
		if over {
			return c
		}
		if seen.Equal(step.To) {
			return u.done(i, seen)
		}
		if u.t.Halt != "" { // it was announced, and either never sent or without effect
			return u.halted()
		}
		if c, blocked := u.blocked(app, "before "+step.String()); blocked {
			return c
		}
		c = u.intend(i, seen, app.ReadAt)
		change := c.change
		if change == nil { // by an earlier turn, and it had no effect
			announced = true
			return c
		}
		c.change = func(t *approval.Ticket) approval.Change {
			done := change(t)
			announced = t.State == approval.Running // a halt may have come in between
			return done
		}
		return c
	})
	if err != nil || !announced {
		return err
	}
	return u.conclude(ctx, func(ctx context.Context) conclusion { return u.send(ctx, i, app) })
}

// look holds the app against what the plan says it is at step i. over says that c is
// all there is to conclude; otherwise seen is step i's From or To. A step that is seen to
// be done is noted as that before anything else: what came of it has to be known, also
// where what the steps before it did is no more so, which the next turn sees.
func (u *run) look(i int, app fleet.App) (seen plan.State, c conclusion, over bool) {
	step := u.t.Plan.Steps[i]
	value := step.Seen(app)
	seen, known := value.Get()
	if known && seen.Equal(step.To) {
		return seen, c, false
	}
	u.came.nothing = known && seen.Equal(step.From)
	if c, over := u.upheld(i, app); over {
		return seen, c, true
	}
	switch {
	case !known && value.Why().Kind == fleet.NotFound:
		return seen, u.surprise(plan.Capital(value.Why().Text)), true
	case !known:
		return seen, u.onTrouble(unread(subject(step), value.Why())), true
	case !seen.Equal(step.From):
		return seen, u.surprise(plan.Capital(difference(step.From, seen, "and was")) + " when this was decided. I did not do that"), true
	case len(step.To.Processes) == 0:
		return seen, c, false
	}
	if c, over := u.scaled(app); over {
		return seen, c, true
	}
	if c, over := u.sticky(i, app); over {
		return seen, c, true
	}
	if c, over := u.fallen(i, app); over {
		return seen, c, true
	}
	return seen, c, false
}

// sticky looks whether session affinity is on, and has been for its soak, before web
// dynos are added, where the policy requires it: it may have been on from the start, so
// that no step is about it, and it may have been off and on again since.
func (u *run) sticky(i int, app fleet.App) (c conclusion, over bool) {
	rules := u.cfg.Policy().For(app)
	if !addsWeb(u.t.Plan.Steps[i]) || app.InSpace() || rules.SessionAffinity != policy.Required {
		return c, false
	}
	switch on, known := app.Feature(fleet.SessionAffinity); {
	case !known:
		return u.onTrouble(unread("the features", app.Features.Why())), true
	case !on:
		return u.surprise("Session affinity is off, which the policy requires before there is a second web dyno"), true
	}
	return u.soaked(i, app, rules.Rollout.AffinitySoak)
}

// addsWeb says whether a step makes more than one web dyno of fewer.
func addsWeb(step plan.Step) bool {
	for i, to := range step.To.Processes {
		if to.Type == "web" && to.Quantity > 1 && to.Quantity > step.From.Processes[i].Quantity {
			return true
		}
	}
	return false
}

// fallen looks whether a web dyno has crashed before more of them are added: they cost
// money, and of a release that does not run they make nothing safer. Where the plan said so,
// it was decided all the same.
func (u *run) fallen(i int, app fleet.App) (c conclusion, over bool) {
	if !addsWeb(u.t.Plan.Steps[i]) || u.foreseen(plan.HazardCrashed) {
		return c, false
	}
	listed, _ := app.Dynos.Get()
	for _, d := range listed {
		if d.Type == "web" && d.State == "crashed" {
			return u.crashed(app, d), true
		}
	}
	return c, false
}

// crashed ends a rollout whose app does not run.
func (u *run) crashed(app fleet.App, d fleet.Dyno) conclusion {
	return u.surprise(fmt.Sprintf("%s crashed at %s. Look at %s", plan.Code(d.Name), u.clock(d.Since), logs(app)))
}

// foreseen says whether a hazard was in the plan that was decided.
func (u *run) foreseen(id string) bool {
	return slices.ContainsFunc(u.t.Plan.Hazards, func(h plan.Hazard) bool { return h.ID == id })
}

// soaked looks whether session affinity has been on for long enough, though no step is
// to soak, or has soaked before it was switched once more. Where Heroku does not tell
// since when it is on, a whole soak of the plan's own will do: it is there for that reason.
func (u *run) soaked(i int, app fleet.App, soak time.Duration) (c conclusion, over bool) {
	value := app.FeatureSince(fleet.SessionAffinity)
	since, known := value.Get()
	now, until := u.now(), since.Add(soak/time.Duration(u.timing.Hurry))
	if since.Sub(now) > soak { // the clock was set back, and tells nothing of what was before
		known, value = false, fleet.Unknown[time.Time](fleet.Reason{Kind: fleet.NotTold, Text: "it lies in the future, by my clock"})
	}
	switch whole := func(s plan.Step) bool { return s.Kind == plan.Soak && s.Wait >= soak }; {
	case !known && !slices.ContainsFunc(u.t.Plan.Steps[:i], whole):
		return u.onTrouble(unread("since when session affinity is on", value.Why())), true
	case !known || !now.Before(until):
		return c, false
	}
	text := fmt.Sprintf("Until %s, so that visitors get the affinity cookie first: session affinity was last switched at %s. There are no more dynos before that.", u.clock(until), u.clock(since))
	return u.since(u.wait(text, earlier(now.Add(u.timing.Blocked), until)), time.Time{}), true
}

// upheld looks whether what the steps before step i did is still so. A second web dyno,
// say, must not start once somebody has turned session affinity off again.
func (u *run) upheld(i int, app fleet.App) (c conclusion, over bool) {
	steps := u.t.Plan.Steps[:i]
	expected := plan.After(app, steps...)
	var found []string
	for _, s := range steps {
		if !changes(s) {
			continue
		}
		value := s.Seen(app)
		seen, known := value.Get()
		switch {
		case !known && value.Why().Kind == fleet.NotFound:
			found = append(found, value.Why().Text)
		case !known:
			return u.onTrouble(unread(subject(s), value.Why())), true
		default:
			want, _ := s.Seen(expected).Get()
			if text := difference(want, seen, "and should be"); text != "" && !slices.Contains(found, text) {
				found = append(found, text)
			}
		}
	}
	if len(found) > 0 {
		return u.surprise(fmt.Sprintf("%s, after I had read it back. Somebody or something else has changed it", plan.Capital(plan.Join(found)))), true
	}
	return c, false
}

// scaled looks whether something else scales the app by now: what is scaled by hand
// then does not last, and two hands fight.
func (u *run) scaled(app fleet.App) (c conclusion, over bool) {
	value := plan.AutoscalerOf(app)
	scaler, known := value.Get()
	switch addons := app.ScalingAddOns(); {
	case u.foreseen(plan.HazardAutoscaler): // it was so, or was unknown, when this was decided
	case !known:
		return u.onTrouble(unread("whether Heroku's autoscaler is on", value.Why())), true
	case scaler.Active:
		return u.surprise(fmt.Sprintf("Heroku's autoscaler is on by now, from %d to %d web dynos", scaler.Min, scaler.Max)), true
	case len(addons) > 0 && !u.foreseen(plan.HazardScalingApp):
		return u.surprise("The app has a scaling add-on by now: " + plan.Code(addons[0])), true
	}
	return c, false
}

// intend announces a write, with what was read. A write that was announced already and
// had no effect is not announced twice.
func (u *run) intend(i int, seen plan.State, readAt time.Time) conclusion {
	if u.intended(i) {
		return conclusion{}
	}
	now, step := u.now(), u.t.Plan.Steps[i]
	return conclusion{change: func(t *approval.Ticket) approval.Change {
		if t.Halt != "" {
			return u.halted().change(t)
		}
		t.Progress[i].Intended, t.Progress[i].Before = now, seen
		t.Waiting, t.Trouble = "", time.Time{}
		return u.tell(ledger.StepIntended, stepDetail(i, step, map[string]any{"read": seen, "read_at": readAt.UTC(), "to": step.To}))
	}}
}

// send sends a write that was announced, and reads it back.
func (u *run) send(ctx context.Context, i int, app fleet.App) conclusion {
	step := u.t.Plan.Steps[i]
	if now := u.now(); now.Sub(app.ReadAt) > u.timing.Fresh || !now.Before(u.job.Deadline()) {
		return conclusion{} // something held this process up: look again first
	}
	u.came.nothing = false
	err := u.cfg.Heroku.Apply(ctx, app.ID, step)
	if err == nil {
		return u.readBack(ctx, i, nil)
	}
	p := sortError(ctx, err)
	// These are refusals, for now or for good, before it had any effect.
	u.came.nothing = p.ended == nil && (p.kind == fleet.Locked || p.kind == fleet.RateLimited || !p.passes())
	switch {
	case p.ended != nil:
		return conclusion{err: p.ended}
	case p.kind == fleet.Locked:
		return u.hold("Heroku locks the formation, "+p.words(), "I try again every "+span(u.timing.Blocked), u.now().Add(u.timing.Blocked))
	case p.kind == fleet.RateLimited:
		return u.onTrouble(p)
	case p.passes():
		u.log.WarnContext(ctx, "a write's effect is unknown, reading it back", "step", step.String(), "err", err)
		return u.readBack(ctx, i, p)
	}
	return u.refused(i, p)
}

// readBack reads the app until it shows the step as done, or for as long as Timing
// allows. sent is what went wrong when it was sent, nil when Heroku accepted it.
func (u *run) readBack(ctx context.Context, i int, sent *trouble) conclusion {
	step := u.t.Plan.Steps[i]
	begun, pause := u.now(), u.timing.ReadBack
	for {
		app, p := u.read(ctx)
		if p == nil {
			value := step.Seen(app)
			seen, known := value.Get()
			switch {
			case known && seen.Equal(step.To):
				return u.done(i, seen)
			case known && !seen.Equal(step.From):
				if sent == nil {
					u.came.then = seen
				}
				return u.surprise(plan.Capital(difference(step.To, seen, "and should be")) + ". Something else has changed it at the same moment")
			case !known:
				p = unread(subject(step), value.Why())
			case sent != nil:
				p = sent
			default:
				p = &trouble{kind: fleet.Unavailable, text: fmt.Sprintf("Heroku has accepted %s, but does not show it yet", step)}
			}
		}
		if p.ended != nil || u.now().Add(pause).Sub(begun) > u.timing.ReadBackMost {
			return u.onTrouble(p)
		}
		if err := sleep(ctx, pause); err != nil {
			return conclusion{err: err}
		}
		pause *= 2
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// done notes a step that was read as done. If its write was never announced, it was so
// before; otherwise it is taken for ours, whether its answer came or not.
func (u *run) done(i int, seen plan.State) conclusion {
	now, step := u.now(), u.t.Plan.Steps[i]
	u.log.Info("a step is done", "step", step.String())
	return conclusion{change: func(t *approval.Ticket) approval.Change {
		progress := &t.Progress[i]
		progress.Already = progress.Intended.IsZero()
		if progress.Already {
			progress.Before = seen
		}
		progress.Done, progress.After = now, seen
		t.Waiting, t.Trouble = "", time.Time{}
		detail := map[string]any{"before": progress.Before, "after": seen}
		if progress.Already {
			detail["already"] = true
		}
		return u.tell(ledger.StepDone, stepDetail(i, step, detail))
	}}
}

// refused ends a rollout whose write Heroku refused for good, and so without effect.
func (u *run) refused(i int, p *trouble) conclusion {
	step := u.t.Plan.Steps[i]
	c := u.end(ending{
		state: approval.Failed, verb: ledger.Failed,
		why: fmt.Sprintf("%s was refused: %s", plan.Code(step.String()), p.words()),
	})
	change := c.change
	c.change = func(t *approval.Ticket) approval.Change {
		failed := u.tell(ledger.StepFailed, stepDetail(i, step, map[string]any{"problem": p.kind, "said": p.words()}))
		ended := change(t)
		ended.Entries = append(failed.Entries, ended.Entries...)
		return ended
	}
	return c
}
