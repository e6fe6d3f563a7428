package heroku_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"

	"example.com/zdd/heroku"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
)

// canary is the token of every test here. It must never be seen but by the server.
const canary = simheroku.DefaultToken

// memory is a network that never leaves the process, so that the fake clock of a
// bubble moves while it is used.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}
func (m *memory) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case m.conns <- there:
		return here, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client makes a client of ours whose every connection leads to handler. It takes
// what cfg leaves out from the test's own defaults.
func client(t testing.TB, handler http.Handler, cfg heroku.Config) *heroku.Client {
	t.Helper()
	return clientOf(t, newMemory(), &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}, cfg)
}

func newMemory() *memory {
	return &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func clientOf(t testing.TB, m *memory, server *http.Server, cfg heroku.Config) *heroku.Client {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(m) }) // ends when m does
	cfg.Dial = m.dial
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
