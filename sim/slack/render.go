package slack

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// renderMessage is what a person sees of a message, as plain text: its blocks if it
// has any, else its text; then attachments and files.
func (s *Server) renderMessage(m *message) string {
	lines := s.renderBlocks(m.blocks)
	if len(m.blocks) == 0 && m.text != "" {
		lines = append(lines, s.plain(m.text))
	}
	for _, a := range m.attachments {
		att, _ := a.(object)
		blocks, _ := att["blocks"].([]any)
		lines = append(lines, s.renderBlocks(blocks)...)
		for _, key := range []string{"pretext", "title", "text"} {
			if text, _ := att[key].(string); text != "" {
				lines = append(lines, s.plain(text))
			}
		}
	}
	for _, f := range m.files {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("[file: %v] %v", f["title"], f["alt_txt"])))
	}
	return strings.Join(lines, "\n")
}

// renderView is what a person sees of a modal or a Home tab.
func (s *Server) renderView(v *view) string {
	var lines []string
	if title := s.textOf(v.body["title"]); title != "" {
		lines = append(lines, title)
	}
	lines = append(lines, s.renderBlocks(v.blocks())...)
	var buttons []string
	for _, key := range []string{"close", "submit"} {
		if label := s.textOf(v.body[key]); label != "" {
			buttons = append(buttons, "["+label+"]")
		}
	}
	if len(buttons) > 0 {
		lines = append(lines, strings.Join(buttons, " "))
	}
	return strings.Join(lines, "\n")
}

func (s *Server) renderBlocks(blocks []any) []string {
	var lines []string
	add := func(parts ...string) {
		for _, p := range parts {
			if p != "" {
				lines = append(lines, p)
			}
		}
	}
	for _, b := range blocks {
		block, _ := b.(object)
		elements, _ := block["elements"].([]any)
		switch block["type"] {
		case "divider":
			add("---")
		case "section":
			add(s.textOf(block["text"]))
			fields, _ := block["fields"].([]any)
			for _, f := range fields {
				add(s.textOf(f))
			}
			if accessory, ok := block["accessory"].(object); ok {
				add(s.element(accessory))
			}
		case "actions", "context_actions":
			var buttons []string
			for _, e := range elements {
				el, _ := e.(object)
				buttons = append(buttons, s.element(el))
			}
			add(strings.Join(buttons, " "))
		case "context":
			var parts []string
			for _, e := range elements {
				el, _ := e.(object)
				if el["type"] == "image" {
					parts = append(parts, s.element(el))
				} else {
					parts = append(parts, s.textOf(el))
				}
			}
			add(strings.Join(parts, " "))
		case "image", "video":
			add(s.textOf(block["title"]), s.element(block))
		case "input":
			el, _ := block["element"].(object)
			add(s.textOf(block["label"])+": "+s.element(el), s.textOf(block["hint"]))
		case "rich_text":
			add(s.richText(elements))
		case "markdown":
			text, _ := block["text"].(string)
			add(text)
		case "table", "data_table":
			caption, _ := block["caption"].(string)
			add(caption)
			rows, _ := block["rows"].([]any)
			add(s.table(rows)...)
		case "data_visualization":
			add(s.chart(block)...)
		default: // header, alert and whatever else is mostly its text
			add(s.textOf(block["text"]))
		}
	}
	return lines
}

// element is an interactive element or an image, as one sees it.
func (s *Server) element(el object) string {
	switch kind, _ := el["type"].(string); kind {
	case "button", "workflow_button":
		return "[" + s.textOf(el["text"]) + "]"
	case "image", "video":
		alt, _ := el["alt_text"].(string)
		return "[image: " + unescape(alt) + "]"
	case "overflow":
		return "[⋯ " + strings.Join(s.optionTexts(el), " | ") + "]"
	case "checkboxes", "radio_buttons":
		texts := s.optionTexts(el)
		for _, chosen := range initialOptions(el) {
			if i := slices.IndexFunc(optionsOf(el), func(o object) bool { return o["value"] == chosen["value"] }); i >= 0 {
				texts[i] = "• " + texts[i]
			}
		}
		return "( " + strings.Join(texts, " | ") + " )"
	case "plain_text_input", "number_input", "email_text_input", "url_text_input", "rich_text_input":
		initial, _ := el["initial_value"].(string)
		return "[" + initial + "_]"
	case "":
		return ""
	default: // selects and pickers
		label := s.textOf(el["placeholder"])
		if chosen, ok := el["initial_option"].(object); ok {
			label = s.textOf(chosen["text"])
		}
		if date, _ := el["initial_date"].(string); date != "" {
			label = date
		}
		return "[" + label + " ▾]"
	}
}

func (s *Server) optionTexts(el object) []string {
	var texts []string
	for _, o := range optionsOf(el) {
		texts = append(texts, s.textOf(o["text"]))
	}
	return texts
}

// optionsOf lists the options of a select, those in groups too.
func optionsOf(el object) []object {
	var found []object
	list, _ := el["options"].([]any)
	groups, _ := el["option_groups"].([]any)
	for _, g := range groups {
		group, _ := g.(object)
		inner, _ := group["options"].([]any)
		list = slices.Concat(list, inner)
	}
	for _, o := range list {
		if option, ok := o.(object); ok {
			found = append(found, option)
		}
	}
	return found
}

// textOf is a text object as one sees it.
func (s *Server) textOf(v any) string {
	o, _ := v.(object)
	text, _ := o["text"].(string)
	if o["type"] == "mrkdwn" { // verbatim or not: that only keeps bare words from becoming links
		return s.plain(text)
	}
	return emoji(unescape(text))
}

func (s *Server) table(rows []any) []string {
	var cells [][]string
	var widths []int
	for _, r := range rows {
		row, _ := r.([]any)
		var line []string
		for i, c := range row {
			cell, _ := c.(object)
			text, _ := cell["text"].(string)
			switch cell["type"] {
			case "rich_text":
				elements, _ := cell["elements"].([]any)
				text = s.richText(elements)
			case "raw_number":
				if text == "" {
					text = fmt.Sprint(cell["value"])
				}
			}
			line = append(line, text)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
		cells = append(cells, line)
	}
	var lines []string
	for _, line := range cells {
		var b strings.Builder
		for i, text := range line {
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(text + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// chart tells a data_visualization block in words: its title and its numbers.
func (s *Server) chart(block object) []string {
	title, _ := block["title"].(string)
	chart, _ := block["chart"].(object)
	lines := []string{fmt.Sprintf("[%v chart: %s]", chart["type"], title)}
	series, _ := chart["series"].([]any)
	if segments, ok := chart["segments"].([]any); ok {
		series = []any{object{"name": "", "data": segments}}
	}
	for _, one := range series {
		row, _ := one.(object)
		var points []string
		data, _ := row["data"].([]any)
		for _, d := range data {
			point, _ := d.(object)
			points = append(points, fmt.Sprintf("%v %v", point["label"], point["value"]))
		}
		lines = append(lines, strings.TrimPrefix(fmt.Sprintf("%v: %s", row["name"], strings.Join(points, ", ")), ": "))
	}
	return lines
}

func (s *Server) richText(elements []any) string {
	var b strings.Builder
	for _, e := range elements {
		el, _ := e.(object)
		inner, _ := el["elements"].([]any)
		text, _ := el["text"].(string)
		word := func(key string) string { w, _ := el[key].(string); return w }
		switch el["type"] {
		case "text":
			b.WriteString(text)
		case "link":
			b.WriteString(map[bool]string{true: word("url"), false: text}[text == ""])
		case "user":
			b.WriteString("@" + s.ws.nameOr(word("user_id"), word("user_id")))
		case "channel":
			b.WriteString("#" + s.channelName(word("channel_id")))
		case "usergroup":
			b.WriteString(s.groupName(word("usergroup_id")))
		case "broadcast":
			b.WriteString("@" + word("range"))
		case "date":
			seconds, _ := el["timestamp"].(float64)
			b.WriteString(s.date([]string{"!date", strconv.FormatInt(int64(seconds), 10), word("format")}, word("fallback")))
		case "emoji":
			b.WriteString(emoji(":" + word("name") + ":"))
		case "rich_text_list":
			for i, item := range inner {
				bullet := "• "
				if el["style"] == "ordered" {
					bullet = strconv.Itoa(i+1) + ". "
				}
				b.WriteString(bullet + s.richText([]any{item}) + "\n")
			}
		default:
			b.WriteString(s.richText(inner))
			if el["type"] != "rich_text_section" {
				b.WriteString("\n")
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// angle is one of Slack's control sequences: <@U…>, <#C…>, <!…>, <https://…|label>.
var angle = regexp.MustCompile(`<([^<>\n]*)>`)

// plain is text in Slack's markup as one sees it: without the markers of bold,
// italics and strike, mentions as @name, links as their label, entities as their
// characters. Code keeps its backticks: it is the one style that tells a reader something
// (type this, this is a name), and plain text has no other way to show it.
func (s *Server) plain(text string) string {
	var held []string
	// Control sequences stand aside while markers go, so that <https://x/_a_> stays.
	text = angle.ReplaceAllStringFunc(text, func(seq string) string {
		held = append(held, seq)
		return string(rune(0xE000 + len(held) - 1)) // private use: no one types these
	})
	parts := strings.Split(text, "```")
	for i, part := range parts {
		if i%2 == 1 && i < len(parts)-1 {
			parts[i] = strings.Trim(part, "\n")
			continue
		}
		inner := strings.Split(part, "`")
		for j := range inner {
			if j%2 == 0 || j == len(inner)-1 { // outside code, or after an odd backtick
				for _, mark := range []rune{'*', '_', '~'} {
					inner[j] = unmark(inner[j], mark)
				}
			}
		}
		parts[i] = strings.Join(inner, "`")
	}
	text = strings.Join(parts, "")
	var b strings.Builder
	for _, r := range text {
		if i := int(r) - 0xE000; i >= 0 && i < len(held) {
			b.WriteString(held[i])
		} else {
			b.WriteRune(r)
		}
	}
	return s.expand(b.String())
}

// expand replaces control sequences, emoji and entities.
func (s *Server) expand(text string) string {
	text = angle.ReplaceAllStringFunc(emoji(text), func(seq string) string { return s.control(seq[1 : len(seq)-1]) })
	return unescape(text)
}

// unmark takes away the pairs of one marker that Slack would format: at word
// boundaries, on one line, with something between them.
func unmark(text string, mark rune) string {
	runes := []rune(text)
	wordy := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]) || runes[i] == mark)
	}
	blank := func(i int) bool { return i < 0 || i >= len(runes) || unicode.IsSpace(runes[i]) }
	drop := map[int]bool{}
	for i := 0; i < len(runes); i++ {
		if runes[i] != mark || wordy(i-1) || blank(i+1) || wordy(i+1) && runes[i+1] == mark {
			continue
		}
		for j := i + 2; j < len(runes) && runes[j] != '\n'; j++ {
			if runes[j] == mark && !blank(j-1) && !wordy(j+1) {
				drop[i], drop[j] = true, true
				i = j
				break
			}
		}
	}
	var b strings.Builder
	for i, r := range runes {
		if !drop[i] {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// control is the inside of one <…> as one sees it.
func (s *Server) control(seq string) string {
	body, label, labelled := strings.Cut(seq, "|")
	switch {
	case strings.HasPrefix(body, "@"):
		return "@" + s.ws.nameOr(body[1:], or(label, body[1:]))
	case strings.HasPrefix(body, "#"):
		if c := s.ws.channel(body[1:]); c != nil {
			return "#" + c.Name
		}
		return "#" + or(label, body[1:])
	case strings.HasPrefix(body, "!subteam^"):
		return s.groupName(strings.TrimPrefix(body, "!subteam^"))
	case strings.HasPrefix(body, "!date^"):
		return s.date(strings.Split(body, "^"), label)
	case strings.HasPrefix(body, "!"):
		return "@" + body[1:]
	case labelled && label != "":
		return label
	}
	return strings.TrimPrefix(body, "mailto:")
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (s *Server) groupName(id string) string {
	if g := s.ws.group(id); g != nil {
		return "@" + g.Handle
	}
	return "@" + id
}

// date is <!date^SECONDS^FORMAT^LINK|FALLBACK>, in Options.Zone.
func (s *Server) date(parts []string, fallback string) string {
	if len(parts) < 3 {
		return fallback
	}
	secs, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return fallback
	}
	t := time.Unix(secs, 0).In(s.opts.Zone)
	suffix := map[int]string{1: "st", 21: "st", 31: "st", 2: "nd", 22: "nd", 3: "rd", 23: "rd"}[t.Day()]
	day := strconv.Itoa(t.Day()) + or(suffix, "th")
	pretty := func(otherwise string) string {
		midnight := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
		days := int(midnight(time.Now().In(s.opts.Zone)).Sub(midnight(t)) / (24 * time.Hour))
		if near, ok := map[int]string{0: "today", 1: "yesterday", -1: "tomorrow"}[days]; ok {
			return near
		}
		return otherwise
	}
	long := t.Format("January ") + day + t.Format(", 2006")
	short := t.Format("Jan 2, 2006")
	longest := t.Format("Monday, ") + long
	return strings.NewReplacer(
		"{date_num}", t.Format("2006-01-02"), "{date_slash}", t.Format("01/02/2006"),
		"{date_short_pretty}", pretty(short), "{date_long_pretty}", pretty(longest), "{date_pretty}", pretty(long),
		"{date_short}", short, "{date_long}", longest, "{date}", long,
		"{day_divider_pretty}", pretty(longest),
		"{time_secs}", t.Format("15:04:05"), "{time}", t.Format("15:04"), "{ago}", ago(time.Since(t)),
	).Replace(parts[2])
}

func ago(d time.Duration) string {
	say := func(n int, unit string) string {
		if n != 1 {
			unit += "s"
		}
		return fmt.Sprintf("%d %s", n, unit)
	}
	form := "%s ago"
	if d < 0 {
		form, d = "in %s", -d
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf(form, say(int(d.Seconds()), "second"))
	case d < time.Hour:
		return fmt.Sprintf(form, say(int(d.Minutes()), "minute"))
	case d < 24*time.Hour:
		return fmt.Sprintf(form, say(int(d.Hours()), "hour"))
	}
	return fmt.Sprintf(form, say(int(d.Hours()/24), "day"))
}

// unescape undoes the three entities that Slack knows.
func unescape(text string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
}

// emoji shows the emoji that reports like to use; others stay :as_written:.
func emoji(text string) string {
	return strings.NewReplacer(
		":white_check_mark:", "✅", ":heavy_check_mark:", "✔️", ":x:", "❌", ":warning:", "⚠️", ":question:", "❓", ":grey_question:", "❔",
		":hourglass:", "⌛", ":hourglass_flowing_sand:", "⏳", ":rotating_light:", "🚨", ":information_source:", "ℹ️", ":no_entry:", "⛔",
		":rocket:", "🚀", ":large_green_circle:", "🟢", ":large_yellow_circle:", "🟡", ":red_circle:", "🔴", ":white_circle:", "⚪",
		":heavy_minus_sign:", "➖", ":bulb:", "💡", ":lock:", "🔒", ":tada:", "🎉", ":moneybag:", "💰", ":arrow_right:", "➡️",
	).Replace(text)
}

// ringsOf lists whom a message rings: everyone in a place, people and groups. Text that
// somebody else wrote must never get here unescaped.
func (s *Server) ringsOf(m *message) []string {
	var found []string
	look := func(text string) {
		for _, seq := range angle.FindAllStringSubmatch(text, -1) {
			body, _, _ := strings.Cut(seq[1], "|")
			switch {
			case body == "!channel", body == "!here", body == "!everyone", body == "!group":
				found = append(found, "@"+body[1:])
			case strings.HasPrefix(body, "@"), strings.HasPrefix(body, "!subteam^"):
				found = append(found, s.control(seq[1]))
			}
		}
	}
	if len(m.blocks) == 0 {
		look(m.text)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case object:
			switch v["type"] {
			case "mrkdwn", "markdown":
				if text, ok := v["text"].(string); ok {
					look(text)
				}
			case "broadcast":
				found = append(found, fmt.Sprint("@", v["range"]))
			case "user":
				id, _ := v["user_id"].(string)
				found = append(found, "@"+s.ws.nameOr(id, id))
			case "usergroup":
				id, _ := v["usergroup_id"].(string)
				found = append(found, s.groupName(id))
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(m.blocks)
	slices.Sort(found)
	return slices.Compact(found)
}
