package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/term"
)

// process is the outside of a real process. Colour goes to terminals only, and not
// where NO_COLOR is set (no-color.org) or TERM says that the terminal is dumb.
func process() outside {
	o := outside{Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Started: giveBack}
	if out := int(os.Stdout.Fd()); term.IsTerminal(out) {
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(out); err == nil {
			o.Width = width
		}
		o.Prompt = term.IsTerminal(int(os.Stdin.Fd()))
		o.Browse = browser()
	}
	o.Meter = term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb"
	return o
}

// giveBack has the memory go that only the start needed: goose takes 4 MiB for each
// migration that it reads, and with these the heap could grow to 34 MiB before it is
// collected, where 4 do. It waits until the links are up, so that the start is no slower.
func giveBack() {
	time.AfterFunc(6*time.Second, func() {
		runtime.GC() // twice, because what lies in a pool survives the first time
		debug.FreeOSMemory()
	})
}
