package slack

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Limits of views (docs.slack.dev, "Views").
const (
	maxViews    = 3         // in one stack
	maxViewSize = 250 << 10 // bytes of JSON
)

// view is a modal in one person's stack, or one person's Home tab.
type view struct {
	id, user string
	root     string
	previous string
	hash     string
	body     object            // as the app gave it
	state    map[string]any    // block id → action id → value
	errors   map[string]string // what the app said of the last submission, by block id
	seq      int
	past     []viewVersion // what it was before, the newest last
}

// pastViews bounds the versions that a view remembers: what is older is on no screen any more.
const pastViews = 8

// viewVersion is what a view was, until the app put something else in its place.
type viewVersion struct {
	body object
	hash string
	seq  int
}

// as is the view as it was in a version; nil: as it is.
func (v *view) as(was *viewVersion) *view {
	if was == nil {
		return v
	}
	old := *v
	old.body, old.hash, old.seq = was.body, was.hash, was.seq
	old.state = stateOf(old.blocks(), v.state)
	return &old
}

// readView reads and judges a view. Home says which kind is wanted.
func readView(q *request, kind string) (object, error) {
	v, err := q.value("view")
	body, ok := v.(object)
	if err != nil || !ok {
		return nil, invalid("[ERROR] must be a valid view object [json-pointer:/view]")
	}
	if text, _ := json.Marshal(body); len(text) > maxViewSize {
		return nil, fail("view_too_large")
	}
	if err := checkView(body, kind); err != nil {
		return nil, err
	}
	blocks, _ := body["blocks"].([]any)
	giveIDs(blocks)
	return body, nil
}

func (s *Server) newView(user string, body object) *view {
	v := &view{id: s.nextID("V0"), user: user, body: body}
	v.root = v.id
	s.rehash(v)
	v.state = stateOf(v.blocks(), nil)
	return v
}

func (s *Server) rehash(v *view) {
	text, _ := json.Marshal(v.body)
	sum := md5.Sum(text) // a fingerprint, as Slack's is; nothing is secured by it
	v.hash = fmt.Sprintf("%d.%s", time.Now().Unix(), hex.EncodeToString(sum[:4])) + s.nextID("")
}

func (v *view) blocks() []any {
	blocks, _ := v.body["blocks"].([]any)
	return blocks
}

func (v *view) word(key string) string {
	text, _ := v.body[key].(string)
	return text
}

// viewJSON is a view as answers and payloads show it.
func (s *Server) viewJSON(v *view) object {
	o := object{
		"id": v.id, "team_id": s.ws.ID, "app_id": s.ws.AppID, "app_installed_team_id": s.ws.ID, "bot_id": s.ws.BotID,
		"title": nil, "close": nil, "submit": nil, "blocks": []any{}, "private_metadata": "", "callback_id": "", "external_id": "",
		"clear_on_close": false, "notify_on_close": false, "submit_disabled": false,
	}
	maps.Copy(o, v.body)
	o["state"] = object{"values": values(v.state)}
	o["hash"] = v.hash
	o["root_view_id"] = v.root
	o["previous_view_id"] = nil
	if v.previous != "" {
		o["previous_view_id"] = v.previous
	}
	return o
}

// values is a copy of what was entered so far: an answer is written without the lock,
// while the person goes on filling in the view.
func values(state map[string]any) object {
	copied := object{}
	for block, actions := range state {
		entered, _ := actions.(object)
		copied[block] = maps.Clone(entered)
	}
	return copied
}

func (s *Server) showView(v *view, kind string) {
	blocks, _ := json.Marshal(v.blocks())
	v.seq = s.record(Event{Kind: kind, To: s.ws.nameOf(v.user), By: "bot", TS: v.id, Text: s.renderView(v), Blocks: blocks})
}

// external refuses an external_id that another view has.
func (s *Server) external(body object, self *view) error {
	id, _ := body["external_id"].(string)
	if id == "" {
		return nil
	}
	if v := s.findView("", id); v != nil && v != self {
		return fail("duplicate_external_id")
	}
	return nil
}

func (s *Server) viewsOpen(q *request) (object, error) {
	body, err := readView(q, "modal")
	if err != nil {
		return nil, err
	}
	if err := s.external(body, nil); err != nil {
		return nil, err
	}
	t, err := s.pull(q.text("trigger_id"))
	if err != nil {
		return nil, err
	}
	v := s.newView(t.user, body)
	s.stacks[t.user] = []*view{v}
	s.showView(v, "view")
	return object{"view": s.viewJSON(v)}, nil
}

func (s *Server) viewsPush(q *request) (object, error) {
	body, err := readView(q, "modal")
	if err != nil {
		return nil, err
	}
	if err := s.external(body, nil); err != nil {
		return nil, err
	}
	t, err := s.pull(q.text("trigger_id"))
	if err != nil {
		return nil, err
	}
	if t.viewID == "" {
		return nil, fail("not_found") // a push needs a trigger from inside a modal
	}
	v, err := s.pushView(t.user, body)
	if err != nil {
		return nil, err
	}
	return object{"view": s.viewJSON(v)}, nil
}

func (s *Server) pushView(user string, body object) (*view, error) {
	stack := s.stacks[user]
	if len(stack) >= maxViews {
		return nil, fail("push_limit_reached")
	}
	v := s.newView(user, body)
	if len(stack) > 0 {
		v.root, v.previous = stack[0].id, stack[len(stack)-1].id
	}
	s.stacks[user] = append(stack, v)
	s.showView(v, "view")
	return v, nil
}

// findView finds an open modal or a Home tab by its id, or by its external id.
func (s *Server) findView(id, external string) *view {
	match := func(v *view) bool {
		return id != "" && v.id == id || id == "" && external != "" && v.word("external_id") == external
	}
	for _, stack := range s.stacks {
		if i := slices.IndexFunc(stack, match); i >= 0 {
			return stack[i]
		}
	}
	for _, v := range s.homes {
		if match(v) {
			return v
		}
	}
	return nil
}

func (s *Server) viewsUpdate(q *request) (object, error) {
	v := s.findView(q.text("view_id"), q.text("external_id"))
	if v == nil {
		return nil, fail("not_found")
	}
	body, err := readView(q, cmp.Or(v.word("type"), "modal"))
	if err != nil {
		return nil, err
	}
	if err := s.external(body, v); err != nil {
		return nil, err
	}
	if hash := q.text("hash"); hash != "" && hash != v.hash {
		return nil, fail("hash_conflict")
	}
	s.updateView(v, body)
	return object{"view": s.viewJSON(v)}, nil
}

func (s *Server) updateView(v *view, body object) {
	v.past = append(v.past, viewVersion{body: v.body, hash: v.hash, seq: v.seq})
	v.past = v.past[max(0, len(v.past)-pastViews):]
	v.body, v.errors = body, nil
	v.state = stateOf(v.blocks(), v.state)
	s.rehash(v)
	kind := "view"
	if v.word("type") == "home" {
		kind = "home"
	}
	s.showView(v, kind)
}

func (s *Server) viewsPublish(q *request) (object, error) {
	p := s.ws.person(q.text("user_id"))
	if p == nil || p.ID != q.text("user_id") {
		return nil, invalid("[ERROR] invalid `user_id`")
	}
	body, err := readView(q, "home")
	if err != nil {
		return nil, err
	}
	v := s.homes[p.ID]
	if v != nil {
		if hash := q.text("hash"); hash != "" && hash != v.hash {
			return nil, fail("hash_conflict")
		}
		s.updateView(v, body)
	} else {
		v = s.newView(p.ID, body)
		s.homes[p.ID] = v
		s.showView(v, "home")
	}
	return object{"view": s.viewJSON(v)}, nil
}

// top is the modal that a person has before them, or nil.
func (s *Server) top(user string) *view {
	if stack := s.stacks[user]; len(stack) > 0 {
		return stack[len(stack)-1]
	}
	return nil
}

// submitted carries out an app's answer to view_submission.
func (s *Server) submitted(v *view, payload json.RawMessage) {
	var answer struct {
		Action string            `json:"response_action"`
		View   json.RawMessage   `json:"view"`
		Errors map[string]string `json:"errors"`
	}
	if len(payload) > 0 {
		json.Unmarshal(payload, &answer) // an unreadable answer closes the view, as none does
	}
	defer s.stir()
	user := v.user
	said := func(kind, text string) {
		s.record(Event{Kind: kind, To: s.ws.nameOf(user), By: "bot", TS: v.id, Text: text})
	}
	body := func() (object, error) {
		return readView(&request{args: object{"view": string(answer.View)}}, "modal")
	}
	trouble := func() {
		s.record(Event{Kind: "notice", To: s.ws.nameOf(user), By: "slack", TS: v.id, Text: "We had some trouble connecting. Try again?"})
	}
	switch answer.Action {
	case "":
		s.stacks[user] = slices.DeleteFunc(s.stacks[user], func(other *view) bool { return other == v })
	case "clear":
		delete(s.stacks, user)
	case "errors":
		v.errors = answer.Errors
		for _, block := range slices.Sorted(maps.Keys(answer.Errors)) {
			said("errors", s.labelOf(v, block)+": "+answer.Errors[block])
		}
	case "update":
		b, err := body()
		if err != nil {
			trouble()
			return
		}
		s.updateView(v, b)
	case "push":
		b, err := body()
		if err == nil {
			_, err = s.pushView(user, b)
		}
		if err != nil {
			trouble()
		}
	default:
		trouble()
	}
}

// labelOf is the label of an input block, or its id.
func (s *Server) labelOf(v *view, blockID string) string {
	for _, b := range v.blocks() {
		if block, _ := b.(object); block["block_id"] == blockID {
			if label := s.textOf(block["label"]); label != "" {
				return label
			}
		}
	}
	return blockID
}
