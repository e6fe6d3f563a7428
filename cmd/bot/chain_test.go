package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// TestANightFindsADamagedLedger: somebody who can write the database ends the end of a
// waiver, in its row and in the ledger. The waiver waives again until the next night, which
// finds the ledger damaged, says so at the top of the digest, and believes the waiver no more.
func TestANightFindsADamagedLedger(t *testing.T) {
	const revive = `UPDATE waivers SET state = 'active', body = (SELECT body FROM kept_waivers)`
	drop := []string{`DROP TRIGGER ledger_no_update`, `DROP TRIGGER ledger_no_delete`, `DROP TRIGGER ledger_head_no_return`}
	last := func(seq string) string {
		return `UPDATE ledger_head SET seq = ` + seq + `, hash = (SELECT hash FROM ledger WHERE seq = ` + seq + `)`
	}
	ended := `(SELECT seq FROM ledger WHERE verb = 'unwaived')`
	for name, c := range map[string]struct {
		queries []string
		says    string // empty: nothing is damaged
		again   bool   // the night after says it again
	}{
		"nothing": {},
		"an edited row": {append([]string{`UPDATE ledger SET ticket = 'W-9' WHERE verb = 'unwaived'`, revive}, drop...),
			" was altered: its content does not fit its hash.", true},
		"a removed row": {append([]string{`DELETE FROM ledger WHERE verb = 'unwaived'`, revive}, drop...),
			" is missing: ", true},
		"a removed tail, of what was told": {append([]string{`DELETE FROM ledger WHERE seq >= ` + ended, last(`(SELECT MAX(seq) FROM ledger)`), revive,
			`UPDATE nights SET body = replace(body, '"chain"', '"nothing"')`}, drop...), // what the nights keep of heads is forged too
			"the ledger was cut off, its head was known as #", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t)
				defer s.close()
				if err := s.start(t.Context()); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(s.dir, "zdd.db")
				seen := 0
				// say types a line, or lets a day go by, and returns what came of it in Slack.
				say := func(line string) string {
					t.Helper()
					wait := 24 * time.Hour
					if line != "" {
						wait = time.Minute
						if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", line); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(wait)
					text, err := s.control(t.Context(), http.MethodGet, fmt.Sprintf("%s/_control/log?since=%d", s.slackURL, seen), "")
					if err != nil {
						t.Fatal(err)
					}
					var events []struct{ Text string }
					if err := json.Unmarshal([]byte(text), &events); err != nil {
						t.Fatal(err)
					}
					seen += len(events)
					var b strings.Builder
					for _, e := range events {
						b.WriteString(e.Text + "\n")
					}
					return b.String()
				}
				tamper := func(queries ...string) {
					t.Helper()
					if err := s.stopBot(); err != nil {
						t.Fatal(err)
					}
					db, err := store.Open(t.Context(), store.Options{Path: path, Log: slog.New(slog.DiscardHandler), LedgerKey: ledger.NewKey("another")})
					if err != nil {
						t.Fatal(err)
					}
					err = db.Tx(t.Context(), func(tx *sql.Tx) error {
						for _, query := range queries {
							if _, err := tx.ExecContext(t.Context(), query); err != nil {
								return fmt.Errorf("%s: %w", query, err)
							}
						}
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
					if err := db.Close(); err != nil {
						t.Error(err)
					}
					if err := s.start(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
				}
				waived := func() bool {
					t.Helper()
					return strings.Contains(say("type requester #general /zdd waivers"), "W-1")
				}

				say("type requester #general /zdd waive shop preboot until in 2 weeks because accepted-risk")
				if !waived() {
					t.Fatal("W-1 does not waive, so there is nothing to revive")
				}
				tamper(`CREATE TABLE kept_waivers AS SELECT * FROM waivers`)
				say("type requester #general /zdd unwaive W-1")
				if waived() {
					t.Fatal("W-1 waives after it was ended")
				}
				if first := say(""); !strings.Contains(first, "bot ledger verify --head") || strings.Contains(first, "ledger of who did what") {
					t.Fatalf("got %s, want a digest that tells the head and nothing amiss", first)
				}

				if len(c.queries) > 0 {
					n := len(c.queries) - len(drop) // the triggers go first
					tamper(append(append([]string{}, c.queries[n:]...), c.queries[:n]...)...)
					if !waived() {
						t.Error("W-1 does not waive after it was revived: this test would notice nothing")
					}
				}
				second := say("")
				if got := strings.Contains(second, "The ledger of who did what is broken"); got != (c.says != "") || !strings.Contains(second, c.says) {
					t.Errorf("the digest says that the ledger is broken: %t; want %q in\n%s", got, c.says, second)
				}
				if broken := strings.Contains(s.botLog.String(), "the ledger is broken"); broken != (c.says != "") {
					t.Errorf("the log says that it is broken: %t", broken)
				}
				if waived() {
					t.Error("W-1 waives the day after")
				}
				third := say("")
				if got := strings.Contains(third, "The ledger of who did what is broken"); got != c.again {
					t.Errorf("the night after says it again: %t, want %t", got, c.again)
				}
				if waived() {
					t.Error("W-1 waives after two nights")
				}
				// Asked for anew, word for word, it holds, also after another night.
				say("type requester #general /zdd waive shop preboot until in 2 weeks because accepted-risk")
				say("")
				if got := say("type requester #general /zdd waivers"); !strings.Contains(got, "W-2") {
					t.Errorf("asked for anew it does not hold: %s", got)
				}
				if n := strings.Count(say("type requester #general /zdd history"), "found the ledger damaged"); n > 1 || n == 0 && c.says != "" {
					t.Errorf("the history tells of it %d times, want once where there was anything", n)
				}
			})
		})
	}
}
