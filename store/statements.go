package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
)

// keptStatements is how many prepared statements a connection to SQLite keeps, at some
// kilobytes each: what the bot asks often are some dozen texts.
const keptStatements = 64

// keeping is a connector whose connections prepare each text once, and not for each
// query: preparing took longer than the usual query itself, and a bot that waits asks
// the queue the same again and again. Our driver for PostgreSQL does so by itself.
type keeping struct{ driver.Connector }

// Connect opens a connection.
func (k keeping) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	able, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver's connections are not what they were"), conn.Close())
	}
	return &keepingConn{sqliteConn: able}, nil
}

// sqliteConn is what database/sql uses of the driver's connections. What prepares
// statements in vain is left out: database/sql would go round what is kept.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// statement is a text that was prepared.
type statement struct {
	text string
	driver.Stmt
}

// keepingConn is a connection with the statements that nobody uses at the moment, the one
// whose use is longest ago first. database/sql lets one goroutine at a time use it, and
// what comes from it.
type keepingConn struct {
	sqliteConn

	idle []statement
}

// ExecContext runs a query without rows; see driver.ExecerContext.
func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	res, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	return res, c.giveBack(s, err)
}

// QueryContext runs a query with rows; see driver.QueryerContext.
func (c *keepingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, c.giveBack(s, err)
	}
	return &keepingRows{Rows: rows, conn: c, from: s}, nil
}

// Close ends the connection and what it keeps: a statement that outlived it would keep
// SQLite's part of it, and its file, open.
func (c *keepingConn) Close() error {
	for _, s := range c.idle {
		_ = s.Close()
	}
	c.idle = nil
	return c.sqliteConn.Close()
}

// take finds the statement of a text, or prepares it. It belongs to the caller until
// giveBack: the same text asked again meanwhile gets another.
func (c *keepingConn) take(ctx context.Context, text string) (statement, error) {
	if i := slices.IndexFunc(c.idle, func(s statement) bool { return s.text == text }); i >= 0 {
		s := c.idle[i]
		c.idle = slices.Delete(c.idle, i, i+1)
		return s, nil
	}
	prepared, err := c.PrepareContext(ctx, text)
	return statement{text, prepared}, err
}

// giveBack ends the use of a statement and returns how it went, err. One that went wrong is
// not used again; of those that are kept too many, the one whose use is longest ago goes.
// To close one that is reset can't fail: SQLite only tells again how its last use went.
func (c *keepingConn) giveBack(s statement, err error) error {
	if err != nil {
		_ = s.Close()
		return err
	}
	c.idle = append(c.idle, s)
	if len(c.idle) > keptStatements {
		_ = c.idle[0].Close()
		c.idle = slices.Delete(c.idle, 0, 1)
	}
	return nil
}

// keepingRows are rows that hold a statement until they are closed.
type keepingRows struct {
	driver.Rows

	conn *keepingConn
	from statement
}

// Close ends the rows; database/sql does so once.
func (r *keepingRows) Close() error { return r.conn.giveBack(r.from, r.Rows.Close()) }
