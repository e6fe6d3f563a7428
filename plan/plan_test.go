package plan

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// TestSeen is what a rollout holds against From and To.
func TestSeen(t *testing.T) {
	affinity := Step{Kind: Affinity, To: State{Feature: &Feature{"http-session-affinity", true}}}
	scale := Step{Kind: Scale, To: State{Processes: []Process{{"web", "standard-1x", 2}}}}
	tests := map[string]struct {
		step Step
		line string
		want State
		why  string // of an unknown state
	}{
		"feature on":       {affinity, "standard-1x web=1 affinity", State{Feature: &Feature{"http-session-affinity", true}}, ""},
		"feature off":      {affinity, "standard-1x web=1", State{Feature: &Feature{"http-session-affinity", false}}, ""},
		"features unread":  {affinity, "standard-1x web=1 features=?", State{}, "Heroku did not answer"},
		"web":              {scale, "standard-2x web=4 worker=1", State{Processes: []Process{{"web", "standard-2x", 4}}}, ""},
		"web gone":         {scale, "standard-2x webhooks=4", State{}, "no process type web any more"},
		"formation unread": {scale, "standard-1x formation=?", State{}, "Heroku did not answer"},
		"a wait":           {Step{Kind: Soak, Wait: time.Minute}, "standard-1x formation=? features=?", State{}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			value := tt.step.Seen(fleettest.App(tt.line))
			got, known := value.Get()
			if !got.Equal(tt.want) || known != (tt.why == "") || !strings.Contains(value.Why().Text, tt.why) {
				t.Errorf("got %+v (%s), want %+v (%s)", got, value.Why().Text, tt.want, tt.why)
			}
		})
	}
}

func TestEqual(t *testing.T) {
	states := []State{
		{},
		{Feature: &Feature{"preboot", true}},
		{Feature: &Feature{"preboot", false}},
		{Feature: &Feature{"http-session-affinity", true}},
		{Processes: []Process{{"web", "basic", 1}}},
		{Processes: []Process{{"web", "basic", 2}}},
		{Processes: []Process{{"web", "basic", 1}, {"worker", "basic", 1}}},
	}
	for i, a := range states {
		for j, b := range states {
			if got := a.Equal(b); got != (i == j) {
				t.Errorf("%+v and %+v: got equal %t, want %t", a, b, got, i == j)
			}
		}
	}
}

// TestAfterLeavesTheAppAlone: the app that was read is evidence, and must not change
// while a plan is thought through.
func TestAfterLeavesTheAppAlone(t *testing.T) {
	app := fleettest.App("basic web=1 worker=1")
	p := Enable(app, policy.Default().For(app), Options{Size: "standard-1x"})
	after := After(app, p.Steps...)
	if web, _ := app.Web(); web.Quantity != 1 || web.Size != "basic" {
		t.Errorf("the app read: got %+v, want 1 basic", web)
	}
	if on, _ := app.Feature("preboot"); on {
		t.Error("the app read: got preboot on, want off")
	}
	web, _ := after.Web()
	if on, _ := after.Feature("preboot"); web.Quantity != 2 || web.Size != "standard-1x" || !on {
		t.Errorf("after the plan: got %+v, preboot %t, want 2 standard-1x with preboot", web, on)
	}
}

func TestStepString(t *testing.T) {
	app := fleettest.App("basic web=1 worker=1")
	var got []string
	for _, s := range Enable(app, policy.Default().For(app), Options{Size: "standard-1x"}).Steps {
		got = append(got, s.String())
	}
	for _, s := range []Step{
		{Kind: Preboot, To: State{Feature: &Feature{"preboot", false}}},
		{Kind: Soak, Wait: 90 * time.Second},
		{Kind: Soak, Wait: time.Hour},
	} {
		got = append(got, s.String())
	}
	want := `web basic → standard-1x, worker basic → standard-1x
session affinity on
wait 10m so that visitors get the affinity cookie
web 1 → 2 standard-1x
wait until the new dynos are up, at least 6m
preboot on
preboot off
wait 1m30s so that visitors get the affinity cookie
wait 1h so that visitors get the affinity cookie`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}
