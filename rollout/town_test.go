package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/rollout"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
	"example.com/zdd/store"
)

// town is a rollout with everything real but Heroku and Slack: the store on SQLite, the
// queue, and the client that speaks to the simulator.
type town struct {
	*testing.T
	sim    *simheroku.Server
	heroku *heroku.Client
	store  *store.Store
	ruling sync.Mutex // guards policy
	policy policy.Policy
	ends   []func()

	proof, allowed func(ctx context.Context, t approval.Ticket) (why string, err error) // of whoever decides; nil: no one does
}

const ledgerKey = "the key of these tests"

// inTown runs a test in a bubble, with the apps that the fleet's text describes.
func inTown(t *testing.T, text string, test func(*town)) {
	t.Helper()
	path := filepath.Join(ramdir.New(t), "zdd.db")
	synctest.Test(t, func(t *testing.T) {
		apps, err := simheroku.LoadFleet(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		town := &town{T: t, policy: policy.Default(), sim: simheroku.New(simheroku.Options{Fleet: apps})}
		defer town.end()
		town.later(town.sim.Close)
		network := &play.Network{}
		listener := network.Listen("localhost")
		server := &http.Server{Handler: town.sim, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(listener) })
		town.later(func() { _ = server.Close(); serving.Wait() })
		town.heroku, err = heroku.New(heroku.Config{
			URL: "http://localhost:5000", MetricsURL: "http://localhost:5000", Key: secret.New(simheroku.DefaultToken), Dial: network.Dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		town.later(town.heroku.Close)
		town.store, err = store.Open(t.Context(), store.Options{Path: path, LedgerKey: ledger.NewKey(ledgerKey)})
		if err != nil {
			t.Fatal(err)
		}
		town.later(func() { _ = town.store.Close() })
		test(town)
	})
}

func (w *town) later(end func()) { w.ends = append(w.ends, end) }

func (w *town) end() {
	for _, end := range slices.Backward(w.ends) {
		end()
	}
}

// inForce is the policy, which a test may change while a bot runs.
func (w *town) inForce() policy.Policy {
	w.ruling.Lock()
	defer w.ruling.Unlock()
	return w.policy
}

func (w *town) rule(change func(*policy.Policy)) {
	w.ruling.Lock()
	defer w.ruling.Unlock()
	change(&w.policy)
}

// bot starts a replica, and returns what stops it.
func (w *town) bot() (stop func()) {
	pol := w.inForce
	runner := rollout.New(rollout.Config{
		Tickets: w.store, Apps: w.heroku, Heroku: w.heroku, Policy: pol, Head: w.store.LedgerHead,
		Judge: func(_ context.Context, app fleet.App) string {
			return string(audit.Judge(app, pol().For(app), time.Now()).Verdict)
		},
		Allowed: func(ctx context.Context, t approval.Ticket) (string, error) {
			if w.allowed == nil {
				return "", nil
			}
			return w.allowed(ctx, t)
		},
		Proof: w.proof,
	})
	queue := jobs.New(jobs.Config{Store: w.store, Handlers: map[string]jobs.Handler{
		approval.WorkApply: func(ctx context.Context, j *jobs.Job) error { return runner.Apply(ctx, j.Key, j) },
		approval.WorkBatch: func(ctx context.Context, j *jobs.Job) error { return runner.Apply(ctx, j.Key, j) },
		approval.WorkLook:  func(ctx context.Context, j *jobs.Job) error { return runner.Look(ctx, j.Key, j) },
	}})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = queue.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	w.later(stop)
	return stop
}

// do gives the simulator an order, such as "deploy shop".
func (w *town) do(line string) string {
	w.Helper()
	text, err := w.sim.Do(line)
	if err != nil {
		w.Fatalf("%s: %v", line, err)
	}
	return text
}

// approved makes an approved ticket for the wish, planned from the app as it is.
func (w *town) approved(app string, wish plan.Wish) string {
	w.Helper()
	read, err := w.heroku.ReadApp(w.Context(), fleet.MustRef(app))
	if err != nil {
		w.Fatal(err)
	}
	p := plan.For(read, w.policy.For(read), wish, time.Now())
	if len(p.Steps) == 0 {
		w.Fatalf("%s: the plan is %s %s", app, p.Outcome, p.Why)
	}
	now := time.Now()
	t, _, err := w.store.CreateTicket(w.Context(), approval.Ticket{
		State: approval.Approved, Wish: wish, Plan: p, Policy: w.policy.Digest(), Requester: "U1", Team: "T1",
		Origin: fmt.Sprint(now.UnixNano(), app, wish), CreatedAt: now, DecidedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}, func(t approval.Ticket) approval.Change {
		return approval.Change{
			Entries: []ledger.Entry{{At: now, Actor: "U2", Verb: ledger.Approved, App: string(p.App), Name: p.Name, Ticket: t.ID}},
			Work:    []approval.Work{{Kind: approval.WorkApply, Key: t.ID, Group: string(p.App), At: now}},
		}
	})
	if err != nil {
		w.Fatal(err)
	}
	return t.ID
}

func (w *town) ticket(id string) approval.Ticket {
	w.Helper()
	t, err := w.store.Ticket(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

// ended waits for the end of a ticket, and its head; within says how long at most.
func (w *town) ended(id string, within time.Duration) approval.Ticket {
	w.Helper()
	for begun := time.Now(); ; time.Sleep(time.Second) {
		t := w.ticket(id)
		if t.State.Final() && t.Head != "" {
			return t
		}
		if time.Since(begun) > within {
			w.Fatalf("%s is still %s after %v, waiting %q", id, t.State, within, t.Waiting)
		}
	}
}

// effects are the changes that the simulator took, in order. A second request for what
// is so already has no effect, and is not one; refused and reset ones are left out as
// Status tells.
func (w *town) effects() []string {
	var out []string
	for _, c := range w.sim.Calls() {
		if c.Method == http.MethodPatch && (c.Status == http.StatusOK || c.Fault == "reset-after") {
			out = append(out, c.Path+" "+c.Body)
		}
	}
	return slices.Compact(out)
}

// verify checks the whole ledger, and that the head that the ticket prints is in it.
func (w *town) verify(t approval.Ticket) {
	w.Helper()
	ctx := context.Background()
	stored, err := w.store.LedgerHead(ctx)
	if err != nil {
		w.Fatal(err)
	}
	printed, err := ledger.ParseHead(t.Head)
	if err != nil {
		w.Error(err)
	}
	if _, err := ledger.Verify(w.store.Ledger(ctx, 0), stored, []ledger.Key{ledger.NewKey(ledgerKey)}, printed); err != nil {
		w.Errorf("the ledger: %v", err)
	}
	told := map[string]bool{}
	for e, err := range w.store.Ledger(ctx, 0) {
		if err != nil {
			w.Fatal(err)
		}
		if e.Ticket == t.ID && e.Head().Seq <= printed.Seq {
			told[e.Verb] = true
		}
	}
	end := map[approval.State]string{approval.Done: ledger.Finished, approval.Stopped: ledger.Stopped, approval.Failed: ledger.Failed, approval.Stale: ledger.Stale}[t.State]
	if !told[end] {
		w.Errorf("the ledger up to the head that %s prints does not tell that it is %s", t.ID, t.State)
	}
}

const shop = "team acme\napp shop team=acme web=1 worker=1 size=standard-1x\n"

func TestInTown(t *testing.T) {
	const hour = time.Hour
	tests := map[string]struct {
		fleet   string // default: shop
		wish    plan.Wish
		before  []string // orders to the simulator before the bot starts
		at      map[time.Duration][]string
		state   approval.State
		within  time.Duration
		writes  int // that had an effect
		say     []string
		show    []string // of the app in the end
		verdict string
	}{
		"the happy path":                         {state: approval.Done, within: 20 * time.Minute, writes: 3, say: []string{"Done in 16m"}, show: []string{"web=2", "affinity=on", "preboot=on"}, verdict: "ready"},
		"every answer is lost after the effect":  {before: []string{"fault next 3 PATCH /apps/** reset-after"}, state: approval.Done, within: 20 * time.Minute, writes: 3, show: []string{"web=2"}, verdict: "ready"},
		"every answer is lost before the effect": {before: []string{"fault next 3 PATCH /apps/** reset-before"}, state: approval.Done, within: 20 * time.Minute, writes: 3, show: []string{"web=2"}, verdict: "ready"},
		"it hangs now and then":                  {before: []string{"fault next 2 PATCH /apps/** hang", "fault next 4 GET /apps/*/features hang"}, state: approval.Done, within: 25 * time.Minute, writes: 3, verdict: "ready"},
		"down for an hour":                       {at: map[time.Duration][]string{5 * time.Minute: {"fault * /apps/** 503html"}, hour: {"faults clear"}}, state: approval.Done, within: 2 * hour, writes: 3, verdict: "ready"},
		"down for three hours": {at: map[time.Duration][]string{11 * time.Minute: {"fault * /apps/** 503html"}, 3 * hour: {"faults clear"}}, state: approval.Failed, within: 4 * hour, writes: 2,
			say: []string{"It got nowhere for 2h", "Not done: `preboot on`."}, show: []string{"web=2"}},
		"a deploy while it soaks":       {at: map[time.Duration][]string{5 * time.Minute: {"deploy shop by zoe@acme.example"}}, state: approval.Done, within: 20 * time.Minute, writes: 3, verdict: "ready"},
		"a deploy that hands over":      {fleet: "team acme\napp shop team=acme web=1 size=standard-1x affinity=on preboot=on\n", before: []string{"deploy shop"}, state: approval.Done, within: 20 * time.Minute, writes: 1, show: []string{"web=2"}, verdict: "ready"},
		"the second dyno crashes":       {at: map[time.Duration][]string{9 * time.Minute: {"set shop boots=crash"}}, state: approval.Stopped, within: 20 * time.Minute, writes: 2, say: []string{"`web.2` crashed", "Not done: `preboot on`."}},
		"scaled by hand while it soaks": {at: map[time.Duration][]string{9 * time.Minute: {"set shop web=3"}}, state: approval.Stopped, within: 20 * time.Minute, writes: 1, say: []string{"`web` is at 3"}, show: []string{"web=3"}},
		"an autoscaler moves it back":   {at: map[time.Duration][]string{11 * time.Minute: {"set shop scaler=1..1"}}, state: approval.Stopped, within: 20 * time.Minute, writes: 2, say: []string{"`web` is at 1 × standard-1x and should be at 2"}},
		"basic": {fleet: "team acme\napp shop team=acme web=1 worker=1 size=basic\n", wish: plan.Wish{Verb: plan.ToEnable, Size: "standard-1x"}, state: approval.Done, within: 25 * time.Minute, writes: 4,
			show: []string{"web=2", "standard-1x"}, verdict: "ready"},
		"disable":                            {fleet: "team acme\napp shop team=acme web=2 size=standard-1x affinity=on preboot=on\n", wish: plan.Wish{Verb: plan.ToDisable}, state: approval.Done, within: 20 * time.Minute, writes: 3, show: []string{"web=1"}, verdict: "not-ready"},
		"suspended in the middle":            {at: map[time.Duration][]string{9 * time.Minute: {"suspend shop"}}, state: approval.Failed, within: 20 * time.Minute, writes: 1, say: []string{"The app is suspended", "Done, and read back: `session affinity on`."}},
		"the token is revoked in the middle": {at: map[time.Duration][]string{9 * time.Minute: {"revoke-token"}}, state: approval.Failed, within: 20 * time.Minute, writes: 1, say: []string{"Heroku does not accept the token"}},
		"deleted in the middle": {at: map[time.Duration][]string{9 * time.Minute: {"delete shop", "create shop team=acme web=1 size=standard-1x"}}, state: approval.Failed, within: 20 * time.Minute, writes: 1,
			say: []string{"Heroku does not show it to this token"}, show: []string{"web=1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.fleet == "" {
				tt.fleet = shop
			}
			if tt.wish.Verb == "" {
				tt.wish = enable()
			}
			inTown(t, tt.fleet, func(w *town) {
				id := w.approved("shop", tt.wish)
				for _, line := range tt.before {
					w.do(line)
				}
				for at, lines := range tt.at {
					timer := time.AfterFunc(at, func() {
						for _, line := range lines {
							w.do(line)
						}
					})
					w.later(func() { timer.Stop() })
				}
				w.bot()
				got := w.ended(id, tt.within)
				if got.State != tt.state || got.Verdict != tt.verdict {
					t.Errorf("got %s, verdict %q (%s); want %s, %q", got.State, got.Verdict, got.Outcome, tt.state, tt.verdict)
				}
				says(t, "outcome", got.Outcome, tt.say...)
				if n := len(w.effects()); n != tt.writes {
					t.Errorf("got %d writes with an effect, want %d:\n%s", n, tt.writes, strings.Join(w.effects(), "\n"))
				}
				if len(tt.show) > 0 {
					shown := w.do("show shop")
					for _, part := range tt.show {
						if !strings.Contains(shown, part) {
							t.Errorf("the app is %s, want %s", shown, part)
						}
					}
				}
				w.verify(got)
			})
		})
	}
}

// TestTwoTicketsOfOneApp run one after the other, though both are approved at once and
// two bots run.
func TestTwoTicketsOfOneApp(t *testing.T) {
	inTown(t, shop+"app blog team=acme web=1 size=standard-1x\n", func(w *town) {
		first := w.approved("shop", enable())
		second := w.approved("shop", plan.Wish{Verb: plan.ToAffinity, On: true})
		other := w.approved("blog", plan.Wish{Verb: plan.ToAffinity, On: true})
		w.bot()
		w.bot()
		time.Sleep(5 * time.Minute)
		if got := w.ticket(second); got.State != approval.Approved {
			t.Errorf("the second is %s while the first runs, want it to wait", got.State)
		}
		if got := w.ticket(other); got.State != approval.Done {
			t.Errorf("the one of another app is %s, want it done", got.State)
		}
		one, two := w.ended(first, 20*time.Minute), w.ended(second, 20*time.Minute)
		if one.State != approval.Done || two.State != approval.Stale || two.EndedAt.Before(one.EndedAt) {
			t.Errorf("got %s at %v and %s (%s) at %v, want done, and then stale", one.State, one.EndedAt, two.State, two.Outcome, two.EndedAt)
		}
		if n := len(w.effects()); n != 4 {
			t.Errorf("got %d writes, want 4: %v", n, w.effects())
		}
		w.verify(two)
	})
}

// TestStoppedAndStarted hands a rollout from bot to bot, as deploys of the bot do.
func TestStoppedAndStarted(t *testing.T) {
	inTown(t, shop, func(w *town) {
		id := w.approved("shop", enable())
		w.do("latency 700ms") // so that most stops hit it in the middle of something
		for i := 0; !w.ticket(id).State.Final() && i < 500; i++ {
			stop := w.bot()
			time.Sleep(time.Duration(1+i%7) * 900 * time.Millisecond)
			stop()
		}
		w.bot()
		got := w.ended(id, 20*time.Minute)
		if got.State != approval.Done || len(w.effects()) != 3 {
			t.Errorf("got %s (%s) with %v, want done with 3 writes", got.State, got.Outcome, w.effects())
		}
		w.verify(got)
	})
}

// TestLooksInTown runs the looks as the queue does.
func TestLooksInTown(t *testing.T) {
	inTown(t, shop, func(w *town) {
		id := w.approved("shop", enable())
		w.bot()
		w.ended(id, 20*time.Minute)
		time.Sleep(5 * time.Minute)
		w.do("set shop scaler=1..1")
		time.Sleep(time.Hour)
		later := w.ticket(id).Later
		if len(later) != 3 || later[0].Text != "" || !strings.Contains(later[1].Text, "`web` is at 1 × standard-1x and should be at 2") || later[2].Text == "" {
			t.Errorf("got %+v", later)
		}
		w.verify(w.ticket(id))
		if n := len(w.effects()); n != 3 {
			t.Errorf("a look wrote: %v", w.effects())
		}
	})
}

// TestDatabaseAway: while nothing can be stored nothing is written to Heroku.
func TestDatabaseAway(t *testing.T) {
	inTown(t, shop, func(w *town) {
		id := w.approved("shop", enable())
		away := errors.New("the database is away")
		runner := rollout.New(rollout.Config{
			Tickets: w.store, Apps: w.heroku, Heroku: w.heroku, Policy: func() policy.Policy { return w.policy },
			Judge:   func(context.Context, fleet.App) string { return "" },
			Allowed: func(context.Context, approval.Ticket) (string, error) { return "", nil },
		})
		for range 5 {
			if err := runner.Apply(w.Context(), id, &unrecorded{err: away}); !errors.Is(err, away) {
				t.Fatalf("got %v, want %v", err, away)
			}
		}
		if n := len(w.effects()); n != 0 {
			t.Errorf("got %v, want no write", w.effects())
		}
	})
}
