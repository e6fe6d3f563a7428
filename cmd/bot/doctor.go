package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"example.com/zdd/heroku"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

// finding is one thing that the doctor looked at.
type finding struct {
	state condition
	text  string // what was seen
	fix   string // what to do, exactly; empty when all is well
}

// condition is how a thing is.
type condition string

const (
	good    condition = "ok"
	warning condition = "warning"
	bad     condition = "wrong"
	unclear condition = "unknown"
)

// doctorTimeout bounds the whole visit.
const doctorTimeout = time.Minute

// skewAllowed is how far this machine's clock may be from Heroku's and Slack's: expiry,
// soak and settle times are minutes, and the answers' Date header has whole seconds.
const skewAllowed = 30 * time.Second

// doctorProgram looks at everything the bot needs and says how to mend what is wrong. It
// changes nothing, on Heroku, in Slack or in the database but for its migrations.
func doctorProgram(ctx context.Context, args []string, o outside) error {
	if len(args) > 0 {
		return usage("doctor")
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	cfg := readConfig(o.Getenv)
	var all []finding
	tell := func(title string, found ...finding) {
		fmt.Fprintln(o.Stdout, title)
		for _, f := range found {
			f.text, f.fix = cfg.redact(f.text), cfg.redact(f.fix)
			printFinding(o, f)
		}
		all = append(all, found...)
	}
	pol, policyFound := examinePolicy(cfg)
	tell("Policy", policyFound...)
	printInForce(o.Stdout, pol)
	tell("Heroku", examineHeroku(ctx, cfg, pol, o)...)
	tell("Slack", examineSlack(ctx, cfg, pol, o)...)
	tell("Database", examineDatabase(ctx, cfg)...)
	tell("Self-protection", examineSelf(cfg))
	return diagnosis(all, o)
}

func printFinding(o outside, f finding) {
	word := fmt.Sprintf("%-7s", f.state)
	if o.Color {
		word = map[condition]string{good: "\x1b[32m", warning: "\x1b[33m", bad: "\x1b[31m", unclear: "\x1b[35m"}[f.state] + word + "\x1b[0m"
	}
	fmt.Fprintf(o.Stdout, "  %s %s\n", word, f.text)
	for line := range strings.Lines(f.fix) {
		fmt.Fprintf(o.Stdout, "          → %s\n", strings.TrimRight(line, "\n"))
	}
}

// diagnosis sums up and picks the exit code.
func diagnosis(all []finding, o outside) error {
	n := map[condition]int{}
	for _, f := range all {
		n[f.state]++
	}
	fmt.Fprintf(o.Stdout, "\n%d ok, %d to think about, %d wrong, %d unknown\n", n[good], n[warning], n[bad], n[unclear])
	switch {
	case n[bad] > 0:
		return &exit{code: exitFindings}
	case n[unclear] > 0:
		return &exit{code: exitUnknown}
	}
	return nil
}

func examinePolicy(cfg config) (policy.Policy, []finding) {
	pol, origin, err := cfg.policy()
	if err != nil {
		return policy.Default(), []finding{{bad, err.Error(), "Mend the line and start the bot again; until then it does not start. Below is what would hold without the file."}}
	}
	found := []finding{{good, "read from " + origin + ", digest " + pol.Digest()[:12], ""}}
	for _, hint := range pol.Hints() {
		found = append(found, finding{warning, hint, fixOf(hint)})
	}
	return pol, found
}

// fixOf is the YAML that answers a hint, which begins with the key that it is about.
func fixOf(hint string) string {
	for key, yaml := range map[string]string{
		"`people.operators`": "people:\n  operators: [U0123ABCD]   # Slack user ids or user group ids: profile → ⋮ → Copy member ID",
		"`people.approvers`": "people:\n  approvers: [U0456EFGH, S0FINOPS]",
		"`approval.channel`": "approval: { channel: C0123ABCD }   # channel → View channel details → Copy channel ID",
		"`digest.channel`":   "digest: { channel: C0123ABCD }",
	} {
		if strings.HasPrefix(hint, key) {
			return yaml
		}
	}
	return ""
}

func printInForce(w io.Writer, pol policy.Policy) {
	fmt.Fprintln(w, "  in force:")
	for _, line := range pol.Describe() {
		fmt.Fprintf(w, "    %-28s %s  (%s)\n", line.Key, line.Value, line.Origin)
	}
}

func examineHeroku(ctx context.Context, cfg config, pol policy.Policy, o outside) []finding {
	if cfg.herokuKey.IsZero() {
		return []finding{{bad, "HEROKU_API_KEY is not set", "heroku authorizations:create --scope read,write --description zdd\nheroku config:set HEROKU_API_KEY=… --app <the bot's app>"}}
	}
	client, err := newHeroku(cfg, pol, o, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return []finding{{bad, err.Error(), "Correct HEROKU_API_URL or HEROKU_METRICS_URL, or unset them."}}
	}
	defer client.Close()
	account, err := client.ReadAccount(ctx)
	if err != nil {
		return []finding{problemFinding(err)}
	}
	found := []finding{{good, "the token works: account " + account.Email, ""}}
	switch remaining, err := client.ReadRate(ctx); {
	case err != nil:
		found = append(found, finding{unclear, "API calls left: " + err.Error(), "Run bot doctor again in a minute."})
	case remaining < pol.Heroku.Reserve:
		found = append(found, finding{warning, fmt.Sprintf("%d API calls are left, less than the reserve of %d that the bot leaves to people", remaining, pol.Heroku.Reserve), "Someone else uses this account too. Give the bot an account of its own, or wait: 75 calls come back each minute."})
	default:
		found = append(found, finding{good, fmt.Sprintf("%d API calls left, %d of them reserved for people", remaining, pol.Heroku.Reserve), ""})
	}
	switch skew, err := client.Skew(ctx); {
	case err != nil:
		found = append(found, finding{unclear, "clock: " + err.Error(), ""})
	case skew.Abs() > skewAllowed:
		found = append(found, finding{bad, fmt.Sprintf("this machine's clock is %s off Heroku's: expiry and waiting times would be wrong", skew.Round(time.Second)), "timedatectl set-ntp true"})
	default:
		found = append(found, finding{good, "the clock agrees with Heroku's", ""})
	}
	seen, err := 0, error(nil)
	for _, e := range client.ReadApps(heroku.Urgent(ctx), heroku.AppFilter{}) {
		if e != nil {
			err = e
			continue
		}
		seen++
	}
	switch {
	case err != nil:
		found = append(found, finding{unclear, fmt.Sprintf("at least %d apps are seen, but not every list could be read: %v", seen, err), "Give the account access to that team, or name the teams to cover in the policy: scope.teams."})
	case seen == 0:
		found = append(found, finding{bad, "the account sees no app at all", "heroku access:add " + account.Email + " --permissions view,deploy,operate --app <app>   # or add it to the team"})
	default:
		found = append(found, finding{good, fmt.Sprintf("the account sees %d apps", seen), ""})
	}
	return found
}

func examineDatabase(ctx context.Context, cfg config) []finding {
	if err := cfg.checkDatabase(); err != nil {
		return []finding{{bad, "SQLite on a dyno: its disk is lost at every restart, and with it every approval and the ledger", "heroku addons:create heroku-postgresql:essential-0"}}
	}
	options, err := cfg.storeOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{{bad, err.Error(), ""}}
	}
	opened, err := store.Open(ctx, options)
	if err != nil {
		return []finding{{bad, err.Error(), "Check DATABASE_URL, that the server runs, and that this machine may reach it."}}
	}
	defer opened.Close()
	found := []finding{{good, "the " + string(opened.Dialect()) + " database opens, and its schema is current", ""}}
	if cfg.sqliteOnDyno && cfg.dyno != "" && opened.Dialect() == store.SQLite {
		found = append(found, finding{warning, "SQLite on a dyno, allowed by ZDD_SQLITE_ON_DYNO: everything is lost at every restart", "heroku addons:create heroku-postgresql:essential-0"})
	}
	return found
}

// examineSelf: the bot must never act on the app that it runs on, and so must know which that is.
func examineSelf(cfg config) finding {
	switch {
	case cfg.dyno == "":
		return finding{good, "this is no Heroku dyno, so there is no app of the bot's own to protect", ""}
	case cfg.herokuAppID != "":
		return finding{good, "the bot knows its own app by HEROKU_APP_ID and will never change it", ""}
	case cfg.selfApp != "":
		return finding{good, "the bot knows its own app by ZDD_SELF_APP and will never change it", ""}
	}
	return finding{bad, "the bot runs on a dyno and does not know which app is its own, so it reads but will change nothing", "heroku labs:enable runtime-dyno-metadata --app <the bot's app>\nor: heroku config:set ZDD_SELF_APP=<the bot's app> --app <the bot's app>"}
}
