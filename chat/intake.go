package chat

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"example.com/zdd/commands"
)

// What became of an envelope, as the metrics count it.
const (
	outcomeWorked    = "accepted"
	outcomeIgnored   = "ignored"
	outcomeRepeated  = "repeated"
	outcomeBusy      = "busy"
	outcomeRefused   = "refused"
	outcomeStopping  = "stopping"
	outcomeMalformed = "malformed"
)

// receive takes one envelope off a link's event loop, which it never holds up. What only
// reads is acknowledged here and now, unless something has to be stored before: handed to
// another goroutine, an acknowledgement waits for whatever else that finds to do. The rest
// runs in goroutines of its own, and those are bounded by the rooms.
func (b *Bot) receive(ctx context.Context, l *link, env envelope, at time.Time) {
	defer b.survive()
	if env.Type == typeHello || env.Type == typeDisconnect {
		return // never acknowledged
	}
	self, _ := b.Self()
	r, err := route(env, self)
	if err != nil {
		b.count(env, outcomeMalformed)
		b.ackNow(l, env, nil, at)
		b.once.do("payload "+env.Type, func() {
			b.log.Warn("slack sent a payload of an unknown form", "step", known(env.Type, typeSlash, typeInteract, typeEvents), "err", b.api.redact(err))
		})
		return
	}
	r = b.takeForm(env, r, at)
	if r.wrong != "" {
		b.count(env, outcomeRefused)
		b.ackNow(l, env, r.errors(r.wrong), at)
		return
	}
	if r.home != nil {
		b.visit(l, env, r, at)
		return
	}
	if !r.work && r.act == nil {
		b.count(env, outcomeIgnored)
		b.ackNow(l, env, nil, at)
		if known(env.Type, typeSlash, typeInteract, typeEvents) == "other" {
			b.once.do("type "+env.Type, func() {
				b.log.Info("slack sent an envelope of an unknown type, which is acknowledged and left alone", "step", shorten(oneLine(env.Type), 60))
			})
		}
		return
	}
	command, _, _ := b.cfg.Commands.Find(r.ask.line) // what is no command changes nothing
	if b.stopping.Load() {
		b.turnAway(ctx, l, env, r, at)
		return
	}
	d, isFirst := b.seen.first(r.ids, at)
	if !isFirst {
		b.metrics.redeliveries.Inc()
		b.count(env, outcomeRepeated)
		b.spawn(func() { b.repeat(l, env, d, at) })
		return
	}
	select {
	case b.room <- struct{}{}:
	default:
		b.busy(ctx, l, env, r, d, at)
		return
	}
	b.metrics.waiting.Inc()
	if r.ask.sight.home {
		b.homes.looks(r.ask.user, at)
	}
	if r.act != nil {
		b.serveForm(ctx, l, env, r, d, at)
		return
	}
	stored := command.Changes && !r.ask.share && r.dialog == nil // a dialog changes nothing yet
	if stored {
		if r.ask.screen.none() {
			r.ask.screen = screenFor(r.ask.sight)
		}
		b.spawn(func() {
			defer func() { <-b.room }()
			b.accept(ctx, l, env, r, d, at)
		})
		return
	}
	d.payload = r.ack
	b.ackNow(l, env, d.payload, at)
	b.seen.settle(r.ids, d)
	b.work.Go(func() {
		defer b.survive()
		defer func() { <-b.room }()
		if r.dialog == nil {
			b.consult(ctx, env, r, command, at)
			return
		}
		defer b.metrics.waiting.Dec()
		b.count(env, outcomeWorked)
		b.openDialog(ctx, r, at)
	})
}

// spawn runs f where Run waits for it, and counts it among what is to be acknowledged
// until f says otherwise. A panic ends f, never the bot.
func (b *Bot) spawn(f func()) {
	b.metrics.acking.Add(1)
	b.work.Go(func() {
		defer b.survive()
		f()
	})
}

// survive, deferred, ends a panic.
func (b *Bot) survive() {
	if p := recover(); p != nil {
		b.log.Error("an envelope was lost to a panic", "ref", newRef(), "err", b.api.redact(fmt.Errorf("%v\n%s", p, debug.Stack())))
	}
}

func (b *Bot) count(env envelope, outcome string) {
	b.metrics.envelopes.WithLabelValues(known(env.Type, typeSlash, typeInteract, typeEvents), outcome).Inc()
}

// handOver is how long the event loop waits for a place in a link's queue of
// acknowledgements, which has one unless the link stands still: slack-go's sender takes them
// out as fast as they are written.
const handOver = 5 * time.Millisecond

// ackNow acknowledges where Run waits for it, from the event loop: another goroutine would
// begin only after whatever else there is to do. It never blocks the loop, which would cost
// the link: what finds no place in the queue waits for one elsewhere.
func (b *Bot) ackNow(l *link, env envelope, payload any, at time.Time) {
	if env.ID == "" {
		return
	}
	if b.ackWithin(l, env, payload, at, handOver) == nil {
		return
	}
	b.spawn(func() {
		defer b.metrics.acking.Add(-1)
		b.ack(l, env, payload, at)
	})
}

// turnAway answers while the bot stops. An event is left alone: Slack delivers it
// again, to whoever runs then.
func (b *Bot) turnAway(ctx context.Context, l *link, env envelope, r routed, at time.Time) {
	b.count(env, outcomeStopping)
	if env.Type == typeEvents {
		return
	}
	payload := refusal(env, r, turnedStopping.sentence(1))
	if _, isFirst := b.seen.first(r.ids, at); isFirst && payload == nil {
		b.mustExcuse(ctx, r.ask, turnedStopping)
	}
	b.ackNow(l, env, payload, at)
}

// refusal is an acknowledgement that shows a sentence to the one who asked. A
// command's is shown as a message, and a dialog's below its field; a click's may carry
// one too, and Slack ignores it.
func refusal(env envelope, r routed, sentence string) any {
	switch {
	case r.act != nil && r.act.kind == actOffer:
		return offerAnswer(nil)
	case r.form:
		return r.errors(sentence)
	case env.Type != typeSlash:
		return nil
	}
	return map[string]any{"response_type": slack.ResponseTypeEphemeral, "text": escape(sentence)}
}

// busy turns a request away because the queue is full. A command is told by its
// acknowledgement; a click or a mention by the Web API, soon; an event that can't even
// be told is left for Slack to deliver again.
func (b *Bot) busy(ctx context.Context, l *link, env envelope, r routed, d *delivery, at time.Time) {
	b.metrics.busy.Inc()
	b.count(env, outcomeBusy)
	d.payload = refusal(env, r, turnedBusy.sentence(1))
	switch {
	case d.payload != nil:
	case env.Type != typeEvents:
		b.mustExcuse(ctx, r.ask, turnedBusy)
	case !b.excuse(ctx, r.ask, turnedBusy):
		d.refused = true
		b.seen.forget(r.ids)
		b.seen.settle(r.ids, d)
		return
	}
	b.seen.settle(r.ids, d)
	b.ackNow(l, env, d.payload, at)
}

// repeat acknowledges a delivery as its first copy was.
func (b *Bot) repeat(l *link, env envelope, d *delivery, at time.Time) {
	defer b.metrics.acking.Add(-1)
	limit := time.NewTimer(b.cfg.Timing.Record)
	defer limit.Stop()
	select {
	case <-d.acked:
		if !d.refused {
			b.ack(l, env, d.payload, at)
		}
	case <-limit.C: // its first copy is late itself, and Slack will say so
	}
}

const sentenceNotRecorded = "Not accepted: I could not write your request down, because my database does not answer. Nothing was changed. Try again in a minute; commands that only read still work."

// accept stores what changes something, and acknowledges it then; the job queue has it run.
func (b *Bot) accept(ctx context.Context, l *link, env envelope, r routed, d *delivery, at time.Time) {
	defer b.metrics.waiting.Dec()
	acked := sync.OnceFunc(func() {
		b.seen.settle(r.ids, d)
		b.metrics.acking.Add(-1)
	})
	defer acked()
	isNew, err := b.take(ctx, env, r, at)
	if err != nil {
		b.count(env, outcomeRefused)
		d.payload = refusal(env, r, sentenceNotRecorded)
		b.ack(l, env, d.payload, at)
		acked()
		if d.payload == nil {
			b.deliver(ctx, r.ask, sentenceReply(sentenceNotRecorded), "")
		}
		return
	}
	d.payload = r.ack
	b.ack(l, env, d.payload, at)
	acked()
	if !isNew {
		b.metrics.redeliveries.Inc()
		b.count(env, outcomeRepeated)
		return
	}
	b.count(env, outcomeWorked)
	b.await(ctx, r.ask, at)
	if b.cfg.Wake != nil {
		b.cfg.Wake()
	}
}

// consult runs what only reads and was acknowledged: it is recorded if that is possible,
// and answered here.
func (b *Bot) consult(ctx context.Context, env envelope, r routed, command commands.Command, at time.Time) {
	leave := sync.OnceFunc(b.metrics.waiting.Dec)
	defer leave()
	if isNew, err := b.record(ctx, env, r); err == nil && !isNew {
		b.metrics.redeliveries.Inc()
		b.count(env, outcomeRepeated)
		return
	}
	if r.form {
		r.ask.response = b.responses.find(r.key)
	}
	b.count(env, outcomeWorked)
	b.begin(ctx, &r.ask, at)
	select {
	case b.workers <- struct{}{}:
	case <-b.cut:
		b.tell(ctx, r.ask, result{reply: cutOff()})
		return
	}
	defer func() { <-b.workers }()
	leave()
	b.answer(ctx, r.ask, command)
}

// record writes down that a delivery was seen.
func (b *Bot) record(ctx context.Context, env envelope, r routed) (isNew bool, err error) {
	if len(r.ids) == 0 {
		return false, errors.New("the envelope has no id")
	}
	if b.cfg.Envelopes == nil {
		return false, errors.New("nothing to record with")
	}
	return b.written(ctx, env, b.cfg.Timing.Note, func(ctx context.Context) (bool, error) {
		return b.cfg.Envelopes.Record(ctx, r.ids[0], known(env.Type, typeSlash, typeInteract, typeEvents), time.Now())
	})
}

// written has the store write something about a delivery, within the limit. A failure
// is logged when it begins and when it ends.
func (b *Bot) written(ctx context.Context, env envelope, limit time.Duration, write func(context.Context) (bool, error)) (isNew bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type answer struct {
		isNew bool
		err   error
	}
	// A driver that does not heed its context must not cost the acknowledgement.
	done := make(chan answer, 1)
	b.work.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				done <- answer{err: fmt.Errorf("panic: %v", p)}
			}
		}()
		isNew, err := write(ctx)
		done <- answer{isNew, err}
	})
	var got answer
	select {
	case got = <-done:
	case <-ctx.Done():
		got.err = ctx.Err()
	}
	switch was := b.storeUp.Swap(got.err == nil); {
	case got.err != nil && was:
		b.log.Error("the store does not answer: reading goes on, changes are refused", "ref", env.ID, "err", b.api.redact(got.err))
	case got.err == nil && !was:
		b.log.Info("the store answers again", "ref", env.ID)
	}
	return got.isNew, got.err
}

// ack hands an acknowledgement to the link that brought the envelope, or to another
// one where that is gone: Slack's own clients do the same after a reconnect. What is
// handed over may still be lost with the link; nobody can know.
func (b *Bot) ack(l *link, env envelope, payload any, at time.Time) {
	if env.ID == "" {
		return
	}
	if err := b.ackWithin(l, env, payload, at, b.cfg.Timing.Ack/2); err != nil { // leaves half for another link
		b.log.Warn("an acknowledgement could not be sent, so slack tells the user that the command failed", "step", l.name, "ref", env.ID, "err", b.api.redact(err))
	}
}

// ackWithin hands an acknowledgement to the first link that takes it, giving each so long.
func (b *Bot) ackWithin(l *link, env envelope, payload any, at time.Time, limit time.Duration) error {
	err := errors.New("no link is up")
	for i, other := range append([]*link{l}, b.links...) {
		client := other.client.Load()
		if client == nil || i > 0 && other == l {
			continue
		}
		if err = ackOn(client, env.ID, payload, limit); err == nil {
			b.metrics.ack.Observe(time.Since(at).Seconds())
			return nil
		}
	}
	return err
}

// ackOn queues an acknowledgement on a connection. The context is not that of the
// program: what was accepted is acknowledged also while it stops.
func ackOn(client *socketmode.Client, id string, payload any, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return client.AckCtx(ctx, id, payload)
}

// answer runs a command line as the person who said it, and delivers what comes of it.
func (b *Bot) answer(ctx context.Context, a ask, command commands.Command) {
	start := time.Now()
	b.tell(ctx, a, b.perform(ctx, a, command))
	// The name is from the table, so the list of series is closed.
	b.metrics.work.WithLabelValues(first(command.Name, "none")).Observe(time.Since(start).Seconds())
}

// tell delivers what came of a line. Its time is not that of the line: who was cut off
// is told so.
func (b *Bot) tell(ctx context.Context, a ask, got result) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.Answer)
	defer cancel()
	b.deliver(ctx, a, got.reply, got.ref)
}

// result is what came of a line. Its reply says nothing only to other bots.
type result struct {
	reply commands.Reply
	ref   string // set where something went wrong that the log explains
	done  bool   // the command did what it was asked to
}

// perform runs a line that changes nothing, until a stop cuts it off. What comes of it
// then is not believed: half of what it wanted to read may be missing.
func (b *Bot) perform(ctx context.Context, a ask, command commands.Command) result {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.Work)
	defer cancel()
	b.work.Go(func() {
		select {
		case <-b.cut:
			cancel()
		case <-ctx.Done():
		}
	})
	cut := func() bool { return errors.Is(ctx.Err(), context.Canceled) }
	who, err := b.who(ctx, a)
	if err != nil && cut() {
		return result{reply: cutOff()}
	}
	if err != nil {
		return b.unknown(ctx, a, err)
	}
	if who.Kind == commands.Machine && (a.via == commands.Mention || a.via == commands.Direct) {
		return result{} // two bots that answer each other never end
	}
	if reply, old := b.outdated(ctx, a.pressed); old {
		return result{reply: reply}
	}
	if a.share && command.Changes {
		return result{reply: sentenceReply("Only answers that change nothing can be shared. Type the command itself; nothing was changed.")}
	}
	if a.share && who.Kind == commands.Member { // whoever is none is refused by the command
		if question, asks := b.beforeSharing(ctx, a); asks && !cut() {
			return result{reply: question}
		}
	}
	reply, err := b.run(ctx, a, command, commands.Request{By: who, Via: a.via, Now: time.Now(), Channel: a.channel, Note: a.note})
	if cut() {
		return result{reply: cutOff()}
	}
	if err == nil && a.share {
		reply = shared(reply, a.user)
	}
	return b.settled(a, command, reply, err)
}

// unknown answers somebody about whom Slack says nothing.
func (b *Bot) unknown(ctx context.Context, a ask, err error) result {
	b.log.Warn("slack does not say who somebody is", "ref", newRef(), "user", a.user, "err", b.api.redact(err))
	b.suspect(ctx, err)
	return result{reply: stranger(err)}
}

// panicked is the end of a command by a mistake of the program's.
type panicked struct {
	what  any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("%v\n%s", p.what, p.stack) }

// run runs a line. A panic is an error.
func (b *Bot) run(ctx context.Context, a ask, command commands.Command, req commands.Request) (reply commands.Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return b.cfg.Commands.Run(ctx, a.line, req)
}

// settled is the answer to a line that was run.
func (b *Bot) settled(a ask, command commands.Command, reply commands.Reply, err error) result {
	if refusal, ok := errors.AsType[*commands.Refusal](err); ok {
		said := refusal.Reply
		said.Public = false
		return result{reply: said}
	}
	if err == nil {
		return result{reply: reply, done: true}
	}
	ref := newRef()
	what := "a command failed"
	if _, ok := errors.AsType[*panicked](err); ok {
		what = "a command panicked"
	}
	b.log.Error(what, "ref", ref, "command", command.Name, "user", a.user, "err", b.api.redact(err))
	if errors.Is(err, context.DeadlineExceeded) {
		return result{reply: late(command, b.cfg.Timing.Work, ref), ref: ref}
	}
	return result{reply: broken(command, ref), ref: ref}
}

// newRef makes a reference that a person can read out and a log can be searched for.
func newRef() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

func sentenceReply(sentence string) commands.Reply {
	text := commands.Prose(sentence)
	return commands.Reply{Summary: text.String(), Parts: []commands.Part{commands.Para{Text: text}}}
}

// untouched says what a broken command did, as far as that is known.
func untouched(c commands.Command) string {
	if c.Changes {
		return "I can't say whether it took effect: look with `status` before you try again."
	}
	return "It only reads, so nothing was changed."
}

func broken(c commands.Command, ref string) commands.Reply {
	return sentenceReply(fmt.Sprintf("Something went wrong on my side. %s Tell whoever runs me this reference: `%s`.", untouched(c), ref))
}

// cutOff answers somebody whose command ran, or waited to, when the bot had to end. What
// changes something is not among these: it is stored, and goes on after the restart.
func cutOff() commands.Reply {
	return sentenceReply("I am being restarted and could not finish this. It only reads, so nothing was changed. Ask again in half a minute.")
}

func late(c commands.Command, limit time.Duration, ref string) commands.Reply {
	return sentenceReply(fmt.Sprintf("I gave up after %s without an answer. %s Try again in a minute; if it stays so, tell whoever runs me this reference: `%s`.", limit, untouched(c), ref))
}

// suspect looks into an error of the bot token's that may mean the end: only auth.test
// decides, so that one odd answer does not stop the bot.
func (b *Bot) suspect(ctx context.Context, err error) {
	if _, ok := errors.AsType[*FatalError](classify(err, botToken)); !ok || slackCode(err) == "missing_scope" || absent(err) {
		return
	}
	_, err = b.CheckBotToken(ctx)
	if fatal, ok := errors.AsType[*FatalError](err); ok && fatal.Code != "404" {
		b.fail(fatal)
	}
}
