package plan

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// TestPlanKeepsItsWord stores a plan and reads it back, as a ticket does between the
// request and the rollout: it has to be the same in every part, what is unknown with
// the reason, since it is the stored one that is approved and carried out.
func TestPlanKeepsItsWord(t *testing.T) {
	outcomes := map[Outcome]bool{}
	kinds := map[Kind]bool{}
	check := func(line string, app fleet.App, w Wish) Plan {
		t.Helper()
		var sameWish Wish
		through(t, w, &sameWish)
		p := For(app, policy.Default().For(app), sameWish, app.ReadAt)
		if want := For(app, policy.Default().For(app), w, app.ReadAt); p.Hash != want.Hash {
			t.Errorf("%s: %s: read back, the wish gives another plan", line, w.Verb)
		}
		p.ReadAt = p.ReadAt.Add(123456789 * time.Nanosecond) // clocks don't stop at seconds
		if len(p.Hazards) == 0 {
			p.Hazards = nil // none is none, whichever way it is written
		}
		outcomes[p.Outcome] = true
		var back Plan
		text := through(t, p, &back)
		if !reflect.DeepEqual(back, p) {
			again, _ := json.Marshal(back)
			t.Errorf("%s: %s:\ngot  %#v\n     %s\nwant %#v\n     %s", line, w.Verb, back, again, p, text)
			return p
		}
		// What the rollout asks of a step is answered alike.
		for i, step := range p.Steps {
			kinds[step.Kind] = true
			was, _ := step.Seen(app).Get()
			is, known := back.Steps[i].Seen(app).Get()
			if !known || !is.Equal(was) || back.Steps[i].String() != step.String() {
				t.Errorf("%s: step %d: got %s, %+v, want %s, %+v", line, i, back.Steps[i], is, step, was)
			}
		}
		return p
	}
	for _, line := range []string{
		"standard-1x web=1 worker=2",
		"standard-1x web=2 affinity preboot",
		"standard-1x web=0",
		"standard-1x web=1 sizes=?",
		"standard-1x web=1 formation=?",
		"standard-1x web=1 features=?",
		"eco web=1 worker=1 clock=0",
		"basic web=1 worker=1 clock=0",
		"performance-m web=1 scaler=1-4 addon=judoscale:bronze addon=heroku-postgresql:essential-0 maintenance",
		"private-m web=1 worker=1 space=shield",
		"quantum-1x web=1",
	} {
		app := fleettest.App(line)
		for _, w := range []Wish{
			{Verb: ToEnable}, {Verb: ToEnable, Size: "standard-1x"}, {Verb: ToDisable}, {Verb: ToAffinity}, {Verb: ToAffinity, On: true},
			{Verb: ToPreboot}, {Verb: ToPreboot, On: true}, {Verb: ToScale}, {Verb: ToScale, Web: 1}, {Verb: ToScale, Web: 3},
		} {
			if p := check(line, app, w); len(p.Steps) > 0 {
				check(line, After(app, p.Steps...), Wish{Verb: ToUndo, Undo: p.Steps})
			}
		}
	}
	for _, o := range []Outcome{AlreadySo, Ready, Refused, Yours} {
		if !outcomes[o] {
			t.Errorf("no plan was %s", o)
		}
	}
	for _, k := range []Kind{Resize, Affinity, Soak, Scale, Settle, Preboot} {
		if !kinds[k] {
			t.Errorf("no plan had a step %s", k)
		}
	}
}

// through writes a value as JSON and reads it into another, as the store does.
func through(t *testing.T, value, into any) (text []byte) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return text
}

// TestCostKeepsItsWord reads back costs that are known in part: what is unknown never
// becomes zero, and zero never unknown.
func TestCostKeepsItsWord(t *testing.T) {
	for _, c := range []Cost{
		{},
		{Now: fleet.Known(fleet.Money(0)), Units: Units{Now: fleet.Known(0.0)}},
		{Now: fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotPriced, Text: `no "price" <yet>`}), Difference: fleet.Known(fleet.Money(-2500))},
		{Units: Units{Then: fleet.Known(0.28), Difference: fleet.Known(0.1 + 0.2)}},
	} {
		var back Cost
		text := through(t, c, &back)
		for name, v := range map[string][2]fleet.Value[fleet.Money]{"now": {back.Now, c.Now}, "then": {back.Then, c.Then}, "difference": {back.Difference, c.Difference}} {
			if v[0].IsKnown() != v[1].IsKnown() || v[0].Or(-1) != v[1].Or(-1) || v[0].Why() != v[1].Why() {
				t.Errorf("%s of %s: got %+v, want %+v", name, text, v[0], v[1])
			}
		}
		for name, v := range map[string][2]fleet.Value[float64]{"now": {back.Units.Now, c.Units.Now}, "then": {back.Units.Then, c.Units.Then}, "difference": {back.Units.Difference, c.Units.Difference}} {
			if v[0].IsKnown() != v[1].IsKnown() || v[0].Or(-1) != v[1].Or(-1) || v[0].Why() != v[1].Why() {
				t.Errorf("units %s of %s: got %+v, want %+v", name, text, v[0], v[1])
			}
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(text) {
			t.Errorf("got %s, %v, want %s", again, err, text)
		}
	}
}
