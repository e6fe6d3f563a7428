package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"example.com/zdd/chat"
	"example.com/zdd/heroku"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

func serveProgram(ctx context.Context, args []string, o outside) error {
	if len(args) > 0 {
		return usage("serve")
	}
	cfg := readConfig(o.Getenv)
	if err := cfg.missing("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "HEROKU_API_KEY"); err != nil {
		return err
	}
	return serve(ctx, cfg, o)
}

// readers is how many commands that only read run at once. They wait for Heroku nearly all
// of the time: at two seconds a call, which is a bad day, fifty commands a second are two
// hundred under way (`make bench`), and who is turned away then asks again. Each takes up to
// ten connections for a moment; people who ask about the same app share them.
const readers = 256

// fixed is a policy that holds until the next start.
type fixed struct{ p policy.Policy }

func (f fixed) Policy() policy.Policy { return f.p }

// serve is the bot: it returns when ctx ends (nil, after a graceful stop) or when
// Slack says something that only a person can mend.
func serve(ctx context.Context, cfg config, o outside) error {
	log, err := cfg.logger(o)
	if err != nil {
		return err
	}
	if err := cfg.checkDatabase(); err != nil {
		return err
	}
	if err := cfg.overheard(o, "SLACK_API_URL"); err != nil {
		return err
	}
	pol, origin, err := cfg.policy()
	if err != nil {
		return err
	}
	log.Info("starting", "ref", version())
	log.Info("policy read", "ref", origin+" "+pol.Digest()[:12])

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	log = countLines(log, registry)

	apps, err := newHeroku(cfg, pol, o, log, registry)
	if err != nil {
		return err
	}
	defer apps.Close()
	state, err := newState(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer state.close()
	slackConfig := chat.Config{
		APIURL:     cfg.slackURL,
		BotToken:   cfg.slackBot,
		AppToken:   cfg.slackApp,
		Dial:       o.Dial,
		Envelopes:  state,
		Log:        log,
		Registerer: registry,
		Timing:     o.Chat,
		Workers:    readers,
	}
	engine, closeEngine, err := newEngine(cfg, o, pol, state, apps, slackConfig, log)
	if err != nil {
		return err
	}
	defer closeEngine()
	registry.MustRegister(newGauges(engine.about))
	if why := cfg.readOnly(); why != "" {
		log.Warn("nothing will be changed", "err", why)
	}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return state.run(ctx, func(ctx context.Context) error {
			defer engine.telling.Wake() // changed rules are told of
			if err := engine.watch.begin(ctx); err != nil {
				return err
			}
			defer engine.watches.Wake()
			if err := engine.deploys.begin(ctx); err != nil {
				return err
			}
			defer engine.probes.Wake()
			if o.Look {
				if err := engine.nights.nightly.BeginQuiet(ctx); err != nil {
					return err
				}
			}
			if o.Started != nil {
				defer o.Started()
			}
			return recordRules(ctx, state, ledger.NewKey(cfg.ledgerKey.Reveal()), pol, o.now())
		})
	})
	group.Go(func() error { return engine.bot.Run(ctx) })
	group.Go(func() error {
		// The first mistyped name should get suggestions too; without them it is only less kind.
		_, _ = apps.ReadNames(heroku.Background(ctx))
		return nil
	})
	group.Go(func() error { return engine.doing.Run(ctx) })
	group.Go(func() error { return engine.telling.Run(ctx) })
	group.Go(func() error { return engine.scans.Run(ctx) })
	group.Go(func() error { return engine.reports.Run(ctx) })
	group.Go(func() error { return engine.watches.Run(ctx) })
	group.Go(func() error { return engine.probes.Run(ctx) })
	group.Go(func() error { return engine.nights.run(ctx, o.Night) })
	if cfg.port != "" {
		group.Go(func() error { return serveHealth(ctx, cfg.port, health{engine.bot.Ready, state.Ready, registry}, log) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	log.Info("stopped")
	return nil
}

// newHeroku makes the client of Heroku that every program uses.
func newHeroku(cfg config, pol policy.Policy, o outside, log *slog.Logger, registry prometheus.Registerer) (*heroku.Client, error) {
	if err := cfg.overheard(o, "HEROKU_API_URL", "HEROKU_METRICS_URL"); err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if o.Dial != nil {
		proxy = nil // a test's network has none
	}
	reserve := pol.Heroku.Reserve
	if reserve == 0 {
		reserve = -1 // the policy's 0 means none, the client's its default
	}
	return heroku.New(heroku.Config{
		Proxy:      proxy,
		URL:        cfg.herokuURL,
		MetricsURL: cfg.metricURL,
		Key:        cfg.herokuKey,
		Dial:       o.Dial,
		Self:       cfg.self(),
		ReadOnly:   cfg.readOnly(),
		Reserve:    reserve,
		Parallel:   pol.Heroku.Parallel,
		Log:        log,
		Registerer: registry,
	})
}

// checkDatabase refuses a database that would lose what it is given: a dyno's disk is
// thrown away at every restart, at least once a day (Dev Center, "Dynos: Ephemeral Filesystem").
func (c config) checkDatabase() error {
	if c.dyno == "" || c.sqliteOnDyno || c.onPostgres() {
		return nil
	}
	return &exit{exitError, "this is a Heroku dyno and there is no PostgreSQL: the dyno's disk is lost at every restart, and with it every approval and the ledger.\n" +
		"     Add a database: heroku addons:create heroku-postgresql:essential-0\n" +
		"     To only try the bot out, set ZDD_SQLITE_ON_DYNO=yes."}
}

func (c config) onPostgres() bool {
	url := c.database.Reveal()
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// storeOptions says which database DATABASE_URL means.
func (c config) storeOptions(log *slog.Logger) (store.Options, error) {
	url, key := c.database.Reveal(), ledger.NewKey(c.ledgerKey.Reveal())
	switch file, isFile := strings.CutPrefix(url, "sqlite:"); {
	case url == "":
		return store.Options{Log: log, LedgerKey: key}, nil
	case isFile && file != "":
		return store.Options{Path: filepath.Clean(file), Log: log, LedgerKey: key}, nil
	case c.onPostgres():
		return store.Options{URL: c.database, Log: log, LedgerKey: key}, nil
	}
	return store.Options{}, fmt.Errorf("DATABASE_URL is neither postgres://… nor sqlite:FILE: unset it for the SQLite file %s, or take it from `heroku config:get DATABASE_URL`", store.DefaultPath)
}
