package chat

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
	"example.com/zdd/secret"
)

// Names in a form, by which it is read back.
const (
	viewForm    = "zdd_form"  // callback_id
	fieldPrefix = "field:"    // of the block_id of a field; its name follows
	searchApp   = "app"       // action_id of the search for an app, wherever it stands
	shortcut    = "zdd_check" // callback_id of the message shortcut, in manifest.yml
)

// Slack's limits on what a form holds ("Block Kit reference", "Option object").
const (
	maxHint        = 2000
	maxPlaceholder = 150
	maxOption      = 75
	maxOptionValue = 150
	maxGroupLabel  = 75
)

// formState is what the private_metadata of a form's view keeps. The response_url of
// whatever opened it stays in memory, under Key: it is a secret.
type formState struct {
	modalState
	Form    string            `json:"form"`
	Keep    map[string]string `json:"keep,omitempty"`
	Channel string            `json:"channel,omitempty"`
	Thread  string            `json:"thread,omitempty"`
	Key     string            `json:"key,omitempty"`
}

// formAct is what somebody does with a form.
type formAct struct {
	kind   actKind
	name   string            // of the form
	values map[string]string // by field
	shown  map[string]string // how values that were searched for were shown
	blocks map[string]string // block_id of each field
	state  formState         // of the view
	view   string            // view_id
	hash   string            // of the view
	at     string            // action_ts
	typed  string            // into a search
	text   string            // of the message that it is about
}

// actKind is what is done.
type actKind string

const (
	actOpen   actKind = "open"   // a form is wanted
	actChange actKind = "change" // a field changed on which others depend
	actSubmit actKind = "submit" // it was sent
	actNext   actKind = "next"   // it was sent, and another form follows
	actOffer  actKind = "offer"  // somebody types into a search
	actCheck  actKind = "check"  // the message shortcut
)

// formCall is the value of a button that opens a form.
func formCall(c commands.FormCall) string {
	raw, err := json.Marshal(c)
	if err != nil { // a struct of strings always encodes
		return ""
	}
	return string(raw)
}

// onForm says whether an interaction is about a form.
func onForm(kind, callback, viewCallback, blockID string) bool {
	switch kind {
	case "block_suggestion":
		return true
	case "message_action":
		return callback == shortcut
	case "view_submission":
		return viewCallback == viewForm
	}
	return kind == "block_actions" && viewCallback == viewForm && strings.HasPrefix(blockID, fieldPrefix)
}

// routeForm reads an interaction with a form. r is what all interactions have.
func routeForm(env envelope, r routed) (routed, error) {
	var p struct {
		Type      string
		ActionID  string `json:"action_id"`
		Value     string // what is typed into a search
		TriggerID string `json:"trigger_id"`
		Channel   struct{ ID string }
		MessageTS string          `json:"message_ts"`
		Message   json.RawMessage // of a shortcut
		Actions   []struct {
			ActionTS string `json:"action_ts"`
		}
		ResponseURL string `json:"response_url"`
		View        struct {
			ID              string
			Hash            string
			PrivateMetadata string `json:"private_metadata"`
			State           struct {
				Values map[string]map[string]fieldValue
			}
		}
	}
	if err := json.Unmarshal(env.Payload, &p); err != nil {
		return routed{}, fmt.Errorf("interaction with a form: %w", err)
	}
	s := &formAct{view: p.View.ID, hash: p.View.Hash, typed: p.Value, values: map[string]string{}, shown: map[string]string{}, blocks: map[string]string{}}
	r.trigger, r.detail = p.TriggerID, "form "+p.Type
	switch p.Type {
	case "block_suggestion":
		if p.ActionID != searchApp {
			return r, nil // of another time
		}
		s.kind, r.act = actOffer, s
		return r, nil
	case "message_action":
		s.kind, s.text, r.act = actCheck, textsIn(p.Message), s
		r.ask.channel, r.ask.response = p.Channel.ID, secret.New(p.ResponseURL)
		return r, nil
	}
	if json.Unmarshal([]byte(p.View.PrivateMetadata), &s.state) != nil || s.state.Form == "" {
		return r, nil // not of our making
	}
	s.kind, s.name = actChange, s.state.Form
	if len(p.Actions) > 0 {
		s.at = p.Actions[0].ActionTS
	}
	if p.Type == "view_submission" {
		s.kind = actSubmit
	}
	for block, actions := range p.View.State.Values {
		if !strings.HasPrefix(block, fieldPrefix) {
			continue
		}
		for name, v := range actions {
			value, shown := v.read()
			s.blocks[name] = block
			if value != "" {
				s.values[name], s.shown[name] = value, shown
			}
		}
	}
	r.act, r.form, r.key = s, s.kind == actSubmit, s.state.Key
	if len(s.blocks) > 0 {
		r.field = slices.Min(slices.Collect(maps.Values(s.blocks)))
	}
	r.ask.channel, r.ask.thread = s.state.Channel, s.state.Thread
	return r, nil
}

// fieldValue is the value of a field, in whichever form its element has it.
type fieldValue struct {
	Value          string
	SelectedDate   string `json:"selected_date"`
	SelectedOption struct {
		Value string
		Text  struct{ Text string }
	} `json:"selected_option"`
}

func (v fieldValue) read() (value, shown string) {
	tidy := func(s string) string { return strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD")) }
	return tidy(first(v.Value, v.SelectedDate, v.SelectedOption.Value)), tidy(v.SelectedOption.Text.Text)
}

// textMost bounds how much of a message is looked through, in bytes: ten times what
// anybody types.
const textMost = 100_000

// textsIn is all that a message shows as text, its blocks and attachments too, a line each.
func textsIn(message json.RawMessage) string {
	var root any
	if json.Unmarshal(message, &root) != nil {
		return ""
	}
	var b strings.Builder
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(k, v[k])
			}
		case []any:
			for _, each := range v {
				walk(key, each)
			}
		case string:
			switch key {
			case "text", "title", "title_link", "from_url", "url", "fallback", "pretext":
				if b.Len()+len(v) < textMost {
					b.WriteString(v + "\n")
				}
			}
		}
	}
	walk("", root)
	return b.String()
}

// filledIn reads a form that was sent: what it comes to, or what is wrong with it. changes
// says whether a line changes something.
func (r routed) filledIn(f commands.Filled, changes func(line string) bool) routed {
	s := r.act
	long := ""
	for name, value := range s.values {
		if n := utf8.RuneCountInString(value); n > maxNote { // Slack's own clients don't let it get so far
			long = name
		}
	}
	switch {
	case long != "":
		r.wrong = "That is too long."
		r.wrongs = map[string]string{s.blocks[long]: r.wrong}
	case len(f.Wrong) > 0:
		r.wrong, r.wrongs = "There is something wrong.", map[string]string{}
		for name, sentence := range f.Wrong {
			block, known := s.blocks[name]
			if !known {
				block = r.errorsAt()
			}
			r.wrongs[block] = sentence
		}
	case f.Next != "":
		s.kind, s.name = actNext, f.Next
		waiting := waitingView(Screen{ID: s.view, Depth: s.depth()}, "", sentenceReading)
		r.ack = slack.NewUpdateViewSubmissionResponse(&waiting)
	default:
		r.act, r.work = nil, true
		r.ask.line, r.ask.note = f.Line, f.Note
		r.ask.screen = Screen{ID: s.view, Depth: s.depth(), Acked: true, Told: changes(f.Line)}
		sentence := sentenceReading
		if r.ask.screen.Told {
			sentence = sentenceChanging
		}
		waiting := waitingView(r.ask.screen, "", sentence)
		r.ack = slack.NewUpdateViewSubmissionResponse(&waiting)
	}
	return r
}

// depth is that of the form's view.
func (s formAct) depth() int { return min(max(s.state.Depth, 1), maxModals) }

// errorsAt is the block below which an error of the whole form is shown.
func (r routed) errorsAt() string {
	return first(r.field, dialogNote)
}

// errors is the acknowledgement of a submission that leaves its dialog open, and says
// what is wrong.
func (r routed) errors(sentence string) any {
	if r.wrongs == nil {
		return slack.NewErrorsViewSubmissionResponse(map[string]string{r.errorsAt(): strings.ReplaceAll(sentence, "`", "")})
	}
	return slack.NewErrorsViewSubmissionResponse(r.wrongs)
}

// formView renders a form.
func formView(f commands.Form, state formState) (slack.ModalViewRequest, error) {
	state.Form, state.Keep = f.Name, f.Keep
	raw, err := json.Marshal(state)
	if err == nil && units(string(raw)) > maxMetadata {
		err = fmt.Errorf("the form keeps %d characters, which is more than a view holds", units(string(raw)))
	}
	if err != nil {
		return slack.ModalViewRequest{}, fmt.Errorf("render form %s: %w", f.Name, err)
	}
	var blocks []slack.Block
	focus := false
	for _, field := range f.Fields {
		block := fieldBlock(field, !focus && field.Value == "" && field.Kind == commands.FieldApp)
		focus = focus || field.Value == ""
		blocks = append(blocks, block)
	}
	if len(f.Parts) > 0 {
		blocks = append(blocks, slack.NewDividerBlock())
		blocks = append(blocks, viewBlocks(f.Parts, maxViewBlocks-len(blocks), "More of this did not fit here.")...)
	}
	view := modal(Screen{Depth: max(state.Depth, 1)}, f.Title, blocks)
	view.CallbackID, view.PrivateMetadata = viewForm, string(raw)
	view.Submit = plainText(first(strings.TrimSpace(oneLine(f.Submit)), "Send"), maxDialogTitle)
	return view, nil
}

// fieldBlock renders a field. Its block_id changes with Since, so that Slack does not keep
// what was entered before.
func fieldBlock(f commands.Field, focus bool) slack.Block {
	id := fieldPrefix + f.Name
	if f.Since != "" {
		id += ":" + shorten(oneLine(f.Since), 100)
	}
	var hint *slack.TextBlockObject
	if f.Hint != "" {
		hint = plainText(oneLine(f.Hint), maxHint)
	}
	block := slack.NewInputBlock(id, plainText(oneLine(f.Label), maxDialogLabel), hint, fieldElement(f, focus)).WithOptional(f.Optional)
	return block.WithDispatchAction(f.Live)
}

func fieldElement(f commands.Field, focus bool) slack.BlockElement {
	var chosen *slack.OptionBlockObject
	var all []*slack.OptionBlockObject
	for _, c := range f.Choices {
		o := option(c)
		all = append(all, o)
		if c.Value == f.Value {
			chosen = o
		}
	}
	switch f.Kind {
	case commands.FieldChoice:
		e := slack.NewRadioButtonsBlockElement(f.Name, all...)
		e.InitialOption = chosen
		return e
	case commands.FieldMenu:
		e := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plainText("Choose", maxPlaceholder), f.Name, all...)
		e.InitialOption = chosen
		return e
	case commands.FieldApp:
		e := slack.NewOptionsSelectBlockElement(slack.OptTypeExternal, plainText("Search by name", maxPlaceholder), f.Name)
		e.MinQueryLength, e.FocusOnLoad = new(0), focus
		if f.Value != "" {
			e.InitialOption = option(commands.Choice{Value: f.Value, Label: first(f.Shown, f.Value)})
		}
		return e
	case commands.FieldDate:
		e := slack.NewDatePickerBlockElement(f.Name)
		e.InitialDate = f.Value
		return e
	}
	e := slack.NewPlainTextInputBlockElement(nil, f.Name)
	e.Multiline, e.MaxLength, e.InitialValue = true, maxNote, shorten(f.Value, maxNote)
	return e
}

func option(c commands.Choice) *slack.OptionBlockObject {
	var detail *slack.TextBlockObject
	if c.Detail != "" {
		detail = plainText(oneLine(c.Detail), maxOption)
	}
	return slack.NewOptionBlockObject(shorten(c.Value, maxOptionValue), plainText(first(strings.TrimSpace(oneLine(c.Label)), c.Value), maxOption), detail)
}

// maxOfferBytes bounds an answer to a search: Slack drops an acknowledgement of 20 kB
// without a word.
const maxOfferBytes = 18_000

// offerAnswer is the acknowledgement of what somebody typed into a search.
func offerAnswer(offers []commands.Offer) any {
	type group struct {
		Label   *slack.TextBlockObject     `json:"label"`
		Options []*slack.OptionBlockObject `json:"options"`
	}
	groups, left := []group{}, maxOfferBytes
	for _, o := range offers {
		g := group{Label: plainText(oneLine(o.Label), maxGroupLabel)}
		for _, c := range o.Choices {
			one := option(c)
			raw, err := json.Marshal(one)
			if left -= len(raw) + 1; err != nil || left < 0 {
				break
			}
			g.Options = append(g.Options, one)
		}
		if len(g.Options) > 0 {
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		return map[string]any{"options": []any{}}
	}
	return map[string]any{"option_groups": groups}
}
