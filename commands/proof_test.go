package commands_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/internal/golden"
	"example.com/zdd/watch"
)

// shownSo are the last verdicts on some apps; no: they can't be read.
type shownSo struct {
	of map[fleet.ID]watch.Proof
	no error
}

func (s shownSo) Proofs(context.Context, []fleet.ID) (map[fleet.ID]watch.Proof, error) {
	return s.of, s.no
}

// someProofs are a proof, a failure and one that says neither, three days old on Sunday noon.
func someProofs(t *testing.T, proved, failed, neither fleet.ID) shownSo {
	at := noon(t).Add(-72 * time.Hour)
	return shownSo{of: map[fleet.ID]watch.Proof{
		proved:  {Watch: "D-1", Verdict: watch.Proved, Release: 118, At: at, Sent: 2400},
		failed:  {Watch: "D-2", Verdict: watch.Failed, Release: 7, At: at, Sent: 2400, Failed: 37},
		neither: {Watch: "D-3", Verdict: watch.Inconclusive, Release: 3, At: at, Sent: 200},
	}}
}

func TestDigestTellsWhatWasProved(t *testing.T) {
	ready := func(n int, name, owner, channel string) audit.Standing {
		return audit.Standing{App: appID(n), Name: name, Verdict: audit.VerdictReady, Owner: owner, Channel: channel}
	}
	gone := ready(14, "gone", "", "")
	gone.Gone = noon(t)
	apps := kept{standings: []audit.Standing{
		ready(10, "checkout", "S0DATA", ""), ready(11, "storefront", "U0SHOP", "C0SHOP"), ready(12, "diary", "", ""), ready(13, "wiki", "", ""), gone,
		{App: appID(1), Name: "shop", Owner: "U0SHOP", Verdict: audit.VerdictNotReady},
	}}
	proofs := someProofs(t, appID(10), appID(1), appID(11))
	proofs.of[appID(12)] = proofs.of[appID(1)]
	proving, err := commands.ReadProving(t.Context(), apps, proofs, "", noon(t))
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/digest-proved.golden", told(t, ordinary(t), commands.View{Home: "C0OPS", Proving: proving}))
	well := sunday(t, audit.Counts{Ready: 4})
	golden.Check(t, "testdata/digest-proved-all-well.golden", told(t, well, commands.View{Home: "C0OPS", Proving: proving}))

	// A group that is all ready, whose last deploy dropped requests, has its place in the thread.
	quiet := well
	quiet.Groups = []audit.Group{{Counts: audit.Counts{Ready: 4}}}
	golden.Check(t, "testdata/digest-proved-quiet.golden", told(t, quiet, commands.View{Home: "C0OPS", Proving: proving}))

	theirs, err := commands.ReadProving(t.Context(), apps, proofs, "C0SHOP", noon(t))
	if err != nil || len(theirs.Ready) != 1 || theirs.Ready[0].App != appID(11) {
		t.Errorf("of a channel: got %+v and %v, want its own app", theirs, err)
	}
	if _, err := commands.ReadProving(t.Context(), apps, shownSo{no: errors.New("boom")}, "", noon(t)); err == nil {
		t.Error("got no error where proofs can't be read")
	}
	// Who watches no deploys reads nothing of it.
	none, err := commands.ReadProving(t.Context(), apps, shownSo{}, "", noon(t))
	if err != nil {
		t.Fatal(err)
	}
	home := commands.View{Home: "C0OPS", Proving: none}
	if got, want := told(t, ordinary(t), home), told(t, ordinary(t), commands.View{Home: "C0OPS"}); got != want {
		t.Errorf("without a proof: got\n%s\nwant\n%s", got, want)
	}
}

func TestHomeTellsWhatWasProved(t *testing.T) {
	o := busyOffice(t)
	var ids []fleet.ID
	for s, err := range o.Standings(t.Context()) {
		if err == nil && s.Owner != "" {
			ids = append(ids, s.App)
		}
	}
	if len(ids) < 3 {
		t.Fatalf("%d apps have an owner, want 3", len(ids))
	}
	deps := o.deps(t, officePolicy)
	deps.Proofs = someProofs(t, ids[0], ids[1], ids[2])
	show := func() string {
		page, err := commands.New(deps).Home(t.Context(), commands.HomeRequest{By: member("U0ADA"), Now: noon(t), After: noon(t)})
		if err != nil {
			t.Fatal(err)
		}
		return homePrinted(t, page)
	}
	golden.Check(t, "testdata/home-proved.golden", show())
	deps.Proofs = shownSo{no: errors.New("boom")}
	away := show()
	deps.Proofs = nil
	if got := show(); got != away {
		t.Errorf("where proofs can't be read, the page is another than without them:\n%s", away)
	}
}

// Owners are named as people call them where they are not to be rung, and by id where that
// is not known.
func TestDigestNamesOwners(t *testing.T) {
	d := ordinary(t)
	d.Baseline = true
	called := map[string]string{"U0SHOP": "Robin <!channel>", "U0ANNA": "Anna"}
	text := told(t, d, commands.View{Home: "C0OPS", Name: func(id string) string { return called[id] }})
	for _, want := range []string{"Owner Robin <!channel>: 3 of 4 apps ready", "Details: Owner Robin <!channel>, Owner S0DATA", "Owner `S0DATA`: "} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwhich lacks %q", text, want)
		}
	}
	if strings.Contains(text, "U0SHOP") {
		t.Errorf("got\n%s\nwhich tells an id whose name is known", text)
	}
}

func TestReportTellsWhatWasProved(t *testing.T) {
	f := audit.Fleet{
		Coverage: audit.Coverage{Seen: 4, InScope: 4, Judged: 4}, Counts: audit.Counts{Ready: 2, NotReady: 2}, ReadAt: noon(t), Took: time.Minute, Calls: 8,
		Standings: []audit.Standing{
			{App: appID(1), Name: "checkout", Owner: "U0SHOP", Channel: "C0SHOP", Verdict: audit.VerdictReady, ReadAt: noon(t)},
			{App: appID(2), Name: "catalog", Team: "acme", Verdict: audit.VerdictReady, ReadAt: noon(t)},
			{App: appID(3), Name: "shop", Owner: "U0SHOP", Verdict: audit.VerdictNotReady, ReadAt: noon(t), Marks: []audit.Mark{{Check: "preboot", Outcome: audit.Fail, Required: true, Evidence: prebootOff, Since: noon(t)}}},
			{App: appID(4), Name: "billing", Team: "acme", Verdict: audit.VerdictNotReady, ReadAt: noon(t), Marks: []audit.Mark{{Check: "preboot", Outcome: audit.Fail, Required: true, Evidence: prebootOff, Since: noon(t)}}},
		},
	}
	proofs := someProofs(t, appID(2), appID(1), appID(3))
	view := commands.FleetView{Proving: commands.ProvingOf(f, proofs.of, noon(t)), Name: func(string) string { return "Robin" }}
	parent, thread := commands.ReportView(f, view)
	golden.Check(t, "testdata/report-proved.golden", printed(t, append([]commands.Reply{parent}, thread...)...))

	var table strings.Builder
	if err := audit.WriteCSV(&table, f.Standings, commands.ProofColumns(proofs.of)...); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		",waived,last_watch,last_watch_verdict,last_watch_release,last_watch_at\n", ",D-2,failed,7,2026-11-19T11:00:00Z\n", ",D-1,proved,118,2026-11-19T11:00:00Z\n",
		",D-3,inconclusive,3,2026-11-19T11:00:00Z\n", ",,,,\n",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("got\n%s\nwhich lacks %q", table.String(), want)
		}
	}
}

// The fleet at a glance tells what was proved, and goes without where that can't be read.
func TestGlanceTellsWhatWasProved(t *testing.T) {
	night := audit.Night{ID: "2026-11-22", State: audit.Told, Started: noon(t).Add(-time.Hour), Finished: noon(t).Add(-time.Hour), Counts: audit.Counts{Ready: 2, NotReady: 2}, Coverage: audit.Coverage{Seen: 4, InScope: 4, Judged: 4}}
	fails := func(n int, name string) audit.Standing {
		return audit.Standing{App: appID(n), Name: name, Verdict: audit.VerdictNotReady, ReadAt: night.Finished, Increase: fleet.Known[fleet.Money](0), Marks: []audit.Mark{{Check: "preboot", Outcome: audit.Fail, Required: true, Evidence: prebootOff, Since: night.Finished}}}
	}
	deps := commands.Deps{Apps: heroku{}, Policies: policyOf(t, berlinPolicy), Proofs: someProofs(t, appID(1), appID(2), appID(3)), Nights: kept{nights: []audit.Night{night}, standings: []audit.Standing{
		{App: appID(1), Name: "catalog", Verdict: audit.VerdictReady}, {App: appID(2), Name: "checkout", Verdict: audit.VerdictReady}, fails(3, "shop"), fails(4, "billing"),
	}}}
	golden.Check(t, "testdata/status-proved.golden", printed(t, said(t, deps, "status")))
	deps.Proofs = shownSo{no: errors.New("boom")}
	away := printed(t, said(t, deps, "status"))
	deps.Proofs = nil
	if got := printed(t, said(t, deps, "status")); got != away {
		t.Errorf("where proofs can't be read, the answer is another than without them:\n%s", away)
	}
}

// What a page says of proofs does not change by itself, or it would be published each minute
// for each who looks.
func TestHomeStaysTheSame(t *testing.T) {
	o := busyOffice(t)
	deps := o.deps(t, officePolicy)
	proofs := shownSo{of: map[fleet.ID]watch.Proof{}}
	for s := range o.Standings(t.Context()) {
		proofs.of[s.App] = watch.Proof{Watch: "D-1", Verdict: watch.Failed, Release: 7, At: noon(t).Add(-time.Minute), Sent: 2400, Failed: 37, Proved: &watch.Proof{Release: 6, At: noon(t).Add(-time.Hour)}}
	}
	deps.Proofs = proofs
	table := commands.New(deps)
	show := func(now time.Time) string {
		page, err := table.Home(t.Context(), commands.HomeRequest{By: member("U0ADA"), Now: now, After: now})
		if err != nil {
			t.Fatal(err)
		}
		return homePrinted(t, page)
	}
	first := show(noon(t))
	if !strings.Contains(first, "v7 failed") {
		t.Fatalf("the page tells no proof:\n%s", first)
	}
	if later := show(noon(t).Add(2 * time.Minute)); later != first {
		t.Errorf("two minutes later the page is\n%s\nand was\n%s", later, first)
	}
}
