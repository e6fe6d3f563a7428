package plan

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// TestTooDear: a part of the price that is not known does not lift the limit for the
// rest.
func TestTooDear(t *testing.T) {
	for name, c := range map[string]struct {
		app    string
		size   string
		limit  fleet.Money
		prices policy.Prices
		want   string // in the refusal; empty: it is planned
	}{
		"known":                 {"basic web=1 worker=1", "performance-l", 1000_00, nil, "This would cost $1,486.00 a month more, and `limits.monthly_increase` in the policy allows $1,000.00."},
		"Eco, just above":       {"eco web=1 worker=1", "performance-l", 1499_99, nil, "This would cost $1,500.00 a month more, as far as prices are known (it will cost $1,500.00 a month; Eco dynos are paid"},
		"Eco, just within":      {"eco web=1 worker=1", "performance-l", 1500_00, nil, ""},
		"Eco by contract":       {"eco web=1 worker=1", "performance-l", 1489_99, policy.Prices{"eco": 5_00}, "This would cost $1,490.00 a month more, and"},
		"only the new unpriced": {"basic web=1 sizes=?", "performance-l", 0, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rules := policy.Default().For(fleettest.App(c.app))
			rules.Limits.MonthlyIncrease, rules.Prices = c.limit, c.prices
			p := For(fleettest.App(c.app), rules, Wish{Verb: ToEnable, Size: c.size}, fleettest.ReadAt().Add(time.Second))
			if (p.Outcome == Refused) != (c.want != "") || !strings.Contains(strings.Join(p.Why, " "), c.want) {
				t.Errorf("got %s %q with %d steps, want %q", p.Outcome, p.Why, len(p.Steps), c.want)
			}
		})
	}
}
