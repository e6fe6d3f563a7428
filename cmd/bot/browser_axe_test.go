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
// machine Chromium now and then leaves elements in the colours of the scheme before (eleven
// views of 36, beside three busy loops on two cores), and what is wrong with the page itself
// is found each time.
const anew = 6

// reborn has Chromium forget how everything looks, and work it out anew: what is not shown
// has no style. Whoever looked at the page finds it as it was, scrolled and focused.
const reborn = `(async () => {
	const scrolled = [...document.querySelectorAll('*')].filter((el) => el.scrollTop || el.scrollLeft).map((el) => [el, el.scrollLeft, el.scrollTop]);
	const focused = document.activeElement;
	const root = document.documentElement;
	root.style.display = 'none';
	root.getBoundingClientRect();
	await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
	root.style.display = '';
	root.getBoundingClientRect();
	for (const [el, left, top] of scrolled) el.scrollTo({ left, top, behavior: 'instant' });
	if (focused !== document.activeElement) focused?.focus({ preventScroll: true });
	await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
	return true;
})()`

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
	for try := range anew {
		if try > 0 {
			v.scheme(map[string]string{"light": "dark", "dark": "light"}[colours])
			v.scheme(colours)
			if _, err := eval[bool](ctx, reborn); err != nil {
				v.Fatalf("draw the page anew: %v", err)
			}
		}
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
