package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

const (
	watchUsage = "watch APP [--for 10m] [--json]"
	watchHelp  = `Start it, deploy, and wait for it: requests are sent to the app at a constant rate, as
the policy's apps: { APP: { probe: … } } says, and what becomes of them is tied to the
release that Heroku makes meanwhile. On standard error it says when it has begun, and
how it goes; Ctrl-C ends it with what it has.

  bot watch shop >verdict.txt 2>watch.log &
  until grep -q 'Deploy now' watch.log || ! kill -0 $!; do sleep 1; done
  git push heroku main
  wait $!

Exit codes: 0 proved (nobody noticed), 3 failed (somebody did), 4 inconclusive (neither
can be said; the reasons say why), 1 error, 2 usage. --json prints the whole watch.
docs/deploy-pipeline.md has it for GitHub Actions.`
)

// watchLook is how often a terminal is told how it goes: nothing is stored meanwhile.
const watchLook = time.Second

// watchAsked is what `bot watch` was asked for.
type watchAsked struct {
	app    string
	length time.Duration // 0: as long as the policy says
	json   bool
}

// parseWatch reads the arguments, in the form of a terminal and in that of chat (--for 10m,
// for=10m).
func parseWatch(args []string) (watchAsked, error) {
	var asked watchAsked
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&asked.json, "json", false, "")
	length := flags.String("for", "", "")
	rest := slices.Clone(args)
	for i, a := range rest {
		if strings.HasPrefix(a, "for=") {
			rest[i] = "--" + a
		}
	}
	for {
		if err := flags.Parse(rest); err != nil || flags.NArg() > 0 && asked.app != "" {
			return watchAsked{}, usage(watchUsage)
		}
		if flags.NArg() == 0 {
			break
		}
		asked.app, rest = flags.Arg(0), flags.Args()[1:]
	}
	if asked.app == "" {
		return watchAsked{}, usage(watchUsage)
	}
	if *length == "" {
		return asked, nil
	}
	var err error
	if asked.length, err = time.ParseDuration(*length); err != nil || asked.length < watch.Shortest || asked.length > watch.Longest {
		return watchAsked{}, &exit{exitUsage, fmt.Sprintf("--for is %q; write it like 10m, from 2m to 60m", *length)}
	}
	return asked, nil
}

// watchProgram watches one deploy, for people on a terminal and for pipelines. It needs
// only HEROKU_API_KEY and the policy, and keeps nothing. Whoever ends it (Ctrl-C) gets what
// was seen by then, which proves nothing.
func watchProgram(ctx context.Context, args []string, o outside) error {
	asked, err := parseWatch(args)
	if err != nil {
		return err
	}
	pol, apps, err := herokuAlone(o)
	if err != nil {
		return err
	}
	defer apps.Close()
	app, err := commands.ReadNamed(ctx, apps, asked.app, "bot "+watchUsage)
	if err != nil {
		return cannotTell(err, commands.Explain, asked.json, o)
	}
	waived := openWaivers(ctx, pol, o)
	defer waived.close()
	timing := o.Deploys
	timing.Save = watchLook
	runner := watch.NewRunner(watch.RunnerConfig{
		Heroku: apps, Prober: newProber(readConfig(o.Getenv), o, pol), Policy: fixed{pol}.Policy,
		Failing: failing(waived.rules(pol), pol, o.now), Timing: timing, Log: slog.New(slog.DiscardHandler),
	})
	far := &watching{now: o.now}
	var bar *meter
	w, err := runner.Once(ctx, watch.OnceFor{App: app, For: asked.length}, func(w watch.Watch) {
		far.set(w)
		if bar == nil {
			fmt.Fprintf(o.Stderr, "bot: watching %s at %s, %d requests a second, for %s. Deploy now.\n", w.Name, w.URL, w.Probe.Rate, clock(w.Until.Sub(w.Began)))
			bar = newMeter(o, far.line)
		}
	})
	if bar != nil {
		bar.stop()
	}
	if err != nil {
		return cannotTell(unwatched(err, app.Name, pol), commands.Explain, asked.json, o)
	}
	if err := writeWatch(w, pol, asked, o); err != nil {
		return err
	}
	switch w.Verdict {
	case watch.Proved:
		return nil
	case watch.Failed:
		return &exit{code: exitFindings}
	}
	return &exit{code: exitUnknown}
}

// unwatched puts into words why a watch was not begun.
func unwatched(err error, app string, pol policy.Policy) error {
	refuse := func(text string) error { return &commands.Refusal{Reply: commands.Reply{Summary: text}} }
	if why, ok := errors.AsType[*watch.NotProbed](err); ok {
		return refuse(why.Why)
	}
	if why, ok := errors.AsType[*watch.NotInScope](err); ok {
		return refuse(fmt.Sprintf("%s is not watched, because the policy's scope leaves it out: %s.", why.App, why.Why))
	}
	if errors.Is(err, watch.ErrBusy) {
		return refuse(fmt.Sprintf("The probe of %s sends more than the policy's `watch: { per_second: %d }` allows. Lower its rate or raise that.", app, pol.Watch.PerSecond))
	}
	return err
}

func writeWatch(w watch.Watch, pol policy.Policy, asked watchAsked, o outside) error {
	if asked.json {
		out := json.NewEncoder(o.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(w)
	}
	return chat.Terminal(o.Stdout, withoutButtons(commands.WatchReply(w, commands.WatchView{Zone: pol.Nightly.Location(), Now: o.now()})), style(o))
}

// watching is how far a watch is.
type watching struct {
	now func() time.Time

	mu sync.Mutex
	w  watch.Watch
	at time.Time // when it was so
}

func (p *watching) set(w watch.Watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w, p.at = w, p.now()
}

// line says it: "3:14 of 10:00, 756 requests, none failed, v118 was made 1:02 ago".
func (p *watching) line() (text string, full float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, now := p.w, p.at
	since, of := now.Sub(w.Began), w.Until.Sub(w.Began)
	bad := "none failed"
	if n := w.Counts.Failed(); n > 0 {
		bad = strconv.Itoa(n) + " failed"
	}
	text = fmt.Sprintf("%s of %s, %d requests, %s", clock(min(since, of)), clock(of), w.Counts.Sent, bad)
	switch {
	case w.Release.Version == 0:
		text += ", no release yet"
	case w.Switch.IsZero():
		text += fmt.Sprintf(", v%d was made %s ago", w.Release.Version, clock(now.Sub(w.Release.CreatedAt)))
	default:
		text += fmt.Sprintf(", v%d answers since %s", w.Release.Version, clock(now.Sub(w.Switch)))
	}
	return text, since.Seconds() / max(of.Seconds(), 1)
}

// clock is a length of time as a clock shows it: 3:14, or 1:00:00.
func clock(d time.Duration) string {
	d = max(0, d).Round(time.Second)
	h, m, s := int(d/time.Hour), int(d%time.Hour/time.Minute), int(d%time.Minute/time.Second)
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%d:%02d", m, s)
}
