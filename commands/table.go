package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
)

// Deps are what the commands read from.
type Deps struct {
	Apps     appReader
	Listed   appLister // which apps there are, to search among; nil: none can be searched for
	Policies Policies
	Groups   groups  // who is in a user group; nil: groups can't be read, which lets nobody in
	Desk     desk    // nil: nothing can be asked for, as on a terminal
	Ledger   entries // nil: there is none to read
	Abouts   Abouts  // what is known of the bot itself; nil: nothing, as on a terminal
	// Messages gives the address of a ticket's message; nil or an empty one: no link.
	Messages func(ctx context.Context, ticket string) string
	Waivers  waivers   // which there are; nil: none can be read here, and nothing is waived
	Waiving  waiveDesk // where they are asked for; nil: nowhere, as on a terminal
	// Watching is where watches of deploys are asked for, and Watches which there are; nil:
	// nowhere, and none, as on a terminal.
	Watching deployDesk
	Watches  deployWatches
	Proofs   proofs   // the last verdict on each app's deploys; nil: they are not told
	Nights   nights   // what the nightly scans found; nil: nothing is kept here
	Releases releases // nil: no release is named in history
	Reports  reports  // nil: the fleet can't be read from here
	// Members tells who is in a user group, for whose apps a Home shows; nil: it shows none
	// that a group owns.
	Members func(ctx context.Context, group string) ([]string, error)
	// ReadOnly is why nothing may be changed, in sentences that say what mends it; empty: it may.
	ReadOnly string
	// NextNight is when the first night after a time is due; nil or zero: not known.
	NextNight func(after time.Time) time.Time
}

// groups tells who is in a Slack user group. A group that can't be read lets nobody in.
type groups interface {
	InGroup(ctx context.Context, group, user string) (bool, error)
}

// Table is the grammar: every command there is, in the order of help.
type Table struct {
	commands []Command
	deps     Deps
	home     *homer
}

// New makes the table. This list is the only place that names all commands.
func New(deps Deps) Table {
	t := Table{deps: deps}
	p := proposer{deps.Apps, deps.Policies, deps.Desk, deps.Waivers}
	v := waiver{deps.Apps, deps.Policies, deps.Waiving}
	d := deployer{deps.Apps, deps.Policies, deps.Watching, deps.Watches}
	t.home = newHomer(deps, v)
	t.commands = []Command{
		newStatus(deps.Apps, deps.Policies, deps.Waivers, glancer{deps.Policies, deps.Nights, deps.NextNight, deps.Proofs}, t.mayWaive),
		newEnable(p),
		newDisable(p),
		newAffinity(p),
		newPreboot(p),
		newScale(p),
		newPending(deps.Desk, v),
		orDeploy(d, newShow(deps.Desk, v), d.show),
		newApprove(deps.Desk, v),
		newDeny(deps.Desk, v),
		orDeploy(d, newCancel(deps.Desk, v), d.stop),
		newDo(deps.Desk, deps.Policies),
		newResume(deps.Desk, deps.Policies),
		newUndo(p),
		newWaive(v),
		newUnwaive(v),
		newWaivers(v),
		newWatch(d),
		newWatches(d),
		newReport(deps.Reports),
		newHistory(historian{deps.Apps, deps.Policies, deps.Ledger, deps.Nights, deps.Releases, deps.Messages}),
		newAbout(deps.Abouts),
	}
	t.commands = append(t.commands, newHelp(slices.Clone(t.commands)))
	return t
}

// Commands are all commands, in the order of help.
func (t Table) Commands() []Command { return slices.Clone(t.commands) }

// Find reads a line: which command it is, and its words. It asks nobody and changes
// nothing. A line that is none of the grammar gives a *Refusal that helps.
func (t Table) Find(line string) (Command, Args, error) { return t.find(line, Slash) }

func (t Table) find(line string, via Via) (Command, Args, error) {
	if len(line) > maxLine {
		return Command{}, Args{}, refuse("That line is too long for me: %d characters, and I read %d. Try `help`.", len(line), maxLine)
	}
	in := words(line)
	for len(in) > 0 && slices.Contains([]string{"/zdd", "zdd", "@zdd"}, strings.ToLower(in[0])) {
		in = in[1:] // pasted along
	}
	if len(in) == 0 {
		in = []string{"help"}
	}
	name := strings.ToLower(strings.TrimLeft(in[0], dashes+"/"))
	if name == "?" || name == "h" {
		name = "help"
	}
	i := slices.IndexFunc(t.commands, func(c Command) bool { return c.Name == name })
	if i < 0 {
		return Command{}, Args{}, t.unknown(in)
	}
	c := t.commands[i]
	args, err := parseArgs(c, in[1:], via)
	return c, args, err
}

// unknown answers a line that begins with no command: the nearest ones, or status
// where the first word could be an app.
func (t Table) unknown(in []string) error {
	var names []string
	for _, c := range t.commands {
		names = append(names, c.Name)
	}
	reply := Reply{Summary: fmt.Sprintf("I don't know %q.", plain(in[0]))}
	say := Line("I don't know ", Code(plain(in[0])), ".")
	var row []Button
	ref, err := fleet.ParseRef(in[0])
	near := nearest(in[0], names, 2)
	if len(near) > 0 {
		say = append(say, Line(" Did you mean ", Code(near[0]))...)
		for _, n := range near[1:] {
			say = append(say, Line(" or ", Code(n))...)
		}
		say = append(say, Line("?")...)
		if _, err := parseArgs(t.named(near[0]), in[1:], Slash); err == nil && (len(in) > 1 || near[0] == "help") {
			row = append(row, runButton(strings.Join(append([]string{near[0]}, in[1:]...), " ")))
		}
	}
	if err == nil && len(in) == 1 {
		say = append(say, Line(" If it is an app, say ", Code("status "+ref.String()), ".")...)
		row = append(row, runButton("status "+ref.String()))
	}
	if len(near) == 0 || near[0] != "help" {
		say = append(say, Line(" ", Code("help"), " lists what I know.")...)
	}
	reply.Summary = say.String()
	reply.Parts = []Part{Para{say}}
	if help := runButton("help"); !slices.Contains(row, help) {
		row = append(row, help)
	}
	reply.Parts = append(reply.Parts, Buttons{row})
	return &Refusal{reply}
}

func (t Table) named(name string) Command {
	i := slices.IndexFunc(t.commands, func(c Command) bool { return c.Name == name })
	return t.commands[i]
}

// runButton runs a command line that the bot itself proposes. A line too long for a
// label keeps its beginning there; the whole line is run.
func runButton(line string) Button {
	label := line
	if r := []rune(label); len(r) > 60 {
		label = string(r[:60]) + "…"
	}
	return Button{Label: label, Run: line}
}

// Run answers one line for one person. Every line is checked as if it were the first:
// a button's line as much as a typed one. The error is a *Refusal to show word for
// word, or one to log.
func (t Table) Run(ctx context.Context, line string, req Request) (Reply, error) {
	if err := t.admit(ctx, req.By); err != nil {
		return Reply{}, err
	}
	c, args, err := t.find(line, req.Via)
	if err != nil {
		return Reply{}, err
	}
	if c.Desk && t.deps.Desk == nil {
		return Reply{}, refuse("`%s` works in Slack only: nothing is changed from a terminal, where there is no one to hold to account.", c.Name)
	}
	req.Args = args
	reply, err := c.Run(ctx, req)
	if problem, ok := errors.AsType[*fleet.Problem](err); ok {
		return Reply{}, Explain(problem)
	}
	if err != nil {
		if _, ok := errors.AsType[*Refusal](err); ok {
			return Reply{}, err
		}
		return Reply{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	return reply, nil
}

// admit lets full members of the workspace read, or the policy's readers where it
// names any. Being in the channel is no right: guests and people of other companies
// can be in it too.
func (t Table) admit(ctx context.Context, p Person) error {
	switch p.Kind {
	case Operator:
		return nil
	case Member:
	case Guest:
		return refuse("You are a guest in this workspace, and I answer full members only: what I show is your hosts' production. Ask a member to look for you.")
	case Foreign:
		return refuse("You are of another workspace (Slack Connect), and I answer members of this one only. Ask one of them to look for you.")
	case Deactivated:
		return refuse("This account is deactivated, so I don't answer it.")
	case Machine:
		return refuse("I answer people, not bots or workflows: there must be someone who asked.")
	default:
		return refuse("I could not find out who you are, so I changed and showed nothing. Try again in a minute.")
	}
	pol := t.deps.Policies.Policy()
	readers := pol.People.Readers
	if len(readers) == 0 {
		return nil
	}
	// Who may ask for changes or approve them may look, too: a ticket is sent to them.
	member, err := t.among(ctx, p, slices.Concat(readers, pol.People.Operators, pol.People.Approvers))
	switch {
	case member:
		return nil
	case err != nil:
		return refuse("The policy names user groups as readers, and I could not read who is in them, so I let nobody in. Try again in a minute; `bot doctor` says what is missing.")
	}
	return refusePaste(
		"The policy's `people.readers` does not name you, so I can't show you apps. Ask whoever keeps the policy file to add you:",
		"people:\n  readers: ["+strings.Join(append(slices.Clone(readers), p.ID), ", ")+"]")
}

// among says whether a person is one of ids, by themselves or by a user group. An error means that
// no group said yes and at least one could not be read: fail closed.
func (t Table) among(ctx context.Context, p Person, ids []string) (bool, error) {
	if slices.Contains(ids, p.ID) {
		return true, nil
	}
	var failed error
	for _, id := range ids {
		if !strings.HasPrefix(id, "S") {
			continue
		}
		if t.deps.Groups == nil {
			failed = errors.Join(failed, errors.New("no way to read user groups"))
			continue
		}
		in, err := t.deps.Groups.InGroup(ctx, id, p.ID)
		if in && err == nil {
			return true, nil
		}
		failed = errors.Join(failed, err)
	}
	return false, failed
}

// mayWaive says whether a person may ask for waivers, as far as that can be told now.
func (t Table) mayWaive(ctx context.Context, p Person) bool {
	if t.deps.Waiving == nil {
		return false
	}
	in, err := t.among(ctx, p, t.deps.Policies.Policy().People.Operators)
	return in && err == nil
}

// refusePaste is a refusal with YAML to paste into the policy file.
func refusePaste(sentence, yaml string) error {
	text := Prose(sentence)
	return &Refusal{Reply{Summary: text.String(), Parts: []Part{Para{text}, Pre{yaml}}}}
}

func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "one " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
