package audit

import (
	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// webDynos wants as many web dynos as the policy says, for crashes and the daily
// restart (Dev Center, "Scaling Your Dyno Formation"). It counts what the app is sure to
// keep: with Heroku's autoscaler its minimum, also when more run today; with a scaling
// add-on, whose minimum can't be read, enough dynos today prove nothing (unknown), and
// too few today are too few (fail). Quantities are of the formation, never of the dynos
// that happen to be up.
func webDynos() Check {
	return Check{
		ID: "web-dynos", Title: "Web dynos", Article: "https://devcenter.heroku.com/articles/scaling",
		Eval: func(app fleet.App, rules policy.Rules) Finding {
			f, _, done := common(app)
			if done {
				return f
			}
			want := rules.WebDynos
			value, low := plan.Floor(app, want)
			floor, known := value.Get()
			scaler, _ := plan.AutoscalerOf(app).Get()
			switch {
			case low && scaler.Active && scaler.Min < want:
				return fail(fixWeb(app, rules), "Heroku's autoscaler may go down to %d (%s today); policy wants %d", scaler.Min, dynos(app), want)
			case low:
				return fail(fixWeb(app, rules), "%s; policy wants %d", dynos(app), want)
			case !known:
				return unknown(floorUnknown(app, rules), "%s, but that may change by itself: %s", dynos(app), value.Why().Text)
			case scaler.Active:
				return pass("Heroku's autoscaler keeps at least %d web dynos (%s today); policy wants %d", scaler.Min, dynos(app), want)
			case floor == want:
				return pass("%s, as policy wants", dynos(app))
			}
			return pass("%s; policy wants at least %d", dynos(app), want)
		},
	}
}
