package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Remedies are here and nowhere else, so that they change together. Each names the
// order to the bot first, which keeps the safe order by itself, and then the way by
// hand, with Heroku's own CLI and its place in that order: size, session affinity, the
// second dyno, preboot.

const (
	tryAgain  = "Try again; if it stays so, `bot doctor` says what the Heroku token may read."
	askHeroku = "Look at the app in Heroku's dashboard; nothing is judged on a guess."
)

// fixTier moves every process type off Eco or Basic in one request: Heroku mixes them
// with no other size, also at quantity 0.
func fixTier(app fleet.App) string {
	processes, _ := app.Formation.Get()
	var moves []string
	for _, p := range processes {
		if app.Size(p.Size).OnePerType() {
			moves = append(moves, p.Type+"="+plan.SmallestSize)
		}
	}
	slices.Sort(moves)
	move := plan.Command(app, "move every process type to "+plan.SmallestSize+" in the dashboard", "ps:type", moves...)
	return fmt.Sprintf("%s, which does all the rest too. By hand, first of all: %s. All process types move together, because Heroku mixes these sizes with no others, and the app restarts once. Then ask again: what else is missing shows only at a larger size.",
		enable(app), move)
}

// enable is the order to the bot that does all of it in the safe order.
func enable(app fleet.App) string {
	w := plan.Wish{Verb: plan.ToEnable}
	if size, ok := app.WebSize(); ok && size.OnePerType() && !app.InSpace() {
		w.Size = plan.SmallestSize
	}
	return zdd(app, w)
}

// zdd is an order to the bot, marked as code.
func zdd(app fleet.App, w plan.Wish) string { return "`/zdd " + safe(w.Line(app.Name)) + "`" }

// fixAffinity comes before the second dyno.
func fixAffinity(app fleet.App, rules policy.Rules) string {
	command := plan.Command(app, "turn it on in the app's settings", "features:enable", fleet.SessionAffinity)
	if web, _ := app.Web(); web.Quantity > 1 {
		return fmt.Sprintf("%s now, or by hand %s: several web dynos run already, and visitors may be sent from one to another.", enable(app), command)
	}
	return fmt.Sprintf("%s. By hand: %s before a second web dyno starts, and then wait %s: visitors get the cookie with their next response.",
		enable(app), command, span(rules.Rollout.AffinitySoak))
}

func dropAffinity(app fleet.App) string {
	return zdd(app, plan.Wish{Verb: plan.ToAffinity}) + ", or by hand " + plan.Command(app, "turn it off in the app's settings", "features:disable", fleet.SessionAffinity) + ", if the app needs no sticky sessions; visitors are then sent to any dyno."
}

// fixWeb raises the quantity, after whatever has to come first.
func fixWeb(app fleet.App, rules policy.Rules) string {
	want, _ := plan.Wanted(app, rules)
	scaler, known := plan.AutoscalerOf(app).Get()
	if !known {
		return "Try again first: whether Heroku's autoscaler is on could not be read, and with it on what is scaled by hand does not last."
	}
	var after []string
	if size, _ := app.WebSize(); size.OnePerType() && !app.InSpace() {
		after = append(after, "the larger dyno size")
	}
	if on, known := app.Feature(fleet.SessionAffinity); rules.SessionAffinity == policy.Required && !app.InSpace() && !(known && on) {
		after = append(after, fmt.Sprintf("%s of session affinity", span(rules.Rollout.AffinitySoak)))
	}
	first := ""
	if len(after) > 0 {
		first = " after " + strings.Join(after, " and ")
	}
	switch addons := app.ScalingAddOns(); {
	case scaler.Active && scaler.Min < want:
		return fmt.Sprintf("Raise the minimum of Heroku's autoscaler to %d%s: the dyno range beside web at %s/resources in the dashboard. What is scaled by hand does not last while it is on.",
			want, first, app.DashboardURL())
	case scaler.Active:
		return fmt.Sprintf("Find out at %s/resources why fewer web dynos run than the autoscaler's minimum.", app.DashboardURL())
	case len(addons) > 0:
		return fmt.Sprintf("Set the minimum of `%s` to %d web dynos%s, in its own settings: %s.", addons[0], want, first, openAddOn(app, addons[0]))
	}
	return fmt.Sprintf("%s. By hand: %s%s.", enable(app), plan.Command(app, fmt.Sprintf("scale web to %d in the dashboard", want), "ps:scale", fmt.Sprintf("web=%d", want)), first)
}

// floorUnknown is for apps that something else scales down to nobody knows where.
func floorUnknown(app fleet.App, rules policy.Rules) string {
	want, _ := plan.Wanted(app, rules)
	if addons := app.ScalingAddOns(); len(addons) > 0 {
		return fmt.Sprintf("Make sure that the minimum of `%s` is at least %d web dynos: %s.", addons[0], want, openAddOn(app, addons[0]))
	}
	return tryAgain
}

// fixPreboot comes last: each release with preboot on locks the formation.
func fixPreboot(app fleet.App, rules policy.Rules) string {
	command := plan.Command(app, "turn it on in the app's settings", "features:enable", fleet.Preboot)
	want, _ := plan.Wanted(app, rules)
	if web, _ := app.Web(); web.Quantity < want {
		return fmt.Sprintf("%s. By hand, last of all, when %d web dynos are up: %s.", enable(app), want, command)
	}
	return fmt.Sprintf("%s, or by hand %s; it restarts nothing, and holds from the next release on.", enable(app), command)
}

func attest(app fleet.App) string {
	return fmt.Sprintf("Let the app send itself some requests before it takes traffic, then attest it in the policy: `apps: { %s: { warmup: attested } }`.", safe(app.Name))
}

// openAddOn is how to get to an add-on's own settings.
func openAddOn(app fleet.App, service string) string {
	return plan.Command(app, "open it from the app's page in the dashboard", "addons:open", service)
}

// safe drops what would end the mark of code: backticks and control characters.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '`' || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// sentence formats, and begins with a capital letter.
func sentence(format string, args ...any) string { return plan.Capital(fmt.Sprintf(format, args...)) }

// span is a wait in words: 10 minutes.
func span(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "1 minute"
	case d%time.Hour == 0 && d > time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}
