package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/sim/page"
)

// demoPage serves the demo's page on a loopback port, 0 for any that is free, until stop is
// called.
func (s *simulation) demoPage(port int) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", nil, fmt.Errorf("port %d is taken, perhaps by another demo: name another with --port, or none", port)
	} else if err != nil {
		return "", nil, fmt.Errorf("listen for the page: %w", err)
	}
	var lines []page.Command
	for _, c := range commands.New(commands.Deps{}).Commands() {
		lines = append(lines, page.Command{Usage: "/zdd " + c.Usage, Summary: c.Summary})
	}
	server := &http.Server{
		Handler: page.New(page.Config{
			Slack: s.slack, Heroku: s.heroku, Do: s.demand, Commands: lines, Try: "shop",
			People: []page.Person{
				{Name: "requester", Does: "asks for changes"}, {Name: "approver", Does: "asks and approves"},
				{Name: "approver2", Does: "approves"}, {Name: "guest", Does: "a guest"},
			},
		}),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	s.serving.Go(func() { _ = server.Serve(listener) }) // ends with ErrServerClosed
	return "http://" + listener.Addr().String() + "/", func() { _ = server.Close() }, nil
}

// demand does what only the demo can: it has the night come.
func (s *simulation) demand(_ context.Context, verb string) error {
	if verb != "night" {
		return fmt.Errorf("the demo can't %q", verb)
	}
	select {
	case s.nights <- struct{}{}:
	default: // one is about to begin
	}
	return nil
}
