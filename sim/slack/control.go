package slack

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// controlUsage documents POST /_control/do: one line of plain text, answered in plain
// text; 400 and the reason when the line is wrong.
func controlUsage() string {
	var kinds strings.Builder
	for _, k := range faultKinds() {
		fmt.Fprintf(&kinds, "      %-16s %s\n", k[0], k[1])
	}
	return `people
  type PERSON [here|#CHANNEL|dm|thread TS|thread last] TEXT   /zdd … is a slash command, @zdd … a mention
  click PERSON LABEL [on TEXT] [stale|dismiss]       the newest button so called that PERSON sees; TEXT may be a message's ts
  choose PERSON OPTION [on TEXT]                     the same for menus; a date, such as 2000-01-31, for a date picker
  search PERSON [FIELD=]TEXT                         what the app offers in the newest search field; FIELD as in submit
  submit PERSON [KEY=VALUE | KEY="A VALUE"]…         the modal before PERSON; KEY is an action id, block id or label
  close PERSON [all]
  home PERSON                                        opens the app's Home tab
  shortcut PERSON CALLBACK [on TEXT]
links
  disconnect REASON|drop|half-open [one]             warning, refresh_requested, link_disabled, too_many_websockets; all links unless one
  flap EVERY for DURATION                            drops every link each EVERY (flap 1s for 10m)
  greet drop|no-hello|slam|REASON|ok [next N]        what a new link meets
  refuse ERROR [next N] | refuse off                 what apps.connections.open answers
  pings on|off
  deliver round-robin|random|duplicate
  event-repeat N                                     the next event comes N times
  send-raw TEXT                                      any frame, to every link
tokens and methods
  revoke-token [ERROR] | restore-token               every method answers token_revoked (or ERROR) and the links drop
  scope add|remove SCOPE
  method on|off METHOD
  block on|off TYPE                                  whether messages may hold blocks of that type, such as table
  fault [next N] METHOD KIND                         METHOD may be *, response_url or upload; KIND is one of
` + kinds.String() + `  faults clear
  response-type on|off                               whether response URLs answer with a Content-Type
  lose-ephemeral N                                   the next N ephemeral messages are never seen
workspace
  channel archive|unarchive|delete|kick|join #CHANNEL
  member add|remove PERSON #CHANNEL
  user deactivate|reactivate|guest|full PERSON
  group set ID USER… | group disable|enable ID
  plan free|paid                                     free has no user groups
  help
`
}

// machineOnly guards the controls, which take no token: the peer must be this machine
// (or an in-memory connection, which has no address), and a page in its browser must come
// from it too, or any web page could type into the demo.
func machineOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		origin, oerr := url.Parse(r.Header.Get("Origin"))
		local := func(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }
		if err == nil && !local(host) || oerr != nil || r.Header.Get("Origin") != "" && !local(origin.Hostname()) {
			http.Error(w, "/_control answers this machine only", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

func (s *Server) serveDo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFrame))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	line := strings.TrimSpace(string(body))
	said, err := s.do(line, hostURL(r))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "%s: %v\n", line, err)
		return
	}
	fmt.Fprintln(w, said)
}

// errUsage asks for the usage text.
type errUsage struct{ why string }

func (e errUsage) Error() string { return e.why + "\n\n" + controlUsage() }

// do carries out one control line. Base is by what URL the bot is told to reach us, until it
// has shown by which it does.
func (s *Server) do(line, base string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.stir() // whatever it changes, those who watch look again
	s.base = or(s.base, base)
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	words := strings.Fields(rest)
	switch verb {
	case "type", "click", "choose", "search", "submit", "close", "home", "shortcut":
		name, text, _ := strings.Cut(rest, " ")
		p := s.ws.person(name)
		if p == nil {
			var names []string
			for _, known := range s.ws.People {
				names = append(names, known.Name)
			}
			return "", fmt.Errorf("nobody is called %q; there is %s", name, strings.Join(names, " "))
		}
		return s.doPerson(verb, p, strings.TrimSpace(text))
	case "disconnect", "flap", "greet", "refuse", "pings", "deliver", "event-repeat", "send-raw":
		return s.doLinks(verb, rest, words)
	case "revoke-token", "restore-token", "scope", "method", "block", "fault", "faults", "response-type", "lose-ephemeral":
		return s.doMethods(verb, words)
	case "channel", "member", "user", "group", "plan":
		return s.doWorkspace(verb, words)
	case "help":
		return controlUsage(), nil
	}
	return "", errUsage{"unknown command"}
}

func (s *Server) doPerson(verb string, p *Person, text string) (string, error) {
	switch verb {
	case "type":
		at, text, err := s.placeOf(p, text)
		if err != nil {
			return "", err
		}
		if text == "" {
			return "", errUsage{"type what?"}
		}
		return s.typeText(p, at, text)
	case "click", "choose":
		w := wish{label: text}
		for _, mode := range []string{"stale", "dismiss"} {
			if cut, found := strings.CutSuffix(w.label, " "+mode); found {
				w.label, w.mode = cut, mode
			}
		}
		if i := strings.LastIndex(w.label, " on "); i >= 0 {
			w.label, w.on = w.label[:i], strings.TrimSpace(w.label[i+4:])
		}
		w.label = strings.Trim(strings.TrimSpace(w.label), `"[]`)
		w.on = strings.Trim(w.on, `"`)
		if w.label == "" {
			return "", errUsage{verb + " what?"}
		}
		if verb == "choose" {
			return s.choose(p, w)
		}
		return s.click(p, w)
	case "search":
		return s.search(p, text)
	case "submit":
		values, err := parseValues(text)
		if err != nil {
			return "", err
		}
		return s.submit(p, values)
	case "close":
		return s.closeView(p, text)
	case "shortcut":
		callback, on, _ := strings.Cut(text, " on ")
		return s.shortcut(p, callback, on)
	}
	return s.openHome(p), nil
}

// placeOf reads where a person types off the front of a line: without a place, it is the
// first channel of which they are a member.
func (s *Server) placeOf(p *Person, text string) (place, string, error) {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case word == "dm":
		return place{channel: dmID(p.ID)}, rest, nil
	case word == "thread":
		ts, rest, _ := strings.Cut(rest, " ")
		for _, m := range s.visible(p) {
			if m.ephemeral == "" && (ts == "last" || m.ts == ts) {
				root := m.ts
				if m.thread != "" {
					root = m.thread
				}
				return place{channel: m.channel, thread: root}, strings.TrimSpace(rest), nil
			}
		}
		return place{}, "", fmt.Errorf("%s sees no message %s to reply to", p.Name, ts)
	case strings.HasPrefix(word, "#"):
		c := s.ws.channel(word)
		if c == nil {
			return place{}, "", fmt.Errorf("there is no channel %s", word)
		}
		return place{channel: c.ID}, rest, nil
	case word == "here":
		text = rest
	}
	for _, c := range s.ws.Channels {
		if c.has(p.ID) && !c.Archived {
			return place{channel: c.ID}, text, nil
		}
	}
	return place{}, "", fmt.Errorf("%s is in no channel; say #channel or dm", p.Name)
}

// parseValues reads key=value pairs; a value with spaces stands in double quotes.
func parseValues(text string) ([][2]string, error) {
	var pairs [][2]string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("%q: want KEY=VALUE", text)
		}
		value := rest
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("%s: unbalanced quotes", key)
			}
			value, _ = strconv.Unquote(quoted)
			text = rest[len(quoted):]
		} else {
			value, text, _ = strings.Cut(rest, " ")
		}
		pairs = append(pairs, [2]string{strings.TrimSpace(key), value})
	}
	return pairs, nil
}

// nextN reads an optional "next N" off the end; without it, -1 stands for ever.
func nextN(words []string) (int, []string, error) {
	n := len(words)
	if n < 2 || words[n-2] != "next" {
		return -1, words, nil
	}
	count, err := strconv.Atoi(words[n-1])
	if err != nil || count < 1 {
		return 0, nil, errUsage{"next how many?"}
	}
	return count, words[:n-2], nil
}

func (s *Server) doLinks(verb, rest string, words []string) (string, error) {
	left, words, err := nextN(words)
	if err != nil {
		return "", err
	}
	arg := ""
	if len(words) > 0 {
		arg = words[0]
	}
	switch verb {
	case "disconnect":
		if !slices.Contains([]string{"drop", "half-open", "warning", "refresh_requested", "link_disabled", "too_many_websockets"}, arg) {
			return "", errUsage{"disconnect how?"}
		}
		links := slices.Clone(s.live())
		if len(words) > 1 && words[1] == "one" && len(links) > 1 {
			links = links[:1]
		}
		for _, l := range links {
			switch arg {
			case "drop":
				l.send(frame{last: true})
			case "half-open":
				l.mute = true
			default:
				s.disconnect(l, arg)
			}
		}
		return fmt.Sprintf("%s: %d links", arg, len(links)), nil
	case "flap":
		if len(words) != 3 || words[1] != "for" {
			return "", errUsage{"flap how?"}
		}
		every, err1 := time.ParseDuration(words[0])
		span, err2 := time.ParseDuration(words[2])
		if err1 != nil || err2 != nil || every <= 0 {
			return "", errUsage{"want durations such as 1s and 10m"}
		}
		s.flap(every, time.Now().Add(span))
		return "flapping", nil
	case "greet":
		if !slices.Contains([]string{"ok", "drop", "no-hello", "slam", "warning", "refresh_requested", "link_disabled", "too_many_websockets"}, arg) {
			return "", errUsage{"greet how?"}
		}
		s.greet = &greeting{what: arg, left: left}
		if arg == "ok" {
			s.greet = nil
		}
	case "refuse":
		if arg == "" {
			return "", errUsage{"refuse with what?"}
		}
		s.refuse = &refusal{code: arg, left: left}
		if arg == "off" {
			s.refuse = nil
		}
	case "pings":
		if arg != "on" && arg != "off" {
			return "", errUsage{"pings on or off?"}
		}
		s.pings = arg == "on"
	case "deliver":
		pattern := Delivery(arg)
		if pattern != RoundRobin && pattern != Random && pattern != Duplicate {
			return "", errUsage{"deliver how?"}
		}
		s.deliver = pattern
	case "event-repeat":
		n, err := strconv.Atoi(arg)
		if err != nil || n < 1 {
			return "", errUsage{"repeat how often?"}
		}
		s.eventRepeat = n
	case "send-raw":
		s.sendRaw(rest)
	}
	return "ok", nil
}

// flap drops every link at a steady beat until a moment.
func (s *Server) flap(every time.Duration, until time.Time) {
	s.after(every, func() {
		for _, l := range s.live() {
			l.send(frame{last: true})
		}
		if time.Now().Add(every).Before(until) {
			s.flap(every, until)
		}
	})
}

func (s *Server) doMethods(verb string, words []string) (string, error) {
	switch {
	case verb == "revoke-token":
		s.tokenState = "token_revoked"
		if len(words) > 0 {
			s.tokenState = words[0]
		}
		for _, l := range s.live() {
			s.disconnect(l, "link_disabled")
		}
	case verb == "restore-token":
		s.tokenState = ""
	case verb == "scope" && len(words) == 2 && words[0] == "add":
		if !s.granted(words[1]) {
			s.scopes = append(s.scopes, words[1])
		}
	case verb == "scope" && len(words) == 2 && words[0] == "remove":
		s.scopes = slices.DeleteFunc(slices.Clone(s.scopes), func(have string) bool { return have == words[1] })
	case verb == "method" && len(words) == 2 && (words[0] == "on" || words[0] == "off"):
		if _, known := methods()[words[1]]; !known {
			return "", fmt.Errorf("no such method: %s", words[1])
		}
		s.methodsOff[words[1]] = words[0] == "off"
	case verb == "block" && len(words) == 2 && (words[0] == "on" || words[0] == "off"):
		if _, known := blockTypes()[words[1]]; !known {
			return "", fmt.Errorf("no such type of block: %s", words[1])
		}
		s.blocksOff[words[1]] = words[0] == "off"
	case verb == "faults" && slices.Equal(words, []string{"clear"}):
		s.faults = nil
	case verb == "fault":
		f, err := parseFault(words)
		if err != nil {
			return "", errUsage{err.Error()}
		}
		s.faults = append(s.faults, f)
	case verb == "response-type" && len(words) == 1 && (words[0] == "on" || words[0] == "off"):
		s.noType = words[0] == "off"
	case verb == "lose-ephemeral" && len(words) == 1:
		n, err := strconv.Atoi(words[0])
		if err != nil || n < 0 {
			return "", errUsage{"lose how many?"}
		}
		s.loseNext = n
	default:
		return "", errUsage{verb + " how?"}
	}
	return "ok", nil
}

func (s *Server) doWorkspace(verb string, words []string) (string, error) {
	if len(words) == 0 {
		return "", errUsage{verb + " what?"}
	}
	if verb == "plan" {
		s.ws.Plan = words[0]
		return "ok", nil
	}
	if len(words) < 2 {
		return "", errUsage{verb + " " + words[0] + " what?"}
	}
	what, name := words[0], words[1]
	switch verb {
	case "channel":
		return "ok", s.doChannel(what, name)
	case "member":
		p := s.ws.person(name)
		if len(words) < 3 || p == nil || s.ws.channel(words[2]) == nil {
			return "", errUsage{"whom, and where?"}
		}
		c := s.ws.channel(words[2])
		c.Members = slices.DeleteFunc(c.Members, func(id string) bool { return id == p.ID })
		if what == "add" {
			c.Members = append(c.Members, p.ID)
		}
	case "user":
		p := s.ws.person(name)
		if p == nil {
			return "", fmt.Errorf("nobody is called %q", name)
		}
		switch what {
		case "deactivate", "reactivate":
			p.Deleted = what == "deactivate"
		case "guest":
			p.Guest = SingleChannel
		case "full":
			p.Guest = FullMember
		default:
			return "", errUsage{"user how?"}
		}
	case "group":
		g := s.ws.group(name)
		if g == nil {
			return "", fmt.Errorf("there is no group %q", name)
		}
		switch what {
		case "enable", "disable":
			g.Disabled = what == "disable"
		case "set":
			var members []string
			for _, who := range words[2:] {
				p := s.ws.person(who)
				if p == nil {
					return "", fmt.Errorf("nobody is called %q", who)
				}
				members = append(members, p.ID)
			}
			g.Members = members
		default:
			return "", errUsage{"group how?"}
		}
	}
	return "ok", nil
}

func (s *Server) doChannel(what, name string) error {
	c := s.ws.channel(name)
	if c == nil {
		return fmt.Errorf("there is no channel %s", name)
	}
	switch what {
	case "archive", "unarchive":
		c.Archived = what == "archive"
	case "delete":
		s.ws.Channels = slices.DeleteFunc(s.ws.Channels, func(other Channel) bool { return other.ID == c.ID })
	case "kick", "join":
		c.Members = slices.DeleteFunc(c.Members, func(id string) bool { return id == s.ws.BotUser })
		if what == "join" {
			c.Members = append(c.Members, s.ws.BotUser)
		}
	default:
		return errUsage{"channel how?"}
	}
	return nil
}

// serveLog answers the events after ?since=, and with ?wait=DURATION waits for one.
func (s *Server) serveLog(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.Atoi(or(r.URL.Query().Get("since"), "0"))
	wait, werr := time.ParseDuration(or(r.URL.Query().Get("wait"), "0s"))
	if err != nil || werr != nil || since < 0 {
		http.Error(w, "want ?since=NUMBER&wait=DURATION", http.StatusBadRequest)
		return
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		events := slices.Clone(s.events[min(since, len(s.events)):])
		wake := s.wake
		s.mu.Unlock()
		if len(events) > 0 || wait <= 0 {
			writeJSON(w, http.StatusOK, asList(events))
			return
		}
		select {
		case <-wake:
		case <-deadline.C:
			wait = 0
		case <-r.Context().Done():
			return
		case <-s.done:
			wait = 0
		}
	}
}

// serveCalls answers the log of requests after ?since=, of one ?method= if given; with
// ?count= it answers how many requests each method had.
func (s *Server) serveCalls(w http.ResponseWriter, r *http.Request) {
	since, _ := strconv.Atoi(r.URL.Query().Get("since"))
	only := r.URL.Query().Get("method")
	calls, counts := []Call{}, map[string]int{}
	for _, c := range s.Calls() {
		if c.Seq > since && (only == "" || only == c.Method) {
			calls = append(calls, c)
			counts[c.Method]++
		}
	}
	if r.URL.Query().Has("count") {
		writeJSON(w, http.StatusOK, counts)
		return
	}
	writeJSON(w, http.StatusOK, calls)
}

func (s *Server) serveLinks(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, len(s.live()))
}

// serveSee answers what is on a person's screen, as plain text: what changed last comes last.
func (s *Server) serveSee(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.ws.person(r.PathValue("person"))
	if p == nil {
		http.Error(w, "nobody is called that", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, m := range slices.Backward(s.visible(p)) {
		where := "#" + s.channelName(m.channel)
		switch {
		case m.ephemeral != "":
			where += " only you"
		case strings.HasPrefix(m.channel, "D"):
			where = "dm"
		}
		fmt.Fprintf(w, "%s %s:\n%s\n\n", s.ws.nameOf(m.user), where, s.renderMessage(m))
	}
	if v := s.homes[p.ID]; v != nil {
		fmt.Fprintf(w, "home:\n%s\n\n", s.renderView(v))
	}
	if v := s.top(p.ID); v != nil {
		fmt.Fprintf(w, "modal:\n%s\n\n", s.renderView(v))
	}
}
