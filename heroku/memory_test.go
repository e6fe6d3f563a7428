package heroku_test

import (
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"example.com/zdd/heroku"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
)

// canary is the token of every test here. It must never be seen but by the server.
const canary = simheroku.DefaultToken

// client makes a client of ours whose every connection leads to handler. It takes
// what cfg leaves out from the test's own defaults.
func client(t testing.TB, handler http.Handler, cfg heroku.Config) *heroku.Client {
	t.Helper()
	return clientOf(t, &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}, cfg)
}

// clientOf is client for a server that the test has made. They speak over a network in
// memory, so that the fake clock of a bubble moves while they do.
func clientOf(t testing.TB, server *http.Server, cfg heroku.Config) *heroku.Client {
	t.Helper()
	network := &play.Network{}
	listener := network.Listen("localhost")
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) }) // ends when the server is closed
	cfg.Dial = network.Dial
	if cfg.Key.IsZero() {
		cfg.Key = secret.New(canary)
	}
	if cfg.URL == "" {
		cfg.URL = "http://localhost:5000"
	}
	if cfg.MetricsURL == "" {
		cfg.MetricsURL = cfg.URL
	}
	c, err := heroku.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = server.Close()
		wg.Wait()
	})
	return c
}

// simulated makes a client of a simulator.
func simulated(t testing.TB, o simheroku.Options, cfg heroku.Config) (*heroku.Client, *simheroku.Server) {
	t.Helper()
	sim := simheroku.New(o)
	c := client(t, sim, cfg)
	t.Cleanup(sim.Close)
	return c, sim
}

func do(t testing.TB, sim *simheroku.Server, line string) {
	t.Helper()
	if _, err := sim.Do(line); err != nil {
		t.Fatalf("control %q: %v", line, err)
	}
}
