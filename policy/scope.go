package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"example.com/zdd/fleet"
)

// Covering says whether the scan and the digest cover an app, and why or why not.
type Covering struct {
	In  bool
	Out string // where it is not In: the reason in a word or two, to count by; a stage is its own
	Why string // in words for a person
}

// InScope says whether the scan and the digest cover the app. What can't be told counts
// as in scope and is said: an app that nobody looks at is worse than one looked at in
// vain. Apps in no pipeline have no stage; Scope.Stages lists them as None.
func (p Policy) InScope(app fleet.App) Covering {
	s := p.Scope
	in := func(format string, args ...any) Covering {
		return Covering{In: true, Why: fmt.Sprintf(format, args...)}
	}
	out := func(word, format string, args ...any) Covering {
		return Covering{Out: word, Why: fmt.Sprintf(format, args...)}
	}
	if !app.ArchivedAt.IsZero() {
		return out("archived", "the app is archived")
	}
	if len(s.Teams) > 0 && !slices.ContainsFunc(s.Teams, func(t string) bool { return strings.EqualFold(t, app.Team) }) {
		if app.Team == "" {
			return out("personal", "it is a personal app, and `scope.teams` lists teams")
		}
		return out("other team", "team %s is not in `scope.teams`", app.Team)
	}
	matches := func(glob string) bool {
		ok, _ := path.Match(glob, app.Name) // Parse refused bad patterns
		return ok
	}
	if !slices.ContainsFunc(s.Include, matches) {
		return out("not included", "its name matches nothing in `scope.include`")
	}
	if i := slices.IndexFunc(s.Exclude, matches); i >= 0 {
		return out("excluded", "`%s` in `scope.exclude` matches its name", s.Exclude[i])
	}
	coupling, known := app.Pipeline.Get()
	switch {
	case !known:
		return in("its pipeline stage could not be read (%s), so it is covered", app.Pipeline.Why().Text)
	case coupling.Stage == "" && slices.Contains(s.Stages, None):
		return in("it is in no pipeline, so nothing tells its stage; `none` is in `scope.stages`")
	case coupling.Stage == "":
		return out("no pipeline", "it is in no pipeline, and `none` is not in `scope.stages`")
	case slices.Contains(s.Stages, coupling.Stage):
		return in("stage %s is in `scope.stages`", coupling.Stage)
	case !slices.Contains(stages(), coupling.Stage):
		return in("stage %s is not one this program knows, so it is covered", coupling.Stage)
	}
	return out(coupling.Stage, "stage %s is not in `scope.stages`", coupling.Stage)
}

// stages are the pipeline stages (Platform API reference, "Pipeline Coupling"), and None.
func stages() []string {
	return []string{"test", "review", "development", "staging", "production", None}
}
