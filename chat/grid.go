package chat

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// Slack's limits on a table (docs.slack.dev, "Table block"): one a message, and
const (
	maxTableRows  = 100 // with the one of the names
	maxTableCells = 20  // of a row
	maxTableChars = 10_000
	// maxCell bounds a cell, so that one odd text does not fill the table.
	maxCell = 400
	// maxRowBytes bounds a row as JSON: two of them fit into a table.
	maxRowBytes = maxTableBytes / 3
	// maxTableBytes bounds a table as JSON, so that there is room beside it in its message.
	maxTableBytes = maxMessageBytes - 1500
)

// young is a block that not every server knows, with what says the same in old ones.
type young struct {
	slack.Block
	old []slack.Block
}

// MarshalJSON is that of the young block alone.
func (y young) MarshalJSON() ([]byte, error) { return json.Marshal(y.Block) }

// oldBlocks are blocks that every server knows, and whether they differ from the given ones.
func oldBlocks(blocks []slack.Block) (old []slack.Block, differ bool) {
	for _, b := range blocks {
		if y, ok := b.(young); ok {
			old, differ = append(old, y.old...), true
			continue
		}
		old = append(old, b)
	}
	return old, differ
}

// preWidth is how many columns of text Slack shows on a line of a wide window.
const preWidth = 100

// bounded are as many of the blocks as fit beside others into a message; a note says
// where the rest is left out.
func bounded(blocks []slack.Block) []slack.Block {
	size := 0
	for i, b := range blocks {
		if size += jsonSize(b); size > maxTableBytes {
			return append(blocks[:i:i], note("The rest of this is too long to be shown as text."))
		}
	}
	return blocks
}

// gridBlocks renders a grid as tables, each of which goes into a message of its own: as
// many as it takes for all rows. Columns beyond Slack's limit are left out, and a note
// says so.
func gridBlocks(g commands.Grid) []slack.Block {
	g, dropped := narrow(g, maxTableCells)
	if len(g.Head) == 0 {
		return nil
	}
	var out []slack.Block
	for rest := g.Rows; ; {
		n := fitting(g.Head, rest)
		part := commands.Grid{Head: g.Head, Rows: rest[:n]}
		out = append(out, young{tableBlock(part), bounded(preBlocks(gridText(part, preWidth)))})
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	if dropped > 0 {
		out = append(out, note(fmt.Sprintf("%d more columns were left out: Slack shows %d.", dropped, maxTableCells)))
	}
	return out
}

// fitting is how many of the rows fit into one table; at least one where there are any.
func fitting(head []string, rows [][]commands.Text) int {
	chars, size := 0, 200
	add := func(row []slack.TableCell, texts []string) {
		for _, t := range texts {
			chars += units(t)
		}
		size += rowBytes(row)
	}
	add(headCells(head), head)
	for i, row := range rows {
		add(cells(row), plainCells(row))
		if i > 0 && (i+1 >= maxTableRows || chars > maxTableChars || size > maxTableBytes) {
			return i
		}
	}
	return len(rows)
}

// narrow cuts a grid to so many columns, and fills rows that are too short.
func narrow(g commands.Grid, most int) (cut commands.Grid, dropped int) {
	wide := len(g.Head)
	for _, row := range g.Rows {
		wide = max(wide, len(row))
	}
	dropped = max(0, wide-most)
	wide -= dropped
	cut.Head = make([]string, wide)
	copy(cut.Head, g.Head)
	for _, row := range g.Rows {
		full := make([]commands.Text, wide)
		copy(full, row)
		cut.Rows = append(cut.Rows, full)
	}
	return cut, dropped
}

func tableBlock(g commands.Grid) *slack.TableBlock {
	table := slack.NewTableBlock("")
	table.AddRow(headCells(g.Head)...)
	for _, row := range g.Rows {
		table.AddRow(cells(row)...)
	}
	for _, right := range numeric(g) {
		setting := slack.ColumnSetting{Align: slack.ColumnAlignmentLeft, IsWrapped: true}
		if right {
			setting = slack.ColumnSetting{Align: slack.ColumnAlignmentRight}
		}
		table.ColumnSettings = append(table.ColumnSettings, setting)
	}
	return table
}

func headCells(head []string) []slack.TableCell {
	var row []commands.Text
	for _, name := range head {
		row = append(row, commands.Line(commands.Bold(name)))
	}
	return cells(row)
}

// cells renders a row: where it takes too much, without its formatting, and then shorter.
func cells(row []commands.Text) []slack.TableCell {
	var out []slack.TableCell
	for _, text := range row {
		out = append(out, cell(text))
	}
	for limit := maxCell; limit > 10 && rowBytes(out) > maxRowBytes; limit /= 2 {
		out = nil
		for _, s := range plainCells(row) {
			out = append(out, slack.NewTableRawTextCell(shorten(s, limit)))
		}
	}
	return out
}

// rowBytes is how much a row takes as JSON.
func rowBytes(row []slack.TableCell) int {
	raw, err := json.Marshal(row)
	if err != nil { // cells of strings always encode
		return maxTableBytes
	}
	return len(raw) + 1
}

// nothing stands in an empty cell, which Slack refuses.
const nothing = "–"

// cell renders a text as a cell. Neither kind of cell knows markup: what a person or an
// API wrote is inert in it as it is.
func cell(text commands.Text) slack.TableCell {
	var elements []slack.RichTextSectionElement
	styled, left := false, maxCell
	var plain strings.Builder
	for _, span := range text {
		if left <= 0 {
			break
		}
		element, shown := cellElement(span, left)
		if strings.TrimSpace(shown) == "" && shown != " " {
			continue
		}
		left -= units(shown)
		styled = styled || span.Kind != commands.Plain
		plain.WriteString(shown)
		elements = append(elements, element)
	}
	switch s := strings.TrimSpace(plain.String()); {
	case s == "":
		return slack.NewTableRawTextCell(nothing)
	case !styled:
		return slack.NewTableRawTextCell(s)
	}
	return slack.NewTableRichTextCell(slack.NewRichTextSection(elements...))
}

// cellElement renders one span, and says what is seen of it.
func cellElement(span commands.Span, limit int) (e slack.RichTextSectionElement, shown string) {
	said := func(s string, style *slack.RichTextSectionTextStyle) (slack.RichTextSectionElement, string) {
		s = shorten(oneLine(s), limit)
		return slack.NewRichTextSectionTextElement(s, style), s
	}
	switch id := span.S; {
	case span.Kind == commands.Strong:
		return said(id, &slack.RichTextSectionTextStyle{Bold: true})
	case span.Kind == commands.Mono:
		return said(id, &slack.RichTextSectionTextStyle{Code: true})
	case span.Kind == commands.Anchor:
		label := shorten(oneLine(id), limit)
		if address, ok := webAddress(span.URL); ok {
			return slack.NewRichTextSectionLinkElement(address, label, nil), cmp.Or(label, address)
		}
		return said(label, nil)
	case span.Kind == commands.User && userID.MatchString(id):
		return slack.NewRichTextSectionUserElement(id, nil), "@" + id
	case span.Kind == commands.Group && groupID.MatchString(id):
		return slack.NewRichTextSectionUserGroupElement(id), "@" + id
	case span.Kind == commands.Channel && channelID.MatchString(id):
		return slack.NewRichTextSectionChannelElement(id, nil), "#" + id
	case span.Kind == commands.User || span.Kind == commands.Group:
		return said("@"+id, nil)
	case span.Kind == commands.Channel:
		return said("#"+id, nil)
	case span.Kind == commands.Instant && span.At.Unix() > 0:
		fallback := span.At.UTC().Format(utcFormat)
		return slack.NewRichTextSectionDateElement(span.At.Unix(), dateFormat, nil, &fallback), fallback
	case span.Kind == commands.Instant:
		return said("an unknown time", nil)
	}
	return said(span.S, nil)
}

// plainCells are the texts of a row without their formatting.
func plainCells(row []commands.Text) []string {
	var out []string
	for _, text := range row {
		s := strings.TrimSpace(oneLine(text.String()))
		if s == "" {
			s = nothing
		}
		out = append(out, shorten(s, maxCell))
	}
	return out
}

// numeric says of each column whether it holds numbers only, which stand to the right.
func numeric(g commands.Grid) []bool {
	out := make([]bool, len(g.Head))
	for i := range out {
		digits := false
		out[i] = !slices.ContainsFunc(g.Rows, func(row []commands.Text) bool {
			s := plainCells(row[i : i+1])[0]
			digits = digits || strings.ContainsFunc(s, unicode.IsDigit)
			return s != nothing && strings.Trim(s, "0123456789.,+-−$€% \u00a0") != ""
		}) && digits
	}
	return out
}

// gridText sets a grid in columns of plain text. Where that is wider than width, which is
// not 0, each row becomes a few lines instead, one for each column.
func gridText(g commands.Grid, width int) string {
	g, _ = narrow(g, max(len(g.Head), maxTableCells))
	var head []string
	for _, name := range g.Head {
		head = append(head, strings.TrimSpace(oneLine(name)))
	}
	rows := [][]string{head}
	for _, row := range g.Rows {
		rows = append(rows, plainCells(row))
	}
	wide := make([]int, len(head))
	total := 2 * max(0, len(head)-1)
	for i := range wide {
		for _, row := range rows {
			wide[i] = max(wide[i], utf8.RuneCountInString(row[i]))
		}
		total += wide[i]
	}
	var b strings.Builder
	if width > 0 && total > width {
		for _, row := range rows[1:] {
			for i, s := range row {
				fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", min(i, 1)), head[i], s)
			}
		}
		return b.String()
	}
	right := numeric(g)
	for _, row := range rows {
		var line strings.Builder
		for i, s := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", wide[i]-utf8.RuneCountInString(s))
			if right[i] {
				line.WriteString(pad + s)
			} else {
				line.WriteString(s + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
