// Package fleet is what we know of a Heroku app: its web formation, dyno sizes,
// prices, features, releases. It is pure data with pure questions about it; it
// reads nothing and judges nothing (package heroku reads, package audit judges).
//
// Invariants: every part that is read by a call of its own is a [Value], known or
// unknown with the reason, so that a failed call can never look like a zero; an
// app is named in a request only by a [Ref], which only [ParseRef] builds.
package fleet

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// ID is the UUID of a Heroku object. Names are given away again after an app is
// deleted or renamed; approvals, waivers and history hold on to the ID.
type ID string

// App is one app as read at ReadAt.
type App struct {
	ID          ID         `json:"id"`
	Name        string     `json:"name"`
	WebURL      string     `json:"web_url,omitzero"`
	Team        string     `json:"team,omitzero"` // empty: owned by a person
	Region      string     `json:"region,omitzero"`
	Stack       string     `json:"stack,omitzero"`   // heroku-24, container, cnb, …
	Generation  Generation `json:"generation"`       // Cedar unless the API or the dyno names say Fir
	Space       *Space     `json:"space,omitzero"`   // nil: Common Runtime
	Maintenance bool       `json:"maintenance"`      // maintenance mode: the router answers for the app
	Runtime     string     `json:"runtime,omitzero"` // the buildpack's own description, such as "Java" or "Ruby"; empty: none given
	CreatedAt   time.Time  `json:"created_at"`       //
	ReleasedAt  time.Time  `json:"released_at"`      // zero: never released
	ArchivedAt  time.Time  `json:"archived_at,omitzero"`
	ReadAt      time.Time  `json:"read_at"` // when the read began

	Formation  Value[[]Process]          `json:"formation"` // every process type; empty: no release has declared any
	Features   Value[map[string]Feature] `json:"features"`  // by feature name; listed even where the app can't use them
	Sizes      Value[Catalog]            `json:"-"`         // every dyno size that Heroku offers, for prices
	Release    Value[Release]            `json:"release"`   // the latest, whatever its status; Version 0: never released
	Dynos      Value[[]Dyno]             `json:"dynos"`     // during a preboot hand-over only the new ones are listed
	AddOns     Value[[]AddOn]            `json:"add_ons"`
	Buildpacks Value[[]string]           `json:"buildpacks"` // names such as heroku/java, in order
	Pipeline   Value[Coupling]           `json:"pipeline"`   // zero Coupling: in no pipeline
	Autoscaler Value[Autoscaler]         `json:"autoscaler"` // Heroku's own; zero Autoscaler: none, or off
}

// Generation is Heroku's platform generation.
type Generation string

// The generations. Fir exists only in spaces.
const (
	Cedar Generation = "cedar"
	Fir   Generation = "fir"
)

// Space is the Private or Shield Space an app runs in.
type Space struct {
	Name   string      `json:"name"`
	Shield Value[bool] `json:"shield"` // team app lists leave it out
}

// Process is one process type of the formation: what Heroku was told to run.
type Process struct {
	Type     string `json:"type"`     // "web", "worker", …; compare whole, never by substring
	Quantity int    `json:"quantity"` // dynos wanted
	Size     string `json:"size"`     // as the API spells it; look it up with Catalog.Find or SizeNamed
	Command  string `json:"command"`
}

// Feature is an app feature, such as preboot.
type Feature struct {
	Enabled bool             `json:"enabled"`
	State   string           `json:"state,omitzero"` // general, beta, …
	Since   Value[time.Time] `json:"since,omitzero"` // when Heroku last noted a change of it; ask [App.FeatureSince]
}

// The features the bot reads and changes.
const (
	Preboot         = "preboot"
	SessionAffinity = "http-session-affinity"
)

// Release is one release of an app.
type Release struct {
	ID          ID        `json:"id,omitzero"`
	Version     int       `json:"version"`
	Status      string    `json:"status,omitzero"` // pending, succeeded, failed, expired
	Description string    `json:"description,omitzero"`
	By          string    `json:"by,omitzero"` // the email of who made it; empty: not told, or not read
	Current     bool      `json:"current"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"` // when its status last changed: the end of a release phase; zero: not told
}

// Dyno is one running (or crashed, or starting) dyno.
type Dyno struct {
	Name    string    `json:"name"` // web.1
	Type    string    `json:"type"` // web, run, release, …
	State   string    `json:"state"`
	Size    string    `json:"size"`
	Release int       `json:"release"` // version
	Since   time.Time `json:"since"`   // when it last changed its state
}

// AddOn is an add-on that the app owns or uses.
type AddOn struct {
	Service string `json:"service"` // heroku-postgresql
	Plan    string `json:"plan"`    // heroku-postgresql:essential-0
	Name    string `json:"name"`
}

// Coupling is an app's place in a pipeline. Its name has a call of its own, so that it
// may be unknown where the rest is known; of an app in no pipeline it is not read.
type Coupling struct {
	Pipeline ID            `json:"pipeline,omitzero"`
	Name     Value[string] `json:"name,omitzero"`
	Stage    string        `json:"stage,omitzero"` // test, review, development, staging, production; empty: in no pipeline
}

// Autoscaler is Heroku's own web autoscaling.
type Autoscaler struct {
	Active bool `json:"active"`
	Min    int  `json:"min,omitzero"` // dynos
	Max    int  `json:"max,omitzero"`
}

// InSpace says whether the app runs in a Private or Shield Space.
func (a App) InSpace() bool { return a.Space != nil }

// DashboardURL is the app's page in Heroku's dashboard.
func (a App) DashboardURL() string { return "https://dashboard.heroku.com/apps/" + a.Name }

// Web finds the process type named exactly "web" (webhooks and webpack are other
// types). ok is false when the formation is unknown or has no such type.
func (a App) Web() (web Process, ok bool) {
	processes, _ := a.Formation.Get()
	i := slices.IndexFunc(processes, func(p Process) bool { return p.Type == "web" })
	if i < 0 {
		return Process{}, false
	}
	return processes[i], true
}

// WebSize is the size of the web process type, with its price where that is known.
func (a App) WebSize() (Size, bool) {
	web, ok := a.Web()
	if !ok {
		return Size{}, false
	}
	return a.Size(web.Size), true
}

// Size looks a size up in what was read of the catalogue; where that is unknown the
// tier still follows from the name, and the price is unknown.
func (a App) Size(name string) Size {
	catalog, _ := a.Sizes.Get()
	s := catalog.Find(name)
	if a.Space != nil {
		if shield, known := a.Space.Shield.Get(); known && shield {
			return catalog.shielded(s)
		}
	}
	return s
}

// Feature says whether a feature is on. known is false when the features could not
// be read; a feature that Heroku does not list is off.
func (a App) Feature(name string) (on, known bool) {
	features, known := a.Features.Get()
	return features[name].Enabled, known
}

// FeatureSince is since when a feature is on or off, as it is now. It is unknown where
// Heroku does not tell, or tells a time at which there was no such app: then it is
// that of the feature itself, and no switch of this app's. The reference says no more
// of updated_at than "when app feature was updated" (Platform API reference, "App Feature").
func (a App) FeatureSince(name string) Value[time.Time] {
	features, known := a.Features.Get()
	if !known {
		return Unknown[time.Time](a.Features.Why())
	}
	since := features[name].Since
	switch at, known := since.Get(); {
	case known && at.Before(a.CreatedAt):
		return Unknown[time.Time](Reason{Kind: NotTold, Text: "Heroku tells a time from before there was the app"})
	case !known && since == Value[time.Time]{}:
		return Unknown[time.Time](Reason{Kind: NotTold, Text: "Heroku does not tell"})
	}
	return since
}

// scalers are the add-ons known to change the formation by themselves. HireFire is
// often linked by OAuth and then not listed.
var scalers = []string{"judoscale", "rails-autoscale", "hirefire", "adept-scale"}

// ScalingAddOns are the app's add-ons that change the formation by themselves. An
// empty list proves nothing: some are linked by OAuth and never listed.
func (a App) ScalingAddOns() []string {
	addons, _ := a.AddOns.Get()
	var found []string
	for _, addon := range addons {
		if slices.Contains(scalers, addon.Service) {
			found = append(found, addon.Service)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// jvmBuildpacks maps the buildpacks that run on a JVM to the language to name.
var jvmBuildpacks = map[string]string{
	"java": "Java", "jvm": "Java", "gradle": "Java (Gradle)", "scala": "Scala", "clojure": "Clojure", "kotlin": "Kotlin",
}

// buildpackName cuts a buildpack's name down to its language: heroku/java, the
// registry's archive java.tgz and …/heroku-buildpack-java.git#v2 are all "java".
// official says that it is one of Heroku's, whose names are known to tell.
func buildpackName(b string) (name string, official bool) {
	b, _, _ = strings.Cut(b, "#")
	b = strings.TrimSuffix(strings.TrimRight(b, "/"), ".git")
	b = strings.TrimSuffix(b, ".tgz")
	owner, name := "", b
	if i := strings.LastIndexByte(b, '/'); i >= 0 {
		owner, name = b[:i], b[i+1:]
	}
	owner = owner[strings.LastIndexAny(owner, "/:")+1:]
	name = strings.TrimPrefix(name, "heroku-buildpack-")
	return name, owner == "heroku" || owner == "heroku-community"
}

// JVM names the JVM language the app runs, "" when it runs none, unknown when
// nothing that was read tells. It looks at the buildpack's description, then the
// buildpacks, then the web command, in that order; on the container stack only the
// command can tell, and a command that hides java in a script reads as unknown.
func (a App) JVM() Value[string] {
	runtime := strings.ToLower(a.Runtime)
	for _, word := range []string{"gradle", "kotlin", "scala", "clojure", "java"} {
		if strings.Contains(runtime, word) && !strings.Contains(runtime, "javascript") {
			return Known(cmp.Or(jvmBuildpacks[word], "Java"))
		}
	}
	buildpacks, buildpacksKnown := a.Buildpacks.Get()
	foreign := false
	for _, b := range buildpacks {
		name, official := buildpackName(b)
		if language, ok := jvmBuildpacks[name]; ok {
			return Known(language)
		}
		foreign = foreign || !official
	}
	if web, ok := a.Web(); ok {
		command := " " + web.Command + " "
		for _, sign := range []string{" java ", "/java ", " -jar ", " sbt ", "bin/sbt "} {
			if strings.Contains(command, sign) {
				return Known("Java")
			}
		}
	}
	switch {
	case a.Runtime != "":
		return Known("") // the buildpack named another language
	case a.Stack == "container":
		return Unknown[string](Reason{Kind: NotTold, Text: "a container image does not tell its language"})
	case foreign:
		return Unknown[string](Reason{Kind: NotTold, Text: "a buildpack that is not Heroku's own does not tell its language"})
	case buildpacksKnown && len(buildpacks) > 0:
		return Known("")
	case !buildpacksKnown:
		return Unknown[string](a.Buildpacks.Why())
	}
	return Unknown[string](Reason{Kind: NotTold, Text: "Heroku tells no buildpack"})
}
