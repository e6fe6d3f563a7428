package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// waiverWork is what waivers are wired of. Whatever judges an app takes its rules from
// here, so that one function decides for all what is waived.
type waiverWork struct {
	*approval.WaiverReader
	pol    policy.Policy
	apps   *heroku.Client
	now    func() time.Time
	log    *slog.Logger
	forged *forgeries
}

// newWaiverWork is nothing that runs yet.
func newWaiverWork(cfg config, o outside, pol policy.Policy, state state, apps *heroku.Client, log *slog.Logger, to prometheus.Registerer) *waiverWork {
	w := &waiverWork{pol: pol, apps: apps, now: o.now, log: log, forged: newForgeries(log, o.now, to)}
	w.WaiverReader = waiverReader(cfg, pol, state.Store, w.forged.found)
	w.WaiverReader.Now = o.now
	return w
}

// waiverReader reads the waivers of a database.
func waiverReader(cfg config, pol policy.Policy, from *store.Store, forged func(context.Context, policy.Waiver, string)) *approval.WaiverReader {
	return &approval.WaiverReader{Store: from, Policy: fixed{pol}.Policy, Key: ledger.NewKey(cfg.ledgerKey.Reveal()), Forged: forged}
}

// desk is where they are asked for and decided on, by the people of that desk.
func (w *waiverWork) desk(of *approval.Desk, state state) *approval.Waivers {
	return approval.NewWaivers(approval.WaiversConfig{Desk: of, Store: state, Checks: checkIDs(), Forged: w.forged.found, Still: w.still})
}

func checkIDs() []string {
	var ids []string
	for _, c := range audit.Checks() {
		ids = append(ids, c.ID)
	}
	return ids
}

// verdict judges an app that a rollout has just read. Where its waivers can't be read, an app
// that is ready without them is; of any other it can't be told, and a moment's trouble with
// the database is not taken for something that is wrong with the app.
func (w *waiverWork) verdict(ctx context.Context, app fleet.App) string {
	rules, err := w.Rules(ctx, app)
	verdict := audit.Judge(app, rules, w.now()).Verdict
	if err != nil {
		w.log.Warn("an app is judged without its waivers, which could not be read", "app", app.Name, "err", err)
		if verdict == audit.VerdictNotReady {
			verdict = audit.VerdictUnknown
		}
	}
	return string(verdict)
}

// still says whether what a waiver waived still fails, as if nothing were waived; see
// approval.WaiversConfig.
func (w *waiverWork) still(ctx context.Context, of policy.Waiver) (still bool, evidence string, err error) {
	ref, err := fleet.ParseRef(string(of.App))
	if err != nil {
		return false, "", err
	}
	app, err := w.apps.ReadApp(heroku.Background(ctx), ref)
	if p, ok := errors.AsType[*fleet.Problem](err); ok && p.Kind == fleet.NotFound {
		return false, "", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("read %s: %w", of.Name, err)
	}
	f, found := audit.Judge(app, w.pol.For(app), w.now()).Finding(of.Check)
	return found && f.Required && (f.Outcome == audit.Fail || f.Outcome == audit.Unknown), f.Evidence, nil
}

// due is the handler of approval.WorkWaiver.
func due(ctx context.Context, desk *approval.Waivers, j *jobs.Job) error {
	next, err := desk.Due(ctx, j.Key)
	if err == nil && !next.IsZero() {
		return j.Later(next, "it is not over yet")
	}
	return err
}

// shown is a waiver as people are told of it.
func (w *waiverWork) shown(of policy.Waiver, to chat.Audience) commands.Reply {
	view := commands.WaiverView{To: commands.ForRequester, Policy: w.pol}
	switch {
	case to == chat.ToApprovers:
		view.To = commands.ForApprovers
	case to == chat.ToRequester && of.Approvals == 0:
		return commands.Reply{} // they have the answer to their command
	}
	return commands.WaiverReply(of, view)
}

// forgeries tells of waivers that the ledger does not bear out: somebody has written into
// the database, or the key was changed.
type forgeries struct {
	log   *slog.Logger
	now   func() time.Time
	count prometheus.Counter

	mu   sync.Mutex
	told map[string]time.Time // by waiver
}

// forgedEvery is how often the log tells of the same one: a scan of the fleet and each
// status would otherwise fill it.
const forgedEvery = time.Hour

func newForgeries(log *slog.Logger, now func() time.Time, to prometheus.Registerer) *forgeries {
	f := &forgeries{log: log, now: now, told: map[string]time.Time{}}
	f.count = prometheus.NewCounter(prometheus.CounterOpts{Name: "zdd_waivers_forged_total", Help: "How often a waiver was found in the database that the sealed ledger does not bear out, and waived nothing."})
	if to != nil {
		to.MustRegister(f.count)
	}
	return f
}

func (f *forgeries) found(ctx context.Context, w policy.Waiver, why string) {
	f.count.Inc()
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if last, known := f.told[w.ID]; known && now.Sub(last) < forgedEvery {
		return
	}
	f.told[w.ID] = now
	f.log.ErrorContext(ctx, "a waiver is not what the ledger tells of it, and waives nothing", "ticket", w.ID, "app", w.App, "err", why)
}

// terminalWaivers are for programs that need no database: where there is one, or one is
// named, they go by its waivers too, and tell what its bot's watches of deploys have shown.
type terminalWaivers struct {
	*approval.WaiverReader              // nil: there are none
	unread                 error        // why they could not be read
	store                  *store.Store // nil: there is none to read
	close                  func()       // closes the database
}

// proofs are the last verdicts on the deploys of apps, all where none is named; nil where
// there is no database, or it can't tell.
func (t terminalWaivers) proofs(ctx context.Context, o outside, apps ...fleet.ID) map[fleet.ID]watch.Proof {
	if t.store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, waiversWithin)
	defer cancel()
	of, err := t.store.Proofs(ctx, apps)
	if err != nil {
		fmt.Fprintf(o.Stderr, "bot: what was proved could not be read, and is not told: %s\n", readConfig(o.Getenv).redact(err.Error()))
		return nil
	}
	return of
}

// waiversWithin bounds the opening of the database for them.
const waiversWithin = 10 * time.Second

// openWaivers opens the database for its waivers.
func openWaivers(ctx context.Context, pol policy.Policy, o outside) terminalWaivers {
	cfg := readConfig(o.Getenv)
	t := terminalWaivers{close: func() {}}
	ctx, cancel := context.WithTimeout(ctx, waiversWithin)
	defer cancel()
	if !cfg.onPostgres() {
		options, err := cfg.storeOptions(slog.New(slog.DiscardHandler))
		if err == nil {
			_, err = os.Stat(cmp.Or(options.Path, store.DefaultPath))
		}
		if errors.Is(err, fs.ErrNotExist) { // no bot has run here, and so nothing is waived
			return t
		}
	}
	opened, err := openExisting(ctx, cfg)
	if err != nil {
		t.unread = err
		return t
	}
	told := map[string]bool{}
	var mu sync.Mutex
	t.store, t.close = opened, func() { _ = opened.Close() } // it was only read
	t.WaiverReader = waiverReader(cfg, pol, opened, func(_ context.Context, w policy.Waiver, why string) {
		mu.Lock()
		defer mu.Unlock()
		if !told[w.ID] {
			told[w.ID] = true
			fmt.Fprintf(o.Stderr, "bot: %s waives nothing here: %s\n", w.ID, strings.ToLower(why[:1])+why[1:])
		}
	})
	t.WaiverReader.Now = o.now
	if cfg.ledgerKey.IsZero() {
		fmt.Fprintln(o.Stderr, "bot: ZDD_LEDGER_KEY is not set here, so no waiver can be proven, and what is waived counts")
	}
	return t
}

// rules are the rules of an app with its waivers; without any where there are none.
func (t terminalWaivers) rules(pol policy.Policy) audit.RulesFor {
	switch {
	case t.unread != nil:
		return func(_ context.Context, app fleet.App) (policy.Rules, error) { return pol.For(app), t.unread }
	case t.WaiverReader == nil:
		return func(_ context.Context, app fleet.App) (policy.Rules, error) { return pol.For(app), nil }
	}
	return t.Rules
}
