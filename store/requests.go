package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/zdd/chat"
	"example.com/zdd/jobs"
)

// AcceptRequest stores what a person asked for, that its delivery was seen, and the job
// that carries it out, in one transaction: true exactly once for each id, over any
// number of replicas and restarts, until the delivery is forgotten (ForgetEnvelopes).
// On an error it is most likely not stored, but that is not certain; see Tx.
func (s *Store) AcceptRequest(ctx context.Context, a chat.Accepted) (first bool, err error) {
	if a.ID == "" || a.At.IsZero() {
		return false, errors.New("accept request: it has no id or no time")
	}
	body, err := json.Marshal(a)
	if err != nil {
		return false, fmt.Errorf("accept request %s: %w", a.ID, err)
	}
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		var err error
		if first, err = recordEnvelope(ctx, tx, Envelope{ID: a.ID, Kind: a.Kind, At: a.At}); err != nil || !first {
			return err
		}
		sealed := s.key.Mark(requestMark, body) + " " + string(body)
		if _, err := tx.ExecContext(ctx, `INSERT INTO requests (id, at, body) VALUES ($1, $2, $3)`, a.ID, a.At.UnixMilli(), sealed); err != nil {
			return err
		}
		return s.EnqueueJob(ctx, tx, jobs.Spec{Kind: chat.WorkCommand, Key: a.ID, At: a.At})
	})
	if err != nil {
		return false, fmt.Errorf("accept request %s: %w", a.ID, err)
	}
	return first, nil
}

// requestMark is the purpose of the mark in front of a request. A request is carried out
// as the person it names, so who can write the database, and has not the ledger's key,
// must not be able to make one.
const requestMark = "request"

// Request reads what was accepted; chat.ErrNoRequest where nothing was, or it is
// forgotten, or is not as this bot has written it.
func (s *Store) Request(ctx context.Context, id string) (chat.Accepted, error) {
	var body string
	err := s.db.QueryRowContext(ctx, `SELECT body FROM requests WHERE id = $1`, id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return chat.Accepted{}, chat.ErrNoRequest
	}
	if err != nil {
		return chat.Accepted{}, fmt.Errorf("read request %s: %w", id, withContext(ctx, err))
	}
	mark, text, _ := strings.Cut(body, " ")
	if !s.key.Marked(mark, requestMark, []byte(text)) {
		return chat.Accepted{}, fmt.Errorf("read request %s: it was altered, or the ledger's key was changed since: %w", id, chat.ErrNoRequest)
	}
	var a chat.Accepted
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return chat.Accepted{}, fmt.Errorf("read request %s: %w", id, err)
	}
	if a.ID != id {
		return chat.Accepted{}, fmt.Errorf("read request %s: it was stored as %s: %w", id, a.ID, chat.ErrNoRequest)
	}
	return a, nil
}

// ForgetRequests drops what was accepted before the given time and is carried out, and
// says how many those were. What still waits for its job stays.
func (s *Store) ForgetRequests(ctx context.Context, before time.Time) (n int64, err error) {
	res, err := s.db.ExecContext(ctx, `DELETE FROM requests WHERE at < $1
		AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = '`+chat.WorkCommand+`:' || requests.id AND jobs.done_at = 0)`, before.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("forget requests: %w", withContext(ctx, err))
	}
	n, err = res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("forget requests: %w", err)
	}
	return n, nil
}
