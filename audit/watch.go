package audit

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// The kinds of work of the watch.
const (
	WorkWatch = "watch" // key: TheFleet; look at apps that were ready, for ever
	WorkDrift = "drift" // key: a bulletin; post it
)

// TheFleet is the key of the one job that watches.
const TheFleet = "fleet"

// WatchPerMinute is how many calls of the account's limit the watch uses at the most, for
// all replicas together: a third of what comes back, so that a night's scan, people and
// changes never wait for it.
const WatchPerMinute = fleet.CallsPerMinute / 3

const (
	// looksAtOnce is how many apps one turn looks at: a turn ends within seconds.
	looksAtOnce = 10
	// lookWithin bounds a turn's reading, well within a job's lease.
	lookWithin = 30 * time.Second
	// listsEvery is how long the lists of apps are good for. What they tell (add-ons, places
	// in pipelines, prices) changes seldom, and a night reads them anew in any case.
	listsEvery = 30 * time.Minute
	// listsAgain is how soon they are read again for an app that is in none.
	listsAgain = 5 * time.Minute
	// longestRollout is how long before its end a ticket may have been decided on.
	longestRollout = 7 * 24 * time.Hour
	// scanSlack is how long after its time a scan that has not ended keeps the watch waiting.
	scanSlack = time.Hour
	// WatchPutsOff is the longest that a turn puts anything off, but for apps, which are put
	// off for an interval. What is further ahead was put off before the clock was set back,
	// and is due now: else nothing would be looked at until the clock is there again.
	WatchPutsOff = 30 * time.Minute
	// foreseen is what a look costs as long as nobody knows better: formation and features.
	foreseen = 2.0
)

// WatchReader is what a Watcher reads with. *heroku.Client does. Errors are
// *fleet.Problem.
type WatchReader interface {
	Reader
	// ReadReleases lists an app's releases made after one time and not after another, the
	// oldest first.
	ReadReleases(ctx context.Context, app fleet.ID, after, before time.Time) ([]fleet.Release, error)
}

// Watching is what the watch as a whole remembers from turn to turn.
type Watching struct {
	Rest      time.Time            `json:"rest,omitzero"`    // nothing is read before: the pace
	Calls     float64              `json:"calls,omitzero"`   // that a look took of late, on average; 0: not known
	Looked    time.Time            `json:"looked,omitzero"`  // when the last look was
	Tickets   time.Time            `json:"tickets,omitzero"` // until when tickets were taken note of
	Pending   []Drifted            `json:"pending,omitempty"`
	Told      map[string]time.Time `json:"told,omitempty"`     // when each channel was told last
	Bulletins int64                `json:"bulletins,omitzero"` // how many were made, ever
	Found     int64                `json:"found,omitzero"`     // how many drifts were, ever
	Version   int64                `json:"-"`                  // raised by each write; 0: there is none yet
}

// Look is a standing with what a look found out, as it is saved.
type Look struct {
	Standing
	At    time.Time // when it was looked at
	Again time.Time // when to look again, before its turn; zero: in its turn
}

// LookPlan is what there is to look at.
type LookPlan struct {
	Apps   int       // how many are watched
	Oldest time.Time // the one looked at longest ago was then; zero: there is none
	Again  time.Time // the first that is to be looked at again out of turn; zero: there is none
}

// ErrNoBulletin says that there is no such bulletin, or none any more.
var ErrNoBulletin = errors.New("no such bulletin")

// ErrWatchingChanged says that somebody else wrote Watching meanwhile; nothing was stored.
var ErrWatchingChanged = errors.New("what the watch remembers was changed meanwhile")

// WatchStore keeps what the watch knows. Times are kept to the millisecond.
type WatchStore interface {
	Nights(ctx context.Context, since time.Time, limit int) ([]Night, error)
	Standing(ctx context.Context, app fleet.ID) (s Standing, found bool, err error)
	Turns(ctx context.Context, app fleet.ID, limit int) ([]Turn, error)
	// Watching is the zero one where there is none yet.
	Watching(ctx context.Context) (Watching, error)
	// LookPlan tells what there is to look at.
	LookPlan(ctx context.Context) (LookPlan, error)
	// WatchedApps are all that are watched.
	WatchedApps(ctx context.Context) ([]fleet.ID, error)
	// DueLooks are watched apps that are to be looked at again now, and then those that were
	// looked at not after before, the longest ago first; at most limit. Those whose time is
	// after beyond count as due: see WatchPutsOff.
	DueLooks(ctx context.Context, now, before, beyond time.Time, limit int) ([]Standing, error)
	// SaveLook stores l.Watch as part of tx, where l's standing is still of the same night
	// and its app in scope; else saved is false, and nothing is stored.
	SaveLook(ctx context.Context, tx *sql.Tx, l Look) (saved bool, err error)
	// SaveTurns adds turns as part of tx.
	SaveTurns(ctx context.Context, tx *sql.Tx, turns []Turn) error
	// SaveWatching stores w, new bulletins and a WorkDrift for each as part of tx, where the
	// stored one has w.Version, which is raised; else ErrWatchingChanged.
	SaveWatching(ctx context.Context, tx *sql.Tx, w Watching, made ...Bulletin) error
	// Bulletin is one of them; ErrNoBulletin.
	Bulletin(ctx context.Context, id string) (Bulletin, error)
}

// WatchTiming is every wait of a Watcher. A zero field means its default.
type WatchTiming struct {
	// Every is how often each app is looked at; 0: as the policy says. The demo's, which
	// nobody watches for half an hour.
	Every time.Duration
	// Confirm is how long after the first look that found a drift a second one has to find
	// the same. Default 60 s: who switches something off and on again is done by then.
	Confirm time.Duration
	// Gather is how long a drift waits for others of the same channel. Default 2 minutes.
	Gather time.Duration
	// Idle is the longest pause between two turns. Default 5 minutes: an app that a ticket
	// has made ready is taken note of by then.
	Idle time.Duration
	// Rest is how often to look whether a scan of the fleet, or a ticket, has ended. Default
	// 1 minute.
	Rest time.Duration
	// Retry is the pause after which something is tried again that could not be read. Default
	// 5 minutes, as for scans.
	Retry time.Duration
	// PerMinute is how many calls it takes at the most. Default WatchPerMinute.
	PerMinute float64
}

func (t WatchTiming) withDefaults() WatchTiming {
	t.Confirm = cmp.Or(t.Confirm, time.Minute)
	t.Gather = cmp.Or(t.Gather, 2*time.Minute)
	t.Idle = cmp.Or(t.Idle, 5*time.Minute)
	t.Rest = cmp.Or(t.Rest, time.Minute)
	t.Retry = cmp.Or(t.Retry, 5*time.Minute)
	t.PerMinute = cmp.Or(t.PerMinute, WatchPerMinute)
	return t
}

// WatchConfig is what a Watcher needs. Timing, Now and Log have defaults.
type WatchConfig struct {
	Store  WatchStore
	Heroku WatchReader
	Policy func() policy.Policy
	Rules  RulesFor // nil: those of Policy, and nothing is waived
	// Ours are the tickets that run, or ended at or after since: of one app, or of all where
	// that is empty.
	Ours   func(ctx context.Context, app fleet.ID, since time.Time) ([]Ours, error)
	Told   func() // called when there is something to tell; nil: the queue finds it by itself
	Timing WatchTiming
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default: none
}

// Watcher looks, between the nights, at the apps that were ready: the one looked at longest
// ago first, a few at a time, at a pace that leaves others two thirds of what the account
// gets back. What it concludes is in drift.go. It rests while a night scans.
//
// There is one job of it, so that any number of replicas look no more often than one. All
// that it has to remember is stored with each turn; of what is in memory, the lists of
// apps, nothing is lost but calls.
type Watcher struct {
	cfg    WatchConfig
	timing WatchTiming
	now    func() time.Time
	log    *slog.Logger

	mu    sync.Mutex
	lists listed
}

// listed is what lists told of the watched apps.
type listed struct {
	at   time.Time
	apps map[fleet.ID]fleet.App
}

// NewWatcher makes a Watcher.
func NewWatcher(cfg WatchConfig) *Watcher {
	w := &Watcher{cfg: cfg, timing: cfg.Timing.withDefaults(), log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	w.now = func() time.Time { return stamp(cfg.Now()) }
	return w
}

// Every is how often each app is to be looked at; 0: never.
func (w *Watcher) Every() time.Duration {
	every := w.cfg.Policy().Nightly.WatchEvery
	if every <= 0 {
		return 0
	}
	return cmp.Or(w.timing.Every, every)
}

// WatchInterval is how long it takes to look at so many apps once, which is how often each
// is looked at: as often as the policy says, or as often as the pace lets, at so many
// calls a look; 0: not known yet.
func WatchInterval(every time.Duration, apps int, calls float64) time.Duration {
	return watchInterval(every, float64(apps)*cmp.Or(calls, foreseen)/WatchPerMinute)
}

// Interval is WatchInterval at this Watcher's own pace.
func (w *Watcher) Interval(apps int, calls float64) time.Duration {
	return watchInterval(w.Every(), float64(apps)*cmp.Or(calls, foreseen)/w.timing.PerMinute)
}

// watchInterval is that of looks that take so many minutes.
func watchInterval(every time.Duration, minutes float64) time.Duration {
	if takes := time.Duration(minutes * float64(time.Minute)); every <= 0 || takes <= every {
		return max(every, 0)
	}
	return time.Duration(math.Ceil(minutes)) * time.Minute
}

// Watch is the handler of WorkWatch, whose ctx is one of work that nobody waits for. It
// takes one turn, and never ends.
func (w *Watcher) Watch(ctx context.Context, job Job) error {
	every, now := w.Every(), w.now()
	t := &watchTurn{Watcher: w, job: job, policy: w.cfg.Policy(), every: every}
	var err error
	if t.state, err = w.cfg.Store.Watching(ctx); err != nil {
		return err
	}
	if every == 0 { // what was found before is told: the night counts on it
		next, err := t.tell(ctx, false)
		if err != nil {
			return err
		}
		return t.later(sooner(now.Add(10*time.Minute), next), "the policy switches the watch off")
	}
	if scans, err := w.scans(ctx, now); err != nil || scans {
		if err != nil {
			return err
		}
		next, err := t.tell(ctx, false)
		if err != nil {
			return err
		}
		return t.later(sooner(now.Add(w.timing.Rest), next), "a scan of the whole fleet is under way")
	}
	beyond := now.Add(max(every, WatchPutsOff))
	if err := t.adopt(ctx); err != nil {
		return err
	}
	due, err := w.cfg.Store.DueLooks(ctx, now, now.Add(-every), beyond, looksAtOnce)
	if err != nil {
		return err
	}
	next, err := t.tell(ctx, len(due) > 0)
	if err != nil {
		return err
	}
	if now.Before(t.state.Rest) && !t.state.Rest.After(beyond) {
		return t.later(sooner(t.state.Rest, next), "to leave others their share of the API's limit")
	}
	if len(due) == 0 {
		return t.idle(ctx, next)
	}
	return t.turn(ctx, due)
}

// scans says whether a night's scan is under way. One that should have ended long ago does
// not keep the watch from looking.
func (w *Watcher) scans(ctx context.Context, now time.Time) (bool, error) {
	const few = 5 // nights; older ones are over in any case
	nights, err := w.cfg.Store.Nights(ctx, now.Add(-3*24*time.Hour), few)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(nights, func(n Night) bool {
		end := later(later(n.Post, n.Started), n.Grace).Add(ScanTiming{}.withDefaults().Late + scanSlack)
		return n.State == Scanning && now.Before(end) && !n.Slot.After(now)
	}), nil
}

// watchTurn is one turn of the watch.
type watchTurn struct {
	*Watcher
	job    Job
	policy policy.Policy
	every  time.Duration
	state  Watching
}

// later ends the turn until then.
func (t *watchTurn) later(at time.Time, why string) error {
	return t.job.Later(earlier(at, t.now().Add(WatchPutsOff)), why)
}

// adopt takes note of apps that a ticket of ours has made ready since the night.
func (t *watchTurn) adopt(ctx context.Context) error {
	now := t.now()
	since := t.state.Tickets
	if since.IsZero() || since.After(now) { // the clock was set back
		since = now.Add(-longestRollout)
	}
	ours, err := t.cfg.Ours(ctx, "", since)
	if err != nil {
		return err
	}
	var looks []Look
	for _, o := range ours {
		if o.Ended.IsZero() || !o.Ready {
			continue
		}
		s, found, err := t.cfg.Store.Standing(ctx, o.App)
		if err != nil {
			return err
		}
		ended := stamp(o.Ended)
		if !found || !s.Gone.IsZero() || !ended.After(s.lookedAt()) || s.wasReady() {
			continue
		}
		s.Watch = s.goesOn()
		s.Watch.Left, s.Watch.Drifts = ended, nil
		looks = append(looks, Look{Standing: s, At: ended})
	}
	if len(looks) == 0 && since.Equal(t.state.Tickets) && now.Sub(since) < t.timing.Idle {
		return nil // not worth a write: what is asked for twice is harmless
	}
	next := t.state
	next.Tickets = now.Add(-time.Minute) // clocks of replicas differ
	return t.save(ctx, next, nil, looks...)
}

// save stores what a turn came to. Of looks at apps that a night has read meanwhile nothing
// is kept.
func (t *watchTurn) save(ctx context.Context, next Watching, made []Bulletin, looks ...Look) error {
	err := t.job.Step(ctx, nil, func(ctx context.Context, tx *sql.Tx) error {
		for _, l := range looks {
			if _, err := t.cfg.Store.SaveLook(ctx, tx, l); err != nil {
				return err
			}
		}
		return t.cfg.Store.SaveWatching(ctx, tx, next, made...)
	})
	if err == nil {
		next.Version++
		t.state = next
	}
	return err
}

// tell makes the bulletins that are due, of what is still so, and says when the next one
// is; zero: none is to come. busy says that there are apps to look at, so that more may be found.
func (t *watchTurn) tell(ctx context.Context, busy bool) (next time.Time, err error) {
	if len(t.state.Pending) == 0 {
		return time.Time{}, nil
	}
	state := t.state
	for _, d := range t.state.Pending {
		s, found, err := t.cfg.Store.Standing(ctx, d.App)
		if err != nil {
			return time.Time{}, err
		}
		if !found || !s.stillSo(d) {
			state.drop(d.App)
		}
	}
	over := len(t.state.Pending) - len(state.Pending)
	plan, err := t.cfg.Store.LookPlan(ctx)
	if err != nil {
		return time.Time{}, err
	}
	state, made, next := state.bulletins(noticing{
		now: t.now(), every: t.every, gather: t.timing.Gather, busy: busy,
		zone: t.policy.Nightly.Timezone, round: t.Interval(plan.Apps, t.state.Calls),
	})
	if len(made) == 0 && over == 0 {
		return next, nil
	}
	if err := t.save(ctx, state, made); err != nil {
		return time.Time{}, err
	}
	if t.cfg.Told != nil && len(made) > 0 {
		t.cfg.Told()
	}
	return next, nil
}

// idle waits for the next app that is due.
func (t *watchTurn) idle(ctx context.Context, next time.Time) error {
	plan, err := t.cfg.Store.LookPlan(ctx)
	if err != nil {
		return err
	}
	at := sooner(t.now().Add(t.timing.Idle), next)
	if !plan.Oldest.IsZero() {
		at = sooner(at, plan.Oldest.Add(t.every))
	}
	return t.later(sooner(at, plan.Again), "until an app is to be looked at again")
}

// turn looks at the apps that are due, and writes down what that came to.
func (t *watchTurn) turn(ctx context.Context, due []Standing) error {
	begun := t.now()
	apps, calls, err := t.listed(ctx, due)
	if p, ok := errors.AsType[*fleet.Problem](err); ok {
		t.log.WarnContext(ctx, "the watch could not list the apps", "err", err)
		return t.later(t.now().Add(max(p.RetryAfter, t.timing.Retry)), "because no app could be listed: "+p.Reason().Text)
	}
	if err != nil {
		return err
	}
	var seen []concluded
	var next Watching
	var cut *fleet.Problem
	err = t.job.Step(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, lookWithin)
		defer cancel()
		seen, cut, err = t.look(ctx, due, apps)
		next = t.next(begun, seen, calls)
		return err
	}, func(ctx context.Context, tx *sql.Tx) error { return t.record(ctx, tx, next, seen) })
	if err != nil {
		return err
	}
	if cut != nil {
		return t.later(t.now().Add(max(cut.RetryAfter, t.timing.Rest)), "because "+cut.Reason().Text)
	}
	return t.later(later(t.now(), next.Rest), "to leave others their share of the API's limit")
}

// next is the state after a turn, but for what was found.
func (t *watchTurn) next(begun time.Time, seen []concluded, calls int) Watching {
	next, looks, spent := t.state, 0, 0
	for _, c := range seen {
		spent += c.calls
		if c.calls > 0 {
			looks++
		}
	}
	next.Rest = begun.Add(time.Duration(float64(calls+spent) / t.timing.PerMinute * float64(time.Minute)))
	if looks > 0 {
		mean := float64(spent) / float64(looks)
		if next.Calls > 0 {
			mean = next.Calls + (mean-next.Calls)/10 // of the last few turns
		}
		next.Calls, next.Looked = mean, t.now()
	}
	return next
}

// record writes down what a turn came to.
func (t *watchTurn) record(ctx context.Context, tx *sql.Tx, next Watching, seen []concluded) error {
	for _, c := range seen {
		saved, err := t.cfg.Store.SaveLook(ctx, tx, c.Look)
		if err != nil {
			return err
		}
		if !saved {
			continue
		}
		if err := t.cfg.Store.SaveTurns(ctx, tx, c.turns); err != nil {
			return err
		}
		if c.Watch.Ready && c.Watch.ReadAt.Equal(c.At) { // it has come back before it was told of
			next.drop(c.App)
		}
		if c.found {
			next.Found++
		}
		if c.drifted != nil {
			next.pend(*c.drifted)
		}
	}
	return t.cfg.Store.SaveWatching(ctx, tx, next)
}

// listed is what lists tell of the apps, read anew now and then.
func (t *watchTurn) listed(ctx context.Context, due []Standing) (apps map[fleet.ID]fleet.App, calls int, err error) {
	t.mu.Lock()
	lists := t.lists
	t.mu.Unlock()
	age := t.now().Sub(lists.at).Abs()
	missing := slices.ContainsFunc(due, func(s Standing) bool { _, known := lists.apps[s.App]; return !known })
	if !lists.at.IsZero() && age < listsEvery && (!missing || age < listsAgain) {
		return lists.apps, 0, nil
	}
	all, err := t.cfg.Store.WatchedApps(ctx)
	if err != nil {
		return nil, 0, err
	}
	watched := make(map[fleet.ID]bool, len(all))
	for _, id := range all {
		watched[id] = true
	}
	var roll fleet.Roll
	var failed error
	err = during(ctx, t.job, lookWithin/3, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, listsLeast)
		defer cancel()
		roll, failed = t.cfg.Heroku.ReadRoll(ctx, fleet.Filter{Teams: t.policy.Scope.Teams})
	})
	if err = cmp.Or(err, failed); err != nil {
		return nil, 0, err
	}
	lists = listed{at: t.now(), apps: map[fleet.ID]fleet.App{}}
	for _, app := range roll.Apps {
		if watched[app.ID] && t.policy.InScope(app).In {
			lists.apps[app.ID] = app
		}
	}
	t.mu.Lock()
	t.lists = lists
	t.mu.Unlock()
	return lists.apps, roll.Calls, nil
}

// sooner is the earlier of two times, one of which may be zero, which is none.
func sooner(a, b time.Time) time.Time {
	if b.IsZero() {
		return a
	}
	return earlier(a, b)
}
