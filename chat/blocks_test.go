package chat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

func TestBlocksOfAnyReplyRespectSlacksLimits(t *testing.T) {
	for seed := range uint64(600) {
		checkMessages(t, Blocks(randomReply(rand.New(rand.NewPCG(seed, 1)))))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzBlocks(f *testing.F) {
	for i, s := range nasty {
		f.Add(s, uint64(i))
	}
	f.Fuzz(func(t *testing.T, s string, seed uint64) {
		reply := randomReply(rand.New(rand.NewPCG(seed, 2)))
		reply.Summary = s
		reply.Parts = append(reply.Parts, commands.Heading{Text: s}, commands.Para{Text: commands.Line(s, commands.Bold(s), commands.Code(s), commands.Link(s, s), commands.Link("https://h.test/"+s, s))},
			commands.Pre{Text: s}, commands.Buttons{Row: []commands.Button{{Label: s, Run: s}, {Label: s, URL: s}}}, commands.Facts{Pairs: []commands.Fact{{Name: s, Value: commands.Line(s)}}})
		checkMessages(t, Blocks(reply))
		var b strings.Builder
		if err := Terminal(&b, reply, Style{Width: 60}); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf) {
				t.Fatalf("%U reaches the terminal", r)
			}
		}
	})
}

func TestSpans(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		in   commands.Text
		want string
	}{
		"mention of all":       {commands.Line("<!channel> & <@U1>"), "&lt;!channel&gt; &amp; &lt;@U1&gt;"},
		"escaped already":      {commands.Line("&lt;!here&gt;"), "&amp;lt;!here&amp;gt;"},
		"a meant mention":      {commands.Line("by ", commands.MentionUser("U0ADMIN")), "by <@U0ADMIN>"},
		"mention of no id":     {commands.Line(commands.MentionUser("U1> <!channel")), "@U1&gt; &lt;!channel"},
		"channel":              {commands.Line(commands.MentionChannel("C0OPS")), "<#C0OPS>"},
		"group":                {commands.Line(commands.Span{Kind: commands.Group, S: "S0FINOPS"}), "<!subteam^S0FINOPS>"},
		"code with backtick":   {commands.Line(commands.Code("a`b")), "`aˋb`"},
		"blank code":           {commands.Line("x", commands.Code(""), "y"), "xy"},
		"code with markup":     {commands.Line(commands.Code("<!here>")), "`&lt;!here&gt;`"},
		"bold with stars":      {commands.Line(commands.Bold(" a*b ")), "*a∗b*"},
		"stars in plain text":  {commands.Line("*bold* _it_ ~no~ my_app_name 2 * 3 `x`"), "∗bold* ＿it_ ∼no~ my_app_name 2 * 3 ˋxˋ"},
		"link":                 {commands.Line(commands.Link("https://x.y/a?b=1&c=2", "the app")), "<https://x.y/a?b=1&amp;c=2|the app>"},
		"link with a bad name": {commands.Line(commands.Link("https://x.y/", "a|b>c")), "<https://x.y/|a¦b&gt;c>"},
		"link with bad bytes":  {commands.Line(commands.Link("https://x.y/a|b>c d", "l")), "<https://x.y/a%7Cb%3Ec%20d|l>"},
		"link without a name":  {commands.Line(commands.Link("https://x.y/", "")), "<https://x.y/>"},
		"link to a script":     {commands.Line(commands.Link("javascript:alert(1)", "l")), "l"},
		"link with a password": {commands.Line(commands.Link("https://u:p@x.y/", "l")), "l"},
		"moment":               {commands.Line(commands.At(noon)), "<!date^1795348800^{date_short_pretty} at {time}|22 Nov 2026 12:00 UTC>"},
		"no moment":            {commands.Line(commands.At(time.Time{})), "an unknown time"},
		"turned around":        {commands.Line("a\u202eb\u200bc"), "a�b�c"},
		"control":              {commands.Line("a\x1b[31mb\x00"), "a�[31mb�"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(pack(atoms(tt.in), maxSection), "|")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func sample() commands.Reply {
	return commands.Reply{
		Summary: "shop: not ready",
		Parts: []commands.Part{
			commands.Heading{Text: "shop: not ready"},
			commands.Para{Text: commands.Line("Read ", commands.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), ", see ", commands.Link("https://dashboard.heroku.com/apps/shop", "the dashboard"), ".")},
			commands.List{Items: []commands.Item{
				{Mark: commands.MarkPass, Text: commands.Line(commands.Bold("dyno-tier"), " Standard-1X")},
				{Mark: commands.MarkFail, Text: commands.Line(commands.Bold("web-dynos"), " one web dyno"), Detail: []commands.Text{commands.Prose("say `/zdd enable shop`")}},
				{Mark: commands.MarkNone, Text: commands.Line("jvm-warmup")},
			}},
			commands.Facts{Pairs: []commands.Fact{{Name: "Now", Value: commands.Line("$25.00")}, {Name: "Then", Value: commands.Line("$50.00")}}},
			commands.Pre{Text: "people:\n  readers: [U1]"},
			commands.Note{Text: commands.Line("List prices.")},
			commands.Buttons{Row: []commands.Button{{Label: "Share to channel", Share: "status shop"}, {Label: "Again", Run: "status shop", Primary: true}, {Label: "Dashboard", URL: "https://dashboard.heroku.com/apps/shop"}}},
		},
	}
}

func TestBlocksOfASample(t *testing.T) {
	messages := Blocks(sample())
	if len(messages) != 1 || messages[0].Text != "shop: not ready" {
		t.Fatalf("got %d messages, text %q", len(messages), messages[0].Text)
	}
	raw, err := json.Marshal(messages[0].Blocks)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []struct {
		Type string
		Text struct{ Text string }
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, b := range blocks {
		kinds = append(kinds, b.Type)
	}
	if got, want := fmt.Sprint(kinds), "[header section section section section context actions]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := blocks[2].Text.Text, "✅ *pass* · *dyno-tier* Standard-1X\n❌ *fail* · *web-dynos* one web dyno\n\u2003\u2003say `/zdd enable shop`\n➖ *not applicable* · jvm-warmup"; got != want {
		t.Errorf("list: got %q, want %q", got, want)
	}
}

func TestLongRepliesAreSplitAndThenShortenedWithAPointer(t *testing.T) {
	var list commands.List
	for i := range 260 {
		list.Items = append(list.Items, commands.Item{Mark: commands.MarkFail, Text: commands.Line(fmt.Sprintf("app-%03d is not ready & waits", i))})
	}
	messages := Blocks(commands.Reply{Summary: "s", Parts: []commands.Part{list}})
	raw, _ := json.Marshal(messages)
	for _, want := range []string{"app-000", "app-259"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is missing", want)
		}
	}
	checkMessages(t, messages)

	reply := commands.Reply{Summary: "s"}
	for range 400 {
		reply.Parts = append(reply.Parts, commands.Para{Text: commands.Line("word")})
	}
	messages = Blocks(reply)
	checkMessages(t, messages)
	raw, _ = json.Marshal(messages[len(messages)-1])
	if !strings.Contains(string(raw), "204 more parts were left out") {
		t.Errorf("no pointer at the end of %s", raw[max(0, len(raw)-300):])
	}
}

func TestButtonsThatSlackWouldRefuseAreLeftOutWithANote(t *testing.T) {
	reply := commands.Reply{Summary: "s", Parts: []commands.Part{commands.Buttons{Row: []commands.Button{
		{Label: "long", Run: strings.Repeat("x", 2001)}, {Label: "nothing"}, {Label: "both", Run: "a", Share: "b"}, {Label: "script", URL: "javascript:x"}, {Run: "help"},
	}}}}
	messages := Blocks(reply)
	checkMessages(t, messages)
	raw, _ := json.Marshal(messages)
	if got := strings.Count(string(raw), "was left out"); got != 4 {
		t.Errorf("got %d notes, want 4: %s", got, raw)
	}
	if got := strings.Count(string(raw), `"type":"button"`); got != 1 {
		t.Errorf("got %d buttons, want 1", got)
	}
}

func TestButtonsThatAskFirst(t *testing.T) {
	messages := Blocks(commands.Reply{Summary: "s", Parts: []commands.Part{commands.Buttons{Row: []commands.Button{
		{Label: "Approve", Run: "approve T-1", Primary: true, Confirm: &commands.Confirm{Title: strings.Repeat("t", 200), Text: strings.Repeat("x", 400), Yes: "Spend it"}},
		{Label: "Deny", Run: "deny T-1", Primary: true, Danger: true, Ask: &commands.Ask{Title: "Deny T-1", Label: "Why?", Optional: true}},
		{Label: "Stop", Run: "cancel T-1", Confirm: &commands.Confirm{}},
	}}}})
	checkMessages(t, messages)
	raw, err := json.Marshal(messages[0].Blocks)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []struct {
		Elements []struct {
			ActionID string `json:"action_id"`
			Value    string
			Style    string
			Confirm  *struct{ Title, Text, Confirm, Deny struct{ Text string } }
		}
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	approve, deny, stop := blocks[0].Elements[0], blocks[0].Elements[1], blocks[0].Elements[2]
	if approve.Style != "primary" || approve.Confirm == nil || approve.Confirm.Confirm.Text != "Spend it" || !strings.HasSuffix(approve.Confirm.Text.Text, "…") {
		t.Errorf("approve: got %+v", approve)
	}
	if deny.Style != "danger" || deny.Confirm != nil || !strings.HasPrefix(deny.ActionID, "ask:") || deny.Value != `{"run":"deny T-1","title":"Deny T-1","label":"Why?","yes":"Deny","optional":true}` {
		t.Errorf("deny: got %+v", deny)
	}
	if stop.Style != "" || stop.Confirm == nil || stop.Confirm.Title.Text != "Are you sure?" || stop.Confirm.Text.Text != "Stop" || stop.Confirm.Confirm.Text != "Stop" {
		t.Errorf("stop: got %+v, want the label where the question is empty", stop)
	}
}

func TestMarksAreWords(t *testing.T) {
	var list commands.List
	for _, m := range []commands.Mark{commands.MarkDone, commands.MarkNow, commands.MarkTodo, commands.MarkLeft} {
		list.Items = append(list.Items, commands.Item{Mark: m, Text: commands.Line("a step")})
	}
	got := strings.Join(sectionTexts(listBlocks(list, new(int))), "|")
	if want := "☑️ *done* · a step\n⏳ *under way* · a step\n⬜ *to do* · a step\n➖ *not done* · a step"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var b strings.Builder
	if err := Terminal(&b, commands.Reply{Parts: []commands.Part{list, commands.Buttons{Row: []commands.Button{
		{Label: "Approve", Run: "approve T-1", Primary: true, Confirm: &commands.Confirm{Title: "Spend?"}},
		{Label: "Deny", Run: "deny T-1", Danger: true, Ask: &commands.Ask{Label: "Why?"}},
	}}}}, Style{}); err != nil {
		t.Fatal(err)
	}
	want := "✓ done       a step\n> under way  a step\n. to do      a step\n- not done   a step\n\nIn Slack: `/zdd approve T-1` (asks once more)\nIn Slack: `/zdd deny T-1` (careful: it lowers or ends something; asks: Why?)\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

// sectionTexts are the texts of sections.
func sectionTexts(blocks []slack.Block) []string {
	var out []string
	for _, b := range blocks {
		out = append(out, b.(*slack.SectionBlock).Text.Text)
	}
	return out
}
