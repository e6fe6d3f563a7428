package main

import (
	"context"
	"database/sql"
	"log/slog"
	"slices"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/jobs"
	"example.com/zdd/policy"
)

// watchWorkers is one: there is one job of the watch. It has a queue of its own, so that
// neither a night nor a slow Slack keeps it waiting, and it keeps nobody.
const watchWorkers = 1

// decidedBefore is how long before its end a ticket may have been decided on: a soak of a
// day, and as much again for trouble, with room to spare.
const decidedBefore = 7 * 24 * time.Hour

// watchWork is what the looks between the nights are wired of.
type watchWork struct {
	state   state
	pol     policy.Policy
	watcher *audit.Watcher
	now     func() time.Time
}

// newWatchWork is nothing that runs yet. told is called when there is something to tell.
func newWatchWork(o outside, pol policy.Policy, state state, apps *heroku.Client, rules audit.RulesFor, told func(), log *slog.Logger) *watchWork {
	w := &watchWork{state: state, pol: pol, now: o.now}
	w.watcher = audit.NewWatcher(audit.WatchConfig{
		Store: state, Heroku: apps, Policy: func() policy.Policy { return pol }, Rules: rules, Ours: w.ours, Told: told, Timing: o.Watch, Log: log,
	})
	return w
}

// begin sees to it that there is the job that watches.
func (w *watchWork) begin(ctx context.Context) error {
	return w.state.Tx(ctx, func(tx *sql.Tx) error {
		return w.state.EnqueueJob(ctx, tx, jobs.Spec{Kind: audit.WorkWatch, Key: audit.TheFleet, At: w.now()})
	})
}

// watch is the handler of audit.WorkWatch.
func (w *watchWork) watch(ctx context.Context, j *jobs.Job) error {
	return w.watcher.Watch(heroku.Background(ctx), j)
}

// ours are the tickets that run, or ended at or after since, and changed something: see
// audit.WatchConfig.
func (w *watchWork) ours(ctx context.Context, app fleet.ID, since time.Time) ([]audit.Ours, error) {
	tickets, err := w.state.Tickets(ctx, approval.Filter{
		States: []approval.State{approval.Running, approval.Done, approval.Stopped, approval.Failed},
		App:    app, Decided: since.Add(-decidedBefore), Limit: -1,
	})
	if err != nil {
		return nil, err
	}
	var all []audit.Ours
	for _, t := range tickets {
		began := slices.ContainsFunc(t.Progress, func(p approval.Progress) bool { return !p.Intended.IsZero() })
		if t.Plan.App == "" || t.State.Final() && (!began || t.EndedAt.Before(since)) {
			continue
		}
		o := audit.Ours{Ticket: t.ID, App: t.Plan.App, Ready: t.Verdict == string(audit.VerdictReady)}
		if t.State.Final() {
			o.Ended = t.EndedAt
		}
		all = append(all, o)
	}
	return all, nil
}

// drifts are what chat tells of drift with.
func (w *watchWork) drifts() chat.Drifts {
	return chat.Drifts{
		Bulletins: w.state, Posts: w.state, Render: commands.DriftView,
		Home: func() string { return w.pol.Nightly.Channel },
	}
}

// watched is what there is to know of the looks.
func (v selfView) watched(ctx context.Context) (commands.Watched, error) {
	plan, err := v.state.LookPlan(ctx)
	if err != nil {
		return commands.Watched{}, err
	}
	known, err := v.state.Watching(ctx)
	if err != nil {
		return commands.Watched{}, err
	}
	return commands.Watched{
		Every: v.watcher.Every(), Takes: v.watcher.Interval(plan.Apps, known.Calls),
		Apps: plan.Apps, Drifting: len(known.Pending), Found: known.Found, Looked: known.Looked,
	}, nil
}
