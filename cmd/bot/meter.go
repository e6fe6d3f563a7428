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

// meter shows on stderr how far something is. stop ends it; nothing is left of a bar.
type meter struct {
	w     io.Writer
	bar   bool // w is a terminal
	line  func() (text string, full float64)
	ended chan struct{}
	wg    sync.WaitGroup
}

// newMeter begins to show what line says, which is how far it is in words and from 0 to 1.
func newMeter(o outside, line func() (text string, full float64)) *meter {
	m := &meter{w: o.Stderr, bar: o.Meter, line: line, ended: make(chan struct{})}
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

func (m *meter) draw() {
	text, full := m.line()
	if !m.bar {
		fmt.Fprintln(m.w, "bot:", text)
		return
	}
	n := int(max(0, min(1, full)) * meterWide)
	fmt.Fprintf(m.w, "\r%s%s %s\x1b[K", strings.Repeat("█", n), strings.Repeat("░", meterWide-n), text)
}

func (m *meter) stop() {
	close(m.ended)
	m.wg.Wait()
	if m.bar {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}
