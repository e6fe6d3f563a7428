package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/schedule"
)

// How many readings of the whole fleet go on at once. Scans have a worker of their own, so
// that people who ask for reports do not hold the night up. All share the account's limit,
// so more of them would only make each slower.
const (
	scanWorkers   = 1
	reportWorkers = 2
)

// nightWork is what the nightly scan, the digest and reports on demand are wired of.
type nightWork struct {
	cfg      config
	pol      policy.Policy
	state    state
	apps     *heroku.Client
	now      func() time.Time
	log      *slog.Logger
	slots    schedule.Schedule
	nightly  *audit.Nightly
	scanner  *audit.Scanner
	reporter audit.Collector
	told     func(ctx context.Context, channel string) (head string, at time.Time, found bool, err error) // see chat.Bot.ToldHead; set before anything runs
}

// newNightWork is nothing that runs yet. began is called when a night has begun here.
func newNightWork(cfg config, o outside, pol policy.Policy, state state, apps *heroku.Client, rules audit.RulesFor, began func(), log *slog.Logger) (*nightWork, error) {
	slots, err := schedule.Parse(pol.Nightly.Schedule, pol.Nightly.Location())
	if err != nil {
		return nil, fmt.Errorf("read digest.schedule: %w", err)
	}
	inForce := func() policy.Policy { return pol }
	n := &nightWork{cfg: cfg, pol: pol, state: state, apps: apps, now: o.now, log: log, slots: slots}
	n.nightly = &audit.Nightly{
		Store: state, Schedule: slots, PostAt: pol.Nightly.PostAt, Log: log,
		Began: func(audit.Night) { began() },
	}
	n.scanner = audit.NewScanner(audit.ScanConfig{Store: state, Heroku: apps, Policy: inForce, Rules: rules, Head: n.head, Ledger: n.chains(o.Scan), Timing: o.Scan, Log: log})
	n.reporter = audit.Collector{Heroku: apps, Policy: inForce, Rules: rules}
	return n, nil
}

// next is when the next scan is due after that time.
func (n *nightWork) next(after time.Time) time.Time { return n.slots.Next(after) }

// head is the ledger's, as people are shown it. Without a key nobody could check it.
func (n *nightWork) head(ctx context.Context) (string, error) {
	if n.cfg.ledgerKey.IsZero() {
		return "", nil
	}
	head, err := n.state.LedgerHead(ctx)
	return head.String(), err
}

// run begins each night when it is due, and those that are asked for out of turn, which
// only the demo does.
func (n *nightWork) run(ctx context.Context, outOfTurn <-chan struct{}) error {
	ended := make(chan error, 1)
	go func() { ended <- n.nightly.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-outOfTurn:
			if _, err := n.nightly.BeginNow(ctx); err != nil && ctx.Err() == nil {
				n.log.Warn("no scan out of turn", "err", err)
			}
		}
	}
}

// scan is the handler of audit.WorkScan.
func (n *nightWork) scan(ctx context.Context, e *engine, j *jobs.Job) error {
	defer e.telling.Wake()
	return n.scanner.Scan(heroku.Background(ctx), j.Key, j)
}

// digests are what chat publishes nights with.
func (n *nightWork) digests() chat.Digests {
	home := n.pol.Nightly.Channel
	return chat.Digests{
		Nights: n.state, Posts: n.state,
		Render: func(d audit.Digest, r chat.Rendering) (commands.Reply, []commands.Reply) {
			view := commands.View{Home: home, Head: d.Head, Repeat: r.Repeat, Name: r.Name}
			if r.Channel != home {
				view.Channel = r.Channel
			}
			view.Proving = n.proving(view.Channel)
			return commands.DigestView(d, view)
		},
		Channels: func(d audit.Digest) []string { return commands.DigestChannels(d, home) },
		CSV:      n.csv,
		Posted:   n.posted,
		Home:     func() string { return home },
		Notice:   func() string { return n.pol.Approval.Channel },
	}
}

// provingWithin is how long a digest waits for what watched deploys have shown.
const provingWithin = 10 * time.Second

// proving is what watched deploys have shown of the apps that a channel is told of; nil where
// that can't be read just now: the digest is not held up by it.
func (n *nightWork) proving(channel string) *commands.Proving {
	ctx, cancel := context.WithTimeout(context.Background(), provingWithin)
	defer cancel()
	p, err := commands.ReadProving(ctx, n.state, n.state, channel, n.now())
	if err != nil {
		n.log.Warn("a digest does not tell what was proved", "err", err)
		return nil
	}
	return p
}

// csv is how the apps stand that a channel is told of, as of the night or, where its
// digest waited long, as of the one after.
func (n *nightWork) csv(ctx context.Context, _ audit.Night, channel string) ([]byte, error) {
	proofs, err := n.state.Proofs(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read what was proved: %w", err)
	}
	var out bytes.Buffer
	err = audit.StreamCSV(&out, func(yield func(audit.Standing, error) bool) {
		for s, err := range n.state.Standings(ctx) {
			theirs := channel == n.pol.Nightly.Channel || s.Channel == channel
			if err == nil && (!s.Gone.IsZero() || !theirs) {
				continue
			}
			if !yield(s, err) {
				return
			}
		}
	}, commands.ProofColumns(proofs)...)
	return out.Bytes(), err
}

// posted writes into the ledger that a digest was told, and what it came to.
func (n *nightWork) posted(ctx context.Context, tx *sql.Tx, night audit.Night) error {
	detail, err := json.Marshal(map[string]any{"night": night.ID, "coverage": night.Coverage, "counts": night.Counts})
	if err != nil {
		return err
	}
	_, err = n.state.AppendLedger(ctx, tx, ledger.NewKey(n.cfg.ledgerKey.Reveal()), ledger.Entry{At: n.now(), Actor: ledger.Bot, Verb: ledger.Reported, Detail: detail})
	return err
}

// foughtOver marks those that others change again and again, which the looks between the
// nights know: they are not offered the same fix once more.
func (n *nightWork) foughtOver(ctx context.Context, read []audit.Standing) error {
	fights := map[fleet.ID]audit.Watch{}
	for s, err := range n.state.Standings(ctx) {
		if err != nil {
			return fmt.Errorf("read what is fought over: %w", err)
		}
		if s.Watch.Fight != nil {
			fights[s.App] = audit.Watch{Fight: s.Watch.Fight, Flips: s.Watch.Flips}
		}
	}
	for i := range read {
		read[i].Watch = fights[read[i].App]
	}
	return nil
}

// reports are what chat carries reports on demand out with. queued is called when one
// was asked for.
func (n *nightWork) reports() chat.Reports {
	return chat.Reports{
		Posts: n.state, Tx: n.state.Tx,
		Enqueue: func(ctx context.Context, tx *sql.Tx, key string) error {
			return n.state.EnqueueJob(ctx, tx, jobs.Spec{Kind: chat.WorkReport, Key: key, At: n.now()})
		},
		Collect: func(ctx context.Context, want audit.Want, progress func(done, of int)) (audit.Fleet, error) {
			read, err := n.reporter.Collect(ctx, want, progress)
			if p, ok := errors.AsType[*fleet.Problem](err); ok {
				return read, commands.ExplainReport(p, want)
			}
			if err == nil {
				err = n.foughtOver(ctx, read.Standings)
			}
			return read, err
		},
		Progress: commands.ReportProgress,
		View: func(ctx context.Context, f audit.Fleet, want audit.Want, name func(string) string) (commands.Reply, []commands.Reply) {
			view := commands.FleetView{Want: want, Zone: n.pol.Nightly.Location(), Name: name}
			ctx, cancel := context.WithTimeout(ctx, provingWithin)
			defer cancel()
			if proofs, err := n.state.Proofs(ctx, nil); err != nil {
				n.log.Warn("a report does not tell what was proved", "err", err)
			} else {
				view.Proving = commands.ProvingOf(f, proofs, n.now())
			}
			return commands.ReportView(f, view)
		},
		CSV: func(ctx context.Context, f audit.Fleet) ([]byte, error) {
			proofs, err := n.state.Proofs(ctx, nil)
			if err != nil {
				return nil, fmt.Errorf("read what was proved: %w", err)
			}
			var out bytes.Buffer
			err = audit.WriteCSV(&out, f.Standings, commands.ProofColumns(proofs)...)
			return out.Bytes(), err
		},
	}
}

// reportStarter begins a report for a person, with a bot that is made last.
type reportStarter struct{ engine *engine }

// Start begins it, unless the person waits for one already.
func (s reportStarter) Start(ctx context.Context, by commands.Person, want audit.Want) (joined bool, err error) {
	defer s.engine.reports.Wake()
	return s.engine.bot.BeginReport(ctx, by, want)
}
