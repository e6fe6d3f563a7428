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
	step, now := u.t.Plan.Steps[i], u.now()
	begun := cmp.Or(u.t.Progress[i].Intended, now)
	over := begun.Add(u.lasts(step))
	return u.conclude(ctx, func(context.Context) conclusion {
		if !now.Before(over) {
			return u.waited(i, begun)
		}
		text := fmt.Sprintf("Until %s. There is no second dyno before that.", clock(over))
		return u.begin(i, begun, u.wait(text, earlier(now.Add(u.timing.Glance), over)))
	})
}

// lasts is how long a wait is to last.
func (u *run) lasts(step plan.Step) time.Duration {
	return step.Wait / time.Duration(u.timing.Hurry)
}

// begin notes when a wait began.
func (u *run) begin(i int, begun time.Time, c conclusion) conclusion {
	if u.intended(i) {
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
		if c, blocked := u.blocked(app, "before the next step"); blocked {
			return u.begin(i, u.now(), c)
		}
		now := u.now()
		begun := cmp.Or(u.t.Progress[i].Intended, now)
		least := begun.Add(u.lasts(u.t.Plan.Steps[i]))
		switch {
		case up >= want && !now.Before(least):
			return u.waited(i, begun)
		case !now.Before(least.Add(u.timing.SettleMost)):
			return u.surprise(fmt.Sprintf("Only %d of %d web dynos are up after %s. Look at %s", up, want, span(now.Sub(begun)), logs(app)))
		}
		text := fmt.Sprintf("Until %s at least, and until %s up: %d of %d just now.", clock(least), dynosAre(want), up, want)
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

func logs(app fleet.App) string { return code("heroku logs --tail --app " + app.Name) }

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
			text := fmt.Sprintf("%s crashed at %s. Look at %s", code(d.Name), clock(d.Since), logs(app))
			return 0, 0, u.surprise(text), true
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
	now := u.now()
	soon := now.Add(u.timing.Blocked)
	switch text, until := u.handOver(app, release, on, now); {
	case release.Status == "pending":
		return u.hold(fmt.Sprintf("Release v%d is in its release phase", release.Version), "I wait for its end "+before, soon), true
	case text != "":
		return u.hold(text, fmt.Sprintf("I wait until %s %s", clock(until), before), earlier(soon, until)), true
	}
	return c, false
}

// handOver says whether old dynos may still serve beside new ones, and until when at
// the latest. A release is dated from when it was made, and hands over only after its
// release phase, which may take long; a daily restart hands over without any release.
// In both cases it shows in that every web dyno is young.
func (u *run) handOver(app fleet.App, release fleet.Release, preboot bool, now time.Time) (text string, until time.Time) {
	if !preboot || app.InSpace() {
		return "", time.Time{}
	}
	if until = release.CreatedAt.Add(u.timing.HandOver); release.Version > 0 && release.Status == "succeeded" && now.Before(until) {
		return fmt.Sprintf("Release v%d went out at %s, and preboot may still be handing over to it", release.Version, clock(release.CreatedAt)), until
	}
	var oldest time.Time
	dynos, _ := app.Dynos.Get()
	for _, d := range dynos {
		if d.Type == "web" && (oldest.IsZero() || d.Since.Before(oldest)) {
			oldest = d.Since
		}
	}
	if until = oldest.Add(u.timing.HandOver); !oldest.IsZero() && now.Before(until) {
		return "All web dynos are new, and preboot may still be handing over to them", until
	}
	return "", time.Time{}
}

// hold waits for what stands in the way, as long as a rollout may get nowhere.
func (u *run) hold(what, how string, until time.Time) conclusion {
	now := u.now()
	since := cmp.Or(u.t.Trouble, now)
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
