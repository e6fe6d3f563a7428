package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"example.com/zdd/schedule"
)

const (
	// lookTimeout bounds one look into the database: a few short queries.
	lookTimeout = 30 * time.Second
	// mostOutOfTurn is how many scans out of turn may be asked for on one date. Each takes
	// two API calls an app: who asks for more has something running that asks.
	mostOutOfTurn = 50
	// mostMissed is how many missed dates a night tells of, the newest. It also bounds
	// what a clock that is years ahead can do: the dates that it takes for missed are told
	// of, and have no other night.
	mostMissed = 31
	// staleAfter and staleSlack are when a scan is too old: two hours after the next one
	// should have ended, and never sooner than 26 hours after its own end.
	staleAfter = 26 * time.Hour
	staleSlack = 2 * time.Hour
)

// Calendar is what a Nightly does with nights. Every Store does it.
type Calendar interface {
	BeginNight(ctx context.Context, n Night, work ...Work) (made bool, err error)
	Nights(ctx context.Context, since time.Time, limit int) ([]Night, error)
	FirstLook(ctx context.Context, now time.Time) (time.Time, error)
}

// NightlyTiming is every wait of a Nightly. A zero field means its default.
type NightlyTiming struct {
	// Look is how often to look beside the schedule's own times, for a machine that slept
	// and a clock that was set. Default 15 minutes; whole seconds.
	Look time.Duration
	// Retry is the pause after a look that failed; it doubles with each one in a row, up to
	// RetryMost. Defaults 5 seconds and 5 minutes.
	Retry, RetryMost time.Duration
}

// Nightly begins each night when it is due: it stores it together with the job that
// scans. Any number of replicas may run one, started and stopped at any moment: what was
// begun is read from the store each time, and the store lets each date be told of once.
// Nights for which nobody ran are caught up for by the next look, all by the newest of
// them, which tells of those of a month.
//
// robfig/cron only says when to look; what is due is worked out from the newest night.
// Store, Schedule and PostAt are required.
type Nightly struct {
	Store    Calendar
	Schedule schedule.Schedule
	PostAt   string // when digests are posted, "09:00" by the schedule's clocks
	// Began is told of each night that was begun here, after it was stored. Nil: nobody is.
	Began  func(Night)
	Now    func() time.Time // default time.Now
	Wake   <-chan struct{}  // has it look now, after the clock of Now was moved; never closed
	Timing NightlyTiming
	Log    *slog.Logger // default: none
}

// Run looks at once, at each slot and now and then, until ctx ends: then it returns nil.
// A look that fails is logged and made again. The only error is a PostAt that is no time
// of day.
func (n *Nightly) Run(ctx context.Context) error {
	if _, err := schedule.PostAt(n.now(), n.PostAt, n.Schedule.Location()); err != nil {
		return fmt.Errorf("run the nightly scan: when to post: %w", err)
	}
	retry, most := cmp.Or(n.Timing.Retry, 5*time.Second), cmp.Or(n.Timing.RetryMost, 5*time.Minute)
	due := make(chan struct{}, 1)
	look := cron.FuncJob(func() {
		select {
		case due <- struct{}{}:
		default: // a look is to come anyway
		}
	})
	ticks := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
	slots := ticks.Schedule(n.slots(), look)
	ticks.Schedule(cron.Every(cmp.Or(n.Timing.Look, 15*time.Minute)), look)
	ticks.Start()
	defer func() { <-ticks.Stop().Done() }()
	for failures := 0; ; {
		var again <-chan time.Time
		if err := n.look(ctx); err == nil {
			failures = 0
		} else if ctx.Err() == nil {
			n.log().WarnContext(ctx, "could not look whether a night is due", "attempt", failures+1, "err", err)
			// Beyond that many doublings the pause is the longest in any case.
			again = time.After(min(most, retry<<min(failures, 16)))
			failures++
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		case <-again:
		case <-n.Wake:
			ticks.Remove(slots) // what it waits for was reckoned by the old clock
			slots = ticks.Schedule(n.slots(), look)
		}
	}
}

func (n *Nightly) now() time.Time {
	if n.Now == nil {
		return time.Now()
	}
	return n.Now()
}

func (n *Nightly) log() *slog.Logger { return cmp.Or(n.Log, slog.New(slog.DiscardHandler)) }

// slots is the schedule as robfig/cron needs it, which knows no clock but the machine's.
func (n *Nightly) slots() cron.Schedule {
	if n.Now == nil {
		return n.Schedule
	}
	return movedClock{n.Schedule, n.Now}
}

// movedClock tells by the machine's clock when another one comes to the slots.
type movedClock struct {
	schedule.Schedule
	now func() time.Time
}

// Next errs on the late side by what passes between two readings of the clock: a look
// that came too early would find nothing due.
func (m movedClock) Next(t time.Time) time.Time {
	now := m.now()
	ahead := time.Until(now)
	next := m.Schedule.Next(t.Add(ahead))
	if next.IsZero() {
		return next
	}
	return next.Add(-ahead)
}

// OutOfTurn says that somebody asked for the scan: it stands for no scheduled date.
func (n Night) OutOfTurn() bool { return strings.Contains(n.ID, "#") }

// look begins the night that is due, if there is one. Where another replica begins one at
// the same moment it looks again.
func (n *Nightly) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for tried := ""; ; {
		now := n.now()
		last, err := n.last(ctx, now)
		if err != nil {
			return err
		}
		slot, missed, due := n.Schedule.Due(last.Slot, now)
		if !due {
			return nil
		}
		night := n.night(n.Schedule.Date(slot), slot, now)
		missed = slices.DeleteFunc(missed, func(date string) bool { return date <= last.ID })
		night.Missed = missed[max(0, len(missed)-mostMissed):]
		// With another schedule than yesterday's, a date that has had its night may have a
		// second slot; after a clock was wrong, one that we don't see may have the date.
		try := night.ID + " after " + last.ID
		if night.ID <= last.ID || try == tried {
			return nil
		}
		if made, err := n.begin(ctx, &night); made || err != nil {
			return err
		}
		tried = try
	}
}

// last is the newest night of the schedule. Where there is none, it has no ID, and its
// Slot is since when nights count.
func (n *Nightly) last(ctx context.Context, now time.Time) (Night, error) {
	for limit := 4; ; limit *= 4 { // the newest but for those out of turn
		nights, err := n.Store.Nights(ctx, time.Time{}, limit)
		if err != nil {
			return Night{}, err
		}
		for _, night := range nights {
			// One from the future is from a clock that was wrong. It must not keep the nights
			// until then from coming.
			if !night.OutOfTurn() && !night.Slot.After(now) {
				return night, nil
			}
		}
		if len(nights) < limit {
			break
		}
	}
	first, err := n.Store.FirstLook(ctx, now)
	return Night{Slot: first}, err
}

// night is one as it begins now.
func (n *Nightly) night(id string, slot, now time.Time) Night {
	post, err := schedule.PostAt(slot, n.PostAt, n.Schedule.Location())
	if err != nil || post.Before(now) { // Run has seen to it that there is no error
		post = now
	}
	return Night{ID: id, Slot: slot, Post: post, Next: n.Schedule.Next(slot), State: Scanning}
}

// begin stores the night with its scan, and says so.
func (n *Nightly) begin(ctx context.Context, night *Night) (made bool, err error) {
	made, err = n.Store.BeginNight(ctx, *night, Work{Kind: WorkScan, Key: night.ID, Group: WorkScan, At: night.Slot})
	if !made || err != nil {
		return false, err
	}
	night.Version = 1
	n.log().InfoContext(ctx, "night begun", "ref", night.ID, "missed", len(night.Missed))
	if n.Began != nil {
		n.Began(*night)
	}
	return true, nil
}

// errOutOfTurn says that enough is enough.
var errOutOfTurn = errors.New("too many scans were asked for today")

// BeginNow begins a night out of turn: its scan begins now, or when the one that runs has
// ended, and its digest is due at once. The scheduled ones come as if it had not been.
func (n *Nightly) BeginNow(ctx context.Context) (Night, error) {
	now := n.now()
	date := n.Schedule.Date(now)
	for number := 2; number < 2+mostOutOfTurn; number++ {
		night := n.night(date+"#"+strconv.Itoa(number), now, now)
		night.Post = now
		if made, err := n.begin(ctx, &night); made || err != nil {
			return night, err
		}
	}
	return Night{}, fmt.Errorf("begin a scan out of turn: %w: %d", errOutOfTurn, mostOutOfTurn)
}

// firstLook is what the id of a first look has behind its date: those that are asked for
// out of turn begin with 2.
const firstLook = "#0"

// BeginQuiet begins a first look at the fleet now, of which nobody is told: there is
// something to say of all apps then, and to watch, before the first night comes, which is told
// as if it had not been. Where there is a night already it does nothing.
func (n *Nightly) BeginQuiet(ctx context.Context) error {
	nights, err := n.Store.Nights(ctx, time.Time{}, 1)
	if err != nil || len(nights) > 0 {
		return err
	}
	now := n.now()
	night := n.night(n.Schedule.Date(now)+firstLook, now, now)
	night.Post, night.Quiet = now, true
	_, err = n.begin(ctx, &night)
	return err
}

// StaleAt is when last, the newest night whose scan has ended, is so old that nobody may
// rely on it: 26 hours after its end, or later by as much as the schedule lets more than a
// day pass. Of a night whose scan has not ended, it is told from when it was due.
func StaleAt(last Night) time.Time {
	since := last.Finished
	if since.IsZero() {
		since = last.Slot
	}
	return since.Add(max(staleAfter, last.Next.Sub(last.Slot)+staleSlack))
}
