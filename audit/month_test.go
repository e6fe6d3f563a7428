package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/jobs"
	"example.com/zdd/policy"
	"example.com/zdd/schedule"
	"example.com/zdd/store"
)

// monthApp is an app of the month test as it is in truth.
type monthApp struct {
	id      fleet.ID
	name    string
	web     int
	on      map[string]bool
	deploys []fleet.Release
	ours    []audit.Ours
}

// spoilt is a time in which a ready app was not ready because of somebody else: a drift.
type spoilt struct {
	app        fleet.ID
	from, till time.Time
	check      string
	told       []time.Time // between the nights
	night      []string    // whose digest rang for it
}

// month is what outlives the programs of the month test: it is Heroku and Slack to them.
type month struct {
	*year
	policy policy.Policy

	apps    map[fleet.ID]*monthApp
	spoils  map[fleet.ID][]*spoilt
	calls   map[int64]int // by minute
	stories map[string]int
}

// truth is the app with everything known. The caller holds the lock.
func (m *month) truth(a *monthApp, now time.Time) fleet.App {
	words := fmt.Sprintf("standard-1x web=%d", a.web)
	if a.on[fleet.Preboot] {
		words += " preboot"
	}
	if a.on[fleet.SessionAffinity] {
		words += " affinity"
	}
	app := fleettest.App(words)
	app.ID, app.Name, app.ReadAt, app.Team = a.id, a.name, now, "acme"
	app.Release, app.Dynos, app.Buildpacks = fleet.Value[fleet.Release]{}, fleet.Value[[]fleet.Dyno]{}, fleet.Value[[]string]{}
	return app
}

// watches is what the watch reads with: what it takes is counted.
type watches struct{ *month }

func (w watches) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[time.Now().Unix()/60] += n
}

func (w watches) ReadRoll(ctx context.Context, f fleet.Filter) (fleet.Roll, error) {
	w.count(4)
	return w.month.ReadRoll(ctx, f)
}

func (w watches) ReadSettings(ctx context.Context, app fleet.App, parts fleet.Parts) (fleet.App, int, error) {
	w.count(2)
	return w.month.ReadSettings(ctx, app, parts)
}

// As an audit.WatchReader.

func (m *month) ReadRoll(context.Context, fleet.Filter) (fleet.Roll, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	roll := fleet.Roll{Calls: 4}
	for _, id := range slices.Sorted(maps.Keys(m.apps)) {
		app := m.truth(m.apps[id], time.Time{})
		app.Formation, app.Features = fleet.Value[[]fleet.Process]{}, fleet.Value[map[string]fleet.Feature]{}
		roll.Apps = append(roll.Apps, app)
	}
	return roll, nil
}

func (m *month) ReadRate(context.Context) (int, error) { return 4000, nil }

func (m *month) ReadSettings(_ context.Context, app fleet.App, _ fleet.Parts) (fleet.App, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rng.IntN(200) == 0 {
		away := fleet.Reason{Kind: fleet.Unavailable, Text: "away"}
		app.Formation = fleet.Unknown[[]fleet.Process](away)
		return app, 1, nil
	}
	truth := m.truth(m.apps[app.ID], app.ReadAt)
	app.Formation, app.Features = truth.Formation, truth.Features
	return app, 2, nil
}

func (m *month) ReadReleases(_ context.Context, id fleet.ID, after, before time.Time) ([]fleet.Release, error) {
	watches{m}.count(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.apps[id].deploys), func(r fleet.Release) bool {
		return !r.CreatedAt.After(after) || r.CreatedAt.After(before)
	}), nil
}

// ours is audit.WatchConfig.Ours.
func (m *month) ours(_ context.Context, id fleet.ID, since time.Time) ([]audit.Ours, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []audit.Ours
	for _, a := range m.apps {
		if id != "" && a.id != id {
			continue
		}
		for _, o := range a.ours {
			if o.Ended.IsZero() || !o.Ended.Before(since) {
				all = append(all, o)
			}
		}
	}
	return all, nil
}

// do changes the world.
func (m *month) do(id fleet.ID, change func(a *monthApp)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m.apps[id])
}

func (m *month) deploy(a *monthApp) {
	now := time.Now()
	a.deploys = append(a.deploys, fleet.Release{Version: len(a.deploys) + 1, Status: "succeeded", Description: "Deploy 1234abcd", CreatedAt: now, UpdatedAt: now})
}

// spoil makes a ready app not ready, for one of three reasons.
func (m *month) spoil(a *monthApp, way int) (check string, back func(*monthApp)) {
	switch way {
	case 0:
		a.on[fleet.Preboot] = false
		return "preboot", func(a *monthApp) { a.on[fleet.Preboot] = true }
	case 1:
		a.on[fleet.SessionAffinity] = false
		return "session-affinity", func(a *monthApp) { a.on[fleet.SessionAffinity] = true }
	}
	was := a.web
	a.web = 1
	return "web-dynos", func(a *monthApp) { a.web = max(was, 2) }
}

// ticket has a ticket of ours run for a while and then leave the app so.
func (m *month) ticket(id fleet.ID, lasts time.Duration, ready bool, change func(*monthApp)) {
	number := 0
	m.do(id, func(a *monthApp) {
		number = len(a.ours)
		a.ours = append(a.ours, audit.Ours{Ticket: fmt.Sprintf("T-%d", number), App: id})
	})
	time.Sleep(lasts / 2)
	m.do(id, change)
	time.Sleep(lasts / 2)
	m.do(id, func(a *monthApp) { a.ours[number].Ended, a.ours[number].Ready = time.Now(), ready })
}

// live lets things happen to one app until the end: drift, and much that looks like it.
func (m *month) live(id fleet.ID, end time.Time, pause, quiet time.Duration) {
	rng := rand.New(rand.NewPCG(7, uint64(id[7])<<8|uint64(id[6])))
	between := func(low, high time.Duration) time.Duration { return low + time.Duration(rng.Int64N(int64(high-low)+1)) }
	tell := func(what string) {
		m.mu.Lock()
		m.stories[what]++
		m.mu.Unlock()
	}
	drift := func(check string, lasts time.Duration) {
		m.mu.Lock()
		m.spoils[id] = append(m.spoils[id], &spoilt{app: id, from: time.Now(), check: check})
		m.mu.Unlock()
		time.Sleep(lasts)
	}
	ended := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		all := m.spoils[id]
		all[len(all)-1].till = time.Now()
	}
	for {
		time.Sleep(between(quiet, quiet+2*pause))
		if !time.Now().Before(end) {
			return
		}
		way := rng.IntN(3)
		var check string
		var back func(*monthApp)
		spoil := func(a *monthApp) { check, back = m.spoil(a, way) }
		switch rng.IntN(8) {
		case 0, 1: // somebody spoils it, and mends it by hand
			tell("drift")
			m.do(id, spoil)
			drift(check, between(quiet, 2*quiet))
			m.do(id, func(a *monthApp) { back(a) })
			ended()
		case 2: // the same, and one of our tickets mends it
			tell("drift, mended by us")
			m.do(id, spoil)
			drift(check, between(quiet, 2*quiet))
			m.ticket(id, between(time.Minute, 30*time.Minute), true, func(a *monthApp) {
				back(a)
				m.spoils[id][len(m.spoils[id])-1].till = time.Now()
			})
		case 3: // with deploys all the time, and on again when they are over
			tell("hand-over")
			m.do(id, spoil)
			for range rng.IntN(8) + 1 {
				m.do(id, m.deploy)
				time.Sleep(between(time.Minute, 5*time.Minute))
			}
			m.do(id, func(a *monthApp) { back(a) })
		case 4: // we do it ourselves
			tell("our own")
			m.ticket(id, between(time.Minute, 20*time.Minute), false, spoil)
			time.Sleep(between(quiet, 2*quiet))
			m.ticket(id, between(time.Minute, 20*time.Minute), true, func(a *monthApp) { back(a) })
		case 5: // for a moment
			tell("moment")
			m.do(id, spoil)
			time.Sleep(between(time.Second, 50*time.Second))
			m.do(id, func(a *monthApp) { back(a) })
		case 6: // something scales it, upwards
			tell("scaled")
			m.do(id, func(a *monthApp) { a.web += 1 + rng.IntN(3) })
			time.Sleep(between(time.Minute, quiet))
			m.do(id, func(a *monthApp) { a.web = 2 })
		default: // a deploy with a drift behind it
			tell("drift after a deploy")
			m.do(id, func(a *monthApp) { m.deploy(a); spoil(a) })
			drift(check, between(quiet, 2*quiet))
			m.do(id, func(a *monthApp) { back(a) })
			ended()
		}
	}
}

// found notes that a bulletin or a digest rings for an app, which may have been mended since it
// was looked at, by no more than slack. there is false where nothing had happened to it.
func (m *month) found(id fleet.ID, at time.Time, slack time.Duration, note func(*spoilt)) (there bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range slices.Backward(m.spoils[id]) {
		if !s.from.After(at) && (s.till.IsZero() || s.till.Add(slack).After(at)) {
			note(s)
			return true
		}
	}
	return false
}

// runMonth runs a program until that time, at which it is stopped or killed.
func (m *month) runMonth(until time.Time, gently bool, timing audit.WatchTiming) {
	inForce := func() policy.Policy { return m.policy }
	watcher := audit.NewWatcher(audit.WatchConfig{Store: m.store, Heroku: watches{m}, Policy: inForce, Ours: m.ours, Timing: timing})
	scanner := audit.NewScanner(audit.ScanConfig{Store: m.store, Heroku: m, Policy: inForce})
	handlers := func(p *program) map[string]jobs.Handler {
		return map[string]jobs.Handler{
			audit.WorkWatch:  func(ctx context.Context, j *jobs.Job) error { return watcher.Watch(ctx, j) },
			audit.WorkScan:   func(ctx context.Context, j *jobs.Job) error { return scanner.Scan(ctx, j.Key, j) },
			audit.WorkDigest: func(ctx context.Context, j *jobs.Job) error { return m.ring(ctx, p, j) },
			audit.WorkStale:  func(context.Context, *jobs.Job) error { return nil },
			audit.WorkDrift:  func(ctx context.Context, j *jobs.Job) error { return m.tell(ctx, p, j) },
		}
	}
	m.runs(until, gently, habits{handlers: handlers, risk: 50, most: 200, look: 5 * time.Minute})
}

// tell posts a bulletin, as chat does.
func (m *month) tell(ctx context.Context, p *program, j *jobs.Job) error {
	b, err := m.store.Bulletin(ctx, j.Key)
	if err != nil {
		return err
	}
	return j.Step(ctx, func(ctx context.Context) error {
		if m.channel.has("drift " + b.ID) {
			return nil
		}
		return p.change(func() error {
			m.channel.post("drift " + b.ID)
			for _, d := range b.Drifts {
				if !m.found(d.App, b.At, 3*time.Hour, func(s *spoilt) { s.told = append(s.told, b.At) }) {
					m.Errorf("%s was told of at %v, and nothing had happened to it: %s", d.Name, b.At, d.Evidence)
				}
			}
			return nil
		})
	}, nil)
}

// ring posts a digest, and notes for whom it rings.
func (m *month) ring(ctx context.Context, p *program, j *jobs.Job) error {
	night, err := m.store.Night(ctx, j.Key)
	if err != nil || night.State == audit.Told {
		return err
	}
	return j.Step(ctx, func(ctx context.Context) error {
		if m.channel.has(night.ID) {
			return nil
		}
		return p.change(func() error {
			m.channel.post(night.ID)
			for _, g := range night.Digest.Groups {
				for _, l := range g.Lines {
					if l.Kind == audit.LineRegressed && l.Since.IsZero() {
						// What we did ourselves, or a deploy is about to end, a night lists as it is.
						m.found(l.App, l.ReadAt, 0, func(s *spoilt) { s.night = append(s.night, night.ID) })
					}
				}
			}
			return nil
		})
	}, func(ctx context.Context, tx *sql.Tx) error {
		night.State, night.Posted = audit.Told, time.Now()
		return m.store.SaveNight(ctx, tx, night)
	})
}

// TestMonth has two replicas, which are stopped and killed at random, watch a fleet to
// which drift happens, and much that looks like it: deploys with preboot off, what we do
// ourselves, a switch that is off for a moment, more dynos for a while. Each drift that
// lasts is told once, within the interval in which all apps are looked at once, and nothing
// else is. In short of 30 apps over two days; with ZDD_LONG=1 of 2,000 over a month.
func TestMonth(t *testing.T) {
	apps, days, seed := 30, 2, uint64(1)
	if os.Getenv("ZDD_LONG") != "" {
		apps, days = 2000, 30
	}
	path := filepath.Join(ramdir.New(t), "zdd.db")
	p, err := policy.Parse("zdd.yml", []byte("digest: {channel: C0OPS, timezone: Europe/Berlin, schedule: \"30 3 * * *\", post_at: \"07:00\"}\napps: {\"app-*\": {owner: U0ANNA}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	sched, err := schedule.Parse(p.Nightly.Schedule, p.Nightly.Location())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		m := &month{
			year:   &year{T: t, store: s, schedule: sched, post: p.Nightly.PostAt, rng: rand.New(rand.NewPCG(seed, 27)), channel: channel{posts: map[string][]time.Time{}}, times: map[string]time.Time{}},
			policy: p, apps: map[fleet.ID]*monthApp{}, spoils: map[fleet.ID][]*spoilt{}, calls: map[int64]int{}, stories: map[string]int{},
		}
		for i := range apps {
			id := fleet.ID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i))
			m.apps[id] = &monthApp{id: id, name: fmt.Sprintf("app-%04d", i), web: 2, on: map[string]bool{fleet.Preboot: true, fleet.SessionAffinity: true}}
		}
		err = s.Tx(t.Context(), func(tx *sql.Tx) error {
			return s.EnqueueJob(t.Context(), tx, jobs.Spec{Kind: audit.WorkWatch, Key: audit.TheFleet, At: time.Now()})
		})
		if err != nil {
			t.Fatal(err)
		}
		// A look that confirms, and each time that one has to be repeated, takes calls too.
		interval := audit.WatchInterval(p.Nightly.WatchEvery, apps, 2.4)
		quiet := 3 * interval
		end := time.Now().Add(time.Duration(days) * 24 * time.Hour)
		var living, replicas sync.WaitGroup
		living.Go(func() {
			time.Sleep(6 * time.Hour) // after the first night
			var each sync.WaitGroup
			for id := range m.apps {
				each.Go(func() { m.live(id, end, 2*24*time.Hour, quiet) })
			}
			each.Wait()
		})
		for range 2 {
			replicas.Go(func() {
				for time.Now().Before(end) {
					m.runMonth(time.Now().Add(m.between(time.Minute, 12*time.Hour)), m.chance(40), audit.WatchTiming{})
					time.Sleep(m.between(time.Second, 10*time.Minute))
				}
			})
		}
		replicas.Wait()
		living.Wait()
		m.judgeMonth(end, interval)
	})
}

// judgeMonth holds what was told against what happened.
func (m *month) judgeMonth(end time.Time, interval time.Duration) {
	every := m.policy.Nightly.WatchEvery
	told, byNight, fought, missed := 0, 0, 0, 0
	var late []time.Duration
	for id, all := range m.spoils {
		for i, s := range all {
			// All but the first minutes of a program that was killed are the other's, which has to
			// wait for a lease of a minute; an outage of both counts on top.
			limit := interval + 2*every + 20*time.Minute + m.away(s.from, s.from.Add(interval+2*every))
			week := 0
			for _, other := range all[:i+1] {
				if s.from.Sub(other.from) < 7*24*time.Hour {
					week++
				}
			}
			switch rung := len(s.told) + len(s.night); {
			case rung > 1:
				m.Errorf("the drift of %s at %v was told %d times: %v, %v", id, s.from, rung, s.told, s.night)
			case week >= 3:
				fought++ // told once a day
			case rung == 0 && s.from.Add(limit).Before(end) && (s.till.IsZero() || s.till.Sub(s.from) > limit):
				m.Errorf("the drift of %s (%s) from %v to %v was never told, within %v", id, s.check, s.from, s.till, limit)
			case rung == 0:
				missed++
			case len(s.night) > 0:
				byNight++
			default:
				told++
				after := s.told[0].Sub(s.from)
				late = append(late, after)
				if after > limit {
					m.Errorf("the drift of %s at %v was told after %v, want at most %v", id, s.from, after, limit)
				}
			}
		}
	}
	busiest := 0
	for minute := range m.calls {
		hour := 0
		for i := range int64(60) {
			hour += m.calls[minute+i]
		}
		busiest = max(busiest, hour)
	}
	// A program that is killed in the middle of a turn has not written down what it took.
	if most := 60*audit.WatchPerMinute + 100; busiest > most {
		m.Errorf("the watch took %d calls in an hour, want at most %d", busiest, most)
	}
	slices.Sort(late)
	median, longest := time.Duration(0), time.Duration(0)
	if n := len(late); n > 0 {
		median, longest = late[n/2], late[n-1]
	}
	m.Logf("%d apps: %d drifts told by the watch (half of them within %v, all within %v), %d by a night first, %d of apps that are fought over, %d too short or too late; %v; %d starts, %d kills; %d calls in the busiest hour",
		len(m.apps), told, median.Round(time.Minute), longest.Round(time.Minute), byNight, fought, missed, m.stories, len(m.lives), m.kills, busiest)
	if told == 0 || m.kills == 0 || len(m.stories) < 7 {
		m.Error("that is too little of something to prove anything")
	}
}

// away is for how long of that time nobody was there.
func (m *month) away(from, to time.Time) (d time.Duration) {
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		if !slices.ContainsFunc(m.lives, func(l life) bool { return !l.start.After(at) && l.end.After(at) }) {
			d += time.Minute
		}
	}
	return d
}
