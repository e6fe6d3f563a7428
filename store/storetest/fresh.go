package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"example.com/zdd/store"
)

// SQLite makes a SQLite file in a folder of the test's own and returns its path. It holds
// nothing, with a schema that is up to date: a copy of one that was made once, since making
// it takes longer than most tests that need one.
func SQLite(t testing.TB, dir string) (path string) {
	t.Helper()
	empty, err := emptyFile()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "zdd.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// emptyFile is what such a file holds.
var emptyFile = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "zdd-test-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "zdd.db")
	s, err := store.Open(context.Background(), store.Options{Path: path})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // which writes everything into the one file
		return nil, err
	}
	return os.ReadFile(path)
})
