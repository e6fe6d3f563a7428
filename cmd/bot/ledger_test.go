package main

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// The ledger tells who asked, who decided, and what was read before and after each write;
// it verifies, also against the head that Slack shows, and exports. A policy that moves
// who may approve is in it, and told in the approval channel.
func TestLedgerTellsIt(t *testing.T) {
	env := map[string]string{}
	dir := t.TempDir() // outlives the bubble
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		s.dir = dir
		do := func(url, line string) {
			t.Helper()
			if _, err := s.control(t.Context(), http.MethodPost, url+"/_control/do", line); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		do(s.slackURL, "type requester #general /zdd enable shop")
		time.Sleep(time.Minute)
		do(s.slackURL, "click approver Approve $25.00/month on T-1")
		time.Sleep(time.Hour)
		if err := s.stopBot(); err != nil {
			t.Fatal(err)
		}
		s.policy += "\nlimits: { web_dynos: 20 }"
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		seen, err := s.control(t.Context(), http.MethodGet, s.slackURL+"/_control/log?since=0", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"The policy changed", "limits.web_dynos", "T-1 · enable shop: done"} {
			if !strings.Contains(seen, want) {
				t.Errorf("Slack lacks %q", want)
			}
		}
		for _, name := range []string{"DATABASE_URL", "ZDD_LEDGER_KEY"} {
			env[name] = s.environment(name)
		}
	})
	bot := func(code int, change map[string]string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		getenv := func(k string) string {
			if v, ok := change[k]; ok {
				return v
			}
			return env[k]
		}
		if got := run(t.Context(), args, outside{Getenv: getenv, Stdout: &out, Stderr: &errs}); got != code {
			t.Errorf("bot %s: got exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &out, &errs)
		}
		return out.String() + errs.String()
	}
	history := bot(exitGood, nil, "history")
	for _, verb := range []string{"asked", "approved", "started", "begins preboot on", "done preboot on", "finished", "read the policy"} {
		if !strings.Contains(history, verb) {
			t.Errorf("bot history lacks %q:\n%s", verb, history)
		}
	}
	lines := strings.Split(strings.TrimSpace(bot(exitGood, nil, "ledger", "export")), "\n")
	var last struct {
		Seq  int64
		Hash string
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Seq != int64(len(lines)) {
		t.Fatalf("got last line %q, %v", lines[len(lines)-1], err)
	}
	if rows, err := csv.NewReader(strings.NewReader(bot(exitGood, nil, "ledger", "export", "--csv"))).ReadAll(); err != nil || len(rows) != len(lines)+1 {
		t.Errorf("CSV: got %d rows, %v, want %d and a heading", len(rows), err, len(lines))
	}
	bot(exitGood, nil, "ledger", "verify")
	bot(exitGood, nil, "ledger", "verify", "--head", "#"+number(last.Seq)+" "+last.Hash[:12])
	bot(exitFindings, nil, "ledger", "verify", "--head", "#"+number(last.Seq)+" 000000000000")
	bot(exitFindings, nil, "ledger", "verify", "--head", "#"+number(last.Seq+5)+" "+last.Hash[:12])
	bot(exitUnknown, map[string]string{"ZDD_LEDGER_KEY": ""}, "ledger", "verify")
	bot(exitUnknown, map[string]string{"ZDD_LEDGER_KEY": "the-next-key"}, "ledger", "verify")
	bot(exitGood, map[string]string{"ZDD_LEDGER_KEY": "the-next-key", "ZDD_LEDGER_FORMER_KEYS": "an-older-one " + env["ZDD_LEDGER_KEY"]}, "ledger", "verify")
	bot(exitUsage, nil, "ledger", "verify", "--head", "nonsense")
	bot(exitUsage, nil, "ledger", "burn")
	bot(exitError, map[string]string{"DATABASE_URL": "sqlite:/no/such/file.db"}, "ledger", "verify")
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// A ledger without seals fits, and proves nothing against whoever can write the database:
// a script that looks at the exit code alone must not take it for good, with a key or
// without one.
func TestIntegrityOnlyIsNoProof(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zdd.db")
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := s.AppendLedger(t.Context(), tx, ledger.Key{}, ledger.Entry{At: time.Now(), Actor: ledger.Bot, Verb: ledger.PolicyLoaded})
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "a-key-that-never-sealed"} {
		var out bytes.Buffer
		getenv := func(k string) string {
			return map[string]string{"DATABASE_URL": "sqlite:" + path, "ZDD_LEDGER_KEY": key}[k]
		}
		if code := run(t.Context(), []string{"ledger", "verify"}, outside{Getenv: getenv, Stdout: &out, Stderr: &out}); code != exitUnknown || !strings.HasPrefix(out.String(), "integrity only: ") {
			t.Errorf("with the key %q: got %d, %s, want %d and integrity only", key, code, &out, exitUnknown)
		}
	}
}
