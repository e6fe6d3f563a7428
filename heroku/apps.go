package heroku

import (
	"context"
	"iter"
	"slices"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// AppFilter says which apps to list: those of all its fields together. The zero
// filter lists every app that the token can see.
type AppFilter struct {
	Teams    []string // by name or UUID
	Spaces   []string // by name
	Personal bool     // apps that belong to no team
}

// ReadApps lists apps page by page: name, team, region, space, runtime and times are
// known, all that has a call of its own is unknown. No app comes twice. An error is a
// *fleet.Problem and means that one list ended early, so that apps may be missing;
// the other lists still follow.
func (c *Client) ReadApps(ctx context.Context, filter AppFilter) iter.Seq2[fleet.App, error] {
	return func(yield func(fleet.App, error) bool) {
		seen := map[fleet.ID]bool{}
		for source, err := range c.sources(ctx, filter) {
			if err != nil {
				if !yield(fleet.App{}, err) {
					return
				}
				continue
			}
			for app, err := range c.listApps(ctx, source.path) {
				switch {
				case err != nil:
					if !yield(fleet.App{}, err) {
						return
					}
				case seen[app.ID] || !source.keep(app):
				default:
					seen[app.ID] = true
					if !yield(app, nil) {
						return
					}
				}
			}
		}
	}
}

// source is one list of apps, and which of them to keep.
type source struct {
	path string
	keep func(fleet.App) bool
}

// sources are the lists that hold the filter's apps. /apps comes before the teams'
// lists, which tell less of each app; the teams' lists have what /apps leaves out,
// the apps that the account has not joined.
func (c *Client) sources(ctx context.Context, filter AppFilter) iter.Seq2[source, error] {
	return func(yield func(source, error) bool) {
		every := func(fleet.App) bool { return true }
		if filter.Personal && !yield(source{"/users/~/apps", func(a fleet.App) bool { return a.Team == "" }}, nil) {
			return
		}
		for _, team := range filter.Teams {
			path, err := teamPath(team)
			if !yield(source{path, every}, err) {
				return
			}
		}
		keep := every
		switch {
		case len(filter.Spaces) > 0:
			keep = func(a fleet.App) bool { return a.Space != nil && slices.Contains(filter.Spaces, a.Space.Name) }
		case filter.Personal || len(filter.Teams) > 0:
			return
		}
		if !yield(source{"/apps", keep}, nil) {
			return
		}
		teams := pages(ctx, c, nil, func(ctx context.Context, lr *platform.ListRange) ([]platform.Team, error) {
			return c.api.TeamList(ctx, lr)
		})
		for team, err := range teams {
			switch {
			case err != nil:
				p := c.problem(ctx, "list teams", "", err)
				if p.Kind == fleet.NotFound || p.Kind == fleet.Forbidden {
					c.notices.once(ctx, c.log, "the list of teams cannot be read; apps of teams that the account has not joined are missed", p)
				} else {
					yield(source{}, p)
				}
				return
			default:
				path, err := teamPath(team.Name)
				if !yield(source{path, keep}, err) {
					return
				}
			}
		}
	}
}

func teamPath(team string) (string, error) {
	if !teamShape.MatchString(team) {
		return "", &fleet.Problem{Kind: fleet.Refused, Op: "list apps of a team", Message: "a team's name has only letters a–z, digits, dashes and underscores"}
	}
	return "/teams/" + team + "/apps", nil
}

// listApps walks one list of apps. An entry that names no app is an error by itself.
func (c *Client) listApps(ctx context.Context, path string) iter.Seq2[fleet.App, error] {
	return func(yield func(fleet.App, error) bool) {
		readAt := time.Now()
		entries := pages(ctx, c, wholePage(), func(ctx context.Context, lr *platform.ListRange) ([]appInfo, error) {
			var page []appInfo
			err := c.api.Get(ctx, &page, path, nil, lr)
			return page, err
		})
		for info, err := range entries {
			if err == nil {
				err = info.check()
			}
			if err != nil {
				if !yield(fleet.App{}, c.problem(ctx, "list apps", "", err)) {
					return
				}
				continue
			}
			if !yield(info.fleet(readAt), nil) {
				return
			}
		}
	}
}
