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

// Post is the record of one message about a ticket. There is at most one for each
// ticket and target; it is written before and after everything that is done to the
// message.
type Post struct {
	Ticket  string    // T-12
	Target  string    // whom it is for: channel/C…, approver/U…, requester/U… or notice/U…
	Channel string    // where it is, a conversation's id; empty: not known yet
	TS      string    // its id there; empty: it is not posted, as far as is known
	Rev     int64     // of the ticket that it shows
	Hash    string    // of what it shows
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
	// channel, the approvers who were asked directly, and two for the requester. They are kept
	// as long as tickets are, which is for ever: a press on an old message is answered
	// by what its ticket has become.
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
	if strings.HasPrefix(target, toRequester) || strings.HasPrefix(target, toNotice) {
		return ToRequester
	}
	return ToApprovers
}

// blockID names the buttons of a ticket's message, so that a press says what it was
// about; ticketOf reads it.
func blockID(ticket, target string, n int) string {
	return "ticket:" + ticket + ":" + target + ":" + strconv.Itoa(n)
}

func ticketOf(blockID string) (ticket, target string) {
	parts := strings.Split(blockID, ":")
	if len(parts) != 4 || parts[0] != "ticket" {
		return "", ""
	}
	return parts[1], parts[2]
}

// sheet is what a message about a ticket is to show.
type sheet struct {
	Message
	live bool
	hash string
}

// sheetOf renders a reply as the one message of a target.
func sheetOf(reply commands.Reply, ticket, target string) sheet {
	m := oneMessage(reply, ticket)
	n, live := 0, false
	for _, block := range m.Blocks {
		actions, ok := block.(*slack.ActionBlock)
		if !ok {
			continue
		}
		actions.BlockID = blockID(ticket, target, n)
		n++
		for _, e := range actions.Elements.ElementSet {
			button, ok := e.(*slack.ButtonBlockElement)
			live = live || ok && button.URL == ""
		}
	}
	raw, err := json.Marshal(m)
	if err != nil { // a struct of strings always encodes
		raw = []byte(m.Text)
	}
	sum := sha256.Sum256(raw)
	return sheet{m, live, hex.EncodeToString(sum[:12])}
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

// eventTicket marks our messages about tickets (Slack, "Message metadata").
const eventTicket = "zdd_ticket"

func metadataOf(p Post) slack.MsgOption {
	return slack.MsgOptionMetadata(slack.SlackMetadata{EventType: eventTicket, EventPayload: map[string]any{"ticket": p.Ticket, "target": p.Target}})
}

// put posts the message of p, or changes it where it has a TS, and returns where it is.
// Blocks that Slack refuses are left out, and so are the metadata: the point without
// the form beats silence. That takes one request, or up to three.
func (b *Bot) put(ctx context.Context, p Post, s sheet) (at placed, err error) {
	blocks, marked := s.Blocks, true
	for try := 1; ; try++ {
		// Always with blocks, if only none: those that are not sent stay.
		options := []slack.MsgOption{slack.MsgOptionText(s.Text, false), slack.MsgOptionBlocks(blocks...)}
		if marked {
			options = append(options, metadataOf(p))
		}
		if p.TS == "" {
			options = append(options, slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
			at.channel, at.ts, err = b.api.slack.PostMessageContext(ctx, p.Channel, options...)
		} else {
			at.channel, at.ts, _, err = b.api.slack.UpdateMessageContext(ctx, p.Channel, p.TS, options...)
		}
		switch code := slackCode(err); {
		case try == 3:
		case (code == "invalid_blocks" || code == "invalid_blocks_format" || code == "msg_blocks_too_long") && len(blocks) > 0:
			b.log.Error("slack refuses the blocks of a ticket's message, so it has none", "ticket", p.Ticket, "err", b.api.redact(err))
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

// placed is where a message is, and whether it went without its blocks.
type placed struct {
	channel, ts string
	bare        bool
}

// errBlind says that the messages of a conversation can't be looked through.
var errBlind = errors.New("the conversation can't be read")

// lookBack bounds how far a message is looked for, in pages of 200, Slack's largest
// recommended size: a thousand messages since shortly before it was posted.
const lookBack = 5

// skew is how far our clock and Slack's may differ.
const skew = 5 * time.Minute

// find looks for the message of p, which was about to be posted at p.Busy, by its
// metadata. It needs the scope for that kind of conversation, and membership: errBlind
// where it has not.
func (b *Bot) find(ctx context.Context, p Post) (ts string, err error) {
	if p.Channel == "" {
		return "", errBlind
	}
	self, _ := b.Self()
	params := &slack.GetConversationHistoryParameters{
		ChannelID: p.Channel, Oldest: fmt.Sprintf("%d.000000", p.Busy.Add(-skew).Unix()), Limit: 200, IncludeAllMetadata: true,
	}
	for range lookBack {
		page, err := b.api.slack.GetConversationHistoryContext(ctx, params)
		if err != nil {
			if code := slackCode(err); !limited(err) && code != "" && !passing(err) {
				return "", fmt.Errorf("%w: %w", errBlind, err)
			}
			return "", err
		}
		for _, m := range page.Messages {
			if (m.User == self.User || m.BotID == self.Bot && self.Bot != "") && m.Metadata.EventType == eventTicket && m.Metadata.EventPayload["ticket"] == p.Ticket && m.Metadata.EventPayload["target"] == p.Target {
				return m.Timestamp, nil
			}
		}
		if params.Cursor = page.ResponseMetaData.NextCursor; params.Cursor == "" {
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
	if pressed.Ticket == "" || pressed.Ephemeral || pressed.TS == "" || !c.complete() {
		return
	}
	all, err := c.Posts.Posts(ctx, pressed.Ticket)
	if err != nil || slices.ContainsFunc(all, func(p Post) bool {
		return p.Channel == pressed.Channel && p.TS == pressed.TS || p.Target == pressed.Target && p.TS == "" // being posted, and perhaps this one
	}) {
		return
	}
	t, err := c.Tickets.Ticket(ctx, pressed.Ticket)
	if err != nil { // also approval.ErrNoTicket: its word is not trusted
		return
	}
	reply := with(quiet(c.Reply(t, audience(pressed.Target))), "This is an older copy, which I lost sight of: its buttons are gone, those of the newer one count.")
	_, err = b.put(ctx, Post{Ticket: t.ID, Target: pressed.Target, Channel: pressed.Channel, TS: pressed.TS}, sheetOf(reply, t.ID, pressed.Target))
	if err != nil {
		b.log.Warn("an older copy of a ticket's message keeps its buttons", "ticket", t.ID, "err", b.api.redact(err))
	}
}
