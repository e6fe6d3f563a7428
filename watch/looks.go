package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/zdd/fleet"
)

// What is read of Heroku while an app is watched. A watch takes sixteen calls a minute of
// the account's refill of 75 (Platform API reference, "Rate Limits"), and five watches
// together what comes back; with more each looks so much more seldom. All of it is work
// that nobody waits for, which leaves the account's reserve to people.
const (
	atFullPace    = 5 // watches
	settingsEvery = 2 // looks: formation, features, dynos
	glanceEvery   = 6 // looks: maintenance mode
	// lookWithin bounds one reading, its wait for the account's limit counted.
	lookWithin = 15 * time.Second
	// domainsWithin bounds the reading of the domains, which is only an addition.
	domainsWithin = 5 * time.Second
	// lastDynos bounds the last reading of the dynos, between two renewals of the lease.
	lastDynos = 5 * time.Second
)

// looker looks at an app while it is watched, and tells the recorder what changes.
type looker struct {
	r   *Runner
	rec *Recorder

	early []string // what went wrong before there was a recorder

	mu      sync.Mutex // of what follows; one look is taken at a time
	app     fleet.App  // as last seen
	skew    time.Duration
	adrift  bool      // the clocks are not compared yet
	after   time.Time // releases made after it, by Heroku's clock, are of interest
	dynos   map[string]fleet.Dyno
	counted time.Time // when dynos were read last
	formed  time.Time // when the formation was
	failing map[string]trouble
	slowest time.Duration // between two looks; 0: never slower than usual
}

// trouble is what can't be read at the moment.
type trouble struct {
	since time.Time
	why   string
}

func newLooker(r *Runner, app fleet.App) *looker {
	l := &looker{r: r, app: app, dynos: map[string]fleet.Dyno{}, failing: map[string]trouble{}, counted: app.ReadAt, formed: app.ReadAt}
	dynos, _ := app.Dynos.Get()
	for _, d := range dynos {
		l.dynos[dynoKey(d)] = d
	}
	return l
}

// before compares the clocks, and finds the releases that were made right before the watch;
// it sets w.Before. Their times are by our clock.
func (l *looker) before(ctx context.Context, w *Watch) (recent []fleet.Release) {
	skew, err := l.r.cfg.Heroku.Skew(ctx)
	if err != nil {
		l.adrift, w.Adrift = true, whyOf(err)
	}
	l.skew = skew
	l.after = l.r.now().Add(-skew - l.r.timing.Back)
	// The release that asked for the watch is of interest, however long ago it is by now.
	if made, ok := releasedAt(w.Origin); ok && made.Before(l.after) {
		l.after = made.Add(-time.Second)
	}
	latest, known := l.app.Release.Get()
	w.Before = latest.Version
	// One that is in its release phase is still to be handed over, however long ago that began.
	if latest.Status == "pending" && !latest.CreatedAt.After(l.after) {
		l.after = latest.CreatedAt.Add(-time.Second)
	}
	if known && !latest.CreatedAt.After(l.after) {
		return nil
	}
	recent, err = l.made(ctx)
	if err != nil {
		l.early = append(l.early, "The releases could not be read when the watch began: "+whyOf(err)+".")
		return nil
	}
	if len(recent) > 0 {
		w.Before = recent[0].Version - 1
		// By which rules they are handed over is told by the features as they were then.
		for _, name := range []string{fleet.Preboot, fleet.SessionAffinity} {
			at, known := l.app.FeatureSince(name).Get()
			if on, told := l.app.Feature(name); known && told && !l.ours(at).Before(recent[0].CreatedAt) {
				w.Events = inserted(w.Events, Event{At: moment(l.ours(at)), Kind: EventFeature, Text: featureWord(name) + " was switched " + onOff(on)})
			}
		}
	}
	return recent
}

// domain notes where the policy's domain is none of those that Heroku lists: a typing error
// would have another host's answers taken for the app's, and a CDN's are the app's.
func (l *looker) domain(ctx context.Context, w *Watch) {
	if w.Probe.Domain == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, domainsWithin)
	defer cancel()
	hosts, err := l.r.cfg.Heroku.ReadDomains(ctx, l.app.ID)
	if err != nil {
		l.early = append(l.early, "Which domains Heroku lists for the app could not be read: "+whyOf(err)+".")
		return
	}
	w.Unlisted = !slices.ContainsFunc(hosts, func(host string) bool {
		rest, wild := strings.CutPrefix(host, "*")
		return host == w.Probe.Domain || wild && strings.HasSuffix(w.Probe.Domain, rest)
	})
}

// compare compares the clocks, if that could not be done before.
func (l *looker) compare(ctx context.Context) {
	if !l.adrift {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	skew, err := l.r.cfg.Heroku.Skew(ctx)
	if err != nil {
		return
	}
	l.after = l.after.Add(l.skew - skew)
	l.skew, l.adrift = skew, false
	l.rec.Adrift("")
}

// made are the releases of interest, by our clock.
func (l *looker) made(ctx context.Context) ([]fleet.Release, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	// What is made while this is read counts too, whatever Heroku's clock says.
	all, err := l.r.cfg.Heroku.ReadReleases(ctx, l.app.ID, l.after, l.r.now().Add(-l.skew+time.Hour))
	for i := range all {
		all[i].CreatedAt = l.ours(all[i].CreatedAt)
		all[i].UpdatedAt = l.ours(all[i].UpdatedAt)
	}
	return all, err
}

// ours is a time of Heroku's by our clock.
func (l *looker) ours(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(l.skew)
}

// run looks until ctx ends.
func (l *looker) run(ctx context.Context) {
	for n := 1; ; n++ {
		if !pause(ctx, time.Now().Add(l.every())) {
			return
		}
		l.releases(ctx)
		if n%settingsEvery == 0 {
			l.settings(ctx)
			l.dynosNow(ctx)
		}
		// Maintenance mode with a page of one's own looks like an app that fails.
		if n%glanceEvery == 0 || l.dropping() {
			l.glance(ctx)
		}
	}
}

// every is the time to the next look.
func (l *looker) every() time.Duration {
	every := l.r.timing.Look
	n := l.r.running.Load()
	if n <= atFullPace {
		return every
	}
	slower := every * time.Duration(n) / atFullPace
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, slower)
	return slower
}

// releases tells of the releases made meanwhile, and says whether they could be read.
func (l *looker) releases(ctx context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.compare(ctx)
	made, err := l.made(ctx)
	if !l.read(ctx, "releases", err) {
		return false
	}
	for _, rel := range made {
		l.rec.Release(rel)
	}
	return true
}

// read notes whether a part could be read.
func (l *looker) read(ctx context.Context, part string, err error) bool {
	was, failed := l.failing[part]
	switch {
	case err == nil && failed:
		delete(l.failing, part)
		l.unread(part, was, l.r.now())
	case err == nil:
	case ctx.Err() != nil: // the watch has ended
		return false
	case !failed:
		l.failing[part] = trouble{l.r.now(), whyOf(err)}
	}
	return err == nil
}

func (l *looker) unread(part string, was trouble, until time.Time) {
	l.rec.Trouble(fmt.Sprintf("The %s could not be read for %s: %s.", part, InWords(max(until.Sub(was.since), time.Second)), was.why))
}

// settle tells what could not be read until the end, and how seldom it was looked.
func (l *looker) settle(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for part, was := range l.failing {
		l.unread(part, was, now)
	}
	clear(l.failing)
	if l.slowest > 0 {
		l.rec.Trouble(fmt.Sprintf("So many deploys were watched at once that Heroku was asked for releases every %s only, and not every %s: what the time line says is that coarse.", InWords(l.slowest), InWords(l.r.timing.Look)))
	}
}

// settings tells what changed of dynos and features, and whether the next hand-over is
// another one by that.
func (l *looker) settings(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	all := func(fleet.App) bool { return true }
	now, _, err := l.r.cfg.Heroku.ReadSettings(within, l.app, fleet.Parts{Features: all})
	if err == nil && !now.Formation.IsKnown() {
		err = errors.New(now.Formation.Why().Text)
	}
	if !l.read(ctx, "formation", err) {
		return
	}
	was := l.app
	l.app = now
	at := l.r.now()
	for _, e := range formationChanges(was, now) {
		e.At, e.Since = at, l.formed
		l.rec.Event(e)
	}
	l.formed = at
	if s := setupOf(now); s.Web.IsKnown() && s.Preboot.IsKnown() {
		l.rec.Grown(s)
	}
	if !now.Features.IsKnown() {
		l.app.Features = was.Features
		l.read(ctx, "features", errors.New(now.Features.Why().Text))
		return
	}
	l.read(ctx, "features", nil)
	for _, name := range []string{fleet.Preboot, fleet.SessionAffinity} {
		before, known := was.Feature(name)
		is, _ := now.Feature(name)
		if known && before != is {
			l.rec.Event(Event{At: l.switched(now, name, at), Kind: EventFeature, Text: featureWord(name) + " was switched " + onOff(is)})
		}
	}
}

// switched is when a feature was, by our clock: as Heroku tells, where that may be.
func (l *looker) switched(app fleet.App, name string, now time.Time) time.Time {
	since, known := app.FeatureSince(name).Get()
	if at := l.ours(since); known && at.Before(now) && now.Sub(at) < 10*time.Minute {
		return at
	}
	return now
}

func featureWord(name string) string {
	if name == fleet.SessionAffinity {
		return "session affinity"
	}
	return name
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// resized is the word for a change of size.
const resized = "resized"

// formationChanges are what became of the process types. When it happened is left out. A
// process type that is gone may be so by a release that has none.
func formationChanges(was, now fleet.App) (all []Event) {
	before, _ := was.Formation.Get()
	after, _ := now.Formation.Get()
	of := func(processes []fleet.Process, kind string) (fleet.Process, bool) {
		i := slices.IndexFunc(processes, func(p fleet.Process) bool { return p.Type == kind })
		if i < 0 {
			return fleet.Process{}, false
		}
		return processes[i], true
	}
	changed := func(stops bool, format string, args ...any) {
		all = append(all, Event{Kind: EventFormation, Stops: stops, Text: fmt.Sprintf(format, args...)})
	}
	for _, p := range after {
		web := p.Type == "web"
		switch old, there := of(before, p.Type); {
		case !there && p.Quantity > 0:
			changed(false, "%s was scaled from 0 to %d", p.Type, p.Quantity)
		case there && old.Quantity != p.Quantity:
			changed(web && p.Quantity < old.Quantity, "%s was scaled from %d to %d", p.Type, old.Quantity, p.Quantity)
		}
		if old, there := of(before, p.Type); there && !strings.EqualFold(old.Size, p.Size) {
			changed(web, "%s was %s from %s to %s", p.Type, resized, strings.ToLower(old.Size), strings.ToLower(p.Size))
		}
	}
	for _, p := range before {
		if _, there := of(after, p.Type); !there && p.Quantity > 0 {
			changed(false, "%s is gone", p.Type)
		}
	}
	return all
}

// dynosNow tells what became of the web dynos, and whether they could be read: of others
// nothing is asked.
func (l *looker) dynosNow(ctx context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	all, err := l.r.cfg.Heroku.ReadDynos(within, l.app.ID)
	if !l.read(ctx, "dynos", err) {
		return false
	}
	l.rec.Dynos(all)
	now := l.r.now()
	seen := map[string]fleet.Dyno{}
	var again []fleet.Dyno // that were up, and were started once more
	for _, d := range all {
		if d.Type != "web" {
			continue
		}
		key := dynoKey(d)
		seen[key] = d
		was, there := l.dynos[key]
		switch {
		case there && startedAgain(was, d):
			again = append(again, d)
			continue
		case there && was.State == d.State:
			continue
		}
		l.rec.Event(Event{At: l.changed(d, now), Kind: EventDyno, Text: fmt.Sprintf("%s of v%d is %s", d.Name, d.Release, d.State)})
	}
	for _, e := range l.restarts(again, now) {
		l.rec.Event(e)
	}
	l.dynos, l.counted = seen, now
	return true
}

// changed is when a dyno last changed its state, by our clock.
func (l *looker) changed(d fleet.Dyno, now time.Time) time.Time {
	if at := l.ours(d.Since); !at.IsZero() && at.Before(now) {
		return at
	}
	return now
}

// startedAgain says whether a dyno that was up was started since, by no release and not
// because it crashed, as far as anybody saw.
func startedAgain(was, is fleet.Dyno) bool {
	return was.State == "up" && (is.State == "up" || is.State == "starting") && !was.Since.IsZero() && is.Since.After(was.Since)
}

// restarts are the dynos that were started again since the last look, those of a release in
// one event. Of one that is up already Heroku tells only since when that is.
func (l *looker) restarts(again []fleet.Dyno, now time.Time) (all []Event) {
	names := map[int][]string{}
	spans := map[int]Span{}
	for _, d := range again {
		at := l.changed(d, now)
		from := at.Add(-early)
		if d.State == "up" {
			from = l.counted
		}
		in, there := spans[d.Release]
		if !there || from.Before(in.From) {
			in.From = from
		}
		if at.After(in.To) {
			in.To = at
		}
		spans[d.Release] = in
		names[d.Release] = append(names[d.Release], d.Name)
	}
	for _, v := range slices.Sorted(maps.Keys(names)) {
		dynos := names[v]
		if n := len(dynos); n > 3 {
			dynos = []string{dynos[0], fmt.Sprintf("%d more", n-1)}
		}
		all = append(all, Event{At: spans[v].To, Since: spans[v].From, Kind: EventRestart, Stops: true, Text: fmt.Sprintf("%s of v%d restarted", listed(dynos), v)})
	}
	return all
}

// dynosAtEnd reads the dynos once more, and does not wait for long: the watch's lease is
// renewed after it.
func (l *looker) dynosAtEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastDynos)
	defer cancel()
	if !l.dynosNow(ctx) {
		l.rec.Dynos(nil) // what was so before may not be
	}
	if l.dropping() {
		l.glance(ctx)
	}
}

// dropping says whether requests failed since about the last look.
func (l *looker) dropping() bool {
	_, failing := l.rec.failing(l.r.now().Add(-2 * l.r.timing.Look))
	return failing
}

// dynoKey tells the dynos of one release from those of another: they have the same names.
func dynoKey(d fleet.Dyno) string { return fmt.Sprintf("%s/%d", d.Name, d.Release) }

// glance tells of maintenance mode.
func (l *looker) glance(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	now, err := l.r.cfg.Heroku.ReadGlance(within, l.app.ID)
	if !l.read(ctx, "maintenance mode", err) {
		return
	}
	if now.Maintenance != l.app.Maintenance {
		l.app.Maintenance = now.Maintenance
		at := l.r.now()
		if from, failing := l.rec.failing(at.Add(-2 * l.r.timing.Look)); failing && now.Maintenance {
			at = from // what failed by then may have been its page
		}
		l.rec.Event(Event{At: at, Kind: EventMaintenance, Text: "maintenance mode was switched " + onOff(now.Maintenance)})
	}
}

// whyOf is why Heroku could not be read, in words for people.
func whyOf(err error) string {
	if p, ok := errors.AsType[*fleet.Problem](err); ok {
		return p.Reason().Text
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "Heroku did not answer in time"
	}
	return err.Error()
}
