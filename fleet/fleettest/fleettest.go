// Package fleettest builds apps for tests from one line of text, so that a table of
// many apps stays readable. It is not for programs: a bad line panics.
package fleettest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/fleet"
)

// ReadAt is when every app was read.
func ReadAt() time.Time { return time.Date(2026, time.August, 3, 10, 0, 0, 0, time.UTC) }

// ID is the UUID of every app.
const ID fleet.ID = "01234567-89ab-4cde-8f01-23456789abcd"

// Unread is why a part is unknown that the line marks with "?".
func Unread() fleet.Reason {
	return fleet.Reason{Kind: fleet.Unavailable, Text: "Heroku did not answer"}
}

// Catalog is what Heroku offers, at its list prices in US dollars and with dyno units.
func Catalog() fleet.Catalog {
	var c fleet.Catalog
	for _, s := range []struct {
		name  string
		price int // dollars; 0: Heroku gives none
		units float64
	}{
		{"eco", 0, 0}, {"basic", 7, 0.28}, {"standard-1x", 25, 1}, {"standard-2x", 50, 2}, {"performance-m", 250, 8}, {"performance-l", 500, 16},
		{"private-s", 0, 4}, {"private-m", 0, 8}, {"shield-s", 0, 5}, {"shield-m", 0, 10}, {"dyno-1c-0.5gb", 0, 0},
	} {
		size := fleet.SizeNamed(s.name)
		if s.price > 0 {
			size.Price = fleet.Known(fleet.Money(s.price) * 100)
		}
		if s.units > 0 {
			size.Units = fleet.Known(s.units)
		}
		c = append(c, size)
	}
	return c
}

// App is the app of a line such as
//
//	standard-1x web=1 worker=2 affinity preboot addon=heroku-postgresql:essential-0
//
// The first word is the dyno size of all process types. The others, in any order:
//
//	TYPE=N           a process type and its quantity, TYPE being web, worker, release …
//	command=TEXT     the web command; + stands for a space
//	affinity preboot the features that are on, for a month
//	affinity=AGE preboot=AGE
//	                 a feature that is on for so long; "affinity=?" is one of unknown age
//	scaler=MIN-MAX   Heroku's autoscaler is on
//	addon=PLAN       an add-on, heroku-postgresql:essential-0; repeats
//	space=KIND       private, shield or fir; "space=private?" is one of unknown kind
//	runtime=TEXT buildpack=NAME stack=NAME team=NAME
//	stage=NAME       a stage of the pipeline storefront; unnamed=NAME is one of a
//	                 pipeline whose name could not be read
//	released=AGE     the latest release was made that long ago; release=pending|failed
//	through=AGE      its release phase ended that long ago
//	crashed=DYNO     web.1 crashed
//	starting=AGE up=AGE
//	                 a web dyno is in that state for so long; repeats
//	maintenance new  maintenance mode; never released
//	PART=?           formation, features, sizes, scaler, addons, release, dynos, buildpacks
//	                 or pipeline could not be read
func App(line string) fleet.App {
	words := strings.Fields(line)
	if len(words) == 0 {
		panic("fleettest: an empty line")
	}
	app := fleet.App{
		ID: ID, Name: "shop", WebURL: "https://shop-0123456789ab.herokuapp.com/", Team: "acme", Region: "eu", Stack: "heroku-24",
		Generation: fleet.Cedar, Runtime: "Ruby", CreatedAt: ReadAt().AddDate(-1, 0, 0), ReleasedAt: ReadAt().AddDate(0, 0, -2), ReadAt: ReadAt(),
		Sizes:      fleet.Known(Catalog()),
		Release:    fleet.Known(fleet.Release{Version: 42, Status: "succeeded", Current: true, CreatedAt: ReadAt().AddDate(0, 0, -2)}),
		Dynos:      fleet.Known([]fleet.Dyno(nil)),
		AddOns:     fleet.Known([]fleet.AddOn(nil)),
		Buildpacks: fleet.Known([]string{"heroku/ruby"}),
		Pipeline:   fleet.Known(fleet.Coupling{}),
		Autoscaler: fleet.Known(fleet.Autoscaler{}),
	}
	b := builder{app: &app, size: words[0], features: map[string]fleet.Feature{fleet.Preboot: {State: "general"}, fleet.SessionAffinity: {State: "general"}}}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		if value == "?" && key != "affinity" && key != "preboot" {
			b.unread(key)
			continue
		}
		b.word(key, value)
	}
	if !b.noFeatures {
		app.Features = fleet.Known(b.features)
	}
	if !b.noFormation {
		for i := range b.formation {
			if b.formation[i].Type == "web" {
				b.formation[i].Command = b.command
			}
		}
		app.Formation = fleet.Known(b.formation)
	}
	return app
}

type builder struct {
	app                     *fleet.App
	size, command           string
	formation               []fleet.Process
	features                map[string]fleet.Feature
	noFeatures, noFormation bool
}

func (b *builder) unread(part string) {
	app := b.app
	switch part {
	case "formation":
		b.noFormation, app.Formation = true, fleet.Unknown[[]fleet.Process](Unread())
	case "features":
		b.noFeatures, app.Features = true, fleet.Unknown[map[string]fleet.Feature](Unread())
	case "sizes":
		app.Sizes = fleet.Unknown[fleet.Catalog](Unread())
	case "scaler":
		app.Autoscaler = fleet.Unknown[fleet.Autoscaler](Unread())
	case "addons":
		app.AddOns = fleet.Unknown[[]fleet.AddOn](Unread())
	case "release":
		app.Release = fleet.Unknown[fleet.Release](Unread())
	case "dynos":
		app.Dynos = fleet.Unknown[[]fleet.Dyno](Unread())
	case "buildpacks":
		app.Buildpacks, app.Runtime = fleet.Unknown[[]string](Unread()), ""
	case "pipeline":
		app.Pipeline = fleet.Unknown[fleet.Coupling](Unread())
	default:
		panic("fleettest: no part is called " + part)
	}
}

func (b *builder) word(key, value string) {
	app := b.app
	switch key {
	case "affinity":
		b.features[fleet.SessionAffinity] = on(value)
	case "preboot":
		b.features[fleet.Preboot] = on(value)
	case "maintenance":
		app.Maintenance = true
	case "new":
		app.ReleasedAt, app.Release = time.Time{}, fleet.Known(fleet.Release{})
	case "command":
		b.command = strings.ReplaceAll(value, "+", " ")
	case "scaler":
		low, high, _ := strings.Cut(value, "-")
		app.Autoscaler = fleet.Known(fleet.Autoscaler{Active: true, Min: atoi(low), Max: atoi(high)})
	case "addon":
		addons, _ := app.AddOns.Get()
		service, _, _ := strings.Cut(value, ":")
		app.AddOns = fleet.Known(append(addons, fleet.AddOn{Service: service, Plan: value, Name: service + "-round-12345"}))
	case "space":
		kind, doubt := strings.CutSuffix(value, "?")
		app.Space = &fleet.Space{Name: "vault", Shield: fleet.Known(kind == "shield")}
		if doubt {
			app.Space.Shield = fleet.Unknown[bool](Unread())
		}
		if kind == "fir" {
			app.Generation = fleet.Fir
		}
	case "runtime":
		app.Runtime = value
	case "buildpack":
		app.Runtime, app.Buildpacks = "", fleet.Known([]string{value})
	case "stack":
		app.Stack, app.Runtime, app.Buildpacks = value, "", fleet.Known([]string(nil))
	case "team":
		app.Team = value
	case "unnamed":
		app.Pipeline = fleet.Known(fleet.Coupling{Pipeline: "fedcba98-7654-4321-8f01-23456789abcd", Name: fleet.Unknown[string](Unread()), Stage: value})
	case "stage":
		app.Pipeline = fleet.Known(fleet.Coupling{Pipeline: "fedcba98-7654-4321-8f01-23456789abcd", Name: fleet.Known("storefront"), Stage: value})
	case "released", "release":
		release, _ := app.Release.Get()
		if age, err := time.ParseDuration(value); err == nil {
			release.CreatedAt = ReadAt().Add(-age)
		} else {
			release.Status = value
		}
		app.Release = fleet.Known(release)
	case "through":
		release, _ := app.Release.Get()
		release.UpdatedAt = ReadAt().Add(-duration(value))
		app.Release = fleet.Known(release)
	case "starting", "up":
		dynos, _ := app.Dynos.Get()
		app.Dynos = fleet.Known(append(dynos, fleet.Dyno{Name: fmt.Sprintf("web.%d", len(dynos)+1), Type: "web", State: key, Size: b.size, Release: 42, Since: ReadAt().Add(-duration(value))}))
	case "crashed":
		dynos, _ := app.Dynos.Get()
		kind, _, _ := strings.Cut(value, ".")
		app.Dynos = fleet.Known(append(dynos, fleet.Dyno{Name: value, Type: kind, State: "crashed", Size: b.size, Release: 42, Since: ReadAt()}))
	default:
		b.formation = append(b.formation, fleet.Process{Type: key, Quantity: atoi(value), Size: b.size})
	}
}

// on is a feature that is on for an age: "" is a month, "?" unknown.
func on(age string) fleet.Feature {
	f := fleet.Feature{Enabled: true, State: "general"}
	switch age {
	case "?":
		f.Since = fleet.Unknown[time.Time](fleet.Reason{Kind: fleet.NotTold, Text: "Heroku does not tell"})
	case "":
		f.Since = fleet.Known(ReadAt().AddDate(0, -1, 0))
	default:
		f.Since = fleet.Known(ReadAt().Add(-duration(age)))
	}
	return f
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("fleettest: %q is no number", s))
	}
	return n
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(fmt.Sprintf("fleettest: %q is no time span", s))
	}
	return d
}
