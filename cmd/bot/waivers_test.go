package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
	"example.com/zdd/store"
)

// Every program that judges goes by the waivers of the bot's database, with or without
// Slack: the story walks the paths of serve, the rest of the test those of a terminal.
func TestWaiversCountEverywhere(t *testing.T) {
	story, err := openStory("testdata/scenarios/waiver-everywhere.txt")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		story.set(s)
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := story.Run(t.Context(), s.world(sleep, func(string) {})); err != nil {
			t.Fatal(err)
		}
		bot := func(args ...string) (code int, out, errs string) {
			var stdout, stderr bytes.Buffer
			code = run(t.Context(), args, outside{Getenv: s.environment, Stdout: &stdout, Stderr: &stderr, Dial: s.dial, Width: 100})
			return code, stdout.String(), stderr.String()
		}
		code, out, errs := bot("status", "checkout", "--json")
		var status audit.Report
		if err := json.Unmarshal([]byte(out), &status); err != nil || code != exitGood || errs != "" {
			t.Fatalf("bot status: got code %d, %v, %s", code, err, errs)
		}
		if f, _ := status.Finding("preboot"); status.Verdict != audit.VerdictReady || f.Outcome != audit.Fail || f.Waived == nil || f.Waived.ID != "W-1" {
			t.Errorf("bot status: got %s, and preboot %s waived by %v, want ready with a failing preboot waived by W-1", status.Verdict, f.Outcome, f.Waived)
		}
		if code, out, _ := bot("status", "checkout"); code != exitGood || !strings.Contains(out, "with one check waived") {
			t.Errorf("bot status: got code %d and\n%s", code, out)
		}
		code, out, errs = bot("report", "--json")
		var report fleetReport
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitGood || errs != "" {
			t.Fatalf("bot report: got code %d, %v, %s", code, err, errs)
		}
		i := slices.IndexFunc(report.Apps, func(a fleetApp) bool { return a.Name == "checkout" })
		j := slices.IndexFunc(report.Apps[i].Checks, func(c fleetCheck) bool { return c.ID == "preboot" })
		if w := report.Apps[i].Checks[j].Waived; report.Counts.Waived != 1 || w == nil || w.ID != "W-1" || w.By != "U0REQUESTER" {
			t.Errorf("bot report: got %d apps of which something is waived, and %v", report.Counts.Waived, w)
		}
		for arg, want := range map[string]string{"--csv": "preboot: W-1 until 2000-03-02T00:00:00Z", "--markdown": "something of 1 app", "": "something of 1 app"} {
			if _, out, _ := bot(strings.Fields("report " + arg)...); !strings.Contains(out, want) {
				t.Errorf("bot report %s: got no %q in\n%s", arg, want, out)
			}
		}
		// Who has no key can't prove a waiver: it counts for nothing, and that is said.
		s.env["ZDD_LEDGER_KEY"] = ""
		code, _, errs = bot("status", "checkout", "--json")
		if code != exitFindings || !strings.Contains(errs, "ZDD_LEDGER_KEY is not set here") || !strings.Contains(errs, "W-1 waives nothing here") {
			t.Errorf("bot status without the key: got code %d and %q, want %d and why", code, errs, exitFindings)
		}
		// A database that can't be read is no reason not to answer, and is said.
		broken := filepath.Join(t.TempDir(), "broken.db")
		if err := os.WriteFile(broken, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		s.env["DATABASE_URL"] = "sqlite:" + broken
		for _, args := range [][]string{{"status", "checkout"}, {"status", "checkout", "--json"}, {"report"}} {
			code, out, errs := bot(args...)
			if code != exitFindings || !strings.Contains(out+errs, "aivers") {
				t.Errorf("bot %s without its database: got code %d and\n%s%s", strings.Join(args, " "), code, out, errs)
			}
		}
	})
}

// TestNobodyJudgesWithoutWaivers holds the source to it: whoever judges apps, in the
// programs or for a person, takes the rules from the reader of waivers. A policy's own
// rules are for plans, which are made as if nothing were waived, and for the places that
// are listed here with their reason.
func TestNobodyJudgesWithoutWaivers(t *testing.T) {
	allowed := map[string]int{
		"commands/propose.go":     1, // plans
		"commands/enable.go":      1, // plans
		"commands/form_enable.go": 1, // plans
		"commands/waive.go":       1, // what the check says just now, whatever is waived
		"commands/status.go":      2, // where there are none, or they can't be read, which status says
		"cmd/bot/waivers.go":      3, // likewise on a terminal; and what still fails when a window is over
		"cmd/bot/status.go":       1, // likewise
		"cmd/bot/deploys.go":      1, // likewise, for what explains a deploy that was dropped
	}
	found, configs := map[string]int{}, 0
	root := os.DirFS("../..")
	for _, dir := range []string{"commands", "chat", "cmd/bot"} {
		files, err := fs.Glob(root, dir+"/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := fs.ReadFile(root, file)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), path.Base(file), text, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					f, ok := n.Fun.(*ast.SelectorExpr)
					of, known := ast.Expr(nil), false
					if ok && f.Sel.Name == "For" && len(n.Args) == 1 {
						of, known = f.X, true
					}
					if id, is := of.(*ast.Ident); known && (!is || id.Name != "plan") {
						found[file]++
					}
				case *ast.CompositeLit:
					if of, ok := n.Type.(*ast.SelectorExpr); ok && slices.Contains([]string{"Collector", "ScanConfig", "WatchConfig"}, of.Sel.Name) {
						configs++
						if !slices.ContainsFunc(n.Elts, func(e ast.Expr) bool {
							kv, ok := e.(*ast.KeyValueExpr)
							return ok && kv.Key.(*ast.Ident).Name == "Rules"
						}) {
							t.Errorf("%s: a %s without Rules judges without waivers", file, of.Sel.Name)
						}
					}
				}
				return true
			})
		}
	}
	for file, n := range found {
		if n > allowed[file] {
			t.Errorf("%s takes the rules of an app from the policy %d times, and may %d times: judge by the rules of approval.WaiverReader, or add the reason here", file, n, allowed[file])
		}
	}
	if configs < 4 || len(found) < 4 {
		t.Errorf("found %d collectors, scanners and watchers, and rules in %d files: looked in the wrong place", configs, len(found))
	}
}

// TestVerdictWithoutWaivers: where waivers can't be read, nobody takes an app for not ready
// that may be waived.
func TestVerdictWithoutWaivers(t *testing.T) {
	for name, tt := range map[string]struct {
		app, want string
		broken    bool
	}{
		"ready":                             {"standard-1x web=2 affinity preboot", "ready", false},
		"not ready":                         {"standard-1x web=2 affinity", "not-ready", false},
		"ready, and waivers can't be read":  {"standard-1x web=2 affinity preboot", "ready", true},
		"not ready, and they can't be read": {"standard-1x web=2 affinity", "unknown", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &waiverWork{now: fleettest.ReadAt, log: slog.New(slog.DiscardHandler)}
			w.WaiverReader = &approval.WaiverReader{Store: noWaivers{broken: tt.broken}, Policy: fixed{policy.Default()}.Policy}
			if got := w.verdict(t.Context(), fleettest.App(tt.app)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// noWaivers is a database without waivers, or one that does not answer.
type noWaivers struct {
	*store.Store
	broken bool
}

func (n noWaivers) Waivers(context.Context, approval.WaiverFilter) ([]policy.Waiver, error) {
	if n.broken {
		return nil, errors.New("the database is away")
	}
	return nil, nil
}
