package audit

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"example.com/zdd/fleet"
)

// Column is one more column of a table of apps, of what this package knows nothing of.
type Column struct {
	Name string
	Cell func(Standing) string
}

// WriteCSV writes a table of apps: one a line, in their order, those that are gone left
// out. Its columns are read by programs: they are added to at the end, never renamed or
// taken away; more come after all others.
func WriteCSV(w io.Writer, standings []Standing, more ...Column) error {
	return StreamCSV(w, func(yield func(Standing, error) bool) {
		for _, s := range standings {
			if !yield(s, nil) {
				return
			}
		}
	}, more...)
}

// StreamCSV is [WriteCSV] of standings that are never all in memory. It ends with their
// first error.
func StreamCSV(w io.Writer, standings iter.Seq2[Standing, error], more ...Column) error {
	out := csv.NewWriter(w)
	head := []string{"app", "name", "team", "stage", "owner", "verdict"}
	for _, c := range Checks() {
		head = append(head, c.ID)
	}
	head = append(head, "monthly_increase_usd", "size", "yours", "failing_since", "unread", "evidence", "read_at", "waived")
	for _, c := range more {
		head = append(head, c.Name)
	}
	if err := out.Write(head); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	for s, err := range standings {
		if err != nil {
			return err
		}
		if !s.Gone.IsZero() {
			continue
		}
		if err := out.Write(record(&s, more)); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// record is one app as cells.
func record(s *Standing, more []Column) []string {
	cells := []string{string(s.App), s.Name, s.Team, s.Stage, s.Owner, string(s.Verdict)}
	var evidence, waived []string
	var since time.Time
	for _, c := range Checks() {
		m := s.mark(c.ID)
		cells = append(cells, string(m.Outcome))
		if !m.Waived.IsZero() {
			waived = append(waived, fmt.Sprintf("%s: %s until %s", c.ID, m.Waiver.ID, moment(m.Waived)))
		}
		if !m.Required || m.Outcome != Fail && m.Outcome != Unknown {
			continue
		}
		evidence = append(evidence, c.ID+": "+m.Evidence)
		if m.Fails() && (since.IsZero() || m.Failing.Before(since)) {
			since = m.Failing
		}
	}
	cells = append(cells, dollars(s.Increase), s.Size, s.Yours, moment(since), s.Unread.Text, strings.Join(evidence, "; "), moment(s.ReadAt), strings.Join(waived, "; "))
	for _, c := range more {
		cells = append(cells, c.Cell(*s))
	}
	for i, cell := range cells {
		cells[i] = inert(cell)
	}
	return cells
}

// dollars is an amount as spreadsheets add it up: 12.50. Empty: it is not known.
func dollars(v Increase) string {
	m, known := v.Get()
	if !known {
		return ""
	}
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	return fmt.Sprintf("%s%d.%02d", sign, m/fleet.Money(100), m%fleet.Money(100))
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// inert keeps a spreadsheet from taking a cell for a formula: names of apps and teams are
// chosen by people (OWASP, "CSV Injection"). A number of ours below zero stays one.
func inert(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return cell
	}
	if rest, negative := strings.CutPrefix(cell, "-"); negative && strings.Trim(rest, "0123456789.") == "" && rest != "" {
		return cell
	}
	return "'" + cell
}
