package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// healthTimeout bounds one request to the health server, either way.
	healthTimeout = 10 * time.Second
	// healthStop is what a running request may take at the end.
	healthStop = 2 * time.Second
)

// health is what the health server tells.
type health struct {
	slack    func() (ready bool, why string)
	database func(context.Context) error
	metrics  prometheus.Gatherer
}

// handler serves /healthz (the process runs), /readyz (Slack can reach it; the
// database is told apart, because reading works without it) and /metrics.
func (h health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		body := map[string]string{"slack": "ok", "database": "ok"}
		status := http.StatusOK
		if ready, why := h.slack(); !ready {
			body["slack"], status = why, http.StatusServiceUnavailable
		}
		if err := h.database(r.Context()); err != nil {
			body["database"] = "away: reading works, changing does not" // the error itself is in the log, not for whoever finds this page
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client is gone: nobody to tell
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}))
	return mux
}

// serveHealth serves h on PORT: a bare number means every interface, as on a dyno,
// where the router comes from outside; address:port means that address. It tells no
// secret and no app's name.
func serveHealth(ctx context.Context, port string, h health, log *slog.Logger) error {
	addr := port
	if !strings.Contains(port, ":") {
		addr = ":" + port
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on PORT: %w", err)
	}
	return serveOn(ctx, listener, h, log)
}

func serveOn(ctx context.Context, listener net.Listener, h health, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h.handler(),
		ReadHeaderTimeout: healthTimeout,
		ReadTimeout:       healthTimeout,
		WriteTimeout:      healthTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	log.Info("health server listens", "ref", listener.Addr().String())
	select {
	case err := <-done:
		return fmt.Errorf("health server: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthStop)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("health server: %w", err)
	}
	return nil
}
