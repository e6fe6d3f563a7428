package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// scopesNeeded are the bot token's scopes without which something does not work;
// manifest.yml gives the reason of each and holds the optional ones too.
func scopesNeeded() []string {
	return []string{"app_mentions:read", "chat:write", "chat:write.public", "commands", "files:write", "im:history", "im:write", "usergroups:read", "users:read"}
}

func problemFinding(err error) finding {
	p, ok := errors.AsType[*fleet.Problem](err)
	switch {
	case ok && p.Kind == fleet.Unauthorized:
		return finding{bad, "Heroku does not accept HEROKU_API_KEY (revoked, expired or mistyped)", "heroku authorizations:create --scope read,write --description zdd\nheroku config:set HEROKU_API_KEY=… --app <the bot's app>"}
	case ok && p.Kind == fleet.Forbidden:
		return finding{bad, "HEROKU_API_KEY lacks a scope: " + p.Message, "heroku authorizations:create --scope read,write --description zdd"}
	}
	return finding{unclear, err.Error(), "Check HEROKU_API_URL and the network, look at https://status.heroku.com, and run bot doctor again."}
}

// tokenKind says what is wrong with a token by its beginning alone.
func tokenKind(name, token, want string) (finding, bool) {
	kinds := map[string]string{"xoxb-": "a bot token", "xapp-": "an app-level token", "xoxp-": "a user token", "xoxe": "a refresh or rotating token", "HRKU-": "a Heroku key"}
	for prefix, kind := range kinds {
		if strings.HasPrefix(token, prefix) {
			if prefix == want {
				return finding{}, true
			}
			return finding{bad, fmt.Sprintf("%s holds %s; it must begin with %s", name, kind, want), whereIs(name)}, false
		}
	}
	return finding{bad, fmt.Sprintf("%s does not begin with %s", name, want), whereIs(name)}, false
}

func whereIs(name string) string {
	if name == "SLACK_APP_TOKEN" {
		return "api.slack.com/apps → your app → Basic Information → App-Level Tokens → Generate Token and Scopes → connections:write"
	}
	return "api.slack.com/apps → your app → OAuth & Permissions → Bot User OAuth Token"
}

func examineSlack(ctx context.Context, cfg config, pol policy.Policy, o outside) []finding {
	transport := &http.Transport{DialContext: o.Dial, Proxy: http.ProxyFromEnvironment}
	if o.Dial == nil {
		transport.DialContext = (&net.Dialer{}).DialContext
	}
	defer transport.CloseIdleConnections()
	api := slack.New(cfg.slackBot.Reveal(), slack.OptionAppLevelToken(cfg.slackApp.Reveal()), slack.OptionAPIURL(cfg.slackURL),
		slack.OptionHTTPClient(&http.Client{
			Transport: transport,
			Timeout:   doctorTimeout / 4,
			// A redirect would take the token, which goes in the body, to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}))
	var found []finding
	found = append(found, examineAppToken(ctx, cfg, api))
	if cfg.slackBot.IsZero() {
		return append(found, finding{bad, "SLACK_BOT_TOKEN is not set", whereIs("SLACK_BOT_TOKEN")})
	}
	if f, ok := tokenKind("SLACK_BOT_TOKEN", cfg.slackBot.Reveal(), "xoxb-"); !ok {
		return append(found, f)
	}
	self, err := api.AuthTestContext(ctx)
	if err != nil {
		return append(found, slackFinding("SLACK_BOT_TOKEN", err))
	}
	found = append(found, finding{good, fmt.Sprintf("the bot token works: @%s in %s (%s)", self.User, self.Team, self.TeamID), ""})
	found = append(found, examineScopes(self.Header.Get("X-OAuth-Scopes")))
	found = append(found, examineChannels(ctx, api, pol)...)
	return append(found, examinePeople(ctx, api, self.TeamID, pol)...)
}

func examineAppToken(ctx context.Context, cfg config, api *slack.Client) finding {
	if cfg.slackApp.IsZero() {
		return finding{bad, "SLACK_APP_TOKEN is not set", whereIs("SLACK_APP_TOKEN")}
	}
	if f, ok := tokenKind("SLACK_APP_TOKEN", cfg.slackApp.Reveal(), "xapp-"); !ok {
		return f
	}
	if _, _, err := api.StartSocketModeContext(ctx); err != nil {
		return slackFinding("SLACK_APP_TOKEN", err)
	}
	return finding{good, "the app-level token opens Socket Mode connections", ""}
}

// slackFinding explains what Slack answered to a token.
func slackFinding(name string, err error) finding {
	answer, ok := errors.AsType[slack.SlackErrorResponse](err)
	if !ok {
		return finding{unclear, name + ": Slack could not be asked: " + err.Error(), "Check SLACK_API_URL and the network, look at https://status.slack.com, and run bot doctor again."}
	}
	switch answer.Err {
	case "missing_scope":
		return finding{bad, fmt.Sprintf("%s lacks a scope: needed %s, provided %s", name, answer.Needed, answer.Provided), whereIs(name)}
	case "not_allowed_token_type":
		return finding{bad, name + " is a token of the wrong kind", whereIs(name)}
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive":
		return finding{bad, fmt.Sprintf("%s is not accepted by Slack (%s)", name, answer.Err), "Install the app again and copy the new token: " + whereIs(name)}
	}
	return finding{unclear, fmt.Sprintf("%s: Slack answered %s", name, answer.Err), "Run bot doctor again; if it stays, look at https://status.slack.com."}
}

func examineScopes(header string) finding {
	if header == "" {
		return finding{unclear, "Slack did not say which scopes the bot token has", ""}
	}
	var have []string
	for s := range strings.SplitSeq(header, ",") {
		have = append(have, strings.TrimSpace(s))
	}
	var lacking []string
	for _, s := range scopesNeeded() {
		if !slices.Contains(have, s) {
			lacking = append(lacking, s)
		}
	}
	if len(lacking) == 0 {
		return finding{good, "the bot token has every scope it needs", ""}
	}
	return finding{bad, "the bot token lacks " + strings.Join(lacking, ", "), "api.slack.com/apps → your app → App Manifest → paste manifest.yml → Save, then Install App → Reinstall to Workspace"}
}

// examineChannels looks at every channel that the policy names. Seeing a channel needs
// channels:read or groups:read, which are optional: without them it is unknown.
func examineChannels(ctx context.Context, api *slack.Client, pol policy.Policy) []finding {
	var found []finding
	for _, c := range channelsOf(pol) {
		channel, err := api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: c.ID})
		answer, _ := errors.AsType[slack.SlackErrorResponse](err)
		name := fmt.Sprintf("%s %s", c.Key, c.ID)
		switch {
		case answer.Err == "channel_not_found":
			found = append(found, finding{bad, name + ": there is no such channel, or it is private and the bot is not in it", "In that channel: /invite @zdd. The id is under channel → View channel details, at the very bottom."})
		case answer.Err == "missing_scope":
			found = append(found, finding{unclear, name + ": can't look at channels without channels:read", "Reinstall the app with manifest.yml to let the doctor check channels."})
		case err != nil:
			found = append(found, finding{unclear, name + ": " + err.Error(), ""})
		case channel.IsArchived:
			found = append(found, finding{bad, name + ": #" + channel.Name + " is archived, so nothing can be posted there", "Name another channel, or unarchive it."})
		case !channel.IsMember && channel.IsPrivate:
			found = append(found, finding{bad, name + ": the bot is not in #" + channel.Name, "In that channel: /invite @zdd"})
		case !channel.IsMember:
			found = append(found, finding{warning, name + ": the bot is not in #" + channel.Name + "; it can post there, but can't find its messages again after a crash", "In that channel: /invite @zdd"})
		default:
			found = append(found, finding{good, name + ": #" + channel.Name, ""})
		}
	}
	return found
}

// examinePeople looks at every person and group that the policy names.
func examinePeople(ctx context.Context, api *slack.Client, team string, pol policy.Policy) []finding {
	var found []finding
	for _, p := range peopleOf(pol) {
		name := fmt.Sprintf("%s %s", p.Key, p.ID)
		if strings.HasPrefix(p.ID, "S") {
			members, err := api.GetUserGroupMembersContext(ctx, p.ID)
			switch {
			case err != nil:
				found = append(found, finding{bad, name + ": the user group can't be read: " + err.Error(), "Check the id (user groups begin with S), that the plan has user groups, and the scope usergroups:read; or name people by their own ids."})
			case len(members) == 0:
				found = append(found, finding{warning, name + ": nobody is in this user group", "Add people to it, or name others."})
			default:
				found = append(found, finding{good, fmt.Sprintf("%s: a user group of %d", name, len(members)), ""})
			}
			continue
		}
		user, err := api.GetUserInfoContext(ctx, p.ID)
		answer, _ := errors.AsType[slack.SlackErrorResponse](err)
		switch {
		case answer.Err == "user_not_found" || answer.Err == "users_not_found":
			found = append(found, finding{bad, name + ": there is no such person", "Profile → ⋮ → Copy member ID"})
		case err != nil:
			found = append(found, finding{unclear, name + ": " + err.Error(), ""})
		case user.Deleted:
			found = append(found, finding{bad, name + ": the account is deactivated", "Name someone else."})
		case user.IsRestricted || user.IsUltraRestricted || user.IsStranger || user.TeamID != "" && user.TeamID != team && user.Enterprise.ID == "":
			found = append(found, finding{bad, name + ": a guest or a person of another workspace can't use the bot", "Name a full member."})
		case user.IsBot:
			found = append(found, finding{bad, name + ": that is a bot", "Name a person."})
		default:
			found = append(found, finding{good, name + ": " + user.Name, ""})
		}
	}
	return found
}

// named is an id and the key of the policy that holds it.
type named struct{ Key, ID string }

func channelsOf(pol policy.Policy) []named {
	all := []named{{"approval.channel", pol.Approval.Channel}, {"digest.channel", pol.Nightly.Channel}}
	for _, o := range pol.Apps {
		all = append(all, named{"apps." + o.Match + ".channel", o.Channel})
	}
	return slices.DeleteFunc(all, func(n named) bool { return n.ID == "" })
}

func peopleOf(pol policy.Policy) []named {
	var all []named
	for key, ids := range map[string][]string{"people.approvers": pol.People.Approvers, "people.operators": pol.People.Operators, "people.readers": pol.People.Readers} {
		for _, id := range ids {
			all = append(all, named{key, id})
		}
	}
	for _, o := range pol.Apps {
		all = append(all, named{"apps." + o.Match + ".owner", o.Owner})
	}
	slices.SortStableFunc(all, func(a, b named) int { return strings.Compare(a.Key, b.Key) })
	return slices.DeleteFunc(all, func(n named) bool { return n.ID == "" })
}
