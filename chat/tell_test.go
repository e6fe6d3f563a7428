package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/commands"
	"example.com/zdd/policy"
	"example.com/zdd/sim/slack"
)

// roster is who is in which user group.
type roster map[string][]string

func (r roster) Members(_ context.Context, group string) ([]string, error) {
	if in, ok := r[group]; ok {
		return in, nil
	}
	return nil, errors.New("no answer")
}

// office is the policy that tickets are told under.
type office struct{ policy.Policy }

func newOffice(channel string, approvers ...string) *office {
	o := &office{policy.Default()}
	o.Approval.Channel, o.People.Approvers = channel, approvers
	return o
}

// playTickets runs a story in which tickets are told of.
func playTickets(t *testing.T, opts slack.Options, o *office, f func(*stage)) {
	t.Helper()
	playStory(t, opts, func(c *Config) {
		m := c.Requests.(*memory)
		c.Telling = Telling{Tickets: m, Reply: tellReply, Policy: func() policy.Policy { return o.Policy }, Posts: m, Groups: roster{"S0FINOPS": {"U0APPROVER", "U0APPROVER2"}, "S0ODD": {"U0GUEST", "U0STRANGER", "U0DEACTIVATED", "U0NOBODY", "U0HELPERBOT"}}}
	}, f)
}

// ticket is a pending one of the requester's.
func ticket(rev int64, state approval.State) approval.Ticket {
	return approval.Ticket{ID: "T-1", Rev: rev, State: state, Requester: "U0REQUESTER", Team: "T0ACME", Approvals: 1}
}

// wantPosts looks at the records: their targets, with "live" for buttons, "repeat", "busy",
// and why they are lost.
func (s *stage) wantPosts(want ...string) {
	s.t.Helper()
	all, err := s.memory.Posts(s.t.Context(), "T-1")
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		words := []string{fmt.Sprintf("%s@%d", p.Target, p.Rev)}
		if p.Live {
			words = append(words, "live")
		}
		if p.Repeat {
			words = append(words, "repeat")
		}
		if !p.Busy.IsZero() {
			words = append(words, "busy")
		}
		got = append(got, strings.Join(append(words, nonEmpty(p.Lost)...), " "))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		s.t.Errorf("records:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// wantDone wants every job done.
func (s *stage) wantDone() {
	s.t.Helper()
	s.memory.set(func(m *memory) {
		for _, job := range m.jobs {
			if !job.done {
				s.t.Errorf("job %s is not done: %s", job.id, job.last)
			}
		}
	})
}

func TestATicketIsToldAndKeptUpToDate(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS", "U0APPROVER"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops: T-1 rev 1 is pending for approvers / [Approve] [Deny]", "dm→requester: T-1 rev 1 is pending for requester / [Cancel]")
		s.wantPosts("channel/C0OPS@1 live", "requester/U0REQUESTER@1 live")
		s.tell(ticket(2, approval.Approved))
		s.want(3*time.Second, "update→#ops: T-1 rev 2 is approved for approvers", "update→requester: T-1 rev 2 is approved for requester")
		s.wantPosts("channel/C0OPS@2", "requester/U0REQUESTER@2")
		for _, who := range []string{"approver", "requester"} {
			if got := s.screen(who); strings.Contains(got, "[Approve]") || strings.Contains(got, "[Cancel]") {
				t.Errorf("%s still sees a button:\n%s", who, got)
			}
		}
		s.wantDone()
	})
}

func TestEachApproverIsToldDirectlyWithoutAChannel(t *testing.T) {
	o := newOffice("", "U0APPROVER", "S0FINOPS", "S0ODD", "U0REQUESTER", "S0GONE")
	playTickets(t, slack.Options{}, o, func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "dm→approver: T-1 rev 1 is pending for approvers / [Approve]", "dm→approver2: T-1 rev 1 is pending for approvers / [Approve]",
			"dm→requester: T-1 rev 1 is pending for requester / [Cancel]")
		// Nobody else: no guest, no stranger, no bot, nobody deactivated. S0GONE does not
		// answer, and is asked again, while the others are left alone.
		s.want(time.Minute)
		if s.memory.job("tell:T-1:1").done {
			t.Error("the group that did not answer is forgotten")
		}
		o.People.Approvers = []string{"U0APPROVER2"} // meanwhile
		s.tell(ticket(2, approval.Pending))
		s.want(time.Minute, "update→approver: T-1 rev 2 is pending for approvers", "update→approver2: T-1 rev 2 is pending for approvers / [Approve]", "update→requester: T-1 rev 2")
		s.wantPosts("approver/U0APPROVER@2", "approver/U0APPROVER2@2 live", "requester/U0REQUESTER@2 live")
		s.wantDone()
		s.tell(ticket(3, approval.Denied))
		s.want(3*time.Second, "update→approver: T-1 rev 3", "update→approver2: T-1 rev 3 is denied for approvers", "update→requester: T-1 rev 3")
		s.wantPosts("approver/U0APPROVER@3", "approver/U0APPROVER2@3", "requester/U0REQUESTER@3")
	})
}

func TestWhatIsNotWorthAMessage(t *testing.T) {
	tests := map[string]struct {
		channel   string
		state     approval.State
		approvals int
		want      []string
	}{
		"denied before it was told":            {"C0OPS", approval.Denied, 1, []string{"dm→requester"}},
		"expired, without a channel":           {"", approval.Expired, 1, []string{"dm→requester"}},
		"runs without approval":                {"C0OPS", approval.Running, 0, []string{"post→#ops", "dm→requester"}},
		"runs without approval and a channel":  {"", approval.Running, 0, []string{"dm→requester"}},
		"done, which approvers were not asked": {"", approval.Done, 1, []string{"dm→requester"}},
		"done, in the channel":                 {"C0OPS", approval.Done, 1, []string{"post→#ops", "dm→requester"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playTickets(t, slack.Options{}, newOffice(tt.channel, "U0APPROVER"), func(s *stage) {
				tk := ticket(5, tt.state)
				tk.Approvals = tt.approvals
				s.tell(tk)
				s.want(3*time.Second, tt.want...)
				s.wantDone()
			})
		})
	}
}

func TestOnlyTheNewestRevisionIsTold(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.do("fault next 1 chat.postMessage 503") // whether it was posted is not known
		s.tell(ticket(1, approval.Pending))
		s.want(time.Second, "dm→requester: T-1 rev 1")
		// While the job of the first waits to try again, two come at once: the ticket is
		// never seen as the one between.
		s.tell(ticket(2, approval.Approved), ticket(3, approval.Cancelled))
		s.want(2*time.Minute, "update→requester: T-1 rev 3") // and nothing in #ops, where nobody heard of it
		s.wantDone()
		if !s.memory.job("tell:T-1:2").done {
			t.Error("the revision between was not looked at")
		}
	})
}

func TestTheSameTextIsNotSentTwice(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		before := len(s.sim.Calls())
		s.memory.set(func(m *memory) { m.jobs["tell:T-1:1"].done = false })
		s.queue.Wake()
		s.want(time.Minute)
		if got := len(s.sim.Calls()) - before; got != 0 {
			t.Errorf("asked Slack %d times for nothing", got)
		}
	})
}

func TestTwoChannels(t *testing.T) {
	o := newOffice("C0OPS", "U0APPROVER")
	playTickets(t, slack.Options{}, o, func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		o.Approval.Channel = "C0FINANCE" // the policy moved on
		s.tell(ticket(2, approval.Pending))
		s.want(3*time.Second, "post→#finance: T-1 rev 2 is pending for approvers / [Approve] [Deny]", "update→#ops: T-1 rev 2 is pending for approvers", "update→requester: T-1 rev 2")
		s.wantPosts("channel/C0FINANCE@2 live", "channel/C0OPS@2", "requester/U0REQUESTER@2 live")
		s.tell(ticket(3, approval.Approved))
		s.want(3*time.Second, "update→#finance: T-1 rev 3", "update→#ops: T-1 rev 3", "update→requester: T-1 rev 3")
		s.wantPosts("channel/C0FINANCE@3", "channel/C0OPS@3", "requester/U0REQUESTER@3")
	})
}

func TestTheChannelIsGone(t *testing.T) {
	tests := map[string]struct{ channel, do, why string }{
		"deleted":              {"C0OPS", "channel delete #ops", "it is gone"},
		"archived":             {"C0OPS", "channel archive #ops", "it is archived"},
		"not in it":            {"C0OPS", "scope remove chat:write.public|channel kick #ops", "I am not in it"},
		"private, not invited": {"C0BOARD", "", "it is gone, or private"},
		"restricted":           {"C0OPS", "fault next 1 chat.postMessage restricted_action", "restricted_action"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playTickets(t, slack.Options{}, newOffice(tt.channel, "U0APPROVER", "U0APPROVER2"), func(s *stage) {
				for line := range strings.SplitSeq(tt.do, "|") {
					if line != "" {
						s.do(line)
					}
				}
				s.tell(ticket(1, approval.Pending))
				s.want(3*time.Second, "dm→approver: T-1 rev 1 is pending for approvers / [Approve]", "dm→approver2: T-1 rev 1",
					"dm→requester: T-1 rev 1 is pending for requester / I could not post in the approval channel `"+tt.channel+"` ("+tt.why)
				if got := s.screen("requester"); !strings.Contains(got, "I asked the approvers directly instead.") {
					t.Errorf("the requester sees:\n%s", got)
				}
				s.wantLog("nothing can be told here", 1)
				s.wantDone()
			})
		})
	}
}

func TestTheChannelGoesWhileATicketWaits(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS", "U0APPROVER"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		s.do("channel archive #ops")
		s.tell(ticket(2, approval.Pending))
		s.want(3*time.Second, "dm→approver: T-1 rev 2 is pending for approvers / [Approve]", "update→requester: T-1 rev 2 is pending for requester / I could not post")
		s.wantPosts("approver/U0APPROVER@2 live", "channel/C0OPS@1 live is_archived", "requester/U0REQUESTER@2 live")
		s.do("channel unarchive #ops")
		s.tell(ticket(3, approval.Denied))
		s.want(3*time.Second, "update→#ops: T-1 rev 3 is denied for approvers", "update→approver: T-1 rev 3", "update→requester: T-1 rev 3 is denied for requester")
		s.wantPosts("approver/U0APPROVER@3", "channel/C0OPS@3", "requester/U0REQUESTER@3")
		s.wantDone()
	})
}

func TestNobodyCanBeReached(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0GONE", "U0GUEST"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "dm→requester: T-1 rev 1 is pending for requester / I could not post in the approval channel `C0GONE` (it is gone, or private and I am not in it). I could not reach an approver directly either.")
		s.wantDone()
	})
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		tk := ticket(1, approval.Pending)
		tk.Requester = "U0DEACTIVATED" // left the company meanwhile
		s.tell(tk)
		s.want(3*time.Second, "post→#ops: T-1 rev 1")
		s.wantPosts("channel/C0OPS@1 live", "requester/U0DEACTIVATED@0 user_disabled")
		s.wantDone()
	})
}

func TestAMessageThatAPersonDeletedIsPostedAnew(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		s.do("fault next 1 chat.update message_not_found")
		s.tell(ticket(2, approval.Denied))
		s.want(5*time.Second, "post→#ops: T-1 rev 2 is denied for approvers", "update→requester")
		s.wantPosts("channel/C0OPS@2", "requester/U0REQUESTER@2")
	})
}

func TestAMessageThatCannotBeChangedHoldsUpNothing(t *testing.T) {
	for _, code := range []string{"cant_update_message", "edit_window_closed", "some_code_of_tomorrow"} {
		playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
			s.tell(ticket(1, approval.Pending))
			s.want(3*time.Second, "post→#ops", "dm→requester")
			s.do("fault next 1 chat.update " + code)
			s.tell(ticket(2, approval.Denied))
			s.want(5*time.Second, "update→requester")
			s.wantLog("a message can't be changed", 1)
			s.wantPosts("channel/C0OPS@2 live", "requester/U0REQUESTER@2")
			s.wantDone()
			s.tell(ticket(3, approval.Denied))
			s.want(5*time.Second, "update→#ops", "update→requester")
		})
	}
}

func TestSlackIsAwayWhileATicketIsTold(t *testing.T) {
	tests := map[string]struct {
		do   string
		want []string // in #ops
	}{
		"429":                   {"fault next 1 chat.postMessage 429 90", []string{"post→#ops: T-1 rev 1"}},
		"503":                   {"fault next 1 chat.postMessage 503", []string{"post→#ops: T-1 rev 1"}},
		"cut before":            {"fault next 1 chat.postMessage reset", []string{"post→#ops: T-1 rev 1"}},
		"cut after":             {"fault next 1 chat.postMessage reset-after", []string{"post→#ops: T-1 rev 1", "update→#ops: T-1 rev 1"}}, // found, and brought up to date
		"hanging":               {"fault next 1 chat.postMessage hang", []string{"post→#ops: T-1 rev 1"}},
		"history limited":       {"fault next 1 chat.postMessage 503|fault next 2 conversations.history 429 5", []string{"post→#ops: T-1 rev 1"}},
		"history away":          {"fault next 1 chat.postMessage 503|fault next 2 conversations.history 503", []string{"post→#ops: T-1 rev 1"}},
		"no metadata":           {"fault next 1 chat.postMessage metadata_must_be_sent_from_app", []string{"post→#ops: T-1 rev 1"}},
		"blocks refused":        {"fault next 1 chat.postMessage invalid_blocks", []string{"post→#ops: T-1 rev 1"}},
		"the token for a while": {"fault next 1 chat.postMessage invalid_auth", []string{"post→#ops: T-1 rev 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
				for line := range strings.SplitSeq(tt.do, "|") {
					s.do(line)
				}
				s.tell(ticket(1, approval.Pending))
				s.want(5*time.Minute, append(tt.want, "dm→requester: T-1 rev 1")...)
				s.wantDone()
			})
		})
	}
}

func TestThePaceOfAChannel(t *testing.T) {
	playTickets(t, slack.Options{PostBurst: 1}, newOffice("C0OPS"), func(s *stage) {
		for i := range 8 {
			tk := ticket(1, approval.Pending)
			tk.ID = fmt.Sprintf("T-%d", i+1)
			s.tell(tk)
		}
		time.Sleep(time.Minute)
		if got := strings.Count(s.saw(), "post→#ops"); got != 8 {
			t.Errorf("got %d messages, want 8", got)
		}
		for _, c := range s.sim.Calls() {
			if c.Status == 429 {
				t.Errorf("too fast: %s", c.Method)
			}
		}
		s.wantDone()
	})
}

// Those that wait for their turn in a channel must not keep each other from it for
// ever: each post has a lease, and a place that was given up stays empty.
func TestManyTicketsInOneChannel(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	for i := range 100 {
		wait, reserved := p.reserve("C0OPS", now)
		if want := i < 2; reserved != want || wait > 2*postEvery {
			t.Fatalf("number %d: got a wait of %s, reserved %t, want %t", i, wait, reserved, want)
		}
	}
	if wait, reserved := p.reserve("C0OPS", now.Add(postEvery)); wait != postEvery || !reserved {
		t.Errorf("a second later: got a wait of %s, reserved %t, want the next turn", wait, reserved)
	}
	if wait, reserved := p.reserve("C0DATA", now); wait != 0 || !reserved {
		t.Errorf("in another channel: got a wait of %s, reserved %t", wait, reserved)
	}
}

func TestACrashBetweenAPostAndItsRecord(t *testing.T) {
	tests := map[string]struct {
		do     string
		want   []string
		posts  []string
		copies int
	}{
		"it is found": {
			want:   []string{"post→#ops: T-1 rev 1", "update→#ops: T-1 rev 1", "dm→requester"},
			posts:  []string{"channel/C0OPS@1 live", "requester/U0REQUESTER@1 live"},
			copies: 1,
		},
		"without the scope it is repeated, and says so": {
			do:     "scope remove channels:history",
			want:   []string{"post→#ops: T-1 rev 1 is pending for approvers / [Approve] [Deny]", "post→#ops: T-1 rev 1 is pending for approvers / This may be a repeat:", "dm→requester"},
			posts:  []string{"channel/C0OPS@1 live repeat", "requester/U0REQUESTER@1 live"},
			copies: 2,
		},
		"in a channel that it only posts in, too": {
			do:     "channel kick #ops",
			want:   []string{"post→#ops: T-1 rev 1 is pending for approvers / [Approve] [Deny]", "post→#ops: T-1 rev 1 is pending for approvers / This may be a repeat:", "dm→requester"},
			posts:  []string{"channel/C0OPS@1 live repeat", "requester/U0REQUESTER@1 live"},
			copies: 2,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
				if tt.do != "" {
					s.do(tt.do)
				}
				crashed := false
				s.queue.crash = func(*held) bool { was := crashed; crashed = true; return !was }
				s.tell(ticket(1, approval.Pending))
				s.want(3*time.Second, "post→#ops: T-1 rev 1")
				s.wantPosts("channel/C0OPS@0 busy")
				s.seq = 0
				s.want(3*time.Minute, tt.want...)
				s.wantPosts(tt.posts...)
				s.tell(ticket(2, approval.Denied))
				time.Sleep(3 * time.Second)
				if got := strings.Count(s.screen("approver"), "is pending"); got != tt.copies-1 {
					t.Errorf("%d copies show what is over, want %d", got, tt.copies-1)
				}
				s.wantDone()
			})
		})
	}
}

func TestACrashBetweenADirectPostAndItsRecord(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("", "U0APPROVER"), func(s *stage) {
		crashed := false
		s.queue.crash = func(*held) bool { was := crashed; crashed = true; return !was }
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Minute, "dm→approver: T-1 rev 1", "update→approver: T-1 rev 1", "dm→requester: T-1 rev 1")
		s.wantDone()
	})
}

func TestAPressOnALostCopyTakesItsButtonsAway(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.do("scope remove channels:history")
		crashed := false
		s.queue.crash = func(*held) bool { was := crashed; crashed = true; return !was }
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Minute, "post→#ops", "post→#ops", "dm→requester")
		s.queue.crash = nil
		s.tell(ticket(2, approval.Denied))
		s.want(3*time.Second, "update→#ops: T-1 rev 2", "update→requester: T-1 rev 2")
		s.do("click approver Approve")
		s.want(time.Second, "ephemeral→approver: T-1 approve", "update→#ops: T-1 rev 2 is denied for approvers / This is an older copy")
		if got := s.screen("approver2"); strings.Contains(got, "[Approve]") {
			t.Errorf("a button is left:\n%s", got)
		}
	})
}

func TestAPressOnATicketsMessageLeavesItToTell(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		s.do("click approver Deny")
		s.do(`submit approver Why?="<!channel> no"`)
		s.want(time.Second, "view→approver", "ephemeral→approver: denied: <!channel> no")
		for _, r := range s.memory.requests {
			if want := (Pressed{Channel: "C0OPS", TS: r.Pressed.TS, Ticket: "T-1", Target: "channel/C0OPS"}); r.Pressed != want || r.Pressed.TS == "" {
				t.Errorf("got %+v, want %+v", r.Pressed, want)
			}
		}
		tk := ticket(2, approval.Denied)
		tk.Reason = "<!channel> no"
		s.tell(tk)
		s.want(3*time.Second, "update→#ops: T-1 rev 2 is denied for approvers: <!channel> no", "update→requester")
		for _, e := range s.sim.Events() {
			if len(e.Pings) > 0 {
				t.Errorf("rang %v: %s", e.Pings, e.Text)
			}
		}
	})
}

func TestTwoBotsTellOfOneTicket(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.do("fault next 1 chat.postMessage slow 3s")
		s.tell(ticket(1, approval.Pending))
		time.Sleep(time.Second) // the first is posting; the second comes
		if err := s.bot.Tell(s.t.Context(), &held{q: newQueue(s.memory), id: "tell:T-1:1"}); err == nil {
			t.Error("the second one did not wait")
		}
		s.want(time.Minute, "post→#ops", "dm→requester")
		s.wantDone()
	})
}

func TestTellRefusesWhatItCannotRead(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		q := newQueue(s.memory)
		if err := s.bot.Tell(s.t.Context(), &held{q: q, id: "tell:T-1"}); err == nil {
			t.Error("a key without a revision was taken")
		}
		if err := s.bot.Tell(s.t.Context(), &held{q: q, id: "tell:T-9:1"}); err != nil {
			t.Errorf("a ticket that does not exist: got %v, want it left alone", err)
		}
		s.wantLog("a ticket is to be told of that does not exist", 1)
		s.memory.set(func(m *memory) { m.gone = errors.New("gone") })
		if err := s.bot.Tell(s.t.Context(), &held{q: q, id: "tell:T-1:1"}); err == nil {
			t.Error("a database that is away was not noticed")
		}
		s.memory.set(func(m *memory) { m.gone = nil })
	})
}

func TestALongTicketIsOneMessageWithItsButtons(t *testing.T) {
	reply := commands.Reply{Summary: "T-1: much", Parts: []commands.Part{commands.Heading{Text: "T-1"}}}
	for range 100 {
		reply.Parts = append(reply.Parts, commands.Para{Text: commands.Line(strings.Repeat("word & ", 100))})
	}
	reply.Parts = append(reply.Parts, commands.Buttons{Row: []commands.Button{{Label: "Approve", Run: "approve T-1"}}})
	s := sheetOf(reply, "T-1", "channel/C0OPS")
	checkMessages(t, []Message{s.Message})
	if !s.live {
		t.Error("the button is lost")
	}
	quieter := sheetOf(quiet(reply), "T-1", "channel/C0OPS")
	if quieter.live || quieter.hash == s.hash {
		t.Errorf("without buttons: live %v, hash %s", quieter.live, quieter.hash)
	}
	checkMessages(t, []Message{oneMessage(commands.Reply{Summary: strings.Repeat("s", 5000), Parts: []commands.Part{commands.Pre{Text: strings.Repeat("x\n", 20_000)}}}, "T-1")})
}

func TestALimitedUpdateKeepsItsButtons(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("", "U0APPROVER"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "dm→approver", "dm→requester")
		s.do("fault next 1 chat.update 429 5")
		s.tell(ticket(2, approval.Pending))
		s.want(time.Minute, "update→approver: T-1 rev 2 is pending for approvers / [Approve] [Deny]", "update→requester: T-1 rev 2")
		s.wantPosts("approver/U0APPROVER@2 live", "requester/U0REQUESTER@2 live")
		s.wantDone()
	})
}

func TestAnUpdateThatWasInterruptedIsMadeAgain(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops", "dm→requester")
		s.memory.set(func(m *memory) { // what the message shows is not what is recorded
			p := m.posts["T-1 channel/C0OPS"]
			p.Busy = time.Now()
			m.posts["T-1 channel/C0OPS"] = p
			m.jobs["tell:T-1:1"].done = false
		})
		s.queue.Wake()
		s.want(3*time.Second, "update→#ops: T-1 rev 1")
		s.wantPosts("channel/C0OPS@1 live", "requester/U0REQUESTER@1 live")
	})
}

func TestJobsWaitUntilSlackSaysWhoTheBotIs(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		cfg := s.cfg
		cfg.Registerer = nil
		early, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.memory.set(func(m *memory) {
			m.tickets["T-1"] = ticket(1, approval.Pending)
			m.requests["E1"] = Accepted{ID: "E1", Line: "enable shop", User: "U0REQUESTER", At: time.Now()}
		})
		q := newQueue(s.memory)
		for id, handle := range map[string]func(context.Context, Job) error{"command:E1": early.Perform, "tell:T-1:1": early.Tell} {
			if _, waits := errors.AsType[*later](handle(s.t.Context(), &held{q: q, id: id})); !waits {
				t.Errorf("%s did not wait", id)
			}
		}
		if ok, why, err := early.Kind(s.t.Context(), "U0REQUESTER", "T0ACME"); err == nil {
			t.Errorf("got %t and %q of somebody, want an error: an approved ticket would become stale", ok, why)
		}
		if got := s.grammar.runs(); len(got) > 0 {
			t.Errorf("ran %q as if by a stranger", got)
		}
		s.want(time.Second)
	})
}
