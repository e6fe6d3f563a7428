package approval_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

func (b *bench) resumeFor(id, user string) approval.ResumeFor {
	b.origin++
	return approval.ResumeFor{Ticket: id, By: person(user), Channel: "C1", Origin: fmt.Sprint("origin-", b.origin)}
}

// TestResume goes on with T-1, enable shop by UASK, approved by UYES: affinity, soak,
// scale, settle, preboot. It was stopped.
func TestResume(t *testing.T) {
	const full = "affinity soak scale settle preboot"
	for name, c := range map[string]struct {
		policy string // default everyday
		done   int    // steps of T-1
		app    string // as they left it
		before func(b *bench)
		by     string // default UOPS
		no     string
		want   string // state, requester and steps of T-2
		verbs  string // after "asked UASK, approved UYES, "
	}{
		"nothing was done": {app: "standard-1x web=1", want: "approved by UASK: " + full, verbs: "resumed UOPS"},
		"in the soak, which is not over": {
			done: 1, app: "standard-1x web=1 affinity", want: "approved by UASK: soak scale settle preboot", verbs: "resumed UOPS"},
		"before settled": {done: 3, app: "standard-1x web=2 affinity", want: "approved by UASK: settle preboot", verbs: "resumed UOPS"},
		"the last":       {done: 4, app: "standard-1x web=2 affinity", want: "approved by UASK: preboot", verbs: "resumed UOPS"},
		"a write took effect after all": {
			done: 2, app: "standard-1x web=2 affinity", want: "approved by UASK: settle preboot", verbs: "resumed UOPS"},
		"by the requester": {done: 1, app: "standard-1x web=1 affinity", by: "UASK", want: "approved by UASK: soak scale settle preboot", verbs: "resumed UASK"},
		"a deploy since":   {done: 4, app: "standard-1x web=2 affinity released=1m", want: "approved by UASK: preboot", verbs: "resumed UOPS"},
		"failed": {
			done: 1, app: "standard-1x web=1 affinity", want: "approved by UASK: soak scale settle preboot", verbs: "resumed UOPS"},

		"the approval is over": {
			done: 1, app: "standard-1x web=1 affinity", before: func(b *bench) { b.after(24 * time.Hour) },
			want: "pending by UOPS: soak scale settle preboot", verbs: "asked UOPS"},
		"just not over": {
			done: 1, app: "standard-1x web=1 affinity", before: func(b *bench) { b.after(24*time.Hour - time.Second) },
			want: "approved by UASK: soak scale settle preboot", verbs: "resumed UOPS"},
		"the policy changed": {
			done: 4, app: "standard-1x web=2 affinity", before: func(b *bench) { b.setPolicy(everyday + "limits: { web_dynos: 9 }") },
			want: "pending by UOPS: preboot", verbs: "asked UOPS"},
		"more to do than before": {
			done: 4, app: "standard-1x web=1 affinity", want: "pending by UOPS: scale settle preboot", verbs: "asked UOPS"},
		"another size": {
			done: 1, app: "standard-2x web=1 affinity", want: "pending by UOPS: soak scale settle preboot", verbs: "asked UOPS"},
		"the requester left": {
			done: 4, app: "standard-1x web=2 affinity", before: func(b *bench) { b.kinds["UASK"] = "deactivated" },
			want: "pending by UOPS: preboot", verbs: "asked UOPS"},
		"the approver left": {
			done: 4, app: "standard-1x web=2 affinity", before: func(b *bench) { b.kinds["UYES"] = "deactivated" },
			want: "pending by UOPS: preboot", verbs: "asked UOPS"},
		"others took it over the quorum": {
			done: 0, app: "standard-1x web=1", before: func(b *bench) {
				b.setApp("performance-m web=1 affinity")
				b.ask("web=2", "UASK")
				b.approve("T-2", "UYES")
				b.approve("T-2", "UYES2")
				b.end("T-2", approval.Done, 2)
				b.setApp("standard-1x web=1")
			},
			want: "pending by UOPS: " + full, verbs: "asked UASK, voted UYES, approved UYES2, asked UOPS"},

		"no operator":     {app: "standard-1x web=1", by: "UYES", no: "`people.operators` does not name you", verbs: "refused UYES"},
		"a guest":         {app: "standard-1x web=1", before: func(b *bench) { b.kinds["UOPS"] = "a guest" }, no: "a guest", verbs: "refused UOPS"},
		"nothing is left": {done: 4, app: "standard-1x web=2 affinity preboot", no: "Nothing is left to do", verbs: "refused UOPS"},
		"it can't go on":  {done: 1, app: "standard-1x web=0 affinity", no: "start it yourself first", verbs: "refused UOPS"},
		"a part unread":   {done: 1, app: "standard-1x web=1 features=?", no: "try again", verbs: "refused UOPS"},
		"Heroku is away":  {app: "standard-1x web=1", before: func(b *bench) { b.appErr = errors.New("x") }, no: "could not read `shop` on Heroku again", verbs: "refused UOPS"},
		"groups unread": {
			app: "standard-1x web=1", before: func(b *bench) { b.noGroups = errors.New("x") }, by: "UASK2",
			want: "approved by UASK: " + full, verbs: "resumed UASK2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, or(c.policy, everyday))
			b.setApp("standard-1x web=1")
			b.ask("enable", "UASK")
			b.approve("T-1", "UYES")
			b.end("T-1", map[bool]approval.State{true: approval.Failed, false: approval.Stopped}[name == "failed"], c.done)
			b.setApp(c.app)
			if c.before != nil {
				c.before(b)
			}
			got, made, err := b.Resume(t.Context(), b.resumeFor("T-1", or(c.by, "UOPS")))
			wantVerbs(t, b, "asked UASK, approved UYES, "+c.verbs)
			if c.no != "" {
				wantNo(t, err, c.no)
				return
			}
			if err != nil || !made {
				t.Fatalf("got %v, made %v", err, made)
			}
			var kinds []string
			for _, s := range got.Plan.Steps {
				kinds = append(kinds, string(s.Kind))
			}
			if is := fmt.Sprintf("%s by %s: %s", got.State, got.Requester, strings.Join(kinds, " ")); is != c.want {
				t.Errorf("got %s, want %s", is, c.want)
			}
			if again := plan.For(b.app, b.policy.For(b.app), got.Wish, b.now); again.Hash != got.Plan.Hash {
				t.Error("the plan is not what the wish comes to: a rollout would not start it")
			}
			under := strings.HasPrefix(c.want, "approved")
			if got.Follows != "T-1" || (got.Resumer != "") != under || slices.Contains(b.work(approval.WorkApply), got.ID) != under {
				t.Errorf("got a ticket that follows %q, resumed by %q, work %v", got.Follows, got.Resumer, b.work(approval.WorkApply))
			}
			if old := b.ticket("T-1"); under && (!got.ExpiresAt.Equal(old.ExpiresAt) || len(got.Votes) != 1 || got.Votes[0].User != "UYES") {
				t.Errorf("got until %v with votes %+v, want those of T-1", got.ExpiresAt, got.Votes)
			}
		})
	}
}

// TestResumeStates can go on only with what was begun, and once.
func TestResumeStates(t *testing.T) {
	resume := func(b *bench, id string) (approval.Ticket, bool, error) {
		return b.Resume(t.Context(), b.resumeFor(id, "UOPS"))
	}
	b := newBench(t, everyday)
	b.setApp("standard-1x web=1")
	b.ask("enable", "UASK")
	_, _, err := resume(b, "T-1")
	wantNo(t, err, "waits for its decision")
	b.approve("T-1", "UYES")
	_, _, err = resume(b, "T-1")
	wantNo(t, err, "is approved already")
	b.end("T-1", approval.Stopped, 0)
	_, _, err = resume(b, "T-7")
	wantNo(t, err, "no ticket `T-7`")

	// Many at once, one of them again and again: one ticket.
	again := b.resumeFor("T-1", "UOPS")
	var wg sync.WaitGroup
	for n := range 8 {
		r := again
		if n%2 == 0 {
			r = b.resumeFor("T-1", "UOPS")
		}
		wg.Go(func() {
			if got, _, err := b.Resume(t.Context(), r); err != nil || got.ID != "T-2" {
				t.Errorf("got %s, %v, want T-2", got.ID, err)
			}
		})
	}
	wg.Wait()
	if work := b.work(approval.WorkApply); !slices.Equal(work, []string{"T-1", "T-2"}) {
		t.Errorf("got work %v, want one of each ticket", work)
	}
	if n := strings.Count(b.verbs(), "resumed"); n != 1 {
		t.Errorf("resumed %d times, want once", n)
	}
	b.end("T-2", approval.Failed, 0)
	_, _, err = resume(b, "T-1")
	wantNo(t, err, "`/zdd resume T-2`")
	if got, made, err := resume(b, "T-2"); err != nil || !made || got.ID != "T-3" || got.Follows != "T-2" {
		t.Errorf("got %s after %s, made %v, %v, want T-3 after T-2", got.ID, got.Follows, made, err)
	}
	b.end("T-3", approval.Done, 5)
	_, _, err = resume(b, "T-2")
	wantNo(t, err, "is done. Nothing is left to do.")
	if _, _, err := b.Resume(t.Context(), approval.ResumeFor{Ticket: "T-1", By: person("UOPS")}); err == nil {
		t.Error("resumed without a request")
	}

	// The new ticket that the approvers did not want: it can be asked for again.
	b = newBench(t, everyday)
	b.setApp("standard-1x web=1")
	b.ask("enable", "UASK")
	b.approve("T-1", "UYES")
	b.end("T-1", approval.Stopped, 0)
	b.after(48 * time.Hour)
	if got, _, err := resume(b, "T-1"); err != nil || got.State != approval.Pending {
		t.Fatalf("got %s, %v, want it pending", got.State, err)
	}
	if got, made, err := resume(b, "T-1"); err != nil || made || got.ID != "T-2" {
		t.Errorf("got %s, made %v, %v, want T-2", got.ID, made, err)
	}
	b.deny("T-2", "UYES")
	r := b.resumeFor("T-1", "UOPS")
	for n := range 2 { // the second time it is the same request
		if got, made, err := b.Resume(t.Context(), r); err != nil || made != (n == 0) || got.ID != "T-3" {
			t.Errorf("got %s, made %v, %v, want T-3, made %v", got.ID, made, err, n == 0)
		}
		b.kinds["UOPS"] = "deactivated" // it was accepted when they were not
	}
}

// TestResumeOwnWord goes on with what needed no approval: the word that was given lasts
// as an approval does.
func TestResumeOwnWord(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("preboot=on", "UASK")
	b.do("T-1", "UASK")
	b.end("T-1", approval.Failed, 0)
	got, made, err := b.Resume(t.Context(), b.resumeFor("T-1", "UOPS"))
	if err != nil || !made || got.State != approval.Approved || got.Approvals != 0 || got.Resumer != "UOPS" {
		t.Errorf("got %s with %d approvals by %q, made %v, %v, want it approved", got.State, got.Approvals, got.Resumer, made, err)
	}
	_, err = b.Do(t.Context(), "T-2", person("UASK"))
	wantNo(t, err, "is approved already")

	b.end("T-2", approval.Failed, 0)
	b.after(24 * time.Hour)
	got, _, err = b.Resume(t.Context(), b.resumeFor("T-2", "UOPS"))
	if err != nil || got.State != approval.Pending || got.Approvals != 0 || got.Requester != "UOPS" {
		t.Errorf("got %s by %s, %v, want it to wait for UOPS", got.State, got.Requester, err)
	}
}

// TestResumePrice: who approved a step approved its price, and what is left is not
// carried out for more under the old word, whatever the wish still comes to.
func TestResumePrice(t *testing.T) {
	for name, c := range map[string]struct {
		then func(b *bench)
		want approval.State
	}{
		"the same":         {func(*bench) {}, approval.Approved},
		"dearer":           {func(b *bench) { b.reprice(fleet.Known(fleet.Money(70_00))) }, approval.Pending},
		"cheaper":          {func(b *bench) { b.reprice(fleet.Known(fleet.Money(1_00))) }, approval.Pending},
		"no longer priced": {func(b *bench) { b.reprice(fleet.Unknown[fleet.Money](fleet.Reason{Text: "x"})) }, approval.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, everyday)
			b.setApp("standard-1x web=1")
			b.ask("enable", "UASK")
			b.approve("T-1", "UYES")
			b.end("T-1", approval.Stopped, 1)
			b.setApp("standard-1x web=1 affinity=1m")
			c.then(b)
			got, made, err := b.Resume(t.Context(), b.resumeFor("T-1", "UOPS"))
			if err != nil || !made || got.State != c.want {
				t.Errorf("got %s, made %v, %v, want it %s", got.State, made, err, c.want)
			}
		})
	}
}

// TestResumeRest: where what is done already lowered the cost, the rest alone adds more
// than the whole, and is judged as what it is.
func TestResumeRest(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("web=4", "UASK")
	b.approve("T-1", "UYES")
	b.approve("T-1", "UYES2")
	b.end("T-1", approval.Stopped, 0)
	if _, err := b.store.ChangeTicket(t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
		t.Plan.Cost.Difference, t.Votes = fleet.Known(fleet.Money(-5_00)), t.Votes[:1]
		return approval.Change{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	got, _, err := b.Resume(t.Context(), b.resumeFor("T-1", "UOPS"))
	if err != nil || got.State != approval.Pending || got.Approvals != 2 {
		t.Errorf("got %s with %d approvals, %v, want it to wait for 2", got.State, got.Approvals, err)
	}
}

// TestLostAnswer: a write of which the answer was lost, and which took effect, is no
// longer among what is left, and counts towards the quorum of the next increase all the
// same.
func TestLostAnswer(t *testing.T) {
	b := newBench(t, everyday)
	b.ask("web=3", "UASK")
	b.approve("T-1", "UYES")
	b.end("T-1", approval.Failed, 0)
	if _, err := b.store.ChangeTicket(t.Context(), "T-1", func(t *approval.Ticket) (approval.Change, error) {
		t.Progress[0].Intended = b.now
		return approval.Change{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	b.setApp("standard-1x web=3 affinity")
	b.after(time.Minute)
	if _, _, err := b.Resume(t.Context(), b.resumeFor("T-1", "UOPS")); err != nil {
		wantNo(t, err, "Nothing is left to do")
	}
	if got := b.ask("web=4", "UASK"); got.Approvals != 2 {
		t.Errorf("got %d approvals for what comes to $75 within 7 days, want 2", got.Approvals)
	}
}

// reprice gives the standard-1x dynos of the app another price.
func (b *bench) reprice(to fleet.Value[fleet.Money]) {
	sizes, _ := b.app.Sizes.Get()
	sizes = slices.Clone(sizes)
	for i := range sizes {
		if sizes[i].Name == "standard-1x" {
			sizes[i].Price = to
		}
	}
	b.app.Sizes = fleet.Known(sizes)
}
