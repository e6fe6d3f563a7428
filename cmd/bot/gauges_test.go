package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

// oneState is a database with two tickets, a job that is due, and a night. A part that
// fails is named in gone.
type oneState struct {
	now  time.Time
	gone map[string]bool
}

func (s oneState) err(part string) error {
	if s.gone[part] {
		return errors.New("gone")
	}
	return nil
}

func (s oneState) Ready(context.Context) error { return s.err("database") }
func (s oneState) Dialect() store.Dialect      { return store.Postgres }
func (s oneState) Tickets(_ context.Context, f approval.Filter) ([]approval.Ticket, error) {
	later, earlier := s.now.Add(time.Hour), s.now.Add(-time.Hour)
	all := []approval.Ticket{
		{State: approval.Pending, ExpiresAt: later}, {State: approval.Pending, ExpiresAt: earlier}, {State: approval.Approved}, {State: approval.Running}, {State: approval.Done},
	}
	return slices.DeleteFunc(all, func(t approval.Ticket) bool { return !slices.Contains(f.States, t.State) }), s.err("tickets")
}
func (s oneState) Nights(context.Context, time.Time, int) ([]audit.Night, error) {
	return []audit.Night{
		{ID: "2026-03-29", Started: s.now},
		{ID: "2026-03-28", Finished: s.now.Add(-24 * time.Hour), Posted: s.now.Add(-18 * time.Hour), Coverage: audit.Coverage{InScope: 30, Judged: 28}, Chain: &audit.Chain{State: audit.ChainBroken}},
		{ID: "2026-03-27", Finished: s.now.Add(-48 * time.Hour)},
	}, s.err("nights")
}
func (s oneState) NextJob(_ context.Context, kinds []string) (time.Time, bool, error) {
	return s.now.Add(-90 * time.Second), slices.Contains(kinds, approval.WorkApply), s.err("jobs")
}
func (s oneState) LookPlan(context.Context) (audit.LookPlan, error) {
	return audit.LookPlan{Apps: 1000}, s.err("watch")
}
func (s oneState) Watching(context.Context) (audit.Watching, error) {
	return audit.Watching{Calls: 3, Looked: s.now.Add(-time.Minute), Found: 12, Pending: make([]audit.Drifted, 2)}, s.err("watch")
}
func (s oneState) LedgerHead(context.Context) (ledger.Head, error) {
	return ledger.Head{Seq: 7, Hash: strings.Repeat("ab", 32)}, s.err("head")
}

func TestGauges(t *testing.T) {
	now := time.Date(2026, 3, 29, 9, 0, 0, 0, time.UTC)
	for gone, want := range map[string]map[string]float64{
		"": {
			"zdd_build_info": 1, "zdd_read_only": 1, "zdd_database_up": 1, "zdd_tickets_pending": 1, "zdd_tickets_open": 2, "zdd_job_due_seconds": 90, "zdd_ledger_entries": 7,
			"zdd_scan_finished_timestamp_seconds": float64(now.Add(-24 * time.Hour).Unix()), "zdd_digest_posted_timestamp_seconds": float64(now.Add(-18 * time.Hour).Unix()), "zdd_scan_unread_apps": 2, "zdd_scan_partial": 1, "zdd_ledger_broken": 1,
			"zdd_watch_apps": 1000, "zdd_watch_interval_seconds": 2 * 60 * 60, "zdd_watch_looked_timestamp_seconds": float64(now.Add(-time.Minute).Unix()), "zdd_watch_drifts": 12, "zdd_watch_untold_drifts": 2,
		},
		"database": {"zdd_build_info": 1, "zdd_read_only": 1, "zdd_database_up": 0},
		"tickets": {
			"zdd_build_info": 1, "zdd_read_only": 1, "zdd_database_up": 1, "zdd_ledger_entries": 7,
			"zdd_scan_finished_timestamp_seconds": float64(now.Add(-24 * time.Hour).Unix()), "zdd_digest_posted_timestamp_seconds": float64(now.Add(-18 * time.Hour).Unix()), "zdd_scan_unread_apps": 2, "zdd_scan_partial": 1, "zdd_ledger_broken": 1,
			"zdd_watch_apps": 1000, "zdd_watch_interval_seconds": 2 * 60 * 60, "zdd_watch_looked_timestamp_seconds": float64(now.Add(-time.Minute).Unix()), "zdd_watch_drifts": 12, "zdd_watch_untold_drifts": 2,
		},
	} {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(newGauges(selfView{
			version: "v1", readOnly: "no key", state: oneState{now, map[string]bool{gone: true}}, kinds: allWork(), now: func() time.Time { return now }, watcher: audit.NewWatcher(audit.WatchConfig{Policy: policy.Default}),
		}))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			got[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		if !maps.Equal(got, want) {
			t.Errorf("without %q: got %v, want %v", gone, got, want)
		}
	}
}

// TestScrapesShareALook: whoever asks for the metrics again and again makes no work for
// the database, and sees no old figure for long.
func TestScrapesShareALook(t *testing.T) {
	now := time.Date(2026, 3, 29, 9, 0, 0, 0, time.UTC)
	looks := 0
	g := newGauges(selfView{state: oneState{now: now}, now: func() time.Time { return now }})
	about := g.about
	g.about = func(ctx context.Context) commands.About { looks++; return about(ctx) }
	scrape := func() {
		to := make(chan prometheus.Metric, 100)
		g.Collect(to)
	}
	for range 100 {
		scrape()
	}
	if looks != 1 {
		t.Errorf("got %d looks at the same moment, want one", looks)
	}
	for _, step := range []time.Duration{scrapeFor, -time.Hour} { // forward, and a clock that was set back
		now = now.Add(step)
		before := looks
		scrape()
		if looks != before+1 {
			t.Errorf("%s later: got %d looks more, want one", step, looks-before)
		}
	}
}

// TestSelfViewSaysWhatItCouldNotRead: what is left out is named.
func TestSelfViewSaysWhatItCouldNotRead(t *testing.T) {
	now := time.Date(2026, 3, 29, 9, 0, 0, 0, time.UTC)
	for gone, want := range map[string]string{
		"": "[]", "database": "[the last scan pending work the ledger's head]", "tickets": "[pending work]", "jobs": "[pending work]", "nights": "[the last scan]", "head": "[the ledger's head]",
	} {
		v := selfView{state: oneState{now, map[string]bool{gone: true}}, kinds: allWork(), links: func() (int, int) { return 1, 2 }, now: func() time.Time { return now }}
		a := v.About(t.Context())
		if got := fmt.Sprint(a.Unread); got != want || a.Links.Up != 1 || a.Database.Away != (gone == "database") {
			t.Errorf("without %q: got %s, links %v, database %v, want %s", gone, got, *a.Links, *a.Database, want)
		}
	}
}

func TestLinesAreCounted(t *testing.T) {
	var out bytes.Buffer
	registry := prometheus.NewRegistry()
	log := countLines(slog.New(slog.NewTextHandler(&out, nil)), registry)
	log.Info("a")
	log.With("app", "shop").Warn("b")
	log.WithGroup("g").Error("c", "err", "x")
	log.Error("d")
	log.Debug("e")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, series := range families[0].GetMetric() {
		got[series.GetLabel()[0].GetValue()] = series.GetCounter().GetValue()
	}
	if want := map[string]float64{"warn": 1, "error": 2}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 4 || !strings.Contains(out.String(), "g.err=x") || !strings.Contains(out.String(), "app=shop") {
		t.Errorf("got\n%s\nwant the four lines as they were logged", &out)
	}
}
