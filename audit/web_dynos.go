package audit

import (
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// webDynos wants as many web dynos as the policy says, for crashes and the daily
// restart (Dev Center, "Scaling Your Dyno Formation"), and in a space at least those that
// a rolling deploy needs, whatever the policy says. It counts what the app is sure to
// keep: with Heroku's autoscaler its minimum, also when more run today; with a scaling
// add-on, whose minimum can't be read, enough dynos today prove nothing (unknown), and
// too few today are too few (fail). Quantities are of the formation, never of the dynos
// that happen to be up.
func webDynos() Check {
	return Check{
		ID: "web-dynos", Title: "Web dynos",
		Summary: "Passes when the app is sure to keep as many web dynos as the policy wants, 2 by default and never fewer than 2 in a space: with an autoscaler its minimum counts. Fails with fewer; is unknown where something else scales the app to a minimum that can't be read.",
		Article: "https://devcenter.heroku.com/articles/scaling",
		Eval: func(app fleet.App, rules policy.Rules) Finding {
			f, _, done := common(app)
			if done {
				return f
			}
			want, who := plan.Wanted(app, rules)
			value, low := plan.Floor(app, want)
			floor, known := value.Get()
			scaler, _ := plan.AutoscalerOf(app).Get()
			switch {
			case low && scaler.Active && scaler.Min < want:
				return fail(fixWeb(app, rules), "Heroku's autoscaler may go down to %d (%s today); %s", scaler.Min, dynos(app), who)
			case low:
				return fail(fixWeb(app, rules), "%s; %s", dynos(app), who)
			case !known:
				return unknown(floorUnknown(app, rules), "%s, but that may change by itself: %s", dynos(app), value.Why().Text)
			case scaler.Active:
				return pass("Heroku's autoscaler keeps at least %d web dynos (%s today); %s", scaler.Min, dynos(app), who)
			case floor == rules.WebDynos:
				return pass("%s, as policy wants", dynos(app))
			case want == rules.WebDynos:
				return pass("%s; policy wants at least %d", dynos(app), want)
			}
			return pass("%s; %s", dynos(app), who)
		},
	}
}
