package heroku

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// world is everything that the simulated Heroku knows. [Server] holds its lock.
type world struct {
	account   Account
	teams     []*team
	spaces    []*space
	pipelines []*pipeline
	apps      []*app
	prices    map[string]price // by lower-case size, where the fleet states one
	timing    timing
	domain    string         // of web_urls; empty: Heroku's own
	born      time.Time      // when the world began; its past is counted from here
	minted    map[string]int // ids given per kind and name
}

// timing holds how long things take: boot is the app's own, all else the platform's.
type timing struct {
	boot    time.Duration // a dyno's start, until it is ready
	timeout time.Duration // the app's boot timeout, 60 s unless raised: R10 for what binds later
	jitter  time.Duration // how much longer than promised the last old dyno stays
	release time.Duration // how long a release reads pending

	window    time.Duration // from the boot timeout until preboot's new dynos are routed to: 2 min (Dev Center, "Preboot")
	drain     time.Duration // between SIGTERM and SIGKILL: 30 s (Dev Center, "Dyno Shutdown Behavior")
	cooldown  time.Duration // when a dyno is started again that crashed twice in a row: 20 min (Dev Center, "Dyno Crash Restart Policy")
	autoscale time.Duration // how long an autoscaler lets a quantity stand that is not its own: one of its looks a minute

	lag        time.Duration // at the most, how long the router goes on with a dyno that was told to stop; field reports say a second or so
	queue      time.Duration // for how long the router holds a request that no dyno can take: 75 s (Dev Center, "Error Codes", H20)
	quarantine time.Duration // for how long it leaves a dyno alone that refused a connection: 5 s (Dev Center, "HTTP Routing")
	answer     time.Duration // how long it waits for the first byte of an answer: 30 s (H12)
	idle       time.Duration // and for each one after that: 55 s (H15)
}

// platform is Heroku's timing, its own durations divided by scale.
func platform(scale float64) timing {
	by := func(d time.Duration) time.Duration { return time.Duration(float64(d) / scale) }
	return timing{
		boot: 5 * time.Second, timeout: by(time.Minute), jitter: by(30 * time.Second), release: by(2 * time.Second),
		window: by(2 * time.Minute), drain: by(30 * time.Second), cooldown: by(20 * time.Minute), autoscale: by(time.Minute),
		lag: by(time.Second), queue: by(75 * time.Second), quarantine: by(5 * time.Second), answer: by(30 * time.Second), idle: by(55 * time.Second),
	}
}

// switches is when preboot's new dynos are routed to, after their start; handover is how
// long old ones serve beside them: as measured, some more.
func (t timing) switches() time.Duration { return t.timeout + t.window }
func (t timing) handover() time.Duration { return t.switches() + t.jitter }

type price struct {
	cents int
	known bool // false: the API tells no cost
	blank bool // the API tells a cost whose cents and unit are null
}

type team struct {
	id, name  string
	createdAt time.Time
}

type space struct {
	id, name    string
	team        *team
	region      string
	shield, fir bool
	createdAt   time.Time
}

type pipeline struct {
	id, name  string
	team      *team // nil: the account's own
	createdAt time.Time
}

// access says what stands between the account and an app.
type access string

const (
	accessOpen       access = "open"
	accessForbidden  access = "forbidden"
	accessTwoFactor  access = "two-factor"
	accessSuspended  access = "suspended"
	accessDelinquent access = "delinquent"
)

type app struct {
	id, name    string
	host        string // of webURL, without a port
	webURL      string // keeps the name that the app was created with, and ten letters more
	team        *team  // nil: personal
	space       *space // nil: Common Runtime
	owner       string // email, for personal apps
	region      string
	stack       string
	buildpacks  []string
	description *string // buildpack_provided_description
	createdAt   time.Time
	updatedAt   time.Time
	maintenance bool
	access      access
	procs       []*proc  // in the order of their types
	firstSize   dynoSize // of process types still to come
	commands    map[string]string
	features    map[string]*feature
	releases    []*release // oldest first
	dynos       []*dyno    // also those that wait to start, and those that only serve
	lockedUntil time.Time  // the end of the running hand-over
	pipeline    *pipeline
	stage       string
	coupledAt   time.Time
	couplingID  string
	addons      []*addon
	domains     []string // of its own, beside host; one may begin with *.
	scaler      *scaler
	alertID     string // a monitor that only alerts; "" for none
	configVars  map[string]string
	timing      timing
	bootCrash   bool // what boots from now on crashes
	code        code
	cycle       time.Duration // web dynos are restarted when they are so old, or a little older; 0: never
	mint        func(kind, name string) string
}

// proc is one process type of the formation.
type proc struct {
	id, typ   string
	quantity  int
	size      dynoSize
	createdAt time.Time
	updatedAt time.Time
}

type feature struct {
	on        bool
	updatedAt time.Time
}

type release struct {
	id, slug    string
	version     int
	description string
	user        string
	createdAt   time.Time
	doneAt      time.Time // until then pending
	fails       bool      // its release command fails
	rolled      bool      // dynos were moved to it
}

func (r *release) status(now time.Time) string {
	switch {
	case now.Before(r.doneAt):
		return "pending"
	case r.fails:
		return "failed"
	}
	return "succeeded"
}

// dyno is one dyno, from a start that may still lie ahead to its end. The API
// lists it from..hiddenAt; it serves requests routedAt..goneAt. Under preboot
// the two differ: the old dynos are listed no more, and still serve.
type dyno struct {
	id, typ, command string
	num              int
	size             dynoSize
	release          *release
	from             time.Time
	upAt             time.Time
	routedAt         time.Time
	hiddenAt         time.Time // zero: not ending
	goneAt           time.Time
	crashedAt        time.Time
	crashes          bool      // at upAt, instead of coming up
	readyAt          time.Time // from when it answers; later than upAt where the port is bound too early
	breaksAt         time.Time // it serves until then, and crashes; zero: it does not
}

func (d *dyno) name() string { return fmt.Sprintf("%s.%d", d.typ, d.num) }

func (d *dyno) listed(now time.Time) bool {
	return !now.Before(d.from) && (d.hiddenAt.IsZero() || now.Before(d.hiddenAt))
}

func (d *dyno) serves(now time.Time) bool {
	return d.typ == "web" && !now.Before(d.routedAt) && (d.goneAt.IsZero() || now.Before(d.goneAt)) && d.state(now) == "up"
}

// state is what the API shows: starting, up or crashed.
func (d *dyno) state(now time.Time) string {
	switch {
	case !d.crashedAt.IsZero() && !now.Before(d.crashedAt):
		return "crashed"
	case now.Before(d.upAt):
		return "starting"
	}
	return "up"
}

func (d *dyno) changedAt(now time.Time) time.Time {
	switch d.state(now) {
	case "crashed":
		return d.crashedAt
	case "up":
		return d.upAt
	}
	return d.from
}

type addon struct {
	id, name, plan string
	createdAt      time.Time
}

// scaler is an autoscaler: Heroku's own (seen at the metrics host) or one of
// an add-on (seen by its deeds).
type scaler struct {
	id       string
	native   bool
	active   bool
	min, max int
	wants    int // what its load asks for, within min and max
	since    time.Time
}

func newWorld(account Account, t timing, now time.Time) *world {
	return &world{account: account, timing: t, born: now, prices: map[string]price{}, minted: map[string]int{}}
}

func (w *world) clock() time.Time { return time.Now() }

// mint makes the next id of a kind and name: a UUID by its looks.
func (w *world) mint(kind, name string) string {
	key := kind + " " + name
	w.minted[key]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", key, w.minted[key]))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// appNamed finds an app by name or id.
func (w *world) appNamed(name string) (*app, error) {
	for _, a := range w.apps {
		if a.name == name || a.id == name {
			return a, nil
		}
	}
	return nil, fmt.Errorf("no app %q", name)
}

func (w *world) teamNamed(name string) *team {
	i := slices.IndexFunc(w.teams, func(t *team) bool { return t.name == name || t.id == name })
	if i < 0 {
		return nil
	}
	return w.teams[i]
}

func (w *world) spaceNamed(name string) *space {
	i := slices.IndexFunc(w.spaces, func(s *space) bool { return s.name == name || s.id == name })
	if i < 0 {
		return nil
	}
	return w.spaces[i]
}

func (w *world) pipelineNamed(name string) *pipeline {
	i := slices.IndexFunc(w.pipelines, func(p *pipeline) bool { return p.name == name || p.id == name })
	if i < 0 {
		return nil
	}
	return w.pipelines[i]
}

func (a *app) proc(typ string) *proc {
	i := slices.IndexFunc(a.procs, func(p *proc) bool { return p.typ == typ || p.id == typ })
	if i < 0 {
		return nil
	}
	return a.procs[i]
}

// command is what the Procfile says for a process type.
func (a *app) command(typ string) string {
	jvm := slices.ContainsFunc(a.buildpacks, func(b string) bool {
		return b == "heroku/java" || b == "heroku/gradle" || b == "heroku/kotlin"
	})
	byType := map[string]string{"web": "bundle exec puma -C config/puma.rb", "worker": "bundle exec sidekiq", "clock": "bundle exec clockwork clock.rb", "release": "bundle exec rake db:migrate"}
	if jvm {
		byType["web"] = "java $JAVA_OPTS -jar target/app.jar"
	}
	return cmp.Or(a.commands[typ], byType[typ], "bin/"+typ)
}

// addProc puts a process type into the formation, with none running.
func (a *app) addProc(now time.Time, typ string, size dynoSize) *proc {
	p := &proc{id: a.mint("proc", a.id+typ), typ: typ, size: size, createdAt: now, updatedAt: now}
	a.procs = append(a.procs, p)
	slices.SortFunc(a.procs, func(x, y *proc) int { return strings.Compare(x.typ, y.typ) })
	return p
}

// preboots says whether a change of dynos becomes a hand-over: the feature is
// on, and web runs on dynos that can.
func (a *app) preboots() bool {
	web := a.proc("web")
	return a.featureOn("preboot") && a.canPreboot() && web != nil && web.quantity > 0
}

func (a *app) canPreboot() bool {
	if a.space != nil {
		return false
	}
	return !slices.ContainsFunc(a.procs, func(p *proc) bool {
		return p.size.tier != tierStandard && p.size.tier != tierPerformance
	})
}

func (a *app) featureOn(name string) bool {
	f := a.features[name]
	return f != nil && f.on
}

// locked says whether the formation is: a hand-over runs. Turning preboot off
// unlocks it (a hackclub runbook did so in the middle of one).
func (a *app) locked(now time.Time) bool {
	return now.Before(a.lockedUntil) && a.featureOn("preboot")
}

// current is the release that dynos run: the newest that succeeded, or nil.
func (a *app) current(now time.Time) *release {
	for _, r := range slices.Backward(a.releases) {
		if r.status(now) == "succeeded" {
			return r
		}
	}
	return nil
}

// settle carries out what became due by now, at the time that it became due.
func (a *app) settle(now time.Time) {
	for _, r := range a.releases {
		if !r.rolled && !now.Before(r.doneAt) {
			r.rolled = true
			if !r.fails {
				a.roll(r.doneAt)
			}
		}
	}
	for _, d := range a.dynos {
		if d.crashes && !now.Before(d.upAt) {
			d.crashedAt, d.crashes = d.upAt, false
		}
		if !d.breaksAt.IsZero() && !now.Before(d.breaksAt) {
			if d.crashedAt.IsZero() && (d.goneAt.IsZero() || d.breaksAt.Before(d.goneAt)) {
				d.crashedAt = d.breaksAt
			}
			d.breaksAt = time.Time{}
		}
		for !d.crashedAt.IsZero() && now.Sub(d.crashedAt) >= a.timing.cooldown {
			a.boots(d, d.crashedAt.Add(a.timing.cooldown))
			if d.crashes && !now.Before(d.upAt) {
				d.crashedAt, d.crashes = d.upAt, false
			}
		}
	}
	a.recycle(now)
	if s := a.scaler; s != nil && s.active {
		web := a.proc("web")
		if web != nil && web.quantity > 0 && web.quantity != s.wants {
			if due := latest(web.updatedAt, s.since).Add(a.timing.autoscale); !now.Before(due) && !a.lockedAt(due) {
				a.scale(due, web, s.wants)
			}
		}
	}
	a.dynos = slices.DeleteFunc(a.dynos, func(d *dyno) bool {
		return !d.goneAt.IsZero() && !now.Before(latest(d.goneAt, d.hiddenAt))
	})
}

// lockedAt is locked for the autoscaler, which meets the lock as people do.
func (a *app) lockedAt(due time.Time) bool { return a.locked(due) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// releaseNow records a release that rolls out once it has succeeded.
func (a *app) releaseNow(now time.Time, r release) *release {
	r.version = 1
	if n := len(a.releases); n > 0 {
		r.version = a.releases[n-1].version + 1
	}
	r.id, r.createdAt = a.mint("release", a.id), now
	if r.doneAt.IsZero() {
		r.doneAt = now.Add(a.timing.release)
	}
	a.releases = append(a.releases, &r)
	a.updatedAt = now
	return &r
}
