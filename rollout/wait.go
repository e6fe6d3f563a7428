package rollout

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// soak waits, from when the wait was noted. Nothing is asked of Heroku meanwhile: the
// next step looks whether all is still as it was left.
func (u *run) soak(ctx context.Context, i int) error {
	step, now, begun := u.t.Plan.Steps[i], u.now(), u.begun(i)
	over := begun.Add(u.lasts(step))
	return u.conclude(ctx, func(context.Context) conclusion {
		if !now.Before(over) {
			return u.waited(i, begun)
		}
		text := fmt.Sprintf("Until %s. No dyno is added before that.", u.clock(over))
		return u.begin(i, begun, u.wait(text, earlier(now.Add(u.timing.Glance), over)))
	})
}

// lasts is how long a wait is to last.
func (u *run) lasts(step plan.Step) time.Duration {
	return step.Wait / time.Duration(u.timing.Hurry)
}

// begun is when a wait began: now, if it has not. One that is told to begin later than
// now was noted before the clock was set back, and is begun again, as nobody knows how
// much of it is over.
func (u *run) begun(i int) time.Time { return past(u.t.Progress[i].Intended, u.now()) }

// past is at, but now where that is not set, or in the future.
func past(at, now time.Time) time.Time { return earlier(cmp.Or(at, now), now) }

// begin notes when a wait began.
func (u *run) begin(i int, begun time.Time, c conclusion) conclusion {
	if u.t.Progress[i].Intended.Equal(begun) {
		return c
	}
	change := c.change
	c.change = func(t *approval.Ticket) (done approval.Change) {
		t.Progress[i].Intended = begun
		if change != nil {
			done = change(t)
		}
		return done
	}
	return c
}

// waited notes that a wait is over.
func (u *run) waited(i int, begun time.Time) conclusion {
	now, step := u.now(), u.t.Plan.Steps[i]
	return conclusion{change: func(t *approval.Ticket) approval.Change {
		t.Progress[i].Intended, t.Progress[i].Done = begun, now
		t.Waiting, t.Trouble = "", time.Time{}
		return u.tell(ledger.StepDone, stepDetail(i, step, map[string]any{"waited": now.Sub(begun).Round(time.Millisecond).String()}))
	}}
}

// settle waits until the web dynos are seen to run and nothing is in flight, for at
// least as long as the plan says.
func (u *run) settle(ctx context.Context, i int) error {
	return u.conclude(ctx, func(ctx context.Context) conclusion {
		app, p := u.read(ctx)
		if p != nil {
			return u.onTrouble(p)
		}
		if c, over := u.upheld(i, app); over {
			return c
		}
		up, want, c, over := u.dynos(app)
		if over {
			return c
		}
		now, begun := u.now(), u.begun(i)
		least := begun.Add(u.lasts(u.t.Plan.Steps[i]))
		last := least.Add(u.timing.SettleMost)
		if up >= want || !now.Before(last) { // dynos that start are what this waits for, and no hand-over
			if c, blocked := u.blocked(app, "before the next step"); blocked {
				return u.begin(i, begun, c)
			}
		}
		switch {
		case up >= want && !now.Before(least):
			return u.waited(i, begun)
		case !now.Before(last):
			return u.surprise(fmt.Sprintf("Only %d of %d web dynos are up after %s. Look at %s", up, want, span(now.Sub(begun)), logs(app)))
		}
		text := fmt.Sprintf("Until %s at least, and until %s up: %d of %d just now.", u.clock(least), dynosAre(want), up, want)
		next := now.Add(u.timing.Settle)
		if now.Before(least) {
			next = earlier(next, least)
		}
		return u.begin(i, begun, u.since(u.wait(text, next), time.Time{}))
	})
}

func dynosAre(n int) string {
	if n == 1 {
		return "the web dyno is"
	}
	return fmt.Sprintf("all %d web dynos are", n)
}

func logs(app fleet.App) string { return plan.Command(app, "its logs in the dashboard", "logs --tail") }

// dynos counts the web dynos. over says that c is all there is to conclude: one crashed,
// or they could not be read.
func (u *run) dynos(app fleet.App) (up, want int, c conclusion, over bool) {
	listed, known := app.Dynos.Get()
	if !known {
		return 0, 0, u.onTrouble(unread("the dynos", app.Dynos.Why())), true
	}
	if !app.Formation.IsKnown() {
		return 0, 0, u.onTrouble(unread("the formation", app.Formation.Why())), true
	}
	web, _ := app.Web()
	for _, d := range listed {
		switch {
		case d.Type != "web":
		case d.State == "crashed":
			return 0, 0, u.crashed(app, d), true
		case d.State == "up":
			up++
		}
	}
	return up, web.Quantity, c, false
}

// blocked looks whether a release or a hand-over stands in the way. The formation is
// locked during a hand-over, and what is changed in it meets two sets of dynos.
func (u *run) blocked(app fleet.App, before string) (c conclusion, blocked bool) {
	release, known := app.Release.Get()
	if !known {
		return u.onTrouble(unread("the latest release", app.Release.Why())), true
	}
	on, known := app.Feature(fleet.Preboot)
	if !known && !app.InSpace() {
		return u.onTrouble(unread("the features", app.Features.Why())), true
	}
	if on && !app.InSpace() && !app.Dynos.IsKnown() { // they may be those of a restart, which makes no release
		return u.onTrouble(unread("the dynos", app.Dynos.Why())), true
	}
	now := u.now()
	soon := now.Add(u.timing.Blocked)
	switch text, until := u.handOver(app, now); {
	case release.Status == "pending":
		return u.hold(fmt.Sprintf("Release v%d is in its release phase", release.Version), "I wait for its end "+before, soon), true
	case text != "":
		return u.hold(text, fmt.Sprintf("I wait until %s %s", u.clock(until), before), earlier(soon, until)), true
	}
	return c, false
}

// handOver says what hands over and until when at the latest, by the rule that the plan
// told of it by. text is empty where nothing does. It tells no age, as it is a change of
// every message when it changes.
func (u *run) handOver(app fleet.App, now time.Time) (text string, until time.Time) {
	busy, until, _ := plan.HandOver(app, now)
	began := until.Add(-handOver)
	until = began.Add(u.timing.HandOver)
	if !busy || !now.Before(until) {
		return "", time.Time{}
	}
	release, _ := app.Release.Get()
	at := release.CreatedAt
	if release.UpdatedAt.After(at) {
		at = release.UpdatedAt
	}
	if release.Status == "succeeded" && !at.Before(began) { // of a release of the future now is what counts
		return fmt.Sprintf("Release v%d went out at %s, and preboot may still be handing over to it", release.Version, u.clock(at)), until
	}
	return fmt.Sprintf("Web dynos were started at %s, and preboot may still be handing over to them", u.clock(began)), until
}

// hold waits for what stands in the way, as long as a rollout may get nowhere.
func (u *run) hold(what, how string, until time.Time) conclusion {
	now := u.now()
	since := past(u.t.Trouble, now)
	if now.Sub(since) >= u.timing.Trouble {
		return u.surprise(fmt.Sprintf("It could not go on for %s. %s", span(now.Sub(since)), what))
	}
	return u.since(u.wait(what+": "+how+".", earlier(until, since.Add(u.timing.Trouble))), since)
}

// stepDetail is what the ledger tells of a step, with what is special to the entry.
func stepDetail(i int, step plan.Step, more map[string]any) map[string]any {
	more["step"], more["kind"], more["what"] = i+1, step.Kind, step.String()
	return more
}
