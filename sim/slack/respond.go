package slack

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// Limits of what an interaction hands to the app ("Handling user interaction").
const (
	responseUses = 5
	responseLife = 30 * time.Minute
	triggerLife  = 3 * time.Second
)

// trigger lets the app open one view, once, soon.
type trigger struct {
	user   string
	made   time.Time
	used   bool
	viewID string // the view that was on screen, for views.push
}

// newTrigger makes a trigger_id in Slack's shape: two numbers and a secret.
func (s *Server) newTrigger(user, viewID string) string {
	id := s.nextTS() + "." + secret()
	s.triggers[id] = &trigger{user: user, made: time.Now(), viewID: viewID}
	return id
}

// pull uses a trigger up.
func (s *Server) pull(id string) (*trigger, error) {
	t := s.triggers[id]
	switch {
	case t == nil:
		return nil, fail("invalid_trigger_id")
	case t.used:
		return nil, fail("exchanged_trigger_id")
	case time.Since(t.made) > triggerLife:
		return nil, fail("expired_trigger_id")
	}
	t.used = true
	return t, nil
}

// responseURL lets the app answer one interaction, where it happened, a few times.
type responseURL struct {
	user, channel, thread string
	made                  time.Time
	uses                  int
	original              *message // the message of the button, if it was a message's
}

// newResponseURL makes a response_url for that person in that place.
func (s *Server) newResponseURL(user, channel string, original *message) string {
	id := secret()
	u := &responseURL{user: user, channel: channel, made: time.Now(), original: original}
	if original != nil {
		u.thread = original.thread
	}
	s.responses[id] = u
	return s.base + "/response/" + id
}

func (s *Server) serveResponse(w http.ResponseWriter, r *http.Request) {
	if !s.hold() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	args := object{}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/x-www-form-urlencoded" {
		form, _ := url.ParseQuery(string(body))
		body = []byte(form.Get("payload"))
	}
	if err == nil {
		err = json.Unmarshal(body, &args)
	}
	note := func(status int, code string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.noteCall(Call{Method: "response_url", Status: status, Error: code, Args: args})
	}
	after := s.meetFault(w, r, "response_url", note)
	if after == faultDone {
		return
	}
	status, text := http.StatusBadRequest, "invalid_payload"
	if err == nil {
		status, text = s.respond(r.PathValue("id"), &request{name: "response_url", args: args})
	}
	if after == faultResetAfter {
		note(0, "connection reset after the effect")
		panic(http.ErrAbortHandler)
	}
	if status == http.StatusOK {
		note(status, "")
	} else {
		note(status, text)
	}
	s.mu.Lock()
	bare := s.noType
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if bare {
		w.Header()["Content-Type"] = nil // keeps net/http from guessing one
	}
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// respond carries out one use of a response URL. Like an incoming webhook it answers
// in plain text: "ok", or an error code with a status that is not 200. A URL that is
// over answers 404, whatever its body.
func (s *Server) respond(id string, q *request) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.responses[id]
	switch {
	case u == nil:
		return http.StatusNotFound, "no_service"
	case time.Since(u.made) > responseLife:
		return http.StatusNotFound, "expired_url"
	case u.uses >= responseUses:
		return http.StatusNotFound, "used_url"
	}
	if q.flag("delete_original") {
		if u.original == nil || u.original.deleted {
			return http.StatusNotFound, "message_not_found"
		}
		u.uses++
		s.remove(u.original)
		return http.StatusOK, "ok"
	}
	if meta, _ := q.args["metadata"].(object); meta != nil && meta["event_type"] == "" {
		delete(q.args, "metadata") // slack-go always sends one here, and Slack takes it for none
	}
	c, err := s.readContent(q, 0)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	u.uses++
	if q.flag("replace_original") && u.original != nil && !u.original.deleted {
		u.original.attachments = c.attachments
		s.change(u.original, c.text, c.blocks)
		return http.StatusOK, "ok"
	}
	m := &message{channel: u.channel, user: s.ws.BotUser, text: c.text, blocks: c.blocks, attachments: c.attachments, thread: u.thread, url: id}
	if thread := q.text("thread_ts"); thread != "" {
		m.thread = thread
	}
	if q.text("response_type") != "in_channel" {
		m.ephemeral = u.user
	}
	s.post(m)
	return http.StatusOK, "ok"
}
