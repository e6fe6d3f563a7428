package heroku

import (
	"context"
	"errors"
	"slices"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// ReadReleases lists an app's releases that were made after one time and not after
// another, the oldest first, with who made them. A zero after is the app's beginning. It
// fails, with a *fleet.Problem, where they could not all be read.
func (c *Client) ReadReleases(ctx context.Context, app fleet.ID, after, before time.Time) ([]fleet.Release, error) {
	const most = 5000 // releases looked through: five pages; a release an hour for half a year
	ctx, cancel := within(ctx, c.timing.Part)
	defer cancel()
	newest := &platform.ListRange{Field: "version", Max: 1000, Descending: true}
	var found []fleet.Release
	seen, last := 0, 0
	for x, err := range pages(ctx, c, newest, func(ctx context.Context, lr *platform.ListRange) ([]releaseRow, error) {
		return rows[releaseRow](ctx, c, "/apps/"+string(app)+"/releases", lr)
	}) {
		if seen++; err == nil && seen > most {
			err = errTooMany
		}
		if err != nil {
			return nil, c.problem(ctx, "read releases", string(app), err)
		}
		if x.CreatedAt.After(after) && !x.CreatedAt.After(before) {
			found = append(found, x.fleet())
		}
		if !x.CreatedAt.After(after) && x.Version < last { // a server may know no order=desc
			break
		}
		last = x.Version
	}
	slices.SortFunc(found, func(a, b fleet.Release) int { return a.Version - b.Version })
	return found, nil
}

var errTooMany = errors.New("there are too many releases since then to look through")
