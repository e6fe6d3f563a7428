package audit

import (
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// dynoTier wants a runtime that can deploy without a gap: Standard or Performance on
// the Common Runtime, any size in a space (Dev Center, "Dyno Types"). Eco and Basic can
// do neither preboot nor a second dyno.
func dynoTier() Check {
	return Check{
		ID: "dyno-tier", Title: "Dyno tier",
		Summary: "Passes on Standard and Performance dynos of the Common Runtime, and on any dynos of a Private or Shield Space. Fails on Eco and Basic dynos, which can neither preboot nor run a second web dyno.",
		Article: "https://devcenter.heroku.com/articles/dyno-types",
		Eval: func(app fleet.App, _ policy.Rules) Finding {
			f, runtime, done := common(app)
			if done {
				return f
			}
			_, why := plan.RuntimeOf(app)
			if runtime == plan.Small {
				return fail(fixTier(app), "%s", why)
			}
			return pass("%s", why)
		},
	}
}
