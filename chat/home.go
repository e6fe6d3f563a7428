package chat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// The Home tab. Slack tells when somebody opens it, and not when they leave; until they
// open it again it shows what was last published for them. So whoever opened it is taken to
// look at it for homeLook, and for that long it is kept up to date:
//
//   - When it was opened it is published at once, unless what Slack shows was made within
//     homeFresh and still holds.
//   - While somebody looks, all that is on their page is read again every homeCheck, by each
//     replica by itself, whoever made a change. What differs is published, what concerns them
//     (homeOwnGap after the last time at the soonest) before what everybody sees (homeGap).
//   - After an act of their own it is published at once.
//
// So nobody who looks sees what has not been so for a minute: homeGap, homeCheck, what the
// reading may be old, and a publication together are less. That holds while Slack takes what
// is to be published: views.publish is of tier 4, a hundred and more a minute for all people
// together. Where more is due it waits its turn, acts and openings first, and each page is
// made when its turn comes, not before: what arrives is never old. A page says when it was
// made.
const (
	homeLook   = 10 * time.Minute
	homeFresh  = time.Minute
	homeCheck  = 10 * time.Second
	homeStir   = 2 * time.Second // between two readings where something is known to have changed
	homeActGap = 2 * time.Second // a nervous finger on Refresh takes nobody else's turn
	homeOwnGap = 25 * time.Second
	homeGap    = 40 * time.Second
	// homeOld is how old what was read may be when others open theirs, or look, as well.
	homeOld = 2 * time.Second
	// homeMost bounds those who look at a time; the one who came first is forgotten first.
	homeMost = 4096
	// homeWorkers is how many pages are made at a time. Most of that is waiting for Slack.
	homeWorkers = 8
	// homeTries is how often a page is tried again before its person has to open it anew.
	homeTries = 5
)

// The pace of views.publish (Slack, "Rate limits", tier 4): so many within homeWindow, which
// is a minute and what two requests may differ in their way to Slack. The last ones are kept
// for those who wait most eagerly.
const (
	homeWindow   = 62 * time.Second
	homeActs     = 100
	homeOpenings = 94
	homeChanges  = 84
)

// homeMaker makes a person's page. An error beside a page says what it had to leave out.
type homeMaker interface {
	Home(ctx context.Context, req commands.HomeRequest) (commands.Home, error)
}

// opening is somebody who opens their Home tab, or asks for it anew.
type opening struct {
	user, team string
	shown      shown // what is before them
	again      bool  // they pressed the button for it
}

// shown is what a published page is known by. It is kept in its private_metadata, so that
// every replica knows what a person sees when they open it.
type shown struct {
	Own string    `json:"own,omitzero"` // digest of what concerns the person alone
	All string    `json:"all,omitzero"` // of all of it
	At  time.Time `json:"at,omitzero"`  // when it was made
}

// shownBy reads the private_metadata of a page; zero where it is none of this version's.
func shownBy(metadata string) shown {
	var s shown
	_ = json.Unmarshal([]byte(metadata), &s) // then nothing is known of it
	return s
}

// visit takes the event that somebody opened their Home tab.
func (b *Bot) visit(l *link, env envelope, r routed, at time.Time) {
	if b.stopping.Load() {
		b.count(env, outcomeStopping)
		if env.Type == typeEvents {
			return // Slack delivers it again, to whoever runs then
		}
		b.ackNow(l, env, nil, at)
		return
	}
	d, isFirst := b.seen.first(r.ids, at)
	if isFirst {
		b.seen.settle(r.ids, d)
	}
	b.ackNow(l, env, nil, at)
	switch {
	case b.cfg.Home == nil:
		b.count(env, outcomeIgnored)
	case !isFirst:
		b.metrics.redeliveries.Inc()
		b.count(env, outcomeRepeated)
	default:
		b.count(env, outcomeWorked)
		b.homes.open(*r.home, at)
	}
}

// keepHomes keeps the pages of those who look up to date, until ctx ends.
func (b *Bot) keepHomes(ctx context.Context) {
	if b.cfg.Home == nil {
		return
	}
	var working sync.WaitGroup
	defer working.Wait()
	workers := make(chan struct{}, homeWorkers)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case workers <- struct{}{}:
		case <-ctx.Done():
			return
		}
		e, ok, wait := b.homes.take(time.Now())
		looking, waiting := b.homes.looking()
		b.metrics.looking.Set(float64(looking))
		b.metrics.pages.Set(float64(waiting))
		if ok {
			working.Go(func() {
				defer func() { <-workers }()
				b.serveHome(ctx, e)
			})
			continue
		}
		<-workers
		if looking == 0 {
			wait = time.Hour // until somebody comes
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-b.homes.wake:
		case <-ctx.Done():
			return
		}
	}
}

// serveHome does one chore. A panic ends it, never the bot.
func (b *Bot) serveHome(ctx context.Context, e chore) {
	began := time.Now()
	f := fate{want: e.want, later: began.Add(b.cfg.Timing.Outage)} // of a panic
	defer func() { b.homes.done(e, f, began) }()
	defer b.survive()
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.Work)
	defer cancel()
	if e.publish {
		f = b.publishHome(ctx, e, began)
	} else {
		f = b.checkHome(ctx, e, began)
	}
}

// checkHome looks whether what is shown still holds.
func (b *Bot) checkHome(ctx context.Context, e chore, now time.Time) fate {
	page := b.makeHome(ctx, commands.HomeRequest{By: e.who, Now: now, After: now.Add(-homeOld)})
	switch made := printOf(page, now); {
	case made.Own != e.shown.Own:
		return fate{want: changedOwn}
	case made.All != e.shown.All:
		return fate{want: changed}
	}
	return fate{}
}

// publishHome makes a page and publishes it, unless what is shown still holds. Slack is
// asked again who the person is.
func (b *Bot) publishHome(ctx context.Context, e chore, now time.Time) (f fate) {
	sent := false
	defer func() {
		if !sent {
			b.homes.permit(false)
		}
	}()
	again := fate{want: e.want, later: now.Add(b.cfg.Timing.Again)}
	who, err := b.who(ctx, ask{user: e.user, team: e.team, teams: nonEmpty(e.team)})
	var page commands.Home
	switch {
	case ctx.Err() != nil:
		return again
	case err != nil && passing(err) && e.tries+1 < homeTries:
		return again
	case err != nil:
		b.log.Warn("slack does not say who somebody is", "ref", newRef(), "user", e.user, "err", b.api.redact(err))
		b.suspect(ctx, err)
		page = commands.Home{Sections: []commands.HomeSection{{Own: true, Parts: stranger(err).Parts}}}
	default:
		page = b.makeHome(ctx, commands.HomeRequest{By: who, Now: now, After: latest(e.after, now.Add(-homeOld))})
	}
	if ctx.Err() != nil { // what was read then is not all
		return again
	}
	made := printOf(page, now)
	// Who opens a page, or asks for it, wants to see that it is new.
	renew := e.anew || e.want == opened && now.Sub(e.shown.At) >= homeFresh
	if made.All == e.shown.All && !renew {
		return fate{who: who}
	}
	b.homes.permit(true)
	sent = true
	err = b.publish(ctx, e.user, page, made)
	if refusedView(err) {
		b.log.Error("slack refused a home tab", "ref", newRef(), "user", e.user, "err", b.api.redact(err))
		b.homes.sentMore()
		page = commands.Home{Sections: []commands.HomeSection{{Own: true, Parts: sentenceReply("I could not draw this page: Slack refused it. Whoever runs me finds the reason in my log. `/zdd help` in any conversation lists what I can do.").Parts}}}
		err = b.publish(ctx, e.user, page, made)
	}
	limited, isLimited := errors.AsType[*slack.RateLimitedError](err)
	switch {
	case err == nil:
		b.metrics.published.Inc()
		return fate{made: &made, who: who}
	case isLimited:
		b.log.Warn("slack wants fewer home tabs", "user", e.user, "err", b.api.redact(err))
		until := time.Now().Add(max(retryAfter(limited), time.Second))
		return fate{want: e.want, later: until, held: until, who: who}
	}
	b.log.Warn("a home tab could not be published", "ref", newRef(), "user", e.user, "attempt", e.tries+1, "step", "views.publish", "err", b.api.redact(err))
	b.suspect(ctx, err)
	if absent(err) || slackCode(err) == "not_enabled" || !passing(err) {
		return fate{who: who}
	}
	return again
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// makeHome makes a page. What goes wrong is on it, in a sentence.
func (b *Bot) makeHome(ctx context.Context, req commands.HomeRequest) commands.Home {
	page, err := b.cfg.Home.Home(ctx, req)
	if ctx.Err() != nil {
		return page
	}
	if err == nil {
		return page
	}
	// It is read again and again, for one person with what lacks and for another without.
	if now := time.Now(); now.Sub(time.Unix(0, b.homeLacked.Load())) >= homeLook {
		b.homeLacked.Store(now.UnixNano())
		b.log.Warn("the home tab lacks something", "ref", newRef(), "user", req.By.ID, "err", b.api.redact(err))
	}
	return page
}

// printOf is what a page is known by: not when it was made.
func printOf(page commands.Home, at time.Time) shown {
	own, all := sha256.New(), sha256.New()
	for _, s := range page.Sections {
		for _, part := range s.Parts {
			raw, err := json.Marshal(part)
			if err != nil { // parts are structs of texts and numbers; one that is none differs from all
				raw = []byte(newKey())
			}
			all.Write(append(raw, '\n'))
			if s.Own {
				own.Write(append(raw, '\n'))
			}
		}
	}
	brief := func(sum []byte) string { return hex.EncodeToString(sum[:8]) }
	return shown{Own: brief(own.Sum(nil)), All: brief(all.Sum(nil)), At: at.UTC().Truncate(time.Millisecond)}
}

// publish publishes a page once.
func (b *Bot) publish(ctx context.Context, user string, page commands.Home, made shown) error {
	_, err := b.api.slack.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: user, View: homeView(page, made)})
	return err
}

// homeView is a page as Slack takes it.
func homeView(page commands.Home, made shown) slack.HomeTabViewRequest {
	raw, err := json.Marshal(made)
	if err != nil { // a struct of texts and a time always encodes
		raw = nil
	}
	return slack.HomeTabViewRequest{Type: slack.VTHomeTab, CallbackID: "zdd_home", PrivateMetadata: string(raw), Blocks: slack.Blocks{BlockSet: HomeBlocks(page, made.At)}}
}

// HomeBlocks renders a page as Block Kit, with when it was made below it unless it is closed.
// It is within Slack's limits whatever the page holds; what is too much is left out, and a line says so.
func HomeBlocks(page commands.Home, at time.Time) []slack.Block {
	var parts []commands.Part
	for _, s := range page.Sections {
		parts = append(parts, s.Parts...)
	}
	const cut = "More of this page did not fit here: /zdd pending, /zdd status and /zdd history show all."
	if page.Closed {
		return viewBlocks(parts, maxViewBlocks, cut)
	}
	footer := partBlocks(commands.Note{Text: commands.Line("Made ", commands.At(at), ". For ten minutes after you open this page, what changes shows here within a minute.")}, new(int))
	refresh := slack.NewActionBlock("", slack.NewButtonBlockElement(actionRefresh, "home", plainText("Refresh", maxButtonText)))
	blocks := viewBlocks(parts, maxViewBlocks-len(footer)-1, cut)
	return append(append(blocks, footer...), refresh)
}
