package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// tell makes the ledger entry of a change.
func (u *run) tell(verb string, detail map[string]any) approval.Change {
	text, err := json.Marshal(detail)
	if err != nil { // it holds strings, numbers, times and plan.State only
		text = []byte(`{"detail":"could not be written"}`)
	}
	return approval.Change{Entries: []ledger.Entry{{
		At: u.now(), Actor: ledger.Bot, Verb: verb, App: string(u.t.Plan.App), Name: u.t.Plan.Name, Ticket: u.t.ID, Detail: text,
	}}}
}

// ending is how a rollout ends that does not end well.
type ending struct {
	state approval.State
	verb  string
	why   string // a sentence without its full stop
}

// surprise ends a rollout whose app is not as it should be.
func (u *run) surprise(why string) conclusion {
	u.log.Warn("a rollout met a surprise", "err", why)
	return u.end(ending{state: approval.Stopped, verb: ledger.Stopped, why: why})
}

// halted ends a rollout that somebody asked to stop.
func (u *run) halted() conclusion {
	return u.end(ending{state: approval.Stopped, verb: ledger.Stopped, why: "It was cancelled while it ran"})
}

// stale ends a ticket before anything was done.
func (u *run) stale(why string) conclusion {
	now := u.now()
	why = bare(why)
	return conclusion{change: func(t *approval.Ticket) approval.Change {
		t.State, t.DecidedAt, t.EndedAt, t.Waiting, t.Trouble = approval.Stale, now, now, "", time.Time{}
		t.Outcome = fmt.Sprintf("%s. Nothing was changed. To plan it anew: %s.", why, u.again())
		return u.tell(ledger.Stale, map[string]any{"why": why})
	}}
}

// again is what to type to ask for the same once more.
func (u *run) again() string {
	if u.t.Batch() {
		return orders(u.t.Parts)
	}
	if u.t.Wish.Verb == plan.ToUndo && u.t.Follows != "" {
		return plan.Code("/zdd undo " + u.t.Follows)
	}
	return plan.Code("/zdd " + u.t.Wish.Line(u.t.Plan.Name))
}

// end ends a ticket early.
func (u *run) end(e ending) conclusion {
	if u.t.Batch() {
		return u.endBatch(e)
	}
	now, came := u.now(), u.came
	u.log.Info("a rollout ended early", "err", e.why)
	return conclusion{change: func(t *approval.Ticket) approval.Change {
		done, unknown, left := account(*t)
		var changed []string // sent, accepted, and no more so
		switch then := stateWords(came.then); {
		case came.nothing:
			unknown, left = nil, append(unknown, left...)
		case then != "":
			unknown, changed = nil, unknown
		}
		touched := len(done)+len(unknown)+len(changed) > 0
		text := []string{bare(e.why) + "."}
		switch {
		case len(done) > 0:
			text = append(text, "Done, and read back: "+plan.Join(done)+".")
		case !touched:
			text = append(text, "Nothing was changed.")
		}
		if len(changed) > 0 {
			text = append(text, fmt.Sprintf("Sent and accepted, then changed by somebody: %s; now %s.", plan.Join(changed), stateWords(came.then)))
		}
		if len(unknown) > 0 {
			text = append(text, fmt.Sprintf("Not known, because Heroku did not tell: %s may or may not be done.", plan.Join(unknown)))
		}
		if len(left) > 0 && touched {
			text = append(text, "Not done: "+plan.Join(left)+".")
		}
		text = append(text, u.next(t, touched))
		t.State, t.EndedAt, t.Waiting, t.Trouble = e.state, now, "", time.Time{}
		t.Outcome = strings.Join(text, " ")
		return u.tell(e.verb, map[string]any{"why": e.why, "done": nonNil(done), "unknown": nonNil(unknown), "changed_since": nonNil(changed), "not_done": nonNil(left)})
	}}
}

// next offers what can be done about a ticket that ended early.
func (u *run) next(t *approval.Ticket, changed bool) string {
	if t.State == approval.Approved {
		return fmt.Sprintf("To plan it anew: %s.", u.again())
	}
	text := fmt.Sprintf("To go on: %s", plan.Code("/zdd resume "+t.ID))
	if changed {
		text += fmt.Sprintf("; to take back what was done: %s", plan.Code("/zdd undo "+t.ID))
	}
	return text + "."
}

// account is what came of the steps that change something: done by this rollout, perhaps
// done, not done. What was so already is in none of them.
func account(t approval.Ticket) (done, unknown, left []string) {
	for i, s := range t.Plan.Steps {
		var p approval.Progress
		if i < len(t.Progress) {
			p = t.Progress[i]
		}
		switch name := plan.Code(s.String()); {
		case !changes(s), p.Already:
		case !p.Done.IsZero():
			done = append(done, name)
		case !p.Intended.IsZero():
			unknown = append(unknown, name)
		default:
			left = append(left, name)
		}
	}
	return done, unknown, left
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// finish ends a rollout all of whose steps are done: it looks once more, and tells what
// it sees.
func (u *run) finish(ctx context.Context) error {
	return u.conclude(ctx, func(ctx context.Context) conclusion {
		app, p := u.read(ctx)
		if p != nil {
			return u.onTrouble(p)
		}
		if c, over := u.upheld(len(u.t.Plan.Steps), app); over {
			return c
		}
		now, verdict := u.now(), u.cfg.Judge(ctx, app)
		u.log.Info("a rollout is done")
		return conclusion{change: func(t *approval.Ticket) approval.Change {
			t.State, t.EndedAt, t.Waiting, t.Trouble = approval.Done, now, "", time.Time{}
			t.Verdict, t.Outcome = verdict, u.proof(t, app, now)
			done, _, _ := account(*t)
			change := u.tell(ledger.Finished, map[string]any{"verdict": verdict, "done": nonNil(done), "read_at": app.ReadAt.UTC(), "now": proven(t.Plan.Steps, app)})
			if len(done) > 0 {
				change.Work = u.looks(now)
			}
			if u.t.Wish.Verb == plan.ToUndo && u.t.Follows != "" { // for who looks up what became of that one
				undone := u.tell(ledger.Undone, map[string]any{"by": u.t.ID}).Entries[0]
				undone.Ticket = u.t.Follows
				change.Entries = append(change.Entries, undone)
			}
			return change
		}}
	})
}

// proof is the sentence of a rollout that is done.
func (u *run) proof(t *approval.Ticket, app fleet.App, now time.Time) string {
	var is, already []string
	for _, state := range proven(t.Plan.Steps, app) {
		is = append(is, stateWords(state))
	}
	begun := now
	for i, p := range t.Progress {
		for _, at := range []time.Time{p.Intended, p.Done} {
			if !at.IsZero() {
				begun = earlier(begun, at)
			}
		}
		if p.Already {
			already = append(already, plan.Code(t.Plan.Steps[i].String()))
		}
	}
	took := "at once"
	if d := now.Sub(begun); d >= time.Second {
		took = "in " + span(d)
	}
	text := fmt.Sprintf("Done %s. Read back from Heroku at %s: %s.", took, u.clock(app.ReadAt), plan.Join(is))
	if len(already) > 0 {
		text += fmt.Sprintf(" Somebody was faster than I with %s: it was so before I came to it.", plan.Join(already))
	}
	if t.Plan.Outcome == plan.Yours && len(t.Plan.Why) > 0 {
		text += " Left for you: " + strings.Join(t.Plan.Why, " ")
	}
	return text
}

// proven is what the app shows of everything that the steps were about, each thing once.
func proven(steps []plan.Step, app fleet.App) []plan.State {
	states := []plan.State{}
	seen := map[string]bool{}
	for _, s := range steps {
		state, known := s.Seen(app).Get()
		switch {
		case !known:
		case state.Feature != nil && !seen[state.Feature.Name]:
			seen[state.Feature.Name] = true
			states = append(states, state)
		case state.Feature == nil:
			var fresh plan.State
			for _, p := range state.Processes {
				if !seen["type "+p.Type] {
					seen["type "+p.Type] = true
					fresh.Processes = append(fresh.Processes, p)
				}
			}
			if fresh.Processes != nil {
				states = append(states, fresh)
			}
		}
	}
	return states
}
