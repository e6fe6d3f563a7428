package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// pageMessages bounds the messages of a first look, the newest: more is nothing
	// that a person scrolls through in a demo.
	pageMessages = 500
	// pageNotices bounds the notices of a first look.
	pageNotices = 20
	// pageTold bounds what a person is told of somebody else's message, in characters.
	pageTold = 160
	// streamBeat is how often a quiet stream says that it is alive, so that a browser
	// whose server went away without a word notices.
	streamBeat = 15 * time.Second
)

// Shortcut is one of the app's message shortcuts, as its manifest registers them.
type Shortcut struct {
	Name     string `json:"name"`     // as people see it
	Callback string `json:"callback"` // what the app is told
}

// stir wakes those who wait for something to change. It needs the lock.
func (s *Server) stir() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// stream writes server-sent events (WHATWG HTML, "Server-sent events").
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newStream(w http.ResponseWriter) stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return stream{w: w, rc: http.NewResponseController(w)}
}

// change is one event of a stream; what it says is JSON already, because it is written
// without the lock.
type change struct {
	id, kind string
	data     []byte
}

// send writes changes at once. It is false when the reader has gone.
func (st stream) send(changes ...change) bool {
	for _, c := range changes {
		id := ""
		if c.id != "" {
			id = "id: " + c.id + "\n"
		}
		if _, err := fmt.Fprintf(st.w, "%sevent: %s\ndata: %s\n\n", id, c.kind, c.data); err != nil {
			return false
		}
	}
	return st.rc.Flush() == nil
}

// beat says that the stream is alive.
func (st stream) beat() bool {
	_, err := fmt.Fprint(st.w, ": alive\n\n")
	return err == nil && st.rc.Flush() == nil
}

// follow sends what look returns, again at each stir, until the reader or the server goes.
// Look runs with the lock held.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, look func() []change) {
	st := newStream(w)
	pulse := time.NewTicker(streamBeat)
	defer pulse.Stop()
	for {
		s.mu.Lock()
		changes, wake := look(), s.wake
		s.mu.Unlock()
		if !st.send(changes...) {
			return
		}
		select {
		case <-wake:
		case <-pulse.C:
			if !st.beat() {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		}
	}
}

// servePage streams one person's screen: first all of it, then what changes. A reader that
// comes back with the Last-Event-ID of this server gets only what it missed. With ?wire the
// stream has what passes on the wire too, without an id: a browser opens six connections to
// one host and no more, so a page had better do with one.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	if !s.hold() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	s.mu.Lock()
	p := s.ws.person(r.PathValue("person"))
	s.keepWire = true
	s.mu.Unlock()
	if p == nil || p.Bot {
		http.Error(w, "nobody is called that", http.StatusNotFound)
		return
	}
	sc := &screen{s: s, p: p}
	look := sc.look
	if r.URL.Query().Has("wire") {
		passed := s.passed(0)
		look = func() []change { return append(sc.look(), passed()...) }
	}
	boot, seen, _ := strings.Cut(r.Header.Get("Last-Event-ID"), ".")
	if n, err := strconv.Atoi(seen); err == nil && boot == s.boot {
		sc.since, sc.resumed = n, true
	}
	s.follow(w, r, look)
}

// screen is what one reader of a person's screen has been sent. Its methods need the lock.
type screen struct {
	s       *Server
	p       *Person
	since   int    // the last event that was looked at
	resumed bool   // everything up to since was sent on an earlier stream
	begun   bool   // something was sent on this one
	views   string // as last sent
	place   string // as last sent
}

// look is what has changed since the last look.
func (sc *screen) look() []change {
	s := sc.s
	var out []change
	say := func(kind string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("page %s: %v", kind, err)) // ours, and made of plain JSON
		}
		out = append(out, change{id: s.boot + "." + strconv.Itoa(len(s.events)), kind: kind, data: data})
	}
	views, place := sc.viewsNow(), sc.placeNow()
	switch {
	case !sc.begun && !(sc.resumed && sc.since <= len(s.events)):
		first := sc.snapshot()
		first["views"], first["place"] = json.RawMessage(views), json.RawMessage(place)
		say("snapshot", first)
	default:
		if place != sc.place {
			say("place", json.RawMessage(place))
		}
		sc.news(say)
		if views != sc.views {
			say("views", json.RawMessage(views))
		}
	}
	sc.begun, sc.since, sc.views, sc.place = true, len(s.events), views, place
	return out
}

// news says what happened since the last look; what happened to one message is said once.
func (sc *screen) news(say func(kind string, v any)) {
	s, p := sc.s, sc.p
	told := map[*message]bool{}
	tell := func(m *message) {
		if m == nil || told[m] {
			return
		}
		told[m] = true
		switch {
		case !s.onScreen(p, m):
		case m.deleted:
			say("gone", object{"channel": m.channel, "ts": m.ts})
		default:
			say("message", s.pageMessage(m, p))
		}
	}
	for _, e := range s.events[min(sc.since, len(s.events)):] {
		switch e.Kind {
		case "post", "dm", "ephemeral", "update", "delete", "file":
			m := s.index[e.Channel+"/"+e.TS]
			tell(m)
			if e.ThreadTS != "" {
				tell(s.index[e.Channel+"/"+e.ThreadTS]) // whose count of replies has changed
			}
			if m != nil {
				sc.elsewhere(e, m, say)
			}
		case "notice", "timeout":
			if e.To == p.Name {
				say("notice", pageNotice(e))
			}
		}
	}
}

// elsewhere says that a new message of the bot's rings somebody else.
func (sc *screen) elsewhere(e Event, m *message, say func(kind string, v any)) {
	if e.By != "bot" || e.Kind != "post" && e.Kind != "dm" {
		return
	}
	others := slices.DeleteFunc(sc.s.rung(m), func(id string) bool { return id == sc.p.ID })
	if len(others) == 0 {
		return
	}
	text := []rune(or(e.Notification, e.Text))
	if len(text) > pageTold {
		text = append(text[:pageTold-1], '…')
	}
	say("elsewhere", object{"to": others, "channel": e.Channel, "channel_name": e.ChannelName, "ts": e.TS, "text": string(text)})
}

func pageNotice(e Event) object { return object{"seq": e.Seq, "kind": e.Kind, "text": e.Text} }

// snapshot is all that a person sees, but for views and place.
func (sc *screen) snapshot() object {
	s, p := sc.s, sc.p
	messages := []object{}
	for _, m := range s.messages {
		if !m.deleted && s.onScreen(p, m) {
			messages = append(messages, s.pageMessage(m, p))
		}
	}
	notices := []object{}
	for _, e := range s.events {
		if (e.Kind == "notice" || e.Kind == "timeout") && e.To == p.Name {
			notices = append(notices, pageNotice(e))
		}
	}
	return object{
		"boot": s.boot, "me": p.ID,
		"messages": messages[max(0, len(messages)-pageMessages):],
		"notices":  notices[max(0, len(notices)-pageNotices):],
	}
}

// onScreen tells whether a person sees a message, or saw it before it was deleted.
func (s *Server) onScreen(p *Person, m *message) bool {
	if m.ephemeral != "" {
		return m.ephemeral == p.ID
	}
	return s.canSee(p, m.channel)
}

// pageMessage is a message as the API shows it, with what only a screen knows.
func (s *Server) pageMessage(m *message, p *Person) object {
	o := s.messageJSON(m)
	o["channel"] = m.channel
	o["seq"] = m.seq
	o["ephemeral"] = m.ephemeral != ""
	o["rings"] = slices.Contains(s.rung(m), p.ID)
	return o
}

// rung are the ids of the people whom a message rings: those it names, one by one, by group
// or by channel, and whoever it is sent to directly; never its author.
func (s *Server) rung(m *message) []string {
	var ids []string
	if p := s.ws.dmPerson(m.channel); p != nil {
		ids = append(ids, p.ID)
	}
	for _, name := range s.ringsOf(m) {
		name = strings.TrimPrefix(name, "@")
		if p := s.ws.person(name); p != nil {
			ids = append(ids, p.ID)
		} else if g := s.ws.group(name); g != nil {
			ids = append(ids, g.Members...)
		} else if c := s.ws.channel(m.channel); c != nil {
			ids = append(ids, c.Members...)
		}
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		p := s.ws.person(id)
		return id == m.user || p == nil || p.Bot || m.ephemeral != "" && m.ephemeral != id || !s.canSee(p, m.channel)
	})
	slices.Sort(ids)
	return asList(slices.Compact(ids))
}

// viewsNow is the person's Home tab and open modals, the top one last, as JSON.
func (sc *screen) viewsNow() string {
	s := sc.s
	out := object{"home": nil, "modals": []object{}}
	if v := s.homes[sc.p.ID]; v != nil {
		out["home"] = s.viewJSON(v)
	}
	modals := []object{}
	for _, v := range s.stacks[sc.p.ID] {
		o := s.viewJSON(v)
		delete(o, "private_metadata") // the app's own notes, which no screen shows
		if len(v.errors) > 0 {
			o["errors"] = v.errors
		}
		modals = append(modals, o)
	}
	out["modals"] = modals
	text, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Sprintf("views: %v", err)) // they came as JSON
	}
	return string(text)
}

// placeNow is who and what there is around the person, as JSON.
func (sc *screen) placeNow() string {
	s, p := sc.s, sc.p
	people, groups, channels := []object{}, []object{}, []object{}
	for i := range s.ws.People {
		q := &s.ws.People[i]
		people = append(people, object{
			"id": q.ID, "name": q.Name, "real_name": q.RealName, "tz": location(q).String(), "guest": q.Guest,
			"bot": q.Bot, "deleted": q.Deleted, "stranger": s.ws.teamOf(q) != s.ws.ID,
		})
	}
	for _, g := range s.ws.Groups {
		groups = append(groups, object{"id": g.ID, "handle": g.Handle, "name": g.Name, "mine": slices.Contains(g.Members, p.ID)})
	}
	for i := range s.ws.Channels {
		c := &s.ws.Channels[i]
		if !s.canSee(p, c.ID) {
			continue
		}
		channels = append(channels, object{"id": c.ID, "name": c.Name, "private": c.Private, "archived": c.Archived, "shared": c.Shared, "member": c.has(p.ID)})
	}
	shortcuts := asList(s.opts.Shortcuts)
	text, err := json.Marshal(object{
		"workspace": s.ws.Name, "people": people, "groups": groups, "channels": channels,
		"bot": s.ws.BotUser, "dm": dmID(p.ID), "connected": len(s.live()) > 0,
		"commands": s.opts.Commands, "shortcuts": shortcuts, "home": slices.Contains(s.opts.Events, "app_home_opened"),
	})
	if err != nil {
		panic(fmt.Sprintf("place: %v", err)) // made of strings
	}
	return string(text)
}
