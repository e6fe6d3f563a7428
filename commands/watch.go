package commands

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// deployDesk is where watches of deploys are asked for and ended; *watch.Desk is one.
type deployDesk interface {
	Ask(ctx context.Context, a watch.AskFor) (w watch.Watch, made bool, err error)
	Stop(ctx context.Context, id, by string) (watch.Watch, error)
}

// deployWatches reads which watches of deploys there are; watch.Store does.
type deployWatches interface {
	Watch(ctx context.Context, id string) (watch.Watch, error) // watch.ErrNoWatch
	Watches(ctx context.Context, f watch.Filter) ([]watch.Watch, error)
}

// deployer is what the commands on watches of deploys work with.
type deployer struct {
	apps     appReader
	policies Policies
	desk     deployDesk
	kept     deployWatches
}

func noDeployWatches() error {
	return refuse("Watches of deploys are kept where I am connected, in Slack. On a terminal, `bot watch APP` watches one.")
}

func (d deployer) view(now time.Time) WatchView {
	return WatchView{Zone: d.policies.Policy().Nightly.Location(), Now: now}
}

func newWatch(d deployer) Command {
	const usage = "watch <app> [for=15m]"
	return Command{
		Name:    "watch",
		Usage:   usage,
		Summary: "watch a deploy of an app, and say whether anybody noticed",
		Help: "Say it, then deploy. I send the app requests at a constant rate, as the policy's `apps: { shop: { probe: … } }` says, and tie what becomes of them to the release that Heroku makes meanwhile. " +
			"One message tells how it goes, and in the end the verdict: `proved`, `failed` with why, or `inconclusive` with what to do about it. I go on until the hand-over is sure to be over, at most for 60 minutes. On Heroku nothing is changed. " +
			"`cancel D-12` ends one early; what it saw until then is told, and proves nothing.",
		Example: []string{"watch shop", "watch shop for=15m"},
		Args:    4, // shop for 15 minutes
		Options: []Option{{Name: "for", Summary: "how long, from `2m` to `60m`; a hand-over that takes longer is waited for all the same. Without it the policy says (`watch.lasts`)"}},
		Changes: true,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if d.desk == nil {
				return Reply{}, noDeployWatches()
			}
			return d.watch(ctx, req, spoken(req.Via, usage))
		},
	}
}

// watch asks for a watch.
func (d deployer) watch(ctx context.Context, req Request, usage string) (Reply, error) {
	length, err := lengthOf(req, usage)
	if err != nil {
		return Reply{}, err
	}
	app, err := ReadNamed(ctx, d.apps, req.Args.Word(0), usage)
	if err != nil {
		return Reply{}, err
	}
	w, made, err := d.desk.Ask(ctx, watch.AskFor{By: req.By.ID, App: app, For: length, Origin: req.Origin, Channel: req.Channel})
	if err != nil {
		return Reply{}, d.unwatched(err, app, req.By)
	}
	name := Bold(w.ID + " · " + w.Name)
	var text Text
	switch {
	case !made && w.Origin != req.Origin:
		text = Line(name, " is being watched already, until ", At(w.Until), byWhom(w), ". I did not begin another one.")
	case w.State == watch.Ended: // the same request once more, long after
		return WatchReply(w, d.view(req.Now)), nil
	default:
		text = Line(name, ": I ask ", Code("GET "+w.URL), fmt.Sprintf(" %s a second, for %s. ", times(w.Probe.Rate), watch.InWords(w.Until.Sub(w.Asked))), Bold("Deploy once my message says that it has begun"), ", within seconds.")
	}
	switch w.Channel {
	case "", req.Channel:
	default:
		text = append(text, Line(" It is told in ", MentionChannel(w.Channel), ".")...)
	}
	return Reply{Summary: text.String(), Parts: []Part{Para{text}, Buttons{[]Button{{Label: "Details", Run: "show " + w.ID}, stopWatch(w)}}}}, nil
}

func byWhom(w watch.Watch) Text {
	if w.By == "" {
		return Line(", because the policy wants each release watched")
	}
	return Line(", as ", MentionUser(w.By), " asked")
}

// lengthOf is how long a watch is to take, from for=15m or from "for 15 minutes"; 0: as long
// as the policy says.
func lengthOf(req Request, usage string) (time.Duration, error) {
	typed, given := req.Args.Options["for"]
	if rest := req.Args.Words; len(rest) > 1 {
		rest = rest[1:]
		if strings.EqualFold(rest[0], "for") && !given {
			rest, given = rest[1:], true
			typed, rest = strings.Join(rest, " "), nil
		}
		if len(rest) > 0 {
			return 0, refuse("After the app I read only how long, and not %s. Nothing was begun. Usage: `%s`", listed(rest), usage)
		}
	}
	if !given {
		return 0, nil
	}
	length, ok := parseLength(typed)
	switch {
	case !ok:
		return 0, refuse("I can't read `%s` as a length of time: write it like `15m`. Nothing was begun. Usage: `%s`", plain(typed), usage)
	case length < watch.Shortest || length > watch.Longest:
		return 0, badLength()
	}
	return length, nil
}

func badLength() error {
	return refuse("A watch takes from 2 to 60 minutes: a hand-over takes most of two minutes at the least. Nothing was begun.")
}

// parseLength reads a length as people type it: 15m, 15 min, an hour as 1h; a bare number is
// minutes.
func parseLength(text string) (time.Duration, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if m := typedLength.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		unit := time.Minute
		switch {
		case strings.HasPrefix(m[2], "s"):
			unit = time.Second
		case strings.HasPrefix(m[2], "h"):
			unit = time.Hour
		}
		return time.Duration(n) * unit, err == nil
	}
	length, err := time.ParseDuration(text)
	return length, err == nil
}

var typedLength = regexp.MustCompile(`^([0-9]{1,6}) ?(s|secs?|seconds?|m|mins?|minutes?|h|hours?)?$`)

// unwatched puts into words why a watch was not begun.
func (d deployer) unwatched(err error, app fleet.App, by Person) error {
	pol := d.policies.Policy()
	if why, ok := errors.AsType[*watch.NotProbed](err); ok {
		return refuse("%s Nothing was begun.", why.Why)
	}
	if why, ok := errors.AsType[*watch.NotInScope](err); ok {
		return refuse("`%s` is not watched, because the policy's scope leaves it out: %s. Nothing was begun.", why.App, why.Why)
	}
	switch {
	case errors.Is(err, watch.ErrLength):
		return badLength()
	case errors.Is(err, watch.ErrTooMany):
		return refuse("As many deploys are watched now as the policy allows at once (`watch: { at_once: %d }`). Nothing was begun; `watches` says when the next one ends.", pol.Watch.AtOnce)
	case errors.Is(err, watch.ErrBusy):
		return refuse("With `%s` the watches would send more requests a second than the policy allows (`watch: { per_second: %d }`). Nothing was begun; `watches` says when the next one ends.", app.Name, pol.Watch.PerSecond)
	}
	return notDesk(err, pol, by, "have a deploy watched")
}

// notDesk puts into words why somebody may not, or nobody can just now.
func notDesk(err error, pol policy.Policy, by Person, what string) error {
	if why, ok := errors.AsType[*watch.ReadOnly](err); ok {
		return refuse("%s", why.Why)
	}
	if _, ok := errors.AsType[*watch.NoGroups](err); ok {
		return refuse("The policy names user groups as operators or approvers, and I could not read who is in them, so I can't tell whether you may %s. Nothing was done. Try again in a minute; `bot doctor` says what is missing.", what)
	}
	if errors.Is(err, watch.ErrNotOperator) {
		return refusePaste(
			"Only operators and approvers may "+what+", and the policy names you as neither, so nothing was done. Ask whoever keeps the policy file to add you:",
			"people:\n  operators: ["+strings.Join(append(slices.Clone(pol.People.Operators), by.ID), ", ")+"]")
	}
	return err
}

// orDeploy lets a command on tickets work on watches of deploys too: their ids tell them apart.
func orDeploy(d deployer, c Command, do func(ctx context.Context, req Request, id string) (Reply, error)) Command {
	other := c.Run
	c.Run = func(ctx context.Context, req Request) (Reply, error) {
		id, ok := watch.ParseID(req.Args.Word(0))
		switch {
		case !ok:
			return other(ctx, req)
		case d.kept == nil:
			return Reply{}, noDeployWatches()
		}
		reply, err := do(ctx, req, id)
		if errors.Is(err, watch.ErrNoWatch) {
			return Reply{}, refuse("There is no watch `%s`, or none any more. `watches` lists the last ones.", id)
		}
		return reply, err
	}
	return c
}

// show is a watch whole.
func (d deployer) show(ctx context.Context, req Request, id string) (Reply, error) {
	w, err := d.kept.Watch(ctx, id)
	if err != nil {
		return Reply{}, err
	}
	return WatchReply(w, d.view(req.Now)), nil
}

// stop ends a watch early.
func (d deployer) stop(ctx context.Context, req Request, id string) (Reply, error) {
	if d.desk == nil {
		return Reply{}, noDeployWatches()
	}
	before, err := d.kept.Watch(ctx, id)
	if err != nil {
		return Reply{}, err
	}
	w, err := d.desk.Stop(ctx, id, req.By.ID)
	if err != nil {
		return Reply{}, notDesk(err, d.policies.Policy(), req.By, "stop one that somebody else asked for")
	}
	name := Bold(w.ID + " · " + w.Name)
	text := Line(name, " ends within seconds. What it saw until then is told, and proves nothing unless it is all.")
	switch {
	case before.State == watch.Ended:
		text = Line(name, " was over already. Nothing was changed.")
	case w.State == watch.Ended:
		text = Line(name, " is called off before it began. Nothing was measured.")
	}
	return Reply{Summary: text.String(), Parts: []Part{Para{text}, Buttons{[]Button{{Label: "Details", Run: "show " + w.ID}}}}}, nil
}

// watchesListed is how many watches are named at once.
const watchesListed = 15

func newWatches(d deployer) Command {
	const usage = "watches [app]"
	return Command{
		Name:    "watches",
		Usage:   usage,
		Summary: "list the deploys that were watched last, with their verdicts",
		Help:    "The newest first; those that run say until when. `show D-12` shows one whole.",
		Example: []string{"watches", "watches shop"},
		Args:    1,
		Desk:    true,
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if d.kept == nil {
				return Reply{}, noDeployWatches()
			}
			f, title := watch.Filter{Limit: watchesListed}, "Watched deploys"
			if word := req.Args.Word(0); word != "" {
				app, err := ReadNamed(ctx, d.apps, word, spoken(req.Via, usage))
				if err != nil {
					return Reply{}, err
				}
				f.App, title = app.ID, title+" of "+app.Name
			}
			all, err := d.kept.Watches(ctx, f)
			if err != nil {
				return Reply{}, err
			}
			return watchesReply(all, title, d.view(req.Now)), nil
		},
	}
}

func watchesReply(all []watch.Watch, title string, v WatchView) Reply {
	if len(all) == 0 {
		text := Line("No deploy was watched yet. ", Code("watch <app>"), ", said before a deploy, watches that one.")
		return Reply{Summary: title + ": none", Parts: []Part{Heading{title}, Para{text}}}
	}
	var items []Item
	for _, w := range all {
		item := Item{Mark: watchMark(w), Text: Line(Bold(w.ID), " ", Code(w.Name), ": "+watchHeadline(w, v))}
		when := Line(At(w.Asked))
		if w.By != "" {
			when = append(when, Line(" · ", MentionUser(w.By))...)
		}
		item.Detail = []Text{when}
		item.Button = &Button{Label: "Details", Run: "show " + w.ID}
		items = append(items, item)
	}
	reply := Reply{Summary: fmt.Sprintf("%s: the last %d", title, len(all)), Parts: []Part{Heading{title}, List{items}}}
	if len(all) == watchesListed {
		reply.Parts = append(reply.Parts, Note{Line("Older ones are in ", Code("history <app>"), ".")})
	}
	return reply
}

// stopWatch ends a watch before its time.
func stopWatch(w watch.Watch) Button {
	return Button{Label: "Stop", Run: "cancel " + w.ID, Danger: true, Confirm: &Confirm{
		Title: "Stop " + w.ID + "?", Text: "What it has seen until now is told, and proves nothing unless the hand-over is over. On Heroku nothing is changed.", Yes: "Stop",
	}}
}
