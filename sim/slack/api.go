package slack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Requests per minute of Slack's rate tiers. Tier 5 is "special": several hundred
// in the documentation, which names no figure; 600 is assumed.
const (
	tier2 = 20
	tier3 = 50
	tier4 = 100
	tier5 = 600
)

// maxBody is the most that the server reads of a request: no documented method
// takes more, and a client's runaway loop must not take the machine's memory.
const maxBody = 16 << 20

// method is one method of the Web API.
type method struct {
	run     func(*Server, *request) (object, error)
	app     bool     // takes the app-level token
	scopes  []string // any one of them is enough
	tier    int      // requests a minute
	args    []string // every documented argument beside token
	need    []string // those required
	formArg bool     // takes no JSON body
}

// request is one call with its arguments read.
type request struct {
	name string
	args object
	host string
	warn []string
}

// apiError is an answer of {"ok": false}.
type apiError struct {
	code     string
	messages []string // response_metadata.messages
	extra    object
}

func (e *apiError) Error() string { return e.code }

// fail refuses with an error code of Slack's.
func fail(code string) error { return &apiError{code: code} }

// invalid is Slack's complaint about arguments, with reasons.
func invalid(reasons ...string) error {
	return &apiError{code: "invalid_arguments", messages: reasons}
}

// methods is every method that the server speaks, as
// https://docs.slack.dev/reference/methods documents it.
func methods() map[string]method {
	const content = "channel text blocks attachments metadata markdown_text parse link_names as_user "
	const post = content + "thread_ts username icon_emoji icon_url "
	words := strings.Fields
	reads := words("channels:read groups:read im:read mpim:read")
	history := words("channels:history groups:history im:history mpim:history")
	return map[string]method{
		"api.test":              {run: (*Server).apiTest, tier: tier4},
		"auth.test":             {run: (*Server).authTest, tier: tier5},
		"apps.connections.open": {run: (*Server).openConnection, app: true, tier: tier3},
		"bots.info":             {run: (*Server).botsInfo, scopes: words("users:read"), tier: tier3, args: words("bot team_id"), formArg: true},
		"team.info":             {run: (*Server).teamInfo, scopes: words("team:read"), tier: tier3, args: words("team domain")},
		"users.info":            {run: (*Server).usersInfo, scopes: words("users:read"), tier: tier4, args: words("user include_locale"), need: words("user"), formArg: true},
		"users.list":            {run: (*Server).usersList, scopes: words("users:read"), tier: tier2, args: words("cursor include_locale limit team_id"), formArg: true},
		"usergroups.list": {run: (*Server).groupsList, scopes: words("usergroups:read"), tier: tier2, formArg: true,
			args: words("include_count include_disabled include_users team_id")},
		"usergroups.users.list": {run: (*Server).groupUsers, scopes: words("usergroups:read"), tier: tier2, formArg: true,
			args: words("usergroup include_disabled team_id"), need: words("usergroup")},
		"conversations.list": {run: (*Server).conversationsList, scopes: reads, tier: tier2, formArg: true,
			args: words("cursor exclude_archived limit team_id types")},
		"conversations.info": {run: (*Server).conversationsInfo, scopes: reads, tier: tier3, formArg: true,
			args: words("channel include_locale include_num_members"), need: words("channel")},
		"conversations.members": {run: (*Server).conversationsMembers, scopes: reads, tier: tier4, formArg: true,
			args: words("channel cursor limit"), need: words("channel")},
		"conversations.history": {run: (*Server).conversationsHistory, scopes: history, tier: tier3,
			args: words("channel cursor include_all_metadata inclusive latest limit oldest"), need: words("channel")},
		"conversations.replies": {run: (*Server).conversationsReplies, scopes: history, tier: tier3, formArg: true,
			args: words("channel ts cursor include_all_metadata inclusive latest limit oldest"), need: words("channel ts")},
		"conversations.open": {run: (*Server).conversationsOpen, scopes: words("im:write mpim:write groups:write channels:manage"), tier: tier3,
			args: words("channel users return_im prevent_creation")},
		"conversations.join": {run: (*Server).conversationsJoin, scopes: words("channels:join"), tier: tier3, args: words("channel"), need: words("channel")},
		"chat.postMessage": {run: (*Server).postMessage, scopes: words("chat:write"), tier: tier5,
			args: words(post + "mrkdwn reply_broadcast unfurl_links unfurl_media current_draft_last_updated_ts"), need: words("channel")},
		"chat.postEphemeral": {run: (*Server).postEphemeral, scopes: words("chat:write"), tier: tier4,
			args: words(post + "user"), need: words("channel user")},
		"chat.update": {run: (*Server).updateMessage, scopes: words("chat:write"), tier: tier3,
			args: words(content + "ts reply_broadcast file_ids unfurled_attachments"), need: words("channel ts")},
		"chat.delete":       {run: (*Server).deleteMessage, scopes: words("chat:write"), tier: tier3, args: words("channel ts as_user"), need: words("channel ts")},
		"chat.getPermalink": {run: (*Server).permalink, tier: tier5, args: words("channel message_ts"), need: words("channel message_ts"), formArg: true},
		"reactions.add": {run: (*Server).reactionsAdd, scopes: words("reactions:write"), tier: tier3,
			args: words("channel name timestamp"), need: words("channel name timestamp")},
		"views.open":    {run: (*Server).viewsOpen, tier: tier4, args: words("trigger_id interactivity_pointer view"), need: words("view")},
		"views.push":    {run: (*Server).viewsPush, tier: tier4, args: words("trigger_id interactivity_pointer view"), need: words("view")},
		"views.update":  {run: (*Server).viewsUpdate, tier: tier4, args: words("view_id external_id view hash"), need: words("view")},
		"views.publish": {run: (*Server).viewsPublish, tier: tier4, args: words("user_id view hash interactivity_pointer"), need: words("user_id view")},
		"files.getUploadURLExternal": {run: (*Server).uploadURL, scopes: words("files:write"), tier: tier4, formArg: true,
			args: words("filename length snippet_type alt_txt"), need: words("filename length")},
		"files.completeUploadExternal": {run: (*Server).completeUpload, scopes: words("files:write"), tier: tier4,
			args: words("files channel_id channels thread_ts initial_comment blocks username icon_url icon_emoji"), need: words("files")},
	}
}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	if !s.hold() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	name := r.PathValue("method")
	req, token, err := readRequest(w, r)
	args := object{}
	if req != nil {
		args = req.args
	}
	var said object // what is answered
	note := func(status int, code string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.noteCall(Call{Method: name, Status: status, Error: code, Args: args, answer: said})
	}
	done := func(code string, body object) {
		said = body
		note(http.StatusOK, code)
	}
	after := s.meetFault(w, r, name, note)
	if after == faultDone {
		return
	}
	if err != nil {
		s.answer(w, name, nil, nil, err, done)
		return
	}
	body, wait, err := s.call(req, token)
	switch {
	case after == faultResetAfter:
		note(0, "connection reset after the effect")
		panic(http.ErrAbortHandler)
	case wait > 0:
		seconds := strconv.Itoa(int((wait + time.Second - 1) / time.Second))
		w.Header().Set("Retry-After", seconds)
		note(http.StatusTooManyRequests, "ratelimited")
		writeJSON(w, http.StatusTooManyRequests, object{"ok": false, "error": "ratelimited"})
	default:
		s.answer(w, name, req, body, err, done)
	}
}

// answer writes what a method said. Slack answers 200 to refusals too.
func (s *Server) answer(w http.ResponseWriter, name string, req *request, body object, err error, note func(code string, body object)) {
	s.mu.Lock()
	w.Header().Set("X-OAuth-Scopes", strings.Join(s.scopes, ","))
	s.mu.Unlock()
	if m, known := methods()[name]; known && len(m.scopes) > 0 {
		w.Header().Set("X-Accepted-OAuth-Scopes", strings.Join(m.scopes, ","))
	}
	code := ""
	if err != nil {
		refused, ok := errors.AsType[*apiError](err)
		if !ok {
			refused = &apiError{code: "internal_error", messages: []string{err.Error()}}
		}
		code = refused.code
		body = object{"ok": false, "error": code}
		maps.Copy(body, refused.extra)
		if refused.messages != nil {
			body["response_metadata"] = object{"messages": refused.messages}
		}
	} else {
		body["ok"] = true
		if req != nil && len(req.warn) > 0 {
			body["warning"] = strings.Join(req.warn, ",")
			meta, _ := body["response_metadata"].(object)
			if meta == nil {
				meta = object{}
			}
			meta["warnings"] = req.warn
			body["response_metadata"] = meta
		}
	}
	note(code, body)
	writeJSON(w, http.StatusOK, body)
}

// call checks the token, the scope, the limits and the arguments in Slack's order,
// and runs the method. A wait means 429.
func (s *Server) call(req *request, token string) (body object, wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, known := methods()[req.name]
	if !known || s.methodsOff[req.name] {
		return nil, 0, &apiError{code: "unknown_method", extra: object{"req_method": req.name}}
	}
	if req.name != "api.test" {
		if err := s.checkToken(token, m.app); err != nil {
			return nil, 0, err
		}
	}
	if m.scopes != nil && !slices.ContainsFunc(m.scopes, s.granted) {
		return nil, 0, s.missingScope(m.scopes[0])
	}
	if wait := s.throttle(req.name, m.tier, time.Minute); wait > 0 {
		return nil, wait, nil
	}
	for _, arg := range m.need {
		if v, given := req.args[arg]; !given || v == nil || v == "" {
			return nil, 0, invalid("[ERROR] missing required field: " + arg)
		}
	}
	if s.opts.Strict && m.args != nil {
		for arg := range req.args {
			if arg != "token" && !slices.Contains(m.args, arg) {
				return nil, 0, invalid("[ERROR] undocumented argument: " + arg)
			}
		}
	}
	body, err = m.run(s, req)
	if limited, is := errors.AsType[tooFast](err); is {
		return nil, time.Duration(limited), nil
	}
	return body, 0, err
}

// tooFast is the wait that a limit of its own, not a tier, demands of a method.
type tooFast time.Duration

func (tooFast) Error() string { return "ratelimited" }

func (s *Server) granted(scope string) bool { return slices.Contains(s.scopes, scope) }

func (s *Server) missingScope(needed string) error {
	return &apiError{code: "missing_scope", extra: object{"needed": needed, "provided": strings.Join(s.scopes, ",")}}
}

func (s *Server) checkToken(token string, app bool) error {
	switch {
	case token == "":
		return fail("not_authed")
	case token != s.opts.BotToken && token != s.opts.AppToken:
		return fail("invalid_auth")
	case s.tokenState != "":
		return fail(s.tokenState)
	case app != (token == s.opts.AppToken):
		return fail("not_allowed_token_type")
	}
	return nil
}

// throttle counts one use of key in a sliding window and says how long to wait
// where there were already limit of them.
func (s *Server) throttle(key string, limit int, window time.Duration) time.Duration {
	if s.opts.NoRateLimits || limit <= 0 {
		return 0
	}
	now := time.Now()
	recent := slices.DeleteFunc(s.rates[key], func(t time.Time) bool { return now.Sub(t) >= window })
	s.rates[key] = recent
	if len(recent) >= limit {
		return recent[0].Add(window).Sub(now)
	}
	s.rates[key] = append(recent, now)
	return 0
}

// readRequest reads the arguments of a call from its query, form, multipart or JSON
// body, and its token from the header or, outside JSON bodies, from the arguments.
func readRequest(w http.ResponseWriter, r *http.Request) (*request, string, error) {
	req := &request{name: r.PathValue("method"), args: object{}, host: hostURL(r)}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	header := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	for key := range r.URL.Query() {
		if key != "token" { // Slack no longer takes tokens from a query
			req.args[key] = r.URL.Query().Get(key)
		}
	}
	switch {
	case kind == "application/json":
		if params["charset"] == "" {
			req.warn = append(req.warn, "missing_charset")
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return req, header, fail("request_timeout")
		}
		if m := methods()[req.name]; m.formArg {
			break // Slack does not look into the JSON body of such a method
		}
		given := object{}
		if len(body) > 0 && json.Unmarshal(body, &given) != nil {
			return req, header, fail("invalid_json")
		}
		delete(given, "token") // a token is not read from a JSON body
		maps.Copy(req.args, given)
	case kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data":
		if err := r.ParseMultipartForm(maxBody); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			return req, header, fail("invalid_form_data")
		}
		for key := range r.PostForm {
			req.args[key] = r.PostForm.Get(key)
		}
	case kind == "" && r.ContentLength > 0:
		return req, header, fail("missing_post_type")
	case kind != "" && r.ContentLength > 0:
		return req, header, fail("invalid_post_type")
	}
	token := header
	if token == "" {
		token, _ = req.args["token"].(string)
	}
	return req, token, nil
}

// text is an argument as a string; numbers and booleans in JSON are written out.
func (q *request) text(name string) string {
	switch v := q.args[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// flag reads a boolean the way Slack does: true, "true" and "1".
func (q *request) flag(name string) bool {
	v := q.text(name)
	return v == "true" || v == "1"
}

// number reads a whole number; what is absent or unreadable is otherwise.
func (q *request) number(name string, otherwise int) int {
	n, err := strconv.Atoi(q.text(name))
	if err != nil {
		return otherwise
	}
	return n
}

// value reads an argument that is JSON: as it is in a JSON body, as a string of JSON in a
// form. Absent, null and the empty string are nil.
func (q *request) value(name string) (any, error) {
	v := q.args[name]
	text, isText := v.(string)
	if !isText {
		return v, nil
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var read any
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		return nil, err
	}
	return read, nil
}

// page cuts one page out of a list by Slack's cursor and limit arguments, and gives
// the response_metadata that leads to the next.
func page[T any](q *request, all []T, most int) ([]T, object, error) {
	limit := q.number("limit", 100)
	if limit <= 0 || limit > most {
		return nil, nil, fail("invalid_limit")
	}
	start := 0
	if cursor := q.text("cursor"); cursor != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(cursor, "next:"))
		if err != nil || n < 0 || n > len(all) || !strings.HasPrefix(cursor, "next:") {
			return nil, nil, fail("invalid_cursor")
		}
		start = n
	}
	end := min(start+limit, len(all))
	next := ""
	if end < len(all) {
		next = "next:" + strconv.Itoa(end)
	}
	return all[start:end], object{"next_cursor": next}, nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(text)
}

// hostURL is the base URL by which the client reached us.
func hostURL(r *http.Request) string {
	scheme := "http://"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https://"
	}
	return scheme + r.Host
}

// asList is a list that is [] in JSON where it is empty, as Slack writes it, not null.
func asList[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
