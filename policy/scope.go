package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"example.com/zdd/fleet"
)

// InScope says whether the scan and the digest cover the app, and why or why not, in
// words for a person. What can't be told counts as in scope and is said: an app that
// nobody looks at is worse than one looked at in vain. Apps in no pipeline have no
// stage; Scope.Stages lists them as None.
func (p Policy) InScope(app fleet.App) (in bool, why string) {
	s := p.Scope
	if !app.ArchivedAt.IsZero() {
		return false, "the app is archived"
	}
	if len(s.Teams) > 0 && !slices.ContainsFunc(s.Teams, func(t string) bool { return strings.EqualFold(t, app.Team) }) {
		if app.Team == "" {
			return false, "it is a personal app, and `scope.teams` lists teams"
		}
		return false, fmt.Sprintf("team %s is not in `scope.teams`", app.Team)
	}
	matches := func(glob string) bool {
		ok, _ := path.Match(glob, app.Name) // Parse refused bad patterns
		return ok
	}
	if !slices.ContainsFunc(s.Include, matches) {
		return false, "its name matches nothing in `scope.include`"
	}
	if i := slices.IndexFunc(s.Exclude, matches); i >= 0 {
		return false, fmt.Sprintf("`%s` in `scope.exclude` matches its name", s.Exclude[i])
	}
	coupling, known := app.Pipeline.Get()
	switch {
	case !known:
		return true, "its pipeline stage could not be read (" + app.Pipeline.Why().Text + "), so it is covered"
	case coupling.Stage == "" && slices.Contains(s.Stages, None):
		return true, "it is in no pipeline, so nothing tells its stage; `none` is in `scope.stages`"
	case coupling.Stage == "":
		return false, "it is in no pipeline, and `none` is not in `scope.stages`"
	case slices.Contains(s.Stages, coupling.Stage):
		return true, fmt.Sprintf("stage %s is in `scope.stages`", coupling.Stage)
	case !slices.Contains(stages(), coupling.Stage):
		return true, fmt.Sprintf("stage %s is not one this program knows, so it is covered", coupling.Stage)
	}
	return false, fmt.Sprintf("stage %s is not in `scope.stages`", coupling.Stage)
}

// stages are the pipeline stages (Platform API reference, "Pipeline Coupling"), and None.
func stages() []string {
	return []string{"test", "review", "development", "staging", "production", None}
}
