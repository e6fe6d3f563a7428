package watch

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
)

// The kinds of work of watching deploys. They begin like none of the watch between the
// nights, which is package audit's.
const (
	WorkDeployWatch     = "deploy-watch"      // key: watch; probe until it is over
	WorkTellDeployWatch = "tell-deploy-watch" // key: watch:rev; bring the watch's message up to date
	WorkLookout         = "deploy-lookout"    // key: TheFleet; look out for releases, for ever
)

// TheFleet is the key of the one job that looks out for releases.
const TheFleet = "fleet"

// ErrNoWatch says that there is no watch of that id, or none any more.
var ErrNoWatch = errors.New("no such watch")

// Work is something to be done, enqueued with the change that it belongs to.
type Work struct {
	Kind, Key string
	Group     string
	At        time.Time
}

// Change is what is stored with a change of a watch.
type Change struct {
	Entries []ledger.Entry
	Work    []Work
	Tell    time.Time // when to bring the watch's message up to date: work of WorkTellDeployWatch is added, with the new Rev; zero: not
}

// TellWork brings the watch's message up to date: one after the other, each tells what is
// there by then.
func TellWork(w Watch, at time.Time) Work {
	return Work{Kind: WorkTellDeployWatch, Key: w.ID + ":" + strconv.FormatInt(w.Rev, 10), Group: WorkTellDeployWatch + ":" + w.ID, At: at}
}

// Filter selects watches. Zero fields select all.
type Filter struct {
	App    fleet.ID
	States []State
	Since  time.Time // asked for then or later
	Origin string
	Limit  int // 0: 20; below 0: no limit
}

// Store keeps watches. Package store implements it on both databases. Times are kept to
// the millisecond.
type Store interface {
	// Tx runs do in one transaction. do uses nothing but tx.
	Tx(ctx context.Context, do func(tx *sql.Tx) error) error
	// CreateWatchTx gives w the next id and Rev 1 and stores it, with what change says about
	// it. Where a watch of the same Origin exists, that one is returned and made is false.
	// Until tx ends nobody else creates one.
	CreateWatchTx(ctx context.Context, tx *sql.Tx, w Watch, change func(Watch) Change) (stored Watch, made bool, err error)
	// ChangeWatchTx loads the watch and keeps others from changing it until tx ends, lets
	// change edit it, and stores it with Rev raised, its ledger entries and its work. ID and
	// Origin never change. An error of change is returned as it is; then roll tx back. Of a
	// watch that has a verdict Head is that of the ledger after the entries.
	ChangeWatchTx(ctx context.Context, tx *sql.Tx, id string, change func(*Watch) (Change, error)) (Watch, error)
	Watch(ctx context.Context, id string) (Watch, error) // ErrNoWatch
	// Watches are those that f selects, the newest first.
	Watches(ctx context.Context, f Filter) ([]Watch, error)
	// WatchesTx is Watches, and keeps others from creating any until tx ends.
	WatchesTx(ctx context.Context, tx *sql.Tx, f Filter) ([]Watch, error)
	// Proofs are the last verdict on each of the apps that has any; on all where none is named.
	Proofs(ctx context.Context, apps []fleet.ID) (map[fleet.ID]Proof, error)
}

// ID is the id of the n-th watch: D-12. It is none of a ticket's, T-12, nor of a waiver's,
// W-12.
func ID(n int64) string { return "D-" + strconv.FormatInt(n, 10) }

// ParseID reads a watch's id as people type it: D-12, d-12 or d12.
func ParseID(text string) (id string, ok bool) {
	m := typedID.FindStringSubmatch(strings.TrimSpace(strings.Trim(text, "`")))
	if m == nil {
		return "", false
	}
	return "D-" + m[1], true
}

var typedID = regexp.MustCompile(`^[Dd]-?0*([1-9][0-9]{0,17})$`)

// Proof is what status and the digest show of a watch that has ended. Its Proved is left
// to who knows the others.
func (w Watch) Proof() Proof {
	return Proof{Watch: w.ID, Verdict: w.Verdict, Release: w.Release.Version, At: w.Ended, Failed: w.Counts.Failed(), Sent: w.Counts.Sent}
}
