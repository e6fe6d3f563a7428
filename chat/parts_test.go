package chat

import (
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/commands"
	"example.com/zdd/policy"
	"example.com/zdd/sim/slack"
)

// playParts runs a story in which a batch, T-1, and the ticket of one of its apps, T-2, are
// told of.
func playParts(t *testing.T, o *office, f func(*stage)) {
	t.Helper()
	playStory(t, slack.Options{}, func(c *Config) {
		m := c.Requests.(*memory)
		c.Telling = Telling{Tickets: m, Policy: func() policy.Policy { return o.Policy }, Posts: m, Reply: func(t approval.Ticket, to Audience) commands.Reply {
			if t.Of != "" && !t.State.Final() {
				return commands.Reply{}
			}
			return tellReply(t, to)
		}}
	}, f)
}

// apart is the ticket of an app of T-1.
func apart(rev int64, state approval.State) approval.Ticket {
	p := ticket(rev, state)
	p.ID, p.Of = "T-2", "T-1"
	return p
}

// under says in the thread of which message, by its beginning, the newest one that begins
// with text stands; empty: in none.
func (s *stage) under(text string) string {
	s.t.Helper()
	events := s.sim.Events()
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if !strings.HasPrefix(e.Text, text) || e.ThreadTS == "" {
			continue
		}
		for _, first := range events {
			if first.TS == e.ThreadTS && first.Channel == e.Channel {
				return first.ChannelName + ": " + strings.Fields(first.Text)[0]
			}
		}
	}
	return ""
}

func TestHowAnAppOfABatchEndedIsToldInItsThread(t *testing.T) {
	playParts(t, newOffice("C0OPS", "U0APPROVER"), func(s *stage) {
		s.tell(ticket(1, approval.Running))
		s.want(3*time.Second, "post→#ops: T-1 rev 1", "dm→requester: T-1 rev 1")
		s.tell(apart(1, approval.Approved), apart(2, approval.Running))
		s.want(time.Minute)
		s.tell(apart(3, approval.Done))
		s.want(3*time.Second, "post→#ops: T-2 rev 3 is done for approvers")
		if got := s.under("T-2 rev 3"); got != "ops: T-1" {
			t.Errorf("it stands under %q, want the message about T-1", got)
		}
		s.tell(apart(4, approval.Done)) // with what was found later
		s.want(3*time.Second, "update→#ops: T-2 rev 4 is done for approvers")
		s.wantPosts("channel/C0OPS@1", "requester/U0REQUESTER@1")
		s.wantDone()
	})
}

func TestAnAppOfABatchThatIsNotToldYet(t *testing.T) {
	for name, o := range map[string]*office{"in the channel": newOffice("C0OPS"), "directly": newOffice("")} {
		t.Run(name, func(t *testing.T) {
			playParts(t, o, func(s *stage) {
				s.tell(apart(3, approval.Stopped))
				s.want(10 * time.Minute)
				s.tell(ticket(1, approval.Running))
				if o.Approval.Channel == "" {
					s.want(time.Minute, "dm→requester: T-1 rev 1", "dm→requester: T-2 rev 3 is stopped")
				} else {
					s.want(time.Minute, "post→#ops: T-1 rev 1", "dm→requester: T-1 rev 1", "post→#ops: T-2 rev 3 is stopped")
				}
				if got := s.under("T-2 rev 3"); !strings.HasSuffix(got, ": T-1") {
					t.Errorf("it stands under %q, want the message about T-1", got)
				}
				s.wantDone()
			})
		})
	}
}

// While the message about the whole is being changed, its thread is where it was.
func TestAnAppOfABatchWhoseMessageIsBusy(t *testing.T) {
	playParts(t, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Running))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		s.memory.set(func(m *memory) {
			p := m.posts["T-1 channel/C0OPS"]
			p.Busy = time.Now()
			m.posts["T-1 channel/C0OPS"] = p
		})
		s.tell(apart(3, approval.Done))
		s.want(3*time.Second, "post→#ops: T-2 rev 3")
	})
	playParts(t, newOffice("C0OPS"), func(s *stage) { // being posted: it will be there
		s.tell(ticket(1, approval.Running))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		var ts string
		s.memory.set(func(m *memory) {
			p := m.posts["T-1 channel/C0OPS"]
			ts = p.TS
			p.TS, p.Busy = "", time.Now()
			m.posts["T-1 channel/C0OPS"] = p
		})
		s.tell(apart(3, approval.Done))
		s.want(time.Minute)
		s.memory.set(func(m *memory) {
			p := m.posts["T-1 channel/C0OPS"]
			p.TS, p.Busy = ts, time.Time{}
			m.posts["T-1 channel/C0OPS"] = p
		})
		s.want(time.Minute, "post→#ops: T-2 rev 3")
	})
}

func TestAnAppOfABatchThatIsToldNowhere(t *testing.T) {
	playParts(t, newOffice("C0GONE"), func(s *stage) {
		whole := ticket(1, approval.Running)
		whole.Requester = "U0DEACTIVATED"
		s.tell(whole)
		s.want(3 * time.Second)
		s.tell(apart(3, approval.Done))
		s.want(time.Minute)
		s.wantDone()
	})
}

func TestAnAppOfABatchWithoutItsChannel(t *testing.T) {
	o := newOffice("C0OPS")
	playParts(t, o, func(s *stage) {
		s.do("channel archive #ops")
		s.tell(ticket(1, approval.Running))
		s.want(3*time.Second, "dm→requester: T-1 rev 1")
		s.tell(apart(3, approval.Done))
		s.want(3*time.Second, "dm→requester: T-2 rev 3")
		s.do("channel unarchive #ops") // it stays where it stands
		s.tell(ticket(2, approval.Done), apart(4, approval.Done))
		s.want(time.Minute, "post→#ops: T-1 rev 2", "update→requester: T-1 rev 2", "update→requester: T-2 rev 4")
		s.wantDone()
	})
	playParts(t, o, func(s *stage) { // the policy names another one by then
		s.tell(ticket(1, approval.Running))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		s.tell(apart(3, approval.Done))
		s.want(3*time.Second, "post→#ops: T-2 rev 3")
		o.Approval.Channel = "C0FINANCE"
		s.tell(ticket(2, approval.Running), apart(4, approval.Done))
		s.want(time.Minute, "post→#finance: T-1 rev 2", "update→#ops: T-1 rev 2", "update→requester: T-1 rev 2", "update→#ops: T-2 rev 4")
		s.wantDone()
	})
}

func TestAnAppOfABatchWhoseMessageAPersonDeleted(t *testing.T) {
	playParts(t, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Running))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		s.tell(apart(3, approval.Done))
		s.want(3*time.Second, "post→#ops: T-2 rev 3")
		s.do("fault next 1 chat.update message_not_found")
		s.tell(apart(4, approval.Done))
		s.want(5*time.Second, "post→#ops: T-2 rev 4")
		if got := s.under("T-2 rev 4"); got != "ops: T-1" {
			t.Errorf("the new one stands under %q, want the message about T-1", got)
		}
		s.wantDone()
	})
}

func TestACrashWhileAnAppOfABatchIsTold(t *testing.T) {
	playParts(t, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Running))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		crashed := false
		s.queue.crash = func(*held) bool { was := crashed; crashed = true; return !was }
		s.tell(apart(3, approval.Done))
		s.want(3*time.Minute, "post→#ops: T-2 rev 3", "update→#ops: T-2 rev 3")
		s.wantDone()
	})
}

func TestThePermalinkOfAReply(t *testing.T) {
	self := Self{URL: "https://acme.slack.com/"}
	p := Post{Ticket: "T-2", Target: "channel/C0OPS/thread/01", Channel: "C0OPS", TS: "946684800.000200"}
	first := Post{Ticket: "T-1", Target: "channel/C0OPS", Channel: "C0OPS", TS: "946684799.000100"}
	const bare = "https://acme.slack.com/archives/C0OPS/p946684800000200"
	if got, want := self.PermalinkIn(first, p), bare+"?thread_ts=946684799.000100&cid=C0OPS"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := self.PermalinkIn(Post{}, p); got != bare {
		t.Errorf("of a message in no thread: got %s, want %s", got, bare)
	}
	if got := self.PermalinkIn(first, Post{}); got != "" {
		t.Errorf("of no message: got %s", got)
	}
	if p.Whole() != "channel/C0OPS" || first.Whole() != "" {
		t.Errorf("got %q and %q, want the target of the first message, and none", p.Whole(), first.Whole())
	}
}
