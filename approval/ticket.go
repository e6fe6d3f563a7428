// Package approval keeps tickets: plans that await, or are past, a decision. It says who
// may ask, approve, deny, cancel and resume, and turns a decision into stored work; it
// carries nothing out (package rollout does) and draws nothing (commands and chat do).
//
// Invariants: every rule is checked on the stored ticket, in the transaction that
// changes it, never on what a button said; a decision, its ledger entries and the work
// that follows commit together or not at all; people are Slack ids, never names; what
// cannot be checked is refused.
package approval

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// State is where a ticket stands.
type State string

// The states. pending → approved | denied | cancelled | expired | stale;
// approved → running | cancelled | stale | failed; running → done | stopped | failed.
// [CheckChange] holds every change to that. A batch goes through the same; it is done
// once all its parts are.
const (
	Pending   State = "pending"   // awaits decisions, or the requester's "Do it"
	Approved  State = "approved"  // will be carried out as soon as its turn comes
	Running   State = "running"   //
	Denied    State = "denied"    //
	Cancelled State = "cancelled" // before anything was done
	Expired   State = "expired"   //
	Stale     State = "stale"     // the app, the policy or the requester's rights are not what they were
	Done      State = "done"      //
	Stopped   State = "stopped"   // by a person or a surprise; Outcome says what is done and what is not
	Failed    State = "failed"    // Heroku refused, or trouble lasted too long; Outcome says what is done and what is not
)

// Final says whether nothing will happen to the ticket any more.
func (s State) Final() bool { return s != Pending && s != Approved && s != Running }

// Ticket is a plan and its fate. It is stored as JSON: fields are added, never renamed.
type Ticket struct {
	ID    string `json:"id"`    // T-12; sequential, never used again
	Rev   int64  `json:"rev"`   // raised by every change; posted messages follow it
	State State  `json:"state"` //

	Wish plan.Wish `json:"wish"` // what was asked for, to plan it again
	Plan plan.Plan `json:"plan"` // what was decided on

	Requester string    `json:"requester"`           // Slack user id; of a ticket that goes on under an old approval, whoever asked for that
	Team      string    `json:"team"`                // the requester's Slack team id
	Channel   string    `json:"channel,omitzero"`    // where it was asked
	Origin    string    `json:"origin"`              // id of the request it comes from: the same request makes no second ticket
	Follows   string    `json:"follows,omitzero"`    // the ticket that this one resumes or undoes
	Resumer   string    `json:"resumer,omitzero"`    // user id who had it go on under the approval of Follows; empty: it has an approval of its own
	Policy    string    `json:"policy,omitzero"`     // digest of the policy in force when it was asked
	CreatedAt time.Time `json:"created_at"`          //
	ExpiresAt time.Time `json:"expires_at"`          // of the decision, of the right to start under it, and of the right to resume
	DecidedAt time.Time `json:"decided_at,omitzero"` // when it became approved, denied, cancelled, expired or stale

	Approvals int      `json:"approvals"`           // how many are needed; 0: the requester's own "Do it"
	Why       []string `json:"why,omitempty"`       // why approval is needed, in sentences
	Own       bool     `json:"own,omitzero"`        // the requester's own voice counts, where they are who the policy's groups say
	Votes     []Vote   `json:"votes,omitempty"`     // in order
	DecidedBy string   `json:"decided_by,omitzero"` // who denied or cancelled
	Reason    string   `json:"reason,omitzero"`     // theirs, as they wrote it: escape it

	Halt     string     `json:"halt,omitzero"`      // user id who asked a running ticket to stop after its current step
	Progress []Progress `json:"progress,omitempty"` // one a step of Plan, once it runs
	Waiting  string     `json:"waiting,omitzero"`   // what a running ticket waits for just now, for people
	Trouble  time.Time  `json:"trouble,omitzero"`   // since when Heroku has not answered well; zero: it has
	Outcome  string     `json:"outcome,omitzero"`   // a final ticket's sentence: what was and was not changed, and what to do next
	Verdict  string     `json:"verdict,omitzero"`   // the app's audit verdict at the end, as text
	Head     string     `json:"head,omitzero"`      // the ledger's head after the end, as printed in Slack
	EndedAt  time.Time  `json:"ended_at,omitzero"`
	Later    []Look     `json:"later,omitempty"` // what was seen when looking again after the end

	Parts []Part `json:"parts,omitempty"` // of a batch: see Part. Plan is plan.Together of theirs, and no app's
	Of    string `json:"of,omitzero"`     // the batch that this ticket carries a part of out
}

// Vote is one approval.
type Vote struct {
	User string    `json:"user"`
	Team string    `json:"team,omitzero"` // their Slack team id
	At   time.Time `json:"at"`
	Self bool      `json:"self,omitzero"` // the requester's own, which the policy allows
}

// Progress is how far one step is.
type Progress struct {
	Intended time.Time  `json:"intended,omitzero"` // when the write was announced in the ledger, or a wait began
	Done     time.Time  `json:"done,omitzero"`     // when it was read back as done
	Before   plan.State `json:"before,omitzero"`   // read just before
	After    plan.State `json:"after,omitzero"`    // read back
	Already  bool       `json:"already,omitzero"`  // it was so before we did anything
}

// Look is one look at the app some time after the end.
type Look struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"` // empty: all as it was left
}

// StepsDone is how many steps are done.
func (t Ticket) StepsDone() int {
	return len(slices.DeleteFunc(slices.Clone(t.Progress), func(p Progress) bool { return p.Done.IsZero() }))
}

// Work is a job to enqueue with a change: kind:key is its id, and a second one of the
// same id is none.
type Work struct {
	Kind, Key string
	Group     string // jobs of one group run one after the other; empty: no group
	At        time.Time
}

// The kinds of work that tickets make.
const (
	WorkApply  = "apply"  // key: ticket; carry it out
	WorkBatch  = "batch"  // key: ticket; carry a batch out, or a part of one: a program that knows of none would end it
	WorkExpire = "expire" // key: ticket
	WorkTell   = "tell"   // key: ticket:rev; bring every message about the ticket up to date
	WorkLook   = "look"   // key: ticket:n; look at the app again after the end
)

// Change is what one transaction does to a ticket besides changing its fields. The
// entries are sealed with the key that the store was opened with.
type Change struct {
	Entries []ledger.Entry
	Work    []Work
}

// ErrNoTicket says that there is no ticket of that id.
var ErrNoTicket = errors.New("no such ticket")

// Store keeps tickets. Package store implements it on both databases.
//
// Whatever changes tickets takes one lock first and holds it until its transaction
// ends, so that changes come one after the other, each seeing all before it. End soon.
type Store interface {
	// Tx runs do in one transaction. do uses nothing but tx.
	Tx(ctx context.Context, do func(tx *sql.Tx) error) error
	// CreateTicket gives t the next id and Rev 1 and stores it, with what change says about
	// it, in one transaction. Where a ticket of the same Origin exists, that one is
	// returned and made is false.
	CreateTicket(ctx context.Context, t Ticket, change func(Ticket) Change) (stored Ticket, made bool, err error)
	// CreateTicketTx is CreateTicket in a transaction of the caller's.
	CreateTicketTx(ctx context.Context, tx *sql.Tx, t Ticket, change func(Ticket) Change) (stored Ticket, made bool, err error)
	// ChangeTicket loads the ticket under a lock, lets change edit it, and stores it with
	// Rev raised, its ledger entries and its work, in one transaction. An error of change
	// leaves everything as it was and is returned as it is. WorkTell for the new Rev is
	// always added. A ticket that change leaves as it is keeps its Rev, and nobody is told;
	// the entries and the work count nevertheless. What CheckChange refuses is refused.
	ChangeTicket(ctx context.Context, id string, change func(*Ticket) (Change, error)) (Ticket, error)
	// ChangeTicketTx is ChangeTicket in a transaction of the caller's.
	ChangeTicketTx(ctx context.Context, tx *sql.Tx, id string, change func(*Ticket) (Change, error)) (Ticket, error)
	Ticket(ctx context.Context, id string) (Ticket, error) // ErrNoTicket
	Tickets(ctx context.Context, f Filter) ([]Ticket, error)
	// TicketsTx is Tickets under the lock: until tx ends nobody else changes any.
	TicketsTx(ctx context.Context, tx *sql.Tx, f Filter) ([]Ticket, error)
	// LedgerOfTicket reads at most limit of the ledger's entries about the ticket, the newest
	// first, from the one before the number before on; 0: from the end.
	LedgerOfTicket(ctx context.Context, ticket string, before int64, limit int) ([]ledger.Entry, error)
	lastEntries
}

// Filter selects tickets, newest first. Zero fields select all.
type Filter struct {
	States  []State
	App     fleet.ID
	Origin  string
	Follows string
	Since   time.Time // created at or after
	Decided time.Time // decided at or after
	Batches bool      // only those for several apps, which no App selects
	Limit   int       // 0: 100; below 0: no limit
}

// ID is the id of the n-th ticket: T-12.
func ID(n int64) string { return "T-" + strconv.FormatInt(n, 10) }

// ParseID reads a ticket's id as people type it: T-12, t-12, t12, #12 or 12.
func ParseID(text string) (id string, ok bool) { return parseID(typedID, ID, text) }

// parseID reads an id whose number is what typed finds, and which write writes.
func parseID(typed *regexp.Regexp, write func(n int64) string, text string) (id string, ok bool) {
	m := typed.FindStringSubmatch(strings.TrimSpace(strings.Trim(text, "`")))
	if m == nil {
		return "", false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return write(n), err == nil
}

var typedID = regexp.MustCompile(`^(?:[Tt]-?|#)?0*([1-9][0-9]{0,17})$`)

// CheckChange says what is wrong with storing after over before: a state that can't
// follow, another of what never changes, or a part of a batch that begins before those
// before it are done.
func CheckChange(before, after Ticket) error {
	next := map[State][]State{
		Pending:  {Approved, Denied, Cancelled, Expired, Stale},
		Approved: {Running, Cancelled, Stale, Failed},
		Running:  {Done, Stopped, Failed},
	}
	switch {
	case after.State != before.State && !slices.Contains(next[before.State], after.State):
		return fmt.Errorf("%s is %s and can't become %q", before.ID, before.State, after.State)
	case after.ID != before.ID, after.Rev != before.Rev, after.Origin != before.Origin, after.Requester != before.Requester,
		after.Plan.App != before.Plan.App, after.Plan.Hash != before.Plan.Hash, !after.CreatedAt.Equal(before.CreatedAt):
		return fmt.Errorf("%s would no longer be the ticket that was asked for", before.ID)
	case after.Of != before.Of, len(after.Parts) != len(before.Parts):
		return fmt.Errorf("%s would no longer be the ticket that was asked for", before.ID)
	}
	for i, p := range after.Parts {
		was := before.Parts[i]
		switch {
		case p.Plan.App != was.Plan.App, p.Plan.Hash != was.Plan.Hash, !sameWish(p.Wish, was.Wish):
			return fmt.Errorf("part %d of %s would no longer be what was asked for", i+1, before.ID)
		case p.Ticket != was.Ticket && (was.Ticket != "" || before.State != Running || before.Halt != "" || i > 0 && before.Parts[i-1].State != Done):
			return fmt.Errorf("part %d of %s can't begin as %s: it has begun, it is not its turn, or nothing more is to begin", i+1, before.ID, p.Ticket)
		case p.Ticket == "" && p.State != "", p.State != was.State && was.State.Final() && was.State != "":
			return fmt.Errorf("part %d of %s is %q and can't become %q", i+1, before.ID, was.State, p.State)
		case after.State == Done && p.State != Done:
			return fmt.Errorf("%s can't be done: part %d of it is %q", before.ID, i+1, p.State)
		}
	}
	return nil
}
