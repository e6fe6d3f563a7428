package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxOffered is how many options one answer to block_suggestion may hold (docs.slack.dev,
// "block_suggestion payload").
const maxOffered = 100

// offerKey names a select whose options the app offers.
func offerKey(c control) string {
	at := ""
	switch {
	case c.v != nil:
		at = c.v.id
	case c.m != nil:
		at = c.m.channel + "/" + c.m.ts
	}
	action, _ := c.el["action_id"].(string)
	return at + "/" + c.blockID + "/" + action
}

// suggest asks the app for the options of an external select, for what a person has typed
// into it so far. Answered gets {"options": …} or {"option_groups": …} as the app gave
// them, or an error code where there is no usable answer within 3 s. It needs the lock, and
// answered runs with it held.
func (s *Server) suggest(p *Person, c control, typed string, answered func(offer object, code string)) string {
	payload := s.interaction("block_suggestion", p)
	payload["action_id"] = c.el["action_id"]
	payload["block_id"] = c.blockID
	payload["value"] = typed
	if c.v != nil {
		payload["view"] = s.viewJSON(c.v)
		payload["container"] = object{"type": "view", "view_id": c.v.id}
	} else {
		m := c.m
		payload["channel"] = object{"id": m.channel, "name": s.channelName(m.channel)}
		payload["container"] = object{"type": "message", "message_ts": m.ts, "channel_id": m.channel, "is_ephemeral": m.ephemeral != ""}
		if m.ephemeral == "" {
			payload["message"] = s.messageJSON(m)
		}
	}
	return s.dispatch(&envelope{kind: "interactive", payload: payload,
		lost: func(code string) { answered(nil, code) },
		answered: func(ack json.RawMessage) {
			offer := object{}
			if len(ack) == 0 || json.Unmarshal(ack, &offer) != nil {
				answered(nil, "no_options")
				return
			}
			check := &checker{surface: inModal, ids: map[string]bool{}, seen: map[string]int{}}
			if len(optionsOf(offer)) > 0 { // none at all is an answer too
				check.options(offer, "", maxOffered)
			}
			if len(check.problems) > 0 {
				s.notice(p, "notice", "Slack could not use the options that the app offered: "+check.problems[0])
				answered(nil, "invalid_options")
				return
			}
			s.offered[offerKey(c)] = optionsOf(offer)
			answered(offer, "")
		}})
}

// optionsFor are the options that a control has, or that the app last offered for it, with
// the one that is chosen.
func (s *Server) optionsFor(c control) []object {
	if kind, _ := c.el["type"].(string); !strings.Contains(kind, "external_select") {
		return optionsOf(c.el)
	}
	options := slices.Concat(s.offered[offerKey(c)], initialOptions(c.el))
	if c.v != nil {
		values, _ := c.v.state[c.blockID].(object)
		action, _ := c.el["action_id"].(string)
		value, _ := values[action].(object)
		if chosen, ok := value["selected_option"].(object); ok {
			options = append(options, chosen)
		}
	}
	return options
}

// search is a person typing into the newest search field that they see, or into the one
// that is named as in fill. What they are offered is an event.
func (s *Server) search(p *Person, text string) (string, error) {
	field, typed, named := strings.Cut(text, "=")
	if !named {
		field, typed = "", text
	}
	for _, c := range s.controls(p, "") {
		if kind, _ := c.el["type"].(string); !strings.Contains(kind, "external_select") {
			continue
		}
		if named && field != c.el["action_id"] && field != c.blockID {
			continue
		}
		if least, set := c.el["min_query_length"].(float64); len([]rune(typed)) < int(least) || !set && len([]rune(typed)) < 3 {
			return "too short: Slack does not ask the app yet", nil // docs.slack.dev, "Select menu element": 3 unless it says otherwise
		}
		return s.suggest(p, c, strings.TrimSpace(typed), func(offer object, code string) {
			if code != "" {
				s.notice(p, "notice", "No options: "+code)
				return
			}
			s.record(Event{Kind: "options", To: p.Name, By: "bot", Text: s.renderOffer(offer)})
		}), nil
	}
	return "", fmt.Errorf("%s sees no search field %s", p.Name, field)
}

// renderOffer is an offer of options as a person sees it.
func (s *Server) renderOffer(offer object) string {
	var lines []string
	list := func(o object) {
		for _, option := range optionsOf(o) {
			lines = append(lines, strings.TrimRight("  "+s.textOf(option["text"])+"  "+s.textOf(option["description"]), " "))
		}
	}
	groups, grouped := offer["option_groups"].([]any)
	for _, g := range groups {
		group, _ := g.(object)
		lines = append(lines, s.textOf(group["label"])+":")
		list(group)
	}
	if !grouped {
		list(offer)
	}
	if len(lines) == 0 {
		return "No result"
	}
	return strings.Join(lines, "\n")
}

// serveSuggest answers a page's search with the options that the app offers.
func (s *Server) serveSuggest(w http.ResponseWriter, r *http.Request, act pageAct) {
	type answer struct {
		offer object
		code  string
	}
	got := make(chan answer, 1)
	s.mu.Lock()
	var c control
	var err error = errGone
	p := s.ws.person(r.PathValue("person"))
	if p != nil && !p.Bot {
		c, err = s.controlAt(p, act)
	}
	if err == nil {
		if c.v != nil {
			s.enterAll(c.v, act.State)
		}
		s.suggest(p, c, act.Text, func(offer object, code string) { got <- answer{offer, code} })
	}
	s.mu.Unlock()
	if err != nil {
		writeJSON(w, statusOf(err), object{"error": err.Error()})
		return
	}
	select {
	case a := <-got:
		if a.code != "" {
			writeJSON(w, http.StatusBadGateway, object{"error": "the app offered no options: " + a.code})
			return
		}
		writeJSON(w, http.StatusOK, a.offer)
	case <-r.Context().Done():
	case <-s.done:
	}
}
