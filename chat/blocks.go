package chat

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// Slack's limits on a message, in characters unless said otherwise (Slack, "Block
// Kit reference"). Texts are measured as they are sent, with their escapes.
const (
	maxBlocks      = 50
	maxSection     = 3000
	maxFields      = 10
	maxField       = 2000
	maxHeader      = 150
	maxContext     = 2000
	maxElements    = 25 // of an actions block
	maxButtonText  = 75
	maxButtonValue = 2000
	// Of a confirm dialog: its title, its text, and the labels of its two buttons.
	maxConfirmTitle = 100
	maxConfirmText  = 300
	maxConfirmLabel = 30
	// maxMessageBytes bounds the blocks of a message as JSON. Slack refuses a message
	// with about 13,200 characters of blocks (msg_blocks_too_long).
	maxMessageBytes = 12_000
	// maxText bounds the top-level text, which only notifications and screen readers use.
	maxText = 1000
	// maxMessages bounds one answer: a response_url takes five uses, and one stays
	// for bad news.
	maxMessages = 4
	// maxPosted bounds what is posted as one thing, a second a message: nobody reads more.
	maxPosted = 100
)

// Prefixes of the action ids of buttons; a number that makes them unique in their
// message follows.
const (
	actionRun   = "run:"
	actionShare = "share:"
	actionOpen  = "open:"
	actionAsk   = "ask:"  // its value is a question
	actionForm  = "form:" // its value is a commands.FormCall

	actionRefresh = "refresh:" // on the Home tab: publish it anew
)

// Message is one message for Slack.
type Message struct {
	Text   string // for notifications and screen readers; escaped, never empty
	Blocks []slack.Block
}

// Blocks renders a reply as Block Kit. Whatever the reply holds, each message is
// within Slack's limits; what is too long goes on in the next message, and after
// four of them a last line says how much was left out. There is at least one message.
func Blocks(reply commands.Reply) []Message { return pages(reply, maxMessages) }

// pages is Blocks with another bound on the messages.
func pages(reply commands.Reply, most int) []Message {
	summary := strings.TrimSpace(oneLine(reply.Summary))
	if summary == "" {
		summary = "An answer."
	}
	var blocks []slack.Block
	var buttons int // so far: their action ids must differ within a message
	for _, part := range reply.Parts {
		blocks = append(blocks, partBlocks(part, &buttons)...)
	}
	if len(blocks) == 0 {
		blocks = sections(plainAtoms(summary))
	}
	groups := paginate(blocks, most)
	out := make([]Message, 0, len(groups))
	for i, group := range groups {
		text := shortenEscaped(summary, maxText)
		if i > 0 {
			text = fmt.Sprintf("%s (%d of %d)", shortenEscaped(summary, maxText-20), i+1, len(groups))
		}
		out = append(out, Message{Text: text, Blocks: group})
	}
	return out
}

// paginate parts blocks into messages, at most so many.
func paginate(blocks []slack.Block, most int) [][]slack.Block {
	var groups [][]slack.Block
	var group []slack.Block
	var used load
	for i, block := range blocks {
		n := loadOf(block)
		if len(group) > 0 && !used.room(n) {
			if len(groups) == most-1 {
				left := fmt.Sprintf("This answer is too long for Slack: %d more parts were left out. Ask for less at once, or ask on the terminal.", len(blocks)-i)
				return append(groups, append(group, note(left)))
			}
			groups = append(groups, group)
			group, used = nil, load{}
		}
		group = append(group, block)
		used.add(n)
	}
	return append(groups, group)
}

// load is what blocks take of a message's limits, in the form that takes more.
type load struct{ blocks, bytes, tables, charts int }

// loadOf measures a block.
func loadOf(block slack.Block) load {
	n := load{blocks: 1, bytes: jsonSize(block)}
	y, ok := block.(young)
	if !ok {
		return n
	}
	switch y.Block.(type) {
	case *slack.TableBlock:
		n.tables = 1
	case *slack.DataVisualizationBlock:
		n.charts = 1
	}
	old := 0
	for _, b := range y.old {
		old += jsonSize(b)
	}
	n.blocks, n.bytes = max(1, len(y.old)), max(n.bytes, old)
	return n
}

func (l *load) add(n load) {
	l.blocks, l.bytes, l.tables, l.charts = l.blocks+n.blocks, l.bytes+n.bytes, l.tables+n.tables, l.charts+n.charts
}

// room says whether a message can take more. One block and 500 bytes stay for a last line.
func (l load) room(n load) bool {
	l.add(n)
	return l.blocks <= maxBlocks-1 && l.bytes <= maxMessageBytes-500 && l.tables <= 1 && l.charts <= maxCharts
}

// jsonSize is how many bytes a block takes in a message.
func jsonSize(block slack.Block) int {
	b, err := json.Marshal(block)
	if err != nil { // a block of strings always encodes
		return maxMessageBytes
	}
	return len(b) + 1
}

func partBlocks(part commands.Part, buttons *int) []slack.Block {
	switch p := part.(type) {
	case commands.Heading:
		text := strings.TrimSpace(oneLine(p.Text))
		if text == "" {
			return nil
		}
		return []slack.Block{slack.NewHeaderBlock(plainText(text, maxHeader))}
	case commands.Para:
		return sections(atoms(p.Text))
	case commands.List:
		return listBlocks(p, buttons)
	case commands.Facts:
		return factBlocks(p)
	case commands.Pre:
		return preBlocks(p.Text)
	case commands.Note:
		var out []slack.Block
		for _, s := range pack(atoms(p.Text), maxContext) {
			out = append(out, slack.NewContextBlock("", markup(s)))
		}
		return out
	case commands.Buttons:
		return buttonBlocks(p.Row, buttons)
	case commands.Divider:
		return []slack.Block{slack.NewDividerBlock()}
	case commands.Grid:
		return gridBlocks(p)
	case commands.Chart:
		return chartBlocks(p)
	default:
		return []slack.Block{note(fmt.Sprintf("A part of this answer could not be shown (%T).", part))}
	}
}

// markup is mrkdwn that Slack must not look for names and links in by itself: without
// verbatim it turns "#general" and bare addresses in the text of an API into links.
func markup(s string) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.MarkdownType, Text: s, Verbatim: true}
}

// plainText keeps ":name:" as it is instead of turning it into an emoji.
func plainText(s string, limit int) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.PlainTextType, Text: shorten(s, limit), Emoji: new(false)}
}

func note(s string) slack.Block {
	return slack.NewContextBlock("", markup(shortenEscaped(literal(s), maxContext)))
}

func sections(pieces []atom) []slack.Block {
	var out []slack.Block
	for _, s := range pack(pieces, maxSection) {
		out = append(out, slack.NewSectionBlock(markup(s), nil, nil))
	}
	return out
}

// sign is what stands before a mark's word.
func sign(m commands.Mark) string {
	switch m {
	case commands.MarkPass:
		return "✅"
	case commands.MarkFail:
		return "❌"
	case commands.MarkUnknown:
		return "❔"
	case commands.MarkNone:
		return "➖"
	case commands.MarkAdvice:
		return "💡"
	case commands.MarkHazard:
		return "⚠️"
	case commands.MarkDone:
		return "☑️"
	case commands.MarkNow:
		return "⏳"
	case commands.MarkTodo:
		return "⬜"
	case commands.MarkLeft:
		return "➖"
	case commands.MarkWaived:
		return "🕓"
	}
	return "•"
}

// listBlocks renders items one a line, those with a button in sections of their own.
func listBlocks(list commands.List, buttons *int) []slack.Block {
	var out []slack.Block
	var run []atom
	flush := func() {
		out = append(out, sections(run)...)
		run = nil
	}
	for _, item := range list.Items {
		if item.Button == nil {
			if len(run) > 0 {
				run = append(run, "\n")
			}
			run = append(run, itemAtoms(item)...)
			continue
		}
		flush()
		body := sections(itemAtoms(item))
		element, reason := button(*item.Button, *buttons)
		switch {
		case reason != "":
			body = append(body, note(reason))
		case len(body) > 0:
			*buttons++
			body[0].(*slack.SectionBlock).Accessory = slack.NewAccessory(element)
		}
		out = append(out, body...)
	}
	flush()
	return out
}

// itemAtoms renders an item with its details indented below. The em spaces survive
// Slack's trimming, which plain ones do not.
func itemAtoms(item commands.Item) []atom {
	out := []atom{atom(sign(item.Mark) + " ")}
	if item.Mark != commands.NoMark {
		out = append(out, atom("*"+shortenEscaped(literal(oneLine(string(item.Mark))), 40)+"* · "))
	}
	out = append(out, atoms(item.Text)...)
	for _, detail := range item.Detail {
		out = append(out, "\n\u2003\u2003")
		out = append(out, atoms(detail)...)
	}
	return out
}

// factBlocks sets facts in two columns; a value that is too long for that gets a
// paragraph of its own.
func factBlocks(facts commands.Facts) []slack.Block {
	var out []slack.Block
	var fields []*slack.TextBlockObject
	size := 0
	flush := func() {
		if len(fields) > 0 {
			out = append(out, slack.NewSectionBlock(nil, fields, nil))
		}
		fields, size = nil, 0
	}
	for _, fact := range facts.Pairs {
		pieces := atoms(commands.Line(commands.Bold(fact.Name), "\n", fact.Value))
		packed := pack(pieces, maxField)
		if len(packed) == 0 {
			continue
		}
		n := units(packed[0])
		if len(packed) > 1 {
			flush()
			out = append(out, sections(pieces)...)
			continue
		}
		if len(fields) == maxFields || size+n > maxSection {
			flush()
		}
		fields = append(fields, markup(packed[0]))
		size += n
	}
	flush()
	return out
}

// preBlocks shows text whose spaces count, in as many pieces as it takes.
func preBlocks(s string) []slack.Block {
	const fences = len("```\n\n```")
	var out []slack.Block
	var lines []atom
	for line := range strings.SplitAfterSeq(strings.ReplaceAll(clean(strings.Trim(s, "\n")), "`", grave), "\n") {
		for line != "" {
			head := shortenEscaped(line, maxSection/2)
			if head == escape(line) {
				lines = append(lines, atom(head))
				break
			}
			r := []rune(line)
			cut := min(len(r), maxSection/2/len("&amp;"))
			lines = append(lines, atom(escape(string(r[:cut]))))
			line = string(r[cut:])
		}
	}
	var b strings.Builder
	n := 0
	flush := func() {
		if text := strings.TrimRight(b.String(), "\n"); strings.TrimSpace(text) != "" {
			out = append(out, slack.NewSectionBlock(markup("```\n"+text+"\n```"), nil, nil))
		}
		b.Reset()
		n = 0
	}
	for _, line := range lines {
		size := units(string(line))
		if n+size > maxSection-fences {
			flush()
		}
		b.WriteString(string(line))
		n += size
	}
	flush()
	return out
}

// buttonBlocks makes rows of buttons. A button that Slack would refuse, and with it the
// whole message, is left out, and a note says so.
func buttonBlocks(row []commands.Button, count *int) []slack.Block {
	var out, notes []slack.Block
	var elements []slack.BlockElement
	size := 0
	flush := func() {
		if len(elements) > 0 {
			out = append(out, slack.NewActionBlock("", elements...))
		}
		elements, size = nil, 0
	}
	for _, b := range row {
		element, reason := button(b, *count)
		if reason != "" {
			notes = append(notes, note(reason))
			continue
		}
		*count++
		n := jsonSize(slack.NewActionBlock("", element))
		if len(elements) == maxElements || size+n > maxMessageBytes-500 {
			flush()
		}
		elements = append(elements, element)
		size += n
	}
	flush()
	return append(out, notes...)
}

func button(b commands.Button, n int) (*slack.ButtonBlockElement, string) {
	label := strings.TrimSpace(oneLine(b.Label))
	action, value := "", ""
	switch {
	case b.Run != "" && b.Share == "" && b.URL == "" && b.Ask != nil:
		action, value = actionAsk, questionOf(b)
	case b.Run != "" && b.Share == "" && b.URL == "":
		action, value = actionRun, b.Run
	case b.Share != "" && b.Run == "" && b.URL == "":
		action, value = actionShare, b.Share
	case b.URL != "" && b.Run == "" && b.Share == "":
		action = actionOpen
	case b.Form != nil && b.URL == "" && b.Run == "" && b.Share == "":
		action, value = actionForm, formCall(*b.Form)
	default:
		return nil, fmt.Sprintf("A button (%q) was left out: it leads nowhere.", shorten(label, maxButtonText))
	}
	label = first(label, strings.TrimSpace(oneLine(b.Run+b.Share)), "Open")
	if units(value) > maxButtonValue {
		return nil, fmt.Sprintf("The button %q was left out: what it runs is too long for Slack. Type it instead.", shorten(label, maxButtonText))
	}
	e := slack.NewButtonBlockElement(fmt.Sprint(action, n), value, plainText(label, maxButtonText))
	if action == actionOpen {
		address, ok := webAddress(b.URL)
		if !ok {
			return nil, fmt.Sprintf("The button %q was left out: its address is not one to open.", shorten(label, maxButtonText))
		}
		e.URL = address
	}
	switch {
	case b.Danger:
		e.Style = slack.StyleDanger
	case b.Primary:
		e.Style = slack.StylePrimary
	}
	if b.Confirm != nil && b.Run != "" {
		e.Confirm = confirmation(*b.Confirm, label)
		e.Confirm.Style = e.Style
	}
	return e, ""
}

// confirmation is the question before a button acts. Slack refuses empty texts, so
// the button's label stands in for what is missing.
func confirmation(c commands.Confirm, label string) *slack.ConfirmationBlockObject {
	say := func(s, otherwise string, limit int) *slack.TextBlockObject {
		return plainText(first(strings.TrimSpace(clean(s)), otherwise), limit)
	}
	return slack.NewConfirmationBlockObject(
		say(oneLine(c.Title), "Are you sure?", maxConfirmTitle),
		say(c.Text, label, maxConfirmText),
		say(oneLine(c.Yes), label, maxConfirmLabel),
		plainText("Go back", maxConfirmLabel)) // "Cancel" would be another meaning before a button that cancels
}
