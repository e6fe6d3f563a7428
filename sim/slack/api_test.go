package slack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	slackgo "github.com/slack-go/slack"

	"example.com/zdd/sim/slack"
)

type args = map[string]any

func TestRefusalsOfTheWebAPI(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		before string // control lines, by semicolon
		method string
		args   args
		want   string // error, and "needed" or a message after a space
	}{
		{"", "no.such", args{}, "unknown_method"},
		{"method off usergroups.list", "usergroups.list", args{}, "unknown_method"},
		{"", "auth.test", args{}, ""},
		{"revoke-token account_inactive", "auth.test", args{}, "account_inactive"},
		{"", "apps.connections.open", args{}, "not_allowed_token_type"},
		{"", "team.info", args{}, "missing_scope team:read"},
		{"scope add team:read", "team.info", args{}, ""},
		{"scope remove chat:write", "chat.postMessage", args{"channel": "C0OPS", "text": "x"}, "missing_scope chat:write"},
		{"", "chat.postMessage", args{"text": "x"}, "invalid_arguments [ERROR] missing required field: channel"},
		{"", "chat.postMessage", args{"channel": "C0OPS"}, "no_text"},
		{"", "chat.postMessage", args{"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"},
		{"", "chat.postMessage", args{"channel": "C0BOARD", "text": "x"}, "channel_not_found"},
		{"", "chat.postMessage", args{"channel": "C0ATTIC", "text": "x"}, "is_archived"},
		{"", "chat.postMessage", args{"channel": "C0RANDOM", "text": "x"}, ""},
		{"scope remove chat:write.public", "chat.postMessage", args{"channel": "C0RANDOM", "text": "x"}, "not_in_channel"},
		{"channel kick #ops;scope remove chat:write.public", "chat.postMessage", args{"channel": "C0OPS", "text": "x"}, "not_in_channel"},
		{"channel delete #ops", "chat.postMessage", args{"channel": "C0OPS", "text": "x"}, "channel_not_found"},
		{"", "chat.postMessage", args{"channel": "U0APPROVER", "text": "x"}, ""},
		{"", "chat.postMessage", args{"channel": "U0DEACTIVATED", "text": "x"}, "channel_not_found"},
		{"", "chat.postMessage", args{"channel": "#ops", "text": "x"}, ""},
		{"", "chat.postMessage", args{"channel": "C0OPS", "text": "x", "blocks": "{"}, "invalid_blocks_format"},
		{"", "chat.postMessage", args{"channel": "C0OPS", "text": "x", "blocks": "7"}, "invalid_blocks_format"},
		{"", "chat.postMessage", args{"channel": "C0OPS", "markdown_text": "x", "text": "y"}, "markdown_text_conflict"},
		{"", "chat.postMessage", args{"channel": "C0OPS", "text": "x", "metadata": "x"}, "invalid_metadata_format"},
		{"", "chat.postMessage", args{"channel": "C0OPS", "text": "x", "metadata": args{"event_type": "t"}}, "invalid_metadata_schema"},
		{"", "chat.postMessage", args{"channel": "C0OPS", "text": "x", "metadata": args{"event_type": "t", "event_payload": args{"x": long(9000)}}}, "metadata_too_large"},
		{"", "chat.postMessage", args{"channel": "C0OPS", "text": "x", "attachments": make([]any, 101)}, "too_many_attachments"},
		{"", "chat.postEphemeral", args{"channel": "C0OPS", "user": "U0GUEST", "text": "x"}, "user_not_in_channel"},
		{"", "chat.postEphemeral", args{"channel": "C0RANDOM", "user": "U0APPROVER", "text": "x"}, "not_in_channel"},
		{"", "chat.postEphemeral", args{"channel": "C0OPS", "user": "U0APPROVER", "text": long(40001)}, "msg_too_long"},
		{"", "chat.postEphemeral", args{"channel": "C0OPS", "user": "U0APPROVER", "text": "x"}, ""},
		{"", "chat.update", args{"channel": "C0OPS", "ts": "1.000000", "text": "x"}, "message_not_found"},
		{"", "chat.delete", args{"channel": "C0OPS", "ts": "1.000000"}, "message_not_found"},
		{"", "chat.getPermalink", args{"channel": "C0OPS", "message_ts": "1.000000"}, "invalid_arguments [ERROR] missing required field: channel"}, // takes no JSON
		{"", "users.info", args{"user": "U0APPROVER"}, "invalid_arguments [ERROR] missing required field: user"},                                   // takes no JSON
		{"", "conversations.history", args{"channel": "C0RANDOM"}, "not_in_channel"},
		{"", "conversations.history", args{"channel": "C0BOARD"}, "channel_not_found"},
		{"scope remove groups:history", "conversations.history", args{"channel": "C0FINANCE"}, "missing_scope groups:history"},
		{"", "conversations.history", args{"channel": "C0OPS", "cursor": "x"}, "invalid_cursor"},
		{"", "conversations.history", args{"channel": "C0OPS", "oldest": "x"}, "invalid_ts_oldest"},
		{"", "conversations.history", args{"channel": "C0OPS", "limit": 0}, "invalid_limit"},
		{"", "conversations.open", args{}, "users_list_not_supplied"},
		{"", "conversations.open", args{"users": "U0NOBODY"}, "user_not_found"},
		{"", "conversations.open", args{"users": "U0DEACTIVATED"}, "user_disabled"},
		{"", "conversations.open", args{"users": "U0APPROVER"}, ""},
		{"", "conversations.join", args{"channel": "C0OPS"}, "missing_scope channels:join"},
		{"scope add channels:join", "conversations.join", args{"channel": "C0ATTIC"}, "is_archived"},
		{"scope add channels:join", "conversations.join", args{"channel": "C0RANDOM"}, ""},
		{"scope add channels:join", "conversations.join", args{"channel": "C0FINANCE"}, "method_not_supported_for_channel_type"},
		{"plan free", "usergroups.list", args{}, "plan_upgrade_required"},
		{"scope add reactions:write", "reactions.add", args{"channel": "C0OPS", "name": "eyes", "timestamp": "1.0"}, "message_not_found"},
		{"", "views.open", args{"trigger_id": "1.2.3", "view": args{"type": "modal", "title": args{"type": "plain_text", "text": "t"}, "blocks": []any{}}}, "invalid_trigger_id"},
		{"", "views.open", args{"trigger_id": "1.2.3", "view": args{"type": "modal", "blocks": []any{}}}, "invalid_arguments [ERROR] missing required field: title [json-pointer:/view/title]"},
		{"", "views.publish", args{"user_id": "U0NOBODY", "view": args{"type": "home", "blocks": []any{}}}, "invalid_arguments [ERROR] invalid `user_id`"},
		{"", "views.publish", args{"user_id": "U0APPROVER", "view": args{"type": "modal", "blocks": []any{}}}, "invalid_arguments [ERROR] must be home [json-pointer:/view/type]"},
		{"", "views.update", args{"view_id": "V0", "view": args{"type": "modal"}}, "not_found"},
		{"", "files.completeUploadExternal", args{"files": []any{args{"id": "F1"}}}, "file_not_found"},
		{"", "files.completeUploadExternal", args{"files": []any{}}, "invalid_arguments [ERROR] must be a list of files [json-pointer:/files]"},
		{"fault next 1 auth.test fatal_error", "auth.test", args{}, "fatal_error"},
		{"fault next 1 users.list fatal_error", "auth.test", args{}, ""},
		{"fault * internal_error", "auth.test", args{}, "internal_error"},
		{"fault * internal_error;faults clear", "auth.test", args{}, ""},
	} {
		t.Run(tt.method+" "+tt.want, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				if tt.before != "" {
					for line := range strings.SplitSeq(tt.before, ";") {
						b.do(line)
					}
				}
				answer := b.call(tt.method, tt.args)
				got, _ := answer["error"].(string)
				if answer["needed"] != nil {
					got += " " + answer["needed"].(string)
				}
				if meta, ok := answer["response_metadata"].(map[string]any); ok && meta["messages"] != nil {
					got += " " + meta["messages"].([]any)[0].(string)
				}
				if got != tt.want || answer["ok"] != (tt.want == "") {
					t.Errorf("%s %v after %q: got %v, want %q", tt.method, tt.args, tt.before, answer, tt.want)
				}
			})
		})
	}
}

func TestTokensAndBodies(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, kind, body, bearer, want string
	}{
		{"no token", form, "", "", `"error":"not_authed"`},
		{"wrong token", form, "", "xoxb-wrong", `"error":"invalid_auth"`},
		{"token in the header", form, "user=U0APPROVER", slack.DefaultBotToken, `"real_name":"Ada Approver"`},
		{"token in the form", form, "user=U0APPROVER&token=" + slack.DefaultBotToken, "", `"real_name":"Ada Approver"`},
		{"token in a JSON body", "application/json", `{"token":"` + slack.DefaultBotToken + `"}`, "", `"error":"not_authed"`},
		{"multipart", `multipart/form-data; boundary=B`, "--B\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nU0APPROVER\r\n--B--\r\n", slack.DefaultBotToken, `"real_name":"Ada Approver"`},
		{"no content type", "", "user=U0APPROVER", slack.DefaultBotToken, `"error":"missing_post_type"`},
		{"another content type", "text/plain", "user=U0APPROVER", slack.DefaultBotToken, `"error":"invalid_post_type"`},
		{"app token", form, "user=U0APPROVER", slack.DefaultAppToken, `"error":"not_allowed_token_type"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				req, _ := http.NewRequest(http.MethodPost, "http://slack.test/api/users.info", strings.NewReader(tt.body))
				if tt.kind != "" {
					req.Header.Set("Content-Type", tt.kind)
				}
				if tt.bearer != "" {
					req.Header.Set("Authorization", "Bearer "+tt.bearer)
				}
				resp, err := b.web.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != 200 || !strings.Contains(string(text), tt.want) {
					t.Errorf("got %d %s, want 200 and %s", resp.StatusCode, text, tt.want)
				}
				if got := resp.Header.Get("X-OAuth-Scopes"); !strings.Contains(got, "chat:write") {
					t.Errorf("X-OAuth-Scopes: got %q, want the granted ones", got)
				}
				for _, c := range b.sim.Calls() {
					if c.Args["token"] != nil {
						t.Errorf("the log of calls holds a token: %v", c)
					}
				}
			})
		})
	}
}

func TestWarnings(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		divider := []any{args{"type": "divider"}}
		answer := b.call("chat.postMessage", args{"channel": "C0OPS", "blocks": divider})
		if answer["ok"] != true || answer["warning"] != "missing_text_in_message" {
			t.Errorf("blocks without text: got %v, want a warning", answer)
		}
	})
	inBubble(t, slack.Options{Strict: true}, func(b *bubble) {
		if got := b.call("chat.postMessage", args{"channel": "C0OPS", "blocks": []any{args{"type": "divider"}}}); got["error"] != "no_text" {
			t.Errorf("strict, blocks without text: got %v, want no_text", got)
		}
		if got := b.call("chat.postMessage", args{"channel": "C0OPS", "text": "x", "colour": "red"}); got["error"] != "invalid_arguments" {
			t.Errorf("strict, undocumented argument: got %v, want invalid_arguments", got)
		}
	})
}

func TestOneMessageASecondAndChannel(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		post := func(channel string) error {
			_, _, err := b.api.PostMessage(channel, slackgo.MsgOptionText("x", false))
			return err
		}
		for _, channel := range []string{"C0OPS", "C0SHOP"} {
			if err := post(channel); err != nil {
				t.Fatalf("first message to %s: got %v, want none", channel, err)
			}
		}
		limited, ok := errors.AsType[*slackgo.RateLimitedError](post("C0OPS"))
		if !ok || limited.RetryAfter != time.Second {
			t.Fatalf("second message at once: got %v, want a wait of 1s", limited)
		}
		b.pass(limited.RetryAfter)
		if err := post("C0OPS"); err != nil {
			t.Errorf("after the wait: got %v, want none", err)
		}
	})
}

func TestTiers(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		for i := range 20 {
			if _, err := b.api.GetUserGroups(); err != nil {
				t.Fatalf("call %d: %v", i+1, err)
			}
			b.pass(time.Second)
		}
		_, err := b.api.GetUserGroups()
		limited, ok := errors.AsType[*slackgo.RateLimitedError](err)
		if !ok || limited.RetryAfter != 40*time.Second {
			t.Fatalf("call 21 of tier 2: got %v, want a wait of 40s", err)
		}
		b.pass(limited.RetryAfter)
		if _, err := b.api.GetUserGroups(); err != nil {
			t.Errorf("after the wait: got %v, want none", err)
		}
	})
	inBubble(t, slack.Options{NoRateLimits: true}, func(b *bubble) {
		for i := range 100 {
			if _, err := b.api.GetUserGroups(); err != nil {
				t.Fatalf("without limits, call %d: %v", i+1, err)
			}
		}
	})
}

func TestWhoIsWho(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		b.do("user deactivate approver2")
		for id, want := range map[string]string{
			"U0REQUESTER":   "T0ACME Robin Requester",
			"U0GUEST":       "T0ACME Gil Guest restricted ultra",
			"U0MULTIGUEST":  "T0ACME Mo Guest restricted",
			"U0STRANGER":    "T0OTHER Sam Stranger stranger",
			"U0DEACTIVATED": "T0ACME  deleted",
			"U0APPROVER2":   "T0ACME  deleted",
			"U0ZDDBOT":      "T0ACME Zero Downtime Deploys bot",
			"U0ADMIN":       "T0ACME Amal Admin admin",
		} {
			u, err := b.api.GetUserInfo(id)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			got.WriteString(u.TeamID + " " + u.RealName)
			for word, is := range map[string]bool{" stranger": u.IsStranger, " deleted": u.Deleted, " bot": u.IsBot, " admin": u.IsAdmin} {
				if is {
					got.WriteString(word)
				}
			}
			if u.IsRestricted {
				got.WriteString(" restricted")
			}
			if u.IsUltraRestricted {
				got.WriteString(" ultra")
			}
			if got.String() != want {
				t.Errorf("%s: got %q, want %q", id, got.String(), want)
			}
		}
		if _, err := b.api.GetUserInfo("requester"); err == nil || err.Error() != "user_not_found" {
			t.Errorf("a name is no id: got %v, want user_not_found", err)
		}
		b.do("group set S0FINOPS requester U0APPROVER")
		members, err := b.api.GetUserGroupMembers("S0FINOPS")
		if err != nil || fmt.Sprint(members) != "[U0REQUESTER U0APPROVER]" {
			t.Errorf("members: got %v, %v", members, err)
		}
		b.do("group disable S0FINOPS")
		if _, err := b.api.GetUserGroupMembers("S0FINOPS"); err == nil || err.Error() != "no_such_subteam" {
			t.Errorf("a disabled group: got %v, want no_such_subteam", err)
		}
		auth, err := b.api.AuthTest()
		if err != nil || auth.UserID != "U0ZDDBOT" || auth.BotID != "B0ZDD" || auth.TeamID != "T0ACME" || auth.Team != "Acme" {
			t.Errorf("auth.test: got %+v, %v", auth, err)
		}
		bot, err := b.api.GetBotInfo(slackgo.GetBotInfoParameters{Bot: auth.BotID})
		if err != nil || bot.AppID != "A0ZDD" || bot.UserID != "U0ZDDBOT" {
			t.Errorf("bots.info: got %+v, %v", bot, err)
		}
		users, err := b.api.GetUsers()
		if err != nil || len(users) != 9 {
			t.Errorf("users.list: got %d, %v; want 9, without the stranger", len(users), err)
		}
	})
}

func TestConversations(t *testing.T) {
	scopes := append(slack.DefaultScopes(), "im:read")
	inBubble(t, slack.Options{Scopes: scopes}, func(b *bubble) {
		var names []string
		cursor := ""
		for {
			page, next, err := b.api.GetConversations(&slackgo.GetConversationsParameters{Cursor: cursor, Limit: 3, ExcludeArchived: true, Types: []string{"public_channel", "private_channel"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				names = append(names, c.Name)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if got, want := strings.Join(names, " "), "general ops shop data random partners finance"; got != want {
			t.Errorf("conversations.list: got %s, want %s", got, want)
		}
		c, err := b.api.GetConversationInfo(&slackgo.GetConversationInfoInput{ChannelID: "C0PARTNERS", IncludeNumMembers: true})
		if err != nil || !c.IsExtShared || !c.IsMember || c.NumMembers != 6 {
			t.Errorf("conversations.info: got %+v, %v", c, err)
		}
		if _, err := b.api.GetConversationInfo(&slackgo.GetConversationInfoInput{ChannelID: "C0BOARD"}); err == nil || err.Error() != "channel_not_found" {
			t.Errorf("a private channel of others: got %v, want channel_not_found", err)
		}
		members, _, err := b.api.GetUsersInConversation(&slackgo.GetUsersInConversationParameters{ChannelID: "C0SHOP"})
		if err != nil || len(members) != 7 {
			t.Errorf("conversations.members: got %v, %v; want 7", members, err)
		}
		im, _, _, err := b.api.OpenConversation(&slackgo.OpenConversationParameters{Users: []string{"U0APPROVER"}, ReturnIM: true})
		if err != nil || im.ID != "D0APPROVER" || im.User != "U0APPROVER" {
			t.Errorf("conversations.open: got %+v, %v", im, err)
		}
	})
	inBubble(t, slack.Options{}, func(b *bubble) {
		b.do("scope remove channels:read")
		if _, err := b.api.GetConversationInfo(&slackgo.GetConversationInfoInput{ChannelID: "C0OPS"}); err == nil || err.Error() != "missing_scope" {
			t.Errorf("without channels:read: got %v, want missing_scope", err)
		}
	})
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		kind   string
		want   string // part of the error
		posted int
	}{
		{"503", "503", 0},
		{"html", "invalid character '<'", 0},
		{"empty", "EOF", 0},
		{"429 7", "retry after 7s", 0},
		{"reset", "EOF", 0},
		{"reset-after", "EOF", 1},
		{"hang", "deadline exceeded", 0},
		{"slow 2s", "", 1},
		{"restricted_action", "restricted_action", 0},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				b.do("fault next 1 chat.postMessage " + tt.kind)
				ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				_, _, err := b.api.PostMessageContext(ctx, "C0OPS", slackgo.MsgOptionText("x", false))
				got := "none"
				if err != nil {
					got = err.Error()
				}
				if tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
					t.Errorf("error: got %s, want %q in it", got, tt.want)
				}
				if tt.kind == "slow 2s" && time.Since(start) != 2*time.Second {
					t.Errorf("took %v, want 2s", time.Since(start))
				}
				if got := len(b.seen()); got != tt.posted {
					t.Errorf("messages: got %d, want %d", got, tt.posted)
				}
				b.pass(time.Second)
				if _, _, err := b.api.PostMessage("C0OPS", slackgo.MsgOptionText("x", false)); err != nil {
					t.Errorf("next call: got %v, want none", err)
				}
			})
		})
	}
}

func TestControlsAnswerThisMachineOnly(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		for origin, want := range map[string]int{"": 200, "http://localhost:3000": 200, "http://127.0.0.1:9": 200, "https://evil.example": 403, "null": 403} {
			req, _ := http.NewRequest(http.MethodPost, "http://slack.test/_control/do", strings.NewReader("help"))
			if origin != "" {
				req.Header.Set("Origin", origin)
			}
			resp, err := b.web.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("origin %q: got %d, want %d", origin, resp.StatusCode, want)
			}
		}
		for line, want := range map[string]string{
			"dance":                   "unknown command",
			"type nobody hi":          `nobody is called "nobody"`,
			"type guest #ops hi":      "not a member of #ops",
			"type deactivated dm hi":  "deactivated",
			"type requester":          "type what?",
			"type requester #no hi":   "no channel #no",
			"type requester #attic x": "archived",
			"disconnect gently":       "disconnect how?",
			"fault x":                 "a fault needs",
			"fault auth.test slow x":  "want a duration",
			"submit requester a=b":    "no modal open",
			"refuse":                  "refuse with what?",
			"method off no.such":      "no such method",
			"greet kindly":            "greet how?",
		} {
			status, text := b.tryDo(line)
			if status != 400 || !strings.Contains(text, want) {
				t.Errorf("%q: got %d %.80q, want 400 %q", line, status, text, want)
			}
		}
		resp, err := b.web.Get("http://slack.test/_control/log?since=0&wait=" + url.QueryEscape("3s"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); strings.TrimSpace(string(text)) != "[]" {
			t.Errorf("log: got %s, want []", text)
		}
	})
}
