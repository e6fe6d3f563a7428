package chat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/sim/slack"
)

// board makes pages of two numbers, one that is everybody's and one that is the person's own.
// They are as old as the request allows: whatever may be late is.
type board struct {
	mu     sync.Mutex
	common []time.Time            // when each number became the current one
	own    map[string][]time.Time // by user id
	made   int
	err    error
}

func newBoard() *board { return &board{own: map[string][]time.Time{}} }

// set makes the next number current; for nobody: everybody's.
func (b *board) set(user string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if user == "" {
		b.common = append(b.common, time.Now())
		return
	}
	b.own[user] = append(b.own[user], time.Now())
}

// at is the number that was current then.
func at(numbers []time.Time, then time.Time) int {
	n, _ := slices.BinarySearchFunc(numbers, then, func(became, then time.Time) int {
		if became.After(then) {
			return 1
		}
		return -1
	})
	return n
}

// count is how many pages were made.
func (b *board) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.made
}

// numbers are those that were current, the person's own and everybody's, in order.
func (b *board) numbers(user string) (own, common []time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.own[user]), slices.Clone(b.common)
}

func (b *board) Home(_ context.Context, req commands.HomeRequest) (commands.Home, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	if req.By.Kind != commands.Member {
		return commands.Home{Sections: []commands.HomeSection{{Own: true, Parts: sentenceReply("Not for a " + string(req.By.Kind) + ".").Parts}}}, b.err
	}
	old := 5 * time.Second // as commands.HomeRequest says of apps
	return commands.Home{Sections: []commands.HomeSection{
		{Own: true, Parts: []commands.Part{commands.Para{Text: commands.Line(fmt.Sprintf("own %d of ", at(b.own[req.By.ID], req.After)), commands.MentionUser(req.By.ID))}}},
		{Parts: []commands.Part{
			commands.Para{Text: commands.Line(fmt.Sprintf("common %d", at(b.common, req.After.Add(-old))))},
			commands.Buttons{Row: []commands.Button{
				{Label: "Look", Run: "status shop"}, {Label: "Ticket", Run: "status shop buttons"}, {Label: "Wait", Run: "hold on"}, {Label: "Break", Run: "fail"},
				{Label: "Change", Run: "enable shop"}, {Label: "Flop", Run: "flop shop"}, {Label: "Say no", Run: "deny T-1", Ask: &commands.Ask{Title: "Deny", Label: "Why?"}},
				{Label: "Share it", Share: "status shop"},
			}},
		}},
	}}, b.err
}

// pages are the Home tabs that were published, by the name of who sees them.
func (s *stage) pages() (all []slack.Event, last map[string]slack.Event) {
	last = map[string]slack.Event{}
	for _, e := range s.sim.Events() {
		if e.Kind == "home" {
			all = append(all, e)
			last[e.To] = e
		}
	}
	return all, last
}

// crowd is the usual workspace with n people more.
func crowd(n int) slack.Workspace {
	ws := slack.DefaultWorkspace()
	for i := range n {
		ws.People = append(ws.People, slack.Person{Name: fmt.Sprintf("p%03d", i), ID: fmt.Sprintf("U0P%03d", i)})
	}
	return ws
}

// Five hundred people open their Home tab within a minute. Slack takes a hundred pages a
// minute: they get theirs in the order of their coming, no request is turned away, and each
// page is made when it is published, so that the last one is as new as the first.
func TestFiveHundredHomesInAMinute(t *testing.T) {
	b := newBoard()
	playStory(t, slack.Options{Workspace: crowd(500), PostBurst: 100}, func(c *Config) { c.Home = b }, func(s *stage) {
		begin := time.Now()
		changes := time.NewTicker(7 * time.Second)
		defer changes.Stop()
		next := time.Now()
		for i := range 500 {
			s.do(fmt.Sprintf("home p%03d", i))
			next = next.Add(120 * time.Millisecond)
			time.Sleep(time.Until(next))
		}
		if took := time.Since(begin); took > 61*time.Second {
			t.Fatalf("it took %s to open them all", took)
		}
		for range 5 * 60 {
			time.Sleep(time.Second)
			select {
			case <-changes.C:
				b.set("")
			default:
			}
		}
		all, last := s.pages()
		firsts := map[string]time.Time{}
		for i, e := range all {
			if i >= 100 && e.At.Sub(all[i-100].At) < time.Minute {
				t.Fatalf("101 pages within %s, at the %d.", e.At.Sub(all[i-100].At), i)
			}
			if _, known := firsts[e.To]; !known {
				firsts[e.To] = e.At
			}
			shown := common(t, e.Text)
			b.mu.Lock()
			now, before := at(b.common, e.At), at(b.common, e.At.Add(-10*time.Second))
			b.mu.Unlock()
			if shown > now || shown < before {
				t.Fatalf("%s got page %d at %s, want one of the last ten seconds: %d to %d", e.To, shown, e.At, before, now)
			}
		}
		if len(last) != 500 {
			t.Errorf("got %d people with a page, want all", len(last))
		}
		slowest := time.Duration(0)
		for i := range 500 {
			opened := begin.Add(time.Duration(i) * 120 * time.Millisecond)
			slowest = max(slowest, firsts[fmt.Sprintf("p%03d", i)].Sub(opened))
		}
		if slowest > 5*time.Minute {
			t.Errorf("somebody waited %s for their page, want at most what 500 of 100 a minute take", slowest)
		}
		t.Logf("500 openings, %d pages, the longest wait %s", len(all), slowest)
		s.wantLog("slack wants fewer home tabs", 0)
	})
}

var numbers = regexp.MustCompile(`(?s)^own (\d+) of @\S+\ncommon (\d+)\n`)

func common(t *testing.T, text string) int {
	t.Helper()
	_, n := both(t, text)
	return n
}

func both(t *testing.T, text string) (own, all int) {
	t.Helper()
	m := numbers.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no page: %q", text)
	}
	own, _ = strconv.Atoi(m[1])
	all, _ = strconv.Atoi(m[2])
	return own, all
}

// Nobody who looks at their Home tab sees what has not been so for a minute. Somebody looks
// from five seconds after they opened it, which the bot and Slack have to answer, until ten
// minutes after. Each second of half an hour, for thirty people who come and go, while what
// everybody sees and what each sees alone changes at random times: whatever stands on
// anybody's page was current within the last minute. The reading is as old as it may be.
func TestNoHomeIsAMinuteOld(t *testing.T) {
	const people = 30
	b := newBoard()
	rnd := rand.New(rand.NewPCG(7, 7))
	playStory(t, slack.Options{Workspace: crowd(people), PostBurst: 100}, func(c *Config) { c.Home = b }, func(s *stage) {
		opened := map[int]time.Time{}
		names := func(i int) (name, id string) { return fmt.Sprintf("p%03d", i), fmt.Sprintf("U0P%03d", i) }
		nextCommon := time.Now()
		oldest, looks := time.Duration(0), 0
		seen := map[string]slack.Event{}
		from := 0
		for range 30 * 60 {
			now := time.Now()
			if !now.Before(nextCommon) {
				b.set("")
				nextCommon = now.Add(time.Duration(rnd.IntN(90)) * time.Second)
			}
			for i := range people {
				name, id := names(i)
				if rnd.IntN(45) == 0 {
					b.set(id)
				}
				if since := now.Sub(opened[i]); since > 12*time.Minute && rnd.IntN(60) == 0 || since < 10*time.Minute && rnd.IntN(300) == 0 {
					s.do("home " + name)
					opened[i] = now
				}
			}
			time.Sleep(time.Second)
			now = time.Now()
			events := s.sim.Events()
			for _, e := range events[from:] {
				if e.Kind == "home" {
					seen[e.To] = e
				}
			}
			from = len(events)
			for i := range people {
				name, id := names(i)
				if since := now.Sub(opened[i]); opened[i].IsZero() || since < 5*time.Second || since > 10*time.Minute {
					continue
				}
				page, there := seen[name]
				if !there {
					t.Fatalf("%s opened their page %s ago and has none", name, now.Sub(opened[i]))
				}
				own, all := both(t, page.Text)
				looks++
				mine, common := b.numbers(id)
				for _, n := range []struct {
					what    string
					shown   int
					numbers []time.Time
				}{{"own", own, mine}, {"common", all, common}} {
					if n.shown == len(n.numbers) {
						continue
					}
					age := now.Sub(n.numbers[n.shown]) // since the next number took its place
					oldest = max(oldest, age)
					if age > time.Minute {
						t.Fatalf("%s sees the %s number %d, which has not been current for %s", name, n.what, n.shown, age)
					}
				}
			}
		}
		if looks < 10_000 {
			t.Errorf("only %d looks at pages", looks)
		}
		t.Logf("%d looks; the oldest thing seen had not been so for %s; %d pages made", looks, oldest, b.count())
		s.wantLog("slack wants fewer home tabs", 0)
	})
}

// What is unchanged is not published again, and nobody who has gone is published for.
func TestHomesAreNotPublishedForNothing(t *testing.T) {
	b := newBoard()
	playStory(t, slack.Options{}, func(c *Config) { c.Home = b }, func(s *stage) {
		count := func(want int, when string) {
			t.Helper()
			if all, _ := s.pages(); len(all) != want {
				t.Errorf("%s: got %d pages, want %d", when, len(all), want)
			}
		}
		s.do("home requester")
		time.Sleep(time.Second)
		count(1, "opened")
		s.do("home requester")
		time.Sleep(50 * time.Second)
		s.do("home requester")
		time.Sleep(time.Second)
		count(1, "opened again within a minute")
		time.Sleep(20 * time.Second)
		s.do("home requester")
		time.Sleep(time.Second)
		count(2, "opened again after it")
		b.set("U0APPROVER")
		time.Sleep(2 * time.Minute)
		count(2, "something of somebody else's changed")
		s.do("home approver")
		time.Sleep(time.Second)
		count(3, "somebody else opened theirs")
		for range 100 { // again and again
			b.set("U0REQUESTER")
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		count(3+5, "a hundred changes of one's own in as many seconds")
		time.Sleep(10 * time.Minute)
		b.set("")
		time.Sleep(2 * time.Minute)
		count(3+5, "nobody looks any more")
		if n := s.counted("zdd_slack_home_lookers"); n != 0 {
			t.Errorf("got %v people who look, want none", n)
		}
		made := b.count()
		time.Sleep(time.Hour)
		if now := b.count(); now != made {
			t.Errorf("%d pages were made for nobody", now-made)
		}
	})
}

// A new bot knows by the page itself what a person sees.
func TestAHomeAfterARestart(t *testing.T) {
	b := newBoard()
	playStory(t, slack.Options{}, func(c *Config) { c.Home = b }, func(s *stage) {
		s.do("home requester")
		time.Sleep(time.Second)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.start()
		s.do("home requester")
		time.Sleep(20 * time.Second)
		if all, _ := s.pages(); len(all) != 1 {
			t.Errorf("got %d pages, want the one from before the restart", len(all))
		}
		b.set("")
		time.Sleep(time.Minute)
		if all, last := s.pages(); len(all) != 2 || common(t, last["requester"].Text) != 1 {
			t.Errorf("got %d pages, want a second one with the change", len(all))
		}
	})
}

// Trouble with Slack delays a page and ends nothing; what Slack refuses is told on the page.
func TestHomeTroubles(t *testing.T) {
	tests := map[string]struct {
		do      []string
		within  time.Duration
		want    string // begins the last page; empty: there is none
		log     string
		publish int // calls
	}{
		"a limit":             {[]string{"fault next 1 views.publish 429 30"}, 32 * time.Second, "own 0", "slack wants fewer home tabs", 2},
		"a fault":             {[]string{"fault next 2 views.publish 500"}, 15 * time.Second, "own 0", "could not be published", 3},
		"who it is":           {[]string{"fault next 4 users.info 500"}, 30 * time.Second, "own 0", "", 1},
		"a page it refuses":   {[]string{"fault next 1 views.publish invalid_arguments"}, 5 * time.Second, "I could not draw this page", "slack refused a home tab", 2},
		"the tab is off":      {[]string{"fault next 9 views.publish not_enabled"}, time.Minute, "", "could not be published", 1},
		"Slack is long gone":  {[]string{"fault next 99 views.publish 500"}, 5 * time.Minute, "", "could not be published", 5},
		"nobody is let know":  {[]string{"scope remove users:read"}, 5 * time.Second, "I can't check who you are", "does not say who somebody is", 1},
		"a guest, by the way": {[]string{"user guest requester"}, 5 * time.Second, "Not for a guest", "", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playStory(t, slack.Options{}, func(c *Config) { c.Home = newBoard() }, func(s *stage) {
				for _, line := range tt.do {
					s.do(line)
				}
				s.do("home requester")
				time.Sleep(tt.within)
				_, last := s.pages()
				if got := last["requester"].Text; !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
					t.Errorf("got the page %q, want %q\n%s", got, tt.want, s.log)
				}
				if tt.log != "" && !strings.Contains(s.log.String(), tt.log) {
					t.Errorf("the log lacks %q:\n%s", tt.log, s.log)
				}
				calls := 0
				for _, c := range s.sim.Calls() {
					if c.Method == "views.publish" {
						calls++
					}
				}
				if calls != tt.publish {
					t.Errorf("got %d calls, want %d\n%s", calls, tt.publish, s.log)
				}
			})
		})
	}
}

// What a page had to leave out is logged, and not for each time that it is read.
func TestHomeThatLacksSomething(t *testing.T) {
	b := newBoard()
	b.err = errors.New("read tickets: the database is away " + canaryBot)
	playStory(t, slack.Options{}, func(c *Config) { c.Home = b }, func(s *stage) {
		s.do("home requester")
		time.Sleep(5 * time.Minute)
		s.wantLog("the home tab lacks something", 1)
		s.do("home requester")
		time.Sleep(6 * time.Minute)
		s.wantLog("the home tab lacks something", 2)
	})
}

// Whoever asks for their page gets it, with the time at which it was made, and what they did
// themselves is on it at once.
func TestRefreshAndOwnActs(t *testing.T) {
	b := newBoard()
	playStory(t, slack.Options{}, func(c *Config) { c.Home = b }, func(s *stage) {
		s.do("home requester")
		time.Sleep(time.Minute)
		s.saw()
		s.do("click requester Refresh")
		s.want(time.Second, "home→requester: own 0 of @requester / common 0 / [Look] [Ticket] [Wait] [Break] [Change] [Flop] [Say no] / Made today at 00:01")
		b.set("U0REQUESTER") // as it would by the act
		s.do("type requester #ops /zdd enable shop")
		s.want(time.Second, "ephemeral→requester: shop enable", "home→requester: own 1")
		b.set("U0APPROVER")
		s.do("type approver #ops /zdd enable shop") // who does not look
		s.want(time.Minute, "ephemeral→approver: shop enable")
		for range 100 { // a nervous finger
			s.do("click requester Refresh")
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if all, _ := s.pages(); len(all) > 3+6 {
			t.Errorf("got %d pages, want one every two seconds at most", len(all))
		}
	})
}

// Whoever has no page of their own is not offered it anew, nor told when it was made.
func TestClosedHome(t *testing.T) {
	said := []commands.HomeSection{{Own: true, Parts: []commands.Part{commands.Para{Text: commands.Line("You are a guest.")}}}}
	for closed, want := range map[bool]int{true: 1, false: 3} {
		blocks := HomeBlocks(commands.Home{Sections: said, Closed: closed}, time.Unix(1, 0))
		if len(blocks) != want {
			t.Errorf("closed %t: got %d blocks, want %d", closed, len(blocks), want)
		}
	}
}
