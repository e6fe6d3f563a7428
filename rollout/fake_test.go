package rollout_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/rollout"
)

// desk keeps tickets in memory, as approval.Store does in a database.
type desk struct {
	mu      sync.Mutex
	tickets map[string]approval.Ticket
	entries []ledger.Entry
	work    []approval.Work
	sealed  error // what storing an entry comes to; nil: they are stored
}

// tx does what a transaction does: of what record stores, all is kept or nothing is. No
// two are at a time in these tests.
func (d *desk) tx(record func() error) error {
	if d == nil {
		return record()
	}
	d.mu.Lock()
	tickets, entries, work := maps.Clone(d.tickets), len(d.entries), len(d.work)
	d.mu.Unlock()
	err := record()
	if err != nil {
		d.mu.Lock()
		d.tickets, d.entries, d.work = tickets, d.entries[:entries], d.work[:work]
		d.mu.Unlock()
	}
	return err
}

func (d *desk) Ticket(_ context.Context, id string) (approval.Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tickets[id]
	if !ok {
		return t, approval.ErrNoTicket
	}
	return copied(t), nil
}

// copied goes through JSON, as the store does: what does not survive that is no state.
func copied(t approval.Ticket) approval.Ticket {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	var out approval.Ticket
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	return out
}

func (d *desk) Tickets(_ context.Context, f approval.Filter) (out []approval.Ticket, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.tickets {
		if f.App == "" || t.Plan.App == f.App {
			out = append(out, copied(t))
		}
	}
	slices.SortFunc(out, func(a, b approval.Ticket) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return out, nil
}

func (d *desk) ChangeTicket(_ context.Context, id string, change func(*approval.Ticket) (approval.Change, error)) (approval.Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.tickets[id]
	t := copied(before)
	c, err := change(&t)
	if err != nil {
		return t, err
	}
	if err := approval.CheckChange(before, t); err != nil {
		return t, err
	}
	if len(c.Entries) > 0 && d.sealed != nil {
		return t, d.sealed
	}
	for _, e := range c.Entries {
		if err := e.Check(); err != nil {
			return t, err
		}
	}
	t.Rev++
	d.tickets[id] = t
	d.entries = append(d.entries, c.Entries...)
	d.work = append(d.work, c.Work...)
	return t, nil
}

func (d *desk) ChangeTicketTx(ctx context.Context, _ *sql.Tx, id string, change func(*approval.Ticket) (approval.Change, error)) (approval.Ticket, error) {
	return d.ChangeTicket(ctx, id, change)
}

func (d *desk) CreateTicketTx(_ context.Context, _ *sql.Tx, t approval.Ticket, change func(approval.Ticket) approval.Change) (approval.Ticket, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.tickets {
		if o.Origin == t.Origin {
			return copied(o), false, nil
		}
	}
	t.ID, t.Rev = approval.ID(int64(len(d.tickets)+1)), 1
	d.tickets[t.ID] = copied(t)
	c := change(copied(t))
	for _, e := range c.Entries {
		if err := e.Check(); err != nil {
			return t, false, err
		}
	}
	d.entries = append(d.entries, c.Entries...)
	d.work = append(d.work, c.Work...)
	return copied(t), true, nil
}

func (d *desk) head(context.Context) (ledger.Head, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return ledger.Head{Seq: int64(len(d.entries)), Hash: strings.Repeat("ab", 32)}, nil
}

// told is the ledger, a line an entry.
func (d *desk) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, e := range d.entries {
		var detail struct{ What, Waited, Why string }
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			panic(err)
		}
		lines = append(lines, strings.TrimSpace(e.Verb+" "+detail.What+" "+detail.Waited))
	}
	return strings.Join(lines, "\n")
}

// world is a Heroku with one app. It knows the time that dynos take to boot.
type world struct {
	mu     sync.Mutex
	app    fleet.App
	born   []time.Time    // of each web dyno
	crash  map[int]bool   // web dynos that crash once they are up, by number from 1
	writes []string       // those that had an effect, as they came
	sent   int            // all writes
	log    func(string)   // hears each write that had an effect, right after it, under mu
	read   func() error   // before each reading; nil: answers
	write  func() error   // before each write; an error has no effect
	answer func() error   // after each write had its effect
	lag    time.Duration  // how long a write does not show
	shown  fleet.App      // the app before the last write
	since  time.Time      // of the last write
	seen   map[string]int // readings and writes so far, for tests that wait for one
}

const boot = 5 * time.Second

func (w *world) change(f func(*fleet.App)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.app)
	w.grow()
}

// grow starts and stops dynos so that there are as many as the formation says.
func (w *world) grow() {
	web, _ := w.app.Web()
	for len(w.born) < web.Quantity {
		w.born = append(w.born, time.Now())
	}
	w.born = w.born[:web.Quantity]
}

func (w *world) ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	if ctx.Err() != nil {
		return fleet.App{}, &fleet.Problem{Kind: fleet.Unavailable, Message: "the request was given up", Err: ctx.Err()}
	}
	w.mu.Lock()
	read := w.read
	w.mu.Unlock()
	if read != nil {
		if err := read(); err != nil {
			return fleet.App{}, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen["read"]++
	if id, _ := ref.Identity(); id != string(w.app.ID) {
		return fleet.App{}, &fleet.Problem{Kind: fleet.NotFound, Message: "Couldn't find that app."}
	}
	app := w.app
	if time.Since(w.since) < w.lag {
		app = w.shown
	}
	app.ReadAt = time.Now()
	if !app.Dynos.IsKnown() {
		return app, nil
	}
	var dynos []fleet.Dyno
	for i, at := range w.born {
		d := fleet.Dyno{Name: fmt.Sprintf("web.%d", i+1), Type: "web", State: "starting", Since: at}
		if up := at.Add(boot); !time.Now().Before(up) {
			d.State, d.Since = "up", up
			if w.crash[i+1] {
				d.State = "crashed"
			}
		}
		dynos = append(dynos, d)
	}
	app.Dynos = fleet.Known(dynos)
	return app, nil
}

func (w *world) Apply(ctx context.Context, id fleet.ID, step plan.Step) error {
	if ctx.Err() != nil {
		return &fleet.Problem{Kind: fleet.Unavailable, Message: "the request was given up", Err: ctx.Err()}
	}
	w.mu.Lock()
	w.sent++
	write, answer := w.write, w.answer
	w.mu.Unlock()
	if write != nil {
		if err := write(); err != nil {
			return err
		}
	}
	w.mu.Lock()
	if id != w.app.ID {
		panic("rollout_test: another app")
	}
	if seen, known := step.Seen(w.app).Get(); !known || !seen.Equal(step.To) {
		w.writes = append(w.writes, step.String())
		w.shown, w.since = w.app, time.Now()
		w.app = switched(w.app, step)
		if step.Kind == plan.Resize {
			w.born = nil
		}
		w.grow()
		if w.log != nil {
			w.log(step.String())
		}
	}
	w.mu.Unlock()
	if answer != nil {
		return answer()
	}
	return nil
}

// switched is the app after a step that is taken now.
func switched(app fleet.App, step plan.Step) fleet.App {
	app = plan.After(app, step)
	if f := step.To.Feature; f != nil {
		features, _ := app.Features.Get() // a copy of its own
		now := features[f.Name]
		now.Since = fleet.Known(time.Now())
		features[f.Name] = now
	}
	return app
}

// unavailable is a Heroku that is down.
func unavailable() error {
	return &fleet.Problem{Kind: fleet.Unavailable, Message: "503 Service Unavailable"}
}

// errCrash ends a handler as a kill does: nothing more of it happens.
var errCrash = errors.New("killed")

type later struct {
	at  time.Time
	why string
}

func (l *later) Error() string { return "later: " + l.why }

// job is a job with a lease. cut, if it is set, is asked at each point at which the
// program may be killed, and tells whether it is.
type job struct {
	desk     *desk
	cut      func(point string) bool
	cancel   context.CancelFunc
	deadline time.Time
	told     time.Time // what Deadline answers until the end of the step; zero: the truth
	givenUp  error
}

const lease = 50 * time.Second

func (j *job) at(point string) bool {
	if j.cut != nil && j.cut(point) {
		j.cancel()
		return true
	}
	return false
}

func (j *job) Step(ctx context.Context, do func(context.Context) error, record func(context.Context, *sql.Tx) error) error {
	if ctx.Err() != nil || j.at("before the step") {
		return errCrash
	}
	if !time.Now().Before(j.deadline) {
		return errCrash // the lease is lost
	}
	held, cancel := context.WithDeadline(ctx, j.deadline)
	defer cancel()
	if err := do(held); err != nil {
		return err
	}
	if ctx.Err() != nil || j.at("before it is recorded") {
		return errCrash
	}
	if err := j.desk.tx(func() error { return record(context.WithoutCancel(ctx), nil) }); err != nil {
		return err
	}
	j.deadline, j.told = time.Now().Add(lease), time.Time{}
	if j.at("after it is recorded") {
		return errCrash
	}
	return nil
}

func (j *job) Later(at time.Time, why string) error { return &later{at, why} }
func (j *job) GiveUp(err error) error               { j.givenUp = err; return err }
func (j *job) Deadline() time.Time {
	if !j.told.IsZero() {
		return j.told
	}
	return j.deadline
}

// stage is all that a test needs. Make it inside a bubble.
type stage struct {
	*testing.T
	desk    *desk
	world   *world
	cfg     rollout.Config
	policy  policy.Policy
	allowed func() (string, error)
	cut     func(point string) bool
	set     atomic.Int64         // nanoseconds: how far the program's clock is set forward, or back
	heard   func(waiting string) // hears what the ticket says after each turn that waits
	runs    int
	running *job // the one of this turn
}

// begin makes an app of a line, see fleettest.App, and an approved ticket T-1 for the wish.
func begin(t *testing.T, line string, wish plan.Wish) *stage {
	t.Helper()
	s := &stage{T: t, policy: policy.Default()}
	s.world = newWorld(line)
	s.desk = &desk{tickets: map[string]approval.Ticket{}}
	s.ticket("T-1", wish)
	s.cfg = rollout.Config{
		Tickets: s.desk, Apps: s.world, Heroku: s.world, Head: s.desk.head, Now: s.clock,
		Policy: func() policy.Policy { return s.policy },
		Judge:  func(context.Context, fleet.App) string { return "ready" },
		Allowed: func(context.Context, approval.Ticket) (string, error) {
			if s.allowed == nil {
				return "", nil
			}
			return s.allowed()
		},
	}
	return s
}

// newWorld is a Heroku with the app of a line, that has been as it is for days.
func newWorld(line string) *world {
	app := fleettest.App(line)
	past := time.Now().Add(-48 * time.Hour)
	if release, known := app.Release.Get(); known {
		release.CreatedAt = past
		app.Release = fleet.Known(release)
	}
	app.CreatedAt = past.AddDate(-1, 0, 0)
	features, _ := app.Features.Get()
	for name, f := range features {
		if since, known := f.Since.Get(); known { // as long ago from now as from when fleettest reads
			f.Since = fleet.Known(time.Now().Add(since.Sub(app.ReadAt)))
			features[name] = f
		}
	}
	w := &world{app: app, seen: map[string]int{}, crash: map[int]bool{}}
	web, _ := app.Web()
	for range web.Quantity {
		w.born = append(w.born, past)
	}
	return w
}

// clock is the program's.
func (s *stage) clock() time.Time { return time.Now().Add(time.Duration(s.set.Load())) }

// ticket stores an approved ticket of the app as it is now.
func (s *stage) ticket(id string, wish plan.Wish) {
	app := s.world.app
	p := plan.For(app, s.policy.For(app), wish, time.Now())
	if p.Outcome == plan.Refused {
		s.Fatalf("the plan is refused: %s", p.Why)
	}
	s.desk.tickets[id] = copied(approval.Ticket{ID: id, State: approval.Approved, Wish: wish, Plan: p, Policy: s.policy.Digest(), CreatedAt: time.Now(), DecidedAt: time.Now()})
}

// turn runs the job once.
func (s *stage) turn(id string) error {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	s.runs++
	if s.runs > 5000 {
		s.Fatal("the job runs for ever")
	}
	s.running = &job{desk: s.desk, cut: s.cut, cancel: cancel, deadline: time.Now().Add(lease)}
	return rollout.New(s.cfg).Apply(ctx, id, s.running)
}

// carry runs the job until it is done, as a queue does, and kills included.
func (s *stage) carry() approval.Ticket {
	s.Helper()
	return s.carryTicket("T-1")
}

func (s *stage) carryTicket(id string) approval.Ticket {
	s.Helper()
	for {
		err := s.turn(id)
		l, waits := errors.AsType[*later](err)
		switch {
		case err == nil:
			return s.now(id)
		case waits:
			if s.heard != nil {
				s.heard(s.now(id).Waiting)
			}
			time.Sleep(max(l.at.Sub(s.clock()), time.Second))
		default:
			if !errors.Is(err, errCrash) && !errors.Is(err, context.Canceled) {
				s.Fatalf("the job failed: %v", err)
			}
			time.Sleep(lease) // until somebody else may claim it
		}
	}
}

func (s *stage) now(id string) approval.Ticket {
	t, err := s.desk.Ticket(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return t
}

// wrote holds the writes that had an effect against want, a step each.
func (s *stage) wrote(want ...string) {
	s.Helper()
	if !slices.Equal(s.world.writes, want) {
		s.Errorf("writes with an effect:\n got %q\nwant %q", s.world.writes, want)
	}
}

// says wants each part in the text.
func says(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s:\n got %q\nwant %q in it", what, text, part)
		}
	}
	if strings.Count(text, "`")%2 != 0 || strings.Contains(text, "..") || strings.Contains(text, "  ") {
		t.Errorf("%s: %q is not written well", what, text)
	}
}

func (s *stage) runner() *rollout.Runner { return rollout.New(s.cfg) }

// unrecorded is a job whose database is away: what is done is not recorded.
type unrecorded struct {
	job
	err error
}

func (j *unrecorded) Step(ctx context.Context, do func(context.Context) error, _ func(context.Context, *sql.Tx) error) error {
	if err := do(ctx); err != nil {
		return err
	}
	return j.err
}

func (j *unrecorded) Deadline() time.Time { return time.Now().Add(lease) }
