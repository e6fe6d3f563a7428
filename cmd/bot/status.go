package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/policy"
	"example.com/zdd/watch"
)

// statusTimeout bounds the whole of bot status.
const statusTimeout = 30 * time.Second

// statusProgram is /zdd status for a terminal and for programs. It needs only
// HEROKU_API_KEY, and reads the policy where there is one.
func statusProgram(ctx context.Context, args []string, o outside) error {
	const line = "status APP [--json]"
	asJSON := slices.Contains(args, "--json")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--json" })
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		return usage(line)
	}
	pol, apps, err := herokuAlone(o)
	if err != nil {
		return err
	}
	defer apps.Close()
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	app, err := commands.ReadNamed(ctx, apps, args[0], "bot "+line)
	if err != nil {
		return cannotTell(err, commands.Explain, asJSON, o)
	}
	waived := openWaivers(ctx, pol, o)
	defer waived.close()
	rules, unread := waived.rules(pol)(ctx, app)
	if unread != nil {
		rules = pol.For(app)
	}
	report := audit.Judge(app, rules, time.Now())
	var proof *watch.Proof
	if proofs := waived.proofs(ctx, o, app.ID); proofs != nil {
		proof = new(proofs[app.ID])
	}
	if asJSON {
		if unread != nil {
			fmt.Fprintf(o.Stderr, "bot: the waivers could not be read, so what is waived counts here: %s\n", readConfig(o.Getenv).redact(unread.Error()))
		}
		out := json.NewEncoder(o.Stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(statusReport{report, proof}); err != nil {
			return err
		}
	} else {
		if err := chat.Terminal(o.Stdout, withoutButtons(commands.StatusReply(report, commands.StatusView{Zone: pol.Nightly.Location(), Now: o.now(), Via: commands.Terminal, Unwaived: unread != nil, Proof: proof})), style(o)); err != nil {
			return err
		}
	}
	switch report.Verdict {
	case audit.VerdictNotReady:
		return &exit{code: exitFindings}
	case audit.VerdictUnknown:
		return &exit{code: exitUnknown}
	}
	return nil
}

// statusReport is what `bot status --json` prints. Its form is for programs: fields are added
// to it, never renamed or taken away.
type statusReport struct {
	audit.Report
	Proof *watch.Proof `json:"proof,omitempty"` // the last verdict on its deploys, its watch "" where none was watched; absent: that is not known here
}

// herokuAlone is for programs that need HEROKU_API_KEY and nothing else: the policy in
// force and a client, which the caller closes.
func herokuAlone(o outside) (policy.Policy, *heroku.Client, error) {
	cfg := readConfig(o.Getenv)
	if err := cfg.missing("HEROKU_API_KEY"); err != nil {
		return policy.Policy{}, nil, err
	}
	pol, _, err := cfg.policy()
	if err != nil {
		return policy.Policy{}, nil, err
	}
	apps, err := newHeroku(cfg, pol, o, slog.New(slog.DiscardHandler), nil)
	return pol, apps, err
}

// cannotTell prints why an app, or the fleet, could not be judged and picks the exit code: an app that
// is not there is an error, a Heroku that does not answer is "could not tell".
func cannotTell(err error, explain func(*fleet.Problem) error, asJSON bool, o outside) error {
	code, kind := exitError, "refused"
	if p, ok := errors.AsType[*fleet.Problem](err); ok {
		err, kind = explain(p), string(p.Kind)
		if p.Kind != fleet.Unauthorized {
			code = exitUnknown
		}
	}
	refusal, ok := errors.AsType[*commands.Refusal](err)
	if !ok {
		return err
	}
	if asJSON {
		type failure struct {
			Kind    string `json:"kind"`
			Message string `json:"message"`
		}
		if err := json.NewEncoder(o.Stdout).Encode(map[string]failure{"error": {kind, refusal.Error()}}); err != nil {
			return err
		}
	} else if err := chat.Terminal(o.Stderr, withoutButtons(refusal.Reply), style(o)); err != nil {
		return err
	}
	return &exit{code: code}
}

func style(o outside) chat.Style { return chat.Style{Color: o.Color, Width: o.Width} }

// withoutButtons is a reply for a terminal, where there is nothing to press.
func withoutButtons(r commands.Reply) commands.Reply {
	var parts []commands.Part
	for _, part := range r.Parts {
		switch p := part.(type) {
		case commands.Buttons:
			continue
		case commands.List:
			var items []commands.Item
			for _, item := range p.Items {
				if item.Button != nil && item.Mark == "" { // it tells what its button does, and nothing else
					continue
				}
				item.Button = nil
				items = append(items, item)
			}
			part = commands.List{Items: items}
		}
		parts = append(parts, part)
	}
	r.Parts = parts
	return r
}
