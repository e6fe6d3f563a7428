package slack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	slackgo "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"example.com/zdd/sim/slack"
)

// desk is a connected client that keeps the interactions it was told of.
type desk struct {
	*bubble
	commands []slackgo.SlashCommand
	acts     []slackgo.InteractionCallback
	raw      []string
	answer   any // the payload of the next acknowledgement
}

func atDesk(t *testing.T, opts slack.Options, f func(d *desk)) {
	t.Helper()
	inBubble(t, opts, func(b *bubble) {
		d := &desk{bubble: b}
		stop := b.connect(func(c *socketmode.Client, ev socketmode.Event) {
			switch got := ev.Data.(type) {
			case slackgo.SlashCommand:
				d.commands = append(d.commands, got)
			case slackgo.InteractionCallback:
				d.acts = append(d.acts, got)
				d.raw = append(d.raw, string(ev.Request.Payload))
			}
			if ev.Request == nil || ev.Request.EnvelopeID == "" {
				return
			}
			var err error
			if d.answer != nil {
				err = c.Ack(*ev.Request, d.answer)
				d.answer = nil
			} else {
				err = c.Ack(*ev.Request)
			}
			if err != nil {
				t.Error(err)
			}
		})
		f(d)
		stop()
	})
}

func (d *desk) lastAct() slackgo.InteractionCallback {
	d.t.Helper()
	if len(d.acts) == 0 {
		d.t.Fatal("no interaction came")
	}
	return d.acts[len(d.acts)-1]
}

func button(label, action, value string) args {
	return args{"type": "button", "text": args{"type": "plain_text", "text": label}, "action_id": action, "value": value}
}

func actions(elements ...any) args { return args{"type": "actions", "elements": elements} }

func TestResponseURLs(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		d.do("type requester #random /zdd x") // the bot is no member there
		url := d.commands[0].ResponseURL
		for _, tt := range []struct{ body, want string }{
			{`{"text":"one"}`, "ephemeral bot→requester: one"},
			{`{"text":"two","response_type":"in_channel"}`, "post bot→#random: two"},
			{`{"text":"three","replace_original":true}`, "ephemeral bot→requester: three"}, // nothing to replace
		} {
			if status, text := d.respond(url, tt.body); status != 200 || text != "ok" {
				t.Errorf("%s: got %d %q, want 200 ok", tt.body, status, text)
			}
			d.wantSeen(tt.want)
		}
		for body, want := range map[string]string{`{}`: "400 no_text", `{"text":"x","blocks":[{"type":"nope"}]}`: "400 invalid_blocks", `{`: "400 invalid_payload"} {
			if status, text := d.respond(url, body); fmt.Sprint(status, " ", text) != want {
				t.Errorf("%s: got %d %s, want %s", body, status, text, want)
			}
		}
		d.respond(url, `{"text":"four"}`)
		d.respond(url, `{"text":"five"}`)
		if status, text := d.respond(url, `{"text":"six"}`); status != 404 || text != "used_url" {
			t.Errorf("sixth use: got %d %q, want 404 used_url", status, text)
		}
		d.do("type requester #ops /zdd y")
		d.pass(30*time.Minute + time.Second)
		if status, text := d.respond(d.commands[1].ResponseURL, `{"text":"late"}`); status != 404 || text != "expired_url" {
			t.Errorf("after 30 minutes: got %d %q, want 404 expired_url", status, text)
		}
		if status, _ := d.respond("http://slack.test/response/guess", `{"text":"x"}`); status != 404 {
			t.Errorf("a guessed URL: got %d, want 404", status)
		}
	})
}

func TestAResponseURLMayAnswerWithoutAType(t *testing.T) {
	for line, want := range map[string]string{"response-type on": "text/plain; charset=utf-8", "response-type off": ""} {
		atDesk(t, slack.Options{}, func(d *desk) {
			d.do(line)
			d.do("type requester /zdd x")
			resp, err := d.web.Post(d.commands[0].ResponseURL, "application/json", strings.NewReader(`{"text":"x"}`))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Content-Type"); got != want {
				t.Errorf("%s: got Content-Type %q, want %q", line, got, want)
			}
		})
	}
}

func TestClickingAnEphemeralMessage(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		d.do("type requester #ops /zdd x")
		blocks := slackgo.MsgOptionBlocks(slackgo.NewActionBlock("decide", slackgo.NewButtonBlockElement("go", "T-1", slackgo.NewTextBlockObject("plain_text", "Go", false, false))))
		if _, _, err := d.api.PostMessage("", slackgo.MsgOptionResponseURL(d.commands[0].ResponseURL, "ephemeral"), slackgo.MsgOptionText("q", false), blocks); err != nil {
			t.Fatal(err)
		}
		d.do("click requester go")
		got := d.lastAct()
		if got.Type != slackgo.InteractionTypeBlockActions || got.User.ID != "U0REQUESTER" || got.User.TeamID != "T0ACME" || got.Team.ID != "T0ACME" || got.Channel.ID != "C0OPS" {
			t.Errorf("interaction: got %+v", got)
		}
		if c := got.Container; c.Type != "message" || !c.IsEphemeral || c.ChannelID != "C0OPS" || c.MessageTs == "" {
			t.Errorf("container: got %+v", c)
		}
		if a := got.ActionCallback.BlockActions[0]; a.ActionID != "go" || a.BlockID != "decide" || a.Value != "T-1" || a.ActionTs == "" || a.Text.Text != "Go" {
			t.Errorf("action: got %+v", a)
		}
		if strings.Contains(d.raw[0], `"message":`) {
			t.Errorf("payload of an ephemeral message holds the message: %s", d.raw[0])
		}
		if status, text := d.tryDo("click approver Go"); status != 400 {
			t.Errorf("another's ephemeral button: got %d %s, want 400", status, text)
		}
		d.seen()
		if status, text := d.respond(got.ResponseURL, `{"text":"done","replace_original":true}`); status != 200 {
			t.Errorf("replace: got %d %s", status, text)
		}
		d.wantSeen("update bot→requester: done")
		if status, _ := d.tryDo("click requester Go"); status != 400 {
			t.Errorf("a replaced button: got %d, want 400", status)
		}
		d.do("click requester Go stale") // a screen that has not caught up
		if len(d.acts) != 2 {
			t.Errorf("a stale click: got %d interactions, want 2", len(d.acts))
		}
		d.respond(got.ResponseURL, `{"delete_original":true}`)
		d.wantSeen("delete bot→requester: ")
	})
}

func TestClickingAMessageInAChannel(t *testing.T) {
	atDesk(t, slack.Options{PostBurst: 5}, func(d *desk) {
		post := func(ticket string) string {
			answer := d.call("chat.postMessage", args{"channel": "C0OPS", "text": ticket, "blocks": []any{
				args{"type": "section", "text": args{"type": "mrkdwn", "text": "*" + ticket + "*"}}, actions(button("Approve", "approve", ticket), button("Deny", "deny", ticket))}})
			return answer["ts"].(string)
		}
		first := post("T-1")
		post("T-2")
		d.do("click approver Approve")
		d.do("click approver Approve on T-1")
		d.do(`click approver2 "Deny" on "T-1"`)
		var got []string
		for _, a := range d.acts {
			got = append(got, a.User.Name+" "+a.ActionCallback.BlockActions[0].ActionID+" "+a.ActionCallback.BlockActions[0].Value)
		}
		if want := []string{"approver approve T-2", "approver approve T-1", "approver2 deny T-1"}; !slices.Equal(got, want) {
			t.Errorf("clicks: got %q, want %q", got, want)
		}
		last := d.lastAct()
		if last.Message.Timestamp != first || last.Message.Text != "T-1" || len(last.Message.Blocks.BlockSet) != 2 || last.Container.IsEphemeral {
			t.Errorf("message: got %+v", last.Message)
		}
		for line, want := range map[string]string{
			"click guest Approve":         "sees no button",
			"click stranger Approve":      "sees no button",
			"click deactivated Approve":   "is deactivated",
			"click approver Pay on T-1":   "there is [Approve] [Deny]",
			"click approver Approve on 9": `on a message with "9"; there is none`,
		} {
			if status, text := d.tryDo(line); status != 400 || !strings.Contains(text, want) {
				t.Errorf("%s: got %d %s, want 400 %s", line, status, text, want)
			}
		}
		d.do("user deactivate approver")
		if status, _ := d.tryDo("click approver Approve"); status != 400 {
			t.Errorf("a click of a deactivated person: got %d, want 400", status)
		}
	})
}

func TestAStrangersClickCarriesTheirTeam(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		d.call("chat.postMessage", args{"channel": "C0PARTNERS", "text": "q", "blocks": []any{actions(button("Go", "go", "1"))}})
		d.do("click stranger Go")
		d.do("type stranger /zdd x")
		if got := d.lastAct(); got.User.TeamID != "T0OTHER" || got.Team.ID != "T0ACME" {
			t.Errorf("teams: got user %s in %s, want T0OTHER in T0ACME", got.User.TeamID, got.Team.ID)
		}
		if got := d.commands[0].TeamID; got != "T0OTHER" {
			t.Errorf("command's team: got %s, want T0OTHER", got)
		}
	})
}

func TestConfirmations(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		ask := button("Pay", "pay", "1")
		text := func(s string) args { return args{"type": "plain_text", "text": s} }
		ask["confirm"] = args{"title": text("Sure?"), "text": text("It costs."), "confirm": text("Yes"), "deny": text("No")}
		d.call("chat.postMessage", args{"channel": "C0OPS", "text": "q", "blocks": []any{actions(ask)}})
		d.do("click approver Pay dismiss")
		if len(d.acts) != 0 {
			t.Errorf("dismissed: got %d interactions, want none", len(d.acts))
		}
		d.do("click approver Pay")
		if len(d.acts) != 1 {
			t.Errorf("accepted: got %d interactions, want 1", len(d.acts))
		}
	})
}

func TestMenus(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		option := func(label, value string) args {
			return args{"text": args{"type": "plain_text", "text": label}, "value": value}
		}
		d.call("chat.postMessage", args{"channel": "C0OPS", "text": "q", "blocks": []any{actions(
			args{"type": "static_select", "action_id": "size", "placeholder": args{"type": "plain_text", "text": "Size"}, "options": []any{option("Small", "s"), option("Large", "l")}},
			args{"type": "overflow", "action_id": "more", "options": []any{option("Mute", "mute")}})}})
		d.wantSeen("post bot→#ops: [Size ▾] [⋯ Mute]")
		d.do("choose approver Large")
		d.do("choose approver Mute")
		var got []string
		for _, a := range d.acts {
			act := a.ActionCallback.BlockActions[0]
			got = append(got, act.ActionID+" "+act.SelectedOption.Value)
		}
		if want := []string{"size l", "more mute"}; !slices.Equal(got, want) {
			t.Errorf("chosen: got %q, want %q", got, want)
		}
	})
}

// modal is a view with one input; its title tells it from others.
func modal(title string) args {
	text := func(s string) args { return args{"type": "plain_text", "text": s} }
	return args{"type": "modal", "callback_id": "edit", "title": text(title), "submit": text("Save"), "notify_on_close": true, "private_metadata": "T-1",
		"blocks": []any{args{"type": "input", "block_id": "count", "label": text("Dynos"), "element": args{"type": "plain_text_input", "action_id": "web"}}}}
}

func TestTriggers(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait time.Duration
		uses int
		want string
	}{
		{"at once", 0, 1, ""},
		{"after 3 s", 3 * time.Second, 1, ""},
		{"later", 3*time.Second + time.Millisecond, 1, "expired_trigger_id"},
		{"twice", 0, 2, "exchanged_trigger_id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atDesk(t, slack.Options{}, func(d *desk) {
				d.do("type requester /zdd x")
				d.pass(tt.wait)
				var answer map[string]any
				for range tt.uses {
					answer = d.call("views.open", args{"trigger_id": d.commands[0].TriggerID, "view": modal("Edit")})
				}
				if got, _ := answer["error"].(string); got != tt.want {
					t.Errorf("views.open: got %v, want %q", answer, tt.want)
				}
			})
		})
	}
}

func TestModals(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		open := func(title string) map[string]any {
			d.do("type requester /zdd x")
			return d.call("views.open", args{"trigger_id": d.commands[len(d.commands)-1].TriggerID, "view": modal(title)})["view"].(map[string]any)
		}
		view := open("Edit")
		d.wantSeen("view bot→requester: Edit / Dynos: [_] / [Save]")

		d.do("submit requester") // required, so Slack's client keeps it
		d.wantSeen("notice slack→requester: Dynos: Please complete this required field.")
		if len(d.acts) != 0 {
			t.Fatalf("interactions: got %d, want none", len(d.acts))
		}
		d.answer = args{"response_action": "errors", "errors": args{"count": "too many"}}
		d.do(`submit requester dynos="nine hundred"`)
		d.wantSeen("errors bot→requester: Dynos: too many")
		got := d.lastAct()
		if got.Type != slackgo.InteractionTypeViewSubmission || got.View.PrivateMetadata != "T-1" || got.View.CallbackID != "edit" || got.View.State.Values["count"]["web"].Value != "nine hundred" {
			t.Errorf("submission: got %+v", got.View)
		}

		d.answer = args{"response_action": "update", "view": modal("Again")}
		d.do("submit requester web=9")
		d.wantSeen("view bot→requester: Again / Dynos: [_] / [Save]")
		d.answer = args{"response_action": "push", "view": modal("Deeper")}
		d.do("submit requester web=9")
		d.wantSeen("view bot→requester: Deeper / Dynos: [_] / [Save]")
		if got := d.call("views.update", args{"view_id": view["id"], "hash": view["hash"], "view": modal("Old")}); got["error"] != "hash_conflict" {
			t.Errorf("an old hash: got %v, want hash_conflict", got)
		}
		d.do("submit requester web=9") // an empty acknowledgement closes the top one
		d.do("close requester")
		if got := d.lastAct(); got.Type != slackgo.InteractionTypeViewClosed || got.View.ID != view["id"] || got.IsCleared {
			t.Errorf("closed: got %s %s, want view_closed of %s", got.Type, got.View.ID, view["id"])
		}
		if status, _ := d.tryDo("close requester"); status != 400 {
			t.Errorf("close with none open: got %d, want 400", status)
		}

		open("Slow")
		d.seen()
		d.do("disconnect half-open")
		d.do("submit requester web=1")
		d.pass(3 * time.Second)
		d.wantSeen("timeout slack→requester: We had some trouble connecting. Try again?")
	})
}

func TestThreeViewsAreTheMost(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		deep := modal("Deep")
		deep["blocks"] = append(deep["blocks"].([]any), actions(button("Down", "down", "1")))
		d.do("type requester /zdd x")
		d.call("views.open", args{"trigger_id": d.commands[0].TriggerID, "view": deep})
		for i, want := range []any{nil, nil, "push_limit_reached"} {
			d.do("click requester Down")
			got := d.lastAct()
			if got.Container.Type != "view" || got.View.ID == "" || got.ResponseURL != "" {
				t.Errorf("interaction in a view: got %+v", got.Container)
			}
			if answer := d.call("views.push", args{"trigger_id": got.TriggerID, "view": deep}); answer["error"] != want {
				t.Errorf("push %d: got %v, want %v", i+1, answer["error"], want)
			}
		}
	})
}

func TestHome(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		d.do("home approver")
		home := args{"type": "home", "blocks": []any{args{"type": "header", "text": args{"type": "plain_text", "text": "Tickets"}}, actions(button("New", "new", "1"))}}
		first := d.call("views.publish", args{"user_id": "U0APPROVER", "view": home})["view"].(map[string]any)
		d.wantSeen("home bot→approver: Tickets / [New]")
		if got := d.call("views.publish", args{"user_id": "U0APPROVER", "hash": "old", "view": home}); got["error"] != "hash_conflict" {
			t.Errorf("an old hash: got %v, want hash_conflict", got)
		}
		if got := d.call("views.publish", args{"user_id": "U0APPROVER", "hash": first["hash"], "view": home}); got["ok"] != true {
			t.Errorf("its own hash: got %v, want ok", got)
		}
		d.do("click approver New")
		if got := d.lastAct(); got.View.Type != "home" || got.Container.Type != "view" {
			t.Errorf("click at home: got %+v", got.Container)
		}
	})
}

func TestShortcuts(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		d.do("shortcut requester new-ticket")
		if got := d.lastAct(); got.Type != slackgo.InteractionTypeShortcut || got.CallbackID != "new-ticket" || got.TriggerID == "" {
			t.Errorf("shortcut: got %+v", got)
		}
		d.do("type approver #ops please scale shop")
		d.do("shortcut requester from-message on scale shop")
		if got := d.lastAct(); got.Type != slackgo.InteractionTypeMessageAction || got.Message.Text != "please scale shop" || got.Channel.ID != "C0OPS" || got.ResponseURL == "" {
			t.Errorf("message shortcut: got %+v", got)
		}
	})
}

func TestAClickNobodyAcknowledges(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		b.connect(nil)
		b.call("chat.postMessage", args{"channel": "C0OPS", "text": "q", "blocks": []any{actions(button("Go", "go", "1"))}})
		b.seen()
		b.do("click approver Go")
		b.pass(3 * time.Second)
		b.wantSeen(`timeout slack→approver: [Go] failed with the error "operation_timeout"`)
	})
}

func TestEphemeralMessagesMayNeverArrive(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		b.do("lose-ephemeral 1")
		for _, text := range []string{"lost", "found"} {
			if got := b.call("chat.postEphemeral", args{"channel": "C0OPS", "user": "U0APPROVER", "text": text}); got["ok"] != true {
				t.Errorf("%s: got %v, want ok", text, got)
			}
		}
		b.wantSeen("ephemeral bot→approver: found")
	})
}

func TestWhatIsTypedReachesTheAppAsSlackSendsIt(t *testing.T) {
	for _, tt := range []struct{ typed, command, message string }{
		{"status shop", "status shop", "status shop"},
		{"a & b <c>", "a &amp; b &lt;c&gt;", "a &amp; b &lt;c&gt;"},
		{"for @approver", "for <@U0APPROVER|approver>", "for <@U0APPROVER>"},
		{"for @finops", "for <!subteam^S0FINOPS|@finops>", "for <!subteam^S0FINOPS>"},
		{"in #ops, #nowhere", "in <#C0OPS|ops>, #nowhere", "in <#C0OPS|ops>, #nowhere"},
		{"@channel!", "<!channel>!", "<!channel>!"},
		{"mail@example", "mail@example", "mail@example"},
		{"https://dashboard.heroku.com/apps/shop", "<https://dashboard.heroku.com/apps/shop>", "<https://dashboard.heroku.com/apps/shop>"},
		{"“https://a.com/x”", "“<https://a.com/x>”", "“<https://a.com/x>”"},
		{"shop-0123456789ab.herokuapp.com", "<http://shop-0123456789ab.herokuapp.com|shop-0123456789ab.herokuapp.com>", "<http://shop-0123456789ab.herokuapp.com|shop-0123456789ab.herokuapp.com>"},
		{"web=2 —dry", "web=2 —dry", "web=2 —dry"},
	} {
		atDesk(t, slack.Options{}, func(d *desk) {
			d.do("type requester #general /zdd " + tt.typed)
			if got := d.commands[0].Text; got != tt.command {
				t.Errorf("command %q: got %q, want %q", tt.typed, got, tt.command)
			}
			ts := strings.TrimPrefix(d.do("type requester #general "+tt.typed), "ts ")
			h, err := d.api.GetConversationHistory(&slackgo.GetConversationHistoryParameters{ChannelID: "C0GENERAL", Latest: ts, Inclusive: true, Limit: 1})
			if err != nil || h.Messages[0].Text != tt.message {
				t.Errorf("message %q: got %v %v, want %q", tt.typed, h, err, tt.message)
			}
		})
	}
	atDesk(t, slack.Options{RawCommands: true}, func(d *desk) {
		d.do("type requester /zdd a & @approver")
		if got := d.commands[0].Text; got != "a & @approver" {
			t.Errorf("without escaping: got %q, want it as typed", got)
		}
	})
}

func TestWhereACommandIsTyped(t *testing.T) {
	atDesk(t, slack.Options{}, func(d *desk) {
		for at, want := range map[string]string{"#ops": "C0OPS ops", "dm": "D0REQUESTER directmessage", "#finance": "C0FINANCE privategroup", "here": "C0GENERAL general"} {
			if at == "#finance" {
				d.do("member add requester #finance")
			}
			d.do("type requester " + at + " /zdd x")
			c := d.commands[len(d.commands)-1]
			if got := c.ChannelID + " " + c.ChannelName; got != want {
				t.Errorf("%s: got %s, want %s", at, got, want)
			}
		}
		synctest.Wait()
	})
}
