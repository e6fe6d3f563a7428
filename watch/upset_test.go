package watch_test

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/watch"
)

// TestByHand carries out deploys during which somebody else stops dynos: what fails then is
// not said to be the release's doing, and what the release dropped is.
func TestByHand(t *testing.T) {
	const resized = "web was resized from standard-1x to standard-2x"
	for _, tt := range []struct {
		name    string
		make    func(*deploy)
		verdict watch.Verdict
		reasons []string // that there are, by their beginnings
		not     string   // that no reason says
	}{
		{"a scale-down", func(d *deploy) {
			d.dynos, d.hand = 3, []byHand{{4 * time.Minute, "app shop shutdown=abrupt work=4s"}, {5*time.Minute + 7*time.Second, "set shop web=1"}}
		}, watch.Failed, []string{"While v13 was handed over and about when web was scaled from 3 to 1, ", "Meanwhile web was scaled from 3 to 1 without a release, and Heroku does not tell by whom. Only v13 had answered for "}, "v13 dropped"},
		{"a resize", func(d *deploy) {
			d.hand = []byHand{{5*time.Minute + 7*time.Second, "set shop size=standard-2x"}}
		}, watch.Failed, []string{"While v13 was handed over and about when " + resized, "Meanwhile " + resized + " without a release, and Heroku does not tell by whom. A change of size restarts all dynos at once, and preboot does not cover it. Only v13 "}, "v13 dropped"},
		{"a restart", func(d *deploy) {
			d.space, d.preboot, d.affinity, d.hand = true, false, false, []byHand{{30 * time.Second, "app shop bind=early"}, {67 * time.Second, "restart"}}
		}, watch.Failed, []string{"While v13 was handed over and about when web.1 and web.2 of v13 restarted, ", "Meanwhile web.1 and web.2 of v13 restarted without a release, and Heroku does not tell why: "}, "v13 dropped"},
		{"a release and a resize", func(d *deploy) {
			d.preboot, d.hand = false, []byHand{{67 * time.Second, "set shop size=standard-2x"}}
		}, watch.Failed, []string{"v13 dropped ", "While v13 was handed over and about when " + resized, "Preboot is off"}, ""},
		{"a resize, and no release", func(d *deploy) {
			d.unmade, d.hand = true, []byHand{{67 * time.Second, "set shop size=standard-2x"}}
		}, watch.Inconclusive, []string{"No release was made"}, "without a deploy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := usual()
			tt.make(&d)
			r := d.carry(t)
			r.report(t, tt.name)
			if r.watch.Verdict != tt.verdict {
				t.Errorf("got %s, want %s", r.watch.Verdict, tt.verdict)
			}
			all := why(r.watch)
			for _, want := range tt.reasons {
				found := false
				for _, reason := range r.watch.Reasons {
					found = found || strings.HasPrefix(reason.Text, want)
				}
				if !found {
					t.Errorf("no reason begins with %q: %s", want, all)
				}
			}
			if tt.not != "" && strings.Contains(all, tt.not) {
				t.Errorf("it says %q: %s", tt.not, all)
			}
		})
	}
}
