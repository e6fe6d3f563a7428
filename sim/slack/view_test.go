package slack

import (
	"bytes"
	"encoding/json"
	"testing"
)

// An answer is written after the lock was given back: what a person enters meanwhile must
// not reach into it (it once was a data race of two requests).
func TestAnAnswerHoldsTheViewAsItWas(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	input := object{"type": "plain_text_input", "action_id": "note"}
	v := s.newView("U0REQUESTER", object{"type": "modal", "blocks": []any{object{"type": "input", "block_id": "why", "element": input}}})
	answer := s.viewJSON(v)
	s.enter(v, "why", input, object{"value": "too late"})
	if text, err := json.Marshal(answer); err != nil || bytes.Contains(text, []byte("too late")) {
		t.Errorf("got an answer with what was entered after it: %s, %v", text, err)
	}
	if text, _ := json.Marshal(s.viewJSON(v)); !bytes.Contains(text, []byte("too late")) {
		t.Errorf("got no entered value in a later answer: %s", text)
	}
}
