//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	simslack "example.com/zdd/sim/slack"
)

// press is one thing that a person did, and what Slack heard of the bot about it.
type press struct {
	who, did       string // script name; enable, approve, …
	app, ticket    string
	envelope       string // empty: no link was live
	acked, refused bool   // refused: the acknowledgement said "not accepted"
	at             time.Time
}

// crowd are people who type and press, look at what Slack shows, and try again, as people do.
type crowd struct {
	world   *crashWorld
	http    *http.Client
	patient bool // they have a deploy watched once more where the first watch was cut short

	mu      sync.Mutex
	rnd     *rand.Rand
	shown   int
	events  []simslack.Event
	acks    map[string]int       // by envelope: the index in events
	tickets map[string]*sighting // by id
	presses []*press
	stuck   []string // stories that did not come to their end
	hands   []string // apps that were changed by hand
}

// sighting is what messages and answers have shown of a ticket, a waiver or a watch.
type sighting struct {
	id, line string // T-3, "enable app-0001"; W-3, "preboot of app-0001"; D-3, "live-0001"
	state    ticketSeen
	label    string // of the button that approves
	end      string // how it ended: done, stopped, …
}

// ticketSeen is how far a ticket is, as its heading says.
type ticketSeen int

const (
	seenPending ticketSeen = iota
	seenApproved
	seenRunning
	seenOver
)

// heading is the first line of a message about a ticket, or a waiver.
var heading = regexp.MustCompile(`(?m)^\W*([TW]-[0-9]+) · (.+?): (.+?)\W*$`)

var approveLabel = regexp.MustCompile(`\[(Approve[^\]]*)\]`)

func newCrowd(w *crashWorld, seed uint64) *crowd {
	return &crowd{world: w, http: &http.Client{}, rnd: rand.New(rand.NewPCG(seed, 2)), acks: map[string]int{}, tickets: map[string]*sighting{}}
}

// watch follows what Slack shows until ctx ends. It asks anew at least every so often,
// for which nothing waits.
func (p *crowd) watch(ctx context.Context, every time.Duration) error {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/_control/log?since=%d&wait=%s", p.world.slackURL, p.shown, every), nil)
		if err != nil {
			return err
		}
		res, err := p.http.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		var news []simslack.Event
		err = json.NewDecoder(res.Body).Decode(&news)
		_ = res.Body.Close()
		if err != nil && ctx.Err() == nil {
			return err
		}
		p.mu.Lock()
		for _, e := range news {
			p.see(e)
		}
		p.mu.Unlock()
	}
	return nil
}

func (p *crowd) see(e simslack.Event) {
	p.shown = e.Seq
	p.events = append(p.events, e)
	if e.Kind == "ack" {
		p.acks[e.Envelope] = len(p.events) - 1
		return
	}
	found := heading.FindStringSubmatch(e.Text)
	if found == nil {
		found = watchHeading.FindStringSubmatch(e.Text)
	}
	if e.By != "bot" || found == nil {
		return
	}
	s := p.tickets[found[1]]
	if s == nil {
		s = &sighting{id: found[1], line: strings.Trim(found[2], "`")}
		p.tickets[found[1]] = s
	}
	if label := approveLabel.FindStringSubmatch(e.Text); label != nil && !e.Ephemeral {
		s.label = label[1]
	}
	now := seenAs(found[3])
	s.state = max(s.state, now)
	if now == seenOver { // a private answer of a moment earlier may be shown after it
		s.end = found[3]
	}
}

func seenAs(word string) ticketSeen {
	switch {
	case strings.HasPrefix(word, "awaits"), strings.HasPrefix(word, "a preview"), strings.HasPrefix(word, "a waiver awaits"), strings.HasPrefix(word, "a watch begins"), strings.HasPrefix(word, "I ask"):
		return seenPending
	case strings.HasPrefix(word, "approved"), word == "waived":
		return seenApproved
	case strings.HasPrefix(word, "under way"), strings.HasPrefix(word, "stops after"), strings.HasPrefix(word, "watching"):
		return seenRunning
	}
	return seenOver
}

// about lists the tickets of that line, oldest first.
func (p *crowd) about(line string) (ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, s := range p.tickets {
		if s.line == line {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return ticketNumber(a) - ticketNumber(b) })
	return ids
}

func ticketNumber(id string) (n int) {
	_, _ = fmt.Sscanf(id[1:], "-%d", &n) // 0 where it is none
	return n
}

func (p *crowd) sees(ticket string) sighting {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.tickets[ticket]; s != nil {
		return *s
	}
	return sighting{id: ticket}
}

// await looks until something is so, for as long as the limit is.
func (p *crowd) await(ctx context.Context, limit time.Duration, so func() bool) bool {
	until := time.Now().Add(limit)
	for !so() {
		if ctx.Err() != nil || time.Now().After(until) {
			return so()
		}
		time.Sleep(look)
	}
	return true
}

func (p *crowd) dither(most time.Duration) {
	p.mu.Lock()
	d := time.Duration(p.rnd.Int64N(int64(most)))
	p.mu.Unlock()
	time.Sleep(d)
}

// coin is true as often as not.
func (p *crowd) coin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rnd.IntN(2) == 0
}

const (
	// ackShown is when Slack has said that a command failed, or it has not.
	ackShown = 3500 * time.Millisecond
	// patience is how long a person waits for something to come of what was accepted.
	patience = 15 * time.Second
	// storyLimit is how long a person tries one thing at the most, kills or not.
	storyLimit = 4 * time.Minute
)

// errNoButton says that what was to be pressed is not there.
var errNoButton = errors.New("there is no such button")

// do has a person do something: line is the simulator's, what the rest says.
func (p *crowd) do(ctx context.Context, line string, what press) (*press, error) {
	what.at = time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.world.slackURL+"/_control/do", strings.NewReader(line))
	if err != nil {
		return nil, err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&text, res.Body); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		if strings.Contains(text.String(), "sees no button") {
			return nil, errNoButton
		}
		return nil, errors.New(text.String())
	}
	p.world.happened(momentPressed, -1)
	if words := strings.Fields(text.String()); len(words) > 2 && words[2] == "to" {
		what.envelope = words[1]
	}
	done := &what
	p.mu.Lock()
	p.presses = append(p.presses, done)
	p.mu.Unlock()
	if done.envelope == "" {
		return done, nil
	}
	p.await(ctx, ackShown, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, done.acked = p.acks[done.envelope]
		return done.acked
	})
	if done.acked {
		p.await(ctx, 100*time.Millisecond, func() bool { return p.turnedAway(done) })
	}
	return done, nil
}

// turnedAway looks whether a press was told "not accepted": a command with its
// acknowledgement, a click by a message.
func (p *crowd) turnedAway(d *press) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, acked := p.acks[d.envelope]
	if !acked {
		return false
	}
	for _, e := range p.events[i:] {
		if e.To == d.who && e.By == "bot" && strings.Contains(strings.ToLower(e.Text), "not accepted") {
			d.refused = true
		}
	}
	return d.refused
}

// insist does something again and again until it is so, as people do who see an error,
// or nothing.
func (p *crowd) insist(ctx context.Context, line string, what press, so func() bool) error {
	until := time.Now().Add(storyLimit)
	for !so() {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(until):
			return fmt.Errorf("%s did %q for %s, in vain", what.who, line, storyLimit)
		}
		d, err := p.do(ctx, line, what)
		switch {
		case errors.Is(err, errNoButton): // somebody else was faster, or it is not yet there
			p.await(ctx, time.Second, so)
		case err != nil:
			return err
		case d.acked && !d.refused:
			p.await(ctx, patience, func() bool { return so() || p.toldAfter(d) })
			p.await(ctx, time.Second, so)
		}
		p.dither(600 * time.Millisecond)
	}
	return nil
}

// toldAfter says whether the person has had a private answer since, which names the
// ticket or app.
func (p *crowd) toldAfter(d *press) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, acked := p.acks[d.envelope]
	return acked && slices.ContainsFunc(p.events[i:], func(e simslack.Event) bool { return d.answeredBy(e) })
}

// answeredBy says whether an event is an answer to the press, as far as a person can tell.
func (d *press) answeredBy(e simslack.Event) bool {
	if e.To != d.who || e.By != "bot" || !e.Ephemeral && e.Kind != "dm" {
		return false
	}
	return d.ticket != "" && mentions(e.Text, d.ticket) || d.app != "" && mentions(e.Text, d.app)
}

// mentions says whether the text has the word, and not as the beginning of a longer one.
func mentions(text, word string) bool {
	for {
		_, rest, found := strings.Cut(text, word)
		if !found {
			return false
		}
		if rest == "" || rest[0] < '0' || rest[0] > '9' {
			return true
		}
		text = rest
	}
}

// errNothing says that a person was told that there is nothing to do.
var errNothing = errors.New("nothing to do")

// ask makes a ticket of a command line, and finds it.
func (p *crowd) ask(ctx context.Context, who, line, app string) (ticket string, err error) {
	return p.askFor(ctx, who, line, line, app)
}

// askFor is ask for a line that messages show as another.
func (p *crowd) askFor(ctx context.Context, who, line, shown, app string) (ticket string, err error) {
	known, begun := p.about(shown), time.Now()
	needless := func() bool { return p.told(who, begun, "Nothing to do for", line) }
	err = p.insist(ctx, "type "+who+" #general /zdd "+line, press{who: who, did: "ask", app: app}, func() bool { return len(p.about(shown)) > len(known) || needless() })
	if err != nil {
		return "", err
	}
	if now := p.about(shown); len(now) > len(known) {
		return now[len(known)], nil
	}
	return "", errNothing
}

// told says whether a person has seen an answer since then that holds these words.
func (p *crowd) told(who string, since time.Time, words ...string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slices.Backward(p.events) {
		if e.At.Before(since) {
			return false
		}
		if e.To == who && e.By == "bot" && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e.Text, w) }) {
			return true
		}
	}
	return false
}

// decide has one person approve: by the button, once that is there, or by its text twin.
func (p *crowd) decide(ctx context.Context, who, ticket string) error {
	done := func() bool { return p.sees(ticket).state > seenPending }
	what := press{who: who, did: "approve", ticket: ticket}
	if label := p.sees(ticket).label; label != "" && p.coin() {
		return p.insist(ctx, fmt.Sprintf("click %s %s on %s ·", who, label, ticket), what, done)
	}
	return p.insist(ctx, fmt.Sprintf("type %s #ops /zdd approve %s", who, ticket), what, done)
}

// approve has both approvers approve, at the same moment.
func (p *crowd) approve(ctx context.Context, ticket string) error {
	p.await(ctx, patience, func() bool { return p.sees(ticket).label != "" })
	p.dither(400 * time.Millisecond)
	var one, two error
	var both sync.WaitGroup
	both.Go(func() { one = p.decide(ctx, "approver", ticket) })
	both.Go(func() { two = p.decide(ctx, "approver2", ticket) })
	both.Wait()
	return errors.Join(one, two)
}

// over waits for the end of a ticket.
func (p *crowd) over(ctx context.Context, ticket string) error {
	if p.await(ctx, storyLimit, func() bool { return p.sees(ticket).state == seenOver }) {
		return nil
	}
	return fmt.Errorf("%s is not over after %s", ticket, storyLimit)
}
