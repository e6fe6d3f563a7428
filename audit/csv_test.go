package audit

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"example.com/zdd/fleet"
)

// Names are chosen by people, and spreadsheets run what looks like a formula.
func TestCSVIsInert(t *testing.T) {
	hostile := []string{`=HYPERLINK("http://x","y")`, "+1+1", "-2+3", "@SUM(A1)", "\tcmd", "\rcmd", "\ncmd", `plain, "quoted"`, "-12.50"}
	var standings []Standing
	for _, name := range hostile {
		standings = append(standings, Standing{App: "a", Name: name, Team: name, Verdict: VerdictReady, Increase: fleet.Known(fleet.Money(-1250))})
	}
	standings = append(standings, Left(Standing{App: "b", Name: "gone"}, "deleted", slotOf(0), Scan{}))
	var b strings.Builder
	if err := WriteCSV(&b, standings); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(hostile)+1 {
		t.Fatalf("got %d rows, want %d and the head", len(rows), len(hostile))
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for i, row := range rows[1:] {
		want := "'" + hostile[i]
		if i >= len(hostile)-2 {
			want = hostile[i]
		}
		if row[column["name"]] != want || row[column["team"]] != want {
			t.Errorf("%q: got %q", hostile[i], row[column["name"]])
		}
		if got := row[column["monthly_increase_usd"]]; got != "-12.50" {
			t.Errorf("%q: the increase is %q", hostile[i], got)
		}
	}
}

// brokenWriter takes so many bytes.
type brokenWriter struct{ left int }

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(p), nil
}

func TestCSVTellsItsErrors(t *testing.T) {
	many := make([]Standing, 2000)
	for _, left := range []int{0, 5000} {
		if err := WriteCSV(&brokenWriter{left}, many); err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("after %d bytes: got %v", left, err)
		}
	}
	stop := errors.New("the database is away")
	err := StreamCSV(&strings.Builder{}, func(yield func(Standing, error) bool) { yield(Standing{}, stop) })
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}
