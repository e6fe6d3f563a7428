package audit_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/internal/ramdir"
	"example.com/zdd/jobs"
	"example.com/zdd/schedule"
	"example.com/zdd/store"
)

// nightBench runs Nightlys on the fake clock, over a store on a SQLite file.
type nightBench struct {
	*testing.T
	store *store.Store
	stops []func()

	mu    sync.Mutex
	begun []string
}

func inBubble(t *testing.T, run func(b *nightBench)) {
	t.Helper()
	path := filepath.Join(ramdir.New(t), "zdd.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		b := &nightBench{T: t, store: s}
		defer func() {
			for _, stop := range b.stops {
				stop()
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		run(b)
	})
}

// until lets the clock stand at that time.
func (b *nightBench) until(text string) {
	b.Helper()
	time.Sleep(time.Until(utc(b.T, text)))
	synctest.Wait()
}

func utc(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func every(t *testing.T, spec, place string) schedule.Schedule {
	t.Helper()
	loc, err := time.LoadLocation(place)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schedule.Parse(spec, loc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nightly is one that scans at that schedule in Berlin, and notes what it begins.
func (b *nightBench) nightly(spec string) *audit.Nightly {
	return &audit.Nightly{Store: b.store, Schedule: every(b.T, spec, "Europe/Berlin"), PostAt: "09:00", Began: func(n audit.Night) {
		b.mu.Lock()
		defer b.mu.Unlock()
		line := time.Now().UTC().Format("02 15:04:05.999 ") + n.ID
		if len(n.Missed) > 0 {
			line += " for " + strings.Join(n.Missed, ", ") + " too"
		}
		b.begun = append(b.begun, line)
	}}
}

// taken is what has begun since the last time.
func (b *nightBench) taken() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	begun := b.begun
	b.begun = nil
	return begun
}

// run runs it until stop is called, which waits for its end.
func (b *nightBench) run(n *audit.Nightly) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := n.Run(ctx); err != nil {
			b.Errorf("run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	b.stops = append(b.stops, stop)
	synctest.Wait()
	return stop
}

// heard checks what was begun, and forgets it.
func (b *nightBench) heard(want ...string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.begun, want) {
		b.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(b.begun, "\n  "), strings.Join(want, "\n  "))
	}
	b.begun = nil
}

func TestNightly(t *testing.T) {
	inBubble(t, func(b *nightBench) {
		b.until("2026-11-20 02:30") // 03:30 in Berlin: nothing is due from before the first start
		first, second := b.run(b.nightly("30 3 * * *")), b.run(b.nightly("30 3 * * *"))
		b.until("2026-11-21 02:29")
		b.heard()
		b.until("2026-11-21 02:30")
		b.heard("21 02:30:00 2026-11-21")
		night, err := b.store.Night(b.Context(), "2026-11-21")
		if err != nil || !night.Slot.Equal(utc(t, "2026-11-21 02:30")) || !night.Post.Equal(utc(t, "2026-11-21 08:00")) ||
			!night.Next.Equal(utc(t, "2026-11-22 02:30")) || night.State != audit.Scanning || night.Missed != nil || night.OutOfTurn() {
			t.Errorf("got %+v, %v", night, err)
		}
		job, found, err := b.store.ClaimJob(b.Context(), jobs.Claim{Owner: "test", Kinds: []string{audit.WorkScan}, Now: time.Now(), Until: time.Now().Add(time.Minute)})
		if err != nil || !found || job.Key != "2026-11-21" || job.Group != audit.WorkScan || !job.At.Equal(night.Slot) {
			t.Errorf("got job %+v, %v, %v, want the scan of 2026-11-21", job, found, err)
		}
		first()
		b.until("2026-11-22 12:00")
		b.heard("22 02:30:00 2026-11-22")
		second()

		// Nobody runs on two nights. What is begun after its time is posted at once.
		b.until("2026-11-24 10:00")
		b.heard()
		third := b.run(b.nightly("30 3 * * *"))
		b.heard("24 10:00:00 2026-11-24 for 2026-11-23 too")
		if night, err := b.store.Night(b.Context(), "2026-11-24"); err != nil || !night.Slot.Equal(utc(t, "2026-11-24 02:30")) || !night.Post.Equal(utc(t, "2026-11-24 10:00")) {
			t.Errorf("got %+v, %v", night, err)
		}
		b.until("2026-11-25 02:30")
		b.heard("25 02:30:00 2026-11-25")

		// With a schedule later that day its date has had its night, and is not missed.
		third()
		fourth := b.run(b.nightly("0 15 * * *"))
		b.until("2026-11-25 23:00")
		b.heard()
		fourth()
		b.until("2026-11-27 00:00")
		b.run(b.nightly("0 15 * * *"))
		b.heard("27 00:00:00 2026-11-26")
	})
}

// TestNightlyOutOfTurn asks for scans between the scheduled ones, which come nevertheless.
func TestNightlyOutOfTurn(t *testing.T) {
	inBubble(t, func(b *nightBench) {
		b.until("2026-11-20 12:00")
		n := b.nightly("30 3 * * *")
		stop := b.run(n)
		now := func(want string) {
			t.Helper()
			night, err := n.BeginNow(b.Context())
			if err != nil || night.ID != want || !night.OutOfTurn() || night.Version != 1 || !night.Slot.Equal(time.Now()) || !night.Post.Equal(time.Now()) {
				t.Errorf("got %+v, %v, want %s", night, err, want)
			}
			if stored, err := b.store.Night(b.Context(), want); err != nil || !stored.Post.Equal(night.Post) {
				t.Errorf("got %+v, %v, want it stored", stored, err)
			}
		}
		now("2026-11-20#2")
		b.until("2026-11-20 23:00") // the next day in Berlin
		now("2026-11-21#2")
		now("2026-11-21#3")
		b.heard("20 12:00:00 2026-11-20#2", "20 23:00:00 2026-11-21#2", "20 23:00:00 2026-11-21#3")
		b.until("2026-11-21 02:30")
		b.heard("21 02:30:00 2026-11-21")
		stop()

		// Nobody runs at the slot, but many ask before somebody does.
		b.until("2026-11-22 04:00")
		for range 40 {
			if _, err := n.BeginNow(b.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.taken()
		b.run(n)
		b.heard("22 04:00:00 2026-11-22")
		for range 10 {
			if _, err := n.BeginNow(b.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if night, err := n.BeginNow(b.Context()); err == nil {
			t.Errorf("asked for the 51st time: got %s, want an error", night.ID)
		}
	})
}

// TestNightlyQuiet looks at the fleet before the first night, once, and keeps no night from
// coming.
func TestNightlyQuiet(t *testing.T) {
	inBubble(t, func(b *nightBench) {
		b.until("2026-11-20 12:00")
		n := b.nightly("30 3 * * *")
		b.run(n)
		for range 2 {
			if err := n.BeginQuiet(b.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.heard("20 12:00:00 2026-11-20#0")
		if night, err := b.store.Night(b.Context(), "2026-11-20#0"); err != nil || !night.Quiet || !night.OutOfTurn() {
			t.Errorf("got %+v, %v, want a quiet one out of turn", night, err)
		}
		if night, err := n.BeginNow(b.Context()); err != nil || night.Quiet {
			t.Errorf("got %+v, %v, want one that is told", night, err)
		}
		b.heard("20 12:00:00 2026-11-20#2")
		b.until("2026-11-21 02:30")
		b.heard("21 02:30:00 2026-11-21")
		if err := n.BeginQuiet(b.Context()); err != nil {
			t.Fatal(err)
		}
		b.heard()
	})
}

// troubled is a database that is away for a while.
type troubled struct {
	audit.Calendar
	mu    sync.Mutex
	until time.Time
	asked []time.Time
}

func (s *troubled) Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked = append(s.asked, time.Now()); time.Now().Before(s.until) {
		return nil, errors.New("the database is away")
	}
	return s.Calendar.Nights(ctx, since, limit)
}

func TestNightlyTriesAgain(t *testing.T) {
	inBubble(t, func(b *nightBench) {
		b.until("2026-11-20 12:00")
		b.run(b.nightly("30 3 * * *"))()
		b.until("2026-11-21 02:29")
		away := &troubled{Calendar: b.store, until: utc(t, "2026-11-21 02:39")}
		n := b.nightly("30 3 * * *")
		n.Store = away
		n.Timing = audit.NightlyTiming{Look: 24 * time.Hour, Retry: time.Second, RetryMost: 2 * time.Minute}
		b.run(n)
		b.until("2026-11-21 02:45")
		if begun := b.taken(); len(begun) != 1 || !strings.HasSuffix(begun[0], " 2026-11-21") {
			t.Errorf("got %q, want 2026-11-21 begun", begun)
		}
		var pauses []time.Duration
		for i, at := range away.asked[1:] {
			pauses = append(pauses, at.Sub(away.asked[i]))
		}
		// From 02:29:00; at 02:30:00 the schedule asks by itself. The one at the end begins.
		want := []time.Duration{1, 2, 4, 8, 16, 29, 64, 120, 120, 120, 120}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("got pauses %v, want %v", pauses, want)
		}
	})
}

// slow is a database that takes its time to begin a night.
type slow struct {
	audit.Calendar
	takes time.Duration
}

func (s slow) BeginNight(ctx context.Context, n audit.Night, work ...audit.Work) (bool, error) {
	time.Sleep(s.takes)
	return s.Calendar.BeginNight(ctx, n, work...)
}

// TestNightlyRace: after an outage one replica looks a moment before a slot, the other a
// moment after it, so that they see another night due. Who loses sees what was begun, and
// goes on from there.
func TestNightlyRace(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after time.Duration // how long their looks take
		want          []string
	}{
		{"the earlier look wins", 20 * time.Millisecond, 50 * time.Millisecond, []string{"22 02:30:00.01 2026-11-21", "22 02:30:00.101 2026-11-22"}},
		{"the later look wins", 50 * time.Millisecond, 5 * time.Millisecond, []string{"22 02:30:00.006 2026-11-22 for 2026-11-21 too"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(b *nightBench) {
				b.until("2026-11-20 12:00")
				b.run(b.nightly("30 3 * * *"))()
				slot := utc(t, "2026-11-22 02:30")
				early, late := b.nightly("30 3 * * *"), b.nightly("30 3 * * *")
				early.Store, late.Store = slow{b.store, c.before}, slow{b.store, c.after}
				time.Sleep(time.Until(slot.Add(-10 * time.Millisecond)))
				// Its own tick at the slot would begin what the other one is to.
				early.Schedule = every(t, "30 3 1-21 * *", "Europe/Berlin")
				b.run(early)
				time.Sleep(time.Until(slot.Add(time.Millisecond)))
				b.run(late)
				b.until("2026-11-22 02:40")
				b.heard(c.want...)
			})
		})
	}
}

// TestNightlyClocks has clocks that are not the machine's, are moved, or are wrong.
func TestNightlyClocks(t *testing.T) {
	inBubble(t, func(b *nightBench) {
		b.until("2026-11-20 12:00")
		var ahead atomic.Int64
		wake := make(chan struct{}, 1)
		n := b.nightly("30 3 * * *")
		n.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		n.Wake, n.Timing.Look = wake, 1000*time.Hour
		b.run(n)
		move := func(by time.Duration) {
			ahead.Add(int64(by))
			wake <- struct{}{}
			synctest.Wait()
		}
		move(12 * time.Hour) // midnight
		b.heard()
		b.until("2026-11-20 14:29")
		b.heard()
		b.until("2026-11-20 14:30")
		b.heard("20 14:30:00 2026-11-21")
		move(48 * time.Hour)
		b.heard("20 14:30:00 2026-11-23 for 2026-11-22 too")
		move(-24 * time.Hour)
		b.heard()
		b.until("2026-11-21 14:30") // the 23rd once more
		b.heard()
		b.until("2026-11-22 14:30")
		b.heard("22 14:30:00 2026-11-24")

		// A replica whose clock is years ahead keeps nobody else's nights from coming, and
		// neither does one whose clock is years behind.
		wrong, behind := b.nightly("30 3 * * *"), b.nightly("30 3 * * *")
		wrong.Now = func() time.Time { return time.Now().AddDate(3, 0, 0) }
		behind.Now = func() time.Time { return time.Now().AddDate(-3, 0, 0) }
		b.run(wrong)()
		b.run(behind)
		if begun := b.taken(); len(begun) != 1 || !strings.Contains(begun[0], " 2029-11-22 for 2029-10-22, 2029-10-23,") {
			t.Errorf("got %q, want 2029-11-22 and a month missed", begun)
		}
		b.until("2026-11-24 14:30")
		b.heard("23 14:30:00 2026-11-25", "24 14:30:00 2026-11-26")
	})
}

// TestNightlyFromTheFuture: a night of a clock that was ahead neither ends the nights until
// then, nor comes again.
func TestNightlyFromTheFuture(t *testing.T) {
	inBubble(t, func(b *nightBench) {
		b.until("2026-11-20 12:00")
		b.run(b.nightly("30 3 * * *"))
		slot := utc(t, "2026-11-23 02:30")
		if made, err := b.store.BeginNight(b.Context(), audit.Night{ID: "2026-11-23", Slot: slot, State: audit.Scanning}); err != nil || !made {
			t.Fatalf("got %v, %v", made, err)
		}
		// Its date was told of when it was thought to be over: it is not told of again.
		if made, err := b.store.BeginNight(b.Context(), audit.Night{ID: "2026-12-24", Slot: utc(t, "2026-12-24 02:30"), State: audit.Scanning, Missed: []string{"2026-11-25"}}); err != nil || !made {
			t.Fatalf("got %v, %v", made, err)
		}
		b.until("2026-11-26 12:00")
		b.heard("21 02:30:00 2026-11-21", "22 02:30:00 2026-11-22", "24 02:30:00 2026-11-24")
	})
}

func TestNightlyRefusesATimeThatIsNone(t *testing.T) {
	n := &audit.Nightly{Schedule: every(t, "30 3 * * *", "UTC"), PostAt: "9am"}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `"9am"`) {
		t.Errorf("got %v, want an error about 9am", err)
	}
}

func TestStaleAt(t *testing.T) {
	slot := utc(t, "2026-11-20 03:30")
	ended := slot.Add(10 * time.Minute)
	for _, c := range []struct {
		name string
		last audit.Night
		at   time.Time // the last moment at which it is not stale
	}{
		{"daily", audit.Night{Slot: slot, Next: slot.AddDate(0, 0, 1), Finished: ended}, ended.Add(26 * time.Hour)},
		{"on the day of 25 hours", audit.Night{Slot: slot, Next: slot.Add(25 * time.Hour), Finished: ended}, ended.Add(27 * time.Hour)},
		{"weekly", audit.Night{Slot: slot, Next: slot.AddDate(0, 0, 7), Finished: ended}, ended.AddDate(0, 0, 7).Add(2 * time.Hour)},
		{"out of turn, just before the next", audit.Night{Slot: slot, Next: slot.Add(time.Minute), Finished: ended}, ended.Add(26 * time.Hour)},
		{"not ended", audit.Night{Slot: slot, Next: slot.AddDate(0, 0, 1)}, slot.Add(26 * time.Hour)},
		{"before Next was kept", audit.Night{Slot: slot, Finished: ended}, ended.Add(26 * time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := audit.StaleAt(c.last); !got.Equal(c.at) {
				t.Errorf("got %v, want %v", got, c.at)
			}
		})
	}
}
