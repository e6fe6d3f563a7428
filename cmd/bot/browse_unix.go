//go:build unix

package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// opener is the command that opens an address on this machine's desktop, or "" where there
// is none: a browser that opens on a server, or in a terminal, helps nobody.
func opener(system string, getenv func(string) string) string {
	switch {
	case getenv("SSH_CONNECTION") != "": // the desktop is another machine's
		return ""
	case system == "darwin":
		return "open"
	case getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != "":
		return "xdg-open"
	}
	return ""
}

// browser opens addresses on the desktop; nil where there is none.
func browser() func(address string) error {
	path, err := exec.LookPath(opener(runtime.GOOS, os.Getenv))
	if err != nil {
		return nil
	}
	return func(address string) error {
		cmd := exec.Command(path, address)
		// What it starts may be the person's browser itself. It gets a session of its own, so
		// that the Ctrl-C that ends the demo does not end it, and nobody waits for it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		return cmd.Process.Release()
	}
}
