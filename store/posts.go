package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"example.com/zdd/chat"
)

// Posts are the records of all messages about a ticket, by target.
func (s *Store) Posts(ctx context.Context, ticket string) ([]chat.Post, error) {
	const query = `SELECT ticket, target, channel, ts, rev, hash, live, again, busy, lost, version FROM posts WHERE ticket = $1 ORDER BY target`
	all, err := list(ctx, s.db, query, []any{ticket}, func(scan func(...any) error) (p chat.Post, err error) {
		var live, again, busy int64
		err = scan(&p.Ticket, &p.Target, &p.Channel, &p.TS, &p.Rev, &p.Hash, &live, &again, &busy, &p.Lost, &p.Version)
		p.Live, p.Repeat, p.Busy = live == 1, again == 1, fromMillis(busy)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the messages about %s: %w", ticket, withContext(ctx, err))
	}
	return all, nil
}

// SavePost stores the record of a message as part of tx, with its Version raised, where
// the stored one has p.Version (0: there is none); chat.ErrPostChanged where it has not.
func (s *Store) SavePost(ctx context.Context, tx *sql.Tx, p chat.Post) error {
	if p.Ticket == "" || p.Target == "" {
		return errors.New("save the record of a message: it has no ticket or no target")
	}
	query := `UPDATE posts SET channel = $3, ts = $4, rev = $5, hash = $6, live = $7, again = $8, busy = $9, lost = $10, version = version + 1
		WHERE ticket = $1 AND target = $2 AND version = $11`
	if p.Version == 0 {
		query = `INSERT INTO posts (ticket, target, channel, ts, rev, hash, live, again, busy, lost, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 + 1) ON CONFLICT (ticket, target) DO NOTHING`
	}
	res, err := tx.ExecContext(ctx, query, p.Ticket, p.Target, p.Channel, p.TS, p.Rev, p.Hash, asInt(p.Live), asInt(p.Repeat), toMillis(p.Busy), p.Lost, p.Version)
	var n int64
	if err == nil {
		n, err = res.RowsAffected()
	}
	switch {
	case err != nil:
		return fmt.Errorf("save the record of the message about %s for %s: %w", p.Ticket, p.Target, withContext(ctx, err))
	case n == 0:
		return chat.ErrPostChanged
	}
	return nil
}

// asInt is a truth as both databases keep it.
func asInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
