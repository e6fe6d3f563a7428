// Package audit judges what was read of an app: are its deploys zero-downtime, why
// not, and what to do. Checks are pure functions; they read nothing and change nothing.
//
// Invariants: what could not be read is unknown and never counts as good; check ids are
// stored and never change; every finding says what it saw, and every one that is not
// good says what to do about it.
package audit

import (
	"fmt"
	"slices"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Outcome is what a check found.
type Outcome string

// The outcomes.
const (
	Pass          Outcome = "pass"
	Fail          Outcome = "fail"
	NotApplicable Outcome = "not-applicable"
	Unknown       Outcome = "unknown" // what the check needs could not be read, or Heroku does not tell it
)

// Check is one thing to look at.
type Check struct {
	ID      string
	Title   string
	Summary string // what passes and what fails, in a sentence or two; backticks mark code
	Article string // the Dev Center article behind it
	Eval    func(fleet.App, policy.Rules) Finding
}

// Checks are all checks, in the order in which they are shown: what comes first makes
// sense of what comes later.
func Checks() []Check {
	return []Check{dynoTier(), sessionAffinity(), webDynos(), preboot(), jvmWarmup()}
}

// Finding is what one check says of one app.
type Finding struct {
	Check    string    `json:"check"`
	Title    string    `json:"title"`
	Outcome  Outcome   `json:"outcome"`
	Required bool      `json:"required"`          // it counts for the verdict; else it is advice
	Evidence string    `json:"evidence"`          // a sentence; backticks mark code
	Remedy   string    `json:"remedy,omitempty"`  // a sentence; empty where there is nothing to do
	Article  string    `json:"article,omitempty"` // URL
	ReadAt   time.Time `json:"read_at"`           // when what it judges was read
	// Waived is the waiver that takes a Fail or an Unknown out of the verdict: the outcome
	// stays what it is. Nil: none does.
	Waived *policy.Waiver `json:"waived,omitempty"`
}

// Verdict is what all findings of an app come to.
type Verdict string

// The verdicts.
const (
	VerdictReady         Verdict = "ready"
	VerdictNotReady      Verdict = "not-ready"
	VerdictUnknown       Verdict = "unknown"
	VerdictNotApplicable Verdict = "not-applicable"
)

// Report is everything there is to say about one app. Its JSON form is what programs
// read (`--json`): fields are added to it, never renamed or taken away.
type Report struct {
	App      fleet.App     `json:"app"`
	Verdict  Verdict       `json:"verdict"`
	Findings []Finding     `json:"findings"` // one a check, in the order of Checks
	Hazards  []plan.Hazard `json:"hazards,omitempty"`

	// Plan is what would make the app ready, and what that would add to its cost. Of an
	// Eco or Basic app it is the plan with the smallest size that helps (Plan.Options),
	// because the one without is refused.
	Plan plan.Plan `json:"plan"`
}

// Finding is that of a check; found is false where there is none of that id.
func (r Report) Finding(check string) (f Finding, found bool) {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Check == check })
	if i < 0 {
		return Finding{}, false
	}
	return r.Findings[i], true
}

// Judge runs every check on the app and draws the verdict. now is the time to which
// hazards such as a fresh release are held, and the waivers among the rules.
func Judge(app fleet.App, rules policy.Rules, now time.Time) Report {
	r := Report{App: app, Hazards: plan.Hazards(app, rules, now)}
	for _, c := range Checks() {
		f := c.judge(app, rules)
		f.Check, f.Title, f.Article, f.ReadAt = c.ID, c.Title, c.Article, app.ReadAt
		if w, ok := rules.Waived(app.ID, c.ID, now); ok && (f.Outcome == Fail || f.Outcome == Unknown) {
			f.Waived = &w
		}
		r.Findings = append(r.Findings, f)
	}
	r.Verdict = verdict(r.Findings)
	if !app.Formation.IsKnown() { // nothing was read, whatever of it is waived
		r.Verdict = VerdictUnknown
	}
	r.Plan = plan.Enable(app, rules, plan.Options{})
	if r.Plan.WayOut != (plan.Options{}) {
		r.Plan = plan.Enable(app, rules, r.Plan.WayOut)
	}
	return r
}

// judge evaluates the check, and finds nothing where other rules may hold instead
// (policy.Rules.Others) and come to something else.
func (c Check) judge(app fleet.App, rules policy.Rules) Finding {
	f := c.Eval(app, rules)
	differs := false
	for _, other := range rules.Others() {
		g := c.Eval(app, other)
		differs = differs || g.Outcome != f.Outcome
		f.Required = f.Required || g.Required
	}
	if !differs || f.Outcome == Unknown {
		return f
	}
	doubt := unknown(tryAgain, "Could not read the app's pipeline (%s), and the policy has an entry for a pipeline that decides this", rules.Unsure.Text)
	doubt.Required = f.Required
	return doubt
}

// verdict: not ready if a required check fails; else unknown if a required one is
// unknown; else ready; not applicable if no required one applies. What is waived is left
// out, and makes nothing good: an app of which all is waived is not ready.
func verdict(findings []Finding) Verdict {
	count := map[Outcome]int{}
	for _, f := range findings {
		if f.Required && f.Waived == nil {
			count[f.Outcome]++
		}
	}
	switch {
	case count[Fail] > 0:
		return VerdictNotReady
	case count[Unknown] > 0:
		return VerdictUnknown
	case count[Pass] > 0:
		return VerdictReady
	}
	return VerdictNotApplicable
}

// The findings, required unless advice is called on them.

func pass(format string, args ...any) Finding {
	return Finding{Outcome: Pass, Required: true, Evidence: sentence(format, args...)}
}

func fail(remedy, format string, args ...any) Finding {
	return Finding{Outcome: Fail, Required: true, Evidence: sentence(format, args...), Remedy: remedy}
}

func unknown(remedy, format string, args ...any) Finding {
	return Finding{Outcome: Unknown, Required: true, Evidence: sentence(format, args...), Remedy: remedy}
}

func notApplicable(format string, args ...any) Finding {
	return Finding{Outcome: NotApplicable, Required: true, Evidence: sentence(format, args...)}
}

// unread is the finding when a part of the app could not be read.
func unread(part string, why fleet.Reason) Finding {
	return unknown(tryAgain, "Could not read %s (%s)", part, why.Text)
}

// advice takes a finding out of the verdict.
func advice(f Finding) Finding {
	f.Required = false
	return f
}

// common answers for every check the runtimes that leave it nothing to judge: no web
// process, web at 0, and what could not be read or contradicts itself. done is false
// where the check has to judge for itself.
func common(app fleet.App) (f Finding, runtime plan.Runtime, done bool) {
	value, why := plan.RuntimeOf(app)
	runtime, known := value.Get()
	switch {
	case !known:
		return unread("the formation", value.Why()), "", true
	case runtime == plan.Webless, runtime == plan.Stopped:
		return notApplicable("%s", why), runtime, true
	case runtime == plan.Strange:
		return unknown(askHeroku, "%s", why), runtime, true
	}
	return Finding{}, runtime, false
}

// dynos is "1 standard-1x web dyno runs".
func dynos(app fleet.App) string {
	web, _ := app.Web()
	size := app.Size(web.Size).Name
	if web.Quantity == 1 {
		return fmt.Sprintf("1 %s web dyno runs", size)
	}
	return fmt.Sprintf("%d %s web dynos run", web.Quantity, size)
}
