package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// reports begins to read the fleet for a person, as work that outlives a restart. How far
// it is and what came out is shown by whoever does that work, with [ReportProgress] and
// [ReportView].
type reports interface {
	// joined says that one of theirs is being read already, of whatever part of the fleet:
	// it goes on, and nothing else is begun.
	Start(ctx context.Context, by Person, want audit.Want) (joined bool, err error)
}

func newReport(r reports) Command {
	const usage = "report [team=<team>] [stage=<stage>]"
	return Command{
		Name:    "report",
		Usage:   usage,
		Summary: "read the whole fleet now, or a part of it, and say which apps are ready",
		Help: "Reads every app in the policy's scope on Heroku now, as the nightly scan does, and shows how far it is and then the report to you alone. " +
			"It changes nothing, and takes some minutes for a large fleet: calls are left for the people who share the account. `status` without an app shows the last night's scan at once.",
		Example: []string{"report", "report team=acme stage=production"},
		Options: []Option{{Name: "team", Summary: "only the apps of that team"}, {Name: "stage", Summary: "only apps of that pipeline stage; `none`: in no pipeline"}},
		Run: func(ctx context.Context, req Request) (Reply, error) {
			if r == nil {
				return Reply{}, refuse("I can't read the whole fleet from here. On a terminal, `bot report` does.")
			}
			want, err := ParseWant(req.Args.Options["team"], req.Args.Options["stage"])
			if err != nil {
				return Reply{}, err
			}
			joined, err := r.Start(ctx, req.By, want)
			switch {
			case err != nil:
				return Reply{}, fmt.Errorf("start the report: %w", err)
			case joined:
				return Reply{}, refuse("I am already reading a report for you: it shows how far it is in our direct messages. I did not begin another one. When it is done, ask again for %s if that is not what it was about.", plain(wanted(want)))
			}
			text := Line("I read " + wanted(want) + " on Heroku now. How far I am, and then the report, comes to you alone. Nothing is changed by it.")
			return Reply{Summary: text.String(), Parts: []Part{Para{text}}}, nil
		},
	}
}

// ParseWant reads which part of the fleet is wanted; empty: all of it. A team or a stage
// that the policy's scope leaves out can be asked for all the same, as an app can be by
// name. The error is a *Refusal.
func ParseWant(team, stage string) (audit.Want, error) {
	want := audit.Want{Team: strings.TrimSpace(team), Stage: strings.ToLower(strings.TrimSpace(stage))}
	if want.Stage == "" || slices.Contains(stages(), want.Stage) {
		return want, nil
	}
	if near := nearest(want.Stage, stages(), 1); len(near) > 0 {
		return audit.Want{}, refuse("There is no pipeline stage `%s`; did you mean `stage=%s`?", plain(want.Stage), near[0])
	}
	return audit.Want{}, refuse("There is no pipeline stage `%s`; there are `test`, `review`, `development`, `staging` and `production`, and `none` for apps in no pipeline.", plain(want.Stage))
}

// stages are what an app can be asked for by (Platform API reference, "Pipeline Coupling").
func stages() []string {
	return []string{"test", "review", "development", "staging", "production", policy.None}
}

// wanted is the part of the fleet in words.
func wanted(want audit.Want) string {
	text := "every app in scope"
	var parts []string
	if want.Team != "" {
		parts = append(parts, "of team "+brief(want.Team, 60))
	}
	switch want.Stage {
	case "":
	case policy.None:
		parts = append(parts, "in no pipeline")
	default:
		parts = append(parts, "of stage "+want.Stage)
	}
	return strings.Join(append([]string{text}, parts...), " ")
}

// ReportProgress says how far a report is: done of so many apps, 0 of 0 while the lists
// are read.
func ReportProgress(done, of int, want audit.Want) Reply {
	if of == 0 {
		text := Line("Reading the lists of " + wanted(want) + "…")
		return Reply{Summary: text.String(), Parts: []Part{Para{text}}}
	}
	const width = 20
	full := min(done, of) * width / of
	summary := fmt.Sprintf("Reading %s: %s of %s", wanted(want), grouped(done), appCount(of))
	return Reply{Summary: summary, Parts: []Part{Para{Line(summary)}, Para{Line(Code(strings.Repeat("█", full)+strings.Repeat("░", width-full)), fmt.Sprintf(" %d %%", done*100/of))}}}
}

// FleetView is what to show the fleet by, as it was read just now.
type FleetView struct {
	Want    audit.Want
	Zone    *time.Location            // that moments are told in
	Proving *Proving                  // what watched deploys have shown; nil: that is not told
	Name    func(owner string) string // see View
}

// ReportView is the fleet as it was read just now: a message, and the apps by owner or
// team for its thread. Nobody is rung: it is for who asked.
func ReportView(f audit.Fleet, view FleetView) (parent Reply, thread []Reply) {
	want := view.Want
	title := "The fleet now"
	if want != (audit.Want{}) {
		title = "Apps " + strings.TrimPrefix(wanted(want), "every app in scope ") + " now"
	}
	parent = Reply{Summary: title + ": " + readyOf(f.Counts), Parts: []Part{Heading{title + ": " + readyOf(f.Counts)}}}
	if warnings := doubts(f.Coverage, nil); len(warnings) > 0 {
		parent.Parts = append(parent.Parts, List{warnings})
	}
	news := standingNow(f.Counts, "")
	if f.Coverage.Seen == 0 {
		news = Line("I saw no app at all: check the name of the team, and what my Heroku account may see.")
	}
	facts := slices.Concat(costFact(f.Counts), waivedFact(f.Counts), view.Proving.fact())
	parent.Parts = append(parent.Parts, Para{news}, Facts{append(facts, Fact{"Looked at", Line(coverageText(f.Coverage, f.Counts))})})
	groups := groupsOf(f.Standings)
	var worst []audit.Line
	for _, g := range groups {
		for _, l := range g.Lines {
			if failing(l.Kind) {
				worst = append(worst, l)
			}
		}
	}
	slices.SortStableFunc(worst, worse)
	if len(worst) > 0 {
		parent.Parts = append(parent.Parts, gridOf(worst, view.Proving)...)
		if row := fixRow(worst[:min(len(worst), gridRows)]); len(row) > 0 {
			parent.Parts = append(parent.Parts, Buttons{row})
		}
	}
	parent = with(parent, Note{Line("Read ", At(f.ReadAt), ", "+took(f.Took, 0, f.Calls)+".")})
	var sections []section
	for _, g := range groups {
		proved, failed := view.Proving.group(g)
		if len(g.Lines)+len(failed) == 0 {
			continue
		}
		s := sectionOf(g, dates{cmp.Or(view.Zone, time.UTC), f.ReadAt}, view.Proving)
		name := names(view.Name).quietly(g)
		s.name, s.head, s.again = name.String(), append(name, s.head...), Line(name, ", continued")
		if s.failed = failed; proved != "" {
			s.proved = Line(" · " + proved)
		}
		sections = append(sections, s)
	}
	return parent, pages(sections)
}

// groupsOf are standings by owner, or by team where nobody is named as owner, in
// whichever channel they are told.
func groupsOf(standings []audit.Standing) []audit.Group {
	var groups audit.Groups
	for _, s := range standings {
		s.Channel = ""
		switch g := groups.Of(s); s.Verdict {
		case audit.VerdictReady, audit.VerdictNotApplicable:
			if l, ok := waivedOnly(s); ok {
				g.Lines = append(g.Lines, l)
			}
		case audit.VerdictNotReady:
			g.Lines = append(g.Lines, lineOf(s))
		default:
			g.Lines = append(g.Lines, audit.Line{App: s.App, Name: s.Name, Kind: audit.LineUnread, Why: whyUnknown(s), ReadAt: s.ReadAt})
		}
	}
	return groups.Sorted()
}

// whyUnknown is why an app could not be judged.
func whyUnknown(s audit.Standing) string {
	if s.Unread.Text != "" {
		return s.Unread.Text
	}
	for _, m := range s.Marks {
		if m.Required && m.Outcome == audit.Unknown {
			return shortly(m.Evidence).String()
		}
	}
	return ""
}

// ExplainReport turns what kept the fleet from being read at all into a sentence with what
// to do next. It is a *Refusal.
func ExplainReport(p *fleet.Problem, want audit.Want) error {
	switch p.Kind {
	case fleet.NotFound:
		if want.Team == "" {
			return refuse("Heroku shows none of the teams in the policy's `scope.teams` to my account: they do not exist, or it is no member of them.")
		}
		return refuse("I can see no team `%s` on Heroku: it does not exist, or my account is no member of it. Check the name, or ask an admin of the team to add my account.", plain(want.Team))
	case fleet.Forbidden:
		return refuse("Heroku does not let my account list these apps (`forbidden`). Ask an admin of the team to give it the permission `view`.")
	case fleet.Refused: // such as a name that no team can have
		whose := "the fleet"
		if want.Team != "" {
			whose = "the apps of team `" + plain(want.Team) + "`"
		}
		return refuse("I can't read %s%s. Nothing was changed.", whose, because(p.Message))
	case fleet.Unavailable:
		return refuse("Heroku's API did not answer just now%s, so I can't say anything about the fleet; its dynos may be running fine. Try again in a minute, and look at https://status.heroku.com.", because(p.Message))
	}
	return Explain(p)
}
