package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
)

func newPending(d desk) Command {
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
			if len(tickets) == 0 {
				return Reply{Summary: "Nothing waits for a decision, and nothing is under way.", Parts: []Part{Para{Line("Nothing waits for a decision, and nothing is under way.")}}}, nil
			}
			var items []Item
			var row []Button
			for _, t := range tickets {
				items = append(items, Item{Text: Line(Bold(t.ID), " ", strings.TrimPrefix(summaryOf(t), t.ID+" "), " · asked by ", MentionUser(t.Requester), " ", At(t.CreatedAt))})
				if len(row) < 20 {
					row = append(row, Button{Label: t.ID, Run: "show " + t.ID})
				}
			}
			return Reply{Summary: count(len(tickets), "ticket") + " wait or run", Parts: []Part{Heading{"Waiting and under way"}, List{items}, Buttons{row}}}, nil
		},
	}
}

func newShow(d desk) Command {
	const usage = "show <ticket>"
	return Command{
		Name:    "show",
		Desk:    true,
		Usage:   usage,
		Summary: "show a ticket whole",
		Help:    "The plan, what it costs, who decided, how far it is, and the buttons that still do something.",
		Example: []string{"show T-12"},
		Args:    1,
		Run: func(ctx context.Context, req Request) (Reply, error) {
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
			return with(reply, Note{Line("Plan ", Code(t.Plan.Hash[:min(12, len(t.Plan.Hash))]), ", read ", At(t.Plan.ReadAt), ".")}), nil
		},
	}
}

// entries reads the ledger.
type entries interface {
	LedgerOf(ctx context.Context, app string, before int64, limit int) ([]ledger.Entry, error)
}

// historyPage is how many entries one answer shows: what fits a message and a screen.
const historyPage = 15

func newHistory(apps appReader, log entries, messages func(context.Context, string) string) Command {
	const usage = "history [app] [before=<entry>]"
	return Command{
		Name:    "history",
		Usage:   usage,
		Summary: "who did what: the ledger, newest first",
		Help:    "Every request, decision and step, of all apps or of one, from the ledger. `bot ledger verify` proves that nothing in it was altered.",
		Example: []string{"history", "history shop"},
		Args:    1,
		Options: []Option{{Name: "before", Summary: "the entry's number to go on from"}},
		Run: func(ctx context.Context, req Request) (Reply, error) {
			var before int64
			if s := req.Args.Options["before"]; s != "" {
				n, err := strconv.ParseInt(strings.TrimPrefix(s, "#"), 10, 64)
				if err != nil || n < 1 {
					return Reply{}, refuse("`before` takes an entry's number, such as `before=120`. Usage: `%s`", spoken(req.Via, usage))
				}
				before = n
			}
			var id fleet.ID
			title, line := "History", "history"
			if word := req.Args.Word(0); word != "" {
				app, err := ReadNamed(ctx, apps, word, spoken(req.Via, usage))
				if err != nil {
					return Reply{}, err
				}
				id, title, line = app.ID, "History of "+app.Name, "history "+string(app.ID)
			}
			if log == nil {
				return Reply{}, refuse("There is no ledger here.")
			}
			page, err := log.LedgerOf(ctx, string(id), before, historyPage+1)
			if err != nil {
				return Reply{}, fmt.Errorf("read the ledger: %w", err)
			}
			if len(page) == 0 {
				return Reply{Summary: "The ledger has nothing about that yet.", Parts: []Part{Para{Line("The ledger has nothing about that yet.")}}}, nil
			}
			more := len(page) > historyPage
			page = page[:min(len(page), historyPage)]
			var items []Item
			links := map[string]string{} // by ticket
			for _, e := range page {
				text := entryText(e)
				if _, asked := links[e.Ticket]; !asked && e.Ticket != "" && messages != nil {
					links[e.Ticket] = messages(ctx, e.Ticket)
				}
				if url := links[e.Ticket]; url != "" {
					text = append(text, Line(" · ", Link(url, "message"))...)
				}
				items = append(items, Item{Text: text})
			}
			reply := Reply{Summary: title, Parts: []Part{Heading{title}, List{items}}}
			if more {
				reply.Parts = append(reply.Parts, Buttons{[]Button{{Label: "Older", Run: fmt.Sprintf("%s before=%d", line, page[len(page)-1].Seq)}}})
			}
			return reply, nil
		},
	}
}

func entryText(e ledger.Entry) Text {
	who := Line("zdd")
	if e.Actor != ledger.Bot {
		who = Line(MentionUser(e.Actor))
	}
	verb, about := told(e)
	text := Line(fmt.Sprintf("#%d ", e.Seq), At(e.At.Truncate(time.Second)), " ", who, " ", Bold(verb))
	if about != "" {
		text = append(text, Line(" ", about)...)
	}
	if e.Ticket != "" {
		text = append(text, Line(" · ", Code(e.Ticket))...)
	}
	if e.Name != "" {
		text = append(text, Line(" ", Code(e.Name))...)
	}
	return text
}

// told is what an entry tells, as a verb and the words after it. The ledger's own verbs
// are made for programs.
func told(e ledger.Entry) (verb, about string) {
	var detail struct {
		Wish   string `json:"wish"`
		Tried  string `json:"tried"`
		Reason string `json:"reason"`
		Why    string `json:"why"`
		What   string `json:"what"`
		Halt   bool   `json:"halt"`
		Self   bool   `json:"self"`
	}
	_ = json.Unmarshal(e.Detail, &detail) // of another version's form: then the verb has to do
	short := func(s string) string {
		const most = 120 // characters; a line
		s = strings.Join(strings.Fields(strings.ReplaceAll(s, "`", "")), " ")
		if r := []rune(s); len(r) > most {
			s = string(r[:most]) + "…"
		}
		return s
	}
	switch e.Verb {
	case ledger.Asked:
		return "asked", short(detail.Wish)
	case ledger.Voted, ledger.Approved:
		if detail.Self {
			about = "(the requester's own voice counts)"
		}
		return e.Verb, about
	case ledger.Refused:
		return "was refused", short(detail.Tried)
	case ledger.Cancelled:
		if detail.Halt {
			return "asked to stop", ""
		}
	case ledger.Denied:
		if detail.Reason != "" {
			about = "“" + short(detail.Reason) + "”"
		}
		return e.Verb, about
	case ledger.StepIntended:
		return "begins", short(detail.What)
	case ledger.StepDone:
		return "done", short(detail.What)
	case ledger.StepFailed:
		return "failed", short(detail.What)
	case ledger.Stale, ledger.Stopped, ledger.Failed:
		return e.Verb, short(detail.Why)
	case ledger.Rechecked:
		return "looked again", ""
	case ledger.PolicyLoaded:
		return "read the policy", ""
	}
	return e.Verb, ""
}
