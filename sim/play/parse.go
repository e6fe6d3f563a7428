package play

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Script is a parsed story. Run it as often as there are worlds for it.
type Script struct {
	Name  string
	steps []step
}

// step is one line that does or wants something, with the indented lines under it.
type step struct {
	line int
	text string // as written
	act  action
}

// action is what a line means. It returns what there is to say about it beyond the line
// itself: for an expectation, the message as people saw it.
type action interface {
	run(ctx context.Context, p *player) (said string, err error)
}

var (
	typesLine   = regexp.MustCompile(`^([\w-]+)(?:#([\w.-]+)|@(dm|thread))?> ?(.*)$`)
	doesLine    = regexp.MustCompile(`^([\w-]+) (clicks|chooses|searches|uses|submits|closes|opens)(?: (.*))?$`)
	seesLine    = regexp.MustCompile(`^(bot|slack)(?:(?:→|->)([\w-]+)|#([\w.-]+)): ?(.*)$`)
	noneLine    = regexp.MustCompile(`^no answer to ([\w-]+)$`)
	afterLine   = regexp.MustCompile(`^after (\S+)$`)
	untilLine   = regexp.MustCompile(`^until (\S+)$`)
	herokuLine  = regexp.MustCompile(`^heroku: (\S+) (.+)$`)
	callsLine   = regexp.MustCompile(`^calls: (\S+) (/\S*) (\d+)(\+?)$`)
	noCallsLine = regexp.MustCompile(`^calls: none to (\S+)$`)
	methodsLine = regexp.MustCompile(`^calls: ([a-z]\w*\.[\w.]+|response_url|upload) (\d+)(\+?)$`)
	linksLine   = regexp.MustCompile(`^links: (\d+)$`)
	botLine     = regexp.MustCompile(`^bot (stop|kill|(?:start|restart)(?: \w+=\S*)*)$`)
	logLine     = regexp.MustCompile(`^log: (no )?(.+)$`)
)

// Parse reads a script. An error names the script and the line.
//
//	# a comment
//	NAME> TEXT                     NAME types TEXT where they usually are: /zdd … is a slash command
//	NAME#CHANNEL> TEXT             … in a channel: @zdd … is a mention
//	NAME@dm> TEXT                  … to the bot directly
//	NAME@thread> TEXT              … in the thread of the message that was wanted last
//	NAME clicks LABEL [on TEXT] [stale|dismiss]
//	NAME chooses OPTION [on TEXT]  or a date, such as 2000-01-31
//	NAME searches [FIELD=]TEXT     types into a search field; what the app offers is shown to NAME
//	NAME uses CALLBACK [on TEXT]   a shortcut, or one on the newest message that holds TEXT
//	NAME submits KEY=VALUE…        the modal before them
//	NAME closes [all]              that modal, or all of them
//	NAME opens home                the app's Home tab
//	bot→NAME: TEXT                 NAME alone is shown TEXT: ephemeral, direct, in a modal or at home
//	  TEXT                         indented: the same message holds this too
//	  !TEXT                        and not this
//	bot#CHANNEL: TEXT              everyone in the channel is shown TEXT, in a new or a changed message
//	slack→NAME: TEXT               Slack itself tells NAME something, such as a time-out
//	no answer to NAME              nothing more has come for NAME
//	nothing else                   nothing more has come for anybody
//	after 24h                      time passes (units d, h, m, s, ms)
//	until 03:30                    time passes until clocks in UTC show that next (or 03:30:05)
//	heroku: APP WORD…              the app's one-line summary holds every word; !WORD: holds it not
//	heroku> COMMAND, slack> COMMAND    a line to the simulator's /_control/do
//	calls: METHOD PATH N           so many requests reached Heroku (N+: or more); * is a segment, ** the rest
//	calls: none to TEXT            no request whose path holds TEXT reached Heroku
//	calls: chat.postMessage N      so many requests reached Slack
//	links: N                       the bot holds N live links to Slack
//	bot stop|start|restart|kill    start and restart may carry NAME=VALUE, for the world to read
//	log: TEXT, log: no TEXT        the bot's log holds TEXT, or does not
//
// The arrow may be written -> too. White space in texts is folded before comparing, and
// *bold* in a wanted text is the same as bold, for bold is not seen as stars.
func Parse(name string, r io.Reader) (Script, error) {
	s := Script{Name: name}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		raw := strings.TrimRight(lines.Text(), " \t\r")
		text := strings.TrimSpace(raw)
		if text == "" {
			continue
		}
		if raw != strings.TrimLeft(raw, " \t") {
			if err := s.addFragment(text); err != nil {
				return Script{}, fmt.Errorf("%s:%d: %w", name, n, err)
			}
			continue
		}
		act, err := parseLine(text)
		if err != nil {
			return Script{}, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		s.steps = append(s.steps, step{line: n, text: text, act: act})
	}
	if err := lines.Err(); err != nil {
		return Script{}, fmt.Errorf("read %s: %w", name, err)
	}
	return s, nil
}

// addFragment adds an indented line to the expectation above it.
func (s *Script) addFragment(text string) error {
	if n := len(s.steps); n > 0 {
		if want, ok := s.steps[n-1].act.(*sees); ok {
			want.add(text)
			s.steps[n-1].text += "\n  " + text
			return nil
		}
	}
	return fmt.Errorf("an indented line needs a line such as bot→NAME: TEXT above it: %q", text)
}

func parseLine(text string) (action, error) {
	if strings.HasPrefix(text, "#") {
		return comment{}, nil
	}
	if m := seesLine.FindStringSubmatch(text); m != nil {
		want := &sees{by: m[1], to: m[2], channel: m[3]}
		if m[4] != "" {
			want.add(m[4])
		}
		return want, nil
	}
	if m := herokuLine.FindStringSubmatch(text); m != nil {
		return summary{app: m[1], words: strings.Fields(m[2])}, nil
	}
	if m := typesLine.FindStringSubmatch(text); m != nil {
		return parseTyped(m[1], m[2], m[3], strings.TrimSpace(m[4]))
	}
	if m := doesLine.FindStringSubmatch(text); m != nil {
		return parseDoes(m[1], m[2], m[3])
	}
	if m := noneLine.FindStringSubmatch(text); m != nil {
		return silence{to: m[1]}, nil
	}
	if text == "nothing else" {
		return silence{}, nil
	}
	if m := afterLine.FindStringSubmatch(text); m != nil {
		d, err := parseDuration(m[1])
		if err != nil {
			return nil, err
		}
		return pause{d: d}, nil
	}
	if m := untilLine.FindStringSubmatch(text); m != nil {
		return parseUntil(m[1])
	}
	if act := parseCalls(text); act != nil {
		return act, nil
	}
	if m := linksLine.FindStringSubmatch(text); m != nil {
		return links{want: m[1]}, nil
	}
	if m := botLine.FindStringSubmatch(text); m != nil {
		return process{verb: m[1]}, nil
	}
	if m := logLine.FindStringSubmatch(text); m != nil {
		return logged{text: m[2], absent: m[1] != ""}, nil
	}
	return nil, fmt.Errorf("not a line of a script: %q", text)
}

func parseTyped(name, channel, where, text string) (action, error) {
	if text == "" {
		return nil, fmt.Errorf("%s> needs something after it", name)
	}
	if before, ok := strings.CutSuffix(name, "-"); ok {
		return nil, fmt.Errorf("want %s>NAME: TEXT, with a colon, or %s> TEXT", name, before)
	}
	switch name {
	case "slack", "heroku":
		if channel != "" || where != "" {
			return nil, fmt.Errorf("%s> takes a control command, not a place", name)
		}
		return command{to: name, line: text}, nil
	case "bot":
		return nil, fmt.Errorf("the bot types for itself; a line such as bot→NAME: TEXT wants its words")
	}
	return typed{name: name, channel: channel, where: where, text: text}, nil
}

func parseDoes(name, verb, rest string) (action, error) {
	verbs := map[string]string{"clicks": "click", "chooses": "choose", "searches": "search", "uses": "shortcut", "submits": "submit", "closes": "close", "opens": "home"}
	line := strings.TrimSpace(verbs[verb] + " " + name + " " + rest)
	switch {
	case verb == "opens" && rest != "home":
		return nil, fmt.Errorf("%s opens %q: want %s opens home", name, rest, name)
	case verb == "opens":
		line = "home " + name
	case rest == "" && (verb == "clicks" || verb == "chooses" || verb == "uses"):
		return nil, fmt.Errorf("%s %s: want what to act on after it", name, verb)
	}
	return command{to: "slack", line: line}, nil
}

func parseCalls(text string) action {
	count := func(number, plus string) (int, bool) {
		n, _ := strconv.Atoi(number) // \d+ matched
		return n, plus != ""
	}
	if m := callsLine.FindStringSubmatch(text); m != nil {
		n, orMore := count(m[3], m[4])
		return herokuCalls{method: m[1], path: m[2], n: n, orMore: orMore}
	}
	if m := noCallsLine.FindStringSubmatch(text); m != nil {
		return herokuCalls{holding: m[1]}
	}
	if m := methodsLine.FindStringSubmatch(text); m != nil {
		n, orMore := count(m[2], m[3])
		return slackCalls{method: m[1], n: n, orMore: orMore}
	}
	return nil
}

// parseUntil reads a time of day.
func parseUntil(text string) (action, error) {
	for _, layout := range []string{"15:04", "15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return moment{hour: at.Hour(), minute: at.Minute(), second: at.Second()}, nil
		}
	}
	return nil, fmt.Errorf("until %q: want a time of day such as 03:30 or 03:30:05", text)
}

// parseDuration is time.ParseDuration with days.
func parseDuration(text string) (time.Duration, error) {
	total := time.Duration(0)
	if days, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.Atoi(days)
		if err != nil {
			return 0, fmt.Errorf("after %q: want a duration such as 90s, 24h or 2d", text)
		}
		total, text = time.Duration(n)*24*time.Hour, rest
		if text == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("after %q: want a duration such as 90s, 24h or 2d", text)
	}
	return total + d, nil
}
