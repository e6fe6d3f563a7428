package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	simslack "example.com/zdd/sim/slack"
)

const (
	// npmWithin bounds npm ci: four packages over a slow line.
	npmWithin = 5 * time.Minute
	// tscWithin bounds the check of types, which takes a second.
	tscWithin = 2 * time.Minute
)

// npmPackages installs what the page and the blocks are held against, at locked versions, in a
// folder of the test's own. It is "" where that is not asked for: it needs Node 20 and the npm
// registry, and plain tests need neither.
func npmPackages(t *testing.T) (dir string) {
	t.Helper()
	if os.Getenv("ZDD_CONFORMANCE") != "1" && os.Getenv("CI") != "true" {
		return ""
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatalf("node and npm are needed: %v", err)
	}
	dir = t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "conformance", "page", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), npmWithin) // also of use to what runs at a test's end
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// blockShapes are the blocks and views that the bot sends in stories, each shape once, with
// the story that has it. Slack's own types for TypeScript say whether they are right.
type blockShapes struct {
	mu            sync.Mutex
	blocks, views map[string]string
}

// unknownToSlackTypes are blocks that Slack has and its npm package does not. The check fails
// once it does.
const unknownToSlackTypes = "data_visualization"

// collect takes note of what the bot sent in a story.
func (b *blockShapes) collect(story string, slack *simslack.Server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, call := range slack.Calls() {
		if call.Error != "" { // the simulator has refused it, and the story says so
			continue
		}
		b.add(story, call.Args["blocks"])
		if view, ok := decoded(call.Args["view"]).(map[string]any); ok {
			b.add(story, view["blocks"])
			view["blocks"] = []any{}
			b.views[shape(view)] = story
		}
	}
}

func (b *blockShapes) add(story string, blocks any) {
	all, _ := decoded(blocks).([]any)
	for _, block := range all {
		if fields, ok := block.(map[string]any); ok && fields["type"] != unknownToSlackTypes {
			b.blocks[shape(block)] = story
		}
	}
}

// decoded is a value of a call, which forms carry as JSON in a string.
func decoded(v any) any {
	text, ok := v.(string)
	if !ok {
		raw, err := json.Marshal(v) // a copy
		if err != nil {
			return nil
		}
		text = string(raw)
	}
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return nil
	}
	return value
}

// shape is a block without what people read in it: what is left is what types tell apart.
func shape(v any) string {
	text, err := json.Marshal(stripped("", v))
	if err != nil {
		panic(fmt.Sprintf("shape: %v", err)) // it came as JSON
	}
	return string(text)
}

func stripped(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, inner := range v {
			out[k] = stripped(k, inner)
		}
		return out
	case []any:
		out := []any{}
		seen := map[string]bool{}
		for _, inner := range v {
			one := stripped(key, inner)
			text, err := json.Marshal(one)
			if err == nil && !seen[string(text)] {
				seen[string(text)] = true
				out = append(out, one)
			}
		}
		return out
	case string:
		switch key {
		case "type", "style", "align", "format", "size", "color", "include", "response_action":
			return v
		}
		return "text"
	}
	return v
}

// hold has TypeScript hold all of them against Slack's types.
func (b *blockShapes) hold(t *testing.T, packages string) {
	t.Helper()
	var file bytes.Buffer
	var stories []string // by line
	line := func(story, format string, args ...any) {
		fmt.Fprintf(&file, format+"\n", args...)
		stories = append(stories, story)
	}
	line("", "import type { HomeView, KnownBlock, ModalView } from '@slack/types';")
	line("", "export const unknown: Exclude<%q, KnownBlock['type']> = %[1]q;", unknownToSlackTypes)
	line("", "export const all = [")
	for _, block := range slices.Sorted(maps.Keys(b.blocks)) {
		line(b.blocks[block], "%s satisfies KnownBlock,", block)
	}
	for _, view := range slices.Sorted(maps.Keys(b.views)) {
		line(b.views[view], "%s satisfies HomeView | ModalView,", view)
	}
	line("", "];")
	if err := os.WriteFile(filepath.Join(packages, "blocks.ts"), file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), tscWithin)
	defer cancel()
	tsc := exec.CommandContext(ctx, filepath.Join(packages, "node_modules", ".bin", "tsc"), "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "blocks.ts")
	tsc.Dir = packages
	out, err := tsc.CombinedOutput()
	if err == nil {
		t.Logf("%d shapes of blocks and %d of views are what @slack/types says", len(b.blocks), len(b.views))
		return
	}
	t.Errorf("TypeScript: %v", err)
	for text := range bytes.Lines(out) {
		var at int
		story := ""
		if n, _ := fmt.Sscanf(string(text), "blocks.ts(%d,", &at); n == 1 && at <= len(stories) {
			story = stories[at-1] + ": "
		}
		t.Errorf("%s%s", story, bytes.TrimSpace(text))
	}
}
