//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/store"
)

const (
	// handOvers is how often the bot is deployed while people use it.
	handOvers = 4
	// sideBySide is how long both run at the most. On a dyno with preboot it is some three
	// minutes, in which everything that the bot does happens many times, as it does here.
	sideBySide = 2 * time.Second
)

// TestHandOver deploys the bot, the real process on PostgreSQL, again and again while
// people use it, as a preboot hand-over does: the new one starts beside the old one, both
// run for a while, the old one gets SIGTERM. Nobody notices: every press is acknowledged,
// every story comes to its end, nothing is done twice or overlaps, and each old bot ends
// with status 0.
//
// Two bots of one version are the hardest case that one program can be tested in: whether
// an older one runs on the newer one's schema is store's TestOlderProgramOnNewerSchema.
func TestHandOver(t *testing.T) {
	if testing.Short() {
		t.Skip("it deploys processes for a quarter of a minute")
	}
	t.Parallel() // it waits most of the time
	c := campaign{name: "hand-over", postgres: true, replicas: 2, atOnce: 6, seed: 1, logs: t.TempDir()}
	apps := crashApps(60)
	w := newCrashWorld(t, apps, c.seed)
	w.calm.Store(true) // both services are well: what goes wrong here is the hand-over's doing
	database, options := c.database(t)
	bots := c.processes(w, database)
	for _, r := range bots {
		t.Cleanup(func() { r.kill() })
	}
	bots[0].start(t)
	crowd := newCrowd(w, c.seed)
	crowd.await(t.Context(), connecting, func() bool { return w.slack.Links() == linksOfOne })

	watching, stopWatching := context.WithCancel(t.Context())
	defer stopWatching()
	watched := make(chan error, 1)
	go func() { watched <- crowd.watch(watching, time.Second) }()
	noMore := make(chan struct{})
	go func() {
		defer close(noMore)
		rnd := rand.New(rand.NewPCG(c.seed, 4))
		for n := range handOvers {
			time.Sleep(time.Duration(rnd.Int64N(int64(sideBySide)))) // one runs alone
			old, next := bots[n%2], bots[(n+1)%2]
			next.start(t)
			if !crowd.await(t.Context(), connecting, func() bool { return w.slack.Links() == 2*linksOfOne }) {
				t.Errorf("hand-over %d: got %d links, want those of two bots", n, w.slack.Links())
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(sideBySide)))) // both run
			if err := old.stopGently(); err != nil {
				t.Errorf("hand-over %d: %v", n, err)
			}
		}
	}()
	lived := crowd.lives(t, apps, c.atOnce, noMore)
	<-noMore

	kept, err := store.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	r := crashRecord{apps: apps[:lived]}
	r.work = settle(t.Context(), kept)
	for _, one := range bots {
		r.fell = append(r.fell, one.fell...)
		if err := one.stopGently(); err != nil {
			r.fell = append(r.fell, err.Error())
		}
	}
	crowd.await(t.Context(), time.Minute, func() bool {
		crowd.mu.Lock()
		defer crowd.mu.Unlock()
		return crowd.shown == len(w.slack.Events())
	})
	stopWatching()
	if err := <-watched; err != nil {
		t.Errorf("watch Slack: %v", err)
	}
	r.final = w.finals(r.apps)
	r.writes, r.presses, r.events, r.stuck, r.hands = w.recorded(), crowd.presses, crowd.events, crowd.stuck, crowd.hands
	if err := r.read(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	errs, mishaps := readCrashLogs(t, c.logs)
	r.fell = append(r.fell, mishaps...)
	found := r.judge()
	t.Logf("hand-overs=%d %s | %s | %s errors-logged=%d", handOvers, r.size(), found, found.noted(), errs)
	if found.harm() > 0 {
		t.Errorf("harm was done:\n%s", strings.Join(found.what, "\n"))
	}
	if errs > 0 {
		t.Errorf("got %d errors in the logs of a deploy in which nothing went wrong", errs)
	}
	noticed := slices.DeleteFunc(slices.Clone(r.presses), func(d *press) bool { return d.acked && !d.refused })
	for _, d := range noticed {
		t.Errorf("%s noticed the deploy: %s of %s%s at %s: delivered %v, acknowledged %v, refused %v", d.who, d.did, d.app, d.ticket, d.at.Format(time.TimeOnly), d.envelope != "", d.acked, d.refused)
	}
	if done := slices.ContainsFunc(r.tickets, func(t approval.Ticket) bool { return t.State == approval.Done }); !done || len(r.writes) == 0 {
		t.Errorf("got %s: nothing is shown by that", r.size())
	}
}

// linksOfOne is how many links one bot keeps.
const linksOfOne = linksOfTwo / 2
