//go:build unix

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// replica is one real process of the bot, and those that come after it.
type replica struct {
	number int
	env    []string
	logs   string // folder

	mu         sync.Mutex
	generation int
	cmd        *exec.Cmd
	stdin      io.Writer     // of cmd
	gone       chan struct{} // closed once cmd has ended
	state      replicaState
	fell       []string // how processes ended that nobody had ended
	deaths     []death  // of those that somebody had
}

// death is how long the end of a process took: it was told to at the one moment, and gone
// at the other.
type death struct{ told, gone time.Time }

type replicaState string

const (
	replicaDown    replicaState = "down" // by us
	replicaFell    replicaState = "fell" // by itself
	replicaUp      replicaState = "up"
	replicaStopped replicaState = "stopped" // by SIGSTOP
)

// start runs the next process.
func (r *replica) start(t testing.TB) {
	r.mu.Lock()
	defer r.mu.Unlock()
	program, err := os.Executable()
	if err != nil {
		t.Error(err)
		return
	}
	r.generation++
	log, err := os.Create(filepath.Join(r.logs, fmt.Sprintf("replica-%d-%04d.log", r.number, r.generation)))
	if err != nil {
		t.Error(err)
		return
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(program, "serve")
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = r.env, r.logs, log, log
	// A group of its own: if this test is gone, the kernel wakes a stopped process
	// there with SIGHUP, and it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	r.cmd, r.stdin, r.gone, r.state = cmd, stdin, make(chan struct{}), replicaUp
	go r.await(cmd, stdin, r.gone)
}

// await notes the end of a process.
func (r *replica) await(cmd *exec.Cmd, stdin io.Closer, gone chan struct{}) {
	err := cmd.Wait()
	_ = stdin.Close() // the process that read it has ended
	r.mu.Lock()
	if r.cmd == cmd && r.state != replicaDown {
		r.state = replicaFell
		r.fell = append(r.fell, fmt.Sprintf("replica %d, process %d: ended by itself: %v", r.number, r.generation, err))
	}
	r.mu.Unlock()
	close(gone)
}

// is says how the process is.
func (r *replica) is() replicaState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// kill ends the process at once, and waits until it is gone.
func (r *replica) kill() (killed bool) {
	r.mu.Lock()
	if r.state != replicaUp && r.state != replicaStopped {
		r.mu.Unlock()
		return false
	}
	r.state = replicaDown
	cmd, gone, told := r.cmd, r.gone, time.Now()
	r.mu.Unlock()
	_ = cmd.Process.Kill() // it may be gone
	<-gone
	r.died(told)
	return true
}

func (r *replica) died(told time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaths = append(r.deaths, death{told, time.Now()})
}

// stop and goOn are SIGSTOP and SIGCONT.
func (r *replica) stop() (stopped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != replicaUp || r.cmd.Process.Signal(syscall.SIGSTOP) != nil {
		return false
	}
	r.state = replicaStopped
	return true
}

func (r *replica) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == replicaStopped {
		r.state = replicaUp
		_ = r.cmd.Process.Signal(syscall.SIGCONT) // it may be gone
	}
}

// stopGently is what Heroku does: SIGTERM, and later SIGKILL. It says how the process ended.
func (r *replica) stopGently() error {
	r.mu.Lock()
	if r.state != replicaUp {
		r.mu.Unlock()
		return nil
	}
	r.state = replicaDown
	cmd, gone, told := r.cmd, r.gone, time.Now()
	r.mu.Unlock()
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	<-gone
	r.died(told)
	if code := cmd.ProcessState.ExitCode(); code != exitGood {
		return fmt.Errorf("replica %d ended with %s after SIGTERM", r.number, cmd.ProcessState)
	}
	return nil
}

// killer strikes replicas at random moments, and at bad ones.
type killer struct {
	world    *crashWorld
	replicas []*replica
	rnd      *rand.Rand
	most     int // kills
	pace     pace

	kills, stops, ends int            // SIGKILL, SIGSTOP, SIGTERM
	at                 map[string]int // kills by moment
	rough              []string       // how processes ended that were told to in peace, and did not
}

// pace is how fast a killer is, each at the most.
type pace struct {
	breath time.Duration // for which a bot is left alone between two strikes
	away   time.Duration // for which a killed one stays away
	moment time.Duration // for which the killer waits for the moment that it has chosen
}

// slowPace leaves people time to get on between two kills, quickPace is for few of them.
func slowPace() pace {
	return pace{breath: 1200 * time.Millisecond, away: 600 * time.Millisecond, moment: 2 * time.Second}
}

func quickPace() pace {
	return pace{breath: 450 * time.Millisecond, away: 200 * time.Millisecond, moment: 600 * time.Millisecond}
}

const (
	// connecting is how long at the most the killer waits for a bot that is connected:
	// one that is always killed while it starts does nothing that could go wrong.
	connecting = 30 * time.Second
	// firstDrop is how long the killer waits, before it strikes first, for a watch to have
	// seen something fail: however few the kills are, one of them cuts that one short.
	firstDrop = 15 * time.Second
)

// run strikes until it has killed often enough. Every replica runs when it returns.
func (k *killer) run(t testing.TB) {
	k.at = map[string]int{}
	var resting sync.WaitGroup
	for k.kills < k.most && t.Context().Err() == nil {
		k.revive(t)
		if k.rnd.IntN(8) > 0 {
			k.awaitLink(t)
		}
		var victims []*replica
		if k.kills == 0 {
			victims = k.victimsAt(momentDropped, firstDrop)
		} else {
			time.Sleep(time.Duration(k.rnd.Int64N(int64(k.pace.breath))))
			victims = k.victims()
		}
		switch how := k.rnd.IntN(12); {
		case k.kills == 0:
		case how < 2 && (len(k.replicas) > 1 || k.pace == slowPace()): // a pause that is longer than the lease
			if r := victims[0]; r.stop() {
				k.stops++
				pause := crashQueue().Lease + time.Duration(k.rnd.Int64N(int64(crashQueue().Lease)))
				resting.Go(func() {
					time.Sleep(pause)
					r.goOn()
				})
			}
			continue
		case how == 2: // as each deploy of the bot, and each day of a dyno, ends
			if r := victims[0]; r.is() == replicaUp {
				k.ends++
				if err := r.stopGently(); err != nil {
					k.rough = append(k.rough, err.Error())
				}
				r.start(t)
			}
			continue
		}
		for _, r := range victims {
			if r.kill() {
				k.kills++
				away := time.Duration(k.rnd.Int64N(int64(k.pace.away)))
				resting.Go(func() {
					time.Sleep(away)
					r.start(t)
				})
			}
		}
	}
	resting.Wait()
	k.revive(t)
}

// victims are whom to strike: at a moment that was waited for, or just so.
func (k *killer) victims() []*replica {
	if k.rnd.IntN(3) == 0 {
		return k.struck("any", k.replicas[k.rnd.IntN(len(k.replicas))])
	}
	kinds := k.world.bad()
	return k.victimsAt(kinds[k.rnd.IntN(len(kinds))], k.pace.moment)
}

// victimsAt are victims at a moment, or just so where that does not come within the limit.
func (k *killer) victimsAt(want string, within time.Duration) []*replica {
	chosen := k.replicas[k.rnd.IntN(len(k.replicas))]
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		select {
		case m := <-k.world.moments:
			if m.kind != want {
				continue
			}
			if m.replica >= 0 && m.replica < len(k.replicas) {
				chosen = k.replicas[m.replica]
			}
			if want == momentDropped { // the next snapshot tells of it
				time.Sleep(2 * crashDeploys().Save)
			}
			time.Sleep(time.Duration(k.rnd.Int64N(int64(k.lasts(want)))))
			return k.struck(want, chosen)
		case <-limit.C:
			return k.struck("any", chosen)
		}
	}
}

// struck notes the moment of a strike; now and then all replicas are struck at once.
func (k *killer) struck(kind string, chosen *replica) []*replica {
	k.at[kind]++
	if len(k.replicas) > 1 && k.rnd.IntN(5) == 0 {
		return slices.Clone(k.replicas)
	}
	return []*replica{chosen}
}

// lasts is until when at the latest, after that moment, a kill still falls into it.
func (k *killer) lasts(kind string) time.Duration {
	switch kind {
	case momentScan, momentRelease:
		return 10 * wireMost
	}
	return wireMost / 4
}

// revive starts what has ended by itself.
func (k *killer) revive(t testing.TB) {
	for _, r := range k.replicas {
		if r.is() == replicaFell {
			r.start(t)
		}
	}
}

// awaitLink waits until a bot is connected.
func (k *killer) awaitLink(t testing.TB) {
	until := time.Now().Add(connecting)
	for k.world.slack.Links() == 0 && time.Now().Before(until) && t.Context().Err() == nil {
		time.Sleep(look)
	}
}
