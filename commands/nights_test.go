package commands_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/internal/golden"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// heroku answers for one app.
type heroku struct {
	app      fleet.App
	problem  fleet.Kind // of every app but that one
	releases []fleet.Release
}

func (h heroku) ReadApp(_ context.Context, ref fleet.Ref) (fleet.App, error) {
	if ref.String() == h.app.Name || ref.String() == string(h.app.ID) {
		return h.app, nil
	}
	return fleet.App{}, &fleet.Problem{Kind: h.problem, App: ref.String()}
}

func (h heroku) ReadNames(context.Context) ([]string, error) { return []string{h.app.Name}, nil }

func (h heroku) ReadReleases(context.Context, fleet.ID, time.Time, time.Time) ([]fleet.Release, error) {
	if h.releases == nil {
		return nil, errors.New("boom")
	}
	return h.releases, nil
}

// kept is a database of nights and a ledger.
type kept struct {
	nights    []audit.Night // the newest first
	digest    *audit.Digest
	standings []audit.Standing
	turns     []audit.Turn
	entries   []ledger.Entry // the newest first
}

func (k kept) Nights(context.Context, time.Time, int) ([]audit.Night, error) { return k.nights, nil }

func (k kept) Night(_ context.Context, id string) (audit.Night, error) {
	for _, n := range k.nights {
		if n.ID == id {
			n.Digest = k.digest
			return n, nil
		}
	}
	return audit.Night{}, audit.ErrNoNight
}

func (k kept) Standings(context.Context) iter.Seq2[audit.Standing, error] {
	return func(yield func(audit.Standing, error) bool) {
		for _, s := range k.standings {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (k kept) Standing(_ context.Context, app fleet.ID) (audit.Standing, bool, error) {
	i := slices.IndexFunc(k.standings, func(s audit.Standing) bool { return s.App == app })
	if i < 0 {
		return audit.Standing{}, false, nil
	}
	return k.standings[i], true, nil
}

func (k kept) Turns(_ context.Context, app fleet.ID, limit int) ([]audit.Turn, error) {
	var found []audit.Turn
	for _, t := range k.turns {
		if t.App == app && len(found) < limit {
			found = append(found, t)
		}
	}
	return found, nil
}

func (k kept) LedgerOf(_ context.Context, app string, before int64, limit int) ([]ledger.Entry, error) {
	var found []ledger.Entry
	for _, e := range k.entries {
		if (app == "" || e.App == app) && (before == 0 || e.Seq < before) && len(found) < limit {
			found = append(found, e)
		}
	}
	return found, nil
}

type fixed struct{ p policy.Policy }

func (f fixed) Policy() policy.Policy { return f.p }

func policyOf(t *testing.T, yaml string) fixed {
	t.Helper()
	p, err := policy.Parse("zdd.yml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return fixed{p}
}

// noon is when people ask: Sunday 22 November 2026.
func noon(t *testing.T) time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, berlin(t)) }

// said is what a command answers at noon, refused or not.
func said(t *testing.T, deps commands.Deps, line string) commands.Reply {
	t.Helper()
	reply, err := commands.New(deps).Run(t.Context(), line, commands.Request{By: commands.Person{ID: "U1", Kind: commands.Member}, Via: commands.Slash, Now: noon(t)})
	if refusal, ok := errors.AsType[*commands.Refusal](err); ok {
		return refusal.Reply
	}
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

const berlinPolicy = "digest: { channel: C0OPS, timezone: Europe/Berlin }"

// read is a morning's read of the fleet: 03:30 and so many minutes, n days before the 22nd.
func read(t *testing.T, days, minutes int) time.Time {
	return time.Date(2026, 11, 22-days, 3, 30+minutes, 0, 0, berlin(t))
}

func TestHistory(t *testing.T) {
	shop := fleet.App{ID: appID(1), Name: "shop"}
	turn := func(check string, from, to audit.Outcome, days int) audit.Turn {
		return audit.Turn{App: appID(1), Name: "shop", Check: check, From: from, To: to, Required: true, Evidence: prebootOff, After: read(t, days+1, 1), Before: read(t, days, 2)}
	}
	entry := func(seq int64, at time.Time, verb string) ledger.Entry {
		return ledger.Entry{Seq: seq, At: at, Actor: "U0REQUESTER", Verb: verb, App: string(appID(1)), Name: "shop", Detail: []byte(`{"wish":"enable shop"}`)}
	}
	first := turn("web-dynos", "", audit.Fail, 10)
	first.After = time.Time{}
	renamed := turn("preboot", audit.Fail, audit.Pass, 5)
	renamed.Name, renamed.Evidence = "bazaar", "Preboot is on"
	state := kept{
		turns:   []audit.Turn{turn("preboot", audit.Pass, audit.Fail, 1), renamed, first},
		entries: []ledger.Entry{entry(12, noon(t).Add(-time.Hour), ledger.Asked), entry(9, read(t, 4, 0), ledger.Asked)},
		standings: []audit.Standing{
			{App: appID(7), Name: "old-shop", ReadAt: read(t, 300, 0)},
			{App: appID(1), Name: "old-shop", ReadAt: read(t, 9, 0), Gone: read(t, 8, 0)},
		},
	}
	between := read(t, 2, 1).Add(time.Hour)
	releases := []fleet.Release{
		{Version: 40, Description: "Disable preboot", By: "dana@acme.example", CreatedAt: read(t, 9, 0)},
		{Version: 41, Description: "Deploy preboot", By: "erin@acme.example", CreatedAt: between},
		{Version: 42, Description: "Disable preboot <!channel>", By: "dana@acme.example", CreatedAt: between},
	}
	watched := func(seq int64, verb, actor, detail string) ledger.Entry {
		return ledger.Entry{Seq: seq, At: noon(t).Add(time.Duration(seq) * time.Minute), Actor: actor, Verb: verb, App: string(appID(1)), Name: "shop", Ticket: "D-3", Detail: []byte(detail)}
	}
	watches := kept{entries: []ledger.Entry{
		watched(6, ledger.WatchVerdict, ledger.Bot, `{"verdict":"proved","release":118}`), watched(5, ledger.WatchVerdict, ledger.Bot, `{"verdict":"failed","release":117}`),
		watched(4, ledger.WatchVerdict, ledger.Bot, `{"verdict":"inconclusive","release":116}`), watched(3, ledger.WatchVerdict, ledger.Bot, `{"verdict":"inconclusive"}`),
		watched(2, ledger.WatchAsked, ledger.Bot, `{}`), watched(1, ledger.WatchAsked, "U0REQUESTER", `{}`),
	}}
	for name, tt := range map[string]struct {
		line   string
		heroku heroku
		kept   kept
	}{
		"history-watches":      {line: "history shop", heroku: heroku{app: shop}, kept: watches},
		"history-merged":       {line: "history shop", heroku: heroku{app: shop, releases: releases}, kept: state},
		"history-unnamed":      {line: "history shop", heroku: heroku{app: shop}, kept: state},
		"history-deleted":      {line: "history old-shop", heroku: heroku{app: fleet.App{ID: appID(5), Name: "other"}, problem: fleet.NotFound}, kept: state},
		"history-heroku-away":  {line: "history old-shop", heroku: heroku{problem: fleet.Unavailable}, kept: state},
		"history-never-heard":  {line: "history nothing", heroku: heroku{app: shop, problem: fleet.NotFound}, kept: state},
		"history-by-uuid":      {line: "history " + string(appID(7)), heroku: heroku{problem: fleet.NotFound}, kept: state},
		"history-wrong-cursor": {line: "history shop before=yesterday", heroku: heroku{app: shop}, kept: state},
	} {
		t.Run(name, func(t *testing.T) {
			deps := commands.Deps{Apps: tt.heroku, Releases: tt.heroku, Policies: policyOf(t, berlinPolicy), Nights: tt.kept, Ledger: tt.kept}
			golden.Check(t, "testdata/"+name+".golden", printed(t, said(t, deps, tt.line)))
		})
	}
}

// Pages of history hold everything once, whatever happened at one moment.
func TestHistoryPages(t *testing.T) {
	const app = "shop"
	var state kept
	for i := range 100 {
		at := noon(t).Add(-time.Duration(i/3) * time.Hour)
		if i%2 == 0 {
			state.turns = append(state.turns, audit.Turn{App: appID(1), Name: app, Check: "preboot", From: audit.Pass, To: audit.Fail, After: at.Add(-time.Hour), Before: at, Evidence: fmt.Sprintf("turn %d", i)})
		} else {
			state.entries = append(state.entries, ledger.Entry{Seq: int64(1000 - i), At: at, Actor: "U1", Verb: ledger.Asked, App: string(appID(1)), Detail: fmt.Appendf(nil, `{"wish":"wish %d"}`, i)})
		}
	}
	deps := commands.Deps{Apps: heroku{app: fleet.App{ID: appID(1), Name: app}}, Policies: policyOf(t, ""), Nights: state, Ledger: state}
	for name, first := range map[string]string{"from now": "history shop", "from an entry": "history shop before=1000"} {
		seen := map[string]int{}
		line := first
		for pages := 0; line != ""; pages++ {
			if pages > 20 {
				t.Fatal("there is no end to it")
			}
			reply := said(t, deps, line)
			line = ""
			for _, part := range reply.Parts {
				switch p := part.(type) {
				case commands.List:
					for _, i := range p.Items {
						seen[i.Text.String()]++
					}
				case commands.Buttons:
					line = p.Row[0].Run
				}
			}
		}
		if len(seen) != 100 {
			t.Errorf("%s: %d things are told, want 100", name, len(seen))
		}
		for text, n := range seen {
			if n != 1 {
				t.Errorf("%s: told %d times: %s", name, n, text)
			}
		}
	}
}

// A release is named only where its description names the change.
func TestReleaseNamesTheChange(t *testing.T) {
	for _, tt := range []struct {
		description, check string
		want               bool
	}{
		{"Enable preboot", "preboot", true},
		{"Preboot disabled", "preboot", true},
		{"Disable preboot feature", "session-affinity", false},
		{"Enable http-session-affinity", "session-affinity", true},
		{"Turned session affinity off", "session-affinity", true},
		{"session store: less affinity", "session-affinity", false},
		{"Scale web=1", "web-dynos", true},
		{"Scaled web dynos to 1", "web-dynos", true},
		{"Scale worker=1", "web-dynos", false},
		{"Scale webhooks=1", "web-dynos", false},
		{"Web console", "web-dynos", false},
		{"Resize web dynos to basic", "dyno-tier", true},
		{"Change dyno type", "dyno-tier", true},
		{"Set buildpack heroku/java", "jvm-warmup", true},
		{"Set PREBOOT config vars", "preboot", false},
		{"Set WEB_CONCURRENCY config vars", "web-dynos", false},
		{"Deploy preboot", "preboot", false},
		{"Deploy 1a2b3c4d", "preboot", false},
		{"Promote preboot v12 1a2b3c4d", "preboot", false},
		{"Rollback to v3", "web-dynos", false},
		{"Attach PREBOOT (@ref:postgresql)", "preboot", false},
		{"Update PREBOOT by heroku-postgresql", "preboot", false},
		{"", "preboot", false},
	} {
		h := heroku{app: fleet.App{ID: appID(1), Name: "shop"}, releases: []fleet.Release{{Version: 3, Description: tt.description, By: "dana@acme.example", CreatedAt: read(t, 1, 30)}}}
		state := kept{turns: []audit.Turn{{App: appID(1), Check: tt.check, From: audit.Pass, To: audit.Fail, After: read(t, 1, 0), Before: read(t, 0, 0)}}}
		reply := said(t, commands.Deps{Apps: h, Releases: h, Policies: policyOf(t, ""), Nights: state}, "history shop")
		if got := strings.Contains(printed(t, reply), "dana@acme.example"); got != tt.want {
			t.Errorf("%q for %s: named %t, want %t", tt.description, tt.check, got, tt.want)
		}
	}
}

func TestGlance(t *testing.T) {
	counts := audit.Counts{Ready: 181, NotReady: 24, Unknown: 2, NotApplicable: 12, Increase: 1225_00, Unpriced: 3}
	night := func(finished time.Time) audit.Night {
		return audit.Night{
			ID: "2026-11-22", State: audit.Told, Started: finished.Add(-7 * time.Minute), Finished: finished, Counts: counts,
			Coverage: audit.Coverage{Seen: 250, InScope: 219, Judged: 217, Out: map[string]int{"review": 31}, Unread: map[string]int{"two-factor": 2}},
		}
	}
	weekly := func(n audit.Night) audit.Night { // the next one is a week later
		n.Slot = n.Started
		n.Next = n.Slot.AddDate(0, 0, 7)
		return n
	}
	standing := func(n int, name string, checks ...string) audit.Standing {
		s := audit.Standing{App: appID(n), Name: name, Verdict: audit.VerdictNotReady, Increase: fleet.Known[fleet.Money](25_00), ReadAt: read(t, 0, 2)}
		for _, c := range checks {
			s.Marks = append(s.Marks, audit.Mark{Check: c, Outcome: audit.Fail, Required: true, Evidence: prebootOff, Since: read(t, n, 1)})
		}
		return s
	}
	standings := []audit.Standing{standing(1, "billing", "preboot"), standing(9, "shop", "session-affinity", "web-dynos", "preboot"), standing(0, "blog", "preboot"), {App: appID(4), Name: "fine", Verdict: audit.VerdictReady}}
	gone := standing(3, "gone", "web-dynos", "preboot")
	gone.Gone = read(t, 2, 0)
	standings = append(standings, gone)
	for i := range 40 {
		standings = append(standings, standing(1, fmt.Sprintf("z-%02d", i), "preboot"))
	}
	next := func(time.Time) time.Time { return read(t, -1, 0) }
	digest := ordinary(t)
	for name, tt := range map[string]struct {
		kept   kept
		policy string
		next   func(time.Time) time.Time
	}{
		"status-fleet":        {kept: kept{nights: []audit.Night{night(read(t, 0, 7))}, standings: standings, digest: &digest}, policy: berlinPolicy, next: next},
		"status-stale":        {kept: kept{nights: []audit.Night{night(read(t, 2, 7))}, standings: standings}, policy: berlinPolicy, next: next},
		"status-weekly":       {kept: kept{nights: []audit.Night{weekly(night(read(t, 2, 7)))}}, policy: berlinPolicy, next: next},
		"status-digest-off":   {kept: kept{nights: []audit.Night{night(read(t, 0, 7))}}, policy: "digest: { timezone: Europe/Berlin }", next: next},
		"status-before-first": {policy: berlinPolicy, next: next},
		"status-first-under-way": {
			kept: kept{nights: []audit.Night{{ID: "2026-11-22", State: audit.Scanning, Started: noon(t).Add(-time.Minute)}}}, policy: berlinPolicy, next: next,
		},
		"status-under-way": {
			kept:   kept{nights: []audit.Night{{ID: "2026-11-22#2", State: audit.Scanning, Started: noon(t).Add(-time.Minute)}, night(read(t, 0, 7))}},
			policy: berlinPolicy,
		},
	} {
		t.Run(name, func(t *testing.T) {
			deps := commands.Deps{Apps: heroku{}, Policies: policyOf(t, tt.policy), Nights: tt.kept, NextNight: tt.next}
			golden.Check(t, "testdata/"+name+".golden", printed(t, said(t, deps, "status")))
		})
	}
}

// started remembers what was asked for.
type started struct {
	want   []audit.Want
	before bool // another one runs
}

func (s *started) Start(_ context.Context, _ commands.Person, want audit.Want) (bool, error) {
	s.want = append(s.want, want)
	return s.before, nil
}

// Whoever asks for another part while a report runs is not told that it is read.
func TestReportJoined(t *testing.T) {
	reply := said(t, commands.Deps{Apps: heroku{}, Policies: policyOf(t, ""), Reports: &started{before: true}}, "report team=data")
	const want = "I am already reading a report for you"
	if !strings.HasPrefix(reply.Summary, want) || !strings.Contains(reply.Summary, "ask again for every app in scope of team data") {
		t.Errorf("got %q, want %s…, and what to ask again for", reply.Summary, want)
	}
}

func TestReport(t *testing.T) {
	for line, tt := range map[string]struct {
		want *audit.Want
		says string
	}{
		"report":                              {want: &audit.Want{}, says: "I read every app in scope on Heroku now."},
		"report team=acme":                    {want: &audit.Want{Team: "acme"}, says: "I read every app in scope of team acme on"},
		"report --stage Production team=acme": {want: &audit.Want{Team: "acme", Stage: "production"}, says: "I read every app in scope of team acme of stage production on"},
		"report stage=none":                   {want: &audit.Want{Stage: "none"}, says: "I read every app in scope in no pipeline on"},
		"report stage=prodcution":             {says: "There is no pipeline stage prodcution; did you mean stage=production?"},
		"report stage=live":                   {says: "There is no pipeline stage live; there are test"},
		"report shop":                         {says: "report takes no words"},
		"report owner=me":                     {says: "report has no option owner"},
	} {
		s := &started{}
		reply := said(t, commands.Deps{Apps: heroku{}, Policies: policyOf(t, ""), Reports: s}, line)
		if !strings.HasPrefix(reply.Summary, tt.says) {
			t.Errorf("%s: got %q, want it to begin with %q", line, reply.Summary, tt.says)
		}
		switch {
		case tt.want == nil && len(s.want) > 0:
			t.Errorf("%s: started %v", line, s.want)
		case tt.want != nil && (len(s.want) != 1 || s.want[0] != *tt.want):
			t.Errorf("%s: started %v, want %v", line, s.want, *tt.want)
		}
	}
	if got := said(t, commands.Deps{Apps: heroku{}, Policies: policyOf(t, "")}, "report").Summary; !strings.Contains(got, "bot report") {
		t.Errorf("without a way to read: got %q", got)
	}
}

func TestReportView(t *testing.T) {
	f := audit.Fleet{
		Coverage: audit.Coverage{Seen: 6, InScope: 5, Judged: 4, Out: map[string]int{"review": 1}, Unread: map[string]int{"two-factor": 1}},
		Counts:   audit.Counts{Ready: 1, NotReady: 2, Unknown: 1, NotApplicable: 1, Increase: 25_00},
		ReadAt:   noon(t), Took: 90 * time.Second, Calls: 12,
		Standings: []audit.Standing{
			{App: appID(1), Name: "shop", Team: "acme", Owner: "U0SHOP", Verdict: audit.VerdictNotReady, Increase: fleet.Known[fleet.Money](25_00), ReadAt: noon(t), Marks: []audit.Mark{
				{Check: "web-dynos", Outcome: audit.Fail, Required: true, Evidence: oneDyno, Since: noon(t)},
				{Check: "jvm-warmup", Outcome: audit.Fail, Evidence: "not seen", Since: noon(t)},
			}},
			{App: appID(2), Name: "basic", Team: "acme", Verdict: audit.VerdictNotReady, Size: "standard-1x", Increase: fleet.Known[fleet.Money](0), ReadAt: noon(t), Marks: []audit.Mark{{Check: "dyno-tier", Outcome: audit.Fail, Required: true, Evidence: onBasic, Since: noon(t)}}},
			{App: appID(3), Name: "vaulted", Team: "acme", Verdict: audit.VerdictUnknown, Unread: fleet.Reason{Kind: fleet.TwoFactor, Text: "it is protected by two-factor authentication"}},
			{App: appID(4), Name: "fine", Verdict: audit.VerdictReady},
			{App: appID(5), Name: "asleep", Verdict: audit.VerdictNotApplicable},
		},
	}
	parent, thread := commands.ReportView(f, commands.FleetView{Want: audit.Want{Team: "acme"}})
	golden.Check(t, "testdata/report.golden", printed(t, append([]commands.Reply{parent}, thread...)...))
	for _, r := range append(thread, parent) {
		for _, s := range spans(r) {
			if s.Kind == commands.User || r.Public {
				t.Errorf("a private report rings or is public: %+v", r)
			}
		}
	}
	parent, thread = commands.ReportView(audit.Fleet{ReadAt: noon(t)}, commands.FleetView{Want: audit.Want{Team: "nobody"}})
	golden.Check(t, "testdata/report-empty.golden", printed(t, append([]commands.Reply{parent}, thread...)...))
}

func TestReportProgress(t *testing.T) {
	for _, tt := range []struct {
		done, of int
		says     string
	}{{0, 0, "Reading the lists of every app in scope…"}, {0, 212, "Reading every app in scope: 0 of 212 apps"}, {1200, 1212, "Reading every app in scope: 1,200 of 1,212 apps"}, {3, 2, "Reading every app in scope: 3 of 2 apps"}} {
		r := commands.ReportProgress(tt.done, tt.of, audit.Want{})
		if r.Summary != tt.says || len(r.Parts) == 0 {
			t.Errorf("got %q, want %q", r.Summary, tt.says)
		}
	}
}

// Whatever kept the fleet from being read is told as of a fleet.
func TestExplainReport(t *testing.T) {
	for kind, want := range map[fleet.Kind]string{
		fleet.Refused:      "I can't read the apps of team acme. Nothing was changed.",
		fleet.NotFound:     "I can see no team acme on Heroku",
		fleet.Forbidden:    "Heroku does not let my account list these apps",
		fleet.Unavailable:  "Heroku's API did not answer just now, so I can't say anything about the fleet",
		fleet.RateLimited:  "The Heroku account that I use has used up its API calls",
		fleet.Unauthorized: "Heroku does not accept my token",
	} {
		if got := commands.ExplainReport(&fleet.Problem{Kind: kind}, audit.Want{Team: "acme"}).Error(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want it to begin with %q", kind, got, want)
		}
	}
}
