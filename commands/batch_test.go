package commands_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/golden"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// part is an app's share of a batch: a line of fleettest, planned.
func part(t testing.TB, n int, name, line, size string) approval.Part {
	t.Helper()
	app := fleettest.App(line)
	app.Name, app.ID = name, appID(n)
	wish := plan.Wish{Verb: plan.ToEnable, Size: size}
	made := plan.For(app, policy.Default().For(app), wish, fleettest.ReadAt())
	if len(made.Steps) == 0 {
		t.Fatalf("%s: nothing to do: %v", line, made.Why)
	}
	return approval.Part{Wish: wish, Plan: made}
}

// batch asks for several apps, and waits for one approval.
func batch(parts ...approval.Part) approval.Ticket {
	var plans []plan.Plan
	for _, p := range parts {
		plans = append(plans, p.Plan)
	}
	at := fleettest.ReadAt()
	return approval.Ticket{
		ID: "T-12", State: approval.Pending, Approvals: 1, Requester: "U0REQUESTER", Wish: plan.Wish{Verb: plan.ToEnable}, Plan: plan.Together(plans), Parts: parts,
		Why: []string{"Some of it raises the cost: it needs the yes of somebody else."}, CreatedAt: at, ExpiresAt: at.Add(24 * time.Hour),
	}
}

// threeApps is a batch with a hazard, something left to a person, and what costs nothing.
func threeApps(t testing.TB) approval.Ticket {
	return batch(
		part(t, 1, "shop", "standard-1x web=1 addon=heroku-postgresql:essential-0", ""),
		part(t, 2, "rules", "performance-m web=1 scaler=1-4", ""),
		part(t, 3, "billing", "standard-1x web=2 affinity", ""),
	)
}

// tenApps have names as long as Heroku allows, and everything that can be risky.
func tenApps(t testing.TB) approval.Ticket {
	var parts []approval.Part
	for i := range 10 {
		parts = append(parts, part(t, i, fmt.Sprintf("an-app-with-a-name-so-long-%03d", i),
			"basic web=1 worker=1 clock=1 maintenance release=pending crashed=web.1 scaler=? addon=judoscale:small addon=heroku-postgresql:essential-0 addon=heroku-redis:mini addon=heroku-kafka:basic-0 command=bundle+exec+rake+db:migrate+&&+puma runtime=Java", "standard-2x"))
	}
	return batch(parts...)
}

func TestBatchCard(t *testing.T) {
	at := fleettest.ReadAt()
	running := func(t testing.TB) approval.Ticket {
		b := threeApps(t)
		b.State, b.Votes, b.DecidedAt = approval.Running, []approval.Vote{{User: "U0APPROVER", At: at}}, at
		b.Parts[0].Ticket, b.Parts[0].State, b.Parts[0].Outcome, b.Parts[0].EndedAt = "T-13", approval.Done, "Done in 16 minutes. Read back from Heroku at 10:16: session affinity on, web 2 × standard-1x, preboot on.", at.Add(16*time.Minute)
		return b
	}
	for name, tt := range map[string]struct {
		ticket func(t testing.TB) approval.Ticket
		to     commands.Audience
	}{
		"batch-asked":     {threeApps, commands.ForApprovers},
		"batch-requester": {threeApps, commands.ForRequester},
		"batch-preview": {func(t testing.TB) approval.Ticket {
			b := batch(part(t, 1, "billing", "standard-1x web=2 affinity", ""), part(t, 2, "accounts", "standard-2x web=3", ""))
			b.Approvals, b.Why = 0, nil
			return b
		}, commands.ForRequester},
		"batch-own-voice": {func(t testing.TB) approval.Ticket {
			b := threeApps(t)
			b.Own = true
			return b
		}, commands.ForRequester},
		"batch-price-unknown": {func(t testing.TB) approval.Ticket {
			return batch(part(t, 1, "shop", "standard-1x web=1", ""), part(t, 2, "reports", "private-s web=1 space=private", ""))
		}, commands.ForApprovers},
		"batch-running": {func(t testing.TB) approval.Ticket {
			b := running(t)
			b.Parts[1].Ticket, b.Parts[1].State, b.Parts[1].Doing = "T-14", approval.Running, "1 of 3 steps done. It waits until 10:31 so that visitors get the affinity cookie."
			return b
		}, commands.ForApprovers},
		"batch-pause": {func(t testing.TB) approval.Ticket {
			b := running(t)
			b.Waiting = "`shop` is done. Until 10:21 it is left to itself; then I look at it once more, and begin with `rules`."
			return b
		}, commands.ForApprovers},
		"batch-halted": {func(t testing.TB) approval.Ticket {
			b := running(t)
			b.Halt = "U0ADMIN"
			b.Parts[1].Ticket, b.Parts[1].State, b.Parts[1].Doing = "T-14", approval.Running, "1 of 3 steps done. It stops after its current step."
			return b
		}, commands.ForApprovers},
		"batch-stopped": {func(t testing.TB) approval.Ticket {
			b := running(t)
			b.State, b.EndedAt, b.Head = approval.Stopped, at.Add(time.Hour), "#1234 ab12cd34ef56"
			b.Parts[1].Ticket, b.Parts[1].State, b.Parts[1].Outcome = "T-14", approval.Stopped, "web was 1 and is 4. Done, and read back: `session affinity on`."
			b.Outcome = "`rules`, 2 of 3, stopped. web was 1 and is 4. Done, and read back: `session affinity on`. Done: `shop`. Not begun: `billing`. To plan that anew: `/zdd enable billing`."
			return b
		}, commands.ForApprovers},
		"batch-done": {func(t testing.TB) approval.Ticket {
			b := running(t)
			for i := range b.Parts {
				b.Parts[i].Ticket, b.Parts[i].State, b.Parts[i].Outcome = fmt.Sprintf("T-%d", 13+i), approval.Done, "Done at once."
			}
			b.State, b.EndedAt, b.Head = approval.Done, at.Add(time.Hour), "#1234 ab12cd34ef56"
			b.Outcome = "All 3 are done, in 1 h: `shop`, `rules` and `billing`."
			return b
		}, commands.ForRequester},
		"batch-denied": {func(t testing.TB) approval.Ticket {
			b := threeApps(t)
			b.State, b.DecidedBy, b.Reason, b.Outcome = approval.Denied, "U0APPROVER", "not before the sale", "Nothing was changed."
			return b
		}, commands.ForApprovers},
		"batch-stale": {func(t testing.TB) approval.Ticket {
			b := threeApps(t)
			b.State, b.Outcome = approval.Stale, "`billing` has changed since T-12 was asked for: preboot was off and is on. Nothing was changed. To ask for it anew: `/zdd enable shop rules billing`."
			return b
		}, commands.ForRequester},
		"batch-ten": {tenApps, commands.ForApprovers},
	} {
		t.Run(name, func(t *testing.T) {
			reply := commands.TicketReply(tt.ticket(t), tt.to)
			golden.Check(t, "testdata/"+name+".golden", printed(t, reply))
			if messages := chat.Blocks(reply); len(messages) != 1 {
				t.Errorf("it takes %d messages, want one", len(messages))
			}
		})
	}
}

// shelf is a desk that has some tickets.
type shelf struct {
	*approval.Desk // nil: nothing else is asked of it
	tickets        []approval.Ticket
}

func (s shelf) Ticket(_ context.Context, id string) (approval.Ticket, error) {
	for _, t := range s.tickets {
		if t.ID == id {
			return t, nil
		}
	}
	return approval.Ticket{}, approval.ErrNoTicket
}

func (s shelf) Pending(context.Context) ([]approval.Ticket, error) { return s.tickets, nil }

// What `show`, `pending` and `undo` make of a batch and of the ticket of one of its apps.
func TestBatchAndItsParts(t *testing.T) {
	at := fleettest.ReadAt()
	whole := threeApps(t)
	whole.State, whole.Votes, whole.CreatedAt = approval.Running, []approval.Vote{{User: "U0APPROVER", At: at}}, at
	whole.Parts[0].Ticket, whole.Parts[0].State, whole.Parts[0].Outcome = "T-13", approval.Done, "Done in 16 minutes."
	whole.Parts[1].Ticket, whole.Parts[1].State, whole.Parts[1].Doing = "T-14", approval.Running, "1 of 3 steps done."
	second := approval.Ticket{
		ID: "T-14", Of: "T-12", State: approval.Running, Requester: "U0REQUESTER", Wish: whole.Parts[1].Wish, Plan: whole.Parts[1].Plan, CreatedAt: at,
		Progress: []approval.Progress{{Intended: at, Done: at.Add(time.Second)}},
	}
	other := approval.Ticket{ID: "T-11", State: approval.Pending, Requester: "U0OTHER", Approvals: 1, Wish: whole.Parts[2].Wish, Plan: whole.Parts[2].Plan, CreatedAt: at}
	ended := whole
	ended.ID, ended.State, ended.Outcome, ended.EndedAt = "T-9", approval.Stopped, "`rules`, 2 of 3, stopped.", at
	failed := ended
	failed.ID, failed.Parts = "T-7", slices.Clone(whole.Parts)
	failed.Parts[1].State, failed.Parts[1].Doing, failed.Parts[1].Outcome = approval.Stopped, "", "web was 1 and is 4."
	failed.Outcome = "`rules`, 2 of 3, stopped. web was 1 and is 4. Done: `shop`. Not begun: `billing`."
	untouched := threeApps(t)
	untouched.ID, untouched.State = "T-8", approval.Stale
	desk := shelf{tickets: []approval.Ticket{second, whole, other}}
	for name, tt := range map[string]struct {
		line string
		desk shelf
	}{
		"batch-show":           {"show T-12", desk},
		"batch-show-stopped":   {"show T-7", shelf{tickets: []approval.Ticket{failed}}},
		"batch-show-part":      {"show T-14", desk},
		"batch-show-ten":       {"show T-12", shelf{tickets: []approval.Ticket{tenApps(t)}}},
		"batch-pending":        {"pending", desk},
		"batch-undo":           {"undo T-9", shelf{tickets: []approval.Ticket{ended}}},
		"batch-undo-running":   {"undo T-12", desk},
		"batch-undo-untouched": {"undo T-8", shelf{tickets: []approval.Ticket{untouched}}},
	} {
		t.Run(name, func(t *testing.T) {
			reply := said(t, commands.Deps{Desk: tt.desk, Policies: policyOf(t, "")}, tt.line)
			golden.Check(t, "testdata/"+name+".golden", printed(t, reply))
			if messages := chat.Blocks(reply); len(messages) > 4 || strings.Contains(fmt.Sprint(messages[len(messages)-1].Blocks), "too long for Slack") {
				t.Errorf("it takes %d messages", len(messages))
			}
		})
	}
}

// How the ticket of one app of a batch ended, in the thread of the batch's card.
func TestPartReply(t *testing.T) {
	whole := threeApps(t)
	ended := approval.Ticket{
		ID: "T-13", Of: "T-12", State: approval.Done, Requester: "U0REQUESTER", Wish: whole.Parts[0].Wish, Plan: whole.Parts[0].Plan, Approvals: 1,
		Votes: []approval.Vote{{User: "U0APPROVER", At: fleettest.ReadAt()}}, Verdict: "ready", Head: "#1234 ab12cd34ef56",
		Outcome: "Done in 16 minutes. Read back from Heroku at 10:16: session affinity on, web 2 × standard-1x, preboot on.",
		Later:   []approval.Look{{At: fleettest.ReadAt().Add(time.Hour)}, {At: fleettest.ReadAt().Add(24 * time.Hour), Text: "Preboot was switched off since."}},
	}
	golden.Check(t, "testdata/batch-part-done.golden", printed(t, commands.PartReply(ended)))
	stopped := ended
	stopped.State, stopped.Verdict, stopped.Later = approval.Stopped, "", nil
	stopped.Outcome = "web was 1 and is 4. Done, and read back: `session affinity on`. Not done: `web 1 → 2 standard-1x` and `preboot on`. To go on: `/zdd resume T-13`."
	golden.Check(t, "testdata/batch-part-stopped.golden", printed(t, commands.PartReply(stopped)))
	for _, state := range []approval.State{approval.Approved, approval.Running} {
		ended.State = state
		if got := commands.PartReply(ended); got.Summary != "" || len(got.Parts) > 0 {
			t.Errorf("a part that is %s: got %+v, want nothing: the card tells", state, got)
		}
	}
	single := stopped
	single.Of = ""
	if got := commands.PartReply(single); got.Summary != "" {
		t.Errorf("a ticket that is no part: got %+v", got)
	}
}

// However many apps, names and hazards, and however it stands, a batch's card is one message
// with its buttons, names every app and the total, and has room for a note.
func TestBatchFitsAMessage(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 12))
	words := []string{"affinity", "maintenance", "release=pending", "crashed=web.1", "addon=heroku-postgresql:essential-0", "addon=heroku-redis:mini", "command=rake+db:migrate", "dynos=?", "worker=2"}
	states := []approval.State{approval.Pending, approval.Approved, approval.Running, approval.Denied, approval.Cancelled, approval.Expired, approval.Stale, approval.Done, approval.Stopped, approval.Failed}
	long := strings.Repeat("Heroku said <&> \"no\" to `web`. ", 12)
	for n := range 300 {
		var parts []approval.Part
		for i := range 2 + rng.IntN(9) {
			line := []string{"standard-1x", "web=1"}
			for _, w := range words {
				if rng.IntN(2) == 0 {
					line = append(line, w)
				}
			}
			parts = append(parts, part(t, i, fmt.Sprintf("app-%02d-%s", i, strings.Repeat("x", rng.IntN(24))), strings.Join(line, " "), ""))
		}
		if n%50 == 0 {
			parts = tenApps(t).Parts
		}
		b := batch(parts...)
		b.State, b.Approvals, b.Own = states[n%len(states)], rng.IntN(3), rng.IntN(2) == 0
		if b.State == approval.Running || b.State == approval.Stopped || b.State == approval.Failed || b.State == approval.Done {
			for i := range b.Parts[:1+rng.IntN(len(b.Parts))] {
				p := &b.Parts[i]
				p.Ticket, p.State = fmt.Sprintf("T-%d", 100+i), []approval.State{approval.Done, approval.Done, approval.Stopped, approval.Failed, approval.Stale, approval.Running, approval.Approved}[rng.IntN(7)]
				if p.State.Final() {
					p.Outcome = long
				} else {
					p.Doing = long
				}
			}
		}
		if b.State.Final() {
			b.Outcome, b.Head = long+long, "#1234 ab12cd34ef56"
		}
		for _, to := range []commands.Audience{commands.ForApprovers, commands.ForRequester, commands.ForAsker} {
			reply := commands.TicketReply(b, to)
			note := commands.Note{Text: commands.Line(strings.Repeat("This may be a repeat. ", 15))}
			reply.Parts = append(reply.Parts, note)
			messages := chat.Blocks(reply)
			if len(messages) != 1 {
				t.Fatalf("case %d, %s, %s, %d apps: %d messages, want one", n, b.State, to, len(parts), len(messages))
			}
			text := printed(t, reply)
			for _, p := range b.Parts {
				if !strings.Contains(text, "`"+p.Plan.Name+"`") {
					t.Errorf("case %d: %s is not named in\n%s", n, p.Plan.Name, text)
				}
			}
			if more, known := b.Plan.Cost.Difference.Get(); known && more > 0 && !strings.Contains(text, "+"+more.String()+" a month") {
				t.Errorf("case %d: the total %s is not told in\n%s", n, more, text)
			}
			if first := strings.Index(text, "Difference"); first > strings.Index(text, "1. ") {
				t.Errorf("case %d: the total comes after the apps", n)
			}
		}
	}
}

// Where the card does not tell all that is risky, the button that begins it says so first.
func TestBatchLookFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		ticket approval.Ticket
		want   bool
	}{"all of it fits": {threeApps(t), false}, "cut short": {tenApps(t), true}} {
		for _, needs := range []int{0, 1} {
			tt.ticket.Approvals = needs
			reply := commands.TicketReply(tt.ticket, commands.ForApprovers)
			first := reply.Parts[len(reply.Parts)-1].(commands.Buttons).Row[0]
			got := first.Confirm != nil && strings.Contains(first.Confirm.Text, "Details tells all of it")
			if got != tt.want || !first.Primary {
				t.Errorf("%s, %d approvals: got %+v, %+v, want it to say so: %t", name, needs, first, first.Confirm, tt.want)
			}
			if first.Confirm != nil && len(first.Confirm.Text) > 300 {
				t.Errorf("%s: %d characters are too many for Slack", name, len(first.Confirm.Text))
			}
		}
	}
}

// A mark of code that is cut does not turn the rest into code, and unknown money is never $0.
func TestBatchUnknownPrice(t *testing.T) {
	b := batch(part(t, 1, "shop", "standard-1x web=1", ""), part(t, 2, "reports", "private-s web=1 space=private", ""))
	if b.Plan.Cost.Difference.IsKnown() {
		t.Fatal("the total of a known and an unknown price is known")
	}
	got := printed(t, commands.TicketReply(b, commands.ForApprovers))
	if strings.Contains(got, "$0") || !strings.Contains(got, "price unknown") {
		t.Errorf("got:\n%s", got)
	}
}
