package fleet

import "time"

// Filter says which apps to list: those of all its fields together. The zero
// Filter lists every app that the token can see.
type Filter struct {
	Teams    []string // by name or UUID
	Spaces   []string // by name
	Personal bool     // apps that belong to no team
}

// Roll is a fleet as lists tell it: everything that needs no call of an app's own. Of
// its apps Pipeline, AddOns, Sizes and Space.Shield are known, or unknown because their
// list could not be read; Formation, Features, Autoscaler, Buildpacks, Release and Dynos
// are not read.
type Roll struct {
	Apps   []App // none twice, in no order
	Gaps   []Gap // lists of apps that ended early: apps may be missing from Apps
	ReadAt time.Time
	Calls  int // requests that it took, those included that were sent again
}

// Gap is a list of apps that could not be read, or not to its end.
type Gap struct {
	List string // what it lists: "the apps of the team acme"
	Why  Reason
}

// String is the gap as a sentence without its full stop.
func (g Gap) String() string { return g.List + " could not all be listed: " + g.Why.Text }

// Parts says which parts of an app to read once its formation was read: each is asked
// about the app with that formation. Nil: the part is not read.
type Parts struct {
	Features, Autoscaler, Buildpacks func(App) bool
}
