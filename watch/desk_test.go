package watch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// as says whether an error is of that type.
func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

// TestAsk is who may have which app watched, for how long.
func TestAsk(t *testing.T) {
	const rules = "scope: { exclude: [blog] }\nwatch: { lasts: 15m }\ndigest: { channel: C0OPS }\n"
	tests := map[string]struct {
		by, app string
		length  time.Duration
		before  func(t *town)
		refused func(error) bool // nil: it is made
		lasts   time.Duration
	}{
		"an operator":                    {by: "U0OP", app: "shop", lasts: 15 * time.Minute},
		"an approver":                    {by: "U0APPROVER", app: "shop", length: 2 * time.Minute, lasts: 2 * time.Minute},
		"an approver by their group":     {by: "U0GRACE", app: "shop", length: time.Hour, lasts: time.Hour},
		"the policy":                     {by: "", app: "shop", lasts: 15 * time.Minute},
		"nobody":                         {by: "U0OTHER", app: "shop", refused: is(watch.ErrNotOperator)},
		"a group's id":                   {by: "S0GROUP", app: "shop", lasts: 15 * time.Minute}, // Slack sends none
		"a group that could not be read": {by: "U0GRACE", app: "shop", before: func(t *town) { t.fails("groups", errors.New("slack is away")) }, refused: as[*watch.NoGroups]},
		"an operator all the same":       {by: "U0OP", app: "shop", before: func(t *town) { t.fails("groups", errors.New("slack is away")) }, lasts: 15 * time.Minute},
		"in a hurry":                     {by: "U0OP", app: "shop", length: 2 * time.Minute, before: func(t *town) { t.timing.Hurry = 10 }, lasts: 12 * time.Second},
		"too short":                      {by: "U0OP", app: "shop", length: 2*time.Minute - 1, refused: is(watch.ErrLength)},
		"too long":                       {by: "U0OP", app: "shop", length: time.Hour + 1, refused: is(watch.ErrLength)},
		"negative":                       {by: "U0OP", app: "shop", length: -time.Minute, refused: is(watch.ErrLength)},
		"out of scope":                   {by: "U0OP", app: "blog", refused: as[*watch.NotInScope]},
		"out of scope, by the policy":    {by: "", app: "blog", refused: as[*watch.NotInScope]},
		"nothing to probe":               {by: "U0OP", app: "idle", refused: as[*watch.NotProbed]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inTown(t, rules, func(t *testing.T, town *town) {
				apps := map[string]*home{"shop": town.build("shop", "standard-1x web=2"), "blog": town.build("blog", "standard-1x web=2"), "idle": town.build("idle", "standard-1x web=0")}
				if tt.before != nil {
					tt.before(town)
				}
				of := watch.AskFor{By: tt.by, App: town.whole(apps[tt.app]), For: tt.length, Origin: "E1"}
				w, made, err := town.desk().Ask(t.Context(), of)
				if tt.refused != nil {
					if err == nil || !tt.refused(err) || made || len(town.verbs()) != 0 || town.tells() != 0 {
						t.Fatalf("got %s, %v, %v, want a refusal, and nothing stored", w.ID, made, err)
					}
					return
				}
				if err != nil || !made || w.ID != "D-1" || w.State != watch.Waiting || w.By != tt.by || w.Until.Sub(w.Asked) != tt.lasts || w.Channel != "C0OPS" || w.URL != "http://shop.herokuapp.com/" {
					t.Fatalf("got %+v, %v, %v, want one of %s", w, made, err, tt.lasts)
				}
				if got := town.verbs(); !slices.Equal(got, []string{ledger.WatchAsked}) || town.tells() != 1 {
					t.Errorf("got entries %q and %d messages", got, town.tells())
				}
				entries, err := town.store.LedgerOfTicket(t.Context(), "D-1", 0, 9)
				actor := tt.by
				if actor == "" {
					actor = ledger.Bot
				}
				if err != nil || len(entries) != 1 || entries[0].Actor != actor || entries[0].App != string(apps["shop"].ID) || entries[0].Name != "shop" {
					t.Errorf("got %+v, %v, want one by %s", entries, err, actor)
				}
				if again, made, err := town.desk().Ask(t.Context(), of); err != nil || made || again.ID != w.ID {
					t.Errorf("asked again: got %s, %v, %v, want %s", again.ID, made, err, w.ID)
				}
				of.Origin = "E2"
				if again, made, err := town.desk().Ask(t.Context(), of); err != nil || made || again.ID != w.ID {
					t.Errorf("watched already: got %s, %v, %v, want %s", again.ID, made, err, w.ID)
				}
				of.Origin, of.By = "E1", "U0APPROVER2"
				if _, made, err := town.desk().Ask(t.Context(), of); err == nil || made {
					t.Error("somebody else's request was taken for one's own")
				}
			})
		})
	}
}

// TestRoom: as many as the policy lets, and as many requests.
func TestRoom(t *testing.T) {
	inTown(t, "watch: { at_once: 2 }\n", func(t *testing.T, town *town) {
		ask := func(name string) (watch.Watch, error) {
			w, _, err := town.desk().Ask(t.Context(), watch.AskFor{By: "U0OP", App: town.whole(town.build(name, "standard-1x web=2")), Origin: name})
			return w, err
		}
		for _, name := range []string{"one", "two"} {
			if _, err := ask(name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ask("three"); !errors.Is(err, watch.ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", err)
		}
		if _, err := town.desk().Stop(t.Context(), "D-1", "U0OP"); err != nil {
			t.Fatal(err)
		}
		if w, err := ask("four"); err != nil || w.ID != "D-3" {
			t.Errorf("after one has ended: got %s, %v, want D-3", w.ID, err)
		}
		town.policy.Watch.AtOnce, town.policy.Watch.PerSecond = 50, 2
		if _, err := ask("five"); !errors.Is(err, watch.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		if n := len(town.verbs()); n != 4 { // three were asked for, one ended
			t.Errorf("got %d entries, want 4", n)
		}
	})
}

// TestReadOnly: without the ledger's key, say, nothing is asked for and nothing ended.
func TestReadOnly(t *testing.T) {
	inTown(t, "", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2")
		w := town.ask(h, 5*time.Minute)
		desk := watch.NewDesk(watch.DeskConfig{Store: town.store, Policy: town.inForce, ReadOnly: "The key is missing. Set it."})
		if _, made, err := desk.Ask(t.Context(), watch.AskFor{By: "U0OP", App: town.whole(town.build("blog", "standard-1x web=1")), Origin: "x"}); made || !as[*watch.ReadOnly](err) || err.Error() != "The key is missing. Set it." {
			t.Errorf("ask: got %v, %v", made, err)
		}
		if _, err := desk.Stop(t.Context(), w.ID, "U0OP"); !as[*watch.ReadOnly](err) {
			t.Errorf("stop: got %v", err)
		}
		if got := town.read(w.ID); got.State != watch.Waiting {
			t.Errorf("got %s, want it to wait", got.State)
		}
	})
}

// TestStop is who may end a watch, and what becomes of one that has not begun.
func TestStop(t *testing.T) {
	inTown(t, "", func(t *testing.T, town *town) {
		h := town.build("shop", "standard-1x web=2")
		w, _, err := town.desk().Ask(t.Context(), watch.AskFor{By: "U0APPROVER", App: town.whole(h), Origin: "E1"})
		if err != nil {
			t.Fatal(err)
		}
		for by, refused := range map[string]func(error) bool{"U0OTHER": is(watch.ErrNotOperator), "": is(watch.ErrNotOperator)} {
			if _, err := town.desk().Stop(t.Context(), w.ID, by); err == nil || !refused(err) {
				t.Errorf("%q: got %v, want a refusal", by, err)
			}
		}
		if _, err := town.desk().Stop(t.Context(), "D-7", "U0OP"); !errors.Is(err, watch.ErrNoWatch) {
			t.Errorf("got %v, want ErrNoWatch", err)
		}
		town.policy.People.Approvers = nil // who asked may end it, whatever they may by now
		got, err := town.desk().Stop(t.Context(), w.ID, "U0APPROVER")
		if err != nil || got.State != watch.Ended || got.Verdict != watch.Inconclusive || got.StopBy != "U0APPROVER" || !strings.Contains(got.Cut, "before it began") {
			t.Errorf("got %s %s by %q, cut %q, %v", got.State, got.Verdict, got.StopBy, got.Cut, err)
		}
		again, err := town.desk().Stop(t.Context(), w.ID, "U0OP")
		if err != nil || again.Rev != got.Rev || again.StopBy != "U0APPROVER" {
			t.Errorf("stopped again: got rev %d by %q, %v", again.Rev, again.StopBy, err)
		}
		if after := town.run(w); after.Rev != got.Rev || h.requests.Load() != 0 {
			t.Errorf("it was begun all the same, and sent %d requests", h.requests.Load())
		}
		if got, want := town.verbs(), []string{ledger.WatchAsked, ledger.WatchVerdict}; !slices.Equal(got, want) {
			t.Errorf("got entries %q, want %q", got, want)
		}
	})
}

// TestAskAtOnce: of many who ask for the same app at one moment, in two programs, one
// makes the watch, and the others are given it.
func TestAskAtOnce(t *testing.T) {
	inTown(t, "", func(t *testing.T, town *town) {
		other, err := store.Open(t.Context(), town.options)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		app := town.whole(town.build("shop", "standard-1x web=2"))
		var made atomic.Int64
		var wg sync.WaitGroup
		for i, s := range []*store.Store{town.store, other} {
			desk := watch.NewDesk(watch.DeskConfig{Store: s, Policy: town.inForce})
			for n := range 5 {
				wg.Go(func() {
					w, first, err := desk.Ask(t.Context(), watch.AskFor{By: "U0OP", App: app, Origin: fmt.Sprint(i, n)})
					if err != nil || w.ID != "D-1" {
						t.Errorf("got %s, %v, want D-1", w.ID, err)
					}
					if first {
						made.Add(1)
					}
				})
			}
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Errorf("got %d watches, want 1", made.Load())
		}
	})
}

func TestID(t *testing.T) {
	for text, want := range map[string]string{"D-12": "D-12", "d12": "D-12", "`d-012`": "D-12", "W-12": "", "T-12": "", "12": "", "D-0": "", "D-": "", "D-1234567890123456789": "", "DX-1": ""} {
		if got, ok := watch.ParseID(text); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := watch.ID(7); got != "D-7" {
		t.Errorf("got %s, want D-7", got)
	}
}

// TestProof is what is left of a watch for status and the digest.
func TestProof(t *testing.T) {
	ended := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	w := watch.Watch{
		ID: "D-3", Verdict: watch.Failed, Ended: ended, Release: fleet.Release{Version: 118}, Counts: watch.Counts{Sent: 2400, Bad: map[watch.Outcome]int{watch.Server: 30, watch.Connect: 7}},
	}
	if got, want := w.Proof(), (watch.Proof{Watch: "D-3", Verdict: watch.Failed, Release: 118, At: ended, Failed: 37, Sent: 2400}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
