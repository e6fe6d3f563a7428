package ledger

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// timeFormat is how exports write a time: UTC, to the millisecond, which is all that
// the ledger keeps and hashes.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// line is an entry in JSON Lines.
type line struct {
	Seq    int64           `json:"seq"`
	At     string          `json:"at"`
	Actor  string          `json:"actor"`
	Verb   string          `json:"verb"`
	App    string          `json:"app,omitzero"`
	Name   string          `json:"name,omitzero"`
	Ticket string          `json:"ticket,omitzero"`
	Detail json.RawMessage `json:"detail"`
	KeyID  string          `json:"key_id,omitzero"`
	Prev   string          `json:"prev,omitzero"`
	Hash   string          `json:"hash"`
}

// WriteJSONLines writes each entry as one line of JSON and says how many those were.
// ReadJSONLines gets the same entries back, and they verify as the ledger does.
func WriteJSONLines(w io.Writer, entries iter.Seq2[Entry, error]) (n int64, err error) {
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false) // what was hashed would read differently
	for e, err := range entries {
		if err != nil {
			return n, errors.Join(fmt.Errorf("export the ledger: %w", err), out.Flush())
		}
		err = encoder.Encode(line{
			e.Seq, e.At.UTC().Format(timeFormat), e.Actor, e.Verb, e.App, e.Name, e.Ticket, exported(e.Detail), e.KeyID, e.Prev, e.Hash,
		})
		if err != nil {
			return n, fmt.Errorf("export the ledger: write #%d: %w", e.Seq, err)
		}
		n++
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("export the ledger: %w", err)
	}
	return n, nil
}

// exported is a detail as the object that it is; and as a string holding its text
// where it is anything else, or would not come back byte by byte: a damaged ledger
// must be exported as it is.
func exported(detail json.RawMessage) json.RawMessage {
	var compact bytes.Buffer
	if bytes.HasPrefix(detail, []byte("{")) && utf8.Valid(detail) && json.Compact(&compact, detail) == nil && bytes.Equal(compact.Bytes(), detail) {
		return detail
	}
	text, _ := json.Marshal(string(detail)) // a string always can be
	return text
}

// ReadJSONLines yields the entries that WriteJSONLines wrote, in the order of the
// lines. It checks the form only; Verify checks the rest, with the head of the last
// entry, or better one that was told elsewhere, as the stored one. After an error,
// which names the line, it ends.
func ReadJSONLines(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		in := bufio.NewReader(r)
		for number := 1; ; number++ {
			text, err := in.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Entry{}, fmt.Errorf("line %d: %w", number, err))
				return
			}
			ended := err != nil
			if len(bytes.TrimSpace(text)) > 0 {
				e, err := parseLine(text)
				if err != nil {
					yield(Entry{}, fmt.Errorf("line %d: %w", number, err))
					return
				}
				if !yield(e, nil) {
					return
				}
			}
			if ended {
				return
			}
		}
	}
}

func parseLine(text []byte) (Entry, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return Entry{}, err
	}
	at, err := time.Parse(timeFormat, l.At)
	if err != nil {
		return Entry{}, err
	}
	if bytes.HasPrefix(l.Detail, []byte(`"`)) {
		var plain string
		if err := json.Unmarshal(l.Detail, &plain); err != nil {
			return Entry{}, err
		}
		l.Detail = json.RawMessage(plain)
	}
	return Entry{l.Seq, at.UTC(), l.Actor, l.Verb, l.App, l.Name, l.Ticket, l.Detail, l.KeyID, l.Prev, l.Hash}, nil
}

// WriteCSV writes a heading and each entry as one row, for spreadsheets, and says how
// many entries those were.
//
// A spreadsheet takes a cell that begins with = + - or @ for a formula, and could run
// what somebody typed as a reason. Such a cell gets a ' in front, which spreadsheets
// take for "this is text"; and so does one that begins with a ' itself, so that taking
// one ' away always gives back what was there.
func WriteCSV(w io.Writer, entries iter.Seq2[Entry, error]) (n int64, err error) {
	out := csv.NewWriter(w)
	err = out.Write([]string{"seq", "at", "actor", "verb", "app", "name", "ticket", "detail", "key_id", "prev", "hash"})
	for e, err := range entries {
		if err != nil {
			out.Flush()
			return n, errors.Join(fmt.Errorf("export the ledger: %w", err), out.Error())
		}
		row := []string{
			strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(timeFormat), e.Actor, e.Verb, e.App, e.Name, e.Ticket, string(e.Detail), e.KeyID, e.Prev, e.Hash,
		}
		for i, cell := range row {
			row[i] = asText(cell)
		}
		if err := out.Write(row); err != nil {
			return n, fmt.Errorf("export the ledger: write #%d: %w", e.Seq, err)
		}
		n++
	}
	if out.Flush(); err == nil {
		err = out.Error()
	}
	if err != nil {
		return n, fmt.Errorf("export the ledger: %w", err)
	}
	return n, nil
}

// asText guards a cell that a spreadsheet might compute. Some skip spaces and control
// characters in front, and take the wide forms of East Asian keyboards too (OWASP, "CSV
// Injection").
func asText(cell string) string {
	begin := strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\ufeff' })
	if strings.HasPrefix(cell, "'") || begin != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(begin)[0]) ||
		cell != "" && strings.ContainsRune("\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
