package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// people asks Slack who somebody is, at most once a minute each. There is no second
// source: who can't be asked about is nobody.
type people struct {
	api   *api
	known *recall[slack.User]
}

func newPeople(a *api, t Timing) *people { return &people{a, newRecall[slack.User](t)} }

// find is users.info, remembered.
func (p *people) find(ctx context.Context, id string) (slack.User, error) {
	user, err := p.known.find(ctx, id, func(ctx context.Context) (slack.User, error) {
		var user *slack.User
		err := p.api.retry(ctx, repeatable, func(ctx context.Context) (err error) {
			user, err = p.api.slack.GetUserInfoContext(ctx, id)
			return err
		})
		if err != nil {
			return slack.User{}, err
		}
		if user == nil || user.ID != id {
			return slack.User{}, errors.New("users.info answered about somebody else")
		}
		return *user, nil
	})
	if err != nil {
		return slack.User{}, fmt.Errorf("users.info: %w", err)
	}
	return user, nil
}

// who says who asks, by Slack's word alone.
func (b *Bot) who(ctx context.Context, a ask) (commands.Person, error) {
	who := commands.Person{ID: a.user, Team: a.team}
	if a.user == "" {
		return who, errors.New("nobody is named in the request")
	}
	user, err := b.people.find(ctx, a.user)
	if err != nil {
		return who, err
	}
	self, _ := b.Self()
	if user.TeamID != "" {
		who.Team = user.TeamID
	}
	who.Kind = kind(user, a, self)
	return who, nil
}

// namesWithin is how long a message waits, in all, for what people call those whom it names
// and does not ring.
const namesWithin = 10 * time.Second

// names is what people call a user or a user group, by id; empty where Slack does not tell it
// in time. What it returns is for one goroutine, and as long as ctx holds.
func (b *Bot) names(ctx context.Context) func(id string) string {
	until := time.Now().Add(namesWithin)
	known := map[string]string{}
	var groups map[string]string // read once, with an error too
	ask := func(id string) string {
		ctx, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		if !strings.HasPrefix(id, "S") {
			user, err := b.people.find(ctx, id)
			if err != nil {
				return ""
			}
			return cmp.Or(user.RealName, user.Profile.DisplayName)
		}
		if groups == nil {
			groups = map[string]string{}
			all, err := b.api.slack.GetUserGroupsContext(ctx)
			if err != nil {
				return ""
			}
			for _, g := range all {
				groups[g.ID] = cmp.Or(g.Name, g.Handle)
			}
		}
		return groups[id]
	}
	return func(id string) string {
		name, asked := known[id]
		if !asked {
			name = oneLine(ask(id))
			known[id] = name
		}
		return name
	}
}

// kind sorts a user; the worst that is known of them counts.
func kind(u slack.User, a ask, self Self) commands.PersonKind {
	switch {
	case u.Deleted:
		return commands.Deactivated
	case u.IsBot || u.IsWorkflowBot || u.IsConnectorBot || u.ID == "USLACKBOT":
		return commands.Machine
	case u.IsStranger || !ours(u, a, self) || slices.ContainsFunc(a.teams, func(t string) bool { return !ourTeam(t, u, self) }):
		return commands.Foreign
	case u.IsRestricted || u.IsUltraRestricted:
		return commands.Guest
	}
	return commands.Member
}

// ours says whether a user belongs to the bot's workspace. In an Enterprise
// organisation a user has one home team and is a member of several workspaces
// (enterprise_user.teams), and an app that is installed for the whole organisation
// has its id (E…) for a team.
func ours(u slack.User, a ask, self Self) bool {
	if self.Team == "" {
		return false
	}
	return u.TeamID == self.Team ||
		slices.Contains(u.Enterprise.Teams, self.Team) ||
		u.TeamID == "" && u.Enterprise.ID == "" && a.team == self.Team || // a server that tells no teams but the request's
		strings.HasPrefix(self.Team, "E") && u.Enterprise.EnterpriseID == self.Team
}

// ourTeam says whether a team that a request names is the bot's, or for a member of
// the bot's workspace another one of the same person's.
func ourTeam(team string, u slack.User, self Self) bool {
	return team == self.Team || team == self.Enterprise && team != "" ||
		slices.Contains(u.Enterprise.Teams, team)
}

// stranger explains to a person that Slack could not be asked about them.
func stranger(err error) commands.Reply {
	say := func(sentence string) commands.Reply {
		text := commands.Prose(sentence)
		return commands.Reply{Summary: text.String(), Parts: []commands.Part{commands.Para{Text: text}}}
	}
	switch code := slackCode(err); {
	case code == "missing_scope":
		return say("I can't check who you are: my Slack app lacks the scope `users:read`. Nothing was changed or shown. Ask whoever runs me to add the scope and install the app again.")
	case code == "user_not_found" || code == "user_not_visible" || code == "users_not_found":
		return say("Slack does not show me who you are, so I can't answer you: I answer full members of this workspace only. Nothing was changed or shown.")
	case absent(err):
		return say("I can't check who you are: this Slack server has no `users.info`, and without it I answer nobody. Nothing was changed or shown.")
	}
	return say("I can't check who you are: Slack did not answer me. Nothing was changed or shown. Try again in a minute.")
}

// Groups reads who is in a Slack user group. It is separate from a Bot, whose
// commands need it.
type Groups struct {
	api   *api
	known *recall[[]string] // members, by group
}

// NewGroups makes a reader of user groups from the places and the bot token of a
// Config; its errors are those of New. Close it in the end.
func NewGroups(cfg Config) (*Groups, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	return &Groups{newAPI(cfg, &once{}), newRecall[[]string](cfg.Timing)}, nil
}

// Close ends idle connections.
func (g *Groups) Close() { g.api.close() }

// InGroup says whether a user is in a user group, by ids. Slack allows 20 questions a
// minute (tier 2), so answers are remembered for a minute. On an error nothing is
// known, and nobody is to be let in.
func (g *Groups) InGroup(ctx context.Context, id, user string) (bool, error) {
	members, err := g.Members(ctx, id)
	return slices.Contains(members, user), err
}

// Members are the user ids of a user group's members, remembered as for InGroup.
func (g *Groups) Members(ctx context.Context, id string) ([]string, error) {
	members, err := g.known.find(ctx, id, func(ctx context.Context) ([]string, error) {
		return g.api.slack.GetUserGroupMembersContext(ctx, id)
	})
	if err != nil {
		if absent(err) {
			g.api.missing("usergroups.users.list", "user groups in the policy let nobody in", err)
		}
		return nil, fmt.Errorf("read user group %s: %w", id, err)
	}
	return members, nil
}
