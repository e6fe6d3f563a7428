package slack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// pageAct is what a person does on the page. Which fields count depends on the act:
//
//	type      channel, thread, text
//	press     channel, ts and seq, or view and hash; block_id, action_id, values; of a view, its state
//	suggest   the same, and text: what was typed into the search
//	submit    view, state
//	close     view
//	home      nothing
//	shortcut  callback, channel, ts
//
// Seq and Hash say which version of a message or a view the person had before them; without
// one, the newest that has the control is meant. Values are those of the chosen options, a date as 2006-01-02, or what was typed; State
// is the same for each input of a view, by block id and action id.
type pageAct struct {
	Act      string                         `json:"act"`
	Channel  string                         `json:"channel"`
	Thread   string                         `json:"thread"`
	TS       string                         `json:"ts"`
	Text     string                         `json:"text"`
	Seq      int                            `json:"seq"`
	View     string                         `json:"view"`
	Hash     string                         `json:"hash"`
	BlockID  string                         `json:"block_id"`
	ActionID string                         `json:"action_id"`
	Values   []string                       `json:"values"`
	State    map[string]map[string][]string `json:"state"`
	Callback string                         `json:"callback"`
}

// errGone is the answer to an act on something that is not on the screen any more.
var errGone = errors.New("this has changed or was closed meanwhile; look again")

// serveAct carries out one act of a person. What is wrong with it is said in "error": 409
// where the screen has changed meanwhile, 400 otherwise.
func (s *Server) serveAct(w http.ResponseWriter, r *http.Request) {
	if !s.hold() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	var act pageAct
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFrame)).Decode(&act); err != nil {
		writeJSON(w, http.StatusBadRequest, object{"error": "no act could be read: " + err.Error()})
		return
	}
	if act.Act == "suggest" {
		s.serveSuggest(w, r, act)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = or(s.base, hostURL(r))
	p := s.ws.person(r.PathValue("person"))
	if p == nil || p.Bot {
		writeJSON(w, http.StatusNotFound, object{"error": "nobody is called that"})
		return
	}
	said, err := s.actOnPage(p, act)
	s.stir()
	if err != nil {
		writeJSON(w, statusOf(err), object{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, object{"said": said})
}

func statusOf(err error) int {
	if errors.Is(err, errGone) {
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

func (s *Server) actOnPage(p *Person, act pageAct) (string, error) {
	if p.Deleted {
		return "", fmt.Errorf("%s is deactivated", p.Name)
	}
	switch act.Act {
	case "type":
		text := strings.TrimSpace(act.Text)
		if text == "" {
			return "", errors.New("there is nothing to send")
		}
		if s.ws.dmPerson(act.Channel) != p && s.ws.channel(act.Channel) == nil {
			return "", errGone
		}
		return s.typeText(p, place{channel: act.Channel, thread: act.Thread}, text)
	case "press":
		c, err := s.controlAt(p, act)
		if err != nil {
			return "", err
		}
		action, err := s.chosen(c, act.Values)
		if err != nil {
			return "", err
		}
		if c.v != nil {
			s.enterAll(c.v, act.State)
			if c.el["type"] != "button" && c.el["type"] != "overflow" {
				s.enter(c.v, c.blockID, c.el, action)
			}
		}
		return s.act(p, c, action), nil
	case "submit", "close":
		v := s.top(p.ID)
		if v == nil || v.id != act.View {
			return "", errGone
		}
		if act.Act == "close" {
			return s.closeView(p, "")
		}
		s.enterAll(v, act.State)
		v.errors = nil
		return s.submit(p, nil)
	case "home":
		return s.openHome(p), nil
	case "shortcut":
		m := s.find(act.Channel, act.TS)
		if m == nil || !s.onScreen(p, m) {
			return "", errGone
		}
		return s.messageShortcut(p, act.Callback, m), nil
	}
	return "", fmt.Errorf("nobody can %q", act.Act)
}

// controlAt finds the control that an act is about, in the version that the person had. One
// that was replaced a moment ago is found too: a press can cross an update, as it does in
// Slack, and the same ids may be another button's now.
func (s *Server) controlAt(p *Person, act pageAct) (control, error) {
	var found []control
	for _, c := range s.controls(p, "stale") {
		here, had := false, false
		switch {
		case c.v != nil:
			here, had = c.v.id == act.View, c.v.as(c.was).hash == act.Hash
		case act.View == "":
			here, had = c.m.ts == act.TS && c.m.channel == act.Channel, c.seq == act.Seq
		}
		switch {
		case !here || c.blockID != act.BlockID || c.el["action_id"] != act.ActionID:
		case had:
			return c, nil
		default:
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return control{}, errGone
	}
	return found[0], nil
}

// chosen is what a person chose or entered in a control, as the app is told.
func (s *Server) chosen(c control, values []string) (object, error) {
	kind, _ := c.el["type"].(string)
	one := ""
	if len(values) > 0 {
		one = values[0]
	}
	orNull := func(key string) (object, error) {
		if one == "" {
			return object{key: nil}, nil
		}
		return object{key: one}, nil
	}
	switch kind {
	case "button":
		action := object{"text": c.el["text"]}
		for _, key := range []string{"value", "url", "style"} {
			if c.el[key] != nil {
				action[key] = c.el[key]
			}
		}
		return action, nil
	case "datepicker":
		return orNull("selected_date")
	case "timepicker":
		return orNull("selected_time")
	case "users_select":
		return orNull("selected_user")
	case "channels_select":
		return orNull("selected_channel")
	case "conversations_select":
		return orNull("selected_conversation")
	}
	options := s.optionsFor(c)
	if len(options) == 0 && !strings.Contains(kind, "external_select") {
		return orNull("value")
	}
	picked := []any{}
	for _, want := range values {
		i := slices.IndexFunc(options, func(o object) bool { return o["value"] == want })
		if i < 0 {
			return nil, fmt.Errorf("there is no option %q", want)
		}
		picked = append(picked, options[i])
	}
	switch {
	case kind == "checkboxes" || strings.HasPrefix(kind, "multi_"):
		return object{"selected_options": picked}, nil
	case len(picked) == 0:
		return object{"selected_option": nil}, nil
	}
	return object{"selected_option": picked[0]}, nil
}

// initialOptions are the options that an element was shown with.
func initialOptions(el object) []object {
	var found []object
	if one, ok := el["initial_option"].(object); ok {
		found = append(found, one)
	}
	more, _ := el["initial_options"].([]any)
	for _, o := range more {
		if one, ok := o.(object); ok {
			found = append(found, one)
		}
	}
	return found
}

// enterAll puts what a person entered into the inputs of a view. What the view does not
// have any more is passed over.
func (s *Server) enterAll(v *view, state map[string]map[string][]string) {
	for _, b := range v.blocks() {
		block, _ := b.(object)
		blockID, _ := block["block_id"].(string)
		for _, el := range elementsOf(block) {
			actionID, _ := el["action_id"].(string)
			values, given := state[blockID][actionID]
			if !given {
				continue
			}
			if value, err := s.chosen(control{v: v, blockID: blockID, el: el}, values); err == nil {
				s.enter(v, blockID, el, value)
			}
		}
	}
}
