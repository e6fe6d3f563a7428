package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
)

// busyTimeout is how long a statement waits while another process holds the
// file: a second copy of the bot, or someone who looks at it with the sqlite3
// program. Our own transactions take milliseconds.
const busyTimeout = 10 * time.Second

// openSQLite prepares the file at path, which it makes if need be, readable by
// its owner only: the state tells who asked for what. The caller holds
// lockSQLite, which keeps a second Open in this process from using the file
// before it is closed here: that would take away SQLite's own locks, since
// POSIX forgets a process's locks on a file whenever it closes any handle of it.
//
// There is one connection, because SQLite has one writer anyway: whoever comes
// second waits in the pool, in order and until its context ends, instead of
// polling the file's lock. Every transaction takes the write lock as it begins,
// since one that begins by reading and then writes can fail with SQLITE_BUSY at
// once, whatever the busy timeout (sqlite.org/lang_transaction.html).
func openSQLite(path string) (*sql.DB, error) {
	switch f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return nil, fmt.Errorf("make the SQLite file: %w", err)
	default:
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("make the SQLite file: %w", err)
		}
	}
	return dialSQLite(path, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			busyPragma(busyTimeout),
			// Readers of other processes go on while we write.
			"journal_mode(WAL)",
			// In WAL mode the default syncs at checkpoints only, and a power cut
			// would take back what was acknowledged.
			"synchronous(FULL)",
			"foreign_keys(1)",
			// KiB of pages that SQLite keeps to itself. Its 2 MiB by default, with what it
			// takes around them, were a quarter of what the bot's data takes; what the bot
			// looks at often are some dozen pages, and the kernel keeps all of them besides.
			"cache_size(-512)",
		},
	})
}

// lockSQLite keeps two programs from preparing one SQLite file at the same time:
// goose looks which migrations are missing outside the transactions that apply
// them. It waits until ctx ends or migrateWait is over. The lock is one on an
// empty database beside the file, named …-lock, so a program that is killed
// meanwhile holds it no longer; SQLite's exclusive locking mode on the file itself
// deadlocks when several programs ask for it.
func lockSQLite(ctx context.Context, path string) (unlock func(), err error) {
	db, err := dialSQLite(path+"-lock", url.Values{"_txlock": {"exclusive"}, "_pragma": {busyPragma(migrateWait)}})
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), db.Close())
	}
	return func() {
		// Nothing was written and the lock ends with the connection, so there is
		// nothing to tell of: ErrTxDone only says that ctx has ended.
		_ = tx.Rollback()
		_ = db.Close()
	}, nil
}

// dialSQLite makes a pool of one connection to the file at path. It does not open
// it yet.
func dialSQLite(path string, settings url.Values) (*sql.DB, error) {
	// An absolute path can't be taken for a name with a meaning, like :memory:.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the SQLite file: %w", err)
	}
	connector, err := sqlite.NewConnector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + settings.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the SQLite file: %w", err)
	}
	db := sql.OpenDB(keeping{connector})
	db.SetMaxOpenConns(1)
	return db, nil
}

func busyPragma(d time.Duration) string {
	return "busy_timeout(" + strconv.FormatInt(d.Milliseconds(), 10) + ")"
}
