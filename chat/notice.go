package chat

import (
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/commands"
)

// noticeAfter is how long after their last act a person is taken to be looking still, so
// that the message that changes before their eyes is enough.
const noticeAfter = 2 * time.Minute

// noticed says whether the end of a ticket is worth ringing its requester for: any end,
// unless it was they who called it off or stopped it, or it came within noticeAfter of
// their own last act. Only the ticket decides, so that every attempt comes to the same.
func noticed(t approval.Ticket) bool {
	switch t.State {
	case approval.Denied, approval.Cancelled:
		if t.DecidedBy == t.Requester {
			return false
		}
	case approval.Stopped:
		if t.Halt == t.Requester {
			return false
		}
	case approval.Stale, approval.Expired, approval.Done, approval.Failed:
	default:
		return false
	}
	end := t.EndedAt
	if end.IsZero() {
		end = t.DecidedAt
	}
	return end.Sub(lastAct(t)) >= noticeAfter
}

// lastAct is when the requester last did something about a ticket, as far as the ticket
// tells; the zero time where it was another who had it go on.
func lastAct(t approval.Ticket) time.Time {
	var last time.Time
	act := func(at time.Time) {
		if at.After(last) {
			last = at
		}
	}
	if t.Resumer == "" || t.Resumer == t.Requester {
		act(t.CreatedAt)
	}
	// Without approvals, DecidedAt is their own "Do it", unless the end was written over it.
	overwritten := t.State == approval.Expired || t.State == approval.Stale && !t.EndedAt.IsZero()
	if t.Approvals == 0 && t.Resumer == "" && !overwritten {
		act(t.DecidedAt)
	}
	for _, v := range t.Votes {
		if v.User == t.Requester {
			act(v.At)
		}
	}
	return last
}

// notice is the end of a ticket in a line, with the way to the message that tells the
// rest. It has no buttons: those of that message count.
func (n *news) notice(own commands.Reply) commands.Reply {
	if !n.said(own) {
		return commands.Reply{}
	}
	text := commands.Line(own.Summary)
	if address := n.permalink(); address != "" {
		text = append(text, commands.Line(" ", commands.Link(address, "Details"))...)
	}
	return commands.Reply{Summary: own.Summary, Parts: []commands.Part{commands.Para{Text: text}}}
}

// permalink is where the requester's message is, as an address to open; empty where that is
// not known.
func (n *news) permalink() string {
	p := n.posts[toRequester+n.ticket.Requester]
	if !strings.HasPrefix(p.Channel, "D") {
		return ""
	}
	return n.self.Permalink(p)
}
