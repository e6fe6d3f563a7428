package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/peterh/liner"

	"example.com/zdd/commands"
	simslack "example.com/zdd/sim/slack"
)

const (
	// answerWithin is how long the prompt waits for an answer before it says so; the
	// simulated Slack itself gives up an acknowledgement after 3 s.
	answerWithin = 12 * time.Second
	// answerQuiet is how long nothing more must come for an answer to be whole.
	answerQuiet = 250 * time.Millisecond
	// nightWithin and nightQuiet are the same for a scan of the whole fleet and its digest.
	nightWithin = time.Minute
	nightQuiet  = 3 * time.Second
	// driftWithin is the same for what is found between the nights: two looks at each app, one
	// of which may just be over, and the message.
	driftWithin = 2*demoWatchEvery + 20*time.Second
	// verdictWithin is the same for the watch of a deploy: its minute, a hand-over that begins
	// in the last moment of it, and the message.
	verdictWithin = 3 * time.Minute
	// verdictEvery is how often it is told meanwhile how a watch goes.
	verdictEvery = 10 * time.Second
	// waitWithin is how long `wait` waits unless it is told, and waitMost the longest that it
	// can be told: nobody means to wait longer at a prompt that hears nothing meanwhile.
	waitWithin = time.Minute
	waitMost   = time.Hour
)

const promptHelp = `Type as a person in Slack types:
  /zdd status shop            a slash command (the answer is for you alone)
  @zdd status shop            a mention in the channel
  click Share to channel      press a button of the newest message that has it
  as Ada                      be somebody else: Robin asks, Ada asks and approves, Alan approves,
                              Gil is a guest, Sam is of another workspace
What comes while you type nothing is on the page or, with --terminal, shown before your next line is obeyed:
  wait, wait 30s              wait until something comes, for a minute at most, or for as long as you say
Let the night come:
  night                       the bot reads the whole fleet and posts its digest in #ops, now
  watch                       what it says between the nights of apps that were ready: spoil one first
                              (heroku set checkout preboot=off)
Watch a deploy (a hand-over takes half a minute here; in production, four):
  /zdd watch checkout         asks checkout ten times a second, for a minute
  heroku deploy checkout      meanwhile: how many requests does that drop? Then mend it, and try again
  verdict                     wait until the watch says so
Look behind the curtain:
  apps                        the simulated Heroku's own list of its apps
  heroku COMMAND              command it: heroku set shop web=2 · heroku fault GET /apps/shop/features 503html · heroku help
  slack COMMAND               command the simulated Slack: slack disconnect warning one · slack help
  log                         the bot's own log
  quit`

// seen is one thing that appeared in the simulated Slack.
type seen struct {
	Seq         int    `json:"seq"`
	Kind        string `json:"kind"`
	ChannelName string `json:"channel_name"`
	To          string `json:"to"`
	TS          string `json:"ts"`
	By          string `json:"by"`
	Text        string `json:"text"`
	ThreadTS    string `json:"thread_ts"`
	Ephemeral   bool   `json:"ephemeral"`
}

// prompter reads what a person types and shows what they would see in Slack.
type prompter struct {
	*simulation
	out    io.Writer
	person string         // whom scripts call so
	shown  int            // the last event that was looked at
	paged  bool           // a page shows what happens while nobody types
	zone   *time.Location // that moments are told in
}

// lineReader is a prompt: a terminal's, or a plain one for scripts and tests.
type lineReader interface {
	ReadLine(prompt string) (string, error)
	Close() error
}

// prompt obeys what is typed until it ends. Typed tells whether anything was.
func prompt(ctx context.Context, p *prompter, o outside) (typed bool, err error) {
	fmt.Fprint(o.Stdout, "Try:  /zdd status shop   ·   apps   ·   /zdd enable shop   ·   night   ·   help   ·   quit\n(Waits of ten minutes take ten seconds here; in production they take ten minutes.)\n")
	fmt.Fprintf(o.Stdout, "(Times are those of %s here, as in the demo's policy; Slack tells most of them to each reader in their own zone.)\n\n", p.zone)
	var lines lineReader = &plainLines{scanner: bufio.NewScanner(o.Stdin)}
	if o.Prompt {
		lines = newTerminalLines(p.completions(ctx))
	}
	defer lines.Close()
	type answer struct {
		line string
		err  error
	}
	for {
		answered := make(chan answer, 1)
		go func() { // reading a terminal can't be interrupted; the process ends soon after
			line, err := lines.ReadLine(p.called() + "> ")
			answered <- answer{line, err}
		}()
		select {
		case <-ctx.Done():
			return typed, nil
		case a := <-answered:
			switch {
			case errors.Is(a.err, liner.ErrPromptAborted), o.Prompt && errors.Is(a.err, io.EOF):
				return true, nil // Ctrl-C and Ctrl-D are something that is typed
			case errors.Is(a.err, io.EOF):
				return typed, nil
			case a.err != nil:
				return typed, a.err
			}
			typed = true
			if quit := p.obey(ctx, strings.TrimSpace(a.line)); quit {
				return typed, nil
			}
		}
	}
}

// obey does one line; what goes wrong is said and the prompt goes on.
func (p *prompter) obey(ctx context.Context, line string) (quit bool) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	verb = strings.ToLower(verb)
	var err error
	if verb == "watch" && rest != "" { // a deploy: that is a command
		verb, line = "/zdd", "/zdd "+line
	}
	if line != "" && !slices.Contains([]string{"quit", "exit", "wait", "watch", "verdict"}, verb) { // the last three show it themselves
		p.meanwhile(ctx)
	}
	switch verb {
	case "":
	case "quit", "exit":
		return true
	case "help", "?":
		fmt.Fprintln(p.out, promptHelp)
	case "log":
		fmt.Fprint(p.out, p.botLog)
	case "night":
		err = p.night(ctx)
	case "watch":
		err = p.drift(ctx)
	case "verdict":
		err = p.verdict(ctx)
	case "wait":
		err = p.wait(ctx, rest)
	case "as":
		err = p.become(rest)
	case "apps":
		err = p.print(ctx, http.MethodPost, p.herokuURL+"/_control/do", "apps")
	case "heroku":
		err = p.print(ctx, http.MethodPost, p.herokuURL+"/_control/do", rest)
	case "slack":
		err = p.print(ctx, http.MethodPost, p.slackURL+"/_control/do", rest)
	case "click":
		err = p.say(ctx, "click "+p.person+" "+rest)
	default:
		if !strings.HasPrefix(line, "/") && !strings.HasPrefix(line, "@") {
			line = "/zdd " + line
		}
		err = p.say(ctx, "type "+p.person+" #"+channelOf(p.person)+" "+line)
	}
	if err != nil {
		fmt.Fprintln(p.out, "! "+p.plainly(err))
	}
	return false
}

// plainly is what went wrong without the script's line that was tried, which nobody typed.
func (p *prompter) plainly(err error) string {
	if _, why, ok := strings.Cut(err.Error(), ": "+p.person+" "); ok {
		return p.called() + " " + why
	}
	return err.Error()
}

// become makes the person at the prompt somebody else, by a name that scripts, the page or
// Slack has for them.
func (p *prompter) become(name string) error {
	name = strings.TrimPrefix(name, "@")
	var known []string
	for _, one := range simslack.DefaultWorkspace().People {
		if one.Bot || one.Deleted {
			continue
		}
		first, _, _ := strings.Cut(one.RealName, " ")
		for _, called := range []string{one.Name, one.ID, one.RealName, first} {
			if strings.EqualFold(called, name) {
				p.person = one.Name
				fmt.Fprintf(p.out, "(you are %s now, whom scripts call %s)\n", one.RealName, one.Name)
				return nil
			}
		}
		known = append(known, first+" ("+one.Name+")")
	}
	return fmt.Errorf("nobody here is called %q: there are %s", name, strings.Join(known, ", "))
}

// called is what the person at the prompt is called on the page.
func (p *prompter) called() string { return firstName(p.person) }

// firstName is what people call somebody whom scripts call so.
func firstName(name string) string {
	first, _, _ := strings.Cut(realName(name), " ")
	return cmp.Or(first, name)
}

// realName is how Slack shows somebody whom scripts call so; "" for a bot and for nobody.
func realName(name string) string {
	for _, one := range simslack.DefaultWorkspace().People {
		if one.Name == name && !one.Bot {
			return one.RealName
		}
	}
	return ""
}

// mentioned has mentions as Slack shows them, in place of those of scripts.
func mentioned(text string) string {
	return regexp.MustCompile(`@[a-z0-9._-]*[a-z0-9]`).ReplaceAllStringFunc(text, func(mention string) string {
		if real := realName(mention[1:]); real != "" {
			return "@" + real
		}
		return mention
	})
}

// channelOf is a channel that the person is in: guests and strangers are not everywhere.
func channelOf(person string) string {
	switch person {
	case "guest", "multiguest":
		return "shop"
	case "stranger":
		return "partners"
	}
	return "general"
}

func (p *prompter) print(ctx context.Context, method, url, body string) error {
	text, err := p.control(ctx, method, url, body)
	if err == nil {
		fmt.Fprintln(p.out, strings.TrimRight(text, "\n"))
	}
	return err
}

// say does something in the simulated Slack and shows what people see of it.
func (p *prompter) say(ctx context.Context, line string) error {
	if _, err := p.control(ctx, http.MethodPost, p.slackURL+"/_control/do", line); err != nil {
		return err
	}
	return p.hear(ctx, hearing{within: answerWithin, quiet: answerQuiet, nothing: "no answer came"})
}

// night has the bot scan the fleet and post its digest now, as it does each night.
func (p *prompter) night(ctx context.Context) error {
	select {
	case p.nights <- struct{}{}:
	default: // one is about to begin
	}
	fmt.Fprintln(p.out, "(the bot reads the fleet and posts its digest, a message a second as Slack allows)")
	return p.hear(ctx, hearing{within: nightWithin, quiet: nightQuiet, nothing: "no digest came"})
}

// drift shows what the bot said since the last line was typed, or says within two looks at
// each app, of apps that are ready no more.
func (p *prompter) drift(ctx context.Context) error {
	fmt.Fprintf(p.out, "(the bot looks every %s here, twice before it says anything; in production every half hour. It knows what was ready from its last scan)\n", demoWatchEvery)
	// A ticket that goes on meanwhile edits its messages, and tells of its end in their threads.
	drifted := func(e seen) bool { return e.Kind == "post" && (e.ThreadTS == "" || e.ThreadTS == e.TS) }
	return p.hear(ctx, hearing{within: driftWithin, quiet: answerQuiet, nothing: "nothing of the kind came", meant: drifted})
}

// verdict shows how a watch of a deploy goes until it has ended, which is when the whole of
// it is attached.
func (p *prompter) verdict(ctx context.Context) error {
	said := time.Time{}
	return p.hear(ctx, hearing{
		within: verdictWithin, quiet: answerQuiet, nothing: "no verdict came",
		meant: func(e seen) bool { return e.Kind == "file" },
		brief: func(e seen) (line string, brief bool) {
			head, rest, _ := strings.Cut(e.Text, "\n")
			if e.Kind != "update" || !strings.Contains(head, ": watching") {
				return "", false
			}
			if time.Since(said) < verdictEvery {
				return "", true
			}
			said = time.Now()
			line, _, _ = strings.Cut(rest, "\n")
			return line, true
		},
	})
}

// wait waits until something comes, or for that long.
func (p *prompter) wait(ctx context.Context, how string) error {
	within := waitWithin
	if how != "" {
		d, err := time.ParseDuration(strings.ReplaceAll(how, " ", ""))
		if err != nil || d <= 0 || d > waitMost {
			return fmt.Errorf("wait how long? For example: wait 30s, wait 2m; at most an hour. Or wait alone: until something comes, at most a minute")
		}
		within = d
	}
	return p.hear(ctx, hearing{within: within, quiet: answerQuiet, nothing: "nothing came"})
}

// hearing is how long to listen, and what to say where nothing was heard.
type hearing struct {
	within, quiet time.Duration // for the first that comes; after it, without any more
	nothing       string
	meant         func(seen) bool // whether something is what one listens for; nil: anything is
	// brief is the line that is enough of something, or "" where it is not worth one; not
	// brief: all of it is shown. Nil: of everything.
	brief func(seen) (line string, brief bool)
}

// hear shows what people see until nothing more came for as long as h says, or nothing at
// all did.
func (p *prompter) hear(ctx context.Context, h hearing) error {
	ctx, cancel := context.WithTimeout(ctx, h.within)
	defer cancel()
	answered := false
	for {
		wait := h.within
		if answered {
			wait = h.quiet
		}
		news, err := p.news(ctx, wait)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		for _, e := range newest(news) {
			if h.brief != nil {
				if line, brief := h.brief(e); brief {
					if line != "" {
						fmt.Fprintf(p.out, "(%s)\n", line)
					}
					continue
				}
			}
			answered = p.show(e) && (h.meant == nil || h.meant(e)) || answered
		}
		if len(news) == 0 {
			if !answered {
				fmt.Fprintln(p.out, "("+h.nothing+")")
			}
			return nil
		}
	}
}

// meanwhile shows what came since the last line, before the next one is obeyed.
func (p *prompter) meanwhile(ctx context.Context) {
	news, err := p.news(ctx, 0)
	switch {
	case err != nil:
		fmt.Fprintln(p.out, "! "+err.Error())
	case !p.paged:
		for _, e := range newest(news) {
			p.show(e)
		}
	}
}

// newest are the events without those whose message was edited after them.
func newest(all []seen) []seen {
	var out []seen
	for _, e := range all {
		same := func(was seen) bool {
			return e.Kind == "update" && e.TS != "" && was.TS == e.TS && was.ChannelName == e.ChannelName
		}
		if i := slices.IndexFunc(out, same); i >= 0 {
			e.Kind = out[i].Kind // who has not seen it need not know that it was another
			out = slices.Delete(out, i, i+1)
		}
		out = append(out, e)
	}
	return out
}

// news is what appeared since the last look, waiting for something up to the given time.
func (p *prompter) news(ctx context.Context, wait time.Duration) ([]seen, error) {
	text, err := p.control(ctx, http.MethodGet, fmt.Sprintf("%s/_control/log?since=%d&wait=%s", p.slackURL, p.shown, wait), "")
	if err != nil {
		return nil, err
	}
	var all []seen
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	for _, e := range all {
		p.shown = max(p.shown, e.Seq)
	}
	return all, nil
}

// show prints one event as people see it, and says whether it answers.
func (p *prompter) show(e seen) (answer bool) {
	if e.By != "bot" && e.By != "slack" {
		return false // what the person typed
	}
	var where string
	switch e.Kind {
	case "ephemeral", "timeout", "errors", "notice":
		where = "only " + firstName(e.To) + " sees"
	case "view":
		where = "a dialog before " + firstName(e.To) + "; slack help tells how to fill it in here, and the page has it to click"
	case "post", "update", "dm", "file":
		where = "#" + e.ChannelName
		if e.ChannelName == "dm" || e.ChannelName == "" {
			where = "to " + firstName(e.To) + " directly"
		}
		if e.ThreadTS != "" && e.ThreadTS != e.TS {
			where += ", in a thread"
		}
		if e.Ephemeral {
			where = "only " + firstName(e.To) + " sees"
		}
		if e.Kind == "update" {
			where += " (edited)"
		}
	default:
		return false
	}
	fmt.Fprintf(p.out, "── zdd, %s ──\n%s\n\n", where, mentioned(strings.TrimRight(e.Text, "\n")))
	return true
}

// completions are the lines that a person may mean, and the names of all apps.
func (p *prompter) completions(ctx context.Context) completions {
	c := completions{commands: commands.New(commands.Deps{}).Commands()}
	c.lines = []string{"apps", "as Ada", "as Alan", "as Gil", "as Robin", "as Sam", "click Share to channel", "help", "heroku help", "log", "night", "quit", "slack help", "verdict", "wait", "watch"}
	for _, command := range c.commands {
		c.lines = append(c.lines, "/zdd "+command.Name, "@zdd "+command.Name)
	}
	slices.Sort(c.lines)
	text, err := p.control(ctx, http.MethodPost, p.herokuURL+"/_control/do", "apps")
	if err == nil { // without it there are only fewer completions
		for line := range strings.Lines(text) {
			if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" {
				c.apps = append(c.apps, name)
			}
		}
	}
	return c
}

// completions are what a person may mean who has typed the beginning of a line.
type completions struct {
	lines    []string // whole, sorted
	apps     []string
	commands []commands.Command
}

// fitting are the lines that begin as what was typed: those that are known whole, and behind
// a command that takes an app, or several, those with the app's name, once each.
func (c completions) fitting(typed string) []string {
	var all []string
	for _, line := range c.lines {
		if strings.HasPrefix(line, typed) {
			all = append(all, line)
		}
	}
	at := strings.LastIndexByte(typed, ' ') + 1
	words := strings.Fields(typed[:at])
	if len(words) < 2 || words[0] != "/zdd" && words[0] != "@zdd" {
		return all
	}
	i := slices.IndexFunc(c.commands, func(command commands.Command) bool { return command.Name == words[1] })
	if i < 0 || len(words) > 2 && !strings.Contains(c.commands[i].Usage, "<app> …") {
		return all
	}
	if usage := c.commands[i].Usage; !strings.Contains(usage, "<app>") && !strings.Contains(usage, "[app]") {
		return all
	}
	for _, app := range c.apps {
		if strings.HasPrefix(app, typed[at:]) && !slices.Contains(words[2:], app) {
			all = append(all, typed[:at]+app)
		}
	}
	return all
}

// plainLines reads lines from a pipe.
type plainLines struct{ scanner *bufio.Scanner }

func (l *plainLines) ReadLine(string) (string, error) {
	if !l.scanner.Scan() {
		return "", errors.Join(l.scanner.Err(), io.EOF)
	}
	return l.scanner.Text(), nil
}

func (l *plainLines) Close() error { return nil }

// terminalLines is a terminal with editing, history and completion.
type terminalLines struct{ state *liner.State }

func newTerminalLines(known completions) terminalLines {
	state := liner.NewLiner()
	state.SetCtrlCAborts(true)
	state.SetCompleter(known.fitting)
	return terminalLines{state}
}

func (l terminalLines) ReadLine(prompt string) (string, error) {
	line, err := l.state.Prompt(prompt)
	if err == nil && strings.TrimSpace(line) != "" {
		l.state.AppendHistory(line)
	}
	return line, err
}

func (l terminalLines) Close() error { return l.state.Close() }
