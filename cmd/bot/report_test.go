package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
)

// reporting is a run of bot report against the demo's fleet on the fake clock.
type reporting struct {
	outside outside
	heroku  string            // a command to the simulated Heroku first
	env     map[string]string // what is set otherwise
}

func (r reporting) run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		s.policy = "digest: { timezone: Europe/Berlin }"
		maps.Copy(s.env, r.env)
		if r.heroku != "" {
			if _, err := s.control(t.Context(), http.MethodPost, s.herokuURL+"/_control/do", r.heroku); err != nil {
				t.Fatal(err)
			}
		}
		o := r.outside
		var stdout, stderr bytes.Buffer
		o.Getenv, o.Stdout, o.Stderr, o.Dial, o.Width = s.environment, &stdout, &stderr, s.dial, 100
		code = run(t.Context(), append([]string{"report"}, args...), o)
		out, errs = stdout.String(), stderr.String()
	})
	return code, out, errs
}

// The report of the demo's fleet, in each format.
func TestReportFormats(t *testing.T) {
	for format, arg := range map[string]string{"txt": "", "json": "--json", "csv": "--csv", "md": "--markdown"} {
		t.Run(format, func(t *testing.T) {
			var args []string
			if arg != "" {
				args = append(args, arg)
			}
			code, got, errs := reporting{}.run(t, args...)
			if code != exitFindings {
				t.Errorf("got status %d, want %d: %s", code, exitFindings, errs)
			}
			// The moment is told in the machine's own zone.
			got = regexp.MustCompile(`Read 1 Jan 2000 .*, took`).ReplaceAllString(got, "Read NOW, took")
			file := filepath.Join("testdata", "report."+format)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; look at it, then run with -update\ngot:\n%s\nwant:\n%s", file, got, want)
			}
		})
	}
}

// The verdicts of bot report are those that the simulated Heroku holds.
func TestReportTellsTheTruth(t *testing.T) {
	var truth string
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		var err error
		if truth, err = s.control(t.Context(), http.MethodPost, s.herokuURL+"/_control/do", "apps"); err != nil {
			t.Fatal(err)
		}
	})
	_, out, _ := reporting{}.run(t, "--json")
	var got fleetReport
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]string{}
	for _, app := range got.Apps {
		verdicts[app.Name] = strings.ReplaceAll(string(app.Verdict), "-", " ")
		if app.Unread != nil {
			verdicts[app.Name] = "can't be read"
		}
	}
	in := 0
	for line := range strings.Lines(truth) {
		name, _, _ := strings.Cut(line, " ")
		if !strings.Contains(line, "stage=production") && !strings.Contains(line, "stage=none") {
			if verdicts[name] != "" {
				t.Errorf("%s is out of scope and is told as %s", name, verdicts[name])
			}
			continue
		}
		in++
		want := oracle(line)
		if verdicts[name] != want {
			t.Errorf("%s: got %q, want %q", name, verdicts[name], want)
		}
	}
	if got.Coverage.InScope != in || len(got.Apps) != in {
		t.Errorf("got %d apps, %d in scope; want %d", len(got.Apps), got.Coverage.InScope, in)
	}
}

// Exit codes are for cron jobs and CI.
func TestReportStatus(t *testing.T) {
	scope := func(app string) map[string]string {
		return map[string]string{"ZDD_POLICY_YAML": "scope: { include: [" + app + "] }"}
	}
	for name, tt := range map[string]struct {
		reporting
		args []string
		code int
		says string // on either output
	}{
		"all ready":        {reporting: reporting{env: scope("checkout")}, code: exitGood, says: "The one app is ready."},
		"findings":         {code: exitFindings, says: "The fleet now: 9 of 26 apps ready"},
		"unknown":          {reporting: reporting{env: scope("bursty")}, code: exitUnknown, says: "could not be told"},
		"not read":         {reporting: reporting{env: scope("frozen")}, code: exitUnknown, says: "could not be read (suspended)"},
		"nothing to judge": {reporting: reporting{env: scope("seasonal")}, code: exitGood, says: "There is no app with web traffic to protect."},
		"words of chat":    {args: []string{"stage=staging", "team=acme"}, code: exitFindings, says: "Apps of team acme of stage staging now: 0 of 1 app ready"},
		"no such stage":    {args: []string{"--stage", "nowhere"}, code: exitUsage, says: "There is no pipeline stage nowhere"},
		"no such team":     {args: []string{"--team", "nobody"}, code: exitUnknown, says: "I can see no team `nobody` on Heroku"},
		"two formats":      {args: []string{"--json", "--csv"}, code: exitUsage, says: "usage: bot report"},
		"unknown option":   {args: []string{"--owner", "me"}, code: exitUsage, says: "usage: bot report"},
		"a word":           {args: []string{"shop"}, code: exitUsage, says: "usage: bot report"},
		"no token":         {reporting: reporting{env: map[string]string{"HEROKU_API_KEY": ""}}, code: exitError, says: "HEROKU_API_KEY is not set"},
		"token refused":    {reporting: reporting{env: map[string]string{"HEROKU_API_KEY": "HRKU-wrong-wrong-wrong"}}, code: exitError, says: "does not accept my token"},
		"Heroku is down":   {reporting: reporting{heroku: "fault GET /** 503html"}, code: exitUnknown, says: "status.heroku.com"},
		"down, for a tool": {reporting: reporting{heroku: "fault GET /** 503html"}, args: []string{"--json"}, code: exitUnknown, says: `"kind":"unavailable"`},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := tt.run(t, tt.args...)
			if code != tt.code || !strings.Contains(out+errs, tt.says) {
				t.Errorf("got status %d, want %d and %q\n%s%s", code, tt.code, tt.says, out, errs)
			}
		})
	}
}

// Ctrl-C ends with what was read by then, and says that it is not all.
func TestReportInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		if _, err := s.control(t.Context(), http.MethodPost, s.herokuURL+"/_control/do", "latency 2s"); err != nil {
			t.Fatal(err)
		}
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		time.AfterFunc(25*time.Second, interrupt)
		var out, errs bytes.Buffer
		s.policy = "heroku: { parallel: 1 }"
		code := run(ctx, []string{"report", "--json"}, outside{Getenv: s.environment, Stdout: &out, Stderr: &errs, Dial: s.dial})
		var got fleetReport
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v\n%s\n%s", err, out.String(), errs.String())
		}
		if !got.Partial || got.Coverage.Judged == 0 || got.Coverage.Judged == got.Coverage.InScope || got.Coverage.Unread["out of time"] == 0 {
			t.Errorf("got partial %t, coverage %+v", got.Partial, got.Coverage)
		}
		if code != exitFindings && code != exitUnknown {
			t.Errorf("got status %d", code)
		}
		if !strings.Contains(errs.String(), "interrupted") || !strings.Contains(errs.String(), " apps, 20s\n") {
			t.Errorf("got on stderr: %s", errs.String())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		ctx, interrupt := context.WithCancel(t.Context())
		interrupt()
		var out, errs bytes.Buffer
		if code := run(ctx, []string{"report"}, outside{Getenv: s.environment, Stdout: &out, Stderr: &errs, Dial: s.dial}); code != exitUnknown || out.Len() > 0 || !strings.Contains(errs.String(), "before anything was read") {
			t.Errorf("got status %d, %q, %q", code, out.String(), errs.String())
		}
	})
}

// A terminal shows a bar that leaves nothing behind, a log nothing for a short report.
func TestReportMeter(t *testing.T) {
	_, _, errs := reporting{outside: outside{Meter: true}, heroku: "latency 300ms"}.run(t)
	for _, want := range []string{"░ reading the lists, 0s", "█", " of 29 apps, "} {
		if !strings.Contains(errs, want) {
			t.Errorf("got %q, want %q in it", errs, want)
		}
	}
	if !strings.HasSuffix(errs, "\r\x1b[K") || strings.Contains(errs, "\n") {
		t.Errorf("got %q, want a bar on one line that is gone in the end", errs)
	}
	if _, _, errs := (reporting{}).run(t); errs != "" {
		t.Errorf("got %q on a log, want nothing for a report that takes no time", errs)
	}
}

// A spreadsheet can read the CSV, and Markdown keeps what others wrote as text.
func TestReportIsInert(t *testing.T) {
	_, out, _ := reporting{}.run(t, "--csv")
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) < 20 {
		t.Errorf("got %d rows, %v", len(rows), err)
	}
	read := audit.Fleet{
		Coverage: audit.Coverage{Seen: 1, InScope: 1, Judged: 1, Gaps: []string{"a <b> | @dana"}},
		Counts:   audit.Counts{NotReady: 1},
		Standings: []audit.Standing{{Name: "a`|b", Team: "[x](y) | <img> @dana\n# h", Verdict: audit.VerdictNotReady, Marks: []audit.Mark{
			{Check: "preboot", Outcome: audit.Fail, Required: true, Evidence: "it is `off` | *so*\n| x |"},
		}}},
	}
	got := markdownReport(read, commands.FleetView{})
	want := "| `a'¦b` | \\[x\\](y) \\| &lt;img> @\u200bdana \\# h | not ready | it is `off` \\| \\*so\\* \\| x \\| | not known |\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("got:\n%s\nwant at its end:\n%s", got, want)
	}
	if strings.Contains(got, "@dana") || strings.Contains(got, "<b>") {
		t.Errorf("got:\n%s", got)
	}
}
