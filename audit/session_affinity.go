package audit

import (
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// sessionAffinity wants the feature as the policy has it. It exists on the Common
// Runtime only, and has nothing to do where no second dyno can run (Dev Center,
// "Session Affinity").
func sessionAffinity() Check {
	return Check{
		ID: "session-affinity", Title: "Session affinity",
		Summary: "Passes when session affinity is as the policy wants it, which is on unless it says otherwise. Fails when it is off though required, or on though forbidden; does not apply in a space, on Eco and Basic dynos, and where the policy leaves it open.",
		Article: "https://devcenter.heroku.com/articles/session-affinity",
		Eval: func(app fleet.App, rules policy.Rules) Finding {
			f, runtime, done := common(app)
			if done {
				return f
			}
			on, known := app.Feature(fleet.SessionAffinity)
			switch {
			case runtime == plan.Rolling:
				return notApplicable("session affinity exists on the Common Runtime only, and this app runs in a space")
			case runtime == plan.Small:
				return notApplicable("at this size no second dyno can run, so there is nothing to stick to; see dyno tier")
			case rules.SessionAffinity == policy.Optional:
				return advice(notApplicable("the policy leaves session affinity open for this app%s", switchNow(on, known)))
			case !known:
				return unread("the features", app.Features.Why())
			case rules.SessionAffinity == policy.Forbidden && on:
				return fail(dropAffinity(app), "session affinity is on, and the policy forbids it for this app")
			case rules.SessionAffinity == policy.Forbidden:
				return pass("session affinity is off, as the policy wants it")
			case on:
				return pass("session affinity is on")
			}
			if web, _ := app.Web(); web.Quantity > 1 {
				return fail(fixAffinity(app, rules), "session affinity is off and %d web dynos run: sessions held in memory break when a visitor meets another dyno", web.Quantity)
			}
			return fail(fixAffinity(app, rules), "session affinity is off: with a second web dyno, sessions held in memory would break")
		},
	}
}

func switchNow(on, known bool) string {
	switch {
	case !known:
		return ""
	case on:
		return "; it is on"
	}
	return "; it is off"
}
