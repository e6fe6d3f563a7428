package heroku

import (
	"context"
	"strings"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// ReadGlance reads of an app what one call tells: name, address, maintenance mode, when it
// was released last. All that has a call of its own is unknown.
func (c *Client) ReadGlance(ctx context.Context, app fleet.ID) (fleet.App, error) {
	ctx, cancel := within(ctx, c.timing.Part)
	defer cancel()
	readAt := time.Now()
	var info appInfo
	err := c.api.Get(ctx, &info, "/apps/"+string(app), nil, nil)
	if err == nil {
		err = info.check()
	}
	if err != nil {
		return fleet.App{}, c.problem(ctx, "read app", string(app), err)
	}
	return info.fleet(readAt), nil
}

// ReadDynos lists an app's dynos, at one call. During a preboot hand-over Heroku lists the
// new ones only.
func (c *Client) ReadDynos(ctx context.Context, app fleet.ID) ([]fleet.Dyno, error) {
	ctx, cancel := within(ctx, c.timing.Part)
	defer cancel()
	raw, err := all(pages(ctx, c, nil, func(ctx context.Context, lr *platform.ListRange) ([]dynoRow, error) {
		return rows[dynoRow](ctx, c, "/apps/"+string(app)+"/dynos", lr)
	}))
	if err != nil {
		return nil, c.problem(ctx, "read dynos", string(app), err)
	}
	return dynosOf(raw), nil
}

// ReadDomains lists the hosts at which an app answers, at one call: that of its web_url and
// those of its own, of which one may begin with "*." (Dev Center, "Custom Domain Names for
// Apps"). They are in lower case.
func (c *Client) ReadDomains(ctx context.Context, app fleet.ID) (hosts []string, err error) {
	ctx, cancel := within(ctx, c.timing.Part)
	defer cancel()
	raw, err := all(pages(ctx, c, nil, func(ctx context.Context, lr *platform.ListRange) ([]domainRow, error) {
		return rows[domainRow](ctx, c, "/apps/"+string(app)+"/domains", lr)
	}))
	if err != nil {
		return nil, c.problem(ctx, "read domains", string(app), err)
	}
	for _, d := range raw {
		hosts = append(hosts, strings.ToLower(d.Hostname))
	}
	return hosts, nil
}

// ListApps is ReadApps as one list, with how many calls it took. The error is the first
// of those that ended a list early; the apps of the others are there all the same.
func (c *Client) ListApps(ctx context.Context, filter fleet.Filter) (apps []fleet.App, calls int, err error) {
	own := new(tally)
	for app, failed := range c.ReadApps(withTally(ctx, own), filter) {
		switch {
		case failed == nil:
			apps = append(apps, app)
		case err == nil:
			err = failed
		}
	}
	return apps, own.count(), err
}
