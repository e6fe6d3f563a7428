//go:build unix

package pgtest

import (
	"bufio"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// victimEnv makes TestVictim start a server, say where, and wait to be killed.
const victimEnv = "ZDD_PGTEST_VICTIM"

func TestURL(t *testing.T) {
	var seen []string
	t.Run("tests", func(t *testing.T) {
		for _, name := range []string{"a", "b"} {
			at := URL(t)
			seen = append(seen, at)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conn, err := pgx.Connect(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				// Left open on purpose: the database is dropped all the same. Each
				// database is empty, or the second of these fails.
				if _, err := conn.Exec(t.Context(), `CREATE TABLE here (i BIGINT)`); err != nil {
					t.Error(err)
				}
			})
		}
	})
	for _, at := range seen {
		conn, err := pgx.Connect(t.Context(), at)
		if err == nil {
			conn.Close(t.Context())
			t.Errorf("a database outlived its test")
		}
	}
	if t.Skipped() || len(seen) != 2 || seen[0] == seen[1] {
		t.Errorf("got %d databases, want two different ones", len(seen))
	}
}

func TestWithDatabase(t *testing.T) {
	const canary = "c4n4rycafe"
	for _, c := range []struct{ admin, want string }{
		{"postgres://u:p@h:1/db?sslmode=require", "postgres://u:p@h:1/x?sslmode=require"},
		{"postgres://postgres@/postgres?host=%2Ftmp%2Fa", "postgres://postgres@/x?host=%2Ftmp%2Fa"},
		{"postgresql://h", "postgresql://h/x"},
		{"mysql://u:" + canary + "@h/db", ""},
		{"postgres://u:" + canary + "/@h:1/db", ""},
		{canary, ""},
	} {
		got, err := withDatabase(c.admin, "x")
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q, %v, want %q", c.admin, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the password is in %v", err)
		}
	}
}

func TestVictim(t *testing.T) {
	if os.Getenv(victimEnv) == "" {
		t.Skip("runs inside TestKilled")
	}
	u, err := url.Parse(URL(t))
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("at " + u.Query().Get("host") + "\n")
	select {}
}

// TestKilled kills a test binary without warning, and wants its server and the
// server's folder to go away.
func TestKilled(t *testing.T) {
	if _, err := server(); errors.Is(err, errMissing) {
		t.Skip(err) // TestURL fails where it must not be missing
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), victimEnv+"=1", "TEST_DATABASE_URL=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var folder string
	for lines := bufio.NewScanner(out); folder == "" && lines.Scan(); {
		folder, _ = strings.CutPrefix(lines.Text(), "at ")
	}
	text, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	if folder == "" || err != nil {
		cmd.Process.Kill()
		t.Fatalf("the victim has no server in %q: %v", folder, err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		t.Fatalf("server %d does not run: %v", pid, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // its error says that it was killed
	for end := time.Now().Add(startTimeout); ; time.Sleep(pollEvery) {
		running := !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
		_, err := os.Stat(folder)
		if !running && errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still there: server %d %v, folder %s %v", pid, running, folder, err)
		}
	}
}
