package audit

import (
	"time"

	"example.com/zdd/fleet"
)

// Digest is what there is to tell after a scan, as data: what is said of it and how is
// for those who render it. It is made once, when the scan ends, and stored, so that
// every message of it, posted again or not, says the same.
type Digest struct {
	Night    string    `json:"night"`    // the night's ID
	Zone     string    `json:"timezone"` // IANA name: dates and times are told in it
	Slot     time.Time `json:"slot"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Expected is how long the scan was to take by the calls it needed and the account's
	// limit, reckoned when its lists were read. 0: not reckoned.
	Expected time.Duration `json:"expected"`
	Calls    int           `json:"calls"` // that it took
	Baseline bool          `json:"baseline,omitzero"`
	Missed   []string      `json:"missed,omitzero"`
	Coverage Coverage      `json:"coverage"`
	// Watch is how often each app that is ready is looked at between the nights, where that
	// is less often than the policy asks for; 0: it is not.
	Watch   time.Duration `json:"watch,omitzero"`
	Counts  Counts        `json:"counts"`
	Trend   []Point       `json:"trend"` // the last 30 nights at most, oldest first, this one last
	Groups  []Group       `json:"groups"`
	Changes Changes       `json:"changes"`
	// Head is the ledger's head when the scan ended, for people to keep: a chain can't show
	// by itself that its tail was cut off. Empty: there is none.
	Head string `json:"head,omitzero"`
	// Chain is what was found of the ledger; nil: it was not gone through.
	Chain *Chain `json:"chain,omitempty"`
}

// Point is one night in the chart.
type Point struct {
	Night    string `json:"night"`
	Ready    int    `json:"ready"`
	NotReady int    `json:"not_ready"`
	Unknown  int    `json:"unknown"`
	Partial  bool   `json:"partial,omitzero"`
}

// Changes counts apps by what is told of them. An app is counted once, for the first of
// New, Regressed, Fixed, Still that holds of it, so that a bad turn is not hidden by a good one.
type Changes struct {
	New       int `json:"new"`       // failing, and never seen before or never judged by that check
	Regressed int `json:"regressed"` // failing what it once passed
	Fixed     int `json:"fixed"`     // failing no more at anything
	Still     int `json:"still"`     // failing as before, listed or not
	Gone      int `json:"gone"`      // was failing, and is deleted or out of scope now
	Unread    int `json:"unread"`    // could not be judged tonight
	// Waived counts those that fail no more only because it is waived.
	Waived int `json:"waived,omitzero"`
	// Left counts apps that were not failing, and are deleted or out of scope now. They are
	// not listed; where an account loses its sight of a team, this number tells.
	Left int `json:"left,omitzero"`
}

// Group is what concerns one owner, or one team where nobody is named as owner, in one
// channel: an owner or a team whose apps are told in several has a group in each.
type Group struct {
	Owner   string `json:"owner,omitzero"`   // Slack user or user group id
	Team    string `json:"team,omitzero"`    // where there is no Owner; empty too: personal apps
	Channel string `json:"channel,omitzero"` // Slack channel id, where the policy names one of its own
	// Mention says that something here is new to the owner: listed as new, regressed or
	// newly theirs. Never on a baseline night, nor for an app that is only looked at for the
	// first time.
	Mention bool   `json:"mention,omitzero"`
	Counts  Counts `json:"counts"` // of all the group's apps
	Lines   []Line `json:"lines"`  // what is listed of them, the worst first
	// Quiet counts the apps that fail as before and are not listed tonight.
	Quiet int `json:"quiet,omitzero"`
	Left  int `json:"left,omitzero"` // see Changes
	// Waivers are those of the group's apps that end soon, the next one first.
	Waivers []WaiverLine `json:"waivers,omitempty"`
}

// WaiverLine is a waiver that is counted down: on 7, 3 and 1 days before its last, or on
// the first night after one of these. Its owner (By) is mentioned for it, who need not be
// the group's. It is there only where it still covers something.
type WaiverLine struct {
	App  fleet.ID `json:"app"`
	Name string   `json:"name"`
	Waiving
}

// Line is one app in a digest.
type Line struct {
	App      fleet.ID  `json:"app"`
	Name     string    `json:"name"`
	Was      string    `json:"was,omitzero"`      // its name the night before, where that was another
	From     string    `json:"from,omitzero"`     // its team the night before, where that was another; "-": it was personal
	Kind     LineKind  `json:"kind"`              //
	First    bool      `json:"first,omitzero"`    // New: the app is no new one, only looked at for the first time, and its owner is not mentioned; never on a baseline night
	Checks   []string  `json:"checks,omitzero"`   // ids of those that Kind is about, in the order of Checks: New, Regressed: that began to fail; Still, Owner: that fail; Fixed: that did
	Evidence []string  `json:"evidence,omitzero"` // a sentence for each of Checks
	Days     int       `json:"days,omitzero"`     // Still: for how many nights it has failed by now
	After    time.Time `json:"after,omitzero"`    // Regressed, Fixed: the last read that said otherwise of any of Checks (Mark.KnownAt, as it was); zero: not told
	Since    time.Time `json:"since,omitzero"`    // Regressed: when a look between the nights found it, and whom it concerns was told; zero: not so
	Fight    *Fight    `json:"fight,omitempty"`   // somebody else changes it again and again, so that the same fix would not last; nil: not so
	Why      string    `json:"why,omitzero"`      // Unread, Gone: why, in words; New: the same, of what a waiver covered until it ended
	// Waivers are, of a New one, those that have ended, so that Checks count again, and whose
	// owners (By) are mentioned too; of a Waived one those that hold. Else none.
	Waivers  []Waiving `json:"waivers,omitempty"`
	Unread   string    `json:"unread,omitzero"` // Unread: why in a word or two, as Coverage counts it
	Increase Increase  `json:"increase,omitzero"`
	Size     string    `json:"size,omitzero"`  // see Standing
	Yours    string    `json:"yours,omitzero"` // see Standing
	ReadAt   time.Time `json:"read_at"`
}

// LineKind is why an app is listed.
type LineKind string

// The kinds, in the order of lists.
const (
	LineRegressed LineKind = "regressed"
	LineNew       LineKind = "new"
	LineStill     LineKind = "still" // listed again on the nights 1, 3, 7, 14, 28, 42, … of its failing
	LineOwner     LineKind = "yours" // failing as before, and its owner is another than was told
	LineFixed     LineKind = "fixed"
	LineWaived    LineKind = "waived" // was failing, and that is waived now: nothing was mended
	LineGone      LineKind = "gone"
	LineUnread    LineKind = "unread"
)
