package plan

import (
	"fmt"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Runtime is which of Heroku's rules an app follows.
type Runtime string

// The runtimes.
const (
	Webless  Runtime = "webless"  // no process type web, or never released
	Stopped  Runtime = "stopped"  // web at 0: someone switched it off on purpose
	Rolling  Runtime = "rolling"  // a space: rolling deploys are always on
	Bootable Runtime = "bootable" // Common Runtime, Standard or Performance: can preboot
	Small    Runtime = "small"    // Common Runtime, Eco or Basic: one dyno per process type, no preboot
	Strange  Runtime = "strange"  // what was read contradicts itself, or is a size this program does not know
)

// RuntimeOf says which rules the app follows, and why in words for a person. It is
// unknown where the formation is. Space, tier and generation are judged together: the
// feature list shows features that an app can't use, and one of the others alone may
// be missing or new.
func RuntimeOf(app fleet.App) (runtime fleet.Value[Runtime], why string) {
	formation, known := app.Formation.Get()
	if !known {
		return fleet.Unknown[Runtime](app.Formation.Why()), ""
	}
	web, hasWeb := app.Web()
	switch {
	case len(formation) == 0 && app.ReleasedAt.IsZero():
		return fleet.Known(Webless), "nothing was released yet, so there is no web process"
	case !hasWeb:
		return fleet.Known(Webless), "the app has no process type `web`"
	case web.Quantity <= 0:
		return fleet.Known(Stopped), "web is scaled to 0: someone switched it off"
	}
	size := app.Size(web.Size)
	if app.InSpace() {
		switch size.Tier {
		case fleet.Eco, fleet.Basic, fleet.Standard, fleet.Performance:
			return fleet.Known(Strange), fmt.Sprintf("Heroku says that the app runs in space %s and on %s dynos, which spaces do not have", Code(app.Space.Name), Code(size.Name))
		}
		return fleet.Known(Rolling), fmt.Sprintf("it runs in space %s, where rolling deploys are always on", Code(app.Space.Name))
	}
	if app.Generation == fleet.Fir {
		return fleet.Known(Strange), "Heroku says that the app is on Fir and in no space, which can't both be"
	}
	switch size.Tier {
	case fleet.Eco, fleet.Basic:
		return fleet.Known(Small), fmt.Sprintf("web runs on %s dynos, which can't preboot and of which a process type can have only one", size.Name)
	case fleet.Standard, fleet.Performance:
		return fleet.Known(Bootable), fmt.Sprintf("web runs on %s dynos, which can preboot", size.Name)
	case fleet.OtherTier:
		return fleet.Known(Strange), fmt.Sprintf("%s is a dyno size that this program does not know", Code(size.Name))
	}
	return fleet.Known(Strange), fmt.Sprintf("Heroku says that the app runs on %s dynos and in no space, which can't both be", Code(size.Name))
}

// rolling is how many web dynos a rolling deploy needs so that one serves while another
// is replaced (Dev Center, "Rolling Deploys").
const rolling = 2

// Wanted is how many web dynos the app has to keep, and who wants it, in words for a
// person that begin no sentence: what the policy says, and in a space, where nothing but
// rolling deploys keeps the app up, no fewer than those need.
func Wanted(app fleet.App, rules policy.Rules) (web int, who string) {
	if app.InSpace() && rules.WebDynos < rolling {
		return rolling, fmt.Sprintf("a rolling deploy needs %d, though policy wants %d", rolling, rules.WebDynos)
	}
	return rules.WebDynos, fmt.Sprintf("policy wants %d", rules.WebDynos)
}

// AutoscalerOf is Heroku's own autoscaling of an app's web dynos. Where the size can't
// have it, it is off whatever was read, and where it was not read but can't be, too.
func AutoscalerOf(app fleet.App) fleet.Value[fleet.Autoscaler] {
	size, ok := app.WebSize()
	if scaler, known := app.Autoscaler.Get(); known && scaler.Active {
		return app.Autoscaler // a monitor that is on is believed, whatever the size
	}
	if ok && (!size.MayAutoscale() && size.Tier != fleet.OtherTier || app.Generation == fleet.Fir) {
		return fleet.Known(fleet.Autoscaler{})
	}
	return app.Autoscaler
}

// Floor is the number of web dynos that the app is sure to keep: today's quantity,
// and where something scales the app by itself no more than its minimum. It is unknown
// where that minimum can't be read: of a scaling add-on never, so today's quantity
// proves nothing then, nor where the add-ons themselves could not be read. (A list
// without one proves little too, as some scalers are linked by OAuth and never listed;
// that an app's quantity moves by itself only shows over time.) low says that it is below want in any case: a quantity below
// want today is, whatever scales the app.
func Floor(app fleet.App, want int) (floor fleet.Value[int], low bool) {
	web, ok := app.Web()
	if !ok {
		return fleet.Unknown[int](app.Formation.Why()), false
	}
	scaler, known := AutoscalerOf(app).Get()
	low = web.Quantity < want || known && scaler.Active && scaler.Min < want
	switch addons := app.ScalingAddOns(); {
	case !known:
		why := AutoscalerOf(app).Why()
		return fleet.Unknown[int](fleet.Reason{Kind: why.Kind, Text: "whether Heroku's autoscaler is on could not be read (" + why.Text + ")"}), low
	case !app.AddOns.IsKnown():
		why := app.AddOns.Why()
		return fleet.Unknown[int](fleet.Reason{Kind: why.Kind, Text: "the add-ons, one of which may scale it, could not be read (" + why.Text + ")"}), low
	case len(addons) > 0:
		return fleet.Unknown[int](fleet.Reason{Kind: fleet.NotTold, Text: "the minimum of " + Join(codes(addons)) + " can't be read from Heroku"}), low
	case scaler.Active:
		return fleet.Known(min(web.Quantity, scaler.Min)), low
	}
	return fleet.Known(web.Quantity), low
}

// Unread is the first part that was not read of those that a plan's hash stands on, in
// words that go with "could not read"; empty: all were.
func Unread(app fleet.App) (part string, why fleet.Reason) {
	autoscaler := AutoscalerOf(app)
	shield := fleet.Known(false)
	if app.Space != nil {
		shield = app.Space.Shield // its dynos cost more
	}
	for _, p := range []struct {
		name  string
		known bool
		why   fleet.Reason
	}{
		{"the formation", app.Formation.IsKnown(), app.Formation.Why()},
		{"the features", app.Features.IsKnown(), app.Features.Why()},
		{"the prices", app.Sizes.IsKnown(), app.Sizes.Why()},
		{"the kind of space", shield.IsKnown(), shield.Why()},
		{"the add-ons", app.AddOns.IsKnown(), app.AddOns.Why()},
		{"the autoscaler", autoscaler.IsKnown(), autoscaler.Why()},
		{"the pipeline", app.Pipeline.IsKnown(), app.Pipeline.Why()}, // the policy may have rules for it
	} {
		if !p.known {
			return p.name, p.why
		}
	}
	return "", fleet.Reason{}
}
