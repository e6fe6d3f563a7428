package heroku

import (
	"cmp"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// row is one item of a list. A row that leaves out what must be there is not whole: a
// missing quantity must not read as 0, nor a missing name as another feature's.
type row interface{ whole() bool }

// rows reads one page of a list. A row that is null or not whole spoils the page.
func rows[T row](ctx context.Context, c *Client, path string, lr *platform.ListRange) ([]T, error) {
	var page []*T
	if err := c.api.Get(ctx, &page, path, nil, lr); err != nil {
		return nil, err
	}
	if page == nil {
		return nil, errForm
	}
	out := make([]T, 0, len(page))
	for _, row := range page {
		if row == nil || !(*row).whole() {
			return nil, errForm
		}
		out = append(out, *row)
	}
	return out, nil
}

// owner is whose row it is; servers may leave it out.
type owner struct {
	App struct {
		ID string `json:"id"`
	} `json:"app"`
}

type formationRow struct {
	owner
	Type     string `json:"type"`
	Quantity *int   `json:"quantity"`
	Size     string `json:"size"`
	Command  string `json:"command"`
}

func (p formationRow) whole() bool {
	return p.Type != "" && p.Size != "" && p.Quantity != nil && *p.Quantity >= 0
}

func processes(raw []formationRow) []fleet.Process {
	out := make([]fleet.Process, 0, len(raw))
	for _, p := range raw {
		out = append(out, fleet.Process{Type: p.Type, Quantity: *p.Quantity, Size: p.Size, Command: p.Command})
	}
	return out
}

type featureRow struct {
	Name      string    `json:"name"`
	Enabled   *bool     `json:"enabled"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func (f featureRow) whole() bool { return f.Name != "" && f.Enabled != nil }

func features(raw []featureRow) map[string]fleet.Feature {
	out := make(map[string]fleet.Feature, len(raw))
	for _, f := range raw {
		out[f.Name] = fleet.Feature{Enabled: *f.Enabled, State: f.State, Since: f.since()}
	}
	return out
}

// since is the later of the two times: whether a switch makes a row or changes one is in
// no source.
func (f featureRow) since() fleet.Value[time.Time] {
	at := f.UpdatedAt
	if f.CreatedAt.After(at) {
		at = f.CreatedAt
	}
	if at.IsZero() {
		return fleet.Unknown[time.Time](fleet.Reason{Kind: fleet.NotTold, Text: "Heroku does not tell"})
	}
	return fleet.Known(at)
}

type releaseRow struct {
	owner
	ID          fleet.ID  `json:"id"`
	Version     int       `json:"version"`
	Status      string    `json:"status"`
	Description string    `json:"description"`
	Current     bool      `json:"current"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	User        struct {
		Email string `json:"email"`
	} `json:"user"`
}

func (x releaseRow) whole() bool { return x.Version > 0 && x.Status != "" && !x.CreatedAt.IsZero() }

func latest(raw []releaseRow) fleet.Release {
	var newest fleet.Release
	for _, x := range raw { // a server that knows no order=desc answers with them all
		if x.Version > newest.Version {
			newest = x.fleet()
		}
	}
	return newest
}

func (x releaseRow) fleet() fleet.Release {
	return fleet.Release{
		ID: x.ID, Version: x.Version, Status: x.Status, Description: x.Description, By: x.User.Email,
		Current: x.Current, CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt,
	}
}

type dynoRow struct {
	owner
	Name    string `json:"name"`
	Type    string `json:"type"`
	State   string `json:"state"`
	Size    string `json:"size"`
	Release struct {
		Version int `json:"version"`
	} `json:"release"`
	UpdatedAt time.Time `json:"updated_at"`
}

func (d dynoRow) whole() bool { return d.Name != "" && d.Type != "" && d.State != "" }

func dynosOf(raw []dynoRow) []fleet.Dyno {
	out := make([]fleet.Dyno, 0, len(raw))
	for _, d := range raw {
		out = append(out, fleet.Dyno{Name: d.Name, Type: d.Type, State: d.State, Size: d.Size, Release: d.Release.Version, Since: d.UpdatedAt})
	}
	return out
}

type domainRow struct {
	owner
	Hostname string `json:"hostname"`
}

func (d domainRow) whole() bool { return d.Hostname != "" }

type addonRow struct {
	owner
	Service named  `json:"addon_service"`
	Plan    named  `json:"plan"`
	Name    string `json:"name"`
}

// whole wants the service, by which an add-on that scales the app is known.
func (a addonRow) whole() bool { return a.Service.Name != "" }

func addonsOf(raw []addonRow) []fleet.AddOn {
	out := make([]fleet.AddOn, 0, len(raw))
	for _, a := range raw {
		out = append(out, fleet.AddOn{Service: a.Service.Name, Plan: a.Plan.Name, Name: a.Name})
	}
	return out
}

type buildpackRow struct {
	Ordinal   int `json:"ordinal"`
	Buildpack struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	} `json:"buildpack"`
}

func (b buildpackRow) whole() bool { return b.Buildpack.Name+b.Buildpack.URL != "" }

func buildpacksOf(raw []buildpackRow) []string {
	raw = slices.SortedStableFunc(slices.Values(raw), func(a, b buildpackRow) int { return a.Ordinal - b.Ordinal })
	out := make([]string, 0, len(raw))
	for _, b := range raw {
		out = append(out, cmp.Or(b.Buildpack.Name, b.Buildpack.URL))
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
	Joined      *bool      `json:"joined"` // in a team's list only
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

// plainName is what any app is called: wider than what Heroku lets apps be called today
// (Platform API reference, "App"), and nothing that means more than itself in a shell.
var plainName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\z`)

func (a appInfo) check() error {
	if !idShape.MatchString(a.ID) || !plainName.MatchString(a.Name) {
		return errForm
	}
	return nil
}

// fleet is the app with every part that has a call of its own unknown.
func (a appInfo) fleet(readAt time.Time) fleet.App {
	out := fleet.App{
		ID: fleet.ID(a.ID), Name: a.Name, WebURL: value(a.WebURL), Region: a.Region.Name, Stack: a.Stack.Name,
		Generation: generation(fleet.Generation(a.Generation), fleet.Value[[]formationRow]{}), Maintenance: a.Maintenance, Runtime: value(a.Description),
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
func generation(told fleet.Generation, formation fleet.Value[[]formationRow]) fleet.Generation {
	if told == fleet.Fir || told == fleet.Cedar {
		return told
	}
	raw, _ := formation.Get()
	if slices.ContainsFunc(raw, func(p formationRow) bool { return fleet.SizeNamed(p.Size).Tier == fleet.FirDyno }) {
		return fleet.Fir
	}
	return fleet.Cedar
}
