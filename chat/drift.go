package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
)

// AboutDrift begins what the records of messages about drift are about; see AboutDigest.
const AboutDrift = "drift:" // and the bulletin

// Drifts is what Drift needs. Without any of Bulletins, Posts and Render nobody is told.
type Drifts struct {
	Bulletins bulletins
	Posts     posts
	// Render is a bulletin as a message, and what goes into its thread. repeat says that the
	// message may be the second of its kind, and has to say so.
	Render func(b audit.Bulletin, repeat bool) (parent commands.Reply, thread []commands.Reply)
	// Home is the channel that is told instead of one that can't be posted in; empty: none.
	Home func() string
}

// bulletins is what telling of drift needs of audit.WatchStore.
type bulletins interface {
	Bulletin(ctx context.Context, id string) (audit.Bulletin, error) // audit.ErrNoBulletin
	Standing(ctx context.Context, app fleet.ID) (s audit.Standing, found bool, err error)
}

// Drift is the handler of audit.WorkDrift, whose key is a bulletin: it posts it in its
// channel, a message and then its thread, once, over crashes and while Slack is away, unless
// the night's digest has told of it all meanwhile, or nothing of it is so any more. Where that
// channel can't be posted in for good, the one of the digests is told.
func (b *Bot) Drift(ctx context.Context, job Job) error {
	c := b.cfg.Drifts
	if c.Bulletins == nil || c.Posts == nil || c.Render == nil {
		return errors.New("nothing to tell of drift with")
	}
	if _, known := b.Self(); !known {
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	id := jobKey(job)
	of, err := c.Bulletins.Bulletin(ctx, id)
	if errors.Is(err, audit.ErrNoBulletin) { // it is older than what is kept
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the bulletin %s: %w", id, err)
	}
	all, err := c.Posts.Posts(ctx, AboutDrift+id)
	if err != nil {
		return fmt.Errorf("read what was posted about drift: %w", err)
	}
	round := newCourier(b, job, c.Posts, AboutDrift+id, all)
	parent, thread := c.Render(of, false)
	story := newStory(parent, thread)
	story.once = true
	story.repeated = func() commands.Reply {
		parent, _ := c.Render(of, true)
		return parent
	}
	if !slices.ContainsFunc(all, func(p Post) bool { return p.TS != "" }) {
		over, err := of.Overtaken(time.Now(), func(app fleet.ID) (audit.Standing, bool, error) { return c.Bulletins.Standing(ctx, app) })
		if err != nil {
			return fmt.Errorf("look what is still so of the bulletin %s: %w", id, err)
		}
		if over {
			b.log.Warn("drift could not be told in time, and is left to the digest", "ref", id, "step", of.Channel)
			return nil
		}
	}
	channel := of.Channel
	if round.posts[toChannel+channel].Lost == "" {
		if err := round.tell(ctx, toChannel+channel, channel, story); err != nil {
			return err
		}
	}
	if lost := round.posts[toChannel+channel].Lost; lost != "" {
		b.once.do("drift "+channel, func() {
			b.log.Error("drift can't be told in a channel", "ref", id, "step", channel, "err", lost)
		})
		home := ""
		if c.Home != nil {
			home = c.Home()
		}
		if home != "" && home != channel && round.posts[toChannel+home].Lost == "" {
			if err := round.tell(ctx, toChannel+home, home, story); err != nil {
				return err
			}
		}
	}
	return round.pending(b.cfg.Timing.Outage)
}
