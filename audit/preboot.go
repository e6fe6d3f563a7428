package audit

import (
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// preboot wants the new dynos up before the old ones go. It does not apply in a space,
// where rolling deploys are always on, nor to sizes that can't (Dev Center, "Preboot",
// "Rolling Deploys"). Heroku lists the feature for apps that can't use it, so the
// runtime is judged first.
func preboot() Check {
	return Check{
		ID: "preboot", Title: "Preboot",
		Summary: "Passes when preboot is on. Fails when it is off, so that old dynos stop before new ones serve; does not apply in a space, where rolling deploys are always on, nor to Eco and Basic dynos, which can't preboot.",
		Article: "https://devcenter.heroku.com/articles/preboot",
		Eval: func(app fleet.App, rules policy.Rules) Finding {
			f, runtime, done := common(app)
			if done {
				return f
			}
			on, known := app.Feature(fleet.Preboot)
			switch {
			case runtime == plan.Rolling:
				return notApplicable("rolling deploys are always on in a space")
			case runtime == plan.Small:
				size, _ := app.WebSize()
				return notApplicable("%s dynos can't preboot; see dyno tier", size.Name)
			case !known:
				return unread("the features", app.Features.Why())
			case on:
				return pass("preboot is on")
			}
			return fail(fixPreboot(app, rules), "preboot is off: at each deploy the old dynos stop before the new ones serve")
		},
	}
}
