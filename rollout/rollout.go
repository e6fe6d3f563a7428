// Package rollout carries an approved ticket out, step by step, over crashes, and looks
// at the app again some time after the end. It decides nothing that a person decides
// (package approval does), makes no plan (package plan does) and has no way to Heroku
// of its own: it calls what it is given.
//
// It keeps nothing in memory between two steps. Each turn loads the ticket, looks at the
// app, comes to one conclusion and stores that in one transaction, under the lease of
// the job that it runs in; so it makes no difference who takes the next turn, or when.
//
// Invariants:
//   - Before anything is done the wish is planned again, and its hash is that which was
//     approved; before each step the app is as the plan says it is by then, in all that
//     the earlier steps were about.
//   - A write is announced in the ledger and in the ticket before it is sent, is sent
//     right after a reading and within the lease, and counts as done once it was read
//     back. One whose effect is not known is read back before anything else happens.
//   - What is not as expected ends the rollout: nothing is put right by guessing.
//   - Of a ticket for several apps one is carried out at a time; each begins once, only
//     when those before it are done and well, and none after the ticket was cancelled.
//   - Every ending says what is done and what is not, and what to do next.
package rollout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Job is the piece of work that a rollout runs in. *jobs.Job is one.
type Job interface {
	// Step runs do within the lease, and then record in a transaction that has made sure
	// of the lease. An error of do is returned, and nothing recorded.
	Step(ctx context.Context, do func(ctx context.Context) error, record func(ctx context.Context, tx *sql.Tx) error) error
	// Later is what a handler returns that has to wait.
	Later(at time.Time, why string) error
	// GiveUp is what a handler returns for work that can't be done, ever.
	GiveUp(err error) error
	// Deadline is until when something outside may be changed.
	Deadline() time.Time
}

// Tickets is what a rollout does with tickets. Every approval.Store does it.
type Tickets interface {
	Ticket(ctx context.Context, id string) (approval.Ticket, error)
	Tickets(ctx context.Context, f approval.Filter) ([]approval.Ticket, error)
	CreateTicketTx(ctx context.Context, tx *sql.Tx, t approval.Ticket, change func(approval.Ticket) approval.Change) (stored approval.Ticket, made bool, err error)
	ChangeTicket(ctx context.Context, id string, change func(*approval.Ticket) (approval.Change, error)) (approval.Ticket, error)
	ChangeTicketTx(ctx context.Context, tx *sql.Tx, id string, change func(*approval.Ticket) (approval.Change, error)) (approval.Ticket, error)
}

// Apps reads apps. *heroku.Client does.
type Apps interface {
	ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error)
}

// Heroku carries one step out. *heroku.Client does. Its errors are *fleet.Problem.
type Heroku interface {
	Apply(ctx context.Context, app fleet.ID, step plan.Step) error
}

// Config is what a Runner needs. All but Proof, ReadOnly, Head, Timing, Now and Log is
// required.
type Config struct {
	Tickets Tickets
	Apps    Apps
	Heroku  Heroku
	// Allowed says why the ticket may no longer be carried out by the rules and people of
	// today, empty where it may. An error means that it could not be found out.
	Allowed func(ctx context.Context, t approval.Ticket) (why string, err error)
	// Proof says why the ticket is not what the sealed ledger tells of it, empty where it
	// is; asked at each turn, because the database may be written by others. Nil: the
	// database is believed.
	Proof func(ctx context.Context, t approval.Ticket) (why string, err error)
	// Policy is what is in force: by it the wish is planned again at the start, and no
	// second web dyno starts without the session affinity that it requires.
	Policy func() policy.Policy
	// ReadOnly is why nothing may be changed, in sentences that say what mends it; empty:
	// it may. Without the ledger's key, say, no step could be announced, nor an end be
	// told: so tickets wait meanwhile, and say why.
	ReadOnly string
	// Judge is the app's verdict, in a word or two. It may read what is waived.
	Judge func(ctx context.Context, app fleet.App) string
	// Head is the end of the ledger. Nil: tickets end without it.
	Head   func(ctx context.Context) (ledger.Head, error)
	Timing Timing
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default: none
}

// Runner carries tickets out. It may be used by any number of goroutines; the queue
// makes sure that no two work on one app.
type Runner struct {
	cfg    Config
	timing Timing
	now    func() time.Time
	log    *slog.Logger
}

// New makes a Runner.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg, timing: cfg.Timing.withDefaults(), log: cfg.Log}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// To the millisecond, as the ledger and the jobs keep times.
	r.now = func() time.Time { return cfg.Now().UTC().Truncate(time.Millisecond) }
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r
}

// Apply is the handler of approval.WorkApply and approval.WorkBatch: it carries the ticket out as far as it
// gets at the moment. It returns nil once the ticket has ended, whichever way: how it
// went is told in the ticket. Any error is for the queue, which runs it again.
func (r *Runner) Apply(ctx context.Context, ticket string, job Job) error {
	for {
		t, err := r.cfg.Tickets.Ticket(ctx, ticket)
		if errors.Is(err, approval.ErrNoTicket) {
			return job.GiveUp(err)
		}
		if err != nil {
			return fmt.Errorf("load %s: %w", ticket, err)
		}
		u := &run{Runner: r, job: job, t: t, log: r.log.With("ticket", t.ID, "app", t.Plan.Name)}
		why, err := u.unproven(ctx)
		switch {
		case err != nil:
		case r.cfg.ReadOnly != "" && (t.State == approval.Approved || t.State == approval.Running):
			err = u.idle(ctx)
		case why != "":
			err = u.disown(ctx, why)
		case t.State == approval.Approved && t.Batch():
			err = u.startBatch(ctx)
		case t.State == approval.Running && t.Batch():
			err = u.advanceBatch(ctx)
		case t.State == approval.Approved:
			err = u.start(ctx)
		case t.State == approval.Running:
			err = u.advance(ctx)
		case r.headless(t):
			err = u.head(ctx)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// unproven says why a ticket that is not over is not what the ledger tells of it.
func (u *run) unproven(ctx context.Context) (why string, err error) {
	if u.cfg.Proof == nil || u.cfg.ReadOnly != "" || u.t.State != approval.Approved && u.t.State != approval.Running {
		return "", nil
	}
	if why, err = u.cfg.Proof(ctx, u.t); err != nil {
		return "", fmt.Errorf("%s: %w", u.t.ID, err)
	}
	return why, nil
}

// disown ends such a ticket: nothing more of it is done.
func (u *run) disown(ctx context.Context, why string) error {
	return u.conclude(ctx, func(context.Context) conclusion {
		c := u.stale(why)
		if u.t.State == approval.Running {
			c = u.surprise(why)
		}
		end := c.change
		c.change = func(t *approval.Ticket) approval.Change { // not reached where it was decided on meanwhile
			u.log.ErrorContext(ctx, "a ticket is not what the ledger tells of it", "err", why)
			return end(t)
		}
		return c
	})
}

// readOnlyPause is how often work that may not change anything looks whether it may by
// now: what mends that is a restart of the bot.
const readOnlyPause = 5 * time.Minute

// idle waits until something may be changed again. It is no trouble that ends a ticket:
// that could not be told in the ledger either.
func (u *run) idle(ctx context.Context) error {
	return u.conclude(ctx, func(context.Context) conclusion {
		text := strings.TrimSuffix(u.cfg.ReadOnly, " Nothing was changed.") // earlier steps may have
		return u.since(u.wait(text, u.now().Add(readOnlyPause)), time.Time{})
	})
}

// headless says whether a ticket that ended here does not tell the ledger's head yet.
func (r *Runner) headless(t approval.Ticket) bool {
	return r.cfg.Head != nil && t.State.Final() && !t.EndedAt.IsZero() && t.Head == ""
}

// head puts the ledger's head into a ticket that has ended. The head can only be known
// after the transaction of the end, and may be of a later entry.
func (u *run) head(ctx context.Context) error {
	head, err := u.cfg.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the ledger's head for %s: %w", u.t.ID, err)
	}
	if head == (ledger.Head{}) {
		return fmt.Errorf("the ledger is empty after the end of %s", u.t.ID)
	}
	_, err = u.cfg.Tickets.ChangeTicket(ctx, u.t.ID, func(t *approval.Ticket) (approval.Change, error) {
		t.Head = head.String()
		return approval.Change{}, nil
	})
	if err != nil {
		return fmt.Errorf("store the ledger's head in %s: %w", u.t.ID, err)
	}
	return nil
}

// run is one turn of one ticket. t is as it was loaded at the start of the turn.
type run struct {
	*Runner
	job Job
	t   approval.Ticket
	log *slog.Logger
	// came is what this turn knows to have come of the write that was announced.
	came came
}

// came is what came of a write that was announced and is not done. The zero value: that
// is not known.
type came struct {
	nothing bool       // the app was read as it was before, or Heroku refused it
	then    plan.State // what the app showed after Heroku accepted it, and somebody changed it
}

// conclusion is what a turn comes to. The zero conclusion records nothing and goes on.
type conclusion struct {
	first  func(ctx context.Context, tx *sql.Tx) error // before change, in its transaction, which is rolled back if the ticket was moved meanwhile; nil: nothing
	change func(*approval.Ticket) approval.Change      // nil: the ticket stays as it is
	later  time.Time                                   // zero: go on at once
	why    string                                      // of later, for people who look at the queue
	err    error                                       // nothing can be said: let the queue run it again
}

// errMoved ends a turn whose ticket was changed meanwhile by somebody else, such that
// what the turn concluded no longer counts.
var errMoved = errors.New("the ticket is in another state by now")

// conclude runs do within the lease and stores what it comes to, in one transaction.
func (u *run) conclude(ctx context.Context, do func(ctx context.Context) conclusion) error {
	var c conclusion
	err := u.job.Step(ctx, func(ctx context.Context) error {
		c = do(ctx)
		return c.err
	}, func(ctx context.Context, tx *sql.Tx) error {
		if c.change == nil {
			return nil
		}
		if c.first != nil {
			if err := c.first(ctx, tx); err != nil {
				return err
			}
		}
		_, err := u.cfg.Tickets.ChangeTicketTx(ctx, tx, u.t.ID, func(t *approval.Ticket) (approval.Change, error) {
			if t.State != u.t.State || c.first != nil && t.Halt != u.t.Halt {
				return approval.Change{}, errMoved
			}
			return c.change(t), nil
		})
		return err
	})
	switch {
	case errors.Is(err, errMoved):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", u.t.ID, err)
	case !c.later.IsZero():
		return u.job.Later(c.later, c.why)
	}
	return nil
}

// read reads the ticket's app. p is nil when it was read.
func (u *run) read(ctx context.Context) (fleet.App, *trouble) {
	ref, err := fleet.ParseRef(string(u.t.Plan.App))
	if err != nil {
		return fleet.App{}, &trouble{kind: fleet.NotFound, text: "the ticket names no app"}
	}
	app, err := u.cfg.Apps.ReadApp(ctx, ref)
	if err != nil {
		return fleet.App{}, sortError(ctx, err)
	}
	if app.ID != u.t.Plan.App {
		return fleet.App{}, &trouble{kind: fleet.NotFound, text: "Heroku answered with another app"}
	}
	return app, nil
}
