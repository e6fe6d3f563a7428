package heroku

import (
	"net/http"
	"slices"
	"strings"
)

// tier says which rules a dyno size follows.
type tier string

const (
	tierEco         tier = "eco"
	tierBasic       tier = "basic"
	tierStandard    tier = "standard"
	tierPerformance tier = "performance"
	tierPrivate     tier = "private"
	tierShield      tier = "shield"
	tierFir         tier = "fir"
)

// dynoSize is one row of GET /dyno-sizes.
type dynoSize struct {
	name    string
	tier    tier
	compute float64 // minimum vCPU shares; not always whole
	memory  float64 // GB
	units   float64 // precise_dyno_units, for Enterprise customers
	cents   int     // what the API tells a month; see cost
}

func (d dynoSize) spaceOnly() bool {
	return d.tier == tierPrivate || d.tier == tierShield || d.tier == tierFir
}
func (d dynoSize) dedicated() bool { return d.spaceOnly() || d.tier == tierPerformance }
func (d dynoSize) canAutoscale() bool {
	return d.tier == tierPerformance || d.tier == tierPrivate || d.tier == tierShield
}

// perType is how many dynos of one process type may run. Eco and Basic: Dev
// Center, "Dyno Types"; the others: the cap of 100 dynos per app that Heroku
// raises on request, and 10 for Performance.
func (d dynoSize) perType() int {
	switch d.tier {
	case tierEco, tierBasic:
		return 1
	case tierPerformance:
		return 10
	}
	return 100
}

// dynoSizes is the list that the API gives. The compute of Eco is fractional,
// as one of Heroku's own is: heroku-go v5.5.0 cannot decode such a list.
func dynoSizes() []dynoSize {
	return []dynoSize{
		{"Eco", tierEco, 0.5, 0.5, 0, 0}, // the flat $5 an account is not in the list
		{"Basic", tierBasic, 1, 0.5, 0.28, 700},
		{"Standard-1X", tierStandard, 1, 0.5, 1, 2500},
		{"Standard-2X", tierStandard, 2, 1, 2, 5000},
		{"Performance-M", tierPerformance, 11, 2.5, 8, 25000},
		{"Performance-L", tierPerformance, 46, 14, 16, 50000},
		{"Performance-L-RAM", tierPerformance, 24, 30, 16, 50000},
		{"Performance-XL", tierPerformance, 50, 62, 24, 75000},
		{"Performance-2XL", tierPerformance, 100, 126, 48, 150000},
		{"Private-S", tierPrivate, 2, 1, 5, 0},
		{"Private-M", tierPrivate, 14, 2.5, 10, 0},
		{"Private-L", tierPrivate, 52, 14, 20, 0},
		{"Private-L-RAM", tierPrivate, 24, 30, 20, 0},
		{"Private-XL", tierPrivate, 50, 62, 28, 0},
		{"Private-2XL", tierPrivate, 100, 126, 56, 0},
		{"Shield-S", tierShield, 2, 1, 6, 0},
		{"Shield-M", tierShield, 14, 2.5, 12, 0},
		{"Shield-L", tierShield, 52, 14, 24, 0},
		{"Shield-L-RAM", tierShield, 24, 30, 24, 0},
		{"Shield-XL", tierShield, 50, 62, 34, 0},
		{"Shield-2XL", tierShield, 100, 126, 68, 0},
		{"dyno-1c-0.5gb", tierFir, 1, 0.5, 1, 0},
		{"dyno-2c-1gb", tierFir, 2, 1, 2, 0},
		{"dyno-1c-4gb", tierFir, 1, 4, 3, 0},
		{"dyno-2c-8gb", tierFir, 2, 8, 6, 0},
		{"dyno-4c-16gb", tierFir, 4, 16, 12, 0},
		{"dyno-8c-32gb", tierFir, 8, 32, 24, 0},
	}
}

// sizeNamed finds a size by its name in any case, as the API does (the CLI
// sends "standard-2x", the API answers "Standard-2X").
func sizeNamed(name string) (dynoSize, bool) {
	all := dynoSizes()
	i := slices.IndexFunc(all, func(d dynoSize) bool { return strings.EqualFold(d.name, name) })
	if i < 0 {
		return dynoSize{}, false
	}
	return all[i], true
}

// sizeFor finds the size that an app may run, as the API stores it: apps in a
// Shield space report their sizes as Private-*.
func sizeFor(a *app, name string) (dynoSize, *apiError) {
	allowed := func(d dynoSize) bool {
		switch {
		case a.space == nil:
			return !d.spaceOnly()
		case a.space.fir:
			return d.tier == tierFir
		case a.space.shield:
			return d.tier == tierPrivate || d.tier == tierShield
		}
		return d.tier == tierPrivate
	}
	d, ok := sizeNamed(name)
	if !ok || !allowed(d) {
		var names []string
		for _, x := range dynoSizes() {
			if allowed(x) && x.tier != tierShield {
				names = append(names, x.name)
			}
		}
		last := len(names) - 1
		// The sentence: daemonsy/hubot-heroku#17 quotes the API with it.
		return dynoSize{}, refuse(http.StatusUnprocessableEntity, "invalid_params",
			"No such size as %s. Available dyno sizes are %s and %s.", name, strings.Join(names[:last], ", "), names[last])
	}
	if d.tier == tierShield {
		return sizeFor(a, strings.Replace(d.name, "Shield-", "Private-", 1))
	}
	return d, nil
}
