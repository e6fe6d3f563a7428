package policy

import (
	"cmp"
	"path"
	"regexp"
	"strings"

	"example.com/zdd/fleet"
)

var (
	appName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`)
	uuid    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// For returns the rules of one app: key by key the word of the most specific entry
// of `apps` that sets the key, else that of `requirements`. A UUID is more specific
// than a name, a name than a glob, a glob with more literal characters than one with
// fewer, any glob than a pipeline and a pipeline than a team; of two equals the one
// later in the alphabet wins, because the order of keys means nothing in YAML.
//
// An app whose pipeline could not be read gets the rules of no pipeline.
func (p Policy) For(app fleet.App) Rules {
	r := Rules{
		WebDynos:        p.Requirements.WebDynos,
		SessionAffinity: p.Requirements.SessionAffinity,
		JVMWarmup:       p.Requirements.JVMWarmup,
		Prices:          p.Prices,
		Limits:          p.Limits,
		Rollout:         p.Rollout,
		Policy:          p.Digest(),
	}
	for _, o := range p.Apps { // from wide to narrow
		if !o.matches(app) {
			continue
		}
		if o.WebDynos != nil {
			r.WebDynos = *o.WebDynos
		}
		r.SessionAffinity = cmp.Or(o.SessionAffinity, r.SessionAffinity)
		r.JVMWarmup = cmp.Or(o.JVMWarmup, r.JVMWarmup)
		r.Owner = cmp.Or(o.Owner, r.Owner)
		r.Channel = cmp.Or(o.Channel, r.Channel)
		switch o.Warmup {
		case Attested:
			r.WarmupAttested, r.AttestedBy = true, o.Match
		case Unattested:
			r.WarmupAttested, r.AttestedBy = false, ""
		}
	}
	return r
}

// matches says whether the entry is about the app. Globs match names only.
func (o Override) matches(app fleet.App) bool {
	if team, ok := strings.CutPrefix(o.Match, "team:"); ok {
		return app.Team != "" && strings.EqualFold(app.Team, team)
	}
	if pipeline, ok := strings.CutPrefix(o.Match, "pipeline:"); ok {
		coupling, known := app.Pipeline.Get()
		return known && coupling.Pipeline != "" && (string(coupling.Pipeline) == pipeline || coupling.Name == pipeline)
	}
	switch {
	case uuid.MatchString(o.Match):
		return string(app.ID) == o.Match
	case isGlob(o.Match):
		ok, _ := path.Match(o.Match, app.Name) // Parse refused bad patterns
		return ok
	}
	return app.Name == o.Match
}

// widest orders entries from wide to narrow.
func widest(a, b Override) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Match, b.Match))
}

// rank orders entries from wide to narrow. App names have at most 30 characters, so
// globs stay below names.
func (o Override) rank() int {
	switch {
	case strings.HasPrefix(o.Match, "team:"):
		return 0
	case strings.HasPrefix(o.Match, "pipeline:"):
		return 1
	case uuid.MatchString(o.Match):
		return 1001
	case isGlob(o.Match):
		return 2 + min(literals(o.Match), 900)
	}
	return 1000
}

func isGlob(s string) bool { return strings.ContainsAny(s, "*?[") }

// literals counts the characters of a glob that stand for themselves.
func literals(glob string) int {
	n, inClass := 0, false
	for _, c := range glob {
		switch {
		case c == '[':
			inClass = true
		case c == ']':
			inClass = false
		case c != '*' && c != '?' && !inClass:
			n++
		}
	}
	return n
}
