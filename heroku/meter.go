package heroku

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meter counts what goes over the wire. A nil meter counts nothing. Labels are
// routes' patterns, never paths: an app's name must not become a time series.
type meter struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	blocked  *prometheus.CounterVec
}

func newMeter(reg prometheus.Registerer, b *bucket) (*meter, error) {
	if reg == nil {
		return nil, nil
	}
	m := &meter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zdd_heroku_requests_total", Help: "Requests sent to Heroku, by route and class of status, 401 and 429 by themselves; error: no answer.",
		}, []string{"method", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "zdd_heroku_request_seconds", Help: "How long Heroku took to answer, body included.",
			Buckets: []float64{.05, .1, .2, .5, 1, 2, 5, 10, 20},
		}, []string{"method", "route"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zdd_heroku_retries_total", Help: "Reads sent again after passing trouble.",
		}, []string{"route"}),
		blocked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zdd_heroku_blocked_total", Help: "Requests that zdd's own allow-list refused to send. Anything but 0 is a defect or an attack.",
		}, []string{"method"}),
	}
	rate := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "zdd_heroku_rate_remaining", Help: "Calls left of the account's API limit, as far as zdd knows.",
	}, func() float64 { return float64(b.left(time.Now())) })
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.retries, m.blocked, rate} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *meter) observe(r route, status int, took time.Duration) {
	if m == nil {
		return
	}
	code := "error"
	switch {
	case status == http.StatusUnauthorized || status == http.StatusTooManyRequests: // each has an alert of its own
		code = strconv.Itoa(status)
	case status > 0:
		code = fmt.Sprintf("%dxx", status/100)
	}
	m.requests.WithLabelValues(r.method, r.pattern, code).Inc()
	m.seconds.WithLabelValues(r.method, r.pattern).Observe(took.Seconds())
}

func (m *meter) retried(r route) {
	if m != nil {
		m.retries.WithLabelValues(r.pattern).Inc()
	}
}

func (m *meter) refused(method string) {
	if m != nil {
		m.blocked.WithLabelValues(method).Inc()
	}
}
