package commands

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

type knows struct{ about About }

func (k knows) About(context.Context) About { return k.about }

func TestAbout(t *testing.T) {
	now := time.Date(2026, 3, 29, 9, 0, 0, 0, time.UTC)
	all := func() About {
		return About{
			Version: "3f2a91c0de11", Started: now.Add(-3 * time.Hour),
			Links: &Links{2, 2}, Database: &Database{Kind: "postgres"},
			Scans: &Scans{
				Last: audit.Night{ID: "2026-03-29", Finished: now.Add(-5 * time.Hour), Coverage: audit.Coverage{Seen: 31, InScope: 30, Judged: 30}},
				Next: now.Add(18 * time.Hour),
			},
			Work: &Work{Pending: 2, Open: 1}, Head: &ledger.Head{Seq: 1234, Hash: strings.Repeat("ab", 32)}, Policy: strings.Repeat("c", 64),
		}
	}
	for name, c := range map[string]struct {
		change  func(a *About)
		summary string
		facts   map[string]string // by name, what is in it
		without []string
	}{
		"all is well": {
			summary: "All is well with me, as far as I can tell.",
			facts: map[string]string{
				"Version": "3f2a91c0de11, started 29 Mar 2026 06:00 UTC (3 hours ago)", "Changes apps": "yes", "Links to Slack": "2 of 2 up", "Database": "postgres",
				"Last scan": "29 Mar 2026 04:00 UTC (5 hours ago), 30 of 30 apps; the next is due 30 Mar 2026 03:00 UTC", "Pending work": "2 tickets wait for a decision, 1 approved or under way",
				"Ledger's head": "#1234 abab", "Policy": "cccccccccccc",
			},
			without: []string{"Could not be read just now", "Ledger verified"},
		},
		"nothing is known": {
			change:  func(a *About) { *a = About{} },
			summary: "All is well with me",
			without: []string{"Version", "Links to Slack", "Database", "Last scan", "Pending work", "Ledger's head", "Policy"},
		},
		"read-only": {
			change:  func(a *About) { a.ReadOnly = "`ZDD_LEDGER_KEY` is not set. Nothing was changed." },
			summary: "Not all is well with me: nothing is changed.",
			facts:   map[string]string{"Changes apps": "no. ZDD_LEDGER_KEY is not set."},
		},
		"the database is away": {
			change: func(a *About) {
				a.Database.Away, a.Work, a.Head, a.Scans = true, nil, nil, nil
				a.Unread = []string{"pending work", "the last scan"}
			},
			summary: "Not all is well with me: the database is away.",
			facts:   map[string]string{"Database": "postgres, away just now", "Could not be read just now": "pending work, the last scan"},
			without: []string{"Pending work", "Last scan", "Ledger's head"},
		},
		"unread": {
			change:  func(a *About) { a.Work, a.Unread = nil, []string{"pending work"} },
			summary: "Some things about me could not be read just now: pending work.",
		},
		"a link is away": {change: func(a *About) { a.Links.Up = 1 }, summary: "All is well", facts: map[string]string{"Links to Slack": "1 of 2 up; one that was lost comes back"}},
		"deploys are watched": {
			change:  func(a *About) { a.Deploys = &DeployWatches{Running: 2, Waiting: 1, Releases: policy.WatchProduction} },
			summary: "All is well", facts: map[string]string{"Deploys watched": "2 now, 1 about to begin; production releases by themselves"},
		},
		"no deploy is watched": {change: func(a *About) { a.Deploys = &DeployWatches{Releases: policy.WatchNone} }, summary: "All is well", facts: map[string]string{"Deploys watched": "none now; when somebody asks"}},
		"no scan yet":          {change: func(a *About) { a.Scans = &Scans{} }, summary: "All is well", facts: map[string]string{"Last scan": "none yet"}},
		"a partial scan":       {change: func(a *About) { a.Scans.Last.Coverage.Judged = 28 }, summary: "All is well", facts: map[string]string{"Last scan": "28 of 30 apps, so not all"}},
		"the scan just in age": {change: func(a *About) { a.Scans.Last.Finished = now.Add(-26 * time.Hour) }, summary: "All is well"},
		"the scan is old": {
			change:  func(a *About) { a.Scans.Last.Finished = now.Add(-50 * time.Hour) },
			summary: "Not all is well with me: the last scan is too long ago.", facts: map[string]string{"Last scan": "2 days ago), 30 of 30 apps; that is too long ago"},
		},
		"the scan of a week": {change: func(a *About) {
			a.Scans.Last.Finished = now.Add(-50 * time.Hour)
			a.Scans.Last.Slot, a.Scans.Last.Next = now.Add(-51*time.Hour), now.Add(117*time.Hour)
		}, summary: "All is well"},
		"the ledger is whole": {
			change: func(a *About) {
				a.Scans.Last.Chain = &audit.Chain{State: audit.ChainWhole, At: now.Add(-5 * time.Hour), Head: "#1200 cdcd"}
			},
			summary: "All is well", facts: map[string]string{"Ledger verified": "29 Mar 2026 04:00 UTC: whole, #1200 cdcd"},
		},
		"the ledger could not be read": {
			change: func(a *About) {
				a.Scans.Last.Chain = &audit.Chain{State: audit.ChainUnread, Why: "It could not be read to its end; my log says why."}
			},
			summary: "All is well", facts: map[string]string{"Ledger verified": "not done. It could not be read to its end"},
		},
		"the ledger is broken": {
			change: func(a *About) {
				a.Scans.Last.Chain = &audit.Chain{State: audit.ChainBroken, Why: "#7 was written to."}
			},
			summary: "Not all is well with me: the ledger is broken.", facts: map[string]string{"Ledger verified": "broken. #7 was written to. See docs/security.md"},
		},
		"work that is just due": {change: func(a *About) { a.Work.Due = now.Add(-time.Minute) }, summary: "All is well"},
		"work that nobody does": {
			change:  func(a *About) { a.Work.Due = now.Add(-time.Hour) },
			summary: "Not all is well with me: work is overdue.", facts: map[string]string{"Pending work": "work has been due for an hour and nobody does it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := all()
			if c.change != nil {
				c.change(&a)
			}
			table := New(Deps{Policies: inForce{}, Abouts: knows{a}})
			reply, err := table.Run(t.Context(), "about", Request{By: member, Via: Slash, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(reply.Summary, c.summary) {
				t.Errorf("got %q, want %q", reply.Summary, c.summary)
			}
			got := map[string]string{}
			for _, p := range reply.Parts {
				if facts, ok := p.(Facts); ok {
					for _, f := range facts.Pairs {
						got[f.Name] = f.Value.String()
					}
				}
			}
			for name, want := range c.facts {
				if !strings.Contains(got[name], want) {
					t.Errorf("%s: got %q, want %q in it", name, got[name], want)
				}
			}
			for _, name := range c.without {
				if text, there := got[name]; there {
					t.Errorf("%s: got %q, want it left out", name, text)
				}
			}
		})
	}
	_, err := New(Deps{Policies: inForce{}}).Run(t.Context(), "about", Request{By: member, Via: Slash, Now: now})
	if refusal, ok := errors.AsType[*Refusal](err); !ok || !strings.Contains(refusal.Error(), "bot version") {
		t.Errorf("where there is nobody to ask: got %v, want a refusal that says what to do", err)
	}
}
