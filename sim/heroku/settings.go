package heroku

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The words that describe an app, the same in a fleet's text, in `create` and
// in `set`. Those of shape are read before the app has any dyno and cannot be
// set later; any other key is a process type with its quantity.
const settingsHelp = `  web=2  web=2:standard-2x  worker=1    how many dynos of a type, and their size
  size=standard-2x  web.size=basic      the size of all types, or of one
  preboot=on  affinity=on  feature:NAME=on
  maintenance=on
  pipeline=NAME  stage=production|staging|development|review|test|none
  addons=heroku-postgresql:essential-0,judoscale:small|none
  domains=shop.acme.example|none
  autoscaler=2..5|off     Heroku's own, seen at the metrics host
  scaler=2..5|off         an add-on's, seen only by its deeds
  load=3                  how many dynos an autoscaler wants
  alert=on                a monitor that alerts and does not scale
  access=open|forbidden|two-factor|suspended|delinquent
  web-command="…"  worker-command="…"
  boot=20s  boot-timeout=90s  jitter=1m  boots=crash|up
  bind=ready|early|hang   the port is bound when the app is ready; or a second after the start,
                          and requests get 503, or no answer, until it is ready
  shutdown=graceful|slow|abrupt  at SIGTERM what is under way is finished; new requests get
                          no answer until SIGKILL; or all ends at once
  crash=handover|none     new dynos of a release crash seconds after they begin to serve
  session=memory|shared   where logins are kept: in each dyno, or in one place for all
  version=path|header|none  told at /version, or on every answer as X-Release too
  work=20ms               how long a page takes
  cycle=24h|off           dynos restart when they are that old
and, when an app is made:
  team=NAME  space=NAME  owner=EMAIL  region=eu  stack=container
  buildpacks=heroku/java,heroku/nodejs  description="Java"|none
  releases=12|never  created=400h  released=50h  inflight=on`

var (
	appName     = regexp.MustCompile(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`) // Dev Center, "Platform API Reference": app.name
	processType = regexp.MustCompile(`^[A-Za-z0-9_-]{1,30}$`)
	stages      = []string{"production", "staging", "development", "review", "test"}
)

// appPlan collects the settings that shape an app before it exists.
type appPlan struct {
	created, released time.Duration // how long ago
	releases          int
	inFlight          bool
	rest              []setting
}

// createApp makes an app from settings, as of now. past says how far back it
// may reach: a fleet's apps are old, one made by `create` is new.
func (w *world) createApp(now time.Time, name string, settings []setting, past time.Duration) (*app, error) {
	if !appName.MatchString(name) {
		return nil, fmt.Errorf("%q is no app name: 3 to 30 lower-case letters, digits and hyphens, beginning with a letter", name)
	}
	if a, err := w.appNamed(name); err == nil {
		return nil, fmt.Errorf("app %s is there already (%s)", name, a.id)
	}
	a := &app{
		id: w.mint("app", name), name: name, owner: w.account.Email, region: "us", stack: "heroku-24", buildpacks: []string{"heroku/ruby"},
		access: accessOpen, code: usualCode(), commands: map[string]string{}, features: map[string]*feature{}, configVars: map[string]string{}, timing: w.timing, mint: w.mint,
	}
	label := name + "-" + strings.ReplaceAll(a.id, "-", "")[:12]
	a.webURL = "https://" + label + ".herokuapp.com/"
	if w.domain != "" {
		a.webURL = "http://" + label + "." + w.domain + "/"
	}
	a.host = hostname(a.webURL)
	plan := appPlan{created: past, released: min(past, 50*time.Hour), releases: 12}
	if past == 0 {
		plan.releases = 3
	}
	for _, s := range settings {
		if taken, err := w.shape(a, &plan, s); err != nil {
			return nil, fmt.Errorf("%s=%s: %w", s.key, s.value, err)
		} else if !taken {
			plan.rest = append(plan.rest, s)
		}
	}
	plan.released = min(plan.released, plan.created)
	a.createdAt = now.Add(-plan.created)
	a.updatedAt = a.createdAt
	if a.description == nil {
		a.description = describe(a)
	} else if *a.description == "none" {
		a.description = nil
	}
	a.history(now, plan)
	w.apps = append(w.apps, a)
	if err := w.populate(a, now.Add(-plan.released), plan); err != nil {
		w.apps = slices.DeleteFunc(w.apps, func(x *app) bool { return x == a })
		return nil, err
	}
	a.settle(now)
	if plan.inFlight {
		a.releaseNow(now.Add(-10*time.Second), release{description: "Deploy 4f1d2c7a", slug: w.mint("slug", name), user: w.account.Email})
		a.settle(now)
	}
	return a, nil
}

// populate gives a new app its formation as of `at`.
func (w *world) populate(a *app, at time.Time, plan appPlan) error {
	if plan.releases == 0 {
		if i := slices.IndexFunc(plan.rest, func(s setting) bool { return processType.MatchString(s.key) && startsWithDigit(s.value) }); i >= 0 {
			return fmt.Errorf("%s=%s: an app that was never released has no process types", plan.rest[i].key, plan.rest[i].value)
		}
		return w.change(at, a, plan.rest)
	}
	if !slices.ContainsFunc(plan.rest, func(s setting) bool { return startsWithDigit(s.value) && !slices.Contains(valueKeys(), s.key) }) {
		plan.rest = append(plan.rest, setting{"web", "1"})
	}
	// Quantities come after the sizes of all types, so that no dyno restarts.
	slices.SortStableFunc(plan.rest, func(x, y setting) int { return rank(x) - rank(y) })
	return w.change(at, a, plan.rest)
}

func startsWithDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// valueKeys are the keys that are no process type though their value may begin
// with a digit.
func valueKeys() []string {
	return []string{"load", "autoscaler", "scaler", "boot", "boot-timeout", "jitter", "work", "cycle", "stage", "pipeline", "addons", "domains"}
}

func rank(s setting) int {
	switch {
	case s.key == "boot", s.key == "boot-timeout", s.key == "bind":
		return 0 // before dynos start
	case s.key == "size":
		return 1
	case startsWithDigit(s.value) && !slices.Contains(valueKeys(), s.key):
		return 2
	}
	return 3
}

// history gives a new app its releases, the newest at the time it was released.
func (a *app) history(now time.Time, plan appPlan) {
	last := now.Add(-plan.released)
	gap := last.Sub(a.createdAt) / time.Duration(max(1, plan.releases))
	for i := 1; i <= plan.releases; i++ {
		at := last.Add(-time.Duration(plan.releases-i) * gap).Truncate(time.Second)
		r := release{user: a.owner, slug: a.mint("slug", a.id), rolled: true}
		switch {
		case i == 1:
			r.description = "Initial release"
		case i == 2:
			r.description = "Enable Logplex"
		case i%4 == 0 && i != plan.releases:
			r.description = "Set LOG_LEVEL config vars"
		default:
			r.description = "Deploy " + strings.ReplaceAll(r.slug, "-", "")[:8]
		}
		r.doneAt = at
		a.releaseNow(at, r)
	}
}

// describe is what the buildpack would say of an app (field
// buildpack_provided_description).
func describe(a *app) *string {
	if a.stack == "container" || len(a.buildpacks) == 0 {
		return nil
	}
	text, ok := map[string]string{
		"heroku/ruby": "Ruby", "heroku/nodejs": "Node.js", "heroku/python": "Python", "heroku/go": "Go", "heroku/php": "PHP",
		"heroku/java": "Java", "heroku/gradle": "Gradle", "heroku/scala": "Scala", "heroku/clojure": "Clojure", "heroku/kotlin": "Kotlin",
	}[a.buildpacks[len(a.buildpacks)-1]]
	if !ok {
		return nil
	}
	return &text
}

// shape reads the settings that only a new app takes.
func (w *world) shape(a *app, plan *appPlan, s setting) (taken bool, err error) {
	switch s.key {
	case "team":
		if s.value == "none" {
			return true, nil
		}
		if a.team = w.teamNamed(s.value); a.team == nil {
			return true, fmt.Errorf("no such team")
		}
	case "space":
		if a.space = w.spaceNamed(s.value); a.space == nil {
			return true, fmt.Errorf("no such space")
		}
		a.team, a.region = a.space.team, a.space.region
		if a.space.fir {
			a.stack = "cnb"
		}
	case "owner":
		a.owner = s.value
	case "region":
		a.region = s.value
	case "stack":
		a.stack = s.value
		if s.value == "container" {
			a.buildpacks = nil
		}
	case "buildpacks":
		a.buildpacks = nil
		if s.value != "none" {
			a.buildpacks = strings.Split(s.value, ",")
		}
	case "description":
		a.description = &s.value
	case "releases":
		plan.releases = 0
		if s.value != "never" {
			plan.releases, err = strconv.Atoi(s.value)
			if err == nil && (plan.releases < 0 || plan.releases > 5000) {
				err = fmt.Errorf("want never or a number up to 5000")
			}
		}
	case "created":
		plan.created, err = time.ParseDuration(s.value)
	case "released":
		plan.released, err = time.ParseDuration(s.value)
	case "inflight":
		plan.inFlight, err = onOff(s.value)
	default:
		return false, nil
	}
	return true, err
}

// change carries settings out on an app, past every rule of the API: it is the
// hand behind the bot's back. On an error the settings before it are in force.
func (w *world) change(now time.Time, a *app, settings []setting) error {
	for _, s := range settings {
		if err := w.changeOne(now, a, s); err != nil {
			return fmt.Errorf("%s=%s: %w", s.key, s.value, err)
		}
	}
	return nil
}

func (w *world) changeOne(now time.Time, a *app, s setting) (err error) {
	if name, ok := featureKey(s.key); ok {
		on, err := onOff(s.value)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(appFeatures(), func(f featureInfo) bool { return f.name == name }) {
			return fmt.Errorf("no such feature")
		}
		if a.featureOn(name) != on {
			a.features[name] = &feature{on: on, updatedAt: now}
		}
		return nil
	}
	if typ, ok := strings.CutSuffix(s.key, "-command"); ok {
		a.commands[typ] = s.value
		return nil
	}
	if typ, ok := strings.CutSuffix(s.key, ".size"); ok {
		return a.changeSize(now, s.value, func(p *proc) bool { return p.typ == typ })
	}
	switch s.key {
	case "size":
		return a.changeSize(now, s.value, func(*proc) bool { return true })
	case "maintenance":
		a.maintenance, err = onOff(s.value)
	case "pipeline", "stage":
		return w.couple(now, a, s)
	case "addons":
		return a.changeAddons(now, s.value)
	case "domains":
		if a.domains = nil; s.value != "none" {
			a.domains = strings.Split(strings.ToLower(s.value), ",")
		}
	case "autoscaler", "scaler":
		return a.changeScaler(now, s)
	case "load":
		n, err := strconv.Atoi(s.value)
		if err != nil || a.scaler == nil {
			return fmt.Errorf("want a number, on an app with an autoscaler")
		}
		a.scaler.wants = min(max(n, a.scaler.min), a.scaler.max)
	case "alert":
		on, err := onOff(s.value)
		if err != nil {
			return err
		}
		if a.alertID = ""; on {
			a.alertID = a.mint("monitor", a.id)
		}
	case "access":
		want := access(s.value)
		if !slices.Contains([]access{accessOpen, accessForbidden, accessTwoFactor, accessSuspended, accessDelinquent}, want) {
			return fmt.Errorf("no such access")
		}
		a.access = want
	case "boot":
		a.timing.boot, err = time.ParseDuration(s.value)
	case "boot-timeout":
		a.timing.timeout, err = time.ParseDuration(s.value)
	case "jitter":
		a.timing.jitter, err = time.ParseDuration(s.value)
	case "boots":
		if s.value != "crash" && s.value != "up" {
			return fmt.Errorf("want crash or up")
		}
		a.bootCrash = s.value == "crash"
	case "bind":
		return choose(&a.code.bind, s.value, bindReady, bindEarly, bindHang)
	case "shutdown":
		return choose(&a.code.shutdown, s.value, shutdownGraceful, shutdownSlow, shutdownAbrupt)
	case "crash":
		return choose(&a.code.crash, s.value, crashNone, crashHandOver)
	case "session":
		return choose(&a.code.session, s.value, sessionMemory, sessionShared)
	case "version":
		return choose(&a.code.version, s.value, versionPath, versionHeader, versionNone)
	case "work":
		a.code.work, err = time.ParseDuration(s.value)
	case "cycle":
		if a.cycle = 0; s.value != "off" {
			a.cycle, err = time.ParseDuration(s.value)
		}
		if err == nil && a.cycle != 0 && a.cycle < time.Second {
			a.cycle, err = 0, fmt.Errorf("want a second at least, or off")
		}
	default:
		return a.changeQuantity(now, s)
	}
	return err
}

func featureKey(key string) (name string, ok bool) {
	switch key {
	case "preboot":
		return "preboot", true
	case "affinity":
		return "http-session-affinity", true
	}
	return strings.CutPrefix(key, "feature:")
}

func (a *app) changeSize(now time.Time, name string, chosen func(*proc) bool) error {
	size, refusal := sizeFor(a, name)
	if refusal != nil {
		return refusal
	}
	found := false
	for _, p := range a.procs {
		if chosen(p) {
			found = true
			a.resize(now, p, size)
		}
	}
	if len(a.procs) == 0 && chosen(&proc{}) {
		a.firstSize = size // a new app: sizes are read before quantities
		return nil
	}
	if !found {
		return fmt.Errorf("no such process type")
	}
	return nil
}

func (a *app) changeQuantity(now time.Time, s setting) error {
	count, sizeName, sized := strings.Cut(s.value, ":")
	n, err := strconv.Atoi(count)
	if !processType.MatchString(s.key) || err != nil || n < 0 || n > 100 {
		return fmt.Errorf("neither a setting nor a process type with a quantity from 0 to 100. Settings:\n%s", settingsHelp)
	}
	p := a.proc(s.key)
	if p == nil {
		if a.current(now) == nil {
			return fmt.Errorf("the app was never released, so it has no process types")
		}
		p = a.addProc(now, s.key, a.usualSize())
	}
	if sized {
		size, refusal := sizeFor(a, sizeName)
		if refusal != nil {
			return refusal
		}
		a.resize(now, p, size)
	}
	a.scale(now, p, n)
	return nil
}

// usualSize is the size a new process type gets: that of the others, or the
// first that its runtime offers.
func (a *app) usualSize() dynoSize {
	name := "standard-1x"
	switch {
	case len(a.procs) > 0:
		return a.procs[0].size
	case a.firstSize.name != "":
		return a.firstSize
	case a.space != nil && a.space.fir:
		name = "dyno-1c-0.5gb"
	case a.space != nil:
		name = "private-s"
	}
	size, _ := sizeNamed(name)
	return size
}

func (a *app) changeAddons(now time.Time, value string) error {
	a.addons = nil
	if value == "none" {
		return nil
	}
	for plan := range strings.SplitSeq(value, ",") {
		service, _, ok := strings.Cut(plan, ":")
		if !ok || service == "" {
			return fmt.Errorf("an add-on is SERVICE:PLAN, such as heroku-postgresql:standard-0")
		}
		id := a.mint("addon", a.id+plan)
		a.addons = append(a.addons, &addon{id: id, plan: plan, createdAt: now,
			name: fmt.Sprintf("%s-%s-%d", service, [...]string{"cubed", "curved", "rigid", "round"}[int(id[0])%4], 10000+int(id[1])*97+int(id[2]))})
	}
	return nil
}

func (a *app) changeScaler(now time.Time, s setting) error {
	if s.value == "off" {
		if a.scaler != nil {
			a.scaler.active = false
		}
		return nil
	}
	low, high, ok := strings.Cut(s.value, "..")
	least, err1 := strconv.Atoi(low)
	most, err2 := strconv.Atoi(high)
	if !ok || err1 != nil || err2 != nil || least < 1 || most < least {
		return fmt.Errorf("want off, or the least and the most dynos, such as 2..5")
	}
	native := s.key == "autoscaler"
	web := a.proc("web")
	if native && web != nil && !web.size.canAutoscale() {
		return fmt.Errorf("%s dynos have no autoscaling", web.size.name)
	}
	wants := least
	if web != nil {
		wants = min(max(web.quantity, least), most)
	}
	a.scaler = &scaler{id: a.mint("monitor", a.id), native: native, active: true, min: least, max: most, wants: wants, since: now}
	return nil
}

// couple puts an app into a pipeline stage; stage alone uses the pipeline that
// the app is in, or one of its own name.
func (w *world) couple(now time.Time, a *app, s setting) error {
	if s.value == "none" {
		a.pipeline, a.stage = nil, ""
		return nil
	}
	name, stage := s.value, a.stage
	if s.key == "stage" {
		name, stage = a.name, s.value
		if a.pipeline != nil {
			name = a.pipeline.name
		}
	} else if before, after, ok := strings.Cut(s.value, ":"); ok {
		name, stage = before, after
	}
	if stage == "" {
		stage = "production"
	}
	if !slices.Contains(stages, stage) {
		return fmt.Errorf("no such stage: want one of %s, or none", strings.Join(stages, ", "))
	}
	if w.pipelineNamed(name) == nil {
		w.pipelines = append(w.pipelines, &pipeline{id: w.mint("pipeline", name), name: name, team: a.team, createdAt: now})
	}
	a.pipeline, a.stage, a.coupledAt = w.pipelineNamed(name), stage, now
	a.couplingID = w.mint("coupling", a.id)
	return nil
}

// statement carries out one line of a fleet's text: `account`, `team`,
// `space`, `price` or `app`.
func (w *world) statement(now time.Time, words []string) error {
	long := 400 * 24 * time.Hour
	kind, words := words[0], words[1:]
	if len(words) == 0 {
		return fmt.Errorf("%s: nothing follows", kind)
	}
	name := words[0]
	settings, err := parseSettings(words[1:])
	if err != nil {
		return err
	}
	switch kind {
	case "account":
		w.account.Email = name
	case "team":
		w.teams = append(w.teams, &team{id: w.mint("team", name), name: name, createdAt: now.Add(-long)})
	case "space":
		return w.addSpace(now.Add(-long), name, settings)
	case "price":
		return w.setPrice(name, settings)
	case "app":
		if _, err := w.createApp(now, name, settings, long); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown word %q; a line begins with account, team, space, price or app", kind)
	}
	return nil
}

func (w *world) addSpace(at time.Time, name string, settings []setting) error {
	s := &space{id: w.mint("space", name), name: name, region: "virginia", createdAt: at}
	for _, x := range settings {
		switch {
		case x.key == "team":
			s.team = w.teamNamed(x.value)
		case x.key == "region":
			s.region = x.value
		case x.key == "shield" && x.value == "on":
			s.shield = true
		case x.key == "generation" && (x.value == "fir" || x.value == "cedar"):
			s.fir = x.value == "fir"
		default:
			return fmt.Errorf("space %s: %s=%s is not known; want team=, region=, shield, generation=fir", name, x.key, x.value)
		}
	}
	if s.team == nil {
		return fmt.Errorf("space %s belongs to no team that was named before it", name)
	}
	w.spaces = append(w.spaces, s)
	return nil
}

// setPrice reads `price SIZE cents=2150`, `price SIZE unknown` (the API tells
// no cost) or `price SIZE blank` (a cost of null cents).
func (w *world) setPrice(size string, settings []setting) error {
	d, ok := sizeNamed(size)
	if !ok || len(settings) != 1 {
		return fmt.Errorf("want price SIZE cents=2150, or unknown, or blank")
	}
	p := price{}
	switch settings[0].key {
	case "unknown":
	case "blank":
		p.blank = true
	case "cents":
		n, err := strconv.Atoi(settings[0].value)
		if err != nil || n < 0 {
			return fmt.Errorf("%q are no cents", settings[0].value)
		}
		p = price{cents: n, known: true}
	default:
		return fmt.Errorf("want cents=2150, unknown or blank")
	}
	w.prices[strings.ToLower(d.name)] = p
	return nil
}
