package commands_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/golden"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// deployedAt is when the release of these tests is made, four minutes into the watch.
var deployedAt = time.Date(2026, 11, 23, 13, 4, 0, 0, time.UTC)

// deployed is a watch of shop that has run for so long, over a release where v is one; bad
// says how a request that is due then fails.
func deployed(v int, preboot bool, ran time.Duration, bad func(since time.Duration) watch.Outcome) watch.Watch {
	began := deployedAt.Add(-4 * time.Minute)
	p := policy.DefaultProbe()
	p.VersionHeader = "X-Release"
	w := watch.Watch{
		ID: "D-12", Rev: 3, App: fleettest.App("standard-1x").ID, Name: "shop", By: "U0REQUESTER", Channel: "C0SHOP", URL: "https://shop-1f2e.herokuapp.com/", Probe: p,
		State: watch.Running, Asked: began.Add(-2 * time.Second), Began: began, Until: began.Add(10 * time.Minute), Before: 117,
		Setup: watch.Setup{Preboot: fleet.Known(preboot), Affinity: fleet.Known(true), Web: fleet.Known(2), Size: "standard-1x", CheckedAt: began.Add(-2 * time.Second)},
	}
	if !preboot {
		w.Setup.Failing = []string{"preboot"}
	}
	r := watch.NewRecorder(w)
	if v > 0 && ran > 4*time.Minute {
		r.Release(fleet.Release{Version: v, Status: "succeeded", By: "dev@acme.example", CreatedAt: deployedAt, UpdatedAt: deployedAt.Add(time.Second)})
		r.Event(watch.Event{At: deployedAt.Add(3 * time.Second), Kind: watch.EventDyno, Text: "web.1 of v118 is starting"})
	}
	for i := range int(ran / (250 * time.Millisecond)) {
		due := began.Add(time.Duration(i) * 250 * time.Millisecond)
		s := watch.Sample{Due: due, Took: 40*time.Millisecond + time.Duration(i%37)*time.Millisecond, Outcome: watch.OK, Status: 200, Fresh: i%2 == 0, Version: "v117"}
		if v > 0 && due.Sub(deployedAt) > 2*time.Minute {
			s.Version = fmt.Sprintf("v%d", v)
		}
		if bad != nil {
			if o := bad(due.Sub(deployedAt)); o != "" {
				s.Outcome, s.Status, s.Code, s.Version = o, 503, "H13", ""
			}
		}
		r.Sample(s)
	}
	return r.Snapshot(began.Add(ran))
}

// dropsFor is how an app fails that drops all for so long, beginning eleven seconds after the
// release was made.
func dropsFor(d time.Duration) func(time.Duration) watch.Outcome {
	return func(since time.Duration) watch.Outcome {
		if since >= 11*time.Second && since < 11*time.Second+d {
			return watch.Server
		}
		return ""
	}
}

func TestWatchReply(t *testing.T) {
	end := func(w watch.Watch) watch.Watch { return w.Judge(w.Until) }
	waits := watch.Watch{ID: "D-12", Name: "shop", By: "U0REQUESTER", URL: "https://shop-1f2e.herokuapp.com/", Probe: policy.DefaultProbe(), State: watch.Waiting, Asked: deployedAt, Until: deployedAt.Add(10 * time.Minute)}
	cut := deployed(118, true, 5*time.Minute, nil)
	cut.Cut = "the bot was restarted"
	policys := end(deployed(118, true, 10*time.Minute+time.Second, nil))
	policys.By, policys.Head = "", "42:abcdef"
	terminal := policys
	terminal.ID = ""
	stopped := deployed(0, true, 90*time.Second, nil)
	stopped.StopBy = "U0OTHER"
	resized := deployed(118, false, 10*time.Minute, dropsFor(8*time.Second))
	resize := watch.Event{At: deployedAt.Add(20 * time.Second), Since: deployedAt, Kind: watch.EventFormation, Stops: true, Text: "web was resized from standard-1x to standard-2x"}
	resized.Events = append(resized.Events[:3:3], resize, resized.Events[3])
	resized.Episodes[0].After = &resize
	for name, tt := range map[string]struct {
		w    watch.Watch
		ran  time.Duration
		want []string // in the summary
	}{
		"waiting":       {waits, 0, []string{"begins within seconds"}},
		"before":        {deployed(0, true, 90*time.Second, nil), 90 * time.Second, []string{"Deploy now: 360 requests, none failed"}},
		"stopped":       {stopped, 90 * time.Second, []string{"Ends now, because it was stopped: 360 requests"}},
		"handing-over":  {deployed(118, false, 5*time.Minute, dropsFor(8*time.Second)), 5 * time.Minute, []string{"v118 was made at 14:04:00", "32 failed"}},
		"proved":        {policys, 0, []string{"Release v118: 2,404 requests over 10 min", "none failed, slowest 76 ms, hand-over seen at 6:0"}},
		"terminal":      {terminal, 0, []string{"Release v118"}},
		"failed":        {end(deployed(118, false, 10*time.Minute, dropsFor(8*time.Second))), 0, []string{"v118 dropped 32 requests between 14:04:11 and 14:04:18: preboot is off"}},
		"resized":       {end(resized), 0, []string{"While v118 was handed over and about when web was resized from standard-1x to standard-2x, 32 of 488 requests failed between 14:04:11 and 14:04:18"}},
		"no-release":    {end(deployed(0, true, 10*time.Minute, nil)), 0, []string{"No release was made"}},
		"stopped-early": {stopped.Judge(deployedAt.Add(-150 * time.Second)), 0, []string{"Stopped after 360 requests, none failed, before any release was made"}},
		"cut":           {cut.Judge(deployedAt.Add(time.Minute)), 0, []string{"It can't be said whether anybody noticed v118: the watch was cut short"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := deployedAt.Add(tt.ran - 4*time.Minute)
			reply := commands.WatchReply(tt.w, commands.WatchView{Zone: berlin(t), Now: now})
			for _, want := range tt.want {
				if !strings.Contains(reply.Summary, want) {
					t.Errorf("got the summary %q, want it to say %q", reply.Summary, want)
				}
			}
			if n := len(chat.Blocks(reply)); n != 1 {
				t.Errorf("it takes %d messages, want 1", n)
			}
			golden.Check(t, "testdata/watch-"+name+".golden", printed(t, reply))
		})
	}
}

// TestWatchButtons: what can be done about a watch hangs on how it stands.
func TestWatchButtons(t *testing.T) {
	failed := deployed(118, false, 10*time.Minute, dropsFor(8*time.Second))
	stopped := deployed(0, true, time.Minute, nil)
	stopped.StopBy = "U0REQUESTER"
	for name, tt := range map[string]struct {
		w    watch.Watch
		want []string
	}{
		"running": {deployed(0, true, time.Minute, nil), []string{"cancel D-12"}},
		"stopped": {stopped, nil},
		"failed":  {failed.Judge(failed.Until), []string{"enable " + string(failed.App), "watch " + string(failed.App), "status " + string(failed.App)}},
		"ended":   {stopped.Judge(deployedAt), []string{"watch " + string(failed.App), "status " + string(failed.App)}},
	} {
		var got []string
		for _, part := range commands.WatchReply(tt.w, commands.WatchView{Now: deployedAt}).Parts {
			if row, ok := part.(commands.Buttons); ok {
				for _, b := range row.Row {
					got = append(got, b.Run)
				}
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got the buttons %q, want %q", name, got, tt.want)
		}
	}
}

// TestOneFigureReadsTheSame: the slowest answer took 75.4 ms, and whatever tells of it rounds
// it in one way.
func TestOneFigureReadsTheSame(t *testing.T) {
	w := deployed(118, true, 10*time.Minute+time.Second, nil)
	exact := 75*time.Millisecond + 400*time.Microsecond
	w.Latency.P50, w.Latency.P95, w.Latency.P99, w.Latency.Max = exact, exact, exact, exact
	for i := range w.Seconds {
		w.Seconds[i].Slowest = exact
	}
	reply := commands.WatchReply(w.Judge(w.Until), commands.WatchView{Now: w.Until})
	text := printed(t, reply)
	// The headline twice, which is the summary too; the reason; four facts; the chart and its words.
	if n := strings.Count(text, "76 ms"); n != 8 || strings.Contains(text, "75 ms") {
		t.Errorf("76 ms is told %d times, want 8 and no 75 ms:\n%s", n, text)
	}
	for _, part := range reply.Parts {
		if chart, ok := part.(commands.Chart); ok && chart.Series[0].Values[0] != 76 {
			t.Errorf("%s: got %v, want 76", chart.Title, chart.Series[0].Values[0])
		}
	}
}
