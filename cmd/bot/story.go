package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"example.com/zdd/policy"
	"example.com/zdd/sim/play"
)

// story is a scenario script and the company that it plays in, which its comments tell:
//
//	#: people: { approvers: [S0FINOPS] }    a line of the policy, instead of the usual one
//	#:NAME people: { approvers: [] }        a line of another one, for "bot restart policy=NAME"
//	#env ZDD_LEDGER_KEY=                    a variable of the bot's environment; empty: not set
//
// A later "bot restart NAME=VALUE" changes such a variable.
type story struct {
	play.Script
	policies map[string]string // by name; "" is the one that it begins with
	env      map[string]string
}

var (
	policyLine = regexp.MustCompile(`^#:([a-z][a-z0-9-]*)?(?: (.*))?$`)
	envLine    = regexp.MustCompile(`^#env ([A-Z][A-Z0-9_]*)=(.*)$`)
)

// openStory reads a scenario's file. An error names the line.
func openStory(file string) (story, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return story{}, err
	}
	s := story{policies: map[string]string{}, env: map[string]string{}}
	if s.Script, err = play.Parse(file, bytes.NewReader(text)); err != nil {
		return story{}, err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if m := policyLine.FindStringSubmatch(line); m != nil {
			s.policies[m[1]] += m[2] + "\n"
		} else if m := envLine.FindStringSubmatch(line); m != nil {
			s.env[m[1]] = m[2]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.policies)) {
		if _, err := policy.Parse(fmt.Sprintf("%s, policy %q", file, name), []byte(s.policies[name])); err != nil {
			return story{}, err
		}
	}
	return s, nil
}

// set makes a simulation the company of the story, before its bot starts.
func (s story) set(world *simulation) {
	world.policies = s.policies
	if text, own := s.policies[""]; own {
		world.policy = text
	}
	if world.env == nil {
		world.env = map[string]string{}
	}
	maps.Copy(world.env, s.env)
}

// reset does what follows "bot start" and "bot restart": policy=NAME takes another of
// the story's policies, database=NAME another SQLite file, as if one had been restored,
// and NAME=VALUE changes the environment.
func (s *simulation) reset(words []string) error {
	for _, word := range words {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "policy":
			text, known := s.policies[value]
			if !known {
				return fmt.Errorf("the story has no policy %q: its lines begin with #:%s", value, value)
			}
			s.policy = text
		case "database":
			s.env["DATABASE_URL"] = "sqlite:" + filepath.Join(s.dir, filepath.Base(value)+".db")
		default:
			s.env[name] = value
		}
	}
	return nil
}
