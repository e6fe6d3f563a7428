package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/policy"
)

// examineSettings looks at what can be judged without asking anybody.
func (d *doctor) examineSettings() []finding {
	var found []finding
	if d.cfg.logLevel != "" && new(slog.Level).UnmarshalText([]byte(d.cfg.logLevel)) != nil {
		found = append(found, finding{"settings", bad, fmt.Sprintf("LOG_LEVEL is %q, and the bot does not start with that", d.cfg.logLevel), d.set("LOG_LEVEL", "info")})
	}
	if !listenable(d.cfg.port) {
		found = append(found, finding{"settings", bad, fmt.Sprintf("PORT is %q; it is a port or address:port", d.cfg.port), d.set("PORT", "8080")})
	}
	if d.cfg.policyFile != "" && strings.TrimSpace(d.cfg.policyText) != "" {
		found = append(found, finding{"settings", warning, "ZDD_POLICY and ZDD_POLICY_YAML are both set: the file " + d.cfg.policyFile + " is not looked at", d.unset("ZDD_POLICY")})
	}
	if len(found) == 0 {
		found = append(found, finding{"settings", good, "the environment's settings can be read", ""})
	}
	return found
}

// listenable says whether the health server could be told to listen there.
func listenable(port string) bool {
	if port == "" {
		return true
	}
	if strings.Contains(port, ":") {
		var err error
		if _, port, err = net.SplitHostPort(port); err != nil {
			return false
		}
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 1<<16
}

func (d *doctor) examinePolicy() (policy.Policy, []finding) {
	pol, origin, err := d.cfg.policy()
	if err != nil {
		return policy.Default(), d.mistaken(origin, err)
	}
	found := []finding{{"policy", good, "read from " + origin + ", digest " + pol.Digest()[:12], ""}}
	for _, hint := range pol.Hints() {
		found = append(found, finding{"policy", warning, hint, cureOf(hint)})
	}
	return pol, found
}

// mistaken tells each mistake of a policy file by itself.
func (d *doctor) mistaken(origin string, err error) []finding {
	const until = "Until then the bot does not start; what is in force below is what would hold without the file."
	mistakes, ok := errors.AsType[policy.Mistakes](err)
	if !ok {
		return []finding{{"policy", bad, err.Error(), until}}
	}
	var found []finding
	for _, m := range mistakes {
		mend := fmt.Sprintf("Correct line %d of %s and start the bot again.", m.Line, origin)
		if origin == "ZDD_POLICY_YAML" {
			mend = fmt.Sprintf("Correct line %d of your zdd.yml, then: ", m.Line) + d.set("ZDD_POLICY_YAML", `"$(cat zdd.yml)"`)
		}
		found = append(found, finding{"policy", bad, m.Error(), mend + "\n" + until})
	}
	return found
}

// cureOf is the YAML that answers a hint, which begins with the key that it is about.
func cureOf(hint string) string {
	for key, yaml := range map[string]string{
		"`people.operators`":       "people: { operators: [U0123ABCD] }   # Slack user ids or user group ids: profile → ⋮ → Copy member ID",
		"`people.approvers`":       "people: { approvers: [U0456EFGH, S0FINOPS] }   # not only those who ask",
		"`approval.channel`":       "approval: { channel: C0123ABCD }   # channel → View channel details → the ID at the very bottom",
		"`digest.channel`":         "digest: { channel: C0123ABCD }   # channel → View channel details → the ID at the very bottom",
		"`approval.self_approval`": "approval: { self_approval: false }",
		"`approval.quorum`":        "Name more approvers, or ask for fewer approvals.",
	} {
		if strings.HasPrefix(hint, key) {
			return yaml
		}
	}
	return "Correct it in the policy, if it was not meant so."
}

// skew is how far this machine's clock is ahead of somebody else's.
type skew struct {
	whose string
	ahead time.Duration
}

// skewAllowed is how far this machine's clock may be from Heroku's and Slack's: expiry,
// soak and settle times are minutes, and the answers' Date header has whole seconds.
const skewAllowed = 30 * time.Second

// roughly is a time as people say it: seconds where there are few, else minutes.
func roughly(d time.Duration) string {
	if d < 2*time.Minute {
		return d.Round(time.Second).String()
	}
	text := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if whole, hours := strings.CutSuffix(text, "h0m"); hours {
		return whole + "h"
	}
	return text
}

// compared notes what somebody's Date header says of the time.
func (d *doctor) compared(whose string, ahead time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skews = append(d.skews, skew{whose, ahead})
}

// examineClock judges what was compared. Two that agree with each other and not with us
// are right; two that don't are for a person to judge.
func (d *doctor) examineClock() finding {
	slices.SortFunc(d.skews, func(a, b skew) int { return strings.Compare(a.whose, b.whose) })
	var off, whose []string
	for _, s := range d.skews {
		whose = append(whose, s.whose)
		if s.ahead.Abs() > skewAllowed {
			direction := "ahead of"
			if s.ahead < 0 {
				direction = "behind"
			}
			off = append(off, fmt.Sprintf("%s %s %s", roughly(s.ahead.Abs()), direction, s.whose))
		}
	}
	mend := "sudo timedatectl set-ntp true"
	if d.cfg.dyno != "" {
		mend = "heroku ps:restart --app " + d.ownApp()
	}
	switch {
	case len(d.skews) == 0:
		return finding{"clock", unclear, "neither Heroku nor Slack has told the time", "Mend what is wrong with both tokens, and run bot doctor again."}
	case len(off) == 0:
		return finding{"clock", good, "this machine's clock agrees with " + strings.Join(whose, " and "), ""}
	case len(off) < len(d.skews) || len(off) == 2 && (d.skews[0].ahead < 0) != (d.skews[1].ahead < 0):
		return finding{"clock", unclear, "this machine's clock is " + strings.Join(off, " and ") + ", and those two don't agree with each other", "Run bot doctor again; if it stays so, something between here and there answers in the name of one of them."}
	}
	return finding{"clock", bad, "this machine's clock is " + strings.Join(off, " and ") + ": tickets would expire, and rollouts go on, at the wrong moment", mend}
}
