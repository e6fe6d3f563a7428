package chat

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/sim/slack"
)

// atHome plays a story of somebody who has their Home tab before them.
func atHome(t *testing.T, f func(*stage)) {
	t.Helper()
	playStory(t, slack.Options{}, func(c *Config) { c.Home = newBoard() }, func(s *stage) {
		s.do("home requester")
		s.want(time.Second, "home→requester: own 0 of @requester / common 0 / [Look] [Ticket] [Wait] [Break] [Change] [Flop] [Say no] / Made")
		f(s)
	})
}

const (
	reading  = "view→requester: Look / Reading… / [Close]"
	changing = "view→requester: Change / Taking care of it…"
	looked   = "view→requester: zdd / shop status <!channel> / [Again] / [Close]"
	enabled  = "view→requester: zdd / shop enable <!channel> / [Again] / [Close]"
)

func TestAQuestionFromTheHomeTab(t *testing.T) {
	atHome(t, func(s *stage) {
		s.do("click requester Look")
		s.want(time.Second, reading, looked)
		s.do("close requester")
		s.do("click requester Break")
		s.want(time.Second, "view→requester: Break / Reading…", "view→requester: zdd / Something went wrong on my side. It only reads")
		s.do("close requester")
		// Whoever closes it wants no answer any more.
		s.do("click requester Wait")
		s.want(time.Second, "view→requester: Wait / Reading…")
		s.do("close requester")
		close(s.grammar.hold)
		s.want(time.Minute)
		// The modal can't be opened: a direct message is better than nothing.
		s.do("fault next 1 views.open invalid_trigger_id")
		s.do("click requester Look")
		s.want(time.Second, "dm→requester: shop status <!channel>")
	})
}

func TestAChangeFromTheHomeTab(t *testing.T) {
	atHome(t, func(s *stage) {
		s.do("click requester Change")
		s.want(time.Second, changing, enabled)
		s.do("close requester")
		s.do("fault next 1 views.open invalid_trigger_id")
		s.do("click requester Change")
		s.want(10*time.Second, "dm→requester: shop enable <!channel>")
		// Closed before the answer is there: it comes all the same.
		s.grammar.trouble = 2
		s.do("click requester Flop")
		s.want(time.Second, "view→requester: Flop / Taking care of it…")
		s.do("close requester")
		s.want(time.Minute, "dm→requester: shop flop <!channel>")
		if n := len(s.grammar.runs()); n != 5 {
			t.Errorf("got %d runs, want three changes and two that failed: %v", n, s.grammar.runs())
		}
	})
}

// The modal is found by whoever carries the change out, also after a restart.
func TestAChangeFromTheHomeTabOverARestart(t *testing.T) {
	atHome(t, func(s *stage) {
		s.grammar.trouble = 1000
		s.do("click requester Flop")
		s.want(time.Second, "view→requester: Flop / Taking care of it…")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.grammar.trouble = 0
		s.start()
		s.want(10*time.Second, "view→requester: zdd / shop flop <!channel>")
	})
}

func TestTheDatabaseIsAwayForAPress(t *testing.T) {
	atHome(t, func(s *stage) {
		s.memory.set(func(m *memory) { m.gone = errors.New("gone") })
		s.do("click requester Change")
		s.want(10*time.Second, "dm→requester: Not accepted: I could not write your request down")
	})
}

// Answers lead to others: each stands above the one before, up to as many as Slack allows,
// and from then on in its place. Closing one leads back.
func TestModalsUponModals(t *testing.T) {
	atHome(t, func(s *stage) {
		again := func(back string) {
			t.Helper()
			s.do("click requester Again")
			s.want(time.Second, "view→requester: Again / Reading… / ["+back+"]", "view→requester: zdd / shop status <!channel> / [Again] / ["+back+"]")
		}
		s.do("click requester Look")
		s.want(time.Second, reading, looked)
		again("Back")
		again("Back")
		again("Back") // in the place of the third
		for range 3 {
			s.do("close requester")
		}
		if got := s.screen("requester"); strings.Contains(got, "modal:") {
			t.Errorf("a modal is left after three were closed:\n%s", got)
		}
		if opened, pushed, changed := s.calls("views.open"), s.calls("views.push"), s.calls("views.update"); opened != 1 || pushed != 2 || changed != 5 {
			t.Errorf("got %d opened, %d pushed and %d changed, want 1, 2 and 5", opened, pushed, changed)
		}
	})
}

// calls is how often a method was called.
func (s *stage) calls(method string) int {
	n := 0
	for _, c := range s.sim.Calls() {
		if c.Method == method {
			n++
		}
	}
	return n
}

// A button that did its work is gone with the modal that it stood in.
func TestAChangeInAModal(t *testing.T) {
	atHome(t, func(s *stage) {
		s.do("click requester Ticket")
		s.want(time.Second, "view→requester: Ticket / Reading…", "view→requester: zdd / shop status <!channel> / [Approve] [Deny] / [Close]")
		s.do("click requester Approve")
		s.want(time.Second, "view→requester: Approve / Taking care of it…", "view→requester: zdd / T-1 approve <!channel>")
		if got := s.screen("requester"); strings.Contains(got, "[Approve]") {
			t.Errorf("the button is there still:\n%s", got)
		}
	})
}

func TestADialogFromAView(t *testing.T) {
	for name, open := range map[string][]string{"the home tab": {"click requester Say no"}, "a modal": {"click requester Ticket", "click requester Deny"}} {
		t.Run(name, func(t *testing.T) {
			atHome(t, func(s *stage) {
				for _, line := range open {
					s.do(line)
					time.Sleep(time.Second)
				}
				s.saw()
				s.do("submit requester Why?=because")
				s.want(time.Second, "view→requester: zdd / Taking care of it…", "view→requester: zdd / denied: because")
				// And with the modal closed before the answer.
				if got := s.grammar.runs(); !strings.HasSuffix(got[len(got)-1], "deny T-1 (because)") {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

// What Slack does not take of an answer is told without its form.
func TestAnAnswerThatAViewRefuses(t *testing.T) {
	atHome(t, func(s *stage) {
		s.do("fault next 1 views.update invalid_arguments")
		s.do("click requester Look")
		s.want(2*time.Second, reading, "view→requester: zdd / shop status <!channel> / [Close]")
	})
}

func TestViewBlocks(t *testing.T) {
	var parts []commands.Part
	for range 150 {
		parts = append(parts, commands.Para{Text: commands.Line("a line")})
	}
	chart := commands.Chart{Title: "Ready", Alt: "From 1 to 2.", Labels: []string{"a", "b"}, Series: []commands.Series{{Name: "ready", Values: []float64{1, 2}}}}
	grid := commands.Grid{Head: []string{"App"}, Rows: [][]commands.Text{{commands.Line("shop")}}}
	share := commands.Buttons{Row: []commands.Button{{Label: "Share", Share: "status shop"}}}
	for name, tt := range map[string]struct {
		parts []commands.Part
		want  int
		last  string
	}{
		"too many":          {parts, 100, `"text":"that is not all"`},
		"just enough":       {parts[:100], 100, `"a line"`},
		"tables and charts": {[]commands.Part{chart, grid}, 4, "shop"},
		"nothing to share":  {[]commands.Part{share}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			blocks := viewBlocks(tt.parts, maxViewBlocks, "that is not all")
			if len(blocks) != tt.want {
				t.Fatalf("got %d blocks, want %d", len(blocks), tt.want)
			}
			for _, b := range blocks {
				switch b.BlockType() {
				case "table", "data_visualization":
					t.Errorf("a view holds no %s", b.BlockType())
				}
			}
			if n := len(blocks); n > 0 {
				if got := blockText(t, blocks[n-1]); !strings.Contains(got, tt.last) {
					t.Errorf("the last is %s, want %s", got, tt.last)
				}
			}
		})
	}
}

func blockText(t *testing.T, b any) string {
	t.Helper()
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
