package play

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// pollEvery is the pause between looks at what came: short enough for a demo to
	// feel prompt, and nothing at all on a fake clock.
	pollEvery = 100 * time.Millisecond
	// defaultPatience is how long a wanted message may take: longer than the work
	// that a bot may do with a response URL's first answer, and than any retry of Slack's
	// that is not meant to be waited for with "after".
	defaultPatience = 30 * time.Second
	// defaultQuiet is how long "nothing else" listens: longer than Slack's 3 s for an
	// acknowledgement, so that a time-out shown to a person is noticed.
	defaultQuiet = 5 * time.Second
	// maxAnswer bounds what is read of one control answer.
	maxAnswer = 64 << 20
)

// World is what a script plays in.
type World struct {
	Slack  string // base URL of the simulated Slack
	Heroku string // base URL of the simulated Heroku; empty where there is none
	Client *http.Client

	Sleep func(ctx context.Context, d time.Duration) error // nil: package time
	Say   func(line string)                                // gets each line as it is played, with what people saw; nil: nobody listens
	Bot   func(ctx context.Context, verb string) error     // start, stop, restart or kill, and what followed it; nil: the script can't
	Log   func() string                                    // the bot's log so far; nil: the script can't ask

	Patience time.Duration // how long a wanted message may take; zero: 30 s
	Quiet    time.Duration // how long "nothing else" listens; zero: 5 s
}

// event is one entry of the simulated Slack's log, as /_control/log writes it.
type event struct {
	Seq         int    `json:"seq"`
	Kind        string `json:"kind"`
	Channel     string `json:"channel"`
	ChannelName string `json:"channel_name"`
	To          string `json:"to"`
	TS          string `json:"ts"`
	By          string `json:"by"`
	Text        string `json:"text"`
}

// player plays one script in one world.
type player struct {
	world  World
	events []event
	taken  map[destination]int // the sequence number of the last event consumed
	thread string              // ts of the channel message that was wanted last
}

// Run plays the script. It ends at the first line that fails, with an error that names
// the line, what it wanted and what came instead, or when ctx ends. What the simulators
// logged before does not count.
func (s Script) Run(ctx context.Context, w World) error {
	if w.Client == nil || w.Slack == "" {
		return fmt.Errorf("play %s: the world needs a Slack and a client", s.Name)
	}
	if w.Sleep == nil {
		w.Sleep = sleep
	}
	if w.Say == nil {
		w.Say = func(string) {}
	}
	w.Patience = cmp.Or(w.Patience, defaultPatience)
	w.Quiet = cmp.Or(w.Quiet, defaultQuiet)
	p := &player{world: w, taken: map[destination]int{}}
	if err := p.look(ctx); err != nil {
		return fmt.Errorf("play %s: %w", s.Name, err)
	}
	for _, e := range p.events {
		p.taken[e.destination()] = e.Seq
	}
	for _, st := range s.steps {
		_, expects := st.act.(*sees)
		if !expects {
			w.Say(st.text)
		}
		said, err := st.act.run(ctx, p)
		if err != nil {
			return fmt.Errorf("%s:%d: %s\n%w", s.Name, st.line, st.text, err)
		}
		if expects {
			w.Say(said)
		}
	}
	return nil
}

// sleep waits on package time, which is the bubble's clock in a bubble.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look reads what was logged since the last look.
func (p *player) look(ctx context.Context) error {
	since := 0
	if n := len(p.events); n > 0 {
		since = p.events[n-1].Seq
	}
	var fresh []event
	if err := p.getJSON(ctx, fmt.Sprintf("%s/_control/log?since=%d", p.world.Slack, since), &fresh); err != nil {
		return err
	}
	p.events = append(p.events, fresh...)
	return nil
}

// until looks again and again until met says so, at most for the world's patience. It
// returns whether it was met.
func (p *player) until(ctx context.Context, met func() (bool, error)) (bool, error) {
	for waited := time.Duration(0); ; waited += pollEvery {
		ok, err := met()
		if ok || err != nil || waited >= p.world.Patience {
			return ok, err
		}
		if err := p.world.Sleep(ctx, pollEvery); err != nil {
			return false, err
		}
	}
}

func (p *player) getJSON(ctx context.Context, url string, into any) error {
	text, err := p.fetch(ctx, http.MethodGet, url, "")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	return nil
}

// fetch makes one control request; an answer other than 200 is an error with its text.
func (p *player) fetch(ctx context.Context, method, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := p.world.Client.Do(req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return "", fmt.Errorf("read %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSpace(string(text)))
	}
	return string(text), nil
}

// control sends one line to a simulator.
func (p *player) control(ctx context.Context, to, line string) error {
	base := p.world.Slack
	if to == "heroku" {
		base = p.world.Heroku
	}
	if base == "" {
		return fmt.Errorf("there is no %s in this world", to)
	}
	_, err := p.fetch(ctx, http.MethodPost, base+"/_control/do", line)
	return err
}
