package chat

import (
	"context"
	"errors"

	"example.com/zdd/commands"
)

// Kind says whether a person is an active full member of the bot's workspace, by Slack's
// word of at most Timing.People ago. Where not, why completes the sentence "This account
// is …". An error means that it could not be found out, and nobody is to be let in.
func (b *Bot) Kind(ctx context.Context, user, team string) (ok bool, why string, err error) {
	if _, known := b.Self(); !known { // and so everybody would seem to be of another workspace
		return false, "", errors.New("slack has not said yet who the bot is")
	}
	who, err := b.who(ctx, ask{user: user, team: team})
	if err != nil {
		return false, "", err
	}
	switch who.Kind {
	case commands.Member:
		return true, "", nil
	case commands.Guest:
		return false, "a guest's", nil
	case commands.Foreign:
		return false, "of another workspace", nil
	case commands.Deactivated:
		return false, "deactivated", nil
	}
	return false, "no person's", nil
}
