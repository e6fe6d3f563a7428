package rollout

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// A batch, a ticket for several apps, is carried out app by app, each by a ticket of its
// own, which is made when its turn comes and is carried out like any other. The batch's
// own turns only look at that one, wait, and begin with the next: so there is one app at
// a time, and a crash at any point makes no ticket twice, as a part's ticket and its
// place in the batch are stored in one transaction.
//
// The first app is the canary: the pause after it is longer. Before the next begins, the
// one before it is looked at again, and so is each that a look after its end has found
// something about. The first thing that is not well ends the batch.

// canaryPause is the least pause after the first app of a batch. What a change breaks
// that needs visitors, or a scaler that moves it back, shows within minutes.
const canaryPause = 5 * time.Minute

// What Config.Judge says of an app that is as it should be, and of one of which that
// could not be told.
const (
	verdictReady   = "ready"
	verdictUnknown = "unknown"
)

// startBatch is the first turn of an approved batch. Whether each app is still as it was
// is seen when its own turn comes.
func (u *run) startBatch(ctx context.Context) error {
	return u.conclude(ctx, func(ctx context.Context) conclusion {
		if c, over := u.allowed(ctx); over {
			return c
		}
		return conclusion{change: func(t *approval.Ticket) approval.Change {
			t.State, t.Waiting, t.Trouble = approval.Running, "", time.Time{}
			return u.tell(ledger.Started, map[string]any{"hash": t.Plan.Hash, "apps": partNames(t.Parts)})
		}}
	})
}

// advanceBatch is one turn of a running batch.
func (u *run) advanceBatch(ctx context.Context) error {
	if i, any := u.t.Current(); any && u.t.Parts[i].State != approval.Done {
		return u.follow(ctx, i)
	}
	i, more := u.t.Next()
	switch {
	case !more:
		return u.finishBatch(ctx)
	case u.t.Halt != "":
		return u.conclude(ctx, func(context.Context) conclusion { return u.halted() })
	case i > 0:
		if until := u.rests(i); u.now().Before(until) {
			return u.rest(ctx, i, until)
		}
	}
	return u.beginPart(ctx, i)
}

// follow looks how far part i's ticket is.
func (u *run) follow(ctx context.Context, i int) error {
	part := u.t.Parts[i]
	t, err := u.cfg.Tickets.Ticket(ctx, part.Ticket)
	if err != nil && !errors.Is(err, approval.ErrNoTicket) {
		return fmt.Errorf("load %s, which carries out %s for %s: %w", part.Ticket, part.Plan.Name, u.t.ID, err)
	}
	return u.conclude(ctx, func(context.Context) conclusion {
		switch {
		case err != nil || t.Of != u.t.ID || t.Plan.Hash != part.Plan.Hash: // whoever can write the database did that
			return u.lost(i)
		case t.State.Final():
			return u.ended(i, t)
		}
		text := doing(t)
		c := conclusion{later: u.now().Add(u.timing.Glance), why: part.Ticket + " is under way"}
		if part.State != t.State || part.Doing != text || u.t.Waiting != "" {
			c.change = func(b *approval.Ticket) approval.Change {
				b.Parts[i].State, b.Parts[i].Doing = t.State, text
				b.Waiting, b.Trouble = "", time.Time{}
				return approval.Change{}
			}
		}
		return c
	})
}

// lost ends a batch of which nobody knows any more what carries part i out.
func (u *run) lost(i int) conclusion {
	part := u.t.Parts[i]
	c := u.surprise(fmt.Sprintf("%s is not the ticket that I made for %s: the database was altered", plan.Code(part.Ticket), plan.Code(part.Plan.Name)))
	end := c.change
	c.change = func(b *approval.Ticket) approval.Change {
		b.Parts[i].State, b.Parts[i].Doing, b.Parts[i].Outcome = approval.Failed, "", "What came of it is not known."
		return end(b)
	}
	return c
}

// doing is what a ticket does just now, in a sentence or two.
func doing(t approval.Ticket) string {
	text := "It starts in its turn."
	if t.State == approval.Running {
		text = fmt.Sprintf("%d of %d steps done.", t.StepsDone(), len(t.Plan.Steps))
	}
	if t.Halt != "" {
		text += " It stops after its current step."
	}
	if t.Waiting != "" {
		text += " " + t.Waiting
	}
	return text
}

// ended notes that part i's ticket has ended, which ends the batch unless all is well.
func (u *run) ended(i int, t approval.Ticket) conclusion {
	now := u.now()
	at := past(cmp.Or(t.EndedAt, t.DecidedAt), now)
	note := func(b *approval.Ticket) {
		part := &b.Parts[i]
		part.State, part.Doing, part.Outcome, part.EndedAt = t.State, "", t.Outcome, at
	}
	e := ending{state: approval.Stopped, verb: ledger.Stopped}
	name, what := plan.Code(t.Plan.Name), "stopped"
	account := t.Outcome
	switch t.State {
	case approval.Done:
		if _, more := u.t.Next(); !more || t.Halt == "" || u.t.Halt != "" {
			return conclusion{change: func(b *approval.Ticket) approval.Change {
				note(b)
				b.Waiting, b.Trouble = "", time.Time{}
				return approval.Change{}
			}}
		}
		// Whoever cancels a part wants no more of it, though it was at its last step.
		what, account = fmt.Sprintf("was cancelled at its last step, and is done (%s)", plan.Code(t.ID)), ""
	case approval.Failed:
		e.state, e.verb, what = approval.Failed, ledger.Failed, "failed"
	case approval.Cancelled:
		what = "was cancelled before it began"
	case approval.Stale:
		what = "could not begin"
		account, _, _ = strings.Cut(account, " To plan it anew: ") // it is among those that are said below
	}
	if i > 0 { // of this app that is true
		account = strings.Replace(account, "Nothing was changed.", "Nothing was changed on it.", 1)
	}
	e.why = strings.TrimSpace(fmt.Sprintf("%s, %d of %d, %s. %s", name, i+1, len(u.t.Parts), what, account))
	c := u.end(e)
	change := c.change
	c.change = func(b *approval.Ticket) approval.Change {
		note(b)
		return change(b)
	}
	return c
}

// rests is until when there is a pause before part i begins.
func (u *run) rests(i int) time.Time {
	pause := u.cfg.Policy().Rollout.Pause
	if i == 1 {
		pause = max(pause, canaryPause)
	}
	return past(u.t.Parts[i-1].EndedAt, u.now()).Add(pause / time.Duration(u.timing.Hurry))
}

// rest waits between two apps. Nothing is asked of Heroku meanwhile. A part that ended
// in the future, as the clock was set back since, is noted as ended now: nobody knows
// how much of the pause is over.
func (u *run) rest(ctx context.Context, i int, until time.Time) error {
	now, before := u.now(), u.t.Parts[i-1]
	return u.conclude(ctx, func(context.Context) conclusion {
		text := fmt.Sprintf("%s is done. Until %s it is left to itself; then I look at it once more, and begin with %s.",
			plan.Code(before.Plan.Name), u.clock(until), plan.Code(u.t.Parts[i].Plan.Name))
		c := u.since(u.wait(text, earlier(now.Add(u.timing.Glance), until)), time.Time{})
		if !before.EndedAt.After(now) {
			return c
		}
		change := c.change
		c.change = func(t *approval.Ticket) (done approval.Change) {
			t.Parts[i-1].EndedAt = now
			if change != nil {
				done = change(t)
			}
			return done
		}
		return c
	})
}

// beginPart makes the ticket that carries part i out, if all is well.
func (u *run) beginPart(ctx context.Context, i int) error {
	return u.conclude(ctx, func(ctx context.Context) conclusion {
		for j := range i {
			if c, over := u.well(ctx, j, j == i-1); over {
				return c
			}
		}
		if c, over := u.allowed(ctx); over {
			return c
		}
		next, change, err := approval.PartTicket(u.t, i, u.now())
		if err != nil { // allowed has said why not, unless the clock was set in between
			return conclusion{err: err}
		}
		var made approval.Ticket
		return conclusion{
			first: func(ctx context.Context, tx *sql.Tx) (err error) {
				made, _, err = u.cfg.Tickets.CreateTicketTx(ctx, tx, next, change)
				return err
			},
			change: func(t *approval.Ticket) approval.Change {
				u.log.Info("a part of a batch begins", "ref", made.ID)
				t.Parts[i].Ticket, t.Parts[i].State, t.Parts[i].Doing = made.ID, made.State, doing(made)
				t.Waiting, t.Trouble = "", time.Time{}
				return approval.Change{}
			},
		}
	})
}

// well looks at the app of part i, which is done, again: always, or only if a look after
// its end has found something. over says that it is not well, or could not be seen.
func (u *run) well(ctx context.Context, i int, always bool) (c conclusion, over bool) {
	part := u.t.Parts[i]
	name := plan.Code(part.Plan.Name)
	t, err := u.cfg.Tickets.Ticket(ctx, part.Ticket)
	if err != nil {
		return conclusion{err: fmt.Errorf("load %s: %w", part.Ticket, err)}, true
	}
	found := func(l approval.Look) bool { return l.Text != "" }
	if !always && !slices.ContainsFunc(t.Later, found) {
		return c, false
	}
	its := &run{Runner: u.Runner, job: u.job, t: t, log: u.log}
	app, p := its.read(ctx)
	if p == nil {
		p = unreadForLook(app)
	}
	var seen sight
	if p == nil {
		seen, p = its.compare(app)
	}
	if p != nil {
		p.text, p.said = fmt.Sprintf("%s is done, and could not be looked at again: %s", name, p.words()), ""
		return u.onTrouble(p), true
	}
	bad := ""
	switch crashed, is := crashedDyno(app), u.cfg.Judge(ctx, app); {
	case crashed != "":
		bad = fmt.Sprintf("%s was done, and by now %s", name, crashed)
	case t.Verdict == verdictReady && is == verdictUnknown:
		return u.onTrouble(&trouble{kind: fleet.Unavailable, text: fmt.Sprintf("%s is done, and whether it is still ready could not be told", name)}), true
	case t.Verdict == verdictReady && is != verdictReady:
		bad = fmt.Sprintf("%s was ready when it was done, and is not any more", name)
	case t.Verdict != verdictReady && seen.undone: // it was left for a person to make it ready
		bad = fmt.Sprintf("%s is not as I left it", name)
	default:
		return c, false
	}
	if seen.text != "" {
		bad += ". " + seen.text
	} else {
		bad += fmt.Sprintf(": %s tells more", plan.Code("/zdd status "+part.Plan.Name))
	}
	return u.surprise(bad), true
}

// unreadForLook is a part of the app that was not read and that can tell whether it is
// well; nil: all were.
func unreadForLook(app fleet.App) *trouble {
	if part, why := plan.Unread(app); part != "" {
		return unread(part, why)
	}
	if !app.Dynos.IsKnown() {
		return unread("the dynos", app.Dynos.Why())
	}
	return nil
}

// crashedDyno tells of a web dyno that has crashed; empty: none has.
func crashedDyno(app fleet.App) string {
	dynos, _ := app.Dynos.Get()
	i := slices.IndexFunc(dynos, func(d fleet.Dyno) bool { return d.Type == "web" && d.State == "crashed" })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("its %s has crashed (look at %s)", plan.Code(dynos[i].Name), logs(app))
}

// endBatch ends a batch early, and says what is done and what was not begun.
func (u *run) endBatch(e ending) conclusion {
	now := u.now()
	u.log.Info("a batch ended early", "err", e.why)
	return conclusion{change: func(t *approval.Ticket) approval.Change {
		var done []string
		for _, p := range t.Parts {
			if p.State == approval.Done {
				done = append(done, p.Plan.Name)
			}
		}
		text, rest := []string{bare(e.why) + "."}, t.Rest()
		switch {
		case len(done) > 0:
			text = append(text, "Done: "+plan.Join(coded(done))+".")
		case len(rest) == len(t.Parts) && !strings.Contains(e.why, "Nothing was changed"):
			text = append(text, "Nothing was changed.")
		}
		if i, any := t.Current(); any && !t.Parts[i].State.Final() { // the batch itself was altered
			p := t.Parts[i]
			text = append(text, fmt.Sprintf("%s is under way and goes on by itself: %s stops it.", plan.Code(p.Plan.Name), plan.Code("/zdd cancel "+p.Ticket)))
		}
		if len(rest) > 0 {
			text = append(text, fmt.Sprintf("Not begun: %s. To plan that anew: %s.", plan.Join(coded(partNames(rest))), orders(rest)))
		}
		t.State, t.EndedAt, t.Waiting, t.Trouble = e.state, now, "", time.Time{}
		t.Outcome = strings.Join(text, " ")
		return u.tell(e.verb, map[string]any{"why": e.why, "done": nonNil(done), "not_begun": partNames(rest)})
	}}
}

// finishBatch ends a batch all of whose parts are done.
func (u *run) finishBatch(ctx context.Context) error {
	begun := u.now()
	var names, unready []string
	for _, p := range u.t.Parts {
		t, err := u.cfg.Tickets.Ticket(ctx, p.Ticket)
		if err != nil {
			return fmt.Errorf("load %s: %w", p.Ticket, err)
		}
		for _, step := range t.Progress {
			if at := cmp.Or(step.Intended, step.Done); !at.IsZero() {
				begun = earlier(begun, at)
			}
		}
		if names = append(names, p.Plan.Name); t.Verdict != verdictReady {
			unready = append(unready, p.Plan.Name)
		}
	}
	return u.conclude(ctx, func(context.Context) conclusion {
		now := u.now()
		u.log.Info("a batch is done")
		text := fmt.Sprintf("All %d are done, in %s: %s.", len(names), span(now.Sub(begun)), plan.Join(coded(names)))
		if len(unready) > 0 {
			text += fmt.Sprintf(" Something is left to do for %s: see there.", plan.Join(coded(unready)))
		}
		return conclusion{change: func(t *approval.Ticket) approval.Change {
			t.State, t.EndedAt, t.Waiting, t.Trouble, t.Outcome = approval.Done, now, "", time.Time{}, text
			return u.tell(ledger.Finished, map[string]any{"done": names, "not_ready": nonNil(unready)})
		}}
	})
}

// orders are what to type to ask for the parts once more, marked as code.
func orders(parts []approval.Part) string {
	lines := approval.Lines(parts)
	for i, line := range lines {
		lines[i] = plan.Code("/zdd " + line)
	}
	return plan.Join(lines)
}

func partNames(parts []approval.Part) []string {
	names := []string{}
	for _, p := range parts {
		names = append(names, p.Plan.Name)
	}
	return names
}

func coded(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = plan.Code(name)
	}
	return out
}
