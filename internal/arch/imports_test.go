package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// allowed is the plan of the house: which of our packages the code of each one may
// import. A package that is not here fails the test, so that somebody decides.
// Data flows one way, from Slack to Heroku; an arrow that is not here points
// backwards, or around a door.
func allowed() map[string][]string {
	return map[string][]string{
		// Leaves: data and decisions, no platform, no database.
		"secret": {},
		"fleet":  {},
		"ledger": {},
		"jobs":   {},
		// schedule: what a schedule may be is said in one place.
		"policy": {"fleet", "schedule"},
		// When a night is due, on wall clocks that summer time bends: no more than that.
		"schedule": {},
		// Dates as people type them, whatever they end.
		"until": {},
		"plan":  {"fleet", "policy"},
		"audit": {"fleet", "policy", "plan", "schedule"},

		// Doors and workers.
		"heroku": {"fleet", "plan", "secret"},
		// fleet: what was decided on is held against the app as it is read at the click.
		// secret: what people type as a reason is kept for ever, and may hold a token.
		"approval": {"plan", "policy", "ledger", "fleet", "secret"},
		// policy: the wish is planned again by the rules of today before anything is done.
		"rollout": {"plan", "fleet", "approval", "ledger", "policy"},
		"watch":   {"fleet", "policy", "ledger"},
		// The interfaces that it implements are declared where they are used.
		// fleet: what is kept of apps is kept by their ids.
		// policy: what a waiver is is said there.
		"store": {"approval", "audit", "chat", "fleet", "jobs", "ledger", "policy", "rollout", "secret", "watch"},

		// What people talk to. commands does not import heroku, chat does not
		// import either of them: they meet in cmd/bot.
		"commands": {"fleet", "policy", "plan", "audit", "approval", "ledger", "until", "watch"},
		"chat":     {"commands", "secret", "fleet", "plan", "policy", "audit", "approval", "watch"},
	}
}

// importTable enforces allowed, and three rules that need no table: cmd/bot, where
// all meet, may import everything that is not for tests; sim imports nothing of ours
// but sim, in its tests too, since it shares no type with what it is held against;
// and what is for tests is imported by tests only.
func importTable(files []source) (broken []string) {
	table := allowed()
	for _, f := range files {
		sim := f.dir == "sim" || strings.HasPrefix(f.dir, "sim/")
		may, listed := table[f.dir]
		if forTests(f.dir) { // of its parent, it may know as much as that
			parent := path.Dir(f.dir)
			may = append([]string{parent}, table[parent]...)
		}
		listed = listed || sim || f.dir == "cmd/bot" || forTests(f.dir)
		if !listed && !f.test() {
			broken = append(broken, fmt.Sprintf("%s: %s is not in the table of imports_test.go", f.name, f.dir))
			continue
		}
		for p := range f.imports {
			p, ours := strings.CutPrefix(p, module+"/")
			switch inSim := p == "sim" || strings.HasPrefix(p, "sim/"); {
			case !ours || p == f.dir:
			case sim && (inSim || f.test() && strings.HasPrefix(p, "internal/")):
			case sim:
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s", f.name, f.dir, p))
			case f.test():
			case forTests(p) && !forTests(f.dir):
				broken = append(broken, fmt.Sprintf("%s: %s is for tests only", f.name, p))
			case f.dir == "cmd/bot" || strings.HasPrefix(f.dir, "internal/"):
			case !slices.Contains(may, p):
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s", f.name, f.dir, p))
			}
		}
	}
	return broken
}

// forTests says whether a package is there for tests: everything below internal,
// the conformance tests, and the suites that stand in the folder of what they test
// and are named after it, such as store/storetest.
func forTests(dir string) bool {
	return strings.HasPrefix(dir, "internal/") || strings.HasPrefix(dir, "conformance") || path.Base(dir) == path.Base(path.Dir(dir))+"test"
}
