package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
)

// oracle says what the demo's apps are, from what the simulated Heroku prints of them
// and by none of the bot's code. Only what a line can't tell is listed by name.
func oracle(line string) string {
	word := func(key string) string {
		m := regexp.MustCompile(`(?:^| )` + key + `=(\S+)`).FindStringSubmatch(line)
		if m == nil {
			return ""
		}
		return m[1]
	}
	name, _, _ := strings.Cut(line, " ")
	size, web := word("size"), word("web")
	inSpace := strings.HasPrefix(size, "private-") || strings.HasPrefix(size, "shield-") || strings.HasPrefix(size, "dyno-")
	enough := web != "1"
	switch floor, _, scaled := strings.Cut(word("autoscaler"), ".."); {
	case scaled:
		enough = floor != "1"
	case word("scaler") != "":
		enough = false
	}
	switch {
	case word("access") != "":
		return "can't be read"
	case web == "none" || web == "0":
		return "not applicable"
	case name == "bursty": // its scaling add-on tells nobody how low it may go
		return "unknown"
	case inSpace && enough:
		return "ready"
	case enough && word("affinity") == "on" && word("preboot") == "on":
		return "ready"
	}
	return "not ready"
}

// /zdd status of each app of the demo tells the truth that the simulated Heroku holds.
func TestStatusTellsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		apps, err := s.control(t.Context(), http.MethodPost, s.herokuURL+"/_control/do", "apps")
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]int{}
		for line := range strings.Lines(apps) {
			name, _, _ := strings.Cut(line, " ")
			var out strings.Builder
			p := &prompter{simulation: s, out: &out, person: "requester"}
			if err := p.say(t.Context(), "type requester #general /zdd status "+name); err != nil {
				t.Fatal(err)
			}
			want := oracle(strings.TrimSpace(line))
			told[want]++
			switch got := out.String(); {
			case want == "can't be read":
				if strings.Contains(got, name+": ") || !strings.Contains(got, name) {
					t.Errorf("%s can't be read, got\n%s", name, got)
				}
			case !strings.Contains(got, name+": "+want+"\n"):
				t.Errorf("%s is %s, got\n%s", line, want, got)
			}
		}
		for _, verdict := range []string{"ready", "not ready", "unknown", "not applicable", "can't be read"} {
			if told[verdict] == 0 {
				t.Errorf("the demo's fleet has no app that is %s", verdict)
			}
		}
	})
}
