// Package policy is the rules of one company, as read from zdd.yml: which apps are
// looked at, what they have to be, who may ask, who may approve, where reports go.
// It is pure: it reads no file and no environment, knows no clock and talks to nobody.
//
// Invariants: what is not understood is an error and never ignored; every setting
// has a default, and every default is the safe one (nobody may approve, nobody may
// change anything, every full member may read); two policies with the same meaning
// have the same [Policy.Digest].
package policy

import (
	"time"

	"example.com/zdd/fleet"
)

// Policy is what is in force. The zero Policy is not valid: take [Default] or [Parse].
type Policy struct {
	Scope        Scope
	Requirements Requirements
	Apps         []Override // from wide to narrow, see For
	People       People
	Approval     Approval
	Limits       Limits
	Prices       Prices
	Rollout      Rollout
	Waivers      Waivers
	Watch        Watching
	Nightly      Nightly // the `digest` section; Digest is the method that hashes the policy
	Heroku       Heroku

	lines    map[string]int // where each key was set, by its full name; nil: nowhere
	file     string         // the name given to Parse
	literals []string       // keys whose value holds "${", which is never expanded
}

// Scope says which apps the scan and the digest cover. Asking about one app by name
// works for every app that the token can see.
type Scope struct {
	Teams   []string // team names; empty: every app that the token can see, personal ones too
	Include []string // globs of app names; an app has to match one
	Exclude []string // globs of app names; an app must match none
	Stages  []string // pipeline stages, and None for apps in no pipeline
}

// None is the stage of apps that are in no pipeline.
const None = "none"

// Requirements are what every app in force has to be, unless its Override says otherwise.
type Requirements struct {
	WebDynos        int // at least that many web dynos
	SessionAffinity Need
	JVMWarmup       Weight
}

// Need says whether an app needs a feature.
type Need string

// The needs. Optional: either will do. Forbidden: it has to be off.
const (
	Required  Need = "required"
	Optional  Need = "optional"
	Forbidden Need = "forbidden"
)

// Weight says whether a check counts for the verdict.
type Weight string

// The weights.
const (
	WeightAdvice   Weight = "advice"
	WeightRequired Weight = "required"
)

// Override is one entry of `apps`: what differs for the apps that Match names, and
// facts about them that Heroku's API can't tell. A nil or empty field overrides nothing.
type Override struct {
	Match           string // an app's name or UUID, a glob of names, team:NAME or pipeline:NAME (or its UUID)
	WebDynos        *int
	SessionAffinity Need
	JVMWarmup       Weight
	Warmup          Warmup
	Owner           string // Slack user or user group id
	Channel         string // Slack channel id
	Probe           Probe  // key by key, as all else
}

// Warmup is a person's word on whether an app warms itself up before it takes
// traffic. The API can't see it.
type Warmup string

// The words. Unattested takes back what a wider entry attested.
const (
	Attested   Warmup = "attested"
	Unattested Warmup = "unattested"
)

// People are Slack user ids (U…, W…) and user group ids (S…).
type People struct {
	Readers   []string // who may ask about apps; empty: every full member of the workspace
	Operators []string // who may ask for changes; empty: nobody
	Approvers []string // who may approve what costs money; empty: nobody
}

// Approval is how tickets are decided.
type Approval struct {
	Channel      string        // Slack channel id; empty: each approver is asked directly
	ExpiresAfter time.Duration // an undecided ticket's life
	SelfApproval bool          // the requester's own yes counts
	Quorum       []Quorum      // by rising Above
}

// Quorum asks for several approvals.
type Quorum struct {
	Above     fleet.Money // when an app's increases over 7 days add up to more than this a month
	Approvals int         // by that many different people
}

// Approvals says how many different people must approve an increase of that much a
// month. An unknown amount takes the highest number.
func (a Approval) Approvals(increase fleet.Value[fleet.Money]) int {
	need := 1
	amount, known := increase.Get()
	for _, q := range a.Quorum {
		if !known || amount > q.Above {
			need = max(need, q.Approvals)
		}
	}
	return need
}

// Limits can't be lifted from chat.
type Limits struct {
	WebDynos        int         // the most web dynos an app may be given
	MonthlyIncrease fleet.Money // the most that one plan may add a month
}

// Rollout is how long a rollout waits.
type Rollout struct {
	AffinitySoak time.Duration // between session affinity and the second dyno: visitors need a response to get the cookie
	Settle       time.Duration // after the last change of the formation, before preboot
	Pause        time.Duration // between two apps of one ticket, to see whether the one before stays well
}

// Nightly is the scan and its digest.
type Nightly struct {
	Channel    string        // Slack channel id; empty: no digest is posted
	Schedule   string        // when to scan: cron, five fields, at most once a day, in Timezone
	PostAt     string        // when to post, HH:MM in Timezone
	Timezone   string        // IANA name
	WatchEvery time.Duration // how often to look whether something was undone; 0: never
	Keep       time.Duration // for how long to keep what each night found
}

// Location is Timezone. Parse has made sure that it exists.
func (n Nightly) Location() *time.Location {
	loc, err := time.LoadLocation(n.Timezone)
	if err != nil {
		return time.UTC // only for a Nightly that was not made by Parse or Default
	}
	return loc
}

// Heroku is how hard the bot may lean on Heroku's API.
type Heroku struct {
	Reserve  int // API calls an hour that are left to the people who share the account
	Parallel int // requests at a time
}

// Default is the policy of an empty file.
func Default() Policy {
	return Policy{
		Scope:        Scope{Include: []string{"*"}, Stages: []string{"production", None}},
		Requirements: Requirements{WebDynos: 2, SessionAffinity: Required, JVMWarmup: WeightAdvice},
		Approval:     Approval{ExpiresAfter: 24 * time.Hour},
		Limits:       Limits{WebDynos: 10, MonthlyIncrease: 1000_00},
		Rollout:      Rollout{AffinitySoak: 10 * time.Minute, Settle: 6 * time.Minute, Pause: 2 * time.Minute},
		Waivers:      Waivers{Longest: 90 * 24 * time.Hour, Approval: WaiverNeedsNone},
		Watch:        Watching{Releases: WatchNone, Lasts: 10 * time.Minute, AtOnce: 10, PerSecond: 40},
		Nightly:      Nightly{Schedule: "30 3 * * *", PostAt: "09:00", Timezone: "UTC", WatchEvery: 30 * time.Minute, Keep: 365 * 24 * time.Hour},
		Heroku:       Heroku{Reserve: 500, Parallel: 16},
	}
}

// Rules are what the policy asks of one app.
type Rules struct {
	WebDynos        int
	SessionAffinity Need
	JVMWarmup       Weight
	WarmupAttested  bool
	AttestedBy      string // the entry of `apps` that attests it
	Owner           string // Slack user or user group id; empty: nobody is named
	Channel         string // Slack channel id; empty: none is named
	Prices          Prices
	Limits          Limits
	Rollout         Rollout
	Probe           Probe  // whole: every key has its default
	Policy          string // the digest of the policy that these rules come from

	// Waivers are the app's, as whoever made the rules read them; For sets none. They are
	// asked by Waived, and change nothing else of what the rules say: a plan is made as if
	// there were none.
	Waivers []Waiver

	// Unsure is why it is not known which entry of `apps` for a pipeline is about the app,
	// where that could change one of the rules above up to AttestedBy; zero: they are sure.
	Unsure fleet.Reason
	others []Rules // see Others
}
