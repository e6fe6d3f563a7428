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
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/policy"
	"example.com/zdd/rollout"
	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/watch"
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
	var zone *time.Location // a story's is UTC, wherever it is told
	if *script == "" {
		pol, err := policy.Parse("demo.yml", []byte(demoPolicy))
		if err != nil {
			return fmt.Errorf("read the demo's policy: %w", err)
		}
		zone = pol.Nightly.Location()
	}
	s, err := loopback(zone)
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
	typed, err := prompt(ctx, &prompter{simulation: s, out: o.Stdout, person: "requester", paged: !*terminal, zone: zone}, o)
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

// loopback is a simulation of the demo's fleet on 127.0.0.1. What people see is told in that
// zone; nil: in UTC.
func loopback(zone *time.Location) (s *simulation, err error) {
	dir, err := os.MkdirTemp("", "zdd-demo-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	var listeners [3]net.Listener // of Slack, Heroku and its router
	defer func() {
		for _, l := range listeners {
			if err != nil && l != nil {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	router := listeners[2].Addr().(*net.TCPAddr)
	domain := fmt.Sprintf("%s:%d", demoDomain, router.Port)
	s = &simulation{
		slackURL:  "http://" + listeners[0].Addr().String(),
		herokuURL: "http://" + listeners[1].Addr().String(),
		client:    &http.Client{},
		dir:       dir,
		policy:    demoPolicy,
		ledgerKey: rand.Text(),
		rollout:   demoTiming(),
		watch:     demoWatch(),
		deploys:   demoDeploys(),
		probe:     demoProbe(domain, router.String()),
		nights:    make(chan struct{}, 1),
		botLog:    &logBuffer{},
		slack:     simslack.New(simslack.Options{Zone: zone}),
		heroku:    simheroku.New(simheroku.Options{Scale: demoScale, Domain: domain}),
	}
	s.serveOn(listeners[0], listeners[1])
	s.serve(listeners[2], s.heroku.Router())
	return s, nil
}

// demoDomain is that of the demo's apps. Names below localhost mean this machine, in
// browsers too (RFC 6761, 6.3).
const demoDomain = "herokuapp.localhost"

// demoProbe dials the simulated router, by the name of any of its apps, and nothing else.
func demoProbe(domain, router string) watch.Dial {
	exact := watch.ExactDialer(map[string]string{router: router})
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasSuffix(addr, "."+domain) {
			addr = router
		}
		return exact(ctx, network, addr)
	}
}

// demoScale divides what Heroku itself takes: nobody watches a demo for as long as preboot
// hands over, which is three minutes and a half; so it takes thirty to thirty-five seconds.
const demoScale = 6

// demoDeploys is how long things take on that Heroku. A dyno boots in five seconds there.
func demoDeploys() watch.Timing {
	return watch.Timing{
		Look:    2 * time.Second,
		Save:    time.Second,
		Boot:    75 * time.Second / demoScale,
		Preboot: 36 * time.Second, // the boot timeout, two minutes and at most half a minute more, scaled
		Drain:   30 * time.Second / demoScale,
		Margin:  3 * time.Second, // Heroku tells whole seconds, however much it hurries
		Back:    2 * time.Minute / demoScale,
		Hurry:   10,
	}
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

// demoTiming shortens the waits that are ours: nobody watches a demo for an hour. So does
// the wait for a hand-over, which is as much shorter as Heroku hurries.
func demoTiming() rollout.Timing {
	return rollout.Timing{
		HandOver: 6 * time.Minute / demoScale,
		Blocked:  2 * time.Second,
		Settle:   time.Second,
		Glance:   time.Second,
		Hurry:    demoHurry,
		Looks:    []time.Duration{20 * time.Second, time.Minute},
	}
}
