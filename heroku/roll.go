package heroku

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	platform "github.com/heroku/heroku-go/v5"
	"golang.org/x/sync/errgroup"

	"example.com/zdd/fleet"
)

// ReadRoll reads the apps of a filter with everything that lists tell of them, the lists
// side by side: the apps, their places in pipelines, their add-ons, the dyno sizes; and,
// only where the first ones left it out, the pipelines' names and which spaces are Shield
// Spaces. A list of 10,000 takes ten calls.
//
// A list of apps that can't be read is one of the Gaps; any other list that can't is the
// reason why something is unknown of every app that it would have told of. The add-ons
// are those that an app owns: what is attached from another app is in no such list.
//
// It fails, with a *fleet.Problem, where another try is better than what was read: the
// token is refused, the account's limit is used up, ctx has ended; and where no app could
// be listed at all.
func (c *Client) ReadRoll(ctx context.Context, filter fleet.Filter) (fleet.Roll, error) {
	readAt := time.Now()
	own := new(tally)
	ctx, cancel := context.WithCancel(withTally(ctx, own))
	defer cancel()
	r := &roll{c: c, end: cancel, at: map[fleet.ID]listedAt{}}
	// Others use the account too: without this free question the first calls, as many as
	// go out at once, could already be those that were to be left to people.
	if _, err := c.ReadRate(ctx); err != nil {
		r.fails(ctx, err)
	}
	r.read(ctx, filter)
	switch {
	case r.failed != nil:
		return fleet.Roll{}, r.failed
	case len(r.apps) == 0 && r.first != nil:
		return fleet.Roll{}, r.first
	}
	slices.SortFunc(r.apps, func(a, b fleet.App) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return fleet.Roll{Apps: r.apps, Gaps: r.gaps, ReadAt: readAt, Calls: own.count() + r.sizesCalls}, nil
}

// roll is one ReadRoll under way. What the lists tell is written by one goroutine each.
type roll struct {
	c   *Client
	end context.CancelFunc

	mu     sync.Mutex
	apps   []fleet.App
	at     map[fleet.ID]listedAt
	gaps   []fleet.Gap
	first  *fleet.Problem // of the gaps; nil: there is none
	failed *fleet.Problem // why the whole failed; nil: it did not

	sizes      fleet.Value[fleet.Catalog]
	sizesCalls int
	couplings  table[couplingInfo]
	pipelines  table[string] // names
	addons     table[[]fleet.AddOn]
	spaces     map[string]bool // which are Shield Spaces, by name
	noSpaces   *fleet.Problem  // why spaces is not whole; nil: it is
}

// listedAt is where an app is in roll.apps, and which list it is from: an earlier one
// tells more.
type listedAt struct {
	index, list int
	unjoined    bool
}

// table is what a list told, by id. Where it ended early, why says so, and what it holds is
// true all the same.
type table[T any] struct {
	rows map[fleet.ID]T
	why  *fleet.Problem
}

// of is the row of one app; none is what it means that there is none.
func (t table[T]) of(id fleet.ID, none fleet.Value[T]) fleet.Value[T] {
	switch v, ok := t.rows[id]; {
	case ok:
		return fleet.Known(v)
	case t.why != nil:
		return fleet.Unknown[T](t.why.Reason())
	}
	return none
}

func (r *roll) read(ctx context.Context, filter fleet.Filter) {
	if ctx.Err() != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.readSizes(ctx) })
	wg.Go(func() { r.readAddOns(ctx) })
	wg.Go(func() {
		r.readCouplings(ctx)
		r.readPipelines(ctx)
	})
	wg.Go(func() {
		r.readApps(ctx, filter)
		r.readSpaces(ctx)
	})
	wg.Wait()
	if r.failed != nil {
		return
	}
	for id, at := range r.at {
		r.fill(&r.apps[at.index], id, at.unjoined)
	}
}

// fails ends the whole for what is wrong with more than one list, and says so.
func (r *roll) fails(ctx context.Context, err error) bool {
	p := r.c.problem(ctx, "list apps", "", err)
	if ctx.Err() == nil && p.Kind != fleet.Unauthorized && p.Kind != fleet.RateLimited {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil { // the others follow from the first
		r.failed = p
	}
	r.end()
	return true
}

func (r *roll) readApps(ctx context.Context, filter fleet.Filter) {
	lists := new(errgroup.Group)
	lists.SetLimit(cap(r.c.inner.lanes))
	n := 0
	for from, err := range r.c.sources(ctx, filter) {
		list := n
		n++
		switch {
		case err == nil:
			lists.Go(func() error {
				r.walk(ctx, from, list)
				return nil
			})
		default:
			r.gap(ctx, from, err)
		}
	}
	_ = lists.Wait() // each tells its own errors
}

func (r *roll) walk(ctx context.Context, from source, list int) {
	for app, err := range r.c.listApps(ctx, from) {
		if err != nil {
			r.gap(ctx, from, err)
			continue
		}
		r.add(app, list)
	}
}

func (r *roll) add(app listed, list int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, seen := r.at[app.ID]
	switch {
	case !seen:
		r.at[app.ID] = listedAt{len(r.apps), list, app.unjoined}
		r.apps = append(r.apps, app.App)
	case list < at.list:
		r.at[app.ID] = listedAt{at.index, list, app.unjoined}
		r.apps[at.index] = app.App
	}
}

func (r *roll) gap(ctx context.Context, from source, err error) {
	if r.fails(ctx, err) {
		return
	}
	p := r.c.problem(ctx, "list apps", "", err)
	if from.noTeams && p.Kind == fleet.NotFound {
		return // a server that has no teams
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g := fleet.Gap{List: from.what, Why: p.Reason()}
	if !slices.Contains(r.gaps, g) {
		r.gaps = append(r.gaps, g)
	}
	r.first = cmp.Or(r.first, p)
}

// readSizes reads the catalogue, which all apps share. It is asked for as a person would
// (see [Client.readSizes]), and so waits first until the account has a call to spare.
func (r *roll) readSizes(ctx context.Context) {
	own := new(tally)
	done, err := own.prepay(ctx, r.c.inner.bucket, 1)
	if err == nil {
		var sizes fleet.Catalog
		sizes, err = r.c.readSizes(withTally(ctx, own))
		r.sizes, r.sizesCalls = fleet.Known(sizes), own.count()
		done()
	}
	if err != nil {
		r.fails(ctx, err)
		r.sizes = fleet.Unknown[fleet.Catalog](r.c.problem(ctx, "read dyno sizes", "", err).Reason())
	}
}

// accountList walks a list of the whole account. It calls each on every row, and answers
// why it ended early; nil: it did not.
func accountList[R row](ctx context.Context, r *roll, path string, each func(R)) *fleet.Problem {
	list := func(ctx context.Context, lr *platform.ListRange) ([]R, error) { return rows[R](ctx, r.c, path, lr) }
	for row, err := range pages(ctx, r.c, wholePage(), list) {
		if err != nil {
			r.fails(ctx, err)
			return r.c.problem(ctx, "list "+path[1:], "", err)
		}
		each(row)
	}
	return nil
}

// appCoupling, appAddon, pipelineRow and spaceRow are rows of an account's lists, which
// are of no use without the id that they belong to.
type appCoupling struct{ couplingInfo }

func (x appCoupling) whole() bool { return x.App.ID != "" && x.couplingInfo.whole() }

type appAddon struct{ addonRow }

func (x appAddon) whole() bool { return x.App.ID != "" && x.addonRow.whole() }

type pipelineRow struct {
	ID   fleet.ID `json:"id"`
	Name string   `json:"name"`
}

func (x pipelineRow) whole() bool { return x.ID != "" && x.Name != "" }

type spaceRow struct {
	Name   string `json:"name"`
	Shield *bool  `json:"shield"`
}

func (x spaceRow) whole() bool { return x.Name != "" && x.Shield != nil }

func (r *roll) readCouplings(ctx context.Context) {
	r.couplings.rows = map[fleet.ID]couplingInfo{}
	r.couplings.why = accountList(ctx, r, "/pipeline-couplings", func(x appCoupling) {
		r.couplings.rows[fleet.ID(x.App.ID)] = x.couplingInfo
	})
}

// readPipelines finds the names of pipelines that their couplings do not tell: in what
// is remembered, else in the list of pipelines.
func (r *roll) readPipelines(ctx context.Context) {
	r.pipelines.rows = map[fleet.ID]string{}
	unnamed := false
	for _, x := range r.couplings.rows {
		cached, ok := r.c.pipelines.Get(x.Pipeline.ID)
		switch {
		case x.Pipeline.Name != "":
			r.pipelines.rows[x.Pipeline.ID] = clean(x.Pipeline.Name, r.c.inner.key)
		case ok && time.Since(cached.at) < r.c.timing.SizesAge:
			r.pipelines.rows[x.Pipeline.ID] = cached.name
		default:
			unnamed = true
		}
	}
	if !unnamed || ctx.Err() != nil {
		return
	}
	r.pipelines.why = accountList(ctx, r, "/pipelines", func(x pipelineRow) {
		name := clean(x.Name, r.c.inner.key)
		r.pipelines.rows[x.ID] = name
		r.c.pipelines.Add(x.ID, pipelineName{name, time.Now()})
	})
}

// readAddOns keeps nothing where the list ended early: an app's could be on both sides of
// the end.
func (r *roll) readAddOns(ctx context.Context) {
	found := map[fleet.ID][]fleet.AddOn{}
	r.addons.why = accountList(ctx, r, "/addons", func(x appAddon) {
		id := fleet.ID(x.App.ID)
		found[id] = append(found[id], addonsOf([]addonRow{x.addonRow})...)
	})
	if r.addons.why == nil {
		r.addons.rows = found
	}
}

// readSpaces asks which spaces are Shield Spaces where an app's list did not tell.
func (r *roll) readSpaces(ctx context.Context) {
	untold := func(a fleet.App) bool { return a.Space != nil && !a.Space.Shield.IsKnown() }
	if ctx.Err() != nil || !slices.ContainsFunc(r.apps, untold) {
		return
	}
	r.spaces = map[string]bool{}
	r.noSpaces = accountList(ctx, r, "/spaces", func(x spaceRow) { r.spaces[x.Name] = *x.Shield })
}

// fill gives an app what the lists told of it. What leaves out an app that the account
// has not joined proves nothing.
func (r *roll) fill(app *fleet.App, id fleet.ID, unjoined bool) {
	app.Sizes = r.sizes
	inNone, noAddOns := fleet.Known(couplingInfo{}), fleet.Known([]fleet.AddOn{})
	if unjoined {
		why := fleet.Reason{Kind: fleet.Forbidden, Text: "the account has not joined the app"}
		inNone, noAddOns = fleet.Unknown[couplingInfo](why), fleet.Unknown[[]fleet.AddOn](why)
	}
	app.AddOns = r.addons.of(id, noAddOns)
	app.Pipeline = become(r.couplings.of(id, inNone), func(x couplingInfo) fleet.Coupling {
		at := fleet.Coupling{Pipeline: x.Pipeline.ID, Stage: x.Stage}
		if at.Pipeline != "" {
			at.Name = r.pipelines.of(x.Pipeline.ID, fleet.Unknown[string](fleet.Reason{Kind: fleet.NotTold, Text: "Heroku's list of pipelines leaves this one out"}))
		}
		return at
	})
	if app.Space == nil || app.Space.Shield.IsKnown() {
		return
	}
	switch shield, told := r.spaces[app.Space.Name]; {
	case told:
		app.Space.Shield = fleet.Known(shield)
	case r.noSpaces != nil && r.noSpaces.Kind != fleet.NotFound:
		app.Space.Shield = fleet.Unknown[bool](r.noSpaces.Reason())
	}
}
