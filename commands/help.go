package commands

import (
	"context"
	"slices"
	"strings"
)

func newHelp(others []Command) Command {
	help := Command{
		Name:    "help",
		Usage:   "help [command]",
		Summary: "list the commands, or explain one",
		Help:    "Lists what I can do. With a command's name it explains that command: its options and lines to try.",
		Example: []string{"help", "help status"},
		Args:    1,
	}
	all := append(slices.Clone(others), help)
	help.Run = func(_ context.Context, req Request) (Reply, error) {
		name := strings.ToLower(strings.TrimLeft(req.Args.Word(0), "/"))
		if name == "" {
			return helpAll(all, req.Via), nil
		}
		i := slices.IndexFunc(all, func(c Command) bool { return c.Name == name })
		if i < 0 {
			names := make([]string, len(all))
			for i, c := range all {
				names[i] = c.Name
			}
			if near := nearest(name, names, 1); len(near) > 0 {
				return Reply{}, refuse("There is no command `%s`; did you mean `help %s`?", plain(name), near[0])
			}
			return Reply{}, refuse("There is no command `%s`. I know %s.", plain(name), listed(names))
		}
		return helpOne(all[i], req.Via), nil
	}
	return help
}

// spoken is how a person begins a line, by the way they came.
func spoken(via Via, line string) string {
	switch via {
	case Mention:
		return "@zdd " + line
	case Direct:
		return line
	case Terminal:
		return "bot " + line
	}
	return "/zdd " + line
}

func helpAll(all []Command, via Via) Reply {
	var items []Item
	for _, c := range all {
		items = append(items, Item{Text: Line(Code(spoken(via, c.Usage)), " — ", c.Summary)})
	}
	reply := Reply{
		Summary: "I make every deploy of your Heroku apps a zero-downtime deploy. Try " + spoken(via, "status") + " and an app's name.",
		Parts: []Part{
			Heading{"zdd: zero-downtime deploys on Heroku"},
			Para{Line("Ask about an app, and I say whether its deploys are zero-downtime, why not, and what to do.")},
			List{items},
			Note{Prose("Everywhere: an app can be its name, its UUID, its dashboard page or its herokuapp.com address; options are `key=value` or `--key value`. Mention me in a channel or thread, or write to me directly, with the same words.")},
		},
	}
	if via != Terminal {
		reply.Parts = append(reply.Parts, Buttons{[]Button{{Label: "Choose in a dialog…", Form: &FormCall{Name: FormStart}}}})
	}
	return reply
}

func helpOne(c Command, via Via) Reply {
	parts := []Part{
		Heading{c.Name + ": " + c.Summary},
		Para{Line(Code(spoken(via, c.Usage)))},
		Para{Prose(c.Help)},
	}
	if len(c.Options) > 0 {
		var pairs []Fact
		for _, o := range c.Options {
			pairs = append(pairs, Fact{o.Name + "=", Prose(o.Summary)})
		}
		parts = append(parts, Facts{pairs})
	}
	if len(c.Example) > 0 {
		lines := make([]string, len(c.Example))
		for i, e := range c.Example {
			lines[i] = spoken(via, e)
		}
		parts = append(parts, Pre{strings.Join(lines, "\n")})
	}
	return Reply{Summary: c.Usage + ": " + c.Summary, Parts: parts}
}
