package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"example.com/zdd/audit"
	"example.com/zdd/rollout"
)

const (
	// seenWithin is how long something may take to appear on the page: nothing that people
	// wait for there takes a second, on a machine that does nothing else.
	seenWithin = 2 * time.Minute
	// browserStarts is how long a browser may take to start on a busy machine.
	browserStarts = time.Minute
	// pageWidth and pageHeight are a small laptop's window.
	pageWidth, pageHeight = 1280, 800
)

// chromium is a browser without a window.
type chromium struct {
	ctx context.Context // chromedp keeps a browser in one
	axe string          // the source of axe-core; "": views are not audited
}

// startChromium starts the one browser of a test, for all of its stories.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	switch {
	case path == "" && os.Getenv("CI") == "true":
		t.Fatal("chromium is needed in CI: apt-get install chromium fonts-noto-color-emoji")
	case path == "":
		t.Skip("Chromium or Chrome is needed to try the demo's page: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(pageWidth, pageHeight),
		chromedp.Flag("lang", "en-US"),           // in which a day is typed month first
		chromedp.WSURLReadTimeout(browserStarts)) // chromedp gives it 20 s to say where it listens
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root, and ends
	}
	all, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, stop := chromedp.NewContext(all)
	t.Cleanup(stop)
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(ctx) }() // what starts it must not be given a deadline: it would end the browser too
	select {
	case err := <-started:
		if err != nil {
			t.Fatalf("%s does not start: %v", path, err)
		}
	case <-time.After(browserStarts):
		t.Fatalf("%s did not start in %s", path, browserStarts)
	}
	return &chromium{ctx: ctx}
}

// visitor is a person at the demo's page. They find things as people do who can't see the
// page: by their role and their name.
type visitor struct {
	*testing.T
	*simulation
	ctx     context.Context
	axe     string
	address string

	mu     sync.Mutex
	grumps []string // what the browser complained of
}

// visit opens the page of a demo of its own, in a window that knows nothing of others.
func (c *chromium) visit(t *testing.T, timing rollout.Timing, watch audit.WatchTiming) *visitor {
	t.Helper()
	s, err := loopback(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.rollout = timing
	s.watch, s.look = watch, true
	s.deploys.Hurry = 20 // a watch waits for its deploy for thirty seconds
	t.Cleanup(func() {
		s.close()
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	if err := s.start(context.WithoutCancel(t.Context())); err != nil { // until close: what a story left is looked at after it
		t.Fatal(err)
	}
	address, stop, err := s.demoPage(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil { // likewise without a deadline, which would close the window
		t.Fatal(err)
	}
	v := &visitor{T: t, simulation: s, ctx: ctx, axe: c.axe, address: address}
	v.do(chromedp.EmulateViewport(pageWidth, pageHeight))
	v.until("the bot has looked at the fleet", func(context.Context) (bool, error) {
		return strings.Contains(s.botLog.String(), "the fleet was scanned"), nil
	})
	go v.listen()
	v.do(chromedp.Navigate(address))
	v.sees("Four things to try")
	t.Cleanup(func() {
		if t.Failed() {
			v.leaveEvidence()
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, grump := range v.grumps {
			t.Errorf("the browser complains: %s", grump)
		}
	})
	return v
}

// listen notes what goes wrong in the page: exceptions, and what its policy keeps it from.
func (v *visitor) listen() {
	for m, err := range chromedp.Console(v.ctx) {
		if err != nil {
			return // the window is closed
		}
		if !m.IsException() && m.Type != "error" && m.Type != "assert" {
			continue
		}
		v.mu.Lock()
		v.grumps = append(v.grumps, m.Text+" "+m.URL)
		v.mu.Unlock()
	}
}

func (v *visitor) do(steps ...chromedp.Action[chromedp.Void]) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, seenWithin)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		v.Fatal(err)
	}
}

// until tries something until it is so.
func (v *visitor) until(what string, try func(ctx context.Context) (bool, error)) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, seenWithin)
	defer cancel()
	var why error
	for {
		ok, err := try(ctx)
		if ok {
			return
		}
		if ctx.Err() == nil {
			why = err
		}
		select {
		case <-ctx.Done():
			v.Fatalf("%s: not within %s: %v", what, seenWithin, why)
		case <-time.After(look):
		}
	}
}

// eval is the value of an expression in the page.
func eval[T any](ctx context.Context, expression string) (T, error) {
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// text is all that the page shows, within the window or by scrolling.
func (v *visitor) text(ctx context.Context) (string, error) {
	return eval[string](ctx, `document.body.innerText`)
}

// sees waits for words on the page.
func (v *visitor) sees(words ...string) {
	v.Helper()
	for _, w := range words {
		v.until(fmt.Sprintf("the page shows %q", w), func(ctx context.Context) (bool, error) {
			text, err := v.text(ctx)
			return strings.Contains(text, w), err
		})
	}
}

// misses waits until words are on the page no more.
func (v *visitor) misses(words string) {
	v.Helper()
	v.until(fmt.Sprintf("the page shows %q no more", words), func(ctx context.Context) (bool, error) {
		text, err := v.text(ctx)
		return err == nil && !strings.Contains(text, words), err
	})
}

// glimpses has the page note from now on when it shows words that may be gone before a busy
// machine comes to look for them. What it returns waits until all of them were there.
func (v *visitor) glimpses(words ...string) (wait func()) {
	v.Helper()
	list, _ := json.Marshal(words) // strings always can be
	v.until("the page notes what it shows", func(ctx context.Context) (bool, error) {
		return eval[bool](ctx, fmt.Sprintf(`(() => {
			window.glimpsed?.observer.disconnect();
			const missing = new Set(%s);
			const look = () => { const text = document.body.innerText; for (const w of missing) if (text.includes(w)) missing.delete(w); if (!missing.size) observer.disconnect(); };
			const observer = new MutationObserver(look);
			observer.observe(document.body, { subtree: true, childList: true, characterData: true });
			window.glimpsed = { missing, observer };
			return true;
		})()`, list))
	})
	return func() {
		v.Helper()
		v.until(fmt.Sprintf("the page has shown %q", words), func(ctx context.Context) (bool, error) {
			missing, err := eval[string](ctx, `[...window.glimpsed.missing].join(', ')`)
			if err == nil && missing != "" {
				err = fmt.Errorf("it has not shown %s", missing)
			}
			return err == nil, err
		})
	}
}

// thing is an element that the accessibility tree has: what a screen reader can reach.
type thing struct {
	name string
	node cdp.BackendNodeID
}

// things are those of a role, in the page's order.
func (v *visitor) things(ctx context.Context, role string) ([]thing, error) {
	root, err := chromedp.Call(ctx, dom.GetDocument, dom.GetDocumentParams{Depth: new(int64(0))})
	if err != nil {
		return nil, err
	}
	tree, err := chromedp.Call(ctx, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{BackendNodeID: root.Root.BackendNodeID, Role: role})
	if err != nil {
		return nil, err
	}
	var all []thing
	for _, n := range tree.Nodes {
		if !n.Ignored {
			all = append(all, thing{said(n.Name), n.BackendDOMNodeID})
		}
	}
	return all, nil
}

// find is the newest thing of a role whose name begins so. Where a dialog is open, Chromium
// has nothing but the dialog in its tree.
func (v *visitor) find(ctx context.Context, role, name string) (thing, error) {
	all, err := v.things(ctx, role)
	if err != nil {
		return thing{}, err
	}
	var names []string
	for _, it := range slices.Backward(all) {
		if strings.HasPrefix(it.name, name) {
			return it, nil
		}
		names = append(names, it.name)
	}
	return thing{}, fmt.Errorf("of role %s there are %q", role, names)
}

// spot is where an element can be clicked.
type spot struct {
	X, Y       float64
	Moves, Off bool
	Blocker    string
}

// toSpot scrolls an element into the window and says where a click hits it. What is drawn in
// place of a radio button is its label. Nobody hits what moves, and what comes in above a
// thing moves it: so it has to be there still when the page has been drawn twice.
const toSpot = `async function() {
	const el = /^(radio|checkbox)$/.test(this.type) && this.labels?.length ? this.labels[0] : this;
	const look = (block) => {
		el.scrollIntoView({ block, inline: 'nearest', behavior: 'instant' });
		const r = el.getBoundingClientRect();
		const x = r.x + r.width / 2, y = r.y + r.height / 2;
		const top = document.elementFromPoint(x, y);
		const hit = top && (el === top || el.contains(top));
		return { X: x, Y: y, Off: Boolean(this.disabled), Blocker: hit ? '' : top ? top.outerHTML.slice(0, 200) : 'nothing is drawn there' };
	};
	const find = () => { const near = look('nearest'); return near.Blocker ? look('center') : near; };
	const drawn = () => new Promise((done) => requestAnimationFrame(done));
	const first = find();
	await drawn();
	await drawn();
	const then = find();
	window.pressed = false;
	// A list of options opens on the way down, and keeps the rest to itself.
	el.addEventListener(el.tagName === 'SELECT' ? 'mousedown' : 'click', () => { window.pressed = true; }, { capture: true, once: true });
	return { ...then, Moves: !this.isConnected || then.X !== first.X || then.Y !== first.Y };
}`

// clicks presses the mouse on what has that role and name, where it is seen.
func (v *visitor) clicks(role, name string) {
	v.Helper()
	v.until(fmt.Sprintf("there is a %s %q to click", role, name), func(ctx context.Context) (bool, error) {
		it, err := v.find(ctx, role, name)
		if err != nil {
			return false, err
		}
		at, err := onNode[spot](ctx, it.node, toSpot)
		switch {
		case err != nil:
			return false, err // it was drawn anew meanwhile
		case at.Moves:
			return false, fmt.Errorf("it moves")
		case at.Off:
			return false, fmt.Errorf("it is disabled")
		case at.Blocker != "":
			return false, fmt.Errorf("it is covered by %s", at.Blocker)
		}
		if err := chromedp.Do(ctx, chromedp.MouseClickXY(at.X, at.Y)); err != nil {
			return false, err
		}
		// On a busy machine the page may be drawn anew between the look and the click.
		hit, err := eval[bool](ctx, `window.pressed !== false`)
		if err == nil && !hit {
			err = fmt.Errorf("the click hit something else")
		}
		return hit, err
	})
}

// focused waits until what has that role and name has the focus.
func (v *visitor) focused(role, name string) {
	v.Helper()
	v.until(fmt.Sprintf("the %s %q has the focus", role, name), func(ctx context.Context) (bool, error) {
		r, n, err := v.focus(ctx)
		if err == nil {
			err = fmt.Errorf("the %s %q has it", r, n)
		}
		return r == role && strings.HasPrefix(n, name), err
	})
}

// types sends a message, or a command, in the room that is open.
func (v *visitor) types(line string) {
	v.Helper()
	v.clicks("textbox", "Message ")
	v.writes(line + kb.Enter)
}

// atHeroku tells whether Heroku's own list has an app so.
func (v *visitor) atHeroku(app string, words ...string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		text, err := v.control(ctx, http.MethodPost, v.herokuURL+"/_control/do", "apps")
		for line := range strings.Lines(text) {
			has := strings.Fields(line)
			if len(has) > 0 && has[0] == app {
				return !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(has, w) }), fmt.Errorf("it is %s", line)
			}
		}
		return false, err
	}
}

// is holds what Heroku has against a line such as "shop web=2 preboot=on".
func (v *visitor) is(line string) {
	v.Helper()
	words := strings.Fields(line)
	ok, err := v.atHeroku(words[0], words[1:]...)(v.ctx)
	if !ok {
		v.Errorf("Heroku has %v, want %s", err, line)
	}
}

// role and name of what has the focus; "" where nothing has it.
func (v *visitor) focus(ctx context.Context) (role, name string, err error) {
	object, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.activeElement"})
	if err != nil {
		return "", "", err
	}
	tree, err := chromedp.Call(ctx, accessibility.GetPartialAXTree, accessibility.GetPartialAXTreeParams{ObjectID: object.Result.ObjectID, FetchRelatives: new(false)})
	if err != nil || len(tree.Nodes) == 0 || tree.Nodes[0].Ignored {
		return "", "", err
	}
	n := tree.Nodes[0]
	return said(n.Role), said(n.Name), nil
}

// said is a value of the accessibility tree; "" where there is none.
func said(v *accessibility.Value) (text string) {
	if v != nil {
		_ = json.Unmarshal(v.Value, &text) // roles and names are strings
	}
	return text
}

// tabs is how often a person may have to press Tab until they are where they want to be.
const tabs = 150

// reaches goes to what has that role and name by the Tab key, as people do who use no mouse.
func (v *visitor) reaches(role, name string) {
	v.Helper()
	v.until(fmt.Sprintf("there is a %s %q", role, name), func(ctx context.Context) (bool, error) {
		_, err := v.find(ctx, role, name)
		return err == nil, err
	})
	var passed []string
	for range tabs {
		v.writes(kb.Tab)
		r, n, err := v.focus(v.ctx)
		if err != nil {
			v.Fatal(err)
		}
		if r == role && strings.HasPrefix(n, name) {
			return
		}
		passed = append(passed, r+" "+n)
	}
	v.Fatalf("the %s %q is not reached by Tab, but %q", role, name, passed)
}

// onNode calls a function in the page with an element as this.
func onNode[T any](ctx context.Context, node cdp.BackendNodeID, function string) (T, error) {
	var value T
	object, err := chromedp.Call(ctx, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node})
	if err != nil {
		return value, err
	}
	res, err := chromedp.Call(ctx, runtime.CallFunctionOn, runtime.CallFunctionOnParams{FunctionDeclaration: function, ObjectID: object.Object.ObjectID, ReturnByValue: new(true), AwaitPromise: new(true)})
	switch {
	case err != nil:
		return value, err
	case res.ExceptionDetails != nil:
		return value, fmt.Errorf("%s", res.ExceptionDetails.Text)
	case len(res.Result.Value) == 0:
		return value, nil // undefined
	}
	return value, json.Unmarshal(res.Result.Value, &value)
}

// writes types text, as it comes from a keyboard, into whatever has the focus.
func (v *visitor) writes(text string) {
	v.Helper()
	v.do(chromedp.KeyEvent(text, func(p *input.DispatchKeyEventParams) {
		if p.Type == input.DispatchKeyEventTypeKeyDown {
			p.Type = input.DispatchKeyEventTypeRawKeyDown // as keyboards do: a key whose way down was taken writes no letter
		}
	}))
}

// leaveEvidence says what the page showed when the story failed.
func (v *visitor) leaveEvidence() {
	ctx, cancel := context.WithTimeout(v.ctx, seenWithin)
	defer cancel()
	if text, err := eval[string](ctx, `document.querySelector('.middle').innerText`); err == nil {
		v.Logf("in the middle of the page:\n%s", text)
	}
	if seen := v.slack.Events(); len(seen) > 0 {
		last := seen[len(seen)-1]
		v.Logf("the last that appeared in Slack: %s by %s for %q in #%s: %s", last.Kind, last.By, last.To, last.ChannelName, last.Text)
	}
	if dir := os.Getenv("ZDD_PICTURES"); dir != "" {
		if shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
			_ = os.WriteFile(filepath.Join(dir, "failed-"+filepath.Base(v.Name())+".png"), shot, 0o644)
		}
	}
}
