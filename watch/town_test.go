package watch_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/sim/play"
	"example.com/zdd/store"
	"example.com/zdd/store/storetest"
	"example.com/zdd/watch"
)

// town is some apps at Heroku, the apps themselves as they answer, and a database.
type town struct {
	*testing.T
	network play.Network
	store   *store.Store
	options store.Options
	policy  policy.Policy
	timing  watch.Timing

	mu       sync.Mutex
	apps     []*home
	failing  map[string]error // by what is read: app, glance, settings, dynos, releases, list, skew
	calls    map[string]int
	ahead    time.Duration // of Heroku's clock
	listCost int           // calls that a list takes; 0: 1
}

// home is one of the apps.
type home struct {
	fleet.App
	releases []fleet.Release
	dynos    []fleet.Dyno
	domains  []string
	requests atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc] // nil: 200
}

// townRules let a request a second be enough: a proof takes 300, and a hand-over with preboot
// as many seconds.
const townRules = `
people: { operators: [U0OP], approvers: [U0APPROVER, S0GROUP] }
apps: { "*": { probe: { rate: 1 } } }
`

// inTown runs a test on the fake clock.
func inTown(t *testing.T, rules string, run func(t *testing.T, town *town)) {
	t.Helper()
	options := store.Options{Path: storetest.SQLite(t, ramdir.New(t)), LedgerKey: ledger.NewKey("k")}
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		pol, err := policy.Parse("zdd.yml", []byte(townRules+rules))
		if err != nil {
			t.Fatal(err)
		}
		town := &town{T: t, store: s, options: options, policy: pol, failing: map[string]error{}, calls: map[string]int{}}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		run(t, town)
	})
}

// build adds an app as fleettest describes it, whose web address answers.
func (t *town) build(name, line string) *home {
	t.Helper()
	h := &home{App: fleettest.App(line)}
	h.Name, h.ID = name, fleet.ID(fmt.Sprintf("%08d-89ab-4cde-8f01-23456789abcd", len(t.apps)+1))
	host := name + ".herokuapp.com"
	h.WebURL = "http://" + host + "/"
	h.CreatedAt, h.ReleasedAt = time.Now().Add(-400*time.Hour), time.Now().Add(-48*time.Hour)
	h.releases = []fleet.Release{{Version: 42, Status: "succeeded", Current: true, CreatedAt: h.ReleasedAt}}
	web, _ := h.Web()
	for n := range web.Quantity {
		h.dynos = append(h.dynos, fleet.Dyno{Name: fmt.Sprint("web.", n+1), Type: "web", State: "up", Release: 42, Since: h.ReleasedAt})
	}
	h.App.Dynos = fleet.Known(slices.Clone(h.dynos))
	t.Cleanup(t.network.Serve(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.requests.Add(1)
		if answer := h.answer.Load(); answer != nil {
			(*answer)(w, r)
		}
	})))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.apps = append(t.apps, h)
	return h
}

// release makes one, at this moment by Heroku's clock.
func (t *town) release(h *home) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().Add(t.ahead).Truncate(time.Second) // Heroku tells whole seconds
	last := h.releases[len(h.releases)-1].Version
	h.releases = append(h.releases, fleet.Release{Version: last + 1, Status: "succeeded", Current: true, CreatedAt: now, UpdatedAt: now, By: "ada@acme.example"})
	h.ReleasedAt = now
	for i := range h.dynos {
		h.dynos[i].Release, h.dynos[i].Since = last+1, now
	}
}

// answers has the app answer with that status; 0: as it should.
func (h *home) answers(status int) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(max(status, http.StatusOK)) })
	h.answer.Store(&answer)
}

// fails has a kind of reading fail; nil: it succeeds again.
func (t *town) fails(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failing[what] = err
}

func (t *town) called(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[what]
}

// at finds an app for a reading, which it counts.
func (t *town) at(ctx context.Context, what string, id fleet.ID) (*home, error) {
	t.calls[what]++
	if err := cmpErr(ctx.Err(), t.failing[what]); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(t.apps, func(h *home) bool { return h.ID == id })
	if i < 0 {
		return nil, &fleet.Problem{Kind: fleet.NotFound, Op: "read app"}
	}
	return t.apps[i], nil
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// away is Heroku without an answer.
func away() error { return &fleet.Problem{Kind: fleet.Unavailable, Op: "read"} }

func (t *town) whole(h *home) fleet.App {
	app := h.App
	app.ReadAt = time.Now()
	app.Release = fleet.Known(h.releases[len(h.releases)-1])
	app.Dynos = fleet.Known(slices.Clone(h.dynos))
	return app
}

func (t *town) ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, err := t.at(ctx, "app", fleet.ID(ref.String()))
	if err != nil {
		return fleet.App{}, err
	}
	return t.whole(h), nil
}

func (t *town) ReadGlance(ctx context.Context, app fleet.ID) (fleet.App, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, err := t.at(ctx, "glance", app)
	if err != nil {
		return fleet.App{}, err
	}
	return fleet.App{ID: h.ID, Name: h.Name, Maintenance: h.Maintenance, ReleasedAt: h.ReleasedAt}, nil
}

func (t *town) ReadSettings(ctx context.Context, app fleet.App, _ fleet.Parts) (fleet.App, int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, err := t.at(ctx, "settings", app.ID)
	if err != nil {
		return app, 1, err
	}
	app.Formation, app.Features = h.Formation, h.Features
	return app, 2, nil
}

func (t *town) ReadDynos(ctx context.Context, app fleet.ID) ([]fleet.Dyno, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, err := t.at(ctx, "dynos", app)
	if err != nil {
		return nil, err
	}
	return slices.Clone(h.dynos), nil
}

func (t *town) ReadDomains(ctx context.Context, app fleet.ID) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, err := t.at(ctx, "domains", app)
	if err != nil {
		return nil, err
	}
	return append([]string{h.Name + ".herokuapp.com"}, h.domains...), nil
}

func (t *town) ReadReleases(ctx context.Context, app fleet.ID, after, before time.Time) (found []fleet.Release, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, err := t.at(ctx, "releases", app)
	if err != nil {
		return nil, err
	}
	for _, r := range h.releases {
		if r.CreatedAt.After(after) && !r.CreatedAt.After(before) {
			found = append(found, r)
		}
	}
	return found, nil
}

func (t *town) ListApps(ctx context.Context, _ fleet.Filter) (all []fleet.App, calls int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls["list"]++
	for _, h := range t.apps {
		app := h.App
		app.Formation, app.Features, app.Pipeline = fleet.Value[[]fleet.Process]{}, fleet.Value[map[string]fleet.Feature]{}, fleet.Value[fleet.Coupling]{}
		all = append(all, app)
	}
	return all, max(t.listCost, 1), cmpErr(ctx.Err(), t.failing["list"])
}

func (t *town) Skew(ctx context.Context) (time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls["skew"]++
	return -t.ahead, cmpErr(ctx.Err(), t.failing["skew"])
}

// InGroup says who is in S0GROUP: whoever's id begins with U0G.
func (t *town) InGroup(_ context.Context, group, user string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return group == "S0GROUP" && strings.HasPrefix(user, "U0G"), t.failing["groups"]
}

func (t *town) inForce() policy.Policy { return t.policy }

// desk is where the town's watches are asked for.
func (t *town) desk() *watch.Desk {
	return watch.NewDesk(watch.DeskConfig{Store: t.store, Policy: t.inForce, Groups: t, Timing: t.timing})
}

// runner is that of one replica.
func (t *town) runner() *watch.Runner {
	return watch.NewRunner(watch.RunnerConfig{
		Store: t.store, Heroku: t, Policy: t.inForce, Timing: t.timing,
		Prober:  watch.NewProber(watch.ProberConfig{Dial: t.network.Dial, AtOnce: t.policy.Watch.AtOnce, PerSecond: t.policy.Watch.PerSecond}),
		Failing: func(context.Context, fleet.App) (failing, unknown []string) { return []string{"preboot"}, nil },
	})
}

// ask has the operator ask for a watch, which has to be made.
func (t *town) ask(h *home, length time.Duration) watch.Watch {
	t.Helper()
	w, made, err := t.desk().Ask(t.Context(), watch.AskFor{By: "U0OP", App: t.whole(h), For: length, Origin: "ask " + h.Name + time.Now().String(), Channel: "C0ASKED"})
	if err != nil || !made {
		t.Fatalf("ask for %s: got %v, %v, want it to be made", h.Name, made, err)
	}
	return w
}

func (t *town) read(id string) watch.Watch {
	t.Helper()
	w, err := t.store.Watch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// verbs are those of the ledger, the oldest first.
func (t *town) verbs() (all []string) {
	t.Helper()
	for e, err := range t.store.Ledger(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Verb)
	}
	return all
}

// tells is how many messages were to be brought up to date.
func (t *town) tells() (n int) {
	t.Helper()
	err := t.store.Tx(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM jobs WHERE kind = $1`, watch.WorkTellDeployWatch).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// held is a job whose lease nobody takes away. It records in the town's database.
type held struct {
	town *town
	stop chan struct{}
	lost func() error // why nothing can be recorded now; nil: it can
	why  string       // of Later or GiveUp
	at   time.Time
}

func (t *town) held() *held { return &held{town: t, stop: make(chan struct{})} }

var errWaits = errors.New("the job waits")

func (j *held) Step(ctx context.Context, do func(context.Context) error, record func(context.Context, *sql.Tx) error) error {
	select {
	case <-j.stop:
		return errors.New("the queue is stopping")
	default:
	}
	if do != nil {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return j.Last(ctx, record)
}

func (j *held) Last(ctx context.Context, record func(context.Context, *sql.Tx) error) error {
	if j.lost != nil {
		if err := j.lost(); err != nil {
			return err
		}
	}
	ctx = context.WithoutCancel(ctx)
	return j.town.store.Tx(ctx, func(tx *sql.Tx) error { return record(ctx, tx) })
}

func (j *held) Stopping() <-chan struct{} { return j.stop }

func (j *held) Later(at time.Time, why string) error {
	j.at, j.why = at, why
	return errWaits
}

func (j *held) GiveUp(err error) error {
	j.why = err.Error()
	return err
}

// enqueue makes a job, unless there is one.
func (t *town) enqueue(kind, key string) {
	t.Helper()
	err := t.store.Tx(t.Context(), func(tx *sql.Tx) error {
		return t.store.EnqueueJob(t.Context(), tx, jobs.Spec{Kind: kind, Key: key, At: time.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
}
