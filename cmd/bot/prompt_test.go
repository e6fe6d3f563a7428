package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/commands"
)

func TestCompletions(t *testing.T) {
	c := completions{lines: []string{"/zdd enable", "/zdd status", "apps", "as approver"}, apps: []string{"billing", "shop", "shop-staging"}, commands: commands.New(commands.Deps{}).Commands()}
	for typed, want := range map[string][]string{
		"a":                        {"apps", "as approver"},
		"/zdd st":                  {"/zdd status"},
		"/zdd status ":             {"/zdd status billing", "/zdd status shop", "/zdd status shop-staging"},
		"/zdd status sh":           {"/zdd status shop", "/zdd status shop-staging"},
		"/zdd status shop b":       nil, // it takes one
		"@zdd enable bil":          {"@zdd enable billing"},
		"/zdd enable shop b":       {"/zdd enable shop billing"},
		"/zdd enable shop sh":      {"/zdd enable shop shop-staging"}, // not the same again
		"/zdd enable shop size=st": nil,
		"/zdd history s":           {"/zdd history shop", "/zdd history shop-staging"},
		"/zdd approve s":           nil,
		"/zdd nonsense s":          nil,
		"enable s":                 nil,
		"":                         {"/zdd enable", "/zdd status", "apps", "as approver"},
	} {
		if got := c.fitting(typed); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}

// What the bot says while nobody types is shown with the next line, the newest state of each
// message once, and to whom.
func TestPromptShowsWhatCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		p := &prompter{simulation: s, out: &out, person: "requester"}
		obey := func(line string, want ...string) {
			t.Helper()
			out.Reset()
			p.obey(t.Context(), line)
			for _, w := range want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%s: got\n%s\nwant %q", line, &out, w)
				}
			}
		}
		obey("as ada", "(you are Ada Approver now, whom scripts call approver)")
		if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "type approver2 #general /zdd status shop"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		obey("as Robin", "only Alan sees", "shop: not ready", "(you are Robin Requester now")
		obey("wait", "(nothing came)")
		obey("wait 2 fortnights", "wait how long?")
		began := time.Now()
		obey("wait 30s", "(nothing came)")
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("waited %s", waited)
		}
		p.paged = true
		if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "type approver #general /zdd status shop"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if obey("as Alan"); out.String() != "(you are Alan Approver now, whom scripts call approver2)\n" {
			t.Errorf("beside a page: got %q", &out)
		}
	})
}

func TestNewestOfEachMessage(t *testing.T) {
	post := func(kind, ts, text string) seen { return seen{Kind: kind, ChannelName: "ops", TS: ts, Text: text} }
	got := newest([]seen{post("post", "1", "asked"), post("post", "2", "other"), post("update", "1", "approved"), post("update", "1", "done"), post("update", "0", "from before"), post("ephemeral", "", "a"), post("ephemeral", "", "b")})
	want := []seen{post("post", "2", "other"), post("post", "1", "done"), post("update", "0", "from before"), post("ephemeral", "", "a"), post("ephemeral", "", "b")}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
