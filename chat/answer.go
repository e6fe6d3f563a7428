package chat

import (
	"context"
	"slices"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// shared is an answer that one person shows to a channel: with their name, and
// without the button that did it, and without what is only for them.
func shared(reply commands.Reply, user string) commands.Reply {
	out := commands.Reply{Public: true, Summary: reply.Summary}
	for _, part := range reply.Parts {
		row, ok := part.(commands.Buttons)
		if !ok {
			out.Parts = append(out.Parts, part)
			continue
		}
		var kept []commands.Button
		for _, b := range row.Row {
			if b.Share == "" && b.Form == nil {
				kept = append(kept, b)
			}
		}
		if len(kept) > 0 {
			out.Parts = append(out.Parts, commands.Buttons{Row: kept})
		}
	}
	out.Parts = append(out.Parts, commands.Note{Text: commands.Line("Shared by ", commands.MentionUser(user), ".")})
	return out
}

// deliver brings an answer to the person who asked, by the first way that works. An
// answer that can't be delivered is logged, and false; ref is the reference that it names.
func (b *Bot) deliver(ctx context.Context, a ask, reply commands.Reply, ref string) bool {
	if reply.Summary == "" && len(reply.Parts) == 0 {
		return true
	}
	if !a.screen.none() && b.show(ctx, a, reply) {
		return true
	}
	messages := Blocks(reply)
	untold := true
	for i, way := range b.ways(a, reply.Public) {
		if way.elsewhere && untold {
			note := commands.Note{Text: commands.Line("You asked in ", commands.MentionChannel(a.channel), ", where I could not answer you.")}
			messages = Blocks(commands.Reply{Summary: reply.Summary, Parts: append(slices.Clone(reply.Parts), note)})
		}
		sent, err := sendAll(ctx, way, messages)
		if err == nil {
			return true
		}
		if ref == "" {
			ref = newRef()
		}
		b.log.Warn("an answer could not be delivered this way", "ref", ref, "user", a.user, "step", way.name, "attempt", i+1, "err", b.api.redact(err))
		b.suspect(ctx, err)
		messages = messages[sent:]
		untold = untold && sent == 0
	}
	b.log.Error("an answer could not be delivered at all", "ref", ref, "user", a.user)
	if reply.Public {
		b.deliver(ctx, a, sentenceReply("I could not post the answer in this channel. If it is a private one, invite me first; if it is archived, ask in another. Nothing was shown to anybody."), ref)
	}
	return false
}

// way is one way for a message to reach people.
type way struct {
	name      string
	send      func(context.Context, Message) error
	elsewhere bool // not where the question was asked
}

// ways are the ways for an answer, best first. A private answer has private ways only.
func (b *Bot) ways(a ask, public bool) []way {
	respond := way{name: "response_url", send: func(ctx context.Context, m Message) error {
		err := b.respond(ctx, a, public, m)
		a.replace = a.replace && err != nil // the first message only; what follows stands below
		return err
	}}
	whisper := way{name: "chat.postEphemeral", send: func(ctx context.Context, m Message) error { return b.whisper(ctx, a, m) }}
	post := way{name: "chat.postMessage", send: func(ctx context.Context, m Message) error { return b.post(ctx, a.channel, a.thread, m) }}
	direct := way{name: "chat.postMessage", send: func(ctx context.Context, m Message) error { return b.post(ctx, a.user, "", m) }, elsewhere: a.channel != ""}
	var out []way
	if !a.response.IsZero() {
		out = append(out, respond)
	}
	switch {
	case a.via == commands.Direct:
		return append(out, post)
	case public:
		return append(out, post)
	case a.channel != "":
		out = append(out, whisper)
	}
	return append(out, direct)
}

// sendAll sends messages in order and says how many went out.
func sendAll(ctx context.Context, w way, messages []Message) (sent int, err error) {
	for i, m := range messages {
		err := w.send(ctx, m)
		if refusedBlocks(err) {
			if old, differ := oldBlocks(m.Blocks); differ { // a server that knows no tables or charts
				m.Blocks = old
				err = w.send(ctx, m)
			}
		}
		if refusedBlocks(err) {
			err = w.send(ctx, Message{Text: m.Text}) // the point without the form beats no answer
		}
		if err != nil {
			return i, err
		}
	}
	return len(messages), nil
}

func (b *Bot) respond(ctx context.Context, a ask, public bool, m Message) error {
	body := struct {
		ResponseType    string        `json:"response_type"`
		ReplaceOriginal bool          `json:"replace_original"`
		Text            string        `json:"text"`
		Blocks          []slack.Block `json:"blocks,omitempty"`
		ThreadTS        string        `json:"thread_ts,omitempty"`
	}{slack.ResponseTypeEphemeral, a.replace, m.Text, m.Blocks, a.thread}
	if public {
		body.ResponseType = slack.ResponseTypeInChannel
	}
	return b.api.respond(ctx, a.response, body)
}

func (b *Bot) whisper(ctx context.Context, a ask, m Message) error {
	return b.api.retry(ctx, repeatable, func(ctx context.Context) error {
		options := []slack.MsgOption{slack.MsgOptionText(m.Text, false)}
		if len(m.Blocks) > 0 {
			options = append(options, slack.MsgOptionBlocks(m.Blocks...))
		}
		if a.thread != "" {
			options = append(options, slack.MsgOptionTS(a.thread))
		}
		_, err := b.api.slack.PostEphemeralContext(ctx, a.channel, a.user, options...)
		if err != nil && absent(err) {
			b.api.missing("chat.postEphemeral", "answers to mentions come as direct messages", err)
		}
		return err
	})
}

// post sends a message that stays. Slack has no key against doing it twice, so only
// what was surely not posted is tried again.
func (b *Bot) post(ctx context.Context, channel, thread string, m Message) error {
	return b.api.retry(ctx, unique, func(ctx context.Context) error {
		options := []slack.MsgOption{slack.MsgOptionText(m.Text, false), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl()}
		if len(m.Blocks) > 0 {
			options = append(options, slack.MsgOptionBlocks(m.Blocks...))
		}
		if thread != "" {
			options = append(options, slack.MsgOptionTS(thread))
		}
		_, _, err := b.api.slack.PostMessageContext(ctx, channel, options...)
		return err
	})
}
