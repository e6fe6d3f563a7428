package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/jobs"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// lookout is that of one replica.
func (t *town) lookout() *watch.Lookout {
	return watch.NewLookout(watch.LookoutConfig{Desk: t.desk(), Heroku: t, Policy: t.inForce})
}

// look looks once, and says how long it is to the next look.
func (t *town) look(l *watch.Lookout) time.Duration {
	t.Helper()
	job := t.held()
	if err := l.Look(t.Context(), job); !errors.Is(err, errWaits) {
		t.Fatalf("got %v, want it to look again", err)
	}
	return time.Until(job.at)
}

// watched are the apps that are, or were, watched, the first first.
func (t *town) watched() (names []string) {
	t.Helper()
	all, err := t.store.Watches(t.Context(), watch.Filter{Limit: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range slices.Backward(all) {
		names = append(names, w.Name)
	}
	return names
}

// in puts an app into a stage of a pipeline.
func (h *home) in(stage string) *home {
	h.Pipeline = fleet.Known(fleet.Coupling{Pipeline: "p", Name: fleet.Known("storefront"), Stage: stage})
	return h
}

// TestLookout begins a watch for each release of the apps that the policy names, and for
// nothing else.
func TestLookout(t *testing.T) {
	for releases, want := range map[string][]string{"production": {"shop"}, "scope": {"shop", "loose"}, "off": nil} {
		t.Run(releases, func(t *testing.T) {
			inTown(t, "watch: { releases: "+releases+" }\nscope: { exclude: [excluded] }\n", func(t *testing.T, town *town) {
				apps := []*home{
					town.build("shop", "standard-1x web=2").in("production"), town.build("stage", "standard-1x web=2").in("staging"), town.build("loose", "standard-1x web=2"),
					town.build("excluded", "standard-1x web=2").in("production"), town.build("sleepy", "eco web=1").in("production"),
				}
				town.build("quiet", "standard-1x web=2").in("production")
				l := town.lookout()
				town.look(l)
				if got := town.watched(); got != nil {
					t.Errorf("before any release: got %q", got)
				}
				for _, h := range apps {
					town.release(h)
				}
				for range 8 {
					time.Sleep(30 * time.Second)
					town.look(l)
				}
				if got := town.watched(); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				reads := town.called("app")
				if releases == "off" {
					if town.called("list") != 0 {
						t.Error("an app was looked at that nobody wants watched")
					}
					return
				}
				if most := len(apps); reads > most {
					t.Errorf("%d apps were read whole, want %d at the most: each once", reads, most)
				}
				for _, name := range want {
					all, err := town.store.Watches(t.Context(), watch.Filter{Limit: -1})
					i := slices.IndexFunc(all, func(w watch.Watch) bool { return w.Name == name })
					if err != nil || all[i].By != "" || all[i].State != watch.Waiting {
						t.Errorf("got %+v, %v", all, err)
					}
				}
			})
		})
	}
}

// TestLookoutOnce: replicas that come and go begin one watch a release, and none of a
// release that was made while nobody ran.
func TestLookoutOnce(t *testing.T) {
	inTown(t, "watch: { releases: scope }\n", func(t *testing.T, town *town) {
		shop, blog := town.build("shop", "standard-1x web=2"), town.build("blog", "standard-1x web=2")
		other, err := store.Open(t.Context(), town.options)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		elsewhere := watch.NewLookout(watch.LookoutConfig{
			Desk: watch.NewDesk(watch.DeskConfig{Store: other, Policy: town.inForce}), Heroku: town, Policy: town.inForce,
		})
		end := func(id string) {
			t.Helper()
			if _, err := town.desk().Stop(t.Context(), id, "U0OP"); err != nil {
				t.Fatal(err)
			}
		}
		here := town.lookout()
		town.release(shop)
		time.Sleep(10 * time.Second)
		for range 3 {
			town.look(here)
			town.look(elsewhere)
			end("D-1") // so that it is not the open watch that keeps another one away
			here = town.lookout()
			time.Sleep(10 * time.Second)
		}
		if got := town.watched(); !slices.Equal(got, []string{"shop"}) {
			t.Errorf("got %q, want one of the shop", got)
		}
		time.Sleep(time.Minute)
		town.release(shop)
		town.release(blog)
		time.Sleep(10 * time.Second)
		town.look(elsewhere)
		town.look(here)
		if got := town.watched(); !slices.Equal(got, []string{"shop", "shop", "blog"}) {
			t.Errorf("got %q, want one for each release", got)
		}
		end("D-2")
		end("D-3")
		town.release(shop)
		time.Sleep(10 * time.Minute) // nobody runs
		town.look(town.lookout())
		if got := town.watched(); len(got) != 3 {
			t.Errorf("got %q, want none of an old release", got)
		}
	})
}

// TestLookoutClock: which release is a fresh one is told by Heroku's clock.
func TestLookoutClock(t *testing.T) {
	for _, ahead := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		inTown(t, "watch: { releases: scope }\n", func(t *testing.T, town *town) {
			town.ahead = ahead
			h := town.build("shop", "standard-1x web=2")
			town.release(h)
			time.Sleep(20 * time.Second)
			town.look(town.lookout())
			if got := town.watched(); !slices.Equal(got, []string{"shop"}) {
				t.Errorf("Heroku's clock %s ahead: got %q, want the shop", ahead, got)
			}
		})
	}
}

// TestLookoutPace: it takes a tenth of what the account gets back at the most, and of many
// apps that are released at once it reads a few at a time.
func TestLookoutPace(t *testing.T) {
	inTown(t, "watch: { releases: scope, at_once: 50 }\n", func(t *testing.T, town *town) {
		l := town.lookout()
		for cost, want := range map[int]time.Duration{1: 30 * time.Second, 3: 30 * time.Second, 12: 96 * time.Second, 75: 10 * time.Minute} {
			town.listCost = cost
			if got := town.look(l); got.Round(time.Second) != want {
				t.Errorf("%d calls: got %s to the next look, want %s", cost, got, want)
			}
		}
		town.listCost = 1
		var all []*home
		for n := range 12 {
			all = append(all, town.build(fmt.Sprintf("app-%02d", n), "standard-1x web=2"))
		}
		for _, h := range all {
			town.release(h)
		}
		for n, want := range []int{5, 10, 12, 12} {
			time.Sleep(25 * time.Second)
			town.look(l)
			if got := len(town.watched()); got != want || town.called("app") != want {
				t.Errorf("look %d: got %d watched and %d read, want %d", n, got, town.called("app"), want)
			}
		}
	})
}

// TestLookoutTrouble: what can't be read or begun now is tried again while the release is
// fresh, and nothing is tried more than that.
func TestLookoutTrouble(t *testing.T) {
	inTown(t, "watch: { releases: production, at_once: 1 }\n", func(t *testing.T, town *town) {
		shop, blog := town.build("shop", "standard-1x web=2").in("production"), town.build("blog", "standard-1x web=2").in("production")
		l := town.lookout()
		town.release(shop)
		town.fails("list", &fleet.Problem{Kind: fleet.RateLimited, RetryAfter: 3 * time.Minute})
		if got := town.look(l).Round(time.Second); got != 3*time.Minute {
			t.Errorf("rate limited: got %s to the next look, want 3m", got)
		}
		town.fails("list", nil)
		town.fails("app", away())
		time.Sleep(20 * time.Second)
		town.look(l)
		town.fails("app", nil)
		shop.Pipeline = fleet.Unknown[fleet.Coupling](fleet.Reason{Kind: fleet.Unavailable, Text: "Heroku did not answer"})
		town.look(l)
		if got := town.watched(); got != nil {
			t.Errorf("of an app whose stage nobody knows: got %q", got)
		}
		shop.in("production")
		time.Sleep(20 * time.Second)
		town.release(blog)
		town.look(l) // begins the shop's, and finds no room for the other
		town.look(l)
		if got := town.watched(); !slices.Equal(got, []string{"shop"}) {
			t.Errorf("got %q, want the shop", got)
		}
		if _, err := town.desk().Stop(t.Context(), "D-1", "U0OP"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		town.look(l)
		if got := town.watched(); !slices.Equal(got, []string{"shop", "blog"}) {
			t.Errorf("got %q, want the other one too", got)
		}
		// A list that ends early still tells of the apps before.
		if _, err := town.desk().Stop(t.Context(), "D-2", "U0OP"); err != nil {
			t.Fatal(err)
		}
		town.release(shop)
		town.fails("list", away())
		town.look(l)
		if got := town.watched(); len(got) != 3 {
			t.Errorf("got %q, want the shop once more", got)
		}
	})
}

// TestLookoutByTheQueue looks for ever, as one job of two programs.
func TestLookoutByTheQueue(t *testing.T) {
	inTown(t, "watch: { releases: scope }\n", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2")
		for range 2 {
			l := town.lookout()
			town.queue(town.store, map[string]jobs.Handler{
				watch.WorkLookout: func(ctx context.Context, j *jobs.Job) error { return l.Look(ctx, j) },
			})
			town.enqueue(watch.WorkLookout, watch.TheFleet)
		}
		for range 3 {
			time.Sleep(5 * time.Minute)
			town.release(h)
		}
		time.Sleep(5 * time.Minute)
		if lists := town.called("list"); lists < 38 || lists > 42 {
			t.Errorf("the apps were listed %d times in 20 minutes, want 40", lists)
		}
		if got := town.watched(); !slices.Equal(got, []string{"shop"}) { // nobody runs it, so it is the one for all three
			t.Errorf("got %q", got)
		}
	})
}
