package chat

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
)

// WorkReport is the kind of the job that reads the fleet for a person; its key says for
// whom and what. [Bot.Report] is its handler, [Bot.BeginReport] enqueues it.
const WorkReport = "report"

// Reports is what reports need; without all but CSV there are none.
type Reports struct {
	Posts posts
	// Tx runs do in one transaction.
	Tx func(ctx context.Context, do func(tx *sql.Tx) error) error
	// Enqueue has a job of the kind WorkReport with that key run now, as part of tx.
	Enqueue func(ctx context.Context, tx *sql.Tx, key string) error
	// Collect reads the fleet. progress may be called from any goroutine. A
	// *commands.Refusal is told to the person as it is. When ctx ends it returns soon, with
	// what it has.
	Collect func(ctx context.Context, want audit.Want, progress func(done, of int)) (audit.Fleet, error)
	// Progress is what the person sees meanwhile: done of so many apps, 0 of 0 while
	// that is not known.
	Progress func(done, of int, want audit.Want) commands.Reply
	// View is what they see in the end. name is what people call a user or a user group, by
	// id; empty: that is not known.
	View func(ctx context.Context, f audit.Fleet, want audit.Want, name func(owner string) string) (parent commands.Reply, thread []commands.Reply)
	// CSV is the table of the apps; nil: there is none.
	CSV func(ctx context.Context, f audit.Fleet) ([]byte, error)
}

func (r Reports) complete() bool {
	return r.Posts != nil && r.Tx != nil && r.Enqueue != nil && r.Collect != nil && r.Progress != nil && r.View != nil
}

const (
	toDirect = "direct/" // and the user
	// reportRun is the target of the record of a person's newest report: Rev is its number,
	// Live says that it runs, Busy since when.
	reportRun = "run"
	// reportLost is how long after its beginning a report that never ended is taken to be
	// lost, and no longer joined: longer than one takes with its waits.
	reportLost = 2 * time.Hour
	// progressEvery is the least between two changes of the progress: Slack allows about 50
	// changes a minute in all (chat.update, tier 3).
	progressEvery = 2 * time.Second
	// renewEvery is how often a reading that shows nothing new renews its lease of a minute.
	renewEvery = 20 * time.Second
)

// BeginReport begins to read the fleet for a person, in a direct message that shows how
// far it is and in the end the report. joined says that one of theirs is being read
// already, which is left to run. A *commands.Refusal says that they can't be told
// anything directly.
func (b *Bot) BeginReport(ctx context.Context, by commands.Person, want audit.Want) (joined bool, err error) {
	c := b.cfg.Reports
	if !c.complete() {
		return false, errors.New("nothing to make reports with")
	}
	if _, known := b.Self(); !known {
		return false, errors.New("slack has not said yet who the bot is")
	}
	about := AboutReport + by.ID
	all, err := c.Posts.Posts(ctx, about)
	if err != nil {
		return false, fmt.Errorf("read what was posted about %s: %w", about, err)
	}
	run := Post{Ticket: about, Target: reportRun}
	for _, p := range all {
		if p.Target == reportRun {
			run = p
		}
	}
	if run.Live && time.Since(run.Busy) < reportLost {
		return true, nil
	}
	run.Rev, run.Live, run.Busy = run.Rev+1, true, time.Now()
	round, err := b.reportRound(ctx, errand{c.Tx}, by.ID, run.Rev)
	if err != nil {
		return false, err
	}
	target := toDirect + by.ID
	if err := round.bring(ctx, b.progress(target, 0, 0, want)); err != nil {
		return false, err
	}
	switch p := round.posts[target]; {
	case p.Lost != "":
		return false, &commands.Refusal{Reply: sentenceReply(fmt.Sprintf("I show reports in a direct message, and can't send you one (`%s`). The fleet was not read. If my app's page has no tab \"Messages\", whoever runs me can switch it on in its settings (App Home); `bot report` on a terminal works without.", p.Lost))}
	case len(round.troubles) > 0:
		return false, round.troubles[0]
	case !round.there(target):
		return false, &commands.Refusal{Reply: sentenceReply("I did not begin a report now: either one is just being begun for you, or Slack asks me to write less for a moment. If none shows up in our direct messages, ask again in a minute.")}
	default:
		run.Channel = p.Channel
	}
	err = c.Tx(ctx, func(tx *sql.Tx) error {
		if err := c.Posts.SavePost(ctx, tx, run); err != nil {
			return err
		}
		return c.Enqueue(ctx, tx, reportKey(by.ID, run.Rev, want))
	})
	if errors.Is(err, ErrPostChanged) { // asked twice at once
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("begin a report: %w", err)
	}
	if b.cfg.Wake != nil {
		b.cfg.Wake()
	}
	return false, nil
}

// errand is the job of somebody who waits for it: a Step is its deed, and then its record.
type errand struct {
	tx func(ctx context.Context, do func(tx *sql.Tx) error) error
}

func (errand) ID() string { return "" }

func (e errand) Step(ctx context.Context, do func(context.Context) error, record func(context.Context, *sql.Tx) error) error {
	if do != nil {
		if err := do(ctx); err != nil {
			return err
		}
	}
	if record == nil {
		return nil
	}
	return e.tx(ctx, func(tx *sql.Tx) error { return record(ctx, tx) })
}

func (errand) Later(at time.Time, why string) error {
	return fmt.Errorf("not before %s: %s", at.UTC().Format(time.RFC3339), why)
}

// reportKey is the key of a report's job: whose, which, and of what.
func reportKey(user string, number int64, want audit.Want) string {
	of := url.Values{}
	if want.Team != "" {
		of.Set("team", want.Team)
	}
	if want.Stage != "" {
		of.Set("stage", want.Stage)
	}
	return fmt.Sprintf("%s/%d?%s", user, number, of.Encode())
}

func parseReportKey(key string) (user string, number int64, want audit.Want, err error) {
	whose, of, _ := strings.Cut(key, "?")
	user, n, _ := strings.Cut(whose, "/")
	if number, err = strconv.ParseInt(n, 10, 64); err != nil {
		return "", 0, want, err
	}
	values, err := url.ParseQuery(of)
	return user, number, audit.Want{Team: values.Get("team"), Stage: values.Get("stage")}, err
}

func (b *Bot) reportRound(ctx context.Context, job Job, user string, number int64) (*courier, error) {
	about := AboutReport + user + "/" + itoa64(number)
	all, err := b.cfg.Reports.Posts.Posts(ctx, about)
	if err != nil {
		return nil, fmt.Errorf("read what was posted about %s: %w", about, err)
	}
	return newCourier(b, job, b.cfg.Reports.Posts, about, all), nil
}

func itoa64(n int64) string { return strconv.FormatInt(n, 10) }

// progress is the message of a report while it is read.
func (b *Bot) progress(target string, done, of int, want audit.Want) letter {
	s := newStory(b.cfg.Reports.Progress(done, of, want), nil)
	return letter{target: target, once: true, wanted: true, show: func(p Post) sheet { return s.page(0, p) }}
}

// Report is the handler of WorkReport: it reads the fleet, showing how far it is in the
// person's direct message, and then puts the report there, with its thread and table.
// What ends it in between has it read again from the beginning, in the same message.
func (b *Bot) Report(ctx context.Context, job Job) error {
	c := b.cfg.Reports
	if !c.complete() {
		return errors.New("nothing to make reports with")
	}
	if _, known := b.Self(); !known {
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	user, number, want, err := parseReportKey(jobKey(job))
	if err != nil {
		return fmt.Errorf("job %s: its key is not USER/NUMBER?WANT: %w", job.ID(), err)
	}
	runs, err := c.Posts.Posts(ctx, AboutReport+user)
	if err != nil {
		return fmt.Errorf("read what was posted about %s: %w", AboutReport+user, err)
	}
	var run Post
	for _, p := range runs {
		if p.Target == reportRun {
			run = p
		}
	}
	if run.Rev != number || !run.Live {
		return nil // it is over, or another took its place
	}
	round, err := b.reportRound(ctx, job, user, number)
	if err != nil {
		return err
	}
	target := toDirect + user
	begin := b.progress(target, 0, 0, want)
	begin.once = false // a report that was half told before a crash makes room
	if err := round.bring(ctx, begin); err != nil {
		return err
	}
	if round.posts[target].Lost == "" {
		if err := round.pending(b.cfg.Timing.Outage); err != nil {
			return err
		}
		s, err := b.read(ctx, job, round.posts[target], want)
		if err != nil {
			return err
		}
		s.name = fmt.Sprintf("zdd-report-%d", number)
		if err := round.untilTold(ctx, target, s); err != nil {
			return err
		}
	}
	run.Live, run.Busy = false, time.Time{}
	return job.Step(ctx, nil, func(ctx context.Context, tx *sql.Tx) error { return c.Posts.SavePost(ctx, tx, run) })
}

// read reads the fleet and renders it, showing how far it is in the message at and keeping
// the job's lease. An error is the job's; what keeps the fleet from being read is told.
func (b *Bot) read(ctx context.Context, job Job, at Post, want audit.Want) (story, error) {
	c := b.cfg.Reports
	reading, stop := context.WithTimeout(ctx, b.cfg.Timing.Report)
	defer stop()
	var (
		mu       sync.Mutex
		done, of int
		found    audit.Fleet
		failed   error
		running  sync.WaitGroup
	)
	ended := make(chan struct{})
	running.Go(func() {
		defer close(ended)
		defer func() {
			if p := recover(); p != nil {
				failed = fmt.Errorf("panic: %v", p)
			}
		}()
		found, failed = c.Collect(reading, want, func(d, o int) {
			mu.Lock()
			defer mu.Unlock()
			done, of = d, o
		})
	})
	defer running.Wait()
	defer stop()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	renewed, notBefore, shown := time.Now(), time.Time{}, [2]int{}
	for {
		select {
		case <-ended:
		case <-tick.C:
			mu.Lock()
			now := [2]int{done, of}
			mu.Unlock()
			var show func(context.Context) error
			if now != shown && time.Now().After(notBefore) {
				show = func(ctx context.Context) error {
					shown = now
					notBefore = b.showProgress(ctx, at, now, want)
					return nil
				}
			}
			if show == nil && time.Since(renewed) < renewEvery {
				continue
			}
			if err := job.Step(ctx, show, nil); err != nil {
				return story{}, err
			}
			renewed = time.Now()
			continue
		case <-ctx.Done():
			return story{}, context.Cause(ctx)
		}
		break
	}
	running.Wait()
	if ctx.Err() != nil { // half of it may be missing because of that alone
		return story{}, context.Cause(ctx)
	}
	return b.findings(ctx, found, failed, want), nil
}

// showProgress changes the message at. What goes wrong with that waits for the next time,
// not before the moment that it returns.
func (b *Bot) showProgress(ctx context.Context, at Post, now [2]int, want audit.Want) (notBefore time.Time) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.HTTP)
	defer cancel()
	_, err := b.put(ctx, at, b.progress(at.Target, now[0], now[1], want).show(at))
	switch {
	case err == nil:
		return time.Time{}
	case limited(err):
		return time.Now().Add(max(retryAfter(err), time.Second))
	}
	b.once.do("progress "+slackCode(err), func() {
		b.log.Warn("how far a report is can't be shown", "ticket", at.Ticket, "err", b.api.redact(err))
	})
	return time.Now().Add(b.cfg.Timing.Again)
}

// findings is what came of a reading.
func (b *Bot) findings(ctx context.Context, found audit.Fleet, failed error, want audit.Want) story {
	if refusal, ok := errors.AsType[*commands.Refusal](failed); ok {
		return newStory(refusal.Reply, nil)
	}
	if failed != nil {
		ref := newRef()
		b.log.Error("a report failed", "ref", ref, "err", b.api.redact(failed))
		return newStory(sentenceReply(fmt.Sprintf("I could not read the fleet. Nothing was changed. Try again in a minute; if it stays so, tell whoever runs me this reference: `%s`.", ref)), nil)
	}
	s := newStory(b.cfg.Reports.View(ctx, found, want, b.names(ctx)))
	if b.cfg.Reports.CSV != nil {
		s.csv = func(ctx context.Context) ([]byte, error) { return b.cfg.Reports.CSV(ctx, found) }
	}
	return s
}

// untilTold brings a story to its conversation and stays until it is there: what was read
// is kept nowhere else. It gives up, to begin anew, after Timing.Report.
func (c *courier) untilTold(ctx context.Context, target string, s story) error {
	for begun := time.Now(); ; {
		c.delay, c.files = delay{}, delay{}
		if err := c.tell(ctx, target, "", s); err != nil {
			return err
		}
		c.join(c.files)
		err := c.pending(c.bot.cfg.Timing.Outage)
		if err == nil {
			return nil
		}
		if time.Since(begun) > c.bot.cfg.Timing.Report {
			return err
		}
		for left := time.Until(c.later); left > 0; left = time.Until(c.later) {
			if !pause(ctx, min(left, renewEvery)) {
				return context.Cause(ctx)
			}
			if err := c.job.Step(ctx, nil, nil); err != nil {
				return err
			}
		}
	}
}
