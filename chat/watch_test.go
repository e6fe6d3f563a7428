package chat

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/sim/slack"
	"example.com/zdd/watch"
)

// watchBook keeps watches for a story.
type watchBook struct{ m *memory }

func (b watchBook) Watch(ctx context.Context, id string) (watch.Watch, error) {
	w, found, err := fetch(ctx, b.m, id, func(m *memory) map[string]watch.Watch { return m.deploys })
	if err == nil && !found {
		err = watch.ErrNoWatch
	}
	return w, err
}

// playDeploys runs a story in which people are told of watched deploys.
func playDeploys(t *testing.T, opts slack.Options, f func(*stage)) {
	t.Helper()
	playStory(t, opts, func(c *Config) {
		m := c.Requests.(*memory)
		c.Deploys = Deploys{
			Watches: watchBook{m}, Posts: m,
			Render: func(w watch.Watch) commands.Reply {
				text := strings.TrimSpace("watch " + w.ID + " " + string(w.State) + " " + string(w.Verdict))
				parts := []commands.Part{commands.Para{Text: commands.Line(text)}}
				if w.State != watch.Ended {
					parts = append(parts, commands.Buttons{Row: []commands.Button{{Label: "Stop", Run: "status shop"}}})
				}
				return commands.Reply{Summary: text, Parts: parts}
			},
			Home: func() string { return "C0OPS" },
		}
	}, f)
}

// deploys stores a revision of a watch, and the job that tells it.
func (s *stage) deploys(w watch.Watch) {
	s.memory.set(func(m *memory) {
		if m.deploys == nil {
			m.deploys = map[string]watch.Watch{}
		}
		m.deploys[w.ID] = w
		id := watch.WorkTellDeployWatch + ":" + w.ID + ":" + strconv.FormatInt(w.Rev, 10)
		m.jobs[id] = &task{id: id, at: time.Now()}
	})
	s.queue.Wake()
}

// watchOf is a watch in the channel, as it stands by its rev: 1 waiting, 2 running, 3 over.
func watchOf(channel, by string, rev int64) watch.Watch {
	w := watch.Watch{ID: "D-12", Rev: rev, Name: "shop", By: by, Channel: channel, State: watch.Waiting, Asked: time.Now()}
	if rev > 1 {
		w.State, w.Began = watch.Running, time.Now()
	}
	if rev > 2 {
		w.State, w.Verdict, w.Ended = watch.Ended, watch.Proved, time.Now()
	}
	return w
}

var watchTold = []string{"watch D-12 ended proved", "  @U0ANNA watch D-12 ended proved", "  [file: zdd-watch-D-12.json]"}

func TestAWatchIsOneMessageThatIsChanged(t *testing.T) {
	playDeploys(t, slack.Options{}, func(s *stage) {
		for rev, want := range [][]string{{"watch D-12 waiting / [Stop]"}, {"watch D-12 running / [Stop]"}, watchTold} {
			s.deploys(watchOf("C0SHOP", "U0ANNA", int64(rev+1)))
			time.Sleep(time.Minute)
			s.wantDone()
			s.wantShown("shop", want...)
		}
		s.deploys(watchOf("C0SHOP", "U0ANNA", 4)) // such as its place in the ledger
		time.Sleep(time.Minute)
		s.wantDone()
		s.wantShown("shop", watchTold...)
		s.wantShown("ops")
	})
}

func TestAWatchAndSlacksTroubles(t *testing.T) {
	for name, fault := range map[string]string{
		"limited": "fault next 2 chat.postMessage 429 60", "the answer is lost": "fault next 1 chat.postMessage reset-after", "in trouble": "fault next 3 chat.postMessage 503",
		"no file yet": "fault next 2 files.getUploadURLExternal 503", "limited for files": "fault next 1 files.completeUploadExternal 429 60",
	} {
		t.Run(name, func(t *testing.T) {
			playDeploys(t, slack.Options{}, func(s *stage) {
				s.do(fault)
				s.deploys(watchOf("C0SHOP", "U0ANNA", 3))
				time.Sleep(30 * time.Minute)
				s.wantDone()
				s.wantShown("shop", watchTold...)
				s.wantShown("ops")
			})
		})
	}
}

// TestAWatchThatNobodyAskedFor is told in its channel, or in that of the digests.
func TestAWatchThatNobodyAskedFor(t *testing.T) {
	alone := []string{watchTold[0], watchTold[2]}
	playDeploys(t, slack.Options{}, func(s *stage) {
		s.deploys(watchOf("C0SHOP", "", 3))
		time.Sleep(time.Minute)
		s.wantDone()
		s.wantShown("shop", alone...)
	})
	playDeploys(t, slack.Options{}, func(s *stage) {
		s.do("channel archive #shop")
		s.deploys(watchOf("C0SHOP", "", 3))
		time.Sleep(time.Minute)
		s.wantDone()
		s.wantShown("shop")
		s.wantShown("ops", alone...)
	})
}

// TestAWatchOfALostChannelIsToldToWhomAskedForIt and nobody else.
func TestAWatchOfALostChannelIsToldToWhomAskedForIt(t *testing.T) {
	playDeploys(t, slack.Options{}, func(s *stage) {
		s.do("channel archive #shop")
		s.deploys(watchOf("C0SHOP", "U0REQUESTER", 3))
		time.Sleep(time.Minute)
		s.wantDone()
		s.wantShown("shop")
		s.wantShown("ops")
		if got := s.saw(); !strings.Contains(got, "watch D-12 ended proved") {
			t.Errorf("they saw %q", got)
		}
	})
}

func TestAWatchOverEveryCrash(t *testing.T) {
	moments := 1
	for n := 0; n < moments; n++ {
		playDeploys(t, slack.Options{}, func(s *stage) {
			s.memory.fuse.light(n)
			s.deploys(watchOf("C0SHOP", "U0ANNA", 3))
			time.Sleep(30 * time.Second)
			if moments = max(moments, 2*s.memory.fuse.count()+2); !s.memory.fuse.blown() && n < moments-2 {
				t.Errorf("moment %d of %d: nobody died", n, moments)
			}
			s.stop()
			s.memory.fuse.renew()
			s.start()
			time.Sleep(10 * time.Minute)
			s.wantDone()
			s.wantShown("shop", watchTold...)
		})
		if t.Failed() {
			t.Fatalf("at moment %d", n)
		}
	}
}

func TestAWatchWithoutWhatTellsIt(t *testing.T) {
	b := &Bot{}
	if err := b.TellDeployWatch(t.Context(), nil); err == nil {
		t.Error("got no error from a bot that can't tell of watches")
	}
	playDeploys(t, slack.Options{}, func(s *stage) { // it is older than what is kept
		s.memory.set(func(m *memory) {
			m.jobs["tell-deploy-watch:D-9:1"] = &task{id: "tell-deploy-watch:D-9:1", at: time.Now()}
		})
		s.queue.Wake()
		time.Sleep(time.Minute)
		s.wantDone()
		s.wantShown("shop")
	})
}
