package audit

import (
	"fmt"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// jvmWarmup is about the first requests that a cold JVM answers slowly (Dev Center,
// "Warming Up a Java Process"). Whether an app exercises itself before it takes traffic
// is in its code, where Heroku's API can't see it: a person attests it in the policy,
// and without that it is unknown, never inferred. It counts only where policy requires it.
func jvmWarmup() Check {
	return Check{
		ID: "jvm-warmup", Title: "JVM warm-up",
		Summary: "Passes for an app on a JVM when the policy attests that it warms up before it takes traffic. Is unknown until then, because Heroku can't show it, and never fails; counts for the verdict only where the policy requires it.",
		Article: "https://devcenter.heroku.com/articles/warming-up-a-java-process",
		Eval: func(app fleet.App, rules policy.Rules) Finding {
			f := warmup(app, rules)
			f.Required = rules.JVMWarmup == policy.WeightRequired
			return f
		},
	}
}

func warmup(app fleet.App, rules policy.Rules) Finding {
	if f, _, done := common(app); done {
		return f
	}
	language, known := app.JVM().Get()
	switch {
	case known && language == "":
		return notApplicable("it does not run on a JVM%s", named(app.Runtime))
	case rules.WarmupAttested:
		return pass("attested in the policy, by the entry `%s` of `apps`", safe(rules.AttestedBy))
	case !known:
		return unknown(attest(app), "nothing tells whether it runs on a JVM (%s), nor could Heroku show whether it warms up", app.JVM().Why().Text)
	}
	return unknown(attest(app), "it runs on %s, and Heroku can't show whether it warms up before it takes traffic", language)
}

func named(runtime string) string {
	if runtime == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", safe(runtime))
}
