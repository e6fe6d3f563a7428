package slack

import (
	"slices"
	"strings"
	"time"
)

// openHome is a person opening the app's Home tab.
func (s *Server) openHome(p *Person) string {
	event := object{"type": "app_home_opened", "user": p.ID, "channel": dmID(p.ID), "tab": "home", "event_ts": s.nextTS()}
	if v := s.homes[p.ID]; v != nil {
		event["view"] = s.viewJSON(v)
	}
	return s.tell("app_home_opened", event)
}

// tell sends an event to the app, if it subscribed to that kind.
func (s *Server) tell(kind string, event object) string {
	if !slices.Contains(s.opts.Events, kind) {
		return "the app did not subscribe to " + kind
	}
	channel, _ := event["channel"].(string)
	shared := false
	if c := s.ws.channel(channel); c != nil {
		shared = c.Shared
	}
	payload := object{
		"token": "simulated-verification-token", "team_id": s.ws.ID, "context_team_id": s.ws.ID, "context_enterprise_id": nil,
		"api_app_id": s.ws.AppID, "event": event, "type": "event_callback",
		"event_id": s.nextID("Ev"), "event_time": time.Now().Unix(),
		"authorizations":        []object{{"enterprise_id": nil, "team_id": s.ws.ID, "user_id": s.ws.BotUser, "is_bot": true, "is_enterprise_install": false}},
		"is_ext_shared_channel": shared, "event_context": s.nextID("4-"),
	}
	said := ""
	for i := range max(s.eventRepeat, 1) {
		e := &envelope{kind: "events_api", payload: payload}
		if i > 0 {
			e.attempt, e.reason = min(i, len(retryAfter())), "timeout"
		}
		said = s.dispatch(e)
	}
	s.eventRepeat = 0
	return said
}

// tellMessage sends the events that a message, or its change, gives rise to. Before is nil
// for a new message. The app hears its own messages too, as it does from Slack.
func (s *Server) tellMessage(m *message, before object) {
	text := m.text
	event := s.messageJSON(m)
	event["channel"] = m.channel
	event["event_ts"] = m.ts
	if strings.HasPrefix(m.channel, "D") {
		if !s.granted("im:history") {
			return
		}
		event["channel_type"] = "im"
		if before != nil {
			event = object{"type": "message", "subtype": "message_changed", "channel": m.channel, "channel_type": "im", "hidden": true,
				"message": s.messageJSON(m), "previous_message": before, "ts": s.nextTS(), "event_ts": m.ts}
		} else if m.user != s.ws.BotUser {
			event["client_msg_id"] = secret()
			event["blocks"] = richOf(text)
		}
		s.tell("message.im", event)
		return
	}
	c := s.ws.channel(m.channel)
	mentioned := strings.Contains(text, "<@"+s.ws.BotUser+">") || strings.Contains(text, "<@"+s.ws.BotUser+"|")
	if before != nil || c == nil || !c.has(s.ws.BotUser) || m.user == s.ws.BotUser || !mentioned || !s.granted("app_mentions:read") {
		return
	}
	event["type"] = "app_mention"
	event["client_msg_id"] = secret()
	event["blocks"] = richOf(text)
	s.tell("app_mention", event)
}

// richOf is what a person typed as the rich_text block that Slack sends along.
func richOf(text string) []any {
	var elements []any
	add := func(kind, key, value string) {
		if value != "" {
			elements = append(elements, object{"type": kind, key: value})
		}
	}
	for text != "" {
		at := angle.FindStringIndex(text)
		if at == nil {
			break
		}
		add("text", "text", unescape(text[:at[0]]))
		body, _, _ := strings.Cut(text[at[0]+1:at[1]-1], "|")
		switch {
		case strings.HasPrefix(body, "@"):
			add("user", "user_id", body[1:])
		case strings.HasPrefix(body, "#"):
			add("channel", "channel_id", body[1:])
		case strings.HasPrefix(body, "!subteam^"):
			add("usergroup", "usergroup_id", strings.TrimPrefix(body, "!subteam^"))
		case strings.HasPrefix(body, "!"):
			add("broadcast", "range", body[1:])
		default:
			add("link", "url", unescape(body))
		}
		text = text[at[1]:]
	}
	add("text", "text", unescape(text))
	section := object{"type": "rich_text_section", "elements": elements}
	return []any{object{"type": "rich_text", "block_id": "typed", "elements": []any{section}}}
}
