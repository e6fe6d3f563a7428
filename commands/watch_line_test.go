package commands

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// watchRoom is a desk and a store of watches that keeps what it is asked.
type watchRoom struct {
	asked   []watch.AskFor
	stopped []string
	no      error
	made    bool
	watch   watch.Watch
	proofs  map[fleet.ID]watch.Proof
}

func (r *watchRoom) Ask(_ context.Context, a watch.AskFor) (watch.Watch, bool, error) {
	r.asked = append(r.asked, a)
	w := r.watch
	if r.made {
		w.Origin = a.Origin
	}
	return w, r.made, r.no
}

func (r *watchRoom) Stop(_ context.Context, id, by string) (watch.Watch, error) {
	r.stopped = append(r.stopped, id+" "+by)
	return r.watch, r.no
}

func (r *watchRoom) Watch(_ context.Context, id string) (watch.Watch, error) {
	if id != r.watch.ID {
		return watch.Watch{}, watch.ErrNoWatch
	}
	return r.watch, nil
}

func (r *watchRoom) Watches(_ context.Context, f watch.Filter) ([]watch.Watch, error) {
	if f.App != "" && f.App != r.watch.App || r.watch.ID == "" {
		return nil, nil
	}
	return []watch.Watch{r.watch}, nil
}

func (r *watchRoom) Proofs(context.Context, []fleet.ID) (map[fleet.ID]watch.Proof, error) {
	return r.proofs, r.no
}

// watchedShop is a watch of the app of these tests that runs.
func watchedShop() watch.Watch {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	return watch.Watch{
		ID: "D-12", App: fleettest.App("standard-1x").ID, Name: "shop", By: "U0OTHER", Channel: "C0OPS", Origin: "theirs", URL: "https://shop.herokuapp.com/",
		Probe: policy.DefaultProbe(), State: watch.Running, Asked: at, Began: at, Until: at.Add(10 * time.Minute),
	}
}

// atRoom runs a line at a room, on Monday 23 November 2026 at ten in UTC.
func atRoom(t *testing.T, room *watchRoom, line string) (Reply, error) {
	t.Helper()
	app := fleettest.App("standard-1x web=2 affinity preboot")
	app.Name = "shop"
	app.Release = fleet.Known(fleet.Release{Version: 121, Status: "succeeded", CreatedAt: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)})
	table := New(Deps{Apps: aloneApp{app}, Policies: defaults{policy.Default()}, Desk: ticketless{}, Watching: room, Watches: room, Proofs: room})
	reply, err := table.Run(t.Context(), line, Request{
		By: Person{ID: "U0REQUESTER", Kind: Member}, Via: Slash, Now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Origin: "o", Channel: "C0OPS",
	})
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Reply, err
	}
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return reply, nil
}

func TestWatchIsAskedForAsTyped(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"watch shop": 0, "watch shop for=15m": 15 * time.Minute, "watch shop --for 15m": 15 * time.Minute, "watch shop for 15m": 15 * time.Minute,
		"watch shop for 15 minutes": 15 * time.Minute, "watch shop for=1h": time.Hour, "watch shop for=120s": 2 * time.Minute, "watch shop for=20": 20 * time.Minute,
		"watch shop for=2m30s": 150 * time.Second,
	} {
		room := &watchRoom{watch: watchedShop(), made: true}
		reply, err := atRoom(t, room, line)
		if err != nil || len(room.asked) != 1 {
			t.Errorf("%s: got %d requests and %v", line, len(room.asked), err)
			continue
		}
		a := room.asked[0]
		if a.For != want || a.By != "U0REQUESTER" || a.Channel != "C0OPS" || a.Origin != "o" || a.App.Name != "shop" {
			t.Errorf("%s: got %s for %s of %s in %s, want %s", line, a.For, a.By, a.App.Name, a.Channel, want)
		}
		if !strings.Contains(reply.Summary, "GET https://shop.herokuapp.com/ 4 times a second, for 10 min") || reply.Public {
			t.Errorf("%s: got %q", line, reply.Summary)
		}
	}
}

func TestWatchThatIsNotBegunSaysWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		line string
		no   error
		want string
	}{
		"too short":    {"watch shop for=30s", nil, "from 2 to 60 minutes"},
		"too long":     {"watch shop for=2h", nil, "from 2 to 60 minutes"},
		"no length":    {"watch shop for=soon", nil, "write it like 15m"},
		"two apps":     {"watch shop cart", nil, "I read only how long, and not cart"},
		"no app":       {"watch", nil, "Which app?"},
		"no operator":  {"watch shop", watch.ErrNotOperator, "Only operators and approvers may have a deploy watched"},
		"no groups":    {"watch shop", &watch.NoGroups{Err: errors.New("boom")}, "could not read who is in them"},
		"read only":    {"watch shop", &watch.ReadOnly{Why: "I have no key. Nothing was changed."}, "I have no key."},
		"out of scope": {"watch shop", &watch.NotInScope{App: "shop", Why: "its team is not named"}, "scope leaves it out: its team is not named"},
		"not probed":   {"watch shop", &watch.NotProbed{App: "shop", Why: "shop sleeps."}, "shop sleeps. Nothing was begun."},
		"too many":     {"watch shop", watch.ErrTooMany, "at_once: 10"},
		"busy":         {"watch shop", watch.ErrBusy, "per_second: 40"},
	} {
		t.Run(name, func(t *testing.T) {
			room := &watchRoom{watch: watchedShop(), no: tt.no}
			reply, err := atRoom(t, room, tt.line)
			if err == nil || !strings.Contains(reply.Summary, tt.want) {
				t.Errorf("got %q and %v, want %q", reply.Summary, err, tt.want)
			}
			if tt.no == nil && len(room.asked) > 0 {
				t.Error("it was asked for all the same")
			}
		})
	}
	reply, err := atRoom(t, &watchRoom{watch: watchedShop()}, "watch shop")
	if err != nil || !strings.Contains(reply.Summary, "is being watched already") || !strings.Contains(reply.Summary, "@U0OTHER") {
		t.Errorf("of one that is watched: got %q and %v", reply.Summary, err)
	}
}

func TestWatchIsShownListedAndStopped(t *testing.T) {
	room := &watchRoom{watch: watchedShop()}
	for line, want := range map[string]string{
		"show D-12":    "No release was made",
		"show d12":     "No release was made",
		"watches":      "the last 1",
		"watches shop": "Watched deploys of shop",
		"cancel D-12":  "ends within seconds",
	} {
		if reply, err := atRoom(t, room, line); err != nil || !strings.Contains(reply.Summary, want) || reply.Public {
			t.Errorf("%s: got %q and %v, want %q, for whoever asked alone", line, reply.Summary, err, want)
		}
	}
	if want := []string{"D-12 U0REQUESTER"}; !slices.Equal(room.stopped, want) {
		t.Errorf("got stopped %q, want %q", room.stopped, want)
	}
	for line, want := range map[string]string{"show D-13": "no watch D-13", "cancel D-13": "no watch D-13"} {
		if reply, err := atRoom(t, room, line); err == nil || !strings.Contains(reply.Summary, want) {
			t.Errorf("%s: got %q and %v, want %q", line, reply.Summary, err, want)
		}
	}
	over := &watchRoom{watch: watchedShop().Judge(watchedShop().Until)}
	if reply, _ := atRoom(t, over, "cancel D-12"); !strings.Contains(reply.Summary, "over already") {
		t.Errorf("of one that is over: got %q", reply.Summary)
	}
	if reply, _ := atRoom(t, &watchRoom{}, "watches"); !strings.Contains(reply.Summary, "none") {
		t.Errorf("of none: got %q", reply.Summary)
	}
}

func TestStatusTellsWhatWasProved(t *testing.T) {
	ended := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	proved := watch.Proof{Watch: "D-9", Verdict: watch.Proved, Release: 118, At: ended, Sent: 2400}
	now := proved
	now.Release = 121
	failed := watch.Proof{Watch: "D-11", Verdict: watch.Failed, Release: 121, At: ended, Sent: 2400, Failed: 37, Proved: &proved}
	for name, tt := range map[string]struct {
		proof watch.Proof
		no    error
		want  string
	}{
		"never":        {want: "never watched: /zdd watch shop, said before a deploy, does that"},
		"now":          {proof: now, want: "v121, 3 days ago (2,400 requests, none failed) · show D-9"},
		"older":        {proof: proved, want: "v118 was proved 3 days ago (2,400 requests, none failed); v121 runs now · show D-9"},
		"failed":       {proof: failed, want: "no: v121 failed 3 days ago (37 of 2,400 requests failed); v118 was proved 3 days ago · show D-11"},
		"no release":   {proof: watch.Proof{Watch: "D-10", Verdict: watch.Inconclusive, At: ended}, want: "not yet: the last watch, 3 days ago, saw no release · show D-10"},
		"inconclusive": {proof: watch.Proof{Watch: "D-10", Verdict: watch.Inconclusive, Release: 121, At: ended}, want: "not yet: the watch of v121, 3 days ago, was inconclusive · show D-10"},
		"unread":       {proof: now, no: errors.New("boom")},
	} {
		room := &watchRoom{no: tt.no}
		if tt.proof.Watch != "" {
			room.proofs = map[fleet.ID]watch.Proof{watchedShop().App: tt.proof}
		}
		reply, err := atRoom(t, room, "status shop")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, part := range reply.Parts {
			if facts, ok := part.(Facts); ok {
				for _, f := range facts.Pairs {
					if f.Name == "Proved" {
						got = f.Value.String()
					}
				}
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
