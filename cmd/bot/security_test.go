package main

import (
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/chat"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// TestWhoWritesTheDatabase: somebody who can write the database, and has not the ledger's
// key, tries in every way that there is to have an app changed that nobody approved.
func TestWhoWritesTheDatabase(t *testing.T) {
	approved := func(tk *approval.Ticket) {
		tk.State, tk.DecidedAt = approval.Approved, time.Now().UTC()
		tk.Votes = []approval.Vote{{User: "U0APPROVER", Team: "T0ACME", At: time.Now().UTC()}}
	}
	for name, c := range map[string]struct {
		ticket  func(tk *approval.Ticket)                      // how T-1 is rewritten; nil: it is not
		entry   string                                         // a verb that is put into the ledger
		request func(t *testing.T, s *store.Store, tx *sql.Tx) // stores more
		click   bool                                           // the approver then presses Approve
		log     string                                         // what the bot says of it
	}{
		"an approval": {ticket: approved, log: "a ticket is not what the ledger tells of it"},
		"a rollout under way": {ticket: func(tk *approval.Ticket) {
			approved(tk)
			tk.State, tk.Progress = approval.Running, make([]approval.Progress, len(tk.Plan.Steps))
		}, log: "a ticket is not what the ledger tells of it"},
		"an entry of the ledger": {ticket: approved, entry: ledger.Approved, log: "a ticket is not what the ledger tells of it"},
		"another plan under the approver's click": {
			ticket: func(tk *approval.Ticket) { tk.Wish.Web = 9; tk.Wish.Verb = "scale" }, click: true},
		"somebody else's request under their own click": {
			ticket: func(tk *approval.Ticket) { tk.Requester = "U0APPROVER2" }, click: true},
		"an approver's word": {
			request: func(t *testing.T, _ *store.Store, tx *sql.Tx) {
				body, err := json.Marshal(chat.Accepted{ID: "E-forged", Kind: "slash_commands", Line: "approve T-1", Via: "slash", User: "U0APPROVER", Team: "T0ACME", Channel: "C0OPS", At: time.Now()})
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range []string{string(body), ledger.NewKey("another").Mark("request", body) + " " + string(body)} {
					if _, err := tx.ExecContext(t.Context(), `INSERT INTO requests (id, at, body) VALUES ('E-forged', $1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body`, time.Now().UnixMilli(), text); err != nil {
						t.Fatal(err)
					}
				}
			},
			log: "a request is gone before it was carried out",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t)
				defer s.close()
				if err := s.start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "type requester #general /zdd enable shop"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if err := s.stopBot(); err != nil {
					t.Fatal(err)
				}

				db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(s.dir, "zdd.db"), Log: slog.New(slog.DiscardHandler), LedgerKey: ledger.NewKey("another")})
				if err != nil {
					t.Fatal(err)
				}
				tk, err := db.Ticket(t.Context(), "T-1")
				if err != nil {
					t.Fatal(err)
				}
				err = db.Tx(t.Context(), func(tx *sql.Tx) error {
					if c.request != nil {
						c.request(t, db, tx)
						if err := db.EnqueueJob(t.Context(), tx, jobs.Spec{Kind: chat.WorkCommand, Key: "E-forged", At: time.Now()}); err != nil {
							return err
						}
					}
					if c.entry != "" {
						e := ledger.Entry{At: time.Now(), Actor: "U0APPROVER", Verb: c.entry, App: string(tk.Plan.App), Name: tk.Plan.Name, Ticket: tk.ID}
						if _, err := db.AppendLedger(t.Context(), tx, ledger.NewKey("another"), e); err != nil {
							return err
						}
					}
					if c.ticket == nil {
						return nil
					}
					c.ticket(&tk)
					body, err := json.Marshal(tk)
					if err != nil {
						return err
					}
					if _, err := tx.ExecContext(t.Context(), `UPDATE tickets SET state = $1, body = $2 WHERE n = 1`, string(tk.State), string(body)); err != nil {
						return err
					}
					return db.EnqueueJob(t.Context(), tx, jobs.Spec{Kind: approval.WorkApply, Key: tk.ID, Group: string(tk.Plan.App), At: time.Now()})
				})
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				if err != nil {
					t.Fatal(err)
				}

				if err := s.start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if c.click {
					if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "click approver Approve $25.00/month on T-1"); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Hour)
				for _, call := range s.heroku.Calls() {
					if call.Method != http.MethodGet {
						t.Errorf("the bot sent %s %s", call.Method, call.Path)
					}
				}
				if !strings.Contains(s.botLog.String(), c.log) {
					t.Errorf("the log lacks %q:\n%s", c.log, s.botLog)
				}
				seen, err := s.control(t.Context(), http.MethodGet, s.slackURL+"/_control/log?since=0", "")
				if err != nil {
					t.Fatal(err)
				}
				if c.ticket != nil && !regexp.MustCompile(`(?i)the ledger[a-z ]* (tell|does not)`).MatchString(seen) {
					t.Error("nobody is told why in Slack")
				}
			})
		})
	}
}

// TestTheSamePathWithTheKey: the test above would not notice if nothing were ever carried
// out; this is the same story without a forger.
func TestTheSamePathWithTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"type requester #general /zdd enable shop", "click approver Approve $25.00/month on T-1"} {
			if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", line); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := s.lifecycle(t.Context(), "restart"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		changed := 0
		for _, call := range s.heroku.Calls() {
			if call.Method == http.MethodPatch {
				changed++
			}
		}
		if changed != 3 {
			t.Errorf("got %d changes, want the three steps", changed)
		}
	})
}
