package main

import (
	"cmp"
	"fmt"
	"strings"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
)

// markdownReport is the report for where Markdown is shown, such as the summary of a CI
// job: the counts, and a table of the apps that are not ready or unknown.
func markdownReport(read audit.Fleet, view commands.FleetView) string {
	parent, _ := commands.ReportView(read, view)
	proving := view.Proving
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
			if proving.Any() {
				b.WriteString("\n| app | team | verdict | what | getting ready adds a month | proved |\n|---|---|---|---|---|---|\n")
			} else {
				b.WriteString("\n| app | team | verdict | what | getting ready adds a month |\n|---|---|---|---|---|\n")
			}
			head = true
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |", markdown(commands.Line(commands.Code(s.Name))), markdown(commands.Line(cmp.Or(s.Team, "personal"))),
			strings.ReplaceAll(string(s.Verdict), "-", " "), markdown(commands.Prose(whatOf(s))), addsOf(s))
		if proving.Any() {
			fmt.Fprintf(&b, " %s |", proving.Word(s.App))
		}
		b.WriteString("\n")
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
