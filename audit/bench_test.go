package audit_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/jobs"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

// still is a fleet in memory that answers at once and never changes.
type still []fleet.App

func (f still) ReadRoll(context.Context, fleet.Filter) (fleet.Roll, error) {
	apps := slices.Clone(f)
	for i := range apps {
		apps[i].Formation = fleet.Value[[]fleet.Process]{}
	}
	return fleet.Roll{Apps: apps}, nil
}

func (f still) ReadRate(context.Context) (int, error) { return 4000, nil }

func (f still) ReadSettings(_ context.Context, app fleet.App, _ fleet.Parts) (fleet.App, int, error) {
	var i int
	_, err := fmt.Sscanf(string(app.ID), "%08x", &i)
	if err == nil {
		app.Formation = f[i].Formation
	}
	return app, 2, err
}

// BenchmarkNight is what the bot itself adds to a night of 10,000 apps, three quarters of
// which fail, on SQLite: its time, and how far its memory grows beyond the fleet's own.
func BenchmarkNight(b *testing.B) {
	lines := []string{"standard-1x web=1", "standard-1x web=2 affinity preboot", "basic web=1", "performance-m web=1 affinity scaler=2-4"}
	apps, catalog := still{}, fleet.Known(fleettest.Catalog())
	for i := range 10_000 {
		app := fleettest.App(lines[i%len(lines)])
		app.ID, app.Name, app.Sizes = fleet.ID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)), fmt.Sprintf("app-%05d", i), catalog
		apps = append(apps, app)
	}
	kept, err := store.Open(b.Context(), store.Options{Path: b.TempDir() + "/zdd.db"})
	if err != nil {
		b.Fatal(err)
	}
	defer kept.Close()
	var most uint64
	night := 0
	for b.Loop() {
		night++
		most = max(most, benchNight(b, kept, apps, night))
	}
	b.ReportMetric(float64(most)/(1<<20), "MB-more")
}

// benchNight scans once, and returns the bytes by which live memory grew meanwhile.
func benchNight(b *testing.B, kept *store.Store, apps still, night int) (more uint64) {
	slot := time.Date(2026, time.March, night, 3, 30, 0, 0, time.UTC)
	id, now := slot.Format(time.DateOnly), time.Now()
	if _, err := kept.BeginNight(b.Context(), audit.Night{ID: id, Slot: slot, Post: now, State: audit.Scanning}, audit.Work{Kind: audit.WorkScan, Key: id, At: now}); err != nil {
		b.Fatal(err)
	}
	rules := policy.Default()
	scanner := audit.NewScanner(audit.ScanConfig{Store: kept, Heroku: apps, Policy: func() policy.Policy { return rules }})
	ctx, stop := context.WithCancel(b.Context())
	queue := jobs.New(jobs.Config{Store: kept, Handlers: map[string]jobs.Handler{audit.WorkScan: func(ctx context.Context, j *jobs.Job) error {
		err := scanner.Scan(ctx, j.Key, j)
		if err == nil {
			stop()
		}
		return err
	}}})
	before := live()
	ended := make(chan error)
	go func() { ended <- queue.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatal(err)
			}
			return more
		case <-time.After(100 * time.Millisecond):
			if now := live(); now > before {
				more = max(more, now-before)
			}
		}
	}
}

func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
