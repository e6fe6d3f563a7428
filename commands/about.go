package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// Abouts tells what the bot knows of itself just now.
type Abouts interface {
	// About answers within a few seconds, also while the database or Slack is away.
	About(ctx context.Context) About
}

// About is what the bot knows of itself. A zero part is left out: there is none here, or
// it could not be read, and then Unread names it.
type About struct {
	Version  string
	Started  time.Time
	ReadOnly string // why nothing is changed, in sentences that say what mends it; empty: it is
	Links    *Links
	Database *Database
	Scans    *Scans
	Watch    *Watched
	Deploys  *DeployWatches
	Work     *Work
	Waivers  *Waiving
	Head     *ledger.Head
	Policy   string   // its digest
	Unread   []string // parts that could not be read just now: "pending work"
}

// Links are the connections to Slack.
type Links struct{ Up, Of int }

// Database is where the state is kept.
type Database struct {
	Kind string // sqlite or postgres
	Away bool
}

// Scans are the nightly scans.
type Scans struct {
	Last audit.Night // the newest whose scan has ended; without an ID: none has
	Next time.Time   // zero: not known
}

// DeployWatches are the watches of deploys, of all replicas.
type DeployWatches struct {
	Running, Waiting int
	Releases         policy.WatchWhich // whose releases are watched without being asked
}

// Work is what is still to come.
type Work struct {
	Pending int       // tickets that wait for a decision
	Open    int       // tickets that are approved or run
	Due     time.Time // since when the job is due that is due longest and not begun; zero: none is
}

// Waiving is how many waivers hold, and how many wait for a decision.
type Waiving struct{ Holding, Waiting int }

// workTooOld is what is too long for a job that is due: it begins within seconds, or after
// the 30 s in which another replica's are found.
const workTooOld = 5 * time.Minute

func newAbout(abouts Abouts) Command {
	return Command{
		Name:    "about",
		Usage:   "about",
		Summary: "how I am: version, links, last scan, pending work, the ledger's head",
		Help:    "What whoever runs me wants to know first when something seems wrong. `bot doctor`, where I run, looks deeper and prints the cure.",
		Example: []string{"about"},
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if abouts == nil {
				return Reply{}, refuse("`about` works where I am connected, in Slack. Here `bot version` prints the version, and `bot doctor` looks at the rest.")
			}
			return aboutReply(abouts.About(ctx), req.Now), nil
		},
	}
}

func aboutReply(a About, now time.Time) Reply {
	var facts []Fact
	var wrong []string // what somebody has to look at, as short as a title can hold
	fact := func(name string, parts ...any) { facts = append(facts, Fact{name, Line(parts...)}) }
	if a.Version != "" {
		text := Line(Code(a.Version))
		if !a.Started.IsZero() {
			text = append(text, Line(", started ", At(a.Started), " (", ago(now.Sub(a.Started)), ")")...)
		}
		fact("Version", text)
	}
	changes := Line("yes")
	if a.ReadOnly != "" {
		changes = Line("no. ", Prose(strings.TrimSuffix(a.ReadOnly, " Nothing was changed.")))
		wrong = append(wrong, "nothing is changed")
	}
	fact("Changes apps", changes)
	if l := a.Links; l != nil {
		text := fmt.Sprintf("%d of %d up", l.Up, l.Of)
		if l.Up < l.Of {
			text += "; one that was lost comes back within half a minute"
		}
		fact("Links to Slack", text)
	}
	if d := a.Database; d != nil {
		text := d.Kind
		if d.Away {
			text += ", away just now: reading works, changing does not"
			wrong = append(wrong, "the database is away")
		}
		fact("Database", text)
	}
	if a.Scans != nil {
		text, late := scansText(*a.Scans, now)
		if late {
			wrong = append(wrong, "the last scan is too long ago")
		}
		fact("Last scan", text)
	}
	if a.Watch != nil {
		fact("Watch between scans", watchedText(*a.Watch))
	}
	if d := a.Deploys; d != nil {
		fact("Deploys watched", d.text())
	}
	if w := a.Work; w != nil {
		text := fmt.Sprintf("%s for a decision, %d approved or under way", waiting(w.Pending), w.Open)
		if !w.Due.IsZero() && now.Sub(w.Due) > workTooOld {
			text += fmt.Sprintf("; work has been due for %s and nobody does it", span(now.Sub(w.Due)))
			wrong = append(wrong, "work is overdue")
		}
		fact("Pending work", text)
	}
	if w := a.Waivers; w != nil {
		text := fmt.Sprintf("%d hold", w.Holding)
		if w.Waiting > 0 {
			text += fmt.Sprintf(", %d wait for a decision", w.Waiting)
		}
		fact("Waivers", text)
	}
	if a.Head != nil {
		fact("Ledger's head", Code(a.Head.String()))
	}
	if a.Scans != nil && a.Scans.Last.Chain != nil {
		text, broken := chainText(*a.Scans.Last.Chain)
		if broken {
			wrong = append(wrong, "the ledger is broken")
		}
		fact("Ledger verified", text)
	}
	if a.Policy != "" {
		fact("Policy", Code(a.Policy[:min(12, len(a.Policy))]))
	}
	if len(a.Unread) > 0 {
		fact("Could not be read just now", strings.Join(a.Unread, ", "))
	}
	summary := "All is well with me, as far as I can tell."
	switch {
	case len(wrong) > 0:
		summary = "Not all is well with me: " + strings.Join(wrong, ", ") + "."
	case len(a.Unread) > 0:
		summary = "Some things about me could not be read just now: " + strings.Join(a.Unread, ", ") + "."
	}
	parts := []Part{Heading{"About zdd"}, Para{Line(summary)}, Facts{facts}}
	if len(wrong) > 0 || len(a.Unread) > 0 {
		parts = append(parts, Note{Prose("`bot doctor`, where I run, says more and prints the cure.")})
	}
	return Reply{Summary: summary, Parts: parts}
}

func scansText(s Scans, now time.Time) (text Text, late bool) {
	switch last := s.Last; {
	case last.ID == "":
		text = Line("none yet")
	default:
		age := now.Sub(last.Finished)
		text = Line(At(last.Finished), " (", ago(age), "), ", fmt.Sprintf("%d of %d apps", last.Coverage.Judged, last.Coverage.InScope))
		if last.Coverage.Partial() {
			text = append(text, Line(", so not all")...)
		}
		if late = now.After(audit.StaleAt(last)); late {
			text = append(text, Line("; that is too long ago")...)
		}
	}
	if !s.Next.IsZero() {
		text = append(text, Line("; the next is due ", At(s.Next))...)
	}
	return text, late
}

// chainText is what the newest night found of the ledger.
func chainText(c audit.Chain) (text Text, broken bool) {
	text = Line(At(c.At), ": ")
	switch c.State {
	case audit.ChainWhole:
		return append(text, Line("whole, ", Code(c.Head))...), false
	case audit.ChainUnproven:
		return append(text, Line("it holds as far as I could see: ", Prose(proseSafe(c.Why)))...), false
	case audit.ChainUnread:
		return append(text, Line("not done. ", Prose(proseSafe(c.Why)))...), false
	}
	return append(text, Line("broken. ", Prose(proseSafe(c.Why)), " See docs/security.md, “When the ledger is broken”")...), true
}

func (d DeployWatches) text() string {
	text := "none now"
	if d.Running > 0 {
		text = fmt.Sprintf("%d now", d.Running)
	}
	if d.Waiting > 0 {
		text += fmt.Sprintf(", %d about to begin", d.Waiting)
	}
	switch d.Releases {
	case policy.WatchProduction:
		return text + "; production releases by themselves"
	case policy.WatchScope:
		return text + "; each release in scope by itself"
	}
	return text + "; when somebody asks"
}

func waiting(n int) string {
	switch n {
	case 0:
		return "no ticket waits"
	case 1:
		return "one ticket waits"
	}
	return fmt.Sprintf("%d tickets wait", n)
}

// ago is an age in words.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return span(d) + " ago"
}

// span is a length of time, as exactly as a person wants it.
func span(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.of; {
		case n == 1:
			return map[string]string{"day": "a day", "hour": "an hour", "minute": "a minute"}[unit.name]
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "less than a minute"
}
