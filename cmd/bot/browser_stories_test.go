package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"example.com/zdd/rollout"
)

// hurried is the demo's timing for those who wait even less.
func hurried() rollout.Timing {
	t := demoTiming()
	t.Hurry = 300 // the soak takes two seconds, in which one can look at it
	t.Settle, t.Glance = 300*time.Millisecond, 300*time.Millisecond
	return t
}

// The demo's page in a real browser, before the real bot: what people do there, by what they
// can read and reach. Pictures of it are made by make pictures.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser is slow")
	}
	c := startChromium(t)
	c.axe = axeSource(t)
	stories := map[string]func(*visitor){
		"mended by two people": mendedByTwo,
		"refused and denied":   refusedAndDenied,
		"a night":              aNight,
		"Home and dialogs":     homeAndDialogs,
		"without a mouse":      withoutMouse,
	}
	for _, name := range slices.Sorted(maps.Keys(stories)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stories[name](c.visit(t, hurried()))
		})
	}
}

// An app is not ready; it is asked for, approved by somebody else, changed before one's
// eyes, and ready.
func mendedByTwo(v *visitor) {
	v.view("1-first-visit")
	v.clicks("button", "Ask now")
	v.sees("Only visible to you", "shop: not ready")
	v.view("2-status")
	v.clicks("button", "Fix it")
	v.sees("T-1 · enable shop: awaits approval")
	v.view("3-asked")

	v.clicks("radio", "Ada")
	v.clicks("button", "channel ops")
	v.sees("@Robin Requester asks for")
	v.view("4-approval")
	v.clicks("button", "Approve $25.00/month")
	v.sees("Approve T-1?")
	v.view("5-question")
	v.clicks("button", "Approve")
	v.sees("T-1 · enable shop: under way", "done · session affinity on")
	v.view("6-progress")
	v.sees("T-1 · enable shop: done", "The app is now ready")
	v.view("7-done")

	v.clicks("radio", "Robin")
	v.clicks("button", "channel general")
	v.types("/zdd status shop")
	v.sees("shop: ready")
	v.view("8-ready")
	v.is("shop web=2 affinity=on preboot=on cost=5000")
}

// Who asked is refused, in words that they alone see; and hears of a denial.
func refusedAndDenied(v *visitor) {
	v.types("/zdd enable shop")
	v.sees("T-1 · enable shop: awaits approval")
	v.clicks("button", "channel ops")
	v.clicks("button", "Approve $25.00/month")
	v.clicks("button", "Approve")
	v.sees("Only visible to you", "You asked for this")
	v.view("refused")

	v.clicks("radio", "Alan")
	v.misses("Only visible to you")
	v.clicks("button", "Deny")
	v.sees("Deny T-1", "Whoever asked will see it")
	v.view("denial")
	v.clicks("textbox", "Why")
	v.writes("not before Monday")
	v.clicks("button", "Deny")
	v.sees("T-1 · enable shop: denied")

	v.clicks("radio", "Robin")
	v.clicks("button", "Messages")
	v.sees("denied", "not before Monday")
	v.view("denied")
	v.is("shop web=1 affinity=off preboot=off")

	// Those who may not even look are told so.
	v.clicks("radio", "Gil")
	v.clicks("button", "channel shop")
	v.types("/zdd status shop")
	v.sees("You are a guest in this workspace")
	v.view("guest")
}

// An app is spoiled behind the bot's back; the digest of the night tells, and mends it.
func aNight(v *visitor) {
	v.clicks("button", "Night now")
	v.sees("This is the first scan", "3 replies")
	v.clicks("button", "3 replies")
	v.sees("Team acme")
	v.view("thread")
	v.clicks("tab", "Heroku")
	v.clicks("button", "checkout 2")
	v.clicks("button", "Preboot off")
	v.until("preboot of checkout is off", v.atHeroku("checkout", "preboot=off"))
	v.view("spoiled")
	v.clicks("button", "Night now")
	v.sees("regressed")
	v.view("digest")
	v.clicks("button", "Fix checkout…")
	v.sees("enable checkout")
	v.view("digest-fix")
	v.clicks("button", "Do it")
	v.sees("T-1 · enable checkout: done")
	v.is("checkout web=2 affinity=on preboot=on")
}

// The same without a command: from the Home tab, and from what /zdd alone opens.
func homeAndDialogs(v *visitor) {
	v.types("/zdd")
	v.sees("What about it?")
	v.view("chooser")
	v.clicks("combobox", "App")
	v.writes("sho")
	v.clicks("option", "shop ")
	v.clicks("radio", "Make its deploys zero-downtime")
	v.clicks("button", "Go on")
	v.sees("Enable zero downtime", "What would be done for")
	v.view("enable-dialog")
	v.clicks("button", "Ask for it")
	v.sees("T-1 · enable shop: awaits approval")
	v.clicks("button", "Close")

	v.clicks("radio", "Ada")
	v.clicks("button", "Home")
	v.sees("Waits for your decision")
	v.view("home")
	v.clicks("button", "Approve $25.00/month")
	v.sees("Approve T-1?")
	v.clicks("button", "Approve")
	v.sees("approved, starts in its turn")
	v.view("home-approved")
	v.clicks("button", "Close")
	v.clicks("button", "channel ops")
	v.sees("The app is now ready")
	v.is("shop web=2 affinity=on preboot=on")
}

// The whole of it with no pointing device.
func withoutMouse(v *visitor) {
	v.reaches("link", "Skip to the conversation")
	v.writes(kb.Enter)
	v.writes("/zdd stat")
	v.sees("/zdd status [app]")
	v.writes(kb.Tab + "shop" + kb.Enter)
	v.sees("shop: not ready")
	v.reaches("button", "Fix it")
	v.writes(kb.Enter)
	v.sees("T-1 · enable shop: awaits approval")
	v.reaches("radio", "Robin")
	v.writes(kb.ArrowRight)
	v.reaches("button", "channel ops")
	v.writes(kb.Enter)
	v.reaches("button", "Approve $25.00/month")
	v.writes(kb.Enter)
	v.sees("Approve T-1?")
	v.writes(kb.Escape)
	v.focused("button", "Approve $25.00/month")
	v.writes(kb.Enter)
	v.sees("Approve T-1?")
	v.focused("button", "Approve")
	v.writes(kb.Enter)
	v.sees("The app is now ready")
	v.is("shop web=2 affinity=on preboot=on")
}
