package slack

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// place is where a person is typing.
type place struct {
	channel string
	thread  string
}

// mentionable finds what a person may type that Slack turns into a reference.
var mentionable = regexp.MustCompile(`(^|[\s(,;=])([@#])([a-z0-9][a-z0-9._-]*)`)

// linkable finds what Slack takes for a link: with a scheme, or a bare host of a
// well-known ending.
var linkable = regexp.MustCompile(`(^|[\s("'“”])((?:https?://)?(?:[A-Za-z0-9-]+\.)+(?:com|org|net|io|dev|app|de)(?:[:/][^\s<>)"“”]*)?|https?://[^\s<>)"“”]+)`)

// typed is what a person typed, as Slack sends it: entities for &, < and >, references
// for @name and #channel, links in angle brackets. Labels are the |name in references,
// which slash commands carry and messages do not.
func (s *Server) typed(text string, command bool) string {
	if command && s.opts.RawCommands {
		return text
	}
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	text = linkable.ReplaceAllStringFunc(text, func(m string) string {
		parts := linkable.FindStringSubmatch(m)
		lead, m := parts[1], parts[2]
		if strings.HasPrefix(m, "http://") || strings.HasPrefix(m, "https://") {
			return lead + "<" + m + ">"
		}
		return lead + "<http://" + m + "|" + m + ">"
	})
	return mentionable.ReplaceAllStringFunc(text, func(m string) string {
		parts := mentionable.FindStringSubmatch(m)
		lead, name := parts[1], parts[3]
		label := func(id, name string) string {
			if command {
				return id + "|" + name
			}
			return id
		}
		if parts[2] == "#" {
			if c := s.ws.channel(name); c != nil {
				return lead + "<#" + c.ID + "|" + c.Name + ">"
			}
			return m
		}
		if name == "channel" || name == "here" || name == "everyone" {
			return lead + "<!" + name + ">"
		}
		if p := s.ws.person(name); p != nil {
			return lead + "<@" + label(p.ID, p.Name) + ">"
		}
		if g := s.ws.group(name); g != nil {
			return lead + "<!subteam^" + label(g.ID, "@"+g.Handle) + ">"
		}
		return m
	})
}

// typeText is a person typing something somewhere: a slash command or a message.
func (s *Server) typeText(p *Person, at place, text string) (string, error) {
	if p.Deleted {
		return "", fmt.Errorf("%s is deactivated and can't type", p.Name)
	}
	if c := s.ws.channel(at.channel); c != nil {
		switch {
		case c.Archived:
			return "", fmt.Errorf("#%s is archived; nobody can type there", c.Name)
		case !c.has(p.ID):
			return "", fmt.Errorf("%s is not a member of #%s", p.Name, c.Name)
		}
	}
	if strings.HasPrefix(text, "/") {
		return s.slash(p, at, text)
	}
	m := &message{channel: at.channel, thread: at.thread, user: p.ID, text: s.typed(text, false)}
	s.post(m)
	return "ts " + m.ts, nil
}

// notice is something that Slack itself shows to one person.
func (s *Server) notice(p *Person, kind, text string) {
	s.record(Event{Kind: kind, To: p.Name, By: "slack", Text: text, Ephemeral: true})
}

func (s *Server) slash(p *Person, at place, text string) (string, error) {
	command, rest, _ := strings.Cut(text, " ")
	switch {
	case !slices.Contains(s.opts.Commands, command):
		s.notice(p, "notice", fmt.Sprintf("%s is not a valid command. In Slack, all messages that start with the \"/\" character are interpreted as commands.", command))
		return "no such command: " + command, nil
	case at.thread != "":
		s.notice(p, "notice", command+" is not supported in threads. Sorry!")
		return command + " is not supported in threads", nil
	case !s.granted("commands"):
		s.notice(p, "notice", command+" is not a valid command.")
		return "the app was not granted the scope commands", nil
	}
	name := s.channelName(at.channel)
	switch c := s.ws.channel(at.channel); {
	case c == nil:
		name = "directmessage"
	case c.Private:
		name = "privategroup"
	}
	payload := object{
		"token": "simulated-verification-token", "team_id": s.ws.teamOf(p), "team_domain": s.ws.Domain,
		"channel_id": at.channel, "channel_name": name, "user_id": p.ID, "user_name": p.Name,
		"command": command, "text": s.typed(strings.TrimSpace(rest), true), "api_app_id": s.ws.AppID,
		"is_enterprise_install": false, "response_url": s.newResponseURL(p.ID, at.channel, nil),
		"trigger_id": s.newTrigger(p.ID, ""),
	}
	if s.ws.EnterpriseID != "" {
		payload["enterprise_id"], payload["enterprise_name"] = s.ws.EnterpriseID, s.ws.EnterpriseName
	}
	return s.dispatch(&envelope{
		kind: "slash_commands", payload: payload,
		lost:     func(code string) { s.notice(p, "timeout", fmt.Sprintf("%s failed with the error %q", command, code)) },
		answered: func(ack json.RawMessage) { s.ackMessage(p, at.channel, ack) },
	}), nil
}

// ackMessage shows the message that came inside an acknowledgement of a slash command.
func (s *Server) ackMessage(p *Person, channel string, payload json.RawMessage) {
	args := object{}
	var text string
	switch {
	case len(payload) == 0 || string(payload) == "null":
		return
	case json.Unmarshal(payload, &text) == nil:
		args["text"] = text
	case json.Unmarshal(payload, &args) != nil || len(args) == 0:
		return
	}
	c, err := s.readContent(&request{args: args}, 0)
	if err != nil {
		s.notice(p, "notice", "Slack could not show the app's answer: "+err.Error())
		return
	}
	m := &message{channel: channel, user: s.ws.BotUser, text: c.text, blocks: c.blocks, attachments: c.attachments}
	if args["response_type"] != "in_channel" {
		m.ephemeral = p.ID
	}
	s.post(m)
}

// team is the workspace in an interaction's payload, and enterprise what is above it.
func (s *Server) interaction(kind string, p *Person) object {
	o := object{
		"type": kind, "token": "simulated-verification-token", "api_app_id": s.ws.AppID,
		"team":                  object{"id": s.ws.ID, "domain": s.ws.Domain},
		"user":                  object{"id": p.ID, "username": p.Name, "name": p.Name, "team_id": s.ws.teamOf(p)},
		"enterprise":            nil,
		"is_enterprise_install": false,
	}
	if s.ws.EnterpriseID != "" {
		o["enterprise"] = object{"id": s.ws.EnterpriseID, "name": s.ws.EnterpriseName}
		o["team"].(object)["enterprise_id"] = s.ws.EnterpriseID
	}
	return o
}

// control on a person's screen: an element of a message or of a view.
type control struct {
	m       *message
	v       *view
	was     *viewVersion // of the view, where it is that one's; nil: it is there now
	blocks  []any        // those that the element is among
	blockID string
	el      object
	seq     int
}

// controls lists what a person can act on, the newest first. With stale, elements that
// have been replaced are listed too: another screen may still show them.
func (s *Server) controls(p *Person, stale string) []control {
	var found []control
	add := func(c control, blocks []any) {
		c.blocks = blocks
		for _, b := range blocks {
			block, _ := b.(object)
			c.blockID, _ = block["block_id"].(string)
			for _, el := range elementsOf(block) {
				c.el = el
				found = append(found, c)
			}
		}
	}
	for _, m := range s.messages {
		if m.ephemeral != "" && m.ephemeral != p.ID || m.ephemeral == "" && !s.canSee(p, m.channel) {
			continue
		}
		if !m.deleted {
			add(control{m: m, seq: m.seq}, m.blocks)
			for _, a := range m.attachments {
				att, _ := a.(object)
				blocks, _ := att["blocks"].([]any)
				add(control{m: m, seq: m.seq}, blocks)
			}
		}
		if stale == "stale" {
			for _, old := range m.past {
				add(control{m: m, seq: old.seq}, old.blocks)
			}
		}
	}
	for _, v := range []*view{s.homes[p.ID], s.top(p.ID)} {
		if v == nil {
			continue
		}
		add(control{v: v, seq: v.seq}, v.blocks())
		for i := range v.past {
			if was := &v.past[i]; stale == "stale" {
				add(control{v: v, was: was, seq: was.seq}, v.as(was).blocks())
			}
		}
	}
	slices.SortStableFunc(found, func(a, b control) int { return b.seq - a.seq })
	return found
}

// wish is what a click is aimed at.
type wish struct {
	label string // of the button, or of the option
	on    string // text that the message holds, or its ts
	mode  string // "", "stale" or "dismiss"
}

// click presses a button. The newest message that shows it is meant.
func (s *Server) click(p *Person, w wish) (string, error) {
	if p.Deleted {
		return "", fmt.Errorf("%s is deactivated and can't click", p.Name)
	}
	var labels []string
	for _, c := range s.controls(p, w.mode) {
		kind := c.el["type"]
		if kind != "button" || !s.shows(c, w.on) {
			continue
		}
		label := s.textOf(c.el["text"])
		if !strings.EqualFold(label, w.label) {
			labels = append(labels, "["+label+"]")
			continue
		}
		if _, asks := c.el["confirm"].(object); asks && w.mode == "dismiss" {
			return "the confirmation was dismissed; nothing was sent", nil
		}
		action := object{"text": c.el["text"]}
		for _, key := range []string{"value", "url", "style"} {
			if c.el[key] != nil {
				action[key] = c.el[key]
			}
		}
		return s.act(p, c, action), nil
	}
	return "", fmt.Errorf("%s sees no button %q%s; there is %s", p.Name, w.label, onText(w.on), listed(labels))
}

// choose picks an option of a select, an overflow menu or a set of boxes.
func (s *Server) choose(p *Person, w wish) (string, error) {
	if p.Deleted {
		return "", fmt.Errorf("%s is deactivated and can't choose", p.Name)
	}
	var labels []string
	for _, c := range s.controls(p, w.mode) {
		if !s.shows(c, w.on) {
			continue
		}
		kind, _ := c.el["type"].(string)
		if _, err := time.Parse(time.DateOnly, w.label); err == nil && kind == "datepicker" {
			return s.pick(p, c, object{"selected_date": w.label}), nil
		}
		for _, option := range s.optionsFor(c) {
			label := s.textOf(option["text"])
			if !strings.EqualFold(label, w.label) {
				labels = append(labels, label)
				continue
			}
			action := object{"selected_option": option}
			if kind == "checkboxes" || strings.HasPrefix(kind, "multi_") {
				action = object{"selected_options": []any{option}}
			}
			return s.pick(p, c, action), nil
		}
	}
	return "", fmt.Errorf("%s sees no option %q%s; there is %s", p.Name, w.label, onText(w.on), listed(labels))
}

// pick enters what a person picked, and tells the app, unless that hears of it only when
// it is submitted.
func (s *Server) pick(p *Person, c control, action object) string {
	if c.v != nil {
		s.enter(c.v, c.blockID, c.el, action)
		if s.isInput(c) {
			return "chosen; an input tells the app nothing until it is submitted"
		}
	}
	return s.act(p, c, action)
}

// isInput tells whether an element sits in an input block that does not dispatch.
func (s *Server) isInput(c control) bool {
	for _, b := range c.blocks {
		if block, _ := b.(object); block["block_id"] == c.blockID {
			dispatches, _ := block["dispatch_action"].(bool)
			return block["type"] == "input" && !dispatches
		}
	}
	return false
}

func onText(on string) string {
	if on == "" {
		return ""
	}
	return fmt.Sprintf(" on a message with %q", on)
}

func listed(labels []string) string {
	if len(labels) == 0 {
		return "none"
	}
	slices.Sort(labels)
	return strings.Join(slices.Compact(labels), " ")
}

// shows tells whether the message or view of a control holds some text.
func (s *Server) shows(c control, on string) bool {
	if on == "" || c.m != nil && on == c.m.ts {
		return true
	}
	text := ""
	switch {
	case c.v != nil:
		text = s.renderView(c.v.as(c.was))
	default:
		text = s.renderMessage(c.m) + "\n" + strings.Join(s.renderBlocks(c.blocks), "\n")
	}
	return strings.Contains(fold(text), fold(on))
}

// fold makes all white space one space.
func fold(text string) string { return strings.Join(strings.Fields(text), " ") }

// act tells the app what was done to a control.
func (s *Server) act(p *Person, c control, action object) string {
	action["type"] = c.el["type"]
	action["action_id"] = c.el["action_id"]
	action["block_id"] = c.blockID
	action["action_ts"] = s.nextTS()
	payload := s.interaction("block_actions", p)
	payload["actions"] = []object{action}
	if c.v != nil {
		payload["trigger_id"] = s.newTrigger(p.ID, c.v.id)
		payload["view"] = s.viewJSON(c.v.as(c.was)) // as the person had it
		payload["container"] = object{"type": "view", "view_id": c.v.id}
	} else {
		m := c.m
		payload["trigger_id"] = s.newTrigger(p.ID, "")
		payload["response_url"] = s.newResponseURL(p.ID, m.channel, m)
		payload["channel"] = object{"id": m.channel, "name": cmp.Or(map[bool]string{true: "directmessage"}[strings.HasPrefix(m.channel, "D")], s.channelName(m.channel))}
		payload["state"] = object{"values": stateOf(c.blocks, nil)}
		container := object{"type": "message", "message_ts": m.ts, "channel_id": m.channel, "is_ephemeral": m.ephemeral != ""}
		if m.thread != "" {
			container["thread_ts"] = m.thread
		}
		payload["container"] = container
		if m.ephemeral == "" { // Slack keeps no copy of an ephemeral message
			payload["message"] = s.messageJSON(m)
		}
	}
	return s.dispatch(&envelope{kind: "interactive", payload: payload, lost: func(code string) {
		s.notice(p, "timeout", fmt.Sprintf("[%s] failed with the error %q", s.textOf(c.el["text"]), code))
	}})
}

// closeView closes the modal that a person has before them.
func (s *Server) closeView(p *Person, all string) (string, error) {
	v := s.top(p.ID)
	if v == nil {
		return "", fmt.Errorf("%s has no modal open", p.Name)
	}
	if all == "all" {
		delete(s.stacks, p.ID)
	} else {
		stack := s.stacks[p.ID]
		s.stacks[p.ID] = stack[:len(stack)-1]
	}
	s.stir()
	if notify, _ := v.body["notify_on_close"].(bool); !notify {
		return "closed", nil
	}
	payload := s.interaction("view_closed", p)
	payload["view"] = s.viewJSON(v)
	payload["is_cleared"] = all == "all"
	return s.dispatch(&envelope{kind: "interactive", payload: payload}), nil
}

// shortcut runs a global shortcut, or one on the newest message that holds some text.
func (s *Server) shortcut(p *Person, callback, on string) (string, error) {
	if on != "" {
		i := slices.IndexFunc(s.visible(p), func(m *message) bool { return strings.Contains(fold(s.renderMessage(m)), fold(on)) })
		if i < 0 {
			return "", fmt.Errorf("%s sees no message with %q", p.Name, on)
		}
		return s.messageShortcut(p, callback, s.visible(p)[i]), nil
	}
	return s.runShortcut(p, callback, s.interaction("shortcut", p)), nil
}

// messageShortcut runs a shortcut on a message.
func (s *Server) messageShortcut(p *Person, callback string, m *message) string {
	payload := s.interaction("message_action", p)
	payload["message"] = s.messageJSON(m)
	payload["message_ts"] = m.ts
	payload["channel"] = object{"id": m.channel, "name": s.channelName(m.channel)}
	payload["response_url"] = s.newResponseURL(p.ID, m.channel, m)
	return s.runShortcut(p, callback, payload)
}

func (s *Server) runShortcut(p *Person, callback string, payload object) string {
	payload["callback_id"] = callback
	payload["action_ts"] = s.nextTS()
	payload["trigger_id"] = s.newTrigger(p.ID, "")
	return s.dispatch(&envelope{kind: "interactive", payload: payload, lost: func(code string) {
		s.notice(p, "timeout", fmt.Sprintf("The shortcut failed with the error %q", code))
	}})
}
