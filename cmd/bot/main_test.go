package main

import (
	"bufio"
	"context"
	"flag"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/jobs"
	"example.com/zdd/rollout"
	"example.com/zdd/watch"
)

// asBot is the variable of the environment that makes the test binary the bot itself:
// the crash campaign kills real processes, which run what main runs.
const asBot = "ZDD_TEST_AS_BOT"

// asBotRouter is the variable of the environment that names the simulated router, as
// "DOMAIN ADDRESS": the domain of its apps, and where the bot that the test binary is may
// reach them. No program but this one knows it.
const asBotRouter = "ZDD_TEST_ROUTER"

// hurriedBot is the value of asBot with which nothing is hurried but the waits of rollouts.
const hurriedBot = "hurried"

func TestMain(m *testing.M) {
	if os.Getenv(asBot) != "" {
		os.Exit(mainAsBot())
	}
	if err := moreAtOnce(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// waiting is how many of the tests that run beside the others wait most of the time: for
// bots that are killed, for installations, for a browser.
const waiting = 4

// moreAtOnce lets that many more run at once than there are processors, which is what Go
// does unless -parallel says otherwise: the stories need the processors meanwhile.
func moreAtOnce() error {
	flag.Parse()
	own := false
	flag.Visit(func(f *flag.Flag) { own = own || f.Name == "test.parallel" })
	if own {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(runtime.GOMAXPROCS(0)+waiting))
}

// mainAsBot is main with hurried waits. Each line on its standard input begins a night out
// of turn. It ends with the test, however that ends, since the other end of that does.
func mainAsBot() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nights := make(chan struct{}, 1)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			select {
			case nights <- struct{}{}:
			default: // one is to begin anyway
			}
		}
		os.Exit(exitError)
	}()
	if os.Getenv(asBot) == bareClient {
		_ = acknowledgeAll(ctx) // it ends with whoever measures
		return exitGood
	}
	o := process()
	o.Rollout, o.Night = crashRollout(), nights
	if os.Getenv(asBot) != hurriedBot {
		o.Queue, o.Chat, o.Scan, o.Deploys = crashQueue(), crashChat(), crashScan(), crashDeploys()
	}
	if domain, router, is := strings.Cut(os.Getenv(asBotRouter), " "); is {
		o.Probe = demoProbe(domain, router)
	}
	return run(ctx, os.Args[1:], o)
}

// crashQueue has a lease that a campaign can wait for.
func crashQueue() jobs.Timing {
	return jobs.Timing{
		Lease:     3 * time.Second,
		Look:      500 * time.Millisecond,
		Retry:     200 * time.Millisecond,
		RetryMost: 2 * time.Second,
		Grace:     3 * time.Second,
	}
}

// crashRollout makes the soak of ten minutes 600 ms.
func crashRollout() rollout.Timing {
	return rollout.Timing{
		Hurry:        crashHurry,
		HandOver:     500 * time.Millisecond,
		Blocked:      time.Second,
		Settle:       300 * time.Millisecond,
		Glance:       300 * time.Millisecond,
		ReadBack:     50 * time.Millisecond,
		ReadBackMost: time.Second,
		Retry:        300 * time.Millisecond,
		RetryMost:    2 * time.Second,
		Looks:        []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond},
	}
}

const crashHurry = 1000

// crashDeploys has a watch of ten minutes take ten seconds, on a Heroku whose dynos boot in
// a second and a half. With preboot a hand-over takes as long as a proof needs requests.
func crashDeploys() watch.Timing {
	return watch.Timing{
		Look:    500 * time.Millisecond,
		Save:    400 * time.Millisecond,
		Boot:    1500 * time.Millisecond,
		Preboot: 14 * time.Second,
		Drain:   500 * time.Millisecond,
		Margin:  time.Second, // Heroku tells whole seconds, however much it hurries
		Back:    2 * time.Second,
		Hurry:   60,
	}
}

// crashScan writes down what it has read so often that a kill falls between two chunks.
func crashScan() audit.ScanTiming {
	return audit.ScanTiming{
		Chunk: 60 * time.Millisecond,
		Again: time.Second,
		Retry: 500 * time.Millisecond,
	}
}

// crashChat gives up a request to Slack, and what was being posted, sooner.
func crashChat() chat.Timing {
	return chat.Timing{
		HTTP:     2 * time.Second,
		Unsure:   4 * time.Second,
		Answer:   10 * time.Second,
		Grace:    3 * time.Second,
		Stagger:  200 * time.Millisecond,
		Retry:    100 * time.Millisecond,
		RetryMax: time.Second,
		Again:    time.Second,
		Outage:   time.Second,
	}
}
