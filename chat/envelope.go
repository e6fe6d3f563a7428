package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
	"example.com/zdd/secret"
)

// envelope is one delivery on a link. It is read here rather than by slack-go, which
// knows a list of types and calls everything else a bad message.
type envelope struct {
	Type    string          `json:"type"`
	ID      string          `json:"envelope_id"`
	Payload json.RawMessage `json:"payload"`
}

// ask is a command line and all that is needed to answer it.
type ask struct {
	line     string
	note     string // what was typed into a dialog
	via      commands.Via
	share    bool   // show the answer to the whole channel
	knowing  string // a channel that its presser means to share in, though others than the company may read there
	user     string
	team     string
	teams    []string // every team that the request names as the person's; each must be ours
	channel  string
	thread   string      // ts of the thread to answer in, or empty
	response secret.Text // response_url, or empty
	replace  bool        // the answer takes the place of the message that was pressed
	pressed  Pressed     // zero: no message's button was pressed
	sight    sight       // the view whose button was pressed; zero: none
	screen   Screen      // the modal that the answer goes to; zero: none
	at       time.Time   // when it was pressed; only with a screen
}

// Types of envelopes.
const (
	typeHello      = "hello"
	typeDisconnect = "disconnect"
	typeSlash      = "slash_commands"
	typeInteract   = "interactive"
	typeEvents     = "events_api"
)

// routed is what an envelope asks for.
type routed struct {
	ask    ask
	work   bool     // there is something to do; if not, it is only acknowledged
	ids    []string // what tells this delivery from others; the first one is recorded
	detail string   // for the log, if there is nothing to do

	dialog  *question         // the press opens this dialog; nil: it runs the line
	trigger string            // trigger_id, which opens a dialog
	form    bool              // it is the submission of a dialog
	key     string            // under which the response_url of the press that opened it is kept
	wrong   string            // what is wrong with the form, which stays open then
	wrongs  map[string]string // of a form with several fields: the same, by the block of each; nil: it has one
	field   string            // the block of a form's first field; empty: that of its only one
	act     *formAct          // what somebody does with a form, or wants of one; nil: nothing
	ack     any               // payload of the acknowledgement of what is accepted; nil: none
	home    *opening          // somebody opened their Home tab; nil: nobody did
}

// route reads an envelope. It fails only where the payload is not of its type's form.
func route(env envelope, self Self) (routed, error) {
	switch env.Type {
	case typeSlash:
		return routeSlash(env)
	case typeInteract:
		return routeInteractive(env)
	case typeEvents:
		return routeEvent(env, self)
	}
	return routed{ids: ids(env.ID), detail: "type " + env.Type}, nil
}

func ids(list ...string) []string {
	var out []string
	for _, id := range list {
		if id != "" && len(id) <= 200 {
			out = append(out, id)
		}
	}
	return out
}

func nonEmpty(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func routeSlash(env envelope) (routed, error) {
	var p struct {
		Text        string
		UserID      string `json:"user_id"`
		TeamID      string `json:"team_id"`
		ChannelID   string `json:"channel_id"`
		ResponseURL string `json:"response_url"`
		TriggerID   string `json:"trigger_id"`
	}
	if err := json.Unmarshal(env.Payload, &p); err != nil {
		return routed{}, fmt.Errorf("slash command: %w", err)
	}
	return routed{
		work:    true,
		trigger: p.TriggerID,
		ids:     ids(env.ID),
		ask: ask{
			line: p.Text, via: commands.Slash,
			user: p.UserID, team: p.TeamID, teams: nonEmpty(p.TeamID),
			channel: p.ChannelID, response: secret.New(p.ResponseURL),
		},
	}, nil
}

func routeInteractive(env envelope) (routed, error) {
	var p struct {
		Type string
		User struct {
			ID     string
			TeamID string `json:"team_id"`
		}
		Team      struct{ ID string }
		Channel   struct{ ID string }
		Container struct {
			ChannelID   string `json:"channel_id"`
			ThreadTS    string `json:"thread_ts"`
			MessageTS   string `json:"message_ts"`
			IsEphemeral bool   `json:"is_ephemeral"`
		}
		Message struct {
			ThreadTS string `json:"thread_ts"`
		}
		ResponseURL string `json:"response_url"`
		TriggerID   string `json:"trigger_id"`
		CallbackID  string `json:"callback_id"`
		Actions     []struct {
			ActionID string `json:"action_id"`
			BlockID  string `json:"block_id"`
			Value    string
			Text     struct{ Text string }
		}
		View struct {
			ID              string
			Type            string
			Hash            string
			CallbackID      string `json:"callback_id"`
			PrivateMetadata string `json:"private_metadata"`
			State           struct {
				Values map[string]map[string]struct{ Value string }
			}
		}
	}
	if err := json.Unmarshal(env.Payload, &p); err != nil {
		return routed{}, fmt.Errorf("interaction: %w", err)
	}
	r := routed{ids: ids(env.ID), detail: "interaction " + p.Type}
	r.ask = ask{via: commands.Press, user: p.User.ID, team: first(p.User.TeamID, p.Team.ID), teams: nonEmpty(p.User.TeamID)}
	block := ""
	if len(p.Actions) > 0 {
		block = p.Actions[0].BlockID
	}
	switch {
	case onForm(p.Type, p.CallbackID, p.View.CallbackID, block):
		return routeForm(env, r)
	case p.Type == "view_submission" && p.View.CallbackID == dialogAsk:
		return r.filled(p.View.ID, p.View.PrivateMetadata, p.View.State.Values[dialogNote][dialogNote].Value), nil
	case p.Type != "block_actions" || len(p.Actions) == 0:
		return r, nil
	}
	action := p.Actions[0] // buttons come one at a time
	r.detail = "action " + action.ActionID
	if action.Value == "" {
		return r, nil // a link's button
	}
	r.ask.line, r.ask.response = action.Value, secret.New(p.ResponseURL)
	r.ask.channel = first(p.Channel.ID, p.Container.ChannelID)
	r.ask.thread = first(p.Container.ThreadTS, p.Message.ThreadTS)
	if r.ask.thread == p.Container.MessageTS {
		// It has a thread and is not in it, as a digest: who presses its buttons looks at the
		// channel, where an answer in the thread, for them alone, shows nowhere.
		r.ask.thread = ""
	}
	r.ask.pressed = pressedOf(action.BlockID)
	r.ask.pressed.Channel, r.ask.pressed.TS, r.ask.pressed.Ephemeral = r.ask.channel, p.Container.MessageTS, p.Container.IsEphemeral
	if p.View.ID != "" {
		r.ask.sight = sight{
			id: p.View.ID, home: p.View.Type == string(slack.VTHomeTab), hash: p.View.Hash,
			depth: depthOf(p.View.PrivateMetadata), trigger: p.TriggerID, label: action.Text.Text,
		}
	}
	switch {
	case strings.HasPrefix(action.ActionID, actionRun):
		r.work = true
	case strings.HasPrefix(action.ActionID, actionShare):
		r.work, r.ask.share = r.ask.sight.id == "", true // a view shares nothing: there is no channel
		if k, ok := knowingShareOf(action.Value); ok {
			r.ask.line, r.ask.knowing = k.Share, k.In
		}
	case strings.HasPrefix(action.ActionID, actionForm):
		var c commands.FormCall
		if json.Unmarshal([]byte(action.Value), &c) == nil && c.Name != "" {
			r.act, r.trigger, r.ask.line = &formAct{kind: actOpen, name: c.Name, values: c.Values, shown: c.Shown}, p.TriggerID, ""
		}
	case strings.HasPrefix(action.ActionID, actionAsk):
		var q question
		if json.Unmarshal([]byte(action.Value), &q) == nil && q.Run != "" {
			r.work, r.dialog, r.trigger, r.ask.line = true, &q, p.TriggerID, q.Run
		}
	case strings.HasPrefix(action.ActionID, actionRefresh) && r.ask.sight.home:
		r.home = &opening{user: p.User.ID, team: r.ask.team, shown: shownBy(p.View.PrivateMetadata), again: true}
	} // any other is one of another time's
	return r, nil
}

// filled reads the submission of a dialog.
func (r routed) filled(view, metadata, note string) routed {
	var d dialogue
	if json.Unmarshal([]byte(metadata), &d) != nil || d.Run == "" {
		return r // not of our making
	}
	r.form = true
	note = strings.TrimSpace(strings.ToValidUTF8(note, "\uFFFD"))
	if n := utf8.RuneCountInString(note); n > maxNote { // Slack's own clients don't let it get so far
		r.wrong = fmt.Sprintf("That is too long: %d characters, and I keep %d.", n, maxNote)
		return r
	}
	r.work = true
	r.key = d.Key
	r.ask.line, r.ask.note = d.Run, note
	r.ask.channel, r.ask.thread, r.ask.pressed = d.Channel, d.Thread, d.Pressed
	if d.Depth > 0 && view != "" { // it was opened from a view, and stays for the answer
		r.ask.screen = Screen{ID: view, Depth: d.Depth, Acked: true, Told: true}
		waiting := waitingView(r.ask.screen, "", sentenceChanging)
		r.ack = slack.NewUpdateViewSubmissionResponse(&waiting)
	}
	return r
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func routeEvent(env envelope, self Self) (routed, error) {
	var p struct {
		EventID string `json:"event_id"`
		TeamID  string `json:"team_id"`
		Event   struct {
			Type        string
			Subtype     string
			User        string
			Text        string
			Channel     string
			ChannelType string `json:"channel_type"`
			TS          string
			ThreadTS    string `json:"thread_ts"`
			BotID       string `json:"bot_id"`
			Hidden      bool
			Edited      json.RawMessage
			UserTeam    string `json:"user_team"`
			SourceTeam  string `json:"source_team"`
			Tab         string
			View        struct {
				PrivateMetadata string `json:"private_metadata"`
			}
		}
	}
	if err := json.Unmarshal(env.Payload, &p); err != nil {
		return routed{}, fmt.Errorf("event: %w", err)
	}
	e := p.Event
	r := routed{ids: ids(p.EventID, env.ID), detail: "event " + e.Type}
	direct := e.ChannelType == "im" || strings.HasPrefix(e.Channel, "D")
	switch {
	case e.Type == "app_home_opened" && e.Tab == "home" && e.User != "":
		r.home = &opening{user: e.User, team: p.TeamID, shown: shownBy(e.View.PrivateMetadata)}
		return r, nil
	case e.Type != "message" && e.Type != "app_mention", e.Type == "message" && !direct:
		return r, nil
	case e.BotID != "" || e.User == self.User || e.User == "" || e.Hidden:
		return r, nil // answering a bot could go on for ever
	case e.Subtype != "" && e.Subtype != "file_share" && e.Subtype != "thread_broadcast", len(e.Edited) > 0 && string(e.Edited) != "null":
		return r, nil // edited, deleted, joined…: said before, or not said to us
	}
	r.work = true
	if e.TS != "" {
		r.ids = append(r.ids, ids("message:"+e.Channel+":"+e.TS)...) // a mention in a direct message can come as both
	}
	r.ask = ask{
		line: spoken(e.Text, self.User), via: commands.Mention,
		user: e.User, team: first(e.UserTeam, e.SourceTeam, p.TeamID), teams: nonEmpty(e.UserTeam, e.SourceTeam),
		channel: e.Channel, thread: e.ThreadTS,
	}
	if direct {
		r.ask.via = commands.Direct
	}
	return r, nil
}

// spoken is what was said to the bot: what follows its first mention, or precedes it
// where nothing follows.
func spoken(text, bot string) string {
	before, after, mentioned := cutMention(text, bot)
	if !mentioned {
		return strings.TrimSpace(text)
	}
	for {
		b, a, again := cutMention(after, bot)
		if !again {
			break
		}
		after = b + " " + a
	}
	after = strings.TrimLeft(after, " \t\n,:") // "@zdd: status shop"
	if strings.TrimSpace(after) == "" {
		return strings.TrimSpace(before)
	}
	return strings.TrimSpace(after)
}

// cutMention cuts a text around the first <@BOT> or <@BOT|name>.
func cutMention(text, bot string) (before, after string, found bool) {
	if bot == "" {
		return text, "", false
	}
	for from := 0; ; {
		i := strings.Index(text[from:], "<@"+bot)
		if i < 0 {
			return text, "", false
		}
		i += from
		rest := text[i+len("<@"+bot):]
		if end := strings.IndexByte(rest, '>'); end == 0 || end > 0 && rest[0] == '|' {
			return text[:i], rest[end+1:], true
		}
		from = i + 1 // a longer id that begins like ours
	}
}
