package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"example.com/zdd/audit"
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
		"a drift":              aDrift,
		"a deploy":             aDeploy,
		"a waiver":             aWaiver,
		"a message":            aMessage,
		"on a telephone":       onATelephone,
		"out of touch":         outOfTouch,
	}
	// What is told between the nights would come in between; where a story is of that, it comes soon.
	watches := map[string]audit.WatchTiming{"a drift": {Every: time.Second, Confirm: 200 * time.Millisecond, Gather: 200 * time.Millisecond, Idle: 200 * time.Millisecond, Rest: 100 * time.Millisecond, PerMinute: 6000}}
	for _, name := range slices.Sorted(maps.Keys(stories)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stories[name](c.visit(t, hurried(), watches[name]))
		})
	}
}

// An app is not ready; it is asked for, approved by somebody else, changed before one's
// eyes, and ready.
func mendedByTwo(v *visitor) {
	v.view("1-first-visit")
	v.clicks("button", "Ask now")
	v.sees("Only visible to you", "shop: not ready")
	v.before("heading", "shop: not ready")
	v.there("heading", "Ask about an app (done)")
	v.view("2-status")
	v.clicks("button", "Fix it")
	v.sees("T-1 · enable shop: awaits approval")
	v.view("3-asked")

	v.becomes("Ada")
	v.clicks("button", "channel ops, 1 new")
	v.sees("@Robin Requester asks for")
	v.before("heading", "T-1 · enable shop: awaits approval")
	v.view("4-approval")
	v.clicks("button", "Approve $25.00/month")
	v.sees("Approve T-1?")
	v.idles()
	v.view("5-question")
	begun := v.glimpses("T-1 · enable shop: under way") // for some seconds
	v.clicks("button", "Approve")
	begun()
	v.sees("done · session affinity on")
	v.view("6-progress")
	v.sees("T-1 · enable shop: done", "The app is now ready")
	v.there("heading", "Have it fixed, by two people (done)")
	v.view("7-done")

	v.becomes("Robin")
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
	v.sees("Only visible to you", "only to you: You asked for this") // the latter for who hears the page
	v.misses("(done)")
	v.view("refused")

	v.becomes("Alan")
	v.misses("Only visible to you")
	v.misses("only to you:")
	v.clicks("button", "Deny")
	v.sees("Deny T-1", "Whoever asked will see it")
	v.view("denial")
	v.clicks("textbox", "Why")
	v.writes("not before Monday")
	v.clicks("button", "Deny")
	v.sees("T-1 · enable shop: denied")

	v.becomes("Robin")
	v.clicks("button", "Messages")
	v.sees("denied", "not before Monday")
	v.view("denied")
	v.is("shop web=1 affinity=off preboot=off")

	// Those who may not even look are told so.
	v.becomes("Gil")
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

	v.becomes("Ada")
	v.clicks("button", "Home")
	v.sees("Waits for your decision")
	v.view("home")
	v.clicks("button", "Approve $25.00/month")
	v.sees("Approve T-1?")
	v.clicks("button", "Approve")
	v.there("button", "Close")
	v.view("home-approved")
	v.clicks("button", "Close")
	v.clicks("button", "channel ops")
	v.sees("The app is now ready")
	v.is("shop web=2 affinity=on preboot=on")
}

// What breaks between the nights is told of by itself; the guide says so, and ticks it off
// when it was told.
func aDrift(v *visitor) {
	v.clicks("button", "Break it")
	v.sees("checkout was ready and is no longer")
	v.there("heading", "Break something (done)")
	v.view("drift")
	v.clicks("button", "Fix…")
	v.sees("enable checkout")
	v.clicks("button", "Do it")
	v.sees("T-1 · enable checkout: done")
	v.is("checkout web=2 affinity=on preboot=on")
}

// A deploy is watched and fails; what was missing is switched on, and the next one is proved.
func aDeploy(v *visitor) {
	v.clicks("button", "checkout 2")
	v.clicks("button", "Preboot off")
	v.until("preboot of checkout is off", v.atHeroku("checkout", "preboot=off"))
	v.clicks("button", "Watch checkout")
	n, release := v.deploys("checkout", 1)
	v.until("the router says that requests fail", func(ctx context.Context) (bool, error) {
		return eval[bool](ctx, `/^\d+ failed$/.test(document.querySelector('.here .routed strong')?.innerText ?? '')`)
	})
	v.view("watch-1-dropping")
	said := fmt.Sprintf("D-%d · checkout: %s failed", n, release)
	v.sees(said + ", visitors noticed")
	v.before("heading", said)
	v.view("watch-2-failed")
	v.clicks("button", "Enable…")
	v.sees("enable checkout")
	v.clicks("button", "Do it")
	v.until("preboot of checkout is on", v.atHeroku("checkout", "preboot=on"))
	if v.judges("checkout", n) == "proved" {
		v.there("heading", "Watch a deploy (done)")
	}
	v.view("watch-3-proved")
	v.types("/zdd status checkout")
	v.sees("checkout: ready")
	v.view("watch-4-status")
}

// deploys presses the button beside the watch of an app, once the watch has seen what the
// app is like without that, and says which release it watches then. On a machine that is
// busy a watch may be over before it hears of a release: then it is done again, which makes
// it a later one than n.
func (v *visitor) deploys(app string, n int) (watch int, release string) {
	v.Helper()
	last := n + 3
	for ; ; n++ {
		id := fmt.Sprintf("D-%d · %s: ", n, app)
		v.sees(id + "watching, deploy now")
		v.until(app+" was asked for a while", func(ctx context.Context) (bool, error) {
			return eval[bool](ctx, `parseInt(document.querySelector('.here .routed span')?.innerText ?? 0) >= 20`)
		})
		v.clicks("button", "Deploy "+app)
		if release = v.reads(id + `(?:watching )?(v[0-9]+|inconclusive, no release was made)`); release[0] == 'v' || n == last {
			return n, release
		}
		v.clicks("button", "Watch again")
	}
}

// reads waits for words on the page, and gives those in the pattern's parentheses.
func (v *visitor) reads(pattern string) (words string) {
	v.Helper()
	said := regexp.MustCompile(pattern)
	v.until("the page shows "+pattern, func(ctx context.Context) (bool, error) {
		text, err := v.text(ctx)
		if found := said.FindStringSubmatch(text); found != nil {
			words = found[1]
		}
		return words != "", err
	})
	return words
}

// judges has the next deploy of an app watched, after n watches. On a machine that is busy
// with other tests the probe may stand still for too long to vouch for anything, and says so:
// whether it is proved where nothing of the kind happens is for the fake clock
// (TestDemoWatchesADeploy). Who takes pictures has it watched again until it is.
func (v *visitor) judges(app string, n int) (verdict string) {
	v.Helper()
	most := 1
	if os.Getenv("ZDD_PICTURES") != "" {
		most = 6
	}
	for range most {
		v.clicks("button", "Watch again")
		n, _ = v.deploys(app, n+1)
		verdict = v.reads(fmt.Sprintf(`D-%d · %s: v[0-9]+ (proved|failed|inconclusive)`, n, app))
		if verdict == "proved" {
			break
		}
	}
	v.before("heading", "D-")
	return verdict
}

// A check is let off until a day that is picked, for a reason; then it is listed.
func aWaiver(v *visitor) {
	v.types("/zdd")
	v.sees("What about it?")
	v.clicks("combobox", "App")
	v.writes("bill")
	v.clicks("option", "billing ")
	v.clicks("radio", "Waive a check")
	v.clicks("button", "Go on")
	v.sees("Waive a check", "billing, just now: Preboot is off")
	v.clicks("button", "Waive it")
	v.sees("Please complete this required field.")
	v.view("waive-missing")
	day := time.Now().AddDate(0, 0, 30)
	v.focused("Date", "Until the end of")
	v.writes(day.Format("01022006"))
	v.clicks("radio", "vendor-limit")
	v.clicks("textbox", "What is there to say?")
	v.writes("one connection only")
	v.view("waive-dialog")
	v.clicks("button", "Waive it")
	v.sees("W-1 · preboot of billing: waived", day.Format("2 January 2006"))
	v.clicks("button", "Close")
	v.types("/zdd waivers")
	v.sees("vendor-limit", "one connection only")
	v.view("waivers")
}

// A message that names an app is asked about from its menu.
func aMessage(v *visitor) {
	v.types("is checkout slow for you, too?")
	v.clicks("button", "More for this message")
	v.clicks("menuitem", "Check with zdd")
	v.sees("checkout: ready")
	v.view("shortcut")
	v.clicks("button", "Close")
	v.focused("button", "More for this message")
}

// All of it on a window with room for one thing at a time.
func onATelephone(v *visitor) {
	v.sized(tabletWidth, pageHeight)
	v.fits()
	v.view("tablet")
	v.sized(phoneWidth, phoneHeight)
	v.fits()
	v.view("phone-1-first-visit")
	v.clicks("button", "Ask now")
	v.before("heading", "shop: not ready")
	v.fits()
	v.view("phone-2-status")
	v.clicks("button", "Fix it")
	v.sees("T-1 · enable shop: awaits approval")
	v.becomes("Ada")
	v.clicks("button", "Channels, 1 new")
	v.fits()
	v.view("phone-3-channels")
	v.clicks("button", "channel ops")
	v.sees("@Robin Requester asks for")
	v.fits()
	v.view("phone-4-approval")
	v.clicks("button", "Approve $25.00/month")
	v.sees("Approve T-1?")
	v.fits()
	v.view("phone-5-question")
	v.clicks("button", "Go back")
	v.clicks("button", "Heroku")
	if _, err := v.control(v.Context(), http.MethodPost, v.herokuURL+"/_control/do", "create checkout-of-the-northern-shop size=performance-l web=12 stage=production affinity=on"); err != nil {
		v.Fatal(err)
	}
	v.clicks("searchbox", "Find an app")
	v.writes("checkout")
	v.clicks("button", "checkout-of-the-northern-shop")
	v.sees("Crash web.1")
	v.fits()
	v.view("phone-6-heroku")
	v.clicks("button", "Night now")
	v.sees("This is the first scan", "3 replies")
	v.fits()
	v.view("phone-7-digest")
	v.clicks("button", "3 replies")
	v.sees("Team acme")
	v.fits()
	v.view("phone-8-thread")
	v.clicks("tab", "Wire")
	v.sees("What the bot hears and says")
	v.fits()
	v.clicks("button", "Channels")
	v.clicks("button", "Home")
	v.sees("How to start")
	v.fits()
	v.view("phone-9-home")
	v.clicks("button", "Channels")
	v.clicks("button", "channel general")
	v.types("/zdd")
	v.sees("What about it?")
	v.fits()
	v.view("phone-dialog")
}

// The lamp is green while the bot is there, and no longer.
func outOfTouch(v *visitor) {
	v.sees("zdd is connected")
	v.colour(".rail .lamp", "--good")
	if err := v.stopBot(); err != nil {
		v.Fatal(err)
	}
	v.sees("zdd is not connected")
	v.colour(".rail .lamp", "--bad-solid")
	told := v.glimpses("zdd did not answer") // for a quarter of a minute
	v.types("/zdd status shop")
	told()
	v.misses("(done)")
	v.view("not-connected")
	if err := v.start(context.WithoutCancel(v.Context())); err != nil {
		v.Fatal(err)
	}
	v.sees("zdd is connected")
	v.colour(".rail .lamp", "--good")

	v.clicks("radio", "Failing")
	v.types("/zdd status shop")
	v.sees("Heroku's API did not answer just now")
	v.view("heroku-fails")
	v.clicks("radio", "Well")
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
	v.whose("Ada")
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
