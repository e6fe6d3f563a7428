package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
)

// scrapeFor is for how long a look serves every scrape: nobody who can reach the metrics,
// which ask for no password, is to make work for the database.
const scrapeFor = 5 * time.Second

// gauges show what the bot knows of itself to Prometheus. What can't be read is left out,
// so that an old number never passes for a new one.
type gauges struct {
	about func(ctx context.Context) commands.About
	now   func() time.Time
	all   map[string]*prometheus.Desc
	last  *lastLook
}

// lastLook is the newest look at the bot.
type lastLook struct {
	mu    sync.Mutex
	at    time.Time
	about commands.About
}

// look looks at the bot, at most once in scrapeFor.
func (g gauges) look() commands.About {
	g.last.mu.Lock()
	defer g.last.mu.Unlock()
	if now := g.now(); g.last.at.IsZero() || now.Sub(g.last.at).Abs() >= scrapeFor {
		g.last.about, g.last.at = g.about(context.Background()), now
	}
	return g.last.about
}

func newGauges(v selfView) gauges {
	g := gauges{about: v.About, now: v.now, all: map[string]*prometheus.Desc{}, last: &lastLook{}}
	for _, d := range []struct {
		name, help string
		labels     []string
	}{
		{"zdd_build_info", "Always 1; the version is in the label.", []string{"version"}},
		{"zdd_read_only", "1 where the bot may change nothing, such as without a ledger key.", nil},
		{"zdd_database_up", "1 where the database answers.", nil},
		{"zdd_scan_finished_timestamp_seconds", "When the newest scan of the fleet ended; absent before the first.", nil},
		{"zdd_scan_unread_apps", "Apps in scope that the newest scan could not read.", nil},
		{"zdd_scan_partial", "1 where the newest scan saw less than it had to: an app or a list could not be read.", nil},
		{"zdd_digest_posted_timestamp_seconds", "When the digest of the newest scan was posted everywhere; absent while it is not.", nil},
		{"zdd_watch_apps", "Apps that were ready and are looked at between the scans.", nil},
		{"zdd_watch_interval_seconds", "How often each of them is looked at: as the policy says, or as often as a third of Heroku's limit lets; 0: never.", nil},
		{"zdd_watch_looked_timestamp_seconds", "When the last of these looks was; absent before the first.", nil},
		{"zdd_watch_drifts", "How often an app was found to be ready no more, since there is this database.", nil},
		{"zdd_watch_untold_drifts", "Of these, those that nobody was told of yet.", nil},
		{"zdd_tickets_pending", "Tickets that wait for a decision.", nil},
		{"zdd_tickets_open", "Tickets that are approved or are being carried out.", nil},
		{"zdd_waivers_active", "Waivers that hold.", nil},
		{"zdd_waivers_pending", "Waivers that wait for a decision.", nil},
		{"zdd_job_due_seconds", "For how long the work that is due longest has been waiting for somebody to begin it.", nil},
		{"zdd_ledger_broken", "1 where the newest night found that the ledger does not hold; absent where it was not gone through.", nil},
		{"zdd_ledger_entries", "Entries of the ledger: the number of its head.", nil},
	} {
		g.all[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, nil)
	}
	return g
}

// Describe is prometheus.Collector's.
func (g gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range g.all {
		to <- d
	}
}

// Collect is prometheus.Collector's.
func (g gauges) Collect(to chan<- prometheus.Metric) {
	tell := func(name string, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(g.all[name], prometheus.GaugeValue, value, labels...)
	}
	a := g.look()
	tell("zdd_build_info", 1, a.Version)
	tell("zdd_read_only", truth(a.ReadOnly != ""))
	tell("zdd_database_up", truth(a.Database != nil && !a.Database.Away))
	if a.Scans != nil && a.Scans.Last.ID != "" {
		last := a.Scans.Last
		tell("zdd_scan_finished_timestamp_seconds", float64(last.Finished.Unix()))
		tell("zdd_scan_unread_apps", float64(last.Coverage.InScope-last.Coverage.Judged))
		tell("zdd_scan_partial", truth(last.Coverage.Partial()))
		if c := last.Chain; c != nil && c.State != audit.ChainUnread {
			tell("zdd_ledger_broken", truth(c.State == audit.ChainBroken))
		}
		if !last.Posted.IsZero() {
			tell("zdd_digest_posted_timestamp_seconds", float64(last.Posted.Unix()))
		}
	}
	if w := a.Watch; w != nil {
		tell("zdd_watch_apps", float64(w.Apps))
		tell("zdd_watch_interval_seconds", w.Takes.Seconds())
		tell("zdd_watch_untold_drifts", float64(w.Drifting))
		tell("zdd_watch_drifts", float64(w.Found))
		if !w.Looked.IsZero() {
			tell("zdd_watch_looked_timestamp_seconds", float64(w.Looked.Unix()))
		}
	}
	if w := a.Work; w != nil {
		tell("zdd_tickets_pending", float64(w.Pending))
		tell("zdd_tickets_open", float64(w.Open))
		due := 0.0
		if !w.Due.IsZero() {
			due = g.now().Sub(w.Due).Seconds()
		}
		tell("zdd_job_due_seconds", due)
	}
	if w := a.Waivers; w != nil {
		tell("zdd_waivers_active", float64(w.Holding))
		tell("zdd_waivers_pending", float64(w.Waiting))
	}
	if a.Head != nil {
		tell("zdd_ledger_entries", float64(a.Head.Seq))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// counted is a log whose warnings and errors are counted: what somebody should look at
// shows in a graph, also where nobody has thought of a number of its own for it.
type counted struct {
	slog.Handler
	lines *prometheus.CounterVec // level
}

// countLines counts the lines of log, and returns the one to write to from now on.
func countLines(log *slog.Logger, to prometheus.Registerer) *slog.Logger {
	lines := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zdd_log_lines_total", Help: "Lines of the log at the levels warn and error."}, []string{"level"})
	to.MustRegister(lines)
	for _, level := range []string{"warn", "error"} {
		lines.WithLabelValues(level) // there from the beginning, so that the first one counts as an increase
	}
	return slog.New(counted{log.Handler(), lines})
}

// Handle is slog.Handler's.
func (c counted) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Level >= slog.LevelError:
		c.lines.WithLabelValues("error").Inc()
	case r.Level >= slog.LevelWarn:
		c.lines.WithLabelValues("warn").Inc()
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (c counted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counted{c.Handler.WithAttrs(attrs), c.lines}
}

// WithGroup is slog.Handler's.
func (c counted) WithGroup(name string) slog.Handler {
	return counted{c.Handler.WithGroup(name), c.lines}
}
