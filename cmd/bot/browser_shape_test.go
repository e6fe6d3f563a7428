package main

import (
	"context"
	"fmt"

	"github.com/chromedp/chromedp"
)

const (
	// phoneWidth and phoneHeight are a small telephone's window, in CSS pixels.
	phoneWidth, phoneHeight = 380, 740
	// tabletWidth is between a telephone's and what the whole page needs.
	tabletWidth = 800
)

// sized gives the window another size, and waits until the page has it.
func (v *visitor) sized(width, height int64) {
	v.Helper()
	v.do(chromedp.EmulateViewport(width, height))
	v.until(fmt.Sprintf("the page is %d wide", width), func(ctx context.Context) (bool, error) {
		has, err := eval[int64](ctx, `innerWidth`)
		return has == width, err
	})
}

// beyond are the elements that a person can't see all of however they scroll down: those
// that reach beyond the window's sides or end, and words that are cut off. What scrolls
// sideways by itself, as tables do, may be as wide as it likes, and so may what only screen
// readers have.
const beyond = `(() => {
	const found = [];
	const root = document.scrollingElement;
	if (root.scrollWidth > innerWidth || root.scrollHeight > innerHeight) found.push('the page is ' + root.scrollWidth + ' by ' + root.scrollHeight);
	const sideways = (el) => el.closest('.b-table, pre, .hidden, .skip') || el.closest('.brand h1, .brand .tag, .people label:not(.on) > span, .tools .words');
	for (const el of document.querySelectorAll('#app *')) {
		if (!el.checkVisibility({ visibilityProperty: true }) || sideways(el.parentElement) || el.matches('.hidden, .skip, input[type=radio]')) continue;
		const r = el.getBoundingClientRect();
		const cut = el.matches('button, label, h2, h3, input') && !el.matches('.pane-head h2, .app-name') && el.scrollWidth > el.clientWidth + 1;
		if (r.width && (r.left < -0.5 || r.right > innerWidth + 0.5) || cut) {
			found.push(el.tagName + '.' + el.className + ' from ' + r.left + ' to ' + r.right + (cut ? ' is cut off' : '') + ': ' + el.innerText?.slice(0, 40));
		}
	}
	return found.slice(0, 8).join('\n');
})()`

// fits waits until everything that the page shows is within the window.
func (v *visitor) fits() {
	v.Helper()
	v.until("the page fits its window", func(ctx context.Context) (bool, error) {
		wrong, err := eval[string](ctx, beyond)
		if err == nil && wrong != "" {
			err = fmt.Errorf("%s", wrong)
		}
		return err == nil, err
	})
}

// before waits until what has that role and name is before the person's eyes, without that
// anybody scrolls.
func (v *visitor) before(role, name string) {
	v.Helper()
	v.until(fmt.Sprintf("the %s %q is in sight", role, name), func(ctx context.Context) (bool, error) {
		it, err := v.find(ctx, role, name)
		if err != nil {
			return false, err
		}
		why, err := onNode[string](ctx, it.node, `function() {
			const r = this.getBoundingClientRect();
			for (const [x, y] of [[r.left + 2, r.top + 2], [r.left + 2, r.bottom - 2]]) {
				const top = document.elementFromPoint(x, y);
				if (!top || !(this === top || this.contains(top))) return 'at ' + x + ', ' + y + ' is ' + (top?.outerHTML.slice(0, 120) ?? 'nothing');
			}
			return '';
		}`)
		if err == nil && why != "" {
			err = fmt.Errorf("%s", why)
		}
		return err == nil, err
	})
}

// colour waits until what a selector finds has a background like that of a style's name.
func (v *visitor) colour(selector, name string) {
	v.Helper()
	v.until(fmt.Sprintf("%s is %s", selector, name), func(ctx context.Context) (bool, error) {
		return eval[bool](ctx, fmt.Sprintf(`(() => {
			const probe = document.body.appendChild(document.createElement('i'));
			probe.style.setProperty('background', 'var(%s)');
			const want = getComputedStyle(probe).backgroundColor;
			probe.remove();
			return getComputedStyle(document.querySelector('%s')).backgroundColor === want;
		})()`, name, selector))
	})
}

// becomes has the visitor be another of the workspace's people, and waits until the page is
// theirs: what is written until then is a draft of the one before.
func (v *visitor) becomes(first string) {
	v.Helper()
	v.clicks("radio", first)
	v.whose(first)
}

// whose waits until the page is that person's.
func (v *visitor) whose(first string) {
	v.Helper()
	v.until("the page is "+first+"'s", func(ctx context.Context) (bool, error) {
		who, err := eval[string](ctx, `document.querySelector('.page').dataset.who`)
		return who == first, err
	})
}

// there waits for what has that role and name.
func (v *visitor) there(role, name string) {
	v.Helper()
	v.until(fmt.Sprintf("there is a %s %q", role, name), func(ctx context.Context) (bool, error) {
		_, err := v.find(ctx, role, name)
		return err == nil, err
	})
}

// idles tells whether nothing on the page says that it is at work.
func (v *visitor) idles() {
	v.Helper()
	busy, err := eval[string](v.ctx, `document.querySelector('[aria-busy=true]')?.outerHTML ?? ''`)
	if err != nil || busy != "" {
		v.Errorf("at work, and nobody asked: %s %v", busy, err)
	}
}
