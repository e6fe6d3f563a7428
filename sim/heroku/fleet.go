package heroku

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

// Fleet describes the teams, spaces and apps that a server begins with. The
// zero value is no fleet; make one with [LoadFleet], [DemoFleet] or
// [GenerateFleet].
type Fleet struct {
	statements [][]string
	names      []string
}

// Apps are the names of the fleet's apps, in the order of its text.
func (f Fleet) Apps() []string { return append([]string(nil), f.names...) }

//go:embed demo.fleet
var demoFleet string

// LoadFleet reads a fleet's text: one statement a line, # begins a comment.
//
//	team acme
//	space atlas team=acme region=oregon        # also shield, generation=fir
//	price standard-1x cents=2150               # or unknown
//	app shop team=acme web=1 size=standard-1x stage=production
//
// The words of an app are those of the control command `create`; its `help`
// lists them. An error names the line.
func LoadFleet(r io.Reader) (Fleet, error) {
	var f Fleet
	trial := newWorld(Account{Email: "trial@example.com"}, platform(1), time.Unix(0, 0))
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		words, err := splitWords(lines.Text())
		if err == nil && len(words) > 0 {
			err = trial.statement(trial.born, words)
		}
		if err != nil {
			return Fleet{}, fmt.Errorf("line %d: %w", n, err)
		}
		if len(words) == 0 {
			continue
		}
		f.statements = append(f.statements, words)
		if words[0] == "app" {
			f.names = append(f.names, words[1])
		}
	}
	if err := lines.Err(); err != nil {
		return Fleet{}, fmt.Errorf("read fleet: %w", err)
	}
	return f, nil
}

// DemoFleet is the fleet of the demo: one app for every case that a check has
// to tell apart. `shop` is the plain one that is not ready.
func DemoFleet() Fleet { return mustLoad(demoFleet) }

// GenerateFleet makes n apps named app-001… in one team, acme, of mixed sizes
// and features; the same seed gives the same fleet.
func GenerateFleet(n int, seed uint64) Fleet {
	rnd := rand.New(rand.NewPCG(seed, uint64(n)))
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	var b strings.Builder
	fmt.Fprintln(&b, "team acme")
	for i := range n {
		size := pick("eco", "basic", "standard-1x", "standard-1x", "standard-2x", "performance-m")
		web := 1
		if size != "eco" && size != "basic" {
			web = rnd.IntN(5)
		}
		fmt.Fprintf(&b, "app app-%03d team=acme size=%s web=%d preboot=%s affinity=%s pipeline=p-%d:%s buildpacks=heroku/%s released=%dh\n",
			i+1, size, web, pick("on", "off"), pick("on", "off"), i/3+1, pick("production", "staging", "development"), pick("ruby", "nodejs", "java", "scala"), 1+rnd.IntN(500))
	}
	return mustLoad(b.String())
}

// mustLoad loads a text that this package wrote.
func mustLoad(text string) Fleet {
	f, err := LoadFleet(strings.NewReader(text))
	if err != nil {
		panic("heroku: a fleet of our own is wrong: " + err.Error())
	}
	return f
}
