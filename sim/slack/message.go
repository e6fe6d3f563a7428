package slack

import (
	"encoding/json"
	"slices"
	"strings"
)

// message is one message in a conversation, or one that a single person sees.
type message struct {
	channel     string
	ts          string
	thread      string // thread_ts of a reply
	user        string // author's user id
	text        string // in Slack's markup
	blocks      []any
	attachments []any
	metadata    object
	files       []object
	reactions   map[string]bool
	ephemeral   string // the user id of the one person who sees it, or empty
	url         string // the response URL's path it came through, if any
	edited      bool
	deleted     bool
	seq         int // of its latest event: what was touched last is newest
	past        []version
}

// version is what a message showed before it was changed.
type version struct {
	blocks []any
	text   string
	seq    int
}

func (s *Server) keep(m *message) {
	s.messages = append(s.messages, m)
	s.index[m.channel+"/"+m.ts] = m
}

// find gets a message that is not deleted.
func (s *Server) find(channel, ts string) *message {
	m := s.index[channel+"/"+ts]
	if m == nil || m.deleted {
		return nil
	}
	return m
}

// show records that a message appeared or changed.
func (s *Server) show(m *message, kind string) {
	e := Event{
		Kind: kind, Channel: m.channel, TS: m.ts, ThreadTS: m.thread, By: s.ws.nameOf(m.user),
		Text: s.renderMessage(m), Ephemeral: m.ephemeral != "", Pings: s.ringsOf(m),
	}
	if len(m.blocks) > 0 {
		e.Notification = s.plain(m.text)
		e.Blocks, _ = json.Marshal(m.blocks)
	}
	switch {
	case m.ephemeral != "":
		e.To = s.ws.nameOf(m.ephemeral)
	case m.user == s.ws.BotUser:
		if p := s.ws.dmPerson(m.channel); p != nil {
			e.To = p.Name
		}
	}
	m.seq = s.record(e)
}

// post keeps and shows a new message. Kind is post, or dm in a direct conversation.
func (s *Server) post(m *message) {
	m.ts = s.nextTS()
	kind := "post"
	switch {
	case m.ephemeral != "":
		kind = "ephemeral"
		if s.loseNext != 0 {
			s.loseNext--
			return // Slack promises no delivery of ephemeral messages
		}
	case strings.HasPrefix(m.channel, "D"):
		kind = "dm"
		s.dms[m.channel] = true
	}
	s.keep(m)
	s.show(m, kind)
	if m.ephemeral == "" {
		s.tellMessage(m, nil)
	}
}

// change shows a message anew.
func (s *Server) change(m *message, text string, blocks []any) {
	m.past = append(m.past, version{blocks: m.blocks, text: m.text, seq: m.seq})
	before := s.messageJSON(m)
	m.text, m.blocks, m.edited = text, blocks, true
	s.show(m, "update")
	if m.ephemeral == "" {
		s.tellMessage(m, before)
	}
}

// remove takes a message away.
func (s *Server) remove(m *message) {
	m.deleted = true
	e := Event{Kind: "delete", Channel: m.channel, TS: m.ts, ThreadTS: m.thread, By: s.ws.nameOf(m.user), Ephemeral: m.ephemeral != ""}
	if m.ephemeral != "" {
		e.To = s.ws.nameOf(m.ephemeral)
	}
	m.seq = s.record(e)
}

// messageJSON is a message as the API and payloads show it.
func (s *Server) messageJSON(m *message) object {
	o := object{"type": "message", "user": m.user, "ts": m.ts, "text": m.text, "team": s.ws.ID}
	if m.user == s.ws.BotUser {
		o["bot_id"] = s.ws.BotID
		o["app_id"] = s.ws.AppID
		o["bot_profile"] = object{
			"id": s.ws.BotID, "app_id": s.ws.AppID, "team_id": s.ws.ID, "deleted": false,
			"name": s.ws.nameOr(s.ws.BotUser, "bot"), "updated": created, "icons": object{},
		}
	} else if p := s.ws.person(m.user); p != nil {
		o["team"] = s.ws.teamOf(p)
	}
	if len(m.blocks) > 0 {
		o["blocks"] = m.blocks
	}
	if len(m.attachments) > 0 {
		o["attachments"] = m.attachments
	}
	if m.thread != "" {
		o["thread_ts"] = m.thread
	}
	if len(m.files) > 0 {
		o["files"] = m.files
	}
	if m.edited {
		o["edited"] = object{"user": m.user, "ts": m.ts}
	}
	if replies := s.replies(m.channel, m.ts); len(replies) > 0 {
		o["thread_ts"] = m.ts
		o["reply_count"] = len(replies)
		o["latest_reply"] = replies[len(replies)-1].ts
	}
	if len(m.reactions) > 0 {
		var list []object
		for name := range m.reactions {
			list = append(list, object{"name": name, "count": 1, "users": []string{s.ws.BotUser}})
		}
		o["reactions"] = list
	}
	return o
}

// replies are the messages of a thread without its root, oldest first.
func (s *Server) replies(channel, root string) []*message {
	var found []*message
	for _, m := range s.messages {
		if m.channel == channel && m.thread == root && !m.deleted && m.ephemeral == "" {
			found = append(found, m)
		}
	}
	return found
}

// nameOr is the plain user name of an id.
func (w *Workspace) nameOr(id, otherwise string) string {
	if p := w.person(id); p != nil {
		return p.Name
	}
	return otherwise
}

// canSee tells whether a person has that conversation on their screen: public channels
// are open to every full member, others to their members.
func (s *Server) canSee(p *Person, channel string) bool {
	if other := s.ws.dmPerson(channel); other != nil {
		return other.ID == p.ID
	}
	c := s.ws.channel(channel)
	if c == nil {
		return false
	}
	open := !c.Private && p.Guest == FullMember && s.ws.teamOf(p) == s.ws.ID
	return open || c.has(p.ID)
}

// visible are the messages on a person's screen, the newest first.
func (s *Server) visible(p *Person) []*message {
	var seen []*message
	for _, m := range s.messages {
		if m.deleted || m.ephemeral != "" && m.ephemeral != p.ID || m.ephemeral == "" && !s.canSee(p, m.channel) {
			continue
		}
		seen = append(seen, m)
	}
	slices.SortStableFunc(seen, func(a, b *message) int { return b.seq - a.seq })
	return seen
}
