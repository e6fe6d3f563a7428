package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"

	"example.com/zdd/secret"
)

// scopesNeeded are the bot token's scopes without which something does not work;
// manifest.yml gives the reason of each and holds the optional ones too.
func scopesNeeded() []string {
	return []string{"app_mentions:read", "chat:write", "chat:write.public", "commands", "files:write", "im:history", "im:write", "usergroups:read", "users:read"}
}

// The ways through Slack's pages, in the words of their buttons (August 2026).
const (
	slackApp     = "https://api.slack.com/apps → your app → "
	makeAppToken = slackApp + "Basic Information → App-Level Tokens → Generate Token and Scopes → Add Scope → connections:write → Generate"
	makeBotToken = slackApp + "Install App → Install to Workspace (or Reinstall to Workspace) → Allow → copy the Bot User OAuth Token"
	pasteScopes  = slackApp + "App Manifest → paste manifest.yml → Save Changes, then Install App → Reinstall to Workspace → Allow"
	switchSocket = slackApp + "Socket Mode → Enable Socket Mode"
)

// slackVisit is what the examinations of Slack share.
type slackVisit struct {
	*doctor
	api    *slack.Client
	scopes []string               // of the bot token; empty: not told
	users  map[string]*slack.User // looked up so far; nil: there is no such person
}

func (d *doctor) examineSlack(ctx context.Context) []finding {
	if err := d.cfg.overheard(d.out, "SLACK_API_URL"); err != nil {
		return []finding{{"slack-bot-token", bad, err.Error(), d.unset("SLACK_API_URL")}}
	}
	transport := &http.Transport{DialContext: d.out.Dial, Proxy: http.ProxyFromEnvironment}
	if d.out.Dial == nil {
		transport.DialContext = (&net.Dialer{}).DialContext
	}
	defer transport.CloseIdleConnections()
	v := &slackVisit{doctor: d, users: map[string]*slack.User{}}
	v.api = slack.New(d.cfg.slackBot.Reveal(), slack.OptionAppLevelToken(d.cfg.slackApp.Reveal()), slack.OptionAPIURL(d.cfg.slackURL),
		slack.OptionHTTPClient(&http.Client{
			Transport: transport,
			Timeout:   doctorTimeout / 4,
			// A redirect would take the token, which goes in the body, to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}))
	found, linkOf := v.examineAppToken(ctx)
	token, ok := v.kindOf("slack-bot-token", d.cfg.slackBot)
	if !ok {
		return append(found, token)
	}
	asked := time.Now()
	self, err := v.api.AuthTestContext(ctx)
	if err != nil {
		return append(found, v.refused("slack-bot-token", err))
	}
	d.compareDate(asked, self.Header)
	found = append(found, finding{"slack-bot-token", good, fmt.Sprintf("Slack accepts the bot token: @%s in %s (%s)", self.User, self.Team, self.TeamID), ""})
	found = append(found, v.examineScopes(self.Header.Get("X-OAuth-Scopes")))
	found = append(found, v.examineSameApp(ctx, self.BotID, linkOf)...)
	found = append(found, v.examineChannels(ctx)...)
	return append(found, v.examinePeople(ctx, self.TeamID)...)
}

// compareDate compares our clock with an answer's Date header, which drops the fraction
// of its second.
func (d *doctor) compareDate(asked time.Time, header http.Header) {
	theirs, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return // a proxy took it away; Heroku tells the time too
	}
	ours := asked.Add(time.Since(asked) / 2)
	d.compared("Slack's", ours.Sub(theirs.Add(time.Second/2)))
}

// kindOf says what is wrong with a token by its beginning alone.
func (v *slackVisit) kindOf(check string, token secret.Text) (finding, bool) {
	name, want, value := variableOf(check)
	mend := howToGet(check) + "\n" + v.set(name, value)
	if token.IsZero() {
		return finding{check, bad, name + " is not set", mend}, false
	}
	for _, kind := range []struct{ prefix, is string }{
		{"xoxb-", "a bot token"}, {"xapp-", "an app-level token"}, {"xoxp-", "a user token"}, {"xoxe", "a refresh or rotating token"}, {"HRKU-", "a Heroku key"},
	} {
		switch {
		case !strings.HasPrefix(token.Reveal(), kind.prefix):
		case kind.prefix == want:
			return finding{}, true
		default:
			return finding{check, bad, fmt.Sprintf("%s holds %s; it must begin with %s", name, kind.is, want), mend}, false
		}
	}
	return finding{check, bad, fmt.Sprintf("%s does not begin with %s", name, want), mend}, false
}

// variableOf is the variable that an examination is about, what it begins with, and how
// its value looks.
func variableOf(check string) (name, prefix, value string) {
	if check == "slack-app-token" {
		return "SLACK_APP_TOKEN", "xapp-", "xapp-…"
	}
	return "SLACK_BOT_TOKEN", "xoxb-", "xoxb-…"
}

func howToGet(check string) string {
	if check == "slack-app-token" {
		return makeAppToken
	}
	return makeBotToken
}

// refused explains what Slack answered to a token.
func (v *slackVisit) refused(check string, err error) finding {
	name, _, value := variableOf(check)
	mend := howToGet(check) + "\n" + v.set(name, value)
	answer, ok := errors.AsType[slack.SlackErrorResponse](err)
	if !ok {
		return finding{check, unclear, name + ": Slack could not be asked: " + err.Error(), "Check SLACK_API_URL and the network, look at https://status.slack.com, and run bot doctor again."}
	}
	switch answer.Err {
	case "missing_scope", "no_permission":
		if check == "slack-app-token" {
			return finding{check, bad, name + " lacks the scope connections:write", mend}
		}
		return finding{check, bad, fmt.Sprintf("%s lacks the scope %s", name, answer.Needed), pasteScopes}
	case "not_allowed_token_type":
		return finding{check, bad, name + " is a token of the wrong kind", mend}
	case "token_revoked", "account_inactive":
		return finding{check, bad, fmt.Sprintf("%s was revoked (%s)", name, answer.Err), mend}
	case "token_expired":
		return finding{check, bad, name + " has expired (token_expired): token rotation is on, and the bot needs a token that lasts", "Make a new app from manifest.yml; rotation can't be switched off again.\n" + mend}
	case "invalid_auth", "not_authed":
		return finding{check, bad, fmt.Sprintf("Slack does not accept %s (%s): it is mistyped, or of an app that was deleted", name, answer.Err), mend}
	case "team_access_not_granted", "org_login_required", "ekm_access_denied", "enterprise_is_restricted", "team_disabled", "forbidden_team":
		return finding{check, bad, fmt.Sprintf("the workspace is closed to this app (%s)", answer.Err), "Ask its owners to approve the app, then run bot doctor again."}
	}
	return finding{check, unclear, fmt.Sprintf("%s: Slack answered %s", name, answer.Err), "Run bot doctor again; if it stays so, look at https://status.slack.com."}
}

func (v *slackVisit) examineScopes(header string) finding {
	for s := range strings.SplitSeq(header, ",") {
		if s = strings.TrimSpace(s); s != "" {
			v.scopes = append(v.scopes, s)
		}
	}
	if len(v.scopes) == 0 {
		return finding{"slack-scopes", unclear, "Slack did not say which scopes the bot token has", "Run bot doctor again."}
	}
	lacking := slices.DeleteFunc(scopesNeeded(), func(s string) bool { return slices.Contains(v.scopes, s) })
	if len(lacking) > 0 {
		return finding{"slack-scopes", bad, "the bot token lacks " + strings.Join(lacking, ", "), pasteScopes}
	}
	return finding{"slack-scopes", good, "the bot token has every scope it needs", ""}
}

// examineAppToken asks for a Socket Mode link and opens it. linkOf is the app that it is
// of, empty where that is not known.
func (v *slackVisit) examineAppToken(ctx context.Context) (found []finding, linkOf string) {
	const check = "slack-app-token"
	if f, ok := v.kindOf(check, v.cfg.slackApp); !ok {
		return []finding{f}, ""
	}
	_, address, err := v.api.StartSocketModeContext(ctx)
	if err != nil {
		return []finding{v.refused(check, err)}, ""
	}
	found = []finding{{check, good, "Slack accepts the app-level token", ""}}
	link, err := v.openLink(ctx, address)
	others := link.Connections - 1
	switch {
	case link.Reason == "link_disabled":
		found = append(found, finding{"slack-link", bad, "Socket Mode is switched off in the app's settings", switchSocket})
	case link.Reason == "too_many_websockets":
		found = append(found, finding{"slack-link", bad, "ten Socket Mode links are open for this app, and Slack allows no more: too many bots run with this token", "Stop all but two; each keeps two links."})
	case err != nil:
		found = append(found, finding{"slack-link", bad, "the Socket Mode link does not open: " + v.cfg.redact(err.Error()), "Let this machine reach the hosts below slack.com on port 443; a proxy on the way has to pass WebSockets."})
	case others > linksOfTwo:
		found = append(found, finding{"slack-link", warning, fmt.Sprintf("%d other links are open for this app, more than two bots keep: each command reaches only one of them", others), "Stop what else runs with this SLACK_APP_TOKEN, a laptop maybe; a bot for trying things out needs an app of its own."})
	default:
		found = append(found, finding{"slack-link", good, fmt.Sprintf("a Socket Mode link opens; %d others are open (a bot that runs keeps two)", others), ""})
	}
	if u, err := url.Parse(address); err == nil && link.App == "" {
		link.App = u.Query().Get("app_id")
	}
	return found, link.App
}

// linksOfTwo is how many links a bot and its successor keep during a deploy.
const linksOfTwo = 4

// slackLink is what Slack says on a link.
type slackLink struct {
	App         string // id
	Connections int    // this one included
	Reason      string // of being disconnected at once; empty: it was not
}

const (
	// linkPatience is what a link may take to open, and to greet.
	linkPatience = 10 * time.Second
	// closePatience is what it may take to close.
	closePatience = time.Second
)

// openLink opens a link, hears what Slack says first, and closes it. Slack may hand it a
// command in that moment: who typed that sees Slack's own time-out, and nothing was done.
func (v *slackVisit) openLink(ctx context.Context, address string) (link slackLink, err error) {
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	dialer := websocket.Dialer{NetDialContext: v.out.Dial, HandshakeTimeout: linkPatience, Proxy: http.ProxyFromEnvironment}
	conn, answer, err := dialer.DialContext(ctx, address, nil)
	if err != nil {
		if answer != nil {
			err = fmt.Errorf("%w (HTTP %d)", err, answer.StatusCode)
		}
		return slackLink{}, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	// What Slack says right after its hello comes before its pong: a link closed on the
	// hello alone never hears that Socket Mode is switched off.
	conn.SetPongHandler(func(string) error {
		return conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline)
	})
	for {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return link, err
		}
		var frame struct {
			Type        string `json:"type"`
			Reason      string `json:"reason"`
			Connections int    `json:"num_connections"`
			Info        struct {
				App string `json:"app_id"`
			} `json:"connection_info"`
		}
		_, text, err := conn.ReadMessage()
		switch {
		case err != nil && link.App+link.Reason != "":
			return link, nil // the end that was asked for
		case err != nil:
			return link, err
		case json.Unmarshal(text, &frame) != nil:
			continue
		}
		switch frame.Type {
		case "hello":
			link.App, link.Connections = frame.Info.App, frame.Connections
			_ = conn.WriteControl(websocket.PingMessage, nil, deadline) // if it is lost, the deadline ends the wait
			deadline = time.Now().Add(closePatience)
		case "disconnect":
			link.Reason = frame.Reason
		}
	}
}

// examineSameApp compares the app of the bot token with that of the app-level token: with
// those of two apps the bot would listen as the one and answer as the other.
func (v *slackVisit) examineSameApp(ctx context.Context, botID, linkOf string) []finding {
	if linkOf == "" || botID == "" {
		return nil // what is wrong with either token has been said
	}
	bot, err := v.api.GetBotInfoContext(ctx, slack.GetBotInfoParameters{Bot: botID})
	switch {
	case err != nil || bot.AppID == "":
		return nil // without users:read, which has been said
	case bot.AppID != linkOf:
		return []finding{{"slack-app", bad, fmt.Sprintf("SLACK_BOT_TOKEN is of the app %s, and SLACK_APP_TOKEN of %s: the bot would listen as the one and answer as the other", bot.AppID, linkOf),
			fmt.Sprintf("https://api.slack.com/apps/%s → Install App → copy the Bot User OAuth Token\n", linkOf) + v.set("SLACK_BOT_TOKEN", "xoxb-…")}}
	}
	return []finding{{"slack-app", good, "both tokens are of the app " + linkOf, ""}}
}
