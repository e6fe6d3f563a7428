package chat

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a graph of the bot's side of Slack is drawn from. Label values come
// from closed lists, so a server can't make up series.
type metrics struct {
	envelopes    *prometheus.CounterVec // type, outcome
	reconnects   *prometheus.CounterVec // reason
	ack          prometheus.Histogram
	work         *prometheus.HistogramVec // command
	waiting      prometheus.Gauge
	links        prometheus.Gauge
	redeliveries prometheus.Counter
	busy         prometheus.Counter
	unposted     prometheus.Counter
	looking      prometheus.Gauge
	pages        prometheus.Gauge
	published    prometheus.Counter
	acking       atomic.Int64 // not a series: Run waits for it
}

// Links says how many of the bot's links to Slack are up, and how many it keeps.
func (b *Bot) Links() (up, of int) {
	for _, l := range b.links {
		if p := l.current.Load(); p != nil && p.greeted.Load() && p.fresh(b.patience(), time.Now()) {
			up++
		}
	}
	return up, len(b.links)
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		envelopes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zdd_slack_envelopes_total", Help: "Envelopes from Slack, by type and what became of them."}, []string{"type", "outcome"}),
		reconnects:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zdd_slack_reconnects_total", Help: "Ends of Socket Mode links, by reason."}, []string{"reason"}),
		ack:          prometheus.NewHistogram(prometheus.HistogramOpts{Name: "zdd_slack_ack_seconds", Help: "From an envelope's arrival to its acknowledgement; Slack allows 3.", Buckets: []float64{.001, .005, .025, .1, .5, 1, 1.5, 2, 3}}),
		work:         prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "zdd_slack_work_seconds", Help: "From a command's start to its delivered answer.", Buckets: []float64{.1, .25, .5, 1, 2, 5, 10, 30, 60}}, []string{"command"}),
		waiting:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "zdd_slack_queue_depth", Help: "Accepted commands that wait for a worker."}),
		links:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "zdd_slack_links_up", Help: "Socket Mode links that Slack has greeted."}),
		redeliveries: prometheus.NewCounter(prometheus.CounterOpts{Name: "zdd_slack_redeliveries_total", Help: "Envelopes that had been seen before."}),
		busy:         prometheus.NewCounter(prometheus.CounterOpts{Name: "zdd_slack_refused_busy_total", Help: "Commands turned away because the queue was full."}),
		unposted:     prometheus.NewCounter(prometheus.CounterOpts{Name: "zdd_slack_unposted_total", Help: "Messages and files that can't be posted where they belong, because the channel is archived, closed to the bot or gone, or files are not allowed."}),
		looking:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "zdd_slack_home_lookers", Help: "People who opened their Home tab within the last ten minutes, so that it is kept up to date."}),
		pages:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "zdd_slack_home_waiting", Help: "Home tabs that wait to be published; Slack takes about a hundred a minute."}),
		published:    prometheus.NewCounter(prometheus.CounterOpts{Name: "zdd_slack_home_published_total", Help: "Home tabs that were published."}),
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.envelopes, m.reconnects, m.ack, m.work, m.waiting, m.links, m.redeliveries, m.busy, m.unposted, m.looking, m.pages, m.published} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
