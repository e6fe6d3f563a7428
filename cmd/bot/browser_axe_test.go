package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeSource is axe-core, or "" where nobody asks for it: see npmPackages.
func axeSource(t *testing.T) string {
	t.Helper()
	dir := npmPackages(t)
	if dir == "" {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// violation is what axe-core finds wrong: a rule, and the elements that break it.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	}
}

// anew is how often a view is audited whose colours are found to be too much alike: on a busy
// machine Chromium now and then leaves an element in the colours of the scheme before, and
// what is wrong with the page itself is found each time.
const anew = 4

// audit holds what the page shows against the rules of axe-core. What it calls minor is
// logged: some of that is a matter of taste.
func (v *visitor) audit(view, colours string) {
	v.Helper()
	if v.axe == "" {
		return
	}
	ctx, cancel := context.WithTimeout(v.ctx, seenWithin)
	defer cancel()
	if loaded, err := eval[bool](ctx, `typeof axe === 'object'`); err != nil || !loaded {
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](v.axe+"; 0")); err != nil {
			v.Fatalf("load axe-core: %v", err)
		}
	}
	var found []violation
	for range anew {
		text, err := eval[string](ctx, `axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations))`)
		if err == nil {
			found = nil
			err = json.Unmarshal([]byte(text), &found)
		}
		if err != nil {
			v.Fatalf("axe-core: %v", err)
		}
		if !slices.ContainsFunc(found, func(f violation) bool { return f.ID == "color-contrast" }) {
			break
		}
		v.scheme(map[string]string{"light": "dark", "dark": "light"}[colours])
		v.scheme(colours)
	}
	for _, f := range found {
		var where strings.Builder
		for _, n := range f.Nodes {
			fmt.Fprintf(&where, "\n  %.300s\n  %s", n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n  "))
		}
		say := v.Errorf
		if f.Impact == "minor" {
			say = v.Logf
		}
		say("%s in %s colours: %s, %s: %s%s", view, colours, f.Impact, f.ID, f.Help, &where)
	}
}
