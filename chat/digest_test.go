package chat

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/sim/slack"
)

func (m *memory) Night(ctx context.Context, id string) (audit.Night, error) {
	n, found, err := fetch(ctx, m, id, func(m *memory) map[string]audit.Night { return m.nights })
	if err == nil && !found {
		err = audit.ErrNoNight
	}
	return n, err
}

func (m *memory) Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error) {
	if err := m.away(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []audit.Night
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(m.nights))) {
		if n := m.nights[id]; !n.Slot.Before(since) && (limit == 0 || len(out) < limit) {
			n.Digest = nil
			out = append(out, n)
		}
	}
	return out, nil
}

func (m *memory) SaveNight(ctx context.Context, _ *sql.Tx, n audit.Night, _ ...audit.Work) error {
	if err := m.away(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.nights[n.ID]
	if was.Version != n.Version {
		return audit.ErrNightChanged
	}
	if n.Digest == nil {
		n.Digest = was.Digest
	}
	n.Version++
	m.nights[n.ID] = n
	return nil
}

// desk is what the policy says of digests, and how they look.
type desk struct {
	channels     []string
	home, notice string
	parent       commands.Reply
	thread       []commands.Reply
	csv          string
}

func plainDesk(channels ...string) *desk {
	say := func(text string, more ...commands.Part) commands.Reply {
		return commands.Reply{Public: true, Summary: text, Parts: append([]commands.Part{commands.Para{Text: commands.Line(text)}}, more...)}
	}
	fix := &commands.Button{Label: "Fix shop", Run: "status shop"}
	return &desk{
		channels: channels, home: "C0OPS", notice: "C0GENERAL", csv: "app,verdict\nshop,ready\n",
		parent: say("the digest", commands.Buttons{Row: []commands.Button{{Label: "Fix…", Run: "status shop"}}}),
		thread: []commands.Reply{say("part one", commands.List{Items: []commands.Item{{Mark: commands.MarkFail, Text: commands.Line("shop"), Button: fix}}}), say("part two")},
	}
}

// playDigests runs a story in which digests are posted.
func playDigests(t *testing.T, opts slack.Options, d *desk, f func(*stage)) {
	t.Helper()
	playStory(t, opts, func(c *Config) {
		m := c.Requests.(*memory)
		c.Digests = Digests{
			Nights: m, Posts: m,
			Render: func(_ audit.Digest, r Rendering) (commands.Reply, []commands.Reply) {
				parent := d.parent
				if r.Repeat {
					parent.Parts = append([]commands.Part{commands.Note{Text: commands.Line("Posted again.")}}, parent.Parts...)
				}
				return parent, d.thread
			},
			Channels: func(audit.Digest) (all []string) {
				m.set(func(*memory) { all = slices.Clone(d.channels) })
				return all
			},
			CSV: func(context.Context, audit.Night, string) ([]byte, error) { return []byte(d.csv), nil },
			Posted: func(_ context.Context, _ *sql.Tx, n audit.Night) error {
				m.set(func(m *memory) { m.ledger = append(m.ledger, "posted "+n.ID) })
				return nil
			},
			Home:   func() string { return d.home },
			Notice: func() string { return d.notice },
		}
	}, f)
}

// night stores a scan with its digest, and the job that posts it.
func (s *stage) night(id string) {
	s.memory.set(func(m *memory) {
		m.nights[id] = audit.Night{ID: id, Slot: time.Now().Add(-6 * time.Hour), Finished: time.Now().Add(-5 * time.Hour), State: audit.Scanned, Version: 1, Digest: &audit.Digest{Night: id}}
		m.jobs["digest:"+id] = &task{id: "digest:" + id, at: time.Now()}
	})
	s.queue.Wake()
}

func (s *stage) wantTold(ledger ...string) {
	s.t.Helper()
	s.wantDone()
	s.memory.set(func(m *memory) {
		for id, n := range m.nights {
			if n.State != audit.Told || n.Posted.IsZero() != (len(ledger) == 0) {
				s.t.Errorf("the night of %s is %s, posted %v", id, n.State, n.Posted)
			}
		}
		if !slices.Equal(m.ledger, ledger) {
			s.t.Errorf("the ledger says %q, want %q", m.ledger, ledger)
		}
	})
}

// shown is what stands in a channel now, in order, thread replies indented.
func (s *stage) shown(channel string) []string {
	s.t.Helper()
	var out []string
	at := map[string]int{}
	for _, e := range s.sim.Events() {
		if e.ChannelName != channel || e.Ephemeral || e.By != "bot" {
			continue
		}
		text := strings.ReplaceAll(e.Text, "\n", " / ")
		if e.ThreadTS != "" {
			text = "  " + text
		}
		switch e.Kind {
		case "post", "file":
			at[e.TS] = len(out)
			out = append(out, text)
		case "update":
			out[at[e.TS]] = text
		}
	}
	return out
}

func (s *stage) wantShown(channel string, want ...string) {
	s.t.Helper()
	if got := s.shown(channel); !slices.Equal(got, want) {
		s.t.Errorf("in #%s:\n got %s\nwant %s\nlog:\n%s", channel, strings.Join(got, "\n     "), strings.Join(want, "\n     "), s.log)
	}
}

// whole is how the plain desk's digest stands in a channel.
var whole = []string{
	"the digest / [Fix…]",
	"  part one / ❌ fail · shop / [Fix shop]",
	"  part two",
	"  [file: zdd-2026-11-22.csv]",
}

func TestADigestIsPostedInEachChannel(t *testing.T) {
	playDigests(t, slack.Options{PostBurst: 1}, plainDesk("C0OPS", "C0DATA", "C0OPS", ""), func(s *stage) {
		s.night("2026-11-22")
		time.Sleep(time.Minute)
		s.wantShown("ops", whole...)
		s.wantShown("data", whole...)
		s.wantTold("posted 2026-11-22")
		s.memory.set(func(m *memory) { m.jobs["digest:2026-11-22"].done = false }) // once more
		s.queue.Wake()
		time.Sleep(time.Minute)
		s.wantShown("ops", whole...)
	})
}

func TestADigestForNobody(t *testing.T) {
	playDigests(t, slack.Options{}, plainDesk(), func(s *stage) {
		s.night("2026-11-22")
		time.Sleep(time.Minute)
		s.wantTold()
		if got := s.saw(); got != "" {
			t.Errorf("somebody saw %s", got)
		}
	})
}

func TestADigestAndSlacksTroubles(t *testing.T) {
	tests := map[string]struct {
		do    string // before, lines parted by |
		then  string // two hours later
		after time.Duration
		want  []string
	}{
		"away for two hours": {do: "fault * 503", then: "faults clear", want: whole},
		"cut for two hours":  {do: "fault chat.postMessage reset", then: "faults clear", want: whole},
		"a storm of 429":     {do: "fault next 3 chat.postMessage 429 60|fault next 2 files.getUploadURLExternal 429 30|fault next 2 files.completeUploadExternal 429 30", want: whole},
		"every second call lost": {
			do:   "fault next 1 chat.postMessage reset-after|fault next 1 files.completeUploadExternal reset-after|fault next 1 files.getUploadURLExternal 503|fault next 1 upload 500",
			want: whole,
		},
		"files are not allowed": {do: "scope remove files:write", want: whole[:3]},
		"not a member":          {do: "channel kick #ops", want: whole[:3]},
		"files switched off":    {do: "fault files.getUploadURLExternal file_uploads_disabled", want: whole[:3]},
		"the upload forgotten":  {do: "fault next 1 files.completeUploadExternal file_not_found", want: whole},
		"no metadata":           {do: "fault next 1 chat.postMessage metadata_must_be_sent_from_app", want: whole},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playDigests(t, slack.Options{}, plainDesk("C0OPS"), func(s *stage) {
				for line := range strings.SplitSeq(tt.do, "|") {
					s.do(line)
				}
				s.night("2026-11-22")
				time.Sleep(2 * time.Hour)
				if tt.then != "" {
					s.do(tt.then)
				}
				time.Sleep(10 * time.Minute)
				s.wantShown("ops", tt.want...)
				s.wantTold("posted 2026-11-22")
			})
		})
	}
}

// The words do not wait for the files, which are tried again by themselves, each once, and
// not for ever; what else is said of digests meanwhile is not held up either.
func TestADigestsFilesComeLater(t *testing.T) {
	for name, tt := range map[string]struct {
		fault string
		away  time.Duration
		want  []string
	}{
		"the host of uploads is away for an hour": {"fault upload 503", time.Hour, whole},
		"it is away for two days":                 {"fault upload 503", 48 * time.Hour, whole[:3]},
		"they can't be shared for an hour":        {"fault files.completeUploadExternal 503", time.Hour, whole},
		"nor for two days":                        {"fault files.completeUploadExternal 503", 48 * time.Hour, whole[:3]},
	} {
		t.Run(name, func(t *testing.T) {
			d := plainDesk("C0OPS", "C0DATA")
			playDigests(t, slack.Options{}, d, func(s *stage) {
				s.do(tt.fault)
				s.night("2026-11-22")
				time.Sleep(2 * time.Minute)
				s.wantShown("ops", whole[:3]...)
				s.wantShown("data", whole[:3]...)
				s.memory.set(func(m *memory) {
					if n := m.nights["2026-11-22"]; n.State != audit.Told || n.Posted.IsZero() || !slices.Equal(m.ledger, []string{"posted 2026-11-22"}) {
						t.Errorf("without its files: the night is %s, posted %v, the ledger says %q", n.State, n.Posted, m.ledger)
					}
				})
				s.memory.set(func(*memory) { d.channels = append(d.channels, "C0GENERAL") }) // named since then: it is told of the next one
				time.Sleep(tt.away)
				s.do("faults clear")
				time.Sleep(10 * time.Minute)
				s.wantShown("ops", tt.want...)
				s.wantShown("data", tt.want...)
				s.wantShown("general")
				s.wantTold("posted 2026-11-22")
			})
		})
	}
}

func TestAChannelThatIsLostIsSaidOnceAndHoldsUpNothing(t *testing.T) {
	tests := map[string]struct{ do, why, mend string }{
		"archived": {"channel archive #data", "it is archived", "channel unarchive #data"},
		"removed":  {"scope remove chat:write.public|channel kick #data", "I am not in it", "channel join #data"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playDigests(t, slack.Options{}, plainDesk("C0DATA", "C0OPS"), func(s *stage) {
				for line := range strings.SplitSeq(tt.do, "|") {
					s.do(line)
				}
				s.night("2026-11-22")
				time.Sleep(time.Minute)
				s.wantShown("ops", whole...)
				s.wantShown("data")
				s.wantTold("posted 2026-11-22")
				said := s.shown("general")
				if len(said) != 1 || !strings.HasPrefix(said[0], "I could not post the digest of 22 November 2026 in #data (`C0DATA`): "+tt.why+". Nobody there was told of it.") {
					t.Errorf("said %q", said)
				}
				s.night("2026-11-23") // nothing new of that
				time.Sleep(time.Minute)
				if got := s.shown("general"); len(got) != 1 {
					t.Errorf("said again: %q", got)
				}
				s.do(tt.mend)
				s.night("2026-11-24")
				time.Sleep(time.Minute)
				if got := s.shown("data"); len(got) != 4 {
					t.Errorf("the channel is back, and sees %q", got)
				}
				s.do("channel archive #data")
				s.night("2026-11-25")
				time.Sleep(time.Minute)
				if got := s.shown("general"); len(got) != 2 {
					t.Errorf("lost anew, and said %q", got)
				}
				if got := s.counted("zdd_slack_unposted_total"); got == 0 {
					t.Error("not counted")
				}
			})
		})
	}
}

func TestTheOnlyChannelIsGone(t *testing.T) {
	d := plainDesk("C0OPS")
	d.notice = "C0OPS"
	playDigests(t, slack.Options{}, d, func(s *stage) {
		s.do("channel delete #ops")
		s.night("2026-11-22")
		time.Sleep(time.Minute)
		s.wantTold()
		s.wantLog("a digest can't be posted in a channel", 1)
	})
}

func TestAServerWithoutTablesAndCharts(t *testing.T) {
	tests := map[string]struct {
		do   string
		want []string
	}{
		"with files": {"", []string{
			"the trend / ready  ▂▄▅▇█  1 → 5 (lowest 1, highest 5)", "  [file: zdd-2026-11-22-chart-1.png] Ready apps went from 1 to many.", "  [file: zdd-2026-11-22.csv]",
		}},
		"without": {"scope remove files:write", []string{"the trend / ready  ▂▄▅▇█  1 → 5 (lowest 1, highest 5)"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := plainDesk("C0OPS")
			c := trend(5)
			c.Title, c.Series = "", c.Series[:1]
			d.parent.Parts = []commands.Part{commands.Para{Text: commands.Line("the trend")}, c, commands.Grid{Head: []string{"App"}, Rows: [][]commands.Text{{commands.Line("shop")}}}}
			d.thread = nil
			playDigests(t, slack.Options{}, d, func(s *stage) {
				s.do("block off data_visualization")
				if tt.do != "" {
					s.do(tt.do)
				}
				s.night("2026-11-22")
				time.Sleep(time.Minute)
				got := s.shown("ops")
				for i, want := range tt.want {
					if i >= len(got) || !strings.HasPrefix(strings.ReplaceAll(got[i], "  ", " "), strings.ReplaceAll(want, "  ", " ")) {
						t.Errorf("got %q, want %q", got, tt.want)
						break
					}
				}
				if len(got) != len(tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				for _, c := range s.sim.Calls() {
					if c.Method == "files.getUploadURLExternal" && c.Error == "" && strings.HasSuffix(fmt.Sprint(c.Args["filename"]), ".png") && c.Args["alt_txt"] != "Ready apps went from 1 to many." {
						t.Errorf("the picture says %q to who does not see it", c.Args["alt_txt"])
					}
				}
				s.wantTold("posted 2026-11-22")
			})
		})
	}
}

// TestADigestOverEveryCrash ends the program at each moment of posting a digest, before and
// after each effect on Slack and on the database, and goes on with another.
func TestADigestOverEveryCrash(t *testing.T) {
	for _, tt := range []struct{ name, do string }{
		{"with history", ""},
		{"without", "scope remove channels:history"},
		{"on a server without charts", "block off data_visualization"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			moments := 1
			for n := 0; n < moments; n++ {
				d, whole := plainDesk("C0OPS"), whole
				if strings.HasPrefix(tt.do, "block") {
					d.parent.Parts = append(d.parent.Parts, commands.Chart{Title: "Ready", Alt: "All.", Labels: []string{"today"}, Series: []commands.Series{{Name: "ready", Values: []float64{3}}}})
					whole = slices.Insert(slices.Clone(whole), 3, "  [file: zdd-2026-11-22-chart-1.png] All.")
					whole[0] += " / Ready / ready  █  3 / on today / All."
				}
				playDigests(t, slack.Options{}, d, func(s *stage) {
					if tt.do != "" {
						s.do(tt.do)
					}
					s.memory.fuse.light(n)
					s.night("2026-11-22")
					time.Sleep(30 * time.Second)
					if moments = max(moments, 2*s.memory.fuse.count()+2); !s.memory.fuse.blown() && n < moments-2 {
						t.Errorf("moment %d of %d: nobody died", n, moments)
					}
					s.stop()
					s.memory.fuse.renew()
					s.start()
					time.Sleep(10 * time.Minute)
					s.wantTold("posted 2026-11-22")
					got := s.shown("ops")
					if tt.name != "without" {
						if !slices.Equal(got, whole) {
							t.Errorf("moment %d:\n got %s", n, strings.Join(got, "\n     "))
						}
						return
					}
					s.wantRepeatsMarked(n, got)
				})
				if t.Failed() {
					t.FailNow()
				}
			}
			t.Logf("%d moments", moments)
		})
	}
}

// wantRepeatsMarked wants all of the plain desk's digest, in order, and whatever stands there
// twice to say so.
func (s *stage) wantRepeatsMarked(n int, got []string) {
	s.t.Helper()
	var once []string
	for _, text := range got {
		bare := strings.ReplaceAll(strings.ReplaceAll(text, "Posted again. / ", ""), " / "+sentenceRepeat, "")
		if slices.Contains(once, bare) && bare == text {
			s.t.Errorf("moment %d: a repeat is not marked: %q", n, got)
		}
		if !slices.Contains(once, bare) {
			once = append(once, bare)
		}
	}
	if !slices.Equal(once, whole) || len(got) > len(whole)+1 {
		s.t.Errorf("moment %d:\n got %s", n, strings.Join(got, "\n     "))
	}
}

func TestAPressOnAnOlderCopyIsRefused(t *testing.T) {
	for _, line := range []string{"status shop", "enable shop"} { // one that reads, one that is stored first
		d := plainDesk("C0OPS")
		d.parent.Parts[1] = commands.Buttons{Row: []commands.Button{{Label: "Fix…", Run: line}}}
		playDigests(t, slack.Options{}, d, func(s *stage) {
			s.do("scope remove channels:history")
			crashed := false
			s.queue.crash = func(*held) bool { was := crashed; crashed = true; return !was }
			s.night("2026-11-22")
			time.Sleep(10 * time.Minute)
			if got := s.shown("ops"); len(got) != 5 || got[1] != "Posted again. / the digest / [Fix…]" {
				t.Fatalf("shown %q", got)
			}
			s.saw()
			s.do("click approver Fix… on Posted again")
			s.want(2*time.Second, "ephemeral→approver: shop "+strings.Fields(line)[0])
			older := ""
			for _, e := range s.sim.Events() {
				if e.Kind == "post" && older == "" {
					older = e.TS
				}
			}
			s.do("click approver Fix… on " + older)
			time.Sleep(2 * time.Second)
			said := s.saw()
			if runs := s.grammar.runs(); len(runs) != 1 {
				t.Errorf("ran %q", runs)
			}
			posts := s.memory.posts["digest:2026-11-22 channel/C0OPS"]
			if posts.Rev != 2 || !posts.Repeat {
				t.Errorf("recorded %+v", posts)
			}
			if !strings.HasPrefix(said, "ephemeral→approver: This is an older copy:") || !strings.HasSuffix(said, "Please use those of the newer one.") {
				t.Errorf("answered %q", said)
			}
		})
	}
}

func TestStale(t *testing.T) {
	playDigests(t, slack.Options{}, plainDesk("C0OPS"), func(s *stage) {
		finished := time.Now()
		s.memory.set(func(m *memory) {
			m.nights["2026-11-21"] = audit.Night{ID: "2026-11-21", Slot: finished.Add(-time.Hour), Finished: finished, State: audit.Told, Version: 1}
			m.nights["2026-11-22"] = audit.Night{ID: "2026-11-22", Slot: finished.Add(23 * time.Hour), Started: finished.Add(24 * time.Hour), Version: 1}
		})
		alarm := func(id string) {
			s.memory.set(func(m *memory) { m.jobs["stale:"+id] = &task{id: "stale:" + id, at: time.Now()} })
			s.queue.Wake()
			time.Sleep(10 * time.Second)
		}
		time.Sleep(26 * time.Hour)
		alarm("2026-11-21")
		alarm("2026-11-21")
		got := s.shown("ops")
		if len(got) != 1 || !strings.HasPrefix(got[0], "⚠️ careful · No scan has finished since yesterday at ") || !strings.Contains(got[0], ", 26 hours ago. One has been running since ") {
			t.Errorf("said %q", got)
		}
		s.memory.set(func(m *memory) {
			n := m.nights["2026-11-22"]
			n.Finished = time.Now()
			m.nights["2026-11-22"] = n
		})
		alarm("2026-11-21")
		alarm("2026-11-20")
		if got := s.shown("ops"); len(got) != 1 {
			t.Errorf("said %q, want nothing new", got)
		}
		s.wantDone()
	})
}

func TestADigestOfThreeHundredAppsAndHostileNames(t *testing.T) {
	d := plainDesk("C0OPS")
	playDigests(t, slack.Options{PostBurst: 1}, d, func(s *stage) {
		var group audit.Group
		group.Owner, group.Mention = "S0DATA", true
		for i := range 300 {
			line := audit.Line{Name: fmt.Sprintf("app-%03d", i), Kind: audit.LineNew, Checks: []string{"web-dynos", "session-affinity"}, Evidence: []string{"one web dyno runs", "session affinity is off"}, ReadAt: time.Now()}
			if i%10 == 0 {
				line.Name = nasty[i/10%len(nasty)] + line.Name
				line.Evidence[0] = "<!channel> " + strings.Join(nasty, " ")
			}
			group.Lines = append(group.Lines, line)
		}
		group.Counts = audit.Counts{NotReady: 300}
		digest := audit.Digest{Night: "2026-11-22", Zone: "Europe/Berlin", Slot: time.Now(), Started: time.Now(), Finished: time.Now(), Counts: group.Counts, Changes: audit.Changes{New: 300},
			Coverage: audit.Coverage{Seen: 300, InScope: 300, Judged: 300}, Groups: []audit.Group{group}, Trend: []audit.Point{{Night: "2026-11-21", Ready: 300}, {Night: "2026-11-22", NotReady: 300}}}
		d.parent, d.thread = commands.DigestView(digest, commands.View{Home: "C0OPS", Head: "#12 ab12"})
		s.night("2026-11-22")
		time.Sleep(5 * time.Minute)
		got := s.shown("ops")
		all := strings.Join(got, "\n")
		for i := range 300 {
			if n := strings.Count(all, fmt.Sprintf("app-%03d", i)); n == 0 {
				t.Errorf("app-%03d is not told", i)
			}
		}
		rang := map[string]int{}
		for _, e := range s.sim.Events() {
			for _, p := range e.Pings {
				rang[p]++
			}
		}
		if len(rang) != 1 || rang["@data-team"] != 1 {
			t.Errorf("rang %v, want the owner once", rang)
		}
		for _, c := range s.sim.Calls() {
			if c.Error != "" {
				t.Errorf("%s: %s", c.Method, c.Error)
			}
		}
		s.wantTold("posted 2026-11-22")
	})
}

func TestDigestRefusesWhatItCannotRead(t *testing.T) {
	playDigests(t, slack.Options{}, plainDesk("C0OPS"), func(s *stage) {
		q := newQueue(s.memory)
		if err := s.bot.Digest(s.t.Context(), &held{q: q, id: "digest:2026-01-01"}); err != nil {
			t.Errorf("a scan that does not exist: got %v, want it left alone", err)
		}
		s.memory.set(func(m *memory) { m.nights["2026-11-22"] = audit.Night{ID: "2026-11-22", State: audit.Scanning} })
		if err := s.bot.Digest(s.t.Context(), &held{q: q, id: "digest:2026-11-22"}); err == nil {
			t.Error("a scan without a digest was told")
		}
		s.memory.set(func(m *memory) { m.gone = errors.New("gone") })
		for _, handle := range []func(context.Context, Job) error{s.bot.Digest, s.bot.Stale} {
			if err := handle(s.t.Context(), &held{q: q, id: "digest:2026-11-22"}); err == nil {
				t.Error("a database that is away was not noticed")
			}
		}
		s.memory.set(func(m *memory) { m.gone = nil })
	})
}

// Who is named and not rung is called what people call them, as far as Slack tells it.
func TestNames(t *testing.T) {
	playStory(t, slack.Options{}, nil, func(s *stage) {
		name := s.bot.names(s.t.Context())
		for id, want := range map[string]string{"U0REQUESTER": "Robin Requester", "S0DATA": "Data team", "U0NOBODY": "", "S0NOBODY": ""} {
			for range 2 {
				if got := name(id); got != want {
					t.Errorf("%s: got %q, want %q", id, got, want)
				}
			}
		}
		s.do("plan free")
		if got := s.bot.names(s.t.Context())("S0DATA"); got != "" {
			t.Errorf("where groups can't be read: got %q, want nothing", got)
		}
		s.do("fault users.info hang")
		begun := time.Now()
		name = s.bot.names(s.t.Context())
		for _, id := range []string{"U0APPROVER", "U0APPROVER2", "U0ADMIN"} {
			if got := name(id); got != "" {
				t.Errorf("%s: got %q while Slack does not answer", id, got)
			}
		}
		if waited := time.Since(begun); waited > namesWithin {
			t.Errorf("waited %s, want at most %s in all", waited, namesWithin)
		}
		time.Sleep(time.Minute) // the question to Slack goes on for whoever asks the same
	})
}
