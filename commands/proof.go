package commands

import (
	"context"
	"fmt"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/watch"
)

// proofs tells the last verdict on the deploys of apps, of those that have any: what was
// proved, beside what is configured. watch.Store does.
type proofs interface {
	Proofs(ctx context.Context, apps []fleet.ID) (map[fleet.ID]watch.Proof, error)
}

// proofsWithin is how long an answer waits for what is only an addition to it.
const proofsWithin = time.Second

// proofOf is the last verdict on one app; told is false where it can't be told.
func proofOf(ctx context.Context, from proofs, app fleet.ID) (p watch.Proof, told bool) {
	if from == nil {
		return watch.Proof{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, proofsWithin)
	defer cancel()
	all, err := from.Proofs(ctx, []fleet.ID{app})
	if err != nil {
		return watch.Proof{}, false
	}
	return all[app], true
}

// proofText is what was proved of an app whose latest release is running; 0: that is not
// known. The zero Proof is that of an app that was never watched.
func proofText(p watch.Proof, running int, now time.Time) string {
	old := func(v int) string {
		if running > v {
			return fmt.Sprintf("; v%d runs now", running)
		}
		return ""
	}
	before := ""
	if p.Proved != nil {
		before = fmt.Sprintf("; v%d was proved %s", p.Proved.Release, ago(now.Sub(p.Proved.At)))
	}
	switch {
	case p.Watch == "":
		return "never watched"
	case p.Verdict == watch.Proved && running > p.Release:
		return fmt.Sprintf("v%d was proved %s (%s)%s", p.Release, ago(now.Sub(p.At)), proofCounts(p), old(p.Release))
	case p.Verdict == watch.Proved:
		return fmt.Sprintf("v%d, %s (%s)", p.Release, ago(now.Sub(p.At)), proofCounts(p))
	case p.Verdict == watch.Failed:
		return fmt.Sprintf("no: v%d failed %s (%s)%s%s", p.Release, ago(now.Sub(p.At)), proofCounts(p), old(p.Release), before)
	case p.Release == 0:
		return fmt.Sprintf("not yet: the last watch, %s, saw no release%s", ago(now.Sub(p.At)), before)
	}
	return fmt.Sprintf("not yet: the watch of v%d, %s, was inconclusive%s", p.Release, ago(now.Sub(p.At)), before)
}

func proofCounts(p watch.Proof) string {
	if p.Failed > 0 {
		return fmt.Sprintf("%s of %s requests failed", grouped(p.Failed), grouped(p.Sent))
	}
	return fmt.Sprintf("%s request%s, none failed", grouped(p.Sent), plural(p.Sent))
}
