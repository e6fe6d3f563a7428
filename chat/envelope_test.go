package chat

import (
	"encoding/json"
	"testing"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
	"example.com/zdd/secret"
)

func TestSpoken(t *testing.T) {
	tests := map[string]string{
		"<@UBOT> status shop":               "status shop",
		"hey <@UBOT>, status shop":          "status shop",
		"<@UBOT|zdd>: status shop":          "status shop",
		"status shop <@UBOT>":               "status shop",
		"<@UBOT> <@UBOT> status shop":       "status shop",
		"<@UBOT>":                           "",
		"<@UBOT2> and <@UBOT> help":         "help",
		"<@UBOT2> help":                     "<@UBOT2> help",
		"<@UBOT help":                       "<@UBOT help",
		"  status shop ":                    "status shop",
		"<@UBOT> status <http://a.b|a.b>":   "status <http://a.b|a.b>",
		"<@UBOT>\nstatus shop\nand no more": "status shop\nand no more",
	}
	for in, want := range tests {
		t.Run(in, func(t *testing.T) {
			if got := spoken(in, "UBOT"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestRoute(t *testing.T) {
	tests := map[string]struct {
		kind, payload string
		work          bool
		want          ask
	}{
		"slash": {typeSlash, `{"text":"status shop","user_id":"U1","team_id":"T1","channel_id":"C1","response_url":"https://h/x"}`, true,
			ask{line: "status shop", via: commands.Slash, user: "U1", team: "T1", channel: "C1", response: secret.New("https://h/x")}},
		"mention in a thread": {typeEvents, `{"event_id":"Ev1","team_id":"T1","event":{"type":"app_mention","user":"U1","text":"<@UBOT> help","channel":"C1","ts":"2.0","thread_ts":"1.0"}}`, true,
			ask{line: "help", via: commands.Mention, user: "U1", team: "T1", channel: "C1", thread: "1.0"}},
		"direct":             {typeEvents, `{"event":{"type":"message","user":"U1","text":"help","channel":"D1","channel_type":"im","ts":"2.0"}}`, true, ask{line: "help", via: commands.Direct, user: "U1", channel: "D1"}},
		"direct, by the bot": {typeEvents, `{"event":{"type":"message","user":"UBOT","text":"help","channel":"D1","channel_type":"im"}}`, false, ask{}},
		"direct, by an app":  {typeEvents, `{"event":{"type":"message","user":"U1","bot_id":"B1","text":"help","channel":"D1","channel_type":"im"}}`, false, ask{}},
		"direct, edited":     {typeEvents, `{"event":{"type":"message","subtype":"message_changed","user":"U1","text":"help","channel":"D1","channel_type":"im"}}`, false, ask{}},
		"direct, deleted":    {typeEvents, `{"event":{"type":"message","subtype":"message_deleted","hidden":true,"channel":"D1","channel_type":"im"}}`, false, ask{}},
		"mention, edited":    {typeEvents, `{"event":{"type":"app_mention","user":"U1","text":"<@UBOT> help","channel":"C1","edited":{"user":"U1","ts":"1"}}}`, false, ask{}},
		"in a channel":       {typeEvents, `{"event":{"type":"message","user":"U1","text":"help","channel":"C1","channel_type":"channel"}}`, false, ask{}},
		"home":               {typeEvents, `{"event":{"type":"app_home_opened","user":"U1"}}`, false, ask{}},
		"button": {typeInteract, `{"type":"block_actions","user":{"id":"U1","team_id":"T1"},"channel":{"id":"C1"},"container":{"thread_ts":"1.0"},"response_url":"https://h/x","actions":[{"action_id":"run:0","value":"status shop"}]}`, true,
			ask{line: "status shop", via: commands.Press, user: "U1", team: "T1", channel: "C1", thread: "1.0", response: secret.New("https://h/x")}},
		"button of what has a thread": {typeInteract, `{"type":"block_actions","user":{"id":"U1","team_id":"T1"},"channel":{"id":"C1"},"container":{"message_ts":"1.0"},"message":{"thread_ts":"1.0"},"actions":[{"action_id":"run:0","value":"status shop"}]}`, true,
			ask{line: "status shop", via: commands.Press, user: "U1", team: "T1", channel: "C1", pressed: Pressed{Channel: "C1", TS: "1.0"}}},
		"share":             {typeInteract, `{"type":"block_actions","user":{"id":"U1"},"team":{"id":"T1"},"container":{"channel_id":"C1"},"actions":[{"action_id":"share:1","value":"help"}]}`, true, ask{line: "help", via: commands.Press, share: true, user: "U1", team: "T1", channel: "C1"}},
		"link":              {typeInteract, `{"type":"block_actions","user":{"id":"U1"},"actions":[{"action_id":"open:0"}]}`, false, ask{}},
		"somebody's button": {typeInteract, `{"type":"block_actions","user":{"id":"U1"},"actions":[{"action_id":"approve","value":"x"}]}`, false, ask{}},
		"somebody's modal":  {typeInteract, `{"type":"view_submission","user":{"id":"U1"}}`, false, ask{}},
		"a modal": {typeInteract, `{"type":"view_submission","user":{"id":"U1","team_id":"T1"},"view":{"callback_id":"zdd_ask","private_metadata":"{\"run\":\"deny T-1\",\"channel\":\"C1\",\"thread\":\"1.0\",\"pressed\":{\"channel\":\"C1\",\"ts\":\"2.0\",\"ticket\":\"T-1\",\"target\":\"channel/C1\"},\"key\":\"K\"}","state":{"values":{"note":{"note":{"type":"plain_text_input","value":" no  "}}}}}}`, true,
			ask{line: "deny T-1", note: "no", via: commands.Press, user: "U1", team: "T1", channel: "C1", thread: "1.0", pressed: Pressed{Channel: "C1", TS: "2.0", Ticket: "T-1", Target: "channel/C1"}}},
		"ask": {typeInteract, `{"type":"block_actions","user":{"id":"U1","team_id":"T1"},"channel":{"id":"C1"},"container":{"message_ts":"2.0","is_ephemeral":true},"trigger_id":"1.2.x","actions":[{"action_id":"ask:0","value":"{\"run\":\"deny T-1\"}"}]}`, true,
			ask{line: "deny T-1", via: commands.Press, user: "U1", team: "T1", channel: "C1", pressed: Pressed{Channel: "C1", TS: "2.0", Ephemeral: true}}},
		"ask for nothing": {typeInteract, `{"type":"block_actions","user":{"id":"U1"},"actions":[{"action_id":"ask:0","value":"deny T-1"}]}`, false, ask{}},
		"a ticket's button": {typeInteract, `{"type":"block_actions","user":{"id":"U1","team_id":"T1"},"channel":{"id":"C1"},"container":{"message_ts":"2.0"},"actions":[{"action_id":"run:0","block_id":"ticket:T-1:approver/U1:0","value":"approve T-1"}]}`, true,
			ask{line: "approve T-1", via: commands.Press, user: "U1", team: "T1", channel: "C1", pressed: Pressed{Channel: "C1", TS: "2.0", Ticket: "T-1", Target: "approver/U1"}}},
		"no actions":          {typeInteract, `{"type":"block_actions","actions":[]}`, false, ask{}},
		"a type of tomorrow":  {"telepathy", `null`, false, ask{}},
		"nothing in an event": {typeEvents, `{}`, false, ask{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := route(envelope{Type: tt.kind, ID: "E1", Payload: json.RawMessage(tt.payload)}, Self{User: "UBOT", Team: "T1"})
			if err != nil {
				t.Fatal(err)
			}
			got.ask.teams = nil
			tt.want.teams = nil
			if got.work != tt.work || tt.work && !same(got.ask, tt.want) {
				t.Errorf("got %v %+v, want %v %+v", got.work, got.ask, tt.work, tt.want)
			}
			if len(got.ids) == 0 {
				t.Error("nothing tells this delivery from others")
			}
		})
	}
}

func same(a, b ask) bool {
	if b.pressed == (Pressed{}) {
		a.pressed = b.pressed // not every case is about it
	}
	return a.line == b.line && a.note == b.note && a.pressed == b.pressed && a.via == b.via && a.share == b.share && a.user == b.user && a.team == b.team && a.channel == b.channel && a.thread == b.thread && a.response.Reveal() == b.response.Reveal()
}

func FuzzRoute(f *testing.F) {
	f.Add("slash_commands", `{"text":"x"}`)
	f.Add("interactive", `{"type":"block_actions","actions":[{}]}`)
	f.Add("events_api", `{"event":{"type":"message","channel":"D1","user":"U1","text":"<@UBOT"}}`)
	f.Fuzz(func(t *testing.T, kind, payload string) {
		r, err := route(envelope{Type: kind, ID: "E", Payload: json.RawMessage(payload)}, Self{User: "UBOT"})
		if err == nil && r.work && r.ask.via == "" {
			t.Errorf("work without a way: %+v", r)
		}
	})
}

func TestKind(t *testing.T) {
	grid := func(teams ...string) slack.EnterpriseUser {
		return slack.EnterpriseUser{ID: "W1", EnterpriseID: "E1", Teams: teams}
	}
	tests := map[string]struct {
		user slack.User
		ask  ask
		self Self
		want commands.PersonKind
	}{
		"member":                       {slack.User{TeamID: "T1"}, ask{}, Self{Team: "T1"}, commands.Member},
		"admin":                        {slack.User{TeamID: "T1", IsAdmin: true}, ask{teams: []string{"T1"}}, Self{Team: "T1"}, commands.Member},
		"single-channel guest":         {slack.User{TeamID: "T1", IsRestricted: true, IsUltraRestricted: true}, ask{}, Self{Team: "T1"}, commands.Guest},
		"multi-channel guest":          {slack.User{TeamID: "T1", IsRestricted: true}, ask{}, Self{Team: "T1"}, commands.Guest},
		"another workspace":            {slack.User{TeamID: "T2"}, ask{}, Self{Team: "T1"}, commands.Foreign},
		"stranger":                     {slack.User{TeamID: "T1", IsStranger: true}, ask{}, Self{Team: "T1"}, commands.Foreign},
		"asking from elsewhere":        {slack.User{TeamID: "T1"}, ask{teams: []string{"T2"}}, Self{Team: "T1"}, commands.Foreign},
		"deactivated":                  {slack.User{TeamID: "T1", Deleted: true}, ask{}, Self{Team: "T1"}, commands.Deactivated},
		"bot":                          {slack.User{TeamID: "T1", IsBot: true}, ask{}, Self{Team: "T1"}, commands.Machine},
		"slackbot":                     {slack.User{ID: "USLACKBOT", TeamID: "T1"}, ask{}, Self{Team: "T1"}, commands.Machine},
		"grid, by home team":           {slack.User{TeamID: "T1", Enterprise: grid("T1")}, ask{}, Self{Team: "T1", Enterprise: "E1"}, commands.Member},
		"grid, home elsewhere":         {slack.User{TeamID: "T9", Enterprise: grid("T9", "T1")}, ask{teams: []string{"T9"}}, Self{Team: "T1", Enterprise: "E1"}, commands.Member},
		"grid, not of this team":       {slack.User{TeamID: "T9", Enterprise: grid("T9")}, ask{}, Self{Team: "T1", Enterprise: "E1"}, commands.Foreign},
		"grid, the whole organisation": {slack.User{TeamID: "T9", Enterprise: grid("T9")}, ask{teams: []string{"T9"}}, Self{Team: "E1", Enterprise: "E1"}, commands.Member},
		"no team told":                 {slack.User{}, ask{}, Self{Team: "T1"}, commands.Foreign},
		"no team but the request's":    {slack.User{}, ask{team: "T1"}, Self{Team: "T1"}, commands.Member},
		"the bot knows no team":        {slack.User{}, ask{}, Self{}, commands.Foreign},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := kind(tt.user, tt.ask, tt.self); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
