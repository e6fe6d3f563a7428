package chat

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/commands"
	"example.com/zdd/policy"
	"example.com/zdd/sim/slack"
)

// waiverBook keeps waivers.
type waiverBook struct {
	mu  sync.Mutex
	all map[string]policy.Waiver
}

func (b *waiverBook) Waiver(_ context.Context, id string) (policy.Waiver, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w, ok := b.all[id]; ok {
		return w, nil
	}
	return policy.Waiver{}, approval.ErrNoWaiver
}

// playWaivers runs a story in which waivers are told of. tell stores one and the job that
// tells of it.
func playWaivers(t *testing.T, o *office, f func(s *stage, tell func(policy.Waiver))) {
	t.Helper()
	book := &waiverBook{all: map[string]policy.Waiver{}}
	playStory(t, slack.Options{}, func(c *Config) {
		m := c.Requests.(*memory)
		c.Telling = Telling{
			Tickets: m, Reply: tellReply, Policy: func() policy.Policy { return o.Policy }, Posts: m, Groups: roster{},
			Waivers: book, Waiver: waiverReply,
		}
	}, func(s *stage) {
		f(s, func(w policy.Waiver) {
			book.mu.Lock()
			book.all[w.ID] = w
			book.mu.Unlock()
			s.memory.set(func(m *memory) {
				id := approval.WorkTellWaiver + ":" + w.ID + ":" + itoa(w.Rev)
				m.jobs[id] = &task{id: id, at: time.Now()}
			})
			s.queue.Wake()
		})
	})
}

// waiverReply renders waivers as cmd/bot has it: who had theirs at once is told nothing.
func waiverReply(w policy.Waiver, to Audience) commands.Reply {
	if to == ToRequester && w.Approvals == 0 {
		return commands.Reply{}
	}
	text := w.ID + " is " + string(w.State) + " for " + string(to)
	reply := commands.Reply{Summary: text, Parts: []commands.Part{commands.Para{Text: commands.Line(text)}}}
	switch {
	case w.State == policy.WaiverPending && to == ToApprovers:
		reply.Parts = append(reply.Parts, commands.Buttons{Row: []commands.Button{{Label: "Approve", Run: "approve " + w.ID}}})
	case w.Still != "":
		reply.Parts = append(reply.Parts, commands.Buttons{Row: []commands.Button{{Label: "Fix…", Run: "enable shop"}}})
	}
	return reply
}

// asked is a waiver of the requester's, asked for at the beginning of the story.
func asked(rev int64, state policy.WaiverState, change func(w *policy.Waiver)) policy.Waiver {
	at := time.Date(2000, 1, 1, 0, 0, 10, 0, time.UTC)
	w := policy.Waiver{ID: "W-1", Rev: rev, State: state, By: "U0REQUESTER", Team: "T0ACME", AskedAt: at, From: at, Until: at.AddDate(0, 0, 7)}
	if change != nil {
		change(&w)
	}
	return w
}

func TestAWaiverThatNeedsAnApprovalIsTold(t *testing.T) {
	playWaivers(t, newOffice("C0OPS", "U0APPROVER"), func(s *stage, tell func(policy.Waiver)) {
		needs := func(w *policy.Waiver) { w.Approvals, w.From = 1, time.Time{} }
		tell(asked(1, policy.WaiverPending, needs))
		s.want(3*time.Second, "post→#ops: W-1 is pending for approvers / [Approve]", "dm→requester: W-1 is pending for requester")
		tell(asked(2, policy.WaiverActive, func(w *policy.Waiver) {
			w.Approvals, w.DecidedBy, w.From = 1, "U0APPROVER", w.AskedAt.Add(time.Hour)
		}))
		s.want(3*time.Second, "update→#ops: W-1 is active for approvers", "update→requester: W-1 is active for requester", "dm→requester: W-1 is active for requester Details")
		// Over by the clock: the messages say so, and nobody is rung.
		tell(asked(3, policy.WaiverExpired, func(w *policy.Waiver) { w.Approvals, w.DecidedBy = 1, "U0APPROVER" }))
		s.want(3*time.Second, "update→#ops: W-1 is expired for approvers", "update→requester: W-1 is expired for requester")
		if got := s.screen("approver"); strings.Contains(got, "[Approve]") {
			t.Errorf("the approver still sees a button:\n%s", got)
		}
		s.wantDone()
	})
}

func TestAWaiverThatNeedsNoneIsToldInTheChannelOnly(t *testing.T) {
	playWaivers(t, newOffice("C0OPS", "U0APPROVER"), func(s *stage, tell func(policy.Waiver)) {
		tell(asked(1, policy.WaiverActive, nil))
		s.want(3*time.Second, "post→#ops: W-1 is active for approvers")
		tell(asked(2, policy.WaiverEnded, func(w *policy.Waiver) { w.DecidedBy = "U0REQUESTER" }))
		s.want(3*time.Second, "update→#ops: W-1 is ended for approvers")
		s.wantDone()
	})
}

func TestWhoseWaiverSomebodyElseEndsIsRung(t *testing.T) {
	playWaivers(t, newOffice("C0OPS", "U0APPROVER"), func(s *stage, tell func(policy.Waiver)) {
		tell(asked(1, policy.WaiverActive, nil))
		s.want(3*time.Second, "post→#ops: W-1 is active for approvers")
		tell(asked(2, policy.WaiverEnded, func(w *policy.Waiver) { w.DecidedBy = "U0APPROVER" }))
		s.want(3*time.Second, "update→#ops: W-1 is ended for approvers", "dm→requester: W-1 is ended for reminded")
		s.wantDone()
	})
}

// TestTheOwnerIsRemindedOnce: of a migration window that is over, over a crash between the
// message and its record too; and without an approval channel.
func TestTheOwnerIsRemindedOnce(t *testing.T) {
	playWaivers(t, newOffice("", "U0APPROVER"), func(s *stage, tell func(policy.Waiver)) {
		tell(asked(1, policy.WaiverActive, nil))
		s.want(3 * time.Second)
		crashed := false
		s.queue.crash = func(*held) bool { was := crashed; crashed = true; return !was }
		over := asked(2, policy.WaiverExpired, func(w *policy.Waiver) { w.Still = "Preboot is off." })
		tell(over)
		s.want(10*time.Minute, "dm→requester: W-1 is expired for reminded / [Fix…]", "update→requester: W-1 is expired for reminded / [Fix…]") // found again, and brought up to date
		if !crashed {
			t.Error("it did not crash")
		}
		// What an older job, or the same once more, finds is nothing to do.
		s.memory.set(func(m *memory) {
			for _, id := range []string{"waiver-tell:W-1:1", "waiver-tell:W-1:2"} {
				m.jobs[id] = &task{id: id, at: time.Now()}
			}
		})
		s.queue.Wake()
		s.want(time.Minute)
		s.wantDone()
	})
}

func TestAWaiverThatIsNotThere(t *testing.T) {
	playWaivers(t, newOffice("C0OPS", "U0APPROVER"), func(s *stage, _ func(policy.Waiver)) {
		s.memory.set(func(m *memory) { m.jobs["waiver-tell:W-9:1"] = &task{id: "waiver-tell:W-9:1", at: time.Now()} })
		s.queue.Wake()
		s.want(time.Minute)
		s.wantDone()
		s.wantLog("a waiver is to be told of that does not exist", 1)
	})
}
