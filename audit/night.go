package audit

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"example.com/zdd/fleet"
)

// Night is one scheduled scan and its digest. There is one for each scheduled local date.
type Night struct {
	// ID is the scheduled local date, 2026-11-22, in the policy's time zone; a scan that
	// somebody asked for out of turn has a number behind it, 2026-11-22#2.
	ID    string     `json:"night"`
	Slot  time.Time  `json:"slot"`          // when it was due
	Post  time.Time  `json:"post_at"`       // when its digest is; of one that began later than that, when it began
	Next  time.Time  `json:"next,omitzero"` // when the scheduled one after it is due
	State NightState `json:"state"`
	// Missed are the scheduled dates before this one for which nobody ran: this scan is
	// the one that catches up for them. The oldest first, and at most the newest 31.
	Missed   []string  `json:"missed,omitzero"`
	Baseline bool      `json:"baseline,omitzero"` // the first ever that is told, or quiet: nothing to compare with, and nobody is mentioned
	Quiet    bool      `json:"quiet,omitzero"`    // no digest is posted: it is a first look, and the first night is told as if it had not been
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"` // of the scan
	Posted   time.Time `json:"posted,omitzero"`   // of the digest, everywhere; zero also where there is no channel
	Coverage Coverage  `json:"coverage"`          // zero until the scan has ended
	Counts   Counts    `json:"counts"`            // the same
	Chain    *Chain    `json:"chain,omitempty"`   // what was found of the ledger; nil: it was not gone through
	// Again is when the scan goes, or went, once more through the lists and the apps that
	// it could not read at first; zero: the first pass is not over.
	Again time.Time `json:"again,omitzero"`
	// Grace is until when a scan may read whose bot, or database, was away when it had to
	// end; zero: it was not.
	Grace    time.Time     `json:"grace,omitzero"`
	Calls    int           `json:"calls,omitzero"`    // to Heroku until now
	Expected time.Duration `json:"expected,omitzero"` // see Digest
	Digest   *Digest       `json:"-"`                 // made when the scan ended; nil before, and where it is not asked for
	Version  int64         `json:"-"`                 // raised by each write
}

// NightState is how far a night is.
type NightState string

// The states.
const (
	Scanning NightState = "scanning" // due, or under way
	Scanned  NightState = "scanned"  // its digest waits for its time
	Told     NightState = "told"     // everybody was told, or nobody is to be
)

// Coverage is what a scan saw and what it did not. Seen is InScope and all of Out;
// InScope is Judged and all of Unread.
type Coverage struct {
	Seen    int            `json:"seen"` // apps in the lists
	InScope int            `json:"in_scope"`
	Judged  int            `json:"judged"`
	Out     map[string]int `json:"out,omitzero"`    // out of scope, by reason in a word or two: review, excluded, archived
	Unread  map[string]int `json:"unread,omitzero"` // in scope and not read, by reason: two-factor, suspended, out of time
	Gaps    []string       `json:"gaps,omitzero"`   // lists that could not be read, each a sentence: apps may be missing
}

// Partial says that the scan saw less than it had to, so that its counts are none of the
// whole fleet.
func (c Coverage) Partial() bool { return c.Judged < c.InScope || len(c.Gaps) > 0 }

// Counts are the verdicts of the apps in scope, and what getting all of them ready would
// cost. An app that could not be read is Unknown.
type Counts struct {
	Ready         int         `json:"ready"`
	NotReady      int         `json:"not_ready"`
	Unknown       int         `json:"unknown"`
	NotApplicable int         `json:"not_applicable"`
	Increase      fleet.Money `json:"increase"` // a month, of those apps whose price is known
	Unpriced      int         `json:"unpriced"` // apps not ready whose increase is not known
	// Waived counts the apps of which something is waived that would count, whatever else
	// they are: those that are ready are so with that left out.
	Waived int `json:"waived,omitzero"`
}

// ErrNoNight says that there is no such night, or none at all.
var ErrNoNight = errors.New("no such scan")

// ErrNightChanged says that somebody else wrote the night meanwhile; nothing was stored.
var ErrNightChanged = errors.New("the scan was changed meanwhile")

// Work is a job to enqueue with a change: kind:key is its id, and a second one of the
// same id is none.
type Work struct {
	Kind, Key string
	Group     string // jobs of one group run one after the other
	At        time.Time
}

// The kinds of work.
const (
	WorkScan   = "scan"   // key: night; read the fleet and make the digest
	WorkDigest = "digest" // key: night; post the digest
	WorkStale  = "stale"  // key: night; sound the alarm where no scan has ended since
)

// Store keeps nights, standings and turns. Times are kept to the millisecond.
type Store interface {
	// Tx runs do in one transaction. do uses nothing but tx.
	Tx(ctx context.Context, do func(tx *sql.Tx) error) error
	// BeginNight stores a new night with Version 1 and its work. made is false, and
	// nothing is stored, where its ID, or one of the dates that it missed, is a night
	// already or was missed by one: each date is told of once. Of any number of callers
	// one gets true.
	BeginNight(ctx context.Context, n Night, work ...Work) (made bool, err error)
	// SaveNight stores the night, its Digest too unless it is nil, and work, as part of
	// tx, where the stored one has n.Version, which is raised; else ErrNightChanged.
	SaveNight(ctx context.Context, tx *sql.Tx, n Night, work ...Work) error
	// Night is one night with its Digest; ErrNoNight.
	Night(ctx context.Context, id string) (Night, error)
	// Nights are those due at or after since, the newest first, without their Digests;
	// at most limit, 0: all.
	Nights(ctx context.Context, since time.Time, limit int) ([]Night, error)
	// FirstLook is when the schedule was first looked at with this database: now, if
	// it never was. No night is due from before it.
	FirstLook(ctx context.Context, now time.Time) (time.Time, error)

	// Standings are all apps that stand, those gone too, by name.
	Standings(ctx context.Context) iter.Seq2[Standing, error]
	// Standing is that of one app; found is false where there is none.
	Standing(ctx context.Context, app fleet.ID) (s Standing, found bool, err error)
	// SaveStandings replaces the standings of those apps and adds the turns, as part of tx.
	SaveStandings(ctx context.Context, tx *sql.Tx, standings []Standing, turns []Turn) error
	// Unposted are the bulletins made after since of which no message is there, as far as is
	// known.
	Unposted(ctx context.Context, since time.Time) ([]Bulletin, error)
	// Turns are those of one app, the newest first, at most limit.
	Turns(ctx context.Context, app fleet.ID, limit int) ([]Turn, error)
	// Prune forgets turns, nights and apps gone from before that time, as part of tx, and
	// what was kept about the messages that told of them.
	Prune(ctx context.Context, tx *sql.Tx, before time.Time) error
}
