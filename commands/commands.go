// Package commands is the /zdd grammar: what a person may say, and what is answered.
// One file holds one command, one table all of them; help and the documents are made
// from the table. A command reads, refuses or plans and returns a [Reply], a plain
// document; it changes nothing on Heroku and knows nothing of Slack's wire format.
//
// Invariants: text from chat reaches Heroku only as a [fleet.Ref]; a command runs only
// for a person whom [Table.Run] has found to be a full member of the workspace and
// among the policy's readers.
package commands

import (
	"context"
	"fmt"
	"time"

	"example.com/zdd/policy"
)

// Request is one command line and who said it.
type Request struct {
	By      Person
	Args    Args
	Via     Via
	Now     time.Time
	Origin  string // id of the delivery: the same one makes no second ticket; empty where nothing can be changed
	Channel string // where it was said; empty on a terminal
	Note    string // what was typed into a dialog
}

// Via is the way a request came. The answer's wording depends on it: a mention has
// no slash, a terminal no buttons.
type Via string

// The ways.
const (
	Slash    Via = "slash"    // /zdd status shop
	Mention  Via = "mention"  // @zdd status shop
	Direct   Via = "direct"   // a direct message to the bot
	Press    Via = "press"    // a button
	Terminal Via = "terminal" // bot status shop
)

// Person is who speaks, by Slack's ids: names and addresses change hands.
type Person struct {
	ID     string
	Team   string
	Groups []string // user groups, as far as a rule needed them
	Kind   PersonKind
}

// PersonKind is what Slack says of a person.
type PersonKind string

// The kinds of person. The zero value is nobody, and refused.
const (
	Member      PersonKind = "member"      // a full member of this workspace
	Guest       PersonKind = "guest"       // single- or multi-channel guest
	Foreign     PersonKind = "foreign"     // of another workspace, by Slack Connect
	Deactivated PersonKind = "deactivated" //
	Machine     PersonKind = "machine"     // a bot or a workflow
	Operator    PersonKind = "operator"    // the one at the terminal, who holds the token anyway
)

// Command is one command of the grammar.
type Command struct {
	Name    string
	Usage   string   // status <app>
	Summary string   // one line, for the list
	Help    string   // a paragraph, for help <command>; `backticks` mark code
	Example []string // lines to type, without /zdd
	Args    int      // how many positional arguments it takes at most
	Options []Option // the options it takes
	Free    string   // behind this word everything is text, also what looks like an option; empty: nothing is
	Changes bool     // it changes something: its request is stored before it is acknowledged
	Desk    bool     // it needs tickets, which are Slack's only; every command that Changes does
	Run     func(context.Context, Request) (Reply, error)
}

// Option is a key=value option of a command.
type Option struct {
	Name    string
	Summary string
}

// Refusal is an answer to a person that says what to do next. It is shown word for
// word; any other error is logged and the person gets a reference.
type Refusal struct{ Reply Reply }

func (r *Refusal) Error() string { return r.Reply.Summary }

// refuse makes a Refusal of one sentence in which `backticks` mark code.
func refuse(format string, args ...any) error {
	text := Prose(fmt.Sprintf(format, args...))
	return &Refusal{Reply{Summary: text.String(), Parts: []Part{Para{text}}}}
}

// Policies gives the policy in force.
type Policies interface{ Policy() policy.Policy }
