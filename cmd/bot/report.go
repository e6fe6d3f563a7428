package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/watch"
)

const reportUsage = "report [--json|--csv|--markdown] [--team T] [--stage S]"

// reportAsked is what `bot report` was asked for.
type reportAsked struct {
	want   audit.Want
	format string // text, json, csv or markdown
}

// parseReport reads the arguments, in the form of a terminal and in that of chat
// (--team acme, team=acme).
func parseReport(args []string) (reportAsked, error) {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	chosen := map[string]*bool{}
	for _, name := range []string{"json", "csv", "markdown"} {
		chosen[name] = flags.Bool(name, false, "")
	}
	team, stage := flags.String("team", "", ""), flags.String("stage", "", "")
	dashed := make([]string, len(args))
	for i, a := range args {
		dashed[i] = a
		if strings.HasPrefix(a, "team=") || strings.HasPrefix(a, "stage=") {
			dashed[i] = "--" + a
		}
	}
	if err := flags.Parse(dashed); err != nil || flags.NArg() > 0 {
		return reportAsked{}, usage(reportUsage)
	}
	asked := reportAsked{}
	for _, name := range []string{"json", "csv", "markdown"} {
		if *chosen[name] && asked.format != "" {
			return reportAsked{}, usage(reportUsage)
		} else if *chosen[name] {
			asked.format = name
		}
	}
	asked.format = cmp.Or(asked.format, "text")
	want, err := commands.ParseWant(*team, *stage)
	if err != nil {
		return reportAsked{}, &exit{exitUsage, err.Error()}
	}
	asked.want = want
	return asked, nil
}

// reportProgram reads and judges the whole fleet now, for people on a terminal and for
// cron jobs and CI. It needs only HEROKU_API_KEY, keeps nothing, and leaves the reserve of
// the account's API limit to people. Whoever ends it (Ctrl-C) gets what was read by then,
// which says that it is not all.
func reportProgram(ctx context.Context, args []string, o outside) error {
	asked, err := parseReport(args)
	if err != nil {
		return err
	}
	pol, apps, err := herokuAlone(o)
	if err != nil {
		return err
	}
	defer apps.Close()
	waived := openWaivers(ctx, pol, o)
	defer waived.close()
	collector := audit.Collector{Heroku: apps, Policy: fixed{pol}.Policy, Rules: waived.rules(pol), Now: o.now}
	far := &reading{now: o.now, begun: o.now()}
	bar := newMeter(o, far.line)
	read, err := collector.Collect(heroku.Background(ctx), asked.want, far.set)
	bar.stop()
	switch {
	case err != nil && ctx.Err() != nil:
		return &exit{exitUnknown, "interrupted before anything was read"}
	case err != nil:
		explain := func(p *fleet.Problem) error { return commands.ExplainReport(p, asked.want) }
		return cannotTell(err, explain, asked.format == "json", o)
	}
	if ctx.Err() != nil {
		fmt.Fprintf(o.Stderr, "bot: interrupted: %d of %d apps were read, so this is not the whole fleet\n", read.Coverage.Judged, read.Coverage.InScope)
	}
	told := reportTold{commands.FleetView{Want: asked.want, Zone: pol.Nightly.Location()}, waived.proofs(context.WithoutCancel(ctx), o)}
	if told.proofs != nil {
		told.view.Proving = commands.ProvingOf(read, told.proofs, o.now())
	}
	if err := told.write(asked.format, read, o); err != nil {
		return err
	}
	switch {
	case read.Counts.NotReady > 0:
		return &exit{code: exitFindings}
	case read.Counts.Unknown > 0, read.Coverage.Partial():
		return &exit{code: exitUnknown}
	}
	return nil
}

// reading is how far the reading of a fleet is.
type reading struct {
	now   func() time.Time
	begun time.Time

	mu       sync.Mutex
	done, of int
}

// set says how far it is: done of so many apps.
func (r *reading) set(done, of int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done, r.of = done, of
}

func (r *reading) line() (text string, full float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := r.now().Sub(r.begun).Round(time.Second)
	if r.of == 0 {
		return fmt.Sprintf("reading the lists, %s", took), 0
	}
	return fmt.Sprintf("%d of %d apps, %s", r.done, r.of, took), float64(r.done) / float64(r.of)
}

// reportTold is how a report is told.
type reportTold struct {
	view   commands.FleetView
	proofs map[fleet.ID]watch.Proof // the last verdicts on deploys; nil: they are not known here
}

func (r reportTold) write(format string, read audit.Fleet, o outside) error {
	switch format {
	case "json":
		out := json.NewEncoder(o.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(r.json(read))
	case "csv":
		return audit.WriteCSV(o.Stdout, read.Standings, commands.ProofColumns(r.proofs)...)
	case "markdown":
		_, err := io.WriteString(o.Stdout, markdownReport(read, r.view))
		return err
	}
	parent, thread := commands.ReportView(read, r.view)
	replies := append([]commands.Reply{parent}, thread...)
	if read.Counts.NotReady > 0 {
		last := &replies[len(replies)-1]
		last.Parts = append(last.Parts, commands.Note{Text: commands.Line(commands.Code("bot status APP"), " says of one app what to do, step by step.")})
	}
	for i, reply := range replies {
		if i > 0 {
			fmt.Fprintln(o.Stdout)
		}
		if err := chat.Terminal(o.Stdout, withoutButtons(reply), style(o)); err != nil {
			return err
		}
	}
	return nil
}

// fleetReport is what `bot report --json` prints. Its form is for programs: fields are
// added to it, never renamed or taken away.
type fleetReport struct {
	ReadAt   time.Time      `json:"read_at"` // when the reading began
	Seconds  float64        `json:"seconds"` // that it took
	Calls    int            `json:"calls"`   // to Heroku
	Team     string         `json:"team,omitzero"`
	Stage    string         `json:"stage,omitzero"`
	Partial  bool           `json:"partial"`  // something in scope was not read: the counts are not of all
	Coverage audit.Coverage `json:"coverage"` // apps seen, in scope and judged; by reason those out of scope and unread; gaps: lists that could not be read
	Counts   audit.Counts   `json:"counts"`   // apps by verdict; increase: US cents a month for getting all ready, without the unpriced
	Apps     []fleetApp     `json:"apps"`     // in scope, by name
}

// fleetApp is one app of a fleetReport.
type fleetApp struct {
	ID       fleet.ID       `json:"id"`
	Name     string         `json:"name"`
	Team     string         `json:"team,omitzero"`    // empty: owned by a person
	Stage    string         `json:"stage,omitzero"`   // of its pipeline
	Owner    string         `json:"owner,omitzero"`   // Slack user or user group id, by the policy
	Verdict  audit.Verdict  `json:"verdict"`          // ready, not-ready, unknown or not-applicable
	Increase audit.Increase `json:"monthly_increase"` // US cents for getting ready, or {"unknown": {"kind": …, "text": …}}
	Size     string         `json:"size,omitzero"`    // to give `enable` as size=…
	Yours    string         `json:"yours,omitzero"`   // what a person has to do, in a sentence
	Unread   *fleet.Reason  `json:"unread,omitempty"` // why the app could not be read
	Proof    *watch.Proof   `json:"proof,omitempty"`  // the last verdict on its deploys; absent: none was watched, or that is not known here
	Checks   []fleetCheck   `json:"checks"`
}

// fleetCheck is what one check says of an app.
type fleetCheck struct {
	ID       string        `json:"check"`
	Outcome  audit.Outcome `json:"outcome"`  // pass, fail, not-applicable or unknown
	Required bool          `json:"required"` // it counts for the verdict
	Evidence string        `json:"evidence"`
	Waived   *checkWaived  `json:"waived,omitempty"` // it would count, and does not
}

// checkWaived is the waiver that keeps a check from counting.
type checkWaived struct {
	ID    string    `json:"id"`    // W-3
	By    string    `json:"by"`    // Slack user id of who asked for it
	Until time.Time `json:"until"` // the first moment at which it does not hold any more
}

func (t reportTold) json(read audit.Fleet) fleetReport {
	want := t.view.Want
	r := fleetReport{
		ReadAt: read.ReadAt.UTC(), Seconds: read.Took.Round(time.Millisecond).Seconds(), Calls: read.Calls, Team: want.Team, Stage: want.Stage,
		Partial: read.Coverage.Partial(), Coverage: read.Coverage, Counts: read.Counts, Apps: make([]fleetApp, 0, len(read.Standings)),
	}
	for _, s := range read.Standings {
		app := fleetApp{
			ID: s.App, Name: s.Name, Team: s.Team, Stage: s.Stage, Owner: s.Owner, Verdict: s.Verdict,
			Increase: s.Increase, Size: s.Size, Yours: s.Yours, Checks: make([]fleetCheck, 0, len(s.Marks)),
		}
		if s.Unread != (fleet.Reason{}) {
			app.Unread = &s.Unread
		}
		if proof, watched := t.proofs[s.App]; watched {
			app.Proof = &proof
		}
		for _, m := range s.Marks {
			check := fleetCheck{ID: m.Check, Outcome: m.Outcome, Required: m.Required, Evidence: m.Evidence}
			if !m.Waived.IsZero() {
				check.Waived = &checkWaived{ID: m.Waiver.ID, By: m.Waiver.By, Until: m.Waived}
			}
			app.Checks = append(app.Checks, check)
		}
		r.Apps = append(r.Apps, app)
	}
	return r
}
