package approval

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"example.com/zdd/plan"
	"example.com/zdd/policy"
	"example.com/zdd/secret"
)

// No is an answer to a person who asked for something, or decided something, that is
// not done: it says why, that nothing was changed, and what to do next. Of a No about a
// ticket the ledger has an entry, of the same one again and again one an hour. It is no failure of the program.
type No struct {
	Text  string // sentences; backticks mark code
	Paste string // YAML for the policy that would make it possible; empty: that is not what is wanting
	Err   error  // what kept it from being found out, for the log; nil: nothing did
}

func (n *No) Error() string { return n.Text }

func (n *No) Unwrap() error { return n.Err }

func no(format string, args ...any) *No { return &No{Text: fmt.Sprintf(format, args...)} }

// again is a No for what could not be found out just now.
func again(err error, format string, args ...any) *No {
	return &No{Text: fmt.Sprintf(format, args...) + " Nothing was decided or changed; try again in a minute.", Err: err}
}

func noTicket(text string) *No {
	if id, ok := ParseID(text); ok {
		return no("There is no ticket `%s`. `/zdd pending` lists those that wait for a decision.", id)
	}
	return no("Tickets are called like `T-12`; `/zdd pending` lists those that wait for a decision.")
}

// keeper says who can change the policy, and how.
const keeper = "Whoever runs me can put this into the policy (`zdd.yml`) and restart me:"

func notOperator(p policy.People, user string) *No {
	who := "The policy's `people.operators` does not name you"
	if len(p.Operators) == 0 {
		who = "The policy names nobody who may ask for changes (`people.operators` is empty)"
	}
	return &No{
		Text:  who + ", so nothing was changed. " + keeper,
		Paste: "people:\n  operators: " + with(p.Operators, user),
	}
}

func notApprover(p policy.People, user, ticket string) *No {
	who := "The policy's `people.approvers` does not name you"
	if len(p.Approvers) == 0 {
		who = "The policy names nobody who may approve (`people.approvers` is empty)"
	}
	return &No{
		Text:  fmt.Sprintf("%s, so `%s` is as it was. Anyone may cancel it: `/zdd cancel %s`. %s", who, ticket, ticket, keeper),
		Paste: "people:\n  approvers: " + with(p.Approvers, user),
	}
}

// alone refuses a plan that nobody could ever approve under this policy: a change of
// the policy makes every ticket stale, so there is nothing to wait for.
func alone(pol policy.Policy, user string, need, voices int) *No {
	switch {
	case need > 1:
		return &No{
			Text: fmt.Sprintf("This needs %d approvals, and the policy names %s besides you, so nothing was asked for or changed. Whoever runs me can name more people, or a user group, under `people.approvers` in the policy (`zdd.yml`), and restart me:", need, count(voices)),
			Paste: fmt.Sprintf("people:\n  approvers: [%s] # and more, until %d of them are not you",
				strings.Join(pol.People.Approvers, ", "), need),
		}
	case len(pol.People.Approvers) == 0:
		return &No{
			Text:  "This needs an approval, and the policy names nobody who may give one (`people.approvers` is empty), so nothing was asked for or changed. Whoever runs me can name somebody else there, in `zdd.yml`, and restart me. If you work alone, your own yes can count:",
			Paste: "people:\n  approvers: [" + user + "]\napproval:\n  self_approval: true # one person alone can then spend money",
		}
	}
	return &No{
		Text:  "This needs an approval by somebody else, and the policy's `people.approvers` names only you, so nothing was asked for or changed. Whoever runs me can name somebody else there, in `zdd.yml`, and restart me. If you work alone, your own yes can count:",
		Paste: "people:\n  approvers: " + with(pol.People.Approvers, user) + "\napproval:\n  self_approval: true # one person alone can then spend money",
	}
}

func count(voices int) string {
	if voices == 1 {
		return "only 1 person who can give one"
	}
	return fmt.Sprintf("%d people who can give one", voices)
}

// with is a YAML list of the ids and one more.
func with(ids []string, id string) string {
	if !slices.Contains(ids, id) {
		ids = append(slices.Clone(ids), id)
	}
	return "[" + strings.Join(ids, ", ") + "]"
}

// settled answers to a decision that comes after another one.
func settled(t Ticket) *No {
	switch t.State {
	case Approved:
		return no("`%s` is approved already and starts as soon as it is its turn; `/zdd cancel %s` takes it back until then.", t.ID, t.ID)
	case Running:
		return no("`%s` is being carried out already; `/zdd cancel %s` stops it after its current step.", t.ID, t.ID)
	case Denied:
		return no("`%s` was denied already, and nothing of it was done. To ask for it anew: `/zdd %s`.", t.ID, t.line())
	case Cancelled:
		return no("`%s` was cancelled already, before anything was done. To ask for it anew: `/zdd %s`.", t.ID, t.line())
	case Expired:
		return no("`%s` expired, and nothing of it was done. Run `/zdd %s` again.", t.ID, t.line())
	case Stale:
		return no("`%s` no longer holds, and nothing of it was done. `/zdd show %s` tells why; to ask for it anew: `/zdd %s`.", t.ID, t.ID, t.line())
	case Stopped, Failed:
		if t.Batch() {
			return no("`%s` was begun and has ended early; `/zdd show %s` tells what is done and what is not. %s", t.ID, t.ID, t.goOn())
		}
		return no("`%s` was begun and has ended early; `/zdd show %s` tells what is done and what is not. To go on: `/zdd resume %s`.", t.ID, t.ID, t.ID)
	default:
		return no("`%s` is done already; `/zdd show %s` tells how it went.", t.ID, t.ID)
	}
}

// line is what to type to ask for the same once more, without the first /zdd: between
// backticks and behind that.
func (t Ticket) line() string { return strings.Join(t.lines(), "` and `/zdd ") }

func (t Ticket) lines() []string {
	switch {
	case t.Batch():
		return Lines(t.Parts)
	case t.Wish.Verb == plan.ToUndo && t.Follows != "":
		return []string{"undo " + t.Follows}
	}
	return []string{t.Wish.Line(t.Plan.Name)}
}

// goOn says how to go on with a batch that ended early, in sentences.
func (t Ticket) goOn() string {
	var ways []string
	for _, p := range t.Parts {
		if p.Ticket != "" && (p.State == Stopped || p.State == Failed) {
			ways = append(ways, fmt.Sprintf("To go on with `%s`: `/zdd resume %s`.", p.Plan.Name, p.Ticket))
		}
	}
	if rest := Lines(t.Rest()); len(rest) > 0 {
		ways = append(ways, fmt.Sprintf("To ask for what was not begun: `/zdd %s`.", strings.Join(rest, "` and `/zdd ")))
	}
	return strings.Join(ways, " ")
}

// namesOf are the names of the ticket's apps, marked as code.
func namesOf(t Ticket) (names []string) {
	for _, p := range t.plans() {
		names = append(names, plan.Code(p.Name))
	}
	return names
}

// maxReason bounds what a person typed as a reason, in characters: more than a screen
// of it helps nobody, and the ledger keeps it for ever.
const maxReason = 2000

// clean makes a text that a person typed fit to keep: no control characters but line
// breaks, nothing that is not seen and turns the rest around or hides in a word, no
// secret of a known shape, which could never be taken out of the ledger again, and at
// most maxReason characters; if it was cut it says so.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) && r != '\n':
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "\uFFFD"))
	text = secret.Redact(strings.TrimSpace(text))
	if r := []rune(text); len(r) > maxReason {
		text = fmt.Sprintf("%s… (cut; it had %d characters)", string(r[:maxReason]), len(r))
	}
	return text
}
