package commands

import (
	"context"
	"errors"
	"slices"
	"strings"

	"example.com/zdd/approval"
	"example.com/zdd/policy"
)

func newPending(d desk, v waiver) Command {
	return Command{
		Name:    "pending",
		Desk:    true,
		Usage:   "pending",
		Summary: "list what waits for a decision, and what is under way",
		Help:    "Everything that awaits approval, has been approved and not begun, or runs.",
		Example: []string{"pending"},
		Run: func(ctx context.Context, req Request) (Reply, error) {
			tickets, err := d.Pending(ctx)
			if err != nil {
				return Reply{}, said(err)
			}
			var waits []policy.Waiver
			if v.desk != nil {
				all, err := v.desk.Open(ctx)
				if err != nil {
					return Reply{}, said(err)
				}
				waits = waitingWaivers(all)
			}
			if len(tickets)+len(waits) == 0 {
				return Reply{Summary: "Nothing waits for a decision, and nothing is under way.", Parts: []Part{Para{Line("Nothing waits for a decision, and nothing is under way.")}}}, nil
			}
			var items []Item
			var row []Button
			for _, t := range tickets {
				if slices.ContainsFunc(tickets, func(whole approval.Ticket) bool { return whole.ID == t.Of }) {
					continue // told below the ticket that it carries a part of out
				}
				item := Item{Text: Line(Bold(t.ID), " ", strings.TrimPrefix(summaryOf(t), t.ID+" "), " · asked by ", MentionUser(t.Requester), " ", At(t.CreatedAt))}
				for _, part := range tickets {
					if part.Of == t.ID {
						item.Detail = append(item.Detail, Line("now ", Bold(part.ID), " ", strings.TrimPrefix(summaryOf(part), part.ID+" ")))
					}
				}
				items = append(items, item)
				if len(row) < 20 {
					row = append(row, Button{Label: t.ID, Run: "show " + t.ID})
				}
			}
			for _, w := range waits {
				items = append(items, waiverItem(w, WaiverView{Policy: v.policies.Policy(), Now: req.Now}))
				if len(row) < 20 {
					row = append(row, Button{Label: w.ID, Run: "show " + w.ID})
				}
			}
			summary := count(len(items)-len(waits), "ticket") + " wait or run"
			if len(waits) > 0 {
				summary += ", " + count(len(waits), "waiver") + " wait"
			}
			return Reply{Summary: summary, Parts: []Part{Heading{"Waiting and under way"}, List{items}, Buttons{row}}}, nil
		},
	}
}

func newShow(d desk, v waiver) Command {
	const usage = "show <ticket>"
	return Command{
		Name:    "show",
		Desk:    true,
		Usage:   usage,
		Summary: "show a ticket, a waiver or a watch of a deploy, whole",
		Help:    "The plan, what it costs, who decided, how far it is, and the buttons that still do something.",
		Example: []string{"show T-12", "show W-3", "show D-5"},
		Args:    1,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if id, ok := approval.ParseWaiverID(req.Args.Word(0)); ok && v.desk != nil {
				return v.show(ctx, req, id)
			}
			id, err := ticketID(req.Args.Word(0), spoken(req.Via, usage))
			if err != nil {
				return Reply{}, err
			}
			t, err := d.Ticket(ctx, id)
			if errors.Is(err, approval.ErrNoTicket) {
				return Reply{}, refuse("There is no ticket `%s`. `pending` lists those that wait.", id)
			}
			if err != nil {
				return Reply{}, said(err)
			}
			to := ForApprovers
			if t.Requester == req.By.ID {
				to = ForRequester
			}
			reply := TicketReply(t, to)
			if t.Batch() {
				reply = batchCard(t, to, tellAll)
			}
			return with(reply, Note{Line("Plan ", Code(t.Plan.Hash[:min(12, len(t.Plan.Hash))]), ", read ", At(t.Plan.ReadAt), ".")}), nil
		},
	}
}
