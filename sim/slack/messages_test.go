package slack_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	slackgo "github.com/slack-go/slack"

	"example.com/zdd/sim/slack"
)

func TestMessagesAreFoundAgainByMetadata(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		meta := slackgo.SlackMetadata{EventType: "ticket", EventPayload: args{"id": "T-1"}}
		var stamps []string
		for i := range 5 {
			_, ts, err := b.api.PostMessage("C0OPS", slackgo.MsgOptionText(fmt.Sprint("m", i), false), slackgo.MsgOptionMetadata(meta))
			if err != nil {
				t.Fatal(err)
			}
			stamps = append(stamps, ts)
			b.pass(time.Second)
		}
		if _, _, err := b.api.PostMessage("C0OPS", slackgo.MsgOptionText("reply", false), slackgo.MsgOptionTS(stamps[1])); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := b.api.UpdateMessage("C0OPS", stamps[4], slackgo.MsgOptionText("changed", false)); err != nil {
			t.Fatal(err)
		}
		read := func(p slackgo.GetConversationHistoryParameters) string {
			p.ChannelID, p.IncludeAllMetadata = "C0OPS", true
			h, err := b.api.GetConversationHistory(&p)
			if err != nil {
				return err.Error()
			}
			var got []string
			for _, m := range h.Messages {
				got = append(got, fmt.Sprint(m.Text, "/", m.Metadata.EventPayload["id"], "/", m.ReplyCount))
			}
			return fmt.Sprint(strings.Join(got, " "), " more=", h.HasMore)
		}
		for _, tt := range []struct {
			params slackgo.GetConversationHistoryParameters
			want   string
		}{
			{slackgo.GetConversationHistoryParameters{}, "changed/T-1/0 m3/T-1/0 m2/T-1/0 m1/T-1/1 m0/T-1/0 more=false"},
			{slackgo.GetConversationHistoryParameters{Limit: 2}, "changed/T-1/0 m3/T-1/0 more=true"},
			{slackgo.GetConversationHistoryParameters{Limit: 2, Cursor: "next:4"}, "m0/T-1/0 more=false"},
			{slackgo.GetConversationHistoryParameters{Oldest: stamps[2]}, "changed/T-1/0 m3/T-1/0 more=false"},
			{slackgo.GetConversationHistoryParameters{Oldest: stamps[3], Inclusive: true}, "changed/T-1/0 m3/T-1/0 more=false"},
			{slackgo.GetConversationHistoryParameters{Latest: stamps[1]}, "m0/T-1/0 more=false"},
		} {
			if got := read(tt.params); got != tt.want {
				t.Errorf("history %+v: got %s, want %s", tt.params, got, tt.want)
			}
		}
		thread, _, _, err := b.api.GetConversationReplies(&slackgo.GetConversationRepliesParameters{ChannelID: "C0OPS", Timestamp: stamps[1]})
		if err != nil || len(thread) != 2 || thread[1].Text != "reply" {
			t.Errorf("replies: got %v, %v", thread, err)
		}
		link, err := b.api.GetPermalink(&slackgo.PermalinkParameters{Channel: "C0OPS", Ts: stamps[0]})
		if want := "https://acme.slack.com/archives/C0OPS/p" + strings.Replace(stamps[0], ".", "", 1); err != nil || link != want {
			t.Errorf("permalink: got %q, %v, want %q", link, err, want)
		}
	})
}

func TestOnlyOnesOwnMessagesChange(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		theirs := strings.TrimPrefix(b.do("type approver #ops hello"), "ts ")
		for method, want := range map[string]string{"chat.update": "cant_update_message", "chat.delete": "cant_delete_message"} {
			if got := b.call(method, args{"channel": "C0OPS", "ts": theirs, "text": "x"}); got["error"] != want {
				t.Errorf("%s of another's message: got %v, want %s", method, got, want)
			}
		}
		hidden := b.call("chat.postEphemeral", args{"channel": "C0OPS", "user": "U0APPROVER", "text": "psst"})["message_ts"]
		if got := b.call("chat.update", args{"channel": "C0OPS", "ts": hidden, "text": "x"}); got["error"] != "message_not_found" {
			t.Errorf("an ephemeral message: got %v, want message_not_found", got)
		}
		b.seen()
		button := args{"type": "actions", "elements": []any{args{"type": "button", "text": args{"type": "plain_text", "text": "Go"}, "action_id": "go"}}}
		ts := b.call("chat.postMessage", args{"channel": "C0OPS", "text": "q", "blocks": []any{button}})["ts"]
		if got := b.call("chat.update", args{"channel": "C0OPS", "ts": ts, "text": strings.Repeat("x", 4001)}); got["error"] != "msg_too_long" {
			t.Errorf("4001 characters: got %v, want msg_too_long", got)
		}
		b.call("chat.update", args{"channel": "C0OPS", "ts": ts, "text": "decided"})
		b.wantSeen("post bot→#ops: [Go]", "update bot→#ops: decided")
		if status, text := b.tryDo("click approver Go"); status != 400 || !strings.Contains(text, `no button "Go"`) {
			t.Errorf("a button that is gone: got %d %s, want 400", status, text)
		}
		b.call("chat.delete", args{"channel": "C0OPS", "ts": ts})
		b.wantSeen("delete bot→#ops: ")
	})
}

func TestUploads(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		f, err := b.api.UploadFile(slackgo.UploadFileParameters{Channel: "C0OPS", Filename: "chart.png", Title: "Cost", AltTxt: "cost by month",
			FileSize: 7, Reader: strings.NewReader("\x89PNG\r\n\x1a"), InitialComment: "the *chart*"})
		if err != nil {
			t.Fatal(err)
		}
		b.wantSeen("file bot→#ops: the chart / [file: Cost] cost by month")
		resp, err := b.web.Get("http://slack.test/_control/file/" + f.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, _ := io.ReadAll(resp.Body); string(got) != "\x89PNG\r\n\x1a" {
			t.Errorf("bytes: got %q", got)
		}
		if _, err := b.api.UploadFile(slackgo.UploadFileParameters{Channel: "C0OPS", Filename: "x", FileSize: 3, Reader: strings.NewReader("four")}); err == nil {
			t.Error("an upload of another length than announced: got no error, want one")
		}
		if _, err := b.api.UploadFile(slackgo.UploadFileParameters{Channel: "C0RANDOM", Filename: "x", FileSize: 3, Reader: strings.NewReader("yes")}); err == nil || !strings.HasSuffix(err.Error(), "not_in_channel") {
			t.Errorf("to a channel it is not in: got %v, want not_in_channel", err)
		}
	})
}

func TestUploadsInAThread(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		upload := func() string {
			place, err := b.api.GetUploadURLExternalContext(b.t.Context(), slackgo.GetUploadURLExternalParameters{FileName: "a.csv", FileSize: 3})
			if err != nil {
				t.Error(err)
				return ""
			}
			res, err := b.web.Post(place.UploadURL, "text/csv", strings.NewReader("a,b"))
			if err != nil {
				t.Error(err)
				return ""
			}
			res.Body.Close()
			return place.FileID
		}
		complete := func(id string, more args) any {
			more["files"] = []any{args{"id": id}}
			return b.call("files.completeUploadExternal", more)["error"]
		}
		root := b.call("chat.postMessage", args{"channel": "C0OPS", "text": "root"})["ts"]
		time.Sleep(time.Second) // one message a second
		reply := b.call("chat.postMessage", args{"channel": "C0OPS", "text": "reply", "thread_ts": root})["ts"]
		time.Sleep(time.Second)
		b.seen()
		id := upload()
		for _, tt := range []struct {
			more args
			do   string
			want string
		}{
			{more: args{"channels": "C0OPS,C0DATA", "thread_ts": root}, want: "invalid_arguments"},
			{more: args{"thread_ts": root}, want: "invalid_arguments"},
			{do: "channel kick #ops", more: args{"channel_id": "C0OPS", "thread_ts": root}, want: "not_in_channel"},
			{do: "channel archive #ops", more: args{"channel_id": "C0OPS", "thread_ts": root}, want: "is_archived"},
			{more: args{"channel_id": "C0BOARD"}, want: "channel_not_found"},
			{do: "scope remove files:write", more: args{"channel_id": "C0OPS"}, want: "missing_scope"},
		} {
			if tt.do == "channel archive #ops" {
				b.do("channel join #ops")
			}
			if tt.do != "" {
				b.do(tt.do)
			}
			if got := complete(id, tt.more); got != tt.want {
				t.Errorf("%v: got %v, want %s", tt.more, got, tt.want)
			}
		}
		b.do("channel unarchive #ops")
		b.do("scope add files:write")
		if got := complete(id, args{"channel_id": "C0OPS", "thread_ts": reply}); got != nil {
			t.Errorf("after its refusals: got %v", got)
		}
		if got := complete(id, args{"channel_id": "C0OPS", "thread_ts": root}); got != "file_not_found" {
			t.Errorf("a second time: got %v, want file_not_found", got)
		}
		b.wantSeen("file bot→#ops: [file: a.csv]")
		thread, _, _, err := b.api.GetConversationRepliesContext(b.t.Context(), &slackgo.GetConversationRepliesParameters{ChannelID: "C0OPS", Timestamp: fmt.Sprint(root)})
		if err != nil || len(thread) != 3 || thread[2].ThreadTimestamp != root || len(thread[2].Files) != 1 || thread[2].Files[0].ID != id {
			t.Errorf("the thread is %v, %v", thread, err)
		}
	})
}

func TestAServerThatDoesNotKnowABlock(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		chart := args{"type": "data_visualization", "title": "t", "chart": args{"type": "pie", "segments": []any{args{"label": "a", "value": 1}}}}
		post := func() any {
			return b.call("chat.postMessage", args{"channel": "C0OPS", "text": "x", "blocks": []any{chart}})["error"]
		}
		for _, step := range []struct {
			do   string
			want any
		}{{"block off data_visualization", "invalid_blocks"}, {"block off table", "invalid_blocks"}, {"block on data_visualization", nil}} {
			b.do(step.do)
			if got := post(); got != step.want {
				t.Errorf("%s: got %v, want %v", step.do, got, step.want)
			}
		}
		if status, _ := b.tryDo("block off hologram"); status != 400 {
			t.Errorf("a block that there is not: got %d, want 400", status)
		}
	})
}
