package heroku

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// control answers /_control. It takes no token and nothing from the bucket, so
// it answers the machine itself only: a peer with an address must be on
// loopback, and a browser's page must come from there.
func (s *Server) control(rw http.ResponseWriter, r *http.Request, body string) {
	if !loopback(r.RemoteAddr) || !loopbackOrigin(r.Header.Get("Origin")) {
		http.Error(rw, "/_control answers this machine only", http.StatusForbidden)
		return
	}
	say := func(text string, err error) {
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(rw, strings.TrimRight(text, "\n")+"\n") // a client that left misses it
	}
	what := strings.TrimPrefix(r.URL.Path, "/_control/")
	app, oneApp := strings.CutPrefix(what, "app/")
	routed, ofRouter := strings.CutPrefix(what, "routed/")
	switch {
	case r.Method == http.MethodPost && what == "do":
		say(s.Do(body))
	case r.Method == http.MethodGet && oneApp:
		say(s.Summary(app))
	case r.Method == http.MethodGet && ofRouter:
		s.sayJSON(rw, s.Routed(routed))
	case r.Method == http.MethodGet && what == "calls":
		s.sayJSON(rw, map[string]any{"counts": s.CallCounts(), "calls": s.Calls()})
	case r.Method == http.MethodGet && what == "state":
		s.sayJSON(rw, s.state())
	case r.Method == http.MethodGet && what == "live":
		look := s.look
		if r.URL.Query().Has("wire") {
			look = func(seen *watcher) []byte { return append(s.look(seen), s.lookAtCalls(seen)...) }
		}
		s.serveLive(rw, r, look)
	case r.Method == http.MethodGet && what == "wire":
		s.serveLive(rw, r, s.lookAtCalls)
	default:
		http.Error(rw, "want POST /_control/do, or GET /_control/app/NAME, /_control/routed/NAME, /_control/calls, /_control/state, /_control/live or /_control/wire", http.StatusNotFound)
	}
}

func (s *Server) sayJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(rw)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		s.log.Debug("control answer not sent", "err", err)
	}
}

// loopback says whether a peer is this machine; one without an address (an
// in-memory connection) is.
func loopback(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func loopbackOrigin(origin string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

// command is one word of the control language.
type command struct {
	usage, summary string
	run            func(s *Server, now time.Time, args []string) (string, error)
}

func (c command) name() string { name, _, _ := strings.Cut(c.usage, " "); return name }

func commands() []command {
	return []command{
		{"deploy APP [by WHO] [DESC…]", "release new code", doDeploy},
		{"rollback APP", "release the code before the current one", doRollback},
		{"config APP KEY", "set a config var, which makes a release", doConfig},
		{"crash APP [DYNO]", "crash a dyno (default web.1); it starts again after 20 minutes", doCrash},
		{"set APP key=value…", "change an app behind the bot's back, or all whose names match: set shop-* …", doSet},
		{"app APP key=value…", "the same, by another name: how its code behaves is set so", doSet},
		{"cycle APP [DYNO]", "restart a web dyno as Heroku does once a day (default web.1)", doCycle},
		{"traffic APP RATE|off", "visitors of the simulator's own: 5 is five requests a second", doTraffic},
		{"routed APP [reset]", "what the router did with an app's requests, or forget that", doRouted},
		{"create NAME [key=value…]", "make an app", doCreate},
		{"generate N NAME [key=value…]", "make N apps alike, NAME-001 and so on", doGenerate},
		{"rename APP NEW", "rename an app; its id stays", doRename},
		{"move APP TEAM|none", "give an app to another team, or to its owner; its id stays", doMove},
		{"delete APP", "delete an app", doDelete},
		{"suspend APP", "suspend an app", accessTo(accessSuspended)},
		{"unsuspend APP", "end that", accessTo(accessOpen)},
		{"two-factor APP on|off", "ask for a second factor", accessSwitch(accessTwoFactor)},
		{"forbid APP on|off", "take the account's access away", accessSwitch(accessForbidden)},
		{"latency DURATION|off", "make every API call take that long at least", doLatency},
		{"bucket off|on|N", "switch the rate limit off or on, or leave N calls", doBucket},
		{"revoke-token [TOKEN]", "refuse a token, or all", doRevoke},
		{"restore-token [TOKEN]", "accept it again, or all", doRestore},
		{faultUsage, "break matching requests; * is one segment, a last ** any rest", doFault},
		{"faults [clear]", "list the faults, or end them", doFaults},
		{"calls reset", "forget the calls so far", doCalls},
		{"show APP", "an app in one line", doShow},
		{"apps", "all apps, a line each", doApps},
	}
}

// Do carries out one command of the control language; the error says what is
// wrong with it and what would be right.
func (s *Server) Do(line string) (string, error) {
	words, err := splitWords(line)
	if err != nil {
		return "", err
	}
	if len(words) == 0 || words[0] == "help" {
		return controlHelp(), nil
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name() == words[0] })
	if i < 0 {
		return "", fmt.Errorf("unknown command %q\n%s", words[0], controlHelp())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := all[i].run(s, s.world.clock(), words[1:])
	s.router.poke()
	if err != nil {
		return "", fmt.Errorf("%w\nusage: %s", err, all[i].usage)
	}
	return text, nil
}

func controlHelp() string {
	var b strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&b, "%-36s %s\n", c.usage, c.summary)
	}
	fmt.Fprintf(&b, "kinds of fault: %v (slow:2s)\nsettings of an app:\n%s", faultKinds(), settingsHelp)
	return b.String()
}

// appArg takes the app that comes first in args, settled.
func (s *Server) appArg(now time.Time, args []string) (*app, []string, error) {
	if len(args) == 0 {
		return nil, nil, fmt.Errorf("no app named")
	}
	a, err := s.world.appNamed(args[0])
	if err != nil {
		return nil, nil, err
	}
	a.settle(now)
	return a, args[1:], nil
}

// only refuses words that a command has no use for.
func only(n int, args []string) error {
	if len(args) > n {
		return fmt.Errorf("%q is too much", args[n])
	}
	return nil
}

func (s *Server) released(a *app, r *release, now time.Time) string {
	a.settle(now)
	text := fmt.Sprintf("%s v%d: %s", a.name, r.version, r.description)
	if a.preboots() {
		text += fmt.Sprintf(" (preboot: old dynos serve until %s)", stamp(r.doneAt.Add(a.timing.handover())))
	}
	return text
}

func doDeploy(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	r := release{user: s.world.account.Email, slug: s.world.mint("slug", a.name)}
	if len(args) > 1 && args[0] == "by" {
		r.user, args = args[1], args[2:]
		if !strings.Contains(r.user, "@") {
			r.user += "@acme.example"
		}
	}
	r.description = cmp.Or(strings.Join(args, " "), "Deploy "+r.slug[:8])
	made := a.releaseNow(now, r)
	if len(a.releases) == 1 { // the first code brings its web process
		a.scale(now, a.addProc(now, "web", a.usualSize()), 1)
	}
	return s.released(a, made, now), nil
}

func doRollback(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	current := a.current(now)
	if err := only(0, args); err != nil || current == nil {
		return "", cmp.Or(err, fmt.Errorf("%s has no release to roll back from", a.name))
	}
	for _, r := range slices.Backward(a.releases) {
		if r.version < current.version && r.status(now) == "succeeded" && r.slug != current.slug {
			return s.released(a, a.releaseNow(now, release{description: fmt.Sprintf("Rollback to v%d", r.version), slug: r.slug, user: s.world.account.Email}), now), nil
		}
	}
	return "", fmt.Errorf("%s has no other code to go back to", a.name)
}

func doConfig(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	if len(args) != 1 {
		return "", fmt.Errorf("want the name of one config var")
	}
	a.configVars[args[0]] = "set by /_control"
	return s.released(a, a.configRelease(now, args, s.world.account.Email), now), nil
}

func doCrash(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	if err := only(1, args); err != nil {
		return "", err
	}
	name := "web.1"
	if len(args) == 1 {
		name = args[0]
	}
	for _, d := range a.dynos {
		if d.name() == name && d.listed(now) {
			d.crashedAt = now
			return fmt.Sprintf("%s %s crashed", a.name, name), nil
		}
	}
	return "", fmt.Errorf("%s runs no dyno %s", a.name, name)
}

// doCycle restarts one web dyno as the daily restart does.
func doCycle(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	if err := only(1, args); err != nil {
		return "", err
	}
	name := cmp.Or(strings.Join(args, ""), "web.1")
	for _, d := range a.running("web") {
		if d.name() == name {
			a.replace(now, a.proc("web"), d)
			return fmt.Sprintf("%s %s is restarted", a.name, name), nil
		}
	}
	return "", fmt.Errorf("%s runs no web dyno %s", a.name, name)
}

func doSet(s *Server, now time.Time, args []string) (string, error) {
	if len(args) > 0 && strings.Contains(args[0], "*") {
		return setAll(s, now, args[0], args[1:])
	}
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	args = slices.DeleteFunc(args, func(w string) bool { return w == "scaling" }) // "set shop scaling worker=2"
	settings, err := parseSettings(args)
	if err != nil {
		return "", err
	}
	if len(settings) == 0 {
		return "", fmt.Errorf("nothing to set")
	}
	if err := s.world.change(now, a, settings); err != nil {
		return "", err
	}
	a.settle(now)
	return s.world.summary(a, now), nil
}

// setAll changes every app whose name the pattern matches, as a script of somebody's does.
func setAll(s *Server, now time.Time, pattern string, args []string) (string, error) {
	var names []string
	for _, a := range s.world.apps {
		matched, err := path.Match(pattern, a.name)
		if err != nil {
			return "", fmt.Errorf("%q is no pattern", pattern)
		}
		if matched {
			names = append(names, a.name)
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("no app's name is like %q", pattern)
	}
	for _, name := range names {
		if _, err := doSet(s, now, append([]string{name}, args...)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d apps like %s were changed", len(names), pattern), nil
}

func doCreate(s *Server, now time.Time, args []string) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("no name")
	}
	settings, err := parseSettings(args[1:])
	if err != nil {
		return "", err
	}
	a, err := s.world.createApp(now, args[0], settings, 0)
	if err != nil {
		return "", err
	}
	return s.world.summary(a, now), nil
}

// mostGenerated bounds how many apps one command makes.
const mostGenerated = 10000

func doGenerate(s *Server, now time.Time, args []string) (string, error) {
	if len(args) < 2 {
		return "", fmt.Errorf("want how many, and what they begin with")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > mostGenerated {
		return "", fmt.Errorf("%q is no number from 1 to %d", args[0], mostGenerated)
	}
	settings, err := parseSettings(args[2:])
	if err != nil {
		return "", err
	}
	digits := max(3, len(strconv.Itoa(n)))
	for i := 1; i <= n; i++ {
		if _, err := s.world.createApp(now, fmt.Sprintf("%s-%0*d", args[1], digits, i), settings, 0); err != nil {
			return "", fmt.Errorf("app %d of %d: %w", i, n, err)
		}
	}
	return fmt.Sprintf("%d apps made", n), nil
}

func doRename(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	if len(args) != 1 {
		return "", fmt.Errorf("want one new name")
	}
	old := a.name
	if refusal := s.world.rename(a, args[0]); refusal != nil {
		return "", refusal
	}
	return fmt.Sprintf("%s is now %s", old, a.name), nil
}

func doMove(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	if len(args) != 1 {
		return "", fmt.Errorf("want one team, or none")
	}
	to := s.world.teamNamed(args[0])
	switch {
	case a.space != nil:
		return "", fmt.Errorf("%s is in a space, which belongs to one team", a.name)
	case to == nil && args[0] != "none":
		return "", fmt.Errorf("no team %q", args[0])
	}
	a.team = to
	return fmt.Sprintf("%s: team %s", a.name, args[0]), nil
}

func doDelete(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	if err := only(0, args); err != nil {
		return "", err
	}
	s.world.apps = slices.DeleteFunc(s.world.apps, func(x *app) bool { return x == a })
	return a.name + " is deleted", nil
}

func accessTo(to access) func(*Server, time.Time, []string) (string, error) {
	return func(s *Server, now time.Time, args []string) (string, error) {
		a, args, err := s.appArg(now, args)
		if err != nil {
			return "", err
		}
		if err := only(0, args); err != nil {
			return "", err
		}
		a.access = to
		return s.world.summary(a, now), nil
	}
}

func accessSwitch(to access) func(*Server, time.Time, []string) (string, error) {
	return func(s *Server, now time.Time, args []string) (string, error) {
		a, args, err := s.appArg(now, args)
		if err != nil {
			return "", err
		}
		if len(args) != 1 {
			return "", fmt.Errorf("want on or off")
		}
		on, err := onOff(args[0])
		if err != nil {
			return "", err
		}
		if a.access = accessOpen; on {
			a.access = to
		}
		return s.world.summary(a, now), nil
	}
}

func doLatency(s *Server, _ time.Time, args []string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("want a duration such as 2s, or off")
	}
	if args[0] == "off" {
		s.latency = 0
		return "latency off", nil
	}
	d, err := time.ParseDuration(args[0])
	if err != nil || d < 0 {
		return "", fmt.Errorf("%q is no duration", args[0])
	}
	s.latency = d
	return "latency " + d.String(), nil
}

func doBucket(s *Server, now time.Time, args []string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("want off, on, or how many calls are left")
	}
	if on, err := onOff(args[0]); err == nil {
		s.bucketOff = !on
		return "bucket " + args[0], nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n > bucketSize {
		return "", fmt.Errorf("%q is no number from 0 to %d", args[0], bucketSize)
	}
	s.bucketOff = false
	for _, account := range s.tokens {
		*s.bucketOf(account, now) = bucket{tokens: float64(n), at: now}
	}
	return fmt.Sprintf("bucket has %d calls left", n), nil
}

func (s *Server) chosenTokens(args []string) ([]string, error) {
	if err := only(1, args); err != nil {
		return nil, err
	}
	var chosen []string
	for token := range s.tokens {
		if len(args) == 0 || token == args[0] {
			chosen = append(chosen, token)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no such token")
	}
	return chosen, nil
}

func doRevoke(s *Server, _ time.Time, args []string) (string, error) {
	chosen, err := s.chosenTokens(args)
	for _, token := range chosen {
		s.revoked[token] = true
	}
	return fmt.Sprintf("%d revoked", len(chosen)), err
}

func doRestore(s *Server, _ time.Time, args []string) (string, error) {
	chosen, err := s.chosenTokens(args)
	for _, token := range chosen {
		delete(s.revoked, token)
	}
	return fmt.Sprintf("%d restored", len(chosen)), err
}

func doFault(s *Server, _ time.Time, args []string) (string, error) {
	f, err := parseFault(args)
	if err != nil {
		return "", err
	}
	s.faults = append(s.faults, f)
	return "fault " + f.String(), nil
}

func doFaults(s *Server, _ time.Time, args []string) (string, error) {
	if len(args) == 1 && args[0] == "clear" {
		s.faults = nil
		return "no faults", nil
	}
	if err := only(0, args); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, f := range s.faults {
		fmt.Fprintln(&b, f)
	}
	return cmp.Or(b.String(), "no faults"), nil
}

func doCalls(s *Server, _ time.Time, args []string) (string, error) {
	if len(args) != 1 || args[0] != "reset" {
		return "", fmt.Errorf("want reset; the calls themselves are at GET /_control/calls")
	}
	s.calls.reset()
	return "calls forgotten", nil
}

func doShow(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	return s.world.summary(a, now), only(0, args)
}

func doApps(s *Server, now time.Time, args []string) (string, error) {
	var b strings.Builder
	for _, a := range s.world.apps {
		a.settle(now)
		fmt.Fprintln(&b, s.world.summary(a, now))
	}
	return cmp.Or(b.String(), "no apps"), only(0, args)
}
