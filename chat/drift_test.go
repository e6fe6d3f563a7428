package chat

import (
	"context"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/sim/slack"
)

func (m *memory) Bulletin(ctx context.Context, id string) (audit.Bulletin, error) {
	b, found, err := fetch(ctx, m, id, func(m *memory) map[string]audit.Bulletin { return m.bulletins })
	if err == nil && !found {
		err = audit.ErrNoBulletin
	}
	return b, err
}

func (m *memory) Standing(ctx context.Context, app fleet.ID) (s audit.Standing, found bool, err error) {
	return fetch(ctx, m, app, func(m *memory) map[fleet.ID]audit.Standing { return m.standings })
}

// playDrifts runs a story in which people are told of drift.
func playDrifts(t *testing.T, opts slack.Options, f func(*stage)) {
	t.Helper()
	say := func(text string, more ...commands.Part) commands.Reply {
		return commands.Reply{Public: true, Summary: text, Parts: append([]commands.Part{commands.Para{Text: commands.Line(text)}}, more...)}
	}
	playStory(t, opts, func(c *Config) {
		m := c.Requests.(*memory)
		c.Drifts = Drifts{
			Bulletins: m, Posts: m,
			Render: func(b audit.Bulletin, repeat bool) (commands.Reply, []commands.Reply) {
				text := "drift " + b.ID
				if repeat {
					text += ", again"
				}
				return say(text, commands.Buttons{Row: []commands.Button{{Label: "Fix…", Run: "status shop"}}}), []commands.Reply{say("the others")}
			},
			Home: func() string { return "C0OPS" },
		}
	}, f)
}

// bulletin stores one, and the job that posts it.
func (s *stage) bulletin(id, channel string, age time.Duration, apps ...fleet.ID) {
	b := audit.Bulletin{ID: id, Channel: channel, At: time.Now().Add(-age)}
	for _, app := range apps {
		b.Drifts = append(b.Drifts, audit.Drifted{Line: audit.Line{App: app, Checks: []string{"preboot"}}, Channel: channel, Found: b.At})
	}
	s.memory.set(func(m *memory) {
		m.bulletins[id] = b
		m.jobs["drift:"+id] = &task{id: "drift:" + id, at: time.Now()}
	})
	s.queue.Wake()
}

var driftShown = []string{"drift 1 / [Fix…]", "  the others"}

func TestDriftIsToldOnceInItsChannel(t *testing.T) {
	playDrifts(t, slack.Options{}, func(s *stage) {
		s.bulletin("1", "C0SHOP", 0)
		time.Sleep(time.Minute)
		s.wantDone()
		s.wantShown("shop", driftShown...)
		s.wantShown("ops")
	})
}

func TestDriftAndSlacksTroubles(t *testing.T) {
	for name, fault := range map[string]string{
		"limited": "fault next 2 chat.postMessage 429 60", "the answer is lost": "fault next 1 chat.postMessage reset-after", "in trouble": "fault next 3 chat.postMessage 503",
		"not a member": "channel kick #shop",
	} {
		t.Run(name, func(t *testing.T) {
			playDrifts(t, slack.Options{}, func(s *stage) {
				s.do(fault)
				s.bulletin("1", "C0SHOP", 0)
				time.Sleep(30 * time.Minute)
				s.wantDone()
				s.wantShown("shop", driftShown...)
				s.wantShown("ops")
			})
		})
	}
}

func TestDriftOfALostChannelIsToldByThatOfTheDigests(t *testing.T) {
	playDrifts(t, slack.Options{}, func(s *stage) {
		s.do("channel archive #shop")
		s.bulletin("1", "C0SHOP", 0)
		time.Sleep(10 * time.Minute)
		s.wantDone()
		s.wantShown("shop")
		s.wantShown("ops", driftShown...)
	})
	// Where that is the one that is lost, it is logged, and that is all.
	playDrifts(t, slack.Options{}, func(s *stage) {
		s.do("channel archive #ops")
		s.bulletin("1", "C0OPS", 0)
		time.Sleep(10 * time.Minute)
		s.wantDone()
		s.wantShown("ops")
		s.wantLog("drift can't be told in a channel", 1)
	})
}

// TestDriftThatIsLateIsLeftToTheDigest where a night has told of it, or it is well by now,
// and is told else, however late.
func TestDriftThatIsLateIsLeftToTheDigest(t *testing.T) {
	playDrifts(t, slack.Options{}, func(s *stage) {
		now := time.Now()
		stands := func(read time.Time, is audit.Outcome) audit.Standing {
			return audit.Standing{ReadAt: read, Marks: []audit.Mark{{Check: "preboot", Required: true, Outcome: is, Known: is, KnownAt: read}}}
		}
		s.memory.set(func(m *memory) {
			m.standings = map[fleet.ID]audit.Standing{
				"told": stands(now.Add(-time.Hour), audit.Fail), "well": stands(now.Add(-time.Hour), audit.Pass), "still": stands(now.Add(-30*time.Hour), audit.Pass),
			}
		})
		s.bulletin("1", "C0SHOP", 25*time.Hour, "told", "well", "gone")
		s.bulletin("2", "C0SHOP", 25*time.Hour, "told", "still")
		s.bulletin("3", "C0SHOP", time.Minute, "gone")
		time.Sleep(10 * time.Minute)
		s.wantDone()
		s.wantShown("shop", "drift 2 / [Fix…]", "  the others", "drift 3 / [Fix…]", "  the others")
		s.wantLog("drift could not be told in time", 1)
	})
}

func TestDriftOverEveryCrash(t *testing.T) {
	moments := 1
	for n := 0; n < moments; n++ {
		playDrifts(t, slack.Options{}, func(s *stage) {
			s.memory.fuse.light(n)
			s.bulletin("1", "C0SHOP", 0)
			time.Sleep(30 * time.Second)
			if moments = max(moments, 2*s.memory.fuse.count()+2); !s.memory.fuse.blown() && n < moments-2 {
				t.Errorf("moment %d of %d: nobody died", n, moments)
			}
			s.stop()
			s.memory.fuse.renew()
			s.start()
			time.Sleep(10 * time.Minute)
			s.wantDone()
			s.wantShown("shop", driftShown...)
		})
		if t.Failed() {
			t.Fatalf("at moment %d", n)
		}
	}
	t.Logf("%d moments", moments)
}

func TestDriftRefusesWhatItCannotRead(t *testing.T) {
	b := &Bot{}
	if err := b.Drift(t.Context(), nil); err == nil {
		t.Error("got no error without anything to tell with")
	}
	playDrifts(t, slack.Options{}, func(s *stage) {
		s.memory.set(func(m *memory) { m.jobs["drift:9"] = &task{id: "drift:9", at: time.Now()} })
		s.queue.Wake()
		time.Sleep(time.Minute)
		s.wantDone() // it is older than what is kept
		s.wantShown("shop")
	})
}
