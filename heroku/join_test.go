package heroku_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/plan"
	simheroku "example.com/zdd/sim/heroku"
)

// joining is a client that shares readings, of a Heroku that takes a second to answer.
func joining(t *testing.T) (*heroku.Client, *simheroku.Server) {
	return simulated(t, simheroku.Options{Latency: time.Second}, heroku.Config{Timing: heroku.Timing{Join: 2 * time.Second}})
}

// Two people who press at once, and one who presses twice, cost one reading; and none is
// older than when it was asked for by more than two seconds.
func TestReadsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := joining(t)
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				if app := read(t, c, "shop"); app.Name != "shop" || !app.Formation.IsKnown() {
					t.Errorf("got %s, formation %s", app.Name, said(app.Formation))
				}
			})
		}
		wg.Wait()
		if got := sim.CallCounts()["GET /apps/{app}"]; got != 1 {
			t.Errorf("five within half a second: got %d readings, want 1; %v", got, sim.CallCounts())
		}
		first := read(t, c, "shop").ReadAt
		if age := time.Since(first); age >= 2*time.Second || age == 0 {
			t.Errorf("again: got a reading %v old, want the one of before", age)
		}
		read(t, c, "checkout")
		if got := sim.CallCounts()["GET /apps/{app}"]; got != 2 {
			t.Errorf("another app: got %d readings, want its own", got)
		}
		asked := time.Now()
		if app := read(t, c, "shop"); app.ReadAt.Before(asked.Add(-2 * time.Second)) {
			t.Errorf("two seconds later: got a reading %v old", asked.Sub(app.ReadAt))
		}
		do(t, sim, "rename shop shop-2")
		time.Sleep(2 * time.Second)
		if _, err := c.ReadApp(t.Context(), fleet.MustRef("shop")); err == nil {
			t.Error("after that: got the app of before")
		}
	})
}

// Who gives up takes nobody along, and who waits for another's reading may give up too.
func TestJoinedReadGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := joining(t)
		var wg sync.WaitGroup
		after := func(limit, wait time.Duration) (fleet.App, error) {
			time.Sleep(wait)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			return c.ReadApp(ctx, fleet.MustRef("shop"))
		}
		wg.Go(func() {
			if _, err := after(500*time.Millisecond, 0); err == nil {
				t.Error("the first: got an app, want it given up")
			}
		})
		wg.Go(func() {
			app, err := after(time.Minute, 100*time.Millisecond)
			if err != nil || !app.Formation.IsKnown() || !app.Features.IsKnown() || !app.Dynos.IsKnown() {
				t.Errorf("the second: got %v, formation %s, want all of it", err, said(app.Formation))
			}
		})
		wg.Go(func() {
			began := time.Now()
			_, err := after(100*time.Millisecond, 100*time.Millisecond)
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unavailable || time.Since(began) != 200*time.Millisecond {
				t.Errorf("the third: got %v after %v, want given up after 100ms of its own", err, time.Since(began))
			}
		})
		wg.Wait()
	})
}

// What was read before a change is nobody's answer after it, and what is read for a
// change is never another's.
func TestReadAfterApplyIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{Timing: heroku.Timing{Join: 2 * time.Second}})
		do(t, sim, "create target web=1")
		before := read(t, c, "target")
		if on, _ := before.Feature(fleet.Preboot); on {
			t.Fatal("preboot is on already")
		}
		step := plan.Step{Kind: plan.Preboot, From: plan.State{Feature: &plan.Feature{Name: fleet.Preboot}}, To: plan.State{Feature: &plan.Feature{Name: fleet.Preboot, On: true}}}
		if err := c.Apply(t.Context(), before.ID, step); err != nil {
			t.Fatal(err)
		}
		if on, _ := read(t, c, "target").Feature(fleet.Preboot); !on {
			t.Error("read back: got preboot off, want what was just changed")
		}
		do(t, sim, "set target preboot=off") // behind the bot's back
		if on, _ := read(t, c, "target").Feature(fleet.Preboot); !on {
			t.Error("a person, at the same moment: got another reading, want the one of before")
		}
		app, err := c.ReadApp(heroku.Changing(t.Context()), fleet.MustRef("target"))
		if on, _ := app.Feature(fleet.Preboot); err != nil || on {
			t.Errorf("for a change: got preboot %t %v, want what is now", on, err)
		}
	})
}
