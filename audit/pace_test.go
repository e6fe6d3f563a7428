package audit_test

import (
	"testing"
	"testing/synctest"
	"time"

	simheroku "example.com/zdd/sim/heroku"
)

// A scan takes as long as Heroku takes to answer, so many calls side by side: nothing of
// what is written down in between holds it up.
func TestScanIsAsFastAsHeroku(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency, most = 50 * time.Millisecond, 1.15
		w := newWorks(t, simheroku.Options{Fleet: simheroku.GenerateFleet(600, 1), Latency: latency, BucketOff: true})
		w.policy.Heroku.Parallel = 16
		w.policy.Scope.Stages = []string{"production", "staging", "development"}
		d := w.night()
		took, best := d.Finished.Sub(d.Started), time.Duration(d.Calls)*latency/16
		if ratio := float64(took) / float64(best); ratio > most || d.Coverage.Judged != 600 {
			t.Errorf("%d calls took %v, %.2f times what they have to; %+v", d.Calls, took, ratio, d.Coverage)
		}
		if d.Expected < best*8/10 || d.Expected > took*3/2 {
			t.Errorf("expected %v, took %v", d.Expected, took)
		}
	})
}
