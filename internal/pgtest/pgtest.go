// Package pgtest gives tests a throwaway PostgreSQL: one server a test binary,
// started by the first test that asks, and an empty database of its own for each
// test.
//
// It is not for a testing/synctest bubble: a real socket freezes the fake clock.
//
// The server of TEST_DATABASE_URL is used if that is set; its user must be allowed
// to create databases. Otherwise the installed programs initdb and postgres make a
// new server that listens on no address, only on a socket in its own folder, and
// writes nothing to disk for certain. Without those programs the test is skipped
// with a line that says what to install; where CI=true it fails, so that no
// pipeline stays green by testing nothing.
//
// Invariant: when the test binary is gone, however it went, the server and its
// folder are gone a moment later.
package pgtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout bounds the start of a server: 0.7 s on an idle machine, many
	// times that on a loaded one with the race detector.
	startTimeout = time.Minute
	// adminTimeout bounds making or dropping one database, 50 ms when idle.
	adminTimeout = 30 * time.Second
	// pollEvery is how often a starting server is asked whether it is ready.
	pollEvery = 20 * time.Millisecond
	// maxFolder keeps the socket's path below the kernel's 107 bytes (unix(7)).
	maxFolder = 60
	// maxLog is how many bytes of a server's log a failed start shows: it says what
	// is wrong long before.
	maxLog = 16 << 10
)

// errMissing reports a machine that can't run PostgreSQL.
var errMissing = errors.New("no PostgreSQL for tests")

// server starts the server when it is first called and returns the URL of its
// administrator. This is the module's one piece of package-level state: a test
// binary has no other place for what all its tests share.
var server = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("TEST_DATABASE_URL"); given != "" {
		return given, nil
	}
	return start()
})

// URL makes an empty database and returns its postgres:// URL. The database is
// dropped when the test ends, after the clean-ups that the test registers later.
// Tests may call it in parallel.
func URL(t testing.TB) string {
	t.Helper()
	admin, err := server()
	if errors.Is(err, errMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := "zdd_" + strings.ToLower(rand.Text())
	own, err := withDatabase(admin, name)
	if err != nil {
		t.Fatal(err)
	}
	// template0, because nobody can be connected to it: CREATE DATABASE refuses a
	// template that is in use.
	if err := run(admin, `CREATE DATABASE `+name+` TEMPLATE template0`); err != nil {
		t.Fatalf("make a database for the test (may TEST_DATABASE_URL's user create databases?): %v", err)
	}
	t.Cleanup(func() {
		if err := run(admin, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return own
}

// withDatabase is the URL of another database on the server at admin. Its errors
// do not quote admin, which may hold a password.
func withDatabase(admin, name string) (string, error) {
	u, err := url.Parse(admin)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("TEST_DATABASE_URL is not of the form postgres://user:password@host/database")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// run executes one statement on a connection of its own. It does not take the
// test's context, which has ended when clean-ups run.
func run(at, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// guard is the program that looks after the server. It runs initdb and postgres,
// and ends them and removes their folder once its standard input does: the test
// binary holds the other end of that pipe and never writes to it, so the kernel
// closes it when the binary exits, panics, times out or is killed.
//
// Linux's Pdeathsig would end the server too, but not remove the folder; it exists
// on no other system; and it goes off when the *thread* that started the server
// ends, which Go's runtime does with a thread whenever a goroutine that locked it
// returns.
//
// $1 is the folder with initdb, $2 the one with postgres, $3 the server's folder.
const guard = `
exec 3<&0 </dev/null
"$1/initdb" -D "$3/data" -U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions 3<&- || { rm -rf "$3"; exit 1; }
"$2/postgres" -D "$3/data" -c listen_addresses= -c unix_socket_directories="$3" \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off 3<&- &
server=$!
{ read -r _ <&3; kill -QUIT $server; } &
reader=$!
exec 3<&-
wait $server
kill $reader
rm -rf "$3"
`

// start makes a server and waits until it answers.
func start() (admin string, err error) {
	initdb, postgres, err := programs()
	if err != nil {
		return "", err
	}
	attr, owner, err := account()
	if err != nil {
		return "", err
	}
	parent := os.TempDir()
	if len(parent) > maxFolder {
		parent = "/tmp"
	}
	folder, err := os.MkdirTemp(parent, "zddpg")
	if err != nil {
		return "", fmt.Errorf("make the server's folder: %w", err)
	}
	if owner != nil {
		if err := os.Chown(folder, owner.uid, owner.gid); err != nil {
			return "", errors.Join(fmt.Errorf("give the server its folder: %w", err), os.Remove(folder))
		}
	}
	// A file without a name, not a pipe: go test waits for whoever holds a pipe.
	log, err := os.CreateTemp("", "zddpg-log")
	if err != nil {
		return "", errors.Join(fmt.Errorf("make the server's log: %w", err), os.Remove(folder))
	}
	if err := os.Remove(log.Name()); err != nil {
		return "", errors.Join(fmt.Errorf("make the server's log: %w", err), os.Remove(folder))
	}

	cmd := exec.Command("/bin/sh", "-c", guard, "guard", initdb, postgres, folder)
	cmd.SysProcAttr = attr
	cmd.Dir = "/" // the user postgres may not enter ours
	// Nothing of ours: PGDATA, PGPORT and their like would be obeyed.
	cmd.Env = []string{"PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/bin:/bin"), "LC_ALL=C", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = log, log
	// The pipe is open for as long as cmd is in memory: the goroutine below has it.
	if _, err := cmd.StdinPipe(); err != nil {
		return "", errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.Remove(folder))
	}
	if err := cmd.Start(); err != nil {
		return "", errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.Remove(folder))
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()

	admin = "postgres://postgres@/postgres?host=" + url.QueryEscape(folder)
	deadline := time.After(startTimeout)
	for {
		err := run(admin, `SELECT 1`)
		if err == nil {
			return admin, nil
		}
		select {
		case <-time.After(pollEvery):
			continue
		case ended := <-exited:
			err = fmt.Errorf("it ended: %v", ended)
		case <-deadline:
		}
		text, _ := io.ReadAll(io.NewSectionReader(log, 0, maxLog))
		return "", fmt.Errorf("PostgreSQL did not start: %w\n%s", err, text)
	}
}

// programs finds the folders of initdb and postgres: on PATH, else the newest
// version where Debian puts them, off PATH.
func programs() (initdb, postgres string, err error) {
	i, errI := exec.LookPath("initdb")
	p, errP := exec.LookPath("postgres")
	if errI == nil && errP == nil {
		return filepath.Dir(i), filepath.Dir(p), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", "", fmt.Errorf("%w: initdb and postgres are not installed: apt-get install postgresql, or set TEST_DATABASE_URL", errMissing)
	}
	version := func(path string) int {
		v, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return v
	}
	newest := filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) }))
	return newest, newest, nil
}

// ids are those of the user who runs the server.
type ids struct{ uid, gid int }

// lookup finds the user postgres, whom Debian's package makes: PostgreSQL refuses
// to run as root.
func lookup() (*ids, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: root can't run it and there is no user postgres: apt-get install postgresql, or set TEST_DATABASE_URL", errMissing)
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	if err := errors.Join(errU, errG); err != nil {
		return nil, fmt.Errorf("read the user postgres: %w", err)
	}
	return &ids{uid, gid}, nil
}
