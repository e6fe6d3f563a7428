package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/sim/slack"
)

// counter is where forms are made: of an app, which takes as long as its name says, such as
// 2s, with a word on what to do. What is picked comes back with what is sent.
type counter struct{}

func (counter) Form(ctx context.Context, req commands.FormRequest) (commands.Form, error) {
	if req.By.Kind != commands.Member {
		return commands.Form{}, &commands.Refusal{Reply: sentenceReply("Refused: " + string(req.By.Kind) + ".")}
	}
	app := req.Values["app"]
	form := commands.Form{Name: req.Name, Title: "Form", Submit: "Send", Fields: []commands.Field{
		{Name: "app", Label: "App", Kind: commands.FieldApp, Value: app, Shown: req.Shown["app"], Live: true},
		{Name: "text", Label: "Words", Kind: commands.FieldText, Optional: true},
	}}
	if app == "" {
		return form, nil
	}
	if req.Draft {
		form.Reading = true
		form.Parts = []commands.Part{commands.Para{Text: commands.Line("reading " + app)}}
		return form, nil
	}
	switch app {
	case "panic":
		panic("at the disco " + canaryBot)
	case "broken":
		return commands.Form{}, errors.New("internal detail with " + canaryApp)
	}
	wait, err := time.ParseDuration(app)
	if err != nil {
		return commands.Form{}, err
	}
	if !pause(ctx, wait) {
		return commands.Form{}, ctx.Err()
	}
	form.Parts = []commands.Part{commands.Para{Text: commands.Line("plan of " + app + " <!channel>")}}
	form.Keep = map[string]string{"app": app}
	return form, nil
}

func (counter) Fill(req commands.FormRequest) commands.Filled {
	app := req.Values["app"]
	switch {
	case app == "":
		return commands.Filled{Wrong: map[string]string{"app": "Which?"}}
	case strings.HasPrefix(req.Values["text"], "read"):
		return commands.Filled{Line: "status " + app}
	case req.Keep["app"] != app:
		return commands.Filled{Next: "again"}
	}
	return commands.Filled{Line: "deny T-1", Note: req.Values["text"]}
}

func (counter) Offer(ctx context.Context, req commands.OfferRequest) ([]commands.Offer, error) {
	switch {
	case req.By.Kind != commands.Member:
		return nil, &commands.Refusal{Reply: sentenceReply("no")}
	case req.Typed == "panic":
		panic("at the disco " + canaryBot)
	case req.Typed == "hang":
		<-ctx.Done()
		return nil, fmt.Errorf("list apps with %s: %w", canaryApp, ctx.Err())
	}
	var o commands.Offer
	for word := range strings.FieldsSeq(req.Typed) {
		o.Choices = append(o.Choices, commands.Choice{Value: word, Label: word})
	}
	o.Label = "Apps"
	return []commands.Offer{o}, nil
}

func (counter) FindApps(_ context.Context, req commands.FoundRequest) (commands.Found, error) {
	switch {
	case req.By.Kind != commands.Member:
		return commands.Found{}, &commands.Refusal{Reply: sentenceReply("Refused: " + string(req.By.Kind) + ".")}
	case strings.Contains(req.Text, "shop"):
		return commands.Found{Line: "status shop"}, nil
	case strings.Contains(req.Text, "panic"):
		panic("at the disco " + canaryBot)
	}
	return commands.Found{}, nil
}

// atCounter plays a story of somebody before whom a form is open, in which they have
// searched for what there is to pick.
func atCounter(t *testing.T, apps string, f func(*stage)) {
	t.Helper()
	playStory(t, slack.Options{}, func(c *Config) { c.Forms = counter{} }, func(s *stage) {
		s.do("type requester #ops /zdd ")
		s.want(time.Second, "view→requester: Form / App: [Search by name ▾] / Words: [_] / [Close] [Send]")
		s.do("search requester " + apps)
		s.want(time.Second, "options→requester: Apps")
		f(s)
	})
}

func TestWhatIsPickedLastIsShown(t *testing.T) {
	atCounter(t, "8s 2s 1s", func(s *stage) {
		s.do("choose requester 8s")
		s.want(time.Second, "view→requester: Form / App: [8s ▾] / Words: [_] / --- / reading 8s / [Close] [Send]")
		s.do("choose requester 2s")
		s.want(time.Second, "view→requester: Form / App: [2s ▾] / Words: [_] / --- / reading 2s")
		s.want(20*time.Second, "view→requester: Form / App: [2s ▾] / Words: [_] / --- / plan of 2s <!channel>")
		s.do("submit requester app=1s") // picked a moment before it was sent: there is no plan of it yet
		s.want(100*time.Millisecond, "view→requester: zdd / Reading…")
		s.want(5*time.Second, "view→requester: Form / App: [1s ▾] / Words: [_] / --- / plan of 1s")
		s.do("submit requester text=because")
		s.want(5*time.Second, "view→requester: zdd / Taking care of it…", "view→requester: zdd / denied: because")
		if got := s.grammar.runs(); len(got) != 1 || got[0] != "press/U0REQUESTER/member: deny T-1 (because)" {
			t.Errorf("ran %q", got)
		}
	})
}

func TestAPickInAFormThatIsClosedMeanwhile(t *testing.T) {
	atCounter(t, "2s", func(s *stage) {
		s.do("choose requester 2s")
		s.want(time.Second, "view→requester: Form")
		s.do("close requester")
		s.want(10 * time.Second)
		s.wantLog("level=WARN", 0)
	})
}

func TestAFormThatCannotBeMade(t *testing.T) {
	for pick, want := range map[string]string{
		"broken": "view→requester: zdd / Something went wrong on my side. It only reads, so nothing was changed. Tell whoever runs me this reference:",
		"100h":   "view→requester: zdd / I gave up after 45s without an answer.",
	} {
		atCounter(t, pick, func(s *stage) {
			s.do("choose requester " + pick)
			s.want(50*time.Second, "view→requester: Form", want)
		})
	}
}

func TestPanicsInFormsAreNobodyElses(t *testing.T) {
	atCounter(t, "panic now", func(s *stage) {
		s.do("choose requester panic")
		s.want(time.Second, "view→requester: Form", "view→requester: zdd / Something went wrong on my side.")
		s.do("type requester #ops /zdd")
		s.want(time.Second, "view→requester: Form")
		s.do("search requester panic")
		s.want(time.Second, "options→requester: No result")
		s.do("type requester #ops panic!")
		s.do("shortcut requester zdd_check on panic!")
		s.want(time.Second, "view→requester: Check with zdd / Reading…", "view→requester: zdd / Something went wrong on my side.")
	})
}

func TestASearchThatTakesTooLongOffersNothing(t *testing.T) {
	atCounter(t, "1s", func(s *stage) {
		s.do("search requester hang")
		s.want(3*time.Second, "options→requester: No result")
	})
}

func TestAFormWhoseRequestCannotBeStoredStaysOpen(t *testing.T) {
	atCounter(t, "1s", func(s *stage) {
		s.do("choose requester 1s")
		s.want(5*time.Second, "view→requester: Form", "view→requester: Form")
		s.memory.set(func(m *memory) { m.hang = true })
		s.do("submit requester text=because")
		s.want(3*time.Second, "errors→requester: App: Not accepted:")
		s.memory.set(func(m *memory) { m.hang = false })
		s.do("submit requester")
		s.want(5*time.Second, "view→requester: zdd / Taking care of it…", "view→requester: zdd / denied: because")
		if got := s.grammar.runs(); len(got) != 1 {
			t.Errorf("ran %q, want it once", got)
		}
	})
}

func TestAFormSaysWhatIsWrongWithIt(t *testing.T) {
	atCounter(t, "1s", func(s *stage) {
		s.do("choose requester 1s")
		s.want(5*time.Second, "view→requester: Form", "view→requester: Form")
		s.do("submit requester text=" + strings.Repeat("é", 4_000))
		s.want(time.Second, "errors→requester: Words: That is too long.")
		if got := s.grammar.runs(); len(got) > 0 {
			t.Errorf("ran %q", got)
		}
	})
}

func TestWhoClosesAFormHearsOfWhatChanged(t *testing.T) {
	atCounter(t, "1s", func(s *stage) {
		s.do("choose requester 1s")
		s.want(5*time.Second, "view→requester: Form", "view→requester: Form")
		s.do("submit requester text=because")
		s.do("close requester")
		s.want(15*time.Second, "view→requester: zdd / Taking care of it…", "ephemeral→requester: denied: because")
		// What only reads is for who looks.
		s.do("type requester #ops /zdd")
		s.want(time.Second, "view→requester: Form")
		s.do("search requester 1s")
		s.do("submit requester app=1s text=read")
		s.do("close requester")
		s.want(15*time.Second, "options→requester: Apps", "view→requester: zdd / Reading…")
	})
}

func TestAFormDeliveredTwiceRunsOnce(t *testing.T) {
	atCounter(t, "1s", func(s *stage) {
		s.do("choose requester 1s")
		s.want(5*time.Second, "view→requester: Form", "view→requester: Form")
		s.do("deliver duplicate")
		s.do("submit requester text=because")
		time.Sleep(5 * time.Second)
		if got := s.grammar.runs(); len(got) != 1 {
			t.Errorf("ran %q, want it once", got)
		}
	})
}

func TestNothingButTheCommandWhereNoFormOpens(t *testing.T) {
	for name, do := range map[string]string{"expired": "fault views.open expired_trigger_id", "missing": "method off views.open", "slow people": "fault users.info hang"} {
		playStory(t, slack.Options{}, func(c *Config) { c.Forms = counter{} }, func(s *stage) {
			s.do(do)
			s.do("type requester #ops /zdd")
			time.Sleep(time.Minute)
			got := s.saw()
			if got == "" || strings.Contains(got, "view→") {
				t.Errorf("%s: saw %q, want an answer in words", name, got)
			}
		})
	}
}

func TestAShortcutWhoseModalCannotOpen(t *testing.T) {
	playStory(t, slack.Options{}, func(c *Config) { c.Forms = counter{} }, func(s *stage) {
		s.do("type approver #ops shop is slow")
		s.do("type approver #ops lunch?")
		s.do("fault views.open expired_trigger_id")
		s.do("shortcut requester zdd_check on shop is slow")
		s.want(time.Second, "ephemeral→requester: shop status <!channel>")
		s.do("shortcut requester zdd_check on lunch?")
		s.want(time.Second, "ephemeral→requester: I found no app of ours in that message.")
		s.do("shortcut requester zdd_dance on lunch?")
		s.want(time.Second)
	})
}

func TestAnAnswerToASearchFits(t *testing.T) {
	var all []commands.Offer
	for range 5 {
		o := commands.Offer{Label: strings.Repeat("🦊", 100)}
		for range 100 {
			o.Choices = append(o.Choices, commands.Choice{Value: strings.Repeat("é", 150), Label: strings.Repeat("🦊", 80), Detail: strings.Repeat("<", 80)})
		}
		all = append(all, o)
	}
	raw, err := json.Marshal(offerAnswer(all))
	if err != nil || len(raw) >= 20_000 || len(raw) < 10_000 {
		t.Errorf("got %d bytes, %v, want less than Slack's 20 kB and not much less", len(raw), err)
	}
}

func TestAFormFits(t *testing.T) {
	form := commands.Form{Name: "x", Title: strings.Repeat("🦊", 30), Submit: strings.Repeat("long ", 10), Keep: map[string]string{"a": "b"}}
	for i := range 5 {
		form.Fields = append(form.Fields, commands.Field{Name: fmt.Sprint(i), Label: strings.Repeat("🦊", 3000), Hint: strings.Repeat("&", 3000), Since: strings.Repeat("x", 300), Value: strings.Repeat("y", 4000)})
	}
	for range 200 {
		form.Parts = append(form.Parts, commands.Para{Text: commands.Line("a part")})
	}
	view, err := formView(form, formState{})
	if err != nil || len(view.Blocks.BlockSet) != maxViewBlocks {
		t.Errorf("got %d blocks, %v", len(view.Blocks.BlockSet), err)
	}
	if units(view.Title.Text) > maxDialogTitle || units(view.Submit.Text) > maxDialogTitle {
		t.Errorf("got %q and %q", view.Title.Text, view.Submit.Text)
	}
	form.Keep["a"] = strings.Repeat("b", maxMetadata)
	if _, err := formView(form, formState{}); err == nil {
		t.Error("a form that keeps too much was taken")
	}
}

func TestTextsOfAMessage(t *testing.T) {
	got := textsIn(json.RawMessage(`{"text":"a","user":"U1","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"b"},"accessory":{"value":"no","url":"https://c"}}],"attachments":[{"title":"d","fallback":"e"}]}`))
	for _, want := range []string{"a\n", "b\n", "https://c\n", "d\n", "e\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if strings.Contains(got, "no") || strings.Contains(got, "U1") {
		t.Errorf("got %q: that is no text", got)
	}
	if got := textsIn(json.RawMessage(`[`)); got != "" {
		t.Errorf("got %q of what can't be read", got)
	}
	if got := textsIn(json.RawMessage(`{"text":"` + strings.Repeat("x", textMost+1) + `"}`)); len(got) > textMost {
		t.Errorf("got %d bytes", len(got))
	}
}
