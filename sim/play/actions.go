package play

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// destination is one place where things are shown, in which they are consumed in order.
type destination struct {
	by      string // bot or slack
	to      string // one person, or
	channel string // everyone in a channel
}

// destination tells where an event was shown.
func (e event) destination() destination {
	if e.To != "" {
		return destination{by: e.By, to: e.To}
	}
	return destination{by: e.By, channel: e.ChannelName}
}

// shows tells whether an event put something before people's eyes.
func (e event) shows() bool {
	return (e.By == "bot" || e.By == "slack") && e.Kind != "ack" && e.Kind != "delete"
}

func (d destination) String() string {
	if d.to != "" {
		return d.by + "→" + d.to
	}
	return d.by + "#" + d.channel
}

// comment is a line for the reader alone.
type comment struct{}

func (comment) run(context.Context, *player) (string, error) { return "", nil }

// typed is a person typing.
type typed struct{ name, channel, where, text string }

func (t typed) run(ctx context.Context, p *player) (string, error) {
	at := "here"
	switch {
	case t.channel != "":
		at = "#" + t.channel
	case t.where == "dm":
		at = "dm"
	case t.where == "thread":
		at = "thread " + cmp.Or(p.thread, "last")
	}
	return "", p.control(ctx, "slack", "type "+t.name+" "+at+" "+t.text)
}

// command is a line to a simulator.
type command struct{ to, line string }

func (c command) run(ctx context.Context, p *player) (string, error) {
	return "", p.control(ctx, c.to, c.line)
}

// pause lets time pass.
type pause struct{ d time.Duration }

func (w pause) run(ctx context.Context, p *player) (string, error) {
	return "", p.world.Sleep(ctx, w.d)
}

// moment lets time pass until clocks in UTC show a time of day next.
type moment struct{ hour, minute, second int }

func (m moment) run(ctx context.Context, p *player) (string, error) {
	now := time.Now().UTC()
	year, month, day := now.Date()
	next := time.Date(year, month, day, m.hour, m.minute, m.second, 0, time.UTC)
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	return "", p.world.Sleep(ctx, next.Sub(now))
}

// process starts or ends the bot.
type process struct{ verb string }

func (b process) run(ctx context.Context, p *player) (string, error) {
	if p.world.Bot == nil {
		return "", fmt.Errorf("this world can't %s the bot", b.verb)
	}
	return "", p.world.Bot(ctx, b.verb)
}

// bold is Slack's marker, which nobody sees and which a script need not leave out.
var bold = regexp.MustCompile(`(^|[\s(!])\*([^*\s](?:[^*]*[^*\s])?)\*`)

// sees wants one message, which holds every one of some texts and none of others.
type sees struct {
	by, to, channel string
	want, never     []string // folded
}

func (s *sees) add(text string) {
	text = bold.ReplaceAllString(text, "$1$2")
	if never, found := strings.CutPrefix(text, "!"); found {
		s.never = append(s.never, fold(never))
		return
	}
	s.want = append(s.want, fold(text))
}

func (s *sees) destination() destination { return destination{by: s.by, to: s.to, channel: s.channel} }

// lacks tells what a text has not that is wanted, and has that is not.
func (s *sees) lacks(text string) []string {
	text = fold(text)
	var wrong []string
	for _, w := range s.want {
		if !strings.Contains(text, w) {
			wrong = append(wrong, fmt.Sprintf("lacks %q", w))
		}
	}
	for _, n := range s.never {
		if strings.Contains(text, n) {
			wrong = append(wrong, fmt.Sprintf("must not hold %q", n))
		}
	}
	return wrong
}

// run takes the first message not yet consumed that fits. Those that it skips are
// consumed with it, as messages before it in the same place.
func (s *sees) run(ctx context.Context, p *player) (string, error) {
	var found event
	met, err := p.until(ctx, func() (bool, error) {
		if err := p.look(ctx); err != nil {
			return false, err
		}
		for _, e := range p.pending(s.destination()) {
			if len(s.lacks(e.Text)) == 0 {
				found = e
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	if !met {
		return "", s.missed(p)
	}
	p.taken[s.destination()] = found.Seq
	if s.channel != "" {
		p.thread = found.TS
	}
	return s.destination().String() + ": " + found.Text, nil
}

// pending are the events of one place that no line has consumed.
func (p *player) pending(d destination) []event {
	var list []event
	for _, e := range p.events {
		if e.destination() == d && e.shows() && e.Seq > p.taken[d] {
			list = append(list, e)
		}
	}
	return list
}

// missed tells what came instead of a wanted message: first in its own place, those that
// lack least on top; then elsewhere.
func (s *sees) missed(p *player) error {
	var b strings.Builder
	fmt.Fprintf(&b, "  did not come within %v.", p.world.Patience)
	here := p.pending(s.destination())
	slices.SortStableFunc(here, func(x, y event) int { return len(s.lacks(x.Text)) - len(s.lacks(y.Text)) })
	for _, e := range here {
		fmt.Fprintf(&b, "\n  came instead (%s): %s\n    which %s", e.Kind, indent(e.Text), strings.Join(s.lacks(e.Text), ", "))
	}
	var others []string
	for _, e := range p.events {
		if d := e.destination(); d != s.destination() && e.shows() && e.Seq > p.taken[d] {
			others = append(others, fmt.Sprintf("\n  came elsewhere (%s) %v: %s", e.Kind, d, indent(e.Text)))
		}
	}
	const most = 5 // the latest ones tell enough
	b.WriteString(strings.Join(others[max(0, len(others)-most):], ""))
	if len(here)+len(others) == 0 {
		b.WriteString("\n  nothing came at all")
	}
	return fmt.Errorf("%s", b.String())
}

// silence wants nothing more for one person, or for anybody.
type silence struct{ to string }

func (s silence) run(ctx context.Context, p *player) (string, error) {
	if err := p.world.Sleep(ctx, p.world.Quiet); err != nil {
		return "", err
	}
	if err := p.look(ctx); err != nil {
		return "", err
	}
	var extra []string
	for _, e := range p.events {
		d := e.destination()
		if e.shows() && e.Seq > p.taken[d] && (s.to == "" || s.to == e.To) {
			extra = append(extra, fmt.Sprintf("  came (%s) %v: %s", e.Kind, d, indent(e.Text)))
		}
	}
	if len(extra) > 0 {
		return "", fmt.Errorf("%s", strings.Join(extra, "\n"))
	}
	return "", nil
}

// summary wants words in what the simulated Heroku says of an app.
type summary struct {
	app   string
	words []string
}

func (s summary) run(ctx context.Context, p *player) (string, error) {
	if p.world.Heroku == "" {
		return "", fmt.Errorf("there is no heroku in this world")
	}
	var line string
	var wrong []string
	met, err := p.until(ctx, func() (bool, error) {
		var err error
		if line, err = p.fetch(ctx, "GET", p.world.Heroku+"/_control/app/"+url.PathEscape(s.app), ""); err != nil {
			return false, err
		}
		have := strings.Fields(line)
		wrong = nil
		for _, w := range s.words {
			if never, absent := strings.CutPrefix(w, "!"); absent == slices.Contains(have, never) {
				wrong = append(wrong, w)
			}
		}
		return len(wrong) == 0, nil
	})
	if err != nil || met {
		return "", err
	}
	return "", fmt.Errorf("  is not so: %s\n  heroku says: %s", strings.Join(wrong, " "), indent(line))
}

// herokuCalls wants a number of requests, or none whose path holds something.
type herokuCalls struct {
	method, path string
	holding      string
	n            int
	orMore       bool
}

func (c herokuCalls) run(ctx context.Context, p *player) (string, error) {
	var log struct {
		Calls []struct{ Method, Path string } `json:"calls"`
	}
	var paths []string
	met, err := p.until(ctx, func() (bool, error) {
		if err := p.getJSON(ctx, p.world.Heroku+"/_control/calls", &log); err != nil {
			return false, err
		}
		paths = nil
		for _, call := range log.Calls {
			if c.holding != "" && strings.Contains(call.Path, c.holding) || c.holding == "" && call.Method == c.method && matchPath(c.path, call.Path) {
				paths = append(paths, "\n    "+call.Method+" "+call.Path)
			}
		}
		return enough(len(paths), c.n, c.orMore), nil
	})
	if err != nil || met {
		return "", err
	}
	return "", fmt.Errorf("  counted %d%s", len(paths), strings.Join(paths, ""))
}

// slackCalls wants a number of requests to one method of Slack's.
type slackCalls struct {
	method string
	n      int
	orMore bool
}

func (c slackCalls) run(ctx context.Context, p *player) (string, error) {
	counts := map[string]int{}
	met, err := p.until(ctx, func() (bool, error) {
		clear(counts)
		err := p.getJSON(ctx, p.world.Slack+"/_control/calls?count&method="+url.QueryEscape(c.method), &counts)
		return enough(counts[c.method], c.n, c.orMore), err
	})
	if err != nil || met {
		return "", err
	}
	return "", fmt.Errorf("  counted %d", counts[c.method])
}

// links wants a number of live Socket Mode links.
type links struct{ want string }

func (l links) run(ctx context.Context, p *player) (string, error) {
	var got string
	met, err := p.until(ctx, func() (bool, error) {
		text, err := p.fetch(ctx, "GET", p.world.Slack+"/_control/links", "")
		got = strings.TrimSpace(text)
		return got == l.want, err
	})
	if err != nil || met {
		return "", err
	}
	return "", fmt.Errorf("  there are %s", got)
}

func enough(got, want int, orMore bool) bool { return got == want || orMore && got > want }

// matchPath matches a path without its query: * is one segment, a last ** the rest.
func matchPath(pattern, got string) bool {
	got, _, _ = strings.Cut(got, "?")
	if head, open := strings.CutSuffix(pattern, "/**"); open {
		n := strings.Count(head, "/")
		parts := strings.SplitAfterN(got, "/", n+2)
		if len(parts) < n+1 {
			return false
		}
		got, pattern = strings.TrimSuffix(strings.Join(parts[:n+1], ""), "/"), head
	}
	ok, err := path.Match(pattern, got)
	return ok && err == nil
}

// logged wants a text in the bot's log, or not in it.
type logged struct {
	text   string
	absent bool
}

func (l logged) run(ctx context.Context, p *player) (string, error) {
	if p.world.Log == nil {
		return "", fmt.Errorf("this world keeps no log of the bot")
	}
	if l.absent {
		for line := range strings.Lines(p.world.Log()) {
			if strings.Contains(line, l.text) {
				return "", fmt.Errorf("  is in the log: %s", strings.TrimSpace(line))
			}
		}
		return "", nil
	}
	met, err := p.until(ctx, func() (bool, error) { return strings.Contains(p.world.Log(), l.text), nil })
	if err != nil || met {
		return "", err
	}
	return "", fmt.Errorf("  is not in the log, which ends:\n    %s", indent(tail(p.world.Log(), 10)))
}

// tail is the last lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// fold makes all white space one space.
func fold(text string) string { return strings.Join(strings.Fields(text), " ") }

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}
