package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"example.com/zdd/chat"
	"example.com/zdd/commands"
)

// historyProgram is /zdd history for a terminal. It needs the database, and
// HEROKU_API_KEY only where an app is named.
func historyProgram(ctx context.Context, args []string, o outside) error {
	const line = "history [APP] [before=N]"
	named := 0
	for _, a := range args {
		name, _, option := strings.Cut(a, "=")
		if !option {
			named++
		}
		if strings.HasPrefix(a, "-") || option && !strings.EqualFold(name, "before") || named > 1 {
			return usage(line)
		}
	}
	cfg := readConfig(o.Getenv)
	opened, err := openExisting(ctx, cfg)
	if err != nil {
		return err
	}
	defer opened.Close()
	pol, _, err := cfg.policy()
	if err != nil {
		return err
	}
	deps := commands.Deps{Policies: fixed{pol}, Ledger: opened, Nights: opened}
	if len(args) > 0 && !strings.HasPrefix(args[0], "before=") {
		if err := cfg.missing("HEROKU_API_KEY"); err != nil {
			return err
		}
		apps, err := newHeroku(cfg, pol, o, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			return err
		}
		defer apps.Close()
		deps.Apps, deps.Releases = apps, apps
	}
	reply, err := commands.New(deps).Run(ctx, "history "+strings.Join(args, " "), commands.Request{By: commands.Person{Kind: commands.Operator}, Via: commands.Terminal, Now: o.now()})
	if refusal, ok := errors.AsType[*commands.Refusal](err); ok {
		if err := chat.Terminal(o.Stderr, withoutButtons(refusal.Reply), style(o)); err != nil {
			return err
		}
		return &exit{code: exitError}
	}
	if err != nil {
		return err
	}
	return chat.Terminal(o.Stdout, turnedByHand(reply), style(o))
}

// turnedByHand is a reply whose buttons, which turn to the next page, are said as what to
// type here.
func turnedByHand(r commands.Reply) commands.Reply {
	parts := slices.Clone(r.Parts)
	for i, part := range parts {
		if row, ok := part.(commands.Buttons); ok {
			var text commands.Text
			for _, b := range row.Row {
				text = append(text, commands.Line(b.Label+": ", commands.Code("bot "+b.Run))...)
			}
			parts[i] = commands.Para{Text: text}
		}
	}
	r.Parts = parts
	return r
}
