package main

import (
	"slices"
	"testing"
	"time"

	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
)

// mistake is one that people make, what the doctor says of it, and what mends it.
type mistake struct {
	name  string
	given change // circumstances, before and after
	made  change
	cured change

	check string
	state condition
	text  string
	cure  string

	slackOptions func() simslack.Options
	fleet        string
	herokuTokens map[string]simheroku.Account
}

// change is what happens to an installation.
type change struct {
	env           map[string]string
	unset         []string // of what env has set
	slack, heroku []string // lines for the simulators
	do            func(t *testing.T, p *patient)
}

func env(pairs ...string) change {
	c := change{env: map[string]string{}}
	for pair := range slices.Chunk(pairs, 2) {
		c.env[pair[0]] = pair[1]
	}
	return c
}

// The cures that many rows share.
const (
	getBot     = makeBotToken + "\nSet SLACK_BOT_TOKEN=xoxb-… where the bot gets its environment from, and start it again."
	getApp     = makeAppToken + "\nSet SLACK_APP_TOKEN=xapp-… where the bot gets its environment from, and start it again."
	getKey     = makeKey + "\nSet HEROKU_API_KEY=HRKU-… where the bot gets its environment from, and start it again."
	getLedger  = "Set ZDD_LEDGER_KEY=$(openssl rand -hex 32) where the bot gets its environment from, and start it again."
	whereID    = "The ID is at the very bottom of channel → View channel details; correct it in the policy."
	invite     = "In that channel: /invite @zdd"
	slackAgain = "Check SLACK_API_URL and the network, look at https://status.slack.com, and run bot doctor again."
	noStart    = "Until then the bot does not start; what is in force below is what would hold without the file."
	moreYAML   = "people: { approvers: [U0456EFGH, S0FINOPS] }   # not only those who ask"
	otherDB    = "Set DATABASE_URL to the postgres://… address of a database, or unset it for the SQLite file zdd.db."
)

// onDyno are the circumstances of a one-off dyno that tries the bot out on SQLite.
func onDyno(pairs ...string) change {
	return env(append([]string{"DYNO", "run.1234", "ZDD_SQLITE_ON_DYNO", "yes"}, pairs...)...)
}

// withPolicy changes the policy, and back.
func withPolicy(yaml string) change { return env("ZDD_POLICY_YAML", yaml) }

// mistakes are all that the doctor is tested to find.
func mistakes() []mistake {
	all := slices.Concat(settingsMistakes(), probeMistakes(), slackMistakes(), channelMistakes(), peopleMistakes(), herokuMistakes(), databaseMistakes())
	for _, scope := range scopesNeeded() {
		all = append(all, mistake{
			name: "the bot token lacks " + scope, made: change{slack: []string{"scope remove " + scope}}, cured: change{slack: []string{"scope add " + scope}},
			check: "slack-scopes", state: bad, text: "the bot token lacks " + scope, cure: pasteScopes,
		})
	}
	for i, m := range all {
		for name := range m.made.env { // what the mistake has set is unset again, unless the cure says otherwise
			if _, set := m.cured.env[name]; !set {
				all[i].cured.unset = append(all[i].cured.unset, name)
			}
		}
	}
	return all
}

func settingsMistakes() []mistake {
	return []mistake{
		{name: "a log level that there is none", made: env("LOG_LEVEL", "loud"),
			check: "settings", state: bad, text: `LOG_LEVEL is "loud", and the bot does not start with that`, cure: "Set LOG_LEVEL=info where the bot gets its environment from, and start it again."},
		{name: "a port that is none", made: env("PORT", "http"),
			check: "settings", state: bad, text: `PORT is "http"; it is a port or address:port`, cure: "Set PORT=8080 where the bot gets its environment from, and start it again."},
		{name: "the policy is given twice", made: env("ZDD_POLICY", "zdd.yml"),
			check: "settings", state: warning, text: "ZDD_POLICY and ZDD_POLICY_YAML are both set: the file zdd.yml is not looked at", cure: "Take ZDD_POLICY out of where the bot gets its environment from, and start it again."},
		{name: "a typo in the policy", made: withPolicy("limits:\n  web_dynoes: 3\n"),
			check: "policy", state: bad, text: "ZDD_POLICY_YAML:2: limits.web_dynoes: unknown key; did you mean web_dynos?",
			cure: "Correct line 2 of your zdd.yml, then: Set ZDD_POLICY_YAML=\"$(cat zdd.yml)\" where the bot gets its environment from, and start it again.\n" + noStart},
		{name: "a typo in the policy on a dyno", given: onDyno("HEROKU_APP_ID", "00000000-0000-4000-8000-00000000000a", "HEROKU_APP_NAME", "my-zdd"), made: withPolicy("limits:\n  web_dynos: many\n"),
			check: "policy", state: bad, text: `ZDD_POLICY_YAML:2: limits.web_dynos: has to be a whole number from 1 to 100, and is "many"`,
			cure: "Correct line 2 of your zdd.yml, then: heroku config:set ZDD_POLICY_YAML=\"$(cat zdd.yml)\" --app my-zdd\n" + noStart},
		{name: "an unknown section in the policy", made: withPolicy("aproval: {}\n"),
			check: "policy", state: bad, text: "ZDD_POLICY_YAML:1: aproval: unknown key; did you mean approval?",
			cure: "Correct line 1 of your zdd.yml, then: Set ZDD_POLICY_YAML=\"$(cat zdd.yml)\" where the bot gets its environment from, and start it again.\n" + noStart},
		{name: "the policy file is missing", made: env("ZDD_POLICY_YAML", "", "ZDD_POLICY", "no/such.yml"),
			check: "policy", state: bad, text: "the policy file no/such.yml, which ZDD_POLICY names, does not exist: make it (zdd.example.yml shows every key) or unset ZDD_POLICY", cure: noStart},
		{name: "nobody may approve", made: withPolicy("people: { operators: [U0REQUESTER] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }"),
			check: "policy", state: warning, text: "`people.approvers` is empty: nobody can approve what costs money", cure: moreYAML},
		{name: "nobody may ask for changes", made: withPolicy("people: { approvers: [U0APPROVER] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }"),
			check: "policy", state: warning, text: "`people.operators` is empty: nobody can ask for a change", cure: "people: { operators: [U0123ABCD] }   # Slack user ids or user group ids: profile → ⋮ → Copy member ID"},
		{name: "the digest is off", made: withPolicy("people: { operators: [U0REQUESTER], approvers: [U0APPROVER] }\napproval: { channel: C0OPS }"),
			check: "policy", state: warning, text: "`digest.channel` is not set: no nightly digest is posted", cure: "digest: { channel: C0123ABCD }   # channel → View channel details → the ID at the very bottom"},
		{name: "no approval channel", made: withPolicy("people: { operators: [U0REQUESTER], approvers: [U0APPROVER] }\ndigest: { channel: C0OPS }"),
			check: "policy", state: warning, text: "`approval.channel` is not set: each approver is asked in a direct message, and changes are told nowhere else", cure: "approval: { channel: C0123ABCD }   # channel → View channel details → the ID at the very bottom"},
		{name: "one person alone can spend money", made: withPolicy(healthyWith("approval: { channel: C0OPS, self_approval: true }")),
			check: "policy", state: warning, text: "`approval.self_approval` is on: one person alone can spend money", cure: "approval: { self_approval: false }"},
	}
}

func probeMistakes() []mistake {
	const mend = "Correct its DNS record, or the policy: apps: { shop: { probe: { domain: … } } }"
	leads := func(address string) change { return change{do: func(_ *testing.T, p *patient) { p.leads(address) }} }
	well := leads("2606:4700::1")
	return []mistake{
		{name: "a domain to probe that there is none", made: leads(""), cured: well, check: "probes", state: bad, text: "there is no host named shop.acme.example, where the policy has shop probed", cure: mend},
		{name: "a domain to probe in the intranet", made: leads("10.0.0.7"), cured: well, check: "probes", state: bad,
			text: "shop.acme.example leads to 10.0.0.7, and only public addresses are probed, so deploys of shop can't be watched", cure: mend},
		{name: "a domain to probe that is a metadata service", made: leads("::ffff:169.254.169.254"), cured: well, check: "probes", state: bad,
			text: "shop.acme.example leads to 169.254.169.254, and only public addresses are probed, so deploys of shop can't be watched", cure: mend},
		{name: "a domain to probe, and DNS is away", made: leads("away"), cured: well, check: "probes", state: unclear,
			text: "the name shop.acme.example could not be looked up: lookup shop.acme.example: server misbehaving", cure: "Run bot doctor again; if it stays so, look at this machine's DNS."},
	}
}

// healthyWith is the healthy policy with another approval section.
func healthyWith(approval string) string {
	return "people: { operators: [U0REQUESTER], approvers: [U0APPROVER, S0FINOPS] }\ndigest: { channel: C0OPS }\n" + approval
}

func slackMistakes() []mistake {
	const kept = "it must begin with "
	return []mistake{
		{name: "no bot token", made: env("SLACK_BOT_TOKEN", ""), check: "slack-bot-token", state: bad, text: "SLACK_BOT_TOKEN is not set", cure: getBot},
		{name: "no app-level token", made: env("SLACK_APP_TOKEN", ""), check: "slack-app-token", state: bad, text: "SLACK_APP_TOKEN is not set", cure: getApp},
		{name: "the tokens are swapped, the bot's", made: env("SLACK_BOT_TOKEN", simslack.DefaultAppToken, "SLACK_APP_TOKEN", simslack.DefaultBotToken),
			check: "slack-bot-token", state: bad, text: "SLACK_BOT_TOKEN holds an app-level token; " + kept + "xoxb-", cure: getBot},
		{name: "the tokens are swapped, the app's", made: env("SLACK_BOT_TOKEN", simslack.DefaultAppToken, "SLACK_APP_TOKEN", simslack.DefaultBotToken),
			check: "slack-app-token", state: bad, text: "SLACK_APP_TOKEN holds a bot token; " + kept + "xapp-", cure: getApp},
		{name: "a user token", made: env("SLACK_BOT_TOKEN", "xoxp-1-2-3"), check: "slack-bot-token", state: bad, text: "SLACK_BOT_TOKEN holds a user token; " + kept + "xoxb-", cure: getBot},
		{name: "a rotating token", made: env("SLACK_BOT_TOKEN", "xoxe.xoxb-1-2"), check: "slack-bot-token", state: bad, text: "SLACK_BOT_TOKEN holds a refresh or rotating token; " + kept + "xoxb-", cure: getBot},
		{name: "a signing secret for a token", made: env("SLACK_APP_TOKEN", "8f742231b10e8888abcd99yyyzzz85a5"), check: "slack-app-token", state: bad, text: "SLACK_APP_TOKEN does not begin with xapp-", cure: getApp},
		{name: "a bot token of nobody", made: env("SLACK_BOT_TOKEN", "xoxb-wrong-1"), check: "slack-bot-token", state: bad,
			text: "Slack does not accept SLACK_BOT_TOKEN (invalid_auth): it is mistyped, or of an app that was deleted", cure: getBot},
		{name: "another address for Slack, in the clear", made: env("SLACK_API_URL", "http://slack.example/api/"), check: "slack-bot-token", state: bad,
			text: "SLACK_API_URL begins with http:// and is not on this machine: everyone on the way could read the token. Nothing was sent there. Let it begin with https://, or unset it.", cure: "Take SLACK_API_URL out of where the bot gets its environment from, and start it again."},
		{name: "the bot token is revoked", made: change{slack: []string{"fault auth.test token_revoked"}}, cured: change{slack: []string{"faults clear"}},
			check: "slack-bot-token", state: bad, text: "SLACK_BOT_TOKEN was revoked (token_revoked)", cure: getBot},
		{name: "token rotation is on", made: change{slack: []string{"fault auth.test token_expired"}}, cured: change{slack: []string{"faults clear"}},
			check: "slack-bot-token", state: bad, text: "SLACK_BOT_TOKEN has expired (token_expired): token rotation is on, and the bot needs a token that lasts",
			cure: "Make a new app from manifest.yml; rotation can't be switched off again.\n" + getBot},
		{name: "the workspace has not approved the app", made: change{slack: []string{"fault auth.test team_access_not_granted"}}, cured: change{slack: []string{"faults clear"}},
			check: "slack-bot-token", state: bad, text: "the workspace is closed to this app (team_access_not_granted)", cure: "Ask its owners to approve the app, then run bot doctor again."},
		{name: "the app-level token lacks connections:write", made: change{slack: []string{"refuse missing_scope"}}, cured: change{slack: []string{"refuse off"}},
			check: "slack-app-token", state: bad, text: "SLACK_APP_TOKEN lacks the scope connections:write", cure: getApp},
		{name: "the app-level token is revoked", made: change{slack: []string{"refuse token_revoked"}}, cured: change{slack: []string{"refuse off"}},
			check: "slack-app-token", state: bad, text: "SLACK_APP_TOKEN was revoked (token_revoked)", cure: getApp},
		{name: "Slack does not answer", made: change{slack: []string{"fault auth.test 503"}}, cured: change{slack: []string{"faults clear"}},
			check: "slack-bot-token", state: unclear, text: "SLACK_BOT_TOKEN: Slack could not be asked: slack server error: 503 Service Unavailable", cure: slackAgain},
		{name: "Socket Mode is off", made: change{slack: []string{"greet link_disabled"}}, cured: change{slack: []string{"greet ok"}},
			check: "slack-link", state: bad, text: "Socket Mode is switched off in the app's settings", cure: switchSocket},
		{name: "too many bots", made: change{slack: []string{"greet too_many_websockets"}}, cured: change{slack: []string{"greet ok"}},
			check: "slack-link", state: bad, text: "ten Socket Mode links are open for this app, and Slack allows no more: too many bots run with this token", cure: "Stop all but two; each keeps two links."},
		{name: "three bots with one token", made: change{do: func(t *testing.T, p *patient) { p.links(t, 6) }}, cured: change{do: func(t *testing.T, p *patient) { p.links(t, 0) }},
			check: "slack-link", state: warning, text: "6 other links are open for this app, more than two bots keep: each command reaches only one of them",
			cure: "Stop what else runs with this SLACK_APP_TOKEN, a laptop maybe; a bot for trying things out needs an app of its own."},
		{name: "a proxy without WebSockets", made: change{do: func(_ *testing.T, p *patient) { p.asleep["slack"] = true }}, cured: change{do: func(_ *testing.T, p *patient) { p.asleep["slack"] = false }},
			check: "slack-link", state: bad, text: "the Socket Mode link does not open: websocket: bad handshake (HTTP 403)", cure: "Let this machine reach the hosts below slack.com on port 443; a proxy on the way has to pass WebSockets."},
		{name: "the tokens of two apps",
			made: change{do: func(t *testing.T, p *patient) {
				other := simslack.DefaultWorkspace()
				other.AppID = "A0OTHERAPP"
				p.elsewhere(t, simslack.Options{Workspace: other})
			}},
			cured: change{unset: []string{"SLACK_API_URL"}},
			check: "slack-app", state: bad, text: "SLACK_BOT_TOKEN is of the app A0ZDD, and SLACK_APP_TOKEN of A0OTHERAPP: the bot would listen as the one and answer as the other",
			cure: "https://api.slack.com/apps/A0OTHERAPP → Install App → copy the Bot User OAuth Token\nSet SLACK_BOT_TOKEN=xoxb-… where the bot gets its environment from, and start it again."},
		{name: "this machine's clock is off", made: change{do: func(_ *testing.T, p *patient) { p.skewed["slack"], p.skewed["heroku"] = -time.Hour, -time.Hour }}, cured: change{do: func(_ *testing.T, p *patient) { clear(p.skewed) }},
			check: "clock", state: bad, text: "this machine's clock is 1h ahead of Heroku's and 1h ahead of Slack's: tickets would expire, and rollouts go on, at the wrong moment", cure: "sudo timedatectl set-ntp true"},
		{name: "two clocks that don't agree", made: change{do: func(_ *testing.T, p *patient) { p.skewed["heroku"] = time.Hour }}, cured: change{do: func(_ *testing.T, p *patient) { clear(p.skewed) }},
			check: "clock", state: unclear, text: "this machine's clock is 1h behind Heroku's, and those two don't agree with each other", cure: "Run bot doctor again; if it stays so, something between here and there answers in the name of one of them."},
	}
}

func channelMistakes() []mistake {
	ops := func(cure change, slack, text, mend string, state condition) mistake {
		return mistake{name: text, made: change{slack: []string{slack}}, cured: cure, check: "channels", state: state, text: "approval.channel C0OPS: " + text, cure: mend}
	}
	return []mistake{
		ops(change{slack: []string{"channel unarchive #ops"}}, "channel archive #ops", "#ops is archived, so nothing can be posted there", "#ops → channel name → Settings → Unarchive channel, or name another channel in the policy.", bad),
		ops(change{slack: []string{"channel join #ops"}}, "channel kick #ops", "the bot is not in #ops; it can post there, but can't find its messages again after a crash", invite, warning),
		{name: "a channel that there is none", made: withPolicy(healthyWith("approval: { channel: C0NOWHERE }")),
			check: "channels", state: bad, text: "approval.channel C0NOWHERE: there is no such channel, or it is private and the bot is not in it", cure: invite + "\n" + whereID},
		{name: "a private channel without the bot", made: withPolicy(healthyWith("approval: { channel: C0BOARD }")),
			check: "channels", state: bad, text: "approval.channel C0BOARD: there is no such channel, or it is private and the bot is not in it", cure: invite + "\n" + whereID},
		{name: "the digest's channel is archived", made: withPolicy("people: { operators: [U0REQUESTER], approvers: [U0APPROVER] }\napproval: { channel: C0OPS }\ndigest: { channel: C0ATTIC }"),
			check: "channels", state: bad, text: "digest.channel C0ATTIC: #attic is archived, so nothing can be posted there", cure: "#attic → channel name → Settings → Unarchive channel, or name another channel in the policy."},
		{name: "a team's channel that there is none", made: withPolicy(healthyRules + "apps: { shop: { channel: C0NOWHERE } }"),
			check: "channels", state: bad, text: "apps.shop.channel C0NOWHERE: there is no such channel, or it is private and the bot is not in it", cure: invite + "\n" + whereID},
		{name: "a channel shared with another company", made: withPolicy(healthyWith("approval: { channel: C0PARTNERS }")),
			check: "channels", state: warning, text: "approval.channel C0PARTNERS: #partners is shared with another company, which would read what is posted there", cure: "Name a channel in the policy that only your company is in."},
		{name: "channels can't be looked at", made: change{slack: []string{"scope remove channels:read"}}, cured: change{slack: []string{"scope add channels:read"}},
			check: "channels", state: unclear, text: "approval.channel C0OPS: the token lacks channels:read or groups:read, so the doctor can't look", cure: pasteScopes},
	}
}

func peopleMistakes() []mistake {
	approvers := func(id string) change {
		return withPolicy("people: { operators: [U0REQUESTER], approvers: [U0APPROVER2, " + id + "] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }")
	}
	const copyID = "Their profile → ⋮ → Copy member ID; correct it in the policy."
	const editGroup = "People → User groups → the group → Edit members, or name others in the policy."
	return []mistake{
		{name: "an approver who does not exist", made: approvers("U0NOBODY"), check: "people", state: bad, text: "people.approvers U0NOBODY: there is no such person", cure: copyID},
		{name: "an approver who has left", made: change{slack: []string{"user deactivate approver"}}, cured: change{slack: []string{"user reactivate approver"}},
			check: "people", state: bad, text: "people.approvers U0APPROVER: the account is deactivated", cure: "Name someone else in the policy."},
		{name: "an approver who is a guest", made: approvers("U0GUEST"), check: "people", state: bad, text: "people.approvers U0GUEST: a guest or a person of another workspace can't use the bot", cure: "Name a full member of the workspace in the policy."},
		{name: "an approver of another company", made: approvers("U0STRANGER"), check: "people", state: bad, text: "people.approvers U0STRANGER: a guest or a person of another workspace can't use the bot", cure: "Name a full member of the workspace in the policy."},
		{name: "an approver that is a bot", made: approvers("U0HELPERBOT"), check: "people", state: bad, text: "people.approvers U0HELPERBOT: that is a bot", cure: "Name a person in the policy."},
		{name: "an operator who does not exist", made: withPolicy("people: { operators: [U0REQUESTER, U0NOBODY], approvers: [U0APPROVER] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }"),
			check: "people", state: bad, text: "people.operators U0NOBODY: there is no such person", cure: copyID},
		{name: "a reader who does not exist", made: withPolicy("people: { operators: [U0REQUESTER], approvers: [U0APPROVER], readers: [U0NOBODY] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }"),
			check: "people", state: bad, text: "people.readers U0NOBODY: there is no such person", cure: copyID},
		{name: "an owner who does not exist", made: withPolicy(healthyRules + "apps: { shop: { owner: U0NOBODY } }"), check: "people", state: bad, text: "apps.shop.owner U0NOBODY: there is no such person", cure: copyID},
		{name: "a user group that does not exist", made: approvers("S0NOBODY"), check: "people", state: bad, text: "people.approvers S0NOBODY: there is no such user group, or it is disabled", cure: "People → User groups → the group → ⋮ → Copy group ID; correct it in the policy."},
		{name: "a user group that is disabled", made: change{slack: []string{"group disable S0FINOPS"}}, cured: change{slack: []string{"group enable S0FINOPS"}},
			check: "people", state: bad, text: "people.approvers S0FINOPS: there is no such user group, or it is disabled", cure: "People → User groups → the group → ⋮ → Copy group ID; correct it in the policy."},
		{name: "a user group that is empty", made: change{slack: []string{"group set S0FINOPS"}}, cured: change{slack: []string{"group set S0FINOPS approver approver2"}},
			check: "people", state: bad, text: "people.approvers S0FINOPS: nobody is in this user group", cure: editGroup},
		{name: "a user group of guests", made: change{slack: []string{"group set S0FINOPS guest deactivated"}}, cured: change{slack: []string{"group set S0FINOPS approver approver2"}},
			check: "people", state: bad, text: "people.approvers S0FINOPS: nobody in this user group may use the bot: all are guests, bots or deactivated", cure: editGroup},
		{name: "a plan without user groups", made: change{slack: []string{"plan free"}}, cured: change{slack: []string{"plan paid"}},
			check: "people", state: bad, text: "people.approvers S0FINOPS: this workspace's plan has no user groups", cure: "Name people by their own ids in the policy: profile → ⋮ → Copy member ID"},
		{name: "the only approver is the only one who asks", made: withPolicy("people: { operators: [U0APPROVER], approvers: [U0APPROVER] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }"),
			check: "approvals", state: bad, text: "U0APPROVER is the only approver and the only one who may ask: nobody could ever approve anything", cure: moreYAML},
		{name: "one who asks is the only approver", made: withPolicy("people: { operators: [U0APPROVER, S0PLATFORM], approvers: [U0APPROVER] }\napproval: { channel: C0OPS }\ndigest: { channel: C0OPS }"),
			check: "approvals", state: warning, text: "U0APPROVER is the only approver: what they ask for themselves nobody can approve", cure: moreYAML},
		{name: "a quorum out of reach", made: withPolicy(healthyWith("approval: { channel: C0OPS, quorum: [{ above: 500, approvals: 3 }] }")),
			check: "approvals", state: warning, text: "above $500.00 a month 3 approvals are wanted, and there are 2 approvers beside whoever asks: that many can never be had", cure: moreYAML},
	}
}

func herokuMistakes() []mistake {
	const readOnly = "HRKU-5eed0000-0000-4000-8000-00000000000b"
	return []mistake{
		{name: "no Heroku key", made: env("HEROKU_API_KEY", ""), check: "heroku-key", state: bad, text: "HEROKU_API_KEY is not set", cure: getKey},
		{name: "a Slack token for a Heroku key", made: env("HEROKU_API_KEY", simslack.DefaultBotToken), check: "heroku-key", state: bad, text: "HEROKU_API_KEY holds a Slack token", cure: getKey},
		{name: "a Heroku key with words around it", made: env("HEROKU_API_KEY", "Token: HRKU-wrong-wrong"), check: "heroku-key", state: bad,
			text: "HEROKU_API_KEY holds a space, a line break or another sign that no key has: it was pasted with something around it", cure: getKey},
		{name: "a Heroku key of nobody", made: env("HEROKU_API_KEY", "HRKU-wrong-wrong-wrong"), check: "heroku-key", state: bad, text: "Heroku does not accept HEROKU_API_KEY: it is revoked, expired or mistyped", cure: getKey},
		{name: "the Heroku key is revoked", made: change{heroku: []string{"revoke-token"}}, cured: change{heroku: []string{"restore-token"}},
			check: "heroku-key", state: bad, text: "Heroku does not accept HEROKU_API_KEY: it is revoked, expired or mistyped", cure: getKey},
		{name: "a Heroku key that may only read", herokuTokens: map[string]simheroku.Account{simheroku.DefaultToken: {}, readOnly: {Scope: "read"}}, made: env("HEROKU_API_KEY", readOnly),
			check: "heroku-key", state: bad, text: "the key may only read, so the bot can carry nothing out", cure: getKey},
		{name: "another address for Heroku, mistyped", made: env("HEROKU_API_URL", "api.heroku.com"), check: "heroku-key", state: bad, text: "heroku URL: it must begin with https:// (or http:// for a simulator) and name a host",
			cure: "Take HEROKU_API_URL out of where the bot gets its environment from, and start it again.\nTake HEROKU_METRICS_URL out of where the bot gets its environment from, and start it again."},
		{name: "another address for Heroku, in the clear", made: env("HEROKU_API_URL", "http://10.0.0.1:5000"), check: "heroku-key", state: bad,
			text: "HEROKU_API_URL begins with http:// and is not on this machine: everyone on the way could read the token. Nothing was sent there. Let it begin with https://, or unset it.",
			cure: "Take HEROKU_API_URL out of where the bot gets its environment from, and start it again.\nTake HEROKU_METRICS_URL out of where the bot gets its environment from, and start it again."},
		{name: "Heroku is down", made: change{heroku: []string{"fault GET /** 503html"}}, cured: change{heroku: []string{"faults clear"}},
			check: "heroku-key", state: unclear, text: "Heroku could not be asked: 503 Service Unavailable", cure: "Check HEROKU_API_URL and the network, look at https://status.heroku.com, and run bot doctor again."},
		{name: "an account that sees nothing", fleet: "app shop owner=ops@acme.example\n", made: change{heroku: []string{"forbid shop on"}}, cured: change{heroku: []string{"forbid shop off"}},
			check: "heroku-apps", state: bad, text: "the account sees no app at all", cure: "heroku members:add ops@acme.example --role member --team <team>\nor for one app: heroku access:add ops@acme.example --permissions view,deploy,operate --app <app>"},
		{name: "a team that the account is not in", made: withPolicy(healthyPolicy + "scope: { teams: [acme, acne] }"),
			check: "heroku-apps", state: bad, text: "scope.teams names acne, and the account sees no such team", cure: "heroku members:add ops@acme.example --role member --team acne\nor correct the name in the policy: heroku teams lists them."},
		{name: "a rule for an app that there is none", made: withPolicy(healthyRules + "apps: { shpo: { web_dynos: 3 } }"),
			check: "heroku-apps", state: warning, text: "the policy's entry apps.shpo is about no app that the account sees", cure: "Correct the name in the policy, or take the entry out: heroku apps --all lists the apps."},
		{name: "the API limit is nearly used up", made: change{heroku: []string{"bucket 540"}}, cured: change{heroku: []string{"bucket 4500"}},
			check: "heroku-calls", state: warning, text: "about 500 API calls are left, and the nightly scan leaves 500 to people", cure: "Somebody else uses this account. Give the bot one of its own, invited to your teams; or wait: 75 calls come back each minute."},
		{name: "the bot's own app is not known", given: onDyno("HEROKU_APP_NAME", "my-zdd", "ZDD_SELF_APP", "my-zdd"), made: env("ZDD_SELF_APP", ""), cured: env("ZDD_SELF_APP", "my-zdd"),
			fleet: "app my-zdd worker=1 size=basic owner=ops@acme.example\napp shop\n",
			check: "own-app", state: bad, text: "the bot runs on a dyno and does not know which app is its own, so it reads and changes nothing",
			cure: "heroku labs:enable runtime-dyno-metadata --app my-zdd   # from its next release on\nor: heroku config:set ZDD_SELF_APP=my-zdd --app my-zdd"},
		{name: "the bot's own app is mistyped", given: onDyno("HEROKU_APP_ID", "00000000-0000-4000-8000-00000000000a"), made: env("ZDD_SELF_APP", "my-zd"),
			check: "own-app", state: bad, text: "ZDD_SELF_APP is my-zd, and Heroku shows no such app to the key: the bot can't tell which app is its own, and changes nothing",
			cure: "heroku apps:info --app <the bot's app> --json   # its id is a UUID, which needs no looking up\nheroku config:set ZDD_SELF_APP=<that UUID> --app my-zd"},
		{name: "no dyno of the bot runs", given: onDyno("ZDD_SELF_APP", "my-zdd"), fleet: "app my-zdd worker=1 size=basic owner=ops@acme.example\napp shop\n",
			made: change{heroku: []string{"set my-zdd worker=0 web=0"}}, cured: change{heroku: []string{"set my-zdd worker=1"}},
			check: "own-app", state: bad, text: "no dyno of my-zdd runs, so nobody answers in Slack", cure: "heroku ps:scale worker=1 --app my-zdd"},
		{name: "the bot runs on an Eco dyno", given: onDyno("ZDD_SELF_APP", "my-zdd"), fleet: "app my-zdd worker=1 size=basic owner=ops@acme.example\napp shop\n",
			made: change{heroku: []string{"set my-zdd size=eco"}}, cured: change{heroku: []string{"set my-zdd size=basic"}},
			check: "own-app", state: warning, text: "my-zdd runs on an Eco dyno: it sleeps beside a web dyno, and stops when the account's Eco hours are used up", cure: "heroku ps:type basic --app my-zdd"},
	}
}

func databaseMistakes() []mistake {
	refusing := func(code, message string) change {
		return change{do: func(t *testing.T, p *patient) { p.env["DATABASE_URL"] = refusingPostgres(t, code, message) }}
	}
	mended := change{unset: []string{"DATABASE_URL"}}
	healthyKey := env("ZDD_LEDGER_KEY", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	key := func(value string) change {
		return change{do: func(_ *testing.T, p *patient) { p.env["ZDD_LEDGER_KEY"] = value }}
	}
	return []mistake{
		{name: "SQLite on a dyno", given: env("DYNO", "run.1234", "ZDD_SELF_APP", "shop", "ZDD_SQLITE_ON_DYNO", "yes"), made: env("ZDD_SQLITE_ON_DYNO", ""), cured: env("ZDD_SQLITE_ON_DYNO", "yes"),
			check: "database", state: bad, text: "SQLite on a dyno: its disk is lost at every restart, and with it every approval and the ledger", cure: "heroku addons:create heroku-postgresql:essential-0 --app shop"},
		{name: "SQLite on a dyno, allowed", made: onDyno("ZDD_SELF_APP", "shop"),
			check: "database", state: warning, text: "SQLite on a dyno, allowed by ZDD_SQLITE_ON_DYNO: everything is lost at every restart",
			cure: "heroku addons:create heroku-postgresql:essential-0 --app shop\nheroku config:unset ZDD_SQLITE_ON_DYNO --app shop"},
		{name: "a database of another kind", made: env("DATABASE_URL", "mysql://u:hunter2@h/d"), check: "database", state: bad, text: "DATABASE_URL is neither postgres://… nor sqlite:FILE", cure: otherDB},
		{name: "a password that breaks the URL", made: env("DATABASE_URL", "postgres://u:hun/ter2@127.0.0.1/d"), check: "database", state: bad,
			text: "DATABASE_URL can't be read as the address of a PostgreSQL: every / ? # @ and % in its user and password has to be percent-encoded (%2F %3F %23 %40 %25), and what is behind its ? has to be PostgreSQL's options", cure: otherDB},
		{name: "a database that is not there", made: env("DATABASE_URL", "postgres://zdd:hunter2@127.0.0.1:1/zdd"), check: "database", state: bad, text: "the database can't be reached: dial tcp 127.0.0.1:1: connect: connection refused",
			cure: "Check host and port of DATABASE_URL, that the server runs, and that this machine may reach it. Until it does, the bot answers questions and changes nothing."},
		{name: "a wrong password", made: refusing("28P01", "password authentication failed"), cured: mended, check: "database", state: bad,
			text: "PostgreSQL does not accept the user or the password in DATABASE_URL",
			cure: "Take it anew from where the database was made: heroku pg:credentials:url --app <the bot's app>\nSet DATABASE_URL=postgres://… where the bot gets its environment from, and start it again."},
		{name: "a database of another name", made: refusing("3D000", "database does not exist"), cured: mended, check: "database", state: bad,
			text: "PostgreSQL has no database of the name in DATABASE_URL", cure: "createdb <the name after the last / of DATABASE_URL>"},
		{name: "no connection left", made: refusing("53300", "too many connections"), cured: mended, check: "database", state: bad,
			text: "PostgreSQL has no connection left: a bot keeps up to 8, two during a deploy 16, and small plans have 20",
			cure: "heroku pg:ps --app <the bot's app>   # who holds them; the bot's are called zdd"},
		{name: "a database that is starting up", made: refusing("57P03", "the database system is starting up"), cured: mended, check: "database", state: unclear,
			text: "PostgreSQL is starting up or shutting down", cure: "Run bot doctor again in a minute."},
		{name: "no folder for the database", made: env("DATABASE_URL", "sqlite:no/such/folder/zdd.db"), check: "database", state: bad,
			text: "make the SQLite file: stat no/such/folder: no such file or directory", cure: "Make its folder, owned by the user that the bot runs as, or name another file: DATABASE_URL=sqlite:FILE"},
		{name: "a database of a newer bot", made: change{do: func(t *testing.T, p *patient) {
			p.migrated(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		}},
			cured: change{do: func(t *testing.T, p *patient) { p.migrated(t, `DELETE FROM goose_db_version WHERE version_id = 9999`) }},
			check: "database", state: warning, text: "the sqlite database is at schema 9999, newer than this program: a newer bot has been here",
			cure: "Start the newer version again. This one runs on that schema too, because schemas only grow, and does not know what is new."},
		{name: "no ledger key", made: key(""), cured: healthyKey, check: "ledger-key", state: bad,
			text: "ZDD_LEDGER_KEY is not set: nobody could prove who decided what, so the bot reads and changes nothing", cure: getLedger + "\nKeep a copy outside the database: bot ledger verify needs it."},
		{name: "a ledger key that can be guessed", made: key("changeme"), cured: healthyKey, check: "ledger-key", state: warning,
			text: "ZDD_LEDGER_KEY has 8 characters, and fewer than 32 can be guessed: whoever owns the database could then forge the record", cure: getLedger + "\nSet ZDD_LEDGER_FORMER_KEYS=<the old one> where the bot gets its environment from, and start it again.   # bot ledger verify needs it for the entries up to now"},
		{name: "another ledger key than before", made: change{do: func(t *testing.T, p *patient) { p.sealed(t); key("fedcba9876543210fedcba9876543210").do(t, p) }}, cured: env("ZDD_LEDGER_FORMER_KEYS", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), check: "ledger-key", state: warning,
			text: "the ledger up to #1 2a878637c6fe is sealed with another key (c283bcd3) than ZDD_LEDGER_KEY (3d6a196e)", cure: "If it was changed by mistake, set ZDD_LEDGER_KEY to the old one. If it was changed on purpose: Set ZDD_LEDGER_FORMER_KEYS=<the old one> where the bot gets its environment from, and start it again."},
	}
}
