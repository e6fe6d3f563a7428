package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if revision != "" {
		return revision + dirty
	}
	if info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionProgram(_ context.Context, args []string, o outside) error {
	if len(args) > 0 {
		return usage("version")
	}
	_, err := fmt.Fprintf(o.Stdout, "zdd %s (%s %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
