package policy

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a dyno or container may lack the time zones that the file names

	"github.com/goccy/go-yaml/ast"

	"example.com/zdd/fleet"
	"example.com/zdd/schedule"
)

// The ranges of what can be set, each with its reason.
const (
	mostDynos    = 100  // Heroku's own limit of dynos a process type (Dev Center, "Dyno Types")
	mostReserve  = 2250 // an account has 4,500 API calls an hour; with less than half of them a scan does not come through
	mostParallel = 64   // more than that is what Heroku's abuse limits look at

	leastSoak   = time.Minute      // no soak would be no order: visitors need a response with the cookie
	mostSoak    = 24 * time.Hour   // the cookie's own life
	leastSettle = 3 * time.Minute  // a preboot hand-over takes that long at the least (Dev Center, "Preboot")
	mostSettle  = time.Hour        //
	leastPause  = time.Minute      // Heroku's autoscaler takes that long to undo what it does not like
	mostPause   = time.Hour        // ten apps come to half a day, and an approval is for the apps as they are today
	mostWaived  = 366              // days: what holds for longer is a rule, and belongs into the entry of the app
	leastExpiry = 10 * time.Minute // a person has to be found
	mostExpiry  = 7 * 24 * time.Hour
	leastWatch  = 5 * time.Minute // a look costs two API calls an app
	mostWatch   = 24 * time.Hour
	leastKeep   = 30 * 24 * time.Hour // the digest's chart
	mostKeep    = 3650 * 24 * time.Hour
	mostVoices  = 10 // approvals
)

func (r *reader) scope(n ast.Node, key string, s *Scope) {
	glob := func(key string, to *[]string) func(ast.Node, string) {
		return func(n ast.Node, _ string) {
			*to = r.texts(n, key, "globs of app names", func(item ast.Node, g string) bool { return r.isGlob(item, key, g) })
		}
	}
	r.section(n, key, []field{
		{"teams", func(n ast.Node, key string) {
			s.Teams = r.texts(n, key, "team names", func(item ast.Node, t string) bool { return r.isTeam(item, key, t) })
		}},
		{"include", func(n ast.Node, key string) {
			glob(key, &s.Include)(n, key)
			r.notEmpty(n, key, "app")
		}},
		{"exclude", glob(key+".exclude", &s.Exclude)},
		{"stages", func(n ast.Node, key string) {
			s.Stages = r.texts(n, key, "pipeline stages", func(item ast.Node, stage string) bool {
				if slices.Contains(stages(), stage) {
					return true
				}
				r.wrong(lineOf(item), key, "unknown stage %s; %s", quote(stage), instead(stage, stages()))
				return false
			})
			r.notEmpty(n, key, "stage")
		}},
	})
}

// notEmpty refuses a list that would switch the whole scan off without saying so.
func (r *reader) notEmpty(n ast.Node, key, what string) {
	if seq, ok := n.(*ast.SequenceNode); ok && len(seq.Values) == 0 {
		r.wrong(lineOf(n), key, "an empty list would cover no %s at all; leave the key out for the default", what)
	}
}

// notNobody refuses an empty list of readers: it reads as nobody, and no list at all means
// everybody.
func (r *reader) notNobody(n ast.Node, key string) {
	if seq, ok := n.(*ast.SequenceNode); ok && len(seq.Values) == 0 {
		r.wrong(lineOf(n), key, "an empty list would let nobody ask, and can't be told from none, which lets every full member; leave the key out for that, or name somebody")
	}
}

var (
	globText = regexp.MustCompile(`^[a-z0-9*?\[\]^-]{1,60}$`)
	teamName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)
)

func (r *reader) isGlob(n ast.Node, key, g string) bool {
	if _, err := path.Match(g, ""); err != nil || !globText.MatchString(g) {
		r.wrong(lineOf(n), key, "%s can match no app: app names are a–z, 0–9 and -, and * ? [a-z] stand for others", quote(g))
		return false
	}
	return true
}

func (r *reader) isTeam(n ast.Node, key, t string) bool {
	if !teamName.MatchString(t) {
		r.wrong(lineOf(n), key, "%s is no team's name; it is the last part of the team's address in Heroku's dashboard", quote(t))
		return false
	}
	return true
}

func (r *reader) requirements(n ast.Node, key string, q *Requirements) {
	r.section(n, key, []field{
		{"web_dynos", func(n ast.Node, key string) { r.number(n, key, &q.WebDynos, 1, mostDynos) }},
		{"session_affinity", func(n ast.Node, key string) {
			oneOf(r, n, key, &q.SessionAffinity, Required, Optional, Forbidden)
		}},
		{"jvm_warmup", func(n ast.Node, key string) { oneOf(r, n, key, &q.JVMWarmup, WeightAdvice, WeightRequired) }},
	})
}

func (r *reader) apps(n ast.Node, key string, apps *[]Override) {
	for match, entry := range r.entries(n, key) {
		full := join(key, match)
		if !r.isMatch(entry.Key, full, match) {
			continue
		}
		o, before := Override{Match: match}, len(r.mistakes)
		r.section(entry.Value, full, []field{
			{"session_affinity", func(n ast.Node, key string) {
				oneOf(r, n, key, &o.SessionAffinity, Required, Optional, Forbidden)
			}},
			{"web_dynos", func(n ast.Node, key string) {
				v := 0
				r.number(n, key, &v, 1, mostDynos)
				o.WebDynos = &v
			}},
			{"jvm_warmup", func(n ast.Node, key string) { oneOf(r, n, key, &o.JVMWarmup, WeightAdvice, WeightRequired) }},
			{"warmup", func(n ast.Node, key string) { oneOf(r, n, key, &o.Warmup, Attested, Unattested) }},
			{"owner", func(n ast.Node, key string) { r.owner(n, key, &o.Owner) }},
			{"channel", func(n ast.Node, key string) { r.channel(n, key, &o.Channel) }},
			{"probe", func(n ast.Node, key string) { r.probe(n, key, match, &o.Probe) }},
		})
		if o == (Override{Match: match}) {
			if len(r.mistakes) == before {
				r.wrong(lineOf(entry.Key), full, "says nothing about the app; take the entry out, or set one of owner, channel, web_dynos, session_affinity, jvm_warmup, warmup, probe")
			}
			continue
		}
		*apps = append(*apps, o)
	}
	slices.SortFunc(*apps, widest)
}

// isMatch says whether the key of an entry of apps can name an app.
func (r *reader) isMatch(n ast.Node, key, match string) bool {
	if team, ok := strings.CutPrefix(match, "team:"); ok {
		return r.isTeam(n, key, team)
	}
	if pipeline, ok := strings.CutPrefix(match, "pipeline:"); ok {
		if !teamName.MatchString(pipeline) {
			r.wrong(lineOf(n), key, "%s is no pipeline's name or UUID", quote(pipeline))
			return false
		}
		return true
	}
	switch {
	case appName.MatchString(match), uuid.MatchString(match):
		return true
	case isGlob(match):
		return r.isGlob(n, key, match)
	}
	r.wrong(lineOf(n), key, "%s can name no app: write its name (3 to 30 of a–z, 0–9 and -), its UUID, a glob, team:NAME or pipeline:NAME", quote(match))
	return false
}

func (r *reader) approval(n ast.Node, key string, a *Approval) {
	r.section(n, key, []field{
		{"channel", func(n ast.Node, key string) { r.channel(n, key, &a.Channel) }},
		{"expires_after", func(n ast.Node, key string) { r.duration(n, key, &a.ExpiresAfter, leastExpiry, mostExpiry) }},
		{"self_approval", func(n ast.Node, key string) { r.truth(n, key, &a.SelfApproval) }},
		{"quorum", func(n ast.Node, key string) { r.quorum(n, key, a) }},
	})
}

func (r *reader) quorum(n ast.Node, key string, a *Approval) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.wrong(lineOf(n), key, "has to be a list such as [{ above: 500, approvals: 2 }], and is %s", kindOf(n))
		return
	}
	for _, item := range seq.Values {
		q := Quorum{Above: -1}
		before := len(r.mistakes)
		r.section(item, key, []field{
			{"above", func(n ast.Node, key string) { r.money(n, key, &q.Above) }},
			{"approvals", func(n ast.Node, key string) { r.number(n, key, &q.Approvals, 2, mostVoices) }},
		})
		if len(r.mistakes) > before {
			continue
		}
		if q.Above < 0 || q.Approvals == 0 {
			r.wrong(lineOf(item), key, "each entry needs both above (US dollars a month) and approvals (a number)")
			continue
		}
		a.Quorum = append(a.Quorum, q)
	}
	slices.SortStableFunc(a.Quorum, func(a, b Quorum) int { return cmp.Compare(a.Above, b.Above) })
	for i := 1; i < len(a.Quorum); i++ {
		low, high := a.Quorum[i-1], a.Quorum[i]
		if low.Above == high.Above || low.Approvals >= high.Approvals {
			r.wrong(lineOf(n), key, "more money has to need more approvals: above %s it is %d, above %s it is %d", low.Above, low.Approvals, high.Above, high.Approvals)
		}
	}
	delete(r.lines, key+".above") // the keys of a list have no line of their own
	delete(r.lines, key+".approvals")
}

// sizes are the dyno sizes of today (Dev Center, "Dyno Types"), to find the one that was
// meant. A newer one of a tier that is known is taken too.
func sizes() []string {
	names := []string{"eco", "basic", "standard-1x", "standard-2x", "dyno-1c-0.5gb", "dyno-2c-1gb"}
	for _, tier := range []string{"performance", "private", "shield"} {
		for _, size := range []string{"s", "m", "l", "l-ram", "xl", "2xl"} {
			if tier != "performance" || size != "s" {
				names = append(names, tier+"-"+size)
			}
		}
	}
	return names
}

var sizeName = regexp.MustCompile(`^[a-z][a-z0-9.-]{1,40}$`)

func (r *reader) prices(n ast.Node, key string, prices *Prices) {
	for size, entry := range r.entries(n, key) {
		full := join(key, size)
		if !sizeName.MatchString(size) {
			r.wrong(lineOf(entry.Key), full, "%s is no dyno size; sizes are written like standard-1x", quote(size))
			continue
		}
		if fleet.SizeNamed(size).Tier == fleet.OtherTier {
			r.wrong(lineOf(entry.Key), full, "%s is no dyno size that this program knows, so nothing would ever cost that; %s", quote(size), instead(size, sizes()))
			continue
		}
		price := fleet.Money(-1)
		r.money(entry.Value, full, &price)
		if price < 0 {
			continue
		}
		r.lines[full] = lineOf(entry.Key)
		if *prices == nil {
			*prices = Prices{}
		}
		(*prices)[size] = price
	}
}

func (r *reader) nightly(n ast.Node, key string, d *Nightly) {
	r.section(n, key, []field{
		{"channel", func(n ast.Node, key string) { r.channel(n, key, &d.Channel) }},
		{"schedule", func(n ast.Node, key string) {
			s, ok := r.text(n, key, "a cron schedule of five fields, such as \"30 3 * * *\"")
			if !ok {
				return
			}
			if _, err := schedule.Parse(s, time.UTC); err != nil {
				r.wrong(lineOf(n), key, "%s: %v", quote(s), err)
				return
			}
			d.Schedule = s
		}},
		{"post_at", func(n ast.Node, key string) {
			s, ok := r.scalar(n, key, "a time of day as \"HH:MM\"")
			if !ok {
				return
			}
			if _, err := schedule.PostAt(time.Unix(0, 0), s, time.UTC); err != nil {
				r.wrong(lineOf(n), key, "has to be a time of day from \"00:00\" to \"23:59\", and is %s", quote(s))
				return
			}
			d.PostAt = s
		}},
		{"timezone", func(n ast.Node, key string) {
			s, ok := r.text(n, key, "a time zone such as Europe/Berlin")
			if !ok {
				return
			}
			if _, err := time.LoadLocation(s); err != nil || s == "" || s == "Local" {
				r.wrong(lineOf(n), key, "unknown time zone %s; write it as the IANA database does, such as Europe/Berlin or UTC", quote(s))
				return
			}
			d.Timezone = s
		}},
		{"watch_every", func(n ast.Node, key string) { r.durationOrOff(n, key, &d.WatchEvery, leastWatch, mostWatch) }},
		{"keep", func(n ast.Node, key string) { r.duration(n, key, &d.Keep, leastKeep, mostKeep) }},
	})
}
