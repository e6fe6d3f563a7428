package slack

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// enter puts a value into an input element of a view.
func (s *Server) enter(v *view, blockID string, el object, value object) {
	actionID, _ := el["action_id"].(string)
	values, _ := v.state[blockID].(object)
	if values == nil {
		return
	}
	entered := initialOf(el)
	maps.Copy(entered, value)
	values[actionID] = entered
}

// fill enters text into the input that key names by its action id, block id or label.
func (s *Server) fill(v *view, key, text string) error {
	var names []string
	for _, b := range v.blocks() {
		block, _ := b.(object)
		blockID, _ := block["block_id"].(string)
		label := s.textOf(block["label"])
		for _, el := range elementsOf(block) {
			kind, _ := el["type"].(string)
			if kind == "button" || kind == "image" || kind == "overflow" {
				continue
			}
			names = append(names, fmt.Sprint(el["action_id"]))
			if key != el["action_id"] && key != blockID && !strings.EqualFold(key, label) {
				continue
			}
			value, err := s.valueFor(control{v: v, blockID: blockID, el: el}, text)
			if err != nil {
				return err
			}
			s.enter(v, blockID, el, value)
			return nil
		}
	}
	return fmt.Errorf("the view has no input %q; there is %s", key, listed(names))
}

func (s *Server) valueFor(c control, text string) (object, error) {
	el := c.el
	kind, _ := el["type"].(string)
	id := strings.TrimLeft(text, "@#")
	switch {
	case kind == "users_select":
		p := s.ws.person(id)
		if p == nil {
			return nil, fmt.Errorf("there is nobody called %q", text)
		}
		return object{"selected_user": p.ID}, nil
	case kind == "channels_select" || kind == "conversations_select":
		c := s.ws.channel(id)
		if c == nil {
			return nil, fmt.Errorf("there is no channel %q", text)
		}
		return object{"selected_" + strings.TrimSuffix(kind, "s_select"): c.ID}, nil
	case kind == "datepicker":
		return object{"selected_date": text}, nil
	case kind == "timepicker":
		return object{"selected_time": text}, nil
	case len(optionsOf(el)) > 0 || strings.Contains(kind, "external_select"):
		var picked, labels []any
		for want := range strings.SplitSeq(text, ",") {
			for _, option := range s.optionsFor(c) {
				label := s.textOf(option["text"])
				labels = append(labels, label)
				if option["value"] == want || strings.EqualFold(label, want) {
					picked = append(picked, option)
				}
			}
		}
		if len(picked) == 0 {
			return nil, fmt.Errorf("no option %q; there is %v", text, labels)
		}
		if kind == "checkboxes" || strings.HasPrefix(kind, "multi_") {
			return object{"selected_options": picked}, nil
		}
		return object{"selected_option": picked[0]}, nil
	}
	return object{"value": text}, nil
}

// submit fills in and sends the modal that a person has before them.
func (s *Server) submit(p *Person, values [][2]string) (string, error) {
	v := s.top(p.ID)
	if v == nil {
		return "", fmt.Errorf("%s has no modal open", p.Name)
	}
	for _, kv := range values {
		if err := s.fill(v, kv[0], kv[1]); err != nil {
			return "", err
		}
	}
	for _, b := range v.blocks() {
		block, _ := b.(object)
		if optional, _ := block["optional"].(bool); block["type"] != "input" || optional {
			continue
		}
		for _, el := range elementsOf(block) {
			blockID, _ := block["block_id"].(string)
			values, _ := v.state[blockID].(object)
			value, _ := values[el["action_id"].(string)].(object)
			if empty(value) {
				s.notice(p, "notice", s.textOf(block["label"])+": Please complete this required field.")
				return "not sent: " + s.textOf(block["label"]) + " is required", nil
			}
		}
	}
	payload := s.interaction("view_submission", p)
	payload["trigger_id"] = s.newTrigger(p.ID, v.id)
	payload["view"] = s.viewJSON(v)
	payload["response_urls"] = []object{}
	return s.dispatch(&envelope{kind: "interactive", payload: payload,
		lost:     func(string) { s.notice(p, "timeout", "We had some trouble connecting. Try again?") },
		answered: func(ack json.RawMessage) { s.submitted(v, ack) },
	}), nil
}

// empty tells whether an input's value is none.
func empty(value object) bool {
	for key, v := range value {
		switch v := v.(type) {
		case nil:
		case []any:
			if len(v) > 0 {
				return false
			}
		case string:
			if key != "type" && v != "" {
				return false
			}
		default:
			return false
		}
	}
	return true
}
