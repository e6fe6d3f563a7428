//go:build !unix

package pgtest

import (
	"fmt"
	"syscall"
)

// account refuses: the guard is a shell script.
func account() (*syscall.SysProcAttr, *ids, error) {
	return nil, nil, fmt.Errorf("%w: it needs a Unix: set TEST_DATABASE_URL", errMissing)
}
