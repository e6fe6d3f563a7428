package chat

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// forms makes forms, and reads what was filled in.
type forms interface {
	Form(ctx context.Context, req commands.FormRequest) (commands.Form, error)
	Fill(req commands.FormRequest) commands.Filled
	Offer(ctx context.Context, req commands.OfferRequest) ([]commands.Offer, error)
	FindApps(ctx context.Context, req commands.FoundRequest) (commands.Found, error)
}

const (
	// offerWithin is for what a search offers: with its way back it is less than Slack's 3 s
	// for an acknowledgement.
	offerWithin = 2200 * time.Millisecond
	// startWithin is for finding out who somebody is before a dialog opens for them, of the
	// 3 s that its trigger lives.
	startWithin = 1500 * time.Millisecond
	// ackTakes is how long Slack may take to change a view as an acknowledgement has said:
	// what is put into the view before that would be overwritten.
	ackTakes = 400 * time.Millisecond
	// picksMost bounds the views whose last change is remembered.
	picksMost = 4096
)

// picks remembers the last change of a field in each view, so that what was read for an
// earlier one is not shown after it.
type picks struct{ last *lru.Cache[string, string] }

func newPicks() picks {
	last, err := lru.New[string, string](picksMost)
	if err != nil { // only for a size below one
		panic(err)
	}
	return picks{last}
}

// isLast says whether nothing was picked since in that view. Times of actions are of equal
// length, so that they compare as texts.
func (p picks) isLast(a *formAct) bool {
	if last, ok := p.last.Get(a.view); ok && last > a.at {
		return false
	}
	p.last.Add(a.view, a.at)
	return true
}

// opensStart says whether somebody typed nothing but the command, where a dialog can open.
func (b *Bot) opensStart(env envelope, r routed) bool {
	return b.cfg.Forms != nil && env.Type == typeSlash && r.trigger != "" && strings.TrimSpace(r.ask.line) == ""
}

// takeForm looks at what somebody does with a form before it is acknowledged: a form that
// was sent is read here, because what is wrong with it goes with the acknowledgement.
func (b *Bot) takeForm(env envelope, r routed, at time.Time) routed {
	if b.opensStart(env, r) {
		r.act = &formAct{kind: actOpen, name: commands.FormStart}
		return r
	}
	if r.act == nil {
		return r
	}
	if b.cfg.Forms == nil {
		r.act, r.work = nil, false
		return r
	}
	if r.act.kind != actSubmit {
		return r
	}
	r.ask.at = at
	return r.filledIn(b.cfg.Forms.Fill(r.act.request(commands.Person{ID: r.ask.user}, at)), func(line string) bool {
		command, _, _ := b.cfg.Commands.Find(line)
		return command.Changes
	})
}

// request is what is asked of whoever makes the form.
func (s formAct) request(by commands.Person, now time.Time) commands.FormRequest {
	return commands.FormRequest{Name: s.name, Values: s.values, Shown: s.shown, Keep: s.state.Keep, By: by, Now: now}
}

// serveForm does what somebody wants of a form, acknowledged or not. It has a place in the
// room, which it leaves.
func (b *Bot) serveForm(ctx context.Context, l *link, env envelope, r routed, d *delivery, at time.Time) {
	if r.act.kind == actOffer {
		b.spawn(func() {
			defer func() { <-b.room }()
			defer b.metrics.waiting.Dec()
			defer b.metrics.acking.Add(-1)
			defer b.seen.settle(r.ids, d) // without what was offered: that is large, and not asked for again
			answer := b.offered(ctx, r, at)
			b.count(env, outcomeWorked)
			b.ack(l, env, answer, at)
		})
		return
	}
	d.payload = r.ack
	b.ackNow(l, env, d.payload, at)
	b.seen.settle(r.ids, d)
	b.work.Go(func() {
		defer b.survive()
		defer func() { <-b.room }()
		defer b.metrics.waiting.Dec()
		b.count(env, outcomeWorked)
		ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.Work)
		defer cancel()
		switch r.act.kind {
		case actOpen:
			b.openForm(ctx, r, at)
		case actCheck:
			b.checkApps(ctx, r, at)
		default:
			b.changeForm(ctx, r, at)
		}
	})
}

// offered is what a search offers; nothing to whoever may not read, and where that can't be
// found out in time.
func (b *Bot) offered(ctx context.Context, r routed, at time.Time) any {
	ctx, cancel := context.WithDeadline(ctx, at.Add(offerWithin))
	defer cancel()
	got := make(chan any, 1)
	b.work.Go(func() { // whatever does not heed its context must not cost the acknowledgement
		var offers []commands.Offer
		err := unbroken(func() error {
			who, err := b.who(ctx, r.ask)
			if err == nil {
				offers, err = b.cfg.Forms.Offer(ctx, commands.OfferRequest{By: who, Typed: r.act.typed})
			}
			return err
		})
		got <- offerAnswer(offers)
		_, refused := errors.AsType[*commands.Refusal](err)
		switch _, broke := errors.AsType[*panicked](err); {
		case broke:
			b.log.Error("a search panicked", "ref", newRef(), "user", r.ask.user, "err", b.api.redact(err))
		case err != nil && !refused:
			b.log.Warn("a search found nothing, because of an error", "ref", newRef(), "user", r.ask.user, "err", b.api.redact(err))
		}
	})
	select {
	case answer := <-got:
		return answer
	case <-ctx.Done():
		b.log.Warn("a search took too long", "ref", newRef(), "user", r.ask.user)
		return offerAnswer(nil)
	}
}

// openForm opens a form for a trigger: a draft, where the whole takes longer than the
// trigger lives. Where it can't be opened it says what to type, and to whoever typed
// nothing it is the help.
func (b *Bot) openForm(ctx context.Context, r routed, at time.Time) {
	a := r.ask
	a.sight.trigger = r.trigger
	early, cancel := context.WithDeadline(ctx, at.Add(startWithin))
	who, err := b.who(early, a)
	cancel()
	if err != nil {
		if r.act.name == commands.FormStart && errors.Is(err, context.DeadlineExceeded) {
			b.insteadOfForm(ctx, a, r.act.name, err)
			return
		}
		b.tell(ctx, a, b.unknown(ctx, a, err))
		return
	}
	req := r.act.request(who, at)
	req.Draft = true
	state := formState{modalState: modalState{Depth: min(a.sight.above().Depth, maxModals)}, Channel: a.channel, Thread: a.thread, Key: newKey()}
	form, err := b.makeForm(ctx, req)
	if err != nil {
		b.tell(ctx, a, b.settled(a, commands.Command{Name: "form"}, commands.Reply{}, err))
		return
	}
	view, err := formView(form, state)
	var place Screen
	if err == nil {
		b.responses.keep(state.Key, a.response, at)
		place, err = b.openView(ctx, a.sight, at, view)
	}
	if err != nil {
		b.insteadOfForm(ctx, a, r.act.name, err)
		return
	}
	if form.Reading && place.ID != "" {
		req.Draft = false
		b.fillForm(ctx, a, place, "", req, state, func() bool { return true })
	}
}

// makeForm makes a form. A panic is an error.
func (b *Bot) makeForm(ctx context.Context, req commands.FormRequest) (form commands.Form, err error) {
	err = unbroken(func() (err error) {
		form, err = b.cfg.Forms.Form(ctx, req)
		return err
	})
	return form, err
}

// unbroken makes an error of a panic.
func unbroken(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return f()
}

// insteadOfForm answers somebody before whom a form could not be opened.
func (b *Bot) insteadOfForm(ctx context.Context, a ask, name string, err error) {
	ref := newRef()
	b.log.Warn("a form could not be opened", "ref", ref, "user", a.user, "step", "views.open", "err", b.api.redact(err))
	b.suspect(ctx, err)
	if name == commands.FormStart && a.via == commands.Slash {
		command, _, _ := b.cfg.Commands.Find("help")
		a.line = "help"
		b.answer(ctx, a, command)
		return
	}
	b.tell(ctx, a, result{reply: sentenceReply(fmt.Sprintf("I could not open the dialog, so nothing was changed. Press again, or type `/zdd help` to see what to type instead. If it stays so, tell whoever runs me this reference: `%s`.", ref)), ref: ref})
}

// changeForm makes a form anew: after one of its fields was changed, or after another form
// led to it.
func (b *Bot) changeForm(ctx context.Context, r routed, at time.Time) {
	a := r.ask
	place := Screen{ID: r.act.view, Depth: r.act.depth()}
	current := func() bool { return true }
	if r.act.kind == actChange {
		current = func() bool { return b.picks.isLast(r.act) }
	}
	if !current() {
		return
	}
	who, err := b.who(ctx, a)
	if err != nil {
		b.log.Warn("slack does not say who somebody is", "ref", newRef(), "user", a.user, "err", b.api.redact(err))
		b.suspect(ctx, err)
		b.putView(ctx, a, place, "", answerView(stranger(err), place, ""))
		return
	}
	req := r.act.request(who, at)
	hash := ""
	if r.act.kind == actChange {
		req.Draft = true
		form, err := b.makeForm(ctx, req)
		if err != nil {
			b.formFailed(ctx, a, place, err)
			return
		}
		view, err := formView(form, r.act.state)
		if err != nil {
			b.formFailed(ctx, a, place, err)
			return
		}
		var there bool
		if hash, there = b.putView(ctx, a, place, "", view); !there || !form.Reading {
			return
		}
		req.Draft = false
	} else if !pause(ctx, ackTakes-time.Since(at)) {
		return
	}
	b.fillForm(ctx, a, place, hash, req, r.act.state, current)
}

// fillForm reads what a form is about, and shows the whole of it, unless it is outdated by
// then. What is sent meanwhile is read again: the draft has no plan to send.
func (b *Bot) fillForm(ctx context.Context, a ask, place Screen, hash string, req commands.FormRequest, state formState, current func() bool) {
	form, err := b.makeForm(ctx, req)
	if err != nil {
		b.formFailed(ctx, a, place, err)
		return
	}
	view, err := formView(form, state)
	if err != nil {
		b.formFailed(ctx, a, place, err)
		return
	}
	if current() {
		b.putView(ctx, a, place, hash, view)
	}
}

// formFailed shows in the form's place why there is none.
func (b *Bot) formFailed(ctx context.Context, a ask, place Screen, err error) {
	got := b.settled(a, commands.Command{Name: "form"}, commands.Reply{}, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Timing.HTTP) // its own time may be over
	defer cancel()
	b.putView(ctx, a, place, "", answerView(got.reply, place, ""))
}

// putView puts another content into a view, and says by what it is known then, and whether the
// view was there. With a hash it leaves alone what has changed since.
func (b *Bot) putView(ctx context.Context, a ask, place Screen, hash string, view slack.ModalViewRequest) (newHash string, there bool) {
	err := b.api.retry(ctx, repeatable, func(ctx context.Context) error {
		res, err := b.api.slack.UpdateViewContext(ctx, view, "", hash, place.ID)
		if err == nil && res != nil {
			newHash = res.Hash
		}
		return err
	})
	switch slackCode(err) {
	case "not_found", "hash_conflict": // closed, or overtaken
		return "", false
	}
	if err != nil {
		b.log.Warn("a form could not be shown", "ref", newRef(), "user", a.user, "step", "views.update", "err", b.api.redact(err))
		b.suspect(ctx, err)
		return "", false
	}
	return newHash, true
}

// checkApps answers the message shortcut: how the app is that the message names, or which
// they are, or the form to say which.
func (b *Bot) checkApps(ctx context.Context, r routed, at time.Time) {
	a := r.ask
	a.sight.trigger = r.trigger
	place, err := b.openView(ctx, a.sight, at, waitingView(Screen{Depth: 1}, "Check with zdd", sentenceReading))
	if err != nil || place.ID == "" {
		ref := newRef()
		b.log.Warn("a modal could not be opened", "ref", ref, "user", a.user, "step", "views.open", "err", b.api.redact(err))
		b.suspect(ctx, err)
	} else {
		a.screen, a.at = place, at
	}
	who, err := b.who(ctx, a)
	if err != nil {
		b.tell(ctx, a, b.unknown(ctx, a, err))
		return
	}
	var found commands.Found
	err = unbroken(func() (err error) {
		found, err = b.cfg.Forms.FindApps(ctx, commands.FoundRequest{By: who, Text: r.act.text, Now: at})
		return err
	})
	switch {
	case err != nil:
		b.tell(ctx, a, b.settled(a, commands.Command{Name: "status"}, commands.Reply{}, err))
	case found.Line != "":
		command, _, _ := b.cfg.Commands.Find(found.Line)
		a.line = found.Line
		b.answer(ctx, a, command)
	case found.Reply.Summary != "":
		b.tell(ctx, a, result{reply: found.Reply, done: true})
	case a.screen.none():
		b.tell(ctx, a, result{reply: sentenceReply("I found no app of ours in that message. `/zdd status <app>` asks about one.")})
	default:
		state := formState{modalState: modalState{Depth: 1}, Channel: a.channel, Key: newKey()}
		b.responses.keep(state.Key, a.response, at)
		req := commands.FormRequest{Name: commands.FormStart, Values: map[string]string{"found": "none"}, By: who, Now: at}
		b.fillForm(ctx, a, a.screen, "", req, state, func() bool { return true })
	}
}
