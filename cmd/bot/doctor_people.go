package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"example.com/zdd/policy"
)

// examineChannels looks at every channel that the policy names. Seeing a channel needs
// channels:read or groups:read, which are optional: without them it is unknown.
func (v *slackVisit) examineChannels(ctx context.Context) []finding {
	const check, whereID = "channels", "The ID is at the very bottom of channel → View channel details; correct it in the policy."
	var found []finding
	tell := func(state condition, mend, format string, args ...any) {
		found = append(found, finding{check, state, fmt.Sprintf(format, args...), mend})
	}
	for _, c := range channelsOf(v.policy) {
		channel, err := v.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: c.ID})
		answer, _ := errors.AsType[slack.SlackErrorResponse](err)
		switch {
		case answer.Err == "channel_not_found":
			tell(bad, "In that channel: /invite @zdd\n"+whereID, "%s: there is no such channel, or it is private and the bot is not in it", c)
		case answer.Err == "missing_scope":
			tell(unclear, pasteScopes, "%s: the token lacks channels:read or groups:read, so the doctor can't look", c)
		case err != nil:
			tell(unclear, "Run bot doctor again; if it stays so, look at https://status.slack.com.", "%s: %v", c, err)
		case channel.IsArchived:
			tell(bad, fmt.Sprintf("#%s → channel name → Settings → Unarchive channel, or name another channel in the policy.", channel.Name), "%s: #%s is archived, so nothing can be posted there", c, channel.Name)
		case !channel.IsMember && (channel.IsPrivate || len(v.scopes) > 0 && !slices.Contains(v.scopes, "chat:write.public")):
			tell(bad, "In that channel: /invite @zdd", "%s: the bot is not in #%s, so it can't post there", c, channel.Name)
		case !channel.IsMember:
			tell(warning, "In that channel: /invite @zdd", "%s: the bot is not in #%s; it can post there, but can't find its messages again after a crash", c, channel.Name)
		case channel.IsExtShared:
			tell(warning, "Name a channel in the policy that only your company is in.", "%s: #%s is shared with another company, which would read what is posted there", c, channel.Name)
		default:
			tell(good, "", "%s: #%s", c, channel.Name)
		}
	}
	return found
}

// examinePeople looks at every person and group that the policy names, and whether
// between them anything could be approved.
func (v *slackVisit) examinePeople(ctx context.Context, team string) []finding {
	var found []finding
	decide := deciders{policy: v.policy, known: true}
	for _, p := range peopleOf(v.policy) {
		f, members, known := v.examineOne(ctx, p, team)
		found = append(found, f)
		switch p.Key {
		case "people.operators":
			decide.operators = append(decide.operators, members...)
		case "people.approvers":
			decide.approvers = append(decide.approvers, members...)
		default:
			known = true
		}
		decide.known = decide.known && known
	}
	return append(found, decide.examine()...)
}

// examineOne looks at one person or group. members are whom the bot would hear; not known
// is who could not be asked for.
func (v *slackVisit) examineOne(ctx context.Context, p named, team string) (f finding, members []string, known bool) {
	const check = "people"
	if strings.HasPrefix(p.ID, "S") {
		return v.examineGroup(ctx, p, team)
	}
	user, err := v.user(ctx, p.ID)
	switch {
	case err != nil:
		return finding{check, unclear, fmt.Sprintf("%s: %v", p, err), "Run bot doctor again; if it stays so, look at https://status.slack.com."}, nil, false
	case user == nil:
		return finding{check, bad, fmt.Sprintf("%s: there is no such person", p), "Their profile → ⋮ → Copy member ID; correct it in the policy."}, nil, true
	case user.Deleted:
		return finding{check, bad, fmt.Sprintf("%s: the account is deactivated", p), "Name someone else in the policy."}, nil, true
	case user.IsBot:
		return finding{check, bad, fmt.Sprintf("%s: that is a bot", p), "Name a person in the policy."}, nil, true
	case !mayUse(user, team):
		return finding{check, bad, fmt.Sprintf("%s: a guest or a person of another workspace can't use the bot", p), "Name a full member of the workspace in the policy."}, nil, true
	}
	return finding{check, good, fmt.Sprintf("%s: %s", p, user.Name), ""}, []string{p.ID}, true
}

// mostMembers is how many people of one group are looked at: users.info is limited to
// about 100 calls a minute (Slack, tier 4), and the doctor has one. The others count as
// good.
const mostMembers = 30

func (v *slackVisit) examineGroup(ctx context.Context, p named, team string) (f finding, members []string, known bool) {
	const check = "people"
	all, err := v.api.GetUserGroupMembersContext(ctx, p.ID)
	answer, _ := errors.AsType[slack.SlackErrorResponse](err)
	switch {
	case answer.Err == "plan_upgrade_required":
		return finding{check, bad, fmt.Sprintf("%s: this workspace's plan has no user groups", p), "Name people by their own ids in the policy: profile → ⋮ → Copy member ID"}, nil, true
	case answer.Err == "no_such_subteam":
		return finding{check, bad, fmt.Sprintf("%s: there is no such user group, or it is disabled", p), "People → User groups → the group → ⋮ → Copy group ID; correct it in the policy."}, nil, true
	case answer.Err == "missing_scope":
		return finding{check, bad, fmt.Sprintf("%s: who is in the user group can't be read without the scope usergroups:read", p), pasteScopes}, nil, false
	case err != nil:
		return finding{check, unclear, fmt.Sprintf("%s: %v", p, err), "Run bot doctor again; if it stays so, look at https://status.slack.com."}, nil, false
	case len(all) == 0:
		return finding{check, bad, fmt.Sprintf("%s: nobody is in this user group", p), "People → User groups → the group → Edit members, or name others in the policy."}, nil, true
	}
	for i, id := range all {
		user, err := v.user(ctx, id)
		if i >= mostMembers || err != nil || user != nil && !user.Deleted && !user.IsBot && mayUse(user, team) {
			members = append(members, id)
		}
	}
	if len(members) == 0 {
		return finding{check, bad, fmt.Sprintf("%s: nobody in this user group may use the bot: all are guests, bots or deactivated", p), "People → User groups → the group → Edit members, or name others in the policy."}, nil, true
	}
	return finding{check, good, fmt.Sprintf("%s: a user group of %d, %d of them may use the bot", p, len(all), len(members)), ""}, members, true
}

// user looks a person up once; nil: there is no such person.
func (v *slackVisit) user(ctx context.Context, id string) (*slack.User, error) {
	if user, asked := v.users[id]; asked {
		return user, nil
	}
	user, err := v.api.GetUserInfoContext(ctx, id)
	if answer, _ := errors.AsType[slack.SlackErrorResponse](err); slices.Contains([]string{"user_not_found", "users_not_found", "user_not_visible"}, answer.Err) {
		user, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	v.users[id] = user
	return user, nil
}

// mayUse says whether a person is a full member of the workspace, as chat judges it.
func mayUse(user *slack.User, team string) bool {
	foreign := user.TeamID != "" && user.TeamID != team && user.Enterprise.ID == ""
	return !user.IsRestricted && !user.IsUltraRestricted && !user.IsStranger && !foreign
}

// deciders are those whom the bot would hear as operators and as approvers, the members
// of groups among them.
type deciders struct {
	policy               policy.Policy
	operators, approvers []string
	known                bool // nobody is missing because Slack could not be asked
}

// examine says for whom nobody could ever approve: whoever asks can't approve it
// themselves. That there are no operators or approvers at all the policy's own hints say.
func (d deciders) examine() []finding {
	const check, mend = "approvals", "people: { approvers: [U0456EFGH, S0FINOPS] }   # not only those who ask"
	for _, ids := range []*[]string{&d.operators, &d.approvers} {
		slices.Sort(*ids)
		*ids = slices.Compact(*ids)
	}
	if !d.known || len(d.operators) == 0 || len(d.approvers) == 0 || d.policy.Approval.SelfApproval {
		return nil
	}
	var alone []string
	best := 0
	for _, who := range d.operators {
		others := len(slices.DeleteFunc(slices.Clone(d.approvers), func(id string) bool { return id == who }))
		best = max(best, others)
		if others == 0 {
			alone = append(alone, who)
		}
	}
	switch {
	case best == 0:
		return []finding{{check, bad, d.approvers[0] + " is the only approver and the only one who may ask: nobody could ever approve anything", mend}}
	case len(alone) > 0:
		return []finding{{check, warning, fmt.Sprintf("%s is the only approver: what they ask for themselves nobody can approve", alone[0]), mend}}
	}
	for _, q := range d.policy.Approval.Quorum {
		if best < q.Approvals {
			return []finding{{check, warning, fmt.Sprintf("above %s a month %d approvals are wanted, and there are %d approvers beside whoever asks: that many can never be had", q.Above, q.Approvals, best), mend}}
		}
	}
	return []finding{{check, good, fmt.Sprintf("%d may ask, %d may approve", len(d.operators), len(d.approvers)), ""}}
}

// named is an id and the key of the policy that holds it.
type named struct{ Key, ID string }

func (n named) String() string { return n.Key + " " + n.ID }

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
