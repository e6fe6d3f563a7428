package commands

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

func TestFill(t *testing.T) {
	pol, err := policy.Parse("zdd.yml", []byte("waivers: { longest: 30d }\ndigest: { timezone: Europe/Berlin }"))
	if err != nil {
		t.Fatal(err)
	}
	table := New(Deps{Policies: inForce{pol}})
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	type m = map[string]string
	waive := func(more m) m {
		values := m{"app": "u-1", "check": "preboot", "until": "2026-12-01", "reason": "vendor-limit"}
		maps.Copy(values, more)
		maps.DeleteFunc(values, func(_, v string) bool { return v == "" })
		return values
	}
	for name, c := range map[string]struct {
		form              string
		values, shown     m
		keep              m
		line, note, next  string
		wrong, wrongField string
	}{
		"start, empty":             {form: FormStart, line: "status"},
		"start, an app":            {form: FormStart, values: m{"app": "u-1", "do": "status"}, shown: m{"app": "shop"}, line: "status shop"},
		"start, as it was typed":   {form: FormStart, values: m{"app": "shop"}, line: "status shop"},
		"start, history of all":    {form: FormStart, values: m{"do": "history"}, line: "history"},
		"start, report":            {form: FormStart, values: m{"do": "report", "app": "u-1"}, line: "report"},
		"start, enable":            {form: FormStart, values: m{"do": "enable", "app": "u-1"}, next: FormEnable},
		"start, waive":             {form: FormStart, values: m{"do": "waive", "app": "u-1"}, next: FormWaive},
		"start, enable what":       {form: FormStart, values: m{"do": "enable"}, wrongField: "app", wrong: "Which app?"},
		"start, of another time":   {form: FormStart, values: m{"do": "dance", "app": "shop"}, line: "status shop"},
		"a form of another time":   {form: "dance", line: "help"},
		"enable, nothing picked":   {form: FormEnable, wrongField: "app", wrong: "Which app?"},
		"enable, no plan yet":      {form: FormEnable, values: m{"app": "u-1"}, next: FormEnable},
		"enable, as shown":         {form: FormEnable, values: m{"app": "u-1"}, keep: m{"picked": "u-1", "app": "u-1", "plan": "12345678"}, line: "enable u-1 plan=12345678"},
		"enable, with a size":      {form: FormEnable, values: m{"app": "u-1", "size": "standard-2x"}, keep: m{"picked": "u-1", "app": "u-1", "size": "standard-2x", "plan": "12345678"}, line: "enable u-1 size=standard-2x plan=12345678"},
		"enable, another app":      {form: FormEnable, values: m{"app": "u-2"}, keep: m{"picked": "u-1", "app": "u-1", "plan": "12345678"}, next: FormEnable},
		"enable, another size":     {form: FormEnable, values: m{"app": "u-1", "size": "performance-l"}, keep: m{"picked": "u-1", "app": "u-1", "size": "standard-1x", "plan": "12345678"}, next: FormEnable},
		"enable, by typed name":    {form: FormEnable, values: m{"app": "shop"}, keep: m{"picked": "shop", "app": "u-1", "plan": "12345678"}, line: "enable u-1 plan=12345678"},
		"waive":                    {form: FormWaive, values: waive(nil), line: "waive u-1 preboot until 2026-12-01 because vendor-limit"},
		"waive, with words":        {form: FormWaive, values: waive(m{"text": "a \"b\"\nuntil 2030 & <c>"}), line: "waive u-1 preboot until 2026-12-01 because vendor-limit", note: "a \"b\"\nuntil 2030 & <c>"},
		"waive, to the last day":   {form: FormWaive, values: waive(m{"until": "2026-12-23"}), line: "waive u-1 preboot until 2026-12-23 because vendor-limit"},
		"waive, a day too long":    {form: FormWaive, values: waive(m{"until": "2026-12-24"}), wrongField: "until", wrong: "until the end of Wednesday, 23 December 2026, Europe/Berlin at the most"},
		"waive, a long migration":  {form: FormWaive, values: waive(m{"reason": "migration-window"}), wrongField: "until", wrong: "migration-window holds until the end of Monday, 30 November"},
		"waive, yesterday":         {form: FormWaive, values: waive(m{"until": "2026-11-22"}), wrongField: "until", wrong: "over already"},
		"waive, today":             {form: FormWaive, values: waive(m{"until": "2026-11-23"}), line: "waive u-1 preboot until 2026-11-23 because vendor-limit"},
		"waive, without a day":     {form: FormWaive, values: waive(m{"until": ""}), wrongField: "until", wrong: "Until when?"},
		"waive, a day made up":     {form: FormWaive, values: waive(m{"until": "`whenever`"}), wrongField: "until", wrong: "can't read"},
		"waive, without an app":    {form: FormWaive, values: waive(m{"app": ""}), wrongField: "app", wrong: "Which app?"},
		"waive, without a check":   {form: FormWaive, values: waive(m{"check": ""}), wrongField: "check", wrong: "Which check?"},
		"waive, without a reason":  {form: FormWaive, values: waive(m{"reason": ""}), wrongField: "reason", wrong: "Why?"},
		"waive, two apps in one":   {form: FormWaive, values: waive(m{"app": "shop preboot until 2026-12-01 because accepted-risk"}), wrongField: "app", wrong: "Which app?"},
		"enable, two words in one": {form: FormEnable, values: m{"app": "shop billing"}, wrongField: "app", wrong: "Which app?"},
		"start, two words in one":  {form: FormStart, values: m{"app": "shop billing"}, wrongField: "app", wrong: "Which app?"},
		"waive, a check made up":   {form: FormWaive, values: waive(m{"check": "x until 2099-01-01"}), wrongField: "check", wrong: "Which check?"},
		"waive, a reason made up":  {form: FormWaive, values: waive(m{"reason": "x y"}), wrongField: "reason", wrong: "Why?"},
		"enable, a plan made up":   {form: FormEnable, values: m{"app": "u-1"}, keep: m{"picked": "u-1", "app": "shop size=x", "plan": "1 2"}, next: FormEnable},
	} {
		got := table.Fill(FormRequest{Name: c.form, Values: c.values, Shown: c.shown, Keep: c.keep, By: member, Now: now})
		if got.Line != c.line || got.Note != c.note || got.Next != c.next || !strings.Contains(got.Wrong[c.wrongField], c.wrong) || len(got.Wrong) > 1 || c.wrong == "" && len(got.Wrong) > 0 || strings.Contains(got.Wrong[c.wrongField], "`") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestFormsFit holds every form to what Slack shows of it, as far as it is the same for all.
func TestFormsFit(t *testing.T) {
	apps := &town{lines: map[string]string{"shop": "standard-1x web=1", "landing": "basic web=1"}}
	table := New(Deps{Policies: inForce{policy.Default()}, Apps: apps, Listed: shelved("shop"), Waiving: noDesk{}})
	for _, f := range table.forms() {
		for _, values := range []map[string]string{nil, {"app": "shop"}, {"app": "landing"}, {"app": "gone"}} {
			for _, draft := range []bool{true, false} {
				form, err := table.Form(t.Context(), FormRequest{Name: f.name, Values: values, By: member, Now: time.Now(), Draft: draft})
				if err != nil {
					t.Fatal(err)
				}
				if form.Name != f.name || form.Title == "" || len(form.Title) > 24 || form.Submit == "" || len(form.Submit) > 24 || form.Reading && !draft {
					t.Errorf("%s %v: got %+v", f.name, values, form)
				}
				for _, field := range form.Fields {
					if field.Value != "" && len(field.Choices) > 0 && !offers(field.Choices, field.Value) {
						t.Errorf("%s %v: the field %s begins with %q, which it has not", f.name, values, field.Name, field.Value)
					}
					for _, c := range field.Choices {
						if c.Value == "" || len(c.Value) > 150 || len([]rune(c.Label)) > 75 || len([]rune(c.Detail)) > 75 || len(field.Choices) > 10 {
							t.Errorf("%s: %s: %+v does not fit", f.name, field.Name, c)
						}
					}
				}
			}
		}
	}
	for _, who := range []Person{{Kind: Guest}, {Kind: Foreign}, {}} {
		if _, err := table.Form(t.Context(), FormRequest{Name: FormStart, By: who}); !isRefusal(err) {
			t.Errorf("%v: got %v, want a refusal", who.Kind, err)
		}
	}
	if _, err := table.Form(t.Context(), FormRequest{Name: "dance", By: member}); !isRefusal(err) {
		t.Errorf("a form that is none: got %v, want a refusal", err)
	}
}

func offers(choices []Choice, value string) bool {
	for _, c := range choices {
		if c.Value == value {
			return true
		}
	}
	return false
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*Refusal](err)
	return ok
}

// noDesk is a desk that nobody asks.
type noDesk struct{ waiveDesk }

func TestAFormOfAnAppThatCannotBeRead(t *testing.T) {
	apps := &town{lines: map[string]string{"vault": "problem=" + string(fleet.TwoFactor), "odd": "boom"}}
	table := New(Deps{Policies: inForce{policy.Default()}, Apps: apps, Waiving: noDesk{}})
	for _, name := range []string{FormEnable, FormWaive} {
		form, err := table.Form(t.Context(), FormRequest{Name: name, Values: map[string]string{"app": string(townID("vault"))}, Shown: map[string]string{"app": "vault"}, By: member, Now: time.Now()})
		para, _ := form.Parts[0].(Para)
		if err != nil || !strings.HasPrefix(para.Text.String(), "vault is protected by two-factor") || form.Keep["plan"] != "" {
			t.Errorf("%s: got %+v, %v", name, form, err)
		}
		if _, err := table.Form(t.Context(), FormRequest{Name: name, Values: map[string]string{"app": "odd"}, By: member, Now: time.Now()}); err == nil || isRefusal(err) {
			t.Errorf("%s: got %v, want an error to log", name, err)
		}
	}
}

// TestEnableAsShown sends what a form showed: that plan is asked for, or none.
func TestEnableAsShown(t *testing.T) {
	type world struct {
		lines map[string]string
		table Table
		desk  *asking
	}
	made := func(pol Policies) *world {
		w := &world{lines: map[string]string{"shop": "standard-1x web=1", "landing": "basic web=1", "ready": "standard-1x web=2 affinity preboot", "own": "standard-1x web=1"}, desk: &asking{}}
		w.table = New(Deps{Apps: &town{lines: w.lines}, Policies: pol, Desk: w.desk})
		return w
	}
	show := func(w *world, app, size string) (Form, map[string]string) {
		t.Helper()
		values := map[string]string{"app": app}
		form, err := w.table.Form(t.Context(), FormRequest{Name: FormEnable, Values: values, By: member, Now: fleettest.ReadAt()})
		if err == nil && size != "" {
			values["size"] = size
			form, err = w.table.Form(t.Context(), FormRequest{Name: FormEnable, Values: values, Keep: form.Keep, By: member, Now: fleettest.ReadAt()})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range form.Fields {
			values[f.Name] = f.Value
		}
		return form, values
	}
	send := func(w *world, form Form, values map[string]string) (string, error) {
		filled := w.table.Fill(FormRequest{Name: FormEnable, Values: values, Keep: form.Keep, By: member, Now: fleettest.ReadAt()})
		if filled.Line == "" {
			return "next " + filled.Next, nil
		}
		_, err := w.table.Run(t.Context(), filled.Line, Request{By: member, Via: Press, Now: fleettest.ReadAt(), Origin: "E1"})
		return strings.Join(w.desk.asked, "; "), err
	}

	for name, c := range map[string]struct {
		app, size string
		change    func(w *world)
		want      string
		refused   string
	}{
		"as it is":              {app: "shop", want: "enable shop"},
		"a small one":           {app: "landing", size: "standard-1x", want: "enable landing size=standard-1x"},
		"larger dynos":          {app: "landing", size: "standard-2x", want: "enable landing size=standard-2x"},
		"ready already":         {app: "ready", want: "next enable"},
		"the bot's own":         {app: "own", want: "next enable"},
		"not there":             {app: "gone", want: "next enable"},
		"changed meanwhile":     {app: "shop", change: func(w *world) { w.lines["shop"] = "standard-2x web=1" }, refused: "This is not the plan that you saw"},
		"a step done meanwhile": {app: "shop", change: func(w *world) { w.lines["shop"] = "standard-1x web=1 affinity" }, refused: "This is not the plan that you saw"},
		"all done meanwhile":    {app: "shop", change: func(w *world) { w.lines["shop"] = "standard-1x web=2 affinity preboot" }},
	} {
		w := made(anyPolicy{})
		form, values := show(w, c.app, c.size)
		if c.change != nil {
			c.change(w)
		}
		got, err := send(w, form, values)
		refusal, _ := errors.AsType[*Refusal](err)
		switch {
		case got != c.want, (c.refused != "") != (err != nil):
			t.Errorf("%s: got %q, %v, want %q", name, got, err, c.want)
		case refusal != nil && (!strings.HasPrefix(refusal.Error(), c.refused) || !strings.Contains(refusal.Error(), "Nothing was asked for")):
			t.Errorf("%s: got %q", name, refusal)
		case refusal != nil:
			row := refusal.Reply.Parts[len(refusal.Reply.Parts)-1].(Buttons).Row
			if _, err := w.table.Run(t.Context(), row[0].Run, Request{By: member, Via: Press, Now: fleettest.ReadAt(), Origin: "E2"}); err != nil || len(w.desk.asked) != 1 {
				t.Errorf("%s: its button: got %v, %q", name, err, w.desk.asked)
			}
		}
	}

	// One plan's digest is no word for several apps, nor for another app.
	w := made(anyPolicy{})
	form, _ := show(w, "shop", "")
	for _, line := range []string{"enable shop landing plan=" + form.Keep["plan"], "enable landing size=standard-1x plan=" + form.Keep["plan"], "enable shop plan=" + form.Keep["plan"][:4], "enable shop plan=00000000"} {
		if _, err := w.table.Run(t.Context(), line, Request{By: member, Via: Slash, Now: fleettest.ReadAt(), Origin: "E1"}); !isRefusal(err) || len(w.desk.asked) > 0 {
			t.Errorf("%s: got %v, asked %q", line, err, w.desk.asked)
		}
	}
}
