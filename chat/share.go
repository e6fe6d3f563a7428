package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// places asks Slack what channels are, at most once a minute each.
type places struct {
	api   *api
	known *recall[place]
}

// place is what is known of a channel.
type place struct {
	name string
	// outside says that people of another company read it, or were invited to (Slack
	// Connect). Other workspaces of the same Enterprise organisation are no other company.
	outside bool
}

func newPlaces(a *api, t Timing) *places { return &places{a, newRecall[place](t)} }

// find is conversations.info, remembered. It needs channels:read, groups:read in a private
// channel.
func (p *places) find(ctx context.Context, id string) (place, error) {
	found, err := p.known.find(ctx, id, func(ctx context.Context) (place, error) {
		var c *slack.Channel
		err := p.api.retry(ctx, repeatable, func(ctx context.Context) (err error) {
			c, err = p.api.slack.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
			return err
		})
		if err != nil {
			return place{}, err
		}
		if c == nil || c.ID != id {
			return place{}, errors.New("conversations.info answered about another channel")
		}
		return place{c.Name, c.IsExtShared || c.IsPendingExtShared || c.IsShared && !c.IsOrgShared}, nil
	})
	if err != nil {
		return place{}, fmt.Errorf("conversations.info: %w", err)
	}
	return found, nil
}

// knowingShare is the value of a button that shares an answer in a channel where people
// of another company may read it: whoever presses it was told so. It counts for that
// channel only.
type knowingShare struct {
	Share string `json:"share"`
	In    string `json:"in"`
}

// knowingShareOf reads the value of a Share button. That of an ordinary one is a
// command line, which is no JSON.
func knowingShareOf(value string) (k knowingShare, ok bool) {
	return k, json.Unmarshal([]byte(value), &k) == nil && k.Share != ""
}

// beforeSharing is what a person is asked before an answer is shown where another company
// may read it. What can't be found out is asked too. A direct message with the bot has
// no other readers.
func (b *Bot) beforeSharing(ctx context.Context, a ask) (question commands.Reply, asks bool) {
	if a.knowing != "" && a.knowing == a.channel || strings.HasPrefix(a.channel, "D") {
		return commands.Reply{}, false
	}
	where, err := b.places.find(ctx, a.channel)
	if err == nil && !where.outside {
		return commands.Reply{}, false
	}
	if err != nil {
		b.once.do("share "+slackCode(err), func() {
			b.log.Warn("whether a channel is shared with another company is unknown, so people are asked before they share there", "user", a.user, "err", b.api.redact(err))
		})
	}
	value, _ := json.Marshal(knowingShare{a.line, a.channel}) // a struct of strings always encodes
	text := commands.Line(commands.MentionChannel(a.channel), " is shared with another company: its people would read this answer, with the names and figures in it. Nothing has been shared yet.")
	summary := "#" + where.name + " is shared with another company: share anyway?"
	if err != nil {
		text = commands.Line("I could not find out whether ", commands.MentionChannel(a.channel), " is shared with another company, whose people would read this answer: ", commands.Prose(whyUnknown(err)), " Nothing has been shared yet.")
		summary = "This channel may be shared with another company: share anyway?"
	}
	return commands.Reply{Summary: summary, Parts: []commands.Part{
		commands.Para{Text: text},
		commands.Buttons{Row: []commands.Button{{Label: "Share anyway", Share: string(value), Danger: true}}},
	}}, true
}

// whyUnknown says why Slack told nothing of a channel.
func whyUnknown(err error) string {
	switch slackCode(err) {
	case "missing_scope":
		return "my Slack app lacks a scope for that (`channels:read`, in private channels `groups:read`)."
	case "channel_not_found":
		return "it is private and I am not in it."
	}
	return "Slack did not tell me."
}
