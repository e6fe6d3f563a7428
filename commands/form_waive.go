package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/policy"
	"example.com/zdd/until"
)

// waiveForm is waive with a date picker, and with what the check says of the app.
func (t Table) waiveForm() form {
	return form{
		name: FormWaive,
		show: func(ctx context.Context, req FormRequest) (Form, error) {
			pol := t.deps.Policies.Policy()
			last := pol.LastUntil(policy.AcceptedRisk, req.Now).Add(-time.Millisecond).In(pol.Nightly.Location())
			app := appField(req)
			app.Live = true
			out := Form{Title: "Waive a check", Submit: "Waive it", Fields: []Field{
				app,
				checkField(req),
				{Name: "until", Label: "Until the end of", Kind: FieldDate, Value: req.Values["until"],
					Hint: fmt.Sprintf("By the clocks of %s, and at the latest %s: so the policy says.", pol.Nightly.Location(), last.Format("2 January 2006"))},
				reasonField(req),
				{Name: "text", Label: "What is there to say?", Kind: FieldText, Value: req.Values["text"], Optional: true,
					Hint: "It stands wherever the waiver does. Whoever reads it in half a year should understand."},
			}}
			switch {
			case pol.Waivers.Approval != policy.WaiverNeedsNone:
				out.Submit = "Ask to waive it"
				out.Parts = []Part{Note{Line("Somebody else has to approve it: until then the check counts. On Heroku nothing is changed.")}}
			default:
				out.Parts = []Part{Note{Line("It holds at once, and the approval channel is told. On Heroku nothing is changed.")}}
			}
			switch {
			case app.Value == "":
				return out, nil
			case req.Draft:
				return reading(req, out), nil
			}
			err := t.previewWaive(ctx, pol, req, &out)
			return out, err
		},
		fill: func(req FormRequest) Filled {
			wish := waiveWish{app: req.Values["app"], check: req.Values["check"], until: req.Values["until"], reason: policy.Reason(req.Values["reason"])}
			if wrong := t.wrongWaiver(wish, req.Now); len(wrong) > 0 {
				return Filled{Wrong: wrong}
			}
			return Filled{Line: wish.line(), Note: req.Values["text"]}
		},
	}
}

// wrongWaiver is what is wrong with a wish as far as that can be told without the app.
func (t Table) wrongWaiver(wish waiveWish, now time.Time) map[string]string {
	pol := t.deps.Policies.Policy()
	zone := pol.Nightly.Location()
	wrong := map[string]string{}
	if !namesOne(wish.app) {
		wrong["app"] = sentenceWhichApp
	}
	if !slices.ContainsFunc(audit.Checks(), func(c audit.Check) bool { return c.ID == wish.check }) {
		wrong["check"] = "Which check?"
	}
	if !slices.Contains(policy.Reasons(), wish.reason) {
		wrong["reason"] = "Why? One of these."
	}
	end, err := until.Read(wish.until, now, zone)
	no, refused := errors.AsType[*until.No](err)
	last := pol.LastUntil(wish.reason, now)
	switch {
	case wish.until == "":
		wrong["until"] = "Until when?"
	case refused:
		wrong["until"] = Prose(no.Text).String()
	case err != nil:
		wrong["until"] = "I can't read that as a day."
	case end.After(last) && wish.reason == policy.MigrationWindow:
		wrong["until"] = fmt.Sprintf("A %s holds until %s at the most. What takes longer has another reason.", wish.reason, policy.UntilText(last, zone))
	case end.After(last):
		wrong["until"] = fmt.Sprintf("The policy lets a waiver hold until %s at the most. Before it ends it can be asked for anew.", policy.UntilText(last, zone))
	}
	return wrong
}

// checkField is the choice of the check.
func checkField(req FormRequest) Field {
	f := Field{Name: "check", Label: "Check", Kind: FieldMenu, Live: true, Value: req.Values["check"]}
	for _, c := range audit.Checks() {
		f.Choices = append(f.Choices, Choice{Value: c.ID, Label: c.Title, Detail: c.ID})
	}
	return f
}

// reasonShort are the reasons in as many words as fit below one in a dialog.
var reasonShort = map[policy.Reason]string{
	policy.NotNeeded:       "The app does not need what the check wants",
	policy.AcceptedRisk:    "You know what can happen, and take it",
	policy.BeingRetired:    "The app is on its way out",
	policy.VendorLimit:     "Heroku, or what the app is made of, does not let it",
	policy.MigrationWindow: "Off for a migration, for 7 days at the most; I remind you",
}

func reasonField(req FormRequest) Field {
	f := Field{Name: "reason", Label: "Because", Kind: FieldChoice, Value: req.Values["reason"]}
	for _, r := range policy.Reasons() {
		f.Choices = append(f.Choices, Choice{Value: string(r), Label: string(r), Detail: reasonShort[r]})
	}
	return f
}

// previewWaive reads the app, and puts what its checks say into the form. Of an app that was
// only now picked the first check that fails is meant, unless somebody says otherwise.
func (t Table) previewWaive(ctx context.Context, pol policy.Policy, req FormRequest, out *Form) error {
	app, why, err := t.appOf(ctx, req)
	if err != nil {
		return err
	}
	if why != nil {
		out.Parts = why
		return nil
	}
	out.Fields[0].Shown = app.Name
	check := &out.Fields[1]
	check.Since = string(app.ID)
	rules, unread := rulesOf(ctx, t.deps.Waivers, pol, app)
	report := audit.Judge(app, rules, req.Now)
	if check.Value == "" || check.Value == req.Keep["proposed"] && req.Keep["app"] != string(app.ID) {
		check.Value = ""
		for _, f := range report.Findings {
			if f.Required && f.Waived == nil && f.Outcome != audit.Pass && f.Outcome != audit.NotApplicable {
				check.Value = f.Check
				break
			}
		}
		out.Keep = map[string]string{"app": string(app.ID), "proposed": check.Value}
	} else {
		out.Keep = map[string]string{"app": string(app.ID), "proposed": req.Keep["proposed"]}
	}
	var parts []Part
	if check.Value == "" {
		parts = append(parts, Para{Line("Nothing that counts fails for ", Code(app.Name), " just now, so a waiver would change nothing today.")})
	}
	for _, about := range waivedNow(report, policy.Waiver{Check: check.Value}) {
		parts = append(parts, Para{append(Line(Bold(app.Name), ", "), uncapitalText(about)...)})
	}
	if f, ok := report.Finding(check.Value); ok && f.Waived != nil {
		text := append(waivedText(*f.Waived, req.Now, pol.Nightly.Location()), Line(". Yours takes its place.")...)
		parts = append(parts, Para{text})
	}
	if unread {
		parts = append(parts, Note{Line("The waivers that there are could not be read, because my database is away just now.")})
	}
	out.Parts = append(append(parts, out.Parts...), t.mayNotAsk(ctx, req.By)...)
	return nil
}

// uncapitalText is a sentence that goes on after a name.
func uncapitalText(text Text) Text {
	if len(text) == 0 || text[0].Kind != Plain {
		return text
	}
	out := append(Text{}, text...)
	out[0].S = uncapital(out[0].S)
	return out
}
