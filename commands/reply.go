package commands

import (
	"fmt"
	"strings"
	"time"
)

// Reply is an answer as a plain document: it knows nothing of Slack or a terminal.
// Package chat renders it. The zero Reply says nothing.
type Reply struct {
	Public  bool   // everybody in the channel sees it; the zero value is private
	Summary string // the whole point in one plain line: notifications, screen readers, logs; required
	Parts   []Part
}

// Part is one piece of a Reply: Heading, Para, List, Facts, Pre, Note, Buttons, Divider,
// Grid or Chart.
type Part interface{ part() }

type (
	// Heading opens a reply; plain text, at most one line.
	Heading struct{ Text string }
	// Para is a paragraph.
	Para struct{ Text Text }
	// List is a list of marked items.
	List struct{ Items []Item }
	// Facts are short name and value pairs.
	Facts struct{ Pairs []Fact }
	// Pre is text whose spaces and line breaks count, such as YAML to paste.
	Pre struct{ Text string }
	// Note is small print.
	Note struct{ Text Text }
	// Buttons is one row of buttons.
	Buttons struct{ Row []Button }
	// Divider parts what does not belong together.
	Divider struct{}
	// Grid is rows of cells under their column's name. Renderers that have no room for
	// all rows say how many they leave out.
	Grid struct {
		Head []string
		Rows [][]Text // each as long as Head
	}
	// Chart is numbers over time, or over anything else in order.
	Chart struct {
		Title  string
		Alt    string   // what the chart shows, in a sentence, for who does not see it; required
		Labels []string // along the axis, one for each value
		Series []Series
	}
)

// Series is one line, or one colour of bars, of a Chart.
type Series struct {
	Name   string
	Values []float64 // one for each of the Chart's Labels
}

func (Heading) part() {}
func (Para) part()    {}
func (List) part()    {}
func (Facts) part()   {}
func (Pre) part()     {}
func (Note) part()    {}
func (Buttons) part() {}
func (Divider) part() {}
func (Grid) part()    {}
func (Chart) part()   {}

// Item is one line of a List, with what explains it below.
type Item struct {
	Mark   Mark
	Text   Text
	Detail []Text // each on a line of its own
	// Button belongs to this line and stands beside it: in Slack the item is a section of
	// its own with the button as its accessory, on a terminal its line to type follows the
	// details. Items without one that follow each other need no block of their own. nil: none.
	Button *Button
}

// Fact is a named value.
type Fact struct {
	Name  string
	Value Text
}

// Mark tells an item's state. Renderers print it as a word and a sign, never as a
// colour or a sign alone.
type Mark string

// The marks.
const (
	NoMark      Mark = ""
	MarkPass    Mark = "pass"
	MarkFail    Mark = "fail"
	MarkUnknown Mark = "unknown"
	MarkNone    Mark = "not applicable"
	MarkAdvice  Mark = "advice"
	MarkHazard  Mark = "careful"
	MarkDone    Mark = "done"
	MarkNow     Mark = "under way"
	MarkTodo    Mark = "to do"
	MarkLeft    Mark = "not done"
	MarkWaived  Mark = "waived"
)

// Button is something to press. Exactly one of Run, Share, URL and Form is set.
type Button struct {
	Label   string
	Run     string    // the command line to run as the person who presses, without "/zdd"
	Share   string    // the command line whose answer to show to the whole channel
	URL     string    // a page to open
	Form    *FormCall // a dialog to open; renderers that have none leave the button out
	Primary bool
	Danger  bool     // it lowers or ends something
	Confirm *Confirm // asks once more before Run; nil: does not
	Ask     *Ask     // opens a dialog for a text, which comes as Request.Note with Run; nil: does not
}

// Confirm is the question before a button acts.
type Confirm struct {
	Title string
	Text  string
	Yes   string // label of the button that goes on
}

// Ask is a dialog with one text field.
type Ask struct {
	Title    string
	Label    string
	Optional bool
}

// Text is a line of formatted text. What a person or an API wrote goes in as a plain
// string and is escaped by the renderer; there is no way to put markup into a Text
// but the functions of this file.
type Text []Span

// Span is a run of text in one style.
type Span struct {
	Kind SpanKind
	S    string // the text; an id for mentions
	URL  string // links only
	At   time.Time
}

// SpanKind is how a Span is shown.
type SpanKind int

// The kinds of span.
const (
	Plain   SpanKind = iota
	Strong           // bold
	Mono             // code
	Anchor           // link
	User             // mention of a user id
	Group            // mention of a user group id
	Channel          // mention of a channel id
	Instant          // a moment, shown in the reader's own time zone where that is possible
)

// Line joins strings and Spans and Texts to a Text. It panics on any other type: that is a
// mistake of the program, not of its input.
func Line(parts ...any) Text {
	var t Text
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			t = append(t, Span{S: p})
		case Span:
			t = append(t, p)
		case Text:
			t = append(t, p...)
		default:
			panic(fmt.Sprintf("commands.Line: %T is neither a string nor a Span nor a Text", p))
		}
	}
	return t
}

// Bold is strong text.
func Bold(s string) Span { return Span{Kind: Strong, S: s} }

// Code is text to type or a name of the machine's.
func Code(s string) Span { return Span{Kind: Mono, S: s} }

// Link is a link with a label.
func Link(url, label string) Span { return Span{Kind: Anchor, S: label, URL: url} }

// At is a moment.
func At(t time.Time) Span { return Span{Kind: Instant, At: t} }

// MentionUser names a person by id, which rings them where that is possible.
func MentionUser(id string) Span { return Span{Kind: User, S: id} }

// MentionChannel names a channel by id.
func MentionChannel(id string) Span { return Span{Kind: Channel, S: id} }

// Prose is a Text from a sentence in which `backticks` mark code.
func Prose(s string) Text {
	var t Text
	for i, piece := range strings.Split(s, "`") {
		switch {
		case piece == "":
		case i%2 == 1:
			t = append(t, Code(piece))
		default:
			t = append(t, Span{S: piece})
		}
	}
	return t
}

// String is the text without its formatting.
func (t Text) String() string {
	var b strings.Builder
	for _, s := range t {
		switch s.Kind {
		case User, Group:
			b.WriteString("@" + s.S)
		case Channel:
			b.WriteString("#" + s.S)
		case Instant:
			b.WriteString(s.At.UTC().Format("2 Jan 2006 15:04 MST"))
		default:
			b.WriteString(s.S)
		}
	}
	return b.String()
}
