package audit

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
)

// leftover is an app that stands and that the passes did not come to.
type leftover struct {
	id   fleet.ID
	why  string       // it is gone
	lost fleet.Reason // it may only be missing from a list
}

// finish says of every app that was not read why, and makes the digest.
func (u *scan) finish(ctx context.Context) error {
	for some := range slices.Chunk(u.todo(), u.chunk) {
		if err := u.skip(ctx, some); err != nil {
			return err
		}
	}
	rest, err := u.leftovers(ctx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(rest, u.chunk) {
		if err := u.leave(ctx, some); err != nil {
			return err
		}
	}
	if err := u.digest(ctx); err != nil {
		return err
	}
	return u.forget(ctx)
}

// skip writes down apps that were listed and not read in time.
func (u *scan) skip(ctx context.Context, apps []fleet.ID) error {
	var c chunk
	err := u.job.Step(ctx, func(ctx context.Context) error {
		for app := range u.of(apps) {
			if err := u.compare(ctx, skipped(u.policy, app, outOfTime(), u.now()), &c); err != nil {
				return err
			}
		}
		return nil
	}, func(ctx context.Context, tx *sql.Tx) error { return u.record(ctx, tx, c) })
	if err == nil {
		u.recorded(c)
	}
	return err
}

// leftovers are the apps that stand and are not among those in scope. Where a list was
// not read to its end, one that is in none may have been in that: it is lost to sight,
// unless this scan has read it.
func (u *scan) leftovers(ctx context.Context) ([]leftover, error) {
	in := make(map[fleet.ID]bool, len(u.in))
	for _, app := range u.in {
		in[app.ID] = true
	}
	var rest []leftover
	for id, of := range u.apps {
		if in[id] || of&gone != 0 {
			continue
		}
		why, out := u.out[id]
		switch {
		case out:
			rest = append(rest, leftover{id: id, why: why})
		case u.whole:
			rest = append(rest, leftover{id: id, why: "it is in no list any more: deleted, or out of this account's sight"})
		case of&done == 0:
			rest = append(rest, leftover{id: id, lost: fleet.Reason{Kind: NotListed, Text: "it is in no list that could be read"}})
		}
	}
	slices.SortFunc(rest, func(a, b leftover) int { return strings.Compare(string(a.id), string(b.id)) })
	return rest, ctx.Err()
}

// leave writes down what became of apps that are in scope no more, or out of sight.
func (u *scan) leave(ctx context.Context, some []leftover) error {
	var c chunk
	return u.job.Step(ctx, func(ctx context.Context) error {
		for _, l := range some {
			before, found, err := u.cfg.Store.Standing(ctx, l.id)
			switch {
			case err != nil:
				return err
			case !found: // forgotten meanwhile
			case l.why != "":
				c.standings = append(c.standings, Left(before, l.why, u.now(), u.scan()))
			default:
				c.standings = append(c.standings, Lost(before, l.lost, u.now(), u.scan()))
			}
		}
		return nil
	}, func(ctx context.Context, tx *sql.Tx) error { return u.record(ctx, tx, c) })
}

// digest ends the scan.
func (u *scan) digest(ctx context.Context) error {
	n := u.n
	chain, err := u.verify(ctx)
	if err != nil {
		return err
	}
	err = u.job.Step(ctx, func(ctx context.Context) error {
		n.Finished = u.now()
		n.Coverage = u.listed
		past, err := u.cfg.Store.Nights(ctx, time.Time{}, nightsBack)
		if err != nil {
			return err
		}
		d, err := BuildDigest(n, u.policy.Nightly.Timezone, u.cfg.Store.Standings(ctx), past)
		if err != nil {
			return fmt.Errorf("make the digest of %s: %w", n.ID, err)
		}
		every := u.policy.Nightly.WatchEvery
		if takes := WatchInterval(every, d.Counts.Ready, 0); takes > every {
			d.Watch = takes
		}
		if u.cfg.Head != nil {
			if d.Head, err = u.cfg.Head(ctx); err != nil {
				return fmt.Errorf("the ledger's head for the digest of %s: %w", n.ID, err)
			}
		}
		d.Chain = chain
		n.State, n.Coverage, n.Counts, n.Chain, n.Digest = Scanned, d.Coverage, d.Counts, chain, &d
		if n.Quiet {
			n.State = Told // there is nobody to tell
		}
		return nil
	}, func(ctx context.Context, tx *sql.Tx) error {
		stale := Work{Kind: WorkStale, Key: n.ID, At: StaleAt(n)}
		work := []Work{{Kind: WorkDigest, Key: n.ID, At: later(n.Post, n.Finished)}, stale}
		if n.Quiet {
			work = work[1:]
		}
		if err := u.cfg.Store.SaveNight(ctx, tx, n, work...); err != nil || chain == nil {
			return err
		}
		return u.cfg.Ledger.Record(ctx, tx, *chain)
	})
	if err == nil {
		u.log.InfoContext(ctx, "the fleet was scanned", "ref", n.ID)
	}
	return err
}

// forget forgets what is older than the policy keeps, by itself: what goes wrong with that
// waits for the next night, and costs no digest. The night itself stays, however long
// ago it was due: its digest is still to be posted, and the next one is reckoned from it.
func (u *scan) forget(ctx context.Context) error {
	keep := u.policy.Nightly.Keep
	if keep <= 0 {
		return nil
	}
	before := earlier(u.now().Add(-keep), u.n.Slot)
	return u.job.Step(ctx, nil, func(ctx context.Context, tx *sql.Tx) error { return u.cfg.Store.Prune(ctx, tx, before) })
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
