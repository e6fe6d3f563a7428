package main

import (
	"os"

	"golang.org/x/term"
)

// process is the outside of a real process. Colour goes to terminals only, and not
// where NO_COLOR is set (no-color.org) or TERM says that the terminal is dumb.
func process() outside {
	o := outside{Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
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
