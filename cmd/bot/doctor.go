package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/zdd/policy"
)

// looksAt is one thing that the doctor examines. docs/doctor.md is made from these.
type looksAt struct {
	ID   string // what --json names it by; it never changes
	What string // a sentence's beginning: "whether …", "which …"
}

// examinations are all of them, in the order in which they are told.
func examinations() []looksAt {
	return []looksAt{
		{"settings", "the variables of the environment that are neither a token nor a place"},
		{"policy", "whether the policy file can be read, and what in it is allowed and probably not meant"},
		{"slack-bot-token", "whether the bot token is one, and whether Slack accepts it"},
		{"slack-scopes", "whether the bot token has every scope of manifest.yml that something needs"},
		{"slack-app-token", "whether the app-level token is one, and whether Slack accepts it"},
		{"slack-link", "whether a Socket Mode link opens, and how many others are open"},
		{"slack-app", "whether both Slack tokens are of the same app"},
		{"channels", "whether the bot can post in each channel that the policy names"},
		{"people", "whether each person and user group that the policy names exists and may use the bot"},
		{"approvals", "whether anybody could approve what anybody asks for"},
		{"heroku-key", "whether Heroku accepts the key, and whether it may change apps"},
		{"heroku-apps", "whether the key's account sees the apps and teams that the policy names"},
		{"heroku-calls", "how much of the account's hourly API limit is left"},
		{"own-app", "whether the bot knows which app is its own, and whether that runs a dyno"},
		{"probes", "whether the domains that the policy has probed while deploys are watched lead to public addresses, where it names any"},
		{"clock", "whether this machine's clock agrees with Heroku's and Slack's"},
		{"database", "whether the database can be reached, keeps what it is given, and is of this version"},
		{"ledger-key", "whether the record of who did what is sealed, and with the same key as before"},
	}
}

// finding is what an examination came to.
type finding struct {
	check string // its ID
	state condition
	text  string // what was seen
	cure  string // what to do, exactly, in lines; empty when all is well
}

// condition is how a thing is.
type condition string

const (
	good    condition = "fine"
	warning condition = "warning"
	bad     condition = "wrong"
	unclear condition = "unknown"
)

// conditions are all of them with their headings, in the order in which they are told:
// what has to be mended comes first.
func conditions() []struct{ state, heading condition } {
	return []struct{ state, heading condition }{
		{bad, "Wrong"}, {unclear, "Could not tell"}, {warning, "To think about"}, {good, "Fine"},
	}
}

// doctorTimeout bounds the whole visit.
const doctorTimeout = time.Minute

// doctor is one visit.
type doctor struct {
	cfg    config
	out    outside
	policy policy.Policy
	skews  []skew // appended to by the examinations of both services
	mu     sync.Mutex
}

// doctorProgram looks at everything the bot needs and says how to mend what is wrong. It
// changes nothing, on Heroku, in Slack or in the database.
func doctorProgram(ctx context.Context, args []string, o outside) error {
	const line = "doctor [--json]"
	asJSON := slices.Contains(args, "--json")
	if len(args) > 1 || len(args) == 1 && !asJSON {
		return usage(line)
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	d := &doctor{cfg: readConfig(o.Getenv), out: o}
	found := d.examine(ctx)
	for i, f := range found {
		found[i].text, found[i].cure = d.cfg.redact(f.text), d.cfg.redact(f.cure)
	}
	tell := tellFindings
	if asJSON {
		tell = encodeFindings
	}
	if err := tell(o, found, d.policy); err != nil {
		return err
	}
	switch n := count(found); {
	case n[bad] > 0:
		return &exit{code: exitFindings}
	case n[unclear] > 0:
		return &exit{code: exitUnknown}
	}
	return nil
}

// examine does the whole visit, the two services, the database and DNS side by side.
func (d *doctor) examine(ctx context.Context) []finding {
	found := d.examineSettings()
	pol, policyFound := d.examinePolicy()
	d.policy = pol
	found = append(found, policyFound...)
	parts := []func(context.Context) []finding{d.examineSlack, d.examineHeroku, d.examineDatabase, d.examineProbes}
	results := make([][]finding, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() { results[i] = part(ctx) })
	}
	all.Wait()
	found = append(found, slices.Concat(results...)...)
	found = append(found, d.examineClock())
	rank := map[string]int{}
	for i, e := range examinations() {
		rank[e.ID] = i
	}
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(rank[a.check], rank[b.check]) })
	return found
}

// wantsChanges says whether the policy lets anybody ask for a change: then what keeps the
// bot from changing anything is wrong, else it is worth a thought.
func (d *doctor) wantsChanges() condition {
	if len(d.policy.People.Operators) > 0 {
		return bad
	}
	return warning
}

// set says how to give the bot a variable.
func (d *doctor) set(name, value string) string {
	if d.cfg.dyno != "" {
		return fmt.Sprintf("heroku config:set %s=%s --app %s", name, value, d.ownApp())
	}
	return fmt.Sprintf("Set %s=%s where the bot gets its environment from, and start it again.", name, value)
}

// unset says how to take one away.
func (d *doctor) unset(name string) string {
	if d.cfg.dyno != "" {
		return fmt.Sprintf("heroku config:unset %s --app %s", name, d.ownApp())
	}
	return fmt.Sprintf("Take %s out of where the bot gets its environment from, and start it again.", name)
}

// ownApp is the bot's own app for a command: its name, if a variable tells it.
// HEROKU_APP_NAME comes with HEROKU_APP_ID (Dev Center, "Heroku Labs: Dyno Metadata").
func (d *doctor) ownApp() string {
	return cmp.Or(d.cfg.selfApp, strings.TrimSpace(d.out.Getenv("HEROKU_APP_NAME")), "<the bot's app>")
}

func count(found []finding) map[condition]int {
	n := map[condition]int{}
	for _, f := range found {
		n[f.state]++
	}
	return n
}

// tellFindings prints for people: what is wrong first.
func tellFindings(o outside, found []finding, pol policy.Policy) error {
	var b strings.Builder
	for _, c := range conditions() {
		titled := false
		for _, f := range found {
			if f.state != c.state {
				continue
			}
			if !titled {
				fmt.Fprintf(&b, "%s\n", o.colored(c.state, string(c.heading)))
				titled = true
			}
			fmt.Fprintf(&b, "  %-16s %s\n", f.check, f.text)
			for line := range strings.Lines(f.cure) {
				fmt.Fprintf(&b, "  %-16s → %s\n", "", strings.TrimRight(line, "\n"))
			}
		}
		if titled {
			b.WriteString("\n")
		}
	}
	b.WriteString("In force\n")
	for _, line := range pol.Describe() {
		fmt.Fprintf(&b, "  %-28s %s  (%s)\n", line.Key, line.Value, line.Origin)
	}
	n := count(found)
	fmt.Fprintf(&b, "\n%d wrong, %d unknown, %d to think about, %d fine\n", n[bad], n[unclear], n[warning], n[good])
	_, err := io.WriteString(o.Stdout, b.String())
	return err
}

func (o outside) colored(c condition, text string) string {
	if !o.Color {
		return text
	}
	return map[condition]string{good: "\x1b[32m", warning: "\x1b[33m", bad: "\x1b[31m", unclear: "\x1b[35m"}[c] + text + "\x1b[0m"
}

// encodeFindings prints for programs.
func encodeFindings(o outside, found []finding, pol policy.Policy) error {
	type one struct {
		Check string    `json:"check"`
		State condition `json:"state"`
		Text  string    `json:"text"`
		Cure  []string  `json:"cure,omitempty"`
	}
	type rule struct {
		Key    string `json:"key"`
		Value  string `json:"value"`
		Origin string `json:"origin"`
	}
	report := struct {
		Version  string            `json:"version"`
		Counts   map[condition]int `json:"counts"`
		Findings []one             `json:"findings"`
		InForce  []rule            `json:"in_force"`
	}{Version: version(), Counts: count(found), Findings: []one{}}
	for _, f := range found {
		var cure []string
		for line := range strings.Lines(f.cure) {
			cure = append(cure, strings.TrimRight(line, "\n"))
		}
		report.Findings = append(report.Findings, one{f.check, f.state, f.text, cure})
	}
	for _, line := range pol.Describe() {
		report.InForce = append(report.InForce, rule(line))
	}
	enc := json.NewEncoder(o.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
