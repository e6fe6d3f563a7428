package slack

import (
	"cmp"
	"slices"
	"strings"
)

// Workspace is the company that the simulated Slack serves. The zero value of
// [Options] means [DefaultWorkspace].
type Workspace struct {
	ID     string // T…
	Name   string
	Domain string // NAME in https://NAME.slack.com

	// EnterpriseID and EnterpriseName are empty outside an Enterprise organisation.
	EnterpriseID, EnterpriseName string

	AppID   string // A…
	BotID   string // B…
	BotUser string // U…: the id of the app's own user, one of People
	Plan    string // "free" makes usergroups.* answer plan_upgrade_required

	People   []Person
	Channels []Channel
	Groups   []Group
}

// Guest tells what kind of member a person is.
type Guest string

// The kinds of member. Slack sends is_ultra_restricted for a single-channel guest
// and is_restricted for both kinds of guest.
const (
	FullMember    Guest = ""
	SingleChannel Guest = "single"
	MultiChannel  Guest = "multi"
)

// Person is one user. Name is what scripts call them and what others see as @Name.
type Person struct {
	Name     string
	ID       string // U… or W…
	RealName string
	TeamID   string // empty: the workspace's own; another id: a stranger, seen through Slack Connect
	TZ       string // IANA name; empty: UTC
	Guest    Guest
	Deleted  bool // deactivated
	Admin    bool
	Bot      bool
}

// Channel is a conversation with a name.
type Channel struct {
	ID       string // C…
	Name     string
	Private  bool
	Archived bool
	Shared   bool // with another workspace, through Slack Connect
	Members  []string
}

// Group is a user group, @Handle.
type Group struct {
	ID       string // S…
	Handle   string
	Name     string
	Members  []string
	Disabled bool
}

// DefaultWorkspace is the company that every script plays in. It has one person
// and one channel of each kind that a bot has to tell apart; scripts name the
// people requester, approver, approver2, admin, guest (one channel), multiguest,
// stranger (another workspace), deactivated; the bot's user is zdd, and helper is
// somebody else's bot.
func DefaultWorkspace() Workspace {
	const bot = "U0ZDDBOT"
	staff := []string{"U0REQUESTER", "U0APPROVER", "U0APPROVER2", "U0ADMIN"}
	with := func(more ...string) []string { return slices.Concat(staff, more) }
	return Workspace{
		ID: "T0ACME", Name: "Acme", Domain: "acme",
		AppID: "A0ZDD", BotID: "B0ZDD", BotUser: bot,
		People: []Person{
			{Name: "zdd", ID: bot, RealName: "Zero Downtime Deploys", Bot: true},
			{Name: "requester", ID: "U0REQUESTER", RealName: "Robin Requester", TZ: "Europe/Berlin"},
			{Name: "approver", ID: "U0APPROVER", RealName: "Ada Approver", TZ: "Europe/Berlin"},
			{Name: "approver2", ID: "U0APPROVER2", RealName: "Alan Approver", TZ: "America/New_York"},
			{Name: "admin", ID: "U0ADMIN", RealName: "Amal Admin", Admin: true},
			{Name: "guest", ID: "U0GUEST", RealName: "Gil Guest", Guest: SingleChannel},
			{Name: "multiguest", ID: "U0MULTIGUEST", RealName: "Mo Guest", Guest: MultiChannel},
			{Name: "stranger", ID: "U0STRANGER", RealName: "Sam Stranger", TeamID: "T0OTHER"},
			{Name: "deactivated", ID: "U0DEACTIVATED", RealName: "Dee Parted", Deleted: true},
			{Name: "helper", ID: "U0HELPERBOT", RealName: "Some other bot", Bot: true},
		},
		Channels: []Channel{
			{ID: "C0GENERAL", Name: "general", Members: with("U0HELPERBOT", bot)},
			{ID: "C0OPS", Name: "ops", Members: with("U0MULTIGUEST", bot)},
			{ID: "C0SHOP", Name: "shop", Members: with("U0GUEST", "U0MULTIGUEST", bot)},
			{ID: "C0DATA", Name: "data", Members: with(bot)},
			{ID: "C0FINANCE", Name: "finance", Private: true, Members: with(bot)},
			{ID: "C0RANDOM", Name: "random", Members: with()},
			{ID: "C0BOARD", Name: "board", Private: true, Members: with()},
			{ID: "C0ATTIC", Name: "attic", Archived: true, Members: with(bot)},
			{ID: "C0PARTNERS", Name: "partners", Shared: true, Members: with("U0STRANGER", bot)},
		},
		Groups: []Group{
			{ID: "S0FINOPS", Handle: "finops", Name: "FinOps", Members: []string{"U0APPROVER", "U0APPROVER2"}},
			{ID: "S0PLATFORM", Handle: "platform", Name: "Platform team", Members: []string{"U0REQUESTER"}},
			{ID: "S0DATA", Handle: "data-team", Name: "Data team", Members: []string{"U0REQUESTER", "U0APPROVER2"}},
		},
	}
}

// clone copies what the server is going to change.
func (w Workspace) clone() Workspace {
	w.People = slices.Clone(w.People)
	w.Channels = slices.Clone(w.Channels)
	for i := range w.Channels {
		w.Channels[i].Members = slices.Clone(w.Channels[i].Members)
	}
	w.Groups = slices.Clone(w.Groups)
	for i := range w.Groups {
		w.Groups[i].Members = slices.Clone(w.Groups[i].Members)
	}
	return w
}

// person finds a user by script name or id, or returns nil.
func (w *Workspace) person(name string) *Person {
	name = strings.TrimPrefix(name, "@")
	for i := range w.People {
		if p := &w.People[i]; p.ID == name || strings.EqualFold(p.Name, name) {
			return p
		}
	}
	return nil
}

// channel finds a channel by id, name or #name, or returns nil.
func (w *Workspace) channel(name string) *Channel {
	name = strings.TrimPrefix(name, "#")
	for i := range w.Channels {
		if c := &w.Channels[i]; c.ID == name || c.Name == name {
			return c
		}
	}
	return nil
}

// group finds a user group by id, handle or @handle, or returns nil.
func (w *Workspace) group(name string) *Group {
	name = strings.TrimPrefix(name, "@")
	for i := range w.Groups {
		if g := &w.Groups[i]; g.ID == name || g.Handle == name {
			return g
		}
	}
	return nil
}

// nameOf is what scripts call the user with that id: the bot is "bot".
func (w *Workspace) nameOf(id string) string {
	if id == w.BotUser {
		return "bot"
	}
	if p := w.person(id); p != nil {
		return p.Name
	}
	return id
}

func (w *Workspace) teamOf(p *Person) string { return cmp.Or(p.TeamID, w.ID) }

func (c *Channel) has(user string) bool { return slices.Contains(c.Members, user) }

// dmID is the id of the direct conversation between the app and one person.
// Real ids are random; these are readable.
func dmID(user string) string { return "D" + strings.TrimLeft(user, "UW") }

// dmPerson finds whose direct conversation that is, or returns nil.
func (w *Workspace) dmPerson(channel string) *Person {
	if !strings.HasPrefix(channel, "D") {
		return nil
	}
	for i := range w.People {
		if dmID(w.People[i].ID) == channel {
			return &w.People[i]
		}
	}
	return nil
}
