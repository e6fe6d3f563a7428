package audit

import (
	"time"

	"example.com/zdd/fleet"
)

// Standing is how one app stood in the newest scan that had it in scope. It is what
// is kept of an app from night to night; the app itself is read anew each time.
type Standing struct {
	App      fleet.ID `json:"app"`
	Name     string   `json:"name"`
	Team     string   `json:"team,omitzero"`    // empty: owned by a person
	Stage    string   `json:"stage,omitzero"`   // of its pipeline; empty: in none, or not known
	Owner    string   `json:"owner,omitzero"`   // Slack user or user group id, by the policy's `apps`
	Channel  string   `json:"channel,omitzero"` // Slack channel id, by the policy's `apps`
	Verdict  Verdict  `json:"verdict"`
	Marks    []Mark   `json:"marks"` // one a check, in the order of Checks
	Increase Increase `json:"increase"`
	// Size is what `enable` has to be given as size=…, because the app's tier can't be
	// made ready as it is; empty: nothing.
	Size string `json:"size,omitzero"`
	// Yours is what a person has to do that no plan can, such as raising an autoscaler's
	// minimum, in a sentence; empty: nothing.
	Yours string `json:"yours,omitzero"`
	// Unread is why the app could not be judged: it, or a part of it that decides, could
	// not be read. Zero: it was judged, which includes what Heroku tells nobody.
	Unread fleet.Reason `json:"unread,omitzero"`
	// ReadAt is when the scan of Night read it. Where Unread says that it could not, it is
	// when it tried; the marks' own times tell what is known from before.
	ReadAt time.Time `json:"read_at"`
	Night  string    `json:"night"`         // the id of that scan
	Gone   time.Time `json:"gone,omitzero"` // since when no scan has found it in scope any more; zero: the last one did
	// Failing says that the app was not ready when it was last judged, which the nights
	// after that on which it can't be judged leave as it is.
	Failing bool `json:"failing,omitzero"`
	// Fresh says that it was old when it was first found, on the first night ever or when a
	// team came in sight or into scope, and could not be judged since: what it is first found
	// to fail is no more news than it would have been then.
	Fresh bool `json:"fresh,omitzero"`
	// Rules is what the policy asked of the app then, as far as checks go by it.
	Rules string `json:"rules,omitzero"`
	// News is what the last scan that had something to tell of the app found changed.
	News News `json:"news,omitzero"`
	// Watch is what was found out since by looks between the nights. A scan reads it and
	// never writes it: saved with a standing, it is left as it is stored.
	Watch Watch `json:"watch,omitzero"`
}

// News is what one scan has to tell of an app beyond how it stands. It is decided when the
// app is held against the night before, and kept with what it follows from, so that a
// scan that is interrupted tells everything, and tells it once.
type News struct {
	Night   string    `json:"night"`             // the id of that scan
	Kind    LineKind  `json:"kind,omitzero"`     // empty: the app is not listed
	Checks  []string  `json:"checks,omitzero"`   // see Line
	Was     string    `json:"was,omitzero"`      // see Line
	From    string    `json:"from,omitzero"`     // see Line
	Days    int       `json:"days,omitzero"`     // see Line
	After   time.Time `json:"after,omitzero"`    // see Line
	Why     string    `json:"why,omitzero"`      // see Line
	First   bool      `json:"first,omitzero"`    // see Line
	Since   time.Time `json:"since,omitzero"`    // see Line
	Mention bool      `json:"mention,omitzero"`  // the owner is mentioned for it
	Waivers []Waiving `json:"waivers,omitempty"` // see Line
	Ending  []Waiving `json:"ending,omitempty"`  // those that are counted down, whatever Kind is; see WaiverLine
}

// Increase is what making an app ready would add to its monthly cost: known, zero where
// it is ready, or unknown.
type Increase = fleet.Value[fleet.Money]

// Mark is what one check said of an app, and since when.
type Mark struct {
	Check    string    `json:"check"`
	Outcome  Outcome   `json:"outcome"`
	Required bool      `json:"required"`
	Evidence string    `json:"evidence"`
	Since    time.Time `json:"since"` // the first read at which it was Outcome, and has been ever since
	// Known is the newest outcome that was not Unknown, and KnownAt when it was last read
	// to be so: what a later outcome is compared with. Empty: none yet.
	Known   Outcome   `json:"known,omitzero"`
	KnownAt time.Time `json:"known_at,omitzero"`
	// Passed says that the check has passed at some time: failing now it regressed, and is
	// not new.
	Passed bool `json:"passed,omitzero"`
	// Failing is since when it counts against the app, by the first read that found so,
	// without one since then that found otherwise: one that finds nothing out changes
	// nothing. Zero: it does not.
	Failing time.Time `json:"failing,omitzero"`
	// Told is the owner who was last told of its failing: mentioned or, on a baseline
	// night, listed. Empty: nobody was. Zeroed when it fails no more.
	Told string `json:"told,omitzero"`
	// Waived is until when the waiver holds that took it out of the verdict at this read,
	// where it would have counted as Fail or Unknown; zero: none did.
	Waived time.Time `json:"waived,omitzero"`
	// Waiver is the one that Waived is about, or, once that is over and as long as nothing
	// was found out since, was.
	Waiver Waiving `json:"waiver,omitzero"`
}

// Waiving is what is kept of a waiver beside the mark that it covers.
type Waiving struct {
	ID    string    `json:"id"`        // W-3
	Check string    `json:"check"`     //
	By    string    `json:"by"`        // Slack user id of its owner
	Until time.Time `json:"until"`     // see policy.Waiver
	Left  int       `json:"days_left"` // policy.Waiver.DaysLeft, when it was last looked at
}

// Fails says whether the mark counts against the app: not while it is waived.
func (m Mark) Fails() bool { return m.Required && m.Outcome == Fail && m.Waived.IsZero() }

// Turn is one check of one app that came out otherwise than the last time that it was
// known: it happened between the two reads. Feature and formation changes make no
// release on Heroku, so nobody is named.
type Turn struct {
	App      fleet.ID  `json:"app"`
	Name     string    `json:"name"` // of the app, then
	Check    string    `json:"check"`
	From     Outcome   `json:"from,omitzero"` // empty: it was not known before
	To       Outcome   `json:"to"`
	Required bool      `json:"required"`       // To counted for the verdict: it was required, and not waived
	Evidence string    `json:"evidence"`       // for To
	After    time.Time `json:"after,omitzero"` // the last read that said From; zero: there was none
	Before   time.Time `json:"before"`         // the read that said To
	Night    string    `json:"night"`
}
