package chat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// ErrHeadUnseen says that Slack does not let the bot read its own messages in a channel: a
// scope is missing, or it is no member. Waiting does not help.
var ErrHeadUnseen = errors.New("the messages of the channel can't be read")

// ToldHead finds the newest head of the ledger that a digest told in that channel, and when,
// in Slack itself: where its messages are is known from the database too, but whoever writes
// there could name an older one. found is false where there is none among the last thousand
// messages. It is one request, or up to five.
func (b *Bot) ToldHead(ctx context.Context, channel string) (head string, at time.Time, found bool, err error) {
	self, known := b.Self()
	if !known {
		return "", time.Time{}, false, errors.New("read the heads of the ledger that were told: slack has not said yet who the bot is")
	}
	cursor := ""
	for range lookBack {
		page, err := b.api.slack.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: channel, Limit: 200, Cursor: cursor, IncludeAllMetadata: true})
		if err != nil {
			if code := slackCode(err); !limited(err) && code != "" && !passing(err) {
				err = fmt.Errorf("%w: %w", ErrHeadUnseen, err)
			}
			return "", time.Time{}, false, fmt.Errorf("read the heads of the ledger that were told in %s: %w", channel, err)
		}
		for _, m := range page.Messages { // the newest first
			of, _ := m.Metadata.EventPayload["ticket"].(string)
			if m.User != self.User && (m.BotID != self.Bot || self.Bot == "") || m.Metadata.EventType != eventOther || !strings.HasPrefix(of, AboutDigest) {
				continue
			}
			if head, told := commands.HeadTold(smallPrint(m)); told {
				return head, posted(m.Timestamp), true, nil
			}
		}
		if cursor = page.ResponseMetaData.NextCursor; cursor == "" {
			break
		}
	}
	return "", time.Time{}, false, nil
}

// smallPrint is what stands in a message's notes.
func smallPrint(m slack.Message) string {
	var b strings.Builder
	for _, block := range m.Blocks.BlockSet {
		note, ok := block.(*slack.ContextBlock)
		if !ok {
			continue
		}
		for _, element := range note.ContextElements.Elements {
			if text, ok := element.(*slack.TextBlockObject); ok {
				b.WriteString(text.Text + "\n")
			}
		}
	}
	return b.String()
}

// posted is when a message with that id was posted: the id begins with the second.
func posted(ts string) time.Time {
	second, _, _ := strings.Cut(ts, ".")
	n, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
