package chat

import (
	"context"

	"example.com/zdd/commands"
)

// Announce posts a reply in a channel, for everybody there. It is posted as often as it
// is called.
func (b *Bot) Announce(ctx context.Context, channel string, reply commands.Reply) error {
	for _, m := range Blocks(reply) {
		if err := b.post(ctx, channel, "", m); err != nil {
			return err
		}
	}
	return nil
}
