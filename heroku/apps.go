package heroku

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// ReadApps lists apps page by page: name, team, region, space, runtime and times are
// known, all that has a call of its own is unknown. No app comes twice. An error is a
// *fleet.Problem and means that one list ended early, so that apps may be missing;
// the other lists still follow.
func (c *Client) ReadApps(ctx context.Context, filter fleet.Filter) iter.Seq2[fleet.App, error] {
	return func(yield func(fleet.App, error) bool) {
		seen := map[fleet.ID]bool{}
		for source, err := range c.sources(ctx, filter) {
			switch {
			case err == nil:
			case source.noTeams && missingTeams(err):
				continue
			case !yield(fleet.App{}, err):
				return
			default:
				continue
			}
			for app, err := range c.listApps(ctx, source) {
				switch {
				case err != nil:
					if !yield(fleet.App{}, err) {
						return
					}
				case seen[app.ID]:
				default:
					seen[app.ID] = true
					if !yield(app.App, nil) {
						return
					}
				}
			}
		}
	}
}

// source is one list of apps, and which of them to keep.
type source struct {
	what    string // for a person
	path    string
	keep    func(fleet.App) bool
	noTeams bool // it stands for the list of teams, which could not be read
}

// sources are the lists that hold the filter's apps. /apps comes before the teams'
// lists, which tell less of each app; the teams' lists have what /apps leaves out,
// the apps that the account has not joined. An error is that of the source beside it.
func (c *Client) sources(ctx context.Context, filter fleet.Filter) iter.Seq2[source, error] {
	return func(yield func(source, error) bool) {
		every := func(fleet.App) bool { return true }
		personal := func(a fleet.App) bool { return a.Team == "" }
		if filter.Personal && !yield(source{what: "the personal apps", path: "/users/~/apps", keep: personal}, nil) {
			return
		}
		for _, team := range filter.Teams {
			if !yield(teamSource(team, every)) {
				return
			}
		}
		keep, what := every, "the apps"
		switch {
		case len(filter.Spaces) > 0:
			keep = func(a fleet.App) bool { return a.Space != nil && slices.Contains(filter.Spaces, a.Space.Name) }
			what = "the apps in spaces"
		case filter.Personal || len(filter.Teams) > 0:
			return
		}
		if !yield(source{what: what, path: "/apps", keep: keep}, nil) {
			return
		}
		teams := pages(ctx, c, nil, func(ctx context.Context, lr *platform.ListRange) ([]platform.Team, error) {
			return c.api.TeamList(ctx, lr)
		})
		for team, err := range teams {
			if err != nil {
				p := c.problem(ctx, "list teams", "", err)
				if missingTeams(p) {
					c.notices.once(ctx, c.log, "the list of teams cannot be read; apps of teams that the account has not joined are missed", p)
				}
				yield(source{what: "the apps of teams that the account has not joined", noTeams: true}, p)
				return
			}
			if !yield(teamSource(team.Name, keep)) {
				return
			}
		}
	}
}

// missingTeams says whether the list of teams could not be read because there is none,
// or none for this account: it is so every time.
func missingTeams(err error) bool {
	p, _ := errors.AsType[*fleet.Problem](err)
	return p != nil && (p.Kind == fleet.NotFound || p.Kind == fleet.Forbidden)
}

// teamSource takes a team's name in any case, as the policy does: Heroku's are lower case.
func teamSource(team string, keep func(fleet.App) bool) (source, error) {
	team = strings.ToLower(team)
	if !teamShape.MatchString(team) {
		return source{what: "the apps of a team"}, &fleet.Problem{Kind: fleet.Refused, Op: "list apps of a team", Message: "a team's name has only letters a–z, digits, dashes and underscores"}
	}
	return source{what: "the apps of team " + team, path: "/teams/" + team + "/apps", keep: keep}, nil
}

// listed is an app of a list.
type listed struct {
	fleet.App
	unjoined bool // the account may not look into it, or has not asked to: other lists leave it out
}

// listApps walks one list of apps. An entry that names no app is an error by itself.
func (c *Client) listApps(ctx context.Context, from source) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		readAt := time.Now()
		entries := pages(ctx, c, wholePage(), func(ctx context.Context, lr *platform.ListRange) ([]appInfo, error) {
			var page []appInfo
			err := c.api.Get(ctx, &page, from.path, nil, lr)
			return page, err
		})
		for info, err := range entries {
			if err == nil {
				err = info.check()
			}
			if err != nil {
				if !yield(listed{}, c.problem(ctx, "list apps", "", err)) {
					return
				}
				continue
			}
			app := listed{info.fleet(readAt), info.Joined != nil && !*info.Joined}
			if from.keep(app.App) && !yield(app, nil) {
				return
			}
		}
	}
}
