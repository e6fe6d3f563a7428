package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// planOf enables an app of that name and line.
func planOf(name, line string) Plan {
	app := fleettest.App(line)
	app.Name = name
	app.ID = fleet.ID(name)
	return Enable(app, policy.Default().For(app), Options{})
}

func TestTogether(t *testing.T) {
	shop, cart := planOf("shop", "standard-1x web=1"), planOf("cart", "standard-2x web=1 worker=1")
	cart.ReadAt = cart.ReadAt.Add(-time.Minute)
	got := Together([]Plan{shop, cart, planOf("till", "standard-1x web=2 affinity")})
	if got.Name != "shop and 2 more" || got.App != "" || got.Steps != nil || got.Outcome != Ready || !got.ReadAt.Equal(cart.ReadAt) {
		t.Errorf("got %+v, want shop and 2 more, read when cart was", got)
	}
	c := got.Cost
	for what, v := range map[string]struct {
		got  fleet.Value[fleet.Money]
		want fleet.Money
	}{
		"now": {c.Now, 25_00 + 100_00 + 50_00}, "then": {c.Then, 50_00 + 150_00 + 50_00}, "difference": {c.Difference, 75_00},
	} {
		if v.got != fleet.Known(v.want) {
			t.Errorf("%s: got %v, want %v", what, v.got, v.want)
		}
	}
	if c.Units.Now != fleet.Known(1.0+4+2) || c.Units.Difference != fleet.Known(3.0) {
		t.Errorf("got units %+v", c.Units)
	}
	if got.NeedsApproval() != nil {
		t.Error("it answers for the plans, which know why")
	}
}

func TestTogetherUnknown(t *testing.T) {
	unread := planOf("cart", "standard-1x web=1 sizes=?")
	got := Together([]Plan{planOf("shop", "standard-1x web=1"), unread}).Cost
	for what, v := range map[string]fleet.Value[fleet.Money]{"now": got.Now, "then": got.Then, "difference": got.Difference} {
		if v.IsKnown() || !strings.HasPrefix(v.Why().Text, "of cart: ") {
			t.Errorf("%s: got %v, want that it is not known of cart", what, v)
		}
	}
	if got.Units.Now.IsKnown() {
		t.Errorf("got %v units, want none known", got.Units.Now)
	}
}

// TestTogetherHash: it is another for other plans, and for another order or number of
// them, and the same after it was stored.
func TestTogetherHash(t *testing.T) {
	shop, cart := planOf("shop", "standard-1x web=1"), planOf("cart", "standard-1x web=1")
	changed := planOf("cart", "standard-1x web=1 preboot")
	renamed := cart
	renamed.App = "another"
	seen := map[string]string{}
	for name, plans := range map[string][]Plan{
		"none": nil, "shop": {shop}, "cart": {cart}, "both": {shop, cart}, "the other way round": {cart, shop}, "twice": {shop, shop},
		"changed": {shop, changed}, "another app of the same hash": {shop, renamed},
	} {
		got := Together(plans).Hash
		if before, ok := seen[got]; ok {
			t.Errorf("%s and %s have the same hash", name, before)
		}
		seen[got] = name
	}
	var back []Plan
	through(t, []Plan{shop, cart}, &back)
	if got, want := Together(back).Hash, Together([]Plan{shop, cart}).Hash; got != want {
		t.Errorf("read back: got %s, want %s", got, want)
	}
	text, err := json.Marshal(Together([]Plan{shop, cart}))
	var kept Plan
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if again, _ := json.Marshal(kept); err != nil || string(again) != string(text) {
		t.Errorf("got %s, %v, want %s", again, err, text)
	}
}

func TestTooDearTogether(t *testing.T) {
	raise := func(name string, cents fleet.Money) Plan {
		return Plan{Name: name, Cost: Cost{Difference: fleet.Known(cents)}}
	}
	unknown := Plan{Name: "cart", Steps: []Step{{Cost: Cost{Then: fleet.Known(fleet.Money(20_00))}}}}
	for name, c := range map[string]struct {
		plans []Plan
		want  string // empty: not too dear
	}{
		"none":                     {},
		"within":                   {plans: []Plan{raise("a", 20_00), raise("b", 30_00)}},
		"above":                    {plans: []Plan{raise("a", 20_00), raise("b", 30_01)}, want: "Together this would cost $50.01 a month more, and"},
		"a saving makes no room":   {plans: []Plan{raise("a", 60_00), raise("b", -60_00)}, want: "$60.00"},
		"as far as is known":       {plans: []Plan{raise("a", 31_00), unknown}, want: "$51.00 a month more, as far as prices are known (of cart: "},
		"within, as far as is so":  {plans: []Plan{raise("a", 30_00), unknown}},
		"one by itself is as well": {plans: []Plan{raise("a", 50_01)}, want: "$50.01"},
	} {
		got := TooDearTogether(c.plans, 50_00)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
