package heroku

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMeterCodes: a token that is not taken any more, and a limit that is used up, can be
// told from an app that is not there.
func TestMeterCodes(t *testing.T) {
	for status, want := range map[int]string{200: "2xx", 206: "2xx", 401: "401", 404: "4xx", 422: "4xx", 429: "429", 503: "5xx", 0: "error"} {
		registry := prometheus.NewRegistry()
		m, err := newMeter(registry, newBucket(time.Now(), 500))
		if err != nil {
			t.Fatal(err)
		}
		m.observe(route{method: http.MethodGet, pattern: "/apps/{app}"}, status, time.Second)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			for _, series := range f.GetMetric() {
				for _, label := range series.GetLabel() {
					if f.GetName() == "zdd_heroku_requests_total" && label.GetName() == "code" {
						got = append(got, label.GetValue())
					}
				}
			}
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%d: counted as %q, want %q", status, got, want)
		}
	}
}
