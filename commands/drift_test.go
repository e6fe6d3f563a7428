package commands_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/golden"
)

// seenAt is a time of the Saturday on which the drifts of these tests are found.
func seenAt(hour, minute int) time.Time { return time.Date(2026, 11, 21, hour, minute, 0, 0, time.UTC) }

func driftOf(name, owner string, more func(*audit.Drifted)) audit.Drifted {
	d := audit.Drifted{
		Line: audit.Line{
			App: fleet.ID("01234567-89ab-cdef-0123-" + fmt.Sprintf("%012x", len(name))), Name: name, Kind: audit.LineRegressed, Checks: []string{"preboot"},
			Evidence: []string{"Preboot is off: at each deploy the old dynos stop before the new ones serve"},
			After:    seenAt(13, 1), Since: seenAt(13, 31), ReadAt: seenAt(13, 32), Increase: fleet.Known(fleet.Money(0)),
		},
		Owner: owner, Channel: "C0OPS", Found: seenAt(13, 32),
	}
	if more != nil {
		more(&d)
	}
	return d
}

func fought() (audit.Fight, []audit.Flip) {
	return audit.Fight{
			Who:      "something that runs with the app's deploys",
			Evidence: []string{"A release was made in between each time: v13, v14, v15."},
			Advice:   "Look at what runs with a deploy: the pipeline's script, Terraform, an `app.json`.",
		}, []audit.Flip{
			{After: seenAt(9, 1).AddDate(0, 0, -1), At: seenAt(9, 31).AddDate(0, 0, -1), Checks: []string{"preboot"}},
			{After: seenAt(23, 45).AddDate(0, 0, -1), At: seenAt(0, 15), Checks: []string{"preboot"}},
			{After: seenAt(13, 1), At: seenAt(13, 31), Checks: []string{"preboot"}},
		}
}

func TestDriftView(t *testing.T) {
	fight, flips := fought()
	var storm []audit.Drifted
	for i := range 200 {
		storm = append(storm, driftOf(fmt.Sprintf("shop-%03d", i), []string{"U0ANNA", "S0DATA", "", "U0BERT"}[min(i%5, 3)], func(d *audit.Drifted) {
			if i%7 == 0 {
				d.Checks, d.Evidence, d.Increase = []string{"web-dynos"}, []string{"1 standard-1x web dyno runs; policy wants 2"}, fleet.Known(fleet.Money(25_00))
			}
		}))
	}
	for name, b := range map[string]audit.Bulletin{
		"one": {Every: 30 * time.Minute, Drifts: []audit.Drifted{driftOf("shop", "U0ANNA", nil)}},
		"few": {Every: 160 * time.Minute, Drifts: []audit.Drifted{
			driftOf("shop", "U0ANNA", nil), driftOf("cart", "U0ANNA", nil), driftOf("billing", "S0DATA", func(d *audit.Drifted) {
				d.Yours, d.Checks, d.Evidence = "Raise the minimum of Heroku's autoscaler to 2.", []string{"web-dynos"}, []string{"Heroku's autoscaler may go down to 1 (2 performance-m web dynos run today); policy wants 2"}
			}), driftOf("orphan", "", func(d *audit.Drifted) {
				d.Increase = fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotPriced, Text: "Heroku gives no price"})
				d.After = seenAt(23, 50).AddDate(0, 0, -1)
			}),
		}},
		"fought": {Every: 30 * time.Minute, Drifts: []audit.Drifted{driftOf("shop", "U0ANNA", func(d *audit.Drifted) { d.Fight, d.Flips = &fight, flips })}},
		"storm":  {Every: time.Hour, Drifts: storm},
	} {
		t.Run(name, func(t *testing.T) {
			b.Channel, b.At, b.Zone = "C0OPS", seenAt(13, 34), "Europe/Berlin"
			parent, thread := commands.DriftView(b, false)
			golden.Check(t, "testdata/drift-"+name+".golden", printed(t, append([]commands.Reply{parent}, thread...)...))
			again, _ := commands.DriftView(b, true)
			if text := printed(t, again); !strings.Contains(text, "Posted again") || !parent.Public {
				t.Errorf("a repeat does not say so, or is private:\n%s", text)
			}
		})
	}
}

// However many owners there are, each is rung once, and what rings them can be posted.
func TestDriftRingsEachOwnerOnce(t *testing.T) {
	for _, owners := range []int{1, 11, 30, 31, 200, 2000} {
		b := audit.Bulletin{Channel: "C0OPS", At: seenAt(13, 34), Zone: "UTC", Every: time.Hour}
		for i := range owners {
			b.Drifts = append(b.Drifts, driftOf(fmt.Sprintf("app-%04d", i), fmt.Sprintf("U%08d", i), nil))
		}
		parent, thread := commands.DriftView(b, false)
		rung := map[string]int{}
		for _, reply := range append([]commands.Reply{parent}, thread...) {
			for _, part := range reply.Parts {
				var texts []commands.Text
				switch p := part.(type) {
				case commands.Para:
					texts = append(texts, p.Text)
				case commands.List:
					for _, item := range p.Items {
						texts = append(texts, item.Text)
					}
				}
				for _, span := range slices.Concat(texts...) {
					if span.Kind == commands.User {
						rung[span.S]++
					}
				}
			}
			for _, m := range chat.Blocks(reply) {
				if strings.Contains(fmt.Sprint(m.Blocks), "too long for Slack") {
					t.Errorf("%d owners: %s is too long", owners, reply.Summary)
				}
			}
		}
		for i := range owners {
			if got := rung[fmt.Sprintf("U%08d", i)]; got != 1 {
				t.Fatalf("%d owners: number %d is rung %d times, want once", owners, i, got)
			}
		}
	}
}

func TestStatusTellsOfTheWatch(t *testing.T) {
	fight, flips := fought()
	app := fleettest.App("standard-1x web=2 affinity")
	stand := func(w audit.Watch) kept {
		w.Night = "2026-11-21"
		return kept{standings: []audit.Standing{{App: app.ID, Name: app.Name, Night: "2026-11-21", Watch: w}}}
	}
	changes := []audit.Quantity{{From: 2, To: 4, After: seenAt(8, 1), At: seenAt(8, 31)}, {From: 4, To: 2, After: seenAt(9, 1), At: seenAt(9, 31)}}
	drift := []audit.Drift{{Check: "preboot", After: seenAt(13, 1), At: seenAt(13, 31), Told: true}}
	for name, tt := range map[string]struct {
		kept kept
		app  string
		want []string
		not  []string
	}{
		"nothing":  {stand(audit.Watch{}), "standard-1x web=2 affinity", []string{"not ready", "In Slack: `/zdd enable"}, []string{"without a ticket", "Fought"}},
		"drift":    {stand(audit.Watch{Drifts: drift}), "standard-1x web=2 affinity", []string{"It was ready Saturday 14:01, and no longer 14:31, without a ticket of mine. That was told then.", "In Slack: `/zdd enable"}, nil},
		"at once":  {stand(audit.Watch{Drifts: []audit.Drift{{Check: "preboot", After: seenAt(13, 1), At: seenAt(13, 1).Add(20 * time.Second)}}}), "standard-1x web=2 affinity", []string{"It was ready until Saturday 14:01, and then no longer, without a ticket of mine."}, nil},
		"mended":   {stand(audit.Watch{Drifts: drift}), "standard-1x web=2 affinity preboot", []string{"ready"}, []string{"no longer"}},
		"quantity": {stand(audit.Watch{Changes: changes}), "standard-1x web=2 affinity preboot", []string{"Web changed without a ticket of mine: 2 → 4 between Saturday 09:01 and 09:31; 4 → 2 between Saturday 10:01 and 10:31.", "an autoscaler that no list shows"}, nil},
		"fought":   {stand(audit.Watch{Fight: &fight, Flips: flips, Drifts: drift}), "standard-1x web=2 affinity", []string{"Fought over: 3 times in 7 days", "between Friday 10:01 and 10:31; between Saturday 00:45 and 01:15", "Likely it is something that runs with the app's deploys. A release was made", "Terraform"}, []string{"In Slack: `/zdd enable"}},
		"long ago": {stand(audit.Watch{Fight: &fight, Flips: []audit.Flip{{At: seenAt(1, 1).AddDate(0, 0, -9)}, flips[0], flips[1]}}), "standard-1x web=2 affinity", []string{"In Slack: `/zdd enable"}, []string{"Fought"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := fleettest.App(tt.app)
			deps := commands.Deps{Apps: heroku{app: now}, Policies: policyOf(t, berlinPolicy), Nights: tt.kept}
			text := strings.Join(strings.Fields(printed(t, said(t, deps, "status shop"))), " ")
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("got %s\nwhich lacks %q", text, want)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(text, not) {
					t.Errorf("got %s\nwhich holds %q", text, not)
				}
			}
		})
	}
}

// watching is a bot of which only the watch is known.
type watching struct{ watched commands.Watched }

func (w watching) About(context.Context) commands.About { return commands.About{Watch: &w.watched} }

func TestAboutTellsOfTheWatch(t *testing.T) {
	for name, tt := range map[string]struct {
		watched commands.Watched
		want    string
	}{
		"off":     {commands.Watched{Apps: 12}, "off, as the policy has it (`digest.watch_every`)"},
		"none":    {commands.Watched{Every: time.Hour, Takes: time.Hour}, "no app is watched"},
		"as said": {commands.Watched{Every: 30 * time.Minute, Takes: 30 * time.Minute, Apps: 212}, "212 apps that were ready, each every 30 min"},
		"large":   {commands.Watched{Every: 30 * time.Minute, Takes: 160 * time.Minute, Apps: 2000}, "2,000 apps that were ready, each every 2 h 40 min rather than 30m: more calls would be more than a third of what Heroku's limit gives back"},
	} {
		reply := said(t, commands.Deps{Abouts: watching{tt.watched}, Policies: policyOf(t, "")}, "about")
		if text := strings.Join(strings.Fields(printed(t, reply)), " "); !strings.Contains(text, tt.want) {
			t.Errorf("%s: got %s\nwant %q", name, text, tt.want)
		}
	}
}
