package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/zdd/watch"
)

// The programs of a terminal tell what the bot's watches of deploys have shown, where they
// find its database.
func TestProofsAreToldEverywhere(t *testing.T) {
	story, err := openStory("testdata/scenarios/deploy-watch.txt")
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
		bot := func(line string) string {
			var stdout, stderr bytes.Buffer
			run(t.Context(), strings.Fields(line), outside{Getenv: s.environment, Stdout: &stdout, Stderr: &stderr, Dial: s.dial, Width: 100})
			if stderr.Len() > 0 {
				t.Errorf("bot %s: got %s", line, &stderr)
			}
			return stdout.String()
		}
		var status struct{ Proof *watch.Proof }
		if err := json.Unmarshal([]byte(bot("status shop --json")), &status); err != nil || status.Proof == nil || status.Proof.Watch != "D-2" || status.Proof.Verdict != watch.Proved || status.Proof.Release != 14 {
			t.Errorf("bot status --json: got %+v, %v, want v14 proved by D-2", status.Proof, err)
		}
		var report fleetReport
		if err := json.Unmarshal([]byte(bot("report --json")), &report); err != nil {
			t.Fatal(err)
		}
		for _, app := range report.Apps {
			if got, want := app.Proof != nil, app.Name == "shop"; got != want {
				t.Errorf("bot report --json: %s has a proof: got %t, want %t", app.Name, got, want)
			}
		}
		for line, want := range map[string]string{
			"status shop":       "v14, 6 minutes ago",
			"status catalog":    "never watched",
			"report":            "1 of 10 ready apps proved by the last watched deploy",
			"report --csv":      ",D-2,proved,14,2000-01-01T",
			"report --markdown": "| $50.00 | never watched |",
		} {
			if out := bot(line); !strings.Contains(out, want) {
				t.Errorf("bot %s: got no %q in\n%s", line, want, out)
			}
		}
	})
}
