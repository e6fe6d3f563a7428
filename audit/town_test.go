package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// town is a fleet as it is in truth, which changes from night to night, and as far as
// Heroku shows it tonight. It is the Reader of the scans.
type town struct {
	apps     map[fleet.ID]*house
	made     int
	policy   policy.Policy
	unlisted map[string]bool         // teams whose list ends early tonight
	today    time.Time               // when apps are made
	away     map[string]fleet.Reason // "pipelines" and "addons", where their list is away tonight
	refused  *fleet.Problem          // why nothing can be listed tonight
	waivers  []policy.Waiver         // of all apps, those that are over too
	limit    int                     // how many apps may be read tonight until the account's limit is used up; negative: all

	mu   sync.Mutex
	read int
}

// house is one app.
type house struct {
	id         fleet.ID
	name, team string
	stage      string    // empty: in no pipeline
	born       time.Time // zero: long ago
	size       string
	web        int
	on         map[string]bool // features
	floor      int             // the autoscaler's minimum; 0: it is off
	judoscale  bool
	unread     map[string]fleet.Reason // parts that can't be read tonight: formation, features, scaler
}

// truth is the app with everything known.
func (h *house) truth(now time.Time) fleet.App {
	words := []string{h.size}
	if h.web >= 0 {
		words = append(words, fmt.Sprintf("web=%d", h.web))
	}
	if h.on[fleet.Preboot] {
		words = append(words, "preboot")
	}
	if h.on[fleet.SessionAffinity] {
		words = append(words, "affinity")
	}
	if h.floor > 0 {
		words = append(words, fmt.Sprintf("scaler=%d-9", h.floor))
	}
	if h.judoscale {
		words = append(words, "addon=judoscale:bronze")
	}
	app := fleettest.App(strings.Join(words, " "))
	app.ID, app.Name, app.Team, app.ReadAt = h.id, h.name, h.team, now
	if !h.born.IsZero() {
		app.CreatedAt = h.born
	}
	app.Release, app.Dynos = fleet.Value[fleet.Release]{}, fleet.Value[[]fleet.Dyno]{}
	app.Buildpacks = fleet.Value[[]string]{}
	if h.stage != "" {
		app.Pipeline = fleet.Known(fleet.Coupling{Pipeline: "fedcba98-7654-4321-8f01-23456789abcd", Name: fleet.Known("storefront"), Stage: h.stage})
	}
	return app
}

// listed is the app as lists show it tonight.
func (w *town) listed(h *house, now time.Time) fleet.App {
	app := h.truth(now)
	app.Formation, app.Features, app.Autoscaler = fleet.Value[[]fleet.Process]{}, fleet.Value[map[string]fleet.Feature]{}, fleet.Value[fleet.Autoscaler]{}
	if why, away := w.away["pipelines"]; away {
		app.Pipeline = fleet.Unknown[fleet.Coupling](why)
	}
	if why, away := w.away["addons"]; away {
		app.AddOns = fleet.Unknown[[]fleet.AddOn](why)
	}
	return app
}

func (w *town) ReadRoll(ctx context.Context, _ fleet.Filter) (fleet.Roll, error) {
	if w.refused != nil {
		return fleet.Roll{}, w.refused
	}
	roll := fleet.Roll{Calls: 4}
	for _, team := range slices.Sorted(maps.Keys(w.unlisted)) {
		roll.Gaps = append(roll.Gaps, fleet.Gap{List: "the apps of the team " + team, Why: fleettest.Unread()})
	}
	for _, h := range w.apps { // in no order
		if !w.unlisted[h.team] {
			roll.Apps = append(roll.Apps, w.listed(h, time.Time{}))
		}
	}
	return roll, ctx.Err()
}

func (w *town) ReadRate(context.Context) (int, error) { return 4000, nil }

func (w *town) ReadSettings(_ context.Context, app fleet.App, parts fleet.Parts) (fleet.App, int, error) {
	h := w.apps[app.ID]
	w.mu.Lock()
	w.read++
	over := w.limit >= 0 && w.read > w.limit
	w.mu.Unlock()
	if over {
		app.Formation = fleet.Unknown[[]fleet.Process](fleet.Reason{Kind: fleet.RateLimited, Text: "used up"})
		return app, 0, &fleet.Problem{Kind: fleet.RateLimited, RetryAfter: 20 * time.Minute}
	}
	truth, calls := h.truth(app.ReadAt), 1
	if why, unread := h.unread["formation"]; unread {
		app.Formation = fleet.Unknown[[]fleet.Process](why)
		return app, calls, nil
	}
	app.Formation = truth.Formation
	if parts.Features(app) {
		calls++
		app.Features = truth.Features
		if why, unread := h.unread["features"]; unread {
			app.Features = fleet.Unknown[map[string]fleet.Feature](why)
		}
	}
	if parts.Autoscaler(app) {
		calls++
		app.Autoscaler = truth.Autoscaler
		if why, unread := h.unread["scaler"]; unread {
			app.Autoscaler = fleet.Unknown[fleet.Autoscaler](why)
		}
	}
	return app, calls, nil
}

func (w *town) id() fleet.ID {
	w.made++
	return fleet.ID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", w.made))
}

func (w *town) build(r *rand.Rand) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	id := w.id()
	w.apps[id] = &house{
		id: id, name: fmt.Sprintf("app-%d", w.made), team: pick("acme", "acme", "data", ""), stage: pick("production", "production", "", "staging"),
		size: pick("eco", "basic", "standard-1x", "standard-1x", "performance-m"), web: r.IntN(4) - 1,
		on: map[string]bool{fleet.Preboot: r.IntN(2) == 0, fleet.SessionAffinity: r.IntN(2) == 0},
	}
	if r.IntN(4) > 0 { // else it comes from another account
		w.apps[id].born = w.today
	}
}

// day lets things happen to the fleet, and settles what of it can be read the night after.
func (w *town) day(r *rand.Rand) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	chance := func(one int) bool { return r.IntN(one) == 0 }
	for _, id := range slices.Sorted(maps.Keys(w.apps)) {
		h := w.apps[id]
		h.unread = map[string]fleet.Reason{}
		if chance(12) {
			h.on[pick(fleet.Preboot, fleet.SessionAffinity)] = chance(2)
		}
		if chance(14) {
			h.web = r.IntN(5) - 1
		}
		if chance(40) {
			h.size = pick("basic", "standard-1x", "performance-m")
		}
		if chance(40) {
			h.floor = r.IntN(4)
		}
		if chance(50) {
			h.judoscale = !h.judoscale
		}
		if chance(40) {
			h.name = fmt.Sprintf("%s-%d", pick("renamed", "app"), r.IntN(1000))
		}
		if chance(40) {
			h.team = pick("acme", "data", "labs", "")
		}
		if chance(40) {
			h.stage = pick("production", "staging", "")
		}
		if chance(10) {
			h.unread[pick("formation", "features", "scaler")] = fleet.Reason{Kind: fleet.Kind(pick(string(fleet.Unavailable), string(fleet.TwoFactor), string(fleet.NotFound))), Text: "it is so tonight"}
		}
		if chance(60) {
			delete(w.apps, id)
		}
	}
	if chance(4) {
		w.build(r)
	}
	if chance(8) {
		w.policy = townPolicy(r)
	}
	w.unlisted, w.away, w.refused, w.limit, w.read = map[string]bool{}, map[string]fleet.Reason{}, nil, -1, 0
	if chance(10) {
		w.unlisted[pick("acme", "data")] = true
	}
	if chance(10) {
		w.away[pick("pipelines", "addons")] = fleettest.Unread()
	}
	if chance(25) {
		w.refused = &fleet.Problem{Kind: fleet.Kind(pick(string(fleet.Unauthorized), string(fleet.RateLimited), string(fleet.Unavailable)))}
	}
}

// waive has somebody waive a check, or end it, and others let their waivers run out. Those
// of apps that are gone stay, as in a database. All begin and end at midnight in Berlin.
func (w *town) waive(r *rand.Rand) {
	zone := w.policy.Nightly.Location()
	y, m, d := w.today.In(zone).Date()
	day := func(n int) time.Time { return time.Date(y, m, d+n, 0, 0, 0, 0, zone) }
	for _, id := range slices.Sorted(maps.Keys(w.apps)) {
		if r.IntN(12) > 0 {
			continue
		}
		check := Checks()[r.IntN(len(Checks()))].ID
		for i, o := range w.waivers {
			if o.App == id && o.Check == check && o.State == policy.WaiverActive {
				w.waivers[i].State = policy.WaiverReplaced
			}
		}
		state := policy.WaiverActive
		if r.IntN(6) == 0 {
			state = policy.WaiverPending // nobody decides
		}
		w.waivers = append(w.waivers, policy.Waiver{
			ID: fmt.Sprintf("W-%d", len(w.waivers)+1), State: state, App: id, Check: check, Reason: policy.BeingRetired,
			By: "U0WAIVER", From: day(0), Until: day(1 + r.IntN(16)),
		})
	}
	if len(w.waivers) > 0 && r.IntN(3) == 0 {
		if o := &w.waivers[r.IntN(len(w.waivers))]; o.State == policy.WaiverActive {
			o.State = policy.WaiverEnded
		}
	}
}

// waiverOf is the one that waives a check, by the dates alone. There is never a second one.
func (w *town) waiverOf(app fleet.ID, check string, at time.Time) (policy.Waiver, bool) {
	for _, o := range w.waivers {
		if o.App == app && o.Check == check && o.State == policy.WaiverActive && !at.Before(o.From) && at.Before(o.Until) {
			return o, true
		}
	}
	return policy.Waiver{}, false
}

// rules are the policy's with all waivers that there ever were, of all apps: those that
// count are for the audit to find.
func (w *town) rules(_ context.Context, app fleet.App) (policy.Rules, error) {
	rules := w.policy.For(app)
	rules.Waivers = w.waivers
	return rules, nil
}

func townPolicy(r *rand.Rand) policy.Policy {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	text := fmt.Sprintf("requirements: {web_dynos: %d}\ndigest: {timezone: Europe/Berlin}\nheroku: {parallel: 3}\napps:\n", 1+r.IntN(2))
	text += fmt.Sprintf("  %q: {owner: %s}\n", "team:acme", pick("U0ANNA", "U0BERT"))
	if r.IntN(2) == 0 {
		text += fmt.Sprintf("  %q: {owner: %s, channel: C0DATA}\n", "team:data", pick("S0DATA", "U0ANNA"))
	}
	if r.IntN(2) == 0 {
		text += fmt.Sprintf("  %q: {owner: U0CARL, session_affinity: %s}\n", "pipeline:storefront", pick("required", "optional", "forbidden"))
	}
	p, err := policy.Parse("zdd.yml", []byte(text))
	if err != nil {
		panic(err)
	}
	return p
}

// shelf is a Store in memory. Its transactions are those of one goroutine at a time: what
// one did is kept when it returns nil.
type shelf struct {
	nights    map[string]Night
	standings map[fleet.ID]Standing
	turns     []Turn
	work      []Work
	unposted  []Bulletin
}

func newShelf() *shelf {
	return &shelf{nights: map[string]Night{}, standings: map[fleet.ID]Standing{}}
}

func (s *shelf) Tx(_ context.Context, do func(tx *sql.Tx) error) error {
	nights, standings, turns, work := maps.Clone(s.nights), maps.Clone(s.standings), slices.Clone(s.turns), slices.Clone(s.work)
	err := do(nil)
	if err != nil {
		s.nights, s.standings, s.turns, s.work = nights, standings, turns, work
	}
	return err
}

func (s *shelf) BeginNight(_ context.Context, n Night, work ...Work) (bool, error) {
	if _, taken := s.nights[n.ID]; taken {
		return false, nil
	}
	n.Version = 1
	s.nights[n.ID] = n
	s.work = append(s.work, work...)
	return true, nil
}

func (s *shelf) SaveNight(_ context.Context, _ *sql.Tx, n Night, work ...Work) error {
	if s.nights[n.ID].Version != n.Version {
		return ErrNightChanged
	}
	n.Version++
	s.nights[n.ID] = n
	s.work = append(s.work, work...)
	return nil
}

func (s *shelf) Night(_ context.Context, id string) (Night, error) {
	n, ok := s.nights[id]
	if !ok {
		return Night{}, ErrNoNight
	}
	return n, nil
}

func (s *shelf) Nights(_ context.Context, since time.Time, limit int) ([]Night, error) {
	var all []Night
	for _, n := range s.nights {
		if !n.Slot.Before(since) {
			n.Digest = nil
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b Night) int { return b.Slot.Compare(a.Slot) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

func (s *shelf) FirstLook(_ context.Context, now time.Time) (time.Time, error) { return now, nil }

func (s *shelf) Standings(context.Context) iter.Seq2[Standing, error] {
	return func(yield func(Standing, error) bool) {
		for _, standing := range slices.SortedFunc(maps.Values(s.standings), byName) {
			if !yield(standing, nil) {
				return
			}
		}
	}
}

func (s *shelf) Standing(_ context.Context, app fleet.ID) (Standing, bool, error) {
	standing, found := s.standings[app]
	return standing, found, nil
}

func (s *shelf) SaveStandings(_ context.Context, _ *sql.Tx, standings []Standing, turns []Turn) error {
	for _, standing := range standings {
		s.standings[standing.App] = standing
	}
	s.turns = append(s.turns, turns...)
	return nil
}

func (s *shelf) Unposted(context.Context, time.Time) ([]Bulletin, error) { return s.unposted, nil }

func (s *shelf) Turns(_ context.Context, app fleet.ID, limit int) ([]Turn, error) {
	var found []Turn
	for _, turn := range slices.Backward(s.turns) {
		if turn.App == app && (limit == 0 || len(found) < limit) {
			found = append(found, turn)
		}
	}
	return found, nil
}

func (s *shelf) Prune(_ context.Context, _ *sql.Tx, before time.Time) error {
	s.turns = slices.DeleteFunc(s.turns, func(turn Turn) bool { return turn.Before.Before(before) })
	maps.DeleteFunc(s.standings, func(_ fleet.ID, of Standing) bool { return !of.Gone.IsZero() && of.Gone.Before(before) })
	maps.DeleteFunc(s.nights, func(_ string, n Night) bool { return n.Slot.Before(before) })
	return nil
}

// errCrash is a process that is gone.
var errCrash = errors.New("crashed")

// hand is a Job whose process may crash in any Step: before what was done is recorded, or
// after.
type hand struct {
	store *shelf
	crash func() bool // nil: never
	until *time.Time  // set by Later
}

func (h hand) Step(ctx context.Context, do func(ctx context.Context) error, record func(ctx context.Context, tx *sql.Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if do != nil {
		if err := do(ctx); err != nil {
			return err
		}
	}
	if h.crash != nil && h.crash() {
		return errCrash
	}
	err := h.store.Tx(ctx, func(tx *sql.Tx) error {
		if record == nil {
			return nil
		}
		return record(ctx, tx)
	})
	if err == nil && h.crash != nil && h.crash() {
		return errCrash
	}
	return err
}

func (h hand) Later(at time.Time, why string) error {
	*h.until = at
	return errors.New("later: " + why)
}

func (h hand) GiveUp(err error) error { return err }

// night carries the scan of a night through to its end, whatever happens on the way.
func (s *shelf) night(ctx context.Context, w *town, id string, slot time.Time, crash func() bool) (Digest, error) {
	n := Night{ID: id, Slot: slot, Post: slot.Add(6 * time.Hour), State: Scanning}
	if _, err := s.BeginNight(ctx, n, Work{Kind: WorkScan, Key: id, At: slot}); err != nil {
		return Digest{}, err
	}
	now := slot.Add(time.Minute)
	for range 1000 {
		scanner := NewScanner(ScanConfig{Store: s, Heroku: w, Policy: func() policy.Policy { return w.policy }, Rules: w.rules, Now: func() time.Time { return now }})
		scanner.chunk = 3
		var until time.Time
		switch err := scanner.Scan(ctx, id, hand{s, crash, &until}); {
		case err == nil:
			if d := s.nights[id].Digest; d != nil {
				return *d, nil
			}
			return Digest{}, errors.New("the scan ended without a digest")
		case !until.IsZero():
			if !until.After(now) {
				return Digest{}, fmt.Errorf("at %v: %v until %v", now, err, until)
			}
			now = until
		case !errors.Is(err, errCrash):
			return Digest{}, err
		}
	}
	return Digest{}, errors.New("the scan does not end")
}

func lineFor(d Digest, app fleet.ID) (found []Line) {
	for _, g := range d.Groups {
		for _, l := range g.Lines {
			if l.App == app {
				found = append(found, l)
			}
		}
	}
	return found
}

func checksOf(ids []string) string { return strings.Join(ids, " ") }
