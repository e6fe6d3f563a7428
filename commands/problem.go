package commands

import (
	"strings"
	"time"

	"example.com/zdd/fleet"
)

// Explain turns what Heroku answered into a sentence of its own for each kind: what
// happened, that nothing was changed, and what to do next. It is for reads: nothing
// a command reads can change anything.
func Explain(p *fleet.Problem) error {
	app := "That app"
	if p.App != "" {
		app = "`" + plain(p.App) + "`"
	}
	switch p.Kind {
	case fleet.NotFound:
		return refuse("%s is not among the apps that I can see on Heroku: it does not exist, or my Heroku account was not given access to it. Check the name, or ask whoever owns it to give my account access.", app)
	case fleet.Forbidden:
		return refuse("Heroku shows that %s exists but does not let my account read it (`forbidden`). Ask an admin of its team to give my account the permission `view`.", app)
	case fleet.TwoFactor:
		return refuse("%s is protected by two-factor authentication on Heroku, which an API token can't pass. I never ask for a one-time code in chat: don't send me one. Its team can lift the protection for my account, or check it with the Heroku CLI.", app)
	case fleet.Suspended:
		return refuse("%s is suspended by Heroku, so nothing of it runs and nothing can be read. Heroku's support tells its owner why.", app)
	case fleet.Delinquent:
		return refuse("Heroku refuses to answer for %s because its account has unpaid bills (`delinquent`). Its owner can settle them at https://dashboard.heroku.com/account/billing.", app)
	case fleet.Unauthorized:
		return refuse("Heroku does not accept my token any more, so I can read no app at all. Whoever runs me has to set a new `HEROKU_API_KEY`; `bot doctor` says how.")
	case fleet.RateLimited:
		return refuse("The Heroku account that I use has used up its API calls for now, and nothing was read. %s", wait(p.RetryAfter))
	case fleet.Unavailable:
		return refuse("Heroku's API did not answer just now%s, so I can't say anything about %s; its dynos may be running fine. Try again in a minute, and look at https://status.heroku.com.", because(p.Message), app)
	case fleet.NotTold:
		return refuse("Heroku answered about %s in a way that I don't understand%s, so I say nothing about it. A newer version of me may; tell whoever runs me.", app, because(p.Message))
	case fleet.Locked:
		return refuse("A deploy of %s is handing over to its new dynos, and Heroku lets nobody change its formation until that is over. Nothing was changed; try again in a few minutes.", app)
	default:
		return refuse("Heroku refused to show %s%s. Nothing was changed.", app, because(p.Message))
	}
}

func because(message string) string {
	if message == "" {
		return ""
	}
	return " (“" + strings.TrimSuffix(proseSafe(message), ".") + "”)"
}

// proseSafe shortens a text of Heroku's for use in a sentence that goes through Prose.
func proseSafe(s string) string {
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	out := []rune(s)
	for i, r := range out {
		if r == '`' {
			out[i] = '\''
		}
	}
	return string(out)
}

func wait(d time.Duration) string {
	if d <= 0 {
		return "They come back minute by minute: try again in a little while."
	}
	return "Try again in about " + d.Round(time.Second).String() + "."
}
