package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/rollout"
	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
)

// demoPolicy is the policy of the demo's company.
//
//go:embed demo.yml
var demoPolicy string

const demoUsage = "demo [--terminal | --port N | --play FILE]"

// demoHelp is what demo's flags do, and what can be typed at its prompt.
const demoHelp = `  --terminal    the prompt alone: no page, no browser
  --port N      the page's port on 127.0.0.1; without it, any that is free
  --play FILE   tell a story, such as cmd/bot/testdata/scenarios/status.txt, and end

There is a prompt beside the page, too. ` + promptHelp

// demoProgram runs the bot against simulated services on loopback: no credentials,
// and nothing leaves the machine. There is a page for a browser and a prompt beside it,
// the prompt alone, or a story that is told.
func demoProgram(ctx context.Context, args []string, o outside) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	script := flags.String("play", "", "")
	terminal := flags.Bool("terminal", false, "")
	port := flags.Uint("port", 0, "") // 0: any that is free
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *port > math.MaxUint16 || *terminal && *port != 0 {
		return usage(demoUsage)
	}
	var tale story
	if *script != "" {
		var err error
		if tale, err = openStory(*script); err != nil {
			return err
		}
	}
	s, err := loopback()
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	defer s.close()
	tale.set(s)
	s.look = *script == "" // a story tells of its own first night
	if err := s.start(ctx); err != nil {
		return err
	}
	if *script != "" {
		return tale.Run(ctx, s.world(sleep, func(line string) { fmt.Fprintln(o.Stdout, line) }))
	}
	fmt.Fprint(o.Stdout, "zdd demo: a simulated Slack and Heroku, and the real bot between them. Nothing leaves this machine.\n\n")
	if !*terminal {
		address, stop, err := s.demoPage(int(*port))
		if err != nil {
			return err
		}
		defer stop()
		show(address, o)
	}
	typed, err := prompt(ctx, &prompter{simulation: s, out: o.Stdout, person: "requester", paged: !*terminal}, o)
	if err == nil && !typed && !*terminal {
		<-ctx.Done() // nobody types, as in a container: the page is still there
	}
	return err
}

// show tells where the page is, and opens it where there is a desktop.
func show(address string, o outside) {
	said := "Open"
	if o.Browse != nil && o.Browse(address) == nil { // who has no browser is told the address all the same
		said = "Opening"
	}
	fmt.Fprintf(o.Stdout, "  %s %s in your browser. Ctrl-C ends it.\n\nOr type here, as in Slack. ", said, address)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// loopback is a simulation of the demo's fleet on 127.0.0.1.
func loopback() (s *simulation, err error) {
	dir, err := os.MkdirTemp("", "zdd-demo-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	slackListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	herokuListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, slackListener.Close())
	}
	s = &simulation{
		slackURL:  "http://" + slackListener.Addr().String(),
		herokuURL: "http://" + herokuListener.Addr().String(),
		client:    &http.Client{},
		dir:       dir,
		policy:    demoPolicy,
		ledgerKey: rand.Text(),
		rollout:   demoTiming(),
		watch:     demoWatch(),
		nights:    make(chan struct{}, 1),
		botLog:    &logBuffer{},
		slack:     simslack.New(simslack.Options{}),
		heroku:    simheroku.New(simheroku.Options{}),
	}
	s.serveOn(slackListener, herokuListener)
	return s, nil
}

// demoWatchEvery is how often the demo's bot looks at what was ready: nobody watches one for
// half an hour.
const demoWatchEvery = 20 * time.Second

// demoWatch shortens the looks between the nights likewise, and lets them use more than a
// third of a limit that nobody else uses.
func demoWatch() audit.WatchTiming {
	return audit.WatchTiming{
		Every:     demoWatchEvery,
		Confirm:   5 * time.Second,
		Gather:    3 * time.Second,
		Idle:      5 * time.Second,
		Rest:      2 * time.Second,
		PerMinute: 600,
	}
}

// demoHurry makes the 10 minutes between session affinity and the second dyno ten seconds.
const demoHurry = 60

// demoTiming shortens the waits that are ours: nobody watches a demo for an hour. What
// Heroku takes, such as a hand-over, takes as long as in production.
func demoTiming() rollout.Timing {
	return rollout.Timing{
		Blocked: 2 * time.Second,
		Settle:  time.Second,
		Glance:  time.Second,
		Hurry:   demoHurry,
		Looks:   []time.Duration{20 * time.Second, time.Minute},
	}
}
