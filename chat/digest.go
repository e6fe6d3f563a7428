package chat

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
)

// Digests is what Digest and Stale need. Without Nights, Posts, Render and Channels no
// digest is posted; the rest may be nil.
type Digests struct {
	Nights nights
	Posts  posts
	// Render is a digest as one channel is told of it: a message, and what goes into its
	// thread.
	Render func(d audit.Digest, r Rendering) (parent commands.Reply, thread []commands.Reply)
	// Channels are those that are told of a digest, by id; none: nobody is.
	Channels func(d audit.Digest) []string
	// CSV is the table of the apps that a channel is told of; empty: there is none.
	CSV func(ctx context.Context, n audit.Night, channel string) ([]byte, error)
	// Posted records as part of tx, with the night, that its digest was posted.
	Posted func(ctx context.Context, tx *sql.Tx, n audit.Night) error
	// Home is where the alarm about a scan that is too old goes; empty: it is logged only.
	Home func() string
	// Notice is a channel that is told when another one can't be posted in; empty: that
	// is logged only.
	Notice func() string
}

// Rendering says which message of a digest to make.
type Rendering struct {
	Channel string                    // that is told
	Repeat  bool                      // the message may be the second of its kind, and has to say so
	Name    func(owner string) string // what people call a user or a user group, by id; empty: that is not known
}

// nights is what publishing needs of audit.Store.
type nights interface {
	Night(ctx context.Context, id string) (audit.Night, error)                          // audit.ErrNoNight
	Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error)      // the newest first
	SaveNight(ctx context.Context, tx *sql.Tx, n audit.Night, work ...audit.Work) error // audit.ErrNightChanged
}

func (d Digests) complete() bool {
	return d.Nights != nil && d.Posts != nil && d.Render != nil && d.Channels != nil
}

// What the records of messages are about, where it is no ticket: Post.Ticket begins with it.
const (
	AboutDigest = "digest:" // and the night
	aboutLost   = "digest:lost"
	AboutStale  = "stale:"  // and the night
	AboutReport = "report:" // and the user; for each report also its number
)

// Digest is the handler of audit.WorkDigest, whose key is a night: it posts the night's
// digest in every channel that is told of it, a message and then its thread in order,
// each once, over crashes and however long Slack is away. What does not fit into one
// message of Slack's goes on in the thread.
//
// A channel that can't be posted in for good (archived, deleted, the bot removed) is
// said once in the Notice channel, and keeps nothing from the others. When all are told
// the night is, in one transaction with what Posted records. The table and the charts, which
// go through a host of Slack's own, are tried again after that by themselves, for a day.
func (b *Bot) Digest(ctx context.Context, job Job) error {
	c := b.cfg.Digests
	if !c.complete() {
		return errors.New("nothing to post digests with")
	}
	if _, known := b.Self(); !known {
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	id := jobKey(job)
	n, err := c.Nights.Night(ctx, id)
	if errors.Is(err, audit.ErrNoNight) {
		b.log.Error("a digest is to be posted of a scan that does not exist", "ref", id)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the scan %s: %w", id, err)
	}
	told := n.State == audit.Told
	if told && n.Posted.IsZero() {
		return nil
	}
	if n.Digest == nil {
		return fmt.Errorf("the scan %s has no digest yet", id)
	}
	round, err := b.newRound(ctx, job, AboutDigest+id)
	if err != nil {
		return err
	}
	lost, err := b.newRound(ctx, job, aboutLost)
	if err != nil {
		return err
	}
	posted := false
	for _, channel := range distinctChannels(c.Channels(*n.Digest)) {
		if told && !round.there(toChannel+channel) { // the policy may name others by now
			continue
		}
		if err := round.publish(ctx, n, channel); err != nil {
			return err
		}
		if told {
			continue
		}
		posted = posted || round.there(toChannel+channel)
		if err := lost.report(ctx, n, channel, round.fate(toChannel+channel)); err != nil {
			return err
		}
	}
	// What waits for the one need not wait for the other; both do before the night is told.
	round.join(lost.delay)
	if err := round.pending(b.cfg.Timing.Outage); err != nil {
		return err
	}
	if told {
		return round.filesPending(n)
	}
	n.State, n.Digest = audit.Told, nil
	if posted {
		n.Posted = time.Now()
	}
	err = job.Step(ctx, nil, func(ctx context.Context, tx *sql.Tx) error {
		if err := c.Nights.SaveNight(ctx, tx, n); err != nil {
			return fmt.Errorf("record that the digest of %s was posted: %w", id, err)
		}
		if c.Posted == nil || !posted {
			return nil
		}
		return c.Posted(ctx, tx, n)
	})
	if errors.Is(err, audit.ErrNightChanged) {
		return job.Later(time.Now().Add(time.Second), "somebody else wrote the scan")
	}
	if err != nil {
		return err
	}
	return round.filesPending(n)
}

// filesFor is for how long after a digest its files are tried: the next day's has newer ones.
const filesFor = 24 * time.Hour

// filesPending has the job run again where a digest that was told lacks a file.
func (c *courier) filesPending(n audit.Night) error {
	if c.files.none() {
		return nil
	}
	c.delay, c.files = c.files, delay{}
	if time.Since(n.Posted) > filesFor {
		c.bot.log.Error("a file of a digest could not be shared, and is given up", "ref", n.ID, "err", c.bot.api.redact(errors.Join(append(c.troubles, errors.New(c.why))...)))
		return nil
	}
	return c.pending(c.bot.cfg.Timing.Outage)
}

// distinctChannels are channels in their order, each once.
func distinctChannels(channels []string) []string {
	var out []string
	for _, c := range channels {
		if c != "" && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// newRound is a courier for what the records are about.
func (b *Bot) newRound(ctx context.Context, job Job, about string) (*courier, error) {
	all, err := b.cfg.Digests.Posts.Posts(ctx, about)
	if err != nil {
		return nil, fmt.Errorf("read what was posted about %s: %w", about, err)
	}
	return newCourier(b, job, b.cfg.Digests.Posts, about, all), nil
}

// publish brings a digest to one channel, as far as that goes now.
func (c *courier) publish(ctx context.Context, n audit.Night, channel string) error {
	cfg := c.bot.cfg.Digests
	target := toChannel + channel
	if c.posts[target].Lost != "" { // it was decided, and stays so for this night
		return nil
	}
	as := Rendering{Channel: channel, Name: c.bot.names(ctx)}
	parent, thread := cfg.Render(*n.Digest, as)
	story := newStory(parent, thread)
	story.repeated = func() commands.Reply {
		as.Repeat = true
		parent, _ := cfg.Render(*n.Digest, as)
		return parent
	}
	story.name = "zdd-" + strings.ReplaceAll(n.ID, "#", "-")
	if cfg.CSV != nil {
		story.csv = func(ctx context.Context) ([]byte, error) { return cfg.CSV(ctx, n, channel) }
	}
	story.once = true
	return c.tell(ctx, target, channel, story)
}

// story is a message with its thread.
type story struct {
	pages    []Message // the first is the message
	charts   []commands.Chart
	repeated func() commands.Reply                     // the message where it may be a repeat; nil: a note says so
	csv      func(ctx context.Context) ([]byte, error) // nil: none
	name     string                                    // of files, without what says their kind
	once     bool                                      // posted, a message is never changed
}

// newStory renders replies. What does not fit into the message goes on in its thread.
func newStory(parent commands.Reply, thread []commands.Reply) story {
	s := story{pages: pages(parent, maxPosted)}
	for _, reply := range thread {
		s.pages = append(s.pages, pages(reply, maxPosted)...)
	}
	for _, part := range parent.Parts {
		if chart, ok := part.(commands.Chart); ok {
			s.charts = append(s.charts, chart)
		}
	}
	return s
}

// sentenceRepeat is below a message that may be the second of its kind.
const sentenceRepeat = "This may be a repeat: I was interrupted while I posted it, and could not look whether it was there. If there is another one, this one counts."

// page is the message of that number, by its record.
func (s story) page(i int, p Post) sheet {
	m := s.pages[i]
	m.Blocks = slices.Clone(m.Blocks)
	if p.Repeat {
		again := []Message(nil)
		if i == 0 && s.repeated != nil {
			again = pages(s.repeated(), maxPosted)
		}
		if len(again) == 1 {
			m = again[0]
		} else { // paginate left room for one block more
			m.Blocks = append(m.Blocks, note(sentenceRepeat))
		}
	}
	return newSheet(m, func(n int) string { return copyID(p, n) })
}

// tell brings a story to a conversation, in order: what can't be posted yet keeps what
// comes after it.
func (c *courier) tell(ctx context.Context, target, channel string, s story) error {
	if err := c.bring(ctx, letter{target: target, in: channel, once: s.once, wanted: true, show: func(p Post) sheet { return s.page(0, p) }}); err != nil || !c.there(target) {
		return err
	}
	first := c.posts[target]
	for i := 1; i < len(s.pages); i++ {
		reply := fmt.Sprintf("%s/thread/%02d", target, i)
		if err := c.bring(ctx, letter{target: reply, in: first.Channel, thread: first.TS, once: s.once, wanted: true, show: func(p Post) sheet { return s.page(i, p) }}); err != nil {
			return err
		}
		if !c.there(reply) && c.posts[reply].Lost == "" {
			return nil
		}
	}
	if strings.HasSuffix(first.Hash, plainMark) {
		for i, chart := range s.charts {
			if !drawable(chart) {
				continue
			}
			err := c.attach(ctx, letter{target: fmt.Sprintf("%s/chart-%d", target, i+1), in: first.Channel, thread: first.TS}, func(context.Context) (file, error) {
				data, err := picture(chart)
				if err != nil { // its numbers are in the message
					c.bot.log.Error("a chart can't be drawn", "ticket", c.ticket, "err", c.bot.api.redact(err))
					return file{}, nil
				}
				return file{name: fmt.Sprintf("%s-chart-%d.png", s.name, i+1), alt: chart.Alt, data: data}, nil
			})
			if err != nil {
				return err
			}
		}
	}
	if s.csv == nil {
		return nil
	}
	return c.attach(ctx, letter{target: target + "/csv", in: first.Channel, thread: first.TS}, func(ctx context.Context) (file, error) {
		data, err := s.csv(ctx)
		return file{name: s.name + ".csv", data: data}, err
	})
}

// fate is the record of a story's first message that is lost, or else of the first.
func (c *courier) fate(target string) Post {
	for _, at := range slices.Sorted(maps.Keys(c.posts)) {
		if p := c.posts[at]; p.Lost != "" && (at == target || strings.HasPrefix(at, target+"/thread/")) {
			return p
		}
	}
	return c.posts[target]
}

// report says once that a channel can't be posted in, until it can again. c is the
// courier of what was said of lost channels.
func (c *courier) report(ctx context.Context, n audit.Night, channel string, was Post) error {
	b := c.bot
	target := toNotice + channel
	p := c.record(target)
	if was.Lost == "" {
		if was.TS != "" && p.Version > 0 && (p.TS != "" || p.Lost != "") {
			p.TS, p.Hash, p.Channel, p.Lost, p.Busy, p.Repeat = "", "", "", "", time.Time{}, false
			return c.noted(ctx, target, c.save(ctx, nil, &p))
		}
		return nil
	}
	home := ""
	if b.cfg.Digests.Notice != nil {
		home = b.cfg.Digests.Notice()
	}
	if home == "" || home == channel || p.Lost != "" {
		b.once.do("unposted "+n.ID+" "+channel, func() {
			b.log.Error("a digest can't be posted in a channel", "ref", n.ID, "step", channel, "err", was.Lost)
		})
		return nil
	}
	reply := lostReply(*n.Digest, channel, was.Lost)
	return c.bring(ctx, letter{target: target, in: home, once: true, wanted: true, show: func(p Post) sheet {
		s := newStory(reply, nil)
		return s.page(0, p)
	}})
}

// lostReply says that a channel missed a digest, and what to do about it.
func lostReply(d audit.Digest, channel, code string) commands.Reply {
	night, _, _ := strings.Cut(d.Night, "#")
	if at, err := time.Parse(time.DateOnly, night); err == nil {
		night = at.Format("2 January 2006")
	}
	text := commands.Line("I could not post the digest of "+night+" in ", commands.MentionChannel(channel), " (", commands.Code(channel), "): "+whyLost(code)+". Nobody there was told of it. ",
		commands.Prose(cureLost(code)+", or name another channel in the policy (`digest.channel`, or an app's `channel`). I try again each night, and say this only once until it works again."))
	return commands.Reply{Summary: "The digest of " + night + " could not be posted in " + channel + ": " + whyLost(code), Parts: []commands.Part{commands.Para{Text: text}}}
}

// cureLost is what makes a lost channel one to post in again. Nobody can be invited to a
// channel that is archived.
func cureLost(code string) string {
	switch code {
	case "is_archived", "is_inactive":
		return "Unarchive it and invite me there with `/invite`"
	}
	return "Invite me there with `/invite`"
}

// Stale is the handler of audit.WorkStale, whose key is a night: it sounds the alarm in the
// Home channel where no scan has finished since that one. Once: the next alarm is that of
// the next night that finishes.
func (b *Bot) Stale(ctx context.Context, job Job) error {
	c := b.cfg.Digests
	if !c.complete() {
		return errors.New("nothing to sound the alarm with")
	}
	if _, known := b.Self(); !known {
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	id := jobKey(job)
	n, err := c.Nights.Night(ctx, id)
	if errors.Is(err, audit.ErrNoNight) { // it is older than what is kept
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the scan %s: %w", id, err)
	}
	since, err := c.Nights.Nights(ctx, n.Slot, 0)
	if err != nil {
		return fmt.Errorf("read the scans since %s: %w", id, err)
	}
	var last time.Time // when one began that has not finished
	for _, other := range since {
		if other.Finished.After(n.Finished) {
			return nil
		}
		if other.Finished.IsZero() && other.Started.After(last) {
			last = other.Started
		}
	}
	home := ""
	if c.Home != nil {
		home = c.Home()
	}
	if home == "" {
		b.log.Error("no scan has finished for too long", "ref", id)
		return nil
	}
	round, err := b.newRound(ctx, job, AboutStale+id)
	if err != nil {
		return err
	}
	s := newStory(staleReply(n, last, time.Now()), nil)
	if err := round.bring(ctx, letter{target: toChannel + home, once: true, wanted: true, show: func(p Post) sheet { return s.page(0, p) }}); err != nil {
		return err
	}
	if p := round.posts[toChannel+home]; p.Lost != "" {
		b.log.Error("no scan has finished for too long, and that can't be posted", "ref", id, "step", home, "err", p.Lost)
	}
	return round.pending(b.cfg.Timing.Outage)
}

// staleReply says since when no scan has finished, and what that means.
func staleReply(n audit.Night, running, now time.Time) commands.Reply {
	ago := now.Sub(n.Finished).Round(time.Hour)
	text := commands.Line(commands.Bold("No scan has finished"), " since ", commands.At(n.Finished), fmt.Sprintf(", %d hours ago. ", int(ago.Hours())))
	if n.Finished.IsZero() {
		text = commands.Line(commands.Bold("No scan has finished"), " since the one of "+n.ID+" was due, ", commands.At(n.Slot), ". ")
	}
	if !running.IsZero() {
		text = append(text, commands.Line("One has been running since ", commands.At(running), ". ")...)
	}
	text = append(text, commands.Prose("What I last said of the apps may no longer be true, and nobody is told what has changed since. Nothing was changed. Whoever runs me: the log says why, and `bot doctor` what is missing; `/zdd report` reads the fleet now.")...)
	at := cmp.Or(n.Finished, n.Slot)
	return commands.Reply{Summary: "No scan has finished since " + at.UTC().Format(utcFormat), Parts: []commands.Part{
		commands.List{Items: []commands.Item{{Mark: commands.MarkHazard, Text: text}}},
	}}
}
