package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
)

var update = flag.Bool("update", false, "rewrite the generated documents and goldens")

// The documents that can be generated are: this test fails when one is not current.
func TestDocumentsAreCurrent(t *testing.T) {
	for name, want := range map[string]string{
		"commands.md":      commandsDoc(),
		"checks.md":        checksDoc(),
		"configuration.md": configurationDoc(),
	} {
		file := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, []byte(want)) {
			t.Errorf("docs/%s is not current: run go test ./cmd/bot -run TestDocumentsAreCurrent -update", name)
		}
	}
}

const generated = "<!-- Made by go test ./cmd/bot -run TestDocumentsAreCurrent -update; edit the Go tables instead. -->\n"

func commandsDoc() string {
	var b strings.Builder
	b.WriteString("# Commands\n\n" + generated + "\nType them after `/zdd`, after a mention of the bot in a channel or thread, or alone in a direct message.\n")
	for _, c := range commands.New(commands.Deps{}).Commands() {
		fmt.Fprintf(&b, "\n## `%s`\n\n%s.\n\n%s\n", c.Usage, strings.ToUpper(c.Summary[:1])+c.Summary[1:], c.Help)
		for _, o := range c.Options {
			fmt.Fprintf(&b, "\n- `%s=`: %s", o.Name, o.Summary)
		}
		b.WriteString("\n```\n")
		for _, e := range c.Example {
			b.WriteString("/zdd " + e + "\n")
		}
		b.WriteString("```\n")
	}
	b.WriteString("\n# Programs\n\n| program | what it does |\n|---|---|\n")
	for _, p := range programs() {
		fmt.Fprintf(&b, "| `bot %s` | %s |\n", strings.ReplaceAll(p.Usage, "|", `\|`), p.Summary) // a bare | ends a cell, in code too
	}
	b.WriteString("\nExit codes: 0 good, 1 error, 2 usage, 3 findings, 4 could not tell.\n")
	return b.String()
}

func checksDoc() string {
	var b strings.Builder
	b.WriteString("# Checks\n\n" + generated + "\nEach answers `pass`, `fail`, `not-applicable` or `unknown`, with what was seen. Unknown never counts as good. " +
		"An app is *not ready* if a required check fails; else *unknown* if a required one is unknown; else *ready*; *not applicable* if no check applies. What is waived (`/zdd waive`) stays what it is and does not count, until the waiver runs out.\n\n| id | what passes and what fails | Heroku's article |\n|---|---|---|\n")
	for _, c := range audit.Checks() {
		fmt.Fprintf(&b, "| `%s` | %s | <%s> |\n", c.ID, c.Summary, c.Article)
	}
	return b.String()
}

func configurationDoc() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n" + generated + "\nThe environment holds secrets and places; the rules of your company are in the policy file ([zdd.example.yml](../zdd.example.yml) explains every key).\n\n| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range settings() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, s.Default, s.Meaning)
	}
	return b.String()
}
