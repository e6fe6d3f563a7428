//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The stories of watches of deploys.
const (
	storyWatchDrop  = "watch a deploy that drops requests"
	storyWatchClean = "watch a deploy that drops nothing"
	storyWatchProve = "watch a deploy with preboot"
	storyWatchStop  = "watch, ended by somebody while it runs"
	storyWatchTwins = "two people have one app watched at the same moment"
)

// withWatches is the apps with one more after each second of them, whose deploys are watched.
func withWatches(apps []crashApp) (all []crashApp) {
	turns := []string{storyWatchDrop, storyWatchTwins, storyWatchStop, storyWatchDrop, storyWatchClean, storyWatchTwins, storyWatchProve}
	for i, a := range apps {
		if i%2 == 0 {
			all = append(all, watchedApp(i/2+1, turns[i/2%len(turns)]))
		}
		all = append(all, a)
	}
	return all
}

func watchedApp(n int, story string) crashApp {
	a := crashApp{name: fmt.Sprintf("live-%04d", n), story: story, shape: "web=2 size=standard-1x affinity=on version=header"}
	switch story {
	case storyWatchDrop, storyWatchTwins: // the new dynos answer 503 for half a second
		a.shape += " boot=1500ms bind=early"
	case storyWatchProve:
		a.shape += " preboot=on"
	}
	return a
}

// watched says whether the story is one of watches, in which the bot changes nothing.
func (a crashApp) watched() bool { return strings.HasPrefix(a.name, "live-") }

// watchHeading is the first line of a message about a watch, or of the answer to who asked for one.
var watchHeading = regexp.MustCompile(`(?m)^\W*(D-[0-9]+) · (\S+): (.+?)\W*$`)

// playWatch lives through a story of watches: people ask for one, deploy once they are told
// that it has begun, and wait for the verdict. Who is told that it was cut short tries
// once more.
func (p *crowd) playWatch(ctx context.Context, n int, a crashApp) error {
	who, other := crashAsker(n%crashAskers), crashAsker((n+1)%crashAskers)
	line := "watch " + a.name + " for=5m" // five seconds here
	if a.story == storyWatchStop {
		line = "watch " + a.name + " for=30m"
	}
	for range 2 {
		var also sync.WaitGroup
		var twin error
		if a.story == storyWatchTwins {
			begun := time.Now()
			also.Go(func() { // there is one watch, whoever is faster
				err := p.insist(ctx, "type "+other+" #general /zdd "+line, press{who: other, did: "ask", app: a.name}, func() bool { return p.told(other, begun, a.name) })
				if err != nil {
					twin = err
				}
			})
		}
		id, err := p.askFor(ctx, who, line, a.name, a.name)
		also.Wait()
		if err := errors.Join(err, twin); err != nil {
			return err
		}
		p.await(ctx, patience, func() bool { return p.sees(id).state >= seenRunning })
		if p.sees(id).state == seenRunning {
			if err := p.deploy(a.name); err != nil {
				return err
			}
		}
		if a.story == storyWatchStop {
			p.dither(2 * time.Second)
			err = p.insist(ctx, "type approver #general /zdd cancel "+id, press{who: "approver", did: "cancel", ticket: id}, func() bool { return p.sees(id).state == seenOver })
		} else {
			err = p.over(ctx, id)
		}
		if err != nil || !p.patient || p.world.calm.Load() || !p.shows(id, cutShort) {
			return err
		}
	}
	return nil
}

// cutShort is what people are told of a watch that the bot did not outlive.
const cutShort = "the bot was restarted in the middle of it"

// deploy is what a developer does, whom nobody asks to wait for anything.
func (p *crowd) deploy(app string) error {
	_, err := p.world.heroku.Do("deploy " + app + " by dev@acme.example")
	p.world.happened(momentRelease, -1)
	return err
}

// shows says whether a message about a watch has ever told that.
func (p *crowd) shows(id, words string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slices.Backward(p.events) {
		if e.By != "bot" || !strings.Contains(e.Text, words) {
			continue
		}
		if found := watchHeading.FindStringSubmatch(e.Text); found != nil && found[1] == id {
			return true
		}
	}
	return false
}

// probeRun is requests of probes for one app that reached the router by one replica, one
// soon after the other.
type probeRun struct {
	app      string
	replica  int
	from, to time.Time
	n        int
}

// probeGap is a pause between two requests for one app after which they are two runs: ten
// times that between two that are sent on time.
const probeGap = 500 * time.Millisecond

// serveApps is the router, by the door of one replica.
func (w *crashWorld) serveApps(replica int, rw http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.UserAgent(), "zdd-probe") {
		label, _, _ := strings.Cut(r.Host, ".")
		w.probed(label[:max(0, strings.LastIndexByte(label, '-'))], replica)
		rw = &probed{rw, func(status int) {
			if status >= http.StatusInternalServerError {
				w.happened(momentDropped, replica)
			}
		}}
	}
	w.heroku.Router().ServeHTTP(rw, r)
}

// probed tells with what a probe's request is answered.
type probed struct {
	http.ResponseWriter
	told func(status int)
}

func (p *probed) WriteHeader(status int) {
	p.told(status)
	p.ResponseWriter.WriteHeader(status)
}

func (w *crashWorld) probed(app string, replica int) {
	now := time.Now()
	w.probing.Store(now.UnixNano())
	w.mu.Lock()
	i := len(w.probes) - 1
	for i >= 0 && (w.probes[i].app != app || w.probes[i].replica != replica) {
		i--
	}
	if i < 0 || now.Sub(w.probes[i].to) > probeGap {
		w.probes = append(w.probes, probeRun{app: app, replica: replica, from: now})
		i = len(w.probes) - 1
	}
	w.probes[i].to = now
	w.probes[i].n++
	w.mu.Unlock()
	w.happened(momentProbed, replica)
}
