// Package golden holds what a test made against a file that a person can review. It is
// for tests only, and judges nothing but whether the two are the same.
//
// With -update, which every test that imports it takes, the file is written anew instead:
// review it before you commit it.
package golden

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// Check fails the test where got is not what the file at path, from the test's folder,
// says. It names the first line that differs, and prints all of got.
func Check(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if line, a, b := differ(got, string(want)); line > 0 {
		t.Errorf("%s:%d differs (go test -update rewrites it, then review)\ngot  %s\nwant %s\nall of it:\n%s", path, line, a, b, got)
	}
}

// differ is the first line in which two texts differ, from 1; 0: they are the same.
func differ(got, want string) (line int, a, b string) {
	if got == want {
		return 0, "", ""
	}
	const end = "(the end)"
	gotLines, wantLines := append(strings.Split(got, "\n"), end), append(strings.Split(want, "\n"), end)
	for line < min(len(gotLines), len(wantLines))-1 && gotLines[line] == wantLines[line] {
		line++
	}
	return line + 1, gotLines[line], wantLines[line]
}
