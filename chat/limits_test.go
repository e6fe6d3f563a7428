package chat

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"example.com/zdd/commands"
)

// checkMessages holds messages against Slack's limits as its reference states
// them. It reads the JSON that is sent, and none of the renderer's constants.
func checkMessages(t *testing.T, messages []Message) {
	t.Helper()
	if len(messages) < 1 || len(messages) > 4 {
		t.Errorf("got %d messages, want 1 to 4 (a response_url takes 5 uses)", len(messages))
	}
	for i, m := range messages {
		if m.Text == "" || length(m.Text) > 3000 {
			t.Errorf("message %d: top-level text has %d characters, want 1 to 3000", i, length(m.Text))
		}
		checkInert(t, m.Text)
		raw, err := json.Marshal(m.Blocks)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 13_200 {
			t.Errorf("message %d: %d bytes of blocks, want at most 13200", i, len(raw))
		}
		var blocks []map[string]any
		if err := json.Unmarshal(raw, &blocks); err != nil {
			t.Fatal(err)
		}
		if len(blocks) < 1 || len(blocks) > 50 {
			t.Errorf("message %d: got %d blocks, want 1 to 50", i, len(blocks))
		}
		kinds, ids := map[any]int{}, map[any]bool{}
		for _, b := range blocks {
			checkBlock(t, b)
			kinds[b["type"]]++
			elements, _ := b["elements"].([]any)
			for _, e := range append(elements, b["accessory"]) {
				if button, ok := e.(map[string]any); ok && button["action_id"] != nil {
					if ids[button["action_id"]] {
						t.Errorf("message %d: the action id %v is there twice", i, button["action_id"])
					}
					ids[button["action_id"]] = true
				}
			}
		}
		if kinds["table"] > 1 || kinds["data_visualization"] > 2 {
			t.Errorf("message %d: %d tables and %d charts", i, kinds["table"], kinds["data_visualization"])
		}
		if old, differ := oldBlocks(m.Blocks); differ { // for a server that knows neither
			checkMessages(t, []Message{{m.Text, old}})
		} else if kinds["table"]+kinds["data_visualization"] > 0 {
			t.Errorf("message %d: a table or a chart has nothing to stand for it", i)
		}
	}
}

// checkTable holds a table against "Table block".
func checkTable(t *testing.T, b map[string]any) {
	t.Helper()
	rows := b["rows"].([]any)
	if len(rows) < 1 || len(rows) > 100 {
		t.Errorf("a table of %d rows, want 1 to 100", len(rows))
	}
	settings, _ := b["column_settings"].([]any)
	chars := 0
	for _, r := range rows {
		row := r.([]any)
		if len(row) < 1 || len(row) > 20 || len(row) != len(rows[0].([]any)) || len(row) != len(settings) {
			t.Errorf("a row of %d cells, want 1 to 20 and %d", len(row), len(settings))
		}
		for _, c := range row {
			cell := c.(map[string]any)
			switch cell["type"] {
			case "raw_text":
				if strings.TrimSpace(cell["text"].(string)) == "" {
					t.Error("an empty cell")
				}
				chars += length(cell["text"].(string))
			case "rich_text":
				for _, s := range cell["elements"].([]any) {
					for _, e := range s.(map[string]any)["elements"].([]any) {
						el := e.(map[string]any)
						text, _ := el["text"].(string)
						if el["type"] == "text" && text == "" {
							t.Error("an empty text in a cell")
						}
						if el["type"] == "broadcast" {
							t.Error("a cell rings everybody")
						}
						checkVisible(t, text)
						chars += length(text)
					}
				}
			default:
				t.Errorf("cell type %v", cell["type"])
			}
		}
	}
	if chars > 10_000 {
		t.Errorf("a table of %d characters, want at most 10000", chars)
	}
}

// checkChart holds a chart against "Data visualization block".
func checkChart(t *testing.T, b map[string]any) {
	t.Helper()
	word := func(v any, most int) string {
		t.Helper()
		s, _ := v.(string)
		if s == "" || length(s) > most {
			t.Errorf("%q in a chart: want 1 to %d characters", s, most)
		}
		checkVisible(t, s)
		return s
	}
	word(b["title"], 50)
	chart := b["chart"].(map[string]any)
	categories := chart["axis_config"].(map[string]any)["categories"].([]any)
	series := chart["series"].([]any)
	if len(categories) < 1 || len(categories) > 20 || len(series) < 1 || len(series) > 6 {
		t.Errorf("a chart of %d categories and %d series", len(categories), len(series))
	}
	names, labels := map[string]bool{}, map[string]bool{}
	for _, c := range categories {
		labels[word(c, 20)] = true
	}
	for _, s := range series {
		data := s.(map[string]any)["data"].([]any)
		if names[word(s.(map[string]any)["name"], 20)] = true; len(data) != len(categories) {
			t.Errorf("a series of %d points, want one for each of %d categories", len(data), len(categories))
		}
		for i, p := range data {
			if p.(map[string]any)["label"] != categories[i] {
				t.Errorf("point %d is at %v, want %v", i, p, categories[i])
			}
		}
	}
	if len(names) != len(series) || len(labels) != len(categories) {
		t.Errorf("names %v and labels %v are not all different", names, labels)
	}
}

// checkVisible finds invisible characters.
func checkVisible(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf) {
			t.Errorf("invisible %U in a message", r)
			return
		}
	}
}

func length(s string) int { return len(utf16.Encode([]rune(s))) }

func checkBlock(t *testing.T, b map[string]any) {
	t.Helper()
	text := func(v any, limit int) {
		t.Helper()
		o, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("got %v, want a text object", v)
		}
		s := o["text"].(string)
		if s == "" || length(s) > limit {
			t.Errorf("%s: text of %d characters, want 1 to %d", b["type"], length(s), limit)
		}
		switch o["type"] {
		case "plain_text":
			if o["emoji"] != false {
				t.Errorf("plain text %q would turn :names: into emoji", s)
			}
		case "mrkdwn":
			if o["verbatim"] != true {
				t.Errorf("mrkdwn %q would be searched for @here and #names", s)
			}
			checkInert(t, s)
		default:
			t.Errorf("text type %v", o["type"])
		}
	}
	switch b["type"] {
	case "header":
		text(b["text"], 150)
	case "section":
		if accessory, ok := b["accessory"].(map[string]any); ok {
			text(accessory["text"], 75)
			if v, ok := accessory["value"].(string); !ok || length(v) > 2000 {
				t.Errorf("button value of %d characters", length(v))
			}
		}
		if b["text"] != nil {
			text(b["text"], 3000)
		}
		fields, _ := b["fields"].([]any)
		if len(fields) > 10 || b["text"] == nil && len(fields) == 0 {
			t.Errorf("section with %d fields", len(fields))
		}
		for _, f := range fields {
			text(f, 2000)
		}
	case "context":
		elements := b["elements"].([]any)
		if len(elements) < 1 || len(elements) > 10 {
			t.Errorf("context with %d elements", len(elements))
		}
		for _, e := range elements {
			text(e, 2000)
		}
	case "actions":
		elements := b["elements"].([]any)
		if len(elements) < 1 || len(elements) > 25 {
			t.Errorf("actions with %d elements", len(elements))
		}
		ids := map[string]bool{}
		for _, e := range elements {
			button := e.(map[string]any)
			id := button["action_id"].(string)
			if ids[id] || id == "" || len(id) > 255 {
				t.Errorf("action id %q is empty, long or not unique", id)
			}
			ids[id] = true
			text(button["text"], 75)
			if v, ok := button["value"].(string); ok && length(v) > 2000 {
				t.Errorf("button value of %d characters", length(v))
			}
			if c, ok := button["confirm"].(map[string]any); ok {
				text(c["title"], 100)
				text(c["text"], 300)
				text(c["confirm"], 30)
				text(c["deny"], 30)
			}
			if style, ok := button["style"]; ok && style != "primary" && style != "danger" {
				t.Errorf("button style %v", style)
			}
			if u, ok := button["url"].(string); ok && (len(u) > 3000 || !strings.HasPrefix(u, "http")) {
				t.Errorf("button url %q", u)
			}
		}
	case "divider":
	case "table":
		checkTable(t, b)
	case "data_visualization":
		checkChart(t, b)
	default:
		t.Errorf("block type %v", b["type"])
	}
}

// allowed is every markup in angle brackets that a reply may hold.
var allowed = regexp.MustCompile(`^<(?:@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|#[CGD][A-Z0-9]+|https?://[^<>|\s]+(?:\|[^<>|\n]*)?|!date\^\d+\^[^<>|^]+\|[^<>|]+)>`)

// checkInert finds markup that the renderer did not mean, cut escapes, and invisible characters.
func checkInert(t *testing.T, s string) {
	t.Helper()
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '<':
			m := allowed.FindString(s[i:])
			if m == "" {
				t.Errorf("unescaped < in %q", s[i:min(len(s), i+60)])
				return
			}
			i += len(m) - 1
		case '>':
			t.Errorf("unescaped > in %q", s)
		case '&':
			if rest := s[i:]; !strings.HasPrefix(rest, "&amp;") && !strings.HasPrefix(rest, "&lt;") && !strings.HasPrefix(rest, "&gt;") {
				t.Errorf("unescaped or cut & in %q", rest[:min(len(rest), 20)])
			}
		}
	}
	checkVisible(t, s)
}

// nasty is what people and APIs write.
var nasty = []string{
	"<!channel>", "<!here|x>", "<@U0ADMIN>", "<#C1|g>", "&lt;!channel&gt;", "&amp;", "&", "<", ">", "|", "`", "```", "*", "_a_", "~x~", "\n", "\r\n", "\t", " ", "",
	"\u202eevil", "\u200b", "\u2066", "\ufeff", "\u00ad", "\x00", "\x1b[31m", "\xff\xfe", "😀", "👨‍👩‍👧", "é", "漢字", "my_app_name", "*-sandbox", "https://x.y/a|b>c", ":white_check_mark:", "@channel", "\u2028", "U0123", "S0FOO", "C0OPS",
	"<!date^1^{date}|x>", "<https://evil.test|ok>",
}

// randomReply builds any reply, from a seed.
func randomReply(r *rand.Rand) commands.Reply {
	str := func() string {
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteString(strings.Repeat(nasty[r.IntN(len(nasty))], 1+r.IntN(3)))
		}
		if r.IntN(40) == 0 {
			b.WriteString(strings.Repeat(nasty[r.IntN(len(nasty))], r.IntN(5000)))
		}
		return b.String()
	}
	text := func() commands.Text {
		var out commands.Text
		for range r.IntN(5) {
			out = append(out, commands.Span{Kind: commands.SpanKind(r.IntN(9)), S: str(), URL: []string{"", "https://dashboard.heroku.com/apps/x", str(), "https://x.y/" + str(), "javascript:alert(1)"}[r.IntN(5)],
				At: []time.Time{{}, time.Unix(r.Int64N(4e9)-1e9, 0)}[r.IntN(2)]})
		}
		return out
	}
	many := func() int {
		if r.IntN(30) == 0 {
			return r.IntN(200)
		}
		return r.IntN(6)
	}
	reply := commands.Reply{Summary: str()}
	for range many() {
		var part commands.Part
		switch r.IntN(10) {
		case 8:
			var grid commands.Grid
			for range many() {
				grid.Head = append(grid.Head, str())
			}
			for range many() {
				row := []commands.Text{}
				for range len(grid.Head) + r.IntN(3) - 1 {
					row = append(row, text())
				}
				grid.Rows = append(grid.Rows, row)
			}
			part = grid
		case 9:
			chart := commands.Chart{Title: str(), Alt: str()}
			for range many() {
				chart.Labels = append(chart.Labels, str())
			}
			for range many() {
				values := make([]float64, len(chart.Labels))
				for i := range values {
					values[i] = []float64{r.NormFloat64() * 100, 0, math.NaN(), math.Inf(1)}[min(r.IntN(100), 99)/33]
				}
				chart.Series = append(chart.Series, commands.Series{Name: str(), Values: values[:max(0, len(values)-r.IntN(30)/29)]})
			}
			part = chart
		case 0:
			part = commands.Heading{Text: str()}
		case 1:
			part = commands.Para{Text: text()}
		case 2:
			var list commands.List
			for range many() {
				var button *commands.Button
				if r.IntN(3) == 0 {
					button = &commands.Button{Label: str(), Run: str()}
				}
				list.Items = append(list.Items, commands.Item{Button: button, Mark: []commands.Mark{"", commands.MarkPass, commands.MarkHazard, commands.Mark(str())}[r.IntN(4)], Text: text(), Detail: []commands.Text{text(), text()}[:r.IntN(3)]})
			}
			part = list
		case 3:
			var facts commands.Facts
			for range many() {
				facts.Pairs = append(facts.Pairs, commands.Fact{Name: str(), Value: text()})
			}
			part = facts
		case 4:
			part = commands.Pre{Text: str()}
		case 5:
			part = commands.Note{Text: text()}
		case 6:
			var row commands.Buttons
			for range many() {
				b := commands.Button{Label: str(), Primary: r.IntN(2) == 0, Danger: r.IntN(3) == 0}
				if r.IntN(3) == 0 {
					b.Confirm = &commands.Confirm{Title: str(), Text: str(), Yes: str()}
				}
				switch r.IntN(5) {
				case 4:
					b.Ask = &commands.Ask{Title: str(), Label: str(), Optional: r.IntN(2) == 0}
					fallthrough
				case 0:
					b.Run = str()
				case 1:
					b.Share = str()
				case 2:
					b.URL = str()
				case 3:
					b.URL = "https://dashboard.heroku.com/" + str()
				}
				row.Row = append(row.Row, b)
			}
			part = row
		default:
			part = commands.Divider{}
		}
		reply.Parts = append(reply.Parts, part)
	}
	return reply
}
