package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/fleet"
)

// Line is one setting that is in force.
type Line struct {
	Key    string // full name, such as limits.web_dynos
	Value  string // as it would be written in zdd.yml
	Origin string // "default", or the file and line: zdd.yml:12
}

// Describe lists every setting in force in the order of zdd.yml, set or not.
func (p Policy) Describe() []Line {
	var lines []Line
	add := func(key, value string) {
		origin := "default"
		if n, ok := p.lines[key]; ok {
			origin = fmt.Sprintf("%s:%d", p.file, n)
		}
		lines = append(lines, Line{key, value, origin})
	}
	add("scope.teams", list(p.Scope.Teams))
	add("scope.include", list(p.Scope.Include))
	add("scope.exclude", list(p.Scope.Exclude))
	add("scope.stages", list(p.Scope.Stages))
	add("requirements.web_dynos", strconv.Itoa(p.Requirements.WebDynos))
	add("requirements.session_affinity", string(p.Requirements.SessionAffinity))
	add("requirements.jvm_warmup", string(p.Requirements.JVMWarmup))
	for _, o := range p.Apps {
		key := "apps." + o.Match + "."
		for _, set := range [][2]string{
			{"session_affinity", string(o.SessionAffinity)}, {"web_dynos", count(o.WebDynos)}, {"jvm_warmup", string(o.JVMWarmup)},
			{"warmup", string(o.Warmup)}, {"owner", o.Owner}, {"channel", o.Channel},
		} {
			if set[1] != "" {
				add(key+set[0], set[1])
			}
		}
		for _, set := range o.Probe.set() {
			add(key+"probe."+set[0], set[1])
		}
	}
	add("people.readers", list(p.People.Readers))
	add("people.operators", list(p.People.Operators))
	add("people.approvers", list(p.People.Approvers))
	add("approval.channel", p.Approval.Channel)
	add("approval.expires_after", Span(p.Approval.ExpiresAfter))
	add("approval.self_approval", strconv.FormatBool(p.Approval.SelfApproval))
	var quorum []string
	for _, q := range p.Approval.Quorum {
		quorum = append(quorum, fmt.Sprintf("{above: %s, approvals: %d}", amount(q.Above), q.Approvals))
	}
	add("approval.quorum", list(quorum))
	add("limits.web_dynos", strconv.Itoa(p.Limits.WebDynos))
	add("limits.monthly_increase", amount(p.Limits.MonthlyIncrease))
	for _, size := range slices.Sorted(maps.Keys(p.Prices)) {
		add("prices."+size, amount(p.Prices[size]))
	}
	add("rollout.affinity_soak", Span(p.Rollout.AffinitySoak))
	add("rollout.settle", Span(p.Rollout.Settle))
	add("rollout.pause", Span(p.Rollout.Pause))
	add("waivers.longest", dayText(p.Waivers.Longest))
	add("waivers.approval", string(p.Waivers.Approval))
	add("watch.releases", string(p.Watch.Releases))
	add("watch.lasts", Span(p.Watch.Lasts))
	add("watch.at_once", strconv.Itoa(p.Watch.AtOnce))
	add("watch.per_second", strconv.Itoa(p.Watch.PerSecond))
	add("digest.channel", p.Nightly.Channel)
	add("digest.schedule", p.Nightly.Schedule)
	add("digest.post_at", p.Nightly.PostAt)
	add("digest.timezone", p.Nightly.Timezone)
	add("digest.watch_every", spanOrOff(p.Nightly.WatchEvery))
	add("digest.keep", Span(p.Nightly.Keep))
	add("heroku.reserve", strconv.Itoa(p.Heroku.Reserve))
	add("heroku.parallel", strconv.Itoa(p.Heroku.Parallel))
	return lines
}

// Digest is 64 hex digits that change whenever a setting in force does, and not with
// comments, the order of keys or of lists, or a default that is written out.
func (p Policy) Digest() string {
	for _, list := range []*[]string{
		&p.Scope.Teams, &p.Scope.Include, &p.Scope.Exclude, &p.Scope.Stages,
		&p.People.Readers, &p.People.Operators, &p.People.Approvers,
	} {
		*list = slices.Sorted(slices.Values(*list)) // a copy: p is ours, its slices are not
	}
	h := sha256.New()
	for _, l := range p.Describe() {
		fmt.Fprintf(h, "%q=%q\n", l.Key, l.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Hints are what is allowed and probably not meant, in sentences for whoever runs the
// bot. Backticks mark code.
func (p Policy) Hints() []string {
	var hints []string
	hint := func(format string, args ...any) { hints = append(hints, fmt.Sprintf(format, args...)) }
	for _, key := range p.literals {
		hint("`%s` holds `${`: environment variables are not expanded in the policy, the text is taken as it stands", key)
	}
	if len(p.People.Operators) == 0 {
		hint("`people.operators` is empty: nobody can ask for a change")
	}
	if len(p.People.Approvers) == 0 && !p.Approval.SelfApproval {
		hint("`people.approvers` is empty: nobody can approve what costs money")
	}
	groups := slices.ContainsFunc(p.People.Approvers, func(id string) bool { return strings.HasPrefix(id, "S") })
	for _, q := range p.Approval.Quorum {
		if n := len(p.People.Approvers); n > 0 && !groups && n < q.Approvals {
			hint("`approval.quorum` wants %d approvals above %s, and `people.approvers` names %d: that many can never be had", q.Approvals, q.Above, n)
		}
	}
	if p.Approval.SelfApproval {
		hint("`approval.self_approval` is on: one person alone can spend money")
	}
	if p.Approval.Channel == "" {
		hint("`approval.channel` is not set: each approver is asked in a direct message, and changes are told nowhere else")
	}
	if p.Nightly.Channel == "" {
		hint("`digest.channel` is not set: no nightly digest is posted")
	}
	if p.Watch.Releases != WatchNone && p.Nightly.Channel == "" {
		hint("`watch.releases` is on and `digest.channel` is not set: what a watch of an app without a `channel` of its own finds is told nowhere")
	}
	if _, priced := p.Prices["eco"]; priced {
		hint("`prices.eco` is taken for each Eco dyno, and Heroku bills one flat subscription for all of an account's: leave it out, or costs of Eco apps come out too high")
	}
	return hints
}

// list prints values as a YAML list on one line. Values that could be read as
// something else, such as *, are quoted.
func list(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v
		if !strings.HasPrefix(v, "{") && strings.IndexFunc(v, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
		}) >= 0 {
			out[i] = strconv.Quote(v)
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// amount prints dollars as the policy writes them: 21.50, or 500.
func amount(m fleet.Money) string {
	if m%100 == 0 {
		return strconv.FormatInt(int64(m)/100, 10)
	}
	return fmt.Sprintf("%d.%02d", m/100, m%100)
}

// Span prints a duration as the policy writes it, without its empty parts: 365d, 24h,
// 10m, 1h30m, 90s.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	if d > day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	if t, ok := strings.CutSuffix(s, "m0s"); ok {
		s = t + "m"
	}
	if t, ok := strings.CutSuffix(s, "h0m"); ok {
		s = t + "h"
	}
	return s
}

// dayText is a number of whole days: 1d, where Span says 24h.
func dayText(d time.Duration) string { return strconv.Itoa(int(d/(24*time.Hour))) + "d" }

// spanOrOff is Span of what may be switched off.
func spanOrOff(d time.Duration) string {
	if d == 0 {
		return "off"
	}
	return Span(d)
}

func count(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}
