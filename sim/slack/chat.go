package slack

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of messages (docs.slack.dev, "chat.postMessage", "chat.update" and
// "Truncating really long messages").
const (
	maxText       = 40000 // longer text is cut by postMessage
	maxUpdateText = 4000  // of chat.update (msg_too_long)
	maxMetadata   = 8000  // bytes of JSON; assumed
	maxAttached   = 100
)

// content is what a message is going to show.
type content struct {
	text        string
	blocks      []any
	attachments []any
	metadata    object // nil: none was given
}

// readContent reads and judges text, blocks, attachments and metadata. textLimit is
// where msg_too_long begins; zero cuts at maxText instead.
func (s *Server) readContent(q *request, textLimit int) (content, error) {
	c := content{text: q.text("text")}
	if md := q.text("markdown_text"); md != "" {
		if c.text != "" || q.args["blocks"] != nil {
			return c, fail("markdown_text_conflict")
		}
		c.text = md
	}
	v, err := q.value("blocks")
	if err != nil {
		return c, fail("invalid_blocks_format")
	}
	var ok bool
	if c.blocks, ok = v.([]any); v != nil && !ok {
		return c, fail("invalid_blocks_format")
	}
	if v, err = q.value("attachments"); err != nil {
		return c, fail("invalid_attachments")
	}
	if c.attachments, ok = v.([]any); v != nil && !ok {
		return c, fail("invalid_attachments")
	}
	if len(c.attachments) > maxAttached {
		return c, fail("too_many_attachments")
	}
	for _, a := range c.attachments {
		att, _ := a.(object)
		blocks, _ := att["blocks"].([]any)
		if checkBlocks(blocks, inMessage, s.blocksOff) != nil {
			return c, fail("invalid_attachments")
		}
		giveIDs(blocks)
	}
	if c.metadata, err = readMetadata(q); err != nil {
		return c, err
	}
	if c.text == "" && len(c.blocks) == 0 && len(c.attachments) == 0 {
		return c, fail("no_text")
	}
	if err := checkBlocks(c.blocks, inMessage, s.blocksOff); err != nil {
		return c, err
	}
	if c.text == "" && len(c.blocks) > 0 {
		if s.opts.Strict {
			return c, fail("no_text")
		}
		q.warn = append(q.warn, "missing_text_in_message")
	}
	if n := utf8.RuneCountInString(c.text); textLimit > 0 && n > textLimit {
		return c, fail("msg_too_long")
	} else if n > maxText {
		c.text = string([]rune(c.text)[:maxText])
		q.warn = append(q.warn, "message_truncated")
	}
	giveIDs(c.blocks)
	return c, nil
}

func readMetadata(q *request) (object, error) {
	v, err := q.value("metadata")
	if err != nil {
		return nil, fail("invalid_metadata_format")
	}
	if v == nil {
		return nil, nil
	}
	meta, ok := v.(object)
	if !ok {
		return nil, fail("invalid_metadata_format")
	}
	if len(meta) == 0 {
		return meta, nil
	}
	kind, _ := meta["event_type"].(string)
	payload, isObject := meta["event_payload"].(object)
	if kind == "" || !isObject || payload == nil {
		return nil, fail("invalid_metadata_schema")
	}
	if text, _ := json.Marshal(meta); len(text) > maxMetadata {
		return nil, fail("metadata_too_large")
	}
	return meta, nil
}

// target finds the conversation that a message is for: a channel's id or name, a direct
// conversation's id, or a person's id, which opens the direct conversation.
func (s *Server) target(name string) (string, error) {
	if p := s.ws.person(name); p != nil && p.ID == name {
		if p.Bot || p.Deleted {
			return "", fail("channel_not_found")
		}
		return dmID(p.ID), nil
	}
	if s.ws.dmPerson(name) != nil {
		return name, nil
	}
	c := s.ws.channel(name)
	if c == nil || c.Private && !c.has(s.ws.BotUser) {
		return "", fail("channel_not_found")
	}
	return c.ID, nil
}

// mayPost says whether the bot may write there.
func (s *Server) mayPost(channel string) error {
	c := s.ws.channel(channel)
	switch {
	case c == nil:
		return nil // a direct conversation
	case c.Archived:
		return fail("is_archived")
	case !c.has(s.ws.BotUser) && !s.granted("chat:write.public"):
		return fail("not_in_channel")
	}
	return nil
}

func (s *Server) postMessage(q *request) (object, error) {
	channel, err := s.target(q.text("channel"))
	if err != nil {
		return nil, err
	}
	if err := s.mayPost(channel); err != nil {
		return nil, err
	}
	c, err := s.readContent(q, 0)
	if err != nil {
		return nil, err
	}
	thread := q.text("thread_ts")
	if thread, err = s.threadOf(channel, thread); err != nil {
		return nil, err
	}
	if wait := s.throttle("post "+channel, s.opts.PostBurst, time.Second*time.Duration(s.opts.PostBurst)); wait > 0 {
		return nil, tooFast(wait)
	}
	m := &message{channel: channel, thread: thread, user: s.ws.BotUser, text: c.text, blocks: c.blocks, attachments: c.attachments, metadata: c.metadata}
	s.post(m)
	shown := s.messageJSON(m)
	if len(m.metadata) > 0 {
		shown["metadata"] = m.metadata
	}
	return object{"channel": channel, "ts": m.ts, "message": shown}, nil
}

// threadOf finds the root of the thread that a reply to ts belongs to.
func (s *Server) threadOf(channel, ts string) (string, error) {
	if ts == "" {
		return "", nil
	}
	m := s.find(channel, ts)
	switch {
	case m == nil:
		return ts, nil // Slack takes a thread_ts that it does not know
	case m.ephemeral != "":
		return "", fail("cannot_reply_to_message")
	}
	return cmp.Or(m.thread, m.ts), nil
}

func (s *Server) postEphemeral(q *request) (object, error) {
	channel, err := s.target(q.text("channel"))
	if err != nil {
		return nil, err
	}
	if err := s.mayPost(channel); err != nil {
		return nil, err
	}
	if ch := s.ws.channel(channel); ch != nil && !ch.has(s.ws.BotUser) {
		return nil, fail("not_in_channel") // chat:write.public does not cover ephemeral messages (assumed)
	}
	p := s.ws.person(q.text("user"))
	if p == nil || p.ID != q.text("user") || p.Deleted {
		return nil, fail("user_not_in_channel")
	}
	if ch := s.ws.channel(channel); ch != nil && !ch.has(p.ID) {
		return nil, fail("user_not_in_channel")
	}
	c, err := s.readContent(q, maxText)
	if err != nil {
		return nil, err
	}
	m := &message{channel: channel, thread: q.text("thread_ts"), user: s.ws.BotUser, ephemeral: p.ID, text: c.text, blocks: c.blocks, attachments: c.attachments}
	s.post(m)
	return object{"message_ts": m.ts}, nil
}

func (s *Server) updateMessage(q *request) (object, error) {
	channel, err := s.target(q.text("channel"))
	if err != nil {
		return nil, err
	}
	m := s.find(channel, q.text("ts"))
	switch {
	case m == nil || m.ephemeral != "": // an ephemeral message has no place in a conversation
		return nil, fail("message_not_found")
	case m.user != s.ws.BotUser:
		return nil, fail("cant_update_message")
	}
	if c := s.ws.channel(channel); c != nil && c.Archived {
		return nil, fail("is_archived") // assumed; the documentation lists no code
	}
	c, err := s.readContent(q, maxUpdateText)
	if err != nil {
		return nil, err
	}
	if c.metadata != nil { // absent keeps what was there; an empty object removes it
		m.metadata = c.metadata
	}
	m.attachments = c.attachments
	s.change(m, c.text, c.blocks)
	return object{"channel": channel, "ts": m.ts, "text": m.text, "message": s.messageJSON(m)}, nil
}

func (s *Server) deleteMessage(q *request) (object, error) {
	channel, err := s.target(q.text("channel"))
	if err != nil {
		return nil, err
	}
	m := s.find(channel, q.text("ts"))
	switch {
	case m == nil || m.ephemeral != "":
		return nil, fail("message_not_found")
	case m.user != s.ws.BotUser:
		return nil, fail("cant_delete_message")
	}
	s.remove(m)
	return object{"channel": channel, "ts": m.ts}, nil
}

func (s *Server) permalink(q *request) (object, error) {
	channel, err := s.target(q.text("channel"))
	if err != nil {
		return nil, err
	}
	m := s.find(channel, q.text("message_ts"))
	if m == nil || m.ephemeral != "" {
		return nil, fail("message_not_found")
	}
	link := "https://" + s.ws.Domain + ".slack.com/archives/" + channel + "/p" + strings.ReplaceAll(m.ts, ".", "")
	if m.thread != "" {
		link += "?thread_ts=" + m.thread + "&cid=" + channel
	}
	return object{"channel": channel, "permalink": link}, nil
}

func (s *Server) reactionsAdd(q *request) (object, error) {
	channel, err := s.target(q.text("channel"))
	if err != nil {
		return nil, err
	}
	m := s.find(channel, q.text("timestamp"))
	name := strings.Trim(q.text("name"), ":")
	switch {
	case m == nil || m.ephemeral != "":
		return nil, fail("message_not_found")
	case m.reactions[name]:
		return nil, fail("already_reacted")
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_+-", r) }):
		return nil, fail("invalid_name")
	}
	if m.reactions == nil {
		m.reactions = map[string]bool{}
	}
	m.reactions[name] = true
	return object{}, nil
}

// history is what conversations.history and .replies share: the newest first, between
// oldest and latest.
func (s *Server) history(q *request, list []*message) (object, error) {
	var picked []object
	latest, oldest := q.text("latest"), q.text("oldest")
	for _, ts := range []string{latest, oldest} {
		if ts != "" && strings.Trim(ts, "0123456789.") != "" {
			return nil, fail("invalid_ts_" + map[bool]string{true: "latest", false: "oldest"}[ts == latest])
		}
	}
	within := func(ts string) bool {
		if q.flag("inclusive") && (ts == latest || ts == oldest) {
			return true
		}
		return (latest == "" || tsBefore(ts, latest)) && (oldest == "" || tsBefore(oldest, ts))
	}
	for _, m := range list {
		if !within(m.ts) {
			continue
		}
		o := s.messageJSON(m)
		if q.flag("include_all_metadata") && len(m.metadata) > 0 {
			o["metadata"] = m.metadata
		}
		picked = append(picked, o)
	}
	rows, meta, err := page(q, picked, 999)
	if err != nil {
		return nil, err
	}
	answer := object{"messages": asList(rows), "has_more": meta["next_cursor"] != "", "pin_count": 0}
	if answer["has_more"] == true {
		answer["response_metadata"] = meta
	}
	return answer, nil
}

// tsBefore compares timestamps of any number of decimals.
func tsBefore(a, b string) bool {
	pad := func(ts string) string {
		whole, part, _ := strings.Cut(ts, ".")
		return strings.Repeat("0", max(0, 12-len(whole))) + whole + "." + part + strings.Repeat("0", max(0, 6-len(part)))
	}
	return pad(a) < pad(b)
}
