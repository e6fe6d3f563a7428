package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/watch"
)

// Deploys is what TellDeployWatch needs. Without any of Watches, Posts and Render nobody is
// told.
type Deploys struct {
	Watches interface {
		Watch(ctx context.Context, id string) (watch.Watch, error) // watch.ErrNoWatch
	}
	Posts  posts
	Render func(w watch.Watch) commands.Reply // as it stands now
	// Home is the channel that is told where neither the watch's own can be posted in nor a
	// person asked for it; empty: none.
	Home func() string
}

// watchFilesFor is for how long after a watch its files are tried.
const watchFilesFor = 24 * time.Hour

// TellDeployWatch is the handler of watch.WorkTellDeployWatch, whose key is WATCH:REV: it
// brings the one message about a watch of a deploy up to date, in the channel where it was
// asked for, or else in the requester's direct messages. When the watch has ended, who asked
// is told the verdict in its thread, which rings them, and the whole watch is attached there
// as JSON; each once, over crashes and while Slack is away.
//
// Whatever revision the job is of, the message shows the newest: not each revision has a job.
func (b *Bot) TellDeployWatch(ctx context.Context, job Job) error {
	c := b.cfg.Deploys
	if c.Watches == nil || c.Posts == nil || c.Render == nil {
		return errors.New("nothing to tell of watches of deploys with")
	}
	if _, known := b.Self(); !known {
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	id, _, _ := strings.Cut(jobKey(job), ":")
	w, err := c.Watches.Watch(ctx, id)
	if errors.Is(err, watch.ErrNoWatch) { // it is older than what is kept
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the watch %s: %w", id, err)
	}
	all, err := c.Posts.Posts(ctx, id)
	if err != nil {
		return fmt.Errorf("read what was posted about %s: %w", id, err)
	}
	b.homes.stir()
	round := newCourier(b, job, c.Posts, id, all)
	for _, target := range watchTargets(w, c) {
		if round.posts[target].Lost != "" {
			continue
		}
		if err := round.tellWatch(ctx, target, w, c.Render(w)); err != nil {
			return err
		}
		if round.posts[target].Lost == "" { // it is told here, or soon
			break
		}
		b.once.do("watch "+target, func() {
			b.log.Warn("a watch of a deploy can't be told here", "ref", id, "step", target, "err", round.posts[target].Lost)
		})
	}
	if err := round.pending(3 * b.cfg.Timing.Again); err != nil || round.files.none() {
		return err
	}
	round.delay, round.files = round.files, delay{}
	if time.Since(w.Ended) > watchFilesFor {
		b.log.Error("a file of a watch could not be shared, and is given up", "ref", id, "err", b.api.redact(errors.Join(append(round.troubles, errors.New(round.why))...)))
		return nil
	}
	return round.pending(b.cfg.Timing.Outage)
}

// watchTargets are where a watch may be told, the best first: the next counts where one can't
// be posted in.
func watchTargets(w watch.Watch, c Deploys) (targets []string) {
	if w.Channel != "" {
		targets = append(targets, toChannel+w.Channel)
	}
	if w.By != "" {
		return append(targets, toRequester+w.By)
	}
	if c.Home != nil && c.Home() != "" && c.Home() != w.Channel {
		targets = append(targets, toChannel+c.Home())
	}
	return targets
}

// tellWatch brings a watch's message at a target up to date, and what belongs in its thread.
func (c *courier) tellWatch(ctx context.Context, target string, w watch.Watch, reply commands.Reply) error {
	show := func(p Post) sheet {
		if p.Repeat {
			return sheetOf(with(reply, sentenceRepeat), w.ID, p.Target)
		}
		return sheetOf(reply, w.ID, p.Target)
	}
	err := c.bring(ctx, letter{target: target, rev: w.Rev, wanted: true, show: show})
	if err != nil || w.State != watch.Ended || !c.there(target) {
		return err
	}
	at := c.posts[target]
	if at.Rev < w.Rev && strings.TrimSuffix(at.Hash, plainMark) != show(at).hash {
		return nil // the message itself comes first
	}
	in := func(what string) letter {
		return letter{target: target + "/" + what, in: at.Channel, thread: at.TS, rev: w.Rev, once: true, wanted: true}
	}
	if w.By != "" && w.StopBy != w.By {
		l := in("verdict")
		text := commands.Line(commands.MentionUser(w.By), " ", reply.Summary)
		ring := commands.Reply{Public: true, Summary: reply.Summary, Parts: []commands.Part{commands.Para{Text: text}}}
		l.show = func(p Post) sheet { return sheetOf(ring, w.ID, p.Target) }
		if err := c.bring(ctx, l); err != nil {
			return err
		}
	}
	if strings.HasSuffix(at.Hash, plainMark) {
		n := 0
		for _, part := range reply.Parts {
			chart, ok := part.(commands.Chart)
			if !ok || !drawable(chart) {
				continue
			}
			n++
			err := c.attach(ctx, in(fmt.Sprintf("chart-%d", n)), func(context.Context) (file, error) {
				data, err := picture(chart)
				if err != nil { // its numbers are in the message
					c.bot.log.Error("a chart can't be drawn", "ticket", c.ticket, "err", c.bot.api.redact(err))
					return file{}, nil
				}
				return file{name: fmt.Sprintf("zdd-watch-%s-chart-%d.png", w.ID, n), alt: chart.Alt, data: data}, nil
			})
			if err != nil {
				return err
			}
		}
	}
	if w.Began.IsZero() { // nothing was measured
		return nil
	}
	return c.attach(ctx, in("json"), func(context.Context) (file, error) {
		data, err := json.MarshalIndent(w, "", "  ")
		return file{name: "zdd-watch-" + w.ID + ".json", data: append(data, '\n')}, err
	})
}
