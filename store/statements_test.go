package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"modernc.org/sqlite"
)

// TestStatementsAreKept: each text is prepared once a connection, whoever asks, and again
// only where it can't be avoided. What was prepared is closed with its connection.
func TestStatementsAreKept(t *testing.T) {
	const insert, read = `INSERT INTO t (n) VALUES ($1)`, `SELECT n FROM t WHERE n >= $1 ORDER BY n`
	for name, c := range map[string]struct {
		do   func(t *testing.T, db *sql.DB)
		want int // statements that were prepared
	}{
		"queries": {func(t *testing.T, db *sql.DB) {
			for want := range 5 {
				if n := answer(t, db, read, want); n != want {
					t.Errorf("got %d, want %d", n, want)
				}
			}
		}, 1},
		"in transactions and outside": {func(t *testing.T, db *sql.DB) {
			for n := 10; n < 13; n++ {
				if _, err := db.ExecContext(t.Context(), insert, n); err != nil {
					t.Fatal(err)
				}
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.ExecContext(t.Context(), insert, n+10); err != nil {
					t.Fatal(err)
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
			}
		}, 1},
		"rows within rows": {func(t *testing.T, db *sql.DB) {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			rows, err := tx.QueryContext(t.Context(), read, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for want := 1; rows.Next(); want++ {
				var outer int
				if err := rows.Scan(&outer); err != nil || outer != want {
					t.Fatalf("got %d, %v, want %d", outer, err, want)
				}
				if inner := answer(t, tx, read, 5-outer); inner != 5-outer {
					t.Errorf("got %d, want %d", inner, 5-outer)
				}
			}
			if err := rows.Err(); err != nil {
				t.Error(err)
			}
		}, 2},
		"after a row that was refused": {func(t *testing.T, db *sql.DB) {
			for range 3 {
				if _, err := db.ExecContext(t.Context(), insert, 1); err == nil {
					t.Error("got two rows with one key")
				}
			}
			if _, err := db.ExecContext(t.Context(), insert, 50); err != nil {
				t.Error(err)
			}
		}, 4},
		"rows that nobody read to their end": {func(t *testing.T, db *sql.DB) {
			for n := range 3 {
				var first int
				err := db.QueryRowContext(t.Context(), `UPDATE t SET n = n + 10 RETURNING n`).Scan(&first)
				if err != nil || first != 10*(n+1) {
					t.Errorf("got %d, %v, want %d", first, err, 10*(n+1))
				}
			}
			if least := answer(t, db, `SELECT min(n) FROM t`); least != 30 {
				t.Errorf("got %d, want 30", least)
			}
		}, 2},
		"other columns meanwhile": {func(t *testing.T, db *sql.DB) {
			const all = `SELECT * FROM t WHERE n = $1`
			if n := answer(t, db, all, 3); n != 3 {
				t.Errorf("got %d, want 3", n)
			}
			if _, err := db.ExecContext(t.Context(), `ALTER TABLE t ADD COLUMN name TEXT DEFAULT 'new'`); err != nil {
				t.Fatal(err)
			}
			var n int
			var name string
			if err := db.QueryRowContext(t.Context(), all, 3).Scan(&n, &name); err != nil || n != 3 || name != "new" {
				t.Errorf("got %d %q, %v, want 3 \"new\"", n, name, err)
			}
		}, 2},
		"texts without end": {func(t *testing.T, db *sql.DB) {
			for range 2 {
				for want := range 2 * keptStatements {
					if n := answer(t, db, fmt.Sprintf("SELECT %d", want)); n != want {
						t.Errorf("got %d, want %d", n, want)
					}
				}
			}
		}, 4 * keptStatements},
		"a text between others": {func(t *testing.T, db *sql.DB) {
			for i := range 2 * keptStatements {
				_, _ = answer(t, db, read, 1), answer(t, db, fmt.Sprintf("SELECT %d", i))
			}
		}, 2*keptStatements + 1},
		"another connection": {func(t *testing.T, db *sql.DB) {
			_ = answer(t, db, read, 1)
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// What answers so has its connection dropped.
			if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
				t.Fatal(err)
			}
			if n := answer(t, db, read, 2); n != 2 {
				t.Errorf("got %d, want 2", n)
			}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			connector, err := sqlite.NewConnector("file:" + path)
			if err != nil {
				t.Fatal(err)
			}
			count := &counting{Connector: connector}
			db := sql.OpenDB(keeping{count})
			db.SetMaxOpenConns(1)
			if _, err := db.ExecContext(t.Context(), `CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t (n) VALUES (0), (1), (2), (3), (4)`); err != nil {
				t.Fatal(err)
			}
			before := count.prepared
			c.do(t, db)
			if got := count.prepared - before; got != c.want {
				t.Errorf("prepared %d statements, want %d", got, c.want)
			}
			if kept, most := count.prepared-count.closed, keptStatements; kept > most {
				t.Errorf("%d statements are kept, want at most %d", kept, most)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if count.closed != count.prepared {
				t.Errorf("closed %d statements of %d", count.closed, count.prepared)
			}
		})
	}
}

// TestStatementOfEndedContext: a query that was given up half-way is not answered from what
// it left, and what is asked next is.
func TestStatementOfEndedContext(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "zdd.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const long = `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < $1) SELECT count(*) FROM c`
	for range 2 {
		if n := answer(t, s.db, long, 10); n != 10 {
			t.Errorf("got %d, want 10", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan error, 1)
		go func() {
			asked <- s.db.QueryRowContext(ctx, long, int64(1)<<60).Scan(new(int))
		}()
		for s.db.Stats().InUse == 0 {
			runtime.Gosched() // it has not begun
		}
		cancel()
		if err := <-asked; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
	}
}

// answer reads the first column of the first row.
func answer(t *testing.T, q querier, query string, args ...any) (n int) {
	t.Helper()
	if err := q.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// counting counts the statements of a connector's connections.
type counting struct {
	driver.Connector

	prepared, closed int
}

func (c *counting) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &countingConn{sqliteConn: conn.(sqliteConn), count: c}, nil
}

type countingConn struct {
	sqliteConn

	count *counting
}

func (c *countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.count.prepared++
	return &countingStmt{sqliteStmt: s.(sqliteStmt), count: c.count}, nil
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type countingStmt struct {
	sqliteStmt

	count *counting
}

func (s *countingStmt) Close() error {
	s.count.closed++
	return s.sqliteStmt.Close()
}
