package commands_test

import (
	"context"
	"errors"
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
	ready := func(n int, channel string) audit.Standing {
		return audit.Standing{App: appID(n), Verdict: audit.VerdictReady, Channel: channel}
	}
	gone := ready(14, "")
	gone.Gone = noon(t)
	apps := kept{standings: []audit.Standing{ready(10, ""), ready(11, "C0SHOP"), ready(12, ""), ready(13, ""), gone, {App: appID(1), Verdict: audit.VerdictNotReady}}}
	proofs := someProofs(t, appID(10), appID(1), appID(11))
	proofs.of[appID(12)] = proofs.of[appID(1)]
	proving, err := commands.ReadProving(t.Context(), apps, proofs, "")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/digest-proved.golden", told(t, ordinary(t), commands.View{Home: "C0OPS", Proving: proving}))
	well := sunday(t, audit.Counts{Ready: 4})
	golden.Check(t, "testdata/digest-proved-all-well.golden", told(t, well, commands.View{Home: "C0OPS", Proving: proving}))

	theirs, err := commands.ReadProving(t.Context(), apps, proofs, "C0SHOP")
	if err != nil || len(theirs.Ready) != 1 || theirs.Ready[0] != appID(11) {
		t.Errorf("of a channel: got %+v and %v, want its own app", theirs, err)
	}
	if _, err := commands.ReadProving(t.Context(), apps, shownSo{no: errors.New("boom")}, ""); err == nil {
		t.Error("got no error where proofs can't be read")
	}
	// Who watches no deploys reads nothing of it.
	none, err := commands.ReadProving(t.Context(), apps, shownSo{}, "")
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
