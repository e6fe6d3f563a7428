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

// slow is a client of a Heroku that takes a second to answer.
func slow(t *testing.T) (*heroku.Client, *simheroku.Server) {
	return simulated(t, simheroku.Options{Latency: time.Second}, heroku.Config{})
}

// Two people who press at once, and one who presses twice, cost one reading; and who asks
// when it is through, or long after it began, gets one of their own.
func TestReadsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := slow(t)
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				if app := read(t, c, "shop"); app.Name != "shop" || !app.Formation.IsKnown() {
					t.Errorf("got %s, formation %s", app.Name, said(app.Formation))
				}
			})
		}
		wg.Go(func() { read(t, c, "checkout") })
		wg.Wait()
		if got := sim.CallCounts()["GET /apps/{app}"]; got != 2 {
			t.Errorf("five and another app: got %d readings, want 2; %v", got, sim.CallCounts())
		}
		do(t, sim, "set shop preboot=on")
		if on, _ := read(t, c, "shop").Feature(fleet.Preboot); !on {
			t.Error("right after it was through: got the reading of before, want what is now")
		}
	})
}

func TestOldReadIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Latency: 3 * time.Second}, heroku.Config{})
		var wg sync.WaitGroup
		for i := range 4 { // the last begins 2.7 s after the first, and is the third's
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 900 * time.Millisecond)
				asked := time.Now()
				if app := read(t, c, "shop"); asked.Sub(app.ReadAt) >= 2*time.Second {
					t.Errorf("got a reading that began %v before it was asked for", asked.Sub(app.ReadAt))
				}
			})
		}
		wg.Wait()
		if got := sim.CallCounts()["GET /apps/{app}"]; got != 2 {
			t.Errorf("got %d readings, want 2", got)
		}
	})
}

// Who gives up takes nobody along, and who waits for another's reading may give up too.
func TestJoinedReadGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := slow(t)
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

// What began to be read before a change is nobody's answer after it, and what is read for
// a change is its own.
func TestReadAfterApplyIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := slow(t)
		do(t, sim, "create target web=1")
		id := read(t, c, "target").ID
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			time.Sleep(900 * time.Millisecond)
			read(t, c, "target")
		})
		step := plan.Step{Kind: plan.Preboot, From: plan.State{Feature: &plan.Feature{Name: fleet.Preboot}}, To: plan.State{Feature: &plan.Feature{Name: fleet.Preboot, On: true}}}
		if err := c.Apply(t.Context(), id, step); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if app := read(t, c, "target"); !app.ReadAt.Equal(began) {
			t.Errorf("read back: got a reading that began %v before, want one of its own", began.Sub(app.ReadAt))
		} else if on, _ := app.Feature(fleet.Preboot); !on {
			t.Error("read back: got preboot off, want what was just changed")
		}
		wg.Go(func() { read(t, c, "target") })
		time.Sleep(100 * time.Millisecond)
		began = time.Now()
		app, err := c.ReadApp(heroku.Urgent(t.Context()), fleet.MustRef("target"))
		if err != nil || !app.ReadAt.Equal(began) {
			t.Errorf("for a change: got a reading that began %v before (%v), want one of its own", began.Sub(app.ReadAt), err)
		}
	})
}
