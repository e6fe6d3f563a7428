package approval

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// WaiversConfig is what Waivers need. Desk, Store and Checks are required.
type WaiversConfig struct {
	Desk   *Desk // whose people, policy, clock and key they are decided by
	Store  WaiverStore
	Checks []string // ids of what can be waived
	// Forged is that of the WaiverReader.
	Forged func(ctx context.Context, w policy.Waiver, why string)
	// Still reads the waiver's app afresh and judges its check as if nothing were waived.
	// still is true where it fails, or can't be told though the app was read; evidence is
	// what was seen, a sentence. An app that is gone fails nothing. An error means that it
	// could not be read. Nil: nobody is reminded when a policy.MigrationWindow is over.
	Still func(ctx context.Context, w policy.Waiver) (still bool, evidence string, err error)
}

// Waivers is where people ask for waivers, approve, deny and end them. As with a [Desk],
// its methods answer a *No where that is not to be, nothing was changed on any other
// error, and all of them may be repeated, and called from any number of replicas.
type Waivers struct {
	*WaiverReader
	desk   *Desk
	store  WaiverStore
	checks []string
	still  func(ctx context.Context, w policy.Waiver) (bool, string, error)
}

// NewWaivers makes Waivers.
func NewWaivers(cfg WaiversConfig) *Waivers {
	of := cfg.Desk.cfg
	return &Waivers{
		WaiverReader: &WaiverReader{Store: cfg.Store, Policy: of.Policy, Key: of.Key, Now: of.Now, Forged: cfg.Forged},
		desk:         cfg.Desk, store: cfg.Store, checks: cfg.Checks, still: cfg.Still,
	}
}

// WaiveFor is a request for a waiver.
type WaiveFor struct {
	App     fleet.ID
	Name    string // of the app
	Check   string // a check's id
	Reason  policy.Reason
	Text    string    // as it was typed; may be empty
	Until   time.Time // the first moment at which it shall not hold any more; see policy.Waiver
	By      Person
	Channel string // where it was asked; may be empty
	Origin  string // id of the request; the same one makes no second waiver
}

// Ask makes a waiver. It holds at once, in place of the one that the app has for the same
// check, unless the policy wants an approval: then it waits for an Approve, and the other
// one goes on until then. made is false where there already is one: of the same Origin, or
// of the same person for exactly the same.
func (d *Waivers) Ask(ctx context.Context, a WaiveFor) (w policy.Waiver, made bool, err error) {
	if a.By.ID == "" || a.Origin == "" || a.App == "" {
		return policy.Waiver{}, false, errors.New("ask for a waiver: nobody asks, the request has no id, or the app no UUID")
	}
	same, err := d.store.Waivers(ctx, WaiverFilter{Origin: a.Origin})
	switch {
	case err != nil:
		return policy.Waiver{}, false, err
	case len(same) > 0 && same[0].By != a.By.ID:
		return policy.Waiver{}, false, fmt.Errorf("ask for a waiver: request %q has made one of somebody else's", a.Origin)
	case len(same) > 0:
		return same[0], false, nil
	}
	pol, refused, err := d.desk.mayAsk(ctx, a.By)
	if err != nil {
		return policy.Waiver{}, false, err
	}
	now := d.desk.now()
	if refused == nil {
		refused = d.sensible(pol, a, now)
	}
	if refused != nil {
		return policy.Waiver{}, false, refused
	}
	next := policy.Waiver{
		State: policy.WaiverActive, App: a.App, Name: a.Name, Check: a.Check, Reason: a.Reason, Text: clean(a.Text),
		By: a.By.ID, Team: a.By.Team, Channel: a.Channel, Origin: a.Origin, Policy: pol.Digest(),
		AskedAt: now, From: now, Until: a.Until.UTC().Truncate(time.Millisecond),
	}
	if pol.Waivers.Approval != policy.WaiverNeedsNone { // what is not understood is not lifted
		next.State, next.From, next.Approvals = policy.WaiverPending, time.Time{}, 1
		next.DecideBy = earliest(now.Add(pol.Approval.ExpiresAfter), next.Until)
		if n, known := voices(pol, a.By.ID); known && n < 1 {
			return policy.Waiver{}, false, alone(pol, a.By.ID, 1, n)
		}
	}
	void, err := d.void(ctx, next)
	if err != nil {
		return policy.Waiver{}, false, err
	}
	err = d.store.Tx(ctx, func(tx *sql.Tx) error {
		w, made, err = d.open(ctx, tx, next, void)
		return err
	})
	return d.done("ask for a waiver", w, made, err)
}

// void are the ids of waivers that say what next does and waive nothing, because the ledger
// does not bear them out: whoever asks anew, as they are told to, gets another one.
func (d *Waivers) void(ctx context.Context, next policy.Waiver) (ids []string, err error) {
	all, err := d.store.Waivers(ctx, WaiverFilter{App: next.App, States: open(), Limit: -1})
	if err != nil {
		return nil, err
	}
	for _, w := range all {
		if !sameWaiver(w, next) {
			continue
		}
		if why, err := d.Proof(ctx, w); err != nil {
			return nil, err
		} else if why != "" {
			ids = append(ids, w.ID)
		}
	}
	return ids, nil
}

// open stores a new waiver, unless there is one that says the same and is not void.
func (d *Waivers) open(ctx context.Context, tx *sql.Tx, next policy.Waiver, void []string) (w policy.Waiver, made bool, err error) {
	others, err := d.store.WaiversTx(ctx, tx, WaiverFilter{States: open(), Limit: -1})
	if err != nil {
		return policy.Waiver{}, false, err
	}
	mine := 0
	for _, o := range others {
		waits := o.State == policy.WaiverPending && next.AskedAt.Before(o.DecideBy)
		if waits && o.By == next.By {
			mine++
		}
		same := sameWaiver(o, next) && !slices.Contains(void, o.ID)
		if same && o.State == next.State && (waits || o.Waives(o.App, o.Check, next.AskedAt)) {
			return o, false, nil
		}
	}
	if next.State == policy.WaiverPending && mine >= mostAsked {
		return policy.Waiver{}, false, no("You have %d waivers that wait for an approval already, and I ask for no more at a time: who is asked too often stops looking. Nothing was asked for or waived. `/zdd waivers` lists them: have them decided, or cancel those that you don't need.", mine)
	}
	w, made, err = d.store.CreateWaiverTx(ctx, tx, next, func(w policy.Waiver) Change {
		if w.State == policy.WaiverPending {
			about := aboutWaiver(w)
			about.Waiver, about.DecideBy = askedPrint(w), w.DecideBy
			return Change{Entries: []ledger.Entry{waiverEntry(w, w.AskedAt, w.By, ledger.WaiverAsked, about)}, Work: []Work{waiverWork(w)}}
		}
		return begins(w, w.By)
	})
	if err != nil || !made || w.State != policy.WaiverActive {
		return w, made, err
	}
	return w, true, d.replace(ctx, tx, w)
}

// sameWaiver says whether one asks for what the other does, apart from when.
func sameWaiver(a, b policy.Waiver) bool {
	return a.App == b.App && a.Check == b.Check && a.By == b.By && a.Reason == b.Reason && a.Text == b.Text && a.Until.Equal(b.Until)
}

// begins tells that the waiver holds from now on, by that person's word.
func begins(w policy.Waiver, by string) Change {
	about := aboutWaiver(w)
	about.Waiver, about.From, about.Votes = heldPrint(w), w.From, w.Votes
	for _, v := range w.Votes {
		about.Self = about.Self || v.Self
	}
	return Change{Entries: []ledger.Entry{waiverEntry(w, w.From, by, ledger.Waived, about)}, Work: []Work{waiverWork(w)}}
}

// replace ends the waivers whose place w takes.
func (d *Waivers) replace(ctx context.Context, tx *sql.Tx, w policy.Waiver) error {
	held, err := d.store.WaiversTx(ctx, tx, WaiverFilter{App: w.App, States: []policy.WaiverState{policy.WaiverActive}, Limit: -1})
	if err != nil {
		return err
	}
	for _, o := range held {
		if o.ID == w.ID || o.Check != w.Check || !w.From.Before(o.Until) { // what is past its end ends as such
			continue
		}
		_, err := d.store.ChangeWaiverTx(ctx, tx, o.ID, func(o *policy.Waiver) (Change, error) {
			o.State, o.EndedAt, o.Replaced = policy.WaiverReplaced, w.From, w.ID
			about := waiverDetail{Check: o.Check, Replaced: w.ID}
			return Change{Entries: []ledger.Entry{waiverEntry(*o, w.From, ledger.Bot, ledger.Unwaived, about)}}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sensible refuses what can't be waived, and for how long.
func (d *Waivers) sensible(pol policy.Policy, a WaiveFor, now time.Time) *No {
	switch {
	case !slices.Contains(d.checks, a.Check):
		return no("There is no check `%s`. Nothing was waived. The checks are `%s`.", strings.ReplaceAll(clean(a.Check), "`", ""), strings.Join(d.checks, "`, `"))
	case !slices.Contains(policy.Reasons(), a.Reason):
		var words []string
		for _, r := range policy.Reasons() {
			words = append(words, string(r))
		}
		return no("`%s` is no reason that I know. Nothing was waived. The reasons are `%s`; what there is to say beyond that goes behind it.", strings.ReplaceAll(clean(string(a.Reason)), "`", ""), strings.Join(words, "`, `"))
	case !now.Before(a.Until):
		return no("%s is over already, so nothing was waived. Give a time to come: `/zdd waive %s %s until <date> because %s`.", plan.Capital(policy.UntilText(a.Until, pol.Nightly.Location())), a.Name, a.Check, a.Reason)
	}
	return tooLong(pol, a.Reason, a.Until, now)
}

// tooLong refuses a waiver that would hold for longer than the policy allows.
func tooLong(pol policy.Policy, reason policy.Reason, until, now time.Time) *No {
	last, zone := pol.LastUntil(reason, now), pol.Nightly.Location()
	if !until.After(last) {
		return nil
	}
	most := fmt.Sprintf("The policy lets a waiver hold until %s at the most (`waivers.longest`)", policy.UntilText(last, zone))
	if last.Before(pol.LastUntil(policy.AcceptedRisk, now)) {
		most = fmt.Sprintf("A `%s` holds until %s at the most: what takes longer has another reason", reason, policy.UntilText(last, zone))
	}
	return no("%s, and until %s is longer. Nothing was waived. Ask for less: before it ends it can be asked for anew.", most, policy.UntilText(until, zone))
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// waiverWork looks at the waiver when its time, or that to decide on it, is over.
func waiverWork(w policy.Waiver) Work {
	at := w.Until
	if w.State == policy.WaiverPending {
		at = w.DecideBy
	}
	return Work{Kind: WorkWaiver, Key: w.ID, At: at}
}

// done wakes the queue after a transaction that stored something.
func (d *Waivers) done(doing string, w policy.Waiver, made bool, err error) (policy.Waiver, bool, error) {
	switch refused, ok := errors.AsType[*No](err); {
	case ok:
		return policy.Waiver{}, false, refused // without what the transaction wrapped around it
	case err != nil:
		return policy.Waiver{}, false, fmt.Errorf("%s: %w", doing, err)
	case made:
		d.desk.cfg.Wake()
	}
	return w, made, nil
}

// waiverDetail is what the ledger keeps of a waiver. The names are stored: they are added
// to, never changed.
type waiverDetail struct {
	Check    string              `json:"check"`
	Reason   policy.Reason       `json:"waived_because,omitzero"`
	Text     string              `json:"text,omitzero"` // as it was typed
	By       string              `json:"owner,omitzero"`
	From     time.Time           `json:"from,omitzero"`
	Until    time.Time           `json:"until,omitzero"`
	DecideBy time.Time           `json:"decide_by,omitzero"`
	Votes    []policy.WaiverVote `json:"votes,omitempty"`
	Self     bool                `json:"self,omitzero"`     // its owner's own voice is among the votes
	Tried    string              `json:"tried,omitzero"`    // of a refusal: what was tried
	Why      string              `json:"why,omitzero"`      //
	Typed    string              `json:"reason,omitzero"`   // of a person who denied or ended it, as they typed it
	FoundBy  string              `json:"found_by,omitzero"` // whose click showed it
	Replaced string              `json:"replaced_by,omitzero"`
	Still    string              `json:"still,omitzero"`         // what the check said when a migration window was over
	Waiver   string              `json:"waiver_sha256,omitzero"` // of what it waives by; see WaiverReader.Proof
}

func aboutWaiver(w policy.Waiver) waiverDetail {
	return waiverDetail{Check: w.Check, Reason: w.Reason, Text: w.Text, By: w.By, Until: w.Until}
}

// waiverEntry is a line of the ledger about the waiver.
func waiverEntry(w policy.Waiver, at time.Time, actor, verb string, about waiverDetail) ledger.Entry {
	text, err := json.Marshal(about)
	if err != nil { // it holds texts and times that were read from JSON, or checked before
		panic(err)
	}
	return ledger.Entry{At: at, Actor: actor, Verb: verb, App: string(w.App), Name: w.Name, Ticket: w.ID, Detail: text}
}
