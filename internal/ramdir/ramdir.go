// Package ramdir gives a test a folder for its SQLite files that is in memory, where the
// machine has such a place: a commit is written through to the disk, which for a story of
// many days on the fake clock was half of the time that it took.
//
// It is not for a test of what survives: a kill of the program, such a folder survives as
// any; a fall of the machine, no test looks at.
package ramdir

import (
	"os"
	"testing"
)

// New makes an empty folder, which is removed at the test's end; t.TempDir() where there is
// no place in memory, or hardly any left.
func New(t testing.TB) string {
	t.Helper()
	return in(t, shared)
}

// shared is where Linux has files in memory for everybody, shm_overview(7).
const shared = "/dev/shm"

// least is what has to be free there, in bytes: containers often have 64 MiB of it, which
// a browser may need, and a test takes some.
const least = 512 << 20

func in(t testing.TB, place string) string {
	t.Helper()
	if free(place) < least {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(place, "zdd-test-")
	if err != nil { // as where it belongs to somebody else
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
