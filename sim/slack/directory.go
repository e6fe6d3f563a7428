package slack

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// created is when everything in the workspace was made, in Unix seconds.
const created = 1700000000

func (s *Server) apiTest(q *request) (object, error) {
	if code := q.text("error"); code != "" {
		return nil, &apiError{code: code, extra: object{"args": q.args}}
	}
	return object{"args": q.args}, nil
}

func (s *Server) authTest(*request) (object, error) {
	o := object{
		"url": "https://" + s.ws.Domain + ".slack.com/", "team": s.ws.Name, "team_id": s.ws.ID,
		"user": s.ws.nameOr(s.ws.BotUser, "bot"), "user_id": s.ws.BotUser, "bot_id": s.ws.BotID,
		"is_enterprise_install": false,
	}
	if s.ws.EnterpriseID != "" {
		o["enterprise_id"] = s.ws.EnterpriseID
	}
	return o, nil
}

func (s *Server) botsInfo(q *request) (object, error) {
	if bot := cmp.Or(q.text("bot"), s.ws.BotID); bot != s.ws.BotID {
		return nil, fail("bot_not_found")
	}
	return object{"bot": object{
		"id": s.ws.BotID, "deleted": false, "name": s.ws.nameOr(s.ws.BotUser, "bot"), "updated": created,
		"app_id": s.ws.AppID, "user_id": s.ws.BotUser, "icons": object{},
	}}, nil
}

func (s *Server) teamInfo(q *request) (object, error) {
	if team := cmp.Or(q.text("team"), s.ws.ID); team != s.ws.ID {
		return nil, fail("team_not_found")
	}
	team := object{"id": s.ws.ID, "name": s.ws.Name, "domain": s.ws.Domain, "email_domain": "", "icon": object{"image_default": true}}
	if s.ws.EnterpriseID != "" {
		team["enterprise_id"], team["enterprise_name"] = s.ws.EnterpriseID, s.ws.EnterpriseName
	}
	return object{"team": team}, nil
}

func (s *Server) userJSON(p *Person) object {
	zone := location(p).String()
	_, offset := time.Now().In(location(p)).Zone()
	o := object{
		"id": p.ID, "team_id": s.ws.teamOf(p), "name": p.Name, "deleted": p.Deleted, "is_bot": p.Bot,
		"is_app_user": false, "updated": created,
		"profile": object{"real_name": p.RealName, "display_name": p.Name, "real_name_normalized": p.RealName,
			"display_name_normalized": p.Name, "team": s.ws.teamOf(p)},
	}
	if p.Bot {
		profile := o["profile"].(object)
		profile["api_app_id"] = map[bool]string{true: s.ws.AppID, false: "A0OTHER"}[p.ID == s.ws.BotUser]
	}
	if p.TeamID != "" && p.TeamID != s.ws.ID {
		o["is_stranger"] = true // docs.slack.dev, "Working with Slack Connect"
	}
	if !p.Deleted { // Slack leaves these out for deactivated people
		active := object{
			"real_name": p.RealName, "tz": zone, "tz_label": zone, "tz_offset": offset,
			"is_admin": p.Admin, "is_owner": false, "is_primary_owner": false,
			"is_restricted": p.Guest != FullMember, "is_ultra_restricted": p.Guest == SingleChannel,
			"has_2fa": false,
		}
		maps.Copy(o, active)
	}
	return o
}

// location is a person's time zone, UTC where it is unknown.
func location(p *Person) *time.Location {
	zone, err := time.LoadLocation(p.TZ)
	if err != nil {
		return time.UTC
	}
	return zone
}

func (s *Server) usersInfo(q *request) (object, error) {
	p := s.ws.person(q.text("user"))
	if p == nil || p.ID != q.text("user") {
		return nil, fail("user_not_found")
	}
	return object{"user": s.userJSON(p)}, nil
}

func (s *Server) usersList(q *request) (object, error) {
	people, meta, err := page(q, s.ws.People, 1000)
	if err != nil {
		return nil, err
	}
	members := []object{}
	for i := range people {
		if p := &people[i]; s.ws.teamOf(p) == s.ws.ID { // strangers are not listed
			members = append(members, s.userJSON(p))
		}
	}
	return object{"members": members, "cache_ts": time.Now().Unix(), "response_metadata": meta}, nil
}

func (s *Server) groupJSON(g *Group, q *request) object {
	o := object{
		"id": g.ID, "team_id": s.ws.ID, "is_usergroup": true, "is_subteam": true, "name": g.Name, "description": "", "handle": g.Handle,
		"is_external": false, "date_create": created, "date_update": created, "date_delete": 0, "auto_type": nil,
		"created_by": "U0ADMIN", "updated_by": "U0ADMIN", "deleted_by": nil,
		"prefs": object{"channels": []string{}, "groups": []string{}}, "user_count": len(g.Members),
	}
	if g.Disabled {
		o["date_delete"] = created
		o["deleted_by"] = "U0ADMIN"
	}
	if q.flag("include_users") {
		o["users"] = asList(g.Members)
	}
	return o
}

func (s *Server) groupsList(q *request) (object, error) {
	if s.ws.Plan == "free" {
		return nil, fail("plan_upgrade_required")
	}
	groups := []object{}
	for i := range s.ws.Groups {
		if g := &s.ws.Groups[i]; !g.Disabled || q.flag("include_disabled") {
			groups = append(groups, s.groupJSON(g, q))
		}
	}
	return object{"usergroups": groups}, nil
}

func (s *Server) groupUsers(q *request) (object, error) {
	if s.ws.Plan == "free" {
		return nil, fail("plan_upgrade_required")
	}
	g := s.ws.group(q.text("usergroup"))
	if g == nil || g.ID != q.text("usergroup") || g.Disabled && !q.flag("include_disabled") {
		return nil, fail("no_such_subteam")
	}
	return object{"users": asList(g.Members)}, nil
}

// kindOf is the word that scopes and types use of a conversation.
func (c *Channel) kindOf() string {
	if c.Private {
		return "groups"
	}
	return "channels"
}

// reach finds the conversation of a reading method and checks the scope that its
// kind needs: channels:read, groups:history and so on.
func (s *Server) reach(id, verb string) (*Channel, *Person, error) {
	if p := s.ws.dmPerson(id); p != nil {
		if !s.granted("im:" + verb) {
			return nil, nil, s.missingScope("im:" + verb)
		}
		return nil, p, nil
	}
	c := s.ws.channel(id)
	if c == nil || c.ID != id || c.Private && !c.has(s.ws.BotUser) {
		return nil, nil, fail("channel_not_found")
	}
	if need := c.kindOf() + ":" + verb; !s.granted(need) {
		return nil, nil, s.missingScope(need)
	}
	return c, nil, nil
}

func (s *Server) channelJSON(c *Channel) object {
	teams := []string{s.ws.ID}
	if c.Shared {
		teams = append(teams, "T0OTHER")
	}
	return object{
		"id": c.ID, "name": c.Name, "name_normalized": c.Name, "is_channel": !c.Private, "is_group": c.Private,
		"is_im": false, "is_mpim": false, "is_private": c.Private, "created": created, "creator": "U0ADMIN",
		"is_archived": c.Archived, "is_general": c.Name == "general", "is_member": c.has(s.ws.BotUser),
		"is_shared": c.Shared, "is_ext_shared": c.Shared, "is_org_shared": false, "is_pending_ext_shared": false,
		"pending_shared": []string{}, "shared_team_ids": teams, "context_team_id": s.ws.ID, "unlinked": 0,
		"updated": int64(created) * 1000, "previous_names": []string{}, "num_members": len(c.Members),
		"topic": object{"value": "", "creator": "", "last_set": 0}, "purpose": object{"value": "", "creator": "", "last_set": 0},
	}
}

func (s *Server) dmJSON(p *Person) object {
	return object{"id": dmID(p.ID), "created": created, "is_im": true, "is_org_shared": false, "user": p.ID,
		"is_user_deleted": p.Deleted, "is_archived": false, "priority": 0, "context_team_id": s.ws.ID}
}

func (s *Server) conversationsList(q *request) (object, error) {
	var list []object
	for kind := range strings.SplitSeq(cmp.Or(q.text("types"), "public_channel"), ",") {
		scope := map[string]string{"public_channel": "channels:read", "private_channel": "groups:read", "im": "im:read", "mpim": "mpim:read"}[strings.TrimSpace(kind)]
		if scope == "" {
			return nil, fail("invalid_types")
		}
		if !s.granted(scope) {
			return nil, s.missingScope(scope)
		}
		if kind == "im" {
			for i := range s.ws.People {
				if p := &s.ws.People[i]; s.dms[dmID(p.ID)] {
					list = append(list, s.dmJSON(p))
				}
			}
			continue
		}
		for i := range s.ws.Channels {
			c := &s.ws.Channels[i]
			private := kind == "private_channel"
			if kind == "mpim" || c.Private != private || private && !c.has(s.ws.BotUser) || c.Archived && q.flag("exclude_archived") {
				continue
			}
			list = append(list, s.channelJSON(c))
		}
	}
	rows, meta, err := page(q, list, 1000)
	if err != nil {
		return nil, err
	}
	return object{"channels": asList(rows), "response_metadata": meta}, nil
}

func (s *Server) conversationsInfo(q *request) (object, error) {
	c, p, err := s.reach(q.text("channel"), "read")
	if err != nil {
		return nil, err
	}
	var o object
	if p != nil {
		o = s.dmJSON(p)
		if q.flag("include_num_members") {
			o["num_members"] = 2
		}
		return object{"channel": o}, nil
	}
	o = s.channelJSON(c)
	if !q.flag("include_num_members") {
		delete(o, "num_members")
	}
	return object{"channel": o}, nil
}

func (s *Server) conversationsMembers(q *request) (object, error) {
	c, p, err := s.reach(q.text("channel"), "read")
	if err != nil {
		return nil, err
	}
	members := []string{s.ws.BotUser}
	if p != nil {
		members = append(members, p.ID)
	} else {
		members = c.Members
	}
	rows, meta, err := page(q, members, 1000)
	if err != nil {
		return nil, err
	}
	return object{"members": asList(rows), "response_metadata": meta}, nil
}

// readable is reach for the history of a conversation, which only members read.
func (s *Server) readable(id string) error {
	c, _, err := s.reach(id, "history")
	if err == nil && c != nil && !c.has(s.ws.BotUser) {
		err = fail("not_in_channel")
	}
	return err
}

func (s *Server) conversationsHistory(q *request) (object, error) {
	channel := q.text("channel")
	if err := s.readable(channel); err != nil {
		return nil, err
	}
	var list []*message
	for _, m := range slices.Backward(s.messages) {
		if m.channel == channel && m.thread == "" && !m.deleted && m.ephemeral == "" {
			list = append(list, m)
		}
	}
	return s.history(q, list)
}

func (s *Server) conversationsReplies(q *request) (object, error) {
	channel := q.text("channel")
	if err := s.readable(channel); err != nil {
		return nil, err
	}
	root := s.find(channel, q.text("ts"))
	if root == nil || root.ephemeral != "" {
		return nil, fail("thread_not_found")
	}
	if above := s.find(channel, root.thread); above != nil {
		root = above
	}
	return s.history(q, slices.Concat([]*message{root}, s.replies(channel, root.ts)))
}

func (s *Server) conversationsOpen(q *request) (object, error) {
	if channel := q.text("channel"); channel != "" {
		p := s.ws.dmPerson(channel)
		if p == nil {
			return nil, fail("channel_not_found")
		}
		q.args["users"] = p.ID
	}
	users := strings.FieldsFunc(q.text("users"), func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case len(users) == 0:
		return nil, fail("users_list_not_supplied")
	case len(users) > 8:
		return nil, fail("too_many_users")
	case len(users) > 1:
		return nil, s.missingScope("mpim:write") // conversations of several people are not simulated
	case !s.granted("im:write"):
		return nil, s.missingScope("im:write")
	}
	p := s.ws.person(users[0])
	switch {
	case p == nil || p.ID != users[0]:
		return nil, fail("user_not_found")
	case p.Deleted:
		return nil, fail("user_disabled")
	case p.ID == s.ws.BotUser || p.Bot:
		return nil, fail("cannot_dm_bot")
	}
	id := dmID(p.ID)
	already := s.dms[id]
	s.dms[id] = true
	channel := object{"id": id}
	if q.flag("return_im") {
		channel = s.dmJSON(p)
	}
	return object{"channel": channel, "no_op": already, "already_open": already}, nil
}

func (s *Server) conversationsJoin(q *request) (object, error) {
	c := s.ws.channel(q.text("channel"))
	switch {
	case c == nil || c.ID != q.text("channel") || c.Private && !c.has(s.ws.BotUser):
		return nil, fail("channel_not_found")
	case c.Private:
		return nil, fail("method_not_supported_for_channel_type")
	case c.Archived:
		return nil, fail("is_archived")
	case c.has(s.ws.BotUser):
		return object{"channel": s.channelJSON(c), "warning": "already_in_channel"}, nil
	}
	c.Members = append(c.Members, s.ws.BotUser)
	return object{"channel": s.channelJSON(c)}, nil
}
