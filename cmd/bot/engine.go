package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"slices"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/rollout"
	"example.com/zdd/watch"
)

// engine is everything that decides and acts: the desk with its tickets, the queue with
// the work that decisions make, and the rollout.
type engine struct {
	desk    *approval.Desk
	doing   *jobs.Queue // decisions and changes
	telling *jobs.Queue // messages and second looks: a slow Slack must not hold a rollout up
	scans   *jobs.Queue // the whole fleet each night, which takes minutes or hours
	reports *jobs.Queue // and for a person
	watches *jobs.Queue // a few apps at a time, between the nights
	nights  *nightWork
	probes  *jobs.Queue // watches of deploys, a worker for each
	watch   *watchWork
	deploys *deployWork
	waived  *waiverWork
	waivers *approval.Waivers
	bot     *chat.Bot
	about   selfView
}

// newEngine joins what knows nothing of each other. Work is done by any replica that
// finds it; all of it is in the database.
func newEngine(cfg config, o outside, pol policy.Policy, state state, apps *heroku.Client, slackConfig chat.Config, log *slog.Logger) (*engine, func(), error) {
	groups, err := chat.NewGroups(slackConfig)
	if err != nil {
		return nil, nil, err
	}
	inForce := func() policy.Policy { return pol }
	e := &engine{}
	wake := func() { e.doing.Wake(); e.telling.Wake(); e.scans.Wake(); e.reports.Wake() }
	e.waived = newWaiverWork(cfg, o, pol, state, apps, log, slackConfig.Registerer)
	if e.nights, err = newNightWork(cfg, o, pol, state, apps, e.waived.Rules, func() { e.scans.Wake() }, log); err != nil {
		groups.Close()
		return nil, nil, err
	}
	e.watch = newWatchWork(o, pol, state, apps, e.waived.Rules, func() { e.telling.Wake() }, log)
	e.desk = approval.NewDesk(approval.DeskConfig{
		Store: state, Apps: urgent{apps}, Policy: inForce, People: people{e, groups}, ReadOnly: cfg.readOnly(), Wake: wake, Self: apps.ReadSelf,
		Key: ledger.NewKey(cfg.ledgerKey.Reveal()),
	})
	e.waivers = e.waived.desk(e.desk, state)
	runner := rollout.New(rollout.Config{
		Tickets: state, Apps: apps, Heroku: apps,
		Allowed:  e.desk.StillAllowed,
		Proof:    e.desk.Proof,
		Policy:   inForce,
		Judge:    e.waived.verdict,
		Head:     state.LedgerHead,
		Timing:   o.Rollout,
		ReadOnly: cfg.readOnly(),
		Log:      log,
	})
	queueOf := func(workers int, handlers map[string]jobs.Handler) jobs.Config {
		return jobs.Config{
			Store:    state,
			Owner:    rand.Text()[:8], // never DYNO: during a preboot hand-over two dynos have the same
			Redact:   cfg.redact,
			Workers:  workers,
			Timing:   o.Queue,
			Log:      log,
			Handlers: handlers,
			// The nights after it wait for it.
			GiveUpAfter: map[string]time.Duration{audit.WorkScan: scanGivenUp},
		}
	}
	e.deploys = newDeployWork(cfg, o, pol, state, apps, groups, e.waived.Rules, func() { e.probes.Wake() }, func() { e.telling.Wake() }, log, slackConfig.Registerer)
	queue := func(workers int, handlers map[string]jobs.Handler) *jobs.Queue {
		return jobs.New(queueOf(workers, handlers))
	}
	apply := func(ctx context.Context, j *jobs.Job) error {
		defer e.telling.Wake()
		return runner.Apply(heroku.Urgent(ctx), j.Key, told{j, e.telling.Wake})
	}
	e.doing = queue(doingWorkers, map[string]jobs.Handler{
		approval.WorkApply:  apply,
		approval.WorkBatch:  apply,
		approval.WorkExpire: func(ctx context.Context, j *jobs.Job) error { return e.desk.Expire(ctx, j.Key) },
		approval.WorkWaiver: func(ctx context.Context, j *jobs.Job) error {
			defer e.telling.Wake()
			return due(ctx, e.waivers, j)
		},
		chat.WorkCommand: func(ctx context.Context, j *jobs.Job) error { return e.bot.Perform(ctx, j) },
	})
	e.telling = queue(tellingWorkers, map[string]jobs.Handler{
		approval.WorkTell:         func(ctx context.Context, j *jobs.Job) error { return e.bot.Tell(ctx, j) },
		approval.WorkTellWaiver:   func(ctx context.Context, j *jobs.Job) error { return e.bot.TellWaiver(ctx, j) },
		approval.WorkLook:         func(ctx context.Context, j *jobs.Job) error { return runner.Look(heroku.Background(ctx), j.Key, j) },
		workAnnounce:              func(ctx context.Context, j *jobs.Job) error { return e.announceRules(ctx, j, state, pol) },
		audit.WorkDigest:          func(ctx context.Context, j *jobs.Job) error { return e.bot.Digest(ctx, j) },
		audit.WorkStale:           func(ctx context.Context, j *jobs.Job) error { return e.bot.Stale(ctx, j) },
		audit.WorkDrift:           func(ctx context.Context, j *jobs.Job) error { return e.bot.Drift(ctx, j) },
		watch.WorkTellDeployWatch: func(ctx context.Context, j *jobs.Job) error { return e.bot.TellDeployWatch(ctx, j) },
	})
	e.scans = queue(scanWorkers, map[string]jobs.Handler{
		audit.WorkScan: func(ctx context.Context, j *jobs.Job) error { return e.nights.scan(ctx, e, j) },
	})
	e.reports = queue(reportWorkers, map[string]jobs.Handler{
		chat.WorkReport: func(ctx context.Context, j *jobs.Job) error { return e.bot.Report(heroku.Background(ctx), j) },
	})
	watches := queueOf(watchWorkers, map[string]jobs.Handler{
		audit.WorkWatch: func(ctx context.Context, j *jobs.Job) error { return e.watch.watch(ctx, j) },
	})
	watches.Farthest = 2 * audit.WatchPutsOff
	e.watches = jobs.New(watches)
	e.probes = queue(pol.Watch.AtOnce+1, map[string]jobs.Handler{ // and one that looks out
		watch.WorkDeployWatch: func(ctx context.Context, j *jobs.Job) error {
			return e.deploys.runner.Run(heroku.Background(ctx), j.Key, j)
		},
		watch.WorkLookout: func(ctx context.Context, j *jobs.Job) error { return e.deploys.lookout.Look(heroku.Background(ctx), j) },
	})
	e.about = selfView{
		version: version(), started: o.now(), readOnly: cfg.readOnly(), policy: pol.Digest(), state: state, kinds: allWork(), now: o.now,
		links: func() (up, of int) { return e.bot.Links() }, next: func() time.Time { return e.nights.next(o.now()) },
		watcher: e.watch.watcher, deploys: e.deploys.watched, waivers: e.waived.Open,
	}
	table := commands.New(commands.Deps{
		Abouts: e.about,
		Apps:   apps, Listed: apps, Policies: fixed{pol}, Groups: groups, Desk: e.desk, Ledger: state, Messages: e.messageOf(state),
		Nights: state, NextNight: e.nights.next, Releases: apps, Reports: reportStarter{e},
		Waivers: e.waived, Waiving: e.waivers,
		Watching: e.deploys.desk, Watches: state, Proofs: state,
		Members: groups.Members, ReadOnly: cfg.readOnly(),
	})
	slackConfig.Commands, slackConfig.Home, slackConfig.Forms = table, table, table
	slackConfig.Digests, slackConfig.Reports = e.nights.digests(), e.nights.reports()
	slackConfig.Drifts = e.watch.drifts()
	slackConfig.Deploys = e.deploys.told()
	slackConfig.Requests = state
	slackConfig.Wake = wake
	slackConfig.Telling = chat.Telling{
		Tickets: state, Posts: state, Policy: inForce, Groups: groups,
		Waivers: state, Waiver: e.waived.shown,
		Reply: func(t approval.Ticket, to chat.Audience) commands.Reply {
			if t.Approvals == 0 && slices.Contains([]approval.State{approval.Pending, approval.Expired, approval.Cancelled}, t.State) {
				return commands.Reply{} // a preview that was answered privately; it is told when it runs
			}
			if t.Of != "" {
				return commands.PartReply(t)
			}
			if to == chat.ToApprovers {
				return commands.TicketReply(t, commands.ForApprovers)
			}
			return commands.TicketReply(t, commands.ForRequester)
		},
	}
	if e.bot, err = chat.New(slackConfig); err != nil {
		groups.Close()
		return nil, nil, err
	}
	e.nights.told = e.bot.ToldHead
	return e, groups.Close, nil
}

// told is a job after each step of which people are told how far it is: the other queue
// would find that out by itself only half a minute later.
type told struct {
	*jobs.Job
	wake func()
}

// Step is that of *jobs.Job.
func (t told) Step(ctx context.Context, do func(context.Context) error, record func(context.Context, *sql.Tx) error) error {
	defer t.wake()
	return t.Job.Step(ctx, do, record)
}

// How many jobs run at once. A rollout waits most of the time without holding a worker,
// so a few serve many; each may hold a database connection.
const (
	doingWorkers   = 5
	tellingWorkers = 3
)

// scanGivenUp is for how long a scan may do nothing but fail, as one app that a defect
// can't judge would have it: scans run one after the other, and the next night's is to
// begin on time. To wait for Heroku is no failure.
const scanGivenUp = 12 * time.Hour

// people is who Slack says somebody is.
type people struct {
	engine *engine // whose bot is made last
	*chat.Groups
}

// Kind says whether a person is an active full member of the bot's workspace.
func (p people) Kind(ctx context.Context, user, team string) (ok bool, why string, err error) {
	return p.engine.bot.Kind(ctx, user, team)
}

// readOnly is why the bot may change nothing, in sentences that say what mends it; empty
// where it may.
func (c config) readOnly() string {
	switch {
	case c.ledgerKey.IsZero():
		return "I can look but not change anything: `ZDD_LEDGER_KEY` is not set, so nobody could prove afterwards who decided what. Whoever runs me can set it to a long random text, such as `openssl rand -hex 32` prints, and restart me. Nothing was changed."
	case c.dyno != "" && c.self() == "":
		return "I can look but not change anything: I run on a Heroku dyno and don't know which app is my own, so I could switch myself off. Whoever runs me can run `heroku labs:enable runtime-dyno-metadata`, or set `ZDD_SELF_APP` to my app's name. Nothing was changed."
	}
	return ""
}

// self is the bot's own app, which it never changes.
func (c config) self() string {
	if c.selfApp != "" {
		return c.selfApp
	}
	return c.herokuAppID
}

// messageOf finds a ticket's message in the approval channel, as an address in Slack.
func (e *engine) messageOf(state state) func(ctx context.Context, ticket string) string {
	return func(ctx context.Context, ticket string) string {
		self, known := e.bot.Self()
		posts, err := state.Posts(ctx, ticket)
		if err != nil || !known { // a link less, and the entry is there all the same
			return ""
		}
		for _, p := range posts {
			if !strings.HasPrefix(p.Target, "channel/") || p.TS == "" {
				continue
			}
			return self.PermalinkIn(wholeOf(ctx, state, p), p)
		}
		return ""
	}
}

// wholeOf is the message in whose thread that of a ticket stands, which carries out a part
// of another one; the zero Post where it is no such reply, or that can't be found out.
func wholeOf(ctx context.Context, state state, p chat.Post) chat.Post {
	if p.Whole() == "" {
		return chat.Post{}
	}
	t, err := state.Ticket(ctx, p.Ticket)
	if err != nil {
		return chat.Post{}
	}
	posts, err := state.Posts(ctx, t.Of)
	if err != nil {
		return chat.Post{}
	}
	i := slices.IndexFunc(posts, func(whole chat.Post) bool { return whole.Target == p.Whole() })
	if i < 0 {
		return chat.Post{}
	}
	return posts[i]
}

// urgent reads for a decision that a person waits for, down to the account's last calls:
// what was approved has to be checked, or it can't be carried out.
type urgent struct{ *heroku.Client }

// ReadApp reads an app afresh.
func (u urgent) ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	return u.Client.ReadApp(heroku.Urgent(ctx), ref)
}
