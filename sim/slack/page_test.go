package slack_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/zdd/sim/slack"
)

// pageEvent is one server-sent event as a browser reads it.
type pageEvent struct {
	id, kind string
	data     map[string]any
}

// reader reads a stream as a browser does.
type reader struct {
	t      *testing.T
	mu     sync.Mutex
	events []pageEvent
	stop   func()
}

// read opens a stream; lastID is empty on a first visit.
func (b *bubble) read(path, lastID string) *reader {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://slack.test"+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	client := b.net.Client() // a stream outlives the other client's time-out
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
		b.t.Fatalf("%s: got %d %s, want a stream", path, resp.StatusCode, got)
	}
	r := &reader{t: b.t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 8<<20)
		var e pageEvent
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				if err := json.Unmarshal([]byte(value), &e.data); err != nil {
					b.t.Errorf("%s: %v in %s", path, err, value)
				}
			case "":
				if e.kind != "" {
					r.mu.Lock()
					r.events = append(r.events, e)
					r.mu.Unlock()
				}
				e = pageEvent{}
			}
		}
	}()
	r.stop = func() {
		cancel()
		<-done
		resp.Body.Close()
		client.CloseIdleConnections()
	}
	synctest.Wait()
	return r
}

// news are the events since the last look.
func (r *reader) news() []pageEvent {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.events
	r.events = nil
	return all
}

// one is the data of the only event of a kind since the last look, and of which there is one.
func (r *reader) one(kind string) map[string]any {
	r.t.Helper()
	var found []map[string]any
	var kinds []string
	for _, e := range r.news() {
		kinds = append(kinds, e.kind)
		if e.kind == kind {
			found = append(found, e.data)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("events: got %v, want one %s", kinds, kind)
	}
	return found[0]
}

// act does something on a person's page.
func (b *bubble) act(person string, act map[string]any) (int, map[string]any) {
	b.t.Helper()
	body, _ := json.Marshal(act)
	resp, err := b.web.Post("http://slack.test/_control/page/"+person+"/act", "application/json", strings.NewReader(string(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	said := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
	return resp.StatusCode, said
}

// dig follows keys and indices into JSON.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

func TestAPageShowsWhatAPersonSees(t *testing.T) {
	atDesk(t, slack.Options{NoRateLimits: true}, func(d *desk) {
		d.call("chat.postMessage", args{"channel": "C0OPS", "text": "first"})
		d.call("chat.postMessage", args{"channel": "C0BOARD", "text": "secret"})
		robin, gil := d.read("/_control/page/requester", ""), d.read("/_control/page/guest", "")
		defer robin.stop()
		defer gil.stop()
		first := robin.one("snapshot")
		if got := fmt.Sprint(dig(first, "me"), dig(first, "messages", 0, "text"), dig(first, "place", "connected"), dig(first, "views", "home")); got != "U0REQUESTERfirsttrue <nil>" {
			t.Errorf("first look: got %s", got)
		}
		var rooms []string
		guest := gil.one("snapshot")
		list, _ := dig(guest, "place", "channels").([]any)
		for _, c := range list {
			rooms = append(rooms, dig(c, "name").(string))
		}
		if got := strings.Join(rooms, " "); got != "shop" || len(dig(guest, "messages").([]any)) != 0 {
			t.Errorf("a guest's first look: got channels %q and %v, want shop and nothing said", got, dig(guest, "messages"))
		}

		ts := d.call("chat.postMessage", args{"channel": "C0OPS", "text": "look, <@U0APPROVER>"})["ts"].(string)
		d.pass(1e9)
		news := robin.news()
		if len(news) != 2 || news[0].kind != "message" || news[0].data["rings"] != false || news[1].kind != "elsewhere" || dig(news[1].data, "to", 0) != "U0APPROVER" {
			t.Errorf("a message that rings Ada: Robin got %v", news)
		}
		d.call("chat.update", args{"channel": "C0OPS", "ts": ts, "text": "one"})
		d.call("chat.postMessage", args{"channel": "C0OPS", "thread_ts": ts, "text": "reply"})
		var said []string
		for _, e := range robin.news() {
			said = append(said, fmt.Sprintf("%s %v edited=%v replies=%v", e.kind, e.data["text"], e.data["edited"] != nil, e.data["reply_count"]))
		}
		want := "message one edited=true replies=<nil>\nmessage reply edited=false replies=<nil>\nmessage one edited=true replies=1"
		if got := strings.Join(said, "\n"); got != want {
			t.Errorf("an update and a reply:\ngot  %s\nwant %s", got, want)
		}
		d.call("chat.postEphemeral", args{"channel": "C0OPS", "user": "U0APPROVER", "text": "for Ada alone"})
		d.call("chat.delete", args{"channel": "C0OPS", "ts": ts})
		if got := robin.one("gone"); got["ts"] != ts {
			t.Errorf("deleted: got %v, want %s", got, ts)
		}
		d.do("type requester #ops /nothing")
		if got := robin.one("notice"); !strings.Contains(got["text"].(string), "not a valid command") {
			t.Errorf("notice: got %v", got)
		}
		d.do("member remove requester #ops")
		if got := robin.one("place"); strings.Contains(fmt.Sprint(dig(got, "channels")), "map[archived:false id:C0OPS member:true") {
			t.Errorf("after leaving #ops: got %v", dig(got, "channels"))
		}
		for _, e := range gil.news() { // who plays the guest hears that somebody is rung elsewhere, and no more
			if e.kind != "elsewhere" {
				t.Errorf("the guest was told of what happened in #ops: %v", e)
			}
		}
	})
}

func TestAPageComesBack(t *testing.T) {
	atDesk(t, slack.Options{NoRateLimits: true}, func(d *desk) {
		r := d.read("/_control/page/requester", "")
		last := r.news()
		r.stop()
		d.call("chat.postMessage", args{"channel": "C0OPS", "text": "missed"})
		again := d.read("/_control/page/requester", last[0].id)
		defer again.stop()
		if got := again.news(); len(got) == 0 || got[len(got)-2].kind != "message" || got[len(got)-2].data["text"] != "missed" {
			t.Errorf("after a pause: got %v, want what was missed", got)
		}
		for name, id := range map[string]string{"another server": "feedface.1", "the future": strings.Split(last[0].id, ".")[0] + ".999", "rubbish": "x"} {
			other := d.read("/_control/page/requester", id)
			if got := other.news(); len(got) != 1 || got[0].kind != "snapshot" {
				t.Errorf("%s: got %v, want a snapshot", name, got)
			}
			other.stop()
		}
	})
}

func TestPressesOnAPage(t *testing.T) {
	atDesk(t, slack.Options{NoRateLimits: true}, func(d *desk) {
		choice := args{"type": "static_select", "action_id": "size", "options": []any{
			args{"text": args{"type": "plain_text", "text": "Small"}, "value": "s"}, args{"text": args{"type": "plain_text", "text": "Large"}, "value": "l"}}}
		row := actions(button("Approve", "run:0", "approve T-1"), choice, args{"type": "datepicker", "action_id": "day"})
		row["block_id"] = "row"
		ts := d.call("chat.postMessage", args{"channel": "C0OPS", "text": "T-1", "blocks": []any{row}})["ts"].(string)
		press := func(action string, values ...string) (int, map[string]any) {
			return d.bubble.act("requester", args{"act": "press", "channel": "C0OPS", "ts": ts, "block_id": "row", "action_id": action, "values": values})
		}
		for _, tt := range []struct {
			action, value, want string
		}{
			{"run:0", "", `"value":"approve T-1"`},
			{"size", "l", `"selected_option":{"text":{"text":"Large","type":"plain_text"},"value":"l"}`},
			{"day", "2026-11-23", `"selected_date":"2026-11-23"`},
		} {
			if status, said := press(tt.action, tt.value); status != 200 || !strings.Contains(d.raw[len(d.raw)-1], tt.want) {
				t.Errorf("%s: got %d %v and %s, want %s", tt.action, status, said, d.raw[len(d.raw)-1], tt.want)
			}
		}
		before := len(d.acts)
		for name, status := range map[string]int{"size": 400, "no-such": 409} {
			if got, said := press(name, "xxl"); got != status || said["error"] == nil {
				t.Errorf("%s: got %d %v, want %d and why", name, got, said, status)
			}
		}
		if got, _ := d.bubble.act("guest", args{"act": "press", "channel": "C0OPS", "ts": ts, "block_id": "row", "action_id": "run:0"}); got != 409 || len(d.acts) != before {
			t.Errorf("a guest who does not see it: got %d and %d interactions, want 409 and none", got, len(d.acts)-before)
		}
		d.bubble.act("requester", args{"act": "shortcut", "callback": "zdd_check", "channel": "C0OPS", "ts": ts})
		if got := d.lastAct(); got.CallbackID != "zdd_check" || got.Message.Timestamp != ts {
			t.Errorf("shortcut: got %s on %s", got.CallbackID, got.Message.Timestamp)
		}
		if got, said := d.bubble.act("requester", args{"act": "dance"}); got != 400 {
			t.Errorf("an unknown act: got %d %v, want 400", got, said)
		}
	})
}

// A press that crosses an update is what the person pressed, even where the same ids are
// another button's by now.
func TestAPressThatCrossesAnUpdate(t *testing.T) {
	atDesk(t, slack.Options{NoRateLimits: true}, func(d *desk) {
		home := func(block, value string) args {
			row := actions(button("Approve", "run:0", value))
			row["block_id"] = block
			return args{"type": "home", "blocks": []any{row}}
		}
		publish := func(block, value string) (id, hash any) {
			view := d.call("views.publish", args{"user_id": "U0REQUESTER", "view": home(block, value)})["view"]
			return dig(view, "id"), dig(view, "hash")
		}
		post := func(value string) []any { return home("row", value)["blocks"].([]any) }
		id, first := publish("row", "approve T-1")
		_, second := publish("row", "approve T-2")
		publish("other", "approve T-3")
		ts := d.call("chat.postMessage", args{"channel": "C0OPS", "text": "T-1", "blocks": post("approve T-1")})["ts"].(string)
		r := d.read("/_control/page/requester", "")
		seq := dig(r.one("snapshot"), "messages", 0, "seq")
		r.stop()
		d.call("chat.update", args{"channel": "C0OPS", "ts": ts, "text": "T-2", "blocks": post("approve T-2")})

		for _, tt := range []struct {
			name string
			at   args
			want string
		}{
			{"the first page", args{"view": id, "hash": first}, "approve T-1"},
			{"the second page", args{"view": id, "hash": second}, "approve T-2"},
			{"a page that nobody remembers", args{"view": id, "hash": "0.gone"}, "approve T-2"},
			{"the first message", args{"channel": "C0OPS", "ts": ts, "seq": seq}, "approve T-1"},
			{"a message of which no version is said", args{"channel": "C0OPS", "ts": ts}, "approve T-2"},
		} {
			press := args{"act": "press", "block_id": "row", "action_id": "run:0"}
			maps.Copy(press, tt.at)
			status, said := d.bubble.act("requester", press)
			if got := d.lastAct(); status != 200 || got.ActionCallback.BlockActions[0].Value != tt.want {
				t.Errorf("%s: got %d %v and %s, want %s", tt.name, status, said, got.ActionCallback.BlockActions[0].Value, tt.want)
			}
			if tt.at["hash"] == first && d.lastAct().View.Hash != first {
				t.Errorf("%s: the app is shown the view %s, want the one that was pressed", tt.name, d.lastAct().View.Hash)
			}
		}
		for i := range 8 {
			publish("other", fmt.Sprint(i))
		}
		if status, said := d.bubble.act("requester", args{"act": "press", "view": id, "hash": first, "block_id": "row", "action_id": "run:0"}); status != 409 {
			t.Errorf("a page of long ago: got %d %v, want 409", status, said)
		}
	})
}

func TestAModalOnAPage(t *testing.T) {
	atDesk(t, slack.Options{NoRateLimits: true}, func(d *desk) {
		r := d.read("/_control/page/requester", "")
		defer r.stop()
		d.bubble.act("requester", args{"act": "type", "channel": "C0OPS", "text": "/zdd"})
		view := modal("Edit")
		view["blocks"] = append(view["blocks"].([]any), args{"type": "input", "block_id": "app", "label": args{"type": "plain_text", "text": "App"},
			"element": args{"type": "external_select", "action_id": "name", "min_query_length": 0}})
		d.call("views.open", args{"trigger_id": d.commands[0].TriggerID, "view": view})
		opened := r.one("views")
		id, _ := dig(opened, "modals", 0, "id").(string)
		if id == "" || dig(opened, "modals", 0, "private_metadata") != nil {
			t.Fatalf("opened: got %v", opened)
		}

		offer := func(names ...string) {
			var options []any
			for _, n := range names {
				options = append(options, args{"text": args{"type": "plain_text", "text": n}, "value": n})
			}
			d.answer = args{"options": options}
		}
		search := args{"act": "suggest", "view": id, "block_id": "app", "action_id": "name", "text": "sh", "state": args{"count": args{"web": []string{"3"}}}}
		offer("shop", "shipping")
		status, said := d.bubble.act("requester", search)
		if status != 200 || dig(said, "options", 1, "value") != "shipping" {
			t.Errorf("suggest: got %d %v", status, said)
		}
		if raw := d.raw[len(d.raw)-1]; !strings.Contains(raw, `"type":"block_suggestion"`) || !strings.Contains(raw, `"value":"sh"`) || !strings.Contains(raw, `"value":"3"`) {
			t.Errorf("block_suggestion: got %s, want what was typed here and in the other field", raw)
		}
		offer(strings.Repeat("x", 76))
		if status, said := d.bubble.act("requester", search); status != 502 {
			t.Errorf("an option that is too long: got %d %v, want 502", status, said)
		}

		submit := args{"act": "submit", "view": id, "state": args{"count": args{"web": []string{"900"}}, "app": args{"name": []string{"shop"}}}}
		d.answer = args{"response_action": "errors", "errors": args{"count": "too many"}}
		d.bubble.act("requester", submit)
		news := r.news()
		if got := dig(news[len(news)-1].data, "modals", 0, "errors", "count"); got != "too many" {
			t.Errorf("errors: got %v in %v, want too many", got, news)
		}
		if got := d.lastAct().View.State.Values; got["app"]["name"].SelectedOption.Value != "shop" || got["count"]["web"].Value != "900" {
			t.Errorf("submitted: got %v", got)
		}
		d.bubble.act("requester", submit) // an empty acknowledgement closes it
		if got := r.news(); len(dig(got[len(got)-1].data, "modals").([]any)) != 0 {
			t.Errorf("after submitting: got %v, want no modal", got[len(got)-1].data)
		}
		if status, _ := d.bubble.act("requester", submit); status != 409 {
			t.Errorf("submitting again: got %d, want 409", status)
		}
	})
}

func TestASearchThatNobodyAnswers(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) { // no app is connected
		row := actions(args{"type": "external_select", "action_id": "name"})
		row["block_id"] = "row"
		ts := b.call("chat.postMessage", args{"channel": "C0OPS", "text": "which?", "blocks": []any{row}})["ts"].(string)
		search := args{"act": "suggest", "channel": "C0OPS", "ts": ts, "block_id": "row", "action_id": "name"}
		if status, said := b.act("requester", search); status != 502 || !strings.Contains(said["error"].(string), "dispatch_failed") {
			t.Errorf("with no app there: got %d %v, want 502", status, said)
		}
		defer b.connect(nil)() // it hears, and says nothing
		if status, said := b.act("requester", search); status != 502 || !strings.Contains(said["error"].(string), "operation_timeout") {
			t.Errorf("with an app that says nothing: got %d %v, want 502", status, said)
		}
	})
}

func TestTheWire(t *testing.T) {
	atDesk(t, slack.Options{NoRateLimits: true}, func(d *desk) {
		d.call("auth.test", args{})
		r := d.read("/_control/wire", "")
		d.do("type requester #ops /zdd x")
		d.call("chat.postMessage", args{"channel": "C0OPS", "text": "hello", "token": "xoxb-given"})
		var said []string
		var last string
		for _, e := range r.news() {
			said = append(said, fmt.Sprintf("%v %v", e.data["kind"], e.data["name"]))
			last = e.id
			if text, _ := json.Marshal(e.data); strings.Contains(string(text), "xoxb-") {
				t.Errorf("a token is on the wire: %s", text)
			}
			if e.data["kind"] == "call" && dig(e.data, "answer", "ok") != true {
				t.Errorf("call: got %v, want its answer", e.data)
			}
		}
		if got, want := strings.Join(said, ", "), "envelope slash_commands, ack slash_commands, call chat.postMessage"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		r.stop()
		again := d.read("/_control/wire", last)
		defer again.stop()
		if got := again.news(); len(got) != 0 {
			t.Errorf("with nothing new: got %v", got)
		}
		both := d.read("/_control/page/requester?wire", "")
		defer both.stop()
		first := both.news()
		d.call("auth.test", args{})
		if next := both.news(); len(first) != 4 || first[0].kind != "snapshot" || len(next) != 1 || next[0].kind != "note" || next[0].data["name"] != "auth.test" {
			t.Errorf("a page with the wire: got %v and then %v", first, next)
		}
	})
}

func TestPagesAreForThisMachine(t *testing.T) {
	s := slack.New(slack.Options{})
	defer s.Close()
	serve := func(r *http.Request) (int, string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, path := range []string{"GET /_control/page/requester", "POST /_control/page/requester/act", "GET /_control/wire"} {
		method, path, _ := strings.Cut(path, " ")
		for name, change := range map[string]func(*http.Request){
			"another machine": func(r *http.Request) { r.RemoteAddr = "203.0.113.9:40000" },
			"another site":    func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
		} {
			r := newRequest(t, method, path)
			change(r)
			if status, body := serve(r); status != http.StatusForbidden {
				t.Errorf("%s %s from %s: got %d %s, want 403", method, path, name, status, body)
			}
		}
	}
	if status, _ := serve(newRequest(t, http.MethodGet, "/_control/page/nobody")); status != http.StatusNotFound {
		t.Errorf("nobody's page: got %d, want 404", status)
	}
}

func newRequest(t *testing.T, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://slack.test"+path, io.NopCloser(strings.NewReader("{}")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:40000"
	return r
}

func TestSearchingByScript(t *testing.T) {
	atDesk(t, slack.Options{NoRateLimits: true}, func(d *desk) {
		d.bubble.act("requester", args{"act": "type", "channel": "C0OPS", "text": "/zdd"})
		view := modal("Edit")
		plain := func(text string) args { return args{"type": "plain_text", "text": text} }
		view["blocks"] = append(view["blocks"].([]any),
			args{"type": "input", "block_id": "app", "dispatch_action": true, "label": plain("App"), "element": args{"type": "external_select", "action_id": "name", "min_query_length": 0}},
			args{"type": "input", "block_id": "day", "label": plain("Until"), "element": args{"type": "datepicker", "action_id": "date"}})
		d.call("views.open", args{"trigger_id": d.commands[0].TriggerID, "view": view})
		last := func() slack.Event { events := d.sim.Events(); return events[len(events)-1] }

		d.answer = args{"option_groups": []any{args{"label": plain("Apps"), "options": []any{args{"text": plain("shop"), "value": "1", "description": plain("acme")}}}}}
		d.do("search requester sh")
		if got, want := last().Text, "Apps:\n  shop  acme"; last().Kind != "options" || got != want {
			t.Errorf("offered: got %s %q, want %q", last().Kind, got, want)
		}
		before := len(d.acts)
		d.answer = nil
		d.do("choose requester 2000-01-31") // an input that tells nothing
		d.do("choose requester shop")
		if got := d.lastAct(); len(d.acts) != before+1 || got.ActionCallback.BlockActions[0].SelectedOption.Value != "1" || got.View.State.Values["day"]["date"].SelectedDate != "2000-01-31" {
			t.Errorf("chosen: got %d acts, the last %+v", len(d.acts)-before, got)
		}
		d.answer = args{"options": []any{}}
		d.do("search requester app=zzz")
		if got := last().Text; got != "No result" {
			t.Errorf("none: got %q", got)
		}
		d.answer = nil
		d.do("submit requester app=shop web=2 day=2000-02-01")
		if got := d.lastAct().View.State.Values; got["app"]["name"].SelectedOption.Value != "1" || got["day"]["date"].SelectedDate != "2000-02-01" {
			t.Errorf("submitted: got %v", got)
		}
	})
}
