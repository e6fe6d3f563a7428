package watch

import (
	"cmp"
	"time"
)

// Timing is how long things take on Heroku, and how often they are looked at. A field
// that is zero has production's value; only the demo and tests set any, for a platform
// whose own time is scaled.
type Timing struct {
	Look time.Duration // between two looks at an app's releases; 10 s: the Heroku CLI polls no faster
	Save time.Duration // between two snapshots of a running watch; 5 s: as much is lost by a crash

	// Boot is how long a dyno may take until it serves; 75 s: the dyno itself is given 60 s to
	// bind its port (R10), and the router holds requests for 75 s (H20).
	Boot time.Duration
	// Preboot is from the making of a release until the last old dyno is told to stop, with
	// preboot on; 5:08: Heroku says boot timeout and 2 minutes, the longest measured was that.
	Preboot time.Duration
	Drain   time.Duration // what a dyno is given between SIGTERM and SIGKILL; 30 s
	Margin  time.Duration // on top of each hand-over; 15 s: Heroku tells whole seconds, of its own clock
	Back    time.Duration // how long before a watch a release was made that is watched too; 2 minutes
	Longest time.Duration // of a watch, whatever is released meanwhile; 60 minutes

	// Hurry divides how long a watch was asked for; 1. A hand-over is watched to its end all
	// the same.
	Hurry int
}

// early is how long before the moment that Heroku tells of a release its window begins: the
// clocks are compared by a Date header, which drops half a second on average, and by half
// of the way there and back.
const early = time.Second

func (t Timing) orDefaults() Timing {
	t.Look = cmp.Or(t.Look, 10*time.Second)
	t.Save = cmp.Or(t.Save, 5*time.Second)
	t.Boot = cmp.Or(t.Boot, 75*time.Second)
	t.Preboot = cmp.Or(t.Preboot, 5*time.Minute+8*time.Second)
	t.Drain = cmp.Or(t.Drain, 30*time.Second)
	t.Margin = cmp.Or(t.Margin, 15*time.Second)
	t.Back = cmp.Or(t.Back, lookBack)
	t.Longest = cmp.Or(t.Longest, time.Hour)
	t.Hurry = max(t.Hurry, 1)
	return t
}

// HandOver is how long after its making a release may drop something: until the last old
// dyno must be gone. It is the longest that is thinkable where the setup is unknown.
func HandOver(s Setup, t Timing) time.Duration {
	t = t.orDefaults()
	tail := t.Drain + t.Margin
	switch preboot, known := s.Preboot.Get(); {
	case s.InSpace:
		return time.Duration(batches(s.Web.Or(unknownDynos)))*t.Boot + tail
	case !known:
		return max(t.Preboot, t.Boot) + tail
	case preboot:
		return t.Preboot + tail
	}
	return t.Boot + tail
}

// unknownDynos is a number of dynos that take as many batches as any do.
const unknownDynos = 7

// batches is in how many steps a space replaces dynos: a quarter of them at a time, at
// least one (Dev Center, "Rolling Deploys"). Which way a quarter is rounded is not told;
// rounded down there are more steps, and the hand-over is not taken for over too early.
func batches(web int) int {
	step := max(1, web/4)
	return max(1, (web+step-1)/step)
}
