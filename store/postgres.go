package store

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	"example.com/zdd/secret"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// maxConns caps the pool. The small Heroku Postgres plans (Essential-0 and -1)
	// take 20 connections, and a deploy runs the old and the new bot side by side:
	// twice eight leaves four for the doctor, for psql and for backups.
	maxConns = 8
	// maxIdleConns spares the usual few queries at a time a new TLS handshake,
	// which is database/sql's default for all but two.
	maxIdleConns = 4
	// connLifetime lets connections move over after a failover, a maintenance or a
	// changed credential, without anybody having to see an error first.
	connLifetime = 30 * time.Minute
	// connIdleTime gives back what a busy moment took.
	connIdleTime = 5 * time.Minute
	// connectTimeout bounds one attempt to connect, unless the URL has
	// connect_timeout: pgx's default of two minutes is longer than anybody waits
	// for an answer.
	connectTimeout = 10 * time.Second
	// cancelTimeout is how long a query whose context has ended may still take to
	// hear from the server that it was cancelled; then its connection is dropped.
	// Without the cancellation, which is pgx's default, the server would carry on: a
	// write that waits for a lock would come true after its caller was told that it
	// had failed.
	cancelTimeout = 2 * time.Second
)

// openPostgres makes a pool for the server at address. It does not connect.
//
// TLS: without sslmode in the URL, pgx does what libpq does ("prefer": TLS if the
// server offers it, its certificate not looked at). Heroku Postgres accepts TLS
// only, so its URLs, which have no sslmode, work as they are and are always
// encrypted ("Connecting to Heroku Postgres", Dev Center). Add ?sslmode=require
// to refuse a server without TLS, ?sslmode=verify-full to check its certificate.
func openPostgres(address secret.Text) (*sql.DB, error) {
	config, err := postgresConfig(address)
	if err != nil {
		return nil, err
	}
	return pooled(stdlib.OpenDB(*config)), nil
}

// pooled bounds a pool.
func pooled(db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxIdleConns)
	db.SetConnMaxLifetime(connLifetime)
	db.SetConnMaxIdleTime(connIdleTime)
	return db
}

func postgresConfig(address secret.Text) (*pgx.ConnConfig, error) {
	raw := address.Reveal()
	u, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(raw)
	if err != nil {
		// pgx's text quotes the URL and hides its password as well as it can, and
		// its error holds the whole URL: neither goes on.
		return nil, fmt.Errorf("%w: its options, after the ?, are not those of PostgreSQL (the URL is not shown, it holds a password)", ErrURL)
	}
	if !u.Query().Has("connect_timeout") {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "zdd" // who it is, in pg_stat_activity
	}
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelTimeout}
	}
	return config, nil
}

// parseURL refuses what would make a later error tell a part of the password. A
// password with a / ? or # in it, not escaped, ends the URL's host early: the rest
// of it would be taken for a port, a database or an option, and those are named
// in errors. The texts name no part of raw for the same reason, and show no URL with a
// password in it either: what takes secrets out of logs would cut it.
func parseURL(raw string) (*url.URL, error) {
	rest, ok := strings.CutPrefix(raw, "postgres://")
	if !ok {
		rest, ok = strings.CutPrefix(raw, "postgresql://")
	}
	if !ok {
		return nil, fmt.Errorf("%w: it has to begin with postgres:// (leave it unset to use a SQLite file)", ErrURL)
	}
	u, err := url.Parse(raw)
	end := strings.IndexAny(rest, "/?#")
	if err != nil || end >= 0 && strings.ContainsAny(rest[end:], "@#") {
		return nil, fmt.Errorf("%w: want postgres://USER, then :PASSWORD, @HOST:5432 and /DATABASE, "+
			"with every / ? # @ and %% in the user or password percent-encoded (as %%2F %%3F %%23 %%40 %%25)", ErrURL)
	}
	return u, nil
}
