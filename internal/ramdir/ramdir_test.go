package ramdir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	var dirs []string
	t.Run("folders", func(t *testing.T) {
		for range 2 {
			dir := New(t)
			if err := os.WriteFile(filepath.Join(dir, "zdd.db"), []byte("x"), 0o600); err != nil {
				t.Error(err)
			}
			if free(shared) >= least != strings.HasPrefix(dir, shared+"/") {
				t.Errorf("got %s where %d bytes of memory are free", dir, free(shared))
			}
			dirs = append(dirs, dir)
		}
	})
	if len(dirs) != 2 || dirs[0] == dirs[1] {
		t.Errorf("got %v, want two folders", dirs)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is there after its test: %v", dir, err)
		}
	}
}

// TestWithoutMemory: where there is none, or what is named so is a disk, a folder is one.
func TestWithoutMemory(t *testing.T) {
	for _, place := range []string{"/nonexistent", "/proc"} {
		if dir := in(t, place); filepath.Dir(filepath.Dir(dir)) != filepath.Clean(os.TempDir()) {
			t.Errorf("%s: got %s, want a folder of the test", place, dir)
		}
	}
}
