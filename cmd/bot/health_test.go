package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHealth(t *testing.T) {
	ready, why := true, ""
	var database error
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "zdd_test", Help: "there to be seen"}))
	h := health{
		slack:    func() (bool, string) { return ready, why },
		database: func(context.Context) error { return database },
		metrics:  registry,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveOn(ctx, listener, h, slog.New(slog.DiscardHandler)) }()
	ask := func(path string) (int, string) {
		t.Helper()
		res, err := http.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	want := func(path string, status int, text string) {
		t.Helper()
		if code, body := ask(path); code != status || !strings.Contains(body, text) {
			t.Errorf("%s: got %d %q, want %d and %q", path, code, body, status, text)
		}
	}
	want("/healthz", 200, "ok")
	want("/readyz", 200, `"slack":"ok"`)
	want("/metrics", 200, "zdd_test 0")
	want("/", 404, "")
	database = errors.New("postgres://zdd:hunter2@db is away")
	want("/readyz", 200, "reading works, changing does not")
	if _, body := ask("/readyz"); strings.Contains(body, "hunter2") {
		t.Errorf("got %q, want no error text", body)
	}
	ready, why = false, "no link to Slack"
	want("/readyz", 503, "no link to Slack")
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("got %v, want a clean end", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the health server does not stop")
	}
}

func TestHealthServesWhatTheBotKnows(t *testing.T) {
	if err := serveHealth(t.Context(), "127.0.0.1:notaport", health{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("got no error for a PORT that is none")
	}
}
