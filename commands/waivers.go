package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

func newWaivers(v waiver) Command {
	const usage = "waivers [app]"
	return Command{
		Name:    "waivers",
		Desk:    true,
		Usage:   usage,
		Summary: "list the waivers that hold, with the days that are left, and those that wait",
		Help:    "The one that ends first comes first. `show W-3` shows one whole.",
		Example: []string{"waivers", "waivers shop"},
		Args:    1,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if v.desk == nil {
				return Reply{}, noWaivers()
			}
			var all []policy.Waiver
			var err error
			title, of := "Waivers", ""
			if word := req.Args.Word(0); word != "" {
				if all, of, err = v.of(ctx, word, spoken(req.Via, usage)); of != "" {
					title += " of " + of
				}
			} else {
				all, err = v.desk.Open(ctx)
			}
			if err != nil {
				return Reply{}, said(err)
			}
			return waiversReply(all, title, WaiverView{Policy: v.policies.Policy(), Now: req.Now}), nil
		},
	}
}

// waiversListed is how many are named at once: with more, those of one app can be asked for.
const waiversListed = 50

// waiversPressed is how many have a button each: a message takes 25 elements.
const waiversPressed = 20

func waiversReply(all []policy.Waiver, title string, v WaiverView) Reply {
	if len(all) == 0 {
		text := Line("No waiver holds, and none waits for a decision.")
		return Reply{Summary: text.String(), Parts: []Part{Heading{title}, Para{text}}}
	}
	var items []Item
	var row []Button
	for _, w := range all {
		if len(items) < waiversListed {
			items = append(items, waiverItem(w, v))
		}
		if len(row) < waiversPressed {
			row = append(row, Button{Label: w.ID, Run: "show " + w.ID})
		}
	}
	said := howMany(all)
	reply := Reply{Summary: title + ": " + said, Parts: []Part{Heading{title + ": " + said}, List{items}}}
	if more := len(all) - len(items); more > 0 {
		reply.Parts = append(reply.Parts, Note{Line(fmt.Sprintf("And %d more, which end later. ", more), Code("waivers <app>"), " lists those of one app.")})
	}
	return with(reply, Buttons{row})
}

// howMany hold and wait, in words.
func howMany(all []policy.Waiver) string {
	waits := len(waitingWaivers(all))
	said := fmt.Sprintf("%d hold", len(all)-waits)
	if len(all)-waits == 1 {
		said = "1 holds"
	}
	switch waits {
	case 0:
		return said
	case 1:
		return said + ", 1 waits for a decision"
	}
	return said + fmt.Sprintf(", %d wait for a decision", waits)
}

// waiverItem is a waiver in a line or two.
func waiverItem(w policy.Waiver, v WaiverView) Item {
	item := Item{Mark: MarkWaived, Text: Line(Bold(w.ID), " "+checkTitle(w.Check)+" of ", Code(w.Name), " until "+policy.UntilText(w.Until, v.zone()))}
	switch {
	case w.State == policy.WaiverPending:
		item.Mark = MarkTodo
		item.Text = append(item.Text, Line(" · waits for an approval, at most until ", At(w.DecideBy))...)
	default:
		item.Text = append(item.Text, Line(" · "+leftText(w, v.Now, v.zone()))...)
	}
	detail := Line(Code(string(w.Reason)))
	if w.Text != "" {
		detail = append(detail, Line(": “"+brief(w.Text, 200)+"”")...)
	}
	item.Detail = []Text{append(detail, Line(" · ", MentionUser(w.By))...)}
	return item
}

// waitingWaivers are those that wait for a decision, for the list of all that does.
func waitingWaivers(all []policy.Waiver) []policy.Waiver {
	return slices.DeleteFunc(slices.Clone(all), func(w policy.Waiver) bool { return w.State != policy.WaiverPending })
}

// show is a waiver whole, with the buttons of whoever may decide.
func (v waiver) show(ctx context.Context, req Request, id string) (Reply, error) {
	w, err := v.desk.Waiver(ctx, id)
	if err != nil {
		return Reply{}, said(err)
	}
	view := v.view(w, req.By, req.Now)
	if view.To != ForRequester {
		view.To = ForApprovers
	}
	return WaiverReply(w, view), nil
}

// waiversWithin is how long status waits for the waivers: without them it says so.
const waiversWithin = 2 * time.Second

// waives says whether an entry of the ledger is about a waiver.
func waives(e ledger.Entry) bool {
	_, ok := approval.ParseWaiverID(e.Ticket)
	return ok && e.Verb != ledger.Refused
}

// waiverTold is what such an entry tells, behind its verb.
func waiverTold(e ledger.Entry) Text {
	var detail struct {
		Check  string        `json:"check"`
		Reason policy.Reason `json:"waived_because"`
		Until  time.Time     `json:"until"`
		Typed  string        `json:"reason"`
		Still  string        `json:"still"`
	}
	_ = json.Unmarshal(e.Detail, &detail) // of another version's form: then the verb has to do
	text := Line(strings.ToLower(checkTitle(detail.Check)))
	if !detail.Until.IsZero() {
		text = append(text, Line(" until ", At(detail.Until))...)
	}
	switch {
	case detail.Reason != "":
		return append(text, Line(" because ", Code(string(detail.Reason)))...)
	case detail.Typed != "":
		return append(text, Line(" “"+brief(strings.Join(strings.Fields(detail.Typed), " "), 120)+"”")...)
	case detail.Still != "":
		return append(text, Line(", and it still fails")...)
	}
	return text
}
