package heroku

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Summary is an app in one line: what a scenario compares.
//
//	shop web=1 size=standard-1x affinity=off preboot=off maintenance=off stage=production release=v12 cost=2500
//
// cost is in US cents a month. Other process types, an autoscaler, access and a
// running hand-over follow where the app has them.
func (s *Server) Summary(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.world.appNamed(name)
	if err != nil {
		return "", err
	}
	now := s.world.clock()
	a.settle(now)
	return s.world.summary(a, now), nil
}

func (w *world) summary(a *app, now time.Time) string {
	var b strings.Builder
	fmt.Fprint(&b, a.name)
	if web := a.proc("web"); web == nil {
		fmt.Fprint(&b, " web=none")
	} else {
		fmt.Fprintf(&b, " web=%d size=%s", web.quantity, strings.ToLower(web.size.name))
	}
	release := "none"
	if r := a.current(now); r != nil {
		release = fmt.Sprintf("v%d", r.version)
	}
	stage := "none"
	if a.pipeline != nil {
		stage = a.stage
	}
	cost := "unknown"
	if cents, err := w.billed(a); err == nil {
		cost = fmt.Sprint(cents)
	}
	fmt.Fprintf(&b, " affinity=%s preboot=%s maintenance=%s stage=%s release=%s cost=%s",
		word(a.featureOn("http-session-affinity")), word(a.featureOn("preboot")), word(a.maintenance), stage, release, cost)
	for _, p := range a.procs {
		if p.typ != "web" {
			fmt.Fprintf(&b, " %s=%d:%s", p.typ, p.quantity, strings.ToLower(p.size.name))
		}
	}
	if sc := a.scaler; sc != nil && sc.active {
		kind := "scaler"
		if sc.native {
			kind = "autoscaler"
		}
		fmt.Fprintf(&b, " %s=%d..%d", kind, sc.min, sc.max)
	}
	if a.access != accessOpen {
		fmt.Fprintf(&b, " access=%s", a.access)
	}
	if now.Before(a.lockedUntil) {
		fmt.Fprintf(&b, " handover=%s", a.lockedUntil.Sub(now).Round(time.Second))
	}
	return b.String()
}

func word(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

type stateView struct {
	Now       string         `json:"now"`
	Apps      []appView      `json:"apps"`
	Faults    []string       `json:"faults"`
	Latency   string         `json:"latency"`
	BucketOff bool           `json:"bucket_off"`
	Remaining map[string]int `json:"remaining"` // by account id
}

type appView struct {
	Summary       string          `json:"summary"`
	App           wireApp         `json:"app"`
	Access        access          `json:"access"`
	Formation     []wireFormation `json:"formation"`
	Features      []string        `json:"features_on"`
	Addons        []string        `json:"addons"`
	LatestRelease *wireRelease    `json:"latest_release"`
	Dynos         []dynoView      `json:"dynos"`
	HandoverUntil *string         `json:"handover_until"`
	Locked        bool            `json:"formation_locked"`
}

// dynoView tells of a dyno what the API does not: whether it serves requests,
// and which release it serves them with.
type dynoView struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	State   string `json:"state"`
	Release int    `json:"release"`
	Listed  bool   `json:"listed"`
	Serves  bool   `json:"serves"`
}

func (s *Server) state() stateView {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.world.clock()
	out := stateView{Now: stamp(now), Apps: []appView{}, Faults: []string{}, Latency: s.latency.String(), BucketOff: s.bucketOff, Remaining: map[string]int{}}
	for _, f := range s.faults {
		out.Faults = append(out.Faults, f.String())
	}
	for id, b := range s.buckets {
		out.Remaining[id] = b.remaining(now)
	}
	for _, a := range s.world.apps {
		a.settle(now)
		out.Apps = append(out.Apps, s.world.view(a, now))
	}
	return out
}

func (w *world) view(a *app, now time.Time) appView {
	v := appView{Summary: w.summary(a, now), App: w.showApp(a), Access: a.access, Formation: []wireFormation{}, Features: []string{}, Addons: []string{}, Dynos: []dynoView{}, Locked: a.locked(now)}
	for _, p := range a.procs {
		v.Formation = append(v.Formation, a.showProc(p))
	}
	for _, name := range slices.Sorted(maps.Keys(a.features)) {
		if a.featureOn(name) {
			v.Features = append(v.Features, name)
		}
	}
	for _, x := range a.addons {
		v.Addons = append(v.Addons, x.plan)
	}
	if n := len(a.releases); n > 0 {
		v.LatestRelease = new(a.showRelease(a.releases[n-1], now))
	}
	for _, d := range a.dynos {
		v.Dynos = append(v.Dynos, dynoView{d.name(), d.id, d.state(now), d.release.version, d.listed(now), d.serves(now)})
	}
	if now.Before(a.lockedUntil) {
		v.HandoverUntil = stampOrNull(a.lockedUntil)
	}
	return v
}
