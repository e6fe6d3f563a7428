package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/secret"
)

const makeKey = "heroku authorizations:create --scope read,write --description zdd"

// herokuVisit is what the examinations of Heroku share.
type herokuVisit struct {
	*doctor
	client  *heroku.Client
	account heroku.Account
	apps    []fleet.App
	whole   bool // no list of apps ended early
}

func (d *doctor) examineHeroku(ctx context.Context) []finding {
	const check = "heroku-key"
	newKey := makeKey + "\n" + d.set("HEROKU_API_KEY", "HRKU-…")
	key := d.cfg.herokuKey.Reveal()
	switch {
	case key == "":
		return []finding{{check, bad, "HEROKU_API_KEY is not set", newKey}, d.examineSelfBlind()}
	case strings.HasPrefix(key, "xox"), strings.HasPrefix(key, "xapp-"):
		return []finding{{check, bad, "HEROKU_API_KEY holds a Slack token", newKey}, d.examineSelfBlind()}
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return []finding{{check, bad, "HEROKU_API_KEY holds a space, a line break or another sign that no key has: it was pasted with something around it", newKey}, d.examineSelfBlind()}
	}
	client, err := d.mayTry()
	if err != nil {
		return []finding{{check, bad, err.Error(), d.unset("HEROKU_API_URL") + "\n" + d.unset("HEROKU_METRICS_URL")}, d.examineSelfBlind()}
	}
	defer client.Close()
	v := &herokuVisit{doctor: d, client: client}
	if ahead, err := client.Skew(ctx); err == nil {
		d.compared("Heroku's", ahead)
	}
	if v.account, err = client.ReadAccount(ctx); err != nil {
		return []finding{v.refused(err), d.examineSelfBlind()}
	}
	found := []finding{{check, good, "Heroku accepts the key: account " + v.account.Email, ""}}
	found = append(found, v.examineScope(ctx)...)
	found = append(found, v.examineCalls(ctx))
	found = append(found, v.examineApps(ctx)...)
	return append(found, v.examineSelf(ctx)...)
}

// mayTry makes a client of Heroku that would change an app even where the bot must not,
// so that the scope of the key can be told apart from the bot's own reasons. It is only
// ever asked to change an app that can't exist.
func (d *doctor) mayTry() (*heroku.Client, error) {
	cfg := d.cfg
	cfg.ledgerKey, cfg.dyno = secret.New("the doctor changes nothing"), ""
	cfg.selfApp, cfg.herokuAppID = "", ""
	return newHeroku(cfg, d.policy, d.out, slog.New(slog.DiscardHandler), nil)
}

// refused explains why Heroku does not answer to the key.
func (v *herokuVisit) refused(err error) finding {
	newKey := makeKey + "\n" + v.set("HEROKU_API_KEY", "HRKU-…")
	p, ok := errors.AsType[*fleet.Problem](err)
	switch {
	case ok && p.Kind == fleet.Unauthorized:
		return finding{"heroku-key", bad, "Heroku does not accept HEROKU_API_KEY: it is revoked, expired or mistyped", newKey}
	case ok && p.Kind == fleet.Forbidden:
		return finding{"heroku-key", bad, "HEROKU_API_KEY may not even read: " + p.Message, newKey}
	}
	why := err.Error()
	if ok {
		why = p.Message
	}
	return finding{"heroku-key", unclear, "Heroku could not be asked: " + why, "Check HEROKU_API_URL and the network, look at https://status.heroku.com, and run bot doctor again."}
}

// nobodysApp is the UUID of no app.
const nobodysApp = fleet.ID("00000000-0000-4000-8000-000000000000")

// examineScope tries to switch a feature of an app that does not exist: Heroku refuses a
// key without the scope write before it looks for the app (assumed; nobody has seen it the
// other way round, and then a key that may only read would pass here and be told by the
// first change). Heroku shows a key's scopes nowhere that the key itself may read.
func (v *herokuVisit) examineScope(ctx context.Context) []finding {
	step := plan.Step{Kind: plan.Preboot, To: plan.State{Feature: &plan.Feature{Name: fleet.Preboot, On: true}}}
	p, _ := errors.AsType[*fleet.Problem](v.client.Apply(ctx, nobodysApp, step))
	switch {
	case p == nil || p.Kind != fleet.Forbidden && p.Kind != fleet.NotFound:
		return []finding{{"heroku-key", unclear, "whether the key may change apps could not be told", "Run bot doctor again."}}
	case p.Kind == fleet.Forbidden:
		return []finding{{"heroku-key", v.wantsChanges(), "the key may only read, so the bot can carry nothing out", makeKey + "\n" + v.set("HEROKU_API_KEY", "HRKU-…")}}
	}
	return nil
}

// nearlyUsedUp is how many calls above the reserve are few: an audit of a few dozen apps.
const nearlyUsedUp = 100

func (v *herokuVisit) examineCalls(ctx context.Context) finding {
	const check = "heroku-calls"
	left, err := v.client.ReadRate(ctx)
	reserve := v.policy.Heroku.Reserve
	switch {
	case err != nil:
		return finding{check, unclear, "API calls left: " + err.Error(), "Run bot doctor again in a minute."}
	case left < reserve+nearlyUsedUp:
		return finding{check, warning, fmt.Sprintf("about %d API calls are left, and the nightly scan leaves %d to people", left/100*100, reserve), "Somebody else uses this account. Give the bot one of its own, invited to your teams; or wait: 75 calls come back each minute."}
	}
	return finding{check, good, fmt.Sprintf("%d API calls are left, and the nightly scan leaves %d to people", left, reserve), ""}
}

// examineApps looks at the lists of apps, and for what the policy names among them.
func (v *herokuVisit) examineApps(ctx context.Context) []finding {
	const check = "heroku-apps"
	var early error
	v.whole = true
	for app, err := range v.client.ReadApps(heroku.Urgent(ctx), fleet.Filter{}) {
		if err != nil {
			early, v.whole = err, false
			continue
		}
		v.apps = append(v.apps, app)
	}
	var found []finding
	switch {
	case early != nil:
		found = append(found, finding{check, unclear, fmt.Sprintf("%d apps are seen, but not every list could be read: %v", len(v.apps), early), "Run bot doctor again; or name the teams to cover in the policy: scope: { teams: [acme] }"})
	case len(v.apps) == 0:
		found = append(found, finding{check, bad, "the account sees no app at all", fmt.Sprintf("heroku members:add %s --role member --team <team>\nor for one app: heroku access:add %[1]s --permissions view,deploy,operate --app <app>", v.account.Email)})
	default:
		found = append(found, finding{check, good, fmt.Sprintf("the account sees %d apps", len(v.apps)), ""})
	}
	for _, team := range v.policy.Scope.Teams {
		found = append(found, v.examineTeam(ctx, team)...)
	}
	return append(found, v.examineNamed()...)
}

// examineTeam looks for a team of the policy's scope.
func (v *herokuVisit) examineTeam(ctx context.Context, team string) []finding {
	for _, err := range v.client.ReadApps(heroku.Urgent(ctx), fleet.Filter{Teams: []string{team}}) {
		p, ok := errors.AsType[*fleet.Problem](err)
		switch {
		case err == nil:
			return nil // one app is enough
		case ok && slices.Contains([]fleet.Kind{fleet.NotFound, fleet.Forbidden, fleet.Refused}, p.Kind):
			return []finding{{"heroku-apps", bad, fmt.Sprintf("scope.teams names %s, and the account sees no such team", team), fmt.Sprintf("heroku members:add %s --role member --team %s\nor correct the name in the policy: heroku teams lists them.", v.account.Email, team)}}
		default:
			return []finding{{"heroku-apps", unclear, fmt.Sprintf("scope.teams: the apps of %s could not be listed: %v", team, err), "Run bot doctor again."}}
		}
	}
	return nil
}

// examineNamed looks for entries of apps that are about nothing, mistyped ones most
// likely. Pipelines are left out: the lists don't tell them.
func (v *herokuVisit) examineNamed() []finding {
	if !v.whole {
		return nil
	}
	var found []finding
	for _, o := range v.policy.Apps {
		if strings.HasPrefix(o.Match, "pipeline:") || slices.ContainsFunc(v.apps, func(a fleet.App) bool { return about(o, a) }) {
			continue
		}
		found = append(found, finding{"heroku-apps", warning, fmt.Sprintf("the policy's entry apps.%s is about no app that the account sees", o.Match), "Correct the name in the policy, or take the entry out: heroku apps --all lists the apps."})
	}
	return found
}

func about(o policy.Override, a fleet.App) bool {
	if team, ok := strings.CutPrefix(o.Match, "team:"); ok {
		return strings.EqualFold(a.Team, team)
	}
	matched, _ := path.Match(o.Match, a.Name) // Parse refused bad patterns
	return matched || string(a.ID) == o.Match
}

// examineSelfBlind judges what the environment alone tells of the bot's own app.
func (d *doctor) examineSelfBlind() finding {
	const check = "own-app"
	switch {
	case d.cfg.self() != "":
		return finding{check, good, "the bot knows its own app by " + d.selfFrom() + " and will never change it", ""}
	case d.cfg.dyno == "":
		return finding{check, good, "this is no Heroku dyno, so there is no app of the bot's own to protect", ""}
	}
	return finding{check, d.wantsChanges(), "the bot runs on a dyno and does not know which app is its own, so it reads and changes nothing",
		"heroku labs:enable runtime-dyno-metadata --app " + d.ownApp() + "   # from its next release on\nor: " + d.set("ZDD_SELF_APP", d.ownApp())}
}

// longestName is the most characters of an app's name; a UUID has 36.
const longestName = 30

func (d *doctor) selfFrom() string {
	if d.cfg.selfApp != "" {
		return "ZDD_SELF_APP"
	}
	return "HEROKU_APP_ID"
}

// examineSelf: the bot must never act on the app that it runs on, and so must know which
// that is; and where the key can see it, whether it runs.
func (v *herokuVisit) examineSelf(ctx context.Context) []finding {
	const check = "own-app"
	found := []finding{v.examineSelfBlind()}
	if v.cfg.self() == "" {
		return found
	}
	ref, err := fleet.ParseRef(v.cfg.self())
	if err != nil {
		return []finding{{check, v.wantsChanges(), v.selfFrom() + " is not an app's name or UUID, so the bot does not know which app is its own and changes nothing", v.set("ZDD_SELF_APP", "<the bot's app>")}}
	}
	app, err := v.client.ReadApp(heroku.Urgent(ctx), ref)
	p, isProblem := errors.AsType[*fleet.Problem](err)
	identity, _ := ref.Identity()
	byName := len(identity) <= longestName // a UUID needs no looking up
	switch {
	case isProblem && p.Kind == fleet.NotFound && byName:
		return []finding{{check, v.wantsChanges(), "ZDD_SELF_APP is " + v.cfg.selfApp + ", and Heroku shows no such app to the key: the bot can't tell which app is its own, and changes nothing",
			"heroku apps:info --app <the bot's app> --json   # its id is a UUID, which needs no looking up\n" + v.set("ZDD_SELF_APP", "<that UUID>")}}
	case err != nil:
		return found // that the key can't see the bot's own app is as it should be
	}
	if processes, known := app.Formation.Get(); known && v.cfg.dyno != "" {
		running := slices.DeleteFunc(slices.Clone(processes), func(p fleet.Process) bool { return p.Quantity == 0 })
		switch {
		case len(running) == 0:
			found = append(found, finding{check, bad, "no dyno of " + app.Name + " runs, so nobody answers in Slack", "heroku ps:scale worker=1 --app " + app.Name})
		case slices.ContainsFunc(running, func(p fleet.Process) bool { return app.Size(p.Size).Tier == fleet.Eco }):
			found = append(found, finding{check, warning, app.Name + " runs on an Eco dyno: it sleeps beside a web dyno, and stops when the account's Eco hours are used up", "heroku ps:type basic --app " + app.Name})
		}
	}
	return found
}
