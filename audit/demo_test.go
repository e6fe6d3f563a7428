package audit_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/heroku"
	"example.com/zdd/internal/golden"
	"example.com/zdd/jobs"
	"example.com/zdd/policy"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
	"example.com/zdd/store"
)

// demoPolicy names owners for some of the demo's fleet.
const demoPolicy = `
digest: {timezone: Europe/Berlin, channel: C0OPS}
heroku: {parallel: 4}
apps:
  "team:acme": {owner: S0PLATFORM}
  billing: {owner: U0BILL, channel: C0BILL}
  "team:labs": {owner: U0LABS}
`

// works is everything that a night's scan is made of, on the demo's fleet.
type works struct {
	*testing.T
	sim    *simheroku.Server
	client *heroku.Client
	store  *store.Store
	policy policy.Policy
}

func newWorks(t *testing.T, o simheroku.Options) *works {
	t.Helper()
	sim, network := simheroku.New(o), &play.Network{}
	stop := network.Serve("localhost", sim)
	client, err := heroku.New(heroku.Config{URL: "http://localhost:5000", MetricsURL: "http://localhost:5000", Key: secret.New(simheroku.DefaultToken), Dial: network.Dial})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "zdd.db")})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := policy.Parse("zdd.yml", []byte(demoPolicy))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		sim.Close()
		stop()
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return &works{t, sim, client, kept, rules}
}

// night begins a night now, and lets the queue run until its digest is made.
func (w *works) night() audit.Digest {
	w.Helper()
	now := time.Now()
	id := now.In(w.policy.Nightly.Location()).Format(time.DateOnly)
	n := audit.Night{ID: id, Slot: now, Post: now.Add(6 * time.Hour), State: audit.Scanning}
	if made, err := w.store.BeginNight(w.Context(), n, audit.Work{Kind: audit.WorkScan, Key: id, Group: audit.WorkScan, At: now}); err != nil || !made {
		w.Fatal(made, err)
	}
	scanner := audit.NewScanner(audit.ScanConfig{Store: w.store, Heroku: w.client, Policy: func() policy.Policy { return w.policy }})
	made := make(chan struct{})
	queue := jobs.New(jobs.Config{Store: w.store, Handlers: map[string]jobs.Handler{
		audit.WorkScan: func(ctx context.Context, j *jobs.Job) error {
			err := scanner.Scan(heroku.Background(ctx), j.Key, j)
			if err == nil {
				close(made)
			}
			return err
		},
	}})
	ctx, stop := context.WithCancel(w.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := queue.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	<-made
	stop()
	running.Wait()
	n, err := w.store.Night(w.Context(), id)
	if err != nil || n.Digest == nil {
		w.Fatal("no digest: ", err)
	}
	return *n.Digest
}

func (w *works) do(orders ...string) {
	w.Helper()
	for _, order := range orders {
		if _, err := w.sim.Do(order); err != nil {
			w.Fatalf("%s: %v", order, err)
		}
	}
}

// TestDemo is two nights of the demo's fleet: the first ever, and one after things were
// changed behind the bot's back.
func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, time.November, 21, 2, 30, 0, 0, time.UTC)))
		w := newWorks(t, simheroku.Options{})
		golden.Check(t, "testdata/demo-first.json.golden", indented(t, w.night()))

		time.Sleep(time.Until(time.Date(2026, time.November, 22, 2, 30, 0, 0, time.UTC)))
		w.do(
			"set checkout preboot=off",
			"set billing preboot=on",
			"set accounts web=1",
			"rename catalog catalogue",
			"delete legacy-cms",
		)
		second := w.night()
		golden.Check(t, "testdata/demo-second.json.golden", indented(t, second))

		var table strings.Builder
		if err := audit.StreamCSV(&table, w.store.Standings(t.Context())); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, "testdata/demo.csv.golden", table.String())

		fleet, err := (&audit.Collector{Heroku: w.client, Policy: func() policy.Policy { return w.policy }}).Collect(t.Context(), audit.Want{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if fleet.Counts != second.Counts || fleet.Coverage.Judged != second.Coverage.Judged || fleet.Coverage.Seen != second.Coverage.Seen {
			t.Errorf("on demand: %+v, %+v\nthe night: %+v, %+v", fleet.Counts, fleet.Coverage, second.Counts, second.Coverage)
		}
	})
}

func indented(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}
