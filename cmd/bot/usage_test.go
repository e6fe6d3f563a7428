package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// What is typed wrongly is usage wherever it is typed: also where there is no database.
func TestUsageComesBeforeTheDatabase(t *testing.T) {
	missing := "sqlite:" + filepath.Join(t.TempDir(), "none.db")
	tests := map[string]struct {
		args string
		code int
		out  string // on stdout
		errs string // on stderr
	}{
		"no such verb of the ledger":  {"ledger frob", exitUsage, "", "usage: bot ledger verify"},
		"a head that is none":         {"ledger verify --head garbage", exitUsage, "", "garbage"},
		"words behind a verb":         {"ledger verify it", exitUsage, "", "usage: bot ledger verify"},
		"the history of two apps":     {"history a b", exitUsage, "", "usage: bot history"},
		"no such option of history":   {"history after=3", exitUsage, "", "usage: bot history"},
		"all right, and no database":  {"ledger verify", exitError, "", "there is no database"},
		"history without a database":  {"history shop before=12", exitError, "", "there is no database"},
		"help":                        {"help", exitGood, "Usage:\n  bot serve", ""},
		"help of help":                {"help --help", exitGood, "Usage:\n  bot serve", ""},
		"help of a program":           {"help watch", exitGood, "bot watch APP", ""},
		"help of a program, as flags": {"--help watch", exitGood, "bot watch APP", ""},
		"a program's own":             {"watch --help", exitGood, "bot watch APP", ""},
		"help of no program":          {"help nope", exitUsage, "", "there is no program \"nope\""},
		"help of two":                 {"help watch demo", exitUsage, "", "usage: bot help [PROGRAM]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			getenv := func(k string) string { return map[string]string{"DATABASE_URL": missing}[k] }
			code := run(t.Context(), strings.Fields(tt.args), outside{Getenv: getenv, Stdout: &out, Stderr: &errs})
			if code != tt.code {
				t.Errorf("got exit code %d, want %d", code, tt.code)
			}
			if !strings.HasPrefix(strings.TrimPrefix(out.String(), "zdd makes every deploy of your Heroku apps a zero-downtime deploy.\n\n"), tt.out) || tt.out == "" && out.Len() > 0 {
				t.Errorf("got %q on stdout, want %q", &out, tt.out)
			}
			if !strings.Contains(errs.String(), tt.errs) || tt.errs == "" && errs.Len() > 0 {
				t.Errorf("got %q on stderr, want %q", &errs, tt.errs)
			}
		})
	}
}
