package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// Reader reads a fleet. *heroku.Client does. Errors are *fleet.Problem.
type Reader interface {
	// ReadRoll is everything that lists tell. It fails only where nothing could be read.
	ReadRoll(ctx context.Context, filter fleet.Filter) (fleet.Roll, error)
	// ReadSettings reads the app's formation and then those parts that are asked for. What
	// could not be read is unknown with its reason; an error says that this is not the
	// app's doing, and that nothing of it is to be judged.
	ReadSettings(ctx context.Context, app fleet.App, parts fleet.Parts) (read fleet.App, calls int, err error)
	// ReadRate is how many calls of the account's limit are left.
	ReadRate(ctx context.Context) (left int, err error)
}

// The kinds of reasons that are a scan's own.
const (
	OutOfTime fleet.Kind = "out-of-time" // the scan did not come to the app before it had to end
	NotListed fleet.Kind = "not-listed"  // the app stood the night before, and may have been in a list that could not be read
)

// RulesFor are the rules of an app with the waivers that hold, as
// approval.WaiverReader.Rules answers them.
type RulesFor func(ctx context.Context, app fleet.App) (policy.Rules, error)

// Collector reads and judges a fleet while somebody waits for it. It keeps nothing and
// compares with nothing: a [Scanner] does. It may be used by any number of goroutines.
type Collector struct {
	Heroku Reader
	Policy func() policy.Policy
	Rules  RulesFor         // nil: those of Policy, and nothing is waived
	Now    func() time.Time // default time.Now
}

// Want says which part of the fleet is asked for; zero: all that the policy covers. What
// is named here is looked at also where the policy's scope names other teams or stages,
// as an app is whose status is asked for by name.
type Want struct {
	Team  string // by name
	Stage string // a pipeline stage, or policy.None for apps in no pipeline
}

// Fleet is how a fleet, or the part of it that was asked for, stands now.
type Fleet struct {
	Coverage  Coverage      `json:"coverage"`
	Counts    Counts        `json:"counts"`
	Standings []Standing    `json:"standings"` // by name; nothing is told of what was before
	ReadAt    time.Time     `json:"read_at"`   // when the reading began
	Calls     int           `json:"calls"`     // to Heroku that it took
	Took      time.Duration `json:"took"`
}

// Collect reads and judges the apps. progress, unless it is nil, hears how many of them
// are done, from one goroutine at a time, first of none. Once ctx ends the apps that were
// not read by then are unread, and said to be; only where not even the lists could be
// read it fails, with a *fleet.Problem inside.
func (c *Collector) Collect(ctx context.Context, want Want, progress func(done, of int)) (Fleet, error) {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	p, begun := c.Policy(), now()
	if want.Team != "" {
		p.Scope.Teams = []string{want.Team}
	}
	if want.Stage != "" {
		p.Scope.Stages = []string{want.Stage}
	}
	roll, err := c.Heroku.ReadRoll(ctx, fleet.Filter{Teams: p.Scope.Teams})
	if err != nil {
		return Fleet{}, err
	}
	f := Fleet{ReadAt: stamp(begun), Calls: roll.Calls}
	wanted := slices.DeleteFunc(roll.Apps, func(app fleet.App) bool { return !want.includes(app) })
	in, out := inScope(p, wanted)
	f.Coverage = Coverage{Out: out, Gaps: gaps(roll)}

	scan := Scan{Zone: p.Nightly.Location()}
	done := 0
	progress(0, len(in))
	read, why := make(map[fleet.ID]bool, len(in)), outOfTime()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reader := eyes{heroku: c.Heroku, policy: p, rules: c.Rules, now: now}
	var unwaived []string
	for s := range reader.sights(ctx, slices.Values(in)) {
		f.Calls += s.calls
		if s.failed != nil {
			unwaived = append(unwaived, s.Report.App.Name)
		}
		if s.cut != nil {
			if why.Kind == OutOfTime && s.cut.Kind != OutOfTime { // the first tells why the others follow
				why = s.cut.Reason()
				stop()
			}
			continue
		}
		done++
		progress(done, len(in))
		read[s.Report.App.ID] = true
		f.Standings = append(f.Standings, alone(s.Reading, scan))
	}
	for _, app := range in {
		if !read[app.ID] {
			f.Standings = append(f.Standings, alone(skipped(p, app, why, now()), scan))
		}
	}
	switch n := len(unwaived); {
	case n == 1:
		f.Coverage.Gaps = append(f.Coverage.Gaps, fmt.Sprintf("The waivers of %s could not be read from my database, so what they waive counts here.", unwaived[0]))
	case n > 1:
		f.Coverage.Gaps = append(f.Coverage.Gaps, fmt.Sprintf("The waivers of %d apps could not be read from my database, so what they waive counts here.", n))
	}
	slices.SortFunc(f.Standings, byName)
	for i := range f.Standings {
		f.Coverage.count(&f.Standings[i])
		f.Counts.count(&f.Standings[i])
	}
	f.Coverage.Seen += total(out)
	f.Took = now().Sub(begun)
	return f, nil
}

// includes says whether the app is of the part that is asked for; one whose pipeline
// could not be read may be.
func (w Want) includes(app fleet.App) bool {
	if w.Team != "" && !strings.EqualFold(w.Team, app.Team) {
		return false
	}
	coupling, known := app.Pipeline.Get()
	return w.Stage == "" || !known || cmp.Or(coupling.Stage, policy.None) == w.Stage
}

// ahead is how many apps may be read before somebody takes note of them: as many as are
// read, at 16 side by side and 50 ms an answer, while a database writes down what was read.
const ahead = 128

// eyes are what apps are read and judged with.
type eyes struct {
	heroku Reader
	policy policy.Policy
	rules  RulesFor // nil: those of policy
	now    func() time.Time
}

// sights reads apps side by side, in their order, and gives each as it comes. The channel
// is closed once all were read, or ctx has ended and those under way are done; whoever
// ends ctx takes what is left of it.
func (e eyes) sights(ctx context.Context, apps iter.Seq[fleet.App]) <-chan sight {
	todo, done := make(chan fleet.App), make(chan sight, ahead)
	var readers sync.WaitGroup
	for range max(e.policy.Heroku.Parallel, 1) {
		readers.Go(func() {
			for app := range todo {
				done <- e.look(ctx, app)
			}
		})
	}
	go func() {
		defer close(done)
		defer readers.Wait()
		defer close(todo)
		feed(ctx, apps, todo)
	}()
	return done
}

// feed hands out apps until ctx ends.
func feed(ctx context.Context, apps iter.Seq[fleet.App], todo chan<- fleet.App) {
	for app := range apps {
		select {
		case todo <- app:
		case <-ctx.Done():
			return
		}
	}
}

// sight is one app, read and judged.
type sight struct {
	Reading
	calls int
	// cut is why nothing of the app is kept, which is not its own doing: there is no time
	// left, the account's limit is used up, or the token is refused. Nil: it was read.
	cut *fleet.Problem
	// passing says that a part of it could not be read for a reason that may pass.
	passing bool
	// failed is why the app's waivers could not be read: it is judged as if it had none.
	failed error
}

// look reads one app and judges it, by the waivers that hold when it begins.
func (e eyes) look(ctx context.Context, app fleet.App) (s sight) {
	app.ReadAt = e.now()
	rules := e.policy.For(app)
	if e.rules != nil {
		rules, s.failed = e.rules(ctx, app)
	}
	parts := fleet.Parts{Features: needsFeatures, Autoscaler: needsAutoscaler}
	if countsWarmup(rules) {
		parts.Buildpacks = needsBuildpacks
	}
	app, calls, err := e.heroku.ReadSettings(ctx, app, parts)
	s.calls = calls
	s.Report.App = app
	if err != nil {
		s.cut = problemOf(ctx, err)
		return s
	}
	if parts.Buildpacks == nil && !app.Buildpacks.IsKnown() {
		app.Buildpacks = fleet.Unknown[[]string](fleet.Reason{Kind: fleet.NotTold, Text: "a scan of the fleet does not read buildpacks for advice"})
	}
	s.Reading = judge(app, rules)
	// It was listed, and so was deleted or moved meanwhile: the next list tells.
	s.passing = app.Formation.Why().Kind == fleet.NotFound
	for _, why := range []fleet.Reason{
		app.Formation.Why(), app.Features.Why(), app.Autoscaler.Why(), app.Buildpacks.Why(), app.AddOns.Why(), app.Pipeline.Why(),
	} {
		s.passing = s.passing || mayPass(why) // what was not asked for is not told, and so is not among them
	}
	return s
}

// judge judges an app as it was read.
func judge(app fleet.App, rules policy.Rules) Reading {
	r := Reading{Rules: rules, Report: Judge(app, rules, app.ReadAt)}
	r.Unread = unreadBy(r)
	if value, _ := plan.RuntimeOf(app); value.Or("") == plan.Small && !app.Features.IsKnown() {
		// Eco and Basic dynos have no use for features, so they are not read. What a plan
		// costs does not hang on them: turning one on costs nothing.
		app.Features = fleet.Known(map[string]fleet.Feature{})
		r.Report.Plan = Judge(app, rules, app.ReadAt).Plan
	}
	return r
}

// skipped is an app that was listed and not read.
func skipped(p policy.Policy, app fleet.App, why fleet.Reason, now time.Time) Reading {
	app.ReadAt, app.Formation = now, fleet.Unknown[[]fleet.Process](why)
	return judge(app, p.For(app))
}

func outOfTime() fleet.Reason {
	return fleet.Reason{Kind: OutOfTime, Text: "the scan did not come to it in time"}
}

// alone is how the app stands, without a night before.
func alone(r Reading, scan Scan) Standing {
	standing, _ := Compare(Standing{}, r, scan)
	standing.News = News{}
	return standing
}

// mayPass says whether it makes sense to try again after some minutes.
func mayPass(why fleet.Reason) bool {
	return why.Kind == fleet.Unavailable || why.Kind == fleet.RateLimited
}

// What is read of an app whose formation is known.

// needsFeatures: only the Common Runtime's larger dynos can have preboot and session
// affinity, and only where web runs.
func needsFeatures(app fleet.App) bool {
	value, _ := plan.RuntimeOf(app)
	runtime, known := value.Get()
	return known && runtime == plan.Bootable
}

// needsAutoscaler: sizes that can't autoscale have no monitor, and an app without web
// none that matters.
func needsAutoscaler(app fleet.App) bool {
	value, _ := plan.RuntimeOf(app)
	runtime, known := value.Get()
	size, _ := app.WebSize()
	return known && (runtime == plan.Bootable || runtime == plan.Rolling) && app.Generation != fleet.Fir &&
		(size.MayAutoscale() || size.Tier == fleet.OtherTier)
}

// needsBuildpacks: where nothing else tells the language. A container image has none.
func needsBuildpacks(app fleet.App) bool {
	value, _ := plan.RuntimeOf(app)
	runtime, known := value.Get()
	return known && slices.Contains([]plan.Runtime{plan.Bootable, plan.Rolling, plan.Small}, runtime) &&
		app.Stack != "container" && !app.JVM().IsKnown()
}

// countsWarmup says whether JVM warm-up counts for the verdict, by rules that may hold.
func countsWarmup(rules policy.Rules) bool {
	required := func(r policy.Rules) bool { return r.JVMWarmup == policy.WeightRequired }
	return required(rules) || slices.ContainsFunc(rules.Others(), required)
}

// unreadBy is why the app could not be judged, where that is because something could not
// be read. What Heroku tells nobody leaves an app unknown, and yet read.
func unreadBy(r Reading) fleet.Reason {
	app := r.Report.App
	if !app.Formation.IsKnown() {
		return app.Formation.Why()
	}
	if r.Report.Verdict != VerdictUnknown {
		return fleet.Reason{}
	}
	for _, f := range r.Report.Findings {
		if !f.Required || f.Outcome != Unknown {
			continue
		}
		var causes []fleet.Reason
		switch f.Check {
		case webDynos().ID:
			causes = append(causes, plan.AutoscalerOf(app).Why(), app.AddOns.Why())
		case sessionAffinity().ID, preboot().ID:
			causes = append(causes, app.Features.Why())
		case jvmWarmup().ID:
			causes = append(causes, app.JVM().Why())
		}
		for _, why := range append(causes, r.Rules.Unsure) {
			if why != (fleet.Reason{}) && why.Kind != fleet.NotTold && why.Kind != fleet.NotPriced {
				return why
			}
		}
	}
	return fleet.Reason{}
}

// The scope.

// inScope are the apps that the policy covers, by name, and how many it does not, by
// reason. They are in the place of those given: an app is a kilobyte, and a fleet is large.
func inScope(p policy.Policy, apps []fleet.App) (in []fleet.App, out map[string]int) {
	in = apps[:0]
	for _, app := range apps {
		covered := p.InScope(app)
		if covered.In {
			in = append(in, app)
			continue
		}
		if out == nil {
			out = map[string]int{}
		}
		out[covered.Out]++
	}
	slices.SortFunc(in, func(a, b fleet.App) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	return in, out
}

func gaps(roll fleet.Roll) []string {
	var all []string
	for _, g := range roll.Gaps {
		all = append(all, sentence("%s", g.String())+".")
	}
	return all
}

// The counts.

// count adds an app in scope.
func (c *Coverage) count(s *Standing) {
	c.Seen++
	c.InScope++
	if s.Unread == (fleet.Reason{}) {
		c.Judged++
		return
	}
	if c.Unread == nil {
		c.Unread = map[string]int{}
	}
	c.Unread[unreadWord(s.Unread.Kind)]++
}

// count adds an app in scope.
func (c *Counts) count(s *Standing) {
	if slices.ContainsFunc(s.Marks, func(m Mark) bool { return !m.Waived.IsZero() }) {
		c.Waived++
	}
	switch s.Verdict {
	case VerdictReady:
		c.Ready++
	case VerdictNotApplicable:
		c.NotApplicable++
	case VerdictNotReady:
		c.NotReady++
		if more, known := s.Increase.Get(); known {
			c.Increase += more
		} else {
			c.Unpriced++
		}
	default:
		c.Unknown++
	}
}

// unreadWord is in a word or two why an app could not be read.
func unreadWord(kind fleet.Kind) string {
	words := map[fleet.Kind]string{
		fleet.NotFound: "not shown", fleet.Delinquent: "unpaid bills", fleet.Unauthorized: "token refused",
		fleet.RateLimited: "API limit", fleet.Unavailable: "no answer", OutOfTime: "out of time", NotListed: "not listed",
	}
	return cmp.Or(words[kind], string(kind), "not told")
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func byName(a, b Standing) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.App), string(b.App)))
}

// How long it takes.

// pace is how long so many calls take: those more than the account has left above the
// reserve, at the pace at which it gets them back, and first what it lacks of the reserve;
// or as long as Heroku takes to answer all of them, so many side by side. Counted are
// those calls that the limit counts.
type pace struct {
	calls, counted          int
	left, reserve, parallel int
	latency                 time.Duration // of one answer
}

func (p pace) takes() time.Duration {
	beyond := 0
	if p.counted > 0 {
		beyond = max(p.counted-(p.left-p.reserve), 0)
	}
	paced := time.Duration(float64(beyond) / fleet.CallsPerMinute * float64(time.Minute))
	return max(paced, time.Duration(p.calls)*p.latency/time.Duration(max(p.parallel, 1))).Round(time.Millisecond)
}

// foresee is how many calls an app will take, as far as lists tell, and how many of them
// count for the account's limit: the monitors of autoscaling are on a host of their own.
func foresee(app fleet.App, idle bool) (calls, counted int) {
	switch {
	case idle:
		return 1, 1
	case app.Space == nil:
		return 2, 2
	case app.Generation == fleet.Fir:
		return 1, 1
	}
	return 2, 1
}

// problemOf is what keeps the fleet, or an app, from being read.
func problemOf(ctx context.Context, err error) *fleet.Problem {
	if ctx.Err() != nil {
		why := outOfTime()
		return &fleet.Problem{Kind: why.Kind, Message: why.Text, Err: err}
	}
	if p, ok := errors.AsType[*fleet.Problem](err); ok {
		return p
	}
	return &fleet.Problem{Kind: fleet.Unavailable, Message: err.Error(), Err: err}
}
