package main

import (
	"context"
	"database/sql"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/jobs"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// aliveWithin is what Heroku's own API may take to accept a connection before our network
// counts as away: a probe's answer is waited for about as long.
const aliveWithin = 3 * time.Second

// deployWork is what watching deploys is wired of.
type deployWork struct {
	state   state
	pol     policy.Policy
	desk    *watch.Desk
	runner  *watch.Runner
	lookout *watch.Lookout
	now     func() time.Time
}

// newProber makes the one that sends all requests of this process. No setting widens what
// it reaches: only o, which main leaves empty, has another dialer.
func newProber(cfg config, o outside, pol policy.Policy) *watch.Prober {
	return watch.NewProber(watch.ProberConfig{Dial: o.Probe, PerSecond: pol.Watch.PerSecond, AtOnce: pol.Watch.AtOnce, Alive: alive(cfg, o)})
}

// alive says whether this machine's network is there: whether Heroku's API takes a
// connection. What is asked of an app says nothing while that does not.
func alive(cfg config, o outside) func(context.Context) bool {
	u, err := url.Parse(cfg.herokuURL)
	if err != nil {
		return nil // the client of Heroku says so, and nothing is probed
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
		if port == "" {
			port = "443"
		}
	}
	address, dial := net.JoinHostPort(u.Hostname(), port), o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, aliveWithin)
		defer cancel()
		conn, err := dial(ctx, "tcp", address)
		if err != nil {
			return false
		}
		_ = conn.Close() // it has said what was asked
		return true
	}
}

// newDeployWork is nothing that runs yet. wake is called when there is work, told when there
// is something to tell.
func newDeployWork(cfg config, o outside, pol policy.Policy, state state, apps *heroku.Client, groups *chat.Groups, rules audit.RulesFor, wake, told func(), log *slog.Logger, registry prometheus.Registerer) *deployWork {
	inForce := func() policy.Policy { return pol }
	d := &deployWork{state: state, pol: pol, now: o.now}
	count := newDeployCounts()
	d.desk = watch.NewDesk(watch.DeskConfig{
		Store: state, Policy: inForce, Groups: groups, ReadOnly: cfg.readOnly(), Timing: o.Deploys, Wake: func() { wake(); told() },
	})
	d.runner = watch.NewRunner(watch.RunnerConfig{
		Store: state, Heroku: apps, Prober: newProber(cfg, o, pol), Policy: inForce,
		Failing: failing(rules, pol, o.now), Timing: o.Deploys, Told: told, Log: log,
		Sampled: count.sampled, Judged: count.judged,
	})
	count.register(registry, d.runner)
	d.lookout = watch.NewLookout(watch.LookoutConfig{Desk: d.desk, Heroku: apps, Policy: inForce, Log: log})
	return d
}

// failing tells which checks an app fails, and which required ones can't be told, as status
// does.
func failing(rules audit.RulesFor, pol policy.Policy, now func() time.Time) func(context.Context, fleet.App) (failing, unknown []string) {
	return func(ctx context.Context, app fleet.App) (failing, unknown []string) {
		r := pol.For(app)
		if rules != nil {
			if with, err := rules(ctx, app); err == nil { // without the waivers what is waived counts, as in status
				r = with
			}
		}
		for _, f := range audit.Judge(app, r, now()).Findings {
			switch {
			case f.Waived != nil:
			case f.Outcome == audit.Fail:
				failing = append(failing, f.Check)
			case f.Outcome == audit.Unknown && f.Required:
				unknown = append(unknown, f.Check)
			}
		}
		return failing, unknown
	}
}

// told is what chat tells of them with.
func (d *deployWork) told() chat.Deploys {
	return chat.Deploys{
		Watches: d.state, Posts: d.state,
		Render: func(w watch.Watch) commands.Reply {
			return commands.WatchReply(w, commands.WatchView{Zone: d.pol.Nightly.Location(), Now: d.now()})
		},
		Home: func() string { return d.pol.Nightly.Channel },
	}
}

// deployCounts are what a graph of the watches is drawn from. They are of this process.
type deployCounts struct {
	requests *prometheus.CounterVec // outcome
	verdicts *prometheus.CounterVec // verdict
}

func newDeployCounts() deployCounts {
	c := deployCounts{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zdd_deploy_watch_requests_total", Help: "Requests of watches of deploys, by outcome."}, []string{"outcome"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zdd_deploy_watch_verdicts_total", Help: "Watches of deploys that ended, by verdict."}, []string{"verdict"}),
	}
	for _, o := range []watch.Outcome{watch.OK, watch.Connect, watch.TLS, watch.Timeout, watch.Cutoff, watch.Server, watch.Status, watch.Body, watch.Circle, watch.Limited, watch.Own} {
		c.requests.WithLabelValues(string(o)) // there from the beginning, so that the first one counts as an increase
	}
	for _, v := range []watch.Verdict{watch.Proved, watch.Failed, watch.Inconclusive} {
		c.verdicts.WithLabelValues(string(v))
	}
	return c
}

func (c deployCounts) sampled(o watch.Outcome) { c.requests.WithLabelValues(string(o)).Inc() }
func (c deployCounts) judged(v watch.Verdict)  { c.verdicts.WithLabelValues(string(v)).Inc() }

func (c deployCounts) register(to prometheus.Registerer, r *watch.Runner) {
	to.MustRegister(c.requests, c.verdicts, prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "zdd_deploy_watches_running", Help: "Watches of deploys that this process carries out."},
		func() float64 { return float64(r.Running()) },
	))
}

// watched is what there is to know of the watches now.
func (d *deployWork) watched(ctx context.Context) (commands.DeployWatches, error) {
	all, err := d.state.Watches(ctx, watch.Filter{States: []watch.State{watch.Waiting, watch.Running}, Limit: -1})
	if err != nil {
		return commands.DeployWatches{}, err
	}
	w := commands.DeployWatches{Releases: d.pol.Watch.Releases}
	for _, one := range all {
		if one.State == watch.Running {
			w.Running++
		} else {
			w.Waiting++
		}
	}
	return w, nil
}

// begin sees to it that there is the job that looks out for releases.
func (d *deployWork) begin(ctx context.Context) error {
	return d.state.Tx(ctx, func(tx *sql.Tx) error {
		return d.state.EnqueueJob(ctx, tx, jobs.Spec{Kind: watch.WorkLookout, Key: watch.TheFleet, At: d.now()})
	})
}
