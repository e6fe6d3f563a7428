package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"example.com/zdd/approval"
	"example.com/zdd/internal/pgtest"
	"example.com/zdd/ledger"
	"example.com/zdd/secret"
	"example.com/zdd/store"
	"example.com/zdd/store/storetest"
)

// places are the two kinds of database, each empty.
func places() map[string]func(t *testing.T) store.Options {
	return map[string]func(t *testing.T) store.Options{
		"sqlite":   func(t *testing.T) store.Options { return store.Options{Path: filepath.Join(t.TempDir(), "zdd.db")} },
		"postgres": func(t *testing.T) store.Options { return store.Options{URL: secret.New(pgtest.URL(t))} },
	}
}

// releaseKey sealed the ledger in testdata/release-8.sql.
const releaseKey = "canary-ledger-key-0123456789"

// From every schema that there ever was, with rows in all its tables, an upgrade keeps
// every row as it is, and the store reads it.
func TestUpgradeFromEverySchema(t *testing.T) {
	for name, place := range places() {
		for _, from := range store.Versions(t) {
			t.Run(fmt.Sprintf("%s from %d", name, from), func(t *testing.T) {
				t.Parallel()
				o := place(t)
				o.LedgerKey = ledger.NewKey(releaseKey)
				old := store.AtVersion(t, o, from)
				plantRows(t, old)
				before := allRows(t, old)
				if err := old.Close(); err != nil {
					t.Fatal(err)
				}
				s, err := store.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				for table, want := range before {
					if got := rowsOf(t, s, table, want.columns); !slices.Equal(got, want.rows) {
						t.Errorf("%s: got\n%s\nwant\n%s", table, strings.Join(got, "\n"), strings.Join(want.rows, "\n"))
					}
				}
				readBack(t, s, from)
			})
		}
	}
}

// readBack reads what testdata/release-8.sql holds of the tables that there were.
func readBack(t *testing.T, s *store.Store, from int64) {
	t.Helper()
	ctx := t.Context()
	const asked = "daa4e5c5f5533753c8cea4a8a84100b8"
	if first, err := s.RecordEnvelope(ctx, store.Envelope{ID: asked, Kind: "slash_commands", At: time.Now()}); err != nil || first {
		t.Errorf("a delivery of before: got %v, %v, want it to be known", first, err)
	}
	if from >= 2 {
		if at, found, err := s.NextJob(ctx, []string{approval.WorkExpire}); err != nil || !found || at.Year() != 2000 {
			t.Errorf("a job of before: got %s, %v, %v", at, found, err)
		}
	}
	if from >= 3 {
		head := ledger.Head{Seq: 16, Hash: "5260f1686518"}
		if report, err := s.VerifyLedger(ctx, []ledger.Key{ledger.NewKey(releaseKey)}, head); err != nil || report.Verdict() != ledger.Whole {
			t.Errorf("the ledger of before: got %s, %v, want it to be whole", report, err)
		}
	}
	if from >= 5 {
		tickets, err := s.Tickets(ctx, approval.Filter{Limit: -1})
		if err != nil || len(tickets) != 2 {
			t.Fatalf("the tickets of before: got %d, %v", len(tickets), err)
		}
		states := map[string]approval.State{}
		for _, ticket := range tickets {
			states[ticket.ID] = ticket.State
		}
		if want := map[string]approval.State{"T-1": approval.Done, "T-2": approval.Pending}; !maps.Equal(states, want) {
			t.Errorf("got tickets %v, want %v", states, want)
		}
	}
	if from >= 6 {
		if got, err := s.Request(ctx, asked); err != nil || got.Line != "enable shop" {
			t.Errorf("a request of before: got %+v, %v", got, err)
		}
	}
	if from >= 7 {
		if got, err := s.Posts(ctx, "T-1"); err != nil || len(got) != 3 {
			t.Errorf("the messages of before: got %d, %v, want 3", len(got), err)
		}
	}
}

var intoTable = regexp.MustCompile(`^(?:INSERT INTO|UPDATE) ([a-z_]+) `)

// plantRows writes what a release wrote into each table that there is, and something into
// those of which no release has told.
func plantRows(t *testing.T, s *store.Store) {
	t.Helper()
	text, err := os.ReadFile("testdata/release-8.sql")
	if err != nil {
		t.Fatal(err)
	}
	tables := columnsOf(t, s)
	filled := map[string]bool{}
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		for line := range bytes.Lines(text) {
			found := intoTable.FindSubmatch(line)
			if found == nil {
				continue
			}
			table := string(found[1])
			if _, there := tables[table]; !there {
				continue
			}
			if _, err := tx.ExecContext(t.Context(), string(line)); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
			filled[table] = true
		}
		for table, columns := range tables {
			if filled[table] {
				continue
			}
			var names, values []string
			for _, c := range columns {
				names, values = append(names, c.name), append(values, c.any())
			}
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(values, ", ")+`)`); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// column is one of a table's.
type column struct{ name, kind string }

// any is some value that fits; 1 also fits where a table has a single row.
func (c column) any() string {
	if strings.EqualFold(c.kind, "bigint") {
		return "1"
	}
	return "'{}'"
}

// columnsOf are our tables and their columns, in order.
func columnsOf(t *testing.T, s *store.Store) map[string][]column {
	t.Helper()
	query := `SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid`
	if s.Dialect() == store.Postgres {
		query = `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`
	}
	all := map[string][]column{}
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(t.Context(), query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var table string
			var c column
			if err := rows.Scan(&table, &c.name, &c.kind); err != nil {
				return err
			}
			if table != goose.DefaultTablename {
				all[table] = append(all[table], c)
			}
		}
		return rows.Err()
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("got %d tables, %v", len(all), err)
	}
	return all
}

type tableRows struct {
	columns []string
	rows    []string // sorted
}

// allRows are the rows of every table, none of which may be empty.
func allRows(t *testing.T, s *store.Store) map[string]tableRows {
	t.Helper()
	all := map[string]tableRows{}
	for table, columns := range columnsOf(t, s) {
		var names []string
		for _, c := range columns {
			names = append(names, c.name)
		}
		rows := rowsOf(t, s, table, names)
		if len(rows) == 0 {
			t.Errorf("%s has no row: nothing is shown of it", table)
		}
		all[table] = tableRows{names, rows}
	}
	return all
}

func rowsOf(t *testing.T, s *store.Store, table string, columns []string) (all []string) {
	t.Helper()
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(t.Context(), `SELECT `+strings.Join(columns, ", ")+` FROM `+table)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			var line []string
			for i, v := range values {
				line = append(line, columns[i]+"="+v.String)
			}
			all = append(all, strings.Join(line, " "))
		}
		return rows.Err()
	})
	if err != nil {
		t.Errorf("read %s: %v", table, err)
	}
	slices.Sort(all)
	return all
}

// An older program runs on a newer schema, as it has to during a deploy and after a
// rollback: the whole conformance suite passes where every table has columns, and the
// database tables, that this program has never heard of.
func TestOlderProgramOnNewerSchema(t *testing.T) {
	for name, place := range places() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Options {
				if strings.HasSuffix(t.Name(), "/migrate") {
					t.Skip("it takes the schema back to an older one itself")
				}
				o := newer(t, place(t))
				s, err := store.Open(t.Context(), o)
				if err != nil {
					t.Fatalf("this program does not start on a newer schema: %v", err)
				}
				if got, err := s.SchemaVersion(t.Context()); err != nil || got != newerVersion {
					t.Errorf("got schema %d, %v, want %d", got, err, newerVersion)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return o
			})
		})
	}
}

// newerVersion is a migration that is not written yet.
const newerVersion = 9999

// newer migrates a database as a later release may: it only adds.
func newer(t *testing.T, o store.Options) store.Options {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	tables := columnsOf(t, s)
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		statements := []string{
			`CREATE TABLE tomorrow (id TEXT NOT NULL PRIMARY KEY)`,
			fmt.Sprintf(`INSERT INTO %s (version_id, is_applied) VALUES (%d, %s)`, goose.DefaultTablename, newerVersion, map[store.Dialect]string{store.SQLite: "1", store.Postgres: "true"}[s.Dialect()]),
		}
		for table := range tables {
			statements = append(statements, `ALTER TABLE `+table+` ADD COLUMN tomorrow TEXT NOT NULL DEFAULT ''`, `CREATE INDEX `+table+`_tomorrow ON `+table+` (tomorrow)`)
		}
		for _, statement := range statements {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return o
}

// Migrations only add: during a deploy the program of yesterday runs on the schema of
// today. A column that is added has a default, since that program does not name it.
func TestMigrationsOnlyAdd(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range addsNothing(string(text)) {
			t.Errorf("%s does more than add: %s", file, statement)
		}
	}
	for statement, fine := range map[string]bool{
		"CREATE TABLE x (a TEXT NOT NULL);":                      true,
		"CREATE UNIQUE INDEX x_a ON x (a);":                      true,
		"INSERT INTO x (a) VALUES ('b');":                        true,
		"ALTER TABLE x ADD COLUMN b TEXT NOT NULL DEFAULT '';":   true,
		"ALTER TABLE x ADD COLUMN b TEXT;":                       true,
		"ALTER TABLE x ADD COLUMN b TEXT NOT NULL;":              false,
		"ALTER TABLE x RENAME COLUMN a TO b;":                    false,
		"ALTER TABLE x DROP COLUMN a;":                           false,
		"DROP TABLE x;":                                          false,
		"UPDATE x SET a = 'b';":                                  false,
		"-- a comment\nDELETE FROM x; CREATE TABLE y (a TEXT);":  false,
		"CREATE TABLE y (a TEXT);\n-- +goose Down\nDROP TABLE y": true,
	} {
		if got := len(addsNothing("-- +goose Up\n"+statement)) == 0; got != fine {
			t.Errorf("%s: got %v, want %v", statement, got, fine)
		}
	}
}

var (
	adding  = regexp.MustCompile(`(?is)^(CREATE (TABLE|INDEX|UNIQUE INDEX)|INSERT INTO)\s`)
	columnA = regexp.MustCompile(`(?is)^ALTER TABLE \S+ ADD COLUMN\s`)
	comment = regexp.MustCompile(`--[^\n]*`)
)

// addsNothing are the statements of a migration that do anything but add.
func addsNothing(text string) (out []string) {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	for statement := range strings.SplitSeq(comment.ReplaceAllString(up, ""), ";") {
		statement = strings.TrimSpace(statement)
		upper := strings.ToUpper(statement)
		withDefault := columnA.MatchString(statement) && (strings.Contains(upper, " DEFAULT ") || !strings.Contains(upper, "NOT NULL"))
		if statement != "" && !adding.MatchString(statement) && !withDefault {
			out = append(out, statement)
		}
	}
	return out
}
