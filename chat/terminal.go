package chat

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"example.com/zdd/commands"
)

// Style is how a terminal wants its text. The zero Style is plain text of any width
// in the machine's time zone.
type Style struct {
	Color bool           // adds colour; never the only carrier of a meaning
	Width int            // columns to wrap at; 0 does not wrap, less than 20 counts as 20
	Zone  *time.Location // of moments; nil: the machine's
}

// ANSI attributes.
const (
	ansiReset  = "\x1b[0m"
	ansiBold   = "\x1b[1m"
	ansiDim    = "\x1b[2m"
	ansiRed    = "\x1b[31m"
	ansiGreen  = "\x1b[32m"
	ansiYellow = "\x1b[33m"
	ansiCyan   = "\x1b[36m"
)

// Terminal prints a reply for a person at a terminal. It passes on no control
// character of the reply's, so that an app's name can't drive the terminal. The
// error is w's.
func Terminal(w io.Writer, reply commands.Reply, style Style) error {
	t := terminal{Style: style}
	if t.Zone == nil {
		t.Zone = time.Local
	}
	if t.Width > 0 {
		t.Width = max(t.Width, 20)
	}
	for _, part := range reply.Parts {
		t.part(part)
	}
	if t.b.Len() == 0 {
		t.para("", commands.Line(reply.Summary))
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

type terminal struct {
	Style
	b strings.Builder
}

func (t *terminal) part(part commands.Part) {
	if t.b.Len() > 0 {
		t.b.WriteString("\n")
	}
	switch p := part.(type) {
	case commands.Heading:
		fmt.Fprintln(&t.b, t.paint(ansiBold, oneLine(p.Text)))
	case commands.Para:
		t.para("", p.Text)
	case commands.List:
		t.list(p)
	case commands.Facts:
		t.facts(p)
	case commands.Pre:
		for line := range strings.SplitSeq(strings.Trim(clean(p.Text), "\n"), "\n") {
			fmt.Fprintln(&t.b, strings.TrimRight("    "+line, " "))
		}
	case commands.Note:
		for line := range strings.SplitSeq(t.wrap("", p.Text), "\n") {
			fmt.Fprintln(&t.b, t.paint(ansiDim, line))
		}
	case commands.Buttons:
		t.buttons(p)
	case commands.Divider:
		fmt.Fprintln(&t.b, strings.Repeat("─", cmp.Or(t.Width, 40)))
	case commands.Grid:
		t.b.WriteString(gridText(p, t.Width))
	case commands.Chart:
		t.chart(p)
	}
}

func (t *terminal) paint(attribute, s string) string {
	if !t.Color || s == "" {
		return s
	}
	return attribute + s + ansiReset
}

// termSign is the sign and the colour of a mark; the word is printed beside it. The
// signs are one column wide in every terminal, which emoji are not.
func termSign(m commands.Mark) (sign, color string) {
	switch m {
	case commands.MarkPass:
		return "✓", ansiGreen
	case commands.MarkFail:
		return "✗", ansiRed
	case commands.MarkUnknown:
		return "?", ansiYellow
	case commands.MarkAdvice:
		return "i", ansiCyan
	case commands.MarkHazard:
		return "!", ansiYellow
	case commands.MarkNone:
		return "-", ansiDim
	case commands.MarkDone:
		return "✓", ansiGreen
	case commands.MarkNow:
		return ">", ansiCyan
	case commands.MarkTodo:
		return ".", ansiDim
	case commands.MarkLeft:
		return "-", ansiDim
	case commands.MarkWaived:
		return "~", ansiCyan
	}
	return "•", ""
}

func (t *terminal) list(list commands.List) {
	wide := 0
	for _, item := range list.Items {
		wide = max(wide, len([]rune(string(item.Mark))))
	}
	for _, item := range list.Items {
		sign, color := termSign(item.Mark)
		head := sign + " "
		if wide > 0 {
			head += fmt.Sprintf("%-*s  ", wide, oneLine(string(item.Mark)))
		}
		indent := strings.Repeat(" ", len([]rune(head)))
		body := t.wrap(indent, item.Text)
		fmt.Fprintln(&t.b, t.paint(color, head)+strings.TrimPrefix(body, indent))
		for _, detail := range item.Detail {
			fmt.Fprintln(&t.b, t.wrap(indent+"  ", detail))
		}
		if item.Button != nil {
			t.button(indent+"  ", *item.Button)
		}
	}
}

// chart prints a chart as lines of blocks, with the numbers and the point of it in words.
func (t *terminal) chart(c commands.Chart) {
	if title := strings.TrimSpace(oneLine(c.Title)); title != "" {
		fmt.Fprintln(&t.b, t.paint(ansiBold, title))
	}
	t.b.WriteString(sparkText(c, t.Width))
	if alt := strings.TrimSpace(oneLine(c.Alt)); alt != "" {
		t.para("", commands.Line(alt))
	}
}

func (t *terminal) facts(facts commands.Facts) {
	wide := 0
	for _, f := range facts.Pairs {
		wide = max(wide, len([]rune(oneLine(f.Name))))
	}
	wide = min(wide, 24)
	for _, f := range facts.Pairs {
		name := fmt.Sprintf("%-*s  ", wide, oneLine(f.Name))
		indent := strings.Repeat(" ", len([]rune(name)))
		body := t.wrap(indent, f.Value)
		fmt.Fprintln(&t.b, strings.TrimRight(t.paint(ansiBold, name)+strings.TrimPrefix(body, indent), " "))
	}
}

func (t *terminal) buttons(row commands.Buttons) {
	for _, b := range row.Row {
		t.button("", b)
	}
}

// button says what a button would do: there is nothing to press here. Which one is
// the main one, which is dangerous and which asks back is said in words.
func (t *terminal) button(indent string, b commands.Button) {
	switch address, ok := webAddress(b.URL); {
	case b.Run != "":
		var where any = "In Slack: "
		if b.Primary && !b.Danger {
			where = commands.Text{commands.Bold("In Slack:"), {S: " "}}
		}
		var notes []string
		if b.Danger {
			notes = append(notes, "careful: it lowers or ends something")
		}
		if b.Confirm != nil {
			notes = append(notes, "asks once more")
		}
		if b.Ask != nil {
			notes = append(notes, "asks: "+first(oneLine(b.Ask.Label), oneLine(b.Ask.Title), "for a text"))
		}
		said := commands.Line(where, commands.Code("/zdd "+b.Run))
		if len(notes) > 0 {
			said = append(said, commands.Line(" ("+strings.Join(notes, "; ")+")")...)
		}
		t.para(indent, said)
	case ok:
		t.para(indent, commands.Line(b.Label+": "+address))
	}
}

func (t *terminal) para(indent string, text commands.Text) {
	fmt.Fprintln(&t.b, t.wrap(indent, text))
}

// wrap sets a text in lines of at most Width columns, each behind indent. Words longer
// than a line stand alone on theirs, whole: they are to be copied.
func (t *terminal) wrap(indent string, text commands.Text) string {
	var lines []string
	var line strings.Builder
	used := 0
	flush := func() {
		lines = append(lines, strings.TrimRight(indent+line.String(), " "))
		line.Reset()
		used = 0
	}
	for _, w := range t.words(text) {
		if w.s == "\n" {
			flush()
			continue
		}
		n := len([]rune(w.s))
		if t.Width > 0 && used > 0 && !w.glued && len([]rune(indent))+used+n > t.Width {
			flush()
		}
		if used > 0 && !w.glued {
			line.WriteString(" ")
			used++
		}
		line.WriteString(t.paint(w.color, w.s))
		used += n
	}
	flush()
	return strings.Join(lines, "\n")
}

// word is printed without a blank before it where it is glued to the last one.
type word struct {
	s, color string
	glued    bool
}

// words takes a text apart at white space; code and links stay whole.
func (t *terminal) words(text commands.Text) []word {
	var out []word
	blank := true // a blank stood last
	add := func(s, color string) {
		out = append(out, word{s, color, !blank})
		blank = false
	}
	for _, span := range text {
		s, color := t.span(span)
		if span.Kind == commands.Mono || span.Kind == commands.Anchor {
			if s != "" {
				add(s, color)
			}
			continue
		}
		for i, line := range strings.Split(s, "\n") {
			if i > 0 {
				out = append(out, word{s: "\n"})
				blank = true
			}
			for i, w := range strings.FieldsFunc(line, unicode.IsSpace) {
				blank = blank || i > 0 || unicode.IsSpace([]rune(line)[0])
				add(w, color)
			}
			if r := []rune(line); len(r) > 0 && unicode.IsSpace(r[len(r)-1]) {
				blank = true
			}
		}
	}
	return out
}

func (t *terminal) span(span commands.Span) (s, color string) {
	switch span.Kind {
	case commands.Strong:
		return clean(span.S), ansiBold
	case commands.Mono:
		s := oneLine(span.S)
		if strings.TrimSpace(s) == "" {
			return s, ""
		}
		return "`" + s + "`", ansiCyan
	case commands.Anchor:
		label := strings.TrimSpace(oneLine(span.S))
		address, ok := webAddress(span.URL)
		switch {
		case !ok:
			return label, ""
		case label == "" || label == address:
			return address, ansiCyan
		}
		return label + " (" + address + ")", ""
	case commands.User, commands.Group:
		return "@" + oneLine(span.S), ""
	case commands.Channel:
		return "#" + oneLine(span.S), ""
	case commands.Instant:
		if span.At.IsZero() {
			return "an unknown time", ""
		}
		return span.At.In(t.Zone).Format("2 Jan 2006 15:04 MST"), ""
	}
	return clean(span.S), ""
}
