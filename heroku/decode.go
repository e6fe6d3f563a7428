package heroku

import (
	"encoding/json"
	"slices"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

func processes(raw []platform.Formation) []fleet.Process {
	out := make([]fleet.Process, 0, len(raw))
	for _, p := range raw {
		out = append(out, fleet.Process{Type: p.Type, Quantity: p.Quantity, Size: p.Size, Command: p.Command})
	}
	return out
}

func features(raw []platform.AppFeature) map[string]fleet.Feature {
	out := make(map[string]fleet.Feature, len(raw))
	for _, f := range raw {
		out[f.Name] = fleet.Feature{Enabled: f.Enabled, State: f.State}
	}
	return out
}

func latest(raw []platform.Release) fleet.Release {
	var newest fleet.Release
	for _, x := range raw { // a server that knows no order=desc answers with them all
		if x.Version > newest.Version {
			newest = fleet.Release{ID: fleet.ID(x.ID), Version: x.Version, Status: x.Status, Description: x.Description, Current: x.Current, CreatedAt: x.CreatedAt}
		}
	}
	return newest
}

func dynosOf(raw []platform.Dyno) []fleet.Dyno {
	out := make([]fleet.Dyno, 0, len(raw))
	for _, d := range raw {
		out = append(out, fleet.Dyno{Name: d.Name, Type: d.Type, State: d.State, Size: d.Size, Release: d.Release.Version, Since: d.UpdatedAt})
	}
	return out
}

func addonsOf(raw []platform.AddOn) []fleet.AddOn {
	out := make([]fleet.AddOn, 0, len(raw))
	for _, a := range raw {
		out = append(out, fleet.AddOn{Service: a.AddonService.Name, Plan: a.Plan.Name, Name: a.Name})
	}
	return out
}

func buildpacksOf(raw []platform.BuildpackInstallation) []string {
	raw = slices.SortedStableFunc(slices.Values(raw), func(a, b platform.BuildpackInstallation) int { return a.Ordinal - b.Ordinal })
	out := make([]string, 0, len(raw))
	for _, b := range raw {
		name := b.Buildpack.Name
		if name == "" {
			name = b.Buildpack.URL
		}
		out = append(out, name)
	}
	return out
}

// appInfo is an app as /apps/:app and the lists tell it. heroku-go's has no
// generation, and can't tell a shield that is false from one that is left out.
type appInfo struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	WebURL      *string    `json:"web_url"`
	Team        *named     `json:"team"`
	Org         *named     `json:"organization"` // the team's older name
	Region      named      `json:"region"`
	Stack       named      `json:"stack"`
	Generation  looseName  `json:"generation"`
	Space       *spaceInfo `json:"space"`
	Maintenance bool       `json:"maintenance"`
	Description *string    `json:"buildpack_provided_description"`
	CreatedAt   time.Time  `json:"created_at"`
	ReleasedAt  *time.Time `json:"released_at"`
	ArchivedAt  *time.Time `json:"archived_at"`
}

type named struct {
	Name string `json:"name"`
}

type spaceInfo struct {
	Name   string `json:"name"`
	Shield *bool  `json:"shield"`
}

// looseName reads a name that the API gives as text in one version and as an object
// with a name in another. What is neither reads as empty.
type looseName string

func (n *looseName) UnmarshalJSON(data []byte) error {
	var text string
	var object named
	switch {
	case json.Unmarshal(data, &text) == nil:
		*n = looseName(text)
	case json.Unmarshal(data, &object) == nil:
		*n = looseName(object.Name)
	}
	return nil
}

func (a appInfo) check() error {
	if !idShape.MatchString(a.ID) || a.Name == "" {
		return errForm
	}
	return nil
}

// fleet is the app with every part that has a call of its own unknown.
func (a appInfo) fleet(readAt time.Time) fleet.App {
	out := fleet.App{
		ID: fleet.ID(a.ID), Name: a.Name, WebURL: value(a.WebURL), Region: a.Region.Name, Stack: a.Stack.Name,
		Generation: generation(fleet.Generation(a.Generation), fleet.Value[[]platform.Formation]{}), Maintenance: a.Maintenance, Runtime: value(a.Description),
		CreatedAt: a.CreatedAt, ReleasedAt: value(a.ReleasedAt), ArchivedAt: value(a.ArchivedAt), ReadAt: readAt,
	}
	switch {
	case a.Team != nil:
		out.Team = a.Team.Name
	case a.Org != nil:
		out.Team = a.Org.Name
	}
	if a.Space != nil {
		out.Space = &fleet.Space{Name: a.Space.Name, Shield: fleet.Unknown[bool](fleet.Reason{Kind: fleet.NotTold, Text: "Heroku's list of apps does not tell whether the space is a Shield Space"})}
		if a.Space.Shield != nil {
			out.Space.Shield = fleet.Known(*a.Space.Shield)
		}
	}
	return out
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// generation is what the API told, or else what the names of the dyno sizes tell:
// only Fir's are called dyno-1c-0.5gb and the like (Dev Center, "Generations").
func generation(told fleet.Generation, formation fleet.Value[[]platform.Formation]) fleet.Generation {
	if told == fleet.Fir || told == fleet.Cedar {
		return told
	}
	raw, _ := formation.Get()
	if slices.ContainsFunc(raw, func(p platform.Formation) bool { return fleet.SizeNamed(p.Size).Tier == fleet.FirDyno }) {
		return fleet.Fir
	}
	return fleet.Cedar
}
