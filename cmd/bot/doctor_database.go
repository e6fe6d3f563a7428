package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/zdd/ledger"
	"example.com/zdd/secret"
	"example.com/zdd/store"
)

// shortestKey is how many characters ZDD_LEDGER_KEY has at least: 32 hex digits are 16
// random bytes, which nobody guesses. Heroku's generator makes 64.
const shortestKey = 32

// examineDatabase looks at the database and at the key of the ledger in it.
func (d *doctor) examineDatabase(ctx context.Context) []finding {
	const addDatabase = "heroku addons:create heroku-postgresql:essential-0 --app "
	if err := d.cfg.checkDatabase(); err != nil {
		return append([]finding{{"database", bad, "SQLite on a dyno: its disk is lost at every restart, and with it every approval and the ledger", addDatabase + d.ownApp()}}, d.examineKey(store.Examination{})...)
	}
	options, err := d.cfg.storeOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		return append([]finding{{"database", bad, "DATABASE_URL is neither postgres://… nor sqlite:FILE", d.databaseURL()}}, d.examineKey(store.Examination{})...)
	}
	seen, err := store.Examine(ctx, options)
	if err != nil {
		return append([]finding{d.unusable(err)}, d.examineKey(store.Examination{})...)
	}
	var found []finding
	switch {
	case seen.Schema > seen.Newest:
		found = append(found, finding{"database", warning, fmt.Sprintf("the %s database is at schema %d, newer than this program: a newer bot has been here", seen.Dialect, seen.Schema), "Start the newer version again. This one runs on that schema too, because schemas only grow, and does not know what is new."})
	case seen.Schema == 0:
		found = append(found, finding{"database", good, fmt.Sprintf("the %s database is empty; the first start prepares it", seen.Dialect), ""})
	case seen.Schema < seen.Newest:
		found = append(found, finding{"database", good, fmt.Sprintf("the %s database opens; the next start brings its schema from %d to %d", seen.Dialect, seen.Schema, seen.Newest), ""})
	default:
		found = append(found, finding{"database", good, fmt.Sprintf("the %s database opens, and its schema is this program's, %d", seen.Dialect, seen.Schema), ""})
	}
	if d.cfg.dyno != "" && seen.Dialect == store.SQLite {
		found = append(found, finding{"database", warning, "SQLite on a dyno, allowed by ZDD_SQLITE_ON_DYNO: everything is lost at every restart", addDatabase + d.ownApp() + "\n" + d.unset("ZDD_SQLITE_ON_DYNO")})
	}
	return append(found, d.examineKey(seen)...)
}

// databaseURL says where a right DATABASE_URL comes from.
func (d *doctor) databaseURL() string {
	if d.cfg.dyno != "" {
		return "heroku addons:attach <the database> --as DATABASE --app " + d.ownApp() + "   # heroku addons --app " + d.ownApp() + " lists databases"
	}
	return "Set DATABASE_URL to the postgres://… address of a database, or unset it for the SQLite file " + store.DefaultPath + "."
}

// unusable tells apart why a database does not open. The codes are PostgreSQL's
// (Appendix A, "PostgreSQL Error Codes").
func (d *doctor) unusable(err error) finding {
	refused, isRefused := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, store.ErrURL):
		// The store's own words hold an example that redaction takes for an address.
		return finding{"database", bad, "DATABASE_URL can't be read as the address of a PostgreSQL: every / ? # @ and % in its user and password has to be percent-encoded (%2F %3F %23 %40 %25), and what is behind its ? has to be PostgreSQL's options", d.databaseURL()}
	case isRefused && (refused.Code == "28P01" || refused.Code == "28000"):
		return finding{"database", bad, "PostgreSQL does not accept the user or the password in DATABASE_URL", "Take it anew from where the database was made: heroku pg:credentials:url --app " + d.ownApp() + "\n" + d.set("DATABASE_URL", "postgres://…")}
	case isRefused && refused.Code == "3D000":
		return finding{"database", bad, "PostgreSQL has no database of the name in DATABASE_URL", "createdb <the name after the last / of DATABASE_URL>"}
	case isRefused && refused.Code == "53300":
		return finding{"database", bad, "PostgreSQL has no connection left: a bot keeps up to 8, two during a deploy 16, and small plans have 20", "heroku pg:ps --app " + d.ownApp() + "   # who holds them; the bot's are called zdd"}
	case isRefused && refused.Code == "57P03":
		return finding{"database", unclear, "PostgreSQL is starting up or shutting down", "Run bot doctor again in a minute."}
	case d.cfg.onPostgres():
		why := strings.Join(strings.Fields(err.Error()), " ")
		if wire, ok := errors.AsType[*net.OpError](err); ok {
			why = wire.Error() // pgx tells it once for each way that it tried
		}
		return finding{"database", bad, "the database can't be reached: " + why, "Check host and port of DATABASE_URL, that the server runs, and that this machine may reach it. Until it does, the bot answers questions and changes nothing."}
	}
	return finding{"database", bad, err.Error(), "Make its folder, owned by the user that the bot runs as, or name another file: DATABASE_URL=sqlite:FILE"}
}

// examineKey looks at the key that seals the ledger.
func (d *doctor) examineKey(seen store.Examination) []finding {
	text := d.cfg.ledgerKey.Reveal()
	key := ledger.NewKey(text)
	set := d.set("ZDD_LEDGER_KEY", "$(openssl rand -hex 32)")
	switch {
	case text == "":
		return []finding{{"ledger-key", d.wantsChanges(), "ZDD_LEDGER_KEY is not set: nobody could prove who decided what, so the bot reads and changes nothing", set + "\nKeep a copy outside the database: bot ledger verify needs it."}}
	case len(text) < shortestKey:
		return []finding{{"ledger-key", warning, fmt.Sprintf("ZDD_LEDGER_KEY has %d characters, and fewer than %d can be guessed: whoever owns the database could then forge the record", len(text), shortestKey), set + "\n" + d.set("ZDD_LEDGER_FORMER_KEYS", "<the old one>") + "   # bot ledger verify needs it for the entries up to now"}}
	case seen.KeyID != "" && seen.KeyID != key.ID() && !slices.ContainsFunc(d.cfg.formerKeys, func(k secret.Text) bool { return ledger.NewKey(k.Reveal()).ID() == seen.KeyID }):
		return []finding{{"ledger-key", warning, fmt.Sprintf("the ledger up to %s is sealed with another key (%s) than ZDD_LEDGER_KEY (%s)", seen.Head, seen.KeyID, key.ID()), "If it was changed by mistake, set ZDD_LEDGER_KEY to the old one. If it was changed on purpose: " + d.set("ZDD_LEDGER_FORMER_KEYS", "<the old one>")}}
	}
	return []finding{{"ledger-key", good, "the ledger is sealed with key " + key.ID(), ""}}
}
