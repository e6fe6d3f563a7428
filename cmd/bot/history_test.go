package main

import (
	"bytes"
	"database/sql"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// On a terminal there is nothing to press: what turns the page is said as what to type,
// and typed so it does turn it.
func TestHistoryIsTurnedByHand(t *testing.T) {
	const entries = 60 // more than a page
	path := filepath.Join(t.TempDir(), "zdd.db")
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		for range entries {
			if _, err := s.AppendLedger(t.Context(), tx, ledger.Key{}, ledger.Entry{At: time.Now(), Actor: ledger.Bot, Verb: ledger.PolicyLoaded}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	bot := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		getenv := func(k string) string { return map[string]string{"DATABASE_URL": "sqlite:" + path}[k] }
		if got := run(t.Context(), args, outside{Getenv: getenv, Stdout: &out, Stderr: &errs}); got != exitGood {
			t.Fatalf("bot %s: got exit code %d: %s", strings.Join(args, " "), got, &errs)
		}
		return out.String()
	}
	first := bot("history")
	next := regexp.MustCompile("(?m)^Older: `bot (history before=[0-9]+)`$").FindStringSubmatch(first)
	if next == nil || strings.Contains(first, "In Slack") {
		t.Fatalf("got no line that says how to go on:\n%s", first)
	}
	if second := bot(strings.Fields(next[1])...); second == first || !strings.Contains(second, "read the policy") {
		t.Errorf("bot %s: got\n%s", next[1], second)
	}
}
