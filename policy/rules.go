package policy

import (
	"cmp"
	"path"
	"regexp"
	"slices"
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
// Where the app's pipeline, or its name, could not be read, these are the rules of no
// such pipeline; what an entry for it could change is in Unsure and [Rules.Others].
func (p Policy) For(app fleet.App) Rules {
	r := p.rules(app, "")
	r.Policy = p.Digest()
	for _, o := range p.Apps {
		why, doubtful := o.doubt(app)
		if !doubtful {
			continue
		}
		// One entry by itself is enough: what two would say together, each key by key,
		// one of them says alone.
		other := p.rules(app, o.Match)
		other.Policy = r.Policy
		if !other.asks(r) && !slices.ContainsFunc(r.others, other.asks) {
			r.others = append(r.others, other)
			r.Unsure = why
		}
	}
	return r
}

// rules are those of an app that is in the pipeline of one entry, for all that is known;
// supposed is that entry's Match, or empty.
func (p Policy) rules(app fleet.App, supposed string) Rules {
	r := Rules{
		WebDynos:        p.Requirements.WebDynos,
		SessionAffinity: p.Requirements.SessionAffinity,
		JVMWarmup:       p.Requirements.JVMWarmup,
		Prices:          p.Prices,
		Limits:          p.Limits,
		Rollout:         p.Rollout,
		Probe:           DefaultProbe(),
	}
	for _, o := range p.Apps { // from wide to narrow
		if !o.matches(app) && o.Match != supposed {
			continue
		}
		if o.WebDynos != nil {
			r.WebDynos = *o.WebDynos
		}
		r.SessionAffinity = cmp.Or(o.SessionAffinity, r.SessionAffinity)
		r.JVMWarmup = cmp.Or(o.JVMWarmup, r.JVMWarmup)
		r.Owner = cmp.Or(o.Owner, r.Owner)
		r.Channel = cmp.Or(o.Channel, r.Channel)
		r.Probe = r.Probe.with(o.Probe)
		switch o.Warmup {
		case Attested:
			r.WarmupAttested, r.AttestedBy = true, o.Match
		case Unattested:
			r.WarmupAttested, r.AttestedBy = false, ""
		}
	}
	return r
}

// Others are what the rules may be instead, as long as Unsure says that it could not be
// read which pipeline the app is in; none when it was, or makes no difference to what
// the app has to be. Whoever draws a conclusion from rules has to draw it from each.
func (r Rules) Others() []Rules { return r.others }

// asks says whether the rules ask the same of the app.
func (r Rules) asks(same Rules) bool {
	return r.WebDynos == same.WebDynos && r.SessionAffinity == same.SessionAffinity && r.JVMWarmup == same.JVMWarmup && r.WarmupAttested == same.WarmupAttested
}

// matches says whether the entry is about the app. Globs match names only.
func (o Override) matches(app fleet.App) bool {
	if team, ok := strings.CutPrefix(o.Match, "team:"); ok {
		return app.Team != "" && strings.EqualFold(app.Team, team)
	}
	if pipeline, ok := strings.CutPrefix(o.Match, "pipeline:"); ok {
		coupling, known := app.Pipeline.Get()
		return known && coupling.Pipeline != "" && (string(coupling.Pipeline) == pipeline || coupling.Name.Or("") == pipeline)
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

// doubt says why it can't be told whether the entry is about the app's pipeline.
func (o Override) doubt(app fleet.App) (why fleet.Reason, doubtful bool) {
	pipeline, ok := strings.CutPrefix(o.Match, "pipeline:")
	if !ok {
		return fleet.Reason{}, false
	}
	coupling, known := app.Pipeline.Get()
	switch {
	case !known:
		return app.Pipeline.Why(), true
	case coupling.Pipeline != "" && !coupling.Name.IsKnown() && !uuid.MatchString(pipeline): // no pipeline's name has a UUID's 36 characters
		return coupling.Name.Why(), true
	}
	return fleet.Reason{}, false
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
