package chat

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// Post is the record of one message about a ticket, a digest or a report. There is at most
// one for each ticket and target; it is written before and after everything that is done
// to the message.
type Post struct {
	Ticket  string    // T-12; digest:NIGHT, digest:lost, stale:NIGHT, report:USER or report:USER/NUMBER
	Target  string    // whom it is for: channel/C…, approver/U…, requester/U…, notice/…, direct/U…; and what of it: …/thread/01, …/csv, …/chart-1
	Channel string    // where it is, a conversation's id; empty: not known yet
	TS      string    // its id there, of a file its own; empty: it is not posted, as far as is known
	Rev     int64     // of the ticket that it shows; of anything else, the how many'th copy it is
	Hash    string    // of what it shows; of a file, its id since it was uploaded
	Live    bool      // it has buttons that do something
	Repeat  bool      // it may be the second of its kind, and says so
	Busy    time.Time // since when it is being posted or changed; zero: it is not
	Lost    string    // Slack's code for why nothing can be told there; empty: it can
	Version int64     // raised by each write; 0: there is no record yet
}

// ErrPostChanged says that somebody else has written the record meanwhile.
var ErrPostChanged = errors.New("the record of the message was changed meanwhile")

// posts keeps the records of messages.
type posts interface {
	// Posts are all records about a ticket, by target.
	Posts(ctx context.Context, ticket string) ([]Post, error)
	// SavePost stores p with its Version raised, as part of tx, where the stored record
	// has p.Version; ErrPostChanged where it has not. A ticket and a target have one
	// record, which is overwritten, so there are at most a few for each ticket: the
	// channel, the approvers who were asked directly, and two for the requester; for a
	// digest one for each message in each channel. Those of tickets are kept as long as
	// tickets are, which is for ever: a press on an old message is answered by what its
	// ticket has become. Those of digests and reports may be forgotten when nobody asks for
	// them again: the buttons of an older copy then do what they say.
	SavePost(ctx context.Context, tx *sql.Tx, p Post) error
}

// Kinds of targets.
const (
	toChannel   = "channel/"
	toApprover  = "approver/"
	toRequester = "requester/"
	toNotice    = "notice/" // rings the requester at the end; see Bot.Tell
)

// audience is who reads the message of a target.
func audience(target string) Audience {
	switch {
	case strings.HasPrefix(target, toRequester), strings.HasPrefix(target, toNotice):
		return ToRequester
	case strings.HasPrefix(target, toReminder):
		return ToReminded
	}
	return ToApprovers
}

// blockID names the buttons of a ticket's message, so that a press says what it was
// about; pressedOf reads it.
func blockID(ticket, target string, n int) string {
	return "ticket:" + ticket + ":" + target + ":" + strconv.Itoa(n)
}

// copyID names the buttons of a message of which there may be older copies: a press says
// of which copy it was.
func copyID(p Post, n int) string {
	return fmt.Sprintf("copy:%d:%s:%d:%s", p.Rev, p.Target, n, p.Ticket)
}

// pressedOf says what a pressed button was about, by the name of its block.
func pressedOf(blockID string) (about Pressed) {
	parts := strings.SplitN(blockID, ":", 5)
	switch {
	case len(parts) == 4 && parts[0] == "ticket":
		return Pressed{Ticket: parts[1], Target: parts[2]}
	case len(parts) == 5 && parts[0] == "copy":
		n, err := strconv.ParseInt(parts[1], 10, 64)
		if err == nil && n > 0 {
			return Pressed{Ticket: parts[4], Target: parts[2], Copy: n}
		}
	}
	return Pressed{}
}

// sheet is what a message is to show.
type sheet struct {
	Message
	thread string // the ts of the message that it replies to; empty: it stands in the channel
	live   bool
	hash   string
}

// sheetOf renders a reply as the one message of a ticket's target.
func sheetOf(reply commands.Reply, ticket, target string) sheet {
	return newSheet(oneMessage(reply, ticket), func(n int) string { return blockID(ticket, target, n) })
}

// newSheet gives the blocks with buttons their names.
func newSheet(m Message, name func(n int) string) sheet {
	n, live := 0, false
	for _, block := range m.Blocks {
		var pressable []slack.BlockElement
		switch b := block.(type) {
		case *slack.ActionBlock:
			b.BlockID = name(n)
			pressable = b.Elements.ElementSet
		case *slack.SectionBlock:
			if b.Accessory == nil || b.Accessory.ButtonElement == nil {
				continue
			}
			b.BlockID = name(n)
			pressable = []slack.BlockElement{b.Accessory.ButtonElement}
		default:
			continue
		}
		n++
		for _, e := range pressable {
			button, ok := e.(*slack.ButtonBlockElement)
			live = live || ok && button.URL == ""
		}
	}
	raw, err := json.Marshal(m)
	if err != nil { // a struct of strings always encodes
		raw = []byte(m.Text)
	}
	sum := sha256.Sum256(raw)
	return sheet{Message: m, live: live, hash: hex.EncodeToString(sum[:12])}
}

// oneMessage shortens a reply until it is one message: what is not its heading, its
// first words or its buttons goes, from the end, and a note says so.
func oneMessage(reply commands.Reply, ticket string) Message {
	messages := Blocks(reply)
	if len(messages) == 1 {
		return messages[0]
	}
	parts := slices.Clone(reply.Parts)
	more := commands.Note{Text: commands.Prose("This is too long for one message: `show " + ticket + "` tells the rest.")}
	for i := len(parts) - 1; i > 0; i-- {
		if _, ok := parts[i].(commands.Buttons); ok {
			continue
		}
		parts = slices.Delete(parts, i, i+1)
		short := commands.Reply{Summary: reply.Summary, Parts: append(slices.Clone(parts), more)}
		if messages = Blocks(short); len(messages) == 1 {
			return messages[0]
		}
	}
	return Blocks(commands.Reply{Summary: reply.Summary, Parts: []commands.Part{commands.Para{Text: commands.Line(shorten(reply.Summary, maxText))}, more}})[0]
}

// quiet is a reply without the buttons that do something.
func quiet(reply commands.Reply) commands.Reply {
	parts := reply.Parts
	reply.Parts = nil
	for _, part := range parts {
		if row, ok := part.(commands.Buttons); ok {
			row.Row = slices.DeleteFunc(slices.Clone(row.Row), func(b commands.Button) bool { return b.URL == "" })
			if len(row.Row) == 0 {
				continue
			}
			part = row
		}
		reply.Parts = append(reply.Parts, part)
	}
	return reply
}

// with adds small print to a reply, above its buttons where these come last.
func with(reply commands.Reply, sentence string) commands.Reply {
	note := commands.Note{Text: commands.Prose(sentence)}
	at := len(reply.Parts)
	if at > 0 {
		if _, ok := reply.Parts[at-1].(commands.Buttons); ok {
			at--
		}
	}
	reply.Parts = slices.Insert(slices.Clone(reply.Parts), at, commands.Part(note))
	return reply
}

// What marks our messages (Slack, "Message metadata").
const (
	eventTicket = "zdd_ticket"
	eventOther  = "zdd_message"
)

func metadataOf(p Post) slack.SlackMetadata {
	event := eventTicket
	if strings.Contains(p.Ticket, ":") {
		event = eventOther
	}
	return slack.SlackMetadata{EventType: event, EventPayload: map[string]any{"ticket": p.Ticket, "target": p.Target}}
}

// refusedBlocks says that Slack does not take a message for what its blocks are.
func refusedBlocks(err error) bool {
	code := slackCode(err)
	return code == "invalid_blocks" || code == "invalid_blocks_format" || code == "msg_blocks_too_long"
}

// put posts the message of p, or changes it where it has a TS, and returns where it is.
// Where Slack refuses its blocks, tables and charts are told as text; then blocks are left
// out, and so are the metadata: the point without the form beats silence. That takes one
// request, or up to four.
func (b *Bot) put(ctx context.Context, p Post, s sheet) (at placed, err error) {
	blocks, marked := s.Blocks, true
	for try := 1; ; try++ {
		// Always with blocks, if only none: those that are not sent stay.
		options := []slack.MsgOption{slack.MsgOptionText(s.Text, false), slack.MsgOptionBlocks(blocks...)}
		if marked {
			options = append(options, slack.MsgOptionMetadata(metadataOf(p)))
		}
		if p.TS == "" {
			if s.thread != "" {
				options = append(options, slack.MsgOptionTS(s.thread))
			}
			options = append(options, slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
			at.channel, at.ts, err = b.api.slack.PostMessageContext(ctx, p.Channel, options...)
		} else {
			at.channel, at.ts, _, err = b.api.slack.UpdateMessageContext(ctx, p.Channel, p.TS, options...)
		}
		switch code := slackCode(err); {
		case try == 4:
		case refusedBlocks(err) && len(blocks) > 0:
			if old, differ := oldBlocks(blocks); differ {
				b.once.do("young blocks", func() {
					b.log.Warn("slack refuses a message with a table or a chart, so these come as text", "ticket", p.Ticket, "err", b.api.redact(err))
				})
				blocks, at.plain = old, true
				continue
			}
			b.log.Error("slack refuses the blocks of a message, so it has none", "ticket", p.Ticket, "err", b.api.redact(err))
			blocks, at.bare = nil, true
			continue
		case marked && (strings.HasPrefix(code, "invalid_metadata") || strings.HasPrefix(code, "metadata_")):
			b.once.do("metadata", func() {
				b.log.Warn("slack refuses message metadata, so a message can't be found again after a crash", "err", b.api.redact(err))
			})
			marked = false
			continue
		}
		return at, err
	}
}

// placed is where a message is, and how it went.
type placed struct {
	channel, ts string
	plain       bool // with its tables and charts as text
	bare        bool // without its blocks
}

// plainMark ends the Hash of a message whose tables and charts went as text.
const plainMark = "~"

// errBlind says that the messages of a conversation can't be looked through.
var errBlind = errors.New("the conversation can't be read")

// lookBack bounds how far a message is looked for, in pages of 200, Slack's largest
// recommended size: a thousand messages since shortly before it was posted.
const lookBack = 5

// skew is how far our clock and Slack's may differ.
const skew = 5 * time.Minute

// find looks for the message of p, which was about to be posted at p.Busy, by its
// metadata, in the thread of the message with that ts where there is one. It needs the
// scope for that kind of conversation, and membership: errBlind where it has not.
func (b *Bot) find(ctx context.Context, p Post, thread string) (ts string, err error) {
	want := metadataOf(p)
	return b.look(ctx, p, thread, func(m slack.Message) bool {
		return m.Metadata.EventType == want.EventType && m.Metadata.EventPayload["ticket"] == p.Ticket && m.Metadata.EventPayload["target"] == p.Target
	})
}

// look finds the bot's own message for which is is true, since shortly before p.Busy.
func (b *Bot) look(ctx context.Context, p Post, thread string, is func(slack.Message) bool) (ts string, err error) {
	if p.Channel == "" {
		return "", errBlind
	}
	self, _ := b.Self()
	oldest, cursor := fmt.Sprintf("%d.000000", p.Busy.Add(-skew).Unix()), ""
	for range lookBack {
		var messages []slack.Message
		if thread == "" {
			var page *slack.GetConversationHistoryResponse
			page, err = b.api.slack.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: p.Channel, Oldest: oldest, Limit: 200, Cursor: cursor, IncludeAllMetadata: true})
			if err == nil {
				messages, cursor = page.Messages, page.ResponseMetaData.NextCursor
			}
		} else {
			messages, _, cursor, err = b.api.slack.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{ChannelID: p.Channel, Timestamp: thread, Oldest: oldest, Limit: 200, Cursor: cursor, IncludeAllMetadata: true})
		}
		if err != nil {
			if code := slackCode(err); !limited(err) && code != "" && !passing(err) {
				return "", fmt.Errorf("%w: %w", errBlind, err)
			}
			return "", err
		}
		for _, m := range messages {
			if (m.User == self.User || m.BotID == self.Bot && self.Bot != "") && is(m) {
				return m.Timestamp, nil
			}
		}
		if cursor == "" {
			return "", nil
		}
	}
	return "", errBlind
}

// limited says that Slack asked to be left alone for a while; nothing was done.
func limited(err error) bool {
	_, is := errors.AsType[*slack.RateLimitedError](err)
	code := slackCode(err)
	return is || code == "ratelimited" || code == "rate_limited"
}

// openDirect finds the direct conversation with a person. Where Slack does not open
// one, posting to the person's id does.
func (b *Bot) openDirect(ctx context.Context, user string) (channel string, err error) {
	opened, _, _, err := b.api.slack.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: []string{user}})
	switch {
	case err == nil && opened != nil && opened.ID != "":
		return opened.ID, nil
	case err == nil || absent(err) || slackCode(err) == "missing_scope":
		return user, nil
	}
	return "", err
}

// pace keeps messages in one channel a second apart, which is Slack's limit (Slack, "Rate
// limits"). Other replicas have a pace of their own: the rest is told by 429.
type pace struct {
	mu   sync.Mutex
	next map[string]time.Time
}

const postEvery = time.Second

// reserve is how long to wait before the next message in a channel. Where that is more
// than one message's time, nothing is reserved: whoever wants to post comes again
// later. Each that waits holds a worker and a lease, and one that gives up leaves its
// place empty: with many of them, nobody's turn would ever come.
func (p *pace) reserve(channel string, now time.Time) (wait time.Duration, reserved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for old, at := range p.next {
		if !at.After(now) {
			delete(p.next, old)
		}
	}
	if p.next == nil {
		p.next = map[string]time.Time{}
	}
	if wait = max(0, p.next[channel].Sub(now)); wait > postEvery {
		return wait, false
	}
	p.next[channel] = now.Add(wait + postEvery)
	return wait, true
}

// tidy takes the buttons off a message that says to be about a ticket and is in no
// record: the first of two that were posted around a crash.
func (b *Bot) tidy(ctx context.Context, pressed Pressed) {
	c := b.cfg.Telling
	if pressed.Ticket == "" || pressed.Copy > 0 || pressed.Ephemeral || pressed.TS == "" || !c.complete() {
		return
	}
	all, err := c.Posts.Posts(ctx, pressed.Ticket)
	if err != nil || slices.ContainsFunc(all, func(p Post) bool {
		return p.Channel == pressed.Channel && p.TS == pressed.TS || p.Target == pressed.Target && p.TS == "" // being posted, and perhaps this one
	}) {
		return
	}
	shown, ok := c.oldCopy(ctx, pressed.Ticket, audience(pressed.Target))
	if !ok { // its word is not trusted
		return
	}
	reply := with(quiet(shown), "This is an older copy, which I lost sight of: its buttons are gone, those of the newer one count.")
	_, err = b.put(ctx, Post{Ticket: pressed.Ticket, Target: pressed.Target, Channel: pressed.Channel, TS: pressed.TS}, sheetOf(reply, pressed.Ticket, pressed.Target))
	if err != nil {
		b.log.Warn("an older copy of a ticket's message keeps its buttons", "ticket", pressed.Ticket, "err", b.api.redact(err))
	}
}
