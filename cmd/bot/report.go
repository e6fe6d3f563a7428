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
	collector := audit.Collector{Heroku: apps, Policy: fixed{pol}.Policy, Now: o.now}
	bar := newMeter(o)
	read, err := collector.Collect(heroku.Background(ctx), asked.want, bar.set)
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
	if err := writeReport(asked, read, o); err != nil {
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

func writeReport(asked reportAsked, read audit.Fleet, o outside) error {
	switch asked.format {
	case "json":
		out := json.NewEncoder(o.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(fleetReportOf(asked.want, read))
	case "csv":
		return audit.WriteCSV(o.Stdout, read.Standings)
	case "markdown":
		_, err := io.WriteString(o.Stdout, markdownReport(asked.want, read))
		return err
	}
	parent, thread := commands.ReportView(read, asked.want)
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
	Checks   []fleetCheck   `json:"checks"`
}

// fleetCheck is what one check says of an app.
type fleetCheck struct {
	ID       string        `json:"check"`
	Outcome  audit.Outcome `json:"outcome"`  // pass, fail, not-applicable or unknown
	Required bool          `json:"required"` // it counts for the verdict
	Evidence string        `json:"evidence"`
}

func fleetReportOf(want audit.Want, read audit.Fleet) fleetReport {
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
		for _, m := range s.Marks {
			app.Checks = append(app.Checks, fleetCheck{m.Check, m.Outcome, m.Required, m.Evidence})
		}
		r.Apps = append(r.Apps, app)
	}
	return r
}

// markdownReport is the report for where Markdown is shown, such as the summary of a CI
// job: the counts, and a table of the apps that are not ready or unknown.
func markdownReport(want audit.Want, read audit.Fleet) string {
	parent, _ := commands.ReportView(read, want)
	var b strings.Builder
	for _, part := range parent.Parts {
		switch p := part.(type) {
		case commands.Heading:
			fmt.Fprintf(&b, "## %s\n\n", markdown(commands.Line(p.Text)))
		case commands.List:
			for _, item := range p.Items {
				fmt.Fprintf(&b, "- **%s**: %s\n", item.Mark, markdown(item.Text))
			}
			b.WriteString("\n")
		case commands.Para:
			fmt.Fprintf(&b, "%s\n\n", markdown(p.Text))
		case commands.Facts:
			for _, f := range p.Pairs {
				fmt.Fprintf(&b, "- %s: %s\n", f.Name, markdown(f.Value))
			}
		}
	}
	head := false
	for _, s := range read.Standings {
		if s.Verdict != audit.VerdictNotReady && s.Verdict != audit.VerdictUnknown {
			continue
		}
		if !head {
			b.WriteString("\n| app | team | verdict | what | getting ready adds a month |\n|---|---|---|---|---|\n")
			head = true
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", markdown(commands.Line(commands.Code(s.Name))), markdown(commands.Line(cmp.Or(s.Team, "personal"))),
			strings.ReplaceAll(string(s.Verdict), "-", " "), markdown(commands.Prose(whatOf(s))), addsOf(s))
	}
	return b.String()
}

// whatOf is what fails, or why nobody knows.
func whatOf(s audit.Standing) string {
	if s.Unread.Text != "" {
		return s.Unread.Text
	}
	var said []string
	for _, m := range s.Marks {
		if m.Fails() || s.Verdict == audit.VerdictUnknown && m.Required && m.Outcome == audit.Unknown {
			said = append(said, m.Evidence)
		}
	}
	return strings.Join(said, "; ")
}

func addsOf(s audit.Standing) string {
	more, known := s.Increase.Get()
	switch {
	case s.Verdict != audit.VerdictNotReady:
		return "–"
	case !known:
		return "not known"
	case s.Size != "":
		return more.String() + " with " + s.Size
	}
	return more.String()
}

// markdown is a text for Markdown. What Heroku or a person wrote stays text: it makes no
// cell, no link, no HTML and mentions nobody.
func markdown(text commands.Text) string {
	var b strings.Builder
	for _, s := range text {
		plain := strings.Join(strings.Fields(s.S), " ")
		if strings.HasPrefix(s.S, " ") {
			plain = " " + plain
		}
		if strings.HasSuffix(s.S, " ") && len(plain) > 1 {
			plain += " "
		}
		switch s.Kind {
		case commands.Mono:
			b.WriteString("`" + strings.NewReplacer("`", "'", "|", "¦").Replace(plain) + "`")
		case commands.Strong:
			b.WriteString("**" + escaped(plain) + "**")
		default:
			b.WriteString(escaped(plain))
		}
	}
	return b.String()
}

func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '@': // GitHub rings whom a summary names
			b.WriteString("@\u200b")
			continue
		case r == '<':
			b.WriteString("&lt;")
			continue
		case strings.ContainsRune("\\`*_[]|#~", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

const (
	// meterLook is how often a terminal's progress bar is drawn: it moves, and costs nothing.
	meterLook = 200 * time.Millisecond
	// meterLine is how often progress is told where there is no terminal: a CI job's log
	// shows that it lives, and is not filled.
	meterLine = 10 * time.Second
	meterWide = 24 // characters of the bar
)

// meter shows on stderr how far a report is. stop ends it; nothing is left of a bar.
type meter struct {
	w     io.Writer
	bar   bool // w is a terminal
	now   func() time.Time
	begun time.Time
	ended chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	done, of int
}

func newMeter(o outside) *meter {
	m := &meter{w: o.Stderr, bar: o.Meter, now: o.now, begun: o.now(), ended: make(chan struct{})}
	every := meterLine
	if m.bar {
		every = meterLook
		m.draw()
	}
	m.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-m.ended:
				return
			case <-tick.C:
				m.draw()
			}
		}
	})
	return m
}

// set says how far it is: done of so many apps.
func (m *meter) set(done, of int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done, m.of = done, of
}

func (m *meter) draw() {
	m.mu.Lock()
	done, of := m.done, m.of
	m.mu.Unlock()
	took := m.now().Sub(m.begun).Round(time.Second)
	text := fmt.Sprintf("reading the lists, %s", took)
	if of > 0 {
		text = fmt.Sprintf("%d of %d apps, %s", done, of, took)
	}
	if !m.bar {
		fmt.Fprintln(m.w, "bot:", text)
		return
	}
	full := 0
	if of > 0 {
		full = min(done, of) * meterWide / of
	}
	fmt.Fprintf(m.w, "\r%s%s %s\x1b[K", strings.Repeat("█", full), strings.Repeat("░", meterWide-full), text)
}

func (m *meter) stop() {
	close(m.ended)
	m.wg.Wait()
	if m.bar {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}
