package slack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/zdd/sim/slack"
)

func plainText(n int) args {
	return args{"type": "plain_text", "text": strings.Repeat("é", n)} // characters count, not bytes
}

func mrkdwn(n int) args { return args{"type": "mrkdwn", "text": strings.Repeat("é", n)} }

// many is n copies of what one makes.
func many(n int, one func(i int) any) []any {
	items := make([]any, n)
	for i := range items {
		items[i] = one(i)
	}
	return items
}

func TestLimitsOfBlocks(t *testing.T) {
	divider := func(int) any { return args{"type": "divider"} }
	section := func(n int) args { return args{"type": "section", "text": mrkdwn(n)} }
	with := func(o args, key string, v any) args { o[key] = v; return o }
	press := func() args { return button("x", "", "") }
	option := func(i int) any { return args{"text": plainText(1), "value": fmt.Sprint(i)} }
	selectOf := func(n int) args {
		return args{"type": "static_select", "placeholder": plainText(1), "options": many(n, option)}
	}
	confirm := func(title, text, yes int) args {
		return args{"title": plainText(title), "text": plainText(text), "confirm": plainText(yes), "deny": plainText(1)}
	}
	cell := func(int) any { return args{"type": "raw_text", "text": "x"} }
	rows := func(n, columns int) args {
		return args{"type": "table", "rows": many(n, func(int) any { return many(columns, cell) })}
	}
	bar := func(categories, series int) args {
		names := many(categories, func(i int) any { return fmt.Sprint("c", i) })
		return args{"type": "data_visualization", "title": "t", "chart": args{"type": "bar", "axis_config": args{"categories": names},
			"series": many(series, func(i int) any {
				return args{"name": fmt.Sprint("s", i), "data": many(categories, func(j int) any { return args{"label": names[j], "value": -1.5} })}
			})}}
	}
	table := func(cell any) []any { return []any{args{"type": "table", "rows": []any{[]any{cell}}}} }
	rich := func(element any) []any {
		return table(args{"type": "rich_text", "elements": []any{args{"type": "rich_text_section", "elements": []any{element}}}})
	}
	line := func(categories []any, labels ...any) []any {
		return []any{args{"type": "data_visualization", "title": "t", "chart": args{"type": "line", "axis_config": args{"categories": categories},
			"series": []any{args{"name": "s", "data": many(len(labels), func(i int) any { return args{"label": labels[i], "value": 1} })}}}}}
	}
	for _, tt := range []struct {
		name   string
		blocks []any
		want   string // the first message, or "" where Slack takes it
	}{
		{"a cell that is none", table(nil), "must be an object [json-pointer:/blocks/0/rows/0/0]"},
		{"a number that is none", table(args{"type": "raw_number", "text": "2"}), "must be a number [json-pointer:/blocks/0/rows/0/0/value]"},
		{"markup in a cell", table(args{"type": "mrkdwn", "text": "x"}), "unsupported type: mrkdwn [json-pointer:/blocks/0/rows/0/0/type]"},
		{"rich text without any", table(args{"type": "rich_text"}), "missing required field: elements [json-pointer:/blocks/0/rows/0/0]"},
		{"rich text of no section", table(args{"type": "rich_text", "elements": []any{args{"type": "mrkdwn"}}}), "unsupported type: mrkdwn [json-pointer:/blocks/0/rows/0/0/elements/0/type]"},
		{"an empty text in a cell", rich(args{"type": "text", "text": ""}), "missing required field: text [json-pointer:/blocks/0/rows/0/0/elements/0/elements/0]"},
		{"a person in a cell", rich(args{"type": "user", "user_id": "U1"}), ""},
		{"nobody in a cell", rich(args{"type": "user"}), "missing required field: user_id [json-pointer:/blocks/0/rows/0/0/elements/0/elements/0]"},
		{"a column set", []any{with(rows(1, 1), "column_settings", []any{args{"align": "right", "is_wrapped": true}, nil})}, ""},
		{"a column set badly", []any{with(rows(1, 1), "column_settings", []any{args{"align": "middle"}})}, "invalid align: middle [json-pointer:/blocks/0/column_settings/0/align]"},
		{"21 columns set", []any{with(rows(1, 1), "column_settings", many(21, func(int) any { return nil }))}, "no more than 20 items allowed [json-pointer:/blocks/0/column_settings]"},
		{"a chart", line([]any{"a", "b"}, "a", "b"), ""},
		{"a category twice", line([]any{"a", "a"}, "a", "a"), "must be unique [json-pointer:/blocks/0/chart/axis_config/categories/1]"},
		{"a long category", line([]any{strings.Repeat("é", 21)}, strings.Repeat("é", 21)), "must be 1 to 20 characters [json-pointer:/blocks/0/chart/axis_config/categories/0]"},
		{"a point twice", line([]any{"a", "b"}, "a", "a"), "must have one point for each category [json-pointer:/blocks/0/chart/series/0/data/1/label]"},
		{"a point missing", line([]any{"a", "b"}, "a"), "must have one point for each category [json-pointer:/blocks/0/chart/series/0/data]"},
		{"50 blocks", many(50, divider), ""},
		{"51 blocks", many(51, divider), "no more than 50 items allowed [json-pointer:/blocks]"},
		{"unknown type", []any{args{"type": "hologram"}}, "unsupported type: hologram [json-pointer:/blocks/0/type]"},
		{"no type", []any{args{}}, "missing required field: type [json-pointer:/blocks/0]"},
		{"modal's block in a message", []any{args{"type": "alert", "text": mrkdwn(1)}}, "unsupported type: alert [json-pointer:/blocks/0/type]"},
		{"not an object", []any{"divider"}, "must be an object [json-pointer:/blocks/0]"},
		{"block_id 255", []any{with(section(1), "block_id", strings.Repeat("x", 255))}, ""},
		{"block_id 256", []any{with(section(1), "block_id", strings.Repeat("x", 256))}, "must be less than 256 characters [json-pointer:/blocks/0/block_id]"},
		{"block_id twice", []any{with(section(1), "block_id", "a"), with(section(1), "block_id", "a")}, "`block_id` a already exists [json-pointer:/blocks/1]"},
		{"section 3000", []any{section(3000)}, ""},
		{"section 3001", []any{section(3001)}, "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"},
		{"section empty", []any{section(0)}, "must be more than 0 characters [json-pointer:/blocks/0/text/text]"},
		{"section of nothing", []any{args{"type": "section"}}, "missing required field: text [json-pointer:/blocks/0]"},
		{"10 fields of 1000", []any{args{"type": "section", "fields": many(10, func(int) any { return mrkdwn(1000) })}}, ""},
		{"11 fields", []any{args{"type": "section", "fields": many(11, func(int) any { return mrkdwn(1) })}}, "no more than 10 items allowed [json-pointer:/blocks/0/fields]"},
		{"field 2001", []any{args{"type": "section", "fields": []any{mrkdwn(2001)}}}, "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]"},
		{"header 150", []any{args{"type": "header", "text": plainText(150)}}, ""},
		{"header 151", []any{args{"type": "header", "text": plainText(151)}}, "must be less than 151 characters [json-pointer:/blocks/0/text/text]"},
		{"header mrkdwn", []any{args{"type": "header", "text": mrkdwn(1)}}, "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]"},
		{"emoji in mrkdwn", []any{args{"type": "section", "text": with(mrkdwn(1), "emoji", true)}}, "additional property: emoji [json-pointer:/blocks/0/text]"},
		{"25 buttons", []any{actions(many(25, func(int) any { return press() })...)}, ""},
		{"26 buttons", []any{actions(many(26, func(int) any { return press() })...)}, "no more than 25 items allowed [json-pointer:/blocks/0/elements]"},
		{"no buttons", []any{actions()}, "no less than 1 items allowed [json-pointer:/blocks/0/elements]"},
		{"button text 75", []any{actions(with(press(), "text", plainText(75)))}, ""},
		{"button text 76", []any{actions(with(press(), "text", plainText(76)))}, "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]"},
		{"button value 2001", []any{actions(with(press(), "value", strings.Repeat("x", 2001)))}, "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]"},
		{"button style", []any{actions(with(press(), "style", "blue"))}, "invalid style: blue [json-pointer:/blocks/0/elements/0/style]"},
		{"action_id 256", []any{actions(with(press(), "action_id", strings.Repeat("x", 256)))}, "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]"},
		{"action_id twice", []any{actions(button("a", "go", ""), button("b", "go", ""))}, "`action_id` go already exists [json-pointer:/blocks/0/elements/1]"},
		{"confirm", []any{actions(with(press(), "confirm", confirm(100, 300, 30)))}, ""},
		{"confirm title 101", []any{actions(with(press(), "confirm", confirm(101, 1, 1)))}, "must be less than 101 characters [json-pointer:/blocks/0/elements/0/confirm/title/text]"},
		{"confirm text 301", []any{actions(with(press(), "confirm", confirm(1, 301, 1)))}, "must be less than 301 characters [json-pointer:/blocks/0/elements/0/confirm/text/text]"},
		{"confirm button 31", []any{actions(with(press(), "confirm", confirm(1, 1, 31)))}, "must be less than 31 characters [json-pointer:/blocks/0/elements/0/confirm/confirm/text]"},
		{"100 options", []any{actions(selectOf(100))}, ""},
		{"101 options", []any{actions(selectOf(101))}, "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]"},
		{"option value 151", []any{actions(args{"type": "overflow", "options": []any{args{"text": plainText(1), "value": strings.Repeat("x", 151)}}})}, "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]"},
		{"context of 11", []any{args{"type": "context", "elements": many(11, func(int) any { return mrkdwn(1) })}}, "no more than 10 items allowed [json-pointer:/blocks/0/elements]"},
		{"image without alt", []any{args{"type": "image", "image_url": "https://x"}}, "missing required field: alt_text [json-pointer:/blocks/0]"},
		{"table 100×20", []any{rows(100, 20)}, ""},
		{"table 101 rows", []any{rows(101, 1)}, "no more than 100 items allowed [json-pointer:/blocks/0/rows]"},
		{"table 21 columns", []any{rows(1, 21)}, "no more than 20 items allowed [json-pointer:/blocks/0/rows/0]"},
		{"two tables", []any{rows(1, 1), rows(1, 1)}, "no more than 1 table blocks allowed [json-pointer:/blocks]"},
		{"empty cell", []any{args{"type": "table", "rows": []any{[]any{args{"type": "raw_text", "text": ""}}}}}, "must be more than 0 characters [json-pointer:/blocks/0/rows/0/0/text]"},
		{"chart 20×6", []any{bar(20, 6)}, ""},
		{"chart 21 categories", []any{bar(21, 1)}, "no more than 20 items allowed [json-pointer:/blocks/0/chart/axis_config/categories]"},
		{"chart 7 series", []any{bar(1, 7)}, "no more than 6 items allowed [json-pointer:/blocks/0/chart/series]"},
		{"three charts", []any{bar(1, 1), bar(1, 1), bar(1, 1)}, "no more than 2 data_visualization blocks allowed [json-pointer:/blocks]"},
		{"pie of nothing", []any{args{"type": "data_visualization", "title": "t", "chart": args{"type": "pie", "segments": []any{args{"label": "a", "value": 0}}}}}, "must be greater than 0 [json-pointer:/blocks/0/chart/segments/0/value]"},
		{"13,000 characters", []any{section(3000), section(3000), section(3000), section(3000), section(1000)}, ""},
		{"15,000 characters", []any{section(3000), section(3000), section(3000), section(3000), section(3000)}, "msg_blocks_too_long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				answer := b.call("chat.postMessage", args{"channel": "C0OPS", "text": "x", "blocks": tt.blocks})
				got, _ := answer["error"].(string)
				if errs, ok := answer["errors"].([]any); ok {
					if got != "invalid_blocks" {
						t.Errorf("error: got %s, want invalid_blocks", got)
					}
					got = errs[0].(string)
					if meta := answer["response_metadata"].(map[string]any); meta["messages"].([]any)[0] != "[ERROR] "+got {
						t.Errorf("response_metadata: got %v, want the same with [ERROR]", meta)
					}
				}
				if got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestLimitsOfViews(t *testing.T) {
	input := args{"type": "input", "label": plainText(1), "element": args{"type": "plain_text_input"}}
	divider := func(int) any { return args{"type": "divider"} }
	for _, tt := range []struct {
		name string
		view args
		want string
	}{
		{"100 blocks", args{"type": "modal", "title": plainText(24), "blocks": many(100, divider)}, "invalid_trigger_id"}, // fine but for the trigger
		{"101 blocks", args{"type": "modal", "title": plainText(24), "blocks": many(101, divider)}, "no more than 100 items allowed [json-pointer:/view/blocks]"},
		{"title 25", args{"type": "modal", "title": plainText(25), "blocks": []any{}}, "must be less than 25 characters [json-pointer:/view/title/text]"},
		{"input without submit", args{"type": "modal", "title": plainText(1), "blocks": []any{input}}, "missing required field: submit [json-pointer:/view]"},
		{"private_metadata 3001", args{"type": "modal", "title": plainText(1), "blocks": []any{}, "private_metadata": strings.Repeat("x", 3001)}, "must be less than 3001 characters [json-pointer:/view/private_metadata]"},
		{"no blocks", args{"type": "modal", "title": plainText(1)}, "missing required field: blocks [json-pointer:/view]"},
		{"a table", args{"type": "modal", "title": plainText(1), "blocks": []any{args{"type": "table"}}}, "unsupported type: table [json-pointer:/view/blocks/0/type]"},
		{"too large", args{"type": "modal", "title": plainText(1), "blocks": []any{}, "x": strings.Repeat("x", 260<<10)}, "view_too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				answer := b.call("views.open", args{"trigger_id": "1", "view": tt.view})
				got, _ := answer["error"].(string)
				if errs, ok := answer["errors"].([]any); ok {
					got = errs[0].(string)
				}
				if got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestRendering(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"plain", "plain"},
		{"*bold* _it_ ~no~ `code`", "bold it no `code`"},
		{"a*b*c snake_case_name 2 * 3 * 4", "a*b*c snake_case_name 2 * 3 * 4"},
		{"*a* and *b*", "a and b"},
		{"`*kept*` *gone*", "`*kept*` gone"},
		{"```\nx = *y*\n```", "x = *y*"},
		{"one ` tick", "one ` tick"},
		{"*unclosed", "*unclosed"},
		{"a &amp; b &lt;c&gt; &amp;lt;", "a & b <c> &lt;"},
		{"<@U0APPROVER> <@U0NOBODY|nobody> <#C0OPS> <#C0GONE|gone> <!subteam^S0FINOPS> <!here>", "@approver @nobody #ops #gone @finops @here"},
		{"<https://x.example/_a_|the page> <https://x.example/_a_> <mailto:a@b.c|a@b.c>", "the page https://x.example/_a_ a@b.c"},
		{"&lt;!channel&gt;", "<!channel>"},
		{"<!date^946684800^{date_num} {time}|soon>", "2000-01-01 00:00"},
		{"<!date^946771200^{date_pretty} {date_short} {date}|soon>", "tomorrow Jan 2, 2000 January 2nd, 2000"},
		{"<!date^946684740^{ago}|soon> <!date^946688400^{ago}|soon> <!date^x^{ago}|soon>", "1 minute ago in 1 hour soon"},
		{":white_check_mark: ready :no_such:", "✅ ready :no_such:"},
		{"> quoted\nnext", "> quoted\nnext"},
	} {
		inBubble(t, slack.Options{}, func(b *bubble) {
			b.call("chat.postMessage", args{"channel": "C0OPS", "text": tt.text})
			if got := b.seen()[0].Text; got != tt.want {
				t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

// Moments are told in one zone, and so is which day is today.
func TestRenderingInAZone(t *testing.T) {
	west := time.FixedZone("west", -5*60*60)
	inBubble(t, slack.Options{Zone: west}, func(b *bubble) { // it is 2000-01-01 00:00 UTC
		b.call("chat.postMessage", args{"channel": "C0OPS", "text": "<!date^946684740^{date_short_pretty} at {time}|x>, <!date^946703000^{date_short_pretty} at {time}|x>"})
		if got, want := b.seen()[0].Text, "today at 18:59, tomorrow at 00:03"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestRenderingBlocks(t *testing.T) {
	for _, tt := range []struct{ name, blocks, want string }{
		{"section", `[{"type":"section","text":{"type":"mrkdwn","text":"*a*"},"fields":[{"type":"mrkdwn","text":"_f_"},{"type":"plain_text","text":"*g*"}],
			"accessory":{"type":"button","text":{"type":"plain_text","text":"Go"},"action_id":"x"}}]`, "a\nf\n*g*\n[Go]"},
		{"header, divider, context", `[{"type":"header","text":{"type":"plain_text","text":"H &amp; M"}},{"type":"divider"},
			{"type":"context","elements":[{"type":"mrkdwn","text":"*c*"},{"type":"image","image_url":"https://x","alt_text":"pic"}]}]`, "H & M\n---\nc [image: pic]"},
		{"rich text", `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"hi "},{"type":"user","user_id":"U0APPROVER"},
			{"type":"link","url":"https://x"},{"type":"emoji","name":"x"},{"type":"broadcast","range":"here"}]},
			{"type":"rich_text_list","style":"ordered","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"one"}]},{"type":"rich_text_section","elements":[{"type":"text","text":"two"}]}]}]}]`,
			"hi @approverhttps://x❌@here1. one\n2. two"},
		{"table", `[{"type":"table","rows":[[{"type":"raw_text","text":"app"},{"type":"raw_text","text":"web"}],[{"type":"raw_text","text":"shop"},{"type":"raw_number","value":2}]]}]`, "app   web\nshop  2"},
		{"a rich cell", `[{"type":"table","rows":[[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"read "},{"type":"date","timestamp":1700000000,"format":"{date_num} {time}","fallback":"x"}]}]}]]}]`, "read 2023-11-14 22:13"},
		{"chart", `[{"type":"data_visualization","title":"Cost","chart":{"type":"line","axis_config":{"categories":["May","June"]},"series":[{"name":"web","data":[{"label":"May","value":1},{"label":"June","value":2.5}]}]}}]`,
			"[line chart: Cost]\nweb: May 1, June 2.5"},
		{"verbatim", `[{"type":"section","text":{"type":"mrkdwn","verbatim":true,"text":"*a* <@U0APPROVER>"}}]`, "a @approver"},
		{"markdown", `[{"type":"markdown","text":"**kept**"}]`, "**kept**"},
		{"image", `[{"type":"image","image_url":"https://x","alt_text":"a graph","title":{"type":"plain_text","text":"T"}}]`, "T\n[image: a graph]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				if answer := b.call("chat.postMessage", args{"channel": "C0OPS", "text": "fallback", "blocks": tt.blocks}); answer["ok"] != true {
					t.Fatalf("got %v", answer)
				}
				e := b.seen()[0]
				if e.Text != tt.want || e.Notification != "fallback" {
					t.Errorf("got %q (notification %q), want %q", e.Text, e.Notification, tt.want)
				}
			})
		})
	}
}

func TestWhomAMessageRings(t *testing.T) {
	for _, tt := range []struct{ text, blocks, want string }{
		{"hello", "", "[]"},
		{"<!channel> <@U0APPROVER>", "", "[@approver @channel]"},
		{"&lt;!channel&gt;", "", "[]"},
		{"<!channel>", `[{"type":"section","text":{"type":"mrkdwn","text":"quiet"}}]`, "[]"}, // the blocks are the message
		{"x", `[{"type":"section","text":{"type":"mrkdwn","text":"<!subteam^S0FINOPS>"}},{"type":"header","text":{"type":"plain_text","text":"<!here>"}}]`, "[@finops]"},
	} {
		inBubble(t, slack.Options{}, func(b *bubble) {
			b.call("chat.postMessage", args{"channel": "C0OPS", "text": tt.text, "blocks": tt.blocks})
			if got := fmt.Sprint(b.seen()[0].Pings); got != tt.want {
				t.Errorf("%q %s: got %s, want %s", tt.text, tt.blocks, got, tt.want)
			}
		})
	}
}

// FuzzMessage: whatever JSON a bot sends as blocks, and whatever text, the server answers
// in JSON, and what it took can be clicked through without a panic.
func FuzzMessage(f *testing.F) {
	f.Add("*a* <@U0APPROVER> `x` <!date^1^{ago}|y>", `[{"type":"section","text":{"type":"mrkdwn","text":"x"}}]`)
	f.Add("```", `[{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Go"},"confirm":7}]}]`)
	f.Add("", `[{"type":"data_visualization","title":"t","chart":{"type":"bar","axis_config":{"categories":[{}]},"series":[{"name":{},"data":[{"label":{},"value":1}]}]}}]`)
	f.Add("<>", `[{"type":"table","rows":[[null,{"type":"rich_text","elements":[{}]}]]},{"type":"data_visualization","chart":{"type":"pie"}}]`)
	f.Fuzz(func(t *testing.T, text, blocks string) {
		s := slack.New(slack.Options{NoRateLimits: true})
		defer s.Close()
		body, err := json.Marshal(args{"channel": "C0OPS", "text": text, "blocks": blocks})
		if err != nil {
			t.Skip()
		}
		status, answer := serveOne(s, "/api/chat.postMessage", "application/json; charset=utf-8", string(body))
		if !json.Valid([]byte(answer)) || status != http.StatusOK {
			t.Errorf("answer: got %d %q, want JSON", status, answer)
		}
		serveOne(s, "/_control/do", "text/plain", "click approver Go")
		serveOne(s, "/_control/do", "text/plain", "type approver dm "+text)
	})
}

// FuzzControl: no line makes the controls panic, and a refusal says why.
func FuzzControl(f *testing.F) {
	for _, line := range []string{"type requester #ops /zdd x", `submit requester a="b c" d=e`, "fault next 3 * slow 2s", "disconnect warning one", "group set S0FINOPS U0APPROVER",
		"channel delete #ops", "flap 1h for 2h", "choose approver A on B stale", "member add guest #ops", "send-raw {", "greet drop next 1", "shortcut admin x on y"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s := slack.New(slack.Options{})
		defer s.Close()
		if status, answer := serveOne(s, "/_control/do", "text/plain", line); status != http.StatusOK && strings.TrimSpace(answer) == "" {
			t.Errorf("%q: got %d with no reason", line, status)
		}
		serveOne(s, "/_control/do", "text/plain", "type approver #general @zdd hello")
	})
}
