package main

import (
	"context"
	"fmt"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/store"
	"example.com/zdd/watch"
)

// aboutTimeout bounds the look at the database that /zdd about and each scrape of the
// metrics take: a person waits for one, and Prometheus gives up the other after 10 s.
const aboutTimeout = 3 * time.Second

// selfView is what the bot knows of itself, for people and for graphs. All that is in the
// database is read there each time, so that every replica tells the same, and a restart
// changes nothing.
type selfView struct {
	version  string
	started  time.Time
	readOnly string
	policy   string // its digest
	links    func() (up, of int)
	state    selfStore
	kinds    []string         // of all jobs that this bot runs
	next     func() time.Time // when the next scan is due; nil: not known
	now      func() time.Time
	// waivers are those that hold or wait; nil: there are none to read.
	waivers func(ctx context.Context) ([]policy.Waiver, error)
	deploys func(ctx context.Context) (commands.DeployWatches, error) // nil: there are none to read
	watcher *audit.Watcher                                            // tells how often apps are looked at between the nights; nil: never
}

// selfStore is what it is read from; state is one.
type selfStore interface {
	Ready(ctx context.Context) error
	Dialect() store.Dialect
	Tickets(ctx context.Context, f approval.Filter) ([]approval.Ticket, error)
	Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error)
	NextJob(ctx context.Context, kinds []string) (at time.Time, found bool, err error)
	LedgerHead(ctx context.Context) (ledger.Head, error)
	LookPlan(ctx context.Context) (audit.LookPlan, error)
	Watching(ctx context.Context) (audit.Watching, error)
}

// allWork is every kind of job.
func allWork() []string {
	return []string{
		approval.WorkApply, approval.WorkBatch, approval.WorkExpire, approval.WorkTell, approval.WorkLook, approval.WorkWaiver, approval.WorkTellWaiver, chat.WorkCommand, workAnnounce,
		audit.WorkScan, audit.WorkDigest, audit.WorkStale, chat.WorkReport, audit.WorkWatch, audit.WorkDrift,
		watch.WorkDeployWatch, watch.WorkTellDeployWatch, watch.WorkLookout,
	}
}

// About is what commands.Abouts wants.
func (v selfView) About(ctx context.Context) commands.About {
	ctx, cancel := context.WithTimeout(ctx, aboutTimeout)
	defer cancel()
	a := commands.About{Version: v.version, Started: v.started, ReadOnly: v.readOnly, Policy: v.policy}
	if v.links != nil {
		up, of := v.links()
		a.Links = &commands.Links{Up: up, Of: of}
	}
	a.Database = &commands.Database{Kind: string(v.state.Dialect())}
	if err := v.state.Ready(ctx); err != nil {
		a.Database.Away = true
		a.Unread = []string{"the last scan", "pending work", "the ledger's head"}
		return a
	}
	if scans, err := v.scans(ctx); err == nil {
		a.Scans = &scans
	} else {
		a.Unread = append(a.Unread, "the last scan")
	}
	if v.watcher != nil {
		if watched, err := v.watched(ctx); err == nil {
			a.Watch = &watched
		} else {
			a.Unread = append(a.Unread, "the watch")
		}
	}
	if v.deploys != nil {
		if watched, err := v.deploys(ctx); err == nil {
			a.Deploys = &watched
		} else {
			a.Unread = append(a.Unread, "the watches of deploys")
		}
	}
	if work, err := v.work(ctx); err == nil {
		a.Work = &work
	} else {
		a.Unread = append(a.Unread, "pending work")
	}
	if v.waivers != nil {
		if all, err := v.waivers(ctx); err == nil {
			a.Waivers = &commands.Waiving{}
			for _, w := range all {
				if w.State == policy.WaiverActive {
					a.Waivers.Holding++
				} else {
					a.Waivers.Waiting++
				}
			}
		} else {
			a.Unread = append(a.Unread, "the waivers")
		}
	}
	if head, err := v.state.LedgerHead(ctx); err == nil {
		a.Head = &head
	} else {
		a.Unread = append(a.Unread, "the ledger's head")
	}
	return a
}

// nightsBack is how far back the last scan is looked for: who has none in a year scans
// no more.
const nightsBack = 366 * 24 * time.Hour

func (v selfView) scans(ctx context.Context) (commands.Scans, error) {
	var s commands.Scans
	if v.next != nil {
		s.Next = v.next()
	}
	const few = 10 // nights; more than one without an end means that something is wrong, and the last good one tells since when
	nights, err := v.state.Nights(ctx, v.now().Add(-nightsBack), few)
	if err != nil {
		return s, err
	}
	for _, n := range nights { // newest first
		if !n.Finished.IsZero() {
			s.Last = n
			break
		}
	}
	return s, nil
}

func (v selfView) work(ctx context.Context) (commands.Work, error) {
	var w commands.Work
	tickets, err := v.state.Tickets(ctx, approval.Filter{States: []approval.State{approval.Pending, approval.Approved, approval.Running}, Limit: -1})
	if err != nil {
		return w, fmt.Errorf("read the open tickets: %w", err)
	}
	now := v.now()
	for _, t := range tickets {
		switch {
		case t.State != approval.Pending:
			w.Open++
		case now.Before(t.ExpiresAt):
			w.Pending++
		}
	}
	due, found, err := v.state.NextJob(ctx, v.kinds)
	if err != nil {
		return w, err
	}
	if found && due.Before(now) {
		w.Due = due
	}
	return w, nil
}
