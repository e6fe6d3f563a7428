package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// meterLook is how often a terminal's progress bar is drawn: it moves, and costs nothing.
	meterLook = 200 * time.Millisecond
	// meterLine is how often progress is told where there is no terminal: a CI job's log
	// shows that it lives, and is not filled.
	meterLine = 10 * time.Second
	meterWide = 24 // characters of the bar
)

// meter shows on stderr how far a report is. stop ends it; nothing is left of a bar.
type meter struct {
	w     io.Writer
	bar   bool // w is a terminal
	now   func() time.Time
	begun time.Time
	ended chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	done, of int
}

func newMeter(o outside) *meter {
	m := &meter{w: o.Stderr, bar: o.Meter, now: o.now, begun: o.now(), ended: make(chan struct{})}
	every := meterLine
	if m.bar {
		every = meterLook
		m.draw()
	}
	m.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-m.ended:
				return
			case <-tick.C:
				m.draw()
			}
		}
	})
	return m
}

// set says how far it is: done of so many apps.
func (m *meter) set(done, of int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done, m.of = done, of
}

func (m *meter) draw() {
	m.mu.Lock()
	done, of := m.done, m.of
	m.mu.Unlock()
	took := m.now().Sub(m.begun).Round(time.Second)
	text := fmt.Sprintf("reading the lists, %s", took)
	if of > 0 {
		text = fmt.Sprintf("%d of %d apps, %s", done, of, took)
	}
	if !m.bar {
		fmt.Fprintln(m.w, "bot:", text)
		return
	}
	full := 0
	if of > 0 {
		full = min(done, of) * meterWide / of
	}
	fmt.Fprintf(m.w, "\r%s%s %s\x1b[K", strings.Repeat("█", full), strings.Repeat("░", meterWide-full), text)
}

func (m *meter) stop() {
	close(m.ended)
	m.wg.Wait()
	if m.bar {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}
