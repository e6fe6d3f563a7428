package fleet

import (
	"fmt"
	"time"
)

// Kind sorts what can go wrong while reading or changing an app, so that each gets
// its own sentence and its own remedy.
type Kind string

// The kinds. Those that the platform answers come from Heroku's error ids
// (Platform API reference, "Errors").
const (
	NotFound     Kind = "not-found"    // 404: no such app, or this token can't see it
	Forbidden    Kind = "forbidden"    // 403: seen, not allowed
	TwoFactor    Kind = "two-factor"   // 403 two_factor: the app asks for a second factor; never ask for one in chat
	Suspended    Kind = "suspended"    // 403 suspended
	Delinquent   Kind = "delinquent"   // 402: the account has unpaid bills
	Unauthorized Kind = "unauthorized" // 401: the token is wrong, revoked or expired
	RateLimited  Kind = "rate-limited" // 429, or our own reserve for people is reached
	Locked       Kind = "locked"       // 422: a preboot hand-over holds the formation; wait and retry
	Refused      Kind = "refused"      // any other 4xx: Message is Heroku's own
	Unavailable  Kind = "unavailable"  // 5xx, no answer, or no answer in time
	NotPriced    Kind = "not-priced"   // Heroku gives no price for this size
	NotTold      Kind = "not-told"     // nothing that was read tells
)

// CallsPerMinute is how many calls an account gets back each minute, whoever uses it
// (Platform API reference, "Rate Limits"): the pace of whatever has used up the rest.
const CallsPerMinute = 75

// Problem is an error that Heroku or the way to it caused. Package heroku makes it;
// everybody else tells it apart with errors.AsType[*Problem].
type Problem struct {
	Kind       Kind
	Op         string        // what was being done: "read formation"
	App        string        // as asked for, or as Heroku named it; may be empty
	Message    string        // Heroku's own words, or what the connection did; never a secret
	RequestID  string        // Heroku's Request-Id, for its support; may be empty
	RetryAfter time.Duration // when trying again makes sense; 0: not told
	Err        error         // the cause; may be nil
}

func (p *Problem) Error() string {
	s := fmt.Sprintf("%s: %s", p.Op, p.Kind)
	if p.Op == "" {
		s = string(p.Kind)
	}
	if p.Message != "" {
		s += ": " + p.Message
	}
	if p.RequestID != "" {
		s += " (request " + p.RequestID + ")"
	}
	return s
}

func (p *Problem) Unwrap() error { return p.Err }

// Reason is the problem as the reason for an unknown value.
func (p *Problem) Reason() Reason {
	text := map[Kind]string{
		NotFound:     "Heroku does not show it to this token",
		Forbidden:    "this token may not read it",
		TwoFactor:    "it is protected by two-factor authentication",
		Suspended:    "the app is suspended",
		Delinquent:   "the account has unpaid bills",
		Unauthorized: "Heroku does not accept the token",
		RateLimited:  "the account's API limit is used up",
		Unavailable:  "Heroku did not answer",
	}[p.Kind]
	switch {
	case text == "":
		text = p.Message
	case p.Kind == Unavailable && p.Message != "":
		text += " (" + p.Message + ")"
	}
	return Reason{Kind: p.Kind, Text: text}
}
