package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/zdd/watch"
)

// watched is a run of bot watch against the demo's fleet and its router on the fake clock.
type watched struct {
	args   string
	policy string        // default: nothing
	before string        // a line to the simulated Heroku, before it begins
	then   string        // one a minute after it began
	stop   time.Duration // Ctrl-C, after it began; 0: never
	meter  bool          // stderr is a terminal
}

func (r watched) run(t *testing.T) (code int, out, errs string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		s.policy = r.policy
		do := func(line string) {
			if _, err := s.control(t.Context(), http.MethodPost, s.herokuURL+"/_control/do", line); line != "" && err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
		do(r.before)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			time.Sleep(time.Minute)
			do(r.then)
			if r.stop > 0 {
				time.Sleep(r.stop - time.Minute)
				stop()
			}
		}()
		var stdout, stderr bytes.Buffer
		code = run(ctx, append([]string{"watch"}, strings.Fields(r.args)...), outside{Getenv: s.environment, Stdout: &stdout, Stderr: &stderr, Dial: s.dial, Probe: s.probe, Width: 100, Meter: r.meter})
		out, errs = stdout.String(), stderr.String()
		<-ended
	})
	return code, out, errs
}

func TestWatchProgram(t *testing.T) {
	for name, c := range map[string]struct {
		watched
		code int
		says string // on stdout
		errs string // and on stderr, a regular expression
	}{
		"proved":          {watched{args: "checkout --for 5m", then: "deploy checkout"}, exitGood, "proved", `bot: (4:59|5:00) of 7:0`},
		"failed":          {watched{args: "shop for=2m", before: "app shop boot=20s shutdown=abrupt", then: "deploy shop"}, exitFindings, "failed", ""},
		"no release":      {watched{args: "--for=2m shop"}, exitUnknown, "No release was made", `bot: 1:(49|50) of 2:00, 4[34]\d requests, none failed, no release yet\n`},
		"interrupted":     {watched{args: "shop --for 10m", stop: 90 * time.Second}, exitUnknown, "it was interrupted", ""},
		"on Eco":          {watched{args: "hobbyist"}, exitError, "", "a probe would keep it awake"},
		"in maintenance":  {watched{args: "maintained"}, exitError, "", "maintained is in maintenance mode"},
		"out of scope":    {watched{args: "shop", policy: "scope: { teams: [labs] }"}, exitError, "", "the policy's scope leaves it out"},
		"no such app":     {watched{args: "shpo"}, exitError, "", "Did you mean `shop`"},
		"suspended":       {watched{args: "frozen"}, exitUnknown, "", "is suspended by Heroku"},
		"no app":          {watched{args: "--json"}, exitUsage, "", "usage: bot watch APP"},
		"two apps":        {watched{args: "shop checkout"}, exitUsage, "", "usage: bot watch APP"},
		"no such flag":    {watched{args: "shop --rate 5"}, exitUsage, "", "usage: bot watch APP"},
		"no length":       {watched{args: "shop --for soon"}, exitUsage, "", `--for is "soon"; write it like 10m, from 2m to 60m`},
		"too short":       {watched{args: "shop --for 1m"}, exitUsage, "", "from 2m to 60m"},
		"too long":        {watched{args: "shop --for 2h"}, exitUsage, "", "from 2m to 60m"},
		"policy mistaken": {watched{args: "shop", policy: "watch: { lasts: 1s }"}, exitError, "", "watch.lasts"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := c.run(t)
			if code != c.code || !strings.Contains(out, c.says) || !regexp.MustCompile(c.errs).MatchString(errs) || strings.Contains(out+errs, "\x1b") {
				t.Errorf("got code %d, stdout\n%s\nstderr\n%s\nwant %d, %q and %q", code, out, errs, c.code, c.says, c.errs)
			}
			began := "bot: watching " + strings.TrimPrefix(strings.Fields(strings.ReplaceAll(c.args, "--for=2m ", ""))[0], "--")
			if measured := c.says != ""; measured != strings.Contains(errs, began) || measured != strings.Contains(errs, "Deploy now.\n") {
				t.Errorf("got stderr\n%s\nwant it to say when to deploy, if it watches at all", errs)
			}
		})
	}
}

// --json prints the whole watch, and nothing else on stdout.
func TestWatchProgramInJSON(t *testing.T) {
	code, out, errs := watched{args: "shop --json --for 2m", before: "app shop boot=20s shutdown=abrupt", then: "deploy shop"}.run(t)
	var w watch.Watch
	if err := json.Unmarshal([]byte(out), &w); err != nil || code != exitFindings || w.Verdict != watch.Failed || w.Name != "shop" || w.In.Failed() == 0 || len(w.Reasons) == 0 || w.ID != "" {
		t.Errorf("got code %d, %v, %s\n%s\nwant a watch that failed", code, err, errs, out)
	}
	if strings.Count(errs, "\n") < 10 {
		t.Errorf("got stderr\n%s\nwant a line each ten seconds", errs)
	}
	code, out, _ = watched{args: "hobbyist --json"}.run(t)
	var refused struct {
		Error struct{ Kind, Message string }
	}
	if err := json.Unmarshal([]byte(out), &refused); err != nil || code != exitError || !strings.Contains(refused.Error.Message, "Eco") {
		t.Errorf("got code %d, %v\n%s\nwant a refusal", code, err, out)
	}
}

// On a terminal one line is drawn again and again, and is gone in the end.
func TestWatchProgramOnATerminal(t *testing.T) {
	_, out, errs := watched{args: "shop --for 2m", then: "deploy shop", meter: true}.run(t)
	lines := strings.Split(errs, "\n")
	if len(lines) != 2 || !strings.HasSuffix(errs, "\r\x1b[K") || !strings.Contains(errs, "░ 0:30 of 2:00, 1") || !strings.Contains(errs, ", v") || strings.Contains(out, "\r") {
		t.Errorf("got %d lines on stderr, want one that is drawn anew; the last:\n%q", len(lines), lines[len(lines)-1][max(0, len(lines[len(lines)-1])-300):])
	}
}

// What docs/deploy-pipeline.md tells people to run can be: its lines of bot watch are taken,
// its scripts and its YAML can be read, and what they wait for is what the program prints.
func TestPipelineDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/deploy-pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	var scripts []string
	for _, m := range regexp.MustCompile("(?s)\n```(yaml)?\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if m[1] == "" {
			scripts = append(scripts, m[2])
			continue
		}
		var flow struct {
			Jobs map[string]struct{ Steps []struct{ Run string } }
		}
		if err := yaml.Unmarshal([]byte(m[2]), &flow); err != nil {
			t.Fatal(err)
		}
		for _, step := range flow.Jobs["deploy"].Steps {
			if strings.Contains(step.Run, "watch") {
				scripts = append(scripts, step.Run)
			}
		}
	}
	if len(scripts) != 2 {
		t.Fatalf("got %d scripts that watch, want two", len(scripts))
	}
	for _, script := range append(scripts, watchHelp) {
		m := regexp.MustCompile(`bot"? watch ([^>]*)>.*2>watch\.log`).FindStringSubmatch(script)
		if m == nil || !strings.Contains(script, "grep -q 'Deploy now' watch.log") {
			t.Errorf("got\n%s\nwant it to begin a watch, and to wait until it has begun", script)
			continue
		}
		if _, err := parseWatch(strings.Fields(m[1])); err != nil {
			t.Errorf("bot watch %s: %v", m[1], err)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	for _, script := range scripts {
		check := exec.CommandContext(t.Context(), bash, "-n")
		check.Stdin = strings.NewReader(script)
		if said, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v: %s in\n%s", err, said, script)
		}
	}
}
