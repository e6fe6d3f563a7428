package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

func sampleGrid() commands.Grid {
	return commands.Grid{Head: []string{"App", "Why", "A month"}, Rows: [][]commands.Text{
		{commands.Line(commands.Bold("shop")), commands.Line("one web dyno, <!channel>"), commands.Line("+$25.00")},
		{commands.Line(commands.Code("api_v2")), {}, commands.Line("+$500.00")},
	}}
}

func TestGridIsATable(t *testing.T) {
	blocks := gridBlocks(sampleGrid())
	raw, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	bold := func(s string) string {
		return `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"` + s + `","style":{"bold":true}}]}]}`
	}
	want := `[{"type":"table","rows":[[` + bold("App") + "," + bold("Why") + "," + bold("A month") + `],[` + bold("shop") +
		`,{"type":"raw_text","text":"one web dyno, \u003c!channel\u003e"},{"type":"raw_text","text":"+$25.00"}],[` +
		`{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"api_v2","style":{"code":true}}]}]},{"type":"raw_text","text":"–"},{"type":"raw_text","text":"+$500.00"}]],` +
		`"column_settings":[{"align":"left","is_wrapped":true},{"align":"left","is_wrapped":true},{"align":"right","is_wrapped":false}]}]`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
	old, _ := oldBlocks(blocks)
	text := "```\nApp     Why                        A month\nshop    one web dyno, &lt;!channel&gt;   +$25.00\napi_v2  –                         +$500.00\n```"
	if got := sectionTexts(old)[0]; got != text {
		t.Errorf("got:\n%s\nwant:\n%s", got, text)
	}
}

func TestOnlyMeantMentionsStandInCells(t *testing.T) {
	tests := map[string]struct {
		in   commands.Text
		want string
	}{
		"a person":     {commands.Line(commands.MentionUser("U0ADMIN")), `{"type":"user","user_id":"U0ADMIN"}`},
		"no person":    {commands.Line(commands.MentionUser("U1> <!channel")), `{"type":"text","text":"@U1\u003e \u003c!channel"}`},
		"a group":      {commands.Line(commands.Span{Kind: commands.Group, S: "S0DATA"}), `{"type":"usergroup","usergroup_id":"S0DATA"}`},
		"no group":     {commands.Line(commands.Span{Kind: commands.Group, S: "everyone"}), `{"type":"text","text":"@everyone"}`},
		"a channel":    {commands.Line(commands.MentionChannel("C0OPS")), `{"type":"channel","channel_id":"C0OPS"}`},
		"a bad link":   {commands.Line(commands.Link("javascript:alert(1)", "x")), `{"type":"text","text":"x"}`},
		"a link":       {commands.Line(commands.Link("https://x.y/", "x")), `{"type":"link","url":"https://x.y/","text":"x"}`},
		"a turned one": {commands.Line(commands.Bold("a\u202eb")), `{"type":"text","text":"a�b","style":{"bold":true}}`},
	}
	for name, tt := range tests {
		raw, err := json.Marshal(cell(tt.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(raw); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want %s in it", name, got, tt.want)
		}
	}
}

func TestABigGridIsSeveralTables(t *testing.T) {
	g := commands.Grid{Head: []string{"App", "Why"}}
	for i := range 301 {
		g.Rows = append(g.Rows, []commands.Text{commands.Line(fmt.Sprintf("app-%03d", i)), commands.Line(strings.Repeat("why ", i%20))})
	}
	messages := pages(commands.Reply{Summary: "s", Parts: []commands.Part{g}}, maxPosted)
	rows := 0
	for _, m := range messages {
		checkMessages(t, []Message{m})
		for _, b := range m.Blocks {
			rows += len(b.(young).Block.(*slack.TableBlock).Rows) - 1
		}
	}
	if rows != 301 || len(messages) < 4 {
		t.Errorf("%d rows in %d messages, want all 301 in some", rows, len(messages))
	}
	wide := commands.Grid{Head: make([]string, 25), Rows: [][]commands.Text{make([]commands.Text, 30)}}
	messages = Blocks(commands.Reply{Summary: "s", Parts: []commands.Part{wide}})
	checkMessages(t, messages)
	if raw, _ := json.Marshal(messages[0].Blocks); !strings.Contains(string(raw), "10 more columns were left out") {
		t.Errorf("what is left out is not said: %s", raw)
	}
}

func TestGridAndChartOnATerminal(t *testing.T) {
	reply := commands.Reply{Parts: []commands.Part{
		sampleGrid(), trend(5),
		commands.List{Items: []commands.Item{{Mark: commands.MarkFail, Text: commands.Line("shop"), Button: &commands.Button{Label: "Fix…", Run: "enable shop"}}}},
	}}
	want := map[int]string{
		0: `App     Why                        A month
shop    one web dyno, <!channel>   +$25.00
api_v2  –                         +$500.00

Ready apps
ready      ▂▄▅▇█  1 → 5 (lowest 1, highest 5)
not ready  █▇▅▄▂  5 → 1 (lowest 1, highest 5)
from night 1 to night 5
Ready apps went from 1 to many.

✗ fail  shop
          In Slack: ` + "`/zdd enable shop`\n",
		30: `App: shop
  Why: one web dyno, <!channel>
  A month: +$25.00
App: api_v2
  Why: –
  A month: +$500.00

Ready apps
ready      ▂▄▅▇█
    1 → 5 (lowest 1, highest 5)
not ready  █▇▅▄▂
    5 → 1 (lowest 1, highest 5)
from night 1 to night 5
Ready apps went from 1 to many.

✗ fail  shop
          In Slack:
          ` + "`/zdd enable shop`\n",
	}
	for width, text := range want {
		var b strings.Builder
		if err := Terminal(&b, reply, Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		if b.String() != text {
			t.Errorf("width %d, got:\n%s\nwant:\n%s", width, b.String(), text)
		}
	}
}
