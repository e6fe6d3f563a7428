package policy

import (
	"slices"
	"time"

	"example.com/zdd/fleet"
)

// Waiver is somebody's word that one check does not count against one app until some
// time, and why. It is stored as JSON: fields are added, never renamed. What it takes to
// get one is package approval's; whether one counts is [Waiver.Waives], and nothing else.
type Waiver struct {
	ID    string      `json:"id"`  // W-3; sequential, never used again
	Rev   int64       `json:"rev"` // raised by every change; posted messages follow it
	State WaiverState `json:"state"`

	App   fleet.ID `json:"app"`   // a renamed app keeps its waiver, one made anew under its name has none
	Name  string   `json:"name"`  // of the app, then
	Check string   `json:"check"` // a check's id
	// Reason is one of Reasons; Text is what its owner wrote beside it, as they wrote it:
	// escape it. Empty: nothing.
	Reason Reason `json:"reason"`
	Text   string `json:"text,omitzero"`

	By      string `json:"by"`               // Slack user id of who asked: its owner
	Team    string `json:"team,omitzero"`    // their Slack team id
	Channel string `json:"channel,omitzero"` // where it was asked
	Origin  string `json:"origin"`           // id of the request: the same one makes no second waiver
	Policy  string `json:"policy,omitzero"`  // digest of the policy in force when it was asked

	AskedAt  time.Time `json:"asked_at"`
	DecideBy time.Time `json:"decide_by,omitzero"` // when it is over if nobody has decided; zero: it needs no decision
	From     time.Time `json:"from,omitzero"`      // since when it holds; zero: it never has
	// Until is the first moment at which it does not hold any more. A date that was typed
	// means through its end: until 31 January is until 00:00 of 1 February, by the policy's
	// clocks.
	Until time.Time `json:"until"`

	Approvals int          `json:"approvals"`           // how many are needed: 0 or 1
	Votes     []WaiverVote `json:"votes,omitempty"`     //
	DecidedBy string       `json:"decided_by,omitzero"` // who approved, denied, withdrew or ended it last; empty: nobody, or the clock
	Why       string       `json:"why,omitzero"`        // theirs, as they wrote it, escape it; or the bot's, of what it ended by itself
	EndedAt   time.Time    `json:"ended_at,omitzero"`   // when it became final
	Replaced  string       `json:"replaced,omitzero"`   // id of the waiver that took its place

	// Still is what the check said when a MigrationWindow was over and the app had not been
	// put right: a sentence, for the reminder of its owner. Empty: it was, or it is no such.
	Still string `json:"still,omitzero"`
}

// WaiverVote is one approval of a waiver.
type WaiverVote struct {
	User string    `json:"user"`
	Team string    `json:"team,omitzero"` // their Slack team id
	At   time.Time `json:"at"`
	Self bool      `json:"self,omitzero"` // its owner's own, which the policy allows
}

// WaiverState is where a waiver stands.
type WaiverState string

// The states. pending → active | denied | cancelled | expired; active → ended | expired |
// replaced. No other state follows any other.
const (
	WaiverPending   WaiverState = "pending"   // awaits a decision, and waives nothing
	WaiverActive    WaiverState = "active"    // holds until Until, whether or not anybody has noticed that that is past
	WaiverDenied    WaiverState = "denied"    //
	WaiverCancelled WaiverState = "cancelled" // withdrawn before it was decided
	WaiverEnded     WaiverState = "ended"     // taken back before its time, by a person
	WaiverExpired   WaiverState = "expired"   // its time, or that to decide on it (From is zero), is over
	WaiverReplaced  WaiverState = "replaced"  // another one of the same app and check began
	// WaiverUnreadable is never stored: it stands for a record that can't be understood.
	WaiverUnreadable WaiverState = "unreadable"
)

// Final says whether nothing will happen to the waiver any more.
func (s WaiverState) Final() bool { return s != WaiverPending && s != WaiverActive }

// Reason is why a check is waived.
type Reason string

// The reasons.
const (
	NotNeeded       Reason = "not-needed"       // the app does not need what the check wants
	AcceptedRisk    Reason = "accepted-risk"    //
	BeingRetired    Reason = "being-retired"    //
	VendorLimit     Reason = "vendor-limit"     // Heroku, or what the app is made of, does not let it
	MigrationWindow Reason = "migration-window" // switched off for a change that old and new code can't share
)

// Reasons are all reasons, in the order in which they are offered.
func Reasons() []Reason {
	return []Reason{NotNeeded, AcceptedRisk, BeingRetired, VendorLimit, MigrationWindow}
}

const (
	// longestEver is the longest that any waiver holds, whatever a policy or a database
	// says: mostWaived to the end of its last day, and a day for time zones and clocks.
	longestEver = (mostWaived + 2) * 24 * time.Hour
	// longestWindow is the longest MigrationWindow in days: a migration that takes longer
	// is no reason to leave deploys unsafe meanwhile.
	longestWindow = 7
)

// Waives says whether the waiver takes that check of that app out of the verdict at that
// moment. It is the one function that decides so, for status, scan, digest and terminal.
// What is pending or over, past its end, not begun, without an end, longer than any
// policy allows, of another app or check, or not understood, waives nothing.
func (w Waiver) Waives(app fleet.ID, check string, at time.Time) bool {
	return w.State == WaiverActive &&
		app != "" && w.App == app &&
		check != "" && w.Check == check &&
		slices.Contains(Reasons(), w.Reason) &&
		!at.IsZero() && !w.From.IsZero() && !w.Until.IsZero() &&
		!at.Before(w.From) && at.Before(w.Until) &&
		!w.Until.After(w.From.Add(longestEver))
}

// Waived is the waiver that takes that check of the app out of the verdict at that
// moment; of several the one that holds longest.
func (r Rules) Waived(app fleet.ID, check string, at time.Time) (Waiver, bool) {
	var longest Waiver
	found := false
	for _, w := range r.Waivers {
		if w.Waives(app, check, at) && (!found || w.Until.After(longest.Until)) {
			longest, found = w, true
		}
	}
	return longest, found
}

// LastUntil is the latest end that a waiver for that reason may have that begins now: the
// end of the last of so many days, by the policy's clocks.
func (p Policy) LastUntil(reason Reason, now time.Time) time.Time {
	longest := int(p.Waivers.Longest / (24 * time.Hour))
	if reason == MigrationWindow {
		longest = min(longest, longestWindow)
	}
	local := now.In(p.Nightly.Location())
	last := time.Date(local.Year(), local.Month(), local.Day()+longest+1, 0, 0, 0, 0, local.Location())
	if last.Hour() > 12 { // clocks are put forward at that midnight: the date begins when they are
		_, last = last.ZoneBounds()
	}
	return last
}

// DaysLeft is how many dates there are from the one of now to the last on which the
// waiver holds, by that zone's clocks: 0 on that day itself. Below 0: it is over.
func (w Waiver) DaysLeft(now time.Time, zone *time.Location) int {
	last := w.Until.Add(-time.Millisecond)
	date := func(t time.Time) int64 {
		y, m, d := t.In(zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
	}
	return int(date(last) - date(now))
}

// Waivers is what a waiver takes.
type Waivers struct {
	Longest  time.Duration // whole days
	Approval WaiverApproval
}

// WaiverApproval says whether somebody else has to approve a waiver.
type WaiverApproval string

// What it may say.
const (
	WaiverNeedsNone     WaiverApproval = "none"
	WaiverNeedsApproval WaiverApproval = "required"
)

// UntilText is an end in full, for people, by that zone's clocks: "the end of Sunday, 31
// January 2027, Europe/Berlin", or "18:00 on Sunday, 31 January 2027, Europe/Berlin".
func UntilText(until time.Time, zone *time.Location) string {
	local := until.In(zone)
	if last := local.Add(-time.Millisecond); last.Day() != local.Day() {
		return "the end of " + last.Format("Monday, 2 January 2006") + ", " + zone.String()
	}
	return local.Format("15:04 on Monday, 2 January 2006") + ", " + zone.String()
}
