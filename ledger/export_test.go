package ledger

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile are texts that somebody may have typed, or that a damaged ledger holds.
var hostile = []string{
	"=1+1", "+1", "-1", "@sum(A1)", "＝1", "\t=1", " =1", "\r=1", "\ufeff=1", "'=1", "''", "'", "=cmd|' /C calc'!A0", `a"b,c`, "a\nb", "  ", "ü \u2028 & <b>", "\x00",
}

func hostileChain() []Entry {
	var all []Entry
	for _, text := range hostile {
		detail, _ := json.Marshal(map[string]string{"why": text})
		e := Entry{At: morning, Actor: text, Verb: Asked, App: text, Name: text, Ticket: text, Detail: detail}
		all = append(all, newKey.Seal(headOf(all), e))
	}
	return all
}

func TestJSONLinesRoundTrip(t *testing.T) {
	for name, all := range map[string][]Entry{
		"none":    nil,
		"usual":   chain(keys("--on")...),
		"hostile": hostileChain(),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if n, err := WriteJSONLines(&out, read(all)); err != nil || n != int64(len(all)) {
				t.Fatalf("got %d, %v, want %d", n, err, len(all))
			}
			if got := strings.Count(out.String(), "\n"); got != len(all) {
				t.Errorf("got %d lines, want %d:\n%s", got, len(all), out.String())
			}
			r, err := Verify(ReadJSONLines(&out), headOf(all), []Key{oldKey, newKey})
			if err != nil || r.Fault != nil || r.Unchecked > 0 || r.Entries != int64(len(all)) {
				t.Errorf("the export does not verify: %s, %v", r, err)
			}
		})
	}
}

// TestJSONLinesLook holds the form to what programs read.
func TestJSONLinesLook(t *testing.T) {
	all := chain(keys("o")...)
	all[0].Hash, all[0].KeyID = "ab12", "01234567"
	var out strings.Builder
	if _, err := WriteJSONLines(&out, read(all)); err != nil {
		t.Fatal(err)
	}
	want := `{"seq":1,"at":"2026-08-03T08:00:00.000Z","actor":"U0","verb":"asked","app":"01234567-89ab-4cde-8f01-23456789abcd","name":"shop","ticket":"T-0",` +
		`"detail":{"step":0,"why":"a & <b>"},"key_id":"01234567","hash":"ab12"}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
}

// TestDamagedExports exports details that no Seal ever wrote: they come back as they
// were, so that the export shows the same damage.
func TestDamagedExports(t *testing.T) {
	for _, detail := range []string{"", "null", "1", `"text"`, `{"a": 1}`, `{"a":1`, `{"a":1} `, "{}{}", "\n", `[]`} {
		all := chain(keys("ooo")...)
		all[1].Detail = json.RawMessage(detail)
		var out bytes.Buffer
		if _, err := WriteJSONLines(&out, read(all)); err != nil {
			t.Fatalf("%q: %v", detail, err)
		}
		var back []Entry
		for e, err := range ReadJSONLines(&out) {
			if err != nil {
				t.Fatalf("%q: %v", detail, err)
			}
			back = append(back, e)
		}
		if got, want := fmt.Sprint(back), fmt.Sprint(all); got != want {
			t.Errorf("%q: got %s, want %s", detail, got, want)
		}
		if r := verify(t, back, headOf(all), keys("o")); named(r) != 2 {
			t.Errorf("%q: got %s, want #2 to be named", detail, r)
		}
	}
}

func TestReadJSONLinesRefuses(t *testing.T) {
	var good bytes.Buffer
	if _, err := WriteJSONLines(&good, read(chain(keys("o")...))); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"no JSON":  "seq,at",
		"cut off":  good.String()[:40],
		"no time":  `{"seq":2}`,
		"bad time": `{"seq":2,"at":"yesterday"}`,
		"a list":   `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			var last error
			for _, err := range ReadJSONLines(strings.NewReader(good.String() + "\n" + bad + "\n" + good.String())) {
				n++
				last = err
			}
			if n != 2 || last == nil || !strings.HasPrefix(last.Error(), "line 3: ") {
				t.Errorf("got %d entries, %v, want an error at line 3 to end it", n, last)
			}
		})
	}
}

func TestCSV(t *testing.T) {
	all := hostileChain()
	var out bytes.Buffer
	if n, err := WriteCSV(&out, read(all)); err != nil || n != int64(len(all)) {
		t.Fatalf("got %d, %v, want %d", n, err, len(all))
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(rows[0], " "), "seq at actor verb app name ticket detail key_id prev hash"; got != want {
		t.Errorf("got heading %s, want %s", got, want)
	}
	var back []Entry
	for _, row := range rows[1:] {
		for i, cell := range row {
			if formula := strings.TrimLeft(cell, " \t\r\n\x00\ufeff"); formula != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(formula)[0]) {
				t.Errorf("a spreadsheet computes %q", cell)
			}
			row[i] = strings.TrimPrefix(cell, "'")
		}
		at, err := time.Parse(timeFormat, row[1])
		if err != nil {
			t.Error(err)
		}
		var seq int64
		fmt.Sscan(row[0], &seq)
		back = append(back, Entry{seq, at, row[2], row[3], row[4], row[5], row[6], json.RawMessage(row[7]), row[8], row[9], row[10]})
	}
	if r := verify(t, back, headOf(all), keys("n")); r.Verdict() != Whole {
		t.Errorf("the export does not verify: %s", r)
	}
}

func FuzzCSVCell(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		got := asText(cell)
		if strings.TrimPrefix(got, "'") != cell {
			t.Errorf("%q became %q, which does not give it back", cell, got)
		}
		if got != "" && strings.ContainsRune("=+-@\t\r\n", []rune(got)[0]) {
			t.Errorf("%q became %q, which a spreadsheet may compute", cell, got)
		}
	})
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestExportErrors wants an export that is not whole to say so.
func TestExportErrors(t *testing.T) {
	many := chain(slices.Repeat(keys("o"), 100)...)
	gone := errors.New("connection lost")
	for name, export := range map[string]func(io.Writer, iter.Seq2[Entry, error]) (int64, error){"JSON Lines": WriteJSONLines, "CSV": WriteCSV} {
		t.Run(name, func(t *testing.T) {
			if _, err := export(full{}, read(many)); !errors.Is(err, errFull) {
				t.Errorf("got %v, want %v", err, errFull)
			}
			var out bytes.Buffer
			n, err := export(&out, func(yield func(Entry, error) bool) { _ = yield(many[0], nil) && yield(Entry{}, gone) })
			if !errors.Is(err, gone) || n != 1 || !strings.Contains(out.String(), many[0].Hash) {
				t.Errorf("got %d, %v, want 1 entry, written, and %v", n, err, gone)
			}
		})
	}
}
