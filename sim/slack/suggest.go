package slack

import (
	"encoding/json"
	"net/http"
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
