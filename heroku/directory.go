package heroku

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/zdd/fleet"
)

// directory is who is called what, for suggestions and for finding hosts.
type directory struct {
	entries []entry // by name
	gap     error   // why it may not be whole; nil: it is
}

type entry struct {
	fleet.Listed
	host string
}

// directories keeps the last directory that was read. It is read anew beside those who
// wait for it, and goes on when they have gone: a long list is then there for the next
// who asks, and one that hangs holds nobody up but for a moment.
type directories struct {
	mu     sync.Mutex
	last   directory
	at     time.Time // of last; zero: none was read yet
	err    error     // why it could not be read anew; nil: it could
	failed time.Time // of err
	under  *renewal  // nil: none is under way
	closed bool
	work   sync.WaitGroup
}

// renewal is a reading of the directory under way.
type renewal struct {
	began time.Time
	end   context.CancelFunc
	done  chan struct{}
}

// readDirectory is the directory, at most [Timing.NamesAge] old. Where it can't be had
// within patience of the time at which its reading began it is the last one, which may
// be empty, and err says why.
func (c *Client) readDirectory(ctx context.Context, patience time.Duration) (d directory, err error) {
	under, d, err := c.renewDirectory(ctx)
	if under == nil {
		return d, err
	}
	timer := time.NewTimer(time.Until(under.began.Add(patience)))
	defer timer.Stop()
	select {
	case <-under.done:
	case <-timer.C:
		return d, &fleet.Problem{Kind: fleet.Unavailable, Message: "the list of apps did not come in time", Err: context.DeadlineExceeded}
	case <-ctx.Done():
		return d, context.Cause(ctx)
	}
	c.directory.mu.Lock()
	defer c.directory.mu.Unlock()
	return c.directory.last, c.directory.err
}

// renewDirectory is the last directory, and its renewal where that is due. What failed
// only just now is not tried again at once.
func (c *Client) renewDirectory(ctx context.Context) (*renewal, directory, error) {
	k := &c.directory
	k.mu.Lock()
	defer k.mu.Unlock()
	age := c.timing.NamesAge
	if k.last.gap != nil {
		age = c.timing.FailedAge
	}
	switch {
	case !k.at.IsZero() && time.Since(k.at) < age:
		return nil, k.last, nil
	case k.err != nil && time.Since(k.failed) < c.timing.FailedAge:
		return nil, k.last, k.err
	case k.closed:
		return nil, k.last, &fleet.Problem{Kind: fleet.Unavailable, Message: "zdd is stopping"}
	case k.under == nil:
		own, end := context.WithTimeout(ranked(context.Background(), rankOf(ctx)), c.timing.List) // see directories
		under := &renewal{began: time.Now(), end: end, done: make(chan struct{})}
		k.under = under
		k.work.Go(func() { c.renew(own, under) })
	}
	return k.under, k.last, nil
}

func (c *Client) renew(ctx context.Context, under *renewal) {
	defer close(under.done)
	defer under.end()
	d, err := c.listDirectory(ctx)
	k := &c.directory
	k.mu.Lock()
	defer k.mu.Unlock()
	k.under, k.err = nil, err
	if err != nil {
		k.failed = time.Now()
		return
	}
	k.last, k.at = d, time.Now()
}

func (c *Client) listDirectory(ctx context.Context) (directory, error) {
	var d directory
	for app, err := range c.ReadApps(ctx, fleet.Filter{}) {
		if err != nil {
			d.gap = err
			continue
		}
		e := entry{Listed: fleet.Listed{ID: app.ID, Name: app.Name, Team: app.Team, Archived: !app.ArchivedAt.IsZero()}}
		if u, err := url.Parse(app.WebURL); err == nil {
			e.host = strings.ToLower(u.Hostname())
		}
		d.entries = append(d.entries, e)
	}
	if len(d.entries) == 0 && d.gap != nil {
		return directory{}, d.gap
	}
	slices.SortStableFunc(d.entries, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	return d, nil
}

// stop ends a renewal under way and waits for its end.
func (k *directories) stop() {
	k.mu.Lock()
	k.closed = true
	if k.under != nil {
		k.under.end()
	}
	k.mu.Unlock()
	k.work.Wait()
}

// ReadNames is the names of all apps that the token can see, sorted, to find the ones
// nearest to a mistyped one: a help that is worth a moment ([Timing.Names]) and no more.
// The list is kept for [Timing.NamesAge]; where it can't be read again in time it is the
// older one, and where part of it could not be read it holds the rest. It fails when
// there is none, and then at once for [Timing.FailedAge].
func (c *Client) ReadNames(ctx context.Context) ([]string, error) {
	d, err := c.readDirectory(ctx, c.timing.Names)
	if err != nil && len(d.entries) == 0 {
		return nil, c.problem(ctx, "list apps", "", err)
	}
	names := make([]string, 0, len(d.entries))
	for _, e := range d.entries {
		names = append(names, e.Name)
	}
	return names, nil
}

// ReadListed is all apps that the token can see, by name, as far as lists tell of them. It
// is for what follows a person's typing: where there is a list it is answered at once, also
// if that is older than [Timing.NamesAge], and read anew beside it. Only the first one is
// waited for, as by ReadNames. Errors are those of ReadNames.
func (c *Client) ReadListed(ctx context.Context) ([]fleet.Listed, error) {
	under, d, err := c.renewDirectory(ctx)
	if under != nil && len(d.entries) == 0 {
		d, err = c.readDirectory(ctx, c.timing.Names)
	}
	if err != nil && len(d.entries) == 0 {
		return nil, c.problem(ctx, "list apps", "", err)
	}
	listed := make([]fleet.Listed, 0, len(d.entries))
	for _, e := range d.entries {
		listed = append(listed, e.Listed)
	}
	return listed, nil
}

// byHost finds the app whose web_url has a host: today's hosts carry random signs, so
// the name can't be read off them (older ones are name.herokuapp.com, and apps keep
// theirs when they are renamed). It waits as long as the reading of an app may take.
func (c *Client) byHost(ctx context.Context, host string) (fleet.ID, error) {
	const op = "find the app of an address"
	d, err := c.readDirectory(ctx, c.timing.Part+c.timing.Monitor)
	for _, e := range d.entries {
		if e.host == host {
			return e.ID, nil
		}
	}
	if err != nil {
		switch p := c.problem(ctx, op, host, err); p.Kind {
		case fleet.Unauthorized, fleet.RateLimited, fleet.Delinquent: // of the account
			return "", p
		case fleet.Unavailable:
			if len(d.entries) == 0 {
				return "", p
			}
		}
	}
	if err != nil || d.gap != nil {
		// What kept one list from being read (a team that asks for a second factor, say)
		// is not this app's.
		return "", &fleet.Problem{
			Kind: fleet.Unavailable, Op: op, App: host, Err: errors.Join(errGap, err, d.gap),
			Message: "not all lists of apps could be read, so it can't be told whose address that is; say the app's name instead",
		}
	}
	return "", &fleet.Problem{Kind: fleet.NotFound, Op: op, App: host, Message: "no app that this token can see has that address"}
}

var errGap = errors.New("not all lists of apps could be read")
