package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"example.com/zdd/audit"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/jobs"
	"example.com/zdd/schedule"
	"example.com/zdd/store"
)

// yearSchedule is a schedule of the year test, with what it says in words that the test reads by
// itself: package schedule is not asked what is expected of it.
type yearSchedule struct {
	spec, at, post string
	on             func(day time.Time) bool
}

func yearSchedules() []yearSchedule {
	daily := func(time.Time) bool { return true }
	return []yearSchedule{
		{"0 0 * * *", "00:00", "09:00", daily},
		{"30 2 * * *", "02:30", "02:30", daily},
		{"30 23 * * *", "23:30", "07:15", daily},
		{"15 1 * * 0,3", "01:15", "01:00", func(day time.Time) bool { return day.Weekday() == time.Sunday || day.Weekday() == time.Wednesday }},
		{"0 3 1,29 * *", "03:00", "23:30", func(day time.Time) bool { return day.Day() == 1 || day.Day() == 29 }},
	}
}

func yearPlaces() []string {
	return []string{"America/Los_Angeles", "Europe/Berlin", "UTC", "Australia/Lord_Howe", "America/Nuuk", "Africa/Cairo", "Asia/Beirut"}
}

// yearSlot is a date that a schedule names, and when it is due.
type yearSlot struct {
	date string
	at   time.Time
}

// slots looks at the clock of the place every 5 minutes: a date's slot is when it first
// shows the time of day, or a later one.
func (y yearSchedule) slots(loc *time.Location, from, to time.Time) (all []yearSlot) {
	day := time.Date(from.In(loc).Year(), from.In(loc).Month(), from.In(loc).Day()-2, 0, 0, 0, 0, time.UTC)
	next := ""
	advance := func() {
		for day = day.AddDate(0, 0, 1); !y.on(day); day = day.AddDate(0, 0, 1) {
		}
		next = day.Format(time.DateOnly) + " " + y.at
	}
	advance()
	for at := from.Add(-48 * time.Hour).Truncate(5 * time.Minute); at.Before(to); at = at.Add(5 * time.Minute) {
		for shows := at.In(loc).Format("2006-01-02 15:04"); shows >= next; advance() {
			if at.After(from) {
				all = append(all, yearSlot{day.Format(time.DateOnly), at})
			}
		}
	}
	return all
}

// changes are when the clocks of the place are put on or back within a year.
func clockChanges(loc *time.Location, from, to time.Time) (all []time.Time) {
	for at := from; ; {
		_, end := at.In(loc).ZoneBounds()
		if end.IsZero() || end.After(to) {
			return all
		}
		all = append(all, end)
		at = end
	}
}

// channel is where the digests are posted: it outlives the programs, and can be asked.
type channel struct {
	mu    sync.Mutex
	posts map[string][]time.Time // by night
}

func (c *channel) has(night string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.posts[night]) > 0
}

func (c *channel) post(night string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posts[night] = append(c.posts[night], time.Now())
}

// life is one run of a program.
type life struct{ start, end time.Time }

// year is what outlives the programs.
type year struct {
	*testing.T
	store    *store.Store
	schedule schedule.Schedule
	post     string
	channel  channel

	mu    sync.Mutex
	rng   *rand.Rand
	lives []life
	first time.Time // when nights began to count
	begun []audit.Night
	times map[string]time.Time // when they were begun
	kills int
}

func (y *year) chance(percent int) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.rng.IntN(100) < percent
}

func (y *year) between(low, high time.Duration) time.Duration {
	y.mu.Lock()
	defer y.mu.Unlock()
	return low + time.Duration(y.rng.Int64N(int64(high-low)+1))
}

// program is one process, which may be killed at any moment, or right before or after
// any change that it makes: then nothing of it gets through any more.
type program struct {
	*year
	killed atomic.Bool
	fuse   atomic.Int64 // how many changes it makes until it is killed; below 0: it is not
	die    context.CancelFunc
}

var errDead = errors.New("killed")

// change is something that a program does: it may be killed before, and after.
func (p *program) change(do func() error) error {
	last := p.fuse.Add(-1) == 0
	before := last && p.chance(50)
	if before {
		p.kill()
	}
	if p.killed.Load() {
		return errDead
	}
	err := do()
	if last {
		p.kill()
	}
	if p.killed.Load() {
		return errDead
	}
	return err
}

func (p *program) kill() {
	p.killed.Store(true)
	p.die()
}

// As a jobs.Store and an audit.Calendar.

func (p *program) Tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	return p.change(func() error { return p.store.Tx(ctx, do) })
}

func (p *program) ClaimJob(ctx context.Context, c jobs.Claim) (j jobs.Claimed, found bool, err error) {
	if p.killed.Load() {
		return jobs.Claimed{}, false, errDead
	}
	if j, found, err = p.store.ClaimJob(ctx, c); !found || err != nil {
		return jobs.Claimed{}, false, err
	}
	if err := p.change(func() error { return nil }); err != nil {
		return jobs.Claimed{}, false, err
	}
	return j, true, nil
}

func (p *program) RenewJob(ctx context.Context, tx *sql.Tx, l jobs.Lease, until time.Time) error {
	return p.store.RenewJob(ctx, tx, l, until)
}

func (p *program) FinishJob(ctx context.Context, l jobs.Lease, at time.Time, why string) error {
	return p.change(func() error { return p.store.FinishJob(ctx, l, at, why) })
}

func (p *program) RearmJob(ctx context.Context, l jobs.Lease, r jobs.Rearm) error {
	return p.change(func() error { return p.store.RearmJob(ctx, l, r) })
}

func (p *program) NextJob(ctx context.Context, kinds []string) (time.Time, bool, error) {
	return p.store.NextJob(ctx, kinds)
}

// BeginNight takes a moment, in which the slot may come for which another one begins.
func (p *program) BeginNight(ctx context.Context, n audit.Night, work ...audit.Work) (made bool, err error) {
	time.Sleep(p.between(0, 50*time.Millisecond))
	err = p.change(func() (err error) {
		if made, err = p.store.BeginNight(ctx, n, work...); made {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.begun, p.times[n.ID] = append(p.begun, n), time.Now()
		}
		return err
	})
	return made && err == nil, err
}

func (p *program) Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error) {
	return p.store.Nights(ctx, since, limit)
}

func (p *program) FirstLook(ctx context.Context, now time.Time) (at time.Time, err error) {
	err = p.change(func() (err error) {
		at, err = p.store.FirstLook(ctx, now)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.first.IsZero() {
			p.first = at
		}
		return err
	})
	return at, err
}

// works is something that takes a while in the outside world.
func (p *program) works(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(p.between(0, 20*time.Second)):
		return nil
	}
}

// scan stands for the scan: two steps, the second of which makes the digest.
func (p *program) scan(ctx context.Context, j *jobs.Job) error {
	night, err := p.store.Night(ctx, j.Key)
	if err != nil {
		return err
	}
	if night.Started.IsZero() {
		night.Started = time.Now()
		if err := j.Step(ctx, p.works, func(ctx context.Context, tx *sql.Tx) error { return p.store.SaveNight(ctx, tx, night) }); err != nil {
			return err
		}
		night.Version++
	}
	if night.State != audit.Scanning {
		return nil
	}
	return j.Step(ctx, p.works, func(ctx context.Context, tx *sql.Tx) error {
		night.State, night.Finished, night.Digest = audit.Scanned, time.Now(), &audit.Digest{Night: night.ID, Missed: night.Missed}
		at := night.Post
		if at.Before(night.Finished) {
			at = night.Finished
		}
		return errors.Join(
			p.store.SaveNight(ctx, tx, night, audit.Work{Kind: audit.WorkDigest, Key: night.ID, At: at}),
			p.store.Prune(ctx, tx, night.Slot.AddDate(0, 0, -40)))
	})
}

// digest stands for the posting: it looks whether the message is there, posts it, and
// writes that down.
func (p *program) digest(ctx context.Context, j *jobs.Job) error {
	night, err := p.store.Night(ctx, j.Key)
	if err != nil {
		return err
	}
	if night.State == audit.Told {
		return nil
	}
	return j.Step(ctx, func(ctx context.Context) error {
		if p.channel.has(night.ID) {
			return nil
		}
		if err := p.works(ctx); err != nil {
			return err
		}
		return p.change(func() error {
			p.channel.post(night.ID)
			return nil
		})
	}, func(ctx context.Context, tx *sql.Tx) error {
		night.State, night.Posted = audit.Told, time.Now()
		return p.store.SaveNight(ctx, tx, night)
	})
}

// run runs a program until that time, at which it is stopped or killed.
func (y *year) run(until time.Time, gently bool) {
	y.runs(until, gently, habits{
		handlers: func(p *program) map[string]jobs.Handler {
			return map[string]jobs.Handler{audit.WorkScan: p.scan, audit.WorkDigest: p.digest}
		},
		risk: 60, most: 60,
		look:  yearLook,      // the default costs most of the time that the test takes
		night: 5 * time.Hour, // so that nearly every night begins because its slot came
	})
}

// habits are how the programs of a test run.
type habits struct {
	handlers func(p *program) map[string]jobs.Handler
	// risk is how many percent of those that are not stopped gently are killed at a write, the
	// most-th at the latest.
	risk, most int
	// look and night are how often the queue and the Nightly look; 0: the default.
	look, night time.Duration
}

// runs runs a program until that time, at which it is stopped or killed.
func (y *year) runs(until time.Time, gently bool, of habits) {
	ctx, cancel := context.WithCancel(y.Context())
	defer cancel()
	p := &program{year: y}
	start := time.Now()
	var once sync.Once
	ended := func() {
		once.Do(func() {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.lives = append(y.lives, life{start, time.Now()})
			if p.killed.Load() {
				y.kills++
			}
		})
		cancel()
	}
	p.die = ended
	p.fuse.Store(-1)
	if !gently && y.chance(of.risk) {
		p.fuse.Store(int64(y.between(1, time.Duration(of.most))))
	}
	timer := time.AfterFunc(time.Until(until), func() {
		if gently {
			ended()
		} else {
			p.kill()
		}
	})
	defer timer.Stop()
	queue := jobs.New(jobs.Config{Store: p, Handlers: of.handlers(p), Timing: jobs.Timing{Look: of.look}})
	nightly := audit.Nightly{
		Store: p, Schedule: y.schedule, PostAt: y.post, Began: func(audit.Night) { queue.Wake() }, Timing: audit.NightlyTiming{Look: of.night},
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := nightly.Run(ctx); err != nil {
			y.Error(err)
		}
	})
	running.Go(func() {
		if err := queue.Run(ctx); err != nil {
			y.Error(err)
		}
	})
	running.Wait()
}

// yearLook is how often a queue of the year test looks for the work of other replicas.
const yearLook = 20 * time.Minute

// near is a moment close to a slot between from and to, most often its very second; else
// any moment between them.
func (y *year) near(slots []yearSlot, from, to time.Time) time.Time {
	low, _ := slices.BinarySearchFunc(slots, from, func(s yearSlot, t time.Time) int { return s.at.Compare(t) })
	high, _ := slices.BinarySearchFunc(slots, to, func(s yearSlot, t time.Time) int { return s.at.Compare(t) })
	if low >= high || y.chance(30) {
		return from.Add(y.between(0, to.Sub(from)))
	}
	slot := slots[low+int(y.between(0, time.Duration(high-low-1)))].at
	switch {
	case y.chance(60):
		return slot
	case y.chance(60):
		return slot.Add(y.between(-2*time.Second, 2*time.Second))
	}
	return slot.Add(y.between(0, time.Minute)) // while it scans
}

// replica lives and dies until the end, but for the outages.
func (y *year) replica(slots []yearSlot, outages []life, end time.Time) {
	for time.Now().Before(end) {
		now := time.Now()
		stop := y.near(slots, now, now.Add(y.between(time.Minute, 8*24*time.Hour)))
		next := stop
		switch {
		case y.chance(30): // at once
		case y.chance(50):
			next = stop.Add(y.between(0, 5*time.Minute))
		default:
			next = y.near(slots, stop, stop.Add(24*time.Hour))
		}
		for _, outage := range outages {
			if outage.start.After(now) && outage.start.Before(stop) {
				stop, next = outage.start, outage.end
			}
			if !next.Before(outage.start) && next.Before(outage.end) {
				next = outage.end
			}
			if next.Equal(outage.end) && y.chance(70) { // not both at the same moment
				next = next.Add(y.between(-40*time.Millisecond, 40*time.Millisecond))
			}
		}
		if stop.After(end) {
			stop = end
		}
		if stop.After(now) {
			y.run(stop, y.chance(40))
		}
		if next.After(end) {
			next = end
		}
		time.Sleep(time.Until(next))
		if !time.Now().After(now) {
			time.Sleep(time.Second)
		}
	}
}

// judge holds what was begun and posted against what was due.
func (y *year) judge(slots []yearSlot, end time.Time) (missed int) {
	for len(slots) > 0 && !slots[0].at.After(y.first) {
		slots = slots[1:]
	}
	// Each date once, as a night or as missed by the next one.
	nights := map[string]audit.Night{}
	var told, want []string
	for _, n := range y.begun {
		told = append(append(told, n.Missed...), n.ID)
		nights[n.ID] = n
		missed += len(n.Missed)
	}
	for _, slot := range slots {
		want = append(want, slot.date)
	}
	if !slices.Equal(told, want) {
		y.Fatalf("got %d dates, want %d:\n%s\n%s", len(told), len(want), told, want)
	}
	for i, slot := range slots {
		next := end
		if i+1 < len(slots) {
			next = slots[i+1].at
		}
		// Who was up for a while between this slot and the next has begun it, at once.
		var latest time.Time
		for _, l := range y.lives {
			from, to := l.start, l.end
			if from.Before(slot.at) {
				from = slot.at
			}
			if to.After(next) {
				to = next
			}
			// A program that is killed in its first changes has not looked.
			if to.Sub(from) >= time.Minute && (latest.IsZero() || from.Before(latest)) {
				latest = from
			}
		}
		up := slices.ContainsFunc(y.lives, func(l life) bool { return !l.start.After(next) && !l.end.Before(slot.at) })
		n, ran := nights[slot.date]
		switch at := y.times[slot.date]; {
		case !ran && !latest.IsZero():
			y.Errorf("%s was missed, but somebody was there from %v on", slot.date, latest)
		case ran && at.Before(slot.at):
			y.Errorf("%s was begun at %v, before its time, %v", slot.date, at, slot.at)
		case ran && !up:
			y.Errorf("%s was begun at %v, but nobody was there", slot.date, at)
		case ran && !latest.IsZero() && at.After(latest.Add(time.Second)):
			y.Errorf("%s was begun at %v, but somebody was there from %v on", slot.date, at, latest)
		case ran && !n.Slot.Equal(slot.at):
			y.Errorf("%s is due at %v, want %v", slot.date, n.Slot, slot.at)
		}
		if !ran {
			continue
		}
		// Posted once, not before its time, and soon after it by who was there all the time.
		posts := y.channel.posts[n.ID]
		switch {
		case len(posts) > 1 || len(posts) == 0 && n.Post.Before(end.Add(-24*time.Hour)):
			y.Errorf("the digest of %s was posted at %v, want once", n.ID, posts)
		case len(posts) == 1 && posts[0].Before(n.Post):
			y.Errorf("the digest of %s was posted at %v, before %v", n.ID, posts[0], n.Post)
		case len(posts) == 1:
			soon := n.Post.Add(yearLook + 5*time.Minute)
			there := slices.ContainsFunc(y.lives, func(l life) bool { return l.start.Before(n.Slot) && l.end.After(soon) })
			if there && posts[0].After(soon) {
				y.Errorf("the digest of %s was posted at %v, want it soon after %v", n.ID, posts[0], n.Post)
			}
		}
	}
	for night := range y.channel.posts {
		if _, ran := nights[night]; !ran {
			y.Errorf("a digest was posted for %q, which is no night", night)
		}
	}
	return missed
}

// TestYear runs two replicas that are stopped and killed at random, some at the very
// second of a slot, some both for days, over a week around a change of summer time for
// each of seven places and five schedules; with ZDD_LONG=1 over a year each. Each
// scheduled date gets one night and one digest, or is named as missed by the next one.
func TestYear(t *testing.T) {
	long := os.Getenv("ZDD_LONG") != ""
	var dates, missed, kills, lives atomic.Int64
	t.Run("all", func(t *testing.T) {
		for place, name := range yearPlaces() {
			for number, y := range yearSchedules() {
				t.Run(name+" "+strings.ReplaceAll(y.spec, "*", "-"), func(t *testing.T) {
					t.Parallel()
					seed := uint64(place*10 + number)
					loc, err := time.LoadLocation(name)
					if err != nil {
						t.Fatal(err)
					}
					from := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(seed) * 7 * time.Minute)
					to := from.AddDate(1, 0, 0)
					if changes := clockChanges(loc, from, to); !long {
						if len(changes) > 0 {
							from = changes[number%len(changes)].Add(-2*24*time.Hour - 31*time.Minute)
						}
						to = from.Add(5 * 24 * time.Hour)
					}
					w := liveThrough(t, y, loc, life{from, to}, seed)
					dates.Add(int64(w.dates))
					missed.Add(int64(w.missed))
					kills.Add(int64(w.kills))
					lives.Add(int64(w.lives))
				})
			}
		}
	})
	t.Logf("%d dates, %d of them missed and named by the next; %d starts, %d kills", dates.Load(), missed.Load(), lives.Load(), kills.Load())
	if !t.Failed() && (dates.Load() < 60 || missed.Load() == 0 || missed.Load() > dates.Load()/2 || kills.Load() == 0) {
		t.Error("that is too little of something to prove anything")
	}
}

// lived counts what a year came to.
type lived struct{ dates, missed, kills, lives int }

// liveThrough runs two replicas for that span.
func liveThrough(t *testing.T, of yearSchedule, loc *time.Location, span life, seed uint64) (w lived) {
	path := filepath.Join(ramdir.New(t), "zdd.db")
	sched, err := schedule.Parse(of.spec, loc)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(span.start))
		s, err := store.Open(t.Context(), store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		y := &year{
			T: t, store: s, schedule: sched, post: of.post, rng: rand.New(rand.NewPCG(seed, 26)),
			channel: channel{posts: map[string][]time.Time{}}, times: map[string]time.Time{},
		}
		// A last program is there for two days more, and stays alive.
		end := span.end.Add(48 * time.Hour)
		slots := of.slots(loc, span.start, end)
		// Some twelve outages a year, a few minutes to four days.
		var outages []life
		for at := span.start.Add(y.between(24*time.Hour, 4*24*time.Hour)); at.Before(span.end); {
			from := y.near(slots, at, at.Add(2*24*time.Hour))
			to := y.near(slots, from.Add(time.Minute), from.Add(y.between(time.Minute, 4*24*time.Hour)))
			outages = append(outages, life{from, to})
			at = to.Add(y.between(24*time.Hour, 50*24*time.Hour))
		}
		var replicas sync.WaitGroup
		for range 2 {
			replicas.Go(func() { y.replica(slots, outages, span.end) })
		}
		replicas.Wait()
		y.run(end, true)
		synctest.Wait()
		w = lived{len(slots), y.judge(slots, end), y.kills, len(y.lives)}
	})
	return w
}
