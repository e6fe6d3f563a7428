package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
)

// Form is a dialog as a plain document. Package chat shows it and reads it back; what was
// filled in becomes a command line ([Table.Fill]), which then runs with every check as if
// it had been typed: a form does nothing that can't be typed.
type Form struct {
	Name   string // by which it is made anew, and read
	Title  string // at most 24 characters
	Submit string // label of the button that sends it, at most 24 characters; required
	Fields []Field
	Parts  []Part // below the fields, such as what would come of them
	// Keep comes back with what is filled in, as FormRequest.Keep: what the parts are of.
	Keep map[string]string
	// Reading says that this is only a draft, and that the whole takes its time.
	Reading bool
}

// FieldKind is what a field takes.
type FieldKind string

// The kinds of field.
const (
	FieldText   FieldKind = "text"   // words, of several lines
	FieldChoice FieldKind = "choice" // one of its Choices, all of them before one's eyes
	FieldMenu   FieldKind = "menu"   // one of its Choices, in a menu
	FieldApp    FieldKind = "app"    // an app, by search (Table.Offer)
	FieldDate   FieldKind = "date"   // a day, as 2006-01-02
)

// Field is one field of a Form.
type Field struct {
	Name     string // key of its value
	Label    string
	Hint     string // small print below it; may be empty
	Kind     FieldKind
	Choices  []Choice
	Value    string // what it begins with; empty: nothing
	Shown    string // of an app: how Value is shown
	Optional bool
	Live     bool // the form is made anew when its value changes
	// Since tells fields of the same name apart that begin with another value for a reason,
	// such as another app: what was entered before then does not stay. May be empty.
	Since string
}

// Choice is one of several values.
type Choice struct {
	Value  string // at most 150 characters
	Label  string // at most 75 characters
	Detail string // in a few words, at most 75 characters; may be empty
}

// FormCall is what a button opens a form with.
type FormCall struct {
	Name   string            `json:"name"`
	Values map[string]string `json:"values,omitempty"`
	Shown  map[string]string `json:"shown,omitempty"`
}

// FormRequest is a form that is to be shown, or what somebody filled in.
type FormRequest struct {
	Name   string
	Values map[string]string // by field; what is not there was not filled in
	Shown  map[string]string // of values that were found by search: how they were shown
	Keep   map[string]string // of the Form that was filled in; nil: there was none before
	By     Person
	Now    time.Time
	// Draft asks for the form without what has to be read for it, to be shown meanwhile.
	Draft bool
}

// Filled is what a form that was sent comes to: exactly one of Line, Next and Wrong is set.
type Filled struct {
	Line  string            // a command line to run
	Note  string            // with Line: words that come as Request.Note
	Next  string            // the name of the form to show next, with the same values
	Wrong map[string]string // by field: a sentence about what is wrong with it
}

// form is one form of the table.
type form struct {
	name string
	show func(ctx context.Context, req FormRequest) (Form, error)
	fill func(req FormRequest) Filled
}

func (t Table) forms() []form {
	return []form{t.startForm(), t.enableForm(), t.waiveForm()}
}

// Names of forms.
const (
	FormStart  = "start"  // which app, and what about it
	FormEnable = "enable" // with a preview of the plan
	FormWaive  = "waive"
)

func (t Table) form(name string) (form, bool) {
	all := t.forms()
	i := slices.IndexFunc(all, func(f form) bool { return f.name == name })
	if i < 0 {
		return form{}, false
	}
	return all[i], true
}

// Form makes a form for one person. What keeps it from being of use with these values, such
// as an app that can't be read, is said in it. The error is a *Refusal to show word for word,
// or one to log.
func (t Table) Form(ctx context.Context, req FormRequest) (Form, error) {
	if err := t.admit(ctx, req.By); err != nil {
		return Form{}, err
	}
	f, ok := t.form(req.Name)
	if !ok {
		return Form{}, refuse("This dialog is of another version of me, and I don't know it any more. Nothing was changed. Type `/zdd`.")
	}
	out, err := f.show(ctx, req)
	if err != nil {
		return Form{}, fmt.Errorf("form %s: %w", req.Name, err)
	}
	out.Name = req.Name
	return out, nil
}

// Fill reads what was filled in. It asks nobody, so that it can be answered at once: whether
// what comes of it may be done is decided when the line runs.
func (t Table) Fill(req FormRequest) Filled {
	f, ok := t.form(req.Name)
	if !ok {
		return Filled{Line: "help"}
	}
	return f.fill(req)
}

// appField is the field for the app.
func appField(req FormRequest) Field {
	return Field{Name: "app", Label: "App", Kind: FieldApp, Hint: "Type a part of its name.", Value: req.Values["app"], Shown: req.Shown["app"]}
}

// appOf is the app that a form is about; where it can't be read the parts say why.
func (t Table) appOf(ctx context.Context, req FormRequest) (app fleet.App, why []Part, err error) {
	named, shown := req.Values["app"], req.Shown["app"]
	if ref, bad := fleet.ParseRef(named); bad == nil && shown != "" {
		app, err = t.deps.Apps.ReadApp(ctx, ref)
	} else { // it was typed, and may be mistyped
		app, err = ReadNamed(ctx, t.deps.Apps, named, "/zdd "+req.Name+" <app>")
	}
	if problem, ok := errors.AsType[*fleet.Problem](err); ok {
		problem.App = cmp.Or(shown, problem.App) // a search gives UUIDs, which tell people nothing
		err = Explain(problem)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return fleet.App{}, refusal.Reply.Parts, nil
	}
	return app, nil, err
}

// namesOne says whether a value names one app and nothing else, as those of a search do: each
// value has to be one word of the line that it becomes.
func namesOne(value string) bool {
	_, err := fleet.ParseRef(value)
	return err == nil && !strings.ContainsFunc(value, blank)
}

func whichApp() Filled { return Filled{Wrong: map[string]string{"app": sentenceWhichApp}} }

const sentenceWhichApp = "Which app? Type a part of its name."

// mayNotAsk says that a person can look at a form and not send it; empty where they may, or
// where that is not known: whoever carries out what they ask for decides.
func (t Table) mayNotAsk(ctx context.Context, by Person) []Part {
	pol := t.deps.Policies.Policy()
	if in, err := t.among(ctx, by, pol.People.Operators); in || err != nil {
		return nil
	}
	return []Part{Note{Prose("You can look here, and not ask: the policy's `people.operators` does not name you.")}}
}

// reading makes the draft of a form about an app that is to be read.
func reading(req FormRequest, out Form) Form {
	out.Reading = true
	out.Parts = append([]Part{Para{Line("Reading ", Code(brief(cmp.Or(req.Shown["app"], req.Values["app"]), 60)), "…")}}, out.Parts...)
	return out
}

// startForm is where somebody begins who types nothing but /zdd.
func (t Table) startForm() form {
	const (
		toStatus  = "status"
		toEnable  = "enable"
		toWaive   = "waive"
		toHistory = "history"
		toReport  = "report"
	)
	choices := func() []Choice {
		all := []Choice{{toStatus, "Look at it", "Are its deploys zero-downtime? Without an app: the whole fleet"}}
		if t.deps.Desk != nil {
			all = append(all, Choice{toEnable, "Make its deploys zero-downtime", "Shows the steps and the cost before anything is asked for"})
		}
		if t.deps.Waiving != nil {
			all = append(all, Choice{toWaive, "Waive a check", "Until a day, for a reason; it then does not count"})
		}
		all = append(all, Choice{toHistory, "See what was done", "By whom, and who agreed. Without an app: everywhere"})
		if t.deps.Reports != nil {
			all = append(all, Choice{toReport, "Read the whole fleet now", "Takes some minutes"})
		}
		return all
	}
	return form{
		name: FormStart,
		show: func(_ context.Context, req FormRequest) (Form, error) {
			app := appField(req)
			app.Optional = true
			out := Form{Title: "zdd", Submit: "Go on", Fields: []Field{
				app,
				{Name: "do", Label: "What about it?", Kind: FieldChoice, Choices: choices(), Value: cmp.Or(req.Values["do"], toStatus)},
			}}
			if req.Values["found"] == "none" {
				out.Parts = append(out.Parts, Para{Line("I found no app of ours in that message. Which one do you mean?")})
			}
			out.Parts = append(out.Parts, Note{Prose("All of this can be typed, too: `/zdd help` lists the commands.")})
			return out, nil
		},
		fill: func(req FormRequest) Filled {
			app := req.Values["app"]
			if app != "" && !namesOne(app) {
				return whichApp()
			}
			name := app // what only reads goes by the name that was shown, which people can read and repeat
			if namesOne(req.Shown["app"]) {
				name = req.Shown["app"]
			}
			switch do := cmp.Or(req.Values["do"], toStatus); do {
			case toEnable, toWaive:
				if app == "" {
					return whichApp()
				}
				return Filled{Next: do}
			case toReport:
				return Filled{Line: "report"}
			case toHistory:
				return Filled{Line: lineFor("history", name)}
			}
			return Filled{Line: lineFor("status", name)}
		},
	}
}

// lineFor is a command about an app, or about all.
func lineFor(command, app string) string {
	if app == "" {
		return command
	}
	return command + " " + app
}
