package audit

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Job is the piece of work that a scan runs in. *jobs.Job is one.
type Job interface {
	// Step runs do within the lease, and then record in a transaction that has made sure
	// of the lease. An error of do is returned, and nothing recorded.
	Step(ctx context.Context, do func(ctx context.Context) error, record func(ctx context.Context, tx *sql.Tx) error) error
	// Later is what a handler returns that has to wait.
	Later(at time.Time, why string) error
	// GiveUp is what a handler returns for work that can't be done, ever.
	GiveUp(err error) error
}

// ScanTiming is every wait of a scan. A zero field means its default.
type ScanTiming struct {
	// Chunk is after how long what was read is written down, at the latest. A crash costs
	// what was read since; a stop of the program waits that long. Default 5 s, a tenth of
	// a job's lease.
	Chunk time.Duration
	// Again is how long after the first pass what could not be read is tried once more.
	// Default 5 minutes: shorter outages of Heroku's API are over by then.
	Again time.Duration
	// Retry is the pause after which lists that could not be read at all are read again.
	// Default 5 minutes, for the same reason.
	Retry time.Duration
	// Late is how long after the time to post a scan goes on at the most. Default 3 hours:
	// a digest of all but a few apps at noon is better than one of all in the evening.
	Late time.Duration
	// Grace is how long a scan may go on that nobody was there to end in time, once.
	// Default 30 minutes: a thousand apps take five.
	Grace time.Duration
}

func (t ScanTiming) withDefaults() ScanTiming {
	t.Chunk = cmp.Or(t.Chunk, 5*time.Second)
	t.Again = cmp.Or(t.Again, 5*time.Minute)
	t.Retry = cmp.Or(t.Retry, 5*time.Minute)
	t.Late = cmp.Or(t.Late, 3*time.Hour)
	t.Grace = cmp.Or(t.Grace, 30*time.Minute)
	return t
}

const (
	// chunkApps is how many apps are written down at once at the most: a database takes
	// that many well within the five seconds that a job's step gives it.
	chunkApps = 200
	// nightsBack is how many nights are looked through for the last that ended: a month of
	// them, with as many asked for out of turn.
	nightsBack = 2 * trendNights
	// listsLeast is what the lists are given though the scan has to end: without them
	// nothing tells what is left out.
	listsLeast = 2 * time.Minute
	// awake is how late a scan may come to its end that was there all the time: the
	// longest pause of a job that failed is 5 minutes.
	awake = 10 * time.Minute
)

// ScanConfig is what a Scanner needs. Timing, Now and Log have defaults.
type ScanConfig struct {
	Store  Store
	Heroku Reader
	Policy func() policy.Policy
	Rules  RulesFor                                  // nil: those of Policy, and nothing is waived
	Head   func(ctx context.Context) (string, error) // the ledger's head, for the digest; nil: it has none
	Ledger Chains                                    // nil: it is not verified
	Timing ScanTiming
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default: none
}

// Scanner reads the fleet for a night, holds it against the night before and makes the
// digest. It keeps nothing in memory between two chunks that it could not read again:
// whoever has the job goes on where the last one stopped.
type Scanner struct {
	cfg    ScanConfig
	timing ScanTiming
	chunk  int // apps
	now    func() time.Time
	log    *slog.Logger
}

// NewScanner makes a Scanner.
func NewScanner(cfg ScanConfig) *Scanner {
	s := &Scanner{cfg: cfg, timing: cfg.Timing.withDefaults(), chunk: chunkApps, log: cfg.Log}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s.now = func() time.Time { return stamp(cfg.Now()) }
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Scan is the handler of WorkScan. Its ctx is one of work that nobody waits for. It
// returns nil once the night is scanned and its digest is made, which is also the end
// where little or nothing could be read: the digest says so then. Any error is for the
// queue, which runs it again; what was written down by then is not read twice.
func (s *Scanner) Scan(ctx context.Context, night string, job Job) error {
	n, err := s.cfg.Store.Night(ctx, night)
	switch {
	case errors.Is(err, ErrNoNight):
		return job.GiveUp(err)
	case err != nil:
		return fmt.Errorf("load the scan %s: %w", night, err)
	case n.State != Scanning:
		return nil
	}
	u := &scan{Scanner: s, job: job, n: n, policy: s.cfg.Policy()}
	if u.apps, err = u.stand(ctx); err != nil {
		return err
	}
	quietly, err := u.before(ctx)
	if err != nil {
		return err
	}
	if n.Started.IsZero() {
		u.n.Started, u.n.Baseline = s.now(), len(u.apps) == 0 || quietly
		if err := u.save(ctx); err != nil {
			return err
		}
	}
	if u.slept() {
		u.n.Grace = s.now().Add(s.timing.Grace)
		if err := u.save(ctx); err != nil {
			return err
		}
	}
	return u.run(ctx)
}

// scan is one turn of a night's scan.
type scan struct {
	*Scanner
	job    Job
	n      Night
	policy policy.Policy
	apps   map[fleet.ID]state // all that stand
	since  time.Time          // see Scan
	in     []fleet.App        // in scope, by name
	out    map[fleet.ID]string
	listed Coverage // Out and Gaps: what the lists came to
	again  bool     // the lists left out what may be there in some minutes
	whole  bool     // the lists of apps were read to their ends: what is in none is not there
}

// state is what is remembered of an app that stands.
type state uint8

const (
	done state = 1 << iota // this scan has read it
	idle                   // it had nothing to make ready
	gone
)

// stand reads how the apps stand, and keeps what a scan has to know of all of them.
func (u *scan) stand(ctx context.Context) (map[fleet.ID]state, error) {
	apps := map[fleet.ID]state{}
	for s, err := range u.cfg.Store.Standings(ctx) {
		if err != nil {
			return nil, err
		}
		var of state
		if s.Night == u.n.ID {
			of |= done
		}
		if s.Verdict == VerdictNotApplicable {
			of |= idle
		}
		if !s.Gone.IsZero() {
			of |= gone
		}
		apps[s.App] = of
	}
	return apps, nil
}

// before finds out when the last of the other scans that ended began. quietly says that
// there were some, and nobody was told of any.
func (u *scan) before(ctx context.Context) (quietly bool, err error) {
	nights, err := u.cfg.Store.Nights(ctx, time.Time{}, nightsBack)
	if err != nil {
		return false, err
	}
	ended, told := false, false
	for _, n := range nights {
		if n.ID != u.n.ID && !n.Finished.IsZero() {
			u.since = later(u.since, n.Started)
			ended, told = true, told || !n.Quiet
		}
	}
	return ended && !told, nil
}

func (u *scan) run(ctx context.Context) error {
	if wait := u.n.Again.Sub(u.now()); wait > 0 {
		return u.later(u.n.Again, "to try once more what could not be read")
	}
	if over, err := u.lists(ctx); over || err != nil {
		return err
	}
	cut, failed, err := u.pass(ctx)
	now := u.now()
	switch {
	case err != nil:
		return err
	case cut != nil && now.Before(u.deadline()):
		at := now.Add(max(cut.RetryAfter, time.Minute))
		if cut.Kind == fleet.Unauthorized {
			at = now.Add(u.timing.Retry)
		}
		return u.later(earlier(at, u.deadline()), "because "+cut.Reason().Text)
	case cut == nil && u.n.Again.IsZero() && (failed > 0 || u.again) && now.Before(u.deadline()):
		u.n.Again = now
		if at := now.Add(u.timing.Again); at.Before(u.n.Post) {
			u.n.Again = at
		}
		if err := u.save(ctx); err != nil {
			return err
		}
		return u.run(ctx)
	}
	return u.finish(ctx)
}

// deadline is when the scan ends, whatever was not read by then.
func (u *scan) deadline() time.Time {
	if end := u.posts().Add(u.timing.Late); u.n.Grace.Before(end) {
		return end
	}
	return u.n.Grace
}

// slept says that nobody was there to end the scan when it had to: one that runs or waits
// ends at that moment. It gets time to read once, rather than tell of a fleet that nobody
// tried to read.
func (u *scan) slept() bool {
	return u.n.Grace.IsZero() && u.now().After(u.deadline().Add(awake))
}

// posts is when the digest is due, of a scan that caught up no earlier than that it began.
func (u *scan) posts() time.Time {
	if u.n.Post.After(u.n.Started) {
		return u.n.Post
	}
	return u.n.Started
}

// lists reads the lists and sorts the apps out. over says that the turn ends here, with err.
func (u *scan) lists(ctx context.Context) (over bool, err error) {
	var roll fleet.Roll
	var failed error
	asked := u.now()
	err = u.during(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, max(u.deadline().Sub(u.now()), listsLeast))
		defer cancel()
		roll, failed = u.cfg.Heroku.ReadRoll(ctx, fleet.Filter{Teams: u.policy.Scope.Teams})
	})
	if err != nil {
		return true, err
	}
	u.n.Calls += roll.Calls
	if failed != nil {
		return u.noList(ctx, failed)
	}
	u.sort(roll)
	if u.n.Expected == 0 {
		if err := u.expect(ctx, u.now().Sub(asked)); err != nil {
			return true, err
		}
	}
	return false, u.save(ctx)
}

// noList waits where no list could be read, as long as that makes sense, and then says
// of all apps that they could not be.
func (u *scan) noList(ctx context.Context, failed error) (over bool, err error) {
	p, ok := errors.AsType[*fleet.Problem](failed)
	if !ok {
		return true, fmt.Errorf("read the lists of apps: %w", failed)
	}
	until := u.deadline()
	if p.Kind == fleet.Unauthorized || !u.n.Again.IsZero() {
		// A person has to mend that, whom the digest tells; and another look at the few that
		// could not be read is not worth that all others wait for.
		until = u.posts()
	}
	if now := u.now(); now.Before(until) {
		u.log.WarnContext(ctx, "the lists of apps could not be read", "err", failed)
		at := now.Add(cmp.Or(p.RetryAfter, u.timing.Retry))
		return true, u.later(earlier(at, until), "because no app could be listed: "+p.Reason().Text)
	}
	u.in, u.out, u.whole = nil, nil, false
	u.listed = Coverage{Gaps: []string{"No app could be listed: " + p.Reason().Text + "."}}
	return false, nil
}

// sort sorts the listed apps into those in scope and the others.
func (u *scan) sort(roll fleet.Roll) {
	u.listed, u.whole = Coverage{Gaps: gaps(roll)}, len(roll.Gaps) == 0
	u.again = slices.ContainsFunc(roll.Gaps, func(g fleet.Gap) bool { return mayPass(g.Why) })
	apps, unsure, why := roll.Apps[:0], 0, fleet.Reason{}
	for _, app := range roll.Apps {
		of, known := u.apps[app.ID]
		u.again = u.again || mayPass(app.AddOns.Why()) || pipelineAway(app)
		if mayPass(app.Pipeline.Why()) && !u.n.Baseline && (!known || of&gone != 0) {
			// Most of what was not covered before is review apps and the like. To take them all
			// in because the list of pipelines is away would tell of hundreds of new apps.
			unsure, why = unsure+1, app.Pipeline.Why()
			continue
		}
		apps = append(apps, app)
	}
	u.out = map[fleet.ID]string{}
	for _, app := range apps {
		if covered := u.policy.InScope(app); !covered.In {
			if _, known := u.apps[app.ID]; known {
				u.out[app.ID] = "out of scope: " + covered.Out
			}
		}
	}
	u.in, u.listed.Out = inScope(u.policy, apps)
	if unsure == 0 {
		return
	}
	if u.listed.Out == nil {
		u.listed.Out = map[string]int{}
	}
	u.listed.Out["stage unread"] += unsure
	u.listed.Gaps = append(u.listed.Gaps, fmt.Sprintf("The pipelines could not all be listed: %s. Apps that were not covered before are left out (%d).", why.Text, unsure))
}

// expect reckons how long the scan takes whose lists took so long, which may have waited
// for the account's limit already.
func (u *scan) expect(ctx context.Context, lists time.Duration) error {
	r := pace{reserve: u.policy.Heroku.Reserve, parallel: u.policy.Heroku.Parallel}
	for app := range u.of(u.todo()) {
		calls, counted := foresee(app, u.apps[app.ID]&idle != 0)
		r.calls, r.counted = r.calls+calls, r.counted+counted
	}
	var failed error
	err := u.during(ctx, func(ctx context.Context) {
		asked := u.now()
		r.left, failed = u.cfg.Heroku.ReadRate(ctx)
		r.latency = u.now().Sub(asked)
	})
	if err == nil && failed == nil {
		u.n.Expected = max(lists+r.takes(), time.Millisecond)
	}
	return err
}

// todo are the apps in scope that this scan has not read.
func (u *scan) todo() []fleet.ID {
	var todo []fleet.ID
	for i := range u.in {
		if of := u.apps[u.in[i].ID]; of&done == 0 || of&gone != 0 {
			todo = append(todo, u.in[i].ID)
		}
	}
	return todo
}

// of are those of the apps in scope that ids names, which are in the same order.
func (u *scan) of(ids []fleet.ID) iter.Seq[fleet.App] {
	return func(yield func(fleet.App) bool) {
		for i := range u.in {
			if len(ids) == 0 {
				return
			}
			if u.in[i].ID != ids[0] {
				continue
			}
			if ids = ids[1:]; !yield(u.in[i]) {
				return
			}
		}
	}
}

// pass reads the apps that this scan has not read, and writes down how they stand. cut is
// why it could not go on; failed is how many apps were left for another try.
func (u *scan) pass(ctx context.Context) (cut *fleet.Problem, failed int, err error) {
	todo := u.todo()
	left := u.deadline().Sub(u.now())
	if len(todo) == 0 || left <= 0 {
		return nil, 0, nil
	}
	reading, stop := context.WithTimeout(ctx, left)
	seen := eyes{heroku: u.cfg.Heroku, policy: u.policy, rules: u.cfg.Rules, now: u.now}.sights(reading, u.of(todo))
	defer func() {
		stop()
		for range seen { // those under way end with their context
		}
	}()
	for open := true; open; {
		var c chunk
		err := u.job.Step(ctx, func(ctx context.Context) error {
			end := time.NewTimer(u.timing.Chunk)
			defer end.Stop()
			for len(c.standings) < u.chunk {
				select {
				case s, ok := <-seen:
					if !ok {
						open = false
						return nil
					}
					c.calls += s.calls
					switch {
					case s.failed != nil: // to judge without them would tell of what nobody is to hear of
						return fmt.Errorf("read the waivers of %s: %w", s.Report.App.Name, s.failed)
					case s.cut != nil:
						if cut == nil && s.cut.Kind != OutOfTime {
							cut = s.cut
							stop()
						}
					case s.passing && u.n.Again.IsZero():
						failed++
					default:
						if err := u.compare(ctx, s.Reading, &c); err != nil {
							return err
						}
					}
				case <-end.C:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		}, func(ctx context.Context, tx *sql.Tx) error { return u.record(ctx, tx, c) })
		if err != nil {
			return nil, 0, err
		}
		u.recorded(c)
	}
	if ctx.Err() != nil { // and not because there was nothing more to read
		return nil, 0, context.Cause(ctx)
	}
	return cut, failed, nil
}

// chunk is what is written down at once.
type chunk struct {
	standings []Standing
	turns     []Turn
	calls     int
}

// compare holds an app against how it stood.
func (u *scan) compare(ctx context.Context, r Reading, c *chunk) error {
	before, _, err := u.cfg.Store.Standing(ctx, r.Report.App.ID)
	if err != nil {
		return err
	}
	if before.Watch.Drifting() {
		unposted, err := u.cfg.Store.Unposted(ctx, before.ReadAt)
		if err != nil {
			return err
		}
		before = before.unheard(unposted, r.Report.App.ReadAt)
	}
	standing, turns := Compare(before, r, u.scan())
	c.standings = append(c.standings, standing)
	c.turns = append(c.turns, turns...)
	return nil
}

func (u *scan) scan() Scan {
	return Scan{Night: u.n.ID, Baseline: u.n.Baseline, Since: u.since, Zone: u.policy.Nightly.Location()}
}

func (u *scan) record(ctx context.Context, tx *sql.Tx, c chunk) error {
	if len(c.standings) > 0 {
		if err := u.cfg.Store.SaveStandings(ctx, tx, c.standings, c.turns); err != nil {
			return err
		}
	}
	if c.calls == 0 {
		return nil
	}
	n := u.n
	n.Calls += c.calls
	return u.cfg.Store.SaveNight(ctx, tx, n)
}

// recorded notes what record has written.
func (u *scan) recorded(c chunk) {
	for _, s := range c.standings {
		u.apps[s.App] |= done
		u.apps[s.App] &^= gone
	}
	if c.calls > 0 {
		u.n.Calls += c.calls
		u.n.Version++
	}
}

// save stores the night.
func (u *scan) save(ctx context.Context, work ...Work) error {
	err := u.job.Step(ctx, nil, func(ctx context.Context, tx *sql.Tx) error {
		return u.cfg.Store.SaveNight(ctx, tx, u.n, work...)
	})
	if err == nil {
		u.n.Version++
	}
	return err
}

// during runs do, and holds on to the job meanwhile however long it takes.
func (u *scan) during(ctx context.Context, do func(ctx context.Context)) error {
	return during(ctx, u.job, u.timing.Chunk, do)
}

// during runs do, and holds on to a job by a step in each such time.
func during(ctx context.Context, job Job, every time.Duration, do func(ctx context.Context)) error {
	working, stop := context.WithCancel(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		do(working)
	}()
	defer func() {
		stop()
		<-finished
	}()
	for {
		err := job.Step(ctx, func(ctx context.Context) error {
			end := time.NewTimer(every)
			defer end.Stop()
			select {
			case <-finished:
			case <-end.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			return nil
		}, nil)
		if err != nil {
			return err
		}
		select {
		case <-finished:
			return nil
		default:
		}
	}
}

func (u *scan) later(at time.Time, why string) error { return u.job.Later(at, why) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
