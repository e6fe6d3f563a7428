// Package figures writes down what a benchmark measured: a line for each figure in the
// test's output, and the whole as one section of docs/benchmarks.md, with the command,
// the date, the machine and the commit. It measures nothing itself, judges nothing and
// asserts nothing: a duration is no test.
//
// Invariant: only what lies between a section's own two markers is ever rewritten, and
// only by a run of full length, so that the page's figures are never those of a trial.
package figures

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// Variable of the environment asks for benchmarks: 1 for all of their length, which
	// is written down, or short for a trial, which is only printed.
	Variable = "ZDD_BENCH"
	// page is where sections are, below the module's folder.
	page = "docs/benchmarks.md"
	// maxPage bounds what is read of it, in bytes.
	maxPage = 4 << 20
)

// Run is one benchmark under way. Make it with [Begin].
type Run struct {
	t       testing.TB
	section string
	command string
	begun   time.Time
	load    string
	lines   []string
	full    bool
}

// Begin skips the test unless benchmarks are asked for. section names the part of the
// page that it writes, and command is what a person types to have it written again.
func Begin(t testing.TB, section, command string) *Run {
	t.Helper()
	how := os.Getenv(Variable)
	if how != "1" && how != "short" {
		t.Skipf("set %s=1 (or short) to measure; `make bench` does", Variable)
	}
	return &Run{t: t, section: section, command: command, begun: time.Now(), load: loadOf(), full: how == "1"}
}

// Length is full where this run is to be written down, and trial else.
func (r *Run) Length(full, trial time.Duration) time.Duration {
	if r.full {
		return full
	}
	return trial
}

// Count is Length for counts.
func (r *Run) Count(full, trial int) int {
	if r.full {
		return full
	}
	return trial
}

// Line adds a line of Markdown, and prints it.
func (r *Run) Line(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.lines = append(r.lines, line)
	r.t.Log(line)
}

// Done writes the section, if the run was of full length and nothing failed.
func (r *Run) Done() {
	r.t.Helper()
	if !r.full || r.t.Failed() {
		return
	}
	root, err := module()
	if err != nil {
		r.t.Fatal(err)
	}
	head := fmt.Sprintf("    %s\n\n%s, commit %s, %s, %s; load of the machine before it: %s; took %s.\n\n",
		r.command, r.begun.Format("2006-01-02 15:04"), commit(root), machine(), runtime.Version(), r.load, time.Since(r.begun).Round(time.Second))
	if err := Write(filepath.Join(root, page), r.section, head+strings.Join(r.lines, "\n")+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

// Write replaces what lies between the markers of a section; a page without them gets
// them at its end.
func Write(file, section, text string) error {
	if info, err := os.Stat(file); err == nil && info.Size() > maxPage {
		return fmt.Errorf("write figures: %s is larger than %d bytes", file, maxPage)
	}
	old, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	begin, end := "<!-- figures: "+section+" -->\n", "<!-- end of "+section+" -->\n"
	before, rest, found := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	switch {
	case found && !closed:
		return fmt.Errorf("write figures: %s has %q and not %q", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	case !found:
		before = strings.TrimRight(before, "\n") + "\n\n"
	}
	fresh := before + begin + text + end + after
	if err := os.WriteFile(file, []byte(fresh), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// Quantile is the smallest of the durations that so great a part of them does not exceed,
// by nearest rank; 0 of none. Part is above 0 and at most 1. The durations are sorted in place.
func Quantile(all []time.Duration, part float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	rank := int(math.Ceil(part * float64(len(all))))
	return all[min(max(rank, 1), len(all))-1]
}

// Millis is a duration in milliseconds, with as many decimals as three digits need.
func Millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// module is the folder of go.mod: a test runs in its package's.
func module() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module: there is no go.mod above this folder")
		}
		dir = parent
	}
	return "", fmt.Errorf("find the module: %w", err)
}

// commit is the newest one, with a word where the checkout has other code.
func commit(root string) string {
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	newest := cmp.Or(git("rev-parse", "--short", "HEAD"), "unknown")
	if git("status", "--porcelain", "--", "*.go", "go.mod", "conformance") != "" {
		newest += " with changes"
	}
	return newest
}

// machine is how many processors of which kind there are.
func machine() string {
	model := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if name, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores (%s)", runtime.NumCPU(), model)
}

// loadOf is how many tasks ran or wanted to, on average over the last minute: above the number
// of cores, the machine had other things to do.
func loadOf() string {
	text, err := os.ReadFile("/proc/loadavg")
	if errors.Is(err, fs.ErrNotExist) {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return cmp.Or(one, "unknown")
}
