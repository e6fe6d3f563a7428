package chat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/sim/slack"
)

// ended is a ticket of the requester's that ended the given time after they asked.
func ended(state approval.State, after time.Duration) approval.Ticket {
	t := ticket(2, state)
	t.CreatedAt = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	t.DecidedAt = t.CreatedAt.Add(after)
	switch state {
	case approval.Denied, approval.Cancelled:
		t.DecidedBy = "U0APPROVER"
	case approval.Done, approval.Stopped, approval.Failed:
		t.EndedAt = t.DecidedAt
		t.DecidedAt = t.CreatedAt.Add(time.Second)
	}
	return t
}

func TestWhichEndsRingTheRequester(t *testing.T) {
	with := func(t approval.Ticket, change func(*approval.Ticket)) approval.Ticket {
		change(&t)
		return t
	}
	const hour = time.Hour
	tests := map[string]struct {
		ticket approval.Ticket
		want   bool
	}{
		"pending":                        {ended(approval.Pending, hour), false},
		"approved":                       {ended(approval.Approved, hour), false},
		"running":                        {ended(approval.Running, hour), false},
		"denied":                         {ended(approval.Denied, hour), true},
		"stale":                          {ended(approval.Stale, hour), true},
		"expired":                        {ended(approval.Expired, 24*hour), true},
		"done":                           {ended(approval.Done, hour), true},
		"stopped":                        {ended(approval.Stopped, hour), true},
		"failed":                         {ended(approval.Failed, hour), true},
		"called off by another":          {ended(approval.Cancelled, hour), true},
		"called off by themselves":       {with(ended(approval.Cancelled, hour), func(t *approval.Ticket) { t.DecidedBy = t.Requester }), false},
		"stopped by themselves":          {with(ended(approval.Stopped, hour), func(t *approval.Ticket) { t.Halt = t.Requester }), false},
		"stopped by another":             {with(ended(approval.Stopped, hour), func(t *approval.Ticket) { t.Halt = "U0ADMIN" }), true},
		"failed, though they stopped it": {with(ended(approval.Failed, hour), func(t *approval.Ticket) { t.Halt = t.Requester }), true},
		"denied at once":                 {ended(approval.Denied, 119*time.Second), false},
		"denied after two minutes":       {ended(approval.Denied, 2*time.Minute), true},
		"done soon after their own vote": {with(ended(approval.Done, hour), func(t *approval.Ticket) {
			t.Votes = []approval.Vote{{User: t.Requester, At: t.EndedAt.Add(-time.Minute)}}
		}), false},
		"done soon after another's vote": {with(ended(approval.Done, hour), func(t *approval.Ticket) {
			t.Votes = []approval.Vote{{User: "U0APPROVER", At: t.EndedAt.Add(-time.Minute)}}
		}), true},
		"done soon after their Do it":     {with(ended(approval.Done, hour), func(t *approval.Ticket) { t.Approvals, t.DecidedAt = 0, t.EndedAt.Add(-time.Minute) }), false},
		"done long after their Do it":     {with(ended(approval.Done, hour), func(t *approval.Ticket) { t.Approvals, t.DecidedAt = 0, t.EndedAt.Add(-3*time.Minute) }), true},
		"stale at their Do it":            {with(ended(approval.Stale, hour), func(t *approval.Ticket) { t.Approvals = 0 }), false},
		"stale when its turn came":        {with(ended(approval.Stale, hour), func(t *approval.Ticket) { t.Approvals, t.EndedAt = 0, t.DecidedAt }), true},
		"a preview that expired":          {with(ended(approval.Expired, 24*hour), func(t *approval.Ticket) { t.Approvals = 0 }), true},
		"resumed by another, done soon":   {with(ended(approval.Done, time.Minute), func(t *approval.Ticket) { t.Resumer = "U0ADMIN" }), true},
		"resumed by themselves, and soon": {with(ended(approval.Done, time.Minute), func(t *approval.Ticket) { t.Resumer = t.Requester }), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := noticed(tt.ticket); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

const rung = "dm→requester: T-1 rev 2 is done for requester Details"

func TestTheEndOfATicketRingsItsRequesterOnce(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice("C0OPS"), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "post→#ops", "dm→requester: T-1 rev 1")
		done := ended(approval.Done, time.Hour)
		s.tell(done)
		s.want(5*time.Second, "update→#ops: T-1 rev 2 is done", "update→requester: T-1 rev 2 is done", rung)
		s.wantPosts("channel/C0OPS@2", "notice/U0REQUESTER@2", "requester/U0REQUESTER@2")
		var link string
		for _, c := range s.sim.Calls() {
			if _, rest, found := strings.Cut(fmt.Sprint(c.Args), "https://acme.slack.com/archives/D"); found {
				link = rest
			}
		}
		if !strings.Contains(link, "/p") {
			t.Errorf("the notice leads to %q, want the message that tells the rest", link)
		}
		done.Rev = 3 // looked at again later
		s.tell(done)
		s.want(5*time.Second, "update→#ops: T-1 rev 3", "update→requester: T-1 rev 3")
		s.wantPosts("channel/C0OPS@3", "notice/U0REQUESTER@2", "requester/U0REQUESTER@3")
		s.wantDone()
	})
}

func TestACrashDoesNotRingTwice(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice(""), func(s *stage) {
		steps := 0
		s.queue.crash = func(*held) bool { steps++; return steps == 2 } // after the notice was posted, before that was written down
		s.tell(ended(approval.Done, time.Hour))
		s.want(10*time.Second, "dm→requester: T-1 rev 2 is done for requester", rung)
		s.wantPosts("notice/U0REQUESTER@0 busy", "requester/U0REQUESTER@2")
		s.want(5*time.Minute, "update→requester: T-1 rev 2 is done for requester Details") // found by its metadata
		s.wantPosts("notice/U0REQUESTER@2", "requester/U0REQUESTER@2")
		s.wantDone()
	})
}

func TestANoticeWaitsForSlack(t *testing.T) {
	playTickets(t, slack.Options{}, newOffice(""), func(s *stage) {
		s.tell(ticket(1, approval.Pending))
		s.want(3*time.Second, "dm→requester")
		s.do("fault next 1 chat.postMessage 429 30")
		s.tell(ended(approval.Done, time.Hour))
		s.want(20*time.Second, "update→requester")
		s.want(time.Minute, rung)
		s.wantDone()
	})
}
