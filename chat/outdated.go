package chat

import (
	"context"
	"slices"
	"strings"

	"example.com/zdd/commands"
)

// outdated answers a press on an older copy of a message: I was interrupted while it was
// posted, and posted it again, so only the newest one's buttons count. What can't be found
// out is taken for the newest: its buttons open what is asked about once more.
func (b *Bot) outdated(ctx context.Context, pressed Pressed) (reply commands.Reply, old bool) {
	store := b.cfg.Digests.Posts
	if pressed.Copy == 0 || store == nil {
		return commands.Reply{}, false
	}
	all, err := store.Posts(ctx, pressed.Ticket)
	if err != nil {
		return commands.Reply{}, false
	}
	i := slices.IndexFunc(all, func(p Post) bool { return p.Target == pressed.Target })
	if i < 0 || all[i].Rev <= pressed.Copy {
		return commands.Reply{}, false
	}
	newer := any("the newer one")
	self, _ := b.Self()
	if address := self.Permalink(all[i]); address != "" {
		newer = commands.Link(address, "the newer one")
	}
	text := commands.Line("This is an older copy: I was interrupted while I posted it, and posted it again. Its buttons do nothing any more, and nothing was changed. Please use those of ", newer, ".")
	return commands.Reply{Summary: text.String(), Parts: []commands.Part{commands.Para{Text: text}}}, true
}

// Permalink is where a message is, as an address to open; empty where that is not known.
func (s Self) Permalink(p Post) string {
	if p.TS == "" || s.URL == "" || !channelID.MatchString(p.Channel) {
		return ""
	}
	return strings.TrimSuffix(s.URL, "/") + "/archives/" + p.Channel + "/p" + strings.ReplaceAll(p.TS, ".", "")
}
