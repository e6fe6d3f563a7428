package chat

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/sim/slack"
)

// survey is how the fleet is read for a report.
type survey struct {
	apps    int
	each    time.Duration // for one app
	fails   error
	panics  bool
	running atomic.Int32
	most    atomic.Int32 // readings at once
}

func (v *survey) collect(ctx context.Context, want audit.Want, progress func(done, of int)) (audit.Fleet, error) {
	v.most.Store(max(v.most.Load(), v.running.Add(1)))
	defer v.running.Add(-1)
	if v.panics {
		panic("at the disco " + canaryBot)
	}
	f := audit.Fleet{Coverage: audit.Coverage{Seen: v.apps, InScope: v.apps}}
	for i := range v.apps {
		progress(i, v.apps)
		if !pause(ctx, v.each) {
			return f, nil // what was read
		}
		f.Coverage.Judged++
	}
	return f, v.fails
}

var asker = commands.Person{ID: "U0REQUESTER", Team: "T0ACME", Kind: commands.Member}

// playReports runs a story in which people ask for reports.
func playReports(t *testing.T, opts slack.Options, v *survey, f func(*stage)) {
	t.Helper()
	say := func(text string) commands.Reply {
		return commands.Reply{Summary: text, Parts: []commands.Part{commands.Para{Text: commands.Line(text)}}}
	}
	playStory(t, opts, func(c *Config) {
		m := c.Requests.(*memory)
		c.Reports = Reports{
			Posts: m,
			Tx: func(_ context.Context, do func(*sql.Tx) error) error {
				return m.commit(func() error { return do(nil) })
			},
			Enqueue: func(_ context.Context, _ *sql.Tx, key string) error {
				m.set(func(m *memory) { m.jobs["report:"+key] = &task{id: "report:" + key, at: time.Now()} })
				return nil
			},
			Collect: v.collect,
			Progress: func(done, of int, want audit.Want) commands.Reply {
				return say(fmt.Sprintf("%s %d of %d", want.Team, done, of))
			},
			View: func(_ context.Context, f audit.Fleet, want audit.Want, _ func(string) string) (commands.Reply, []commands.Reply) {
				return say(fmt.Sprintf("the fleet: %d judged of %d", f.Coverage.Judged, f.Coverage.InScope)), []commands.Reply{say("part one"), say("part two")}
			},
			CSV: func(context.Context, audit.Fleet) ([]byte, error) { return []byte("app\n"), nil },
		}
	}, f)
}

// begin asks for a report.
func (s *stage) begin(want audit.Want) bool {
	s.t.Helper()
	joined, err := s.bot.BeginReport(s.t.Context(), asker, want)
	if err != nil {
		s.t.Fatal(err)
	}
	return joined
}

// direct is what stands in the requester's direct conversation now.
func (s *stage) direct() []string {
	s.t.Helper()
	var out []string
	at := map[string]int{}
	for _, e := range s.sim.Events() {
		if e.Channel != "D0REQUESTER" || e.By != "bot" {
			continue
		}
		text := strings.ReplaceAll(e.Text, "\n", " / ")
		if e.ThreadTS != "" {
			text = "  " + text
		}
		if i, known := at[e.TS]; known {
			out[i] = text
			continue
		}
		at[e.TS] = len(out)
		out = append(out, text)
	}
	return out
}

var report = []string{"the fleet: 30 judged of 30", "  part one", "  part two", "  [file: zdd-report-1.csv]"}

func TestAReportMovesAndEnds(t *testing.T) {
	v := &survey{apps: 30, each: 900 * time.Millisecond} // never at the moment of a look
	playReports(t, slack.Options{PostBurst: 1}, v, func(s *stage) {
		if s.begin(audit.Want{Team: "acme & co", Stage: "none"}) {
			t.Error("joined a report that there was not")
		}
		if got := s.direct(); !slices.Equal(got, []string{"acme & co 0 of 0"}) {
			t.Errorf("at first: %q", got)
		}
		time.Sleep(11 * time.Second)
		if !s.begin(audit.Want{Team: "another"}) {
			t.Error("a second reading began")
		}
		seen := s.saw()
		if n := strings.Count(seen, "update→requester"); n < 4 || n > 6 {
			t.Errorf("%d changes in 11 seconds, want one every 2:\n%s", n, seen)
		}
		if !strings.Contains(seen, "acme & co 8 of 30") {
			t.Errorf("seen:\n%s", seen)
		}
		time.Sleep(time.Minute)
		if got := s.direct(); !slices.Equal(got, report) {
			t.Errorf("in the end: %q", got)
		}
		if s.begin(audit.Want{}) {
			t.Error("joined a report that is over")
		}
		time.Sleep(2 * time.Minute)
		if got := s.direct(); len(got) != 2*len(report) || got[4] != report[0] || got[7] != "  [file: zdd-report-2.csv]" {
			t.Errorf("the second: %q", got)
		}
		for _, c := range s.sim.Calls() {
			if c.Error != "" {
				t.Errorf("%s: %s", c.Method, c.Error)
			}
		}
		s.wantDone()
		if v.most.Load() != 1 {
			t.Errorf("%d readings at once", v.most.Load())
		}
	})
}

func TestTwoWhoAskAtOnceAreOne(t *testing.T) {
	playReports(t, slack.Options{}, &survey{apps: 30, each: time.Second}, func(s *stage) {
		s.do("fault next 1 chat.postMessage slow 3s")
		joined := make(chan bool)
		go func() {
			was, err := s.bot.BeginReport(s.t.Context(), asker, audit.Want{})
			joined <- was && err == nil
		}()
		time.Sleep(time.Second)
		_, err := s.bot.BeginReport(s.t.Context(), asker, audit.Want{})
		if refusal, ok := errors.AsType[*commands.Refusal](err); !ok || !strings.Contains(refusal.Reply.Summary, "ask again") {
			t.Errorf("meanwhile: got %v, want a refusal", err)
		}
		if <-joined {
			t.Error("the first one joined")
		}
		time.Sleep(2 * time.Minute)
		if got := s.direct(); !slices.Equal(got, report) {
			t.Errorf("got %q", got)
		}
	})
}

func TestAReportThatCannotBeToldDirectly(t *testing.T) {
	for _, do := range []string{"user deactivate requester", "fault chat.postMessage messages_tab_disabled", "fault conversations.open 503|fault chat.postMessage 503", "fault chat.postMessage 429 90"} {
		playReports(t, slack.Options{}, &survey{apps: 1}, func(s *stage) {
			for line := range strings.SplitSeq(do, "|") {
				s.do(line)
			}
			_, err := s.bot.BeginReport(s.t.Context(), asker, audit.Want{})
			refusal, refused := errors.AsType[*commands.Refusal](err)
			if err == nil || refused == strings.Contains(do, "503") {
				t.Errorf("%s: got %v", do, err)
			}
			if refused && !strings.Contains(do, "429") && !strings.Contains(refusal.Reply.Summary, "The fleet was not read.") {
				t.Errorf("%s: said %s", do, refusal.Reply.Summary)
			}
			time.Sleep(time.Minute)
			if len(s.memory.jobs) > 0 {
				t.Errorf("%s: %d jobs", do, len(s.memory.jobs))
			}
		})
	}
}

func TestAReportThatFails(t *testing.T) {
	tests := map[string]struct {
		v    *survey
		want string
	}{
		"refused":  {&survey{fails: &commands.Refusal{Reply: sentenceReply("I can see no team `x` on Heroku.")}}, "I can see no team `x` on Heroku."},
		"broken":   {&survey{fails: errors.New("internal detail " + canaryApp)}, "I could not read the fleet. Nothing was changed. Try again in a minute; if it stays so, tell whoever runs me this reference: `"},
		"panics":   {&survey{panics: true}, "I could not read the fleet."},
		"too slow": {&survey{apps: 100, each: 59 * time.Second}, "the fleet: 20 judged of 100"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playReports(t, slack.Options{}, tt.v, func(s *stage) {
				s.begin(audit.Want{})
				time.Sleep(25 * time.Minute)
				if got := s.direct(); !strings.HasPrefix(got[0], tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				s.wantDone()
			})
		})
	}
}

func TestAReportWaitsForSlack(t *testing.T) {
	for name, do := range map[string]string{
		"away":    "fault * 503",
		"limited": "fault next 5 chat.update 429 20|fault next 3 chat.postMessage 429 60",
		"cut":     "fault next 2 chat.update reset-after|fault next 1 chat.postMessage reset-after",
	} {
		t.Run(name, func(t *testing.T) {
			v := &survey{apps: 30, each: time.Second}
			playReports(t, slack.Options{}, v, func(s *stage) {
				s.begin(audit.Want{})
				for line := range strings.SplitSeq(do, "|") {
					s.do(line)
				}
				time.Sleep(10 * time.Minute)
				s.do("faults clear")
				time.Sleep(10 * time.Minute)
				if got := s.direct(); !slices.Equal(got, report) {
					t.Errorf("got %q", got)
				}
				s.wantDone()
			})
		})
	}
}

// A reading that shows nothing new still keeps its job, whose lease is a minute.
func TestAReadingKeepsItsLease(t *testing.T) {
	playReports(t, slack.Options{}, &survey{apps: 2, each: 5 * time.Minute}, func(s *stage) {
		last, longest := time.Now(), time.Duration(0)
		s.queue.stepped = func() {
			s.memory.set(func(*memory) { longest, last = max(longest, time.Since(last)), time.Now() })
		}
		s.begin(audit.Want{})
		time.Sleep(15 * time.Minute)
		s.memory.set(func(*memory) {
			if longest > lease/2 {
				t.Errorf("%s without a step, and a lease of %s", longest, lease)
			}
		})
		if got := s.direct(); len(got) != 4 {
			t.Errorf("got %q", got)
		}
	})
}

// TestAReportOverEveryCrash ends the program at each moment, from the asking on.
func TestAReportOverEveryCrash(t *testing.T) {
	moments := 1
	for n := 0; n < moments; n++ {
		v := &survey{apps: 30, each: 200 * time.Millisecond}
		playReports(t, slack.Options{}, v, func(s *stage) {
			s.memory.fuse.light(n)
			_, begun := s.bot.BeginReport(s.t.Context(), asker, audit.Want{})
			time.Sleep(30 * time.Second)
			if moments = max(moments, 2*s.memory.fuse.count()+2); !s.memory.fuse.blown() && n < moments-2 {
				t.Errorf("moment %d of %d: nobody died", n, moments)
			}
			s.stop()
			s.memory.fuse.renew()
			s.start()
			time.Sleep(time.Minute)
			if begun != nil && len(s.memory.jobs) == 0 { // the person saw that it failed and nothing moves, and asks again
				if _, err := s.bot.BeginReport(s.t.Context(), asker, audit.Want{}); err != nil {
					t.Errorf("moment %d: asked again: %v", n, err)
				}
			}
			time.Sleep(10 * time.Minute)
			if got := s.direct(); !slices.Equal(got, report) {
				t.Errorf("moment %d: got %q", n, got)
			}
			s.wantDone()
			if v.running.Load() != 0 {
				t.Errorf("moment %d: a reading goes on", n)
			}
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d moments", moments)
}

func TestReportKeys(t *testing.T) {
	for _, want := range []audit.Want{{}, {Team: "a/b?c=d&e:f ü"}, {Stage: "none"}, {Team: "x", Stage: "production"}} {
		user, n, got, err := parseReportKey(reportKey("U1", 7, want))
		if user != "U1" || n != 7 || got != want || err != nil {
			t.Errorf("%+v: got %s %d %+v %v", want, user, n, got, err)
		}
	}
	if _, _, _, err := parseReportKey("U1"); err == nil {
		t.Error("a key without a number was taken")
	}
}
