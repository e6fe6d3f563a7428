// Package plan thinks out what to change on an app, in the only safe order, and what
// that costs; and it names what makes a change risky. It is pure: it reads nothing,
// changes nothing and knows no clock. Package heroku carries steps out.
//
// Invariants: a plan is made of what was read and of nothing guessed, so an unknown
// part makes a refusal; every step says what it saw (From) and the absolute state it
// wants (To), which makes carrying it out twice harmless; no step of any plan takes web
// to 0, or starts a second web dyno before the session affinity that the rules require
// has been on for its soak, whoever turned it on; no step of [Enable] lowers a quantity
// or turns a protection off; an unknown price is never zero.
package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Outcome is what a plan comes to.
type Outcome string

// The outcomes.
const (
	AlreadySo Outcome = "already-so" // nothing to do: the app is as the rules want it
	Ready     Outcome = "ready"      // the steps make it so
	Refused   Outcome = "refused"    // nothing is done; Why says what to do instead
	Yours     Outcome = "yours"      // what Why says is left for a person, after the steps, if there are any
)

// Plan is what to do about one app. It is approved whole and run whole.
type Plan struct {
	App       fleet.ID  `json:"app"`
	Name      string    `json:"name"`
	Options   Options   `json:"options,omitzero"`
	Outcome   Outcome   `json:"outcome"`
	Why       []string  `json:"why,omitempty"`     // sentences for a person; backticks mark code
	WayOut    Options   `json:"way_out,omitzero"`  // of Enable, Refused: the options under which it would not be; zero: none are known
	Instead   Wish      `json:"instead,omitzero"`  // Refused: the safe order to give instead, which Why names too; zero: none is known
	Steps     []Step    `json:"steps,omitempty"`   // in order; none when Refused or AlreadySo
	Cost      Cost      `json:"cost"`              // of the whole app; of a Refused plan what it would have been, where there is one
	Hazards   []Hazard  `json:"hazards,omitempty"` //
	Untouched []string  `json:"untouched,omitempty"`
	Hash      string    `json:"hash"`    // 64 hex digits over what the plan stands on
	ReadAt    time.Time `json:"read_at"` // when the app was read
}

// Options are what a person asked for beyond the rules.
type Options struct {
	Size string `json:"size,omitzero"` // the dyno size to move an Eco or Basic app to, such as standard-1x
}

// Kind is what a step does.
type Kind string

// The kinds, in the only order in which a plan that makes an app safer has them. One
// that takes that back has them the other way round.
const (
	Resize   Kind = "resize"   // all process types at once: Eco and Basic can't be mixed with others
	Affinity Kind = "affinity" // session affinity on or off
	Soak     Kind = "soak"     // wait: visitors need a response to get the affinity cookie
	Scale    Kind = "scale"    // the web quantity
	Settle   Kind = "settle"   // wait: the new dynos are up, and no hand-over holds the formation
	Preboot  Kind = "preboot"  // preboot on or off
)

// Step is one change, or one wait. From and To are in the same terms; those of a wait
// are empty.
type Step struct {
	Kind Kind          `json:"kind"`
	From State         `json:"from,omitzero"`
	To   State         `json:"to,omitzero"`
	Wait time.Duration `json:"wait,omitzero"` // nanoseconds; at least this long
	Web  int           `json:"web,omitzero"`  // Affinity: the web dynos that run at that moment, so that undo knows what it would go back to
	Cost Cost          `json:"cost"`          // of the process types in From and To; zero for the others
}

// State is the part of an app that a step is about. Exactly one of the fields is set.
type State struct {
	Processes []Process `json:"processes,omitempty"` // by type
	Feature   *Feature  `json:"feature,omitempty"`
}

// Process is a process type's size and quantity.
type Process struct {
	Type     string `json:"type"`
	Size     string `json:"size"` // as fleet.Size names it, lower case
	Quantity int    `json:"quantity"`
}

// Feature is a feature's switch.
type Feature struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
}

// Title is what a person calls the feature: "session affinity".
func (f Feature) Title() string {
	switch f.Name {
	case fleet.SessionAffinity:
		return "session affinity"
	case fleet.Preboot:
		return "preboot"
	}
	return Code(f.Name)
}

// Switch is "on" or "off".
func (f Feature) Switch() string { return onOff(f.On) }

// waits says whether the step changes nothing.
func (s Step) waits() bool { return s.Kind == Soak || s.Kind == Settle }

// Equal says whether two states are the same.
func (s State) Equal(other State) bool {
	if (s.Feature == nil) != (other.Feature == nil) || s.Feature != nil && *s.Feature != *other.Feature {
		return false
	}
	return slices.Equal(s.Processes, other.Processes)
}

// Seen is what the app shows now of what the step is about, to hold against From and
// To. It is unknown where that was not read, or a process type is gone. Of a wait it
// is the empty State.
func (s Step) Seen(app fleet.App) fleet.Value[State] {
	switch {
	case s.To.Feature != nil:
		on, known := app.Feature(s.To.Feature.Name)
		if !known {
			return fleet.Unknown[State](app.Features.Why())
		}
		return fleet.Known(State{Feature: &Feature{s.To.Feature.Name, on}})
	case s.To.Processes != nil:
		if !app.Formation.IsKnown() {
			return fleet.Unknown[State](app.Formation.Why())
		}
		var seen State
		now := processes(app)
		for _, want := range s.To.Processes {
			i := slices.IndexFunc(now, func(p Process) bool { return p.Type == want.Type })
			if i < 0 {
				return fleet.Unknown[State](fleet.Reason{Kind: fleet.NotFound, Text: "the app has no process type " + want.Type + " any more"})
			}
			seen.Processes = append(seen.Processes, now[i])
		}
		return fleet.Known(seen)
	}
	return fleet.Known(State{})
}

// String is the step in a few words: web 1 → 2 standard-1x.
func (s Step) String() string {
	switch s.Kind {
	case Resize:
		var moves []string
		for i, to := range s.To.Processes {
			moves = append(moves, fmt.Sprintf("%s %s → %s", to.Type, s.From.Processes[i].Size, to.Size))
		}
		return strings.Join(moves, ", ")
	case Affinity:
		return "session affinity " + s.To.Feature.Switch()
	case Soak:
		return "wait " + policy.Span(s.Wait) + " so that visitors get the affinity cookie"
	case Scale:
		return fmt.Sprintf("web %d → %d %s", s.From.Processes[0].Quantity, s.To.Processes[0].Quantity, s.To.Processes[0].Size)
	case Settle:
		return "wait until the new dynos are up, at least " + policy.Span(s.Wait)
	case Preboot:
		return "preboot " + s.To.Feature.Switch()
	}
	return string(s.Kind)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// processes is the app's formation with sizes as fleet.Size names them (Shield apps
// keep the name that the API prints and takes), by type.
func processes(app fleet.App) []Process {
	formation, _ := app.Formation.Get()
	var out []Process
	for _, p := range formation {
		out = append(out, Process{p.Type, fleet.SizeNamed(p.Size).Name, p.Quantity})
	}
	slices.SortFunc(out, func(a, b Process) int { return strings.Compare(a.Type, b.Type) })
	return out
}

// After is the app as it would read once the steps are carried out. The app given is
// not changed.
func After(app fleet.App, steps ...Step) fleet.App {
	for _, s := range steps {
		if s.To.Feature != nil {
			old, _ := app.Features.Get()
			features := make(map[string]fleet.Feature, len(old)+1)
			maps.Copy(features, old)
			f := features[s.To.Feature.Name]
			if f.Enabled != s.To.Feature.On {
				f.Since = fleet.Value[time.Time]{} // some time from now
			}
			f.Enabled = s.To.Feature.On
			features[s.To.Feature.Name] = f
			app.Features = fleet.Known(features)
		}
		if len(s.To.Processes) > 0 {
			app.Autoscaler = AutoscalerOf(app) // a size that can't have one leaves none behind
			old, _ := app.Formation.Get()
			formation := slices.Clone(old)
			for _, to := range s.To.Processes {
				if i := slices.IndexFunc(formation, func(p fleet.Process) bool { return p.Type == to.Type }); i >= 0 {
					formation[i].Size, formation[i].Quantity = to.Size, to.Quantity
				}
			}
			app.Formation = fleet.Known(formation)
		}
	}
	return app
}
