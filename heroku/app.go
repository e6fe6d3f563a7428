package heroku

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// ReadApp reads one app, as parallel as its parts depend on one another: all at once,
// then what needs the UUID and the size of web. Every part has its own deadline, so
// that one which hangs costs only itself; with [Timing]'s defaults the whole takes at
// most 8 s (and the look-up of a host before it).
//
// It fails, with a *fleet.Problem, when the app itself can't be read or the token is
// refused. Any other part that can't be read is unknown in the App, with its reason.
//
// Who asks for an app, in the same words, that somebody began to read less than
// [Timing.Join] ago shares that reading: ReadAt may be that much earlier than the call,
// though never before an Apply of this client. The App is shared then: nobody changes
// what its maps and slices hold. What is read for a change ([Urgent]) is never shared.
func (c *Client) ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	return c.joinRead(ctx, ref)
}

func (c *Client) readApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	readAt := time.Now()
	identity, err := c.identify(ctx, ref)
	if err != nil {
		return fleet.App{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &reading{c: c, identity: identity, asked: ref.String(), end: cancel}
	r.read(ctx)
	if p := r.failed.Load(); p != nil {
		return fleet.App{}, p
	}
	return r.assemble(readAt), nil
}

// identify turns a Ref into what goes into a path; a host is looked up in the list of
// apps, by web_url.
func (c *Client) identify(ctx context.Context, ref fleet.Ref) (string, error) {
	if identity, ok := ref.Identity(); ok {
		return identity, nil
	}
	if ref.Host() == "" {
		return "", &fleet.Problem{Kind: fleet.NotFound, Op: "read app", Message: fleet.ErrNoApp.Error(), Err: fleet.ErrNoApp}
	}
	id, err := c.byHost(ctx, ref.Host())
	return string(id), err
}

// reading is one ReadApp under way. Each part is written by one goroutine, and read
// by others after the channel that tells so is closed.
type reading struct {
	c        *Client
	identity string // name or UUID, for paths
	asked    string // as the person named it
	end      context.CancelFunc
	failed   atomic.Pointer[fleet.Problem] // why the whole failed; nil: it did not

	app        appInfo
	formation  fleet.Value[[]formationRow]
	features   fleet.Value[[]featureRow]
	sizes      fleet.Value[fleet.Catalog]
	releases   fleet.Value[[]releaseRow]
	dynos      fleet.Value[[]dynoRow]
	addons     fleet.Value[[]addonRow]
	buildpacks fleet.Value[[]buildpackRow]
	coupling   fleet.Value[couplingInfo]
	autoscaler fleet.Value[fleet.Autoscaler]
	pipeline   fleet.Value[string] // its name
}

func (r *reading) read(ctx context.Context) {
	var wg sync.WaitGroup
	appRead, formationRead, couplingRead := make(chan struct{}), make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		defer close(appRead)
		r.readApp(ctx)
	})
	wg.Go(func() {
		defer close(formationRead)
		r.formation = list[formationRow](ctx, r, "read formation", "/formation")
	})
	wg.Go(func() {
		defer close(couplingRead)
		r.coupling = part(ctx, r, "read pipeline", r.readCoupling)
	})
	wg.Go(func() { r.features = list[featureRow](ctx, r, "read features", "/features") })
	wg.Go(func() { r.sizes = part(ctx, r, "read dyno sizes", r.c.readSizes) })
	wg.Go(func() {
		// One is wanted, and it comes as 206: there are older ones.
		r.releases = part(ctx, r, "read release", func(ctx context.Context) ([]releaseRow, error) {
			return rows[releaseRow](ctx, r.c, "/apps/"+r.identity+"/releases", &platform.ListRange{Field: "version", Max: 1, Descending: true})
		})
	})
	wg.Go(func() { r.dynos = list[dynoRow](ctx, r, "read dynos", "/dynos") })
	wg.Go(func() { r.addons = list[addonRow](ctx, r, "read add-ons", "/addons") })
	wg.Go(func() { r.buildpacks = list[buildpackRow](ctx, r, "read buildpacks", "/buildpack-installations") })
	wg.Go(func() {
		<-appRead
		<-formationRead
		if ctx.Err() == nil {
			r.autoscaler = r.readAutoscaler(ctx)
		}
	})
	wg.Go(func() {
		<-couplingRead
		if at, coupled := r.coupling.Get(); coupled && ctx.Err() == nil {
			r.pipeline = r.pipelineName(ctx, at)
		}
	})
	wg.Wait()
}

// stop ends the whole reading. The first reason counts: the others follow from it.
func (r *reading) stop(p *fleet.Problem) {
	r.failed.CompareAndSwap(nil, p)
	r.end()
}

// part reads one part within its deadline: known, or unknown with the reason. A token
// that is refused here is refused everywhere, so it ends the whole.
func part[T any](ctx context.Context, r *reading, op string, read func(context.Context) (T, error)) fleet.Value[T] {
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.Part)
	defer cancel()
	v, err := read(ctx)
	if err == nil {
		return fleet.Known(v)
	}
	p := r.c.problem(ctx, op, r.asked, err)
	if p.Kind == fleet.Unauthorized {
		r.stop(p)
	}
	return fleet.Unknown[T](p.Reason())
}

// list is part for a list of the app's own, by the end of its path.
func list[T row](ctx context.Context, r *reading, op, end string) fleet.Value[[]T] {
	return part(ctx, r, op, func(ctx context.Context) ([]T, error) {
		return all(pages(ctx, r.c, nil, func(ctx context.Context, lr *platform.ListRange) ([]T, error) {
			return rows[T](ctx, r.c, "/apps/"+r.identity+end, lr)
		}))
	})
}

func (r *reading) readApp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.Part)
	defer cancel()
	err := r.c.api.Get(ctx, &r.app, "/apps/"+r.identity, nil, nil)
	if err == nil {
		err = r.app.check()
	}
	if err != nil {
		r.stop(r.c.problem(ctx, "read app", r.asked, err))
	}
}

// couplingInfo is an app's place in a pipeline; heroku-go's leaves the name out.
type couplingInfo struct {
	owner
	Pipeline struct {
		ID   fleet.ID `json:"id"`
		Name string   `json:"name"` // told by some versions of the API only
	} `json:"pipeline"`
	Stage string `json:"stage"`
}

func (x couplingInfo) whole() bool { return x.Pipeline.ID != "" && x.Stage != "" }

// readCoupling takes a 404 for "in no pipeline", as the CLI does, unless it is the
// app itself that Heroku did not find.
func (r *reading) readCoupling(ctx context.Context) (couplingInfo, error) {
	var info couplingInfo
	err := r.c.api.Get(ctx, &info, "/apps/"+r.identity+"/pipeline-couplings", nil, nil)
	if p, ok := errors.AsType[*fleet.Problem](err); ok && p.Kind == fleet.NotFound && !errors.Is(p, missing("app")) {
		return couplingInfo{}, nil
	}
	if err == nil && !info.whole() {
		err = errForm
	}
	return info, err
}

// pipelineName is the pipeline's name, by which the policy may know it. Of an app in no
// pipeline it is not read.
func (r *reading) pipelineName(ctx context.Context, at couplingInfo) fleet.Value[string] {
	known := r.c.pipelines
	switch cached, ok := known.Get(at.Pipeline.ID); {
	case at.Pipeline.ID == "":
		return fleet.Value[string]{}
	case at.Pipeline.Name != "":
		return fleet.Known(clean(at.Pipeline.Name, r.c.inner.key))
	case !idShape.MatchString(string(at.Pipeline.ID)):
		return fleet.Unknown[string](r.c.problem(ctx, "read pipeline", r.asked, errForm).Reason())
	case ok && time.Since(cached.at) < r.c.timing.SizesAge:
		return fleet.Known(cached.name)
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.Monitor)
	defer cancel()
	pipeline, err := r.c.api.PipelineInfo(ctx, string(at.Pipeline.ID))
	if err == nil && pipeline.Name == "" {
		err = errForm
	}
	if err != nil {
		return fleet.Unknown[string](r.c.problem(ctx, "read pipeline", r.asked, err).Reason())
	}
	name := clean(pipeline.Name, r.c.inner.key)
	known.Add(at.Pipeline.ID, pipelineName{name, time.Now()})
	return fleet.Known(name)
}

// assemble makes the App of its parts. Where the app was asked for by name and that
// name changed hands between two calls, what belongs to another UUID is unknown, and
// so is what tells no owner.
func (r *reading) assemble(readAt time.Time) fleet.App {
	app := r.app.fleet(readAt)
	mixed := false
	own := func(owner string) bool {
		ok := owner == "" || owner == string(app.ID)
		mixed = mixed || !ok
		return ok
	}
	formation := keep(r.formation, func(p formationRow) bool { return own(p.App.ID) })
	dynos := keep(r.dynos, func(d dynoRow) bool { return own(d.App.ID) })
	releases := keep(r.releases, func(x releaseRow) bool { return own(x.App.ID) })
	if at, known := r.coupling.Get(); known && !own(at.App.ID) {
		r.coupling = fleet.Unknown[couplingInfo](changedHands())
	}
	if mixed {
		r.features = fleet.Unknown[[]featureRow](changedHands())
		r.addons = fleet.Unknown[[]addonRow](changedHands())
		r.buildpacks = fleet.Unknown[[]buildpackRow](changedHands())
	}
	app.Formation = become(formation, processes)
	app.Features = become(r.features, features)
	app.Sizes = r.sizes
	app.Release = become(releases, latest)
	app.Dynos = become(dynos, dynosOf)
	app.AddOns = become(r.addons, addonsOf)
	app.Buildpacks = become(r.buildpacks, buildpacksOf)
	app.Pipeline = become(r.coupling, func(at couplingInfo) fleet.Coupling {
		return fleet.Coupling{Pipeline: at.Pipeline.ID, Name: r.pipeline, Stage: at.Stage}
	})
	app.Autoscaler = r.autoscaler
	app.Generation = generation(fleet.Generation(r.app.Generation), r.formation)
	return app
}

func changedHands() fleet.Reason {
	return fleet.Reason{Kind: fleet.NotTold, Text: "the app's name changed hands while it was being read; ask again"}
}

// keep makes a list unknown of which one item is not the app's.
func keep[T any](v fleet.Value[[]T], own func(T) bool) fleet.Value[[]T] {
	items, _ := v.Get()
	foreign := false
	for _, item := range items {
		foreign = !own(item) || foreign
	}
	if foreign {
		return fleet.Unknown[[]T](changedHands())
	}
	return v
}

// become turns what was read into what fleet calls it, and keeps the reason of what
// was not.
func become[A, B any](v fleet.Value[A], turn func(A) B) fleet.Value[B] {
	a, known := v.Get()
	if !known {
		return fleet.Unknown[B](v.Why())
	}
	return fleet.Known(turn(a))
}
